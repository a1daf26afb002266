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

// By how many threads a single step in natural order is shared.
template <class T>
int threads_in_order(const System<T>& system);

// How the steps of one call may follow each other.
struct Following {
    int threads = 1;     // each makes steps of its own
    bool pairs = false;  // a thread makes two at once, and works on rows of the one while those of the other wait
    index_t least = 2;   // steps: fewer keep fewer threads busy than share a single one
    bool is_possible() const { return threads > 1 || pairs; }
};

// Those of so many, in natural order, where the matrix has a narrow band.
template <class T>
Following following_of(const System<T>& system, index_t count);

// So many steps, each shortly behind the one before, which finds the matrix in cache. `squares`: of each step, or null.
template <class T>
void sweep_several(const System<T>& system, const Following& how, const Step<T>& step, const T* b, T* x, index_t count,
                   SquaresSum* squares, InterruptPoll& poll);

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
