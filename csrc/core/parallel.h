// A small fork-safe pool of threads.
//
// Work is a number of tasks, cut by the shape of the data and never by the number of threads (N7); which thread runs
// which task is left open, since no result depends on it. While the pool works for one caller, the tasks of any other
// run on that caller's own thread. After fork() the child starts a pool of its own when it first needs one.
#pragma once

#include "core/types.h"

namespace sorgum {

inline constexpr int kMaxThreads = 4096;  // more than the CPUs of any machine: a larger number is a typing error

int num_threads();                // the first call reads the environment; throws MachineError if that is malformed
void set_num_threads(index_t n);  // 1 to kMaxThreads; throws ValueError otherwise
// "set_num_threads", "threadpoolctl", "SORGUM_NUM_THREADS", "OMP_NUM_THREADS" or "CPUs".
const char* num_threads_source();

// Whether the pool's threads would start at once: they are awake, or calls follow each other so closely that they would
// stay awake after this one. Otherwise they have to be woken, which takes tens of microseconds, about ten of them the
// caller's.
bool threads_at_hand();

using TaskFunction = void (*)(void* context, index_t task, int slot);
void run_tasks(index_t tasks, int max_threads, TaskFunction function, void* context);

// Within a task: whether the others of its call are to end, because one of them has thrown or the caller wants it.
// Tasks that wait for each other ask while they wait.
bool tasks_stopped();

// Calls body(task, slot) for every task in [0, tasks). `slot` is below `max_threads` and no two tasks that run at the
// same time share one: it indexes scratch memory. Runs under FpGuard (N8) in every thread. Throws Interrupted when the
// interrupt callback, polled by the calling thread between tasks, says so.
template <class Body>
void parallel_for(index_t tasks, int max_threads, Body&& body) {
    run_tasks(
        tasks, max_threads, [](void* context, index_t task, int slot) { (*static_cast<Body*>(context))(task, slot); },
        &body);
}

}  // namespace sorgum
