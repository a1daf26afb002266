#include "dispatch/counting.h"

#include <atomic>

#include "dispatch/dispatch.h"

#include "isa/tables.inc"  // every dispatch/<family>.h

namespace sorgum {

namespace {

KernelTable counted;

// A number for each line of the enumerator.
enum Index {
#define SORGUM_KERNEL(family, name, type, suffix) k_##family##_##name##_##suffix,
#include "isa/kernels.inc"
#undef SORGUM_KERNEL
    kKernels
};

std::atomic<std::int64_t> calls[kKernels];

template <class Function>
struct Counting;
template <class Result, class... Arguments>
struct Counting<Result(Arguments...)> {
    template <Index index, auto find>
    static Result call(Arguments... arguments) {
        calls[index].fetch_add(1, std::memory_order_relaxed);
        return find()(arguments...);
    }
};

#define SORGUM_KERNEL(family, name, type, suffix) \
    family::name##_fn<type>* find_##family##_##name##_##suffix() { return counted.family##_table->name##_##suffix; }
#include "isa/kernels.inc"
#undef SORGUM_KERNEL

}  // namespace

KernelTable counting_tables(const KernelTable& tables) {
    counted = tables;
    for (auto& count : calls)
        count = 0;
    KernelTable counting = {};
#define SORGUM_FAMILY(family)               \
    static family::Table family##_counting; \
    counting.family##_table = &family##_counting;
#include "isa/holders.inc"
#undef SORGUM_FAMILY
#define SORGUM_KERNEL(family, name, type, suffix) \
    family##_counting.name##_##suffix =           \
        &Counting<family::name##_fn<type>>::call<k_##family##_##name##_##suffix, find_##family##_##name##_##suffix>;
#include "isa/kernels.inc"
#undef SORGUM_KERNEL
    return counting;
}

std::vector<std::int64_t> kernel_calls() { return {std::begin(calls), std::end(calls)}; }

}  // namespace sorgum
