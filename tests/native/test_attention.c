/* Attention kernels against their references; dense against plain f64 softmax; hsr against dense; caches in every state. */
#include "cache.h"
#include "kernels/attention.h"
#include "kernels/rotate.h"
#include "kernels/vector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEYS = 3000 };

/* Largest error over the group relative to the largest value, 1 for values of unit size. */
static double decode_error(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, hs_attention_stats *stats) {
    int d = kv->head_dim;
    void *scratch = malloc(hs_attention_scratch_bytes(d, group, hs_kv_length(kv), HS_BATCH));
    float *out = malloc((size_t)(group * d) * sizeof(float));
    double error = 0;
    hs_attend_decode(kv, q, group, p, out, stats, NULL, scratch);
    for (int g = 0; g < group; g++) {
        truth want = reference_from(kv, q + g * d, p, -INFINITY);
        error = fmax(error, distance(out + g * d, want.out, d) / sqrt(d));
    }
    free(out);
    free(scratch);
    return error;
}

static void test_decode(void) {
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        for (int kind = 0; kind < KINDS; kind++) {
            const int dims[] = {64, 40, 128}, groups[] = {3, 1, 5};
            double dense_error = 0, hsr_error = 0, all_error = 0;
            hs_attention_stats stats = {0};
            for (int shape = 0; shape < 3; shape++) {
                int d = dims[shape], group = groups[shape];
                cache c = new_cache((kind_of_keys)kind, type, d, 2000, NULL);
                append(&c, 2000, 97, 1);
                float q[5 * 128];
                random_queries(q, group * d);
                hs_attention_params p = {.mode = HS_ATTENTION_DENSE, .scale = 1 / sqrtf((float)d), .far_field = HS_FAR_SECOND, .dense_above = 1, .dense_below = 1};
                hs_attention_stats ignored = {0};
                dense_error = fmax(dense_error, decode_error(&c.kv, q, group, &p, &ignored));
                p.mode = HS_ATTENTION_HSR;
                hsr_error = fmax(hsr_error, decode_error(&c.kv, q, group, &p, &stats));
                p.theta = 1e-20f;
                p.leaf_theta = 1e-30f;
                all_error = fmax(all_error, decode_error(&c.kv, q, group, &p, &ignored));
                free_cache(&c);
            }
            ok(dense_error < 2e-4, "%s keys, type %d: dense equals plain softmax (%.1e)", kind_names[kind], type, dense_error);
            ok(all_error < 2e-4, "%s keys, type %d: hsr that reports every key is dense (%.1e)", kind_names[kind], type, all_error);
            ok(hsr_error < 0.1, "%s keys, type %d: hsr within 0.1 of unit values (%.1e), %.1f %% exact", kind_names[kind], type, hsr_error, 100 * stats.keys_exact / stats.keys_visible);
        }
    }
}

/* A softmax with a few heavy keys far back: they must be found, and the far field must carry the rest. */
static void test_needles(void) {
    int d = 64, group = 3;
    cache c = new_cache(NORMAL, HS_KV_Q8, d, MAX_KEYS, NULL);
    float q[3 * 64];
    random_queries(q, group * d);
    for (int g = 0; g < group; g++) {
        for (int j = 0; j < d; j++) c.k[(size_t)(300 + 500 * g) * (size_t)d + (size_t)j] = 1.5f * q[g * d + j];
    }
    append(&c, MAX_KEYS, 1, 1);
    hs_attention_params p = {.mode = HS_ATTENTION_HSR, .scale = 0.125f, .far_field = HS_FAR_SECOND, .dense_above = 1, .dense_below = 1};
    hs_attention_stats stats = {0}, dropped = {0};
    double with = decode_error(&c.kv, q, group, &p, &stats);
    ok(with < 0.01, "needles are reported: error %.1e", with);
    ok(stats.keys_exact < 0.2 * stats.keys_visible, "with %.1f %% of keys exact", 100 * stats.keys_exact / stats.keys_visible);
    for (int j = 0; j < group * d; j++) q[j] *= 0.2f;
    with = decode_error(&c.kv, q, group, &p, &stats);
    p.far_field = 0;
    p.theta = 0.01f;
    double without = decode_error(&c.kv, q, group, &p, &dropped);
    ok(with < 0.5 * without, "the far field at least halves the error of flat attention: %.1e, dropped %.1e", with, without);
    free_cache(&c);
}

static void test_cache_states(void) {
    int d = 64;
    float q[64], a[64], b[64];
    random_queries(q, d);
    hs_attention_params p = {.mode = HS_ATTENTION_DENSE, .scale = 0.125f, .far_field = HS_FAR_SECOND, .dense_above = 1, .dense_below = 1};
    hs_attention_stats stats = {0};
    void *scratch = malloc(hs_attention_scratch_bytes(d, 1, MAX_KEYS, HS_BATCH));
    cache c = new_cache(CLUSTERED, HS_KV_Q8, d, 1000, NULL);
    append(&c, 1000, 1000, 0);
    hs_attend_decode(&c.kv, q, 1, &p, a, &stats, NULL, scratch);
    c.kv.count = 0;
    append(&c, 1000, 33, 1);
    hs_attend_decode(&c.kv, q, 1, &p, b, &stats, NULL, scratch);
    double difference = 0;
    for (int j = 0; j < d; j++) difference = fmax(difference, fabs((double)(a[j] - b[j])));
    ok(c.kv.sealed_to > c.kv.sealed_from && difference < 1e-5, "sealing keeps every key and value (%.1e)", difference);
    int sealed = c.kv.sealed_to;
    void *sealing = seal_scratch(&c.kv);
    hs_kv_truncate(&c.kv, 300, sealing);
    ok(hs_kv_length(&c.kv) == 300 && c.kv.sealed_to == HS_LEAF + HS_CHUNK, "sealed keys can be cut");
    free(sealing);
    append(&c, 700, 7, 1);
    hs_attend_decode(&c.kv, q, 1, &p, a, &stats, NULL, scratch);
    for (int j = 0; j < d; j++) difference = fmax(difference, fabs((double)(a[j] - b[j])));
    ok(difference < 1e-5, "and appending again gives the same");
    cache child = new_cache(NORMAL, HS_KV_Q8, d, 900, &c.kv);
    ok(child.copied == 1000 - sealed && child.kv.base == sealed && hs_kv_length(&child.kv) == 1000, "a child shares what its parent sealed and takes over the window");
    p.mode = HS_ATTENTION_HSR;
    p.dense_below = 1;
    hs_attend_decode(&c.kv, q, 1, &p, a, &stats, NULL, scratch);
    hs_attend_decode(&child.kv, q, 1, &p, b, &stats, NULL, scratch);
    difference = 0;
    for (int j = 0; j < d; j++) difference = fmax(difference, fabs((double)(a[j] - b[j])));
    ok(difference < 1e-5, "and attends as its parent does (%.1e)", difference);
    p.mode = HS_ATTENTION_DENSE;
    append(&child, 900, 64, 1);
    ok(hs_kv_length(&child.kv) == 1900 && child.kv.sealed_to > 0, "it continues its parent");
    double dense = decode_error(&child.kv, q, 1, &p, &stats);
    p.mode = HS_ATTENTION_HSR;
    double hsr = decode_error(&child.kv, q, 1, &p, &stats);
    ok(dense < 1e-4 && hsr < 0.05, "attention over parent and child: dense %.1e, hsr %.1e", dense, hsr);
    p.softcap = 5;
    ok(decode_error(&child.kv, q, 1, &p, &stats) < 0.05, "with soft-capped logits");
    hs_kv_shape shape = {.head_dim = 64, .type = HS_KV_Q8, .max_chunk = 1024};
    ok(hs_kv_bytes(&shape, 8192, 0) <= 150 * 8192, "at most 150 bytes per key at head_dim 64: %.1f", (double)hs_kv_bytes(&shape, 8192, 0) / 8192);
    free_cache(&child);
    free_cache(&c);
    free(scratch);
}

/* A block must equal its queries decoded one after the other. */
static void test_block(int type, int window) {
    enum { BEFORE = 600,
           N = 100,
           GROUP = 3,
           D = 64 };
    cache c = new_cache(NORMAL, type, D, BEFORE + N, NULL);
    float *q = malloc(N * GROUP * D * sizeof(float)), *out = malloc(N * GROUP * D * sizeof(float)), one[GROUP * D];
    random_queries(q, N * GROUP * D);
    void *scratch = malloc(hs_attention_scratch_bytes(D, GROUP, BEFORE + N, HS_BATCH));
    hs_attention_params p = {.mode = HS_ATTENTION_DENSE, .scale = 0.125f, .window = window, .causal = 1};
    hs_attention_stats stats = {0};
    append(&c, BEFORE, 128, window == 0);
    size_t at = (size_t)BEFORE * D;
    hs_kv_append(&c.kv, c.k + at, c.v + at, D, N);
    hs_attend_block(&c.kv, q, GROUP * D, N, GROUP, &p, out, GROUP * D, &stats, scratch);
    c.kv.count = BEFORE;
    double error = 0;
    for (int i = 0; i < N; i++) {
        append(&c, 1, 1, 0);
        hs_attend_decode(&c.kv, q + i * GROUP * D, GROUP, &p, one, &stats, NULL, scratch);
        for (int j = 0; j < GROUP * D; j++) error = fmax(error, fabs((double)(out[i * GROUP * D + j] - one[j])));
    }
    ok(error < 2e-4, "block equals decode, type %d, window %d (%.1e)", type, window, error);
    free(q);
    free(out);
    free(scratch);
    free_cache(&c);
}

static double difference(const float *a, const float *b, int n) {
    double largest = 0, error = 0;
    for (int i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)b[i]));
        error = fmax(error, fabs((double)a[i] - (double)b[i]));
    }
    return largest > 0 ? error / largest : error;
}

static void test_kernels(void) {
    enum { N = 52 };
    for (int d = 16; d <= 256; d += 40) {
        int group = 1 + d % 7;
        cache c = new_cache(NORMAL, HS_KV_Q8, d, N, NULL);
        append(&c, N, N, 0);
        float *q = malloc((size_t)(group * d) * sizeof(float)), a[7 * N], b[7 * N];
        hs_queries *prepared = malloc(sizeof *prepared);
        random_queries(q, group * d);
        hs_queries_prepare(prepared, q, group, d, 0.2f);
        hs_logits_q8(prepared, c.kv.k_high, c.kv.k_low, c.kv.k_scale, N / 4, a, N);
        hs_logits_q8_scalar(prepared, c.kv.k_high, c.kv.k_low, c.kv.k_scale, N / 4, b, N);
        ok(difference(a, b, group * N) < 1e-6, "d %d: exact logits", d);
        hs_screen(prepared, c.kv.k_high, c.kv.k_scale, N / 4, a, N);
        hs_screen_scalar(prepared, c.kv.k_high, c.kv.k_scale, N / 4, b, N);
        ok(difference(a, b, group * N) < 1e-5, "d %d: screen", d);
        hs_logits_rows_i8(prepared, c.kv.v, c.kv.v_scale, N, a, N);
        hs_logits_rows_i8_scalar(prepared, c.kv.v, c.kv.v_scale, N, b, N);
        ok(difference(a, b, group * N) < 1e-5, "d %d: int8 rows", d);
        hs_wide_rows *wide = malloc(sizeof *wide);
        wide->group = group;
        for (int g = 0; g < group; g++) hs_widen(wide, g, q + g * d, d);
        hs_wide_products(wide, c.kv.v, c.kv.v_scale, N, a, N);
        hs_wide_products_scalar(wide, c.kv.v, c.kv.v_scale, N, b, N);
        ok(difference(a, b, group * N) < 1e-6, "d %d: int8 rows by integer dots", d);
        hs_logits_rows_i8_scalar(prepared, c.kv.v, c.kv.v_scale, N, b, N);
        for (int i = 0; i < group * N; i++) b[i] /= 0.2f; /* prepared has a scale */
        ok(difference(a, b, group * N) < 1e-4, "d %d: which are products of the rows", d);
        free(wide);
        hs_logits_rows_f32(prepared, c.k, N, a, N);
        hs_logits_rows_f32_scalar(prepared, c.k, N, b, N);
        ok(difference(a, b, group * N) < 1e-5, "d %d: f32 rows", d);
        ok(fabsf(hs_sum_f32(b, N - 1) - hs_sum_f32_scalar(b, N - 1)) < 1e-3f, "d %d: sum", d);
        float sums[2][HS_MAX_HEAD_DIM], size = 0; /* of the products: what rounding of their sum is relative to */
        for (int i = 0; i < d; i++) size += fabsf(q[i] * c.k[i]);
        ok(fabsf(hs_dot_f32(q, c.k, d) - hs_dot_f32_scalar(q, c.k, d)) < 1e-6f * size, "d %d: f32 product", d);
        for (int form = 0; form < 2; form++) memcpy(sums[form], c.k, (size_t)d * sizeof(float));
        hs_axpy_f32(sums[0], -0.3f, q, d);
        hs_axpy_f32_scalar(sums[1], -0.3f, q, d);
        ok(difference(sums[0], sums[1], d) < 1e-6, "d %d: and multiple that is added", d);
        b[7] = b[3]; /* the bound itself counts */
        ok(hs_at_least_16(b, b[3]) == hs_at_least_16_scalar(b, b[3]) && (hs_at_least_16(b, b[3]) & 0x88) == 0x88, "d %d: at least", d);
        float most[7], least[7], unhit[2][7], rest[2][7];
        for (int g = 0; g < group; g++) {
            most[g] = b[g * N + 5]; /* the bound itself counts */
            least[g] = g % 3 == 2 ? INFINITY : most[g] - 0.5f * fabsf(most[g]);
        }
        unsigned forced = (unsigned)d % 5 == 0 ? 0x8001u : 0, sorted = hs_sort_leaf(b, N, group, forced, most, least, unhit[0], rest[0]);
        ok(sorted == hs_sort_leaf_scalar(b, N, group, forced, most, least, unhit[1], rest[1]) && (sorted & 0x20) && (sorted & forced) == forced, "d %d: keys of a leaf are sorted", d);
        ok(difference(unhit[0], unhit[1], group) < 1e-4 && difference(rest[0], rest[1], group) < 1e-4, "d %d: and what is left is summed", d);
        float rotated[HS_MAX_HEAD_DIM];
        hs_rotate(c.k, d, rotated);
        ok(fabsf(hs_dot_f32(rotated, rotated, d) / hs_dot_f32(c.k, c.k, d) - 1) < 1e-5f && difference(c.k, rotated, d) > 0.1, "d %d: a rotation keeps the norm", d);
        hs_unrotate(rotated, d);
        ok(difference(c.k, rotated, d) < 1e-5, "d %d: and is undone", d);
        int index[N];
        for (int i = 0; i < N; i++) index[i] = (i * 5) % N;
        float *x = calloc((size_t)(group * d), sizeof(float)), *y = calloc((size_t)(group * d), sizeof(float));
        memcpy(a, b, sizeof a);
        hs_accumulate_f32(a, N, c.v, index, N, group, d, x);
        hs_accumulate_f32_scalar(b, N, c.v, index, N, group, d, y);
        ok(difference(x, y, group * d) < 1e-5, "d %d: weighted sum of f32 rows", d);
        hs_accumulate_i8(a, N, c.kv.v, c.kv.v_scale, index, N, group, d, x);
        hs_accumulate_i8_scalar(b, N, c.kv.v, c.kv.v_scale, index, N, group, d, y);
        ok(difference(x, y, group * d) < 1e-5, "d %d: weighted sum of int8 rows", d);
        free(x);
        free(y);
        free(q);
        free(prepared);
        free_cache(&c);
    }
    float x[103], y[103];
    double worst = 0;
    for (int i = 0; i < 103; i++) x[i] = y[i] = -87 + 1.7f * (float)i;
    float shift = 0, sum = hs_exp_sum(x, 103, shift), want = hs_exp_sum_scalar(y, 103, shift);
    for (int i = 0; i < 103; i++) {
        if (y[i] > 1e-37f) worst = fmax(worst, fabs((double)x[i] / (double)y[i] - 1));
    }
    ok(worst < 3e-7 && fabs((double)(sum / want) - 1) < 1e-6, "exp within 2 ULP (%.1e)", worst);
    random_queries(x, 103);
    ok(hs_max_f32(x, 103) == hs_max_f32_scalar(x, 103) && hs_max_f32(x, 3) == hs_max_f32_scalar(x, 3), "max");
    float m[13 * 20], n[20 * 16], c[13 * 16] = {0}, e[13 * 16] = {0};
    random_queries(m, 13 * 20);
    random_queries(n, 20 * 16);
    hs_gemm_f32(m, 20, NULL, n, 16, c, 16, NULL, 13, 16, 20);
    hs_gemm_f32_scalar(m, 20, NULL, n, 16, e, 16, NULL, 13, 16, 20);
    ok(difference(c, e, 13 * 16) < 1e-5, "matrix product");
    const int from[] = {12, 0, 5, 5, 7, 1, 2}, to[] = {3, 4, 0, 11, 12, 2, 9};
    hs_gemm_f32(m, 20, from, n, 16, c, 16, to, 7, 16, 20);
    hs_gemm_f32_scalar(m, 20, from, n, 16, e, 16, to, 7, 16, 20);
    ok(difference(c, e, 13 * 16) < 1e-5 && c[3 * 16] != 0, "matrix product of picked rows");
    float s[8] = {-9, -1, 0, 0.5f, 2, 7, 80, -80}, t[8];
    memcpy(t, s, sizeof s);
    hs_softcap(s, 8, 30);
    hs_softcap_scalar(t, 8, 30);
    ok(difference(s, t, 8) < 1e-6, "soft-cap");
}

int main(void) {
    test_kernels();
    test_decode();
    test_needles();
    test_cache_states();
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        test_block(type, 0);
        test_block(type, 50);
    }
    return done();
}
