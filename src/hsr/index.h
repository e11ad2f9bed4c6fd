/*
 * The half-space reporting index (arXiv 2410.10165, section 3): which keys have an inner product of at least b with a query.
 *
 * Everything here is exact relative to the stored keys. The inner product of a query q [head_dim] with a stored key is
 * defined as hs_index_product(): the double sum over dims in order, rounded once to float. report, count and top compare
 * that float, whatever strategy found the key. For the key that the caller gave, |<q,key> - product| is at most
 * hs_index_key_distance() * |q|, up to float rounding.
 *
 * How a query is answered, cheapest test first; a key goes on only while it may still reach b:
 *   leaf    <q,centroid> + |q| radius bounds every key of a leaf
 *   screen  4-bit plane, |<q,key> - screen| <= |q| residual + the rounding of q to 8 bits (hsr/bound.h)
 *   refine  int8 key, q to 16 bits, |error| <= |rounding of q| |key|; f32 keys: product in f32
 *   exact   hs_index_product()
 * Per chunk the cost model (hsr/cost.h) picks where to start: at the leaves, at the screen or, where most keys would pass
 * it, at the refined products (brute force). `strategy` forces it.
 *
 * Bytes per key of capacity at head_dim 64: 77 with int8 keys, 301 with f32 (kv/kv.h), and 16 of scratch; capacity grows by
 * half. Sorting takes 333 bytes per key of the largest chunk besides. Keys appended one by one are sorted into chunks
 * log_8(max_chunk / HS_CHUNK) + 1 times (kv/kv.h), those of a batch once.
 *
 * Functions that fail return a code below 0 (base/hs.h) after hs_error_set(), and change nothing. HS_ERR_ARGUMENT stands for
 * an argument out of the range that is given here, and for coordinates that are NaN or beyond HS_COORDINATE_LIMIT.
 */
#ifndef HS_HSR_INDEX_H
#define HS_HSR_INDEX_H

#include "hsr/hits.h"
#include "kv/growing.h"

typedef struct hs_index hs_index; /* owns an hs_growing of keys only, and its scratch */

/* Creates an empty index for keys of a head_dim, stored as a type, sorted by max_chunk (kv/kv.h). NULL with hs_error_set() when the shape is out of range or memory is exhausted. */
hs_index *hs_index_new(int head_dim, int type, int max_chunk);
void hs_index_free(hs_index *index);

/* One more than the last position: the next key's. Keys held: those that were not removed. */
int hs_index_end(const hs_index *index);
int hs_index_count_live(const hs_index *index);

/*
 * For snapshots (kv/record.h): the cache itself, whose keys are for hs_record_read() and hs_record_write(); room for n more
 * keys, HS_ERR_FULL, HS_ERR_MEMORY; and what it holds once they were read: base, sealed and count as hs_growing_lay_out() has them.
 */
hs_kv *hs_index_kv(hs_index *index);
int hs_index_reserve(hs_index *index, int n);
int hs_index_lay_out(hs_index *index, int base, int sealed, int count);

/* Appends n keys, rows of head_dim floats. HS_ERR_FULL beyond HS_GROWING_LIMIT, HS_ERR_MEMORY. */
int hs_index_append(hs_index *index, const float *keys, int n);

/*
 * Removes the keys at positions from..to-1, 0 <= from <= to <= hs_index_end(), that are still held; the others keep their
 * positions. Room at the front is used again (kv/growing.h).
 */
int hs_index_remove(hs_index *index, int from, int to);

/* Keeps positions below `length`, 0..hs_index_end(); the next key gets position `length`. */
int hs_index_truncate(hs_index *index, int length);

/* Of held keys from position `from` on up to `room` positions, ascending, to positions[room]; their number is the result, below `room` at the end. */
int hs_index_positions(hs_index *index, int from, int *positions, int room);

/* The stored key at a position, f32[head_dim]; HS_ERR_ARGUMENT when it is not held. */
int hs_index_key(const hs_index *index, int position, float *out);

/* Upper bound of the distance of the key the caller gave to the one stored; 0 with f32 keys. HS_ERR_ARGUMENT when its position is not held. */
float hs_index_key_distance(const hs_index *index, int position);

/*
 * All keys with product >= b (not NaN; infinities are allowed), in ascending position: up to `room` of them to positions and
 * products, the number of all of them is the result. NULL for both arrays counts only. stats (may be NULL): of this query.
 */
int hs_index_report(hs_index *index, const float *q, float b, hs_strategy strategy, int *positions, float *products, int room, hs_index_stats *stats);

/*
 * The r keys of the largest products, largest first, equal ones by position, to positions [r] and products [r]. r in 1..keys
 * held, and the result.
 * guess: a first threshold, such as the last query's r-th product, or -INFINITY; a wrong guess costs time only.
 */
int hs_index_top(hs_index *index, const float *q, int r, float guess, hs_strategy strategy, int *positions, float *products, hs_index_stats *stats);

#endif
