#include "model/config.h"

#include "base/error.h"
#include "base/hs.h"

/* Far above what any model has, and no product with a coordinate overflows. */
#define NUMBER_MOST 1e15f

static int check(const char *what, int value, int low, int high) {
    if (value < low) return hs_error_set(HS_ERR_ARGUMENT, what, value, low);
    if (value > high) return hs_error_set(HS_ERR_ARGUMENT, what, value, high);
    return HS_OK;
}

int hs_config_check(const hs_config *c) {
    const struct {
        const char *what;
        int value, low, high;
    } ranges[] = {
        {"architecture", c->arch, 0, HS_ARCH_COUNT - 1},
        {"layers", c->n_layers, 1, HS_MAX_LAYERS},
        {"embedding length", c->dim, 32, 1 << 16},
        {"attention heads", c->n_heads, 1, HS_MAX_HEADS},
        {"KV heads", c->n_kv_heads, 1, c->n_heads},
        {"head_dim", c->head_dim, HS_MIN_HEAD_DIM, HS_MAX_HEAD_DIM},
        {"feed-forward length", c->ffn_dim, 32, 1 << 18},
        {"vocabulary", c->vocab, 4, 1 << 20},
        {"rope type", c->rope_type, HS_ROPE_INTERLEAVED, HS_ROPE_HALVES},
        {"rope dimensions", c->rope_dim, 8, c->head_dim},
        {"rope scaling", c->rope_scaling, HS_ROPE_SCALE_NONE, HS_ROPE_SCALE_YARN},
        {"sliding window", c->sliding_window, 0, HS_MAX_CAPACITY},
        {"sliding pattern", c->sliding_pattern, 0, HS_MAX_LAYERS},
    };
    for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        int status = check(ranges[i].what, ranges[i].value, ranges[i].low, ranges[i].high);
        if (status != HS_OK) return status;
    }
    if (c->n_heads % c->n_kv_heads != 0) return hs_error_set(HS_ERR_ARGUMENT, "attention heads not a multiple of KV heads", c->n_heads, c->n_kv_heads);
    int group = c->n_heads / c->n_kv_heads;
    if (group > HS_MAX_GROUP) return hs_error_set(HS_ERR_ARGUMENT, "query heads per KV head", group, HS_MAX_GROUP);
    if (c->head_dim % 8 != 0) return hs_error_set(HS_ERR_ARGUMENT, "head_dim not a multiple of 8", c->head_dim, 8);
    if (c->rope_dim % 8 != 0) return hs_error_set(HS_ERR_ARGUMENT, "rope dimensions not a multiple of 8", c->rope_dim, 8);
    if (c->dim % 32 != 0) return hs_error_set(HS_ERR_ARGUMENT, "embedding length not a multiple of 32", c->dim, 32);
    if (c->ffn_dim % 32 != 0) return hs_error_set(HS_ERR_ARGUMENT, "feed-forward length not a multiple of 32", c->ffn_dim, 32);
    if (c->n_heads * c->head_dim % 32 != 0) return hs_error_set(HS_ERR_ARGUMENT, "query length not a multiple of 32", c->n_heads * c->head_dim, 32);
    const struct {
        const char *what;
        float value, low;
    } numbers[] = {
        {"norm epsilon", c->rms_eps, 0},
        {"rope theta", c->rope_theta, 0},
        {"rope scaling factor", c->rope_factor, -NUMBER_MOST},
        {"YaRN extrapolation", c->yarn_ext_factor, -NUMBER_MOST},
        {"YaRN magnitude", c->yarn_attn_factor, -NUMBER_MOST},
        {"YaRN beta fast", c->yarn_beta_fast, -NUMBER_MOST},
        {"YaRN beta slow", c->yarn_beta_slow, -NUMBER_MOST},
        {"local rope theta", c->rope_theta_local, 0},
        {"attention scale", c->attn_scale, 0},
        {"embedding scale", c->embed_scale, 0},
        {"attention softcap", c->attn_softcap, 0},
        {"logit softcap", c->final_softcap, 0},
    };
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!(numbers[i].value >= numbers[i].low && numbers[i].value <= NUMBER_MOST)) return hs_error_set(HS_ERR_ARGUMENT, numbers[i].what, (double)numbers[i].value, (double)NUMBER_MOST);
    }
    if (!(c->rms_eps > 0)) return hs_error_set(HS_ERR_ARGUMENT, "norm epsilon", (double)c->rms_eps, 0);
    if (!(c->rope_theta > 0)) return hs_error_set(HS_ERR_ARGUMENT, "rope theta", (double)c->rope_theta, 0);
    if (c->rope_scaling != HS_ROPE_SCALE_NONE && !(c->rope_factor > 0)) return hs_error_set(HS_ERR_ARGUMENT, "rope scaling factor", (double)c->rope_factor, 0);
    return HS_OK;
}
