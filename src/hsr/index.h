/*
 * The half-space reporting index (arXiv 2410.10165, section 3): which keys have an inner product of at least b with a query.
 *
 * Everything here is exact relative to the stored keys. The inner product of a query q [head_dim] with a stored key is
 * defined as hs_index_product(): the double sum over dims in order, rounded once to float. report, count and top compare
 * that float, whatever strategy found the key. For the key that the caller gave, |<q,key> - product| is at most
 * hs_index_key_distance() * |q|, up to float rounding.
 *
 * How a query is answered, cheapest test first; a key goes on only while it may still reach b:
 *   leaf    <q,centroid> + |q| radius bounds every key of a leaf, or of a run of leaves
 *   screen  4-bit plane, |<q,key> - screen| <= |q| residual + the rounding of q to 8 bits (hsr/bound.h)
 *   refine  int8 key, q to 16 bits, |error| <= |rounding of q| |key|; f32 keys: product in f32
 *   exact   hs_index_product()
 * Per chunk the cost model (hs_index_costs) picks where to start: at the leaves, at the screen or, where most keys would
 * pass, at the exact products (brute force). `strategy` forces it.
 *
 * Bytes per key at head_dim 64: 79 with int8 keys, 301 with f32 (kv/kv.h), and 8 per key of capacity for scratch. Appending costs an amortised
 * log_8(max_chunk / HS_CHUNK) + 1 sorts into chunks (kv/kv.h), growing a copy now and then.
 */
#ifndef HS_HSR_INDEX_H
#define HS_HSR_INDEX_H

#include "hsr/hits.h"
#include "kv/growing.h"

typedef struct hs_index hs_index; /* owns an hs_growing of keys only, and its scratch */

/* Creates an empty index. NULL with hs_error_set() when the shape is out of range or memory is exhausted. */
hs_index *hs_index_new(int head_dim, int type, int max_chunk);
void hs_index_free(hs_index *index);

/* Keys ever appended: the next one's position. Keys held: those that were not removed. */
int hs_index_end(const hs_index *index);
int hs_index_count_live(const hs_index *index);

/*
 * Appends n keys, rows of head_dim floats. HS_ERR_ARGUMENT when one is NaN, infinite or beyond 1e15 in magnitude (then none
 * is appended), HS_ERR_FULL beyond HS_GROWING_LIMIT, HS_ERR_MEMORY.
 */
int hs_index_append(hs_index *index, const float *keys, int n);

/* Removes the keys at positions from..to-1 (those still held); positions of others stay. Whole chunks at the front are given back. */
int hs_index_remove(hs_index *index, int from, int to);

/* Keeps positions below `length`; the next key gets position `length`. */
int hs_index_truncate(hs_index *index, int length);

/* The stored key at a position, f32[head_dim]; HS_ERR_ARGUMENT when it is not held. */
int hs_index_key(const hs_index *index, int position, float *out);

/* Upper bound of the distance of the key the caller gave to the one stored; 0 with f32 keys. Negative when it is not held. */
float hs_index_key_distance(const hs_index *index, int position);

/*
 * All keys with product >= b, in ascending position: up to `room` of them to positions and products, the number of all of
 * them is the result. NULL for both arrays counts only.
 */
int hs_index_report(hs_index *index, const float *q, float b, hs_strategy strategy, int *positions, float *products, int room, hs_index_stats *stats);

/*
 * The r keys of the largest products, largest first, equal ones by position. r in 1..keys held.
 * guess: a first threshold, such as the last query's r-th product, or -INFINITY; a wrong guess costs time only.
 */
int hs_index_top(hs_index *index, const float *q, int r, float guess, hs_strategy strategy, int *positions, float *products, hs_index_stats *stats);

#endif
