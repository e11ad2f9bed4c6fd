/* Exact, certified and ReLU attention against plain f64: sets, bounds that always hold, masks, removed keys, Algorithm 2. */
#include "cache.h"

enum { D = 64,
       GROUP = 3,
       KEYS = 1500 };

static void *scratch_for(const hs_kv *kv, int group) {
    return malloc(hs_attention_scratch_bytes(kv->head_dim, group, hs_kv_length(kv), HS_BATCH));
}

/* Views that leave out different parts of a cache. */
static const struct {
    const char *name;
    int end, window, sinks;
} views[] = {{"all keys", 0, 0, 0}, {"causal end", 1111, 0, 0}, {"window", 0, 300, 0}, {"window, sinks and end", 900, 200, 4}};
enum { VIEWS = sizeof views / sizeof *views };

static hs_attention_params with_view(hs_attention_params p, int view) {
    p.end = views[view].end;
    p.window = views[view].window;
    p.sinks = views[view].sinks;
    return p;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The logit of rank r among the visible ones, and how many there are. */
static double logit_of_rank(const hs_kv *kv, const float *q, const hs_attention_params *p, int r, int *visible) {
    double *logits = malloc((size_t)hs_kv_length(kv) * sizeof(double));
    *visible = 0;
    for (const hs_kv *part = kv; part; part = part->parent) {
        for (int i = 0; i < part->count; i++) {
            if (truly_visible(part, i, p, hs_kv_length(kv))) logits[(*visible)++] = true_logit(part, i, q, p);
        }
    }
    qsort(logits, (size_t)*visible, sizeof(double), descending);
    double found = *visible > 0 ? logits[r < *visible ? r - 1 : *visible - 1] : 0;
    free(logits);
    return found;
}

static cache some_cache(kind_of_keys kind, int type, int d, int n) {
    cache c = new_cache(kind, type, d, n, NULL);
    append(&c, n, 97, 1);
    return c;
}

static void remove_some(cache *c) {
    hs_kv_remove(&c->kv, 40, 60);
    hs_kv_remove(&c->kv, 700, 731);
}

static void test_exact_sets(void) {
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        cache c = some_cache(NORMAL, type, D, KEYS);
        float q[GROUP * D], out[GROUP * D];
        void *scratch = scratch_for(&c.kv, GROUP);
        for (int removed = 0; removed < 2; removed++) {
            if (removed) remove_some(&c);
            for (int view = 0; view < VIEWS; view++) {
                double by_r = 0, by_mass = 0, r_share = 0;
                random_queries(q, GROUP * D);
                hs_attention_params p = with_view((hs_attention_params){.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .r = 50, .scale = 0.125f}, view);
                hs_attention_stats stats = {0};
                hs_attend_decode(&c.kv, q, GROUP, &p, out, &stats, NULL, scratch);
                for (int g = 0; g < GROUP; g++) {
                    int visible;
                    truth want = reference_from(&c.kv, q + g * D, &p, logit_of_rank(&c.kv, q + g * D, &p, 50, &visible));
                    by_r = fmax(by_r, distance(out + g * D, want.out, D));
                    r_share += 50.0 / visible / GROUP;
                }
                ok(by_r < 1e-3 && fabs(stats.keys_exact / stats.keys_visible / r_share - 1) < 1e-6, "type %d, removed %d, %s: the 50 largest and no others (%.1e)", type, removed, views[view].name, by_r);
                p.r = 0;
                p.top_p = 0.9f;
                hs_attend_decode(&c.kv, q, GROUP, &p, out, &stats, NULL, scratch);
                for (int g = 0; g < GROUP; g++) {
                    int visible, r = 0;
                    truth all = reference_from(&c.kv, q + g * D, &p, -INFINITY), want;
                    do want = reference_from(&c.kv, q + g * D, &p, logit_of_rank(&c.kv, q + g * D, &p, r += 5, &visible));
                    while (want.mass < 0.9 * all.mass);
                    for (r -= 4;; r++) {
                        want = reference_from(&c.kv, q + g * D, &p, logit_of_rank(&c.kv, q + g * D, &p, r, &visible));
                        if (want.mass >= 0.9 * all.mass) break;
                    }
                    by_mass = fmax(by_mass, distance(out + g * D, want.out, D));
                }
                ok(by_mass < 1e-3, "type %d, removed %d, %s: the fewest keys with 0.9 of the mass (%.1e)", type, removed, views[view].name, by_mass);
            }
        }
        free(scratch);
        free_cache(&c);
    }
}

/* Ties are broken by position: with duplicated keys only that decides. */
static void test_ties(void) {
    cache c = some_cache(DUPLICATED, HS_KV_F32, D, 600);
    float q[D], out[D], shares[100];
    int positions[100];
    random_queries(q, D);
    void *scratch = scratch_for(&c.kv, 1);
    hs_attention_params p = {.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .r = 37, .scale = 0.125f};
    hs_attention_stats stats = {0};
    hs_reported reported = {positions, shares, 100, 0};
    hs_attend_decode(&c.kv, q, 1, &p, out, &stats, &reported, scratch);
    int best = 0, right = reported.n == 37;
    double sum = 0, logits[3];
    for (int i = 0; i < 3; i++) logits[i] = true_logit(&c.kv, i, q, &p); /* the first keys are the sink: in order */
    for (int i = 1; i < 3; i++) best = logits[i] > logits[best] ? i : best;
    for (int j = 0; j < reported.n && j < 100; j++) {
        right &= positions[j] % 3 == best && positions[j] < 37 * 3;
        sum += (double)shares[j];
    }
    ok(right, "ties go to the first positions");
    ok(fabs(sum - 1) < 1e-5, "shares of reported keys sum to 1 where the others are dropped (%.6f)", sum);
    free(scratch);
    free_cache(&c);
}

/* How a bound compares with the error it bounds. */
typedef struct {
    int violations, queries, over_eps;
    double tightest, exact, refined;
} verdict;

static void certify(const cache *c, const hs_attention_params *p, int rounds, verdict *v) {
    int d = c->d, group = 1;
    float q[HS_MAX_HEAD_DIM], out[HS_MAX_HEAD_DIM];
    void *scratch = scratch_for(&c->kv, group);
    for (int round = 0; round < rounds; round++) {
        hs_attention_stats stats = {0};
        random_queries(q, d);
        for (int j = 0; j < d; j++) q[j] *= 0.2f + 0.3f * (float)(round % 5);
        hs_attend_decode(&c->kv, q, group, p, out, &stats, NULL, scratch);
        truth want = reference_from(&c->kv, q, p, -INFINITY);
        double error = distance(out, want.out, d), length = 0;
        for (int j = 0; j < d; j++) length += (double)out[j] * (double)out[j];
        v->violations += !(error <= stats.error) || (length > 0 && error / sqrt(length) > stats.error_relative * (1 + 1e-6));
        double of = p->eps_of == HS_EPS_OF_OUTPUT ? sqrt(length) : stats.value_norm;
        /* The last resort, f64, has a bound of its own. */
        v->over_eps += p->eps > 0 && stats.error > (double)p->eps * of * (1 + 1e-6) && stats.error > 2e-6 * stats.value_norm;
        v->tightest = fmax(v->tightest, error / stats.error);
        v->exact += stats.keys_exact / stats.keys_visible;
        v->refined += stats.keys_refined / stats.keys_visible;
        v->queries++;
    }
    free(scratch);
}

/* HS_QUERIES: queries in all; the long run of `make certify` sets it. */
static void test_bounds(void) {
    const char *asked = getenv("HS_QUERIES");
    int queries = asked ? atoi(asked) : 10000, types = 2, targets = 6;
    int rounds = queries / (KINDS * types * targets * 2) + 1, total = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
            const hs_attention_params asks[] = {
                {.strength = HS_CERTIFIED, .eps = 0.1f},
                {.strength = HS_CERTIFIED, .eps = 1e-4f, .eps_of = HS_EPS_OF_OUTPUT},
                {.strength = HS_CERTIFIED, .eps = 0.1f, .eps_of = HS_EPS_OF_OUTPUT},
                {.strength = HS_CERTIFIED, .r = 30},
                {.strength = HS_EXACT, .r = 60},
                {.strength = HS_CERTIFIED, .top_p = 0.95f},
            };
            for (int target = 0; target < targets; target++) {
                verdict v = {0};
                for (int far = 0; far < 2; far++) {
                    int d = far ? 64 : 32, n = 330 + 100 * target + 10 * far;
                    cache c = some_cache((kind_of_keys)kind, type, d, n);
                    hs_attention_params p = asks[target];
                    p.mode = HS_ATTENTION_HSR;
                    p.far_field = far ? HS_FAR_SECOND : HS_FAR_DROPPED;
                    p.scale = 1 / sqrtf((float)d);
                    p.softcap = target == 3 ? 20 : 0;
                    if (target == 5) hs_kv_remove(&c.kv, 100, 120);
                    certify(&c, &p, rounds, &v);
                    free_cache(&c);
                }
                total += v.queries;
                ok(v.violations == 0 && v.over_eps == 0, "%s keys, type %d, target %d: the bound holds %d times, %d over eps; error at most %.2f of it; %.0f %% refined, %.0f %% exact", kind_names[kind], type, target, v.queries - v.violations, v.over_eps, v.tightest, 100 * v.refined / v.queries, 100 * v.exact / v.queries);
            }
        }
    }
    ok(total >= queries, "%d certified queries", total);
}

/* ReLU^alpha in f64 from the products the index defines: each the double sum, rounded to float. */
static double relu_reference(const hs_kv *kv, const float *q, const hs_attention_params *p, double *out) {
    double mass = 0;
    memset(out, 0, HS_MAX_HEAD_DIM * sizeof(double));
    for (const hs_kv *part = kv; part; part = part->parent) {
        for (int i = 0; i < part->count; i++) {
            hs_attention_params plain = {.scale = 1};
            if (!truly_visible(part, i, p, hs_kv_length(kv))) continue;
            double logit = (double)p->scale * (double)(float)true_logit(part, i, q, &plain);
            if (p->softcap > 0) logit = (double)p->softcap * tanh(logit / (double)p->softcap);
            if (!(logit > (double)p->b)) continue;
            float v[HS_MAX_HEAD_DIM];
            double weight = pow(logit - (double)p->b, p->alpha);
            hs_kv_value(part, i, v);
            mass += weight;
            for (int j = 0; j < kv->head_dim; j++) out[j] += weight * (double)v[j];
        }
    }
    for (int j = 0; mass > 0 && j < kv->head_dim; j++) out[j] /= mass;
    return mass;
}

static void test_relu(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
            cache c = some_cache((kind_of_keys)kind, type, D, KEYS);
            void *scratch = scratch_for(&c.kv, GROUP);
            double worst = 0, want[HS_MAX_HEAD_DIM];
            int none = 0;
            remove_some(&c);
            for (int round = 0; round < 16; round++) {
                float q[GROUP * D], out[GROUP * D];
                int visible;
                random_queries(q, GROUP * D);
                hs_attention_params p = with_view((hs_attention_params){.mode = HS_ATTENTION_RELU, .alpha = 1 + round % 8, .scale = round % 4 == 3 ? -0.125f : 0.125f, .softcap = round % 3 == 2 ? 15 : 0}, round % VIEWS);
                /* A threshold that is some key's own logit: the hardest to decide. */
                p.b = (float)logit_of_rank(&c.kv, q, &p, 1 + 40 * (round % 3), &visible);
                hs_attention_stats stats = {0};
                hs_attend_decode(&c.kv, q, GROUP, &p, out, &stats, NULL, scratch);
                for (int g = 0; g < GROUP; g++) {
                    double mass = relu_reference(&c.kv, q + g * D, &p, want), length = 0;
                    for (int j = 0; j < D; j++) length += want[j] * want[j];
                    none += mass == 0;
                    worst = fmax(worst, distance(out + g * D, want, D) / (1 + sqrt(length)));
                }
            }
            ok(worst < 3e-5, "%s keys, type %d: relu equals brute force (%.1e), %d queries without a weight", kind_names[kind], type, worst, none);
            free(scratch);
            free_cache(&c);
        }
    }
}

/* Algorithm 2 against its own queries taken exactly, and what it leaves out. */
static void test_block_leaves(void) {
    enum { BEFORE = 2400,
           N = 100 };
    cache c = new_cache(CLUSTERED, HS_KV_Q8, D, BEFORE + N, NULL);
    append(&c, BEFORE, 128, 1);
    append(&c, N, N, 0);
    float *q = malloc(N * GROUP * D * sizeof(float)), *out = malloc(N * GROUP * D * sizeof(float)), *want = malloc(N * GROUP * D * sizeof(float));
    void *scratch = scratch_for(&c.kv, GROUP);
    random_queries(q, N * GROUP * D);
    hs_attention_params p = {.mode = HS_ATTENTION_HSR, .scale = 0.125f, .causal = 1, .far_field = HS_FAR_SECOND};
    hs_attention_stats exact = {0}, sparse = {0}, all = {0};
    hs_attend_block(&c.kv, q, GROUP * D, N, GROUP, &p, want, GROUP * D, &exact, scratch);
    p.block_hsr = 1;
    hs_attend_block(&c.kv, q, GROUP * D, N, GROUP, &p, out, GROUP * D, &sparse, scratch);
    double error = 0, length = 0;
    for (int i = 0; i < N * GROUP * D; i++) {
        error += (double)(out[i] - want[i]) * (double)(out[i] - want[i]);
        length += (double)want[i] * (double)want[i];
    }
    ok(sqrt(error / length) < 0.05 && sparse.keys_exact < 0.7 * exact.keys_exact && sparse.keys_visible == exact.keys_visible, "Algorithm 2: relative error %.1e with %.0f %% of the keys exact", sqrt(error / length), 100 * sparse.keys_exact / sparse.keys_visible);
    p.leaf_theta = 1e-30f;
    hs_attend_block(&c.kv, q, GROUP * D, N, GROUP, &p, out, GROUP * D, &all, scratch);
    error = 0;
    for (int i = 0; i < N * GROUP * D; i++) error = fmax(error, fabs((double)(out[i] - want[i])));
    ok(error < 2e-4 && all.keys_exact == exact.keys_exact, "with every leaf open it is exact (%.1e)", error);
    free(q);
    free(out);
    free(want);
    free(scratch);
    free_cache(&c);
}

/* A block over any cache, with any view, is its queries one by one. */
static void test_block_views(void) {
    enum { N = 40 };
    cache c = some_cache(NORMAL, HS_KV_Q8, D, KEYS);
    remove_some(&c);
    float q[N * GROUP * D], out[N * GROUP * D];
    void *scratch = scratch_for(&c.kv, GROUP);
    random_queries(q, N * GROUP * D);
    const hs_attention_params modes[] = {{.mode = HS_ATTENTION_DENSE}, {.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .top_p = 0.999999f}};
    for (int mode = 0; mode < 2; mode++) {
        for (int view = 0; view < VIEWS; view++) {
            hs_attention_params p = with_view(modes[mode], view);
            hs_attention_stats stats = {0};
            p.scale = 0.125f;
            p.causal = 1;
            hs_attend_block(&c.kv, q, GROUP * D, N, GROUP, &p, out, GROUP * D, &stats, scratch);
            double error = 0;
            for (int i = 0; i < N; i++) {
                hs_attention_params own = p;
                own.end = (p.end > 0 ? p.end : KEYS) - (N - 1 - i);
                for (int g = 0; g < GROUP; g++) {
                    truth want = reference_from(&c.kv, q + (i * GROUP + g) * D, &own, -INFINITY);
                    error = fmax(error, distance(out + (i * GROUP + g) * D, want.out, D));
                }
            }
            ok(error < 3e-3, "mode %d, %s: a causal block equals f64 (%.1e)", mode, views[view].name, error);
        }
    }
    free(scratch);
    free_cache(&c);
}

static void test_params(void) {
    hs_attention_params good = {.mode = HS_ATTENTION_RELU, .alpha = 8, .scale = 1}, bad = good;
    ok(hs_attention_check(&good) == HS_OK, "good parameters");
    bad.alpha = 0;
    ok(hs_attention_check(&bad) == HS_ERR_ARGUMENT, "alpha 0 is refused");
    bad = good;
    bad.scale = 0;
    ok(hs_attention_check(&bad) == HS_ERR_ARGUMENT, "scale 0 is refused");
    bad = good;
    bad.b = NAN;
    ok(hs_attention_check(&bad) == HS_ERR_ARGUMENT, "b NaN is refused");
    bad = good;
    bad.eps = HS_EPS_LEAST / 2;
    ok(hs_attention_check(&bad) == HS_ERR_ARGUMENT, "eps below what rounding allows is refused");
    bad = good;
    bad.eps = 0.1f;
    bad.r = 5;
    ok(hs_attention_check(&bad) == HS_ERR_ARGUMENT, "two targets are refused");
}

/* The sparsity lemma by simulation: of normal queries and keys no query reports more than 2 n^(4/5) at the paper's b. */
static void test_paper(void) {
    enum { N = 4000,
           M = 50 };
    int over = 0;
    double b = hs_paper_b(N, D, M, 0.05, 1, 1);
    float *k = malloc(N * D * sizeof(float)), q[D];
    for (int i = 0; i < N * D; i++) k[i] = random_normal();
    for (int m = 0; m < M; m++) {
        int reported = 0;
        for (int j = 0; j < D; j++) q[j] = random_normal();
        for (int i = 0; i < N; i++) {
            double product = 0;
            for (int j = 0; j < D; j++) product += (double)q[j] * (double)k[i * D + j];
            reported += product / sqrt(D) >= b;
        }
        over += reported > 2 * pow(N, 0.8);
    }
    ok(over == 0 && hs_paper_r(8192) == 1352 && hs_paper_r(1) == 1 && hs_paper_r(0) == 0, "at the paper's b no query reports more than 2 n^(4/5)");
    free(k);
}

int main(void) {
    test_params();
    test_paper();
    test_exact_sets();
    test_ties();
    test_relu();
    test_block_leaves();
    test_block_views();
    test_bounds();
    return done();
}
