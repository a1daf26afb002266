#include "api/sor/batch.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "api/call/rows.h"
#include "api/sor/batch_pattern.h"
#include "api/sor/norm.h"
#include "api/sor/omega_rule.h"
#include "api/sor/vectors.h"
#include "core/fp_env.h"
#include "core/interrupt.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr const char* kName = "sor_batch";
constexpr index_t kLanesOfBatch = 16;
constexpr index_t kSystemsOfTask = 256;  // whose lanes are filled again as they become free

// What all systems share, and where each of them lies.
template <class T>
struct Systems {
    const BatchPattern* pattern;
    index_t count;
    const T* values;  // of the matrix, or of all systems
    index_t values_apart;
    const T* shift;  // or null
    const T* b;
    T* x;                 // where each begins, and its answer
    const double* omega;  // or null: adaptive
    double rtol, atol;
    std::int64_t *info, *iterations;
    index_t maxiter;
    bool from_zero;
};

template <class T>
T sum_of(const T* values, const std::vector<index_t>& source, index_t begin, index_t end) {
    T sum = values[source[static_cast<std::size_t>(begin)]];
    for (index_t k = begin + 1; k < end; ++k)
        sum += values[source[static_cast<std::size_t>(k)]];
    return sum;
}

template <class T>
double norm_of(const T* v, index_t n) {
    SquaresSum sum = kNoSquares;
    for_each_range(0, n, kChunk, [&](index_t begin, index_t end) {
        sor_products_add(kernels(), T())(v + begin, v + begin, end - begin, sum);
    });
    return root_of(sum);
}

template <class T>
bool is_normal_with_reciprocal(T d) {
    constexpr T least = std::numeric_limits<T>::min();
    return std::abs(d) >= least && std::abs(d) <= T(1) / least;
}

// Sixteen systems at work.
template <class T>
class Lanes {
public:
    explicit Lanes(const Systems<T>& all) : all_(all), pattern_(*all.pattern) {
        const index_t n = pattern_.rows, entries = static_cast<index_t>(pattern_.columns.size());
        shared_ = all.values_apart == 0;
        const index_t many = saturated_product(n + 1, kLanesOfBatch);
        for (AlignedArray<T>* v : {&diagonal_, &inverse_, &b_, &x_}) {
            v->reserve(many);
            std::fill_n(v->data(), many, T(0));
        }
        kept_.reserve(adaptive() ? many : 1);
        values_.reserve(shared_ ? entries + 1 : saturated_product(entries + 1, kLanesOfBatch));
        std::fill_n(values_.data(), shared_ ? entries + 1 : (entries + 1) * kLanesOfBatch, T(0));
        if (shared_)
            for (index_t k = 0; k < entries; ++k)
                values_.data()[k] = entry_of(all.values, k);
        std::fill_n(omega_, kLanesOfBatch, T(1));
        std::fill_n(scale_, kLanesOfBatch, 1.0);
        std::fill_n(system_, kLanesOfBatch, index_t(-1));
        made_ = {n,
                 pattern_.row.data(),
                 pattern_.columns.data(),
                 values_.data(),
                 shared_,
                 diagonal_.data(),
                 inverse_.data(),
                 omega_,
                 b_.data(),
                 x_.data()};
    }

    // Solves the systems of [begin, end). The least of those that are refused goes to `refused`.
    void run(index_t begin, index_t end, InterruptPoll* poll, std::atomic<index_t>& refused) {
        index_t next = begin;
        const auto fill = [&](index_t lane) {
            system_[lane] = -1;
            while (next < end && system_[lane] < 0)
                take(next++, lane, refused);
            return system_[lane] >= 0;
        };
        index_t active = 0;
        for (index_t lane = 0; lane < kLanesOfBatch; ++lane)
            active += fill(lane) ? 1 : 0;
        double squares[kLanesOfBatch], changes[kLanesOfBatch];
        bool fresh = !all_.from_zero;  // some systems' residuals are not known before their first sweep
        while (active > 0 && !tasks_stopped()) {
            if (poll != nullptr)
                (*poll)();
            if (!fresh)
                sor_batch_sweep(table_, T())(made_, scale_, adaptive() ? changes : nullptr);
            sor_batch_residual(table_, T())(made_, scale_, squares);
            const bool swept = !fresh;
            fresh = false;
            for (index_t lane = 0; lane < kLanesOfBatch; ++lane) {
                if (system_[lane] < 0 || (!swept && done_[lane] > 0))
                    continue;
                done_[lane] += swept ? 1 : 0;
                if (!ends(lane, squares[lane], swept && adaptive() ? &changes[lane] : nullptr))
                    continue;
                if (!fill(lane))
                    --active;
                else if (!all_.from_zero)
                    fresh = true;
            }
        }
    }

private:
    T entry_of(const T* values, index_t k) const {
        const auto at = static_cast<std::size_t>(k);
        return sum_of(values, pattern_.source, pattern_.first[at], pattern_.first[at + 1]);
    }
    T diagonal_of(const T* values, index_t i) const {
        const auto at = static_cast<std::size_t>(i);
        return sum_of(values, pattern_.diagonal_source, pattern_.diagonal_first[at], pattern_.diagonal_first[at + 1]);
    }

    // Brings a system into a lane, or answers it at once, or refuses it.
    void take(index_t s, index_t lane, std::atomic<index_t>& refused) {
        const index_t n = pattern_.rows;
        const T* const b = all_.b + s * n;
        const double size = norm_of(b, n);
        const double wanted = size < std::numeric_limits<double>::infinity() ? all_.rtol * size : 0.0;
        const double tolerance = std::min(std::max(wanted, all_.atol), std::numeric_limits<double>::max());
        if (!bring(s, lane)) {
            index_t least = refused.load();
            while ((least < 0 || s < least) && !refused.compare_exchange_weak(least, s)) {
            }
            return;
        }
        all_.info[s] = 0;
        all_.iterations[s] = 0;
        if (size == 0 || (all_.from_zero && size <= tolerance)) {
            if (size == 0)
                std::fill_n(all_.x + s * n, n, T(0));
            return;
        }
        for (index_t i = 0; i < n; ++i) {
            b_.data()[i * kLanesOfBatch + lane] = b[i];
            x_.data()[i * kLanesOfBatch + lane] = all_.x[s * n + i];
        }
        omega_[lane] = adaptive() ? T(1) : static_cast<T>(all_.omega[s]);
        if (adaptive()) {
            rule_[lane].emplace(weight_, true, 1.0);
            norms_[lane].clear();
            keep(lane);
        }
        // Residuals are compared as multiples of a power of two near the tolerance: their squares do not underflow.
        const int exponent = tolerance > 0 ? std::ilogb(tolerance) : std::isfinite(size) ? std::ilogb(size) - 400 : 0;
        scale_[lane] = std::ldexp(1.0, std::clamp(-exponent, -1022, 1022));
        const double root = tolerance * scale_[lane];
        enough_[lane] = root * root;
        growth_[lane] = size;
        system_[lane] = s;
        done_[lane] = 0;
    }

    // Returns whether the matrix is one that a sweep can use.
    bool bring(index_t s, index_t lane) {
        const index_t n = pattern_.rows;
        const T* const values = all_.values + s * all_.values_apart;
        const T shift = all_.shift == nullptr ? T(0) : all_.shift[s];
        bool good = true;
        double weight = 0;
        for (index_t i = 0; i < n; ++i) {
            const T a = diagonal_of(values, i), d = a + shift;
            good = good && std::isfinite(a) && is_normal_with_reciprocal(d);
            diagonal_.data()[i * kLanesOfBatch + lane] = d;
            inverse_.data()[i * kLanesOfBatch + lane] = T(1) / d;
            const BatchRow& row = pattern_.row[static_cast<std::size_t>(i)];
            for (index_t k = row.begin; k < (&row)[1].begin; ++k) {
                const T entry = shared_ ? values_.data()[k] : entry_of(values, k);
                if (!shared_)
                    values_.data()[k * kLanesOfBatch + lane] = entry;
                const T over = entry * (T(1) / d);
                good = good && std::isfinite(over);
                weight += static_cast<double>(std::abs(over));
            }
        }
        weight_ = n > 0 ? weight / static_cast<double>(n) : 0.0;
        return good;
    }

    // Whether a system is at its end: then its answer is written.
    bool ends(index_t lane, double squares, const double* change) {
        if (done_[lane] == 0)
            growth_[lane] = std::max(growth_[lane], std::sqrt(squares) / scale_[lane]);
        const bool converged = squares <= enough_[lane];
        bool grown = !(squares <= most_squares(lane));
        if (!converged && change != nullptr && adapt(lane, *change, grown))
            grown = false;
        if (!converged && !grown && done_[lane] < all_.maxiter)
            return false;
        const index_t s = system_[lane], n = pattern_.rows;
        const bool finite = squares <= std::numeric_limits<double>::max();
        all_.info[s] = converged ? 0 : grown || !finite ? -1 : done_[lane];
        all_.iterations[s] = done_[lane];
        if (all_.info[s] >= 0)
            for (index_t i = 0; i < n; ++i)
                all_.x[s * n + i] = x_.data()[i * kLanesOfBatch + lane];
        return true;
    }

    // The square, times the scale, of a norm that no residual exceeds in a solve that converges.
    double most_squares(index_t lane) const {
        const double growth = sizeof(T) == 4 ? 0x1p40 : 0x1p100;
        const double most = growth * std::max(growth_[lane], 1 / growth) * scale_[lane];
        return std::min(most * most, std::numeric_limits<double>::max());
    }

    // Asks the rule, and saves x or puts it back as it says. Returns whether x was put back.
    bool adapt(index_t lane, double change, bool grown) {
        OmegaRule& rule = *rule_[lane];
        grown = grown || !(change <= most_squares(lane));
        std::vector<double>& norms = norms_[lane];
        norms.push_back(grown ? std::numeric_limits<double>::infinity()
                              : std::sqrt(change) / scale_[lane] / static_cast<double>(omega_[lane]));
        if (!grown && static_cast<index_t>(norms.size()) < rule.window())
            return false;
        const OmegaAction action = rule.observe(norms.data(), static_cast<index_t>(norms.size()));
        norms.clear();
        omega_[lane] = static_cast<T>(rule.omega());
        if (action == OmegaAction::keep)
            keep(lane);
        const index_t n = pattern_.rows;
        if (action == OmegaAction::undo)
            for (index_t i = 0; i < n; ++i)
                x_.data()[i * kLanesOfBatch + lane] = kept_.data()[lane * n + i];
        return action == OmegaAction::undo;
    }

    void keep(index_t lane) {
        const index_t n = pattern_.rows;
        for (index_t i = 0; i < n; ++i)
            kept_.data()[lane * n + i] = x_.data()[i * kLanesOfBatch + lane];
    }

    bool adaptive() const { return all_.omega == nullptr; }

    const Systems<T>& all_;
    const BatchPattern& pattern_;
    const KernelTable& table_ = kernels();
    bool shared_;
    AlignedArray<T> values_, diagonal_, inverse_, b_, x_, kept_;
    std::optional<OmegaRule> rule_[kLanesOfBatch];
    std::vector<double> norms_[kLanesOfBatch];  // since the rule was asked last
    double weight_ = 0;  // of what was brought last: the mean over rows of the sum of |a_ij| / |a_ii|
    alignas(64) T omega_[kLanesOfBatch];
    alignas(64) double scale_[kLanesOfBatch];
    double enough_[kLanesOfBatch], growth_[kLanesOfBatch];
    index_t system_[kLanesOfBatch], done_[kLanesOfBatch] = {};
    Batch<T> made_;
};

// Throws the error of the first entry of a system that is no number that a sweep can use.
template <class T>
[[noreturn]] void refuse(const Systems<T>& all, index_t s) {
    const BatchPattern& pattern = *all.pattern;
    const T* const values = all.values + s * all.values_apart;
    const T shift = all.shift == nullptr ? T(0) : all.shift[s];
    const std::string prefix = std::string(kName) + ": A must have ";
    for (index_t i = 0; i < pattern.rows; ++i) {
        const std::string where = " in system " + std::to_string(s) + ", row " + std::to_string(i);
        const auto at = static_cast<std::size_t>(i);
        const T a = sum_of(values, pattern.diagonal_source, pattern.diagonal_first[at], pattern.diagonal_first[at + 1]);
        const T d = a + shift;
        if (!std::isfinite(a) || !is_normal_with_reciprocal(d))
            throw ValueError(prefix + "a diagonal of normal numbers with normal reciprocals, got " +
                             number_text(static_cast<double>(d)) + where);
        for (index_t k = pattern.row[at].begin; k < pattern.row[at + 1].begin; ++k) {
            const auto e = static_cast<std::size_t>(k);
            const T entry = sum_of(values, pattern.source, pattern.first[e], pattern.first[e + 1]);
            if (!std::isfinite(entry * (T(1) / d)))
                throw ValueError(prefix + "entries that are finite, and so over their diagonal, got " +
                                 number_text(static_cast<double>(entry)) + " over " +
                                 number_text(static_cast<double>(d)) + where);
        }
    }
    throw ValueError(prefix + "values that stay as they are during the call, got other ones meanwhile");
}

template <class T>
void solve_all(const Systems<T>& all, const BatchPattern& pattern) {
    const index_t work = saturated_product(all.count, pattern.entries + 2 * pattern.rows);
    const int threads = threads_for(saturated_product(work, 16));  // sweeps, at least
    std::vector<std::unique_ptr<Lanes<T>>> lanes(static_cast<std::size_t>(threads));
    std::atomic<index_t> refused{-1};
    InterruptPoll poll;
    parallel_for_ranges(all.count, kSystemsOfTask, threads, [&](index_t begin, index_t end, int slot) {
        std::unique_ptr<Lanes<T>>& mine = lanes[static_cast<std::size_t>(slot)];
        if (mine == nullptr)
            mine = std::make_unique<Lanes<T>>(all);
        mine->run(begin, end, slot == 0 ? &poll : nullptr, refused);
    });
    if (refused.load() >= 0)
        refuse(all, refused.load());
}

// The elements of an array of so many rows and columns.
template <class T>
T* table_data(const char* argument, const ArrayView& view, DType dtype, index_t rows, index_t columns) {
    check_dtype(kName, argument, view, dtype);
    const index_t shape[] = {rows, columns}, size = element_size(dtype);
    const std::string named = std::string(kName) + ": " + argument;
    if (view.ndim != 2 || view.shape[0] != rows || view.shape[1] != columns)
        throw ValueError(named + " must have shape " + shape_text(shape, 2) + ", got " +
                         shape_text(view.shape, view.ndim));
    const bool aligned = reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(size) == 0;
    const bool rows_apart = rows < 2 || columns == 0 || view.strides[0] == columns * size;
    if (rows > 0 && columns > 0 && (!aligned || !rows_apart || (columns > 1 && view.strides[1] != size)))
        throw ValueError(named + " must be contiguous and aligned, got strides of " + std::to_string(view.strides[0]) +
                         " and " + std::to_string(view.strides[1]) + " bytes");
    return static_cast<T*>(view.data);
}

}  // namespace

void batch(const BatchArguments& a) {
    CheckedCsr(kName, "A", a.a);  // types and lengths
    const OwnIndices own(a.a);
    const CheckedCsr checked(kName, "A", own.arrays());
    const index_t count = a.b.ndim == 2 ? a.b.shape[0] : 0;
    checked.with_type([&](const auto& matrix) {
        using T = typename std::decay_t<decltype(matrix)>::value;
        const DType dtype = checked.value_type();
        Systems<T> all = {};
        all.count = count;
        all.b = table_data<const T>("b", a.b, dtype, count, checked.rows());
        all.x = table_data<T>("x", a.x, dtype, count, checked.rows());
        check_writable(kName, "x", a.x);
        check_apart(kName, "x", all.x, "b", all.b, count * checked.rows() * static_cast<index_t>(sizeof(T)));
        all.values = matrix.data;
        if (a.data) {
            all.values = table_data<const T>("data", *a.data, dtype, count, checked.entries());
            all.values_apart = checked.entries();
        }
        if (a.shift)
            all.shift = static_cast<const T*>(vector_data(kName, "shift", *a.shift, dtype, count));
        if (a.omega)
            all.omega = static_cast<const double*>(vector_data(kName, "omega", *a.omega, DType::f64, count));
        for (index_t s = 0; a.omega && s < count; ++s)
            omega_of<T>(kName, all.omega[s]);
        const auto counts_of = [&](const char* argument, const ArrayView& view) {
            check_writable(kName, argument, view);
            return static_cast<std::int64_t*>(const_cast<void*>(vector_data(kName, argument, view, DType::i64, count)));
        };
        all.info = counts_of("info", a.info);
        all.iterations = counts_of("iterations", a.iterations);
        for (const auto& [argument, value] : {std::pair<const char*, double>{"rtol", a.rtol}, {"atol", a.atol}})
            if (!(value >= 0 && value < std::numeric_limits<double>::infinity()))
                throw ValueError(std::string(kName) + ": " + argument + " must be finite and not negative, got " +
                                 number_text(value));
        all.rtol = a.rtol;
        all.atol = a.atol;
        all.maxiter = a.maxiter;
        const BatchPattern pattern = batch_pattern(kName, checked);
        all.pattern = &pattern;
        const FpGuard guard;
        const T* const end = all.x + count * checked.rows();
        all.from_zero = std::all_of(static_cast<const T*>(all.x), end, [](T v) { return v == T(0); });
        solve_all(all, pattern);
    });
}

}  // namespace sorgum::sor
