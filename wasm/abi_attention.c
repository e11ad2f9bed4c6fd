/*
 * The exported functions of caches of several KV heads without a model, and of attention over them (web/attention/).
 * Conventions as in abi.c. Rows of numbers come as f32; other types are converted in a staging buffer first.
 */
#include "abi.h"
#include "attention/attention.h"
#include "base/error.h"
#include "base/f16.h"
#include "base/hs.h"
#include "base/memory.h"
#include "kv/growing.h"

#include <string.h>

EXPORT(hs_rows_from_f16)
void abi_rows_from_f16(const uint16_t *from, int32_t n, float *out) {
    for (int i = 0; i < n; i++) out[i] = hs_f16_to_f32(from[i]);
}

/* scales: one per vector of `dims` values. */
EXPORT(hs_rows_from_i8)
void abi_rows_from_i8(const int8_t *from, const float *scales, int32_t vectors, int32_t dims, float *out) {
    for (int v = 0; v < vectors; v++) {
        for (int i = 0; i < dims; i++) *out++ = scales[v] * (float)*from++;
    }
}

/* Bytes that one key takes in a long cache, with its value unless keys_only; negative when the shape is out of range. */
EXPORT(hs_bytes_per_key)
double abi_bytes_per_key(int32_t head_dim, int32_t type, int32_t max_chunk, int32_t keys_only) {
    enum { MANY = 1 << 16 };
    hs_kv_shape shape = {.head_dim = head_dim, .type = type, .keys_only = keys_only, .max_chunk = max_chunk};
    int status = hs_kv_shape_check(&shape);
    if (status != HS_OK) return status;
    return (double)(hs_kv_bytes(&shape, 2 * MANY, 0) - hs_kv_bytes(&shape, MANY, 0)) / MANY;
}

/* ---- caches of several KV heads ---- */

/* Every head holds the same positions. */
typedef struct {
    int heads, head_dim;
    void *scratch; /* of attention, as large as was once needed; NULL before */
    size_t scratch_bytes;
    hs_growing head[];
} cache;

EXPORT(hs_cache_free)
void abi_cache_free(cache *c) {
    if (!c) return;
    for (int h = 0; h < c->heads; h++) hs_growing_free(&c->head[h]);
    hs_mem_free(c->scratch);
    hs_mem_free(c);
}

EXPORT(hs_cache_create)
cache *abi_cache_create(int32_t heads, int32_t head_dim, int32_t type, int32_t max_chunk) {
    if (heads < 1 || heads > HS_MAX_HEADS) {
        hs_error_set(HS_ERR_ARGUMENT, "KV heads", heads, HS_MAX_HEADS);
        return NULL;
    }
    size_t bytes = sizeof(cache) + (size_t)heads * sizeof(hs_growing);
    cache *c = hs_mem_alloc(bytes);
    if (!c) {
        hs_error_set(HS_ERR_MEMORY, "no memory for a cache of bytes", (double)bytes, (double)hs_mem_used());
        return NULL;
    }
    hs_kv_shape shape = {.head_dim = head_dim, .type = type, .max_chunk = max_chunk};
    *c = (cache){.head_dim = head_dim};
    for (; c->heads < heads; c->heads++) {
        if (hs_growing_init(&c->head[c->heads], &shape) == HS_OK) continue;
        abi_cache_free(c);
        return NULL;
    }
    return c;
}

EXPORT(hs_cache_length)
int32_t abi_cache_length(const cache *c) {
    return hs_kv_length(&c->head[0].kv);
}

EXPORT(hs_cache_size)
int32_t abi_cache_size(const cache *c) {
    return hs_growing_live(&c->head[0]);
}

EXPORT(hs_cache_truncate)
int32_t abi_cache_truncate(cache *c, int32_t length) {
    int status = HS_OK;
    for (int h = 0; h < c->heads && status == HS_OK; h++) status = hs_growing_truncate(&c->head[h], length);
    return status;
}

/* keys, values: [n][heads][head_dim]. On failure nothing is appended to any head. */
EXPORT(hs_cache_append)
int32_t abi_cache_append(cache *c, const float *keys, const float *values, int32_t n) {
    int length = abi_cache_length(c), width = c->heads * c->head_dim;
    for (int h = 0; h < c->heads; h++) {
        int at = h * c->head_dim, status = hs_growing_append(&c->head[h], keys + at, values + at, width, n);
        if (status == HS_OK) continue;
        while (h-- > 0) hs_growing_truncate(&c->head[h], length);
        return status;
    }
    return HS_OK;
}

EXPORT(hs_cache_remove)
int32_t abi_cache_remove(cache *c, int32_t from, int32_t to) {
    int status = HS_OK;
    for (int h = 0; h < c->heads && status == HS_OK; h++) status = hs_growing_remove(&c->head[h], from, to);
    return status;
}

static int check_head(const cache *c, int head) {
    return head >= 0 && head < c->heads ? HS_OK : hs_error_set(HS_ERR_ARGUMENT, "KV head", head, c->heads - 1);
}

/* The stored key (which 0) or value (which 1) of a position. */
EXPORT(hs_cache_row)
int32_t abi_cache_row(const cache *c, int32_t head, int32_t position, int32_t which, float *out) {
    int status = check_head(c, head);
    if (status != HS_OK) return status;
    /* cppcheck-suppress negativeIndex ; check_head() refuses it, whatever the tests pass */
    const hs_kv *kv = &c->head[head].kv;
    int i = hs_kv_find(kv, position);
    if (i < 0 || !hs_kv_is_live(kv, i)) return hs_error_set(HS_ERR_ARGUMENT, "no key is held at position", position, hs_kv_length(kv));
    (which == 0 ? hs_kv_key : hs_kv_value)(kv, i, out);
    return HS_OK;
}

/* For abi_record.c: the cache of one head, room for n more keys in each, and what all of them hold then. */
EXPORT(hs_cache_kv)
hs_kv *abi_cache_kv(cache *c, int32_t head) {
    /* cppcheck-suppress negativeIndex ; as above */
    return check_head(c, head) == HS_OK ? &c->head[head].kv : NULL;
}

EXPORT(hs_cache_reserve)
int32_t abi_cache_reserve(cache *c, int32_t n) {
    int status = HS_OK;
    for (int h = 0; h < c->heads && status == HS_OK; h++) status = hs_growing_reserve(&c->head[h], n);
    return status;
}

/* On failure every head holds what it held. */
EXPORT(hs_cache_lay_out)
int32_t abi_cache_lay_out(cache *c, int32_t base, int32_t sealed, int32_t count) {
    const hs_kv before = c->head[0].kv;
    for (int h = 0; h < c->heads; h++) {
        int status = hs_growing_lay_out(&c->head[h], base, sealed, count);
        if (status == HS_OK) continue;
        while (h-- > 0) hs_growing_lay_out(&c->head[h], before.base, before.sealed_to - before.sealed_from, before.count);
        return status;
    }
    return HS_OK;
}

/* ---- attention/attention.h ---- */

_Static_assert(sizeof(hs_attention_params) == 21 * 4, "web/attention/params.js lays out these words");
static hs_attention_stats attend_stats;

/* f64 words of hs_attention_stats, since the last reset. */
EXPORT(hs_attend_stats)
const hs_attention_stats *abi_attend_stats(void) {
    return &attend_stats;
}

EXPORT(hs_attend_stats_reset)
void abi_attend_stats_reset(void) {
    memset(&attend_stats, 0, sizeof attend_stats);
}

/* n queries of `heads` KV heads. */
static int prepare(cache *c, const float *q, int n, int group, int heads, const hs_attention_params *p) {
    if (n < 1 || n > HS_BATCH) return hs_error_set(HS_ERR_ARGUMENT, "queries in one call", n, HS_BATCH);
    if (group < 1 || group > HS_MAX_GROUP) return hs_error_set(HS_ERR_ARGUMENT, "query heads per KV head", group, HS_MAX_GROUP);
    int status = hs_attention_check(p);
    if (status == HS_OK) status = hs_attention_check_queries(q, n * heads * group * c->head_dim, p->scale);
    size_t bytes = hs_attention_scratch_bytes(c->head_dim, group, c->head[0].kv.capacity, n);
    if (status != HS_OK || bytes <= c->scratch_bytes) return status;
    void *scratch = hs_mem_alloc(bytes);
    if (!scratch) return hs_error_set(HS_ERR_MEMORY, "no memory for attention scratch of bytes", (double)bytes, (double)hs_mem_used());
    hs_mem_free(c->scratch);
    c->scratch = scratch;
    c->scratch_bytes = bytes;
    return HS_OK;
}

/* q, out: [n][heads][group][head_dim], n in 1..HS_BATCH. */
EXPORT(hs_attend)
int32_t abi_attend(cache *c, const float *q, int32_t n, int32_t group, const hs_attention_params *p, float *out) {
    int status = prepare(c, q, n, group, c->heads, p);
    if (status != HS_OK) return status;
    int each = group * c->head_dim, stride = c->heads * each;
    for (int h = 0; h < c->heads; h++) {
        const hs_kv *kv = &c->head[h].kv;
        if (n == 1)
            hs_attend_decode(kv, q + h * each, group, p, out + h * each, &attend_stats, NULL, c->scratch);
        else
            hs_attend_block(kv, q + h * each, stride, n, group, p, out + h * each, stride, &attend_stats, c->scratch);
    }
    return HS_OK;
}

/*
 * One query of one KV head: q, out: [group][head_dim]. The result is the number of keys it evaluated exactly; where that is
 * beyond `room` the statistics do not count the call, as it has to be repeated. positions [room], shares [room][group].
 */
EXPORT(hs_attend_reported)
int32_t abi_attend_reported(cache *c, int32_t head, const float *q, int32_t group, const hs_attention_params *p, float *out, int32_t *positions, float *shares, int32_t room) {
    int status = check_head(c, head);
    if (status == HS_OK && room < 0) status = hs_error_set(HS_ERR_ARGUMENT, "room for keys", room, HS_GROWING_LIMIT);
    if (status == HS_OK) status = prepare(c, q, 1, group, 1, p);
    if (status != HS_OK) return status;
    hs_attention_stats before = attend_stats;
    hs_reported reported = {.positions = positions, .shares = shares, .room = room};
    hs_attend_decode(&c->head[head].kv, q, group, p, out, &attend_stats, &reported, c->scratch);
    if (reported.n > room) attend_stats = before;
    return reported.n;
}
