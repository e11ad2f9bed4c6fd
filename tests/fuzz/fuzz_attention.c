/*
 * Caches and attention through their exported functions. Keys come and go against a plain copy; dense, exact and certified
 * attention and ReLU are compared with sums in f64, certified bounds with the true error, and nothing may be NaN or stray.
 */
#include "../../wasm/abi_attention.c"
#include "fuzz.h"
#include "kv/coordinates.h"

enum { MOST_KEYS = 420,
       MOST_DIM = 32,
       MOST_HEADS = 2,
       MOST_GROUP = 3,
       MOST_QUERIES = 6,
       MOST_STEPS = 12,
       FLOATS = MOST_KEYS * MOST_HEADS * MOST_DIM,
       OUT = MOST_QUERIES * MOST_HEADS * MOST_GROUP * MOST_DIM };

/* Stored rows by position, as the cache gives them: [position][head][d]. */
static struct {
    cache *cache;
    int d, heads, end, live;
    float keys[FLOATS], values[FLOATS];
    char held[MOST_KEYS];
} m;
static float keys[FLOATS], values[FLOATS], q[OUT], out[OUT + 1], shares[MOST_KEYS * MOST_GROUP + 1];
static int positions[MOST_KEYS * MOST_GROUP + 1];

static float *stored(float *rows, int position, int head) {
    return rows + ((size_t)position * (size_t)m.heads + (size_t)head) * (size_t)m.d;
}

static void count_live(void) {
    m.live = 0;
    for (int p = 0; p < m.end; p++) m.live += m.held[p];
    must(abi_cache_length(m.cache) == m.end && abi_cache_size(m.cache) == m.live);
}

static void append(input *in) {
    static const int batches[] = {1, 3, 16, 40, 130, 176, 200, 300};
    int n = batches[take_byte(in) % 8], width = m.heads * m.d, bad = take_byte(in), fails = take_byte(in) >= 244;
    if (m.end + n > MOST_KEYS) return;
    take_rows(in, keys, n * m.heads, m.d);
    take_rows(in, values, n * m.heads, m.d);
    if (bad >= 248) (bad % 2 ? keys : values)[take_below(in, n * width)] = bad_coordinate(in);
    fuzz_fail_after(fails ? 1u + take_byte(in) % 5 : 0);
    int status = abi_cache_append(m.cache, keys, values, n);
    must(bad >= 248 ? status == HS_ERR_ARGUMENT || (status == HS_ERR_MEMORY && fuzz_failed()) : status == (fuzz_failed() ? HS_ERR_MEMORY : HS_OK));
    fuzz_fail_after(0);
    must(abi_cache_append(m.cache, keys, values, -1) == HS_ERR_ARGUMENT);
    for (int i = 0; status == HS_OK && i < n; i++, m.end++) {
        m.held[m.end] = 1;
        for (int h = 0; h < m.heads; h++) {
            must(abi_cache_row(m.cache, h, m.end, 0, stored(m.keys, m.end, h)) == HS_OK);
            must(abi_cache_row(m.cache, h, m.end, 1, stored(m.values, m.end, h)) == HS_OK);
        }
    }
    count_live();
}

static void change(input *in) {
    int what = take_byte(in) % 4, from = take_int(in, m.end), to = take_byte(in) % 2 ? take_int(in, m.end) : (int)((unsigned)from + take_byte(in) % 64);
    if (what == 0) {
        int good = from >= 0 && from <= m.end;
        must(abi_cache_truncate(m.cache, from) == (good ? HS_OK : HS_ERR_ARGUMENT));
        if (good) m.end = from;
    } else {
        int good = from >= 0 && from <= to && to <= m.end;
        must(abi_cache_remove(m.cache, from, to) == (good ? HS_OK : HS_ERR_ARGUMENT));
        for (int p = from; good && p < to; p++) m.held[p] = 0;
    }
    count_live();
}

static void look(input *in) {
    float row[MOST_DIM];
    int head = take_int(in, m.heads - 1), p = take_int(in, m.end), which = take_int(in, 1), n = take_int(in, 64);
    int known = head >= 0 && head < m.heads, held = known && p >= 0 && p < m.end && m.held[p];
    must(abi_cache_row(m.cache, head, p, which, row) == (held ? HS_OK : HS_ERR_ARGUMENT));
    if (held) must(memcmp(row, stored(which == 0 ? m.keys : m.values, p, head), (size_t)m.d * sizeof(float)) == 0);
    must((abi_cache_kv(m.cache, head) != NULL) == known);
    fuzz_fail_after(0);
    int status = abi_cache_reserve(m.cache, n);
    must(n < 0 ? status == HS_ERR_ARGUMENT : status == HS_OK || is_error(status));
    count_live();
}

/* A field of the parameters: mostly one that is in range. */
static float share(input *in) {
    static const float usual[] = {0, 0, 0, 0.1f, 0.5f, 0.9f, 1e-3f, 1e-4f, 1, 1e-20f, 0.999f, 1e-6f};
    int kind = take_byte(in);
    return kind < 250 ? usual[kind % 12] : take_float(in);
}

static hs_attention_params take_params(input *in) {
    hs_attention_params p = {.mode = take_byte(in) % 3, .strength = take_byte(in) % 3, .far_field = take_byte(in) % 3, .dense_below = 1};
    int target = take_byte(in) % 6;
    if (target == 1) p.r = take_int(in, m.live + 5);
    if (target == 2) p.top_p = share(in);
    if (target == 3) p.eps = share(in);
    if (target == 4) p.theta = share(in);
    p.leaf_theta = share(in);
    p.value_theta = share(in);
    p.dense_above = share(in);
    p.block_hsr = take_byte(in) % 2;
    p.alpha = p.mode == HS_ATTENTION_RELU ? 1 + take_byte(in) % 8 : 0;
    p.b = take_byte(in) < 200 ? (float)(int8_t)take_byte(in) / 8 : take_float(in);
    if (take_byte(in) < 80) p.end = take_int(in, m.end);
    if (take_byte(in) < 80) p.window = take_int(in, m.end);
    if (take_byte(in) < 80) p.sinks = take_int(in, 32);
    p.causal = take_byte(in) % 2;
    p.scale = take_byte(in) < 200 ? 0.25f : take_float(in);
    if (take_byte(in) < 50) p.softcap = take_byte(in) < 200 ? 20 : take_float(in);
    p.eps_of = take_byte(in) % 2;
    /* Any word may be anything. */
    if (take_byte(in) >= 240) ((int32_t *)(void *)&p)[take_below(in, sizeof p / 4)] = take_int(in, 4);
    return p;
}

/* What one query should give, in f64. */
typedef struct {
    double out[MOST_DIM], mass, longest, largest, spread; /* longest value, largest product of lengths, and |logits| at most */
    int keys;
} truth;

/* By positions, written down once more: what query i of n sees. */
static int sees(const hs_attention_params *p, int position, int i, int n) {
    int end = p->end > 0 && p->end < m.end ? p->end : m.end;
    if (p->causal) end -= n - 1 - i;
    return m.held[position] && position < end && (p->window == 0 || position >= end - p->window || position < p->sinks);
}

static double length(const float *x) {
    double square = 0;
    for (int j = 0; j < m.d; j++) square += (double)x[j] * (double)x[j];
    return sqrt(square);
}

static double logit_of(const float *query, const float *key, const hs_attention_params *p) {
    double product = 0, cap = (double)p->softcap;
    for (int j = 0; j < m.d; j++) product += (double)query[j] * (double)key[j];
    product *= (double)p->scale;
    return cap > 0 ? cap * tanh(product / cap) : product;
}

static truth reference(const hs_attention_params *p, const float *query, int head, int i, int n) {
    static double logits[MOST_KEYS];
    truth t = {.keys = 0};
    double peak = -INFINITY, of = length(query) * fabs((double)p->scale);
    for (int at = 0; at < m.end; at++) {
        if (!sees(p, at, i, n)) continue;
        logits[at] = logit_of(query, stored(m.keys, at, head), p);
        peak = fmax(peak, logits[at]);
        t.longest = fmax(t.longest, length(stored(m.values, at, head)));
        t.largest = fmax(t.largest, of * length(stored(m.keys, at, head)));
        t.keys++;
    }
    for (int at = 0; at < m.end; at++) {
        if (!sees(p, at, i, n)) continue;
        double excess = logits[at] - (double)p->b, most = peak - (double)p->b;
        double w = p->mode != HS_ATTENTION_RELU ? exp(logits[at] - peak) : excess > 0 ? pow(excess / most, p->alpha)
                                                                                      : 0;
        const float *value = stored(m.values, at, head);
        for (int j = 0; w > 0 && j < m.d; j++) t.out[j] += w * (double)value[j];
        t.mass += w;
    }
    for (int j = 0; t.mass > 0 && j < m.d; j++) t.out[j] /= t.mass;
    return t;
}

static double distance(const float *a, const double *b) {
    double square = 0;
    for (int j = 0; j < m.d; j++) square += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
    return sqrt(square);
}

/* How far exact attention may be off: products in f32 with queries of 16 bits, relative to what logits can be. */
static double tolerance(const truth *t) {
    double logit = t->largest * (1e-5 + 3e-5 * sqrt(m.d));
    return logit > 0.05 ? INFINITY : t->longest * (2e-4 + 4 * logit) + 1e-36;
}

static int is_exact(const hs_attention_params *p, int n) {
    return p->mode == HS_ATTENTION_DENSE || (p->mode == HS_ATTENTION_HSR && n > 1 && p->strength == HS_FAST && !p->block_hsr);
}

static int has_bound(const hs_attention_params *p) {
    return p->mode == HS_ATTENTION_HSR && p->strength != HS_FAST;
}

/* One query's output. */
static double check_output(const hs_attention_params *p, const float *query, const float *got, int head, int i, int n) {
    truth t = reference(p, query, head, i, n);
    double error = distance(got, t.out);
    for (int j = 0; j < m.d; j++) must(isfinite(got[j]));
    if (t.keys == 0) must(error == 0);
    if (is_exact(p, n)) must(error <= tolerance(&t));
    /* A key whose logit is at the threshold to the last bit may be seen otherwise in f64. */
    if (p->mode == HS_ATTENTION_RELU && t.mass > 1e-3 && p->softcap == 0) must(error <= t.longest * 2e-3 + 1e-36);
    return error;
}

static int is_within(int n, float scale) {
    for (int i = 0; i < n; i++) {
        if (!(fabsf(q[i]) * fmaxf(1, fabsf(scale)) <= HS_COORDINATE_LIMIT)) return 0;
    }
    return 1;
}

static void check_stats(void) {
    double words[sizeof(hs_attention_stats) / sizeof(double)];
    memcpy(words, abi_attend_stats(), sizeof words);
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) must(words[i] >= 0);
}

static void attend(input *in) {
    hs_attention_params p = take_params(in);
    int n = take_byte(in) % 3 ? 1 : 1 + take_byte(in) % MOST_QUERIES, group = 1 + take_byte(in) % MOST_GROUP, each = group * m.d;
    int asked_n = take_byte(in) < 248 ? n : take_int(in, n), asked_group = take_byte(in) < 248 ? group : take_int(in, group);
    take_rows(in, q, n * m.heads * group, m.d);
    if (take_byte(in) >= 250) q[take_below(in, n * m.heads * each)] = bad_coordinate(in);
    int good = hs_attention_check(&p) == HS_OK && is_within(n * m.heads * each, p.scale) && asked_n >= 1 && asked_group >= 1;
    if (good && (asked_n > n || asked_group > group)) return; /* in range, but there are no such rows */
    fuzz_fail_after(take_byte(in) >= 250);
    abi_attend_stats_reset();
    if (asked_n == n && asked_group == group) memset(out, 0xff, sizeof out);
    int status = abi_attend(m.cache, q, asked_n, asked_group, &p, out);
    int failed = fuzz_failed();
    fuzz_fail_after(0);
    must(status == HS_OK ? good : good ? status == HS_ERR_MEMORY && failed
                                       : status == HS_ERR_ARGUMENT);
    if (status != HS_OK || asked_n != n || asked_group != group) return;
    double error = 0;
    for (int i = 0; i < n; i++) {
        for (int h = 0; h < m.heads; h++) {
            for (int g = 0; g < group; g++) {
                size_t at = ((size_t)(i * m.heads + h) * (size_t)group + (size_t)g) * (size_t)m.d;
                error += check_output(&p, q + at, out + at, h, i, n);
            }
        }
    }
    check_stats();
    /* Sums of bounds bound the sum of errors. */
    if (has_bound(&p)) must(error <= abi_attend_stats()->error * (1 + 1e-6) + 1e-36);
    must((uint32_t)hs_f32_to_bits(out[n * m.heads * each]) == 0xffffffffu);
}

/* What is reported was seen, once for each query, and the shares of what is reported sum to at most 1. */
static void attend_reported(input *in) {
    hs_attention_params p = take_params(in);
    int group = 1 + take_byte(in) % MOST_GROUP, head = take_int(in, m.heads - 1), room = take_int(in, MOST_KEYS * MOST_GROUP), with_shares = take_byte(in) % 2;
    take_rows(in, q, group, m.d);
    int good = hs_attention_check(&p) == HS_OK && is_within(group * m.d, p.scale) && head >= 0 && head < m.heads && room >= 0;
    int fits = room <= MOST_KEYS * MOST_GROUP ? room : MOST_KEYS * MOST_GROUP;
    if (with_shares && fits > MOST_KEYS) fits = MOST_KEYS;
    abi_attend_stats_reset();
    int n = abi_attend_reported(m.cache, head, q, group, &p, out, positions, with_shares ? shares : NULL, room < 0 ? room : fits);
    must(good ? n >= 0 || n == HS_ERR_MEMORY : n == HS_ERR_ARGUMENT);
    if (n < 0) return;
    for (int j = 0; j < hs_min(n, fits); j++) {
        must(positions[j] >= 0 && positions[j] < m.end && sees(&p, positions[j], 0, 1));
        for (int g = 0; g < group && with_shares; g++) must(shares[j * group + g] >= 0 && shares[j * group + g] <= 1.001f);
    }
    for (int g = 0; g < group; g++) check_output(&p, q + g * m.d, out + g * m.d, head, 0, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = input_of(data, size);
    int shape = take_byte(&in), type = shape & 1, chunk = shape & 2 ? 128 : 1024;
    m.heads = 1 + (shape >> 2 & 1);
    m.d = 16 + 8 * ((shape >> 3) % 3);
    m.end = m.live = 0;
    int heads = shape < 248 ? m.heads : take_int(&in, m.heads), d = shape < 244 ? m.d : take_int(&in, m.d);
    int good = heads >= 1 && heads <= HS_MAX_HEADS && d >= HS_MIN_HEAD_DIM && d <= HS_MAX_HEAD_DIM && d % 8 == 0;
    fuzz_fail_after(shape >= 240 ? take_byte(&in) % 3 : 0);
    m.cache = abi_cache_create(heads, d, type, chunk);
    must((m.cache != NULL) == (good && !fuzz_failed()));
    fuzz_fail_after(0);
    for (int step = 0; m.cache && heads == m.heads && d == m.d && step < MOST_STEPS && left(&in) > 0; step++) {
        int what = take_byte(&in) % 10;
        if (what < 3) append(&in);
        if (what == 3) change(&in);
        if (what == 4) look(&in);
        if (what >= 5 && what < 9) attend(&in);
        if (what == 9) attend_reported(&in);
    }
    abi_cache_free(m.cache);
    must(hs_mem_used() == 0);
    return 0;
}
