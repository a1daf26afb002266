#include "api/special.h"

#include "api/partial.h"
#include "api/stored.h"
#include "api/temperature.h"
#include "api/work.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"

namespace sorgum::special {

namespace {

// How work is cut (N7: by shape only). None of these numbers changes a bit of any result.
constexpr index_t kPiece = 16 * kChunk;            // elements of a long row per task
constexpr index_t kShortPiece = 4 * kChunk;        // of rows of less than 8 kPiece
constexpr index_t kLongRow = index_t(1) << 22;     // rows beyond it are always shared between threads
constexpr index_t kManyBlocks = 16;                // so many rows keep all threads busy without being shared
constexpr index_t kLeastTask = 8 * kChunk;         // elements that are worth a task
constexpr index_t kLongTask = index_t(1) << 20;    // elements of many rows that one task takes in turn
constexpr index_t kTasksPerThread = 8;             // so many tasks end at about the same time on all threads
constexpr index_t kBlockElements = kChunk;         // elements of short rows that are brought together at a time
constexpr index_t kFewestColumns = 16;             // rows side by side that are worth the kernels for columns
constexpr index_t kMostBlockRows = 256;            // and their rows
constexpr index_t kMostFactors = 1024;             // rows of a call that have a factor each
constexpr index_t kMostPieces = index_t(1) << 16;  // partial sums kept at a time

enum class Op { softmax, log_softmax, logsumexp, logsumexp_partial, softmax_from_partial, logsumexp_grad };
constexpr const char* name_of(Op op) {
    constexpr const char* names[] = {"softmax",           "log_softmax",          "logsumexp",
                                     "logsumexp_partial", "softmax_from_partial", "logsumexp_grad"};
    return names[static_cast<int>(op)];
}
constexpr bool scales_terms(Op op) { return op == Op::softmax || op == Op::logsumexp_grad; }
constexpr bool reduces(Op op) { return op == Op::logsumexp || op == Op::logsumexp_partial; }

enum class Algorithm { automatic, two_pass, three_pass_recompute, three_pass_reload };

Algorithm parse_algorithm(Op op, const std::string& name) {
    if (name == "auto")
        return Algorithm::automatic;
    if (name == "two_pass")
        return Algorithm::two_pass;
    if (name == "three_pass_recompute")
        return Algorithm::three_pass_recompute;
    if (name == "three_pass_reload")
        return Algorithm::three_pass_reload;
    throw ValueError(
        std::string(name_of(op)) +
        ": algorithm must be one of 'auto', 'two_pass', 'three_pass_recompute', 'three_pass_reload', got '" + name +
        "'");
}

template <class T>
class RowJob {
public:
    RowJob(Op op, const Arguments& a, const std::vector<bool>& reduced)
        : op_(op), algorithm_(parse_algorithm(op, a.algorithm)), dtype_(a.x.dtype), table_(kernels()) {
        const char* const name = name_of(op);
        std::vector<ArrayView> operands = {a.x, reduces(op) ? per_row(name, "out", a.out, a.x, reduced) : a.out,
                                           per_row(name, "temperature", a.temperature, a.x, reduced)};
        if (a.where)
            where_ = add(operands, broadcast_like(name, "where", *a.where, a.x));
        if (a.weights)
            weights_ = add(operands, broadcast_like(name, "b", *a.weights, a.x));
        if (a.sign)
            sign_ = add(operands, per_row(name, "sign", *a.sign, a.x, reduced));
        if (a.records)
            records_ = add(operands, per_row(name, "p", *a.records, a.x, reduced));
        if (a.dy)
            dy_ = add(operands, per_row(name, "dy", *a.dy, a.x, reduced));
        layout_ = make_rows(a.x, reduced, operands);
        check_temperature(name, a.temperature, layout_, kTemperature);
        one_temperature_ = a.temperature.ndim == 0;
        if (one_temperature_)
            special_exp_scale(table_, T())(*static_cast<const double*>(a.temperature.data), scale_);
        empty_ = a.empty == "zero" ? (op == Op::log_softmax ? -infinity() : T(0)) : nan();
        direct_x_ = stored(kX).direct() && where_ < 0 && weights_ < 0;
        direct_out_ = !reduces(op) && stored(kOut).direct();
        const index_t elements = saturated_product(layout_.rows, layout_.length);
        threads_ = threads_for(elements);
        large_ = elements >= kStreamingBytes / element_size(dtype_);
        streaming_ = direct_x_ && direct_out_ && large_;
        if (algorithm_ == Algorithm::three_pass_reload && !(direct_out_ && op == Op::softmax))
            algorithm_ = Algorithm::three_pass_recompute;  // the same bits, without a place to keep the terms
    }

    void run() {
        if (layout_.rows == 0 || (layout_.length == 0 && !reduces(op_)))
            return;
        if (direct_x_ && batched() && (direct_out_ || op_ == Op::logsumexp))
            run_direct_batches();
        else if (side_by_side())
            run_columns();
        else if (in_turn())
            run_long_rows();
        else
            run_blocks();
    }

private:
    enum Operand { kX = 0, kOut = 1, kTemperature = 2 };

    static int add(std::vector<ArrayView>& operands, const ArrayView& view) {
        operands.push_back(view);
        return static_cast<int>(operands.size()) - 1;
    }
    static T infinity() { return static_cast<T>(__builtin_inf()); }
    static T nan() { return static_cast<T>(__builtin_nan("")); }

    // x, out, the weights and the signs have the same type.
    Stored<T> stored(int operand) const { return {layout_, operand, dtype_}; }

    void write_value(int operand, index_t row, T value) const { stored(operand).write_values(row, 1, &value); }

    // The two passes are calls of their own, with records between them.
    bool in_two_calls() const { return op_ == Op::logsumexp_partial || op_ == Op::softmax_from_partial; }
    bool batched() const {
        return algorithm_ == Algorithm::automatic && layout_.length <= kChunk && weights_ < 0 && !in_two_calls();
    }
    bool three_pass() const {
        return algorithm_ == Algorithm::three_pass_recompute || algorithm_ == Algorithm::three_pass_reload;
    }

    double temperature(index_t row) const { return temperature_of(layout_, kTemperature, row); }
    const ExpScale<T>& scale(index_t row, ExpScale<T>& own) const {
        if (one_temperature_)
            return scale_;
        special_exp_scale(table_, T())(temperature(row), own);
        return own;
    }

    // dy / T of rows, for the gradient of logsumexp.
    const double* factors(index_t row, index_t rows, double* to) const {
        if (dy_ < 0)
            return nullptr;
        T dy[kMostFactors];
        stored(dy_).read_values(row, rows, dy);
        for (index_t r = 0; r < rows; ++r)
            to[r] = static_cast<double>(dy[r]) / temperature(row + r);
        return to;
    }

    // Of rows of one chunk. A kernel fills its pipeline at the start of every task: the fewer tasks the better.
    index_t task_elements() const {
        const index_t share = layout_.rows * layout_.length / (kTasksPerThread * threads_);
        return share > kLongTask || threads_ == 1 ? kLongTask : share < kLeastTask ? kLeastTask : share;
    }
    // Whether so many rows keep all threads busy without being shared.
    bool many(index_t rows) const { return rows >= kManyBlocks || rows % threads_ == 0; }

    // ---- contiguous rows of one chunk ----

    void batch_kernel(const Rows<T>& rows, const ExpScale<T>& scale) const {
        (op_ == Op::logsumexp        ? special_logsumexp_rows(table_, T())
         : op_ == Op::log_softmax    ? special_log_softmax_rows(table_, T())
         : op_ == Op::logsumexp_grad ? special_logsumexp_grad_rows(table_, T())
                                     : special_softmax_rows(table_, T()))(rows, scale);
    }

    void run_direct_batches() {
        const index_t n = layout_.length, rows = layout_.rows, run = layout_.run();
        constexpr auto size = static_cast<index_t>(sizeof(T));
        const index_t wanted = task_elements(), per_task = wanted / (n > 0 ? n : 1) > 0 ? wanted / (n > 0 ? n : 1) : 1;
        const bool packed =
            op_ == Op::logsumexp && !(layout_.run_stride(kOut) % size == 0 && layout_.multiple_of(kOut, size));
        parallel_for((rows + per_task - 1) / per_task, threads_, [&](index_t task, int) {
            const index_t end = rows - task * per_task < per_task ? rows : (task + 1) * per_task;
            T results[256];
            double own_factors[kMostFactors];
            for (index_t r = task * per_task; r < end;) {
                index_t count = run - r % run < end - r ? run - r % run : end - r;
                if (packed && count > 256)
                    count = 256;
                if (dy_ >= 0 && count > kMostFactors)
                    count = kMostFactors;
                if (!one_temperature_)
                    count = 1;
                Rows<T> part;
                part.x = reinterpret_cast<const T*>(layout_.row(kX, r));
                part.rows = count;
                part.n = n;
                part.x_stride = layout_.run_stride(kX) / size;
                part.empty = empty_;
                part.streaming = streaming_;
                part.y = packed ? results : reinterpret_cast<T*>(layout_.row(kOut, r));
                part.y_stride = packed ? 1 : layout_.run_stride(kOut) / size;
                part.factors = factors(r, count, own_factors);
                ExpScale<T> own;
                batch_kernel(part, scale(r, own));
                if (packed)
                    stored(kOut).write_values(r, count, results);
                r += count;
            }
        });
    }

    // ---- rows of one chunk that lie side by side ----

    bool side_by_side() const {
        constexpr auto size = static_cast<index_t>(sizeof(T));
        return batched() && !is_half(dtype_) && where_ < 0 && dy_ < 0 && one_temperature_ && layout_.length > 0 &&
               layout_.inner.n <= 1 && layout_.run() >= kFewestColumns && layout_.adjacent(kX, size) &&
               (op_ == Op::logsumexp || layout_.adjacent(kOut, size));
    }

    void run_columns() {
        constexpr auto size = static_cast<index_t>(sizeof(T));
        const index_t n = layout_.length, run = layout_.run(), block = kBlockColumns<T>;
        // A kernel fills its pipeline at the start of every task, and begins with a block of its own where the results
        // do not begin a cache line: the first task of a run takes those columns besides.
        const index_t lead =
            op_ == Op::logsumexp ? 0 : (64 - reinterpret_cast<std::uintptr_t>(out_row(0)) % 64) % 64 / sizeof(T);
        const index_t per_task = (task_elements() / n / block > 0 ? task_elements() / n / block : 1) * block;
        const index_t tasks_per_run = run <= lead + per_task ? 1 : (run - lead + per_task - 1) / per_task;
        const auto along = [&](int operand) {
            return layout_.inner.n == 0 ? 0 : layout_.inner.stride[operand][0] / size;
        };
        const bool streaming = op_ != Op::logsumexp && large_;
        auto* const kernel = op_ == Op::softmax       ? special_softmax_columns(table_, T())
                             : op_ == Op::log_softmax ? special_log_softmax_columns(table_, T())
                                                      : special_logsumexp_columns(table_, T());
        std::vector<AlignedArray<T>> scratch(static_cast<std::size_t>(threads_));
        parallel_for(layout_.rows / run * tasks_per_run, threads_, [&](index_t task, int slot) {
            AlignedArray<T>& own = scratch[static_cast<std::size_t>(slot)];
            own.reserve(n * block);
            const index_t row = task / tasks_per_run * run, t = task % tasks_per_run;
            const index_t begin = t == 0 ? 0 : lead + t * per_task;
            const index_t end = t + 1 == tasks_per_run ? run : lead + (t + 1) * per_task;
            T results[256];
            for (index_t i = begin; i < end;) {
                const index_t count = op_ == Op::logsumexp && end - i > 256 ? 256 : end - i;
                T* const y = op_ == Op::logsumexp ? results : out_row(row + i);
                kernel({reinterpret_cast<const T*>(layout_.row(kX, row + i)), y, count, n, along(kX), along(kOut),
                        empty_, streaming, own.data()},
                       scale_);
                if (op_ == Op::logsumexp)
                    stored(kOut).write_values(row + i, count, results);
                i += count;
            }
        });
    }

    // ---- contiguous rows of several chunks, enough of them, or no other thread ----

    bool in_turn() const {
        return direct_x_ && direct_out_ && one_temperature_ && algorithm_ == Algorithm::automatic && !in_two_calls() &&
               layout_.length > kChunk && many(layout_.rows) &&
               layout_.length <= (scales_terms(op_) ? kMostKept : kLongRow);
    }

    auto* long_rows_kernel() const {
        return op_ == Op::softmax          ? special_softmax_long_rows(table_, T())
               : op_ == Op::logsumexp_grad ? special_logsumexp_grad_long_rows(table_, T())
                                           : special_log_softmax_long_rows(table_, T());
    }

    void run_long_rows() {
        const index_t n = layout_.length, rows = layout_.rows, run = layout_.run();
        // A row is written in the shadow of the next.
        index_t per_task = kLongTask / n < rows / 8 ? kLongTask / n : rows / 8;
        if (per_task < 2)
            per_task = rows < kManyBlocks && threads_ > 1 ? 1 : 2;
        constexpr auto size = static_cast<index_t>(sizeof(T));
        auto* const kernel = long_rows_kernel();
        std::vector<AlignedArray<T>> terms(static_cast<std::size_t>(threads_));
        parallel_for((rows + per_task - 1) / per_task, threads_, [&](index_t task, int slot) {
            AlignedArray<T>& own = terms[static_cast<std::size_t>(slot)];
            if (scales_terms(op_))
                own.reserve((n + 15) / 16 * 16);
            double own_factors[kMostFactors];  // kLongTask / kChunk rows at most
            const index_t end = rows - task * per_task < per_task ? rows : (task + 1) * per_task;
            for (index_t r = task * per_task; r < end;) {
                const index_t count = run - r % run < end - r ? run - r % run : end - r;
                kernel({reinterpret_cast<const T*>(layout_.row(kX, r)), out_row(r), count, n,
                        layout_.run_stride(kX) / size, layout_.run_stride(kOut) / size, empty_, streaming_, own.data(),
                        factors(r, count, own_factors)},
                       scale_);
                r += count;
            }
        });
    }

    // ---- everything else: blocks of rows, in pieces ----

    using Block = RowBlocks::Block;

    // Rows that lie across memory are taken together, since their elements share cache lines; short ones, since the
    // batched kernel takes many at a time.
    RowBlocks make_blocks() const {
        const Dims& in = layout_.inner;
        const index_t along = in.n == 0 ? 0 : in.stride[kX][in.n - 1];
        const index_t across = layout_.run_stride(kX);
        if ((across < 0 ? -across : across) < (along < 0 ? -along : along))
            return RowBlocks::across(layout_, reduces(op_) ? kX : kOut, element_size(dtype_));
        if (!batched() || layout_.length == 0)
            return {layout_, 1};
        const index_t fitting = kBlockElements / layout_.length;  // several batches, which overlap
        return {layout_, fitting < kMostBlockRows ? fitting : kMostBlockRows};
    }

    // Scratch of one thread: the elements of a block's chunk, and what goes with them.
    struct Scratch {
        AlignedArray<T> x, weights, terms;
        AlignedArray<bool> mask;
    };

    void load_chunk(const Block& b, index_t i, index_t n, Scratch& s) const {
        const bool mask_direct = where_ >= 0 && layout_.contiguous(where_, sizeof(bool));
        const bool x_direct = mask_direct && stored(kX).direct();
        if (!x_direct)
            stored(kX).read(b.first, b.rows, i, n, s.x.data(), pitch_);
        if (where_ >= 0 && !mask_direct)
            gather(layout_, where_, b.first, b.rows, i, n, s.mask.data(), pitch_);
        if (weights_ >= 0)
            stored(weights_).read(b.first, b.rows, i, n, s.weights.data(), pitch_);
        for (index_t r = 0; r < b.rows; ++r) {
            T* const x = s.x.data() + r * pitch_;
            T* const w = weights_ >= 0 ? s.weights.data() + r * pitch_ : nullptr;
            if (where_ >= 0) {
                const T* const from = x_direct ? reinterpret_cast<const T*>(layout_.row(kX, b.first + r)) + i : x;
                const bool* const m = mask_direct ? reinterpret_cast<const bool*>(layout_.row(where_, b.first + r)) + i
                                                  : s.mask.data() + r * pitch_;
                special_masked_copy(table_, T())(from, m, x, n);
            }
            for (index_t j = 0; w != nullptr && j < n; ++j) {
                if (x[j] == -infinity())
                    w[j] = T(0);
                if (w[j] == T(0))
                    x[j] = -infinity();
            }
        }
    }

    // Calls f(row of the block, its elements, their number) for elements [begin, end), in chunks where it must gather.
    template <class F>
    void for_each_part(const Block& b, index_t begin, index_t end, Scratch& s, F&& f) const {
        if (direct_x_) {
            for (index_t r = 0; r < b.rows; ++r)
                f(r, reinterpret_cast<const T*>(layout_.row(kX, b.first + r)) + begin, begin, end - begin);
            return;
        }
        if (staged_)
            return f(0, s.x.data() + begin, begin, end - begin);
        for (index_t i = begin; i < end; i += kChunk) {
            const index_t here = end - i < kChunk ? end - i : kChunk;
            load_chunk(b, i, here, s);
            for (index_t r = 0; r < b.rows; ++r)
                f(r, s.x.data() + r * pitch_, i, here);
        }
    }

    void max_piece(const Block& b, index_t begin, index_t end, Scratch& s, T* maxima) const {
        for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t, index_t n) {
            const T m = special_row_max(table_, T())(x, n);
            if (m > maxima[r])
                maxima[r] = m;
        });
    }

    void sum_piece(const Block& b, index_t begin, index_t end, Scratch& s, const T* maxima, RowSum<T>* sums) const {
        for (index_t r = 0; r < b.rows; ++r)
            special_row_clear(table_, T())(sums[r]);
        if (records_ >= 0) {  // the sum of the whole row
            for (index_t r = 0; begin == 0 && r < b.rows; ++r) {
                PartialRecord record;
                __builtin_memcpy(&record, layout_.row(records_, b.first + r), sizeof record);
                sums[r] = row_of<T>(record);
            }
            return;
        }
        for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t i, index_t n) {
            ExpScale<T> own;
            const ExpScale<T>& scale_r = scale(b.first + r, own);
            if (weights_ >= 0) {
                special_weighted_sum(table_, T())(x, s.weights.data() + r * pitch_, n, scale_r, sums[r]);
            } else if (three_pass()) {
                T* const terms = algorithm_ == Algorithm::three_pass_reload ? out_row(b.first + r) + i : nullptr;
                special_max_sum(table_, T())(x, terms, n, scale_r, maxima[r], sums[r]);
            } else {
                special_exp_sum(table_, T())(x, n, scale_r, sums[r]);
            }
        });
    }

    T* out_row(index_t row) const { return reinterpret_cast<T*>(layout_.row(kOut, row)); }

    void write_piece(const Block& b, index_t begin, index_t end, Scratch& s, const RowResult<T>* results) const {
        if (algorithm_ == Algorithm::three_pass_reload) {
            for (index_t r = 0; r < b.rows; ++r)
                special_terms_scale(table_, T())(out_row(b.first + r) + begin, end - begin, results[r], empty_,
                                                 streaming_);
            return;
        }
        auto* const kernel =
            op_ == Op::log_softmax ? special_log_softmax_shift(table_, T()) : special_softmax_scale(table_, T());
        const auto write = [&](index_t r, const T* x, T* y, index_t n) {
            ExpScale<T> own;
            check_part(x, n, results[r]);
            double factor;
            if (factors(b.first + r, 1, &factor) != nullptr)
                special_logsumexp_grad_scale(table_, T())(x, y, n, scale(b.first + r, own), results[r], factor,
                                                          streaming_);
            else
                kernel(x, y, n, scale(b.first + r, own), results[r], empty_, streaming_);
        };
        if (direct_out_) {
            for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t i, index_t n) {
                write(r, x, out_row(b.first + r) + i, n);
            });
            return;
        }
        for (index_t i = begin; i < end; i += kChunk) {
            const index_t here = end - i < kChunk ? end - i : kChunk;
            T* const place = s.x.data() + (staged_ ? i : 0);
            for_each_part(b, i, i + here, s,
                          [&](index_t r, const T* x, index_t, index_t n) { write(r, x, place + r * pitch_, n); });
            stored(kOut).write(b.first, b.rows, i, here, place, pitch_, large_);
        }
    }

    // Throws when x cannot be a part of the row whose sum was given.
    void check_part(const T* x, index_t n, const RowResult<T>& row) const {
        if (records_ >= 0 && !row.has_nan && !row.has_inf && !special_row_within(table_, T())(x, n, row.max))
            throw ValueError(std::string(name_of(op_)) +
                             ": x must be a part of the rows of p, got NaN or an element above a row's maximum, " +
                             number_text(static_cast<double>(row.max)));
    }

    void finish(const Block& b, const RowSum<T>* sums, RowResult<T>* results) const {
        for (index_t r = 0; r < b.rows; ++r) {
            ExpScale<T> own;
            const ExpScale<T>& scale_r = scale(b.first + r, own);
            if (op_ == Op::logsumexp_partial) {
                const PartialRecord record =
                    make_record(name_of(op_), sums[r], temperature(b.first + r), weights_ >= 0);
                __builtin_memcpy(layout_.row(kOut, b.first + r), &record, sizeof record);
                continue;
            }
            if (weights_ >= 0) {
                write_weighted(b.first + r, sums[r], scale_r);
                continue;
            }
            special_row_result(table_, T())(sums[r], scale_r, three_pass(), results[r]);
            if (op_ == Op::logsumexp)
                write_value(kOut, b.first + r, static_cast<T>(results[r].log_sum_exp));
        }
    }

    // A peaked row's log_softmax takes one more sum, in float64.
    bool needs_precision(const RowResult<T>& row) const {
        return op_ == Op::log_softmax && !three_pass() && !row.has_nan && !row.has_inf && row.count > 0 &&
               row.excess < kSummedAgainBelow<T>;
    }
    bool needs_precision(const Block& b, const RowResult<T>* results) const {
        bool any = false;
        for (index_t r = 0; r < b.rows; ++r)
            any = any || needs_precision(results[r]);
        return any;
    }
    void precise_piece(const Block& b, index_t begin, index_t end, Scratch& s, const RowResult<T>* results,
                       RowSum<T>* sums) const {
        for (index_t r = 0; r < b.rows; ++r)
            special_row_clear(table_, T())(sums[r]);
        for_each_part(b, begin, end, s, [&](index_t r, const T* x, index_t, index_t n) {
            ExpScale<T> own;
            if (needs_precision(results[r]))
                special_precise_sum(table_, T())(x, n, scale(b.first + r, own), results[r], sums[r]);
        });
    }

    void finish_precise(const Block& b, const RowSum<T>* sums, RowResult<T>* results) const {
        for (index_t r = 0; r < b.rows; ++r)
            if (needs_precision(results[r]))
                special_precise_result(table_, T())(sums[r], results[r]);
    }

    void write_weighted(index_t row, const RowSum<T>& sum, const ExpScale<T>& scale_r) const {
        double log_abs, sign;
        special_weighted_result(table_, T())(sum, scale_r, log_abs, sign);
        if (sign_ < 0 && sign < 0)
            log_abs = __builtin_nan("");
        write_value(kOut, row, log_abs != log_abs ? nan() : static_cast<T>(log_abs));
        if (sign_ >= 0)
            write_value(sign_, row, sign != sign ? nan() : static_cast<T>(sign));
    }

    // A block of rows of one chunk: gathered, done by the batched kernel, scattered.
    void whole_block_batched(const Block& b, Scratch& s) const {
        const index_t n = layout_.length;
        if (n > 0)
            load_chunk(b, 0, n, s);
        T results[kMostBlockRows];
        const bool write_direct = op_ != Op::logsumexp && direct_out_;
        double own_factors[kMostBlockRows];
        Rows<T> rows = {s.x.data(), s.x.data(), b.rows, n, pitch_, pitch_, empty_, false};
        rows.factors = factors(b.first, b.rows, own_factors);
        if (op_ == Op::logsumexp) {
            rows.y = results;
            rows.y_stride = 1;
        } else if (write_direct) {
            rows.y = out_row(b.first);
            rows.y_stride = layout_.run_stride(kOut) / static_cast<index_t>(sizeof(T));
            rows.streaming = large_;
        }
        if (one_temperature_) {
            batch_kernel(rows, scale_);
        } else {
            for (index_t r = 0; r < b.rows; ++r) {
                ExpScale<T> own;
                Rows<T> one = rows;
                one.rows = 1;
                one.x += r * pitch_;
                one.y += r * rows.y_stride;
                one.factors += dy_ >= 0 ? r : 0;
                batch_kernel(one, scale(b.first + r, own));
            }
        }
        if (op_ != Op::logsumexp) {
            if (!write_direct)
                stored(kOut).write(b.first, b.rows, 0, n, s.x.data(), pitch_, large_);
            return;
        }
        stored(kOut).write_values(b.first, b.rows, results);
    }

    void whole_block(const Block& b, Scratch& s) const {
        if (batched())
            return whole_block_batched(b, s);
        if (staged_)
            load_chunk(b, 0, layout_.length, s);
        if (staged_ && algorithm_ == Algorithm::automatic && scales_terms(op_)) {
            const index_t n = layout_.length;
            s.terms.reserve(pitch_);
            T* const to = direct_out_ ? out_row(b.first) : s.x.data();
            ExpScale<T> own;
            double factor;
            long_rows_kernel()({s.x.data(), to, 1, n, 0, 0, empty_, direct_out_ && large_, s.terms.data(),
                                factors(b.first, 1, &factor)},
                               scale(b.first, own));
            if (!direct_out_)
                stored(kOut).write(b.first, b.rows, 0, n, to, pitch_, large_);
            return;
        }
        T maxima[kBlockRows];
        RowSum<T> sums[kBlockRows];
        RowResult<T> results[kBlockRows];
        for (T& m : maxima)
            m = -infinity();
        if (three_pass())
            max_piece(b, 0, layout_.length, s, maxima);
        sum_piece(b, 0, layout_.length, s, maxima, sums);
        finish(b, sums, results);
        if (needs_precision(b, results)) {
            precise_piece(b, 0, layout_.length, s, results, sums);
            finish_precise(b, sums, results);
        }
        if (!reduces(op_))
            write_piece(b, 0, layout_.length, s, results);
    }

    void run_blocks() {
        const index_t n = layout_.length;
        blocks_ = make_blocks();
        const index_t block_rows = blocks_.most_rows(), blocks = blocks_.count();
        const bool whole = n <= kLeastTask || (n <= kLongRow && many(blocks));
        staged_ = whole && !direct_x_ && !batched() && block_rows == 1 && weights_ < 0 && n > kChunk && n <= kMostKept;
        // Not a power of two: rows fall into different sets. Halves that follow each other are converted together.
        pitch_ = is_half(dtype_) && batched() && !layout_.adjacent(kX, element_size(dtype_))
                     ? n
                     : (n < kChunk || staged_ ? (n + 15) / 16 * 16 : kChunk) + 16;
        std::vector<Scratch> scratch(static_cast<std::size_t>(threads_));
        for (Scratch& s : scratch) {
            const index_t size = block_rows * pitch_;
            if (!direct_x_ || !direct_out_)
                s.x.reserve(size);
            if (weights_ >= 0)
                s.weights.reserve(size);
            if (where_ >= 0)
                s.mask.reserve(size);
        }
        const auto slot_scratch = [&](int slot) -> Scratch& { return scratch[static_cast<std::size_t>(slot)]; };
        if (whole) {
            const index_t per_block = n * block_rows > 0 ? n * block_rows : 1;
            const index_t per_task = kLeastTask / per_block > 0 ? kLeastTask / per_block : 1;
            parallel_for((blocks + per_task - 1) / per_task, threads_, [&](index_t task, int slot) {
                const index_t end = blocks - task * per_task < per_task ? blocks : (task + 1) * per_task;
                for (index_t b = task * per_task; b < end; ++b)
                    whole_block(blocks_[b], slot_scratch(slot));
            });
            return;
        }
        piece_ = n < 8 * kPiece ? kShortPiece : kPiece;
        const index_t pieces = (n + piece_ - 1) / piece_;
        const index_t most = kMostPieces / (pieces * block_rows);
        for (index_t first = 0; first < blocks;) {
            const index_t count = blocks - first < most ? blocks - first : most > 0 ? most : 1;
            run_pieces(first, count, pieces, slot_scratch);
            first += count;
        }
    }

    template <class SlotScratch>
    void run_pieces(index_t first, index_t blocks, index_t pieces, const SlotScratch& scratch) const {
        const index_t block_rows = blocks_.most_rows(), rows = blocks * block_rows;
        std::vector<RowSum<T>> sums(static_cast<std::size_t>(rows * pieces));
        std::vector<T> maxima(static_cast<std::size_t>(rows * pieces), -infinity());
        std::vector<RowResult<T>> results(static_cast<std::size_t>(rows));
        const auto for_each_piece = [&](auto&& f) {
            parallel_for(blocks * pieces, threads_, [&](index_t task, int slot) {
                const index_t b = task / pieces, p = task % pieces;
                const index_t begin = p * piece_,
                              end = layout_.length - begin < piece_ ? layout_.length : begin + piece_;
                f(b, blocks_[first + b], begin, end, scratch(slot), (b * pieces + p) * block_rows);
            });
        };
        if (three_pass()) {
            for_each_piece([&](index_t, const Block& b, index_t begin, index_t end, Scratch& s, index_t at) {
                max_piece(b, begin, end, s, &maxima[static_cast<std::size_t>(at)]);
            });
            for (index_t b = 0; b < blocks; ++b)
                for (index_t r = 0; r < block_rows; ++r) {
                    T m = -infinity();
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
                        special_row_merge(table_, T())(total[r], scale(rows_of.first + r, own),
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
        if (reduces(op_))
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

    Op op_;
    Algorithm algorithm_;
    DType dtype_;  // of x and out
    const KernelTable& table_;
    RowLayout layout_;
    int where_ = -1, weights_ = -1, sign_ = -1, records_ = -1, dy_ = -1;  // operands, -1 when absent
    bool one_temperature_, direct_x_, direct_out_, large_, streaming_;
    int threads_;
    T empty_;
    RowBlocks blocks_;
    index_t piece_ = kPiece;
    index_t pitch_ = 0;
    bool staged_ = false;  // a row that is not direct is brought together whole, once
    ExpScale<T> scale_;
};

void run(Op op, const Arguments& a) {
    const char* const name = name_of(op);
    check_float(name, "x", a.x);
    check_dtype(name, "temperature", a.temperature, DType::f64);
    if (a.where)
        check_dtype(name, "where", *a.where, DType::boolean);
    if (a.weights)
        check_dtype(name, "b", *a.weights, a.x.dtype);
    if (a.dy)
        check_dtype(name, "dy", *a.dy, a.x.dtype);
    const std::vector<bool> reduced = reduced_axes(name, a.x, a.axes, a.all_axes);
    if (op == Op::logsumexp) {
        const std::vector<index_t> shape = row_shape(name, a.x, a.all_axes, a.axes, a.keepdims);
        check_out(name, "out", a.out, a.x.dtype, shape.data(), static_cast<int>(shape.size()));
        if (a.sign)
            check_out(name, "sign", *a.sign, a.x.dtype, shape.data(), static_cast<int>(shape.size()));
    } else if (op != Op::logsumexp_partial) {
        check_out(name, "out", a.out, a.x.dtype, a.x.shape, a.x.ndim);
        if (a.empty != "nan" && a.empty != "zero")
            throw ValueError(std::string(name) + ": empty must be 'nan' or 'zero', got '" + a.empty + "'");
    }
    const FpGuard guard;
    if (computed_in(a.x.dtype) == DType::f32)
        RowJob<float>(op, a, reduced).run();
    else
        RowJob<double>(op, a, reduced).run();
}

}  // namespace

void softmax(const Arguments& arguments) { run(Op::softmax, arguments); }
void log_softmax(const Arguments& arguments) { run(Op::log_softmax, arguments); }
void logsumexp(const Arguments& arguments) { run(Op::logsumexp, arguments); }
void logsumexp_grad(const Arguments& arguments) { run(Op::logsumexp_grad, arguments); }

void logsumexp_partial(const Arguments& arguments) {
    constexpr const char* kName = name_of(Op::logsumexp_partial);
    Arguments a = arguments;
    a.out = record_view(kName, arguments.out);
    check_shape_of_records(kName, a.out, a.x, a.all_axes, a.axes);
    if (!a.out.writable)
        throw ValueError(std::string(kName) + ": out must be writable, got a read-only array");
    run(Op::logsumexp_partial, a);
}

void softmax_from_partial(const Arguments& arguments) {
    constexpr const char* kName = name_of(Op::softmax_from_partial);
    Arguments a = arguments;
    check_float(kName, "x", a.x);
    a.records = record_view(kName, *arguments.records);
    check_shape_of_records(kName, *a.records, a.x, a.all_axes, a.axes);
    check_records_of_rows(kName, *a.records, computed_in(a.x.dtype));
    a.temperature = temperatures_of(*a.records);
    run(Op::softmax_from_partial, a);
}

std::vector<index_t> row_shape(const char* function, const ArrayView& x, bool all_axes,
                               const std::vector<index_t>& axes, bool keepdims) {
    const std::vector<bool> reduced = reduced_axes(function, x, axes, all_axes);
    std::vector<index_t> shape;
    for (int d = 0; d < x.ndim; ++d) {
        const bool gone = reduced[static_cast<std::size_t>(d)];
        if (!gone || keepdims)
            shape.push_back(gone ? 1 : x.shape[d]);
    }
    return shape;
}

}  // namespace sorgum::special
