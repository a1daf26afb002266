#include "api/sor/sharing.h"

#include "api/sor/scratch.h"
#include "api/sor/system.h"

namespace sorgum::sor {

namespace {

std::atomic<index_t> shared_from{0};
std::atomic<int> last_threads{1};

}  // namespace

int threads_of(const Structure& structure, index_t least, index_t sweeps) {
    const index_t elements = saturated_product(elements_of(structure), sweeps),
                  forced = shared_from.load(std::memory_order_relaxed);
    if (forced > 0)
        return elements < forced ? 1 : num_threads();
    return elements < least ? 1 : threads_for(elements);
}

bool sharing_is_forced() { return shared_from.load(std::memory_order_relaxed) > 0; }

void share_from(index_t elements) { shared_from = elements; }
void tell_threads(int threads) { last_threads = threads; }
int threads_of_last_sweep() { return last_threads; }

}  // namespace sorgum::sor
