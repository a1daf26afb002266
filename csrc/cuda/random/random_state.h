// The structs of a call of the family random. How rows are divided among groups of threads stands in
// cuda/common/deal.h.
#pragma once

#include "cuda/common/deal.h"
#include "math/random_state.h"

namespace sorgum::cuda {

// What goes with rows: a number for all, or one per row where the pointer is not null. Index 0 of a row is `offset`.
struct RowPlaces {
    std::uint64_t key;
    const std::uint64_t* streams;  // null: the rows' numbers
    const std::uint64_t* positions;
    std::uint64_t position;
    const double* temperatures;
    double temperature;
    index_t offset;
};

// Noise for `rows` rows of n adjacent elements, `y_row` elements from one to the next. `given`: null, or words to be
// used instead of those of every row, for tests; a multiple of four.
template <class T>
struct NoiseRows {
    T* y;
    index_t rows, n, y_row;
    RowPlaces places;
    const std::uint32_t* given;
};

// `samples` draws from each row, at positions that count up; distances between rows in elements.
template <class X>
struct DrawRows {
    const X* x;
    const unsigned char* mask;  // null: all elements count
    index_t rows, n, x_row, mask_row, mask_step, samples;
    RowPlaces places;
    index_t* drawn;          // the index for each draw, -1 for none
    std::uint64_t* invalid;  // null, or the least 2 draw + (1 where there is a NaN or +inf) of those that drew none
    // A row split over blocks: `pieces` pieces of `piece` elements, the last one shorter, and what each one found.
    index_t piece, pieces;
    Draw* parts;
};

inline constexpr std::uint64_t kAllValid = ~std::uint64_t(0);

}  // namespace sorgum::cuda
