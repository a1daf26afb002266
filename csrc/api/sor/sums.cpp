#include "api/sor/sums.h"

#include <algorithm>
#include <vector>

#include "api/call/stored.h"
#include "api/call/work.h"
#include "api/sor/norm.h"
#include "api/sor/scratch.h"
#include "core/error.h"
#include "core/fp_env.h"

namespace sorgum::sor {

namespace {

constexpr index_t kMostTop = 256;  // digits of 2^24: squares of float64 need fewer than 100 on either side

SquaresSum load(const std::int64_t* words) {
    SquaresSum sum = kNoSquares;
    sum.has_nan = (words[0] & 1) != 0;
    sum.has_inf = (words[0] & 2) != 0;
    sum.finite.top = words[1];
    std::copy_n(words + 2, kExactSumBins, sum.finite.bin);
    if (words[0] < 0 || words[0] > 3 || (words[1] != kExactSumEmpty && (words[1] < -kMostTop || words[1] > kMostTop)))
        throw ValueError("merged_norms: parts must be sums of squares, got words that are none");
    return sum;
}

template <class T>
SquaresSum squares_of(const T* x, index_t rows, index_t n) {
    const int threads = threads_for(saturated_product(rows, n));
    std::vector<SquaresScratch> scratch(static_cast<std::size_t>(threads));
    parallel_for_row_ranges(rows, n, kChunk, threads, [&](index_t row, index_t begin, index_t end, int slot) {
        const T* const from = x + row * n + begin;
        sor_products_add(kernels(), T())(from, from, end - begin, scratch[static_cast<std::size_t>(slot)].squares);
    });
    SquaresSum sum = kNoSquares;
    merge(scratch, sum);
    return sum;
}

}  // namespace

void store(const SquaresSum& sum, std::int64_t* words) {
    words[0] = (sum.has_nan ? 1 : 0) + (sum.has_inf ? 2 : 0);
    const ExactSum& finite = words[0] == 0 ? sum.finite : kNoSquares.finite;  // the rest of a sum that is not finite is
    words[1] = finite.top;                                                    // an accident
    std::copy_n(finite.bin, kExactSumBins, words + 2);
}

std::int64_t* words_of(const char* function, const char* argument, const ArrayView& view, index_t count) {
    const index_t shape[] = {count, kSumWords};
    check_out(function, argument, view, DType::i64, shape, 2);
    check_contiguous(function, argument, view);
    return static_cast<std::int64_t*>(const_cast<void*>(view.data));
}

SquaresSum squares_of_rows(const ArrayView& x) {
    if (x.ndim != 2)
        throw ValueError("squares_of_rows: x must have two dimensions, got shape " + shape_text(x.shape, x.ndim));
    check_contiguous("squares_of_rows", "x", x);
    const FpGuard guard;
    if (x.dtype == DType::f32)
        return squares_of(static_cast<const float*>(x.data), x.shape[0], x.shape[1]);
    check_dtype("squares_of_rows", "x", x, DType::f64);
    return squares_of(static_cast<const double*>(x.data), x.shape[0], x.shape[1]);
}

void merged_norms(const ArrayView& parts, double* norms) {
    check_dtype("merged_norms", "parts", parts, DType::i64);
    if (parts.ndim != 3 || parts.shape[2] != kSumWords)
        throw ValueError("merged_norms: parts must have shape (parts, norms, " + std::to_string(kSumWords) + "), got " +
                         shape_text(parts.shape, parts.ndim));
    check_contiguous("merged_norms", "parts", parts);
    const auto* const words = static_cast<const std::int64_t*>(parts.data);
    const FpGuard guard;
    for (index_t k = 0; k < parts.shape[1]; ++k) {
        SquaresSum sum = kNoSquares;
        for (index_t i = 0; i < parts.shape[0]; ++i)
            sor_squares_merge(kernels(), double())(sum, load(words + (i * parts.shape[1] + k) * kSumWords));
        norms[k] = root_of(sum);
    }
}

}  // namespace sorgum::sor
