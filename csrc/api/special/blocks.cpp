// Rows of any layout, with masks, weights, records and every algorithm: in blocks of rows, and in pieces of long ones.
#include <algorithm>

#include "api/special/partial.h"
#include "api/special/row_call.h"
#include "core/error.h"
#include "dispatch/special.h"

namespace sorgum::special {

namespace {

// How work is cut; see also row_call.h and api/call/work.h.
constexpr index_t kShortPiece = 4 * kChunk;        // elements of a piece of rows of less than 8 kPieceElements
constexpr index_t kMostPieces = index_t(1) << 16;  // partial sums kept at a time
constexpr index_t kBlockElements = kChunk;         // elements of short rows that are brought together at a time
constexpr index_t kMostBlockRows = 256;            // and their rows
static_assert(kPieceElements % kChunk == 0);

template <class T>
class BlockJob {
public:
    explicit BlockJob(const RowCall<T>& call) : call_(call) {}

    void run() {
        const index_t n = call_.layout.length;
        blocks_ = make_blocks();
        const index_t block_rows = blocks_.most_rows(), blocks = blocks_.count();
        const bool whole = n <= kLeastTask || (n <= kLongRow && call_.many(blocks));
        staged_ = whole && !call_.direct_x && !call_.batched() && block_rows == 1 && call_.weights < 0 && n > kChunk &&
                  n <= kMostKept;
        // No power of two, so that rows do not compete for the same places of a cache. Halves that follow each other
        // are converted together.
        pitch_ = is_half(call_.dtype) && call_.batched() && !call_.layout.adjacent(kX, element_size(call_.dtype))
                     ? n
                     : (n < kChunk || staged_ ? whole_vectors(n) : kChunk) + 16;
        std::vector<Scratch> scratch(static_cast<std::size_t>(call_.threads));
        for (Scratch& s : scratch) {
            const index_t size = block_rows * pitch_;
            if (!call_.direct_x || !call_.direct_out)
                s.x.reserve(size);
            if (call_.weights >= 0)
                s.weights.reserve(size);
            if (call_.where >= 0)
                s.mask.reserve(size);
        }
        const auto slot_scratch = [&](int slot) -> Scratch& { return scratch[static_cast<std::size_t>(slot)]; };
        if (whole) {
            const index_t per_task = std::max<index_t>(kLeastTask / std::max<index_t>(n * block_rows, 1), 1);
            parallel_for_ranges(blocks, per_task, call_.threads, [&](index_t begin, index_t end, int slot) {
                for (index_t b = begin; b < end; ++b)
                    whole_block(blocks_[b], slot_scratch(slot));
            });
            return;
        }
        piece_ = n < 8 * kPieceElements ? kShortPiece : kPieceElements;
        const index_t pieces = ceil_div(n, piece_);
        const index_t most = std::max<index_t>(kMostPieces / (pieces * block_rows), 1);
        for_each_range(0, blocks, most,
                       [&](index_t first, index_t end) { run_pieces(first, end - first, pieces, slot_scratch); });
    }

private:
    enum Operand { kX = RowCall<T>::kX, kOut = RowCall<T>::kOut };
    using Block = RowBlocks::Block;

    // Rows that lie across memory are taken together, since their elements share cache lines; short ones, since the
    // batched kernel takes many at a time.
    RowBlocks make_blocks() const {
        const Dims& in = call_.layout.inner;
        const index_t along = in.n == 0 ? 0 : in.stride[kX][in.n - 1];
        const index_t across = call_.layout.run_stride(kX);
        if ((across < 0 ? -across : across) < (along < 0 ? -along : along))
            return reduces(call_.op) ? RowBlocks::across(call_.layout, kX, element_size(call_.dtype))
                                     : RowBlocks::across(call_.layout, kOut, element_size(call_.out_dtype));
        if (!call_.batched() || call_.layout.length == 0)
            return {call_.layout, 1};
        const index_t fitting = kBlockElements / call_.layout.length;  // several batches, which overlap
        return {call_.layout, fitting < kMostBlockRows ? fitting : kMostBlockRows};
    }

    // Scratch of one thread: the elements of a block's chunk, and what goes with them.
    struct Scratch {
        AlignedArray<T> x, weights, terms;
        AlignedArray<bool> mask;
    };

    void load_chunk(const Block& b, index_t i, index_t n, Scratch& s) const {
        const bool mask_direct = call_.where >= 0 && call_.layout.contiguous(call_.where, sizeof(bool));
        const bool x_direct = mask_direct && call_.stored(kX).direct();
        if (!x_direct)
            call_.stored(kX).read(b.first, b.rows, i, n, s.x.data(), pitch_);
        if (call_.where >= 0 && !mask_direct)
            gather(call_.layout, call_.where, b.first, b.rows, i, n, s.mask.data(), pitch_);
        if (call_.weights >= 0)
            call_.stored(call_.weights).read(b.first, b.rows, i, n, s.weights.data(), pitch_);
        for (index_t r = 0; r < b.rows; ++r) {
            T* const x = s.x.data() + r * pitch_;
            T* const w = call_.weights >= 0 ? s.weights.data() + r * pitch_ : nullptr;
            if (call_.where >= 0) {
                const T* const from = x_direct ? call_.x_row(b.first + r) + i : x;
                const bool* const m =
                    mask_direct ? reinterpret_cast<const bool*>(call_.layout.row(call_.where, b.first + r)) + i
                                : s.mask.data() + r * pitch_;
                special_masked_copy(call_.table, T())(from, m, x, n);
                for (index_t j = 0; w != nullptr && j < n; ++j)
                    w[j] = m[j] ? w[j] : T(0);
            }
            for (index_t j = 0; w != nullptr && j < n; ++j) {
                if (w[j] == T(0))
                    x[j] = -call_.infinity();
                else if (x[j] == -call_.infinity())  // a term of 0 times the weight
                    w[j] = w[j] - w[j] == T(0) ? T(0) : call_.nan();
            }
        }
    }

    // Calls f(row of the block, its elements, their number) for elements [begin, end), in chunks where it must gather.
    template <class F>
    void for_each_part(const Block& b, index_t begin, index_t end, Scratch& s, F&& f) const {
        if (call_.direct_x) {
            for (index_t r = 0; r < b.rows; ++r)
                f(r, call_.x_row(b.first + r) + begin, begin, end - begin);
            return;
        }
        if (staged_)
            return f(0, s.x.data() + begin, begin, end - begin);
        for_each_range(begin, end, kChunk, [&](index_t i, index_t stop) {
            load_chunk(b, i, stop - i, s);
            for (index_t r = 0; r < b.rows; ++r)
                f(r, s.x.data() + r * pitch_, i, stop - i);
        });
    }

    void max_piece(const Block& b, index_t begin, index_t end, Scratch& s, T* maxima) const {
        for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t, index_t n) {
            const T m = special_row_max(call_.table, T())(x, n);
            if (m > maxima[r])
                maxima[r] = m;
        });
    }

    void sum_piece(const Block& b, index_t begin, index_t end, Scratch& s, const T* maxima, RowSum<T>* sums) const {
        for (index_t r = 0; r < b.rows; ++r)
            special_row_clear(call_.table, T())(sums[r]);
        if (call_.records >= 0) {  // the sum of the whole row
            for (index_t r = 0; begin == 0 && r < b.rows; ++r) {
                PartialRecord record;
                __builtin_memcpy(&record, call_.layout.row(call_.records, b.first + r), sizeof record);
                sums[r] = row_of<T>(record);
            }
            return;
        }
        for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t i, index_t n) {
            ExpScale<T> own;
            const ExpScale<T>& scale_r = call_.scale(b.first + r, own);
            if (call_.weights >= 0) {
                special_weighted_sum(call_.table, T())(x, s.weights.data() + r * pitch_, n, scale_r, sums[r]);
            } else if (call_.three_pass()) {
                T* const terms =
                    call_.algorithm == Algorithm::three_pass_reload ? call_.out_row(b.first + r) + i : nullptr;
                special_max_sum(call_.table, T())(x, terms, n, scale_r, maxima[r], sums[r]);
            } else {
                special_exp_sum(call_.table, T())(x, n, scale_r, sums[r]);
            }
        });
    }

    void write_piece(const Block& b, index_t begin, index_t end, Scratch& s, const RowResult<T>* results) const {
        if (call_.algorithm == Algorithm::three_pass_reload) {
            for (index_t r = 0; r < b.rows; ++r)
                special_terms_scale(call_.table, T())(call_.out_row(b.first + r) + begin, end - begin, results[r],
                                                      call_.empty, call_.streaming);
            return;
        }
        auto* const kernel = call_.kernels_of_op.write;
        const auto write = [&](index_t r, const T* x, T* y, index_t n) {
            ExpScale<T> own;
            check_part(x, n, results[r]);
            double factor;
            if (call_.factors(b.first + r, 1, &factor) != nullptr)
                special_logsumexp_grad_scale(call_.table, T())(x, y, n, call_.scale(b.first + r, own), results[r],
                                                               factor, call_.streaming);
            else
                kernel(x, y, n, call_.scale(b.first + r, own), results[r], call_.empty, call_.streaming);
        };
        if (call_.direct_out) {
            for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t i, index_t n) {
                write(r, x, call_.out_row(b.first + r) + i, n);
            });
            return;
        }
        for_each_range(begin, end, kChunk, [&](index_t i, index_t stop) {
            T* const place = s.x.data() + (staged_ ? i : 0);
            for_each_part(b, i, stop, s,
                          [&](index_t r, const T* x, index_t, index_t n) { write(r, x, place + r * pitch_, n); });
            call_.stored(kOut).write(b.first, b.rows, i, stop - i, place, pitch_, call_.large);
        });
    }

    // Throws when x cannot be a part of the row whose sum was given.
    void check_part(const T* x, index_t n, const RowResult<T>& row) const {
        if (call_.records >= 0 && !row.has_nan && !row.has_inf && !special_row_within(call_.table, T())(x, n, row.max))
            throw ValueError(std::string(traits(call_.op).name) +
                             ": x must be a part of the rows of p, got NaN or an element above a row's maximum, " +
                             number_text(static_cast<double>(row.max)));
    }

    void finish(const Block& b, const RowSum<T>* sums, RowResult<T>* results) const {
        for (index_t r = 0; r < b.rows; ++r) {
            ExpScale<T> own;
            const ExpScale<T>& scale_r = call_.scale(b.first + r, own);
            if (call_.op == Op::logsumexp_partial) {
                const PartialRecord record =
                    make_record(traits(call_.op).name, sums[r], call_.temperature(b.first + r), call_.weights >= 0);
                __builtin_memcpy(call_.layout.row(kOut, b.first + r), &record, sizeof record);
                continue;
            }
            if (call_.weights >= 0) {
                write_weighted(b.first + r, sums[r], scale_r);
                continue;
            }
            special_row_result(call_.table, T())(sums[r], scale_r, call_.three_pass(), results[r]);
            if (call_.op == Op::logsumexp)
                call_.write_value(kOut, b.first + r, static_cast<T>(results[r].log_sum_exp));
        }
    }

    // A peaked row's log_softmax takes one more sum, in float64.
    bool needs_precision(const RowResult<T>& row) const {
        return call_.op == Op::log_softmax && !call_.three_pass() && special::needs_precision(row, call_.layout.length);
    }
    bool needs_precision(const Block& b, const RowResult<T>* results) const {
        bool any = false;
        for (index_t r = 0; r < b.rows; ++r)
            any = any || needs_precision(results[r]);
        return any;
    }
    void precise_piece(const Block& b, index_t begin, index_t end, Scratch& s, const RowResult<T>* results,
                       RowSum<T>* sums) const {
        if constexpr (kPreciseBelow<T> > 0) {
            for (index_t r = 0; r < b.rows; ++r)
                special_row_clear(call_.table, T())(sums[r]);
            for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t, index_t n) {
                ExpScale<T> own;
                if (needs_precision(results[r]))
                    special_precise_sum(call_.table, T())(x, n, call_.scale(b.first + r, own), results[r], sums[r]);
            });
        }
    }

    void finish_precise(const Block& b, const RowSum<T>* sums, RowResult<T>* results) const {
        if constexpr (kPreciseBelow<T> > 0)
            for (index_t r = 0; r < b.rows; ++r)
                if (needs_precision(results[r]))
                    special_precise_result(call_.table, T())(sums[r], results[r]);
    }

    void write_weighted(index_t row, const RowSum<T>& sum, const ExpScale<T>& scale_r) const {
        double log_abs, sign;
        special_weighted_result(call_.table, T())(sum, scale_r, log_abs, sign);
        if (call_.sign < 0 && sign < 0)
            log_abs = __builtin_nan("");
        call_.write_value(kOut, row, log_abs != log_abs ? call_.nan() : static_cast<T>(log_abs));
        if (call_.sign >= 0)
            call_.write_value(call_.sign, row, sign != sign ? call_.nan() : static_cast<T>(sign));
    }

    // The conversion of halves only waits for memory, so the kernel, which computes meanwhile, prefetches for it:
    // halves beyond those that the conversion itself prefetches, and the place of the results.
    void fetch_halves(const Block& b, Rows<T>& rows) const {
        constexpr index_t size = 2, ahead = 3;  // blocks
        const index_t row_bytes = call_.layout.length * size;
        if (call_.layout.contiguous(kX, size) && call_.layout.run_stride(kX) == row_bytes &&
            b.first + (ahead + 1) * b.rows <= call_.layout.rows)
            rows.fetch[0] = call_.layout.row(kX, b.first) + ahead * b.rows * row_bytes;
        if (call_.op != Op::logsumexp && !call_.large && call_.layout.contiguous(kOut, size) &&
            call_.layout.run_stride(kOut) == row_bytes)
            rows.fetch[1] = call_.layout.row(kOut, b.first);
    }

    // A block of rows of one chunk: gathered, done by the batched kernel, scattered.
    void whole_block_batched(const Block& b, Scratch& s) const {
        const index_t n = call_.layout.length;
        if (n > 0)
            load_chunk(b, 0, n, s);
        T results[kMostBlockRows];
        const bool write_direct = call_.op != Op::logsumexp && call_.direct_out;
        double own_factors[kMostBlockRows], own_temperatures[kMostBlockRows];
        Rows<T> rows = {s.x.data(), s.x.data(), b.rows, n, pitch_, pitch_, call_.empty, false};
        rows.factors = call_.factors(b.first, b.rows, own_factors);
        if (is_half(call_.dtype))
            fetch_halves(b, rows);
        if (call_.op == Op::logsumexp) {
            rows.y = results;
            rows.y_stride = 1;
        } else if (write_direct) {
            rows.y = call_.out_row(b.first);
            rows.y_stride = call_.layout.run_stride(kOut) / static_cast<index_t>(sizeof(T));
            rows.streaming = call_.large;
        }
        rows.temperatures = call_.temperatures(b.first, b.rows, own_temperatures);
        call_.kernels_of_op.rows(rows, call_.scale_of_all);
        if (call_.op != Op::logsumexp) {
            if (!write_direct)
                call_.stored(kOut).write(b.first, b.rows, 0, n, s.x.data(), pitch_, call_.large);
            return;
        }
        call_.stored(kOut).write_values(b.first, b.rows, results);
    }

    void whole_block(const Block& b, Scratch& s) const {
        if (call_.batched())
            return whole_block_batched(b, s);
        if (staged_)
            load_chunk(b, 0, call_.layout.length, s);
        if (staged_ && call_.algorithm == Algorithm::automatic && traits(call_.op).scales_terms) {
            const index_t n = call_.layout.length;
            s.terms.reserve(pitch_);
            T* const to = call_.direct_out ? call_.out_row(b.first) : s.x.data();
            ExpScale<T> own;
            double factor;
            call_.kernels_of_op.long_rows({s.x.data(), to, 1, n, 0, 0, call_.empty, call_.direct_out && call_.large,
                                           s.terms.data(), call_.factors(b.first, 1, &factor)},
                                          call_.scale(b.first, own));
            if (!call_.direct_out)
                call_.stored(kOut).write(b.first, b.rows, 0, n, to, pitch_, call_.large);
            return;
        }
        T maxima[kBlockRows];
        RowSum<T> sums[kBlockRows];
        RowResult<T> results[kBlockRows];
        for (T& m : maxima)
            m = -call_.infinity();
        if (call_.three_pass())
            max_piece(b, 0, call_.layout.length, s, maxima);
        sum_piece(b, 0, call_.layout.length, s, maxima, sums);
        finish(b, sums, results);
        if (needs_precision(b, results)) {
            precise_piece(b, 0, call_.layout.length, s, results, sums);
            finish_precise(b, sums, results);
        }
        if (!reduces(call_.op))
            write_piece(b, 0, call_.layout.length, s, results);
    }

    template <class SlotScratch>
    void run_pieces(index_t first, index_t blocks, index_t pieces, const SlotScratch& scratch) const {
        const index_t block_rows = blocks_.most_rows(), rows = blocks * block_rows;
        std::vector<RowSum<T>> sums(static_cast<std::size_t>(rows * pieces));
        std::vector<T> maxima(static_cast<std::size_t>(rows * pieces), -call_.infinity());
        std::vector<RowResult<T>> results(static_cast<std::size_t>(rows));
        const auto for_each_piece = [&](auto&& f) {
            const auto piece = [&](index_t b, index_t begin, index_t end, int slot) {
                f(b, blocks_[first + b], begin, end, scratch(slot), (b * pieces + begin / piece_) * block_rows);
            };
            parallel_for_row_ranges(blocks, call_.layout.length, piece_, call_.threads, piece);
        };
        if (call_.three_pass()) {
            for_each_piece([&](index_t, const Block& b, index_t begin, index_t end, Scratch& s, index_t at) {
                max_piece(b, begin, end, s, &maxima[static_cast<std::size_t>(at)]);
            });
            for (index_t b = 0; b < blocks; ++b)
                for (index_t r = 0; r < block_rows; ++r) {
                    T m = -call_.infinity();
                    for (index_t p = 0; p < pieces; ++p) {
                        const T other = maxima[static_cast<std::size_t>((b * pieces + p) * block_rows + r)];
                        if (other > m)
                            m = other;
                    }
                    for (index_t p = 0; p < pieces; ++p)
                        maxima[static_cast<std::size_t>((b * pieces + p) * block_rows + r)] = m;
                }
        }
        for_each_piece([&](index_t, const Block& b, index_t begin, index_t end, Scratch& s, index_t at) {
            sum_piece(b, begin, end, s, &maxima[static_cast<std::size_t>(at)], &sums[static_cast<std::size_t>(at)]);
        });
        // Calls f(block, its rows' sums over all pieces, its rows' results).
        const auto for_each_total = [&](auto&& f) {
            for (index_t b = 0; b < blocks; ++b) {
                const Block rows_of = blocks_[first + b];
                RowSum<T>* const total = &sums[static_cast<std::size_t>(b * pieces * block_rows)];
                for (index_t p = 1; p < pieces; ++p)
                    for (index_t r = 0; r < rows_of.rows; ++r) {
                        ExpScale<T> own;
                        special_row_merge(call_.table, T())(total[r], call_.scale(rows_of.first + r, own),
                                                            total[p * block_rows + r]);
                    }
                f(rows_of, total, &results[static_cast<std::size_t>(b * block_rows)]);
            }
        };
        bool precise = false;
        for_each_total([&](const Block& b, const RowSum<T>* total, RowResult<T>* row) {
            finish(b, total, row);
            precise = precise || needs_precision(b, row);
        });
        if (reduces(call_.op))
            return;
        if (precise) {
            for_each_piece([&](index_t at, const Block& b, index_t begin, index_t end, Scratch& s, index_t piece) {
                precise_piece(b, begin, end, s, &results[static_cast<std::size_t>(at * block_rows)],
                              &sums[static_cast<std::size_t>(piece)]);
            });
            for_each_total(
                [&](const Block& b, const RowSum<T>* total, RowResult<T>* row) { finish_precise(b, total, row); });
        }
        for_each_piece([&](index_t at, const Block& b, index_t begin, index_t end, Scratch& s, index_t) {
            write_piece(b, begin, end, s, &results[static_cast<std::size_t>(at * block_rows)]);
        });
    }

    const RowCall<T>& call_;
    RowBlocks blocks_;
    index_t piece_ = kPieceElements;
    index_t pitch_ = 0;
    bool staged_ = false;  // a row that is not direct is brought together whole, once
};

}  // namespace

template <class T>
void run_blocks(const RowCall<T>& c) {
    BlockJob<T>(c).run();
}
template void run_blocks(const RowCall<float>&);
template void run_blocks(const RowCall<double>&);

}  // namespace sorgum::special
