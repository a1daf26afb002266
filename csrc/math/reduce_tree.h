// The tree of float additions inside a chunk (N5).
#pragma once

#include "math/lane.h"

SORGUM_ISA_BEGIN

inline constexpr int kGroup = 8;  // vectors per tree (N4)

// A balanced tree over f(0) .. f(count - 1), made as the values come.
template <int count, class F>
SORGUM_HD auto tree_sum(F&& f, int first = 0) {
    if constexpr (count == 1)
        return f(first);
    else {
        const auto left = tree_sum<count / 2>(f, first);
        return left + tree_sum<count / 2>(f, first + count / 2);
    }
}

SORGUM_ISA_END
