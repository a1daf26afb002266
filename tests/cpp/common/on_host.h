// What the tests of csrc/cuda on the host share: groups of threads, for which the host stands in, and arrays as the
// CPU's functions take them.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/types.h"
#include "cuda/common/deal.h"
#include "cuda/common/group.h"

SORGUM_ISA_BEGIN

using cuda::RowClass;
using Random = std::mt19937_64;
using WarpGroup = HostGroup<kWarp>;
using BlockGroup = HostGroup<cuda::kBlock>;

// With a sanitizer's checks in it, all of it would take minutes: one in so many cases will do.
constexpr index_t one_in([[maybe_unused]] index_t sanitized) {
#if defined(SORGUM_SANITIZE)
    return sanitized;
#else
    return 1;
#endif
}

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

ArrayView view(const void* data, DType dtype, std::vector<index_t> shape, std::vector<index_t> strides) {
    ArrayView v = {};
    v.data = const_cast<void*>(data);
    v.dtype = dtype;
    v.writable = true;
    v.ndim = static_cast<int>(shape.size());
    std::copy(shape.begin(), shape.end(), v.shape);
    std::copy(strides.begin(), strides.end(), v.strides);
    return v;
}

SORGUM_ISA_END
