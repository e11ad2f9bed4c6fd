/* Indexes, growing caches and partition trees when memory runs out at each allocation in turn: an error, and what was held. */
#include "alloc.h"
#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "hsr/index.h"
#include "hsr/partition.h"
#include "keys.h"
#include "kv/growing.h"
#include "kv/record.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { D = 32,
       N = 1400,
       BATCH = 100 };

static float rows[N * D], query[D];

static int refused(int status, int code, const char *what) {
    return status == code && strstr(hs_error_last(), what) != NULL;
}

/* With every allocation after the first `left` failing; then all is appended once more, and every answer is the true one. */
static int index_survives(int left, int *failed) {
    allocations_left = left;
    hs_index *index = hs_index_new(D, HS_KV_Q8, 1024);
    int status = index ? HS_OK : HS_ERR_MEMORY, held = 0, good = 1, positions[N];
    for (; status == HS_OK && held < N; held += status == HS_OK ? BATCH : 0) status = hs_index_append(index, rows + held * D, BATCH);
    allocations_left = -1;
    *failed = status != HS_OK;
    if (*failed) good = refused(status, HS_ERR_MEMORY, "memory");
    if (index) {
        good &= hs_index_end(index) == held;
        if (held > 0) good &= hs_index_report(index, query, -INFINITY, HS_STRATEGY_AUTO, positions, NULL, N, NULL) == held;
        good &= hs_index_append(index, rows + held * D, N - held) == HS_OK && hs_index_count_live(index) == N;
        good &= hs_index_report(index, query, 0, HS_STRATEGY_AUTO, NULL, NULL, 0, NULL) == hs_index_report(index, query, 0, HS_STRATEGY_BRUTE, NULL, NULL, 0, NULL);
    }
    hs_index_free(index);
    return good;
}

static int cache_survives(int left, int *failed) {
    hs_kv_shape shape = {.head_dim = D, .type = HS_KV_F32, .max_chunk = 8192};
    hs_growing c;
    int status = hs_growing_init(&c, &shape), held = 0;
    allocations_left = left;
    for (; status == HS_OK && held < N; held += status == HS_OK ? BATCH : 0) status = hs_growing_append(&c, rows + held * D, rows, D, BATCH);
    allocations_left = -1;
    *failed = status != HS_OK;
    int good = !*failed || refused(status, HS_ERR_MEMORY, "memory");
    good &= hs_growing_live(&c) == held && hs_growing_append(&c, rows + held * D, rows, D, N - held) == HS_OK && hs_growing_live(&c) == N;
    hs_growing_free(&c);
    return good;
}

/* A cache that is laid out needs scratch to be cut later. */
static int layout_survives(int left, int *failed) {
    hs_kv_shape shape = {.head_dim = D, .type = HS_KV_Q8, .max_chunk = 128};
    hs_growing c;
    int good = hs_growing_init(&c, &shape) == HS_OK && hs_growing_reserve(&c, 500) == HS_OK;
    allocations_left = left;
    int status = hs_growing_lay_out(&c, 0, 128, 300);
    allocations_left = -1;
    *failed = status != HS_OK;
    good &= *failed ? refused(status, HS_ERR_MEMORY, "memory to sort") && c.kv.count == 0 : c.kv.count == 300;
    hs_growing_free(&c);
    return good;
}

static int tree_survives(int left, int *failed) {
    allocations_left = left;
    hs_partition *tree = hs_partition_new(rows, N, 2);
    allocations_left = -1;
    *failed = tree == NULL;
    int good = !*failed || strstr(hs_error_last(), "no memory for the keys of a partition tree") != NULL;
    hs_partition_free(tree);
    return good;
}

static void each_in_turn(const char *what, int (*survives)(int left, int *failed), int least) {
    size_t before = hs_mem_used();
    int wrong = 0, n = 0;
    for (int failed = 1; failed; n++) wrong += !survives(n, &failed) || hs_mem_used() != before;
    ok(wrong == 0 && n > least, "%s: each of %d allocations fails in turn, nothing is lost, and it goes on", what, n - 1);
}

static void test_limits(void) {
    hs_kv_shape shape = {.head_dim = D, .type = HS_KV_Q8, .max_chunk = 128};
    hs_growing c;
    const int chunks[] = {0, 64, 127, 129, 512, 1 << 30, -1};
    for (int i = 0; i < 7; i++) {
        shape.max_chunk = chunks[i];
        ok(refused(hs_growing_init(&c, &shape), HS_ERR_ARGUMENT, "max_chunk"), "chunks of %d keys", chunks[i]);
    }
    shape.max_chunk = 128;
    int status = hs_growing_init(&c, &shape) | hs_growing_append(&c, rows, rows, D, 300);
    ok(status == HS_OK && refused(hs_growing_reserve(&c, -1), HS_ERR_ARGUMENT, "keys to append") && refused(hs_growing_reserve(&c, INT_MAX), HS_ERR_FULL, "keys stored"), "fewer keys than none, and more than a cache may hold");
    ok(refused(hs_growing_lay_out(&c, -1, 0, 10), HS_ERR_ARGUMENT, "positions dropped") && refused(hs_growing_lay_out(&c, INT_MAX, 0, 10), HS_ERR_ARGUMENT, "positions dropped") && refused(hs_growing_lay_out(&c, 0, 0, 100000), HS_ERR_ARGUMENT, "keys of a restored"), "layouts of other positions than there are");
    ok(c.kv.count == 300 && hs_growing_lay_out(&c, INT_MAX - c.kv.capacity, 0, 300) == HS_OK && refused(hs_growing_reserve(&c, c.kv.capacity + 1 - 300), HS_ERR_FULL, "position"), "positions end where their numbers do");
    hs_growing_free(&c);
    hs_index *index = hs_index_new(D, HS_KV_Q8, 128);
    ok(hs_index_append(index, rows, 50) == HS_OK && refused(hs_index_report(index, query, 0, (hs_strategy)-1, NULL, NULL, 0, NULL), HS_ERR_ARGUMENT, "strategy") && refused(hs_index_top(index, query, 3, 0, (hs_strategy)99, NULL, NULL, NULL), HS_ERR_ARGUMENT, "strategy"), "strategies that are not");
    int positions[50];
    float products[50], alone[50];
    hs_index_stats stats;
    int n = hs_index_report(index, query, -INFINITY, HS_STRATEGY_AUTO, positions, products, 50, NULL);
    ok(n == 50 && hs_index_report(index, query, -INFINITY, HS_STRATEGY_AUTO, NULL, alone, 50, NULL) == n && memcmp(products, alone, (size_t)n * sizeof(float)) == 0, "products without positions");
    ok(hs_index_top(index, query, 5, -INFINITY, HS_STRATEGY_AUTO, positions, products, &stats) == 5 && stats.keys_reported == 5, "a top of five, counted");
    ok(hs_index_top(index, query, 5, -INFINITY, HS_STRATEGY_AUTO, NULL, alone, NULL) == 5 && memcmp(products, alone, 5 * sizeof(float)) == 0, "its products alone");
    int places[5];
    ok(hs_index_top(index, query, 5, -INFINITY, HS_STRATEGY_AUTO, places, NULL, NULL) == 5 && memcmp(positions, places, sizeof places) == 0, "its positions alone");
    hs_index_free(index);
    hs_partition *tree = hs_partition_new(rows, 200, 2);
    int found = hs_partition_report(tree, query, -INFINITY, NULL, products, 50, NULL);
    ok(found == 200, "a tree's products without positions");
    hs_partition_free(tree);
}

int main(void) {
    for (int i = 0; i < N; i++) make_key(CLUSTERED, i, D, rows + i * D);
    for (int i = 0; i < D; i++) query[i] = random_normal();
    each_in_turn("an index", index_survives, 6);
    each_in_turn("a cache", cache_survives, 4);
    each_in_turn("a layout", layout_survives, 1);
    each_in_turn("a partition tree", tree_survives, 2);
    test_limits();
    return done();
}
