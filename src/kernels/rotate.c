#include "kernels/rotate.h"

#include <math.h>
#include <stdint.h>

/* Sign of a dim: a bit of a hash, so that no regular pattern in a key meets a regular pattern in H. */
static float sign_of(int dim) {
    return ((uint32_t)(dim + 1) * 2654435761u) >> 31 ? -1.0f : 1.0f;
}

/* Walsh-Hadamard butterflies on runs of `run` floats, normalised. */
static void hadamard(float *x, int head_dim, int run) {
    for (int half = 1; half < run; half *= 2) {
        for (int start = 0; start < head_dim; start += 2 * half) {
            for (int i = start; i < start + half; i++) {
                float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
        }
    }
    float norm = 1 / sqrtf((float)run);
    for (int i = 0; i < head_dim; i++) x[i] *= norm;
}

void hs_rotate(const float *x, int head_dim, float *out) {
    for (int i = 0; i < head_dim; i++) out[i] = x[i] * sign_of(i);
    hadamard(out, head_dim, head_dim & -head_dim);
}

void hs_unrotate(float *x, int head_dim) {
    hadamard(x, head_dim, head_dim & -head_dim);
    for (int i = 0; i < head_dim; i++) x[i] *= sign_of(i);
}
