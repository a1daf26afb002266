// exp, log, functions of rows, draws and adapters on contiguous arrays, asked for with few options: plain calls.
// Checking a call in full takes longer than computing a few elements, and calls with a single row (the logits of a
// vocabulary, say) are common. Nothing is refused here: what is not taken goes the usual way, where it is checked, with
// the same bits.
#pragma once

#include <string>

#include "core/types.h"

namespace sorgum::plain {

enum class Function { exp, log, softmax, log_softmax, logsumexp, softmax_grad, log_softmax_grad, logsumexp_grad };

// Contiguous in C order, and aligned. The rows lie along the last axis. The shape is a copy: another thread may give an
// array another shape while it is worked on.
struct Array {
    char* data = nullptr;
    DType dtype;
    int ndim;
    index_t shape[kMaxDims];
};

// Whether x has a floating-point type, axes and elements.
bool takes(const Array& x);

// Whether work on x takes so little time, a few microseconds at most, that the interpreter's lock need not be released.
bool is_small(const Array& x);

// The bytes of a result over the first `axes` axes of x where it takes memory from the pool (core/memory_pool.h), else
// 0.
index_t pooled_bytes(const Array& x, int axes);

// What is said where there is no memory for a result.
std::string no_memory_text(DType dtype, int ndim, const index_t* shape);

// Whether `other` has the type and the shape of x, and is x itself or lies apart.
bool goes_with(const Array& x, const Array& other);

// Whether `out` has the type of x and the shape of x without its last axis, and shares no memory with it.
bool holds_rows_of(const Array& x, const Array& out);

// The axes of its rows: all but the last.
int row_axes(const Array& x);
bool is_last(index_t axis, int ndim);

// Whether a temperature is valid.
bool is_temperature(double temperature);

// Computes what special.h does; dy is used by the gradients. Throws Interrupted, and what lack of memory throws.
void run(Function function, const Array& x, const char* dy, char* out, double temperature);

// A draw by Gumbel-max with one temperature, one position and, if it is not each row's own number, one stream for the
// only row.
struct Draw {
    std::uint64_t key, stream, position;
    bool own_stream;
    double temperature;
    index_t rows;  // is told
};
inline constexpr index_t kMostDraws = 64;

// Draws a category per row of the logits. False where random::draw has to say why it cannot. Throws Interrupted.
bool categorical(const Array& logits, Draw& draw, index_t* drawn);

// What an adapter adds to a layer, of which `out` has the shape. False where lowrank::apply has to say why it cannot.
// Throws Interrupted.
bool apply(const Array& x, const Array& a, const Array& b, double scale, const Array* base, const Array& out);

}  // namespace sorgum::plain
