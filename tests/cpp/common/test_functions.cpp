// exp, log and powers of two for one element against the same text for sixteen, and against the C library's, on the
// instruction set that this file is compiled for.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "math/extexp.h"
#include "on_isa.h"

SORGUM_ISA_BEGIN

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
    index_t normal = 0;
    for (index_t i = 0; i < 200000; ++i) {
        const T v = i == 0   ? C::normal_from
                    : i == 1 ? C::normal_to
                             : static_cast<T>(between(r, C::normal_from - 1, C::normal_to + 1));
        if (has_normal_exp(v)) {
            ++normal;
            CHECK(same_bits(exp_normal(v), exp(v)));
        }
    }
    CHECK(normal > 190000);
    CHECK(!has_normal_exp(from_bits(Format<T>::quiet_nan)));
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

SORGUM_NOINLINE void all() {
    powers_of_two();
    functions<float>();
    functions<double>();
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
