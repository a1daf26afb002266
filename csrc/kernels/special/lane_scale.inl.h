// What a temperature means (ExpScale), in lanes: the same for all rows, or a lane per row.
#pragma once

#include "math/softmax_scale.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

template <class T>
SORGUM_INLINE f64x16 load_f64(const T* p) {
    if constexpr (sizeof(T) == 4)
        return load_wide(p);
    else
        return load(p);
}

template <class T>
struct LaneScale {
    using V = vec<T>;
    using D = f64x16;
    using Mask = decltype(lt(D(), D()));
    D c1, c2, c3, inv_c, inv_temperature, inv_temperature_low, farthest;
    V c_hi, c_lo;
    Mask plain;  // neither `prescale` nor `down` is needed

    LaneScale() = default;
    explicit SORGUM_INLINE LaneScale(const ExpScale<T>& s)
        : c1(splat<D>(s.c1)),
          c2(splat<D>(s.c2)),
          c3(splat<D>(s.c3)),
          inv_c(splat<D>(s.inv_c)),
          inv_temperature(splat<D>(s.inv_temperature)),
          inv_temperature_low(splat<D>(s.inv_temperature_low)),
          farthest(splat<D>(s.farthest)),
          c_hi(splat<V>(s.c_hi)),
          c_lo(splat<V>(s.c_lo)),
          plain(eq(splat<D>(s.prescale == T(1) ? 1.0 : 0.0), splat<D>(1.0))) {}

    // make_exp_scale of a temperature per lane; what extreme ones need is left out.
    explicit SORGUM_INLINE LaneScale(D temperature) {
        constexpr double limit = sizeof(T) == 4 ? 0x1p100 : 0x1p900;
        const D t = temperature, zero = splat<D>(0.0);
        const D l1 = splat<D>(kLog2e[0]), l2 = splat<D>(kLog2e[1]), l3 = splat<D>(kLog2e[2]);
        c1 = l1 / t;
        D rest = fma(zero - c1, t, l1) + l2;
        c2 = rest / t;
        c3 = (fma(zero - c2, t, rest) + l3) / t;
        inv_temperature = splat<D>(1.0) / t;
        inv_temperature_low = fma(zero - inv_temperature, t, splat<D>(1.0)) / t;
        farthest = splat<D>(Format<double>::largest) * min(t, splat<D>(1.0));
        c_hi = from_f64<V>(c1);
        c_lo = from_f64<V>((c1 - to_f64(c_hi)) + c2);
        inv_c = splat<D>(1.0) / c1;
        plain = both(lt(splat<D>(1.0 / limit), c1), lt(c1, splat<D>(limit)));
    }
};

SORGUM_ISA_END
