/*
 * Every allocation fails in turn: an error that says so, the object as it was and of use, no byte lost, and the same call then does
 * what it does where nothing fails.
 */
#include "base/checksum.h"
#include "base/error.h"
#include "base/memory.h"
#include "hsr/index.h"
#include "hsr/partition.h"
#include "index_model.h"
#include "kv/growing.h"
#include "kv/record.h"
#include "model/forward.h"
#include "quant/ggml.h"

#include <stdlib.h>
#include <string.h>

static int allocations, failing;

int hs_mem_refuses(size_t bytes);
int hs_mem_refuses(size_t bytes) {
    (void)bytes;
    return ++allocations == failing;
}

/* A call that allocates, and what it is made on. */
typedef struct {
    const char *name;
    int least;               /* allocations that it makes at least */
    void *(*before)(void);   /* an object, for which nothing fails */
    int (*run)(void *);      /* HS_OK, or a code */
    uint64_t (*sum)(void *); /* of everything that can be seen of it */
    void (*end)(void *);
} operation;

static int run_failing(const operation *o, void *object, int at) {
    allocations = 0;
    failing = at;
    int status = o->run(object);
    failing = 0;
    return status;
}

static void test_operation(const operation *o) {
    size_t used = hs_mem_used();
    void *object = o->before();
    uint64_t untouched = o->sum(object);
    int status = o->run(object), failed = 0, typed = 1, kept = 1, again = 1, freed = 1;
    uint64_t expected = o->sum(object);
    o->end(object);
    ok(status == HS_OK && expected != untouched, "%s: does something where nothing fails", o->name);
    for (int at = 1;; at++) {
        object = o->before();
        status = run_failing(o, object, at);
        if (allocations < at) {
            o->end(object);
            break;
        }
        failed++;
        typed &= status == HS_ERR_MEMORY && strstr(hs_error_last(), "memory") && !isnan(hs_error_limit());
        kept &= o->sum(object) == untouched;
        again &= o->run(object) == HS_OK && o->sum(object) == expected;
        o->end(object);
        freed &= hs_mem_used() == used;
    }
    ok(failed >= o->least, "%s: %d allocations fail in turn", o->name, failed);
    ok(typed, "%s: each is said to be want of memory, with a limit", o->name);
    ok(kept, "%s: the object stays as it was", o->name);
    ok(again, "%s: then the same call does what it should", o->name);
    ok(freed && hs_mem_used() == used, "%s: no memory is lost", o->name);
}

enum { D = 32,
       KEYS = 3000 };
static float rows[2 * KEYS * D];

static uint64_t mixed(uint64_t sum, const void *data, size_t bytes) {
    return (sum ^ hs_checksum(data, bytes)) * 0x9e3779b97f4a7c15ULL;
}

/* ---- the index ---- */

static void *small_index(void) {
    hs_index *index = hs_index_new(D, HS_KV_Q8, 1024);
    hs_index_append(index, rows, 500);
    hs_index_remove(index, 100, 150);
    return index;
}

static int append_to_index(void *index) {
    return hs_index_append(index, rows + 500 * D, KEYS - 500);
}

static uint64_t sum_of_index(void *index) {
    static int positions[KEYS];
    static float products[KEYS];
    uint64_t sum = (uint64_t)hs_index_end(index);
    for (int strategy = HS_STRATEGY_AUTO; strategy <= HS_STRATEGY_TREE; strategy++) {
        int n = hs_index_report(index, rows, 0.5f, (hs_strategy)strategy, positions, products, KEYS, NULL);
        sum = mixed(mixed(sum, positions, (size_t)n * sizeof *positions), products, (size_t)n * sizeof *products);
        n = hs_index_top(index, rows + D, 40, -INFINITY, (hs_strategy)strategy, positions, products, NULL);
        sum = mixed(sum, positions, (size_t)n * sizeof *positions);
    }
    return sum;
}

static void end_index(void *index) {
    hs_index_free(index);
}

/* ---- what is made anew: a slot, empty before ---- */

typedef struct {
    void *made;
} slot;

static void *empty_slot(void) {
    return calloc(1, sizeof(slot));
}

/* The status of a function that gives NULL where it fails. */
static int made(slot *s, void *object) {
    s->made = object;
    return object ? HS_OK : HS_ERR_MEMORY;
}

static int new_index(void *s) {
    return made(s, hs_index_new(D, HS_KV_F32, 128));
}

static uint64_t sum_of_slot(void *s) {
    return ((slot *)s)->made != NULL;
}

static void end_new_index(void *s) {
    hs_index_free(((slot *)s)->made);
    free(s);
}

static int new_partition(void *s) {
    return made(s, hs_partition_new(rows, KEYS, 3));
}

static uint64_t sum_of_partition(void *s) {
    int positions[50];
    float products[50];
    hs_partition *tree = ((slot *)s)->made;
    if (!tree) return 0;
    hs_partition_top(tree, rows, 50, positions, products, NULL);
    return mixed(mixed(1, positions, sizeof positions), products, sizeof products);
}

static void end_partition(void *s) {
    hs_partition_free(((slot *)s)->made);
    free(s);
}

/* ---- a cache that grows ---- */

static hs_growing *cache_of(int type, int n) {
    hs_growing *c = malloc(sizeof *c);
    hs_growing_init(c, &(hs_kv_shape){.head_dim = D, .type = type, .max_chunk = 1024});
    hs_growing_append(c, rows, rows + KEYS * D, D, n);
    return c;
}

static void *cache_q8(void) {
    return cache_of(HS_KV_Q8, 100);
}

static void *cache_f32(void) {
    return cache_of(HS_KV_F32, 600);
}

static int append_to_cache(void *cache) {
    hs_growing *c = cache;
    int from = c->kv.count;
    return hs_growing_append(c, rows + from * D, rows + (KEYS + from) * D, D, KEYS - from);
}

/* Attention of every strength, and all stored rows. */
static uint64_t sum_of_cache(void *cache) {
    const hs_kv *kv = &((hs_growing *)cache)->kv;
    static const hs_attention_params ways[] = {
        {.mode = HS_ATTENTION_DENSE, .scale = 0.2f},
        {.mode = HS_ATTENTION_HSR, .far_field = HS_FAR_SECOND, .dense_below = 1, .dense_above = 1, .scale = 0.2f},
        {.mode = HS_ATTENTION_HSR, .strength = HS_CERTIFIED, .far_field = HS_FAR_SECOND, .dense_below = 1, .scale = 0.2f},
        {.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .r = 20, .dense_below = 1, .scale = 0.2f},
        {.mode = HS_ATTENTION_RELU, .alpha = 1, .b = 0.1f, .scale = 0.2f},
    };
    uint64_t sum = (uint64_t)kv->count << 32 | (uint64_t)kv->base;
    if (kv->count == 0) return sum;
    void *scratch = malloc(hs_attention_scratch_bytes(D, 2, kv->capacity, 1));
    for (unsigned way = 0; way < sizeof ways / sizeof *ways; way++) {
        float out[2 * D];
        hs_attention_stats stats = {0};
        hs_attend_decode(kv, rows, 2, &ways[way], out, &stats, NULL, scratch);
        sum = mixed(sum, out, sizeof out);
    }
    free(scratch);
    for (int i = 0; i < kv->count; i++) {
        float row[2 * D];
        hs_kv_key(kv, i, row);
        hs_kv_value(kv, i, row + D);
        sum = mixed(sum, row, sizeof row);
    }
    return sum;
}

static void end_cache(void *cache) {
    hs_growing_free(cache);
    free(cache);
}

/* Records of another cache into an empty one. */
static const hs_growing *recorded;

static void *empty_cache(void) {
    return cache_of(HS_KV_Q8, 0);
}

static int read_records(void *cache) {
    hs_growing *to = cache;
    const hs_growing *from = recorded;
    int status = hs_growing_reserve(to, from->kv.count);
    for (int first = 0, keys; status == HS_OK && first < from->kv.count; first += keys) {
        int sealed = first >= from->kv.sealed_from && first < from->kv.sealed_to;
        keys = sealed ? hs_kv_chunk(&from->kv, first) : first == 0 ? from->kv.sealed_from
                                                                   : from->kv.count - first;
        hs_span_of_keys span = {sealed, first, keys};
        uint8_t *record = malloc(hs_record_bytes(&from->kv, sealed, keys));
        status = hs_record_write(&from->kv, &span, record);
        if (status == HS_OK) status = hs_record_read(&to->kv, &span, 1, record);
        free(record);
    }
    if (status == HS_OK) status = hs_growing_lay_out(to, 0, from->kv.sealed_to - from->kv.sealed_from, from->kv.count);
    if (status == HS_OK) to->kv.v_norm = from->kv.v_norm;
    return status;
}

/* ---- a model ---- */

enum { DIM = 64,
       FFN = 96,
       VOCAB = 40,
       LAYERS = 2,
       HEAD = 16,
       PROMPT = 30 };
static const hs_config config = {.arch = HS_ARCH_LLAMA, .n_layers = LAYERS, .dim = DIM, .n_heads = 4, .n_kv_heads = 2, .head_dim = HEAD, .ffn_dim = FFN, .vocab = VOCAB, .rms_eps = 1e-5f, .rope_theta = 10000, .rope_type = HS_ROPE_HALVES, .rope_dim = HEAD, .rope_factor = 1, .n_ctx_train = 256};

/* Vectors in f16, which are widened; matrices in Q8_0: random codes with small scales. */
static int put_tensor(hs_model *m, int slot, int layer, int n, int cols) {
    int vector = n == 1, status = hs_model_tensor_create(m, slot, layer, vector ? HS_GGML_F16 : HS_GGML_Q8_0, n, cols);
    if (status != HS_OK) return status;
    size_t bytes = (size_t)n * (size_t)hs_ggml_row_bytes(vector ? HS_GGML_F16 : HS_GGML_Q8_0, cols);
    uint8_t *data = malloc(bytes);
    const uint16_t one = 0x3c00, scale = 0x1400; /* 1 and 2^-10 */
    for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)(i * i * 31 + (size_t)slot * 57 + (size_t)layer * 91);
    for (size_t at = 0; at < bytes; at += vector ? 2 : 34) memcpy(data + at, vector ? &one : &scale, 2);
    status = hs_model_tensor_rows(m, slot, layer, 0, n, data);
    free(data);
    return status;
}

static int fill_model(hs_model *m) {
    const struct {
        int slot, rows, cols;
    } parts[] = {{HS_T_ATTN_NORM, 1, DIM}, {HS_T_ATTN_Q, DIM, DIM}, {HS_T_ATTN_K, DIM / 2, DIM}, {HS_T_ATTN_V, DIM / 2, DIM}, {HS_T_ATTN_OUTPUT, DIM, DIM}, {HS_T_FFN_NORM, 1, DIM}, {HS_T_FFN_GATE, FFN, DIM}, {HS_T_FFN_UP, FFN, DIM}, {HS_T_FFN_DOWN, DIM, FFN}};
    int status = put_tensor(m, HS_T_TOKEN_EMBD, 0, VOCAB, DIM);
    if (status == HS_OK) status = put_tensor(m, HS_T_OUTPUT_NORM, 0, 1, DIM);
    for (int layer = 0; layer < LAYERS; layer++) {
        for (unsigned i = 0; i < sizeof parts / sizeof *parts && status == HS_OK; i++) status = put_tensor(m, parts[i].slot, layer, parts[i].rows, parts[i].cols);
    }
    return status == HS_OK ? hs_model_finish(m) : status;
}

/* A load that fails leaves nothing: what it made is deleted, as the caller does. */
static int load_model(void *s) {
    hs_model *m = hs_model_new(&config);
    if (!m) return made(s, NULL);
    int status = fill_model(m);
    if (status == HS_OK) return made(s, m);
    hs_model_delete(m);
    return status;
}

typedef struct {
    hs_model *model;
    hs_context *context, *child;
    int watched;
} session;

static void *new_session(void) {
    slot s;
    session *all = calloc(1, sizeof *all);
    load_model(&s);
    all->model = s.made;
    return all;
}

static void end_session(void *object) {
    session *s = object;
    hs_context_delete(s->child);
    hs_context_delete(s->context);
    hs_model_delete(s->model);
    free(s);
}

static const int32_t *prompt(void) {
    static int32_t ids[PROMPT];
    for (int i = 0; i < PROMPT; i++) ids[i] = i * 7 % VOCAB;
    return ids;
}

/* A context, its prompt, a continuation that watches: where one step fails those before it are taken back. */
static int converse(void *object) {
    session *s = object;
    int status = HS_ERR_MEMORY;
    s->context = hs_context_new(s->model, PROMPT, HS_KV_Q8, NULL);
    if (s->context) status = hs_forward(s->context, prompt(), PROMPT, HS_LOGITS_ALL);
    if (status == HS_OK && !(s->child = hs_context_new(s->model, 4, HS_KV_Q8, s->context))) status = HS_ERR_MEMORY;
    if (status == HS_OK) status = hs_context_watch(s->child, HS_ALL, HS_ALL, 8);
    if (status == HS_OK) status = hs_forward(s->child, prompt(), 1, HS_LOGITS_LAST);
    if (status == HS_OK) return HS_OK;
    hs_context_delete(s->child);
    hs_context_delete(s->context);
    s->child = s->context = NULL;
    return status;
}

static uint64_t sum_of_session(void *object) {
    const session *s = object;
    if (!s->child) return 0;
    return mixed(mixed(1, s->model->logits, VOCAB * sizeof(float)), s->child->queries, LAYERS * DIM * sizeof(float));
}

static uint64_t sum_of_model(void *s) {
    session all = {.model = ((slot *)s)->made};
    if (!all.model) return 0;
    converse(&all);
    uint64_t sum = sum_of_session(&all);
    hs_context_delete(all.child);
    hs_context_delete(all.context);
    return sum;
}

static void end_model(void *s) {
    hs_model_delete(((slot *)s)->made);
    free(s);
}

static const operation operations[] = {
    {"a new index", 1, empty_slot, new_index, sum_of_slot, end_new_index},
    {"an append to an index", 3, small_index, append_to_index, sum_of_index, end_index},
    {"a partition tree", 2, empty_slot, new_partition, sum_of_partition, end_partition},
    {"an append to an int8 cache", 2, cache_q8, append_to_cache, sum_of_cache, end_cache},
    {"an append to an f32 cache", 2, cache_f32, append_to_cache, sum_of_cache, end_cache},
    {"records into a cache", 2, empty_cache, read_records, sum_of_cache, end_cache},
    {"a load", 27, empty_slot, load_model, sum_of_model, end_model},
    {"a conversation", 4, new_session, converse, sum_of_session, end_session},
};

int main(void) {
    for (int i = 0; i < 2 * KEYS * D; i++) rows[i] = random_normal();
    hs_growing *source = cache_of(HS_KV_Q8, 1500);
    recorded = source;
    for (unsigned i = 0; i < sizeof operations / sizeof *operations; i++) test_operation(&operations[i]);
    end_cache(source);
    ok(hs_mem_used() == 0, "nothing is left at the end");
    return done();
}
