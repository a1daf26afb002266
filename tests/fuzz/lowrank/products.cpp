// The instruction sets against each other through csrc/api: merge, apply, apply_adapters and random bases, with
// matrices of any types, sizes and layouts. ASan sees what is read and written beyond them.
#include "api/lowrank/adapter_set.h"
#include "api/lowrank/lowrank.h"
#include "core/parallel.h"
#include "fuzz.h"

namespace {

using namespace fuzz;
using sorgum::ArrayView;
using sorgum::lowrank::Activation;

struct Choice {
    unsigned call;
    index_t rows, inputs, outputs, rank, more;  // more: what a shape has too much of, where it shall not fit
    unsigned kind;
};

constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

// Numbers of any encoding, or of moderate size.
void fill(Bytes& bytes, const Array& array, unsigned kind) {
    const DType dtype = array.view().dtype;
    if (kind == 0 || dtype == DType::boolean) {
        bytes.fill(array.data<void>(), array.size());
        if (dtype == DType::boolean)
            for (std::size_t i = 0; i < array.size(); ++i)
                array.data<unsigned char>()[i] &= 1;
        return;
    }
    if (dtype == DType::f32)
        return fill_elements<float>(bytes, array, kind);
    if (dtype == DType::f64)
        return fill_elements<double>(bytes, array, kind);
    for (std::size_t i = 0; i < array.size() / 2; ++i) {  // signs and fractions of any bits, exponents near that of 1
        const auto word = static_cast<std::uint16_t>(bytes.integer(2));
        array.data<std::uint16_t>()[i] =
            static_cast<std::uint16_t>(dtype == DType::f16 ? (word & 0x8fff) | 0x3000 : (word & 0x81ff) | 0x3e00);
    }
}

// A matrix or a vector in memory of its own, at any alignment.
class Operands {
public:
    Operands(Bytes& bytes, unsigned kind) : bytes_(bytes), kind_(kind) {}

    Array make(DType dtype, const std::vector<index_t>& shape, bool any_layout = false) {
        Array made(dtype, shape, bytes_.choose(4), any_layout && bytes_.flag());
        fill(bytes_, made, kind_);
        return made;
    }
    // Not wider than what is computed in.
    DType type(bool wide) {
        const DType dtype = kTypes[bytes_.choose(4)];
        return !wide && dtype == DType::f64 ? DType::f32 : dtype;
    }

private:
    Bytes& bytes_;
    unsigned kind_;
};

Output merged(const Choice& c, Bytes bytes) {
    Operands operands(bytes, c.kind);
    const bool transposed = bytes.flag(), wide = bytes.flag(), in_place = bytes.flag();
    const DType type = operands.type(wide);
    const std::vector<index_t> shape = transposed ? std::vector{c.inputs, c.outputs} : std::vector{c.outputs, c.inputs};
    const Array w = operands.make(type, shape), result = operands.make(type, shape);
    const Array a = operands.make(operands.type(wide), {c.rank, c.inputs + c.more}, true);
    const Array b = operands.make(operands.type(wide), {c.outputs, c.rank}, true);
    const Array mask = operands.make(DType::boolean, shape);
    const Array magnitude = operands.make(wide ? DType::f64 : DType::f32, {c.outputs});
    const Array& out = in_place ? w : result;
    sorgum::lowrank::MergeArguments given;
    given.w = w.view();
    given.a = a.view();
    given.b = b.view();
    given.out = out.view();
    given.scale = bytes.flag() ? 0.5 : 1e30;
    given.hadamard = bytes.flag();
    given.transposed = transposed;
    given.wide = wide;
    given.rounded_twice = bytes.flag();
    given.check_finite = bytes.flag();
    given.out_is_new = given.out.data != given.w.data && bytes.flag();
    if (bytes.choose(3) == 0)
        given.mask = mask.view();
    if (bytes.choose(3) == 0)
        given.magnitude = magnitude.view();
    const Output before = contents(out);
    try {
        sorgum::lowrank::merge(given);
    } catch (const sorgum::ValueError&) {
        if (!given.out_is_new && contents(out) != before) {
            std::fprintf(stderr, "merge: what it refused changed out\n");
            std::abort();
        }
        throw;
    }
    return contents(out);
}

Output applied(const Choice& c, Bytes bytes) {
    Operands operands(bytes, c.kind);
    const bool wide = bytes.flag(), in_place = bytes.flag();
    const DType type = operands.type(wide), computed = wide ? DType::f64 : DType::f32;
    const Array x = operands.make(type, {c.rows, c.inputs + c.more}, true);
    const Array a = operands.make(operands.type(wide), {c.rank, c.inputs}, true);
    const Array b = operands.make(operands.type(wide), {c.outputs, c.rank}, true);
    const Array base = operands.make(type, {c.rows, c.outputs}), result = operands.make(type, {c.rows, c.outputs});
    const Array mid = operands.make(computed, {c.rank}), gate = operands.make(computed, {c.rows});
    const Array& out = in_place ? base : result;
    sorgum::lowrank::ApplyArguments given;
    given.x = x.view();
    given.a = a.view();
    given.b = b.view();
    given.out = out.view();
    given.scale = bytes.flag() ? 0.5 : 1e30;
    given.activation = static_cast<Activation>(bytes.choose(3));
    given.wide = wide;
    if (bytes.flag())
        given.mid = mid.view();
    if (bytes.flag())
        given.gate = gate.view();
    if (in_place || bytes.flag())
        given.base = base.view();
    sorgum::lowrank::apply(given);
    return contents(out);
}

// Rows that each name an adapter or none, and some an adapter that is not there.
Output applied_set(const Choice& c, Bytes bytes) {
    Operands operands(bytes, c.kind);
    const bool wide = bytes.flag(), with_base = bytes.flag();
    const DType type = wide ? DType::f64 : operands.type(false);
    std::vector<Array> factors;
    std::vector<sorgum::lowrank::AdapterArguments> adapters;
    const unsigned count = 1 + bytes.choose(3);
    for (unsigned i = 0; i < count; ++i) {
        const index_t rank = c.rank * (i + 1) / 2;
        factors.push_back(operands.make(operands.type(wide), {rank, c.inputs + (i == 2 ? c.more : 0)}, true));
        factors.push_back(operands.make(operands.type(wide), {c.outputs, rank}, true));
        adapters.push_back({factors[2 * i].view(), factors[2 * i + 1].view(), bytes.flag() ? 2.0 : -0.5});
    }
    const sorgum::lowrank::AdapterSet set(adapters, wide);
    const Array x = operands.make(type, {c.rows, c.inputs}, true), base = operands.make(type, {c.rows, c.outputs});
    const Array out = operands.make(type, {c.rows, c.outputs}), ids(DType::i64, {c.rows});
    const bool bad = bytes.choose(8) == 0;
    for (index_t i = 0; i < c.rows; ++i)
        ids.data<std::int64_t>()[i] = static_cast<std::int64_t>(bytes.choose(count + (bad ? 2 : 1))) - 1;
    sorgum::lowrank::SetApplyArguments given;
    given.x = x.view();
    given.ids = ids.view();
    given.out = out.view();
    if (with_base)
        given.base = base.view();
    set.apply(given);
    return contents(out);
}

// A sum of random matrices, and their products with one.
Output of_bases(const Choice& c, Bytes bytes) {
    Operands operands(bytes, c.kind);
    const DType type = bytes.flag() ? DType::f64 : DType::f32;
    const index_t numbers = c.inputs * (1 + c.outputs);
    const Array weights = operands.make(type, {c.rank}), sum = operands.make(type, {numbers});
    const Array dots = operands.make(bytes.choose(8) == 0 ? DType::f32 : type, {c.rank + c.more});
    const std::uint64_t key = static_cast<std::uint64_t>(bytes.integer(8));
    sorgum::lowrank::basis_add(key, weights.view(), sum.view());
    sorgum::lowrank::basis_dots(key, sum.view(), dots.view());
    Output output = contents(sum);
    dots.append_to(output);
    return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 16)
        return 0;
    Bytes bytes(data, size);
    Choice c;
    const unsigned deep = bytes.choose(32);  // where it is 0 or 1: sums of several chunks
    c.call = bytes.choose(4);
    c.rows = bytes.choose(30);
    c.inputs = bytes.choose(deep == 0 ? 1200 : 70);
    c.outputs = bytes.choose(60);
    c.rank = bytes.choose(deep == 1 ? 1200 : 40);
    c.more = bytes.choose(16) == 0 ? 1 : 0;
    c.kind = bytes.choose(3);
    sorgum::set_num_threads(1 + bytes.choose(3));
    const char* const names[] = {"merge", "apply", "apply_adapters", "random bases"};
    char what[200];
    std::snprintf(what, sizeof what, "%s: %lld rows, %lld inputs, %lld outputs, rank %lld, kind %u", names[c.call],
                  static_cast<long long>(c.rows), static_cast<long long>(c.inputs), static_cast<long long>(c.outputs),
                  static_cast<long long>(c.rank), c.kind);
    compare(what, [&] {
        return c.call == 0   ? merged(c, bytes)
               : c.call == 1 ? applied(c, bytes)
               : c.call == 2 ? applied_set(c, bytes)
                             : of_bases(c, bytes);
    });
    return 0;
}
