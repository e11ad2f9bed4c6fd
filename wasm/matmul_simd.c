/*
 * Matrix products in SIMD.
 *
 * A weight vector holds 4 rows x 4 columns of u (quant/tensor.h). With 16-bit dots its even and its odd bytes are widened to
 * i16 and go through i32x4.dot_i16x8_s with the matching pairs of activations, broadcast to all rows: each dot adds two
 * columns to the 32-bit sum of its row. The widening is done once for all tokens of a batch.
 *
 * With relaxed SIMD, weights of up to 5 bits (Q4, Q5) stay bytes and are the i7 operand, and an activation q = 256 h + l is
 * two signed bytes, so sum(u q) = 256 sum(u h) + sum(u l), the same integers. A pair of products is at most 2 * 15 * 128 =
 * 3840 (Q4) or 7936 (Q5): sums of 8 or 4 of them stay in 16 bits. A lone token has its activations broadcast to the rows of
 * a tile; of several, four are the lanes of a vector and a row's weights are broadcast, once for all of them.
 *
 * f16 scales: (bits & 0x7fff) << 13 with the sign moved to bit 31 is the value times 2^-112; HS_ACT_SCALE restores it.
 */
#include "base/hs.h"
#include "kernels/matmul.h"
#include "simd.h"

/* Masks that the loop over blocks keeps. */
typedef struct {
    v128_t scale, nibble, byte, fifth, two;
} masks;

HS_INLINE masks keep_masks(void) {
    return (masks){hs_kept(wasm_i32x4_splat((int)0x8fffe000u)), hs_kept(wasm_i8x16_splat(15)), hs_kept(wasm_i16x8_splat(255)), hs_kept(wasm_i8x16_splat(16)), hs_kept(wasm_i8x16_splat(48))};
}

HS_INLINE v128_t scales_f16(const uint8_t *p, v128_t mask) {
    return wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(p), 13), mask);
}

/* Eight vectors of nibbles from 64 bytes. */
HS_INLINE void unpack_nibbles(const uint8_t *p, v128_t mask, v128_t u[8]) {
    for (int i = 0; i < 4; i++) {
        v128_t raw = wasm_v128_load(p + 16 * i);
        u[2 * i] = wasm_v128_and(raw, mask);
        u[2 * i + 1] = wasm_v128_and(wasm_u16x8_shr(raw, 4), mask);
    }
}

/* Shifts across byte borders are harmless: the mask keeps only bits that stayed inside their byte. */
HS_INLINE void add_fifth_bits(const uint8_t *p, v128_t mask, v128_t u[8]) {
    v128_t bits = wasm_v128_load(p);
    for (int v = 0; v < 8; v++) {
        v128_t moved = v < 4 ? wasm_i16x8_shl(bits, 4 - v) : wasm_u16x8_shr(bits, v - 4);
        u[v] = wasm_v128_or(u[v], wasm_v128_and(moved, mask));
    }
}

HS_INLINE void add_two_bits(const uint8_t *p, v128_t mask, v128_t u[8]) {
    for (int v = 0; v < 8; v++) {
        v128_t bits = wasm_v128_load(p + v / 4 * 16);
        int j = v % 4;
        v128_t moved = j < 2 ? wasm_i16x8_shl(bits, 4 - 2 * j) : wasm_u16x8_shr(bits, 2 * j - 4);
        u[v] = wasm_v128_or(u[v], wasm_v128_and(moved, mask));
    }
}

/* Whether a type's dot products are 8-bit ones here. */
HS_INLINE int is_split(hs_pack pack) {
#ifdef HS_RELAXED
    return pack == HS_PACK_Q4 || pack == HS_PACK_Q5;
#else
    (void)pack;
    return 0;
#endif
}

/*
 * The block's weights, ready for any number of tokens: u[v] are the bytes of vector v where is_split(), else u[2v], u[2v+1]
 * its even and odd bytes as i16.
 */
HS_INLINE void unpack(hs_pack pack, const uint8_t *p, const masks *mask, v128_t u[16]) {
    if (pack == HS_PACK_Q8) {
        for (int v = 0; v < 8; v++) u[v] = wasm_v128_load(p + 16 * v);
    } else {
        unpack_nibbles(p, mask->nibble, u);
    }
    if (pack == HS_PACK_Q5) add_fifth_bits(p + 64, mask->fifth, u);
    if (pack == HS_PACK_Q6) add_two_bits(p + 64, mask->two, u);
    for (int v = 7; v >= 0 && !is_split(pack); v--) {
        v128_t bytes = u[v];
        u[2 * v] = wasm_v128_and(bytes, mask->byte);
        u[2 * v + 1] = wasm_u16x8_shr(bytes, 8);
    }
}

/* Sum over vectors first..first+3 of u*q, one i32 per row. */
HS_INLINE v128_t dot_vectors(const v128_t *u, const int16_t *q, int first) {
    v128_t sum[2];
    for (int i = 0; i < 2; i++, u += 4) {
        const v128_t *w = u + 2 * first;
        v128_t eight = wasm_v128_load(q + 4 * first + 8 * i);
        v128_t even = wasm_i32x4_add(wasm_i32x4_dot_i16x8(w[0], HS_LANE(eight, 0)), wasm_i32x4_dot_i16x8(w[1], HS_LANE(eight, 1)));
        v128_t odd = wasm_i32x4_add(wasm_i32x4_dot_i16x8(w[2], HS_LANE(eight, 2)), wasm_i32x4_dot_i16x8(w[3], HS_LANE(eight, 3)));
        sum[i] = wasm_i32x4_add(even, odd);
    }
    return wasm_i32x4_add(sum[0], sum[1]);
}

/* Sum over vectors first..first+3 of u * half, signed bytes, in pairs of columns. */
HS_INLINE v128_t dot_bytes(const v128_t *u, const int8_t *half, int first) {
    v128_t sixteen = wasm_v128_load(half + 4 * first);
    v128_t a = wasm_i16x8_add(hs_dot_i7(HS_LANE(sixteen, 0), u[first]), hs_dot_i7(HS_LANE(sixteen, 1), u[first + 1]));
    v128_t b = wasm_i16x8_add(hs_dot_i7(HS_LANE(sixteen, 2), u[first + 2]), hs_dot_i7(HS_LANE(sixteen, 3), u[first + 3]));
    return wasm_i16x8_add(a, b);
}

HS_INLINE v128_t dot_half(hs_pack pack, const v128_t *u, const int8_t *half) {
    v128_t a = dot_bytes(u, half, 0), b = dot_bytes(u, half, 4);
    if (pack == HS_PACK_Q4) return wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(a, b));
    return wasm_i32x4_add(wasm_i32x4_extadd_pairwise_i16x8(a), wasm_i32x4_extadd_pairwise_i16x8(b));
}

/* Sum over the whole block of u*q, one i32 per row. */
HS_INLINE v128_t dot_block(hs_pack pack, const v128_t *u, const int16_t *q, const int8_t *split) {
    if (is_split(pack)) return wasm_i32x4_add(wasm_i32x4_shl(dot_half(pack, u, split), 8), dot_half(pack, u, split + HS_BLOCK));
    return wasm_i32x4_add(dot_vectors(u, q, 0), dot_vectors(u, q, 4));
}

/* Rows in lanes, token by token; in `split` each is alone. */
HS_INLINE void matmul_rows(hs_pack pack, const hs_tensor *w, int group, const hs_act *x, int n_tokens, float *y, int y_stride) {
    const masks mask = keep_masks();
    int tile_bytes = hs_pack_tile_bytes(pack), header = pack == HS_PACK_Q6 ? 32 : 16, lanes = n_tokens == 1 ? 1 : x->lanes;
    const uint8_t *tile = w->data + (size_t)group * (size_t)x->n_blocks * (size_t)tile_bytes;
    const int16_t *q = x->q;
    v128_t total[HS_BATCH];
    for (int t = 0; t < n_tokens; t++) total[t] = wasm_f32x4_splat(0);
    for (int b = 0; b < x->n_blocks; b++, tile += tile_bytes) {
        v128_t u[16];
        unpack(pack, tile + header, &mask, u);
        v128_t d = scales_f16(tile, mask.scale), m = scales_f16(tile + 8, mask.scale);
        v128_t d2 = d, m2 = m;
        if (pack == HS_PACK_Q6) {
            d2 = scales_f16(tile + 16, mask.scale);
            m2 = scales_f16(tile + 24, mask.scale);
        }
        for (int t = 0; t < n_tokens; t++, q += HS_BLOCK) {
            const float *numbers = hs_act_numbers(x, b, t);
            v128_t value, scale = wasm_v128_load32_splat(numbers + HS_ACT_SCALE * lanes);
            if (pack == HS_PACK_Q6) {
                v128_t sum = wasm_v128_load32_splat(numbers + HS_ACT_SUM_FIRST * lanes), sum2 = wasm_v128_load32_splat(numbers + HS_ACT_SUM_SECOND * lanes);
                v128_t first = wasm_f32x4_convert_i32x4(dot_vectors(u, q, 0));
                v128_t second = wasm_f32x4_convert_i32x4(dot_vectors(u, q, 4));
                value = hs_fma(first, d, wasm_f32x4_mul(sum, m));
                value = hs_fma(second, d2, hs_fma(sum2, m2, value));
            } else {
                v128_t dot = wasm_f32x4_convert_i32x4(dot_block(pack, u, q, x->split + (size_t)b * 2 * HS_BLOCK));
                value = hs_fma(dot, d, wasm_f32x4_mul(wasm_v128_load32_splat(numbers + HS_ACT_SUM * lanes), m));
            }
            total[t] = hs_fma(value, scale, total[t]);
        }
    }
    v128_t row_scale = wasm_v128_load(w->row_scale + 4 * (size_t)group);
    for (int t = 0; t < n_tokens; t++) wasm_v128_store(y + (size_t)t * (size_t)y_stride, wasm_f32x4_mul(total[t], row_scale));
}

/* Sum over the block of u * half for four tokens, pairs of columns; u[v] has four columns of a row in every lane. */
HS_INLINE v128_t dot_tokens(hs_pack pack, const v128_t *u, const int8_t *half) {
    v128_t sum[4];
    for (int i = 0; i < 4; i++) sum[i] = wasm_i16x8_add(hs_dot_i7(wasm_v128_load(half + 32 * i), u[2 * i]), hs_dot_i7(wasm_v128_load(half + 32 * i + 16), u[2 * i + 1]));
    v128_t a = wasm_i16x8_add(sum[0], sum[1]), b = wasm_i16x8_add(sum[2], sum[3]);
    if (pack == HS_PACK_Q4) return wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(a, b));
    return wasm_i32x4_add(wasm_i32x4_extadd_pairwise_i16x8(a), wasm_i32x4_extadd_pairwise_i16x8(b));
}

/* Row r of a tile times all tokens of a block, added to total[groups]. */
HS_INLINE void add_row(hs_pack pack, int r, const v128_t u[8], v128_t d, v128_t m, const hs_act *x, int block, v128_t *total) {
    v128_t row[8];
    for (int v = 0; v < 8; v++) row[v] = hs_lane(u[v], r);
    d = hs_lane(d, r);
    m = hs_lane(m, r);
    const int8_t *split = hs_act_split(x, block, 0);
    const float *numbers = hs_act_numbers(x, block, 0);
    for (int g = 0; g < x->groups; g++, split += 8 * HS_BLOCK, numbers += 4 * HS_ACT_NUMBERS) {
        v128_t high = dot_tokens(pack, row, split), low = dot_tokens(pack, row, split + 4 * HS_BLOCK);
        v128_t dot = wasm_f32x4_convert_i32x4(wasm_i32x4_add(wasm_i32x4_shl(high, 8), low));
        v128_t value = hs_fma(dot, d, wasm_f32x4_mul(wasm_v128_load(numbers + 4 * HS_ACT_SUM), m));
        total[g] = hs_fma(value, wasm_v128_load(numbers + 4 * HS_ACT_SCALE), total[g]);
    }
}

HS_INLINE void transpose(const v128_t in[4], v128_t out[4]) {
    v128_t a = wasm_i32x4_shuffle(in[0], in[1], 0, 4, 1, 5), b = wasm_i32x4_shuffle(in[2], in[3], 0, 4, 1, 5);
    v128_t c = wasm_i32x4_shuffle(in[0], in[1], 2, 6, 3, 7), d = wasm_i32x4_shuffle(in[2], in[3], 2, 6, 3, 7);
    out[0] = wasm_i32x4_shuffle(a, b, 0, 1, 4, 5);
    out[1] = wasm_i32x4_shuffle(a, b, 2, 3, 6, 7);
    out[2] = wasm_i32x4_shuffle(c, d, 0, 1, 4, 5);
    out[3] = wasm_i32x4_shuffle(c, d, 2, 3, 6, 7);
}

/* Tokens in lanes. */
HS_INLINE void matmul_groups(hs_pack pack, const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride) {
    const masks mask = keep_masks();
    int tile_bytes = hs_pack_tile_bytes(pack);
    const uint8_t *tile = w->data + (size_t)group * (size_t)x->n_blocks * (size_t)tile_bytes;
    v128_t total[4][HS_BATCH / 4];
    for (int r = 0; r < 4; r++)
        for (int g = 0; g < x->groups; g++) total[r][g] = wasm_f32x4_splat(0);
    for (int b = 0; b < x->n_blocks; b++, tile += tile_bytes) {
        v128_t u[16], d = scales_f16(tile, mask.scale), m = scales_f16(tile + 8, mask.scale);
        unpack(pack, tile + 16, &mask, u);
        add_row(pack, 0, u, d, m, x, b, total[0]);
        add_row(pack, 1, u, d, m, x, b, total[1]);
        add_row(pack, 2, u, d, m, x, b, total[2]);
        add_row(pack, 3, u, d, m, x, b, total[3]);
    }
    v128_t row_scale = wasm_v128_load(w->row_scale + 4 * (size_t)group);
    for (int g = 0; g < x->groups; g++) {
        v128_t columns[4] = {total[0][g], total[1][g], total[2][g], total[3][g]}, rows[4];
        transpose(columns, rows);
        for (int i = 0; i < hs_min(4, x->n_tokens - 4 * g); i++) wasm_v128_store(y + (size_t)(4 * g + i) * (size_t)y_stride, wasm_f32x4_mul(rows[i], row_scale));
    }
}

/* One token is decoding: its sum stays in a register. */
HS_INLINE void matmul_tile(hs_pack pack, const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride) {
    if (x->n_tokens == 1)
        matmul_rows(pack, w, group, x, 1, y, y_stride);
    else if (is_split(pack))
        matmul_groups(pack, w, group, x, y, y_stride);
    else
        matmul_rows(pack, w, group, x, x->n_tokens, y, y_stride);
}

void hs_matmul_tile(const hs_tensor *w, int group, const hs_act *x, float *y, int y_stride) {
    switch (w->pack) {
    case HS_PACK_Q4: matmul_tile(HS_PACK_Q4, w, group, x, y, y_stride); break;
    case HS_PACK_Q5: matmul_tile(HS_PACK_Q5, w, group, x, y, y_stride); break;
    case HS_PACK_Q6: matmul_tile(HS_PACK_Q6, w, group, x, y, y_stride); break;
    case HS_PACK_Q8: matmul_tile(HS_PACK_Q8, w, group, x, y, y_stride); break;
    default: break;
    }
}

/* Each four bytes of x to its place among those of the other lanes' tokens. */
HS_INLINE void store_fours(int8_t *out, v128_t x, int lanes) {
    if (lanes == 1) {
        wasm_v128_store(out, x);
        return;
    }
    wasm_v128_store32_lane(out, x, 0);
    wasm_v128_store32_lane(out + 16, x, 1);
    wasm_v128_store32_lane(out + 32, x, 2);
    wasm_v128_store32_lane(out + 48, x, 3);
}

void hs_act_quantize(const float *x, int first, int n, const hs_act *a) {
    for (int b = 0; b < a->n_blocks; b++) {
        int16_t *q = a->q + ((size_t)b * (size_t)a->n_tokens + (size_t)first) * HS_BLOCK;
        for (int t = first; t < first + n; t++, q += HS_BLOCK) {
            int8_t *split = hs_act_split(a, b, t);
            const float *block = x + ((size_t)t * (size_t)a->n_blocks + (size_t)b) * HS_BLOCK;
            v128_t in[8], largest = wasm_f32x4_splat(0), sums[2];
            for (int v = 0; v < 8; v++) {
                in[v] = wasm_v128_load(block + 4 * v);
                largest = wasm_f32x4_pmax(largest, wasm_f32x4_abs(in[v]));
            }
            largest = wasm_f32x4_pmax(largest, wasm_i32x4_shuffle(largest, largest, 2, 3, 0, 1));
            largest = wasm_f32x4_pmax(largest, wasm_i32x4_shuffle(largest, largest, 1, 0, 3, 2));
            float peak = wasm_f32x4_extract_lane(largest, 0);
            v128_t inverse = wasm_f32x4_splat(peak > HS_ACT_LEAST ? HS_ACT_MOST / peak : 0);
            v128_t wide[4];
            for (int v = 0; v < 4; v++) {
                v128_t low = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_mul(in[2 * v], inverse)));
                v128_t high = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_mul(in[2 * v + 1], inverse)));
                v128_t pair = wasm_i32x4_add(low, high);
                sums[v / 2] = v % 2 ? wasm_i32x4_add(sums[v / 2], pair) : pair;
                wide[v] = wasm_i16x8_narrow_i32x4(low, high);
            }
            for (int v = 0; v < 4; v += 2) {
                v128_t low[2], high[2];
                for (int i = 0; i < 2; i++) {
                    low[i] = wasm_i16x8_shr(wasm_i16x8_shl(wide[v + i], 8), 8);
                    high[i] = wasm_i16x8_shr(wasm_i16x8_sub(wide[v + i], low[i]), 8);
                }
                store_fours(split + 8 * v * a->lanes, wasm_i8x16_narrow_i16x8(high[0], high[1]), a->lanes);
                store_fours(split + (HS_BLOCK + 8 * v) * a->lanes, wasm_i8x16_narrow_i16x8(low[0], low[1]), a->lanes);
            }
            for (int v = 0; v < 4; v++) wasm_v128_store(q + 8 * v, wasm_i16x8_shuffle(wide[v], wide[v], 0, 2, 1, 3, 4, 6, 5, 7));
            float *numbers = hs_act_numbers(a, b, t), half[2];
            for (int h = 0; h < 2; h++) half[h] = hs_sum_f32x4(wasm_f32x4_convert_i32x4(sums[h]));
            numbers[HS_ACT_SCALE * a->lanes] = peak / HS_ACT_MOST * 0x1p112f;
            numbers[HS_ACT_SUM * a->lanes] = half[0] + half[1];
            numbers[HS_ACT_SUM_FIRST * a->lanes] = half[0];
            numbers[HS_ACT_SUM_SECOND * a->lanes] = half[1];
        }
    }
}

/* Four weights as f32; F16 comes out 2^-112 too small. */
HS_INLINE v128_t load_weights(hs_pack pack, const uint8_t *row, int k) {
    switch (pack) {
    case HS_PACK_F32: return wasm_v128_load(row + 4 * (size_t)k);
    case HS_PACK_BF16: return hs_load_bf16x4(row + 2 * (size_t)k);
    default: return scales_f16(row + 2 * (size_t)k, wasm_i32x4_splat((int)0x8fffe000u));
    }
}

/* Tokens go in fours, so that a converted weight vector is used four times. */
HS_INLINE void matmul_float_row(hs_pack pack, const hs_tensor *w, int row, const float *x, int n_tokens, float *y, int y_stride) {
    const uint8_t *weights = w->data + (size_t)row * (size_t)w->cols * (pack == HS_PACK_F32 ? 4 : 2);
    float factor = pack == HS_PACK_F16 ? 0x1p112f : 1;
    for (int t = 0; t < n_tokens; t += 4) {
        int n = hs_min(4, n_tokens - t);
        const float *rows[4];
        v128_t total[4];
        for (int i = 0; i < 4; i++) {
            rows[i] = x + (size_t)(t + hs_min(i, n - 1)) * (size_t)w->cols;
            total[i] = wasm_f32x4_splat(0);
        }
        for (int k = 0; k < w->cols; k += 4) {
            v128_t four = wasm_f32x4_mul(load_weights(pack, weights, k), wasm_f32x4_splat(factor));
            for (int i = 0; i < 4; i++) total[i] = hs_fma(four, wasm_v128_load(rows[i] + k), total[i]);
        }
        for (int i = 0; i < n; i++) y[(size_t)(t + i) * (size_t)y_stride] = hs_sum_f32x4(total[i]);
    }
}

void hs_matmul_float_row(const hs_tensor *w, int row, const float *x, int n_tokens, float *y, int y_stride) {
    switch (w->pack) {
    case HS_PACK_F32: matmul_float_row(HS_PACK_F32, w, row, x, n_tokens, y, y_stride); break;
    case HS_PACK_F16: matmul_float_row(HS_PACK_F16, w, row, x, n_tokens, y, y_stride); break;
    case HS_PACK_BF16: matmul_float_row(HS_PACK_BF16, w, row, x, n_tokens, y, y_stride); break;
    default: break;
    }
}
