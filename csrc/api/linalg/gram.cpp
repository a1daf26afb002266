#include "api/linalg/gram.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "api/call/stored.h"
#include "core/fp_env.h"
#include "core/interrupt.h"
#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"
#include "kernels/linalg/gram.h"
#include "kernels/linalg/product.h"

namespace sorgum::linalg {

namespace {

constexpr index_t kPanel = 16;              // rows
constexpr index_t kBand = 256;              // rows of a task, and columns that are packed at a time
constexpr index_t kRunElements = 1 << 16;   // of the tensor, for a task
constexpr index_t kMostRuns = 32;           // that are summed side by side
constexpr index_t kWaveElements = 1 << 21;  // of their sums
constexpr index_t kSumsAtOnce = 1 << 14;    // that a thread adds
// Terms that are packed at a time where all rows are one band: that and the sums stay in the second-level cache, and
// what is packed next is fetched meanwhile. Sums of several bands do not stay there, so that whole chunks are packed.
// No bit depends on it, since chains go on where they stopped.
constexpr index_t kTerms = 128;

// The largest aligned run of chunks from `first` on: their number is a power of two that divides `first`.
index_t aligned_chunks(index_t first, index_t end, index_t most) {
    index_t chunks = 1;
    while (chunks * 2 <= most && first % (chunks * 2) == 0 && first + chunks * 2 <= end)
        chunks *= 2;
    return chunks;
}

class Gram {
public:
    // Of some columns of x, whose chunks are numbered from `first_chunk` on.
    Gram(const Unfolding& x, Range columns, index_t first_chunk)
        : x_(x),
          columns_(columns),
          begin_(first_chunk),
          end_(first_chunk + ceil_div(columns.end - columns.begin, kDepthChunk)),
          size_(row_of_triangle(x.rows())),
          threads_(threads_for(saturated_product(saturated_product(x_.rows(), columns.end - columns.begin),
                                                 std::min(x_.rows(), kPanel)))),
          scratch_(static_cast<std::size_t>(threads_)) {}

    void run() {
        const index_t rows = std::max<index_t>(x_.rows(), kPanel);
        const index_t most = std::max<index_t>(1, kRunElements / (saturated_product(rows, kDepthChunk)));
        const index_t width = std::min(kMostRuns, std::max<index_t>(1, kWaveElements / size_));
        InterruptPoll poll;
        for (index_t chunk = begin_; chunk < end_;) {
            poll();
            std::vector<Node> wave;
            while (chunk < end_ && static_cast<index_t>(wave.size()) < width) {
                wave.push_back({chunk, aligned_chunks(chunk, end_, most), take()});
                chunk += wave.back().chunks;
            }
            sum(wave);
            for (const Node& node : wave)
                count(node);
            add();
        }
    }

    // The maximal aligned runs, in ascending order, as lower triangles without gaps.
    void write_runs(double* out) const {
        const index_t n = x_.rows(), triangle = n * (n + 1) / 2;
        for (const Node& node : nodes_) {
            for (index_t i = 0, at = 0; i < n; ++i, at += i)
                for (index_t j = 0; j <= i; ++j)
                    out[at + j] = canonical(sums(node)[row_of_triangle(i) + j]);
            out += triangle;
        }
    }

    // What remains in the counter, from the lowest level up; then both triangles.
    void write_matrix(double* out) {
        const index_t n = x_.rows();
        if (nodes_.empty()) {
            std::fill(out, out + n * n, 0.0);
            return;
        }
        const Node last = nodes_.back();
        for (std::size_t i = nodes_.size() - 1; i-- > 0;)
            additions_.emplace_back(sums(nodes_[i]), sums(last));
        add();
        const double* const from = sums(last);
        parallel_for_ranges(n, kPanel, threads_for(n * n), [&](index_t begin, index_t end, int) {
            for (index_t j = 0; j < end; j += kPanel)  // columns, and so rows of the other triangle
                for (index_t i = begin; i < end; ++i) {
                    const double* const row = from + row_of_triangle(i) + j;
                    const index_t stop = std::min(kPanel, i + 1 - j);
                    for (index_t c = 0; c < stop; ++c)
                        out[i * n + j + c] = out[(j + c) * n + i] = canonical(row[c]);
                }
        });
    }

private:
    struct Node {
        index_t first, chunks;
        std::size_t buffer;
    };
    struct Scratch {
        AlignedArray<double> rows, columns, gathered;
        std::vector<AlignedArray<double>> levels;
    };

    static double canonical(double v) { return v == v ? v : std::numeric_limits<double>::quiet_NaN(); }

    double* sums(const Node& node) const { return buffers_[node.buffer].data(); }

    std::size_t take() {
        if (free_.empty()) {
            buffers_.emplace_back();
            buffers_.back().reserve(size_);
            return buffers_.size() - 1;
        }
        const std::size_t buffer = free_.back();
        free_.pop_back();
        return buffer;
    }

    // Each run and each band of rows is a task.
    void sum(const std::vector<Node>& wave) {
        const index_t bands = ceil_div(x_.rows(), kBand);
        parallel_for(static_cast<index_t>(wave.size()) * bands, threads_, [&](index_t task, int slot) {
            const Node& node = wave[static_cast<std::size_t>(task / bands)];
            // The last band has the most columns.
            sum_run(node, nth_range(x_.rows(), kBand, bands - 1 - task % bands),
                    scratch_[static_cast<std::size_t>(slot)]);
        });
    }

    void sum_run(const Node& node, Range band, Scratch& scratch) const {
        const index_t before = row_of_triangle(band.begin), size = row_of_triangle(band.end) - before;
        double* const result = sums(node) + before;
        if (node.chunks == 1)
            return sum_chunk(node.first, band, result, scratch);
        std::size_t levels = 0;
        for (index_t c = node.chunks; c > 1; c /= 2)
            ++levels;
        if (scratch.levels.size() < levels)
            scratch.levels.resize(levels);
        for (index_t c = 0; c < node.chunks; ++c) {
            sum_chunk(node.first + c, band, result, scratch);
            std::size_t level = 0;
            for (index_t m = c; m % 2 != 0; m /= 2, ++level)
                linalg_add_sums(kernels(), double())(scratch.levels[level].data(), result, size);
            if (level < levels) {
                scratch.levels[level].reserve(size);
                std::memcpy(scratch.levels[level].data(), result, static_cast<std::size_t>(size) * sizeof(double));
            }
        }
    }

    void sum_chunk(index_t chunk, Range band, double* result, Scratch& scratch) const {
        const Range terms = nth_range(columns_.end - columns_.begin, kDepthChunk, chunk - begin_);
        const bool one_band = x_.rows() <= kBand;
        const index_t at_once = one_band ? kTerms : kDepthChunk;
        GramPanels<double> p = {};
        p.first_row = band.begin;
        p.rows = band.end - band.begin;
        p.sums = result - row_of_triangle(band.begin);
        for (index_t k = terms.begin; k < terms.end; k += at_once) {
            const index_t first = columns_.begin + k;
            p.depth = std::min(at_once, terms.end - k);
            p.begins = k == terms.begin;
            p.x = pack(band, first, p.depth, scratch.rows, scratch.gathered);
            if (one_band)
                p.ahead = x_.ahead(first + p.depth, kTerms);
            for (index_t column = 0; column < band.end; column += kBand) {
                const Range columns = {column, std::min(column + kBand, band.end)};
                p.first_column = column;
                p.columns = columns.end - column;
                p.y = column == band.begin ? p.x : pack(columns, first, p.depth, scratch.columns, scratch.gathered);
                linalg_gram_terms(kernels(), double())(p);
            }
        }
    }

    const double* pack(Range rows, index_t first, index_t terms, AlignedArray<double>& to,
                       AlignedArray<double>& gathered) const {
        const index_t n = rows.end - rows.begin;
        to.reserve(whole_vectors(n) * terms);
        x_.pack(rows.begin, n, first, terms, to.data(), gathered);
        return to.data();
    }

    // Plans what the binary counter adds when it takes a run.
    void count(Node node) {
        while (!nodes_.empty() && nodes_.back().chunks == node.chunks &&
               node.first % (2 * node.chunks) == node.chunks && nodes_.back().first + node.chunks == node.first) {
            const Node older = nodes_.back();
            nodes_.pop_back();
            additions_.emplace_back(sums(older), sums(node));
            added_.push_back(older.buffer);
            node = {older.first, 2 * node.chunks, node.buffer};
        }
        nodes_.push_back(node);
    }

    void add() {
        parallel_for_ranges(size_, kSumsAtOnce, threads_for(saturated_product(size_, index_t(additions_.size()))),
                            [&](index_t begin, index_t end, int) {
                                for (const auto& [older, newer] : additions_)
                                    linalg_add_sums(kernels(), double())(older + begin, newer + begin, end - begin);
                            });
        additions_.clear();
        free_.insert(free_.end(), added_.begin(), added_.end());
        added_.clear();
    }

    const Unfolding& x_;
    Range columns_;
    index_t begin_, end_;  // chunks
    index_t size_;         // elements of a triangle
    int threads_;
    std::vector<Scratch> scratch_;
    std::vector<AlignedArray<double>> buffers_;
    std::vector<std::size_t> free_, added_;
    std::vector<std::pair<const double*, double*>> additions_;
    std::vector<Node> nodes_;
};

}  // namespace

std::vector<std::pair<index_t, index_t>> gram_runs(index_t begin, index_t columns) {
    std::vector<std::pair<index_t, index_t>> runs;
    const index_t first = begin / kDepthChunk, last = first + ceil_div(columns, kDepthChunk);
    for (index_t chunk = first; chunk < last;) {
        const index_t chunks = aligned_chunks(chunk, last, INT64_MAX / 2);
        runs.emplace_back(chunk * kDepthChunk, std::min((chunk + chunks) * kDepthChunk, begin + columns));
        chunk += chunks;
    }
    return runs;
}

void gram(const char* function, const ArrayView& x, int axis, const ArrayView& out) {
    const index_t n = x.shape[axis], shape[] = {n, n};
    check_out(function, "out", out, DType::f64, shape, 2);
    check_contiguous(function, "out", out);
    if (n == 0)
        return;
    const Unfolding unfolding(x, axis);
    const FpGuard guard;
    Gram sums(unfolding, {0, unfolding.columns()}, 0);
    sums.run();
    sums.write_matrix(static_cast<double*>(out.data));
}

void gram_of_runs(const Unfolding& x, index_t begin, index_t first, index_t columns, double* out) {
    const FpGuard guard;
    Gram sums(x, {first, first + columns}, begin / kDepthChunk);
    sums.run();
    sums.write_runs(out);
}

}  // namespace sorgum::linalg
