#include "api/call/temperature.h"
#include "api/random/rows.h"
#include "core/fp_env.h"
#include "dispatch/random.h"
#include "dispatch/special.h"

namespace sorgum::random {

namespace {

using special::kMostKept;

// A row's perturbed logits stay in cache until they are exponentials over their sum, which are written past the caches:
// a row is read from memory once, and written once.
template <class T>
class RelaxJob {
public:
    RelaxJob(const RelaxArguments& a, const Source& source)
        : source_(source),
          reduced_(last_axis(a.logits)),
          rows_(a.function, source, a.logits, reduced_),
          operands_{a.logits, a.out, per_row(a.function, "temperature", a.temperature, a.logits, reduced_)},
          where_(append_others(a)),
          layout_(make_rows(a.logits, reduced_, operands_)),
          logits_(layout_, a.logits.dtype, where_),
          stored_(layout_, kOut, a.out.dtype),
          direct_(stored_.direct()) {
        check_temperature(a.function, a.temperature, layout_, kTemperature);
        one_temperature_ = a.temperature.ndim == 0;
        streaming_ = saturated_product(layout_.rows, layout_.length) >= kStreamingBytes / element_size(a.out.dtype);
    }

    void run() const {
        const index_t n = layout_.length, rows = layout_.rows;
        if (rows == 0 || n == 0)
            return;
        const int threads = threads_for_rows(layout_);
        if (threads > 1 && few_long_rows(layout_)) {
            for (index_t r = 0; r < rows; ++r)
                shared_row(r);
            return;
        }
        // Rows go together, as many as fit in the second cache, if they have one temperature.
        const bool whole = one_temperature_ && n <= kMostKept;
        const bool in_place = !whole && n > kMostKept && direct_;
        const index_t most = n <= kChunk ? kShort : kLong, together = whole && n < most ? most / n : 1;
        std::vector<AlignedArray<T>> scratch(static_cast<std::size_t>(threads)), terms(scratch.size());
        parallel_for_ranges(rows, together, threads, [&](index_t first, index_t end, int slot) {
            AlignedArray<T>&x = scratch[static_cast<std::size_t>(slot)], &kept = terms[static_cast<std::size_t>(slot)];
            x.reserve(in_place ? 0 : together * n);
            kept.reserve(whole && n > kChunk ? whole_vectors(n) : 0);
            if (whole)
                whole_rows(first, end - first, x.data(), kept.data());
            else
                long_row(first, in_place ? out(first) : x.data());
        });
    }

private:
    enum Operand { kLogits = 0, kOut = 1, kTemperature = 2 };
    static constexpr index_t kShort = 16384, kLong = index_t(1) << 17;  // elements
    static constexpr T kEmpty = static_cast<T>(__builtin_nan(""));

    int append_others(const RelaxArguments& a) {
        rows_.append_to(operands_);
        return append_where(a.function, a.where, a.logits, operands_);
    }

    // Writes x + G for the elements [begin, end) of a row, and calls f(where they are, how many).
    template <class F>
    void perturb(index_t r, index_t begin, index_t end, T* to, F&& f) const {
        const NoiseRow noise = rows_.row(layout_, r, Purpose::gumbel, false);
        logits_.for_each_part(nullptr, r, begin, end, [&](const T* x, index_t i, index_t n) {
            // The sum is formed while they are in the first cache.
            for_each_range(0, n, kChunk, [&](index_t k, index_t stop) {
                T* const perturbed = to + (i + k - begin);
                random_gumbel_add(kernels(), T())(noise, x + k, source_.index_offset + i + k, stop - k, perturbed);
                f(perturbed, stop - k);
            });
        });
    }

    ExpScale<T> scale(index_t r) const {
        ExpScale<T> scale;
        special_exp_scale(kernels(), T())(temperature_of(layout_, kTemperature, r), scale);
        return scale;
    }

    T* out(index_t r) const { return reinterpret_cast<T*>(layout_.row(kOut, r)); }

    void whole_rows(index_t first, index_t count, T* x, T* terms) const {
        const index_t n = layout_.length;
        for (index_t k = 0; k < count; ++k)
            perturb(first + k, 0, n, x + k * n, [](const T*, index_t) {});
        auto* const kernel =
            n <= kChunk ? special_softmax_rows(kernels(), T()) : special_softmax_long_rows(kernels(), T());
        if (!direct_) {
            kernel({x, x, count, n, n, n, kEmpty, false, terms}, scale(first));
            for (index_t k = 0, some; k < count; k += some) {
                some = layout_.rows_of_run(first + k, first + count);
                stored_.write(first + k, some, 0, n, x + k * n, n, streaming_);
            }
            return;
        }
        const index_t stride = count > 1 ? out(first + 1) - out(first) : n;
        bool even = true;  // whether the results follow each other at one distance
        for (index_t k = 1; k < count; ++k)
            even = even && out(first + k) == out(first) + k * stride;
        if (even)
            return kernel({x, out(first), count, n, n, stride, kEmpty, streaming_, terms}, scale(first));
        for (index_t k = 0; k < count; ++k)
            kernel({x + k * n, out(first + k), 1, n, n, n, kEmpty, streaming_, terms}, scale(first));
    }

    void long_row(index_t r, T* x) const {
        const ExpScale<T> own = scale(r);
        RowSum<T> sum;
        special_row_clear(kernels(), T())(sum);
        perturb(r, 0, layout_.length, x,
                [&](const T* y, index_t n) { special_exp_sum(kernels(), T())(y, n, own, sum); });
        write(r, 0, layout_.length, x, own, result_of(sum, own));
    }

    static RowResult<T> result_of(const RowSum<T>& sum, const ExpScale<T>& own) {
        RowResult<T> result;
        special_row_result(kernels(), T())(sum, own, false, result);
        return result;
    }

    // Elements [begin, end) of a row from their perturbed logits.
    void write(index_t r, index_t begin, index_t end, T* x, const ExpScale<T>& own, const RowResult<T>& row) const {
        const index_t n = end - begin;
        if (direct_) {
            T* const y = out(r) + begin;
            return special_softmax_scale(kernels(), T())(x, y, n, own, row, kEmpty, streaming_ && y != x);
        }
        for_each_range(0, n, kChunk, [&](index_t i, index_t stop) {
            special_softmax_scale(kernels(), T())(x + i, x + i, stop - i, own, row, kEmpty, false);
            stored_.write(r, 1, begin + i, stop - i, x + i, stop - i, streaming_);
        });
    }

    // By all threads, piece by piece, with the perturbed logits in the result's place if they fit there.
    void shared_row(index_t r) const {
        const ExpScale<T> own = scale(r);
        const PiecedRow<T> row(logits_, r, true);
        AlignedArray<T> scratch;
        if (!direct_)
            scratch.reserve(layout_.length);
        T* const x = direct_ ? out(r) : scratch.data();
        std::vector<RowSum<T>> sums(static_cast<std::size_t>(row.slots()));
        for (RowSum<T>& sum : sums)
            special_row_clear(kernels(), T())(sum);
        row.for_each_piece(layout_.length, [&](index_t piece, int slot) {
            perturb(r, row.begin(piece), row.end(piece), x + row.begin(piece), [&](const T* y, index_t n) {
                special_exp_sum(kernels(), T())(y, n, own, sums[static_cast<std::size_t>(slot)]);
            });
        });
        for (std::size_t slot = 1; slot < sums.size(); ++slot)
            special_row_merge(kernels(), T())(sums[0], own, sums[slot]);
        const RowResult<T> result = result_of(sums[0], own);
        row.for_each_piece(layout_.length, [&](index_t piece, int) {
            write(r, row.begin(piece), row.end(piece), x + row.begin(piece), own, result);
        });
    }

    const Source& source_;
    AxisMask reduced_;
    RowSource rows_;
    std::vector<ArrayView> operands_;
    int where_;
    RowLayout layout_;
    Logits<T> logits_;
    Stored<T> stored_;  // the result
    bool direct_, one_temperature_, streaming_;
};

}  // namespace

void gumbel_softmax(const RelaxArguments& a, const Source& source) {
    check_logits(a.function, a.logits);
    check_out(a.function, "out", a.out, a.logits.dtype, a.logits.shape, a.logits.ndim);
    const FpGuard guard;
    if (computed_in(a.logits.dtype) == DType::f32)
        RelaxJob<float>(a, source).run();
    else
        RelaxJob<double>(a, source).run();
}

}  // namespace sorgum::random
