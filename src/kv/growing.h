/* A KV cache of one KV head that grows as keys come, for use without a model. Owns its memory. */
#ifndef HS_KV_GROWING_H
#define HS_KV_GROWING_H

#include "kv/kv.h"

enum { HS_GROWING_LIMIT = 1 << 24 }; /* keys in one cache, removed ones that are still stored included */

/* Keys and values beyond this magnitude could overflow an inner product of head_dim 256. */
#define HS_COORDINATE_LIMIT 1e15f

typedef struct {
    hs_kv kv;           /* without parent; kv.capacity grows by half, at least to what is asked */
    void *slab;         /* its memory; NULL while it holds nothing */
    void *seal_scratch; /* hs_kv_seal_scratch_bytes(); NULL before the first seal */
} hs_growing;

/* Creates an empty cache. HS_ERR_ARGUMENT when the shape is out of range (kv/kv.h), HS_ERR_MEMORY. */
int hs_growing_init(hs_growing *c, const hs_kv_shape *shape);
void hs_growing_free(hs_growing *c);

/*
 * Appends n keys and values, rows `stride` floats apart, and seals what is due; values are not read where the shape is keys
 * only. HS_ERR_ARGUMENT when a coordinate is NaN or beyond HS_COORDINATE_LIMIT (nothing is appended then), HS_ERR_FULL
 * beyond HS_GROWING_LIMIT, HS_ERR_MEMORY (nothing is appended).
 */
int hs_growing_append(hs_growing *c, const float *keys, const float *values, int stride, int n);

/* Removes the keys at positions from..to-1, 0 <= from <= to <= hs_kv_length(); gives whole removed chunks at the front back. */
int hs_growing_remove(hs_growing *c, int from, int to);

/* Keeps positions below `length`, which must not lie before what was given back at the front. */
int hs_growing_truncate(hs_growing *c, int length);

/* Keys held: those that were not removed. */
static inline int hs_growing_live(const hs_growing *c) {
    return c->kv.count - c->kv.removed;
}

#endif
