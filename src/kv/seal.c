/* Sealing: the order of keys inside chunks, leaf summaries, and what undoes or thins them out. */
#include "base/f16.h"
#include "base/hs.h"
#include "base/memory.h"
#include "hsr/tree.h"
#include "kv/kv.h"
#include "kv/store.h"

#include <math.h>
#include <string.h>

/* A chunk's keys and values outside the cache, in order of arrival. */
typedef struct {
    float *keys;   /* [max_chunk][head_dim] */
    int8_t *codes; /* Q8 */
    uint16_t *scales;
    uint8_t *values; /* rows as stored */
    uint16_t *value_scales;
    uint8_t *live;
    int *order;
    void *tree;
} chunk_copy;

static size_t value_row_bytes(const hs_kv_shape *shape) {
    return shape->keys_only ? 0 : (size_t)shape->head_dim * (shape->type == HS_KV_Q8 ? 1 : sizeof(float));
}

static size_t lay_out(chunk_copy *s, const hs_kv_shape *shape, void *scratch) {
    size_t d = (size_t)shape->head_dim, n = (size_t)shape->max_chunk, at = 0;
    s->keys = hs_carve(scratch, &at, n * d * sizeof *s->keys);
    s->codes = hs_carve(scratch, &at, n * d);
    s->scales = hs_carve(scratch, &at, n * sizeof *s->scales);
    s->values = hs_carve(scratch, &at, n * value_row_bytes(shape));
    s->value_scales = hs_carve(scratch, &at, n * sizeof *s->value_scales);
    s->live = hs_carve(scratch, &at, n);
    s->order = hs_carve(scratch, &at, n * sizeof *s->order);
    s->tree = hs_carve(scratch, &at, hs_tree_scratch_bytes(shape->max_chunk));
    return at;
}

size_t hs_kv_seal_scratch_bytes(const hs_kv_shape *shape) {
    chunk_copy s;
    return lay_out(&s, shape, NULL);
}

/* Keys of the chunk at offset `at` of `sealed` sealed keys: the largest size that is aligned and fits. */
static int chunk_size(int max_chunk, int at, int sealed) {
    int size = max_chunk;
    while (size > HS_CHUNK && (at % size != 0 || at + size > sealed)) size /= HS_CHUNK_GROWTH;
    return size;
}

int hs_kv_chunk(const hs_kv *kv, int first) {
    return chunk_size(kv->max_chunk, first - kv->sealed_from, kv->sealed_to - kv->sealed_from);
}

/* Where the chunk of a sealed key starts. */
static int chunk_of(const hs_kv *kv, int i) {
    int at = i - kv->sealed_from, sealed = kv->sealed_to - kv->sealed_from, size = kv->max_chunk;
    while (size > HS_CHUNK && (at & -size) + size > sealed) size /= HS_CHUNK_GROWTH; /* sizes are powers of two */
    return kv->sealed_from + (at & -size);
}

int hs_kv_position(const hs_kv *kv, int i) {
    return hs_kv_is_sealed(kv, i) ? hs_kv_start(kv, chunk_of(kv, i)) + kv->place[i] : hs_kv_start(kv, i);
}

int hs_kv_find(const hs_kv *kv, int position) {
    int i = position < kv->sealed_from ? position : hs_max(position - kv->base, -1);
    if (i < 0 || i >= kv->count || hs_kv_start(kv, i) != position) return -1;
    if (!hs_kv_is_sealed(kv, i)) return i;
    int first = chunk_of(kv, i), j = first;
    while (kv->place[j] != i - first) j++;
    return j;
}

/* One of four rows side by side, [d][4]. */
static void take_lane(const float *four, int lane, int d, float *row) {
    for (int dim = 0; dim < d; dim++) row[dim] = four[4 * dim + lane];
}

/* Takes keys first..first+n-1 out; `sealed`: they lie in leaves. */
static void take_out(const hs_kv *kv, int first, int n, int sealed, const chunk_copy *s) {
    hs_kv_shape shape = hs_kv_shape_of(kv);
    size_t d = (size_t)kv->head_dim, row = value_row_bytes(&shape);
    const uint8_t *values = kv->type == HS_KV_Q8 ? (const uint8_t *)kv->v : (const uint8_t *)kv->v_rows;
    float four[4 * HS_MAX_HEAD_DIM];
    for (int i = first; i < first + n; i++) {
        size_t to = sealed ? kv->place[i] : (size_t)(i - first);
        if (i % 4 == 0) hs_kv_four_keys(kv, (const int[]){i, i + 1, i + 2, i + 3}, four);
        take_lane(four, i % 4, kv->head_dim, s->keys + to * d);
        if (kv->type == HS_KV_Q8) hs_key_code(kv, i, s->codes + to * d);
        s->scales[to] = kv->k_scale[i];
        s->live[to] = (uint8_t)hs_kv_is_live(kv, i);
        if (row > 0) memcpy(s->values + to * row, values + (size_t)i * row, row);
        if (kv->v_scale) s->value_scales[to] = kv->v_scale[i];
    }
}

/* Puts them back in the given order, or in that of arrival when it is NULL. */
static void put_back(hs_kv *kv, int first, int n, const int *order, const chunk_copy *s) {
    hs_kv_shape shape = hs_kv_shape_of(kv);
    size_t d = (size_t)kv->head_dim, row = value_row_bytes(&shape);
    uint8_t *values = kv->type == HS_KV_Q8 ? (uint8_t *)kv->v : (uint8_t *)kv->v_rows;
    uint16_t farthest = 0;
    for (int run = first / HS_LEAF; run < (first + n) / HS_LEAF; run++) {
        if (kv->key_residual && kv->key_residual[run] > farthest) farthest = kv->key_residual[run];
        kv->live[run] = kv->screen_residual[run] = kv->key_norm[run] = 0;
    }
    for (int j = 0; j < n; j++) {
        int i = first + j, run = i / HS_LEAF;
        size_t from = (size_t)(order ? order[j] : j);
        if (kv->type == HS_KV_Q8) {
            hs_put_key_code(kv, i, s->codes + from * d, s->scales[from]);
            kv->key_residual[run] = farthest; /* whose key is where is not kept: the bound of the chunk */
        } else {
            hs_put_key(kv, i, s->keys + from * d);
        }
        if (row > 0) memcpy(values + (size_t)i * row, s->values + from * row, row);
        if (kv->v_scale) kv->v_scale[i] = s->value_scales[from];
        kv->live[run] = (uint16_t)(kv->live[run] | s->live[from] << i % HS_LEAF);
        kv->place[i] = (uint16_t)from;
    }
}

/* The live rows of a leaf. */
typedef struct {
    int n, d;
    float row[HS_LEAF][HS_MAX_HEAD_DIM];
} leaf_rows;

static void read_keys(const hs_kv *kv, int leaf, leaf_rows *rows) {
    float four[4 * HS_MAX_HEAD_DIM];
    rows->n = 0;
    rows->d = kv->head_dim;
    for (int i = leaf * HS_LEAF; i < (leaf + 1) * HS_LEAF; i++) {
        if (i % 4 == 0) hs_kv_four_keys(kv, (const int[]){i, i + 1, i + 2, i + 3}, four);
        if (hs_kv_is_live(kv, i)) take_lane(four, i % 4, rows->d, rows->row[rows->n++]);
    }
}

static void read_values(const hs_kv *kv, int leaf, leaf_rows *rows) {
    rows->n = 0;
    rows->d = kv->head_dim;
    for (int i = leaf * HS_LEAF; i < (leaf + 1) * HS_LEAF; i++) {
        if (hs_kv_is_live(kv, i)) hs_kv_value(kv, i, rows->row[rows->n++]);
    }
}

static void mean_of(const leaf_rows *rows, float *mean) {
    float live = (float)hs_max(1, rows->n);
    memset(mean, 0, (size_t)rows->d * sizeof(float));
    for (int i = 0; i < rows->n; i++) {
        for (int dim = 0; dim < rows->d; dim++) mean[dim] += rows->row[i][dim] / live;
    }
}

static void variance_of(const leaf_rows *rows, const float *mean, float *variance) {
    float live = (float)hs_max(1, rows->n);
    memset(variance, 0, (size_t)rows->d * sizeof(float));
    for (int i = 0; i < rows->n; i++) {
        for (int dim = 0; dim < rows->d; dim++) {
            float off = rows->row[i][dim] - mean[dim];
            variance[dim] += off * off / live;
        }
    }
}

/* The largest distance of the rows from scale * centre; `spread` (NULL: not wanted): root of the sum of their squares. */
static float radius_of(const leaf_rows *rows, const int8_t *centre, uint16_t scale, float *spread) {
    double largest = 0, sum = 0, unit = (double)hs_bf16_to_f32(scale);
    for (int i = 0; i < rows->n; i++) {
        double square = 0;
        for (int dim = 0; dim < rows->d; dim++) {
            double off = (double)rows->row[i][dim] - unit * centre[dim];
            square += off * off;
        }
        largest = fmax(largest, square);
        sum += square;
    }
    /* The least denormal: those are not rounded up by a factor. */
    if (spread) *spread = (float)(sqrt(sum) * (1 + 1e-6)) + 0x1p-149f;
    return (float)(sqrt(largest) * (1 + 1e-6)) + 0x1p-149f;
}

/*
 * A key twice as far from the centroid as keys are on average stands alone: a query along it meets all of its length, while
 * a variance per dim supposes that dims add up by chance.
 */
static int has_lone_key(const hs_kv *kv, float radius, const float *variance) {
    float sum = 0;
    for (int dim = 0; dim < kv->head_dim; dim++) sum += variance[dim];
    return radius * radius > 4 * sum;
}

static void summarize_leaf(hs_kv *kv, int leaf) {
    leaf_rows rows;
    float mean[HS_MAX_HEAD_DIM], variance[HS_MAX_HEAD_DIM];
    size_t at = (size_t)leaf * (size_t)kv->head_dim;
    read_keys(kv, leaf, &rows);
    mean_of(&rows, mean);
    variance_of(&rows, mean, variance);
    kv->leaf_k_scale[leaf] = hs_quantize_row(mean, kv->head_dim, kv->leaf_k + at);
    kv->leaf_k_radius[leaf] = radius_of(&rows, kv->leaf_k + at, kv->leaf_k_scale[leaf], NULL);
    kv->leaf_lone[leaf] = (uint16_t)has_lone_key(kv, kv->leaf_k_radius[leaf], variance);
    kv->leaf_spread_scale[leaf] = hs_quantize_row(variance, kv->head_dim, kv->leaf_spread + at);
    if (kv->keys_only) return;
    read_values(kv, leaf, &rows);
    mean_of(&rows, mean);
    kv->leaf_v_scale[leaf] = hs_quantize_row(mean, kv->head_dim, kv->leaf_v + at);
    kv->leaf_v_radius[leaf] = radius_of(&rows, kv->leaf_v + at, kv->leaf_v_scale[leaf], &kv->leaf_v_spread[leaf]);
}

static void seal_chunk(hs_kv *kv, int first, int n, const chunk_copy *s) {
    take_out(kv, first, n, 0, s);
    hs_tree_order(s->keys, kv->head_dim, n, s->order, s->tree);
    put_back(kv, first, n, s->order, s);
    for (int leaf = first / HS_LEAF; leaf < (first + n) / HS_LEAF; leaf++) summarize_leaf(kv, leaf);
}

/* Makes `target` keys the sealed ones. Chunks that are the same before and after are not touched. */
static void reseal(hs_kv *kv, int target, void *scratch) {
    int sealed = kv->sealed_to - kv->sealed_from, at = 0;
    hs_kv_shape shape = hs_kv_shape_of(kv);
    chunk_copy s;
    shape.max_chunk = chunk_size(kv->max_chunk, 0, hs_max(sealed, target)); /* the first chunk is the largest */
    lay_out(&s, &shape, scratch);
    while (at < sealed && at < target && chunk_size(kv->max_chunk, at, sealed) == chunk_size(kv->max_chunk, at, target)) at += chunk_size(kv->max_chunk, at, target);
    for (int size, old = at; old < sealed; old += size) {
        size = chunk_size(kv->max_chunk, old, sealed);
        take_out(kv, kv->sealed_from + old, size, 1, &s);
        put_back(kv, kv->sealed_from + old, size, NULL, &s);
    }
    for (int size; at < target; at += size) {
        size = chunk_size(kv->max_chunk, at, target);
        seal_chunk(kv, kv->sealed_from + at, size, &s);
    }
    kv->sealed_to = kv->sealed_from + target;
}

static int due(const hs_kv *kv) {
    return hs_max(0, kv->count - kv->sealed_from - HS_KV_RECENT) / HS_CHUNK * HS_CHUNK;
}

void hs_kv_seal(hs_kv *kv, void *scratch) {
    if (due(kv) > kv->sealed_to - kv->sealed_from) reseal(kv, due(kv), scratch);
}

void hs_kv_truncate(hs_kv *kv, int length, void *scratch) {
    int sealed = kv->sealed_to > kv->sealed_from;
    if (length < kv->base + kv->sealed_from) kv->base = hs_max(0, length - kv->sealed_from); /* only the sink is left: what was dropped behind it now ends at `length` */
    kv->count = length - kv->base;
    if (sealed) reseal(kv, due(kv), scratch);
    if (kv->removed > 0) kv->removed = hs_count_removed(kv);
}

/* Keys of the run of HS_LEAF from own index `first` on that arrived from..to-1 in their chunk, or in the run, lose their bits. */
static void remove_in_run(hs_kv *kv, int first, int from, int to) {
    int run = first / HS_LEAF, sealed = hs_kv_is_sealed(kv, first);
    unsigned lost = 0;
    for (int i = first; i < hs_min(first + HS_LEAF, kv->count); i++) {
        int place = sealed ? kv->place[i] : i - first;
        lost |= (unsigned)(place >= from && place < to) << i % HS_LEAF;
    }
    lost &= kv->live[run];
    kv->live[run] = (uint16_t)(kv->live[run] & ~lost);
    kv->removed += __builtin_popcount(lost);
    if (lost && sealed) summarize_leaf(kv, run);
}

void hs_kv_remove(hs_kv *kv, int from, int to) {
    for (int first = 0, n; first < kv->count; first += n) {
        int start = hs_kv_start(kv, first);
        n = hs_kv_is_sealed(kv, first) ? hs_kv_chunk(kv, first) : HS_LEAF;
        if (start >= to || start + n <= from) continue;
        for (int i = first; i < first + n; i += HS_LEAF) remove_in_run(kv, i, from - start, to - start);
    }
}
