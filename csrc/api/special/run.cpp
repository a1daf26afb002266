#include "api/call/extent.h"
#include "api/call/stored.h"
#include "api/special/check.h"
#include "api/special/partial.h"
#include "api/special/special.h"
#include "api/special/ways.h"
#include "core/error.h"
#include "core/fp_env.h"

namespace sorgum::special {

namespace {

// Writes the lengths that are left of x's shape, and returns their number.
int write_row_shape(const ArrayView& x, const AxisMask& reduced, bool keepdims, index_t* shape) {
    int n = 0;
    for (int d = 0; d < x.ndim; ++d) {
        const bool gone = reduced[static_cast<std::size_t>(d)];
        if (!gone || keepdims)
            shape[n++] = gone ? 1 : x.shape[d];
    }
    return n;
}

// Results that are logarithms may keep the digits of float32 in which those of half types are computed.
DType type_of_result(const Operation& operation, const Arguments& a) {
    const DType computed = computed_in(a.x.dtype);
    return operation.widens && a.out.dtype == computed ? computed : a.x.dtype;
}

void check_types(const Operation& operation, const Arguments& a) {
    const char* const name = operation.name;
    check_float(name, operation.x, a.x);
    if (operation.of_rows)
        check_dtype(name, "temperature", a.temperature, DType::f64);
    if (a.where)
        check_dtype(name, "where", *a.where, DType::boolean);
    if (a.weights)
        check_dtype(name, "b", *a.weights, a.x.dtype);
    if (a.dy)
        check_dtype(name, "dy", *a.dy, a.x.dtype);
}

void check_dy(const Operation& operation, const Arguments& a) {
    bool same = a.dy->ndim == a.x.ndim;
    for (int d = 0; same && d < a.x.ndim; ++d)
        same = a.dy->shape[d] == a.x.shape[d];
    if (!same)
        throw ValueError(std::string(operation.name) + ": dy must have shape " + shape_text(a.x.shape, a.x.ndim) +
                         ", got " + shape_text(a.dy->shape, a.dy->ndim));
}

void check_results(const Operation& operation, const Arguments& a, const AxisMask& reduced) {
    const char* const name = operation.name;
    const DType type = type_of_result(operation, a);
    if (operation.out == Per::row) {
        index_t shape[kMaxDims];
        const int ndim = write_row_shape(a.x, reduced, a.keepdims, shape);
        check_out(name, "out", a.out, type, shape, ndim);
        if (a.sign)
            check_out(name, "sign", *a.sign, type, shape, ndim);
    } else if (operation.out == Per::element) {
        check_out(name, "out", a.out, type, a.x.shape, a.x.ndim);
    } else if (!a.out.writable) {
        throw ValueError(std::string(name) + ": out must be writable, got a read-only array");
    }
}

void run_checked(const Operation& operation, const Arguments& a) {
    const char* const name = operation.name;
    check_types(operation, a);
    const AxisMask reduced = operation.of_rows ? reduced_axes(name, a.x, a.axes) : all_axes(a.x);
    if (operation.dy == Per::element)
        check_dy(operation, a);
    check_results(operation, a, reduced);
    check_empty(name, a.empty);
    const FpGuard guard;
    if (run_small(operation.op, a, reduced))
        return;
    if (!operation.of_rows)
        run_elements(operation.op, a);
    else if (operation.dy == Per::element)
        run_grad(operation.op, a, reduced);
    else
        run_rows(operation.op, a, reduced);
}

}  // namespace

void run(Op op, const Arguments& arguments) {
    const Operation& operation = traits(op);
    if (!in_two_calls(op))
        return run_checked(operation, arguments);
    const char* const name = operation.name;
    Arguments a = arguments;
    ArrayView records;
    check_float(name, "x", a.x);
    if (operation.out == Per::record) {
        a.out = record_view(name, a.out);
        check_shape_of_records(name, a.out, a.x, a.axes);
    } else {
        records = record_view(name, *a.records);
        check_shape_of_records(name, records, a.x, a.axes);
        check_records_of_rows(name, records, computed_in(a.x.dtype));
        a.records = &records;
        a.temperature = temperatures_of(records);
    }
    run_checked(operation, a);
}

void set_result(Op op, Arguments& a) {
    const Operation& operation = traits(op);
    a.out.data = nullptr;
    a.out.dtype = a.x.dtype;
    a.out.writable = true;
    const AxisMask left_out = operation.out == Per::row ? reduced_axes(operation.name, a.x, a.axes) : AxisMask();
    a.out.ndim = write_row_shape(a.x, left_out, a.keepdims, a.out.shape);
    set_contiguous(a.out);
}

std::vector<index_t> row_shape(const char* function, const ArrayView& x, const AxisList& axes, bool keepdims) {
    index_t shape[kMaxDims];
    const int ndim = write_row_shape(x, reduced_axes(function, x, axes), keepdims, shape);
    return {shape, shape + ndim};
}

}  // namespace sorgum::special
