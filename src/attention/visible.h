/* Which stored keys a query sees, as pieces of a cache: the unsealed sink and window, and each sealed chunk. */
#ifndef HS_ATTENTION_VISIBLE_H
#define HS_ATTENTION_VISIBLE_H

#include "attention/attention.h"

/* Own keys first..end-1 of `kv`. */
typedef struct {
    const hs_kv *kv;
    int first, end;
    int sealed; /* a chunk, all of whose keys are seen: its leaf summaries hold */
    int masked; /* some of its keys are not seen: test each with hs_is_visible() */
} hs_piece;

/* The first piece of kv and its parents that the query sees part of; kv is NULL in the piece after the last one. */
hs_piece hs_first_piece(const hs_kv *kv, const hs_attention_params *p);
hs_piece hs_next_piece(const hs_piece *piece, const hs_attention_params *p);

/* The same without pieces that are sealed: what is always evaluated exactly. */
hs_piece hs_first_unsealed(const hs_kv *kv, const hs_attention_params *p);
hs_piece hs_next_unsealed(const hs_piece *piece, const hs_attention_params *p);

/* Not removed, and inside p's causal limit and window. */
int hs_is_visible(const hs_kv *kv, const hs_attention_params *p, int own_index);

/* Keys of the piece that are seen. */
int hs_visible_keys(const hs_piece *piece, const hs_attention_params *p);

#endif
