#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "api/call/stored.h"
#include "api/lowrank/adapter.h"
#include "api/lowrank/lowrank.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"
#include "kernels/linalg/product.h"

namespace sorgum::lowrank {

namespace {

using linalg::End;
using linalg::Matrix;

constexpr const char* kName = "merge";
constexpr index_t kPanel = 16;              // outputs whose norms are formed at once
constexpr index_t kRows = 12;               // of a task: whole tiles on every instruction set
constexpr index_t kPackedElements = 65536;  // of the panels that stay in a cache while rows pass

// The largest finite number of a type.
double largest_of(DType dtype) {
    switch (dtype) {
        case DType::f16:
            return 65504;
        case DType::bf16:
            return 0x1.FEp127;
        case DType::f32:
            return std::numeric_limits<float>::max();
        default:
            return std::numeric_limits<double>::max();
    }
}

// Calls body(type) with the type of a matrix's elements, which are floating-point numbers.
template <class Body>
void with_elements(DType dtype, Body&& body) {
    switch (dtype) {
        case DType::f16:
            return body(float16());
        case DType::bf16:
            return body(bfloat16());
        case DType::f32:
            return body(float());
        default:
            return body(double());
    }
}

// The largest magnitude; refuses what is not finite.
double finite_magnitude(const char* argument, const Matrix& given) {
    const Matrix m = given.has_rows() ? given : given.transposed();
    if (m.rows == 0 || m.columns == 0)
        return 0;
    std::vector<double> of_task(static_cast<std::size_t>(ceil_div(m.rows, kRows)), 0.0);
    const KernelTable& table = kernels();
    with_elements(m.dtype, [&](auto tag) {
        using S = decltype(tag);
        parallel_for_ranges(m.rows, kRows, threads_for(saturated_product(m.rows, m.columns)),
                            [&](index_t begin, index_t end, int) {
                                double& largest = of_task[static_cast<std::size_t>(begin / kRows)];
                                for (index_t i = begin; i < end; ++i) {
                                    const auto* const row = reinterpret_cast<const S*>(m.data) + i * m.row_stride;
                                    const double found = linalg_largest_magnitude(table, S())(row, m.columns);
                                    if (std::isnan(found) || found > largest)  // a NaN stays: nothing is greater
                                        largest = found;
                                }
                            });
    });
    double largest = 0;
    for (const double found : of_task)
        if (std::isnan(found) || found > largest)
            largest = found;
    if (!std::isfinite(largest))
        throw ValueError(std::string(kName) + ": " + argument + " must be finite, got " +
                         (std::isnan(largest) ? "NaN" : "an infinity"));
    return largest;
}

// Divides a column of a panel by a power of two, whose exponent it returns, where its squares left the range of
// float64, or digits of them did.
int bring_near_one(double* column, index_t depth, double squares) {
    if (squares >= 0x1p-900 && squares <= std::numeric_limits<double>::max())
        return 0;
    double largest = 0;
    for (index_t k = 0; k < depth; ++k)
        largest = std::max(largest, std::fabs(column[k * kPanel]));
    if (largest == 0 || !std::isfinite(largest))
        return 0;
    const int exponent = std::ilogb(largest);
    for (index_t k = 0; k < depth; ++k)
        column[k * kPanel] = std::ldexp(column[k * kPanel], -exponent);
    return exponent;
}

template <class P>
class Merge {
    using T = typename P::computed;
    using S = typename P::stored;

public:
    Merge(const MergeArguments& given, const Factors& factors)
        : w_(linalg::matrix_of(kName, "W", given.w)),
          out_(linalg::matrix_of(kName, "out", given.out)),
          left_(given.transposed ? factors.a.transposed() : factors.b) {
        columns_.pack(given.transposed ? factors.b.transposed() : factors.a);
        p_ = {};
        p_.columns = w_.columns;
        p_.depth = factors.rank();
        p_.end = given.hadamard ? End::multiplied : given.rounded_twice ? End::added_rounded : End::added;
        p_.scale = static_cast<T>(given.scale);
        if (given.mask) {
            mask_ = static_cast<const bool*>(given.mask->data);
            p_.mask_pitch = given.mask->strides[0];
        }
        block_ = std::max<index_t>(32, kPackedElements / std::max<index_t>(p_.depth, 1) / 32 * 32);
        threads_ = threads_for(saturated_product(w_.rows, w_.columns));
        scratch_.resize(static_cast<std::size_t>(threads_));
    }

    // Divides the magnitude of each output by the norm of its merged weight: the factors of all that follows.
    void normalise(const T* magnitude, bool transposed) {
        const index_t outputs = transposed ? w_.columns : w_.rows;
        factors_.reserve(outputs);
        parallel_for_ranges(outputs, kPanel, threads_, [&](index_t begin, index_t end, int slot) {
            Scratch& scratch = scratch_[static_cast<std::size_t>(slot)];
            const index_t depth = transposed ? w_.rows : w_.columns;
            scratch.panel.reserve(depth * kPanel);
            scratch.levels.reserve(linalg::sums_for(depth) + linalg::kTileElements);
            merge_panel(begin, end - begin, transposed, scratch);
            double sums[kPanel];
            linalg_panel_squares(kernels(), double())(scratch.panel.data(), depth, scratch.levels.data(), sums);
            for (index_t i = begin; i < end; ++i) {
                double* const column = scratch.panel.data() + (i - begin);
                const int exponent = bring_near_one(column, depth, sums[i - begin]);
                if (exponent != 0)
                    linalg_panel_squares(kernels(), double())(scratch.panel.data(), depth, scratch.levels.data(), sums);
                const double quotient = static_cast<double>(magnitude[i]) / std::sqrt(sums[i - begin]);
                factors_.data()[i] = static_cast<T>(std::ldexp(quotient, -exponent));
            }
        });
        (transposed ? p_.column_factors : row_factors_) = factors_.data();
    }

    // The largest magnitude of a factor; 1 where there are none.
    double largest_factor(index_t outputs) const {
        return factors_.data() == nullptr ? 1.0 : linalg_largest_magnitude(kernels(), T())(factors_.data(), outputs);
    }

    void write() { write_and_look(nullptr); }

    // The same, and whether all results are finite.
    bool write_finite() {
        bool finite = true;
        write_and_look(&finite);
        return finite;
    }

    // Whether all results are finite; writes none.
    bool is_finite() {
        std::atomic<bool> finite{true};
        for_each_block([&](linalg::Product<P>& p, index_t, index_t, Scratch& scratch) {
            p.out_pitch = p.columns;
            scratch.results.reserve(kRows * block_);
            p.out = scratch.results.data();
            linalg_product(kernels(), P())(p);
            if (!std::isfinite(linalg_largest_magnitude(kernels(), S())(p.out, p.rows * p.columns)))
                finite.store(false, std::memory_order_relaxed);
        });
        return finite;
    }

private:
    struct Scratch {
        linalg::PackedRows<T> rows;
        AlignedArray<T> sums;
        AlignedArray<S> results;
        AlignedArray<T> merged;
        AlignedArray<double> panel, levels;
    };

    void write_and_look(bool* finite) {
        p_.streaming = out_.data != w_.data && sizeof(S) == sizeof(T) && is_aligned(out_) &&
                       w_.rows * w_.columns * static_cast<index_t>(sizeof(S)) >= kStreamingBytes;
        std::atomic<bool> all{true};
        for_each_block([&](linalg::Product<P>& p, index_t row, index_t column, Scratch&) {
            bool here = true;
            p.out = reinterpret_cast<S*>(out_.data) + row * out_.row_stride + column;
            p.out_pitch = out_.row_stride;
            p.finite = finite == nullptr ? nullptr : &here;
            linalg_product(kernels(), P())(p);
            if constexpr (sizeof(S) < sizeof(T))  // rounding may leave the range: they are looked at in the cache
                for (index_t i = 0; finite != nullptr && here && i < p.rows; ++i)
                    here = std::isfinite(linalg_largest_magnitude(kernels(), S())(p.out + i * p.out_pitch, p.columns));
            if (!here)
                all.store(false, std::memory_order_relaxed);
        });
        if (finite != nullptr)
            *finite = all;
    }

    static bool is_aligned(const Matrix& m) {
        return reinterpret_cast<std::uintptr_t>(m.data) % 64 == 0 &&
               m.row_stride * static_cast<index_t>(sizeof(S)) % 64 == 0;
    }

    // The merged weight of some outputs, at most a panel of them, as a panel of float64: not rounded to W's type.
    void merge_panel(index_t first, index_t outputs, bool transposed, Scratch& scratch) {
        using Same = linalg::Pair<T, T>;
        const KernelTable& table = kernels();
        const index_t rows = transposed ? w_.rows : outputs, columns = transposed ? outputs : w_.columns;
        const index_t row = transposed ? 0 : first, column = transposed ? first : 0, pitch = whole_vectors(columns);
        scratch.merged.reserve(rows * pitch);
        T* const merged = scratch.merged.data();
        const auto* const from = reinterpret_cast<const S*>(w_.data) + row * w_.row_stride + column;
        linalg_pack(table, P())(from, w_.row_stride, rows, columns, merged, pitch, kPanel);
        scratch.rows.pack(left_, row, rows);
        scratch.sums.reserve(linalg::sums_for(p_.depth));
        linalg::Product<Same> p = {};
        p.x = scratch.rows.data();
        p.x_pitch = scratch.rows.pitch();
        p.y = columns_.panels(column);
        p.rows = rows;
        p.columns = columns;
        p.depth = p_.depth;
        p.sums = scratch.sums.data();
        p.end = p_.end;
        p.scale = p_.scale;
        p.base = p.out = merged;
        p.base_pitch = p.out_pitch = pitch;
        linalg_product(table, Same())(p);
        using Wide = linalg::Pair<double, T>;
        if (transposed)
            linalg_pack(table, Wide())(merged, pitch, rows, columns, scratch.panel.data(), kPanel, kPanel);
        else
            linalg_pack_transposed(table, Wide())(merged, pitch, rows, columns, scratch.panel.data(), kPanel, kPanel);
    }

    template <class Body>
    void for_each_block(Body&& body) {
        const index_t blocks = w_.rows == 0 ? 0 : ceil_div(w_.columns, block_);
        parallel_for_row_ranges(blocks, w_.rows, kRows, threads_, [&](index_t b, index_t begin, index_t end, int slot) {
            Scratch& scratch = scratch_[static_cast<std::size_t>(slot)];
            scratch.rows.pack(left_, begin, end - begin);
            scratch.sums.reserve(linalg::sums_for(p_.depth));
            const Range columns = nth_range(w_.columns, block_, b);
            linalg::Product<P> p = p_;
            p.x = scratch.rows.data();
            p.x_pitch = scratch.rows.pitch();
            p.y = columns_.panels(columns.begin);
            p.rows = end - begin;
            p.columns = columns.end - columns.begin;
            p.sums = scratch.sums.data();
            p.base = reinterpret_cast<const S*>(w_.data) + begin * w_.row_stride + columns.begin;
            p.base_pitch = w_.row_stride;
            p.row_factors = row_factors_ == nullptr ? nullptr : row_factors_ + begin;
            p.column_factors = p.column_factors == nullptr ? nullptr : p.column_factors + columns.begin;
            p.mask = mask_ == nullptr ? nullptr : mask_ + begin * p.mask_pitch + columns.begin;
            body(p, begin, columns.begin, scratch);
        });
    }

    Matrix w_, out_, left_;
    linalg::PackedColumns<T> columns_;
    linalg::Product<P> p_;
    const bool* mask_ = nullptr;
    AlignedArray<T> factors_;
    const T* row_factors_ = nullptr;
    index_t block_;
    int threads_;
    std::vector<Scratch> scratch_;
};

void check_shapes(const MergeArguments& given, const Factors& factors) {
    const index_t in = given.w.shape[given.transposed ? 0 : 1], out = given.w.shape[given.transposed ? 1 : 0];
    const auto refuse = [&](const char* argument, const std::string& shape, const ArrayView& got) {
        throw ValueError(std::string(kName) + ": " + argument + " must have shape " + shape + " with W of shape " +
                         shape_text(given.w.shape, 2) + ", got " + shape_text(got.shape, got.ndim));
    };
    if (factors.a.columns != in)
        refuse("A", "(rank, " + std::to_string(in) + ")", given.a);
    if (factors.b.rows != out)
        refuse("B", "(" + std::to_string(out) + ", rank)", given.b);
    if (given.mask) {
        check_matrix(kName, "mask", *given.mask, DType::boolean, given.w.shape);
        check_rows(kName, "mask", *given.mask);
    }
}

template <class T>
void merge_as(const MergeArguments& given, const Factors& factors) {
    linalg::with_stored<T>(given.w.dtype, [&](auto pair) {
        Merge<decltype(pair)> merging(given, factors);
        const index_t outputs = factors.b.rows;
        if (given.magnitude)
            merging.normalise(vector_of<T>(kName, "magnitude", *given.magnitude, outputs), given.transposed);
        if (given.check_finite) {
            const double a = finite_magnitude("A", factors.a), b = finite_magnitude("B", factors.b);
            if (given.out_is_new && !given.magnitude && merging.write_finite())
                return;
            const double w = finite_magnitude("W", linalg::matrix_of(kName, "W", given.w));
            // A bound of all results, with room for every rounding; where it is too high, a look at them.
            const double product = static_cast<double>(factors.rank()) * a * b * 1.01;
            const double difference = std::fabs(given.scale) * product;
            const double most = given.hadamard ? w * (1.01 + difference) : w * 1.01 + difference;
            const double factor = merging.largest_factor(outputs);
            if (!std::isfinite(factor))
                throw ValueError(std::string(kName) +
                                 ": magnitude must be finite and go with weights that are not zero, got a factor of " +
                                 number_text(factor));
            const bool in_range = product < std::numeric_limits<T>::max() && most < std::numeric_limits<T>::max() &&
                                  most * factor * 1.01 < largest_of(given.w.dtype);
            if (!in_range && !merging.is_finite())
                throw ValueError(std::string(kName) + ": W must stay finite in " + dtype_text(given.w.dtype) +
                                 ", got sums beyond its range");
        }
        merging.write();
    });
}

}  // namespace

void merge(const MergeArguments& given) {
    check_float(kName, "W", given.w);
    const DType computed = given.wide || given.w.dtype == DType::f64 ? DType::f64 : DType::f32;
    check_rows(kName, "W", given.w);
    check_out(kName, "out", given.out, given.w.dtype, given.w.shape, given.w.ndim);
    check_rows(kName, "out", given.out);
    const Factors factors = factors_of(kName, given.a, given.b, computed);
    check_scale(kName, given.scale, computed);
    check_shapes(given, factors);
    const FpGuard guard;
    if (computed == DType::f64)
        merge_as<double>(given, factors);
    else
        merge_as<float>(given, factors);
}

}  // namespace sorgum::lowrank
