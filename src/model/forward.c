#include "model/forward.h"

#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/profile.h"
#include "kernels/vector.h"
#include "kv/coordinates.h"
#include "model/linear.h"
#include "model/workspace.h"

#include <math.h>
#include <string.h>

typedef struct {
    hs_context *context;
    const hs_config *config;
    hs_workspace w;
    int n, layer;
    uint8_t beyond[HS_MAX_HEADS * HS_PARTS]; /* by task: it met a number that attention does not take */
} pass;

/* What each token needs by itself: done for a few tokens per task, so that threads share a block. */
typedef struct stage {
    const pass *p;
    void (*run)(const struct stage *s, int token);
    const float *weight;
    const hs_rows *rows; /* to be quantised once the stage has run */
} stage;

enum { TOKENS_PER_TASK = 8 };

static void run_stage(void *ctx, int task, int thread) {
    (void)thread;
    const stage *s = ctx;
    int first = task * TOKENS_PER_TASK, n = hs_min(TOKENS_PER_TASK, s->p->n - first);
    for (int t = first; s->run && t < first + n; t++) s->run(s, t);
    if (s->rows) hs_rows_quantize(s->rows, first, n);
}

static void for_tokens(stage s) {
    hs_parallel_for((s.p->n + TOKENS_PER_TASK - 1) / TOKENS_PER_TASK, run_stage, &s);
}

/* h = the residual stream, normalised. */
static void normalise(const stage *s, int token) {
    const hs_config *c = s->p->config;
    size_t at = (size_t)token * (size_t)c->dim;
    hs_rmsnorm(s->p->w.x + at, s->weight, c->dim, c->rms_eps, s->p->w.h + at);
}

/* The residual stream gains a branch's output h, after its norm where the architecture has one. */
static void add_branch(const stage *s, int token) {
    const hs_config *c = s->p->config;
    size_t at = (size_t)token * (size_t)c->dim;
    float *h = s->p->w.h + at;
    if (s->weight) hs_rmsnorm(h, s->weight, c->dim, c->rms_eps, h);
    hs_add(s->p->w.x + at, h, c->dim);
}

static void activate(const stage *s, int token) {
    const hs_config *c = s->p->config;
    size_t at = (size_t)token * (size_t)c->ffn_dim;
    if (c->arch == HS_ARCH_GEMMA3)
        hs_gelu_mul(s->p->w.gate + at, s->p->w.up + at, c->ffn_dim);
    else
        hs_silu_mul(s->p->w.gate + at, s->p->w.up + at, c->ffn_dim);
}

/* Norm (where the architecture has one) and rotation of one head of tokens first..first+n-1, whose rows are `width` floats. */
static void turn_head(const pass *p, float *head, int width, const float *norm, int first, int n) {
    const hs_config *c = p->config;
    const float *angles = p->w.angles[hs_config_is_sliding(c, p->layer)];
    for (int t = first; t < first + n; t++) {
        float *x = head + (size_t)t * (size_t)width;
        const float *cs = angles + (size_t)t * (size_t)c->rope_dim;
        if (norm) hs_rmsnorm(x, norm, c->head_dim, c->rms_eps, x);
        if (c->rope_type == HS_ROPE_INTERLEAVED)
            hs_rope_interleaved(x, cs, c->rope_dim / 2);
        else
            hs_rope_halves(x, cs, c->rope_dim / 2);
    }
}

static hs_attention_params params_of(const pass *p, int kv_head) {
    const hs_config *c = p->config;
    hs_attention_params params = p->context->heads[p->layer * c->n_kv_heads + kv_head].params;
    params.scale = c->attn_scale > 0 ? c->attn_scale : 1 / sqrtf((float)c->head_dim);
    params.softcap = c->attn_softcap;
    params.causal = 1;
    params.sinks = 0;
    params.window = hs_config_is_sliding(c, p->layer) ? c->sliding_window : 0;
    return params;
}

/* One KV head's new keys and values into the cache. */
static void append_head(void *ctx, int kv_head, int thread) {
    (void)thread;
    pass *p = ctx;
    const hs_config *c = p->config;
    int width = c->n_kv_heads * c->head_dim, at = kv_head * c->head_dim;
    turn_head(p, p->w.k + at, width, hs_layer_vector(p->context->model, p->layer, HS_T_ATTN_K_NORM), 0, p->n);
    /* Weights of any file may give numbers that attention does not take. */
    p->beyond[kv_head] = hs_find_beyond(p->w.k + at, width, p->n, c->head_dim, 1) || hs_find_beyond(p->w.v + at, width, p->n, c->head_dim, 1);
    if (!p->beyond[kv_head]) hs_kv_append(&p->context->kv[p->layer * c->n_kv_heads + kv_head], p->w.k + at, p->w.v + at, width, p->n);
}

static int count_parts(const pass *p) {
    return (p->n + HS_PART - 1) / HS_PART;
}

/* One KV head's group of query heads of one part of the block against the cache. */
static void attend_part(void *ctx, int task, int thread) {
    pass *p = ctx;
    const hs_config *c = p->config;
    int kv_head = task / count_parts(p), part = task % count_parts(p), first = part * HS_PART, n = hs_min(HS_PART, p->n - first);
    int group = c->n_heads / c->n_kv_heads, width = c->n_heads * c->head_dim, cache = p->layer * c->n_kv_heads + kv_head;
    /* A lone token's key is needed here alone. */
    if (p->n == 1) append_head(ctx, kv_head, thread);
    const hs_kv *kv = &p->context->kv[cache];
    hs_head *head = &p->context->heads[cache];
    void *scratch = p->context->scratch + (size_t)thread * p->context->scratch_bytes;
    size_t at = (size_t)kv_head * (size_t)group * (size_t)c->head_dim;
    for (int g = 0; g < group; g++) turn_head(p, p->w.q + at + g * c->head_dim, width, hs_layer_vector(p->context->model, p->layer, HS_T_ATTN_Q_NORM), first, n);
    float *q = p->w.q + at + (size_t)first * (size_t)width, *out = p->w.attended + at + (size_t)first * (size_t)width;
    hs_attention_params params = params_of(p, kv_head);
    p->beyond[task] |= hs_find_beyond(q, width, n, group * c->head_dim, fmaxf(1, params.scale)) != NULL;
    if (p->beyond[task]) return;
    params.end = hs_kv_length(kv) - (p->n - first - n);
    HS_LAP(HS_PHASE_APPEND);
    if (p->n > 1) {
        hs_attend_block(kv, q, width, n, group, &params, out, width, &head->stats[part], scratch);
        return;
    }
    hs_reported *reported = head->reported.positions ? &head->reported : NULL;
    if (reported) reported->n = 0;
    if (p->context->queries) memcpy(p->context->queries + (size_t)p->layer * (size_t)width + at, q, (size_t)group * (size_t)c->head_dim * sizeof(float));
    hs_attend_decode(kv, q, group, &params, out, &head->stats[0], reported, scratch);
}

/* A layer's caches sort what is due; windows are too short for that to gain. */
static void seal_layer(void *ctx, int layer, int thread) {
    const pass *p = ctx;
    const hs_config *c = p->config;
    if (hs_config_is_sliding(c, layer)) return;
    for (int i = 0; i < c->n_kv_heads; i++) hs_kv_seal(&p->context->kv[layer * c->n_kv_heads + i], p->context->scratch + (size_t)thread * p->context->scratch_bytes);
}

/* Runs attention's tasks; an error, which names the layer, where one met a number that attention does not take. */
static int run_attention(pass *p, hs_task run, int n_tasks) {
    hs_parallel_for(n_tasks, run, p);
    for (int task = 0; task < n_tasks; task++) {
        if (p->beyond[task]) return hs_error_set(HS_ERR_UNSUPPORTED, "the weights give queries, keys or values beyond 1e15 or not finite in layer", p->layer, p->config->n_layers - 1);
    }
    return HS_OK;
}

static int attention_branch(pass *p) {
    const hs_config *c = p->config;
    const hs_model *m = p->context->model;
    int l = p->layer, q_width = c->n_heads * c->head_dim;
    hs_rows in = hs_rows_make(p->w.h, c->dim, p->n, p->w.quantized);
    for_tokens((stage){p, normalise, hs_layer_vector(m, l, HS_T_ATTN_NORM), &in});
    const hs_linear inputs[] = {
        {hs_layer_tensor(m, l, HS_T_ATTN_Q), hs_layer_vector(m, l, HS_T_ATTN_Q_BIAS), p->w.q},
        {hs_layer_tensor(m, l, HS_T_ATTN_K), hs_layer_vector(m, l, HS_T_ATTN_K_BIAS), p->w.k},
        {hs_layer_tensor(m, l, HS_T_ATTN_V), hs_layer_vector(m, l, HS_T_ATTN_V_BIAS), p->w.v},
    };
    HS_LAP(HS_PHASE_NORM);
    hs_linear_run(inputs, 3, &in);
    HS_LAP(HS_PHASE_QKV);
    int status = p->n > 1 ? run_attention(p, append_head, c->n_kv_heads) : HS_OK;
    memset(p->beyond, 0, sizeof p->beyond);
    if (status == HS_OK) status = run_attention(p, attend_part, c->n_kv_heads * count_parts(p));
    if (status != HS_OK) return status;
    hs_rows attended = hs_rows_make(p->w.attended, q_width, p->n, p->w.quantized);
    for_tokens((stage){.p = p, .rows = &attended});
    HS_LAP(HS_PHASE_NORM);
    hs_linear_run(&(hs_linear){hs_layer_tensor(m, l, HS_T_ATTN_OUTPUT), NULL, p->w.h}, 1, &attended);
    HS_LAP(HS_PHASE_OUTPUT);
    for_tokens((stage){.p = p, .run = add_branch, .weight = hs_layer_vector(m, l, HS_T_POST_ATTN_NORM)});
    return HS_OK;
}

static void feed_forward_branch(pass *p) {
    const hs_config *c = p->config;
    const hs_model *m = p->context->model;
    int l = p->layer;
    hs_rows in = hs_rows_make(p->w.h, c->dim, p->n, p->w.quantized);
    for_tokens((stage){p, normalise, hs_layer_vector(m, l, HS_T_FFN_NORM), &in});
    const hs_linear inputs[] = {
        {hs_layer_tensor(m, l, HS_T_FFN_GATE), NULL, p->w.gate},
        {hs_layer_tensor(m, l, HS_T_FFN_UP), NULL, p->w.up},
    };
    HS_LAP(HS_PHASE_NORM);
    hs_linear_run(inputs, 2, &in);
    HS_LAP(HS_PHASE_GATE_UP);
    hs_rows hidden = hs_rows_make(p->w.gate, c->ffn_dim, p->n, p->w.quantized);
    for_tokens((stage){.p = p, .run = activate, .rows = &hidden});
    HS_LAP(HS_PHASE_ACTIVATE);
    hs_linear_run(&(hs_linear){hs_layer_tensor(m, l, HS_T_FFN_DOWN), NULL, p->w.h}, 1, &hidden);
    HS_LAP(HS_PHASE_DOWN);
    for_tokens((stage){.p = p, .run = add_branch, .weight = hs_layer_vector(m, l, HS_T_POST_FFN_NORM)});
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
    const stage s = {.p = p, .weight = (const float *)(const void *)m->global[HS_T_OUTPUT_NORM].data};
    for (int t = first; t < p->n; t++) normalise(&s, t);
    hs_rows rows = hs_rows_make(p->w.h + (size_t)first * (size_t)c->dim, c->dim, n, p->w.quantized);
    hs_rows_quantize(&rows, 0, n);
    const hs_tensor *output = m->global[HS_T_OUTPUT].pack != HS_PACK_NONE ? &m->global[HS_T_OUTPUT] : &m->global[HS_T_TOKEN_EMBD];
    hs_linear_run(&(hs_linear){output, NULL, m->logits}, 1, &rows);
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

/* Forgets the tokens of a pass that failed: nothing of them was sealed. */
static int take_back(hs_context *c, int status) {
    for (int i = 0; i < hs_context_caches(c); i++) hs_kv_truncate(&c->kv[i], c->length, c->scratch);
    return status;
}

int hs_forward(hs_context *c, const int32_t *tokens, int n, hs_logits_wanted wanted) {
    hs_model *m = c->model;
    int shared = hs_context_held(c->parent);
    if (n < 1 || n > HS_BATCH) return hs_error_set(HS_ERR_ARGUMENT, "tokens in one call", n, HS_BATCH);
    int status = hs_context_check_childless(c);
    if (status != HS_OK) return status;
    if (c->length - shared + n > c->capacity) return hs_error_set(HS_ERR_FULL, "context is full: tokens needed", c->length + n, c->capacity + shared);
    for (int t = 0; t < n; t++) {
        if (tokens[t] < 0 || tokens[t] >= m->config.vocab) return hs_error_set(HS_ERR_ARGUMENT, "token id", tokens[t], m->config.vocab - 1);
    }
    int rows = wanted == HS_LOGITS_ALL ? n : wanted == HS_LOGITS_LAST ? 1
                                                                      : 0;
    status = hs_context_check_level(c);
    if (status == HS_OK) status = reserve_logits(m, rows);
    if (status != HS_OK) return status;
    pass p = {.context = c, .config = &m->config, .w = hs_workspace_over(&m->config, m->workspace), .n = n};
    HS_LAP(HS_PHASE_OUTSIDE);
    embed(&p, tokens);
    HS_LAP(HS_PHASE_EMBED);
    for (p.layer = 0; p.layer < m->config.n_layers; p.layer++) {
        status = attention_branch(&p);
        if (status != HS_OK) return take_back(c, status);
        feed_forward_branch(&p);
    }
    HS_LAP(HS_PHASE_NORM);
    hs_parallel_for(m->config.n_layers, seal_layer, &p);
    HS_LAP(HS_PHASE_SEAL);
    c->length += n;
    if (rows > 0) {
        head(&p, n - rows);
        m->logits_owner = c;
        HS_LAP(HS_PHASE_HEAD);
    }
    return HS_OK;
}
