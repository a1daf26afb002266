#include "api/sor/system.h"

#include <algorithm>
#include <vector>

#include "api/sor/scratch.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr index_t kChunkBlocks = kChunk / kBlock;

}  // namespace

template <class T>
SquaresSum residual(const System<T>& system, const T* b, const T* x, double* r, InterruptPoll& poll) {
    const Structure& structure = *system.structure;
    const KernelTable& table = kernels();
    const Blocks<T> a = system.blocks();
    const int threads = threads_for(elements_of(structure));
    std::vector<SquaresScratch> scratch = scratch_for(threads);
    poll();
    parallel_for_ranges(structure.blocks, kChunkBlocks, threads, [&](index_t begin, index_t end, int slot) {
        SquaresScratch& s = scratch[static_cast<std::size_t>(slot)];
        double* const numbers = s.numbers.data();
        sor_blocks_residual(table, T())(a, b, x, begin, end, numbers);
        const index_t first = begin * kBlock, rows = (end - begin) * kBlock;
        if (r != nullptr)
            std::copy_n(numbers, std::min(rows, structure.places.rows.empty() ? structure.rows - first : rows),
                        r + first);
        sor_squares_add(table, double())(numbers, rows, s.squares);
    });
    SquaresSum total = kNoSquares;
    merge(scratch, total);
    return total;
}

template <class T>
void to_places(const Structure& structure, const T* rows, T* places) {
    for (index_t block = 0; block < structure.blocks; ++block)
        if (structure.places.rows[static_cast<std::size_t>(block)] < kBlock)
            std::fill_n(places + block * kBlock, kBlock, T(0));
    const index_t* const of_row = structure.places.of_row.data();
    parallel_for_ranges(structure.rows, kChunk, threads_for(structure.rows), [&](index_t begin, index_t end, int) {
        for (index_t i = begin; i < end; ++i)
            places[of_row[i]] = rows[i];
    });
}

template <class T>
void from_places(const Structure& structure, const T* places, T* rows) {
    const index_t* const of_row = structure.places.of_row.data();
    parallel_for_ranges(structure.rows, kChunk, threads_for(structure.rows), [&](index_t begin, index_t end, int) {
        for (index_t i = begin; i < end; ++i)
            rows[i] = places[of_row[i]];
    });
}

#define SORGUM_SYSTEM(T)                                                                         \
    template SquaresSum residual(const System<T>&, const T*, const T*, double*, InterruptPoll&); \
    template void to_places(const Structure&, const T*, T*);                                     \
    template void from_places(const Structure&, const T*, T*);
SORGUM_SYSTEM(float)
SORGUM_SYSTEM(double)
#undef SORGUM_SYSTEM
template void from_places(const Structure&, const std::int32_t*, std::int32_t*);

}  // namespace sorgum::sor
