#include "kv/growing.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "kv/coordinates.h"
#include "kv/record.h"
#include "kv/store.h"

#include <limits.h>

int hs_growing_init(hs_growing *c, const hs_kv_shape *shape) {
    int status = hs_kv_shape_check(shape);
    if (status != HS_OK) return status;
    *c = (hs_growing){0};
    hs_kv_init(&c->kv, NULL, shape, 0, NULL);
    return HS_OK;
}

void hs_growing_free(hs_growing *c) {
    hs_mem_free(c->slab);
    hs_mem_free(c->seal_scratch);
    *c = (hs_growing){0};
}

int hs_growing_reserve(hs_growing *c, int n) {
    if (n < 0) return hs_error_set(HS_ERR_ARGUMENT, "keys to append", n, HS_GROWING_LIMIT);
    if (n > HS_GROWING_LIMIT - c->kv.count) return hs_error_set(HS_ERR_FULL, "keys stored", (double)c->kv.count + n, HS_GROWING_LIMIT);
    if (n > INT_MAX - hs_kv_length(&c->kv)) return hs_error_set(HS_ERR_FULL, "position", (double)hs_kv_length(&c->kv) + n, INT_MAX);
    int need = c->kv.count + n, capacity = hs_min(HS_GROWING_LIMIT, hs_max(need, c->kv.capacity + c->kv.capacity / 2));
    if (need <= c->kv.capacity) return HS_OK;
    hs_kv_shape shape = hs_kv_shape_of(&c->kv);
    double bytes = (double)hs_kv_bytes(&shape, 1024, 0) / 1024 * capacity; /* in double: size_t has 32 bits in WebAssembly */
    void *slab = bytes < (double)(SIZE_MAX / 2) ? hs_mem_alloc(hs_kv_bytes(&shape, capacity, 0)) : NULL;
    if (!slab) return hs_error_set(HS_ERR_MEMORY, "memory for keys, bytes", bytes, (double)(SIZE_MAX / 2));
    hs_kv_move(&c->kv, slab, capacity);
    hs_mem_free(c->slab);
    c->slab = slab;
    return HS_OK;
}

/* Scratch to seal the chunks that `count` keys fill. */
static int reserve_sealing(hs_growing *c, int count) {
    hs_kv_shape shape = hs_kv_shape_of(&c->kv);
    while (shape.max_chunk > HS_CHUNK && shape.max_chunk > count) shape.max_chunk /= HS_CHUNK_GROWTH;
    if (count < HS_KV_TAIL || shape.max_chunk <= c->seal_chunk) return HS_OK;
    size_t bytes = hs_kv_seal_scratch_bytes(&shape);
    void *scratch = hs_mem_alloc(bytes);
    if (!scratch) return hs_error_set(HS_ERR_MEMORY, "memory to sort keys, bytes", (double)bytes, (double)SIZE_MAX);
    hs_mem_free(c->seal_scratch);
    c->seal_scratch = scratch;
    c->seal_chunk = shape.max_chunk;
    return HS_OK;
}

int hs_growing_append(hs_growing *c, const float *keys, const float *values, int stride, int n) {
    int status = hs_check_rows("coordinate of a key", keys, stride, n, c->kv.head_dim, 1);
    if (status == HS_OK && !c->kv.keys_only) status = hs_check_rows("coordinate of a value", values, stride, n, c->kv.head_dim, 1);
    if (status == HS_OK) status = hs_growing_reserve(c, n);
    if (status == HS_OK) status = reserve_sealing(c, c->kv.count + n);
    if (status != HS_OK) return status;
    hs_kv_append(&c->kv, keys, values, stride, n);
    if (c->seal_scratch) hs_kv_seal(&c->kv, c->seal_scratch);
    return HS_OK;
}

/* Keys in the removed chunks at the front. */
static int removed_front(const hs_kv *kv) {
    int first = kv->sealed_from;
    for (int n; first < kv->sealed_to; first += n) {
        n = hs_kv_chunk(kv, first);
        if (hs_kv_count_live(kv, first, first + n) > 0) break;
    }
    return first - kv->sealed_from;
}

int hs_growing_remove(hs_growing *c, int from, int to) {
    int length = hs_kv_length(&c->kv);
    if (from < 0 || from > to) return hs_error_set(HS_ERR_ARGUMENT, "first position to remove", from, to);
    if (to > length) return hs_error_set(HS_ERR_ARGUMENT, "end of the positions to remove", to, length);
    hs_kv_remove(&c->kv, from, to);
    int front = removed_front(&c->kv);
    if (front > 0 && front >= c->kv.count / 4) hs_kv_drop(&c->kv, front);
    return HS_OK;
}

int hs_growing_truncate(hs_growing *c, int length) {
    if (length < 0 || length > hs_kv_length(&c->kv)) return hs_error_set(HS_ERR_ARGUMENT, "length to keep", length, hs_kv_length(&c->kv));
    hs_kv_truncate(&c->kv, length, c->seal_scratch);
    return HS_OK;
}

int hs_growing_lay_out(hs_growing *c, int base, int sealed, int count) {
    if (base < 0 || base > INT_MAX - c->kv.capacity) return hs_error_set(HS_ERR_ARGUMENT, "positions dropped from a restored cache", base, (double)INT_MAX - c->kv.capacity);
    int status = reserve_sealing(c, sealed > 0 ? hs_max(count, HS_KV_TAIL) : 0);
    if (status == HS_OK) status = hs_kv_lay_out(&c->kv, sealed, count);
    if (status != HS_OK) return status;
    c->kv.base = base;
    c->kv.removed = hs_count_removed(&c->kv);
    return HS_OK;
}
