/* What an index should hold and answer, kept plainly beside it. */
#ifndef HS_TESTS_INDEX_MODEL_H
#define HS_TESTS_INDEX_MODEL_H

#include "hsr/index.h"
#include "keys.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KEYS = 6000,
       MAX_DIM = 256 };

/* What an index should hold, by position. */
typedef struct {
    hs_index *index;
    int d, end, live;
    float *given, *stored; /* [MAX_KEYS][d] */
    char *held;
    float *product; /* of the last query; NaN where nothing is held */
    int *order;     /* held positions */
    int *positions; /* results */
    float *products;
} model;

static inline model new_model(int d, int type, int max_chunk) {
    size_t floats = (size_t)MAX_KEYS * sizeof(float);
    return (model){
        .index = hs_index_new(d, type, max_chunk),
        .d = d,
        .given = malloc(floats * (size_t)d),
        .stored = malloc(floats * (size_t)d),
        .held = calloc(MAX_KEYS, 1),
        .product = malloc(floats),
        .order = malloc(MAX_KEYS * sizeof(int)),
        .positions = malloc(MAX_KEYS * sizeof(int)),
        .products = malloc(floats),
    };
}

static inline void free_model(model *m) {
    hs_index_free(m->index);
    free(m->given);
    free(m->stored);
    free(m->held);
    free(m->product);
    free(m->order);
    free(m->positions);
    free(m->products);
}

static inline float *row(float *rows, const model *m, int position) {
    return rows + (size_t)position * (size_t)m->d;
}

static inline void refresh(model *m) {
    m->live = 0;
    for (int p = 0; p < m->end; p++) {
        if (m->held[p]) m->order[m->live++] = p;
    }
}

/* Appends the next n given keys in one batch, and notes how they are stored. */
static inline int append_given(model *m, int n) {
    int from = m->end, status = hs_index_append(m->index, row(m->given, m, from), n);
    m->end += n;
    for (int p = from; p < m->end; p++) {
        m->held[p] = 1;
        status |= hs_index_key(m->index, p, row(m->stored, m, p));
    }
    refresh(m);
    return status;
}

/* Appends n keys of a kind, times `scale`. */
static inline int append(model *m, kind_of_keys kind, float scale, int n) {
    for (int p = m->end; p < m->end + n; p++) {
        make_key(kind, p, m->d, row(m->given, m, p));
        for (int j = 0; j < m->d; j++) row(m->given, m, p)[j] *= scale;
    }
    return append_given(m, n);
}

static inline double dot(const float *a, const float *b, int d) {
    double sum = 0;
    for (int i = 0; i < d; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Products of held keys with q; `order` is then theirs, largest first. */
static const float *sorted_products;
static inline int by_product(const void *a, const void *b) {
    int p = *(const int *)a, o = *(const int *)b;
    float x = sorted_products[p], y = sorted_products[o];
    return x > y ? -1 : x < y ? 1
                              : p - o;
}

static inline void reference(model *m, const float *q) {
    refresh(m);
    for (int p = 0; p < m->end; p++) m->product[p] = m->held[p] ? (float)dot(q, row(m->stored, m, p), m->d) : NAN;
    sorted_products = m->product;
    qsort(m->order, (size_t)m->live, sizeof(int), by_product);
}

/* Whether report and count agree with the reference for a threshold. */
static inline int reports(model *m, const float *q, float b, hs_strategy strategy, hs_index_stats *stats) {
    int n = hs_index_report(m->index, q, b, strategy, m->positions, m->products, MAX_KEYS, stats), found = 0;
    for (int p = 0; p < m->end; p++) {
        if (!(m->product[p] >= b)) continue;
        if (found >= n || m->positions[found] != p || m->products[found] != m->product[p]) return 0;
        found++;
    }
    return found == n && (int)stats->keys_reported == n && hs_index_report(m->index, q, b, strategy, NULL, NULL, 0, NULL) == n;
}

static inline int tops(model *m, const float *q, int r, float guess, hs_strategy strategy) {
    if (hs_index_top(m->index, q, r, guess, strategy, m->positions, m->products, NULL) != r) return 0;
    for (int j = 0; j < r; j++) {
        if (m->positions[j] != m->order[j] || m->products[j] != m->product[m->order[j]]) return 0;
    }
    return 1;
}

static inline void random_query(float *q, int d, float scale) {
    for (int i = 0; i < d; i++) q[i] = scale * random_normal();
}

#endif
