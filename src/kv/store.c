/* Keys and values into the arrays of a cache, and out of them; the bounds of runs that go with them. */
#include "kv/store.h"

#include "base/f16.h"
#include "base/hs.h"
#include "kernels/planes.h"
#include "kernels/rotate.h"

#include <math.h>
#include <string.h>

uint16_t hs_quantize_row(const float *x, int d, int8_t *out) {
    float largest = 0;
    for (int i = 0; i < d; i++) largest = fmaxf(largest, fabsf(x[i]));
    uint16_t scale = hs_f32_to_bf16_up(largest / 127);
    if (scale == 0 && largest > 0) scale = 1;                         /* a key of denormal coordinates is not a zero key: its bounds need a unit */
    float inverse = largest > 1e-30f ? 1 / hs_bf16_to_f32(scale) : 0; /* below, 1 / scale might overflow */
    for (int i = 0; i < d; i++) out[i] = (int8_t)rintf(x[i] * inverse);
    return scale;
}

/* The middle of the values that share a high nibble. */
static double screen_form(int code) {
    return ((code + 128) & ~15) + 7.5 - 128;
}

/* Makes room in a run's bound; sums in double are above what rounding took away. */
static void raise_bound(uint16_t *bound, double square) {
    uint16_t up = hs_f32_to_bf16_up((float)(sqrt(square) * (1 + 1e-6)));
    if (up > *bound) *bound = up;
}

/* Nibbles of a key's 8-bit forms u = code + 128 into their place of the planes. */
static void put_nibbles(hs_kv *kv, int i, const int8_t *code) {
    const uint32_t nibbles = 0x0f0f0f0f, offset = 0x80808080; /* code + 128 turns the top bit of a byte */
    size_t at = hs_plane_at(kv->head_dim, i, 0);
    for (int dim = 0; dim < kv->head_dim; dim += 8, at += 16) {
        uint32_t four[2];
        memcpy(four, code + dim, sizeof four);
        four[0] ^= offset;
        four[1] ^= offset;
        uint32_t high = (four[0] >> 4 & nibbles) | (four[1] & ~nibbles), low = (four[0] & nibbles) | (four[1] & nibbles) << 4;
        memcpy(kv->k_high + at, &high, 4);
        if (kv->k_low) memcpy(kv->k_low + at, &low, 4);
    }
}

void hs_put_key_code(hs_kv *kv, int i, const int8_t *code, uint16_t scale) {
    /* Sums of u = 16 h + l: a code is off its screened form 16 h + 7.5 - 128 by l - 7.5. All are exact. */
    int32_t codes = 0, lows = 0, low_squares = 0, highs = 0, high_squares = 0;
    for (int dim = 0; dim < kv->head_dim; dim++) {
        int u = code[dim] + 128, low = u & 15, high = u >> 4;
        codes += code[dim] * code[dim];
        lows += low;
        low_squares += low * low;
        highs += high;
        high_squares += high * high;
    }
    double d = kv->head_dim, residual = low_squares - 15.0 * lows + 7.5 * 7.5 * d, screened = 256.0 * high_squares - 2 * 16 * 120.5 * highs + 120.5 * 120.5 * d;
    put_nibbles(kv, i, code);
    kv->k_scale[i] = scale;
    raise_bound(&kv->key_norm[i / HS_LEAF], fmax(codes, screened));
    if (kv->type == HS_KV_Q8) raise_bound(&kv->screen_residual[i / HS_LEAF], residual);
}

void hs_put_key(hs_kv *kv, int i, const float *k) {
    int d = kv->head_dim;
    float rotated[HS_MAX_HEAD_DIM];
    int8_t code[HS_MAX_HEAD_DIM];
    hs_rotate(k, d, rotated);
    uint16_t packed = hs_quantize_row(rotated, d, code);
    double scale = (double)hs_bf16_to_f32(packed), residual = 0, square = 0;
    hs_put_key_code(kv, i, code, packed);
    if (kv->type == HS_KV_F32) memcpy(kv->k_rows + (size_t)i * (size_t)d, k, (size_t)d * sizeof(float));
    if (scale == 0) return;
    for (int dim = 0; dim < d; dim++) {
        double off = (double)rotated[dim] / scale - (kv->type == HS_KV_Q8 ? code[dim] : screen_form(code[dim]));
        residual += off * off;
        square += (double)rotated[dim] / scale * ((double)rotated[dim] / scale);
    }
    if (kv->type == HS_KV_F32) raise_bound(&kv->key_norm[i / HS_LEAF], square);
    raise_bound(kv->type == HS_KV_Q8 ? &kv->key_residual[i / HS_LEAF] : &kv->screen_residual[i / HS_LEAF], residual);
}

static void put_value(hs_kv *kv, int i, const float *v) {
    size_t d = (size_t)kv->head_dim;
    if (kv->type == HS_KV_Q8)
        kv->v_scale[i] = hs_quantize_row(v, kv->head_dim, kv->v + (size_t)i * d);
    else
        memcpy(kv->v_rows + (size_t)i * d, v, d * sizeof(float));
    float stored[HS_MAX_HEAD_DIM];
    double square = 0;
    hs_kv_value(kv, i, stored);
    for (size_t dim = 0; dim < d; dim++) square += (double)stored[dim] * (double)stored[dim];
    kv->v_norm = fmaxf(kv->v_norm, (float)(sqrt(square) * (1 + 1e-6)));
}

/* Kernels read keys by fours, those that are not there yet too: their bytes are zeros then, whatever the memory had. */
static void clear_run(hs_kv *kv, int i) {
    size_t at = hs_plane_at(kv->head_dim, i, 0), bytes = (size_t)HS_LEAF / 2 * (size_t)kv->head_dim;
    memset(kv->k_high + at, 0, bytes);
    if (kv->k_low) memset(kv->k_low + at, 0, bytes);
    memset(kv->k_scale + i, 0, HS_LEAF * sizeof *kv->k_scale);
}

void hs_kv_append(hs_kv *kv, const float *k, const float *v, int stride, int n) {
    for (int t = 0; t < n; t++, k += stride) {
        int i = kv->count++, run = i / HS_LEAF;
        if (i % HS_LEAF == 0) {
            clear_run(kv, i);
            kv->live[run] = kv->screen_residual[run] = kv->key_norm[run] = 0;
            if (kv->key_residual) kv->key_residual[run] = 0;
        }
        kv->live[run] = (uint16_t)(kv->live[run] | 1 << i % HS_LEAF);
        hs_put_key(kv, i, k);
        if (!kv->keys_only) put_value(kv, i, v + (size_t)t * (size_t)stride);
    }
}

void hs_key_code(const hs_kv *kv, int i, int8_t *code) {
    const uint32_t nibbles = 0x0f0f0f0f, offset = 0x80808080; /* u - 128 turns the top bit of a byte */
    size_t at = hs_plane_at(kv->head_dim, i, 0);
    for (int dim = 0; dim < kv->head_dim; dim += 8, at += 16) {
        uint32_t high, low, four[2];
        memcpy(&high, kv->k_high + at, 4);
        memcpy(&low, kv->k_low + at, 4);
        four[0] = ((high & nibbles) << 4 | (low & nibbles)) ^ offset;
        four[1] = ((high & ~nibbles) | (low >> 4 & nibbles)) ^ offset;
        memcpy(code + dim, four, sizeof four);
    }
}

void hs_kv_key(const hs_kv *kv, int i, float *out) {
    if (kv->type == HS_KV_F32) {
        memcpy(out, kv->k_rows + (size_t)i * (size_t)kv->head_dim, (size_t)kv->head_dim * sizeof(float));
        return;
    }
    int8_t code[HS_MAX_HEAD_DIM];
    float scale = hs_bf16_to_f32(kv->k_scale[i]);
    hs_key_code(kv, i, code);
    for (int dim = 0; dim < kv->head_dim; dim++) out[dim] = scale * (float)code[dim];
    hs_unrotate(out, kv->head_dim);
}

static void four_q8_keys(const hs_kv *kv, const int *own_indices, float *out) {
    int8_t code[4][HS_MAX_HEAD_DIM];
    float scale[4];
    for (int lane = 0; lane < 4; lane++) {
        hs_key_code(kv, own_indices[lane], code[lane]);
        scale[lane] = hs_bf16_to_f32(kv->k_scale[own_indices[lane]]);
    }
    for (int dim = 0; dim < kv->head_dim; dim++) {
        for (int lane = 0; lane < 4; lane++) out[4 * dim + lane] = scale[lane] * (float)code[lane][dim];
    }
    hs_unrotate_lanes(out, kv->head_dim, 4);
}

void hs_kv_four_keys(const hs_kv *kv, const int *own_indices, float *out) {
    if (kv->type == HS_KV_Q8) {
        four_q8_keys(kv, own_indices, out);
        return;
    }
    for (int lane = 0; lane < 4; lane++) {
        const float *row = kv->k_rows + (size_t)own_indices[lane] * (size_t)kv->head_dim;
        for (int dim = 0; dim < kv->head_dim; dim++) out[4 * dim + lane] = row[dim];
    }
}

void hs_kv_value(const hs_kv *kv, int i, float *out) {
    size_t at = (size_t)i * (size_t)kv->head_dim;
    for (int dim = 0; dim < kv->head_dim; dim++) {
        out[dim] = kv->type == HS_KV_F32 ? kv->v_rows[at + (size_t)dim] : hs_bf16_to_f32(kv->v_scale[i]) * (float)kv->v[at + (size_t)dim];
    }
}
