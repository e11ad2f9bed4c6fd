/* What all fuzz targets share: numbers out of the input's bytes, rows of several kinds, and how a broken promise is reported. */
#ifndef HS_FUZZ_H
#define HS_FUZZ_H

#include "base/f16.h"
#include "base/hs.h"
#include "memory.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A promise of a header that did not hold: a finding, as a fault of a sanitizer is. */
#define must(condition) ((condition) ? (void)0 : broken(#condition, __FILE__, __LINE__))

static inline void broken(const char *promise, const char *file, int line) {
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, promise);
    abort();
}

/* An error is a code of base/hs.h. */
static inline int is_error(int status) {
    return status <= HS_ERR_ARGUMENT && status >= HS_ERR_UNSUPPORTED;
}

/* For the sanitizer: blocks are many and short-lived, and every target counts them itself. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=1:malloc_context_size=2:detect_leaks=0:detect_stack_use_after_return=0";
}

/* The bytes of an input that were not used yet; zeros follow the last one. */
typedef struct {
    const uint8_t *at, *end;
} input;

static inline input input_of(const uint8_t *data, size_t size) {
    return (input){data, data + size};
}

static inline int left(const input *in) {
    return (int)(in->end - in->at);
}

static inline uint8_t take_byte(input *in) {
    return in->at < in->end ? *in->at++ : 0;
}

static inline uint32_t take_word(input *in) {
    uint32_t word = 0;
    for (int i = 0; i < 4; i++) word |= (uint32_t)take_byte(in) << 8 * i;
    return word;
}

/* 0..n-1, n in 1..65536. */
static inline int take_below(input *in, int n) {
    int x = take_byte(in);
    if (n > 256) x |= take_byte(in) << 8;
    return x % n;
}

static inline int take_between(input *in, int low, int high) {
    return low + take_below(in, high - low + 1);
}

/* An integer that a caller may be wrong about: mostly near 0..most, else anything. */
static inline int take_int(input *in, int most) {
    static const int edges[] = {-1, INT_MIN, INT_MAX, INT_MIN + 1, INT_MAX - 15, 1 << 30, 1 << 20, -128};
    int kind = take_byte(in);
    if (kind < 208) return most >= 0 && most < 65536 ? take_below(in, most + 1) : (int)(take_word(in) % ((unsigned)most + 1));
    if (kind < 224) return (int)((unsigned)most + (unsigned)(take_byte(in) % 5) - 1);
    if (kind < 240) return edges[kind % 8];
    return (int)take_word(in);
}

/* Any float: usual ones, special ones, or any bits. */
static inline float take_float(input *in) {
    static const float special[] = {0, -0.0f, 1, -1, 1e15f, -1e15f, 3e38f, -3e38f, 1e-38f, 1e-45f, 1e-4f, 0.5f, INFINITY, -INFINITY, NAN, 1e30f};
    int kind = take_byte(in);
    if (kind < 160) return (float)(int8_t)take_byte(in) / 16;
    if (kind < 208) return special[kind % 16];
    if (kind < 224) return ldexpf((float)(int8_t)take_byte(in), (int8_t)take_byte(in) / 2);
    return hs_bits_to_f32(take_word(in));
}

/* A fast sequence of numbers in -1..1 for what need not come byte by byte. */
typedef struct {
    uint32_t state;
} sequence;

static inline sequence take_sequence(input *in) {
    return (sequence){(uint32_t)take_byte(in) * 2654435761u + take_byte(in)};
}

static inline uint32_t next_bits(sequence *s) {
    s->state = s->state * 1664525u + 1013904223u;
    return s->state >> 8;
}

static inline float next_unit(sequence *s) {
    return (float)((int)next_bits(s) - (1 << 23)) * 0x1p-23f;
}

/* How rows are made; the last ones reach the ends of what coordinates may be. */
typedef enum { ROWS_PLAIN,
               ROWS_CLUSTERED,
               ROWS_DUPLICATED,
               ROWS_ALIKE,
               ROWS_ZERO,
               ROWS_SPIKES,
               ROWS_TINY,
               ROWS_LARGE,
               ROWS_EDGES,
               ROWS_KINDS } kind_of_rows;

static inline float edge(sequence *s) {
    static const float edges[] = {1e15f, -1e15f, 0, -0.0f, 1e-45f, -1e-38f, 1, -1, 1e15f, 1e7f, -1e-20f, 3, 1e-30f, -1e15f, 65504, 0.1f};
    return edges[next_bits(s) % 16];
}

/* n rows of d floats, none beyond HS_COORDINATE_LIMIT. Returns the kind. */
static inline kind_of_rows take_rows(input *in, float *rows, int n, int d) {
    kind_of_rows kind = (kind_of_rows)take_below(in, ROWS_KINDS + 3);
    if (kind >= ROWS_KINDS) kind = ROWS_PLAIN;
    sequence s = take_sequence(in), again = s;
    for (int i = 0; i < n; i++) {
        float *row = rows + (size_t)i * (size_t)d;
        if (kind == ROWS_DUPLICATED && i % 3 == 0) s = again;
        for (int j = 0; j < d; j++) {
            float x = next_unit(&s);
            switch (kind) {
            case ROWS_CLUSTERED: row[j] = (float)((i / 40 * 7 + j * 5) % 11 - 5) + 0.1f * x; break;
            case ROWS_ALIKE: row[j] = j == 0 ? 3 : 0.01f * x; break;
            case ROWS_ZERO: row[j] = 0; break;
            case ROWS_SPIKES: row[j] = next_bits(&s) % 64 == 0 ? 300 * x : x; break;
            case ROWS_TINY: row[j] = x * 1e-38f; break;
            case ROWS_LARGE: row[j] = x * 1e15f; break;
            case ROWS_EDGES: row[j] = edge(&s); break;
            default: row[j] = 2 * x;
            }
        }
    }
    /* A few coordinates come from the input itself. */
    for (int changes = n > 0 ? take_below(in, 4) : 0; changes > 0; changes--) {
        float x = take_float(in), *at = &rows[(size_t)take_below(in, n) * (size_t)d + (size_t)take_below(in, d)];
        if (fabsf(x) <= 1e15f) *at = x;
    }
    return kind;
}

/* A number that no row may hold. */
static inline float bad_coordinate(input *in) {
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1.01e15f, -2e15f, 3.4e38f};
    return bad[take_below(in, 6)];
}

#endif
