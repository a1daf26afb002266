// The instruction sets against each other through csrc/api: a matrix that is relaxed by calls of any kind in any order,
// with its rows shared among threads. ASan sees what is read beyond its arrays.
#include "api/sor/relaxation.h"

#include "api/sor/system.h"
#include "core/parallel.h"
#include "sor/made_csr.h"

namespace {

using namespace fuzz;
using sorgum::sor::Direction;
using sorgum::sor::Half;
using sorgum::sor::Order;
using sorgum::sor::Relaxation;

double choose_omega(Bytes& bytes) {
    constexpr double choices[] = {1.0, 1.5, 1.9, 0.3, 1e-30, 2.0, -1.0};
    return choices[bytes.choose(7)];
}

template <class V>
class Calls {
public:
    Calls(Relaxation& relaxation, Bytes& bytes, index_t entries, unsigned kind)
        : relaxation_(relaxation), bytes_(bytes), entries_(entries), kind_(kind), x_(vector()), b_(vector()) {}

    void call(Output& output) {
        constexpr DType wide = DType::f64;
        switch (bytes_.choose(8)) {
            case 0:
            case 1:
                return sweep(output);
            case 7:
                return sweep_rows(output);
            case 2: {
                const Array r(wide, {relaxation_.rows()});
                double norm[1] = {relaxation_.residual(x_.view(), b_.view(), r.view())};
                append_numbers<double>(r, output);
                const Array of_norm(wide, {1});
                std::memcpy(of_norm.data<double>(), norm, sizeof norm);
                return append_numbers<double>(of_norm, output);
            }
            case 3: {
                const double omega = choose_omega(bytes_);
                relaxation_.half_solve(b_.view(), omega, bytes_.flag() ? Half::lower : Half::upper, x_.view());
                return append_numbers<V>(x_, output);
            }
            case 4:
                relaxation_.precondition(b_.view(), choose_omega(bytes_), x_.view());
                return append_numbers<V>(x_, output);
            case 5: {
                const Array data(x_.view().dtype, {entries_});
                fill_elements<V>(bytes_, data, kind_);
                return relaxation_.update_values(data.view());
            }
            default:
                relaxation_.shift(bytes_.choose(3) * 1.25);
                const Array diagonal = vector(), colors(DType::i32, {relaxation_.rows()});
                relaxation_.diagonal(diagonal.view());
                relaxation_.colors(colors.view());
                append_numbers<V>(diagonal, output);
                colors.append_to(output);
        }
    }

private:
    Array vector() const {
        Array made(sizeof(V) == 4 ? DType::f32 : DType::f64, {relaxation_.rows()});
        fill_elements<V>(bytes_, made, kind_);
        return made;
    }
    void sweep(Output& output) {
        const double omega = choose_omega(bytes_);
        const auto direction = static_cast<Direction>(bytes_.choose(3));
        const index_t iterations = bytes_.choose(4);
        const Array lower = vector(), upper = vector(), norms(DType::f64, {iterations});
        std::optional<sorgum::ArrayView> low, high, found;
        if (bytes_.choose(4) == 0)
            low = lower.view();
        if (bytes_.choose(4) == 0)
            high = upper.view();
        if (bytes_.flag())
            found = norms.view();
        relaxation_.sweep({x_.view(), b_.view(), omega, direction, iterations, low, high, found, {}});
        append_numbers<V>(x_, output);
        if (found)
            append_numbers<double>(norms, output);
    }

    void sweep_rows(Output& output) {
        const double omega = choose_omega(bytes_);
        const auto direction = static_cast<Direction>(bytes_.choose(3));
        const Array rows(DType::i64, {bytes_.choose(200)});
        const index_t step = bytes_.choose(5), outside = bytes_.choose(16) == 0 ? 1 : 0;
        const index_t most = std::max<index_t>(relaxation_.rows() + outside, 1);
        index_t row = bytes_.choose(static_cast<unsigned>(most));
        for (index_t k = 0; k < rows.view().shape[0]; ++k) {
            rows.data<index_t>()[k] = row;
            row = bytes_.choose(8) == 0 ? bytes_.choose(static_cast<unsigned>(most)) : (row + step) % most;
        }
        relaxation_.sweep({x_.view(), b_.view(), omega, direction, 1, {}, {}, {}, rows.view()});
        append_numbers<V>(x_, output);
    }

    Relaxation& relaxation_;
    Bytes& bytes_;
    index_t entries_;
    unsigned kind_;
    Array x_, b_;
};

template <class V, class I>
Output run(const CsrChoice& c, Bytes bytes) {
    const MadeCsr<V, I> made(c, bytes);
    constexpr Order orders[] = {Order::natural, Order::multicolor, Order::block_multicolor};
    Relaxation relaxation(made.arrays(), orders[bytes.choose(3)]);
    Calls<V> calls(relaxation, bytes, c.entries, c.kind);
    Output output;
    for (unsigned left = 1 + bytes.choose(5); left > 0; --left)
        append_refusal(output, [&] { calls.call(output); });
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    CsrChoice c;
    const bool wide = bytes.flag(), wide_indices = bytes.flag(), many = bytes.choose(8) == 0;
    c.rows = bytes.choose(many ? 3000 : 70);
    c.columns = c.rows + (bytes.choose(16) == 0 ? 1 : 0);
    c.diagonals = bytes.choose(8) != 0;
    c.entries = bytes.choose(many ? 10000 : 400) + (c.diagonals ? c.rows : 0);
    c.bad_indptr = bytes.choose(8) == 0;
    c.bad_indices = bytes.choose(8) == 0;
    c.kind = bytes.choose(3);
    const index_t threads = 1 + bytes.choose(3);
    sorgum::set_num_threads(threads);
    sorgum::sor::share_from(bytes.flag() ? 1 : 0);
    char what[200];
    std::snprintf(what, sizeof what, "f%d_i%d, %lld rows, %lld entries of kind %u, %lld threads", wide ? 64 : 32,
                  wide_indices ? 64 : 32, static_cast<long long>(c.rows), static_cast<long long>(c.entries), c.kind,
                  static_cast<long long>(threads));
    compare(what, [&] {
        return in_types(wide, wide_indices, [&](auto v, auto i) { return run<decltype(v), decltype(i)>(c, bytes); });
    });
    return 0;
}
