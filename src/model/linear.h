/* A weight matrix applied to the rows of a batch, split over threads. */
#ifndef HS_MODEL_LINEAR_H
#define HS_MODEL_LINEAR_H

#include "kernels/activations.h"
#include "quant/tensor.h"

/* The rows of a batch as f32 and, for quantised weights, as 16-bit integers (hs_act). */
typedef struct {
    const float *x; /* [n_tokens][cols] */
    int n_tokens;
    hs_act quantized;
} hs_rows;

/* Lays out x [n_tokens][cols]; buffer has hs_act_bytes(cols, n_tokens) bytes. cols is a multiple of 32. */
hs_rows hs_rows_make(const float *x, int cols, int n_tokens, void *buffer);

/* Quantises tokens first..first+n-1: to be done for all before the rows are used. */
void hs_rows_quantize(const hs_rows *rows, int first, int n);

/* y [n_tokens][w->rows]: the products, plus `bias` [w->rows] if not NULL. */
typedef struct {
    const hs_tensor *w;
    const float *bias;
    float *y;
} hs_linear;

/* Several weights applied to the same rows. */
void hs_linear_run(const hs_linear *all, int n, const hs_rows *x);

#endif
