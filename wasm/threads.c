/*
 * hs_parallel_for() over a pool of workers, in builds with atomics; other builds have src/base/parallel.c.
 *
 * Each worker is an instance of this module over the same memory (web/core/thread-worker.js) that calls hs_thread_run(). A job is
 * published on the board; the owner, i.e. the one instance that the exports of abi.c are called on, and the workers claim its
 * tasks one by one until none is left. Function pointers mean the same in every instance, as all have the same table.
 *
 * Whoever waits spins for a moment, as the next job is mostly microseconds away, and then blocks, so that a thread without a
 * core of its own is not waited for on that core.
 *
 * No local of a function outlives a blocking wait in it: the baseline compiler of V8 11.3 (Node.js 20) spills the address that
 * is waited on, widened to 64 bits, into a slot of 32, and so zeroes the value that lies next to it. What has to last is on the
 * board, and a worker's loop around its waits is in JavaScript.
 */
#ifdef __wasm_atomics__

#include "abi.h"
#include "base/hs.h"
#include "base/parallel.h"

/*
 * Looks at the board before blocking: some 100 microseconds, about what a blocked thread takes to wake in a virtual machine;
 * with a quarter of it a decode step of two threads took 20 % more. And as many as take a second or so, where blocking is not
 * allowed.
 */
enum { SPINS = 1 << 18,
       SPINS_PER_SECOND = 1 << 30 };
/* What is written often has a cache line of its own. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): so it is padded */
static struct {
    hs_task run;
    void *ctx;
    int n_tasks;
    int threads, may_block, patience;
    int stopped, lost;
    _Alignas(64) int unclaimed; /* tasks; counts down, so that a claim by a thread that is late can only be of the present job */
    _Alignas(64) int unfinished;
    int owner_sleeps, waited; /* waited: seconds without a finished task */
    _Alignas(64) int jobs;    /* published so far; a change wakes */
    int sleepers;
} board = {.threads = 1};

static int load(const int *p) {
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(int *p, int value) {
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

static int add(int *p, int value) {
    return __atomic_add_fetch(p, value, __ATOMIC_SEQ_CST);
}

/* Whether *p changed from `seen` before the spinning ended. */
static int spin(const int *p, int seen, int spins) {
    for (int i = 0; i < spins; i++) {
        if (load(p) != seen) return 1;
    }
    return 0;
}

/* The owner waits for a change of *p for a second at most. A page's main thread may not block. */
static int changes(int *p, int seen) {
    enum { TIMED_OUT = 2 };
    if (!board.may_block) return spin(p, seen, SPINS_PER_SECOND);
    return __builtin_wasm_memory_atomic_wait32(p, seen, 1000000000) != TIMED_OUT;
}

/* Claims the next tasks, a share of those left so that the last claims are single tasks. Returns how many; 0: none is left. */
static int claim(int *first) {
    for (int left = load(&board.unclaimed); left > 0;) {
        int n = hs_max(1, left / (2 * board.threads));
        if (!__atomic_compare_exchange_n(&board.unclaimed, &left, left - n, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
        *first = board.n_tasks - left;
        return n;
    }
    return 0;
}

static void work(int thread) {
    int done = 0, first = 0;
    for (int n = claim(&first); n > 0; n = claim(&first)) {
        for (int task = first; task < first + n; task++) board.run(board.ctx, task, thread);
        done += n;
    }
    if (done > 0 && add(&board.unfinished, -done) == 0 && load(&board.owner_sleeps)) __builtin_wasm_memory_atomic_notify(&board.unfinished, 1);
}

/* Nothing that a lost thread left undone may pass for a result: the owner traps, now and in later jobs. */
static void give_up(void) {
    store(&board.lost, 1);
    __builtin_trap();
}

static void finish(void) {
    for (int i = 0; i < SPINS; i++) {
        if (load(&board.unfinished) == 0) return;
    }
    store(&board.owner_sleeps, 1);
    store(&board.waited, 0);
    for (int left = load(&board.unfinished); left > 0; left = load(&board.unfinished)) {
        add(&board.waited, 1);
        if (changes(&board.unfinished, left)) store(&board.waited, 0);
        if (load(&board.waited) == board.patience || load(&board.lost)) give_up();
    }
    store(&board.owner_sleeps, 0);
}

void hs_parallel_for(int n_tasks, hs_task run, void *ctx) {
    if (board.threads == 1 || n_tasks <= 1) {
        for (int task = 0; task < n_tasks; task++) run(ctx, task, 0);
        return;
    }
    if (load(&board.lost)) give_up();
    board.run = run;
    board.ctx = ctx;
    board.n_tasks = n_tasks;
    store(&board.unfinished, n_tasks);
    store(&board.unclaimed, n_tasks);
    add(&board.jobs, 1);
    if (load(&board.sleepers) > 0) __builtin_wasm_memory_atomic_notify(&board.jobs, (unsigned)n_tasks - 1);
    work(0);
    finish();
}

int hs_parallel_threads(void) {
    return board.threads;
}

/*
 * From now on jobs are shared by `threads` threads, the owner included; workers 1..threads-1 are in hs_thread_run(), or about to.
 * A thread counts as lost after `patience` seconds without a finished task.
 */
EXPORT(hs_threads_start)
void threads_start(int32_t threads, int32_t may_block, int32_t patience) {
    board.threads = threads;
    board.may_block = may_block;
    board.patience = patience;
}

/* Lets the workers return. */
EXPORT(hs_threads_stop)
void threads_stop(void) {
    store(&board.stopped, 1);
    add(&board.jobs, 1);
    __builtin_wasm_memory_atomic_notify(&board.jobs, HS_MAX_THREADS);
}

/* 1 after a thread was lost: jobs trap. */
EXPORT(hs_threads_lost)
int32_t threads_lost(void) {
    return load(&board.lost);
}

/* A worker's life until it was woken from its first sleep, to be called anew; 0: the pool was stopped. */
EXPORT(hs_thread_run)
int32_t thread_run(int32_t thread) {
    int seen = 0;
    do {
        seen = load(&board.jobs);
        work(thread);
        if (load(&board.stopped)) return 0;
    } while (spin(&board.jobs, seen, SPINS));
    add(&board.sleepers, 1);
    __builtin_wasm_memory_atomic_wait32(&board.jobs, seen, -1);
    add(&board.sleepers, -1);
    return 1;
}

/* A worker reports that it trapped. */
EXPORT(hs_thread_fail)
void thread_fail(void) {
    store(&board.lost, 1);
    __builtin_wasm_memory_atomic_notify(&board.unfinished, 1);
}

#endif
