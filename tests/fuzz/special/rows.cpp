// The instruction sets against each other through csrc/api: softmax, log_softmax and logsumexp with every algorithm,
// along either axis, with masks and weights; rows in turn; rows in parts, which have the bits of the whole; gradients.
#include "api/special/special.h"
#include "core/fp_env.h"
#include "dispatch/special.h"
#include "fuzz.h"

namespace {

using namespace fuzz;
using sorgum::kChunk;

constexpr index_t kWords = 13;  // of a record, see api/partial.h

template <class T>
constexpr DType kDType = sizeof(T) == 4 ? DType::f32 : DType::f64;

struct Choice {
    unsigned function;  // softmax, log_softmax, logsumexp, rows in turn, rows in parts, gradients of the first three
    index_t rows, length, shift;
    unsigned kind, algorithm;
    bool across, zero_if_empty, masked, weighted;
    double temperature;
};

constexpr const char* kAlgorithms[] = {"auto", "two_pass", "three_pass_recompute", "three_pass_reload"};

// Whole rows of several chunks, the second pass over one interleaved with the first pass over the next.
template <class T>
Output in_turn(const Choice& c, const Array& x) {
    using namespace sorgum;
    const KernelTable& table = kernels();
    constexpr std::align_val_t line{64};
    const index_t n = c.length / 16 * 16, bytes = c.rows * n * static_cast<index_t>(sizeof(T));
    const auto size = static_cast<std::size_t>(bytes);
    const auto free = [=](unsigned char* p) { ::operator delete(p, line); };
    const std::unique_ptr<unsigned char, decltype(free)> out(static_cast<unsigned char*>(::operator new(size, line)),
                                                             free);
    const FpGuard guard;
    ExpScale<T> scale;
    special_exp_scale(table, T())(c.temperature, scale);
    const T empty = c.zero_if_empty ? T(0) : static_cast<T>(__builtin_nan(""));
    const auto terms_size = static_cast<std::size_t>(n) * sizeof(T);
    const std::unique_ptr<unsigned char, decltype(free)> terms(
        static_cast<unsigned char*>(::operator new(terms_size, line)), free);
    const std::vector<double> factors(static_cast<std::size_t>(c.rows), -c.temperature);
    const special::Rows<T> rows = {x.data<T>(), reinterpret_cast<T*>(out.get()),   c.rows,        n, c.length, n, empty,
                                   true,        reinterpret_cast<T*>(terms.get()), factors.data()};
    (!c.masked         ? special_log_softmax_long_rows(table, T())
     : c.zero_if_empty ? special_logsumexp_grad_long_rows(table, T())
                       : special_softmax_long_rows(table, T()))(rows, scale);
    return Output(out.get(), out.get() + size);
}

void expect_same(const Output& a, const Output& b, const char* what) {
    if (a == b)
        return;
    std::fprintf(stderr, "%s: the bits are not those of the whole row\n", what);
    std::abort();
}

// Sums of two parts, merged either way, and the second pass over both: the bits of the whole.
Output in_parts(const Choice& c, sorgum::special::Arguments a, const Array& x) {
    using namespace sorgum;
    const index_t cut = c.length / 2 / kChunk * kChunk, size = size_of(x.view().dtype);
    const Array records(DType::i64, {2, c.rows, kWords}), merged(DType::i64, {c.rows, kWords});
    ArrayView part[2] = {x.view(), x.view()}, record = records.view();
    part[0].shape[1] = cut;
    part[1].shape[1] -= cut;
    part[1].data = x.data<unsigned char>() + cut * x.view().strides[1];
    record.ndim = 2;
    Output orders[2];
    for (int order = 0; order < 2; ++order) {
        for (int i = 0; i < 2; ++i) {
            a.x = part[i == order];
            record.shape[0] = c.rows;
            record.shape[1] = kWords;
            record.strides[0] = 8 * kWords;
            record.strides[1] = 8;
            record.data = records.data<unsigned char>() + i * c.rows * kWords * 8;
            a.out = record;
            special::run(special::Op::logsumexp_partial, a);
        }
        special::logsumexp_merge(records.view(), merged.view());
        merged.append_to(orders[order]);
    }
    expect_same(orders[0], orders[1], "records merged in another order");

    const Array sum(x.view().dtype, {c.rows}), whole_sum(x.view().dtype, {c.rows});
    special::logsumexp_finish(merged.view(), sum.view(), std::nullopt);
    a.x = x.view();
    a.out = whole_sum.view();
    special::run(special::Op::logsumexp, a);
    Output result, expected;
    sum.append_to(result);
    whole_sum.append_to(expected);
    expect_same(result, expected, "logsumexp of records");

    const Array y(x.view().dtype, {c.rows, c.length}, c.shift), whole(x.view().dtype, {c.rows, c.length}, c.shift);
    a.out = whole.view();
    special::run(special::Op::softmax, a);
    const sorgum::ArrayView given = merged.view();
    a.records = &given;
    for (int i = 0; i < 2; ++i) {
        a.x = part[i];
        a.out = y.view();
        a.out.shape[1] = part[i].shape[1];
        a.out.data = y.data<unsigned char>() + i * cut * size;
        special::run(special::Op::softmax_from_partial, a);
    }
    Output from_records, at_once;
    y.append_to(from_records);
    whole.append_to(at_once);
    expect_same(from_records, at_once, "softmax from records");
    result.insert(result.end(), from_records.begin(), from_records.end());
    return result;
}

// Gradients at rows y that may be no result of softmax.
template <class T>
Output gradient(const Choice& c, Bytes& bytes, const Array& y, sorgum::special::Arguments a) {
    const std::vector<index_t> shape = {c.rows, c.length};
    const Array dy(kDType<T>, shape, c.shift), out(kDType<T>, shape, c.shift, c.across);
    fill_elements<T>(bytes, dy, c.kind);
    if (c.function == 7) {
        const Array of_sum(kDType<T>, {c.rows});
        fill_elements<T>(bytes, of_sum, c.kind);
        a.x = y.view();
        const sorgum::ArrayView g = of_sum.view();
        a.dy = &g;
        a.out = out.view();
        sorgum::special::run(sorgum::special::Op::logsumexp_grad, a);
        return contents(out);
    }
    a.x = y.view();
    const sorgum::ArrayView g = dy.view();
    a.dy = &g;
    a.out = out.view();
    sorgum::special::run(c.function == 5 ? sorgum::special::Op::softmax_grad : sorgum::special::Op::log_softmax_grad,
                         a);
    return contents(out);
}

template <class T>
Output run(const Choice& c, Bytes bytes) {
    using namespace sorgum;
    const std::vector<index_t> shape = {c.rows, c.length};
    const Array x(kDType<T>, shape, c.shift, c.across && c.function != 3);
    fill_elements<T>(bytes, x, c.kind);
    if (c.function == 3)
        return in_turn<T>(c, x);
    const Array mask(DType::boolean, shape), weights(kDType<T>, shape, c.shift), temperature(DType::f64, {});
    *temperature.data<double>() = c.temperature;
    special::Arguments a;
    a.x = x.view();
    const index_t last = 1;
    a.axes = {&last, 1, false};
    a.temperature = temperature.view();
    a.empty = c.zero_if_empty ? "zero" : "nan";
    if (c.function == 4)
        return in_parts(c, a, x);
    a.algorithm = kAlgorithms[c.algorithm];
    const ArrayView where = mask.view(), b = weights.view();
    if (c.masked) {
        for (std::size_t i = 0; i < mask.size(); ++i)
            mask.data<bool>()[i] = bytes.integer(1) % 4 != 0;
        a.where = &where;
    }
    if (c.function >= 5)
        return gradient<T>(c, bytes, x, a);
    Output output;
    if (c.function == 2) {
        const Array sum(kDType<T>, {c.rows}), sign(kDType<T>, {c.rows});
        const ArrayView signs = sign.view();
        if (c.weighted) {
            fill_elements<T>(bytes, weights, c.kind == 0 ? 0 : 1);
            a.weights = &b;
            a.sign = &signs;
        }
        a.out = sum.view();
        special::run(special::Op::logsumexp, a);
        sum.append_to(output);
        if (c.weighted)
            sign.append_to(output);
        return output;
    }
    const Array out(kDType<T>, shape, c.shift, c.across);
    a.out = out.view();
    if (c.function == 0)
        special::run(special::Op::softmax, a);
    else
        special::run(special::Op::log_softmax, a);
    out.append_to(output);
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    Choice c;
    c.function = bytes.choose(8);
    const bool wide = bytes.flag(), several_chunks = bytes.flag() || c.function == 3;
    c.rows = 1 + bytes.choose(several_chunks ? 3 : 40);
    c.length = several_chunks ? 1 + bytes.choose(3 * kChunk) : 1 + bytes.choose(300);
    if (c.function == 3 && c.length <= kChunk)
        c.length += kChunk;
    c.shift = bytes.choose(16);
    c.kind = bytes.choose(3);
    c.algorithm = bytes.choose(4);
    c.across = bytes.flag();
    c.zero_if_empty = bytes.flag();
    c.masked = bytes.flag();
    c.weighted = bytes.flag();
    c.temperature = choose_temperature(bytes);
    constexpr const char* names[] = {"softmax",       "log_softmax",  "logsumexp",        "rows in turn",
                                     "rows in parts", "softmax_grad", "log_softmax_grad", "logsumexp_grad"};
    char what[200];
    std::snprintf(what, sizeof what, "%s, f%d, %lld x %lld, elements of kind %u, T %g, %s%s%s", names[c.function],
                  wide ? 64 : 32, static_cast<long long>(c.rows), static_cast<long long>(c.length), c.kind,
                  c.temperature, kAlgorithms[c.algorithm], c.masked ? ", masked" : "", c.across ? ", across" : "");
    compare(what, [&] { return wide ? run<double>(c, bytes) : run<float>(c, bytes); });
    return 0;
}
