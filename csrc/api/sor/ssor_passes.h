// What an iteration of conjugate gradients with symmetric successive over-relaxation does to vectors, after Eisenstat
// 1981, "Efficient implementation of a class of preconditioned conjugate gradient methods": in the unknowns
// (D / omega + U) x the matrix is (D / omega + L)^-1 A (D / omega + U)^-1, and to multiply by it takes one solution
// with either triangle: A = (D / omega + L) + (D / omega + U) - sigma D with sigma = 2 / omega - 1. So an iteration
// reads the matrix once, and x itself is updated, since (D / omega + U)^-1 q is its direction.
#pragma once

#include <vector>

#include "api/call/work.h"
#include "api/sor/norm.h"
#include "api/sor/ssor_omega.h"
#include "api/sor/system.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

// A sum of products: value * 2^exponent, the exponent even.
struct Scaled {
    double value = 0;
    index_t exponent = 0;
    bool finite = true;

    double over(const Scaled& other) const {
        return std::ldexp(value / other.value, static_cast<int>(exponent - other.exponent));
    }
    double root() const { return std::ldexp(std::sqrt(value), static_cast<int>(exponent / 2)); }
};

inline Scaled total_of(const SquaresSum& sum) {
    Scaled total;
    total.finite = !sum.has_nan && !sum.has_inf;
    total.value = sor_squares_total(kernels(), double())(sum, total.exponent);
    return total;
}

template <class T>
class SsorPasses {
public:
    SsorPasses(System<T> system, const T* b, T* x)
        : system_(std::move(system)), b_(b), x_(x), n_(system_.structure->rows) {
        for (AlignedArray<T>* v : {&r_, &q_, &t_, &y_})
            v->reserve(n_);
        const T shift = system_.inverse->shift;
        d_ = system_.values->diagonal.data();
        if (shift != T(0)) {
            shifted_.reserve(n_);
            for (index_t i = 0; i < n_; ++i)
                shifted_.data()[i] = d_[i] + shift;
            d_ = shifted_.data();
        }
        if (sizeof(T) < sizeof(double))
            wide_.reserve(n_);
    }

    const T* diagonal() const { return d_; }

    // ||b - A x||; ||b||.
    double residual() { return root_of(sorgum::sor::residual(system_, b_, x_, nullptr, poll_)); }
    double right_side() {
        return root_of(sum([&](index_t i, index_t n, Scratch& s) { products(b_ + i, b_ + i, n, s); }));
    }

    // Begins at x: r, q and t. The squares of r in the norm of D, and ||b - A x||.
    Scaled begin(double omega, double& norm) {
        omega_ = static_cast<T>(omega);
        sigma_ = (T(2) - omega_) / omega_;
        double* const wide = sizeof(T) == sizeof(double) ? reinterpret_cast<double*>(r_.data()) : wide_.data();
        norm = root_of(sorgum::sor::residual(system_, b_, x_, wide, poll_));
        if (sizeof(T) < sizeof(double))
            for (index_t i = 0; i < n_; ++i)
                r_.data()[i] = static_cast<T>(wide[i]);
        const SquaresSum squares = along(
            false, r_, r_, [](index_t, index_t) {}, [&](index_t i, index_t n, Scratch& s) { add_weighted(i, n, s); });
        direct(T(0), true);
        return total_of(squares);
    }

    // The product with the matrix, which is t + y, and t'A t if it is asked for: 0 otherwise.
    Scaled curvature(bool asked = true) {
        const auto right_side = [&](index_t i, index_t n) { combine(-sigma_, d_, t_, T(1), q_, y_.data() + i, i, n); };
        return total_of(along(false, y_, y_, right_side, [&](index_t i, index_t n, Scratch& s) {
            if (!asked)
                return;
            product_of(i, n, s);
            products(q_.data() + i, s.numbers.data(), n, s);
        }));
    }

    // Goes so far along t. The squares of r afterwards, in the norm of D, if they are asked for: 0 otherwise.
    Scaled step(T alpha, bool asked = true) {
        return total_of(sum([&](index_t i, index_t n, Scratch& s) {
            combine()(alpha, nullptr, t_.data() + i, T(1), x_ + i, x_ + i, n);
            product_of(i, n, s);
            combine()(-alpha, nullptr, s.numbers.data(), T(1), r_.data() + i, r_.data() + i, n);
            if (asked)
                add_weighted(i, n, s);
        }));
    }

    // The next direction: q = sigma D r + beta q, and t.
    void direct(T beta, bool first = false) {
        const auto right_side = [&](index_t i, index_t n) {
            T* const q = q_.data() + i;
            combine()(sigma_, d_ + i, r_.data() + i, beta, first ? nullptr : q, q, n);
        };
        along(true, q_, t_, right_side, [](index_t, index_t, Scratch&) {});
    }

    // Of t, whose curvature is known: q - D t / omega is U t.
    Quotients quotients(const Scaled& curvature) {
        const SquaresSum diagonal = sum([&](index_t i, index_t n, Scratch& s) {
            combine()(T(1), d_ + i, t_.data() + i, T(0), nullptr, s.numbers.data(), n);
            products(t_.data() + i, s.numbers.data(), n, s);
        });
        const SquaresSum product = sum([&](index_t i, index_t n, Scratch& s) {
            T* const upper = s.numbers.data();
            T* const weighted = upper + kChunk;
            combine(-T(1) / omega_, d_, t_, T(1), q_, upper, i, n);
            combine()(T(1), system_.inverse->of_diagonal.data() + i, upper, T(0), nullptr, weighted, n);
            products(upper, weighted, n, s);
        });
        return {total_of(diagonal).over(curvature), total_of(product).over(curvature)};
    }

    double sigma() const { return static_cast<double>(sigma_); }

private:
    struct Scratch {
        AlignedArray<T> numbers;
        SquaresSum squares = kNoSquares;
    };

    std::vector<Scratch>& scratch_of(int threads) {
        if (static_cast<int>(scratch_.size()) < threads)
            scratch_.resize(static_cast<std::size_t>(threads));
        for (Scratch& s : scratch_) {
            s.numbers.reserve(2 * kChunk);
            s.squares = kNoSquares;
        }
        return scratch_;
    }

    // Calls f(first, count, scratch) for every chunk.
    template <class F>
    SquaresSum sum(F&& f) {
        const int threads = threads_for(n_);
        std::vector<Scratch>& scratch = scratch_of(threads);
        poll_();
        parallel_for_ranges(n_, kChunk, threads, [&](index_t begin, index_t end, int slot) {
            f(begin, end - begin, scratch[static_cast<std::size_t>(slot)]);
        });
        SquaresSum total = kNoSquares;
        for (const Scratch& s : scratch)
            sor_squares_merge(kernels(), double())(total, s.squares);
        return total;
    }

    static combine_fn<T>* combine() { return sor_combine(kernels(), T()); }
    static void combine(T a, const T* d, const AlignedArray<T>& x, T b, const AlignedArray<T>& y, T* out, index_t i,
                        index_t n) {
        combine()(a, d + i, x.data() + i, b, y.data() + i, out, n);
    }
    static void products(const T* x, const T* y, index_t n, Scratch& s) {
        sor_products_add(kernels(), T())(x, y, n, s.squares);
    }
    void product_of(index_t i, index_t n, Scratch& s) const {
        combine()(T(1), nullptr, t_.data() + i, T(1), y_.data() + i, s.numbers.data(), n);
    }
    void add_weighted(index_t i, index_t n, Scratch& s) const {
        combine()(T(1), d_ + i, r_.data() + i, T(0), nullptr, s.numbers.data(), n);
        products(r_.data() + i, s.numbers.data(), n, s);
    }
    // Solves with a triangle, chunk by chunk in its order, and calls before(first, count) and after(first, count,
    // scratch) for each: what they read and write is in cache, where passes over whole vectors would go to memory.
    template <class Before, class After>
    SquaresSum along(bool upper, const AlignedArray<T>& from, AlignedArray<T>& to, Before&& before, After&& after) {
        const Step<T> step = {omega_, upper, true, nullptr, nullptr};
        const Blocks<T> blocks = system_.blocks();
        const auto solve = sor_blocks_sweep(kernels(), T());
        Scratch& s = scratch_of(1).front();
        const index_t chunks = ceil_div(n_, kChunk);
        for (index_t k = 0; k < chunks; ++k) {
            poll_();
            const Range rows = nth_range(n_, kChunk, upper ? chunks - 1 - k : k);
            before(rows.begin, rows.end - rows.begin);
            solve(blocks, step, from.data(), to.data(), rows.begin, rows.end);
            after(rows.begin, rows.end - rows.begin, s);
        }
        return s.squares;
    }

    System<T> system_;
    const T* b_;
    T* x_;
    index_t n_;
    T omega_ = 1, sigma_ = 1;
    const T* d_;  // the diagonal, its shift included
    AlignedArray<T> shifted_, r_, q_, t_, y_;
    AlignedArray<double> wide_;
    std::vector<Scratch> scratch_;
    InterruptPoll poll_;
};

}  // namespace sorgum::sor
