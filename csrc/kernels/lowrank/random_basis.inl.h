#pragma once

#include "kernels/lowrank/random_basis.h"
#include "kernels/random/words.inl.h"
#include "math/uniform.h"

SORGUM_ISA_BEGIN

using namespace sorgum::lowrank;

inline constexpr index_t kBasisTile = 2048;  // numbers of each basis at a time: what is added to stays in cache
inline constexpr index_t kBasisChunk = 512;  // terms that are summed in T

// 2 v - 1 = (word - 2^31 + 1/2) / 2^31: of floats rounded twice, where v itself would be 0 or 1 more often.
template <class T>
SORGUM_INLINE vec<T> centred(i32x16 word) {
    if constexpr (sizeof(T) == 4)
        return fma(to_float(int_xor(word, splat_integer<i32x16>(0x80000000))), splat<f32x16>(0x1p-31f),
                   splat<f32x16>(0x1p-32f));
    else
        return fma(splat<f64x16>(2), open_from_word<f64x16>(zero_extend(word)), splat<f64x16>(-1));
}

template <class T>
void basis_add_kernel(std::uint64_t key, const T* weights, index_t count, index_t first, index_t n, T* y) {
    alignas(64) T sum[kBasisTile];
    for (index_t begin = 0; begin < n; begin += kBasisTile) {
        const index_t here = n - begin < kBasisTile ? n - begin : kBasisTile;
        for (index_t j = 0; j < kBasisTile; j += kLanes)
            store(sum + j, j < here ? load_first(y + begin + j, here - j, T(0)) : splat<vec<T>>(T(0)));
        for (index_t i = 0; i < count; ++i) {
            const NoiseRow row = {key, static_cast<std::uint64_t>(i), 0, Purpose::uniform, false, nullptr};
            const vec<T> weight = splat<vec<T>>(weights[i]);
            for_each_group_from<Source::computed>(
                row, first + begin, here, [&](index_t at, const i32x16* w) SORGUM_LAMBDA {
                    T* const to = sum + (at - first - begin);
#pragma GCC unroll 8
                    for (int k = 0; k < kGroupVectors; ++k)
                        store(to + k * kLanes, fma(weight, centred<T>(w[k]), load(to + k * kLanes)));
                });
        }
        for (index_t j = 0; j < here; j += kLanes)
            store_first(y + begin + j, canonicalise_nan(load(sum + j)), here - j);
    }
}

// The row keys of 16 streams.
SORGUM_INLINE PhiloxKey<i32x16> keys_of_streams(std::uint64_t key, index_t first) {
    constexpr float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const f32x16 magic = splat<f32x16>(Format<float>::round_magic);
    const i32x16 lane = int_sub(bits(load(lanes) + magic), bits(magic)), none = splat_integer<i32x16>(0);
    const PhiloxKey<std::int32_t> words = words_of_key(key);
    const Block<i32x16> b = philox<kPhiloxRounds>(
        Block<i32x16>{{int_add(splat_integer<i32x16>(first), lane), none,
                       splat_integer<i32x16>(static_cast<std::int64_t>(Purpose::uniform)), none}},
        PhiloxKey<i32x16>{{splat_integer<i32x16>(words.word[0]), splat_integer<i32x16>(words.word[1])}});
    return {{b.word[0], b.word[1]}};
}

SORGUM_INLINE f64x16 sum_of_chunk(f32x16 sum) { return widen(sum); }
SORGUM_INLINE f64x16 sum_of_chunk(f64x16 sum) { return sum; }
SORGUM_INLINE void store_dots(float* y, f64x16 total, index_t n) { store_first(y, canonicalise_nan(narrow(total)), n); }
SORGUM_INLINE void store_dots(double* y, f64x16 total, index_t n) { store_first(y, canonicalise_nan(total), n); }

// A lane is a basis: its sum has one order, whatever the instruction set.
template <class T>
void basis_dots_kernel(std::uint64_t key, index_t first, index_t count, const T* g, index_t n, T* y) {
    constexpr int blocks = 2, terms = 4 * blocks;
    const PhiloxKey<i32x16> own = keys_of_streams(key, first);
    const i32x16 none = splat_integer<i32x16>(0);
    f64x16 total = splat<f64x16>(0);
    for (index_t begin = 0; begin < n; begin += kBasisChunk) {
        const index_t end = n - begin < kBasisChunk ? n : begin + kBasisChunk;
        vec<T> sum = splat<vec<T>>(T(0));
        for (index_t j = begin; j < end; j += terms) {
            T last[terms] = {};
            const T* from = g + j;
            if (end - j < terms) {
                for (index_t k = 0; k < end - j; ++k)
                    last[k] = from[k];
                from = last;
            }
            Block<i32x16> b[blocks];
            for (int k = 0; k < blocks; ++k) {
                const std::uint64_t block = static_cast<std::uint64_t>(j / 4 + k);
                b[k] = {{splat_integer<i32x16>(low_word(block)), splat_integer<i32x16>(high_word(block)), none, none}};
            }
            philox<kPhiloxRounds>(b, own);
#pragma GCC unroll 8
            for (int k = 0; k < terms; ++k)
                sum = fma(splat<vec<T>>(from[k]), centred<T>(b[k / 4].word[k % 4]), sum);
        }
        total = total + sum_of_chunk(sum);
    }
    store_dots(y, total, count);
}

SORGUM_ISA_END
