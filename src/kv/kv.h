/*
 * The KV cache of one (layer, KV head), which is also the half-space reporting index over its keys.
 *
 * Keys are kept in the order they came, until a chunk of the oldest ones is sealed: then the chunk is permuted, once, so
 * that the keys of each run of HS_LEAF lie close to one another (hsr/tree.h), and each such leaf gets a summary. Softmax
 * does not depend on the order of keys, so dense attention reads the same arrays and the same stored values as the index.
 * The first HS_LEAF keys of a conversation (the attention sink) and the newest keys (the window) are never sealed.
 *
 * Q8: a key is rotated (kernels/rotate.h), then int8 with one f32 scale (its largest magnitude / 127), stored as
 * u = value + 128 in two planes of nibbles, so that the high plane alone is a 4-bit screen. Planes are tiles of
 * 4 keys x 4 dims as in quant/tensor.h: group g of four keys has 2*head_dim bytes per plane; byte vector p (16 bytes) holds dims 8p..8p+3 in its low and 8p+4..8p+7 in its
 * high nibbles; byte 4i+c of it is key i, dim c. A value is an int8 row with one scale.
 * F32: keys and values are f32 rows; the high plane and its scale serve the screen only.
 *
 * Bytes per key at head_dim 64, index included: Q8 149, F32 561.
 */
#ifndef HS_KV_KV_H
#define HS_KV_KV_H

#include <stddef.h>
#include <stdint.h>

enum { HS_KV_Q8 = 0,
       HS_KV_F32 = 1 };

enum {
    HS_LEAF = 16,                                  /* keys per leaf */
    HS_CHUNK = 128,                                /* keys sealed together */
    HS_KV_RECENT = 32,                             /* newest keys that always stay in the window */
    HS_KV_TAIL = HS_LEAF + HS_CHUNK + HS_KV_RECENT /* more keys than a sealed cache ever has unsealed */
};

typedef struct hs_kv {
    const struct hs_kv *parent; /* its keys come first and are shared, read-only; or NULL */
    int head_dim, type, capacity;
    int base;        /* keys held by the parents */
    int count;       /* keys of its own */
    int sealed_from; /* own keys sealed_from..sealed_to-1 lie in leaves; both are multiples of HS_LEAF */
    int sealed_to;
    uint8_t *k_high; /* [capacity/4][2 * head_dim] */
    uint8_t *k_low;  /* Q8 only, same shape */
    float *k_scale;  /* [capacity] */
    int8_t *v;       /* Q8: [capacity][head_dim] */
    float *v_scale;  /* Q8: [capacity] */
    float *k_rows;   /* F32: [capacity][head_dim] */
    float *v_rows;   /* F32: [capacity][head_dim] */
    int8_t *leaf_k;  /* [capacity/HS_LEAF][head_dim] centroid of the leaf's keys */
    int8_t *leaf_v;  /* mean of its values */
    float *leaf_k_scale, *leaf_v_scale;
    int8_t *leaf_spread; /* [capacity/HS_LEAF][head_dim] variance of its keys per dim, 0..127 times its scale */
    float *leaf_spread_scale;
    struct hs_kv *shared; /* where `parent` points: the parent as it was, without the keys that were copied */
} hs_kv;

/* Bytes of the slab for `capacity` keys of its own, a multiple of HS_ALIGN; `continues` when it will have a parent. */
size_t hs_kv_bytes(int head_dim, int capacity, int type, int continues);

/*
 * Lays an empty cache over a slab of hs_kv_bytes(). With a parent it continues the parent's keys, and the parent must not
 * change: the sealed ones are shared; the unsealed ones, at most HS_KV_TAIL unless the parent never seals, are copied, so
 * that a chain of caches has one window only. The copies count as keys of its own beside `capacity`.
 */
void hs_kv_init(hs_kv *kv, void *slab, int head_dim, int capacity, int type, const hs_kv *parent);

/* Keys held, the parents' included. */
static inline int hs_kv_length(const hs_kv *kv) {
    return kv->base + kv->count;
}

/* Appends n keys (after RoPE) and values, rows `stride` floats apart. The caller has checked the capacity. */
void hs_kv_append(hs_kv *kv, const float *k, const float *v, int stride, int n);

/*
 * Seals whole chunks while more than HS_CHUNK + HS_KV_RECENT keys are unsealed. A chunk costs
 * log2(HS_CHUNK / HS_LEAF) levels of power iteration, about ten passes over its keys each.
 */
void hs_kv_seal(hs_kv *kv, void *scratch);
size_t hs_kv_seal_scratch_bytes(int head_dim);

/* The fewest keys hs_kv_truncate() can leave: it cannot cut into sealed or shared keys. */
int hs_kv_least_length(const hs_kv *kv);

/* Keeps the first `length` keys, hs_kv_least_length() to hs_kv_length(). */
void hs_kv_truncate(hs_kv *kv, int length);

/* The stored key or value of own index i, as f32[head_dim]. */
void hs_kv_key(const hs_kv *kv, int i, float *out);
void hs_kv_value(const hs_kv *kv, int i, float *out);

#endif
