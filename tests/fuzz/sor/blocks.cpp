// The instruction sets against each other through csrc/api: a matrix whose rows are relaxed together.
#include "api/sor/block_relaxation.h"
#include "core/parallel.h"
#include "sor/made_csr.h"

namespace {

using namespace fuzz;
using sorgum::sor::BlockRelaxation;
using sorgum::sor::Direction;
using sorgum::sor::Order;

template <class V, class I>
void call(BlockRelaxation& blocks, const CsrChoice& c, Bytes& bytes, Output& output) {
    constexpr DType type = MadeCsr<V, I>::value;
    const Array x(type, {c.rows}), b(type, {c.rows}), norms(DType::f64, {2});
    fill_elements<V>(bytes, x, c.kind);
    fill_elements<V>(bytes, b, c.kind);
    const double omega = 0.25 * (1 + bytes.choose(8));  // 2 is refused
    const auto direction = static_cast<Direction>(bytes.choose(3));
    switch (bytes.choose(6)) {
        case 0:
            blocks.sweep({x.view(), b.view(), omega, direction, 2, {}, {}, norms.view(), {}});
            append_numbers<double>(norms, output);
            break;
        case 1: {
            const Array rows(DType::i64, {bytes.choose(20)});
            for (index_t k = 0; k < rows.view().shape[0]; ++k)
                rows.data<index_t>()[k] = static_cast<index_t>(bytes.integer(1)) % (c.rows / blocks.size() + 1);
            blocks.sweep({x.view(), b.view(), omega, direction, 1, {}, {}, {}, rows.view()});
            break;
        }
        case 2: {
            const Array r(DType::f64, {c.rows});
            blocks.residual(x.view(), b.view(), r.view());
            append_numbers<double>(r, output);
            break;
        }
        case 3:
            blocks.precondition(b.view(), omega, x.view());
            break;
        case 4: {
            const Array data(type, {c.entries});
            fill_elements<V>(bytes, data, c.kind);
            blocks.update_values(data.view());
            break;
        }
        default:
            blocks.shift(bytes.choose(3) * 1.25);
            blocks.diagonal(x.view());
    }
    append_numbers<V>(x, output);
}

template <class V, class I>
Output run(const CsrChoice& c, index_t size, Bytes bytes) {
    const MadeCsr<V, I> made(c, bytes);
    BlockRelaxation blocks(made.arrays(), bytes.flag() ? Order::multicolor : Order::natural, size);
    Output output;
    for (unsigned left = 1 + bytes.choose(4); left > 0; --left)
        append_refusal(output, [&] { call<V, I>(blocks, c, bytes, output); });
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    CsrChoice c;
    const bool wide = bytes.flag(), wide_indices = bytes.flag();
    const index_t together = 1 + bytes.choose(20);
    c.rows = c.columns = together * (bytes.choose(16) == 0 ? 0 : 1 + bytes.choose(8)) + (bytes.choose(16) == 0 ? 1 : 0);
    c.diagonals = bytes.choose(8) != 0;
    c.entries = c.rows == 0 ? 0 : bytes.choose(300) + (c.diagonals ? c.rows : 0);
    c.bad_indptr = bytes.choose(8) == 0;
    c.bad_indices = bytes.choose(8) == 0;
    c.kind = bytes.choose(3);
    const index_t threads = 1 + bytes.choose(3);
    sorgum::set_num_threads(threads);
    char what[200];
    std::snprintf(what, sizeof what, "f%d_i%d, %lld rows in blocks of %lld, %lld entries of kind %u, %lld threads",
                  wide ? 64 : 32, wide_indices ? 64 : 32, static_cast<long long>(c.rows),
                  static_cast<long long>(together), static_cast<long long>(c.entries), c.kind,
                  static_cast<long long>(threads));
    compare(what, [&] {
        return in_types(wide, wide_indices,
                        [&](auto v, auto i) { return run<decltype(v), decltype(i)>(c, together, bytes); });
    });
    return 0;
}
