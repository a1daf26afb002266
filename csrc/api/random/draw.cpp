#include <algorithm>

#include "api/random/filter.h"
#include "core/fp_env.h"
#include "dispatch/random.h"
#include "dispatch/special.h"

namespace sorgum::random {

namespace {

static_assert(kPieceElements % kChunk == 0);

template <class T>
class DrawJob {
public:
    DrawJob(const DrawArguments& a, const Source& source)
        : source_(source),
          reduced_(last_axis(a.logits)),
          rows_(a.function, source, a.logits, reduced_),
          table_(kernels()),
          inverse_(a.inverse),
          log_prob_(a.log_prob),
          operands_{a.logits, row_of_out(a, reduced_)},
          rules_(a.function, a.temperature, a.filters, a.logits, reduced_, operands_),
          where_(append_others(a)),
          layout_(make_rows(a.logits, reduced_, operands_)),
          logits_(layout_, a.logits.dtype, where_) {}

    void run() {
        const index_t n = layout_.length, rows = layout_.rows;
        if (rules_.filtered())
            return search_rows(logits_, [&](const PiecedRow<T>& row, index_t r, PrefixSearch<T>& search) {
                filtered(row, r, search);
            });
        const int threads = threads_for_rows(layout_);
        if (!few_long_rows(layout_))
            return for_each_row(layout_, threads, [&](index_t r, int) {
                write(
                    r, nullptr,
                    inverse_ ? inverse(PiecedRow<T>(logits_, r, false), r, nullptr, nullptr) : part(r, nullptr, 0, n));
            });
        if (inverse_)
            return run_inverse_in_pieces(threads);
        const index_t pieces = ceil_div(n, kPieceElements);
        std::vector<Draw> parts(static_cast<std::size_t>(rows * pieces));
        const auto draw_piece = [&](index_t r, index_t begin, index_t end, int) {
            parts[static_cast<std::size_t>(r * pieces + begin / kPieceElements)] = part(r, nullptr, begin, end);
        };
        parallel_for_row_ranges(rows, n, kPieceElements, threads, draw_piece);
        parallel_for(rows, log_prob_ ? threads : 1, [&](index_t r, int) {
            write(r, nullptr, first_of(&parts[static_cast<std::size_t>(r * pieces)], pieces));
        });
    }

private:
    static constexpr int kOut = 1;  // operand
    static constexpr Draw kNone = {-__builtin_inf(), 0.0, -1};

    static ArrayView row_of_out(const DrawArguments& a, const AxisMask& reduced) {
        ArrayView out = a.out;  // four numbers as one element of a row
        --out.ndim;
        return per_row(a.function, "out", out, a.logits, reduced);
    }

    int append_others(const DrawArguments& a) {
        rows_.append_to(operands_);
        return append_where(a.function, a.where, a.logits, operands_);
    }

    double temperature(index_t r) const { return rules_.temperature(layout_, r); }

    // Draws from what the filters keep of a row: as from the row with -inf for all else.
    void filtered(const PiecedRow<T>& row, index_t r, PrefixSearch<T>& search) const {
        const double t = temperature(r);
        // Where T is 0 the first of the largest elements is drawn, which no filter drops.
        const bool found = t > 0.0 && search.run(row, rules_.filters(layout_, r), rules_.rules());
        const Prefix<T>* const kept = found ? &search.prefix() : nullptr;
        const PrefixSearch<T>* const listed = found && search.listed() ? &search : nullptr;
        if (inverse_)
            return write(r, kept, inverse(row, r, kept, listed));
        const NoiseRow noise = rows_.row(layout_, r, Purpose::gumbel, false);
        std::vector<Draw> parts(static_cast<std::size_t>(row.pieces()), kNone);
        row.for_each_piece(listed != nullptr ? listed->listed_count() : layout_.length, [&](index_t piece, int) {
            Draw& best = parts[static_cast<std::size_t>(piece)];
            if (listed == nullptr) {
                best = part(r, kept, row.begin(piece), row.end(piece));
                return;
            }
            const auto& list = listed->list(piece);
            random_gumbel_listed(table_, T())(noise, t, list.values, list.places,
                                              source_.index_offset + row.begin(piece), list.count, best);
        });
        write(r, kept, first_of(parts.data(), row.pieces()));
    }
    static Draw first_of(const Draw* draws, index_t n) {
        Draw best = kNone;
        for (index_t i = 0; i < n; ++i)
            best = precedes(draws[i], best) ? draws[i] : best;
        return best;
    }

    Draw part(index_t r, const Prefix<T>* kept, index_t begin, index_t end) const {
        const NoiseRow row = rows_.row(layout_, r, Purpose::gumbel, false);
        const double t = inverse_ ? 0.0 : temperature(r);  // by inversion, parts are for T = 0 alone
        Draw best = kNone;
        logits_.for_each_part(kept, r, begin, end, [&](const auto* x, index_t i, index_t here) {
            random_gumbel_max(table_, element_of(x))(row, t, x, source_.index_offset + i, here, best);
        });
        return best;
    }

    // The masses of the chunks from element `begin` on.
    void add_masses(index_t r, const Prefix<T>* kept, index_t begin, index_t end, const ExpScale<T>& scale,
                    ChunkMass* masses) const {
        logits_.for_each_part(kept, r, begin, end, [&](const auto* x, index_t i, index_t here) {
            random_chunk_masses(table_, element_of(x))(x, here, scale, masses + i / kChunk);
        });
    }

    // The same from the list of what is kept, in the elements from the chunk's border `begin` to `end`: for each chunk
    // the groups of elements whose sums make it, but for those that have none, which would add zeros.
    void add_listed_masses(const typename PrefixSearch<T>::List& list, index_t begin, index_t end,
                           const ExpScale<T>& scale, ChunkMass* masses) const {
        constexpr index_t kGroup = 128;  // a tree of 8 vectors: N5 in docs/numerics.md
        alignas(64) T x[kChunk];
        index_t k = 0;
        for (index_t at = begin; at < end; at += kChunk) {
            index_t group = -1, count = 0;  // the last one, and how many there are
            std::fill_n(x, kGroup, -static_cast<T>(__builtin_inf()));
            for (; k < list.count && list.place(k) < at + kChunk - begin; ++k) {
                const index_t place = list.place(k) - (at - begin);
                if (place / kGroup != group) {
                    group = place / kGroup;
                    std::fill_n(x + kGroup * count++, kGroup, -static_cast<T>(__builtin_inf()));
                }
                x[kGroup * (count - 1) + place % kGroup] = list.values[k];
            }
            random_chunk_masses(table_, T())(x, kGroup * std::max<index_t>(count, 1), scale, masses + at / kChunk);
        }
    }

    // Chooses by words 0 and 1 of the row.
    Draw inverse(index_t r, const Prefix<T>* kept, const ExpScale<T>& scale, const ChunkMass* masses,
                 index_t chunks) const {
        const NoiseRow row = rows_.row(layout_, r, Purpose::inverse, true);
        double encoded[2];
        std::uint64_t words[2];
        random_bits(table_, double())(row, 0, 2, encoded, false);
        __builtin_memcpy(words, encoded, sizeof words);
        const index_t chunk = random_choose_chunk(table_, float())(masses, chunks, words[0]);
        if (chunk < 0)
            return {chunk == -2 ? __builtin_nan("") : -__builtin_inf(), 0.0, -1};
        const Range drawn = nth_range(layout_.length, kChunk, chunk);
        index_t index = 0;
        logits_.for_each_part(kept, r, drawn.begin, drawn.end, [&](const T* x, index_t, index_t here) {
            index = random_draw_in_chunk(table_, T())(x, here, scale, masses[chunk].max, words[1]);
        });
        return {0.0, 0.0, source_.index_offset + drawn.begin + index};
    }
    Draw inverse(const PiecedRow<T>& row, index_t r, const Prefix<T>* kept, const PrefixSearch<T>* listed) const {
        const double t = temperature(r);
        const index_t n = layout_.length, chunks = ceil_div(n, kChunk);
        if (t == 0.0)
            return part(r, kept, 0, n);
        ExpScale<T> scale;
        special_exp_scale(table_, T())(t, scale);
        std::vector<ChunkMass> masses(static_cast<std::size_t>(chunks));
        row.for_each_piece(n, [&](index_t piece, int) {
            if (listed != nullptr)
                add_listed_masses(listed->list(piece), row.begin(piece), row.end(piece), scale, masses.data());
            else
                add_masses(r, kept, row.begin(piece), row.end(piece), scale, masses.data());
        });
        return inverse(r, kept, scale, masses.data(), chunks);
    }
    void run_inverse_in_pieces(int threads) const {
        const index_t n = layout_.length, rows = layout_.rows, chunks = ceil_div(n, kChunk);
        std::vector<ExpScale<T>> scales(static_cast<std::size_t>(rows));
        for (index_t r = 0; r < rows; ++r)
            if (temperature(r) > 0.0)
                special_exp_scale(table_, T())(temperature(r), scales[static_cast<std::size_t>(r)]);
        std::vector<ChunkMass> masses(static_cast<std::size_t>(rows * chunks));
        parallel_for_row_ranges(rows, n, kPieceElements, threads, [&](index_t r, index_t begin, index_t end, int) {
            if (temperature(r) > 0.0)
                add_masses(r, nullptr, begin, end, scales[static_cast<std::size_t>(r)],
                           &masses[static_cast<std::size_t>(r * chunks)]);
        });
        parallel_for(rows, threads, [&](index_t r, int) {
            const bool drawn = temperature(r) > 0.0;
            write(r, nullptr,
                  drawn ? inverse(r, nullptr, scales[static_cast<std::size_t>(r)],
                                  &masses[static_cast<std::size_t>(r * chunks)], chunks)
                        : part(r, nullptr, 0, n));
        });
    }

    // log softmax(x / T) at one element: (x - max) / T - log(sum exp((x - max) / T)), in float64 but for the terms.
    double log_prob(index_t r, const Prefix<T>* kept, index_t index) const {
        const double t = temperature(r);
        if (index < 0)
            return __builtin_nan("");
        if (t == 0.0)
            return 0.0;
        ExpScale<T> scale;
        special_exp_scale(table_, T())(t, scale);
        RowSum<T> sum;
        special_row_clear(table_, T())(sum);
        logits_.for_each_part(kept, r, 0, layout_.length, [&](const T* x, index_t, index_t here) {
            special_exp_sum(table_, T())(x, here, scale, sum);
        });
        RowResult<T> row;
        special_row_result(table_, T())(sum, scale, false, row);
        const T x = logits_.at(r, index - source_.index_offset);
        return (static_cast<double>(x) - static_cast<double>(row.max)) / t - row.log_excess;
    }

    void write(index_t r, const Prefix<T>* kept, const Draw& draw) const {
        char* const to = layout_.row(kOut, r);
        __builtin_memcpy(to, &draw, sizeof draw);
        if (!log_prob_)
            return;
        const double value = log_prob(r, kept, draw.index);
        __builtin_memcpy(to + sizeof draw, &value, sizeof value);
    }

    const Source& source_;
    AxisMask reduced_;
    RowSource rows_;
    const KernelTable& table_;
    bool inverse_, log_prob_;
    std::vector<ArrayView> operands_;
    RowRules rules_;
    int where_;
    RowLayout layout_;
    Logits<T> logits_;
};

template <class T>
void top_of_rows(const TopArguments& a, const Source& source) {
    const AxisMask reduced = last_axis(a.logits);
    RowSource rows(a.function, source, a.logits, reduced);
    ArrayView out = a.out;
    --out.ndim;
    std::vector<ArrayView> operands = {a.logits, per_row(a.function, "out", out, a.logits, reduced)};
    const RowRules rules(a.function, a.temperature, a.filters, a.logits, reduced, operands);
    rows.append_to(operands);
    const int where = append_where(a.function, a.where, a.logits, operands);
    const RowLayout layout = make_rows(a.logits, reduced, operands);
    const Logits<T> logits(layout, a.logits.dtype, where);
    struct Top {
        std::vector<Draw> best;
        index_t count;
    };
    const Top empty = {std::vector<Draw>(static_cast<std::size_t>(a.most)), 0};
    // Each thread has the largest elements of what it saw, in `tops`; the first takes the others'.
    const auto top_of_row = [&](const PiecedRow<T>& row, index_t r, const Prefix<T>* kept, Top* tops) {
        const NoiseRow noise = rows.row(layout, r, Purpose::gumbel, false);
        const double t = rules.temperature(layout, r);
        for (int slot = 0; slot < row.slots(); ++slot)
            tops[slot].count = 0;
        row.for_each_piece(layout.length, [&](index_t piece, int slot) {
            Top& top = tops[slot];
            row.for_each_part(piece, kept, [&](const auto* x, index_t i, index_t here) {
                if (top.count >= 0)
                    random_gumbel_top(kernels(), element_of(x))(noise, t, x, source.index_offset + i, here,
                                                                top.best.data(), a.most, top.count);
            });
        });
        Draw none = {-__builtin_inf(), 0.0, -1};
        std::vector<Draw>& best = tops[0].best;
        for (int slot = 0; slot < row.slots(); ++slot) {
            const Top& top = tops[slot];
            if (top.count < 0)
                none.value = __builtin_nan("");
            else if (slot == 0)
                best.resize(static_cast<std::size_t>(top.count));
            else
                best.insert(best.end(), top.best.begin(), top.best.begin() + static_cast<std::ptrdiff_t>(top.count));
        }
        if (none.value != none.value)
            best.clear();
        std::sort(best.begin(), best.end(), precedes);
        best.resize(static_cast<std::size_t>(a.most), none);
        __builtin_memcpy(layout.row(1, r), best.data(), best.size() * sizeof(Draw));
    };
    if (rules.filtered())
        return search_rows(logits, [&](const PiecedRow<T>& row, index_t r, PrefixSearch<T>& search) {
            const bool found = search.run(row, rules.filters(layout, r), rules.rules());
            std::vector<Top> tops(static_cast<std::size_t>(row.slots()), empty);
            top_of_row(row, r, found ? &search.prefix() : nullptr, tops.data());
        });
    if (!few_long_rows(layout)) {
        const int threads = threads_for_rows(layout);
        std::vector<Top> tops(static_cast<std::size_t>(threads), empty);
        return for_each_row(layout, threads, [&](index_t r, int slot) {
            top_of_row(PiecedRow<T>(logits, r, false), r, nullptr, &tops[static_cast<std::size_t>(slot)]);
        });
    }
    for (index_t r = 0; r < layout.rows; ++r) {
        const PiecedRow<T> row(logits, r, true);
        std::vector<Top> tops(static_cast<std::size_t>(row.slots()), empty);
        top_of_row(row, r, nullptr, tops.data());
    }
}

}  // namespace

void draw(const DrawArguments& a, const Source& source) {
    check_logits(a.function, a.logits);
    index_t shape[kMaxDims];
    for (int d = 0; d < a.logits.ndim; ++d)
        shape[d] = d + 1 < a.logits.ndim ? a.logits.shape[d] : 4;
    check_out(a.function, "out", a.out, DType::f64, shape, a.logits.ndim);
    const FpGuard guard;
    if (computed_in(a.logits.dtype) == DType::f32)
        DrawJob<float>(a, source).run();
    else
        DrawJob<double>(a, source).run();
}

void gumbel_top(const TopArguments& a, const Source& source) {
    check_logits(a.function, a.logits);
    index_t shape[kMaxDims];
    for (int d = 0; d < a.logits.ndim; ++d)
        shape[d] = d + 1 < a.logits.ndim ? a.logits.shape[d] : 3 * a.most;
    check_out(a.function, "out", a.out, DType::f64, shape, a.logits.ndim);
    const FpGuard guard;
    if (computed_in(a.logits.dtype) == DType::f32)
        top_of_rows<float>(a, source);
    else
        top_of_rows<double>(a, source);
}

}  // namespace sorgum::random
