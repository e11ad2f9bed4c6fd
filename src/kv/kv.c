/* The arrays of a cache: laid out over a slab, shared with children, moved, and counted. */
#include "kv/kv.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "kv/fields.h"
#include "kv/store.h"

#include <string.h>

int hs_is_chunk_size(int n, int most) {
    int size = HS_CHUNK;
    while (size < most && size < n) size *= HS_CHUNK_GROWTH;
    return size == n;
}

int hs_kv_shape_check(const hs_kv_shape *shape) {
    int d = shape->head_dim;
    if (d < HS_MIN_HEAD_DIM || d > HS_MAX_HEAD_DIM || d % 8 != 0) return hs_error_set(HS_ERR_ARGUMENT, "head_dim, a multiple of 8 from 16 on", d, HS_MAX_HEAD_DIM);
    if (shape->type != HS_KV_Q8 && shape->type != HS_KV_F32) return hs_error_set(HS_ERR_ARGUMENT, "type of keys", shape->type, HS_KV_F32);
    if (!hs_is_chunk_size(shape->max_chunk, HS_CHUNK_MAX)) return hs_error_set(HS_ERR_ARGUMENT, "max_chunk, 128 times a power of 8", shape->max_chunk, HS_CHUNK_MAX);
    return HS_OK;
}

/* Gives every array its part of the slab, and returns the bytes of all. */
static size_t lay_out(hs_kv *kv, void *slab) {
    size_t used = 0;
    for (int f = 0; f < HS_FIELDS; f++) {
        void *data = hs_has_field(kv, f) ? hs_carve(slab, &used, (size_t)(kv->capacity / HS_LEAF) * hs_field_run(kv, f)) : NULL;
        memcpy((char *)kv + hs_fields[f].pointer, (const void *)&data, sizeof data);
    }
    kv->shared = hs_carve(slab, &used, sizeof(hs_kv));
    return used;
}

/* Copies the arrays of own keys from..from+n-1 of `old` to the front; from is a multiple of HS_LEAF. */
static void copy_keys(hs_kv *kv, const hs_kv *old, int from, int n) {
    size_t runs = (size_t)hs_kv_runs(n), first = (size_t)(from / HS_LEAF);
    for (int f = 0; f < HS_FIELDS; f++) {
        size_t run = hs_field_run(kv, f);
        if (hs_has_field(kv, f)) memmove(hs_field(kv, f), hs_field(old, f) + first * run, runs * run);
    }
}

/* Keys a slab holds: a child's also those it takes over. */
static int slab_capacity(int capacity, int continues) {
    return hs_kv_runs(capacity + (continues ? HS_KV_TAIL : 0)) * HS_LEAF;
}

static hs_kv empty(const hs_kv_shape *shape, int capacity, int continues) {
    return (hs_kv){
        .head_dim = shape->head_dim,
        .type = shape->type,
        .keys_only = shape->keys_only,
        .max_chunk = shape->max_chunk,
        .capacity = slab_capacity(capacity, continues),
    };
}

size_t hs_kv_bytes(const hs_kv_shape *shape, int capacity, int continues) {
    hs_kv kv = empty(shape, capacity, continues);
    return lay_out(&kv, NULL);
}

/* How many of the parent's newest keys a child takes over. */
static int copied_keys(const hs_kv *parent) {
    int tail = parent->count - (parent->sealed_to > parent->sealed_from ? parent->sealed_to : 0);
    return tail <= HS_KV_TAIL ? tail : 0;
}

int hs_kv_count_live(const hs_kv *kv, int first, int end) {
    int live = 0;
    for (int run = first / HS_LEAF; run < hs_kv_runs(end); run++) live += __builtin_popcount(hs_kv_live_bits(kv, run));
    return live;
}

int hs_count_removed(const hs_kv *kv) {
    return kv->count - hs_kv_count_live(kv, 0, kv->count);
}

void hs_kv_init(hs_kv *kv, void *slab, const hs_kv_shape *shape, int capacity, const hs_kv *parent) {
    int copied = parent ? copied_keys(parent) : 0;
    *kv = empty(shape, capacity, parent != NULL);
    lay_out(kv, slab);
    if (parent && parent->count > copied) {
        *kv->shared = *parent;
        kv->shared->count -= copied;
        if (parent->removed > 0) kv->shared->removed = hs_count_removed(kv->shared);
        kv->parent = kv->shared;
    } else if (parent) {
        kv->parent = parent->parent;
    }
    kv->base = kv->parent ? hs_kv_length(kv->parent) : 0;
    kv->v_norm = parent ? parent->v_norm : 0;
    kv->sealed_from = kv->sealed_to = kv->parent ? 0 : HS_LEAF;
    kv->count = copied;
    if (copied > 0) copy_keys(kv, parent, parent->count - copied, copied);
    if (parent && parent->removed > 0) kv->removed = hs_count_removed(kv);
}

void hs_kv_move(hs_kv *kv, void *slab, int capacity) {
    hs_kv old = *kv;
    kv->capacity = slab_capacity(capacity, 0);
    lay_out(kv, slab);
    if (old.count > 0) copy_keys(kv, &old, 0, old.count);
}

void hs_kv_drop(hs_kv *kv, int n) {
    int first = kv->sealed_from, keep = kv->count - first - n;
    /* The sink stays where it is: only what follows the dropped keys moves. */
    for (int f = 0; f < HS_FIELDS; f++) {
        if (!hs_has_field(kv, f)) continue;
        size_t run = hs_field_run(kv, f);
        memmove(hs_field(kv, f) + (size_t)(first / HS_LEAF) * run, hs_field(kv, f) + (size_t)((first + n) / HS_LEAF) * run, (size_t)hs_kv_runs(keep) * run);
    }
    kv->base += n;
    kv->count -= n;
    kv->removed -= n;
    kv->sealed_to -= n;
}
