/* The exported functions of the index (hsr/index.h, web/attention/hsr-index.js). Conventions as in abi.c. */
#include "abi.h"
#include "hsr/index.h"

static hs_index_stats index_stats;

EXPORT(hs_index_create)
hs_index *abi_index_create(int32_t head_dim, int32_t type, int32_t max_chunk) {
    return hs_index_new(head_dim, type, max_chunk);
}

EXPORT(hs_index_free)
void abi_index_free(hs_index *index) {
    hs_index_free(index);
}

EXPORT(hs_index_length)
int32_t abi_index_length(const hs_index *index) {
    return hs_index_end(index);
}

EXPORT(hs_index_size)
int32_t abi_index_size(const hs_index *index) {
    return hs_index_count_live(index);
}

EXPORT(hs_index_append)
int32_t abi_index_append(hs_index *index, const float *keys, int32_t n) {
    return hs_index_append(index, keys, n);
}

EXPORT(hs_index_remove)
int32_t abi_index_remove(hs_index *index, int32_t from, int32_t to) {
    return hs_index_remove(index, from, to);
}

EXPORT(hs_index_truncate)
int32_t abi_index_truncate(hs_index *index, int32_t length) {
    return hs_index_truncate(index, length);
}

EXPORT(hs_index_key)
int32_t abi_index_key(const hs_index *index, int32_t position, float *out) {
    return hs_index_key(index, position, out);
}

/* Negative when the position is not held. */
EXPORT(hs_index_key_distance)
float abi_index_key_distance(const hs_index *index, int32_t position) {
    return hs_index_key_distance(index, position);
}

/* The number of keys with product >= b; up to `room` of them are written, none where the arrays are 0. */
EXPORT(hs_index_report)
int32_t abi_index_report(hs_index *index, const float *q, float b, int32_t strategy, int32_t *positions, float *products, int32_t room) {
    return hs_index_report(index, q, b, (hs_strategy)strategy, positions, products, room, &index_stats);
}

EXPORT(hs_index_top)
int32_t abi_index_top(hs_index *index, const float *q, int32_t r, float guess, int32_t strategy, int32_t *positions, float *products) {
    return hs_index_top(index, q, r, guess, (hs_strategy)strategy, positions, products, &index_stats);
}

/* f64 words of hs_index_stats, of the last report or top. */
EXPORT(hs_index_stats)
const hs_index_stats *abi_index_stats(void) {
    return &index_stats;
}

/* hs_index_costs. */
EXPORT(hs_index_costs_set)
int32_t abi_index_costs_set(float leaf, float screen, float refine_q8, float refine_f32) {
    return hs_index_costs_set((hs_index_costs){.leaf = leaf, .screen = screen, .refine_q8 = refine_q8, .refine_f32 = refine_f32});
}

/* For abi_record.c: the cache of the index, room for n more keys in it, and what it holds then. */
EXPORT(hs_index_kv)
hs_kv *abi_index_kv(hs_index *index) {
    return hs_index_kv(index);
}

EXPORT(hs_index_reserve)
int32_t abi_index_reserve(hs_index *index, int32_t n) {
    return hs_index_reserve(index, n);
}

EXPORT(hs_index_lay_out)
int32_t abi_index_lay_out(hs_index *index, int32_t base, int32_t sealed, int32_t count) {
    return hs_index_lay_out(index, base, sealed, count);
}
