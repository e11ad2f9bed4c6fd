#include "model/rope.h"

#include <math.h>

static const double TWO_PI = 6.28318530717958647693;

/* The pair index whose wavelength makes `turns` full turns over the original context (YaRN, section 3.2). */
static double correction_pair(const hs_config *c, double turns) {
    return c->rope_dim * log(c->rope_orig_ctx / (turns * TWO_PI)) / (2 * log((double)c->rope_theta));
}

/* Share of extrapolation (unscaled frequency) for pair i: 1 for fast pairs, 0 for slow ones, a ramp between. */
static double yarn_ramp(const hs_config *c, int i) {
    double low = fmax(0, floor(correction_pair(c, (double)c->yarn_beta_fast)));
    double high = fmin(c->rope_dim - 1, ceil(correction_pair(c, (double)c->yarn_beta_slow)));
    double y = (i - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, y));
}

void hs_rope_init(hs_rope *rope, const hs_config *c, const float *factors, int sliding) {
    int scaling = sliding ? HS_ROPE_SCALE_NONE : c->rope_scaling;
    double theta = sliding && c->rope_theta_local > 0 ? (double)c->rope_theta_local : (double)c->rope_theta;
    double factor = scaling == HS_ROPE_SCALE_NONE ? 1 : (double)c->rope_factor;
    if (scaling == HS_ROPE_SCALE_NTK) {
        theta *= pow(factor, (double)c->rope_dim / (c->rope_dim - 2));
        factor = 1;
    }
    rope->n_pairs = c->rope_dim / 2;
    rope->magnitude = 1;
    int yarn = scaling == HS_ROPE_SCALE_YARN && c->yarn_ext_factor != 0;
    if (scaling == HS_ROPE_SCALE_YARN) rope->magnitude = c->yarn_attn_factor;
    if (yarn) rope->magnitude *= (float)(1 + 0.1 * log(factor));
    for (int i = 0; i < rope->n_pairs; i++) {
        double full = pow(theta, -2.0 * i / c->rope_dim) / (factors && !sliding ? (double)factors[i] : 1);
        double mix = yarn ? yarn_ramp(c, i) * (double)c->yarn_ext_factor : 0;
        rope->frequencies[i] = full / factor * (1 - mix) + full * mix;
    }
}

void hs_rope_angles(const hs_rope *rope, int position, float *cs) {
    for (int i = 0; i < rope->n_pairs; i++) {
        double angle = position * rope->frequencies[i];
        cs[2 * i] = (float)cos(angle) * rope->magnitude;
        cs[2 * i + 1] = (float)sin(angle) * rope->magnitude;
    }
}
