#include "hsr/cost.h"

#include "base/error.h"
#include "base/hs.h"
#include "kv/kv.h"

#include <math.h>

static hs_index_costs given;
static const hs_index_costs *costs = &hs_kernel_costs; /* until others are given */

hs_index_costs hs_index_costs_get(void) {
    return *costs;
}

int hs_index_costs_set(hs_index_costs c) {
    const float all[] = {c.leaf, c.screen, c.refine_q8, c.refine_f32};
    for (int i = 0; i < 4; i++) {
        if (!(all[i] > 0 && isfinite(all[i]))) return hs_error_set(HS_ERR_ARGUMENT, "cost of a step, nanoseconds above 0", (double)all[i], 3.4e38);
    }
    given = c;
    costs = &given;
    return HS_OK;
}

hs_strategy hs_cheapest_strategy(const hs_pass_rates *rates, int type) {
    double refine = (double)(type == HS_KV_Q8 ? costs->refine_q8 : costs->refine_f32), screen = (double)costs->screen, leaf = (double)costs->leaf;
    const int keys = HS_LEAF;
    double after_screen = rates->keys_refined * refine; /* per key of the chunk, as are the sums below */
    double tree = leaf / keys + rates->leaves_open * screen + after_screen;
    if (refine <= screen + after_screen && refine <= tree) return HS_STRATEGY_BRUTE;
    return tree < screen + after_screen ? HS_STRATEGY_TREE : HS_STRATEGY_SCREEN;
}
