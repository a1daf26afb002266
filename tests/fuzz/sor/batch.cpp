// The instruction sets against each other through csrc/api: many systems of one pattern, whose values, shifts and
// vectors may be anything, with the systems shared among threads. ASan sees what is read beyond their arrays.
#include "api/sor/batch.h"

#include "core/parallel.h"
#include "sor/made_csr.h"

namespace {

using namespace fuzz;

struct BatchChoice {
    index_t systems, maxiter;
    bool data, shift, omega, start;
};

template <class V, class I>
Output run(const CsrChoice& c, const BatchChoice& choice, Bytes bytes) {
    constexpr DType value = sizeof(V) == 4 ? DType::f32 : DType::f64, wide = DType::f64, counted = DType::i64;
    const MadeCsr<V, I> made(c, bytes);
    const auto filled = [&](const std::vector<index_t>& shape, unsigned kind) {
        Array array(value, shape);
        fill_elements<V>(bytes, array, kind);
        return array;
    };
    const Array data = filled({choice.systems, c.entries}, c.kind), shift = filled({choice.systems}, c.kind);
    const Array b = filled({choice.systems, c.rows}, c.kind), x = filled({choice.systems, c.rows}, c.kind);
    const Array omega(wide, {choice.systems}), info(counted, {choice.systems}), iterations(counted, {choice.systems});
    for (index_t i = 0; i < choice.systems; ++i)
        omega.data<double>()[i] = 0.1 + 0.1 * bytes.choose(20);
    if (!choice.start)
        std::memset(x.data<unsigned char>(), 0, x.size());
    std::optional<sorgum::ArrayView> of_data, of_shift, of_omega;
    if (choice.data)
        of_data = data.view();
    if (choice.shift)
        of_shift = shift.view();
    if (choice.omega)
        of_omega = omega.view();
    sorgum::sor::batch({made.arrays(), of_data, of_shift, b.view(), x.view(), of_omega, 1e-3, 0.0, choice.maxiter,
                        info.view(), iterations.view()});
    Output output;
    x.append_to(output);
    info.append_to(output);
    iterations.append_to(output);
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    CsrChoice c;
    const bool wide = bytes.flag(), wide_indices = bytes.flag();
    c.rows = bytes.choose(50);
    c.columns = c.rows + (bytes.choose(16) == 0 ? 1 : 0);
    c.diagonals = bytes.choose(8) != 0;
    c.entries = bytes.choose(200) + (c.diagonals ? c.rows : 0);
    c.bad_indptr = bytes.choose(8) == 0;
    c.bad_indices = bytes.choose(8) == 0;
    c.kind = bytes.choose(3);
    const BatchChoice choice = {bytes.choose(8) == 0 ? bytes.choose(600) : bytes.choose(40),
                                bytes.choose(60),
                                bytes.flag(),
                                bytes.flag(),
                                bytes.flag(),
                                bytes.flag()};
    const index_t threads = 1 + bytes.choose(3);
    sorgum::set_num_threads(threads);
    char what[200];
    std::snprintf(what, sizeof what, "f%d_i%d, %lld systems of %lld rows, %lld entries of kind %u, %lld threads",
                  wide ? 64 : 32, wide_indices ? 64 : 32, static_cast<long long>(choice.systems),
                  static_cast<long long>(c.rows), static_cast<long long>(c.entries), c.kind,
                  static_cast<long long>(threads));
    compare(what, [&] {
        return in_types(wide, wide_indices,
                        [&](auto v, auto i) { return run<decltype(v), decltype(i)>(c, choice, bytes); });
    });
    return 0;
}
