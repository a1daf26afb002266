// By how many threads sweeps are shared, and how threads wait for each other.
#pragma once

#include <atomic>
#include <thread>

#include "api/sor/structure.h"
#include "core/interrupt.h"
#include "core/parallel.h"

namespace sorgum::sor {

// For so many sweeps, if they read at least so many numbers, or as many as share_from says.
int threads_of(const Structure& structure, index_t least, index_t sweeps = 1);
bool sharing_is_forced();        // by share_from
void tell_threads(int threads);  // what threads_of_last_sweep returns

// How far a task has come, in pieces of rows.
struct alignas(64) Progress {
    std::atomic<index_t> pieces{0};
};

// In a task: until enough(how far another one is). False if all are to end.
template <class Enough>
bool wait_for(const Progress& progress, int slot, InterruptPoll& poll, Enough&& enough) {
    constexpr int many = 256;  // looks, before others are let run
    for (int looks = 0; !enough(progress.pieces.load(std::memory_order_acquire)); ++looks) {
        if (tasks_stopped())
            return false;
        if (looks < many)
            continue;
        looks = 0;
        if (slot == 0)
            poll();
        std::this_thread::yield();
    }
    return true;
}

}  // namespace sorgum::sor
