/* Records of caches: bit by bit what they were, also in chains and growing caches, and no bytes that make attention stray. */
#include "base/checksum.h"
#include "base/error.h"
#include "base/hs.h"
#include "cache.h"
#include "kv/fields.h"
#include "kv/growing.h"
#include "kv/record.h"

enum { D = 64,
       GROUP = 3,
       MAX_SPANS = 200 };

static void test_checksum(void) {
    /* Published by the authors of xxHash and of its Python binding. */
    const struct {
        const char *text;
        uint64_t want;
    } known[] = {{"", 0xef46db3751d8e999}, {"a", 0xd24ec4f1a98c6e5b}, {"abc", 0x44bc2cf5ad770999}, {"Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1}};
    for (int i = 0; i < 4; i++) ok(hs_checksum(known[i].text, strlen(known[i].text)) == known[i].want, "checksum of \"%s\"", known[i].text);
}

/* The spans of a cache without its parents. */
static int spans_of(const hs_kv *kv, hs_span_of_keys *spans) {
    int n = 0, first = 0;
    for (int keys; first < kv->count; first += keys) {
        int sealed = first >= kv->sealed_from && first < kv->sealed_to;
        keys = first < kv->sealed_from ? hs_min(kv->sealed_from, kv->count) - first : sealed ? hs_kv_chunk(kv, first)
                                                                                             : hs_min(HS_RECORD_UNSEALED, kv->count - first);
        spans[n++] = (hs_span_of_keys){sealed, first, keys};
    }
    return n;
}

static uint8_t *record_of(const hs_kv *kv, const hs_span_of_keys *span, size_t *bytes) {
    *bytes = hs_record_bytes(kv, span->sealed, span->keys);
    uint8_t *out = malloc(*bytes);
    memset(out, 0x5a, *bytes);
    if (hs_record_write(kv, span, out) == HS_OK) return out;
    free(out);
    return NULL;
}

/* Reads every record of `from` into `to`, which has the room. */
static int copy_by_records(const hs_kv *from, hs_kv *to) {
    hs_span_of_keys spans[MAX_SPANS];
    int n = spans_of(from, spans), status = HS_OK;
    for (int i = 0; i < n && status == HS_OK; i++) {
        size_t bytes;
        uint8_t *record = record_of(from, &spans[i], &bytes);
        status = record ? hs_record_read(to, &spans[i], 0, record) : HS_ERR_STATE;
        free(record);
    }
    to->v_norm = from->v_norm;
    return status;
}

static int same_records(const hs_kv *a, const hs_kv *b) {
    hs_span_of_keys spans[MAX_SPANS];
    int n = spans_of(a, spans), same = a->count == b->count && a->base == b->base && a->sealed_to == b->sealed_to && a->removed == b->removed && a->v_norm == b->v_norm;
    for (int i = 0; i < n && same; i++) {
        size_t bytes;
        uint8_t *x = record_of(a, &spans[i], &bytes), *y = record_of(b, &spans[i], &bytes);
        same = x && y && memcmp(x, y, bytes) == 0;
        free(x);
        free(y);
    }
    return same;
}

static const hs_attention_params ways[] = {
    {.mode = HS_ATTENTION_DENSE, .scale = 0.125f},
    {.mode = HS_ATTENTION_HSR, .far_field = HS_FAR_SECOND, .dense_below = 1, .dense_above = 1, .scale = 0.125f},
    {.mode = HS_ATTENTION_HSR, .strength = HS_CERTIFIED, .far_field = HS_FAR_SECOND, .dense_below = 1, .scale = 0.125f},
    {.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .dense_below = 1, .scale = 0.125f},
    {.mode = HS_ATTENTION_RELU, .alpha = 2, .b = 1, .scale = 0.125f, .window = 500},
    {.mode = HS_ATTENTION_HSR, .far_field = HS_FAR_FIRST, .block_hsr = 1, .dense_below = 1, .scale = 0.125f, .causal = 1},
};
enum { WAYS = sizeof ways / sizeof *ways,
       BLOCK = 4 };

/* Every way of attention, and the place of every key: out [WAYS][BLOCK * GROUP * d]. */
static void attend_every_way(const hs_kv *kv, const float *q, float *out) {
    int d = kv->head_dim, width = GROUP * d;
    void *scratch = malloc(hs_attention_scratch_bytes(d, GROUP, hs_kv_length(kv), BLOCK));
    for (int w = 0; w < WAYS; w++, out += BLOCK * width) {
        hs_attention_stats stats = {0};
        memset(out, 0, sizeof(float) * (size_t)(BLOCK * width));
        if (ways[w].block_hsr)
            hs_attend_block(kv, q, width, BLOCK, GROUP, &ways[w], out, width, &stats, scratch);
        else
            hs_attend_decode(kv, q, GROUP, &ways[w], out, &stats, NULL, scratch);
    }
    free(scratch);
    for (int position = 0; !kv->parent && position < hs_kv_length(kv); position++) {
        int i = hs_kv_find(kv, position);
        if (i >= 0 && hs_kv_position(kv, i) != position) abort();
    }
}

/* Bit by bit the same answers. */
static int same_answers(const hs_kv *a, const hs_kv *b) {
    enum { FLOATS = WAYS * BLOCK * GROUP * HS_MAX_HEAD_DIM };
    float *q = malloc(sizeof(float) * BLOCK * GROUP * HS_MAX_HEAD_DIM), *out = calloc(2 * FLOATS, sizeof(float));
    random_queries(q, BLOCK * GROUP * a->head_dim);
    attend_every_way(a, q, out);
    attend_every_way(b, q, out + FLOATS);
    int same = memcmp(out, out + FLOATS, FLOATS * sizeof(float)) == 0;
    free(q);
    free(out);
    return same;
}

static void *poisoned_slab(const hs_kv_shape *shape, int capacity, int continues) {
    size_t bytes = hs_kv_bytes(shape, capacity, continues);
    void *slab = malloc(bytes);
    memset(slab, 0xff, bytes);
    return slab;
}

static hs_kv_shape shape_of(const hs_kv *kv) {
    return (hs_kv_shape){kv->head_dim, kv->type, kv->keys_only, kv->max_chunk};
}

/* As it was, and it goes on as the other does. */
static void test_round_trip(int type, int n, int seal) {
    cache c = new_cache(n % 2 ? CLUSTERED : NORMAL, type, D, n + 300, NULL);
    append(&c, n, 70, seal);
    hs_kv_shape shape = shape_of(&c.kv);
    cache r = {.d = D, .slab = poisoned_slab(&shape, n + 300, 0), .k = c.k, .v = c.v};
    hs_kv_init(&r.kv, r.slab, &shape, n + 300, NULL);
    int status = copy_by_records(&c.kv, &r.kv) | hs_kv_lay_out(&r.kv, c.kv.sealed_to - c.kv.sealed_from, n);
    ok(status == HS_OK && same_records(&c.kv, &r.kv) && same_answers(&c.kv, &r.kv), "type %d, %d keys, seal %d: a cache is what it was", type, n, seal);
    append(&c, 300, 41, seal);
    append(&r, 300, 41, seal);
    ok(same_records(&c.kv, &r.kv) && same_answers(&c.kv, &r.kv), "type %d, %d keys, seal %d: and grows as it would have", type, n, seal);
    void *scratch = seal_scratch(&c.kv);
    hs_kv_truncate(&c.kv, n - n / 3, scratch);
    hs_kv_truncate(&r.kv, n - n / 3, scratch);
    ok(same_records(&c.kv, &r.kv), "type %d, %d keys, seal %d: and is cut as it would have been", type, n, seal);
    free(scratch);
    free(r.slab);
    free_cache(&c);
}

/* A chain of four caches, each part restored after its parent was laid out, before the keys came. */
static void test_chain(int type) {
    enum { DEPTH = 4 };
    const int own[DEPTH] = {1500, 700, 20, 300};
    cache live[DEPTH];
    hs_kv restored[DEPTH];
    const hs_kv *parts[DEPTH] = {NULL};
    void *slabs[DEPTH];
    int status = HS_OK, n = 0;
    for (int i = 0; i < DEPTH; i++) {
        live[i] = new_cache(CLUSTERED, type, D, own[i], i > 0 ? &live[i - 1].kv : NULL);
        append(&live[i], own[i], 33, 1);
    }
    for (const hs_kv *kv = &live[DEPTH - 1].kv; kv; kv = kv->parent) n++;
    for (const hs_kv *kv = &live[DEPTH - 1].kv; kv; kv = kv->parent) parts[--n] = kv;
    while (n < DEPTH && parts[n] != &live[DEPTH - 1].kv) n++;
    n++; /* parts: the third cache is short enough to be copied whole by the fourth */
    for (int i = 0; i < n; i++) {
        hs_kv_shape shape = shape_of(parts[i]);
        int capacity = i > 0 ? hs_max(0, parts[i]->count - HS_KV_TAIL) : parts[i]->count;
        slabs[i] = poisoned_slab(&shape, capacity, i > 0);
        hs_kv_init(&restored[i], slabs[i], &shape, capacity, i > 0 ? &restored[i - 1] : NULL);
        status |= restored[i].count == 0 ? hs_kv_lay_out(&restored[i], parts[i]->sealed_to - parts[i]->sealed_from, parts[i]->count) : HS_ERR_STATE;
    }
    for (int i = n - 1; i >= 0; i--) status |= copy_by_records(parts[i], &restored[i]);
    const hs_kv *a = &live[DEPTH - 1].kv, *b = &restored[n - 1];
    ok(status == HS_OK && n == 3 && hs_kv_length(b) == 2520 && same_answers(a, b), "type %d: a chain of %d parts answers as it did", type, n);
    float q[GROUP * D], out[GROUP * D];
    void *scratch = malloc(hs_attention_scratch_bytes(D, GROUP, hs_kv_length(b), 1));
    hs_attention_stats stats = {0};
    double error = 0;
    random_queries(q, GROUP * D);
    hs_attend_decode(b, q, GROUP, &ways[0], out, &stats, NULL, scratch);
    for (int g = 0; g < GROUP; g++) {
        truth want = reference_from(b, q + g * D, &ways[0], -INFINITY);
        error = fmax(error, distance(out + g * D, want.out, D));
    }
    ok(error < 1e-3, "type %d: and dense attention over it is that of f64 (%.1e)", type, error);
    free(scratch);
    for (int i = 0; i < n; i++) free(slabs[i]);
    for (int i = 0; i < DEPTH; i++) free_cache(&live[i]);
}

/* Removed keys, a front that was dropped, and keys alone. */
static void test_growing(int type, int keys_only) {
    enum { N = 3000 };
    hs_kv_shape shape = {.head_dim = D, .type = type, .keys_only = keys_only, .max_chunk = 1024};
    float *rows = malloc(N * D * sizeof(float));
    for (int i = 0; i < N; i++) make_key(CLUSTERED, i, D, rows + (size_t)i * D);
    hs_growing c, r;
    int status = hs_growing_init(&c, &shape) | hs_growing_init(&r, &shape) | hs_growing_append(&c, rows, rows, D, N);
    status |= hs_growing_remove(&c, 16, 1300) | hs_growing_remove(&c, 2000, 2100) | hs_growing_remove(&c, N - 5, N - 2);
    status |= hs_growing_reserve(&r, c.kv.count);
    memset(r.slab, 0xff, hs_kv_bytes(&shape, c.kv.count, 0));
    hs_kv_init(&r.kv, r.slab, &shape, c.kv.count, NULL);
    status |= copy_by_records(&c.kv, &r.kv) | hs_growing_lay_out(&r, c.kv.base, c.kv.sealed_to - c.kv.sealed_from, c.kv.count);
    ok(status == HS_OK && c.kv.base > 0 && c.kv.removed > 100 && same_records(&c.kv, &r.kv) && (keys_only || same_answers(&c.kv, &r.kv)), "type %d, keys only %d: %d positions dropped and %d keys removed, as they were", type, keys_only, c.kv.base, c.kv.removed);
    status = hs_growing_truncate(&c, 1700) | hs_growing_truncate(&r, 1700) | hs_growing_append(&c, rows, rows, D, 200) | hs_growing_append(&r, rows, rows, D, 200);
    ok(status == HS_OK && same_records(&c.kv, &r.kv), "type %d, keys only %d: cut and continued alike", type, keys_only);
    hs_growing_free(&c);
    hs_growing_free(&r);
    free(rows);
}

/* A cache that holds the first spans only, as one that is still being read does. */
static void test_partial(void) {
    enum { N = 1500 };
    hs_kv_shape shape = {.head_dim = D, .type = HS_KV_Q8, .max_chunk = 1024};
    hs_span_of_keys spans[MAX_SPANS];
    cache c = new_cache(NORMAL, HS_KV_Q8, D, N, NULL);
    append(&c, N, 100, 1);
    int n = spans_of(&c.kv, spans), wrong = 0;
    for (int held = 1; held <= n; held++) {
        hs_growing r;
        int status = hs_growing_init(&r, &shape) | hs_growing_reserve(&r, N), count = 0, sealed = 0;
        for (int i = 0; i < held; i++) {
            size_t bytes;
            uint8_t *record = record_of(&c.kv, &spans[i], &bytes);
            status |= hs_record_read(&r.kv, &spans[i], 1, record);
            count += spans[i].keys;
            sealed += spans[i].sealed ? spans[i].keys : 0;
            free(record);
            status |= hs_growing_lay_out(&r, 0, sealed, count);
        }
        wrong += status != HS_OK || !same_answers(&r.kv, &r.kv);
        status = hs_growing_append(&r, c.k, c.v, D, 400) | hs_growing_truncate(&r, count - 1) | hs_growing_remove(&r, 0, count / 2);
        wrong += status != HS_OK || !same_answers(&r.kv, &r.kv);
        hs_growing_free(&r);
    }
    ok(wrong == 0, "after each of %d spans a cache answers, grows, and is cut", n);
    free_cache(&c);
}

/* Bytes at random and at the ends of every array; lengths and places of spans that lie. */
static void test_hostile(int type) {
    enum { N = 1400,
           ROUNDS = 1500 };
    cache c = new_cache(CLUSTERED, type, D, N, NULL), victim = new_cache(CLUSTERED, type, D, N, NULL);
    append(&c, N, 100, 1);
    append(&victim, N, 100, 1);
    hs_span_of_keys spans[MAX_SPANS];
    int n = spans_of(&c.kv, spans), refused = 0, accepted = 0, changed = 0;
    float q[BLOCK * GROUP * D], *out = malloc(sizeof(float) * WAYS * BLOCK * GROUP * D);
    for (int round = 0; round < ROUNDS; round++) {
        const hs_span_of_keys *span = &spans[round % n];
        size_t bytes;
        uint8_t *record = record_of(&c.kv, span, &bytes), *before = record_of(&victim.kv, span, &bytes);
        for (int i = 1 + (int)(random_bits() % 4); i > 0; i--) record[random_bits() % bytes] = round % 3 ? (uint8_t)random_bits() : round % 2 ? 0xff
                                                                                                                                              : 0x7f;
        if (hs_record_read(&victim.kv, span, round % 2, record) == HS_OK) {
            accepted++;
            victim.kv.removed = 0;
            for (int i = 0; i < victim.kv.count; i++) victim.kv.removed += !hs_kv_is_live(&victim.kv, i);
            random_queries(q, BLOCK * GROUP * D);
            if (round % 8 == 0) attend_every_way(&victim.kv, q, out);
        } else {
            uint8_t *after = record_of(&victim.kv, span, &bytes);
            refused++;
            changed += memcmp(before, after, bytes) != 0;
            free(after);
        }
        free(record);
        free(before);
    }
    attend_every_way(&victim.kv, q, out);
    ok(refused > ROUNDS / 20 && accepted > ROUNDS / 20 && changed == 0, "type %d: of %d damaged records %d are refused, %d read, and attention stays inside", type, ROUNDS, refused, accepted);
    const hs_span_of_keys lies[] = {{1, 16, 127}, {1, 0, 128}, {1, 32, 128}, {1, 16 + 128, 1024}, {1, 16, 8192}, {1, 16, 0}, {0, -16, 16}, {0, 8, 8}, {0, 0, 1025}, {0, N / 16 * 16, 64}, {0, 1 << 30, 16}, {1, 16, -128}, {0, 16, 0x7fffffff}};
    uint8_t *zeros = calloc(1, hs_record_bytes(&c.kv, 1, 1024));
    int lied = 0;
    for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++) lied += hs_record_read(&victim.kv, &lies[i], 0, zeros) == HS_OK;
    ok(lied == 0, "type %d: spans that no cache has are refused", type);
    const int layouts[][2] = {{128, 100}, {127, 1000}, {-128, 1000}, {1024, 1039}, {0, N + 100}, {0, -1}};
    for (unsigned i = 0; i < sizeof layouts / sizeof *layouts; i++) lied += hs_kv_lay_out(&victim.kv, layouts[i][0], layouts[i][1]) == HS_OK;
    ok(lied == 0, "type %d: so are layouts", type);
    free(zeros);
    free(out);
    free_cache(&c);
    free_cache(&victim);
}

/* Every array's limits, by one value beyond them in the first and in the last place. */
static void test_limits(int type) {
    cache c = new_cache(NORMAL, type, D, 200, NULL);
    append(&c, 200, 50, 1);
    hs_span_of_keys span = {1, 16, 128};
    size_t bytes;
    uint8_t *good = record_of(&c.kv, &span, &bytes), *bad = malloc(bytes), *part = bad;
    int missed = 0, tried = 0;
    const float beyond[] = {NAN, INFINITY, -INFINITY, 1e30f};
    for (int f = 0; f < HS_FIELDS; f++) {
        if (!hs_has_field(&c.kv, f)) continue;
        size_t size = 128 / HS_LEAF * hs_field_run(&c.kv, f);
        hs_field_kind kind = hs_fields[f].kind;
        int floats = kind == HS_FIELD_ROWS || kind == HS_FIELD_LEAF_RADII, codes = kind == HS_FIELD_CODES || kind == HS_FIELD_LEAF_CODES || kind == HS_FIELD_LEAF_SPREADS;
        const uint16_t words[] = {0x7f80, 0x7fc0, 0xfffe, 0x8001}; /* infinity, NaN, NaN or a removed key, a negative number */
        for (int i = 0; i < 8 && kind != HS_FIELD_PLANE; i++) {
            size_t width = floats ? 4 : codes ? 1
                                              : 2,
                   at = i % 2 ? size - width : 0;
            memcpy(bad, good, bytes);
            if (floats)
                memcpy(part + at, &beyond[i / 2], 4);
            else if (codes)
                part[at] = 0x80;
            else
                memcpy(part + at, &words[i / 2], 2);
            tried++;
            missed += hs_record_read(&c.kv, &span, 1, bad) == HS_OK;
        }
        part += hs_align_up(size);
    }
    ok(missed == 0 && tried > 80 && hs_record_read(&c.kv, &span, 1, good) == HS_OK, "type %d: %d numbers beyond their limits are refused, the record as it was is not", type, tried);
    free(good);
    free(bad);
    free_cache(&c);
}

/* Spans that the cache holds otherwise are not written, and bits of keys where there is none are not read. */
static void test_writes(void) {
    cache c = new_cache(NORMAL, HS_KV_Q8, D, 700, NULL);
    append(&c, 700, 700, 1);
    int end = c.kv.sealed_to, last = (c.kv.count - end) % HS_LEAF;
    const hs_span_of_keys lies[] = {{0, 16, 128}, {0, end - 128, 64}, {1, end, 128}, {0, end, 24}, {0, end, 1025}, {0, end + 1, 16}, {0, -16, 16}, {0, end, 0}, {1, end - 64, 128}};
    uint8_t *out = malloc(hs_record_bytes(&c.kv, 1, 1024) + hs_record_bytes(&c.kv, 0, 1024));
    int lied = 0;
    for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++) lied += hs_record_write(&c.kv, &lies[i], out) == HS_OK;
    ok(lied == 0 && end > 144 && last > 0, "%u spans that a cache does not hold are not written", (unsigned)(sizeof lies / sizeof *lies));
    hs_span_of_keys span = {0, c.kv.count - last, last};
    size_t bytes, at = 0;
    uint8_t *record = record_of(&c.kv, &span, &bytes);
    for (int f = 0; hs_fields[f].kind != HS_FIELD_LIVE; f++) at += hs_has_field(&c.kv, f) && !hs_fields[f].sealed ? hs_align_up(hs_field_run(&c.kv, f)) : 0;
    int as_it_was = hs_record_read(&c.kv, &span, 0, record);
    record[at + 1] |= 0x80;
    ok(as_it_was == HS_OK && hs_record_read(&c.kv, &span, 0, record) == HS_ERR_ARGUMENT && strstr(hs_error_last(), "bits of the keys"), "a key behind the last one of a cache is not read");
    free(record);
    free_cache(&c);
    c = new_cache(NORMAL, HS_KV_Q8, D, 700, NULL);
    append(&c, 700, 700, 0);
    span = (hs_span_of_keys){1, 16, 128};
    ok(hs_record_write(&c.kv, &span, out) == HS_ERR_ARGUMENT && strstr(hs_error_last(), "holds otherwise") && hs_error_limit() == 700, "a chunk that was not sealed is not written");
    free(out);
    free_cache(&c);
}

/* A cache that was sealed with longer chunks than a reader would lay out has none where the reader looks. */
static void test_other_chunks(void) {
    cache c = new_cache(NORMAL, HS_KV_Q8, D, 3000, NULL);
    append(&c, 3000, 3000, 1);
    hs_span_of_keys span = {1, c.kv.sealed_from, 128};
    uint8_t *out = malloc(hs_record_bytes(&c.kv, 1, 1024));
    ok(hs_kv_chunk(&c.kv, span.first) == 1024 && hs_record_write(&c.kv, &span, out) == HS_ERR_ARGUMENT && strstr(hs_error_last(), "holds otherwise"), "a part of a longer chunk is not written");
    free(out);
    free_cache(&c);
}

int main(void) {
    const int sizes[] = {1, 15, 16, 100, 177, 1250, 2000};
    test_checksum();
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        for (int i = 0; i < 7; i++) test_round_trip(type, sizes[i], i != 5);
        test_chain(type);
        test_growing(type, 0);
        test_growing(type, 1);
        test_hostile(type);
        test_limits(type);
    }
    test_partial();
    test_writes();
    test_other_chunks();
    return done();
}
