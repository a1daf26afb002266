// The floating-point environment that kernels run under (N8): round to nearest even, subnormals kept, no traps.
#pragma once

namespace sorgum {

#if defined(__x86_64__) || defined(__i386__)

// MXCSR after a reset: all exceptions masked, round to nearest, neither FTZ nor DAZ (Intel 64 and IA-32 Architectures
// Software Developer's Manual, volume 1, section 10.2.3).
inline constexpr unsigned kDefaultMxcsr = 0x1F80;

// Restoring the saved word also drops the sticky exception flags that kernels raise, so that callers see none of them.
class FpGuard {
public:
    FpGuard() : saved_(__builtin_ia32_stmxcsr()) {
        if (saved_ != kDefaultMxcsr) {
            __builtin_ia32_ldmxcsr(kDefaultMxcsr);
        }
    }
    ~FpGuard() { __builtin_ia32_ldmxcsr(saved_); }
    FpGuard(const FpGuard&) = delete;
    FpGuard& operator=(const FpGuard&) = delete;

private:
    unsigned saved_;
};

#else

class FpGuard {
public:
    FpGuard() {}
    ~FpGuard() {}
    FpGuard(const FpGuard&) = delete;
    FpGuard& operator=(const FpGuard&) = delete;
};

#endif

}  // namespace sorgum
