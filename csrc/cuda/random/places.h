// Streams, positions and temperatures of rows, and memory in packs of a few elements.
#pragma once

#include <type_traits>

#include "cuda/common/group.h"
#include "cuda/random/random_state.h"
#include "math/stream.h"

SORGUM_ISA_BEGIN

using sorgum::cuda::RowPlaces;

SORGUM_GROUP NoiseRow noise_row(const RowPlaces& p, index_t row, index_t sample, Purpose purpose, bool wide) {
    const std::uint64_t position = p.positions == nullptr ? p.position : p.positions[row];
    return {p.key,
            p.streams == nullptr ? static_cast<std::uint64_t>(row) : p.streams[row],
            position + static_cast<std::uint64_t>(sample),
            purpose,
            wide,
            nullptr};
}
SORGUM_GROUP double temperature_of(const RowPlaces& p, index_t row) {
    return counted_temperature(p.temperatures == nullptr ? p.temperature : p.temperatures[row]);
}

// Neighbouring elements that go to or from memory at once where they lie right.
template <class T, int count>
struct alignas(count * sizeof(T)) Pack {
    T element[count];
};

// Whether [at, at + count) lies within [begin, end), and so that it is one access.
template <class T, int count>
SORGUM_GROUP bool one_access(const T* row, index_t at, index_t begin, index_t end) {
    return at >= begin && at + count <= end && reinterpret_cast<std::uintptr_t>(row + at) % (count * sizeof(T)) == 0;
}

// Where one_access() says so. The compiler would take an assignment to pieces, to share them with the other case; this
// one also tells the caches that nobody here will read it again.
template <class T, int count>
SORGUM_GROUP void store_at_once(T* to, const Pack<T, count>& pack) {
#if defined(__CUDA_ARCH__)
    using Access = typename std::conditional<sizeof pack == 8, int2, int4>::type;
    Access words[(sizeof pack + sizeof(Access) - 1) / sizeof(Access)];
    __builtin_memcpy(words, &pack, sizeof pack);
    SORGUM_UNROLL
    for (int k = 0; k < static_cast<int>(sizeof pack / sizeof(Access)); ++k)
        __stcs(reinterpret_cast<Access*>(to) + k, words[k]);
#else
    *reinterpret_cast<Pack<T, count>*>(to) = pack;
#endif
}

SORGUM_ISA_END
