// The dispatcher, in a build that has the scalar kernels only.
#include <cstdlib>
#include <set>
#include <string>

#include "check.h"
#include "core/error.h"
#include "dispatch/dispatch.h"

using sorgum::Isa;
using sorgum::MachineError;

int main() {
    setenv("SORGUM_ISA", "avx9", 1);
    CHECK_THROWS(MachineError, "SORGUM_ISA: must be one of 'scalar', 'avx2', 'avx512', got 'avx9'",
                 sorgum::initialise_dispatch());
    setenv("SORGUM_ISA", "avx2", 1);
    CHECK_THROWS(MachineError, "SORGUM_ISA: must be supported by this machine and build ('scalar'), got 'avx2'",
                 sorgum::active_isa());
    setenv("SORGUM_ISA", "", 1);
    sorgum::initialise_dispatch();
    CHECK(sorgum::active_isa() == Isa::scalar);
    CHECK(sorgum::available_isas().size() == 1);

    CHECK_THROWS(MachineError, "set_isa: name must be supported by this machine and build ('scalar'), got 'avx512'",
                 sorgum::set_isa(Isa::avx512));
    CHECK(sorgum::active_isa() == Isa::scalar);
    sorgum::set_isa(Isa::scalar);
    CHECK(sorgum::active_isa() == Isa::scalar);

    // Every family has its table, and every kernel a name of its own.
#define SORGUM_FAMILY(family) CHECK(sorgum::kernels().family##_table == &sorgum::scalar::family##_table);
#include "isa/families.inc"
#undef SORGUM_FAMILY
    const std::vector<std::string> names = sorgum::kernel_names();
    CHECK(!names.empty() && std::set<std::string>(names.begin(), names.end()).size() == names.size());
    return check::finish();
}
