/*
 * What the steps of the index cost in each build, measured as hsr/cost.h says (HsrIndex.calibrate()) at head_dim 64 on a
 * server (AMD EPYC). Where an engine has relaxed SIMD its build is taken, so each is measured where it runs: Node 24 and 20.
 * The bound of a leaf gains most from relaxed dot products, so that the other build opens leaves later.
 */
#include "hsr/cost.h"
#include "simd.h"

#ifdef HS_RELAXED
const hs_index_costs hs_kernel_costs = {.leaf = 16, .screen = 4.2f, .refine_q8 = 8.1f, .refine_f32 = 9.2f};
#else
const hs_index_costs hs_kernel_costs = {.leaf = 43, .screen = 6.6f, .refine_q8 = 5.4f, .refine_f32 = 9.8f};
#endif
