// The operations of csrc/simd that load, store and convert; see test_simd.cpp.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>

#include "math/format.h"
#include "simd_lanes.h"

SORGUM_ISA_BEGIN

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
        const Lanes<double> doubles = lanes_of<double>(load_half_wide(h)), widened = lanes_of<double>(widen(wide));
        for (int i = 0; i < 16; ++i)
            CHECK(same_bits(doubles.v[i], widened.v[i]));
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
        x[6] = canonical_nan<float>();
        H canonical[16];
        store_half_canonical(canonical, load(x));
        for (int i = 0; i < 16; ++i)
            CHECK(canonical[i].bits == (i == 6 ? infinity | 1 << (mantissa_bits - 1) : stored[i].bits));
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

template <class T>
void all_of_one_type() {
    loads_stores_and_splats<T>();
    partial_loads_and_stores_touch_nothing_else<T>();
    compressions<T>();
}

SORGUM_NOINLINE void all() {
    all_of_one_type<float>();
    all_of_one_type<double>();
    between_the_two();
    halves<float16>(10);
    halves<bfloat16>(7);
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
