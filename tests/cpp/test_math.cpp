// The formulas of csrc/math on the instruction set that this file is compiled for: the exact sum against integers of
// any length, scales, references and terms against 128-bit floating point, sums of rows put together in any order, and
// exp and log for one element against the same text for sixteen.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "core/isa.h"
#include "kernels/special/extexp_sum.inl.h"

#if defined(__SIZEOF_FLOAT128__)
using Wide = __float128;  // 113 bits
inline constexpr int kWideBits = 113;
#else
using Wide = long double;
inline constexpr int kWideBits = std::numeric_limits<long double>::digits;
#endif

SORGUM_ISA_BEGIN

using Random = std::mt19937_64;

double unit(Random& r) { return static_cast<double>(r() >> 11) * 0x1p-53; }
double between(Random& r, double low, double high) { return low + (high - low) * unit(r); }
index_t integer_between(Random& r, index_t low, index_t high) {
    return low + static_cast<index_t>(r() % static_cast<std::uint64_t>(high - low + 1));
}

template <class T>
bool same_bits(T a, T b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0;
}

Wide magnitude(Wide x) { return x < 0 ? -x : x; }

// ---- the exact sum ----

struct Term {
    double value;
    index_t exponent, multiplicity;
};

// A sum of terms as one integer times 2^kLowest, digits of 32 bits.
class Integer {
public:
    static constexpr index_t kLowest = -6000;
    static constexpr std::size_t kDigits = 400;

    void add(const Term& t) {
        if (t.value == 0)
            return;
        int e = 0;
        const double m = std::frexp(t.value, &e);  // t.value = (m 2^53) 2^(e - 53)
        const auto significand = static_cast<std::int64_t>(m * 0x1p53);
        const index_t at = t.exponent + e - 53 - kLowest;
        CHECK(at >= 0 && at / 32 + 5 < static_cast<index_t>(kDigits));
        unsigned __int128 rest = static_cast<unsigned __int128>(significand < 0 ? -significand : significand)
                                 << (at % 32);
        for (std::size_t i = static_cast<std::size_t>(at / 32); rest != 0; ++i, rest >>= 32) {
            const auto digit = static_cast<std::int64_t>(rest & 0xFFFFFFFFu);
            digit_[i] += (significand < 0 ? -digit : digit) * t.multiplicity;
        }
    }

    // The nearest double with a 53-bit significand (ties to even) and the exponent apart, as exact_sum_finish has it.
    double round(index_t& exponent) const {
        std::int64_t d[kDigits];
        bool negative = false;
        for (int pass = 0; pass < 2; ++pass) {
            __int128 carry = 0;
            for (std::size_t i = 0; i < kDigits; ++i) {
                const __int128 t = (negative ? -digit_[i] : digit_[i]) + carry;
                d[i] = static_cast<std::int64_t>(t & 0xFFFFFFFF);
                carry = t >> 32;
            }
            if (carry >= 0)
                break;
            negative = true;
        }
        const auto bit = [&](index_t i) {
            return i < 0 ? 0 : static_cast<int>(d[static_cast<std::size_t>(i / 32)] >> (i % 32) & 1);
        };
        index_t lead = 32 * static_cast<index_t>(kDigits) - 1;
        while (lead >= 0 && bit(lead) == 0)
            --lead;
        exponent = 0;
        if (lead < 0)
            return 0.0;
        std::uint64_t kept = 0;
        for (index_t i = lead; i > lead - 53; --i)
            kept = kept << 1 | static_cast<std::uint64_t>(bit(i));
        bool rest = false;
        for (index_t i = lead - 54; i >= 0 && !rest; --i)
            rest = bit(i) != 0;
        if (bit(lead - 53) != 0 && (rest || (kept & 1) != 0))
            ++kept;
        exponent = kLowest + lead - 52;
        const auto value = static_cast<double>(kept);
        return negative ? -value : value;
    }

private:
    __int128 digit_[kDigits] = {};
};

ExactSum sum_in_order(const std::vector<Term>& terms) {
    ExactSum s;
    exact_sum_clear(s);
    for (const Term& t : terms)
        exact_sum_add(s, t.value, t.exponent, t.multiplicity);
    return s;
}

// Merges neighbours or strangers until one is left.
ExactSum merged_at_random(std::vector<ExactSum> parts, Random& r) {
    while (parts.size() > 1) {
        const auto i = static_cast<std::size_t>(r() % parts.size());
        std::swap(parts[i], parts.back());
        const ExactSum last = parts.back();
        parts.pop_back();
        ExactSum& into = parts[static_cast<std::size_t>(r() % parts.size())];
        exact_sum_merge(into, last);
    }
    return parts.front();
}

bool same_sum(const ExactSum& a, const ExactSum& b) {
    bool same = a.top == b.top;
    for (int i = 0; i < kExactSumBins; ++i)
        same = same && a.bin[i] == b.bin[i];
    return same;
}

std::vector<Term> random_terms(Random& r, index_t count, index_t spread, bool signs) {
    std::vector<Term> terms;
    const index_t centre = integer_between(r, -3000, 3000);
    for (index_t i = 0; i < count; ++i) {
        double value = r() % 16 == 0 ? std::ldexp(static_cast<double>(r() % 4096), -1074) : between(r, 0.5, 2.0);
        if (r() % 8 == 0)
            value = std::ldexp(static_cast<double>(r() % 15), static_cast<int>(r() % 40));  // few bits: ties
        if (signs && r() % 2 == 0)
            value = -value;
        index_t exponent = centre + integer_between(r, -spread, spread);
        if (std::fabs(value) < 0x1p-1022)
            exponent += 1022;
        terms.push_back({value, exponent, r() % 4 == 0 ? integer_between(r, 0, 4096) : 1});
    }
    return terms;
}

void exact_sum_is_the_rounded_sum() {
    Random r(1);
    for (int round = 0; round < 3000; ++round) {
        // All bits stand within 96 below the first of the largest term, so that nothing is dropped.
        const std::vector<Term> terms = random_terms(r, integer_between(r, 1, 40), round % 20, round % 3 == 0);
        Integer exact;
        bool narrow = true;
        for (const Term& t : terms) {
            narrow = narrow && (t.value == 0 || std::fabs(t.value) >= 0x1p-1022);
            exact.add(t);
        }
        if (!narrow)
            continue;
        index_t e = 0, e_exact = 0;
        const double value = exact_sum_finish(sum_in_order(terms), e);
        const double rounded = exact.round(e_exact);
        CHECK(std::ldexp(value, static_cast<int>(e - e_exact)) == rounded);
    }
    // Ties go to even, a bit far below breaks them, signs do not matter.
    for (const double sign : {1.0, -1.0}) {
        index_t e = 0;
        CHECK(exact_sum_finish(sum_in_order({{sign * 0x1p53, 0, 1}, {sign, 0, 1}}), e) * std::ldexp(1.0, int(e)) ==
              sign * 0x1p53);
        CHECK(exact_sum_finish(sum_in_order({{sign * 0x1p53, 0, 1}, {sign, 0, 3}}), e) * std::ldexp(1.0, int(e)) ==
              sign * (0x1p53 + 4));
        CHECK(exact_sum_finish(sum_in_order({{sign * 0x1p53, 0, 1}, {sign, 0, 1}, {sign, -60, 1}}), e) *
                  std::ldexp(1.0, int(e)) ==
              sign * (0x1p53 + 2));
    }
    index_t e = 0;
    CHECK(exact_sum_finish(sum_in_order({{1.0, 7, 1}, {-1.0, 7, 1}}), e) == 0.0);
    CHECK(exact_sum_finish(sum_in_order({}), e) == 0.0);
    CHECK(exact_sum_finish(sum_in_order({{0.0, 0, 5}, {1.0, 0, 0}}), e) == 0.0);
    // As many terms as are promised, all of them with full digits.
    const double full = 0x1.fffffffffffffp0;
    Integer exact;
    ExactSum s;
    exact_sum_clear(s);
    for (int i = 0; i < 2; ++i) {
        exact_sum_add(s, full, 0, (index_t(1) << 38) - 1);
        for (int part = 0; part < 1024; ++part)  // the oracle's digits have less room
            exact.add({full, 0, (index_t(1) << 28) - (part == 0 ? 1 : 0)});
    }
    index_t e_exact = 0;
    CHECK(exact_sum_finish(s, e) == exact.round(e_exact) && e == e_exact);
}

void exact_sum_has_no_order() {
    Random r(2);
    for (int round = 0; round < 600; ++round) {
        const index_t spread = round % 3 == 0 ? 20 : round % 3 == 1 ? 150 : 2000;
        std::vector<Term> terms = random_terms(r, integer_between(r, 1, 60), spread, round % 2 == 0);
        const ExactSum reference = sum_in_order(terms);
        index_t e = 0, other = 0;
        const double value = exact_sum_finish(reference, e);
        for (int trial = 0; trial < 8; ++trial) {
            std::shuffle(terms.begin(), terms.end(), r);
            const ExactSum shuffled = sum_in_order(terms);
            CHECK(same_sum(shuffled, reference));
            CHECK(same_bits(exact_sum_finish(shuffled, other), value) && other == e);
            std::vector<ExactSum> parts;
            for (std::size_t i = 0; i < terms.size();) {
                const std::size_t end = std::min(terms.size(), i + static_cast<std::size_t>(r() % 7));
                parts.push_back(sum_in_order({terms.begin() + static_cast<std::ptrdiff_t>(i),
                                              terms.begin() + static_cast<std::ptrdiff_t>(end)}));  // some are empty
                i = end;
            }
            CHECK(same_sum(merged_at_random(parts, r), reference));
            // A multiplicity is as many terms.
            std::vector<Term> single;
            for (const Term& t : terms)
                for (index_t k = 0; k < (t.multiplicity <= 64 ? t.multiplicity : 1); ++k)
                    single.push_back({t.value, t.exponent, t.multiplicity <= 64 ? 1 : t.multiplicity});
            CHECK(same_sum(sum_in_order(single), reference));
        }
    }
}

// What is dropped is below 2^-120 of the largest term, per term.
void exact_sum_drops_little() {
    Random r(3);
    for (int round = 0; round < 1000; ++round) {
        const std::vector<Term> terms = random_terms(r, integer_between(r, 2, 60), 150, false);
        Integer exact;
        ExactSum s = sum_in_order(terms);
        for (const Term& t : terms)
            exact.add(t);
        index_t e = 0, e_exact = 0;
        const double value = exact_sum_finish(s, e), rounded = exact.round(e_exact);
        const double ratio = rounded == 0 ? 1.0 : std::ldexp(value / rounded, static_cast<int>(e - e_exact));
        CHECK(ratio == 1.0 || ratio == 1.0 - 0x1p-53 || ratio == 1.0 - 0x1p-52);  // a tie that the rest would break
        // A term beside a dropped one has the bits of the term alone.
        ExactSum one = sum_in_order({{1.25, 0, 1}}), two = sum_in_order({{1.25, 0, 1}, {1.0, -145 - round, 1}});
        CHECK(same_sum(one, two));
    }
}

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

// w(x) 2^(exponent - headroom) = exp(x / T) for one lane, to within 1.1 ULP of w.
template <class T>
void terms() {
    Random r(6);
    double worst = 0;
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
    std::printf("pairs, %zu bytes: %.4f ULP\n", sizeof(T), worst);
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

// ---- exp, log, and the log1p of the sums ----

template <class T>
std::vector<T> arguments(Random& r) {
    using Limits = std::numeric_limits<T>;
    std::vector<T> x = {T(0),
                        -T(0),
                        T(1),
                        T(-1),
                        Limits::infinity(),
                        -Limits::infinity(),
                        Limits::quiet_NaN(),
                        -Limits::quiet_NaN(),
                        Limits::max(),
                        -Limits::max(),
                        Limits::min(),
                        -Limits::min(),
                        Limits::denorm_min(),
                        -Limits::denorm_min(),
                        ExpConstants<T>::overflow,
                        std::nextafter(ExpConstants<T>::overflow, Limits::infinity()),
                        ExpConstants<T>::underflow,
                        std::nextafter(ExpConstants<T>::underflow, -Limits::infinity())};
    const double widest = sizeof(T) == 4 ? 110.0 : 760.0;
    for (int i = 0; i < 60000; ++i) {
        x.push_back(static_cast<T>(between(r, -widest, widest)));
        x.push_back(static_cast<T>(std::exp2(between(r, -40.0, 10.0)) * (i % 2 == 0 ? 1 : -1)));
        x.push_back(static_cast<T>(between(r, 0.5, 2.0)));
        const std::uint64_t any_bits = r();
        T v;
        std::memcpy(&v, &any_bits, sizeof v);
        x.push_back(v);
    }
    x.resize(x.size() / 16 * 16);
    return x;
}

template <class T>
double ulps_off(T y, long double wanted) {
    using Limits = std::numeric_limits<T>;
    const int e = wanted == 0 ? Limits::min_exponent - 1 : std::max(std::ilogb(wanted), Limits::min_exponent - 1);
    return static_cast<double>(std::fabs(std::ldexp(static_cast<long double>(y) - wanted, Limits::digits - 1 - e)));
}

template <class T, class F, class G, class Oracle>
void check_function(const char* name, const std::vector<T>& x, F&& one_lane, G&& lanes, Oracle&& oracle) {
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); i += 16) {
        T y[16];
        store(y, lanes(load(x.data() + i)));
        for (std::size_t k = 0; k < 16; ++k) {
            const T v = x[i + k], single = one_lane(v);
            CHECK(same_bits(single, y[k]));
            const long double wanted = oracle(static_cast<long double>(v));
            const T rounded = static_cast<T>(wanted);
            if (wanted != wanted)
                CHECK(same_bits(single, from_bits(Format<T>::quiet_nan)));
            else if (rounded - rounded != 0 || wanted == 0)
                CHECK(same_bits(single, rounded));
            else
                worst = std::max(worst, ulps_off(single, wanted));
        }
    }
    std::printf("%s, %zu bytes: %.4f ULP\n", name, sizeof(T), worst);
    CHECK(worst <= 1.0 && worst > 0.5);
}

template <class T>
void functions() {
    Random r(8);
    const std::vector<T> x = arguments<T>(r);
    check_function(
        "exp", x, [](T v) { return exp(v); }, [](vec<T> v) { return exp(v); },
        [](long double v) { return std::exp(v); });
    check_function(
        "log", x, [](T v) { return log(v); }, [](vec<T> v) { return log(v); },
        [](long double v) { return std::log(v); });
    using C = ExpConstants<T>;
    index_t plain = 0;
    for (index_t i = 0; i < 200000; ++i) {
        const T v = i == 0   ? C::least_plain
                    : i == 1 ? C::most_plain
                             : static_cast<T>(between(r, C::least_plain - 1, C::most_plain + 1));
        if (is_plain_exponent(v)) {
            ++plain;
            CHECK(same_bits(exp_plain(v), exp(v)));
        }
    }
    CHECK(plain > 190000);
    CHECK(!is_plain_exponent(from_bits(Format<T>::quiet_nan)));
    // log(1 + z) for z >= 0 keeps small z.
    double worst = 0;
    for (std::size_t i = 0; i < 50000; ++i) {
        const T z = static_cast<T>(std::exp2(between(r, -60.0, 60.0)));
        const T y = log1p_positive(z);
        worst = std::max(worst, ulps_off(y, std::log1p(static_cast<long double>(z))));
        if (i % 16 == 0) {
            T lanes[16];
            store(lanes, log1p_positive(splat<vec<T>>(z)));
            CHECK(same_bits(lanes[5], y));
        }
    }
    std::printf("log1p, %zu bytes: %.4f ULP\n", sizeof(T), worst);
    CHECK(worst <= 2.0);
    CHECK(same_bits(log1p_positive(T(0)), T(0)));
}

void powers_of_two() {
    for (index_t n = -1074; n <= 1023; ++n)
        CHECK(power_of_two_f64(n) == std::ldexp(1.0, static_cast<int>(n)));
    CHECK(power_of_two_f64(-1075) == 0.0 && power_of_two_f64(-(index_t(1) << 62)) == 0.0);
    CHECK(power_of_two_f64(1024) == std::numeric_limits<double>::infinity());
    Random r(9);
    for (int i = 0; i < 20000; ++i) {
        const double x = between(r, -0x1p53, 0x1p53);
        const int n = static_cast<int>(integer_between(r, -2200, 2200));
        const double scaled = scale_by_power_f64(x, n);
        CHECK(same_bits(scaled, std::ldexp(x, n)));
        const index_t far = i % 2 != 0 ? INT64_MAX - 4000 : INT64_MIN + 4000;
        CHECK(exponent_above(far + n, far) == n);
        CHECK(exponent_above(far, -(far + n)) == (far > 0 ? 8192 : -8192));  // the difference has 65 bits
    }
    for (int n = -126; n <= 127; ++n)
        CHECK(power_of_two(Format<float>::round_magic + static_cast<float>(127 + n)) == std::ldexp(1.0f, n));
    for (int n = -1022; n <= 1023; ++n)
        CHECK(power_of_two(Format<double>::round_magic + static_cast<double>(1023 + n)) == std::ldexp(1.0, n));
    for (int i = 0; i < 20000; ++i) {
        const double x = between(r, -0x1p22, 0x1p22);
        CHECK(round_to_integer(static_cast<float>(x)) == std::nearbyint(static_cast<float>(x)));
        CHECK(round_to_integer(x) == std::nearbyint(x));
        const auto a = static_cast<std::int32_t>(x);
        CHECK(integer_to_float<float>(a) == static_cast<float>(a));
        const std::int64_t wide = std::int64_t(a) * (1 << 28);
        CHECK(integer_to_float<double>(wide) == static_cast<double>(wide));
    }
}

template <class T>
void all_of_one_type() {
    scales<T>();
    references<T>();
    terms<T>();
    rows_have_no_order<T>();
    a_dominant_element_hides_nothing<T>();
    functions<T>();
}

SORGUM_NOINLINE void all() {
    exact_sum_is_the_rounded_sum();
    exact_sum_has_no_order();
    exact_sum_drops_little();
    powers_of_two();
    all_of_one_type<float>();
    all_of_one_type<double>();
}

SORGUM_ISA_END

// Nothing that is compiled for the instruction set runs before this question is answered.
int main() {
    if (!sorgum::supports(sorgum::read_cpu_facts(), sorgum::Isa::SORGUM_ISA)) {
        return 77;
    }
    sorgum::SORGUM_ISA::all();
    return check::finish();
}
