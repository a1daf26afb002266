// The floating-point environment that kernels run under (N8): round to nearest even, subnormals kept, no traps.
#pragma once

#include <cstdint>

namespace sorgum {

// One word holds how operations round and the sticky flags that they raise.
#if defined(__x86_64__) || defined(__i386__)

// MXCSR after a reset: all exceptions masked, round to nearest, neither FTZ nor DAZ (Intel 64 and IA-32 Architectures
// Software Developer's Manual, volume 1, section 10.2.3).
inline constexpr std::uint64_t kDefaultFpWord = 0x1F80, kFpFlags = 0x3F;
inline constexpr std::uint64_t kHostileFpWord = 0x1F80 | 0x8040 | 0x6000;  // FTZ, DAZ, round towards zero: for tests
inline std::uint64_t fp_word() { return __builtin_ia32_stmxcsr(); }
inline void set_fp_word(std::uint64_t word) { __builtin_ia32_ldmxcsr(static_cast<unsigned>(word)); }

#elif defined(__aarch64__)

// FPCR in the lower half, FPSR, which has the flags, in the upper one. FPCR 0: no traps, round to nearest, FZ off (Arm
// Architecture Reference Manual for A-profile, FPCR).
inline constexpr std::uint64_t kDefaultFpWord = 0, kFpFlags = std::uint64_t(0xFFFFFFFF) << 32;
inline constexpr std::uint64_t kHostileFpWord = 1u << 24 | 3u << 22;  // FZ, round towards zero
inline std::uint64_t fp_word() {
    std::uint64_t control = 0, status = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("mrs %0, fpsr" : "=r"(status));
    return control | status << 32;
}
inline void set_fp_word(std::uint64_t word) {
    __asm__ volatile("msr fpcr, %0" : : "r"(word & 0xFFFFFFFF) : "memory");
    __asm__ volatile("msr fpsr, %0" : : "r"(word >> 32) : "memory");
}

#else

inline constexpr std::uint64_t kDefaultFpWord = 0, kFpFlags = 0, kHostileFpWord = 0;  // as the system left it
inline std::uint64_t fp_word() { return kDefaultFpWord; }
inline void set_fp_word(std::uint64_t) {}

#endif

// Restoring the saved word also drops the sticky flags that kernels raise, so that callers see none of them.
class FpGuard {
public:
    FpGuard() : saved_(fp_word()) {
        if ((saved_ & ~kFpFlags) != kDefaultFpWord) {
            set_fp_word(kDefaultFpWord);
        }
    }
    ~FpGuard() { set_fp_word(saved_); }
    FpGuard(const FpGuard&) = delete;
    FpGuard& operator=(const FpGuard&) = delete;

private:
    std::uint64_t saved_;
};

}  // namespace sorgum
