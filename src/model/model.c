#include "model/model.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "model/workspace.h"
#include "quant/ggml.h"

#include <string.h>

/* What the architecture asks of a slot. */
typedef struct {
    const char *name;
    int rows, cols, required;
} want;

static want wanted(const hs_config *c, int slot) {
    int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    int qk_norm = c->arch == HS_ARCH_QWEN3 || c->arch == HS_ARCH_GEMMA3, post_norm = c->arch == HS_ARCH_GEMMA3, bias = c->arch == HS_ARCH_QWEN2;
    const want slots[HS_T_END] = {
        [HS_T_TOKEN_EMBD] = {"token_embd", c->vocab, c->dim, 1},
        [HS_T_OUTPUT_NORM] = {"output_norm", 1, c->dim, 1},
        [HS_T_OUTPUT] = {"output", c->vocab, c->dim, 0},
        [HS_T_ROPE_FREQS] = {"rope_freqs", 1, c->rope_dim / 2, 0},
        [HS_T_ATTN_NORM] = {"attn_norm", 1, c->dim, 1},
        [HS_T_ATTN_Q] = {"attn_q", q, c->dim, 1},
        [HS_T_ATTN_K] = {"attn_k", kv, c->dim, 1},
        [HS_T_ATTN_V] = {"attn_v", kv, c->dim, 1},
        [HS_T_ATTN_OUTPUT] = {"attn_output", c->dim, q, 1},
        [HS_T_ATTN_Q_BIAS] = {"attn_q.bias", 1, q, bias},
        [HS_T_ATTN_K_BIAS] = {"attn_k.bias", 1, kv, bias},
        [HS_T_ATTN_V_BIAS] = {"attn_v.bias", 1, kv, bias},
        [HS_T_ATTN_Q_NORM] = {"attn_q_norm", 1, c->head_dim, qk_norm},
        [HS_T_ATTN_K_NORM] = {"attn_k_norm", 1, c->head_dim, qk_norm},
        [HS_T_POST_ATTN_NORM] = {"post_attention_norm", 1, c->dim, post_norm},
        [HS_T_FFN_NORM] = {"ffn_norm", 1, c->dim, 1},
        [HS_T_FFN_GATE] = {"ffn_gate", c->ffn_dim, c->dim, 1},
        [HS_T_FFN_UP] = {"ffn_up", c->ffn_dim, c->dim, 1},
        [HS_T_FFN_DOWN] = {"ffn_down", c->dim, c->ffn_dim, 1},
        [HS_T_POST_FFN_NORM] = {"post_ffw_norm", 1, c->dim, post_norm},
    };
    return slots[slot];
}

hs_model *hs_model_new(const hs_config *config) {
    if (hs_config_check(config) != HS_OK) return NULL;
    size_t head = hs_align_up(sizeof(hs_model)), layers = hs_align_up((size_t)config->n_layers * sizeof(hs_layer));
    size_t bytes = head + layers + 2 * (size_t)config->rope_dim / 2 * sizeof(double);
    uint8_t *block = hs_mem_alloc(bytes);
    if (!block) {
        hs_error_set(HS_ERR_MEMORY, "no memory for the model's tensor table of bytes", (double)bytes, (double)hs_mem_used());
        return NULL;
    }
    memset(block, 0, bytes);
    hs_model *m = (hs_model *)(void *)block;
    m->config = *config;
    m->layers = (hs_layer *)(void *)(block + head);
    m->rope[0].frequencies = (double *)(void *)(block + head + layers);
    m->rope[1].frequencies = m->rope[0].frequencies + config->rope_dim / 2;
    return m;
}

int hs_model_delete(hs_model *m) {
    if (!m) return HS_OK;
    if (m->contexts > 0) return hs_error_set(HS_ERR_STATE, "model is in use by contexts", m->contexts, 0);
    for (int slot = 0; slot < HS_T_GLOBAL_COUNT; slot++) hs_tensor_free(&m->global[slot]);
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        for (int i = 0; i < HS_T_LAYER_COUNT; i++) hs_tensor_free(&m->layers[layer].tensors[i]);
    }
    hs_mem_free(m->workspace);
    hs_mem_free(m->logits);
    hs_mem_free(m);
    return HS_OK;
}

static hs_tensor *find(hs_model *m, int slot, int layer) {
    if (slot >= 0 && slot < HS_T_GLOBAL_COUNT) return &m->global[slot];
    if (slot < HS_T_ATTN_NORM || slot >= HS_T_END || layer < 0 || layer >= m->config.n_layers) return NULL;
    return &m->layers[layer].tensors[slot - HS_T_ATTN_NORM];
}

int hs_model_tensor_create(hs_model *m, int slot, int layer, int ggml_type, int rows, int cols) {
    hs_tensor *t = find(m, slot, layer);
    if (!t) return hs_error_set(HS_ERR_ARGUMENT, "no such tensor slot", slot, HS_T_END - 1);
    if (m->ready) return hs_error_text(HS_ERR_STATE, "the model is complete: it takes no more tensors");
    if (t->pack != HS_PACK_NONE) return hs_error_text(HS_ERR_STATE, "tensor given twice");
    want w = wanted(&m->config, slot);
    if (rows != w.rows) return hs_error_set(HS_ERR_ARGUMENT, w.name, rows, w.rows);
    if (cols != w.cols) return hs_error_set(HS_ERR_ARGUMENT, w.name, cols, w.cols);
    return hs_tensor_init(t, ggml_type, rows, cols);
}

int hs_model_missing(hs_model *m) {
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        for (int slot = layer == 0 ? 0 : HS_T_ATTN_NORM; slot < HS_T_END; slot++) {
            const hs_tensor *t = find(m, slot, layer);
            if (t && t->pack == HS_PACK_NONE && wanted(&m->config, slot).required) return layer << 8 | slot;
        }
    }
    return -1;
}

int hs_model_tensor_rows(hs_model *m, int slot, int layer, int row0, int n, const uint8_t *rows) {
    hs_tensor *t = find(m, slot, layer);
    if (!t || t->pack == HS_PACK_NONE) return hs_error_set(HS_ERR_ARGUMENT, "tensor not created: slot", slot, HS_T_END - 1);
    return hs_tensor_put_rows(t, row0, n, rows);
}

/* Norms and biases are read as f32 in every step, whatever the file stores. */
static int widen_vector(hs_tensor *t) {
    if (t->pack == HS_PACK_F32) return HS_OK;
    hs_tensor wide;
    int status = hs_tensor_init(&wide, HS_GGML_F32, 1, t->cols);
    if (status != HS_OK) return status;
    hs_tensor_row(t, 0, (float *)(void *)wide.data);
    wide.rows_loaded = 1;
    hs_tensor_free(t);
    *t = wide;
    return HS_OK;
}

static int finish_tensor(hs_model *m, int slot, int layer) {
    hs_tensor *t = find(m, slot, layer);
    want w = wanted(&m->config, slot);
    if (t->pack == HS_PACK_NONE && !w.required) return HS_OK;
    if (t->rows_loaded != w.rows) return hs_error_set(HS_ERR_STATE, w.name, t->rows_loaded, w.rows);
    return w.rows == 1 ? widen_vector(t) : HS_OK;
}

int hs_model_finish(hs_model *m) {
    if (m->ready) return HS_OK;
    for (int slot = 0; slot < HS_T_GLOBAL_COUNT; slot++) {
        int status = finish_tensor(m, slot, 0);
        if (status != HS_OK) return status;
    }
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        for (int slot = HS_T_ATTN_NORM; slot < HS_T_END; slot++) {
            int status = finish_tensor(m, slot, layer);
            if (status != HS_OK) return status;
        }
    }
    const float *factors = (const float *)(const void *)m->global[HS_T_ROPE_FREQS].data;
    for (int sliding = 0; sliding < 2; sliding++) hs_rope_init(&m->rope[sliding], &m->config, factors, sliding);
    size_t bytes = hs_workspace_over(&m->config, NULL).bytes;
    m->workspace = hs_mem_alloc(bytes);
    if (!m->workspace) return hs_error_set(HS_ERR_MEMORY, "no memory for the batch buffers of bytes", (double)bytes, (double)hs_mem_used());
    m->ready = 1;
    return HS_OK;
}
