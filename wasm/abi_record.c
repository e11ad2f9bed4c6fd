/*
 * The exported functions of snapshots: spans of one KV head's cache as bytes, and back (kv/record.h). Conventions as in
 * abi.c. A cache is a pointer that hs_context_kv() or hs_cache_kv() gave, good as long as what it belongs to does not change.
 */
#include "abi.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/hs.h"
#include "kv/record.h"
#include "model/context.h"

/* To `out`, as JavaScript gets no integers of 64 bits from all builds. */
EXPORT(hs_checksum)
void abi_checksum(const void *data, uint32_t bytes, uint64_t *out) {
    *out = hs_checksum(data, bytes);
}

EXPORT(hs_context_kv)
hs_kv *abi_context_kv(const hs_context *c, int32_t layer, int32_t kv_head) {
    return hs_context_cache(c, layer, kv_head);
}

EXPORT(hs_context_lay_out)
int32_t abi_context_lay_out(hs_context *c, int32_t layer, int32_t sealed, int32_t count) {
    return hs_context_lay_out(c, layer, sealed, count);
}

/* 0 where there is none. */
EXPORT(hs_kv_parent)
const hs_kv *abi_kv_parent(const hs_kv *kv) {
    return kv->parent;
}

/* i32: positions before own index 0, keys, first sealed one, sealed ones, max_chunk; valid until the next call. */
EXPORT(hs_kv_extent)
const int32_t *abi_kv_extent(const hs_kv *kv) {
    static int32_t words[5];
    words[0] = kv->base;
    words[1] = kv->count;
    words[2] = kv->sealed_from;
    words[3] = kv->sealed_to - kv->sealed_from;
    words[4] = kv->max_chunk;
    return words;
}

/* No value of the cache is longer. */
EXPORT(hs_kv_value_norm)
float abi_kv_value_norm(const hs_kv *kv) {
    return kv->v_norm;
}

/* 0 to HS_RADIUS_MOST. */
EXPORT(hs_kv_value_norm_set)
int32_t abi_kv_value_norm_set(hs_kv *kv, float norm) {
    if (!(norm >= 0 && norm <= HS_RADIUS_MOST)) return hs_error_set(HS_ERR_ARGUMENT, "length of values", (double)norm, (double)HS_RADIUS_MOST);
    kv->v_norm = norm;
    return HS_OK;
}

/* Of a cache of this shape; 0 when there is no such record. */
EXPORT(hs_record_bytes)
uint32_t abi_record_bytes(int32_t head_dim, int32_t type, int32_t keys_only, int32_t sealed, int32_t keys) {
    const hs_kv kv = {.head_dim = head_dim, .type = type, .keys_only = keys_only};
    const int most = sealed ? HS_CHUNK_MAX : HS_RECORD_UNSEALED;
    if (hs_kv_shape_check(&(hs_kv_shape){head_dim, type, keys_only, HS_CHUNK}) != HS_OK) return 0;
    if (keys < 1 || keys > most) {
        hs_error_set(HS_ERR_ARGUMENT, "keys of a record", keys, most);
        return 0;
    }
    return (uint32_t)hs_record_bytes(&kv, sealed, keys);
}

EXPORT(hs_record_write)
int32_t abi_record_write(const hs_kv *kv, int32_t sealed, int32_t first, int32_t keys, uint8_t *out) {
    return hs_record_write(kv, &(hs_span_of_keys){sealed, first, keys}, out);
}

EXPORT(hs_record_read)
int32_t abi_record_read(hs_kv *kv, int32_t sealed, int32_t first, int32_t keys, int32_t whole, const uint8_t *in) {
    return hs_record_read(kv, &(hs_span_of_keys){sealed, first, keys}, whole, in);
}
