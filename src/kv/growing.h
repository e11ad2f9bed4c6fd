/* A KV cache of one KV head that grows as keys come, for use without a model. Owns its memory. */
#ifndef HS_KV_GROWING_H
#define HS_KV_GROWING_H

#include "kv/kv.h"

enum { HS_GROWING_LIMIT = 1 << 24 }; /* keys in one cache, removed ones that are still stored included */

typedef struct {
    hs_kv kv;           /* without parent; kv.capacity grows by half, at least to what is asked */
    void *slab;         /* its memory; NULL while it holds nothing */
    void *seal_scratch; /* hs_kv_seal_scratch_bytes() for chunks of up to seal_chunk keys; NULL before the first seal */
    int seal_chunk;
} hs_growing;

/* Creates an empty cache. HS_ERR_ARGUMENT when the shape is out of range. */
int hs_growing_init(hs_growing *c, const hs_kv_shape *shape);
void hs_growing_free(hs_growing *c);

/*
 * Makes room for n more keys. HS_ERR_ARGUMENT when n < 0, HS_ERR_FULL beyond HS_GROWING_LIMIT keys or the range of positions,
 * HS_ERR_MEMORY; nothing is changed then.
 */
int hs_growing_reserve(hs_growing *c, int n);

/*
 * Appends n keys and values, rows `stride` floats apart, and seals what is due: each key of a batch is sorted once, into the
 * chunk where it ends. Values are not read where the shape is keys only. HS_ERR_ARGUMENT also when a coordinate is NaN or
 * beyond HS_COORDINATE_LIMIT (kv/coordinates.h); nothing is appended then.
 */
int hs_growing_append(hs_growing *c, const float *keys, const float *values, int stride, int n);

/*
 * Removes the keys at positions from..to-1, 0 <= from <= to <= hs_kv_length(), else HS_ERR_ARGUMENT. Removed chunks at the
 * front make room for keys to come once they are a quarter of what is stored, so that moving the others stays cheap.
 */
int hs_growing_remove(hs_growing *c, int from, int to);

/* Keeps positions below `length`, 0..hs_kv_length(), else HS_ERR_ARGUMENT; the next key gets position `length`. */
int hs_growing_truncate(hs_growing *c, int length);

/*
 * Holds what was read into it (kv/record.h): `sealed` keys in chunks after the sink and `count` in all, 0..capacity, of which
 * the removed ones are counted; positions behind the sink start `base` later (hs_kv). HS_ERR_ARGUMENT, HS_ERR_MEMORY: it
 * holds what it held.
 */
int hs_growing_lay_out(hs_growing *c, int base, int sealed, int count);

/* Keys held: those that were not removed. */
static inline int hs_growing_live(const hs_growing *c) {
    return c->kv.count - c->kv.removed;
}

#endif
