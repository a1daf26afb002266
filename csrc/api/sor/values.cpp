#include "api/sor/values.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "core/error.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr index_t kBlocksAtOnce = 4096;

template <class T>
std::string text(T value) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.*g", std::numeric_limits<T>::max_digits10, static_cast<double>(value));
    return digits;
}

template <class T>
bool is_normal_with_reciprocal(T d) {
    constexpr T least = std::numeric_limits<T>::min();
    const T size = std::abs(d);
    return size >= least && size <= T(1) / least;
}

// Calls visit(row of the block, slot, place in it, entry) in the order of the entries; the diagonal has slot -1.
template <class Visit>
void for_each_entry(const Structure& structure, index_t block, Visit&& visit) {
    const Pattern& pattern = structure.pattern_of(block);
    const Slot* const slots = structure.slot.data() + pattern.slots;
    index_t entry = structure.first_entry[static_cast<std::size_t>(block)];
    for (index_t i = 0; i < pattern.rows; ++i)
        for (index_t k = 0; k <= pattern.left + pattern.right; ++k) {
            if (k == pattern.left)
                visit(i, index_t(-1), i, entry++);
            if (k == pattern.left + pattern.right || (slots[k].present >> i & 1) == 0)
                continue;
            if (slots[k].offset != kOneRow)
                visit(i, k, i, entry++);
            else
                for (index_t m = 0; m < kBlock; ++m)
                    visit(i, k, m, entry++);
        }
}

template <class T>
class Filler {
public:
    Filler(const Structure& structure, const T* data, Values<T>& to) : structure_(structure), data_(data), to_(to) {}

    T value(index_t entry) const {
        const Sources& from = structure_.sources;
        if (from.same())
            return data_[entry];
        const index_t* const source = from.entry.data();
        const auto k = static_cast<std::size_t>(entry);
        if (from.first.empty())
            return data_[source[k]];
        T sum = data_[source[from.first[k]]];
        for (index_t m = from.first[k] + 1; m < from.first[k + 1]; ++m)
            sum += data_[source[m]];
        return sum;
    }

    // Fills a block. The largest magnitude beside the diagonal is returned; NaN if there is one.
    T fill(index_t block) {
        const Pattern& pattern = structure_.pattern_of(block);
        const index_t slots = pattern.left + pattern.right;
        const std::vector<index_t>& targets = targets_of(block);
        T* const vectors = vectors_.data();
        const index_t first = structure_.first_entry[static_cast<std::size_t>(block)];
        const index_t count = static_cast<index_t>(targets.size());
        if (structure_.sources.same())
            for (index_t k = 0; k < count; ++k)
                vectors[targets[static_cast<std::size_t>(k)]] = data_[first + k];
        else
            for (index_t k = 0; k < count; ++k)
                vectors[targets[static_cast<std::size_t>(k)]] = value(first + k);
        T* const values = to_.slots.data() + structure_.block[static_cast<std::size_t>(block)].values * kBlock;
        std::copy_n(vectors, slots * kBlock, values);
        std::copy_n(vectors + slots * kBlock, kBlock, to_.diagonal.data() + block * kBlock);
        return sor_magnitude(table_, T())(values, slots * kBlock);
    }

private:
    // Where the entries of the block go in its slots; the diagonal goes behind them. Blocks of a grid share few
    // patterns, whose targets are kept. Vectors of another pattern are cleared: 0 where there is no entry, and 1 on the
    // diagonal.
    const std::vector<index_t>& targets_of(index_t block) {
        const index_t pattern = structure_.block[static_cast<std::size_t>(block)].pattern;
        Known& known = known_[pattern % kKnown];
        if (known.pattern != pattern) {
            known.pattern = pattern;
            known.targets.clear();
            const index_t slots = structure_.pattern_of(block).left + structure_.pattern_of(block).right;
            for_each_entry(structure_, block, [&](index_t, index_t slot, index_t m, index_t) {
                known.targets.push_back((slot < 0 ? slots : slot) * kBlock + m);
            });
        }
        if (pattern != last_pattern_) {
            last_pattern_ = pattern;
            const Pattern& of = structure_.pattern_of(block);
            vectors_.assign(static_cast<std::size_t>((of.left + of.right) * kBlock), T(0));
            vectors_.resize(vectors_.size() + kBlock, T(1));
        }
        return known.targets;
    }

    struct Known {
        index_t pattern = -1;
        std::vector<index_t> targets;
    };
    static constexpr index_t kKnown = 32;

    const Structure& structure_;
    const T* data_;
    Values<T>& to_;
    const KernelTable& table_ = kernels();
    Known known_[kKnown];
    index_t last_pattern_ = -1;
    std::vector<T> vectors_;
};

std::string where(const Structure& structure, index_t block, index_t i, index_t entry) {
    return " in row " + std::to_string(structure.row_of(block * kBlock + i)) + ", entry " +
           std::to_string(structure.source_of(entry));
}

// Throws the error of the first entry that is no number that a sweep can use, in the order of the places.
template <class T>
void refuse(const char* function, const Structure& structure, const Values<T>& values, T shift) {
    for (index_t block = 0; block < structure.blocks; ++block)
        for_each_entry(structure, block, [&](index_t i, index_t slot, index_t m, index_t entry) {
            const T d = values.diagonal.data()[block * kBlock + i] + shift;
            const std::string prefix = std::string(function) + ": ";
            if (slot < 0 && !is_normal_with_reciprocal(d))
                throw ValueError(prefix + "A must have a diagonal of normal numbers with normal reciprocals, got " +
                                 text(d) + where(structure, block, i, entry));
            const index_t at = structure.block[static_cast<std::size_t>(block)].values + slot;
            if (slot >= 0 && is_normal_with_reciprocal(d)) {
                const T a = values.slots.data()[at * kBlock + m];
                if (!std::isfinite(a * (T(1) / d)))
                    throw ValueError(prefix + "A must have entries that are finite, and so over their diagonal, got " +
                                     text(a) + " over " + text(d) + where(structure, block, i, entry));
            }
        });
}

}  // namespace

template <class T>
Values<T> values_of(const char* function, const Structure& structure, const T* data) {
    Values<T> values;
    values.slots.reserve(structure.slots * kBlock + 1);
    values.diagonal.reserve(structure.padded_rows() + 1);
    std::vector<T> largest(static_cast<std::size_t>(ceil_div(structure.blocks, kBlocksAtOnce)));
    const int threads = threads_for(structure.slots > INT64_MAX / kBlock ? INT64_MAX : structure.slots * kBlock);
    parallel_for_ranges(structure.blocks, kBlocksAtOnce, threads, [&](index_t begin, index_t end, int) {
        Filler<T> filler(structure, data, values);
        T most = 0;
        for (index_t block = begin; block < end; ++block) {
            const T of_block = filler.fill(block);
            most = most != most || of_block <= most ? most : of_block;
        }
        largest[static_cast<std::size_t>(begin / kBlocksAtOnce)] = most;
    });
    for (const T size : largest) {
        if (!std::isfinite(size))
            refuse(function, structure, values, T(0));
        values.largest = std::max(values.largest, size);
    }
    return values;
}

template <class T>
Inverse<T> inverse_of(const char* function, const Structure& structure, const Values<T>& values, T shift) {
    Inverse<T> inverse;
    inverse.shift = shift;
    inverse.of_diagonal.reserve(structure.padded_rows() + 1);
    std::atomic<bool> normal{true};
    const KernelTable& table = kernels();
    const index_t rows_at_once = kBlocksAtOnce * kBlock;
    parallel_for_ranges(structure.padded_rows(), rows_at_once, threads_for(structure.rows),
                        [&](index_t begin, index_t end, int) {
                            T least, largest;
                            sor_reciprocals(table, T())(values.diagonal.data() + begin, end - begin, shift,
                                                        inverse.of_diagonal.data() + begin, least, largest);
                            // Nothing overflows where the largest entry over the least diagonal does not.
                            if (!is_normal_with_reciprocal(least) || !is_normal_with_reciprocal(largest) ||
                                !std::isfinite(values.largest * (T(1) / least)))
                                normal.store(false, std::memory_order_relaxed);
                        });
    if (!normal)
        refuse(function, structure, values, shift);
    return inverse;
}

template Values<float> values_of(const char*, const Structure&, const float*);
template Values<double> values_of(const char*, const Structure&, const double*);
template Inverse<float> inverse_of(const char*, const Structure&, const Values<float>&, float);
template Inverse<double> inverse_of(const char*, const Structure&, const Values<double>&, double);

}  // namespace sorgum::sor
