// The kernels of an operation, found in one place; null where it has none. Kernels that several share are called by
// their own names.
#pragma once

#include <string_view>

#include "dispatch/dispatch.h"
#include "dispatch/special.h"
#include "kernels/special/kernels.h"

namespace sorgum::special {

template <class T>
struct GradKernels {
    softmax_grad_rows_fn<T>* rows = nullptr;    // of any length
    softmax_grad_sum_fn<T>* sum = nullptr;      // the first pass over a part of a row
    softmax_grad_write_fn<T>* write = nullptr;  // the second
};

template <class T>
struct OpKernels {
    exp_fn<T>* elements = nullptr;
    softmax_rows_fn<T>*rows = nullptr, *long_rows = nullptr;  // contiguous: of one chunk, and of several
    softmax_columns_fn<T>* columns = nullptr;                 // rows of one chunk that lie side by side
    softmax_scale_fn<T>* write = nullptr;                     // the second pass over a part of a row
    GradKernels<T> grad = {};
};

template <class T>
OpKernels<T> of_gradient(const GradKernels<T>& grad) {
    OpKernels<T> k;
    k.grad = grad;
    return k;
}

// The table: an entry per operation, of kernels in the order above.
template <class T>
OpKernels<T> kernels_of(Op op, const KernelTable& k) {
    const T t = T();
    const auto none = nullptr;
    switch (op) {
        case Op::exp:
            return {special_exp(k, t)};
        case Op::log:
            return {special_log(k, t)};
        case Op::softmax:
            return {none, special_softmax_rows(k, t), special_softmax_long_rows(k, t), special_softmax_columns(k, t),
                    special_softmax_scale(k, t)};
        case Op::log_softmax:
            return {none, special_log_softmax_rows(k, t), special_log_softmax_long_rows(k, t),
                    special_log_softmax_columns(k, t), special_log_softmax_shift(k, t)};
        case Op::logsumexp:
            return {none, special_logsumexp_rows(k, t), none, special_logsumexp_columns(k, t)};
        case Op::softmax_grad:
            return of_gradient<T>(
                {special_softmax_grad_rows(k, t), special_softmax_grad_sum(k, t), special_softmax_grad_write(k, t)});
        case Op::log_softmax_grad:
            return of_gradient<T>({special_log_softmax_grad_rows(k, t), special_log_softmax_grad_sum(k, t),
                                   special_log_softmax_grad_write(k, t)});
        case Op::logsumexp_grad:
            return {none, special_logsumexp_grad_rows(k, t), special_logsumexp_grad_long_rows(k, t)};
        case Op::logsumexp_partial:
            break;
        case Op::softmax_from_partial:
            return {none, none, none, none, special_softmax_scale(k, t)};
    }
    return {};
}

// What is written for the elements of a row that has none above -inf.
template <class T>
T of_empty_row(Op op, std::string_view empty) {
    if (op != Op::logsumexp_grad && empty == "nan")
        return static_cast<T>(__builtin_nan(""));
    return op == Op::log_softmax ? -static_cast<T>(__builtin_inf()) : T(0);
}

}  // namespace sorgum::special
