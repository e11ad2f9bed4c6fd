/*
 * Half-space reporting in low dimension: which of n fixed keys in R^d, d = 1..4, have an inner product of at least b with a
 * query. This is where the theory behind arXiv 2410.10165 applies: Agarwal, Eppstein and Matousek (FOCS 1992) and Matousek
 * (Reporting points in halfspaces, 1992) answer in O(log n + k) for d = 2, 3 and O(n^(1/2) + k) for d = 4 up to log factors, k keys reported.
 *
 * The product of a key is the double sum over dims in order of q[i] * key[i], rounded once to float, a zero as +0, as for hsr/index.h.
 * Answers are exactly those of comparing every key's product with b.
 *
 * Structure: a tree of boxes, each in the principal frame of its keys (hsr/box.h). A node of more than two leaves first
 * gives the HS_PARTITION_LEAF keys that lie farthest out (along the normal of the data's ellipsoid at the node) to a leaf of
 * their own, as the priority leaves of the PR-tree do (Arge, de Berg, Haverkort, Yi 2004); the rest is halved across
 * the longest principal axis, at a multiple of HS_PARTITION_LEAF, down to leaves. A query skips a node wholly outside the
 * half-space, takes one wholly inside, and looks into one that its hyperplane crosses.
 *
 * Why outer leaves: a half-space of few keys is a flat cap at the boundary of the data. Cells of halving alone are about
 * cubes, and n^((d-1)/(2d)) of them reach into a cap of a uniform ball. Near the boundary the outer leaves are about as flat and
 * as wide as the cap, and what they leave behind lies deeper than it.
 *
 * Proven: the answers, whatever the keys (box.h covers every rounding); fewer than 2n/HS_PARTITION_LEAF + 2 nodes, a depth of
 * at most log2(n/HS_PARTITION_LEAF) + 2; work at most that of all nodes and one test of each key. d = 1: O(log n) where keys
 * differ by more than rounding, for nodes beside one another are disjoint intervals.
 * Measured (tests/native/test_partition.c), not proven: nodes_visited + keys_tested for k = 16, random q, n = 2^8..2^16 grow like
 * n^0.05..0.12 for d = 2, n^0.11..0.2 for d = 3 and n^0.19..0.33 for d = 4 on Gaussian keys, uniform balls and spheres. For
 * d = 2 and 3 each doubling of n adds about the same, as with a logarithm.
 * Not implemented: shallow cuttings, which give the bounds above for all keys and queries. This tree does worse where many keys
 * lie close to a hyperplane that the query's almost is: reporting 16 keys along a face of a uniform cube grows about like n^0.45,
 * n^0.63 and n^0.75 for d = 2, 3, 4, and keys in one plane may all be tested when few are reported.
 *
 * Bytes per key, about: 10.6, 16.1, 22.4, 29.4 for d = 1, 2, 3, 4: key and position, and boxes and queue of the nodes.
 */
#ifndef HS_HSR_PARTITION_H
#define HS_HSR_PARTITION_H

#include <stddef.h>

enum { HS_PARTITION_LEAF = 16,
       HS_PARTITION_LIMIT = 1 << 24 }; /* keys */

typedef struct hs_partition hs_partition;

/* Work of one query. */
typedef struct {
    double nodes_visited; /* boxes compared with the half-space */
    double keys_tested;   /* products of keys in leaves that the hyperplane may cross */
    double keys_reported;
} hs_partition_stats;

/*
 * Copies n keys, rows of d floats, into a tree, in O(n d^2 log n). NULL with hs_error_set(): d not in 1..4, n not in
 * 1..HS_PARTITION_LIMIT, a coordinate that is NaN or beyond HS_COORDINATE_LIMIT, or no memory.
 */
hs_partition *hs_partition_new(const float *keys, int n, int d);
void hs_partition_free(hs_partition *partition);

/* Keys, and bytes held. */
int hs_partition_count(const hs_partition *partition);
size_t hs_partition_bytes(const hs_partition *partition);

/*
 * All keys with product >= b: up to `room` of them, in the order of the tree, which is the same for all queries, to positions
 * (rows of `keys`) and products; the number of all of them is the result. positions and products may each be NULL; without
 * both, nodes wholly inside are counted without a look at their keys. stats may be NULL.
 * HS_ERR_ARGUMENT: q [d] with a NaN or infinity, b NaN, room < 0.
 */
int hs_partition_report(const hs_partition *partition, const float *q, float b, int *positions, float *products, int room, hs_partition_stats *stats);

/*
 * The r keys of the largest products, largest first, equal ones by position; the result is r. Best-first: it looks into the
 * nodes whose bound is at least the r-th product only. positions, products [r]; stats may be NULL. Not from two threads at once. HS_ERR_ARGUMENT: r not in 1..n, q [d] with a NaN or infinity.
 */
int hs_partition_top(hs_partition *partition, const float *q, int r, int *positions, float *products, hs_partition_stats *stats);

#endif
