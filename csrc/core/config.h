// Compiler-level facts that every other header relies on.
#pragma once

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ != 0)
#error "sorgum: -ffast-math and -Ofast break the arithmetic contract (docs/numerics.md, N2)"
#endif

#define SORGUM_NOINLINE __attribute__((noinline))

// Everything that a kernel calls is inlined, since vectors live in registers. Exceptions are the scalar kernels, whose
// vectors live in memory (inlined, 16 lanes per operation would take minutes to compile), and builds with a sanitizer's
// checks in them.
#if defined(__CUDACC__)
#define SORGUM_HD __host__ __device__ __forceinline__
#elif defined(SORGUM_ISA_SCALAR) || defined(SORGUM_SANITIZE)
#define SORGUM_HD inline
#else
#define SORGUM_HD inline __attribute__((always_inline))
#endif
#if defined(SORGUM_ISA_SCALAR) || defined(SORGUM_SANITIZE)
#define SORGUM_INLINE inline
#define SORGUM_LAMBDA
#else
#define SORGUM_INLINE inline __attribute__((always_inline))
#define SORGUM_LAMBDA __attribute__((always_inline))
#endif

// The namespace of code that is compiled once per instruction set. SORGUM_ISA is set by the build for the units in
// csrc/isa; elsewhere it is the baseline. The inner unnamed namespace gives internal linkage, so that the linker can
// never replace one instruction set's instance of a template by another's.
#ifndef SORGUM_ISA
#define SORGUM_ISA baseline
#endif
#define SORGUM_ISA_BEGIN   \
    namespace sorgum {     \
    namespace SORGUM_ISA { \
    namespace {
#define SORGUM_ISA_END \
    }                  \
    }                  \
    }
