/*
 * Algorithm 2 of the paper, for the keys in leaves: all queries of a block and of the group are weighed against the leaf
 * centroids by matrix products; then leaf by leaf the queries of which it may hold the share leaf_theta are gathered and
 * the leaf is evaluated exactly for them, while for the others its mean value gets its estimated mass.
 *
 * Estimates are kept for as many rows at a time as LEAF_FLOATS allows, leaves in tiles: [tile][row][HS_TILE].
 */
#include "attention/block_leaves.h"

#include "attention/fast.h"
#include "attention/softmax.h"
#include "base/memory.h"
#include "base/profile.h"
#include "kernels/attention.h"
#include "kernels/unpack.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

enum { LEAF_FLOATS = 1 << 19 };

/* A leaf that a block opens costs as much as sixteen keys exactly: fewer are opened than where keys are screened first. */
static const float BLOCK_LEAF_THETA = 4e-3f;
/* An exact logit this far above what was estimated makes room for itself: exp() must not overflow. */
static const float ROOM = 40;
/* Marks a leaf that is open for a row; estimated weights are not negative. */
static const float OPEN = -1;

/* Rows first..first+n-1 of the block and their leaves. */
typedef struct {
    float *mass, *deviation; /* [tiles][n][HS_TILE] log of the estimated mass, then the weight or OPEN; deviation of the logits */
    float *squares;          /* [n][head_dim] */
    int first, n, tiles;
} leaf_rows;

/* Up to HS_TILE neighbouring leaves. */
typedef struct {
    hs_leaf_run run;
    int first, n, index; /* `index`-th tile */
} leaf_tile;

static leaf_tile tile_at(hs_leaf_run run, int offset, int index) {
    return (leaf_tile){run, run.first + offset, hs_min(HS_TILE, run.n - offset), index};
}

static leaf_tile first_tile(const hs_kv *kv, const hs_view *view) {
    return tile_at(hs_first_leaf_run(kv, view), 0, 0);
}

static leaf_tile next_tile(const leaf_tile *t, const hs_view *view) {
    int offset = t->first + t->n - t->run.first;
    if (offset < t->run.n) return tile_at(t->run, offset, t->index + 1);
    return tile_at(hs_next_leaf_run(&t->run, view), 0, t->index + 1);
}

static void lay_out(leaf_rows *r, void *scratch, int head_dim, int rows, int tiles) {
    size_t n = (size_t)hs_max(1, hs_min(rows, LEAF_FLOATS / (hs_max(1, tiles) * HS_TILE))), leaves = (size_t)tiles * HS_TILE, at = 0;
    r->mass = hs_carve(scratch, &at, n * leaves * sizeof(float));
    r->deviation = hs_carve(scratch, &at, n * leaves * sizeof(float));
    r->squares = hs_carve(scratch, &at, n * (size_t)head_dim * sizeof(float));
    r->n = (int)n;
    r->tiles = tiles;
}

size_t hs_block_leaves_scratch_bytes(int head_dim, int rows, int capacity) {
    /* Chunks have at least HS_CHUNK keys, so a run does, and so many tiles at the most. */
    size_t leaves = (size_t)(capacity / HS_CHUNK + 1) * HS_TILE, most = leaves > LEAF_FLOATS ? leaves : LEAF_FLOATS;
    /* By division: on a 32-bit machine rows times leaves may not fit a size_t. */
    size_t floats = (size_t)rows < most / leaves ? (size_t)rows * leaves : most;
    return 2 * hs_align_up(floats * sizeof(float)) + hs_align_up((size_t)rows * (size_t)head_dim * sizeof(float));
}

/* keys [head_dim][HS_TILE] = transposed rows of the tile, zeros beyond its end. */
static void load_rows(const hs_query_block *b, const leaf_tile *t, const int8_t *rows, const uint16_t *scale) {
    int d = b->head_dim;
    if (t->n < HS_TILE) memset(b->keys, 0, (size_t)d * HS_TILE * sizeof(float));
    hs_transpose_rows(rows + (size_t)t->first * (size_t)d, scale + t->first, t->n, d, b->keys, HS_TILE);
}

static void weigh_tile(const hs_query_block *b, const leaf_rows *r, const leaf_tile *t, const hs_attention_params *p) {
    const hs_kv *kv = t->run.kv;
    int d = b->head_dim;
    size_t at = (size_t)t->index * (size_t)r->n * HS_TILE, bytes = (size_t)r->n * HS_TILE * sizeof(float);
    float *mass = r->mass + at, *deviation = r->deviation + at;
    memset(mass, 0, bytes);
    memset(deviation, 0, bytes);
    load_rows(b, t, kv->leaf_k, kv->leaf_k_scale);
    hs_gemm_f32(b->q + (size_t)r->first * (size_t)d, d, NULL, b->keys, HS_TILE, mass, HS_TILE, NULL, r->n, HS_TILE, d);
    load_rows(b, t, kv->leaf_spread, kv->leaf_spread_scale);
    hs_gemm_f32(r->squares, d, NULL, b->keys, HS_TILE, deviation, HS_TILE, NULL, r->n, HS_TILE, d);
    for (int row = 0; row < r->n; row++) {
        float *m = mass + row * HS_TILE;
        hs_estimate_leaves(m, deviation + row * HS_TILE, HS_TILE, p);
        hs_open_lone_leaves(kv, t->first, t->n, deviation + row * HS_TILE);
        for (int j = t->n; j < HS_TILE; j++) m[j] = -INFINITY;
    }
}

/* Row's estimates become weights under its peak, or OPEN. Returns the number of leaves that are open. */
static int open_row(const hs_query_block *b, const leaf_rows *r, int row, const hs_attention_params *p) {
    int block_row = r->first + row, opened = 0;
    size_t step = (size_t)r->n * HS_TILE;
    float *mass = r->mass + row * HS_TILE, *deviation = r->deviation + row * HS_TILE, peak = b->peak[block_row];
    float copy[HS_TILE], closed = 0;
    for (int t = 0; t < r->tiles; t++) peak = fmaxf(peak, hs_max_f32(mass + (size_t)t * step, HS_TILE));
    hs_raise_peak(peak, &b->peak[block_row], &b->mass[block_row], b->out + (size_t)block_row * (size_t)b->head_dim, b->head_dim);
    for (int t = 0; t < r->tiles; t++) {
        memcpy(copy, mass + (size_t)t * step, sizeof copy);
        closed += hs_exp_sum(copy, HS_TILE, peak);
    }
    float theta = p->leaf_theta > 0 ? p->leaf_theta : BLOCK_LEAF_THETA, least = peak + logf((closed + b->mass[block_row]) * theta);
    for (int t = 0; t < r->tiles; t++) {
        float *m = mass + (size_t)t * step;
        const float *sigma = deviation + (size_t)t * step;
        for (int j = 0; j < HS_TILE; j++) copy[j] = hs_leaf_reach(m[j], sigma[j], p->far_field);
        hs_exp_sum(m, HS_TILE, peak);
        for (int j = 0; j < HS_TILE; j++) {
            int open = copy[j] >= least;
            m[j] = open ? OPEN : m[j];
            opened += open;
        }
    }
    return opened;
}

/* A logit far above the estimates: the row's peak rises, and its weights of leaves follow. */
static void raise_row(const hs_query_block *b, const leaf_rows *r, int row, float higher) {
    float factor = expf(b->peak[row] - higher);
    hs_raise_peak(higher, &b->peak[row], &b->mass[row], b->out + (size_t)row * (size_t)b->head_dim, b->head_dim);
    for (int t = 0; t < r->tiles; t++) {
        float *m = r->mass + ((size_t)t * (size_t)r->n + (size_t)(row - r->first)) * HS_TILE;
        for (int j = 0; j < HS_TILE; j++) m[j] = m[j] == OPEN ? OPEN : m[j] * factor;
    }
}

/* Evaluates one leaf exactly for the picked rows. */
static void attend_leaf(const hs_query_block *b, const leaf_rows *r, const hs_kv *kv, int leaf, int picked, const hs_attention_params *p) {
    int d = b->head_dim;
    hs_query_block_load(kv, leaf * HS_LEAF, HS_LEAF, b, HS_LEAF);
    memset(b->logits, 0, (size_t)picked * HS_LEAF * sizeof(float));
    hs_gemm_f32(b->key_q, d, b->picked, b->keys, HS_LEAF, b->logits, HS_LEAF, NULL, picked, HS_LEAF, d);
    if (p->softcap > 0) hs_softcap(b->logits, picked * HS_LEAF, p->softcap);
    for (int i = 0; i < picked; i++) {
        int row = b->picked[i];
        float *logits = b->logits + i * HS_LEAF, largest = hs_max_f32(logits, HS_LEAF);
        if (largest > b->peak[row] + ROOM) raise_row(b, r, row, largest);
        b->mass[row] += hs_exp_sum(logits, HS_LEAF, b->peak[row]);
    }
    hs_gemm_f32(b->logits, HS_LEAF, NULL, b->values, d, b->out, d, b->picked, picked, d, HS_LEAF);
}

/* The mean values of a tile's leaves that are closed for a row get their weights; error [n] gains what fast.h's estimate says of them. */
static void add_closed(const hs_query_block *b, const leaf_rows *r, const leaf_tile *t, float *error) {
    const hs_kv *kv = t->run.kv;
    int d = b->head_dim;
    size_t at = (size_t)t->index * (size_t)r->n * HS_TILE;
    float *mass = r->mass + at;
    for (int row = 0; row < r->n; row++, mass += HS_TILE) {
        for (int j = 0; j < HS_TILE; j++) mass[j] = mass[j] > 0 ? mass[j] : 0;
        b->mass[r->first + row] += hs_sum_f32(mass, HS_TILE);
        error[row] += hs_closed_error(mass, r->deviation + at + row * HS_TILE, kv->leaf_v_radius + t->first, t->n);
    }
    mass = r->mass + at;
    hs_unpack_rows(kv->leaf_v + (size_t)t->first * (size_t)d, kv->leaf_v_scale + t->first, t->n, d, b->values);
    memset(b->values + t->n * d, 0, (size_t)((HS_TILE - t->n) * d) * sizeof(float));
    hs_gemm_f32(mass, HS_TILE, NULL, b->values, d, b->out + (size_t)r->first * (size_t)d, d, NULL, r->n, d, HS_TILE);
}

static void attend_tile(const hs_query_block *b, const leaf_rows *r, const leaf_tile *t, const hs_attention_params *p) {
    const float *mass = r->mass + (size_t)t->index * (size_t)r->n * HS_TILE;
    for (int j = 0; j < t->n; j++) {
        int picked = 0;
        for (int row = 0; row < r->n; row++) {
            if (mass[row * HS_TILE + j] == OPEN) b->picked[picked++] = r->first + row;
        }
        if (picked > 0) attend_leaf(b, r, t->run.kv, t->first + j, picked, p);
    }
}

static void square_queries(const hs_query_block *b, const leaf_rows *r) {
    size_t d = (size_t)b->head_dim, n = (size_t)r->n * d;
    const float *q = b->q + (size_t)r->first * d;
    for (size_t i = 0; i < n; i++) r->squares[i] = q[i] * q[i];
}

static void count_row(const hs_query_block *b, const leaf_rows *r, int row, float exact, float error, hs_attention_stats *stats) {
    const float *out = b->out + (size_t)(r->first + row) * (size_t)b->head_dim;
    double mass = (double)b->mass[r->first + row], off = sqrt((double)error) / mass, length = sqrt((double)hs_dot_f32(out, out, b->head_dim)) / mass;
    stats->mass_exact += (double)exact / mass;
    hs_count_error(stats, off, length > 0 ? off / length : 0);
}

void hs_attend_block_leaves(const hs_kv *kv, const hs_view *view, const hs_attention_params *p, hs_query_block *b, hs_attention_stats *stats) {
    int tiles = 0, leaves = 0;
    leaf_rows r;
    for (leaf_tile t = first_tile(kv, view); t.run.kv; t = next_tile(&t, view)) {
        tiles++;
        leaves += t.n;
    }
    lay_out(&r, b->rest, b->head_dim, b->rows, tiles);
    int at_a_time = r.n;
    for (r.first = 0; r.first < b->rows; r.first += at_a_time) {
        r.n = hs_min(at_a_time, b->rows - r.first);
        square_queries(b, &r);
        for (leaf_tile t = first_tile(kv, view); t.run.kv; t = next_tile(&t, view)) weigh_tile(b, &r, &t, p);
        double opened = 0;
        for (int row = 0; row < r.n; row++) opened += open_row(b, &r, row, p);
        HS_LAP(HS_PHASE_LEAVES);
        for (leaf_tile t = first_tile(kv, view); t.run.kv; t = next_tile(&t, view)) attend_tile(b, &r, &t, p);
        HS_LAP(HS_PHASE_REPORT);
        float exact[HS_BATCH * HS_MAX_GROUP], error[HS_BATCH * HS_MAX_GROUP] = {0};
        memcpy(exact, b->mass + r.first, (size_t)r.n * sizeof(float));
        for (leaf_tile t = first_tile(kv, view); p->far_field && t.run.kv; t = next_tile(&t, view)) add_closed(b, &r, &t, error);
        for (int row = 0; row < r.n; row++) count_row(b, &r, row, exact[row], error[row], stats);
        stats->leaves_opened += opened / b->group;
        stats->keys_exact += opened / b->group * HS_LEAF;
        HS_LAP(HS_PHASE_FAR);
    }
    stats->leaves_total += (double)leaves * b->rows / b->group;
}
