/* Queries as the kernels of kernels/attention.h want them. */
#ifndef HS_KERNELS_QUERIES_H
#define HS_KERNELS_QUERIES_H

#include "base/hs.h"

#include <stdint.h>

/* The queries of a KV head, prepared once for all keys. Scales include the attention scale. */
typedef struct {
    int group, head_dim;
    float rows[HS_MAX_GROUP][HS_MAX_HEAD_DIM];   /* q * attention scale */
    int16_t wide[HS_MAX_GROUP][HS_MAX_HEAD_DIM]; /* round(R rows / wide_scale) (kernels/rotate.h), |.| <= 32767; each four dims as 0, 2, 1, 3 */
    float wide_scale[HS_MAX_GROUP];
    int32_t wide_offset[HS_MAX_GROUP];                  /* -128 * sum of wide: keys are stored as u = value + 128 */
    int8_t narrow[HS_MAX_GROUP][HS_MAX_HEAD_DIM];       /* round(R rows / narrow_scale), |.| <= 127, in order (relaxed SIMD) */
    int16_t narrow_wide[HS_MAX_GROUP][HS_MAX_HEAD_DIM]; /* the same as int16, each four dims as 0, 2, 1, 3 (SIMD128) */
    float screen_scale[HS_MAX_GROUP];                   /* 16 * narrow_scale: the weight of a high nibble */
    float screen_offset[HS_MAX_GROUP];                  /* narrow_scale * sum(narrow) * (7.5 - 128): low nibbles at their middle, and the offset of u */
    float screen_variance[HS_MAX_GROUP];                /* half the variance of <q, missing low nibbles> per squared key scale */
    /* How far products may be from <row, key> (hsr/bound.h), rounded up. */
    float norm[HS_MAX_GROUP];         /* |row|: error per unit of the key's distance from its screened form */
    float screen_error[HS_MAX_GROUP]; /* per unit of |screened form|, hs_screen() without its bias: the query was rounded to 8 bits */
    float q8_error[HS_MAX_GROUP];     /* per unit of |key|, hs_logits_q8(): the query was rounded to 16 bits */
    float f32_error[HS_MAX_GROUP];    /* the same, hs_logits_rows_f32(): summation in f32 */
} hs_queries;

/* Prepares `group` rows of head_dim floats. scale: the attention scale, which they are multiplied with. */
void hs_queries_prepare(hs_queries *q, const float *rows, int group, int head_dim, float scale);

/*
 * Rows to multiply int8 rows with by integer dots: wide = round(row / scale), |.| <= 32767, so that products are off by at
 * most |int8 row|_1 * scale / 2. For leaf centroids and spreads, which are estimates themselves.
 */
typedef struct {
    int group; /* for the caller to set */
    int head_dim;
    int16_t wide[HS_MAX_GROUP][HS_MAX_HEAD_DIM];
    float scale[HS_MAX_GROUP];
} hs_wide_rows;

/* Makes row [head_dim] the wide row g. */
void hs_widen(hs_wide_rows *w, int g, const float *row, int head_dim);

#endif
