// Polynomials of Chebyshev with symmetric successive over-relaxation as the preconditioner: the directions of conjugate
// gradients with other coefficients, which need no products of vectors.
//
// The eigenvalues of M^-1 A are at most 1, for M - A = omega / (2 - omega) F D^-1 F' is positive semidefinite, with
// F = (omega - 1) / omega D + L. Only the lower end of the interval has to be found (Hageman and Young 1981, "Applied
// Iterative Methods", chapter 5), and what is found always lies above the least eigenvalue: as a quotient
// t'A t / t'M t, or from how the residual falls.
#pragma once

#include "api/sor/ssor_solver.h"

namespace sorgum::sor {

// Polynomials of degree k, which are 1 at 0 and least on [lower, 1].
class Polynomial {
public:
    Polynomial() = default;
    explicit Polynomial(double lower) : lower_(lower), rate_(rate_of(lower)) {}

    // Of the k-th one at a place from 0 to the lower end.
    double at(double place, index_t k) const {
        const double u = std::sqrt(1 - place), v = std::sqrt(lower_ - place);
        const double near = (u - v) / (u + v);
        return power(rate_ / near, k) * (1 + power(near, 2 * k)) / (1 + power(rate_, 2 * k));
    }
    // The largest size on the interval.
    double largest(index_t k) const { return at(lower_, k); }

    // From 0 to the lower end: where the k-th one is as large.
    double place_of(double value, index_t k) const {
        double from = 0, to = lower_;
        for (int step = 0; step < 60; ++step) {
            const double middle = 0.5 * (from + to);
            (at(middle, k) > value ? from : to) = middle;
        }
        return to;
    }

    // How many more factors it takes to come from 1 below `value`, if not more than `most`.
    index_t count(double value, index_t most) const {
        double product = 1;
        index_t k = 0;
        for (; k < most && product >= value; ++k)
            product *= rate_;
        return k;
    }

    double lower() const { return lower_; }

    // Two numbers of a step.
    double theta() const { return 0.5 * (1 + lower_); }
    double delta() const { return 0.5 * (1 - lower_); }

private:
    static double rate_of(double lower) { return (1 - std::sqrt(lower)) / (1 + std::sqrt(lower)); }
    // By products alone, which are the same on every machine.
    static double power(double x, index_t k) {
        double result = 1;
        for (; k > 0; k /= 2, x *= x)
            if (k % 2 == 1)
                result *= x;
        return result;
    }

    double lower_ = 1, rate_ = 0;
};

// Measured on the matrices of docs/solvers.md.
inline constexpr double kBelow = 0.8;        // what is found lies above the least eigenvalue: times this
inline constexpr double kLowerGain = 1.25;   // times fewer iterations are worth a new polynomial
inline constexpr double kHighestEnd = 0.75;  // of an interval

template <class T>
class Chebyshev final : public SsorSolver<T> {
    using Base = SsorSolver<T>;
    using Base::begin;
    using Base::begin_;
    using Base::change_omega;
    using Base::check;
    using Base::ends;
    using Base::give_up;
    using Base::growth;
    using Base::is_time;
    using Base::kUnit;
    using Base::look_;
    using Base::omega_;
    using Base::options_;
    using Base::passes_;
    using Base::ratio_;
    using Base::rho_;
    using Base::since_begin_;

public:
    using Base::Base;
    using Base::progress;

    void iterate() override {
        const bool first = since_begin_ == 0, looks = since_begin_ + 1 >= look_;
        const bool last = progress.iterations + 1 == options_.maxiter;
        const Scaled curvature = passes_.curvature(first || looks);
        Quotients t = {0, 0};
        if (first || looks) {
            if (!curvature.finite)
                return give_up(Outcome::diverged);
            t = passes_.quotients(curvature);
            const double place = 1 / t.quotient(omega_);
            if (curvature.value <= 0 || place < kNothing) {
                if (!check())
                    give_up(std::abs(place) < kNothing ? Outcome::inconsistent : Outcome::not_definite);
                return;
            }
            lowest_ = std::min(lowest_, place);
        }
        if (first)
            begin_polynomial();
        step_ = first ? 1 / centre_ : 1 / (2 * centre_ - step_);
        const double alpha = first ? 1 / polynomial_.theta() : 2 * step_ / polynomial_.delta();
        const Scaled squares = passes_.step(static_cast<T>(alpha), looks || last);
        ++progress.iterations;
        ++since_begin_;
        if (looks || last) {
            rho_ = squares;
            if (look(t, last))
                return;
        }
        // The next step's: the product of two that follow each other, over the quotient of what they multiply.
        const double next = first ? 0.5 * step_ * step_ : step_ * step_;
        passes_.direct(static_cast<T>(next));
    }

private:
    // A quotient of two sums that is less counts as 0: rounding errors make as much of it, and a matrix with so small
    // an eigenvalue would leave no digits.
    static constexpr double kNothing = sizeof(T) == sizeof(float) ? 0x1p-20 : 0x1p-44;

    void begin_polynomial() {
        polynomial_ = Polynomial(std::min(kBelow * lowest_, kHighestEnd));
        centre_ = polynomial_.theta() / polynomial_.delta();
        progress.lower_ends.emplace_back(progress.iterations, polynomial_.lower());
    }

    // True where nothing is left to be done in this iteration.
    bool look(const Quotients& t, bool last) {
        if (!rho_.finite) {
            give_up(Outcome::diverged);
            return true;
        }
        const double fell = std::sqrt(growth());
        if ((fell > 2 || last || is_time()) && ends())
            return true;
        if (fell > 2) {  // no polynomial is larger than 1 between 0 and 1
            give_up(Outcome::not_definite);
            return true;
        }
        if (fell > polynomial_.largest(since_begin_))
            lowest_ = std::min(lowest_, std::max(polynomial_.place_of(fell, since_begin_), kNothing));
        if (options_.adaptive) {
            const double better = better_omega(t, omega_);
            if (better != omega_) {
                change_omega(better);
                lowest_ = 1 / t.quotient(omega_);
                begin();
                return true;
            }
        }
        if (kBelow * lowest_ * (kLowerGain * kLowerGain) < polynomial_.lower()) {
            begin();
            return true;
        }
        const double wanted = progress.tolerance / (rho_.root() * ratio_);
        look_ = since_begin_ + std::max<index_t>(1, polynomial_.count(wanted, next_look(since_begin_) - since_begin_));
        return false;
    }

    Polynomial polynomial_;
    double lowest_ = 1;  // the least that is known to lie above an eigenvalue of M^-1 A
    double centre_ = 1, step_ = 1;
};

}  // namespace sorgum::sor
