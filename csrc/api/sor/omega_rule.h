// How the relaxation factor of a solve is chosen from the norms of its sweeps.
//
// Below the best factor the norms fall by lambda per sweep. From it follow mu = (lambda + omega - 1) over omega
// sqrt(lambda), and Young's factor 2 / (1 + sqrt(1 - mu^2)). At and above that they fall by omega - 1, the promise. So
// it is for consistently ordered matrices with a real Jacobi spectrum. For others the factor may be far too large.
// Therefore each change is a trial: x is kept, and where the contraction, once transients have died out, is worse than
// the factor before would have by now, the trial is undone, and what was refused becomes a limit. The factor before
// would have become slower if it was becoming slower then: early on only the fast parts of the error are seen. Trials
// lose about as many sweeps as are done otherwise, at most.
//
// It uses additions, multiplications, divisions and square roots of doubles only, the same on every machine.
#pragma once

#include <optional>
#include <vector>

#include "core/types.h"

namespace sorgum::sor {

enum class OmegaAction { go_on, keep, undo };  // of x: as it is, for later; back to what was kept last

class OmegaRule {
public:
    // weight: the sum of |a_ij| / |a_ii| over j != i, in the mean over rows. Up to about 1, Jacobi's iteration
    // contracts, and a speed that falls is one of an error that becomes smooth; above, that counts half, larger factors
    // need more evidence, and trials may lose less.
    // guarded: whether changes are trials. If not, Young's theory is believed. begin: the first factor.
    OmegaRule(double weight, bool guarded, double begin);

    double omega() const { return omega_; }

    // How many sweeps to do before the next decision.
    index_t window() const;

    // Takes the norms of the sweeps that were done, ||D (x - x before)|| over omega, and says what to do with x.
    OmegaAction observe(const double* norms, index_t count);

private:
    enum class Kind { above, below, calm };

    struct Trial {
        Kind kind;
        double norm;  // before it
    };

    // What was seen of a factor: its speed, and the part of it that was being lost per stay as long.
    struct Stay {
        double omega, speed, decline;
        index_t sweeps, at;

        double now(index_t total) const;  // the speed that it would have by now
    };

    struct Ceiling {
        double omega, until, speed;  // a factor, until when, the speed there
    };

    enum class Verdict { good, bad, unknown };

    Verdict judge(double last, double seen_long, double seen, OmegaAction& action);
    OmegaAction end_trial(bool settled, double norm, double speed);
    OmegaAction propose(double last, double before, double seen_long, index_t part);
    double higher(index_t part, double budget) const;  // Young's factor, as far as limits and the budget allow; or 0
    OmegaAction begin_trial(Kind kind, double omega, bool has_speed, double speed, index_t at_least);
    void change(double omega, index_t at_least);
    void wait();
    double speed(index_t sweeps, index_t ago = 0) const;  // about -ln of the mean factor over so many sweeps
    double jordan(index_t sweeps) const;
    double decline(double last, double before, index_t part) const;

    double omega_;
    bool guarded_, dominant_, dense_;
    double real_, share_;
    std::vector<double> norms_;  // since the factor changed
    index_t settling_, need_;
    std::optional<Trial> trial_;
    std::optional<Stay> best_;
    std::optional<Ceiling> ceiling_;
    double floor_until_ = 0;
    index_t total_ = 0;
    double lost_ = 0;
};

}  // namespace sorgum::sor
