/* Which stored keys a query sees, as pieces of a cache: the unsealed sink and window, and each sealed chunk. */
#ifndef HS_ATTENTION_VISIBLE_H
#define HS_ATTENTION_VISIBLE_H

#include "attention/attention.h"

/* What a query sees, in positions: below `end`, from `from` on or below `sinks`. */
typedef struct {
    int end, from, sinks;
} hs_view;

/* p's view of a cache that holds `length` keys. */
hs_view hs_view_of(const hs_attention_params *p, int length);

/* Whether the view has a position. */
static inline int hs_sees(const hs_view *view, int position) {
    return position < view->end && (position >= view->from || position < view->sinks);
}

/* Own keys first..end-1 of `kv`. */
typedef struct {
    const hs_kv *kv;
    int first, end;
    int sealed; /* a chunk, all of whose keys are seen: its leaf summaries hold */
    int masked; /* some of its keys are not seen: test each with hs_is_visible() */
} hs_piece;

/* The first piece of kv and its parents of which the view has a part; kv is NULL in the piece after the last one. */
hs_piece hs_first_piece(const hs_kv *kv, const hs_view *view);
hs_piece hs_next_piece(const hs_piece *piece, const hs_view *view);

/* Leaves first..first+n-1 of one cache: sealed pieces that follow one another. kv is NULL after the last run. */
typedef struct {
    const hs_kv *kv;
    int first, n;
} hs_leaf_run;

/* The first run that the view has a part of, and the one after another. */
hs_leaf_run hs_first_leaf_run(const hs_kv *kv, const hs_view *view);
hs_leaf_run hs_next_leaf_run(const hs_leaf_run *run, const hs_view *view);

/* Not removed, and inside the view. */
int hs_is_visible(const hs_kv *kv, const hs_view *view, int own_index);

/* Every key of the piece is in this view too. */
int hs_sees_whole(const hs_view *view, const hs_piece *piece);

/* Keys of the piece that are seen, and of kv and its parents. */
int hs_visible_keys(const hs_piece *piece, const hs_view *view);
int hs_count_visible(const hs_kv *kv, const hs_view *view);

#endif
