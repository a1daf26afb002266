#include "api/special/special.h"

#include "api/special/partial.h"
#include "api/special/row_call.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/special.h"

namespace sorgum::special {

namespace {

constexpr index_t kFewestColumns = 16;  // rows side by side that are worth the kernels for columns

int add(std::vector<ArrayView>& operands, const ArrayView& view) {
    operands.push_back(view);
    return static_cast<int>(operands.size()) - 1;
}

}  // namespace

template <class T>
RowCall<T>::RowCall(Op which, const Arguments& a, const std::vector<bool>& reduced)
    : op(which),
      algorithm(algorithm_of(name_of(op), a.algorithm)),
      dtype(a.x.dtype),
      out_dtype(a.out.dtype),
      table(kernels()) {
    const char* const name = name_of(op);
    std::vector<ArrayView> operands = {a.x, reduces(op) ? per_row(name, "out", a.out, a.x, reduced) : a.out,
                                       per_row(name, "temperature", a.temperature, a.x, reduced)};
    if (a.where)
        where = add(operands, broadcast_like(name, "where", *a.where, a.x));
    if (a.weights)
        weights = add(operands, broadcast_like(name, "b", *a.weights, a.x));
    if (a.sign)
        sign = add(operands, per_row(name, "sign", *a.sign, a.x, reduced));
    if (a.records)
        records = add(operands, per_row(name, "p", *a.records, a.x, reduced));
    if (a.dy)
        dy = add(operands, per_row(name, "dy", *a.dy, a.x, reduced));
    layout = make_rows(a.x, reduced, operands);
    check_temperature(name, a.temperature, layout, kTemperature);
    one_temperature = a.temperature.ndim == 0;
    if (one_temperature)
        special_exp_scale(table, T())(*static_cast<const double*>(a.temperature.data), scale_of_all);
    empty = a.empty == "zero" ? (op == Op::log_softmax ? -infinity() : T(0)) : nan();
    direct_x = stored(kX).direct() && where < 0 && weights < 0;
    direct_out = !reduces(op) && stored(kOut).direct();
    const index_t elements = saturated_product(layout.rows, layout.length);
    threads = threads_for(elements);
    large = elements >= kStreamingBytes / element_size(dtype);
    streaming = direct_x && direct_out && large;
    if (algorithm == Algorithm::three_pass_reload && !(direct_out && op == Op::softmax))
        algorithm = Algorithm::three_pass_recompute;  // the same bits, without a place to keep the terms
}

namespace {

// Rows of one chunk that lie side by side.
template <class T>
bool side_by_side(const RowCall<T>& c) {
    constexpr auto size = static_cast<index_t>(sizeof(T));
    const RowLayout& rows = c.layout;
    return c.batched() && !is_half(c.dtype) && c.where < 0 && c.dy < 0 && c.one_temperature && rows.length > 0 &&
           rows.inner.n <= 1 && rows.run() >= kFewestColumns && rows.adjacent(c.kX, size) &&
           (c.op == Op::logsumexp || rows.adjacent(c.kOut, size));
}

// Contiguous rows of several chunks, where they are many enough for the threads, or there is one thread.
template <class T>
bool in_turn(const RowCall<T>& c) {
    return c.direct_x && c.direct_out && c.one_temperature && c.algorithm == Algorithm::automatic &&
           !c.in_two_calls() && c.layout.length > kChunk && c.many(c.layout.rows) &&
           c.layout.length <= (scales_terms(c.op) ? kMostKept : kLongRow);
}

template <class T>
void run(const RowCall<T>& c) {
    if (c.layout.rows == 0 || (c.layout.length == 0 && !reduces(c.op)))
        return;
    if (c.direct_x && c.batched() && (c.direct_out || c.op == Op::logsumexp))
        run_batches(c);
    else if (side_by_side(c))
        run_columns(c);
    else if (in_turn(c))
        run_long_rows(c);
    else
        run_blocks(c);
}

// Results that are logarithms may keep the digits of float32 in which those of half types are computed.
DType type_of_result(Op op, const Arguments& a) {
    const bool widens = (op == Op::log_softmax || op == Op::logsumexp) && a.out.dtype == computed_in(a.x.dtype);
    return widens ? a.out.dtype : a.x.dtype;
}

void run(Op op, const Arguments& a) {
    const char* const name = name_of(op);
    const DType type = type_of_result(op, a);
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
        check_out(name, "out", a.out, type, shape.data(), static_cast<int>(shape.size()));
        if (a.sign)
            check_out(name, "sign", *a.sign, type, shape.data(), static_cast<int>(shape.size()));
    } else if (op != Op::logsumexp_partial) {
        check_out(name, "out", a.out, type, a.x.shape, a.x.ndim);
        check_empty(name, a.empty);
    }
    const FpGuard guard;
    if (computed_in(a.x.dtype) == DType::f32)
        run(RowCall<float>(op, a, reduced));
    else
        run(RowCall<double>(op, a, reduced));
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
