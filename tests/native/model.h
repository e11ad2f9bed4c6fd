/* Small random models for tests, and their forward pass written down once more, in f64 and without a cache. */
#ifndef HS_TESTS_MODEL_H
#define HS_TESTS_MODEL_H

#include "base/f16.h"
#include "model/forward.h"
#include "quant/ggml.h"
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_LAYERS = 3,
       MODEL_WIDEST = 96, /* of all rows */
       MODEL_TOKENS = 160 };

typedef struct {
    hs_config config;
    hs_model *m;
    double *weights[MODEL_LAYERS][HS_T_END]; /* as stored; those of no layer in the first; NULL: the model has none */
} random_model;

/* Every size is small, and none is the same as another. rows not a multiple of 4: the last tile of a matrix is not whole. */
static inline hs_config small_config(int arch) {
    return (hs_config){
        .arch = arch,
        .n_layers = MODEL_LAYERS,
        .dim = 64,
        .n_heads = 6,
        .n_kv_heads = 2,
        .head_dim = 16,
        .ffn_dim = 96,
        .vocab = 50,
        .rms_eps = 1e-5f,
        .rope_theta = 10000,
        .rope_type = arch == HS_ARCH_LLAMA ? HS_ROPE_INTERLEAVED : HS_ROPE_HALVES,
        .rope_dim = arch == HS_ARCH_LLAMA ? 8 : 16,
    };
}

/* Shapes by the architectures' papers and llama.cpp; rows 0: no such tensor. */
static inline void model_shape(const hs_config *c, int slot, int *rows, int *cols) {
    int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    int biases = c->arch == HS_ARCH_QWEN2, norms = c->arch == HS_ARCH_QWEN3 || c->arch == HS_ARCH_GEMMA3, post = c->arch == HS_ARCH_GEMMA3;
    const int shapes[HS_T_END][2] = {
        [HS_T_TOKEN_EMBD] = {c->vocab, c->dim},
        [HS_T_OUTPUT_NORM] = {1, c->dim},
        [HS_T_OUTPUT] = {c->arch == HS_ARCH_LLAMA ? c->vocab : 0, c->dim},
        [HS_T_ROPE_FREQS] = {c->arch == HS_ARCH_LLAMA, c->rope_dim / 2},
        [HS_T_ATTN_NORM] = {1, c->dim},
        [HS_T_ATTN_Q] = {q, c->dim},
        [HS_T_ATTN_K] = {kv, c->dim},
        [HS_T_ATTN_V] = {kv, c->dim},
        [HS_T_ATTN_OUTPUT] = {c->dim, q},
        [HS_T_ATTN_Q_BIAS] = {biases, q},
        [HS_T_ATTN_K_BIAS] = {biases, kv},
        [HS_T_ATTN_V_BIAS] = {biases, kv},
        [HS_T_ATTN_Q_NORM] = {norms, c->head_dim},
        [HS_T_ATTN_K_NORM] = {norms, c->head_dim},
        [HS_T_POST_ATTN_NORM] = {post, c->dim},
        [HS_T_FFN_NORM] = {1, c->dim},
        [HS_T_FFN_GATE] = {c->ffn_dim, c->dim},
        [HS_T_FFN_UP] = {c->ffn_dim, c->dim},
        [HS_T_FFN_DOWN] = {c->dim, c->ffn_dim},
        [HS_T_POST_FFN_NORM] = {post, c->dim},
    };
    *rows = shapes[slot][0];
    *cols = shapes[slot][1];
}

/* Random numbers as the file stores them, and what they stand for; returns the bytes. */
static inline size_t random_weights(int type, size_t n, double middle, double width, uint8_t *out, double *values) {
    for (size_t i = 0; i < n; i++) {
        float x = (float)(middle + width * (double)random_normal());
        uint16_t half = hs_f32_to_f16(x);
        if (type == HS_GGML_F32) {
            memcpy(out + 4 * i, &x, 4);
            values[i] = (double)x;
        } else if (type == HS_GGML_F16) {
            memcpy(out + 2 * i, &half, 2);
            values[i] = (double)hs_f16_to_f32(half);
        } else { /* Q8_0: a scale before each 32 */
            uint8_t *block = out + i / 32 * 34;
            half = hs_f32_to_f16((float)(width / 32));
            if (i % 32 == 0) memcpy(block, &half, 2);
            int code = (int)(random_bits() % 255) - 127;
            block[2 + i % 32] = (uint8_t)code;
            values[i] = (double)hs_f16_to_f32(half) * code;
        }
    }
    return type == HS_GGML_Q8_0 ? n / 32 * 34 : n * (type == HS_GGML_F32 ? 4 : 2);
}

/* A tensor of the type, in two calls where it has more than 4 rows; vectors are always of a float type. */
static inline int give_tensor(random_model *r, int slot, int layer, int type) {
    int rows, cols;
    model_shape(&r->config, slot, &rows, &cols);
    if (rows == 0) return HS_OK;
    size_t n = (size_t)rows * (size_t)cols;
    uint8_t *bytes = malloc(4 * n);
    int stored = rows == 1 && type == HS_GGML_Q8_0 ? HS_GGML_F32 : type;
    r->weights[layer][slot] = malloc(n * sizeof(double));
    size_t row_bytes = random_weights(stored, n, rows == 1 ? 1 : 0, rows == 1 ? 0.1 : 1 / sqrt(cols), bytes, r->weights[layer][slot]) / (size_t)rows;
    int status = hs_model_tensor_create(r->m, slot, layer, stored, rows, cols), first = rows > 4 ? 4 : rows;
    if (status == HS_OK) status = hs_model_tensor_rows(r->m, slot, layer, 0, first, bytes);
    if (status == HS_OK && rows > first) status = hs_model_tensor_rows(r->m, slot, layer, first, rows - first, bytes + 4 * row_bytes);
    free(bytes);
    return status;
}

static inline void free_model(random_model *r) {
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int slot = 0; slot < HS_T_END; slot++) free(r->weights[layer][slot]);
    }
    hs_model_delete(r->m);
    *r = (random_model){0};
}

/* HS_OK, or what failed; the weights are there, the model is not finished. */
static inline int load_model(random_model *r, const hs_config *config, int type) {
    *r = (random_model){.config = *config, .m = hs_model_new(config)};
    int status = r->m ? HS_OK : HS_ERR_MEMORY;
    for (int slot = 0; status == HS_OK && slot < HS_T_GLOBAL_COUNT; slot++) status = give_tensor(r, slot, 0, type);
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int slot = HS_T_ATTN_NORM; status == HS_OK && slot < HS_T_END; slot++) status = give_tensor(r, slot, layer, type);
    }
    return status;
}

/* ---- the reference ---- */

static inline int is_sliding_layer(const hs_config *c, int layer) {
    return c->sliding_window > 0 && c->sliding_pattern > 0 && (layer + 1) % c->sliding_pattern != 0;
}

/* Radians of pair i at a position, by the papers named in model/rope.h; *magnitude is YaRN's factor. */
static inline double true_angle(const random_model *r, int layer, int i, int position, double *magnitude) {
    const hs_config *c = &r->config;
    double d = c->rope_dim, theta = (double)c->rope_theta, scale = (double)c->rope_factor, pi = acos(-1.0);
    *magnitude = 1;
    if (is_sliding_layer(c, layer)) return position * pow(c->rope_theta_local > 0 ? (double)c->rope_theta_local : theta, -2 * i / d);
    if (c->rope_scaling == HS_ROPE_SCALE_NTK) theta *= pow(scale, d / (d - 2));
    double angle = position * pow(theta, -2 * i / d) / (r->weights[0][HS_T_ROPE_FREQS] ? r->weights[0][HS_T_ROPE_FREQS][i] : 1);
    if (c->rope_scaling == HS_ROPE_SCALE_LINEAR) return angle / scale;
    if (c->rope_scaling != HS_ROPE_SCALE_YARN) return angle;
    *magnitude = (double)c->yarn_attn_factor;
    if (c->yarn_ext_factor == 0) return angle / scale;
    *magnitude *= 0.1 * log(scale) + 1;
    /* Pairs that make beta_fast turns in the old context are as they were, those that make beta_slow are interpolated. */
    double ends[2], betas[2] = {(double)c->yarn_beta_fast, (double)c->yarn_beta_slow};
    for (int k = 0; k < 2; k++) ends[k] = d * log(c->rope_orig_ctx / (betas[k] * 2 * pi)) / (2 * log(theta));
    double low = fmax(0, floor(ends[0])), high = fmin(d - 1, ceil(ends[1])), share = (i - low) / fmax(0.001, high - low);
    double kept = (1 - fmin(1, fmax(0, share))) * (double)c->yarn_ext_factor;
    return angle / scale * (1 - kept) + angle * kept;
}

static inline void true_norm(const double *x, const double *weight, int n, double eps, double *y) {
    double square = 0;
    for (int i = 0; i < n; i++) square += x[i] * x[i];
    double factor = 1 / sqrt(square / n + eps);
    for (int i = 0; i < n; i++) y[i] = x[i] * factor * weight[i];
}

static inline void true_product(const double *w, const double *bias, int rows, int cols, const double *x, double *y) {
    for (int row = 0; row < rows; row++) {
        y[row] = bias ? bias[row] : 0;
        for (int i = 0; i < cols; i++) y[row] += w[row * cols + i] * x[i];
    }
}

static inline void true_turn(const random_model *r, int layer, int position, double *head) {
    const hs_config *c = &r->config;
    int pairs = c->rope_dim / 2, halves = c->rope_type == HS_ROPE_HALVES;
    for (int i = 0; i < pairs; i++) {
        double magnitude, angle = true_angle(r, layer, i, position, &magnitude);
        double *a = head + (halves ? i : 2 * i), *b = halves ? a + pairs : a + 1, x = *a, y = *b;
        *a = (x * cos(angle) - y * sin(angle)) * magnitude;
        *b = (x * sin(angle) + y * cos(angle)) * magnitude;
    }
}

typedef struct {
    double k[MODEL_LAYERS][MODEL_TOKENS][MODEL_WIDEST], v[MODEL_LAYERS][MODEL_TOKENS][MODEL_WIDEST];
} true_cache;

static inline double capped(double x, double cap) {
    return cap > 0 ? cap * tanh(x / cap) : x;
}

static inline void true_attention(const random_model *r, const true_cache *cache, int layer, int position, const double *q, double *out) {
    const hs_config *c = &r->config;
    int group = c->n_heads / c->n_kv_heads, first = is_sliding_layer(c, layer) ? position + 1 - c->sliding_window : 0;
    double scale = c->attn_scale > 0 ? (double)c->attn_scale : 1 / sqrt(c->head_dim);
    memset(out, 0, (size_t)(c->n_heads * c->head_dim) * sizeof(double));
    for (int h = 0; h < c->n_heads; h++) {
        const double *query = q + h * c->head_dim;
        double weights[MODEL_TOKENS] = {0}, sum = 0;
        int at = h / group * c->head_dim;
        for (int t = first > 0 ? first : 0; t <= position; t++) {
            double logit = 0;
            for (int i = 0; i < c->head_dim; i++) logit += query[i] * cache->k[layer][t][at + i];
            weights[t] = exp(capped(logit * scale, (double)c->attn_softcap));
            sum += weights[t];
        }
        for (int t = first > 0 ? first : 0; t <= position; t++) {
            for (int i = 0; i < c->head_dim; i++) out[h * c->head_dim + i] += weights[t] / sum * cache->v[layer][t][at + i];
        }
    }
}

static inline void true_attention_branch(const random_model *r, true_cache *cache, int layer, int position, double *x) {
    const hs_config *c = &r->config;
    double *const *w = r->weights[layer], h[MODEL_WIDEST], q[MODEL_WIDEST], out[MODEL_WIDEST];
    double *k = cache->k[layer][position], *v = cache->v[layer][position];
    int q_width = c->n_heads * c->head_dim, kv_width = c->n_kv_heads * c->head_dim, d = c->head_dim;
    true_norm(x, w[HS_T_ATTN_NORM], c->dim, (double)c->rms_eps, h);
    true_product(w[HS_T_ATTN_Q], w[HS_T_ATTN_Q_BIAS], q_width, c->dim, h, q);
    true_product(w[HS_T_ATTN_K], w[HS_T_ATTN_K_BIAS], kv_width, c->dim, h, k);
    true_product(w[HS_T_ATTN_V], w[HS_T_ATTN_V_BIAS], kv_width, c->dim, h, v);
    for (int head = 0; head < c->n_heads + c->n_kv_heads; head++) {
        int is_key = head >= c->n_heads;
        double *one = is_key ? k + (head - c->n_heads) * d : q + head * d, *norm = w[is_key ? HS_T_ATTN_K_NORM : HS_T_ATTN_Q_NORM];
        if (norm) true_norm(one, norm, d, (double)c->rms_eps, one);
        true_turn(r, layer, position, one);
    }
    true_attention(r, cache, layer, position, q, out);
    true_product(w[HS_T_ATTN_OUTPUT], NULL, c->dim, q_width, out, h);
    if (w[HS_T_POST_ATTN_NORM]) true_norm(h, w[HS_T_POST_ATTN_NORM], c->dim, (double)c->rms_eps, h);
    for (int i = 0; i < c->dim; i++) x[i] += h[i];
}

static inline void true_feed_forward_branch(const random_model *r, int layer, double *x) {
    const hs_config *c = &r->config;
    double *const *w = r->weights[layer], h[MODEL_WIDEST], gate[MODEL_WIDEST], up[MODEL_WIDEST], pi = acos(-1.0);
    true_norm(x, w[HS_T_FFN_NORM], c->dim, (double)c->rms_eps, h);
    true_product(w[HS_T_FFN_GATE], NULL, c->ffn_dim, c->dim, h, gate);
    true_product(w[HS_T_FFN_UP], NULL, c->ffn_dim, c->dim, h, up);
    for (int i = 0; i < c->ffn_dim; i++) {
        double g = gate[i], gelu = 0.5 * g * (1 + tanh(sqrt(2 / pi) * (g + 0.044715 * g * g * g)));
        gate[i] = (c->arch == HS_ARCH_GEMMA3 ? gelu : g / (1 + exp(-g))) * up[i];
    }
    true_product(w[HS_T_FFN_DOWN], NULL, c->dim, c->ffn_dim, gate, h);
    if (w[HS_T_POST_FFN_NORM]) true_norm(h, w[HS_T_POST_FFN_NORM], c->dim, (double)c->rms_eps, h);
    for (int i = 0; i < c->dim; i++) x[i] += h[i];
}

/* Logits [n][vocab] after each of the tokens. */
static inline void true_logits(const random_model *r, const int32_t *tokens, int n, double *logits) {
    const hs_config *c = &r->config;
    true_cache *cache = malloc(sizeof *cache);
    const double *head = r->weights[0][HS_T_OUTPUT] ? r->weights[0][HS_T_OUTPUT] : r->weights[0][HS_T_TOKEN_EMBD];
    for (int t = 0; t < n; t++) {
        double x[MODEL_WIDEST];
        for (int i = 0; i < c->dim; i++) x[i] = r->weights[0][HS_T_TOKEN_EMBD][tokens[t] * c->dim + i] * (c->embed_scale > 0 ? (double)c->embed_scale : 1);
        for (int layer = 0; layer < MODEL_LAYERS; layer++) {
            true_attention_branch(r, cache, layer, t, x);
            true_feed_forward_branch(r, layer, x);
        }
        true_norm(x, r->weights[0][HS_T_OUTPUT_NORM], c->dim, (double)c->rms_eps, x);
        true_product(head, NULL, c->vocab, c->dim, x, logits + t * c->vocab);
        for (int i = 0; i < c->vocab; i++) logits[t * c->vocab + i] = capped(logits[t * c->vocab + i], (double)c->final_softcap);
    }
    free(cache);
}

#endif
