#include "model/linear.h"

#include "base/hs.h"
#include "base/parallel.h"
#include "kernels/matmul.h"

#include <string.h>

/* About so many tasks a job has: they spread evenly over threads, and cost little to hand out. */
enum { TASKS = 32 };

hs_rows hs_rows_make(const float *x, int cols, int n_tokens, void *buffer) {
    hs_rows rows = {.x = x, .n_tokens = n_tokens};
    hs_act_bind(&rows.quantized, buffer, cols, n_tokens);
    return rows;
}

void hs_rows_quantize(const hs_rows *rows, int first, int n) {
    hs_act_quantize(rows->x, first, n, &rows->quantized);
}

typedef struct {
    const hs_linear *all;
    const hs_rows *x;
    int rows_per_task; /* a multiple of 4 */
} job;

static int count_tasks(const hs_linear *l, int rows_per_task) {
    return (l->w->rows + rows_per_task - 1) / rows_per_task;
}

/* A tile kernel writes four rows; the last tile of a matrix may have fewer. */
static void last_tile(const hs_linear *l, const hs_rows *x, int group) {
    float four[HS_BATCH * 4];
    int first = group * 4;
    hs_matmul_tile(l->w, group, &x->quantized, four, 4);
    for (int t = 0; t < x->n_tokens; t++) memcpy(l->y + (size_t)t * (size_t)l->w->rows + first, four + t * 4, (size_t)(l->w->rows - first) * sizeof(float));
}

static void run_rows(const hs_linear *l, const hs_rows *x, int first, int end) {
    if (hs_pack_is_float(l->w->pack)) {
        for (int row = first; row < end; row++) hs_matmul_float_row(l->w, row, x->x, x->n_tokens, l->y + row, l->w->rows);
    } else {
        for (int row = first; row < end; row += 4) {
            if (row + 4 <= l->w->rows)
                hs_matmul_tile(l->w, row / 4, &x->quantized, l->y + row, l->w->rows);
            else
                last_tile(l, x, row / 4);
        }
    }
    if (!l->bias) return;
    for (int t = 0; t < x->n_tokens; t++) {
        float *y = l->y + (size_t)t * (size_t)l->w->rows;
        for (int row = first; row < end; row++) y[row] += l->bias[row];
    }
}

static void run_task(void *ctx, int task, int thread) {
    (void)thread;
    const job *j = ctx;
    const hs_linear *l = j->all;
    for (; task >= count_tasks(l, j->rows_per_task); l++) task -= count_tasks(l, j->rows_per_task);
    int first = task * j->rows_per_task;
    run_rows(l, j->x, first, hs_min(first + j->rows_per_task, l->w->rows));
}

void hs_linear_run(const hs_linear *all, int n, const hs_rows *x) {
    int rows = 0, tasks = 0;
    for (int i = 0; i < n; i++) rows += all[i].w->rows;
    job j = {all, x, hs_max(4, (rows / TASKS + 3) & ~3)};
    for (int i = 0; i < n; i++) tasks += count_tasks(&all[i], j.rows_per_task);
    hs_parallel_for(tasks, run_task, &j);
}
