#include "hsr/index.h"

#include "base/error.h"
#include "base/f16.h"
#include "base/hs.h"
#include "base/memory.h"
#include "hsr/rank.h"
#include "kv/coordinates.h"

#include <math.h>
#include <string.h>

/* Scratch per key: a key with its product, and the same as a pair that can be sorted. */
enum { ROOM_PER_KEY = sizeof(int) + sizeof(float) + sizeof(hs_ranked) };

struct hs_index {
    hs_growing cache;
    hs_queries prepared;
    void *room; /* ROOM_PER_KEY for each of room_keys keys, at least as many as the cache has */
    int room_keys;
};

/* The parts of the scratch. */
typedef struct {
    int *keys; /* own indices */
    float *products;
    hs_ranked *pairs, *spare; /* spare takes the place of keys and products */
} work;

static work lay_out(const hs_index *index) {
    int *keys = index->room;
    size_t n = (size_t)index->room_keys;
    return (work){keys, (float *)(void *)(keys + n), (hs_ranked *)(void *)(keys + 2 * n), index->room};
}

/* The pairs' memory as two floats per key, until there are pairs. */
static float *floats_of(const work *w) {
    return (float *)(void *)w->pairs;
}

hs_index *hs_index_new(int head_dim, int type, int max_chunk) {
    hs_kv_shape shape = {.head_dim = head_dim, .type = type, .keys_only = 1, .max_chunk = max_chunk};
    hs_growing cache;
    if (hs_growing_init(&cache, &shape) != HS_OK) return NULL;
    hs_index *index = hs_mem_alloc(sizeof *index);
    if (!index) {
        hs_error_set(HS_ERR_MEMORY, "memory for an index, bytes", (double)sizeof *index, (double)SIZE_MAX);
        return NULL;
    }
    index->cache = cache;
    index->room = NULL;
    index->room_keys = 0;
    return index;
}

void hs_index_free(hs_index *index) {
    if (!index) return;
    hs_growing_free(&index->cache);
    hs_mem_free(index->room);
    hs_mem_free(index);
}

int hs_index_end(const hs_index *index) {
    return hs_kv_length(&index->cache.kv);
}

int hs_index_count_live(const hs_index *index) {
    return hs_growing_live(&index->cache);
}

/* Scratch for as many keys as the cache may have. */
static int reserve_room(hs_index *index) {
    int keys = index->cache.kv.capacity;
    if (keys <= index->room_keys) return HS_OK;
    void *room = hs_mem_alloc((size_t)keys * ROOM_PER_KEY);
    if (!room) return hs_error_set(HS_ERR_MEMORY, "memory for queries, bytes", (double)keys * ROOM_PER_KEY, (double)SIZE_MAX);
    hs_mem_free(index->room);
    index->room = room;
    index->room_keys = keys;
    return HS_OK;
}

hs_kv *hs_index_kv(hs_index *index) {
    return &index->cache.kv;
}

int hs_index_reserve(hs_index *index, int n) {
    int status = hs_growing_reserve(&index->cache, n);
    return status == HS_OK ? reserve_room(index) : status;
}

int hs_index_lay_out(hs_index *index, int base, int sealed, int count) {
    return hs_growing_lay_out(&index->cache, base, sealed, count);
}

int hs_index_append(hs_index *index, const float *keys, int n) {
    int status = hs_index_reserve(index, n);
    if (status == HS_OK) status = hs_growing_append(&index->cache, keys, NULL, index->cache.kv.head_dim, n);
    return status;
}

int hs_index_remove(hs_index *index, int from, int to) {
    return hs_growing_remove(&index->cache, from, to);
}

int hs_index_truncate(hs_index *index, int length) {
    return hs_growing_truncate(&index->cache, length);
}

/* Own indices of the n keys from own index `first` on, which are a chunk or unsealed, in order of arrival. */
static void arrivals(const hs_kv *kv, int first, int n, int *own) {
    int sealed = hs_kv_is_sealed(kv, first);
    for (int i = first; i < first + n; i++) own[sealed ? kv->place[i] : i - first] = i;
}

int hs_index_positions(hs_index *index, int from, int *positions, int room) {
    const hs_kv *kv = &index->cache.kv;
    int *own = index->room, found = 0;
    if (room < 0) return hs_error_set(HS_ERR_ARGUMENT, "room for positions", room, HS_GROWING_LIMIT);
    from = hs_max(from, 0);
    for (int first = 0, n; first < kv->count; first += n) {
        int start = hs_kv_start(kv, first);
        n = hs_kv_is_sealed(kv, first) ? hs_kv_chunk(kv, first) : hs_min(HS_LEAF, kv->count - first);
        if (start + n <= from) continue;
        arrivals(kv, first, n, own);
        for (int t = hs_max(0, from - start); t < n; t++) {
            if (!hs_kv_is_live(kv, own[t])) continue;
            if (found == room) return found;
            positions[found++] = start + t;
        }
    }
    return found;
}

/* Own index of a held position, or HS_ERR_ARGUMENT. */
static int find(const hs_index *index, int position) {
    const hs_kv *kv = &index->cache.kv;
    int i = hs_kv_find(kv, position);
    return i >= 0 && hs_kv_is_live(kv, i) ? i : hs_error_set(HS_ERR_ARGUMENT, "position of a key that is not held", position, hs_kv_length(kv));
}

int hs_index_key(const hs_index *index, int position, float *out) {
    int i = find(index, position);
    if (i < 0) return i;
    hs_kv_key(&index->cache.kv, i, out);
    return HS_OK;
}

float hs_index_key_distance(const hs_index *index, int position) {
    const hs_kv *kv = &index->cache.kv;
    int i = find(index, position);
    if (i < 0) return (float)i;
    return kv->key_residual ? hs_bf16_to_f32(kv->key_residual[i / HS_LEAF]) * hs_bf16_to_f32(kv->k_scale[i]) : 0;
}

static int check_query(const hs_index *index, const float *q, float b, hs_strategy strategy) {
    if ((int)strategy < HS_STRATEGY_AUTO || strategy > HS_STRATEGY_TREE) return hs_error_set(HS_ERR_ARGUMENT, "strategy", strategy, HS_STRATEGY_TREE);
    if (isnan(b)) return hs_error_text(HS_ERR_ARGUMENT, "threshold: it is not a number");
    return hs_check_rows("coordinate of a query", q, 0, 1, index->cache.kv.head_dim, 1);
}

int hs_index_report(hs_index *index, const float *q, float b, hs_strategy strategy, int *positions, float *products, int room, hs_index_stats *stats) {
    const hs_kv *kv = &index->cache.kv;
    hs_index_stats unwanted = {0}, *did = stats ? stats : &unwanted;
    int status = check_query(index, q, b, strategy);
    if (status != HS_OK) return status;
    if (room < 0) return hs_error_set(HS_ERR_ARGUMENT, "room for keys", room, HS_GROWING_LIMIT);
    *did = (hs_index_stats){0};
    if (!index->room) return 0; /* there were never keys */
    work w = lay_out(index);
    if (!positions && !products) return hs_kv_count_hits(kv, q, b, strategy, w.keys, w.products, did, &index->prepared);
    int n = hs_kv_hits(kv, q, b, strategy, w.keys, w.products, did, &index->prepared);
    for (int j = 0; j < n; j++) w.pairs[j] = hs_by_position(hs_kv_position(kv, w.keys[j]), w.products[j]);
    hs_rank_sort(w.pairs, w.spare, n);
    for (int j = 0; j < hs_min(n, room); j++) {
        if (positions) positions[j] = hs_position_of(w.pairs[j]);
        if (products) products[j] = hs_product_of(w.pairs[j]);
    }
    return n;
}

/* Finds every key with product >= some threshold, b or a higher one that r keys reach; of fewer keys than r there is no such. */
static int find_best(const hs_index *index, const float *q, int r, float b, hs_strategy strategy, const work *w, hs_index_stats *stats) {
    const hs_kv *kv = &index->cache.kv;
    float *lower = floats_of(w);
    int n = hs_kv_candidates(kv, &index->prepared, b, strategy, w->keys, w->products, stats), kept = 0;
    if (n < r) return n;
    for (int j = 0; j < n; j++) lower[j] = w->products[j] - hs_refined_radius(kv, &index->prepared, w->keys[j]);
    b = fmaxf(b, hs_rth_largest(lower, n, r));
    for (int j = 0; j < n; j++) {
        if (w->products[j] + hs_refined_radius(kv, &index->prepared, w->keys[j]) >= b) w->keys[kept++] = w->keys[j];
    }
    return hs_kv_keep_exact(kv, q, b, w->keys, w->products, kept, stats);
}

int hs_index_top(hs_index *index, const float *q, int r, float guess, hs_strategy strategy, int *positions, float *products, hs_index_stats *stats) {
    const hs_kv *kv = &index->cache.kv;
    hs_index_stats unwanted = {0}, *did = stats ? stats : &unwanted;
    int status = check_query(index, q, guess, strategy), found = 0;
    if (status != HS_OK) return status;
    if (!index->room || r < 1 || r > hs_index_count_live(index)) return hs_error_set(HS_ERR_ARGUMENT, "r, from 1 on", r, hs_index_count_live(index));
    work w = lay_out(index);
    *did = (hs_index_stats){0};
    hs_hits_prepare(&index->prepared, q, kv->head_dim);
    if (guess > -INFINITY) found = find_best(index, q, r, guess, strategy, &w, did);
    if (found < r) {
        float b = strategy == HS_STRATEGY_BRUTE ? -INFINITY : hs_kv_first_threshold(kv, &index->prepared, r, floats_of(&w), did);
        found = find_best(index, q, r, b, strategy, &w, did);
    }
    for (int j = 0; j < found; j++) w.pairs[j] = hs_by_product(hs_kv_position(kv, w.keys[j]), w.products[j]);
    hs_rank_sort(w.pairs, w.spare, found);
    for (int j = 0; j < r; j++) {
        if (positions) positions[j] = hs_top_position(w.pairs[j]);
        if (products) products[j] = hs_top_product(w.pairs[j]);
    }
    did->keys_reported = r;
    return r;
}
