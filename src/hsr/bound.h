/*
 * How far the cheap forms of an inner product may be from <row, stored key>: what makes reporting exact and certificates
 * hold. Cauchy-Schwarz on what rounding took from the key (its residual) and from the query.
 */
#ifndef HS_HSR_BOUND_H
#define HS_HSR_BOUND_H

#include "base/f16.h"
#include "kernels/queries.h"
#include "kv/kv.h"

/* Products of magnitude below the normal floats are rounded to a fixed grid instead of relatively. */
#define HS_PRODUCT_GRAIN 1e-37f

/*
 * Keys of run `run` (HS_LEAF keys from own index run * HS_LEAF on), per unit of their scale: hs_screen() of queries whose
 * screen_variance was set to 0 is within this times the key's scale, plus HS_PRODUCT_GRAIN, of the product.
 */
static inline float hs_screen_radius(const hs_queries *q, int g, const hs_kv *kv, int run) {
    return q->norm[g] * hs_bf16_to_f32(kv->screen_residual[run]) + q->screen_error[g] * hs_bf16_to_f32(kv->key_norm[run]);
}

/* The same for the int8 form (hs_logits_q8()) of Q8 keys, and for hs_logits_rows_f32() of F32 keys. */
static inline float hs_exact_radius(const hs_queries *q, int g, const hs_kv *kv, int run) {
    return (kv->type == HS_KV_Q8 ? q->q8_error[g] : q->f32_error[g]) * hs_bf16_to_f32(kv->key_norm[run]);
}

#endif
