#include "hsr/partition.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "hsr/box.h"
#include "hsr/partition_tree.h"
#include "hsr/select.h"
#include "kv/coordinates.h"

#include <math.h>
#include <string.h>

enum { LEAF = HS_PARTITION_LEAF };

typedef struct {
    hs_partition *tree;
    const float *keys; /* as the caller gave them */
    float *projection; /* [n], scratch */
    hs_frame whole;    /* of all keys */
} builder;

/* How n keys are divided: `outer` to the leaf of the farthest ones, `first` and the rest to two subtrees. */
typedef struct {
    int outer, first;
} division;

static division divide(int n) {
    int outer = n > 2 * LEAF ? LEAF : 0, half = (n - outer) / 2;
    return (division){outer, (half + LEAF - 1) / LEAF * LEAF};
}

static int count_nodes(int n) {
    if (n <= LEAF) return 1;
    division d = divide(n);
    return 1 + (d.outer > 0) + count_nodes(d.first) + count_nodes(n - d.outer - d.first);
}

/* Puts the `count` keys with the smallest <key - mean, direction> first. */
static void select_along(builder *b, int *order, int n, int count, const double *mean, const double *direction) {
    int d = b->tree->d;
    for (int j = 0; j < n; j++) {
        const float *key = b->keys + (size_t)order[j] * (size_t)d;
        double sum = 0;
        for (int i = 0; i < d; i++) sum += ((double)key[i] - mean[i]) * direction[i];
        b->projection[j] = (float)sum;
    }
    hs_select_smallest(b->projection, order, n, count);
}

/* Inwards at the mean of a node; where that is the mean of all keys, along its longest axis. */
static void inward(const builder *b, const hs_frame *frame, double *direction) {
    int d = b->tree->d;
    double square = 0;
    hs_frame_outward(&b->whole, d, frame->mean, direction);
    for (int i = 0; i < d; i++) square += direction[i] * direction[i];
    for (int i = 0; i < d; i++) direction[i] = square > 0 ? -direction[i] / sqrt(square) : frame->axis[0][i];
}

/* A node for the n keys from `begin` of the tree's order on, and its subtree. */
static void build(builder *b, int begin, int n) {
    hs_partition *t = b->tree;
    int *order = t->positions + begin, node = t->n_nodes++;
    hs_frame frame;
    hs_frame_fit(&frame, b->keys, t->d, order, n);
    hs_box_fit(t->boxes + (size_t)node * (size_t)hs_box_floats(t->d), &frame, b->keys, t->d, order, n);
    t->nodes[node].begin = begin;
    if (n > LEAF) {
        division part = divide(n);
        double direction[HS_BOX_MAX_DIM];
        if (part.outer) {
            inward(b, &frame, direction);
            select_along(b, order, n, part.outer, frame.mean, direction);
            build(b, begin, part.outer);
        }
        int rest = n - part.outer;
        select_along(b, order + part.outer, rest, part.first, frame.mean, frame.axis[0]);
        build(b, begin + part.outer, part.first);
        build(b, begin + part.outer + part.first, rest - part.first);
    }
    t->nodes[node].next = t->n_nodes;
}

/* Lays the tree and its arrays out in one block; the result is its size. */
static size_t lay_out(hs_partition *t, char *block) {
    size_t nodes = (size_t)count_nodes(t->n), keys = (size_t)t->n, at = 0;
    hs_carve(block, &at, sizeof *t);
    t->nodes = hs_carve(block, &at, (nodes + 1) * sizeof *t->nodes);
    t->boxes = hs_carve(block, &at, nodes * (size_t)hs_box_floats(t->d) * sizeof *t->boxes);
    t->keys = hs_carve(block, &at, keys * (size_t)t->d * sizeof *t->keys);
    t->positions = hs_carve(block, &at, keys * sizeof *t->positions);
    t->queue_bounds = hs_carve(block, &at, nodes * sizeof *t->queue_bounds);
    t->queue_nodes = hs_carve(block, &at, nodes * sizeof *t->queue_nodes);
    return at;
}

static hs_partition *allocate(int n, int d) {
    hs_partition t = {.d = d, .n = n};
    t.bytes = lay_out(&t, NULL);
    char *block = hs_mem_alloc(t.bytes);
    if (!block) return NULL;
    lay_out(&t, block);
    return memcpy(block, &t, sizeof t);
}

static int check(const float *keys, int n, int d) {
    if (d < 1 || d > HS_BOX_MAX_DIM) return hs_error_set(HS_ERR_ARGUMENT, "dimension of a partition tree", d, HS_BOX_MAX_DIM);
    if (n < 1 || n > HS_PARTITION_LIMIT) return hs_error_set(HS_ERR_ARGUMENT, "keys of a partition tree", n, HS_PARTITION_LIMIT);
    return hs_check_rows("coordinate of a key", keys, d, n, d, 1);
}

hs_partition *hs_partition_new(const float *keys, int n, int d) {
    if (check(keys, n, d) != HS_OK) return NULL;
    hs_partition *t = allocate(n, d);
    float *projection = hs_mem_alloc((size_t)n * sizeof(float));
    if (!t || !projection) {
        hs_mem_free(t);
        hs_mem_free(projection);
        hs_error_set(HS_ERR_MEMORY, "no memory for the keys of a partition tree", n, HS_PARTITION_LIMIT);
        return NULL;
    }
    builder b = {.tree = t, .keys = keys, .projection = projection};
    for (int j = 0; j < n; j++) t->positions[j] = j;
    hs_frame_fit(&b.whole, keys, d, t->positions, n);
    build(&b, 0, n);
    t->nodes[t->n_nodes].begin = n;
    size_t row = (size_t)d * sizeof(float);
    for (int j = 0; j < n; j++) memcpy(t->keys + (size_t)j * (size_t)d, keys + (size_t)t->positions[j] * (size_t)d, row);
    hs_mem_free(projection);
    return t;
}

void hs_partition_free(hs_partition *partition) {
    hs_mem_free(partition);
}

int hs_partition_count(const hs_partition *partition) {
    return partition->n;
}

size_t hs_partition_bytes(const hs_partition *partition) {
    return partition->bytes;
}
