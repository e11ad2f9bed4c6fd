/* What bounds all kernels: reading memory, and arithmetic on data that are in the first cache. The kernel is the plain loop. */
#include "bench.h"

#include <math.h>
#include <stdint.h>

enum { MEMORY = 96 << 20, /* beyond the last cache of most machines; a model of 94 MB is read once per token */
       NEAR = 8192,
       REPEATS = 1024 };

static uint64_t *memory, sum;
static uint8_t *a;
static int8_t *b;
static float *x, *y, product;
static int32_t dot;

static bench_work prepare_memory(int unused, int bytes) {
    (void)unused;
    memory = bench_room((size_t)bytes);
    for (int i = 0; i < bytes / 8; i++) memory[i] = (uint64_t)i;
    return (bench_work){bytes / 8, bytes};
}

static void read_memory(void) {
    uint64_t total = 0;
    for (int i = 0; i < MEMORY / 8; i++) total += memory[i];
    sum = total;
    bench_sink = (float)total;
}

static double memory_error(void) {
    double n = MEMORY / 8;
    return fabs((double)sum / (n * (n - 1) / 2) - 1);
}

static bench_work prepare_bytes(int unused, int n) {
    (void)unused;
    a = bench_room((size_t)n);
    b = bench_room((size_t)n);
    for (int i = 0; i < n; i++) {
        a[i] = (uint8_t)(i % 16);
        b[i] = (int8_t)(i % 101 - 50);
    }
    return (bench_work){(double)n * REPEATS, 2.0 * n};
}

/* Each pass differs by its place, so that none can be left out. */
static void dot_bytes(void) {
    int32_t total = 0;
    for (int r = 0; r < REPEATS; r++) {
        const uint8_t *from = a + r % 16;
        int32_t part = 0;
        for (int i = 0; i < NEAR - 16; i++) part += from[i] * b[i];
        total += part;
    }
    dot = total;
    bench_sink = (float)total;
}

static double bytes_error(void) {
    int64_t want = 0;
    for (int shift = 0; shift < 16; shift++) {
        for (int i = 0; i < NEAR - 16; i++) want += REPEATS / 16 * a[shift + i] * b[i];
    }
    return (double)(want != dot);
}

static bench_work prepare_floats(int unused, int n) {
    (void)unused;
    x = bench_room((size_t)n * sizeof(float));
    y = bench_room((size_t)n * sizeof(float));
    for (int i = 0; i < n; i++) {
        x[i] = (float)(i % 7);
        y[i] = (float)(i % 5 - 2);
    }
    return (bench_work){(double)n * REPEATS, 8.0 * n};
}

static void dot_floats(void) {
#pragma clang fp reassociate(on) contract(fast)
    float total = 0;
    for (int r = 0; r < REPEATS; r++) {
        const float *from = x + r % 16;
        float part = 0;
        for (int i = 0; i < NEAR / 4 - 16; i++) part += from[i] * y[i];
        total += part;
    }
    product = total;
    bench_sink = total;
}

static double floats_error(void) {
    double want = 0;
    for (int shift = 0; shift < 16; shift++) {
        for (int i = 0; i < NEAR / 4 - 16; i++) want += REPEATS / 16 * (double)x[shift + i] * (double)y[i];
    }
    return fabs((double)product - want) / fabs(want);
}

const bench_case bench_limit_cases[] = {
    {"limit: read memory", 0, MEMORY, prepare_memory, read_memory, read_memory, memory_error},
    {"limit: int8 dot", 0, NEAR, prepare_bytes, dot_bytes, dot_bytes, bytes_error},
    {"limit: f32 dot", 0, NEAR / 4, prepare_floats, dot_floats, dot_floats, floats_error},
    {0},
};
