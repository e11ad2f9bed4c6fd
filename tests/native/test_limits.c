/* What growing caches, indexes and partition trees refuse, and arrays that a caller leaves out. */
#include "base/error.h"
#include "base/hs.h"
#include "hsr/index.h"
#include "hsr/partition.h"
#include "keys.h"
#include "kv/growing.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { D = 32,
       N = 300 };

static float rows[N * D], query[D];

static int refused(int status, int code, const char *what) {
    return status == code && strstr(hs_error_last(), what) != NULL;
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
    test_limits();
    return done();
}
