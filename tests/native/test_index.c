/* The half-space reporting index against brute force over hs_index_key(): what is reported must be exact; work and errors. */
#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "hsr/rank.h"
#include "index_model.h"

/* The number of wrong answers over strategies, thresholds (those of some keys' products, the floats above them, and others) and r. */
static int wrong_answers(model *m, const float *q) {
    int wrong = 0;
    reference(m, q);
    for (int strategy = HS_STRATEGY_AUTO; strategy <= HS_STRATEGY_TREE; strategy++) {
        hs_index_stats stats;
        const int ranks[] = {0, m->live / 50, m->live / 2, m->live - 1};
        wrong += !reports(m, q, -INFINITY, strategy, &stats) + !reports(m, q, INFINITY, strategy, &stats) + !reports(m, q, 0, strategy, &stats);
        for (int j = 0; j < 4 && m->live > 0; j++) {
            float b = m->product[m->order[ranks[j]]];
            wrong += !reports(m, q, b, strategy, &stats) + !reports(m, q, nextafterf(b, INFINITY), strategy, &stats);
            wrong += !tops(m, q, ranks[j] + 1, -INFINITY, strategy) + !tops(m, q, ranks[j] + 1, b, strategy);
            wrong += !tops(m, q, ranks[j] + 1, nextafterf(b, INFINITY), strategy) + !tops(m, q, ranks[j] + 1, b - fabsf(b), strategy);
        }
    }
    return wrong;
}

/* The largest of |<q,given key> - product| / (distance |q|), float rounding left out. */
static double distance_used(model *m, const float *q) {
    double worst = 0, norm = sqrt(dot(q, q, m->d));
    for (int p = 0; p < m->end; p++) {
        const float *given = row(m->given, m, p);
        double off = fabs(dot(q, given, m->d) - dot(q, row(m->stored, m, p), m->d)) - 1e-5 * norm * sqrt(dot(given, given, m->d));
        double distance = (double)hs_index_key_distance(m->index, p);
        if (off > 0) worst = fmax(worst, off / (distance * norm));
    }
    return worst;
}

static void test_answers(void) {
    const int dims[] = {16, 24, 64, 128, 256}, sizes[] = {600, 900, 2500, 300, 200};
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        for (int kind = 0; kind < KINDS; kind++) {
            int wrong = 0, failed = 0;
            double used = 0;
            for (int shape = 0; shape < 5; shape++) {
                float q[MAX_DIM];
                model m = new_model(dims[shape], type, shape == 1 ? 128 : 1024);
                failed |= append(&m, (kind_of_keys)kind, 1, sizes[shape]);
                for (int round = 0; round < (shape == 2 ? 1 : 2); round++) {
                    random_query(q, m.d, 1);
                    wrong += wrong_answers(&m, q);
                    used = fmax(used, distance_used(&m, q));
                }
                free_model(&m);
            }
            ok(!failed && wrong == 0, "%s keys, type %d: report, count and top are exact by all strategies (%d wrong)", kind_names[kind], type, wrong);
            ok(used <= 1, "and hold for the given keys within their distance (%.2f of it)", used);
        }
    }
}

/* Keys on a line through the query: the bounds of leaves are as tight as they can be. */
static void test_line(void) {
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        model m = new_model(16, type, 128);
        float q[16];
        int wrong = 0;
        random_query(q, m.d, 1);
        for (int p = 0; p < 320; p++) {
            float along = random_normal();
            for (int j = 0; j < m.d; j++) row(m.given, &m, p)[j] = along * q[j];
        }
        wrong += append_given(&m, 320) != HS_OK;
        reference(&m, q);
        for (int rank = 0; rank < 320; rank += 3) {
            hs_index_stats stats;
            wrong += !reports(&m, q, m.product[m.order[rank]], HS_STRATEGY_TREE, &stats);
        }
        ok(wrong == 0, "type %d: keys on a line (%d wrong)", type, wrong);
        free_model(&m);
    }
}

/* Queries and keys at the ends of the range, zeros and denormals. */
static void test_extremes(void) {
    const float scales[] = {0, 1e-42f, 1e-38f, 1e-30f, 1e-12f, 1e13f, 2e14f};
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        int wrong = 0, failed = 0;
        for (int key = 0; key < 7; key++) {
            model m = new_model(32, type, 128);
            failed |= append(&m, CLUSTERED, scales[key], 400);
            for (int query = 0; query < 7; query++) {
                float q[32];
                random_query(q, m.d, scales[query]);
                wrong += wrong_answers(&m, q);
            }
            free_model(&m);
        }
        ok(!failed && wrong == 0, "type %d: zero, denormal and huge queries and keys (%d wrong)", type, wrong);
    }
}

static double time_of(const hs_index_stats *s, hs_index_costs c) {
    return s->leaves_bounded * (double)c.leaf + s->keys_screened * (double)c.screen + s->keys_refined * (double)c.refine_q8;
}

static void test_work(void) {
    hs_index_costs costs = hs_index_costs_get();
    float q[64];
    for (kind_of_keys kind = NORMAL; kind <= CLUSTERED; kind++) {
        model m = new_model(64, HS_KV_Q8, 1024);
        append(&m, kind, 1, 5000);
        make_key(kind, 1234, 64, q);
        reference(&m, q);
        hs_index_stats did[4];
        const int ranks[] = {20, 1000, 4999};
        for (int j = 0; j < 3; j++) {
            for (int strategy = HS_STRATEGY_AUTO; strategy <= HS_STRATEGY_TREE; strategy++) hs_index_report(m.index, q, m.product[m.order[ranks[j]]], strategy, m.positions, NULL, MAX_KEYS, &did[strategy]);
            double best = INFINITY, automatic = time_of(&did[HS_STRATEGY_AUTO], costs);
            for (int strategy = HS_STRATEGY_BRUTE; strategy <= HS_STRATEGY_TREE; strategy++) best = fmin(best, time_of(&did[strategy], costs));
            ok(automatic < 1.25 * best, "%s keys, rank %d: by its costs auto takes %.2f of the best strategy", kind_names[kind], ranks[j], automatic / best);
            const hs_index_stats *brute = &did[HS_STRATEGY_BRUTE], *screen = &did[HS_STRATEGY_SCREEN], *tree = &did[HS_STRATEGY_TREE];
            int same = brute->keys_reported == screen->keys_reported && screen->keys_reported == tree->keys_reported;
            ok(same && brute->keys_refined >= 5000 && screen->keys_refined <= brute->keys_refined && tree->keys_screened <= screen->keys_screened && tree->keys_exact >= tree->keys_reported, "each step sees no more keys than the one before");
            if (j > 0 || kind != CLUSTERED) continue;
            ok(tree->keys_screened < 0.5 * screen->keys_screened, "leaves exclude most of clustered keys: %.0f screened of %.0f", tree->keys_screened, screen->keys_screened);
            ok(screen->keys_refined < 0.5 * brute->keys_refined, "and so does the screen: %.0f refined of %.0f", screen->keys_refined, brute->keys_refined);
            ok(brute->keys_exact < 1.2 * brute->keys_reported, "few exact products are in vain: %.0f of %.0f", brute->keys_exact - brute->keys_reported, brute->keys_exact);
        }
        hs_index_costs cheap = costs;
        cheap.refine_q8 = 1e-3f;
        int status = hs_index_costs_set(cheap);
        hs_index_report(m.index, q, m.product[m.order[20]], HS_STRATEGY_AUTO, m.positions, NULL, MAX_KEYS, &did[0]);
        ok(status == HS_OK && did[0].keys_refined >= 4800, "costs steer: all is refined where that is nearly free");
        hs_index_costs_set(costs);
        hs_index_report(m.index, q, INFINITY, HS_STRATEGY_TREE, NULL, NULL, 0, &did[0]);
        ok(did[0].leaves_bounded >= 300 && did[0].keys_screened < HS_KV_TAIL && did[0].keys_refined == 0, "an infinite threshold leaves one kind of work, to be measured");
        free_model(&m);
    }
}

static int refused(int status, int code, const char *text) {
    return status == code && strstr(hs_error_last(), text) != NULL;
}

static void test_errors(void) {
    ok(!hs_index_new(12, HS_KV_Q8, 128) && strstr(hs_error_last(), "head_dim") && !hs_index_new(20, HS_KV_Q8, 128) && !hs_index_new(264, HS_KV_Q8, 128), "head_dim");
    ok(!hs_index_new(64, 2, 128) && strstr(hs_error_last(), "type") && !hs_index_new(64, HS_KV_Q8, 256) && strstr(hs_error_last(), "max_chunk: 256") == NULL && strstr(hs_error_last(), "max_chunk"), "type and max_chunk");
    hs_index *x = hs_index_new(16, HS_KV_Q8, 128);
    float keys[2][16] = {{1}, {2}}, q[16] = {1}, out[16];
    int positions[2];
    ok(hs_index_report(x, q, 0, HS_STRATEGY_AUTO, positions, NULL, 2, NULL) == 0 && hs_index_positions(x, 0, positions, 2) == 0 && hs_index_append(x, keys[0], 0) == HS_OK && hs_index_remove(x, 0, 0) == HS_OK && hs_index_truncate(x, 0) == HS_OK, "an empty index answers");
    ok(refused(hs_index_top(x, q, 1, 0, HS_STRATEGY_AUTO, positions, NULL, NULL), HS_ERR_ARGUMENT, "r, from 1 on: 1 (limit 0)"), "but has no top");
    keys[1][15] = NAN;
    int none = refused(hs_index_append(x, keys[0], 2), HS_ERR_ARGUMENT, "key");
    keys[1][15] = 2e15f;
    none = none && refused(hs_index_append(x, keys[0], 2), HS_ERR_ARGUMENT, "(limit 999999986991104)");
    ok(none && hs_index_end(x) == 0, "a batch with a bad coordinate is refused whole");
    keys[1][15] = 0;
    ok(refused(hs_index_append(x, keys[0], -1), HS_ERR_ARGUMENT, "append") && refused(hs_index_append(x, keys[0], HS_GROWING_LIMIT + 1), HS_ERR_FULL, "stored"), "numbers of keys out of range");
    ok(hs_index_append(x, keys[0], 2) == HS_OK && hs_index_report(x, q, -INFINITY, HS_STRATEGY_AUTO, positions, NULL, 1, NULL) == 2 && positions[0] == 0, "fewer places than keys: the first ones, and the number of all");
    ok(refused(hs_index_remove(x, -1, 1), HS_ERR_ARGUMENT, "remove") && refused(hs_index_remove(x, 1, 0), HS_ERR_ARGUMENT, "remove") && refused(hs_index_remove(x, 0, 3), HS_ERR_ARGUMENT, "3 (limit 2)"), "ranges to remove");
    ok(refused(hs_index_truncate(x, 3), HS_ERR_ARGUMENT, "3 (limit 2)") && refused(hs_index_truncate(x, -1), HS_ERR_ARGUMENT, "-1"), "lengths to keep");
    hs_index_remove(x, 0, 1);
    ok(refused(hs_index_key(x, 0, out), HS_ERR_ARGUMENT, "position") && refused(hs_index_key(x, 2, out), HS_ERR_ARGUMENT, "position") && refused(hs_index_key(x, -1, out), HS_ERR_ARGUMENT, "-1") && hs_index_key_distance(x, 0) < 0, "keys that are not held");
    ok(refused(hs_index_report(x, q, NAN, HS_STRATEGY_AUTO, NULL, NULL, 0, NULL), HS_ERR_ARGUMENT, "threshold") && refused(hs_index_report(x, q, 0, (hs_strategy)4, NULL, NULL, 0, NULL), HS_ERR_ARGUMENT, "strategy: 4 (limit 3)"), "threshold and strategy");
    ok(refused(hs_index_report(x, q, 0, HS_STRATEGY_AUTO, positions, NULL, -1, NULL), HS_ERR_ARGUMENT, "room") && refused(hs_index_positions(x, 0, positions, -1), HS_ERR_ARGUMENT, "room"), "room");
    ok(refused(hs_index_top(x, q, 2, 0, HS_STRATEGY_AUTO, positions, NULL, NULL), HS_ERR_ARGUMENT, "2 (limit 1)") && refused(hs_index_top(x, q, 0, 0, HS_STRATEGY_AUTO, positions, NULL, NULL), HS_ERR_ARGUMENT, "r, "), "r");
    q[3] = INFINITY;
    ok(refused(hs_index_top(x, q, 1, 0, HS_STRATEGY_AUTO, positions, NULL, NULL), HS_ERR_ARGUMENT, "query"), "coordinates of a query");
    hs_index_costs costs = hs_index_costs_get(), bad = costs;
    bad.screen = 0;
    int zero = refused(hs_index_costs_set(bad), HS_ERR_ARGUMENT, "cost");
    bad.screen = INFINITY;
    ok(zero && refused(hs_index_costs_set(bad), HS_ERR_ARGUMENT, "cost") && hs_index_costs_get().screen == costs.screen, "costs");
    hs_index_free(x);
    hs_index_free(NULL);
    ok(hs_mem_used() == 0, "all memory is given back");
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int rising(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void test_rank(void) {
    enum { N = 2000 };
    static float x[N], sorted[N];
    static hs_ranked pairs[N], spare[N], want[N];
    const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, 1e-45f, -1e-45f, 3.4e38f, -3.4e38f};
    for (int i = 0; i < N; i++) {
        x[i] = i % 5 == 0 ? special[i / 5 % 8] : random_unit() * powf(10, 10 * random_unit());
        pairs[i] = want[i] = hs_by_product(N - i, x[i]);
    }
    memcpy(sorted, x, sizeof x);
    qsort(sorted, N, sizeof *sorted, rising);
    qsort(want, N, sizeof *want, by_value);
    hs_rank_sort(pairs, spare, N);
    int wrong = memcmp(pairs, want, sizeof pairs) != 0;
    for (int r = 1; r <= N; r++) {
        wrong += hs_rth_largest(x, N, r) != sorted[N - r] || hs_top_product(pairs[r - 1]) != sorted[N - r];
        wrong += r > 1 && hs_top_product(pairs[r - 1]) == hs_top_product(pairs[r - 2]) && hs_top_position(pairs[r - 1]) <= hs_top_position(pairs[r - 2]);
    }
    ok(wrong == 0, "the r-th largest, and pairs by product, then position (%d wrong)", wrong);
}

int main(void) {
    test_rank();
    test_answers();
    test_line();
    test_extremes();
    test_work();
    test_errors();
    return done();
}
