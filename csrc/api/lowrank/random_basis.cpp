#include "api/call/work.h"
#include "api/lowrank/adapter.h"
#include "api/lowrank/lowrank.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/lowrank.h"

namespace sorgum::lowrank {

namespace {

constexpr index_t kNumbersOfTask = 2048, kBasesOfTask = 16;
constexpr index_t kMostBases = index_t(1) << 31;  // a stream's low word is its number

template <class T>
void add(std::uint64_t key, const ArrayView& weights, const ArrayView& out) {
    const index_t count = weights.shape[0], n = out.shape[0];
    const T* const a = vector_of<T>("basis_add", "weights", weights, count);
    T* const y = const_cast<T*>(vector_of<T>("basis_add", "out", out, n));
    const FpGuard guard;
    parallel_for_ranges(n, kNumbersOfTask, threads_for(saturated_product(count, n)),
                        [&](index_t begin, index_t end, int) {
                            lowrank_basis_add(kernels(), T())(key, a, count, begin, end - begin, y + begin);
                        });
}

template <class T>
void dots(std::uint64_t key, const ArrayView& g, const ArrayView& out) {
    const index_t count = out.shape[0], n = g.shape[0];
    const T* const x = vector_of<T>("basis_dots", "g", g, n);
    T* const y = const_cast<T*>(vector_of<T>("basis_dots", "out", out, count));
    const FpGuard guard;
    parallel_for_ranges(count, kBasesOfTask, threads_for(saturated_product(count, n)),
                        [&](index_t begin, index_t end, int) {
                            lowrank_basis_dots(kernels(), T())(key, begin, end - begin, x, n, y + begin);
                        });
}

void check(const char* function, const char* argument, const ArrayView& given, const ArrayView& out, bool bases_first) {
    if (given.ndim != 1 || out.ndim != 1)
        throw ValueError(std::string(function) + ": " + argument + " and out must have one axis, got " +
                         std::to_string(given.ndim) + " and " + std::to_string(out.ndim));
    if (!out.writable)
        throw ValueError(std::string(function) + ": out must be writable, got a read-only array");
    const index_t bases = (bases_first ? given : out).shape[0];
    if (bases >= kMostBases)
        throw ValueError(std::string(function) + ": bases must be fewer than 2**31, got " + std::to_string(bases));
}

}  // namespace

void basis_add(std::uint64_t key, const ArrayView& weights, const ArrayView& out) {
    check("basis_add", "weights", weights, out, true);
    if (out.dtype == DType::f64)
        add<double>(key, weights, out);
    else
        add<float>(key, weights, out);
}

void basis_dots(std::uint64_t key, const ArrayView& g, const ArrayView& out) {
    check("basis_dots", "g", g, out, false);
    if (out.dtype == DType::f64)
        dots<double>(key, g, out);
    else
        dots<float>(key, g, out);
}

}  // namespace sorgum::lowrank
