// The index logic of csrc/cuda on the host: for every length, cut and order of the threads the bits of the CPU's
// kernels, in memory that is forbidden beyond the arrays' ends.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "api/call/runtime.h"
#include "api/special/special.h"
#include "check.h"
#include "cuda/special/elementwise.h"
#include "cuda/special/rows.h"
#include "on_host.h"

SORGUM_ISA_BEGIN

using WarpTile = Tile<WarpGroup, 1, cuda::kWarpRow / kGroupSize>;
using ChunkTile = Tile<BlockGroup, 1, kChunk / kGroupSize>;
using BlockTile = Tile<BlockGroup, cuda::kTileChunks, kChunk / kGroupSize>;
static_assert(BlockTile::size == cuda::kTileSize);

constexpr index_t kEvery = one_in(23);

// ---- the same call on the CPU and by a group on the host ----

struct Call {
    std::vector<float> x;
    std::vector<unsigned char> mask;  // empty: none; else one per element, or one row for all
    index_t rows, n;
    double temperature = 1.0;
    bool zero_empty = false;
};

bool one_mask_row(const Call& c) { return static_cast<index_t>(c.mask.size()) != c.rows * c.n; }

std::vector<float> on_cpu(const Call& c, bool normalise) {
    std::vector<float> y(static_cast<std::size_t>(normalise ? c.rows * c.n : c.rows), -7.0f);
    special::Arguments a;
    a.x = view(c.x.data(), DType::f32, {c.rows, c.n}, {c.n * 4, 4});
    a.out =
        normalise ? view(y.data(), DType::f32, {c.rows, c.n}, {c.n * 4, 4}) : view(y.data(), DType::f32, {c.rows}, {4});
    const index_t last = 1;
    a.axes = {&last, 1, false};
    a.temperature = view(&c.temperature, DType::f64, {}, {});
    const ArrayView mask = view(c.mask.data(), DType::boolean, {c.rows, c.n}, {one_mask_row(c) ? 0 : c.n, 1});
    if (!c.mask.empty())
        a.where = &mask;
    a.empty = c.zero_empty ? "zero" : "nan";
    special::run(normalise ? special::Op::softmax : special::Op::logsumexp, a);
    return y;
}

// `gap`: elements between two rows of the result, which must not change.
template <bool normalise>
std::vector<float> on_group(const Call& c, RowClass how, index_t piece, int shuffle, bool in_place) {
    const index_t result = normalise ? c.n : 1;
    const index_t gap = in_place ? 0 : 3;
    std::vector<float> y(static_cast<std::size_t>(c.rows * (result + gap)), -7.0f);
    if (in_place)
        y = c.x;
    cuda::Rows r = {};
    r.x = in_place ? y.data() : c.x.data();
    r.y = y.data();
    r.mask = c.mask.empty() ? nullptr : c.mask.data();
    r.rows = c.rows;
    r.n = c.n;
    r.x_row = c.n;
    r.y_row = result + gap;
    r.mask_row = one_mask_row(c) ? 0 : c.n;
    r.mask_step = 1;
    r.empty = c.zero_empty ? 0.0f : kNan;
    r.scale = make_exp_scale<float>(c.temperature);
    r.piece = piece;
    r.pieces = piece > 0 ? (c.n + piece - 1) / piece : 0;
    std::vector<RowSum<float>> sums(static_cast<std::size_t>(r.rows * r.pieces));
    r.sums = sums.data();
    // Filled with what no result is: what was not written before it is read, shows.
    const auto garbage = [](auto& shared) { std::memset(static_cast<void*>(&shared), 0xFF, sizeof shared); };
    const WarpGroup warp = {shuffle % kWarp};
    const BlockGroup block = {shuffle};
    static ShortRowShared<WarpTile> of_warp;
    static ShortRowShared<ChunkTile> of_chunk;
    static LongRowShared<BlockTile> of_block;
    static SplitRowShared<BlockTile, BlockGroup> of_split;
    for (index_t row = 0; row < c.rows; ++row) {
        garbage(of_warp);
        garbage(of_chunk);
        garbage(of_block);
        if (how == RowClass::warp)
            short_row<WarpTile, normalise>(warp, r, row, of_warp);
        else if (how == RowClass::chunk)
            short_row<ChunkTile, normalise>(block, r, row, of_chunk);
        else if (how == RowClass::block)
            long_row<BlockTile, normalise>(block, r, row, of_block);
        else
            for (index_t p = r.pieces - 1; p >= 0; --p)
                sum_piece<BlockTile>(block, r, row, p, of_block);
    }
    if (how == RowClass::split)
        for (index_t row = 0; row < c.rows; ++row)
            for (index_t p = 0; p < (normalise ? r.pieces : 1); ++p) {
                garbage(of_split);
                write_piece<BlockTile, normalise>(block, r, row, p, of_split);
            }
    std::vector<float> packed;
    for (index_t row = 0; row < c.rows; ++row) {
        const auto at = y.begin() + row * (result + gap);
        packed.insert(packed.end(), at, at + result);
        for (index_t i = result; i < result + gap; ++i)
            CHECK(at[i] == -7.0f);
    }
    return packed;
}

// Every way that the device has of doing these rows, and some orders of the threads.
void check_call(const Call& c, const std::string& what) {
    static index_t calls = 0;
    if (calls++ % kEvery != 0)
        return;
    const std::vector<float> softmax = on_cpu(c, true), logsumexp = on_cpu(c, false);
    const auto check = [&](RowClass how, index_t piece, int shuffle, const char* name) {
        const std::string at =
            what + ", rows of " + std::to_string(c.n) + ", " + name + ", order " + std::to_string(shuffle);
        if (!CHECK(same_bits(on_group<true>(c, how, piece, shuffle, false), softmax)))
            std::printf("softmax: %s\n", at.c_str());
        if (!CHECK(same_bits(on_group<true>(c, how, piece, shuffle, true), softmax)))
            std::printf("softmax in place: %s\n", at.c_str());
        if (!CHECK(same_bits(on_group<false>(c, how, piece, shuffle, false), logsumexp)))
            std::printf("logsumexp: %s\n", at.c_str());
    };
    if (c.n <= cuda::kWarpRow)
        for (int shuffle : {0, 1, 21, 31})
            check(RowClass::warp, 0, shuffle, "a warp");
    const bool few = c.n % 7 == 0 || c.n > cuda::kWarpRow;  // blocks have 256 threads to be run one after the other
    if (few && c.n <= kChunk)
        for (int shuffle : {0, 170})
            check(RowClass::chunk, 0, shuffle, "a block, one chunk");
    if (few && c.n > 0)
        for (int shuffle : {0, 255})
            check(RowClass::block, 0, shuffle, "a block");
    if (c.n > kChunk) {
        check(RowClass::split, cuda::piece_size(c.n), 0, "split");
        check(RowClass::split, 2 * cuda::piece_size(c.n), 37, "split in fewer pieces");
    }
}

// ---- inputs ----

double unit(Random& r) { return static_cast<double>(r() >> 11) * 0x1p-53; }

enum class Kind {
    logits,
    peaked,
    ties,
    wide,
    shifted,
    tiny,
    huge,
    few,
    signed_zeros,
    minus_inf,
    plus_inf,
    nan,
    all_nan,
    nan_and_inf,
    all_minus_inf,
    count
};

float draw(Kind kind, Random& r, index_t i) {
    const double u = unit(r), v = unit(r);
    const double normal = std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
    switch (kind) {
        case Kind::logits:
            return static_cast<float>(3 * normal);
        case Kind::peaked:
            return i % 97 == 5 ? 40.0f : static_cast<float>(normal);
        case Kind::ties:
            return static_cast<float>(static_cast<int>(4 * u));
        case Kind::wide:
            return static_cast<float>(200 * (u - 0.5));
        case Kind::shifted:
            return static_cast<float>(30000 + 20 * normal);
        case Kind::tiny:
            return static_cast<float>(normal * 1e-40);
        case Kind::huge:
            return static_cast<float>(normal * 1e38);
        case Kind::few:
            return i % 61 == 3 ? static_cast<float>(normal) : -kInf;
        case Kind::signed_zeros:
            return u < 0.5 ? 0.0f : -0.0f;
        case Kind::minus_inf:
            return u < 0.1 ? -kInf : static_cast<float>(normal);
        case Kind::plus_inf:
            return i % 50 == 11 ? kInf : static_cast<float>(normal);
        case Kind::nan:
            return i % 50 == 12 ? kNan : static_cast<float>(normal);
        case Kind::all_nan:
            return kNan;
        case Kind::nan_and_inf:
            return i % 50 == 11 ? kInf : i % 50 == 12 ? kNan : static_cast<float>(1e30 * normal);
        default:
            return -kInf;
    }
}

Call make_call(Kind kind, index_t rows, index_t n, std::uint64_t seed) {
    Random r(seed);
    Call c;
    c.rows = rows;
    c.n = n;
    for (index_t i = 0; i < rows * n; ++i)
        c.x.push_back(draw(kind, r, i));
    return c;
}

std::string name_of(Kind kind) { return "kind " + std::to_string(static_cast<int>(kind)); }

void test_lengths() {
    for (index_t n = 0; n <= 300; ++n)
        check_call(make_call(Kind::logits, 2, n, static_cast<std::uint64_t>(n)), "logits");
    for (index_t n : {511,  512,  513,  1000, 1023,  1024,  1025,  2047,  2048,  2049,  4095,  4096,  4097,
                      6200, 8191, 8192, 8193, 12288, 16383, 16384, 16385, 20485, 32768, 32769, 65536, 65537})
        check_call(make_call(Kind::logits, 2, n, static_cast<std::uint64_t>(n)), "logits");
}

void test_values() {
    for (int k = 0; k < static_cast<int>(Kind::count); ++k)
        for (index_t n : {1, 7, 16, 105, 700, 1029, 4096, 9002, 33000}) {
            const Kind kind = static_cast<Kind>(k);
            Call c = make_call(kind, 2, n, static_cast<std::uint64_t>(k) * 1000 + static_cast<std::uint64_t>(n));
            c.zero_empty = n % 2 == 0;
            check_call(c, name_of(kind));
        }
}

void test_temperatures() {
    for (double temperature : {0.7, 1e-3, 1e4, 1e-30, 1e30, 1e-150, 1e200, 2.3e-308})
        for (Kind kind : {Kind::logits, Kind::ties, Kind::shifted, Kind::huge, Kind::tiny})
            for (index_t n : {105, 1029, 9002}) {
                Call c = make_call(kind, 2, n, static_cast<std::uint64_t>(n));
                c.temperature = temperature;
                check_call(c, name_of(kind) + " at temperature " + std::to_string(temperature));
            }
}

void test_masks() {
    Random r(5);
    for (Kind kind : {Kind::logits, Kind::nan, Kind::plus_inf})
        for (index_t n : {1, 7, 105, 700, 1029, 9002, 20000})
            for (double kept : {0.0, 0.02, 0.9}) {
                Call c = make_call(kind, 3, n, static_cast<std::uint64_t>(n));
                for (const index_t size : {3 * n, n}) {
                    c.mask.clear();
                    for (index_t i = 0; i < size; ++i)
                        c.mask.push_back(unit(r) < kept ? 1 : 0);
                    c.zero_empty = size == n;
                    check_call(c, name_of(kind) + " with a mask");
                }
            }
}

// The deepest tree of pieces, and one more element than fits.
void test_many_pieces() {
    for (const index_t n : {(cuda::kMostPieces - 1) * cuda::kTileSize + 1, cuda::kMostPieces * cuda::kTileSize + 1}) {
        CHECK((n + cuda::piece_size(n) - 1) / cuda::piece_size(n) <= cuda::kMostPieces);
        CHECK(cuda::piece_size(n) % cuda::kTileSize == 0);
        const Call c = make_call(Kind::peaked, 1, n, 9);
        CHECK(same_bits(on_group<false>(c, RowClass::split, cuda::piece_size(n), 0, false), on_cpu(c, false)));
    }
}

void test_row_class() {
    for (const index_t rows : {index_t(1), cuda::kFewRows - 1, cuda::kFewRows, index_t(1) << 40})
        for (const index_t n : {index_t(0), cuda::kWarpRow, cuda::kWarpRow + 1, kChunk, kChunk + 1,
                                cuda::kSplitFrom - 1, cuda::kSplitFrom, index_t(1) << 50}) {
            const RowClass c = cuda::row_class(rows, n);
            CHECK((c == RowClass::warp) == (n <= cuda::kWarpRow));
            CHECK((c == RowClass::chunk) == (n > cuda::kWarpRow && n <= kChunk));
            CHECK((c == RowClass::split) == (n >= cuda::kSplitFrom && rows < cuda::kFewRows));
        }
}

void test_exp() {
    constexpr index_t per_block = cuda::kBlock * kPerThread;
    Random r(3);
    for (index_t n : {index_t(1), index_t(255), per_block - 1, per_block, per_block + 1, 5 * per_block + 77}) {
        std::vector<float> x, y(static_cast<std::size_t>(n)), expected(static_cast<std::size_t>(n));
        for (index_t i = 0; i < n; ++i)
            x.push_back(from_bits(static_cast<std::int32_t>(static_cast<std::uint32_t>(r()))));
        special::Arguments a;
        a.x = view(x.data(), DType::f32, {n}, {4});
        a.out = view(expected.data(), DType::f32, {n}, {4});
        special::run(special::Op::exp, a);
        for (index_t block = (n + per_block - 1) / per_block - 1; block >= 0; --block)
            exp_block(BlockGroup(), x.data(), y.data(), n, block);
        CHECK(same_bits(y, expected));
    }
}

// What these tests could not do without: a difference in one bit, and two threads in one place, are seen.
void test_that_faults_show() {
    Call c = make_call(Kind::logits, 1, 300, 1);
    const std::vector<float> right = on_cpu(c, true);
    c.x[200] = 1.0001f * c.x[200];
    CHECK(!same_bits(on_cpu(c, true), right));
    std::vector<int> seen;
    for (const int shuffle : {0, 31}) {
        int place = -1;
        WarpGroup{shuffle}.phase([&](int t) { place = t; });
        seen.push_back(place);
    }
    CHECK(seen[0] != seen[1]);
}

void run() {
    test_that_faults_show();
    test_row_class();
    test_exp();
    test_lengths();
    test_values();
    test_temperatures();
    test_masks();
    test_many_pieces();
}

SORGUM_ISA_END

int main() {
    sorgum::runtime::initialise();
    sorgum::baseline::run();
    return check::finish();
}
