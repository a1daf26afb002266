#include "api/random/soft_tokens.h"

#include <string>
#include <vector>

#include "api/random/rows.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/random.h"

namespace sorgum::random {

namespace {

constexpr index_t kChosen = 1024;   // numbers of a task
constexpr index_t kColumns = 4096;  // columns of a task

template <class V>
V at(const ArrayView& x, index_t i, index_t j = 0) {
    V value;
    const char* const p = static_cast<const char*>(x.data) + i * x.strides[0] + (j != 0 ? j * x.strides[1] : 0);
    __builtin_memcpy(&value, p, sizeof value);
    return value;
}

void check_operand(const char* function, const char* argument, const ArrayView& x, DType dtype, const ArrayView& like) {
    check_dtype(function, argument, x, dtype);
    bool same = x.ndim == like.ndim;
    for (int d = 0; same && d < x.ndim; ++d)
        same = x.shape[d] == like.shape[d];
    if (!same)
        throw ValueError(std::string(function) + ": " + argument + " must have shape " +
                         shape_text(like.shape, like.ndim) + ", got " + shape_text(x.shape, x.ndim));
}

template <class T>
void mix_rows(const EmbeddingMix& a) {
    using A = typename MixSum<T>::type;
    const index_t rows = a.indices.shape[0], k = a.indices.shape[1], n = a.table.shape[1];
    std::vector<const T*> chosen;
    std::vector<A> weights;
    std::vector<std::size_t> first_of = {0};  // of each row, among those
    for (index_t r = 0; r < rows; ++r) {
        for (index_t j = 0; j < k; ++j) {
            const index_t i = at<index_t>(a.indices, r, j);  // read once: another thread may write there
            if (i < -1 || i >= a.table.shape[0])
                throw ValueError(std::string(a.function) + ": indices must be in [-1, " +
                                 std::to_string(a.table.shape[0]) + "), got " + std::to_string(i));
            if (i < 0)
                continue;
            chosen.push_back(
                reinterpret_cast<const T*>(static_cast<const char*>(a.table.data) + i * a.table.strides[0]));
            weights.push_back(static_cast<A>(at<double>(a.weights, r, j)));
        }
        first_of.push_back(chosen.size());
    }
    const index_t elements = saturated_product(saturated_product(rows, k), n);
    const auto mix = [&](index_t r, index_t begin, index_t end, int) {
        const std::size_t first = first_of[static_cast<std::size_t>(r)];
        const std::size_t count = first_of[static_cast<std::size_t>(r) + 1] - first;
        random_mix(kernels(), T())(chosen.data() + first, weights.data() + first, static_cast<index_t>(count), begin,
                                   end - begin, static_cast<T*>(a.out.data) + r * n + begin);
    };
    parallel_for_row_ranges(rows, n, kColumns, threads_for(elements), mix);
}

}  // namespace

void noise_of_chosen(const ChosenNoise& a) {
    check_operand(a.function, "streams", a.streams, DType::i64, a.indices);
    check_operand(a.function, "positions", a.positions, DType::i64, a.indices);
    check_out(a.function, "out", a.out, DType::f64, a.indices.shape, 1);
    if (a.concentration)
        check_operand(a.function, "concentration", *a.concentration, DType::f64, a.indices);
    const FpGuard guard;
    const index_t n = a.indices.shape[0];
    parallel_for_ranges(n, kChosen, threads_for(16 * n), [&](index_t begin, index_t end, int) {
        for (index_t e = begin; e < end; ++e) {
            const index_t index = at<index_t>(a.indices, e);
            double number = __builtin_nan("");
            if (index >= 0) {
                NoiseRow row;
                row.key = a.key;
                row.stream = at<std::uint64_t>(a.streams, e);
                row.position = at<std::uint64_t>(a.positions, e);
                row.purpose = a.concentration ? Purpose::gamma : Purpose::gumbel;
                row.wide = false;
                row.given = nullptr;
                if (a.concentration) {
                    const double shape = at<double>(*a.concentration, e);
                    random_gamma(kernels(), double())(row, index, 1, &shape, true, &number);
                } else {
                    random_gumbel(kernels(), double())(row, index, 1, &number, false);
                }
            }
            __builtin_memcpy(static_cast<char*>(a.out.data) + e * a.out.strides[0], &number, sizeof number);
        }
    });
}

void embedding_mix(const EmbeddingMix& a) {
    check_operand(a.function, "weights", a.weights, DType::f64, a.indices);
    check_dtype(a.function, "indices", a.indices, DType::i64);
    const index_t shape[2] = {a.indices.shape[0], a.table.shape[1]};
    check_out(a.function, "out", a.out, a.table.dtype, shape, 2);
    const FpGuard guard;
    switch (a.table.dtype) {
        case DType::f32:
            return mix_rows<float>(a);
        case DType::f64:
            return mix_rows<double>(a);
        case DType::f16:
            return mix_rows<float16>(a);
        case DType::bf16:
            return mix_rows<bfloat16>(a);
        case DType::boolean:
        case DType::i64:
        case DType::i32:
            break;
    }
    throw TypeError(std::string(a.function) + ": embeddings must be float16, bfloat16, float32 or float64, got dtype " +
                    dtype_text(a.table.dtype));
}

}  // namespace sorgum::random
