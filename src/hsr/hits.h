/* Which keys of one cache a query reaches: the cascade and the cost model under hsr/index.h and ReLU attention. */
#ifndef HS_HSR_HITS_H
#define HS_HSR_HITS_H

#include "kernels/attention.h"
#include "kv/kv.h"

typedef enum { HS_STRATEGY_AUTO = 0,
               HS_STRATEGY_BRUTE = 1,
               HS_STRATEGY_SCREEN = 2,
               HS_STRATEGY_TREE = 3 } hs_strategy;

/* Work of the last query, in keys; `time` is the caller's to measure. */
typedef struct {
    double leaves_bounded, keys_screened, keys_refined, keys_exact, keys_reported;
} hs_index_stats;

/*
 * Nanoseconds per leaf bounded, key screened, key refined and key evaluated exactly, at head_dim 64 for one query. The
 * defaults were measured on a server; results never depend on them, only the time.
 */
typedef struct {
    float leaf, screen, refine, exact;
} hs_index_costs;

hs_index_costs hs_index_costs_get(void);

/* HS_ERR_ARGUMENT unless all are finite and positive. */
int hs_index_costs_set(hs_index_costs costs);

/*
 * The inner product that everything here is exact to: the double sum over dims in order of q[i] * key[i], key as hs_kv_key()
 * gives it, rounded once to float.
 */
float hs_index_product(const hs_kv *kv, int own_index, const float *q);

/*
 * Own indices, ascending, of every live key of `kv` (not of its parents) with product >= b, and their products. q [head_dim].
 * hits, products: room for kv->count each; products may be NULL. The result is their number. scratch: hs_hits_scratch_bytes(kv->count).
 */
int hs_kv_hits(const hs_kv *kv, const float *q, float b, hs_strategy strategy, int *hits, float *products, hs_index_stats *stats, void *scratch);
size_t hs_hits_scratch_bytes(int keys);

#endif
