/* One query per head against the cache, by the mode and strength asked for. */
#include "attention/decode.h"
#include "base/profile.h"

typedef struct {
    hs_queries queries;
    hs_softmax softmax;
} decode_scratch;

void hs_attend_decode(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch) {
    decode_scratch *s = scratch;
    void *rest = (char *)scratch + hs_align_up(sizeof(decode_scratch));
    hs_count_queries(stats, kv, group);
    if (p->mode == HS_ATTENTION_RELU) {
        hs_attend_relu(kv, q, group, p, out, stats, reported, scratch);
        HS_LAP(HS_PHASE_EXACT);
        return;
    }
    hs_queries_prepare(&s->queries, q, group, kv->head_dim, p->scale);
    hs_softmax_begin(&s->softmax, out, group, kv->head_dim, reported);
    hs_view view = hs_view_of(p, hs_kv_length(kv));
    if (p->mode == HS_ATTENTION_DENSE || (p->strength == HS_FAST && hs_is_short(p, view.end))) {
        hs_attend_dense(kv, &s->queries, &view, p, &s->softmax, stats);
        HS_LAP(HS_PHASE_EXACT);
    } else if (p->strength == HS_FAST) {
        hs_attend_fast(kv, &s->queries, p, &s->softmax, stats, rest);
    } else {
        hs_attend_certified(kv, q, group, p, &s->softmax, stats, rest);
        HS_LAP(HS_PHASE_REPORT);
    }
}

size_t hs_attend_decode_scratch_bytes(int group, int capacity) {
    const size_t modes[] = {hs_attend_fast_scratch_bytes(group, capacity), hs_attend_certified_scratch_bytes(capacity), hs_attend_relu_scratch_bytes(capacity)};
    size_t most = 0;
    for (int i = 0; i < 3; i++) most = modes[i] > most ? modes[i] : most;
    return hs_align_up(sizeof(decode_scratch)) + most;
}
