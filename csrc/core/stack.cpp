#include "core/stack.h"

#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>

#include "core/error.h"

#if defined(__linux__)
#include <pthread.h>
#endif

namespace sorgum {

namespace {

// Half types and gradients of long rows use 100 KiB; tests/common/test_faults.py runs them in threads that have 32.
constexpr std::uintptr_t kNeeded = 160 << 10;

#if defined(__linux__)

struct Stack {
    std::uintptr_t low, high;
};

// Of one that is not known no address lies on it.
Stack stack_of_this_thread() {
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return {1, 1};
    void* low = nullptr;
    std::size_t size = 0;
    const int failed = pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    const auto address = reinterpret_cast<std::uintptr_t>(low);
    return failed != 0 ? Stack{1, 1} : Stack{address, address + size};
}

// initial-exec: as in parallel.cpp.
#if defined(__ELF__)
__attribute__((tls_model("initial-exec")))
#endif
thread_local Stack stack = {0, 0};

#endif

}  // namespace

bool stack_is_short() {
#if defined(__linux__)
    if (stack.high == 0)
        stack = stack_of_this_thread();
    // A coroutine has a stack of its own, of which nothing is known.
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    return here >= stack.low && here < stack.high && here - stack.low < kNeeded;
#else
    return false;
#endif
}

void call_in_thread(void (*f)(void*), void* context) {
    std::exception_ptr error;
    try {
        std::thread([&] {
            try {
                f(context);
            } catch (...) {
                error = std::current_exception();
            }
        }).join();
    } catch (const std::system_error&) {
        throw MachineError("the stack must have 160 KiB, or the system another thread, got neither");
    }
    if (error)
        std::rethrow_exception(error);
}

}  // namespace sorgum
