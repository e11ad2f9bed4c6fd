/*
 * Kernels measured alone. One driver, two builds: WebAssembly (exports below) and native by clang (main() in bench.c), so that
 * both do the same work on the same numbers. Each case has a plain C loop beside its kernel, of the same work on the plainest
 * layout, which `clang -O3 -march=native` vectorises as it likes: what the machine gives without any trick.
 */
#ifndef HS_BENCH_KERNELS_H
#define HS_BENCH_KERNELS_H

#include <stddef.h>

/* Of one pass. */
typedef struct {
    double operations; /* multiply-adds, or elements where a kernel has none */
    double bytes;      /* read, each once */
} bench_work;

typedef struct {
    const char *name;
    int a, b;                            /* parameters of prepare() */
    bench_work (*prepare)(int a, int b); /* makes the inputs, by bench_room() */
    void (*kernel)(void), (*loop)(void); /* one pass */
    double (*error)(void);               /* of the kernel's last pass: relative, against f64 on the inputs as they were given */
} bench_case;

/* Lists end with a case without a name. */
extern const bench_case bench_matrix_cases[], bench_attention_cases[], bench_vector_cases[], bench_limit_cases[];

/* Memory of a case, given back before the next one is prepared. */
void *bench_room(size_t bytes);

/* About normal, the same sequence in every build. */
float bench_normal(void);
unsigned bench_random(void);

/* |x - want| / |want| */
double bench_distance(const float *x, const double *want, int n);

/* A result that nobody reads, so that loops are not removed. */
extern volatile float bench_sink;

#endif
