// CPU limits of control groups, read from files made here: versions 1 and 2 of Linux's interface.
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "check.h"
#include "core/cpu_count.h"

namespace {

namespace fs = std::filesystem;

// A folder with a file `groups`, as /proc/self/cgroup, and a tree `mount`, as /sys/fs/cgroup.
class Files {
public:
    Files() {
        std::string name = (fs::temp_directory_path() / "sorgum-XXXXXX").string();
        root_ = mkdtemp(name.data());
    }
    ~Files() { fs::remove_all(root_); }
    Files(const Files&) = delete;
    Files& operator=(const Files&) = delete;

    void write(const std::string& path, const std::string& text) const {
        const fs::path whole = root_ / path;
        fs::create_directories(whole.parent_path());
        std::ofstream(whole) << text;
    }
    int cpus() const { return sorgum::control_group_cpus((root_ / "groups").string(), (root_ / "mount").string()); }

private:
    fs::path root_;
};

int cpus_v2(const std::string& cpu_max) {
    const Files files;
    files.write("groups", "0::/work\n");
    files.write("mount/work/cpu.max", cpu_max);
    return files.cpus();
}

int cpus_v1(const std::string& quota, const std::string& period) {
    const Files files;
    files.write("groups", "12:pids:/work\n4:cpu,cpuacct:/work\n1:name=systemd:/work\n0::/work\n");
    files.write("mount/cpu,cpuacct/work/cpu.cfs_quota_us", quota);
    files.write("mount/cpu,cpuacct/work/cpu.cfs_period_us", period);
    return files.cpus();
}

void quotas_are_rounded_up() {
    CHECK(cpus_v2("200000 100000\n") == 2);
    CHECK(cpus_v2("150000 100000\n") == 2);
    CHECK(cpus_v2("100001 100000\n") == 2);
    CHECK(cpus_v2("100000 100000\n") == 1);
    CHECK(cpus_v2("1000 100000\n") == 1);
    CHECK(cpus_v1("200000\n", "100000\n") == 2);
    CHECK(cpus_v1("50000\n", "100000\n") == 1);
    CHECK(cpus_v1("350000\n", "100000\n") == 4);
}

void no_limit_is_none() {
    CHECK(cpus_v2("max 100000\n") == 0);
    CHECK(cpus_v1("-1\n", "100000\n") == 0);
    const Files nothing;
    CHECK(nothing.cpus() == 0);
    nothing.write("groups", "0::/work\n");
    CHECK(nothing.cpus() == 0);
}

void malformed_files_are_no_limit() {
    for (const char* const text :
         {"", "\n", "100000", "100000 0", "0 100000", "-5 100000", "a b", "1e300 1", "nan 1"}) {
        CHECK(cpus_v2(text) == 0);
        CHECK(cpus_v1(text, text) <= 1);
        CHECK(cpus_v1("100000", "") == 0);
    }
    for (const char* const line : {"", ":", "::", "0:", "0:cpu", "x\ny", "0::", "4:cpu:", "\0"}) {
        const Files files;
        files.write("groups", line);
        CHECK(files.cpus() == 0);
    }
}

// The groups above bind too, and inside a container only the mount's root may exist.
void the_smallest_limit_on_the_way_up_counts() {
    const Files files;
    files.write("groups", "0::/outer/inner\n");
    files.write("mount/outer/inner/cpu.max", "800000 100000\n");
    CHECK(files.cpus() == 8);
    files.write("mount/outer/cpu.max", "300000 100000\n");
    CHECK(files.cpus() == 3);
    files.write("mount/cpu.max", "max 100000\n");
    CHECK(files.cpus() == 3);
    files.write("mount/cpu.max", "100000 100000\n");
    CHECK(files.cpus() == 1);

    const Files container;
    container.write("groups", "0::/a/path/of/the/host\n");
    container.write("mount/cpu.max", "250000 100000\n");
    CHECK(container.cpus() == 3);
}

// Version 1 has one tree per controller; another controller's, cpuset for one, says nothing here.
void only_the_controller_cpu_counts() {
    const Files files;
    files.write("groups", "3:cpuset:/work\n2:cpuacct:/work\n");
    for (const char* const tree : {"cpuset", "cpuacct"}) {
        files.write(std::string("mount/") + tree + "/work/cpu.cfs_quota_us", "100000\n");
        files.write(std::string("mount/") + tree + "/work/cpu.cfs_period_us", "100000\n");
    }
    CHECK(files.cpus() == 0);
}

}  // namespace

int main() {
    quotas_are_rounded_up();
    no_limit_is_none();
    malformed_files_are_no_limit();
    the_smallest_limit_on_the_way_up_counts();
    only_the_controller_cpu_counts();
    CHECK(sorgum::usable_cpus() >= 1);
    return check::finish();
}
