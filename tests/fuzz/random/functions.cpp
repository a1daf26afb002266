// The instruction sets against each other through csrc/api: words, noise of every law, draws of every kind, filters,
// penalties, and mixtures of embeddings.
#include "api/random/random.h"
#include "api/random/soft_tokens.h"
#include "dispatch/common.h"
#include "fuzz.h"

namespace {

using namespace fuzz;
using namespace sorgum::random;

constexpr const char* kNames[] = {"bits",           "uniform",        "exponential",     "gumbel",
                                  "logistic",       "normal",         "categorical",     "gumbel_top_k",
                                  "gumbel_softmax", "filter_logits",  "apply_penalties", "gamma",
                                  "embedding_mix",  "chosen numbers", "philox"};
constexpr unsigned kLaws = 6, kFunctions = sizeof kNames / sizeof kNames[0];
enum Function {
    categorical = kLaws,
    gumbel_top_k,
    gumbel_softmax,
    filter_logits,
    apply_penalties,
    gammas,
    mix,
    chosen
};

struct Choice {
    unsigned function;
    index_t rows, length, shift, most;
    bool wide_words, given, across, masked, log_prob, inverse, filtered, all_ties, half;
    unsigned kind, order;
    double temperature, top_p, min_p;
};

template <class V>
Array scalar(DType dtype, V value) {
    Array a(dtype, {});
    *a.data<V>() = value;
    return a;
}

// Shape parameters of gamma numbers: any that are allowed.
void fill_concentrations(Bytes& bytes, const Array& to, unsigned kind) {
    fill_elements<double>(bytes, to, kind);
    for (std::size_t i = 0; i < to.size() / sizeof(double); ++i) {
        double& a = to.data<double>()[i];
        a = a < 0 ? -a : a;
        a = a >= 0x1p-1000 && a <= 0x1p1000 ? a : 1.0;
    }
}

// Places in an axis of `count`, or -1.
void fill_places(Bytes& bytes, const Array& to, index_t count) {
    for (std::size_t i = 0; i < to.size() / sizeof(index_t); ++i)
        to.data<index_t>()[i] = static_cast<index_t>(bytes.integer(2)) % (count + 1) - 1;
}

// The order in which filters apply: the permutation of this number.
std::vector<std::string> filter_order(unsigned number) {
    std::vector<std::string> left = {"temperature", "min_p", "top_k", "top_p"}, order;
    for (unsigned count = 4; count > 0; number /= count--) {
        const auto one = left.begin() + number % count;
        order.push_back(*one);
        left.erase(one);
    }
    return order;
}

Output blocks(const Choice& c, Bytes& bytes) {
    const Array counter(DType::f32, {4, c.length}), key(DType::f32, {2, c.length}), out(DType::f32, {4, c.length});
    bytes.fill(counter.data<unsigned char>(), counter.size());
    bytes.fill(key.data<unsigned char>(), key.size());
    philox(counter.view(), key.view(), out.view(), c.wide_words ? 7 : 10);
    return contents(out);
}

// Soft tokens: sums of `most` rows of a table of `rows` embeddings.
Output mixture(const Choice& c, Bytes& bytes, DType dtype) {
    const Array table(dtype, {c.rows, c.length}, c.shift), out(dtype, {3, c.length}, c.shift);
    const Array weights(DType::f64, {3, c.most}), places(DType::i64, {3, c.most});
    bytes.fill(table.data<unsigned char>(), table.size());
    fill_elements<double>(bytes, weights, c.kind);
    fill_places(bytes, places, c.rows);
    embedding_mix({"embedding_mix", weights.view(), places.view(), table.view(), out.view()});
    return contents(out);
}

Output chosen_numbers(const Choice& c, Bytes& bytes) {
    const index_t n = c.length < 100 ? c.length : 100;  // each is a call of its own
    const Array streams(DType::i64, {n}), positions(DType::i64, {n}), places(DType::i64, {n});
    const Array concentration(DType::f64, {n}), out(DType::f64, {n});
    bytes.fill(streams.data<unsigned char>(), streams.size());
    bytes.fill(positions.data<unsigned char>(), positions.size());
    fill_places(bytes, places, 60000);
    fill_concentrations(bytes, concentration, c.kind);
    ChosenNoise a = {"chosen",      bytes.integer(8), streams.view(), positions.view(),
                     places.view(), std::nullopt,     out.view()};
    if (c.given)
        a.concentration = concentration.view();
    noise_of_chosen(a);
    return contents(out);
}

template <class T>
Output penalised(const Choice& c, Bytes& bytes, const Array& logits) {
    const Array tokens(DType::i64, {c.rows, c.most}), prompt(DType::i64, {c.rows, c.most / 2});
    fill_places(bytes, tokens, c.length);
    fill_places(bytes, prompt, c.length);
    const Array repetition = scalar(DType::f64, c.temperature), frequency = scalar(DType::f64, c.top_p),
                presence = scalar(DType::f64, -c.min_p);
    PenaltyArguments a = {"apply_penalties", logits.view(),    tokens.view(),  std::nullopt,
                          repetition.view(), frequency.view(), presence.view()};
    if (c.given)
        a.prompt = prompt.view();
    penalise(a);
    return contents(logits);
}

// Logits of float64, or of float32 or, half of them, of a half type.
template <class T>
Array logits_of(const Choice& c, Bytes& bytes) {
    Array computed(sizeof(T) == 4 ? DType::f32 : DType::f64, {c.rows, c.length}, c.shift, c.across);
    fill_elements<T>(bytes, computed, c.kind);
    if (sizeof(T) == 8 || !c.half)
        return computed;
    Array stored(c.wide_words ? DType::f16 : DType::bf16, {c.rows, c.length}, c.shift, c.across);
    const float* const from = computed.data<float>();
    if (c.wide_words)
        sorgum::common_narrow(sorgum::kernels(), sorgum::float16())(from, stored.data<sorgum::float16>(),
                                                                    c.rows * c.length, false);
    else
        sorgum::common_narrow(sorgum::kernels(), sorgum::bfloat16())(from, stored.data<sorgum::bfloat16>(),
                                                                     c.rows * c.length, false);
    return stored;
}

// The functions of logits.
template <class T>
Output of_logits(const Choice& c, Bytes& bytes, const Source& source) {
    constexpr DType dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
    const std::vector<index_t> shape = {c.rows, c.length};
    const Array logits = logits_of<T>(c, bytes), mask(DType::boolean, shape);
    const Array out(c.function == filter_logits ? logits.view().dtype : dtype, shape, c.shift);
    std::optional<ArrayView> where;
    if (c.masked) {
        for (std::size_t i = 0; i < mask.size(); ++i)
            mask.data<bool>()[i] = bytes.integer(1) % 4 != 0;
        where = mask.view();
    }
    const Array temperature = scalar(DType::f64, c.temperature), top_k = scalar(DType::i64, c.most),
                top_p = scalar(DType::f64, c.top_p), min_p = scalar(DType::f64, c.min_p);
    const FilterArguments filters = {top_k.view(), top_p.view(), min_p.view(), filter_order(c.order), c.all_ties};
    const char* const name = kNames[c.function];
    switch (c.function) {
        case gumbel_softmax:
            gumbel_add(name, logits.view(), source, out.view());
            return contents(out);
        case filter_logits:
            keep_filtered({name, logits.view(), temperature.view(), where, out.view(), filters});
            return contents(out);
        case apply_penalties:
            return penalised<T>(c, bytes, logits);
        case gumbel_top_k: {
            const Array top(DType::f64, {c.rows, 3 * c.most});
            TopArguments a = {name, logits.view(), temperature.view(), where, c.most, top.view(), std::nullopt};
            if (c.filtered)
                a.filters = filters;
            gumbel_top(a, source);
            return contents(top);
        }
        default: {
            const Array drawn(DType::f64, {c.rows, 4});
            DrawArguments a = {name,         logits.view(), temperature.view(), where,
                               drawn.view(), c.inverse,     c.log_prob,         std::nullopt};
            if (c.filtered)
                a.filters = filters;
            draw(a, source);
            return contents(drawn);
        }
    }
}

template <class T>
Output run(const Choice& c, Bytes bytes) {
    constexpr DType dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
    if (c.function == kFunctions - 1)
        return blocks(c, bytes);
    if (c.function == mix)
        return mixture(c, bytes, c.wide_words ? dtype : sizeof(T) == 4 ? DType::f16 : DType::bf16);
    if (c.function == chosen)
        return chosen_numbers(c, bytes);
    const Array streams(DType::i64, {c.rows}), position(DType::i64, {});
    const Array words(DType::f32, {2 * c.length});
    bytes.fill(streams.data<unsigned char>(), streams.size());
    bytes.fill(position.data<unsigned char>(), position.size());
    bytes.fill(words.data<unsigned char>(), words.size());
    Source source;
    source.key = bytes.integer(8);
    if (c.masked)
        source.streams = streams.view();
    source.position = position.view();
    source.index_offset = static_cast<index_t>(bytes.integer(8) >> (2 + bytes.choose(60)));
    if (c.function >= kLaws && c.function != gammas)
        return of_logits<T>(c, bytes, source);
    const std::vector<index_t> shape = {c.rows, c.length};
    const Array out(dtype, shape, c.shift, c.across);
    if (c.function == gammas) {
        const Array concentration(DType::f64, shape, c.shift);
        fill_concentrations(bytes, concentration, c.kind);
        gamma("gamma", concentration.view(), c.given, source, out.view());
        return contents(out);
    }
    if (c.given) {
        source.given = words.view();
        source.index_offset = 0;
    }
    noise(kNames[c.function], c.function == 0 ? sizeof(T) == 8 : c.wide_words, source, shape, out.view());
    return contents(out);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    Choice c;
    c.function = bytes.choose(kFunctions);
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
    c.inverse = bytes.flag();
    c.filtered = bytes.flag();
    c.all_ties = bytes.flag();
    c.half = bytes.flag();
    c.kind = bytes.choose(3);
    c.order = bytes.choose(24);
    c.temperature = bytes.choose(8) == 0 ? 0.0 : choose_temperature(bytes);
    c.top_p = (1 + bytes.choose(256)) / 256.0;
    c.min_p = bytes.choose(256) / 65536.0;
    char what[200];
    std::snprintf(what, sizeof what, "%s, f%d, %lld x %lld, logits of kind %u, T %g, k %lld, p %g, min_p %g",
                  kNames[c.function], wide ? 64 : 32, static_cast<long long>(c.rows), static_cast<long long>(c.length),
                  c.kind, c.temperature, static_cast<long long>(c.most), c.top_p, c.min_p);
    compare(what, [&] { return wide ? run<double>(c, bytes) : run<float>(c, bytes); });
    return 0;
}
