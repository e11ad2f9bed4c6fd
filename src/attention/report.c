/* What a fast step does with the keys of opened leaves, and the far field of all leaves. */
#include "attention/fast.h"
#include "base/f16.h"
#include "kernels/attention.h"
#include "kernels/vector.h"

#include <math.h>

/* Adds the values of waiting keys under the weights in s->logits, less what the leaves' mean values will give to them. */
static void add_values(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, const hs_fast *t, const hs_waiting *w) {
    for (int g = 0; p->far_field && g < q->group; g++) {
        float factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; j < w->n; j++) s->logits[g * HS_RUN + j] -= w->covered[g][j] * factor;
    }
    hs_add_values(kv, s->logits, HS_RUN, 0, w->key, w->n, q->group, s->out);
}

/* Evaluates the reported keys exactly. */
static void add_reported(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, hs_fast *t) {
    const hs_waiting *w = &t->reported;
    float four[HS_MAX_GROUP * 4];
    if (w->n == 0) return;
    for (int j = 0; j < w->n; j++) {
        /* Keys are stored by fours: neighbours come out of one product. */
        if (j == 0 || w->key[j] / 4 != w->key[j - 1] / 4) hs_exact_logits(q, kv, w->key[j] & ~3, 4, p, four, 4);
        for (int g = 0; g < q->group; g++) s->logits[g * HS_RUN + j] = four[g * 4 + w->key[j] % 4];
    }
    hs_note_reported(s->reported, kv, w->key, w->n, q->group, s->logits, HS_RUN);
    for (int g = 0; g < q->group; g++) {
        float *logits = s->logits + g * HS_RUN;
        hs_softmax_raise(s, g, hs_max_f32(logits, w->n), kv->head_dim);
        s->mass[g] += hs_exp_sum(logits, w->n, s->peak[g]);
    }
    add_values(q, kv, p, s, t, w);
    t->reported.n = 0;
}

/* Gives the valued keys their estimated weights. */
static void add_valued(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, hs_fast *t) {
    const hs_waiting *w = &t->valued;
    for (int g = 0; g < q->group; g++) {
        float factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; j < w->n; j++) s->logits[g * HS_RUN + j] = w->weight[g][j] * factor;
    }
    if (w->n > 0) add_values(q, kv, p, s, t, w);
    t->valued.n = 0;
}

/*
 * The factor by which a key's true weight may exceed the screened one: 1 for a deviation of the screen up to 1, which the
 * threshold allows for; three deviations for a key of so large a norm that four bits say little.
 */
static const float FINE_HALF_VARIANCE = 0.5f;
static float coarseness(const hs_queries *q, int g, float k_scale) {
    float half = q->screen_variance[g] * k_scale * k_scale;
    return half <= FINE_HALF_VARIANCE ? 1 : expf(fminf(3 * sqrtf(2 * half) - 3, 80));
}

/* The packed key scale from which coarseness() may exceed 1 for a query; positive bf16 are ordered as integers. */
static unsigned coarse_scale(const hs_queries *q) {
    float largest = 0;
    for (int g = 0; g < q->group; g++) largest = fmaxf(largest, q->screen_variance[g]);
    return largest > 0 ? hs_f32_to_bits(sqrtf(FINE_HALF_VARIANCE / largest)) >> 16 : UINT16_MAX;
}

/* Bit i: key i of the leaf is coarse, and may reach the threshold of a query for that. */
static unsigned coarse_hits(const hs_queries *q, const uint16_t *k_scale, unsigned coarse_from, const float *weight, int stride, const float *threshold) {
    unsigned coarse = 0, hits = 0;
    for (int i = 0; i < HS_LEAF; i++) coarse |= k_scale[i] >= coarse_from;
    if (!coarse) return 0; /* nearly always */
    for (int g = 0; g < q->group; g++, weight += stride) {
        for (int i = 0; i < HS_LEAF; i++) hits |= (unsigned)(weight[i] * coarseness(q, g, hs_bf16_to_f32(k_scale[i])) >= threshold[g]) << i;
    }
    return hits;
}

/* Puts the keys of a leaf whose bits are set into the queue; mean [g] is what the leaf's mean value will give to each. */
static void enqueue(hs_waiting *w, int group, unsigned bits, int first, const float *weight, int stride, const float *mean) {
    for (; bits; bits &= bits - 1, w->n++) {
        int i = __builtin_ctz(bits);
        w->key[w->n] = first + i;
        for (int g = 0; g < group; g++) {
            w->covered[g][w->n] = mean[g];
            w->weight[g][w->n] = weight[g * stride + i];
        }
    }
}

/*
 * Sorts the keys of opened leaves by their estimated weights: reported, valued, or left to the leaf's mean value. That
 * value contains all keys of the leaf, so it is given the mean weight of the left ones for each key, and the reported and
 * the valued ones take their part back: the rest gets the mean of the rest. `mass` becomes the weight of the mean value.
 * The error's estimate: 4-bit logits are off by about half, no weight that was estimated exceeds theta, and values of a
 * leaf lie within its radius.
 */
void hs_report_leaves(const hs_queries *q, const hs_leaves *l, const hs_attention_params *p, hs_softmax *s, hs_fast *t, hs_attention_stats *stats) {
    int stride = t->stride * HS_LEAF;
    unsigned coarse_from = coarse_scale(q);
    t->reported.n = t->valued.n = 0;
    for (int j = 0; j < l->n; j++) {
        if (l->slot[j] < 0) continue;
        const float *weight = t->screened + (size_t)l->slot[j] * HS_LEAF;
        int first = (l->first + j) * HS_LEAF;
        unsigned forced = coarse_hits(q, l->kv->k_scale + first, coarse_from, weight, stride, t->theta);
        float mean[HS_MAX_GROUP], far[HS_MAX_GROUP], radius = l->kv->leaf_v_radius[l->first + j];
        unsigned sorted = hs_sort_leaf(weight, stride, q->group, forced, t->theta, t->value_theta, far, mean);
        unsigned hits = sorted & 0xffff, valued = sorted >> 16;
        int left = HS_LEAF - __builtin_popcount(sorted);
        float share = left > 0 ? 1 / (float)left : 0;
        for (int g = 0; g < q->group; g++) {
            /* What remains of a difference may be a rounding below zero. */
            mean[g] = mean[g] > 0 ? mean[g] * share : 0;
            l->mass[g * t->stride + j] = mean[g] * HS_LEAF;
            t->far_mass[g] += far[g];
            t->error[g] += (double)(0.25f * fminf(t->theta[g], far[g]) * far[g] * radius * radius);
        }
        if (t->reported.n > HS_RUN - HS_LEAF) add_reported(q, l->kv, p, s, t);
        if (t->valued.n > HS_RUN - HS_LEAF) add_valued(q, l->kv, p, s, t);
        enqueue(&t->reported, q->group, hits, first, weight, stride, mean);
        enqueue(&t->valued, q->group, valued, first, weight, stride, mean);
        stats->keys_exact += __builtin_popcount(hits);
        stats->keys_valued += __builtin_popcount(valued);
    }
    add_reported(q, l->kv, p, s, t);
    add_valued(q, l->kv, p, s, t);
}

void hs_add_far_field(const hs_queries *q, const hs_leaves *l, hs_softmax *s, hs_fast *t) {
    size_t at = (size_t)l->first * (size_t)q->head_dim;
    for (int g = 0; g < q->group; g++) {
        float *mass = l->mass + g * t->stride, *closed = t->copy, factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; j < l->n; j++) closed[j] = l->slot[j] < 0 ? mass[j] : 0;
        t->error[g] += (double)hs_closed_error(closed, l->deviation + g * t->stride, l->kv->leaf_v_radius + l->first, l->n);
        s->mass[g] += hs_sum_f32(closed, l->n) * factor;
        for (int j = 0; j < l->n; j++) mass[j] *= factor;
    }
    hs_accumulate_i8(l->mass, t->stride, l->kv->leaf_v + at, l->kv->leaf_v_scale + l->first, NULL, l->n, q->group, q->head_dim, s->out);
}
