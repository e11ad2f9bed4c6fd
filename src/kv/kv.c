#include "kv/kv.h"

#include "base/hs.h"
#include "hsr/tree.h"
#include "kernels/rotate.h"

#include <math.h>
#include <string.h>

/* Hands out consecutive aligned parts of a slab; with base NULL it only adds up. */
typedef struct {
    uint8_t *base;
    size_t used;
} carver;

static void *carve(carver *c, size_t bytes) {
    void *part = c->base ? c->base + c->used : NULL;
    c->used += hs_align_up(bytes);
    return part;
}

static size_t lay_out(hs_kv *kv, uint8_t *slab) {
    size_t n = (size_t)kv->capacity, d = (size_t)kv->head_dim, leaves = n / HS_LEAF;
    carver c = {slab, 0};
    kv->k_high = carve(&c, n * d / 2);
    kv->k_scale = carve(&c, n * sizeof(float));
    if (kv->type == HS_KV_Q8) {
        kv->k_low = carve(&c, n * d / 2);
        kv->v = carve(&c, n * d);
        kv->v_scale = carve(&c, n * sizeof(float));
    } else {
        kv->k_rows = carve(&c, n * d * sizeof(float));
        kv->v_rows = carve(&c, n * d * sizeof(float));
    }
    kv->leaf_k = carve(&c, leaves * d);
    kv->leaf_v = carve(&c, leaves * d);
    kv->leaf_k_scale = carve(&c, leaves * sizeof(float));
    kv->leaf_v_scale = carve(&c, leaves * sizeof(float));
    kv->leaf_spread = carve(&c, leaves * d);
    kv->leaf_spread_scale = carve(&c, leaves * sizeof(float));
    kv->shared = carve(&c, sizeof(hs_kv));
    return c.used;
}

static int whole_leaves(int keys) {
    return (keys + HS_LEAF - 1) / HS_LEAF * HS_LEAF;
}

/* Keys a slab holds: a child's also those it takes over. */
static int slab_capacity(int capacity, int continues) {
    return whole_leaves(capacity + (continues ? HS_KV_TAIL : 0));
}

/* How many of the parent's newest keys a child takes over. */
static int copied_keys(const hs_kv *parent) {
    int tail = hs_kv_length(parent) - hs_kv_least_length(parent);
    return tail <= HS_KV_TAIL ? tail : 0;
}

static void copy_tail(hs_kv *kv, const hs_kv *parent, int from) {
    size_t d = (size_t)kv->head_dim, at = (size_t)from, n = (size_t)whole_leaves(kv->count);
    memcpy(kv->k_high, parent->k_high + at * d / 2, n * d / 2);
    memcpy(kv->k_scale, parent->k_scale + at, n * sizeof(float));
    if (kv->type == HS_KV_Q8) {
        memcpy(kv->k_low, parent->k_low + at * d / 2, n * d / 2);
        memcpy(kv->v, parent->v + at * d, n * d);
        memcpy(kv->v_scale, parent->v_scale + at, n * sizeof(float));
    } else {
        memcpy(kv->k_rows, parent->k_rows + at * d, n * d * sizeof(float));
        memcpy(kv->v_rows, parent->v_rows + at * d, n * d * sizeof(float));
    }
}

void hs_kv_init(hs_kv *kv, void *slab, int head_dim, int capacity, int type, const hs_kv *parent) {
    int copied = parent ? copied_keys(parent) : 0;
    *kv = (hs_kv){.head_dim = head_dim, .type = type, .capacity = slab_capacity(capacity, parent != NULL)};
    lay_out(kv, slab);
    if (parent && parent->count > copied) {
        *kv->shared = *parent;
        kv->shared->count -= copied;
        kv->parent = kv->shared;
    } else if (parent) {
        kv->parent = parent->parent;
    }
    kv->base = kv->parent ? hs_kv_length(kv->parent) : 0;
    kv->sealed_from = kv->sealed_to = kv->parent ? 0 : HS_LEAF;
    kv->count = copied;
    if (copied > 0) copy_tail(kv, parent, parent->count - copied);
}

size_t hs_kv_bytes(int head_dim, int capacity, int type, int continues) {
    hs_kv kv = {.head_dim = head_dim, .type = type, .capacity = slab_capacity(capacity, continues)};
    return lay_out(&kv, NULL);
}

/* int8 with one scale; all zero for a zero row. */
static float quantize_row(const float *x, int d, int8_t *out) {
    float largest = 0;
    for (int i = 0; i < d; i++) largest = fmaxf(largest, fabsf(x[i]));
    float inverse = largest > 0 ? 127 / largest : 0;
    for (int i = 0; i < d; i++) out[i] = (int8_t)rintf(x[i] * inverse);
    return largest / 127;
}

static float quantize_key(const float *k, int d, int8_t *out) {
    float rotated[HS_MAX_HEAD_DIM];
    hs_rotate(k, d, rotated);
    return quantize_row(rotated, d, out);
}

/* Address of the nibble pair that holds dim `dim` of key i, and whether the dim is in its high nibble. */
static size_t plane_at(int d, int i, int dim) {
    return (size_t)(i / 4) * 2 * (size_t)d + (size_t)(dim / 8) * 16 + (size_t)(i % 4) * 4 + (size_t)(dim % 4);
}

static void put_nibble(uint8_t *plane, int d, int i, int dim, int nibble) {
    uint8_t *pair = plane + plane_at(d, i, dim);
    *pair = dim % 8 < 4 ? (uint8_t)((*pair & 0xf0) | nibble) : (uint8_t)((*pair & 0x0f) | nibble << 4);
}

static int get_nibble(const uint8_t *plane, int d, int i, int dim) {
    return plane[plane_at(d, i, dim)] >> (dim % 8 < 4 ? 0 : 4) & 15;
}

static void put_key_code(hs_kv *kv, int i, const int8_t *code, float scale) {
    for (int dim = 0; dim < kv->head_dim; dim++) {
        int u = code[dim] + 128;
        put_nibble(kv->k_high, kv->head_dim, i, dim, u >> 4);
        if (kv->k_low) put_nibble(kv->k_low, kv->head_dim, i, dim, u & 15);
    }
    kv->k_scale[i] = scale;
}

void hs_kv_append(hs_kv *kv, const float *k, const float *v, int stride, int n) {
    size_t d = (size_t)kv->head_dim;
    int8_t code[HS_MAX_HEAD_DIM];
    for (int t = 0; t < n; t++, k += stride, v += stride) {
        int i = kv->count++;
        float scale = quantize_key(k, kv->head_dim, code);
        put_key_code(kv, i, code, scale);
        if (kv->type == HS_KV_Q8) {
            kv->v_scale[i] = quantize_row(v, kv->head_dim, kv->v + (size_t)i * d);
        } else {
            memcpy(kv->k_rows + (size_t)i * d, k, d * sizeof(float));
            memcpy(kv->v_rows + (size_t)i * d, v, d * sizeof(float));
        }
    }
}

static void key_code(const hs_kv *kv, int i, int8_t *code) {
    for (int dim = 0; dim < kv->head_dim; dim++) {
        code[dim] = (int8_t)((get_nibble(kv->k_high, kv->head_dim, i, dim) << 4 | get_nibble(kv->k_low, kv->head_dim, i, dim)) - 128);
    }
}

void hs_kv_key(const hs_kv *kv, int i, float *out) {
    if (kv->type == HS_KV_F32) {
        memcpy(out, kv->k_rows + (size_t)i * (size_t)kv->head_dim, (size_t)kv->head_dim * sizeof(float));
        return;
    }
    int8_t code[HS_MAX_HEAD_DIM];
    key_code(kv, i, code);
    for (int dim = 0; dim < kv->head_dim; dim++) out[dim] = kv->k_scale[i] * (float)code[dim];
    hs_unrotate(out, kv->head_dim);
}

void hs_kv_value(const hs_kv *kv, int i, float *out) {
    size_t at = (size_t)i * (size_t)kv->head_dim;
    for (int dim = 0; dim < kv->head_dim; dim++) {
        out[dim] = kv->type == HS_KV_F32 ? kv->v_rows[at + (size_t)dim] : kv->v_scale[i] * (float)kv->v[at + (size_t)dim];
    }
}

int hs_kv_least_length(const hs_kv *kv) {
    return kv->base + (kv->sealed_to > kv->sealed_from ? kv->sealed_to : 0);
}

void hs_kv_truncate(hs_kv *kv, int length) {
    kv->count = length - kv->base;
}

/* Scratch of one sealing. */
typedef struct {
    float *keys, *values; /* [HS_CHUNK][head_dim] in arrival order */
    float *scales;        /* [HS_CHUNK] f32 caches: the screen's */
    int8_t *codes;        /* [HS_CHUNK][head_dim] */
    int8_t *value_codes;
    float *value_scales;
    int *order; /* [HS_CHUNK] */
    void *tree;
} seal_scratch;

static size_t lay_out_scratch(seal_scratch *s, int head_dim, uint8_t *base) {
    size_t d = (size_t)head_dim;
    carver c = {base, 0};
    s->keys = carve(&c, HS_CHUNK * d * sizeof(float));
    s->values = carve(&c, HS_CHUNK * d * sizeof(float));
    s->scales = carve(&c, HS_CHUNK * sizeof(float));
    s->codes = carve(&c, HS_CHUNK * d);
    s->value_codes = carve(&c, HS_CHUNK * d);
    s->value_scales = carve(&c, HS_CHUNK * sizeof(float));
    s->order = carve(&c, HS_CHUNK * sizeof(int));
    s->tree = carve(&c, hs_tree_scratch_bytes(head_dim, HS_CHUNK));
    return c.used;
}

size_t hs_kv_seal_scratch_bytes(int head_dim) {
    seal_scratch s;
    return lay_out_scratch(&s, head_dim, NULL);
}

static void summarize_leaf(hs_kv *kv, int leaf, const seal_scratch *s, const int *members) {
    int d = kv->head_dim;
    float k_mean[HS_MAX_HEAD_DIM] = {0}, v_mean[HS_MAX_HEAD_DIM] = {0}, variance[HS_MAX_HEAD_DIM] = {0};
    for (int j = 0; j < HS_LEAF; j++) {
        const float *k = s->keys + (size_t)members[j] * (size_t)d, *v = s->values + (size_t)members[j] * (size_t)d;
        for (int i = 0; i < d; i++) {
            k_mean[i] += k[i] / HS_LEAF;
            v_mean[i] += v[i] / HS_LEAF;
        }
    }
    for (int j = 0; j < HS_LEAF; j++) {
        const float *k = s->keys + (size_t)members[j] * (size_t)d;
        for (int i = 0; i < d; i++) variance[i] += (k[i] - k_mean[i]) * (k[i] - k_mean[i]) / HS_LEAF;
    }
    size_t at = (size_t)leaf * (size_t)d;
    kv->leaf_k_scale[leaf] = quantize_row(k_mean, d, kv->leaf_k + at);
    kv->leaf_v_scale[leaf] = quantize_row(v_mean, d, kv->leaf_v + at);
    kv->leaf_spread_scale[leaf] = quantize_row(variance, d, kv->leaf_spread + at);
}

static void read_chunk(const hs_kv *kv, int first, const seal_scratch *s) {
    size_t d = (size_t)kv->head_dim;
    for (int j = 0; j < HS_CHUNK; j++) {
        hs_kv_key(kv, first + j, s->keys + (size_t)j * d);
        hs_kv_value(kv, first + j, s->values + (size_t)j * d);
        s->scales[j] = kv->k_scale[first + j];
        if (kv->type == HS_KV_F32) continue;
        key_code(kv, first + j, s->codes + (size_t)j * d);
        memcpy(s->value_codes + (size_t)j * d, kv->v + (size_t)(first + j) * d, d);
        s->value_scales[j] = kv->v_scale[first + j];
    }
}

static void seal_chunk(hs_kv *kv, int first, const seal_scratch *s) {
    size_t d = (size_t)kv->head_dim;
    int8_t code[HS_MAX_HEAD_DIM];
    read_chunk(kv, first, s);
    hs_tree_order(s->keys, kv->head_dim, HS_CHUNK, s->order, s->tree);
    for (int j = 0; j < HS_CHUNK; j++) {
        int from = s->order[j], to = first + j;
        if (kv->type == HS_KV_Q8) {
            put_key_code(kv, to, s->codes + (size_t)from * d, s->scales[from]);
            memcpy(kv->v + (size_t)to * d, s->value_codes + (size_t)from * d, d);
            kv->v_scale[to] = s->value_scales[from];
        } else {
            memcpy(kv->k_rows + (size_t)to * d, s->keys + (size_t)from * d, d * sizeof(float));
            memcpy(kv->v_rows + (size_t)to * d, s->values + (size_t)from * d, d * sizeof(float));
            quantize_key(s->keys + (size_t)from * d, kv->head_dim, code);
            put_key_code(kv, to, code, s->scales[from]);
        }
    }
    for (int leaf = 0; leaf < HS_CHUNK / HS_LEAF; leaf++) summarize_leaf(kv, first / HS_LEAF + leaf, s, s->order + leaf * HS_LEAF);
}

void hs_kv_seal(hs_kv *kv, void *scratch) {
    while (kv->count - kv->sealed_to >= HS_CHUNK + HS_KV_RECENT) {
        seal_scratch s;
        lay_out_scratch(&s, kv->head_dim, scratch);
        seal_chunk(kv, kv->sealed_to, &s);
        kv->sealed_to += HS_CHUNK;
    }
}
