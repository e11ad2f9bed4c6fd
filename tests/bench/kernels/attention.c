/* What a decode step does with stored keys, leaves and values; and the matrix product of prefill attention. */
#include "bench.h"

#include "attention/query_block.h"
#include "attention/softmax.h"
#include "base/f16.h"
#include "base/hs.h"
#include "kernels/attention.h"
#include "kernels/vector.h"
#include "kv/kv.h"

#include <math.h>
#include <string.h>

enum { D = 64,
       KEYS = 65536, /* 8 MB: beyond the second-level cache, as the caches of a model's layers are together */
       PICKED = KEYS / 16,
       CHECKED = 256,
       BLOCK_ROWS = 3 * HS_BATCH };

static hs_kv kv;
static hs_queries queries;
static hs_wide_rows wide;
static int group;
static float *q, *k, *v, *out, *weights, *copy, *logits;
static int *picked;

/* The plain loops' keys and values in order; the queries as integers. */
static uint8_t *nibbles;
static int8_t *bytes, *narrow;
static int16_t *wide_q;
static float *scale;
static uint16_t *packed_scale;

static void make_queries(int n_queries) {
    group = n_queries;
    q = bench_room((size_t)group * D * sizeof(float));
    narrow = bench_room((size_t)group * D);
    wide_q = bench_room((size_t)group * D * sizeof(int16_t));
    for (int i = 0; i < group * D; i++) {
        q[i] = 2 * bench_normal();
        narrow[i] = (int8_t)(20 * q[i]);
        wide_q[i] = (int16_t)(4000 * q[i]);
    }
    hs_queries_prepare(&queries, q, group, D, 0.125f);
    wide.group = group;
    wide.head_dim = D;
    for (int g = 0; g < group; g++) hs_widen(&wide, g, queries.rows[g], D);
}

static void make_plain(int n) {
    nibbles = bench_room((size_t)n * D / 2);
    bytes = bench_room((size_t)n * D);
    scale = bench_room((size_t)n * sizeof(float));
    packed_scale = bench_room((size_t)n * sizeof(uint16_t));
    for (int i = 0; i < n * D / 2; i++) nibbles[i] = (uint8_t)bench_random();
    for (int i = 0; i < n * D; i++) bytes[i] = (int8_t)bench_random();
    for (int i = 0; i < n; i++) {
        packed_scale[i] = hs_f32_to_bf16_up(0.01f + 0.0001f * (float)(i % 50));
        scale[i] = hs_bf16_to_f32(packed_scale[i]);
    }
}

static void make_keys(void) {
    const hs_kv_shape shape = {.head_dim = D, .type = HS_KV_Q8, .max_chunk = HS_CHUNK};
    k = bench_room((size_t)KEYS * D * sizeof(float));
    v = bench_room((size_t)KEYS * D * sizeof(float));
    for (int i = 0; i < KEYS * D; i++) {
        k[i] = bench_normal();
        v[i] = bench_normal();
    }
    hs_kv_init(&kv, bench_room(hs_kv_bytes(&shape, KEYS, 0)), &shape, KEYS, NULL);
    hs_kv_append(&kv, k, v, D, KEYS);
}

static double product(int g, const float *key) {
    double sum = 0;
    for (int i = 0; i < D; i++) sum += (double)queries.rows[g][i] * (double)key[i];
    return sum;
}

/* Of logits out [group][KEYS] against the keys as they were given. */
static double logits_error(void) {
    static double want[HS_MAX_GROUP * CHECKED];
    static float got[HS_MAX_GROUP * CHECKED];
    for (int g = 0; g < group; g++) {
        for (int j = 0; j < CHECKED; j++) {
            want[g * CHECKED + j] = product(g, k + j * D);
            got[g * CHECKED + j] = out[(size_t)g * KEYS + (size_t)j];
        }
    }
    return bench_distance(got, want, group * CHECKED);
}

static bench_work prepare_keys(int n_queries, int bits) {
    make_queries(n_queries);
    make_keys();
    make_plain(KEYS);
    out = bench_room((size_t)group * KEYS * sizeof(float));
    return (bench_work){(double)KEYS * D * group, (double)KEYS * (D * bits / 8 + 2)};
}

static void screen(void) {
    hs_screen(&queries, kv.k_high, kv.k_scale, KEYS / 4, out, KEYS);
}

static void screen_loop(void) {
    for (int j = 0; j < KEYS; j++) {
        const uint8_t *restrict key = nibbles + (size_t)j * D / 2;
        for (int g = 0; g < group; g++) {
            const int8_t *restrict query = narrow + g * D;
            int32_t sum = 0;
            for (int i = 0; i < D / 2; i++) sum += (key[i] & 15) * query[i] + (key[i] >> 4) * query[D / 2 + i];
            out[(size_t)g * KEYS + (size_t)j] = scale[j] * (float)sum;
        }
    }
    bench_sink = out[0];
}

static void logits_q8(void) {
    hs_logits_q8(&queries, kv.k_high, kv.k_low, kv.k_scale, KEYS / 4, out, KEYS);
}

/* Of int8 rows by 16-bit queries, for n rows. */
static void rows_loop(int n) {
    for (int j = 0; j < n; j++) {
        const int8_t *restrict key = bytes + (size_t)j * D;
        for (int g = 0; g < group; g++) {
            const int16_t *restrict query = wide_q + g * D;
            int32_t sum = 0;
            for (int i = 0; i < D; i++) sum += key[i] * query[i];
            out[(size_t)g * KEYS + (size_t)j] = scale[j] * (float)sum;
        }
    }
    bench_sink = out[0];
}

static void all_rows_loop(void) {
    rows_loop(KEYS);
}

static bench_work prepare_leaves(int n_queries, int unused) {
    (void)unused;
    make_queries(n_queries);
    make_plain(KEYS);
    out = bench_room((size_t)group * KEYS * sizeof(float));
    return (bench_work){(double)KEYS * D * group, (double)KEYS * (D + 2)};
}

static void score_leaves(void) {
    hs_wide_products(&wide, bytes, packed_scale, KEYS, out, KEYS);
}

static double score_error(void) {
    static double want[HS_MAX_GROUP * CHECKED];
    static float got[HS_MAX_GROUP * CHECKED];
    for (int g = 0; g < group; g++) {
        for (int j = 0; j < CHECKED; j++) {
            double sum = 0;
            for (int i = 0; i < D; i++) sum += (double)queries.rows[g][i] * (double)bytes[j * D + i];
            want[g * CHECKED + j] = sum * (double)scale[j];
            got[g * CHECKED + j] = out[(size_t)g * KEYS + (size_t)j];
        }
    }
    return bench_distance(got, want, group * CHECKED);
}

static bench_work prepare_weights(int n_queries, int unused) {
    (void)unused;
    make_queries(n_queries);
    make_plain(KEYS);
    weights = bench_room((size_t)group * KEYS * sizeof(float));
    copy = bench_room((size_t)group * KEYS * sizeof(float));
    out = bench_room((size_t)group * D * sizeof(float));
    for (int i = 0; i < group * KEYS; i++) weights[i] = fabsf(bench_normal());
    return (bench_work){(double)KEYS * D * group, (double)KEYS * (D + 2 + 4 * group)};
}

/* The kernel scales its weights in place. */
static void far_field(void) {
    memset(out, 0, (size_t)group * D * sizeof(float));
    memcpy(copy, weights, (size_t)group * KEYS * sizeof(float));
    hs_accumulate_i8(copy, KEYS, bytes, packed_scale, NULL, KEYS, group, D, out);
}

static void far_field_loop(void) {
#pragma clang fp reassociate(on) contract(fast)
    memset(out, 0, (size_t)group * D * sizeof(float));
    for (int j = 0; j < KEYS; j++) {
        const int8_t *restrict row = bytes + (size_t)j * D;
        for (int g = 0; g < group; g++) {
            float *restrict sum = out + g * D, weight = weights[(size_t)g * KEYS + (size_t)j] * scale[j];
            for (int i = 0; i < D; i++) sum[i] += weight * (float)row[i];
        }
    }
    bench_sink = out[0];
}

static double far_field_error(void) {
    static double want[HS_MAX_GROUP * D];
    memset(want, 0, sizeof want);
    for (int j = 0; j < KEYS; j++) {
        for (int g = 0; g < group; g++) {
            for (int i = 0; i < D; i++) want[g * D + i] += (double)weights[(size_t)g * KEYS + (size_t)j] * (double)scale[j] * (double)bytes[(size_t)j * D + (size_t)i];
        }
    }
    return bench_distance(out, want, group * D);
}

/* Every 16th key, at random within the 16. */
static bench_work prepare_gather(int n_queries, int unused) {
    (void)unused;
    prepare_keys(n_queries, 8);
    picked = bench_room(PICKED * sizeof(int));
    logits = bench_room((size_t)group * HS_RUN * sizeof(float));
    for (int i = 0; i < PICKED; i++) picked[i] = i * (KEYS / PICKED) + (int)(bench_random() % (KEYS / PICKED));
    return (bench_work){2.0 * PICKED * D * group, 2.0 * PICKED * (D + 2)};
}

/* As a fast step evaluates the keys that it reports: keys lie in groups of four, of which one product has all. */
static void gather(void) {
    float peak[HS_MAX_GROUP], mass[HS_MAX_GROUP] = {0}, four[HS_MAX_GROUP * 4];
    for (int g = 0; g < group; g++) peak[g] = -INFINITY;
    memset(out, 0, (size_t)group * D * sizeof(float));
    for (int first = 0; first < PICKED; first += HS_RUN) {
        const int *keys = picked + first;
        for (int j = 0; j < HS_RUN; j++) {
            size_t at = (size_t)(keys[j] / 4) * 2 * D;
            hs_logits_q8(&queries, kv.k_high + at, kv.k_low + at, kv.k_scale + (keys[j] & ~3), 1, four, 4);
            for (int g = 0; g < group; g++) logits[g * HS_RUN + j] = four[g * 4 + keys[j] % 4];
        }
        for (int g = 0; g < group; g++) {
            hs_raise_peak(hs_max_f32(logits + g * HS_RUN, HS_RUN), &peak[g], &mass[g], out + g * D, D);
            mass[g] += hs_exp_sum(logits + g * HS_RUN, HS_RUN, peak[g]);
        }
        hs_accumulate_i8(logits, HS_RUN, kv.v, kv.v_scale, keys, HS_RUN, group, D, out);
    }
    for (int g = 0; g < group; g++) {
        for (int i = 0; i < D; i++) out[g * D + i] /= mass[g];
    }
}

static void gather_loop(void) {
#pragma clang fp reassociate(on) contract(fast)
    float peak[HS_MAX_GROUP], mass[HS_MAX_GROUP] = {0};
    for (int g = 0; g < group; g++) peak[g] = -INFINITY;
    memset(out, 0, (size_t)group * D * sizeof(float));
    for (int j = 0; j < PICKED; j++) {
        const int8_t *restrict row = bytes + (size_t)picked[j] * D;
        for (int g = 0; g < group; g++) {
            const int16_t *restrict query = wide_q + g * D;
            float *restrict sum = out + g * D;
            int32_t dot = 0;
            for (int i = 0; i < D; i++) dot += row[i] * query[i];
            float logit = 1e-3f * scale[picked[j]] * (float)dot;
            hs_raise_peak(logit, &peak[g], &mass[g], sum, D);
            float weight = expf(logit - peak[g]);
            mass[g] += weight;
            weight *= scale[picked[j]];
            for (int i = 0; i < D; i++) sum[i] += weight * (float)row[i];
        }
    }
    bench_sink = out[0];
}

static double gather_error(void) {
    static double want[HS_MAX_GROUP * D];
    memset(want, 0, sizeof want);
    for (int g = 0; g < group; g++) {
        double mass = 0;
        for (int j = 0; j < PICKED; j++) {
            size_t at = (size_t)picked[j] * D;
            double weight = exp(product(g, k + at));
            mass += weight;
            for (int i = 0; i < D; i++) want[g * D + i] += weight * (double)v[at + (size_t)i];
        }
        for (int i = 0; i < D; i++) want[g * D + i] /= mass;
    }
    return bench_distance(out, want, group * D);
}

/* The weights of opened leaves against a threshold that one of ten reaches. */
static bench_work prepare_select(int n, int unused) {
    (void)unused;
    weights = bench_room((size_t)n * sizeof(float));
    for (int i = 0; i < n; i++) weights[i] = bench_normal();
    group = n;
    return (bench_work){n, 4.0 * n};
}

static const float LEAST = 1.28f;
static int selected;

static void select_keys(void) {
    selected = 0;
    for (int i = 0; i < group; i += 16) selected += __builtin_popcount(hs_at_least_16(weights + i, LEAST));
}

static int count_selected(void) {
    int n = 0;
    for (int i = 0; i < group; i++) n += weights[i] >= LEAST;
    return n;
}

static void select_loop(void) {
    bench_sink = (float)count_selected();
}

static double select_error(void) {
    return fabs((double)(selected - count_selected()) / (double)count_selected());
}

/* Queries [BLOCK_ROWS][D] times transposed keys [D][HS_TILE]. */
static bench_work prepare_block(int unused, int tiles) {
    (void)unused;
    k = bench_room((size_t)tiles * D * HS_TILE * sizeof(float));
    q = bench_room(BLOCK_ROWS * D * sizeof(float));
    out = bench_room(BLOCK_ROWS * HS_TILE * sizeof(float));
    for (int i = 0; i < tiles * D * HS_TILE; i++) k[i] = bench_normal();
    for (int i = 0; i < BLOCK_ROWS * D; i++) q[i] = bench_normal();
    group = tiles;
    return (bench_work){(double)tiles * BLOCK_ROWS * HS_TILE * D, (double)tiles * D * HS_TILE * 4};
}

static void block(void) {
    memset(out, 0, BLOCK_ROWS * HS_TILE * sizeof(float));
    for (int t = 0; t < group; t++) hs_gemm_f32(q, D, NULL, k + (size_t)t * D * HS_TILE, HS_TILE, out, HS_TILE, NULL, BLOCK_ROWS, HS_TILE, D);
}

static void block_loop(void) {
#pragma clang fp reassociate(on) contract(fast)
    memset(out, 0, BLOCK_ROWS * HS_TILE * sizeof(float));
    for (int t = 0; t < group; t++) {
        const float *restrict tile = k + (size_t)t * D * HS_TILE;
        for (int row = 0; row < BLOCK_ROWS; row++) {
            float *restrict to = out + row * HS_TILE;
            for (int i = 0; i < D; i++) {
                for (int j = 0; j < HS_TILE; j++) to[j] += q[row * D + i] * tile[i * HS_TILE + j];
            }
        }
    }
    bench_sink = out[0];
}

static double block_error(void) {
    static double want[HS_TILE];
    memset(want, 0, sizeof want);
    for (int t = 0; t < group; t++) {
        for (int i = 0; i < D; i++) {
            for (int j = 0; j < HS_TILE; j++) want[j] += (double)q[i] * (double)k[(size_t)t * D * HS_TILE + (size_t)(i * HS_TILE + j)];
        }
    }
    return bench_distance(out, want, HS_TILE);
}

#define SCREEN(name, queries) {name, queries, 4, prepare_keys, screen, screen_loop, logits_error}
#define LOGITS(name, queries) {name, queries, 8, prepare_keys, logits_q8, all_rows_loop, logits_error}

const bench_case bench_attention_cases[] = {
    {"leaf scores, 1 query", 1, 0, prepare_leaves, score_leaves, all_rows_loop, score_error},
    {"leaf scores, 3 queries", 3, 0, prepare_leaves, score_leaves, all_rows_loop, score_error},
    SCREEN("4-bit screen, 1 query", 1),
    SCREEN("4-bit screen, 2 queries", 2),
    SCREEN("4-bit screen, 3 queries", 3),
    SCREEN("4-bit screen, 4 queries", 4),
    SCREEN("4-bit screen, 8 queries", 8),
    LOGITS("8-bit logits, 1 query", 1),
    LOGITS("8-bit logits, 3 queries", 3),
    LOGITS("8-bit logits, 8 queries", 8),
    {"threshold select", 65536, 0, prepare_select, select_keys, select_loop, select_error},
    {"gather and softmax, 1 query", 1, 0, prepare_gather, gather, gather_loop, gather_error},
    {"gather and softmax, 3 queries", 3, 0, prepare_gather, gather, gather_loop, gather_error},
    {"far field, 1 query", 1, 0, prepare_weights, far_field, far_field_loop, far_field_error},
    {"far field, 3 queries", 3, 0, prepare_weights, far_field, far_field_loop, far_field_error},
    {"prefill attention, f32 gemm", 0, 64, prepare_block, block, block_loop, block_error},
    {0},
};
