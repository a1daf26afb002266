// How many CPUs this process may use.
#pragma once

namespace sorgum {

// The CPUs of the affinity mask, or the CPU quota of the control group rounded up where that is less; at least 1.
int usable_cpus();

}  // namespace sorgum
