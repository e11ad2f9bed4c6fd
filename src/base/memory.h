/* The one allocator. WebAssembly builds implement it over memory.grow (wasm/memory.c), native builds over the C library. */
#ifndef HS_BASE_MEMORY_H
#define HS_BASE_MEMORY_H

#include <stddef.h>

/* Returns `bytes` bytes aligned to HS_ALIGN with unspecified content, or NULL when memory is exhausted. */
void *hs_mem_alloc(size_t bytes);

/* Returns a block to the allocator; NULL is ignored. */
void hs_mem_free(void *block);

/* Bytes held by live allocations. */
size_t hs_mem_used(void);

#endif
