#include "core/parallel.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "core/cpu_count.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "core/interrupt.h"

namespace sorgum {

namespace {

using Clock = std::chrono::steady_clock;

// Waking a sleeping thread costs about as much as this much spinning; calls in a loop come faster than that.
constexpr std::chrono::microseconds kSpinTime{20};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

// Spins until ready() or the time is up; once in a while the clock is read, and between_times() called.
template <class Ready, class BetweenTimes>
bool spin_until(Ready ready, BetweenTimes between_times) {
    const auto deadline = Clock::now() + kSpinTime;
    do {
        for (int i = 0; i < 16; ++i) {
            if (ready()) {
                return true;
            }
            relax();
        }
        between_times();
    } while (Clock::now() < deadline);
    return false;
}

// True in a thread that is running tasks: a nested call then runs inline, on the slot it is given. initial-exec: room
// for it is there when the thread is; else the first use asks for memory, and the process is aborted where there is
// none.
#if defined(__ELF__)
__attribute__((tls_model("initial-exec")))
#endif
thread_local bool inside_tasks = false;

// Of the job whose tasks the thread runs, if any.
#if defined(__ELF__)
__attribute__((tls_model("initial-exec")))
#endif
thread_local const std::atomic<bool>* stop_of_job = nullptr;

class InsideTasks {
public:
    explicit InsideTasks(const std::atomic<bool>& stop) : saved_(inside_tasks) {
        inside_tasks = true;
        stop_of_job = &stop;
    }
    ~InsideTasks() {
        inside_tasks = saved_;
        stop_of_job = nullptr;
    }
    InsideTasks(const InsideTasks&) = delete;
    InsideTasks& operator=(const InsideTasks&) = delete;

private:
    bool saved_;
};

struct Job {
    TaskFunction function;
    void* context;
    index_t tasks;
    int slots;
    alignas(64) std::atomic<index_t> next{0};
    alignas(64) std::atomic<bool> stop{false};
    std::mutex error_mutex;
    std::exception_ptr error;

    Job(TaskFunction f, void* c, index_t t, int s) : function(f), context(c), tasks(t), slots(s) {}

    void run(int slot, InterruptPoll* poll) noexcept {
        const FpGuard fp_guard;
        const InsideTasks inside(stop);
        try {
            bool first = true;
            while (!stop.load(std::memory_order_relaxed)) {
                const index_t task = next.fetch_add(1, std::memory_order_relaxed);
                if (task >= tasks) {
                    return;
                }
                if (poll != nullptr && !first) {
                    (*poll)();
                }
                first = false;
                function(context, task, slot);
            }
        } catch (const Interrupted&) {
            // The Python error is already set: it must be the one that is reported.
            record(std::current_exception(), true);
        } catch (...) {
            record(std::current_exception(), false);
        }
    }

    void record(std::exception_ptr caught, bool replace) {
        stop.store(true, std::memory_order_relaxed);
        const std::lock_guard<std::mutex> lock(error_mutex);
        if (!error || replace) {
            error = std::move(caught);
        }
    }
};

void run_inline(index_t tasks, TaskFunction function, void* context) {
    const FpGuard fp_guard;
    if (tasks == 1) {
        function(context, 0, 0);
        return;
    }
    InterruptPoll poll;
    for (index_t task = 0; task < tasks; ++task) {
        if (task != 0) {
            poll();
        }
        function(context, task, 0);
    }
}

// Lives for ever: its threads sleep in it when the process exits, and a forked child abandons it as it stands.
class Pool {
public:
    // False when another caller's work occupies the pool.
    bool try_run(Job& job) {
        const std::unique_lock<std::mutex> owner(busy_, std::try_to_lock);
        if (!owner.owns_lock()) {
            return false;
        }
        start_threads(job.slots - 1);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            job_ = &job;
            slots_ = job.slots;
            published_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        InterruptPoll poll;
        job.run(0, &poll);
        {
            // From here on no thread joins; those that never woke up are not waited for.
            const std::lock_guard<std::mutex> lock(mutex_);
            job_ = nullptr;
        }
        const auto finished = [this] { return active_.load(std::memory_order_acquire) == 0; };
        if (!may_spin_ || !spin_until(finished, [] {})) {
            std::unique_lock<std::mutex> lock(mutex_);
            done_.wait(lock, finished);
        }
        return true;
    }

    bool awake() const { return spinning_.load(std::memory_order_relaxed) > 0; }

private:
    void start_threads(int wanted) {
        if (threads_ >= wanted) {
            return;
        }
        // Signals belong to the threads of the application.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            for (; threads_ < wanted; ++threads_) {
                std::thread(&Pool::work, this, threads_ + 1).detach();
            }
        } catch (const std::exception&) {
            // The limit of the system, or of memory: the threads there are will do the work.
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void work(int slot) {
        std::uint64_t seen = 0;
        bool wanted = false;
        while (true) {
            const auto published = [&] { return published_.load(std::memory_order_acquire) != seen; };
            // Also by a thread that came too late for its job: the next one may follow at once. A thread that was woken
            // may find itself on its caller's processor, to which it then gives way until it is moved to another.
            if (wanted && may_spin_) {
                spinning_.fetch_add(1, std::memory_order_relaxed);
                spin_until(published, [] { std::this_thread::yield(); });
                spinning_.fetch_sub(1, std::memory_order_relaxed);
            }
            std::unique_lock<std::mutex> lock(mutex_);
            wake_.wait(lock, published);
            seen = published_.load(std::memory_order_relaxed);
            Job* const job = job_;
            wanted = slot < slots_;
            if (!wanted || job == nullptr) {
                continue;
            }
            active_.fetch_add(1, std::memory_order_relaxed);
            lock.unlock();
            job->run(slot, nullptr);
            lock.lock();
            if (active_.fetch_sub(1, std::memory_order_release) == 1) {
                done_.notify_one();
            }
        }
    }

    const bool may_spin_ = usable_cpus() > 1;  // a single processor has better to do
    std::mutex busy_;                          // held by the caller whose job runs
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;
    int slots_ = 0;    // of the last job
    int threads_ = 0;  // guarded by busy_
    std::atomic<std::uint64_t> published_{0};
    std::atomic<int> active_{0}, spinning_{0};
};

std::atomic<Pool*> the_pool{nullptr};

// When the last work ended after threads_at_hand() was asked.
std::atomic<Clock::rep> last_end{0};
std::atomic<bool> asked{false};
std::atomic<bool> fork_handler_installed{false};

// In a forked child the pool's threads are gone and its locks may be held for ever.
void abandon_pool() { the_pool.store(nullptr, std::memory_order_relaxed); }

Pool& pool() {
    Pool* current = the_pool.load(std::memory_order_acquire);
    if (current != nullptr) {
        return *current;
    }
    if (!fork_handler_installed.exchange(true)) {
        pthread_atfork(nullptr, nullptr, abandon_pool);
    }
    Pool* const fresh = new Pool;
    if (the_pool.compare_exchange_strong(current, fresh, std::memory_order_acq_rel)) {
        return *fresh;
    }
    delete fresh;
    return *current;
}

// The number of threads and its source in one word, so that a reader never sees one without the other.
enum Source : unsigned { from_call, from_threadpoolctl, from_own_variable, from_omp_variable, from_cpus };
constexpr const char* kSourceNames[] = {"set_num_threads", "threadpoolctl", "SORGUM_NUM_THREADS", "OMP_NUM_THREADS",
                                        "CPUs"};
constexpr unsigned kSourceShift = 16;
std::atomic<unsigned> setting{0};  // 0: not read yet

unsigned pack(index_t n, Source source) {
    return static_cast<unsigned>(source) << kSourceShift | static_cast<unsigned>(n);
}

// The first number of a comma-separated list (OMP_NUM_THREADS has one number per nesting level); 0 if malformed.
index_t parse_count(const std::string& text, bool list_allowed) {
    const std::string first = list_allowed ? text.substr(0, text.find(',')) : text;
    const std::size_t begin = first.find_first_not_of(" \t"), end = first.find_last_not_of(" \t");
    if (begin == std::string::npos || end - begin >= 9) {
        return 0;
    }
    index_t n = 0;
    for (std::size_t i = begin; i <= end; ++i) {
        if (first[i] < '0' || first[i] > '9') {
            return 0;
        }
        n = 10 * n + (first[i] - '0');
    }
    return n <= kMaxThreads ? n : 0;
}

unsigned initial_setting() {
    struct Variable {
        const char* name;
        Source source;
        bool list_allowed;
    };
    for (const Variable variable : {Variable{"SORGUM_NUM_THREADS", from_own_variable, false},
                                    Variable{"OMP_NUM_THREADS", from_omp_variable, true}}) {
        const char* const text = std::getenv(variable.name);
        if (text == nullptr || *text == '\0') {
            continue;
        }
        const index_t n = parse_count(text, variable.list_allowed);
        if (n == 0 && variable.source == from_omp_variable) {
            continue;  // it was set for other libraries, which take 0 and words, or warn and go on
        }
        if (n == 0) {
            throw MachineError(std::string(variable.name) + ": must be an integer from 1 to " +
                               std::to_string(kMaxThreads) + ", got '" + text + "'");
        }
        return pack(n, variable.source);
    }
    return pack(std::min(usable_cpus(), kMaxThreads), from_cpus);
}

unsigned current_setting() {
    unsigned current = setting.load(std::memory_order_relaxed);
    if (current == 0) {
        const unsigned initial = initial_setting();
        if (setting.compare_exchange_strong(current, initial, std::memory_order_relaxed)) {
            current = initial;
        }
    }
    return current;
}

}  // namespace

int num_threads() { return static_cast<int>(current_setting() & ((1u << kSourceShift) - 1)); }

void set_num_threads(index_t n) {
    if (n < 1 || n > kMaxThreads) {
        throw ValueError("set_num_threads: n must be from 1 to " + std::to_string(kMaxThreads) + ", got " +
                         std::to_string(n));
    }
    setting.store(pack(n, from_call), std::memory_order_relaxed);
}

bool threads_at_hand() {
    const Pool* const current = the_pool.load(std::memory_order_acquire);
    if (current != nullptr && current->awake()) {
        return true;
    }
    asked.store(true, std::memory_order_relaxed);
    return Clock::now().time_since_epoch().count() - last_end.load(std::memory_order_relaxed) <
           Clock::duration(kSpinTime).count();
}

bool tasks_stopped() { return stop_of_job != nullptr && stop_of_job->load(std::memory_order_relaxed); }

const char* num_threads_source() { return kSourceNames[current_setting() >> kSourceShift]; }

void run_tasks(index_t tasks, int max_threads, TaskFunction function, void* context) {
    if (tasks <= 0) {
        return;
    }
    const int slots = static_cast<int>(std::min<index_t>(max_threads, tasks));
    Job job(function, context, tasks, slots);
    if (slots <= 1 || inside_tasks || !pool().try_run(job)) {
        run_inline(tasks, function, context);
    } else if (job.error) {
        std::rethrow_exception(job.error);
    }
    if (asked.load(std::memory_order_relaxed)) {
        asked.store(false, std::memory_order_relaxed);
        last_end.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    }
}

}  // namespace sorgum

// What threadpoolctl finds in the shared library. A C caller has no way to be told of an error: the nearest allowed
// number is taken.
extern "C" {

__attribute__((visibility("default"))) int sorgum_get_num_threads() { return sorgum::num_threads(); }

__attribute__((visibility("default"))) void sorgum_set_num_threads(int n) {
    sorgum::setting.store(sorgum::pack(std::clamp(n, 1, sorgum::kMaxThreads), sorgum::from_threadpoolctl),
                          std::memory_order_relaxed);
}

}  // extern "C"
