// The kernels of the family special for CUDA: the groups of group.h put to work.
#include "cuda/common/runtime.h"
#include "cuda/special/elementwise.h"
#include "cuda/special/rows.h"

namespace sorgum {
namespace cuda {

namespace {

using namespace sorgum::SORGUM_ISA;

using WarpGroup = DeviceGroup<kWarp>;
using BlockGroup = DeviceGroup<kBlock>;
using WarpTile = Tile<WarpGroup, 1, kWarpRow / kGroupSize>;
using ChunkTile = Tile<BlockGroup, 1, kChunk / kGroupSize>;
using BlockTile = Tile<BlockGroup, kTileChunks, kChunk / kGroupSize>;
static_assert(BlockTile::size == kTileSize);

constexpr index_t kWarps = kBlock / kWarp;

__global__ void __launch_bounds__(kBlock) exp_kernel(const float* x, float* y, index_t n) {
    constexpr index_t per_block = kBlock * kPerThread;
    for (index_t block = blockIdx.x; block * per_block < n; block += gridDim.x)
        exp_block(BlockGroup(), x, y, n, block);
}

template <bool normalise>
__global__ void __launch_bounds__(kBlock, 2) warp_rows_kernel(const __grid_constant__ Rows r) {
    __shared__ ShortRowShared<WarpTile> shared[kWarps];
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    for (index_t row = blockIdx.x * kWarps + warp; row < r.rows; row += gridDim.x * kWarps)
        short_row<WarpTile, normalise>(WarpGroup(), r, row, shared[warp]);
}

template <bool normalise>
__global__ void __launch_bounds__(kBlock, 2) chunk_rows_kernel(const __grid_constant__ Rows r) {
    __shared__ ShortRowShared<ChunkTile> shared;
    for (index_t row = blockIdx.x; row < r.rows; row += gridDim.x)
        short_row<ChunkTile, normalise>(BlockGroup(), r, row, shared);
}

template <bool normalise>
__global__ void __launch_bounds__(kBlock, 2) block_rows_kernel(const __grid_constant__ Rows r) {
    __shared__ LongRowShared<BlockTile> shared;
    for (index_t row = blockIdx.x; row < r.rows; row += gridDim.x)
        long_row<BlockTile, normalise>(BlockGroup(), r, row, shared);
}

__global__ void __launch_bounds__(kBlock, 2) sum_pieces_kernel(const __grid_constant__ Rows r) {
    __shared__ LongRowShared<BlockTile> shared;
    sum_piece<BlockTile>(BlockGroup(), r, blockIdx.y, blockIdx.x, shared);
}

template <bool normalise>
__global__ void __launch_bounds__(kBlock, 2) write_pieces_kernel(const __grid_constant__ Rows r) {
    __shared__ SplitRowShared<BlockTile, BlockGroup> shared;
    write_piece<BlockTile, normalise>(BlockGroup(), r, blockIdx.y, blockIdx.x, shared);
}

// ---- the host's side ----

template <bool normalise>
void launch_split_rows(const char* function, Rows r, Stream stream) {
    r.piece = piece_size(r.n);
    r.pieces = (r.n + r.piece - 1) / r.piece;
    const Workspace sums(function, static_cast<std::size_t>(r.rows * r.pieces) * sizeof(RowSum<float>), stream);
    r.sums = static_cast<RowSum<float>*>(sums.memory());
    const auto pieces = static_cast<unsigned>(r.pieces), rows = static_cast<unsigned>(r.rows);
    sum_pieces_kernel<<<dim3(pieces, rows), kBlock, 0, handle(stream)>>>(r);
    check(function, cudaGetLastError());
    write_pieces_kernel<normalise><<<dim3(normalise ? pieces : 1, rows), kBlock, 0, handle(stream)>>>(r);
    check(function, cudaGetLastError());
}

template <bool normalise>
void launch_rows(const char* function, const Rows& r, Stream stream) {
    switch (row_class(r.rows, r.n)) {
        case RowClass::warp:
            warp_rows_kernel<normalise><<<grid_for((r.rows + kWarps - 1) / kWarps), kBlock, 0, handle(stream)>>>(r);
            break;
        case RowClass::chunk:
            chunk_rows_kernel<normalise><<<grid_for(r.rows), kBlock, 0, handle(stream)>>>(r);
            break;
        case RowClass::block:
            block_rows_kernel<normalise><<<grid_for(r.rows), kBlock, 0, handle(stream)>>>(r);
            break;
        case RowClass::split:
            launch_split_rows<normalise>(function, r, stream);
            break;
    }
    check(function, cudaGetLastError());
}

}  // namespace

void launch_exp(const float* x, float* y, index_t n, Stream stream) {
    constexpr index_t per_block = kBlock * kPerThread;
    exp_kernel<<<grid_for((n + per_block - 1) / per_block), kBlock, 0, handle(stream)>>>(x, y, n);
    check("exp", cudaGetLastError());
}

void launch_softmax(Rows rows, Stream stream) { launch_rows<true>("softmax", rows, stream); }
void launch_logsumexp(Rows rows, Stream stream) { launch_rows<false>("logsumexp", rows, stream); }

}  // namespace cuda
}  // namespace sorgum
