/* The one allocator. WebAssembly builds implement it over memory.grow (wasm/memory.c), native builds over the C library. */
#ifndef HS_BASE_MEMORY_H
#define HS_BASE_MEMORY_H

#include "base/hs.h"

#include <stddef.h>

/* Returns `bytes` bytes aligned to HS_ALIGN with unspecified content, or NULL when memory is exhausted. */
void *hs_mem_alloc(size_t bytes);

/* Returns a block to the allocator; NULL is ignored. */
void hs_mem_free(void *block);

/* Bytes held by live allocations. */
size_t hs_mem_used(void);

/*
 * Lays arrays over a block: the next `bytes` bytes from *at on of the block at `base`, and *at moves behind them, up to the next
 * multiple of HS_ALIGN. With base NULL that is all: *at is in the end how large the block has to be.
 */
static inline void *hs_carve(void *base, size_t *at, size_t bytes) {
    void *part = base ? (char *)base + *at : NULL;
    *at += hs_align_up(bytes);
    return part;
}

#endif
