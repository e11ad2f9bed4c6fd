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

#include "kernels/activations.h"
#include "quant/tensor.h"

/* Quantises tokens first..first+n-1 of x [n_tokens][cols]. */
void hs_act_quantize(const float *x, int first, int n, const hs_act *a);
void hs_act_quantize_scalar(const float *x, int first, int n, const hs_act *a);

/* Rows 4*group .. 4*group+3 of a tiled weight times every token; y [n_tokens] rows of y_stride floats, 4 written at y. */
void hs_matmul_tile(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride);
void hs_matmul_tile_scalar(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride);

/* Row `row` of a float weight times x [n_tokens][w->cols]; one float per token at y. */
void hs_matmul_float_row(const hs_tensor *w, int row, const float *x, int n_tokens, float *y, int y_stride);
void hs_matmul_float_row_scalar(const hs_tensor *w, int row, const float *x, int n_tokens, float *y, int y_stride);

#endif
