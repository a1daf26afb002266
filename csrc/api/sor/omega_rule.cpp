#include "api/sor/omega_rule.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sorgum::sor {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr index_t kFirst = 6;                       // sweeps before the first decision
constexpr double kRealDominant = 0.8, kReal = 0.5;  // of the promised speed: below it, larger factors may be faster
constexpr double kOvershoot = 0.9;  // of 2 - omega: a factor that is too small costs more than one that is too large
constexpr double kStep = 0.93;      // of 2 - omega: smaller steps are not worth their transient
constexpr double kMargin = 0.95;    // of the speed before, that a larger factor must reach
constexpr double kSmooth = 0.5;     // of a speed's decline is excused where the matrix is not dominant
constexpr index_t kForget = 4;      // times the sweeps done: then what was refused may be tried again
constexpr double kShareDominant = 1.0, kShare = 0.5;  // of all other sweeps, that trials may lose
constexpr double kFree = 15;                          // and so many
constexpr double kSlow = 0.3;       // of the promised speed: below it a smaller factor is tried as well
constexpr double kBetter = 1.1;     // times the speed before, that a smaller factor must reach
constexpr double kStill = 1e-9;     // speeds closer to 0 than this are roundings
constexpr index_t kProbe = 6;       // a trial below lasts at least this part of the stay before it
constexpr double kDominant = 1.05;  // beside the diagonal, relative to it: up to here a matrix is diagonally dominant
constexpr double kDense = 4.0;      // from here on no factor above 1 is tried

index_t power_of_two(index_t most) {
    index_t power = most > 0 ? 1 : 0;
    while (power <= most / 2 && power > 0)
        power *= 2;
    return power;
}

// How fast sweeps converge that multiply the error by omega - 1: nearly -log(omega - 1).
double promise(double omega) { return omega > 1 ? 2 * (2 - omega) / omega : 2.0; }

// The sweeps after which p (omega - 1)^(p - 1), the worst transient, has come down to 1.
index_t settling(double omega) {
    index_t sweeps = 1;
    double size = 1.0;
    while (sweeps < kFirst || static_cast<double>(sweeps) * size > 1) {
        size *= std::abs(omega - 1);
        ++sweeps;
    }
    return sweeps;
}

// The geometric mean of the factors by which `sweeps` sweeps, a power of two, multiplied a norm.
double mean_factor(double first, double last, index_t sweeps) {
    double factor = first > 0 ? last / first : kInfinity;
    for (; sweeps > 1; sweeps /= 2)
        factor = std::sqrt(factor);
    return factor;
}

}  // namespace

double OmegaRule::Stay::now(index_t total) const {
    return speed > 0 ? speed / (1 + decline * static_cast<double>(total - at) / static_cast<double>(sweeps)) : speed;
}

OmegaRule::OmegaRule(double weight, bool guarded, double begin)
    : omega_(begin),
      guarded_(guarded),
      dominant_(weight <= kDominant || !guarded),
      dense_(guarded && !(weight <= kDense)),
      real_(dominant_ ? kRealDominant : kReal),
      share_(dominant_ ? kShareDominant : kShare),
      settling_(settling(begin)),
      need_(settling_) {}

index_t OmegaRule::window() const { return std::max<index_t>(1, need_ - static_cast<index_t>(norms_.size())); }

OmegaAction OmegaRule::observe(const double* norms, index_t count) {
    if (count < 1)
        return OmegaAction::go_on;
    norms_.insert(norms_.end(), norms, norms + count);
    total_ += count;
    const double newest = norms_.back();
    if (!std::isfinite(newest) || newest == 0)
        return trial_ && newest > 0 ? end_trial(false, newest, 0.0) : OmegaAction::go_on;
    const index_t sweeps = static_cast<index_t>(norms_.size());
    if (sweeps < need_)
        return OmegaAction::go_on;
    const index_t part = std::max<index_t>(1, power_of_two(sweeps / 4));
    const double last = speed(part), before = speed(part, part);
    const double seen_long = speed(std::max<index_t>(1, power_of_two(3 * sweeps / 4)));
    const double seen = std::max(seen_long, last < 1.2 * before ? last : seen_long);
    if (ceiling_ && (static_cast<double>(total_) > ceiling_->until || seen < ceiling_->speed))
        ceiling_.reset();
    if (trial_) {
        OmegaAction action = OmegaAction::go_on;
        if (judge(last, seen_long, seen, action) != Verdict::good)
            return action;
    }
    if (!best_ || best_->omega == omega_ || seen >= best_->now(total_)) {
        best_ = Stay{omega_, seen, decline(last, before, part), sweeps, total_};
        trial_.reset();
    }
    return propose(last, before, seen_long, part);
}

OmegaRule::Verdict OmegaRule::judge(double last, double seen_long, double seen, OmegaAction& action) {
    const Kind kind = trial_->kind;
    const index_t sweeps = static_cast<index_t>(norms_.size());
    const Stay old = *best_;
    bool good;
    if (kind == Kind::below) {
        good = std::min(last, seen_long) >= kBetter * old.speed;
    } else if (kind == Kind::calm) {
        good = seen_long > old.speed + kStill;
    } else {
        const double bar = kMargin * old.now(total_);
        good = seen >= bar;
        // A Jordan block, p (omega - 1)^(p - 1), is what a good factor shows first.
        if (!good && sweeps < 2 * settling_ && seen + jordan(sweeps) >= bar) {
            wait();
            return Verdict::unknown;
        }
    }
    if (!good) {
        action = end_trial(true, norms_.back(), seen_long);
        return Verdict::bad;
    }
    if (kind != Kind::above) {
        ceiling_ = Ceiling{old.omega, static_cast<double>(kForget * total_), old.speed};
        best_.reset();
        trial_.reset();
    }
    return Verdict::good;
}

// Goes back to the factor before the trial.
OmegaAction OmegaRule::end_trial(bool settled, double norm, double seen_speed) {
    const Trial trial = *trial_;
    const Stay old = *best_;
    const index_t sweeps = static_cast<index_t>(norms_.size());
    const bool undo = !(norm <= trial.norm);
    const double loss = undo || old.speed <= 0 ? 1.0 : std::min(1.0, std::max(0.0, 1 - seen_speed / old.speed));
    lost_ += loss * static_cast<double>(sweeps);
    if (trial.kind == Kind::above)
        ceiling_ = Ceiling{omega_, static_cast<double>(kForget * total_), settled ? seen_speed : -kInfinity};
    else if (trial.kind == Kind::calm && old.omega > 1)  // there it grew, and here, too: Gauss-Seidel is what is left
        ceiling_ = Ceiling{omega_, kInfinity, -kInfinity};
    else
        floor_until_ = static_cast<double>(kForget * total_);
    trial_.reset();
    best_.reset();
    change(trial.kind == Kind::calm ? std::min(old.omega, 1.0) : old.omega, need_);
    return undo ? OmegaAction::undo : OmegaAction::go_on;
}

// Begins a trial if there is reason for one.
OmegaAction OmegaRule::propose(double last, double before, double seen_long, index_t part) {
    const index_t sweeps = static_cast<index_t>(norms_.size()), at_least = sweeps / kProbe;
    const double omega = omega_, total = static_cast<double>(total_);
    const double budget = guarded_ ? share_ * (total - lost_) + kFree - lost_ : kInfinity;
    const bool below = guarded_ && total > floor_until_;
    const auto affords = [&](double lower) {
        return static_cast<double>(std::max(settling(lower), at_least)) <= budget;
    };
    if (last < -kStill && seen_long < -kStill) {
        const double lower = omega <= 1 ? 0.7 * omega : 1 + (omega - 1) / 2;
        const bool affordable = below && affords(lower);
        if (guarded_ && (affordable || omega > 1)) {  // nothing costs as much as to stay where it grows
            ceiling_ = Ceiling{omega, kInfinity, -kInfinity};
            return begin_trial(Kind::calm, lower, true, seen_long, at_least);
        }
    } else if (last > 0 && before > 0 && last < 1.25 * before && !dense_) {
        const double bar = real_ * promise(omega), n = static_cast<double>(sweeps), p = static_cast<double>(part);
        const double credit = omega > 1 ? 1 / (n - p / 2) : 0.0, credit_before = omega > 1 ? 1 / (n - 1.5 * p) : 0.0;
        if (last + credit < bar && before + credit_before < bar) {
            const double more = higher(part, budget);
            if (more > 0)
                return begin_trial(Kind::above, more, false, 0.0, 0);
        }
    }
    const bool slow = std::max(last, seen_long) + jordan(sweeps) < kSlow * promise(omega);  // or standing still
    if (below && (omega > 1 || ceiling_ || dense_) && slow && sweeps >= 2 * settling_) {
        const double lower = omega > 1 ? std::max(1.0, 2 - 2 * (2 - omega)) : 0.8 * omega;
        if (affords(lower))
            return begin_trial(Kind::below, lower, true, seen_long, at_least);
    }
    wait();
    return OmegaAction::go_on;
}

double OmegaRule::higher(index_t part, double budget) const {
    const double omega = omega_,
                 factor = mean_factor(norms_[norms_.size() - 1 - static_cast<std::size_t>(part)], norms_.back(), part);
    const double mu = std::min(1.0, (factor + omega - 1) / (omega * std::sqrt(factor)));
    double gap = kOvershoot * (2 - 2 / (1 + std::sqrt(std::max(0.0, 1 - mu * mu))));
    if (ceiling_ && gap <= 2 - ceiling_->omega)
        gap = std::sqrt((2 - omega) * (2 - ceiling_->omega));
    gap = std::max(gap, omega >= 1 ? 0x1p-20 : 1.0);  // who is below 1 has left Young's theory
    for (; gap < kStep * (2 - omega); gap *= 1.1)
        if (static_cast<double>(settling(2 - gap)) <= budget)
            return 2 - gap;
    return 0;
}

OmegaAction OmegaRule::begin_trial(Kind kind, double omega, bool has_speed, double seen_speed, index_t at_least) {
    if (guarded_) {
        trial_ = Trial{kind, norms_.back()};
        if (has_speed)
            best_ = Stay{omega_, seen_speed, 0.0, static_cast<index_t>(norms_.size()), total_};
    }
    change(omega, at_least);
    return guarded_ ? OmegaAction::keep : OmegaAction::go_on;
}

void OmegaRule::change(double omega, index_t at_least) {
    omega_ = omega;
    norms_.clear();
    settling_ = settling(omega);
    need_ = std::max(settling_, at_least);
}

void OmegaRule::wait() {
    const index_t sweeps = static_cast<index_t>(norms_.size());
    need_ = sweeps + std::max<index_t>(2, sweeps / 4);
}

double OmegaRule::speed(index_t sweeps, index_t ago) const {
    const std::size_t end = norms_.size() - 1 - static_cast<std::size_t>(ago);
    const double factor = mean_factor(norms_[end - static_cast<std::size_t>(sweeps)], norms_[end], sweeps);
    return 2 * (1 - factor) / (1 + factor);
}

double OmegaRule::jordan(index_t sweeps) const {
    const double part = static_cast<double>(power_of_two(3 * sweeps / 4));
    return omega_ > 1 ? 1 / (static_cast<double>(sweeps) - part / 2) : 0.0;
}

// 1 where the speed falls as 1 over the sweeps, 0 where it is steady.
double OmegaRule::decline(double last, double before, index_t part) const {
    if (!(0 < last && last < before))
        return 0.0;
    const double n = static_cast<double>(norms_.size()), p = static_cast<double>(part);
    const double hyperbola = (n - 1.5 * p) / (n - 0.5 * p);
    return (dominant_ ? 1.0 : kSmooth) * std::min(1.0, (1 - last / before) / (1 - hyperbola));
}

}  // namespace sorgum::sor
