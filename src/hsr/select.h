/* Partial sorting of keys by a projection: what both trees of keys are built with. */
#ifndef HS_HSR_SELECT_H
#define HS_HSR_SELECT_H

/* Permutes projection and order [n] together so that the `count` smallest projections come first; ties by order. 0 <= count < n. */
void hs_select_smallest(float *projection, int *order, int n, int count);

#endif
