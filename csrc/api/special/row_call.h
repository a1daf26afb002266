// A call of softmax, log_softmax, logsumexp or its gradient, after its arguments are checked: what the four functions
// below, which walk its rows, need to know.
#pragma once

#include "api/call/stored.h"
#include "api/call/temperature.h"
#include "api/call/work.h"
#include "api/special/check.h"
#include "api/special/op_kernels.h"
#include "api/special/special.h"

namespace sorgum::special {

// How work is cut; see also api/call/work.h.
constexpr index_t kTasksPerThread = 8;  // with so many, all threads end at about the same time
constexpr index_t kMostFactors = 1024;  // rows of a call that have a factor or a temperature each

constexpr bool reduces(Op op) { return traits(op).out != Per::element; }

template <class T>
struct RowCall {
    enum Operand { kX = 0, kOut = 1, kTemperature = 2 };

    Op op;
    Algorithm algorithm;
    DType dtype, out_dtype;  // of x and the weights; of out and the signs
    const KernelTable& table;
    OpKernels<T> kernels_of_op;
    RowLayout layout;
    int where = -1, weights = -1, sign = -1, records = -1, dy = -1;  // operands, -1 when absent
    bool one_temperature, direct_x, direct_out, large, streaming;
    int threads;
    T empty;
    ExpScale<T> scale_of_all = {};  // where there is one temperature

    RowCall(Op which, const Arguments& a, const AxisMask& reduced);

    static T infinity() { return static_cast<T>(__builtin_inf()); }
    static T nan() { return static_cast<T>(__builtin_nan("")); }

    Stored<T> stored(int operand) const {
        return {layout, operand, operand == kOut || operand == sign ? out_dtype : dtype};
    }

    void write_value(int operand, index_t row, T value) const { stored(operand).write_values(row, 1, &value); }

    bool batched() const {
        return algorithm == Algorithm::automatic && layout.length <= kChunk && weights < 0 && !in_two_calls(op);
    }
    bool three_pass() const {
        return algorithm == Algorithm::three_pass_recompute || algorithm == Algorithm::three_pass_reload;
    }

    double temperature(index_t row) const { return temperature_of(layout, kTemperature, row); }
    const ExpScale<T>& scale(index_t row, ExpScale<T>& own) const {
        if (one_temperature)
            return scale_of_all;
        special_exp_scale(table, T())(temperature(row), own);
        return own;
    }

    // The temperatures of rows of a run where they have one each, else null.
    const double* temperatures(index_t row, index_t rows, double* to) const {
        return one_temperature ? nullptr : temperatures_of_run(layout, kTemperature, row, rows, to);
    }

    // dy / T of rows, for the gradient of logsumexp.
    const double* factors(index_t row, index_t rows, double* to) const {
        if (dy < 0)
            return nullptr;
        T values[kMostFactors];
        stored(dy).read_values(row, rows, values);
        for (index_t r = 0; r < rows; ++r)
            to[r] = static_cast<double>(values[r]) / temperature(row + r);
        return to;
    }

    // For rows of one chunk. A kernel that interleaves rows starts anew with every task: the fewer tasks the better.
    index_t task_elements() const {
        const index_t share = layout.rows * layout.length / (kTasksPerThread * threads);
        return share > kLongTask || threads == 1 ? kLongTask : share < kLeastTask ? kLeastTask : share;
    }
    // Whether so many rows keep all threads busy without being shared.
    bool many(index_t rows) const { return rows >= kManyRows || rows % threads == 0; }

    const T* x_row(index_t row) const { return reinterpret_cast<const T*>(layout.row(kX, row)); }
    T* out_row(index_t row) const { return reinterpret_cast<T*>(layout.row(kOut, row)); }
};

// Rows of one chunk: contiguous ones, and those that lie side by side.
template <class T>
void run_batches(const RowCall<T>& c);
template <class T>
void run_columns(const RowCall<T>& c);
// Contiguous rows of several chunks, where they are many enough for the threads, or there is one thread.
template <class T>
void run_long_rows(const RowCall<T>& c);
// Everything else.
template <class T>
void run_blocks(const RowCall<T>& c);

}  // namespace sorgum::special
