/* Steps on rows of activations; each is repeated over some rows, as a batch or a layer's heads are. */
#include "bench.h"

#include "kernels/vector.h"
#include "model/linear.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64,
       ROPE_PAIRS = 32 };

static float *x, *y, *other;
static int width;
static hs_rows rows;

static bench_work prepare(int n, int unused) {
    (void)unused;
    width = n;
    size_t bytes = (size_t)ROWS * (size_t)n * sizeof(float);
    x = bench_room(bytes);
    y = bench_room(bytes);
    other = bench_room(bytes);
    for (int i = 0; i < ROWS * n; i++) {
        x[i] = bench_normal();
        other[i] = bench_normal();
    }
    return (bench_work){(double)ROWS * n, 4.0 * ROWS * n};
}

static double distance_of(double (*want_of)(int i)) {
    static double want[ROWS * 2048];
    for (int i = 0; i < ROWS * width; i++) want[i] = want_of(i);
    return bench_distance(y, want, ROWS * width);
}

/* The kernel works in place. */
static void exponential(void) {
    memcpy(y, x, (size_t)ROWS * (size_t)width * sizeof(float));
    for (int r = 0; r < ROWS; r++) bench_sink = hs_exp_sum(y + r * width, width, 1);
}

static void exponential_loop(void) {
#pragma clang fp reassociate(on) contract(fast)
    for (int r = 0; r < ROWS; r++) {
        float sum = 0;
        for (int i = r * width; i < (r + 1) * width; i++) sum += y[i] = expf(x[i] - 1);
        bench_sink = sum;
    }
}

static double exponential_of(int i) {
    return exp((double)x[i] - 1);
}

static double exponential_error(void) {
    return distance_of(exponential_of);
}

static void norm(void) {
    for (int r = 0; r < ROWS; r++) hs_rmsnorm(x + r * width, other, width, 1e-5f, y + r * width);
}

static void norm_loop(void) {
#pragma clang fp reassociate(on) contract(fast)
    for (int r = 0; r < ROWS; r++) {
        const float *restrict in = x + r * width;
        float *restrict to = y + r * width, square = 0;
        for (int i = 0; i < width; i++) square += in[i] * in[i];
        float inverse = 1 / sqrtf(square / (float)width + 1e-5f);
        for (int i = 0; i < width; i++) to[i] = in[i] * inverse * other[i];
    }
    bench_sink = y[0];
}

static double norm_of(int i) {
    const float *row = x + i / width * width;
    double square = 0;
    for (int j = 0; j < width; j++) square += (double)row[j] * (double)row[j];
    return (double)x[i] / sqrt(square / width + 1e-5) * (double)other[i % width];
}

static double norm_error(void) {
    return distance_of(norm_of);
}

/* Cosines and sines: other [2 * ROPE_PAIRS]. */
static bench_work prepare_rope(int n, int unused) {
    bench_work work = prepare(n, unused);
    for (int i = 0; i < ROPE_PAIRS; i++) {
        other[2 * i] = cosf((float)i);
        other[2 * i + 1] = sinf((float)i);
    }
    return work;
}

static void rope(void) {
    memcpy(y, x, (size_t)ROWS * (size_t)width * sizeof(float));
    for (int at = 0; at < ROWS * width; at += 2 * ROPE_PAIRS) hs_rope_interleaved(y + at, other, ROPE_PAIRS);
}

static void rope_loop(void) {
    for (int at = 0; at < ROWS * width; at += 2 * ROPE_PAIRS) {
        const float *restrict in = x + at;
        float *restrict to = y + at;
        for (int i = 0; i < 2 * ROPE_PAIRS; i += 2) {
            to[i] = in[i] * other[i] - in[i + 1] * other[i + 1];
            to[i + 1] = in[i] * other[i + 1] + in[i + 1] * other[i];
        }
    }
    bench_sink = y[0];
}

static double rope_of(int i) {
    int pair = i & ~1, at = pair % (2 * ROPE_PAIRS);
    double a = (double)x[pair], b = (double)x[pair + 1], c = (double)other[at], s = (double)other[at + 1];
    return i % 2 == 0 ? a * c - b * s : a * s + b * c;
}

static double rope_error(void) {
    return distance_of(rope_of);
}

static void silu(void) {
    memcpy(y, x, (size_t)ROWS * (size_t)width * sizeof(float));
    for (int r = 0; r < ROWS; r++) hs_silu_mul(y + r * width, other + r * width, width);
}

static void silu_loop(void) {
#pragma clang fp reassociate(on) contract(fast)
    for (int i = 0; i < ROWS * width; i++) y[i] = x[i] / (1 + expf(-x[i])) * other[i];
    bench_sink = y[0];
}

static double silu_of(int i) {
    return (double)x[i] / (1 + exp(-(double)x[i])) * (double)other[i];
}

static double silu_error(void) {
    return distance_of(silu_of);
}

static bench_work prepare_quantize(int n, int unused) {
    bench_work work = prepare(n, unused);
    rows = hs_rows_make(x, n, ROWS, bench_room(hs_act_bytes(n, ROWS)));
    return work;
}

static void quantize(void) {
    hs_rows_quantize(&rows, 0, ROWS);
}

/* To int16, as y's bytes. */
static void quantize_loop(void) {
#pragma clang fp reassociate(on) contract(fast)
    int16_t *to = (int16_t *)(void *)y;
    for (int at = 0; at < ROWS * width; at += HS_BLOCK) {
        float largest = 0;
        for (int i = at; i < at + HS_BLOCK; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        float inverse = HS_ACT_MOST / largest;
        for (int i = at; i < at + HS_BLOCK; i++) to[i] = (int16_t)rintf(x[i] * inverse);
    }
    bench_sink = (float)to[0];
}

static double quantize_error(void) {
    double off = 0, length = 0;
    for (int t = 0; t < ROWS; t++) {
        for (int i = 0; i < width; i++) {
            double scale = (double)*hs_act_numbers(&rows.quantized, i / HS_BLOCK, t) * 0x1p-112;
            double value = (double)x[t * width + i], got = scale * hs_act_value(&rows.quantized, i / HS_BLOCK, t, i % HS_BLOCK);
            off += (got - value) * (got - value);
            length += value * value;
        }
    }
    return sqrt(off / length);
}

const bench_case bench_vector_cases[] = {
    {"exp", 256, 0, prepare, exponential, exponential_loop, exponential_error},
    {"rmsnorm, 576", 576, 0, prepare, norm, norm_loop, norm_error},
    {"rope, 9 heads", 576, 0, prepare_rope, rope, rope_loop, rope_error},
    {"silu, 1536", 1536, 0, prepare, silu, silu_loop, silu_error},
    {"quantise, 576", 576, 0, prepare_quantize, quantize, quantize_loop, quantize_error},
    {0},
};
