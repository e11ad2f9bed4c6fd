/*
 * Attention of a block of queries. Exactly: for each run of HS_TILE keys the logits of all queries by one matrix product
 * with the transposed keys, weights in place, and the values by a second product. Keys and values are unpacked once per
 * run for all queries and heads of the group.
 */
#include "attention/block.h"

#include "base/profile.h"
#include "kernels/rotate.h"
#include "kernels/unpack.h"
#include "kernels/vector.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static size_t lay_out(hs_block *b, char *base, int head_dim, int rows) {
    float **const parts[] = {&b->q, &b->key_q, &b->out, &b->logits, &b->peak, &b->mass, &b->keys, &b->values};
    const size_t d = (size_t)head_dim, n = (size_t)rows;
    const size_t floats[] = {n * d, n * d, n * d, n * HS_TILE, n, n, d * HS_TILE, d * HS_TILE};
    size_t at = 0;
    for (int i = 0; i < 8; i++) {
        *parts[i] = (float *)(void *)(base + at);
        at += hs_align_up(floats[i] * sizeof(float));
    }
    b->picked = (int *)(void *)(base + at);
    at += hs_align_up(n * sizeof(int));
    b->rest = base + at;
    return at;
}

size_t hs_attend_block_scratch_bytes(int head_dim, int group, int capacity, int max_block) {
    static char origin[1]; /* only distances count */
    hs_block b;
    return lay_out(&b, origin, head_dim, group * max_block) + hs_block_leaves_scratch_bytes(head_dim, group * max_block, capacity);
}

void hs_block_load(const hs_kv *kv, int first, int n, const hs_block *b, int stride) {
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

/* Keys of a tile that are not of the piece are neither seen nor of weight, whatever lies there. */
static void load_tile(const hs_piece *piece, int first, const hs_block *b) {
    int n = hs_min(HS_TILE, piece->end - first);
    size_t d = (size_t)piece->kv->head_dim;
    hs_block_load(piece->kv, first, n, b, HS_TILE);
    memset(b->values + (size_t)n * d, 0, (size_t)(HS_TILE - n) * d * sizeof(float));
    for (size_t i = 0; i < d && n < HS_TILE; i++) memset(b->keys + i * HS_TILE + n, 0, (size_t)(HS_TILE - n) * sizeof(float));
}

/* What query i of n sees, given what the last one sees. */
static hs_view view_of_query(const hs_attention_params *p, int length, int i, int n) {
    hs_attention_params own = *p;
    own.end = hs_view_of(p, length).end;
    if (p->causal) own.end -= n - 1 - i;
    return own.end > 0 ? hs_view_of(&own, length) : (hs_view){0};
}

/* Positions of a tile's keys; INT_MAX where no query sees one. */
static void find_positions(const hs_piece *piece, int first, int *positions) {
    for (int j = 0, own = first; j < HS_TILE; j++, own++) {
        int there = own >= piece->first && own < piece->end && hs_kv_is_live(piece->kv, own);
        positions[j] = there ? hs_kv_position(piece->kv, own) : INT_MAX;
    }
}

static void mask_row(float *logits, const int *positions, const hs_view *view) {
    for (int j = 0; j < HS_TILE; j++) {
        int position = positions[j];
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): find_positions() filled all HS_TILE of them */
        int seen = position < view->end && (position >= view->from || position < view->sinks);
        if (!seen) logits[j] = -INFINITY;
    }
}

static void attend_tile(const hs_piece *piece, int first, const hs_view *views, int whole, const hs_attention_params *p, const hs_block *b) {
    int d = b->head_dim, positions[HS_TILE];
    load_tile(piece, first, b);
    memset(b->logits, 0, (size_t)b->rows * HS_TILE * sizeof(float));
    hs_gemm_f32(b->key_q, d, NULL, b->keys, HS_TILE, b->logits, HS_TILE, NULL, b->rows, HS_TILE, d);
    if (p->softcap > 0) hs_softcap(b->logits, b->rows * HS_TILE, p->softcap);
    int masked = !whole || first < piece->first || piece->end - first < HS_TILE;
    if (masked) find_positions(piece, first, positions);
    for (int row = 0; row < b->rows; row++) {
        float *logits = b->logits + row * HS_TILE;
        if (masked) mask_row(logits, positions, &views[row / b->group]);
        hs_raise_peak(hs_max_f32(logits, HS_TILE), &b->peak[row], &b->mass[row], b->out + (size_t)row * (size_t)d, d);
        /* Nothing seen so far: any finite shift gives weights of zero. */
        b->mass[row] += hs_exp_sum(logits, HS_TILE, b->peak[row] == -INFINITY ? 0 : b->peak[row]);
    }
    hs_gemm_f32(b->logits, HS_TILE, NULL, b->values, d, b->out, d, NULL, b->rows, d, HS_TILE);
}

static void load_queries(hs_block *b, const hs_kv *kv, const float *q, int q_stride, float scale) {
    int d = b->head_dim;
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

static void store_outputs(const hs_block *b, float *out, int out_stride) {
    int d = b->head_dim;
    for (int row = 0; row < b->rows; row++) {
        float *to = out + (size_t)(row / b->group) * (size_t)out_stride + (size_t)(row % b->group) * (size_t)d;
        float inverse = b->mass[row] > 0 ? 1 / b->mass[row] : 0;
        for (int i = 0; i < d; i++) to[i] = b->out[row * d + i] * inverse;
    }
}

static void attend_one_by_one(const hs_kv *kv, const float *q, int q_stride, int n, int group, const hs_attention_params *p, const hs_view *views, float *out, int out_stride, hs_attention_stats *stats, void *scratch) {
    for (int i = 0; i < n; i++) {
        hs_attention_params own = *p;
        float *to = out + (size_t)i * (size_t)out_stride;
        own.end = views[i].end;
        if (own.end > 0)
            hs_attend_decode(kv, q + (size_t)i * (size_t)q_stride, group, &own, to, stats, NULL, scratch);
        else
            memset(to, 0, (size_t)group * (size_t)kv->head_dim * sizeof(float));
    }
}

void hs_attend_block(const hs_kv *kv, const float *q, int q_stride, int n, int group, const hs_attention_params *p, float *out, int out_stride, hs_attention_stats *stats, void *scratch) {
    hs_view views[HS_BATCH];
    for (int i = 0; i < n; i++) views[i] = view_of_query(p, hs_kv_length(kv), i, n);
    if (p->mode == HS_ATTENTION_RELU || (p->mode == HS_ATTENTION_HSR && p->strength != HS_FAST)) {
        attend_one_by_one(kv, q, q_stride, n, group, p, views, out, out_stride, stats, scratch);
        return;
    }
    hs_view wide = {views[n - 1].end, views[0].from, p->sinks}, narrow = {views[0].end, views[n - 1].from, p->sinks};
    hs_block b = {.head_dim = kv->head_dim, .group = group, .rows = n * group};
    int few = wide.end < (p->dense_below > 0 ? p->dense_below : HS_DENSE_BELOW);
    int by_leaves = p->mode == HS_ATTENTION_HSR && p->block_hsr && !few;
    double visible = 0, in_leaves = 0;
    for (int i = 0; i < n; i++) visible += hs_count_visible(kv, &views[i]);
    lay_out(&b, scratch, kv->head_dim, b.rows);
    load_queries(&b, kv, q, q_stride, p->scale);
    for (hs_piece piece = hs_first_piece(kv, &wide); piece.kv; piece = hs_next_piece(&piece, &wide)) {
        int whole = hs_sees_whole(&narrow, &piece);
        if (by_leaves && piece.sealed && whole) {
            in_leaves += (double)(piece.end - piece.first) * n;
            continue;
        }
        for (int first = piece.first & ~3; first < piece.end; first += HS_TILE) attend_tile(&piece, first, views, whole, p, &b);
    }
    stats->keys_visible += visible;
    stats->keys_exact += visible - in_leaves;
    stats->queries += b.rows;
    if ((double)kv->v_norm > stats->value_norm) stats->value_norm = (double)kv->v_norm;
    HS_LAP(HS_PHASE_EXACT);
    if (in_leaves > 0)
        hs_attend_block_leaves(kv, &narrow, p, &b, stats);
    else
        stats->mass_exact += b.rows;
    store_outputs(&b, out, out_stride);
}
