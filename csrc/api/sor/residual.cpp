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

constexpr index_t kRowsAtOnce = 128;  // that are copied and checked, and still in cache when the kernel comes to them
constexpr index_t kEntriesAtOnce = 65536;  // of them, or those of a single row
constexpr index_t kLongWork = 65536;       // entries of so many rows that are worth a question whether to go on
constexpr index_t kEntriesAhead = 1024;    // of those that are copied indices are fetched

template <class Index>
struct Scratch {
    Index indptr[kRowsAtOnce + 1];
    AlignedArray<Index> indices;
    AlignedArray<double> residuals;
    SquaresSum squares = kNoSquares;
};

// Some rows of a matrix, with copies of their indices: another thread of the caller may change his after they have been
// checked. Returns how many of `rows` were copied; 0 if what they hold is not right.
template <class Matrix, class Index>
index_t own_rows(const CheckedCsr& checked, const Matrix& a, index_t first, index_t rows, Scratch<Index>& s,
                 Matrix& own) {
    std::copy_n(a.indptr + first, rows + 1, s.indptr);
    const index_t begin = s.indptr[0];
    index_t taken = 0;
    for (; taken < rows; ++taken) {
        const index_t from = s.indptr[taken], to = s.indptr[taken + 1];
        if (from < begin || to < from || to > checked.entries() || begin < 0)
            return 0;
        if (taken > 0 && to - begin > kEntriesAtOnce)
            break;
    }
    const index_t entries = s.indptr[taken] - begin;
    for (index_t i = taken; i >= 0; --i)
        s.indptr[i] = static_cast<Index>(s.indptr[i] - begin);
    s.indices.reserve(entries + 1);
    for (index_t k = begin + kEntriesAhead; k < begin + kEntriesAhead + entries && k < checked.entries(); k += 16)
        __builtin_prefetch(a.indices + k);
    std::copy_n(a.indices + begin, entries, s.indices.data());
    const auto holds = sor_csr_holds(kernels(), Index());
    if (!holds(s.indptr, s.indices.data(), entries, checked.columns(), 0, taken))
        return 0;
    own = {s.indptr, s.indices.data(), a.data + begin};
    return taken;
}

// The sum of the squares of the residuals, a chunk of rows per task.
template <class Matrix>
SquaresSum squares_of_residuals(const CheckedCsr& checked, const Matrix& a, const typename Matrix::value* x,
                                const typename Matrix::value* b) {
    using Index = std::remove_cv_t<std::remove_pointer_t<decltype(a.indptr)>>;
    const index_t rows = checked.rows();
    const int threads = threads_for(rows > INT64_MAX - checked.entries() ? INT64_MAX : rows + checked.entries());
    std::vector<Scratch<Index>> scratch(static_cast<std::size_t>(threads));
    for (Scratch<Index>& s : scratch)
        s.residuals.reserve(kChunk);
    std::atomic<bool> holds{true};
    InterruptPoll poll;
    const KernelTable& table = kernels();
    parallel_for_ranges(rows, kChunk, threads, [&](index_t begin, index_t end, int slot) {
        Scratch<Index>& s = scratch[static_cast<std::size_t>(slot)];
        for (index_t first = begin, taken; first < end && holds.load(std::memory_order_relaxed); first += taken) {
            Matrix own;
            taken = own_rows(checked, a, first, std::min(kRowsAtOnce, end - first), s, own);
            if (taken == 0)
                return holds.store(false, std::memory_order_relaxed);
            sor_csr_residual(table, a)(own, x, b + first, 0, taken, s.residuals.data() + (first - begin));
            if (slot == 0 && own.indptr[taken] >= kLongWork)  // the caller's thread
                poll();
        }
        if (holds.load(std::memory_order_relaxed))
            sor_squares_add(table, double())(s.residuals.data(), end - begin, s.squares);
    });
    if (!holds)
        checked.refuse();
    SquaresSum total = kNoSquares;
    for (const Scratch<Index>& s : scratch)
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
