/* The rows of a block of queries while they pass over the keys, shared by block.c (exact) and prefill.c (Algorithm 2). */
#ifndef HS_ATTENTION_BLOCK_H
#define HS_ATTENTION_BLOCK_H

#include "attention/softmax.h"

enum { HS_TILE = 64 }; /* keys, or leaves, at a time */

/* Rows are (query, head) pairs, query-major. Scratch is laid over the caller's. */
typedef struct {
    int head_dim, group, rows;
    float *q, *out;     /* [rows][head_dim]; q times the attention scale, out under exp(peak), not yet divided by the mass */
    float *key_q;       /* [rows][head_dim] q in the rotation that keys are stored in: q itself for f32 keys */
    float *logits;      /* [rows][HS_TILE] */
    float *peak, *mass; /* [rows] */
    float *keys;        /* [head_dim][HS_TILE] transposed, as they are stored */
    float *values;      /* [HS_TILE][head_dim] */
    int *picked;        /* [rows] rows that are evaluated together */
    char *rest;         /* for prefill.c */
} hs_block;

/* Keys first..first+n-1 to keys [head_dim][stride], transposed, and their values to values [n][head_dim]; first is a multiple of 4. */
void hs_block_load(const hs_kv *kv, int first, int n, const hs_block *b, int stride);

/* Algorithm 2 over the leaves of what all queries see. scratch of `rows` rows: b->rest. */
void hs_attend_block_leaves(const hs_kv *kv, const hs_view *view, const hs_attention_params *p, hs_block *b, hs_attention_stats *stats);
size_t hs_block_leaves_scratch_bytes(int head_dim, int rows, int capacity);

#endif
