// Room on the stack. Kernels keep some tens of kibibytes of a row there; threads may have been given less.
#pragma once

#include <type_traits>

namespace sorgum {

// Whether less is left of the calling thread's stack than kernels use.
bool stack_is_short();

// Calls f(context) in a thread of its own, and waits. What f throws is thrown here. Throws MachineError where there is
// no thread to be had.
void call_in_thread(void (*f)(void*), void* context);

// Calls work() where there is room for it.
template <class Work>
void with_room(Work&& work) {
    using Called = std::remove_reference_t<Work>;
    if (!stack_is_short())
        work();
    else
        call_in_thread([](void* given) { (*static_cast<Called*>(given))(); }, &work);
}

}  // namespace sorgum
