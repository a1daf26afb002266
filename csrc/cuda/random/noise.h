// Noise by groups of threads: a thread makes whole blocks of Philox, and the numbers are those of
// csrc/kernels/random/noise.h.
#pragma once

#include "cuda/random/places.h"
#include "math/half.h"
#include "math/normal.h"

SORGUM_ISA_BEGIN

using sorgum::cuda::NoiseRows;

inline constexpr int kNoiseBlocks = 4;  // of Philox, for each thread: the row's key is worked out once for all

template <class T, Purpose law, class L, bool wide>
SORGUM_GROUP L noise_of(OpenUnit<L, wide> p) {
    if constexpr (law == Purpose::uniform)
        return uniform<T>(p);
    else if constexpr (law == Purpose::exponential)
        return exponential(p);
    else if constexpr (law == Purpose::gumbel)
        return gumbel(p);
    else if constexpr (law == Purpose::logistic)
        return logistic(p);
    else
        return normal_quantile(p);
}

SORGUM_GROUP void round_to(double a, double& y) { y = a; }
SORGUM_GROUP void round_to(double a, float& y) { y = narrow(a); }
SORGUM_GROUP void round_to(float a, float& y) { y = a; }
SORGUM_GROUP void round_to(float a, bfloat16& y) { y = narrow_to_bfloat16(a); }

// Element k of a block of words: a word each, or two for words of 64 bits. float32 has float32's formulas where its
// word has 32 bits, but for normal numbers; bfloat16 is float32 rounded once more.
template <class T, Purpose law, bool wide>
SORGUM_GROUP T element_of(const Block<std::int32_t>& b, int k) {
    T y;
    if constexpr (law == Purpose::bits) {
        if constexpr (wide)
            y = shift_left<32>(zero_extend(b.word[2 * k + 1])) | zero_extend(b.word[2 * k]);
        else
            y = b.word[k];
    } else {
        constexpr bool half = sizeof(T) == 2;
        using F = typename std::conditional<half, float, T>::type;
        F exact;
        if constexpr (wide)
            round_to(noise_of<F, law>(open_unit_wide<double>(shift_left<32>(zero_extend(b.word[2 * k + 1])) |
                                                             zero_extend(b.word[2 * k]))),
                     exact);
        else if constexpr (sizeof(F) == 8 || law == Purpose::normal)
            round_to(noise_of<F, law>(open_unit<double>(zero_extend(b.word[k]))), exact);
        else
            round_to(noise_of<F, law>(open_unit<float>(b.word[k])), exact);
        if constexpr (half)
            round_to(exact, y);
        else
            y = exact;
    }
    return y;
}

// Blocks of Philox that a row's elements take, and threads for each row.
template <bool wide>
SORGUM_GROUP index_t noise_blocks(index_t offset, index_t n) {
    constexpr index_t share = wide ? 2 : 4;
    return (offset + n - 1) / share - offset / share + 1;
}
template <bool wide>
SORGUM_GROUP index_t noise_threads(index_t offset, index_t n) {
    return (noise_blocks<wide>(offset, n) + kNoiseBlocks - 1) / kNoiseBlocks;
}

SORGUM_GROUP Block<std::int32_t> given_block(const std::uint32_t* words, index_t block) {
    Block<std::int32_t> b;
    SORGUM_UNROLL
    for (int k = 0; k < 4; ++k)
        b.word[k] = static_cast<std::int32_t>(words[4 * block + k]);
    return b;
}

// Group `group` of the grid. Neighbouring threads take neighbouring blocks.
template <Purpose law, bool wide, class T, class G>
SORGUM_GROUP void noise_group(const G& g, const NoiseRows<T>& r, index_t group) {
    constexpr int share = wide ? 2 : 4;
    using Elements = Pack<T, share>;
    const index_t offset = r.places.offset, first = offset / share;
    const index_t blocks = noise_blocks<wide>(offset, r.n), threads = noise_threads<wide>(offset, r.n);
    g.each([&](int t) {
        const index_t thread = group * G::size + t, row = thread / threads;
        if (row >= r.rows)
            return;
        const NoiseRow noise = noise_row(r.places, row, 0, law, wide);
        const PhiloxKey<std::int32_t> own = row_key(noise);
        T* const y = r.y + row * r.y_row;
        for (index_t block = thread % threads; block < blocks; block += threads) {
            const Block<std::int32_t> words =
                r.given == nullptr ? words_of_block(own, noise.position, static_cast<std::uint64_t>(first + block))
                                   : given_block(r.given, first + block);
            Elements e;
            SORGUM_UNROLL
            for (int k = 0; k < share; ++k)
                e.element[k] = element_of<T, law, wide>(words, k);
            const index_t at = (first + block) * share - offset;
            if (one_access<T, share>(y, at, 0, r.n)) {
                store_at_once(y + at, e);
                continue;
            }
            SORGUM_UNROLL
            for (int k = 0; k < share; ++k)
                if (at + k >= 0 && at + k < r.n)
                    y[at + k] = e.element[k];
        }
    });
}

SORGUM_ISA_END
