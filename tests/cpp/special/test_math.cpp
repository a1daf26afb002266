// Scales, references and terms of softmax against 128-bit floating point, and sums of rows put together in any order,
// on the instruction set that this file is compiled for.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/special/extexp_sum.inl.h"
#include "on_isa.h"

#if defined(__SIZEOF_FLOAT128__)
using Wide = __float128;  // 113 bits
inline constexpr int kWideBits = 113;
#else
using Wide = long double;
inline constexpr int kWideBits = std::numeric_limits<long double>::digits;
#endif

SORGUM_ISA_BEGIN

Wide magnitude(Wide x) { return x < 0 ? -x : x; }

// ---- scales and references ----

// log2(e) from its decimal digits.
Wide log2_of_e() {
    Wide value = 0, weight = 1;
    for (const char* p = "1442695040888963407359924681001892"; *p != '\0'; ++p) {
        value = value * 10 + static_cast<Wide>(*p - '0');
        if (p[1] != '\0')
            weight *= 10;
    }
    return value / weight;
}

Wide power(Wide base, index_t n) {
    Wide result = 1;
    for (const bool inverse = n < 0; n != 0; n += inverse ? 1 : -1)
        result = inverse ? result / base : result * base;
    return result;
}

// 2^t in twice the precision that is tested, |t| < 2.
Wide exp2_of(Wide t) {
    const Wide x = t / log2_of_e() / 64;
    Wide term = 1, sum = 1;
    for (int k = 1; k < 24; ++k) {
        term = term * x / static_cast<Wide>(k);
        sum += term;
    }
    for (int i = 0; i < 6; ++i)
        sum *= sum;
    return sum;
}

std::vector<double> temperatures(Random& r) {
    std::vector<double> t = {1.0,  2.0,  0.5,   3.0,       0.1,      0.7,   100.0,
                             1e-3, 1e30, 1e-30, 0x1p-1000, 0x1p1000, 1e300, 1e-300};
    for (int i = 0; i < 400; ++i)
        t.push_back(std::exp2(between(r, -8.0, 8.0)));
    for (int i = 0; i < 100; ++i)
        t.push_back(std::exp2(between(r, -90.0, 90.0)));
    return t;
}

template <class T>
void scales() {
    Random r(4);
    constexpr int two_parts = sizeof(T) == 4 ? 47 : 104;
    for (const double temperature : temperatures(r)) {
        const ExpScale<T> s = make_exp_scale<T>(temperature);
        const Wide c = log2_of_e() / static_cast<Wide>(temperature);
        const auto off = [](Wide value, Wide wanted) { return magnitude(value - wanted) / magnitude(wanted); };
        const Wide eps = power(Wide(2), -(kWideBits < 106 ? kWideBits - 3 : 104));
        if (temperature > 1e-290 && temperature < 1e290) {
            CHECK(off(static_cast<Wide>(s.c1) + static_cast<Wide>(s.c2) + static_cast<Wide>(s.c3), c) <= eps);
            CHECK(off(static_cast<Wide>(s.inv_temperature) + static_cast<Wide>(s.inv_temperature_low),
                      1 / static_cast<Wide>(temperature)) <= eps);
            CHECK(std::fabs(s.c2) <= std::fabs(s.c1) * 0x1p-52 && std::fabs(s.c3) <= std::fabs(s.c1) * 0x1p-104);
        }
        CHECK(s.c1 > 0 && s.c_hi > 0 && s.prescale > 0);
        CHECK(std::fabs(s.c_lo) <= std::fabs(s.c_hi) * std::numeric_limits<T>::epsilon());
        // The two parts of the elements' factor, unless it had to be clamped.
        const int e = std::ilogb(s.c1);
        const bool in_range = sizeof(T) == 4 ? e > -200 && e < 200 : true;
        if (in_range && temperature > 1e-290 && temperature < 1e290) {
            const Wide factor = (static_cast<Wide>(s.c_hi) + static_cast<Wide>(s.c_lo)) * static_cast<Wide>(s.prescale);
            CHECK(off(factor, c) <= power(Wide(2), -(two_parts < kWideBits - 3 ? two_parts : kWideBits - 3)));
            CHECK(off(static_cast<Wide>(s.inv_c) * factor, static_cast<Wide>(s.prescale)) <= power(Wide(2), -46));
        }
        const int most = sizeof(T) == 4 ? 100 : 900;
        CHECK((s.prescale == T(1)) == (e >= -most && e < most));
    }
}

// The largest elements that may head a chunk: every magnitude, both sides of every limit.
template <class T>
std::vector<T> heads(Random& r, double c) {
    std::vector<T> m = {T(0), -T(0), T(1), T(-1), T(0.5), T(88.7), T(-103.9), std::numeric_limits<T>::denorm_min()};
    for (const double limit : {8192.0, 0x1p30, 0x1p51, 0x1p52, 0x1p53, 0x1p61, 0x1p63, 0x1p80}) {
        for (int i = -3; i <= 3; ++i) {
            const double x = limit / c * (1.0 + i * (sizeof(T) == 4 ? 0x1p-22 : 0x1p-50));
            m.push_back(static_cast<T>(x));
            m.push_back(static_cast<T>(-x));
        }
    }
    for (int i = 0; i < 400; ++i) {
        const double x = std::exp2(between(r, -20.0, 61.9)) / c;
        m.push_back(static_cast<T>(i % 2 == 0 ? x : -x));
    }
    for (int i = 0; i < 200; ++i)  // c m is no integer between 2^51 and 2^52
        m.push_back(static_cast<T>(std::exp2(between(r, 50.0, 53.5)) / c * (i % 2 == 0 ? 1 : -1)));
    return m;
}

template <class T>
void references() {
    Random r(5);
    int failed = 0;
    for (const double temperature : {1.0, 0.7, 3.0, 1e-3, 1e30, 1e-30, 12345.678}) {
        const ExpScale<T> s = make_exp_scale<T>(temperature);
        const Wide c = log2_of_e() / static_cast<Wide>(temperature);
        for (const T m : heads<T>(r, s.c1)) {
            if (m - m != 0)
                continue;
            const Reference<T> ref = make_reference(s, m);
            const Wide cm = c * static_cast<Wide>(m);
            CHECK(ref.far == !(magnitude(cm) < 0x1p62));
            CHECK(ref.shifted == !(std::fabs(s.c1 * static_cast<double>(m)) <= 8192.0));
            if (ref.far) {
                CHECK(ref.exponent == 0 && ref.max_mantissa == 1.0);
                continue;
            }
            // exp(m / T) = max_mantissa 2^exponent
            const Wide t = cm - static_cast<Wide>(ref.exponent);
            const bool reduced = magnitude(t) <= Wide(0.5 + 0x1p-10);
            const Wide wanted = reduced ? exp2_of(t) : Wide(1);
            const Wide off = magnitude(static_cast<Wide>(ref.max_mantissa) - wanted) / wanted;
            const Wide argument = magnitude(cm) * power(Wide(2), -kWideBits + 4);  // what `wanted` itself is worth
            if (!CHECK(reduced && off <= power(Wide(2), -51) + argument) && ++failed <= 5)
                std::printf("T = %a, max = %a: exponent %lld, mantissa %a, t = %g\n", temperature,
                            static_cast<double>(m), static_cast<long long>(ref.exponent), ref.max_mantissa,
                            static_cast<double>(t));
        }
    }
}

// w(x) 2^(exponent - headroom) = exp(x / T) for one lane, to within 1.1 ULP of w. The more precise one of float32 is
// within 0.62 x 2^-23 of itself: 1/2 for the last rounding, less than 1/8 for the others, which are of a tenth of it.
template <class T>
void terms() {
    Random r(6);
    double worst = 0, worst_precise = 0;
    for (const double temperature : {1.0, 0.7, 3.0, 1e-3, 1e30, 1e-30, 0x1p-120}) {
        const ExpScale<T> s = make_exp_scale<T>(temperature);
        const Wide c = log2_of_e() / static_cast<Wide>(temperature);
        for (const T m : heads<T>(r, s.c1)) {
            if (m - m != 0 || make_reference(s, m).far)
                continue;
            const Reference<T> ref = make_reference(s, m);
            const bool shifted = ref.shifted || s.prescale != T(1);
            const auto w_of = [&](T x) {
                return shifted ? extexp<true>(ref.map, s.prescale, s.c_hi, s.c_lo, x)
                               : extexp<false>(ref.map, s.prescale, s.c_hi, s.c_lo, x);
            };
            for (int i = 0; i < 6; ++i) {
                const T x = i == 0 ? m : static_cast<T>(static_cast<double>(m) - between(r, 0.0, 120.0) / s.c1);
                const T w = w_of(x);
                CHECK(x <= m);
                // The distance to the maximum is exact in Wide, so is the maximum's exponent.
                const Wide exponent = c * static_cast<Wide>(x) - static_cast<Wide>(ref.exponent - kHeadroom<T>);
                const auto whole = static_cast<index_t>(exponent);
                if (magnitude(c * static_cast<Wide>(x)) > power(Wide(2), kWideBits - 60))
                    continue;  // c x is worth too few bits
                const Wide wanted = exp2_of(exponent - static_cast<Wide>(whole)) * power(Wide(2), whole);
                const int ulp =
                    std::max(std::ilogb(static_cast<double>(wanted)), std::numeric_limits<T>::min_exponent - 1) -
                    (std::numeric_limits<T>::digits - 1);
                const double off = static_cast<double>(magnitude(static_cast<Wide>(w) - wanted) * power(Wide(2), -ulp));
                worst = std::max(worst, off);
                if (!CHECK(off <= 1.1) && off > worst * 0.99)
                    std::printf("T = %a, max = %a, x = %a: %g ULP\n", temperature, static_cast<double>(m),
                                static_cast<double>(x), off);
                if constexpr (sizeof(T) == 4) {
                    const T precise = shifted ? precise_extexp<true>(ref.map, s.prescale, s.c_hi, s.c_lo, x)
                                              : precise_extexp<false>(ref.map, s.prescale, s.c_hi, s.c_lo, x);
                    const double share = static_cast<double>(magnitude(static_cast<Wide>(precise) - wanted) / wanted);
                    worst_precise = std::max(worst_precise, share * 0x1p23);
                    CHECK(share * 0x1p23 <= 0.62);
                }
            }
            const T infinite = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
            CHECK(same_bits(w_of(-infinite), T(0)));
            CHECK(w_of(nan) != w_of(nan));
            // 189 (1114) powers of two and more below the maximum there is nothing.
            const double below = (sizeof(T) == 4 ? 195.0 : 1125.0) / s.c1;
            const T low = static_cast<T>(static_cast<double>(m) - below);
            if (low<m&& static_cast<double>(m) - static_cast<double>(low)> below * 0.99)
                CHECK(same_bits(w_of(low), T(0)));
        }
    }
    std::printf("pairs, %zu bytes: %.4f ULP, precise %.4f x 2^-23\n", sizeof(T), worst, worst_precise);
}

// ---- rows ----

template <class T>
RowSum<T> sum_of_row(const T* x, index_t n, const ExpScale<T>& s) {
    RowSum<T> row;
    row_sum_clear(row);
    exp_sum_kernel(x, n, s, row);
    return row;
}

template <class T>
bool same_row(const RowSum<T>& a, const RowSum<T>& b) {
    if (a.has_nan || b.has_nan)
        return a.has_nan == b.has_nan;
    if (a.has_inf || b.has_inf)
        return a.has_inf == b.has_inf;
    return same_bits(a.max, b.max) && a.count == b.count && same_sum(a.others, b.others);
}

template <class T>
bool same_result(const RowResult<T>& a, const RowResult<T>& b) {
    const bool special = a.has_nan || a.has_inf;
    return a.has_nan == b.has_nan && (a.has_nan || a.has_inf == b.has_inf) && same_bits(a.log_sum_exp, b.log_sum_exp) &&
           (special || (same_bits(a.max, b.max) && same_bits(a.sum, b.sum) && same_bits(a.log_excess, b.log_excess)));
}

// A chunk of every kind that a row may be made of.
template <class T>
void fill_chunk(T* x, index_t n, Random& r, int kind, const ExpScale<T>& s) {
    const double c = s.c1;
    const T infinite = std::numeric_limits<T>::infinity();
    const T far = static_cast<T>(0x1p62 / c), near_middle = static_cast<T>(0x1.4p51 / c);
    const index_t level = integer_between(r, -4, 4);  // chunks stand on different sides of a limit
    for (index_t i = 0; i < n; ++i) {
        T v = static_cast<T>(between(r, -30.0, 30.0) / c);
        switch (kind) {
            case 1:  // an offset
                v = static_cast<T>(between(r, -30.0, 30.0) / c + 1e5 / c);
                break;
            case 2:  // nothing
                v = -infinite;
                break;
            case 3:  // some of nothing
                v = r() % 2 == 0 ? v : -infinite;
                break;
            case 4:  // constant
                v = static_cast<T>(3 / c);
                break;
            case 5:  // on both sides of the far limit, below zero
                v = -far * (1 + static_cast<T>(level + integer_between(r, 0, 2)) * std::numeric_limits<T>::epsilon());
                break;
            case 6:  // and above
                v = far * (1 + static_cast<T>(level + integer_between(r, 0, 2)) * std::numeric_limits<T>::epsilon());
                break;
            case 7:
                v = static_cast<T>(between(r, -1.0, 1.0)) * std::numeric_limits<T>::max();
                break;
            case 8:  // where c x has no fraction but a half
                v = near_middle *
                    (1 + static_cast<T>(level + integer_between(r, 0, 2)) * std::numeric_limits<T>::epsilon());
                break;
            case 9:
                v = r() % 64 == 0 ? std::numeric_limits<T>::quiet_NaN() : v;
                break;
            case 10:
                v = r() % 64 == 0 ? infinite : v;
                break;
            case 11:  // zeros of both signs
                v = r() % 2 == 0 ? T(0) : -T(0);
                break;
            default:
                break;
        }
        x[i] = v;
    }
}

template <class T>
void rows_have_no_order() {
    Random r(7);
    int failed = 0;
    for (int round = 0; round < 240; ++round) {
        const double temperature = round % 4 == 0 ? 0.7 : round % 4 == 1 ? 1e-3 : 1.0;
        const ExpScale<T> s = make_exp_scale<T>(temperature);
        const index_t chunks = integer_between(r, 2, 7), rest = integer_between(r, 1, kChunk);
        std::vector<T> x(static_cast<std::size_t>((chunks - 1) * kChunk + rest));
        const index_t n = static_cast<index_t>(x.size());
        const int first_kind = static_cast<int>(r() % 9), second_kind = static_cast<int>(r() % 9);
        for (index_t i = 0; i < chunks; ++i) {
            int kind = r() % 2 == 0 ? first_kind : second_kind;
            if (round % 12 == 11)
                kind = static_cast<int>(r() % 12);
            fill_chunk(x.data() + i * kChunk, i + 1 < chunks ? kChunk : rest, r, kind, s);
        }
        const RowSum<T> whole = sum_of_row(x.data(), n, s);
        const RowResult<T> result = row_result(whole, s, false);
        for (int trial = 0; trial < 6; ++trial) {
            std::vector<RowSum<T>> parts;
            for (index_t i = 0; i < chunks;) {
                const index_t end = std::min(chunks, i + integer_between(r, 1, 3));
                parts.push_back(sum_of_row(x.data() + i * kChunk, std::min(n, end * kChunk) - i * kChunk, s));
                i = end;
            }
            parts.push_back(sum_of_row(x.data(), 0, s));  // nothing at all
            while (parts.size() > 1) {
                std::swap(parts[static_cast<std::size_t>(r() % parts.size())], parts.back());
                const RowSum<T> last = parts.back();
                parts.pop_back();
                row_sum_merge(parts[static_cast<std::size_t>(r() % parts.size())], s, last);
            }
            if (!CHECK(same_row(parts.front(), whole) && same_result(row_result(parts.front(), s, false), result)) &&
                ++failed <= 5)
                std::printf("kinds %d and %d, T = %g\n", first_kind, second_kind, temperature);
        }
        // The sum itself, in units of the maximum.
        if (result.has_nan || result.has_inf || whole.count == 0)
            continue;
        Wide sum = 0;
        const Wide c = log2_of_e() / static_cast<Wide>(temperature);
        index_t small = 0;
        for (const T e : x) {
            const Wide d = c * (static_cast<Wide>(e) - static_cast<Wide>(whole.max));
            if (!(d > -200))
                continue;
            sum += d == 0 ? Wide(1) : static_cast<Wide>(std::exp2(static_cast<long double>(d)));
            ++small;
        }
        const double log_of_sum = static_cast<double>(std::log(static_cast<long double>(sum)));
        const double bound = (sizeof(T) == 4 ? 0x1p-23 : 0x1p-50) * (1 + std::fabs(log_of_sum));
        if (!CHECK(std::fabs(result.log_excess - log_of_sum) <= bound) && ++failed <= 5)
            std::printf("kinds %d and %d, T = %g: log sum %a, wanted %a\n", first_kind, second_kind, temperature,
                        result.log_excess, log_of_sum);
    }
}

// One element dominates: the digits of what the others add are kept.
template <class T>
void a_dominant_element_hides_nothing() {
    const ExpScale<T> s = make_exp_scale<T>(1.0);
    for (const double gap : {20.0, 40.0, 70.0}) {
        std::vector<T> x(10000, T(-gap));
        x[7777] = T(0);
        const RowResult<T> result = row_result(sum_of_row(x.data(), 10000, s), s, false);
        const double wanted = std::log1p(9999.0 * std::exp(-gap));
        CHECK(std::fabs(result.log_excess - wanted) <= wanted * (sizeof(T) == 4 ? 0x1p-22 : 0x1p-50));
    }
}

template <class T>
void all_of_one_type() {
    scales<T>();
    references<T>();
    terms<T>();
    rows_have_no_order<T>();
    a_dominant_element_hides_nothing<T>();
}

SORGUM_NOINLINE void all() {
    all_of_one_type<float>();
    all_of_one_type<double>();
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
