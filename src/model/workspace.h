/* The buffers of one batch of HS_BATCH tokens, which a model has once for all its contexts. */
#ifndef HS_MODEL_WORKSPACE_H
#define HS_MODEL_WORKSPACE_H

#include "model/config.h"

#include <stddef.h>

/* All f32 with HS_BATCH rows unless said. */
typedef struct {
    float *x;         /* [dim] residual stream */
    float *h;         /* [dim] normalised input, or a branch's output */
    float *q;         /* [n_heads * head_dim] */
    float *k, *v;     /* [n_kv_heads * head_dim] */
    float *attended;  /* [n_heads * head_dim] */
    float *gate, *up; /* [ffn_dim] */
    float *angles[2]; /* [rope_dim] cosines and sines: global, sliding */
    void *quantized;  /* rows of up to the widest, as hs_act has them */
    size_t bytes;     /* of the block */
} hs_workspace;

/* Lays the buffers over a block; with NULL there are none, but `bytes` says how large it has to be. */
hs_workspace hs_workspace_over(const hs_config *c, void *block);

#endif
