#include "api/linalg/unfolding.h"

#include <algorithm>

#include "api/call/stored.h"
#include "api/linalg/matrix.h"
#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"

namespace sorgum::linalg {

namespace {

constexpr index_t kPanel = 16;    // rows
constexpr index_t kShortRun = 8;  // columns for which a call of a kernel costs more than to bring them together

AxisMask all_but(int axis, const ArrayView& tensor) {
    AxisMask reduced = all_axes(tensor);
    reduced[static_cast<std::size_t>(axis)] = false;
    return reduced;
}

}  // namespace

Unfolding::Unfolding(const ArrayView& tensor, int axis)
    : layout_(make_rows(tensor, all_but(axis, tensor), {tensor})),
      dtype_(tensor.dtype),
      rows_(tensor.shape[axis]),
      row_stride_(tensor.strides[axis]),
      run_(layout_.inner.n == 0 ? 1 : layout_.inner.shape[layout_.inner.n - 1]),
      run_stride_(layout_.inner.n == 0 ? 0 : layout_.inner.stride[0][layout_.inner.n - 1]) {
    const index_t size = element_size(dtype_);
    in_place_ = layout_.multiple_of(0, size) && row_stride_ % size == 0 &&
                (row_stride_ == size || run_stride_ == size) && (run_ >= kShortRun || run_ == layout_.length);
}

void Unfolding::pack(index_t row, index_t rows, index_t first, index_t terms, double* panels,
                     AlignedArray<double>& scratch) const {
    with_stored<double>(dtype_, [&](auto pair) { pack_as<decltype(pair)>(row, rows, first, terms, panels, scratch); });
}

Ahead Unfolding::ahead(index_t first, index_t terms) const {
    if (!in_place_ || first >= columns())
        return {};
    const index_t size = element_size(dtype_);
    const index_t n = std::min({terms, run_ - first % run_, columns() - first});
    const char* const from = layout_.element(0, layout_.row(0, 0), first);
    if (run_stride_ == size)
        return {from, rows_, n * size, row_stride_};
    return run_stride_ == rows_ * size ? Ahead{from, 1, n * run_stride_, 0} : Ahead{from, n, rows_ * size, run_stride_};
}

template <class P>
void Unfolding::pack_as(index_t row, index_t rows, index_t first, index_t terms, double* panels,
                        AlignedArray<double>& scratch) const {
    using S = typename P::stored;
    using C = computed_t<S>;
    constexpr index_t size = sizeof(S);
    const index_t panel = terms * kPanel;
    if (!in_place_) {
        scratch.reserve(rows * terms);  // of C, which is no larger
        C* const dense = reinterpret_cast<C*>(scratch.data());
        Stored<C>(layout_, 0, dtype_).read(row, rows, first, terms, dense, terms);
        return linalg_pack_transposed(kernels(), Pair<double, C>())(dense, terms, rows, terms, panels, kPanel, panel);
    }
    char* const base = layout_.row(0, row);
    for (index_t done = 0; done < terms;) {
        const index_t at = first + done, n = std::min(run_ - at % run_, terms - done);
        const S* const from = reinterpret_cast<const S*>(layout_.element(0, base, at));
        double* const to = panels + done * kPanel;
        if (run_stride_ == size)
            linalg_pack_transposed(kernels(), P())(from, row_stride_ / size, rows, n, to, kPanel, panel);
        else
            linalg_pack(kernels(), P())(from, run_stride_ / size, n, rows, to, kPanel, panel);
        done += n;
    }
}

}  // namespace sorgum::linalg
