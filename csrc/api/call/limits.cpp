#include "api/call/limits.h"

#include <string>
#include <vector>

#include "api/call/work.h"
#include "core/error.h"
#include "dispatch/common.h"
#include "dispatch/dispatch.h"

namespace sorgum::limits {

namespace {

constexpr index_t kTask = index_t(1) << 18;  // elements: 1 MiB

// The number of elements of a contiguous float32 array.
index_t contiguous_size(const ArrayView& array, const std::string& function, const std::string& argument) {
    index_t size = 1;
    bool contiguous = array.dtype == DType::f32;
    for (int i = array.ndim - 1; i >= 0; --i) {
        contiguous = contiguous && (array.shape[i] == 1 || array.strides[i] == size * index_t(sizeof(float)));
        size *= array.shape[i];
    }
    if (!contiguous && size != 0) {
        throw ValueError(function + ": " + argument + " must be a contiguous array of float32, got another");
    }
    return size;
}

}  // namespace

float read(const ArrayView& x) {
    const index_t n = contiguous_size(x, "memory_read", "x");
    const auto kernel = common_read(kernels(), float());
    const auto* const data = static_cast<const float*>(x.data);
    std::vector<float> sums(static_cast<std::size_t>(ceil_div(n, kTask)));
    parallel_for_ranges(n, kTask, num_threads(), [&](index_t begin, index_t end, int /*slot*/) {
        sums[static_cast<std::size_t>(begin / kTask)] = kernel(data + begin, end - begin);
    });
    float total = 0;
    for (const float sum : sums) {
        total += sum;
    }
    return total;
}

void copy(const ArrayView& source, const ArrayView& target) {
    const index_t n = contiguous_size(source, "memory_copy", "source");
    if (contiguous_size(target, "memory_copy", "target") != n || !target.writable) {
        throw ValueError("memory_copy: target must be writable and have " + std::to_string(n) + " elements");
    }
    const auto kernel = common_copy(kernels(), float());
    const auto* const from = static_cast<const float*>(source.data);
    auto* const to = static_cast<float*>(target.data);
    if (from < to + n && to < from + n) {
        throw ValueError("memory_copy: target must not overlap source");
    }
    parallel_for_ranges(n, kTask, num_threads(), [&](index_t begin, index_t end, int /*slot*/) {
        kernel(from + begin, to + begin, end - begin);
    });
}

double fma_peak(index_t iterations, bool many_chains) {
    if (iterations < 0) {
        throw ValueError("fma_peak: iterations must not be negative, got " + std::to_string(iterations));
    }
    const int threads = num_threads();
    const auto kernel = common_fma_chains(kernels(), float());
    parallel_for(threads, threads, [&](index_t /*task*/, int /*slot*/) { kernel(iterations, many_chains); });
    constexpr double kFlopsPerStep = 2 * 16;
    const int chains = many_chains ? common::kManyChains : common::kFewChains;
    return kFlopsPerStep * chains * static_cast<double>(iterations) * threads;
}

}  // namespace sorgum::limits
