/*
 * Spans of a cache as bytes, and back bit by bit: the chunk records of snapshots (web/snapshot/FORMAT.md).
 *
 * A span is the sink, one sealed chunk, or up to HS_RECORD_UNSEALED other unsealed keys, from a multiple of HS_LEAF on. Its
 * bytes are those of the cache's arrays (kv/fields.h, in that order) for its runs of HS_LEAF keys, little endian, each array
 * from a multiple of HS_ALIGN on with zeros between; of unsealed keys without what only sealed ones have, and zeros where the
 * last run has no key.
 *
 * What is read is not trusted: a span whose places are not a permutation, or which has a number that no cache holds
 * (NaN, infinite, negative where that cannot be, or beyond what the largest coordinates give), is refused before a byte of the
 * cache is changed. Attention over what was accepted stays inside the cache's arrays; whether the numbers are those of the
 * text is for checksums to tell.
 */
#ifndef HS_KV_RECORD_H
#define HS_KV_RECORD_H

#include "kv/kv.h"

enum { HS_RECORD_UNSEALED = 1024 }; /* unsealed keys in one record */

/* No length or distance of keys or values in a cache is more (HS_COORDINATE_LIMIT). */
#define HS_RADIUS_MOST 0x1p60f

typedef struct {
    int sealed; /* a chunk */
    int first;  /* own index */
    int keys;
} hs_span_of_keys;

/* Bytes of a record of `keys` keys; sealed: of a chunk. */
size_t hs_record_bytes(const hs_kv *kv, int sealed, int keys);

/* Writes a span to out, hs_record_bytes(). HS_ERR_ARGUMENT, which names what is wrong, where the cache does not hold the span or the span is not one. */
int hs_record_write(const hs_kv *kv, const hs_span_of_keys *span, uint8_t *out);

/*
 * Stores a span in its place, below kv->capacity; what the cache holds is for hs_kv_lay_out() to say. whole: a removed key is
 * refused. `in` starts at a multiple of HS_ALIGN and has hs_record_bytes(). HS_ERR_ARGUMENT: refused, nothing is changed.
 */
int hs_record_read(hs_kv *kv, const hs_span_of_keys *span, int whole, const uint8_t *in);

/*
 * Says what a cache holds whose spans were, or will be, read: `sealed` keys in chunks after the sink (from the first on after
 * a parent's keys), `count` of its own in all, none of them removed. It must not be asked anything before all are there.
 * HS_ERR_ARGUMENT: no cache has these numbers.
 */
int hs_kv_lay_out(hs_kv *kv, int sealed, int count);

#endif
