// The instruction sets against each other through csrc/api: Gram matrices of tensors of any shape, layout and elements.
#include "api/tucker/tucker.h"
#include "fuzz.h"

namespace {

using namespace fuzz;

template <class T>
Output run(const std::vector<index_t>& shape, index_t mode, bool across, unsigned kind, Bytes bytes) {
    const Array tensor(sizeof(T) == 4 ? DType::f32 : DType::f64, shape, mode, across);
    const index_t n = shape[static_cast<std::size_t>(mode)];
    const Array out(DType::f64, {n, n}, 0);
    fill_elements<T>(bytes, tensor, kind);
    sorgum::tucker::gram(tensor.view(), mode, out.view());
    return contents(out);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    const bool wide = bytes.flag();
    const unsigned axes = 1 + bytes.choose(4);
    std::vector<index_t> shape;
    for (unsigned i = 0; i < axes; ++i)
        shape.push_back(bytes.choose(axes < 3 ? 600 : 20));
    const index_t mode = bytes.choose(axes);
    const bool across = bytes.flag();
    const unsigned kind = bytes.choose(3);
    char what[120];
    std::snprintf(what, sizeof what, "%u axes, mode %lld, f%d of kind %u", axes, static_cast<long long>(mode),
                  wide ? 64 : 32, kind);
    compare(what, [&] {
        return wide ? run<double>(shape, mode, across, kind, bytes) : run<float>(shape, mode, across, kind, bytes);
    });
    return 0;
}
