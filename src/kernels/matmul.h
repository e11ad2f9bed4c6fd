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
 * Quantised activations of n_tokens rows, block by block. A lone token has its own layout; otherwise tokens go in fours, the
 * lanes of a vector, so that a weight is broadcast once for all tokens and an activation never. The last four may be filled
 * up with tokens that nobody reads.
 */
typedef struct {
    int16_t *q;     /* [n_blocks][n_tokens][HS_BLOCK], each four integers in the order 0, 2, 1, 3, to meet even and odd bytes */
    int8_t *split;  /* [n_blocks][groups][2][HS_BLOCK / 4][lanes][4] q = 256 * first + second: for 8-bit dot products */
    float *numbers; /* [n_blocks][groups][HS_ACT_NUMBERS][lanes] */
    int n_blocks, n_tokens;
    int lanes, groups; /* 1 or 4 tokens in a group; n_tokens / lanes of them, rounded up */
} hs_act;

/* Of a block of a token. */
enum {
    HS_ACT_SCALE,      /* times 2^112: the factor that f16 scales lack after their bits were moved into an f32 */
    HS_ACT_SUM,        /* of q over the block */
    HS_ACT_SUM_FIRST,  /* over its first 16 */
    HS_ACT_SUM_SECOND, /* over its second 16 */
    HS_ACT_NUMBERS
};

/* 127 * 256 + 127: both halves of q then fit int8, and their signs need no care. */
enum { HS_ACT_MOST = 32639 };

/* Blocks of no larger activation are zero: 1 / scale would leave the floats. */
#define HS_ACT_LEAST 1e-30f

/* Bytes for n_tokens rows of cols columns; hs_act_bind() lays an hs_act over such a buffer. cols is a multiple of 32. */
size_t hs_act_bytes(int cols, int n_tokens);
void hs_act_bind(hs_act *a, void *buffer, int cols, int n_tokens);

/* q of activation k (0..31) of a block of a token, wherever the layout keeps it. */
int hs_act_value(const hs_act *a, int block, int token, int k);

/* Where a block of a token has its first number, and its first byte in `split`; from one number to the next it is `lanes`. */
static inline float *hs_act_numbers(const hs_act *a, int block, int token) {
    return a->numbers + ((size_t)block * (size_t)a->groups + (size_t)(token / a->lanes)) * (size_t)(HS_ACT_NUMBERS * a->lanes) + token % a->lanes;
}
static inline int8_t *hs_act_split(const hs_act *a, int block, int token) {
    return a->split + ((size_t)block * (size_t)a->groups + (size_t)(token / a->lanes)) * (size_t)(2 * HS_BLOCK * a->lanes) + 4 * (token % a->lanes);
}

/* Quantises tokens first..first+n-1 of x [n_tokens][cols], rows x_stride floats apart. */
void hs_act_quantize(const float *x, int x_stride, int first, int n, const hs_act *a);
void hs_act_quantize_scalar(const float *x, int x_stride, int first, int n, const hs_act *a);

/* Rows 4*group .. 4*group+3 of a tiled weight times every token; y [n_tokens] rows of y_stride floats, 4 written at y. */
void hs_matmul_tile(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride);
void hs_matmul_tile_scalar(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride);

/* Row `row` of a float weight times n_tokens rows x of f32 activations; one float per token at y. */
void hs_matmul_float_row(const hs_tensor *w, int row, const float *x, int x_stride, int n_tokens, float *y, int y_stride);
void hs_matmul_float_row_scalar(const hs_tensor *w, int row, const float *x, int x_stride, int n_tokens, float *y, int y_stride);

#endif
