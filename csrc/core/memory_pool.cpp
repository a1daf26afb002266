#include "core/memory_pool.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

namespace sorgum {

namespace {

constexpr std::size_t kMostBlocks = 64;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t(1) << 21;
constexpr std::size_t kHugeFrom = std::size_t(1) << 22;  // as NumPy asks for them

// Fresh memory. Much of it is asked for in huge pages: they are cleared many times faster, and a pass over the memory
// does not wait for the table of its pages.
void* allocate(std::size_t capacity) {
    void* memory = nullptr;
    if (posix_memalign(&memory, capacity < kHugeFrom ? kPage : kHugePage, capacity) != 0)
        return nullptr;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (capacity >= kHugeFrom)
        madvise(memory, capacity, MADV_HUGEPAGE);  // a hint: where the system has none it fails, and nothing is lost
#endif
    return memory;
}

struct Block {
    void* memory;
    std::size_t capacity;
};

// Never destroyed: arrays may outlive every static object. A forked child whose parent held the lock in another thread
// finds it locked for good; so nobody waits for it, and memory then comes from the allocator and goes back to it.
struct Pool {
    std::mutex lock;
    Block blocks[kMostBlocks];  // the one given back last stands last
    std::size_t count = 0;
    std::atomic<std::size_t> held{0}, limit{std::size_t(256) << 20};

    Block remove(std::size_t at) {
        const Block block = blocks[at];
        for (std::size_t i = at + 1; i < count; ++i)
            blocks[i - 1] = blocks[i];
        --count;
        held -= block.capacity;
        return block;
    }
    void shrink_to(std::size_t bytes, std::size_t most) {
        while (held > bytes || count > most)
            std::free(remove(0).memory);
    }
};

Pool& pool() {
    static Pool* const only = new Pool;
    return *only;
}

}  // namespace

void* take_memory(std::size_t bytes, std::size_t& capacity) {
    if (bytes > PTRDIFF_MAX - kPage)
        throw std::bad_alloc();
    capacity = (bytes + kPage - 1) / kPage * kPage;
    const std::unique_lock<std::mutex> locked(pool().lock, std::try_to_lock);
    if (locked) {
        Pool& p = pool();
        for (std::size_t i = p.count; i-- > 0;) {
            // A block much larger than what is asked for waits for a result of its own size.
            if (p.blocks[i].capacity >= capacity && p.blocks[i].capacity <= capacity + capacity / 4) {
                const Block block = p.remove(i);
                capacity = block.capacity;
                return block.memory;
            }
        }
    }
    void* const memory = allocate(capacity > 0 ? capacity : kPage);
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

void give_memory(void* block, std::size_t capacity) noexcept {
    const std::unique_lock<std::mutex> locked(pool().lock, std::try_to_lock);
    Pool& p = pool();
    if (!locked || capacity > p.limit) {
        std::free(block);
        return;
    }
    p.shrink_to(p.limit - capacity, kMostBlocks - 1);
    p.blocks[p.count++] = {block, capacity};
    p.held += capacity;
}

void set_memory_pool(std::size_t bytes) {
    pool().limit = bytes;
    const std::unique_lock<std::mutex> locked(pool().lock, std::try_to_lock);
    if (locked)
        pool().shrink_to(bytes, kMostBlocks);
}

std::size_t memory_pool() { return pool().limit; }

std::size_t memory_pooled() { return pool().held; }

}  // namespace sorgum
