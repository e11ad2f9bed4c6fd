#include "hsr/tree.h"

#include "base/hs.h"
#include "hsr/select.h"
#include "kernels/vector.h"
#include "kv/kv.h"

#include <math.h>
#include <string.h>

enum { POWER_STEPS = 4 };

typedef struct {
    const float *keys;
    int d;
    float *projection; /* [n] of the keys in `order` */
} tree;

size_t hs_tree_scratch_bytes(int n) {
    return hs_align_up((size_t)n * sizeof(float));
}

static const float *row(const tree *t, int key) {
    return t->keys + (size_t)key * (size_t)t->d;
}

/* projection[j] = <key_j - mean, direction> */
static void project(const tree *t, const int *order, int n, const float *mean, const float *direction) {
    float shift = hs_dot_f32(mean, direction, t->d);
    for (int j = 0; j < n; j++) t->projection[j] = hs_dot_f32(row(t, order[j]), direction, t->d) - shift;
}

/* The leading principal direction by power iteration on the covariance, started from the key farthest from the mean. */
static void principal_direction(const tree *t, const int *order, int n, float *mean, float *direction) {
    int d = t->d, farthest = order[0];
    float best = -1;
    memset(mean, 0, (size_t)d * sizeof(float));
    for (int j = 0; j < n; j++) hs_axpy_f32(mean, 1 / (float)n, row(t, order[j]), d);
    for (int j = 0; j < n; j++) {
        const float *k = row(t, order[j]);
        float distance = hs_dot_f32(k, k, d) - 2 * hs_dot_f32(k, mean, d);
        if (distance > best || j == 0) {
            best = distance;
            farthest = order[j];
        }
    }
    for (int i = 0; i < d; i++) direction[i] = row(t, farthest)[i] - mean[i];
    for (int step = 0; step < POWER_STEPS; step++) {
        project(t, order, n, mean, direction);
        float next[HS_MAX_HEAD_DIM] = {0};
        float sum = 0;
        for (int j = 0; j < n; j++) {
            hs_axpy_f32(next, t->projection[j], row(t, order[j]), d);
            sum += t->projection[j];
        }
        hs_axpy_f32(next, -sum, mean, d);
        float norm = sqrtf(hs_dot_f32(next, next, d));
        if (!(norm > 0)) return; /* identical keys: any direction halves them */
        for (int i = 0; i < d; i++) direction[i] = next[i] / norm;
    }
    project(t, order, n, mean, direction);
}

static void split(tree *t, int *order, int n) {
    if (n <= HS_LEAF) return;
    float mean[HS_MAX_HEAD_DIM], direction[HS_MAX_HEAD_DIM];
    principal_direction(t, order, n, mean, direction);
    hs_select_smallest(t->projection, order, n, n / 2);
    split(t, order, n / 2);
    split(t, order + n / 2, n / 2);
}

void hs_tree_order(const float *keys, int head_dim, int n, int *order, void *scratch) {
    tree t = {keys, head_dim, scratch};
    for (int j = 0; j < n; j++) order[j] = j;
    split(&t, order, n);
}
