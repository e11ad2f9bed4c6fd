/*
 * The order of keys inside a chunk: recursive halving along the principal direction of the mean-centred keys, down to
 * leaves of HS_LEAF. Keys of a leaf then share most of what an inner product with any query sees.
 */
#ifndef HS_HSR_TREE_H
#define HS_HSR_TREE_H

#include <stddef.h>

/* Bytes of scratch for n keys. */
size_t hs_tree_scratch_bytes(int n);

/*
 * order [n]: the permutation that lists keys [n][head_dim] leaf by leaf. n is HS_LEAF times a power of two.
 * Deterministic: power iteration from a fixed start, ties by position.
 */
void hs_tree_order(const float *keys, int head_dim, int n, int *order, void *scratch);

#endif
