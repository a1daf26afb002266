#include "api/call/stored.h"
#include "api/call/work.h"
#include "api/special/special.h"
#include "dispatch/dispatch.h"
#include "dispatch/special.h"

namespace sorgum::special {

namespace {

constexpr index_t kPiece = 8 * kChunk;  // elements of a task

enum class Elementwise { exp, log };

template <Elementwise f, class T>
void map(const ArrayView& x, const ArrayView& out) {
    const std::vector<bool> all(static_cast<std::size_t>(x.ndim), true);
    const RowLayout layout = make_rows(x, all, {x, out});
    const index_t n = layout.length;
    const Stored<T> from(layout, 0, x.dtype), to(layout, 1, out.dtype);
    const bool direct = from.direct() && to.direct();
    const bool streaming = direct && n * static_cast<index_t>(sizeof(T)) >= kStreamingBytes;
    auto* const kernel = f == Elementwise::exp ? special_exp(kernels(), T()) : special_log(kernels(), T());
    if (n == 0)
        return;
    parallel_for((n + kPiece - 1) / kPiece, threads_for(n), [&](index_t task, int) {
        const index_t end = n - task * kPiece < kPiece ? n : (task + 1) * kPiece;
        if (direct) {
            kernel(reinterpret_cast<const T*>(layout.base[0]) + task * kPiece,
                   reinterpret_cast<T*>(layout.base[1]) + task * kPiece, end - task * kPiece, streaming);
            return;
        }
        alignas(64) T scratch[kChunk];
        for (index_t i = task * kPiece; i < end; i += kChunk) {
            const index_t here = end - i < kChunk ? end - i : kChunk;
            from.read(0, 1, i, here, scratch, kChunk);
            kernel(scratch, scratch, here, false);
            to.write(0, 1, i, here, scratch, kChunk, n * element_size(out.dtype) >= kStreamingBytes);
        }
    });
}

template <Elementwise f>
void map(const char* name, const ArrayView& x, const ArrayView& out) {
    check_float(name, "x", x);
    check_out(name, "out", out, x.dtype, x.shape, x.ndim);
    if (computed_in(x.dtype) == DType::f32)
        map<f, float>(x, out);
    else
        map<f, double>(x, out);
}

}  // namespace

void exp(const ArrayView& x, const ArrayView& out) { map<Elementwise::exp>("exp", x, out); }
void log(const ArrayView& x, const ArrayView& out) { map<Elementwise::log>("log", x, out); }

}  // namespace sorgum::special
