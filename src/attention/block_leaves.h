/* Algorithm 2 of the paper for a block of queries, over the leaves that all of them see. */
#ifndef HS_ATTENTION_BLOCK_LEAVES_H
#define HS_ATTENTION_BLOCK_LEAVES_H

#include "attention/query_block.h"
#include "attention/visible.h"

/* Adds the keys of the view's leaves to the sums of the block. Scratch, from b->rest on: hs_block_leaves_scratch_bytes(). */
void hs_attend_block_leaves(const hs_kv *kv, const hs_view *view, const hs_attention_params *p, hs_query_block *b, hs_attention_stats *stats);

/* For blocks of `rows` rows. */
size_t hs_block_leaves_scratch_bytes(int head_dim, int rows, int capacity);

#endif
