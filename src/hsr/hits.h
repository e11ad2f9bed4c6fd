/*
 * Which keys of one cache a query reaches: the cascade and the cost model under hsr/index.h and ReLU attention.
 *
 * Coordinates of queries and keys are at most HS_COORDINATE_LIMIT in magnitude; beyond, products may overflow.
 */
#ifndef HS_HSR_HITS_H
#define HS_HSR_HITS_H

#include "kernels/attention.h"
#include "kv/kv.h"

/* Where a query starts. Every strategy gives the same result. */
typedef enum { HS_STRATEGY_AUTO = 0,   /* per chunk what the cost model expects to be cheapest (hsr/cost.c) */
               HS_STRATEGY_BRUTE = 1,  /* every key is refined */
               HS_STRATEGY_SCREEN = 2, /* every key is screened */
               HS_STRATEGY_TREE = 3    /* every leaf is bounded; keys that lie in none are screened */
} hs_strategy;

/* Work, in keys or leaves; the functions here add to it. */
typedef struct {
    double leaves_bounded, keys_screened, keys_refined, keys_exact, keys_reported;
} hs_index_stats;

/*
 * Nanoseconds per leaf bounded, key screened, key refined with int8 keys and key refined with f32 keys. Only their ratios
 * count, and those hardly depend on head_dim. Results never depend on them, only the time. To measure them: a report with
 * b = +INFINITY and a forced strategy does that one kind of work alone, and its stats say how often.
 */
typedef struct {
    float leaf, screen, refine_q8, refine_f32;
} hs_index_costs;

/* What is reckoned with now. */
hs_index_costs hs_index_costs_get(void);

/* HS_ERR_ARGUMENT unless all are finite and positive. */
int hs_index_costs_set(hs_index_costs costs);

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
 * would not pay: the r-th largest product, less its radius, in the leaves of the largest centroid products. room: 8 bytes per key.
 */
float hs_kv_first_threshold(const hs_kv *kv, const hs_queries *prepared, int r, void *room, hs_index_stats *stats);

/* Of n candidates in keys and products keeps those with product >= b, with their exact products. The result is their number. */
int hs_kv_keep_exact(const hs_kv *kv, const float *q, float b, int *keys, float *products, int n, hs_index_stats *stats);

/*
 * Own indices, ascending, of every live key of `kv` with product >= b, and their exact products. q [head_dim]. hits, products:
 * room for kv->count each. The result is their number. scratch: sizeof(hs_queries).
 */
int hs_kv_hits(const hs_kv *kv, const float *q, float b, hs_strategy strategy, int *hits, float *products, hs_index_stats *stats, void *scratch);

/* The number alone of keys with product >= b, which needs few exact ones. keys, refined: room for kv->count each. scratch: sizeof(hs_queries). */
int hs_kv_count_hits(const hs_kv *kv, const float *q, float b, hs_strategy strategy, int *keys, float *refined, hs_index_stats *stats, void *scratch);

#endif
