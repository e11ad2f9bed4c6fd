/*
 * Stored int8 keys and values as f32, for matrix products with many queries (hs_gemm_f32()): values row by row, keys and leaf
 * centroids transposed. Scales of rows are bf16; head_dim is a multiple of 8.
 */
#ifndef HS_KERNELS_UNPACK_H
#define HS_KERNELS_UNPACK_H

#include <stdint.h>

/* out [n][head_dim] = scale[j] * rows [n][head_dim]. */
void hs_unpack_rows(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out);
void hs_unpack_rows_scalar(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out);

/* out [head_dim][stride]: out[i * stride + j] = scale[j] * rows[j][i], j < n. Columns from n to the next multiple of four become zero. */
void hs_transpose_rows(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out, int stride);
void hs_transpose_rows_scalar(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out, int stride);

/*
 * The same for the keys of n_groups groups of four in two planes of nibbles (kv/kv.h), in the rotation that they are stored
 * in (kernels/rotate.h): to be multiplied with rotated queries.
 */
void hs_transpose_keys(const uint8_t *high, const uint8_t *low, const uint16_t *scale, int n_groups, int head_dim, float *out, int stride);
void hs_transpose_keys_scalar(const uint8_t *high, const uint8_t *low, const uint16_t *scale, int n_groups, int head_dim, float *out, int stride);

#endif
