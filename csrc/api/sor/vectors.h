// Vectors and numbers of the methods of a Relaxation and of the functions on one: checked here, and brought to the
// places of its rows.
#pragma once

#include <cstdio>
#include <string>

#include "api/sor/csr.h"
#include "api/sor/system.h"
#include "core/error.h"

namespace sorgum::sor {

inline std::string number_text(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value);
    return text;
}

template <class T>
T omega_of(const char* function, double omega) {
    const T rounded = static_cast<T>(omega);
    if (!(rounded > T(0) && rounded < T(2)))
        throw ValueError(std::string(function) + ": omega must be between 0 and 2 and neither of them, got " +
                         number_text(omega));
    return rounded;
}

template <class T>
const T* vector_of(const char* function, const char* argument, const ArrayView& view, index_t n) {
    return static_cast<const T*>(vector_data(function, argument, view, sizeof(T) == 4 ? DType::f32 : DType::f64, n));
}

inline void check_writable(const char* function, const char* argument, const ArrayView& view) {
    if (!view.writable)
        throw ValueError(std::string(function) + ": " + argument + " must be writable, got a read-only array");
}

// Vectors of one length.
inline void check_apart(const char* function, const char* written, const void* x, const char* read, const void* b,
                        index_t bytes) {
    const auto *const p = static_cast<const char*>(x), *const q = static_cast<const char*>(b);
    if (bytes > 0 && p < q + bytes && q < p + bytes)
        throw ValueError(std::string(function) + ": " + written + " must not overlap " + read +
                         ", got arrays that share memory");
}

// A vector of rows as one of places: itself in natural order, else a copy.
template <class T>
class AtPlaces {
public:
    AtPlaces(const Structure& structure, const T* rows) {
        if (rows == nullptr || structure.places.rows.empty()) {
            data_ = const_cast<T*>(rows);
        } else {
            copy_.reserve(structure.padded_rows());
            to_places(structure, rows, copy_.data());
            data_ = copy_.data();
        }
    }
    T* data() const { return data_; }

private:
    AlignedArray<T> copy_;
    T* data_;
};

}  // namespace sorgum::sor
