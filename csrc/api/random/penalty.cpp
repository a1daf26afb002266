#include <algorithm>

#include "api/random/rows.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/common.h"
#include "dispatch/random.h"

namespace sorgum::random {

namespace {

// The tokens of a row, each once, with how often it stands among those drawn.
void collect_seen(const RowLayout& tokens, const RowLayout* prompt, index_t r, std::vector<index_t>& sorted,
                  std::vector<SeenToken>& seen) {
    const auto sort = [&](const RowLayout& from) {
        sorted.clear();
        for (index_t i = 0; i < from.length; ++i) {
            index_t token;
            __builtin_memcpy(&token, from.element(0, from.row(0, r), i), sizeof token);
            if (token >= 0)
                sorted.push_back(token);
        }
        std::sort(sorted.begin(), sorted.end());
    };
    seen.clear();
    sort(tokens);
    for (const index_t token : sorted) {
        if (seen.empty() || seen.back().token != token)
            seen.push_back({token, 0});
        ++seen.back().count;
    }
    if (prompt == nullptr)
        return;
    const auto drawn = static_cast<std::ptrdiff_t>(seen.size());
    sort(*prompt);
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    const auto before = [](const SeenToken& a, index_t token) { return a.token < token; };
    for (const index_t token : sorted) {
        const auto end = seen.begin() + drawn, at = std::lower_bound(seen.begin(), end, token, before);
        if (at == end || at->token != token)
            seen.push_back({token, 0});
    }
}

// The logits of tokens that were seen in a row, of type S.
template <class S>
void penalise_row(const RowLayout& layout, index_t r, const std::vector<SeenToken>& seen, const Penalties& penalties) {
    using T = computed_t<S>;
    char* const row = layout.row(0, r);
    const auto n = static_cast<index_t>(seen.size());
    std::vector<S> stored(seen.size());
    for (std::size_t i = 0; i < seen.size(); ++i)
        __builtin_memcpy(&stored[i], layout.element(0, row, seen[i].token), sizeof(S));
    if constexpr (std::is_same_v<S, T>) {
        random_penalise(kernels(), T())(stored.data(), seen.data(), n, penalties);
    } else {
        std::vector<T> x(seen.size());
        common_widen(kernels(), S())(stored.data(), x.data(), n);
        random_penalise(kernels(), T())(x.data(), seen.data(), n, penalties);
        common_narrow(kernels(), S())(x.data(), stored.data(), n, false);
    }
    for (std::size_t i = 0; i < seen.size(); ++i)
        __builtin_memcpy(layout.element(0, row, seen[i].token), &stored[i], sizeof(S));
}

template <class S>
void penalise_rows(const PenaltyArguments& a) {
    const AxisMask reduced = last_axis(a.logits);
    const RowLayout layout = make_rows(a.logits, reduced,
                                       {a.logits, per_row(a.function, "repetition", a.repetition, a.logits, reduced),
                                        per_row(a.function, "frequency", a.frequency, a.logits, reduced),
                                        per_row(a.function, "presence", a.presence, a.logits, reduced)});
    const RowLayout tokens = make_rows(a.tokens, last_axis(a.tokens), {a.tokens});
    std::optional<RowLayout> prompt;
    if (a.prompt)
        prompt = make_rows(*a.prompt, last_axis(*a.prompt), {*a.prompt});
    const index_t work = tokens.length + (prompt ? prompt->length : 0);
    parallel_for(layout.rows, threads_for(saturated_product(layout.rows, work)), [&](index_t r, int) {
        std::vector<index_t> sorted;
        std::vector<SeenToken> seen;
        collect_seen(tokens, prompt ? &*prompt : nullptr, r, sorted, seen);
        penalise_row<S>(layout, r, seen,
                        {value_of_row<double>(layout, 1, r), value_of_row<double>(layout, 2, r),
                         value_of_row<double>(layout, 3, r)});
    });
}

// One more axis than the rows of the logits, of any length.
void check_tokens(const char* function, const char* argument, const ArrayView& tokens, const ArrayView& logits) {
    bool fits = tokens.ndim == logits.ndim;
    for (int d = 0; fits && d + 1 < logits.ndim; ++d)
        fits = tokens.shape[d] == logits.shape[d];
    const std::string prefix = std::string(function) + ": " + argument + " must ";
    if (!fits)
        throw ValueError(prefix + "have the shape of the rows, " + shape_text(logits.shape, logits.ndim - 1) +
                         ", and one axis more, got shape " + shape_text(tokens.shape, tokens.ndim));
    const index_t vocabulary = logits.shape[logits.ndim - 1];
    for_each_value<index_t>(tokens, [&](index_t token) {
        if (token < -1 || token >= vocabulary)
            throw ValueError(prefix + "be in [-1, " + std::to_string(vocabulary) + "), got " + std::to_string(token));
    });
}

void check_penalties(const PenaltyArguments& a) {
    const auto check = [&](const char* argument, const char* rule, const ArrayView& x, bool positive) {
        for_each_value<double>(x, [&](double value) {
            if (!(value - value == 0.0) || (positive && !(value > 0.0)))
                throw ValueError(std::string(a.function) + ": " + argument + " must be " + rule + ", got " +
                                 number_text(value));
        });
    };
    check("repetition", "positive and finite", a.repetition, true);
    check("frequency", "finite", a.frequency, false);
    check("presence", "finite", a.presence, false);
}

}  // namespace

void penalise(const PenaltyArguments& a) {
    check_logits(a.function, a.logits);
    check_out(a.function, "out", a.logits, a.logits.dtype, a.logits.shape, a.logits.ndim);
    check_tokens(a.function, "tokens", a.tokens, a.logits);
    if (a.prompt)
        check_tokens(a.function, "prompt", *a.prompt, a.logits);
    check_penalties(a);
    const FpGuard guard;
    switch (a.logits.dtype) {
        case DType::f16:
            return penalise_rows<float16>(a);
        case DType::bf16:
            return penalise_rows<bfloat16>(a);
        case DType::f32:
            return penalise_rows<float>(a);
        case DType::f64:
            return penalise_rows<double>(a);
        case DType::boolean:
        case DType::i64:
        case DType::i32:
            break;  // refused above
    }
}

}  // namespace sorgum::random
