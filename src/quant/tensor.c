#include "quant/tensor.h"

#include "base/error.h"
#include "base/f16.h"
#include "base/hs.h"
#include "base/memory.h"
#include "quant/ggml.h"

#include <math.h>
#include <string.h>

static hs_pack pack_of(int ggml_type) {
    switch (ggml_type) {
    case HS_GGML_Q4_0:
    case HS_GGML_Q4_1:
    case HS_GGML_Q4_K: return HS_PACK_Q4;
    case HS_GGML_Q5_0:
    case HS_GGML_Q5_1:
    case HS_GGML_Q5_K: return HS_PACK_Q5;
    case HS_GGML_Q6_K: return HS_PACK_Q6;
    case HS_GGML_Q8_0: return HS_PACK_Q8;
    case HS_GGML_F32: return HS_PACK_F32;
    case HS_GGML_F16: return HS_PACK_F16;
    case HS_GGML_BF16: return HS_PACK_BF16;
    default: return HS_PACK_NONE;
    }
}

int hs_tensor_init(hs_tensor *t, int ggml_type, int rows, int cols) {
    hs_pack pack = pack_of(ggml_type);
    if (pack == HS_PACK_NONE) return hs_error_set(HS_ERR_UNSUPPORTED, "tensor type", ggml_type, HS_GGML_BF16);
    int unit = hs_pack_is_float(pack) ? 4 : hs_ggml_block_weights(ggml_type);
    if (rows < 1) return hs_error_set(HS_ERR_ARGUMENT, "tensor rows", rows, 1);
    if (cols < 1 || cols % unit != 0) return hs_error_set(HS_ERR_ARGUMENT, "tensor columns are not whole blocks", cols, unit);
    int row_groups = rows / 4 + (rows % 4 > 0);
    /* Not in size_t: on a 32-bit machine the products may not fit it. */
    int64_t bytes = hs_pack_is_float(pack) ? (int64_t)rows * hs_ggml_row_bytes(ggml_type, cols)
                                           : (int64_t)row_groups * (cols / HS_BLOCK) * hs_pack_tile_bytes(pack);
    int64_t scale_bytes = hs_pack_is_float(pack) ? 0 : (int64_t)row_groups * 4 * (int64_t)sizeof(float);
    uint8_t *block = scale_bytes + bytes <= (int64_t)UINT32_MAX ? hs_mem_alloc((size_t)(scale_bytes + bytes)) : NULL;
    if (!block) return hs_error_set(HS_ERR_MEMORY, "no memory for a weight tensor of bytes", (double)(scale_bytes + bytes), (double)hs_mem_used());
    *t = (hs_tensor){.pack = pack, .ggml_type = ggml_type, .rows = rows, .cols = cols};
    t->row_scale = scale_bytes ? (float *)(void *)block : NULL;
    t->data = block + scale_bytes;
    return HS_OK;
}

void hs_tensor_free(hs_tensor *t) {
    if (t->pack != HS_PACK_NONE) hs_mem_free(t->row_scale ? (void *)t->row_scale : t->data);
    *t = (hs_tensor){0};
}

/*
 * A power of two that brings the row's largest d and m near the top of the f16 range, so that K-quant scales (a product of
 * two numbers) keep f16's full precision and no scale becomes denormal.
 */
static float row_factor(int ggml_type, const uint8_t *row, int n_blocks) {
    float largest = 0;
    for (int b = 0; b < n_blocks; b++) {
        hs_block block;
        hs_ggml_block(ggml_type, row, b, &block);
        for (int i = 0; i < 2; i++) {
            if (fabsf(block.d[i]) > largest) largest = fabsf(block.d[i]);
            if (fabsf(block.m[i]) > largest) largest = fabsf(block.m[i]);
        }
    }
    if (!(largest > 0) || !(largest < INFINITY)) return 1;
    int exponent;
    frexpf(largest, &exponent); /* largest < 2^exponent */
    return ldexpf(1, 15 - exponent);
}

static void put_scale(uint8_t *tile, int pair, int r, float d, float m) {
    uint16_t halves[2] = {hs_f32_to_f16(d), hs_f32_to_f16(m)};
    memcpy(tile + pair * 16 + r * 2, &halves[0], 2);
    memcpy(tile + pair * 16 + 8 + r * 2, &halves[1], 2);
}

/* Writes row r (0..3) of a tile; the tile starts zeroed. */
static void put_block(hs_pack pack, uint8_t *tile, int r, const hs_block *block, float factor) {
    int pairs = pack == HS_PACK_Q6 ? 2 : 1;
    for (int i = 0; i < pairs; i++) put_scale(tile, i, r, block->d[i] * factor, block->m[i] * factor);
    uint8_t *nibbles = tile + pairs * 16, *high = nibbles + 64;
    for (int k = 0; k < HS_BLOCK; k++) {
        int v = k / 4, byte = 4 * r + k % 4, u = block->u[k];
        if (pack == HS_PACK_Q8) {
            nibbles[16 * v + byte] = (uint8_t)u;
            continue;
        }
        nibbles[v / 2 * 16 + byte] |= (uint8_t)((u & 15) << (v % 2 * 4));
        if (pack == HS_PACK_Q5) high[byte] |= (uint8_t)((u >> 4) << v);
        if (pack == HS_PACK_Q6) high[v / 4 * 16 + byte] |= (uint8_t)((u >> 4) << (v % 4 * 2));
    }
}

int hs_tensor_put_rows(hs_tensor *t, int row0, int n, const uint8_t *rows) {
    if (row0 != t->rows_loaded || row0 % 4 != 0) return hs_error_set(HS_ERR_STATE, "tensor rows out of order: first row", row0, t->rows_loaded);
    if (n < 1 || n > t->rows - row0) return hs_error_set(HS_ERR_ARGUMENT, "tensor rows beyond the end", n, t->rows - row0);
    if (n % 4 != 0 && row0 + n != t->rows) return hs_error_set(HS_ERR_ARGUMENT, "tensor rows not a multiple of 4", n, 4);
    size_t row_bytes = (size_t)hs_ggml_row_bytes(t->ggml_type, t->cols);
    t->rows_loaded += n;
    if (hs_pack_is_float(t->pack)) {
        memcpy(t->data + (size_t)row0 * row_bytes, rows, (size_t)n * row_bytes);
        return HS_OK;
    }
    int n_blocks = t->cols / HS_BLOCK, tile_bytes = hs_pack_tile_bytes(t->pack);
    for (int i = 0; i < n; i++) {
        const uint8_t *row = rows + (size_t)i * row_bytes;
        int r = i % 4;
        uint8_t *tile = t->data + (size_t)((row0 + i) / 4) * (size_t)n_blocks * (size_t)tile_bytes;
        float factor = row_factor(t->ggml_type, row, n_blocks);
        if (r == 0) {
            memset(tile, 0, (size_t)n_blocks * (size_t)tile_bytes);
            memset(t->row_scale + row0 + i, 0, 4 * sizeof(float));
        }
        t->row_scale[row0 + i] = 1 / factor;
        for (int b = 0; b < n_blocks; b++, tile += tile_bytes) {
            hs_block block;
            hs_ggml_block(t->ggml_type, row, b, &block);
            put_block(t->pack, tile, r, &block, factor);
        }
    }
    return HS_OK;
}

int hs_tile_value(hs_pack pack, const uint8_t *tile, int r, int k) {
    const uint8_t *nibbles = tile + (pack == HS_PACK_Q6 ? 32 : 16), *high = nibbles + 64;
    int v = k / 4, byte = 4 * r + k % 4;
    if (pack == HS_PACK_Q8) return nibbles[16 * v + byte];
    int u = nibbles[v / 2 * 16 + byte] >> (v % 2 * 4) & 15;
    if (pack == HS_PACK_Q5) u |= (high[byte] >> v & 1) << 4;
    if (pack == HS_PACK_Q6) u |= (high[v / 4 * 16 + byte] >> (v % 4 * 2) & 3) << 4;
    return u;
}

float hs_tile_scale(hs_pack pack, const uint8_t *tile, int r, int k, float *m) {
    const uint8_t *pair = tile + (pack == HS_PACK_Q6 && k >= 16 ? 16 : 0);
    uint16_t d16, m16;
    memcpy(&d16, pair + r * 2, 2);
    memcpy(&m16, pair + 8 + r * 2, 2);
    *m = hs_f16_to_f32(m16);
    return hs_f16_to_f32(d16);
}

void hs_tensor_row(const hs_tensor *t, int row, float *out) {
    const uint8_t *raw = t->data + (size_t)row * (size_t)t->cols * (t->pack == HS_PACK_F32 ? 4 : 2);
    switch (t->pack) {
    case HS_PACK_F32: memcpy(out, raw, (size_t)t->cols * 4); return;
    case HS_PACK_F16:
    case HS_PACK_BF16:
        for (int k = 0; k < t->cols; k++) {
            uint16_t h;
            memcpy(&h, raw + 2 * (size_t)k, 2);
            out[k] = t->pack == HS_PACK_F16 ? hs_f16_to_f32(h) : hs_bf16_to_f32(h);
        }
        return;
    default: break;
    }
    int n_blocks = t->cols / HS_BLOCK, tile_bytes = hs_pack_tile_bytes(t->pack);
    const uint8_t *tile = t->data + (size_t)(row / 4) * (size_t)n_blocks * (size_t)tile_bytes;
    for (int b = 0; b < n_blocks; b++, tile += tile_bytes) {
        for (int k = 0; k < HS_BLOCK; k++) {
            float m, d = hs_tile_scale(t->pack, tile, row % 4, k, &m);
            out[b * HS_BLOCK + k] = t->row_scale[row] * (d * (float)hs_tile_value(t->pack, tile, row % 4, k) + m);
        }
    }
}
