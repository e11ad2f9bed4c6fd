/*
 * A box in the principal frame of the keys it holds, in R^d for d = 1..HS_BOX_MAX_DIM: flat where the keys lie on a surface,
 * whatever way that faces, which boxes along the coordinate axes are not.
 *
 * box [hs_box_floats(d)]: centre [d], half axes [d][d], slack. Every key x it was fitted to is
 *   x = centre + sum of t_i half_axis_i + rest,  |t_i| <= 1, |rest| <= slack.
 * This is measured on the stored floats, so it holds however the frame was found. The slack also covers the rounding of
 * hs_box_range() and of any double sum of the products q[i] * x[i]; coordinates are at most 1e15 in magnitude.
 */
#ifndef HS_HSR_BOX_H
#define HS_HSR_BOX_H

enum { HS_BOX_MAX_DIM = 4 };

/* Principal directions (orthonormal rows, largest variance first) and the variances along them. */
typedef struct {
    double mean[HS_BOX_MAX_DIM], axis[HS_BOX_MAX_DIM][HS_BOX_MAX_DIM], variance[HS_BOX_MAX_DIM];
} hs_frame;

/* Of the n keys in `order`, rows of `keys` [][d]. */
void hs_frame_fit(hs_frame *frame, const float *keys, int d, const int *order, int n);

/* direction [d]: the outer normal at `point` of the ellipsoid around the frame's mean that its variances describe; 0 at the mean. */
void hs_frame_outward(const hs_frame *frame, int d, const double *point, double *direction);

/* Floats of a box in R^d. */
int hs_box_floats(int d);

/* Fits a box to the n keys in `order`, of keys [n][d], in their frame. */
void hs_box_fit(float *box, const hs_frame *frame, const float *keys, int d, const int *order, int n);

/* low <= double sum of q[i] * x[i], i < d, in any order, <= high for every key x of the box. length: hs_box_length(q). */
void hs_box_range(const float *box, int d, const float *q, double length, double *low, double *high);

/* The Euclidean length of q [d]. */
double hs_box_length(const float *q, int d);

#endif
