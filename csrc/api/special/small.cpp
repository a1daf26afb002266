#include <algorithm>

#include "api/call/extent.h"
#include "api/call/stored.h"
#include "api/call/temperature.h"
#include "api/call/work.h"
#include "api/special/op_kernels.h"
#include "api/special/ways.h"
#include "dispatch/common.h"

namespace sorgum::special {

namespace {

constexpr index_t kMost = kChunk;  // elements of half types that are brought together, and rows that have a factor each

// Contiguous rows of one array, and of those that go with it.
struct SmallCall {
    Op op;
    const char *x, *dy;
    char* out;
    index_t rows, n;
    double temperature;
    std::string_view empty;
};

// dy / T of rows, for the gradient of logsumexp.
template <class T>
void write_factors(const SmallCall& c, index_t first, index_t count, double* factors) {
    for (index_t r = 0; r < count; ++r)
        factors[r] = static_cast<double>(reinterpret_cast<const T*>(c.dy)[first + r]) / c.temperature;
}

template <class T>
void logsumexp_of_long_rows(const SmallCall& c, const KernelTable& table, const ExpScale<T>& scale) {
    for (index_t r = 0; r < c.rows; ++r) {
        RowSum<T> sum;
        RowResult<T> row;
        special_row_clear(table, T())(sum);
        special_exp_sum(table, T())(reinterpret_cast<const T*>(c.x) + r * c.n, c.n, scale, sum);
        special_row_result(table, T())(sum, scale, false, row);
        reinterpret_cast<T*>(c.out)[r] = static_cast<T>(row.log_sum_exp);
    }
}

template <class T>
void compute(const SmallCall& c) {
    const KernelTable& table = kernels();
    const OpKernels<T> k = kernels_of<T>(c.op, table);
    const index_t n = c.n;
    const T* const x = reinterpret_cast<const T*>(c.x);
    T* const out = reinterpret_cast<T*>(c.out);
    if (k.elements != nullptr)
        return k.elements(x, out, c.rows * n, false);
    if (k.grad.rows != nullptr)
        return k.grad.rows({x, reinterpret_cast<const T*>(c.dy), out, c.rows, n, n, n, n, false}, c.temperature);
    ExpScale<T> scale;
    special_exp_scale(table, T())(c.temperature, scale);
    const bool is_long = n > kChunk, reduces = traits(c.op).out == Per::row;
    if (is_long && reduces)
        return logsumexp_of_long_rows(c, table, scale);
    AlignedArray<T> terms;
    if (is_long && traits(c.op).scales_terms)
        terms.reserve(whole_vectors(n));
    Rows<T> rows = {x, out, c.rows, n, n, reduces ? 1 : n, of_empty_row<T>(c.op, c.empty), false, terms.data()};
    auto* const kernel = is_long ? k.long_rows : k.rows;
    if (c.dy == nullptr)
        return kernel(rows, scale);
    double factors[kMost];
    rows.factors = factors;
    for_each_range(0, c.rows, kMost, [&](index_t first, index_t end) {
        rows.x = x + first * n;
        rows.y = out + first * n;
        rows.rows = end - first;
        write_factors<T>(c, first, end - first, factors);
        kernel(rows, scale);
    });
}

// As many rows at a time as stay in the first-level cache as float32.
template <class H>
void compute_halves(const SmallCall& given) {
    const Operation& operation = traits(given.op);
    SmallCall c = given;
    if (!operation.of_rows) {
        c.rows = given.rows * given.n;
        c.n = 1;
    }
    const index_t all = c.rows, n = c.n, at_most = n < kMost ? kMost / n : 1;
    const bool reduces = operation.out == Per::row, per_row = operation.dy == Per::row;
    auto* const widen = common_widen(kernels(), H());
    auto* const narrow = common_narrow(kernels(), H());
    alignas(64) float few[2 * kMost];
    AlignedArray<float> many;
    if (n > kMost)
        many.reserve(2 * n);
    float* const wide_x = n > kMost ? many.data() : few;
    float* const wide_dy = wide_x + (n > kMost ? n : kMost);
    // Results of logsumexp, one a row, would lie where rows are still to be read.
    float* const results = reduces ? wide_dy : wide_x;
    c.x = reinterpret_cast<const char*>(wide_x);
    c.dy = given.dy == nullptr ? nullptr : reinterpret_cast<const char*>(wide_dy);
    c.out = reinterpret_cast<char*>(results);
    for_each_range(0, all, at_most, [&](index_t r, index_t end) {
        c.rows = end - r;
        const index_t size = c.rows * n;
        widen(reinterpret_cast<const H*>(given.x) + r * n, wide_x, size);
        if (given.dy != nullptr)
            widen(reinterpret_cast<const H*>(given.dy) + (per_row ? r : r * n), wide_dy, per_row ? c.rows : size);
        compute<float>(c);
        narrow(results, reinterpret_cast<H*>(given.out) + (reduces ? r : r * n), reduces ? c.rows : size, false);
    });
}

bool is_packed(const ArrayView& view) { return is_contiguous(view) && is_aligned(view); }

}  // namespace

bool run_small(Op op, const Arguments& a, const AxisMask& reduced) {
    const Operation& operation = traits(op);
    const int last = a.x.ndim - 1;
    const index_t size = size_of(a.x);
    if (last < 0 || size == 0 || size >= kSerial || a.out.dtype != a.x.dtype || !is_packed(a.x) || !is_packed(a.out))
        return false;
    SmallCall c = {op,     static_cast<const char*>(a.x.data), nullptr, static_cast<char*>(a.out.data), 1, size, 1.0,
                   a.empty};
    if (operation.of_rows) {
        c.n = a.x.shape[last];
        c.rows = size / c.n;
        if (reduced != last_axis(a.x) || a.where || a.weights || in_two_calls(op) || a.algorithm != "auto" ||
            a.temperature.ndim != 0)
            return false;
        c.temperature = temperature_of(a.temperature);
        if (!is_temperature(c.temperature))
            return false;
    }
    if (a.dy) {
        const bool fits = operation.dy == Per::element || (a.dy->ndim == last && size_of(*a.dy) == c.rows &&
                                                           std::equal(a.x.shape, a.x.shape + last, a.dy->shape));
        if (!fits || !is_packed(*a.dy))
            return false;
        c.dy = static_cast<const char*>(a.dy->data);
    }
    switch (a.x.dtype) {
        case DType::f32:
            compute<float>(c);
            break;
        case DType::f64:
            compute<double>(c);
            break;
        case DType::f16:
            compute_halves<float16>(c);
            break;
        default:
            compute_halves<bfloat16>(c);
    }
    return true;
}

}  // namespace sorgum::special
