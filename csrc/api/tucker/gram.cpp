#include "api/linalg/gram.h"

#include <string>

#include "api/call/stored.h"
#include "api/tucker/check.h"
#include "api/tucker/tucker.h"
#include "kernels/linalg/product.h"

namespace sorgum::tucker {

index_t gram_rows(const char* function, const ArrayView& tensor, index_t mode) {
    check_float(function, "x", tensor);
    return tensor.shape[axis_of(function, "x", tensor, mode)];
}

void gram(const ArrayView& tensor, index_t mode, const ArrayView& out) {
    constexpr const char* name = "gram";
    check_float(name, "x", tensor);
    linalg::gram(name, tensor, axis_of(name, "x", tensor, mode), out);
}

void gram_partial(const ArrayView& tensor, index_t mode, index_t begin, index_t first, index_t columns,
                  const ArrayView& out) {
    constexpr const char* name = "gram_partial";
    const index_t n = gram_rows(name, tensor, mode);
    const linalg::Unfolding unfolding(tensor, axis_of(name, "x", tensor, mode));
    if (begin < 0 || begin % linalg::kDepthChunk != 0 || begin > INT64_MAX - columns - linalg::kDepthChunk)
        throw ValueError(std::string(name) + ": begin must be a multiple of " + std::to_string(linalg::kDepthChunk) +
                         " in [0, 2**62), got " + std::to_string(begin));
    if (first < 0 || columns < 0 || first > unfolding.columns() - columns)
        throw ValueError(std::string(name) + ": columns must be within the unfolding, got others");
    const index_t shape[] = {static_cast<index_t>(linalg::gram_runs(begin, columns).size()), n * (n + 1) / 2};
    check_out(name, "out", out, DType::f64, shape, 2);
    check_contiguous(name, "out", out);
    if (n == 0)
        return;
    linalg::gram_of_runs(unfolding, begin, first, columns, static_cast<double*>(out.data));
}

}  // namespace sorgum::tucker
