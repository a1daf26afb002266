#pragma once

#include "kernels/sor/point_blocks.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// row = fma(factor, of, row) from a multiple of 16 on.
template <class T>
SORGUM_INLINE void add_multiple(T factor, const T* of, T* row, index_t from, index_t width) {
    const vec<T> f = splat<vec<T>>(factor);
    for (index_t j = from; j < width; j += kLanes)
        store(row + j, fma(f, load(of + j), load(row + j)));
}

template <class T>
SORGUM_INLINE T size_of(T v) {
    return v < T(0) ? T(0) - v : v;
}

template <class T>
bool point_block_solve_kernel(T* rows, index_t b, index_t from, index_t width) {
    for (index_t k = 0; k < b; ++k) {
        T* const first = rows + k * width;
        T* pivot = first;
        for (T* row = first + width; row < rows + b * width; row += width)
            if (!(size_of(row[k]) <= size_of(pivot[k])))
                pivot = row;
        if (!(size_of(pivot[k]) > T(0)))
            return false;
        if (pivot != first)
            for (index_t j = 0; j < width; j += kLanes) {
                const vec<T> here = load(first + j);
                store(first + j, load(pivot + j));
                store(pivot + j, here);
            }
        // Columns before k are changed, too, but nobody reads them again.
        for (T* row = first + width; row < rows + b * width; row += width)
            add_multiple(-(row[k] / first[k]), first, row, k / kLanes * kLanes, width);
    }
    for (index_t k = b - 1; k >= 0; --k) {
        T* const last = rows + k * width;
        const vec<T> pivot = splat<vec<T>>(last[k]);
        for (index_t j = from; j < width; j += kLanes)
            store(last + j, load(last + j) / pivot);
        for (T* row = rows; row < last; row += width)
            add_multiple(-row[k], last, row, from, width);
    }
    return true;
}

template <class T>
void point_blocks_product_kernel(const T* blocks, index_t b, const T* x, double* y, index_t count) {
    for (; count > 0; --count, x += b, y += b)
        for (index_t i = 0; i < b; ++i, blocks += b) {
            double s = 0;
            for (index_t k = 0; k < b; ++k)
                s = fma(static_cast<double>(blocks[k]), static_cast<double>(x[k]), s);
            y[i] = s;
        }
}

SORGUM_ISA_END
