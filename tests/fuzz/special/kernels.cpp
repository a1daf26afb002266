// The instruction sets against each other, on bytes that libFuzzer makes up: exp, log, softmax, log_softmax and
// logsumexp through the dispatch tables must give the same bits and touch nothing outside their arrays. The kernels
// that csrc/api puts together are those of fuzz_rows.cpp.
//
// The first bytes choose the function, the type, the temperature, the misalignment and the length of rows; the rest
// are the elements. Arrays have exactly the size they need, so that ASan sees what lies beyond.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/special.h"

namespace {

using sorgum::index_t;
using sorgum::Isa;
using sorgum::KernelTable;

struct Choice {
    unsigned function;
    unsigned row_length;  // of the functions of rows
    unsigned shift;       // bytes behind an aligned address
    bool zero_if_empty;
    bool moderate;  // elements between -128 and 128 instead of any encoding, which one term would dominate
    double temperature;
};

// Temperatures that keep results normal, push them below, and to the ends of the format.
constexpr double kTemperatures[] = {1.0, 1.0, 0.7, 37.5, 1e-3, 1e30, 1e-30, 0x1p-40};

template <class T>
T not_a_number() {
    const T zero = 0;
    return zero / zero;
}

// A row longer than a chunk goes through its parts: sum, result, second pass.
template <class T>
void one_long_row(const KernelTable& table, const Choice& c, const T* x, T* y, index_t n,
                  const sorgum::ExpScale<T>& scale, T empty) {
    using namespace sorgum;
    RowSum<T> first, second;
    special_row_clear(table, T())(first);
    special_row_clear(table, T())(second);
    const index_t half = n / 2 / kChunk * kChunk;
    special_exp_sum(table, T())(x, half, scale, first);
    special_exp_sum(table, T())(x + half, n - half, scale, second);
    special_row_merge(table, T())(first, scale, second);
    RowResult<T> result;
    special_row_result(table, T())(first, scale, false, result);
    if (c.function % 5 == 4) {
        y[0] = static_cast<T>(result.log_sum_exp);
    } else if (c.function % 5 == 2) {
        special_softmax_scale(table, T())(x, y, n, scale, result, empty, false);
    } else {
        special_log_softmax_shift(table, T())(x, y, n, scale, result, empty, false);
    }
}

template <class T>
std::vector<unsigned char> run(Isa isa, const Choice& c, const unsigned char* bytes, index_t n) {
    using namespace sorgum;
    set_isa(isa);
    const KernelTable& table = kernels();
    const std::size_t size = static_cast<std::size_t>(n) * sizeof(T);
    const std::unique_ptr<unsigned char[]> in(new unsigned char[size + c.shift]),
        out(new unsigned char[size + c.shift]);
    std::memcpy(in.get() + c.shift, bytes, size);
    if (c.moderate) {
        for (index_t i = 0; i < n; ++i) {
            std::int16_t word;
            std::memcpy(&word, bytes + static_cast<std::size_t>(i) * sizeof(T), sizeof word);
            const T value = static_cast<T>(word) / 256;
            std::memcpy(in.get() + c.shift + static_cast<std::size_t>(i) * sizeof(T), &value, sizeof value);
        }
    }
    std::memset(out.get(), 0x55, size + c.shift);
    const T* const x = reinterpret_cast<const T*>(in.get() + c.shift);
    T* const y = reinterpret_cast<T*>(out.get() + c.shift);
    const FpGuard guard;
    if (c.function % 5 == 0) {
        special_exp(table, T())(x, y, n, false);
    } else if (c.function % 5 == 1) {
        special_log(table, T())(x, y, n, false);
    } else if (n > 0) {
        ExpScale<T> scale;
        special_exp_scale(table, T())(c.temperature, scale);
        const T empty = c.zero_if_empty ? T(0) : not_a_number<T>();
        const index_t length = c.row_length < n ? c.row_length + 1 : n;
        if (length > kChunk) {
            one_long_row(table, c, x, y, n, scale, empty);
        } else {
            const special::Rows<T> rows = {x,     y,    n / length, length, length, c.function % 5 == 4 ? 1 : length,
                                           empty, false};
            const auto kernel = c.function % 5 == 2   ? special_softmax_rows(table, T())
                                : c.function % 5 == 3 ? special_log_softmax_rows(table, T())
                                                      : special_logsumexp_rows(table, T());
            kernel(rows, scale);
        }
    }
    return std::vector<unsigned char>(out.get() + c.shift, out.get() + c.shift + size);
}

template <class T>
void compare(const Choice& c, const unsigned char* bytes, std::size_t size) {
    const index_t n = static_cast<index_t>(size / sizeof(T));
    const std::vector<unsigned char> expected = run<T>(Isa::scalar, c, bytes, n);
    for (const Isa isa : sorgum::available_isas()) {
        const std::vector<unsigned char> got = run<T>(isa, c, bytes, n);
        if (got != expected) {
            std::size_t at = 0;
            while (got[at] == expected[at])
                ++at;
            std::fprintf(stderr,
                         "%s differs from scalar: function %u, f%zu, row length %u, T %g, element %zu of %lld\n",
                         sorgum::isa_name(isa), c.function % 5, 8 * sizeof(T), c.row_length + 1, c.temperature,
                         at / sizeof(T), static_cast<long long>(n));
            std::abort();
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    constexpr std::size_t kHeader = 6;
    if (size < kHeader) {
        return 0;
    }
    Choice c;
    c.function = data[0];
    c.temperature = kTemperatures[data[1] % (sizeof kTemperatures / sizeof kTemperatures[0])];
    c.row_length = data[2] | static_cast<unsigned>(data[3]) << 8;
    c.zero_if_empty = (data[4] & 2) != 0;
    c.moderate = (data[4] & 4) != 0;
    const bool wide = (data[4] & 1) != 0;
    c.shift = data[5] % 16 * (wide ? 8 : 4);  // the kernels are given elements that are aligned as elements
    if (wide) {
        compare<double>(c, data + kHeader, size - kHeader);
    } else {
        compare<float>(c, data + kHeader, size - kHeader);
    }
    return 0;
}
