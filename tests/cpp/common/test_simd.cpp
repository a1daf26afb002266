// The operations of csrc/simd that take each lane by itself, on the instruction set that this file is compiled for,
// against plain C++ over special and random values. The contract is csrc/simd/README.md.
#include "simd_lanes.h"

SORGUM_ISA_BEGIN

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

constexpr std::int32_t kTable[4] = {0, -1, 0x3F9837F0, 5};

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
        const auto picked = integers_of<float>(pick<kTable>(x));
        const auto wide = integers_of<double>(zero_extend(x)), pairs = integers_of<double>(join(x, y));
        const auto real = lanes_of<float>(to_float(x)), real_unsigned = lanes_of<float>(unsigned_to_float(x));
        const auto kept = integers_of<float>(shift_right_signed<0>(x)),
                   by_one = integers_of<float>(shift_right_signed<1>(x));
        const auto exponent = integers_of<float>(shift_right_signed<23>(x));
        const auto sign = integers_of<float>(shift_right_signed<31>(x));
        const unsigned below_zero = mask_bits<float>(negative(x));
        i32x16 rows[4];
        for (int i = 0; i < 4; ++i)
            rows[i] = quad[i].lanes();
        transpose_quads(rows);
        for (int i = 0; i < 16; ++i) {
            const std::uint64_t product = static_cast<std::uint64_t>(a[i]) * b[i];
            CHECK(static_cast<std::uint32_t>(high.v[i]) == static_cast<std::uint32_t>(product >> 32));
            CHECK(static_cast<std::uint32_t>(low.v[i]) == static_cast<std::uint32_t>(product));
            CHECK(picked.v[i] == kTable[a[i] % 4]);
            CHECK(static_cast<std::uint64_t>(wide.v[i]) == a[i]);
            const std::uint32_t* const pair = i < 8 ? a + 2 * i : b + 2 * (i - 8);
            CHECK(static_cast<std::uint64_t>(pairs.v[i]) == (static_cast<std::uint64_t>(pair[1]) << 32 | pair[0]));
            const std::int64_t number = static_cast<std::int32_t>(a[i]);  // floor(number / 2^k) for each shift
            CHECK(kept.v[i] == number);
            CHECK(by_one.v[i] * std::int64_t(2) + (a[i] & 1) == number);
            CHECK(exponent.v[i] * (std::int64_t(1) << 23) + (a[i] & 0x7FFFFF) == number);
            CHECK(sign.v[i] == (number < 0 ? -1 : 0));
            CHECK((below_zero >> i & 1) == (number < 0 ? 1u : 0u));
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
    masks<T>();
    integer_lanes<T>();
}

SORGUM_NOINLINE void all() {
    all_of_one_type<float>();
    all_of_one_type<double>();
    words();
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
