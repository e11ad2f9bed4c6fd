/* Activations as the products with quantised weights want them (kernels/matmul.h): integers of 16 bits, block by block. */
#ifndef HS_KERNELS_ACTIVATIONS_H
#define HS_KERNELS_ACTIVATIONS_H

#include "quant/ggml.h"

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

/* Where a block of a token has its first number, and its first byte in `split`; from one number to the next it is `lanes`. */
static inline float *hs_act_numbers(const hs_act *a, int block, int token) {
    return a->numbers + ((size_t)block * (size_t)a->groups + (size_t)(token / a->lanes)) * (size_t)(HS_ACT_NUMBERS * a->lanes) + token % a->lanes;
}
static inline int8_t *hs_act_split(const hs_act *a, int block, int token) {
    return a->split + ((size_t)block * (size_t)a->groups + (size_t)(token / a->lanes)) * (size_t)(2 * HS_BLOCK * a->lanes) + 4 * (token % a->lanes);
}

/* q of activation k (0..31) of a block of a token, wherever the layout keeps it. */
int hs_act_value(const hs_act *a, int block, int token, int k);

#endif
