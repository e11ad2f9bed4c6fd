#include "kv/record.h"

#include "base/error.h"
#include "base/hs.h"
#include "kernels/planes.h"
#include "kv/coordinates.h"
#include "kv/fields.h"
#include "kv/store.h"

#include <string.h>

/*
 * Limits of stored numbers. Coordinates of 1e15 (HS_COORDINATE_LIMIT) give rotated ones of 1.6e16 at head_dim 256, scales of
 * 1.3e14, distances below 2^60, and variances of 1e33; norms in units of a scale are at most 128 * sqrt(256).
 */
enum { BF16_ONE = 127 << 7,
       SCALE_MOST = BF16_ONE + (48 << 7),
       SQUARE_MOST = BF16_ONE + (104 << 7),
       UNITS_MOST = BF16_ONE + (12 << 7) };

static int has_part(const hs_kv *kv, int f, int sealed) {
    return hs_has_field(kv, f) && (sealed || !hs_fields[f].sealed);
}

static size_t part_bytes(const hs_kv *kv, int f, int keys) {
    return (size_t)hs_kv_runs(keys) * hs_field_run(kv, f);
}

size_t hs_record_bytes(const hs_kv *kv, int sealed, int keys) {
    size_t bytes = 0;
    for (int f = 0; f < HS_FIELDS; f++) bytes += has_part(kv, f, sealed) ? hs_align_up(part_bytes(kv, f, keys)) : 0;
    return bytes;
}

/* A chunk may only lie where the sizes before it put one of its size (kv/kv.h). */
static int is_chunk(const hs_kv *kv, const hs_span_of_keys *span) {
    return hs_is_chunk_size(span->keys, kv->max_chunk) && span->first >= kv->sealed_from && (span->first - kv->sealed_from) % span->keys == 0;
}

static int check_span(const hs_kv *kv, const hs_span_of_keys *span, int end) {
    if (span->first < 0 || span->first % HS_LEAF != 0) return hs_error_set(HS_ERR_ARGUMENT, "first key of a record", span->first, end);
    if (span->keys < 1 || span->keys > end - span->first) return hs_error_set(HS_ERR_ARGUMENT, "keys of a record", span->keys, (double)end - span->first);
    if (span->sealed ? !is_chunk(kv, span) : span->keys > HS_RECORD_UNSEALED) return hs_error_set(HS_ERR_ARGUMENT, "keys of a record, where no such chunk may lie", span->keys, span->sealed ? kv->max_chunk : HS_RECORD_UNSEALED);
    return HS_OK;
}

static void clear_plane(uint8_t *plane, int d, int key) {
    for (int dim = 0; dim < d; dim += 8) memset(plane + hs_plane_at(d, key, dim), 0, 4);
}

/* Slots keys..end-1 hold no key: zeros, whatever the cache's memory had there. */
static void clear_slots(const hs_kv *kv, int f, int keys, uint8_t *part) {
    size_t row = hs_field_run(kv, f) / HS_LEAF, bytes = part_bytes(kv, f, keys);
    uint16_t live;
    switch (hs_fields[f].kind) {
    case HS_FIELD_PLANE:
        for (int i = keys; i < hs_kv_runs(keys) * HS_LEAF; i++) clear_plane(part, kv->head_dim, i);
        break;
    case HS_FIELD_CODES:
    case HS_FIELD_ROWS:
    case HS_FIELD_SCALES:
        memset(part + (size_t)keys * row, 0, bytes - (size_t)keys * row);
        break;
    case HS_FIELD_LIVE:
        memcpy(&live, part + bytes - sizeof live, sizeof live);
        live = (uint16_t)(live & ((1u << keys % HS_LEAF) - 1));
        memcpy(part + bytes - sizeof live, &live, sizeof live);
        break;
    default: /* bounds of a run hold for it whole */
        break;
    }
}

int hs_record_write(const hs_kv *kv, const hs_span_of_keys *span, uint8_t *out) {
    int status = check_span(kv, span, kv->count), end = span->first + span->keys;
    if (status != HS_OK) return status;
    int inside = hs_kv_is_sealed(kv, span->first);
    if (inside != span->sealed || (inside && hs_kv_chunk(kv, span->first) != span->keys)) return hs_error_set(HS_ERR_ARGUMENT, "keys of a record, which the cache holds otherwise", span->keys, inside ? hs_kv_chunk(kv, span->first) : kv->count);
    if (span->keys % HS_LEAF != 0 && end != kv->count) return hs_error_set(HS_ERR_ARGUMENT, "end of a record inside a run", end, kv->count);
    for (int f = 0; f < HS_FIELDS; f++) {
        if (!has_part(kv, f, span->sealed)) continue;
        size_t bytes = part_bytes(kv, f, span->keys), room = hs_align_up(bytes);
        memcpy(out, hs_field(kv, f) + (size_t)(span->first / HS_LEAF) * hs_field_run(kv, f), bytes);
        if (span->keys % HS_LEAF != 0) clear_slots(kv, f, span->keys, out);
        memset(out + bytes, 0, room - bytes);
        out += room;
    }
    return HS_OK;
}

static int check_codes(const int8_t *codes, size_t n, int least) {
    int below = 0;
    for (size_t i = 0; i < n; i++) below |= codes[i] < least;
    return below ? hs_error_set(HS_ERR_ARGUMENT, "code in a record below its least value", least - 1, least) : HS_OK;
}

/* Positive numbers of bf16 are in the order of their bits. */
static int check_bf16(const uint16_t *numbers, size_t n, int most) {
    uint16_t largest = 0;
    for (size_t i = 0; i < n; i++) largest = numbers[i] > largest ? numbers[i] : largest;
    return largest > most ? hs_error_set(HS_ERR_ARGUMENT, "bits of a bf16 number in a record", largest, most) : HS_OK;
}

static int check_f32(const float *numbers, size_t n, float least, float most) {
    for (size_t i = 0; i < n; i++) {
        if (!(numbers[i] >= least && numbers[i] <= most)) return hs_error_set(HS_ERR_ARGUMENT, "number in a record", (double)numbers[i], (double)most);
    }
    return HS_OK;
}

static int check_flags(const uint16_t *flags, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (flags[i] > 1) return hs_error_set(HS_ERR_ARGUMENT, "flag in a record", flags[i], 1);
    }
    return HS_OK;
}

/* Each of 0..n-1 once: whoever looks for a key's place finds it. */
static int check_places(const uint16_t *places, int n) {
    uint8_t seen[HS_CHUNK_MAX / 8] = {0};
    for (int i = 0; i < n; i++) {
        int bit = 1 << places[i] % 8;
        if (places[i] >= n || (seen[places[i] / 8] & bit)) return hs_error_set(HS_ERR_ARGUMENT, "place in a record, twice or", places[i], n - 1);
        seen[places[i] / 8] = (uint8_t)(seen[places[i] / 8] | bit);
    }
    return HS_OK;
}

static int check_live(const uint16_t *live, int keys, int whole) {
    for (int left = keys; left > 0; left -= HS_LEAF, live++) {
        unsigned all = (1u << hs_min(HS_LEAF, left)) - 1;
        if ((*live & ~all) || (whole && *live != all)) return hs_error_set(HS_ERR_ARGUMENT, "bits of the keys of a run in a record", *live, all);
    }
    return HS_OK;
}

static int check_part(const hs_kv *kv, int f, int keys, int whole, const uint8_t *part) {
    size_t bytes = part_bytes(kv, f, keys);
    const uint16_t *words = (const uint16_t *)(const void *)part;
    const float *floats = (const float *)(const void *)part;
    switch (hs_fields[f].kind) {
    case HS_FIELD_CODES:
    case HS_FIELD_LEAF_CODES: return check_codes((const int8_t *)part, bytes, -127);
    case HS_FIELD_LEAF_SPREADS: return check_codes((const int8_t *)part, bytes, 0);
    case HS_FIELD_ROWS: return check_f32(floats, bytes / 4, -HS_COORDINATE_LIMIT, HS_COORDINATE_LIMIT);
    case HS_FIELD_LEAF_RADII: return check_f32(floats, bytes / 4, 0, HS_RADIUS_MOST);
    case HS_FIELD_SCALES:
    case HS_FIELD_LEAF_SCALES: return check_bf16(words, bytes / 2, SCALE_MOST);
    case HS_FIELD_LEAF_SQUARES: return check_bf16(words, bytes / 2, SQUARE_MOST);
    case HS_FIELD_UNITS: return check_bf16(words, bytes / 2, UNITS_MOST);
    case HS_FIELD_LEAF_FLAGS: return check_flags(words, bytes / 2);
    case HS_FIELD_PLACES: return check_places(words, keys);
    case HS_FIELD_LIVE: return check_live(words, keys, whole);
    default: return HS_OK; /* HS_FIELD_PLANE: any nibble will do */
    }
}

int hs_record_read(hs_kv *kv, const hs_span_of_keys *span, int whole, const uint8_t *in) {
    int status = check_span(kv, span, kv->capacity);
    const uint8_t *part = in;
    for (int f = 0; f < HS_FIELDS && status == HS_OK; f++) {
        if (!has_part(kv, f, span->sealed)) continue;
        status = check_part(kv, f, span->keys, whole, part);
        part += hs_align_up(part_bytes(kv, f, span->keys));
    }
    if (status != HS_OK) return status;
    part = in;
    for (int f = 0; f < HS_FIELDS; f++) {
        if (!has_part(kv, f, span->sealed)) continue;
        memcpy(hs_field(kv, f) + (size_t)(span->first / HS_LEAF) * hs_field_run(kv, f), part, part_bytes(kv, f, span->keys));
        part += hs_align_up(part_bytes(kv, f, span->keys));
    }
    return HS_OK;
}

int hs_kv_lay_out(hs_kv *kv, int sealed, int count) {
    if (count < 0 || count > kv->capacity) return hs_error_set(HS_ERR_ARGUMENT, "keys of a restored cache", count, kv->capacity);
    if (sealed < 0 || sealed % HS_CHUNK != 0 || (sealed > 0 && sealed > count - kv->sealed_from)) return hs_error_set(HS_ERR_ARGUMENT, "sealed keys of a restored cache", sealed, (double)count - kv->sealed_from);
    kv->count = count;
    kv->sealed_to = kv->sealed_from + sealed;
    kv->removed = 0;
    return HS_OK;
}
