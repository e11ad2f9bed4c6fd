#include "attention/interval.h"

#include "attention/softmax.h"
#include "base/f16.h"
#include "base/memory.h"
#include "hsr/bound.h"
#include "kernels/attention.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

/* Products of four keys at a time may run over the end of a span, into slots that are filled later or these. */
enum { SLACK = 4 };

/* The intervals themselves are at the start of the scratch. */
static size_t lay_out(hs_intervals *t, void *scratch, int slots) {
    size_t n = (size_t)slots + SLACK, at = 0;
    hs_carve(scratch, &at, sizeof *t);
    t->logit = hs_carve(scratch, &at, n * sizeof *t->logit);
    t->radius = hs_carve(scratch, &at, n * sizeof *t->radius);
    t->copy = hs_carve(scratch, &at, n * sizeof *t->copy);
    t->leaf_weight = hs_carve(scratch, &at, (n / HS_LEAF + 1) * sizeof *t->leaf_weight);
    t->refined = hs_carve(scratch, &at, n);
    t->chosen = hs_carve(scratch, &at, n);
    return at;
}

size_t hs_intervals_scratch_bytes(int capacity) {
    hs_intervals t;
    return lay_out(&t, NULL, capacity);
}

static int keys_of(const hs_piece *piece) {
    return piece->end - piece->first;
}

hs_span hs_first_span(const hs_intervals *t) {
    return (hs_span){hs_first_piece(t->kv, &t->view), 0};
}

hs_span hs_next_span(const hs_span *span, const hs_intervals *t) {
    return (hs_span){hs_next_piece(&span->piece, &t->view), hs_span_end(span)};
}

/* A product is within its radius; so is the logit, as tanh never stretches. */
static void screen_span(hs_intervals *t, const hs_span *span) {
    const hs_kv *kv = span->piece.kv;
    size_t at = (size_t)span->piece.first * (size_t)kv->head_dim / 2;
    int n = keys_of(&span->piece);
    float *logit = t->logit + span->first, *radius = t->radius + span->first;
    hs_screen(&t->query, kv->k_high + at, kv->k_scale + span->piece.first, n / 4, logit, n);
    for (int i = 0; i < n; i++) {
        int own = span->piece.first + i;
        radius[i] = hs_screen_radius(&t->query, 0, kv, own / HS_LEAF) * hs_bf16_to_f32(kv->k_scale[own]) + HS_PRODUCT_GRAIN;
    }
    if (t->p->softcap > 0) hs_softcap(logit, n, t->p->softcap);
    memset(t->refined + span->first, 0, (size_t)n);
    t->screened_keys += n;
}

static float exact_radius(const hs_intervals *t, const hs_kv *kv, int own) {
    return hs_exact_radius(&t->query, 0, kv, own / HS_LEAF) * hs_bf16_to_f32(kv->k_scale[own]) + HS_PRODUCT_GRAIN;
}

static void evaluate_span(hs_intervals *t, const hs_span *span) {
    int n = keys_of(&span->piece);
    float *logit = t->logit + span->first;
    hs_exact_logits(&t->query, span->piece.kv, span->piece.first, n, t->p, logit, n);
    for (int i = 0; i < n; i++) {
        int own = span->piece.first + i, seen = !span->piece.masked || hs_is_visible(span->piece.kv, &t->view, own);
        if (!seen) logit[i] = -INFINITY;
        t->radius[span->first + i] = seen ? exact_radius(t, span->piece.kv, own) : 0;
        t->refined[span->first + i] = 1;
    }
}

hs_intervals *hs_intervals_begin(const hs_kv *kv, const float *q, const hs_attention_params *p, void *scratch) {
    hs_intervals *t = scratch;
    hs_view view = hs_view_of(p, hs_kv_length(kv));
    t->kv = kv;
    t->view = view;
    t->p = p;
    t->slots = t->visible = t->refined_keys = t->screened_keys = 0;
    hs_queries_prepare(&t->query, q, 1, kv->head_dim, p->scale);
    t->variance = t->query.screen_variance[0];
    t->query.screen_variance[0] = 0;
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        t->slots = hs_span_end(&span);
    }
    t->visible = hs_count_visible(kv, &view);
    lay_out(t, scratch, t->slots);
    memset(t->chosen, 0, (size_t)t->slots);
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        if (span.piece.sealed)
            screen_span(t, &span);
        else
            evaluate_span(t, &span);
    }
    return t;
}

/* Evaluates those of four neighbouring keys whose bits are set. */
static void refine_four(hs_intervals *t, const hs_span *span, int i, unsigned bits) {
    float four[4];
    hs_exact_logits(&t->query, span->piece.kv, span->piece.first + i, 4, t->p, four, 4);
    for (; bits; bits &= bits - 1) {
        int j = i + __builtin_ctz(bits);
        t->logit[span->first + j] = four[j - i];
        t->radius[span->first + j] = exact_radius(t, span->piece.kv, span->piece.first + j);
        t->refined[span->first + j] = 1;
        t->refined_keys++;
    }
}

/* Refines keys whose logit plus `times` radius is `least` or more. */
static void refine(hs_intervals *t, float least, float times) {
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        for (int i = 0; span.piece.sealed && i < span.piece.end - span.piece.first; i += 4) {
            unsigned bits = 0;
            for (int j = 0; j < 4; j++) {
                int slot = span.first + i + j;
                bits |= (unsigned)(!t->refined[slot] && t->logit[slot] + times * t->radius[slot] >= least) << j;
            }
            if (bits) refine_four(t, &span, i, bits);
        }
    }
}

void hs_refine_from(hs_intervals *t, float least) {
    refine(t, least, 1);
}

void hs_refine_screened_from(hs_intervals *t, float least) {
    refine(t, least, 0);
}
