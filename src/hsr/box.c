#include "hsr/box.h"

#include <math.h>
#include <string.h>

enum { MAX_DIM = HS_BOX_MAX_DIM,
       SWEEPS = 12 };

/* Relative to the magnitudes involved, far above the few roundings at 2^-53 that a sum over MAX_DIM products takes. */
#define ROUNDING 0x1p-46

/* Variances below this share of the largest are rounding. */
#define FLAT 1e-12

static const float *row(const float *keys, int d, int key) {
    return keys + (size_t)key * (size_t)d;
}

static double dot(const double *a, const double *b, int d) {
    double sum = 0;
    for (int i = 0; i < d; i++) sum += a[i] * b[i];
    return sum;
}

/* One Jacobi rotation: makes a[p][q] zero, and turns rows p and q of `axis` with it. */
static void rotate(double a[MAX_DIM][MAX_DIM], double axis[MAX_DIM][MAX_DIM], int d, int p, int q) {
    double ratio = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    double tangent = copysign(1, ratio) / (fabs(ratio) + sqrt(ratio * ratio + 1));
    double c = 1 / sqrt(tangent * tangent + 1), s = tangent * c;
    for (int k = 0; k < d; k++) {
        double x = a[k][p], y = a[k][q];
        a[k][p] = c * x - s * y;
        a[k][q] = s * x + c * y;
    }
    for (int k = 0; k < d; k++) {
        double x = a[p][k], y = a[q][k], u = axis[p][k], v = axis[q][k];
        a[p][k] = c * x - s * y;
        a[q][k] = s * x + c * y;
        axis[p][k] = c * u - s * v;
        axis[q][k] = s * u + c * v;
    }
}

/* Eigenvectors of the symmetric matrix a, rows of `axis`; their values are left on its diagonal. */
static void diagonalise(double a[MAX_DIM][MAX_DIM], double axis[MAX_DIM][MAX_DIM], int d) {
    for (int i = 0; i < d; i++) {
        for (int j = 0; j < d; j++) axis[i][j] = i == j;
    }
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (int p = 0; p < d; p++) {
            for (int q = p + 1; q < d; q++) {
                if (fabs(a[p][q]) > 1e-15 * (fabs(a[p][p]) + fabs(a[q][q]))) rotate(a, axis, d, p, q);
            }
        }
    }
}

static void largest_first(hs_frame *f, int d) {
    for (int i = 0; i < d; i++) {
        int largest = i;
        for (int j = i + 1; j < d; j++) {
            if (f->variance[j] > f->variance[largest]) largest = j;
        }
        for (int k = 0; k < d; k++) {
            double moved = f->axis[i][k];
            f->axis[i][k] = f->axis[largest][k];
            f->axis[largest][k] = moved;
        }
        double moved = f->variance[i];
        f->variance[i] = f->variance[largest];
        f->variance[largest] = moved;
    }
}

void hs_frame_fit(hs_frame *f, const float *keys, int d, const int *order, int n) {
    double covariance[MAX_DIM][MAX_DIM] = {0};
    memset(f, 0, sizeof *f);
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < d; i++) f->mean[i] += (double)row(keys, d, order[j])[i];
    }
    for (int i = 0; i < d; i++) f->mean[i] /= n;
    for (int j = 0; j < n; j++) {
        double x[MAX_DIM];
        for (int i = 0; i < d; i++) x[i] = (double)row(keys, d, order[j])[i] - f->mean[i];
        for (int i = 0; i < d; i++) {
            for (int k = 0; k < d; k++) covariance[i][k] += x[i] * x[k] / n;
        }
    }
    diagonalise(covariance, f->axis, d);
    for (int i = 0; i < d; i++) f->variance[i] = fmax(covariance[i][i], 0);
    largest_first(f, d);
}

void hs_frame_outward(const hs_frame *f, int d, const double *point, double *direction) {
    double x[MAX_DIM];
    for (int i = 0; i < d; i++) {
        x[i] = point[i] - f->mean[i];
        direction[i] = 0;
    }
    for (int i = 0; i < d; i++) {
        if (!(f->variance[i] > FLAT * f->variance[0])) continue;
        double along = dot(f->axis[i], x, d) * (f->variance[0] / f->variance[i]);
        for (int k = 0; k < d; k++) direction[k] += along * f->axis[i][k];
    }
}

int hs_box_floats(int d) {
    return d + d * d + 1;
}

/* Where the keys begin and end along each axis of the frame, seen from its mean: the centre of the box, half[i] its half sides. */
static void measure(float *centre, double *half, const hs_frame *f, const float *keys, int d, const int *order, int n) {
    double low[MAX_DIM] = {0}, high[MAX_DIM] = {0}, at[MAX_DIM], x[MAX_DIM];
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < d; i++) x[i] = (double)row(keys, d, order[j])[i] - f->mean[i];
        for (int i = 0; i < d; i++) {
            double along = dot(f->axis[i], x, d);
            low[i] = j ? fmin(low[i], along) : along;
            high[i] = j ? fmax(high[i], along) : along;
        }
    }
    memcpy(at, f->mean, sizeof at);
    for (int i = 0; i < d; i++) {
        half[i] = (high[i] - low[i]) / 2;
        for (int k = 0; k < d; k++) at[k] += (low[i] + high[i]) / 2 * f->axis[i][k];
    }
    for (int k = 0; k < d; k++) centre[k] = (float)at[k];
}

/* |x - centre - sum t_i half_axis_i| for the t_i that suit the frame. */
static double rest(const float *x, const float *centre, const float *half_axes, const double *half, const hs_frame *f, int d) {
    double y[MAX_DIM], left[MAX_DIM];
    for (int k = 0; k < d; k++) left[k] = y[k] = (double)x[k] - (double)centre[k];
    for (int i = 0; i < d; i++) {
        double t = half[i] > 0 ? dot(f->axis[i], y, d) / half[i] : 0;
        t = fmax(-1, fmin(1, t));
        for (int k = 0; k < d; k++) left[k] -= t * (double)half_axes[i * d + k];
    }
    return sqrt(dot(left, left, d));
}

void hs_box_fit(float *box, const hs_frame *f, const float *keys, int d, const int *order, int n) {
    float *centre = box, *half_axes = box + d;
    double half[MAX_DIM], slack = 0, size = 0;
    measure(centre, half, f, keys, d, order, n);
    for (int i = 0; i < d; i++) {
        for (int k = 0; k < d; k++) half_axes[i * d + k] = (float)(half[i] * f->axis[i][k]);
    }
    for (int j = 0; j < n; j++) {
        const float *x = row(keys, d, order[j]);
        slack = fmax(slack, rest(x, centre, half_axes, half, f, d));
        size = fmax(size, hs_box_length(x, d));
    }
    size += hs_box_length(centre, d);
    for (int i = 0; i < d; i++) size += hs_box_length(half_axes + i * d, d);
    slack = (slack + size * ROUNDING) * (1 + 0x1p-20);          /* rounding to float must not lessen it, */
    box[d + d * d] = (float)slack + (size > 0 ? 0x1p-149f : 0); /* nor the grid of the smallest floats */
}

double hs_box_length(const float *q, int d) {
    double square = 0;
    for (int i = 0; i < d; i++) square += (double)q[i] * (double)q[i];
    return sqrt(square);
}

void hs_box_range(const float *box, int d, const float *q, double length, double *low, double *high) {
    const float *half_axis = box + d;
    double middle = 0, reach = length * (double)box[d + d * d];
    for (int k = 0; k < d; k++) middle += (double)q[k] * (double)box[k];
    for (int i = 0; i < d; i++, half_axis += d) {
        double along = 0;
        for (int k = 0; k < d; k++) along += (double)q[k] * (double)half_axis[k];
        reach += fabs(along);
    }
    *low = middle - reach;
    *high = middle + reach;
}
