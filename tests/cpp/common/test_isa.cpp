// Names of instruction sets, and which facts about a processor and an operating system make one usable.
#include <string>

#include "check.h"
#include "core/isa.h"

using sorgum::CpuFacts;
using sorgum::Isa;
using sorgum::supports;

namespace {

// Leaf 1 ecx: FMA 12, OSXSAVE 27, AVX 28, F16C 29. Leaf 7 ebx: AVX2 5, AVX-512 F 16, DQ 17, BW 30, VL 31.
// XCR0: xmm 1, ymm 2, opmask 5, upper halves of zmm 6, zmm16 to zmm31 7.
constexpr CpuFacts kAll = {1u << 12 | 1u << 27 | 1u << 28 | 1u << 29,
                           1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31,
                           1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 7};

constexpr CpuFacts without(unsigned leaf1, unsigned leaf7, unsigned xcr0) {
    return {kAll.leaf1_ecx & ~leaf1, kAll.leaf7_ebx & ~leaf7, kAll.xcr0 & ~xcr0};
}

void each_missing_bit_takes_its_instruction_set_away() {
    CHECK(supports(kAll, Isa::scalar) && supports(kAll, Isa::avx2) && supports(kAll, Isa::avx512));
    CHECK(supports(CpuFacts{0, 0, 0}, Isa::scalar));
    for (const int bit : {12, 27, 28, 29}) {
        const CpuFacts facts = without(1u << bit, 0, 0);
        CHECK(!supports(facts, Isa::avx2) && !supports(facts, Isa::avx512));
    }
    CHECK(!supports(without(0, 1u << 5, 0), Isa::avx2) && !supports(without(0, 1u << 5, 0), Isa::avx512));
    for (const int bit : {16, 17, 30, 31}) {
        const CpuFacts facts = without(0, 1u << bit, 0);
        CHECK(supports(facts, Isa::avx2) && !supports(facts, Isa::avx512));
    }
    for (const int bit : {1, 2}) {
        CHECK(!supports(without(0, 0, 1u << bit), Isa::avx2) && !supports(without(0, 0, 1u << bit), Isa::avx512));
    }
    for (const int bit : {5, 6, 7}) {
        CHECK(supports(without(0, 0, 1u << bit), Isa::avx2) && !supports(without(0, 0, 1u << bit), Isa::avx512));
    }
}

void names_go_both_ways() {
    Isa isa = Isa::scalar;
    CHECK(sorgum::parse_isa("avx2", &isa) && isa == Isa::avx2);
    CHECK(sorgum::parse_isa("avx512", &isa) && isa == Isa::avx512);
    CHECK(sorgum::parse_isa("scalar", &isa) && isa == Isa::scalar);
    for (const char* const name : {"", "AVX2", "avx", "avx512f", "native"}) {
        CHECK(!sorgum::parse_isa(name, &isa));
    }
    CHECK(!sorgum::parse_isa(std::string_view("avx2\0x", 6), &isa));
    CHECK(std::string(sorgum::isa_name(Isa::avx512)) == "avx512");
    CHECK(sorgum::isa_choices() == "'scalar', 'avx2', 'avx512'");
}

// The compiler's own idea of the processor, where it has one.
void detection_agrees_with_the_compiler() {
#if defined(__x86_64__)
    const CpuFacts facts = sorgum::read_cpu_facts();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    CHECK(supports(facts, Isa::avx2) == avx2);
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    CHECK(supports(facts, Isa::avx512) == avx512);
#endif
}

}  // namespace

int main() {
    each_missing_bit_takes_its_instruction_set_away();
    names_go_both_ways();
    detection_agrees_with_the_compiler();
    return check::finish();
}
