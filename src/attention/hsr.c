/* Attention by half-space reporting over the leaves, with a far field for what is not reported; attention.h has the plan. */
#include "attention/softmax.h"
#include "kernels/vector.h"

#include <math.h>

/*
 * A leaf is left closed only if its estimated mass, raised by some deviations of <q,k> inside it, is below the threshold.
 * Where deviations are small the mass hardly depends on them; where they are large one key may hold all of the spread, and
 * then lies sqrt(15) deviations above the mean of the 16.
 */
static float raise(float deviation) {
    return deviation * fminf(3.873f, fmaxf(1.5f, 0.75f * deviation));
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

typedef struct {
    hs_queries squares;                  /* rows are squared: <squares, variance> is the variance of <q,k> */
    float *mass, *spread;                /* [group][leaves] */
    float *screened;                     /* [group][leaves * HS_LEAF] logits, then weights, of opened leaves by slot */
    int *slot;                           /* [leaves] */
    int reported[HS_RUN];                /* own indices of keys waiting for exact evaluation */
    float covered[HS_MAX_GROUP][HS_RUN]; /* weight that the leaf's mean value will give to their values */
    float peak[HS_MAX_GROUP], total[HS_MAX_GROUP];
    float covered_mass[HS_MAX_GROUP]; /* sum of all that was covered: not part of the softmax mass */
    int leaves, opened;               /* all sealed leaves, rounded up to 4: the stride; leaves screened so far */
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
    t->spread = (float *)(void *)(scratch += hs_align_up(row));
    t->screened = (float *)(void *)(scratch += hs_align_up(row));
    t->slot = (int *)(void *)(scratch + hs_align_up(row * HS_LEAF));
    return t;
}

static part_leaves leaves_of(const hs_kv *kv, const step *t, int before) {
    return (part_leaves){kv, kv->sealed_from / HS_LEAF, (kv->sealed_to - kv->sealed_from) / HS_LEAF, t->mass + before, t->slot + before};
}

/* mass [g][j] = log of the leaf's estimated mass, count * exp(centroid logit + variance / 2); spread [g][j] the deviation. */
static void weigh_leaves(const hs_queries *q, const part_leaves *l, const hs_attention_params *p, step *t) {
    size_t at = (size_t)l->first * (size_t)l->kv->head_dim;
    float *spread = t->spread + (l->mass - t->mass);
    hs_logits_rows_i8(q, l->kv->leaf_k + at, l->kv->leaf_k_scale + l->first, l->n, l->mass, t->leaves);
    hs_logits_rows_i8(&t->squares, l->kv->leaf_spread + at, l->kv->leaf_spread_scale + l->first, l->n, spread, t->leaves);
    for (int g = 0; g < q->group; g++) {
        float *mass = l->mass + g * t->leaves, *variance = spread + g * t->leaves;
        for (int j = 0; j < l->n; j++) {
            float deviation = sqrtf(variance[j]);
            mass[j] += deviation * fminf(0.5f * deviation, LARGEST_OF_LEAF);
            variance[j] = deviation;
        }
        if (p->softcap > 0) hs_softcap(mass, (l->n + 3) & ~3, p->softcap);
        for (int j = 0; j < l->n; j++) mass[j] += LN_LEAF;
    }
}

/* Screens the leaves whose share may reach leaf_theta for any query of the group. */
static void open_leaves(const hs_queries *q, const part_leaves *l, const hs_attention_params *p, const float *open_from, step *t) {
    const float *spread = t->spread + (l->mass - t->mass);
    int d = l->kv->head_dim, stride = t->leaves * HS_LEAF;
    for (int j = 0; j < l->n; j++) {
        int open = 0;
        for (int g = 0; g < q->group; g++) open |= l->mass[g * t->leaves + j] + raise(spread[g * t->leaves + j]) >= open_from[g];
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

/*
 * Evaluates the waiting keys exactly, values included. The far field spreads a leaf's weight over its mean value, in which
 * the reported keys have their part: that part is taken back here, so that the rest gets the mean of the rest.
 */
static void evaluate(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, step *t, int n) {
    int d = kv->head_dim;
    float four[HS_MAX_GROUP * 4];
    for (int j = 0; j < n; j++) {
        /* Keys are stored by fours: neighbours come out of one product. */
        if (j == 0 || t->reported[j] / 4 != t->reported[j - 1] / 4) hs_exact_logits(q, kv, t->reported[j] & ~3, 4, p, four, 4);
        for (int g = 0; g < q->group; g++) s->logits[g * HS_RUN + j] = four[g * 4 + t->reported[j] % 4];
    }
    for (int g = 0; g < q->group; g++) {
        float *logits = s->logits + g * HS_RUN;
        hs_softmax_raise(s, g, hs_max_f32(logits, n), d);
        s->mass[g] += hs_exp_sum(logits, n, s->peak[g]);
        float factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; p->far_field && j < n; j++) logits[j] -= t->covered[g][j] * factor;
    }
    if (kv->type == HS_KV_F32)
        hs_accumulate_f32(s->logits, HS_RUN, kv->v_rows, t->reported, n, q->group, d, s->out);
    else
        hs_accumulate_i8(s->logits, HS_RUN, kv->v, kv->v_scale, t->reported, n, q->group, d, s->out);
}

/*
 * The factor by which a key's true weight may exceed the screened one: 1 for a deviation of the screen up to 1, which the
 * threshold allows for; three deviations for a key of so large a norm that four bits say little.
 */
static float coarseness(const hs_queries *q, int g, float k_scale) {
    float half = q->screen_variance[g] * k_scale * k_scale;
    return half <= 0.5f ? 1 : expf(fminf(3 * sqrtf(2 * half) - 3, 80));
}

/* Bit i: key i of the leaf may reach the threshold of a query. */
static unsigned reported_keys(const hs_queries *q, const float *k_scale, const float *weight, size_t stride, const float *threshold) {
    unsigned hits = 0;
    float largest = hs_max_f32(k_scale, HS_LEAF);
    for (int g = 0; g < q->group; g++, weight += stride) {
        if (coarseness(q, g, largest) == 1) { /* nearly always */
            if (hs_max_f32(weight, HS_LEAF) < threshold[g]) continue;
            for (int i = 0; i < HS_LEAF; i++) hits |= (unsigned)(weight[i] >= threshold[g]) << i;
        } else {
            for (int i = 0; i < HS_LEAF; i++) hits |= (unsigned)(weight[i] * coarseness(q, g, k_scale[i]) >= threshold[g]) << i;
        }
    }
    return hits;
}

/*
 * Reports the keys of opened leaves above the threshold. The weight of a leaf's other keys becomes its far field: `mass`
 * holds what its mean value is to be multiplied by, which counts the reported keys as if they had the mean weight.
 */
static void report(const hs_queries *q, const part_leaves *l, const hs_attention_params *p, const float *threshold, hs_softmax *s, step *t, hs_attention_stats *stats) {
    size_t stride = (size_t)t->leaves * HS_LEAF;
    int waiting = 0;
    for (int j = 0; j < l->n; j++) {
        if (l->slot[j] < 0) continue;
        const float *weight = t->screened + (size_t)l->slot[j] * HS_LEAF;
        unsigned hits = reported_keys(q, l->kv->k_scale + (l->first + j) * HS_LEAF, weight, stride, threshold);
        int n = __builtin_popcount(hits);
        if (waiting + n > HS_RUN) {
            evaluate(q, l->kv, p, s, t, waiting);
            waiting = 0;
        }
        for (int g = 0; g < q->group; g++) {
            float far = 0;
            for (int i = 0; i < HS_LEAF; i++) far += hits >> i & 1 ? 0 : weight[(size_t)g * stride + (size_t)i];
            float mean = n < HS_LEAF ? far / (float)(HS_LEAF - n) : 0;
            for (int i = 0; i < n; i++) t->covered[g][waiting + i] = mean;
            l->mass[g * t->leaves + j] = mean * HS_LEAF;
            t->covered_mass[g] += mean * (float)n;
        }
        for (int i = 0; i < HS_LEAF; i++) {
            if (hits >> i & 1) t->reported[waiting++] = (l->first + j) * HS_LEAF + i;
        }
        stats->keys_exact += n;
    }
    if (waiting > 0) evaluate(q, l->kv, p, s, t, waiting);
}

static void add_far_field(const hs_queries *q, const part_leaves *l, hs_softmax *s, const step *t) {
    size_t at = (size_t)l->first * (size_t)q->head_dim;
    for (int g = 0; g < q->group; g++) {
        float *mass = l->mass + g * t->leaves, factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; j < l->n; j++) s->mass[g] += mass[j] *= factor;
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
    int before = 0;
    for (const hs_kv *part = kv; part; part = part->parent) {
        part_leaves l = leaves_of(part, t, before);
        weigh_leaves(q, &l, p, t);
        before += l.n;
    }
    float open_from[HS_MAX_GROUP], threshold[HS_MAX_GROUP], leaf_theta = p->leaf_theta > 0 ? p->leaf_theta : HS_LEAF_THETA, theta = p->theta > 0 ? p->theta : HS_THETA;
    for (int g = 0; g < q->group; g++) {
        const float *mass = t->mass + g * t->leaves;
        float peak = fmaxf(s->peak[g], hs_max_f32(mass, leaves)), sum = s->mass[g] * expf(s->peak[g] - peak);
        for (int j = 0; j < leaves; j++) sum += expf(mass[j] - peak);
        open_from[g] = peak + logf(sum * leaf_theta);
    }
    before = 0;
    for (const hs_kv *part = kv; part; part = part->parent) {
        part_leaves l = leaves_of(part, t, before);
        open_leaves(q, &l, p, open_from, t);
        before += l.n;
    }
    weigh_step(q, s, t, leaves);
    for (int g = 0; g < q->group; g++) {
        threshold[g] = theta * t->total[g];
        t->covered_mass[g] = 0;
    }
    before = 0;
    for (const hs_kv *part = kv; part; part = part->parent) {
        part_leaves l = leaves_of(part, t, before);
        report(q, &l, p, threshold, s, t, stats);
        before += l.n;
    }
    float exact_log[HS_MAX_GROUP] = {0};
    for (int g = 0; g < q->group; g++) exact_log[g] = s->peak[g] + logf(s->mass[g]);
    before = 0;
    for (const hs_kv *part = kv; p->far_field && part; part = part->parent) {
        part_leaves l = leaves_of(part, t, before);
        if (l.n > 0) add_far_field(q, &l, s, t);
        before += l.n;
    }
    for (int g = 0; p->far_field && g < q->group; g++) s->mass[g] -= t->covered_mass[g] * expf(t->peak[g] - s->peak[g]);
    for (int g = 0; g < q->group; g++) stats->mass_exact += (double)expf(exact_log[g] - s->peak[g] - logf(s->mass[g]));
    stats->leaves_total += leaves;
    stats->leaves_opened += t->opened;
    stats->keys_screened += (double)t->opened * HS_LEAF;
}
