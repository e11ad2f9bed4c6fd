/* The index through its exported functions: sequences of calls, good and bad, against a plain list of the stored keys. */
#include "../../wasm/abi_attention.c"
#include "../../wasm/abi_index.c"
#include "fuzz.h"

enum { MOST_KEYS = 900,
       MOST_DIM = 64,
       MOST_STEPS = 16 };

/* What the index should hold, by position. */
typedef struct {
    hs_index *index;
    int d, end, live;
    float stored[MOST_KEYS * MOST_DIM];
    char held[MOST_KEYS];
    float product[MOST_KEYS];
    int order[MOST_KEYS];
} model;

static model m;
static float rows[MOST_KEYS * MOST_DIM], products[MOST_KEYS + 1];
static int positions[MOST_KEYS + 1];

static void count_live(void) {
    m.live = 0;
    for (int p = 0; p < m.end; p++) {
        if (m.held[p]) m.order[m.live++] = p;
    }
    must(abi_index_length(m.index) == m.end && abi_index_size(m.index) == m.live);
}

/* Each held position gives its stored key, no other does. */
static void check_positions(input *in) {
    count_live();
    int from = take_int(in, m.end), room = take_int(in, m.end), all = 0;
    while (all < m.live && m.order[all] < from) all++;
    int n = hs_index_positions(m.index, from, positions, hs_min(room, MOST_KEYS));
    must(room < 0 ? n == HS_ERR_ARGUMENT : n == hs_min(m.live - all, hs_min(room, MOST_KEYS)));
    if (n > 0) must(memcmp(positions, m.order + all, (size_t)n * sizeof(int)) == 0);
    for (int i = 0; i < 4; i++) {
        float key[MOST_DIM];
        int p = take_int(in, m.end), held = p >= 0 && p < m.end && m.held[p];
        must(abi_index_key(m.index, p, key) == (held ? HS_OK : HS_ERR_ARGUMENT));
        must(held ? abi_index_key_distance(m.index, p) >= 0 : abi_index_key_distance(m.index, p) == HS_ERR_ARGUMENT);
        if (held) must(memcmp(key, m.stored + (size_t)p * (size_t)m.d, (size_t)m.d * sizeof(float)) == 0);
    }
}

/* A stored key is as near to the given one as is said. */
static void check_stored(int p, const float *given) {
    float *key = m.stored + (size_t)p * (size_t)m.d;
    double square = 0, length = 0;
    must(abi_index_key(m.index, p, key) == HS_OK);
    for (int i = 0; i < m.d; i++) {
        square += ((double)key[i] - (double)given[i]) * ((double)key[i] - (double)given[i]);
        length += (double)given[i] * (double)given[i];
    }
    must(sqrt(square) <= (double)abi_index_key_distance(m.index, p) * (1 + 1e-5) + 1e-6 * sqrt(length) + 1e-36);
}

static void append(input *in) {
    static const int batches[] = {1, 2, 16, 17, 40, 128, 200, 300};
    int n = batches[take_byte(in) % 8], bad = take_byte(in) >= 240, fails = take_byte(in) >= 240;
    if (m.end + n > MOST_KEYS) return;
    take_rows(in, rows, n, m.d);
    if (bad) rows[take_below(in, n * m.d)] = bad_coordinate(in);
    fuzz_fail_after(fails ? 1u + take_byte(in) % 3 : 0);
    int status = abi_index_append(m.index, rows, n);
    if (bad) must(status == HS_ERR_ARGUMENT || (status == HS_ERR_MEMORY && fuzz_failed()));
    if (!bad) must(fuzz_failed() ? status == HS_ERR_MEMORY : status == HS_OK);
    fuzz_fail_after(0);
    if (status != HS_OK) return;
    for (int i = 0; i < n; i++) m.held[m.end++] = 1;
    for (int i = 0; i < n; i++) check_stored(m.end - n + i, rows + (size_t)i * (size_t)m.d);
}

static void cut_or_remove(input *in, int what) {
    int from = take_int(in, m.end), to = what % 2 ? take_int(in, m.end) : (int)((unsigned)from + take_byte(in) % 64);
    if (what < 2) {
        int good = from >= 0 && from <= m.end;
        must(abi_index_truncate(m.index, from) == (good ? HS_OK : HS_ERR_ARGUMENT));
        if (good) m.end = from;
    } else {
        int good = from >= 0 && from <= to && to <= m.end;
        must(abi_index_remove(m.index, from, to) == (good ? HS_OK : HS_ERR_ARGUMENT));
        for (int p = from; good && p < to; p++) m.held[p] = 0;
    }
}

static int by_product(const void *a, const void *b) {
    int p = *(const int *)a, o = *(const int *)b;
    return m.product[p] > m.product[o] ? -1 : m.product[p] < m.product[o] ? 1
                                                                          : p - o;
}

static void multiply(const float *q) {
    for (int p = 0; p < m.end; p++) {
        double sum = 0;
        for (int i = 0; i < m.d; i++) sum += (double)q[i] * (double)m.stored[(size_t)p * (size_t)m.d + (size_t)i];
        m.product[p] = (float)sum;
    }
    qsort(m.order, (size_t)m.live, sizeof(int), by_product);
}

/* A query, with a wrong coordinate once in a while. */
static int take_query(input *in, float *q) {
    int bad = take_byte(in) >= 248;
    take_rows(in, q, 1, m.d);
    if (bad) q[take_below(in, m.d)] = bad_coordinate(in);
    return !bad;
}

static float take_threshold(input *in) {
    return m.live > 0 && take_byte(in) < 192 ? m.product[m.order[take_below(in, m.live)]] : take_float(in);
}

static int is_strategy(int strategy) {
    return strategy >= HS_STRATEGY_AUTO && strategy <= HS_STRATEGY_TREE;
}

static void report(input *in) {
    float q[MOST_DIM];
    count_live();
    int good = take_query(in, q), strategy = take_int(in, HS_STRATEGY_TREE), room = take_int(in, m.live), written = take_byte(in) % 4;
    multiply(q);
    float b = take_threshold(in);
    good &= is_strategy(strategy) && room >= 0 && !isnan(b);
    if (room > MOST_KEYS) room = MOST_KEYS;
    int n = abi_index_report(m.index, q, b, strategy, written & 1 ? NULL : positions, written & 2 ? NULL : products, room), all = 0;
    must(good || n == HS_ERR_ARGUMENT);
    for (int p = 0; p < m.end && good; p++) {
        if (!m.held[p] || !(m.product[p] >= b)) continue;
        if (all < room && !(written & 1)) must(positions[all] == p);
        if (all < room && !(written & 2)) must(products[all] == m.product[p]);
        all++;
    }
    if (good) must(n == all && abi_index_stats()->keys_reported == n);
}

static void top(input *in) {
    float q[MOST_DIM];
    count_live();
    int good = take_query(in, q), strategy = take_int(in, HS_STRATEGY_TREE), r = take_int(in, m.live);
    multiply(q);
    float guess = take_byte(in) % 2 ? -INFINITY : take_threshold(in);
    good &= is_strategy(strategy) && r >= 1 && r <= m.live && !isnan(guess);
    int n = abi_index_top(m.index, q, r, guess, strategy, positions, products);
    must(n == (good ? r : HS_ERR_ARGUMENT));
    for (int j = 0; good && j < r; j++) must(positions[j] == m.order[j] && products[j] == m.product[m.order[j]]);
}

/* Room for any number of keys, and costs of any value: neither changes an answer. */
static void set_up(input *in) {
    int n = take_int(in, 400);
    fuzz_fail_after(0);
    int status = abi_index_reserve(m.index, n);
    must(n < 0 ? status == HS_ERR_ARGUMENT : status == HS_OK || (status == HS_ERR_MEMORY && fuzz_failed()) || (status == HS_ERR_FULL && n > HS_GROWING_LIMIT - m.end));
    float costs[4];
    int good = 1;
    for (int i = 0; i < 4; i++) {
        costs[i] = take_float(in);
        good &= isfinite(costs[i]) && costs[i] > 0;
    }
    must(abi_index_costs_set(costs[0], costs[1], costs[2], costs[3]) == (good ? HS_OK : HS_ERR_ARGUMENT));
}

static int is_chunk(int n) {
    return n == 128 || n == 1024 || n == 8192 || n == 65536;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int dims[] = {16, 16, 16, 24, 24, 32, 40, 64}, chunks[] = {128, 1024, 128, 8192};
    input in = input_of(data, size);
    int shape = take_byte(&in), d = dims[shape % 8], type = shape >> 3 & 1, chunk = chunks[shape >> 4 & 3];
    if (shape >= 240) {
        d = take_int(&in, HS_MAX_HEAD_DIM);
        type = take_int(&in, 1);
        chunk = take_byte(&in) % 2 ? chunk : take_int(&in, HS_CHUNK_MAX);
    }
    int good = d >= HS_MIN_HEAD_DIM && d <= HS_MAX_HEAD_DIM && d % 8 == 0 && (type == 0 || type == 1) && is_chunk(chunk);
    double bytes = abi_bytes_per_key(d, type, chunk, 1);
    must(good ? bytes > d : !(bytes >= 0));
    m.index = abi_index_create(d, type, chunk);
    must((m.index != NULL) == good);
    m.d = d;
    m.end = m.live = 0;
    for (int step = 0; m.index && d <= MOST_DIM && step < MOST_STEPS && left(&in) > 0; step++) {
        int what = take_byte(&in) % 16;
        if (what < 4) append(&in);
        if (what >= 4 && what < 8) cut_or_remove(&in, what - 4);
        if (what >= 8 && what < 11) report(&in);
        if (what >= 11 && what < 14) top(&in);
        if (what == 14) check_positions(&in);
        if (what == 15) set_up(&in);
    }
    if (m.index) count_live();
    abi_index_free(m.index);
    must(hs_mem_used() == 0);
    return 0;
}
