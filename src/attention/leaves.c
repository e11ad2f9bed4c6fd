/* Which leaves a fast step opens: every leaf's mass is estimated from its centroid and its spread. */
#include "attention/fast.h"
#include "attention/mass_threshold.h"
#include "hsr/rank.h"
#include "kernels/attention.h"
#include "kernels/vector.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* `before` leaves were met already. */
static hs_leaves leaves_of(hs_leaf_run run, const hs_fast *t, int before) {
    return (hs_leaves){run.kv, run.first, run.n, t->mass + before, t->deviation + before, t->slot + before};
}

hs_leaves hs_first_leaves(const hs_kv *kv, const hs_view *view, const hs_fast *t) {
    return leaves_of(hs_first_leaf_run(kv, view), t, 0);
}

hs_leaves hs_next_leaves(const hs_leaves *l, const hs_view *view, const hs_fast *t) {
    hs_leaf_run last = {l->kv, l->first, l->n};
    return leaves_of(hs_next_leaf_run(&last, view), t, (int)(l->slot - t->slot) + l->n);
}

void hs_estimate_leaves(float *mass, float *deviation, int n, const hs_attention_params *p) {
    for (int j = 0; j < n; j++) {
        deviation[j] = sqrtf(fminf(deviation[j], FLT_MAX)); /* coordinates of 1e15 give a variance beyond that */
        mass[j] += hs_leaf_spread(deviation[j], p->far_field);
    }
    if (p->softcap > 0) hs_softcap(mass, (n + 3) & ~3, p->softcap);
    for (int j = 0; j < n; j++) mass[j] += HS_LN_LEAF;
}

void hs_open_lone_leaves(const hs_kv *kv, int first, int n, float *deviation) {
    for (int j = 0; j < n; j++) deviation[j] = kv->leaf_lone[first + j] ? 1e6f : deviation[j];
}

void hs_weigh_leaves(const hs_queries *q, const hs_leaves *l, const hs_attention_params *p, hs_fast *t) {
    size_t at = (size_t)l->first * (size_t)l->kv->head_dim;
    hs_wide_products(&t->queries, l->kv->leaf_k + at, l->kv->leaf_k_scale + l->first, l->n, l->mass, t->stride);
    hs_wide_products(&t->squares, l->kv->leaf_spread + at, l->kv->leaf_spread_scale + l->first, l->n, l->deviation, t->stride);
    for (int g = 0; g < q->group; g++) {
        hs_estimate_leaves(l->mass + g * t->stride, l->deviation + g * t->stride, l->n, p);
        hs_open_lone_leaves(l->kv, l->first, l->n, l->deviation + g * t->stride);
    }
}

/* Leaves to hold r keys of one query in: those keys are spread over more leaves than they would fill. */
static int leaves_for(int r, int leaves) {
    enum { SPREAD = 4 };
    return hs_min(leaves, r / HS_LEAF * SPREAD + SPREAD);
}

/*
 * Log of the mass that a leaf must be able to reach to be opened for query g. weight [leaves]: its estimates relative to
 * exp(peak), which sum to `closed`; reach [leaves].
 */
static float open_threshold(const hs_attention_params *p, const hs_softmax *s, int g, float peak, const float *weight, float closed, const float *reach, hs_fast *t) {
    float exact = s->mass[g] > 0 ? s->mass[g] * expf(s->peak[g] - peak) : 0, sum = exact + closed;
    float least = peak + logf(sum * (p->leaf_theta > 0 ? p->leaf_theta : HS_LEAF_THETA)), top_p = hs_share_asked(p);
    if (p->r > 0) return fminf(least, hs_rth_largest(reach, t->leaves, leaves_for(p->r, t->leaves)));
    if (!(top_p > 0)) return least;
    /* Leaves that together hold at most half of the rest stay closed. Nothing is screened yet: there is room for a copy. */
    memcpy(t->screened, weight, (size_t)t->leaves * sizeof(float));
    return fminf(least, peak + logf(hs_mass_threshold(t->screened, t->leaves, (double)closed - 0.5 * (double)((1 - top_p) * sum))));
}

/* Turns the logs of query g's masses into weights, and marks the leaves to open for it. */
static void mark_leaves(const hs_attention_params *p, const hs_softmax *s, int g, hs_fast *t) {
    float *mass = t->mass + g * t->stride, *reach = t->copy, peak = fmaxf(s->peak[g], hs_max_f32(mass, t->leaves));
    const float *deviation = t->deviation + g * t->stride;
    for (int j = 0; j < t->leaves; j++) reach[j] = hs_leaf_reach(mass[j], deviation[j], p->far_field);
    float closed = hs_exp_sum(mass, t->leaves, peak), least = open_threshold(p, s, g, peak, mass, closed, reach, t);
    for (int j = 0; j < t->leaves; j++) t->slot[j] |= reach[j] >= least;
    t->peak[g] = peak;
}

int hs_choose_leaves(const hs_queries *q, const hs_attention_params *p, const hs_softmax *s, hs_fast *t) {
    int chosen = 0;
    memset(t->slot, 0, (size_t)t->leaves * sizeof(int));
    for (int g = 0; g < q->group; g++) mark_leaves(p, s, g, t);
    for (int j = 0; j < t->leaves; j++) t->slot[j] = t->slot[j] ? chosen++ : -1;
    return chosen;
}

void hs_screen_leaves(const hs_queries *q, const hs_leaves *l, const hs_attention_params *p, hs_fast *t) {
    int d = l->kv->head_dim, stride = t->stride * HS_LEAF;
    for (int j = 0, run; j < l->n; j += run) {
        for (run = 0; j + run < l->n && l->slot[j + run] >= 0;) run++;
        if (run > 0) {
            int key = (l->first + j) * HS_LEAF, n = run * HS_LEAF;
            float *out = t->screened + (size_t)l->slot[j] * HS_LEAF;
            hs_screen(q, l->kv->k_high + (size_t)key * (size_t)d / 2, l->kv->k_scale + key, n / 4, out, stride);
            for (int g = 0; p->softcap > 0 && g < q->group; g++) hs_softcap(out + (size_t)g * (size_t)stride, n, p->softcap);
            t->opened += run;
        }
        while (j + run < l->n && l->slot[j + run] < 0) run++;
    }
}
