#include "bench.h"

#include "base/hs.h"
#include "base/memory.h"

#include <math.h>
#include <stdint.h>

enum { MOST_BLOCKS = 32 };

static const bench_case *const lists[] = {bench_matrix_cases, bench_attention_cases, bench_vector_cases, bench_limit_cases};
static void *blocks[MOST_BLOCKS];
static int n_blocks;
static uint32_t state;
static const bench_case *current;
static bench_work current_work;
volatile float bench_sink;

void *bench_room(size_t bytes) {
    void *block = n_blocks < MOST_BLOCKS ? hs_mem_alloc(bytes) : NULL;
    if (!block) __builtin_trap();
    return blocks[n_blocks++] = block;
}

unsigned bench_random(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* The sum of four uniform numbers, of variance 1. */
float bench_normal(void) {
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)bench_random() * 0x1p-24f - 0.5f;
    return sum * 1.7320508f;
}

double bench_distance(const float *x, const double *want, int n) {
    double off = 0, length = 0;
    for (int i = 0; i < n; i++) {
        off += ((double)x[i] - want[i]) * ((double)x[i] - want[i]);
        length += want[i] * want[i];
    }
    return length > 0 ? sqrt(off / length) : sqrt(off);
}

static const bench_case *find(int index) {
    for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const bench_case *c = lists[i]; c->name; c++) {
            if (index-- == 0) return c;
        }
    }
    return NULL;
}

static int prepare(int index) {
    while (n_blocks > 0) hs_mem_free(blocks[--n_blocks]);
    state = 1;
    current = find(index);
    if (current) current_work = current->prepare(current->a, current->b);
    return current != NULL;
}

static void run(int loop, int passes) {
    for (int i = 0; i < passes; i++) (loop ? current->loop : current->kernel)();
}

#ifdef __wasm__
#include "abi.h"

/* Name of case `index`, NUL-terminated; 0 after the last one. */
EXPORT(hs_bench_name)
const char *bench_name(int32_t index) {
    const bench_case *c = find(index);
    return c ? c->name : NULL;
}

EXPORT(hs_bench_prepare)
int32_t bench_prepare(int32_t index) {
    return prepare(index);
}

EXPORT(hs_bench_operations)
double bench_operations(void) {
    return current_work.operations;
}

EXPORT(hs_bench_bytes)
double bench_bytes(void) {
    return current_work.bytes;
}

/* loop: 0 the kernel, 1 the plain loop. */
EXPORT(hs_bench_run)
void bench_run(int32_t loop, int32_t passes) {
    run(loop, passes);
}

EXPORT(hs_bench_error)
double bench_error(void) {
    return current->error();
}

#else
#include <stdio.h>
#include <time.h>

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Lines in, lines out: "p index" prepares: 1 or 0; "k passes" and "l passes" run the kernel or the loop: ms; "e": the error. */
int main(void) {
    char what;
    int number;
    while (scanf(" %c %d", &what, &number) == 2) {
        if (what == 'p') {
            printf("%d\n", prepare(number));
        } else if (what == 'e') {
            printf("%.9g\n", current->error());
        } else {
            double began = now_ms();
            run(what == 'l', number);
            printf("%.9g\n", now_ms() - began);
        }
        fflush(stdout);
    }
    return 0;
}
#endif
