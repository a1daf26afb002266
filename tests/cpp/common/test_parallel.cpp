// The pool of threads: every task once, slots never shared, errors and interrupts, fork, the floating-point
// environment.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/cpu_count.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "core/interrupt.h"
#include "core/parallel.h"

using sorgum::index_t;
using sorgum::parallel_for;

namespace {

void pause_for(int microseconds) { std::this_thread::sleep_for(std::chrono::microseconds(microseconds)); }

void every_task_runs_once() {
    for (const int threads : {-1, 0, 1, 2, 3, 8}) {
        for (const index_t tasks : {index_t(-1), index_t(0), index_t(1), index_t(2), index_t(7), index_t(1000)}) {
            std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks > 0 ? tasks : 0));
            parallel_for(tasks, threads, [&](index_t task, int slot) {
                runs[static_cast<std::size_t>(task)].fetch_add(1);
                CHECK(slot >= 0 && slot < (threads > 1 ? threads : 1));
            });
            for (const auto& count : runs) {
                CHECK(count.load() == 1);
            }
        }
    }
}

void no_two_running_tasks_share_a_slot() {
    constexpr int threads = 4;
    std::atomic<int> users[threads] = {};
    std::atomic<int> clashes{0}, most_at_once{0}, running{0};
    parallel_for(400, threads, [&](index_t, int slot) {
        clashes += users[slot].fetch_add(1) != 0;
        const int now = running.fetch_add(1) + 1;
        for (int most = most_at_once; now > most && !most_at_once.compare_exchange_weak(most, now);) {
        }
        pause_for(100);
        --running;
        users[slot].fetch_sub(1);
    });
    CHECK(clashes == 0);
    CHECK(most_at_once > 1 && most_at_once <= threads);  // it did run in parallel
}

void short_jobs_in_a_row() {
    std::atomic<index_t> sum{0};
    for (int i = 0; i < 20000; ++i) {
        parallel_for(2, 2, [&](index_t task, int) { sum += task + 1; });
    }
    CHECK(sum == 3 * 20000);
}

// Threads are at hand for tens of microseconds. The machine may take longer than that over a line here; not every time.
void threads_are_at_hand_while_calls_follow_each_other() {
    const auto sometimes = [](auto&& holds) {
        for (int i = 0; i < 1000; ++i) {
            if (holds()) {
                return true;
            }
        }
        return false;
    };
    CHECK(sometimes([] {
        pause_for(5000);
        return !sorgum::threads_at_hand();
    }));
    CHECK(sometimes([] {  // after work that asked, and took one thread
        pause_for(2000);
        static_cast<void>(sorgum::threads_at_hand());
        parallel_for(1, 1, [](index_t, int) {});
        return sorgum::threads_at_hand();
    }));
    if (sorgum::usable_cpus() > 1) {
        CHECK(sometimes([] {  // a thread that has worked looks for more
            pause_for(2000);
            parallel_for(2, 2, [](index_t, int) { pause_for(100); });
            return sorgum::threads_at_hand();
        }));
    }
}

void an_exception_reaches_the_caller() {
    for (const int threads : {1, 4}) {
        std::atomic<int> runs{0};
        CHECK_THROWS(std::domain_error, "task 5", parallel_for(100000, threads, [&](index_t task, int) {
                         ++runs;
                         if (task == 5) {
                             throw std::domain_error("task 5");
                         }
                         pause_for(10);
                     }));
        CHECK(runs < 100000);  // the others stopped
    }
    every_task_runs_once();  // and the pool is as good as before
}

void nested_calls_run_inline() {
    std::atomic<int> runs{0}, elsewhere{0};
    parallel_for(8, 4, [&](index_t, int) {
        const auto outer = std::this_thread::get_id();
        parallel_for(8, 4, [&](index_t, int slot) {
            ++runs;
            elsewhere += std::this_thread::get_id() != outer || slot != 0;
        });
    });
    CHECK(runs == 64);
    CHECK(elsewhere == 0);
}

void many_callers_at_once() {
    std::atomic<index_t> sum{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 8; ++i) {
        callers.emplace_back([&] {
            for (int j = 0; j < 200; ++j) {
                parallel_for(10, 3, [&](index_t task, int) { sum += task; });
            }
        });
    }
    for (auto& caller : callers) {
        caller.join();
    }
    CHECK(sum == 8 * 200 * 45);
}

std::atomic<int> polls{0};
std::atomic<int> polls_elsewhere{0};
std::atomic<bool> stop_requested{false};
std::thread::id polling_thread;

bool poll() {
    ++polls;
    polls_elsewhere += std::this_thread::get_id() != polling_thread;
    return stop_requested;
}

void an_interrupt_stops_the_work() {
    polling_thread = std::this_thread::get_id();
    sorgum::set_interrupt_callback(poll);
    for (const int threads : {1, 4}) {
        polls = 0;
        stop_requested = false;
        std::atomic<int> runs{0};
        const auto start = std::chrono::steady_clock::now();
        CHECK_THROWS(sorgum::Interrupted, "interrupted", parallel_for(100000, threads, [&](index_t task, int) {
                         ++runs;
                         stop_requested = stop_requested || task == 300;
                         pause_for(100);
                     }));
        const auto elapsed = std::chrono::steady_clock::now() - start;
        CHECK(runs < 50000);
        CHECK(polls > 0 && polls < 1 + elapsed / std::chrono::milliseconds(5));
    }
    CHECK(polls_elsewhere == 0);
    // A short job is over before a poll is due.
    polls = 0;
    parallel_for(4, 4, [](index_t, int) {});
    CHECK(polls == 0);
    sorgum::set_interrupt_callback(nullptr);
    stop_requested = false;
    every_task_runs_once();
}

void an_interrupt_outranks_another_error() {
    sorgum::set_interrupt_callback(poll);
    stop_requested = true;
    const auto caller = std::this_thread::get_id();
    std::atomic<bool> threw{false};
    CHECK_THROWS(sorgum::Interrupted, "interrupted", parallel_for(100000, 2, [&](index_t, int) {
                     pause_for(6000);
                     if (std::this_thread::get_id() != caller && !threw.exchange(true)) {
                         pause_for(6000);
                         throw std::domain_error("elsewhere");
                     }
                 }));
    sorgum::set_interrupt_callback(nullptr);
    stop_requested = false;
}

void a_forked_child_has_a_pool_of_its_own() {
#if !defined(__SANITIZE_THREAD__)  // which does not support threads in such a child
    parallel_for(100, 4, [](index_t, int) { pause_for(10); });
    // The second fork happens while another thread's job runs and holds the pool's locks.
    for (const bool busy : {false, true}) {
        std::atomic<bool> over{false};
        std::thread other([&] {
            while (busy && !over) {
                parallel_for(50, 4, [](index_t, int) { pause_for(20); });
            }
        });
        for (int i = 0; i < 20; ++i) {
            std::fflush(stdout);
            const pid_t child = fork();
            if (child == 0) {
                alarm(20);
                std::atomic<index_t> sum{0};
                std::atomic<int> others{0};
                const auto self = std::this_thread::get_id();
                parallel_for(100, 4, [&](index_t task, int) {
                    sum += task;
                    others += std::this_thread::get_id() != self;
                    pause_for(100);
                });
                _exit(sum == 4950 && others > 0 ? 0 : 1);
            }
            int status = -1;
            CHECK(waitpid(child, &status, 0) == child);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        over = true;
        other.join();
    }
    every_task_runs_once();
#endif
}

void every_thread_has_the_default_floating_point_environment() {
    using namespace sorgum;
    const std::uint64_t before = fp_word();
    for (const int threads : {1, 4}) {
        for (const index_t tasks : {1, 100}) {
            set_fp_word(kHostileFpWord);
            std::atomic<int> wrong{0};
            parallel_for(tasks, threads, [&](index_t, int) {
                wrong += (fp_word() & ~kFpFlags) != kDefaultFpWord;
                volatile double third = 3.0;
                third = 1.0 / third;  // inexact: raises a flag that the caller must not see
                pause_for(50);
            });
            const std::uint64_t after = fp_word();
            set_fp_word(before);
            CHECK(wrong == 0);
            CHECK(after == kHostileFpWord);
        }
    }
    set_fp_word(kHostileFpWord);
    try {
        parallel_for(100, 1, [](index_t, int) { throw std::domain_error(""); });
    } catch (const std::domain_error&) {
    }
    const std::uint64_t after = fp_word();
    set_fp_word(before);
    CHECK(after == kHostileFpWord);
}

void the_number_of_threads_is_checked() {
    for (const index_t n : {index_t(1), index_t(3), index_t(sorgum::kMaxThreads)}) {
        sorgum::set_num_threads(n);
        CHECK(sorgum::num_threads() == n);
        CHECK(std::string(sorgum::num_threads_source()) == "set_num_threads");
    }
    CHECK_THROWS(sorgum::ValueError, "set_num_threads: n must be from 1 to 4096, got 0", sorgum::set_num_threads(0));
    CHECK_THROWS(sorgum::ValueError, "set_num_threads: n must be from 1 to 4096, got 4097",
                 sorgum::set_num_threads(4097));
    CHECK_THROWS(sorgum::ValueError, "set_num_threads: n must be from 1 to 4096, got -9223372036854775808",
                 sorgum::set_num_threads(INT64_MIN));
    CHECK(sorgum::num_threads() == sorgum::kMaxThreads);
    sorgum::set_num_threads(2);
}

}  // namespace

int main() {
    every_task_runs_once();
    no_two_running_tasks_share_a_slot();
    short_jobs_in_a_row();
    threads_are_at_hand_while_calls_follow_each_other();
    an_exception_reaches_the_caller();
    nested_calls_run_inline();
    many_callers_at_once();
    an_interrupt_stops_the_work();
    an_interrupt_outranks_another_error();
    if (std::getenv("SORGUM_TEST_NO_FORK") != nullptr) {  // tools/aarch64 says why
        std::printf("not run: a forked child has a pool of its own\n");
    } else {
        a_forked_child_has_a_pool_of_its_own();
    }
    every_thread_has_the_default_floating_point_environment();
    the_number_of_threads_is_checked();
    return check::finish();
}
