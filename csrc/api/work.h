// How the functions of csrc/api cut work and where they put what they bring together. None of the numbers changes a bit
// of any result (N7).
#pragma once

#include <memory>
#include <new>

#include "core/parallel.h"
#include "core/types.h"

namespace sorgum {

inline constexpr index_t kSerial = 32768;                     // elements that are not worth sharing
inline constexpr index_t kWaking = index_t(1) << 18;          // elements that are worth waking threads for
inline constexpr index_t kStreamingBytes = index_t(1) << 22;  // results larger than this are written past the caches
inline constexpr index_t kBlockRows = 32;                     // rows of a block that lie across memory, at most

inline int threads_for(index_t elements) {
    const int threads = elements < kSerial ? 1 : num_threads();
    return threads == 1 || elements >= kWaking || threads_at_hand() ? threads : 1;
}

inline index_t saturated_product(index_t a, index_t b) {
    index_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

// Elements of scratch that a kernel writes as whole vectors of 16, n of which it was asked for.
constexpr index_t whole_vectors(index_t n) { return (n + 15) / 16 * 16; }

// Scratch memory on a 64-byte boundary. Where it must grow, what it held is lost.
template <class T>
class AlignedArray {
public:
    void reserve(index_t n) {
        if (n <= size_)
            return;
        data_.reset(static_cast<T*>(::operator new(static_cast<std::size_t>(n) * sizeof(T), kAlignment)));
        size_ = n;
    }
    T* data() const { return data_.get(); }

private:
    static constexpr std::align_val_t kAlignment{64};
    struct Free {
        void operator()(T* p) const { ::operator delete(p, kAlignment); }
    };
    std::unique_ptr<T, Free> data_;
    index_t size_ = 0;
};

}  // namespace sorgum
