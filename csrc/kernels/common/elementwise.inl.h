// Walks over contiguous elements, one vector at a time.
#pragma once

#include "simd/simd.h"

SORGUM_ISA_BEGIN

// Prefetches memory 16 KB ahead, one cache line for each line that is read, alternating between four pages. In plain
// order every new page would be waited for: its address is looked up (in a virtual machine twice over) when it is first
// touched, and no processor fetches ahead across its border. With this order exp of an array larger than the caches
// takes 1.02 times as long as a copy, with lines fetched in order 1.5 times, at any distance from 2 to 64 KB.
template <class T>
SORGUM_INLINE void prefetch_ahead(const T* x) {
    constexpr std::uintptr_t page = 4096, block = 4 * page, line = 64;
    for (unsigned v = 0; v < kLanes * sizeof(T); v += line) {
        const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(x) + v;
        const std::uintptr_t in_page = (at / 4) % page / line * line, which = at / line % 4 * page;
        prefetch(reinterpret_cast<const void*>(at / block * block + block + which + in_page));
    }
}

// The same as prefetch_ahead(x + v * kLanes), cheaper where v is a constant: four lines share the computation of the
// place. A last group that is not whole needs the form above: this one would skip lines.
template <class T>
SORGUM_INLINE void prefetch_ahead(const T* x, int v) {
    constexpr std::uintptr_t page = 4096, block = 4 * page, line = 64, group = 4 * line;
    constexpr unsigned bytes = kLanes * sizeof(T), width = line;
    const unsigned at = static_cast<unsigned>(v) * bytes;  // the first of two vectors of halves fetches their line
    for (unsigned l = (at + width - 1) / width; l * width < at + bytes; ++l) {
        const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(x) + l / 4 * group;
        const std::uintptr_t place = first / block * block + block + first / group % (page / line) * line;
        prefetch(reinterpret_cast<const void*>(place + l % 4 * page));
    }
}

// 16 elements in the type that computes with them, or the first n and `fill` for the rest.
template <class S>
SORGUM_INLINE vec<computed_t<S>> load_computed(const S* p) {
    if constexpr (sizeof(S) < sizeof(float))
        return load_half(p);
    else
        return load(p);
}
template <class S>
SORGUM_INLINE vec<computed_t<S>> load_computed_first(const S* p, index_t n, computed_t<S> fill) {
    if constexpr (sizeof(S) < sizeof(float)) {
        if (n >= kLanes)
            return load_half(p);
        S some[kLanes] = {};
        float wide[kLanes];
        __builtin_memcpy(some, p, static_cast<std::size_t>(n) * sizeof(S));
        store(wide, load_half(some));
        return load_first(wide, n, fill);
    } else {
        return load_first(p, n, fill);
    }
}

// Ends the work on one vector in a loop that takes several. Its prefetch, loads and stores then reach memory evenly; a
// compiler that puts those of several vectors together makes memory and arithmetic wait for each other (exp of an array
// beyond the caches: 1.25 times the time of a copy, against 1.02).
SORGUM_INLINE void keep_in_step() { asm volatile("" ::: "memory"); }

// The number of elements before y reaches a 64-byte boundary; -1 when it never does.
template <class T>
SORGUM_INLINE index_t elements_to_boundary(const T* y) {
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(y);
    if (address % sizeof(T) != 0)
        return -1;
    return static_cast<index_t>(((64 - address % 64) % 64) / sizeof(T));
}

// y[i] = f(x[i]) for f on vectors. `streaming` writes past the caches; the caller ends with one stream_fence().
template <class T, class F>
SORGUM_INLINE void map_elements(const T* x, T* y, index_t n, bool streaming, F&& f) {
    const index_t head = elements_to_boundary(y);
    const bool past = streaming && head >= 0 && n >= 4 * kLanes;
    index_t i = 0;
    for (index_t end = past && head > 0 ? head : n;; end = n) {  // the head, then the rest: its ends are compiled once
        for (; past && i + kLanes <= end; i += kLanes) {
            prefetch_ahead(x + i);
            stream(y + i, f(load(x + i)));
        }
        for (; i + kLanes <= end; i += kLanes) {
            prefetch_ahead(x + i);
            store(y + i, f(load(x + i)));
        }
        if (i < end)
            store_first(y + i, f(load_first(x + i, end - i, T(0))), end - i);
        if (end == n)
            return;
        i = end;
    }
}

SORGUM_ISA_END
