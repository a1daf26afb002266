// Every operation of csrc/simd on the instruction set that this file is compiled for, lane by lane against plain C++
// over special and random values. The contract is csrc/simd/README.md.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "on_isa.h"

// What follows stands in the namespace of the operations, since std:: has a max, a min and an fma of its own.
SORGUM_ISA_BEGIN

// The unsigned integer that holds the encoding of a T.
template <class T>
using encoding_t = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

template <class T>
encoding_t<T> encoding(T x) {
    encoding_t<T> e;
    std::memcpy(&e, &x, sizeof e);
    return e;
}

// The results of arithmetic agree when their bits do or both are NaN: which NaN it is stays open.
template <class T>
bool same_number(T a, T b) {
    return same_bits(a, b) || (a != a && b != b);
}

template <class T>
std::vector<T> special_values() {
    using Limits = std::numeric_limits<T>;
    const T fine = Limits::epsilon();
    std::vector<T> values = {T(0),
                             T(1),
                             T(1) + fine,
                             T(1) - fine / 2,
                             T(0.5),
                             T(1.5),
                             T(2),
                             T(3),
                             T(1) / T(3),
                             T(-2) / T(3),
                             T(1e6),
                             1 / fine,
                             1 / fine + 1,
                             T(3) / (2 * fine),
                             Limits::max(),
                             Limits::max() / 2,
                             Limits::min(),
                             Limits::min() * 2,
                             Limits::min() * (1 + fine),
                             Limits::min() - Limits::denorm_min(),
                             Limits::min() / 2,
                             Limits::denorm_min(),
                             Limits::denorm_min() * 3,
                             Limits::infinity(),
                             Limits::quiet_NaN(),
                             Limits::signaling_NaN()};
    const std::size_t count = values.size();
    for (std::size_t i = 0; i < count; ++i) {
        encoding_t<T> e = encoding(values[i]);
        e ^= encoding_t<T>(1) << (8 * sizeof(T) - 1);
        T negated;
        std::memcpy(&negated, &e, sizeof e);
        values.push_back(negated);
    }
    return values;
}

template <class T>
struct Source {
    std::mt19937_64 bits{20240229};
    std::vector<T> special = special_values<T>();

    // Any encoding, a moderate number, or a special value.
    T next() {
        const std::uint64_t r = bits();
        switch (bits() % 3) {
            case 0: {
                const encoding_t<T> e = static_cast<encoding_t<T>>(r);
                T x;
                std::memcpy(&x, &e, sizeof x);
                return x;
            }
            case 1:
                return moderate();
            default:
                return special[r % special.size()];
        }
    }
    T moderate() {
        const T unit = static_cast<T>(static_cast<std::int64_t>(bits())) * T(0x1p-63);
        return unit * static_cast<T>(1 << (bits() % 24));
    }
};

template <class T>
struct Lanes {
    T v[16];
};

template <class T, class V>
Lanes<T> lanes_of(V a) {
    Lanes<T> r;
    store(r.v, a);
    return r;
}

// The lanes of integer vectors come out through from_bits.
template <class T, class I>
Lanes<std::make_signed_t<encoding_t<T>>> integers_of(I a) {
    Lanes<std::make_signed_t<encoding_t<T>>> r;
    const Lanes<T> x = lanes_of<T>(from_bits(a));
    std::memcpy(&r, &x, sizeof r);
    return r;
}

// A mask is seen through select.
template <class T, class M>
unsigned mask_bits(M m) {
    const Lanes<T> x = lanes_of<T>(select(m, splat<vec<T>>(T(1)), splat<vec<T>>(T(0))));
    unsigned r = 0;
    for (int i = 0; i < 16; ++i)
        r |= x.v[i] == T(1) ? 1u << i : 0u;
    return r;
}

template <class T>
auto mask_of(unsigned bits) {
    T x[16];
    for (int i = 0; i < 16; ++i)
        x[i] = (bits >> i & 1) != 0 ? T(1) : T(0);
    return eq(load(x), splat<vec<T>>(T(1)));
}

#if defined(__SIZEOF_FLOAT128__)
using Wide = __float128;
#else
using Wide = long double;
static_assert(std::numeric_limits<Wide>::digits == 113, "no type of 128 bits to check fma with");
#endif

// One rounding of a b + c, without the processor's own fused operation: the product is exact in 128 bits, the sum is
// rounded to odd, and that rounds to T as the exact sum does.
template <class T>
SORGUM_NOINLINE T fused_by_definition(T a, T b, T c) {
    const bool finite = a - a == 0 && b - b == 0;
    if (!finite || c - c != 0)
        return finite ? c : a * b + c;  // a b may overflow, which c = -inf does not mind
    const Wide p = static_cast<Wide>(a) * static_cast<Wide>(b), w = static_cast<Wide>(c);
    Wide sum = p + w;
    const Wide of_w = sum - p;
    const Wide lost = (p - (sum - of_w)) + (w - of_w);
    if (lost != 0) {
        unsigned __int128 e;
        std::memcpy(&e, &sum, sizeof e);
        if ((e & 1) == 0) {
            const bool away = (lost > 0) == (sum > 0);  // sum is no zero: it would have lost nothing
            e = away ? e + 1 : e - 1;
            std::memcpy(&sum, &e, sizeof e);
        }
    }
    return static_cast<T>(sum);
}

template <class T>
SORGUM_NOINLINE T larger_by_definition(T a, T b) {
    if (a > b)
        return a;
    return b;
}
template <class T>
SORGUM_NOINLINE T smaller_by_definition(T a, T b) {
    if (a < b)
        return a;
    return b;
}

template <class T>
void check_two(const T* a, const T* b) {
    using V = vec<T>;
    const V x = load(a), y = load(b);
    const Lanes<T> sum = lanes_of<T>(x + y), difference = lanes_of<T>(x - y), product = lanes_of<T>(x * y),
                   quotient = lanes_of<T>(x / y), larger = lanes_of<T>(max(x, y)), smaller = lanes_of<T>(min(x, y));
    const unsigned less = mask_bits<T>(lt(x, y)), equal = mask_bits<T>(eq(x, y)), nan = mask_bits<T>(is_nan(x));
    for (int i = 0; i < 16; ++i) {
        const T p = a[i], q = b[i];
        CHECK(same_number(sum.v[i], p + q));
        CHECK(same_number(difference.v[i], p - q));
        CHECK(same_number(product.v[i], p * q));
        CHECK(same_number(quotient.v[i], p / q));
        CHECK(same_bits(larger.v[i], larger_by_definition(p, q)));
        CHECK(same_bits(smaller.v[i], smaller_by_definition(p, q)));
        CHECK(((less >> i & 1) != 0) == (p < q));
        CHECK(((equal >> i & 1) != 0) == (p == q));
        CHECK(((nan >> i & 1) != 0) == (p != p));
    }
}

template <class T>
void arithmetic_and_comparisons() {
    Source<T> source;
    const std::vector<T>& s = source.special;
    T a[16], b[16], c[16];
    // Every pair of special values, at every lane over time.
    std::size_t at = 0;
    for (std::size_t i = 0; i < s.size(); ++i) {
        for (std::size_t j = 0; j < s.size() + 3; ++j) {
            a[at % 16] = s[i];
            b[at % 16] = s[j % s.size()];
            if (++at % 16 == 0)
                check_two(a, b);
        }
    }
    for (int round = 0; round < 4000; ++round) {
        for (int i = 0; i < 16; ++i) {
            a[i] = source.next();
            b[i] = source.next();
        }
        check_two(a, b);
    }
    // A signed zero and a NaN, spelt out: the second operand is the answer unless the first is greater (less).
    const T zero = T(0), nan = std::numeric_limits<T>::quiet_NaN(), one = T(1);
    const auto first = [](vec<T> x) { return lanes_of<T>(x).v[0]; };
    const auto v = [](T x) { return splat<vec<T>>(x); };
    CHECK(same_bits(first(max(v(zero), v(-zero))), -zero) && same_bits(first(max(v(-zero), v(zero))), zero));
    CHECK(same_bits(first(min(v(zero), v(-zero))), -zero) && same_bits(first(min(v(-zero), v(zero))), zero));
    CHECK(first(max(v(nan), v(one))) == one && first(min(v(nan), v(one))) == one);
    CHECK(same_bits(first(max(v(one), v(nan))), nan) && same_bits(first(min(v(one), v(nan))), nan));

    // fma: triples of special values, and sums that nearly cancel.
    const auto check_fma = [&] {
        const Lanes<T> r = lanes_of<T>(fma(load(a), load(b), load(c)));
        for (int i = 0; i < 16; ++i)
            CHECK(same_number(r.v[i], fused_by_definition(a[i], b[i], c[i])));
    };
    for (const T x : s) {
        for (const T y : s) {
            for (std::size_t k = 0; k < s.size(); k += 16) {
                for (std::size_t i = 0; i < 16; ++i) {
                    a[i] = x;
                    b[i] = y;
                    c[i] = s[(k + i) % s.size()];
                }
                check_fma();
            }
        }
    }
    for (int round = 0; round < 4000; ++round) {
        for (int i = 0; i < 16; ++i) {
            a[i] = round % 2 == 0 ? source.next() : source.moderate();
            b[i] = round % 2 == 0 ? source.next() : source.moderate();
            c[i] = round % 4 < 2 ? source.next() : -(a[i] * b[i]);
        }
        check_fma();
    }
}

template <class T>
void loads_stores_and_splats() {
    Source<T> source;
    T x[64];
    for (T& e : x)
        e = source.next();
    for (int offset = 0; offset < 32; ++offset) {
        T y[64];
        std::memcpy(y, x, sizeof y);
        const vec<T> a = load(x + offset);
        for (T& e : y)
            e = T(-7);
        store(y + offset, a);
        for (int i = 0; i < 64; ++i)
            CHECK(same_bits(y[i], i >= offset && i < offset + 16 ? x[i] : T(-7)));
    }
    for (const T e : source.special) {
        const Lanes<T> r = lanes_of<T>(splat<vec<T>>(e));
        for (const T lane : r.v)
            CHECK(same_bits(lane, e));
    }
    // stream needs 64-byte alignment and writes its 64 or 128 bytes, no others.
    alignas(64) T y[64];
    for (int offset = 0; offset < 64; offset += 16) {
        for (T& e : y)
            e = T(-7);
        stream(y + offset, load(x + offset));
        stream_fence();
        for (int i = 0; i < 64; ++i)
            CHECK(same_bits(y[i], i >= offset && i < offset + 16 ? x[i] : T(-7)));
    }
    for (int round = 0; round < 200; ++round) {
        std::int32_t index[16];
        for (std::int32_t& i : index)
            i = static_cast<std::int32_t>(source.bits() % 64) - 32;
        const Lanes<T> r = lanes_of<T>(gather(x + 32, index));
        for (int i = 0; i < 16; ++i)
            CHECK(same_bits(r.v[i], x[32 + index[i]]));
    }
}

// A page that may be used between two that must not be touched.
struct GuardedPage {
    std::size_t size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    char* base;
    GuardedPage() {
        base = static_cast<char*>(mmap(nullptr, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        CHECK(base != MAP_FAILED && mprotect(base + size, size, PROT_READ | PROT_WRITE) == 0);
    }
    ~GuardedPage() { munmap(base, 3 * size); }
    GuardedPage(const GuardedPage&) = delete;
    GuardedPage& operator=(const GuardedPage&) = delete;
    char* first() const { return base + size; }
    char* end() const { return base + 2 * size; }
};

template <class T>
void partial_loads_and_stores_touch_nothing_else() {
    const GuardedPage page;
    Source<T> source;
    std::vector<T> values(16);
    for (T& e : values)
        e = source.next();
    const T fill = T(42), untouched = T(-7);
    for (index_t n = -1; n <= 20; ++n) {
        const index_t count = n < 0 ? 0 : n > 16 ? 16 : n;
        T* const at_end = reinterpret_cast<T*>(page.end()) - count;
        T* const at_start = reinterpret_cast<T*>(page.first());
        // With nothing to read, the pointer itself may be anywhere.
        T* const forbidden = reinterpret_cast<T*>(page.base + 64);
        for (T* const p : {at_end, at_start, at_start + 5, count == 0 ? forbidden : at_end}) {
            for (index_t i = 0; i < count; ++i)
                p[i] = values[static_cast<std::size_t>(i)];
            const Lanes<T> r = lanes_of<T>(load_first(p, n, fill));
            for (index_t i = 0; i < 16; ++i)
                CHECK(same_bits(r.v[i], i < count ? values[static_cast<std::size_t>(i)] : fill));

            T* const whole = reinterpret_cast<T*>(page.first());
            const index_t whole_size = static_cast<index_t>(page.size / sizeof(T));
            for (index_t i = 0; i < whole_size; ++i)
                whole[i] = untouched;
            store_first(p, load(values.data()), n);
            index_t changed = 0;
            for (index_t i = 0; i < whole_size; ++i)
                changed += !same_bits(whole[i], untouched);
            index_t written = 0;
            for (index_t i = 0; i < count; ++i)
                written += same_bits(p[i], values[static_cast<std::size_t>(i)]);
            CHECK(written == count);
            CHECK(changed == count);
        }
    }
    for (const index_t n : {std::numeric_limits<index_t>::min() / 2, index_t(-1)}) {
        T* const p = reinterpret_cast<T*>(page.base);
        CHECK(lanes_of<T>(load_first(p, n, fill)).v[15] == fill);
        store_first(p, load(values.data()), n);
    }
    T* const last = reinterpret_cast<T*>(page.end()) - 16;
    for (index_t i = 0; i < 16; ++i)
        last[i] = values[static_cast<std::size_t>(i)];
    const Lanes<T> all = lanes_of<T>(load_first(last, index_t(1) << 40, fill));
    for (std::size_t i = 0; i < 16; ++i)
        CHECK(same_bits(all.v[i], values[i]));
    // A prefetch of what must not be touched does nothing.
    prefetch(page.base);
    prefetch(page.end());
    prefetch(nullptr);
    prefetch_second(page.base);
    prefetch_second(page.end());
    prefetch_second(nullptr);
}

template <class T>
void masks() {
    Source<T> source;
    using V = vec<T>;
    T a[16], b[16];
    for (int i = 0; i < 16; ++i) {
        a[i] = source.next();
        b[i] = source.next();
    }
    const auto check = [&](unsigned p, unsigned q) {
        const auto m = mask_of<T>(p), n = mask_of<T>(q);
        CHECK(mask_bits<T>(m) == p);
        CHECK(any(m) == (p != 0));
        CHECK(all(m) == (p == 0xFFFF));
        CHECK(mask_bits<T>(both(m, n)) == (p & q));
        CHECK(mask_bits<T>(either(m, n)) == (p | q));
        const Lanes<T> r = lanes_of<T>(select(m, load(a), load(b)));
        const Lanes<T> kept = lanes_of<T>(zero_where(m, load(a)));
        unsigned char bytes[16];
        for (int i = 0; i < 16; ++i)
            bytes[i] = static_cast<unsigned char>((p >> i & 1) != 0 ? 1 << i % 8 : 0);
        const Lanes<T> by_bytes = lanes_of<T>(select_bytes(bytes, load(a), load(b)));
        const Lanes<T> by_bits = lanes_of<T>(select_bits(p, load(a), load(b)));
        const auto counted = integers_of<T>(increment(bits(load(a)), m));
        for (int i = 0; i < 16; ++i) {
            const bool set = (p >> i & 1) != 0;
            CHECK(same_bits(r.v[i], set ? a[i] : b[i]));
            CHECK(same_bits(by_bytes.v[i], set ? a[i] : b[i]));
            CHECK(same_bits(by_bits.v[i], set ? a[i] : b[i]));
            CHECK(same_bits(kept.v[i], set ? T(0) : a[i]));
            CHECK(static_cast<encoding_t<T>>(counted.v[i]) == encoding_t<T>(encoding(a[i]) + (set ? 1u : 0u)));
        }
    };
    check(0, 0xFFFF);
    check(0xFFFF, 0xFFFF);
    check(0xFFFF, 0);
    for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 16; ++j)
            check(1u << i, 1u << j);
    for (int i = 0; i < 16; ++i)
        check(0xFFFFu ^ (1u << i), 0);
    for (int round = 0; round < 2000; ++round)
        check(static_cast<unsigned>(source.bits() & 0xFFFF), static_cast<unsigned>(source.bits() & 0xFFFF));
    CHECK(!any(lt(splat<V>(T(1)), splat<V>(T(1)))));
}

template <class T, int k>
void check_shifts(const T* a) {
    const auto left = integers_of<T>(shift_left<k>(bits(load(a))));
    const auto right = integers_of<T>(shift_right<k>(bits(load(a))));
    for (int i = 0; i < 16; ++i) {
        const encoding_t<T> e = encoding(a[i]);
        CHECK(static_cast<encoding_t<T>>(left.v[i]) == encoding_t<T>(e << k));
        CHECK(static_cast<encoding_t<T>>(right.v[i]) == encoding_t<T>(e >> k));  // zeros come in from above
    }
}

template <class T>
void integer_lanes() {
    Source<T> source;
    using I = integer_t<vec<T>>;
    using Integer = std::make_signed_t<encoding_t<T>>;
    for (int round = 0; round < 2000; ++round) {
        T a[16], b[16];
        for (int i = 0; i < 16; ++i) {
            a[i] = source.next();
            b[i] = source.next();
        }
        const I x = bits(load(a)), y = bits(load(b));
        const auto same = integers_of<T>(x), sum = integers_of<T>(int_add(x, y)),
                   difference = integers_of<T>(int_sub(x, y)), common = integers_of<T>(int_and(x, y)),
                   apart = integers_of<T>(int_xor(x, y));
        for (int i = 0; i < 16; ++i) {
            const encoding_t<T> p = encoding(a[i]), q = encoding(b[i]);
            CHECK(static_cast<encoding_t<T>>(same.v[i]) == p);
            CHECK(static_cast<encoding_t<T>>(sum.v[i]) == encoding_t<T>(p + q));
            CHECK(static_cast<encoding_t<T>>(difference.v[i]) == encoding_t<T>(p - q));
            CHECK(static_cast<encoding_t<T>>(common.v[i]) == (p & q));
            CHECK(static_cast<encoding_t<T>>(apart.v[i]) == (p ^ q));
        }
        check_shifts<T, 0>(a);
        check_shifts<T, 1>(a);
        check_shifts<T, 8 * sizeof(T) - 1>(a);
        check_shifts<T, std::numeric_limits<T>::digits - 1>(a);
    }
    for (const std::int64_t value : {std::int64_t(0), std::int64_t(-1), std::int64_t(0x123456789ABCDEF0),
                                     std::numeric_limits<std::int64_t>::min(), std::int64_t(1) << 31}) {
        const auto r = integers_of<T>(splat_integer<I>(value));
        for (const Integer lane : r.v)
            CHECK(lane == static_cast<Integer>(value));
    }
    // Counts as kernels make them: not negative, their sum below 2^31.
    for (int round = 0; round < 200; ++round) {
        Integer counts[16];
        T encoded[16];
        index_t total = 0;
        for (Integer& count : counts) {
            count = static_cast<Integer>(source.bits() >> (sizeof(T) == 4 ? 37 : 5));
            total += count;
        }
        std::memcpy(encoded, counts, sizeof encoded);
        CHECK(fold_count(bits(load(encoded))) == total);
    }
}

template <class T>
T fold_by_halves(const T* lane, T (*combine)(T, T)) {
    T v[16];
    std::memcpy(v, lane, sizeof v);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            v[i] = combine(v[i], v[i + half]);
    return v[0];
}

template <class T>
SORGUM_NOINLINE T sum_of_two(T a, T b) {
    return a + b;
}

template <class T>
void slides() {
    Source<T> source;
    T both[32];
    for (T& x : both)
        x = source.next();
    for (index_t n = 0; n < 16; ++n) {
        const Lanes<T> window = lanes_of<T>(slide(load(both), load(both + 16), n));
        for (int i = 0; i < 16; ++i)
            CHECK(same_bits(window.v[i], both[16 - n + i]));
    }
}

// What an encoding with 5 or 8 bits of exponent means, from the definition of the format.
double half_value(std::uint16_t bits, int mantissa_bits) {
    const int exponent_bits = 15 - mantissa_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = (bits & 0x7FFF) >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
    const double magnitude = exponent == 0
                                 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                 : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    return bits & 0x8000 ? -magnitude : magnitude;
}

// All halves come out as they went in; all floats next to a half or to the middle between two are rounded to even.
template <class H>
void halves(int mantissa_bits) {
    const int infinity = 0x7FFF >> mantissa_bits << mantissa_bits;
    for (int first = 0; first < 65536; first += 16) {
        H h[16], back[16];
        for (int i = 0; i < 16; ++i)
            h[i] = {static_cast<std::uint16_t>(first + i)};
        const f32x16 wide = load_half(h);
        const Lanes<float> lanes = lanes_of<float>(wide);
        store_half(back, wide);
        for (int i = 0; i < 16; ++i) {
            const int magnitude = h[i].bits & 0x7FFF;
            const int quiet = magnitude > infinity ? 1 << (mantissa_bits - 1) : 0;
            CHECK(back[i].bits == (h[i].bits | quiet));
            if (magnitude < infinity)
                CHECK(static_cast<double>(lanes.v[i]) == half_value(h[i].bits, mantissa_bits));
            else
                CHECK(std::isnan(lanes.v[i]) == (magnitude > infinity) &&
                      std::signbit(lanes.v[i]) == (h[i].bits > 0x7FFF));
        }
    }
    for (int lower = 0; lower < infinity; ++lower) {
        const double at = half_value(static_cast<std::uint16_t>(lower), mantissa_bits);
        const double next = lower + 1 == infinity
                                ? 2 * at - half_value(static_cast<std::uint16_t>(lower - 1), mantissa_bits)
                                : half_value(static_cast<std::uint16_t>(lower + 1), mantissa_bits);
        const float middle = static_cast<float>((at + next) / 2);
        alignas(64) float x[32] = {
            middle,  std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY), static_cast<float>(at),
            -middle, std::nextafter(-middle, 0.0f)};
        alignas(64) H stored[32];
        stream_half(stored, load(x), load(x + 16));
        stream_fence();
        const bool exact = static_cast<double>(middle) == (at + next) / 2;  // not between bfloat16's last subnormals
        const int to_even = lower + (lower & 1);
        CHECK(!exact || stored[0].bits == to_even);
        CHECK(!exact || stored[1].bits == lower);
        CHECK(!exact || stored[2].bits == lower + 1);
        CHECK(stored[3].bits == lower);
        CHECK(!exact || stored[4].bits == (to_even | 0x8000));
        CHECK(!exact || stored[5].bits == (lower | 0x8000));
        CHECK(stored[16].bits == 0);
    }
}

template <class T>
void compressions() {
    Source<T> source;
    for (int round = 0; round < 500; ++round) {
        T x[16], side[16], found[17], expected[16];
        index_t n = 0;
        for (int i = 0; i < 16; ++i) {
            x[i] = source.next();
            side[i] = round == 0 ? T(1) : round == 1 ? T(-1) : source.moderate();
            if (side[i] < T(0))
                expected[n++] = x[i];
        }
        found[16] = T(7);
        CHECK(compress(found, lt(load(side), splat<vec<T>>(T(0))), load(x)) == n);
        for (index_t i = 0; i < n; ++i)
            CHECK(same_bits(found[i], expected[i]));
        CHECK(found[16] == T(7));
    }
}

template <class T>
void transposes() {
    Source<T> source;
    for (int round = 0; round < 100; ++round) {
        T x[16][16];
        vec<T> rows[16];
        for (int r = 0; r < 16; ++r) {
            for (T& e : x[r])
                e = source.next();
            rows[r] = load(x[r]);
        }
        transpose(rows);
        for (int r = 0; r < 16; ++r) {
            const Lanes<T> lanes = lanes_of<T>(rows[r]);
            for (int i = 0; i < 16; ++i)
                CHECK(same_bits(lanes.v[i], x[i][r]));
        }
    }
}

template <class T>
void folds() {
    Source<T> source;
    int by_order = 0;
    for (int round = 0; round < 2000; ++round) {
        T x[16][16];
        vec<T> rows[16];
        for (int r = 0; r < 16; ++r) {
            for (T& e : x[r])
                e = round % 2 == 0 ? source.moderate() : source.next();
            rows[r] = load(x[r]);
        }
        const Lanes<T> sums = lanes_of<T>(fold_sum_rows(rows)), maxima = lanes_of<T>(fold_max_rows(rows));
        for (int r = 0; r < 16; ++r) {
            const T sum = fold_by_halves(x[r], sum_of_two<T>);
            const T largest = fold_by_halves(x[r], larger_by_definition<T>);
            CHECK(same_number(fold_sum(rows[r]), sum));
            CHECK(same_number(sums.v[r], sum));
            CHECK(same_bits(fold_max(rows[r]), largest));
            CHECK(same_bits(maxima.v[r], largest));
            T in_sequence = x[r][0];
            for (int i = 1; i < 16; ++i)
                in_sequence = in_sequence + x[r][i];
            by_order += !same_number(in_sequence, sum);
        }
    }
    CHECK(by_order > 1000);  // another order would have been noticed
}

void between_the_two() {
    Source<float> floats;
    Source<double> doubles;
    const auto check_widen = [](const float* a) {
        const Lanes<double> r = lanes_of<double>(widen(load(a))), loaded = lanes_of<double>(load_wide(a));
        CHECK(std::memcmp(r.v, loaded.v, sizeof r.v) == 0);
        for (int i = 0; i < 16; ++i)
            CHECK(same_number(r.v[i], static_cast<double>(a[i])));
    };
    const auto check_exponents = [](const auto* a) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(a)>>;
        T x[16];
        for (int i = 0; i < 16; ++i) {
            const T size = a[i] < 0 ? -a[i] : a[i];
            x[i] = size >= std::numeric_limits<T>::min() && size <= std::numeric_limits<T>::max() ? size : T(1);
        }
        const Lanes<T> r = lanes_of<T>(exponent_of(load(x)));
        for (int i = 0; i < 16; ++i)
            CHECK(same_bits(r.v[i], static_cast<T>(std::ilogb(x[i]))));
    };
    const auto check_narrow = [](const double* a) {
        const Lanes<float> r = lanes_of<float>(narrow(load(a)));
        float stored[16];
        store_narrow(stored, load(a));
        CHECK(std::memcmp(r.v, stored, sizeof r.v) == 0);
        for (int i = 0; i < 16; ++i)
            CHECK(same_number(r.v[i], static_cast<float>(a[i])));
    };
    float a[16];
    double b[16];
    for (std::size_t i = 0; i < floats.special.size() + 16; ++i) {
        a[i % 16] = floats.special[i % floats.special.size()];
        check_widen(a);
        check_exponents(a);
    }
    for (std::size_t i = 0; i < doubles.special.size() + 16; ++i) {
        b[i % 16] = doubles.special[i % doubles.special.size()];
        check_narrow(b);
        check_exponents(b);
    }
    for (int round = 0; round < 4000; ++round) {
        for (int i = 0; i < 16; ++i) {
            a[i] = floats.next();
            // Halfway between two floats and its neighbours, subnormal floats included.
            const double middle = static_cast<double>(a[i]) * (1.0 + 0x1p-24);
            const double tiny = floats.moderate() * 0x1p-140;
            b[i] = round % 4 == 0   ? doubles.next()
                   : round % 4 == 1 ? middle
                   : round % 4 == 2 ? middle * (1.0 + 0x1p-52)
                                    : tiny;
        }
        check_widen(a);
        check_narrow(b);
        check_exponents(a);
        check_exponents(b);
    }
}

struct Words {
    std::uint32_t v[16];
    i32x16 lanes() const {
        float encoded[16];
        std::memcpy(encoded, v, sizeof encoded);
        return bits(load(encoded));
    }
};

void words() {
    std::mt19937_64 random{20110815};
    const std::uint32_t edges[] = {0u,          1u,          2u,          0xFFFFu,     0x10000u,    0xFFFFFFu,
                                   0x1000000u,  0x1000001u,  0x1000003u,  0x7FFFFFFFu, 0x80000000u, 0x80000001u,
                                   0xFFFFFF7Fu, 0xFFFFFF80u, 0xFFFFFFFEu, 0xFFFFFFFFu, 0xD2511F53u, 0xCD9E8D57u};
    constexpr std::uint32_t count = sizeof edges / sizeof edges[0];
    for (int round = 0; round < 4000; ++round) {
        Words quad[4];
        for (Words& row : quad)
            for (std::uint32_t& w : row.v) {
                const std::uint64_t r = random();
                w = r % 3 == 0 ? edges[(r >> 32) % count] : static_cast<std::uint32_t>(r >> 32);
            }
        const std::uint32_t* const a = quad[0].v;
        const std::uint32_t* const b = quad[1].v;
        const i32x16 x = quad[0].lanes(), y = quad[1].lanes();
        const auto high = integers_of<float>(multiply_high(x, y)), low = integers_of<float>(multiply_low(x, y));
        const auto wide = integers_of<double>(zero_extend(x)), pairs = integers_of<double>(join(x, y));
        const auto real = lanes_of<float>(to_float(x)), real_unsigned = lanes_of<float>(unsigned_to_float(x));
        i32x16 rows[4];
        for (int i = 0; i < 4; ++i)
            rows[i] = quad[i].lanes();
        transpose_quads(rows);
        for (int i = 0; i < 16; ++i) {
            const std::uint64_t product = static_cast<std::uint64_t>(a[i]) * b[i];
            CHECK(static_cast<std::uint32_t>(high.v[i]) == static_cast<std::uint32_t>(product >> 32));
            CHECK(static_cast<std::uint32_t>(low.v[i]) == static_cast<std::uint32_t>(product));
            CHECK(static_cast<std::uint64_t>(wide.v[i]) == a[i]);
            const std::uint32_t* const pair = i < 8 ? a + 2 * i : b + 2 * (i - 8);
            CHECK(static_cast<std::uint64_t>(pairs.v[i]) == (static_cast<std::uint64_t>(pair[1]) << 32 | pair[0]));
            CHECK(same_bits(real.v[i], static_cast<float>(static_cast<std::int32_t>(a[i]))));
            CHECK(same_bits(real_unsigned.v[i], static_cast<float>(a[i])));
            for (int j = 0; j < 4; ++j)
                CHECK(static_cast<std::uint32_t>(integers_of<float>(rows[j]).v[i]) == quad[i % 4].v[i - i % 4 + j]);
        }
    }
}

template <class T>
void all_of_one_type() {
    static_assert(kLanes == 16 && std::is_same_v<element_t<vec<T>>, T>);
    arithmetic_and_comparisons<T>();
    loads_stores_and_splats<T>();
    partial_loads_and_stores_touch_nothing_else<T>();
    masks<T>();
    integer_lanes<T>();
    folds<T>();
    slides<T>();
    compressions<T>();
    transposes<T>();
}

SORGUM_NOINLINE void all() {
    all_of_one_type<float>();
    all_of_one_type<double>();
    between_the_two();
    words();
    halves<float16>(10);
    halves<bfloat16>(7);
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
