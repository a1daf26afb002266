#include "api/special/row_call.h"
#include "api/special/ways.h"

namespace sorgum::special {

namespace {

constexpr index_t kFewestColumns = 16;  // rows side by side that are worth the kernels for columns

int add(std::vector<ArrayView>& operands, const ArrayView& view) {
    operands.push_back(view);
    return static_cast<int>(operands.size()) - 1;
}

}  // namespace

template <class T>
RowCall<T>::RowCall(Op which, const Arguments& a, const AxisMask& reduced)
    : op(which),
      algorithm(algorithm_of(traits(op).name, a.algorithm)),
      dtype(a.x.dtype),
      out_dtype(a.out.dtype),
      table(kernels()),
      kernels_of_op(kernels_of<T>(op, table)) {
    const char* const name = traits(op).name;
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
    empty = of_empty_row<T>(op, a.empty);
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
           !in_two_calls(c.op) && c.layout.length > kChunk && c.many(c.layout.rows) &&
           c.layout.length <= (traits(c.op).scales_terms ? kMostKept : kLongRow);
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

}  // namespace

void run_rows(Op op, const Arguments& a, const AxisMask& reduced) {
    if (computed_in(a.x.dtype) == DType::f32)
        run(RowCall<float>(op, a, reduced));
    else
        run(RowCall<double>(op, a, reduced));
}

}  // namespace sorgum::special
