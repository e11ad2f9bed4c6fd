/* Scalar references of unpacking. */
#include "base/f16.h"
#include "kernels/planes.h"
#include "kernels/unpack.h"

void hs_unpack_rows_scalar(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out) {
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < head_dim; i++) out[j * head_dim + i] = hs_bf16_to_f32(scale[j]) * (float)rows[j * head_dim + i];
    }
}

void hs_transpose_rows_scalar(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out, int stride) {
    for (int j = 0; j < ((n + 3) & ~3); j++) {
        for (int i = 0; i < head_dim; i++) out[i * stride + j] = j < n ? hs_bf16_to_f32(scale[j]) * (float)rows[j * head_dim + i] : 0;
    }
}

void hs_transpose_keys_scalar(const uint8_t *high, const uint8_t *low, const uint16_t *scale, int n_groups, int head_dim, float *out, int stride) {
    for (int j = 0; j < 4 * n_groups; j++) {
        for (int i = 0; i < head_dim; i++) {
            int u = hs_plane_nibble(high, head_dim, j, i) << 4 | hs_plane_nibble(low, head_dim, j, i);
            out[i * stride + j] = hs_bf16_to_f32(scale[j]) * (float)(u - 128);
        }
    }
}
