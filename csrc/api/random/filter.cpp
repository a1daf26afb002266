#include "api/random/filter.h"

#include <algorithm>

#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/random.h"

namespace sorgum::random {

namespace {

[[noreturn]] void refuse(const char* function, const char* argument, const char* rule, const std::string& value) {
    throw ValueError(std::string(function) + ": " + argument + " must be " + rule + ", got " + value);
}

std::string joined(const std::vector<std::string>& words) {
    std::string text = "(";
    for (const std::string& word : words)
        text += (text.size() > 1 ? ", " : "") + word;
    return text + ")";
}

template <class T>
void keep_in_rows(const KeepArguments& a) {
    const AxisMask reduced = last_axis(a.logits);
    std::vector<ArrayView> operands = {a.logits, a.out};
    const RowRules rules(a.function, a.temperature, a.filters, a.logits, reduced, operands);
    const int where = append_where(a.function, a.where, a.logits, operands);
    const RowLayout layout = make_rows(a.logits, reduced, operands);
    const Logits<T> logits(layout, a.logits.dtype, where);
    const Stored<T> out(layout, 1, a.out.dtype);
    search_rows(logits, [&](const PiecedRow<T>& row, index_t r, PrefixSearch<T>& search) {
        const bool found = search.run(row, rules.filters(layout, r), rules.rules());
        const T absent = search.spoilt() ? static_cast<T>(__builtin_nan("")) : -static_cast<T>(__builtin_inf());
        row.for_each_piece(layout.length, [&](index_t piece, int) {
            alignas(64) T y[kScratch];
            row.for_each_part(piece, nullptr, [&](const T* x, index_t i, index_t here) {
                for_each_range(0, here, kScratch, [&](index_t k, index_t stop) {
                    const index_t some = stop - k;
                    if (found)
                        random_keep(kernels(), T())(x + k, i + k, some, search.prefix(), y);
                    else
                        std::fill(y, y + some, absent);
                    out.write(r, 1, i + k, some, y, kScratch);
                });
            });
        });
    });
}

}  // namespace

RowRules::RowRules(const char* function, const ArrayView& temperature, const std::optional<FilterArguments>& filters,
                   const ArrayView& x, const AxisMask& reduced, std::vector<ArrayView>& operands)
    : filtered_(filters.has_value()), first_(static_cast<int>(operands.size())) {
    operands.push_back(per_row(function, "temperature", temperature, x, reduced));
    for_each_value<double>(temperature, [&](double t) { check_draw_temperature(function, t); });
    if (!filters)
        return;
    operands.push_back(per_row(function, "top_k", filters->top_k, x, reduced));
    operands.push_back(per_row(function, "top_p", filters->top_p, x, reduced));
    operands.push_back(per_row(function, "min_p", filters->min_p, x, reduced));
    for_each_value<index_t>(filters->top_k, [&](index_t k) {
        if (k < 1)
            refuse(function, "top_k", "at least 1 (the number of categories keeps all)", std::to_string(k));
    });
    for_each_value<double>(filters->top_p, [&](double p) {
        if (!(p > 0.0) || p > 1.0)
            refuse(function, "top_p", "in (0, 1]", number_text(p));
    });
    for_each_value<double>(filters->min_p, [&](double p) {
        if (!(p >= 0.0) || p > 1.0)
            refuse(function, "min_p", "in [0, 1]", number_text(p));
    });
    rules_.all_ties = filters->all_ties;
    constexpr const char* names[] = {"temperature", "min_p", "top_k", "top_p"};
    const auto& order = filters->order;
    for (std::size_t i = 0; i < 4; ++i) {
        const auto at = std::find(order.begin(), order.end(), names[i]);
        if (order.size() != 4 || at == order.end())
            throw ValueError(std::string(function) +
                             ": filter_order must name temperature, min_p, top_k and top_p once each, got " +
                             joined(order));
        rules_.order[at - order.begin()] = static_cast<FilterStep>(i);
    }
}

Filters RowRules::filters(const RowLayout& layout, index_t r) const {
    return {temperature(layout, r), value_of_row<index_t>(layout, first_ + 1, r),
            value_of_row<double>(layout, first_ + 2, r), value_of_row<double>(layout, first_ + 3, r)};
}

void keep_filtered(const KeepArguments& a) {
    check_logits(a.function, a.logits);
    const DType computed = computed_in(a.logits.dtype);
    check_out(a.function, "out", a.out, a.out.dtype == computed ? computed : a.logits.dtype, a.logits.shape,
              a.logits.ndim);
    const FpGuard guard;
    if (computed == DType::f32)
        keep_in_rows<float>(a);
    else
        keep_in_rows<double>(a);
}

}  // namespace sorgum::random
