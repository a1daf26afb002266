// Some rows of a matrix, in the order in which they are to be relaxed.
#pragma once

#include "api/call/work.h"
#include "api/sor/system.h"

namespace sorgum::sor {

// A copy of a caller's rows, as places: each of the matrix, in any order and as often as he likes.
class GivenRows {
public:
    // int64; each stands for so many rows together. Throws if there is another number.
    GivenRows(const char* function, const Structure& structure, const ArrayView& rows, index_t together);

    const index_t* places() const { return places_.data(); }
    index_t count() const { return count_; }

private:
    AlignedArray<index_t> places_;
    index_t count_;
};

// One step, forward from the first of them to the last, or backward, by one thread. `step.change` is not looked at.
template <class T>
void sweep(const System<T>& system, Step<T> step, const GivenRows& rows, const T* b, T* x, InterruptPoll& poll);

}  // namespace sorgum::sor
