/* Every GGUF type: repacked rows against an independent decoding, and the product kernels against their references. */
#include "base/f16.h"
#include "base/hs.h"
#include "base/memory.h"
#include "kernels/matmul.h"
#include "quant/tensor.h"
#include "self_test.h"
#include "stored_weight.h"
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 7,
       COLS = 512,
       TOKENS = 5 };

static const int types[] = {HS_GGML_Q4_0, HS_GGML_Q4_1, HS_GGML_Q5_0, HS_GGML_Q5_1, HS_GGML_Q8_0, HS_GGML_Q4_K, HS_GGML_Q5_K, HS_GGML_Q6_K};
static const char *const names[] = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"};

/* Random blocks whose f16 scales are finite, of either sign, over a wide range. */
static void random_rows(int type, uint8_t *rows, int n_blocks) {
    int bytes = hs_ggml_block_bytes(type);
    for (int i = 0; i < n_blocks * bytes; i++) rows[i] = (uint8_t)random_bits();
    for (int b = 0; b < n_blocks; b++) {
        uint8_t *block = rows + b * bytes;
        if (type == HS_GGML_Q6_K) block += 208;
        int scales = type == HS_GGML_Q4_1 || type == HS_GGML_Q5_1 || type == HS_GGML_Q4_K || type == HS_GGML_Q5_K ? 2 : 1;
        for (int i = 0; i < scales; i++) block[2 * i + 1] = (uint8_t)((block[2 * i + 1] & 0x83) | (random_bits() % 8 + 4) << 2);
    }
}

/* Products with n tokens; the first may be quantised apart from the others. */
static void test_products(const hs_tensor *w, const char *name, int n) {
    float *x = malloc((size_t)(n * COLS) * sizeof(float)), *y = calloc((size_t)n * 8, sizeof(float)), *want = calloc((size_t)n * 8, sizeof(float));
    for (int i = 0; i < n * COLS; i++) x[i] = random_normal() * (i % 97 == 0 ? 30 : 1);
    hs_act a, b;
    size_t bytes = hs_act_bytes(COLS, n);
    void *buffer[2] = {calloc(bytes, 1), calloc(bytes, 1)};
    hs_act_bind(&a, buffer[0], COLS, n);
    hs_act_bind(&b, buffer[1], COLS, n);
    hs_act_quantize(x, 0, (n + 1) / 2, &a);
    hs_act_quantize(x, (n + 1) / 2, n / 2, &a);
    hs_act_quantize_scalar(x, 0, n, &b);
    ok(memcmp(buffer[0], buffer[1], bytes) == 0, "%s: activations of %d tokens equal the reference bit by bit", name, n);
    double error = 0, largest = 0;
    for (int group = 0; group < 2; group++) {
        hs_matmul_tile(w, group, &a, y + 4 * group, 8);
        hs_matmul_tile_scalar(w, group, &b, want + 4 * group, 8);
    }
    for (int i = 0; i < n * 8; i++) {
        error = fmax(error, fabs((double)y[i] - (double)want[i]));
        largest = fmax(largest, fabs((double)want[i]));
    }
    ok(error < 2e-5 * largest, "%s: product kernel with %d tokens, relative error %.1e", name, n, error / largest);
    ok(y[7] == 0 && y[n * 8 - 1] == 0, "%s: the row beyond the last is zero", name);
    free(x);
    free(y);
    free(want);
    free(buffer[0]);
    free(buffer[1]);
}

static void test_type(int t) {
    int type = types[t], row_bytes = (int)hs_ggml_row_bytes(type, COLS), per_block = hs_ggml_block_weights(type);
    uint8_t *rows = malloc((size_t)(ROWS * row_bytes));
    random_rows(type, rows, ROWS * COLS / per_block);
    hs_tensor w;
    ok(hs_tensor_init(&w, type, ROWS, COLS) == 0 && hs_tensor_put_rows(&w, 0, 4, rows) == 0 && hs_tensor_put_rows(&w, 4, 3, rows + 4 * row_bytes) == 0, "%s: rows in two calls", names[t]);
    double worst = 0;
    for (int r = 0; r < ROWS; r++) {
        float row[COLS];
        hs_tensor_row(&w, r, row);
        double largest = 0;
        for (int k = 0; k < COLS; k++) largest = fmax(largest, fabs((double)row[k]));
        for (int k = 0; k < COLS; k++) {
            double want = stored_weight(type, rows + r * row_bytes + k / per_block * hs_ggml_block_bytes(type), k % per_block);
            worst = fmax(worst, fabs(want - (double)row[k]) / largest);
        }
    }
    ok(worst < 1e-3, "%s: repacked weights equal stored ones (%.1e of the row's largest)", names[t], worst);
    test_products(&w, names[t], TOKENS);
    test_products(&w, names[t], HS_BATCH);
    test_products(&w, names[t], 1);
    free(rows);
    hs_tensor_free(&w);
}

static void test_f16(void) {
    int wrong = 0;
    for (int h = 0; h < 0x7c00; h++) wrong += hs_f32_to_f16(hs_f16_to_f32((uint16_t)h)) != h;
    ok(wrong == 0, "every finite f16 survives f32 and back");
    ok(hs_f16_to_f32(1) == 0x1p-24f && hs_f16_to_f32(0xc000) == -2 && hs_f32_to_f16(65520) == 0x7c00, "f16 edge values");
}

static void test_float_rows(void) {
    const int float_types[] = {HS_GGML_F32, HS_GGML_F16, HS_GGML_BF16};
    for (int t = 0; t < 3; t++) {
        hs_tensor w;
        int bytes = (int)hs_ggml_row_bytes(float_types[t], COLS);
        uint8_t *row = malloc((size_t)bytes);
        for (int k = 0; k < COLS; k++) {
            float value = random_normal();
            uint32_t bits = hs_f32_to_bits(value);
            uint16_t half = float_types[t] == HS_GGML_F16 ? hs_f32_to_f16(value) : (uint16_t)(bits >> 16);
            if (t == 0)
                memcpy(row + 4 * k, &value, 4);
            else
                memcpy(row + 2 * k, &half, 2);
        }
        float x[TOKENS * COLS], y[TOKENS], want[TOKENS];
        for (int i = 0; i < TOKENS * COLS; i++) x[i] = random_normal();
        int status = hs_tensor_init(&w, float_types[t], 1, COLS);
        status |= hs_tensor_put_rows(&w, 0, 1, row);
        hs_matmul_float_row(&w, 0, x, TOKENS, y, 1);
        for (int i = 0; i < TOKENS; i++) {
            float wide[COLS];
            double sum = 0;
            hs_tensor_row(&w, 0, wide);
            for (int k = 0; k < COLS; k++) sum += (double)wide[k] * (double)x[i * COLS + k];
            want[i] = (float)sum;
        }
        double error = 0;
        for (int i = 0; i < TOKENS; i++) error = fmax(error, fabs((double)(y[i] - want[i])));
        ok(status == 0 && error < 1e-3, "float type %d: error %.1e", float_types[t], error);
        float reference[TOKENS];
        hs_matmul_float_row_scalar(&w, 0, x, TOKENS, reference, 1);
        double apart = 0;
        for (int i = 0; i < TOKENS; i++) apart = fmax(apart, fabs((double)(reference[i] - want[i])));
        ok(apart < 1e-5, "float type %d: the scalar reference, error %.1e", float_types[t], apart);
        free(row);
        hs_tensor_free(&w);
    }
}

/* A row with an infinite scale, and one of zeros, change no other row; a size beyond memory is refused, not cut to 32 bits. */
static void test_extremes(void) {
    enum { BYTES = 34 };
    uint8_t rows[4 * BYTES] = {0};
    const uint16_t one = 0x3c00, infinite = 0x7c00;
    hs_tensor w;
    float row[32];
    int wrong = 0;
    for (int r = 0; r < 4; r++) {
        if (r != 1) memcpy(rows + r * BYTES, r == 2 ? &infinite : &one, 2);
        for (int k = 0; k < 32; k++) rows[r * BYTES + 2 + k] = (uint8_t)(k + r);
    }
    int status = hs_tensor_init(&w, HS_GGML_Q8_0, 4, 32) | hs_tensor_put_rows(&w, 0, 4, rows);
    for (int r = 0; r < 4; r++) {
        hs_tensor_row(&w, r, row);
        for (int k = 0; k < 32; k++) wrong += r == 2 ? isfinite(row[k]) : row[k] != (r == 1 ? 0 : (float)(k + r));
    }
    ok(status == HS_OK && wrong == 0, "rows beside an infinite scale and zeros are what they were");
    hs_tensor_free(&w);
    ok(hs_tensor_init(&w, HS_GGML_F32, 1 << 20, 1 << 16) == HS_ERR_MEMORY && hs_tensor_init(&w, HS_GGML_Q8_0, 1 << 20, 1 << 16) == HS_ERR_MEMORY, "tensors whose bytes do not fit 32 bits are refused");
}

int main(void) {
    test_f16();
    for (unsigned t = 0; t < sizeof types / sizeof *types; t++) test_type((int)t);
    test_float_rows();
    hs_tensor w;
    ok(hs_tensor_init(&w, 9, 4, 256) < 0 && hs_tensor_init(&w, HS_GGML_Q4_K, 4, 128) < 0 && hs_tensor_init(&w, HS_GGML_F32, 0, 4) < 0, "unknown type, part of a block and no rows are refused");
    ok(hs_self_test() == 0, "the self-test of the loader passes");
    ok(hs_mem_used() == 0, "nothing stays allocated");
    test_extremes();
    return done();
}
