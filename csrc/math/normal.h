// The quantile function of the normal distribution.
//
// Source: Wichura 1988, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37,
// PPND16: three rational functions of degree 7, for |v - 1/2| <= 0.425 and, of sqrt(-log(min(v, 1 - v))), up to 5 and
// beyond. Their error is about 1e-16 of the result. The square root is taken as exp(log / 2).
#pragma once

#include "math/uniform.h"

SORGUM_ISA_BEGIN

struct NormalConstants {
    static constexpr double middle_p[8] = {3.3871328727963666080e+0, 1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                           1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                           3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static constexpr double middle_q[8] = {1.0,
                                           4.2313330701600911252e+1,
                                           6.8718700749205790830e+2,
                                           5.3941960214247511077e+3,
                                           2.1213794301586595867e+4,
                                           3.9307895800092710610e+4,
                                           2.8729085735721942674e+4,
                                           5.2264952788528545610e+3};
    static constexpr double near_p[8] = {
        1.42343711074968357734e+0, 4.63033784615654529590e+0, 5.76949722146069140550e+0, 3.64784832476320460504e+0,
        1.27045825245236838258e+0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static constexpr double near_q[8] = {1.0,
                                         2.05319162663775882187e+0,
                                         1.67638483018380384940e+0,
                                         6.89767334985100004550e-1,
                                         1.48103976427480074590e-1,
                                         1.51986665636164571966e-2,
                                         5.47593808499534494600e-4,
                                         1.05075007164441684324e-9};
    static constexpr double far_p[8] = {6.65790464350110377720e+0, 5.46378491116411436990e+0, 1.78482653991729133580e+0,
                                        2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                        2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static constexpr double far_q[8] = {1.0,
                                        5.99832206555887937690e-1,
                                        1.36929880922735805310e-1,
                                        1.48753612908506148525e-2,
                                        7.86869131145613259100e-4,
                                        1.84631831751005468180e-5,
                                        1.42151175831644588870e-7,
                                        2.04426310338993978564e-15};
};

// L = double or f64x16. The quantile of 1/2 + q where |q| is below kNormalMiddle.
inline constexpr double kNormalMiddle = 0.425;
template <class L>
SORGUM_HD L normal_middle(L q) {
    using C = NormalConstants;
    const L r = fma(splat<L>(0.0) - q, q, splat<L>(0.180625));
    return q * horner<C::middle_p>(r) / horner<C::middle_q>(r);
}
// The upper quantile of `least`, the smaller one of v and 1 - v, elsewhere. No word of 32 bits reaches the far range.
template <class L>
SORGUM_HD L normal_tail(L least) {
    using C = NormalConstants;
    const L root = exp(splat<L>(0.5) * log_of_normal(splat<L>(0.0) - log_of_normal(least)));
    const L n = root - splat<L>(1.6), f = root - splat<L>(5.0);
    const L nearer = horner<C::near_p>(n) / horner<C::near_q>(n);
    const auto far = lt(splat<L>(5.0), root);
    if (!any(far))
        return nearer;
    return select(far, horner<C::far_p>(f) / horner<C::far_q>(f), nearer);
}

template <class L, bool wide>
SORGUM_HD L normal_quantile(OpenUnit<L, wide> p) {
    const L half = splat<L>(0.5), zero = splat<L>(0.0), v = p.v();
    const L q = v - half;
    const auto lower = lt(q, zero);
    const auto inside = lt(select(lower, zero - q, q), splat<L>(kNormalMiddle));
    const L middle = normal_middle(q);
    if (all(inside))
        return middle;
    const L tail = normal_tail(select(inside, half, select(lower, v, p.u())));
    return select(inside, middle, select(lower, zero - tail, tail));
}

SORGUM_ISA_END
