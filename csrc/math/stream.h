// The layout of counters: which word of which stream is which (N9). It never changes.
//
//   row key  = words 0 and 1 of philox(key, {stream low, stream high, purpose, attempt})
//   word(i)  = word i mod 4 of philox(row key, {(i / 4) low, (i / 4) high, position low, position high})
//
// A word of 64 bits is word(2 i) below word(2 i + 1), under a purpose of its own. Row keys have 64 bits: among 2^32
// streams of one key two are expected to meet. The attempt is 0, but for `gamma`, where attempt t of element i
// takes the whole block i. A key folded or split off (derived_key) has 0 for the purpose and 1 or 2 behind it.
#pragma once

#include "math/philox.h"
#include "math/random_state.h"

SORGUM_ISA_BEGIN

SORGUM_HD std::int32_t low_word(std::uint64_t x) { return static_cast<std::int32_t>(x & 0xFFFFFFFFu); }
SORGUM_HD std::int32_t high_word(std::uint64_t x) { return static_cast<std::int32_t>(x >> 32); }

SORGUM_HD PhiloxKey<std::int32_t> words_of_key(std::uint64_t key) { return {{low_word(key), high_word(key)}}; }

SORGUM_HD PhiloxKey<std::int32_t> row_key(const NoiseRow& row, index_t attempt = 0) {
    const std::uint32_t purpose = static_cast<std::uint32_t>(row.purpose) + (row.wide ? 1 : 0);
    const Block<std::int32_t> counter = {{low_word(row.stream), high_word(row.stream),
                                          static_cast<std::int32_t>(purpose), static_cast<std::int32_t>(attempt)}};
    const Block<std::int32_t> b = philox<kPhiloxRounds>(counter, words_of_key(row.key));
    return {{b.word[0], b.word[1]}};
}

// Words 4 block to 4 block + 3 of a row.
SORGUM_HD Block<std::int32_t> words_of_block(PhiloxKey<std::int32_t> own, std::uint64_t position, std::uint64_t block) {
    return philox<kPhiloxRounds>(
        Block<std::int32_t>{{low_word(block), high_word(block), low_word(position), high_word(position)}}, own);
}

SORGUM_ISA_END
