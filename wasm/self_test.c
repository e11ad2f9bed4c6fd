#include "self_test.h"

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/vector.h"
#include "quant/ggml.h"
#include "quant/tensor.h"

#include <math.h>
#include <string.h>

enum { COLS = 256,
       TOKENS = 5,
       FILLED_UP = 8 };

static uint32_t state;
static uint32_t next_random(void) {
    return state = state * 1664525u + 1013904223u;
}

/* In -1..1. */
static float random_unit(void) {
    return (float)(int32_t)next_random() * 0x1p-31f;
}

static int close_to(const float *a, const float *b, int n, float tolerance) {
    for (int i = 0; i < n; i++) {
        if (!(fabsf(a[i] - b[i]) <= tolerance * (1 + fabsf(b[i])))) return 0;
    }
    return 1;
}

/* A tile row group times n tokens. */
static int products_agree(const hs_tensor *w, const float *x, int n) {
    static uint8_t act_buffer[2][COLS / HS_BLOCK * FILLED_UP * (HS_BLOCK * sizeof(int16_t) + 2 * HS_BLOCK + HS_ACT_NUMBERS * sizeof(float))];
    hs_act act, act_scalar;
    memset(act_buffer, 0, sizeof act_buffer);
    hs_act_bind(&act, act_buffer[0], COLS, n);
    hs_act_bind(&act_scalar, act_buffer[1], COLS, n);
    hs_act_quantize(x, 0, n, &act);
    hs_act_quantize_scalar(x, 0, n, &act_scalar);
    int ok = memcmp(act_buffer[0], act_buffer[1], sizeof act_buffer[0]) == 0;
    float y[TOKENS * 4], y_scalar[TOKENS * 4], largest = 0;
    hs_matmul_tile(w, 0, &act, y, 4);
    hs_matmul_tile_scalar(w, 0, &act, y_scalar, 4);
    for (int i = 0; i < n * 4; i++) largest = fmaxf(largest, fabsf(y_scalar[i]));
    for (int i = 0; i < n * 4; i++) ok &= fabsf(y[i] - y_scalar[i]) <= 1e-4f * largest;
    return ok;
}

/* One tile row group of the type, random bits and small scales, times several tokens and one. */
static int matmul_agrees(int type) {
    static float x[TOKENS * COLS];
    static uint8_t rows[4 * COLS * 2];
    hs_tensor w;
    if (hs_tensor_init(&w, type, 4, COLS) != 0) return 0;
    for (unsigned i = 0; i < sizeof rows; i++) rows[i] = (uint8_t)(next_random() >> 24);
    int block_bytes = hs_ggml_block_bytes(type), blocks = 4 * COLS / hs_ggml_block_weights(type);
    for (int b = 0; b < blocks; b++) {
        uint8_t *scale = rows + b * block_bytes + (type == HS_GGML_Q6_K ? 208 : 0);
        for (int i = 1; i < (type == HS_GGML_Q6_K || type == HS_GGML_Q8_0 ? 2 : 4); i += 2) scale[i] = (uint8_t)(0x18 | (scale[i] & 0x83));
    }
    for (int i = 0; i < TOKENS * COLS; i++) x[i] = random_unit();
    int ok = hs_tensor_put_rows(&w, 0, 4, rows) == 0 && products_agree(&w, x, TOKENS) && products_agree(&w, x, 1);
    hs_tensor_free(&w);
    return ok;
}

static int vectors_agree(void) {
    enum { N = 64 };
    float x[N], up[N], a[N], b[N], cs[N];
    for (int i = 0; i < N; i++) {
        x[i] = 8 * random_unit();
        up[i] = random_unit();
    }
    for (int i = 0; i < N; i += 2) {
        cs[i] = cosf(x[i]);
        cs[i + 1] = sinf(x[i]);
    }
    void (*const pairs[][2])(float *, const float *, int) = {{hs_silu_mul, hs_silu_mul_scalar}, {hs_gelu_mul, hs_gelu_mul_scalar}, {hs_add, hs_add_scalar}};
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        memcpy(a, x, sizeof a);
        memcpy(b, x, sizeof b);
        pairs[i][0](a, up, N);
        pairs[i][1](b, up, N);
        if (!close_to(a, b, N, 1e-5f)) return 0;
    }
    void (*const ropes[][2])(float *, const float *, int) = {{hs_rope_interleaved, hs_rope_interleaved_scalar}, {hs_rope_halves, hs_rope_halves_scalar}};
    for (unsigned i = 0; i < sizeof ropes / sizeof *ropes; i++) {
        memcpy(a, x, sizeof a);
        memcpy(b, x, sizeof b);
        ropes[i][0](a, cs, N / 2);
        ropes[i][1](b, cs, N / 2);
        if (!close_to(a, b, N, 1e-5f)) return 0;
    }
    hs_rmsnorm(x, up, N, 1e-5f, a);
    hs_rmsnorm_scalar(x, up, N, 1e-5f, b);
    return close_to(a, b, N, 1e-5f);
}

/* Logits of eight keys of random codes: with the products above all that uses the relaxed integer dot product. */
static int logits_agree(void) {
    enum { D = 64,
           KEYS = 8,
           GROUP = 3 };
    static hs_queries q;
    static float rows[GROUP * D];
    static uint8_t planes[2][KEYS * D / 2];
    uint16_t scale[KEYS];
    float a[GROUP * KEYS], b[GROUP * KEYS];
    for (int i = 0; i < GROUP * D; i++) rows[i] = random_unit();
    for (unsigned i = 0; i < sizeof planes; i++) planes[i / sizeof planes[0]][i % sizeof planes[0]] = (uint8_t)(next_random() >> 24);
    for (int i = 0; i < KEYS; i++) scale[i] = (uint16_t)(0x3c24 + 4 * i); /* bf16 from 0.01 on */
    hs_queries_prepare(&q, rows, GROUP, D, 0.125f);
    hs_screen(&q, planes[0], scale, KEYS / 4, a, KEYS);
    hs_screen_scalar(&q, planes[0], scale, KEYS / 4, b, KEYS);
    if (!close_to(a, b, GROUP * KEYS, 1e-5f)) return 0;
    hs_logits_q8(&q, planes[0], planes[1], scale, KEYS / 4, a, KEYS);
    hs_logits_q8_scalar(&q, planes[0], planes[1], scale, KEYS / 4, b, KEYS);
    return close_to(a, b, GROUP * KEYS, 1e-5f);
}

int hs_self_test(void) {
    static const int types[] = {HS_GGML_Q4_1, HS_GGML_Q5_1, HS_GGML_Q8_0, HS_GGML_Q6_K};
    const int n_types = sizeof types / sizeof *types;
    state = 1;
    for (int i = 0; i < n_types; i++) {
        if (!matmul_agrees(types[i])) return i + 1;
    }
    if (!vectors_agree()) return n_types + 1;
    if (!logits_agree()) return n_types + 2;
    return 0;
}
