// Arrays seen as rows: how many operands a layout holds.
#include "api/call/rows.h"

#include <vector>

#include "check.h"

using namespace sorgum;

namespace {

ArrayView matrix(float* data, index_t rows, index_t length) {
    ArrayView view = {};
    view.data = data;
    view.dtype = DType::f32;
    view.ndim = 2;
    view.shape[0] = rows;
    view.shape[1] = length;
    view.strides[0] = length * index_t(sizeof(float));
    view.strides[1] = sizeof(float);
    return view;
}

void operands() {
    float data[6] = {};
    const ArrayView x = matrix(data, 2, 3);
    const AxisMask reduced = last_axis(x);
    for (int count = 0; count <= kMaxOperands; ++count) {
        const RowLayout layout = make_rows(x, reduced, std::vector<ArrayView>(static_cast<std::size_t>(count), x));
        CHECK(layout.rows == 2 && layout.length == 3);
        for (int k = 0; k < count; ++k)
            CHECK(layout.row(k, 1) == reinterpret_cast<char*>(data + 3));
    }
    for (const std::size_t count : {std::size_t(10), std::size_t(100)})
        CHECK_THROWS(ValueError, "make_rows: operands must be at most 9, got " + std::to_string(count),
                     make_rows(x, reduced, std::vector<ArrayView>(count, x)));
}

}  // namespace

int main() {
    operands();
    return check::finish();
}
