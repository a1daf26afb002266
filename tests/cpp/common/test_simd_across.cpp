// The operations of csrc/simd that move numbers from lane to lane; see test_simd.cpp.
#include "simd_lanes.h"

SORGUM_ISA_BEGIN

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

template <class T>
void every_other() {
    Source<T> source;
    T both[32];
    for (T& x : both)
        x = source.next();
    const vec<T> a = load(both), b = load(both + 16);
    const Lanes<T> even = lanes_of<T>(even_lanes(a, b)), odd = lanes_of<T>(odd_lanes(a, b));
    const Lanes<T> low = lanes_of<T>(zip_low(a, b)), high = lanes_of<T>(zip_high(a, b));
    for (int i = 0; i < 16; ++i) {
        CHECK(same_bits(even.v[i], both[2 * i]));
        CHECK(same_bits(odd.v[i], both[2 * i + 1]));
        CHECK(same_bits(low.v[i], both[i % 2 * 16 + i / 2]));
        CHECK(same_bits(high.v[i], both[i % 2 * 16 + 8 + i / 2]));
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

template <class T>
void all_of_one_type() {
    folds<T>();
    slides<T>();
    every_other<T>();
    transposes<T>();
}

SORGUM_NOINLINE void all() {
    all_of_one_type<float>();
    all_of_one_type<double>();
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
