// What the functions of random share: who draws in which row, and from which logits.
#pragma once

#include <type_traits>

#include "api/call/row_tasks.h"
#include "api/call/rows.h"
#include "api/call/stored.h"
#include "api/call/work.h"
#include "api/random/check.h"
#include "api/random/random.h"
#include "dispatch/dispatch.h"
#include "dispatch/random.h"

namespace sorgum::random {

// Throws unless `logits` have a type and an axis that all functions of logits accept.
void check_logits(const char* function, const ArrayView& logits);

// Appends the mask, broadcast to the logits, and returns which operand it is; -1 if there is none.
int append_where(const char* function, const std::optional<ArrayView>& where, const ArrayView& logits,
                 std::vector<ArrayView>& operands);

// The streams and positions of rows, checked.
class RowSource {
public:
    RowSource(const char* function, const Source& source, const ArrayView& x, const AxisMask& reduced);
    // The last operands that make_rows() is given.
    void append_to(std::vector<ArrayView>& operands);
    NoiseRow row(const RowLayout& layout, index_t r, Purpose purpose, bool wide) const;

private:
    const Source& source_;
    std::vector<ArrayView> operands_;
    int first_ = 0;
};

template <class V>
V value_of_row(const RowLayout& layout, int operand, index_t r) {
    V value;
    __builtin_memcpy(&value, layout.row(operand, r), sizeof value);
    return value;
}

// Calls f(the value) for every element.
template <class V, class F>
void for_each_value(const ArrayView& x, F&& f) {
    if (x.ndim == 0) {  // as most are
        V value;
        __builtin_memcpy(&value, x.data, sizeof value);
        return f(value);
    }
    const RowLayout layout = make_rows(x, AxisMask(), {x});
    for (index_t r = 0; r < layout.rows; ++r)
        f(value_of_row<V>(layout, 0, r));
}

// The type of what a pointer points to, as a tag that picks a kernel.
template <class S>
S element_of(const S* /*x*/) {
    return S();
}

// The logits of rows: operand 0 of a layout, in whatever type it is stored, -inf where the operand `where`, unless
// negative, is false.
template <class T>
class Logits {
public:
    Logits(const RowLayout& layout, DType dtype, int where)
        : layout_(layout),
          dtype_(dtype),
          stored_(layout, 0, dtype),
          where_(where),
          contiguous_(where < 0 && layout.contiguous(0, element_size(dtype))) {}
    const RowLayout& layout() const { return layout_; }

    // One of them, masked or not.
    T at(index_t r, index_t i) const {
        T x;
        stored_.read(r, 1, i, 1, &x, 1);
        return x;
    }

    // Calls f(elements, the first one's place, their number) for elements [begin, end) of a row, in chunks where it
    // must bring them together or convert them: an f that takes halves gets them where they lie. What is not in the
    // prefix is -inf, unless that is null.
    template <class F>
    void for_each_part(const Prefix<T>* kept, index_t r, index_t begin, index_t end, F&& f) const {
        const bool direct = contiguous_ && !is_half(dtype_);
        const T* const row = reinterpret_cast<const T*>(layout_.row(0, r));
        if (direct && kept == nullptr)
            return f(row + begin, begin, end - begin);
        if constexpr (sizeof(T) == sizeof(float)) {
            if constexpr (std::is_invocable_v<F&, const float16*, index_t, index_t>)
                if (contiguous_ && kept == nullptr)
                    return dtype_ == DType::f16 ? f(reinterpret_cast<const float16*>(row) + begin, begin, end - begin)
                                                : f(reinterpret_cast<const bfloat16*>(row) + begin, begin, end - begin);
        }
        alignas(64) T x[kScratch];
        bool mask[kScratch];
        for_each_range(begin, end, kScratch, [&](index_t i, index_t stop) {
            const index_t here = stop - i;
            if (!direct)
                stored_.read(r, 1, i, here, x, kScratch);
            if (where_ >= 0) {
                gather(layout_, where_, r, 1, i, here, mask, kScratch);
                for (index_t k = 0; k < here; ++k)
                    x[k] = mask[k] ? x[k] : -static_cast<T>(__builtin_inf());
            }
            if (kept != nullptr)
                random_keep(kernels(), T())(direct ? row + i : x, i, here, *kept, x);
            f(x, i, here);
        });
    }

private:
    const RowLayout& layout_;
    DType dtype_;
    Stored<T> stored_;
    int where_;
    bool contiguous_;
};

// A row in pieces, which threads may share.
template <class T>
class PiecedRow {
public:
    static constexpr index_t kShared = 16384, kAlone = index_t(1) << 30;  // elements of a piece

    // `shared`: by all threads; else the caller's thread does all of it.
    PiecedRow(const Logits<T>& logits, index_t r, bool shared)
        : logits_(logits),
          r_(r),
          threads_(shared ? threads_for(length()) : 1),
          piece_(threads_ > 1 ? kShared : kAlone) {}
    index_t length() const { return logits_.layout().length; }
    index_t pieces() const { return ceil_div(length(), piece_); }
    index_t piece_length() const { return piece_; }  // of all but the last
    index_t begin(index_t piece) const { return nth_range(length(), piece_, piece).begin; }
    index_t end(index_t piece) const { return nth_range(length(), piece_, piece).end; }
    // More than any slot below.
    int slots() const { return threads_; }

    // Calls f(piece, slot) for all pieces, in order unless the row is shared and the work is worth it.
    template <class F>
    void for_each_piece(index_t work, const F& f) const {
        if (threads_ > 1 && threads_for(work) > 1)
            return parallel_for(pieces(), threads_, [&](index_t piece, int slot) { f(piece, slot); });
        for (index_t piece = 0; piece < pieces(); ++piece)
            f(piece, 0);
    }
    // See Logits.
    template <class F>
    void for_each_part(index_t piece, const Prefix<T>* kept, F&& f) const {
        logits_.for_each_part(kept, r_, begin(piece), end(piece), f);
    }

private:
    const Logits<T>& logits_;
    index_t r_;
    int threads_;
    index_t piece_;
};

}  // namespace sorgum::random
