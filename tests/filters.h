/* ---- >>test-filters: event streams for the tests of filters, and how to run one in pieces ---- */
#ifndef SPIKELIB_TESTS_FILTERS_H
#define SPIKELIB_TESTS_FILTERS_H

#include "check.h"

/* xorshift64*: the tests' own numbers, so that nothing under test makes its own input. */
static uint64_t test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static int test_below(uint64_t *state, int limit)
{
    return (int)((test_random(state) >> 33) % (uint64_t)limit);
}

/* A sensor of width x height under noise, with bursts of neighbours and repeats, times that run
   back by up to `back` us, triggers among them, from the time `start` on. */
CHECK_FN size_t test_stream(spk_event *out, size_t count, int width, int height, int back,
                          int64_t start, uint64_t seed)
{
    int64_t t = start;
    size_t i;
    for (i = 0; i < count; i++) {
        spk_event e;
        int beside = i > 0 && test_below(&seed, 3) > 0;
        memset(&e, 0, sizeof e);
        t += test_below(&seed, 4) ? test_below(&seed, 12) : test_below(&seed, 400);
        e.t_us = back > 0 ? t - test_below(&seed, back) : t;
        e.x = (uint16_t)(beside ? (out[i - 1].x + test_below(&seed, 3) + width - 1) % width
                              : test_below(&seed, width));
        e.y = (uint16_t)(beside ? (out[i - 1].y + test_below(&seed, 3) + height - 1) % height
                              : test_below(&seed, height));
        e.polarity = (uint8_t)test_below(&seed, 2);
        e.source = (uint16_t)test_below(&seed, 4);
        if (test_below(&seed, 20) == 0) {
            e.kind = test_below(&seed, 3) ? SPK_EVENT_TRIGGER : SPK_EVENT_OTHER;
            e.x = (uint16_t)(e.x % (unsigned)width);
        }
        out[i] = e;
    }
    return count;
}

CHECK_FN int test_same(const spk_event *a, const spk_event *b, size_t count)
{
    return count == 0 || memcmp(a, b, count * sizeof *a) == 0;
}

/* Applies a filter to a copy of the events in pieces: of `piece` events, or of random sizes (0). */
CHECK_FN size_t test_apply(spk_filter *filter, const spk_event *in, size_t count, size_t piece,
                         spk_event *out)
{
    spk_event *buffer = (spk_event *)malloc((count + 1) * sizeof *buffer);
    uint64_t seed = 99;
    size_t done = 0, kept = 0;
    while (done < count) {
        size_t n = piece ? piece : (size_t)test_below(&seed, 40) + 1, left;
        if (n > count - done) n = count - done;
        memcpy(buffer, in + done, n * sizeof *buffer);
        left = spk_filter_apply(filter, buffer, n);
        memcpy(out + kept, buffer, left * sizeof *buffer);
        kept += left;
        done += n;
    }
    free(buffer);
    return kept;
}

/* The instruction sets of this machine, one after the other; SPK_ISA_AUTO after the last. */
CHECK_FN spk_isa test_isa_after(spk_isa isa)
{
    int k;
    for (k = (int)isa + 1; k <= SPK_ISA_GENERIC; k++)
        if (spk_isa_available((spk_isa)k)) return (spk_isa)k;
    return SPK_ISA_AUTO;
}

#endif
