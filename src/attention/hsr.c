/* Attention by half-space reporting over the leaves, with a far field for what is not reported; attention.h has the plan. */
#include "attention/softmax.h"
#include "kernels/vector.h"

#include <math.h>

/* A centroid's logit is raised by this many deviations before a leaf is left closed. */
static const float RAISE = 1.5f;

typedef struct {
    float *centroid; /* [group][leaves] logits of centroids, then far-field weights */
    float *total;    /* [group] estimated softmax mass relative to exp(peak) */
    int *reported;   /* [HS_RUN] own indices of reported keys waiting for evaluation */
    int leaves;      /* stride of centroid */
} hsr_scratch;

size_t hs_attend_hsr_scratch_bytes(int group, int capacity) {
    size_t leaves = (size_t)capacity / HS_LEAF + 4;
    return hs_align_up((size_t)group * leaves * sizeof(float)) + hs_align_up(HS_MAX_GROUP * sizeof(float)) + hs_align_up(HS_RUN * sizeof(int));
}

static hsr_scratch lay_out(void *scratch, int group, int leaves) {
    hsr_scratch h = {.centroid = scratch, .leaves = (leaves + 3) & ~3};
    char *next = (char *)scratch + hs_align_up((size_t)group * (size_t)h.leaves * sizeof(float));
    h.total = (float *)(void *)next;
    h.reported = (int *)(void *)(next + hs_align_up(HS_MAX_GROUP * sizeof(float)));
    return h;
}

static int first_leaf(const hs_kv *kv) { return kv->sealed_from / HS_LEAF; }
static int leaf_count(const hs_kv *kv) { return (kv->sealed_to - kv->sealed_from) / HS_LEAF; }

/* Half the variance of <q,k> over a leaf's keys, taken as isotropic. */
static float half_variance(const hs_queries *q, int g, float leaf_variance) {
    return q->screen_variance[g] * (2 * 12.0f / 255) * leaf_variance * 0.5f;
}

/* Evaluates the reported keys exactly, values included, and takes their screened weight out of the leaves' far field. */
static void evaluate_reported(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, const int *reported, int n) {
    int d = kv->head_dim;
    for (int j = 0; j < n; j++) {
        float four[HS_MAX_GROUP * 4];
        hs_exact_logits(q, kv, reported[j] & ~3, 4, p, four, 4);
        for (int g = 0; g < q->group; g++) s->logits[g * HS_RUN + j] = four[g * 4 + reported[j] % 4];
    }
    for (int g = 0; g < q->group; g++) {
        float *logits = s->logits + g * HS_RUN;
        hs_softmax_raise(s, g, hs_max_f32(logits, n), d);
        s->mass[g] += hs_exp_sum(logits, n, s->peak[g]);
    }
    if (kv->type == HS_KV_F32) hs_accumulate_f32(s->logits, HS_RUN, kv->v_rows, reported, n, q->group, d, s->out);
    else hs_accumulate_i8(s->logits, HS_RUN, kv->v, kv->v_scale, reported, n, q->group, d, s->out);
}

/* Screens one opened leaf: appends its reported keys, leaves in weight[g] the log of what is not reported. */
static int open_leaf(const hs_queries *q, const hs_kv *kv, int leaf, const hs_attention_params *p, const float *threshold, int *reported, float *weight) {
    float logits[HS_MAX_GROUP * HS_LEAF];
    int key = leaf * HS_LEAF, n = 0, d = kv->head_dim;
    hs_screen(q, kv->k_high + (size_t)key * (size_t)d / 2, kv->k_scale + key, HS_LEAF / 4, logits, HS_LEAF);
    unsigned hit = 0;
    for (int g = 0; g < q->group; g++) {
        float *row = logits + g * HS_LEAF;
        if (p->softcap > 0) hs_softcap(row, HS_LEAF, p->softcap);
        for (int i = 0; i < HS_LEAF; i++) hit |= (unsigned)(row[i] >= threshold[g]) << i;
    }
    for (int i = 0; i < HS_LEAF; i++) {
        if (hit >> i & 1) reported[n++] = key + i;
    }
    for (int g = 0; g < q->group; g++) {
        float *row = logits + g * HS_LEAF;
        for (int i = 0; i < HS_LEAF; i++) {
            if (hit >> i & 1) row[i] = -INFINITY;
        }
        float peak = n < HS_LEAF ? hs_max_f32(row, HS_LEAF) : 0;
        weight[g] = n < HS_LEAF ? peak + logf(hs_exp_sum(row, HS_LEAF, peak)) : -INFINITY;
    }
    return n;
}

/* Log of the estimated mass of every leaf of one cache; adds it to the estimated totals. */
static void weigh_leaves(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, const hs_softmax *s, const hsr_scratch *h, float *centroid) {
    int first = first_leaf(kv), n = leaf_count(kv);
    hs_logits_rows_i8(q, kv->leaf_k + (size_t)first * (size_t)kv->head_dim, kv->leaf_k_scale + first, n, centroid, h->leaves);
    for (int g = 0; g < q->group; g++) {
        float *row = centroid + g * h->leaves, sum = 0;
        for (int j = 0; j < n; j++) row[j] += half_variance(q, g, kv->leaf_variance[first + j]);
        if (p->softcap > 0) hs_softcap(row, (n + 3) & ~3, p->softcap);
        for (int j = 0; j < n; j++) {
            row[j] += 2.7725887f; /* ln HS_LEAF */
            sum += expf(row[j] - s->peak[g]);
        }
        h->total[g] += sum;
    }
}

static int is_open(const hs_queries *q, const hs_kv *kv, int leaf, const float *weight, int stride, const float *open_from) {
    for (int g = 0; g < q->group; g++) {
        float deviation = sqrtf(2 * half_variance(q, g, kv->leaf_variance[leaf]));
        if (weight[g * stride] + RAISE * deviation >= open_from[g]) return 1;
    }
    return 0;
}

static void attend_leaves(const hs_queries *q, const hs_kv *kv, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, const hsr_scratch *h, float *centroid, const float *threshold, const float *open_from) {
    int first = first_leaf(kv), n = leaf_count(kv), waiting = 0;
    for (int j = 0; j < n; j++) {
        if (!is_open(q, kv, first + j, centroid + j, h->leaves, open_from)) continue;
        float weight[HS_MAX_GROUP];
        if (waiting > HS_RUN - HS_LEAF) {
            evaluate_reported(q, kv, p, s, h->reported, waiting);
            waiting = 0;
        }
        int hits = open_leaf(q, kv, first + j, p, threshold, h->reported + waiting, weight);
        waiting += hits;
        for (int g = 0; g < q->group; g++) centroid[g * h->leaves + j] = weight[g];
        stats->leaves_opened++;
        stats->keys_screened += HS_LEAF;
        stats->keys_exact += hits;
    }
    if (waiting > 0) evaluate_reported(q, kv, p, s, h->reported, waiting);
}

static void add_far_field(const hs_queries *q, const hs_kv *kv, hs_softmax *s, const hsr_scratch *h, float *centroid) {
    int first = first_leaf(kv), n = leaf_count(kv), d = kv->head_dim;
    if (n == 0) return;
    for (int g = 0; g < q->group; g++) {
        float *row = centroid + g * h->leaves;
        hs_softmax_raise(s, g, hs_max_f32(row, n), d);
        s->mass[g] += hs_exp_sum(row, n, s->peak[g]);
    }
    hs_accumulate_i8(centroid, h->leaves, kv->leaf_v + (size_t)first * (size_t)d, kv->leaf_v_scale + first, NULL, n, q->group, d, s->out);
}

void hs_attend_hsr(const hs_kv *kv, const hs_queries *q, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, void *scratch) {
    int leaves = 0;
    for (const hs_kv *part = kv; part; part = part->parent) leaves += leaf_count(part);
    hsr_scratch h = lay_out(scratch, q->group, leaves);
    for (const hs_kv *part = kv; part; part = part->parent) {
        int sink = hs_min(part->sealed_from, part->count), rest = hs_min(part->sealed_to, part->count);
        if (sink > 0) hs_softmax_keys(s, q, part, 0, sink, p);
        if (rest < part->count) hs_softmax_keys(s, q, part, rest, part->count, p);
        stats->keys_visible += part->count;
        stats->keys_exact += part->count - leaf_count(part) * HS_LEAF;
    }
    stats->leaves_total += leaves;
    for (int g = 0; g < q->group; g++) h.total[g] = s->mass[g];
    float *centroid = h.centroid;
    for (const hs_kv *part = kv; part; centroid += leaf_count(part), part = part->parent) weigh_leaves(q, part, p, s, &h, centroid);
    float threshold[HS_MAX_GROUP], open_from[HS_MAX_GROUP];
    for (int g = 0; g < q->group; g++) {
        float log_mass = s->peak[g] + logf(h.total[g]);
        threshold[g] = log_mass + logf(p->theta > 0 ? p->theta : HS_THETA);
        open_from[g] = log_mass + logf(p->leaf_theta > 0 ? p->leaf_theta : HS_LEAF_THETA);
    }
    centroid = h.centroid;
    for (const hs_kv *part = kv; part; centroid += leaf_count(part), part = part->parent) attend_leaves(q, part, p, s, stats, &h, centroid, threshold, open_from);
    float exact_log[HS_MAX_GROUP];
    for (int g = 0; g < q->group; g++) exact_log[g] = s->peak[g] + logf(s->mass[g]);
    centroid = h.centroid;
    for (const hs_kv *part = kv; p->far_field && part; centroid += leaf_count(part), part = part->parent) add_far_field(q, part, s, &h, centroid);
    for (int g = 0; g < q->group; g++) stats->mass_exact += (double)expf(exact_log[g] - s->peak[g] - logf(s->mass[g]));
}
