#include <algorithm>
#include <atomic>
#include <type_traits>
#include <vector>

#include "api/call/work.h"
#include "api/sor/norm.h"
#include "api/sor/sor.h"
#include "core/fp_env.h"
#include "core/interrupt.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr index_t kRowsAtOnce = 32;   // whose indices are still in cache when the kernel comes to them
constexpr index_t kLongWork = 65536;  // entries of so many rows that are worth a question whether to go on

struct Scratch {
    AlignedArray<double> residuals;
    SquaresSum squares = kNoSquares;
};

// The sum of the squares of the residuals, a chunk of rows per task.
template <class Matrix>
SquaresSum squares_of_residuals(const CheckedCsr& checked, const Matrix& a, const typename Matrix::value* x,
                                const typename Matrix::value* b) {
    const index_t rows = checked.rows();
    const int threads = threads_for(rows > INT64_MAX - checked.entries() ? INT64_MAX : rows + checked.entries());
    std::vector<Scratch> scratch(static_cast<std::size_t>(threads));
    for (Scratch& s : scratch)
        s.residuals.reserve(kChunk);
    std::atomic<bool> holds{true};
    InterruptPoll poll;
    const KernelTable& table = kernels();
    parallel_for_ranges(rows, kChunk, threads, [&](index_t begin, index_t end, int slot) {
        Scratch& s = scratch[static_cast<std::size_t>(slot)];
        for_each_range(begin, end, kRowsAtOnce, [&](index_t first, index_t last) {
            if (!holds.load(std::memory_order_relaxed))
                return;
            if (!checked.holds(first, last - first))
                return holds.store(false, std::memory_order_relaxed);
            sor_csr_residual(table, a)(a, x, b, first, last - first, s.residuals.data() + (first - begin));
            if (slot == 0 && a.indptr[last] - a.indptr[first] >= kLongWork)  // the caller's thread
                poll();
        });
        if (holds.load(std::memory_order_relaxed))
            sor_squares_add(table, double())(s.residuals.data(), end - begin, s.squares);
    });
    if (!holds)
        checked.refuse();
    SquaresSum total = kNoSquares;
    for (const Scratch& s : scratch)
        sor_squares_merge(table, double())(total, s.squares);
    return total;
}

}  // namespace

double residual_norm(const CsrArrays& given, const ArrayView& x, const ArrayView& b) {
    constexpr const char* name = "residual_norm";
    const CheckedCsr checked(name, "A", given);
    const void* const from_x = vector_data(name, "x", x, checked.value_type(), checked.columns());
    const void* const from_b = vector_data(name, "b", b, checked.value_type(), checked.rows());
    const FpGuard guard;
    return checked.with_type([&](const auto& a) {
        using Value = typename std::decay_t<decltype(a)>::value;
        return root_of(
            squares_of_residuals(checked, a, static_cast<const Value*>(from_x), static_cast<const Value*>(from_b)));
    });
}

}  // namespace sorgum::sor
