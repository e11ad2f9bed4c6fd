/* One thread: native builds, and WebAssembly without shared memory. Others: wasm/threads.c. */
#ifndef __wasm_atomics__

#include "base/parallel.h"

void hs_parallel_for(int n_tasks, hs_task run, void *ctx) {
    for (int task = 0; task < n_tasks; task++) run(ctx, task, 0);
}

int hs_parallel_threads(void) {
    return 1;
}

#endif
