// The functions of the family for the bindings: they check all that they are given.
#pragma once

#include <optional>

#include "core/types.h"
#include "kernels/lowrank/middle.h"

namespace sorgum::lowrank {

// W (out, in) and an adapter: A (rank, in), B (out, rank). The rows of W and out are contiguous; out has W's shape and
// type, and is W or shares no memory with any other argument.
struct MergeArguments {
    ArrayView w, a, b, out;
    double scale;
    bool hadamard;       // W (1 + scale B A) in place of W + scale B A
    bool transposed;     // W (in, out)
    bool wide;           // computed in float64
    bool rounded_twice;  // the difference is rounded to W's type before it is added
    bool check_finite;
    bool out_is_new;                // nobody has seen what it holds: it may be written before all is known to be finite
    std::optional<ArrayView> mask;  // of W's shape: where it is not set, W stays
    std::optional<ArrayView> magnitude;  // (out,)
};
void merge(const MergeArguments& arguments);

// x (rows, in) and an adapter: base + scale middle(x A^T) B^T, or without base. out and base (rows, out) have x's type.
// Rows of out and base are contiguous; out is base or shares no memory with any other argument.
struct ApplyArguments {
    ArrayView x, a, b, out;
    double scale;
    Activation activation;
    bool wide;                      // computed in float64
    std::optional<ArrayView> mid;   // (rank,), of the type that is computed in
    std::optional<ArrayView> gate;  // (rows,), likewise
    std::optional<ArrayView> base;
};
void apply(const ApplyArguments& arguments);

// The same where x has any axes before the last, as base and out have then: all contiguous. False where apply(), or
// Python before it, would have to convert or to refuse something. Throws Interrupted, and what lack of memory throws.
bool apply_contiguous(const ApplyArguments& arguments);

// The type and the shape of its result, as of a contiguous array without memory. x has an axis.
ArrayView result_of_apply(const ApplyArguments& arguments);

// Random matrices c, whose rows are streams of a key: out[j] += the sum over i of weights[i] c(i, j), and out[i] = the
// sum over j of g[j] c(i, j). All arrays have one axis and the type of out, float32 or float64; out shares no memory
// with the other one.
void basis_add(std::uint64_t key, const ArrayView& weights, const ArrayView& out);
void basis_dots(std::uint64_t key, const ArrayView& g, const ArrayView& out);

// x x^T of a matrix in any layout. out: float64, of as many rows and columns as x has rows, contiguous, apart from x.
void gram(const ArrayView& x, const ArrayView& out);

}  // namespace sorgum::lowrank
