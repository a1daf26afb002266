// The least that a test program needs: CHECK counts, main() returns finish().
#pragma once

#include <atomic>
#include <cstdio>
#include <string>

namespace check {

inline std::atomic<long> done{0}, failed{0};  // threads check, too

inline bool that(bool ok, const char* text, const char* file, int line) {
    ++done;
    if (!ok) {
        if (++failed <= 20) {
            std::printf("%s:%d: failed: %s\n", file, line, text);
        }
    }
    return ok;
}

// The exit status; a program that checked nothing has failed.
inline int finish() {
    std::printf("%ld checks, %ld failed\n", done.load(), failed.load());
    std::fflush(stdout);
    return failed != 0 || done == 0;
}

}  // namespace check

#define CHECK(...) ::check::that((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

// The expression throws `type` with exactly this message.
#define CHECK_THROWS(type, message, ...)                                          \
    do {                                                                          \
        bool thrown = false;                                                      \
        try {                                                                     \
            (void)(__VA_ARGS__);                                                  \
        } catch (const type& error) {                                             \
            thrown = std::string(error.what()) == (message);                      \
            if (!thrown) {                                                        \
                std::printf("message: %s\n", error.what());                       \
            }                                                                     \
        }                                                                         \
        ::check::that(thrown, #__VA_ARGS__ " throws " #type, __FILE__, __LINE__); \
    } while (false)
