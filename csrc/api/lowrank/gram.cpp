#include "api/linalg/gram.h"

#include <string>

#include "api/call/stored.h"
#include "api/lowrank/lowrank.h"
#include "core/error.h"

namespace sorgum::lowrank {

void gram(const ArrayView& x, const ArrayView& out) {
    constexpr const char* name = "gram";
    check_float(name, "x", x);
    if (x.ndim != 2)
        throw ValueError(std::string(name) + ": x must have two axes, got shape " + shape_text(x.shape, x.ndim));
    linalg::gram(name, x, 0, out);
}

}  // namespace sorgum::lowrank
