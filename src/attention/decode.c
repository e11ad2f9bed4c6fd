/* One token against the cache: dense, or the choice of hsr. */
#include "attention/softmax.h"

/* Own keys of `kv` that a query at position `last` sees start here. */
static int first_visible(const hs_kv *kv, int last, int window) {
    int first = window > 0 ? last + 1 - window - kv->base : 0;
    return hs_min(kv->count, hs_max(0, first));
}

static void attend_dense(const hs_kv *kv, const hs_queries *q, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats) {
    int last = hs_kv_length(kv) - 1;
    for (const hs_kv *part = kv; part; part = part->parent) {
        int first = first_visible(part, last, p->window);
        if (first < part->count) hs_softmax_keys(s, q, part, first, part->count, p);
        stats->keys_visible += part->count - first;
        stats->keys_exact += part->count - first;
    }
    stats->mass_exact += q->group;
}

typedef struct {
    hs_queries queries;
    hs_softmax softmax;
} decode_scratch;

void hs_attend_decode(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch) {
    (void)reported;
    decode_scratch *s = scratch;
    hs_queries_prepare(&s->queries, q, group, kv->head_dim, p->scale);
    hs_softmax_begin(&s->softmax, out, group, kv->head_dim);
    int dense_below = p->dense_below > 0 ? p->dense_below : HS_DENSE_BELOW;
    stats->queries += group;
    if (p->mode == HS_ATTENTION_DENSE || p->window > 0 || hs_kv_length(kv) < dense_below)
        attend_dense(kv, &s->queries, p, &s->softmax, stats);
    else
        hs_attend_hsr(kv, &s->queries, p, &s->softmax, stats, (char *)scratch + hs_align_up(sizeof(decode_scratch)));
    hs_softmax_finish(&s->softmax, group, kv->head_dim);
}

/* A block and a decode step never run at once on one scratch. */
size_t hs_attention_scratch_bytes(int head_dim, int group, int capacity, int max_block) {
    size_t decode = hs_align_up(sizeof(decode_scratch)) + hs_attend_hsr_scratch_bytes(group, capacity);
    size_t block = hs_attend_block_scratch_bytes(head_dim, group, max_block);
    return decode > block ? decode : block;
}
