/*
 * exp of four floats, within 2 ULP on [-87, 88]; below -87.3 it gives 0, above 88 it stays at exp(88).
 * exp(x) = 2^n * exp(r) with n = round(x / ln 2), r = x - n ln 2 in two parts (Cody-Waite), |r| <= 0.347;
 * exp(r) by the Taylor-like minimax polynomial of Cephes' expf.
 */
#ifndef HS_WASM_SIMD_EXP_H
#define HS_WASM_SIMD_EXP_H

#include "simd.h"

static inline v128_t hs_exp_f32x4(v128_t x) {
    v128_t in_range = wasm_f32x4_gt(x, wasm_f32x4_splat(-87.3f));
    x = wasm_f32x4_pmax(wasm_f32x4_pmin(x, wasm_f32x4_splat(88.0f)), wasm_f32x4_splat(-87.3f));
    v128_t n = wasm_f32x4_nearest(wasm_f32x4_mul(x, wasm_f32x4_splat(1.44269504f)));
    v128_t r = hs_fma(n, wasm_f32x4_splat(-0.693359375f), x);
    r = hs_fma(n, wasm_f32x4_splat(2.12194440e-4f), r);
    v128_t p = wasm_f32x4_splat(1.9875691500e-4f);
    p = hs_fma(p, r, wasm_f32x4_splat(1.3981999507e-3f));
    p = hs_fma(p, r, wasm_f32x4_splat(8.3334519073e-3f));
    p = hs_fma(p, r, wasm_f32x4_splat(4.1665795894e-2f));
    p = hs_fma(p, r, wasm_f32x4_splat(1.6666665459e-1f));
    p = hs_fma(p, r, wasm_f32x4_splat(5.0000001201e-1f));
    p = hs_fma(wasm_f32x4_mul(r, r), p, wasm_f32x4_add(r, wasm_f32x4_splat(1)));
    v128_t exponent = wasm_i32x4_shl(wasm_i32x4_trunc_sat_f32x4(n), 23);
    return wasm_v128_and(in_range, wasm_i32x4_add(p, exponent));
}

#endif
