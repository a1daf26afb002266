// The values of a matrix in the places that its structure has for them.
#pragma once

#include <memory>

#include "api/sor/structure.h"

namespace sorgum::sor {

template <class T>
struct Values {
    AlignedArray<T> slots;     // 16 numbers per slot
    AlignedArray<T> diagonal;  // of each place
    T largest = 0;             // magnitude of an entry beside the diagonal
};

// 1 / (a_ii + shift) of each place.
template <class T>
struct Inverse {
    AlignedArray<T> of_diagonal;
    T shift = 0;
};

// `data` as the matrix had it. Throws if a diagonal, its reciprocal, or an entry over its diagonal is no normal or
// finite number.
template <class T>
Values<T> values_of(const char* function, const Structure& structure, const T* data);
template <class T>
Inverse<T> inverse_of(const char* function, const Structure& structure, const Values<T>& values, T shift);

}  // namespace sorgum::sor
