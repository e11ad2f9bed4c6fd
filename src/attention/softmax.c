#include "attention/softmax.h"

#include "kernels/attention.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

void hs_softmax_begin(hs_softmax *s, float *out, int group, int head_dim, hs_reported *reported) {
    s->out = out;
    s->reported = reported;
    memset(out, 0, (size_t)group * (size_t)head_dim * sizeof(float));
    for (int g = 0; g < group; g++) {
        s->peak[g] = -INFINITY;
        s->mass[g] = 0;
    }
}

void hs_raise_peak(float higher, float *peak, float *mass, float *out, int head_dim) {
    if (!(higher > *peak)) return;
    float factor = *mass > 0 ? expf(*peak - higher) : 0;
    *peak = higher;
    *mass *= factor;
    for (int i = 0; i < head_dim; i++) out[i] *= factor;
}

void hs_exact_logits(const hs_queries *q, const hs_kv *kv, int first, int n, const hs_attention_params *p, float *out, int out_stride) {
    size_t d = (size_t)kv->head_dim;
    if (kv->type == HS_KV_F32) {
        hs_logits_rows_f32(q, kv->k_rows + (size_t)first * d, n, out, out_stride);
    } else {
        size_t at = (size_t)(first / 4) * 2 * d;
        hs_logits_q8(q, kv->k_high + at, kv->k_low + at, kv->k_scale + first, (n + 3) / 4, out, out_stride);
    }
    if (p->softcap > 0) {
        for (int g = 0; g < q->group; g++) hs_softcap(out + g * out_stride, (n + 3) & ~3, p->softcap);
    }
}

void hs_add_values(const hs_kv *kv, float *w, int w_stride, int first, const int *index, int n, int group, float *out) {
    size_t at = (size_t)first * (size_t)kv->head_dim;
    if (kv->type == HS_KV_F32)
        hs_accumulate_f32(w, w_stride, kv->v_rows + at, index, n, group, kv->head_dim, out);
    else
        hs_accumulate_i8(w, w_stride, kv->v + at, kv->v_scale + first, index, n, group, kv->head_dim, out);
}

void hs_note_reported(hs_reported *reported, const hs_kv *kv, const int *own_index, int n, int group, const float *logits, int stride) {
    for (int j = 0; reported && j < n; j++, reported->n++) {
        if (reported->n >= reported->room) continue;
        reported->positions[reported->n] = hs_kv_position(kv, own_index[j]);
        for (int g = 0; reported->shares && g < group; g++) reported->shares[reported->n * group + g] = logits[g * stride + j];
    }
}

/* Logits of a run become -infinity where the view does not see the key. */
static void mask_run(const hs_piece *piece, const hs_view *view, int start, int n, int group, float *logits) {
    for (int j = 0; j < n; j++) {
        int seen = hs_is_visible(piece->kv, view, start + j);
        for (int g = 0; !seen && g < group; g++) logits[g * HS_RUN + j] = -INFINITY;
    }
}

static void note_run(hs_softmax *s, const hs_piece *piece, const hs_view *view, int start, int n, int group) {
    for (int j = 0; s->reported && j < n; j++) {
        int i = start + j;
        if (!piece->masked || hs_is_visible(piece->kv, view, i)) hs_note_reported(s->reported, piece->kv, &i, 1, group, s->logits + j, HS_RUN);
    }
}

void hs_softmax_piece(hs_softmax *s, const hs_queries *q, const hs_piece *piece, const hs_view *view, const hs_attention_params *p) {
    int d = q->head_dim, group = q->group;
    for (int start = piece->first; start < piece->end; start += HS_RUN) {
        int n = hs_min(HS_RUN, piece->end - start);
        hs_exact_logits(q, piece->kv, start, n, p, s->logits, HS_RUN);
        if (piece->masked) mask_run(piece, view, start, n, group, s->logits);
        note_run(s, piece, view, start, n, group);
        for (int g = 0; g < group; g++) {
            float *logits = s->logits + g * HS_RUN;
            hs_softmax_raise(s, g, hs_max_f32(logits, n), d);
            /* Nothing seen so far: any finite shift gives weights of zero. */
            s->mass[g] += hs_exp_sum(logits, n, s->peak[g] == -INFINITY ? 0 : s->peak[g]);
        }
        hs_add_values(piece->kv, s->logits, HS_RUN, start, NULL, n, group, s->out);
    }
}

void hs_softmax_finish(hs_softmax *s, int group, int head_dim) {
    for (int g = 0; g < group; g++) {
        float inverse = s->mass[g] > 0 ? 1 / s->mass[g] : 0;
        for (int i = 0; i < head_dim; i++) s->out[g * head_dim + i] *= inverse;
        if (!s->reported || !s->reported->shares) continue;
        for (int j = 0; j < hs_min(s->reported->n, s->reported->room); j++) s->reported->shares[j * group + g] = expf(s->reported->shares[j * group + g] - s->peak[g]) * inverse;
    }
}

void hs_attend_dense(const hs_kv *kv, const hs_queries *q, const hs_view *view, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats) {
    int seen = hs_count_visible(kv, view);
    for (hs_piece piece = hs_first_piece(kv, view); piece.kv; piece = hs_next_piece(&piece, view)) hs_softmax_piece(s, q, &piece, view, p);
    stats->keys_visible += seen;
    stats->keys_exact += seen;
    stats->mass_exact += q->group;
    hs_softmax_finish(s, q->group, q->head_dim);
}

double hs_length_of(const float *x, int d) {
    double square = 0;
    for (int i = 0; i < d; i++) square += (double)x[i] * (double)x[i];
    return sqrt(square);
}
