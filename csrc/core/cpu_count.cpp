#include "core/cpu_count.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace sorgum {

namespace {

int at_least_one(int n) { return std::max(n, 1); }

#if defined(__linux__)

int affinity_cpus() {
    // The kernel refuses a mask smaller than its own: ask again with twice the size.
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t* const mask = CPU_ALLOC(static_cast<unsigned>(cpus));
        if (mask == nullptr) {
            return 0;
        }
        const std::size_t size = CPU_ALLOC_SIZE(static_cast<unsigned>(cpus));
        const int failed = sched_getaffinity(0, size, mask);
        const int found = failed != 0 ? 0 : CPU_COUNT_S(size, mask);
        CPU_FREE(mask);
        if (found > 0) {
            return found;
        }
    }
    return 0;
}

// Quota over period, rounded up; 0 where there is no limit.
int quota_cpus(double quota, double period) {
    if (!(quota > 0) || !(period > 0) || !(quota / period < 1e6)) {
        return 0;
    }
    return at_least_one(static_cast<int>(std::ceil(quota / period)));
}

int quota_v2(const std::string& folder) {
    std::ifstream file(folder + "/cpu.max");  // "max 100000" or "150000 100000"
    double quota = 0, period = 0;
    return file >> quota >> period ? quota_cpus(quota, period) : 0;
}

int quota_v1(const std::string& folder) {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
    double quota = 0, period = 0;
    return quota_file >> quota && period_file >> period ? quota_cpus(quota, period) : 0;
}

// A group is bound by its own quota and by those of the groups above it. Inside a container the path may be the
// host's and not exist; the walk up then still meets the root of the mount, which is the container's own group.
int smallest_quota(const std::string& mount, std::string group, int (*read)(const std::string&)) {
    int smallest = 0;
    while (true) {
        const int cpus = read(mount + group);
        if (cpus > 0 && (smallest == 0 || cpus < smallest)) {
            smallest = cpus;
        }
        const std::size_t slash = group.rfind('/');
        if (slash == std::string::npos) {
            return smallest;
        }
        group.resize(slash);
    }
}

}  // namespace

int control_group_cpus(const std::string& groups, const std::string& mount) {
    std::ifstream file(groups);  // lines "hierarchy:controllers:path"; version 2 has "0::path"
    int smallest = 0;
    for (std::string line; std::getline(file, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string group = line.substr(second + 1);
        int cpus = 0;
        if (controllers.empty()) {
            cpus = smallest_quota(mount, group, quota_v2);
        } else {
            std::istringstream names(controllers);
            for (std::string name; std::getline(names, name, ',');) {
                if (name == "cpu") {
                    cpus = smallest_quota(mount + "/" + controllers, group, quota_v1);
                }
            }
        }
        if (cpus > 0 && (smallest == 0 || cpus < smallest)) {
            smallest = cpus;
        }
    }
    return smallest;
}

#else

}  // namespace

int control_group_cpus(const std::string&, const std::string&) { return 0; }

#endif

int usable_cpus() {
#if defined(__linux__)
    int cpus = affinity_cpus();
    if (cpus == 0) {
        cpus = static_cast<int>(std::thread::hardware_concurrency());
    }
    const int quota = control_group_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota > 0) {
        cpus = std::min(cpus, quota);
    }
    return at_least_one(cpus);
#else
    return at_least_one(static_cast<int>(std::thread::hardware_concurrency()));
#endif
}

}  // namespace sorgum
