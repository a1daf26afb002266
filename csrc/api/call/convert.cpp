#include "api/call/convert.h"

#include <string>

#include "api/call/row_tasks.h"
#include "api/call/stored.h"
#include "core/error.h"
#include "core/fp_env.h"

namespace sorgum {

void convert(const ArrayView& x, const ArrayView& out) {
    for (const ArrayView* const one : {&x, &out})
        if (computed_in(one->dtype) != DType::f32)
            throw TypeError(std::string("convert: x and out must have dtype float16, bfloat16 or float32, got ") +
                            dtype_text(one->dtype));
    check_out("convert", "out", out, out.dtype, x.shape, x.ndim);
    const RowLayout layout = make_rows(x, last_axis(x), {x, out});
    if (layout.rows == 0 || layout.length == 0)
        return;
    const Stored<float> from(layout, 0, x.dtype), to(layout, 1, out.dtype);
    const FpGuard guard;
    for_each_row_piece(layout, [&](index_t r, index_t begin, index_t end) {
        alignas(64) float y[kScratch];
        for_each_range(begin, end, kScratch, [&](index_t i, index_t stop) {
            from.read(r, 1, i, stop - i, y, kScratch);
            to.write(r, 1, i, stop - i, y, kScratch);
        });
    });
}

}  // namespace sorgum
