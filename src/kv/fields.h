/* The arrays of a cache as a table, for what lays out, moves, saves and restores all of them. */
#ifndef HS_KV_FIELDS_H
#define HS_KV_FIELDS_H

#include "kv/kv.h"

/* What an array holds, per key of a run unless said; what a stored byte may be follows from it (kv/record.h). */
typedef enum {
    HS_FIELD_PLANE,        /* nibbles, in tiles of four keys */
    HS_FIELD_CODES,        /* int8[head_dim], -127..127 */
    HS_FIELD_ROWS,         /* f32[head_dim] */
    HS_FIELD_SCALES,       /* bf16 of codes */
    HS_FIELD_PLACES,       /* order of arrival inside a chunk */
    HS_FIELD_LIVE,         /* per run: a bit per key */
    HS_FIELD_UNITS,        /* per run: bf16 bound in units of a key's scale */
    HS_FIELD_LEAF_CODES,   /* per run: int8[head_dim], -127..127 */
    HS_FIELD_LEAF_SPREADS, /* per run: int8[head_dim], 0..127 */
    HS_FIELD_LEAF_SCALES,  /* per run: bf16 of codes */
    HS_FIELD_LEAF_SQUARES, /* per run: bf16 of spreads */
    HS_FIELD_LEAF_FLAGS,   /* per run: 0 or 1, u16 */
    HS_FIELD_LEAF_RADII,   /* per run: f32 */
} hs_field_kind;

enum { HS_FIELDS = 22 };

typedef struct {
    size_t pointer;     /* where in hs_kv */
    int per_dim, plain; /* bytes per run of HS_LEAF keys: a multiple of head_dim plus a constant */
    int when;           /* which caches have it */
    int sealed;         /* 1: means something for sealed keys alone */
    hs_field_kind kind;
} hs_field_of;

extern const hs_field_of hs_fields[HS_FIELDS];

/* Whether a cache has array f, 0..HS_FIELDS-1. */
int hs_has_field(const hs_kv *kv, int f);

/* Bytes per run of array f. */
size_t hs_field_run(const hs_kv *kv, int f);

/* Array f itself; NULL where the cache has none. */
uint8_t *hs_field(const hs_kv *kv, int f);

#endif
