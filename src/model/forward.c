#include "model/forward.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "kernels/vector.h"
#include "model/linear.h"

#include <math.h>
#include <string.h>

/* The buffers of a batch, all f32 with HS_BATCH rows, laid over the model's workspace. */
typedef struct {
    float *x;         /* [dim] residual stream */
    float *h;         /* [dim] normalised input, or a branch's output */
    float *q;         /* [n_heads * head_dim] */
    float *k, *v;     /* [n_kv_heads * head_dim] */
    float *attended;  /* [n_heads * head_dim] */
    float *gate, *up; /* [ffn_dim] */
    float *angles[2]; /* [rope_dim] cosines and sines: global, sliding */
    void *quantized;  /* the widest row, in int8 */
    size_t bytes;
} workspace;

static workspace lay_out(const hs_config *c, uint8_t *base) {
    int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    int widest = hs_max(c->dim, hs_max(q, c->ffn_dim));
    workspace w = {0};
    const struct {
        float **buffer;
        int width;
    } parts[] = {{&w.x, c->dim}, {&w.h, c->dim}, {&w.q, q}, {&w.k, kv}, {&w.v, kv}, {&w.attended, q}, {&w.gate, c->ffn_dim}, {&w.up, c->ffn_dim}, {&w.angles[0], c->rope_dim}, {&w.angles[1], c->rope_dim}};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].buffer = (float *)(void *)(base + w.bytes);
        w.bytes += hs_align_up((size_t)HS_BATCH * (size_t)parts[i].width * sizeof(float));
    }
    w.quantized = base + w.bytes;
    w.bytes += hs_align_up(hs_act_bytes(widest, HS_BATCH));
    return w;
}

size_t hs_workspace_bytes(const hs_config *c) {
    /* Only distances between the buffers count here: no pointer is formed outside an object. */
    static uint8_t origin[1];
    return lay_out(c, origin).bytes;
}

typedef struct {
    hs_context *context;
    const hs_config *config;
    workspace w;
    int n, layer;
} pass;

static void norm_rows(const pass *p, const float *x, const float *weight, float *y) {
    for (int t = 0; t < p->n; t++) hs_rmsnorm(x + (size_t)t * (size_t)p->config->dim, weight, p->config->dim, p->config->rms_eps, y + (size_t)t * (size_t)p->config->dim);
}

/* Norm (where the architecture has one) and rotation of every head of n rows. */
static void turn_heads(const pass *p, float *rows, int heads, const float *norm) {
    const hs_config *c = p->config;
    const float *angles = p->w.angles[hs_config_is_sliding(c, p->layer)];
    for (int t = 0; t < p->n; t++) {
        for (int i = 0; i < heads; i++) {
            float *head = rows + ((size_t)t * (size_t)heads + (size_t)i) * (size_t)c->head_dim;
            const float *cs = angles + (size_t)t * (size_t)c->rope_dim;
            if (norm) hs_rmsnorm(head, norm, c->head_dim, c->rms_eps, head);
            if (c->rope_type == HS_ROPE_INTERLEAVED)
                hs_rope_interleaved(head, cs, c->rope_dim / 2);
            else
                hs_rope_halves(head, cs, c->rope_dim / 2);
        }
    }
}

static hs_attention_params params_of(const pass *p, int kv_head) {
    const hs_config *c = p->config;
    hs_attention_params params = p->context->heads[p->layer * c->n_kv_heads + kv_head].params;
    params.scale = c->attn_scale > 0 ? c->attn_scale : 1 / sqrtf((float)c->head_dim);
    params.softcap = c->attn_softcap;
    params.causal = 1;
    params.end = params.sinks = 0;
    params.window = hs_config_is_sliding(c, p->layer) ? c->sliding_window : 0;
    return params;
}

/* One KV head: its new keys and values into the cache, then its group of query heads against the cache. */
static void attend_head(void *ctx, int kv_head, int thread) {
    pass *p = ctx;
    const hs_config *c = p->config;
    int group = c->n_heads / c->n_kv_heads, kv_width = c->n_kv_heads * c->head_dim, q_width = c->n_heads * c->head_dim;
    int cache = p->layer * c->n_kv_heads + kv_head;
    hs_kv *kv = &p->context->kv[cache];
    hs_head *head = &p->context->heads[cache];
    hs_reported *reported = head->reported.positions ? &head->reported : NULL;
    hs_attention_params params = params_of(p, kv_head);
    void *scratch = p->context->scratch + (size_t)thread * p->context->scratch_bytes;
    size_t kv_at = (size_t)kv_head * (size_t)c->head_dim, q_at = kv_at * (size_t)group;
    float *q = p->w.q + q_at, *out = p->w.attended + q_at;
    hs_kv_append(kv, p->w.k + kv_at, p->w.v + kv_at, kv_width, p->n);
    if (reported) reported->n = 0;
    if (p->n == 1 && p->context->queries) memcpy(p->context->queries + (size_t)p->layer * (size_t)q_width + q_at, q, (size_t)group * (size_t)c->head_dim * sizeof(float));
    if (p->n == 1)
        hs_attend_decode(kv, q, group, &params, out, &head->stats, reported, scratch);
    else
        hs_attend_block(kv, q, q_width, p->n, group, &params, out, q_width, &head->stats, scratch);
    if (params.window == 0) hs_kv_seal(kv, scratch);
}

static void add_branch(const pass *p, const float *post_norm) {
    if (post_norm) norm_rows(p, p->w.h, post_norm, p->w.h);
    hs_add(p->w.x, p->w.h, p->n * p->config->dim);
}

static void attention_branch(pass *p) {
    const hs_config *c = p->config;
    const hs_model *m = p->context->model;
    int l = p->layer, q_width = c->n_heads * c->head_dim, kv_width = c->n_kv_heads * c->head_dim;
    norm_rows(p, p->w.x, hs_layer_vector(m, l, HS_T_ATTN_NORM), p->w.h);
    hs_rows rows = hs_rows_make(p->w.h, c->dim, c->dim, p->n, p->w.quantized);
    hs_linear(hs_layer_tensor(m, l, HS_T_ATTN_Q), hs_layer_vector(m, l, HS_T_ATTN_Q_BIAS), &rows, p->w.q, q_width);
    hs_linear(hs_layer_tensor(m, l, HS_T_ATTN_K), hs_layer_vector(m, l, HS_T_ATTN_K_BIAS), &rows, p->w.k, kv_width);
    hs_linear(hs_layer_tensor(m, l, HS_T_ATTN_V), hs_layer_vector(m, l, HS_T_ATTN_V_BIAS), &rows, p->w.v, kv_width);
    turn_heads(p, p->w.q, c->n_heads, hs_layer_vector(m, l, HS_T_ATTN_Q_NORM));
    turn_heads(p, p->w.k, c->n_kv_heads, hs_layer_vector(m, l, HS_T_ATTN_K_NORM));
    hs_parallel_for(c->n_kv_heads, attend_head, p);
    rows = hs_rows_make(p->w.attended, q_width, q_width, p->n, p->w.quantized);
    hs_linear(hs_layer_tensor(m, l, HS_T_ATTN_OUTPUT), NULL, &rows, p->w.h, c->dim);
    add_branch(p, hs_layer_vector(m, l, HS_T_POST_ATTN_NORM));
}

static void feed_forward_branch(pass *p) {
    const hs_config *c = p->config;
    const hs_model *m = p->context->model;
    int l = p->layer;
    norm_rows(p, p->w.x, hs_layer_vector(m, l, HS_T_FFN_NORM), p->w.h);
    hs_rows rows = hs_rows_make(p->w.h, c->dim, c->dim, p->n, p->w.quantized);
    hs_linear(hs_layer_tensor(m, l, HS_T_FFN_GATE), NULL, &rows, p->w.gate, c->ffn_dim);
    hs_linear(hs_layer_tensor(m, l, HS_T_FFN_UP), NULL, &rows, p->w.up, c->ffn_dim);
    if (c->arch == HS_ARCH_GEMMA3)
        hs_gelu_mul(p->w.gate, p->w.up, p->n * c->ffn_dim);
    else
        hs_silu_mul(p->w.gate, p->w.up, p->n * c->ffn_dim);
    rows = hs_rows_make(p->w.gate, c->ffn_dim, c->ffn_dim, p->n, p->w.quantized);
    hs_linear(hs_layer_tensor(m, l, HS_T_FFN_DOWN), NULL, &rows, p->w.h, c->dim);
    add_branch(p, hs_layer_vector(m, l, HS_T_POST_FFN_NORM));
}

static void embed(const pass *p, const int32_t *tokens) {
    const hs_config *c = p->config;
    for (int t = 0; t < p->n; t++) {
        float *x = p->w.x + (size_t)t * (size_t)c->dim;
        hs_tensor_row(&p->context->model->global[HS_T_TOKEN_EMBD], tokens[t], x);
        for (int i = 0; c->embed_scale > 0 && i < c->dim; i++) x[i] *= c->embed_scale;
        for (int sliding = 0; sliding < 2; sliding++) hs_rope_angles(&p->context->model->rope[sliding], p->context->length + t, p->w.angles[sliding] + (size_t)t * (size_t)c->rope_dim);
    }
}

static void head(pass *p, int first) {
    const hs_config *c = p->config;
    hs_model *m = p->context->model;
    int n = p->n - first;
    norm_rows(p, p->w.x, (const float *)(const void *)m->global[HS_T_OUTPUT_NORM].data, p->w.h);
    hs_rows rows = hs_rows_make(p->w.h + (size_t)first * (size_t)c->dim, c->dim, c->dim, n, p->w.quantized);
    const hs_tensor *output = m->global[HS_T_OUTPUT].pack != HS_PACK_NONE ? &m->global[HS_T_OUTPUT] : &m->global[HS_T_TOKEN_EMBD];
    hs_linear(output, NULL, &rows, m->logits, c->vocab);
    if (c->final_softcap > 0) hs_softcap(m->logits, (int)((size_t)n * (size_t)c->vocab), c->final_softcap);
}

/* The logits buffer grows to what was once asked for. Four floats of slack: the softcap kernel works in fours. */
static int reserve_logits(hs_model *m, int rows) {
    if (rows <= m->logits_rows) return HS_OK;
    size_t bytes = ((size_t)rows * (size_t)m->config.vocab + 4) * sizeof(float);
    float *logits = hs_mem_alloc(bytes);
    if (!logits) return hs_error_set(HS_ERR_MEMORY, "no memory for logits of bytes", (double)bytes, (double)hs_mem_used());
    hs_mem_free(m->logits);
    m->logits = logits;
    m->logits_rows = rows;
    return HS_OK;
}

int hs_forward(hs_context *c, const int32_t *tokens, int n, hs_logits_wanted wanted) {
    hs_model *m = c->model;
    int shared = c->parent ? c->parent->length : 0;
    if (n < 1 || n > HS_BATCH) return hs_error_set(HS_ERR_ARGUMENT, "tokens in one call", n, HS_BATCH);
    if (c->children > 0) return hs_error_set(HS_ERR_STATE, "context is the prefix of live contexts", c->children, 0);
    if (c->length - shared + n > c->capacity) return hs_error_set(HS_ERR_FULL, "context is full: tokens needed", c->length + n, c->capacity + shared);
    for (int t = 0; t < n; t++) {
        if (tokens[t] < 0 || tokens[t] >= m->config.vocab) return hs_error_set(HS_ERR_ARGUMENT, "token id", tokens[t], m->config.vocab - 1);
    }
    int rows = wanted == HS_LOGITS_ALL ? n : wanted == HS_LOGITS_LAST ? 1
                                                                      : 0;
    int status = reserve_logits(m, rows);
    if (status != HS_OK) return status;
    pass p = {.context = c, .config = &m->config, .w = lay_out(&m->config, m->workspace), .n = n};
    embed(&p, tokens);
    for (p.layer = 0; p.layer < m->config.n_layers; p.layer++) {
        attention_branch(&p);
        feed_forward_branch(&p);
    }
    c->length += n;
    if (rows > 0) {
        head(&p, n - rows);
        m->logits_owner = c;
    }
    return HS_OK;
}
