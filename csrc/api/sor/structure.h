// Where the entries of a matrix lie in blocks of 16 rows (kernels/sor/blocks.h), whatever their values are.
#pragma once

#include <cstdint>
#include <vector>

#include "api/call/work.h"
#include "api/sor/csr.h"
#include "kernels/sor/blocks.h"

namespace sorgum::sor {

inline constexpr index_t kRowsBetweenPolls = 256;  // that take microseconds where a matrix is not read in order

// block_multicolor: kRowsOfGroup rows that stand together have a color, and keep their order.
enum class Order { natural, multicolor, block_multicolor };

inline constexpr index_t kRowsOfGroup = 512;

// The places of rows: those of a color lie side by side and begin with a block of their own, so that blocks may have
// fewer rows than 16. In natural order row i is at place i.
struct Places {
    std::vector<index_t> of_row;          // empty in natural order
    std::vector<index_t> rows;            // of each block; empty in natural order
    std::vector<index_t> first_of_color;  // blocks; one element more than there are colors
    std::vector<std::int32_t> colors;     // of each row
};

// The rows of a matrix in their places, columns ascending, one entry in each: what entries they came from.
struct Sources {
    AlignedArray<index_t> entry;  // nothing: the same
    std::vector<index_t> first;   // of the entries that were in one place, in `entry`; empty: each alone

    bool same() const { return entry.data() == nullptr; }
};

struct Structure {
    index_t rows = 0, blocks = 0, entries = 0;  // entries: as many as the matrix had
    index_t slots = 0, gathered = 0;
    index_t reach = 0;  // no entry is farther from the diagonal
    std::vector<Slot> slot;
    std::vector<Pattern> pattern;
    std::vector<Block> block;          // and one behind them
    std::vector<index_t> first_entry;  // of each block's, as the sources are counted
    AlignedArray<std::int32_t> columns;
    Places places;
    Sources sources;

    const Pattern& pattern_of(index_t at) const {
        return pattern[static_cast<std::size_t>(block[static_cast<std::size_t>(at)].pattern)];
    }
    index_t padded_rows() const { return blocks * kBlock; }
    index_t row_of(index_t place) const;      // a search: for messages
    index_t source_of(index_t entry) const {  // the first one
        const index_t first = sources.first.empty() ? entry : sources.first[static_cast<std::size_t>(entry)];
        return sources.same() ? first : sources.entry.data()[first];
    }
};

// Throws if the matrix is not square, its arrays do not hold, or a row has no entry on the diagonal.
Structure structure_of(const char* function, const CheckedCsr& a, Order order);

}  // namespace sorgum::sor
