#include "attention/visible.h"

#include "base/hs.h"

static int sees(const hs_attention_params *p, int position) {
    if (p->end > 0 && position >= p->end) return 0;
    return p->window == 0 || position >= p->end - p->window || position < p->sinks;
}

int hs_is_visible(const hs_kv *kv, const hs_attention_params *p, int own_index) {
    return hs_kv_is_live(kv, own_index) && sees(p, hs_kv_position(kv, own_index));
}

/* Own keys first..end-1 hold the end - first positions from hs_kv_start() on in some order. */
static int sees_all(const hs_kv *kv, const hs_attention_params *p, int first, int end) {
    int from = hs_kv_start(kv, first), to = from + end - first;
    if (p->end > 0 && to > p->end) return 0;
    return p->window == 0 || from >= p->end - p->window || to <= p->sinks;
}

static int sees_some(const hs_kv *kv, const hs_attention_params *p, int first, int end) {
    int from = hs_kv_start(kv, first), to = from + end - first;
    if (p->end > 0 && from >= p->end) return 0;
    return p->window == 0 || to > p->end - p->window || from < p->sinks;
}

static int live_keys(const hs_kv *kv, int first, int end) {
    int live = 0;
    for (int i = first; i < end; i++) live += hs_kv_is_live(kv, i);
    return live;
}

/* The end of the piece that starts at own index `first`. */
static int piece_end(const hs_kv *kv, int first) {
    if (first < kv->sealed_from) return hs_min(kv->sealed_from, kv->count);
    return first < kv->sealed_to ? first + hs_kv_chunk(kv, first) : kv->count;
}

static hs_piece piece_from(const hs_kv *kv, const hs_attention_params *p, int first) {
    for (; kv; kv = kv->parent, first = 0) {
        for (int end; first < kv->count; first = end) {
            end = piece_end(kv, first);
            int live = kv->removed > 0 ? live_keys(kv, first, end) : end - first;
            if (live == 0 || !sees_some(kv, p, first, end)) continue;
            int whole = live == end - first && sees_all(kv, p, first, end);
            return (hs_piece){kv, first, end, whole && first >= kv->sealed_from && first < kv->sealed_to, !whole};
        }
    }
    return (hs_piece){0};
}

hs_piece hs_first_piece(const hs_kv *kv, const hs_attention_params *p) {
    return piece_from(kv, p, 0);
}

hs_piece hs_next_piece(const hs_piece *piece, const hs_attention_params *p) {
    return piece_from(piece->kv, p, piece->end);
}

static hs_piece unsealed(hs_piece piece, const hs_attention_params *p) {
    while (piece.kv && piece.sealed) piece = hs_next_piece(&piece, p);
    return piece;
}

hs_piece hs_first_unsealed(const hs_kv *kv, const hs_attention_params *p) {
    return unsealed(hs_first_piece(kv, p), p);
}

hs_piece hs_next_unsealed(const hs_piece *piece, const hs_attention_params *p) {
    return unsealed(hs_next_piece(piece, p), p);
}

int hs_visible_keys(const hs_piece *piece, const hs_attention_params *p) {
    if (!piece->masked) return piece->end - piece->first;
    int seen = 0;
    for (int i = piece->first; i < piece->end; i++) seen += hs_is_visible(piece->kv, p, i);
    return seen;
}
