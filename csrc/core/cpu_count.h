// How many CPUs this process may use.
#pragma once

#include <string>

namespace sorgum {

// The CPUs of the affinity mask, or the CPU quota of the control group rounded up where that is less; at least 1.
int usable_cpus();

// The quota alone, 0 where there is none. `groups` is a file like /proc/self/cgroup, `mount` a tree like
// /sys/fs/cgroup; tests give others.
int control_group_cpus(const std::string& groups, const std::string& mount);

}  // namespace sorgum
