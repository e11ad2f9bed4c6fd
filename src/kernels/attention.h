/*
 * Attention kernels: products of a group of queries with stored keys, weights, and weighted sums of values.
 *
 * Notation: G queries share a KV head, d = head_dim, keys and planes are laid out as kv/kv.h says. Logits of query g
 * start at out + g * out_stride, one float per key. Scales of int8 rows are bf16. Key ranges are given in groups of four;
 * kernels may write the logits of up to three keys beyond a count that is not a multiple of four.
 */
#ifndef HS_KERNELS_ATTENTION_H
#define HS_KERNELS_ATTENTION_H

#include "base/hs.h"

#include <stdint.h>

/* The queries of a KV head, prepared once for all keys. Scales include the attention scale. */
typedef struct {
    int group, head_dim;
    float rows[HS_MAX_GROUP][HS_MAX_HEAD_DIM];   /* q * attention scale */
    int16_t wide[HS_MAX_GROUP][HS_MAX_HEAD_DIM]; /* round(R rows / wide_scale) (kernels/rotate.h), |.| <= 32767; each four dims as 0, 2, 1, 3 */
    float wide_scale[HS_MAX_GROUP];
    int32_t wide_offset[HS_MAX_GROUP];                  /* -128 * sum of wide: keys are stored as u = value + 128 */
    int8_t narrow[HS_MAX_GROUP][HS_MAX_HEAD_DIM];       /* round(R rows / narrow_scale), |.| <= 127, in order (relaxed SIMD) */
    int16_t narrow_wide[HS_MAX_GROUP][HS_MAX_HEAD_DIM]; /* the same as int16, each four dims as 0, 2, 1, 3 (SIMD128) */
    float screen_scale[HS_MAX_GROUP];                   /* 16 * narrow_scale: the weight of a high nibble */
    float screen_offset[HS_MAX_GROUP];                  /* narrow_scale * sum(narrow) * (7.5 - 128): low nibbles at their middle, and the offset of u */
    float screen_variance[HS_MAX_GROUP];                /* half the variance of <q, missing low nibbles> per squared key scale */
    /* How far products may be from <row, key> (hsr/bound.h), rounded up. */
    float norm[HS_MAX_GROUP];         /* |row|: error per unit of the key's distance from its screened form */
    float screen_error[HS_MAX_GROUP]; /* per unit of |screened form|, hs_screen() without its bias: the query was rounded to 8 bits */
    float q8_error[HS_MAX_GROUP];     /* per unit of |key|, hs_logits_q8(): the query was rounded to 16 bits */
    float f32_error[HS_MAX_GROUP];    /* the same, hs_logits_rows_f32(): summation in f32 */
} hs_queries;

/* Prepares `group` rows of head_dim floats. scale: the attention scale, which they are multiplied with. */
void hs_queries_prepare(hs_queries *q, const float *rows, int group, int head_dim, float scale);

/* Exact logits with int8 keys: out = k_scale * <q, key>, q to 16 bits (error below |q|_inf * 2^-16 per dim). */
void hs_logits_q8(const hs_queries *q, const uint8_t *high, const uint8_t *low, const uint16_t *k_scale, int n_groups, float *out, int out_stride);
void hs_logits_q8_scalar(const hs_queries *q, const uint8_t *high, const uint8_t *low, const uint16_t *k_scale, int n_groups, float *out, int out_stride);

/*
 * Logits from the high nibbles alone and q to 8 bits, less half the variance of what the low nibbles would add (at most 0.5):
 * exp(out) then has the mean of exp(logit) over the unknown nibbles.
 */
void hs_screen(const hs_queries *q, const uint8_t *high, const uint16_t *k_scale, int n_groups, float *out, int out_stride);
void hs_screen_scalar(const hs_queries *q, const uint8_t *high, const uint16_t *k_scale, int n_groups, float *out, int out_stride);

/* Logits of int8 rows (leaf centroids) in row-major order: out = scale * <q, row>, q in f32. */
void hs_logits_rows_i8(const hs_queries *q, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride);
void hs_logits_rows_i8_scalar(const hs_queries *q, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride);

/*
 * Rows to multiply int8 rows with by integer dots: wide = round(row / scale), |.| <= 32767, so that products are off by at
 * most |int8 row|_1 * scale / 2. For leaf centroids and spreads, which are estimates themselves.
 */
typedef struct {
    int group, head_dim;
    int16_t wide[HS_MAX_GROUP][HS_MAX_HEAD_DIM];
    float scale[HS_MAX_GROUP];
} hs_wide_rows;

/* Makes row [head_dim] the wide row g. */
void hs_widen(hs_wide_rows *w, int g, const float *row, int head_dim);

/* out = scale * <wide row, int8 row of rows [n][head_dim]>. 32767 * 127 * 256 dims < 2^31. */
void hs_wide_products(const hs_wide_rows *w, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride);
void hs_wide_products_scalar(const hs_wide_rows *w, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride);

/* Logits of f32 rows. */
void hs_logits_rows_f32(const hs_queries *q, const float *rows, int n, float *out, int out_stride);
void hs_logits_rows_f32_scalar(const hs_queries *q, const float *rows, int n, float *out, int out_stride);

/*
 * out [g][d] += sum over j < n of w[g * w_stride + j] * row(j), with row(j) = scale[i] * rows[i], i = index ? index[j] : j.
 * The int8 form scales the weights in place first.
 */
void hs_accumulate_i8(float *w, int w_stride, const int8_t *rows, const uint16_t *scale, const int *index, int n, int group, int head_dim, float *out);
void hs_accumulate_i8_scalar(float *w, int w_stride, const int8_t *rows, const uint16_t *scale, const int *index, int n, int group, int head_dim, float *out);
void hs_accumulate_f32(const float *w, int w_stride, const float *rows, const int *index, int n, int group, int head_dim, float *out);
void hs_accumulate_f32_scalar(const float *w, int w_stride, const float *rows, const int *index, int n, int group, int head_dim, float *out);

/* Largest of x [n], n >= 1. */
float hs_max_f32(const float *x, int n);
float hs_max_f32_scalar(const float *x, int n);

/* Sum of x [n]. */
float hs_sum_f32(const float *x, int n);
float hs_sum_f32_scalar(const float *x, int n);

/* Bit i is set where x[i] >= least, i < 16. */
unsigned hs_at_least_16(const float *x, float least);
unsigned hs_at_least_16_scalar(const float *x, float least);

/*
 * Sorts the 16 keys of a leaf by the weights that `group` queries give to them: w[g * stride + i]. A key is a hit when its
 * bit in `forced` is set or a query's weight reaches most[g], else middling when one reaches least[g]. Returns the bits of
 * the hits, and those of the middling keys from bit 16 on; unhit [group] are the sums of each query's weights over keys that
 * are no hits, rest [group] those over keys that are neither.
 */
unsigned hs_sort_leaf(const float *w, int stride, int group, unsigned forced, const float *most, const float *least, float *unhit, float *rest);
unsigned hs_sort_leaf_scalar(const float *w, int stride, int group, unsigned forced, const float *most, const float *least, float *unhit, float *rest);

/* x [n] = exp(x - shift) in place, 2 ULP; returns the sum. */
float hs_exp_sum(float *x, int n, float shift);
float hs_exp_sum_scalar(float *x, int n, float shift);

/* Inner product of a and b, and y += a * x; d floats, a multiple of 4. */
float hs_dot_f32(const float *a, const float *b, int d);
float hs_dot_f32_scalar(const float *a, const float *b, int d);
void hs_axpy_f32(float *y, float a, const float *x, int d);

/*
 * C [m][n] += A [m][k] * B [k][n], row-major f32 at a, b, c with row strides lda, ldb, ldc. n is a multiple of 8. Row i of A is at
 * a + a_row[i] * lda, of C at c + c_row[i] * ldc; NULL: i. The inner kernel of prefill attention: A is queries and B
 * transposed keys, or A is weights and B values.
 */
void hs_gemm_f32(const float *a, int lda, const int *a_row, const float *b, int ldb, float *c, int ldc, const int *c_row, int m, int n, int k);
void hs_gemm_f32_scalar(const float *a, int lda, const int *a_row, const float *b, int ldb, float *c, int ldc, const int *c_row, int m, int n, int k);

#endif
