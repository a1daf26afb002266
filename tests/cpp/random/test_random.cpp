// The formulas of the random family on the instruction set that this file is compiled for: one text for a single word
// and for sixteen, known blocks, and the words of a row against a counter made by hand.
#include <cstring>
#include <random>

#include "kernels/random/words.inl.h"
#include "math/normal.h"
#include "on_isa.h"

SORGUM_ISA_BEGIN

void read_lanes(i32x16 a, std::uint32_t* words) {
    float encoded[16];
    store(encoded, from_bits(a));
    std::memcpy(words, encoded, sizeof encoded);
}

template <int rounds>
void known_block(const std::uint32_t (&counter)[4], const std::uint32_t (&key)[2], const std::uint32_t (&block)[4]) {
    Block<std::int32_t> one;
    Block<i32x16> many;
    for (int w = 0; w < 4; ++w) {
        one.word[w] = static_cast<std::int32_t>(counter[w]);
        many.word[w] = splat_integer<i32x16>(counter[w]);
    }
    one = philox<rounds>(
        one, PhiloxKey<std::int32_t>{{static_cast<std::int32_t>(key[0]), static_cast<std::int32_t>(key[1])}});
    many = philox<rounds>(many, PhiloxKey<i32x16>{{splat_integer<i32x16>(key[0]), splat_integer<i32x16>(key[1])}});
    for (int w = 0; w < 4; ++w) {
        CHECK(static_cast<std::uint32_t>(one.word[w]) == block[w]);
        std::uint32_t lanes[16];
        read_lanes(many.word[w], lanes);
        for (const std::uint32_t lane : lanes)
            CHECK(lane == block[w]);
    }
}

// Random123, tests/kat_vectors.
void known_blocks() {
    constexpr std::uint32_t f = 0xFFFFFFFF;
    known_block<10>({0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    known_block<10>({f, f, f, f}, {f, f}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    known_block<10>({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
                    {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
    known_block<7>({0, 0, 0, 0}, {0, 0}, {0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48});
    known_block<7>({f, f, f, f}, {f, f}, {0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662});
    known_block<7>({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
                   {0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a});
}

// Words of a row by lanes, across the places where the counter's low word runs over, and to the last one.
void words_of_a_row() {
    std::mt19937_64 random{7};
    constexpr index_t step = kGroupWords;
    for (const index_t at : {index_t(0), step, index_t(1) << 33, (index_t(1) << 34) - step, (index_t(1) << 34),
                             index_t(1) << 60, INT64_MAX - (3 * step - 1)}) {
        const NoiseRow row = {random(), random(), random(), Purpose::gumbel, (at & step) != 0, nullptr};
        const PhiloxKey<std::int32_t> key = row_key(row);
        index_t groups = 0;
        for_each_group(row, at + 3, 2 * step - 1, [&](index_t place, const i32x16* w) {
            CHECK(place == at + step * groups);
            ++groups;
            for (int k = 0; k < kGroupVectors; ++k) {
                std::uint32_t words[16];
                read_lanes(w[k], words);
                for (int i = 0; i < 16; ++i) {
                    const std::uint64_t index = static_cast<std::uint64_t>(place + 16 * k + i);
                    const Block<std::int32_t> counter = {
                        {low_word(index / 4), high_word(index / 4), low_word(row.position), high_word(row.position)}};
                    const Block<std::int32_t> b = philox<kPhiloxRounds>(counter, key);
                    CHECK(words[i] == static_cast<std::uint32_t>(b.word[index % 4]));
                }
            }
        });
        CHECK(groups == 3);
    }
}

template <class F, class G>
void same_results(F one, G many) {
    std::mt19937_64 random{11};
    for (int round = 0; round < 20000; ++round) {
        std::uint32_t words[32];
        for (std::uint32_t& w : words) {
            const std::uint64_t r = random();
            w = static_cast<std::uint32_t>(r >> 32) >> (r % 33 == 32 ? 31 : r % 33);
            w = (r & 64) != 0 ? ~w : w;
        }
        one(words, many(words));
    }
}

template <class Law>
void one_double_and_sixteen(Law law) {
    struct Doubles {
        double v[16];
    };
    same_results(
        [&](const std::uint32_t* w, const Doubles& r) {
            for (int i = 0; i < 16; ++i)
                CHECK(same_bits(r.v[i], law(open_unit<double>(static_cast<std::int64_t>(w[i])))));
        },
        [&](const std::uint32_t* w) {
            Doubles r;
            store(r.v, law(open_unit<f64x16>(zero_extend(load_words(w)))));
            return r;
        });
    same_results(
        [&](const std::uint32_t* w, const Doubles& r) {
            for (int i = 0; i < 16; ++i) {
                const std::uint64_t wide = static_cast<std::uint64_t>(w[2 * i + 1]) << 32 | w[2 * i];
                CHECK(same_bits(r.v[i], law(open_unit_wide<double>(static_cast<std::int64_t>(wide)))));
            }
        },
        [&](const std::uint32_t* w) {
            Doubles r;
            store(r.v, law(open_unit_wide<f64x16>(join(load_words(w), load_words(w + 16)))));
            return r;
        });
}

template <class Law>
void one_element_and_sixteen(Law law) {
    struct Floats {
        float v[16];
    };
    same_results(
        [&](const std::uint32_t* w, const Floats& r) {
            for (int i = 0; i < 16; ++i)
                CHECK(same_bits(r.v[i], law(open_unit<float>(static_cast<std::int32_t>(w[i])))));
        },
        [&](const std::uint32_t* w) {
            Floats r;
            store(r.v, law(open_unit<f32x16>(load_words(w))));
            return r;
        });
    one_double_and_sixteen(law);
}

SORGUM_NOINLINE void all() {
    known_blocks();
    words_of_a_row();
    one_element_and_sixteen([](auto p) { return uniform<float>(p); });
    one_element_and_sixteen([](auto p) { return exponential(p); });
    one_element_and_sixteen([](auto p) { return gumbel(p); });
    one_element_and_sixteen([](auto p) { return logistic(p); });
    one_double_and_sixteen([](auto p) { return normal_quantile(p); });
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
