/* Which numbers keys, values and queries may be made of: finite ones, of which no product overflows. */
#ifndef HS_KV_COORDINATES_H
#define HS_KV_COORDINATES_H

/* Beyond this magnitude an inner product of head_dim 256 could overflow. */
#define HS_COORDINATE_LIMIT 1e15f

/*
 * Of n rows of d coordinates, `stride` floats apart, the first coordinate that is NaN or, times `factor`, beyond
 * HS_COORDINATE_LIMIT; NULL: there is none.
 */
const float *hs_find_beyond(const float *rows, int stride, int n, int d, float factor);

/* HS_ERR_ARGUMENT where n rows of d coordinates have one, times `factor`; `what` names it. */
int hs_check_rows(const char *what, const float *rows, int stride, int n, int d, float factor);

#endif
