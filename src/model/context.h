/* One conversation: the KV caches of every layer and how attention is to be computed over them. */
#ifndef HS_MODEL_CONTEXT_H
#define HS_MODEL_CONTEXT_H

#include "attention/attention.h"
#include "base/hs.h"
#include "kv/kv.h"
#include "model/model.h"

/* A block of tokens is attended to in parts of so many, which threads may take at once. */
enum { HS_PART = 64,
       HS_PARTS = HS_BATCH / HS_PART };

/* Attention of one KV head of a layer. */
typedef struct {
    hs_attention_params params;         /* scale, window, softcap, causal and end are filled in when it runs */
    hs_attention_stats stats[HS_PARTS]; /* since the last reset, by part of a block; of decode steps in the first */
    hs_reported reported;               /* by the last decode step, where it is watched; else positions is NULL */
} hs_head;

typedef struct hs_context {
    hs_model *model;
    struct hs_context *parent; /* its keys come before this context's own and are shared, read-only */
    int children;              /* while positive, this context is frozen */
    int capacity;              /* tokens of its own */
    int length;                /* tokens held, the parent's included */
    hs_kv *kv;                 /* [n_layers][n_kv_heads] */
    uint8_t *scratch;          /* [threads][scratch_bytes] for attention and sealing */
    size_t scratch_bytes;
    hs_head *heads; /* [n_layers][n_kv_heads] */
    void *watch;    /* memory of what is watched, or NULL */
    float *queries; /* inside it: [n_layers][n_heads * head_dim] of the last decode step, after RoPE */
} hs_context;

/* Tokens held; 0 for no context. */
static inline int hs_context_held(const hs_context *c) {
    return c ? c->length : 0;
}

/* Caches: KV heads of all layers. */
static inline int hs_context_caches(const hs_context *c) {
    return c->model->config.n_layers * c->model->config.n_kv_heads;
}

/* Bytes that hs_context_new() will allocate; may exceed what the machine has. HS_ERR_ARGUMENT when capacity or KV type is out of range. */
double hs_context_size(const hs_model *m, int capacity, int kv_type, const hs_context *parent);

/*
 * Creates a context with room for `capacity` tokens of its own (1..HS_MAX_CAPACITY, the parent's included in the limit).
 * With a parent of the same model and KV type it continues the parent's tokens; all but the newest few are shared (kv/kv.h).
 * NULL with an error text on a value out of range or when memory is short.
 */
hs_context *hs_context_new(hs_model *m, int capacity, int kv_type, hs_context *parent);

/* Frees the context. Error: it has children. */
int hs_context_delete(hs_context *c);

/* Keeps the first n tokens. Error: n beyond the length or below the parent's, children, or caches that are not level (below). */
int hs_context_cut(hs_context *c, int n);

/* The cache, and the attention, of one KV head of a layer. NULL with an error text when one of them is out of range. */
hs_kv *hs_context_cache(const hs_context *c, int layer, int kv_head);
hs_head *hs_context_head(const hs_context *c, int layer, int kv_head);

/* HS_ERR_STATE while it has children: its keys are theirs, too. */
int hs_context_check_childless(const hs_context *c);

/* HS_ERR_STATE unless every cache holds as many tokens as the context, which those that records are read into need not. */
int hs_context_check_level(const hs_context *c);

/*
 * In the functions below, layer and kv_head may be HS_ALL. Errors: out of range; for attention_set also what
 * hs_attention_check() says.
 */
enum { HS_ALL = -1 };

/* How to attend from now on. */
int hs_context_attention_set(hs_context *c, const hs_attention_params *p, int layer, int kv_head);

/* Sums since the last reset to `out`; maxima of error_max and value_norm. */
int hs_context_stats(const hs_context *c, int layer, int kv_head, hs_attention_stats *out);
void hs_context_stats_reset(hs_context *c);

enum { HS_WATCH_ROOM = 1 << 16 };

/*
 * From now on decode steps note up to `room` (1..HS_WATCH_ROOM) reported keys per KV head that is watched, and all queries;
 * what was watched before is watched no more. room 0 ends it. HS_ERR_MEMORY: nothing is watched then.
 */
int hs_context_watch(hs_context *c, int layer, int kv_head, int room);

/*
 * For contexts whose keys come from records (kv/record.h), one per part of the caches, each the parent of the next: every
 * cache of a layer holds `sealed` and `count` keys of its own, and the context as many tokens as its longest cache. Error: it
 * has children or, as only the last part can keep unsealed keys that a child would copy, its parent has such in the layer.
 */
int hs_context_lay_out(hs_context *c, int layer, int sealed, int count);

/* Stored keys and values of positions from..from+n-1, as f32[n][head_dim] each. Error: a position is not held. */
int hs_context_rows(const hs_context *c, int layer, int kv_head, int from, int n, float *keys, float *values);

#endif
