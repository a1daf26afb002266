// Run-time controls, by the names that users type.
#pragma once

#include <string>
#include <vector>

namespace sorgum::runtime {

// Reads SORGUM_ISA, SORGUM_NUM_THREADS and OMP_NUM_THREADS; throws MachineError if one of them is malformed.
void initialise();

std::string isa();
std::vector<std::string> available_isas();  // worst first
void set_isa(const std::string& name);      // ValueError: unknown; MachineError: not available here
std::vector<std::string> kernel_names();    // "special.exp.f32"

}  // namespace sorgum::runtime
