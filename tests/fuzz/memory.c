#include "memory.h"

#include "base/hs.h"

#include <stdlib.h>
#include <string.h>

enum { FILLED = 1 << 16 }; /* bytes of a block: more would take most of the time */

static size_t used;
static unsigned until_failure;
static int failed;

void fuzz_fail_after(unsigned allocations) {
    until_failure = allocations;
    failed = 0;
}

int fuzz_failed(void) {
    return failed;
}

void *hs_mem_alloc(size_t bytes) {
    int fails = until_failure > 0 && --until_failure == 0;
    if (fails || bytes > FUZZ_MEMORY_LIMIT - used) {
        failed = 1;
        return NULL;
    }
    /* The sanitizer is to see a block's very end, so it is not rounded up. */
    char *block = malloc(HS_ALIGN + bytes);
    if (!block) abort();
    memcpy(block, &bytes, sizeof bytes);
    memset(block + HS_ALIGN, 0xff, bytes < FILLED ? bytes : FILLED); /* NaN, and -1: no content may be relied on */
    used += bytes;
    return block + HS_ALIGN;
}

void hs_mem_free(void *block) {
    if (!block) return;
    size_t bytes;
    memcpy(&bytes, (char *)block - HS_ALIGN, sizeof bytes);
    memset(block, 0xfe, bytes < FILLED ? bytes : FILLED);
    used -= bytes;
    free((char *)block - HS_ALIGN);
}

size_t hs_mem_used(void) {
    return used;
}
