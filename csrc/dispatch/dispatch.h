// Which instruction set's kernels run. The choice is made once and holds for the process until set_isa() changes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/isa.h"
#include "dispatch/table.h"

namespace sorgum {

// Makes the first choice: what SORGUM_ISA says, else the best there is. Throws MachineError if it names an instruction
// set that is unknown, not compiled or not supported here. Later calls do nothing; every other function here calls it.
void initialise_dispatch();

const KernelTable& kernels();
Isa active_isa();
std::vector<Isa> available_isas();  // compiled and supported here, worst first
void set_isa(Isa isa);              // throws MachineError if it is not available

// For tests: from now to the next set_isa(), calls of kernels are counted, from 0 on. No call may be running.
void count_kernel_calls();
std::vector<std::int64_t> kernel_calls();  // in the order of kernel_names()

std::vector<std::string> families();      // in the order of SORGUM_FAMILIES
std::vector<std::string> kernel_names();  // "special.exp.f32", in the order of the enumerator

}  // namespace sorgum
