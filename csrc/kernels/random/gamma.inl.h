#pragma once

#include "kernels/random/gamma.h"
#include "kernels/random/words.inl.h"
#include "math/normal.h"

SORGUM_ISA_BEGIN

using namespace sorgum::random;

// The coefficients of 3 log(1 + t) from t^4 on.
inline constexpr double kAcceptance[7] = {-0.75, 0.6, -0.5, 3.0 / 7, -0.375, 1.0 / 3, -0.3};

// z^2 / 2 + d (1 - v^3 + 3 log v) with v = 1 + t, t = c z: where t is small the terms cancel but for those from t^4 on.
SORGUM_INLINE f64x16 acceptance(f64x16 z, f64x16 d, f64x16 t, f64x16 v, f64x16 log_v) {
    const f64x16 three = splat<f64x16>(3.0), one = splat<f64x16>(1.0), zero = splat<f64x16>(0.0);
    const f64x16 whole = fma(z * splat<f64x16>(0.5), z, d * fma(three, log_v, one - v * v * v));
    const f64x16 rest = z * z * splat<f64x16>(1.0 / 9) * (t * t) * horner<kAcceptance>(t);
    const f64x16 size = select(lt(t, zero), zero - t, t);
    return select(lt(size, splat<f64x16>(0x1p-8)), rest, whole);
}

// Elements 16 at a time, the first at a multiple of 16.
class GammaGroup {
public:
    SORGUM_INLINE GammaGroup(const NoiseRow& row, index_t at) {
        std::uint32_t low[kLanes];
        for (index_t k = 0; k < kLanes; ++k)
            low[k] = static_cast<std::uint32_t>(at + k);
        counter_ = {{load_words(low), splat_integer<i32x16>(at >> 32), splat_integer<i32x16>(low_word(row.position)),
                     splat_integer<i32x16>(high_word(row.position))}};
    }
    SORGUM_INLINE Block<i32x16> block(PhiloxKey<std::int32_t> own) const {
        return philox<kPhiloxRounds>(
            counter_, PhiloxKey<i32x16>{{splat_integer<i32x16>(own.word[0]), splat_integer<i32x16>(own.word[1])}});
    }
    SORGUM_INLINE static OpenUnit<f64x16, true> unit(i32x16 low, i32x16 high) {
        return open_unit_wide<f64x16>(int_add(zero_extend(low), shift_left<32>(zero_extend(high))));
    }

private:
    Block<i32x16> counter_;
};

// The keys of the first attempts, which are enough for nearly all elements.
struct AttemptKeys {
    static constexpr index_t kKept = 8;
    const NoiseRow& row;
    PhiloxKey<std::int32_t> kept[kKept];

    SORGUM_INLINE explicit AttemptKeys(const NoiseRow& r) : row(r) {
        for (index_t t = 0; t < kKept; ++t)
            kept[t] = row_key(r, t);
    }
    SORGUM_INLINE PhiloxKey<std::int32_t> of(index_t t) const { return t < kKept ? kept[t] : row_key(row, t); }
};

// log(d v^3) or d v^3 of a >= 1, 16 elements of it.
SORGUM_INLINE f64x16 gamma_of_large_shape(const GammaGroup& group, const AttemptKeys& keys, f64x16 a, bool logarithm) {
    const f64x16 zero = splat<f64x16>(0.0), one = splat<f64x16>(1.0);
    const f64x16 d = a - splat<f64x16>(1.0 / 3);
    const f64x16 c = splat<f64x16>(1.0 / 3) * exp(splat<f64x16>(-0.5) * log_of_normal(d));
    f64x16 y = zero, missing = one;  // 1 where no attempt has been accepted yet
    for (index_t t = 1; any(lt(zero, missing)); ++t) {
        const Block<i32x16> b = group.block(keys.of(t));
        const f64x16 z = normal_quantile(GammaGroup::unit(b.word[0], b.word[1]));
        const f64x16 u = GammaGroup::unit(b.word[2], b.word[3]).v();
        const f64x16 step = c * z, v = one + step;
        const auto positive = lt(zero, v);
        const f64x16 log_v = log_of_normal(select(positive, v, one));
        const auto accepted =
            both(both(positive, lt(zero, missing)), lt(log_of_normal(u), acceptance(z, d, step, v, log_v)));
        const f64x16 found = logarithm ? fma(splat<f64x16>(3.0), log_v, log_of_normal(d)) : d * v * v * v;
        y = select(accepted, found, y);
        missing = zero_where(accepted, missing);
    }
    return y;
}

SORGUM_INLINE f64x16 gamma_numbers(const GammaGroup& group, const AttemptKeys& keys, f64x16 a, bool logarithm) {
    const f64x16 one = splat<f64x16>(1.0);
    const auto small = lt(a, one);
    const f64x16 y = gamma_of_large_shape(group, keys, select(small, a + one, a), logarithm);
    if (!any(small))
        return y;
    const Block<i32x16> b = group.block(keys.of(0));
    const f64x16 boost = log_of_normal(GammaGroup::unit(b.word[0], b.word[1]).v()) / a;
    return select(small, logarithm ? y + boost : y * exp(boost), y);
}

template <class T>
void gamma_kernel(const NoiseRow& row, index_t first, index_t n, const double* shape, bool logarithm, T* y) {
    const AttemptKeys keys(row);
    for (index_t at = first / kLanes * kLanes; at < first + n; at += kLanes) {
        double a[kLanes], found[kLanes];
        for (index_t k = 0; k < kLanes; ++k)
            a[k] = at + k >= first && at + k < first + n ? shape[at + k - first] : 1.0;
        store(found, gamma_numbers(GammaGroup(row, at), keys, load(a), logarithm));
        for (index_t k = 0; k < kLanes; ++k)
            if (at + k >= first && at + k < first + n)
                y[at + k - first] = static_cast<T>(found[k]);
    }
}

SORGUM_ISA_END
