/* Attention by half-space reporting over the leaves, with a far field for what is not reported; attention.h has the plan. */
#include "attention/softmax.h"
#include "base/f16.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

/*
 * A leaf is left closed only if its estimated mass, raised by some deviations of <q,k> inside it, is below the threshold.
 * Where deviations are small the mass hardly depends on them; where they are large one key may hold all of the spread, and
 * then lies sqrt(15) deviations above the mean of the 16. (Comparisons instead of fminf(): those the compiler vectorises.)
 */
static float raise(float deviation) {
    float times = 0.75f * deviation;
    times = times < 1.5f ? 1.5f : times;
    return deviation * (times < 3.873f ? times : 3.873f);
}
static const float LN_LEAF = 2.7725887f;
/* The largest of 16 normal values lies 1.77 deviations above their mean on average: an estimate from a wide leaf stops there. */
static const float LARGEST_OF_LEAF = 1.77f;

/* One cache's leaves during a step. Logs and weights are relative to exp(peak) of the step. */
typedef struct {
    const hs_kv *kv;
    int first, n; /* its sealed leaves */
    float *mass;  /* [group][stride] log of the estimated mass, then the far-field weight */
    int *slot;    /* [n] place among the screened leaves, or -1 for a closed leaf */
} part_leaves;

/* Keys that are to add their own values. */
typedef struct {
    int n, key[HS_RUN];                  /* own indices */
    float covered[HS_MAX_GROUP][HS_RUN]; /* weight that the leaf's mean value will give to their values */
    float weight[HS_MAX_GROUP][HS_RUN];  /* estimated weight */
} waiting;

typedef struct {
    hs_queries squares;  /* rows are squared: <squares, variance> is the variance of <q,k> */
    float *mass, *reach; /* [group][leaves]; reach: log of the mass that it may have */
    float *screened;     /* [group][leaves * HS_LEAF] logits, then weights, of opened leaves by slot */
    int *slot;           /* [leaves] */
    waiting reported, valued;
    float peak[HS_MAX_GROUP], total[HS_MAX_GROUP];
    float far_mass[HS_MAX_GROUP]; /* estimated weight of all keys that are not evaluated exactly, closed leaves left out */
    int leaves, opened;           /* all sealed leaves, rounded up to 4: the stride; leaves screened so far */
} step;

size_t hs_attend_hsr_scratch_bytes(int group, int capacity) {
    size_t leaves = ((size_t)capacity / HS_LEAF + 4) & ~(size_t)3, row = (size_t)group * leaves * sizeof(float);
    return hs_align_up(sizeof(step)) + 2 * hs_align_up(row) + hs_align_up(row * HS_LEAF) + hs_align_up(leaves * sizeof(int));
}

static step *lay_out(char *scratch, int group, int leaves) {
    step *t = (step *)(void *)scratch;
    t->leaves = (leaves + 3) & ~3;
    t->opened = 0;
    size_t row = (size_t)group * (size_t)t->leaves * sizeof(float);
    scratch += hs_align_up(sizeof(step));
    t->mass = (float *)(void *)scratch;
    t->reach = (float *)(void *)(scratch += hs_align_up(row));
    t->screened = (float *)(void *)(scratch += hs_align_up(row));
    t->slot = (int *)(void *)(scratch + hs_align_up(row * HS_LEAF));
    return t;
}

/* The leaves of the first cache from `kv` on that has any; kv is NULL after the last one. `before` leaves were met already. */
static part_leaves leaves_from(const hs_kv *kv, const step *t, int before) {
    while (kv && kv->sealed_from == kv->sealed_to) kv = kv->parent;
    if (!kv) return (part_leaves){0};
    return (part_leaves){kv, kv->sealed_from / HS_LEAF, (kv->sealed_to - kv->sealed_from) / HS_LEAF, t->mass + before, t->slot + before};
}

static part_leaves next_leaves(const part_leaves *l, const step *t) {
    return leaves_from(l->kv->parent, t, (int)(l->slot - t->slot) + l->n);
}

/* mass [g][j] = log of the leaf's estimated mass, count * exp(centroid logit + variance / 2); reach [g][j] that raised. */
static void weigh_leaves(const hs_queries *q, const part_leaves *l, const hs_attention_params *p, step *t) {
    size_t at = (size_t)l->first * (size_t)l->kv->head_dim;
    float *variances = t->reach + (l->mass - t->mass);
    hs_logits_rows_i8(q, l->kv->leaf_k + at, l->kv->leaf_k_scale + l->first, l->n, l->mass, t->leaves);
    hs_logits_rows_i8(&t->squares, l->kv->leaf_spread + at, l->kv->leaf_spread_scale + l->first, l->n, variances, t->leaves);
    for (int g = 0; g < q->group; g++) {
        float *mass = l->mass + g * t->leaves, *reach = variances + g * t->leaves;
        for (int j = 0; j < l->n; j++) {
            float deviation = sqrtf(reach[j]), half = 0.5f * deviation;
            mass[j] += deviation * (half < LARGEST_OF_LEAF ? half : LARGEST_OF_LEAF);
            reach[j] = raise(deviation);
        }
        if (p->softcap > 0) hs_softcap(mass, (l->n + 3) & ~3, p->softcap);
        for (int j = 0; j < l->n; j++) {
            mass[j] += LN_LEAF;
            reach[j] += mass[j];
        }
    }
}

/* open_from [g]: log of the mass from which a leaf is opened. */
static void open_thresholds(const hs_queries *q, const hs_softmax *s, float leaf_theta, int leaves, const step *t, float *open_from) {
    float *copy = t->screened;
    for (int g = 0; g < q->group; g++) {
        const float *mass = t->mass + g * t->leaves;
        float largest = hs_max_f32(mass, leaves), peak = s->peak[g] > largest ? s->peak[g] : largest;
        memcpy(copy, mass, (size_t)leaves * sizeof(float));
        float sum = s->mass[g] * expf(s->peak[g] - peak) + hs_exp_sum(copy, leaves, peak);
        open_from[g] = peak + logf(sum * leaf_theta);
    }
}

/* Screens the leaves whose share may reach leaf_theta for any query of the group. */
static void open_leaves(const hs_queries *q, const part_leaves *l, const hs_attention_params *p, const float *open_from, step *t) {
    const float *reach = t->reach + (l->mass - t->mass);
    int d = l->kv->head_dim, stride = t->leaves * HS_LEAF;
    for (int j = 0; j < l->n; j++) {
        int open = 0;
        for (int g = 0; g < q->group; g++) open |= reach[g * t->leaves + j] >= open_from[g];
        l->slot[j] = open ? t->opened++ : -1;
        if (!open) continue;
        int key = (l->first + j) * HS_LEAF;
        float *out = t->screened + (size_t)l->slot[j] * HS_LEAF;
        hs_screen(q, l->kv->k_high + (size_t)key * (size_t)d / 2, l->kv->k_scale + key, HS_LEAF / 4, out, stride);
        for (int g = 0; p->softcap > 0 && g < q->group; g++) hs_softcap(out + (size_t)g * (size_t)stride, HS_LEAF, p->softcap);
    }
}

/* Turns logs into weights under one peak per query, and sums them with the exact mass. */
static void weigh_step(const hs_queries *q, hs_softmax *s, step *t, int leaves) {
    for (int g = 0; g < q->group; g++) {
        float *screened = t->screened + (size_t)g * (size_t)t->leaves * HS_LEAF, *mass = t->mass + g * t->leaves;
        int n = t->opened * HS_LEAF;
        for (int j = 0; j < leaves; j++) mass[j] = t->slot[j] >= 0 ? -INFINITY : mass[j];
        float peak = hs_max_f32(mass, leaves);
        if (n > 0) peak = fmaxf(peak, hs_max_f32(screened, n));
        hs_softmax_raise(s, g, peak, q->head_dim);
        t->peak[g] = s->peak[g];
        t->total[g] = s->mass[g] + hs_exp_sum(mass, leaves, t->peak[g]);
        if (n > 0) t->total[g] += hs_exp_sum(screened, n, t->peak[g]);
    }
}

/* Adds the values of waiting keys under the weights in s->logits, less what the leaves' mean values will give to them. */
static void add_values(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, const step *t, const waiting *w) {
    for (int g = 0; p->far_field && g < q->group; g++) {
        float factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; j < w->n; j++) s->logits[g * HS_RUN + j] -= w->covered[g][j] * factor;
    }
    if (kv->type == HS_KV_F32)
        hs_accumulate_f32(s->logits, HS_RUN, kv->v_rows, w->key, w->n, q->group, kv->head_dim, s->out);
    else
        hs_accumulate_i8(s->logits, HS_RUN, kv->v, kv->v_scale, w->key, w->n, q->group, kv->head_dim, s->out);
}

/* Evaluates the reported keys exactly. */
static void add_reported(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, step *t) {
    const waiting *w = &t->reported;
    float four[HS_MAX_GROUP * 4];
    if (w->n == 0) return;
    for (int j = 0; j < w->n; j++) {
        /* Keys are stored by fours: neighbours come out of one product. */
        if (j == 0 || w->key[j] / 4 != w->key[j - 1] / 4) hs_exact_logits(q, kv, w->key[j] & ~3, 4, p, four, 4);
        for (int g = 0; g < q->group; g++) s->logits[g * HS_RUN + j] = four[g * 4 + w->key[j] % 4];
    }
    for (int g = 0; g < q->group; g++) {
        float *logits = s->logits + g * HS_RUN;
        hs_softmax_raise(s, g, hs_max_f32(logits, w->n), kv->head_dim);
        s->mass[g] += hs_exp_sum(logits, w->n, s->peak[g]);
    }
    add_values(q, kv, p, s, t, w);
    t->reported.n = 0;
}

/* Gives the valued keys their estimated weights. */
static void add_valued(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, step *t) {
    const waiting *w = &t->valued;
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

/* The least key scale at which coarseness() may exceed 1 for a query. */
static float coarse_scale(const hs_queries *q) {
    float largest = 0;
    for (int g = 0; g < q->group; g++) largest = fmaxf(largest, q->screen_variance[g]);
    return largest > 0 ? sqrtf(FINE_HALF_VARIANCE / largest) : INFINITY;
}

/* Bit i: key i of the leaf may reach the threshold of a query. */
static unsigned reported_keys(const hs_queries *q, const uint16_t *packed_scale, float coarse_from, const float *weight, size_t stride, const float *threshold) {
    unsigned hits = 0;
    float k_scale[HS_LEAF];
    for (int i = 0; i < HS_LEAF; i++) k_scale[i] = hs_bf16_to_f32(packed_scale[i]);
    if (hs_at_least_16(k_scale, coarse_from) == 0) { /* nearly always */
        for (int g = 0; g < q->group; g++) hits |= hs_at_least_16(weight + (size_t)g * stride, threshold[g]);
        return hits;
    }
    for (int g = 0; g < q->group; g++, weight += stride) {
        for (int i = 0; i < HS_LEAF; i++) hits |= (unsigned)(weight[i] * coarseness(q, g, k_scale[i]) >= threshold[g]) << i;
    }
    return hits;
}

static float sum_of(const float *weight, unsigned bits) {
    float sum = 0;
    for (; bits; bits &= bits - 1) sum += weight[__builtin_ctz(bits)];
    return sum;
}

/* Puts the keys of a leaf whose bits are set into the queue; mean [g] is what the leaf's mean value will give to each. */
static void enqueue(waiting *w, int group, unsigned bits, int first, const float *weight, size_t stride, const float *mean) {
    for (; bits; bits &= bits - 1, w->n++) {
        int i = __builtin_ctz(bits);
        w->key[w->n] = first + i;
        for (int g = 0; g < group; g++) {
            w->covered[g][w->n] = mean[g];
            w->weight[g][w->n] = weight[(size_t)g * stride + (size_t)i];
        }
    }
}

/*
 * Sorts the keys of opened leaves by their estimated weights: reported, valued, or left to the leaf's mean value. That
 * value contains all keys of the leaf, so it is given the mean weight of the left ones for each key, and the reported and
 * the valued ones take their part back: the rest gets the mean of the rest. `mass` becomes the weight of the mean value.
 */
static void report(const hs_queries *q, const part_leaves *l, const hs_attention_params *p, const float *theta, const float *value_theta, hs_softmax *s, step *t, hs_attention_stats *stats) {
    size_t stride = (size_t)t->leaves * HS_LEAF;
    float coarse_from = coarse_scale(q);
    t->reported.n = t->valued.n = 0;
    for (int j = 0; j < l->n; j++) {
        if (l->slot[j] < 0) continue;
        const float *weight = t->screened + (size_t)l->slot[j] * HS_LEAF;
        int first = (l->first + j) * HS_LEAF;
        unsigned hits = reported_keys(q, l->kv->k_scale + first, coarse_from, weight, stride, theta), valued = 0;
        for (int g = 0; p->far_field && g < q->group; g++) valued |= hs_at_least_16(weight + (size_t)g * stride, value_theta[g]);
        valued &= ~hits;
        int left = HS_LEAF - __builtin_popcount(hits | valued);
        float mean[HS_MAX_GROUP];
        for (int g = 0; g < q->group; g++) {
            const float *w = weight + (size_t)g * stride;
            float far = hs_sum_f32(w, HS_LEAF) - sum_of(w, hits), rest = far - sum_of(w, valued);
            /* What remains of a difference may be a rounding below zero. */
            mean[g] = left > 0 && rest > 0 ? rest / (float)left : 0;
            l->mass[g * t->leaves + j] = mean[g] * HS_LEAF;
            t->far_mass[g] += far > 0 ? far : 0;
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

/* Gives the leaves' mean values their weights; the mass of closed leaves joins the softmax mass. */
static void add_far_field(const hs_queries *q, const part_leaves *l, hs_softmax *s, const step *t) {
    size_t at = (size_t)l->first * (size_t)q->head_dim;
    for (int g = 0; g < q->group; g++) {
        float *mass = l->mass + g * t->leaves, factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; j < l->n; j++) {
            mass[j] *= factor;
            s->mass[g] += l->slot[j] < 0 ? mass[j] : 0;
        }
    }
    hs_accumulate_i8(l->mass, t->leaves, l->kv->leaf_v + at, l->kv->leaf_v_scale + l->first, NULL, l->n, q->group, q->head_dim, s->out);
}

/* The sink and the window of every cache. Returns the number of sealed leaves. */
static int attend_unsealed(const hs_kv *kv, const hs_queries *q, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats) {
    int leaves = 0;
    for (const hs_kv *part = kv; part; part = part->parent) {
        int sink = hs_min(part->sealed_from, part->count), window = hs_min(part->sealed_to, part->count);
        if (sink > 0) hs_softmax_keys(s, q, part, 0, sink, p);
        if (window < part->count) hs_softmax_keys(s, q, part, window, part->count, p);
        leaves += (part->sealed_to - part->sealed_from) / HS_LEAF;
        stats->keys_visible += part->count;
        stats->keys_exact += sink + part->count - window;
    }
    return leaves;
}

void hs_attend_hsr(const hs_kv *kv, const hs_queries *q, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, void *scratch) {
    int leaves = attend_unsealed(kv, q, p, s, stats);
    if (leaves == 0) {
        stats->mass_exact += q->group;
        return;
    }
    step *t = lay_out(scratch, q->group, leaves);
    t->squares.group = q->group;
    t->squares.head_dim = q->head_dim;
    for (int g = 0; g < q->group; g++) {
        for (int i = 0; i < q->head_dim; i++) t->squares.rows[g][i] = q->rows[g][i] * q->rows[g][i];
    }
    for (part_leaves l = leaves_from(kv, t, 0); l.kv; l = next_leaves(&l, t)) weigh_leaves(q, &l, p, t);
    float open_from[HS_MAX_GROUP], threshold[HS_MAX_GROUP], theta = p->theta > 0 ? p->theta : HS_THETA;
    open_thresholds(q, s, p->leaf_theta > 0 ? p->leaf_theta : HS_LEAF_THETA, leaves, t, open_from);
    for (part_leaves l = leaves_from(kv, t, 0); l.kv; l = next_leaves(&l, t)) open_leaves(q, &l, p, open_from, t);
    weigh_step(q, s, t, leaves);
    float value_theta[HS_MAX_GROUP];
    for (int g = 0; g < q->group; g++) {
        threshold[g] = theta * t->total[g];
        value_theta[g] = (p->value_theta > 0 ? p->value_theta : HS_VALUE_THETA) * t->total[g];
        t->far_mass[g] = 0;
    }
    for (part_leaves l = leaves_from(kv, t, 0); l.kv; l = next_leaves(&l, t)) report(q, &l, p, threshold, value_theta, s, t, stats);
    float exact_log[HS_MAX_GROUP] = {0};
    for (int g = 0; g < q->group; g++) exact_log[g] = s->peak[g] + logf(s->mass[g]);
    for (int g = 0; p->far_field && g < q->group; g++) s->mass[g] += t->far_mass[g] * expf(t->peak[g] - s->peak[g]);
    for (part_leaves l = leaves_from(kv, t, 0); p->far_field && l.kv; l = next_leaves(&l, t)) add_far_field(q, &l, s, t);
    for (int g = 0; g < q->group; g++) stats->mass_exact += (double)expf(exact_log[g] - s->peak[g] - logf(s->mass[g]));
    stats->leaves_total += leaves;
    stats->leaves_opened += t->opened;
    stats->keys_screened += (double)t->opened * HS_LEAF;
}
