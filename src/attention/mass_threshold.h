/* Down to which weight keys hold a share of the mass. */
#ifndef HS_ATTENTION_MASS_THRESHOLD_H
#define HS_ATTENTION_MASS_THRESHOLD_H

/*
 * w [n]. The largest t such that the weights >= t sum to at least `mass`; 0 when all together do not, +infinity when mass <= 0.
 * Weights are >= 0. Reorders w; linear time on average.
 */
float hs_mass_threshold(float *w, int n, double mass);

#endif
