// The threads that work on a row together: those of a warp or of a block. On the host the calling thread does the work
// of each of them, one after the other, by the same code.
//
// Code over a group G is written from the group's side. Own<T> is a variable that every thread has for itself, owned[t]
// that of thread t. each(f) calls f(t) for every thread; f touches nothing but what is t's own and global memory that
// is t's alone. phase(f) does, too, and f may also use memory that the group shares, as long as no two threads of the
// phase want the same place of which one writes; a phase ends with a barrier, so that the next one sees it all.
// exchange(a, mask) is a[t ^ mask] for every thread t, mask below kWarp. All threads take the same branches of such
// code: only f may depend on t.
#pragma once

#include "core/config.h"
#include "core/types.h"

// Code over a group exists on the device or, in tests, on the host.
#if defined(__CUDACC__)
#define SORGUM_GROUP __device__ __forceinline__
#define SORGUM_UNROLL _Pragma("unroll")  // for arrays that are to live in registers
#else
#define SORGUM_GROUP inline
#define SORGUM_UNROLL
#endif

SORGUM_ISA_BEGIN

inline constexpr int kWarp = 32;

#if defined(__CUDACC__)

template <int threads>
struct DeviceGroup {
    static constexpr int size = threads;

    template <class T>
    struct Own {
        T value;
        __device__ T& operator[](int) { return value; }
        __device__ const T& operator[](int) const { return value; }
    };

    template <class F>
    __device__ __forceinline__ void each(F&& f) const {
        f(static_cast<int>(threadIdx.x) % threads);
    }
    template <class F>
    __device__ __forceinline__ void phase(F&& f) const {
        each(f);
        if constexpr (threads == kWarp)
            __syncwarp();
        else
            __syncthreads();
    }
    template <class T>
    __device__ __forceinline__ Own<T> exchange(const Own<T>& a, int mask) const {
        return {__shfl_xor_sync(0xFFFFFFFFu, a.value, mask)};
    }
};

#endif

// In a phase the threads run in the order of t ^ `shuffle`: a result that depends on it shows two threads that want the
// same place.
template <int threads>
struct HostGroup {
    static constexpr int size = threads;
    int shuffle = 0;

    template <class T>
    struct Own {
        T value[threads];
        T& operator[](int t) { return value[t]; }
        const T& operator[](int t) const { return value[t]; }
    };

    template <class F>
    void each(F&& f) const {
        for (int t = 0; t < threads; ++t)
            f(t ^ shuffle);
    }
    template <class F>
    void phase(F&& f) const {
        each(f);
    }
    template <class T>
    Own<T> exchange(const Own<T>& a, int mask) const {
        Own<T> b;
        for (int t = 0; t < threads; ++t)
            b[t] = a[t ^ mask];
        return b;
    }
};

SORGUM_ISA_END
