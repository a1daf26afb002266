// The sum of a part of a row as a value, for files, processes and machines to exchange.
#pragma once

#include <vector>

#include "api/call/rows.h"
#include "kernels/special/softmax.h"

namespace sorgum::special {

inline constexpr std::uint32_t kPartialVersion = 1;

// `special.partial_dtype` of Python, field by field; docs/numerics.md says what they mean.
struct PartialRecord {
    std::uint32_t version;
    std::uint8_t has_nan, has_inf, has_minus_inf, weighted;
    char dtype[8];  // "float32" or "float64"
    double temperature, max;
    index_t count, top, bin[kExactSumBins];
    std::uint64_t check;  // of all the others
};
inline constexpr index_t kPartialWords = 13;
static_assert(sizeof(PartialRecord) == kPartialWords * 8, "a record has no padding");

// So many elements of a row can be merged before an integer might overflow.
inline constexpr index_t kMostElements = index_t(1) << 36;

// Throws when the row has more elements than that.
template <class T>
PartialRecord make_record(const char* function, const RowSum<T>& row, double temperature, bool weighted);

template <class T>
RowSum<T> row_of(const PartialRecord& record);  // one that was checked

// Of an array of 8-byte words, those of a record along its last axis: a view with an element per record.
ArrayView record_view(const char* function, const ArrayView& words);

// Throws unless the records' shape is that of the rows of x, the reduced axes left out or kept.
void check_shape_of_records(const char* function, const ArrayView& records, const ArrayView& x, const AxisList& axes);

// Throws unless softmax can be formed from every record.
void check_records_of_rows(const char* function, const ArrayView& records, DType dtype);

// The temperatures that stand in the records.
ArrayView temperatures_of(const ArrayView& records);

}  // namespace sorgum::special
