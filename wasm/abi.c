/*
 * The exported functions: what JavaScript may call. Pointers are 32-bit offsets into the one imported memory, 16-byte
 * aligned. Functions that return a status give HS_OK (0) or a negative code of base/hs.h, those that return a pointer
 * give 0 on failure; hs_last_error() then says what was wrong. Counts, sizes and indices are checked here; that memory at a
 * pointer is as long as they say is the caller's to see to.
 */
#include "abi.h"
#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "model/context.h"
#include "model/forward.h"
#include "model/model.h"
#include "self_test.h"

enum { ABI_VERSION = 6 };

EXPORT(hs_abi_version)
int32_t abi_version(void) {
    return ABI_VERSION;
}

/* 0 when every SIMD kernel agrees with its scalar reference, else the 1-based number of the first that does not. */
EXPORT(hs_self_test)
int32_t abi_self_test(void) {
    return hs_self_test();
}

EXPORT(hs_last_error)
const char *abi_last_error(void) {
    return hs_error_last();
}

/* The code of the last failure: for functions that return a pointer. */
EXPORT(hs_last_error_code)
int32_t abi_last_error_code(void) {
    return hs_error_code();
}

/* The value that was wrong and its limit; NaN when the last failure has none. */
EXPORT(hs_last_error_value)
double abi_last_error_value(void) {
    return hs_error_value();
}

EXPORT(hs_last_error_limit)
double abi_last_error_limit(void) {
    return hs_error_limit();
}

EXPORT(hs_alloc)
void *abi_alloc(uint32_t bytes) {
    void *block = hs_mem_alloc(bytes);
    if (!block) hs_error_set(HS_ERR_MEMORY, "no memory for bytes", bytes, (double)hs_mem_used());
    return block;
}

EXPORT(hs_free)
void abi_free(void *block) {
    hs_mem_free(block);
}

EXPORT(hs_memory_used)
uint32_t abi_memory_used(void) {
    return (uint32_t)hs_mem_used();
}

/* Tokens that hs_prefill() takes at most. */
EXPORT(hs_batch_limit)
int32_t abi_batch_limit(void) {
    return HS_BATCH;
}

/* config: the words of hs_config (model/config.h). */
EXPORT(hs_model_create)
hs_model *abi_model_create(const hs_config *config) {
    return hs_model_new(config);
}

EXPORT(hs_model_free)
int32_t abi_model_free(hs_model *m) {
    return hs_model_delete(m);
}

/* Slots: model/model.h. type: GGML tensor type. rows = ne[1], 1 for vectors; cols = ne[0]. */
EXPORT(hs_tensor_create)
int32_t abi_tensor_create(hs_model *m, int32_t slot, int32_t layer, int32_t type, int32_t rows, int32_t cols) {
    return hs_model_tensor_create(m, slot, layer, type, rows, cols);
}

/* The first required tensor that was not created, as layer << 8 | slot; -1 when there is none. */
EXPORT(hs_model_missing)
int32_t abi_model_missing(hs_model *m) {
    return hs_model_missing(m);
}

/* n whole rows as in the file, in order; row0 and n are multiples of 4, except n of the last call. */
EXPORT(hs_tensor_rows)
int32_t abi_tensor_rows(hs_model *m, int32_t slot, int32_t layer, int32_t row0, int32_t n, const uint8_t *rows) {
    return hs_model_tensor_rows(m, slot, layer, row0, n, rows);
}

EXPORT(hs_model_ready)
int32_t abi_model_ready(hs_model *m) {
    return hs_model_finish(m);
}

/* Bytes that hs_context_create() would allocate for a context without a parent; may be more than 4 GB. */
EXPORT(hs_context_bytes)
double abi_context_bytes(const hs_model *m, int32_t capacity, int32_t kv_type) {
    return hs_context_size(m, capacity, kv_type, NULL);
}

/* capacity: tokens of its own, beside the parent's. kv_type: 0 int8, 1 f32. parent: 0, or a context to continue. */
EXPORT(hs_context_create)
hs_context *abi_context_create(hs_model *m, int32_t capacity, int32_t kv_type, hs_context *parent) {
    return hs_context_new(m, capacity, kv_type, parent);
}

EXPORT(hs_context_free)
int32_t abi_context_free(hs_context *c) {
    return hs_context_delete(c);
}

EXPORT(hs_context_length)
int32_t abi_context_length(const hs_context *c) {
    return c->length;
}

EXPORT(hs_context_truncate)
int32_t abi_context_truncate(hs_context *c, int32_t n) {
    return hs_context_cut(c, n);
}

/* wanted: 0 no logits, 1 of the last token, 2 of every token. */
EXPORT(hs_prefill)
int32_t abi_prefill(hs_context *c, const int32_t *tokens, int32_t n, int32_t wanted) {
    if (wanted < HS_LOGITS_NONE || wanted > HS_LOGITS_ALL) return hs_error_set(HS_ERR_ARGUMENT, "logits wanted", wanted, HS_LOGITS_ALL);
    return hs_forward(c, tokens, n, (hs_logits_wanted)wanted);
}

EXPORT(hs_decode)
int32_t abi_decode(hs_context *c, int32_t token) {
    return hs_forward(c, &token, 1, HS_LOGITS_LAST);
}

/* f32[vocab], or f32[n][vocab] when every token's were wanted; 0 when another context's logits took their place. */
EXPORT(hs_logits)
const float *abi_logits(const hs_context *c) {
    return c->model->logits_owner == c ? c->model->logits : NULL;
}

/*
 * In the functions below layer and kv_head may be -1 for all of them. params: the words of hs_attention_params; scale,
 * window, softcap, end, sinks and causal are filled in when a layer runs, whatever they are here.
 */
EXPORT(hs_attention_set)
int32_t abi_attention_set(hs_context *c, const hs_attention_params *params, int32_t layer, int32_t kv_head) {
    return hs_context_attention_set(c, params, layer, kv_head);
}

/* The f64 words of hs_attention_stats since the last reset; 0 when layer or head is out of range. */
EXPORT(hs_attention_stats)
const hs_attention_stats *abi_attention_stats(const hs_context *c, int32_t layer, int32_t kv_head) {
    static hs_attention_stats stats;
    return hs_context_stats(c, layer, kv_head, &stats) == HS_OK ? &stats : NULL;
}

EXPORT(hs_attention_stats_reset)
void abi_attention_stats_reset(hs_context *c) {
    hs_context_stats_reset(c);
}

/* Notes up to `room` reported keys of decode steps per KV head, and all queries; 0 ends it. */
EXPORT(hs_watch)
int32_t abi_watch(hs_context *c, int32_t layer, int32_t kv_head, int32_t room) {
    return hs_context_watch(c, layer, kv_head, room);
}

/* Of one KV head that is watched: i32 positions, f32 shares [room][group], i32 room, i32 keys reported (also beyond the room). */
EXPORT(hs_watched)
const hs_reported *abi_watched(const hs_context *c, int32_t layer, int32_t kv_head) {
    const hs_head *head = hs_context_head(c, layer, kv_head);
    return head ? &head->reported : NULL;
}

/* f32[n_layers][n_heads * head_dim] of the last decode step, or 0 when nothing is watched. */
EXPORT(hs_watched_queries)
const float *abi_watched_queries(const hs_context *c) {
    return c->queries;
}

/* Stored keys and values of positions from..from+n-1, f32[n][head_dim] each. */
EXPORT(hs_context_rows)
int32_t abi_context_rows(const hs_context *c, int32_t layer, int32_t kv_head, int32_t from, int32_t n, float *keys, float *values) {
    return hs_context_rows(c, layer, kv_head, from, n, keys, values);
}
