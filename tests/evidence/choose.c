/*
 * Attention over keys that JavaScript chooses, for evidence (build/evidence.*.wasm, tests/evidence/chosen.js), linked in front of
 * hs_attend_decode() by --wrap. While it is switched on, every layer and KV head of a decode step computes the logits of all
 * keys, in order of positions, and calls `choose` of the host, which answers by the exports below: each fills in the output of
 * the step, and the last one counts. For models whose queries see all keys, in one thread.
 */
#include "abi.h"
#include "attention/softmax.h"
#include "base/error.h"
#include "base/hs.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

__attribute__((import_module("env"), import_name("choose"))) void env_choose(void);

void __real_hs_attend_decode(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch);
void __wrap_hs_attend_decode(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch);

/* What the host is shown: 32-bit words, in this order. */
typedef struct {
    const float *query; /* [group][head_dim] */
    float *out;         /* [group][head_dim] */
    float *logits;      /* [group][room] */
    int32_t *positions; /* [room] the host's choice */
    float *log_weights; /* [room] what is added to their logits */
    int32_t room, n, group, head_dim;
    float scale;
} step;

/* Where the key of a position is stored. */
typedef struct {
    const hs_kv *kv;
    int own;
} place;

static step now;
static place *places; /* [room] */
static void *block;   /* memory of all arrays; NULL while it is switched off */
static struct {
    const hs_kv *kv;
    const hs_attention_params *p;
    void *scratch;
} call; /* as the model made it */
static hs_queries queries;
static float run[HS_MAX_GROUP * HS_RUN];
static hs_attention_stats engine_stats;

/* Switches it on for contexts of up to `room` keys; 0 switches it off. HS_ERR_MEMORY: it is off. */
EXPORT(hs_choose_begin)
int32_t choose_begin(int32_t room) {
    hs_mem_free(block);
    block = NULL;
    if (room <= 0) return HS_OK;
    size_t each = hs_align_up((size_t)room * sizeof(float)), logits = hs_align_up(HS_MAX_GROUP * (size_t)room * sizeof(float));
    size_t bytes = 2 * each + logits + (size_t)room * sizeof(place);
    char *at = block = hs_mem_alloc(bytes);
    if (!block) return hs_error_set(HS_ERR_MEMORY, "no memory for chosen keys of bytes", (double)bytes, (double)hs_mem_used());
    now = (step){.room = room, .positions = (void *)at, .log_weights = (void *)(at + each), .logits = (void *)(at + 2 * each)};
    places = (void *)(at + 2 * each + logits);
    return HS_OK;
}

EXPORT(hs_choose_step)
const step *choose_step(void) {
    return &now;
}

/* Logits of all keys as dense attention has them, and where they are stored. */
static void weigh(const hs_kv *kv, const hs_attention_params *p) {
    hs_view view = hs_view_of(p, now.n);
    hs_queries_prepare(&queries, now.query, now.group, now.head_dim, p->scale);
    for (hs_piece piece = hs_first_piece(kv, &view); piece.kv; piece = hs_next_piece(&piece, &view)) {
        for (int start = piece.first; start < piece.end; start += HS_RUN) {
            int n = hs_min(HS_RUN, piece.end - start);
            hs_exact_logits(&queries, piece.kv, start, n, p, run, HS_RUN);
            for (int j = 0; j < n; j++) {
                int position = hs_kv_position(piece.kv, start + j);
                places[position] = (place){piece.kv, start + j};
                for (int g = 0; g < now.group; g++) now.logits[g * now.room + position] = run[g * HS_RUN + j];
            }
        }
    }
}

void __wrap_hs_attend_decode(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch) {
    int n = hs_kv_length(kv);
    if (!block || n > now.room || p->window > 0) {
        __real_hs_attend_decode(kv, q, group, p, out, stats, reported, scratch);
        return;
    }
    now.query = q;
    now.out = out;
    now.n = n;
    now.group = group;
    now.head_dim = kv->head_dim;
    now.scale = p->scale;
    call.kv = kv;
    call.p = p;
    call.scratch = scratch;
    weigh(kv, p);
    env_choose();
}

/* Keys of positions first..first+n-1 as stored, [n][head_dim]. */
EXPORT(hs_choose_keys)
void choose_keys(int32_t first, int32_t n, float *out) {
    for (int i = first; i < first + n; i++, out += now.head_dim) hs_kv_key(places[i].kv, places[i].own, out);
}

/* Query g attends to the first `n` of positions[]: softmax of their logits + log_weights. */
EXPORT(hs_choose_attend)
void choose_attend(int32_t g, int32_t n) {
    const float *logits = now.logits + (size_t)g * (size_t)now.room;
    float peak = -INFINITY, value[HS_MAX_HEAD_DIM], *out = now.out + g * now.head_dim;
    double mass = 0, sum[HS_MAX_HEAD_DIM] = {0};
    for (int j = 0; j < n; j++) peak = fmaxf(peak, logits[now.positions[j]] + now.log_weights[j]);
    for (int j = 0; j < n; j++) {
        place at = places[now.positions[j]];
        double w = (double)expf(logits[now.positions[j]] + now.log_weights[j] - peak);
        hs_kv_value(at.kv, at.own, value);
        mass += w;
        for (int i = 0; i < now.head_dim; i++) sum[i] += w * (double)value[i];
    }
    for (int i = 0; i < now.head_dim; i++) out[i] = mass > 0 ? (float)(sum[i] / mass) : 0;
}

/* All queries of the group attend as the engine does with these parameters, of which the model's own are filled in. The call's statistics. */
EXPORT(hs_choose_engine)
const hs_attention_stats *choose_engine(const hs_attention_params *given) {
    hs_attention_params p = *given;
    p.scale = call.p->scale;
    p.softcap = call.p->softcap;
    p.causal = call.p->causal;
    p.end = call.p->end;
    memset(&engine_stats, 0, sizeof engine_stats);
    __real_hs_attend_decode(call.kv, now.query, now.group, &p, now.out, &engine_stats, NULL, call.scratch);
    return &engine_stats;
}
