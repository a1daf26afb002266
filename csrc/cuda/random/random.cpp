#include "cuda/random/random.h"

#include "api/random/check.h"
#include "core/error.h"
#include "cuda/common/layout.h"

namespace sorgum::cuda {

namespace {

// A number for each row, in memory of the host.
template <class V>
const V* per_row_of_host(const char* function, const char* argument, const std::optional<ArrayView>& x, DType dtype,
                         index_t rows) {
    if (!x)
        return nullptr;
    check_dtype(function, argument, *x, dtype);
    if (x->ndim != 1 || x->shape[0] != rows || (rows > 1 && x->strides[0] != index_t(sizeof(V))))
        throw ValueError(std::string(function) + ": " + argument + " must be contiguous and have shape (" +
                         std::to_string(rows) + ",), got " + shape_text(x->shape, x->ndim));
    return static_cast<const V*>(x->data);
}

RowPlaces places_of(const char* function, const Source& source, index_t rows) {
    RowPlaces p = {};
    p.key = source.key;
    p.streams = per_row_of_host<std::uint64_t>(function, "streams", source.streams, DType::i64, rows);
    p.positions = per_row_of_host<std::uint64_t>(function, "position", source.positions, DType::i64, rows);
    p.position = source.position;
    p.offset = source.index_offset;
    return p;
}

template <class T>
void fill(Purpose law, bool wide, const Source& source, const char* function, const RowLayout& layout,
          const Place& place) {
    NoiseRows<T> r;
    r.y = reinterpret_cast<T*>(layout.row(0, 0));
    r.rows = layout.rows;
    r.n = layout.length;
    r.y_row = layout.run_stride(0) / index_t(sizeof(T));
    r.places = places_of(function, source, layout.rows);
    r.given = source.given ? static_cast<const std::uint32_t*>(source.given->data) : nullptr;
    const DeviceGuard device(function, place.device);
    launch_noise(law, wide, r, place.stream);
}

template <class X>
std::uint64_t draw(const DrawArguments& a, const Source& source, const RowLayout& layout, const Place& place) {
    DrawRows<X> r = {};
    r.x = reinterpret_cast<const X*>(layout.row(0, 0));
    r.rows = layout.rows;
    r.n = layout.length;
    r.x_row = layout.run_stride(0) / index_t(sizeof(X));
    if (a.where) {
        r.mask = reinterpret_cast<const unsigned char*>(layout.row(1, 0));
        r.mask_row = layout.run_stride(1);
        r.mask_step = layout.inner.n == 0 ? 0 : layout.inner.stride[1][0];
    }
    r.samples = a.samples;
    r.places = places_of("categorical", source, layout.rows);
    r.places.temperatures =
        per_row_of_host<double>("categorical", "temperature", a.temperatures, DType::f64, layout.rows);
    r.places.temperature = a.temperature;
    for (index_t row = 0; row < (a.temperatures ? layout.rows : 1); ++row)
        random::check_draw_temperature("categorical", a.temperatures ? r.places.temperatures[row] : a.temperature);
    r.drawn = static_cast<index_t*>(a.out.data);
    const DeviceGuard device("categorical", place.device);
    return launch_draws("categorical", r, a.wait, place.stream);
}

}  // namespace

void noise(const std::string& name, bool wide, const Source& source, const std::vector<index_t>& shape,
           const ArrayView& out, const Place& place) {
    const random::Law& law = random::law_of(name);
    const char* const function = law.name;
    const bool half = out.dtype == DType::bf16 && law.purpose == Purpose::gumbel;
    check_out(function, "out", out, half || out.dtype == DType::f64 ? out.dtype : DType::f32, shape.data(),
              static_cast<int>(shape.size()));
    static const char* const names[] = {"out"};
    const RowLayout layout = device_rows(function, out, last_axis(out), {out}, names, 1);
    random::check_index_offset(function, source.index_offset, layout.length);
    if (source.given) {  // whole blocks of them are read
        const index_t words = (wide ? 2 : 1) * (source.index_offset + layout.length);
        if (source.given->ndim != 1 || source.given->shape[0] < (words + 3) / 4 * 4)
            throw ValueError(name + ": given must hold the words of a row, got too few");
    }
    if (layout.rows == 0 || layout.length == 0)
        return;
    if (law.purpose == Purpose::bits && out.dtype == DType::f32)
        fill<std::int32_t>(law.purpose, false, source, function, layout, place);
    else if (law.purpose == Purpose::bits)
        fill<std::int64_t>(law.purpose, true, source, function, layout, place);
    else if (half)
        fill<bfloat16>(law.purpose, wide, source, function, layout, place);
    else if (out.dtype == DType::f32)
        fill<float>(law.purpose, wide, source, function, layout, place);
    else
        fill<double>(law.purpose, wide, source, function, layout, place);
}

std::uint64_t categorical(const DrawArguments& a, const Source& source, const Place& place) {
    constexpr const char* function = "categorical";
    std::vector<index_t> shape(a.logits.shape, a.logits.shape + (a.logits.ndim > 0 ? a.logits.ndim - 1 : 0));
    if (a.several)
        shape.push_back(a.samples);
    check_out(function, "out", a.out, DType::i64, shape.data(), static_cast<int>(shape.size()));
    const AxisMask all = all_axes(a.out);
    static const char* const out_name[] = {"out"};
    device_rows(function, a.out, all, {a.out}, out_name, 1);
    check_apart(function, "logits", a.logits, a.out, false);
    std::vector<ArrayView> operands = {a.logits};
    if (a.where) {
        operands.push_back(broadcast_like(function, "where", *a.where, a.logits));
        check_apart(function, "where", *a.where, a.out, false);
    }
    static const char* const names[] = {"logits", "where"};
    const RowLayout layout = device_rows(function, a.logits, last_axis(a.logits), operands, names, 1);
    random::check_index_offset(function, source.index_offset, layout.length);
    if (layout.rows == 0 || a.samples == 0)
        return kAllValid;
    switch (a.logits.dtype) {
        case DType::f32:
            return draw<float>(a, source, layout, place);
        case DType::f16:
            return draw<float16>(a, source, layout, place);
        default:
            check_dtype(function, "logits", a.logits, DType::bf16);
            return draw<bfloat16>(a, source, layout, place);
    }
}

}  // namespace sorgum::cuda
