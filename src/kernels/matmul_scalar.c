/* Scalar references of the matrix products, and of quantising what they take. */
#include "kernels/even_odd.h"
#include "kernels/matmul.h"

#include <math.h>

void hs_act_quantize_scalar(const float *x, int first, int n, const hs_act *a) {
    for (int b = 0; b < a->n_blocks; b++) {
        for (int t = first; t < first + n; t++) {
            const float *block = x + ((size_t)t * (size_t)a->n_blocks + (size_t)b) * HS_BLOCK;
            int16_t *out = a->q + ((size_t)b * (size_t)a->n_tokens + (size_t)t) * HS_BLOCK;
            int8_t *split = hs_act_split(a, b, t);
            float largest = 0;
            for (int k = 0; k < HS_BLOCK; k++) largest = fmaxf(largest, fabsf(block[k]));
            float inverse = largest > HS_ACT_LEAST ? HS_ACT_MOST / largest : 0;
            int sums[2] = {0, 0};
            for (int k = 0; k < HS_BLOCK; k++) {
                int q = (int)rintf(block[k] * inverse);
                sums[k / 16] += q;
                out[hs_even_odd_place(k)] = (int16_t)q;
                int low = ((q + 128) & 255) - 128, at = k / 4 * 4 * a->lanes + k % 4;
                split[at] = (int8_t)((q - low) / 256);
                split[at + HS_BLOCK * a->lanes] = (int8_t)low;
            }
            float *numbers = hs_act_numbers(a, b, t);
            numbers[HS_ACT_SCALE * a->lanes] = largest / HS_ACT_MOST * 0x1p112f;
            numbers[HS_ACT_SUM * a->lanes] = (float)(sums[0] + sums[1]);
            numbers[HS_ACT_SUM_FIRST * a->lanes] = (float)sums[0];
            numbers[HS_ACT_SUM_SECOND * a->lanes] = (float)sums[1];
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
                total += block * (double)(*hs_act_numbers(x, b, t) * 0x1p-112f);
            }
            y[(size_t)t * (size_t)y_stride + (size_t)r] = (float)(total * (double)w->row_scale[group * 4 + r]);
        }
    }
}

void hs_matmul_float_row_scalar(const hs_tensor *w, int row, const float *x, int n_tokens, float *y, int y_stride) {
    for (int t = 0; t < n_tokens; t++) {
        double total = 0;
        for (int k0 = 0; k0 < w->cols; k0++) {
            hs_tensor one = *w;
            one.cols = 1;
            float weight;
            hs_tensor_row(&one, row * w->cols + k0, &weight);
            total += (double)weight * (double)x[(size_t)t * (size_t)w->cols + (size_t)k0];
        }
        y[(size_t)t * (size_t)y_stride] = (float)total;
    }
}
