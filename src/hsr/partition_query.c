#include "hsr/partition.h"

#include "base/error.h"
#include "base/hs.h"
#include "hsr/box.h"
#include "hsr/heap.h"
#include "hsr/partition_tree.h"

#include <math.h>

typedef struct {
    const hs_partition *tree;
    const float *q;
    double length;
    hs_partition_stats stats;
} query;

static int start(query *s, const hs_partition *t, const float *q) {
    *s = (query){.tree = t, .q = q, .length = hs_box_length(q, t->d)};
    for (int i = 0; i < t->d; i++) {
        if (!isfinite(q[i])) return hs_error_text(HS_ERR_ARGUMENT, "a query is not finite");
    }
    return HS_OK;
}

static float product(const query *s, int key) {
    int d = s->tree->d;
    const float *x = s->tree->keys + (size_t)key * (size_t)d;
    double sum = 0;
    for (int i = 0; i < d; i++) sum += (double)s->q[i] * (double)x[i];
    return (float)sum + 0.0f; /* -0 becomes +0 */
}

/* Bounds of the products of a node's keys. Rounding to float is monotone, so rounding the bounds of the sums gives them. */
static void bound(query *s, int node, float *low, float *high) {
    double least, most;
    int d = s->tree->d;
    s->stats.nodes_visited++;
    hs_box_range(s->tree->boxes + (size_t)node * (size_t)hs_box_floats(d), d, s->q, s->length, &least, &most);
    *low = (float)least;
    *high = (float)most;
}

static int is_leaf(const hs_partition *t, int node) {
    return t->nodes[node].next == node + 1;
}

/* First and last + 1 key of a node. */
static int begin_of(const hs_partition *t, int node) {
    return t->nodes[node].begin;
}
static int end_of(const hs_partition *t, int node) {
    return t->nodes[t->nodes[node].next].begin;
}

typedef struct {
    int *positions;
    float *products;
    int room, count;
} report;

static void put(report *r, const query *s, int key, float value) {
    if (r->count < r->room) {
        if (r->positions) r->positions[r->count] = s->tree->positions[key];
        if (r->products) r->products[r->count] = value;
    }
    r->count++;
}

static void put_all(report *r, const query *s, int begin, int end) {
    int key = begin;
    for (; key < end && r->count < r->room; key++) put(r, s, key, r->products ? product(s, key) : 0);
    r->count += end - key;
}

static void put_some(report *r, query *s, int begin, int end, float b) {
    for (int key = begin; key < end; key++) {
        float value = product(s, key);
        if (value >= b) put(r, s, key, value);
    }
    s->stats.keys_tested += end - begin;
}

int hs_partition_report(const hs_partition *t, const float *q, float b, int *positions, float *products, int room, hs_partition_stats *stats) {
    query s;
    if (start(&s, t, q) != HS_OK) return HS_ERR_ARGUMENT;
    if (isnan(b) || room < 0) return hs_error_text(HS_ERR_ARGUMENT, "a threshold is not a number or room is negative");
    report r = {positions, products, positions || products ? room : 0, 0};
    for (int node = 0; node < t->n_nodes;) {
        float low, high;
        bound(&s, node, &low, &high);
        int crossed = low < b && high >= b;
        if (crossed && !is_leaf(t, node)) {
            node++;
            continue;
        }
        if (crossed)
            put_some(&r, &s, begin_of(t, node), end_of(t, node), b);
        else if (low >= b)
            put_all(&r, &s, begin_of(t, node), end_of(t, node));
        node = t->nodes[node].next;
    }
    s.stats.keys_reported = r.count;
    if (stats) *stats = s.stats;
    return r.count;
}

/* The best keys so far, and the nodes that may hold better ones: their upper bounds negated, so that the root has the largest. */
typedef struct {
    hs_heap best, nodes;
    int r;
} search;

/* Whether a key of this product may still be among the best, an equal one by its position. */
static int may_hold(const search *f, float high) {
    return f->best.held < f->r || high >= f->best.values[0];
}

static void enqueue(search *f, query *s, int node) {
    float low, high;
    bound(s, node, &low, &high);
    if (may_hold(f, high)) hs_heap_push(&f->nodes, -high, node);
}

static void look_into_leaf(search *f, query *s, int begin, int end) {
    for (int key = begin; key < end; key++) {
        float value = product(s, key);
        int position = s->tree->positions[key];
        if (f->best.held < f->r)
            hs_heap_push(&f->best, value, position);
        else if (hs_heap_beats_root(&f->best, value, position))
            hs_heap_replace(&f->best, value, position);
    }
    s->stats.keys_tested += end - begin;
}

int hs_partition_top(hs_partition *t, const float *q, int r, int *positions, float *products, hs_partition_stats *stats) {
    query s;
    if (start(&s, t, q) != HS_OK) return HS_ERR_ARGUMENT;
    if (r < 1 || r > t->n) return hs_error_set(HS_ERR_ARGUMENT, "keys asked for", r, t->n);
    search f = {.best = {products, positions, 0}, .nodes = {t->queue_bounds, t->queue_nodes, 0}, .r = r};
    enqueue(&f, &s, 0);
    while (f.nodes.held > 0 && may_hold(&f, -f.nodes.values[0])) {
        int node = f.nodes.numbers[0];
        hs_heap_pop(&f.nodes);
        if (is_leaf(t, node)) {
            look_into_leaf(&f, &s, begin_of(t, node), end_of(t, node));
            continue;
        }
        for (int child = node + 1; child < t->nodes[node].next; child = t->nodes[child].next) enqueue(&f, &s, child);
    }
    hs_heap_sort(&f.best);
    s.stats.keys_reported = r;
    if (stats) *stats = s.stats;
    return r;
}
