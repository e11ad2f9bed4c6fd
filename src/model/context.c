#include "model/context.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "base/parallel.h"

#include <string.h>

enum { SEALED_CHUNK = HS_CHUNK * HS_CHUNK_GROWTH }; /* longer chunks give closer leaves, and longer pauses when they are sealed */

static hs_kv_shape kv_shape(const hs_model *m, int kv_type) {
    return (hs_kv_shape){.head_dim = m->config.head_dim, .type = kv_type, .max_chunk = SEALED_CHUNK};
}

typedef struct {
    size_t head, kv_table, slab_each, slab, scratch_each, total;
} layout;

static layout context_layout(const hs_model *m, int capacity, int kv_type, const hs_context *parent) {
    const hs_config *c = &m->config;
    size_t caches = (size_t)c->n_layers * (size_t)c->n_kv_heads;
    hs_kv_shape shape = kv_shape(m, kv_type);
    layout l;
    l.head = hs_align_up(sizeof(hs_context));
    l.kv_table = hs_align_up(caches * sizeof(hs_kv));
    l.slab_each = hs_kv_bytes(&shape, capacity, parent != NULL);
    l.slab = caches * l.slab_each;
    size_t attention = hs_attention_scratch_bytes(c->head_dim, c->n_heads / c->n_kv_heads, capacity + (parent ? parent->length : 0), HS_BATCH);
    size_t sealing = hs_kv_seal_scratch_bytes(&shape);
    l.scratch_each = hs_align_up(attention > sealing ? attention : sealing);
    l.total = l.head + l.kv_table + l.slab + (size_t)hs_parallel_threads() * l.scratch_each;
    return l;
}

double hs_context_size(const hs_model *m, int capacity, int kv_type, const hs_context *parent) {
    const hs_config *c = &m->config;
    layout l = context_layout(m, capacity, kv_type, parent);
    /* In double: on a 32-bit machine the product may not fit a size_t. */
    return (double)(l.total - l.slab) + (double)l.slab_each * c->n_layers * c->n_kv_heads;
}

hs_context *hs_context_new(hs_model *m, int capacity, int kv_type, hs_context *parent) {
    if (!m->ready) {
        hs_error_text(HS_ERR_STATE, "the model's weights are not complete");
        return NULL;
    }
    int shared = parent ? parent->length : 0;
    if (capacity < 1 || capacity > HS_MAX_CAPACITY - shared) {
        hs_error_set(HS_ERR_ARGUMENT, "context capacity in tokens", capacity, HS_MAX_CAPACITY - shared);
        return NULL;
    }
    if (kv_type != HS_KV_Q8 && kv_type != HS_KV_F32) {
        hs_error_set(HS_ERR_ARGUMENT, "KV cache type", kv_type, HS_KV_F32);
        return NULL;
    }
    double size = hs_context_size(m, capacity, kv_type, parent);
    uint8_t *block = size < 4294967295.0 ? hs_mem_alloc((size_t)size) : NULL;
    if (!block) {
        hs_error_set(HS_ERR_MEMORY, "no memory for a context of bytes", size, 4294967295.0 - (double)hs_mem_used());
        return NULL;
    }
    layout l = context_layout(m, capacity, kv_type, parent);
    memset(block, 0, l.head + l.kv_table);
    hs_context *c = (hs_context *)(void *)block;
    c->model = m;
    c->parent = parent;
    c->capacity = capacity;
    c->length = shared;
    c->kv = (hs_kv *)(void *)(block + l.head);
    c->slab = block + l.head + l.kv_table;
    c->scratch = c->slab + l.slab;
    c->scratch_bytes = l.scratch_each;
    c->params.far_field = HS_FAR_SECOND;
    int caches = m->config.n_layers * m->config.n_kv_heads;
    hs_kv_shape shape = kv_shape(m, kv_type);
    for (int i = 0; i < caches; i++) hs_kv_init(&c->kv[i], c->slab + (size_t)i * l.slab_each, &shape, capacity, parent ? &parent->kv[i] : NULL);
    if (parent) parent->children++;
    m->contexts++;
    return c;
}

int hs_context_delete(hs_context *c) {
    if (!c) return HS_OK;
    if (c->children > 0) return hs_error_set(HS_ERR_STATE, "context is the prefix of live contexts", c->children, 0);
    if (c->parent) c->parent->children--;
    c->model->contexts--;
    if (c->model->logits_owner == c) c->model->logits_owner = NULL;
    hs_mem_free(c);
    return HS_OK;
}

int hs_context_cut(hs_context *c, int n) {
    if (c->children > 0) return hs_error_set(HS_ERR_STATE, "context is the prefix of live contexts", c->children, 0);
    if (n < 0 || n > c->length) return hs_error_set(HS_ERR_ARGUMENT, "tokens to keep", n, c->length);
    int caches = c->model->config.n_layers * c->model->config.n_kv_heads, least = c->parent ? c->parent->length : 0;
    if (n < least) return hs_error_set(HS_ERR_STATE, "cannot cut into the prefix: tokens to keep", n, least);
    for (int i = 0; i < caches; i++) hs_kv_truncate(&c->kv[i], n, c->scratch);
    c->length = n;
    return HS_OK;
}
