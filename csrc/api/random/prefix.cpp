#include "api/random/prefix.h"
#include "dispatch/random.h"
#include "dispatch/special.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace sorgum::random {

namespace {

constexpr index_t kAll = index_t(1) << 62;  // more than any row has
constexpr index_t kSlack = 64;              // elements behind a list that `collect` and `drop` may overwrite

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inf());
template <class T>
constexpr T kLeast = -(sizeof(T) == 4 ? static_cast<T>(__FLT_MAX__) : static_cast<T>(__DBL_MAX__));

// The least integer that is not below p mass, of 0 < p < 1 and a mass below 2^126.
Mass share_of(Mass mass, double p) {
    std::uint64_t encoding;
    __builtin_memcpy(&encoding, &p, sizeof encoding);
    const auto exponent = static_cast<int>(encoding >> 52);
    const std::uint64_t leading = exponent > 0 ? std::uint64_t(1) << 52 : 0;
    using wide = unsigned __int128;
    const wide digits = (encoding & 0xFFFFFFFFFFFFFu) | leading;
    const int shift = 1075 - (exponent > 0 ? exponent : 1);  // p = digits / 2^shift, shift at least 53
    const wide lower = digits * static_cast<std::uint64_t>(mass);
    const wide upper = digits * static_cast<std::uint64_t>(mass >> 64) + (lower >> 64);  // in units of 2^64
    const std::uint64_t rest = static_cast<std::uint64_t>(lower);
    if (shift >= 64 + 120)
        return 1;
    if (shift < 64) {
        const std::uint64_t cut = rest << (64 - shift);
        return static_cast<Mass>((upper << (64 - shift)) + (rest >> shift) + (cut != 0 ? 1 : 0));
    }
    const wide cut = upper & ((static_cast<wide>(1) << (shift - 64)) - 1);
    return static_cast<Mass>((upper >> (shift - 64)) + (cut != 0 || rest != 0 ? 1 : 0));
}

void merge(Tally& into, const Tally& from) {
    into.low = std::min(into.low, from.low);
    into.high = std::max(into.high, from.high);
    for (index_t b = 0; b < kBuckets; ++b) {
        into.count[b] += from.count[b];
        into.mass[b] += from.mass[b];
    }
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
    work_ = work_of_a_pass(filters, rules);
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

// Looking over a row and collecting from it cost a sixteenth of what it costs to weigh all elements, which calls for
// threads that are awake; so others are woken for them only if the row is weighed or very long.
template <class T>
index_t PrefixSearch<T>::work_of_a_pass(const Filters& filters, const FilterRules& rules) const {
    for (const FilterStep step : rules.order) {
        if (step == FilterStep::top_k && filters.top_k < length_)
            break;
        if (step == FilterStep::top_p && filters.top_p < 1.0)
            return length_;
    }
    return length_ / 16;
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
    row.for_each_piece(work_, [&](index_t piece, int) {
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
    // A thread may have more than its share of them, within limits.
    const index_t most = length_ / 4 + 64, share = 4 * most / row.slots() + row.piece_length();
    const index_t room = std::min(most, share) + kSlack * row.pieces();
    stores_.resize(std::max(static_cast<std::size_t>(row.slots()), stores_.size()));
    for (Store& store : stores_) {
        store.values.reserve(room);
        store.places.reserve(room);
        store.used = 0;
    }
    std::atomic<bool> fits{true};
    listed_ = false;
    row.for_each_piece(work_, [&](index_t piece, int slot) {
        Store& store = stores_[static_cast<std::size_t>(slot)];
        List& list = lists_[static_cast<std::size_t>(piece)];
        list = {store.values.data() + store.used, store.places.data() + store.used, 0};
        row.for_each_part(piece, nullptr, [&](const T* x, index_t first, index_t n) {
            if (!fits.load(std::memory_order_relaxed))
                return;
            list.count = random_collect(table_, T())(x, first - row.begin(piece), n, std::max(least, end_.value),
                                                     list.count, room - kSlack - store.used, list.values, list.places);
            if (list.count < 0)
                fits.store(false, std::memory_order_relaxed);
        });
        store.used += std::max<index_t>(list.count, 0) + kSlack;
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
            f(piece, slot, list(piece).values, list(piece).count);
        else
            row.for_each_part(piece, nullptr, [&](const T* x, index_t, index_t n) { f(piece, slot, x, n); });
    });
}

// Fills the first tally from for_each, which it calls with what adds elements to the tally of a slot.
template <class T>
template <class ForEach>
void PrefixSearch<T>::tally(const Search<T>& search, const IntegerWeights<T>* weights, const ForEach& for_each) {
    for (Tally& used : tallies_)
        if (&used == tallies_.data() || used.low <= used.high)
            used = {};
    for_each([&](int slot, const T* x, index_t n) {
        random_tally(table_, T())(x, n, weights, search, tallies_[static_cast<std::size_t>(slot)]);
    });
    for (std::size_t slot = 1; slot < tallies_.size(); ++slot)
        if (tallies_[slot].low <= tallies_[slot].high)
            merge(tallies_[0], tallies_[slot]);
}

// False if the search has no end.
template <class T>
bool PrefixSearch<T>::finish(const PiecedRow<T>& row, Search<T>& search, const IntegerWeights<T>* weights) {
    int state = 0;
    while (state == 0) {
        tally(search, weights, [&](const auto& add) {
            for_each_part(row, [&](index_t, int slot, const T* x, index_t n) { add(slot, x, n); });
        });
        state = random_choose_bucket(table_, T())(tallies_[0], search);
    }
    return state >= 0;
}

// Searches that differ in their targets alone, to 2^-11 of a power of two, float64: 2^-9. One that has no end stays as
// it is; false if the first has none.
template <class T>
bool PrefixSearch<T>::estimate(const T* x, index_t n, Search<T>* searches, int count,
                               const IntegerWeights<T>* weights) {
    const auto add_all = [&](const auto& add) { add(0, x, n); };
    tally(searches[0], weights, add_all);
    int states[2];
    for (int i = 0; i < count; ++i) {
        Search<T> chosen = searches[i];
        states[i] = random_choose_bucket(table_, T())(tallies_[0], chosen);
        searches[i] = states[i] < 0 ? searches[i] : chosen;
    }
    for (int i = 0; i < count; ++i)
        if (states[i] == 0) {
            tally(searches[i], weights, add_all);
            random_choose_bucket(table_, T())(tallies_[0], searches[i]);
        }
    return states[0] >= 0;
}

template <class T>
void PrefixSearch<T>::keep_count(const PiecedRow<T>& row, index_t k, bool all_ties) {
    Search<T> search = {end_.value, max_, false, k, 0, 0};
    if (!listed_) {
        // k of the groups that have a maximum of at least this have that many elements of at least this: groups of 16
        // elements, or of 256 where there are many more than k.
        const index_t coarse = ceil_div(maxima_count_, 256) * 16, rest = ceil_div(maxima_count_, 1024) * 16;
        const bool many = k <= coarse / 4;
        if (many) {
            coarse_.reserve(coarse + rest);
            Peak<T> peak = {-kInfinity<T>, false};
            random_peaks(table_, T())(maxima_.data(), maxima_count_, peak, coarse_.data(), coarse_.data() + coarse);
        }
        Search<T> bound = {kLeast<T>, max_, false, k, 0, 0};
        if (estimate(many ? coarse_.data() : maxima_.data(), many ? coarse : maxima_count_, &bound, 1, nullptr)) {
            search.least = std::max(bound.least, end_.value);
            collect(row, search.least);
        }
    }
    if (!finish(row, search, nullptr))
        return;
    const index_t equal = all_ties ? search.count : k - static_cast<index_t>(search.above);
    shorten({search.least, equal, search.count - equal});
}

// The weight of the elements from `least` on.
template <class T>
Mass PrefixSearch<T>::mass_from(const PiecedRow<T>& row, const IntegerWeights<T>& weights, T least) {
    masses_.assign(static_cast<std::size_t>(row.pieces()), 0);
    for_each_part(row, [&](index_t piece, int, const T* x, index_t n) {
        masses_[static_cast<std::size_t>(piece)] += random_mass(table_, T())(x, n, weights, least);
    });
    Mass mass = 0;
    for (const Mass of_piece : masses_)
        mass += of_piece;
    return mass;
}

template <class T>
void PrefixSearch<T>::keep_mass(const PiecedRow<T>& row, double temperature, double p, bool all_ties) {
    IntegerWeights<T> weights;
    weights.max = max_;
    weights.only_largest = temperature == 0.0;
    weights.fine = sizeof(T) == 8 || length_ > index_t(1) << 18;
    special_exp_scale(table_, T())(weights.only_largest ? 1.0 : temperature, weights.scale);
    const auto mass_of = [&](T x) { return random_mass(table_, T())(&x, 1, weights, x); };
    Mass mass = mass_from(row, weights, end_.value);
    if (end_.left_out > 0)
        mass -= end_.left_out * mass_of(end_.value);
    const Search<T> whole = {end_.value, max_, true, share_of(mass, p), 0, 0};
    Search<T> search = whole;
    bool found = false;
    if (!listed_) {
        const double below = (1.0 - p) * static_cast<double>(mass);
        const T certain = std::max(bound_of_mass(below, mass_of(max_), temperature), end_.value);
        search.least = certain;
        sampled_bounds(below, weights, search);
        collect(row, search.least);
        if (search.most < max_) {
            const T above = number_above(search.most);
            search.above = mass_from(row, weights, above);
            if (search.above >= search.target)
                search = {above, max_, true, search.target, 0, 0};
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
    const Mass each = mass_of(search.least);
    const auto needed = static_cast<index_t>((search.target - search.above - 1) / each + 1);
    const index_t equal = all_ties ? search.count : needed;
    shorten({search.least, equal, search.count - equal});
}

// What is below it weighs at most `below`: each element of it weighs less than that over the length, even if roundings
// are against it.
template <class T>
T PrefixSearch<T>::bound_of_mass(double below, Mass largest, double temperature) const {
    const double each = below / static_cast<double>(length_) * 0.98;
    if (each < 64.0)  // half a unit of rounding would count
        return kLeast<T>;
    return random_logit_at(table_, T())(max_, temperature, std::min(1.0, each / static_cast<double>(largest)));
}

// Restricts the search to what it is probably about: what is below weighs less and more than `below`, as in the sample.
template <class T>
void PrefixSearch<T>::sampled_bounds(double below, const IntegerWeights<T>& weights, Search<T>& search) {
    const auto count = static_cast<double>(sample_count_);
    const double share = below * count / static_cast<double>(length_);
    const double margin = std::min(0.75, 12.0 / std::sqrt(count));  // some four deviations for normal logits
    const Mass sampled = random_mass(table_, T())(sample_.data(), sample_count_, weights, end_.value);
    Search<T> bounds[2] = {search, search};
    bounds[0].target = std::max<Mass>(1, sampled - static_cast<Mass>((1.0 - margin) * share));
    bounds[1].target = std::max<Mass>(1, sampled - static_cast<Mass>((1.0 + margin) * share));
    estimate(sample_.data(), sample_count_, bounds, 2, &weights);
    search.least = bounds[0].least;
    search.most = bounds[1].most;
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
        if (const index_t at = find(of_piece.values, of_piece.count); at >= 0) {
            last = at;
            prefix_.last = row.begin(piece) + of_piece.place(at);
        }
        of_piece.count = random_drop(table_, T())(of_piece.values, of_piece.places, of_piece.count, {end_.value, last});
    }
}

template class PrefixSearch<float>;
template class PrefixSearch<double>;

}  // namespace sorgum::random
