/*
 * exp of four floats, within 2 ULP on [-87, 88]; below -87.3 it gives 0, above 88 it stays at exp(88).
 * exp(x) = 2^n * exp(r) with n = round(x / ln 2), r = x - n ln 2 in two parts (Cody-Waite), |r| <= 0.347;
 * exp(r) by the Taylor-like minimax polynomial of Cephes' expf.
 */
#ifndef HS_WASM_SIMD_EXP_H
#define HS_WASM_SIMD_EXP_H

#include "simd.h"

/* What a loop keeps for it. */
typedef struct {
    v128_t least, most, log2e, ln2_high, ln2_low, p5, p4, p3, p2, p1, p0, one;
} hs_exp_constants;

/* The constants, in registers. */
HS_INLINE hs_exp_constants hs_exp_keep(void) {
    return (hs_exp_constants){
        hs_kept(wasm_f32x4_splat(-87.3f)),
        hs_kept(wasm_f32x4_splat(88.0f)),
        hs_kept(wasm_f32x4_splat(1.44269504f)),
        hs_kept(wasm_f32x4_splat(-0.693359375f)),
        hs_kept(wasm_f32x4_splat(2.12194440e-4f)),
        hs_kept(wasm_f32x4_splat(1.9875691500e-4f)),
        hs_kept(wasm_f32x4_splat(1.3981999507e-3f)),
        hs_kept(wasm_f32x4_splat(8.3334519073e-3f)),
        hs_kept(wasm_f32x4_splat(4.1665795894e-2f)),
        hs_kept(wasm_f32x4_splat(1.6666665459e-1f)),
        hs_kept(wasm_f32x4_splat(5.0000001201e-1f)),
        hs_kept(wasm_f32x4_splat(1)),
    };
}

/* exp of the lanes of x. */
HS_INLINE v128_t hs_exp_f32x4(v128_t x, const hs_exp_constants *c) {
    v128_t in_range = wasm_f32x4_gt(x, c->least);
    x = wasm_f32x4_pmax(wasm_f32x4_pmin(x, c->most), c->least);
    v128_t n = wasm_f32x4_nearest(wasm_f32x4_mul(x, c->log2e));
    v128_t r = hs_fma(n, c->ln2_low, hs_fma(n, c->ln2_high, x));
    v128_t p = hs_fma(c->p5, r, c->p4);
    p = hs_fma(p, r, c->p3);
    p = hs_fma(p, r, c->p2);
    p = hs_fma(p, r, c->p1);
    p = hs_fma(p, r, c->p0);
    p = hs_fma(wasm_f32x4_mul(r, r), p, wasm_f32x4_add(r, c->one));
    /* n is a small integer: the lax conversion is one instruction where it may be. */
    v128_t exponent = wasm_i32x4_shl(hs_truncate_small(n), 23);
    return wasm_v128_and(in_range, wasm_i32x4_add(p, exponent));
}

#endif
