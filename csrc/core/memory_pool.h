// Memory for large results and scratch, kept when they are freed: clearing and mapping fresh pages costs the operating
// system more time than it takes to compute what goes into them.
#pragma once

#include <cstddef>

namespace sorgum {

inline constexpr std::size_t kPooledFrom = std::size_t(1) << 20;  // smaller results are the allocator's own business

// At least `bytes` on a 64-byte boundary, uninitialised. give_memory() needs the `capacity` told here. Throws
// std::bad_alloc.
void* take_memory(std::size_t bytes, std::size_t& capacity);
void give_memory(void* block, std::size_t capacity) noexcept;

// How many bytes are kept at most, and how many are now. A new limit applies at once.
void set_memory_pool(std::size_t bytes);
std::size_t memory_pool();
std::size_t memory_pooled();

}  // namespace sorgum
