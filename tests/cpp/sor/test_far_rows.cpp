// Rows, entries and columns beyond what 31 bits count: blocks of a matrix there give the bits of the same blocks at its
// start. Of the arrays, which would take up to 70 GB, only the pages that are used exist.
#include <sys/mman.h>

#include <cstring>

#include "check.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

using namespace sorgum;
using namespace sorgum::sor;

namespace {

constexpr index_t kFar = (index_t(1) << 27) + 5;  // a block: its first row is 2^31 + 80, its first value 2^33 + 320
constexpr index_t kNear = 5, kBlocks = 3, kSlots = 4, kAround = 40;

// Zeros, in pages that do not exist before they are written.
template <class T>
class Pages {
public:
    explicit Pages(index_t count) : bytes_(static_cast<std::size_t>(count) * sizeof(T)) {
        at_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    ~Pages() {
        if (exist())
            munmap(at_, bytes_);
    }
    bool exist() const { return at_ != MAP_FAILED; }
    T* data() { return static_cast<T*>(at_); }

private:
    std::size_t bytes_;
    void* at_;
};

// Three blocks, the first of which has the number `first`: rows are coupled with those 1 and 40 before and behind.
template <class T>
struct Stretch {
    index_t first, rows = (first + kBlocks + 4) * kBlock;
    Pages<T> values{(first + kBlocks) * kSlots * kBlock}, diagonal{rows}, inverse{rows}, b{rows}, x{rows};
    Pages<std::int32_t> columns{(first + kBlocks) * 2 * kBlock};
    Pages<Block> blocks{first + kBlocks + 5};
    Slot slots[kSlots];
    Pattern pattern;

    Stretch(index_t at, bool gathered) : first(at) {
        if (!exist())
            return;
        const index_t offsets[kSlots] = {-kAround, -1, 1, kAround};
        const std::uint16_t inner[kSlots] = {0, 0xfffe, 0x7fff, 0};
        for (index_t k = 0; k < kSlots; ++k)
            slots[k] = {gathered && inner[k] == 0 ? kGathered : offsets[k], 0xffff, inner[k]};
        pattern = {0, 2, 2, 1, 1, kBlock, false, !gathered};
        for (index_t k = 0; k <= kBlocks; ++k)
            blocks.data()[first + k] = {0, (first + k) * kSlots, (first + k) * 2};
        for (index_t k = 0; k < kBlocks * kSlots * kBlock; ++k)
            values.data()[first * kSlots * kBlock + k] = T(-1) / T(3 + k % 7);
        for (index_t k = 0; k < kBlocks * 2 * kBlock; ++k)
            columns.data()[first * 2 * kBlock + k] =
                static_cast<std::int32_t>(k % kBlock + (k / kBlock % 2 ? 40 : -40));
        for (index_t k = -kAround; k < kBlocks * kBlock + kAround; ++k) {
            const index_t row = first * kBlock + k;
            diagonal.data()[row] = T(2) + T(k) / 64;
            inverse.data()[row] = T(1) / diagonal.data()[row];
            b.data()[row] = T(k % 11);
            x.data()[row] = T(k % 5) / 3;
        }
    }
    bool exist() const {
        return values.exist() && diagonal.exist() && inverse.exist() && b.exist() && x.exist() && columns.exist() &&
               blocks.exist();
    }
    Blocks<T> matrix() {
        return {slots,          &pattern,        blocks.data(), first + kBlocks, values.data(),
                columns.data(), diagonal.data(), T(0),          inverse.data()};
    }
    // Sweeps the rows but the first and the last, there and back, and leaves the residuals.
    void work(double* residuals) {
        const index_t begin = first * kBlock + 1, end = (first + kBlocks) * kBlock - 1;
        for (const bool backward : {false, true}) {
            Step<T> step = {T(1.25), backward, false, nullptr, nullptr};
            sor_blocks_sweep(kernels(), T())(matrix(), step, b.data(), x.data(), begin, end);
        }
        sor_blocks_residual(kernels(), T())(matrix(), b.data(), x.data(), first, first + kBlocks, residuals);
    }
};

template <class T>
bool far_as_near(bool gathered) {
    Stretch<T> near(kNear, gathered), far(kFar, gathered);
    if (!near.exist() || !far.exist())
        return false;
    double expected[kBlocks * kBlock], found[kBlocks * kBlock];
    T before[kBlocks * kBlock];
    T* const there = near.x.data() + kNear * kBlock;
    std::memcpy(before, there, sizeof before);
    near.work(expected);
    far.work(found);
    CHECK(std::memcmp(before, there, sizeof before) != 0);
    CHECK(std::memcmp(far.x.data() + kFar * kBlock, there, sizeof before) == 0);
    CHECK(std::memcmp(expected, found, sizeof found) == 0);
    for (const double r : found)
        CHECK(r == r && r != 0);
    return true;
}

}  // namespace

int main() {
    for (const Isa isa : available_isas()) {
        set_isa(isa);
        for (const bool gathered : {false, true})
            if (!far_as_near<float>(gathered) || !far_as_near<double>(gathered)) {
                std::printf("skipped: no room for 70 GB of pages that do not exist\n");
                return 77;
            }
    }
    return check::finish();
}
