// A matrix that is ready to be relaxed: steps and residuals over all of its rows. Vectors have an element per place
// (api/sor/structure.h), which is a row in natural order.
#pragma once

#include <memory>

#include "api/sor/schedule.h"
#include "api/sor/structure.h"
#include "api/sor/values.h"
#include "core/interrupt.h"
#include "kernels/sor/squares.h"

namespace sorgum::sor {

// What it consists of never changes: whoever holds one may work with it while others make another one.
template <class T>
struct System {
    std::shared_ptr<const Structure> structure;
    std::shared_ptr<const Values<T>> values;
    std::shared_ptr<const Inverse<T>> inverse;
    std::shared_ptr<LazySchedule> schedule;

    Blocks<T> blocks() const {
        return {structure->slot.data(),     structure->pattern.data(), structure->block.data(), structure->blocks,
                values->slots.data(),       structure->columns.data(), values->diagonal.data(), inverse->shift,
                inverse->of_diagonal.data()};
    }
    bool in_natural_order() const { return structure->places.rows.empty(); }
};

// One step, forward or backward, in all rows. Where `squares` is not null, those of a_ii (x_i - x_i before) are added.
// `step.change` is not looked at.
//
// In natural order, too, all threads share it where that is worth their while (api/sor/schedule.h).
template <class T>
void sweep(const System<T>& system, Step<T> step, const T* b, T* x, SquaresSum* squares, InterruptPoll& poll);

// Two such steps, one shortly behind the other, which finds the matrix in cache, and rows of the one are worked on
// while those of the other wait for each other. `squares`: of either step, or null. Only where sweeps_twice holds: by
// one thread in natural order, where the matrix has a narrow band.
template <class T>
bool sweeps_twice(const System<T>& system);
template <class T>
void sweep_twice(const System<T>& system, const Step<T>& step, const T* b, T* x, SquaresSum* squares,
                 InterruptPoll& poll);

// r = b - A x, where r is not null, and the sum of its squares.
template <class T>
SquaresSum residual(const System<T>& system, const T* b, const T* x, double* r, InterruptPoll& poll);

// From how many elements on sweeps are shared, whatever threads are doing; 0 for the usual rule. And how many threads
// have taken part in the last sweep of the process, and how often two were made at once. For tests.
void share_from(index_t elements);
int threads_of_last_sweep();
index_t sweeps_at_twice();

// Elements of rows to their places, 0 where there is no row; and back.
template <class T>
void to_places(const Structure& structure, const T* rows, T* places);
template <class T>
void from_places(const Structure& structure, const T* places, T* rows);

}  // namespace sorgum::sor
