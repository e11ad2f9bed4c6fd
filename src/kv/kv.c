#include "kv/kv.h"

#include "base/f16.h"
#include "base/hs.h"
#include "kernels/rotate.h"
#include "kv/fields.h"
#include "kv/store.h"

#include <math.h>
#include <string.h>

/* Gives every array its part of the slab; with slab NULL it only adds up. */
static size_t lay_out(hs_kv *kv, uint8_t *slab) {
    size_t used = 0;
    for (int f = 0; f < HS_FIELDS; f++) {
        uint8_t *data = slab && hs_has_field(kv, f) ? slab + used : NULL;
        memcpy((char *)kv + hs_fields[f].pointer, (const void *)&data, sizeof data);
        if (hs_has_field(kv, f)) used += hs_align_up((size_t)(kv->capacity / HS_LEAF) * hs_field_run(kv, f));
    }
    kv->shared = slab ? (hs_kv *)(void *)(slab + used) : NULL;
    return used + hs_align_up(sizeof(hs_kv));
}

/* Copies the arrays of own keys from..from+n-1 of `old` to the front; from is a multiple of HS_LEAF. */
static void copy_keys(hs_kv *kv, const hs_kv *old, int from, int n) {
    size_t runs = (size_t)(n + HS_LEAF - 1) / HS_LEAF, first = (size_t)(from / HS_LEAF);
    for (int f = 0; f < HS_FIELDS; f++) {
        size_t run = hs_field_run(kv, f);
        if (hs_has_field(kv, f)) memmove(hs_field(kv, f), hs_field(old, f) + first * run, runs * run);
    }
}

/* Keys a slab holds: a child's also those it takes over. */
static int slab_capacity(int capacity, int continues) {
    return (capacity + (continues ? HS_KV_TAIL : 0) + HS_LEAF - 1) / HS_LEAF * HS_LEAF;
}

static hs_kv empty(const hs_kv_shape *shape, int capacity, int continues) {
    return (hs_kv){
        .head_dim = shape->head_dim,
        .type = shape->type,
        .keys_only = shape->keys_only,
        .max_chunk = shape->max_chunk,
        .capacity = slab_capacity(capacity, continues),
    };
}

size_t hs_kv_bytes(const hs_kv_shape *shape, int capacity, int continues) {
    hs_kv kv = empty(shape, capacity, continues);
    return lay_out(&kv, NULL);
}

/* How many of the parent's newest keys a child takes over. */
static int copied_keys(const hs_kv *parent) {
    int tail = parent->count - (parent->sealed_to > parent->sealed_from ? parent->sealed_to : 0);
    return tail <= HS_KV_TAIL ? tail : 0;
}

int hs_count_removed(const hs_kv *kv) {
    int live = 0;
    for (int first = 0; first < kv->count; first += HS_LEAF) {
        int keys = hs_min(HS_LEAF, kv->count - first);
        live += __builtin_popcount(kv->live[first / HS_LEAF] & ((1u << keys) - 1));
    }
    return kv->count - live;
}

void hs_kv_init(hs_kv *kv, void *slab, const hs_kv_shape *shape, int capacity, const hs_kv *parent) {
    int copied = parent ? copied_keys(parent) : 0;
    *kv = empty(shape, capacity, parent != NULL);
    lay_out(kv, slab);
    if (parent && parent->count > copied) {
        *kv->shared = *parent;
        kv->shared->count -= copied;
        if (parent->removed > 0) kv->shared->removed = hs_count_removed(kv->shared);
        kv->parent = kv->shared;
    } else if (parent) {
        kv->parent = parent->parent;
    }
    kv->base = kv->parent ? hs_kv_length(kv->parent) : 0;
    kv->v_norm = parent ? parent->v_norm : 0;
    kv->sealed_from = kv->sealed_to = kv->parent ? 0 : HS_LEAF;
    kv->count = copied;
    if (copied > 0) copy_keys(kv, parent, parent->count - copied, copied);
    if (parent && parent->removed > 0) kv->removed = hs_count_removed(kv);
}

void hs_kv_move(hs_kv *kv, void *slab, int capacity) {
    hs_kv old = *kv;
    kv->capacity = slab_capacity(capacity, 0);
    lay_out(kv, slab);
    if (old.count > 0) copy_keys(kv, &old, 0, old.count);
}

void hs_kv_drop(hs_kv *kv, int n) {
    hs_kv rest = *kv;
    int first = kv->sealed_from, keep = kv->count - first - n;
    /* The sink stays where it is: only what follows the dropped keys moves. */
    for (int f = 0; f < HS_FIELDS; f++) {
        if (!hs_has_field(kv, f)) continue;
        size_t run = hs_field_run(kv, f);
        memmove(hs_field(kv, f) + (size_t)(first / HS_LEAF) * run, hs_field(&rest, f) + (size_t)((first + n) / HS_LEAF) * run, (size_t)(keep + HS_LEAF - 1) / HS_LEAF * run);
    }
    kv->base += n;
    kv->count -= n;
    kv->removed -= n;
    kv->sealed_to -= n;
}

uint16_t hs_quantize_row(const float *x, int d, int8_t *out) {
    float largest = 0;
    for (int i = 0; i < d; i++) largest = fmaxf(largest, fabsf(x[i]));
    uint16_t scale = hs_f32_to_bf16_up(largest / 127);
    if (scale == 0 && largest > 0) scale = 1;                         /* a key of denormal coordinates is not a zero key: its bounds need a unit */
    float inverse = largest > 1e-30f ? 1 / hs_bf16_to_f32(scale) : 0; /* below, 1 / scale might overflow */
    for (int i = 0; i < d; i++) out[i] = (int8_t)rintf(x[i] * inverse);
    return scale;
}

static size_t plane_at(int d, int i, int dim) {
    return (size_t)(i / 4) * 2 * (size_t)d + (size_t)(dim / 8) * 16 + (size_t)(i % 4) * 4 + (size_t)(dim % 4);
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

/* Nibbles of a key's 8-bit forms u = code + 128 into their place of the planes: see kv.h. */
static void put_nibbles(hs_kv *kv, int i, const int8_t *code) {
    const uint32_t nibbles = 0x0f0f0f0f, offset = 0x80808080; /* code + 128 turns the top bit of a byte */
    size_t at = plane_at(kv->head_dim, i, 0);
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
    size_t at = plane_at(kv->head_dim, i, 0), bytes = (size_t)HS_LEAF / 2 * (size_t)kv->head_dim;
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
    size_t at = plane_at(kv->head_dim, i, 0);
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
