/*
 * Attention kernels in SIMD; contracts in kernels/attention.h.
 *
 * Keys come four at a time, a byte vector holding 4 keys x 4 dims, the queries' four dims broadcast: sums over dims stay
 * in the 32-bit lane of their key. The screen multiplies nibbles (0..15, the i7 operand) by int8 queries; eight vectors
 * accumulate in i16 (8 * 2*15*127 = 30480). Exact logits join both nibbles to u in 0..255 and use i32x4.dot_i16x8 with the
 * 16-bit query: 255 * 32767 * 256 dims < 2^31.
 */
#include "kernels/attention.h"

#include "base/f16.h"
#include "simd.h"

enum {
    PAIRS = 4,  /* byte vectors of nibble pairs, 8 dims each, that are unpacked at a time */
    QUERIES = 4 /* queries whose sums stay in registers */
};

/* Calls kernel(first query, number, ...) for runs of up to QUERIES queries; the number is a constant where it is inlined. */
#define BY_QUERIES(total, kernel, ...) \
    for (int query = 0; query < (total); query += QUERIES) { \
        switch (hs_min(QUERIES, (total) - query)) { \
        case 1: kernel(query, 1, __VA_ARGS__); break; \
        case 2: kernel(query, 2, __VA_ARGS__); break; \
        case 3: kernel(query, 3, __VA_ARGS__); break; \
        default: kernel(query, QUERIES, __VA_ARGS__); break; \
        } \
    }

typedef struct {
    v128_t low, high;
} eight_dims;

HS_INLINE eight_dims load_eight_i8(const void *rows, size_t at) {
    v128_t wide = wasm_i16x8_load8x8((const int8_t *)rows + at);
    return (eight_dims){wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(wide)), wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(wide))};
}

HS_INLINE eight_dims load_eight_f32(const void *rows, size_t at) {
    const float *row = (const float *)rows + at;
    return (eight_dims){wasm_v128_load(row), wasm_v128_load(row + 4)};
}

HS_INLINE void logits_q8(int query, int group, const hs_queries *q, const uint8_t *high, const uint8_t *low, const uint16_t *k_scale, int n_groups, float *out, int out_stride) {
    const v128_t low_mask = hs_kept(wasm_i8x16_splat(15)), high_mask = hs_kept(wasm_i8x16_splat((int8_t)0xf0)), byte = hs_kept(wasm_i16x8_splat(255));
    int d = q->head_dim, pairs = d / 8;
    for (int i = 0; i < n_groups; i++, high += 2 * d, low += 2 * d) {
        v128_t sum[QUERIES];
        for (int g = 0; g < group; g++) sum[g] = wasm_i32x4_splat(q->wide_offset[query + g]);
        for (int p = 0; p < pairs; p++) {
            v128_t first, second;
            hs_join_nibbles(wasm_v128_load(high + 16 * p), wasm_v128_load(low + 16 * p), low_mask, high_mask, &first, &second);
            v128_t first_even = wasm_v128_and(first, byte), first_odd = wasm_u16x8_shr(first, 8);
            v128_t second_even = wasm_v128_and(second, byte), second_odd = wasm_u16x8_shr(second, 8);
            for (int g = 0; g < group; g++) {
                v128_t w = wasm_v128_load(q->wide[query + g] + 8 * p);
                v128_t a = wasm_i32x4_add(wasm_i32x4_dot_i16x8(first_even, HS_LANE(w, 0)), wasm_i32x4_dot_i16x8(first_odd, HS_LANE(w, 1)));
                v128_t b = wasm_i32x4_add(wasm_i32x4_dot_i16x8(second_even, HS_LANE(w, 2)), wasm_i32x4_dot_i16x8(second_odd, HS_LANE(w, 3)));
                sum[g] = wasm_i32x4_add(sum[g], wasm_i32x4_add(a, b));
            }
        }
        v128_t scale = hs_load_bf16x4(k_scale + 4 * i);
        for (int g = 0; g < group; g++) {
            v128_t logit = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sum[g]), wasm_f32x4_splat(q->wide_scale[query + g]));
            wasm_v128_store(out + (query + g) * out_stride + 4 * i, wasm_f32x4_mul(logit, scale));
        }
    }
}

void hs_logits_q8(const hs_queries *q, const uint8_t *high, const uint8_t *low, const uint16_t *k_scale, int n_groups, float *out, int out_stride){
    BY_QUERIES(q -> group, logits_q8, q, high, low, k_scale, n_groups, out, out_stride)}

#ifdef HS_RELAXED
/* Four vectors of nibbles times four 32-bit lanes of narrow query. */
HS_INLINE v128_t four_dots(const v128_t *nibbles, v128_t w) {
    v128_t a = wasm_i16x8_add(hs_dot_i7(HS_LANE(w, 0), nibbles[0]), hs_dot_i7(HS_LANE(w, 1), nibbles[1]));
    v128_t b = wasm_i16x8_add(hs_dot_i7(HS_LANE(w, 2), nibbles[2]), hs_dot_i7(HS_LANE(w, 3), nibbles[3]));
    return wasm_i16x8_add(a, b);
}
#endif

/* Sum over n nibble-pair vectors of nibbles * narrow query, per key. */
HS_INLINE v128_t screen_dot(const hs_queries *q, int g, int first_pair, int n, const v128_t *nibbles) {
#ifdef HS_RELAXED
    const int8_t *w = q->narrow[g] + 8 * first_pair;
    if (n == PAIRS) return wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(four_dots(nibbles, wasm_v128_load(w)), four_dots(nibbles + 4, wasm_v128_load(w + 16))));
    v128_t sum = hs_dot_i7(wasm_v128_load32_splat(w), nibbles[0]);
    for (int v = 1; v < 2 * n; v++) sum = wasm_i16x8_add(sum, hs_dot_i7(wasm_v128_load32_splat(w + 4 * v), nibbles[v]));
    return wasm_i32x4_extadd_pairwise_i16x8(sum);
#else
    const int16_t *w = q->narrow_wide[g] + 8 * first_pair;
    v128_t sum = wasm_i32x4_splat(0);
    for (int v = 0; v < 2 * n; v++) {
        sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_v128_and(nibbles[v], wasm_i16x8_splat(255)), wasm_v128_load32_splat(w + 4 * v)));
        sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_u16x8_shr(nibbles[v], 8), wasm_v128_load32_splat(w + 4 * v + 2)));
    }
    return sum;
#endif
}

/* Adds the products of pairs p..p+n-1 of a group of four keys to the queries' sums. */
HS_INLINE void screen_pairs(int query, int group, const hs_queries *q, const uint8_t *high, int p, int n, v128_t low_mask, v128_t *sum) {
    v128_t nibbles[2 * PAIRS];
    for (int j = 0; j < n; j++) {
        v128_t raw = wasm_v128_load(high + 16 * (p + j));
        nibbles[2 * j] = wasm_v128_and(raw, low_mask);
        nibbles[2 * j + 1] = wasm_v128_and(wasm_u16x8_shr(raw, 4), low_mask);
    }
    for (int g = 0; g < group; g++) sum[g] = wasm_i32x4_add(sum[g], screen_dot(q, query + g, p, n, nibbles));
}

HS_INLINE void screen(int query, int group, const hs_queries *q, const uint8_t *high, const uint16_t *k_scale, int n_groups, float *out, int out_stride) {
    int d = q->head_dim, pairs = d / 8, whole = pairs - pairs % PAIRS;
    const v128_t low_mask = hs_kept(wasm_i8x16_splat(15)), most = hs_kept(wasm_f32x4_splat(0.5f));
    for (int i = 0; i < n_groups; i++, high += 2 * d) {
        v128_t sum[QUERIES];
        for (int g = 0; g < group; g++) sum[g] = wasm_i32x4_splat(0);
        for (int p = 0; p < whole; p += PAIRS) screen_pairs(query, group, q, high, p, PAIRS, low_mask, sum);
        if (whole < pairs) screen_pairs(query, group, q, high, whole, pairs - whole, low_mask, sum);
        v128_t scale = hs_load_bf16x4(k_scale + 4 * i), square = wasm_f32x4_mul(scale, scale);
        for (int g = 0; g < group; g++) {
            v128_t logit = hs_fma(wasm_f32x4_convert_i32x4(sum[g]), wasm_f32x4_splat(q->screen_scale[query + g]), wasm_f32x4_splat(q->screen_offset[query + g]));
            v128_t bias = wasm_f32x4_pmin(wasm_f32x4_mul(wasm_f32x4_splat(q->screen_variance[query + g]), square), most);
            wasm_v128_store(out + (query + g) * out_stride + 4 * i, wasm_f32x4_sub(wasm_f32x4_mul(logit, scale), bias));
        }
    }
}

void hs_screen(const hs_queries *q, const uint8_t *high, const uint16_t *k_scale, int n_groups, float *out, int out_stride){
    BY_QUERIES(q -> group, screen, q, high, k_scale, n_groups, out, out_stride)}

/* scale: one factor per row, or NULL for 1. */
HS_INLINE void logits_rows(int query, int group, eight_dims (*load)(const void *, size_t), const hs_queries *q, const void *rows, const uint16_t *scale, int n, float *out, int out_stride) {
    int d = q->head_dim;
    for (int j = 0; j < n; j++) {
        v128_t sum[QUERIES];
        for (int g = 0; g < group; g++) sum[g] = wasm_f32x4_splat(0);
        for (int i = 0; i < d; i += 8) {
            eight_dims key = load(rows, (size_t)j * (size_t)d + (size_t)i);
            for (int g = 0; g < group; g++) {
                sum[g] = hs_fma(key.low, wasm_v128_load(q->rows[query + g] + i), sum[g]);
                sum[g] = hs_fma(key.high, wasm_v128_load(q->rows[query + g] + i + 4), sum[g]);
            }
        }
        for (int g = 0; g < group; g++) out[(query + g) * out_stride + j] = hs_sum_f32x4(sum[g]) * (scale ? hs_bf16_to_f32(scale[j]) : 1);
    }
}

void hs_logits_rows_i8(const hs_queries *q, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride) {
    BY_QUERIES(q->group, logits_rows, load_eight_i8, q, rows, scale, n, out, out_stride)
}

static inline float sum_i32x4(v128_t v) {
    v = wasm_i32x4_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    v = wasm_i32x4_add(v, wasm_i32x4_shuffle(v, v, 1, 0, 3, 2));
    return (float)wasm_i32x4_extract_lane(v, 0);
}

HS_INLINE void wide_products(int query, int group, const hs_wide_rows *w, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride) {
    int d = w->head_dim;
    for (int j = 0; j < n; j++, rows += d) {
        v128_t sum[QUERIES];
        for (int g = 0; g < group; g++) sum[g] = wasm_i32x4_splat(0);
        for (int i = 0; i < d; i += 8) {
            v128_t row = wasm_i16x8_load8x8(rows + i);
            for (int g = 0; g < group; g++) sum[g] = wasm_i32x4_add(sum[g], wasm_i32x4_dot_i16x8(row, wasm_v128_load(w->wide[query + g] + i)));
        }
        for (int g = 0; g < group; g++) out[(query + g) * out_stride + j] = sum_i32x4(sum[g]) * w->scale[query + g] * hs_bf16_to_f32(scale[j]);
    }
}

void hs_wide_products(const hs_wide_rows *w, const int8_t *rows, const uint16_t *scale, int n, float *out, int out_stride) {
    BY_QUERIES(w->group, wide_products, w, rows, scale, n, out, out_stride)
}

void hs_logits_rows_f32(const hs_queries *q, const float *rows, int n, float *out, int out_stride){
    BY_QUERIES(q -> group, logits_rows, load_eight_f32, q, rows, NULL, n, out, out_stride)}

/* One row joins the sums of eight dims under the queries' weights. */
#define ADD_ROW(j, weight_of) \
    { \
        eight_dims value = load(rows, (size_t)(index ? index[j] : (j)) * (size_t)head_dim + (size_t)dim); \
        for (int g = 0; g < group; g++) { \
            v128_t weight = weight_of; \
            low[g] = hs_fma(value.low, weight, low[g]); \
            high[g] = hs_fma(value.high, weight, high[g]); \
        } \
    }

/* Eight dims of `group` (1..4) queries over all rows: the sums stay in registers. */
HS_INLINE void accumulate_slice(eight_dims (*load)(const void *, size_t), const float *w, int w_stride, const void *rows, int dim, const int *index, int n, int group, int head_dim, float *out) {
    v128_t low[4], high[4];
    int j = 0;
    for (int g = 0; g < group; g++) {
        low[g] = wasm_v128_load(out + g * head_dim);
        high[g] = wasm_v128_load(out + g * head_dim + 4);
    }
    for (; j + 4 <= n; j += 4) {
        v128_t four[4];
        for (int g = 0; g < group; g++) four[g] = wasm_v128_load(w + g * w_stride + j);
        ADD_ROW(j, HS_LANE(four[g], 0))
        ADD_ROW(j + 1, HS_LANE(four[g], 1))
        ADD_ROW(j + 2, HS_LANE(four[g], 2))
        ADD_ROW(j + 3, HS_LANE(four[g], 3))
    }
    for (; j < n; j++) ADD_ROW(j, wasm_v128_load32_splat(w + g * w_stride + j))
    for (int g = 0; g < group; g++) {
        wasm_v128_store(out + g * head_dim, low[g]);
        wasm_v128_store(out + g * head_dim + 4, high[g]);
    }
}

/* All dims. Loader and group size are constants where the slice is inlined. Rows come in runs that stay in the first cache. */
HS_INLINE void accumulate(int query, int group, eight_dims (*load)(const void *, size_t), const float *w, int w_stride, const void *rows, size_t row_bytes, const int *index, int n, int head_dim, float *out) {
    enum { RUN = 64 };
    for (int at = 0; at < n; at += RUN) {
        const void *from = index ? rows : (const char *)rows + (size_t)at * row_bytes;
        for (int dim = 0; dim < head_dim; dim += 8) accumulate_slice(load, w + query * w_stride + at, w_stride, from, dim, index ? index + at : NULL, hs_min(RUN, n - at), group, head_dim, out + query * head_dim + dim);
    }
}

/* Weights of int8 rows take over the rows' scales, which are read once for all queries. */
static void scale_weights(float *w, int w_stride, const uint16_t *scale, const int *index, int n, int group) {
    enum { RUN = 64 };
    float factor[RUN];
    for (int at = 0; at < n; at += RUN) {
        int run = hs_min(RUN, n - at);
        for (int j = 0; j < run; j++) factor[j] = hs_bf16_to_f32(scale[index ? index[at + j] : at + j]);
        for (int g = 0; g < group; g++) {
            float *weight = w + g * w_stride + at;
            for (int j = 0; j < run; j++) weight[j] *= factor[j];
        }
    }
}

void hs_accumulate_i8(float *w, int w_stride, const int8_t *rows, const uint16_t *scale, const int *index, int n, int group, int head_dim, float *out) {
    scale_weights(w, w_stride, scale, index, n, group);
    BY_QUERIES(group, accumulate, load_eight_i8, w, w_stride, rows, (size_t)head_dim, index, n, head_dim, out)
}

void hs_accumulate_f32(const float *w, int w_stride, const float *rows, const int *index, int n, int group, int head_dim, float *out) {
    BY_QUERIES(group, accumulate, load_eight_f32, w, w_stride, rows, (size_t)head_dim * sizeof(float), index, n, head_dim, out)
}

/* Bit i of `bits`, for i = first..first+3, as a mask of lane i - first. */
static inline v128_t mask_of_bits(unsigned bits, int first) {
    v128_t bit = wasm_i32x4_make(1 << first, 2 << first, 4 << first, 8 << first);
    return wasm_i32x4_eq(wasm_v128_and(wasm_i32x4_splat((int)bits), bit), bit);
}

static inline unsigned bits_of_masks(const v128_t mask[4]) {
    return wasm_i8x16_bitmask(wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(mask[0], mask[1]), wasm_i16x8_narrow_i32x4(mask[2], mask[3])));
}

unsigned hs_at_least_16(const float *x, float least) {
    v128_t from = wasm_f32x4_splat(least), mask[4];
    for (int v = 0; v < 4; v++) mask[v] = wasm_f32x4_ge(wasm_v128_load(x + 4 * v), from);
    return bits_of_masks(mask);
}

unsigned hs_sort_leaf(const float *w, int stride, int group, unsigned forced, const float *most, const float *least, float *unhit, float *rest) {
    v128_t hit[4], middling[4];
    for (int v = 0; v < 4; v++) {
        hit[v] = mask_of_bits(forced, 4 * v);
        middling[v] = wasm_i32x4_splat(0);
    }
    for (int g = 0; g < group; g++) {
        v128_t high = wasm_v128_load32_splat(most + g), low = wasm_v128_load32_splat(least + g);
        for (int v = 0; v < 4; v++) {
            v128_t weight = wasm_v128_load(w + g * stride + 4 * v);
            hit[v] = wasm_v128_or(hit[v], wasm_f32x4_ge(weight, high));
            middling[v] = wasm_v128_or(middling[v], wasm_f32x4_ge(weight, low));
        }
    }
    for (int v = 0; v < 4; v++) middling[v] = wasm_v128_andnot(middling[v], hit[v]);
    for (int g = 0; g < group; g++) {
        v128_t unhit_sum = wasm_f32x4_splat(0), middling_sum = unhit_sum;
        for (int v = 0; v < 4; v++) {
            v128_t weight = wasm_v128_load(w + g * stride + 4 * v);
            unhit_sum = wasm_f32x4_add(unhit_sum, wasm_v128_andnot(weight, hit[v]));
            middling_sum = wasm_f32x4_add(middling_sum, wasm_v128_and(weight, middling[v]));
        }
        unhit[g] = hs_sum_f32x4(unhit_sum);
        rest[g] = hs_sum_f32x4(wasm_f32x4_sub(unhit_sum, middling_sum));
    }
    return bits_of_masks(hit) | bits_of_masks(middling) << 16;
}

enum { STRIP = 6 };

/* `rows` (1..STRIP) rows of A against eight columns of B: twelve sums in registers. */
HS_INLINE void gemm_strip(const float *const *a, const float *b, int ldb, float *const *c, int column, int k, int rows) {
    v128_t low[STRIP], high[STRIP];
    for (int r = 0; r < rows; r++) {
        low[r] = wasm_v128_load(c[r] + column);
        high[r] = wasm_v128_load(c[r] + column + 4);
    }
    for (int l = 0; l < k; l++) {
        v128_t b0 = wasm_v128_load(b + (size_t)l * (size_t)ldb + column), b1 = wasm_v128_load(b + (size_t)l * (size_t)ldb + column + 4);
        for (int r = 0; r < rows; r++) {
            v128_t weight = wasm_v128_load32_splat(a[r] + l);
            low[r] = hs_fma(weight, b0, low[r]);
            high[r] = hs_fma(weight, b1, high[r]);
        }
    }
    for (int r = 0; r < rows; r++) {
        wasm_v128_store(c[r] + column, low[r]);
        wasm_v128_store(c[r] + column + 4, high[r]);
    }
}

void hs_gemm_f32(const float *a, int lda, const int *a_row, const float *b, int ldb, float *c, int ldc, const int *c_row, int m, int n, int k) {
    for (int i = 0; i < m; i += STRIP) {
        const float *from[STRIP];
        float *to[STRIP];
        int rows = hs_min(STRIP, m - i);
        for (int r = 0; r < rows; r++) {
            from[r] = a + (size_t)(a_row ? a_row[i + r] : i + r) * (size_t)lda;
            to[r] = c + (size_t)(c_row ? c_row[i + r] : i + r) * (size_t)ldc;
        }
        for (int j = 0; j < n; j += 8) {
            if (rows == STRIP)
                gemm_strip(from, b, ldb, to, j, k, STRIP);
            else
                gemm_strip(from, b, ldb, to, j, k, rows);
        }
    }
}
