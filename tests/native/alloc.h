/*
 * Allocations that fail on demand, also those of the sanitizers' builds: this definition takes the place of the C library's,
 * which src/base/memory_native.c calls.
 */
#ifndef HS_TESTS_ALLOC_H
#define HS_TESTS_ALLOC_H

#include <stdlib.h>

/* Allocations that succeed before all fail; negative: none fails. */
static int allocations_left = -1;

void *aligned_alloc(size_t alignment, size_t bytes) {
    void *block;
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return posix_memalign(&block, alignment, bytes) == 0 ? block : NULL;
}

#endif
