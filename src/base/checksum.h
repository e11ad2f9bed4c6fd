/* XXH64, a fast checksum of 64 bits against accidents: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md */
#ifndef HS_BASE_CHECKSUM_H
#define HS_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Of `bytes` bytes from `data` on, seed 0, as the specification has it on every machine. */
uint64_t hs_checksum(const void *data, size_t bytes);

#endif
