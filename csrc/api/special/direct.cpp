// Rows that the kernels read and write where they lie.
#include <algorithm>

#include "api/special/row_call.h"
#include "dispatch/special.h"

namespace sorgum::special {

namespace {

constexpr index_t kMostPacked = 256;  // results of rows, one each, that are put where they belong together

}  // namespace

template <class T>
void run_batches(const RowCall<T>& c) {
    const index_t n = c.layout.length, rows = c.layout.rows;
    constexpr auto size = static_cast<index_t>(sizeof(T));
    const index_t per_task = std::max<index_t>(c.task_elements() / std::max<index_t>(n, 1), 1);
    const bool packed =
        c.op == Op::logsumexp && !(c.layout.run_stride(c.kOut) % size == 0 && c.layout.multiple_of(c.kOut, size));
    parallel_for_ranges(rows, per_task, c.threads, [&](index_t begin, index_t end, int) {
        T results[kMostPacked];
        double own_factors[kMostFactors], own_temperatures[kMostFactors];
        for (index_t r = begin; r < end;) {
            index_t count = c.layout.rows_of_run(r, end);
            if (packed && count > kMostPacked)
                count = kMostPacked;
            if ((c.dy >= 0 || !c.one_temperature) && count > kMostFactors)
                count = kMostFactors;
            Rows<T> part;
            part.x = c.x_row(r);
            part.rows = count;
            part.n = n;
            part.x_stride = c.layout.run_stride(c.kX) / size;
            part.empty = c.empty;
            part.streaming = c.streaming;
            part.y = packed ? results : c.out_row(r);
            part.y_stride = packed ? 1 : c.layout.run_stride(c.kOut) / size;
            part.factors = c.factors(r, count, own_factors);
            part.temperatures = c.temperatures(r, count, own_temperatures);
            c.kernels_of_op.rows(part, c.scale_of_all);
            if (packed)
                c.stored(c.kOut).write_values(r, count, results);
            r += count;
        }
    });
}

template <class T>
void run_columns(const RowCall<T>& c) {
    constexpr auto size = static_cast<index_t>(sizeof(T));
    const index_t n = c.layout.length, run = c.layout.run(), block = kBlockColumns<T>;
    // A kernel that interleaves blocks starts anew with every task. Where the results do not begin at a cache line it
    // also has a shorter block for the columns before: these are given to the first task of a run.
    const index_t lead =
        c.op == Op::logsumexp ? 0 : (64 - reinterpret_cast<std::uintptr_t>(c.out_row(0)) % 64) % 64 / sizeof(T);
    const index_t per_task = std::max<index_t>(c.task_elements() / n / block, 1) * block;
    const index_t tasks_per_run = run <= lead + per_task ? 1 : ceil_div(run - lead, per_task);
    const auto along = [&](int operand) {
        return c.layout.inner.n == 0 ? 0 : c.layout.inner.stride[operand][0] / size;
    };
    const bool streaming = c.op != Op::logsumexp && c.large;
    auto* const kernel = c.kernels_of_op.columns;
    std::vector<AlignedArray<T>> scratch(static_cast<std::size_t>(c.threads));
    parallel_for(c.layout.rows / run * tasks_per_run, c.threads, [&](index_t task, int slot) {
        AlignedArray<T>& own = scratch[static_cast<std::size_t>(slot)];
        own.reserve(n * block);
        const index_t row = task / tasks_per_run * run, t = task % tasks_per_run;
        const Range behind_lead = nth_range(run - lead, per_task, t);
        T results[kMostPacked];
        const auto columns = [&](index_t i, index_t end) {
            T* const y = c.op == Op::logsumexp ? results : c.out_row(row + i);
            kernel({c.x_row(row + i), y, end - i, n, along(c.kX), along(c.kOut), c.empty, streaming, own.data()},
                   c.scale_of_all);
            if (c.op == Op::logsumexp)
                c.stored(c.kOut).write_values(row + i, end - i, results);
        };
        for_each_range(t == 0 ? 0 : lead + behind_lead.begin, lead + behind_lead.end,
                       c.op == Op::logsumexp ? kMostPacked : run, columns);
    });
}

template <class T>
void run_long_rows(const RowCall<T>& c) {
    const index_t n = c.layout.length, rows = c.layout.rows;
    // A row's results are written while the next is summed.
    index_t per_task = kLongTask / n < rows / 8 ? kLongTask / n : rows / 8;
    if (per_task < 2)
        per_task = rows < kManyRows && c.threads > 1 ? 1 : 2;
    constexpr auto size = static_cast<index_t>(sizeof(T));
    auto* const kernel = c.kernels_of_op.long_rows;
    std::vector<AlignedArray<T>> terms(static_cast<std::size_t>(c.threads));
    parallel_for_ranges(rows, per_task, c.threads, [&](index_t begin, index_t end, int slot) {
        AlignedArray<T>& own = terms[static_cast<std::size_t>(slot)];
        if (traits(c.op).scales_terms)
            own.reserve(whole_vectors(n));
        double own_factors[kMostFactors];  // kLongTask / kChunk rows at most
        for (index_t r = begin; r < end;) {
            const index_t count = c.layout.rows_of_run(r, end);
            kernel({c.x_row(r), c.out_row(r), count, n, c.layout.run_stride(c.kX) / size,
                    c.layout.run_stride(c.kOut) / size, c.empty, c.streaming, own.data(),
                    c.factors(r, count, own_factors)},
                   c.scale_of_all);
            r += count;
        }
    });
}

template void run_batches(const RowCall<float>&);
template void run_batches(const RowCall<double>&);
template void run_columns(const RowCall<float>&);
template void run_columns(const RowCall<double>&);
template void run_long_rows(const RowCall<float>&);
template void run_long_rows(const RowCall<double>&);

}  // namespace sorgum::special
