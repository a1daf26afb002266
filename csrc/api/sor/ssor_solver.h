// What solvers with symmetric successive over-relaxation have in common: where they begin, what they look at, and how
// they end.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/sor/ssor_cg.h"
#include "api/sor/ssor_passes.h"

namespace sorgum::sor {

class SsorCg::Solver {
public:
    virtual ~Solver() = default;
    virtual void iterate() = 0;

    SsorCgProgress progress;
};

template <class T>
class SsorSolver : public SsorCg::Solver {
public:
    SsorSolver(const Relaxation& a, const T* b, T* x, const SsorCgOptions& options)
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

protected:
    static constexpr double kUnit = std::numeric_limits<T>::epsilon() / 2;

    void change_omega(double to) {
        omega_ = to;
        progress.omegas.emplace_back(progress.iterations, omega_);
    }

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

    // Forms the residual, which the recurrence only estimates. True where it is small enough, or rounding errors have
    // taken the recurrence elsewhere, so that it begins again.
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

    // Whether the recurrence says that it is time to form the residual.
    bool is_time() const {
        const double root = rho_.root();
        return root == 0 || root * ratio_ < progress.tolerance || root < kUnit * halved_root_;
    }
    // Forms it. True where nothing is left to be done in this iteration.
    bool ends() {
        if (check())
            return true;
        if (progress.iterations < options_.maxiter)
            return false;
        progress.finished = true;
        progress.info = static_cast<int>(std::min<index_t>(options_.maxiter, INT32_MAX));
        return true;
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

}  // namespace sorgum::sor
