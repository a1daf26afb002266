#include "api/sor/ssor_cg.h"

#include <cmath>

#include "api/sor/ssor_chebyshev.h"
#include "api/sor/ssor_solver.h"
#include "api/sor/vectors.h"
#include "core/error.h"
#include "core/fp_env.h"

namespace sorgum::sor {

namespace {

constexpr const char* kName = "ssor_cg";

template <class T>
class Gradients final : public SsorSolver<T> {
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
    using Base::rho_;
    using Base::since_begin_;

public:
    using Base::Base;
    using Base::progress;

    void iterate() override {
        const Scaled curvature = passes_.curvature();
        if (!curvature.finite)
            return give_up(Outcome::diverged);
        if (curvature.value <= 0) {
            if (!check())
                give_up(growth() > 1 / std::sqrt(kUnit) ? Outcome::inconsistent : Outcome::not_definite);
            return;
        }
        const Scaled before = rho_;
        rho_ = passes_.step(static_cast<T>(passes_.sigma() * rho_.over(curvature)));
        ++progress.iterations;
        ++since_begin_;
        if (!rho_.finite)
            return give_up(Outcome::diverged);
        if (growth() > kLargestGrowth)
            return give_up(Outcome::inconsistent);
        if ((is_time() || progress.iterations == options_.maxiter) && ends())
            return;
        if (options_.adaptive && since_begin_ == look_) {
            look_ = next_look(look_);
            const double better = better_omega(passes_.quotients(curvature), omega_);
            if (better != omega_) {
                change_omega(better);
                return begin();
            }
        }
        passes_.direct(static_cast<T>(rho_.over(before)));
    }

private:
    // How much the squares of r may grow in the norm of M^-1 before the matrix counts as singular: 1 / kUnit^(3/4).
    // They grow at most by the condition number, and a matrix with such a number would leave no digits. Where it is
    // singular, the part of b outside its range grows without end.
    static constexpr double kLargestGrowth = sizeof(T) == sizeof(float) ? 0x1p18 : 0x1p40;
};

}  // namespace

SsorCg::SsorCg(const Relaxation& a, const ArrayView& b, const ArrayView& x, const SsorCgOptions& options) {
    if (a.order() != Order::natural)
        throw ValueError("ssor_cg: A must be in natural order, got a Relaxation in another one");
    if (options.maxiter < 0)
        throw ValueError("ssor_cg: maxiter must not be negative, got " + std::to_string(options.maxiter));
    const std::pair<const char*, double> tolerances[] = {{"rtol", options.rtol}, {"atol", options.atol}};
    for (const auto& [argument, value] : tolerances)
        if (!(value >= 0))
            throw ValueError("ssor_cg: " + std::string(argument) + " must not be negative, got " + number_text(value));
    const FpGuard guard;
    a.with_type([&](auto tag) {
        using T = decltype(tag);
        const T* const from = vector_of<T>(kName, "b", b, a.rows());
        T* const to = const_cast<T*>(vector_of<T>(kName, "x", x, a.rows()));
        check_writable(kName, "x", x);
        check_apart(kName, "x", to, "b", from, a.rows() * static_cast<index_t>(sizeof(T)));
        omega_of<T>(kName, options.omega);
        if (options.chebyshev)
            solver_ = std::make_unique<Chebyshev<T>>(a, from, to, options);
        else
            solver_ = std::make_unique<Gradients<T>>(a, from, to, options);
    });
}

SsorCg::~SsorCg() = default;

void SsorCg::run(index_t iterations) {
    const FpGuard guard;
    for (index_t k = 0; k < iterations && !solver_->progress.finished; ++k)
        solver_->iterate();
}

const SsorCgProgress& SsorCg::progress() const { return solver_->progress; }

}  // namespace sorgum::sor
