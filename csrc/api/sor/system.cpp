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
    std::fill_n(places, structure.padded_rows(), T(0));
    InterruptPoll poll;
    for (index_t i = 0; i < structure.rows; ++i) {
        if (i % kChunk == 0)
            poll();
        places[structure.places.of_row[static_cast<std::size_t>(i)]] = rows[i];
    }
}

template <class T>
void from_places(const Structure& structure, const T* places, T* rows) {
    for (index_t i = 0; i < structure.rows; ++i)
        rows[i] = places[structure.places.of_row[static_cast<std::size_t>(i)]];
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
