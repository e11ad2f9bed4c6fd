/* Parameters: their ranges, and the paper's formulas for them. */
#include "attention/attention.h"
#include "base/error.h"
#include "base/hs.h"
#include "kv/coordinates.h"

#include <math.h>

static int outside(const char *what, double value, double least, double most) {
    return value >= least && value <= most ? HS_OK : hs_error_set(HS_ERR_ARGUMENT, what, value, value < least ? least : most);
}

int hs_attention_check(const hs_attention_params *p) {
    const struct {
        const char *name;
        double value, least, most;
    } fields[] = {
        {"attention mode", p->mode, HS_ATTENTION_DENSE, HS_ATTENTION_RELU},
        {"attention strength", p->strength, HS_FAST, HS_EXACT},
        {"attention far field", p->far_field, HS_FAR_DROPPED, HS_FAR_SECOND},
        {"attention r", p->r, 0, 1 << 30},
        {"attention topP", (double)p->top_p, 0, 1},
        {"attention eps", (double)p->eps, 0, 1},
        {"attention theta", (double)p->theta, 0, 1},
        {"attention leafTheta", (double)p->leaf_theta, 0, 1},
        {"attention valueTheta", (double)p->value_theta, 0, 1},
        {"attention denseBelow", p->dense_below, 0, 1 << 30},
        {"attention prefill", p->block_hsr, 0, 1},
        {"attention alpha", p->alpha, p->mode == HS_ATTENTION_RELU ? 1 : 0, HS_ALPHA_MAX},
        {"attention b", (double)p->b, -3e38, 3e38},
        {"attention end", p->end, 0, 1 << 30},
        {"attention window", p->window, 0, 1 << 30},
        {"attention sinks", p->sinks, 0, 1 << 30},
        {"attention causal", p->causal, 0, 1},
        {"attention scale", (double)p->scale, -1e15, 1e15},
        {"attention softcap", (double)p->softcap, 0, 1e15},
        {"attention epsOf", p->eps_of, HS_EPS_OF_VALUE, HS_EPS_OF_OUTPUT},
        {"attention denseAbove", (double)p->dense_above, 0, 1},
    };
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        int status = outside(fields[i].name, fields[i].value, fields[i].least, fields[i].most);
        if (status != HS_OK) return status;
    }
    if (p->scale == 0) return hs_error_set(HS_ERR_ARGUMENT, "attention scale", 0, 1e15);
    if (p->eps > 0 && p->eps < HS_EPS_LEAST) return hs_error_set(HS_ERR_ARGUMENT, "attention eps", (double)p->eps, (double)HS_EPS_LEAST);
    int given = (p->r > 0) + (p->top_p > 0) + (p->eps > 0) + (p->theta > 0);
    if (given > 1) return hs_error_set(HS_ERR_ARGUMENT, "of attention r, topP, eps and theta the number given", given, 1);
    return HS_OK;
}

int hs_attention_check_queries(const float *q, int n, float scale) {
    return hs_check_rows("coordinate of a query, and times the scale", q, n, 1, n, fmaxf(1, fabsf(scale)));
}

int hs_paper_r(int n) {
    return n > 0 ? hs_min(n, (int)ceil(pow(n, 0.8))) : 0;
}

double hs_paper_b(int n, int d, int m, double delta, double sigma_q, double sigma_k) {
    return 4 * sqrt(1 + log(m / delta) / d) * sigma_q * sigma_k * sqrt(0.4 * log(n));
}
