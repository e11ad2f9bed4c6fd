/* A model's weights: created from a config, filled tensor by tensor while the file streams in, then frozen. */
#ifndef HS_MODEL_MODEL_H
#define HS_MODEL_MODEL_H

#include "model/config.h"
#include "model/rope.h"
#include "quant/tensor.h"

/* Tensor slots of the ABI. Slots from HS_T_ATTN_NORM on exist once per layer. */
enum {
    HS_T_TOKEN_EMBD = 0,
    HS_T_OUTPUT_NORM = 1,
    HS_T_OUTPUT = 2,
    HS_T_ROPE_FREQS = 3,
    HS_T_GLOBAL_COUNT = 4,
    HS_T_ATTN_NORM = 8,
    HS_T_ATTN_Q,
    HS_T_ATTN_K,
    HS_T_ATTN_V,
    HS_T_ATTN_OUTPUT,
    HS_T_ATTN_Q_BIAS,
    HS_T_ATTN_K_BIAS,
    HS_T_ATTN_V_BIAS,
    HS_T_ATTN_Q_NORM,
    HS_T_ATTN_K_NORM,
    HS_T_POST_ATTN_NORM,
    HS_T_FFN_NORM,
    HS_T_FFN_GATE,
    HS_T_FFN_UP,
    HS_T_FFN_DOWN,
    HS_T_POST_FFN_NORM,
    HS_T_END,
    HS_T_LAYER_COUNT = HS_T_END - HS_T_ATTN_NORM,
};

typedef struct {
    hs_tensor tensors[HS_T_LAYER_COUNT]; /* by slot - HS_T_ATTN_NORM */
} hs_layer;

typedef struct {
    hs_config config;
    hs_tensor global[HS_T_GLOBAL_COUNT];
    hs_layer *layers; /* [n_layers] */
    hs_rope rope[2];  /* global, sliding; valid once ready */
    void *workspace;  /* buffers of one batch (model/workspace.h), valid once ready */
    float *logits;    /* the last call's logits; room for logits_rows rows of vocab floats */
    int logits_rows;
    const void *logits_owner; /* the context whose logits they are */
    int contexts;             /* live contexts: the model outlives them */
    int ready;
} hs_model;

/* Creates a model without weights. NULL with an error text when a value is out of range or memory is short. */
hs_model *hs_model_new(const hs_config *config);

/* Frees the model. Error: contexts still use it. */
int hs_model_delete(hs_model *m);

/* Announces the tensor of a slot (HS_T_...) and layer (0 for global ones): rows = ne[1] (1 for vectors), cols = ne[0], which must be what the architecture asks for. */
int hs_model_tensor_create(hs_model *m, int slot, int layer, int ggml_type, int rows, int cols);

/* The first tensor the architecture requires that was not announced, as layer << 8 | slot; -1 when there is none. */
int hs_model_missing(hs_model *m);

/* Passes n rows from row0 on, as the file stores them, to hs_tensor_put_rows() of the tensor of a slot and layer. */
int hs_model_tensor_rows(hs_model *m, int slot, int layer, int row0, int n, const uint8_t *rows);

/* Checks that every tensor is complete and prepares for contexts. Idempotent. */
int hs_model_finish(hs_model *m);

/* The tensor of a layer and slot, HS_T_ATTN_NORM or beyond; HS_PACK_NONE where the model has none. */
static inline const hs_tensor *hs_layer_tensor(const hs_model *m, int layer, int slot) {
    return &m->layers[layer].tensors[slot - HS_T_ATTN_NORM];
}

/* A vector of a layer and slot as f32, or NULL when the model has none. */
static inline const float *hs_layer_vector(const hs_model *m, int layer, int slot) {
    return (const float *)(const void *)hs_layer_tensor(m, layer, slot)->data;
}

#endif
