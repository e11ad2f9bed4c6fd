#include "kv/fields.h"

#include <string.h>

enum { ALWAYS = 0,
       IF_Q8 = 1,
       IF_F32 = 2,
       IF_VALUES = 4 };

enum { ANY = 0,
       SEALED = 1 };

const hs_field_of hs_fields[HS_FIELDS] = {
    {offsetof(hs_kv, k_high), HS_LEAF / 2, 0, ALWAYS, ANY, HS_FIELD_PLANE},
    {offsetof(hs_kv, k_low), HS_LEAF / 2, 0, IF_Q8, ANY, HS_FIELD_PLANE},
    {offsetof(hs_kv, k_scale), 0, HS_LEAF * 2, ALWAYS, ANY, HS_FIELD_SCALES},
    {offsetof(hs_kv, place), 0, HS_LEAF * 2, ALWAYS, SEALED, HS_FIELD_PLACES},
    {offsetof(hs_kv, v), HS_LEAF, 0, IF_Q8 | IF_VALUES, ANY, HS_FIELD_CODES},
    {offsetof(hs_kv, v_scale), 0, HS_LEAF * 2, IF_Q8 | IF_VALUES, ANY, HS_FIELD_SCALES},
    {offsetof(hs_kv, k_rows), HS_LEAF * 4, 0, IF_F32, ANY, HS_FIELD_ROWS},
    {offsetof(hs_kv, v_rows), HS_LEAF * 4, 0, IF_F32 | IF_VALUES, ANY, HS_FIELD_ROWS},
    {offsetof(hs_kv, live), 0, 2, ALWAYS, ANY, HS_FIELD_LIVE},
    {offsetof(hs_kv, screen_residual), 0, 2, ALWAYS, ANY, HS_FIELD_UNITS},
    {offsetof(hs_kv, key_residual), 0, 2, IF_Q8, ANY, HS_FIELD_UNITS},
    {offsetof(hs_kv, key_norm), 0, 2, ALWAYS, ANY, HS_FIELD_UNITS},
    {offsetof(hs_kv, leaf_k), 1, 0, ALWAYS, SEALED, HS_FIELD_LEAF_CODES},
    {offsetof(hs_kv, leaf_v), 1, 0, IF_VALUES, SEALED, HS_FIELD_LEAF_CODES},
    {offsetof(hs_kv, leaf_k_scale), 0, 2, ALWAYS, SEALED, HS_FIELD_LEAF_SCALES},
    {offsetof(hs_kv, leaf_v_scale), 0, 2, IF_VALUES, SEALED, HS_FIELD_LEAF_SCALES},
    {offsetof(hs_kv, leaf_spread), 1, 0, ALWAYS, SEALED, HS_FIELD_LEAF_SPREADS},
    {offsetof(hs_kv, leaf_spread_scale), 0, 2, ALWAYS, SEALED, HS_FIELD_LEAF_SQUARES},
    {offsetof(hs_kv, leaf_lone), 0, 2, ALWAYS, SEALED, HS_FIELD_LEAF_FLAGS},
    {offsetof(hs_kv, leaf_k_radius), 0, 4, ALWAYS, SEALED, HS_FIELD_LEAF_RADII},
    {offsetof(hs_kv, leaf_v_radius), 0, 4, IF_VALUES, SEALED, HS_FIELD_LEAF_RADII},
    {offsetof(hs_kv, leaf_v_spread), 0, 4, IF_VALUES, SEALED, HS_FIELD_LEAF_RADII},
};

int hs_has_field(const hs_kv *kv, int f) {
    int has = (kv->type == HS_KV_Q8 ? IF_Q8 : IF_F32) | (kv->keys_only ? 0 : IF_VALUES);
    return (hs_fields[f].when & ~has) == 0;
}

size_t hs_field_run(const hs_kv *kv, int f) {
    return (size_t)hs_fields[f].per_dim * (size_t)kv->head_dim + (size_t)hs_fields[f].plain;
}

uint8_t *hs_field(const hs_kv *kv, int f) {
    uint8_t *data;
    memcpy((void *)&data, (const char *)kv + hs_fields[f].pointer, sizeof data);
    return data;
}
