/* Products of quantised matrices: with one token, as decoding has it, and with a batch, as prefill has it. */
#include "bench.h"

#include "base/f16.h"
#include "base/hs.h"
#include "model/linear.h"

#include <string.h>

enum { COLS = 1536,
       MANY_ROWS = 10240, /* beyond the second-level cache, as a model's weights are */
       FEW_ROWS = 1536,
       CHECKED_ROWS = 32 };

static hs_tensor weights;
static hs_rows rows;
static hs_linear product;
static float *x, *y;
static int tokens;

/* The plain loop's: one code per byte, or two per byte for Q4; a scale and an offset per block. */
static uint8_t *codes;
static float *scales, *offsets, *act_scales, *act_sums;
static int16_t *acts;

/* Random codes; scales of about 1/100. */
static void fill_block(int type, uint8_t *block, int bytes) {
    for (int i = 0; i < bytes; i++) block[i] = (uint8_t)bench_random();
    uint16_t d = hs_f32_to_f16(0.008f + 0.004f * (float)(bench_random() & 255) / 255), m = hs_f32_to_f16(-0.1f);
    switch (type) {
    case HS_GGML_Q4_1:
    case HS_GGML_Q5_1:
        memcpy(block, &d, 2);
        memcpy(block + 2, &m, 2);
        break;
    case HS_GGML_Q8_0: memcpy(block, &d, 2); break;
    case HS_GGML_Q6_K: memcpy(block + 208, &d, 2); break;
    default:
        for (int i = 0; i < bytes; i += 2) {
            uint16_t value = hs_f32_to_f16(bench_normal());
            memcpy(block + i, &value, 2);
        }
    }
}

static void make_weights(int type, int n) {
    enum { STEP = 16 };
    int block_bytes = hs_ggml_block_bytes(type), per_block = hs_ggml_block_weights(type);
    /* One weight per "block" of a float type. */
    int filled = per_block == 1 ? COLS * block_bytes : block_bytes;
    size_t row_bytes = (size_t)hs_ggml_row_bytes(type, COLS);
    uint8_t *file = bench_room(STEP * row_bytes);
    for (size_t at = 0; at < STEP * row_bytes; at += (size_t)filled) fill_block(type, file + at, filled);
    hs_tensor_free(&weights);
    if (hs_tensor_init(&weights, type, n, COLS) != HS_OK) __builtin_trap();
    for (int row = 0; row < n; row += STEP) {
        if (hs_tensor_put_rows(&weights, row, STEP, file) != HS_OK) __builtin_trap();
    }
}

static void make_plain(int n) {
    size_t blocks = (size_t)n * COLS / HS_BLOCK;
    codes = bench_room((size_t)n * COLS * 2);
    scales = bench_room(blocks * sizeof(float));
    offsets = bench_room(blocks * sizeof(float));
    for (size_t i = 0; i < (size_t)n * COLS * 2; i++) codes[i] = (uint8_t)(i * 37);
    for (size_t i = 0; i < blocks; i++) {
        scales[i] = 0.01f;
        offsets[i] = -0.1f;
    }
    acts = bench_room((size_t)tokens * COLS * sizeof(int16_t));
    act_scales = bench_room((size_t)tokens * COLS / HS_BLOCK * sizeof(float));
    act_sums = bench_room((size_t)tokens * COLS / HS_BLOCK * sizeof(float));
    for (int i = 0; i < tokens * COLS; i++) acts[i] = (int16_t)(1000 * x[i]);
    for (int i = 0; i < tokens * COLS / HS_BLOCK; i++) act_scales[i] = act_sums[i] = 1;
}

static bench_work prepare(int type, int n_tokens) {
    int n = n_tokens == 1 ? MANY_ROWS : FEW_ROWS;
    tokens = n_tokens;
    make_weights(type, n);
    x = bench_room((size_t)tokens * COLS * sizeof(float));
    for (int i = 0; i < tokens * COLS; i++) x[i] = bench_normal();
    y = bench_room((size_t)tokens * (size_t)n * sizeof(float));
    rows = hs_rows_make(x, COLS, tokens, bench_room(hs_act_bytes(COLS, tokens)));
    hs_rows_quantize(&rows, 0, tokens);
    product = (hs_linear){&weights, NULL, y};
    make_plain(n);
    double each = (double)hs_pack_tile_bytes(weights.pack) / (4 * HS_BLOCK);
    return (bench_work){(double)n * COLS * tokens, (double)n * COLS * (hs_pack_is_float(weights.pack) ? 2 : each)};
}

static void kernel(void) {
    hs_linear_run(&product, 1, &rows);
}

static inline int32_t dot_nibbles(const uint8_t *restrict u, const int16_t *restrict q) {
    int32_t sum = 0;
    for (int i = 0; i < HS_BLOCK / 2; i++) sum += (u[i] & 15) * q[i] + (u[i] >> 4) * q[HS_BLOCK / 2 + i];
    return sum;
}

static inline int32_t dot_bytes(const uint8_t *restrict u, const int16_t *restrict q) {
    int32_t sum = 0;
    for (int i = 0; i < HS_BLOCK; i++) sum += u[i] * q[i];
    return sum;
}

static inline void plain_product(int bits) {
    enum { BLOCKS = COLS / HS_BLOCK };
    for (int row = 0; row < weights.rows; row++) {
        for (int t = 0; t < tokens; t++) {
            float sum = 0;
            for (int b = 0; b < BLOCKS; b++) {
                size_t at = (size_t)row * BLOCKS + (size_t)b, act = (size_t)t * BLOCKS + (size_t)b;
                const int16_t *q = acts + act * HS_BLOCK;
                int32_t dot = bits == 4 ? dot_nibbles(codes + at * HS_BLOCK / 2, q) : dot_bytes(codes + at * HS_BLOCK, q);
                sum += act_scales[act] * (scales[at] * (float)dot + offsets[at] * act_sums[act]);
            }
            y[(size_t)t * (size_t)weights.rows + (size_t)row] = sum;
        }
    }
}

/* Bits moved into an f32 are the value times 2^-112. */
static inline float plain_f16(const uint16_t *restrict w, const float *restrict in) {
#pragma clang fp reassociate(on) contract(fast)
    float sum = 0;
    for (int i = 0; i < COLS; i++) sum += hs_bits_to_f32((uint32_t)(w[i] & 0x8000) << 16 | (uint32_t)(w[i] & 0x7fff) << 13) * in[i];
    return sum * 0x1p112f;
}

static void loop(void) {
    if (weights.pack == HS_PACK_Q4) {
        plain_product(4);
    } else if (!hs_pack_is_float(weights.pack)) {
        plain_product(8);
    } else {
        for (int row = 0; row < weights.rows; row++) {
            for (int t = 0; t < tokens; t++) y[(size_t)t * (size_t)weights.rows + (size_t)row] = plain_f16((const uint16_t *)(const void *)codes + (size_t)row * COLS, x + t * COLS);
        }
    }
    bench_sink = y[0];
}

static double error(void) {
    static double want[HS_BATCH * CHECKED_ROWS];
    static float got[HS_BATCH * CHECKED_ROWS], row[COLS];
    for (int r = 0; r < CHECKED_ROWS; r++) {
        hs_tensor_row(&weights, r, row);
        for (int t = 0; t < tokens; t++) {
            double sum = 0;
            for (int i = 0; i < COLS; i++) sum += (double)row[i] * (double)x[t * COLS + i];
            want[r * tokens + t] = sum;
            got[r * tokens + t] = y[(size_t)t * (size_t)weights.rows + (size_t)r];
        }
    }
    return bench_distance(got, want, CHECKED_ROWS * tokens);
}

#define PRODUCT(name, type, tokens) {name, type, tokens, prepare, kernel, loop, error}

const bench_case bench_matrix_cases[] = {
    PRODUCT("matvec Q4_1", HS_GGML_Q4_1, 1),
    PRODUCT("matvec Q5_1", HS_GGML_Q5_1, 1),
    PRODUCT("matvec Q6_K", HS_GGML_Q6_K, 1),
    PRODUCT("matvec Q8_0", HS_GGML_Q8_0, 1),
    PRODUCT("matvec F16", HS_GGML_F16, 1),
    PRODUCT("gemm Q4_1, 128 tokens", HS_GGML_Q4_1, 128),
    PRODUCT("gemm Q5_1, 128 tokens", HS_GGML_Q5_1, 128),
    PRODUCT("gemm Q6_K, 128 tokens", HS_GGML_Q6_K, 128),
    PRODUCT("gemm Q8_0, 128 tokens", HS_GGML_Q8_0, 128),
    {0},
};
