#include "quant/ggml.h"

#include "base/f16.h"

enum { SUPER_BLOCK = 256 }; /* weights per block of the K types */

int hs_ggml_block_weights(int type) {
    switch (type) {
    case HS_GGML_F32:
    case HS_GGML_F16:
    case HS_GGML_BF16: return 1;
    case HS_GGML_Q4_0:
    case HS_GGML_Q4_1:
    case HS_GGML_Q5_0:
    case HS_GGML_Q5_1:
    case HS_GGML_Q8_0: return 32;
    case HS_GGML_Q4_K:
    case HS_GGML_Q5_K:
    case HS_GGML_Q6_K: return SUPER_BLOCK;
    default: return 0;
    }
}

int hs_ggml_block_bytes(int type) {
    switch (type) {
    case HS_GGML_F32: return 4;
    case HS_GGML_F16:
    case HS_GGML_BF16: return 2;
    case HS_GGML_Q4_0: return 18;
    case HS_GGML_Q4_1: return 20;
    case HS_GGML_Q5_0: return 22;
    case HS_GGML_Q5_1: return 24;
    case HS_GGML_Q8_0: return 34;
    case HS_GGML_Q4_K: return 144;
    case HS_GGML_Q5_K: return 176;
    case HS_GGML_Q6_K: return 210;
    default: return 0;
    }
}

static float f16_at(const uint8_t *p) {
    return hs_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

static void set_scale(hs_block *out, float d, float m) {
    out->d[0] = out->d[1] = d;
    out->m[0] = out->m[1] = m;
}

/* Low nibbles are weights 0..15, high nibbles 16..31. */
static void split_nibbles(const uint8_t *qs, hs_block *out) {
    for (int j = 0; j < 16; j++) {
        out->u[j] = qs[j] & 15;
        out->u[j + 16] = qs[j] >> 4;
    }
}

/* Bit j of the 32 in qh is the fifth bit of weight j. */
static void add_fifth_bits(const uint8_t *qh, hs_block *out) {
    for (int j = 0; j < 32; j++) out->u[j] |= (uint8_t)((qh[j / 8] >> (j % 8) & 1) << 4);
}

/* Six-bit scale and min of sub-block j, packed in 12 bytes (get_scale_min_k4 in ggml-quants.c). */
static void k_scale(const uint8_t *s, int j, int *scale, int *min) {
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *min = s[j + 4] >> 4 | (s[j] >> 6) << 4;
    }
}

/* Q4_K: d, dmin, scales[12], qs[128]. Q5_K has qh[32] before qs. Two sub-blocks share 32 bytes of nibbles. */
static void decode_k45(const uint8_t *block, int sub, const uint8_t *qh, const uint8_t *qs, hs_block *out) {
    int scale, min;
    k_scale(block + 4, sub, &scale, &min);
    set_scale(out, f16_at(block) * (float)scale, -f16_at(block + 2) * (float)min);
    for (int j = 0; j < 32; j++) {
        int nibble = qs[sub / 2 * 32 + j] >> (sub % 2 * 4) & 15;
        out->u[j] = (uint8_t)(nibble | (qh ? (qh[j] >> sub & 1) << 4 : 0));
    }
}

/* Q6_K: ql[128], qh[64], scales int8[16], d. A half holds 128 weights as four runs of 32. */
static void decode_k6(const uint8_t *block, int sub, hs_block *out) {
    int half = sub / 4, run = sub % 4;
    const uint8_t *ql = block + half * 64 + run % 2 * 32;
    const uint8_t *qh = block + 128 + half * 32;
    const int8_t *scales = (const int8_t *)block + 192 + half * 8 + run * 2;
    for (int j = 0; j < 32; j++) out->u[j] = (uint8_t)((ql[j] >> (run / 2 * 4) & 15) | (qh[j] >> (run * 2) & 3) << 4);
    for (int i = 0; i < 2; i++) {
        out->d[i] = f16_at(block + 208) * (float)scales[i];
        out->m[i] = -32 * out->d[i];
    }
}

void hs_ggml_block(int type, const uint8_t *row, int index, hs_block *out) {
    int bytes = hs_ggml_block_bytes(type), per_block = hs_ggml_block_weights(type) == HS_BLOCK ? 1 : SUPER_BLOCK / HS_BLOCK;
    const uint8_t *block = row + (int64_t)(index / per_block) * bytes;
    int sub = index % per_block;
    float d = f16_at(block);
    switch (type) {
    case HS_GGML_Q4_0:
        set_scale(out, d, -8 * d);
        split_nibbles(block + 2, out);
        break;
    case HS_GGML_Q4_1:
        set_scale(out, d, f16_at(block + 2));
        split_nibbles(block + 4, out);
        break;
    case HS_GGML_Q5_0:
        set_scale(out, d, -16 * d);
        split_nibbles(block + 6, out);
        add_fifth_bits(block + 2, out);
        break;
    case HS_GGML_Q5_1:
        set_scale(out, d, f16_at(block + 2));
        split_nibbles(block + 8, out);
        add_fifth_bits(block + 4, out);
        break;
    case HS_GGML_Q8_0:
        set_scale(out, d, -128 * d);
        for (int j = 0; j < 32; j++) out->u[j] = block[2 + j] ^ 0x80;
        break;
    case HS_GGML_Q4_K: decode_k45(block, sub, 0, block + 16, out); break;
    case HS_GGML_Q5_K: decode_k45(block, sub, block + 16, block + 48, out); break;
    default: decode_k6(block, sub, out); break; /* HS_GGML_Q6_K, the last of them */
    }
}
