/*
 * The certificate. With w_i the true weight of key i, S the chosen keys, h the output, m_L the mean value of leaf L, f_L the
 * weight that L was given in the far field (0 without one), and w_L the true weight of its keys outside of S,
 *   true output - h = sum over L of [ (w_L - f_L) (m_L - h) + sum over i in L outside of S of w_i (v_i - m_L) ] / W ,
 * which follows from h (sum over S of w + sum of f) = sum over S of w v + sum of f m. Every w_i lies in an interval, every
 * v_i within the leaf's radius of m_L (dispersion() says how that is used), and W is at least the sum of all lower ends: so
 * the right side has a bound. It is the identity |error| = tau |mean of the tail - mean of the head| (arXiv 2512.07647) leaf
 * by leaf. What rounding moves refined weights and sums is added.
 */
#include "attention/certificate.h"

#include "base/f16.h"
#include "kernels/attention.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

double hs_weigh_ends(const hs_intervals *t, int refined, float side, float peak) {
    for (int i = 0; i < t->slots; i++) t->copy[i] = t->refined[i] == refined ? t->logit[i] + side * t->radius[i] : -INFINITY;
    return (double)hs_exp_sum(t->copy, t->slots, peak);
}

/* The factor of 1e-5 covers the rounding of the sums. hs_exp_sum() stops at exp(88): enough to be refined under any budget. */
hs_known_mass hs_mass_of(const hs_intervals *t) {
    hs_known_mass m = {-INFINITY, 0, 0, 0};
    for (int i = 0; i < t->slots; i++) {
        if (t->refined[i] && t->logit[i] > m.peak) m.peak = t->logit[i];
    }
    m.refined = hs_weigh_ends(t, 1, 0, m.peak);
    m.lower = hs_weigh_ends(t, 0, -1, m.peak) * (1 - 1e-5);
    m.upper = hs_weigh_ends(t, 0, 1, m.peak) * (1 + 1e-5);
    return m;
}

/* Relative to exp(peak). */
static double weight(float logit, float peak) {
    return (double)expf(logit - peak);
}

/* The chosen keys of a span join numerator and mass. */
static void add_chosen(const hs_intervals *t, const hs_span *span, hs_softmax *s, int g) {
    int index[HS_RUN], n = 0, end = span->piece.end - span->piece.first, d = t->kv->head_dim;
    for (int i = 0; i < end; i++) {
        if (t->chosen[span->first + i]) {
            index[n] = span->piece.first + i;
            s->logits[n++] = t->logit[span->first + i];
        }
        if (n == HS_RUN || (i == end - 1 && n > 0)) {
            s->mass[g] += hs_exp_sum(s->logits, n, s->peak[g]);
            hs_add_values(span->piece.kv, s->logits, HS_RUN, 0, index, n, 1, s->out + g * d);
            n = 0;
        }
    }
}

/* What is known of the weights of a leaf's keys that were not chosen. */
typedef struct {
    double screened, screened_lower, screened_upper; /* those known to 4 bits: estimate and ends of the sum */
    double refined;
    double dispersed; /* no sum of weight * (value - mean value) is longer */
} leaf_tail;

/*
 * |sum of w_i (v_i - m)| for weights in [lower, upper] (0 for chosen keys). As the v_i - m of all 16 keys sum to almost 0 (m
 * is their mean, rounded to int8), any w may be subtracted from every weight: what is left is summed against the radius,
 * or by Cauchy-Schwarz against the spread.
 */
static double dispersion(const hs_kv *kv, int leaf, const float *lower, const float *upper) {
    double middle = 0, all = 0, sum = 0, squares = 0, radius = (double)kv->leaf_v_radius[leaf];
    for (int i = 0; i < HS_LEAF; i++) {
        all += (double)upper[i];
        middle += 0.5 / HS_LEAF * ((double)lower[i] + (double)upper[i]);
    }
    for (int i = 0; i < HS_LEAF; i++) {
        double off = fmax((double)upper[i] - middle, middle - (double)lower[i]);
        sum += off;
        squares += off * off;
    }
    double rounded = 0.5 * (double)hs_bf16_to_f32(kv->leaf_v_scale[leaf]) * sqrt(kv->head_dim) * HS_LEAF * middle;
    return fmin(all * radius, fmin(sum * radius, sqrt(squares) * (double)kv->leaf_v_spread[leaf]) + rounded) * (1 + 1e-5);
}

static leaf_tail tail_of(const hs_intervals *t, const hs_span *span, int leaf, float peak) {
    float estimate[HS_LEAF], lower[HS_LEAF], upper[HS_LEAF], refined[HS_LEAF];
    int slot = span->first + leaf * HS_LEAF;
    const uint16_t *k_scale = span->piece.kv->k_scale + span->piece.first + leaf * HS_LEAF;
    for (int i = 0; i < HS_LEAF; i++) {
        float logit = t->chosen[slot + i] ? -INFINITY : t->logit[slot + i], radius = t->radius[slot + i], scale = hs_bf16_to_f32(k_scale[i]);
        /* As in hs_screen(): the mean of exp over what the low nibbles may be. */
        float half = t->variance * scale * scale;
        half = half < 0.5f ? half : 0.5f;
        refined[i] = t->refined[slot + i] ? logit : -INFINITY;
        logit = t->refined[slot + i] ? -INFINITY : logit;
        estimate[i] = logit - (half < radius ? half : radius);
        lower[i] = logit - radius;
        upper[i] = logit + radius;
    }
    leaf_tail tail = {
        .screened = (double)hs_exp_sum(estimate, HS_LEAF, peak),
        .screened_lower = (double)hs_exp_sum(lower, HS_LEAF, peak) * (1 - 1e-5),
        .screened_upper = (double)hs_exp_sum(upper, HS_LEAF, peak) * (1 + 1e-5),
        .refined = (double)hs_exp_sum(refined, HS_LEAF, peak),
    };
    for (int i = 0; i < HS_LEAF; i++) {
        lower[i] += refined[i];
        upper[i] += refined[i];
    }
    tail.dispersed = dispersion(span->piece.kv, span->piece.first / HS_LEAF + leaf, lower, upper);
    return tail;
}

/* Far field of a sealed span: leaf_weight of its leaves, in numerator and mass. */
static void add_span_far_field(hs_intervals *t, const hs_span *span, hs_softmax *s, int g) {
    const hs_kv *kv = span->piece.kv;
    int leaves = (span->piece.end - span->piece.first) / HS_LEAF, first = span->piece.first / HS_LEAF;
    float *w = t->leaf_weight + span->first / HS_LEAF;
    for (int j = 0; j < leaves; j++) {
        leaf_tail tail = tail_of(t, span, j, s->peak[g]);
        w[j] = (float)(tail.screened + tail.refined);
        s->mass[g] += w[j];
    }
    hs_accumulate_i8(w, leaves, kv->leaf_v + (size_t)first * (size_t)kv->head_dim, kv->leaf_v_scale + first, NULL, leaves, 1, kv->head_dim, s->out + g * kv->head_dim);
}

/* Distance of a leaf's stored mean value from the output. */
static double mean_distance(const hs_kv *kv, int leaf, const float *h) {
    const int8_t *mean = kv->leaf_v + (size_t)leaf * (size_t)kv->head_dim;
    float scale = hs_bf16_to_f32(kv->leaf_v_scale[leaf]), square = 0;
    for (int i = 0; i < kv->head_dim; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the caller filled all head_dim of h */
        float off = scale * (float)mean[i] - h[i];
        square += off * off;
    }
    return sqrt((double)square) * (1 + 1e-5);
}

/* The numerator's part of the error bound of one span's keys that were not chosen. */
static double span_error(const hs_intervals *t, const hs_span *span, const float *h, float peak, double farthest) {
    const hs_kv *kv = span->piece.kv;
    double error = 0;
    if (!span->piece.sealed) {
        for (int i = span->first; i < hs_span_end(span); i++) error += t->chosen[i] || t->logit[i] == -INFINITY ? 0 : weight(t->logit[i], peak) * farthest;
        return error;
    }
    for (int j = 0; j < (span->piece.end - span->piece.first) / HS_LEAF; j++) {
        leaf_tail tail = tail_of(t, span, j, peak);
        double all = tail.screened_upper + tail.refined, off = all;
        if (all == 0) continue;
        if (t->p->far_field != HS_FAR_DROPPED) off = fmax(tail.screened_upper - tail.screened, tail.screened - tail.screened_lower);
        error += off * mean_distance(kv, span->piece.first / HS_LEAF + j, h) + tail.dispersed;
    }
    return error;
}

double hs_rounding_error(const hs_intervals *t, const hs_known_mass *m, double farthest) {
    double moved = 0;
    hs_weigh_ends(t, 1, 0, m->peak);
    for (int i = 0; i < t->slots; i++) {
        if (t->copy[i] > 0) moved += (double)t->copy[i] * expm1(2 * (double)t->radius[i]);
    }
    int steps = 1024 + t->slots / 128;
    double sums = steps * 0x1p-24 + fabs((double)m->peak) * 0x1p-22;
    return farthest * fmin(2, moved / m->refined + sums); /* the true output is no farther: not even where `moved` is infinite */
}

double hs_evaluate_chosen(hs_intervals *t, const hs_known_mass *m, hs_softmax *s, int g) {
    int d = t->kv->head_dim;
    float *out = s->out + g * d, h[HS_MAX_HEAD_DIM];
    memset(out, 0, (size_t)d * sizeof(float));
    s->peak[g] = m->peak;
    s->mass[g] = 0;
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        add_chosen(t, &span, s, g);
        if (span.piece.sealed && t->p->far_field != HS_FAR_DROPPED) add_span_far_field(t, &span, s, g);
    }
    for (int i = 0; i < d; i++) h[i] = out[i] / s->mass[g];
    double farthest = (double)t->kv->v_norm + hs_length_of(h, d), error = 0;
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) error += span_error(t, &span, h, m->peak, farthest);
    return error / (m->refined + m->lower) * (1 + 1e-6) + hs_rounding_error(t, m, farthest);
}

static double logit_in_f64(const hs_intervals *t, const hs_kv *kv, int own, const float *q) {
    float key[HS_MAX_HEAD_DIM];
    double product = 0;
    hs_kv_key(kv, own, key);
    for (int i = 0; i < kv->head_dim; i++) product += (double)q[i] * (double)key[i];
    return hs_logit_of(product, t->p);
}

void hs_sharpen_chosen(hs_intervals *t, const float *q) {
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        for (int i = span.first; i < hs_span_end(&span); i++) {
            float rounding = fabsf(t->logit[i]) * 0x1p-22f;
            if (!t->chosen[i] || t->radius[i] <= rounding) continue;
            t->logit[i] = (float)logit_in_f64(t, span.piece.kv, hs_span_own(&span, i), q);
            t->radius[i] = fabsf(t->logit[i]) * 0x1p-22f;
        }
    }
}

double hs_evaluate_in_f64(hs_intervals *t, const float *q, hs_softmax *s, int g) {
    int d = t->kv->head_dim;
    float value[HS_MAX_HEAD_DIM];
    double sum[HS_MAX_HEAD_DIM] = {0}, peak = -INFINITY, mass = 0;
    hs_refine_from(t, -INFINITY);
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        for (int i = span.first; i < hs_span_end(&span); i++) {
            int own = hs_span_own(&span, i);
            if (t->logit[i] == -INFINITY) continue;
            double logit = logit_in_f64(t, span.piece.kv, own, q), higher = fmax(peak, logit), factor = exp(peak - higher), w = exp(logit - higher);
            t->chosen[i] = 1;
            t->logit[i] = (float)logit;
            hs_kv_value(span.piece.kv, own, value);
            peak = higher;
            mass = mass * factor + w;
            for (int dim = 0; dim < d; dim++) sum[dim] = sum[dim] * factor + w * (double)value[dim];
        }
    }
    for (int dim = 0; dim < d; dim++) s->out[g * d + dim] = (float)(sum[dim] / mass);
    s->peak[g] = (float)(peak + log(mass));
    s->mass[g] = 1;
    return 1e-6 * (double)t->kv->v_norm;
}
