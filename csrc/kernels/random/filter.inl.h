#pragma once

#include "kernels/random/filter.h"
#include "kernels/special/extexp_sum.inl.h"

SORGUM_ISA_BEGIN

using namespace sorgum::random;

inline constexpr index_t kPeakGroup = 16 * kLanes;

template <class T>
void peaks_kernel(const T* x, index_t n, Peak<T>& peak, T* maxima, T* sample) {
    const T least = -from_bits(Format<T>::infinity);
    vec<T> largest = splat<vec<T>>(peak.max);
    bool nan = false;
    for (index_t i = 0; i < n; i += kPeakGroup, maxima += kLanes) {
        vec<T> group = splat<vec<T>>(least);
        if (i % (4 * kPeakGroup) == 0)
            store(sample + i / (4 * kPeakGroup) * kLanes, load_first(x + i, n - i, least));
        if (n - i >= kPeakGroup) {
            auto missing = is_nan(group);
#pragma GCC unroll 16
            for (index_t k = 0; k < kPeakGroup; k += kLanes) {
                prefetch_ahead(x + i + k);
                const vec<T> v = load(x + i + k);
                group = max(v, group);
                missing = either(missing, is_nan(v));
            }
            nan = nan || any(missing);
        } else {
            for (index_t k = i; k < n; k += kLanes) {
                const vec<T> v = load_first(x + k, n - k, least);
                group = max(v, group);
                nan = nan || any(is_nan(v));
            }
        }
        store(maxima, group);
        largest = max(group, largest);
    }
    peak = {fold_max(largest), peak.has_nan || nan};
}

// ---- weights ----

// The weight of an element, times 2^kHeadroom.
template <bool shifted, class T>
struct TermWeights {
    Terms<shifted, T> terms;

    SORGUM_INLINE vec<T> of(vec<T> x) const { return terms.value(x); }
};

template <class T>
struct LargestWeights {
    T max;

    SORGUM_INLINE vec<T> of(vec<T> x) const {
        const vec<T> one = splat<vec<T>>(static_cast<T>(power_of_two_f64(kHeadroom<T>)));
        return select(eq(x, splat<vec<T>>(max)), one, one - one);
    }
};

template <class T>
SORGUM_INLINE f64x16 wide(vec<T> weight) {
    if constexpr (sizeof(T) == 4)
        return widen(weight);
    else
        return weight;
}

// Sums of integers begin at a float64 whose last place is their unit, so that a weight is rounded as it is added. It is
// made larger by this factor then, so that none ends in exactly half a unit: so it becomes the same integer whatever it
// is added to.
inline constexpr double kNoHalf = 1.0 + 0x1p-52;

template <class T>
struct CoarseSum {  // in units of 2^-43: 256 weights of a lane are fewer than 2^52 of them
    f64x16 sum = splat<f64x16>(power_of_two_f64(52 + kHeadroom<T> - 43));

    SORGUM_INLINE void add(vec<T> weight) { sum = fma(wide<T>(weight), splat<f64x16>(kNoHalf), sum); }
    SORGUM_INLINE Mass total() const { return fold_count(int_sub(bits(sum), bits(CoarseSum().sum))); }
    // Of the lanes.
    SORGUM_INLINE void masses(Mass* m) const {
        double encoded[kLanes];
        store(encoded, from_bits(int_sub(bits(sum), bits(CoarseSum().sum))));
        for (int k = 0; k < kLanes; ++k)
            m[k] = bits(encoded[k]);
    }
};

// In units of 2^-84: what is lost when a weight is rounded to units of 2^-42 and may have either sign, is added to
// a second sum. How the two share it depends on what they hold, its whole does not.
template <class T>
struct FineSum {
    static constexpr int kDigits = 42;

    f64x16 high = splat<f64x16>(0x1.8p52 * power_of_two_f64(kHeadroom<T> - kDigits));
    f64x16 low = splat<f64x16>(0x1.8p52 * power_of_two_f64(kHeadroom<T> - 2 * kDigits));

    SORGUM_INLINE void add(vec<T> weight) {
        const f64x16 w = wide<T>(weight), before = high;
        high = before + w;
        low = fma(w - (high - before), splat<f64x16>(kNoHalf), low);
    }
    SORGUM_INLINE Mass total() const {
        const FineSum none;
        return whole(fold_count(int_sub(bits(high), bits(none.high))), fold_count(int_sub(bits(low), bits(none.low))));
    }
    SORGUM_INLINE void masses(Mass* m) const {
        const FineSum none;
        double of_high[kLanes], of_low[kLanes];
        store(of_high, from_bits(int_sub(bits(high), bits(none.high))));
        store(of_low, from_bits(int_sub(bits(low), bits(none.low))));
        for (int k = 0; k < kLanes; ++k)
            m[k] = whole(bits(of_high[k]), bits(of_low[k]));
    }

private:
    SORGUM_INLINE static Mass whole(index_t units, index_t rest) {
        return static_cast<Mass>(units) * (Mass(1) << kDigits) + rest;
    }
};

// Calls f(what weighs an element, an empty sum).
template <class T, class F>
SORGUM_INLINE void with_weights(const IntegerWeights<T>& w, F&& f) {
    const Reference<T> ref = make_reference(w.scale, w.max);
    if (w.only_largest || ref.far)
        f(LargestWeights<T>{w.max}, FineSum<T>());
    else if (ref.shifted || w.scale.prescale != T(1))
        f(TermWeights<true, T>{Terms<true, T>(ref.map, w.scale, w.max)}, FineSum<T>());
    else if (w.fine)
        f(TermWeights<false, T>{Terms<false, T>(ref.map, w.scale, w.max)}, FineSum<T>());
    else if constexpr (sizeof(T) == 4)
        f(TermWeights<false, T>{Terms<false, T>(ref.map, w.scale, w.max)}, CoarseSum<T>());
}

template <class T>
Mass mass_kernel(const T* x, index_t n, const IntegerWeights<T>& weights, T least) {
    Mass total = 0;
    with_weights(weights, [&](const auto& weigh, auto none) SORGUM_LAMBDA {
        const vec<T> bound = splat<vec<T>>(least), absent = splat<vec<T>>(-from_bits(Format<T>::infinity));
        for (index_t i = 0; i < n; i += kChunk) {  // a chunk's weights fit: 256 of them per lane
            const index_t end = n - i < kChunk ? n : i + kChunk;
            auto sum = none;
            index_t k = i;
            for (; k + kLanes <= end; k += kLanes) {
                const vec<T> a = load(x + k);
                sum.add(weigh.of(select(lt(a, bound), absent, a)));
            }
            if (k < end) {
                const vec<T> a = load_first(x + k, end - k, -from_bits(Format<T>::infinity));
                sum.add(weigh.of(select(lt(a, bound), absent, a)));
            }
            total += sum.total();
        }
    });
    return total;
}

// ---- the integers whose order is that of the floats ----

// No float has -1: it would be that of -0, which counts as 0.
template <class T>
SORGUM_INLINE index_t key_of(T x) {
    const auto b = bits(x + T(0));
    return b < 0 ? b ^ static_cast<decltype(b)>(sizeof(T) == 4 ? INT32_MAX : INT64_MAX) : b;
}
template <class T>
SORGUM_INLINE T of_key(index_t key) {
    const auto k = static_cast<decltype(bits(T(0)))>(key == -1 ? -2 : key);
    return from_bits(k < 0 ? k ^ static_cast<decltype(k)>(sizeof(T) == 4 ? INT32_MAX : INT64_MAX) : k);
}

template <class T>
struct Buckets {
    index_t low, high;
    int shift;

    SORGUM_INLINE explicit Buckets(const Search<T>& s) : low(key_of(s.least)), high(key_of(s.most)), shift(0) {
        for (std::uint64_t range = span(high); range >> shift >= static_cast<std::uint64_t>(kBuckets);)
            ++shift;
    }
    SORGUM_INLINE std::uint64_t span(index_t key) const {
        return static_cast<std::uint64_t>(key) - static_cast<std::uint64_t>(low);
    }
    SORGUM_INLINE index_t bucket(T x) const { return static_cast<index_t>(span(key_of(x)) >> shift); }
    SORGUM_INLINE index_t first(index_t bucket) const {
        return static_cast<index_t>(static_cast<std::uint64_t>(low) + (static_cast<std::uint64_t>(bucket) << shift));
    }
};

// Calls f(vector, its place, mask) for vectors that have elements in ]below, above[.
template <class T, class F>
SORGUM_INLINE void for_each_between(const T* x, index_t n, T below, T above, F&& f) {
    const vec<T> low = splat<vec<T>>(below), high = splat<vec<T>>(above);
    const auto in = [&](vec<T> v) SORGUM_LAMBDA { return both(lt(low, v), lt(v, high)); };
    index_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
        vec<T> v[4];
        for (int k = 0; k < 4; ++k)
            v[k] = load(x + i + k * kLanes);
        if (!any(either(either(in(v[0]), in(v[1])), either(in(v[2]), in(v[3])))))
            continue;
        for (int k = 0; k < 4; ++k)
            f(v[k], i + k * kLanes, in(v[k]));
    }
    for (; i < n; i += kLanes) {
        const vec<T> v = load_first(x + i, n - i, -from_bits(Format<T>::infinity));
        f(v, i, in(v));
    }
}

// The neighbours of x in order.
template <class T>
SORGUM_INLINE T number_below(T x) {
    return of_key<T>(key_of(x) - 1);
}
template <class T>
SORGUM_INLINE T number_above(T x) {
    const index_t next = key_of(x) + 1;
    return of_key<T>(next == -1 ? 0 : next);
}

template <class T>
index_t collect_kernel(const T* x, index_t first, index_t n, T least, index_t count, index_t room, T* values,
                       T* places) {
    using I = integer_t<vec<T>>;
    constexpr T numbers[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vec<T> magic = splat<vec<T>>(Format<T>::round_magic);
    const I lane = int_sub(bits(load(numbers) + magic), bits(magic));
    const vec<T> below = splat<vec<T>>(number_below(least));
    const auto append = [&](vec<T> v, index_t i) SORGUM_LAMBDA {
        count += compress(places + count, lt(below, v), from_bits(int_add(lane, splat_integer<I>(first + i))));
    };
    const index_t before = count;
    index_t i = 0;
    for (; i + 4 * kLanes <= n && count <= room; i += 4 * kLanes) {
        vec<T> v[4];
        for (int k = 0; k < 4; ++k)
            v[k] = load(x + i + k * kLanes);
        if (any(lt(below, max(max(v[0], v[1]), max(v[2], v[3])))))
            for (int k = 0; k < 4; ++k)
                append(v[k], i + k * kLanes);
    }
    for (; i < n && count <= room; i += kLanes)
        append(load_first(x + i, n - i, -from_bits(Format<T>::infinity)), i);
    if (count > room)
        return -1;
    for (index_t k = before; k < count; ++k)  // one by one: to compress them, too, takes longer where few are kept
        values[k] = x[bits(places[k]) - first];
    return count;
}

template <class T>
SORGUM_INLINE index_t count_equal(const T* x, index_t n, T value) {
    using I = integer_t<vec<T>>;
    const vec<T> wanted = splat<vec<T>>(value);
    I hits = splat_integer<I>(0);
    for (index_t i = 0; i < n; i += kLanes)
        hits = increment(hits, eq(load_first(x + i, n - i, -from_bits(Format<T>::infinity)), wanted));
    return fold_count(hits);
}

template <class T>
SORGUM_INLINE void count_in_buckets(const T* x, index_t n, const Buckets<T>& buckets, const IntegerWeights<T>* weights,
                                    Tally& tally) {
    if (weights == nullptr) {
        for (index_t k = 0; k < n; ++k)
            ++tally.count[buckets.bucket(x[k])];
        return;
    }
    with_weights(*weights, [&](const auto& weigh, auto none) SORGUM_LAMBDA {
        for (index_t i = 0; i < n; i += kLanes) {
            auto sum = none;
            sum.add(weigh.of(load_first(x + i, n - i, -from_bits(Format<T>::infinity))));
            Mass mass[kLanes];
            sum.masses(mass);
            for (index_t k = 0; k < kLanes && i + k < n; ++k) {
                const index_t bucket = buckets.bucket(x[i + k]);
                ++tally.count[bucket];
                tally.mass[bucket] += mass[k];
            }
        }
    });
}

// Where least and most are equal: the elements are counted, and one is weighed.
template <class T>
SORGUM_INLINE void tally_equal(const T* x, index_t n, const IntegerWeights<T>* weights, T value, Tally& tally) {
    const index_t hits = count_equal(x, n, value);
    if (hits == 0)
        return;
    tally.low = tally.high = key_of(value);
    tally.count[0] += hits;
    if (weights != nullptr)
        tally.mass[0] += hits * mass_kernel(&value, 1, *weights, value);
}

template <class T>
void tally_kernel(const T* x, index_t n, const IntegerWeights<T>* weights, const Search<T>& search, Tally& tally) {
    constexpr index_t kHere = 1024;
    if (search.least == search.most)
        return tally_equal(x, n, weights, search.least, tally);
    const Buckets<T> buckets(search);
    T kept[kHere + kLanes];
    index_t count = 0;
    const auto flush = [&] {
        count_in_buckets(kept, count, buckets, weights, tally);
        vec<T> low = splat<vec<T>>(search.most), high = splat<vec<T>>(search.least);
        for (index_t k = 0; k < count; k += kLanes) {
            low = min(load_first(kept + k, count - k, search.most), low);
            high = max(load_first(kept + k, count - k, search.least), high);
        }
        if (count > 0) {
            const index_t least = key_of(-fold_max(splat<vec<T>>(T(0)) - low)), most = key_of(fold_max(high));
            tally.low = least < tally.low ? least : tally.low;
            tally.high = most > tally.high ? most : tally.high;
        }
        count = 0;
    };
    for_each_between(x, n, number_below(search.least), number_above(search.most),
                     [&](vec<T> v, index_t, auto m) SORGUM_LAMBDA {
                         count += compress(kept + count, m, v);
                         if (count >= kHere)
                             flush();
                     });
    flush();
}

template <class T>
int choose_bucket_kernel(const Tally& tally, Search<T>& s) {
    const Buckets<T> buckets(s);
    index_t b = buckets.bucket(s.most);
    if (tally.low <= tally.high)  // nothing is above it
        b = buckets.bucket(of_key<T>(tally.high));
    const auto descend = [&](const auto* amount) SORGUM_LAMBDA {
        for (; b >= 0 && s.above + amount[b] < s.target; --b)
            s.above += amount[b];
    };
    if (s.by_mass)
        descend(tally.mass);
    else
        descend(tally.count);
    if (b < 0)
        return -1;
    s.count = tally.count[b];
    // Not beyond what is there: where all elements are equal, this is the end.
    const index_t first = buckets.first(b),
                  last = b == buckets.bucket(s.most) ? buckets.high : buckets.first(b + 1) - 1;
    const index_t low = first < tally.low ? tally.low : first, high = last > tally.high ? tally.high : last;
    s.least = of_key<T>(low == -1 ? 0 : low);
    s.most = of_key<T>(high);
    return low == high ? 1 : 0;
}

template <class T>
index_t find_equal_kernel(const T* x, index_t n, T value, index_t& nth) {
    for (index_t i = 0; i < n; i += kChunk) {
        const index_t end = n - i < kChunk ? n : i + kChunk;
        const index_t found = count_equal(x + i, end - i, value);
        if (found < nth) {
            nth -= found;
            continue;
        }
        for (index_t k = i;; ++k)
            if (x[k] == value && --nth == 0)
                return k;
    }
    return -1;
}

template <class T>
T logit_at_kernel(T max, double temperature, double share) {
    const double cut = static_cast<double>(max) + temperature * log(share);
    if (!(cut > static_cast<double>(-Format<T>::largest)))
        return -Format<T>::largest;
    const T nearest = static_cast<T>(cut);
    return static_cast<double>(nearest) < cut ? number_above(nearest) : nearest;
}

// Which lanes of v, the elements from place `at` on, are in the prefix.
template <class T>
SORGUM_INLINE auto in_prefix(const Prefix<T>& prefix, vec<T> v, index_t at) {
    constexpr T ones[kLanes] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const vec<T> value = splat<vec<T>>(prefix.value), zero = splat<vec<T>>(T(0));
    const auto in_time = lt(zero, load_first(ones, prefix.last - at + 1, T(0)));
    return either(lt(value, v), both(eq(v, value), in_time));
}

template <class T>
void keep_kernel(const T* x, index_t first, index_t n, const Prefix<T>& prefix, T* y) {
    const vec<T> absent = splat<vec<T>>(-from_bits(Format<T>::infinity));
    for (index_t i = 0; i < n; i += kLanes) {
        const vec<T> v = load_first(x + i, n - i, -from_bits(Format<T>::infinity));
        store_first(y + i, select(in_prefix(prefix, v, first + i), v, absent), n - i);
    }
}

template <class T>
index_t drop_kernel(T* values, T* places, index_t n, const Prefix<T>& prefix) {
    index_t kept = 0;
    for (index_t i = 0; i < n; i += kLanes) {
        const vec<T> v = load_first(values + i, n - i, -from_bits(Format<T>::infinity));
        const vec<T> p = load_first(places + i, n - i, T(0));
        const auto in = in_prefix(prefix, v, i);
        compress(places + kept, in, p);
        kept += compress(values + kept, in, v);
    }
    return kept;
}

template <class T>
void penalise_kernel(T* x, const SeenToken* seen, index_t n, const Penalties& p) {
    for (index_t k = 0; k < n; ++k) {
        const double logit = static_cast<double>(x[k]), count = static_cast<double>(seen[k].count);
        const double repeated = logit > 0.0 ? logit / p.repetition : logit * p.repetition;
        const double drawn = seen[k].count > 0 ? count * p.frequency + p.presence : 0.0;
        x[k] = canonicalise_nan(static_cast<T>(repeated - drawn));
    }
}

SORGUM_ISA_END
