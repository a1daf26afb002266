// The instruction sets against each other through csrc/api: residual norms of matrices whose arrays hold anything. ASan
// sees what is read beyond them.
#include "api/sor/sor.h"
#include "sor/made_csr.h"

namespace {

using namespace fuzz;

template <class V, class I>
Output run(const CsrChoice& c, Bytes bytes) {
    const MadeCsr<V, I> made(c, bytes);
    const Array x(made.value, {c.columns}), b(made.value, {c.rows});
    for (const Array* const array : {&x, &b})
        fill_elements<V>(bytes, *array, c.kind);
    const double norm = sorgum::sor::residual_norm(made.arrays(), x.view(), b.view());
    Output output(sizeof norm);
    std::memcpy(output.data(), &norm, sizeof norm);
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    CsrChoice c;
    const bool wide = bytes.flag(), wide_indices = bytes.flag(), many = bytes.flag();
    c.rows = bytes.choose(many ? 9000 : 20);
    c.columns = bytes.choose(50);
    c.entries = bytes.choose(many ? 30000 : 60);
    c.bad_indptr = bytes.choose(4) == 0;
    c.bad_indices = bytes.choose(4) == 0;
    c.diagonals = false;
    c.kind = bytes.choose(3);
    char what[200];
    std::snprintf(what, sizeof what, "f%d_i%d, %lld x %lld, %lld entries of kind %u", wide ? 64 : 32,
                  wide_indices ? 64 : 32, static_cast<long long>(c.rows), static_cast<long long>(c.columns),
                  static_cast<long long>(c.entries), c.kind);
    compare(what, [&] {
        return in_types(wide, wide_indices, [&](auto v, auto i) { return run<decltype(v), decltype(i)>(c, bytes); });
    });
    return 0;
}
