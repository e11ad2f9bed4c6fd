/* The forward pass: tokens in, keys and values into the context's caches, logits out. */
#ifndef HS_MODEL_FORWARD_H
#define HS_MODEL_FORWARD_H

#include "model/context.h"

typedef enum { HS_LOGITS_NONE,
               HS_LOGITS_LAST,
               HS_LOGITS_ALL } hs_logits_wanted;

/*
 * Runs n tokens (1..HS_BATCH, ids below vocab) at the positions after the context's last. One token takes the decode
 * path, more the causal block path. Logits go to m->logits: none, [vocab] of the last token, or [n][vocab].
 * Errors: id out of range, no room, frozen context, no memory for logits, weights that give numbers beyond what attention
 * takes (HS_COORDINATE_LIMIT, also times the scale); the context is unchanged by all of them.
 */
int hs_forward(hs_context *c, const int32_t *tokens, int n, hs_logits_wanted wanted);

#endif
