/* Fuzzing of the readers of events. With libFuzzer:
       clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. \
           -DFUZZ_FORMAT=SPK_FORMAT_AEDAT4 tests/fuzz/events.c -o fuzz -lpthread
       ./fuzz -max_total_time=600 -max_len=65536 tests/fuzz/corpus/aedat4
   (-DSPIKELIB_LZ4 -llz4 and the like switch more on.) With FUZZ_MAIN and any compiler it reads the
   files that it is given, and mutations of them: events FILES... [seconds]. FUZZ_FORMAT is
   SPK_FORMAT_AUTO by default: the content tells it.

   Beyond what sanitizers see, every input has to give the same in pieces as whole. */
#define SPIKELIB_NO_NET
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FUZZ_FORMAT
#define FUZZ_FORMAT SPK_FORMAT_AUTO
#endif

typedef struct outcome {
    uint64_t digest, seen;
    spk_event_stats stats;
    spk_result result;
} outcome;

static void on_trigger(void *ctx, const spk_trigger *e)
{
    ((outcome *)ctx)->seen += spk_xxh64(&e->t_us, sizeof e->t_us, e->channel);
}

static void on_imu(void *ctx, const spk_imu *e)
{
    ((outcome *)ctx)->seen += spk_xxh64(e->accel_g, sizeof e->accel_g, (uint64_t)e->t_us);
}

static void on_frame(void *ctx, const spk_frame *e)
{
    ((outcome *)ctx)->seen += spk_xxh64(e->pixels, e->size, (uint64_t)e->t_us);
}

static void on_extra(void *ctx, const spk_extra *e)
{
    ((outcome *)ctx)->seen += spk_xxh64(e->bytes, e->size, (uint64_t)e->t_us);
}

static outcome decode(const uint8_t *data, size_t size, size_t step, size_t capacity, bool strict)
{
    static spk_event buffer[512];
    spk_events_desc desc;
    spk_decoder *d;
    outcome o;
    size_t at = 0, n;
    memset(&desc, 0, sizeof desc);
    memset(&o, 0, sizeof o);
    desc.format = FUZZ_FORMAT;
    desc.strict = strict;
    desc.triggers_in_stream = true;
    desc.memory_limit = (size_t)256 << 20;
    desc.callbacks.ctx = &o;
    desc.callbacks.trigger = on_trigger;
    desc.callbacks.imu = on_imu;
    desc.callbacks.frame = on_frame;
    desc.callbacks.extra = on_extra;
    d = spk_decoder_create(&desc);
    while (at < size && spk_decoder_status(d) == SPK_OK) {
        size_t take = size - at < step ? size - at : step;
        spk_decoder_feed(d, data + at, take);
        at += take;
        while ((n = spk_decoder_read(d, buffer, capacity)) > 0)
            o.digest = spk_xxh64(buffer, n * sizeof *buffer, 0) + 31 * o.digest * (capacity == 1);
    }
    spk_decoder_finish(d);
    while ((n = spk_decoder_read(d, buffer, capacity)) > 0)
        o.digest = spk_xxh64(buffer, n * sizeof *buffer, 0) + 31 * o.digest * (capacity == 1);
    spk_decoder_get_stats(d, &o.stats);
    o.result = spk_decoder_status(d);
    if ((o.result == SPK_OK) != (spk_decoder_error(d)[0] == 0)) abort();
    spk_decoder_destroy(d);
    return o;
}

static void same(const outcome *a, const outcome *b)
{
    if (a->result != b->result || a->stats.events != b->stats.events ||
        a->stats.on != b->stats.on || a->stats.triggers != b->stats.triggers ||
        a->stats.frames != b->stats.frames || a->stats.imu != b->stats.imu ||
        a->stats.extras != b->stats.extras || a->stats.violations != b->stats.violations ||
        a->seen != b->seen || a->digest != b->digest) {
        fprintf(stderr, "differs in pieces: %d %d, events %llu %llu, seen %llu %llu\n",
                (int)a->result, (int)b->result, (unsigned long long)a->stats.events,
                (unsigned long long)b->stats.events, (unsigned long long)a->seen,
                (unsigned long long)b->seen);
        abort();
    }
    if (a->result == SPK_OK && a->stats.bytes_skipped != b->stats.bytes_skipped) {
        fprintf(stderr, "skipped bytes differ in pieces: %llu %llu\n",
                (unsigned long long)a->stats.bytes_skipped,
                (unsigned long long)b->stats.bytes_skipped);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t step = 1 + (size_t)(spk_xxh64(data, size, 1) % 97);
    outcome whole = decode(data, size, size, 1, false), pieces = decode(data, size, step, 1, false);
    same(&whole, &pieces);
    decode(data, size, size, 512, true);
    return 0;
}

#ifdef FUZZ_MAIN
static uint64_t draw(uint64_t *state)
{
    *state += 1;
    return spk_xxh64(state, sizeof *state, 9);
}

/* Some bytes turned, moved, doubled or cut off. */
static size_t mutate(uint8_t *data, size_t size, size_t most, uint64_t *state)
{
    uint64_t rounds = 1 + draw(state) % 6;
    for (; rounds > 0 && size > 1; rounds--) {
        size_t at = (size_t)(draw(state) % size), n = 1 + (size_t)(draw(state) % 16);
        switch (draw(state) % 6) {
        case 0: data[at] ^= (uint8_t)(1u << draw(state) % 8); break;
        case 1: data[at] = (uint8_t)draw(state); break;
        case 2: data[at] = draw(state) & 1 ? 0xff : 0; break;
        case 3: size = at + 1; break;
        case 4:
            if (size + n > most) break;
            memmove(data + at + n, data + at, size - at);
            size += n;
            break;
        default:
            if (at + n > size) break;
            memmove(data + at, data + at + n, size - at - n);
            size -= n;
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    static uint8_t data[1 << 16], work[1 << 17];
    double until = argc > 2 ? atof(argv[argc - 1]) : 0.0, begin = spk_clock_seconds();
    uint64_t state = 1, runs = 0;
    int files = until > 0.0 ? argc - 1 : argc, k;
    do {
        for (k = 1; k < files; k++) {
            FILE *f = fopen(argv[k], "rb");
            size_t size, i;
            if (!f) continue;
            size = fread(data, 1, sizeof data, f);
            fclose(f);
            LLVMFuzzerTestOneInput(data, size);
            for (i = 0; i < 50 && until > 0.0; i++, runs++) {
                memcpy(work, data, size);
                LLVMFuzzerTestOneInput(work, mutate(work, size, sizeof work, &state));
            }
        }
    } while (spk_clock_seconds() - begin < until);
    printf("%d files, %llu mutations, nothing found\n", files - 1, (unsigned long long)runs);
    return 0;
}
#endif
