// The instruction sets against each other through csrc/api: mode products of tensors of any shape and elements. ASan
// sees what is read and written beyond them.
#include "api/tucker/tucker.h"
#include "fuzz.h"

namespace {

using namespace fuzz;

struct Choice {
    std::vector<index_t> shape;
    index_t mode, rank;
    bool vector, transposed, misfit, out_across;
    unsigned kind;
};

template <class T>
Output run(const Choice& c, Bytes bytes) {
    constexpr DType dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
    const index_t n = c.shape[static_cast<std::size_t>(c.mode)] + (c.misfit ? 1 : 0);
    const Array tensor(dtype, c.shape, c.rank % 3);
    const Array matrix(dtype,
                       c.vector       ? std::vector<index_t>{n}
                       : c.transposed ? std::vector<index_t>{n, c.rank}
                                      : std::vector<index_t>{c.rank, n},
                       c.mode);
    std::vector<index_t> shape = c.shape;
    if (c.vector)
        shape.erase(shape.begin() + c.mode);
    else
        shape[static_cast<std::size_t>(c.mode)] = c.rank;
    const Array out(dtype, shape, 0, c.out_across);
    for (const Array* const array : {&tensor, &matrix})
        fill_elements<T>(bytes, *array, c.kind);
    sorgum::tucker::mode_dot({tensor.view(), matrix.view(), c.mode, c.transposed}, out.view());
    return contents(out);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    Choice c;
    const bool wide = bytes.flag();
    const unsigned axes = 1 + bytes.choose(4);
    for (unsigned i = 0; i < axes; ++i)
        c.shape.push_back(bytes.choose(axes < 3 ? 600 : 20));
    c.mode = bytes.choose(axes);
    c.rank = bytes.choose(40);
    c.vector = bytes.flag();
    c.transposed = bytes.flag();
    c.misfit = bytes.choose(8) == 0;
    c.out_across = bytes.flag();
    c.kind = bytes.choose(3);
    char what[120];
    std::snprintf(what, sizeof what, "%u axes, mode %lld, rank %lld, f%d of kind %u", axes,
                  static_cast<long long>(c.mode), static_cast<long long>(c.rank), wide ? 64 : 32, c.kind);
    compare(what, [&] { return wide ? run<double>(c, bytes) : run<float>(c, bytes); });
    return 0;
}
