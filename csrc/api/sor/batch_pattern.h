// Where the entries of the systems of a batch lie (kernels/sor/batch.h), and which of a caller's they come from.
#pragma once

#include <cstdint>
#include <vector>

#include "api/sor/csr.h"
#include "kernels/sor/batch.h"

namespace sorgum::sor {

// An entry of a system is the sum of some of the caller's, in the order in which they are stored.
struct BatchPattern {
    index_t rows = 0, entries = 0;       // entries: the caller's
    std::vector<BatchRow> row;           // and one behind them
    std::vector<std::int32_t> columns;   // of the entries beside the diagonal
    std::vector<index_t> first, source;  // of entry k: source[first[k]], ..., source[first[k + 1] - 1]
    std::vector<index_t> diagonal_first, diagonal_source;

    index_t row_of(index_t entry) const;  // a search: for messages
};

// Throws if the matrix is not square or too large, its arrays do not hold, or a row has no entry on the diagonal.
BatchPattern batch_pattern(const char* function, const CheckedCsr& a);

}  // namespace sorgum::sor
