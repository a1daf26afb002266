// What the token filters keep of a row. Every filter keeps the first elements of one order (larger before smaller, of
// equal ones the lower index first), so filters one after the other keep the shortest of their prefixes, and what is
// searched is where it ends: kernels/random/filter.h.
#pragma once

#include <algorithm>
#include <vector>

#include "dispatch/dispatch.h"

namespace sorgum::random {

enum class FilterStep { temperature, min_p, top_k, top_p };

struct FilterRules {
    FilterStep order[4];
    bool all_ties;  // of equal elements at the end of a prefix all are kept, instead of the first ones
};

// The filters of one row. At least the length, 1 and 0 keep everything.
struct Filters {
    double temperature;
    index_t top_k;
    double top_p, min_p;
};

// Below it a temperature counts as 0: its reciprocal may not be finite.
inline constexpr double kLeastTemperature = 0x1p-1022;

template <class T>
class PrefixSearch {
public:
    // `parts` calls what it is given with (elements, the first one's place, their number) for all parts of the row, of
    // a multiple of 1024 elements each but for the last. False: there is nothing to be filtered, or a NaN or +inf.
    template <class Parts>
    bool run(const Parts& parts, index_t length, const Filters& filters, const FilterRules& rules) {
        length_ = length;
        listed_ = false;
        count_ = 0;
        Peak<T> peak = {-kInfinity, false};
        maxima_.resize(static_cast<std::size_t>((length / 256 + 1) * 16));
        sample_.resize(static_cast<std::size_t>((length / 1024 + 1) * 16));
        maxima_count_ = sample_count_ = 0;
        parts([&](const T* x, index_t, index_t n) {
            random_peaks(table_, T())(x, n, peak, maxima_.data() + maxima_count_, sample_.data() + sample_count_);
            maxima_count_ += (n + 255) / 256 * 16;
            sample_count_ += (n + 1023) / 1024 * 16;
        });
        spoilt_ = peak.has_nan || peak.max == kInfinity;
        if (spoilt_ || peak.max == -kInfinity)
            return false;
        max_ = peak.max;
        end_ = {kLeast, kAll, 0};
        double temperature = 1.0;
        for (const FilterStep step : rules.order) {
            if (step == FilterStep::temperature)
                temperature = filters.temperature;
            if (step == FilterStep::min_p && filters.min_p > 0.0)
                shorten({random_logit_at(table_, T())(max_, temperature, filters.min_p), kAll, 0});
            if (step == FilterStep::top_k && filters.top_k < length)
                keep_count(parts, filters.top_k, rules.all_ties);
            if (step == FilterStep::top_p && filters.top_p < 1.0)
                keep_mass(parts, temperature, filters.top_p, rules.all_ties);
        }
        prefix_ = {end_.value, kAll};
        if (end_.left_out > 0)
            prefix_.last = place_of_last(parts);
        if (!listed_)
            collect(parts, end_.value);
        if (listed_)
            drop_what_is_not_kept();
        return true;
    }

    const Prefix<T>& prefix() const { return prefix_; }
    bool spoilt() const { return spoilt_; }
    // Whether there is a list of the elements kept and their places, integers in the encoding of T.
    bool listed() const { return listed_; }
    const T* values() const { return values_.data(); }
    const T* places() const { return places_.data(); }
    index_t count() const { return count_; }

private:
    static constexpr index_t kAll = index_t(1) << 62;  // more than any row has
    static constexpr T kInfinity = static_cast<T>(__builtin_inf());
    static constexpr T kLeast = -(sizeof(T) == 4 ? static_cast<T>(__FLT_MAX__) : static_cast<T>(__DBL_MAX__));

    // Kept is what is above `value`, and the first `equal` of what is equal to it; `left_out` of those are not.
    struct End {
        T value;
        index_t equal, left_out;
    };
    void shorten(const End& end) {
        if (end.value > end_.value || (end.value == end_.value && end.equal < end_.equal))
            end_ = end;
    }

    // Elements from `least` on go to a list, unless they are many: then the row is searched as it is.
    template <class Parts>
    void collect(const Parts& parts, T least) {
        if (sizeof(T) == 4 && length_ > INT32_MAX)
            return;
        const index_t room = length_ / 4 + 64;
        values_.resize(static_cast<std::size_t>(room + 16));
        places_.resize(values_.size());
        count_ = 0;
        parts([&](const T* x, index_t first, index_t n) {
            if (count_ >= 0)
                count_ = random_collect(table_, T())(x, first, n, std::max(least, end_.value), count_, room,
                                                     values_.data(), places_.data());
        });
        listed_ = count_ >= 0;
    }

    template <class Parts, class F>
    void each(const Parts& parts, F&& f) const {
        if (listed_)
            f(values_.data(), index_t(0), count_);
        else
            parts(f);
    }

    // Calls for_each with what adds a part to a tally, until the search is at its end; false if it has none.
    template <class ForEach>
    bool finish(Search<T>& search, const IntegerWeights<T>* weights, const ForEach& for_each) {
        for (;;) {
            tally_ = {};
            for_each([&](const T* x, index_t, index_t n) { random_tally(table_, T())(x, n, weights, search, tally_); });
            const int state = random_narrow(table_, T())(tally_, search);
            if (state != 0)
                return state > 0;
        }
    }

    template <class Parts>
    void keep_count(const Parts& parts, index_t k, bool all_ties) {
        // k of the groups that have a maximum of at least this have that many elements of at least this.
        Search<T> bound = {kLeast, max_, false, k, 0, 0, 0};
        if (!listed_ && finish(bound, nullptr, [&](auto&& f) { f(maxima_.data(), index_t(0), maxima_count_); }))
            collect(parts, bound.least);
        Search<T> search = {end_.value, max_, false, k, 0, 0, 0};
        if (!finish(search, nullptr, [&](auto&& f) { each(parts, f); }))
            return;
        const index_t equal = all_ties ? search.count : k - search.above;
        shorten({search.least, equal, search.count - equal});
    }

    template <class Parts>
    void keep_mass(const Parts& parts, double temperature, double p, bool all_ties) {
        IntegerWeights<T> weights;
        weights.max = max_;
        weights.only_largest = temperature < kLeastTemperature;
        special_exp_scale(table_, T())(weights.only_largest ? 1.0 : temperature, weights.scale);
        weights.digits = 61;
        for (index_t n = length_; n > 1; n = (n + 1) / 2)
            --weights.digits;
        weights.digits = std::min(weights.digits, 43);  // a chunk's sum keeps within 52
        const auto mass_of = [&](T x) { return random_mass(table_, T())(&x, 1, weights, x); };
        index_t mass = 0;
        each(parts,
             [&](const T* x, index_t, index_t n) { mass += random_mass(table_, T())(x, n, weights, end_.value); });
        if (end_.left_out > 0)
            mass -= end_.left_out * mass_of(end_.value);
        const index_t target = share_of(mass, p);
        if (!listed_) {
            const T certain = bound_of_mass(mass, mass_of(max_), temperature, p),
                    likely = sampled_bound(mass, p, weights);
            collect(parts, std::max(certain, likely));
            if (likely > certain && listed_ &&
                random_mass(table_, T())(values_.data(), count_, weights, kLeast) < target)
                collect(parts, certain);
        }
        Search<T> search = {end_.value, max_, true, target, 0, 0, 0};
        if (!finish(search, &weights, [&](auto&& f) { each(parts, f); }))
            return;
        const index_t needed = (search.target - search.above - 1) / search.weight + 1;
        const index_t equal = all_ties ? search.count : needed;
        shorten({search.least, equal, search.count - equal});
    }

    // What is below it weighs at most 1 - p of the mass: each element of it weighs less than that share of it over the
    // length, even if roundings are against it.
    T bound_of_mass(index_t mass, index_t largest, double temperature, double p) const {
        const double each = (1.0 - p) * static_cast<double>(mass) / static_cast<double>(length_) * 0.98;
        if (each < 64.0)  // half a unit of rounding would count
            return kLeast;
        return random_logit_at(table_, T())(max_, temperature, std::min(1.0, each / static_cast<double>(largest)));
    }

    // What is below it probably weighs no more than half of 1 - p of the mass: so it does in the sample.
    T sampled_bound(index_t mass, double p, const IntegerWeights<T>& weights) {
        const index_t sampled = random_mass(table_, T())(sample_.data(), sample_count_, weights, end_.value);
        const double below = (1.0 - p) * static_cast<double>(mass) / 2 * static_cast<double>(sample_count_) /
                             static_cast<double>(length_);
        Search<T> search = {end_.value, max_, true, sampled - static_cast<index_t>(below), 0, 0, 0};
        if (search.target < 1 ||
            !finish(search, &weights, [&](auto&& f) { f(sample_.data(), index_t(0), sample_count_); }))
            return kLeast;
        return search.least;
    }

    // The least integer that is not below p mass, of 0 < p < 1.
    static index_t share_of(index_t mass, double p) {
        std::uint64_t encoding;
        __builtin_memcpy(&encoding, &p, sizeof encoding);
        const auto exponent = static_cast<int>(encoding >> 52);
        const std::uint64_t leading = exponent > 0 ? std::uint64_t(1) << 52 : 0;
        const unsigned __int128 digits = (encoding & 0xFFFFFFFFFFFFFu) | leading;
        const int shift = 1075 - (exponent > 0 ? exponent : 1);  // p = digits / 2^shift
        if (shift >= 120)
            return 1;
        const unsigned __int128 product = digits * static_cast<std::uint64_t>(mass);
        return static_cast<index_t>((product + ((static_cast<unsigned __int128>(1) << shift) - 1)) >> shift);
    }

    template <class Parts>
    index_t place_of_last(const Parts& parts) const {
        index_t nth = end_.equal, place = -1;
        each(parts, [&](const T* x, index_t first, index_t n) {
            const index_t at = place < 0 ? random_find_equal(table_, T())(x, n, end_.value, nth) : -1;
            place = at < 0 ? place : listed_ ? place_at(at) : first + at;
        });
        return place;
    }

    index_t place_at(index_t k) const {
        if constexpr (sizeof(T) == 4) {
            std::int32_t place;
            __builtin_memcpy(&place, &places_[static_cast<std::size_t>(k)], sizeof place);
            return place;
        } else {
            std::int64_t place;
            __builtin_memcpy(&place, &places_[static_cast<std::size_t>(k)], sizeof place);
            return place;
        }
    }

    void drop_what_is_not_kept() {
        index_t kept = 0;
        for (index_t k = 0; k < count_; ++k) {
            const T x = values_[static_cast<std::size_t>(k)], place = places_[static_cast<std::size_t>(k)];
            const bool in = x > prefix_.value || (x == prefix_.value && place_at(k) <= prefix_.last);
            values_[static_cast<std::size_t>(kept)] = x;
            places_[static_cast<std::size_t>(kept)] = place;
            kept += in ? 1 : 0;
        }
        count_ = kept;
    }

    const KernelTable& table_ = kernels();
    index_t length_ = 0;
    T max_ = 0;
    End end_ = {0, 0, 0};
    Prefix<T> prefix_ = {0, 0};
    std::vector<T> maxima_, sample_, values_, places_;
    index_t maxima_count_ = 0, sample_count_ = 0, count_ = 0;
    bool listed_ = false, spoilt_ = false;
    Tally tally_;
};

}  // namespace sorgum::random
