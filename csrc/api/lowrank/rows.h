// Rows that pass an adapter: what `apply` does with all rows, and `apply_adapters` with those of each adapter.
#pragma once

#include <vector>

#include "api/lowrank/adapter.h"
#include "api/lowrank/lowrank.h"

namespace sorgum::lowrank {

inline constexpr index_t kRowsOfTask = 24;  // whole tiles on every instruction set

// An adapter as the tile kernel reads it.
template <class T>
struct PackedAdapter {
    linalg::PackedColumns<T> down, up;
    T scale;

    void pack(const Factors& factors, double scale);
    index_t rank() const { return down.columns(); }
};

// Rows of x, and where their results go. x has rows or columns that are contiguous, base and out have rows.
template <class T>
struct RowsCall {
    linalg::Matrix x;
    ArrayView out;
    std::optional<ArrayView> base;
    Activation activation = Activation::none;
    const T* mid = nullptr;
    const T* gate = nullptr;
};

// Throws unless x, base and out fit each other and an adapter with so many inputs and outputs, whose A is this one.
linalg::Matrix checked_rows(const char* function, const ArrayView& x, const std::optional<ArrayView>& base,
                            const ArrayView& out, const ArrayView& a, index_t inputs, index_t outputs);

template <class T>
class RowsScratch {
public:
    // Writes the results of the rows [first, first + count), or of those with the numbers from `numbers` on; at most
    // kRowsOfTask.
    void apply(const RowsCall<T>& call, const PackedAdapter<T>& adapter, index_t first, index_t count,
               const index_t* numbers);

    // The same for one row, and factors as they lie in memory: numbers of type T, rows contiguous.
    void apply(const RowsCall<T>& call, const Factors& factors, double scale);

private:
    void between(const RowsCall<T>& call, index_t first, index_t count, index_t rank);
    void first_product(const RowsCall<T>& call, const PackedAdapter<T>& adapter, index_t first, index_t count,
                       const index_t* numbers);

    linalg::PackedRows<T> rows_;
    AlignedArray<T> gathered_, middle_, sums_;
};

}  // namespace sorgum::lowrank
