/*
 * Softmax attention of the query heads that share a KV head, over one cache and its parents.
 *
 * dense: every key, exactly (as stored). hsr: the half-space reporting form of arXiv 2410.10165 with a far field:
 *   1. the sink and the window are exact;
 *   2. a leaf is opened when its estimated share of the softmax mass reaches leaf_theta, the estimate being its centroid's
 *      logit raised by 1.5 deviations;
 *   3. the keys of opened leaves are screened at 4 bits; a key is reported, i.e. evaluated exactly, when its estimated
 *      share reaches theta (a half-space <q,k> >= b with b = log-sum-exp + ln theta, so at most 1/theta keys per query);
 *   4. what is not reported is not dropped: a key whose estimated share reaches value_theta gives its own value its
 *      estimated weight; of the others of a leaf the sum of the estimated weights, or for a closed leaf
 *      count * exp(centroid logit + variance / 2), goes to their mean value.
 */
#ifndef HS_ATTENTION_ATTENTION_H
#define HS_ATTENTION_ATTENTION_H

#include "kv/kv.h"

typedef enum { HS_ATTENTION_DENSE = 0,
               HS_ATTENTION_HSR = 1 } hs_attention_mode;

typedef struct {
    int mode;          /* hs_attention_mode */
    float theta;       /* 0: HS_THETA */
    float leaf_theta;  /* 0: HS_LEAF_THETA */
    float value_theta; /* 0: HS_VALUE_THETA */
    int far_field;     /* 0: drop what is not reported */
    int dense_below;   /* contexts shorter than this are dense; 0: HS_DENSE_BELOW */
    int window;        /* sliding window in keys, 0: none */
    float scale;       /* logit = scale * <q,k> */
    float softcap;     /* logit = softcap * tanh(logit / softcap); 0: none */
} hs_attention_params;

#define HS_THETA 1e-3f
#define HS_LEAF_THETA 1e-3f
#define HS_VALUE_THETA 1e-4f
enum { HS_DENSE_BELOW = 1024 };

/* Sums over calls; a key counts once per KV head, however many queries share it. */
typedef struct {
    double keys_visible, keys_screened, keys_exact, leaves_total, leaves_opened;
    double mass_exact; /* sum over queries of the share of softmax mass that was evaluated exactly */
    double queries;
    double keys_valued; /* keys of estimated weight and own value */
} hs_attention_stats;

/* Bytes of scratch for caches of up to `capacity` keys (parents included) and blocks of up to max_block queries. */
size_t hs_attention_scratch_bytes(int head_dim, int group, int capacity, int max_block);

/* One token whose key is the newest in kv. q, out: [group][head_dim]. */
void hs_attend_decode(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, void *scratch);

/*
 * n queries per head whose keys are the last n of kv, unsealed; query i sees the keys up to its own. Head h of query i is
 * at q + i*q_stride + h*head_dim, its output at out + i*out_stride + h*head_dim. Always exact.
 */
void hs_attend_block(const hs_kv *kv, const float *q, int q_stride, int n, int group, const hs_attention_params *p, float *out, int out_stride, hs_attention_stats *stats, void *scratch);

#endif
