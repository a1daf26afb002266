#include "api/sor/relaxation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "api/sor/norm.h"
#include "api/sor/rows.h"
#include "api/sor/vectors.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr const char* kClass = "Relaxation";
constexpr index_t kAtOnce = 32;  // sweeps that follow each other, at most

template <class Choice>
Choice choice_of(const char* argument, const std::string& name,
                 std::initializer_list<std::pair<const char*, Choice>> choices) {
    std::string names;
    for (const auto& [known, choice] : choices) {
        if (name == known)
            return choice;
        names += (names.empty() ? "'" : " or '") + std::string(known) + "'";
    }
    throw ValueError(std::string(kClass) + ": " + argument + " must be " + names + ", got '" + name + "'");
}

template <class T>
System<T> with_values(System<T> system, const T* data) {
    auto values = std::make_shared<Values<T>>(values_of(kClass, *system.structure, data));
    system.inverse = std::make_shared<Inverse<T>>(inverse_of(kClass, *system.structure, *values, T(0)));
    system.values = std::move(values);
    return system;
}

template <class T>
void sweep_rows(const System<T>& system, const SweepArguments& a) {
    constexpr const char* name = "Relaxation.sweep";
    const Structure& structure = *system.structure;
    const index_t n = structure.rows;
    const index_t bytes = n * static_cast<index_t>(sizeof(T));
    T* const x = const_cast<T*>(vector_of<T>(name, "x", a.x, n));
    check_writable(name, "x", a.x);
    const T* const b = vector_of<T>(name, "b", a.b, n);
    check_apart(name, "x", x, "b", b, bytes);
    const T omega = omega_of<T>(name, a.omega);
    const T* bound[2] = {nullptr, nullptr};
    const std::optional<ArrayView>* const given[2] = {&a.lower, &a.upper};
    for (int k = 0; k < 2; ++k)
        if (*given[k]) {
            bound[k] = vector_of<T>(name, k == 0 ? "lower" : "upper", **given[k], n);
            check_apart(name, "x", x, k == 0 ? "lower" : "upper", bound[k], bytes);
        }
    if (a.iterations < 0)
        throw ValueError(std::string(name) + ": iterations must not be negative, got " + std::to_string(a.iterations));
    std::optional<GivenRows> rows;
    if (a.rows)
        rows.emplace(name, structure, *a.rows, a.together);
    double* norms = nullptr;
    if (a.norms) {
        if (rows)
            throw ValueError(std::string(name) + ": norms must not be asked for of some rows, got both");
        norms = static_cast<double*>(const_cast<void*>(vector_data(name, "norms", *a.norms, DType::f64, a.iterations)));
        check_writable(name, "norms", *a.norms);
    }
    const FpGuard guard;
    const AtPlaces<T> xs(structure, x), bs(structure, b), lower(structure, bound[0]), upper(structure, bound[1]);
    InterruptPoll poll;
    const Following how = a.direction == Direction::symmetric || rows
                              ? Following()
                              : following_of(system, std::min(a.iterations, kAtOnce));
    const auto step_of = [&](bool backward) { return Step<T>{omega, backward, false, lower.data(), upper.data()}; };
    const bool last_backward = a.direction != Direction::forward;
    for (index_t k = 0; rows && k < a.iterations; ++k) {
        if (a.direction == Direction::symmetric)
            sorgum::sor::sweep(system, step_of(false), *rows, bs.data(), xs.data(), poll);
        sorgum::sor::sweep(system, step_of(last_backward), *rows, bs.data(), xs.data(), poll);
        poll();  // also where there are none
    }
    for (index_t k = 0, count; !rows && k < a.iterations; k += count) {
        poll();  // also where there are no rows
        count = how.is_possible() ? std::min(a.iterations - k, kAtOnce) : 1;
        count = count < how.least ? 1 : count;
        std::array<SquaresSum, kAtOnce> squares;
        std::fill_n(squares.begin(), count, kNoSquares);
        SquaresSum* const to = norms != nullptr ? squares.data() : nullptr;
        if (a.direction == Direction::symmetric)
            sorgum::sor::sweep(system, step_of(false), bs.data(), xs.data(), nullptr, poll);
        if (count > 1)
            sweep_several(system, how, step_of(last_backward), bs.data(), xs.data(), count, to, poll);
        else
            sorgum::sor::sweep(system, step_of(last_backward), bs.data(), xs.data(), to, poll);
        for (index_t time = 0; norms != nullptr && time < count; ++time)
            norms[k + time] = root_of(squares[static_cast<std::size_t>(time)]) / static_cast<double>(omega);
    }
    if (xs.data() != x)
        from_places(structure, xs.data(), x);
}

}  // namespace

Order order_of(const std::string& name) {
    return choice_of<Order>("order", name,
                            {{"natural", Order::natural},
                             {"multicolor", Order::multicolor},
                             {"block_multicolor", Order::block_multicolor}});
}
Direction direction_of(const std::string& name) {
    return choice_of<Direction>(
        "sweep", name,
        {{"forward", Direction::forward}, {"backward", Direction::backward}, {"symmetric", Direction::symmetric}});
}
Half half_of(const std::string& name) {
    return choice_of<Half>("half", name, {{"lower", Half::lower}, {"upper", Half::upper}});
}

Relaxation::Relaxation(const CsrArrays& a, Order order) : order_(order), value_type_(a.data.dtype) {
    CheckedCsr(kClass, "A", a);  // types and lengths
    const OwnIndices own(a);
    const CheckedCsr checked(kClass, "A", own.arrays());
    const FpGuard guard;
    structure_ = std::make_shared<Structure>(structure_of(kClass, checked, order));
    checked.with_type([&](const auto& matrix) {
        using T = typename std::decay_t<decltype(matrix)>::value;
        system_ = with_values(System<T>{structure_, nullptr, nullptr, std::make_shared<LazySchedule>()}, matrix.data);
    });
}

index_t Relaxation::memory() const {
    const Structure& s = *structure_;
    const index_t value = value_type_ == DType::f32 ? 4 : 8;
    const auto bytes = [](const auto& v) { return static_cast<index_t>(v.capacity() * sizeof(v[0])); };
    return (s.slots + 2 * s.blocks) * kBlock * value + s.gathered * kBlock * 4 + bytes(s.slot) + bytes(s.pattern) +
           bytes(s.block) + bytes(s.first_entry) + bytes(s.places.of_row) + bytes(s.places.rows) +
           bytes(s.places.colors) + (s.sources.same() ? 0 : s.entries * 8) + bytes(s.sources.first);
}

void Relaxation::sweep(const SweepArguments& a) const {
    with_type([&](auto tag) { sweep_rows(system<decltype(tag)>(), a); });
}

double Relaxation::residual(const ArrayView& x, const ArrayView& b, const std::optional<ArrayView>& out) const {
    constexpr const char* name = "Relaxation.residual_norm";
    return with_type([&](auto tag) {
        using T = decltype(tag);
        const System<T> of = system<T>();
        const Structure& structure = *of.structure;
        const T* const from_x = vector_of<T>(name, "x", x, structure.rows);
        const T* const from_b = vector_of<T>(name, "b", b, structure.rows);
        double* r = nullptr;
        if (out) {
            r = static_cast<double*>(const_cast<void*>(vector_data(name, "out", *out, DType::f64, structure.rows)));
            check_writable(name, "out", *out);
        }
        const FpGuard guard;
        const AtPlaces<T> xs(structure, from_x), bs(structure, from_b);
        InterruptPoll poll;
        if (r == nullptr || of.in_natural_order())
            return root_of(sorgum::sor::residual(of, bs.data(), xs.data(), r, poll));
        AlignedArray<double> at_places;
        at_places.reserve(structure.padded_rows());
        const double norm = root_of(sorgum::sor::residual(of, bs.data(), xs.data(), at_places.data(), poll));
        from_places(structure, at_places.data(), r);
        return norm;
    });
}

void Relaxation::half_solve(const ArrayView& b, double omega, Half half, const ArrayView& out) const {
    constexpr const char* name = "Relaxation.half_solve";
    with_type([&](auto tag) {
        using T = decltype(tag);
        const System<T> of = system<T>();
        const Structure& structure = *of.structure;
        const T* const from = vector_of<T>(name, "b", b, structure.rows);
        T* const to = const_cast<T*>(vector_of<T>(name, "out", out, structure.rows));
        check_writable(name, "out", out);
        const index_t bytes = structure.rows * static_cast<index_t>(sizeof(T));
        if (from != to)
            check_apart(name, "out", to, "b", from, bytes);
        const Step<T> step = {omega_of<T>(name, omega), half == Half::upper, true, nullptr, nullptr};
        const FpGuard guard;
        const AtPlaces<T> bs(structure, from);
        InterruptPoll poll;
        T* const ys = of.in_natural_order() ? to : bs.data();
        sorgum::sor::sweep(of, step, bs.data(), ys, nullptr, poll);
        if (ys != to)
            from_places(structure, ys, to);
    });
}

void Relaxation::precondition(const ArrayView& r, double omega, const ArrayView& out) const {
    constexpr const char* name = "Relaxation.precondition";
    with_type([&](auto tag) {
        using T = decltype(tag);
        const System<T> of = system<T>();
        const Structure& structure = *of.structure;
        const T* const from = vector_of<T>(name, "r", r, structure.rows);
        T* const to = const_cast<T*>(vector_of<T>(name, "out", out, structure.rows));
        check_writable(name, "out", out);
        if (from != to)
            check_apart(name, "out", to, "r", from, structure.rows * static_cast<index_t>(sizeof(T)));
        const T factor = omega_of<T>(name, omega);
        const T sigma = (T(2) - factor) / factor;
        const FpGuard guard;
        const AtPlaces<T> rs(structure, from);
        InterruptPoll poll;
        T* const ys = of.in_natural_order() ? to : rs.data();
        const auto half = [&](bool upper, const T* b) {
            sorgum::sor::sweep(of, {factor, upper, true, nullptr, nullptr}, b, ys, nullptr, poll);
        };
        half(false, rs.data());
        const index_t places = of.in_natural_order() ? structure.rows : structure.padded_rows();
        parallel_for_ranges(places, kChunk, threads_for(places), [&](index_t i, index_t end, int) {
            T* const y = ys + i;
            sor_combine(kernels(), T())(sigma, of.values->diagonal.data() + i, y, sigma * of.inverse->shift, y, y,
                                        end - i);
        });
        half(true, ys);
        if (ys != to)
            from_places(structure, ys, to);
    });
}

void Relaxation::update_values(const ArrayView& data) {
    with_type([&](auto tag) {
        using T = decltype(tag);
        const T* const from = vector_of<T>("Relaxation.update_values", "data", data, structure_->entries);
        const FpGuard guard;
        replace(with_values(system<T>(), from));
    });
}

void Relaxation::shift(double c) {
    with_type([&](auto tag) {
        using T = decltype(tag);
        const FpGuard guard;
        System<T> of = system<T>();
        const T rounded = static_cast<T>(c);
        if (!std::isfinite(rounded))
            throw ValueError("Relaxation.shift: c must be finite, got " + number_text(c));
        of.inverse = std::make_shared<Inverse<T>>(inverse_of("Relaxation.shift", *of.structure, *of.values, rounded));
        replace(std::move(of));
    });
}

Relaxation::Magnitude Relaxation::magnitude() const {
    return with_type([&](auto tag) {
        using T = decltype(tag);
        const System<T> of = system<T>();
        const FpGuard guard;
        InterruptPoll poll;
        Magnitude found = {0, 0};
        for (index_t block = 0; block < of.structure->blocks; ++block) {
            if (block % 4096 == 0)
                poll();
            double sums[kBlock] = {};
            const Pattern& pattern = of.structure->pattern_of(block);
            const T* const slots =
                of.values->slots.data() + of.structure->block[static_cast<std::size_t>(block)].values * kBlock;
            for (index_t k = 0; k < (pattern.left + pattern.right) * kBlock; ++k) {
                const Slot& slot = of.structure->slot[static_cast<std::size_t>(pattern.slots + k / kBlock)];
                const index_t row = slot.offset == kOneRow ? __builtin_ctz(slot.present) : k % kBlock;
                sums[row] += std::abs(static_cast<double>(slots[k]));
            }
            for (index_t i = 0; i < pattern.rows; ++i) {
                const T d = std::abs(of.values->diagonal.data()[block * kBlock + i] + of.inverse->shift);
                found.largest_row = std::max(found.largest_row, sums[i] + static_cast<double>(d));
                found.off_diagonal += sums[i] / static_cast<double>(d);
            }
        }
        found.off_diagonal /= static_cast<double>(std::max<index_t>(rows(), 1));
        return found;
    });
}

void Relaxation::diagonal(const ArrayView& out) const {
    with_type([&](auto tag) {
        using T = decltype(tag);
        const System<T> of = system<T>();
        T* const to = const_cast<T*>(vector_of<T>("Relaxation.diagonal", "out", out, rows()));
        check_writable("Relaxation.diagonal", "out", out);
        const FpGuard guard;
        for (index_t i = 0; i < rows(); ++i) {
            const auto& places = of.structure->places.of_row;
            const index_t place = places.empty() ? i : places[static_cast<std::size_t>(i)];
            to[i] = of.values->diagonal.data()[place] + of.inverse->shift;
        }
    });
}

void Relaxation::colors(const ArrayView& out) const {
    const void* const to = vector_data("Relaxation.colors", "out", out, DType::i32, rows());
    check_writable("Relaxation.colors", "out", out);
    auto* const colors = static_cast<std::int32_t*>(const_cast<void*>(to));
    std::fill_n(colors, rows(), 0);
    std::copy(structure_->places.colors.begin(), structure_->places.colors.end(), colors);
}

}  // namespace sorgum::sor
