/* ---- >>memory: allocator hooks, limit and peak ---- */
#ifndef SPIKELIB_CORE_ALLOC_H
#define SPIKELIB_CORE_ALLOC_H

#include "base.h"

/* All memory of a network goes through one of these. Thread: the one that called spikelib. */
typedef struct spki_mem {
    spk_allocator a;
    size_t now, peak, limit; /* bytes; limit 0: none */
} spki_mem;

/* Blocks start on a cache line and fill whole ones, so that vector code may read a tail past the
   last element and two threads' blocks never share a line. */
#define SPKI_ALIGN ((size_t)64)
/* Random reads of gigabytes of synapses miss the TLB with 4 kB pages. */
#define SPKI_HUGE_PAGE ((size_t)2 << 20)
#define SPKI_HUGE_BLOCK ((size_t)4 << 20)

#if defined(_WIN32)
SPKI_FN void *spki_default_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    return _aligned_malloc(size, align);
}

SPKI_FN void spki_default_free(void *ctx, void *block, size_t size)
{
    (void)ctx;
    (void)size;
    _aligned_free(block);
}
#else
SPKI_FN void *spki_default_alloc(void *ctx, size_t size, size_t align)
{
    void *block;
    (void)ctx;
    if (size >= SPKI_HUGE_BLOCK) align = SPKI_MAX(align, SPKI_HUGE_PAGE);
    if (size > (size_t)PTRDIFF_MAX - align) return NULL;
    block = aligned_alloc(align, (size + align - 1) & ~(align - 1));
#if defined(__linux__)
#if defined(MADV_HUGEPAGE)
    /* A wish: where it is refused, the block has small pages. */
    if (block && size >= SPKI_HUGE_BLOCK) (void)spki_os_madvise(block, size, MADV_HUGEPAGE);
#else
    if (block && size >= SPKI_HUGE_BLOCK) (void)spki_os_madvise(block, size, 14);
#endif
#endif
    return block;
}

SPKI_FN void spki_default_free(void *ctx, void *block, size_t size)
{
    (void)ctx;
    (void)size;
    free(block);
}
#endif

/* An allocator without `alloc` is malloc and free; one without `free` is an arena. */
SPKI_FN void spki_mem_init(spki_mem *mem, const spk_allocator *or_null, size_t limit)
{
    memset(mem, 0, sizeof *mem);
    mem->limit = limit;
    if (or_null && or_null->alloc) {
        mem->a = *or_null;
        return;
    }
    mem->a.alloc = spki_default_alloc;
    mem->a.free = spki_default_free;
}

/* Bytes that a block really takes, 0 if count * size is absurd. */
SPKI_FN size_t spki_block_size(size_t count, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) return 0;
    if (bytes > (size_t)PTRDIFF_MAX - SPKI_ALIGN) return 0;
    if (bytes == 0) return SPKI_ALIGN;
    return (bytes + SPKI_ALIGN - 1) & ~(SPKI_ALIGN - 1);
}

/* 64-byte aligned, contents undefined. NULL on overflow, at the limit, or without memory; a block
   of one line for count 0. */
SPKI_FN void *spki_alloc_raw(spki_mem *mem, size_t count, size_t size)
{
    size_t bytes = spki_block_size(count, size);
    void *block;
    if (bytes == 0) return NULL;
    if (mem->limit && (bytes > mem->limit || mem->now > mem->limit - bytes)) return NULL;
    block = mem->a.alloc(mem->a.ctx, bytes, SPKI_ALIGN);
    if (!block) return NULL;
    if (((uintptr_t)block & (SPKI_ALIGN - 1)) != 0) { /* a broken allocator: vectors would fault */
        if (mem->a.free) mem->a.free(mem->a.ctx, block, bytes);
        return NULL;
    }
    mem->now += bytes;
    mem->peak = SPKI_MAX(mem->peak, mem->now);
    return block;
}

/* The same, zeroed. */
SPKI_FN void *spki_alloc(spki_mem *mem, size_t count, size_t size)
{
    void *block = spki_alloc_raw(mem, count, size);
    if (block) memset(block, 0, spki_block_size(count, size));
    return block;
}

/* With the count and size of the allocation; NULL is fine. */
SPKI_FN void spki_free(spki_mem *mem, void *block, size_t count, size_t size)
{
    size_t bytes = spki_block_size(count, size);
    if (!block) return;
    mem->now -= bytes;
    if (mem->a.free) mem->a.free(mem->a.ctx, block, bytes);
}

#endif
