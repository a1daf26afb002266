#include "cuda/special/special.h"

#include <algorithm>
#include <string>

#include "api/call/temperature.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "cuda/common/layout.h"
#include "math/extexp.h"

namespace sorgum::cuda {

namespace {

// The call as rows; `results`: whether there is a result per element, else one per row.
Rows rows_of(const char* function, const Arguments& a, bool results) {
    const AxisMask reduced =
        reduced_axes(function, a.x, {a.axes.data(), static_cast<index_t>(a.axes.size()), a.all_axes});
    std::vector<index_t> shape;
    for (int d = 0; d < a.x.ndim; ++d) {
        const bool gone = !results && reduced[static_cast<std::size_t>(d)];
        if (!gone || a.keepdims)
            shape.push_back(gone ? 1 : a.x.shape[d]);
    }
    check_out(function, "out", a.out, DType::f32, shape.data(), static_cast<int>(shape.size()));
    check_apart(function, "x", a.x, a.out, results);
    std::vector<ArrayView> operands = {a.x, results ? a.out : per_row(function, "out", a.out, a.x, reduced)};
    if (a.where) {
        operands.push_back(broadcast_like(function, "where", *a.where, a.x));
        check_apart(function, "where", *a.where, a.out, false);
    }
    static const char* const names[] = {"x", "out", "where"};
    const RowLayout layout = device_rows(function, a.x, reduced, operands, names, results ? 2 : 1);
    check_temperature(function, a.temperature);
    const FpGuard guard;
    Rows r = {};
    r.x = reinterpret_cast<const float*>(layout.row(0, 0));
    r.y = reinterpret_cast<float*>(layout.row(1, 0));
    r.rows = layout.rows;
    r.n = layout.length;
    r.x_row = layout.run_stride(0) / index_t(sizeof(float));
    r.y_row = layout.run_stride(1) / index_t(sizeof(float));
    if (a.where) {
        r.mask = reinterpret_cast<const unsigned char*>(layout.row(2, 0));
        r.mask_row = layout.run_stride(2);
        r.mask_step = layout.inner.n == 0 ? 0 : layout.inner.stride[2][0];
    }
    r.empty = a.zero_empty ? 0.0f : __builtin_nanf("");
    r.scale = baseline::make_exp_scale<float>(a.temperature);
    return r;
}

}  // namespace

void exp(const ArrayView& x, const ArrayView& out, const Place& place) {
    check_out("exp", "out", out, DType::f32, x.shape, x.ndim);
    check_apart("exp", "x", x, out, true);
    const AxisMask all = all_axes(x);
    static const char* const names[] = {"x", "out"};
    const RowLayout layout = device_rows("exp", x, all, {x, out}, names, 2);
    if (layout.length == 0)
        return;
    const DeviceGuard device("exp", place.device);
    launch_exp(reinterpret_cast<const float*>(layout.base[0]), reinterpret_cast<float*>(layout.base[1]), layout.length,
               place.stream);
}

void softmax(const Arguments& arguments, const Place& place) {
    const Rows rows = rows_of("softmax", arguments, true);
    if (rows.rows == 0 || rows.n == 0)
        return;
    const DeviceGuard device("softmax", place.device);
    launch_softmax(rows, place.stream);
}

void logsumexp(const Arguments& arguments, const Place& place) {
    const Rows rows = rows_of("logsumexp", arguments, false);
    if (rows.rows == 0)
        return;
    const DeviceGuard device("logsumexp", place.device);
    launch_logsumexp(rows, place.stream);
}

}  // namespace sorgum::cuda
