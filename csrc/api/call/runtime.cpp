#include "api/call/runtime.h"

#include "core/error.h"
#include "core/parallel.h"
#include "dispatch/dispatch.h"

namespace sorgum::runtime {

void initialise() {
    initialise_dispatch();
    num_threads();
}

std::string isa() { return isa_name(active_isa()); }

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const Isa available : sorgum::available_isas()) {
        names.emplace_back(isa_name(available));
    }
    return names;
}

void set_isa(const std::string& name) {
    Isa wanted;
    if (!parse_isa(name, &wanted)) {
        throw ValueError("set_isa: name must be one of " + isa_choices() + ", got '" + name + "'");
    }
    sorgum::set_isa(wanted);
}

void count_kernel_calls() { sorgum::count_kernel_calls(); }

std::vector<std::int64_t> kernel_calls() { return sorgum::kernel_calls(); }

std::vector<std::string> families() { return sorgum::families(); }

std::vector<std::string> kernel_names() { return sorgum::kernel_names(); }

}  // namespace sorgum::runtime
