// What the token filters keep of a row. Every filter keeps the first elements of one order (larger before smaller, of
// equal ones the lower index first), so filters one after the other keep the shortest of their prefixes, and what is
// searched is where it ends: kernels/random/filter.h.
#pragma once

#include <type_traits>
#include <vector>

#include "api/random/rows.h"

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

template <class T>
using Encoding = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

template <class T>
Encoding<T> encoding_of(T x) {
    Encoding<T> integer;
    __builtin_memcpy(&integer, &x, sizeof integer);
    return integer;
}

// Kept for the next row by the thread, or the threads, that work on one at a time: it holds memory.
template <class T>
class PrefixSearch {
public:
    // False: there is nothing to be filtered, or a NaN or +inf.
    bool run(const PiecedRow<T>& row, const Filters& filters, const FilterRules& rules);

    const Prefix<T>& prefix() const { return prefix_; }
    bool spoilt() const { return spoilt_; }

    // Elements of a piece and their places in it, integers in the encoding of T.
    struct List {
        T *values, *places;
        index_t count;
        index_t place(index_t k) const { return encoding_of(places[k]); }
    };
    // Whether there are lists of what is kept.
    bool listed() const { return listed_; }
    index_t listed_count() const { return listed_count_; }
    const List& list(index_t piece) const { return lists_[static_cast<std::size_t>(piece)]; }

private:
    // Kept is what is above `value`, and the first `equal` of what is equal to it; `left_out` of those are not.
    struct End {
        T value;
        index_t equal, left_out;
    };
    index_t work_of_a_pass(const Filters& filters, const FilterRules& rules) const;
    void shorten(const End& end);
    bool look_over(const PiecedRow<T>& row);
    void collect(const PiecedRow<T>& row, T least);
    template <class F>
    void for_each_part(const PiecedRow<T>& row, const F& f) const;
    template <class ForEach>
    void tally(const Search<T>& search, const IntegerWeights<T>* weights, const ForEach& for_each);
    bool finish(const PiecedRow<T>& row, Search<T>& search, const IntegerWeights<T>* weights);
    bool estimate(const T* x, index_t n, Search<T>* searches, int count, const IntegerWeights<T>* weights);
    Mass mass_from(const PiecedRow<T>& row, const IntegerWeights<T>& weights, T least);
    void keep_count(const PiecedRow<T>& row, index_t k, bool all_ties);
    void keep_mass(const PiecedRow<T>& row, double temperature, double p, bool all_ties);
    T bound_of_mass(double below, Mass largest, double temperature) const;
    void sampled_bounds(double below, const IntegerWeights<T>& weights, Search<T>& search);
    void settle(const PiecedRow<T>& row);

    const KernelTable& table_ = kernels();
    index_t length_ = 0, work_ = 0, listed_count_ = 0;
    T max_ = 0;
    End end_ = {0, 0, 0};
    Prefix<T> prefix_ = {0, 0};
    AlignedArray<T> maxima_, sample_, coarse_;  // of the row: see kernels/random/filter.h; maxima of maxima
    index_t maxima_count_ = 0, sample_count_ = 0;
    // Where a thread lists the elements of its pieces, one after the other: a list of its own for each piece would
    // touch a page or two of its own, which the operating system would have to provide.
    struct Store {
        AlignedArray<T> values, places;
        index_t used;
    };
    std::vector<Store> stores_;  // of the threads
    std::vector<List> lists_;    // of the pieces
    std::vector<Mass> masses_;
    std::vector<Tally> tallies_;  // of the threads
    bool listed_ = false, spoilt_ = false;
};

// Calls f(row, its number, a search) for all rows: many or short ones are divided among the threads, which share few
// long ones, one after the other.
template <class T, class F>
void search_rows(const Logits<T>& logits, const F& f) {
    const RowLayout& layout = logits.layout();
    const bool shared = few_long_rows(layout);
    const int threads =
        shared ? 1 : threads_for_rows(layout);  // which may be another number when it is asked for again
    std::vector<PrefixSearch<T>> searches(static_cast<std::size_t>(threads));
    const auto one = [&](index_t r, int slot) {
        f(PiecedRow<T>(logits, r, shared), r, searches[static_cast<std::size_t>(slot)]);
    };
    if (!shared)
        return for_each_row(layout, threads, one);
    for (index_t r = 0; r < layout.rows; ++r)
        one(r, 0);
}

}  // namespace sorgum::random
