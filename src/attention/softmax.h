/* The running softmax that the parts of a decode step add to, the exact evaluation of ranges of keys, and what all ways count. */
#ifndef HS_ATTENTION_SOFTMAX_H
#define HS_ATTENTION_SOFTMAX_H

#include "attention/attention.h"
#include "attention/visible.h"
#include "kernels/queries.h"

#include <math.h>

enum { HS_RUN = 256 }; /* keys evaluated at a time */

/* Numerator and denominator relative to exp(peak), per query of the group. */
typedef struct {
    float peak[HS_MAX_GROUP], mass[HS_MAX_GROUP];
    float *out;            /* [group][head_dim] */
    hs_reported *reported; /* where keys that are evaluated exactly are noted, their shares as logits until hs_softmax_finish(); or NULL */
    float logits[HS_MAX_GROUP * HS_RUN];
} hs_softmax;

/* Starts a sum of nothing, over out [group][head_dim]; reported may be NULL. */
void hs_softmax_begin(hs_softmax *s, float *out, int group, int head_dim, hs_reported *reported);

/* Makes room for logits up to `higher`: rescales the mass and the output, out [head_dim], that were added under a lower peak. */
void hs_raise_peak(float higher, float *peak, float *mass, float *out, int head_dim);

/* The same for query g of a running softmax, up to `peak`. */
static inline void hs_softmax_raise(hs_softmax *s, int g, float peak, int head_dim) {
    hs_raise_peak(peak, &s->peak[g], &s->mass[g], s->out + g * head_dim, head_dim);
}

/* Adds the keys of a piece that the view sees, exactly. */
void hs_softmax_piece(hs_softmax *s, const hs_queries *q, const hs_piece *piece, const hs_view *view, const hs_attention_params *p);

/* Notes n keys of `kv`, at own_index [n], and their logits [group][stride]. */
void hs_note_reported(hs_reported *reported, const hs_kv *kv, const int *own_index, int n, int group, const float *logits, int stride);

/* Adds values: out [g] += sum over j of w[g * w_stride + j] * value(i), i = index ? index[j] : first + j. Int8 scales go into w. */
void hs_add_values(const hs_kv *kv, float *w, int w_stride, int first, const int *index, int n, int group, float *out);

/* Exact logits of own keys first..first+n-1 to out, out_stride apart; first is a multiple of 4. */
void hs_exact_logits(const hs_queries *q, const hs_kv *kv, int first, int n, const hs_attention_params *p, float *out, int out_stride);

/* Divides by the mass; zeros where there is none. */
void hs_softmax_finish(hs_softmax *s, int group, int head_dim);

/* Every key that is seen, exactly, and counted. Leaves s, which was just begun, finished. */
void hs_attend_dense(const hs_kv *kv, const hs_queries *q, const hs_view *view, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats);

/* The logit of a product <q,k> in f64. */
static inline double hs_logit_of(double product, const hs_attention_params *p) {
    double logit = (double)p->scale * product, cap = (double)p->softcap;
    return cap > 0 ? cap * tanh(logit / cap) : logit;
}

/* |x|, x [d], in f64. */
double hs_length_of(const float *x, int d);

/* Counts n queries over the values of kv. */
static inline void hs_count_queries(hs_attention_stats *stats, const hs_kv *kv, int n) {
    stats->queries += n;
    stats->value_norm = fmax(stats->value_norm, (double)kv->v_norm);
}

/* Counts the bound or estimate of the error of one query's output; relative: over the output's length, 0 where that is 0. */
static inline void hs_count_error(hs_attention_stats *stats, double error, double relative) {
    stats->error += error;
    stats->error_max = fmax(stats->error_max, error);
    stats->error_relative += relative;
}

#endif
