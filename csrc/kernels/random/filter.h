// Which of a row's largest elements are kept: the steps of a search for a threshold, and what is done with it.
//
// computes  peaks: the largest element, the largest of every 16 vectors, lane by lane, and a sample;
//           mass: the weight of the elements that are not below `least`;
//           collect: these elements and their places;
//           tally: counts and weights of the elements in [least, most], in buckets by size;
//           choose_bucket: the bucket in which the searched-for count or weight is reached;
//           find_equal: the place of one of the elements equal to a value;
//           logit_at: max + T log(share);
//           keep: x where it is in the prefix, else -inf;
//           drop: the same for what was collected;
//           penalise: logits of tokens that were seen
// source    selection by distribution: Knuth, "The Art of Computer Programming" 3, section 5.3.3, exercise 8, and
//           section 5.2.5. The buckets divide the integers whose order is that of the floats, by a power of two: three
//           or four rounds (float64: six or seven) reach any single number. Filters: see `categorical`. Penalties:
//           Keskar and others 2019, "CTRL", section 4.1, and the frequency and presence penalties of OpenAI's interface
// shapes    x contiguous
// order     none: counts and weights are integers
// bound     a weight within 2^-22 (float64: 2^-50) of its size, or half a unit, 2^-85 (coarse: 2^-44) of the largest;
//           max + T log(share) within 1 ULP of float64 of the larger term; penalties in float64, rounded once
// special   -inf weighs nothing and is never kept. NaN is for peaks and penalise alone
// cost      one read per element and round, one exponential where there are weights
#pragma once

#include "math/random_state.h"

namespace sorgum::random {

// Continues a peak that starts as {-inf, false}. `maxima` takes 16 numbers for every 256 elements or part of them, and
// `sample` 16 of every 1024, the first ones, -inf for what is missing.
template <class T>
using peaks_fn = void(const T* x, index_t n, Peak<T>& peak, T* maxima, T* sample);

template <class T>
using mass_fn = Mass(const T* x, index_t n, const IntegerWeights<T>& weights, T least);

// Appends to `values`, and to `places` the numbers first + k as integers in the encoding of T. Returns the new count,
// or -1 where it would exceed `room`; both arrays have room for 64 elements more. `first` + n <= 2^31.
template <class T>
using collect_fn = index_t(const T* x, index_t first, index_t n, T least, index_t count, index_t room, T* values,
                           T* places);

// Adds to a tally. Without weights, null, there are counts alone.
template <class T>
using tally_fn = void(const T* x, index_t n, const IntegerWeights<T>* weights, const Search<T>& search, Tally& tally);

// 1: the search is at its end, 0: it is not, -1: the target is beyond all elements.
template <class T>
using choose_bucket_fn = int(const Tally& tally, Search<T>& search);

// The place of element number `nth`, from 1 on, of those equal to `value`; -1, and nth less their number, if there are
// fewer.
template <class T>
using find_equal_fn = index_t(const T* x, index_t n, T value, index_t& nth);

// The least number that is not below max + T log(share), at least the least finite one.
template <class T>
using logit_at_fn = T(T max, double temperature, double share);

// y may be x.
template <class T>
using keep_fn = void(const T* x, index_t first, index_t n, const Prefix<T>& prefix, T* y);

// Leaves of what `collect` found only what is in the prefix, whose `last` counts in the list. Returns the new count.
template <class T>
using drop_fn = index_t(T* values, T* places, index_t n, const Prefix<T>& prefix);

// x[k] is the logit of seen[k].
template <class T>
using penalise_fn = void(T* x, const SeenToken* seen, index_t n, const Penalties& penalties);

}  // namespace sorgum::random
