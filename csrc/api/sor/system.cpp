#include "api/sor/system.h"

#include <algorithm>
#include <vector>

#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr index_t kChunkBlocks = kChunk / kBlock;              // of the rows whose squares are summed together (N4)
constexpr index_t kPiece = index_t(1) << 22;                   // numbers that are read between two looks at interrupts
constexpr index_t kPieceBlocks = (index_t(1) << 20) / kBlock;  // but never more rows than this

struct Scratch {
    AlignedArray<double> numbers;
    SquaresSum squares = kNoSquares;
};

std::vector<Scratch> scratch_for(int threads) {
    std::vector<Scratch> scratch(static_cast<std::size_t>(threads));
    for (Scratch& s : scratch)
        s.numbers.reserve(kChunk);
    return scratch;
}

void merge(const std::vector<Scratch>& scratch, SquaresSum& into) {
    for (const Scratch& s : scratch)
        sor_squares_merge(kernels(), double())(into, s.squares);
}

// Blocks of about kPiece numbers, whole chunks of them where there are more.
index_t piece_of(const Structure& structure) {
    const index_t per_block = kBlock * (3 + structure.slots / std::max<index_t>(structure.blocks, 1));
    const index_t blocks = std::min(kPieceBlocks, std::max<index_t>(kPiece / per_block, 1));
    return blocks < kChunkBlocks ? blocks : blocks / kChunkBlocks * kChunkBlocks;
}

index_t elements_of(const Structure& structure) {
    return structure.slots > INT64_MAX / 32 ? INT64_MAX : structure.slots * kBlock + structure.rows;
}

// Blocks [first, last), and the squares of what has changed. Chunks are counted from block 0 on.
template <class T>
void sweep_blocks(const KernelTable& table, const Blocks<T>& a, Step<T> step, const T* b, T* x, index_t first,
                  index_t last, Scratch* scratch) {
    const auto sweep = sor_blocks_sweep(table, T());
    if (scratch == nullptr) {
        sweep(a, step, b, x, first, last);
        return;
    }
    step.change = scratch->numbers.data();
    const index_t begin = first / kChunkBlocks, end = ceil_div(last, kChunkBlocks);
    for (index_t k = begin; k < end; ++k) {
        const index_t chunk = step.backward ? begin + (end - 1 - k) : k;
        const index_t from = std::max(first, chunk * kChunkBlocks), to = std::min(last, (chunk + 1) * kChunkBlocks);
        sweep(a, step, b, x, from, to);
        sor_squares_add(table, double())(step.change, (to - from) * kBlock, scratch->squares);
    }
}

}  // namespace

template <class T>
void sweep(const System<T>& system, Step<T> step, const T* b, T* x, SquaresSum* squares, InterruptPoll& poll) {
    const Structure& structure = *system.structure;
    const KernelTable& table = kernels();
    const Blocks<T> a = system.blocks();
    step.change = nullptr;
    const std::vector<index_t> whole = {0, structure.blocks};
    const std::vector<index_t>& stages = system.in_natural_order() ? whole : structure.places.first_of_color;
    const int threads = system.in_natural_order() ? 1 : threads_for(elements_of(structure));
    std::vector<Scratch> scratch = scratch_for(squares == nullptr ? 0 : threads);
    const auto of_slot = [&](int slot) {
        return squares == nullptr ? nullptr : &scratch[static_cast<std::size_t>(slot)];
    };
    const index_t piece = threads == 1 ? piece_of(structure) : std::min(piece_of(structure), kChunkBlocks);
    const index_t count = static_cast<index_t>(stages.size()) - 1;
    for (index_t s = 0; s < count; ++s) {
        const auto stage = static_cast<std::size_t>(step.backward ? count - 1 - s : s);
        // Pieces end where chunks do.
        const index_t first = stages[stage], last = stages[stage + 1], base = first / piece * piece;
        const index_t pieces = ceil_div(last - base, piece);
        const auto run = [&](index_t task, int slot) {
            const index_t k = step.backward ? pieces - 1 - task : task;
            sweep_blocks(table, a, step, b, x, std::max(first, base + k * piece),
                         std::min(last, base + (k + 1) * piece), of_slot(slot));
        };
        if (threads == 1) {
            for (index_t task = 0; task < pieces; ++task) {
                poll();
                run(task, 0);
            }
        } else {
            poll();
            parallel_for(pieces, threads, [&](index_t task, int slot) { run(task, slot); });
        }
    }
    if (squares != nullptr)
        merge(scratch, *squares);
}

template <class T>
SquaresSum residual(const System<T>& system, const T* b, const T* x, double* r, InterruptPoll& poll) {
    const Structure& structure = *system.structure;
    const KernelTable& table = kernels();
    const Blocks<T> a = system.blocks();
    const int threads = threads_for(elements_of(structure));
    std::vector<Scratch> scratch = scratch_for(threads);
    poll();
    parallel_for_ranges(structure.blocks, kChunkBlocks, threads, [&](index_t begin, index_t end, int slot) {
        Scratch& s = scratch[static_cast<std::size_t>(slot)];
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
    for (index_t i = 0; i < structure.rows; ++i)
        places[structure.places.of_row[static_cast<std::size_t>(i)]] = rows[i];
}

template <class T>
void from_places(const Structure& structure, const T* places, T* rows) {
    for (index_t i = 0; i < structure.rows; ++i)
        rows[i] = places[structure.places.of_row[static_cast<std::size_t>(i)]];
}

#define SORGUM_SYSTEM(T)                                                                         \
    template void sweep(const System<T>&, Step<T>, const T*, T*, SquaresSum*, InterruptPoll&);   \
    template SquaresSum residual(const System<T>&, const T*, const T*, double*, InterruptPoll&); \
    template void to_places(const Structure&, const T*, T*);                                     \
    template void from_places(const Structure&, const T*, T*);
SORGUM_SYSTEM(float)
SORGUM_SYSTEM(double)
#undef SORGUM_SYSTEM
template void from_places(const Structure&, const std::int32_t*, std::int32_t*);

}  // namespace sorgum::sor
