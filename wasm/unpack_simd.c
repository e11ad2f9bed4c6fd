/*
 * Unpacking in SIMD; contracts in kernels/unpack.h.
 *
 * Transposing goes by vectors of 4 rows x 4 columns of bytes: one byte shuffle puts each column's four bytes together, which
 * are then widened, scaled by the rows' four scales, and stored as a piece of the column.
 */
#include "kernels/unpack.h"

#include "base/hs.h"
#include "simd.h"

/* Lanes are rows, bytes of a lane its columns, signed. */
HS_INLINE void store_columns(v128_t bytes, v128_t scale, float *out, int stride) {
    v128_t columns = wasm_i8x16_shuffle(bytes, bytes, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    v128_t low = wasm_i16x8_extend_low_i8x16(columns), high = wasm_i16x8_extend_high_i8x16(columns);
    wasm_v128_store(out, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(low)), scale));
    wasm_v128_store(out + stride, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(low)), scale));
    wasm_v128_store(out + 2 * (size_t)stride, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(high)), scale));
    wasm_v128_store(out + 3 * (size_t)stride, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(high)), scale));
}

void hs_transpose_keys(const uint8_t *high, const uint8_t *low, const uint16_t *scale, int n_groups, int head_dim, float *out, int stride) {
    const v128_t low_mask = hs_kept(wasm_i8x16_splat(15)), high_mask = hs_kept(wasm_i8x16_splat((int8_t)0xf0)), offset = hs_kept(wasm_i8x16_splat((int8_t)0x80));
    for (int g = 0; g < n_groups; g++, out += 4, scale += 4) {
        v128_t scales = hs_load_bf16x4(scale);
        for (int i = 0; i < head_dim; i += 8, high += 16, low += 16) {
            v128_t first, second;
            hs_join_nibbles(wasm_v128_load(high), wasm_v128_load(low), low_mask, high_mask, &first, &second);
            /* u - 128 turns the top bit of a byte. */
            store_columns(wasm_v128_xor(first, offset), scales, out + (size_t)i * (size_t)stride, stride);
            store_columns(wasm_v128_xor(second, offset), scales, out + (size_t)(i + 4) * (size_t)stride, stride);
        }
    }
}

void hs_transpose_rows(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out, int stride) {
    for (int j = 0; j < n; j += 4) {
        const int8_t *row[4];
        uint16_t factor[4] = {0};
        for (int r = 0; r < 4; r++) {
            /* Where rows end, the last one times zero. */
            row[r] = rows + (size_t)hs_min(j + r, n - 1) * (size_t)head_dim;
            if (j + r < n) factor[r] = scale[j + r];
        }
        v128_t scales = hs_load_bf16x4(factor);
        for (int i = 0; i < head_dim; i += 4) {
            v128_t bytes = wasm_v128_load32_zero(row[0] + i);
            bytes = wasm_v128_load32_lane(row[1] + i, bytes, 1);
            bytes = wasm_v128_load32_lane(row[2] + i, bytes, 2);
            bytes = wasm_v128_load32_lane(row[3] + i, bytes, 3);
            store_columns(bytes, scales, out + (size_t)i * (size_t)stride + j, stride);
        }
    }
}

void hs_unpack_rows(const int8_t *rows, const uint16_t *scale, int n, int head_dim, float *out) {
    for (int j = 0; j < n; j++) {
        v128_t factor = wasm_i32x4_shl(wasm_i32x4_splat(scale[j]), 16);
        for (int i = 0; i < head_dim; i += 8, rows += 8, out += 8) {
            v128_t wide = wasm_i16x8_load8x8(rows);
            wasm_v128_store(out, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(wide)), factor));
            wasm_v128_store(out + 4, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(wide)), factor));
        }
    }
}
