#include "api/sor/block_relaxation.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "api/sor/norm.h"
#include "api/sor/scratch.h"
#include "api/sor/vectors.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr const char* kClass = "Relaxation";

template <class T>
ArrayView view_of(T* vector, index_t n) {
    return {vector, sizeof(T) == 4 ? DType::f32 : DType::f64, true, 1, {n}, {static_cast<index_t>(sizeof(T))}};
}

// Calls use(first row, rows, products with a vector) for some blocks at a time, and their rows.
template <class T, class Use>
void products(const T* blocks, index_t size, index_t n, const T* x, Use&& use) {
    const index_t at_once = std::max<index_t>(kChunk / size, 1), count = n / size;
    const int threads = threads_for(saturated_product(n, size));
    std::vector<AlignedArray<double>> scratch(static_cast<std::size_t>(threads));
    parallel_for_ranges(count, at_once, threads, [&](index_t begin, index_t end, int slot) {
        AlignedArray<double>& numbers = scratch[static_cast<std::size_t>(slot)];
        numbers.reserve(at_once * size);
        const index_t row = begin * size;
        sor_point_blocks_product(kernels(), T())(blocks + row * size, size, x + row, numbers.data(), end - begin);
        use(row, (end - begin) * size, numbers.data());
    });
}

// Each rounded once to T.
template <class T>
AlignedArray<T> rounded_products(const T* blocks, index_t size, index_t n, const T* x) {
    AlignedArray<T> to;
    to.reserve(n + 1);
    products(blocks, size, n, x, [&](index_t row, index_t rows, const double* numbers) {
        for (index_t i = 0; i < rows; ++i)
            to.data()[row + i] = static_cast<T>(numbers[i]);
    });
    return to;
}

// ||D (x - before)||, where `before` becomes the difference.
template <class T>
double norm_of_change(const PointBlocks<T>& blocks, index_t size, index_t n, const T* x, T* before,
                      AlignedArray<double>& change) {
    for (index_t i = 0; i < n; ++i)
        before[i] = x[i] - before[i];
    change.reserve(n + 1);
    products(blocks.diagonal.data(), size, n, before, [&](index_t row, index_t rows, const double* numbers) {
        std::copy_n(numbers, rows, change.data() + row);
    });
    SquaresSum sum = kNoSquares;
    for_each_range(0, n, kChunk, [&](index_t begin, index_t end) {
        sor_squares_add(kernels(), double())(change.data() + begin, end - begin, sum);
    });
    return root_of(sum);
}

}  // namespace

BlockRelaxation::BlockRelaxation(const CsrArrays& a, Order order, index_t size)
    : value_type_(a.data.dtype),
      order_(order),
      entries_(CheckedCsr(kClass, "A", a).entries()),
      indices_(a),
      pattern_(block_pattern_of(kClass, CheckedCsr(kClass, "A", indices_.arrays()), size)) {
    if (order == Order::block_multicolor && kRowsOfGroup % size != 0)
        throw ValueError(std::string(kClass) + ": blocksize must divide " + std::to_string(kRowsOfGroup) +
                         " where order is 'block_multicolor', got " + std::to_string(size));
    with_type([&](auto tag) {
        using T = decltype(tag);
        const FpGuard guard;
        state_ = made<T>(kClass, static_cast<const T*>(a.data.data), T(0));
    });
}

template <class T>
BlockRelaxation::Shared<T> BlockRelaxation::made(const char* function, const T* data, T shift) const {
    auto state = std::make_shared<State<T>>();
    state->data.reserve(entries_ + 1);
    std::copy_n(data, entries_, state->data.data());
    state->blocks = point_blocks_of(function, pattern_, indices_.arrays(), state->data.data(), shift);
    state->scaled = std::make_unique<Relaxation>(state->blocks.scaled.arrays(), order_);
    state->blocks.scaled = {};  // its values are in the Relaxation
    return state;
}

index_t BlockRelaxation::memory() const {
    return with_type([&](auto tag) {
        using T = decltype(tag);
        const Shared<T> s = state<T>();
        const index_t value = static_cast<index_t>(sizeof(T)), n = rows();
        return s->scaled->memory() + (entries_ + s->blocks.matrix.entries + 2 * n * size()) * value +
               (s->blocks.matrix.entries + n + 1) * 8 +
               static_cast<index_t>((pattern_.first.capacity() + pattern_.column.capacity()) * 8);
    });
}

void BlockRelaxation::sweep(const SweepArguments& a) const {
    constexpr const char* name = "Relaxation.sweep";
    with_type([&](auto tag) {
        using T = decltype(tag);
        const Shared<T> s = state<T>();
        const index_t n = rows();
        T* const x = const_cast<T*>(vector_of<T>(name, "x", a.x, n));
        check_writable(name, "x", a.x);
        const T* const b = vector_of<T>(name, "b", a.b, n);
        const FpGuard guard;
        const AlignedArray<T> right = rounded_products(s->blocks.inverse.data(), size(), n, b);
        SweepArguments one = a;
        one.b = view_of(right.data(), n);
        one.together = size();
        if (!a.norms || a.rows)
            return s->scaled->sweep(one);
        const T omega = omega_of<T>(name, a.omega);
        double* const norms =
            static_cast<double*>(const_cast<void*>(vector_data(name, "norms", *a.norms, DType::f64, a.iterations)));
        check_writable(name, "norms", *a.norms);
        one.norms.reset();
        one.iterations = 1;
        AlignedArray<T> before;
        AlignedArray<double> change;
        before.reserve(n + 1);
        for (index_t k = 0; k < a.iterations; ++k) {
            if (a.direction == Direction::symmetric) {
                one.direction = Direction::forward;
                s->scaled->sweep(one);
                one.direction = Direction::backward;
            }
            std::copy_n(x, n, before.data());
            s->scaled->sweep(one);
            norms[k] = norm_of_change(s->blocks, size(), n, x, before.data(), change) / static_cast<double>(omega);
        }
    });
}

double BlockRelaxation::residual(const ArrayView& x, const ArrayView& b, const std::optional<ArrayView>& out) const {
    constexpr const char* name = "Relaxation.residual_norm";
    return with_type([&](auto tag) {
        using T = decltype(tag);
        const Shared<T> s = state<T>();
        const index_t n = rows();
        const T* const from_x = vector_of<T>(name, "x", x, n);
        const T* const from_b = vector_of<T>(name, "b", b, n);
        double* r = nullptr;
        if (out) {
            r = static_cast<double*>(const_cast<void*>(vector_data(name, "out", *out, DType::f64, n)));
            check_writable(name, "out", *out);
        }
        const FpGuard guard;
        const Rows<T>& of = s->blocks.matrix;
        const Csr<T, std::int64_t> a = {of.indptr.data(), of.indices.data(), of.data.data()};
        const int threads = threads_for(saturated_product(of.entries, 2));
        std::vector<SquaresScratch> scratch = scratch_for(threads);
        InterruptPoll poll;
        poll();
        parallel_for_ranges(n, kChunk, threads, [&](index_t begin, index_t end, int slot) {
            SquaresScratch& own = scratch[static_cast<std::size_t>(slot)];
            double* const numbers = own.numbers.data();
            sor_csr_residual(kernels(), a)(a, from_x, from_b, begin, end - begin, numbers);
            if (r != nullptr)
                std::copy_n(numbers, end - begin, r + begin);
            sor_squares_add(kernels(), double())(numbers, end - begin, own.squares);
        });
        SquaresSum total = kNoSquares;
        merge(scratch, total);
        return root_of(total);
    });
}

void BlockRelaxation::precondition(const ArrayView& r, double omega, const ArrayView& out) const {
    constexpr const char* name = "Relaxation.precondition";
    with_type([&](auto tag) {
        using T = decltype(tag);
        const Shared<T> s = state<T>();
        const T* const from = vector_of<T>(name, "r", r, rows());
        const FpGuard guard;
        const AlignedArray<T> right = rounded_products(s->blocks.inverse.data(), size(), rows(), from);
        s->scaled->precondition(view_of(right.data(), rows()), omega, out);
    });
}

void BlockRelaxation::update_values(const ArrayView& data) {
    constexpr const char* name = "Relaxation.update_values";
    with_type([&](auto tag) {
        using T = decltype(tag);
        const T* const from = vector_of<T>(name, "data", data, entries_);
        const FpGuard guard;
        replace(made<T>(kClass, from, T(0)));
    });
}

void BlockRelaxation::shift(double c) {
    constexpr const char* name = "Relaxation.shift";
    with_type([&](auto tag) {
        using T = decltype(tag);
        const T rounded = static_cast<T>(c);
        if (!std::isfinite(rounded))
            throw ValueError(std::string(name) + ": c must be finite, got " + number_text(c));
        const FpGuard guard;
        replace(made<T>(name, state<T>()->data.data(), rounded));
    });
}

Relaxation::Magnitude BlockRelaxation::magnitude() const {
    return with_type([&](auto tag) {
        const auto s = state<decltype(tag)>();
        return Relaxation::Magnitude{s->blocks.largest_row, s->scaled->magnitude().off_diagonal};
    });
}

void BlockRelaxation::diagonal(const ArrayView& out) const {
    constexpr const char* name = "Relaxation.diagonal";
    with_type([&](auto tag) {
        using T = decltype(tag);
        const Shared<T> s = state<T>();
        T* const to = const_cast<T*>(vector_of<T>(name, "out", out, rows()));
        check_writable(name, "out", out);
        for (index_t i = 0; i < rows(); ++i)
            to[i] = s->blocks.diagonal.data()[i * size() + i % size()];
    });
}

void BlockRelaxation::colors(const ArrayView& out) const {
    with_type([&](auto tag) { state<decltype(tag)>()->scaled->colors(out); });
}

}  // namespace sorgum::sor
