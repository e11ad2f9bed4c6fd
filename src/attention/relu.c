/*
 * ReLU^alpha attention (arXiv 2410.10165): weight = max(0, logit - b)^alpha over the sum of weights. Only keys with a logit
 * above b have one, and the index reports every one of them with its exact product: there is no error but the rounding of
 * the sum. Weights are taken relative to the largest so far, so that no power leaves the range of a float.
 */
#include "attention/decode.h"
#include "base/memory.h"
#include "hsr/hits.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

typedef struct {
    int *own;       /* own indices of the reported keys of one cache */
    float *product; /* their exact products; later logit - b */
    float *weight;
    hs_queries *prepared;
} relu_scratch;

static size_t lay_out(relu_scratch *s, void *scratch, int capacity) {
    size_t n = (size_t)capacity, at = 0;
    s->own = hs_carve(scratch, &at, n * sizeof *s->own);
    s->product = hs_carve(scratch, &at, n * sizeof *s->product);
    s->weight = hs_carve(scratch, &at, n * sizeof *s->weight);
    s->prepared = hs_carve(scratch, &at, sizeof *s->prepared);
    return at;
}

size_t hs_attend_relu_scratch_bytes(int capacity) {
    relu_scratch s;
    return lay_out(&s, NULL, capacity);
}

/* No key has a weight whose product with the query, turned to the sign of the scale, is below this: b undone, a little lowered. */
static float least_product(const hs_attention_params *p) {
    double b = (double)p->b, cap = (double)p->softcap;
    if (cap > 0 && b >= cap) return INFINITY;
    if (cap > 0) b = b <= -cap ? -INFINITY : cap * atanh(b / cap);
    double product = b / fabs((double)p->scale);
    return (float)(product - 1e-6 * fabs(product) - 1e-37);
}

static float power(float x, int alpha) {
    float y = x;
    for (int i = 1; i < alpha; i++) y *= x;
    return y;
}

/* Keys that are seen and whose logit is above b move to the front, product becomes logit - b; returns their number. */
static int keep_weighted(const hs_kv *kv, const hs_view *view, const hs_attention_params *p, float sign, int found, relu_scratch *s) {
    int n = 0;
    for (int j = 0; j < found; j++) {
        double excess = hs_logit_of((double)(sign * s->product[j]), p) - (double)p->b;
        if (!(excess > 0) || !hs_is_visible(kv, view, s->own[j])) continue;
        s->own[n] = s->own[j];
        s->product[n++] = (float)excess;
    }
    return n;
}

/* One query's sums, relative to largest^alpha. */
typedef struct {
    float largest, *out;
    double mass;
} relu_sum;

static void add_keys(const hs_kv *kv, int n, int alpha, relu_scratch *s, relu_sum *sum) {
    float largest = n > 0 ? fmaxf(sum->largest, hs_max_f32(s->product, n)) : 0;
    if (!(largest > 0)) return;
    float factor = power(sum->largest / largest, alpha);
    sum->largest = largest;
    sum->mass *= (double)factor;
    for (int i = 0; i < kv->head_dim; i++) sum->out[i] *= factor;
    for (int j = 0; j < n; j++) sum->mass += (double)(s->weight[j] = power(s->product[j] / largest, alpha));
    for (int j = 0; j < n; j += HS_RUN) hs_add_values(kv, s->weight + j, HS_RUN, 0, s->own + j, hs_min(HS_RUN, n - j), 1, sum->out);
}

static void note(hs_reported *reported, const hs_kv *kv, const relu_scratch *s, int n, int group, int g) {
    for (int j = 0; reported && j < n; j++) {
        float excess[HS_MAX_GROUP] = {0};
        excess[g] = s->product[j];
        hs_note_reported(reported, kv, s->own + j, 1, group, excess, 1);
    }
}

/* What was noted from `first` on becomes shares of query g. */
static void share(hs_reported *reported, int first, int group, int g, int alpha, const relu_sum *sum) {
    if (!reported || !reported->shares) return;
    for (int j = first; j < hs_min(reported->n, reported->room); j++) {
        float *excess = &reported->shares[j * group + g];
        *excess = (float)((double)power(*excess / sum->largest, alpha) / sum->mass);
    }
}

static void attend_one(const hs_kv *kv, const float *q, int group, int g, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, relu_scratch *s) {
    hs_view view = hs_view_of(p, hs_kv_length(kv));
    float turned[HS_MAX_HEAD_DIM], sign = p->scale < 0 ? -1.0f : 1.0f;
    int d = kv->head_dim, noted = reported ? reported->n : 0;
    hs_index_stats work = {0};
    relu_sum sum = {0, out, 0};
    memset(out, 0, (size_t)d * sizeof(float));
    for (int i = 0; i < d; i++) turned[i] = sign * q[i];
    for (const hs_kv *part = kv; part; part = part->parent) {
        int found = hs_kv_hits(part, turned, least_product(p), HS_STRATEGY_AUTO, s->own, s->product, &work, s->prepared);
        int n = keep_weighted(part, &view, p, sign, found, s);
        note(reported, part, s, n, group, g);
        add_keys(part, n, p->alpha, s, &sum);
        stats->keys_exact += n;
    }
    for (int i = 0; sum.mass > 0 && i < d; i++) out[i] = (float)((double)out[i] / sum.mass);
    share(reported, noted, group, g, p->alpha, &sum);
    stats->keys_visible += hs_count_visible(kv, &view);
    stats->keys_screened += work.keys_screened;
    stats->keys_refined += work.keys_refined;
    stats->mass_exact += 1;
}

void hs_attend_relu(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch) {
    relu_scratch s;
    int most = kv->count; /* keys of one cache; the length counts dropped ones too, for which there is no room */
    for (const hs_kv *part = kv->parent; part; part = part->parent) most = hs_max(most, part->count);
    lay_out(&s, scratch, most);
    for (int g = 0; g < group; g++) attend_one(kv, q + g * kv->head_dim, group, g, p, out + g * kv->head_dim, stats, reported, &s);
}
