/* The running softmax that the parts of a decode step add to, and the exact evaluation of ranges of keys. */
#ifndef HS_ATTENTION_SOFTMAX_H
#define HS_ATTENTION_SOFTMAX_H

#include "attention/attention.h"
#include "kernels/attention.h"

enum { HS_RUN = 256 }; /* keys evaluated at a time */

/* Numerator and denominator relative to exp(peak), per query of the group. */
typedef struct {
    float peak[HS_MAX_GROUP], mass[HS_MAX_GROUP];
    float *out; /* [group][head_dim] */
    float logits[HS_MAX_GROUP * HS_RUN];
} hs_softmax;

void hs_softmax_begin(hs_softmax *s, float *out, int group, int head_dim);

/* Makes room for logits up to `higher`: rescales the mass and the output [head_dim] that were added under a lower peak. */
void hs_raise_peak(float higher, float *peak, float *mass, float *out, int head_dim);

/* The same for query g of a running softmax. */
static inline void hs_softmax_raise(hs_softmax *s, int g, float peak, int head_dim) {
    hs_raise_peak(peak, &s->peak[g], &s->mass[g], s->out + g * head_dim, head_dim);
}

/* Adds own keys first..end-1 of one cache (not its parents'), exactly. */
void hs_softmax_keys(hs_softmax *s, const hs_queries *q, const hs_kv *kv, int first, int end, const hs_attention_params *p);

/* Exact logits of own keys first..first+n-1 to out, out_stride apart; first is a multiple of 4. */
void hs_exact_logits(const hs_queries *q, const hs_kv *kv, int first, int n, const hs_attention_params *p, float *out, int out_stride);

/* Divides by the mass. */
void hs_softmax_finish(hs_softmax *s, int group, int head_dim);

/* The hsr form of hs_attend_decode(), for contexts long enough to have sealed leaves. */
void hs_attend_hsr(const hs_kv *kv, const hs_queries *q, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, void *scratch);
size_t hs_attend_hsr_scratch_bytes(int group, int capacity);

/* Scratch of hs_attend_block(). */
size_t hs_attend_block_scratch_bytes(int head_dim, int group, int max_block);

#endif
