/* Thresholds on weights: which value the r-th largest has, or down to which value they sum to a share. Linear time on average. */
#ifndef HS_ATTENTION_SELECT_H
#define HS_ATTENTION_SELECT_H

/* The r-th largest of x [n], 1 <= r <= n. Reorders x; no NaN. */
float hs_nth_largest(float *x, int n, int r);

/*
 * The largest t such that the weights >= t sum to at least `mass`; 0 when all together do not, +infinity when mass <= 0.
 * Weights are >= 0. Reorders w.
 */
float hs_mass_threshold(float *w, int n, double mass);

#endif
