// How the functions of csrc/api cut work into tasks, and their scratch memory. None of the numbers changes a bit of any
// result (N7).
#pragma once

#include <cstdint>
#include <memory>
#include <new>

#include "core/memory_pool.h"
#include "core/parallel.h"
#include "core/types.h"

namespace sorgum {

inline constexpr index_t kSerial = 32768;                     // elements that are not worth sharing
inline constexpr index_t kWaking = index_t(1) << 18;          // elements that are worth waking threads for
inline constexpr index_t kStreamingBytes = index_t(1) << 22;  // results larger than this are written past the caches
inline constexpr index_t kBlockRows = 32;                     // rows of a block that lie across memory, at most
inline constexpr index_t kScratch = 4096;                     // elements that are brought together, or made, at a time
inline constexpr index_t kLeastTask = 32768;                  // elements that are worth a task
inline constexpr index_t kPieceElements = 65536;              // elements of a piece of a long row
inline constexpr index_t kLongTask = index_t(1) << 20;        // elements of many rows that one task takes in turn
inline constexpr index_t kManyRows = 16;                      // so many keep all threads busy without being shared
inline constexpr index_t kLongRow = index_t(1) << 22;         // rows beyond it are always shared between threads

inline int threads_for(index_t elements) {
    const int threads = elements < kSerial ? 1 : num_threads();
    return threads == 1 || elements >= kWaking || threads_at_hand() ? threads : 1;
}

inline index_t saturated_product(index_t a, index_t b) {
    index_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

constexpr index_t ceil_div(index_t a, index_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// How many elements of scratch a kernel of n elements needs that writes whole vectors of 16.
constexpr index_t whole_vectors(index_t n) { return ceil_div(n, 16) * 16; }

// What lies in [begin, end): elements of a row, rows, blocks.
struct Range {
    index_t begin, end;
};

// The i-th of the ranges of `step`, the last one perhaps shorter, that [0, n) is cut into: ceil_div(n, step) of them.
constexpr Range nth_range(index_t n, index_t step, index_t i) {
    return {i * step, n - i * step < step ? n : (i + 1) * step};
}

// Calls f(begin, end) for ranges of `step`, the last one perhaps shorter, one after the other.
template <class F>
void for_each_range(index_t begin, index_t end, index_t step, F&& f) {
    for (index_t i = begin, stop; i < end; i = stop) {
        stop = end - i < step ? end : i + step;
        f(i, stop);
    }
}

// Calls f(begin, end, slot) for such ranges of [0, n), each of them a task.
template <class F>
void parallel_for_ranges(index_t n, index_t step, int threads, F&& f) {
    parallel_for(ceil_div(n, step), threads, [&](index_t task, int slot) {
        const Range range = nth_range(n, step, task);
        f(range.begin, range.end, slot);
    });
}

// Calls f(row, begin, end, slot) for such ranges of every row, which has n elements.
template <class F>
void parallel_for_row_ranges(index_t rows, index_t n, index_t step, int threads, F&& f) {
    const index_t per_row = ceil_div(n, step);
    parallel_for(rows * per_row, threads, [&](index_t task, int slot) {
        const Range range = nth_range(n, step, task % per_row);
        f(task / per_row, range.begin, range.end, slot);
    });
}

// Scratch memory on a 64-byte boundary. Where it must grow, what it held is lost. Much of it is kept by the memory pool
// between calls: allocators hand freed pages back to the system when others free memory, too, and to map 1 MiB anew for
// every row takes several times as long as its softmax.
template <class T>
class AlignedArray {
public:
    void reserve(index_t n) {
        if (n <= size_)
            return;
        if (n > INT64_MAX / static_cast<index_t>(sizeof(T)))  // of arrays whose strides are 0
            throw std::bad_alloc();
        const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
        std::size_t capacity = 0;
        void* const memory = bytes < kKeptFrom ? ::operator new(bytes, kAlignment) : take_memory(bytes, capacity);
        data_ = std::unique_ptr<T, Free>(static_cast<T*>(memory), Free{capacity});
        size_ = n;
    }
    T* data() const { return data_.get(); }

private:
#ifdef SORGUM_SANITIZE  // its checks do not see who leaves a block of the pool
    static constexpr std::size_t kKeptFrom = SIZE_MAX;
#else
    static constexpr std::size_t kKeptFrom = std::size_t(1) << 16;  // glibc maps blocks of 2^17 bytes one by one
#endif
    static constexpr std::align_val_t kAlignment{64};
    struct Free {
        std::size_t capacity = 0;  // of memory of the pool

        void operator()(T* p) const {
            if (capacity > 0)
                give_memory(p, capacity);
            else
                ::operator delete(p, kAlignment);
        }
    };
    std::unique_ptr<T, Free> data_;
    index_t size_ = 0;
};

}  // namespace sorgum
