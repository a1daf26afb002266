#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/linalg/gram.h"

SORGUM_ISA_BEGIN

using namespace sorgum::linalg;

// Terms that are taken at a time: a panel of so many and one of the other operand stay in the first-level cache. No bit
// depends on it, since chains go on where they stopped.
inline constexpr index_t kGramTerms = 128;

// No more sums than a product's tile has; a power of two where that has many, so that tiles fill panels.
template <class T>
constexpr int gram_tile_rows() {
    constexpr int most = ProductTile<T>::rows * ProductTile<T>::vectors;
    return most >= 8 ? 8 : most;
}

// Fetches memory line by line into the second-level cache: panels keep the first.
class Fetch {
public:
    explicit Fetch(const Ahead& ahead) : ahead_(ahead) {}

    SORGUM_INLINE void lines(index_t n) {
        for (; n > 0 && row_ < ahead_.rows; --n) {
            prefetch_second(ahead_.data + row_ * ahead_.stride + at_);
            at_ += kLine;
            if (at_ >= ahead_.bytes) {
                at_ = 0;
                ++row_;
            }
        }
    }

    // How many there are for each of some tiles.
    index_t share(index_t tiles) const {
        return tiles == 0 ? 0 : (ahead_.rows * ((ahead_.bytes + kLine - 1) / kLine) + tiles - 1) / tiles;
    }

private:
    static constexpr index_t kLine = 64;
    Ahead ahead_;
    index_t row_ = 0, at_ = 0;
};

// Goes on with the chains of `tall` rows, or begins them. A tile may lie in two panels where rows do not fill one.
template <int tall, class T>
SORGUM_INLINE void gram_tile(const GramPanels<T>& p, index_t row, index_t column, index_t first, index_t terms) {
    constexpr int together = kLanes % gram_tile_rows<T>() == 0 ? tall : 1;  // rows that are of one panel for certain
    const index_t panel = p.depth * kLanes;
    const T* const y = p.y + column * p.depth + first * kLanes;
    const bool begins = p.begins && first == 0;
    const T* x[tall / together];
    T* to[tall];
    for (int g = 0; g < tall / together; ++g)
        x[g] = p.x + (row + g) / kLanes * panel + first * kLanes + (row + g) % kLanes;
    for (int r = 0; r < tall; ++r)
        to[r] = p.sums + row_of_triangle(p.first_row + row + r) + p.first_column + column;
    vec<T> sum[tall];
#pragma GCC unroll 8
    for (int r = 0; r < tall; ++r)
        sum[r] = begins ? splat<vec<T>>(T(0)) : load(to[r]);
    for (index_t k = 0; k < terms; ++k) {
        const vec<T> columns = load(y + k * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < tall; ++r)
            sum[r] = fma(splat<vec<T>>(x[r / together][k * kLanes + r % together]), columns, sum[r]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < tall; ++r)
        store(to[r], sum[r]);
}

// The tiles of one panel of columns; those of fewer rows come last.
template <int tall, class T>
SORGUM_INLINE void gram_tiles(const GramPanels<T>& p, index_t row, index_t column, index_t first, index_t terms,
                              Fetch& fetch, index_t share) {
    for (; row + tall <= p.rows; row += tall) {
        fetch.lines(share);
        gram_tile<tall>(p, row, column, first, terms);
    }
    if constexpr (tall > 1)
        if (row < p.rows)
            gram_tiles<tall == 3 ? 2 : tall / 2>(p, row, column, first, terms, fetch, share);
}

template <class T>
void gram_terms_kernel(const GramPanels<T>& p) {
    constexpr int tall = gram_tile_rows<T>();
    const auto first_row = [&](index_t column) {  // the panels of rows before are above
        const index_t before = p.first_column + column - p.first_row;
        return before > 0 ? before : 0;
    };
    index_t tiles = 0;
    for (index_t column = 0; column < p.columns; column += kLanes)
        tiles += (p.rows - first_row(column)) / tall;
    Fetch fetch(p.ahead);
    const index_t share = fetch.share(tiles);
    for (index_t column = 0; column < p.columns; column += kLanes)
        for (index_t k = 0; k < p.depth; k += kGramTerms)
            gram_tiles<tall>(p, first_row(column), column, k, p.depth - k < kGramTerms ? p.depth - k : kGramTerms,
                             fetch, share);
}

template <class T>
void add_sums_kernel(const T* older, T* newer, index_t n) {
    for (index_t i = 0; i < n; i += kLanes)
        store(newer + i, load(older + i) + load(newer + i));
}

SORGUM_ISA_END
