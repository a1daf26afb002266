#pragma once

#include "kernels/sor/blocks.inl.h"
#include "kernels/sor/stencil.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// How 16 elements are read: where the row has them all, and where it ends before.
struct WholeVector {
    template <class T>
    SORGUM_INLINE vec<T> operator()(const T* p) const {
        return load(p);
    }
};
struct FirstLanes {
    index_t n;
    template <class T>
    SORGUM_INLINE vec<T> operator()(const T* p) const {
        return load_first(p, n, T(0));
    }
};

// The terms of a row that are there, in registers as far as possible. `most` bounds their number.
template <int most, class T>
struct RowTerms {
    const T* u[most];
    const T* c[most];
    const unsigned char* there[most];
    vec<T> constant[most];
    index_t count = 0;

    SORGUM_INLINE explicit RowTerms(const StencilRow<T>& row, index_t without = -1) {
        for (index_t k = 0; k < row.count; ++k) {
            const StencilTerm<T>& term = row.terms[k];
            if (term.u == nullptr || k == without)
                continue;
            u[count] = term.u;
            c[count] = term.c;
            there[count] = term.there;
            constant[count] = splat<vec<T>>(term.constant);
            ++count;
        }
    }
};

// The sums over the neighbours of 16 points. `masked`: some may not be there; `variable`: coefficients may be arrays.
template <int count, bool variable, bool masked, class T, int most, class At>
SORGUM_INLINE vec<T> sum_neighbours(const RowTerms<most, T>& terms, index_t i, At at) {
    vec<T> s = splat<vec<T>>(T(0));
    const index_t n = count > 0 ? count : terms.count;
#pragma GCC unroll 8
    for (index_t k = 0; k < n; ++k) {
        const vec<T> c = variable && terms.c[k] != nullptr ? at(terms.c[k] + i) : terms.constant[k];
        const vec<T> sum = fma(c, at(terms.u[k] + i), s);
        s = masked && terms.there[k] != nullptr ? select_bytes(terms.there[k] + i, sum, s) : sum;
    }
    return s;
}

// Points before the first one that begins a line of the cache; none where that is not worth a vector of its own.
template <class T>
SORGUM_INLINE index_t before_line(const T* u, index_t points) {
    constexpr std::uintptr_t line = 64;
    const std::uintptr_t over = reinterpret_cast<std::uintptr_t>(u) % line;
    return points < 4 * kLanes ? 0 : static_cast<index_t>((line - over) % line / sizeof(T));
}

// count: of terms, 0 if it is any; general: all that a row may have besides.
template <int count, bool variable, bool general, class T>
SORGUM_INLINE void relax_row(const StencilRow<T>& row) {
    using V = vec<T>;
    const RowTerms<count == 0 ? kMostNeighbours : count, T> terms(row);
    const V omega = splat<V>(row.omega), rest = splat<V>(T(1) - row.omega), zero = splat<V>(T(0));
    const V constant_factor = splat<V>(row.omega * row.constant_inverse);
    const auto relaxed = [&](index_t i, V before, index_t n, unsigned lanes, auto at) SORGUM_LAMBDA {
        const V s = sum_neighbours<count, variable, general>(terms, i, at);
        const bool varies = (variable || general) && row.inverse != nullptr;
        const V factor = varies ? omega * at(row.inverse + i) : constant_factor;
        V c = fma(factor, at(row.f + i) - s, rest * before);
        if (general) {
            if (row.lower != nullptr)
                c = max(at(row.lower + i), c);
            if (row.upper != nullptr)
                c = min(at(row.upper + i), c);
            if (row.active != nullptr)
                c = select_bytes(row.active + i, c, before);
            if (row.change != nullptr) {
                const V diagonal = row.diagonal != nullptr ? at(row.diagonal + i) : splat<V>(row.constant_diagonal);
                V change = select_bits(lanes, c - before, zero);
                if (row.active != nullptr)
                    change = select_bytes(row.active + i, change, zero);
                store_first(row.change + i, wide(diagonal) * wide(change), n);
            }
        }
        return select_bits(lanes, c, before);
    };
    // Vectors begin at lines of the cache. What has become of one is stored after the next one has been read: that
    // reaches into it by an element, and would wait for the store.
    const index_t begin = before_line(row.u, row.points);
    const unsigned lanes = begin % 2 == 0 ? row.lanes : (row.lanes & 0x5555u) << 1 | (row.lanes & 0xAAAAu) >> 1;
    V last = begin > 0 ? relaxed(0, load_first(row.u, begin, T(0)), begin, row.lanes, FirstLanes{begin}) : zero;
    const auto store_last = [&](index_t i) SORGUM_LAMBDA {
        if (i > begin)
            store(row.u + (i - kLanes), last);
        else if (begin > 0)
            store_first(row.u, last, begin);
    };
    index_t i = begin;
    for (; i + kLanes <= row.points; i += kLanes) {
        const V next = relaxed(i, load(row.u + i), kLanes, lanes, WholeVector());
        store_last(i);
        last = next;
    }
    const index_t left = row.points - i;
    if (left > 0) {
        const V next = relaxed(i, load_first(row.u + i, left, T(0)), left, lanes, FirstLanes{left});
        store_first(row.u + i, next, left);
    }
    store_last(i);
}

template <class T>
SORGUM_INLINE bool is_general(const StencilRow<T>& row, bool& variable) {
    bool general = row.active != nullptr || row.lower != nullptr || row.upper != nullptr || row.change != nullptr;
    variable = row.inverse != nullptr;
    for (index_t k = 0; k < row.count; ++k) {
        general = general || row.terms[k].u == nullptr || row.terms[k].there != nullptr;
        variable = variable || row.terms[k].c != nullptr;
    }
    return general;
}

template <class T>
void stencil_sweep_kernel(const StencilRow<T>& row) {
    bool variable = false;
    if (is_general(row, variable))
        return relax_row<0, true, true>(row);
    if (row.count == 4)  // five points of a plane
        return variable ? relax_row<4, true, false>(row) : relax_row<4, false, false>(row);
    if (row.count == 6)  // seven of a room
        return variable ? relax_row<6, true, false>(row) : relax_row<6, false, false>(row);
    if (row.count == 8 && !variable)  // nine of a plane
        return relax_row<8, false, false>(row);
    return relax_row<0, true, false>(row);
}

// A row whose points are relaxed one after the other, and what it needs in registers. known: the number of terms
// without the point before, 0 if it is any; plain: coefficients are everyone's, and there are neither masks nor bounds.
template <int known, bool plain, class T>
struct RowInTurn {
    using V = vec<T>;
    const RowTerms<known == 0 ? kMostNeighbours : known, T> terms;
    const StencilTerm<T> left;  // the point before
    const V omega, rest, constant_inverse;
    const T everyones;  // what the point before is multiplied by, where that is the same for all
    T last;

    SORGUM_INLINE explicit RowInTurn(const StencilRow<T>& row)
        : terms(row, row.previous),
          left(row.previous >= 0 ? row.terms[row.previous] : StencilTerm<T>{nullptr, nullptr, nullptr, T(0)}),
          omega(splat<V>(row.omega)),
          rest(splat<V>(T(1) - row.omega)),
          constant_inverse(splat<V>(row.constant_inverse)),
          everyones(-row.omega * (left.constant * row.constant_inverse)),
          last(left.u != nullptr ? *left.u : T(0)) {}

    // What becomes of 16 points but for the term of the point before.
    template <class At>
    SORGUM_INLINE V without_left(const StencilRow<T>& row, index_t i, V old, V inverse, At at) const {
        const V s = sum_neighbours<known, !plain, !plain>(terms, i, at);
        return fma(omega * inverse, at(row.f + i) - s, rest * old);
    }

    template <class At>
    SORGUM_INLINE void block(const StencilRow<T>& row, index_t i, index_t n, At at) {
        T before[kLanes], y[kLanes], factor[kLanes];
        const V old = at(row.u + i);
        const V inverse = !plain && row.inverse != nullptr ? at(row.inverse + i) : constant_inverse;
        store(y, without_left(row, i, old, inverse, at));
        T* const u = row.u + i;
        if (plain) {
            for (index_t k = 0; k < n; ++k)
                u[k] = last = fma(everyones, last, y[k]);
            return;
        }
        const V c = left.c != nullptr ? at(left.c + i) : splat<V>(left.constant);
        store(before, old);
        store(factor, splat<V>(-row.omega) * (c * inverse));
        for (index_t k = 0; k < n; ++k) {
            T now = y[k];
            if (left.u != nullptr && (left.there == nullptr || left.there[i + k] != 0))
                now = fma(factor[k], last, now);
            if (row.lower != nullptr)
                now = max(row.lower[i + k], now);
            if (row.upper != nullptr)
                now = min(row.upper[i + k], now);
            if (row.active != nullptr && row.active[i + k] == 0)
                now = before[k];
            if (row.change != nullptr) {
                const T own = row.diagonal != nullptr ? row.diagonal[i + k] : row.constant_diagonal;
                const T change = row.active != nullptr && row.active[i + k] == 0 ? T(0) : now - before[k];
                row.change[i + k] = static_cast<double>(own) * static_cast<double>(change);
            }
            u[k] = last = now;
        }
    }

    SORGUM_INLINE void blocks(const StencilRow<T>& row, index_t begin, index_t end) {
        for (index_t i = begin; i < end; i += kLanes)
            if (i + kLanes <= row.points)
                block(row, i, kLanes, WholeVector());
            else
                block(row, i, row.points - i, FirstLanes{row.points - i});
    }
};

template <int known, bool plain, class T>
SORGUM_INLINE void relax_in_turn(const StencilRow<T>& row) {
    RowInTurn<known, plain, T>(row).blocks(row, 0, row.points);
}

// Of how many points each row is behind the one above: it reads nothing that has just been stored.
constexpr index_t kBehind = 2 * kLanes;
constexpr index_t kFetchAhead = 1024;  // bytes

// 16 points of a row, each with the one before it.
template <class T>
SORGUM_INLINE T relax_chain(T* u, const T* y, T factor, T last) {
#pragma GCC unroll 4
    for (index_t k = 0; k < 4; ++k)
        u[k] = last = fma(factor, last, y[k]);
    return last;
}

// The points of several rows, each with the one before it: 16 of each, those of row r from i - r kBehind on.
template <class T>
[[gnu::noinline]] void relax_chains(const StencilRow<T>* rows, index_t i, const T (*y)[kLanes], T factor, T* last) {
    T now[kRowsInTurn];
#pragma GCC unroll 8
    for (index_t r = 0; r < kRowsInTurn; ++r)
        now[r] = last[r];
    for (index_t k = 0; k < kLanes; k += 4)
#pragma GCC unroll 8
        for (index_t r = 0; r < kRowsInTurn; ++r)
            now[r] = relax_chain(rows[r].u + (i - r * kBehind) + k, y[r] + k, factor, now[r]);
#pragma GCC unroll 8
    for (index_t r = 0; r < kRowsInTurn; ++r)
        last[r] = now[r];
}

// Rows below each other that are alike. Points of a row wait for each other; rows do not.
template <int known, class T>
SORGUM_INLINE void relax_rows_in_turn(const StencilRow<T>* rows) {
    using Row = RowInTurn<known, true, T>;
    const index_t points = rows[0].points, begin = before_line(rows[0].u, points);
    const index_t whole = points - (points - begin) % kLanes;
    const Row like(rows[0]);
    const vec<T> factor = like.omega * like.constant_inverse;
    constexpr index_t behind = kBehind * (kRowsInTurn - 1);
    alignas(64) T y[kRowsInTurn][kLanes];
    T last[kRowsInTurn];
    const T* term[kRowsInTurn][known];
    for (index_t r = 0; r < kRowsInTurn; ++r) {
        Row row(rows[r]);
        if (begin > 0)
            row.block(rows[r], 0, begin, FirstLanes{begin});
        row.blocks(rows[r], begin, begin + behind - r * kBehind);
        last[r] = row.last;
        for (int k = 0; k < known; ++k)
            term[r][k] = row.terms.u[k];
    }
    constexpr index_t ahead = kFetchAhead / index_t(sizeof(T));
    for (index_t i = begin + behind; i < whole; i += kLanes) {
        for (index_t r = 0; r < kRowsInTurn; ++r) {
            const index_t at = i - r * kBehind;
            vec<T> s = splat<vec<T>>(T(0));
#pragma GCC unroll 8
            for (int k = 0; k < known; ++k)
                s = fma(like.terms.constant[k], load(term[r][k] + at), s);
            store(y[r], fma(factor, load(rows[r].f + at) - s, like.rest * load(rows[r].u + at)));
            for (index_t k = 0; k < kLanes; k += 64 / index_t(sizeof(T))) {
                prefetch(rows[r].f + at + k + ahead);
                prefetch(term[r][known - 1] + at + k + ahead);
            }
        }
        relax_chains(rows, i, y, like.everyones, last);
    }
    for (index_t r = 0; r < kRowsInTurn; ++r) {
        Row row(rows[r]);
        row.last = last[r];
        row.blocks(rows[r], whole - r * kBehind, points);
    }
}

template <class T>
void stencil_in_turn_kernel(const StencilRow<T>* rows, index_t count) {
    bool plain = true, alike = count == kRowsInTurn;
    for (index_t r = 0; r < count; ++r) {
        bool variable = false;
        plain = plain && !is_general(rows[r], variable) && !variable && rows[r].previous >= 0;
        alike = alike && rows[r].points == rows[0].points && rows[r].count == rows[0].count &&
                rows[r].constant_inverse == rows[0].constant_inverse;
    }
    if (plain && alike && rows[0].count == 4 && rows[0].points >= kBehind * kRowsInTurn)  // five points of a plane
        return relax_rows_in_turn<3>(rows);
    for (index_t r = 0; r < count; ++r) {
        if (!plain)
            relax_in_turn<0, false>(rows[r]);
        else if (rows[r].count == 4)
            relax_in_turn<3, true>(rows[r]);
        else if (rows[r].count == 6)
            relax_in_turn<5, true>(rows[r]);
        else
            relax_in_turn<0, true>(rows[r]);
    }
}

SORGUM_INLINE f64x16 wide_at(const double* p, index_t n) { return n >= kLanes ? load(p) : load_first(p, n, 0.0); }
SORGUM_INLINE f64x16 wide_at(const float* p, index_t n) {
    return n >= kLanes ? load_wide(p) : widen(load_first(p, n, 0.0f));
}

template <class T>
void stencil_residual_kernel(const StencilRow<T>& row, double* r) {
    for (index_t i = 0; i < row.points; i += kLanes) {
        const index_t n = row.points - i;
        const auto at = [&](const T* p) SORGUM_LAMBDA { return wide_at(p + i, n); };
        const auto coefficient = [&](const T* c, T constant) SORGUM_LAMBDA {
            return c != nullptr ? at(c) : splat<f64x16>(static_cast<double>(constant));
        };
        f64x16 s = splat<f64x16>(0.0);
        for (index_t k = 0; k < row.count; ++k) {
            const StencilTerm<T>& term = row.terms[k];
            if (term.u == nullptr)
                continue;
            const f64x16 sum = fma(coefficient(term.c, term.constant), at(term.u), s);
            s = term.there != nullptr ? select_bytes(term.there + i, sum, s) : sum;
        }
        s = fma(coefficient(row.diagonal, row.constant_diagonal), at(row.u), s);
        f64x16 left = at(row.f) - s;
        if (row.active != nullptr)
            left = select_bytes(row.active + i, left, splat<f64x16>(0.0));
        store_first(r + i, left, n);
    }
}

template <class T>
void stencil_diagonal_kernel(const StencilRow<T>& row, T* diagonal) {
    using V = vec<T>;
    for (index_t i = 0; i < row.points; i += kLanes) {
        const index_t n = row.points - i;
        const auto coefficient = [&](const T* c, T constant) SORGUM_LAMBDA {
            return c != nullptr ? load_first(c + i, n, T(0)) : splat<V>(constant);
        };
        V d = coefficient(row.diagonal, row.constant_diagonal);
        for (index_t k = 0; k < row.count; ++k) {
            const StencilTerm<T>& term = row.terms[k];
            const V sum = d + coefficient(term.c, term.constant);
            if (term.u == nullptr)
                d = sum;
            else if (term.there != nullptr)
                d = select_bytes(term.there + i, d, sum);
        }
        if (row.active != nullptr)
            d = select_bytes(row.active + i, d, splat<V>(T(1)));
        store_first(diagonal + i, d, n);
    }
}

SORGUM_ISA_END
