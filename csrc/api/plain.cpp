#include "api/plain.h"

#include "api/call/stored.h"
#include "api/call/work.h"
#include "api/lowrank/lowrank.h"
#include "api/random/random.h"
#include "api/special/grad.h"
#include "api/special/special.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "core/memory_pool.h"
#include "dispatch/common.h"
#include "dispatch/dispatch.h"
#include "dispatch/special.h"

namespace sorgum::plain {

namespace {

constexpr index_t kMost = kChunk;                     // elements of a small array
constexpr index_t kMostAddressed = index_t(1) << 59;  // elements whose bytes can be counted

index_t size_of(const index_t* shape, int ndim) {
    index_t size = 1;
    for (int d = 0; d < ndim; ++d)
        size = saturated_product(size, shape[d]);
    return size;
}

index_t size_of(const Array& x) { return size_of(x.shape, x.ndim); }

bool same_shape(const index_t* a, const index_t* b, int ndim) {
    for (int d = 0; d < ndim; ++d)
        if (a[d] != b[d])
            return false;
    return true;
}

bool apart(const Array& a, const Array& b) {
    const auto end = [](const Array& array) { return array.data + size_of(array) * element_size(array.dtype); };
    return end(a) <= b.data || end(b) <= a.data;
}

struct Rows {
    index_t count, length;
};

Rows rows_of(const Array& x) {
    const index_t length = x.shape[x.ndim - 1];
    return {size_of(x) / length, length};
}

// Where a long row's terms are kept.
template <class T>
AlignedArray<T> terms_for(index_t n) {
    AlignedArray<T> terms;
    if (n > kChunk)
        terms.reserve(whole_vectors(n));
    return terms;
}

// dy has a number per row.
template <class T>
void logsumexp_grad(const T* x, const T* dy, T* out, const Rows& rows, const ExpScale<T>& scale, double temperature) {
    const index_t n = rows.length;
    const AlignedArray<T> terms = terms_for<T>(n);
    double factors[kMost];
    for_each_range(0, rows.count, kMost, [&](index_t first, index_t end) {
        const index_t count = end - first;
        for (index_t r = 0; r < count; ++r)
            factors[r] = static_cast<double>(dy[first + r]) / temperature;
        special::Rows<T> some = {x + first * n, out + first * n, count, n, n, n, T(0), false, terms.data()};
        some.factors = factors;
        (n > kChunk ? special_logsumexp_grad_long_rows(kernels(), T()) : special_logsumexp_grad_rows(kernels(), T()))(
            some, scale);
    });
}

template <class T>
void compute(Function f, const T* x, const T* dy, T* out, const Rows& rows, double temperature) {
    using namespace special;
    const KernelTable& table = kernels();
    const index_t n = rows.length;
    switch (f) {
        case Function::exp:
            return special_exp(table, T())(x, out, rows.count * n, false);
        case Function::log:
            return special_log(table, T())(x, out, rows.count * n, false);
        case Function::softmax_grad:
            return special_softmax_grad_rows(table, T())({x, dy, out, rows.count, n, n, n, n, false}, temperature);
        case Function::log_softmax_grad:
            return special_log_softmax_grad_rows(table, T())({x, dy, out, rows.count, n, n, n, n, false}, temperature);
        case Function::softmax:
        case Function::log_softmax:
        case Function::logsumexp:
        case Function::logsumexp_grad:
            break;
    }
    ExpScale<T> scale;
    special_exp_scale(table, T())(temperature, scale);
    if (f == Function::logsumexp_grad)
        return logsumexp_grad(x, dy, out, rows, scale, temperature);
    if (f == Function::logsumexp && n > kChunk) {
        for (index_t r = 0; r < rows.count; ++r) {
            RowSum<T> sum;
            RowResult<T> row;
            special_row_clear(table, T())(sum);
            special_exp_sum(table, T())(x + r * n, n, scale, sum);
            special_row_result(table, T())(sum, scale, false, row);
            out[r] = static_cast<T>(row.log_sum_exp);
        }
        return;
    }
    const AlignedArray<T> terms = f == Function::softmax ? terms_for<T>(n) : AlignedArray<T>();
    const index_t y_stride = f == Function::logsumexp ? 1 : n;
    (f == Function::logsumexp ? special_logsumexp_rows(table, T())
     : f == Function::softmax ? (n > kChunk ? special_softmax_long_rows(table, T()) : special_softmax_rows(table, T()))
     : n > kChunk             ? special_log_softmax_long_rows(table, T())
                              : special_log_softmax_rows(table, T()))(
        {x, out, rows.count, n, n, y_stride, static_cast<T>(__builtin_nan("")), false, terms.data()}, scale);
}

// As many rows at a time as stay in the first-level cache as float32.
template <class H>
void compute_halves(Function f, const char* x, const char* dy, char* out, const Rows& given, double temperature) {
    const bool of_rows = f != Function::exp && f != Function::log, reduces = f == Function::logsumexp;
    const bool per_row = f == Function::logsumexp_grad;  // dy
    const Rows all = of_rows ? given : Rows{given.count * given.length, 1};
    const index_t n = all.length, at_most = n < kMost ? kMost / n : 1;
    auto* const widen = common_widen(kernels(), H());
    auto* const narrow = common_narrow(kernels(), H());
    alignas(64) float few[2 * kMost];
    AlignedArray<float> many;
    if (n > kMost)
        many.reserve(2 * n);
    float* const wide_x = n > kMost ? many.data() : few;
    float* const wide_dy = wide_x + (n > kMost ? n : kMost);
    for_each_range(0, all.count, at_most, [&](index_t r, index_t end) {
        const Rows rows = {end - r, n};
        const index_t size = rows.count * n;
        widen(reinterpret_cast<const H*>(x) + r * n, wide_x, size);
        if (dy != nullptr)
            widen(reinterpret_cast<const H*>(dy) + (per_row ? r : r * n), wide_dy, per_row ? rows.count : size);
        // Results of logsumexp, one a row, would lie where rows are still to be read.
        float* const results = reduces ? wide_dy : wide_x;
        compute<float>(f, wide_x, wide_dy, results, rows, temperature);
        narrow(results, reinterpret_cast<H*>(out) + (reduces ? r : r * n), reduces ? rows.count : size, false);
    });
}

template <class T>
void compute_direct(Function f, const char* x, const char* dy, char* out, const Rows& rows, double temperature) {
    compute(f, reinterpret_cast<const T*>(x), reinterpret_cast<const T*>(dy), reinterpret_cast<T*>(out), rows,
            temperature);
}

}  // namespace

bool takes(const Array& x) {
    if (x.ndim < 1 || x.dtype == DType::boolean || x.dtype == DType::i64)
        return false;
    const index_t size = size_of(x);
    return size > 0 && size <= kMostAddressed;
}

bool is_small(const Array& x) { return size_of(x) <= kMost; }

index_t pooled_bytes(const Array& x, int axes) {
    const index_t bytes = size_of(x.shape, axes) * element_size(x.dtype);
    return bytes >= static_cast<index_t>(kPooledFrom) ? bytes : 0;
}

std::string no_memory_text(DType dtype, int ndim, const index_t* shape) {
    return "no memory for a result of shape " + shape_text(shape, ndim) + " and dtype " + dtype_text(dtype) + ", " +
           std::to_string(size_of(shape, ndim) * element_size(dtype)) + " bytes";
}

bool goes_with(const Array& x, const Array& other) {
    return other.dtype == x.dtype && other.ndim == x.ndim && same_shape(other.shape, x.shape, x.ndim) &&
           (other.data == x.data || apart(x, other));
}

bool holds_rows_of(const Array& x, const Array& out) {
    return out.dtype == x.dtype && out.ndim == x.ndim - 1 && same_shape(out.shape, x.shape, out.ndim) && apart(x, out);
}

int row_axes(const Array& x) { return x.ndim - 1; }

bool is_last(index_t axis, int ndim) { return axis == -1 || axis == ndim - 1; }

bool is_temperature(double temperature) { return temperature >= 0x1p-1022 && temperature <= 0x1.fffffffffffffp+1023; }

namespace {

template <class T>
ArrayView scalar_view(DType dtype, T* value) {
    ArrayView view;
    view.data = value;
    view.dtype = dtype;
    view.writable = false;
    view.ndim = 0;
    return view;
}

// Contiguous rows of so many elements; with a single axis one row.
ArrayView rows_view(void* data, DType dtype, const Rows& rows, int axes = 2) {
    ArrayView view;
    view.data = data;
    view.dtype = dtype;
    view.writable = true;
    view.ndim = axes;
    view.shape[0] = rows.count;
    view.strides[0] = rows.length * element_size(dtype);
    view.shape[axes - 1] = rows.length;
    view.strides[axes - 1] = element_size(dtype);
    return view;
}

// Arrays so small that one thread computes them.
void run_alone(Function function, const Array& x, const char* dy, char* out, double temperature) {
    const FpGuard guard;
    const Rows rows = rows_of(x);
    switch (x.dtype) {
        case DType::f32:
            return compute_direct<float>(function, x.data, dy, out, rows, temperature);
        case DType::f64:
            return compute_direct<double>(function, x.data, dy, out, rows, temperature);
        case DType::f16:
            return compute_halves<float16>(function, x.data, dy, out, rows, temperature);
        case DType::bf16:
            return compute_halves<bfloat16>(function, x.data, dy, out, rows, temperature);
        case DType::boolean:
        case DType::i64:
        case DType::i32:
            break;
    }
}

// Larger arrays, by the functions for every layout.
void run_large(Function f, const Array& x, const char* dy, char* out, double temperature) {
    const Rows rows = rows_of(x);
    const bool reduces = f == Function::logsumexp;
    const ArrayView from = rows_view(x.data, x.dtype, rows);
    const ArrayView to = rows_view(out, x.dtype, {rows.count, reduces ? 1 : rows.length});
    const ArrayView t = scalar_view(DType::f64, &temperature);
    switch (f) {
        case Function::exp:
            return special::exp(from, to);
        case Function::log:
            return special::log(from, to);
        case Function::softmax_grad:
        case Function::log_softmax_grad: {
            const ArrayView upstream = rows_view(const_cast<char*>(dy), x.dtype, rows);
            const special::GradArguments a = {from, upstream, to, false, {1}, t, std::nullopt};
            return f == Function::softmax_grad ? special::softmax_grad(a) : special::log_softmax_grad(a);
        }
        case Function::softmax:
        case Function::log_softmax:
        case Function::logsumexp:
        case Function::logsumexp_grad:
            break;
    }
    special::Arguments a;
    a.x = from;
    a.out = to;
    a.all_axes = false;
    a.axes = {1};
    a.temperature = t;
    a.keepdims = reduces;
    if (f == Function::logsumexp_grad) {
        a.dy = rows_view(const_cast<char*>(dy), x.dtype, {rows.count, 1});
        a.empty = "zero";
    }
    (f == Function::softmax          ? special::softmax
     : f == Function::log_softmax    ? special::log_softmax
     : f == Function::logsumexp_grad ? special::logsumexp_grad
                                     : special::logsumexp)(a);
}

}  // namespace

void run(Function function, const Array& x, const char* dy, char* out, double temperature) {
    (size_of(x) < kSerial ? run_alone : run_large)(function, x, dy, out, temperature);
}

bool categorical(const Array& logits, Draw& draw, index_t* drawn) {
    if (!takes(logits))
        return false;
    const Rows rows = rows_of(logits);
    if (rows.count > kMostDraws || !(draw.own_stream || logits.ndim == 1))
        return false;
    draw.rows = rows.count;
    constexpr index_t kFields = 4, kIndex = 2;  // of a result of random::draw
    double results[kMostDraws * kFields];
    random::Source source;
    source.key = draw.key;
    source.position = scalar_view(DType::i64, &draw.position);
    if (!draw.own_stream)
        source.streams = scalar_view(DType::i64, &draw.stream);
    const int axes = logits.ndim == 1 ? 1 : 2;
    try {
        random::draw({"categorical", rows_view(logits.data, logits.dtype, rows, axes),
                      scalar_view(DType::f64, &draw.temperature), std::nullopt,
                      rows_view(results, DType::f64, {rows.count, kFields}, axes), false, false, std::nullopt},
                     source);
    } catch (const Interrupted&) {
        throw;
    } catch (...) {
        return false;
    }
    for (index_t r = 0; r < rows.count; ++r) {
        __builtin_memcpy(drawn + r, results + r * kFields + kIndex, sizeof(index_t));
        if (drawn[r] < 0)
            return false;
    }
    return true;
}

bool apply(const Array& x, const Array& a, const Array& b, double scale, const Array* base, const Array& out) {
    if (!takes(x) || !takes(a) || !takes(b) || a.ndim != 2 || b.ndim != 2 || out.dtype != x.dtype ||
        out.ndim != x.ndim || !same_shape(out.shape, x.shape, x.ndim - 1) || !apart(out, x) || !apart(out, a) ||
        !apart(out, b) || (base != nullptr && !goes_with(out, *base)))
        return false;
    const auto view = [](const Array& array) { return rows_view(array.data, array.dtype, rows_of(array)); };
    lowrank::ApplyArguments given;
    given.x = view(x);
    given.a = view(a);
    given.b = view(b);
    given.out = view(out);
    given.scale = scale;
    given.activation = lowrank::Activation::none;
    given.wide = a.dtype == DType::f64 || b.dtype == DType::f64;
    if (base != nullptr)
        given.base = view(*base);
    try {
        lowrank::apply(given);
    } catch (const Interrupted&) {
        throw;
    } catch (...) {
        return false;
    }
    return true;
}

}  // namespace sorgum::plain
