/* Scalar references of the attention kernels. */
#include "kernels/attention.h"

#include "base/f16.h"
#include "kernels/even_odd.h"
#include "kernels/planes.h"
#include "kernels/vector.h"

#include <math.h>

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
