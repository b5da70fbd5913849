/* ---- >>test-budget: an allocator that fails after so many blocks and counts the living ---- */
#ifndef SPIKELIB_TESTS_BUDGET_H
#define SPIKELIB_TESTS_BUDGET_H

#include "check.h"

typedef struct budget {
    long left, blocks; /* allocations until one fails; blocks that live */
    int failed;
} budget;

CHECK_FN void *budget_alloc(void *ctx, size_t size, size_t align)
{
    budget *b = (budget *)ctx;
    char *whole, *p;
    if (b->left == 0) {
        b->failed = 1;
        return NULL;
    }
    b->left--;
    whole = (char *)malloc(size + align + sizeof whole); /* its place stands before the block */
    if (!whole) return NULL;
    b->blocks++;
    p = whole + sizeof whole;
    p += (align - (uintptr_t)p % align) % align;
    memcpy(p - sizeof whole, &whole, sizeof whole);
    return p;
}

CHECK_FN void budget_free(void *ctx, void *block, size_t size)
{
    void *whole;
    (void)size;
    ((budget *)ctx)->blocks--;
    memcpy(&whole, (char *)block - sizeof whole, sizeof whole);
    free(whole);
}

CHECK_FN spk_allocator budget_allocator(budget *b, long left)
{
    spk_allocator a;
    memset(b, 0, sizeof *b);
    memset(&a, 0, sizeof a);
    b->left = left;
    a.ctx = b;
    a.alloc = budget_alloc;
    a.free = budget_free;
    return a;
}

#endif
