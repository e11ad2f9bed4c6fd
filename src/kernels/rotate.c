#include "kernels/rotate.h"

#include <math.h>
#include <stdint.h>

/* Sign of a dim: a bit of a hash, so that no regular pattern in a key meets a regular pattern in H. */
static float sign_of(int dim) {
    return ((uint32_t)(dim + 1) * 2654435761u) >> 31 ? -1.0f : 1.0f;
}

/* Walsh-Hadamard butterflies on runs of `run` dims, normalised; x [head_dim][lanes]. */
static void hadamard(float *x, int head_dim, int run, int lanes) {
    int n = head_dim * lanes;
    for (int half = lanes; half < run * lanes; half *= 2) {
        for (int start = 0; start < n; start += 2 * half) {
            for (int i = start; i < start + half; i++) {
                float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
        }
    }
    float norm = 1 / sqrtf((float)run);
    for (int i = 0; i < n; i++) x[i] *= norm;
}

void hs_rotate(const float *x, int head_dim, float *out) {
    for (int i = 0; i < head_dim; i++) out[i] = x[i] * sign_of(i);
    hadamard(out, head_dim, head_dim & -head_dim, 1);
}

void hs_unrotate_lanes(float *x, int head_dim, int lanes) {
    hadamard(x, head_dim, head_dim & -head_dim, lanes);
    for (int i = 0; i < head_dim; i++) {
        for (int lane = 0; lane < lanes; lane++) x[i * lanes + lane] *= sign_of(i);
    }
}

void hs_unrotate(float *x, int head_dim) {
    hs_unrotate_lanes(x, head_dim, 1);
}
