/* Which leaves a fast step opens: every leaf's mass is estimated from its centroid and its spread. */
#include "attention/fast.h"
#include "attention/select.h"
#include "hsr/rank.h"
#include "kernels/vector.h"

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
        deviation[j] = sqrtf(deviation[j]);
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

/* Log of the mass that a leaf must be able to reach to be opened for query g; its estimates are below 0 once shifted by `peak`. */
static float open_threshold(const hs_attention_params *p, const hs_softmax *s, int g, hs_fast *t) {
    const float *mass = t->mass + g * t->stride, *deviation = t->deviation + g * t->stride;
    float *copy = t->copy, largest = hs_max_f32(mass, t->leaves), peak = s->peak[g] > largest ? s->peak[g] : largest;
    memcpy(copy, mass, (size_t)t->leaves * sizeof(float));
    float exact = s->mass[g] > 0 ? s->mass[g] * expf(s->peak[g] - peak) : 0;
    float closed = hs_exp_sum(copy, t->leaves, peak), sum = exact + closed;
    float least = peak + logf(sum * (p->leaf_theta > 0 ? p->leaf_theta : HS_LEAF_THETA));
    float top_p = p->eps > 0 ? 1 - p->eps : p->top_p;
    if (top_p > 0) { /* leaves that together hold at most half of the rest stay closed */
        float share = hs_mass_threshold(copy, t->leaves, (double)closed - 0.5 * (double)((1 - top_p) * sum));
        return fminf(least, peak + logf(share));
    }
    if (p->r > 0) {
        for (int j = 0; j < t->leaves; j++) copy[j] = hs_leaf_reach(mass[j], deviation[j], p->far_field);
        return fminf(least, hs_rth_largest(copy, t->leaves, leaves_for(p->r, t->leaves)));
    }
    return least;
}

int hs_choose_leaves(const hs_kv *kv, const hs_queries *q, const hs_view *view, const hs_attention_params *p, const hs_softmax *s, hs_fast *t) {
    float least[HS_MAX_GROUP];
    int chosen = 0;
    for (int g = 0; g < q->group; g++) least[g] = open_threshold(p, s, g, t);
    for (hs_leaves l = hs_first_leaves(kv, view, t); l.kv; l = hs_next_leaves(&l, view, t)) {
        for (int j = 0; j < l.n; j++) {
            int open = 0;
            for (int g = 0; g < q->group; g++) open |= hs_leaf_reach(l.mass[g * t->stride + j], l.deviation[g * t->stride + j], p->far_field) >= least[g];
            l.slot[j] = open ? chosen++ : -1;
        }
    }
    return chosen;
}

void hs_screen_leaves(const hs_queries *q, const hs_leaves *l, const hs_attention_params *p, hs_fast *t) {
    int d = l->kv->head_dim, stride = t->stride * HS_LEAF;
    for (int j = 0; j < l->n; j++) {
        if (l->slot[j] < 0) continue;
        int key = (l->first + j) * HS_LEAF;
        float *out = t->screened + (size_t)l->slot[j] * HS_LEAF;
        hs_screen(q, l->kv->k_high + (size_t)key * (size_t)d / 2, l->kv->k_scale + key, HS_LEAF / 4, out, stride);
        for (int g = 0; p->softcap > 0 && g < q->group; g++) hs_softcap(out + (size_t)g * (size_t)stride, HS_LEAF, p->softcap);
        t->opened++;
    }
}
