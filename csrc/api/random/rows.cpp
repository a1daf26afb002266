#include "api/random/rows.h"

#include "core/error.h"

namespace sorgum::random {

void check_logits(const char* function, const ArrayView& logits) {
    check_float(function, "logits", logits);
    if (logits.ndim == 0)
        throw ValueError(std::string(function) + ": logits must have at least one axis, got a scalar");
}

int append_where(const char* function, const std::optional<ArrayView>& where, const ArrayView& logits,
                 std::vector<ArrayView>& operands) {
    if (!where)
        return -1;
    operands.push_back(broadcast_like(function, "where", *where, logits));
    return static_cast<int>(operands.size()) - 1;
}

namespace {

bool is_one_row(const ArrayView& x, const AxisMask& reduced) {
    for (int d = 0; d < x.ndim; ++d)
        if (!reduced[static_cast<std::size_t>(d)] && x.shape[d] != 1)
            return false;
    return true;
}

}  // namespace

RowSource::RowSource(const char* function, const Source& source, const ArrayView& x, const AxisMask& reduced)
    : source_(source) {
    if (source.streams && source.streams->ndim == 0 && !is_one_row(x, reduced))
        throw ValueError(std::string(function) + ": streams must have one id per row, got a scalar");
    const ArrayView zero = {nullptr, DType::i64, false, 0, {}, {}};
    operands_ = {per_row(function, "position", source.position, x, reduced),
                 per_row(function, "streams", source.streams ? *source.streams : zero, x, reduced)};
    index_t length = 1;
    for (int d = 0; d < x.ndim; ++d)
        length *= reduced[static_cast<std::size_t>(d)] ? x.shape[d] : 1;
    check_index_offset(function, source.index_offset, length);
}

void RowSource::append_to(std::vector<ArrayView>& operands) {
    first_ = static_cast<int>(operands.size());
    operands.insert(operands.end(), operands_.begin(), operands_.end());
}

NoiseRow RowSource::row(const RowLayout& layout, index_t r, Purpose purpose, bool wide) const {
    NoiseRow row;
    row.key = source_.key;
    row.stream = static_cast<std::uint64_t>(source_.streams ? value_of_row<index_t>(layout, first_ + 1, r) : r);
    row.position = static_cast<std::uint64_t>(value_of_row<index_t>(layout, first_, r));
    row.purpose = purpose;
    row.wide = wide;
    row.given = source_.given ? static_cast<const std::uint32_t*>(source_.given->data) : nullptr;
    return row;
}

}  // namespace sorgum::random
