/* IEEE 754 binary16 and bfloat16, one value at a time (weights' scales; kernels convert vectors themselves). */
#ifndef HS_BASE_F16_H
#define HS_BASE_F16_H

#include <stdint.h>
#include <string.h>

/* The float of these bits. */
static inline float hs_bits_to_f32(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* The bits of x. */
static inline uint32_t hs_f32_to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

/* The float of bf16 bits h; exact. */
static inline float hs_bf16_to_f32(uint16_t h) {
    return hs_bits_to_f32((uint32_t)h << 16);
}

/* The least bf16 that is not below x; x >= 0 and finite, at most 3.3e38. */
static inline uint16_t hs_f32_to_bf16_up(float x) {
    return (uint16_t)((hs_f32_to_bits(x) + 0xffff) >> 16);
}

/* The float of f16 bits h; exact. Moving exponent and mantissa into place leaves the value 2^112 too small, denormals included. */
static inline float hs_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = (uint32_t)(h & 0x7fff) << 13;
    if (magnitude >= 0x7c00u << 13) return hs_bits_to_f32(sign | magnitude | 0x7f800000); /* infinity, NaN */
    return hs_bits_to_f32(sign | hs_f32_to_bits(hs_bits_to_f32(magnitude) * 0x1p112f));
}

/* The f16 bits of x. Rounds to nearest even; beyond the range gives infinity. */
static inline uint16_t hs_f32_to_f16(float x) {
    uint32_t bits = hs_f32_to_bits(x);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return sign | 0x7e00;
    if (bits >= 0x477ff000) return sign | 0x7c00;
    if (bits < 0x38800000) { /* denormal: adding 0.5 makes the FPU round at 2^-24 */
        return (uint16_t)(sign | (hs_f32_to_bits(hs_bits_to_f32(bits) + 0.5f) - 0x3f000000));
    }
    return (uint16_t)(sign | ((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13));
}

#endif
