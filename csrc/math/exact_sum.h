// A sum of doubles, each times a power of two, that does not depend on the order of its terms (N5).
//
// A term is an integer times 2^q. It is cut into 24-bit digits on an absolute grid (digit d weighs 2^(24 d)), which are
// added into 64-bit bins. Only the bins of the six highest digits that any term had are kept: a term's digits are kept
// or dropped by their place alone, so neither order nor grouping matters. What is dropped is below 2^-120 of the
// largest term, per term; 2^39 terms fit without overflow.
#pragma once

#include "math/exact_sum_state.h"
#include "math/lane.h"

SORGUM_ISA_BEGIN

inline constexpr int kDigitBits = 24;

SORGUM_HD void exact_sum_clear(ExactSum& s) {
    s.top = kExactSumEmpty;
    for (int i = 0; i < kExactSumBins; ++i)
        s.bin[i] = 0;
}

SORGUM_HD void exact_sum_raise(ExactSum& s, index_t top) {
    const index_t shift = top - s.top;
    for (int i = kExactSumBins - 1; i >= 0; --i)
        s.bin[i] = i >= shift ? s.bin[i - shift] : 0;
    s.top = top;
}

// Adds multiplicity * value * 2^exponent, value finite.
SORGUM_HD void exact_sum_add(ExactSum& s, double value, index_t exponent, index_t multiplicity) {
    if (value == 0.0 || multiplicity == 0)
        return;
    const std::int64_t b = bits(value);
    const int field = static_cast<int>((b >> 52) & 0x7FF);
    const std::uint64_t fraction = static_cast<std::uint64_t>(b) & 0xFFFFFFFFFFFFFu;
    const std::uint64_t integer = field == 0 ? fraction : fraction | (std::uint64_t(1) << 52);
    const index_t q = exponent + (field == 0 ? 1 : field) - 1075;
    index_t lowest = q / kDigitBits;
    if (q % kDigitBits < 0)
        --lowest;
    const int shift = static_cast<int>(q - lowest * kDigitBits);
    unsigned __int128 rest = static_cast<unsigned __int128>(integer) << shift;
    if (b < 0)
        multiplicity = -multiplicity;
    std::int64_t digit[4];
    int highest = 0;
    for (int i = 0; i < 4; ++i) {
        digit[i] = static_cast<std::int64_t>(rest & 0xFFFFFFu);
        if (digit[i] != 0)
            highest = i;
        rest >>= kDigitBits;
    }
    if (s.top == kExactSumEmpty)
        s.top = lowest + highest;
    else if (lowest + highest > s.top)
        exact_sum_raise(s, lowest + highest);
    for (int i = 0; i <= highest; ++i) {
        const index_t at = s.top - (lowest + i);
        if (at < kExactSumBins)
            s.bin[at] += digit[i] * multiplicity;
    }
}

SORGUM_HD void exact_sum_merge(ExactSum& into, const ExactSum& from) {
    if (from.top == kExactSumEmpty)
        return;
    if (into.top == kExactSumEmpty) {
        into = from;
        return;
    }
    if (from.top > into.top)
        exact_sum_raise(into, from.top);
    const index_t shift = into.top - from.top;
    for (int i = 0; i + shift < kExactSumBins; ++i)
        into.bin[i + shift] += from.bin[i];
}

// The sum, rounded once to nearest, as value * 2^exponent with |value| in [2^52, 2^53], or 0.
SORGUM_HD double exact_sum_finish(const ExactSum& s, index_t& exponent) {
    constexpr int kDigits = kExactSumBins + 3;  // three more above for the carries
    std::int64_t digit[kDigits];
    bool negative = false;
    exponent = 0;
    if (s.top == kExactSumEmpty)
        return 0.0;
    for (int pass = 0; pass < 2; ++pass) {
        std::int64_t carry = 0;
        for (int i = 0; i < kDigits; ++i) {  // from the lowest digit up
            const std::int64_t bin = i < kExactSumBins ? s.bin[kExactSumBins - 1 - i] : 0;
            const std::int64_t t = (negative ? -bin : bin) + carry;
            digit[i] = i + 1 < kDigits ? t & 0xFFFFFF : t;
            carry = t >> kDigitBits;
        }
        if (digit[kDigits - 1] >= 0)
            break;
        negative = true;
    }
    int lead = kDigits - 1;
    while (lead >= 0 && digit[lead] == 0)
        --lead;
    if (lead < 0)
        return 0.0;
    // Five digits from the leading one hold at least 97 bits; what is below them only breaks ties.
    unsigned __int128 head = 0;
    for (int i = 0; i < 5; ++i)
        head = (head << kDigitBits) | static_cast<unsigned>(lead - i >= 0 ? digit[lead - i] : 0);
    bool sticky = false;
    for (int i = lead - 5; i >= 0; --i)
        sticky = sticky || digit[i] != 0;
    int length = 0;
    for (unsigned __int128 h = head; h != 0; h >>= 1)
        ++length;
    const int drop = length - 53;
    std::uint64_t kept = static_cast<std::uint64_t>(head >> drop);
    const unsigned __int128 tail = head & ((static_cast<unsigned __int128>(1) << drop) - 1);
    const unsigned __int128 half = static_cast<unsigned __int128>(1) << (drop - 1);
    if (tail > half || (tail == half && (sticky || (kept & 1) != 0)))
        ++kept;
    const index_t grid = (s.top - (kExactSumBins - 1) + (lead - 4)) * kDigitBits;
    exponent = grid + drop;
    const double value = static_cast<double>(kept);
    return negative ? -value : value;
}

SORGUM_ISA_END
