/* The output of the keys that were chosen, and the bound on its error that always holds; certified.c chooses them. */
#ifndef HS_ATTENTION_CERTIFICATE_H
#define HS_ATTENTION_CERTIFICATE_H

#include "attention/interval.h"
#include "attention/softmax.h"

/* Weights of a query relative to exp(peak), by what is known of them. */
typedef struct {
    float peak;     /* the largest refined logit */
    double refined; /* sum of refined keys */
    double lower;   /* of lower ends of the others */
    double upper;   /* of upper ends of the others */
} hs_known_mass;

/* What is known once no more keys are refined. */
hs_known_mass hs_mass_of(const hs_intervals *t);

/*
 * t->copy becomes logit + side * radius of the refined (or of the other) keys and -infinity elsewhere, then their weights
 * relative to exp(peak); returns the sum.
 */
double hs_weigh_ends(const hs_intervals *t, int refined, float side, float peak);

/* Output h of the chosen keys, and the bound on its error. The running softmax of query g is left unfinished. */
double hs_evaluate_chosen(hs_intervals *t, const hs_known_mass *m, hs_softmax *s, int g);

/* The part of it that rounding makes: of refined logits, of sums and exponentials in f32. `farthest`: no value is farther from h. */
double hs_rounding_error(const hs_intervals *t, const hs_known_mass *m, double farthest);

/* Chosen keys get logits from f64: only their rounding to f32 is left. q [head_dim] as the caller gave it. */
void hs_sharpen_chosen(hs_intervals *t, const float *q);

/* Dense attention of one query in f64, and its bound: what is left when rounding in f32 alone is too much. */
double hs_evaluate_in_f64(hs_intervals *t, const float *q, hs_softmax *s, int g);

#endif
