/* Whole models against the forward pass of model.h; what a config, a tensor or a context is refused for. */
#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"
#include "model.h"
#include "model/rope.h"

enum { PROMPT = 130, /* more than a batch's part, and not whole parts */
       STEPS = 6 };

static hs_config llama(void) {
    return small_config(HS_ARCH_LLAMA);
}

static hs_config qwen2(void) {
    hs_config c = small_config(HS_ARCH_QWEN2);
    c.rope_scaling = HS_ROPE_SCALE_YARN;
    c.rope_factor = 4;
    c.rope_orig_ctx = 64;
    c.yarn_ext_factor = 1;
    c.yarn_attn_factor = 1;
    c.yarn_beta_fast = 32;
    c.yarn_beta_slow = 1;
    return c;
}

static hs_config qwen2_without_ramp(void) {
    hs_config c = qwen2();
    c.yarn_ext_factor = 0;
    return c;
}

static hs_config qwen3(void) {
    hs_config c = small_config(HS_ARCH_QWEN3);
    c.rope_scaling = HS_ROPE_SCALE_NTK;
    c.rope_factor = 2;
    return c;
}

static hs_config gemma3(void) {
    hs_config c = small_config(HS_ARCH_GEMMA3);
    c.rope_scaling = HS_ROPE_SCALE_LINEAR;
    c.rope_factor = 8;
    c.rope_theta_local = 1000;
    c.sliding_window = 20;
    c.sliding_pattern = 3;
    c.attn_scale = 0.2f;
    c.embed_scale = 8;
    c.attn_softcap = 5;
    c.final_softcap = 3;
    return c;
}

/* Sliding layers without a base of their own, and no scale of their own. */
static hs_config gemma3_one_theta(void) {
    hs_config c = gemma3();
    c.rope_theta_local = 0;
    c.attn_scale = 0;
    c.rope_scaling = HS_ROPE_SCALE_NONE;
    return c;
}

/* A window without a pattern: every layer is global. */
static hs_config gemma3_without_pattern(void) {
    hs_config c = gemma3();
    c.sliding_pattern = 0;
    return c;
}

static void random_tokens(int32_t *tokens, int n, int vocab) {
    for (int t = 0; t < n; t++) tokens[t] = (int32_t)(random_bits() % (uint32_t)vocab);
}

/* Of the error's root mean square over that of what is true. */
static double relative_error(const float *got, const double *want, int n) {
    double error = 0, size = 0;
    for (int i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += want[i] * want[i];
    }
    return sqrt(error / size);
}

/* A prompt in two blocks, then single tokens: each call's logits. Q8_0: the reference takes activations of f64, the core those of 16 bits. */
static void test_forward(const char *name, hs_config config, int type, double limit) {
    random_model r;
    int32_t tokens[PROMPT + STEPS];
    int n = PROMPT + STEPS, vocab = config.vocab;
    double *want = malloc((size_t)(n * vocab) * sizeof(double)), worst = 0;
    int status = load_model(&r, &config, type) | hs_model_finish(r.m) | hs_model_finish(r.m);
    hs_context *c = status == HS_OK ? hs_context_new(r.m, n, HS_KV_F32, NULL) : NULL;
    random_tokens(tokens, n, vocab);
    ok(c != NULL && hs_model_missing(r.m) == -1, "%s: a model of type %d", name, type);
    if (!c) return;
    true_logits(&r, tokens, n, want);
    status = hs_forward(c, tokens, 100, HS_LOGITS_ALL);
    worst = fmax(worst, relative_error(r.m->logits, want, 100 * vocab));
    status |= hs_forward(c, tokens + 100, 10, HS_LOGITS_NONE) | hs_forward(c, tokens + 110, PROMPT - 110, HS_LOGITS_LAST);
    worst = fmax(worst, relative_error(r.m->logits, want + (PROMPT - 1) * vocab, vocab));
    for (int t = PROMPT; t < n; t++) {
        status |= hs_forward(c, tokens + t, 1, HS_LOGITS_LAST);
        worst = fmax(worst, relative_error(r.m->logits, want + t * vocab, vocab));
    }
    ok(status == HS_OK && worst < limit && c->length == n, "%s, type %d: every logit is that of the reference (%.1e)", name, type, worst);
    ok(hs_context_delete(c) == HS_OK && r.m->logits_owner == NULL, "%s, type %d: the context is gone, and so are its logits", name, type);
    free(want);
    free_model(&r);
}

/* ---- what is refused ---- */

static int refused(int status, int code, const char *what) {
    return status == code && strstr(hs_error_last(), what) != NULL;
}

static int config_refused(const hs_config *c, const char *what) {
    return hs_model_new(c) == NULL && strstr(hs_error_last(), what) != NULL;
}

/* Each number beyond either end of its range, and what has to fit together. */
static void test_configs(void) {
    const struct {
        const char *what;
        size_t at;
        int low, high;
    } ranges[] = {
        {"architecture", offsetof(hs_config, arch), 0, 3},
        {"layers", offsetof(hs_config, n_layers), 1, 256},
        {"embedding length", offsetof(hs_config, dim), 32, 65536},
        {"attention heads", offsetof(hs_config, n_heads), 1, 256},
        {"KV heads", offsetof(hs_config, n_kv_heads), 1, 6},
        {"head_dim", offsetof(hs_config, head_dim), 16, 256},
        {"feed-forward length", offsetof(hs_config, ffn_dim), 32, 1 << 18},
        {"vocabulary", offsetof(hs_config, vocab), 4, 1 << 20},
        {"rope type", offsetof(hs_config, rope_type), 0, 1},
        {"rope dimensions", offsetof(hs_config, rope_dim), 8, 16},
        {"rope scaling", offsetof(hs_config, rope_scaling), 0, 3},
        {"sliding window", offsetof(hs_config, sliding_window), 0, 1 << 20},
        {"sliding pattern", offsetof(hs_config, sliding_pattern), 0, 256},
    };
    for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        hs_config c = llama();
        int32_t below = ranges[i].low - 1, above = ranges[i].high + 1;
        memcpy((char *)&c + ranges[i].at, &below, sizeof below);
        int low = config_refused(&c, ranges[i].what) && hs_error_value() == below && hs_error_limit() == ranges[i].low;
        memcpy((char *)&c + ranges[i].at, &above, sizeof above);
        int high = config_refused(&c, ranges[i].what) && hs_error_value() == above && hs_error_limit() == ranges[i].high;
        ok(low && high, "%s: %d and %d are refused", ranges[i].what, below, above);
    }
    hs_config c = llama();
    ok((c.n_heads = 5, config_refused(&c, "not a multiple of KV heads")), "5 heads of 2 KV heads");
    ok((c.n_heads = 34, config_refused(&c, "query heads per KV head")), "a group of 17 heads");
    c = llama();
    ok((c.head_dim = 20, config_refused(&c, "head_dim not a multiple")), "head_dim 20");
    c = llama();
    ok((c.rope_dim = 12, config_refused(&c, "rope dimensions not a multiple")), "12 rope dimensions");
    c = llama();
    ok((c.dim = 48, config_refused(&c, "embedding length not a multiple")), "an embedding length of 48");
    c = llama();
    ok((c.ffn_dim = 48, config_refused(&c, "feed-forward length not a multiple")), "a feed-forward length of 48");
    c = llama();
    c.n_kv_heads = 1;
    ok((c.n_heads = 3, config_refused(&c, "query length not a multiple")), "a query length of 48");
    c = llama();
    ok((c.rms_eps = NAN, config_refused(&c, "norm epsilon")), "a norm epsilon that is not a number");
    c = llama();
    ok((c.rms_eps = 0, config_refused(&c, "norm epsilon")) && hs_error_value() == 0 && hs_error_limit() == 0, "a norm epsilon of 0");
    c = llama();
    ok((c.rope_theta = -1, config_refused(&c, "rope theta")), "a negative rope theta");
    ok((c.rope_theta = 0, config_refused(&c, "rope theta")) && hs_error_value() == 0 && hs_error_limit() == 0, "a rope theta of 0");
    c = qwen3();
    ok((c.rope_factor = 0, config_refused(&c, "rope scaling factor")), "a rope scaling factor of 0");
}

static void test_tensors(void) {
    hs_config config = llama();
    random_model r = {.config = config, .m = hs_model_new(&config)};
    hs_model *m = r.m;
    uint8_t row[4 * 64] = {0};
    ok(hs_model_missing(m) == HS_T_TOKEN_EMBD, "the first tensor that is missing is the first of all");
    ok(refused(hs_model_tensor_create(m, -1, 0, HS_GGML_F32, 1, 64), HS_ERR_ARGUMENT, "no such tensor slot") && refused(hs_model_tensor_create(m, HS_T_GLOBAL_COUNT, 0, HS_GGML_F32, 1, 64), HS_ERR_ARGUMENT, "no such tensor slot"), "slots below and between");
    ok(refused(hs_model_tensor_create(m, HS_T_END, 0, HS_GGML_F32, 1, 64), HS_ERR_ARGUMENT, "no such tensor slot"), "a slot beyond the last");
    ok(refused(hs_model_tensor_create(m, HS_T_ATTN_Q, -1, HS_GGML_F32, 96, 64), HS_ERR_ARGUMENT, "no such tensor slot") && refused(hs_model_tensor_create(m, HS_T_ATTN_Q, MODEL_LAYERS, HS_GGML_F32, 96, 64), HS_ERR_ARGUMENT, "no such tensor slot"), "layers that are not");
    ok(refused(hs_model_tensor_create(m, HS_T_ATTN_Q, 0, HS_GGML_F32, 95, 64), HS_ERR_ARGUMENT, "attn_q") && hs_error_limit() == 96, "a row too few");
    ok(refused(hs_model_tensor_create(m, HS_T_ATTN_Q, 0, HS_GGML_F32, 96, 128), HS_ERR_ARGUMENT, "attn_q") && hs_error_limit() == 64, "twice the columns");
    ok(refused(hs_model_tensor_create(m, HS_T_ATTN_Q, 0, 5, 96, 64), HS_ERR_UNSUPPORTED, "tensor type") && refused(hs_model_tensor_create(m, HS_T_ATTN_Q, 0, HS_GGML_Q4_K, 96, 64), HS_ERR_ARGUMENT, "whole blocks"), "a type that is not, and one whose blocks are longer than a row");
    ok(refused(hs_model_tensor_rows(m, HS_T_OUTPUT_NORM, 0, 0, 1, row), HS_ERR_ARGUMENT, "tensor not created") && refused(hs_model_tensor_rows(m, 99, 0, 0, 1, row), HS_ERR_ARGUMENT, "tensor not created"), "rows of no tensor");
    ok(hs_model_tensor_create(m, HS_T_OUTPUT_NORM, 0, HS_GGML_F32, 1, 64) == HS_OK && refused(hs_model_tensor_create(m, HS_T_OUTPUT_NORM, 0, HS_GGML_F32, 1, 64), HS_ERR_STATE, "tensor given twice"), "a tensor given twice");
    ok(refused(hs_model_tensor_rows(m, HS_T_OUTPUT_NORM, 0, 4, 1, row), HS_ERR_STATE, "out of order") && refused(hs_model_tensor_rows(m, HS_T_OUTPUT_NORM, 0, 0, 2, row), HS_ERR_ARGUMENT, "beyond the end") && refused(hs_model_tensor_rows(m, HS_T_OUTPUT_NORM, 0, 0, 0, row), HS_ERR_ARGUMENT, "beyond the end"), "rows out of order, too many, none");
    ok(refused(hs_model_finish(m), HS_ERR_STATE, "token_embd") && hs_context_new(m, 10, HS_KV_Q8, NULL) == NULL && strstr(hs_error_last(), "weights are not complete"), "a model without weights takes no context");
    free_model(&r);
    int status = load_model(&r, &config, HS_GGML_F16);
    hs_tensor *gate = &r.m->layers[1].tensors[HS_T_FFN_GATE - HS_T_ATTN_NORM];
    gate->rows_loaded -= 4;
    ok(status == HS_OK && refused(hs_model_finish(r.m), HS_ERR_STATE, "ffn_gate") && hs_error_value() == 92, "rows of a layer are missing");
    gate->rows_loaded += 4;
    ok(hs_model_finish(r.m) == HS_OK && refused(hs_model_tensor_create(r.m, HS_T_OUTPUT, 0, HS_GGML_F32, 50, 64), HS_ERR_STATE, "takes no more tensors"), "a finished model takes no more tensors");
    ok(hs_model_delete(NULL) == HS_OK, "no model is freed as well");
    free_model(&r);
}

/* Odd rows of a matrix: only the last call may have them. */
static void test_odd_rows(void) {
    hs_tensor t;
    uint8_t rows[8 * 34] = {0};
    ok(hs_tensor_init(&t, HS_GGML_Q8_0, 7, 32) == HS_OK && refused(hs_tensor_put_rows(&t, 0, 3, rows), HS_ERR_ARGUMENT, "not a multiple of 4"), "three rows first");
    ok(hs_tensor_put_rows(&t, 0, 4, rows) == HS_OK && hs_tensor_put_rows(&t, 4, 3, rows) == HS_OK && refused(hs_tensor_put_rows(&t, 7, 1, rows), HS_ERR_STATE, "out of order"), "four, three, and none after the end");
    hs_tensor_free(&t);
    hs_tensor_free(&t);
    ok(t.pack == HS_PACK_NONE, "a tensor may be freed twice");
    ok(refused(hs_tensor_init(&t, HS_GGML_F32, 0, 32), HS_ERR_ARGUMENT, "tensor rows") && refused(hs_tensor_init(&t, HS_GGML_F32, 1, 0), HS_ERR_ARGUMENT, "whole blocks") && refused(hs_tensor_init(&t, HS_GGML_F32, 1, 6), HS_ERR_ARGUMENT, "whole blocks"), "no rows, no columns, six columns");
    ok(hs_ggml_block_weights(4) == 0 && hs_ggml_block_bytes(4) == 0 && hs_pack_tile_bytes(HS_PACK_F32) == 0, "types that are not, and floats, have no blocks");
}

/* ---- contexts ---- */

static void test_contexts(const random_model *r) {
    hs_model *m = r->m;
    int32_t tokens[HS_BATCH + 1];
    random_tokens(tokens, HS_BATCH + 1, r->config.vocab);
    ok(!hs_context_new(m, 0, HS_KV_Q8, NULL) && !hs_context_new(m, HS_MAX_CAPACITY + 1, HS_KV_Q8, NULL) && strstr(hs_error_last(), "context capacity"), "a capacity of 0, and beyond the limit");
    ok(!hs_context_new(m, 10, 2, NULL) && strstr(hs_error_last(), "KV cache type"), "a KV type that is not");
    hs_context *c = hs_context_new(m, 40, HS_KV_Q8, NULL);
    ok(refused(hs_forward(c, tokens, 0, HS_LOGITS_NONE), HS_ERR_ARGUMENT, "tokens in one call") && refused(hs_forward(c, tokens, HS_BATCH + 1, HS_LOGITS_NONE), HS_ERR_ARGUMENT, "tokens in one call"), "no token, and one too many");
    ok(refused(hs_forward(c, tokens, 41, HS_LOGITS_NONE), HS_ERR_FULL, "context is full"), "more tokens than there is room");
    ok(refused(hs_forward(c, (int32_t[]){1, -1}, 2, HS_LOGITS_NONE), HS_ERR_ARGUMENT, "token id") && refused(hs_forward(c, (int32_t[]){50}, 1, HS_LOGITS_NONE), HS_ERR_ARGUMENT, "token id") && c->length == 0, "ids that are not");
    ok(hs_forward(c, tokens, 30, HS_LOGITS_NONE) == HS_OK && hs_model_delete(m) == HS_ERR_STATE, "a model in use stays");
    hs_context *child = hs_context_new(m, 10, HS_KV_Q8, c);
    ok(child && child->length == 30 && !hs_context_new(m, HS_MAX_CAPACITY - 29, HS_KV_Q8, c), "a child holds its parent's tokens");
    ok(refused(hs_context_delete(c), HS_ERR_STATE, "prefix of live") && refused(hs_context_cut(c, 1), HS_ERR_STATE, "prefix of live") && refused(hs_forward(c, tokens, 1, HS_LOGITS_NONE), HS_ERR_STATE, "prefix of live"), "a parent is frozen");
    ok(hs_forward(child, tokens + 30, 10, HS_LOGITS_LAST) == HS_OK && refused(hs_forward(child, tokens, 1, HS_LOGITS_LAST), HS_ERR_FULL, "context is full"), "a child has its own room");
    ok(refused(hs_context_cut(child, 41), HS_ERR_ARGUMENT, "tokens to keep") && refused(hs_context_cut(child, -1), HS_ERR_ARGUMENT, "tokens to keep") && refused(hs_context_cut(child, 29), HS_ERR_STATE, "cut into the prefix"), "a child is not cut into its prefix");
    ok(hs_context_cut(child, 35) == HS_OK && child->length == 35 && hs_forward(child, tokens, 5, HS_LOGITS_LAST) == HS_OK, "cut to its own tokens it goes on");
    float rows[2][3 * 16];
    ok(refused(hs_context_rows(c, HS_ALL, 0, 0, 1, rows[0], rows[1]), HS_ERR_ARGUMENT, "layer or kvHead") && refused(hs_context_rows(c, 0, HS_ALL, 0, 1, rows[0], rows[1]), HS_ERR_ARGUMENT, "layer or kvHead") && refused(hs_context_rows(c, 3, 0, 0, 1, rows[0], rows[1]), HS_ERR_ARGUMENT, "layer"), "rows of all layers or heads, or of none");
    ok(refused(hs_context_rows(c, 0, 0, -1, 1, rows[0], rows[1]), HS_ERR_ARGUMENT, "positions up to") && refused(hs_context_rows(c, 0, 0, 0, -1, rows[0], rows[1]), HS_ERR_ARGUMENT, "positions up to") && refused(hs_context_rows(c, 0, 0, 29, 2, rows[0], rows[1]), HS_ERR_ARGUMENT, "positions up to"), "positions that are not held");
    ok(hs_context_delete(child) == HS_OK && hs_context_delete(c) == HS_OK && hs_context_delete(NULL) == HS_OK && m->contexts == 0, "children first, then the parent");
}

/* A child's rows below its parent's end are the parent's. */
static void test_rows_of_parents(const random_model *r) {
    enum { N = 1300 };
    int32_t tokens[HS_BATCH];
    float a[2][16], b[2][16];
    hs_context *c = hs_context_new(r->m, N, HS_KV_F32, NULL);
    int status = HS_OK, differ = 0;
    random_tokens(tokens, HS_BATCH, r->config.vocab);
    for (int n; c->length < N && status == HS_OK;) {
        n = hs_min(HS_BATCH, N - c->length);
        status = hs_forward(c, tokens, n, HS_LOGITS_NONE);
    }
    hs_context *child = hs_context_new(r->m, 5, HS_KV_F32, c);
    for (int t = 0; t < N; t++) {
        status |= hs_context_rows(c, 1, 1, t, 1, a[0], a[1]) | hs_context_rows(child, 1, 1, t, 1, b[0], b[1]);
        differ += memcmp(a, b, sizeof a) != 0;
    }
    ok(status == HS_OK && child->kv[0].base > 0 && differ == 0, "a child's %d rows are those of its parent, %d of which it shares", N, child->kv[0].base);
    ok(refused(hs_context_lay_out(c, 0, 0, 16), HS_ERR_STATE, "prefix of live") && refused(hs_context_lay_out(child, HS_ALL, 0, 16), HS_ERR_ARGUMENT, "layer") && refused(hs_context_lay_out(child, 3, 0, 16), HS_ERR_ARGUMENT, "layer") && refused(hs_context_lay_out(child, 0, 0, 16), HS_ERR_STATE, "unsealed keys in a part"), "what is not laid out: a parent, all layers, no layer, a part with keys");
    hs_context *empty = hs_context_new(r->m, 100, HS_KV_F32, NULL);
    ok(refused(hs_context_lay_out(empty, 1, 0, 200), HS_ERR_ARGUMENT, "keys of a restored cache") && hs_context_lay_out(empty, 1, 0, 90) == HS_OK && empty->length == 90, "a layer that is laid out gives the context its length");
    hs_context_delete(empty);
    hs_context_delete(child);
    hs_context_delete(c);
}

static void test_attention_of_heads(const random_model *r) {
    hs_context *c = hs_context_new(r->m, 100, HS_KV_Q8, NULL);
    hs_attention_params exact = {.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .r = 5, .dense_below = 1, .scale = 1}, wrong = {.mode = 7, .scale = 1};
    hs_attention_stats all, one, head;
    int32_t tokens[60];
    random_tokens(tokens, 60, r->config.vocab);
    ok(refused(hs_context_attention_set(c, &exact, 3, 0), HS_ERR_ARGUMENT, "layer") && refused(hs_context_attention_set(c, &exact, -2, 0), HS_ERR_ARGUMENT, "layer") && refused(hs_context_attention_set(c, &exact, 0, 2), HS_ERR_ARGUMENT, "kvHead") && refused(hs_context_attention_set(c, &exact, 0, -2), HS_ERR_ARGUMENT, "kvHead"), "layers and heads that are not");
    ok(refused(hs_context_attention_set(c, &wrong, 0, 0), HS_ERR_ARGUMENT, "mode") && c->heads[0].params.mode == HS_ATTENTION_DENSE, "a mode that is not changes nothing");
    ok(hs_context_attention_set(c, &exact, HS_ALL, 1) == HS_OK && c->heads[1].params.r == 5 && c->heads[5].params.r == 5 && c->heads[0].params.r == 0 && c->heads[4].params.r == 0, "one head of all layers");
    ok(refused(hs_context_watch(c, 0, 9, 5), HS_ERR_ARGUMENT, "kvHead") && refused(hs_context_watch(c, 0, 0, -1), HS_ERR_ARGUMENT, "watched keys") && refused(hs_context_watch(c, 0, 0, HS_WATCH_ROOM + 1), HS_ERR_ARGUMENT, "watched keys"), "what is not watched");
    ok(hs_context_watch(c, HS_ALL, 1, 8) == HS_OK && hs_forward(c, tokens, 59, HS_LOGITS_NONE) == HS_OK && hs_forward(c, tokens + 59, 1, HS_LOGITS_LAST) == HS_OK, "one head of each layer is watched");
    const hs_reported *seen = &c->heads[3].reported;
    double shares = 0;
    for (int i = 0; i < 5; i++) shares += (double)seen->shares[i * 3];
    ok(seen->n >= 5 && seen->positions[0] >= 0 && seen->positions[0] < 60 && shares > 0 && c->heads[2].reported.positions == NULL && c->queries != NULL, "its keys are reported, of the others none");
    ok(hs_context_stats(c, HS_ALL, HS_ALL, &all) == HS_OK && hs_context_stats(c, 1, HS_ALL, &one) == HS_OK && hs_context_stats(c, 1, 1, &head) == HS_OK && all.queries == 3 * one.queries && one.queries == 2 * head.queries && all.error_max >= head.error_max, "statistics of all, of a layer, of a head");
    ok(hs_context_stats(c, 5, 0, &all) == HS_ERR_ARGUMENT && all.queries == 0, "none of a layer that is not");
    hs_context_stats_reset(c);
    ok(hs_context_stats(c, HS_ALL, HS_ALL, &all) == HS_OK && all.queries == 0, "none after a reset");
    ok(hs_context_watch(c, HS_ALL, HS_ALL, 0) == HS_OK && c->watch == NULL && c->queries == NULL && c->heads[3].reported.positions == NULL, "watching ends");
    hs_context_delete(c);
}

/* In 32 bits the bytes of such a context would not fit. */
static void test_huge_context(void) {
    hs_config config = llama();
    config.head_dim = 256;
    random_model r;
    int status = load_model(&r, &config, HS_GGML_F16) | hs_model_finish(r.m);
    ok(status == HS_OK && hs_context_new(r.m, HS_MAX_CAPACITY, HS_KV_F32, NULL) == NULL && strstr(hs_error_last(), "no memory for a context") && hs_error_value() > 4294967296.0, "a context beyond 4 GB is refused as it would be in 32 bits");
    free_model(&r);
}

int main(void) {
    const int types[] = {HS_GGML_F32, HS_GGML_F16, HS_GGML_Q8_0};
    for (int i = 0; i < 3; i++) {
        double limit = types[i] == HS_GGML_Q8_0 ? 0.05 : 1e-4;
        test_forward("llama", llama(), types[i], limit);
        test_forward("qwen2 with YaRN", qwen2(), types[i], limit);
        test_forward("gemma3", gemma3(), types[i], limit);
    }
    test_forward("qwen2, YaRN without a ramp", qwen2_without_ramp(), HS_GGML_F32, 1e-4);
    test_forward("qwen3 with NTK", qwen3(), HS_GGML_F32, 1e-4);
    test_forward("gemma3, one theta", gemma3_one_theta(), HS_GGML_F32, 1e-4);
    test_forward("gemma3, no pattern", gemma3_without_pattern(), HS_GGML_F32, 1e-4);
    test_configs();
    test_tensors();
    test_odd_rows();
    random_model r;
    hs_config config = llama();
    ok(load_model(&r, &config, HS_GGML_Q8_0) == HS_OK && hs_model_finish(r.m) == HS_OK, "a model for contexts");
    test_contexts(&r);
    test_rows_of_parents(&r);
    test_attention_of_heads(&r);
    free_model(&r);
    test_huge_context();
    return done();
}
