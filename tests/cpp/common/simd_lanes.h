// What the tests of csrc/simd share: values to try, and the lanes of a vector. It stands in the namespace of the
// operations, since std:: has a max, a min and an fma of its own.
#pragma once

#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "on_isa.h"

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

template <class T>
SORGUM_NOINLINE T larger_by_definition(T a, T b) {
    if (a > b)
        return a;
    return b;
}

SORGUM_ISA_END
