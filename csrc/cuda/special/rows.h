// Rows of float32 by a group of threads: who takes which element, and how what they find is put together, so that the
// bits are those of csrc/kernels/special/softmax.h. The formulas are those of csrc/math.
//
// A team of 16 threads has a lane each. A team takes groups of kGroup vectors of a chunk, the tree over a group stays
// within a thread, and then one team adds the groups' sums in the order of the groups and folds its lanes.
#pragma once

#include "cuda/common/deal.h"
#include "cuda/common/group.h"
#include "cuda/special/rows_state.h"
#include "math/reduce_tree.h"
#include "math/softmax_scale.h"

SORGUM_ISA_BEGIN

using sorgum::cuda::Rows;

inline constexpr int kTeam = 16;                       // the lanes of a vector (N3)
inline constexpr index_t kGroupSize = kGroup * kTeam;  // elements
inline constexpr float kLeast = -__builtin_inff();

// What a tile's chunks are found to hold; memory that the group shares.
template <int chunks, int groups, int warps>
struct TileSums {
    float warp_max[chunks][warps], max[chunks];
    Reference<float> ref[chunks];
    float group_sum[chunks][groups][kTeam];
    int count[chunks][warps];
    double others[chunks];

    SORGUM_GROUP index_t maxima(int chunk) const {
        index_t sum = 0;
        for (int w = 0; w < warps; ++w)
            sum += count[chunk][w];
        return sum;
    }
};

// What a group holds of a row at a time: `chunks` chunks of `groups` groups. More than one chunk are whole ones.
template <class G, int chunks_, int groups>
struct Tile {
    static constexpr int chunks = chunks_, warps = G::size / kWarp, teams = G::size / kTeam, turns = groups / teams;
    static constexpr index_t chunk_size = groups * kGroupSize, size = chunks * chunk_size;
    static_assert(groups % teams == 0 && chunks <= warps);
    static_assert(chunks == 1 ? chunk_size <= kChunk : chunk_size == kChunk);

    struct Elements {
        float e[chunks][turns][kGroup];
    };
    using Held = typename G::template Own<Elements>;
    using Sums = TileSums<chunks, groups, warps>;

    // The place in the tile of e[chunk][turn][vector] of thread t.
    static SORGUM_GROUP index_t place(int t, int chunk, int turn, int vector) {
        return chunk * chunk_size + (turn * teams + t / kTeam) * kGroupSize + vector * kTeam + t % kTeam;
    }
    // Whether any thread has an element there when the tile has n. A warp asks for every vector, since most of its rows
    // are short; a block for all vectors of a turn at once.
    static SORGUM_GROUP bool any_at(index_t n, int chunk, int turn, int vector) {
        return place(0, chunk, turn, warps == 1 ? vector : 0) < n;
    }
    // How many chunks a tile of n elements has; a row without elements is one without.
    static SORGUM_GROUP int chunks_of(index_t n) {
        return static_cast<int>(n > size ? chunks : n > 0 ? (n + chunk_size - 1) / chunk_size : 1);
    }
};

// Elements [begin, begin + Tile::size) of a row, -inf where there is none or it is masked out.
template <class T, class G>
SORGUM_GROUP void load_tile(const G& g, const Rows& r, index_t row, index_t begin, typename T::Held& held) {
    const float* const x = r.x + row * r.x_row + begin;
    const unsigned char* const mask = r.mask == nullptr ? nullptr : r.mask + row * r.mask_row + begin * r.mask_step;
    const index_t n = r.n - begin;
    g.each([&](int t) {
        SORGUM_UNROLL
        for (int c = 0; c < T::chunks; ++c)
            SORGUM_UNROLL
        for (int k = 0; k < T::turns; ++k)
            SORGUM_UNROLL
        for (int v = 0; v < kGroup; ++v) {
            const index_t i = T::place(t, c, k, v);
            const bool there = i < n && (mask == nullptr || mask[i * r.mask_step] != 0);
            held[t].e[c][k][v] = there ? x[i] : kLeast;
        }
    });
}

// w(x) by the map of a reference.
SORGUM_GROUP float term(const ExpMap<float>& map, bool shifted, const ExpScale<float>& s, float x) {
    return shifted ? extexp<true>(map, s.prescale, s.c_hi, s.c_lo, x)
                   : extexp<false>(map, s.prescale, s.c_hi, s.c_lo, x);
}
SORGUM_GROUP bool is_shifted(const Reference<float>& ref, const ExpScale<float>& s) {
    return ref.shifted || s.prescale != 1.0f;
}

// The largest element of every chunk; NaN does not count, and the zeros have one sign.
template <class T, class G>
SORGUM_GROUP void tile_maxima(const G& g, const typename T::Held& held, index_t n, const ExpScale<float>& scale,
                              typename T::Sums& s) {
    typename G::template Own<float> m[T::chunks];
    g.each([&](int t) {
        SORGUM_UNROLL
        for (int c = 0; c < T::chunks; ++c) {
            m[c][t] = kLeast;
            SORGUM_UNROLL
            for (int k = 0; k < T::turns; ++k)
                SORGUM_UNROLL
            for (int v = 0; v < kGroup; ++v)
                m[c][t] = max(held[t].e[c][k][v], m[c][t]);
        }
    });
    for (int half = kWarp / 2; half > 0; half /= 2)
        SORGUM_UNROLL
    for (int c = 0; c < T::chunks; ++c) {
        const auto other = g.exchange(m[c], half);
        g.each([&](int t) { m[c][t] = max(other[t], m[c][t]); });
    }
    g.phase([&](int t) {
        if (t % kWarp == 0)
            SORGUM_UNROLL
        for (int c = 0; c < T::chunks; ++c)
            s.warp_max[c][t / kWarp] = m[c][t];
    });
    g.phase([&](int t) {
        if (t >= T::chunks_of(n))
            return;
        float largest = kLeast;
        for (int w = 0; w < T::warps; ++w)
            largest = max(s.warp_max[t][w], largest);
        s.max[t] = largest + 0.0f;
        s.ref[t] = make_reference(scale, s.max[t]);
    });
}

// The sums of the chunks of a tile of which n elements exist. The terms of a single chunk take its elements' place.
template <class T, class G>
SORGUM_GROUP void sum_tile(const G& g, typename T::Held& held, index_t n, const ExpScale<float>& scale,
                           typename T::Sums& s) {
    tile_maxima<T>(g, held, n, scale, s);
    typename G::template Own<int> count[T::chunks];
    g.phase([&](int t) {
        SORGUM_UNROLL
        for (int c = 0; c < T::chunks; ++c) {
            count[c][t] = 0;
            if (c >= T::chunks_of(n))
                continue;
            const ExpMap<float> map = s.ref[c].map;
            const bool shifted = is_shifted(s.ref[c], scale);
            const float largest = s.max[c];
            // Where an element is +inf there is no sum; all that is asked is whether another is NaN.
            const bool infinite = largest == -kLeast;
            SORGUM_UNROLL
            for (int k = 0; k < T::turns; ++k) {
                s.group_sum[c][k * T::teams + t / kTeam][t % kTeam] = tree_sum<kGroup>([&](int v) {
                    float& x = held[t].e[c][k][v];
                    if (!T::any_at(n, c, k, v))
                        return 0.0f;
                    const bool hit = x == largest;
                    const float w = infinite ? (is_nan(x) ? x : 0.0f) : term(map, shifted, scale, x);
                    count[c][t] += hit ? 1 : 0;
                    if (T::chunks == 1)
                        x = w;
                    return zero_where(hit, w);
                });
            }
        }
    });
    for (int half = kWarp / 2; half > 0; half /= 2)
        SORGUM_UNROLL
    for (int c = 0; c < T::chunks; ++c) {
        const auto other = g.exchange(count[c], half);
        g.each([&](int t) { count[c][t] += other[t]; });
    }
    // Warp c adds the sums of chunk c, both of its teams the same.
    typename G::template Own<double> sum;
    g.phase([&](int t) {
        const int c = t / kWarp;
        sum[t] = 0.0;
        if (c < T::chunks_of(n))
            for (int i = 0; i * kGroupSize < n - c * T::chunk_size && i * kGroupSize < T::chunk_size; ++i)
                sum[t] = sum[t] + widen(s.group_sum[c][i][t % kTeam]);
    });
    for (int half = kTeam / 2; half > 0; half /= 2) {
        const auto other = g.exchange(sum, half);
        g.each([&](int t) { sum[t] = sum[t] + other[t]; });
    }
    g.phase([&](int t) {
        if (t % kWarp != 0)
            return;
        SORGUM_UNROLL
        for (int c = 0; c < T::chunks; ++c)
            s.count[c][t / kWarp] = count[c][t];
        if (t / kWarp < T::chunks_of(n))
            s.others[t / kWarp] = sum[t];
    });
}

// What the last step needs of a row.
struct RowEnd {
    bool special;  // every element has the result `value`
    float value;
    bool shifted;
    ExpMap<float> map;
    Scale<float> factor;
};

SORGUM_GROUP RowEnd make_row_end(const RowResult<float>& row, const Reference<float>& ref, const ExpScale<float>& scale,
                                 float empty) {
    RowEnd end;
    end.special = special_row(row, empty, end.value);
    end.shifted = is_shifted(ref, scale);
    end.map = ref.map;
    end.factor = make_scale(RowTotal<double>{row.sum, row.sum_low}, row.max_mantissa,
                            term(ref.map, end.shifted, scale, row.max));
    return end;
}

SORGUM_GROUP float log_sum_exp_of(const RowResult<float>& row) { return canonicalise_nan(narrow(row.log_sum_exp)); }

// Writes the results of a tile from `begin` on. `terms`: the tile holds terms, else elements.
template <class T, bool terms, class G>
SORGUM_GROUP void write_tile(const G& g, const Rows& r, index_t row, index_t begin, const typename T::Held& held,
                             const RowEnd& end) {
    float* const y = r.y + row * r.y_row + begin;
    const index_t n = r.n - begin;
    g.phase([&](int t) {
        const RowEnd last = end;
        SORGUM_UNROLL
        for (int c = 0; c < T::chunks; ++c)
            SORGUM_UNROLL
        for (int k = 0; k < T::turns; ++k)
            SORGUM_UNROLL
        for (int v = 0; v < kGroup; ++v) {
            const index_t i = T::place(t, c, k, v);
            if (i >= n)
                continue;
            const float e = held[t].e[c][k][v];
            const float w = terms ? e : term(last.map, last.shifted, r.scale, e);
            y[i] = last.special ? last.value : scale_normal(w, last.factor);
        }
    });
}

// ---- a row of at most one chunk ----

template <class T>
struct ShortRowShared {
    typename T::Sums sums;
    RowEnd end;
};

template <class T, bool normalise, class G>
SORGUM_GROUP void short_row(const G& g, const Rows& r, index_t row, ShortRowShared<T>& s) {
    typename T::Held held;
    load_tile<T>(g, r, row, 0, held);
    sum_tile<T>(g, held, r.n, r.scale, s.sums);
    g.phase([&](int t) {
        if (t != 0)
            return;
        const typename T::Sums& c = s.sums;
        const RowResult<float> result = chunk_result(r.scale, c.ref[0], c.max[0], c.maxima(0), c.others[0]);
        if (normalise)
            s.end = make_row_end(result, c.ref[0], r.scale, r.empty);
        else
            r.y[row * r.y_row] = log_sum_exp_of(result);
    });
    if (normalise)
        write_tile<T, true>(g, r, row, 0, held, s.end);
}

// ---- longer rows, or pieces of them ----

template <class T>
struct LongRowShared {
    typename T::Sums sums;
    RowSum<float> row;
    RowEnd end;
};

// Elements [begin, end) of a row, begin on a chunk border: their sum is left in s.row, the last tile in `held`.
template <class T, class G>
SORGUM_GROUP void sum_part(const G& g, const Rows& r, index_t row, index_t begin, index_t end, typename T::Held& held,
                           LongRowShared<T>& s) {
    g.phase([&](int t) {
        if (t == 0)
            row_sum_clear(s.row);
    });
    for (index_t at = begin; at < end; at += T::size) {
        load_tile<T>(g, r, row, at, held);
        sum_tile<T>(g, held, r.n - at, r.scale, s.sums);
        g.phase([&](int t) {
            if (t == 0)
                for (int c = 0; c < T::chunks_of(r.n - at); ++c)
                    row_sum_add_chunk(s.row, r.scale, s.sums.ref[c], s.sums.max[c], s.sums.maxima(c), s.sums.others[c]);
        });
    }
}

// From the whole row's sum in s.row: s.end, or the result of logsumexp.
template <class T, bool normalise, class G>
SORGUM_GROUP void finish_row(const G& g, const Rows& r, index_t row, LongRowShared<T>& s) {
    g.phase([&](int t) {
        if (t != 0)
            return;
        const RowResult<float> result = row_result(s.row, r.scale, false);
        if (normalise)
            s.end = make_row_end(result, make_reference(r.scale, s.row.max), r.scale, r.empty);
        else
            r.y[row * r.y_row] = log_sum_exp_of(result);
    });
}

// A chunk at a time: there is no sum to keep the order of, and more would not fit in registers.
template <class T, class G>
SORGUM_GROUP void write_part(const G& g, const Rows& r, index_t row, index_t begin, index_t end, LongRowShared<T>& s) {
    using Chunk = Tile<G, 1, T::chunk_size / kGroupSize>;
    for (index_t at = begin; at < end; at += Chunk::size) {
        typename Chunk::Held held;
        load_tile<Chunk>(g, r, row, at, held);
        write_tile<Chunk, false>(g, r, row, at, held, s.end);
    }
}

template <class T, bool normalise, class G>
SORGUM_GROUP void long_row(const G& g, const Rows& r, index_t row, LongRowShared<T>& s) {
    typename T::Held held;
    sum_part<T>(g, r, row, 0, r.n, held, s);
    finish_row<T, normalise>(g, r, row, s);
    if (!normalise)
        return;
    if (r.n <= T::size)
        write_tile<T, false>(g, r, row, 0, held, s.end);
    else
        write_part<T>(g, r, row, 0, r.n, s);
}

// ---- a row split over blocks ----

SORGUM_GROUP index_t piece_end(const Rows& r, index_t piece) {
    return r.n - piece * r.piece < r.piece ? r.n : (piece + 1) * r.piece;
}

// The first kernel: the sum of a piece.
template <class T, class G>
SORGUM_GROUP void sum_piece(const G& g, const Rows& r, index_t row, index_t piece, LongRowShared<T>& s) {
    typename T::Held held;
    sum_part<T>(g, r, row, piece * r.piece, piece_end(r, piece), held, s);
    g.phase([&](int t) {
        if (t == 0)
            r.sums[row * r.pieces + piece] = s.row;
    });
}

template <class T, class G>
struct SplitRowShared {
    LongRowShared<T> row;
    RowSum<float> sums[G::size];
};

// The second: every block merges the sums of all pieces, in a tree, and writes its own piece.
template <class T, bool normalise, class G>
SORGUM_GROUP void write_piece(const G& g, const Rows& r, index_t row, index_t piece, SplitRowShared<T, G>& s) {
    g.phase([&](int t) {
        if (t < r.pieces)
            s.sums[t] = r.sums[row * r.pieces + t];
    });
    for (int half = G::size / 2; half > 0; half /= 2)
        g.phase([&](int t) {
            if (t < half && t + half < r.pieces)
                row_sum_merge(s.sums[t], r.scale, s.sums[t + half]);
        });
    g.phase([&](int t) {
        if (t == 0)
            s.row.row = s.sums[0];
    });
    finish_row<T, normalise>(g, r, row, s.row);
    if (normalise)
        write_part<T>(g, r, row, piece * r.piece, piece_end(r, piece), s.row);
}

SORGUM_ISA_END
