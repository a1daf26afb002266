// What the tests that are compiled for an instruction set share.
#pragma once

#include <cstring>
#include <random>

#include "check.h"
#include "core/isa.h"
#include "math/exact_sum.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using Random = std::mt19937_64;

inline double unit(Random& r) { return static_cast<double>(r() >> 11) * 0x1p-53; }
inline double between(Random& r, double low, double high) { return low + (high - low) * unit(r); }
inline index_t integer_between(Random& r, index_t low, index_t high) {
    return low + static_cast<index_t>(r() % static_cast<std::uint64_t>(high - low + 1));
}

template <class T>
bool same_bits(T a, T b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0;
}

inline bool same_sum(const ExactSum& a, const ExactSum& b) {
    bool same = a.top == b.top;
    for (int i = 0; i < kExactSumBins; ++i)
        same = same && a.bin[i] == b.bin[i];
    return same;
}

SORGUM_ISA_END

// Nothing that is compiled for the instruction set runs before this question is answered.
inline int run_where_supported(void (*all)()) {
    if (!sorgum::supports(sorgum::read_cpu_facts(), sorgum::Isa::SORGUM_ISA))
        return 77;
    all();
    return check::finish();
}
