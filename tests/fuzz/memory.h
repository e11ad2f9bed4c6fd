/* The allocator of fuzz targets (in place of base/memory_native.c): it has a limit, fails when told to, and leaves nothing as it was. */
#ifndef HS_FUZZ_MEMORY_H
#define HS_FUZZ_MEMORY_H

#include "base/memory.h"

enum { FUZZ_MEMORY_LIMIT = 48 << 20 }; /* bytes */

/* After so many allocations one fails; 0: none does. */
void fuzz_fail_after(unsigned allocations);

/* Whether it has failed since the last fuzz_fail_after(), or the limit was met. */
int fuzz_failed(void);

#endif
