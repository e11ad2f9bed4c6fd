/* One conversation: the KV caches of every layer and how attention is to be computed over them. */
#ifndef HS_MODEL_CONTEXT_H
#define HS_MODEL_CONTEXT_H

#include "attention/attention.h"
#include "base/hs.h"
#include "kv/kv.h"
#include "model/model.h"

typedef struct hs_context {
    hs_model *model;
    struct hs_context *parent; /* its keys come before this context's own and are shared, read-only */
    int children;              /* while positive, this context is frozen */
    int capacity;              /* tokens of its own */
    int length;                /* tokens held, the parent's included */
    hs_kv *kv;                 /* [n_layers][n_kv_heads] */
    uint8_t *slab;             /* the caches' memory */
    uint8_t *scratch;          /* [threads][scratch_bytes] for attention and sealing */
    size_t scratch_bytes;
    hs_attention_params params; /* mode and thresholds; scale, window, softcap and causal are filled in per layer */
    hs_attention_stats stats[HS_MAX_THREADS];
} hs_context;

/* Bytes that hs_context_new() will allocate; may exceed what the machine has. */
double hs_context_size(const hs_model *m, int capacity, int kv_type, const hs_context *parent);

/*
 * Creates a context with room for `capacity` tokens of its own (1..HS_MAX_CAPACITY, the parent's included in the limit).
 * With a parent of the same model and KV type it continues the parent's tokens; all but the newest few are shared (kv/kv.h). NULL with an error
 * text on a value out of range or when memory is short.
 */
hs_context *hs_context_new(hs_model *m, int capacity, int kv_type, hs_context *parent);

/* Frees the context. Error: it has children. */
int hs_context_delete(hs_context *c);

/* Keeps the first n tokens. Error: n beyond the length, or cutting into sealed or shared keys. */
int hs_context_cut(hs_context *c, int n);

#endif
