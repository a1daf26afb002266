// The relaxation factor of symmetric successive over-relaxation as a preconditioner, from one direction.
//
// M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U), U the transpose of L, is
// (A + (1 / omega - 1) D + omega L D^-1 U) / (2 - omega). So the quotient t'M t / t'A t of a direction t is known for
// every omega once it is known how t'D t and t'L D^-1 U t compare with t'A t: no other omega has to be tried. The
// largest quotient over all t is the condition number of M^-1 A, whose largest eigenvalue is at most 1 and hardly
// below. A search direction of conjugate gradients has much of what converges slowly in it, which is where quotients
// are large; its omega is close to the best one after few iterations, on matrices with and without the structure that
// theory asks for (Axelsson 1994, "Iterative Solution Methods", section 7.2: the bound of which this is the form for
// one t).
#pragma once

#include <algorithm>
#include <cmath>

#include "core/types.h"

namespace sorgum::sor {

// t'D t and t'L D^-1 U t over t'A t.
struct Quotients {
    double diagonal, product;

    double quotient(double omega) const {
        return (1.0 + (1.0 / omega - 1.0) * diagonal + omega * product) / (2.0 - omega);
    }

    // Where the quotient is least: the root of its derivative.
    double best_omega() const {
        constexpr double most = 2.0 - 0x1p-12;  // the best one of a grid of 6000 x 6000 points
        const double omega = 2.0 / (1.0 + std::sqrt(std::max(2.0 + 4.0 * product - diagonal, 0.0) / diagonal));
        return std::min(omega, most);
    }
};

// When directions are looked at, and what is done about it: measured on the matrices of docs/solvers.md.
inline constexpr index_t kFirstLook = 5;    // iterations since omega was changed
inline constexpr double kLookGrowth = 1.5;  // the next one, relative to the last
inline constexpr double kWorthChanging =
    1.25;                                   // times fewer iterations, or the start of a new Krylov space does not pay
inline constexpr double kOvershoot = 0.75;  // of 2 - omega: slow parts that t lacks would have asked for more

inline index_t next_look(index_t last) {
    return static_cast<index_t>(std::ceil(kLookGrowth * static_cast<double>(last)));
}

// Another omega if it is worth a change, else the same.
inline double better_omega(const Quotients& t, double omega) {
    const double best = t.best_omega();
    const double gain = t.quotient(omega) / t.quotient(best);
    if (!(gain > kWorthChanging * kWorthChanging))
        return omega;
    return best > 1.0 ? 2.0 - kOvershoot * (2.0 - best) : best;
}

}  // namespace sorgum::sor
