/* Portable references of the attention kernels: the plainest code that says what each one computes. */
#include "kernels/attention.h"

#include <math.h>

void hs_unpack_keys_scalar(const uint8_t *hi, const uint8_t *lo, int quads, int dim, int16_t *out)
{
    for (int quad = 0; quad < quads; quad++)
        for (int key = 0; key < HS_QUAD; key++)
            for (int j = 0; j < dim; j++) {
                int byte = (quad * (dim / 8) + j / 8) * 16 + key * 4 + j % 4;
                int shift = j % 8 < 4 ? 0 : 4;
                int x = ((hi[byte] >> shift & 15) << 4 | (lo[byte] >> shift & 15)) - 128;
                out[((quad * (dim / 4) + j / 4) * 4 + key) * 4 + j % 4] = (int16_t)x;
            }
}

void hs_pair_values_scalar(const int8_t *v, int keys, int dim, int16_t *out)
{
    for (int key = 0; key < keys; key++)
        for (int j = 0; j < dim; j++)
            out[(key / 2 * dim + j) * 2 + key % 2] = v[key * dim + j];
}

void hs_scores_i16_scalar(const int16_t *q, const float *q_scale, int rows, const int16_t *k, const float *k_scale, int quads,
                          int dim, float *out, int out_stride)
{
    for (int r = 0; r < rows; r++)
        for (int key = 0; key < quads * HS_QUAD; key++) {
            int32_t sum = 0;
            for (int j = 0; j < dim; j++)
                sum += q[r * dim + j] * k[((key / 4 * (dim / 4) + j / 4) * 4 + key % 4) * 4 + j % 4];
            out[r * out_stride + key] = (float)sum * (q_scale[r] * k_scale[key]);
        }
}

void hs_scores_f32_scalar(const float *q, int rows, const float *k, int quads, int dim, float *out, int out_stride)
{
    for (int r = 0; r < rows; r++)
        for (int key = 0; key < quads * HS_QUAD; key++) {
            float sum = 0;
            for (int j = 0; j < dim; j++)
                sum += q[r * dim + j] * k[(key / 4 * dim + j) * 4 + key % 4];
            out[r * out_stride + key] = sum;
        }
}

float hs_row_max_scalar(const float *x, int n)
{
    float max = HS_MASKED;
    for (int i = 0; i < n; i++)
        if (x[i] > max)
            max = x[i];
    return max;
}

float hs_exp_row_scalar(float *x, int n, float shift)
{
    float sum = 0;
    for (int i = 0; i < n; i++) {
        float y = x[i] - shift;
        x[i] = y < -87.0f ? 0 : expf(y);
        sum += x[i];
    }
    return sum;
}

void hs_softcap_row_scalar(float *x, int n, float cap)
{
    for (int i = 0; i < n; i++)
        if (x[i] > HS_MASKED)
            x[i] = cap * tanhf(x[i] / cap);
}

float hs_weigh_row_scalar(const float *w, const float *v_scale, int n, int16_t *out)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        if (w[i] * v_scale[i] > max)
            max = w[i] * v_scale[i];
    float inverse = max > 0 ? 32767.0f / max : 0;
    for (int i = 0; i < n; i++)
        out[i] = (int16_t)(w[i] * v_scale[i] * inverse + 0.5f);
    return max / 32767.0f;
}

void hs_values_i16_scalar(const int16_t *w, int w_stride, const float *w_scale, int rows, const int16_t *v, int pairs, int dim,
                          float *acc)
{
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < dim; j++) {
            int32_t sum = 0;
            for (int key = 0; key < 2 * pairs; key++)
                sum += w[r * w_stride + key] * v[(key / 2 * dim + j) * 2 + key % 2];
            acc[r * dim + j] += w_scale[r] * (float)sum;
        }
}

void hs_values_f32_scalar(const float *w, int w_stride, int rows, const float *v, int keys, int dim, float *acc)
{
    for (int r = 0; r < rows; r++)
        for (int key = 0; key < keys; key++)
            for (int j = 0; j < dim; j++)
                acc[r * dim + j] += w[r * w_stride + key] * v[key * dim + j];
}

void hs_scale_row_scalar(float *x, int n, float factor)
{
    for (int i = 0; i < n; i++)
        x[i] *= factor;
}
