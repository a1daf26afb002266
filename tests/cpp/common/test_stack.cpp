// Work that is done in another thread where the stack of the calling one is short.
#include "core/stack.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "check.h"
#include "core/error.h"

using namespace sorgum;

namespace {

// Runs f in a thread with so much stack.
template <class F>
void in_thread(std::size_t bytes, F&& f) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, bytes) == 0);
    pthread_t thread;
    CHECK(pthread_create(
              &thread, &attributes,
              [](void* given) -> void* {
                  (*static_cast<std::remove_reference_t<F>*>(given))();
                  return nullptr;
              },
              &f) == 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
}

void where_work_is_done() {
    // On aarch64 no thread may have less than 128 KiB, which is short, too.
    const std::size_t little = std::max<std::size_t>(64 << 10, static_cast<std::size_t>(sysconf(_SC_THREAD_STACK_MIN)));
    for (const bool is_short : {false, true})
        in_thread(is_short ? little : 1 << 20, [&] {
            for (int i = 0; i < 3; ++i) {
                const pthread_t caller = pthread_self();
                bool here = false, room = false;
                with_room([&] {
                    here = pthread_equal(caller, pthread_self()) != 0;
                    room = !stack_is_short();
                });
                CHECK(stack_is_short() == is_short);
                CHECK(here == !is_short);
                CHECK(room);
                CHECK_THROWS(ValueError, "thrown", with_room([] { throw ValueError("thrown"); }));
            }
        });
    bool here = false;
    const pthread_t caller = pthread_self();
    with_room([&] { here = pthread_equal(caller, pthread_self()) != 0; });
    CHECK(here);
}

}  // namespace

int main() {
    where_work_is_done();
    return check::finish();
}
