#include "api/random.h"

#include <algorithm>

#include "api/prefix_search.h"
#include "api/rows.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "core/parallel.h"
#include "dispatch/dispatch.h"

namespace sorgum::random {

namespace {

// How work is cut (N7: by shape only). None of these numbers changes a bit of any result.
constexpr index_t kPiece = 65536;                 // elements of a task
constexpr index_t kSerial = 16384;                // elements that are not worth waking a thread for
constexpr index_t kScratch = 4096;                // elements made before they are scattered
constexpr index_t kLastIndex = index_t(1) << 62;  // two words per index keep within 63 bits

index_t ceil_div(index_t a, index_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// The streams and positions of rows, checked.
class RowSource {
public:
    RowSource(const char* function, const Source& source, const ArrayView& x, const std::vector<bool>& reduced)
        : source_(source) {
        if (source.streams && source.streams->ndim == 0 && x.ndim > 1)
            throw ValueError(std::string(function) + ": streams must have one id per row, got a scalar");
        const ArrayView zero = {nullptr, DType::i64, false, 0, {}, {}};
        operands_ = {per_row(function, "position", source.position, x, reduced),
                     per_row(function, "streams", source.streams ? *source.streams : zero, x, reduced)};
        if (source.index_offset < 0 || source.index_offset > kLastIndex)
            throw ValueError(std::string(function) + ": index_offset must be in [0, 2**62], got " +
                             std::to_string(source.index_offset));
    }
    // The views that make_rows() takes behind the first `before` operands.
    void append_to(std::vector<ArrayView>& operands) {
        first_ = static_cast<int>(operands.size());
        operands.insert(operands.end(), operands_.begin(), operands_.end());
    }
    void check(const char* function, const RowLayout& layout) const {
        if (layout.length > kLastIndex - source_.index_offset)
            throw ValueError(std::string(function) + ": index_offset must leave indices up to 2**62, got " +
                             std::to_string(source_.index_offset) + " and rows of " + std::to_string(layout.length));
    }
    NoiseRow row(const RowLayout& layout, index_t r, Purpose purpose, bool wide) const {
        NoiseRow row;
        row.key = source_.key;
        row.stream = static_cast<std::uint64_t>(source_.streams ? integer(layout, first_ + 1, r) : r);
        row.position = static_cast<std::uint64_t>(integer(layout, first_, r));
        row.purpose = purpose;
        row.wide = wide;
        row.given = source_.given ? static_cast<const std::uint32_t*>(source_.given->data) : nullptr;
        return row;
    }

private:
    static index_t integer(const RowLayout& layout, int operand, index_t r) {
        index_t value;
        __builtin_memcpy(&value, layout.row(operand, r), sizeof value);
        return value;
    }

    const Source& source_;
    std::vector<ArrayView> operands_;
    int first_ = 0;
};

// The largest temperature: T G stays below half a unit of the largest float64, so that no sum overflows.
constexpr double kLargestTemperature = 0x1p900;
std::vector<bool> last_axis(const ArrayView& x) {
    std::vector<bool> reduced(static_cast<std::size_t>(x.ndim), false);
    if (x.ndim > 0)
        reduced.back() = true;
    return reduced;
}

struct Law {
    const char* name;
    Purpose purpose;
};
constexpr Law kLaws[] = {
    {"bits", Purpose::bits},     {"uniform", Purpose::uniform},   {"exponential", Purpose::exponential},
    {"gumbel", Purpose::gumbel}, {"logistic", Purpose::logistic}, {"normal", Purpose::normal}};

template <class T>
noise_fn<T>* kernel_of(Purpose purpose) {
    const KernelTable& table = kernels();
    switch (purpose) {
        case Purpose::bits:
            return random_bits(table, T());
        case Purpose::uniform:
            return random_uniform(table, T());
        case Purpose::exponential:
            return random_exponential(table, T());
        case Purpose::gumbel:
            return random_gumbel(table, T());
        case Purpose::logistic:
            return random_logistic(table, T());
        case Purpose::normal:
            return random_normal(table, T());
        case Purpose::inverse:
        case Purpose::gamma:
            break;
    }
    return nullptr;  // not a law of single elements: no name leads here
}

// Calls f(row, begin, end) for all elements in parallel: several short rows to a task, long ones in pieces.
template <class F>
void for_each_row_piece(const RowLayout& layout, F&& f) {
    const index_t n = layout.length;
    const index_t pieces = ceil_div(n, kPiece), rows_per_task = pieces > 1 ? 1 : kPiece / n;
    const index_t tasks = pieces > 1 ? layout.rows * pieces : ceil_div(layout.rows, rows_per_task);
    const int threads = tasks == 1 || layout.rows * n < kSerial ? 1 : num_threads();
    parallel_for(tasks, threads, [&](index_t task, int) {
        const index_t first = pieces > 1 ? task / pieces : task * rows_per_task;
        const index_t last = layout.rows - first < rows_per_task ? layout.rows : first + rows_per_task;
        const index_t begin = task % pieces * kPiece, end = n - begin < kPiece ? n : begin + kPiece;
        for (index_t r = first; r < last; ++r)
            f(r, begin, end);
    });
}

template <class T>
void fill(const Law& law, bool wide, const Source& source, const ArrayView& out) {
    const std::vector<bool> reduced = last_axis(out);
    RowSource rows(law.name, source, out, reduced);
    std::vector<ArrayView> operands = {out};
    rows.append_to(operands);
    const RowLayout layout = make_rows(out, reduced, operands);
    rows.check(law.name, layout);
    const index_t n = layout.length;
    if (layout.rows == 0 || n == 0)
        return;
    auto* const kernel = kernel_of<T>(law.purpose);
    const bool direct = layout.contiguous(0, sizeof(T));
    for_each_row_piece(layout, [&](index_t r, index_t begin, index_t end) {
        const NoiseRow row = rows.row(layout, r, law.purpose, wide);
        if (direct) {
            kernel(row, source.index_offset + begin, end - begin, reinterpret_cast<T*>(layout.row(0, r)) + begin);
            return;
        }
        alignas(64) T scratch[kScratch];
        for (index_t i = begin; i < end; i += kScratch) {
            const index_t here = end - i < kScratch ? end - i : kScratch;
            kernel(row, source.index_offset + i, here, scratch);
            scatter(layout, 0, r, 1, i, here, scratch, kScratch);
        }
    });
}

// Calls f(elements, the first one's place, their number) for elements [begin, end) of a row of operand 0, in chunks
// where it must gather. Where the operand `where`, unless negative, is false the element is -inf, and so is what is not
// in the prefix, unless that is null.
template <class T, class F>
void for_each_part(const RowLayout& layout, int where, const Prefix<T>* kept, index_t r, index_t begin, index_t end,
                   F&& f) {
    if (where < 0 && kept == nullptr && layout.contiguous(0, sizeof(T)))
        return f(reinterpret_cast<const T*>(layout.row(0, r)) + begin, begin, end - begin);
    alignas(64) T x[kScratch];
    bool mask[kScratch];
    for (index_t i = begin; i < end; i += kScratch) {
        const index_t here = end - i < kScratch ? end - i : kScratch;
        gather(layout, 0, r, 1, i, here, x, kScratch);
        if (where >= 0) {
            gather(layout, where, r, 1, i, here, mask, kScratch);
            for (index_t k = 0; k < here; ++k)
                x[k] = mask[k] ? x[k] : -static_cast<T>(__builtin_inf());
        }
        if (kept != nullptr)
            random_keep(kernels(), T())(x, i, here, *kept, x);
        f(x, i, here);
    }
}

// The temperatures and filters of rows, checked. They are operands of a layout.
class RowRules {
public:
    RowRules(const char* function, const ArrayView& temperature, const std::optional<FilterArguments>& filters,
             const ArrayView& x, const std::vector<bool>& reduced, std::vector<ArrayView>& operands)
        : function_(function),
          filtered_(filters.has_value()),
          scalars_(temperature.ndim == 0),
          first_(static_cast<int>(operands.size())) {
        operands.push_back(per_row(function, "temperature", temperature, x, reduced));
        if (!filters)
            return;
        scalars_ = scalars_ && filters->top_k.ndim + filters->top_p.ndim + filters->min_p.ndim == 0;
        operands.push_back(per_row(function, "top_k", filters->top_k, x, reduced));
        operands.push_back(per_row(function, "top_p", filters->top_p, x, reduced));
        operands.push_back(per_row(function, "min_p", filters->min_p, x, reduced));
        rules_.all_ties = filters->all_ties;
        constexpr const char* names[] = {"temperature", "min_p", "top_k", "top_p"};
        const auto& order = filters->order;
        for (std::size_t i = 0; i < 4; ++i) {
            const auto at = std::find(order.begin(), order.end(), names[i]);
            if (order.size() != 4 || at == order.end())
                throw ValueError(std::string(function) +
                                 ": filter_order must name temperature, min_p, top_k and top_p once each, got " +
                                 joined(order));
            rules_.order[at - order.begin()] = static_cast<FilterStep>(i);
        }
    }
    void check(const RowLayout& layout) const {
        for (index_t r = 0; r < (scalars_ ? std::min<index_t>(layout.rows, 1) : layout.rows); ++r) {
            const double t = temperature(layout, r);
            if (!(t >= 0.0) || t > kLargestTemperature)
                refuse("temperature", "in [0, 2**900]", number_text(t));
            if (!filtered_)
                continue;
            const Filters f = filters(layout, r);
            if (f.top_k < 1)
                refuse("top_k", "at least 1", std::to_string(f.top_k));
            if (!(f.top_p > 0.0) || f.top_p > 1.0)
                refuse("top_p", "in (0, 1]", number_text(f.top_p));
            if (!(f.min_p >= 0.0) || f.min_p > 1.0)
                refuse("min_p", "in [0, 1]", number_text(f.min_p));
        }
    }
    bool filtered() const { return filtered_; }
    const FilterRules& rules() const { return rules_; }
    double temperature(const RowLayout& layout, index_t r) const { return value<double>(layout, 0, r); }
    Filters filters(const RowLayout& layout, index_t r) const {
        return {temperature(layout, r), value<index_t>(layout, 1, r), value<double>(layout, 2, r),
                value<double>(layout, 3, r)};
    }

private:
    template <class V>
    V value(const RowLayout& layout, int operand, index_t r) const {
        V v;
        __builtin_memcpy(&v, layout.row(first_ + operand, r), sizeof v);
        return v;
    }
    [[noreturn]] void refuse(const char* argument, const char* rule, const std::string& value) const {
        throw ValueError(std::string(function_) + ": " + argument + " must be " + rule + ", got " + value);
    }
    static std::string joined(const std::vector<std::string>& words) {
        std::string text = "(";
        for (const std::string& word : words)
            text += (text.size() > 1 ? ", " : "") + word;
        return text + ")";
    }

    const char* function_;
    bool filtered_, scalars_;
    int first_;
    FilterRules rules_ = {};
};

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
          rules_(a.function, a.temperature, a.filters, a.logits, reduced_, operands_) {
        rows_.append_to(operands_);
        if (a.where) {
            where_ = static_cast<int>(operands_.size());
            operands_.push_back(broadcast_like(a.function, "where", *a.where, a.logits));
        }
        layout_ = make_rows(a.logits, reduced_, operands_);
        rows_.check(a.function, layout_);
        rules_.check(layout_);
    }

    void run() {
        const index_t n = layout_.length, rows = layout_.rows;
        if (rows == 0)
            return;
        const bool whole = n <= kPiece || rows >= kManyRows || rules_.filtered();
        const index_t pieces = whole ? 1 : ceil_div(n, kPiece);
        const index_t rows_per_task = n >= kPiece ? 1 : kPiece / (n > 0 ? n : 1);
        const index_t tasks = whole ? ceil_div(rows, rows_per_task) : rows * pieces;
        const int threads = tasks == 1 || rows * n < kSerial ? 1 : num_threads();
        if (whole) {
            std::vector<PrefixSearch<T>> searches(rules_.filtered() ? static_cast<std::size_t>(threads) : 0);
            parallel_for(tasks, threads, [&](index_t task, int slot) {
                const index_t first = task * rows_per_task;
                const index_t last = rows - first < rows_per_task ? rows : first + rows_per_task;
                for (index_t r = first; r < last; ++r) {
                    if (rules_.filtered())
                        filtered(r, searches[static_cast<std::size_t>(slot)]);
                    else
                        write(r, nullptr, inverse_ ? inverse(r, nullptr) : part(r, nullptr, 0, n));
                }
            });
            return;
        }
        if (inverse_)
            return run_inverse_in_pieces(pieces, threads);
        std::vector<Draw> parts(static_cast<std::size_t>(tasks));
        parallel_for(tasks, threads, [&](index_t task, int) {
            const index_t begin = task % pieces * kPiece, end = n - begin < kPiece ? n : begin + kPiece;
            parts[static_cast<std::size_t>(task)] = part(task / pieces, nullptr, begin, end);
        });
        parallel_for(rows, log_prob_ ? threads : 1, [&](index_t r, int) {
            const Draw* const of_row = &parts[static_cast<std::size_t>(r * pieces)];
            Draw best = of_row[0];
            for (index_t p = 1; p < pieces; ++p)
                best = precedes(of_row[p], best) ? of_row[p] : best;
            write(r, nullptr, best);
        });
    }

private:
    enum Operand { kLogits = 0, kOut = 1 };
    static constexpr index_t kManyRows = 16;  // so many rows keep all threads busy without being shared

    static ArrayView row_of_out(const DrawArguments& a, const std::vector<bool>& reduced) {
        ArrayView out = a.out;  // four numbers as one element of a row
        --out.ndim;
        return per_row(a.function, "out", out, a.logits, reduced);
    }

    double temperature(index_t r) const { return rules_.temperature(layout_, r); }

    // Draws from what the filters keep of a row: as from the row with -inf for all else.
    void filtered(index_t r, PrefixSearch<T>& search) const {
        const double t = temperature(r);
        const auto parts = [&](auto&& f) { for_each_part(r, nullptr, 0, layout_.length, f); };
        // Where T is 0 the first of the largest elements is drawn, which no filter drops.
        const bool found = t > 0.0 && search.run(parts, layout_.length, rules_.filters(layout_, r), rules_.rules());
        const Prefix<T>* const kept = found ? &search.prefix() : nullptr;
        if (inverse_)
            return write(r, kept, inverse(r, kept));
        if (!found || !search.listed())
            return write(r, kept, part(r, kept, 0, layout_.length));
        Draw best = {-__builtin_inf(), 0.0, -1};
        random_gumbel_listed(table_, T())(rows_.row(layout_, r, Purpose::gumbel, false), t, search.values(),
                                          search.places(), source_.index_offset, search.count(), best);
        write(r, kept, best);
    }

    Draw part(index_t r, const Prefix<T>* kept, index_t begin, index_t end) const {
        const NoiseRow row = rows_.row(layout_, r, Purpose::gumbel, false);
        const double t = inverse_ ? 0.0 : temperature(r);  // by inversion, parts are for T = 0 alone
        Draw best = {-__builtin_inf(), 0.0, -1};
        for_each_part(r, kept, begin, end, [&](const T* x, index_t i, index_t here) {
            random_gumbel_max(table_, T())(row, t, x, source_.index_offset + i, here, best);
        });
        return best;
    }

    template <class F>
    void for_each_part(index_t r, const Prefix<T>* kept, index_t begin, index_t end, F&& f) const {
        random::for_each_part<T>(layout_, where_, kept, r, begin, end, f);
    }

    // The masses of the chunks from element `begin` on.
    void add_masses(index_t r, const Prefix<T>* kept, index_t begin, index_t end, const ExpScale<T>& scale,
                    ChunkMass* masses) const {
        for_each_part(r, kept, begin, end, [&](const T* x, index_t i, index_t here) {
            random_chunk_masses(table_, T())(x, here, scale, masses + i / kChunk);
        });
    }

    // Chooses by words 0 and 1 of the row.
    Draw inverse(index_t r, const Prefix<T>* kept, const ExpScale<T>& scale, const ChunkMass* masses,
                 index_t chunks) const {
        const NoiseRow row = rows_.row(layout_, r, Purpose::inverse, true);
        double encoded[2];
        std::uint64_t words[2];
        random_bits(table_, double())(row, 0, 2, encoded);
        __builtin_memcpy(words, encoded, sizeof words);
        const index_t chunk = random_choose_chunk(table_, float())(masses, chunks, words[0]);
        if (chunk < 0)
            return {chunk == -2 ? __builtin_nan("") : -__builtin_inf(), 0.0, -1};
        const index_t begin = chunk * kChunk, left = layout_.length - begin;
        index_t index = 0;
        for_each_part(r, kept, begin, begin + (left < kChunk ? left : kChunk), [&](const T* x, index_t, index_t here) {
            index = random_draw_in_chunk(table_, T())(x, here, scale, masses[chunk].max, words[1]);
        });
        return {0.0, 0.0, source_.index_offset + begin + index};
    }
    Draw inverse(index_t r, const Prefix<T>* kept) const {
        const double t = temperature(r);
        const index_t n = layout_.length, chunks = ceil_div(n, kChunk);
        if (t < kLeastTemperature)
            return part(r, kept, 0, n);
        ExpScale<T> scale;
        special_exp_scale(table_, T())(t, scale);
        std::vector<ChunkMass> masses(static_cast<std::size_t>(chunks));
        add_masses(r, kept, 0, n, scale, masses.data());
        return inverse(r, kept, scale, masses.data(), chunks);
    }
    void run_inverse_in_pieces(index_t pieces, int threads) const {
        const index_t n = layout_.length, rows = layout_.rows, chunks = ceil_div(n, kChunk);
        std::vector<ExpScale<T>> scales(static_cast<std::size_t>(rows));
        for (index_t r = 0; r < rows; ++r)
            if (temperature(r) >= kLeastTemperature)
                special_exp_scale(table_, T())(temperature(r), scales[static_cast<std::size_t>(r)]);
        std::vector<ChunkMass> masses(static_cast<std::size_t>(rows * chunks));
        parallel_for(rows * pieces, threads, [&](index_t task, int) {
            const index_t r = task / pieces, begin = task % pieces * kPiece;
            if (temperature(r) >= kLeastTemperature)
                add_masses(r, nullptr, begin, n - begin < kPiece ? n : begin + kPiece,
                           scales[static_cast<std::size_t>(r)], &masses[static_cast<std::size_t>(r * chunks)]);
        });
        parallel_for(rows, threads, [&](index_t r, int) {
            const bool drawn = temperature(r) >= kLeastTemperature;
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
        if (t < kLeastTemperature)
            return 0.0;
        ExpScale<T> scale;
        special_exp_scale(table_, T())(t, scale);
        RowSum<T> sum;
        special_row_clear(table_, T())(sum);
        for_each_part(r, kept, 0, layout_.length,
                      [&](const T* x, index_t, index_t here) { special_exp_sum(table_, T())(x, here, scale, sum); });
        RowResult<T> row;
        special_row_result(table_, T())(sum, scale, false, row);
        T x;
        gather(layout_, kLogits, r, 1, index - source_.index_offset, 1, &x, 1);
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
    std::vector<bool> reduced_;
    RowSource rows_;
    const KernelTable& table_;
    bool inverse_, log_prob_;
    std::vector<ArrayView> operands_;
    RowRules rules_;
    RowLayout layout_;
    int where_ = -1;
};

template <class T>
void top_of_rows(const TopArguments& a, const Source& source) {
    const std::vector<bool> reduced = last_axis(a.logits);
    RowSource rows(a.function, source, a.logits, reduced);
    ArrayView out = a.out;
    --out.ndim;
    std::vector<ArrayView> operands = {a.logits, per_row(a.function, "out", out, a.logits, reduced)};
    rows.append_to(operands);
    int where = -1;
    if (a.where) {
        where = static_cast<int>(operands.size());
        operands.push_back(broadcast_like(a.function, "where", *a.where, a.logits));
    }
    const RowLayout layout = make_rows(a.logits, reduced, operands);
    rows.check(a.function, layout);
    const index_t n = layout.length;
    const index_t rows_per_task = n >= kPiece ? 1 : kPiece / (n > 0 ? n : 1);
    const index_t tasks = ceil_div(layout.rows, rows_per_task);
    const int threads = tasks <= 1 || layout.rows * n < kSerial ? 1 : num_threads();
    parallel_for(tasks, threads, [&](index_t task, int) {
        std::vector<Draw> best(static_cast<std::size_t>(a.most));
        const index_t first = task * rows_per_task;
        const index_t last = layout.rows - first < rows_per_task ? layout.rows : first + rows_per_task;
        for (index_t r = first; r < last; ++r) {
            index_t count = 0;
            for_each_part<T>(layout, where, nullptr, r, 0, n, [&](const T* x, index_t i, index_t here) {
                const NoiseRow row = rows.row(layout, r, Purpose::gumbel, false);
                if (count >= 0)
                    random_gumbel_top(kernels(), T())(row, x, source.index_offset + i, here, best.data(), a.most,
                                                      count);
            });
            const Draw none = {count < 0 ? __builtin_nan("") : -__builtin_inf(), 0.0, -1};
            const auto found = static_cast<std::size_t>(count < 0 ? 0 : count);
            std::fill(best.begin() + static_cast<std::ptrdiff_t>(found), best.end(), none);
            std::sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(found), precedes);
            __builtin_memcpy(layout.row(1, r), best.data(), best.size() * sizeof(Draw));
        }
    });
}

template <class T>
void add_to_rows(const char* function, const ArrayView& logits, const Source& source, const ArrayView& out) {
    const std::vector<bool> reduced = last_axis(logits);
    RowSource rows(function, source, logits, reduced);
    std::vector<ArrayView> operands = {logits, out};
    rows.append_to(operands);
    const RowLayout layout = make_rows(logits, reduced, operands);
    rows.check(function, layout);
    const index_t n = layout.length;
    if (layout.rows == 0 || n == 0)
        return;
    const bool direct = layout.contiguous(0, sizeof(T)) && layout.contiguous(1, sizeof(T));
    for_each_row_piece(layout, [&](index_t r, index_t begin, index_t end) {
        const NoiseRow row = rows.row(layout, r, Purpose::gumbel, false);
        for_each_part<T>(layout, -1, nullptr, r, begin, end, [&](const T* x, index_t i, index_t here) {
            if (direct) {
                random_gumbel_add(kernels(), T())(row, x, source.index_offset + i, here,
                                                  reinterpret_cast<T*>(layout.row(1, r)) + i);
                return;
            }
            alignas(64) T y[kScratch];
            for (index_t k = 0; k < here; k += kScratch) {
                const index_t some = here - k < kScratch ? here - k : kScratch;
                random_gumbel_add(kernels(), T())(row, x + k, source.index_offset + i + k, some, y);
                scatter(layout, 1, r, 1, i + k, some, y, kScratch);
            }
        });
    });
}

template <class T>
void keep_in_rows(const KeepArguments& a) {
    const std::vector<bool> reduced = last_axis(a.logits);
    std::vector<ArrayView> operands = {a.logits, a.out};
    const RowRules rules(a.function, a.temperature, a.filters, a.logits, reduced, operands);
    int where = -1;
    if (a.where) {
        where = static_cast<int>(operands.size());
        operands.push_back(broadcast_like(a.function, "where", *a.where, a.logits));
    }
    const RowLayout layout = make_rows(a.logits, reduced, operands);
    rules.check(layout);
    const index_t n = layout.length, rows = layout.rows;
    const index_t rows_per_task = n >= kPiece ? 1 : kPiece / (n > 0 ? n : 1), tasks = ceil_div(rows, rows_per_task);
    const int threads = tasks <= 1 || rows * n < kSerial ? 1 : num_threads();
    std::vector<PrefixSearch<T>> searches(static_cast<std::size_t>(threads));
    parallel_for(tasks, threads, [&](index_t task, int slot) {
        PrefixSearch<T>& search = searches[static_cast<std::size_t>(slot)];
        const index_t first = task * rows_per_task;
        for (index_t r = first; r < rows && r < first + rows_per_task; ++r) {
            const auto parts = [&](auto&& f) { for_each_part<T>(layout, where, nullptr, r, 0, n, f); };
            const bool found = search.run(parts, n, rules.filters(layout, r), rules.rules());
            const Prefix<T> none = {search.spoilt() ? static_cast<T>(__builtin_nan("")) : T(0), 0};
            const Prefix<T>& kept = found ? search.prefix() : none;
            alignas(64) T y[kScratch];
            parts([&](const T* x, index_t i, index_t here) {
                for (index_t k = 0; k < here; k += kScratch) {
                    const index_t some = here - k < kScratch ? here - k : kScratch;
                    if (found)
                        random_keep(kernels(), T())(x + k, i + k, some, kept, y);
                    else
                        std::fill(y, y + some, search.spoilt() ? kept.value : -static_cast<T>(__builtin_inf()));
                    scatter(layout, 1, r, 1, i + k, some, y, kScratch);
                }
            });
        }
    });
}

// The tokens of a row, each once, with how often it stands among those drawn.
void collect_seen(const RowLayout& tokens, const RowLayout* prompt, index_t r, std::vector<index_t>& sorted,
                  std::vector<SeenToken>& seen) {
    const auto sort = [&](const RowLayout& from) {
        sorted.clear();
        for (index_t i = 0; i < from.length; ++i) {
            index_t token;
            __builtin_memcpy(&token, from.element(0, from.row(0, r), i), sizeof token);
            if (token >= 0)
                sorted.push_back(token);
        }
        std::sort(sorted.begin(), sorted.end());
    };
    seen.clear();
    sort(tokens);
    for (const index_t token : sorted) {
        if (seen.empty() || seen.back().token != token)
            seen.push_back({token, 0});
        ++seen.back().count;
    }
    if (prompt == nullptr)
        return;
    const auto drawn = static_cast<std::ptrdiff_t>(seen.size());
    sort(*prompt);
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    const auto before = [](const SeenToken& a, index_t token) { return a.token < token; };
    for (const index_t token : sorted) {
        const auto end = seen.begin() + drawn, at = std::lower_bound(seen.begin(), end, token, before);
        if (at == end || at->token != token)
            seen.push_back({token, 0});
    }
}

template <class T>
void penalise_rows(const PenaltyArguments& a) {
    const std::vector<bool> reduced = last_axis(a.logits);
    const RowLayout layout = make_rows(a.logits, reduced,
                                       {a.logits, per_row(a.function, "repetition", a.repetition, a.logits, reduced),
                                        per_row(a.function, "frequency", a.frequency, a.logits, reduced),
                                        per_row(a.function, "presence", a.presence, a.logits, reduced)});
    const RowLayout tokens = make_rows(a.tokens, last_axis(a.tokens), {a.tokens});
    std::optional<RowLayout> prompt;
    if (a.prompt)
        prompt = make_rows(*a.prompt, last_axis(*a.prompt), {*a.prompt});
    const index_t work = tokens.length + (prompt ? prompt->length : 0);
    parallel_for(layout.rows, layout.rows * work < kSerial ? 1 : num_threads(), [&](index_t r, int) {
        Penalties penalties;
        __builtin_memcpy(&penalties.repetition, layout.row(1, r), sizeof(double));
        __builtin_memcpy(&penalties.frequency, layout.row(2, r), sizeof(double));
        __builtin_memcpy(&penalties.presence, layout.row(3, r), sizeof(double));
        std::vector<index_t> sorted;
        std::vector<SeenToken> seen;
        collect_seen(tokens, prompt ? &*prompt : nullptr, r, sorted, seen);
        char* const row = layout.row(0, r);
        for (const SeenToken& token : seen) {
            T x;
            char* const at = layout.element(0, row, token.token);
            __builtin_memcpy(&x, at, sizeof x);
            random_penalise(kernels(), T())(&x, &token, 1, penalties);
            __builtin_memcpy(at, &x, sizeof x);
        }
    });
}

template <class T>
void gamma_rows(const char* function, const ArrayView& concentration, bool logarithm, const Source& source,
                const ArrayView& out) {
    const std::vector<bool> reduced = last_axis(out);
    RowSource rows(function, source, out, reduced);
    std::vector<ArrayView> operands = {concentration, out};
    rows.append_to(operands);
    const RowLayout layout = make_rows(out, reduced, operands);
    rows.check(function, layout);
    const index_t n = layout.length;
    if (layout.rows == 0 || n == 0)
        return;
    for_each_row_piece(layout, [&](index_t r, index_t begin, index_t end) {
        const NoiseRow row = rows.row(layout, r, Purpose::gamma, false);
        double shape[kScratch];
        T y[kScratch];
        for (index_t i = begin; i < end; i += kScratch) {
            const index_t here = end - i < kScratch ? end - i : kScratch;
            gather(layout, 0, r, 1, i, here, shape, kScratch);
            random_gamma(kernels(), T())(row, source.index_offset + i, here, shape, logarithm, y);
            scatter(layout, 1, r, 1, i, here, y, kScratch);
        }
    });
}

void check_logits(const char* function, const ArrayView& logits) {
    if (logits.dtype != DType::f32 && logits.dtype != DType::f64)
        throw TypeError(std::string(function) + ": logits must have dtype float32 or float64, got " +
                        dtype_text(logits.dtype));
    if (logits.ndim == 0)
        throw ValueError(std::string(function) + ": logits must have at least one axis, got a scalar");
}

// Calls f(the value) for every element.
template <class V, class F>
void for_each_value(const ArrayView& x, F&& f) {
    const RowLayout layout = make_rows(x, std::vector<bool>(static_cast<std::size_t>(x.ndim), false), {x});
    for (index_t r = 0; r < layout.rows; ++r) {
        V value;
        __builtin_memcpy(&value, layout.row(0, r), sizeof value);
        f(value);
    }
}

// One more axis than the rows of the logits, of any length.
void check_tokens(const char* function, const char* argument, const ArrayView& tokens, const ArrayView& logits) {
    bool fits = tokens.ndim == logits.ndim;
    for (int d = 0; fits && d + 1 < logits.ndim; ++d)
        fits = tokens.shape[d] == logits.shape[d];
    const std::string prefix = std::string(function) + ": " + argument + " must ";
    if (!fits)
        throw ValueError(prefix + "have the shape of the rows, " + shape_text(logits.shape, logits.ndim - 1) +
                         ", and one axis more, got shape " + shape_text(tokens.shape, tokens.ndim));
    const index_t vocabulary = logits.shape[logits.ndim - 1];
    for_each_value<index_t>(tokens, [&](index_t token) {
        if (token < -1 || token >= vocabulary)
            throw ValueError(prefix + "be in [-1, " + std::to_string(vocabulary) + "), got " + std::to_string(token));
    });
}

void check_penalties(const PenaltyArguments& a) {
    const auto check = [&](const char* argument, const char* rule, const ArrayView& x, bool positive) {
        for_each_value<double>(x, [&](double value) {
            if (!(value - value == 0.0) || (positive && !(value > 0.0)))
                throw ValueError(std::string(a.function) + ": " + argument + " must be " + rule + ", got " +
                                 number_text(value));
        });
    };
    check("repetition", "positive and finite", a.repetition, true);
    check("frequency", "finite", a.frequency, false);
    check("presence", "finite", a.presence, false);
}

}  // namespace

void keep_filtered(const KeepArguments& a) {
    check_logits(a.function, a.logits);
    check_out(a.function, "out", a.out, a.logits.dtype, a.logits.shape, a.logits.ndim);
    const FpGuard guard;
    if (a.logits.dtype == DType::f32)
        keep_in_rows<float>(a);
    else
        keep_in_rows<double>(a);
}

void penalise(const PenaltyArguments& a) {
    check_logits(a.function, a.logits);
    check_out(a.function, "out", a.logits, a.logits.dtype, a.logits.shape, a.logits.ndim);
    check_tokens(a.function, "tokens", a.tokens, a.logits);
    if (a.prompt)
        check_tokens(a.function, "prompt", *a.prompt, a.logits);
    check_penalties(a);
    const FpGuard guard;
    if (a.logits.dtype == DType::f32)
        penalise_rows<float>(a);
    else
        penalise_rows<double>(a);
}

void gamma(const char* function, const ArrayView& concentration, bool logarithm, const Source& source,
           const ArrayView& out) {
    check_out(function, "out", out, out.dtype == DType::f32 ? DType::f32 : DType::f64, concentration.shape,
              concentration.ndim);
    for_each_value<double>(concentration, [&](double a) {
        if (!(a >= 0x1p-1000 && a <= 0x1p1000))
            throw ValueError(std::string(function) + ": concentration must be in [2**-1000, 2**1000], got " +
                             number_text(a));
    });
    const FpGuard guard;
    if (out.dtype == DType::f32)
        gamma_rows<float>(function, concentration, logarithm, source, out);
    else
        gamma_rows<double>(function, concentration, logarithm, source, out);
}

void gumbel_top(const TopArguments& a, const Source& source) {
    check_logits(a.function, a.logits);
    index_t shape[kMaxDims];
    for (int d = 0; d < a.logits.ndim; ++d)
        shape[d] = d + 1 < a.logits.ndim ? a.logits.shape[d] : 3 * a.most;
    check_out(a.function, "out", a.out, DType::f64, shape, a.logits.ndim);
    const FpGuard guard;
    if (a.logits.dtype == DType::f32)
        top_of_rows<float>(a, source);
    else
        top_of_rows<double>(a, source);
}

void gumbel_add(const char* function, const ArrayView& logits, const Source& source, const ArrayView& out) {
    check_logits(function, logits);
    check_out(function, "out", out, logits.dtype, logits.shape, logits.ndim);
    const FpGuard guard;
    if (logits.dtype == DType::f32)
        add_to_rows<float>(function, logits, source, out);
    else
        add_to_rows<double>(function, logits, source, out);
}

void draw(const DrawArguments& a, const Source& source) {
    check_logits(a.function, a.logits);
    index_t shape[kMaxDims];
    for (int d = 0; d < a.logits.ndim; ++d)
        shape[d] = d + 1 < a.logits.ndim ? a.logits.shape[d] : 4;
    check_out(a.function, "out", a.out, DType::f64, shape, a.logits.ndim);
    const FpGuard guard;
    if (a.logits.dtype == DType::f32)
        DrawJob<float>(a, source).run();
    else
        DrawJob<double>(a, source).run();
}

std::uint64_t derived_key(std::uint64_t key, std::uint64_t data, std::uint32_t tag) {
    const std::uint32_t counter[4] = {static_cast<std::uint32_t>(data), static_cast<std::uint32_t>(data >> 32), 0, tag};
    const std::uint32_t words[2] = {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
    float c[4], k[2], out[4];
    __builtin_memcpy(c, counter, sizeof c);
    __builtin_memcpy(k, words, sizeof k);
    random_philox(kernels(), float())({c, k, out, 1, 10});
    std::uint32_t derived[2];
    __builtin_memcpy(derived, out, sizeof derived);
    return static_cast<std::uint64_t>(derived[1]) << 32 | derived[0];
}

void philox(const ArrayView& counter, const ArrayView& key, const ArrayView& out, index_t rounds) {
    const index_t n = counter.ndim == 2 ? counter.shape[1] : 0;
    const index_t four[2] = {4, n}, two[2] = {2, n};
    ArrayView read_key = key, read_counter = counter;
    read_key.writable = read_counter.writable = true;
    check_out("philox", "counter", read_counter, DType::f32, four, 2);
    check_out("philox", "key", read_key, DType::f32, two, 2);
    check_out("philox", "out", out, DType::f32, four, 2);
    if (rounds != 7 && rounds != 10)
        throw ValueError("philox: rounds must be 7 or 10, got " + std::to_string(rounds));
    random_philox(kernels(), float())({static_cast<const float*>(counter.data), static_cast<const float*>(key.data),
                                       static_cast<float*>(out.data), n, static_cast<int>(rounds)});
}

void noise(const std::string& name, bool wide, const Source& source, const std::vector<index_t>& shape,
           const ArrayView& out) {
    const Law* law = nullptr;
    for (const Law& known : kLaws)
        if (name == known.name)
            law = &known;
    if (law == nullptr)
        throw ValueError("noise: law must be a distribution of this family, got '" + name + "'");
    check_out(law->name, "out", out, out.dtype == DType::f32 ? DType::f32 : DType::f64, shape.data(),
              static_cast<int>(shape.size()));
    if (source.given &&
        (source.given->ndim != 1 || source.given->shape[0] < (wide ? 2 : 1) * (shape.empty() ? 1 : shape.back())))
        throw ValueError(name + ": given must hold the words of a row, got too few");
    const FpGuard guard;
    if (out.dtype == DType::f32)
        fill<float>(*law, wide, source, out);
    else
        fill<double>(*law, wide, source, out);
}

}  // namespace sorgum::random
