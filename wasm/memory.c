/*
 * The allocator of WebAssembly builds: one heap from __heap_base that grows by memory.grow, first fit, neighbours merged
 * on free. A model makes a few hundred long-lived blocks, so a walk over the list costs nothing that matters.
 */
#include "base/memory.h"

#include "base/hs.h"

enum { PAGE = 65536 };

/* In front of every block. Blocks lie end to end; the last one ends at heap_end. */
typedef struct {
    uint32_t size; /* of the whole block, this header included; a multiple of HS_ALIGN */
    uint32_t free;
    uint32_t padding[2];
} block;

/* NOLINTNEXTLINE(bugprone-reserved-identifier): the linker's name for where the heap may start */
extern unsigned char __heap_base;
static uintptr_t heap_start, heap_end;
static size_t used;

/* NOLINTBEGIN(performance-no-int-to-ptr): an allocator makes pointers of addresses */
static block *next(block *b) {
    return (block *)((uintptr_t)b + b->size);
}

/* Extends the heap by at least `bytes`, as one free block (merged with a free last block). */
static int grow(size_t bytes, block *last) {
    size_t have = __builtin_wasm_memory_size(0) * (size_t)PAGE;
    size_t reserve = last && last->free ? last->size : 0;
    if (!heap_start) {
        heap_start = heap_end = hs_align_up((uintptr_t)&__heap_base);
        reserve = 0;
    }
    uint64_t end = (uint64_t)heap_end + bytes - reserve;
    if (end > 65535ull * PAGE) return 0;
    if (end > have) {
        size_t pages = (size_t)((end - have + PAGE - 1) / PAGE);
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return 0;
        have += pages * PAGE;
    }
    block *fresh = reserve ? last : (block *)heap_end;
    fresh->size = (uint32_t)(have - (uintptr_t)fresh);
    fresh->free = 1;
    heap_end = have;
    return 1;
}

void *hs_mem_alloc(size_t bytes) {
    if (bytes > 65535ull * PAGE) return 0;
    size_t need = hs_align_up(bytes) + sizeof(block);
    for (;;) {
        block *last = 0;
        for (block *b = (block *)heap_start; (uintptr_t)b < heap_end; b = next(b)) {
            while (b->free && (uintptr_t)next(b) < heap_end && next(b)->free) b->size += next(b)->size;
            last = b;
            if (!b->free || b->size < need) continue;
            if (b->size - need > sizeof(block)) {
                block *rest = (block *)((uintptr_t)b + need);
                rest->size = (uint32_t)(b->size - need);
                rest->free = 1;
                b->size = (uint32_t)need;
            }
            b->free = 0;
            used += b->size;
            return b + 1;
        }
        if (!grow(need, last)) return 0;
    }
}

/* NOLINTEND(performance-no-int-to-ptr) */

void hs_mem_free(void *p) {
    if (!p) return;
    block *b = (block *)p - 1;
    used -= b->size;
    b->free = 1;
}

size_t hs_mem_used(void) {
    return used;
}
