// The exact sum against integers of any length, on the instruction set that this file is compiled for.
#include <algorithm>
#include <cmath>
#include <vector>

#include "on_isa.h"

SORGUM_ISA_BEGIN

struct Term {
    double value;
    index_t exponent, multiplicity;
};

// A sum of terms as one integer times 2^kLowest, digits of 32 bits.
class Integer {
public:
    static constexpr index_t kLowest = -6000;
    static constexpr std::size_t kDigits = 400;

    void add(const Term& t) {
        if (t.value == 0)
            return;
        int e = 0;
        const double m = std::frexp(t.value, &e);  // t.value = (m 2^53) 2^(e - 53)
        const auto significand = static_cast<std::int64_t>(m * 0x1p53);
        const index_t at = t.exponent + e - 53 - kLowest;
        CHECK(at >= 0 && at / 32 + 5 < static_cast<index_t>(kDigits));
        unsigned __int128 rest = static_cast<unsigned __int128>(significand < 0 ? -significand : significand)
                                 << (at % 32);
        for (std::size_t i = static_cast<std::size_t>(at / 32); rest != 0; ++i, rest >>= 32) {
            const auto digit = static_cast<std::int64_t>(rest & 0xFFFFFFFFu);
            digit_[i] += (significand < 0 ? -digit : digit) * t.multiplicity;
        }
    }

    // The nearest double with a 53-bit significand (ties to even) and the exponent apart, as exact_sum_finish has it.
    double round(index_t& exponent) const {
        std::int64_t d[kDigits];
        bool negative = false;
        for (int pass = 0; pass < 2; ++pass) {
            __int128 carry = 0;
            for (std::size_t i = 0; i < kDigits; ++i) {
                const __int128 t = (negative ? -digit_[i] : digit_[i]) + carry;
                d[i] = static_cast<std::int64_t>(t & 0xFFFFFFFF);
                carry = t >> 32;
            }
            if (carry >= 0)
                break;
            negative = true;
        }
        const auto bit = [&](index_t i) {
            return i < 0 ? 0 : static_cast<int>(d[static_cast<std::size_t>(i / 32)] >> (i % 32) & 1);
        };
        index_t lead = 32 * static_cast<index_t>(kDigits) - 1;
        while (lead >= 0 && bit(lead) == 0)
            --lead;
        exponent = 0;
        if (lead < 0)
            return 0.0;
        std::uint64_t kept = 0;
        for (index_t i = lead; i > lead - 53; --i)
            kept = kept << 1 | static_cast<std::uint64_t>(bit(i));
        bool rest = false;
        for (index_t i = lead - 54; i >= 0 && !rest; --i)
            rest = bit(i) != 0;
        if (bit(lead - 53) != 0 && (rest || (kept & 1) != 0))
            ++kept;
        exponent = kLowest + lead - 52;
        const auto value = static_cast<double>(kept);
        return negative ? -value : value;
    }

private:
    __int128 digit_[kDigits] = {};
};

ExactSum sum_in_order(const std::vector<Term>& terms) {
    ExactSum s;
    exact_sum_clear(s);
    for (const Term& t : terms)
        exact_sum_add(s, t.value, t.exponent, t.multiplicity);
    return s;
}

// Merges neighbours or strangers until one is left.
ExactSum merged_at_random(std::vector<ExactSum> parts, Random& r) {
    while (parts.size() > 1) {
        const auto i = static_cast<std::size_t>(r() % parts.size());
        std::swap(parts[i], parts.back());
        const ExactSum last = parts.back();
        parts.pop_back();
        ExactSum& into = parts[static_cast<std::size_t>(r() % parts.size())];
        exact_sum_merge(into, last);
    }
    return parts.front();
}

std::vector<Term> random_terms(Random& r, index_t count, index_t spread, bool signs) {
    std::vector<Term> terms;
    const index_t centre = integer_between(r, -3000, 3000);
    for (index_t i = 0; i < count; ++i) {
        double value = r() % 16 == 0 ? std::ldexp(static_cast<double>(r() % 4096), -1074) : between(r, 0.5, 2.0);
        if (r() % 8 == 0)
            value = std::ldexp(static_cast<double>(r() % 15), static_cast<int>(r() % 40));  // few bits: ties
        if (signs && r() % 2 == 0)
            value = -value;
        index_t exponent = centre + integer_between(r, -spread, spread);
        if (std::fabs(value) < 0x1p-1022)
            exponent += 1022;
        terms.push_back({value, exponent, r() % 4 == 0 ? integer_between(r, 0, 4096) : 1});
    }
    return terms;
}

void exact_sum_is_the_rounded_sum() {
    Random r(1);
    for (int round = 0; round < 3000; ++round) {
        // All bits stand within 96 below the first of the largest term, so that nothing is dropped.
        const std::vector<Term> terms = random_terms(r, integer_between(r, 1, 40), round % 20, round % 3 == 0);
        Integer exact;
        bool within = true;
        for (const Term& t : terms) {
            within = within && (t.value == 0 || std::fabs(t.value) >= 0x1p-1022);
            exact.add(t);
        }
        if (!within)
            continue;
        index_t e = 0, e_exact = 0;
        const double value = exact_sum_finish(sum_in_order(terms), e);
        const double rounded = exact.round(e_exact);
        CHECK(std::ldexp(value, static_cast<int>(e - e_exact)) == rounded);
    }
    // Ties go to even, a bit far below breaks them, signs do not matter.
    for (const double sign : {1.0, -1.0}) {
        index_t e = 0;
        CHECK(exact_sum_finish(sum_in_order({{sign * 0x1p53, 0, 1}, {sign, 0, 1}}), e) * std::ldexp(1.0, int(e)) ==
              sign * 0x1p53);
        CHECK(exact_sum_finish(sum_in_order({{sign * 0x1p53, 0, 1}, {sign, 0, 3}}), e) * std::ldexp(1.0, int(e)) ==
              sign * (0x1p53 + 4));
        CHECK(exact_sum_finish(sum_in_order({{sign * 0x1p53, 0, 1}, {sign, 0, 1}, {sign, -60, 1}}), e) *
                  std::ldexp(1.0, int(e)) ==
              sign * (0x1p53 + 2));
    }
    index_t e = 0;
    CHECK(exact_sum_finish(sum_in_order({{1.0, 7, 1}, {-1.0, 7, 1}}), e) == 0.0);
    CHECK(exact_sum_finish(sum_in_order({}), e) == 0.0);
    CHECK(exact_sum_finish(sum_in_order({{0.0, 0, 5}, {1.0, 0, 0}}), e) == 0.0);
    // As many terms as are promised, all of them with full digits.
    const double full = 0x1.fffffffffffffp0;
    Integer exact;
    ExactSum s;
    exact_sum_clear(s);
    for (int i = 0; i < 2; ++i) {
        exact_sum_add(s, full, 0, (index_t(1) << 38) - 1);
        for (int part = 0; part < 1024; ++part)  // the oracle's digits have less room
            exact.add({full, 0, (index_t(1) << 28) - (part == 0 ? 1 : 0)});
    }
    index_t e_exact = 0;
    CHECK(exact_sum_finish(s, e) == exact.round(e_exact) && e == e_exact);
}

void exact_sum_has_no_order() {
    Random r(2);
    for (int round = 0; round < 600; ++round) {
        const index_t spread = round % 3 == 0 ? 20 : round % 3 == 1 ? 150 : 2000;
        std::vector<Term> terms = random_terms(r, integer_between(r, 1, 60), spread, round % 2 == 0);
        const ExactSum reference = sum_in_order(terms);
        index_t e = 0, other = 0;
        const double value = exact_sum_finish(reference, e);
        for (int trial = 0; trial < 8; ++trial) {
            std::shuffle(terms.begin(), terms.end(), r);
            const ExactSum shuffled = sum_in_order(terms);
            CHECK(same_sum(shuffled, reference));
            CHECK(same_bits(exact_sum_finish(shuffled, other), value) && other == e);
            std::vector<ExactSum> parts;
            for (std::size_t i = 0; i < terms.size();) {
                const std::size_t end = std::min(terms.size(), i + static_cast<std::size_t>(r() % 7));
                parts.push_back(sum_in_order({terms.begin() + static_cast<std::ptrdiff_t>(i),
                                              terms.begin() + static_cast<std::ptrdiff_t>(end)}));  // some are empty
                i = end;
            }
            CHECK(same_sum(merged_at_random(parts, r), reference));
            // A multiplicity is as many terms.
            std::vector<Term> single;
            for (const Term& t : terms)
                for (index_t k = 0; k < (t.multiplicity <= 64 ? t.multiplicity : 1); ++k)
                    single.push_back({t.value, t.exponent, t.multiplicity <= 64 ? 1 : t.multiplicity});
            CHECK(same_sum(sum_in_order(single), reference));
        }
    }
}

// What is dropped is below 2^-120 of the largest term, per term.
void exact_sum_drops_little() {
    Random r(3);
    for (int round = 0; round < 1000; ++round) {
        const std::vector<Term> terms = random_terms(r, integer_between(r, 2, 60), 150, false);
        Integer exact;
        ExactSum s = sum_in_order(terms);
        for (const Term& t : terms)
            exact.add(t);
        index_t e = 0, e_exact = 0;
        const double value = exact_sum_finish(s, e), rounded = exact.round(e_exact);
        const double ratio = rounded == 0 ? 1.0 : std::ldexp(value / rounded, static_cast<int>(e - e_exact));
        CHECK(ratio == 1.0 || ratio == 1.0 - 0x1p-53 || ratio == 1.0 - 0x1p-52);  // a tie that the rest would break
        // A term beside a dropped one has the bits of the term alone.
        ExactSum one = sum_in_order({{1.25, 0, 1}}), two = sum_in_order({{1.25, 0, 1}, {1.0, -145 - round, 1}});
        CHECK(same_sum(one, two));
    }
}

SORGUM_NOINLINE void all() {
    exact_sum_is_the_rounded_sum();
    exact_sum_has_no_order();
    exact_sum_drops_little();
}

SORGUM_ISA_END

int main() { return run_where_supported(sorgum::SORGUM_ISA::all); }
