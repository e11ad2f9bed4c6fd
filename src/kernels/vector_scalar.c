/* Scalar references of the kernels on f32 rows. */
#include "kernels/vector.h"

#include <math.h>

void hs_rmsnorm_scalar(const float *x, const float *weight, int n, float eps, float *y) {
    double squares = 0;
    for (int i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    float scale = (float)(1 / sqrt(squares / n + (double)eps));
    for (int i = 0; i < n; i++) y[i] = x[i] * scale * weight[i];
}

void hs_add_scalar(float *x, const float *y, int n) {
    for (int i = 0; i < n; i++) x[i] += y[i];
}

void hs_silu_mul_scalar(float *gate, const float *up, int n) {
    for (int i = 0; i < n; i++) gate[i] = (float)((double)gate[i] / (1 + exp(-(double)gate[i]))) * up[i];
}

void hs_gelu_mul_scalar(float *gate, const float *up, int n) {
    for (int i = 0; i < n; i++) {
        double x = (double)gate[i];
        gate[i] = (float)(0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)))) * up[i];
    }
}

static void turn(float *a, float *b, const float *cs) {
    float x = *a, y = *b;
    *a = x * cs[0] - y * cs[1];
    *b = x * cs[1] + y * cs[0];
}

void hs_rope_interleaved_scalar(float *head, const float *cs, int n_pairs) {
    for (int i = 0; i < n_pairs; i++) turn(head + 2 * i, head + 2 * i + 1, cs + 2 * i);
}

void hs_rope_halves_scalar(float *head, const float *cs, int n_pairs) {
    for (int i = 0; i < n_pairs; i++) turn(head + i, head + i + n_pairs, cs + 2 * i);
}

void hs_softcap_scalar(float *x, int n, float cap) {
    for (int i = 0; i < n; i++) x[i] = (float)((double)cap * tanh((double)x[i] / (double)cap));
}

float hs_max_f32_scalar(const float *x, int n) {
    float largest = x[0];
    for (int i = 1; i < n; i++) largest = fmaxf(largest, x[i]);
    return largest;
}

float hs_sum_f32_scalar(const float *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i];
    return (float)sum;
}

float hs_exp_sum_scalar(float *x, int n, float shift) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        x[i] = (float)exp((double)x[i] - (double)shift);
        sum += (double)x[i];
    }
    return (float)sum;
}

float hs_dot_f32_scalar(const float *a, const float *b, int d) {
    double sum = 0;
    for (int i = 0; i < d; i++) sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

void hs_axpy_f32_scalar(float *y, float a, const float *x, int d) {
    for (int i = 0; i < d; i++) y[i] = (float)((double)a * (double)x[i] + (double)y[i]);
}
