// The index logic of csrc/cuda for the family random, on the host: for every length, cut, place in a stream and order
// of the threads the bits of the CPU's kernels.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "api/call/runtime.h"
#include "api/random/random.h"
#include "check.h"
#include "cuda/random/draws.h"
#include "cuda/random/noise.h"
#include "on_host.h"

SORGUM_ISA_BEGIN

constexpr index_t kEvery = one_in(11);

constexpr index_t kLast = index_t(1) << 62;

// ---- who draws ----

struct Places {
    std::uint64_t key = 7;
    std::vector<std::uint64_t> streams, positions;  // empty: the rows' numbers; `position`
    std::vector<double> temperatures;               // empty: `temperature`
    std::uint64_t position = 0;
    double temperature = 1.0;
    index_t offset = 0;
    std::vector<std::uint32_t> given;  // words, for noise
};

Places random_places(index_t rows, index_t offset, Random& r) {
    Places p;
    p.key = r();
    p.offset = offset;
    p.position = r();
    for (index_t i = 0; i < rows; ++i) {
        p.streams.push_back(r());
        p.positions.push_back(r());
    }
    return p;
}

cuda::RowPlaces for_group(const Places& p) {
    return {p.key,
            p.streams.empty() ? nullptr : p.streams.data(),
            p.positions.empty() ? nullptr : p.positions.data(),
            p.position,
            p.temperatures.empty() ? nullptr : p.temperatures.data(),
            p.temperature,
            p.offset};
}

random::Source for_cpu(const Places& p) {
    random::Source s;
    s.key = p.key;
    s.index_offset = p.offset;
    const auto rows = [](const std::vector<std::uint64_t>& x) {
        return view(x.data(), DType::i64, {static_cast<index_t>(x.size())}, {8});
    };
    if (!p.streams.empty())
        s.streams = rows(p.streams);
    if (!p.given.empty())
        s.given = view(p.given.data(), DType::f32, {static_cast<index_t>(p.given.size())}, {4});
    s.position = p.positions.empty() ? view(&p.position, DType::i64, {}, {}) : rows(p.positions);
    return s;
}

// ---- noise ----

template <class T>
T nothing() {
    T x;
    std::memset(&x, 0xFF, sizeof x);
    return x;
}

// `shift`: elements before the first row; `gap`: elements between two rows. Neither may change.
template <Purpose law, bool wide, class T>
std::vector<T> noise_on_group(const Places& p, index_t rows, index_t n, index_t shift, index_t gap, int shuffle) {
    std::vector<T> y(static_cast<std::size_t>(shift + rows * (n + gap)), nothing<T>());
    cuda::NoiseRows<T> r = {y.data() + shift, rows,         n,
                            n + gap,          for_group(p), p.given.empty() ? nullptr : p.given.data()};
    const index_t threads = rows * noise_threads<wide>(p.offset, n);
    for (index_t group = (threads + BlockGroup::size - 1) / BlockGroup::size - 1; group >= 0; --group)
        noise_group<law, wide>(BlockGroup{shuffle}, r, group);
    const std::vector<T> untouched(static_cast<std::size_t>(shift + rows * gap), nothing<T>());
    std::vector<T> packed, rest(y.begin(), y.begin() + shift);
    for (index_t row = 0; row < rows; ++row) {
        const auto at = y.begin() + shift + row * (n + gap);
        packed.insert(packed.end(), at, at + n);
        rest.insert(rest.end(), at + n, at + n + gap);
    }
    CHECK(same_bits(rest, untouched));
    return packed;
}

template <class T>
std::vector<T> noise_on_cpu(const char* law, bool wide, const Places& p, index_t rows, index_t n) {
    constexpr index_t size = sizeof(T);
    std::vector<T> y(static_cast<std::size_t>(rows * n));
    random::noise(law, wide, for_cpu(p), {rows, n},
                  view(y.data(), size == 4 ? DType::f32 : DType::f64, {rows, n}, {n * size, size}));
    return y;
}

template <Purpose law, bool wide, class T>
void check_law(const char* name, const Places& p, index_t rows, index_t n, index_t shift, index_t gap, int shuffle) {
    if (!CHECK(same_bits(noise_on_group<law, wide, T>(p, rows, n, shift, gap, shuffle),
                         noise_on_cpu<T>(name, wide, p, rows, n))))
        std::printf("%s: wide %d, %lld rows of %lld from %lld, %d bytes\n", name, wide, static_cast<long long>(rows),
                    static_cast<long long>(n), static_cast<long long>(p.offset), static_cast<int>(sizeof(T)));
}

template <Purpose law>
void check_floats(const char* name, const Places& p, index_t rows, index_t n, index_t shift, index_t gap, int shuffle) {
    check_law<law, false, float>(name, p, rows, n, shift, gap, shuffle);
    check_law<law, true, float>(name, p, rows, n, shift, gap, shuffle);
    check_law<law, false, double>(name, p, rows, n, shift, gap, shuffle);
    check_law<law, true, double>(name, p, rows, n, shift, gap, shuffle);
}

// Gumbel numbers in bfloat16 are those in float32, rounded once more.
template <bool wide>
void check_half(const Places& p, index_t rows, index_t n, index_t shift, index_t gap, int shuffle) {
    std::vector<bfloat16> expected;
    for (const float x : noise_on_cpu<float>("gumbel", wide, p, rows, n))
        expected.push_back(narrow_to_bfloat16(x));
    CHECK(same_bits(noise_on_group<Purpose::gumbel, wide, bfloat16>(p, rows, n, shift, gap, shuffle), expected));
}

void check_noise(const Places& p, index_t rows, index_t n, index_t shift, index_t gap) {
    static index_t calls = 0;
    if (calls++ % kEvery != 0)
        return;
    const int shuffle = static_cast<int>(calls % 2 * 255);
    check_law<Purpose::bits, false, std::int32_t>("bits", p, rows, n, shift, gap, shuffle);
    check_law<Purpose::bits, true, std::int64_t>("bits", p, rows, n, shift, gap, shuffle);
    check_floats<Purpose::uniform>("uniform", p, rows, n, shift, gap, shuffle);
    check_floats<Purpose::exponential>("exponential", p, rows, n, shift, gap, shuffle);
    check_floats<Purpose::gumbel>("gumbel", p, rows, n, shift, gap, shuffle);
    check_floats<Purpose::logistic>("logistic", p, rows, n, shift, gap, shuffle);
    check_floats<Purpose::normal>("normal", p, rows, n, shift, gap, shuffle);
    check_half<false>(p, rows, n, shift, gap, shuffle);
    check_half<true>(p, rows, n, shift, gap, shuffle);
}

// Where counters run over: the index in 31 and 32 bits, the counter's low word, the last index.
std::vector<index_t> offsets(index_t n) {
    return {0,
            1,
            2,
            3,
            (index_t(1) << 31) - 5,
            (index_t(1) << 32) - 2,
            (index_t(1) << 33) - 3,
            (index_t(1) << 34) - 7,
            (index_t(1) << 35) - 1,
            (index_t(1) << 61) - 9,
            kLast - n};
}

void test_noise() {
    Random r(1);
    for (const index_t n : {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1023, 4095, 4096, 4097})
        for (const index_t offset : offsets(n))
            if (n < 1000 || offset < 3 || offset >= kLast - n)
                check_noise(random_places(3, offset, r), 3, n, offset % 4, n % 5);
    check_noise(random_places(1, 5, r), 1, 131072, 0, 0);
    check_noise(random_places(701, 1, r), 701, 3, 1, 0);
    check_noise(Places(), 5, 40, 0, 0);  // streams by the rows' numbers, one position
    Places given;                        // words at both ends and about powers of two
    for (int shift = 0; shift < 32; ++shift)
        for (const std::uint32_t less : {0u, 1u, 2u})
            for (const std::uint32_t side : {0u, ~0u})
                given.given.push_back(((std::uint32_t(1) << shift) - less) ^ side);
    given.given.resize(given.given.size() * 2, 0x80000000u);
    check_noise(given, 2, static_cast<index_t>(given.given.size() / 2) - 1, 0, 1);
}

// ---- draws ----

struct Call {
    std::vector<float> x;
    std::vector<unsigned char> mask;  // empty: none; else one per element, or one row for all
    index_t rows, n;
    Places places;
    index_t samples = 1;
};

bool one_mask_row(const Call& c) { return static_cast<index_t>(c.mask.size()) != c.rows * c.n; }

bool same(const Draw& a, const Draw& b) {
    return std::memcmp(&a.value, &b.value, 8) == 0 && std::memcmp(&a.low, &b.low, 8) == 0 && a.index == b.index;
}

std::vector<Draw> draws_on_cpu(const Call& c) {
    std::vector<Draw> drawn;
    std::vector<double> out(static_cast<std::size_t>(4 * c.rows));
    for (index_t s = 0; s < c.samples; ++s) {
        Places p = c.places;
        p.position += static_cast<std::uint64_t>(s);
        for (std::uint64_t& position : p.positions)
            position += static_cast<std::uint64_t>(s);
        random::DrawArguments a = {"categorical",
                                   view(c.x.data(), DType::f32, {c.rows, c.n}, {c.n * 4, 4}),
                                   view(&p.temperature, DType::f64, {}, {}),
                                   std::nullopt,
                                   view(out.data(), DType::f64, {c.rows, 4}, {32, 8}),
                                   false,
                                   false,
                                   std::nullopt};
        if (!p.temperatures.empty())
            a.temperature = view(p.temperatures.data(), DType::f64, {c.rows}, {8});
        if (!c.mask.empty())
            a.where = view(c.mask.data(), DType::boolean, {c.rows, c.n}, {one_mask_row(c) ? 0 : c.n, 1});
        random::draw(a, for_cpu(p));
        for (index_t row = 0; row < c.rows; ++row) {
            Draw d;
            std::memcpy(&d, &out[static_cast<std::size_t>(4 * row)], sizeof d);
            drawn.push_back(d);
        }
    }
    std::vector<Draw> by_row;  // as the device has them
    for (index_t row = 0; row < c.rows; ++row)
        for (index_t s = 0; s < c.samples; ++s)
            by_row.push_back(drawn[static_cast<std::size_t>(s * c.rows + row)]);
    return by_row;
}

// What the text says without any cleverness: every element worked out.
std::vector<Draw> draws_by_hand(const Call& c) {
    std::vector<Draw> drawn;
    const cuda::RowPlaces p = for_group(c.places);
    for (index_t row = 0; row < c.rows; ++row)
        for (index_t s = 0; s < c.samples; ++s) {
            const NoiseRow noise = noise_row(p, row, s, Purpose::gumbel, false);
            const PhiloxKey<std::int32_t> own = row_key(noise);
            Draw best = {minus_infinity(), 0.0, -1};
            for (index_t i = 0; i < c.n; ++i) {
                const auto index = static_cast<std::uint64_t>(p.offset + i);
                const std::int32_t w = words_of_block(own, noise.position, index / 4).word[index % 4];
                if (c.mask.empty() || c.mask[static_cast<std::size_t>((one_mask_row(c) ? 0 : row * c.n) + i)] != 0)
                    enter(static_cast<double>(c.x[static_cast<std::size_t>(row * c.n + i)]),
                          gumbel(open_unit<double>(zero_extend(w))) * temperature_of(p, row), p.offset + i, best);
            }
            drawn.push_back(best);
        }
    return drawn;
}

std::uint64_t invalid_among(const std::vector<Draw>& drawn) {
    for (std::size_t d = 0; d < drawn.size(); ++d)
        if (drawn[d].index < 0)
            return 2 * d + (std::isnan(drawn[d].value) ? 1 : 0);
    return cuda::kAllValid;
}

// Draws of logits of type X at a distance of `gap` from row to row; checks the indices and what is told of rows that
// drew none.
template <class X>
std::vector<Draw> draws_on_group(const Call& c, const std::vector<X>& logits, RowClass how, index_t piece, int shuffle,
                                 index_t gap) {
    std::vector<X> x(static_cast<std::size_t>(gap));
    for (index_t row = 0; row < c.rows; ++row) {
        x.insert(x.end(), logits.begin() + row * c.n, logits.begin() + (row + 1) * c.n);
        x.resize(x.size() + static_cast<std::size_t>(gap), nothing<X>());
    }
    const index_t draws = c.rows * c.samples;
    std::vector<index_t> drawn(static_cast<std::size_t>(draws + 1), -77);
    std::uint64_t invalid = cuda::kAllValid;
    cuda::DrawRows<X> r = {};
    r.x = x.data() + gap;
    r.mask = c.mask.empty() ? nullptr : c.mask.data();
    r.rows = c.rows;
    r.n = c.n;
    r.x_row = c.n + gap;
    r.mask_row = one_mask_row(c) ? 0 : c.n;
    r.mask_step = 1;
    r.samples = c.samples;
    r.places = for_group(c.places);
    r.drawn = drawn.data();
    r.invalid = &invalid;
    r.piece = piece;
    r.pieces = piece > 0 ? (c.n + piece - 1) / piece : 0;
    std::vector<Draw> parts(static_cast<std::size_t>(draws * r.pieces), nothing<Draw>()), found;
    r.parts = parts.data();
    const WarpGroup warp = {shuffle % kWarp};
    const BlockGroup block = {shuffle};
    static DrawShared<WarpGroup> of_warp;
    static DrawShared<BlockGroup> of_block;
    const auto garbage = [](auto& shared) { std::memset(static_cast<void*>(&shared), 0xFF, sizeof shared); };
    for (index_t draw = draws - 1; draw >= 0; --draw) {
        garbage(of_warp);
        garbage(of_block);
        if (how == RowClass::warp)
            draw_row(warp, r, draw, of_warp);
        else if (how == RowClass::block)
            draw_row(block, r, draw, of_block);
        else {
            for (index_t p = r.pieces - 1; p >= 0; --p)
                draw_piece(block, r, draw, p, of_block);
            garbage(of_block);
            merge_pieces(block, r, draw, of_block);
        }
        found.insert(found.begin(), how == RowClass::warp ? of_warp.best : of_block.best);
    }
    for (index_t draw = 0; draw < draws; ++draw)
        CHECK(drawn[static_cast<std::size_t>(draw)] == found[static_cast<std::size_t>(draw)].index);
    CHECK(drawn.back() == -77);
    CHECK(invalid == invalid_among(found));
    return found;
}

template <class X>
void check_draws(const Call& c, const std::vector<X>& logits, const std::string& what) {
    const std::vector<Draw> expected = draws_on_cpu(c);
    const auto check = [&](RowClass how, index_t piece, int shuffle, index_t gap, const char* name) {
        const std::vector<Draw> found = draws_on_group<X>(c, logits, how, piece, shuffle, gap);
        if (!CHECK(found.size() == expected.size() && std::equal(found.begin(), found.end(), expected.begin(), same)))
            std::printf("%s: rows of %lld from %lld, %s, order %d\n", what.c_str(), static_cast<long long>(c.n),
                        static_cast<long long>(c.places.offset), name, shuffle);
    };
    if (c.n <= 5000)
        for (const int shuffle : {0, 21})
            check(RowClass::warp, 0, shuffle, shuffle % 4, "a warp");
    for (const int shuffle : {0, 170})
        check(RowClass::block, 0, shuffle, shuffle % 4, "a block");
    if (c.n > 0) {
        check(RowClass::split, cuda::piece_size(c.n), 0, 0, "split");
        check(RowClass::split, c.n / 7 + 3, 85, 0, "split anywhere");
    }
}

void check_call(Call c, const std::string& what) {
    static index_t calls = 0;
    if (calls++ % kEvery != 0)
        return;
    check_draws<float>(c, c.x, what);
    std::vector<bfloat16> brain;
    std::vector<float16> half;
    std::vector<float> as_brain, as_half;
    for (const float x : c.x) {
        brain.push_back(narrow_to_bfloat16(x));
        as_brain.push_back(widen_half(brain.back()));
        half.push_back(narrow_to_float16(x));
        as_half.push_back(widen_half(half.back()));
    }
    c.x = as_brain;
    check_draws<bfloat16>(c, brain, what + " in bfloat16");
    c.x = as_half;
    if (calls % 4 == 0)
        check_draws<float16>(c, half, what + " in float16");
}

// ---- inputs ----

enum class Kind {
    logits,
    equal,
    ties,
    peaked,
    shifted,
    huge,
    tiny,
    few,
    signed_zeros,
    nan,
    plus_inf,
    all_minus_inf,
    all_nan,
    count
};

float draw(Kind kind, Random& r, index_t i) {
    const double u = static_cast<double>(r() >> 11) * 0x1p-53, v = static_cast<double>(r() >> 11) * 0x1p-53;
    const double normal = std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
    switch (kind) {
        case Kind::logits:
            return static_cast<float>(3 * normal);
        case Kind::equal:
            return 1.5f;
        case Kind::ties:
            return static_cast<float>(static_cast<int>(4 * u));
        case Kind::peaked:
            return i % 97 == 5 ? 40.0f : static_cast<float>(normal);
        case Kind::shifted:
            return static_cast<float>(30000 + 5 * normal);
        case Kind::huge:
            return static_cast<float>(normal * 1e37);
        case Kind::tiny:
            return static_cast<float>(normal * 1e-40);
        case Kind::few:
            return i % 61 == 3 ? static_cast<float>(normal) : -kInf;
        case Kind::signed_zeros:
            return u < 0.5 ? 0.0f : -0.0f;
        case Kind::nan:
            return i % 50 == 12 ? kNan : static_cast<float>(normal);
        case Kind::plus_inf:
            return i % 50 == 11 ? kInf : static_cast<float>(normal);
        case Kind::all_nan:
            return kNan;
        default:
            return -kInf;
    }
}

Call make_call(Kind kind, index_t rows, index_t n, index_t offset) {
    Random r(static_cast<std::uint64_t>(n) * 100 + static_cast<std::uint64_t>(kind));
    Call c;
    c.rows = rows;
    c.n = n;
    c.places = random_places(rows, offset, r);
    for (index_t i = 0; i < rows * n; ++i)
        c.x.push_back(draw(kind, r, i));
    return c;
}

std::string name_of(Kind kind) { return "kind " + std::to_string(static_cast<int>(kind)); }

void test_lengths() {
    for (index_t n = 0; n <= 70; ++n)
        for (const index_t offset : {index_t(0), n % 4})
            check_call(make_call(Kind::logits, 2, n, offset), "logits");
    for (const index_t n :
         {127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 16383, 16385, 65537, 131072})
        check_call(make_call(Kind::logits, n > 20000 ? 1 : 2, n, n % 3), "logits");
}

void test_offsets() {
    for (const index_t n : {1, 5, 17, 700})
        for (const index_t offset : offsets(n))
            check_call(make_call(Kind::logits, 2, n, offset), "logits");
}

void test_values() {
    for (int k = 0; k < static_cast<int>(Kind::count); ++k)
        for (const index_t n : {1, 15, 16, 17, 105, 1029, 9002})
            check_call(make_call(static_cast<Kind>(k), 3, n, n % 5), name_of(static_cast<Kind>(k)));
}

void test_temperatures() {
    for (const double t : {0.0, 0.7, 1e-3, 1e-15, 1e-19, 1e-30, 1e-300, 5e-324, 1e4, 1e30, 1e200, 0x1p900})
        for (const Kind kind : {Kind::logits, Kind::equal, Kind::ties, Kind::shifted, Kind::huge, Kind::tiny,
                                Kind::signed_zeros, Kind::few, Kind::nan, Kind::plus_inf, Kind::all_minus_inf})
            for (const index_t n : {17, 1029, 6000}) {
                Call c = make_call(kind, 2, n, 3);
                c.places.temperature = t;
                check_call(c, name_of(kind) + " at temperature " + std::to_string(t));
            }
    Call c = make_call(Kind::logits, 5, 900, 0);
    c.places.temperatures = {0.0, 0.5, 1e-20, 3.0, 1e6};
    check_call(c, "temperatures by row");
}

void test_masks() {
    Random r(5);
    for (const Kind kind : {Kind::logits, Kind::nan, Kind::equal})
        for (const index_t n : {1, 7, 105, 1029, 9002})
            for (const std::uint64_t kept : {0u, 2u, 90u}) {
                Call c = make_call(kind, 3, n, 1);
                for (const index_t size : {3 * n, n}) {
                    c.mask.clear();
                    for (index_t i = 0; i < size; ++i)
                        c.mask.push_back(r() % 100 < kept ? 1 : 0);
                    check_call(c, name_of(kind) + " with a mask");
                }
            }
}

void test_samples_and_streams() {
    Call c = make_call(Kind::logits, 3, 130, 2);
    c.samples = 5;
    check_call(c, "five samples");
    c.places.streams.clear();
    c.places.positions.clear();
    check_call(c, "five samples, rows by number");
    const std::vector<Draw> one = draws_on_cpu(c);
    c.places.position += 1;
    CHECK(!std::equal(one.begin(), one.end(), draws_on_cpu(c).begin(), same));
}

void test_by_hand() {
    for (const Kind kind : {Kind::logits, Kind::equal, Kind::peaked, Kind::shifted, Kind::nan, Kind::few})
        for (const double t : {0.0, 0.3, 1.0, 1e5}) {
            Call c = make_call(kind, 2, 2500, 1);
            c.places.temperature = t;
            c.samples = 2;
            const std::vector<Draw> found = draws_on_group<float>(c, c.x, RowClass::block, 0, 0, 0);
            const std::vector<Draw> expected = draws_by_hand(c);
            CHECK(found.size() == 4 && std::equal(found.begin(), found.end(), expected.begin(), same));
        }
}

// Who ties with the winner of a row of equal logits at T = 0 comes later, whoever looks at it first.
void test_ties() {
    for (const index_t n : {5, 700, 9002})
        for (const index_t first : {index_t(0), n / 2, n - 1}) {
            Call c = make_call(Kind::equal, 1, n, 0);
            std::fill(c.x.begin(), c.x.begin() + first, -1.0f);
            c.places.temperature = 0.0;
            for (const int shuffle : {0, 255})
                CHECK(draws_on_group<float>(c, c.x, RowClass::block, 0, shuffle, 0)[0].index == first);
        }
}

void run() {
    test_noise();
    test_lengths();
    test_offsets();
    test_values();
    test_temperatures();
    test_masks();
    test_samples_and_streams();
    test_by_hand();
    test_ties();
}

SORGUM_ISA_END

int main() {
    sorgum::runtime::initialise();
    sorgum::baseline::run();
    return check::finish();
}
