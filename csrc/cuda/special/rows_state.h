// The structs of a call of the family special on rows.
#pragma once

#include "math/softmax_state.h"

namespace sorgum::cuda {

// `rows` rows of n adjacent elements; distances between rows in elements. logsumexp has one result per row.
struct Rows {
    const float* x;
    float* y;
    const unsigned char* mask;  // null: all elements count
    index_t rows, n, x_row, y_row, mask_row, mask_step;
    float empty;
    ExpScale<float> scale;
    // A row split over blocks: `pieces` pieces of `piece` elements, the last one shorter, and a sum for each.
    index_t piece, pieces;
    RowSum<float>* sums;
};

}  // namespace sorgum::cuda
