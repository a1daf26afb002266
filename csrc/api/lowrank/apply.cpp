#include <vector>

#include "api/call/stored.h"
#include "api/lowrank/adapter.h"
#include "api/lowrank/lowrank.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"
#include "dispatch/lowrank.h"
#include "kernels/linalg/product.h"

namespace sorgum::lowrank {

namespace {

using linalg::End;
using linalg::Matrix;

constexpr const char* kName = "apply";
constexpr index_t kRows = 24;  // of a task: whole tiles on every instruction set

template <class T>
struct Scratch {
    linalg::PackedRows<T> rows;
    AlignedArray<T> middle, sums;
};

// The rows of x times A^T, into the middle.
template <class T>
void first_product(const Matrix& x, const linalg::PackedColumns<T>& columns, index_t first, index_t rows, T* middle,
                   index_t pitch, Scratch<T>& scratch) {
    using P = linalg::Pair<T, T>;
    scratch.rows.pack(x, first, rows);
    scratch.sums.reserve(linalg::sums_for(columns.depth()));
    linalg::Product<P> p = {};
    p.x = scratch.rows.data();
    p.x_pitch = scratch.rows.pitch();
    p.y = columns.panels(0);
    p.rows = rows;
    p.columns = columns.columns();
    p.depth = columns.depth();
    p.sums = scratch.sums.data();
    p.end = End::scaled;
    p.scale = T(1);
    p.out = middle;
    p.out_pitch = pitch;
    linalg_product(kernels(), P())(p);
}

template <class T>
void apply_as(const ApplyArguments& given, const Matrix& x, const Factors& factors) {
    const index_t rank = factors.rank(), pitch = whole_vectors(rank);
    const T* const mid = given.mid ? vector_of<T>(kName, "mid", *given.mid, rank) : nullptr;
    const T* const gate = given.gate ? vector_of<T>(kName, "gate", *given.gate, x.rows) : nullptr;
    const bool changed = mid != nullptr || gate != nullptr || given.activation != Activation::none;
    linalg::PackedColumns<T> down, up;
    down.pack(factors.a.transposed());
    up.pack(factors.b.transposed());
    const int threads = threads_for(saturated_product(x.rows, saturated_product(rank, up.columns())));
    std::vector<Scratch<T>> all(static_cast<std::size_t>(threads));
    const KernelTable& table = kernels();
    linalg::with_stored<T>(x.dtype, [&](auto pair) {
        using P = decltype(pair);
        using S = typename P::stored;
        linalg::Product<P> whole = {};
        whole.y = up.panels(0);
        whole.columns = up.columns();
        whole.depth = rank;
        whole.x_pitch = pitch;
        whole.end = given.base ? End::added : End::scaled;
        whole.scale = static_cast<T>(given.scale);
        whole.base_pitch = given.base ? given.base->strides[0] / element_size(x.dtype) : 0;
        whole.out_pitch = given.out.strides[0] / element_size(x.dtype);
        parallel_for_ranges(x.rows, kRows, threads, [&](index_t begin, index_t end, int slot) {
            Scratch<T>& scratch = all[static_cast<std::size_t>(slot)];
            scratch.middle.reserve(kRows * pitch);
            T* const middle = scratch.middle.data();
            first_product(x, down, begin, end - begin, middle, pitch, scratch);
            if (changed)
                lowrank_middle(table, T())(middle, pitch, end - begin, rank, given.activation, mid,
                                           gate == nullptr ? nullptr : gate + begin);
            linalg::Product<P> p = whole;
            scratch.sums.reserve(linalg::sums_for(rank));
            p.x = middle;
            p.rows = end - begin;
            p.sums = scratch.sums.data();
            if (given.base)
                p.base = static_cast<const S*>(given.base->data) + begin * p.base_pitch;
            p.out = static_cast<S*>(given.out.data) + begin * p.out_pitch;
            linalg_product(table, P())(p);
        });
    });
}

}  // namespace

void apply(const ApplyArguments& given) {
    check_float(kName, "x", given.x);
    const DType computed = given.wide || given.x.dtype == DType::f64 ? DType::f64 : DType::f32;
    const Matrix x = linalg::operand_of(kName, "x", given.x);
    const Factors factors = factors_of(kName, given.a, given.b, computed);
    if (factors.a.columns != x.columns)
        throw ValueError(std::string(kName) + ": A must have shape (rank, " + std::to_string(x.columns) +
                         ") with x of shape " + shape_text(given.x.shape, given.x.ndim) + ", got " +
                         shape_text(given.a.shape, given.a.ndim));
    const index_t shape[] = {x.rows, factors.b.rows};
    check_out(kName, "out", given.out, x.dtype, shape, 2);
    check_rows(kName, "out", given.out);
    if (given.base) {
        check_matrix(kName, "base", *given.base, x.dtype, shape);
        check_rows(kName, "base", *given.base);
    }
    const FpGuard guard;
    if (computed == DType::f64)
        apply_as<double>(given, x, factors);
    else
        apply_as<float>(given, x, factors);
}

}  // namespace sorgum::lowrank
