/* ---- >>test-heap: an allocator that counts its blocks and fails when told to ---- */
#ifndef SPIKELIB_TESTS_HEAP_H
#define SPIKELIB_TESTS_HEAP_H

#include <stdlib.h>

typedef struct heap {
    size_t blocks, calls, fail_at; /* out now; asked for so far; the call that gets nothing */
} heap;

static void *heap_alloc(void *ctx, size_t size, size_t align)
{
    heap *h = (heap *)ctx;
    void *block;
    if (++h->calls == h->fail_at) return NULL;
    block = aligned_alloc(align, (size + align - 1) / align * align);
    h->blocks += block != NULL;
    return block;
}

static void heap_free(void *ctx, void *block, size_t size)
{
    (void)size;
    ((heap *)ctx)->blocks--;
    free(block);
}

static spk_allocator heap_allocator(heap *h)
{
    spk_allocator a = {0};
    a.ctx = h;
    a.alloc = heap_alloc;
    a.free = heap_free;
    return a;
}

#endif
