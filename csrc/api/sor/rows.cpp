#include "api/sor/rows.h"

#include <algorithm>
#include <string>

#include "api/sor/csr.h"
#include "core/error.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

GivenRows::GivenRows(const char* function, const Structure& structure, const ArrayView& rows, index_t together)
    : count_(rows.ndim == 1 ? rows.shape[0] : 0) {
    const auto* const given = static_cast<const index_t*>(vector_data(function, "rows", rows, DType::i64, count_));
    const auto& of_row = structure.places.of_row;
    places_.reserve(saturated_product(count_ + 1, together));
    index_t* to = places_.data();
    for (index_t k = 0; k < count_; ++k) {
        const index_t number = given[k];
        if (number < 0 || number >= structure.rows / together)
            throw ValueError(std::string(function) + ": rows must not be negative and must be below the number of " +
                             (together > 1 ? "blocks, " : "rows, ") + std::to_string(structure.rows / together) +
                             ", got " + std::to_string(number) + " at " + std::to_string(k));
        for (index_t row = number * together; row < (number + 1) * together; ++row)
            *to++ = of_row.empty() ? row : of_row[static_cast<std::size_t>(row)];
    }
    count_ = to - places_.data();
}

template <class T>
void sweep(const System<T>& system, Step<T> step, const GivenRows& rows, const T* b, T* x, InterruptPoll& poll) {
    step.change = nullptr;
    const Blocks<T> a = system.blocks();
    const index_t pieces = ceil_div(rows.count(), kRowsBetweenPolls);
    for (index_t k = 0; k < pieces; ++k) {
        const Range piece = nth_range(rows.count(), kRowsBetweenPolls, step.backward ? pieces - 1 - k : k);
        poll();
        sor_rows_sweep(kernels(), T())(a, step, b, x, rows.places() + piece.begin, piece.end - piece.begin);
    }
}

template void sweep(const System<float>&, Step<float>, const GivenRows&, const float*, float*, InterruptPoll&);
template void sweep(const System<double>&, Step<double>, const GivenRows&, const double*, double*, InterruptPoll&);

}  // namespace sorgum::sor
