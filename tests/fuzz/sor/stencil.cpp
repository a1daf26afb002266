// The instruction sets against each other through csrc/api: grids of any shape, sides, masks, coefficients and vectors,
// in all orders, by several threads. ASan sees what is read beyond their arrays.
#include "api/sor/stencil.h"

#include "core/parallel.h"
#include "fuzz.h"

namespace {

using namespace fuzz;
using sorgum::sor::Side;
using sorgum::sor::StencilOrder;

struct GridChoice {
    std::vector<index_t> shape;
    std::vector<std::array<Side, 2>> side;
    StencilOrder order;
    index_t terms, sweeps;
    bool variable, mask, fixed, lower, upper, sums, dominant;
    unsigned kind;
};

template <class T>
Output run(const GridChoice& c, Bytes bytes) {
    constexpr DType type = sizeof(T) == 4 ? DType::f32 : DType::f64;
    const auto filled = [&](const std::vector<index_t>& shape, unsigned kind) {
        Array array(type, shape);
        fill_elements<T>(bytes, array, kind);
        return array;
    };
    const auto holes = [&] {
        Array array(DType::boolean, c.shape);
        for (std::size_t i = 0; i < array.size(); ++i)
            array.data<unsigned char>()[i] = bytes.choose(5) == 0 ? 1 : 0;
        return array;
    };
    std::vector<index_t> of_terms = {c.terms};
    if (c.variable)
        of_terms.insert(of_terms.end(), c.shape.begin(), c.shape.end());
    const Array coefficients = filled(of_terms, c.dominant ? 1 : c.kind);
    const std::size_t each = coefficients.size() / sizeof(T) / static_cast<std::size_t>(c.terms);
    for (std::size_t i = 0; c.dominant && i < each; ++i)
        coefficients.data<T>()[each * static_cast<std::size_t>(c.terms / 2) + i] = T(-5000);
    const Array u = filled(c.shape, c.kind), f = filled(c.shape, c.kind), lower = filled(c.shape, 1),
                upper = filled(c.shape, 1), mask = holes(), fixed = holes();
    const Array r(DType::f64, c.shape), d(type, c.shape), sums(DType::i64, {c.sweeps, sorgum::sor::kSumWords});
    using View = std::optional<sorgum::ArrayView>;
    const auto where = [](bool is, const Array& array) { return is ? View(array.view()) : View(); };
    const sorgum::sor::Stencil stencil(
        {coefficients.view(), c.shape, c.side, where(c.mask, mask), where(c.fixed, fixed), c.order, {}});
    stencil.sweep(
        {u.view(), f.view(), 1.25, c.sweeps, where(c.lower, lower), where(c.upper, upper), where(c.sums, sums)});
    stencil.residual(u.view(), f.view(), r.view());
    stencil.diagonal(d.view());
    Output output;
    append_numbers<T>(u, output);
    append_numbers<T>(d, output);
    append_numbers<double>(r, output);
    if (c.sums)
        sums.append_to(output);
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    constexpr Side sides[] = {Side::dirichlet, Side::neumann, Side::periodic};
    constexpr StencilOrder orders[] = {StencilOrder::red_black, StencilOrder::multicolor, StencilOrder::lexicographic};
    GridChoice c;
    const bool wide = bytes.flag();
    const unsigned ndim = 2 + bytes.choose(2);
    for (unsigned i = 0; i < ndim; ++i) {
        const unsigned most = i + 1 < ndim ? 12 : bytes.choose(16) == 0 ? 6500 / (ndim * ndim) : 70;
        c.shape.push_back(bytes.choose(most));
        const Side first = sides[bytes.choose(3)], other = sides[bytes.choose(3)];
        const bool around = first == Side::periodic || other == Side::periodic;
        c.side.push_back(around && bytes.choose(8) != 0 ? std::array<Side, 2>{Side::periodic, Side::periodic}
                                                        : std::array<Side, 2>{first, other});
    }
    c.order = orders[bytes.choose(3)];
    c.terms = bytes.choose(3) != 0 ? 2 * ndim + 1 : ndim == 2 ? 9 : 27;
    c.sweeps = bytes.choose(20);
    c.variable = bytes.flag();
    c.mask = bytes.choose(3) == 0;
    c.fixed = bytes.choose(3) == 0;
    c.lower = bytes.choose(4) == 0;
    c.upper = bytes.choose(4) == 0;
    c.sums = bytes.choose(3) == 0;
    c.dominant = bytes.choose(4) != 0;
    c.kind = bytes.choose(3);
    const index_t threads = 1 + bytes.choose(4);
    sorgum::set_num_threads(threads);
    char what[200];
    std::snprintf(what, sizeof what, "f%d, %u axes, %lld terms, order %d, %lld sweeps, %lld threads", wide ? 64 : 32,
                  ndim, static_cast<long long>(c.terms), static_cast<int>(c.order), static_cast<long long>(c.sweeps),
                  static_cast<long long>(threads));
    compare(what, [&] { return wide ? run<double>(c, bytes) : run<float>(c, bytes); });
    return 0;
}
