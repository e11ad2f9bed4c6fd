/* What a model is: its hyperparameters, parsed from the file by JavaScript and checked here once more. */
#ifndef HS_MODEL_CONFIG_H
#define HS_MODEL_CONFIG_H

#include <stdint.h>

typedef enum { HS_ARCH_LLAMA,
               HS_ARCH_QWEN2,
               HS_ARCH_QWEN3,
               HS_ARCH_GEMMA3,
               HS_ARCH_COUNT } hs_arch;
typedef enum { HS_ROPE_INTERLEAVED,
               HS_ROPE_HALVES } hs_rope_type;
typedef enum { HS_ROPE_SCALE_NONE,
               HS_ROPE_SCALE_LINEAR,
               HS_ROPE_SCALE_NTK,
               HS_ROPE_SCALE_YARN } hs_rope_scaling;

/* The words of hs_model_create(), 32 bits each, in this order. */
typedef struct {
    int32_t arch, n_layers, dim, n_heads, n_kv_heads, head_dim, ffn_dim, vocab;
    float rms_eps, rope_theta;
    int32_t rope_type, rope_dim, rope_scaling;
    float rope_factor;
    int32_t rope_orig_ctx;
    float yarn_ext_factor, yarn_attn_factor, yarn_beta_fast, yarn_beta_slow;
    float rope_theta_local;            /* base of the sliding-window layers; 0: the same as rope_theta */
    int32_t sliding_window;            /* keys seen by a sliding layer; 0: no sliding layers */
    int32_t sliding_pattern;           /* every sliding_pattern-th layer is global; 0: all are */
    float attn_scale;                  /* 0: 1 / sqrt(head_dim) */
    float embed_scale;                 /* 0: 1 */
    float attn_softcap, final_softcap; /* 0: none */
    int32_t n_ctx_train, threads;
} hs_config;

/* Returns HS_OK, or an error naming the first value that is out of its range. */
int hs_config_check(const hs_config *c);

/* Whether a layer (from 0) sees a sliding window of the newest keys alone. */
static inline int hs_config_is_sliding(const hs_config *c, int layer) {
    return c->sliding_window > 0 && c->sliding_pattern > 0 && (layer + 1) % c->sliding_pattern != 0;
}

#endif
