#include "api/call/stored.h"

#include "api/call/extent.h"
#include "api/call/work.h"
#include "dispatch/common.h"
#include "dispatch/dispatch.h"

namespace sorgum {

namespace {

// Halves that are not contiguous are gathered in tiles of so many rows and elements.
constexpr index_t kTileRows = 16, kTileElements = 256;

// Calls f(first row, rows, first element, elements) for tiles of a block.
template <class F>
void for_each_tile(index_t rows, index_t count, F&& f) {
    for_each_range(0, rows, kTileRows, [&](index_t r, index_t end) {
        for_each_range(0, count, kTileElements, [&](index_t i, index_t stop) { f(r, end - r, i, stop - i); });
    });
}

// Calls f(address of the halves, place in the block, number) where the elements of a row are contiguous: once, when
// the rows follow each other here as there.
template <class H, class F>
void for_each_contiguous(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                         index_t pitch, F&& f) {
    char* const base = layout.row(operand, row) + first * index_t(sizeof(H));
    const index_t across = layout.run_stride(operand);
    if (count == pitch && across == count * index_t(sizeof(H)))
        return f(reinterpret_cast<H*>(base), 0, rows * count);
    for (index_t r = 0; r < rows; ++r)
        f(reinterpret_cast<H*>(base + r * across), r * pitch, count);
}

template <class H>
void read_halves(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                 float* to, index_t pitch) {
    auto* const widen = common_widen(kernels(), H());
    if (layout.contiguous(operand, sizeof(H)))
        return for_each_contiguous<H>(layout, operand, row, rows, first, count, pitch,
                                      [&](const H* from, index_t at, index_t n) { widen(from, to + at, n); });
    if (rows > 1 && layout.adjacent(operand, sizeof(H)))
        return gather_adjacent<H>(layout, operand, row, rows, first, count, to, pitch);
    H tile[kTileRows * kTileElements];
    for_each_tile(rows, count, [&](index_t r, index_t tile_rows, index_t i, index_t n) {
        gather(layout, operand, row + r, tile_rows, first + i, n, tile, kTileElements);
        for (index_t k = 0; k < tile_rows; ++k)
            widen(tile + k * kTileElements, to + (r + k) * pitch + i, n);
    });
}

template <class H>
void write_halves(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                  const float* from, index_t pitch, bool streaming) {
    auto* const narrow = common_narrow(kernels(), H());
    if (layout.contiguous(operand, sizeof(H)))
        return for_each_contiguous<H>(layout, operand, row, rows, first, count, pitch,
                                      [&](H* to, index_t at, index_t n) { narrow(from + at, to, n, streaming); });
    if (rows > 1 && layout.adjacent(operand, sizeof(H)))
        return scatter_adjacent<H>(layout, operand, row, rows, first, count, from, pitch, streaming);
    H tile[kTileRows * kTileElements];
    for_each_tile(rows, count, [&](index_t r, index_t tile_rows, index_t i, index_t n) {
        for (index_t k = 0; k < tile_rows; ++k)
            narrow(from + (r + k) * pitch + i, tile + k * kTileElements, n, false);
        scatter(layout, operand, row + r, tile_rows, first + i, n, tile, kTileElements);
    });
}

// values[r], of type S, becomes the element of row `row + r`.
template <class S>
void put_values(const RowLayout& layout, int operand, index_t row, index_t rows, const S* values) {
    char* to = layout.row(operand, row);
    for (index_t r = 0; r < rows; ++r, to += layout.run_stride(operand))
        __builtin_memcpy(to, values + r, sizeof(S));
}

template <class S>
void get_values(const RowLayout& layout, int operand, index_t row, index_t rows, S* values) {
    const char* from = layout.row(operand, row);
    for (index_t r = 0; r < rows; ++r, from += layout.run_stride(operand))
        __builtin_memcpy(values + r, from, sizeof(S));
}

template <class H>
void get_halves(const RowLayout& layout, int operand, index_t row, index_t rows, float* values) {
    H part[kTileElements];
    for_each_range(0, rows, kTileElements, [&](index_t r, index_t end) {
        get_values(layout, operand, row + r, end - r, part);
        common_widen(kernels(), H())(part, values + r, end - r);
    });
}

template <class H>
void put_halves(const RowLayout& layout, int operand, index_t row, index_t rows, const float* values) {
    H part[kTileElements];
    for_each_range(0, rows, kTileElements, [&](index_t r, index_t end) {
        common_narrow(kernels(), H())(values + r, part, end - r, false);
        put_values(layout, operand, row + r, end - r, part);
    });
}

}  // namespace

void check_float(const char* function, const char* argument, const ArrayView& view) {
    if (!is_float(view.dtype))
        throw TypeError(std::string(function) + ": " + argument +
                        " must have dtype float16, bfloat16, float32 or float64, got " + dtype_text(view.dtype));
}

void check_contiguous(const char* function, const char* argument, const ArrayView& view) {
    if (size_of(view) > 0 && !(is_contiguous(view) && is_aligned(view)))
        throw ValueError(std::string(function) + ": " + argument +
                         " must be contiguous and aligned, got strides that are not");
}

template <class T>
void Stored<T>::read(index_t row, index_t rows, index_t first, index_t count, T* to, index_t pitch) const {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (dtype_ == DType::f16)
            return read_halves<float16>(*layout_, operand_, row, rows, first, count, to, pitch);
        if (dtype_ == DType::bf16)
            return read_halves<bfloat16>(*layout_, operand_, row, rows, first, count, to, pitch);
    }
    gather(*layout_, operand_, row, rows, first, count, to, pitch);
}

template <class T>
void Stored<T>::write(index_t row, index_t rows, index_t first, index_t count, const T* from, index_t pitch,
                      bool streaming) const {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (dtype_ == DType::f16)
            return write_halves<float16>(*layout_, operand_, row, rows, first, count, from, pitch, streaming);
        if (dtype_ == DType::bf16)
            return write_halves<bfloat16>(*layout_, operand_, row, rows, first, count, from, pitch, streaming);
    }
    scatter(*layout_, operand_, row, rows, first, count, from, pitch, streaming);
}

template <class T>
void Stored<T>::read_values(index_t row, index_t rows, T* values) const {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (dtype_ == DType::f16)
            return get_halves<float16>(*layout_, operand_, row, rows, values);
        if (dtype_ == DType::bf16)
            return get_halves<bfloat16>(*layout_, operand_, row, rows, values);
    }
    get_values(*layout_, operand_, row, rows, values);
}

template <class T>
void Stored<T>::write_values(index_t row, index_t rows, const T* values) const {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (dtype_ == DType::f16)
            return put_halves<float16>(*layout_, operand_, row, rows, values);
        if (dtype_ == DType::bf16)
            return put_halves<bfloat16>(*layout_, operand_, row, rows, values);
    }
    put_values(*layout_, operand_, row, rows, values);
}

template class Stored<float>;
template class Stored<double>;

}  // namespace sorgum
