/*
 * Causal attention of a block of queries, exact: for each run of TILE keys the logits of all queries by one matrix product
 * with the transposed keys, weights in place, and the values by a second product. Keys and values are unpacked once per
 * run for all queries and heads of the group.
 */
#include "attention/softmax.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

enum { TILE = 64 };

/* Rows are (query, head) pairs, query-major. */
typedef struct {
    float *q, *out;     /* [rows][head_dim] */
    float *logits;      /* [rows][TILE] */
    float *peak, *mass; /* [rows] */
    float *keys;        /* [head_dim][TILE] transposed */
    float *values;      /* [TILE][head_dim] */
    size_t bytes;
} block_scratch;

static block_scratch lay_out(char *base, int head_dim, int rows) {
    block_scratch s = {0};
    float **const parts[] = {&s.q, &s.out, &s.logits, &s.peak, &s.mass, &s.keys, &s.values};
    const size_t d = (size_t)head_dim, n = (size_t)rows;
    const size_t floats[] = {n * d, n * d, n * TILE, n, n, d * TILE, d * TILE};
    for (int i = 0; i < 7; i++) {
        *parts[i] = base ? (float *)(void *)(base + s.bytes) : NULL;
        s.bytes += hs_align_up(floats[i] * sizeof(float));
    }
    return s;
}

size_t hs_attend_block_scratch_bytes(int head_dim, int group, int max_block) {
    return lay_out(NULL, head_dim, group * max_block).bytes;
}

static void load_tile(const hs_kv *kv, int first, int n, const block_scratch *s) {
    int d = kv->head_dim;
    float key[HS_MAX_HEAD_DIM];
    for (int j = 0; j < TILE; j++) {
        if (j < n)
            hs_kv_key(kv, first + j, key);
        else
            memset(key, 0, sizeof key);
        for (int i = 0; i < d; i++) s->keys[i * TILE + j] = key[i];
        if (j < n)
            hs_kv_value(kv, first + j, s->values + (size_t)j * (size_t)d);
        else
            memset(s->values + (size_t)j * (size_t)d, 0, (size_t)d * sizeof(float));
    }
}

/* Weights of one row from its logits: keys from..to-1 of the tile are visible. */
static void weigh_row(const block_scratch *s, int row, int from, int to, int head_dim) {
    float *logits = s->logits + row * TILE, *out = s->out + (size_t)row * (size_t)head_dim;
    if (from >= to) { /* the tile lies after the query, or before its window */
        memset(logits, 0, TILE * sizeof(float));
        return;
    }
    for (int j = 0; j < from; j++) logits[j] = -INFINITY;
    for (int j = to; j < TILE; j++) logits[j] = -INFINITY;
    hs_raise_peak(hs_max_f32(logits, TILE), &s->peak[row], &s->mass[row], out, head_dim);
    s->mass[row] += hs_exp_sum(logits, TILE, s->peak[row]);
}

static void attend_tile(const hs_kv *kv, int first, int n, int first_query, int n_queries, int group, const hs_attention_params *p, const block_scratch *s) {
    int d = kv->head_dim, rows = n_queries * group;
    load_tile(kv, first, n, s);
    memset(s->logits, 0, (size_t)rows * TILE * sizeof(float));
    hs_gemm_f32(s->q, d, s->keys, TILE, s->logits, TILE, rows, TILE, d);
    if (p->softcap > 0) hs_softcap(s->logits, rows * TILE, p->softcap);
    for (int row = 0; row < rows; row++) {
        int query = first_query + row / group - kv->base - first; /* its own key's place in the tile */
        int from = p->window > 0 ? hs_max(0, query + 1 - p->window) : 0;
        weigh_row(s, row, from, hs_min(n, query + 1), d);
    }
    hs_gemm_f32(s->logits, TILE, s->values, d, s->out, d, rows, d, TILE);
}

void hs_attend_block(const hs_kv *kv, const float *q, int q_stride, int n, int group, const hs_attention_params *p, float *out, int out_stride, hs_attention_stats *stats, void *scratch) {
    int d = kv->head_dim, rows = n * group, first_query = hs_kv_length(kv) - n;
    block_scratch s = lay_out(scratch, d, rows);
    for (int row = 0; row < rows; row++) {
        const float *from = q + (size_t)(row / group) * (size_t)q_stride + (size_t)(row % group) * (size_t)d;
        for (int i = 0; i < d; i++) s.q[row * d + i] = from[i] * p->scale;
        s.peak[row] = -INFINITY;
        s.mass[row] = 0;
    }
    memset(s.out, 0, (size_t)rows * (size_t)d * sizeof(float));
    for (const hs_kv *part = kv; part; part = part->parent) {
        int oldest = p->window > 0 ? first_query + 1 - p->window - part->base : 0;
        for (int first = hs_max(0, oldest) / TILE * TILE; first < part->count; first += TILE) attend_tile(part, first, hs_min(TILE, part->count - first), first_query, n, group, p, &s);
    }
    for (int row = 0; row < rows; row++) {
        float *to = out + (size_t)(row / group) * (size_t)out_stride + (size_t)(row % group) * (size_t)d;
        for (int i = 0; i < d; i++) to[i] = s.out[row * d + i] / s.mass[row];
    }
    for (int i = 0; i < n; i++) {
        int seen = first_query + i + 1;
        stats->keys_visible += p->window > 0 ? hs_min(seen, p->window) : seen;
        stats->keys_exact += p->window > 0 ? hs_min(seen, p->window) : seen;
    }
    stats->queries += rows;
    stats->mass_exact += rows;
}
