#include "api/sor/point_blocks.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "api/call/rows.h"
#include "core/error.h"
#include "core/interrupt.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"
#include "kernels/sor/blocks.h"

namespace sorgum::sor {

namespace {

constexpr index_t kRowsAtOnce = 4096;                // that are looked at before they are used
constexpr index_t kBetweenPolls = index_t(1) << 18;  // numbers that are worked on

index_t padded(index_t n) { return ceil_div(n, kBlock) * kBlock; }  // to whole vectors

template <class T>
ArrayView vector_view(const AlignedArray<T>& of, index_t n, DType dtype) {
    ArrayView view = {of.data(), dtype, false, 1, {n}, {static_cast<index_t>(sizeof(T))}};
    return view;
}

std::string rows_text(index_t block, index_t size) {
    const index_t first = block * size;
    return size == 1 ? "row " + std::to_string(first)
                     : "rows " + std::to_string(first) + " to " + std::to_string(first + size - 1);
}

// Polls after so many numbers.
class Work {
public:
    void done(index_t numbers) {
        since_ += numbers;
        if (since_ < kBetweenPolls)
            return;
        since_ = 0;
        poll_();
    }

private:
    index_t since_ = kBetweenPolls;
    InterruptPoll poll_;
};

template <class T>
void reserve(Rows<T>& to, const BlockPattern& pattern, index_t entries) {
    to.rows = pattern.rows;
    to.entries = entries;
    to.indptr.reserve(pattern.rows + 1);
    to.indices.reserve(entries + 1);
    to.data.reserve(entries + 1);
    to.indptr.data()[0] = 0;
}

// Makes blocks of the rows of one block after the other.
template <class T, class Index>
class Builder {
public:
    Builder(const char* function, const BlockPattern& pattern, const Index* indptr, const Index* indices, const T* data,
            T shift, PointBlocks<T>& to)
        : function_(function),
          pattern_(pattern),
          indptr_(indptr),
          indices_(indices),
          data_(data),
          shift_(shift),
          to_(to),
          size_(pattern.size),
          from_(padded(size_)),
          place_(static_cast<std::size_t>(pattern.count()), -1) {
        const index_t blocks = static_cast<index_t>(pattern.column.size());
        const index_t beside = saturated_product(saturated_product(blocks - pattern.count(), size_), size_);
        reserve(to.matrix, pattern, saturated_product(saturated_product(blocks, size_), size_));
        reserve(to.scaled, pattern, beside + pattern.rows);
        to.diagonal.reserve(pattern.rows * size_ + 1);
        to.inverse.reserve(pattern.rows * size_ + 1);
    }

    void add(index_t block) {
        const index_t first = pattern_.first[static_cast<std::size_t>(block)];
        const index_t blocks = pattern_.first[static_cast<std::size_t>(block) + 1] - first;
        const index_t* const column = pattern_.column.data() + first;
        width_ = from_ + padded(size_ + blocks * size_);
        rows_.reserve(width_ * size_);
        std::fill_n(rows_.data(), width_ * size_, 0.0);
        for (index_t k = 0; k < blocks; ++k)
            place_[static_cast<std::size_t>(column[k])] = k;
        for (index_t i = 0; i < size_; ++i)
            take_row(block, i);
        put(to_.matrix, block, column, blocks, false);
        for (index_t i = 0; i < size_; ++i) {
            double* const row = row_at(i);
            const double* const own = row + from_ + size_ + place_[static_cast<std::size_t>(block)] * size_;
            double sum = 0;
            for (index_t k = 0; k < blocks * size_; ++k)
                sum += std::abs(row[from_ + size_ + k]);
            to_.largest_row = std::max(to_.largest_row, sum);
            for (index_t k = 0; k < size_; ++k) {
                row[k] = own[k];
                to_.diagonal.data()[(block * size_ + i) * size_ + k] = static_cast<T>(own[k]);
            }
            row[from_ + i] = 1;
        }
        if (!sor_point_block_solve(kernels(), double())(rows_.data(), size_, from_, width_))
            throw ValueError(std::string(function_) + ": A must have point blocks that are not singular, got one in " +
                             rows_text(block, size_));
        bool finite = put(to_.scaled, block, column, blocks, true);
        for (index_t i = 0; i < size_; ++i)
            for (index_t k = 0; k < size_; ++k) {
                const T value = static_cast<T>(row_at(i)[from_ + k]);
                to_.inverse.data()[(block * size_ + i) * size_ + k] = value;
                finite = finite && std::isfinite(value);
            }
        if (!finite)
            throw ValueError(std::string(function_) +
                             ": A must have entries that are finite, and so over their point blocks, got others in " +
                             rows_text(block, size_));
        for (index_t k = 0; k < blocks; ++k)
            place_[static_cast<std::size_t>(column[k])] = -1;
    }

private:
    double* row_at(index_t i) const { return rows_.data() + i * width_; }

    // Entries in one place are added as they are stored, in T.
    void take_row(index_t block, index_t i) {
        const index_t row = block * size_ + i;
        double* const to = row_at(i) + from_ + size_;
        for (index_t k = indptr_[row]; k < indptr_[row + 1]; ++k) {
            const index_t j = indices_[k];
            double& at = to[place_[static_cast<std::size_t>(j / size_)] * size_ + j % size_];
            at = static_cast<double>(static_cast<T>(static_cast<T>(at) + data_[k]));
        }
        double& own = to[place_[static_cast<std::size_t>(block)] * size_ + i];
        own = static_cast<double>(static_cast<T>(static_cast<T>(own) + shift_));
    }

    // False if something is not finite.
    bool put(Rows<T>& to, index_t block, const index_t* column, index_t blocks, bool unit) const {
        bool finite = true;
        for (index_t i = 0; i < size_; ++i) {
            const index_t row = block * size_ + i;
            index_t at = to.indptr.data()[row];
            for (index_t k = 0; k < blocks; ++k)
                for (index_t m = 0; m < size_; ++m) {
                    const bool own = unit && column[k] == block;
                    if (own && m != i)
                        continue;
                    const T value = own ? T(1) : static_cast<T>(row_at(i)[from_ + size_ + k * size_ + m]);
                    finite = finite && std::isfinite(value);
                    to.indices.data()[at] = column[k] * size_ + m;
                    to.data.data()[at++] = value;
                }
            to.indptr.data()[row + 1] = at;
        }
        return finite;
    }

    const char* function_;
    const BlockPattern& pattern_;
    const Index *indptr_, *indices_;
    const T* data_;
    const T shift_;
    PointBlocks<T>& to_;
    const index_t size_, from_;
    index_t width_ = 0;
    std::vector<index_t> place_;  // of a column of blocks among those of the row, or -1
    AlignedArray<double> rows_;
};

}  // namespace

template <class T>
CsrArrays Rows<T>::arrays() const {
    return {vector_view(indptr, rows + 1, DType::i64), vector_view(indices, entries, DType::i64),
            vector_view(data, entries, sizeof(T) == 4 ? DType::f32 : DType::f64), rows, rows};
}

BlockPattern block_pattern_of(const char* function, const CheckedCsr& a, index_t size) {
    require_square(function, a);
    if (size < 1 || size > kMostTogether || a.rows() % size != 0)
        throw ValueError(std::string(function) + ": blocksize must be at least 1 and at most " +
                         std::to_string(kMostTogether) + ", and divide the number of rows, " +
                         std::to_string(a.rows()) + ", got " + std::to_string(size));
    BlockPattern to;
    to.size = size;
    to.rows = a.rows();
    to.first.push_back(0);
    for_each_range(0, a.rows(), kRowsAtOnce, [&](index_t first, index_t last) {
        if (!a.holds(first, last - first))
            a.refuse();
    });
    std::vector<index_t> last(static_cast<std::size_t>(to.count()), -1);  // row of blocks that a column was seen in
    Work work;
    a.with_type([&](const auto& matrix) {
        for (index_t block = 0; block < to.count(); ++block) {
            const auto see = [&](index_t column) {
                if (last[static_cast<std::size_t>(column)] == block)
                    return;
                last[static_cast<std::size_t>(column)] = block;
                to.column.push_back(column);
            };
            see(block);
            const index_t begin = matrix.indptr[block * size], end = matrix.indptr[(block + 1) * size];
            for (index_t k = begin; k < end; ++k)
                see(matrix.indices[k] / size);
            std::sort(to.column.begin() + to.first.back(), to.column.end());
            to.first.push_back(static_cast<index_t>(to.column.size()));
            work.done(end - begin + size);
        }
    });
    return to;
}

template <class T>
PointBlocks<T> point_blocks_of(const char* function, const BlockPattern& pattern, const CsrArrays& indices,
                               const T* data, T shift) {
    PointBlocks<T> to;
    const auto build = [&](auto index) {
        using Index = decltype(index);
        Builder<T, Index> builder(function, pattern, static_cast<const Index*>(indices.indptr.data),
                                  static_cast<const Index*>(indices.indices.data), data, shift, to);
        Work work;
        for (index_t block = 0; block < pattern.count(); ++block) {
            const auto k = static_cast<std::size_t>(block);
            work.done((pattern.first[k + 1] - pattern.first[k] + 2) * pattern.size * pattern.size * pattern.size);
            builder.add(block);
        }
    };
    if (indices.indptr.dtype == DType::i64)
        build(std::int64_t());
    else
        build(std::int32_t());
    return to;
}

template struct Rows<float>;
template struct Rows<double>;
template PointBlocks<float> point_blocks_of(const char*, const BlockPattern&, const CsrArrays&, const float*, float);
template PointBlocks<double> point_blocks_of(const char*, const BlockPattern&, const CsrArrays&, const double*, double);

}  // namespace sorgum::sor
