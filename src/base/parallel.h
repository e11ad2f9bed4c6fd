/* Splitting work over threads. Results never depend on the number of threads: a task writes only its own outputs. */
#ifndef HS_BASE_PARALLEL_H
#define HS_BASE_PARALLEL_H

/* One task: `task` in 0..n_tasks-1; `thread` in 0..hs_parallel_threads()-1 selects per-thread scratch. */
typedef void (*hs_task)(void *ctx, int task, int thread);

/* Runs n_tasks tasks run(ctx, task, thread), in any order, and returns when all are done. Must not be nested. */
void hs_parallel_for(int n_tasks, hs_task run, void *ctx);

/* Number of threads that may run tasks at once, at least 1, at most HS_MAX_THREADS. */
int hs_parallel_threads(void);

#endif
