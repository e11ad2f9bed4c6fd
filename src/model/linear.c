#include "model/linear.h"

#include "base/hs.h"
#include "base/parallel.h"

#include <string.h>

enum { ROWS_PER_TASK = 64 };

hs_rows hs_rows_make(const float *x, int x_stride, int cols, int n_tokens, void *buffer) {
    hs_rows rows = {.x = x, .x_stride = x_stride, .n_tokens = n_tokens};
    hs_act_bind(&rows.quantized, buffer, cols, n_tokens);
    hs_act_quantize(x, x_stride, &rows.quantized);
    return rows;
}

typedef struct {
    const hs_tensor *w;
    const float *bias;
    const hs_rows *x;
    float *y;
    int y_stride;
} job;

/* A tile kernel writes four rows; the last tile of a matrix may have fewer. */
static void last_tile(const job *j, int group) {
    float four[HS_BATCH * 4];
    int first = group * 4;
    hs_matmul_tile(j->w, group, &j->x->quantized, four, 4);
    for (int t = 0; t < j->x->n_tokens; t++) memcpy(j->y + (size_t)t * (size_t)j->y_stride + first, four + t * 4, (size_t)(j->w->rows - first) * sizeof(float));
}

static void run_rows(void *ctx, int task, int thread) {
    (void)thread;
    const job *j = ctx;
    int first = task * ROWS_PER_TASK, end = hs_min(first + ROWS_PER_TASK, j->w->rows);
    if (hs_pack_is_float(j->w->pack)) {
        for (int row = first; row < end; row++) hs_matmul_float_row(j->w, row, j->x->x, j->x->x_stride, j->x->n_tokens, j->y + row, j->y_stride);
    } else {
        for (int row = first; row < end; row += 4) {
            if (row + 4 <= j->w->rows)
                hs_matmul_tile(j->w, row / 4, &j->x->quantized, j->y + row, j->y_stride);
            else
                last_tile(j, row / 4);
        }
    }
    if (!j->bias) return;
    for (int t = 0; t < j->x->n_tokens; t++) {
        float *y = j->y + (size_t)t * (size_t)j->y_stride;
        for (int row = first; row < end; row++) y[row] += j->bias[row];
    }
}

void hs_linear(const hs_tensor *w, const float *bias, const hs_rows *x, float *y, int y_stride) {
    job j = {w, bias, x, y, y_stride};
    hs_parallel_for((w->rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK, run_rows, &j);
}
