/* Order among many keys: the r-th largest of floats, and (position, product) pairs sorted as 64-bit integers. */
#ifndef HS_HSR_RANK_H
#define HS_HSR_RANK_H

#include "base/f16.h"

#include <stdint.h>

typedef uint64_t hs_ranked;

/* An integer that grows with x; the two zeros are one. */
static inline uint32_t hs_rising_bits(float x) {
    uint32_t bits = hs_f32_to_bits(x + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* The float whose rising bits these are. */
static inline float hs_from_rising_bits(uint32_t bits) {
    return hs_bits_to_f32(bits >> 31 ? bits & 0x7fffffffu : ~bits);
}

/* Pairs of which the lesser one has the lesser position, or the larger product (equal ones: the lesser position). */
static inline hs_ranked hs_by_position(int position, float product) {
    return (hs_ranked)(uint32_t)position << 32 | hs_f32_to_bits(product);
}
static inline hs_ranked hs_by_product(int position, float product) {
    return (hs_ranked)~hs_rising_bits(product) << 32 | (uint32_t)position;
}

/* What such a pair holds: of one by_position, and of one by_product. */
static inline int hs_position_of(hs_ranked by_position) {
    return (int)(by_position >> 32);
}
static inline float hs_product_of(hs_ranked by_position) {
    return hs_bits_to_f32((uint32_t)by_position);
}
static inline int hs_top_position(hs_ranked by_product) {
    return (int)(uint32_t)by_product;
}
static inline float hs_top_product(hs_ranked by_product) {
    return hs_from_rising_bits(~(uint32_t)(by_product >> 32));
}

/* Sorts n pairs, ascending, in linear time; spare [n]. */
void hs_rank_sort(hs_ranked *pairs, hs_ranked *spare, int n);

/* The r-th largest of x [n], none of them NaN, 1 <= r <= n; in linear time. */
float hs_rth_largest(const float *x, int n, int r);

#endif
