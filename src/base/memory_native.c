/* Native allocator: plain malloc, so that the sanitizers see every block. */
#ifndef __wasm__

#include "base/memory.h"

#include "base/hs.h"

#include <stdlib.h>

/* The size is kept in front of the block so that hs_mem_used() stays exact. */
static size_t used;

/* Says whether an allocation is to fail. For tests to replace (tests/native/test_faults.c). */
__attribute__((weak)) int hs_mem_refuses(size_t bytes) {
    (void)bytes;
    return 0;
}

void *hs_mem_alloc(size_t bytes) {
    if (hs_mem_refuses(bytes)) return NULL;
    size_t *block = aligned_alloc(HS_ALIGN, HS_ALIGN + hs_align_up(bytes));
    if (!block) return NULL;
    *block = bytes;
    used += bytes;
    return (char *)block + HS_ALIGN;
}

void hs_mem_free(void *block) {
    if (!block) return;
    size_t *start = (size_t *)((char *)block - HS_ALIGN);
    used -= *start;
    free(start);
}

size_t hs_mem_used(void) {
    return used;
}

#endif
