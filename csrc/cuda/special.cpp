#include "cuda/special.h"

#include <algorithm>
#include <string>

#include "api/rows.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "math/extexp.h"

namespace sorgum::cuda {

namespace {

constexpr index_t kSize = sizeof(float);

// The bytes that an array spans, as an interval of addresses; empty where it has no elements.
struct Span {
    std::uintptr_t begin = 0, end = 0;
};

Span span_of(const ArrayView& a) {
    index_t low = 0, high = element_size(a.dtype);
    for (int d = 0; d < a.ndim; ++d) {
        if (a.shape[d] == 0)
            return {};
        (a.strides[d] < 0 ? low : high) += (a.shape[d] - 1) * a.strides[d];
    }
    const auto at = reinterpret_cast<std::uintptr_t>(a.data);
    return {at + static_cast<std::uintptr_t>(low), at + static_cast<std::uintptr_t>(high)};
}

bool same_layout(const ArrayView& a, const ArrayView& b) {
    bool same = a.data == b.data && a.ndim == b.ndim;
    for (int d = 0; same && d < a.ndim; ++d)
        same = a.shape[d] == b.shape[d] && (a.strides[d] == b.strides[d] || a.shape[d] == 1);
    return same;
}

// Blocks run in any order: what one has written must not be what another is to read.
void check_apart(const char* function, const char* argument, const ArrayView& a, const ArrayView& out,
                 bool may_be_out) {
    const Span read = span_of(a), written = span_of(out);
    if (read.begin < written.end && written.begin < read.end && !(may_be_out && same_layout(a, out)))
        throw ValueError(std::string(function) + ": out must " +
                         (may_be_out ? std::string("be ") + argument + " itself or " : std::string()) +
                         "share no memory with " + argument + " on a CUDA device, got arrays that overlap");
}

// x, out and, where there is one, the mask as rows. A row's elements are adjacent in x and out, and a step that is the
// same for all rows leads to the next row.
RowLayout rows_of(const char* function, const ArrayView& x, const std::vector<bool>& reduced,
                  const std::vector<ArrayView>& operands, const char* const* names, std::size_t dense) {
    std::vector<ArrayView> some;
    RowLayout layout;
    for (std::size_t k = 0; k < operands.size(); ++k) {
        some.push_back(operands[k]);
        const Span span = span_of(x);
        if (span.begin == span.end && k != 1)  // no elements, whatever the strides
            std::fill_n(some[k].strides, x.ndim, 0);
        layout = make_rows(x, reduced, some);
        if (layout.outer.n > 1 || layout.inner.n > 1 ||
            (k < dense && span.begin != span.end && !layout.contiguous(static_cast<int>(k), kSize)))
            throw ValueError(std::string(function) + ": " + names[k] +
                             " must have rows of adjacent elements, all at one distance, on a CUDA device, got shape " +
                             shape_text(operands[k].shape, operands[k].ndim) + " with strides " +
                             shape_text(operands[k].strides, operands[k].ndim) + " in bytes");
    }
    return layout;
}

// The call as rows; `results`: whether there is a result per element, else one per row.
Rows rows_of(const char* function, const Arguments& a, bool results) {
    const std::vector<bool> reduced = reduced_axes(function, a.x, a.axes, a.all_axes);
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
    const RowLayout layout = rows_of(function, a.x, reduced, operands, names, results ? 2 : 1);
    const FpGuard guard;
    Rows r = {};
    r.x = reinterpret_cast<const float*>(layout.row(0, 0));
    r.y = reinterpret_cast<float*>(layout.row(1, 0));
    r.rows = layout.rows;
    r.n = layout.length;
    r.x_row = layout.run_stride(0) / kSize;
    r.y_row = layout.run_stride(1) / kSize;
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
    const std::vector<bool> all(static_cast<std::size_t>(x.ndim), true);
    static const char* const names[] = {"x", "out"};
    const RowLayout layout = rows_of("exp", x, all, {x, out}, names, 2);
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
