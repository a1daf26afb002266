#include "core/isa.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace sorgum {

namespace {

constexpr const char* kNames[kIsaCount] = {"scalar", "avx2", "avx512"};

// Bit positions: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2A, CPUID; volume 1, chapter 13
// (XCR0).
constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kF16c = 1u << 29;              // leaf 1, ecx
constexpr unsigned kAvx2 = 1u << 5, kAvx512f = 1u << 16, kAvx512dq = 1u << 17;                           // leaf 7, ebx
constexpr unsigned kAvx512bw = 1u << 30, kAvx512vl = 1u << 31;                                           // leaf 7, ebx
constexpr unsigned kXmm = 1u << 1, kYmm = 1u << 2, kOpmask = 1u << 5, kZmm = 1u << 6, kHiZmm = 1u << 7;  // XCR0

bool has_all(unsigned word, unsigned bits) { return (word & bits) == bits; }

}  // namespace

const char* isa_name(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool parse_isa(std::string_view name, Isa* isa) {
    for (int i = 0; i < kIsaCount; ++i) {
        if (name == kNames[i]) {
            *isa = static_cast<Isa>(i);
            return true;
        }
    }
    return false;
}

std::string isa_choices() {
    std::string text;
    for (const char* const name : kNames) {
        text += std::string(text.empty() ? "'" : ", '") + name + "'";
    }
    return text;
}

CpuFacts read_cpu_facts() {
    CpuFacts facts = {0, 0, 0};
#if defined(__x86_64__) || defined(__i386__)
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        facts.leaf1_ecx = ecx;
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        facts.leaf7_ebx = ebx;
    }
    if (has_all(facts.leaf1_ecx, kOsxsave)) {
        unsigned low = 0, high = 0;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));  // the intrinsic would need -mxsave
        facts.xcr0 = low;
    }
#endif
    return facts;
}

bool supports(const CpuFacts& facts, Isa isa) {
    const bool avx2 = has_all(facts.leaf1_ecx, kOsxsave | kAvx | kFma | kF16c) && has_all(facts.leaf7_ebx, kAvx2) &&
                      has_all(facts.xcr0, kXmm | kYmm);
    const bool avx512 = avx2 && has_all(facts.leaf7_ebx, kAvx512f | kAvx512dq | kAvx512bw | kAvx512vl) &&
                        has_all(facts.xcr0, kOpmask | kZmm | kHiZmm);
    switch (isa) {
        case Isa::scalar:
            return true;
        case Isa::avx2:
            return avx2;
        case Isa::avx512:
            return avx512;
    }
    return false;
}

}  // namespace sorgum
