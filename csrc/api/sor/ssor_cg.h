// Conjugate gradients, or polynomials of Chebyshev, with symmetric successive over-relaxation as the preconditioner.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "api/sor/relaxation.h"

namespace sorgum::sor {

// Numbers of the field info of SciPy's solvers, and what they mean here. Positive ones are the iterations that did not
// suffice.
enum class Outcome : int { converged = 0, diverged = -1, inconsistent = -2, not_definite = -3, accuracy_reached = -4 };

struct SsorCgOptions {
    double omega;   // the first one
    bool adaptive;  // whether it is changed
    double rtol, atol;
    index_t maxiter;
    bool chebyshev;  // polynomials of Chebyshev instead of conjugate gradients
};

// What a user may look at between iterations.
struct SsorCgProgress {
    bool finished = false;
    int info = 0;
    index_t iterations = 0;
    double residual = 0;                                        // ||b - A x||, where it was formed last
    double tolerance = 0;                                       // what it has to come below
    std::vector<std::pair<index_t, double>> residuals, omegas;  // iterations that had been done, and then
    std::vector<std::pair<index_t, double>> lower_ends;         // of the interval, where there is one
};

// A solution that is under way. Matrix, b and x must live as long as it; x begins as the first guess.
class SsorCg {
public:
    SsorCg(const Relaxation& a, const ArrayView& b, const ArrayView& x, const SsorCgOptions& options);
    ~SsorCg();

    // So many iterations, or fewer if the solution is finished. After an interrupt it can go on.
    void run(index_t iterations);
    const SsorCgProgress& progress() const;

    class Solver;

private:
    std::unique_ptr<Solver> solver_;
};

}  // namespace sorgum::sor
