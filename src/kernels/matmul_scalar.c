/* Scalar references of the matrix products, and the activation layout shared with the SIMD forms. */
#include "base/hs.h"
#include "kernels/even_odd.h"
#include "kernels/matmul.h"

#include <math.h>

size_t hs_act_bytes(int cols, int n_tokens) {
    return (size_t)(cols / HS_BLOCK) * (size_t)n_tokens * (HS_BLOCK * sizeof(int16_t) + 2 * HS_BLOCK + sizeof(hs_act_meta));
}

void hs_act_bind(hs_act *a, void *buffer, int cols, int n_tokens) {
    a->n_blocks = cols / HS_BLOCK;
    a->n_tokens = n_tokens;
    a->meta = buffer;
    a->q = (int16_t *)(void *)(a->meta + (size_t)a->n_blocks * (size_t)n_tokens);
    a->split = (int8_t *)(a->q + (size_t)a->n_blocks * (size_t)n_tokens * HS_BLOCK);
}

int hs_act_value(const hs_act *a, int block, int token, int k) {
    return a->q[((size_t)block * (size_t)a->n_tokens + (size_t)token) * HS_BLOCK + (size_t)hs_even_odd_place(k)];
}

void hs_act_quantize_scalar(const float *x, int x_stride, int first, int n, const hs_act *a) {
    for (int b = 0; b < a->n_blocks; b++) {
        for (int t = first; t < first + n; t++) {
            const float *block = x + (size_t)t * (size_t)x_stride + (size_t)b * HS_BLOCK;
            size_t at = (size_t)b * (size_t)a->n_tokens + (size_t)t;
            float largest = 0;
            for (int k = 0; k < HS_BLOCK; k++) largest = fmaxf(largest, fabsf(block[k]));
            float inverse = largest > 0 ? HS_ACT_MOST / largest : 0;
            int sums[2] = {0, 0};
            for (int k = 0; k < HS_BLOCK; k++) {
                int q = (int)rintf(block[k] * inverse);
                sums[k / 16] += q;
                a->q[at * HS_BLOCK + (size_t)hs_even_odd_place(k)] = (int16_t)q;
                int low = ((q + 128) & 255) - 128;
                a->split[at * 2 * HS_BLOCK + (size_t)k] = (int8_t)((q - low) / 256);
                a->split[at * 2 * HS_BLOCK + HS_BLOCK + (size_t)k] = (int8_t)low;
            }
            a->meta[at] = (hs_act_meta){largest / HS_ACT_MOST * 0x1p112f, (float)(sums[0] + sums[1]), {(float)sums[0], (float)sums[1]}};
        }
    }
}

void hs_matmul_tile_scalar(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride) {
    int tile_bytes = hs_pack_tile_bytes(w->pack);
    const uint8_t *tiles = w->data + (size_t)group * (size_t)x->n_blocks * (size_t)tile_bytes;
    for (int t = 0; t < x->n_tokens; t++) {
        for (int r = 0; r < 4; r++) {
            double total = 0;
            for (int b = 0; b < x->n_blocks; b++) {
                const uint8_t *tile = tiles + (size_t)b * (size_t)tile_bytes;
                double block = 0;
                for (int k = 0; k < HS_BLOCK; k++) {
                    float m, d = hs_tile_scale(w->pack, tile, r, k, &m);
                    block += ((double)d * hs_tile_value(w->pack, tile, r, k) + (double)m) * hs_act_value(x, b, t, k);
                }
                total += block * (double)(x->meta[(size_t)b * (size_t)x->n_tokens + (size_t)t].scale * 0x1p-112f);
            }
            y[(size_t)t * (size_t)y_stride + (size_t)r] = (float)(total * (double)w->row_scale[group * 4 + r]);
        }
    }
}

void hs_matmul_float_row_scalar(const hs_tensor *w, int row, const float *x, int x_stride, int n_tokens, float *y, int y_stride) {
    for (int t = 0; t < n_tokens; t++) {
        double total = 0;
        for (int k0 = 0; k0 < w->cols; k0++) {
            hs_tensor one = *w;
            one.cols = 1;
            float weight;
            hs_tensor_row(&one, row * w->cols + k0, &weight);
            total += (double)weight * (double)x[(size_t)t * (size_t)x_stride + (size_t)k0];
        }
        y[(size_t)t * (size_t)y_stride] = (float)total;
    }
}
