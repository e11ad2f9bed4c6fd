/*
 * Attention of a block of queries. Exactly: for each run of HS_TILE keys the logits of all queries by one matrix product
 * with the transposed keys, weights in place, and the values by a second product. Keys and values are unpacked once per
 * run for all queries and heads of the group.
 */
#include "attention/block_leaves.h"
#include "attention/decode.h"
#include "attention/query_block.h"
#include "attention/softmax.h"
#include "base/profile.h"
#include "kernels/attention.h"
#include "kernels/vector.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* Keys of a tile that are not of the piece are neither seen nor of weight, whatever lies there. */
static void load_tile(const hs_piece *piece, int first, const hs_query_block *b) {
    int n = hs_min(HS_TILE, piece->end - first);
    size_t d = (size_t)piece->kv->head_dim;
    hs_query_block_load(piece->kv, first, n, b, HS_TILE);
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
        if (!hs_sees(view, positions[j])) logits[j] = -INFINITY;
    }
}

static void attend_tile(const hs_piece *piece, int first, const hs_view *views, int whole, const hs_attention_params *p, const hs_query_block *b) {
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
    hs_view views[HS_BATCH] = {{0}};
    for (int i = 0; i < n; i++) views[i] = view_of_query(p, hs_kv_length(kv), i, n);
    if (p->mode == HS_ATTENTION_RELU || (p->mode == HS_ATTENTION_HSR && p->strength != HS_FAST)) {
        attend_one_by_one(kv, q, q_stride, n, group, p, views, out, out_stride, stats, scratch);
        return;
    }
    hs_view wide = {views[n - 1].end, views[0].from, p->sinks}, narrow = {views[0].end, views[n - 1].from, p->sinks};
    hs_query_block b;
    int by_leaves = p->mode == HS_ATTENTION_HSR && p->block_hsr && !hs_is_short(p, wide.end);
    double visible = 0, in_leaves = 0;
    for (int i = 0; i < n; i++) visible += hs_count_visible(kv, &views[i]);
    hs_query_block_begin(&b, kv, q, q_stride, n, group, p->scale, scratch);
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
    hs_count_queries(stats, kv, b.rows);
    HS_LAP(HS_PHASE_EXACT);
    if (in_leaves > 0)
        hs_attend_block_leaves(kv, &narrow, p, &b, stats);
    else
        stats->mass_exact += b.rows;
    hs_query_block_finish(&b, out, out_stride);
}

/* A block and a decode step never run at once on one scratch, but a block may decode its queries one by one. */
size_t hs_attention_scratch_bytes(int head_dim, int group, int capacity, int max_block) {
    int rows = group * max_block;
    size_t decode = hs_attend_decode_scratch_bytes(group, capacity), block = hs_query_block_bytes(head_dim, rows) + hs_block_leaves_scratch_bytes(head_dim, rows, capacity);
    return decode > block ? decode : block;
}
