// The back end of the unit being compiled. Each header defines the same operations under the same names.
#pragma once

#if defined(SORGUM_ISA_AVX512)
#include "simd/avx512.h"
#elif defined(SORGUM_ISA_AVX2)
#include "simd/avx2.h"
#else
#include "simd/scalar.h"
#endif

SORGUM_ISA_BEGIN

inline constexpr int kLanes = 16;  // of every vector, for every dtype and instruction set (N3)

template <class T>
struct vector_of;
template <>
struct vector_of<float> {
    using type = f32x16;
};
template <>
struct vector_of<double> {
    using type = f64x16;
};
template <class T>
using vec = typename vector_of<T>::type;

SORGUM_ISA_END
