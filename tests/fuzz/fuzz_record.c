/*
 * Records into caches and indexes: valid ones that were changed, any bytes at all, and spans that lie. What is refused leaves
 * every byte as it was; whatever is accepted keeps attention, queries and changes inside of the arrays.
 */
#include "../../wasm/abi_attention.c"
#include "../../wasm/abi_index.c"
#include "../../wasm/abi_record.c"
#include "fuzz.h"

enum { D = 16,
       KEYS = 400,
       MOST_RECORD = 96 << 10,
       MOST_SPANS = 64 };

/* Two types of caches, and of indexes: a source whose records are valid, and what is read into. */
typedef struct {
    int keys_only, type;
    cache *source_cache, *cache;
    hs_index *source_index, *index;
    hs_span_of_keys spans[MOST_SPANS];
    int n;
} subject;

static subject subjects[4];
static float rows[KEYS * D], out[8 * D];
static int positions[KEYS];

static hs_kv *source_of(const subject *s) {
    return s->keys_only ? abi_index_kv(s->source_index) : abi_cache_kv(s->source_cache, 0);
}

static hs_kv *kv_of(const subject *s) {
    return s->keys_only ? abi_index_kv(s->index) : abi_cache_kv(s->cache, 0);
}

static void list_spans(subject *s) {
    const hs_kv *kv = source_of(s);
    const int32_t *extent = abi_kv_extent(kv);
    must(extent[1] == KEYS && extent[3] > 0 && !abi_kv_parent(kv));
    for (int first = 0, n; first < kv->count; first += n) {
        int sealed = first >= extent[2] && first < extent[2] + extent[3];
        n = first < extent[2] ? extent[2] : sealed ? hs_kv_chunk(kv, first)
                                                   : kv->count - first;
        s->spans[s->n++] = (hs_span_of_keys){sealed, first, n};
    }
}

static void create(subject *s) {
    if (s->keys_only) {
        s->index = abi_index_create(D, s->type, 128);
        must(abi_index_reserve(s->index, KEYS) == HS_OK);
    } else {
        s->cache = abi_cache_create(1, D, s->type, 128);
        must(abi_cache_reserve(s->cache, KEYS) == HS_OK);
    }
}

static void start(void) {
    sequence seq = {7};
    for (int i = 0; i < KEYS * D; i++) rows[i] = (float)(i / D / 50) * 0.3f + next_unit(&seq);
    for (int i = 0; i < 4; i++) {
        subject *s = &subjects[i];
        *s = (subject){.keys_only = i / 2, .type = i % 2};
        if (s->keys_only) {
            s->source_index = abi_index_create(D, s->type, 128);
            must(abi_index_append(s->source_index, rows, KEYS) == HS_OK && abi_index_remove(s->source_index, 200, 210) == HS_OK);
        } else {
            s->source_cache = abi_cache_create(1, D, s->type, 128);
            must(abi_cache_append(s->source_cache, rows, rows, KEYS) == HS_OK);
        }
        list_spans(s);
        create(s);
    }
}

static size_t record_bytes(const subject *s, const hs_span_of_keys *span) {
    return abi_record_bytes(D, s->type, s->keys_only, span->sealed, span->keys);
}

/* All spans as they are, and then nothing but what the input says. */
static void restore(const subject *s) {
    static _Alignas(HS_ALIGN) uint8_t record[MOST_RECORD];
    for (int i = 0; i < s->n; i++) {
        const hs_span_of_keys *span = &s->spans[i];
        must(record_bytes(s, span) <= sizeof record);
        must(abi_record_write(source_of(s), span->sealed, span->first, span->keys, record) == HS_OK);
        must(abi_record_read(kv_of(s), span->sealed, span->first, span->keys, 0, record) == HS_OK);
    }
}

static int lay_out(const subject *s, int base, int sealed, int count) {
    return s->keys_only ? abi_index_lay_out(s->index, base, sealed, count) : abi_cache_lay_out(s->cache, base, sealed, count);
}

/* Changes single bytes, runs of them, or whole words to what is hardest. */
static void mutate(input *in, uint8_t *record, size_t bytes) {
    static const uint32_t words[] = {0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0x80000000, 0xffffffff, 0x7fff7fff, 0x80808080, 1, 0};
    for (int changes = 1 + take_byte(in) % 6; changes > 0; changes--) {
        size_t at = (size_t)(take_byte(in) | take_byte(in) << 8 | take_byte(in) << 16) % bytes;
        uint32_t word = take_byte(in) % 2 ? words[take_byte(in) % 10] : take_word(in);
        memcpy(record + at, &word, bytes - at < 4 ? bytes - at : 4);
    }
}

/* Whatever is held: queries of all kinds, keys that come and go. */
static void use_cache(input *in, subject *s) {
    static const hs_attention_params ways[] = {
        {.mode = HS_ATTENTION_DENSE, .scale = 0.25f},
        {.mode = HS_ATTENTION_HSR, .far_field = HS_FAR_SECOND, .dense_below = 1, .dense_above = 1, .scale = 0.25f},
        {.mode = HS_ATTENTION_HSR, .far_field = HS_FAR_SECOND, .dense_below = 1, .dense_above = 1, .scale = 0.25f, .r = 40},
        {.mode = HS_ATTENTION_HSR, .strength = HS_CERTIFIED, .far_field = HS_FAR_SECOND, .dense_below = 1, .scale = 0.25f},
        {.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .dense_below = 1, .scale = 0.25f},
        {.mode = HS_ATTENTION_HSR, .strength = HS_EXACT, .dense_below = 1, .scale = 0.25f, .top_p = 0.9f},
        {.mode = HS_ATTENTION_RELU, .alpha = 2, .b = 1, .scale = 0.25f, .window = 300},
        {.mode = HS_ATTENTION_HSR, .far_field = HS_FAR_FIRST, .block_hsr = 1, .dense_below = 1, .scale = 0.25f, .causal = 1},
    };
    float q[4 * D];
    int way = take_byte(in) % 8, n = way == 7 ? 2 : 1;
    take_rows(in, q, n * 2, D);
    int status = abi_attend(s->cache, q, n, 2, &ways[way], out);
    must(status == HS_OK);
    int what = take_byte(in) % 4, at = take_int(in, KEYS);
    if (what == 1) must(hs_growing_truncate(&s->cache->head[0], hs_min(hs_max(at, 0), abi_cache_length(s->cache))) == HS_OK);
    if (what == 2) must(is_error(abi_cache_remove(s->cache, at, (int)((unsigned)at + 30))) || at <= abi_cache_length(s->cache) - 30);
    if (what == 3) must(abi_cache_append(s->cache, rows, rows, 150) == HS_OK);
    if (what > 0) must(abi_attend(s->cache, q, n, 2, &ways[way], out) == HS_OK);
}

static void use_index(input *in, subject *s) {
    float q[D], products[KEYS];
    int strategy = take_byte(in) % 4;
    take_rows(in, q, 1, D);
    int n = abi_index_report(s->index, q, take_float(in), strategy, positions, products, KEYS);
    must(n == HS_ERR_ARGUMENT || (n >= 0 && n <= KEYS));
    for (int i = 0; i < hs_min(n, KEYS); i++) must(positions[i] >= 0 && positions[i] < abi_index_length(s->index));
    int r = take_int(in, abi_index_size(s->index));
    n = abi_index_top(s->index, q, r, -INFINITY, strategy, positions, products);
    must(n == (r >= 1 && r <= abi_index_size(s->index) ? r : HS_ERR_ARGUMENT));
    int what = take_byte(in) % 4, at = take_int(in, KEYS);
    if (what == 1) must(abi_index_truncate(s->index, hs_min(hs_max(at, 0), abi_index_length(s->index))) == HS_OK);
    if (what == 2) must(is_error(abi_index_remove(s->index, at, (int)((unsigned)at + 30))) || at <= abi_index_length(s->index) - 30);
    if (what == 3) must(abi_index_append(s->index, rows, 100) == HS_OK);
    if (what > 0 && abi_index_size(s->index) > 0) must(abi_index_top(s->index, q, 1, -INFINITY, strategy, positions, products) == 1);
}

/* Another value's length than there is may make a bound wrong, never a call stray. */
static void set_norm(input *in, hs_kv *kv) {
    float norm = take_float(in), before = abi_kv_value_norm(kv);
    int good = norm >= 0 && norm <= 0x1p60f;
    must(abi_kv_value_norm_set(kv, norm) == (good ? HS_OK : HS_ERR_ARGUMENT));
    must(abi_kv_value_norm(kv) == (good ? norm : before));
}

static int same_span(const subject *s, const hs_span_of_keys *span) {
    static _Alignas(HS_ALIGN) uint8_t a[MOST_RECORD], b[MOST_RECORD];
    return abi_record_write(source_of(s), span->sealed, span->first, span->keys, a) == HS_OK && abi_record_write(kv_of(s), span->sealed, span->first, span->keys, b) == HS_OK && memcmp(a, b, record_bytes(s, span)) == 0;
}

/* Sizes of any shape: none that is out of range has a record. */
static void ask_sizes(input *in) {
    int d = take_int(in, HS_MAX_HEAD_DIM), type = take_int(in, 1), sealed = take_byte(in) % 2, keys = take_int(in, 2000);
    int good = d >= HS_MIN_HEAD_DIM && d <= HS_MAX_HEAD_DIM && d % 8 == 0 && (type == 0 || type == 1) && keys >= 1 && keys <= (sealed ? HS_CHUNK_MAX : HS_RECORD_UNSEALED);
    must((abi_record_bytes(d, type, take_byte(in) % 2, sealed, keys) > 0) == good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = input_of(data, size);
    if (!subjects[0].n) start();
    int shape = take_byte(&in);
    subject *s = &subjects[shape % 4];
    ask_sizes(&in);
    restore(s);
    hs_kv *kv = kv_of(s);
    int sealed_keys = source_of(s)->sealed_to - source_of(s)->sealed_from;
    must(lay_out(s, 0, sealed_keys, KEYS) == HS_OK);
    const hs_span_of_keys *span = &s->spans[take_byte(&in) % s->n];
    size_t bytes = record_bytes(s, span);
    uint8_t *record = malloc(bytes); /* exactly: a read beyond the end is seen */
    must(abi_record_write(kv, span->sealed, span->first, span->keys, record) == HS_OK);
    if (shape < 160)
        mutate(&in, record, bytes);
    else if (shape < 200)
        for (size_t i = 0, n = (size_t)left(&in); i < n && i < bytes; i++) record[bytes - 1 - i] ^= in.at[i];
    else if (shape < 210)
        memset(record, take_byte(&in), bytes);
    hs_span_of_keys asked = *span;
    if (shape >= 224) asked = (hs_span_of_keys){take_byte(&in) % 4 ? span->sealed : !span->sealed, take_int(&in, KEYS), take_int(&in, KEYS)};
    /* Only spans that are as long as the record: its length is the caller's to check. */
    size_t asked_bytes = abi_record_bytes(D, s->type, s->keys_only, asked.sealed, asked.keys);
    int whole = take_byte(&in) % 2, status = HS_ERR_ARGUMENT;
    if (asked_bytes <= bytes) status = abi_record_read(kv, asked.sealed, asked.first, asked.keys, whole, record);
    must(status == HS_OK || status == HS_ERR_ARGUMENT);
    if (status != HS_OK) must(same_span(s, span));
    free(record);
    int base = take_byte(&in) < 64 ? take_int(&in, 1000) : 0, sealed = take_byte(&in) < 64 ? take_int(&in, KEYS) : sealed_keys, count = take_byte(&in) < 64 ? take_int(&in, KEYS) : KEYS;
    int laid = lay_out(s, base, sealed, count);
    must(laid == HS_OK || is_error(laid));
    const int32_t *extent = abi_kv_extent(kv);
    must(laid == HS_OK ? extent[0] == base && extent[1] == count && extent[3] == sealed : extent[1] == KEYS && extent[3] == sealed_keys);
    if (take_byte(&in) < 32) set_norm(&in, kv);
    /* A chunk of other places than those that were written is as bad as bytes that no record had: never asked. */
    if (extent[3] <= sealed_keys) s->keys_only ? use_index(&in, s) : use_cache(&in, s);
    if (s->keys_only)
        abi_index_free(s->index);
    else
        abi_cache_free(s->cache);
    create(s);
    return 0;
}
