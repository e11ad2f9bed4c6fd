/* The rows of a block of queries while they pass over the keys, for block.c (exact) and block_leaves.c (Algorithm 2). */
#ifndef HS_ATTENTION_QUERY_BLOCK_H
#define HS_ATTENTION_QUERY_BLOCK_H

#include "kv/kv.h"

enum { HS_TILE = 64 }; /* keys, or leaves, at a time */

/* Rows are (query, head) pairs, query-major. */
typedef struct {
    int head_dim, group, rows;
    float *q, *out;     /* [rows][head_dim]; q times the attention scale, out under exp(peak), not yet divided by the mass */
    float *key_q;       /* [rows][head_dim] q in the rotation that keys are stored in: q itself for f32 keys */
    float *logits;      /* [rows][HS_TILE] */
    float *peak, *mass; /* [rows] */
    float *keys;        /* [head_dim][HS_TILE] transposed, as they are stored */
    float *values;      /* [HS_TILE][head_dim] */
    int *picked;        /* [rows] rows that are evaluated together */
    void *rest;         /* of the scratch, behind these */
} hs_query_block;

/* Bytes of the arrays of so many rows. */
size_t hs_query_block_bytes(int head_dim, int rows);

/*
 * Lays the arrays over hs_query_block_bytes() of scratch, and starts sums of nothing for n queries per head of the group:
 * head h of query i is at q + i * q_stride + h * head_dim. scale: the attention scale.
 */
void hs_query_block_begin(hs_query_block *b, const hs_kv *kv, const float *q, int q_stride, int n, int group, float scale, void *scratch);

/* Keys first..first+n-1 to keys [head_dim][stride], transposed, and their values to values [n][head_dim]; first is a multiple of 4. */
void hs_query_block_load(const hs_kv *kv, int first, int n, const hs_query_block *b, int stride);

/* Divides by the mass, zeros where there is none: the output of head h of query i to out + i * out_stride + h * head_dim. */
void hs_query_block_finish(const hs_query_block *b, float *out, int out_stride);

#endif
