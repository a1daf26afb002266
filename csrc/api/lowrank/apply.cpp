#include "api/call/stored.h"
#include "api/lowrank/rows.h"
#include "core/fp_env.h"

namespace sorgum::lowrank {

namespace {

constexpr const char* kName = "apply";

template <class T>
void apply_as(const ApplyArguments& given, const linalg::Matrix& x, const Factors& factors) {
    RowsCall<T> call;
    call.x = x;
    call.out = given.out;
    call.base = given.base;
    call.activation = given.activation;
    if (given.mid)
        call.mid = vector_of<T>(kName, "mid", *given.mid, factors.rank());
    if (given.gate)
        call.gate = vector_of<T>(kName, "gate", *given.gate, x.rows);
    constexpr DType own = sizeof(T) == sizeof(double) ? DType::f64 : DType::f32;
    const auto in_place = [](const linalg::Matrix& m) { return m.dtype == own && m.has_rows(); };
    if (x.rows == 1 && given.x.dtype == own && in_place(factors.a) && in_place(factors.b))
        return RowsScratch<T>().apply(call, factors, given.scale);
    PackedAdapter<T> adapter;
    adapter.pack(factors, given.scale);
    const int threads = threads_for(saturated_product(x.rows, saturated_product(factors.rank(), factors.b.rows)));
    std::vector<RowsScratch<T>> scratch(static_cast<std::size_t>(threads));
    parallel_for_ranges(x.rows, kRowsOfTask, threads, [&](index_t begin, index_t end, int slot) {
        scratch[static_cast<std::size_t>(slot)].apply(call, adapter, begin, end - begin, nullptr);
    });
}

}  // namespace

void apply(const ApplyArguments& given) {
    check_float(kName, "x", given.x);
    const bool wide = given.wide || given.x.dtype == DType::f64;
    const Factors factors = factors_of(kName, given.a, given.b, wide ? DType::f64 : DType::f32);
    check_scale(kName, given.scale, wide ? DType::f64 : DType::f32);
    const linalg::Matrix x =
        checked_rows(kName, given.x, given.base, given.out, given.a, factors.a.columns, factors.b.rows);
    if (x.rows == 0 || factors.b.rows == 0)
        return;  // any number of rows without a result
    const FpGuard guard;
    if (wide)
        apply_as<double>(given, x, factors);
    else
        apply_as<float>(given, x, factors);
}

}  // namespace sorgum::lowrank
