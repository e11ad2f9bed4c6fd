/* The arrays of a partition tree, between what builds it and what asks it. */
#ifndef HS_HSR_PARTITION_TREE_H
#define HS_HSR_PARTITION_TREE_H

#include "hsr/partition.h"

/* Nodes in preorder: the children of node i are i + 1, its `next`, and so on up to next of i. A leaf's next is i + 1. */
typedef struct {
    int begin; /* first key; the last one is before that of `next` */
    int next;  /* the node after this one's subtree */
} hs_partition_node;

struct hs_partition {
    int d, n, n_nodes;
    size_t bytes;
    hs_partition_node *nodes; /* [n_nodes + 1], the last one ends the keys */
    float *boxes;             /* [n_nodes][hs_box_floats(d)] */
    float *keys;              /* [n][d], leaf by leaf */
    int *positions;           /* [n], where the caller had them */
    float *queue_bounds;      /* [n_nodes] and */
    int *queue_nodes;         /* [n_nodes], scratch of hs_partition_top() */
};

#endif
