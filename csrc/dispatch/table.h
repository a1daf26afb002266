// The kernels of one instruction set: a table of function pointers per family, and one per layer that families share.
// The build writes isa/holders.inc, a line per layer and family, and isa/units.inc, a line per instruction set and
// table; dispatch/<family>.h has what a table holds.
#pragma once

namespace sorgum {

#define SORGUM_FAMILY(family) \
    namespace family {        \
    struct Table;             \
    }
#include "isa/holders.inc"
#undef SORGUM_FAMILY

// Constants, each defined by the unit of its instruction set and family: to look at one runs none of the unit's code,
// so that a table may be compiled for a processor that this one is not.
#define SORGUM_UNIT(isa, family)               \
    namespace isa {                            \
    extern const family::Table family##_table; \
    }
#include "isa/units.inc"
#undef SORGUM_UNIT

struct KernelTable {
#define SORGUM_FAMILY(family) const family::Table* family##_table;
#include "isa/holders.inc"
#undef SORGUM_FAMILY
};

}  // namespace sorgum
