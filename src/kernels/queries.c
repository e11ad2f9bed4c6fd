#include "kernels/queries.h"

#include "kernels/even_odd.h"
#include "kernels/rotate.h"

#include <math.h>

/* A query below the normal floats is rounded to a fixed grid instead of relatively. */
#define GRAIN 1e-38

/*
 * What rounding the query may cost, per unit of key. The slack of 4e-6 is for the f32 arithmetic of rotation, scales and sums
 * (some 60 roundings of 2^-24), and d * 2^-23 for a sum of d products in f32.
 */
static void bound_errors(hs_queries *q, int g, const float *rotated, float narrow_scale) {
    double squares = 0, wide = 0, narrow = 0;
    for (int i = 0; i < q->head_dim; i++) {
        double x = (double)rotated[i], w = x - (double)q->wide_scale[g] * q->wide[g][hs_even_odd_place(i)], n = x - (double)narrow_scale * q->narrow[g][i];
        squares += x * x;
        wide += w * w;
        narrow += n * n;
    }
    double norm = sqrt(squares) * (1 + 4e-6) + GRAIN;
    q->norm[g] = (float)norm;
    q->screen_error[g] = (float)(sqrt(narrow) + 4e-6 * norm + GRAIN);
    q->q8_error[g] = (float)(sqrt(wide) + 4e-6 * norm + GRAIN);
    q->f32_error[g] = (float)(norm * (4e-6 + q->head_dim * 0x1p-23));
}

void hs_queries_prepare(hs_queries *q, const float *rows, int group, int head_dim, float scale) {
    q->group = group;
    q->head_dim = head_dim;
    for (int g = 0; g < group; g++, rows += head_dim) {
        float rotated[HS_MAX_HEAD_DIM], largest = 0, squares = 0;
        for (int i = 0; i < head_dim; i++) q->rows[g][i] = rows[i] * scale;
        hs_rotate(q->rows[g], head_dim, rotated);
        for (int i = 0; i < head_dim; i++) {
            largest = fmaxf(largest, fabsf(rotated[i]));
            squares += rotated[i] * rotated[i];
        }
        if (largest < 1e-30f) largest = 0; /* below, factors and scales leave the normal floats */
        float wide = largest > 0 ? 32767 / largest : 0, narrow = largest > 0 ? 127 / largest : 0;
        int32_t wide_sum = 0, narrow_sum = 0;
        for (int i = 0; i < head_dim; i++) {
            int w = (int)rintf(rotated[i] * wide), n = (int)rintf(rotated[i] * narrow);
            q->wide[g][hs_even_odd_place(i)] = (int16_t)w;
            q->narrow[g][i] = (int8_t)n;
            q->narrow_wide[g][hs_even_odd_place(i)] = (int16_t)n;
            wide_sum += w;
            narrow_sum += n;
        }
        q->wide_scale[g] = largest / 32767;
        q->wide_offset[g] = -128 * wide_sum;
        q->screen_scale[g] = 16 * largest / 127;
        q->screen_offset[g] = largest / 127 * (float)narrow_sum * (7.5f - 128);
        q->screen_variance[g] = 0.5f * squares * (16 * 16 - 1) / 12; /* a low nibble is uniform on 0..15 */
        bound_errors(q, g, rotated, largest / 127);
    }
}

void hs_widen(hs_wide_rows *w, int g, const float *row, int head_dim) {
    float largest = 0;
    for (int i = 0; i < head_dim; i++) largest = fmaxf(largest, fabsf(row[i]));
    float inverse = largest > 1e-30f ? 32767 / largest : 0;
    for (int i = 0; i < head_dim; i++) w->wide[g][i] = (int16_t)rintf(row[i] * inverse);
    w->scale[g] = largest / 32767;
    w->head_dim = head_dim;
}
