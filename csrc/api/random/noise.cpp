#include "api/random/random.h"

#include "api/random/rows.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/random.h"

namespace sorgum::random {

namespace {

template <class T>
noise_fn<T>* kernel_of(Purpose purpose) {
    const KernelTable& table = kernels();
    switch (purpose) {
        case Purpose::bits:
            return random_bits(table, T());
        case Purpose::uniform:
            return random_uniform(table, T());
        case Purpose::exponential:
            return random_exponential(table, T());
        case Purpose::gumbel:
            return random_gumbel(table, T());
        case Purpose::logistic:
            return random_logistic(table, T());
        case Purpose::normal:
            return random_normal(table, T());
        case Purpose::inverse:
        case Purpose::gamma:
            break;
    }
    return nullptr;  // not a law of single elements: no name leads here
}

// The rows of arrays of one shape, along the last axis, each with its noise.
class NoisyRows {
public:
    NoisyRows(const char* function, const Source& source, const std::vector<ArrayView>& arrays)
        : places_(function, source, arrays[0], last_axis(arrays[0])), layout_(layout_of(arrays)) {}
    const RowLayout& layout() const { return layout_; }

    // Calls f(the row's noise, row, begin, end) for all elements in parallel.
    template <class F>
    void for_each_piece(Purpose purpose, bool wide, F&& f) const {
        if (layout_.rows > 0 && layout_.length > 0)
            for_each_row_piece(layout_, [&](index_t r, index_t begin, index_t end) {
                f(places_.row(layout_, r, purpose, wide), r, begin, end);
            });
    }

private:
    RowLayout layout_of(std::vector<ArrayView> operands) {
        const ArrayView x = operands[0];
        places_.append_to(operands);
        return make_rows(x, last_axis(x), operands);
    }

    RowSource places_;
    RowLayout layout_;
};

template <class T>
void fill(const Law& law, bool wide, const Source& source, const ArrayView& out) {
    const NoisyRows rows(law.name, source, {out});
    const RowLayout& layout = rows.layout();
    auto* const kernel = kernel_of<T>(law.purpose);
    const bool direct = layout.contiguous(0, sizeof(T));
    const bool streaming = saturated_product(layout.rows, layout.length) >= kStreamingBytes / index_t(sizeof(T));
    rows.for_each_piece(law.purpose, wide, [&](const NoiseRow& row, index_t r, index_t begin, index_t end) {
        if (direct) {
            kernel(row, source.index_offset + begin, end - begin, reinterpret_cast<T*>(layout.row(0, r)) + begin,
                   streaming);
            return;
        }
        alignas(64) T scratch[kScratch];
        for_each_range(begin, end, kScratch, [&](index_t i, index_t stop) {
            kernel(row, source.index_offset + i, stop - i, scratch, false);
            scatter(layout, 0, r, 1, i, stop - i, scratch, kScratch);
        });
    });
}

template <class T>
void add_to_rows(const char* function, const ArrayView& logits, const Source& source, const ArrayView& out) {
    const NoisyRows rows(function, source, {logits, out});
    const RowLayout& layout = rows.layout();
    const Logits<T> from(layout, logits.dtype, -1);
    const bool direct = layout.contiguous(1, sizeof(T));
    rows.for_each_piece(Purpose::gumbel, false, [&](const NoiseRow& row, index_t r, index_t begin, index_t end) {
        from.for_each_part(nullptr, r, begin, end, [&](const T* x, index_t i, index_t here) {
            if (direct) {
                random_gumbel_add(kernels(), T())(row, x, source.index_offset + i, here,
                                                  reinterpret_cast<T*>(layout.row(1, r)) + i);
                return;
            }
            alignas(64) T y[kScratch];
            for_each_range(0, here, kScratch, [&](index_t k, index_t stop) {
                random_gumbel_add(kernels(), T())(row, x + k, source.index_offset + i + k, stop - k, y);
                scatter(layout, 1, r, 1, i + k, stop - k, y, kScratch);
            });
        });
    });
}

template <class T>
void gamma_rows(const char* function, const ArrayView& concentration, bool logarithm, const Source& source,
                const ArrayView& out) {
    const NoisyRows rows(function, source, {concentration, out});
    const RowLayout& layout = rows.layout();
    rows.for_each_piece(Purpose::gamma, false, [&](const NoiseRow& row, index_t r, index_t begin, index_t end) {
        double shape[kScratch];
        T y[kScratch];
        for_each_range(begin, end, kScratch, [&](index_t i, index_t stop) {
            gather(layout, 0, r, 1, i, stop - i, shape, kScratch);
            random_gamma(kernels(), T())(row, source.index_offset + i, stop - i, shape, logarithm, y);
            scatter(layout, 1, r, 1, i, stop - i, y, kScratch);
        });
    });
}

}  // namespace

std::uint64_t derived_key(std::uint64_t key, std::uint64_t data, std::uint32_t tag) {
    const std::uint32_t counter[4] = {static_cast<std::uint32_t>(data), static_cast<std::uint32_t>(data >> 32), 0, tag};
    const std::uint32_t words[2] = {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
    float c[4], k[2], out[4];
    __builtin_memcpy(c, counter, sizeof c);
    __builtin_memcpy(k, words, sizeof k);
    random_philox(kernels(), float())({c, k, out, 1, 10});
    std::uint32_t derived[2];
    __builtin_memcpy(derived, out, sizeof derived);
    return static_cast<std::uint64_t>(derived[1]) << 32 | derived[0];
}

void philox(const ArrayView& counter, const ArrayView& key, const ArrayView& out, index_t rounds) {
    const index_t n = counter.ndim == 2 ? counter.shape[1] : 0;
    const index_t four[2] = {4, n}, two[2] = {2, n};
    ArrayView read_key = key, read_counter = counter;
    read_key.writable = read_counter.writable = true;
    check_out("philox", "counter", read_counter, DType::f32, four, 2);
    check_out("philox", "key", read_key, DType::f32, two, 2);
    check_out("philox", "out", out, DType::f32, four, 2);
    if (rounds != 7 && rounds != 10)
        throw ValueError("philox: rounds must be 7 or 10, got " + std::to_string(rounds));
    random_philox(kernels(), float())({static_cast<const float*>(counter.data), static_cast<const float*>(key.data),
                                       static_cast<float*>(out.data), n, static_cast<int>(rounds)});
}

void noise(const std::string& name, bool wide, const Source& source, const std::vector<index_t>& shape,
           const ArrayView& out) {
    const Law& law = law_of(name);
    check_out(law.name, "out", out, out.dtype == DType::f32 ? DType::f32 : DType::f64, shape.data(),
              static_cast<int>(shape.size()));
    if (source.given &&
        (source.given->ndim != 1 || source.given->shape[0] < (wide ? 2 : 1) * (shape.empty() ? 1 : shape.back())))
        throw ValueError(name + ": given must hold the words of a row, got too few");
    const FpGuard guard;
    if (out.dtype == DType::f32)
        fill<float>(law, wide, source, out);
    else
        fill<double>(law, wide, source, out);
}

void gumbel_add(const char* function, const ArrayView& logits, const Source& source, const ArrayView& out) {
    check_logits(function, logits);
    const DType computed = computed_in(logits.dtype);
    check_out(function, "out", out, computed, logits.shape, logits.ndim);
    const FpGuard guard;
    if (computed == DType::f32)
        add_to_rows<float>(function, logits, source, out);
    else
        add_to_rows<double>(function, logits, source, out);
}

void gamma(const char* function, const ArrayView& concentration, bool logarithm, const Source& source,
           const ArrayView& out) {
    check_out(function, "out", out, out.dtype == DType::f32 ? DType::f32 : DType::f64, concentration.shape,
              concentration.ndim);
    for_each_value<double>(concentration, [&](double a) {
        if (!(a >= 0x1p-1000 && a <= 0x1p1000))
            throw ValueError(std::string(function) + ": concentration must be in [2**-1000, 2**1000], got " +
                             number_text(a));
    });
    const FpGuard guard;
    if (out.dtype == DType::f32)
        gamma_rows<float>(function, concentration, logarithm, source, out);
    else
        gamma_rows<double>(function, concentration, logarithm, source, out);
}

}  // namespace sorgum::random
