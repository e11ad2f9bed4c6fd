/*
 * 128-bit SIMD for every kernel: the wasm intrinsics themselves, or SIMDe's emulation of them in native test builds.
 * HS_RELAXED selects the relaxed-SIMD forms. Natively it is given by -DHS_RELAXED, so that both forms are tested.
 */
#ifndef HS_WASM_SIMD_H
#define HS_WASM_SIMD_H

#ifdef __wasm__
#include <wasm_simd128.h>
#ifdef __wasm_relaxed_simd__
#define HS_RELAXED 1
#endif
#else
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/wasm/simd128.h>
#endif

#include <stdint.h>

/* Kernels get constants (a number of queries, a loader) where they are inlined; left to itself the compiler merges the copies again. */
#define HS_INLINE static inline __attribute__((always_inline))

/* 0, which the compiler cannot see. */
extern const int32_t hs_unseen_zero;

/*
 * x, a constant that a loop is to keep. V8 builds a v128.const anew at each use, in up to three instructions; what it cannot see
 * to be constant it computes once, and keeps in a register or on the stack.
 */
HS_INLINE v128_t hs_kept(v128_t x) {
    return wasm_v128_xor(x, wasm_v128_load32_splat(&hs_unseen_zero));
}

/* Lane i of x in all lanes. Of four such lanes one load is shared; V8 takes two instructions for each v128.load32_splat. */
#define HS_LANE(x, i) wasm_i32x4_shuffle(x, x, i, i, i, i)

/* HS_LANE() of x for a lane i that is known where this is inlined. */
HS_INLINE v128_t hs_lane(v128_t x, int i) {
    return i == 0 ? HS_LANE(x, 0) : i == 1 ? HS_LANE(x, 1)
                                : i == 2   ? HS_LANE(x, 2)
                                           : HS_LANE(x, 3);
}

/* a * b + c; one rounding or two, as the machine likes (relaxed_madd), so results may differ in the last bit across CPUs. */
HS_INLINE v128_t hs_fma(v128_t a, v128_t b, v128_t c) {
#if defined(HS_RELAXED) && defined(__wasm__)
    return wasm_f32x4_relaxed_madd(a, b, c);
#else
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
#endif
}

/*
 * i16x8 of a[2i]*b[2i] + a[2i+1]*b[2i+1], for a in -128..127 and b in 0..127: the range in which
 * i16x8.relaxed_dot_i8x16_i7x16_s is fully determined by the specification. One pmaddubsw on x86.
 * Kernels that run well without relaxed SIMD do not call the fallback: they use i32x4.dot_i16x8_s instead.
 */
HS_INLINE v128_t hs_dot_i7(v128_t a, v128_t b) {
#if defined(HS_RELAXED) && defined(__wasm__)
    return wasm_i16x8_relaxed_dot_i8x16_i7x16(a, b);
#elif defined(HS_RELAXED) && defined(__SSSE3__)
    return (v128_t)_mm_maddubs_epi16((__m128i)b, (__m128i)a);
#else
    v128_t even = wasm_i16x8_mul(wasm_i16x8_shr(wasm_i16x8_shl(a, 8), 8), wasm_v128_and(b, wasm_i16x8_splat(0xff)));
    v128_t odd = wasm_i16x8_mul(wasm_i16x8_shr(a, 8), wasm_u16x8_shr(b, 8));
    return wasm_i16x8_add(even, odd);
#endif
}

/* x: floats of magnitude below 2^31, none of them NaN, to integers. */
HS_INLINE v128_t hs_truncate_small(v128_t x) {
#if defined(HS_RELAXED) && defined(__wasm__)
    return wasm_i32x4_relaxed_trunc_f32x4(x);
#else
    return wasm_i32x4_trunc_sat_f32x4(x);
#endif
}

/* Four bf16 from x on as f32. */
HS_INLINE v128_t hs_load_bf16x4(const void *x) {
    return wasm_i32x4_shl(wasm_u32x4_load16x4(x), 16);
}

/*
 * Bytes high << 4 | low of vectors of two planes of nibbles (kernels/planes.h): those of the low nibbles to first, of the high ones
 * to second. low_mask: 15 in every byte; high_mask: 0xf0.
 */
HS_INLINE void hs_join_nibbles(v128_t high, v128_t low, v128_t low_mask, v128_t high_mask, v128_t *first, v128_t *second) {
    *first = wasm_v128_or(wasm_v128_and(wasm_i16x8_shl(high, 4), high_mask), wasm_v128_and(low, low_mask));
    *second = wasm_v128_or(wasm_v128_and(high, high_mask), wasm_v128_and(wasm_u16x8_shr(low, 4), low_mask));
}

/* The sum of the lanes of v. */
HS_INLINE float hs_sum_f32x4(v128_t v) {
    v = wasm_f32x4_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    v = wasm_f32x4_add(v, wasm_i32x4_shuffle(v, v, 1, 0, 3, 2));
    return wasm_f32x4_extract_lane(v, 0);
}

#endif
