#pragma once

#include "kernels/common/gather.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::common;

// 16 elements, or the first n.
template <class T>
SORGUM_INLINE vec<T> read_tile_row(const T* p, index_t n) {
    return n >= kLanes ? load(p) : load_first(p, n, T(0));
}
template <class H>
SORGUM_INLINE f32x16 read_half_tile_row(const H* p, index_t n) {
    if (n >= kLanes)
        return load_half(p);
    H some[kLanes] = {};
    __builtin_memcpy(some, p, static_cast<std::size_t>(n) * sizeof(H));
    return load_half(some);
}
SORGUM_INLINE f32x16 read_tile_row(const float16* p, index_t n) { return read_half_tile_row(p, n); }
SORGUM_INLINE f32x16 read_tile_row(const bfloat16* p, index_t n) { return read_half_tile_row(p, n); }

template <class T>
SORGUM_INLINE void write_tile_row(T* p, vec<T> a, index_t n) {
    if (n >= kLanes)
        store(p, a);
    else
        store_first(p, a, n);
}
template <class H>
SORGUM_INLINE void write_half_tile_row(H* p, f32x16 a, index_t n) {
    if (n >= kLanes)
        return store_half(p, a);
    H some[kLanes];
    store_half(some, a);
    __builtin_memcpy(p, some, static_cast<std::size_t>(n) * sizeof(H));
}
SORGUM_INLINE void write_tile_row(float16* p, f32x16 a, index_t n) { write_half_tile_row(p, a, n); }
SORGUM_INLINE void write_tile_row(bfloat16* p, f32x16 a, index_t n) { write_half_tile_row(p, a, n); }

// r[j] = the elements [0, 16) of column j of the `rows` x `columns` elements at p, as far as there are any.
template <class T, class V>
SORGUM_INLINE void read_transposed(const T* p, index_t pitch, index_t rows, index_t columns, V* r) {
    if (rows >= kLanes && columns >= kLanes) {
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k)
            r[k] = read_tile_row(p + k * pitch, kLanes);
    } else {
        for (int k = 0; k < kLanes; ++k)
            r[k] = k < rows ? read_tile_row(p + k * pitch, columns) : V{};
    }
    transpose(r);
}

template <class T, class V>
SORGUM_INLINE void write_rows(T* p, index_t pitch, index_t rows, index_t columns, const V* r) {
    if (rows >= kLanes && columns >= kLanes) {
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k)
            write_tile_row(p + k * pitch, r[k], kLanes);
    } else {
        for (int k = 0; k < kLanes && k < rows; ++k)
            write_tile_row(p + k * pitch, r[k], columns);
    }
}

// Prefetches the cache lines of the first `columns` elements in each of some rows of x.
template <class T>
SORGUM_INLINE void prefetch_rows(const T* x, index_t stride, index_t rows, index_t columns) {
    const index_t bytes = columns * static_cast<index_t>(sizeof(T));
    for (index_t k = 0; k < rows; ++k) {
        const char* const line = reinterpret_cast<const char*>(x + k * stride);
        for (index_t b = 0; b < bytes; b += 64)
            prefetch(line + b);
        prefetch(line + bytes - 1);
    }
}

template <class T>
void gather_kernel(const T* x, index_t stride, gathered_t<T>* y, index_t pitch, index_t rows, index_t n) {
    for (index_t i = 0; i < n; i += kLanes) {
        if (i + kGatherAhead < n)
            prefetch_rows(x + (i + kGatherAhead) * stride, stride, kLanes, rows);
        for (index_t r = 0; r < rows; r += kLanes) {
            vec<gathered_t<T>> tile[kLanes];
            read_transposed(x + i * stride + r, stride, n - i, rows - r, tile);
            write_rows(y + r * pitch + i, pitch, rows - r, n - i, tile);
        }
    }
}

// Writes a tile past the caches. Of halves, two tiles side by side make whole lines.
template <class T>
SORGUM_INLINE void stream_tile(T* x, index_t stride, const T* y, index_t pitch) {
    vec<T> tile[kLanes];
    read_transposed(y, pitch, kLanes, kLanes, tile);
#pragma GCC unroll 16
    for (int k = 0; k < kLanes; ++k)
        stream(x + k * stride, tile[k]);
}
template <class H>
SORGUM_INLINE void stream_half_tiles(H* x, index_t stride, const float* y, index_t pitch) {
    f32x16 a[kLanes], b[kLanes];
    read_transposed(y, pitch, kLanes, kLanes, a);
    read_transposed(y + kLanes * pitch, pitch, kLanes, kLanes, b);
#pragma GCC unroll 16
    for (int k = 0; k < kLanes; ++k)
        stream_half(x + k * stride, a[k], b[k]);
}
SORGUM_INLINE void stream_tile(float16* x, index_t stride, const float* y, index_t pitch) {
    stream_half_tiles(x, stride, y, pitch);
}
SORGUM_INLINE void stream_tile(bfloat16* x, index_t stride, const float* y, index_t pitch) {
    stream_half_tiles(x, stride, y, pitch);
}

template <class T>
void scatter_kernel(T* x, index_t stride, const gathered_t<T>* y, index_t pitch, index_t rows, index_t n,
                    bool streaming) {
    constexpr index_t streamed = sizeof(T) < sizeof(float) ? 2 * kLanes : kLanes;  // rows
    const bool in_lines =
        streaming && (reinterpret_cast<std::uintptr_t>(x) | static_cast<std::uintptr_t>(stride) * sizeof(T)) % 64 == 0;
    for (index_t i = 0; i < n; i += kLanes) {
        index_t r = 0;
        for (; in_lines && r + streamed <= rows && i + kLanes <= n; r += streamed)
            stream_tile(x + i * stride + r, stride, y + r * pitch + i, pitch);
        for (; r < rows; r += kLanes) {
            vec<gathered_t<T>> tile[kLanes];
            read_transposed(y + r * pitch + i, pitch, rows - r, n - i, tile);
            write_rows(x + i * stride + r, stride, n - i, rows - r, tile);
        }
    }
    if (in_lines)
        stream_fence();
}

// 8 x 8 bytes, byte j of row i from bit 8 j of word i on: halves, quarters and eighths change places across the
// diagonal.
SORGUM_INLINE void transpose_bytes(std::uint64_t* rows) {
    constexpr std::uint64_t lower[] = {0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0x00000000FFFFFFFF};
#pragma GCC unroll 3
    for (int level = 2; level >= 0; --level) {
        const int step = 1 << level;
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            if ((i & step) != 0)
                continue;
            const std::uint64_t moved = ((rows[i] >> (8 * step)) ^ rows[i + step]) & lower[level];
            rows[i + step] ^= moved;
            rows[i] ^= moved << (8 * step);
        }
    }
}

template <>
void gather_kernel(const bool* x, index_t stride, bool* y, index_t pitch, index_t rows, index_t n) {
    constexpr index_t side = 8;
    for (index_t i = 0; i < n; i += side) {
        if (i + kGatherAhead < n)
            prefetch_rows(x + (i + kGatherAhead) * stride, stride, side, rows);
        const index_t tall = n - i < side ? n - i : side;
        for (index_t r = 0; r < rows; r += side) {
            const index_t wide = rows - r < side ? rows - r : side;
            std::uint64_t tile[side] = {};
            for (index_t k = 0; k < tall; ++k)
                __builtin_memcpy(tile + k, x + (i + k) * stride + r, static_cast<std::size_t>(wide));
            transpose_bytes(tile);
            for (index_t k = 0; k < wide; ++k)
                __builtin_memcpy(y + (r + k) * pitch + i, tile + k, static_cast<std::size_t>(tall));
        }
    }
}

SORGUM_ISA_END
