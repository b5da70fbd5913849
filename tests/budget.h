/* ---- >>test-budget: an allocator that fails after so many blocks, and counts those that live ---- */
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
    void *p;
    if (b->left == 0) {
        b->failed = 1;
        return NULL;
    }
    b->left--;
    p = spki_default_alloc(NULL, size, align);
    if (p) b->blocks++;
    return p;
}

CHECK_FN void budget_free(void *ctx, void *block, size_t size)
{
    ((budget *)ctx)->blocks--;
    spki_default_free(NULL, block, size);
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
