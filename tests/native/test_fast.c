/* Fast attention by each of its ways to choose keys, and what it and ReLU attention report of them. */
#include "cache.h"

enum { D = 64,
       GROUP = 3,
       N = 3000 };

typedef struct {
    int positions[N + 1], n;
    float shares[(N + 1) * GROUP], out[GROUP * D];
    hs_attention_stats stats;
} answer;

static cache c;
static float q[GROUP * D];
static int group = GROUP;

static answer *ask(const hs_attention_params *p, int with_shares) {
    static answer a;
    void *scratch = malloc(hs_attention_scratch_bytes(D, group, N, 1));
    a.stats = (hs_attention_stats){0};
    hs_reported reported = {a.positions, with_shares ? a.shares : NULL, N, 0};
    hs_attend_decode(&c.kv, q, group, p, a.out, &a.stats, &reported, scratch);
    a.n = reported.n;
    free(scratch);
    return &a;
}

static double dense_error(const answer *a) {
    const hs_attention_params dense = {.scale = 0.125f};
    double error = 0;
    for (int g = 0; g < group; g++) {
        truth want = reference_from(&c.kv, q + g * D, &dense, -INFINITY);
        error = fmax(error, distance(a->out + g * D, want.out, D) / sqrt(D));
    }
    return error;
}

/* Softmax over the reported keys alone, or ReLU^alpha of all: the largest error of the output and of shares; no position twice. */
static double reported_error(const answer *a, const hs_attention_params *p) {
    static double weights[N];
    char seen[N] = {0};
    double error = 0;
    for (int g = 0; g < group; g++) {
        double want[D] = {0}, mass = 0;
        for (int j = 0; j < a->n; j++) {
            double logit = true_logit(&c.kv, hs_kv_find(&c.kv, a->positions[j]), q + g * D, p);
            weights[j] = p->mode == HS_ATTENTION_RELU ? pow(fmax(0, logit - (double)p->b), p->alpha) : exp(logit);
            mass += weights[j];
            if (g == 0 && seen[a->positions[j]]++) return INFINITY;
        }
        for (int j = 0; j < a->n; j++) {
            float v[D];
            hs_kv_value(&c.kv, hs_kv_find(&c.kv, a->positions[j]), v);
            for (int i = 0; i < D; i++) want[i] += weights[j] / mass * (double)v[i];
            error = fmax(error, fabs((double)a->shares[j * group + g] - weights[j] / mass));
        }
        error = fmax(error, distance(a->out + g * D, want, D) / sqrt(D));
    }
    return error;
}

static double sum_of_shares(const answer *a, int g) {
    double sum = 0;
    for (int j = 0; j < a->n; j++) sum += (double)a->shares[j * group + g];
    return sum;
}

static void test_choices(void) {
    const hs_attention_params fast = {.mode = HS_ATTENTION_HSR, .dense_below = 1, .dense_above = 1, .scale = 0.125f, .leaf_theta = 1e-30f};
    hs_attention_params p = fast;
    p.r = N;
    const answer *a = ask(&p, 1);
    ok(a->n == N && dense_error(a) < 1e-3 && fabs(sum_of_shares(a, 0) - 1) < 1e-4, "r of all keys: all are reported, with all of the weight");
    int counts[3], rising = 1;
    for (int i = 0; i < 3; i++) {
        p.r = 100 << 2 * i;
        a = ask(&p, 1);
        counts[i] = a->n;
        rising &= a->n >= p.r;
        ok(reported_error(a, &p) < 1e-3, "r %d: what is reported is all there is, as the far field is dropped (%d keys)", p.r, a->n);
    }
    ok(rising && counts[0] < counts[1] && counts[1] < counts[2], "a larger r reports more keys, and no fewer than r");
    p = fast;
    p.top_p = 0.99f;
    a = ask(&p, 1);
    double held = fmin(sum_of_shares(a, 0), fmin(sum_of_shares(a, 1), sum_of_shares(a, 2)));
    int n = a->n, most = n;
    ok(n < N && held > 0.9 && reported_error(a, &p) < 1e-3 && dense_error(a) < 0.05, "topP 0.99: %d keys", n);
    p.top_p = 0;
    p.eps = 1 - 0.99f;
    ok(ask(&p, 1)->n == n, "eps is the share that may be missing");
    p = fast;
    p.theta = 1e-2f;
    n = ask(&p, 1)->n;
    const int first = ask(&p, 1)->positions[0];
    ok(ask(&p, 0)->n == n && ask(&p, 0)->positions[0] == first, "positions without shares");
    p.far_field = HS_FAR_FIRST;
    p.value_theta = 1e-3f;
    double near = dense_error(ask(&p, 1));
    p.far_field = HS_FAR_DROPPED;
    ok(near < dense_error(ask(&p, 1)), "a far field brings what was not reported nearer (%.1e)", near);
    p.dense_above = 1e-6f;
    a = ask(&p, 1);
    ok(a->stats.dense == GROUP && a->n == N && dense_error(a) < 1e-3, "where most leaves would be opened it is dense");
    p.dense_above = 0;
    p.dense_below = N + 1;
    a = ask(&p, 1);
    ok(a->n == N && dense_error(a) < 1e-3, "and for few keys");
    p = fast;
    p.leaf_theta = 0;
    p.r = 1;
    a = ask(&p, 1);
    ok(a->n < counts[0] && reported_error(a, &p) < 1e-3, "for one key fewer than for a hundred (%d)", a->n);
    p.r = 0;
    p.top_p = 0.5f;
    ok(ask(&p, 1)->n < most, "for half of the weight fewer than for nearly all");
}

static void test_relu(void) {
    hs_attention_params p = {.mode = HS_ATTENTION_RELU, .alpha = 2, .b = 1.5f, .scale = 0.125f};
    const answer *a = ask(&p, 1);
    int n = a->n, above = 0;
    ok(n > 0 && n < N && reported_error(a, &p) < 1e-3, "ReLU^2: shares of the %d keys that have a weight", n);
    for (int i = 0; i < N; i++) above += true_logit(&c.kv, i, q, &p) > 1.5;
    ok(abs(n - above) <= 1 && ask(&p, 0)->n == n, "as many as plain products say, with shares or without");
    p.softcap = 5;
    p.b = 5;
    a = ask(&p, 1);
    ok(a->n == 0 && a->out[0] == 0 && a->out[D - 1] == 0, "nothing is above a threshold at the cap");
    p.b = -5;
    a = ask(&p, 1);
    ok(a->n == N && reported_error(a, &p) < 1e-3, "everything is above one at its other end");
}

int main(void) {
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        c = new_cache(CLUSTERED, type, D, N, NULL);
        append(&c, N, 100, 1);
        random_queries(q, GROUP * D);
        test_choices();
        group = 1; /* ReLU attention reports the keys of each query by themselves */
        test_relu();
        group = GROUP;
        free_cache(&c);
    }
    return done();
}
