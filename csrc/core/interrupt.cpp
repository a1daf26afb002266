#include "core/interrupt.h"

#include <atomic>

namespace sorgum {

namespace {
std::atomic<InterruptCallback> installed{nullptr};
}

void set_interrupt_callback(InterruptCallback callback) { installed.store(callback, std::memory_order_release); }

bool interrupt_requested() {
    const InterruptCallback callback = installed.load(std::memory_order_acquire);
    return callback != nullptr && callback();
}

}  // namespace sorgum
