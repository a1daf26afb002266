#include "api/lowrank/rows.h"

#include <algorithm>

#include "api/call/stored.h"
#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"
#include "dispatch/lowrank.h"
#include "kernels/linalg/product.h"

namespace sorgum::lowrank {

using linalg::End;
using linalg::Matrix;

template <class T>
void PackedAdapter<T>::pack(const Factors& factors, double factor) {
    scale = static_cast<T>(factor);
    const index_t pieces = down.begin(factors.a.transposed()), all = pieces + up.begin(factors.b.transposed());
    const index_t elements =
        saturated_product(factors.rank(), factors.a.columns) + saturated_product(factors.rank(), factors.b.rows);
    parallel_for(all, threads_for(elements), [&](index_t i, int) {
        if (i < pieces)
            down.pack_piece(i);
        else
            up.pack_piece(i - pieces);
    });
}

Matrix checked_rows(const char* function, const ArrayView& x, const std::optional<ArrayView>& base,
                    const ArrayView& out, const ArrayView& a, index_t inputs, index_t outputs) {
    const Matrix m = linalg::operand_of(function, "x", x);
    if (inputs != m.columns)
        throw ValueError(std::string(function) + ": A must have shape (rank, " + std::to_string(m.columns) +
                         ") with x of shape " + shape_text(x.shape, x.ndim) + ", got " + shape_text(a.shape, a.ndim));
    const index_t shape[] = {m.rows, outputs};
    check_out(function, "out", out, x.dtype, shape, 2);
    check_rows(function, "out", out);
    if (base) {
        check_matrix(function, "base", *base, x.dtype, shape);
        check_rows(function, "base", *base);
    }
    return m;
}

// The rows times A^T, into the middle.
template <class T>
void RowsScratch<T>::first_product(const RowsCall<T>& call, const PackedAdapter<T>& adapter, index_t first,
                                   index_t count, const index_t* numbers) {
    using P = linalg::Pair<T, T>;
    const index_t depth = adapter.down.depth();
    linalg::Product<P> p = {};
    if (numbers == nullptr) {
        rows_.pack(call.x, first, count);
        p.x = rows_.data();
        p.x_pitch = rows_.pitch();
    } else {
        p.x_pitch = whole_vectors(depth);
        gathered_.reserve(count * p.x_pitch);
        for (index_t i = 0; i < count; ++i) {
            rows_.pack(call.x, numbers[i], 1);
            linalg_pack(kernels(), P())(rows_.data(), 0, 1, depth, gathered_.data() + i * p.x_pitch, 0, 16);
        }
        p.x = gathered_.data();
    }
    sums_.reserve(linalg::sums_for(depth));
    p.y = adapter.down.panels(0);
    p.rows = count;
    p.columns = adapter.rank();
    p.depth = depth;
    p.sums = sums_.data();
    p.end = End::scaled;
    p.scale = T(1);
    p.out = middle_.data();
    p.out_pitch = whole_vectors(p.columns);
    linalg_product(kernels(), P())(p);
}

template <class T>
void RowsScratch<T>::apply(const RowsCall<T>& call, const PackedAdapter<T>& adapter, index_t first, index_t count,
                           const index_t* numbers) {
    const index_t rank = adapter.rank(), pitch = whole_vectors(rank);
    const KernelTable& table = kernels();
    middle_.reserve(kRowsOfTask * pitch);
    first_product(call, adapter, first, count, numbers);
    between(call, first, count, rank);
    linalg::with_stored<T>(call.out.dtype, [&](auto pair) {
        using P = decltype(pair);
        using S = typename P::stored;
        const index_t size = static_cast<index_t>(sizeof(S));
        sums_.reserve(linalg::sums_for(rank));
        linalg::Product<P> p = {};
        p.x = middle_.data();
        p.x_pitch = pitch;
        p.y = adapter.up.panels(0);
        p.rows = count;
        p.columns = adapter.up.columns();
        p.depth = rank;
        p.sums = sums_.data();
        p.end = call.base ? End::added : End::scaled;
        p.scale = adapter.scale;
        if (call.base) {
            p.base_pitch = call.base->strides[0] / size;
            p.base = static_cast<const S*>(call.base->data) + first * p.base_pitch;
        }
        p.out_pitch = call.out.strides[0] / size;
        p.out = static_cast<S*>(call.out.data) + first * p.out_pitch;
        p.row_numbers = numbers;
        linalg_product(table, P())(p);
    });
}

template <class T>
void RowsScratch<T>::between(const RowsCall<T>& call, index_t first, index_t count, index_t rank) {
    if (call.mid != nullptr || call.gate != nullptr || call.activation != Activation::none)
        lowrank_middle(kernels(), T())(middle_.data(), whole_vectors(rank), count, rank, call.activation, call.mid,
                                       call.gate == nullptr ? nullptr : call.gate + first);
}

template <class T>
void RowsScratch<T>::apply(const RowsCall<T>& call, const Factors& factors, double scale) {
    using P = linalg::Pair<T, T>;
    const KernelTable& table = kernels();
    const index_t rank = factors.rank(), depth = call.x.columns;
    rows_.pack(call.x, 0, 1);
    middle_.reserve(whole_vectors(rank));
    sums_.reserve(linalg::sums_for(std::max(depth, rank)));
    linalg::Product<P> p = {};
    p.x = rows_.data();
    p.y = reinterpret_cast<const T*>(factors.a.data);
    p.rows = 1;
    p.columns = rank;
    p.depth = depth;
    p.sums = sums_.data();
    p.end = End::scaled;
    p.scale = T(1);
    p.out = middle_.data();
    linalg_row_product(table, P())(p, factors.a.row_stride);
    between(call, 0, 1, rank);
    p.x = middle_.data();
    p.y = reinterpret_cast<const T*>(factors.b.data);
    p.columns = factors.b.rows;
    p.depth = rank;
    p.scale = static_cast<T>(scale);
    if (call.base) {
        p.end = End::added;
        p.base = static_cast<const T*>(call.base->data);
    }
    p.out = static_cast<T*>(call.out.data);
    linalg_row_product(table, P())(p, factors.b.row_stride);
}

template struct PackedAdapter<float>;
template struct PackedAdapter<double>;
template class RowsScratch<float>;
template class RowsScratch<double>;

}  // namespace sorgum::lowrank
