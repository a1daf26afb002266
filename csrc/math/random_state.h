// The structs of the family random that cross translation units.
#pragma once

#include "core/config.h"
#include "core/types.h"
#include "math/softmax_state.h"

namespace sorgum {

// What a stream of words is for. Streams of one key with different purposes are different streams. The numbers are part
// of the layout of counters (math/stream.h) and never change; 64-bit words take the number that follows.
enum class Purpose : std::uint32_t {
    bits = 0,
    uniform = 2,
    exponential = 4,
    gumbel = 6,
    logistic = 8,
    inverse = 10,
    normal = 12,
    gamma = 14
};

// Below it a temperature counts as 0, whose draw is the first of the largest logits: its reciprocal may not be finite.
inline constexpr double kLeastTemperature = 0x1p-1022;

static SORGUM_HD double counted_temperature(double temperature) {
    return temperature > 0.0 && temperature < kLeastTemperature ? 0.0 : temperature;
}

// A row of words: which of them is drawn is then the matter of an index alone.
struct NoiseRow {
    std::uint64_t key, stream, position;
    Purpose purpose;
    bool wide;                   // words of 64 bits
    const std::uint32_t* given;  // words to be used instead, for tests; or null
};

// The largest of x + T G over any part of a row, as an unevaluated sum: value + low, where |low| is at most half a unit
// of value. No element: value -inf, index -1. A NaN or +inf among the logits: value NaN, index -1.
struct Draw {
    double value, low;
    index_t index;
};

// Whether a goes before b: NaN before all, no element after all; else the larger sum, of equal ones the lower index.
static SORGUM_HD bool precedes(const Draw& a, const Draw& b) {
    if (a.value != a.value || b.value != b.value)
        return a.value != a.value;
    if (a.index < 0 || b.index < 0)
        return b.index < 0;
    return a.value > b.value || (a.value == b.value && (a.low > b.low || (a.low == b.low && a.index < b.index)));
}

// What a chunk of logits weighs: value 2^exponent, value below 2^14. Where T is so small or the logits so large that
// only the row's largest elements count (`far`), value is how many of the chunk's elements are the largest of the
// chunk.
struct ChunkMass {
    double max;    // -inf when there is no element
    double value;  // NaN when there is a NaN or +inf
    index_t exponent;
    bool far;
};

// The first elements of a row in the order "larger values first, of equal ones the lower index": those above `value`,
// and those equal to it up to index `last`.
template <class T>
struct Prefix {
    T value;
    index_t last;
};

// A row's largest element, and whether there is a NaN.
template <class T>
struct Peak {
    T max;
    bool has_nan;
};

// Integer weights of elements, and sums of them: exp((x - max) / T) in units of about 2^-84, rounded, so that half a
// unit for each of 2^32 elements is below 2^-52 of the largest weight; or, unless `fine`, of 2^-43, which does for
// float32 and 2^18 elements: 2^-26 is little beside the 2^-22 of a weight. `only_largest`: the same for the largest
// ones, 0 for the others, as where T is 0.
using Mass = __int128;
template <class T>
struct IntegerWeights {
    ExpScale<T> scale;
    T max;
    bool only_largest, fine;
};

// The search for the element at which the count of elements, or their mass, from the largest on reaches `target`: it
// stands in [least, most], and `above` is what stands above. At the end the two are equal, and `count` elements are
// equal to them.
template <class T>
struct Search {
    T least, most;
    bool by_mass;
    Mass target, above;
    index_t count;
};

// Elements of a search by their place in [least, most]; the integers of the least and the largest among them.
inline constexpr int kBucketBits = 10;
inline constexpr index_t kBuckets = index_t(1) << kBucketBits;
struct Tally {
    index_t low = INT64_MAX, high = INT64_MIN;
    index_t count[kBuckets] = {};
    Mass mass[kBuckets] = {};
};

// A token that a sequence holds, how often it was drawn (0: it stands in the prompt), and what that costs it.
struct SeenToken {
    index_t token, count;
};
struct Penalties {
    double repetition, frequency, presence;
};

}  // namespace sorgum
