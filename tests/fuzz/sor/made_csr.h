// Compressed rows whose arrays hold what libFuzzer's bytes say: most fit each other, some do not.
#pragma once

#include "api/sor/csr.h"
#include "fuzz.h"

namespace fuzz {

struct CsrChoice {
    index_t rows, columns, entries;
    bool bad_indptr, bad_indices;
    bool diagonals;  // the first entry of a row is its diagonal element, and larger than others
    unsigned kind;   // that of fill_elements
};

template <class V, class I>
struct MadeCsr {
    static constexpr DType value = sizeof(V) == 4 ? DType::f32 : DType::f64;
    static constexpr DType index = sizeof(I) == 4 ? DType::i32 : DType::i64;

    MadeCsr(const CsrChoice& choice, Bytes& bytes)
        : c(choice), indptr(index, {c.rows + 1}), indices(index, {c.entries}), data(value, {c.entries}) {
        fill_indptr(bytes);
        fill_indices(bytes);
        fill_elements<V>(bytes, data, c.kind);
        if (c.diagonals)
            set_diagonals();
        if (c.bad_indptr)
            indptr.data<I>()[static_cast<index_t>(bytes.integer(2)) % (c.rows + 1)] = static_cast<I>(bytes.integer(8));
        if (c.bad_indices && c.entries > 0)
            indices.data<I>()[static_cast<index_t>(bytes.integer(2)) % c.entries] = static_cast<I>(bytes.integer(8));
    }

    sorgum::sor::CsrArrays arrays() const { return {indptr.view(), indices.view(), data.view(), c.rows, c.columns}; }

    const CsrChoice c;
    const Array indptr, indices, data;

private:
    // Numbers of entries that fit; each row has one at least where it is to have a diagonal element.
    void fill_indptr(Bytes& bytes) {
        I* const p = indptr.data<I>();
        p[0] = 0;
        for (index_t i = 0; i < c.rows; ++i) {
            const index_t least = c.diagonals ? 1 : 0;
            const index_t left = c.entries - p[i] - least * (c.rows - i);
            const index_t more = static_cast<index_t>(bytes.integer(1)) % (left / (c.rows - i) * 2 + 1) % (left + 1);
            p[i + 1] = static_cast<I>(p[i] + least + more);
        }
    }
    void fill_indices(Bytes& bytes) {
        I* const j = indices.data<I>();
        for (index_t k = 0; k < c.entries; ++k)
            j[k] = c.columns == 0 ? I(0) : static_cast<I>(static_cast<index_t>(bytes.integer(2)) % c.columns);
    }
    void set_diagonals() {
        for (index_t i = 0; i < c.rows; ++i) {
            const auto first = static_cast<index_t>(indptr.data<I>()[i]);
            indices.data<I>()[first] = static_cast<I>(i);
            data.data<V>()[first] = V(1000);
        }
    }
};

// What `run(V(), I())` gives for the types of the choice.
template <class Run>
Output in_types(bool wide, bool wide_indices, Run&& run) {
    if (wide)
        return wide_indices ? run(double(), std::int64_t()) : run(double(), std::int32_t());
    return wide_indices ? run(float(), std::int64_t()) : run(float(), std::int32_t());
}

}  // namespace fuzz
