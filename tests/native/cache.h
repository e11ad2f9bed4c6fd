/* Caches for tests, and plain attention over them in f64. */
#ifndef HS_TESTS_CACHE_H
#define HS_TESTS_CACHE_H

#include "attention/attention.h"
#include "base/hs.h"
#include "keys.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    hs_kv kv;
    void *slab;
    float *k, *v; /* what was appended */
    int n, d, copied;
} cache;

static inline cache new_cache(kind_of_keys kind, int type, int d, int n, const hs_kv *parent) {
    hs_kv_shape shape = {.head_dim = d, .type = type, .max_chunk = 1024};
    cache c = {.n = n, .d = d, .slab = malloc(hs_kv_bytes(&shape, n, parent != NULL))};
    c.k = malloc((size_t)n * (size_t)d * sizeof(float));
    c.v = malloc((size_t)n * (size_t)d * sizeof(float));
    for (int i = 0; i < n; i++) {
        make_key(kind, i, d, c.k + (size_t)i * (size_t)d);
        for (int j = 0; j < d; j++) c.v[(size_t)i * (size_t)d + (size_t)j] = random_normal();
    }
    hs_kv_init(&c.kv, c.slab, &shape, n, parent);
    c.copied = c.kv.count;
    return c;
}

static inline void *seal_scratch(const hs_kv *kv) {
    hs_kv_shape shape = {kv->head_dim, kv->type, kv->keys_only, kv->max_chunk};
    return malloc(hs_kv_seal_scratch_bytes(&shape));
}

static inline void append(cache *c, int n, int batch, int seal) {
    void *scratch = seal_scratch(&c->kv);
    for (int end = c->kv.count + n; c->kv.count < end;) {
        size_t at = (size_t)(c->kv.count - c->copied) * (size_t)c->d;
        hs_kv_append(&c->kv, c->k + at, c->v + at, c->d, batch < end - c->kv.count ? batch : end - c->kv.count);
        if (seal) hs_kv_seal(&c->kv, scratch);
    }
    free(scratch);
}

static inline void free_cache(cache *c) {
    free(c->slab);
    free(c->k);
    free(c->v);
}

/* What the true attention of one query is, in f64 over the stored keys that `sees` accepts (all when NULL). */
typedef struct {
    double peak, mass, out[HS_MAX_HEAD_DIM];
} truth;

static inline double true_logit(const hs_kv *kv, int i, const float *q, const hs_attention_params *p) {
    float k[HS_MAX_HEAD_DIM];
    double logit = 0;
    hs_kv_key(kv, i, k);
    for (int j = 0; j < kv->head_dim; j++) logit += (double)q[j] * (double)k[j];
    logit *= (double)p->scale;
    return p->softcap > 0 ? (double)p->softcap * tanh(logit / (double)p->softcap) : logit;
}

/* By positions, written down once more: not through the code under test. */
static inline int truly_visible(const hs_kv *kv, int i, const hs_attention_params *p, int length) {
    int end = p->end > 0 && p->end < length ? p->end : length, position = hs_kv_position(kv, i);
    if (!hs_kv_is_live(kv, i) || position >= end) return 0;
    return p->window == 0 || position >= end - p->window || position < p->sinks;
}

/* Weights are exp(logit - peak) of keys with logit >= least. */
static inline truth reference_from(const hs_kv *kv, const float *q, const hs_attention_params *p, double least) {
    truth t = {.peak = -INFINITY};
    for (int pass = 0; pass < 2; pass++) {
        for (const hs_kv *part = kv; part; part = part->parent) {
            for (int i = 0; i < part->count; i++) {
                if (!truly_visible(part, i, p, hs_kv_length(kv))) continue;
                double logit = true_logit(part, i, q, p);
                if (pass == 0) t.peak = fmax(t.peak, logit);
                if (pass == 0 || logit < least) continue;
                float v[HS_MAX_HEAD_DIM];
                double weight = exp(logit - t.peak);
                hs_kv_value(part, i, v);
                t.mass += weight;
                for (int j = 0; j < kv->head_dim; j++) t.out[j] += weight * (double)v[j];
            }
        }
    }
    for (int j = 0; t.mass > 0 && j < kv->head_dim; j++) t.out[j] /= t.mass;
    return t;
}

static inline double distance(const float *out, const double *want, int d) {
    double square = 0;
    for (int j = 0; j < d; j++) square += ((double)out[j] - want[j]) * ((double)out[j] - want[j]);
    return sqrt(square);
}

static inline void random_queries(float *q, int n) {
    for (int i = 0; i < n; i++) q[i] = 2 * random_normal();
}

#endif
