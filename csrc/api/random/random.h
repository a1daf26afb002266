// Keyed noise on arrays of any layout.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/types.h"

namespace sorgum::random {

// Words 0 and 1 of the block that a key makes of {data low, data high, 0, tag}: keys derived from a key. Tag 0 belongs
// to the rows of math/stream.h.
std::uint64_t derived_key(std::uint64_t key, std::uint64_t data, std::uint32_t tag);

// Blocks of Philox4x32: counter (4, n), key (2, n), out (4, n), contiguous, words in the encoding of float32.
void philox(const ArrayView& counter, const ArrayView& key, const ArrayView& out, index_t rounds);

// Who draws: the key, and per row its stream (by default its number) and its position.
struct Source {
    std::uint64_t key;
    std::optional<ArrayView> streams;  // int64, taken as 64 bits; the shape of the rows
    ArrayView position;                // likewise; a scalar or one per row
    index_t index_offset = 0;
    std::optional<ArrayView> given;  // float32 encodings of the words of every row, for tests
};

// Fills `out`, float32 or float64, whose last axis makes rows, with "bits", "uniform", "exponential", "gumbel" or
// "logistic". `wide`: from words of 64 bits.
void noise(const std::string& law, bool wide, const Source& source, const std::vector<index_t>& shape,
           const ArrayView& out);

// What is kept of a row's categories: per-row numbers, scalars or of the rows' shape, and the order in which they
// apply, which names "temperature", "min_p", "top_k" and "top_p" once each.
struct FilterArguments {
    ArrayView top_k;         // int64
    ArrayView top_p, min_p;  // float64
    std::vector<std::string> order;
    bool all_ties;
};

// A draw from every row, by Gumbel-max or by inversion (then only the index is of use), whose categories lie along the
// last axis of `logits`. `out` is float64 and has the rows' shape and one more axis of four: value, low and (64 bits of
// an integer) index of a Draw, and, where it is asked for, the logarithm of the drawn category's probability, NaN if
// there is none.
struct DrawArguments {
    const char* function;
    ArrayView logits;                // of a floating-point type
    ArrayView temperature;           // float64, a scalar or one per row
    std::optional<ArrayView> where;  // bool, broadcast to the logits
    ArrayView out;
    bool inverse, log_prob;
    std::optional<FilterArguments> filters;
};
void draw(const DrawArguments& arguments, const Source& source);

// out = logits where the filters keep them, else -inf; rows with NaN or +inf become NaN. Half types may have an out of
// float32.
struct KeepArguments {
    const char* function;
    ArrayView logits, temperature;
    std::optional<ArrayView> where;
    ArrayView out;
    FilterArguments filters;
};
void keep_filtered(const KeepArguments& arguments);

// Changes the logits of tokens that were seen, in place: int64 with the rows' shape and one more axis; -1 is no token.
struct PenaltyArguments {
    const char* function;
    ArrayView logits, tokens;
    std::optional<ArrayView> prompt;
    ArrayView repetition, frequency, presence;  // float64, scalars or one per row
};
void penalise(const PenaltyArguments& arguments);

// y of gamma numbers with the shape parameters `concentration` (float64), or of their logarithms.
void gamma(const char* function, const ArrayView& concentration, bool logarithm, const Source& source,
           const ArrayView& out);

// The `most` largest of x + T G in every row, or of what filters keep of it, in order: out has the rows' shape and one
// more axis of 3 most, for as many Draws; missing ones are as of no element, and all are NaN where there is a NaN or
// +inf.
struct TopArguments {
    const char* function;
    ArrayView logits;
    ArrayView temperature;
    std::optional<ArrayView> where;
    index_t most;
    ArrayView out;
    std::optional<FilterArguments> filters;
};
void gumbel_top(const TopArguments& arguments, const Source& source);

// out = softmax((logits + G) / T) along the last axis, in the logits' type; out may be the logits.
struct RelaxArguments {
    const char* function;
    ArrayView logits, temperature;
    std::optional<ArrayView> where;
    ArrayView out;
};
void gumbel_softmax(const RelaxArguments& arguments, const Source& source);

// out = logits + G, in the type that computes with the logits; the categories lie along the last axis.
void gumbel_add(const char* function, const ArrayView& logits, const Source& source, const ArrayView& out);

}  // namespace sorgum::random
