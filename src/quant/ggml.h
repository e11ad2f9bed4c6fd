/*
 * The GGML tensor types that a GGUF file may hold and Halfspace reads, decoded 32 weights at a time into one form:
 * weight = d * u + m with u an unsigned integer. Layouts: ggml/src/ggml-common.h and ggml-quants.c of llama.cpp.
 */
#ifndef HS_QUANT_GGML_H
#define HS_QUANT_GGML_H

#include <stdint.h>

enum {
    HS_GGML_F32 = 0,
    HS_GGML_F16 = 1,
    HS_GGML_Q4_0 = 2,
    HS_GGML_Q4_1 = 3,
    HS_GGML_Q5_0 = 6,
    HS_GGML_Q5_1 = 7,
    HS_GGML_Q8_0 = 8,
    HS_GGML_Q4_K = 12,
    HS_GGML_Q5_K = 13,
    HS_GGML_Q6_K = 14,
    HS_GGML_BF16 = 30,
};

enum { HS_BLOCK = 32 }; /* weights decoded at a time */

/* 32 weights: weight k is d[k / 16] * u[k] + m[k / 16]. */
typedef struct {
    uint8_t u[HS_BLOCK];
    float d[2], m[2];
} hs_block;

/* Weights per stored block of a quantised type (32 or 256), 1 for float types, 0 for a type that is not supported. */
int hs_ggml_block_weights(int type);

/* Bytes per stored block of a type that is supported. */
int hs_ggml_block_bytes(int type);

/* Bytes of one row of `cols` weights; cols must be a multiple of hs_ggml_block_weights(type). */
static inline int64_t hs_ggml_row_bytes(int type, int cols) {
    return (int64_t)cols / hs_ggml_block_weights(type) * hs_ggml_block_bytes(type);
}

/* Decodes weights 32*index .. 32*index+31 of a row of a quantised type. */
void hs_ggml_block(int type, const uint8_t *row, int index, hs_block *out);

#endif
