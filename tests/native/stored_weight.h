/* Weights as GGUF stores them, decoded plainly: what tests compare repacked ones with. */
#ifndef HS_TESTS_STORED_WEIGHT_H
#define HS_TESTS_STORED_WEIGHT_H

#include "base/f16.h"
#include "quant/ggml.h"

static inline float f16(const uint8_t *p) {
    return hs_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

/* Weight k of a stored block, written from the layouts in ggml-common.h, one formula per type. */
static inline double stored_weight(int type, const uint8_t *b, int k) {
    int j = k % 16, high = k >= 16;
    switch (type) {
    case HS_GGML_Q4_0: return (double)f16(b) * ((high ? b[2 + j] >> 4 : b[2 + j] & 15) - 8);
    case HS_GGML_Q4_1: return (double)f16(b) * (high ? b[4 + j] >> 4 : b[4 + j] & 15) + (double)f16(b + 2);
    case HS_GGML_Q5_0: return (double)f16(b) * (((high ? b[6 + j] >> 4 : b[6 + j] & 15) | (b[2 + k / 8] >> k % 8 & 1) << 4) - 16);
    case HS_GGML_Q5_1: return (double)f16(b) * ((high ? b[8 + j] >> 4 : b[8 + j] & 15) | (b[4 + k / 8] >> k % 8 & 1) << 4) + (double)f16(b + 2);
    case HS_GGML_Q8_0: return (double)f16(b) * (int8_t)b[2 + k];
    case HS_GGML_Q4_K:
    case HS_GGML_Q5_K: {
        int sub = k / 32, i = k % 32, five = type == HS_GGML_Q5_K;
        const uint8_t *s = b + 4, *qs = b + (five ? 48 : 16);
        int scale = sub < 4 ? s[sub] & 63 : (s[sub + 4] & 15) | (s[sub - 4] >> 6) << 4;
        int min = sub < 4 ? s[sub + 4] & 63 : s[sub + 4] >> 4 | (s[sub] >> 6) << 4;
        int q = qs[sub / 2 * 32 + i] >> (sub & 1 ? 4 : 0) & 15;
        if (five && (b[16 + i] & 1 << sub)) q += 16;
        return (double)f16(b) * scale * q - (double)f16(b + 2) * min;
    }
    default: {
        int half = k / 128, l = k % 32, quarter = k % 128 / 32;
        int low = b[half * 64 + (quarter & 1) * 32 + l] >> (quarter >= 2 ? 4 : 0) & 15;
        int top = b[128 + half * 32 + l] >> 2 * quarter & 3;
        return (double)f16(b + 208) * (int8_t)b[192 + half * 8 + quarter * 2 + l / 16] * ((low | top << 4) - 32);
    }
    }
}

#endif
