/* The allocator of WebAssembly builds (wasm/memory.c) over a heap whose growth may be refused: blocks do not overlap, keep their bytes, and come back. */
static unsigned long memory_size(void);
static unsigned long memory_grow(unsigned long pages);
#define __builtin_wasm_memory_size(memory) memory_size()
#define __builtin_wasm_memory_grow(memory, pages) memory_grow(pages)
#include "../../wasm/memory.c"
#include "fuzz.h"

enum { PAGES = 64,
       BLOCKS = 24,
       STEPS = 200 };

/* Linked as __heap_base; memory ends inside. Its address has 32 bits (build.sh). */
_Alignas(PAGE) unsigned char fuzz_heap[PAGES * PAGE];
static unsigned long pages, limit;

static unsigned long memory_size(void) {
    return (uintptr_t)fuzz_heap / PAGE + pages;
}

static unsigned long memory_grow(unsigned long more) {
    if (more > limit - pages) return (unsigned long)-1;
    pages += more;
    return memory_size() - more;
}

typedef struct {
    unsigned char *at, fill;
    size_t bytes;
} held;

static held blocks[BLOCKS];

static void check_block(const held *b) {
    for (size_t i = 0; i < b->bytes; i += b->bytes / 16 + 1) must(b->at[i] == b->fill);
    if (b->bytes > 0) must(b->at[b->bytes - 1] == b->fill);
}

static void take(held *b, size_t bytes, unsigned char fill) {
    size_t before = used;
    b->at = hs_mem_alloc(bytes);
    must(b->at || used == before);
    if (!b->at) return;
    must((uintptr_t)b->at % HS_ALIGN == 0 && b->at >= fuzz_heap && bytes <= (size_t)(fuzz_heap + pages * PAGE - b->at));
    for (int i = 0; i < BLOCKS; i++) {
        const held *other = &blocks[i];
        if (other->at && other != b) must(b->at + bytes <= other->at || other->at + other->bytes <= b->at);
    }
    must(hs_mem_used() >= before + bytes);
    b->bytes = bytes;
    b->fill = fill;
    memset(b->at, fill, bytes);
}

static void give_back(held *b) {
    check_block(b);
    hs_mem_free(b->at);
    *b = (held){0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = input_of(data, size);
    heap_start = heap_end = used = 0;
    pages = 1 + take_byte(&in) % 4;
    limit = pages + take_byte(&in) % (PAGES - 4);
    for (int step = 0; step < STEPS && left(&in) > 0; step++) {
        held *b = &blocks[take_byte(&in) % BLOCKS];
        int kind = take_byte(&in);
        if (b->at)
            give_back(b);
        else if (kind < 200)
            take(b, take_word(&in) % (kind < 100 ? 300 : 40000), (unsigned char)kind);
        else
            take(b, kind < 240 ? take_word(&in) % (PAGES * PAGE) : (size_t)(uint32_t)take_int(&in, PAGE), (unsigned char)kind);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].at) give_back(&blocks[i]);
    }
    hs_mem_free(NULL);
    must(hs_mem_used() == 0);
    /* Nothing is lost: all that there is can be had in one piece, but for its header. */
    if (heap_start) take(&blocks[0], pages * PAGE - sizeof(block), 1);
    if (heap_start) must(blocks[0].at);
    blocks[0] = (held){0};
    return 0;
}
