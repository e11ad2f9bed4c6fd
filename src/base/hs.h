/* Halfspace: status codes, limits and alignment shared by every module. */
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
    HS_ERR_FULL = -4,        /* the context has no room for the tokens */
    HS_ERR_UNSUPPORTED = -5, /* a format or architecture this build does not know */
};

/* Stated limits. A model or context beyond them is refused, never truncated. */
enum {
    HS_MAX_LAYERS = 256,
    HS_MAX_HEADS = 256,
    HS_MAX_HEAD_DIM = 256,
    HS_MIN_HEAD_DIM = 16,
    HS_MAX_GROUP = 16,         /* query heads per KV head */
    HS_MAX_CAPACITY = 1 << 20, /* tokens in one context */
    HS_BATCH = 128,            /* tokens in one prefill call */
    HS_MAX_THREADS = 16,
};

/* Every buffer handed between modules starts at a multiple of this. */
enum { HS_ALIGN = 16 };

static inline size_t hs_align_up(size_t bytes) {
    return (bytes + HS_ALIGN - 1) & ~(size_t)(HS_ALIGN - 1);
}
static inline int hs_min(int a, int b) {
    return a < b ? a : b;
}
static inline int hs_max(int a, int b) {
    return a > b ? a : b;
}

#endif
