// The instruction sets against each other through csrc/api: residual norms of matrices whose arrays hold anything. ASan
// sees what is read beyond them.
#include "api/sor/sor.h"
#include "fuzz.h"

namespace {

using namespace fuzz;

struct Choice {
    index_t rows, columns, entries;
    bool bad_indptr, bad_indices;
    unsigned kind;
};

// Numbers of entries that fit, with a few others where they shall not.
template <class I>
void fill_indptr(Bytes& bytes, const Array& indptr, const Choice& c) {
    I* const p = indptr.data<I>();
    p[0] = 0;
    for (index_t i = 0; i < c.rows; ++i) {
        const auto left = static_cast<index_t>(c.entries - p[i]);
        p[i + 1] =
            static_cast<I>(p[i] + static_cast<index_t>(bytes.integer(1)) % (left / (c.rows - i) * 2 + 1) % (left + 1));
    }
    if (c.bad_indptr)
        p[static_cast<index_t>(bytes.integer(2)) % (c.rows + 1)] = static_cast<I>(bytes.integer(8));
}

template <class I>
void fill_indices(Bytes& bytes, const Array& indices, const Choice& c) {
    I* const index = indices.data<I>();
    for (index_t k = 0; k < c.entries; ++k)
        index[k] = c.columns == 0 ? I(0) : static_cast<I>(static_cast<index_t>(bytes.integer(2)) % c.columns);
    if (c.bad_indices && c.entries > 0)
        index[static_cast<index_t>(bytes.integer(2)) % c.entries] = static_cast<I>(bytes.integer(8));
}

template <class V, class I>
Output run(const Choice& c, Bytes bytes) {
    constexpr DType value = sizeof(V) == 4 ? DType::f32 : DType::f64, index = sizeof(I) == 4 ? DType::i32 : DType::i64;
    const Array indptr(index, {c.rows + 1}), indices(index, {c.entries}), data(value, {c.entries});
    const Array x(value, {c.columns}), b(value, {c.rows});
    fill_indptr<I>(bytes, indptr, c);
    fill_indices<I>(bytes, indices, c);
    for (const Array* const array : {&data, &x, &b})
        fill_elements<V>(bytes, *array, c.kind);
    const double norm =
        sorgum::sor::residual_norm({indptr.view(), indices.view(), data.view(), c.rows, c.columns}, x.view(), b.view());
    Output output(sizeof norm);
    std::memcpy(output.data(), &norm, sizeof norm);
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    Choice c;
    const bool wide = bytes.flag(), wide_indices = bytes.flag(), many = bytes.flag();
    c.rows = bytes.choose(many ? 9000 : 20);
    c.columns = bytes.choose(50);
    c.entries = bytes.choose(many ? 30000 : 60);
    c.bad_indptr = bytes.choose(4) == 0;
    c.bad_indices = bytes.choose(4) == 0;
    c.kind = bytes.choose(3);
    char what[200];
    std::snprintf(what, sizeof what, "f%d_i%d, %lld x %lld, %lld entries of kind %u", wide ? 64 : 32,
                  wide_indices ? 64 : 32, static_cast<long long>(c.rows), static_cast<long long>(c.columns),
                  static_cast<long long>(c.entries), c.kind);
    compare(what, [&] {
        if (wide)
            return wide_indices ? run<double, std::int64_t>(c, bytes) : run<double, std::int32_t>(c, bytes);
        return wide_indices ? run<float, std::int64_t>(c, bytes) : run<float, std::int32_t>(c, bytes);
    });
    return 0;
}
