// The operations of the family special, and what its kernels, its checks and its calls have to know of each: the one
// list of them.
#pragma once

namespace sorgum::special {

enum class Op {
    exp,
    log,
    softmax,
    log_softmax,
    logsumexp,
    softmax_grad,
    log_softmax_grad,
    logsumexp_grad,
    logsumexp_partial,
    softmax_from_partial,
};

// What an array has one number for; a record is several words.
enum class Per { none, element, row, record };

struct Operation {
    Op op;
    const char* name;
    const char* x;      // what its first array is called
    bool of_rows;       // else of single elements, without axes or a temperature
    Per dy, out;        // the gradient that is given, and the result
    bool scales_terms;  // a result is a term times a number of its row
    bool widens;        // results of half types may keep the digits of float32
};

inline constexpr Operation kOperations[] = {
    {Op::exp, "exp", "x", false, Per::none, Per::element, false, false},
    {Op::log, "log", "x", false, Per::none, Per::element, false, false},
    {Op::softmax, "softmax", "x", true, Per::none, Per::element, true, false},
    {Op::log_softmax, "log_softmax", "x", true, Per::none, Per::element, false, true},
    {Op::logsumexp, "logsumexp", "x", true, Per::none, Per::row, false, true},
    {Op::softmax_grad, "softmax_grad", "y", true, Per::element, Per::element, false, false},
    {Op::log_softmax_grad, "log_softmax_grad", "y", true, Per::element, Per::element, false, false},
    {Op::logsumexp_grad, "logsumexp_grad", "x", true, Per::row, Per::element, true, false},
    {Op::logsumexp_partial, "logsumexp_partial", "x", true, Per::none, Per::record, false, false},
    {Op::softmax_from_partial, "softmax_from_partial", "x", true, Per::none, Per::element, false, false},
};
constexpr const Operation& traits(Op op) { return kOperations[static_cast<int>(op)]; }

// Whether the two passes are calls of their own, with records between them.
constexpr bool in_two_calls(Op op) { return op == Op::logsumexp_partial || op == Op::softmax_from_partial; }

constexpr bool in_order() {
    int i = 0;
    for (const Operation& operation : kOperations)
        if (static_cast<int>(operation.op) != i++)
            return false;
    return true;
}
static_assert(in_order(), "traits() finds an operation by its number");

}  // namespace sorgum::special
