/*
 * The rotation under which keys are quantised: R = H S, S a fixed diagonal of signs, H the normalised Walsh-Hadamard matrix
 * on runs of 2^k dims, 2^k the largest power of two that divides head_dim. <Rq, Rk> = <q, k>, but a large coordinate is
 * spread over its run, so a scale set by the largest coordinate wastes fewer bits (the idea of QuaRot, arXiv 2404.00456).
 */
#ifndef HS_KERNELS_ROTATE_H
#define HS_KERNELS_ROTATE_H

/* out = R x; x and out may be the same. head_dim is a multiple of 8, at most HS_MAX_HEAD_DIM. */
void hs_rotate(const float *x, int head_dim, float *out);

/* x = R^-1 x. */
void hs_unrotate(float *x, int head_dim);

/* The same, bit by bit, for `lanes` rows side by side: x [head_dim][lanes]. */
void hs_unrotate_lanes(float *x, int head_dim, int lanes);

#endif
