/* Scalar references of the attention kernels, and the preparation of queries. */
#include "kernels/attention.h"

#include "base/f16.h"
#include "kernels/even_odd.h"
#include "kernels/planes.h"
#include "kernels/rotate.h"

#include <math.h>

/* A query below the normal floats is rounded to a fixed grid instead of relatively. */
#define GRAIN 1e-38

/*
 * What rounding the query may cost, per unit of key. The slack of 4e-6 is for the f32 arithmetic of rotation, scales and sums
 * (some 60 roundings of 2^-24), and d * 2^-23 for a sum of d products in f32.
 */
static void bound_errors(hs_queries *q, int g, const float *rotated, float narrow_scale) {
    double squares = 0, wide = 0, narrow = 0;
    for (int i = 0; i < q->head_dim; i++) {
        double x = (double)rotated[i], w = x - (double)q->wide_scale[g] * q->wide[g][hs_even_odd_place(i)], n = x - (double)narrow_scale * q->narrow[g][i];
        squares += x * x;
        wide += w * w;
        narrow += n * n;
    }
    double norm = sqrt(squares) * (1 + 4e-6) + GRAIN;
    q->norm[g] = (float)norm;
    q->screen_error[g] = (float)(sqrt(narrow) + 4e-6 * norm + GRAIN);
    q->q8_error[g] = (float)(sqrt(wide) + 4e-6 * norm + GRAIN);
    q->f32_error[g] = (float)(norm * (4e-6 + q->head_dim * 0x1p-23));
}

void hs_queries_prepare(hs_queries *q, const float *rows, int group, int head_dim, float scale) {
    q->group = group;
    q->head_dim = head_dim;
    for (int g = 0; g < group; g++, rows += head_dim) {
        float rotated[HS_MAX_HEAD_DIM], largest = 0, squares = 0;
        for (int i = 0; i < head_dim; i++) q->rows[g][i] = rows[i] * scale;
        hs_rotate(q->rows[g], head_dim, rotated);
        for (int i = 0; i < head_dim; i++) {
            largest = fmaxf(largest, fabsf(rotated[i]));
            squares += rotated[i] * rotated[i];
        }
        if (largest < 1e-30f) largest = 0; /* below, factors and scales leave the normal floats */
        float wide = largest > 0 ? 32767 / largest : 0, narrow = largest > 0 ? 127 / largest : 0;
        int32_t wide_sum = 0, narrow_sum = 0;
        for (int i = 0; i < head_dim; i++) {
            int w = (int)rintf(rotated[i] * wide), n = (int)rintf(rotated[i] * narrow);
            q->wide[g][hs_even_odd_place(i)] = (int16_t)w;
            q->narrow[g][i] = (int8_t)n;
            q->narrow_wide[g][hs_even_odd_place(i)] = (int16_t)n;
            wide_sum += w;
            narrow_sum += n;
        }
        q->wide_scale[g] = largest / 32767;
        q->wide_offset[g] = -128 * wide_sum;
        q->screen_scale[g] = 16 * largest / 127;
        q->screen_offset[g] = largest / 127 * (float)narrow_sum * (7.5f - 128);
        q->screen_variance[g] = 0.5f * squares * (16 * 16 - 1) / 12; /* a low nibble is uniform on 0..15 */
        bound_errors(q, g, rotated, largest / 127);
    }
}

void hs_logits_q8_scalar(const hs_queries *q, const uint8_t *high, const uint8_t *low, const uint16_t *k_scale, int n_groups, float *out, int out_stride) {
    for (int g = 0; g < q->group; g++) {
        for (int i = 0; i < 4 * n_groups; i++) {
            double sum = 0;
            for (int dim = 0; dim < q->head_dim; dim++) {
                int key = (hs_plane_nibble(high, q->head_dim, i, dim) << 4 | hs_plane_nibble(low, q->head_dim, i, dim)) - 128;
                sum += (double)q->wide[g][hs_even_odd_place(dim)] * key;
            }
            out[g * out_stride + i] = (float)(sum * (double)q->wide_scale[g]) * hs_bf16_to_f32(k_scale[i]);
        }
    }
}

void hs_screen_scalar(const hs_queries *q, const uint8_t *high, const uint16_t *k_scale, int n_groups, float *out, int out_stride) {
    for (int g = 0; g < q->group; g++) {
        for (int i = 0; i < 4 * n_groups; i++) {
            int sum = 0;
            for (int dim = 0; dim < q->head_dim; dim++) sum += q->narrow[g][dim] * hs_plane_nibble(high, q->head_dim, i, dim);
            float scale = hs_bf16_to_f32(k_scale[i]), logit = ((float)sum * q->screen_scale[g] + q->screen_offset[g]) * scale;
            out[g * out_stride + i] = logit - fminf(q->screen_variance[g] * (scale * scale), 0.5f);
        }
    }
}

void hs_logits_rows_i8_scalar(const hs_queries *q, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride) {
    for (int g = 0; g < q->group; g++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int i = 0; i < q->head_dim; i++) sum += (double)q->rows[g][i] * rows[j * q->head_dim + i];
            out[g * out_stride + j] = (float)sum * hs_bf16_to_f32(scale[j]);
        }
    }
}

void hs_widen(hs_wide_rows *w, int g, const float *row, int head_dim) {
    float largest = 0;
    for (int i = 0; i < head_dim; i++) largest = fmaxf(largest, fabsf(row[i]));
    float inverse = largest > 1e-30f ? 32767 / largest : 0;
    for (int i = 0; i < head_dim; i++) w->wide[g][i] = (int16_t)rintf(row[i] * inverse);
    w->scale[g] = largest / 32767;
    w->head_dim = head_dim;
}

void hs_wide_products_scalar(const hs_wide_rows *w, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride) {
    for (int g = 0; g < w->group; g++) {
        for (int j = 0; j < n; j++) {
            int sum = 0;
            for (int i = 0; i < w->head_dim; i++) sum += w->wide[g][i] * rows[j * w->head_dim + i];
            out[g * out_stride + j] = (float)sum * w->scale[g] * hs_bf16_to_f32(scale[j]);
        }
    }
}

void hs_logits_rows_f32_scalar(const hs_queries *q, const float *rows, int n, float *out, int out_stride) {
    for (int g = 0; g < q->group; g++) {
        for (int j = 0; j < n; j++) out[g * out_stride + j] = hs_dot_f32_scalar(q->rows[g], rows + j * q->head_dim, q->head_dim);
    }
}

void hs_accumulate_i8_scalar(float *w, int w_stride, const int8_t *rows, const uint16_t *scale, const int *index, int n, int group, int head_dim, float *out) {
    for (int g = 0; g < group; g++) {
        for (int j = 0; j < n; j++) {
            int i = index ? index[j] : j;
            float weight = w[g * w_stride + j] *= hs_bf16_to_f32(scale[i]);
            for (int dim = 0; dim < head_dim; dim++) out[g * head_dim + dim] += weight * (float)rows[(int64_t)i * head_dim + dim];
        }
    }
}

void hs_accumulate_f32_scalar(const float *w, int w_stride, const float *rows, const int *index, int n, int group, int head_dim, float *out) {
    for (int g = 0; g < group; g++) {
        for (int j = 0; j < n; j++) {
            int64_t at = (int64_t)(index ? index[j] : j) * head_dim;
            for (int dim = 0; dim < head_dim; dim++) out[g * head_dim + dim] += w[g * w_stride + j] * rows[at + dim];
        }
    }
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

unsigned hs_at_least_16_scalar(const float *x, float least) {
    unsigned bits = 0;
    for (int i = 0; i < 16; i++) bits |= (unsigned)(x[i] >= least) << i;
    return bits;
}

unsigned hs_sort_leaf_scalar(const float *w, int stride, int group, unsigned forced, const float *most, const float *least, float *unhit, float *rest) {
    unsigned hits = forced, middling = 0;
    for (int g = 0; g < group; g++) {
        hits |= hs_at_least_16_scalar(w + g * stride, most[g]);
        middling |= hs_at_least_16_scalar(w + g * stride, least[g]);
    }
    middling &= ~hits;
    for (int g = 0; g < group; g++) {
        double sums[2] = {0, 0};
        for (int i = 0; i < 16; i++) {
            sums[0] += hits >> i & 1 ? 0 : (double)w[g * stride + i];
            sums[1] += (hits | middling) >> i & 1 ? 0 : (double)w[g * stride + i];
        }
        unhit[g] = (float)sums[0];
        rest[g] = (float)sums[1];
    }
    return hits | middling << 16;
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

void hs_gemm_f32_scalar(const float *a, int lda, const int *a_row, const float *b, int ldb, float *c, int ldc, const int *c_row, int m, int n, int k) {
    for (int i = 0; i < m; i++) {
        const float *from = a + (int64_t)(a_row ? a_row[i] : i) * lda;
        float *to = c + (int64_t)(c_row ? c_row[i] : i) * ldc;
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++) sum += (double)from[l] * (double)b[(int64_t)l * ldb + j];
            to[j] += (float)sum;
        }
    }
}
