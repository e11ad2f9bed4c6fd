#include "attention/softmax.h"

#include "kernels/vector.h"

#include <math.h>
#include <string.h>

void hs_softmax_begin(hs_softmax *s, float *out, int group, int head_dim) {
    s->out = out;
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

void hs_softmax_keys(hs_softmax *s, const hs_queries *q, const hs_kv *kv, int first, int end, const hs_attention_params *p) {
    int d = kv->head_dim, group = q->group;
    for (int start = first & ~3; start < end; start += HS_RUN) {
        int n = hs_min(HS_RUN, end - start);
        hs_exact_logits(q, kv, start, n, p, s->logits, HS_RUN);
        for (int g = 0; g < group; g++) {
            float *logits = s->logits + g * HS_RUN;
            for (int j = start; j < first; j++) logits[j - start] = -INFINITY;
            hs_softmax_raise(s, g, hs_max_f32(logits, n), d);
            s->mass[g] += hs_exp_sum(logits, n, s->peak[g]);
        }
        size_t at = (size_t)start * (size_t)d;
        if (kv->type == HS_KV_F32)
            hs_accumulate_f32(s->logits, HS_RUN, kv->v_rows + at, NULL, n, group, d, s->out);
        else
            hs_accumulate_i8(s->logits, HS_RUN, kv->v + at, kv->v_scale + start, NULL, n, group, d, s->out);
    }
}

void hs_softmax_finish(hs_softmax *s, int group, int head_dim) {
    for (int g = 0; g < group; g++) {
        for (int i = 0; i < head_dim; i++) s->out[g * head_dim + i] /= s->mass[g];
    }
}
