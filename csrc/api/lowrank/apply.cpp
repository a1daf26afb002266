#include <algorithm>

#include <algorithm>
#include "api/call/extent.h"

#include "api/call/stored.h"
#include "api/lowrank/rows.h"
#include "core/fp_env.h"

namespace sorgum::lowrank {

namespace {

constexpr const char* kName = "apply";
constexpr index_t kLastRows = kRowsOfTask / 2;  // of the last tasks, so that no thread waits long for another

template <class T>
void apply_as(const ApplyArguments& given, const linalg::Matrix& x, const Factors& factors) {
    RowsCall<T> call;
    call.x = x;
    call.out = given.out;
    call.base = given.base;
    call.activation = given.activation;
    if (given.mid)
        call.mid = vector_of<T>(kName, "mid", *given.mid, factors.rank());
    if (given.gate)
        call.gate = vector_of<T>(kName, "gate", *given.gate, x.rows);
    constexpr DType own = sizeof(T) == sizeof(double) ? DType::f64 : DType::f32;
    const auto in_place = [](const linalg::Matrix& m) { return m.dtype == own && m.has_rows(); };
    if (x.rows == 1 && given.x.dtype == own && in_place(factors.a) && in_place(factors.b))
        return RowsScratch<T>().apply(call, factors, given.scale);
    PackedAdapter<T> adapter;
    adapter.pack(factors, given.scale);
    const int threads = threads_for(saturated_product(x.rows, saturated_product(factors.rank(), factors.b.rows)));
    std::vector<RowsScratch<T>> scratch(static_cast<std::size_t>(threads));
    const index_t all = ceil_div(x.rows, kRowsOfTask), large = all <= 3 ? all : x.rows / kRowsOfTask - 2;
    const index_t first = std::min(large * kRowsOfTask, x.rows);  // of the rows in smaller tasks
    parallel_for(large + ceil_div(x.rows - first, kLastRows), threads, [&](index_t task, int slot) {
        Range rows = nth_range(first, kRowsOfTask, task);
        if (task >= large) {
            rows = nth_range(x.rows - first, kLastRows, task - large);
            rows = {first + rows.begin, first + rows.end};
        }
        scratch[static_cast<std::size_t>(slot)].apply(call, adapter, rows.begin, rows.end - rows.begin, nullptr);
    });
}

}  // namespace

void apply(const ApplyArguments& given) {
    check_float(kName, "x", given.x);
    const bool wide = given.wide || given.x.dtype == DType::f64;
    const Factors factors = factors_of(kName, given.a, given.b, wide ? DType::f64 : DType::f32);
    check_scale(kName, given.scale, wide ? DType::f64 : DType::f32);
    const linalg::Matrix x =
        checked_rows(kName, given.x, given.base, given.out, given.a, factors.a.columns, factors.b.rows);
    if (x.rows == 0 || factors.b.rows == 0)
        return;  // any number of rows without a result
    const FpGuard guard;
    if (wide)
        apply_as<double>(given, x, factors);
    else
        apply_as<float>(given, x, factors);
}

namespace {

bool may_be_taken(const ArrayView& view) {
    return view.ndim > 0 && is_float(view.dtype) && size_of(view) > 0 && is_contiguous(view) && is_aligned(view);
}

// A contiguous array as a matrix with its last axis.
ArrayView as_matrix(const ArrayView& view) {
    ArrayView matrix = view;
    matrix.ndim = 2;
    matrix.shape[1] = view.shape[view.ndim - 1];
    matrix.shape[0] = size_of(view) / matrix.shape[1];
    set_contiguous(matrix);
    return matrix;
}

bool have_rows_of(const ArrayView& view, const ArrayView& x) {
    return view.dtype == x.dtype && view.ndim == x.ndim && std::equal(x.shape, x.shape + x.ndim - 1, view.shape);
}

}  // namespace

bool apply_contiguous(const ApplyArguments& a) {
    if (!may_be_taken(a.x) || !may_be_taken(a.a) || !may_be_taken(a.b) || !may_be_taken(a.out) || a.a.ndim != 2 ||
        a.b.ndim != 2 || !have_rows_of(a.out, a.x) || !are_apart(a.out, a.x) || !are_apart(a.out, a.a) ||
        !are_apart(a.out, a.b))
        return false;
    if (a.base && (!may_be_taken(*a.base) || !have_rows_of(*a.base, a.x) ||
                   !(same_layout(*a.base, a.out) || are_apart(*a.base, a.out))))
        return false;
    ApplyArguments given = a;
    given.x = as_matrix(a.x);
    given.out = as_matrix(a.out);
    if (a.base)
        given.base = as_matrix(*a.base);
    given.wide = a.a.dtype == DType::f64 || a.b.dtype == DType::f64;
    try {
        apply(given);
    } catch (const TypeError&) {
        return false;
    } catch (const ValueError&) {
        return false;
    }
    return true;
}

ArrayView result_of_apply(const ApplyArguments& a) {
    ArrayView result = a.x;
    result.writable = true;
    result.shape[a.x.ndim - 1] = a.b.shape[0];
    set_contiguous(result);
    return result;
}

}  // namespace sorgum::lowrank
