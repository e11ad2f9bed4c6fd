/*
 * Halfspace: status codes, limits and alignment shared by every module.
 *
 * What parameters of these names are, in every header that does not say otherwise:
 *   head_dim         floats of one query, key or value: HS_MIN_HEAD_DIM..HS_MAX_HEAD_DIM, a multiple of 8
 *   group            query heads that share a KV head, 1..HS_MAX_GROUP
 *   g                one of them, from 0
 *   layer, kv_head   from 0
 *   q                queries as f32[group][head_dim], or one of them, not yet scaled
 *   k, v             keys and values
 *   n                how many: of keys, rows, leaves or floats, whatever the arrays hold
 *   own_index        number of a key among a cache's own, its parents' not counted (kv/kv.h)
 *   position         number of a key among all, from 0
 *   run              number of HS_LEAF own keys, from 0
 *   capacity         keys that there is room for
 *   type, kv_type    HS_KV_Q8 or HS_KV_F32
 *   ggml_type        HS_GGML_F32 and so on
 *   high, low        planes of nibbles of stored keys (kv/kv.h), of n_groups groups of four
 *   n_groups         see high, low
 *   scale, k_scale   bf16 of each row or key
 *   out              where results go, in the shape that the comment gives
 *   stride           floats from one row to the next
 *   out_stride       of out
 *   y_stride         of y
 *   scratch          memory for the time of the call, HS_ALIGN-aligned: the bytes that ..._scratch_bytes() of that name gives
 */
#ifndef HS_BASE_HS_H
#define HS_BASE_HS_H

#include <stddef.h>
#include <stdint.h>

/* Functions that can fail return HS_OK or one of these, and describe the failure with hs_error_set(). */
enum {
    HS_OK = 0,
    HS_ERR_ARGUMENT = -1,    /* a value is outside its documented range */
    HS_ERR_MEMORY = -2,      /* an allocation failed; nothing was changed */
    HS_ERR_STATE = -3,       /* the call does not fit the object's state (e.g. weights incomplete) */
    HS_ERR_FULL = -4,        /* no room for so many tokens or keys */
    HS_ERR_UNSUPPORTED = -5, /* a type of tensors this build does not know, or weights that give numbers attention does not take */
};

/* Stated limits. A model or context beyond them is refused, never truncated. */
enum {
    HS_MAX_LAYERS = 256,
    HS_MAX_HEADS = 256,
    HS_MAX_HEAD_DIM = 256,
    HS_MIN_HEAD_DIM = 16,
    HS_MAX_GROUP = 16,         /* query heads per KV head */
    HS_MAX_CAPACITY = 1 << 20, /* tokens in one context */
    HS_BATCH = 128,            /* tokens in one prefill call, queries in one block */
    HS_MAX_THREADS = 16,
};

/* Every buffer handed between modules starts at a multiple of this. */
enum { HS_ALIGN = 16 };

/* The least multiple of HS_ALIGN that is not below `bytes`. */
static inline size_t hs_align_up(size_t bytes) {
    return (bytes + HS_ALIGN - 1) & ~(size_t)(HS_ALIGN - 1);
}

/* The lesser and the greater of a and b. */
static inline int hs_min(int a, int b) {
    return a < b ? a : b;
}
static inline int hs_max(int a, int b) {
    return a > b ? a : b;
}

#endif
