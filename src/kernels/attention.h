/*
 * Attention kernels: products of a group of queries with stored keys, weights, and weighted sums of values.
 *
 * Notation: G queries share a KV head, d = head_dim, keys and planes are laid out as kv/kv.h says. Logits of query g
 * start at out + g * out_stride, one float per key. Scales of int8 rows are bf16. Key ranges are given in groups of four;
 * kernels may write the logits of up to three keys beyond a count that is not a multiple of four.
 */
#ifndef HS_KERNELS_ATTENTION_H
#define HS_KERNELS_ATTENTION_H

#include "kernels/queries.h"

#include <stdint.h>

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

/*
 * C [m][n] += A [m][k] * B [k][n], row-major f32 at a, b, c with row strides lda, ldb, ldc. n is a multiple of 8. Row i of A is at
 * a + a_row[i] * lda, of C at c + c_row[i] * ldc; NULL: i. The inner kernel of prefill attention: A is queries and B
 * transposed keys, or A is weights and B values.
 */
void hs_gemm_f32(const float *a, int lda, const int *a_row, const float *b, int ldb, float *c, int ldc, const int *c_row, int m, int n, int k);
void hs_gemm_f32_scalar(const float *a, int lda, const int *a_row, const float *b, int ldb, float *c, int ldc, const int *c_row, int m, int n, int k);

#endif
