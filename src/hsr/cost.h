/* The cost model: which strategy answers a query on a chunk in the least time. */
#ifndef HS_HSR_COST_H
#define HS_HSR_COST_H

/* Where a query starts. Every strategy gives the same result. */
typedef enum { HS_STRATEGY_AUTO = 0,   /* per chunk what is expected to be cheapest */
               HS_STRATEGY_BRUTE = 1,  /* every key is refined */
               HS_STRATEGY_SCREEN = 2, /* every key is screened */
               HS_STRATEGY_TREE = 3    /* every leaf is bounded; keys that lie in none are screened */
} hs_strategy;

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
