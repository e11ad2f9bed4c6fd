/*
 * Which keys of one cache a query reaches: the cascade under hsr/index.h and ReLU attention (hsr/cost.h says where it starts).
 *
 * Coordinates of queries and keys are at most HS_COORDINATE_LIMIT (kv/coordinates.h) in magnitude; beyond, products may overflow.
 */
#ifndef HS_HSR_HITS_H
#define HS_HSR_HITS_H

#include "hsr/cost.h"
#include "kernels/queries.h"
#include "kv/kv.h"

/* Work, in keys or leaves; the functions here add to it. */
typedef struct {
    double leaves_bounded, keys_screened, keys_refined, keys_exact, keys_reported;
} hs_index_stats;

/*
 * The inner product that everything here is exact to: the double sum over dims in order of q[i] * key[i], key as hs_kv_key()
 * gives it, rounded once to float (a zero is +0).
 */
float hs_index_product(const hs_kv *kv, int own_index, const float *q);

/* Prepares one row q [head_dim] for the functions that take hs_queries. */
void hs_hits_prepare(hs_queries *prepared, const float *q, int head_dim);

/*
 * Candidates: own indices, ascending, of live keys of `kv` (not of its parents), with every key of product >= b among them,
 * and for each a product that is refined: within hs_refined_radius() of the exact one. keys, refined: room for kv->count each.
 * The result is their number.
 */
int hs_kv_candidates(const hs_kv *kv, const hs_queries *prepared, float b, hs_strategy strategy, int *keys, float *refined, hs_index_stats *stats);
float hs_refined_radius(const hs_kv *kv, const hs_queries *prepared, int own_index);

/*
 * A threshold that at least r live keys reach, close to the product of the r-th largest, or -INFINITY where looking for one
 * would not pay: the r-th largest product, less its radius, in the leaves of the largest centroid products. room [2 * kv->count].
 */
float hs_kv_first_threshold(const hs_kv *kv, const hs_queries *prepared, int r, float *room, hs_index_stats *stats);

/* Of n candidates in keys and products keeps those with product >= b, with their exact products. The result is their number. */
int hs_kv_keep_exact(const hs_kv *kv, const float *q, float b, int *keys, float *products, int n, hs_index_stats *stats);

/*
 * Own indices, ascending, of every live key of `kv` with product >= b, and their exact products. q [head_dim]. hits, products:
 * room for kv->count each. The result is their number. scratch: for the prepared query.
 */
int hs_kv_hits(const hs_kv *kv, const float *q, float b, hs_strategy strategy, int *hits, float *products, hs_index_stats *stats, hs_queries *scratch);

/* The number alone of keys with product >= b, which needs few exact ones. keys, refined: room for kv->count each. scratch as above. */
int hs_kv_count_hits(const hs_kv *kv, const float *q, float b, hs_strategy strategy, int *keys, float *refined, hs_index_stats *stats, hs_queries *scratch);

#endif
