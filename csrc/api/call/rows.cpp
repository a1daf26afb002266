#include "api/call/rows.h"

#include <charconv>
#include <cstdlib>

#include "api/call/extent.h"
#include "api/call/work.h"
#include "dispatch/common.h"
#include "dispatch/dispatch.h"

namespace sorgum {

namespace {

// Appends an axis, merging it into the one before where every operand allows.
void append(Dims& dims, int operands, index_t length, const index_t* strides) {
    if (length == 1)
        return;
    if (dims.n > 0) {
        bool merges = true;
        for (int k = 0; k < operands; ++k)
            merges = merges && dims.stride[k][dims.n - 1] == strides[k] * length;
        if (merges) {
            dims.shape[dims.n - 1] *= length;
            for (int k = 0; k < operands; ++k)
                dims.stride[k][dims.n - 1] = strides[k];
            return;
        }
    }
    dims.shape[dims.n] = length;
    for (int k = 0; k < operands; ++k)
        dims.stride[k][dims.n] = strides[k];
    ++dims.n;
}

index_t product(const char* what, index_t a, index_t b) {
    index_t result;
    if (__builtin_mul_overflow(a, b, &result))
        throw ValueError(std::string(what) + " must fit in 63 bits");
    return result;
}

char* offset(const Dims& dims, int operand, char* base, index_t index) {
    for (int d = dims.n - 1; d >= 0 && index != 0; --d) {
        base += (index % dims.shape[d]) * dims.stride[operand][d];
        index /= dims.shape[d];
    }
    return base;
}

// Calls f(pointer, stride, count, done) for each evenly spaced run of the elements [first, first + count) of a row.
template <class F>
void for_each_run(const RowLayout& layout, int operand, char* row_base, index_t first, index_t count, F&& f) {
    const Dims& dims = layout.inner;
    const index_t run = dims.n == 0 ? 1 : dims.shape[dims.n - 1];
    const index_t stride = dims.n == 0 ? 0 : dims.stride[operand][dims.n - 1];
    for (index_t done = 0; done < count;) {
        const index_t at = first + done;
        const index_t left = run - at % run;
        const index_t here = left < count - done ? left : count - done;
        f(layout.element(operand, row_base, at), stride, here, done);
        done += here;
    }
}

}  // namespace

char* RowLayout::row(int operand, index_t r) const { return offset(outer, operand, base[operand], r); }

char* RowLayout::element(int operand, char* row_base, index_t i) const { return offset(inner, operand, row_base, i); }

bool RowLayout::multiple_of(int operand, index_t bytes) const {
    bool is = reinterpret_cast<std::uintptr_t>(base[operand]) % static_cast<std::uintptr_t>(bytes) == 0;
    for (int d = 0; d < outer.n; ++d)
        is = is && outer.stride[operand][d] % bytes == 0;
    for (int d = 0; d < inner.n; ++d)
        is = is && inner.stride[operand][d] % bytes == 0;
    return is;
}

bool RowLayout::contiguous(int operand, index_t element_size) const {
    return multiple_of(operand, element_size) &&
           (inner.n == 0 || (inner.n == 1 && inner.stride[operand][0] == element_size));
}

bool RowLayout::adjacent(int operand, index_t element_size) const {
    return run_stride(operand) == element_size && multiple_of(operand, element_size);
}

index_t RowLayout::run() const { return outer.n == 0 ? 1 : outer.shape[outer.n - 1]; }

index_t RowLayout::rows_of_run(index_t r, index_t end) const {
    const index_t left = run() - r % run();
    return left < end - r ? left : end - r;
}

index_t RowLayout::run_stride(int operand) const { return outer.n == 0 ? 0 : outer.stride[operand][outer.n - 1]; }

RowBlocks::RowBlocks(const RowLayout& layout, index_t block_rows, index_t lead)
    : run_(layout.run()), runs_(layout.rows / run_), rows_(block_rows), lead_(lead < run_ ? lead : 0) {
    per_run_ = (lead_ > 0 ? 1 : 0) + ceil_div(run_ - lead_, rows_);
}

RowBlocks RowBlocks::across(const RowLayout& layout, int operand, index_t element_size) {
    constexpr std::uintptr_t line = 64;
    const index_t rows = element_size < 4 ? kBlockRows : 16;
    if (!layout.adjacent(operand, element_size))
        return {layout, rows, 0};
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(layout.row(operand, 0));
    return {layout, rows, static_cast<index_t>((line - address % line) % line) / element_size};
}

RowBlocks::Block RowBlocks::operator[](index_t b) const {
    const index_t in_run = b % per_run_, row = b / per_run_ * run_;
    const index_t at = lead_ == 0 ? in_run * rows_ : in_run == 0 ? 0 : lead_ + (in_run - 1) * rows_;
    const index_t end = lead_ > 0 && in_run == 0 ? lead_ : at + rows_ < run_ ? at + rows_ : run_;
    return {row + at, end - at};
}

std::string shape_text(const index_t* shape, int ndim) {
    std::string text = "(";
    for (int d = 0; d < ndim; ++d)
        text += std::to_string(shape[d]) + (d + 1 < ndim ? ", " : ndim == 1 ? "," : "");
    return text + ")";
}

std::string number_text(double value) {
    char text[32];
    const std::to_chars_result end = std::to_chars(text, text + sizeof text, value);
    std::string s(text, end.ptr);
    return s.find_first_not_of("-0123456789") == std::string::npos ? s + ".0" : s;
}

AxisMask reduced_axes(const char* function, const ArrayView& x, const AxisList& axes) {
    if (axes.all)
        return all_axes(x);
    AxisMask reduced;
    const index_t bound = x.ndim > 0 ? x.ndim : 1;  // a scalar is a row of one element along axis 0 or -1
    for (index_t i = 0; i < axes.count; ++i) {
        const index_t axis = axes.list[i];
        if (axis < -bound || axis >= bound)
            throw ValueError(std::string(function) + ": axis must be in [-" + std::to_string(bound) + ", " +
                             std::to_string(bound) + "), got " + std::to_string(axis));
        const auto at = static_cast<std::size_t>(axis < 0 ? axis + bound : axis);
        if (reduced[at])
            throw ValueError(std::string(function) + ": axis must not repeat, got " + std::to_string(axis) + " again");
        reduced[at] = true;
    }
    return x.ndim > 0 ? reduced : AxisMask();
}

AxisMask all_axes(const ArrayView& x) {
    AxisMask mask;
    for (int d = 0; d < x.ndim; ++d)
        mask[static_cast<std::size_t>(d)] = true;
    return mask;
}

AxisMask last_axis(const ArrayView& x) {
    AxisMask mask;
    if (x.ndim > 0)
        mask[static_cast<std::size_t>(x.ndim - 1)] = true;
    return mask;
}

RowLayout make_rows(const ArrayView& x, const AxisMask& reduced, const std::vector<ArrayView>& operands) {
    RowLayout layout;
    layout.rows = layout.length = 1;
    if (operands.size() > static_cast<std::size_t>(kMaxOperands))
        throw ValueError("make_rows: operands must be at most " + std::to_string(kMaxOperands) + ", got " +
                         std::to_string(operands.size()));
    const int count = static_cast<int>(operands.size());
    for (int d = 0; d < x.ndim; ++d) {
        const bool inner = reduced[static_cast<std::size_t>(d)];
        index_t strides[kMaxOperands];
        for (int k = 0; k < count; ++k)
            strides[k] = operands[static_cast<std::size_t>(k)].strides[d];
        append(inner ? layout.inner : layout.outer, count, x.shape[d], strides);
        index_t& total = inner ? layout.length : layout.rows;
        total = product(inner ? "the length of a row" : "the number of rows", total, x.shape[d]);
    }
    for (int k = 0; k < count; ++k)
        layout.base[k] = static_cast<char*>(operands[static_cast<std::size_t>(k)].data);
    return layout;
}

ArrayView broadcast_like(const char* function, const char* argument, const ArrayView& from, const ArrayView& x) {
    ArrayView view = from;
    view.ndim = x.ndim;
    bool fits = from.ndim <= x.ndim;
    for (int d = 0; fits && d < x.ndim; ++d) {
        const int s = d - (x.ndim - from.ndim);
        const index_t length = s < 0 ? 1 : from.shape[s];
        fits = length == x.shape[d] || length == 1;
        view.shape[d] = x.shape[d];
        view.strides[d] = length == 1 ? 0 : from.strides[s];
    }
    if (!fits)
        throw ValueError(std::string(function) + ": " + argument + " must broadcast to shape " +
                         shape_text(x.shape, x.ndim) + ", got shape " + shape_text(from.shape, from.ndim));
    return view;
}

ArrayView per_row(const char* function, const char* argument, const ArrayView& from, const ArrayView& x,
                  const AxisMask& reduced) {
    ArrayView view = from;
    view.ndim = x.ndim;
    int kept = 0;
    for (int d = 0; d < x.ndim; ++d)
        kept += reduced[static_cast<std::size_t>(d)] ? 0 : 1;
    const bool scalar = from.ndim == 0, with_reduced = !scalar && from.ndim == x.ndim;
    bool fits = scalar || with_reduced || from.ndim == kept;
    std::string rows = "(";
    for (int d = 0, s = 0; d < x.ndim; ++d) {
        const bool is_reduced = reduced[static_cast<std::size_t>(d)];
        const index_t length = is_reduced ? 1 : x.shape[d];
        view.shape[d] = x.shape[d];
        view.strides[d] = 0;
        if (!is_reduced)
            rows += (rows.size() > 1 ? ", " : "") + std::to_string(length);
        if (scalar || !fits || (is_reduced && !with_reduced))
            continue;
        fits = from.shape[s] == length;
        view.strides[d] = is_reduced ? 0 : from.strides[s];
        ++s;
    }
    if (!fits)
        throw ValueError(std::string(function) + ": " + argument + " must be a scalar or have the shape of the rows, " +
                         rows + (kept == 1 ? ",)" : ")") + ", got shape " + shape_text(from.shape, from.ndim));
    return view;
}

bool is_short_work(const ArrayView& x) {
    constexpr index_t kMost = 4096;
    index_t elements = 1;
    for (int d = 0; d < x.ndim; ++d)
        if (x.shape[d] > kMost || (elements *= x.shape[d]) > kMost)
            return false;
    return true;
}

const char* dtype_text(DType dtype) {
    static const char* const names[] = {"float32", "float64", "bool", "int64", "float16", "bfloat16", "int32"};
    return names[static_cast<int>(dtype)];
}

void check_dtype(const char* function, const char* argument, const ArrayView& view, DType dtype) {
    if (view.dtype != dtype)
        throw TypeError(std::string(function) + ": " + argument + " must have dtype " + dtype_text(dtype) + ", got " +
                        dtype_text(view.dtype));
}

void check_out(const char* function, const char* argument, const ArrayView& out, DType dtype, const index_t* shape,
               int ndim) {
    const auto rule = [&](const char* text) { return std::string(function) + ": " + argument + " must " + text; };
    if (out.dtype != dtype)
        throw TypeError(rule("have dtype ") + dtype_text(dtype) + ", got " + dtype_text(out.dtype));
    bool same = out.ndim == ndim;
    for (int d = 0; same && d < ndim; ++d)
        same = out.shape[d] == shape[d];
    if (!same)
        throw ValueError(rule("have shape ") + shape_text(shape, ndim) + ", got " + shape_text(out.shape, out.ndim));
    if (!out.writable)
        throw ValueError(rule("be writable, got a read-only array"));
    if (size_of(out) == 0 || is_contiguous(out))
        return;
    // No two elements may share memory. Sorted by stride, each axis must step over all that the smaller ones span; a
    // layout that is free of overlap for a subtler reason is refused too.
    std::vector<std::pair<index_t, index_t>> axes;
    for (int d = 0; d < ndim; ++d)
        if (shape[d] > 1)
            axes.emplace_back(std::llabs(out.strides[d]), shape[d]);
    for (std::size_t i = 1; i < axes.size(); ++i)
        for (std::size_t j = i; j > 0 && axes[j] < axes[j - 1]; --j)
            std::swap(axes[j], axes[j - 1]);
    index_t span = element_size(dtype);
    for (const auto& [stride, length] : axes) {
        if (stride < span)
            throw ValueError(rule("not overlap itself, got strides that do"));
        span = stride * (length - 1) + span;
    }
}

namespace {

// Calls f(address in the array, place among the copied, stride, number) for runs of evenly spaced elements of one row,
// or, where neighbouring rows are nearer than neighbouring elements, for single elements in that order.
template <class F>
void for_each_copy(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                   index_t pitch, F&& f) {
    char* const base = layout.row(operand, row);
    const index_t across = layout.run_stride(operand);
    for_each_run(layout, operand, base, first, count, [&](char* p, index_t along, index_t n, index_t done) {
        if (rows > 1 && std::llabs(across) < std::llabs(along)) {
            for (index_t i = 0; i < n; ++i)
                for (index_t r = 0; r < rows; ++r)
                    f(p + i * along + r * across, r * pitch + done + i, along, 1);
        } else {
            for (index_t r = 0; r < rows; ++r)
                f(p + r * across, r * pitch + done, along, n);
        }
    });
}

}  // namespace

template <class T>
void gather_adjacent(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                     common::gathered_t<T>* to, index_t pitch) {
    auto* const kernel = common_gather(kernels(), T());
    for_each_run(layout, operand, layout.row(operand, row), first, count,
                 [&](const char* p, index_t along, index_t n, index_t done) {
                     kernel(reinterpret_cast<const T*>(p), along / index_t(sizeof(T)), to + done, pitch, rows, n);
                 });
}

template <class T>
void scatter_adjacent(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                      const common::gathered_t<T>* from, index_t pitch, bool streaming) {
    auto* const kernel = common_scatter(kernels(), T());
    for_each_run(
        layout, operand, layout.row(operand, row), first, count, [&](char* p, index_t along, index_t n, index_t done) {
            kernel(reinterpret_cast<T*>(p), along / index_t(sizeof(T)), from + done, pitch, rows, n, streaming);
        });
}

template <class T>
void gather(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count, T* to,
            index_t pitch) {
    if constexpr (std::is_same_v<T, common::gathered_t<T>>)
        if (rows > 1 && layout.adjacent(operand, sizeof(T)))
            return gather_adjacent<T>(layout, operand, row, rows, first, count, to, pitch);
    for_each_copy(layout, operand, row, rows, first, count, pitch,
                  [&](const char* p, index_t at, index_t along, index_t n) {
                      if (along == static_cast<index_t>(sizeof(T))) {
                          __builtin_memcpy(to + at, p, static_cast<std::size_t>(n) * sizeof(T));
                          return;
                      }
                      for (index_t i = 0; i < n; ++i)
                          __builtin_memcpy(to + at + i, p + i * along, sizeof(T));
                  });
}

template <class T>
void scatter(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
             const T* from, index_t pitch, bool streaming) {
    if constexpr (std::is_same_v<T, common::gathered_t<T>>)
        if (rows > 1 && layout.adjacent(operand, sizeof(T)))
            return scatter_adjacent<T>(layout, operand, row, rows, first, count, from, pitch, streaming);
    for_each_copy(layout, operand, row, rows, first, count, pitch, [&](char* p, index_t at, index_t along, index_t n) {
        if (along == static_cast<index_t>(sizeof(T))) {
            __builtin_memcpy(p, from + at, static_cast<std::size_t>(n) * sizeof(T));
            return;
        }
        for (index_t i = 0; i < n; ++i)
            __builtin_memcpy(p + i * along, from + at + i, sizeof(T));
    });
}

#define SORGUM_GATHER(T) \
    template void gather<T>(const RowLayout&, int, index_t, index_t, index_t, index_t, T*, index_t);
#define SORGUM_GATHER_AND_SCATTER(T) \
    SORGUM_GATHER(T)                 \
    template void scatter<T>(const RowLayout&, int, index_t, index_t, index_t, index_t, const T*, index_t, bool);
#define SORGUM_ADJACENT(T)                                                                                        \
    template void gather_adjacent<T>(const RowLayout&, int, index_t, index_t, index_t, index_t, float*, index_t); \
    template void scatter_adjacent<T>(const RowLayout&, int, index_t, index_t, index_t, index_t, const float*,    \
                                      index_t, bool);
SORGUM_GATHER(bool)
SORGUM_GATHER_AND_SCATTER(float)
SORGUM_GATHER_AND_SCATTER(double)
SORGUM_GATHER_AND_SCATTER(float16)
SORGUM_GATHER_AND_SCATTER(bfloat16)
SORGUM_ADJACENT(float16)
SORGUM_ADJACENT(bfloat16)
#undef SORGUM_ADJACENT
#undef SORGUM_GATHER_AND_SCATTER
#undef SORGUM_GATHER

}  // namespace sorgum
