/*
 * The allocator of builds for tests (build/checked.*.wasm), linked in front of the real one by --wrap: every block has guard words
 * before and behind it, which are looked at when it is freed and whenever hs_memory_check() is asked; new memory and freed memory are
 * filled, so that whoever reads either gets other results; and a chosen allocation can be made to fail. Exports are for
 * tests/node/helpers/checked.js.
 */
#include "abi.h"
#include "base/hs.h"

#include <stdint.h>
#include <string.h>

enum { GUARD_BYTES = 32,
       GUARD = 0xc5,
       NEW = 0xa6,
       FREED = 0xd7 };

/* In front of every block; the guard behind it begins at its last byte but is not aligned. */
typedef struct block {
    struct block *before, *after; /* live ones, in no order */
    uint32_t bytes, number;       /* of the block, from 1 on in the order they were made */
    uint8_t guard[GUARD_BYTES];
} block;

_Static_assert(sizeof(block) % HS_ALIGN == 0, "what is behind it is aligned");

/* What is damaged: the first that was found. number 0: nothing. offset: of a changed byte from the start of the block. */
typedef struct {
    uint32_t number, pointer, bytes;
    int32_t offset;
} damage;

void *__real_hs_mem_alloc(size_t bytes);
void __real_hs_mem_free(void *p);
void *__wrap_hs_mem_alloc(size_t bytes);
void __wrap_hs_mem_free(void *p);

static block ends = {.before = &ends, .after = &ends};
static uint32_t allocations, failing, blocks;
static damage found;

static uint8_t *content(block *b) {
    return (uint8_t *)(b + 1);
}

static void look_at(block *b) {
    const uint8_t *behind = content(b) + b->bytes;
    for (int i = GUARD_BYTES - 1; i >= 0 && found.number == 0; i--) {
        if (b->guard[i] != GUARD) found = (damage){b->number, (uint32_t)(uintptr_t)content(b), b->bytes, i - GUARD_BYTES};
    }
    for (int i = 0; i < GUARD_BYTES && found.number == 0; i++) {
        if (behind[i] != GUARD) found = (damage){b->number, (uint32_t)(uintptr_t)content(b), b->bytes, (int32_t)b->bytes + i};
    }
}

void *__wrap_hs_mem_alloc(size_t bytes) {
    if (++allocations == failing || bytes > UINT32_MAX - sizeof(block) - GUARD_BYTES - HS_ALIGN) return NULL;
    block *b = __real_hs_mem_alloc(sizeof *b + bytes + GUARD_BYTES);
    if (!b) return NULL;
    *b = (block){&ends, ends.after, (uint32_t)bytes, ++blocks, {0}};
    b->after->before = ends.after = b;
    memset(b->guard, GUARD, GUARD_BYTES);
    memset(content(b), NEW, bytes);
    memset(content(b) + bytes, GUARD, GUARD_BYTES);
    return content(b);
}

void __wrap_hs_mem_free(void *p) {
    if (!p) return;
    block *b = (block *)p - 1;
    look_at(b);
    b->before->after = b->after;
    b->after->before = b->before;
    memset(b, FREED, sizeof *b + b->bytes + GUARD_BYTES);
    __real_hs_mem_free(b);
}

/* Looks at all live blocks: NULL, or the words of what is damaged, of a block that is freed by now too. */
EXPORT(hs_memory_check)
const damage *memory_check(void) {
    for (block *b = ends.after; b != &ends; b = b->after) look_at(b);
    return found.number > 0 ? &found : NULL;
}

/* Live blocks. */
EXPORT(hs_memory_blocks)
int32_t memory_blocks(void) {
    int32_t n = 0;
    for (block *b = ends.after; b != &ends; b = b->after) n++;
    return n;
}

/* Counts allocations from here on; the one of this number fails, none where it is 0. */
EXPORT(hs_memory_fail)
void memory_fail(uint32_t number) {
    allocations = 0;
    failing = number;
}

/* Allocations since, the one that failed included. */
EXPORT(hs_memory_allocations)
uint32_t memory_allocations(void) {
    return allocations;
}
