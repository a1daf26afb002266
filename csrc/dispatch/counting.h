// Tables whose functions count their calls and make them: how a test sees that a kernel ran.
#pragma once

#include "dispatch/table.h"

namespace sorgum {

// The counts begin at 0. One set of tables is counted at a time.
KernelTable counting_tables(const KernelTable& counted);

}  // namespace sorgum
