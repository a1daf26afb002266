#include "api/random/categorical.h"

#include "api/call/extent.h"
#include "api/random/random.h"
#include "core/error.h"

namespace sorgum::random {

namespace {

ArrayView word(const std::uint64_t& value) {
    ArrayView view;
    view.data = const_cast<std::uint64_t*>(&value);
    view.dtype = DType::i64;
    view.writable = false;
    view.ndim = 0;
    return view;
}

}  // namespace

ArrayView result_of(const CategoricalArguments& a) {
    ArrayView result = a.logits;
    result.data = nullptr;
    result.dtype = DType::i64;
    result.ndim = a.logits.ndim > 0 ? a.logits.ndim - 1 : 0;
    set_contiguous(result);
    return result;
}

bool categorical(const CategoricalArguments& a, index_t* drawn) {
    const index_t rows = size_of(result_of(a));
    if (a.logits.ndim == 0 || size_of(a.logits) == 0 || rows > kMostDraws)
        return false;
    constexpr index_t kFields = 4, kIndex = 2;  // of a result of draw()
    double results[kMostDraws * kFields];
    Source source;
    source.key = a.key;
    source.position = word(a.position);
    if (!a.own_streams)
        source.streams = word(a.stream);
    ArrayView out = a.logits;
    out.data = results;
    out.dtype = DType::f64;
    out.writable = true;
    out.shape[a.logits.ndim - 1] = kFields;
    set_contiguous(out);
    try {
        draw({"categorical", a.logits, a.temperature, std::nullopt, out, false, false, std::nullopt}, source);
    } catch (const TypeError&) {
        return false;
    } catch (const ValueError&) {
        return false;
    }
    for (index_t r = 0; r < rows; ++r) {
        __builtin_memcpy(drawn + r, results + r * kFields + kIndex, sizeof(index_t));
        if (drawn[r] < 0)
            return false;
    }
    return true;
}

}  // namespace sorgum::random
