#include "api/call/stored.h"
#include "api/call/work.h"
#include "api/special/op_kernels.h"
#include "api/special/ways.h"

namespace sorgum::special {

namespace {

template <class T>
void map(Op op, const ArrayView& x, const ArrayView& out) {
    const RowLayout layout = make_rows(x, all_axes(x), {x, out});
    const index_t n = layout.length;
    const Stored<T> from(layout, 0, x.dtype), to(layout, 1, out.dtype);
    const bool direct = from.direct() && to.direct();
    const bool streaming = direct && n * static_cast<index_t>(sizeof(T)) >= kStreamingBytes;
    auto* const kernel = kernels_of<T>(op, kernels()).elements;
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

}  // namespace

void run_elements(Op op, const Arguments& a) {
    if (computed_in(a.x.dtype) == DType::f32)
        map<float>(op, a.x, a.out);
    else
        map<double>(op, a.x, a.out);
}

}  // namespace sorgum::special
