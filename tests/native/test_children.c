/* Caches that continue others of which keys were removed: what is removed stays so, and is counted where it is stored. */
#include "cache.h"

enum { D = 64,
       GROUP = 3,
       OWN = 700 };

static int clear_bits(const hs_kv *kv) {
    int clear = 0;
    for (int i = 0; i < kv->count; i++) clear += !hs_kv_is_live(kv, i);
    return clear;
}

/* Every part of a chain counts its own removed keys; they add up to `removed`. */
static int counts(const hs_kv *kv, int removed) {
    for (; kv; kv = kv->parent) {
        if (kv->removed != clear_bits(kv)) return 0;
        removed -= kv->removed;
    }
    return removed == 0;
}

/* The largest error of dense attention, and of exact attention to every key there is, over all keys and with a window. */
static double error_of(const hs_kv *kv) {
    void *scratch = malloc(hs_attention_scratch_bytes(D, GROUP, hs_kv_length(kv), HS_BATCH));
    double error = 0;
    for (int way = 0; way < 4; way++) {
        float q[GROUP * D], out[GROUP * D];
        hs_attention_stats stats = {0};
        hs_attention_params p = {.mode = HS_ATTENTION_DENSE, .scale = 0.125f, .window = way & 2 ? 100 : 0};
        if (way & 1) {
            p.mode = HS_ATTENTION_HSR;
            p.strength = HS_EXACT;
            p.r = hs_kv_length(kv);
        }
        random_queries(q, GROUP * D);
        hs_attend_decode(kv, q, GROUP, &p, out, &stats, NULL, scratch);
        for (int g = 0; g < GROUP; g++) {
            truth want = reference_from(kv, q + g * D, &p, -INFINITY);
            error = fmax(error, distance(out + g * D, want.out, D));
        }
    }
    free(scratch);
    return error;
}

/* Ranges of positions to remove from a parent of n keys; a cache of 150 keys has nothing sealed and is copied whole. */
static const struct {
    const char *name;
    int n, from[2], to[2], removed;
} cases[] = {
    {"in the tail alone", 1000, {950, 0}, {990, 0}, 40},
    {"in leaves alone", 1000, {300, 0}, {333, 0}, 33},
    {"in leaves and in the tail", 1000, {300, 960}, {333, 1000}, 73},
    {"the whole tail", 1000, {912, 0}, {1000, 0}, 88},
    {"where nothing is sealed", 150, {3, 100}, {20, 140}, 57},
    {"nowhere", 1000, {0, 0}, {0, 0}, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

static void test_case(int number, int type) {
    int n = cases[number].n, removed = cases[number].removed;
    cache parent = new_cache(NORMAL, type, D, n, NULL);
    append(&parent, n, 97, 1);
    for (int i = 0; i < 2; i++) hs_kv_remove(&parent.kv, cases[number].from[i], cases[number].to[i]);
    ok(counts(&parent.kv, removed), "type %d, removed %s: %d keys", type, cases[number].name, removed);
    cache child = new_cache(NORMAL, type, D, OWN, &parent.kv);
    ok(counts(&child.kv, removed), "type %d, removed %s: a child counts what it copied, its parent the rest", type, cases[number].name);
    double error = error_of(&child.kv);
    append(&child, OWN, 50, 1);
    hs_kv_remove(&child.kv, n + OWN - 30, n + OWN - 10);
    error = fmax(error, error_of(&child.kv));
    cache grandchild = new_cache(NORMAL, type, D, 20, &child.kv);
    append(&grandchild, 20, 20, 1);
    error = fmax(error, error_of(&grandchild.kv));
    ok(counts(&grandchild.kv, removed + 20), "type %d, removed %s: so does a grandchild", type, cases[number].name);
    ok(error < 1e-3, "type %d, removed %s: dense and exact attention are those of f64 (%.1e)", type, cases[number].name, error);
    free_cache(&grandchild);
    free_cache(&child);
    free_cache(&parent);
}

int main(void) {
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        for (int number = 0; number < CASES; number++) test_case(number, type);
    }
    return done();
}
