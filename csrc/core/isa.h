// The instruction sets that kernels are compiled for, and what this processor and operating system offer of them.
#pragma once

#include <string>
#include <string_view>

namespace sorgum {

enum class Isa : unsigned char { scalar, avx2, avx512 };  // worst first

inline constexpr int kIsaCount = 3;

// What CPUID and XGETBV report: a struct, so that tests can ask supports() about processors that they do not run on.
struct CpuFacts {
    unsigned leaf1_ecx;  // CPUID leaf 1
    unsigned leaf7_ebx;  // CPUID leaf 7, subleaf 0
    unsigned xcr0;       // register state that the operating system saves; 0 without OSXSAVE
};

const char* isa_name(Isa isa);
bool parse_isa(std::string_view name, Isa* isa);  // false for an unknown name
std::string isa_choices();                        // "'scalar', 'avx2', 'avx512'", for messages
CpuFacts read_cpu_facts();
bool supports(const CpuFacts& facts, Isa isa);

}  // namespace sorgum
