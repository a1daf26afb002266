// Run-time controls, by the names that users type.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sorgum::runtime {

// Reads SORGUM_ISA, SORGUM_NUM_THREADS and OMP_NUM_THREADS; throws MachineError if one of them is malformed.
void initialise();

std::string isa();
std::vector<std::string> available_isas();  // worst first
void set_isa(const std::string& name);      // ValueError: unknown; MachineError: not available here
void count_kernel_calls();                  // until the next set_isa(): for tests
std::vector<std::int64_t> kernel_calls();   // in the order of kernel_names()
std::vector<std::string> families();
std::vector<std::string> kernel_names();  // "special.exp.f32"

}  // namespace sorgum::runtime
