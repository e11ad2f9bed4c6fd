#include "model/context.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "kv/record.h"

#include <math.h>
#include <string.h>

/* No block is larger: WebAssembly has addresses of 32 bits. */
static const double BLOCK_MOST = UINT32_MAX;

enum { SEALED_CHUNK = HS_CHUNK * HS_CHUNK_GROWTH }; /* longer chunks give closer leaves, and longer pauses when they are sealed */

static hs_kv_shape kv_shape(const hs_model *m, int kv_type) {
    return (hs_kv_shape){.head_dim = m->config.head_dim, .type = kv_type, .max_chunk = SEALED_CHUNK};
}

typedef struct {
    size_t head, kv_table, heads, slab_each, slab, scratch_each, total;
} layout;

static layout context_layout(const hs_model *m, int capacity, int kv_type, const hs_context *parent) {
    const hs_config *c = &m->config;
    size_t caches = (size_t)c->n_layers * (size_t)c->n_kv_heads;
    hs_kv_shape shape = kv_shape(m, kv_type);
    layout l;
    l.head = hs_align_up(sizeof(hs_context));
    l.kv_table = hs_align_up(caches * sizeof(hs_kv));
    l.heads = hs_align_up(caches * sizeof(hs_head));
    l.slab_each = hs_kv_bytes(&shape, capacity, parent != NULL);
    l.slab = caches * l.slab_each;
    size_t attention = hs_attention_scratch_bytes(c->head_dim, c->n_heads / c->n_kv_heads, capacity + hs_context_held(parent), HS_BATCH);
    size_t sealing = hs_kv_seal_scratch_bytes(&shape);
    l.scratch_each = hs_align_up(attention > sealing ? attention : sealing);
    l.total = l.head + l.kv_table + l.heads + l.slab + (size_t)hs_parallel_threads() * l.scratch_each;
    return l;
}

static int check_size(int capacity, int kv_type, const hs_context *parent) {
    int most = HS_MAX_CAPACITY - hs_context_held(parent);
    if (capacity < 1 || capacity > most) return hs_error_set(HS_ERR_ARGUMENT, "context capacity in tokens", capacity, most);
    if (kv_type != HS_KV_Q8 && kv_type != HS_KV_F32) return hs_error_set(HS_ERR_ARGUMENT, "KV cache type", kv_type, HS_KV_F32);
    return HS_OK;
}

/* In double: on a 32-bit machine the product may not fit a size_t. */
static double size_of(const hs_config *c, const layout *l) {
    return (double)(l->total - l->slab) + (double)l->slab_each * c->n_layers * c->n_kv_heads;
}

double hs_context_size(const hs_model *m, int capacity, int kv_type, const hs_context *parent) {
    int status = check_size(capacity, kv_type, parent);
    if (status != HS_OK) return status;
    layout l = context_layout(m, capacity, kv_type, parent);
    return size_of(&m->config, &l);
}

hs_context *hs_context_new(hs_model *m, int capacity, int kv_type, hs_context *parent) {
    if (!m->ready) {
        hs_error_text(HS_ERR_STATE, "the model's weights are not complete");
        return NULL;
    }
    if (check_size(capacity, kv_type, parent) != HS_OK) return NULL;
    if (parent && (parent->model != m || parent->kv->type != kv_type)) {
        hs_error_text(HS_ERR_ARGUMENT, "a context continues one of the same model and KV cache type");
        return NULL;
    }
    layout l = context_layout(m, capacity, kv_type, parent);
    double size = size_of(&m->config, &l);
    uint8_t *block = size < BLOCK_MOST ? hs_mem_alloc((size_t)size) : NULL;
    if (!block) {
        hs_error_set(HS_ERR_MEMORY, "no memory for a context of bytes", size, BLOCK_MOST - (double)hs_mem_used());
        return NULL;
    }
    memset(block, 0, l.head + l.kv_table + l.heads);
    hs_context *c = (hs_context *)(void *)block;
    c->model = m;
    c->parent = parent;
    c->capacity = capacity;
    c->length = hs_context_held(parent);
    c->kv = (hs_kv *)(void *)(block + l.head);
    c->heads = (hs_head *)(void *)(block + l.head + l.kv_table);
    uint8_t *slab = block + l.head + l.kv_table + l.heads;
    c->scratch = slab + l.slab;
    c->scratch_bytes = l.scratch_each;
    hs_kv_shape shape = kv_shape(m, kv_type);
    for (int i = 0; i < hs_context_caches(c); i++, slab += l.slab_each) {
        c->heads[i].params.far_field = HS_FAR_SECOND;
        hs_kv_init(&c->kv[i], slab, &shape, capacity, parent ? &parent->kv[i] : NULL);
    }
    if (parent) parent->children++;
    m->contexts++;
    return c;
}

int hs_context_check_childless(const hs_context *c) {
    return c->children > 0 ? hs_error_set(HS_ERR_STATE, "context is the prefix of live contexts", c->children, 0) : HS_OK;
}

int hs_context_delete(hs_context *c) {
    if (!c) return HS_OK;
    int status = hs_context_check_childless(c);
    if (status != HS_OK) return status;
    if (c->parent) c->parent->children--;
    c->model->contexts--;
    if (c->model->logits_owner == c) c->model->logits_owner = NULL;
    hs_mem_free(c->watch);
    hs_mem_free(c);
    return HS_OK;
}

int hs_context_check_level(const hs_context *c) {
    for (int i = 0; i < hs_context_caches(c); i++) {
        if (hs_kv_length(&c->kv[i]) != c->length) return hs_error_set(HS_ERR_STATE, "tokens that a layer holds", hs_kv_length(&c->kv[i]), c->length);
    }
    return HS_OK;
}

int hs_context_cut(hs_context *c, int n) {
    int status = hs_context_check_childless(c), least = hs_context_held(c->parent);
    if (status != HS_OK) return status;
    if (n < 0 || n > c->length) return hs_error_set(HS_ERR_ARGUMENT, "tokens to keep", n, c->length);
    if (n < least) return hs_error_set(HS_ERR_STATE, "cannot cut into the prefix: tokens to keep", n, least);
    status = hs_context_check_level(c);
    if (status != HS_OK) return status;
    for (int i = 0; i < hs_context_caches(c); i++) hs_kv_truncate(&c->kv[i], n, c->scratch);
    c->length = n;
    return HS_OK;
}

/* Caches first..end-1 with a stride: one layer's heads, one head of all layers, one or all. */
typedef struct {
    int first, end, step;
} selection;

static int select_heads(const hs_context *c, int layer, int kv_head, selection *s) {
    const hs_config *config = &c->model->config;
    int heads = config->n_kv_heads;
    *s = (selection){0, 0, 1};
    if (layer < HS_ALL || layer >= config->n_layers) return hs_error_set(HS_ERR_ARGUMENT, "layer", layer, config->n_layers - 1);
    if (kv_head < HS_ALL || kv_head >= heads) return hs_error_set(HS_ERR_ARGUMENT, "kvHead", kv_head, heads - 1);
    s->first = (layer == HS_ALL ? 0 : layer * heads) + (kv_head == HS_ALL ? 0 : kv_head);
    s->end = layer == HS_ALL ? config->n_layers * heads : (layer + 1) * heads;
    s->step = kv_head == HS_ALL ? 1 : heads;
    return HS_OK;
}

/* The number of one cache, or an error. */
static int select_one(const hs_context *c, int layer, int kv_head) {
    selection s;
    int status = layer == HS_ALL || kv_head == HS_ALL ? hs_error_set(HS_ERR_ARGUMENT, "layer or kvHead", HS_ALL, 0) : select_heads(c, layer, kv_head, &s);
    return status == HS_OK ? s.first : status;
}

hs_kv *hs_context_cache(const hs_context *c, int layer, int kv_head) {
    int i = select_one(c, layer, kv_head);
    return i >= 0 ? &c->kv[i] : NULL;
}

hs_head *hs_context_head(const hs_context *c, int layer, int kv_head) {
    int i = select_one(c, layer, kv_head);
    return i >= 0 ? &c->heads[i] : NULL;
}

int hs_context_attention_set(hs_context *c, const hs_attention_params *p, int layer, int kv_head) {
    selection s;
    int status = select_heads(c, layer, kv_head, &s);
    if (status == HS_OK) status = hs_attention_check(p);
    for (int i = s.first; status == HS_OK && i < s.end; i += s.step) c->heads[i].params = *p;
    return status;
}

int hs_context_stats(const hs_context *c, int layer, int kv_head, hs_attention_stats *out) {
    enum { WORDS = sizeof(hs_attention_stats) / sizeof(double) };
    double sum[WORDS] = {0}, words[WORDS], error_max = 0, value_norm = 0;
    selection s;
    int status = select_heads(c, layer, kv_head, &s);
    for (int i = s.first; status == HS_OK && i < s.end; i += s.step) {
        for (int part = 0; part < HS_PARTS; part++) {
            const hs_attention_stats *stats = &c->heads[i].stats[part];
            memcpy(words, stats, sizeof words);
            for (int w = 0; w < WORDS; w++) sum[w] += words[w];
            error_max = fmax(error_max, stats->error_max);
            value_norm = fmax(value_norm, stats->value_norm);
        }
    }
    memcpy(out, sum, sizeof sum);
    out->error_max = error_max;
    out->value_norm = value_norm;
    return status;
}

void hs_context_stats_reset(hs_context *c) {
    for (int i = 0; i < hs_context_caches(c); i++) memset(c->heads[i].stats, 0, sizeof c->heads[i].stats);
}

int hs_context_watch(hs_context *c, int layer, int kv_head, int room) {
    const hs_config *config = &c->model->config;
    int group = config->n_heads / config->n_kv_heads;
    selection s;
    int status = select_heads(c, layer, kv_head, &s);
    if (status != HS_OK) return status;
    if (room < 0 || room > HS_WATCH_ROOM) return hs_error_set(HS_ERR_ARGUMENT, "watched keys per KV head", room, HS_WATCH_ROOM);
    for (int i = 0; i < hs_context_caches(c); i++) c->heads[i].reported = (hs_reported){0};
    hs_mem_free(c->watch);
    c->watch = NULL;
    c->queries = NULL;
    if (room == 0) return HS_OK;
    size_t queries = hs_align_up((size_t)config->n_layers * (size_t)config->n_heads * (size_t)config->head_dim * sizeof(float));
    size_t each = hs_align_up((size_t)room * sizeof(int)) + hs_align_up((size_t)room * (size_t)group * sizeof(float));
    size_t watched = (size_t)((s.end - s.first + s.step - 1) / s.step);
    /* In double: on a 32-bit machine the product may not fit a size_t. */
    double bytes = (double)queries + (double)watched * (double)each;
    uint8_t *block = bytes < BLOCK_MOST ? hs_mem_alloc((size_t)bytes) : NULL;
    if (!block) return hs_error_set(HS_ERR_MEMORY, "no memory to watch attention, of bytes", bytes, BLOCK_MOST - (double)hs_mem_used());
    c->watch = block;
    c->queries = (float *)(void *)block;
    block += queries;
    for (int i = s.first; i < s.end; i += s.step, block += each) {
        c->heads[i].reported = (hs_reported){(int *)(void *)block, (float *)(void *)(block + hs_align_up((size_t)room * sizeof(int))), room, 0};
    }
    return HS_OK;
}

int hs_context_lay_out(hs_context *c, int layer, int sealed, int count) {
    selection s;
    int status = layer == HS_ALL ? hs_error_set(HS_ERR_ARGUMENT, "layer", HS_ALL, 0) : select_heads(c, layer, HS_ALL, &s);
    if (status == HS_OK) status = hs_context_check_childless(c);
    if (status != HS_OK) return status;
    for (int i = s.first; i < s.end; i += s.step) {
        hs_kv *kv = &c->kv[i];
        if (kv->count > 0) return hs_error_set(HS_ERR_STATE, "unsealed keys in a part that is not the last", kv->count, 0);
        status = hs_kv_lay_out(kv, sealed, count);
        if (status != HS_OK) return status;
        c->length = hs_max(c->length, hs_kv_length(kv));
    }
    return HS_OK;
}

int hs_context_rows(const hs_context *c, int layer, int kv_head, int from, int n, float *keys, float *values) {
    int first = select_one(c, layer, kv_head);
    if (first < 0) return first;
    if (from < 0 || n < 0 || n > hs_kv_length(&c->kv[first]) - from) return hs_error_set(HS_ERR_ARGUMENT, "positions up to", (double)from + n, hs_kv_length(&c->kv[first]));
    for (int i = 0; i < n; i++) {
        const hs_kv *kv = &c->kv[first];
        while (from + i < kv->base) kv = kv->parent;
        int own = hs_kv_find(kv, from + i);
        hs_kv_key(kv, own, keys + (size_t)i * (size_t)kv->head_dim);
        hs_kv_value(kv, own, values + (size_t)i * (size_t)kv->head_dim);
    }
    return HS_OK;
}
