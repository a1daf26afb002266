// float16 and bfloat16 from and to float32: widening is exact, narrowing rounds once, to nearest, ties to even.
// Subnormals are kept on both sides. A NaN stays one, quiet, with the upper bits of its payload.
#pragma once

#include "core/types.h"
#include "math/lane.h"

SORGUM_ISA_BEGIN

SORGUM_HD float widen_half(float16 h) {
    const std::int32_t sign = (h.bits & 0x8000) << 16, rest = h.bits & 0x7FFF;
    if (rest >= 0x7C00)  // infinity and NaN
        return from_bits(sign | 0x7F800000 | (rest & 0x3FF) << 13 | (rest > 0x7C00 ? 0x400000 : 0));
    if (rest < 0x400)  // a multiple of 2^-24
        return from_bits(sign | bits(static_cast<float>(rest) * 0x1p-24f));
    return from_bits(sign | ((rest << 13) + (112 << 23)));
}
SORGUM_HD float widen_half(bfloat16 h) {
    const std::int32_t quiet = (h.bits & 0x7FFF) > 0x7F80 ? 0x400000 : 0;
    return from_bits(static_cast<std::int32_t>(static_cast<std::uint32_t>(h.bits) << 16) | quiet);
}

SORGUM_HD float16 narrow_to_float16(float x) {
    const std::int32_t all = bits(x), rest = all & 0x7FFFFFFF;
    const std::int32_t sign = static_cast<std::int32_t>(static_cast<std::uint32_t>(all) >> 16 & 0x8000u);
    std::int32_t half;
    if (rest > 0x7F800000)
        half = 0x7E00 | (rest >> 13 & 0x3FF);
    else if (rest >= bits(65520.0f))  // rounds to 2^16
        half = 0x7C00;
    else if (rest < bits(0x1p-14f))  // 0.5 has the spacing of the subnormals
        half = bits(from_bits(rest) + 0.5f) - bits(0.5f);
    else
        half = (rest - (112 << 23) + 0xFFF + (rest >> 13 & 1)) >> 13;
    return {static_cast<std::uint16_t>(sign | half)};
}
SORGUM_HD bfloat16 narrow_to_bfloat16(float x) {
    const std::uint32_t all = static_cast<std::uint32_t>(bits(x)), rest = all & 0x7FFFFFFF;
    if (rest > 0x7F800000)
        return {static_cast<std::uint16_t>(all >> 16 | 0x40)};
    return {static_cast<std::uint16_t>((all + 0x7FFF + (all >> 16 & 1)) >> 16)};
}

SORGUM_ISA_END
