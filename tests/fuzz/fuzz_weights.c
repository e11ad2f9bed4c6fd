/* Weights of every type from any bytes, against a plain decoding; kernels against their references; conversions of rows; checksums. */
#include "../../wasm/abi.c"
#include "../../wasm/abi_attention.c"
#include "../../wasm/abi_record.c"
#include "../native/stored_weight.h"
#include "fuzz.h"
#include "kernels/matmul.h"

enum { ROWS = 6,
       COLS = 512,
       TOKENS = 2 };

static const int types[] = {HS_GGML_Q4_0, HS_GGML_Q4_1, HS_GGML_Q5_0, HS_GGML_Q5_1, HS_GGML_Q8_0, HS_GGML_Q4_K, HS_GGML_Q5_K, HS_GGML_Q6_K, HS_GGML_F32, HS_GGML_F16, HS_GGML_BF16};
static float decoded[COLS], x[TOKENS * COLS];

/* A repacked row has f16 scales under a factor per row: within 2^-10 of its largest number. */
static void check_row(const hs_tensor *w, const uint8_t *stored, int row) {
    int per_block = hs_ggml_block_weights(w->ggml_type), block_bytes = hs_ggml_block_bytes(w->ggml_type);
    double largest = 0;
    hs_tensor_row(w, row, decoded);
    for (int k = 0; k < w->cols; k++) {
        hs_block b;
        hs_ggml_block(w->ggml_type, stored, k / HS_BLOCK, &b);
        largest = fmax(largest, fmax(fabs((double)b.d[k % 32 / 16]) * 255, fabs((double)b.m[k % 32 / 16])));
    }
    for (int k = 0; k < w->cols; k++) {
        double want = stored_weight(w->ggml_type, stored + k / per_block * block_bytes, k % per_block);
        if (isfinite(largest) && isfinite(want)) must(fabs((double)decoded[k] - want) <= largest * 0x1p-9);
    }
}

/* What the products of a row may sum to at most, whatever their signs. */
static double most_of(const hs_tensor *w, int row) {
    double most = 0;
    const uint8_t *tile = w->data + (size_t)(row / 4) * (size_t)(w->cols / HS_BLOCK) * (size_t)hs_pack_tile_bytes(w->pack);
    for (int k = 0; k < w->cols; k += 16) {
        float m, d = hs_tile_scale(w->pack, tile + (size_t)(k / HS_BLOCK) * (size_t)hs_pack_tile_bytes(w->pack), row % 4, k % HS_BLOCK, &m);
        most += 16 * (fabs((double)d) * 255 + fabs((double)m));
    }
    return most * fabs((double)w->row_scale[row]);
}

/* Products of tiles, in SIMD and as written down. */
static void multiply(input *in, const hs_tensor *w) {
    float y[TOKENS * 4], plain[TOKENS * 4];
    hs_act act;
    take_rows(in, x, TOKENS, w->cols);
    void *quantized = malloc(hs_act_bytes(w->cols, TOKENS)); /* exactly */
    hs_act_bind(&act, quantized, w->cols, TOKENS);
    hs_act_quantize(x, 0, TOKENS, &act);
    for (int row = 0; row < w->rows; row++) {
        if (row % 4 == 0) {
            hs_matmul_tile(w, row / 4, &act, y, 4);
            hs_matmul_tile_scalar(w, row / 4, &act, plain, 4);
        }
        for (int t = 0; t < TOKENS; t++) {
            float largest = 0;
            for (int k = 0; k < w->cols; k++) largest = fmaxf(largest, fabsf(x[t * w->cols + k]));
            double most = most_of(w, row) * (double)largest;
            /* Beyond 2e9 the scale of an activation leaves the floats. */
            if (largest < 1e9f && most < 1e37) must(fabs((double)y[t * 4 + row % 4] - (double)plain[t * 4 + row % 4]) <= most * 1e-5 + 1e-30);
        }
    }
    free(quantized);
}

static void tensors(input *in) {
    int type = types[take_byte(in) % 11], rows = 1 + take_byte(in) % ROWS, cols = 256 * (1 + take_byte(in) % 2), shape = take_byte(in);
    hs_tensor w;
    if (shape >= 240) {
        int status = hs_tensor_init(&w, take_int(in, 40), take_int(in, 1 << 20), take_int(in, 1 << 16));
        must(status == HS_OK || is_error(status));
        if (status == HS_OK) hs_tensor_free(&w);
        return;
    }
    must(hs_tensor_init(&w, type, rows, cols) == HS_OK);
    size_t row_bytes = (size_t)hs_ggml_row_bytes(type, cols), bytes = (size_t)rows * row_bytes;
    uint8_t *stored = malloc(bytes);
    sequence s = take_sequence(in);
    for (size_t i = 0; i < bytes; i++) stored[i] = (uint8_t)next_bits(&s);
    for (size_t i = 0, n = (size_t)left(in) / 2; i < n && i < bytes; i++) stored[i] = take_byte(in);
    int row0 = shape < 224 ? 0 : take_int(in, rows), n = shape < 208 ? rows : take_int(in, rows);
    int good = row0 == 0 && n >= 1 && n <= rows && (n % 4 == 0 || n == rows), status = hs_tensor_put_rows(&w, row0, n, stored);
    must(status == HS_OK ? good : is_error(status) && !good && w.rows_loaded == 0);
    for (int row = 0; status == HS_OK && row < n; row++) {
        if (hs_pack_is_float(w.pack))
            hs_tensor_row(&w, row, decoded);
        else
            check_row(&w, stored + (size_t)row * row_bytes, row);
    }
    if (status == HS_OK && n == rows && !hs_pack_is_float(w.pack)) multiply(in, &w);
    free(stored);
    hs_tensor_free(&w);
}

static void conversions(input *in) {
    int n = take_int(in, 64), dims = take_int(in, 16), vectors = take_int(in, 4);
    int halves = hs_min(hs_max(n, 0), 64), of = hs_min(hs_max(vectors, 0), 4), each = hs_min(hs_max(dims, 0), 16);
    uint16_t *raw = malloc(128);
    int8_t *codes = malloc((size_t)(of * each) + 1);
    float *wide = malloc(256), *rows = malloc((size_t)(of * each) * 4 + 1), scales[4];
    for (int i = 0; i < 64; i++) raw[i] = (uint16_t)(take_byte(in) | take_byte(in) << 8);
    for (int i = 0; i < of * each; i++) codes[i] = (int8_t)take_byte(in);
    for (int i = 0; i < 4; i++) scales[i] = take_float(in);
    abi_rows_from_f16(raw, hs_min(n, 64), wide);
    for (int i = 0; i < halves; i++) must(isnan(wide[i]) || hs_f32_to_f16(wide[i]) == raw[i]);
    abi_rows_from_i8(codes, scales, hs_min(vectors, 4), hs_min(dims, 16), rows);
    for (int i = 0; i < of * each; i++) must(isnan(scales[i / each]) || isinf(scales[i / each]) || rows[i] == scales[i / each] * (float)codes[i]);
    free(raw);
    free(codes);
    free(wide);
    free(rows);
}

static void checksums(input *in) {
    size_t n = (size_t)left(in);
    uint8_t *bytes = malloc(n + 1), *moved = malloc(n + 9);
    uint64_t a, b, c;
    memcpy(bytes, in->at, n);
    memcpy(moved + 3, in->at, n);
    abi_checksum(bytes, (uint32_t)n, &a);
    abi_checksum(moved + 3, (uint32_t)n, &b);
    must(a == b);
    if (n > 0) {
        bytes[n / 2] ^= 1;
        abi_checksum(bytes, (uint32_t)n, &c);
        must(c != a);
    }
    free(bytes);
    free(moved);
}

static void blocks(input *in) {
    uint32_t bytes = (uint32_t)take_int(in, 4096);
    uint32_t before = abi_memory_used();
    void *block = abi_alloc(bytes);
    must(block ? abi_memory_used() == before + bytes : bytes > 4096 && abi_last_error_code() == HS_ERR_MEMORY && abi_last_error_value() == bytes && abi_last_error_limit() >= 0);
    abi_free(block);
    must(abi_memory_used() == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int tested;
    input in = input_of(data, size);
    fuzz_fail_after(0);
    if (!tested++) must(abi_self_test() == 0 && abi_version() == ABI_VERSION && abi_batch_limit() == HS_BATCH);
    switch (take_byte(&in) % 8) {
    case 0: conversions(&in); break;
    case 1: checksums(&in); break;
    case 2: blocks(&in); break;
    default: tensors(&in); break;
    }
    must(hs_mem_used() == 0);
    return 0;
}
