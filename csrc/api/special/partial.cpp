#include "api/special/partial.h"

#include <cstddef>
#include <cstring>

#include "api/call/rows.h"
#include "api/special/special.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "core/interrupt.h"
#include "dispatch/dispatch.h"
#include "dispatch/special.h"

namespace sorgum::special {

namespace {

// Two of the largest bins, and a count times a digit of 24 bits, add up to less than 2^63.
constexpr index_t kMostBin = index_t(1) << 61;
constexpr index_t kMostDigit = index_t(1) << 58;  // beyond any term's: |log2| < kFarLimit = 2^62, and 24 bits a digit

template <class T>
constexpr DType kDType = sizeof(T) == 4 ? DType::f32 : DType::f64;

bool is_of(const PartialRecord& r, DType dtype) {
    return std::strncmp(r.dtype, dtype_text(dtype), sizeof r.dtype) == 0;
}

// Each step is one-to-one in the word, so that a change of one word always changes the check.
std::uint64_t check_of(const PartialRecord& r) {
    std::uint64_t words[kPartialWords - 1], h = 0;
    std::memcpy(words, &r, sizeof words);
    for (const std::uint64_t word : words) {
        h = (h ^ word) * 0x9E3779B97F4A7C15u;  // 2^64 over the golden ratio
        h ^= h >> 32;
    }
    return h;
}

// The name of a field whose value is impossible, or null.
const char* impossible_field(const PartialRecord& r) {
    const double inf = __builtin_inf();
    const bool weighted = r.weighted != 0, no_element = r.max == -inf, no_term = r.top == kExactSumEmpty;
    if (r.has_nan > 1 || r.has_inf > 1 || r.has_minus_inf > 1 || r.weighted > 1 || (r.has_minus_inf != 0 && !weighted))
        return "flag";
    if (!(r.temperature >= 0x1p-1022 && r.temperature < inf))
        return "temperature";
    const bool representable = is_of(r, DType::f64) || static_cast<double>(static_cast<float>(r.max)) == r.max;
    const bool has_sum = r.has_nan == 0 && r.has_inf == 0 && r.has_minus_inf == 0;
    if (!(r.max < inf) || !representable || !(no_element || has_sum))
        return "max";
    if (r.count < 0 || r.count > kMostElements || (r.count > 0) != (!weighted && !no_element))
        return "count";
    if (no_term ? false : no_element || r.top > kMostDigit || r.top < -kMostDigit)
        return "top";
    for (const index_t bin : r.bin)
        if (bin >= kMostBin || bin <= -kMostBin || (bin < 0 && !weighted) || (bin != 0 && no_term))
            return "bin";
    return nullptr;
}

// Throws unless the record can be merged and finished without harm, whoever made it.
PartialRecord read_record(const char* function, const char* at) {
    PartialRecord r;
    std::memcpy(&r, at, sizeof r);
    const std::string rule = std::string(function) + ": p must hold records of ";
    if (r.version != kPartialVersion)
        throw ValueError(rule + "version " + std::to_string(kPartialVersion) + ", got version " +
                         std::to_string(r.version));
    if (r.check != check_of(r))
        throw ValueError(rule + "logsumexp_partial as it made them, got one that has changed");
    if (!is_of(r, DType::f32) && !is_of(r, DType::f64))
        throw ValueError(rule + "dtype float32 or float64, got another");
    if (const char* const field = impossible_field(r))
        throw ValueError(rule + "logsumexp_partial, got one with an impossible " + field);
    return r;
}

PartialRecord read_record(const char* function, const char* at, DType dtype) {
    const PartialRecord r = read_record(function, at);
    if (!is_of(r, dtype))
        throw ValueError(std::string(function) + ": p must hold records of dtype " + dtype_text(dtype) + ", got " +
                         r.dtype);
    return r;
}

void check_of_one_row(const char* function, const PartialRecord& a, const PartialRecord& b) {
    const std::string rule = std::string(function) + ": p must hold records of ";
    if (a.temperature != b.temperature)
        throw ValueError(rule + "one temperature for a row, got " + number_text(a.temperature) + " and " +
                         number_text(b.temperature));
    if (a.weighted != b.weighted)
        throw ValueError(rule + "sums with weights or of sums without, got both");
}

// All elements of an array, and those of others at the same places.
RowLayout elements_of(const ArrayView& array, const std::vector<ArrayView>& operands) {
    return make_rows(array, AxisMask(), operands);
}

// Records are read one after the other, until the caller is interrupted: `at` counts them.
void poll(index_t at) {
    constexpr index_t kBetweenPolls = 4096;
    if (at % kBetweenPolls == 0 && interrupt_requested())
        throw Interrupted();
}

// Calls f(row) for every record of the layout, each of them a row.
template <class F>
void for_each_record(const RowLayout& layout, F&& f) {
    for (index_t row = 0; row < layout.rows; ++row) {
        poll(row);
        f(row);
    }
}

template <class T>
void merge(const char* function, const ArrayView& parts, const ArrayView& out) {
    ArrayView first = out;
    first.data = parts.data;
    for (int d = 0; d < out.ndim; ++d)
        first.strides[d] = parts.strides[d + 1];
    const KernelTable& table = kernels();
    const RowLayout layout = elements_of(out, {first, out});
    for_each_record(layout, [&](index_t row) {
        const char* at = layout.row(0, row);
        PartialRecord total = read_record(function, at, kDType<T>);
        ExpScale<T> scale;
        special_exp_scale(table, T())(total.temperature, scale);
        for (index_t i = 1; i < parts.shape[0]; ++i) {
            poll(i);
            at += parts.strides[0];
            const PartialRecord part = read_record(function, at, kDType<T>);
            check_of_one_row(function, total, part);
            RowSum<T> sum = row_of<T>(total);
            special_row_merge(table, T())(sum, scale, row_of<T>(part));
            total = make_record(function, sum, total.temperature, total.weighted != 0);
        }
        std::memcpy(layout.row(1, row), &total, sizeof total);
    });
}

template <class T>
void finish(const char* function, const ArrayView& p, const ArrayView& out, const std::optional<ArrayView>& sign) {
    const KernelTable& table = kernels();
    const RowLayout layout = elements_of(p, {p, out, sign ? *sign : out});
    for_each_record(layout, [&](index_t row) {
        const PartialRecord record = read_record(function, layout.row(0, row), kDType<T>);
        const RowSum<T> sum = row_of<T>(record);
        ExpScale<T> scale;
        special_exp_scale(table, T())(record.temperature, scale);
        double value, value_sign;
        if (record.weighted != 0) {
            special_weighted_result(table, T())(sum, scale, value, value_sign);
        } else {
            RowResult<T> result;
            special_row_result(table, T())(sum, scale, false, result);
            value = result.log_sum_exp;
            value_sign = value != value ? value : value > -__builtin_inf() ? 1.0 : 0.0;
        }
        const auto write = [&](int operand, double number) {
            const T rounded = number != number ? static_cast<T>(__builtin_nan("")) : static_cast<T>(number);
            std::memcpy(layout.row(operand, row), &rounded, sizeof rounded);
        };
        write(1, sign || !(value_sign < 0.0) ? value : __builtin_nan(""));
        if (sign)
            write(2, value_sign);
    });
}

// The dtype of the first record, or of `otherwise`.
DType dtype_of(const char* function, const ArrayView& p, DType otherwise) {
    for (int d = 0; d < p.ndim; ++d)
        if (p.shape[d] == 0)
            return otherwise;
    return is_of(read_record(function, static_cast<const char*>(p.data)), DType::f32) ? DType::f32 : DType::f64;
}

}  // namespace

template <class T>
PartialRecord make_record(const char* function, const RowSum<T>& row, double temperature, bool weighted) {
    PartialRecord r = {};
    r.version = kPartialVersion;
    r.has_nan = row.has_nan;
    r.has_inf = row.has_inf;
    r.has_minus_inf = row.has_minus_inf;
    r.weighted = weighted;
    std::memcpy(r.dtype, dtype_text(kDType<T>), sizeof r.dtype);  // seven letters and the end
    r.temperature = temperature;
    // What a sum was before it met NaN or an infinity depends on the order of its parts: it is left out.
    const bool has_sum = !(row.has_nan || row.has_inf || row.has_minus_inf);
    r.max = has_sum ? static_cast<double>(row.max) : -__builtin_inf();
    r.count = has_sum ? row.count : 0;
    r.top = has_sum ? row.others.top : kExactSumEmpty;
    for (int i = 0; i < kExactSumBins; ++i)
        r.bin[i] = has_sum ? row.others.bin[i] : 0;
    r.check = check_of(r);
    if (impossible_field(r) != nullptr)
        throw ValueError(std::string(function) + ": a row must have at most 2**36 elements, got more");
    return r;
}
template PartialRecord make_record(const char*, const RowSum<float>&, double, bool);
template PartialRecord make_record(const char*, const RowSum<double>&, double, bool);

template <class T>
RowSum<T> row_of(const PartialRecord& r) {
    RowSum<T> row;
    row.max = static_cast<T>(r.max);
    row.has_nan = r.has_nan != 0;
    row.has_inf = r.has_inf != 0;
    row.has_minus_inf = r.has_minus_inf != 0;
    row.count = r.count;
    row.others.top = r.top;
    for (int i = 0; i < kExactSumBins; ++i)
        row.others.bin[i] = r.bin[i];
    return row;
}
template RowSum<float> row_of(const PartialRecord&);
template RowSum<double> row_of(const PartialRecord&);

ArrayView record_view(const char* function, const ArrayView& words) {
    const int last = words.ndim - 1;
    bool none = false;  // NumPy's strides mean nothing then
    for (int d = 0; d < last; ++d)
        none = none || words.shape[d] == 0;
    if (words.dtype != DType::i64 || last < 0 || words.shape[last] != kPartialWords ||
        !(words.strides[last] == 8 || none))
        throw TypeError(std::string(function) + ": p must be an array of partial_dtype, got other words");
    ArrayView records = words;
    records.ndim = last;
    return records;
}

void check_shape_of_records(const char* function, const ArrayView& records, const ArrayView& x, const AxisList& axes) {
    const std::vector<index_t> got(records.shape, records.shape + records.ndim);
    const std::vector<index_t> rows = row_shape(function, x, axes, false);
    if (got != rows && got != row_shape(function, x, axes, true))
        throw ValueError(std::string(function) + ": p must have the shape of the rows, " +
                         shape_text(rows.data(), static_cast<int>(rows.size())) + ", got " +
                         shape_text(records.shape, records.ndim));
}

void check_records_of_rows(const char* function, const ArrayView& records, DType dtype) {
    const RowLayout layout = elements_of(records, {records});
    for_each_record(layout, [&](index_t row) {
        if (read_record(function, layout.row(0, row), dtype).weighted != 0)
            throw ValueError(std::string(function) + ": p must hold records of sums without weights, got one with");
    });
}

ArrayView temperatures_of(const ArrayView& records) {
    ArrayView view = records;
    view.data = static_cast<char*>(records.data) + offsetof(PartialRecord, temperature);
    view.dtype = DType::f64;
    return view;
}

index_t chunk() { return kChunk; }

void logsumexp_merge(const ArrayView& parts_words, const ArrayView& out_words) {
    constexpr const char* kName = "logsumexp_merge";
    const ArrayView parts = record_view(kName, parts_words), out = record_view(kName, out_words);
    if (parts.ndim == 0 || parts.shape[0] == 0)
        throw ValueError(std::string(kName) + ": p must have at least one record to merge, got shape " +
                         shape_text(parts.shape, parts.ndim));
    check_out(kName, "out", out_words, DType::i64, parts_words.shape + 1, parts_words.ndim - 1);
    const FpGuard guard;
    if (dtype_of(kName, parts, DType::f64) == DType::f32)
        merge<float>(kName, parts, out);
    else
        merge<double>(kName, parts, out);
}

void logsumexp_finish(const ArrayView& words, const ArrayView& out, const std::optional<ArrayView>& sign) {
    constexpr const char* kName = "logsumexp_finish";
    const ArrayView p = record_view(kName, words);
    const DType dtype = dtype_of(kName, p, out.dtype);
    check_out(kName, "out", out, dtype, p.shape, p.ndim);
    if (sign)
        check_out(kName, "sign", *sign, dtype, p.shape, p.ndim);
    const FpGuard guard;
    if (dtype == DType::f32)
        finish<float>(kName, p, out, sign);
    else
        finish<double>(kName, p, out, sign);
}

}  // namespace sorgum::special
