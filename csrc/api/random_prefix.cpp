#include "api/random_prefix.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <type_traits>

namespace sorgum::random {

namespace {

constexpr index_t kAll = index_t(1) << 62;  // more than any row has
constexpr int kAllRounds = INT32_MAX;
constexpr index_t kSlack = 64;  // what `collect` may write behind a list's end

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inf());
template <class T>
constexpr T kLeast = -(sizeof(T) == 4 ? static_cast<T>(__FLT_MAX__) : static_cast<T>(__DBL_MAX__));

// The least integer that is not below p mass, of 0 < p < 1.
index_t share_of(index_t mass, double p) {
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

void merge(Tally& into, const Tally& from) {
    into.low = std::min(into.low, from.low);
    into.high = std::max(into.high, from.high);
    for (index_t b = 0; b < kBuckets; ++b) {
        into.count[b] += from.count[b];
        into.mass[b] += from.mass[b];
    }
}

template <class T>
using Encoding = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

template <class T>
Encoding<T> encoding_of(T x) {
    Encoding<T> integer;
    __builtin_memcpy(&integer, &x, sizeof integer);
    return integer;
}

// The neighbour of a finite number.
template <class T>
T number_above(T x) {
    const Encoding<T> next = x == T(0) ? 1 : encoding_of(x) + (x > T(0) ? 1 : -1);
    __builtin_memcpy(&x, &next, sizeof x);
    return x;
}

}  // namespace

template <class T>
bool PrefixSearch<T>::run(const PiecedRow<T>& row, const Filters& filters, const FilterRules& rules) {
    length_ = row.length();
    tallies_.resize(static_cast<std::size_t>(std::max(row.slots(), static_cast<int>(tallies_.size()))));
    lists_.resize(static_cast<std::size_t>(std::max(row.pieces(), static_cast<index_t>(lists_.size()))));
    listed_ = false;
    if (!look_over(row))
        return false;
    end_ = {kLeast<T>, kAll, 0};
    double temperature = 1.0;
    for (const FilterStep step : rules.order) {
        if (step == FilterStep::temperature)
            temperature = filters.temperature;
        if (step == FilterStep::min_p && filters.min_p > 0.0)
            shorten({random_logit_at(table_, T())(max_, temperature, filters.min_p), kAll, 0});
        if (step == FilterStep::top_k && filters.top_k < length_)
            keep_count(row, filters.top_k, rules.all_ties);
        if (step == FilterStep::top_p && filters.top_p < 1.0)
            keep_mass(row, temperature, filters.top_p, rules.all_ties);
    }
    if (!listed_)
        collect(row, end_.value);
    settle(row);
    return true;
}

template <class T>
void PrefixSearch<T>::shorten(const End& end) {
    if (end.value > end_.value || (end.value == end_.value && end.equal < end_.equal))
        end_ = end;
}

// The largest element, and what the bounds below are taken from.
template <class T>
bool PrefixSearch<T>::look_over(const PiecedRow<T>& row) {
    maxima_count_ = ceil_div(length_, 256) * 16;
    sample_count_ = ceil_div(length_, 1024) * 16;
    maxima_.reserve(maxima_count_);
    sample_.reserve(sample_count_);
    std::vector<Peak<T>> peaks(static_cast<std::size_t>(row.pieces()), Peak<T>{-kInfinity<T>, false});
    row.for_each_piece(length_, [&](index_t piece, int) {
        row.for_each_part(piece, nullptr, [&](const T* x, index_t first, index_t n) {
            random_peaks(table_, T())(x, n, peaks[static_cast<std::size_t>(piece)], maxima_.data() + first / 256 * 16,
                                      sample_.data() + first / 1024 * 16);
        });
    });
    max_ = -kInfinity<T>;
    spoilt_ = false;
    for (const Peak<T>& peak : peaks) {
        max_ = std::max(max_, peak.max);
        spoilt_ = spoilt_ || peak.has_nan;
    }
    spoilt_ = spoilt_ || max_ == kInfinity<T>;
    return !spoilt_ && max_ > -kInfinity<T>;
}

// Elements from `least` on go to lists, unless they are many: then the row is searched as it is.
template <class T>
void PrefixSearch<T>::collect(const PiecedRow<T>& row, T least) {
    const index_t most = length_ / 4 + 64, room = std::min(most, row.piece_length());
    std::atomic<bool> fits{true};
    listed_ = false;
    row.for_each_piece(length_, [&](index_t piece, int) {
        List& list = lists_[static_cast<std::size_t>(piece)];
        list.values.reserve(room + kSlack);
        list.places.reserve(room + kSlack);
        list.count = 0;
        row.for_each_part(piece, nullptr, [&](const T* x, index_t first, index_t n) {
            if (!fits.load(std::memory_order_relaxed))
                return;
            list.count = random_collect(table_, T())(x, first - row.begin(piece), n, std::max(least, end_.value),
                                                     list.count, room, list.values.data(), list.places.data());
            if (list.count < 0)
                fits.store(false, std::memory_order_relaxed);
        });
    });
    if (!fits.load(std::memory_order_relaxed))
        return;
    listed_count_ = 0;
    for (index_t piece = 0; piece < row.pieces(); ++piece)
        listed_count_ += list(piece).count;
    listed_ = listed_count_ <= most;
}

// Calls f(piece, slot, elements, their number) for what is searched: the lists, or all of the row.
template <class T>
template <class F>
void PrefixSearch<T>::for_each_part(const PiecedRow<T>& row, const F& f) const {
    row.for_each_piece(listed_ ? listed_count_ : length_, [&](index_t piece, int slot) {
        if (listed_)
            f(piece, slot, list(piece).values.data(), list(piece).count);
        else
            row.for_each_part(piece, nullptr, [&](const T* x, index_t, index_t n) { f(piece, slot, x, n); });
    });
}

// Calls for_each with what adds elements to the tally of a slot, until the search is at its end or `rounds` are over;
// false if the search has no end.
template <class T>
template <class ForEach>
bool PrefixSearch<T>::narrow(Search<T>& search, const IntegerWeights<T>* weights, int rounds, const ForEach& for_each) {
    int state = 0;
    for (int round = 0; state == 0 && round < rounds; ++round) {
        for (Tally& tally : tallies_)
            if (&tally == tallies_.data() || tally.low <= tally.high)
                tally = {};
        for_each([&](int slot, const T* x, index_t n) {
            random_tally(table_, T())(x, n, weights, search, tallies_[static_cast<std::size_t>(slot)]);
        });
        for (std::size_t slot = 1; slot < tallies_.size(); ++slot)
            if (tallies_[slot].low <= tallies_[slot].high)
                merge(tallies_[0], tallies_[slot]);
        state = random_narrow(table_, T())(tallies_[0], search);
    }
    return state >= 0;
}
template <class T>
bool PrefixSearch<T>::finish(const PiecedRow<T>& row, Search<T>& search, const IntegerWeights<T>* weights) {
    return narrow(search, weights, kAllRounds, [&](const auto& add) {
        for_each_part(row, [&](index_t, int slot, const T* x, index_t n) { add(slot, x, n); });
    });
}
template <class T>
bool PrefixSearch<T>::estimate(const T* x, index_t n, Search<T>& search, const IntegerWeights<T>* weights) {
    constexpr int rounds = 2;  // to 2^-11 of a power of two, float64: 2^-9
    return narrow(search, weights, rounds, [&](const auto& add) { add(0, x, n); });
}

template <class T>
void PrefixSearch<T>::keep_count(const PiecedRow<T>& row, index_t k, bool all_ties) {
    Search<T> search = {end_.value, max_, false, k, 0, 0, 0};
    if (!listed_) {
        // k of the groups that have a maximum of at least this have that many elements of at least this.
        Search<T> bound = {kLeast<T>, max_, false, k, 0, 0, 0};
        if (estimate(maxima_.data(), maxima_count_, bound, nullptr)) {
            search.least = std::max(bound.least, end_.value);
            collect(row, search.least);
        }
    }
    if (!finish(row, search, nullptr))
        return;
    const index_t equal = all_ties ? search.count : k - search.above;
    shorten({search.least, equal, search.count - equal});
}

// The weight of the elements from `least` on.
template <class T>
index_t PrefixSearch<T>::mass_from(const PiecedRow<T>& row, const IntegerWeights<T>& weights, T least) {
    masses_.assign(static_cast<std::size_t>(row.pieces()), 0);
    for_each_part(row, [&](index_t piece, int, const T* x, index_t n) {
        masses_[static_cast<std::size_t>(piece)] += random_mass(table_, T())(x, n, weights, least);
    });
    index_t mass = 0;
    for (const index_t of_piece : masses_)
        mass += of_piece;
    return mass;
}

template <class T>
void PrefixSearch<T>::keep_mass(const PiecedRow<T>& row, double temperature, double p, bool all_ties) {
    IntegerWeights<T> weights;
    weights.max = max_;
    weights.only_largest = temperature < kLeastTemperature;
    special_exp_scale(table_, T())(weights.only_largest ? 1.0 : temperature, weights.scale);
    weights.digits = 61;
    for (index_t n = length_; n > 1; n = (n + 1) / 2)
        --weights.digits;
    weights.digits = std::min(weights.digits, 43);  // a chunk's sum keeps within 52
    const auto mass_of = [&](T x) { return random_mass(table_, T())(&x, 1, weights, x); };
    index_t mass = mass_from(row, weights, end_.value);
    if (end_.left_out > 0)
        mass -= end_.left_out * mass_of(end_.value);
    const Search<T> whole = {end_.value, max_, true, share_of(mass, p), 0, 0, 0};
    Search<T> search = whole;
    bool found = false;
    if (!listed_) {
        const double below = (1.0 - p) * static_cast<double>(mass);
        const T certain = std::max(bound_of_mass(below, mass_of(max_), temperature), end_.value);
        sampled_bounds(below, weights, search);
        search.least = std::max(search.least, certain);
        search.most = std::max(search.most, search.least);
        collect(row, search.least);
        if (search.most < max_) {
            const T above = number_above(search.most);
            search.above = mass_from(row, weights, above);
            if (search.above >= search.target)
                search = {above, max_, true, search.target, 0, 0, 0};
        }
        found = finish(row, search, &weights);
        if (!found && listed_)
            collect(row, certain);
    }
    if (!found) {
        search = whole;
        if (!finish(row, search, &weights))
            return;
    }
    const index_t needed = (search.target - search.above - 1) / search.weight + 1;
    const index_t equal = all_ties ? search.count : needed;
    shorten({search.least, equal, search.count - equal});
}

// What is below it weighs at most `below`: each element of it weighs less than that over the length, even if roundings
// are against it.
template <class T>
T PrefixSearch<T>::bound_of_mass(double below, index_t largest, double temperature) const {
    const double each = below / static_cast<double>(length_) * 0.98;
    if (each < 64.0)  // half a unit of rounding would count
        return kLeast<T>;
    return random_logit_at(table_, T())(max_, temperature, std::min(1.0, each / static_cast<double>(largest)));
}

// Between what the search is probably about: what is below weighs less and more than `below`, as in the sample.
template <class T>
void PrefixSearch<T>::sampled_bounds(double below, const IntegerWeights<T>& weights, Search<T>& search) {
    const auto count = static_cast<double>(sample_count_);
    const double share = below * count / static_cast<double>(length_);
    const double margin = std::min(0.75, 12.0 / std::sqrt(count));  // some four deviations for normal logits
    const index_t sampled = random_mass(table_, T())(sample_.data(), sample_count_, weights, search.least);
    const auto look_for = [&](double below_there) {
        Search<T> at = {search.least, max_, true, sampled - static_cast<index_t>(below_there), 0, 0, 0};
        return at.target > 0 && estimate(sample_.data(), sample_count_, at, &weights) ? at : search;
    };
    const T least = look_for((1.0 - margin) * share).least;
    search.most = look_for((1.0 + margin) * share).most;
    search.least = least;
}

// Where the prefix ends; the lists lose what is behind.
template <class T>
void PrefixSearch<T>::settle(const PiecedRow<T>& row) {
    prefix_ = {end_.value, kAll};
    index_t left = end_.left_out > 0 ? end_.equal : kAll;  // of those that are equal to the last one
    const auto find = [&](const T* x, index_t n) {
        return left > 0 && left < kAll ? random_find_equal(table_, T())(x, n, end_.value, left) : index_t(-1);
    };
    if (!listed_) {
        for (index_t piece = 0; piece < row.pieces() && left > 0 && left < kAll; ++piece)
            row.for_each_part(piece, nullptr, [&](const T* x, index_t first, index_t n) {
                const index_t at = find(x, n);
                prefix_.last = at < 0 ? prefix_.last : first + at;
            });
        return;
    }
    for (index_t piece = 0; piece < row.pieces(); ++piece) {
        List& of_piece = lists_[static_cast<std::size_t>(piece)];
        index_t last = left > 0 ? kAll : -1;
        if (const index_t at = find(of_piece.values.data(), of_piece.count); at >= 0) {
            last = at;
            prefix_.last = row.begin(piece) + encoding_of(of_piece.places.data()[at]);
        }
        of_piece.count = random_drop(table_, T())(of_piece.values.data(), of_piece.places.data(), of_piece.count,
                                                  {end_.value, last});
    }
}

template class PrefixSearch<float>;
template class PrefixSearch<double>;

}  // namespace sorgum::random
