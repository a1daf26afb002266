// The Gumbel-max draw by a group of threads: the winner is that of csrc/kernels/random/gumbel_max.h, whoever takes
// which element, since sums are compared exactly and of equal ones the lowest index wins.
//
// A thread takes whole blocks of Philox, kQuads of four elements at a time. Of those that may win it works out, with
// logarithms, the one that looks best; the threads of a warp tell each other the largest sum; then there is little left
// that may win still.
#pragma once

#include "cuda/random/places.h"
#include "math/gumbel_max.h"
#include "math/half.h"

SORGUM_ISA_BEGIN

using sorgum::cuda::DrawRows;

inline constexpr int kQuads = 4, kHeld = 4 * kQuads;  // what a thread holds

template <class G>
struct DrawShared {
    Draw of_warp[G::size / kWarp], best;
};

SORGUM_GROUP float logit(float x) { return x; }
SORGUM_GROUP float logit(float16 x) { return widen_half(x); }
SORGUM_GROUP float logit(bfloat16 x) { return widen_half(x); }

// What a thread knows and has at hand. Elements that are not there, or masked out, are -inf.
struct Drawing {
    Draw best;
    double bar;            // the largest sum that its warp knows; NaN: the row is out of the question
    Screen<float> screen;  // by the bar
    float x[kHeld];
    std::int32_t w[kHeld];
    int entered;  // a bit for the element that was worked out
};

// The screen, and its slope while nothing is known. Where T is 0 there is no noise and all words are 0: rejected is who
// lies below the best.
SORGUM_GROUP Screen<float> draw_screen(double temperature, double bar) {
    return temperature == 0.0 ? Screen<float>{1.0f, narrow(-bar)} : make_screen<float>(temperature, bar);
}
SORGUM_GROUP float draw_slope(double temperature) {
    return temperature == 0.0 ? 1.0f : narrow(screen_slope(temperature) * 0x1p23);
}

SORGUM_GROUP bool may_win(const Drawing& d, int k) {
    return d.x[k] != -from_bits(Format<float>::infinity) && !rejects(d.screen, d.x[k], d.w[k]);
}

// Element [k] of the thread; an index that is no constant would send the arrays to memory.
SORGUM_GROUP void work_out(Drawing& d, int bit, index_t first, index_t step, double temperature) {
    float x = 0.0f;
    std::int32_t w = 0;
    index_t index = 0;
    SORGUM_UNROLL
    for (int k = 0; k < kHeld; ++k)
        if (bit == 1 << k) {
            x = d.x[k];
            w = d.w[k];
            index = first + k / 4 * step + k % 4;
        }
    const double noise = temperature == 0.0 ? 0.0 : gumbel(open_unit<double>(zero_extend(w))) * temperature;
    enter(widen(x), noise, index, d.best);
}

// Loads element 4 quad + v - offset of the row into x[v] where it lies in [begin, end).
template <class X>
SORGUM_GROUP void load_quad(const DrawRows<X>& r, index_t row, index_t at, index_t begin, index_t end, float* x) {
    const X* const from = r.x + row * r.x_row;
    if (r.mask == nullptr && one_access<X, 4>(from, at, begin, end)) {
        const Pack<X, 4> pack = *reinterpret_cast<const Pack<X, 4>*>(from + at);
        SORGUM_UNROLL
        for (int v = 0; v < 4; ++v)
            x[v] = logit(pack.element[v]);
        return;
    }
    const unsigned char* const mask = r.mask == nullptr ? nullptr : r.mask + row * r.mask_row;
    SORGUM_UNROLL
    for (int v = 0; v < 4; ++v) {
        const index_t i = at + v;
        const bool there = i >= begin && i < end && (mask == nullptr || mask[i * r.mask_step] != 0);
        x[v] = there ? logit(from[i]) : -from_bits(Format<float>::infinity);
    }
}

// The best of what the threads have, into s.best.
template <class G>
SORGUM_GROUP void best_of_group(const G& g, typename G::template Own<Draw>& best, DrawShared<G>& s) {
    for (int half = kWarp / 2; half > 0; half /= 2) {
        typename G::template Own<double> value, low;
        typename G::template Own<index_t> index;
        g.each([&](int t) {
            value[t] = best[t].value;
            low[t] = best[t].low;
            index[t] = best[t].index;
        });
        const auto other_value = g.exchange(value, half), other_low = g.exchange(low, half);
        const auto other_index = g.exchange(index, half);
        g.each([&](int t) {
            const Draw other = {other_value[t], other_low[t], other_index[t]};
            if (precedes(other, best[t]))
                best[t] = other;
        });
    }
    g.phase([&](int t) {
        if (t % kWarp == 0)
            s.of_warp[t / kWarp] = best[t];
    });
    g.phase([&](int t) {
        if (t != 0)
            return;
        Draw all = s.of_warp[0];
        for (int w = 1; w < G::size / kWarp; ++w)
            if (precedes(s.of_warp[w], all))
                all = s.of_warp[w];
        s.best = all;
    });
}

// Draws from elements [begin, end) of the row of a draw, into s.best.
template <class X, class G>
SORGUM_GROUP void draw_part(const G& g, const DrawRows<X>& r, index_t draw, index_t begin, index_t end,
                            DrawShared<G>& s) {
    const index_t row = draw / r.samples, offset = r.places.offset;
    const NoiseRow noise = noise_row(r.places, row, draw % r.samples, Purpose::gumbel, false);
    const PhiloxKey<std::int32_t> own = row_key(noise);
    const double temperature = temperature_of(r.places, row);
    const float slope = draw_slope(temperature);
    typename G::template Own<Drawing> drawing;
    g.each([&](int t) {
        drawing[t].best = {minus_infinity(), 0.0, -1};
        drawing[t].bar = minus_infinity();
        drawing[t].screen = draw_screen(temperature, minus_infinity());
    });
    constexpr index_t step = index_t(4) * G::size;  // elements between a thread's quads
    for (index_t tile = (offset + begin) / 4 * 4; tile < offset + end; tile += kQuads * step) {
        typename G::template Own<double> bar;
        g.each([&](int t) {
            Drawing& d = drawing[t];
            bar[t] = d.bar;
            if (is_nan(d.bar))
                return;
            const index_t first = tile + 4 * t;
            SORGUM_UNROLL
            for (int q = 0; q < kQuads; ++q) {
                const index_t index = first + q * step;
                load_quad(r, row, index - offset, begin, end, d.x + 4 * q);
                Block<std::int32_t> words = {};
                if (temperature != 0.0)
                    words = words_of_block(own, noise.position, static_cast<std::uint64_t>(index) / 4);
                SORGUM_UNROLL
                for (int v = 0; v < 4; ++v)
                    d.w[4 * q + v] = words.word[v];
            }
            int pick = 0;
            float most = 0.0f;
            SORGUM_UNROLL
            for (int k = 0; k < kHeld; ++k) {
                const float score = fma(d.x[k], slope, -screen_encoding(d.w[k]));
                if (may_win(d, k) && (pick == 0 || score > most)) {
                    pick = 1 << k;
                    most = score;
                }
            }
            d.entered = pick;
            if (pick != 0)
                work_out(d, pick, first, step, temperature);
            bar[t] = d.best.value > d.bar || is_nan(d.best.value) ? d.best.value : d.bar;
        });
        for (int half = kWarp / 2; half > 0; half /= 2) {
            const auto other = g.exchange(bar, half);
            g.each([&](int t) { bar[t] = other[t] > bar[t] || is_nan(other[t]) ? other[t] : bar[t]; });
        }
        g.each([&](int t) {
            Drawing& d = drawing[t];
            if (d.bar != bar[t]) {
                d.bar = bar[t];
                d.screen = draw_screen(temperature, d.bar);
            }
            if (is_nan(d.bar))
                return;
            int left = 0;
            SORGUM_UNROLL
            for (int k = 0; k < kHeld; ++k)
                left |= may_win(d, k) ? 1 << k : 0;
            for (left &= ~d.entered; left != 0; left &= left - 1)
                work_out(d, left & -left, tile + 4 * t, step, temperature);
        });
    }
    typename G::template Own<Draw> best;
    g.each([&](int t) { best[t] = drawing[t].best; });
    best_of_group(g, best, s);
}

// The least of a place in memory and a number, whoever comes first.
SORGUM_GROUP void lower(std::uint64_t* place, std::uint64_t to) {
#if defined(__CUDA_ARCH__)
    atomicMin(reinterpret_cast<unsigned long long*>(place), static_cast<unsigned long long>(to));
#else
    *place = to < *place ? to : *place;
#endif
}

template <class X, class G>
SORGUM_GROUP void write_draw(const G& g, const DrawRows<X>& r, index_t draw, const DrawShared<G>& s) {
    g.phase([&](int t) {
        if (t != 0)
            return;
        r.drawn[draw] = s.best.index;
        if (s.best.index < 0 && r.invalid != nullptr)
            lower(r.invalid, 2 * static_cast<std::uint64_t>(draw) + (spoilt(s.best) ? 1 : 0));
    });
}

// A whole row.
template <class X, class G>
SORGUM_GROUP void draw_row(const G& g, const DrawRows<X>& r, index_t draw, DrawShared<G>& s) {
    draw_part(g, r, draw, 0, r.n, s);
    write_draw(g, r, draw, s);
}

// A row split over blocks. The first kernel: a piece of it.
template <class X, class G>
SORGUM_GROUP void draw_piece(const G& g, const DrawRows<X>& r, index_t draw, index_t piece, DrawShared<G>& s) {
    const index_t begin = piece * r.piece;
    draw_part(g, r, draw, begin, r.n - begin < r.piece ? r.n : begin + r.piece, s);
    g.phase([&](int t) {
        if (t == 0)
            r.parts[draw * r.pieces + piece] = s.best;
    });
}

// The second: what its pieces found, of which there are at most as many as threads.
template <class X, class G>
SORGUM_GROUP void merge_pieces(const G& g, const DrawRows<X>& r, index_t draw, DrawShared<G>& s) {
    typename G::template Own<Draw> best;
    g.each([&](int t) {
        best[t] = {minus_infinity(), 0.0, -1};
        if (t < r.pieces)
            best[t] = r.parts[draw * r.pieces + t];
    });
    best_of_group(g, best, s);
    write_draw(g, r, draw, s);
}

SORGUM_ISA_END
