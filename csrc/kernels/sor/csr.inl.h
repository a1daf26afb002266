#pragma once

#include <type_traits>

#include "kernels/sor/csr.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// In plain loops over integers, which compilers make vectors of. A negative index is a large number without its sign.
template <class Index>
bool csr_holds_kernel(const Index* indptr, const Index* indices, index_t entries, index_t columns, index_t first,
                      index_t rows) {
    using Number = std::make_unsigned_t<Index>;
    constexpr Number most = Number(-1) / 2;  // the largest index of the type
    bool decreases = indptr[first] < 0;
    for (index_t i = first; i < first + rows; ++i)
        decreases = decreases | (indptr[i] > indptr[i + 1]);
    const index_t begin = indptr[first], end = indptr[first + rows];
    if (decreases || end > entries)
        return false;
    Number largest = 0;
    for (index_t k = begin; k < end; ++k) {
        const Number index = static_cast<Number>(indices[k]);
        largest = index > largest ? index : largest;
    }
    return begin == end || (largest <= most && static_cast<index_t>(largest) < columns);
}

// Rows whose chains run side by side: one alone waits for each of its multiply-adds.
inline constexpr int kSideBySide = 4;

// Entries are fetched so many ahead of those that are added, but not those of long rows, which lie in few streams of
// memory: a matrix is read once and in order, and the chains keep the processor from looking ahead by itself.
inline constexpr index_t kEntriesAhead = 1024, kMostFetched = 512;

template <class T>
SORGUM_INLINE void fetch_ahead(const T* from, index_t entries) {
    constexpr std::uintptr_t line = 64;
    const auto first = reinterpret_cast<std::uintptr_t>(from) + static_cast<std::uintptr_t>(kEntriesAhead) * sizeof(T);
    const auto last = first + static_cast<std::uintptr_t>(entries) * sizeof(T);
    for (std::uintptr_t at = first; at < last; at += line)
        prefetch(reinterpret_cast<const void*>(at));
}

template <class Matrix>
SORGUM_INLINE double add_entry(const Matrix& a, const typename Matrix::value* x, index_t k, double s) {
    return fma(static_cast<double>(a.data[k]), static_cast<double>(x[a.indices[k]]), s);
}

template <class Matrix>
void csr_residual_kernel(const Matrix& a, const typename Matrix::value* x, const typename Matrix::value* b,
                         index_t first, index_t rows, double* r) {
    // What is left of a row whose chain has come as far as entry k.
    const auto finish = [&](index_t i, index_t k, double s) SORGUM_LAMBDA {
        for (const index_t end = a.indptr[i + 1]; k < end; ++k)
            s = add_entry(a, x, k, s);
        r[i - first] = static_cast<double>(b[i]) - s;
    };
    index_t i = first;
    for (; i + kSideBySide <= first + rows; i += kSideBySide) {
        index_t begin[kSideBySide], shortest = INT64_MAX;
        double s[kSideBySide];
        for (int j = 0; j < kSideBySide; ++j) {
            begin[j] = a.indptr[i + j];
            const index_t length = a.indptr[i + j + 1] - begin[j];
            shortest = length < shortest ? length : shortest;
            s[j] = 0.0;
        }
        const index_t entries = a.indptr[i + kSideBySide] - begin[0];
        if (entries <= kMostFetched) {
            fetch_ahead(a.data + begin[0], entries);
            fetch_ahead(a.indices + begin[0], entries);
        }
        for (index_t k = 0; k < shortest; ++k)
            for (int j = 0; j < kSideBySide; ++j)
                s[j] = add_entry(a, x, begin[j] + k, s[j]);
        if (entries == kSideBySide * shortest) {  // rows of one length: the most common case, without its branches
            for (int j = 0; j < kSideBySide; ++j)
                r[i + j - first] = static_cast<double>(b[i + j]) - s[j];
            continue;
        }
        for (int j = 0; j < kSideBySide; ++j)
            finish(i + j, begin[j] + shortest, s[j]);
    }
    for (; i < first + rows; ++i)
        finish(i, a.indptr[i], 0.0);
}

SORGUM_ISA_END
