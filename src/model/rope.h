/* Rotary angles for every position: RoFormer (arXiv 2104.09864), linear scaling, NTK-aware theta, YaRN (arXiv 2309.00071). */
#ifndef HS_MODEL_ROPE_H
#define HS_MODEL_ROPE_H

#include "model/config.h"

/* What turns a position into angles; one for global layers and one for sliding layers. */
typedef struct {
    int n_pairs;         /* rope_dim / 2 */
    double *frequencies; /* [n_pairs] radians per position, scaling included */
    float magnitude;     /* factor of cosine and sine (YaRN's attention temperature), 1 otherwise */
} hs_rope;

/*
 * Fills `rope`, whose frequencies has room for rope_dim / 2. `factors` [rope_dim / 2] divides the frequencies
 * (the rope_freqs tensor of Llama 3.x), or is NULL. A sliding layer uses rope_theta_local and no scaling.
 */
void hs_rope_init(hs_rope *rope, const hs_config *c, const float *factors, int sliding);

/* cs [2 * n_pairs]: cosine and sine of every pair at `position`. */
void hs_rope_angles(const hs_rope *rope, int position, float *cs);

#endif
