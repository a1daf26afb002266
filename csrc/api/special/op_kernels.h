// The kernels of an operation, found in one place; null where it has none. Kernels that several share are called by
// their own names.
#pragma once

#include <string_view>

#include "dispatch/dispatch.h"
#include "dispatch/special.h"
#include "kernels/special/kernels.h"

namespace sorgum::special {

template <class T>
struct OpKernels {
    exp_fn<T>* elements = nullptr;
    softmax_rows_fn<T>*rows = nullptr, *long_rows = nullptr;  // contiguous: of one chunk, and of several
    softmax_columns_fn<T>* columns = nullptr;                 // rows of one chunk that lie side by side
    softmax_scale_fn<T>* write = nullptr;                     // the second pass over a part of a row
    softmax_grad_rows_fn<T>* grad_rows = nullptr;
    softmax_grad_sum_fn<T>* grad_sum = nullptr;
    softmax_grad_write_fn<T>* grad_write = nullptr;
};

template <class T>
OpKernels<T> kernels_of(Op op, const KernelTable& table) {
    OpKernels<T> k;
    const T t = T();
    switch (op) {
        case Op::exp:
            k.elements = special_exp(table, t);
            break;
        case Op::log:
            k.elements = special_log(table, t);
            break;
        case Op::softmax:
            k.rows = special_softmax_rows(table, t);
            k.long_rows = special_softmax_long_rows(table, t);
            k.columns = special_softmax_columns(table, t);
            k.write = special_softmax_scale(table, t);
            break;
        case Op::log_softmax:
            k.rows = special_log_softmax_rows(table, t);
            k.long_rows = special_log_softmax_long_rows(table, t);
            k.columns = special_log_softmax_columns(table, t);
            k.write = special_log_softmax_shift(table, t);
            break;
        case Op::logsumexp:
            k.rows = special_logsumexp_rows(table, t);
            k.columns = special_logsumexp_columns(table, t);
            break;
        case Op::softmax_grad:
            k.grad_rows = special_softmax_grad_rows(table, t);
            k.grad_sum = special_softmax_grad_sum(table, t);
            k.grad_write = special_softmax_grad_write(table, t);
            break;
        case Op::log_softmax_grad:
            k.grad_rows = special_log_softmax_grad_rows(table, t);
            k.grad_sum = special_log_softmax_grad_sum(table, t);
            k.grad_write = special_log_softmax_grad_write(table, t);
            break;
        case Op::logsumexp_grad:
            k.rows = special_logsumexp_grad_rows(table, t);
            k.long_rows = special_logsumexp_grad_long_rows(table, t);
            break;
        case Op::logsumexp_partial:
            break;
        case Op::softmax_from_partial:
            k.write = special_softmax_scale(table, t);
            break;
    }
    return k;
}

// What is written for the elements of a row that has none above -inf.
template <class T>
T of_empty_row(Op op, std::string_view empty) {
    if (op != Op::logsumexp_grad && empty == "nan")
        return static_cast<T>(__builtin_nan(""));
    return op == Op::log_softmax ? -static_cast<T>(__builtin_inf()) : T(0);
}

}  // namespace sorgum::special
