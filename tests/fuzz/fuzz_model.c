/*
 * Models and contexts through their exported functions: hyperparameters of any value, weights of every type from any bytes, in
 * any order and incomplete; then tokens, forks, cuts, records and questions, good and bad. A refused call leaves the context
 * as it was, and a prefill equals its tokens one by one in length.
 */
#include "../../wasm/abi.c"
#include "../../wasm/abi_record.c"
#include "fuzz.h"
#include "quant/ggml.h"

enum { CONTEXTS = 4,
       MOST_STEPS = 14,
       MOST_ROW = 1 << 16 };

static const int types[] = {HS_GGML_F32, HS_GGML_F16, HS_GGML_Q4_0, HS_GGML_Q4_1, HS_GGML_Q5_0, HS_GGML_Q5_1, HS_GGML_Q8_0, HS_GGML_Q4_K, HS_GGML_Q5_K, HS_GGML_Q6_K, HS_GGML_BF16};
enum { TYPES = sizeof types / sizeof *types };

static hs_model *model;
static hs_context *contexts[CONTEXTS];

static hs_config take_config(input *in) {
    int shape = take_byte(in), wide = shape % 8 == 7;
    hs_config c = {.arch = shape >> 3 & 3, .n_layers = 1 + (shape >> 5 & 1), .dim = wide ? 256 : 32, .n_heads = 2, .n_kv_heads = 1 + (shape >> 6 & 1), .head_dim = 16, .ffn_dim = wide ? 256 : 64, .vocab = 6, .rms_eps = 1e-5f, .rope_theta = 10000, .rope_type = shape >> 7, .rope_dim = 16, .rope_factor = 1};
    if (wide) c.head_dim = 128;
    if (c.arch == HS_ARCH_GEMMA3) {
        c.sliding_window = 8;
        c.sliding_pattern = 2;
    }
    for (int changes = take_byte(in); changes >= 200; changes = take_byte(in)) {
        int word = take_below(in, sizeof c / 4), is_float = word == 8 || word == 9 || word == 13 || (word >= 15 && word <= 19) || (word >= 22 && word <= 25);
        float f = take_float(in);
        int32_t i = take_int(in, 300);
        memcpy((int32_t *)(void *)&c + word, is_float ? (void *)&f : (void *)&i, 4);
    }
    return c;
}

/* Small enough to be run. */
static int is_small(const hs_config *c) {
    return c->n_layers <= 3 && c->dim <= 256 && c->n_heads * c->head_dim <= 512 && c->ffn_dim <= 512 && c->vocab <= 300;
}

/* The rows and columns that a slot wants are found by asking: refusals name them. */
static int find_shape(int slot, int layer, int *rows, int *cols) {
    int status = abi_tensor_create(model, slot, layer, HS_GGML_F32, -7, -7);
    if (status != HS_ERR_ARGUMENT || abi_last_error_value() != -7) return status;
    *rows = (int)abi_last_error_limit();
    must(abi_tensor_create(model, slot, layer, HS_GGML_F32, *rows, -7) == HS_ERR_ARGUMENT);
    *cols = (int)abi_last_error_limit();
    return HS_OK;
}

/* Bytes of weights: any, or such that numbers stay in the usual range. */
static void make_rows(uint8_t *bytes, size_t n, int type, int wild, sequence *s) {
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)next_bits(s);
    if (wild) return;
    if (type == HS_GGML_F32)
        for (size_t i = 0; i + 4 <= n; i += 4) memcpy(bytes + i, &(float){next_unit(s) * 0.3f}, 4);
    else if (type == HS_GGML_F16 || type == HS_GGML_BF16)
        for (size_t i = 0; i + 2 <= n; i += 2) memcpy(bytes + i, &(uint16_t){type == HS_GGML_F16 ? hs_f32_to_f16(next_unit(s) * 0.3f) : (uint16_t)(hs_f32_to_bits(next_unit(s) * 0.3f) >> 16)}, 2);
    else {
        size_t block = (size_t)hs_ggml_block_bytes(type), at = type == HS_GGML_Q6_K ? 208 : 0;
        int halves = type == HS_GGML_Q4_0 || type == HS_GGML_Q5_0 || type == HS_GGML_Q8_0 || type == HS_GGML_Q6_K ? 1 : 2;
        for (size_t b = 0; b + block <= n; b += block) {
            for (int i = 0; i < halves; i++) memcpy(bytes + b + at + 2 * i, &(uint16_t){hs_f32_to_f16(next_unit(s) * (block > 100 ? 1e-3f : 0.02f))}, 2);
        }
    }
}

static void fill(input *in, int slot, int layer, int type, int rows, int cols, int wild, sequence *s) {
    size_t row_bytes = (size_t)hs_ggml_row_bytes(type, cols);
    for (int row = 0, n; row < rows; row += n) {
        n = hs_min(rows - row, 4 * (1 + (int)(next_bits(s) % 8)));
        int order = take_byte(in);
        uint8_t *bytes = malloc((size_t)n * row_bytes);
        make_rows(bytes, (size_t)n * row_bytes, type, wild, s);
        if (order >= 250) must(is_error(abi_tensor_rows(model, slot, layer, row + 1, n, bytes)));
        if (order == 249) must(is_error(abi_tensor_rows(model, slot, layer, row, rows + 1, bytes)) && is_error(abi_tensor_rows(model, slot, layer, row, 0, bytes)) && is_error(abi_tensor_rows(model, slot, layer, row, INT_MAX, bytes)));
        if (order != 248) must(abi_tensor_rows(model, slot, layer, row, n, bytes) == HS_OK);
        free(bytes);
        if (order == 248) return; /* incomplete */
    }
}

static void load(input *in, const hs_config *c) {
    sequence s = take_sequence(in);
    int usual = take_byte(in), wild = take_byte(in);
    for (int i = 0; i < 4; i++) { /* slots of any number */
        int slot = take_int(in, 40), layer = take_int(in, c->n_layers);
        if (take_byte(in) >= 128) must(is_error(abi_tensor_create(model, slot, layer, take_int(in, 40), -1, 5)) && is_error(abi_tensor_rows(model, slot, layer, 0, 4, NULL)));
    }
    for (int missing = abi_model_missing(model); missing >= 0; missing = abi_model_missing(model)) {
        int slot = missing & 255, layer = missing >> 8, rows = 0, cols = 0, how = take_byte(in);
        must(find_shape(slot, layer, &rows, &cols) == HS_OK);
        int type = usual < 200 && how < 230 ? types[usual % TYPES] : types[take_byte(in) % TYPES];
        if (how >= 252) must(is_error(abi_tensor_create(model, slot, layer, type, rows, (int)((unsigned)take_int(in, 4096) * 2 + 1))));
        if (how == 251) must(is_error(abi_tensor_create(model, slot, layer, 31 + take_byte(in), rows, cols)));
        if (how == 250) must(is_error(abi_tensor_rows(model, slot, layer, 0, 4, NULL)));
        if (abi_tensor_create(model, slot, layer, type, rows, cols) != HS_OK) {
            type = HS_GGML_F32;
            if (abi_tensor_create(model, slot, layer, type, rows, cols) != HS_OK) return;
        }
        must(is_error(abi_tensor_create(model, slot, layer, type, rows, cols)));
        fill(in, slot, layer, type, rows, cols, wild >= 248 || how == 249 || (wild >= 236 && slot == take_below(in, 32)), &s);
    }
}

static hs_context *some_context(input *in) {
    return contexts[take_byte(in) % CONTEXTS];
}

static void create_context(input *in) {
    int at = take_byte(in) % CONTEXTS, from = take_byte(in) % (2 * CONTEXTS), capacity = take_byte(in) < 240 ? 1 + take_below(in, 300) : take_int(in, 2000), type = take_byte(in) < 245 ? take_byte(in) % 2 : take_int(in, 1);
    hs_context *parent = from < CONTEXTS ? contexts[from] : NULL;
    if (parent && take_byte(in) < 240) type = parent->kv->type;
    if (contexts[at]) {
        int children = contexts[at]->children;
        must(abi_context_free(contexts[at]) == (children > 0 ? HS_ERR_STATE : HS_OK));
        if (children == 0) {
            if (parent == contexts[at]) parent = NULL;
            contexts[at] = NULL;
        }
    }
    if (contexts[at]) return;
    int good = model->ready && capacity >= 1 && capacity <= HS_MAX_CAPACITY - (parent ? parent->length : 0) && (type == 0 || type == 1) && (!parent || parent->kv->type == type);
    if (model->ready) must((abi_context_bytes(model, capacity, type) > 0) == (capacity >= 1 && capacity <= HS_MAX_CAPACITY && (type == 0 || type == 1)));
    fuzz_fail_after(take_byte(in) >= 250);
    contexts[at] = abi_context_create(model, capacity, type, parent);
    must((contexts[at] != NULL) == (good && !fuzz_failed()));
    fuzz_fail_after(0);
}

/* Logits may be no numbers where weights are none; the state must be what it was, or longer by n. */
static void run(input *in, hs_context *c) {
    static const int counts[] = {1, 1, 2, 5, 16, 40, 100, 128};
    int32_t tokens[HS_BATCH];
    int n = counts[take_byte(in) % 8], asked = take_byte(in) < 245 ? n : take_int(in, n), wanted = take_byte(in) < 245 ? take_byte(in) % 3 : take_int(in, 3), before = abi_context_length(c), vocab = model->config.vocab, good = 1;
    for (int i = 0; i < n; i++) tokens[i] = take_byte(in) % vocab;
    if (take_byte(in) >= 250) tokens[take_below(in, n)] = take_int(in, vocab);
    if (asked > n && asked <= HS_BATCH) return;
    for (int i = 0; i < asked && i < n; i++) good &= tokens[i] >= 0 && tokens[i] < vocab;
    good &= asked >= 1 && asked <= HS_BATCH && wanted >= 0 && wanted <= 2 && c->children == 0 && (asked > HS_BATCH || before - (c->parent ? c->parent->length : 0) + asked <= c->capacity);
    fuzz_fail_after(take_byte(in) >= 250);
    int status = n == 1 && asked == 1 && wanted == 1 ? abi_decode(c, tokens[0]) : abi_prefill(c, tokens, asked, wanted);
    fuzz_fail_after(0);
    must(status == HS_OK ? good : is_error(status));
    must(abi_context_length(c) == before + (status == HS_OK ? asked : 0));
    if (status == HS_OK && wanted > 0) must(abi_logits(c) != NULL);
    if (status != HS_OK) must(abi_last_error()[0]);
    must(hs_context_check_level(c) == HS_OK);
}

static void set_attention(input *in, hs_context *c) {
    hs_attention_params p = {.mode = take_byte(in) % 3, .strength = take_byte(in) % 3, .far_field = take_byte(in) % 3, .dense_below = 1, .dense_above = 1, .block_hsr = take_byte(in) % 2, .alpha = 2, .scale = 1};
    if (take_byte(in) >= 240) ((int32_t *)(void *)&p)[take_below(in, sizeof p / 4)] = take_int(in, 4);
    int layer = (int)((unsigned)take_int(in, model->config.n_layers) - 1), head = (int)((unsigned)take_int(in, model->config.n_kv_heads) - 1);
    int known = layer >= -1 && layer < model->config.n_layers && head >= -1 && head < model->config.n_kv_heads;
    must(abi_attention_set(c, &p, layer, head) == (known && hs_attention_check(&p) == HS_OK ? HS_OK : HS_ERR_ARGUMENT));
    must((abi_attention_stats(c, layer, head) != NULL) == known);
    if (take_byte(in) % 4 == 0) abi_attention_stats_reset(c);
}

static void watch(input *in, hs_context *c) {
    int layer = (int)((unsigned)take_int(in, model->config.n_layers) - 1), head = (int)((unsigned)take_int(in, model->config.n_kv_heads) - 1), room = take_int(in, 40);
    int status = abi_watch(c, layer, head, room);
    must(status == HS_OK ? room >= 0 && room <= HS_WATCH_ROOM : is_error(status));
    if (status == HS_OK) must((abi_watched_queries(c) != NULL) == (room > 0));
    const hs_reported *reported = abi_watched(c, layer, head);
    must((reported != NULL) == (layer >= 0 && head >= 0 && layer < model->config.n_layers && head < model->config.n_kv_heads));
    if (reported) must(reported->n >= 0);
}

static void look(input *in, const hs_context *c) {
    static float keys[64 * HS_MAX_HEAD_DIM], values[64 * HS_MAX_HEAD_DIM];
    int layer = take_int(in, model->config.n_layers - 1), head = take_int(in, model->config.n_kv_heads - 1), from = take_int(in, c->length), n = take_int(in, 64);
    int known = layer >= 0 && layer < model->config.n_layers && head >= 0 && head < model->config.n_kv_heads;
    must((abi_context_kv(c, layer, head) != NULL) == known);
    if (n > 64 && n <= c->length) n = 64;
    int good = known && from >= 0 && n >= 0 && n <= c->length - from;
    must(abi_context_rows(c, layer, head, from, n, keys, values) == (good ? HS_OK : HS_ERR_ARGUMENT));
    for (int i = 0; good && i < n * model->config.head_dim; i++) must(isfinite(keys[i]) && isfinite(values[i]));
}

static void cut(input *in, hs_context *c) {
    int n = take_int(in, c->length), before = c->length, least = c->parent ? c->parent->length : 0;
    int status = abi_context_truncate(c, n);
    must(status == HS_OK ? n >= least && n <= before && c->children == 0 && c->length == n : is_error(status) && c->length == before);
}

/* What snapshots do: a fresh context is laid out, and filled with another's records. Layers that lie about their keys are found out. */
static void copy_by_records(input *in, hs_context *from) {
    const hs_config *config = &model->config;
    hs_context *to = abi_context_create(model, hs_max(1, from->length), from->kv->type, NULL);
    int lie = take_byte(in) >= 224 ? take_byte(in) % config->n_layers : -1, status = HS_OK;
    if (!to || from->parent) {
        abi_context_free(to);
        return;
    }
    for (int layer = 0; layer < config->n_layers && status == HS_OK; layer++) {
        const hs_kv *kv = abi_context_kv(from, layer, 0);
        int sealed = kv->sealed_to - kv->sealed_from, count = kv->count;
        if (lie == layer) count = take_int(in, count);
        status = abi_context_lay_out(to, layer, sealed, count);
        for (int head = 0; head < config->n_kv_heads && status == HS_OK; head++) {
            const hs_kv *source = abi_context_kv(from, layer, head);
            for (int first = 0, n; first < source->count; first += n) {
                int in_leaves = first >= source->sealed_from && first < source->sealed_to;
                n = first < source->sealed_from ? hs_min(source->sealed_from, source->count) - first : in_leaves ? hs_kv_chunk(source, first)
                                                                                                                 : hs_min(HS_RECORD_UNSEALED, source->count - first);
                uint8_t *record = malloc(abi_record_bytes(config->head_dim, source->type, 0, in_leaves, n));
                must(abi_record_write(source, in_leaves, first, n, record) == HS_OK);
                must(abi_record_read(abi_context_kv(to, layer, head), in_leaves, first, n, 1, record) == HS_OK);
                free(record);
            }
            must(abi_kv_value_norm_set(abi_context_kv(to, layer, head), abi_kv_value_norm(source)) == HS_OK);
        }
    }
    if (status == HS_OK && lie < 0) must(abi_context_length(to) == abi_context_length(from));
    int level = status == HS_OK && hs_context_check_level(to) == HS_OK;
    int32_t token = 1;
    int ran = abi_prefill(to, &token, 1, 0);
    if (status == HS_OK && !level) must(ran != HS_OK && abi_context_truncate(to, 0) != HS_OK);
    must(abi_context_free(to) == HS_OK);
}

static void step(input *in) {
    int what = take_byte(in) % 12;
    hs_context *c = some_context(in);
    if (what < 2 || !c) {
        create_context(in);
        return;
    }
    if (what < 6) run(in, c);
    if (what == 6) set_attention(in, c);
    if (what == 7) watch(in, c);
    if (what == 8) look(in, c);
    if (what == 9) cut(in, c);
    if (what == 10) copy_by_records(in, c);
    if (what == 11) must(is_error(abi_model_free(model)));
}

static void free_all(void) {
    /* Children first: a context with children is refused. */
    for (int round = 0; round < CONTEXTS; round++) {
        for (int i = 0; i < CONTEXTS; i++) {
            if (contexts[i] && abi_context_free(contexts[i]) == HS_OK) contexts[i] = NULL;
        }
    }
    for (int i = 0; i < CONTEXTS; i++) must(!contexts[i]);
    must(abi_model_free(model) == HS_OK);
    must(hs_mem_used() == 0 && abi_memory_used() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = input_of(data, size);
    hs_config config = take_config(&in);
    fuzz_fail_after(0);
    model = abi_model_create(&config);
    must((model != NULL) == (hs_config_check(&config) == HS_OK));
    if (!model) return 0;
    int fails = take_byte(&in);
    if (is_small(&config)) load(&in, &config);
    fuzz_fail_after(fails >= 245 ? 1u + (unsigned)fails % 3 : 0);
    int status = abi_model_ready(model);
    fuzz_fail_after(0);
    must(status == HS_OK || is_error(status));
    if (status != HS_OK) must(!abi_context_create(model, 8, 0, NULL) && abi_model_free(model) == HS_OK && hs_mem_used() == 0);
    if (status != HS_OK) return 0;
    must(is_error(abi_tensor_create(model, HS_T_OUTPUT, 0, HS_GGML_F32, config.vocab, config.dim)));
    for (int i = 0; i < MOST_STEPS && left(&in) > 0; i++) step(&in);
    free_all();
    return 0;
}
