// Many small systems of one pattern at once.
#pragma once

#include <optional>

#include "api/sor/csr.h"

namespace sorgum::sor {

struct BatchArguments {
    CsrArrays a;                     // the pattern, and the values where `data` is absent
    std::optional<ArrayView> data;   // (systems, entries)
    std::optional<ArrayView> shift;  // (systems,), of the diagonal
    ArrayView b, x;                  // (systems, rows); x: where to begin, overwritten
    std::optional<ArrayView> omega;  // (systems,), float64; absent: found while solving
    double rtol, atol;
    index_t maxiter;             // one sweep is always done
    ArrayView info, iterations;  // (systems,), int64
};

// All vectors and values have one type. Solves each system by forward sweeps until ||b - A x|| <= max(rtol ||b||,
// atol). info: 0 converged, maxiter not converged, -1 diverged; x is then where it began.
void batch(const BatchArguments& a);

}  // namespace sorgum::sor
