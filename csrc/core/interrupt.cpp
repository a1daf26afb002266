#include "core/interrupt.h"

#include <atomic>

#include "core/error.h"

namespace sorgum {

namespace {

std::atomic<InterruptCallback> installed{nullptr};

constexpr std::chrono::milliseconds kPollInterval{5};

}  // namespace

void set_interrupt_callback(InterruptCallback callback) { installed.store(callback, std::memory_order_release); }

bool interrupt_requested() {
    const InterruptCallback callback = installed.load(std::memory_order_acquire);
    return callback != nullptr && callback();
}

void InterruptPoll::operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kPollInterval)
        return;
    if (interrupt_requested())
        throw Interrupted();
    last_ = now;
}

}  // namespace sorgum
