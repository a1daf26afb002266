#include "api/lowrank/adapter_set.h"

#include <algorithm>
#include <cstring>

#include "api/call/stored.h"
#include "core/fp_env.h"

namespace sorgum::lowrank {

namespace {

constexpr const char *kMake = "AdapterSet", *kApply = "apply_adapters";

// The numbers of some rows of one adapter; -1: of none.
struct Segment {
    index_t adapter, first, count;
};

// Rows in the order of their adapters, and among those of one in their own.
struct Plan {
    std::vector<index_t> numbers;
    std::vector<Segment> segments;
};

Plan plan_of(const ArrayView& ids, index_t adapters) {
    const index_t rows = ids.shape[0];
    const auto* const id = static_cast<const std::int64_t*>(ids.data);
    std::vector<index_t> begin(static_cast<std::size_t>(adapters + 2), 0);  // of the rows of adapter i - 1
    for (index_t i = 0; i < rows; ++i) {
        if (id[i] < -1 || id[i] >= adapters)
            throw ValueError(std::string(kApply) + ": ids must be those of adapters, in [0, " +
                             std::to_string(adapters) + "), or -1, got " + std::to_string(id[i]));
        ++begin[static_cast<std::size_t>(id[i] + 1)];
    }
    Plan plan;
    index_t at = 0;
    for (index_t a = -1; a < adapters; ++a) {
        index_t& first = begin[static_cast<std::size_t>(a + 1)];
        const index_t end = at + first;
        for_each_range(at, end, kRowsOfTask,
                       [&](index_t from, index_t to) { plan.segments.push_back({a, from, to - from}); });
        first = at;
        at = end;
    }
    plan.numbers.resize(static_cast<std::size_t>(rows));
    for (index_t i = 0; i < rows; ++i)
        plan.numbers[static_cast<std::size_t>(begin[static_cast<std::size_t>(id[i] + 1)]++)] = i;
    return plan;
}

// What rows without an adapter have: the bits of base, or zeros.
void copy_rows(const std::optional<ArrayView>& base, const ArrayView& out, const index_t* numbers, index_t count) {
    const std::size_t bytes = static_cast<std::size_t>(out.shape[1] * element_size(out.dtype));
    for (index_t i = 0; i < count; ++i) {
        char* const to = static_cast<char*>(out.data) + numbers[i] * out.strides[0];
        if (base)
            std::memmove(to, static_cast<const char*>(base->data) + numbers[i] * base->strides[0], bytes);
        else
            std::memset(to, 0, bytes);
    }
}

}  // namespace

AdapterSet::AdapterSet(const std::vector<AdapterArguments>& given, bool wide) : is_wide_(wide) {
    if (given.empty())
        throw ValueError(std::string(kMake) + ": adapters must be at least one, got none");
    const FpGuard guard;
    for (const AdapterArguments& one : given) {
        const Factors factors = factors_of(kMake, one.a, one.b, wide ? DType::f64 : DType::f32);
        check_scale(kMake, one.scale, wide ? DType::f64 : DType::f32);
        const index_t shape[] = {factors.b.rows, factors.a.columns};
        if (count() == 0) {
            outputs_ = shape[0];
            inputs_ = shape[1];
        } else if (shape[0] != outputs_ || shape[1] != inputs_) {
            const index_t first[] = {outputs_, inputs_};
            throw ValueError(std::string(kMake) + ": adapters must be of one layer, of shape " + shape_text(first, 2) +
                             ", got one of shape " + shape_text(shape, 2));
        }
        if (wide) {
            wide_.emplace_back();
            wide_.back().pack(factors, one.scale);
        } else {
            narrow_.emplace_back();
            narrow_.back().pack(factors, one.scale);
        }
    }
}

template <>
const std::vector<PackedAdapter<float>>& AdapterSet::packed() const {
    return narrow_;
}
template <>
const std::vector<PackedAdapter<double>>& AdapterSet::packed() const {
    return wide_;
}

template <class T>
void AdapterSet::apply_as(const SetApplyArguments& given, const linalg::Matrix& x) const {
    RowsCall<T> call;
    call.x = x;
    call.out = given.out;
    call.base = given.base;
    const Plan plan = plan_of(given.ids, count());
    const std::vector<PackedAdapter<T>>& adapters = packed<T>();
    index_t rank = 0;
    for (const PackedAdapter<T>& one : adapters)
        rank = std::max(rank, one.rank());
    const int threads = threads_for(saturated_product(x.rows, saturated_product(rank, outputs_)));
    std::vector<RowsScratch<T>> scratch(static_cast<std::size_t>(threads));
    parallel_for(static_cast<index_t>(plan.segments.size()), threads, [&](index_t task, int slot) {
        const Segment& segment = plan.segments[static_cast<std::size_t>(task)];
        const index_t* const numbers = plan.numbers.data() + segment.first;
        if (segment.adapter < 0)
            return copy_rows(given.base, given.out, numbers, segment.count);
        const bool together = numbers[segment.count - 1] - numbers[0] == segment.count - 1;
        scratch[static_cast<std::size_t>(slot)].apply(call, adapters[static_cast<std::size_t>(segment.adapter)],
                                                      together ? numbers[0] : 0, segment.count,
                                                      together ? nullptr : numbers);
    });
}

void AdapterSet::apply(const SetApplyArguments& given) const {
    check_float(kApply, "x", given.x);
    if (!is_wide_ && given.x.dtype == DType::f64)
        throw TypeError(std::string(kApply) +
                        ": x must have a dtype that float32 holds, as adapters have, got float64");
    const linalg::Matrix x = checked_rows(kApply, given.x, given.base, given.out, given.x, inputs_, outputs_);
    check_dtype(kApply, "ids", given.ids, DType::i64);
    if (given.ids.ndim != 1 || given.ids.shape[0] != x.rows || (x.rows > 1 && given.ids.strides[0] != 8))
        throw ValueError(std::string(kApply) + ": ids must have shape " + shape_text(&x.rows, 1) +
                         " and be contiguous, got " + shape_text(given.ids.shape, given.ids.ndim));
    const FpGuard guard;
    if (is_wide_)
        apply_as<double>(given, x);
    else
        apply_as<float>(given, x);
}

}  // namespace sorgum::lowrank
