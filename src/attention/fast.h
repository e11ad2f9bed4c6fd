/* The state of one fast hsr step, shared by its stages: leaves.c weighs and opens leaves, report.c sorts and adds their keys. */
#ifndef HS_ATTENTION_FAST_H
#define HS_ATTENTION_FAST_H

#include "attention/softmax.h"

/* Keys that are to add their own values. */
typedef struct {
    int n, key[HS_RUN];                  /* own indices */
    float covered[HS_MAX_GROUP][HS_RUN]; /* weight that the leaf's mean value will give to their values */
    float weight[HS_MAX_GROUP][HS_RUN];  /* estimated weight */
} hs_waiting;

typedef struct {
    hs_wide_rows queries;    /* for centroids */
    hs_wide_rows squares;    /* of the queries: <squares, variance> is the variance of <q,k> */
    float *mass, *deviation; /* [group][stride] log of a leaf's estimated mass, later the far-field weight; deviation of its logits */
    float *screened;         /* [group][stride * HS_LEAF] logits, then weights, of opened leaves by slot */
    float *copy;             /* [stride * HS_LEAF] */
    int *slot;               /* [stride] */
    hs_waiting reported, valued;
    float peak[HS_MAX_GROUP];        /* logs and weights of the step are relative to exp(peak) */
    float total[HS_MAX_GROUP];       /* estimated mass of all keys */
    float theta[HS_MAX_GROUP];       /* weight from which a key is reported */
    float value_theta[HS_MAX_GROUP]; /* weight from which it gives its own value */
    float far_mass[HS_MAX_GROUP];    /* estimated weight of keys of opened leaves that are not evaluated exactly */
    double error[HS_MAX_GROUP];      /* estimated square of the error of the output's numerator */
    int exact;                       /* keys outside of leaves: all evaluated exactly */
    int leaves, stride, opened;      /* all leaves; the same rounded up to 4; leaves screened so far */
} hs_fast;

/* Log of the number of keys in a leaf. */
#define HS_LN_LEAF 2.7725887f

/*
 * What the spread of <q,k> inside a leaf adds to the log of its mass: half the variance, the square of `deviation`, for normal logits. The largest of
 * 16 lies 1.77 deviations above their mean on average: an estimate from a wide leaf stops there. Nothing at first order (far_field: hs_far_field).
 * (Comparisons instead of fminf(): those the compiler vectorises.)
 */
static inline float hs_leaf_spread(float deviation, int far_field) {
    float half = 0.5f * deviation;
    half = half < 1.77f ? half : 1.77f;
    return far_field == HS_FAR_FIRST ? 0 : deviation * half;
}

/*
 * The log of the mass that a leaf may hold: its estimate raised by 0.7 deviations, or what a lone key holds that makes all of
 * the spread; it then lies sqrt(15) deviations above the mean of the 16. A leaf stays closed if this is below the threshold.
 * mass: the log of the estimate; deviation, far_field as above.
 */
static inline float hs_leaf_reach(float mass, float deviation, int far_field) {
    float usual = mass + 0.7f * deviation, lone = mass - HS_LN_LEAF - hs_leaf_spread(deviation, far_field) + 3.873f * deviation;
    return usual > lone ? usual : lone;
}

/*
 * mass [n]: centroid logits, deviation [n]: variances of the leaves' logits; they become the log of a leaf's estimated mass,
 * count * exp(centroid logit + variance / 2), and the deviation. n is a multiple of 4, or has room up to the next with a softcap.
 */
void hs_estimate_leaves(float *mass, float *deviation, int n, const hs_attention_params *p);

/* Of leaves first..first+n-1, those with a lone key (kv/kv.h) get a deviation at which they are always opened. */
void hs_open_lone_leaves(const hs_kv *kv, int first, int n, float *deviation);

/*
 * Estimated square of the error that n closed leaves make in the output's numerator: a leaf of 16 keys whose logits deviate
 * by sigma, weighed by its mean, is off by about mass * sigma / sqrt(16) times the deviation of its values, which is about
 * 0.7 of their radius. mass, deviation, value_radius [n].
 */
static inline float hs_closed_error(const float *mass, const float *deviation, const float *value_radius, int n) {
    float error = 0;
    for (int j = 0; j < n; j++) {
        float off = mass[j] * deviation[j] * value_radius[j] * (0.7f / 4);
        error += off * off;
    }
    return error;
}

/* Neighbouring leaves of one cache. */
typedef struct {
    const hs_kv *kv;
    int first, n;
    float *mass, *deviation; /* [group][stride] */
    int *slot;               /* [n] place among the opened leaves, or -1 for a closed leaf */
} hs_leaves;

/* The sealed pieces of the view by runs that follow one another; kv is NULL after the last ones. */
hs_leaves hs_first_leaves(const hs_kv *kv, const hs_view *view, const hs_fast *t);
hs_leaves hs_next_leaves(const hs_leaves *l, const hs_view *view, const hs_fast *t);

/* Estimates the mass of every leaf. */
void hs_weigh_leaves(const hs_queries *q, const hs_leaves *l, const hs_attention_params *p, hs_fast *t);

/*
 * Gives the leaves to open for any query of the group, by p's rule, their slots, and returns their number; masses become
 * weights relative to exp(t->peak).
 */
int hs_choose_leaves(const hs_queries *q, const hs_attention_params *p, const hs_softmax *s, hs_fast *t);

/* Screens the chosen ones. */
void hs_screen_leaves(const hs_queries *q, const hs_leaves *l, const hs_attention_params *p, hs_fast *t);

/* Sorts the keys of opened leaves into reported, valued and left ones, and adds the first two. */
void hs_report_leaves(const hs_queries *q, const hs_leaves *l, const hs_attention_params *p, hs_softmax *s, hs_fast *t, hs_attention_stats *stats);

/* Gives the leaves' mean values their weights; the mass of closed leaves joins the softmax mass. */
void hs_add_far_field(const hs_queries *q, const hs_leaves *l, hs_softmax *s, hs_fast *t);

#endif
