/* hsr of strength fast: half-space reporting by estimated shares, with a far field for what is not reported; attention.h has the plan. */
#include "attention/fast.h"

#include "attention/decode.h"
#include "attention/mass_threshold.h"
#include "base/memory.h"
#include "base/profile.h"
#include "hsr/rank.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

/* The state itself is at the start of the scratch. */
static size_t lay_out(hs_fast *t, void *scratch, int group, int leaves) {
    size_t stride = ((size_t)leaves + 3) & ~(size_t)3, row = stride * sizeof(float), at = 0;
    hs_carve(scratch, &at, sizeof *t);
    t->mass = hs_carve(scratch, &at, (size_t)group * row);
    t->deviation = hs_carve(scratch, &at, (size_t)group * row);
    t->screened = hs_carve(scratch, &at, (size_t)group * row * HS_LEAF);
    t->copy = hs_carve(scratch, &at, row * HS_LEAF);
    t->slot = hs_carve(scratch, &at, stride * sizeof *t->slot);
    t->leaves = leaves;
    t->stride = (int)stride;
    return at;
}

size_t hs_attend_fast_scratch_bytes(int group, int capacity) {
    hs_fast t;
    return lay_out(&t, NULL, group, capacity / HS_LEAF);
}

static hs_fast *begin(const hs_queries *q, int leaves, void *scratch) {
    hs_fast *t = scratch;
    lay_out(t, scratch, q->group, leaves);
    t->opened = 0;
    t->queries.group = t->squares.group = q->group;
    for (int g = 0; g < q->group; g++) {
        float squares[HS_MAX_HEAD_DIM];
        for (int i = 0; i < q->head_dim; i++) squares[i] = q->rows[g][i] * q->rows[g][i];
        hs_widen(&t->queries, g, q->rows[g], q->head_dim);
        hs_widen(&t->squares, g, squares, q->head_dim);
        t->far_mass[g] = 0;
        t->error[g] = 0;
    }
    return t;
}

/* Turns logits into weights under one peak per query, and sums all estimates with the exact mass; opened leaves have no mass of their own. */
static void weigh(const hs_queries *q, hs_softmax *s, hs_fast *t) {
    for (int g = 0; g < q->group; g++) {
        float *screened = t->screened + (size_t)g * (size_t)t->stride * HS_LEAF, *mass = t->mass + g * t->stride;
        int n = t->opened * HS_LEAF;
        hs_softmax_raise(s, g, n > 0 ? fmaxf(t->peak[g], hs_max_f32(screened, n)) : t->peak[g], q->head_dim);
        float factor = expf(t->peak[g] - s->peak[g]);
        for (int j = 0; j < t->leaves; j++) mass[j] = t->slot[j] < 0 ? mass[j] * factor : 0;
        t->peak[g] = s->peak[g];
        t->total[g] = s->mass[g] + hs_sum_f32(mass, t->leaves);
        if (n > 0) t->total[g] += hs_exp_sum(screened, n, t->peak[g]);
    }
}

/* The weight from which a key of query g is reported; `exact` keys outside of leaves count among the r. */
static float report_threshold(const hs_attention_params *p, const hs_softmax *s, int g, hs_fast *t) {
    float top_p = hs_share_asked(p);
    int n = t->opened * HS_LEAF, r = p->r - t->exact;
    if (p->r == 0 && !(top_p > 0)) return (p->theta > 0 ? p->theta : HS_THETA) * t->total[g];
    if ((p->r > 0 && r <= 0) || n == 0) return INFINITY;
    memcpy(t->copy, t->screened + (size_t)g * (size_t)t->stride * HS_LEAF, (size_t)n * sizeof(float));
    if (p->r > 0) return r < n ? hs_rth_largest(t->copy, n, r) : 0;
    return hs_mass_threshold(t->copy, n, (double)(top_p * t->total[g] - s->mass[g]));
}

/* Where what is not reported is dropped, the error is the dropped share of the mass times a distance of values. */
static double dropped_error(const hs_kv *kv, int g, const hs_fast *t, const hs_softmax *s) {
    double total = (double)(t->total[g] * expf(t->peak[g] - s->peak[g])), dropped = total - (double)s->mass[g];
    return dropped > 0 ? dropped / total * (double)kv->v_norm : 0;
}

static void finish(const hs_kv *kv, const hs_attention_params *p, const hs_fast *t, int group, hs_softmax *s, hs_attention_stats *stats) {
    int d = kv->head_dim;
    for (int g = 0; g < group; g++) {
        double length = hs_length_of(s->out + g * d, d), error = sqrt(t->error[g]) * (double)(expf(t->peak[g] - s->peak[g]) / s->mass[g]);
        if (p->far_field == HS_FAR_DROPPED) error = dropped_error(kv, g, t, s);
        hs_count_error(stats, error, length > 0 ? error * (double)s->mass[g] / length : 0);
    }
    hs_softmax_finish(s, group, d);
}

/* What is not in leaves, exactly. Returns the number of leaves. */
static int attend_rest(const hs_kv *kv, const hs_queries *q, const hs_view *view, const hs_attention_params *p, hs_softmax *s, int *exact) {
    int leaves = 0;
    *exact = 0;
    for (hs_piece piece = hs_first_piece(kv, view); piece.kv; piece = hs_next_piece(&piece, view)) {
        if (piece.sealed) {
            leaves += (piece.end - piece.first) / HS_LEAF;
            continue;
        }
        hs_softmax_piece(s, q, &piece, view, p);
        *exact += hs_visible_keys(&piece, view);
    }
    return leaves;
}

static void attend_all_leaves(const hs_kv *kv, const hs_queries *q, const hs_view *view, const hs_attention_params *p, hs_softmax *s) {
    for (hs_piece piece = hs_first_piece(kv, view); piece.kv; piece = hs_next_piece(&piece, view)) {
        if (piece.sealed) hs_softmax_piece(s, q, &piece, view, p);
    }
}

/* Screening, reporting and far field, once the leaves are chosen. */
static void attend_chosen(const hs_kv *kv, const hs_queries *q, const hs_view *view, const hs_attention_params *p, hs_softmax *s, hs_fast *t, hs_attention_stats *stats) {
    for (hs_leaves l = hs_first_leaves(kv, view, t); l.kv; l = hs_next_leaves(&l, view, t)) hs_screen_leaves(q, &l, p, t);
    weigh(q, s, t);
    for (int g = 0; g < q->group; g++) {
        t->theta[g] = report_threshold(p, s, g, t);
        t->value_theta[g] = p->far_field ? (p->value_theta > 0 ? p->value_theta : HS_VALUE_THETA) * t->total[g] : INFINITY;
    }
    HS_LAP(HS_PHASE_SCREEN);
    for (hs_leaves l = hs_first_leaves(kv, view, t); l.kv; l = hs_next_leaves(&l, view, t)) hs_report_leaves(q, &l, p, s, t, stats);
    HS_LAP(HS_PHASE_REPORT);
    float exact_log[HS_MAX_GROUP] = {0};
    for (int g = 0; g < q->group; g++) exact_log[g] = s->peak[g] + logf(s->mass[g]);
    for (int g = 0; p->far_field && g < q->group; g++) s->mass[g] += t->far_mass[g] * expf(t->peak[g] - s->peak[g]);
    for (hs_leaves l = hs_first_leaves(kv, view, t); p->far_field && l.kv; l = hs_next_leaves(&l, view, t)) hs_add_far_field(q, &l, s, t);
    for (int g = 0; g < q->group; g++) stats->mass_exact += (double)expf(exact_log[g] - s->peak[g] - logf(s->mass[g]));
    stats->leaves_opened += t->opened;
    stats->keys_screened += (double)t->opened * HS_LEAF;
}

/* Logits in the hundreds may lie so far below their 4-bit estimates that no weight is left of a query. */
static int has_lost(const hs_softmax *s, int group) {
    int lost = 0;
    for (int g = 0; g < group; g++) lost |= !(s->mass[g] > 0);
    return lost;
}

/* Everything exactly, from the start: `before` and `noted` are what stats and reported keys were. */
static void attend_anew(const hs_kv *kv, const hs_queries *q, const hs_view *view, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, const hs_attention_stats *before, int noted) {
    *stats = *before;
    if (s->reported) s->reported->n = noted;
    hs_softmax_begin(s, s->out, q->group, q->head_dim, s->reported);
    hs_attend_dense(kv, q, view, p, s, stats);
    stats->dense += q->group;
}

void hs_attend_fast(const hs_kv *kv, const hs_queries *q, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, void *scratch) {
    hs_view view = hs_view_of(p, hs_kv_length(kv));
    const hs_attention_stats before = *stats;
    const int noted = s->reported ? s->reported->n : 0;
    int exact, leaves = attend_rest(kv, q, &view, p, s, &exact);
    stats->keys_visible += exact + leaves * HS_LEAF;
    stats->keys_exact += exact;
    stats->leaves_total += leaves;
    HS_LAP(HS_PHASE_EXACT);
    if (leaves == 0) {
        stats->mass_exact += q->group;
        hs_softmax_finish(s, q->group, q->head_dim);
        return;
    }
    hs_fast *t = begin(q, leaves, scratch);
    t->exact = exact;
    for (hs_leaves l = hs_first_leaves(kv, &view, t); l.kv; l = hs_next_leaves(&l, &view, t)) hs_weigh_leaves(q, &l, p, t);
    float most = (p->dense_above > 0 ? p->dense_above : HS_DENSE_ABOVE) * (float)leaves;
    int chosen = hs_choose_leaves(q, p, s, t);
    HS_LAP(HS_PHASE_LEAVES);
    if ((float)chosen > most) {
        attend_all_leaves(kv, q, &view, p, s);
        HS_LAP(HS_PHASE_EXACT);
        stats->keys_exact += leaves * HS_LEAF;
        stats->mass_exact += q->group;
        stats->dense += q->group;
        hs_softmax_finish(s, q->group, q->head_dim);
        return;
    }
    attend_chosen(kv, q, &view, p, s, t, stats);
    if (has_lost(s, q->group)) {
        attend_anew(kv, q, &view, p, s, stats, &before, noted);
        return;
    }
    finish(kv, p, t, q->group, s, stats);
    HS_LAP(HS_PHASE_FAR);
}
