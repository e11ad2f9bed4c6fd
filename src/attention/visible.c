#include "attention/visible.h"

#include "base/hs.h"

hs_view hs_view_of(const hs_attention_params *p, int length) {
    int end = p->end > 0 ? hs_min(p->end, length) : length;
    return (hs_view){end, p->window > 0 ? hs_max(0, end - p->window) : 0, p->sinks};
}

int hs_is_visible(const hs_kv *kv, const hs_view *view, int own_index) {
    return hs_kv_is_live(kv, own_index) && hs_sees(view, hs_kv_position(kv, own_index));
}

/* Own keys first..end-1 hold the end - first positions from hs_kv_start() on in some order. */
static int sees_all(const hs_kv *kv, const hs_view *view, int first, int end) {
    int from = hs_kv_start(kv, first), to = from + end - first;
    return to <= view->end && (from >= view->from || to <= view->sinks);
}

static int sees_some(const hs_kv *kv, const hs_view *view, int first, int end) {
    int from = hs_kv_start(kv, first), to = from + end - first;
    return from < view->end && (to > view->from || from < view->sinks);
}

/* The end of the piece that starts at own index `first`. */
static int piece_end(const hs_kv *kv, int first) {
    if (first < kv->sealed_from) return hs_min(kv->sealed_from, kv->count);
    return first < kv->sealed_to ? first + hs_kv_chunk(kv, first) : kv->count;
}

static hs_piece piece_from(const hs_kv *kv, const hs_view *view, int first) {
    for (; kv; kv = kv->parent, first = 0) {
        for (int end; first < kv->count; first = end) {
            end = piece_end(kv, first);
            int live = kv->removed > 0 ? hs_kv_count_live(kv, first, end) : end - first;
            if (live == 0 || !sees_some(kv, view, first, end)) continue;
            int whole = live == end - first && sees_all(kv, view, first, end);
            return (hs_piece){kv, first, end, whole && hs_kv_is_sealed(kv, first), !whole};
        }
    }
    return (hs_piece){0};
}

hs_piece hs_first_piece(const hs_kv *kv, const hs_view *view) {
    return piece_from(kv, view, 0);
}

hs_piece hs_next_piece(const hs_piece *piece, const hs_view *view) {
    return piece_from(piece->kv, view, piece->end);
}

static hs_leaf_run leaf_run_from(hs_piece piece, const hs_view *view) {
    while (piece.kv && !piece.sealed) piece = hs_next_piece(&piece, view);
    hs_leaf_run run = {piece.kv, piece.first / HS_LEAF, 0};
    for (; piece.kv && piece.kv == run.kv && piece.sealed && piece.first == (run.first + run.n) * HS_LEAF; piece = hs_next_piece(&piece, view)) run.n += (piece.end - piece.first) / HS_LEAF;
    return run;
}

hs_leaf_run hs_first_leaf_run(const hs_kv *kv, const hs_view *view) {
    return leaf_run_from(hs_first_piece(kv, view), view);
}

hs_leaf_run hs_next_leaf_run(const hs_leaf_run *run, const hs_view *view) {
    return leaf_run_from(piece_from(run->kv, view, (run->first + run->n) * HS_LEAF), view);
}

int hs_sees_whole(const hs_view *view, const hs_piece *piece) {
    return !piece->masked && sees_all(piece->kv, view, piece->first, piece->end);
}

int hs_visible_keys(const hs_piece *piece, const hs_view *view) {
    if (!piece->masked) return piece->end - piece->first;
    int seen = 0;
    for (int i = piece->first; i < piece->end; i++) seen += hs_is_visible(piece->kv, view, i);
    return seen;
}

int hs_count_visible(const hs_kv *kv, const hs_view *view) {
    int removed = 0, seen = 0;
    for (const hs_kv *part = kv; part; part = part->parent) removed += part->removed + (part->parent ? 0 : part->base);
    if (removed == 0) return view->end - view->from + hs_min(view->sinks, view->from);
    for (hs_piece piece = hs_first_piece(kv, view); piece.kv; piece = hs_next_piece(&piece, view)) seen += hs_visible_keys(&piece, view);
    return seen;
}
