/*
 * Matrix products: y[token][row] = sum over columns of weight[row][column] * x[token][column].
 *
 * Quantised weights meet activations quantised per token and block of 32 to 16 bits: x = scale * q, |q| <= HS_ACT_MOST. With
 * weight = d*u + m a block contributes scale * (d * sum(u*q) + m * sum(q)), the first sum in exact integers
 * (32 * 255 * 32767 < 2^31). With eight bits, evaluating the same keys of SmolLM2 in another order moved its output by
 * KL 0.002, as much as sparse attention may: a rounding that differs in one layer changes roundings in the next.
 */
#ifndef HS_KERNELS_MATMUL_H
#define HS_KERNELS_MATMUL_H

#include "quant/ggml.h"
#include "quant/tensor.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Quantised activations of n_tokens rows, block-major: block b of token t is element b * n_tokens + t. Each group of four
 * integers is stored in the order 0, 2, 1, 3, to meet the even and odd bytes of a weight vector.
 */
typedef struct {
    float scale;       /* times 2^112: the factor that f16 scales lack after their bits were moved into an f32 */
    float sum;         /* sum of q over the block */
    float sum_half[2]; /* over its first and second 16 */
} hs_act_meta;

typedef struct {
    int16_t *q;        /* [n_blocks][n_tokens][HS_BLOCK] */
    int8_t *split;     /* [n_blocks][n_tokens][2][HS_BLOCK] q = 256 * first + second, in column order: for 8-bit dot products */
    hs_act_meta *meta; /* [n_blocks][n_tokens] */
    int n_blocks, n_tokens;
} hs_act;

/* 127 * 256 + 127: both halves of q then fit int8, and their signs need no care. */
enum { HS_ACT_MOST = 32639 };

/* Blocks of no larger activation are zero: 1 / scale would leave the floats. */
#define HS_ACT_LEAST 1e-30f

/* Bytes for n_tokens rows of cols columns; hs_act_bind() lays an hs_act over such a buffer. cols is a multiple of 32. */
size_t hs_act_bytes(int cols, int n_tokens);
void hs_act_bind(hs_act *a, void *buffer, int cols, int n_tokens);

/* q of one activation, wherever the layout keeps it. */
int hs_act_value(const hs_act *a, int block, int token, int k);

/* Quantises tokens first..first+n-1 of x [n_tokens][cols], rows x_stride floats apart. */
void hs_act_quantize(const float *x, int x_stride, int first, int n, const hs_act *a);
void hs_act_quantize_scalar(const float *x, int x_stride, int first, int n, const hs_act *a);

/* Rows 4*group .. 4*group+3 of a tiled weight times every token; y [n_tokens] rows of y_stride floats, 4 written at y. */
void hs_matmul_tile(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride);
void hs_matmul_tile_scalar(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride);

/* Row `row` of a float weight times n_tokens rows of f32 activations; one float per token at y. */
void hs_matmul_float_row(const hs_tensor *w, int row, const float *x, int x_stride, int n_tokens, float *y, int y_stride);
void hs_matmul_float_row_scalar(const hs_tensor *w, int row, const float *x, int x_stride, int n_tokens, float *y, int y_stride);

#endif
