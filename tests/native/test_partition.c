/* Partition trees in low dimension: answers against brute force on hard sets of keys; how their work grows with the keys. */
#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "hsr/partition.h"
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum { BALL,
               NORMAL,
               SPHERE,
               CUBE,
               DUPLICATED,
               COLLINEAR,
               GRID,
               CURVE,
               FAR_CLUSTER,
               ZERO,
               MIXED_NORMS,
               HUGE_NORM,
               TINY_NORM,
               KINDS } kind_of_keys;
static const char *const kind_names[KINDS] = {"ball", "normal", "sphere", "cube", "duplicated", "collinear", "grid", "moment curve", "far cluster", "zero", "mixed norms", "huge norm", "tiny norm"};

enum { MOST_DIMS = 4 };

static void make_round(kind_of_keys kind, int d, float *x) {
    double square = 0;
    for (int i = 0; i < d; i++) {
        x[i] = random_normal();
        square += (double)x[i] * (double)x[i];
    }
    double scale = kind == NORMAL ? 1 : 1 / sqrt(square);
    if (kind == BALL) scale *= pow(fabs((double)random_unit()), 1.0 / d);
    for (int i = 0; i < d; i++) x[i] = (float)((double)x[i] * scale);
}

static void make_key(kind_of_keys kind, int j, int d, float *x) {
    if (kind <= SPHERE) {
        make_round(kind, d, x);
        return;
    }
    float along = random_unit();
    for (int i = 0; i < d; i++) {
        switch (kind) {
        case CUBE: x[i] = random_unit(); break;
        case DUPLICATED: x[i] = sinf((float)(j % 7 * 17 + i)); break;
        case COLLINEAR: x[i] = along * (float)(i + 1) + 0.25f; break;
        case GRID: x[i] = roundf(4 * random_unit()); break;
        case CURVE: x[i] = (i % 2 ? sinf : cosf)((float)(i / 2 + 1) * 3 * along); break;
        case FAR_CLUSTER: x[i] = 1e6f + (float)(j % 3) + random_unit(); break;
        case MIXED_NORMS: x[i] = random_normal() * powf(10, (float)(j % 31) - 16); break;
        case HUGE_NORM: x[i] = 1e15f * random_unit(); break;
        case TINY_NORM: x[i] = 1e-40f * random_unit(); break;
        default: x[i] = 0;
        }
    }
}

static float *new_keys(kind_of_keys kind, int n, int d) {
    float *keys = malloc((size_t)n * (size_t)d * sizeof(float));
    for (int j = 0; j < n; j++) make_key(kind, j, d, keys + (size_t)j * (size_t)d);
    return keys;
}

static void make_query(int number, int d, float *q) {
    for (int i = 0; i < d; i++) q[i] = random_normal();
    switch (number) {
    case 0: memset(q, 0, (size_t)d * sizeof(float)); break;
    case 1:
        for (int i = 0; i < d; i++) q[i] = i == 0;
        break;
    case 2: /* across the collinear keys' line */
        for (int i = 0; i < d; i++) q[i] = i == 0 ? (float)d : i == d - 1 ? -1.0f
                                                                          : 0.0f;
        break;
    case 3:
        for (int i = 0; i < d; i++) q[i] *= 1e30f;
        break;
    case 4:
        for (int i = 0; i < d; i++) q[i] *= 1e-38f;
        break;
    default: break;
    }
}

typedef struct {
    float product;
    int position;
} hit;

/* The products of all keys, as the definition has them. */
static void multiply(const float *keys, int n, int d, const float *q, hit *out) {
    for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int i = 0; i < d; i++) sum += (double)q[i] * (double)keys[(size_t)j * (size_t)d + (size_t)i];
        out[j] = (hit){(float)sum, j};
    }
}

static int by_rank(const void *a, const void *b) {
    const hit *x = a, *y = b;
    if (x->product != y->product) return x->product > y->product ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

typedef struct {
    hs_partition *tree;
    int n;
    hit *all;       /* by position */
    hit *ranked;    /* by rank */
    int *positions; /* [n] */
    int *limited;   /* [n], with less room */
    float *products;
    char *seen;
} fixture;

static fixture new_fixture(hs_partition *tree, int n) {
    size_t keys = (size_t)n;
    return (fixture){tree, n, malloc(keys * sizeof(hit)), malloc(keys * sizeof(hit)), malloc(keys * sizeof(int)), malloc(keys * sizeof(int)), malloc(keys * sizeof(float)), malloc(keys)};
}

static void free_fixture(fixture *f) {
    free(f->all);
    free(f->ranked);
    free(f->positions);
    free(f->limited);
    free(f->products);
    free(f->seen);
}

/* Every key of at least b once, with its product, counted alike without arrays and with little room. */
static int report_is_right(fixture *f, const float *q, float b) {
    int want = 0;
    for (int j = 0; j < f->n; j++) want += f->all[j].product >= b;
    hs_partition_stats stats;
    if (hs_partition_report(f->tree, q, b, f->positions, f->products, f->n, &stats) != want || stats.keys_reported != want) return 0;
    memset(f->seen, 0, (size_t)f->n);
    for (int j = 0; j < want; j++) {
        const hit *key = &f->all[f->positions[j]];
        if (f->seen[key->position] || key->product != f->products[j] || key->product < b) return 0;
        f->seen[key->position] = 1;
    }
    int few = want / 2;
    for (int j = 0; j < f->n; j++) f->limited[j] = -1;
    if (hs_partition_report(f->tree, q, b, f->limited, NULL, few, NULL) != want) return 0;
    for (int j = 0; j < f->n; j++) {
        if (f->limited[j] != (j < few ? f->positions[j] : -1)) return 0;
    }
    return hs_partition_report(f->tree, q, b, NULL, NULL, 0, NULL) == want;
}

static int top_is_right(fixture *f, const float *q, int r) {
    if (hs_partition_top(f->tree, q, r, f->positions, f->products, NULL) != r) return 0;
    for (int j = 0; j < r; j++) {
        if (f->positions[j] != f->ranked[j].position || f->products[j] != f->ranked[j].product) return 0;
    }
    return 1;
}

/* Thresholds at the products of keys of several ranks, beside them, and beyond all. */
static int query_is_right(fixture *f, const float *q) {
    const int ranks[] = {0, 1, 15, 100, f->n / 2, f->n - 1};
    int right = 1;
    memcpy(f->ranked, f->all, (size_t)f->n * sizeof(hit));
    qsort(f->ranked, (size_t)f->n, sizeof(hit), by_rank);
    for (int i = 0; i < 6; i++) {
        float b = f->ranked[hs_min(ranks[i], f->n - 1)].product;
        right &= report_is_right(f, q, b) && report_is_right(f, q, nextafterf(b, INFINITY)) && report_is_right(f, q, nextafterf(b, -INFINITY));
        right &= top_is_right(f, q, hs_min(ranks[i], f->n - 1) + 1);
    }
    return right && report_is_right(f, q, 0) && report_is_right(f, q, INFINITY) && report_is_right(f, q, -INFINITY);
}

static void test_answers(void) {
    enum { QUERIES = 7 };
    const int sizes[] = {1, 15, 16, 17, 32, 33, 49, 500, 2001, 20000};
    for (int kind = 0; kind < KINDS; kind++) {
        for (int d = 1; d <= MOST_DIMS; d++) {
            int wrong = 0;
            for (int size = 0; size < 10; size++) {
                int n = sizes[size];
                float *keys = new_keys((kind_of_keys)kind, n, d);
                hs_partition *tree = hs_partition_new(keys, n, d);
                fixture f = new_fixture(tree, n);
                for (int number = 0; number < (n > 10000 ? 2 : QUERIES); number++) {
                    float q[MOST_DIMS];
                    make_query(n > 10000 ? 3 * number + 2 : number, d, q);
                    multiply(keys, n, d, q, f.all);
                    wrong += !query_is_right(&f, q);
                }
                free_fixture(&f);
                hs_partition_free(tree);
                free(keys);
            }
            ok(!wrong, "%s keys, d %d: reports and tops are those of brute force", kind_names[kind], d);
        }
    }
}

static float rth_product(const hit *all, int n, int r) {
    float top[32] = {0};
    int held = 0;
    for (int j = 0; j < n; j++) {
        float value = all[j].product;
        if (held == r && value <= top[r - 1]) continue;
        int at = held < r ? held++ : r - 1;
        for (; at > 0 && top[at - 1] < value; at--) top[at] = top[at - 1];
        top[at] = value;
    }
    return top[r - 1];
}

enum { REPORTED = 16 };

/*
 * Mean work of reporting and of finding the top, REPORTED keys each, on the outer side of random hyperplanes; for a cube, of
 * one along a face.
 */
static void mean_work(kind_of_keys kind, int n, int d, double *report, double *top) {
    const int queries = kind == CUBE ? 1 : 16;
    float *keys = new_keys(kind, n, d);
    hit *all = malloc((size_t)n * sizeof(hit));
    hs_partition *tree = hs_partition_new(keys, n, d);
    *report = *top = 0;
    for (int number = 0; number < queries; number++) {
        float q[MOST_DIMS], products[REPORTED];
        int positions[REPORTED];
        hs_partition_stats stats;
        for (int i = 0; i < d; i++) q[i] = kind == CUBE ? i == 0 : random_normal();
        multiply(keys, n, d, q, all);
        hs_partition_report(tree, q, rth_product(all, n, REPORTED), positions, products, REPORTED, &stats);
        *report += (stats.nodes_visited + stats.keys_tested) / queries;
        hs_partition_top(tree, q, REPORTED, positions, products, &stats);
        *top += (stats.nodes_visited + stats.keys_tested) / queries;
    }
    hs_partition_free(tree);
    free(all);
    free(keys);
}

/* Least squares of log work on log n. */
static double slope(const double *work, int first, int last, int step) {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (int bits = first; bits <= last; bits += step, n++) {
        double a = bits * log(2), b = log(work[bits]);
        x += a;
        y += b;
        xx += a * a;
        xy += a * b;
    }
    return (n * xy - x * y) / (n * xx - x * x);
}

static void test_growth(void) {
    enum { FIRST = 8,
           LAST = 16,
           STEP = 2 };
    const double round_limits[MOST_DIMS + 1] = {0, 0, 0.25, 0.25, 0.55}, cube_limits[MOST_DIMS + 1] = {0, 0, 0.6, 0.8, 0.9};
    for (int d = 2; d <= MOST_DIMS; d++) {
        for (int kind = BALL; kind <= CUBE; kind++) {
            double report[LAST + 1], top[LAST + 1];
            printf("# %s, d %d: nodes visited + keys tested of a report (top)", kind_names[kind], d);
            for (int bits = FIRST; bits <= LAST; bits += STEP) {
                mean_work((kind_of_keys)kind, 1 << bits, d, &report[bits], &top[bits]);
                printf(" %.0f (%.0f)", report[bits], top[bits]);
            }
            printf("\n");
            double limit = (kind == CUBE ? cube_limits : round_limits)[d], of_report = slope(report, FIRST, LAST, STEP), of_top = slope(top, FIRST, LAST, STEP);
            ok(of_report < limit && of_top < limit, "%s keys, d %d: work grows like n^%.2f, top n^%.2f, below n^%.2f", kind_names[kind], d, of_report, of_top, limit);
        }
    }
}

/* In one dimension the logarithm is proven: below a node that is crossed at most three are visited, and one of them is crossed. */
static void test_one_dimension(void) {
    enum { N = 1 << 14 };
    float *keys = malloc(N * sizeof(float));
    for (int j = 0; j < N; j++) keys[j] = (float)(j * 5 % N);
    hs_partition *tree = hs_partition_new(keys, N, 1);
    int wrong = 0;
    for (int j = 0; j < 500; j++) {
        float q = j % 2 ? 1 : -1, b = q * ((float)(j * 31) + 0.5f);
        hs_partition_stats stats;
        hs_partition_report(tree, &q, b, NULL, NULL, 0, &stats);
        wrong += stats.nodes_visited > 1 + 3 * log2(N) || stats.keys_tested > HS_PARTITION_LEAF;
    }
    ok(!wrong, "d 1: at most a logarithm of nodes and one leaf, however many keys are reported");
    hs_partition_free(tree);
    free(keys);
}

static void test_space_and_work(void) {
    enum { N = 1 << 14 };
    const double most[MOST_DIMS + 1] = {0, 11, 16.5, 22.5, 29.5};
    for (int d = 1; d <= MOST_DIMS; d++) {
        float *keys = new_keys(NORMAL, N, d);
        size_t before = hs_mem_used();
        hs_partition *tree = hs_partition_new(keys, N, d);
        size_t bytes = hs_mem_used() - before;
        ok(bytes == hs_partition_bytes(tree) && (double)bytes / N <= most[d], "d %d: %.1f bytes per key, at most %.1f", d, (double)bytes / N, most[d]);
        float q[MOST_DIMS] = {1, 2, 3, 4};
        hs_partition_stats stats;
        int n = hs_partition_report(tree, q, -1000, NULL, NULL, 0, &stats);
        ok(n == N && stats.nodes_visited == 1 && stats.keys_tested == 0, "d %d: all keys are counted at the root", d);
        n = hs_partition_report(tree, q, 1000, NULL, NULL, 0, &stats);
        ok(n == 0 && stats.nodes_visited == 1 && stats.keys_tested == 0, "d %d: none are ruled out at the root", d);
        hs_partition_free(tree);
        ok(hs_mem_used() == before, "d %d: memory is given back", d);
        free(keys);
    }
}

static void test_refusals(void) {
    float keys[20] = {1, 2, 3, 4, 5, 6, 7, 8};
    ok(!hs_partition_new(keys, 4, 0) && !hs_partition_new(keys, 4, 5), "dimensions beyond 1..4 are refused: %s", hs_error_last());
    ok(!hs_partition_new(keys, 0, 2) && !hs_partition_new(keys, HS_PARTITION_LIMIT + 1, 2), "so are too few or many keys: %s", hs_error_last());
    const float bad[] = {NAN, INFINITY, -INFINITY, 1.1e15f};
    int taken = 0;
    for (int i = 0; i < 4; i++) {
        keys[7] = bad[i];
        hs_partition *tree = hs_partition_new(keys, 4, 2);
        taken += tree != NULL;
        hs_partition_free(tree);
    }
    ok(!taken, "and keys that are not finite or too large: %s", hs_error_last());
    keys[7] = 8;
    hs_partition *tree = hs_partition_new(keys, 4, 2);
    float q[2] = {1, NAN}, products[5];
    int positions[5];
    ok(hs_partition_report(tree, q, 0, NULL, NULL, 0, NULL) == HS_ERR_ARGUMENT && hs_partition_top(tree, q, 1, positions, products, NULL) == HS_ERR_ARGUMENT, "a query that is not finite is refused: %s", hs_error_last());
    q[1] = 1;
    ok(hs_partition_report(tree, q, NAN, NULL, NULL, 0, NULL) == HS_ERR_ARGUMENT && hs_partition_report(tree, q, 0, positions, NULL, -1, NULL) == HS_ERR_ARGUMENT, "and a threshold that is no number, and negative room");
    ok(hs_partition_top(tree, q, 0, positions, products, NULL) == HS_ERR_ARGUMENT && hs_partition_top(tree, q, 5, positions, products, NULL) == HS_ERR_ARGUMENT, "and more keys than there are: %s", hs_error_last());
    hs_partition_free(tree);
}

int main(void) {
    test_answers();
    test_growth();
    test_one_dimension();
    test_space_and_work();
    test_refusals();
    return done();
}
