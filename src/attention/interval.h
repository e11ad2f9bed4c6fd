/*
 * For one query, an interval around every visible key's logit: wide after the 4-bit screen, only rounding once refined.
 * Certified and exact attention narrow the intervals of the keys that matter (certified.c).
 *
 * Keys are numbered by slots: those of the view's pieces one after the other.
 */
#ifndef HS_ATTENTION_INTERVAL_H
#define HS_ATTENTION_INTERVAL_H

#include "attention/visible.h"
#include "kernels/queries.h"

typedef struct {
    const hs_kv *kv;
    hs_view view;
    const hs_attention_params *p;
    hs_queries query; /* one query; screen_variance is 0: its screened logits are unbiased */
    float variance;   /* what screen_variance was */
    int slots, visible, refined_keys, screened_keys;
    float *logit;       /* [slots] the true one is within radius; -infinity for a key that is not seen */
    float *radius;      /* [slots] */
    float *copy;        /* [slots] for selection */
    uint8_t *refined;   /* [slots] 1: radius is rounding only */
    uint8_t *chosen;    /* [slots] 1: to be evaluated exactly (certified.c) */
    float *leaf_weight; /* [slots / HS_LEAF] of the far field (certificate.c) */
} hs_intervals;

/* Slots first.. hold the keys of a piece. */
typedef struct {
    hs_piece piece;
    int first;
} hs_span;

/* The first span of the keys that are seen, and the one after another. */
hs_span hs_first_span(const hs_intervals *t);
hs_span hs_next_span(const hs_span *span, const hs_intervals *t);

/* One more than a span's last slot, and the own index of the key in a slot of it. */
static inline int hs_span_end(const hs_span *span) {
    return span->first + span->piece.end - span->piece.first;
}
static inline int hs_span_own(const hs_span *span, int slot) {
    return span->piece.first + slot - span->first;
}

/* Scratch of hs_intervals_begin() for a cache, its parents included, of so many keys. */
size_t hs_intervals_scratch_bytes(int capacity);

/* Screens the keys in leaves and evaluates the others. q [head_dim]; scratch: hs_intervals_scratch_bytes(keys of kv). */
hs_intervals *hs_intervals_begin(const hs_kv *kv, const float *q, const hs_attention_params *p, void *scratch);

/* Refines the keys whose logit may be `least` or more. */
void hs_refine_from(hs_intervals *t, float least);

/* Refines the keys whose screened logit is `least` or more. */
void hs_refine_screened_from(hs_intervals *t, float least);

/* The ends of the interval that the logit of the key in a slot lies in. */
static inline float hs_upper(const hs_intervals *t, int slot) {
    return t->logit[slot] + t->radius[slot];
}
static inline float hs_lower(const hs_intervals *t, int slot) {
    return t->logit[slot] - t->radius[slot];
}

#endif
