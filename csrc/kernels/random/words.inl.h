// The words of a row, 128 at a time.
#pragma once

#include "kernels/common/elementwise.inl.h"
#include "math/format.h"
#include "math/stream.h"

SORGUM_ISA_BEGIN

inline constexpr int kGroupVectors = 8;
inline constexpr index_t kGroupWords = kGroupVectors * kLanes;

SORGUM_INLINE i32x16 load_words(const std::uint32_t* p) { return bits(load(reinterpret_cast<const float*>(p))); }

// Lane j takes block 4 (j mod 4) + j / 4 of 16: then their words come into order within quads of lanes.
SORGUM_INLINE i32x16 block_of_lane() {
    constexpr float block[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const f32x16 magic = splat<f32x16>(Format<float>::round_magic);
    return int_sub(bits(load(block) + magic), bits(magic));
}

// The words of a row are computed, unless a test gives them: as many as it asks for.
enum class Source { computed, given, either };

// Words [at, at + kGroupWords) of a row, `at` a multiple of kGroupWords, become w[0], w[1], ... All groups of a segment
// share the counter's high word, so the compiler computes what depends on it, half of the first two rounds, once.
template <Source source>
class Words {
public:
    static constexpr index_t kSegment = index_t(1) << 34;

    SORGUM_INLINE Words(const NoiseRow& row, index_t end) : given_(row.given), end_(end), block_(block_of_lane()) {
        const PhiloxKey<std::int32_t> key = row_key(row);
        for (int k = 0; k < 2; ++k)
            key_.word[k] = splat_integer<i32x16>(key.word[k]);
        position_[0] = splat_integer<i32x16>(low_word(row.position));
        position_[1] = splat_integer<i32x16>(high_word(row.position));
        high_ = block_;
    }
    SORGUM_INLINE void enter_segment(index_t at) { high_ = splat_integer<i32x16>(at >> 34); }
    SORGUM_INLINE void group(index_t at, i32x16* w) const {
        if (source == Source::given || (source == Source::either && __builtin_expect(given_ != nullptr, 0)))
            return look_up(at, w);
        constexpr int blocks = kGroupVectors / 4;
        Block<i32x16> b[blocks];
#pragma GCC unroll 4
        for (int i = 0; i < blocks; ++i)
            b[i] = {
                {int_add(block_, splat_integer<i32x16>((at >> 2) + kLanes * i)), high_, position_[0], position_[1]}};
        philox<kPhiloxRounds>(b, key_);
#pragma GCC unroll 4
        for (int i = 0; i < blocks; ++i) {
            transpose_quads(b[i].word);
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k)
                w[4 * i + k] = b[i].word[k];
        }
    }

private:
    SORGUM_INLINE void look_up(index_t at, i32x16* w) const {
        const float* const p = reinterpret_cast<const float*>(given_) + at;
#pragma GCC unroll 8
        for (int k = 0; k < kGroupVectors; ++k)
            w[k] = bits(load_first(p + k * kLanes, end_ - at - k * kLanes, 0.0f));
    }

    const std::uint32_t* given_;
    index_t end_;
    i32x16 block_, high_, position_[2];
    PhiloxKey<i32x16> key_;
};

template <Source source, class F>
SORGUM_INLINE void for_each_group_from(const NoiseRow& row, index_t first, index_t n, F&& f) {
    Words<source> words(row, int_add(first, n));
    constexpr index_t segment = Words<source>::kSegment;
    index_t at = first / kGroupWords * kGroupWords;
    for (index_t left = first - at + n; left > 0;) {  // the word behind the last one may be number 2^63
        const index_t in_segment = segment - at % segment;
        const index_t here = left < in_segment ? left : in_segment;
        words.enter_segment(at);
        for (index_t i = 0; i < here; i += kGroupWords) {
            i32x16 w[kGroupVectors];
            words.group(at + i, w);
            f(at + i, w);
        }
        at = int_add(at, here);
        left -= here;
    }
}
// Calls f(at, w) for every group that has one of the n words from `first` on. A small f is compiled twice, for computed
// words and for given ones; a large f once.
template <bool few = false, class F>
SORGUM_INLINE void for_each_group(const NoiseRow& row, index_t first, index_t n, F&& f) {
    if (!few)
        for_each_group_from<Source::either>(row, first, n, f);
    else if (row.given != nullptr)
        for_each_group_from<Source::given>(row, first, n, f);
    else
        for_each_group_from<Source::computed>(row, first, n, f);
}

SORGUM_ISA_END
