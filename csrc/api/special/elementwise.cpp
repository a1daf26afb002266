#include "api/call/stored.h"
#include "api/call/work.h"
#include "api/special/special.h"
#include "dispatch/dispatch.h"
#include "dispatch/special.h"

namespace sorgum::special {

namespace {

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
    parallel_for_ranges(n, kLeastTask, threads_for(n), [&](index_t begin, index_t end, int) {
        if (direct) {
            kernel(reinterpret_cast<const T*>(layout.base[0]) + begin, reinterpret_cast<T*>(layout.base[1]) + begin,
                   end - begin, streaming);
            return;
        }
        alignas(64) T scratch[kChunk];
        for_each_range(begin, end, kChunk, [&](index_t i, index_t stop) {
            from.read(0, 1, i, stop - i, scratch, kChunk);
            kernel(scratch, scratch, stop - i, false);
            to.write(0, 1, i, stop - i, scratch, kChunk, n * element_size(out.dtype) >= kStreamingBytes);
        });
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
