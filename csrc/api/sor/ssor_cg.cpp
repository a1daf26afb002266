#include "api/sor/ssor_cg.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/sor/ssor_passes.h"
#include "api/sor/vectors.h"
#include "core/error.h"
#include "core/fp_env.h"

namespace sorgum::sor {

class SsorCg::Solver {
public:
    virtual ~Solver() = default;
    virtual void iterate() = 0;

    SsorCgProgress progress;
};

namespace {

constexpr const char* kName = "ssor_cg";

template <class T>
class SolverOf final : public SsorCg::Solver {
public:
    SolverOf(const Relaxation& a, const T* b, T* x, const SsorCgOptions& options)
        : passes_(a.system<T>(), b, x), x_(x), n_(a.rows()), options_(options), omega_(options.omega) {
        kept_.reserve(n_);
        const double size = passes_.right_side();
        if (size == 0)
            std::fill_n(x, n_, T(0));
        // No part of a norm that overflows is known.
        progress.tolerance = std::max(options.atol, std::isfinite(size) ? options.rtol * size : 0.0);
        progress.omegas.emplace_back(0, omega_);
        begin();
        const T* const d = passes_.diagonal();
        if (!progress.finished && std::any_of(d, d + n_, [](T v) { return v <= T(0); }))
            finish(Outcome::not_definite);
        if (!progress.finished && options_.maxiter == 0)
            progress.finished = true;
    }

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
        const bool last = progress.iterations == options_.maxiter;
        const double root = rho_.root();
        if (root == 0 || root * ratio_ < progress.tolerance || root < kUnit * halved_root_ || last) {
            if (check())
                return;
            if (last) {
                progress.finished = true;
                progress.info = static_cast<int>(std::min<index_t>(options_.maxiter, INT32_MAX));
                return;
            }
        }
        if (options_.adaptive && since_begin_ == look_) {
            look_ = next_look(look_);
            const double better = better_omega(passes_.quotients(curvature), omega_);
            if (better != omega_) {
                omega_ = better;
                progress.omegas.emplace_back(progress.iterations, omega_);
                return begin();
            }
        }
        passes_.direct(static_cast<T>(rho_.over(before)));
    }

private:
    static constexpr double kUnit = std::numeric_limits<T>::epsilon() / 2;
    // How much the squares of r may grow in the norm of M^-1 before the matrix counts as singular: 1 / kUnit^(3/4).
    // They grow at most by the condition number, and a matrix with such a number would leave no digits. Where it is
    // singular, the part of b outside its range grows without end.
    static constexpr double kLargestGrowth = sizeof(T) == sizeof(float) ? 0x1p18 : 0x1p40;

    // From the x that there is, with the omega that there is.
    void begin() {
        std::copy_n(x_, n_, kept_.data());
        rho_ = passes_.begin(omega_, progress.residual);
        note_residual();
        since_begin_ = 0;
        look_ = kFirstLook;
        begin_ = rho_;
        begin_norm_ = halved_norm_ = progress.residual;
        halved_root_ = rho_.root();
        ratio_ = progress.residual / rho_.root();
        if (progress.residual < progress.tolerance || progress.residual == 0)
            finish(Outcome::converged);
        else if (!std::isfinite(progress.residual) || !rho_.finite)
            give_up(Outcome::diverged);
        else if (rho_.value == 0)
            finish(Outcome::accuracy_reached);  // what is left underflows
    }

    // Forms the residual, which the recurrence only estimates. True where nothing is left to be done in this
    // iteration: it is small enough; or rounding errors have taken the recurrence elsewhere, so that it begins again.
    bool check() {
        progress.residual = passes_.residual();
        note_residual();
        if (progress.residual < progress.tolerance || progress.residual == 0) {
            finish(Outcome::converged);
            return true;
        }
        if (!std::isfinite(progress.residual)) {
            give_up(Outcome::diverged);
            return true;
        }
        const double root = rho_.root();
        if (progress.residual <= halved_norm_ / 2) {
            halved_norm_ = progress.residual;
            halved_root_ = root;
        } else if (root <= halved_root_ / 16) {
            if (progress.residual > begin_norm_ / 2)
                finish(Outcome::accuracy_reached);
            else
                begin();
            return true;
        }
        ratio_ = progress.residual / root;
        return false;
    }

    double growth() const { return rho_.over(begin_); }
    void note_residual() { progress.residuals.emplace_back(progress.iterations, progress.residual); }
    void finish(Outcome outcome) {
        progress.finished = true;
        progress.info = static_cast<int>(outcome);
    }
    // With the x from which the recurrence began last.
    void give_up(Outcome outcome) {
        std::copy_n(kept_.data(), n_, x_);
        progress.residual = begin_norm_;
        finish(outcome);
    }

    SsorPasses<T> passes_;
    T* x_;
    index_t n_;
    SsorCgOptions options_;
    double omega_;
    AlignedArray<T> kept_;  // x at the last beginning
    Scaled rho_, begin_;    // squares of the recurrence's residual: now, at the last beginning
    double ratio_ = 1;      // of the residual's norm and their root, where both were known last
    double begin_norm_ = 0, halved_norm_ = 0, halved_root_ = 0;
    index_t since_begin_ = 0, look_ = kFirstLook;
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
        solver_ = std::make_unique<SolverOf<T>>(a, from, to, options);
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
