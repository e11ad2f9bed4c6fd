/* What fuzzing (tests/fuzz) and the review for it found, once each: hostile sizes, numbers at the ends of their ranges, weights that are no numbers. */
#include "../../wasm/abi.c"
#include "../../wasm/abi_attention.c"
#include "../../wasm/abi_record.c"
#include "base/f16.h"
#include "kernels/matmul.h"
#include "keys.h"
#include "quant/ggml.h"

#include <stdlib.h>

enum { D = 16 };

/* Exponents overflow where a logit is as large as its rounding, and values of length 0 make that 0 times infinity: it did not end. */
static void test_certified_ends(void) {
    cache *c = abi_cache_create(1, D, HS_KV_F32, 128);
    float key[D], value[D] = {0}, q[D], out[D];
    for (int i = 0; i < D; i++) key[i] = q[i] = i % 3 ? 4e7f : -1e7f;
    hs_attention_params p = {.mode = HS_ATTENTION_HSR, .strength = HS_CERTIFIED, .dense_below = 1, .scale = 0.25f};
    for (int eps_of = HS_EPS_OF_VALUE; eps_of <= HS_EPS_OF_OUTPUT; eps_of++) {
        for (int long_values = 0; long_values < 2; long_values++) {
            for (int i = 0; i < D; i++) value[i] = long_values ? 3 : 0;
            p.eps_of = eps_of;
            abi_cache_truncate(c, 0);
            abi_attend_stats_reset();
            int status = abi_cache_append(c, key, value, 1) | abi_attend(c, q, 1, 1, &p, out);
            double error = abi_attend_stats()->error;
            ok(status == HS_OK && out[0] == value[0] && error >= 0 && error <= 1e-4, "one key of a logit of 1e16, values of length %d: certified attention ends, with a bound of %.1e", 12 * long_values, error);
        }
    }
    abi_cache_free(c);
}

/* Queries of a block before the first position that there is: they see nothing, also through a window. */
static void test_block_before_start(void) {
    enum { N = 6 };
    cache *c = abi_cache_create(1, D, HS_KV_Q8, 128);
    float rows[40 * D], q[N * D], out[N * D];
    for (int i = 0; i < 40 * D; i++) rows[i] = random_unit();
    for (int i = 0; i < N * D; i++) q[i] = random_unit();
    hs_attention_params p = {.mode = HS_ATTENTION_DENSE, .scale = 0.25f, .end = 3, .window = 3, .sinks = 3, .causal = 1};
    abi_attend_stats_reset();
    int status = abi_cache_append(c, rows, rows, 40) | abi_attend(c, q, N, 1, &p, out), silent = 1;
    for (int i = 0; i < 3 * D; i++) silent &= out[i] == 0;
    ok(status == HS_OK && silent && abi_attend_stats()->keys_visible == 1 + 2 + 3, "a causal block that begins before the cache sees %g keys", abi_attend_stats()->keys_visible);
    abi_cache_free(c);
}

/* Coordinates at their limit: a variance of 1e60 is no float. */
static void test_largest_rows(void) {
    enum { N = 300 };
    cache *c = abi_cache_create(1, D, HS_KV_Q8, 128);
    static float rows[N * D];
    float q[D], out[D];
    int status = HS_OK, finite = 1;
    for (int i = 0; i < N * D; i++) rows[i] = random_unit() * 1e15f;
    for (int i = 0; i < D; i++) q[i] = random_unit() * 1e15f;
    status = abi_cache_append(c, rows, rows, N);
    for (int mode = HS_ATTENTION_DENSE; mode <= HS_ATTENTION_RELU; mode++) {
        for (int strength = HS_FAST; strength <= HS_EXACT; strength++) {
            for (int far = 0; far < 3; far++) {
                hs_attention_params p = {.mode = mode, .strength = strength, .far_field = far, .dense_below = 1, .dense_above = 1, .alpha = 2, .scale = 1};
                status |= abi_attend(c, q, 1, 1, &p, out);
                for (int i = 0; i < D; i++) finite &= isfinite(out[i]) != 0;
            }
        }
    }
    ok(status == HS_OK && finite, "numbers of 1e15 give finite outputs everywhere");
    hs_attention_params p = {.mode = HS_ATTENTION_DENSE, .scale = 2};
    q[0] = 1e15f;
    ok(abi_attend(c, q, 1, 1, &p, out) == HS_ERR_ARGUMENT && abi_last_error_limit() == 1e15f, "a query that its scale takes beyond is refused");
    q[3] = NAN;
    ok(abi_attend(c, q, 1, 1, &p, out) == HS_ERR_ARGUMENT, "a query that is no number is refused");
    abi_cache_free(c);
}

/* A cache that dropped its front is longer than its keys are many, and ReLU's scratch has room for these alone. */
static void test_relu_after_drop(void) {
    enum { ROUNDS = 100,
           N = 128,
           KEPT = 40 };
    const hs_attention_params p = {.mode = HS_ATTENTION_RELU, .alpha = 1, .b = -0.1f, .scale = 0.25f};
    float rows[2 * N * D], q[D], out[D], key[D], value[D];
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        cache *c = abi_cache_create(1, D, type, 128);
        int status = HS_OK;
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < 2 * N * D; i++) rows[i] = random_unit();
            status |= abi_cache_append(c, rows, rows + N * D, N) | abi_cache_remove(c, 0, abi_cache_length(c) - KEPT);
        }
        for (int i = 0; i < D; i++) q[i] = random_unit();
        status |= abi_attend(c, q, 1, 1, &p, out);
        double want[D] = {0}, mass = 0, error = 0;
        for (int position = abi_cache_length(c) - KEPT; position < abi_cache_length(c); position++) {
            double weight = -(double)p.b;
            status |= abi_cache_row(c, 0, position, 0, key) | abi_cache_row(c, 0, position, 1, value);
            for (int i = 0; i < D; i++) weight += (double)p.scale * (double)q[i] * (double)key[i];
            mass += fmax(weight, 0);
            for (int i = 0; i < D; i++) want[i] += fmax(weight, 0) * (double)value[i];
        }
        for (int i = 0; i < D; i++) error = fmax(error, fabs((double)out[i] - want[i] / mass));
        ok(status == HS_OK && abi_cache_length(c) == ROUNDS * N && mass > 0 && error < 1e-5, "ReLU attention over %d keys of which %d are left: %.1e off", ROUNDS * N, KEPT, error);
        abi_cache_free(c);
    }
}

/* Logits in the thousands lie so far below what 4 bits made of them that no weight is left: such queries are answered exactly. */
static void test_vanishing_weights(void) {
    enum { N = 2000,
           QUERIES = 100 };
    static float rows[N * D];
    hs_attention_params fast = {.mode = HS_ATTENTION_HSR, .strength = HS_FAST, .far_field = 2, .dense_below = 1, .dense_above = 1, .scale = 0.25f}, dense = {.mode = HS_ATTENTION_DENSE, .scale = 0.25f};
    float q[D], out[D], want[D];
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        cache *c = abi_cache_create(1, D, type, 1024);
        for (int i = 0; i < N * D; i++) rows[i] = 100 * random_unit();
        int status = abi_cache_append(c, rows, rows, N), exact = 0, finite = 1, same = 1;
        for (int query = 0; query < QUERIES; query++) {
            for (int i = 0; i < D; i++) q[i] = 100 * random_unit();
            abi_attend_stats_reset();
            status |= abi_attend(c, q, 1, 1, &fast, out);
            int is_dense = abi_attend_stats()->dense > 0;
            status |= abi_attend(c, q, 1, 1, &dense, want);
            exact += is_dense;
            for (int i = 0; i < D; i++) finite &= isfinite(out[i]) != 0;
            if (is_dense) same &= memcmp(out, want, sizeof out) == 0;
        }
        ok(status == HS_OK && finite && same && exact > 0 && exact < QUERIES, "logits in the thousands: %d of %d queries lost all weights, and have dense attention's bits", exact, QUERIES);
        abi_cache_free(c);
    }
}

/* Softmax attention of one query over the stored keys, in f64. */
static void softmax_of(const cache *c, const float *q, double scale, double *out) {
    double logits[1000], peak = -INFINITY, mass = 0;
    float row[D];
    int n = abi_cache_length(c);
    for (int j = 0; j < n; j++) {
        abi_cache_row(c, 0, j, 0, row);
        logits[j] = 0;
        for (int i = 0; i < D; i++) logits[j] += scale * (double)q[i] * (double)row[i];
        peak = fmax(peak, logits[j]);
    }
    memset(out, 0, D * sizeof *out);
    for (int j = 0; j < n; j++) {
        double weight = exp(logits[j] - peak);
        abi_cache_row(c, 0, j, 1, row);
        mass += weight;
        for (int i = 0; i < D; i++) out[i] += weight * (double)row[i];
    }
    for (int i = 0; i < D; i++) out[i] /= mass;
}

/* Certified attention where a float's rounding of a logit is a whole weight, or infinite as a factor: it ends, and its bound holds. */
static void test_certified_far_logits(void) {
    enum { N = 1000,
           QUERIES = 8 };
    static float rows[N * D];
    hs_attention_params p = {.mode = HS_ATTENTION_HSR, .strength = HS_CERTIFIED, .dense_below = 1, .dense_above = 1, .scale = 0.25f};
    for (int type = HS_KV_Q8; type <= HS_KV_F32; type++) {
        for (float size = 1e2f; size < 1e11f; size *= 1e3f) {
            cache *c = abi_cache_create(1, D, type, 128);
            for (int i = 0; i < N * D; i++) rows[i] = size * random_unit();
            int status = abi_cache_append(c, rows, rows, N), holds = 1;
            double loosest = 0;
            for (int query = 0; query < QUERIES; query++) {
                float q[D], out[D];
                double want[D], square = 0;
                for (int i = 0; i < D; i++) q[i] = size * random_unit();
                p.eps_of = query % 2 ? HS_EPS_OF_OUTPUT : HS_EPS_OF_VALUE;
                abi_attend_stats_reset();
                status |= abi_attend(c, q, 1, 1, &p, out);
                softmax_of(c, q, (double)p.scale, want);
                for (int i = 0; i < D; i++) square += ((double)out[i] - want[i]) * ((double)out[i] - want[i]);
                holds &= sqrt(square) <= abi_attend_stats()->error;
                loosest = fmax(loosest, abi_attend_stats()->error / (double)size);
            }
            ok(status == HS_OK && holds && loosest < 10, "numbers of %.0e: certified attention ends within its bounds, of %.1e of the numbers' size at most", (double)size, loosest);
            abi_cache_free(c);
        }
    }
}

static void test_sizes(void) {
    cache *c = abi_cache_create(2, D, HS_KV_Q8, 128);
    float row[2 * D] = {0}, out[2 * D];
    hs_attention_params p = {.mode = HS_ATTENTION_DENSE, .scale = 1};
    int position;
    ok(abi_cache_append(c, row, row, 1) == HS_OK, "a cache of two heads");
    for (int head = -1; head <= 2; head += 3) ok(abi_cache_row(c, head, 0, 0, out) == HS_ERR_ARGUMENT && !abi_cache_kv(c, head) && abi_attend_reported(c, head, row, 1, &p, out, &position, NULL, 1) == HS_ERR_ARGUMENT, "it has no head %d", head);
    ok(abi_attend_reported(c, 0, row, 1, &p, out, &position, NULL, -1) == HS_ERR_ARGUMENT, "no room of less than nothing");
    ok(abi_attend(c, row, 1 << 30, 1, &p, out) == HS_ERR_ARGUMENT && abi_attend(c, row, 1, INT32_MAX, &p, out) == HS_ERR_ARGUMENT, "counts whose products overflow are refused");
    hs_kv *kv = abi_cache_kv(c, 0);
    ok(abi_kv_value_norm_set(kv, NAN) == HS_ERR_ARGUMENT && abi_kv_value_norm_set(kv, -1) == HS_ERR_ARGUMENT && abi_kv_value_norm(kv) == 0 && abi_kv_value_norm_set(kv, 2) == HS_OK && abi_kv_value_norm(kv) == 2, "a length is a number from 0 on");
    ok(abi_bytes_per_key(17, 0, 128, 0) < 0 && abi_bytes_per_key(64, 9, 128, 0) < 0 && abi_bytes_per_key(64, 0, 77, 0) < 0 && abi_bytes_per_key(64, 0, 128, 0) > 147, "bytes per key of shapes in range");
    ok(abi_record_bytes(64, 0, 0, 0, INT32_MAX) == 0 && abi_record_bytes(64, 0, 0, 0, 0) == 0 && abi_record_bytes(1 << 20, 0, 0, 0, 1) == 0 && abi_record_bytes(64, 0, 0, 1, 128) > 0, "bytes of records that there are");
    abi_cache_free(c);
    hs_tensor t;
    ok(hs_tensor_init(&t, HS_GGML_F32, 1 << 20, 1 << 16) == HS_ERR_MEMORY && hs_tensor_init(&t, HS_GGML_Q4_0, INT32_MAX, 1 << 16) == HS_ERR_MEMORY, "tensors of more than 4 GB are refused, not cut to 32 bits");
}

/* Below, 1 / scale is infinite, and an integer of it anything. */
static void test_tiny_activations(void) {
    float x[HS_BLOCK];
    hs_act a;
    void *buffer = malloc(hs_act_bytes(HS_BLOCK, 1));
    int zero = 1;
    for (int i = 0; i < HS_BLOCK; i++) x[i] = (float)(i - 9) * 1e-40f;
    hs_act_bind(&a, buffer, HS_BLOCK, 1);
    for (int scalar = 0; scalar < 2; scalar++) {
        (scalar ? hs_act_quantize_scalar : hs_act_quantize)(x, 0, 1, &a);
        for (int i = 0; i < HS_BLOCK; i++) zero &= hs_act_value(&a, 0, 0, i) == 0;
    }
    ok(zero, "denormal activations are zero");
    free(buffer);
}

static const hs_config tiny = {.arch = HS_ARCH_LLAMA, .n_layers = 2, .dim = 32, .n_heads = 2, .n_kv_heads = 2, .head_dim = D, .ffn_dim = 32, .vocab = 4, .rms_eps = 1e-5f, .rope_theta = 10000, .rope_dim = D};

/* A model of f32 weights; `slot` of the last layer holds `wrong` instead of numbers. */
static hs_model *new_model(int slot, float wrong) {
    hs_model *m = abi_model_create(&tiny);
    for (int missing = abi_model_missing(m); missing >= 0; missing = abi_model_missing(m)) {
        int at = missing & 255, layer = missing >> 8, rows = at == HS_T_TOKEN_EMBD ? 4 : at == HS_T_OUTPUT_NORM || at == HS_T_ATTN_NORM || at == HS_T_FFN_NORM ? 1
                                                                                                                                                               : 32;
        float weights[32 * 32];
        for (int i = 0; i < rows * 32; i++) weights[i] = at == slot && layer == 1 ? wrong : random_unit();
        if (abi_tensor_create(m, at, layer, HS_GGML_F32, rows, 32) != HS_OK || abi_tensor_rows(m, at, layer, 0, rows, (const uint8_t *)weights) != HS_OK) return NULL;
    }
    return abi_model_ready(m) == HS_OK ? m : NULL;
}

/* Numbers that attention does not take stop the pass: nothing of it stays, in no layer. */
static void test_weights_without_numbers(void) {
    const int slots[] = {HS_T_ATTN_Q, HS_T_ATTN_K, HS_T_ATTN_V};
    const float wrongs[] = {NAN, INFINITY, 1e30f};
    const int32_t tokens[] = {0, 1, 2, 3};
    for (int i = 0; i < 9; i++) {
        hs_model *m = new_model(slots[i % 3], wrongs[i / 3]);
        hs_context *c = abi_context_create(m, 20, i % 2, NULL);
        int one = abi_decode(c, 1), four = abi_prefill(c, tokens, 4, HS_LOGITS_LAST), level = hs_context_check_level(c) == HS_OK;
        ok(one == HS_ERR_UNSUPPORTED && four == HS_ERR_UNSUPPORTED && level && abi_context_length(c) == 0 && abi_last_error_value() == 1, "weights of %g: layer 1 is named, and the context is empty as before", (double)wrongs[i / 3]);
        abi_context_free(c);
        abi_model_free(m);
    }
}

/* Layers of a restored context that hold different numbers of tokens: their caches would be written beyond their ends. */
static void test_uneven_layers(void) {
    hs_model *m = new_model(-1, 0);
    hs_context *c = abi_context_create(m, 20, HS_KV_Q8, NULL), *other;
    float rows[20 * D];
    int32_t token = 1;
    ok(abi_context_lay_out(c, 0, 0, 5) == HS_OK && abi_decode(c, token) == HS_ERR_STATE && abi_context_truncate(c, 4) == HS_ERR_STATE, "a context of uneven layers neither continues nor is cut");
    ok(abi_context_rows(c, 1, 0, 0, 5, rows, rows) == HS_ERR_ARGUMENT && !abi_context_kv(c, 2, 0) && !abi_context_kv(c, 0, -1) && !abi_watched(c, 0, 7), "a layer that holds nothing gives no rows, and there is no third one");
    other = abi_context_create(m, 20, HS_KV_F32, c);
    ok(!other && abi_context_bytes(m, -5, 0) < 0 && abi_context_bytes(m, INT32_MAX, 0) < 0 && abi_context_bytes(m, 20, 3) < 0, "a context continues one of its own type, and has a size in range");
    abi_context_free(c);
    abi_model_free(m);
    hs_config bad = tiny;
    bad.attn_softcap = INFINITY;
    ok(!abi_model_create(&bad) && abi_last_error_limit() == 1e15f, "hyperparameters are numbers");
}

int main(void) {
    test_certified_ends();
    test_block_before_start();
    test_largest_rows();
    test_relu_after_drop();
    test_vanishing_weights();
    test_certified_far_logits();
    test_sizes();
    test_tiny_activations();
    test_weights_without_numbers();
    test_uneven_layers();
    ok(hs_mem_used() == 0, "nothing stays allocated");
    return done();
}
