/* Test Anything Protocol: ok(condition, name...) prints a line; done() gives the exit status. */
#ifndef HS_TESTS_TAP_H
#define HS_TESTS_TAP_H

#include <stdint.h>
#include <stdio.h>

static int tap_count, tap_failed;

#define ok(condition, ...) \
    do { \
        int tap_good = (condition); \
        tap_failed += !tap_good; \
        printf("%s %d - ", tap_good ? "ok" : "not ok", ++tap_count); \
        printf(__VA_ARGS__); \
        printf("\n"); \
    } while (0)

static inline int done(void) {
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

/* A fixed sequence (PCG), the same everywhere. */
static uint64_t tap_state = 0x853c49e6748fea9bULL;

static inline uint32_t random_bits(void) {
    uint64_t old = tap_state;
    tap_state = old * 6364136223846793005ULL + 0xda3e39cb94b95bdbULL;
    uint32_t shifted = (uint32_t)(((old >> 18) ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return shifted >> turn | shifted << (-turn & 31);
}

/* In -1..1. */
static inline float random_unit(void) {
    return (float)(int32_t)random_bits() * 0x1p-31f;
}

/* Nearly normal: the sum of twelve uniform numbers. */
static inline float random_normal(void) {
    float sum = 0;
    for (int i = 0; i < 12; i++) sum += random_unit();
    return sum * 0.5f;
}

#endif
