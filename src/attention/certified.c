/*
 * hsr of strengths certified and exact: which keys to evaluate exactly. Keys are refined, i.e. their intervals narrowed, only
 * while they may matter to the choice or to the bound (certificate.c).
 */
#include "attention/certificate.h"
#include "attention/decode.h"
#include "attention/mass_threshold.h"
#include "hsr/rank.h"

#include <math.h>

/* Share of the allowed error that keys known to 4 bits may make; the rest is for refined keys without their own value. */
static const double SCREENED_PART = 0.65;
enum {
    HEAD_PART = 64,  /* one key in so many is refined at first: enough to know the mass within a few percent, */
    HEAD_LEAST = 32, /* but no fewer keys than this */
    STEP_PART = 16   /* one key in so many is refined in a later step at most */
};

static int is_unrefined(const hs_intervals *t, int slot) {
    return !t->refined[slot];
}

/* The r-th largest of value(slot) over the visible slots that `among` accepts (all when NULL), or -infinity when there are fewer. */
static float nth(const hs_intervals *t, int r, float (*value)(const hs_intervals *, int), int (*among)(const hs_intervals *, int)) {
    int n = 0;
    for (int i = 0; i < t->slots; i++) {
        if (t->logit[i] > -INFINITY && (!among || among(t, i))) t->copy[n++] = value(t, i);
    }
    return n >= r ? hs_rth_largest(t->copy, n, r) : -INFINITY;
}

static float estimate(const hs_intervals *t, int slot) {
    return t->logit[slot];
}

/* Refines the largest estimates: from then on there is a peak and a lower bound of the mass. */
static void refine_head(hs_intervals *t, int r) {
    hs_refine_screened_from(t, nth(t, hs_min(hs_max(r, 1), t->visible), estimate, NULL));
}

/*
 * Refines until the upper ends of the others sum to at most `share` of the mass: in steps, as the known mass grows and
 * spares the later ones.
 */
static hs_known_mass refine_to_share(hs_intervals *t, double share) {
    hs_known_mass m = hs_mass_of(t);
    while (m.upper > share * (m.refined + m.lower)) {
        /* hs_mass_of() left the weights of the upper ends in t->copy. */
        float least = hs_mass_threshold(t->copy, t->slots, m.upper - share * (m.refined + m.lower));
        float by_mass = least > 0 ? m.peak + logf(least) : -INFINITY, by_step = nth(t, t->slots / STEP_PART, hs_upper, is_unrefined);
        float first = nth(t, 1, hs_upper, is_unrefined); /* rounding may leave a threshold just above the key that is meant */
        hs_refine_from(t, fminf(first, fmaxf(by_step, by_mass)));
        m = hs_mass_of(t);
    }
    return m;
}

static float negative_position(const hs_intervals *t, const hs_span *span, int slot) {
    (void)t;
    return -(float)hs_kv_position(span->piece.kv, hs_span_own(span, slot));
}

/* Chooses the r largest logits, ties by position: all that may be among them are refined first. */
static void choose_largest(hs_intervals *t, int r) {
    r = hs_min(r, t->visible);
    hs_refine_from(t, nth(t, r, hs_lower, NULL));
    float least = nth(t, r, estimate, NULL);
    int above = 0, ties = 0;
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        for (int i = span.first; i < hs_span_end(&span); i++) {
            t->chosen[i] = t->refined[i] && t->logit[i] > least;
            above += t->chosen[i];
            if (t->refined[i] && t->logit[i] == least) t->copy[ties++] = negative_position(t, &span, i);
        }
    }
    float last = hs_rth_largest(t->copy, ties, r - above);
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        for (int i = span.first; i < hs_span_end(&span); i++) t->chosen[i] |= t->refined[i] && t->logit[i] == least && negative_position(t, &span, i) >= last;
    }
}

/* Chooses refined keys, largest first, until those left hold at most `rest` (relative to exp(peak)). */
static void choose_down_to(hs_intervals *t, const hs_known_mass *m, double rest) {
    hs_weigh_ends(t, 1, 0, m->peak);
    float least = rest > 0 ? hs_mass_threshold(t->copy, t->slots, m->refined - rest) : 0;
    hs_weigh_ends(t, 1, 0, m->peak);
    for (int i = 0; i < t->slots; i++) t->chosen[i] = t->refined[i] && t->logit[i] > -INFINITY && t->copy[i] >= least;
}

/* Keys outside of leaves have no mean value to act through. */
static void choose_unsealed(hs_intervals *t) {
    for (hs_span span = hs_first_span(t); span.piece.kv; span = hs_next_span(&span, t)) {
        for (int i = span.first; !span.piece.sealed && i < hs_span_end(&span); i++) t->chosen[i] = t->logit[i] > -INFINITY;
    }
}

/* Chooses more keys, and evaluates them better, until the bound is at most eps times the longest value, or the output's length. */
static double evaluate_to_eps(hs_intervals *t, const float *q, hs_softmax *s, int g) {
    double eps = (double)(t->p->eps > 0 ? t->p->eps : HS_EPS), share = eps; /* a first guess: values lie about as far from the output as they are long */
    int sharp = 0;
    refine_head(t, hs_max(HEAD_LEAST, t->visible / HEAD_PART));
    for (;;) {
        hs_known_mass m = refine_to_share(t, SCREENED_PART * share);
        choose_down_to(t, &m, (1 - SCREENED_PART) * share * (m.refined + m.lower));
        choose_unsealed(t);
        if (sharp) {
            hs_sharpen_chosen(t, q);
            m = hs_mass_of(t); /* the peak may have moved by more than exp() can make good */
        }
        double bound = hs_evaluate_chosen(t, &m, s, g), length = hs_length_of(s->out + g * t->kv->head_dim, t->kv->head_dim) / (double)s->mass[g];
        double allowed = eps * (t->p->eps_of == HS_EPS_OF_OUTPUT ? length : (double)t->kv->v_norm);
        if (bound <= allowed) return bound;
        if (!(hs_rounding_error(t, &m, (double)t->kv->v_norm + length) <= 0.25 * allowed)) {
            if (sharp) return hs_evaluate_in_f64(t, q, s, g);
            sharp = 1;
        } else {
            share *= fmax(0.1, fmin(0.8, allowed / bound));
        }
    }
}

/* The keys of the r largest logits, or the fewest that hold the share top_p; the bound tells what leaving the others costs. */
static double evaluate_set(hs_intervals *t, hs_softmax *s, int g) {
    const hs_attention_params *p = t->p;
    float top_p = hs_share_asked(p);
    hs_known_mass m;
    if (top_p > 0 && p->strength == HS_EXACT) { /* which keys are the fewest depends on every weight */
        hs_refine_from(t, -INFINITY);
        m = hs_mass_of(t);
        choose_down_to(t, &m, (double)(1 - top_p) * m.refined);
    } else if (top_p > 0) {
        refine_head(t, hs_max(HEAD_LEAST, t->visible / HEAD_PART));
        m = refine_to_share(t, SCREENED_PART * (double)(1 - top_p));
        choose_down_to(t, &m, (1 - SCREENED_PART) * (double)(1 - top_p) * (m.refined + m.lower));
    } else {
        int r = p->r > 0 ? p->r : hs_paper_r(t->visible);
        refine_head(t, r);
        choose_largest(t, r);
        m = hs_mass_of(t);
    }
    return hs_evaluate_chosen(t, &m, s, g);
}

static void note_chosen(const hs_intervals *t, hs_softmax *s, int group, int g) {
    for (hs_span span = hs_first_span(t); s->reported && span.piece.kv; span = hs_next_span(&span, t)) {
        for (int i = span.first; i < hs_span_end(&span); i++) {
            if (!t->chosen[i]) continue;
            int own = hs_span_own(&span, i);
            float logits[HS_MAX_GROUP];
            for (int other = 0; other < group; other++) logits[other] = other == g ? t->logit[i] : -INFINITY;
            hs_note_reported(s->reported, span.piece.kv, &own, 1, group, logits, 1);
        }
    }
}

static void count(const hs_intervals *t, const hs_known_mass *m, double bound, const hs_softmax *s, int g, hs_attention_stats *stats) {
    double chosen = 0, mass = 0, length = hs_length_of(s->out + g * t->kv->head_dim, t->kv->head_dim);
    hs_weigh_ends(t, 1, 0, m->peak);
    for (int i = 0; i < t->slots; i++) {
        chosen += t->chosen[i];
        mass += t->chosen[i] ? (double)t->copy[i] : 0;
    }
    stats->keys_visible += t->visible;
    stats->keys_screened += t->screened_keys;
    stats->keys_refined += t->refined_keys;
    stats->keys_exact += chosen;
    stats->mass_exact += mass / (m->refined + 0.5 * (m->lower + m->upper));
    hs_count_error(stats, bound, length > 0 ? bound * (double)s->mass[g] / length : 0);
}

void hs_attend_certified(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, void *scratch) {
    int to_eps = p->strength == HS_CERTIFIED && p->r == 0 && !(p->top_p > 0);
    for (int g = 0; g < group; g++, q += kv->head_dim) {
        hs_intervals *t = hs_intervals_begin(kv, q, p, scratch);
        if (t->visible == 0) continue;
        double bound = to_eps ? evaluate_to_eps(t, q, s, g) : evaluate_set(t, s, g);
        hs_known_mass m = hs_mass_of(t);
        count(t, &m, bound, s, g, stats);
        note_chosen(t, s, group, g);
    }
    hs_softmax_finish(s, group, kv->head_dim);
}

size_t hs_attend_certified_scratch_bytes(int capacity) {
    return hs_intervals_scratch_bytes(capacity);
}
