/* The cascade: leaf bounds, 4-bit screen, int8 or f32 products, exact products; and where to enter it. */
#include "hsr/hits.h"

#include "base/f16.h"
#include "base/hs.h"
#include "hsr/bound.h"
#include "hsr/rank.h"
#include "kernels/attention.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 32,  /* runs of HS_LEAF keys that are bounded, then screened, together: the bits of a word */
    SAMPLE = 16, /* one leaf in this many tells the cost model what passes */
    AT_ONCE = 4  /* exact products side by side, as hs_kv_four_keys() gives keys */
};
static const float PAYS_BELOW = 0.1f; /* share of the keys up to which looking for a first threshold is worth its time */

/* A search for candidates. */
typedef struct {
    const hs_kv *kv;
    const hs_queries *q;
    float b;
    int *keys;
    float *refined;
    int n; /* found so far */
    hs_index_stats *stats;
} search;

/* Bits of the keys of a run whose product, within `radius` per unit of scale of the given one, may reach b. */
static unsigned may_reach(const search *s, int run, const float *products, float radius) {
    const uint16_t *scale = s->kv->k_scale + run * HS_LEAF;
    float upper[HS_LEAF];
    for (int i = 0; i < HS_LEAF; i++) upper[i] = products[i] + (hs_bf16_to_f32(scale[i]) * radius + HS_PRODUCT_GRAIN);
    return hs_at_least_16(upper, s->b);
}

static void screen_runs(const search *s, int run, int n, float *out) {
    const hs_kv *kv = s->kv;
    size_t at = (size_t)run * HS_LEAF;
    hs_screen(s->q, kv->k_high + at * (size_t)kv->head_dim / 2, kv->k_scale + at, n * HS_LEAF / 4, out, n * HS_LEAF);
    s->stats->keys_screened += n * HS_LEAF;
}

static unsigned after_screen(const search *s, int run, const float *screen) {
    return may_reach(s, run, screen, hs_screen_radius(s->q, 0, s->kv, run)) & hs_kv_live_bits(s->kv, run);
}

/* Keys that come out of one refinement: int8 keys are stored by fours. */
static int refined_at_once(const hs_kv *kv) {
    return kv->type == HS_KV_Q8 ? 4 : 1;
}

/* Refined products of the keys of a run that are in `mask`, and of neighbours that come with them; the others' are 0. */
static void refine(const search *s, int run, unsigned mask, float *out) {
    const hs_kv *kv = s->kv;
    int step = refined_at_once(kv);
    unsigned together = (1u << step) - 1;
    memset(out, 0, HS_LEAF * sizeof(float));
    for (int i = 0, n; i < HS_LEAF; i += hs_max(n, step)) {
        for (n = 0; i + n < HS_LEAF && (mask >> (i + n) & together) != 0;) n += step;
        size_t key = (size_t)run * HS_LEAF + (size_t)i, at = key * (size_t)kv->head_dim;
        if (n > 0 && kv->type == HS_KV_Q8) hs_logits_q8(s->q, kv->k_high + at / 2, kv->k_low + at / 2, kv->k_scale + key, n / 4, out + i, n);
        if (n > 0 && kv->type == HS_KV_F32) hs_logits_rows_f32(s->q, kv->k_rows + at, n, out + i, n);
        s->stats->keys_refined += n;
    }
}

/* Adds the keys of a run, of those in `mask`, that may reach b. */
static void add_run(search *s, int run, unsigned mask) {
    float refined[HS_LEAF];
    if (mask == 0) return;
    refine(s, run, mask, refined);
    mask &= may_reach(s, run, refined, hs_exact_radius(s->q, 0, s->kv, run));
    for (; mask != 0; mask &= mask - 1) {
        int i = __builtin_ctz(mask);
        s->keys[s->n] = run * HS_LEAF + i;
        s->refined[s->n++] = refined[i];
    }
}

/* Bits of n leaves, at most BLOCK, of which some key may reach b. */
static uint32_t open_leaves(const search *s, int leaf, int n) {
    const hs_kv *kv = s->kv;
    float products[BLOCK];
    uint32_t open = 0;
    hs_logits_rows_i8(s->q, kv->leaf_k + (size_t)leaf * (size_t)kv->head_dim, kv->leaf_k_scale + leaf, n, products, BLOCK);
    for (int j = 0; j < n; j++) {
        /* A centroid is an int8 row: it is at most 127 sqrt(d) scales long, and its product is summed in f32. */
        float longest = 127 * sqrtf((float)kv->head_dim) * hs_bf16_to_f32(kv->leaf_k_scale[leaf + j]);
        float radius = s->q->norm[0] * kv->leaf_k_radius[leaf + j] + longest * s->q->f32_error[0] + HS_PRODUCT_GRAIN;
        open |= (uint32_t)(products[j] + radius >= s->b) << j;
    }
    s->stats->leaves_bounded += n;
    return open;
}

/* Bits of n runs, at most BLOCK, that hold a key. */
static uint32_t live_runs(const hs_kv *kv, int run, int n) {
    uint32_t live = 0;
    for (int j = 0; j < n; j++) live |= (uint32_t)(kv->live[run + j] != 0) << j;
    return live;
}

/* Screens the runs of a block that are in `open`, neighbours together, and adds what passes. */
static void search_screened(search *s, int first, int n, uint32_t open) {
    float screen[BLOCK * HS_LEAF];
    for (int j = 0, m; j < n; j += hs_max(m, 1)) {
        for (m = 0; j + m < n && open >> (j + m) & 1;) m++;
        if (m > 0) screen_runs(s, first + j, m, screen);
        for (int i = 0; i < m; i++) add_run(s, first + j + i, after_screen(s, first + j + i, screen + i * HS_LEAF));
    }
}

/* Searches runs first..end-1. */
static void search_runs(search *s, int first, int end, hs_strategy strategy) {
    for (int n; first < end; first += n) {
        n = hs_min(BLOCK, end - first);
        uint32_t open = live_runs(s->kv, first, n);
        if (open && strategy == HS_STRATEGY_TREE) open &= open_leaves(s, first, n);
        if (strategy != HS_STRATEGY_BRUTE) {
            search_screened(s, first, n, open);
        } else {
            for (int j = 0; j < n; j++) add_run(s, first + j, hs_kv_live_bits(s->kv, first + j));
        }
    }
}

/* What passes in a sample of the leaves first..end-1. */
static hs_pass_rates sample(const search *s, int first, int end) {
    int leaves = 0, open = 0, refined = 0, step = refined_at_once(s->kv);
    for (int leaf = first; leaf < end; leaf += SAMPLE, leaves++) {
        float screen[HS_LEAF];
        if (s->kv->live[leaf] == 0 || !open_leaves(s, leaf, 1)) continue;
        screen_runs(s, leaf, 1, screen);
        unsigned mask = after_screen(s, leaf, screen), together = (1u << step) - 1;
        for (int i = 0; i < HS_LEAF; i += step) refined += mask >> i & together ? step : 0;
        open++;
    }
    return (hs_pass_rates){.leaves_open = (double)open / leaves, .keys_refined = (double)refined / (leaves * HS_LEAF)};
}

/* Searches runs first..end-1, which are in no leaf. */
static void search_unsealed(search *s, int first, int end, hs_strategy strategy) {
    search_runs(s, first, end, strategy == HS_STRATEGY_BRUTE ? HS_STRATEGY_BRUTE : HS_STRATEGY_SCREEN);
}

void hs_hits_prepare(hs_queries *prepared, const float *q, int head_dim) {
    hs_queries_prepare(prepared, q, 1, head_dim, 1);
    prepared->screen_variance[0] = 0; /* the screen without its bias is what hs_screen_radius() bounds */
}

int hs_kv_candidates(const hs_kv *kv, const hs_queries *prepared, float b, hs_strategy strategy, int *keys, float *refined, hs_index_stats *stats) {
    search s = {kv, prepared, b, keys, refined, 0, stats};
    search_unsealed(&s, 0, hs_kv_runs(hs_min(kv->sealed_from, kv->count)), strategy);
    for (int first = kv->sealed_from, n; first < kv->sealed_to; first += n) {
        n = hs_kv_chunk(kv, first);
        int leaf = first / HS_LEAF, end = leaf + n / HS_LEAF;
        hs_strategy chosen = strategy;
        if (strategy == HS_STRATEGY_AUTO) {
            hs_pass_rates rates = sample(&s, leaf, end);
            chosen = hs_cheapest_strategy(&rates, kv->type);
        }
        search_runs(&s, leaf, end, chosen);
    }
    search_unsealed(&s, kv->sealed_to / HS_LEAF, hs_kv_runs(kv->count), strategy);
    return s.n;
}

float hs_refined_radius(const hs_kv *kv, const hs_queries *prepared, int own_index) {
    return hs_bf16_to_f32(kv->k_scale[own_index]) * hs_exact_radius(prepared, 0, kv, own_index / HS_LEAF) + HS_PRODUCT_GRAIN;
}

/* Adds the lower bounds of a run's products to `lower`, which holds n. */
static int add_lower_bounds(const search *s, int run, float *lower, int n) {
    float refined[HS_LEAF];
    unsigned mask = hs_kv_live_bits(s->kv, run);
    if (mask == 0) return n;
    refine(s, run, mask, refined);
    for (; mask != 0; mask &= mask - 1) {
        int i = __builtin_ctz(mask);
        lower[n++] = refined[i] - hs_refined_radius(s->kv, s->q, run * HS_LEAF + i);
    }
    return n;
}

float hs_kv_first_threshold(const hs_kv *kv, const hs_queries *prepared, int r, float *room, hs_index_stats *stats) {
    search s = {.kv = kv, .q = prepared, .stats = stats};
    int first = kv->sealed_from / HS_LEAF, leaves = (kv->sealed_to - kv->sealed_from) / HS_LEAF, n = 0;
    if ((float)r > PAYS_BELOW * (float)(kv->count - kv->removed) || leaves == 0) return -INFINITY;
    float *lower = room, *products = room + kv->count;
    hs_logits_rows_i8(prepared, kv->leaf_k + (size_t)first * (size_t)kv->head_dim, kv->leaf_k_scale + first, leaves, products, leaves);
    stats->leaves_bounded += leaves;
    for (int j = 0; j < leaves; j++) {
        if (kv->live[first + j] == 0) products[j] = -INFINITY;
    }
    float least = hs_rth_largest(products, leaves, hs_min(leaves, hs_kv_runs(2 * r)));
    for (int run = 0; run < hs_kv_runs(kv->count); run++) {
        int leaf = run - first;
        if (leaf < 0 || leaf >= leaves || products[leaf] >= least) n = add_lower_bounds(&s, run, lower, n);
    }
    return n < r ? -INFINITY : hs_rth_largest(lower, n, r);
}

static float rounded(double sum) {
    return (float)sum + 0.0f; /* -0 becomes +0 */
}

float hs_index_product(const hs_kv *kv, int own_index, const float *q) {
    float key[HS_MAX_HEAD_DIM];
    double sum = 0;
    hs_kv_key(kv, own_index, key);
    for (int dim = 0; dim < kv->head_dim; dim++) sum += (double)q[dim] * (double)key[dim];
    return rounded(sum);
}

/* hs_index_product() of n keys, n <= AT_ONCE. */
static void exact_products(const hs_kv *kv, const float *q, const int *keys, int n, float *out) {
    float rows[HS_MAX_HEAD_DIM][AT_ONCE];
    double sum[AT_ONCE] = {0};
    int four[AT_ONCE];
    for (int j = 0; j < AT_ONCE; j++) four[j] = keys[j < n ? j : 0];
    hs_kv_four_keys(kv, four, rows[0]);
    for (int dim = 0; dim < kv->head_dim; dim++) {
        for (int j = 0; j < AT_ONCE; j++) sum[j] += (double)q[dim] * (double)rows[dim][j];
    }
    for (int j = 0; j < n; j++) out[j] = rounded(sum[j]);
}

int hs_kv_keep_exact(const hs_kv *kv, const float *q, float b, int *keys, float *products, int n, hs_index_stats *stats) {
    int kept = 0;
    for (int j = 0; j < n; j += AT_ONCE) {
        float exact[AT_ONCE];
        int now = hs_min(AT_ONCE, n - j);
        exact_products(kv, q, keys + j, now, exact);
        for (int i = 0; i < now; i++) {
            if (!(exact[i] >= b)) continue;
            keys[kept] = keys[j + i];
            products[kept++] = exact[i];
        }
    }
    stats->keys_exact += n;
    return kept;
}

int hs_kv_hits(const hs_kv *kv, const float *q, float b, hs_strategy strategy, int *hits, float *products, hs_index_stats *stats, hs_queries *scratch) {
    hs_hits_prepare(scratch, q, kv->head_dim);
    int n = hs_kv_candidates(kv, scratch, b, strategy, hits, products, stats);
    n = hs_kv_keep_exact(kv, q, b, hits, products, n, stats);
    stats->keys_reported += n;
    return n;
}

int hs_kv_count_hits(const hs_kv *kv, const float *q, float b, hs_strategy strategy, int *keys, float *refined, hs_index_stats *stats, hs_queries *scratch) {
    hs_hits_prepare(scratch, q, kv->head_dim);
    int n = hs_kv_candidates(kv, scratch, b, strategy, keys, refined, stats), unsure = 0;
    for (int j = 0; j < n; j++) {
        if (!(refined[j] - hs_refined_radius(kv, scratch, keys[j]) >= b)) keys[unsure++] = keys[j];
    }
    int count = n - unsure + hs_kv_keep_exact(kv, q, b, keys, refined, unsure, stats);
    stats->keys_reported += count;
    return count;
}
