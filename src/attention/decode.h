/* One query per head: what hs_attend_decode() chooses from, beside dense attention. */
#ifndef HS_ATTENTION_DECODE_H
#define HS_ATTENTION_DECODE_H

#include "attention/softmax.h"

/* The strengths of hsr (fast.c, certified.c). They leave s finished. */
void hs_attend_fast(const hs_kv *kv, const hs_queries *q, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, void *scratch);
void hs_attend_certified(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, hs_softmax *s, hs_attention_stats *stats, void *scratch);

/* ReLU^alpha (relu.c). out [group][head_dim]. */
void hs_attend_relu(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch);

/* Scratch of each, and of hs_attend_decode() whatever it chooses; capacity: keys that are seen, of the parents too. */
size_t hs_attend_fast_scratch_bytes(int group, int capacity);
size_t hs_attend_certified_scratch_bytes(int capacity);
size_t hs_attend_relu_scratch_bytes(int capacity);
size_t hs_attend_decode_scratch_bytes(int group, int capacity);

#endif
