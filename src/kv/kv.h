/*
 * The KV cache of one (layer, KV head), which is also the half-space reporting index over its keys.
 *
 * Keys are kept in the order they came, until the oldest ones are sealed: a chunk of them is permuted so that the keys of
 * each run of HS_LEAF lie close to one another (hsr/tree.h), and each such leaf gets a summary. Softmax does not depend on
 * the order of keys, so dense attention reads the same arrays and the same stored values as the index. The first HS_LEAF
 * keys of a conversation (the attention sink) and the newest keys (the window) are never sealed.
 *
 * Chunks follow the logarithmic method of Bentley and Saxe (1980) with base HS_CHUNK_GROWTH: sealed keys form as many
 * chunks of max_chunk keys as fit, then of an eighth of it, and so on down to HS_CHUNK. A key is sorted into a chunk of
 * each size once, at about ten passes over it per halving (hsr/tree.h). What is sealed depends on the number of keys alone,
 * so a cache that was cut equals one that never was longer.
 *
 * Q8: a key is rotated (kernels/rotate.h), then int8 with one scale (its largest magnitude / 127, rounded up to bf16), stored
 * as u = value + 128 in two planes of nibbles (kernels/planes.h), so that the high plane alone is a 4-bit screen. A value is
 * an int8 row with one scale. F32: keys and values are f32 rows; the high plane and its scale serve the screen only.
 *
 * Bytes per key at head_dim 64, index included: Q8 147.75, F32 561.6; keys alone 77.1 and 301.
 */
#ifndef HS_KV_KV_H
#define HS_KV_KV_H

#include <stddef.h>
#include <stdint.h>

enum { HS_KV_Q8 = 0,
       HS_KV_F32 = 1 };

enum {
    HS_LEAF = 16,                                   /* keys per leaf, and per run of unsealed keys */
    HS_CHUNK = 128,                                 /* keys sealed together */
    HS_CHUNK_GROWTH = 8,                            /* chunks that are merged into one */
    HS_CHUNK_MAX = 65536,                           /* limit of max_chunk */
    HS_KV_RECENT = 32,                              /* newest keys that always stay in the window */
    HS_KV_TAIL = HS_LEAF + HS_CHUNK + HS_KV_RECENT, /* more keys than a sealed cache ever has unsealed */
};

/* What a cache is made for. */
typedef struct {
    int head_dim;  /* HS_MIN_HEAD_DIM..HS_MAX_HEAD_DIM, a multiple of 8 */
    int type;      /* HS_KV_Q8 or HS_KV_F32 */
    int keys_only; /* no values: an index for report, count and top alone */
    int max_chunk; /* HS_CHUNK times a power of HS_CHUNK_GROWTH, at most HS_CHUNK_MAX */
} hs_kv_shape;

typedef struct hs_kv {
    const struct hs_kv *parent; /* its keys come first and are shared, read-only; or NULL */
    int head_dim, type, keys_only, max_chunk, capacity;
    int base;        /* position less own index: keys held by the parents; or keys dropped, which the sink lies before */
    int count;       /* own keys, removed ones included */
    int removed;     /* keys whose bit in `live` is clear */
    int sealed_from; /* own keys sealed_from..sealed_to-1 lie in leaves; both are multiples of HS_LEAF */
    int sealed_to;
    float v_norm;                          /* no value was longer */
    uint8_t *k_high;                       /* [capacity/4][2 * head_dim] */
    uint8_t *k_low;                        /* Q8 only, same shape */
    uint16_t *k_scale;                     /* [capacity] bf16 */
    uint16_t *place;                       /* [capacity] arrival order of a sealed key inside its chunk */
    int8_t *v;                             /* Q8: [capacity][head_dim] */
    uint16_t *v_scale;                     /* Q8: [capacity] bf16 */
    float *k_rows;                         /* F32: [capacity][head_dim] */
    float *v_rows;                         /* F32: [capacity][head_dim] */
    uint16_t *live;                        /* [capacity/HS_LEAF] bit i: key i of the run was not removed */
    uint16_t *screen_residual;             /* [capacity/HS_LEAF] bf16: no key of the run is farther from its 4-bit form, in units of its scale */
    uint16_t *key_residual;                /* Q8: the same for the caller's key (rotated) and the stored one */
    uint16_t *key_norm;                    /* [capacity/HS_LEAF] bf16: no stored key of the run, nor its 4-bit form, is longer, in units of its scale */
    int8_t *leaf_k;                        /* [capacity/HS_LEAF][head_dim] centroid of the leaf's keys, not rotated */
    int8_t *leaf_v;                        /* mean of its values */
    uint16_t *leaf_k_scale, *leaf_v_scale; /* bf16 */
    int8_t *leaf_spread;                   /* [capacity/HS_LEAF][head_dim] variance of its keys per dim, 0..127 times its scale */
    uint16_t *leaf_spread_scale;
    uint16_t *leaf_lone;  /* 1: one key of the leaf lies far from the others, and spread does not tell what a query may meet */
    float *leaf_k_radius; /* no live key of the leaf is farther from the stored centroid */
    float *leaf_v_radius; /* the same for the values */
    float *leaf_v_spread; /* root of the sum of those squared distances */
    struct hs_kv *shared; /* where `parent` points: the parent as it was, without the keys that were copied */
} hs_kv;

/* HS_ERR_ARGUMENT when the shape is out of range. */
int hs_kv_shape_check(const hs_kv_shape *shape);

/* The shape that a cache was made for. */
static inline hs_kv_shape hs_kv_shape_of(const hs_kv *kv) {
    return (hs_kv_shape){kv->head_dim, kv->type, kv->keys_only, kv->max_chunk};
}

/* Bytes of the slab for `capacity` keys of its own, a multiple of HS_ALIGN; `continues` when it will have a parent. */
size_t hs_kv_bytes(const hs_kv_shape *shape, int capacity, int continues);

/*
 * Lays an empty cache over a slab of hs_kv_bytes(). With a parent it continues the parent's keys, and the parent must not
 * change: the sealed ones are shared; the unsealed ones, at most HS_KV_TAIL unless the parent never seals, are copied, so
 * that a chain of caches has one window only. The copies count as keys of its own beside `capacity`.
 */
void hs_kv_init(hs_kv *kv, void *slab, const hs_kv_shape *shape, int capacity, const hs_kv *parent);

/* Moves a cache without parent to a larger slab, of hs_kv_bytes() for `capacity`. The old slab may be freed then. */
void hs_kv_move(hs_kv *kv, void *slab, int capacity);

/* Keys held, the parents' included. */
static inline int hs_kv_length(const hs_kv *kv) {
    return kv->base + kv->count;
}

/* Appends n keys k (after RoPE) and values v, rows `stride` floats apart; v is not read from a cache of keys only. The caller has checked the capacity. */
void hs_kv_append(hs_kv *kv, const float *k, const float *v, int stride, int n);

/*
 * Seals what is due: all but the sink and HS_KV_RECENT to HS_KV_RECENT + HS_CHUNK - 1 of the newest keys. The scratch may be
 * that of a shape whose max_chunk is the largest chunk that the keys fill.
 */
void hs_kv_seal(hs_kv *kv, void *scratch);
size_t hs_kv_seal_scratch_bytes(const hs_kv_shape *shape);

/*
 * Keeps positions below `length`, kv->base to hs_kv_length(), or from 0 without a parent; the next key gets position `length`.
 * Sealed chunks that are cut return to the order of arrival. scratch: hs_kv_seal_scratch_bytes().
 */
void hs_kv_truncate(hs_kv *kv, int length, void *scratch);

/* Removes the own keys at positions from..to-1: they keep their places, are reported no more and have no weight. */
void hs_kv_remove(hs_kv *kv, int from, int to);

/*
 * Forgets the first n sealed keys, whole chunks of which all keys were removed. Positions stay, and so does the sink in its
 * place. The cache has no parent and is none.
 */
void hs_kv_drop(hs_kv *kv, int n);

/* Keys of the sealed chunk that starts at own index `first`. */
int hs_kv_chunk(const hs_kv *kv, int first);

/* Position of the unsealed key, or of the oldest key of the sealed chunk, at own index `first`. */
static inline int hs_kv_start(const hs_kv *kv, int first) {
    return first < kv->sealed_from ? first : kv->base + first;
}

/* Position of own index i, and the own index of a position: -1 when it is not stored. */
int hs_kv_position(const hs_kv *kv, int i);
int hs_kv_find(const hs_kv *kv, int position);

/* Whether the key at own index i lies in a leaf. */
static inline int hs_kv_is_sealed(const hs_kv *kv, int i) {
    return i >= kv->sealed_from && i < kv->sealed_to;
}

/* Whether the key at own index i was not removed. */
static inline int hs_kv_is_live(const hs_kv *kv, int i) {
    return kv->live[i / HS_LEAF] >> i % HS_LEAF & 1;
}

/* Runs of HS_LEAF that n keys fill, the last one in part. */
static inline int hs_kv_runs(int n) {
    return (n + HS_LEAF - 1) / HS_LEAF;
}

/* Bit i: key i of a run is held and was not removed. */
static inline unsigned hs_kv_live_bits(const hs_kv *kv, int run) {
    int keys = kv->count - run * HS_LEAF;
    if (keys >= HS_LEAF) return kv->live[run];
    return keys > 0 ? kv->live[run] & ((1u << keys) - 1) : 0;
}

/* How many of the own keys first..end-1 were not removed: whole runs, the last one up to the cache's end. */
int hs_kv_count_live(const hs_kv *kv, int first, int end);

/* The stored key or value of own index i to out, f32[head_dim]. */
void hs_kv_key(const hs_kv *kv, int i, float *out);
void hs_kv_value(const hs_kv *kv, int i, float *out);

/* The keys of own_indices [4] side by side, out [head_dim][4], bit by bit as hs_kv_key() gives them, in less time. */
void hs_kv_four_keys(const hs_kv *kv, const int *own_indices, float *out);

#endif
