/* The index and the growing cache while keys come and go: positions, memory, and answers in every state. */
#include "base/hs.h"
#include "base/memory.h"
#include "index_model.h"

/* Whether the index holds what it should: the same positions, and bit by bit the keys that were stored at first. */
static int holds(model *m) {
    float key[MAX_DIM];
    refresh(m);
    if (hs_index_end(m->index) != m->end || hs_index_count_live(m->index) != m->live) return 0;
    int n = 0;
    for (int from = 0, got = 100; got == 100; n += got) {
        got = hs_index_positions(m->index, from, m->positions + n, 100);
        if (got > 0) from = m->positions[n + got - 1] + 1;
    }
    if (n != m->live || memcmp(m->positions, m->order, (size_t)n * sizeof(int)) != 0) return 0;
    for (int p = 0; p < m->end; p++) {
        if ((hs_index_key(m->index, p, key) == HS_OK) != m->held[p]) return 0;
        if (m->held[p] && memcmp(key, row(m->stored, m, p), (size_t)m->d * sizeof(float)) != 0) return 0;
    }
    return 1;
}

static int random_below(int n) {
    return (int)(random_bits() % (unsigned)n);
}

/* One operation picked at random; 1 when its status is as it should be. */
static int operate(model *m, int sliding) {
    int what = random_below(10), to = m->end;
    if (what < 5) {
        const int batches[] = {1, 16, 33, 170, 600};
        int n = batches[random_below(5)];
        return m->end + n > MAX_KEYS || append(m, (kind_of_keys)random_below(KINDS), 1, n) == HS_OK;
    }
    if (what == 5) {
        int length = to - random_below(to < 400 || random_below(8) == 0 ? to + 1 : 400);
        m->end = length;
        return hs_index_truncate(m->index, length) == HS_OK;
    }
    int from = random_below(to + 1);
    if (sliding || what == 6) {
        to = from = from / 2 + m->end / 4;
        from = random_below(2) ? 0 : hs_min(from, 16);
    } else {
        to = from + random_below(hs_min(m->end - from, 60) + 1);
    }
    for (int p = from; p < to; p++) m->held[p] = 0;
    return hs_index_remove(m->index, from, to) == HS_OK;
}

static void test_sequences(void) {
    for (int round = 0; round < 6; round++) {
        int type = round % 2, sliding = round % 3 == 0, wrong = 0, lost = 0;
        float q[MAX_DIM];
        model m = new_model(24, type, round < 3 ? 128 : 1024);
        for (int step = 0; step < 60; step++) {
            lost += !operate(&m, sliding);
            lost += !holds(&m);
            if (step % 5 != 4) continue;
            random_query(q, m.d, 1);
            reference(&m, q);
            for (int strategy = HS_STRATEGY_AUTO; strategy <= HS_STRATEGY_TREE && m.live > 0; strategy++) {
                hs_index_stats stats;
                int r = 1 + random_below(m.live);
                wrong += !reports(&m, q, m.product[m.order[r - 1]], strategy, &stats) + !tops(&m, q, r, -INFINITY, strategy) + !tops(&m, q, (r + 9) / 10, m.product[m.order[0]], strategy);
            }
        }
        ok(lost == 0 && wrong == 0, "sequence %d, type %d: %d keys at %d positions, %d losses, %d wrong", round, type, m.live, m.end, lost, wrong);
        free_model(&m);
    }
}

/* A window that slides over many more keys than it holds, with and without the first ones kept. */
static void test_sliding_window(void) {
    enum { D = 16,
           WINDOW = 1000,
           TOTAL = 20000,
           BATCH = 50 };
    for (int keep = 0; keep <= 16; keep += 16) {
        hs_index *index = hs_index_new(D, HS_KV_F32, 1024);
        float keys[BATCH][D] = {{0}}, q[D] = {1};
        size_t before = 0, most = 0;
        int status = 0, wrong = 0;
        for (int end = 0; end < TOTAL; end += BATCH) {
            for (int i = 0; i < BATCH; i++) keys[i][0] = (float)(end + i); /* a key's product with q is its position */
            status |= hs_index_append(index, keys[0], BATCH);
            if (end + BATCH - WINDOW > keep) status |= hs_index_remove(index, keep, end + BATCH - WINDOW);
            if (end == 2 * WINDOW) before = hs_mem_used();
            most = hs_mem_used();
            if (end % 1000 != 0) continue;
            int positions[WINDOW + 16], n = hs_index_report(index, q, 0, HS_STRATEGY_AUTO, positions, NULL, WINDOW + 16, NULL);
            int oldest = hs_max(0, end + BATCH - WINDOW), kept = hs_min(keep, oldest);
            wrong += n != kept + end + BATCH - oldest;
            for (int j = 0; j < n; j++) wrong += positions[j] != (j < kept ? j : oldest + j - kept);
        }
        ok(status == HS_OK && wrong == 0, "a sliding window beside %d first keys: positions stay (%d wrong)", keep, wrong);
        ok(most == before, "and its memory does: %zu bytes", most);
        hs_index_free(index);
    }
}

/* With values, and one by one against a batch: the same bytes. */
static void test_growing(void) {
    enum { N = 1500,
           D = 40 };
    float *k = malloc(N * D * sizeof(float)), *v = malloc(N * D * sizeof(float)), out[D];
    for (int i = 0; i < N; i++) {
        make_key(CLUSTERED, i, D, k + (size_t)i * D);
        make_key(NORMAL, i, D, v + (size_t)i * D);
    }
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        hs_kv_shape shape = {.head_dim = D, .type = type, .max_chunk = 1024};
        hs_growing one, batch;
        int status = hs_growing_init(&one, &shape) | hs_growing_init(&batch, &shape), wrong = 0;
        for (int i = 0; i < N; i++) status |= hs_growing_append(&one, k + (size_t)i * D, v + (size_t)i * D, D, 1);
        status |= hs_growing_append(&batch, k, v, D, N);
        const hs_kv *a = &one.kv, *b = &batch.kv;
        int same = a->sealed_to == b->sealed_to && memcmp(a->place + 16, b->place + 16, (size_t)(a->sealed_to - 16) * sizeof *a->place) == 0;
        same = same && memcmp(a->k_high, b->k_high, (size_t)N * D / 2) == 0 && memcmp(a->screen_residual, b->screen_residual, N / HS_LEAF * 2) == 0;
        ok(status == HS_OK && same, "type %d: keys appended one by one lie as a batch does", type);
        status = hs_growing_remove(&one, 16, 1300);
        for (int position = 0; position < N; position++) {
            int held = position < 16 || position >= 1300, i = hs_kv_find(a, position);
            if (i >= 0 && hs_kv_is_live(a, i) != held) wrong++;
            if (!held) continue;
            wrong += i < 0 || hs_kv_position(a, i) != position;
            hs_kv_value(a, hs_max(i, 0), out);
            for (int j = 0; j < D; j++) wrong += fabsf(out[j] - v[(size_t)position * D + (size_t)j]) > (type == HS_KV_F32 ? 0 : 0.05f);
        }
        ok(status == HS_OK && wrong == 0 && a->count < N - 1000, "type %d: values stay with their keys when the front is given back, %d keys stored", type, a->count);
        hs_growing_free(&one);
        hs_growing_free(&batch);
    }
    free(k);
    free(v);
}

int main(void) {
    test_sequences();
    test_sliding_window();
    test_growing();
    return done();
}
