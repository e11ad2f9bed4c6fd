/* The cost model: which strategy answers a query on a chunk in the least time. */
#ifndef HS_HSR_COST_H
#define HS_HSR_COST_H

#include "hsr/hits.h"

/* What a sample of a chunk showed, as shares of its leaves or keys. */
typedef struct {
    double leaves_open;  /* leaves that their bound does not exclude */
    double keys_refined; /* keys that are refined after screening */
} hs_pass_rates;

/* What the steps cost with the kernels that are linked, defined beside them (wasm/costs_simd.c): the model's first costs. */
extern const hs_index_costs hs_kernel_costs;

/* The strategy that takes the least time by the costs in force, for keys of a type, where these shares of them pass. */
hs_strategy hs_cheapest_strategy(const hs_pass_rates *rates, int type);

#endif
