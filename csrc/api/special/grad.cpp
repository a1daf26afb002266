#include <algorithm>
#include <cstdlib>

#include "api/call/stored.h"
#include "api/call/temperature.h"
#include "api/call/work.h"
#include "api/special/op_kernels.h"
#include "api/special/ways.h"

namespace sorgum::special {

namespace {

static_assert(kPieceElements % kChunk == 0);

template <class T>
class GradJob {
public:
    GradJob(Op op, const Arguments& a, const AxisMask& reduced)
        : dtype_(a.x.dtype), table_(kernels()), kernels_of_op_(kernels_of<T>(op, table_)) {
        const char* const name = traits(op).name;
        std::vector<ArrayView> operands = {a.x, *a.dy, a.out,
                                           per_row(name, "temperature", a.temperature, a.x, reduced)};
        if (a.where)
            operands.push_back(broadcast_like(name, "where", *a.where, a.x));
        masked_ = a.where != nullptr;
        layout_ = make_rows(a.x, reduced, operands);
        check_temperature(name, a.temperature, layout_, kTemperature);
        const index_t elements = saturated_product(layout_.rows, layout_.length);
        threads_ = threads_for(elements);
        streaming_ = elements >= kStreamingBytes / element_size(dtype_);
        direct_ = !masked_ && stored(kY).direct() && stored(kDy).direct() && stored(kOut).direct();
    }

    void run() {
        const index_t n = layout_.length;
        if (layout_.rows == 0 || n == 0)
            return;
        const bool whole = n <= kPieceElements || (layout_.rows >= kManyRows && n <= kLongRow);
        if (direct_ && whole)
            run_direct_rows();
        else if (n <= kChunk)
            run_blocks();
        else if (whole)
            run_rows();
        else
            for (index_t row = 0; row < layout_.rows; ++row)
                run_shared_row(row);
    }

private:
    enum Operand { kY = 0, kDy = 1, kOut = 2, kTemperature = 3, kWhere = 4 };

    Stored<T> stored(int operand) const { return {layout_, operand, dtype_}; }
    double temperature(index_t row) const { return temperature_of(layout_, kTemperature, row); }
    T* element(int operand, index_t row, index_t i) const {
        return reinterpret_cast<T*>(layout_.row(operand, row)) + i;
    }

    // ---- contiguous rows ----

    void run_direct_rows() const {
        constexpr auto size = static_cast<index_t>(sizeof(T));
        const index_t n = layout_.length, rows = layout_.rows;
        const index_t share = rows * n / (8 * threads_);
        const index_t wanted = std::clamp(share, kPieceElements, kLongTask);
        const index_t per_task = wanted / n > 1 ? wanted / n : 2;  // one row is written while the next is read
        parallel_for_ranges(rows, per_task, threads_, [&](index_t begin, index_t end, int) {
            double temperatures[kMostTogether];
            for (index_t r = begin, count; r < end; r += count) {
                count = layout_.rows_of_run(r, end);
                if (!one_temperature())
                    count = std::min(count, kMostTogether);
                kernels_of_op_.grad.rows(
                    {element(kY, r, 0), element(kDy, r, 0), element(kOut, r, 0), count, n,
                     layout_.run_stride(kY) / size, layout_.run_stride(kDy) / size, layout_.run_stride(kOut) / size,
                     streaming_, temperatures_of(r, count, temperatures)},
                    temperature(r));
            }
        });
    }

    static constexpr index_t kMostTogether = 1024;  // rows of a call that have a temperature each, or are gathered

    bool one_temperature() const { return layout_.run_stride(kTemperature) == 0; }
    const double* temperatures_of(index_t row, index_t rows, double* to) const {
        return one_temperature() ? nullptr : temperatures_of_run(layout_, kTemperature, row, rows, to);
    }

    // ---- all others: gathered ----

    // A chunk of some rows, gathered.
    struct Scratch {
        AlignedArray<T> y, dy;
        AlignedArray<bool> mask;
    };

    void clear_absent(T* x, const bool* mask, index_t n) const {
        for (index_t j = 0; j < n; ++j)
            x[j] = mask[j] ? x[j] : T(0);
    }
    void load_chunk(index_t row, index_t rows, index_t i, index_t n, Scratch& s) const {
        stored(kY).read(row, rows, i, n, s.y.data(), pitch_);
        stored(kDy).read(row, rows, i, n, s.dy.data(), pitch_);
        if (!masked_)
            return;
        gather(layout_, kWhere, row, rows, i, n, s.mask.data(), pitch_);
        // A masked element adds nothing to the sum, whatever y is there.
        for (index_t r = 0; r < rows; ++r) {
            clear_absent(s.y.data() + r * pitch_, s.mask.data() + r * pitch_, n);
            clear_absent(s.dy.data() + r * pitch_, s.mask.data() + r * pitch_, n);
        }
    }

    // The sums of the chunks from element `begin` on, row by row at a distance of `pitch`.
    void sum(index_t row, index_t rows, index_t begin, index_t end, Scratch& s, SumPair* chunks, index_t pitch) const {
        auto* const kernel = kernels_of_op_.grad.sum;
        if (direct_) {
            for (index_t r = 0; r < rows; ++r)
                kernel(element(kY, row + r, begin), element(kDy, row + r, begin), end - begin, chunks + r * pitch);
            return;
        }
        for_each_range(begin, end, kChunk, [&](index_t i, index_t stop) {
            load_chunk(row, rows, i, stop - i, s);
            for (index_t r = 0; r < rows; ++r)
                kernel(s.y.data() + r * pitch_, s.dy.data() + r * pitch_, stop - i,
                       chunks + r * pitch + (i - begin) / kChunk);
        });
    }

    void write(index_t row, index_t rows, index_t begin, index_t end, Scratch& s, const SumPair* totals) const {
        auto* const kernel = kernels_of_op_.grad.write;
        if (direct_) {
            for (index_t r = 0; r < rows; ++r)
                kernel(element(kY, row + r, begin), element(kDy, row + r, begin), element(kOut, row + r, begin),
                       end - begin, totals[r], temperature(row + r), streaming_);
            return;
        }
        for_each_range(begin, end, kChunk, [&](index_t i, index_t stop) {
            const index_t here = stop - i;
            if (layout_.length > kChunk)  // else it still stands there
                load_chunk(row, rows, i, here, s);
            for (index_t r = 0; r < rows; ++r) {
                T* const dx = s.dy.data() + r * pitch_;
                kernel(s.y.data() + r * pitch_, dx, dx, here, totals[r], temperature(row + r), false);
                if (masked_)
                    clear_absent(dx, s.mask.data() + r * pitch_, here);
            }
            stored(kOut).write(row, rows, i, here, s.dy.data(), pitch_, streaming_);
        });
    }

    std::vector<Scratch> make_scratch(index_t rows = kBlockRows) const {
        std::vector<Scratch> scratch(static_cast<std::size_t>(threads_));
        for (Scratch& s : scratch) {
            if (!direct_) {
                s.y.reserve(rows * pitch_);
                s.dy.reserve(rows * pitch_);
            }
            if (masked_)
                s.mask.reserve(rows * pitch_);
        }
        return scratch;
    }

    // Rows of at most one chunk: as many as stay in the first-level cache are gathered, done together, and scattered.
    void run_blocks() {
        const index_t n = layout_.length;
        const index_t along = layout_.inner.n == 0 ? 0 : layout_.inner.stride[kOut][layout_.inner.n - 1];
        const bool across = std::abs(layout_.run_stride(kOut)) < std::abs(along);
        const RowBlocks blocks = across ? RowBlocks::across(layout_, kOut, element_size(dtype_))
                                        : RowBlocks(layout_, std::clamp<index_t>(kChunk / n, 1, kMostTogether));
        if (!across || n < 16)  // halves that follow each other are converted together, rows of less than 16 in lanes
            pitch_ = n;
        const index_t per_task = std::max<index_t>(kPieceElements / (n * blocks.most_rows()), 1);
        std::vector<Scratch> scratch = make_scratch(blocks.most_rows());
        parallel_for_ranges(blocks.count(), per_task, threads_, [&](index_t begin, index_t end, int slot) {
            Scratch& s = scratch[static_cast<std::size_t>(slot)];
            double temperatures[kMostTogether];
            for (index_t b = begin; b < end; ++b) {
                const auto [row, rows] = blocks[b];
                load_chunk(row, rows, 0, n, s);
                T* const dx = s.dy.data();
                kernels_of_op_.grad.rows({s.y.data(), dx, dx, rows, n, pitch_, pitch_, pitch_, false,
                                          temperatures_of(row, rows, temperatures)},
                                         temperature(row));
                for (index_t r = 0; masked_ && r < rows; ++r)
                    clear_absent(dx + r * pitch_, s.mask.data() + r * pitch_, n);
                stored(kOut).write(row, rows, 0, n, dx, pitch_, streaming_);
            }
        });
    }

    SumPair total(const SumPair* chunks, index_t count) const { return special_grad_total(table_, T())(chunks, count); }

    // Whole rows, several together where their elements share cache lines.
    void run_rows() const {
        const RowBlocks blocks = RowBlocks::across(layout_, kOut, element_size(dtype_));
        const index_t n = layout_.length, chunks = ceil_div(n, kChunk), per_block = blocks.most_rows();
        const index_t per_task = std::max<index_t>(kPieceElements / (n * per_block), 1);
        std::vector<Scratch> scratch = make_scratch();
        std::vector<std::vector<SumPair>> sums(static_cast<std::size_t>(threads_));
        for (std::vector<SumPair>& own : sums)
            own.resize(static_cast<std::size_t>(chunks * per_block));
        parallel_for_ranges(blocks.count(), per_task, threads_, [&](index_t begin, index_t end, int slot) {
            Scratch& s = scratch[static_cast<std::size_t>(slot)];
            SumPair* const own = sums[static_cast<std::size_t>(slot)].data();
            for (index_t b = begin; b < end; ++b) {
                const auto [row, count] = blocks[b];
                SumPair totals[kBlockRows];
                sum(row, count, 0, n, s, own, chunks);
                for (index_t r = 0; r < count; ++r)
                    totals[r] = total(own + r * chunks, chunks);
                write(row, count, 0, n, s, totals);
            }
        });
    }

    // One row, which all threads share.
    void run_shared_row(index_t row) const {
        const index_t n = layout_.length, chunks = ceil_div(n, kChunk);
        std::vector<Scratch> scratch = make_scratch();
        std::vector<SumPair> sums(static_cast<std::size_t>(chunks));
        const auto for_each_piece = [&](auto&& f) {
            parallel_for_ranges(n, kPieceElements, threads_, [&](index_t begin, index_t end, int slot) {
                f(begin, end, scratch[static_cast<std::size_t>(slot)]);
            });
        };
        for_each_piece([&](index_t begin, index_t end, Scratch& s) {
            sum(row, 1, begin, end, s, &sums[static_cast<std::size_t>(begin / kChunk)], chunks);
        });
        const SumPair of_row = total(sums.data(), chunks);
        for_each_piece([&](index_t begin, index_t end, Scratch& s) { write(row, 1, begin, end, s, &of_row); });
    }

    DType dtype_;  // of y, dy and out
    const KernelTable& table_;
    OpKernels<T> kernels_of_op_;
    RowLayout layout_;
    bool masked_, direct_, streaming_;
    int threads_;
    index_t pitch_ = kChunk + 16;  // of rows that are gathered; not a power of two: they fall into different sets
};

}  // namespace

void run_grad(Op op, const Arguments& a, const AxisMask& reduced) {
    if (computed_in(a.x.dtype) == DType::f32)
        GradJob<float>(op, a, reduced).run();
    else
        GradJob<double>(op, a, reduced).run();
}

}  // namespace sorgum::special
