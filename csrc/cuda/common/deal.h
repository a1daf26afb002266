// How rows are divided among groups of threads, by their shape (N7).
#pragma once

#include "math/softmax_state.h"

namespace sorgum::cuda {

inline constexpr int kBlock = 256;                          // threads
inline constexpr index_t kWarpRow = 1024;                   // elements that a warp takes as one tile
inline constexpr int kTileChunks = 4;                       // of a block's tile
inline constexpr index_t kTileSize = kTileChunks * kChunk;  // elements
inline constexpr index_t kMostPieces = kBlock;              // a thread each
inline constexpr index_t kFewRows = 128;                    // too few to keep every multiprocessor busy
inline constexpr index_t kSplitFrom = 4 * kTileSize;        // elements of a row that is worth two kernels

enum class RowClass { warp, chunk, block, split };

inline RowClass row_class(index_t rows, index_t n) {
    return n <= kWarpRow                        ? RowClass::warp
           : n <= kChunk                        ? RowClass::chunk
           : n < kSplitFrom || rows >= kFewRows ? RowClass::block
                                                : RowClass::split;
}

// A piece has whole tiles, as few as leave at most kMostPieces pieces.
inline index_t piece_size(index_t n) {
    const index_t tiles = (n + kTileSize - 1) / kTileSize;
    return (tiles + kMostPieces - 1) / kMostPieces * kTileSize;
}

}  // namespace sorgum::cuda
