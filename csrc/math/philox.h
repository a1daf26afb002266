// Philox4x32: four words of 32 bits as a pure function of a counter (128 bits) and a key (64 bits).
//
// Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", section 3.3. Ten rounds
// are the authors' recommendation; seven are the least that passed their tests. Lanes I: std::int32_t or i32x16, which
// hold unsigned words.
#pragma once

#include "math/lane.h"

SORGUM_ISA_BEGIN

inline constexpr int kPhiloxRounds = 10;

template <class I>
struct Block {
    I word[4];
};

template <class I>
struct PhiloxKey {
    I word[2];
};

// Several blocks of one key, round by round: a block alone is one chain of multiplications, each waiting for the last.
template <int rounds, int blocks, class I>
SORGUM_HD void philox(Block<I> (&c)[blocks], PhiloxKey<I> key) {
    // Two multipliers, and the Weyl increments of the key: the golden ratio and sqrt(3) - 1.
    const I multiplier0 = splat_integer<I>(0xD2511F53), multiplier1 = splat_integer<I>(0xCD9E8D57);
    const I step0 = splat_integer<I>(0x9E3779B9), step1 = splat_integer<I>(0xBB67AE85);
#if defined(__CUDACC__)
#pragma unroll
#else
#pragma GCC unroll 10
#endif
    for (int round = 0; round < rounds; ++round) {
#if !defined(__CUDACC__)  // device code has one block
#pragma GCC unroll 4
#endif
        for (int b = 0; b < blocks; ++b) {
            const I* const w = c[b].word;
            const I high0 = multiply_high(w[0], multiplier0), low0 = multiply_low(w[0], multiplier0);
            const I high1 = multiply_high(w[2], multiplier1), low1 = multiply_low(w[2], multiplier1);
            c[b] = {
                {int_xor(int_xor(high1, w[1]), key.word[0]), low1, int_xor(int_xor(high0, w[3]), key.word[1]), low0}};
        }
        key = {{int_add(key.word[0], step0), int_add(key.word[1], step1)}};
    }
}
template <int rounds, class I>
SORGUM_HD Block<I> philox(Block<I> c, PhiloxKey<I> key) {
    Block<I> one[1] = {c};
    philox<rounds>(one, key);
    return one[0];
}

SORGUM_ISA_END
