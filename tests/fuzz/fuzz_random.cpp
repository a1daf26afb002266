// The instruction sets against each other through csrc/api: words, noise of every law and draws of every kind.
#include "api/random.h"
#include "fuzz.h"

namespace {

using namespace fuzz;
using namespace sorgum::random;

constexpr const char* kLaws[] = {"bits", "uniform", "exponential", "gumbel", "logistic"};

struct Choice {
    unsigned function;  // a law, a draw by Gumbel-max or inversion, the top k, logits with noise, blocks of words
    index_t rows, length, shift, most;
    bool wide_words, given, across, masked, log_prob;
    unsigned kind;
    double temperature;
};

template <class T>
Output run(const Choice& c, Bytes bytes) {
    constexpr DType dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
    Output output;
    if (c.function == 9) {
        const Array counter(DType::f32, {4, c.length}), key(DType::f32, {2, c.length}), out(DType::f32, {4, c.length});
        bytes.fill(counter.data<unsigned char>(), counter.size());
        bytes.fill(key.data<unsigned char>(), key.size());
        philox(counter.view(), key.view(), out.view(), c.wide_words ? 7 : 10);
        out.append_to(output);
        return output;
    }
    const Array streams(DType::i64, {c.rows}), position(DType::i64, {}), temperature(DType::f64, {});
    const Array words(DType::f32, {2 * c.length});
    bytes.fill(streams.data<unsigned char>(), streams.size());
    bytes.fill(position.data<unsigned char>(), position.size());
    bytes.fill(words.data<unsigned char>(), words.size());
    *temperature.data<double>() = c.temperature;
    Source source;
    source.key = bytes.integer(8);
    if (c.masked)
        source.streams = streams.view();
    source.position = position.view();
    source.index_offset = static_cast<index_t>(bytes.integer(8) >> (2 + bytes.choose(60)));
    const std::vector<index_t> shape = {c.rows, c.length};
    if (c.function < 5) {
        const Array out(dtype, shape, c.shift, c.across);
        if (c.given) {
            source.given = words.view();
            source.index_offset = 0;
        }
        const bool as_wide = c.function == 0 ? sizeof(T) == 8 : c.wide_words;
        noise(kLaws[c.function], as_wide, source, shape, out.view());
        out.append_to(output);
        return output;
    }
    const Array logits(dtype, shape, c.shift, c.across), mask(DType::boolean, shape);
    fill_elements<T>(bytes, logits, c.kind);
    std::optional<ArrayView> where;
    if (c.masked) {
        for (std::size_t i = 0; i < mask.size(); ++i)
            mask.data<bool>()[i] = bytes.integer(1) % 4 != 0;
        where = mask.view();
    }
    if (c.function == 8) {
        const Array out(dtype, shape, c.shift, c.across);
        gumbel_add("gumbel_softmax", logits.view(), source, out.view());
        out.append_to(output);
    } else if (c.function == 7) {
        const Array out(DType::f64, {c.rows, 3 * c.most});
        gumbel_top({"gumbel_top_k", logits.view(), where, c.most, out.view()}, source);
        out.append_to(output);
    } else {
        const Array out(DType::f64, {c.rows, 4});
        draw({"categorical", logits.view(), temperature.view(), where, out.view(), c.function == 6, c.log_prob},
             source);
        out.append_to(output);
    }
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    Choice c;
    c.function = bytes.choose(10);
    const bool wide = bytes.flag(), long_rows = bytes.flag();
    c.rows = 1 + bytes.choose(long_rows ? 2 : 20);
    c.length = 1 + bytes.choose(long_rows ? 10000 : 300);
    c.shift = bytes.choose(16);
    c.most = bytes.choose(static_cast<unsigned>(c.length < 200 ? c.length : 200)) + 1;
    c.wide_words = bytes.flag();
    c.given = bytes.flag();
    c.across = bytes.flag();
    c.masked = bytes.flag();
    c.log_prob = bytes.flag();
    c.kind = bytes.choose(3);
    c.temperature = bytes.choose(8) == 0 ? 0.0 : choose_temperature(bytes);
    char what[200];
    std::snprintf(what, sizeof what, "function %u, f%d, %lld x %lld, logits of kind %u, T %g", c.function,
                  wide ? 64 : 32, static_cast<long long>(c.rows), static_cast<long long>(c.length), c.kind,
                  c.temperature);
    compare(what, [&] { return wide ? run<double>(c, bytes) : run<float>(c, bytes); });
    return 0;
}
