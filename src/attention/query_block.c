#include "attention/query_block.h"

#include "base/memory.h"
#include "kernels/rotate.h"
#include "kernels/unpack.h"

#include <math.h>
#include <string.h>

static size_t lay_out(hs_query_block *b, void *scratch, int head_dim, int rows) {
    size_t d = (size_t)head_dim, n = (size_t)rows, at = 0;
    b->q = hs_carve(scratch, &at, n * d * sizeof(float));
    b->key_q = hs_carve(scratch, &at, n * d * sizeof(float));
    b->out = hs_carve(scratch, &at, n * d * sizeof(float));
    b->logits = hs_carve(scratch, &at, n * HS_TILE * sizeof(float));
    b->peak = hs_carve(scratch, &at, n * sizeof(float));
    b->mass = hs_carve(scratch, &at, n * sizeof(float));
    b->keys = hs_carve(scratch, &at, d * HS_TILE * sizeof(float));
    b->values = hs_carve(scratch, &at, d * HS_TILE * sizeof(float));
    b->picked = hs_carve(scratch, &at, n * sizeof(int));
    b->rest = hs_carve(scratch, &at, 0);
    return at;
}

size_t hs_query_block_bytes(int head_dim, int rows) {
    hs_query_block b;
    return lay_out(&b, NULL, head_dim, rows);
}

void hs_query_block_begin(hs_query_block *b, const hs_kv *kv, const float *q, int q_stride, int n, int group, float scale, void *scratch) {
    int d = kv->head_dim;
    b->head_dim = d;
    b->group = group;
    b->rows = n * group;
    lay_out(b, scratch, d, b->rows);
    for (int row = 0; row < b->rows; row++) {
        const float *from = q + (size_t)(row / b->group) * (size_t)q_stride + (size_t)(row % b->group) * (size_t)d;
        for (int i = 0; i < d; i++) b->q[row * d + i] = from[i] * scale;
        if (kv->type == HS_KV_Q8) hs_rotate(b->q + row * d, d, b->key_q + row * d);
        b->peak[row] = -INFINITY;
        b->mass[row] = 0;
    }
    if (kv->type != HS_KV_Q8) b->key_q = b->q;
    memset(b->out, 0, (size_t)b->rows * (size_t)d * sizeof(float));
}

void hs_query_block_load(const hs_kv *kv, int first, int n, const hs_query_block *b, int stride) {
    size_t d = (size_t)kv->head_dim, at = (size_t)first * d;
    if (kv->type == HS_KV_Q8) {
        hs_transpose_keys(kv->k_high + at / 2, kv->k_low + at / 2, kv->k_scale + first, (n + 3) / 4, kv->head_dim, b->keys, stride);
        hs_unpack_rows(kv->v + at, kv->v_scale + first, n, kv->head_dim, b->values);
        return;
    }
    for (size_t j = 0; j < (size_t)n; j++) {
        for (size_t i = 0; i < d; i++) b->keys[i * (size_t)stride + j] = kv->k_rows[at + j * d + i];
    }
    memcpy(b->values, kv->v_rows + at, (size_t)n * d * sizeof(float));
}

void hs_query_block_finish(const hs_query_block *b, float *out, int out_stride) {
    int d = b->head_dim;
    for (int row = 0; row < b->rows; row++) {
        float *to = out + (size_t)(row / b->group) * (size_t)out_stride + (size_t)(row % b->group) * (size_t)d;
        float inverse = b->mass[row] > 0 ? 1 / b->mass[row] : 0;
        for (int i = 0; i < d; i++) to[i] = b->out[row * d + i] * inverse;
    }
}
