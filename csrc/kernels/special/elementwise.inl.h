#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/special/elementwise.h"
#include "math/exp.h"
#include "math/log.h"

SORGUM_ISA_BEGIN

template <class T>
void exp_kernel(const T* x, T* y, index_t n, bool streaming) {
    map_elements(x, y, n, streaming, [](vec<T> v) SORGUM_LAMBDA { return exp(v); });
    stream_fence();
}

template <class T>
void log_kernel(const T* x, T* y, index_t n, bool streaming) {
    map_elements(x, y, n, streaming, [](vec<T> v) SORGUM_LAMBDA { return log(v); });
    stream_fence();
}

SORGUM_ISA_END
