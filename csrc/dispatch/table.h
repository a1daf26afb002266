// The table of kernels of one instruction set: a function pointer per line of kernels/kernels.inc.
#pragma once

#include "core/config.h"
#include "kernels/memory/kernels.h"
#include "kernels/random/kernels.h"
#include "kernels/special/kernels.h"

namespace sorgum {

// special_exp_f32 and so on.
struct KernelTable {
#define SORGUM_KERNEL(family, name, type, suffix) family::name##_fn<type>* family##_##name##_##suffix;
#include "kernels/kernels.inc"
#undef SORGUM_KERNEL
};

// special_exp(table, T()) is the kernel for element type T: code that is a template of T picks with it.
#define SORGUM_KERNEL(family, name, type, suffix)                                                    \
    SORGUM_INLINE family::name##_fn<type>* family##_##name(const KernelTable& table, type /*tag*/) { \
        return table.family##_##name##_##suffix;                                                     \
    }
#include "kernels/kernels.inc"
#undef SORGUM_KERNEL

}  // namespace sorgum
