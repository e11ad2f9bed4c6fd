/* Attention kernels: each `hs_foo` is SIMD (wasm/attention_simd.c), each `hs_foo_scalar` its portable
 * reference (attention_scalar.c). The two agree bit for bit in integers and to float summation order
 * elsewhere; tests/native/test_attention_kernels.c holds them together.
 *
 * Layouts. Keys come in quads of 4 and leaves of 16 (4 quads), so that one 16-byte vector holds 4 keys x
 * 4 dims and a dot product leaves its 4 results in the 4 lanes of one vector: no horizontal sums.
 *   nibble plane  uint8 [quad][dim/8][4 keys][4]   low nibble: dim 8v+j, high nibble: dim 8v+4+j
 *                 an int8 key x is stored as x+128 = 16*hi + lo, hi and lo in one plane each
 *   key tile      int16 [quad][dim/4][4 keys][4 dims]      an unpacked int8 key
 *   float keys    float [quad][dim][4 keys]
 *   values        int8 or float [key][dim], rows
 *   value pairs   int16 [key/2][dim][2 keys]               so that one i16 dot sums two keys
 * dim is a multiple of 8, key counts are multiples of 4 (value pairs: of 2). Pointers are 16-byte aligned
 * except rows of queries and outputs, which need only their type's alignment. */
#ifndef HS_KERNELS_ATTENTION_H
#define HS_KERNELS_ATTENTION_H

#include <stdint.h>

enum { HS_QUAD = 4, HS_LEAF = 16 };

/* A logit below every real one: exp() of it is exactly 0. */
#define HS_MASKED (-3.0e38f)

#define HS_ATTENTION_KERNELS(X) \
    /* int8 keys out of their two nibble planes: out key tile [quads][dim/4][4][4] */ \
    X(void, hs_unpack_keys, (const uint8_t *hi, const uint8_t *lo, int quads, int dim, int16_t *out)) \
    /* int8 value rows to value pairs */ \
    X(void, hs_pair_values, (const int8_t *v, int keys, int dim, int16_t *out)) \
    /* out[r][key] = q_scale[r] * k_scale[key] * <q[r], k[key]>; |q| <= 32767, |k| <= 128, dim <= 256 */ \
    X(void, hs_scores_i16, \
      (const int16_t *q, const float *q_scale, int rows, const int16_t *k, const float *k_scale, int quads, int dim, \
       float *out, int out_stride)) \
    /* out[r][key] = <q[r], k[key]>, float keys */ \
    X(void, hs_scores_f32, (const float *q, int rows, const float *k, int quads, int dim, float *out, int out_stride)) \
    /* the largest of x[0..n) */ \
    X(float, hs_row_max, (const float *x, int n)) \
    /* x[i] = exp(x[i] - shift), x[i] <= shift; returns their sum. At most 2 ULP off; 0 below exp(-87) */ \
    X(float, hs_exp_row, (float *x, int n, float shift)) \
    /* x[i] = cap * tanh(x[i] / cap); HS_MASKED stays */ \
    X(void, hs_softcap_row, (float *x, int n, float cap)) \
    /* out[i] = round(w[i] * v_scale[i] / s) with s = max / 32767; returns s (0 when all are 0); w, v_scale >= 0 */ \
    X(float, hs_weigh_row, (const float *w, const float *v_scale, int n, int16_t *out)) \
    /* acc[r][j] += w_scale[r] * sum over keys of w[r][key] * v[key][j]; pairs <= 128 */ \
    X(void, hs_values_i16, \
      (const int16_t *w, int w_stride, const float *w_scale, int rows, const int16_t *v, int pairs, int dim, float *acc)) \
    /* acc[r][j] += sum over keys of w[r][key] * v[key][j] */ \
    X(void, hs_values_f32, (const float *w, int w_stride, int rows, const float *v, int keys, int dim, float *acc)) \
    /* x[i] *= factor */ \
    X(void, hs_scale_row, (float *x, int n, float factor))

#define HS_DECLARE(type, name, args) \
    type name args; \
    type name##_scalar args;
HS_ATTENTION_KERNELS(HS_DECLARE)
#undef HS_DECLARE

#endif
