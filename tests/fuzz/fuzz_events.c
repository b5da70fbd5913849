/* cc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -I. tests/fuzz/fuzz_events.c -o
   build/fuzz_events -lm -lpthread */

/* Damaged event streams, which every reader has to survive:

       fuzz_events FORMAT SECONDS [SEED]    e.g. evt3 600; "all" takes turns
       fuzz_events --runs FORMAT COUNT      so many inputs, always the same
       fuzz_events --one FORMAT FILE        one input again
       fuzz_events --corpus                 writes tests/fuzz/corpus

   FORMAT is a name of SPIKELIB_EVENT_FORMATS, or auto (the content decides). Run in the root of the
   repository. The inputs are those of tests/fuzz/corpus whose names begin with the format's,
   mutated. Each is decoded from memory, in pieces cut at random, and on every instruction set: the
   events, the statistics and the error have to be the same. A failing input is left in
   fuzz-FORMAT.bin. With clang, -fsanitize=fuzzer,address,undefined and -DSPIKELIB_LIBFUZZER it is
   libFuzzer's target instead, whose inputs begin with 8 bytes of options; the environment variable
   SPIKELIB_FUZZ_FORMAT names the format. */
#define SPIKELIB_NO_NET
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "../events.h"

#define INPUT_MAX ((size_t)1 << 16)

static size_t fuzz_piece(void *ctx, size_t at)
{
    uint64_t r = dice((uint64_t *)ctx) >> 20;
    (void)at;
    return (size_t)(r & 3 ? r >> 2 & 31 : r >> 2 & 2047);
}

/* Sums that would be equal only by a miracle if a stream differed. */
typedef struct told {
    uint64_t events, beside, count;
} told;

typedef struct listener {
    spk_digest digest;
    uint64_t count;
} listener;

static void told_bytes(listener *l, const void *data, size_t size)
{
    spk_digest_update(&l->digest, data, size);
    l->count++;
}

static void told_trigger(void *ctx, const spk_trigger *t)
{
    uint64_t words[3] = {(uint64_t)t->t_us, t->channel | (uint64_t)t->edge << 32, t->code};
    told_bytes((listener *)ctx, words, sizeof words);
}

static void told_imu(void *ctx, const spk_imu *imu)
{
    told_bytes((listener *)ctx, &imu->t_us, sizeof imu->t_us);
    told_bytes((listener *)ctx, imu->raw, sizeof imu->raw);
}

static void told_frame(void *ctx, const spk_frame *f)
{
    told_bytes((listener *)ctx, &f->t_us, sizeof f->t_us);
    told_bytes((listener *)ctx, f->pixels, f->size);
}

static void told_extra(void *ctx, const spk_extra *e)
{
    told_bytes((listener *)ctx, &e->t_us, sizeof e->t_us);
    told_bytes((listener *)ctx, e->bytes, e->size);
}

static void fuzz_desc(spk_events_desc *d, listener *l, const char *format, spk_isa isa,
                      uint64_t options)
{
    memset(d, 0, sizeof *d);
    memset(l, 0, sizeof *l);
    spk_digest_begin(&l->digest);
    d->format = spk_event_format_from_name(format);
    d->isa = isa;
    d->memory_limit = (size_t)64 << 20;
    d->triggers_in_stream = (options & 1) != 0;
    d->shift_time = (options & 6) == 6;
    d->as_stored = (options & 8) != 0;
    d->strict = (options & 0x70) == 0x70;
    d->width = options & 0x80 ? (uint32_t)(options >> 8 & 2047) : 0;
    d->height = options & 0x80 ? (uint32_t)(options >> 20 & 2047) : 0;
    d->callbacks.ctx = l;
    d->callbacks.trigger = told_trigger;
    d->callbacks.imu = told_imu;
    d->callbacks.frame = told_frame;
    d->callbacks.extra = told_extra;
}

static void fuzz_drain(spk_decoder *decoder, listener *events, size_t capacity)
{
    spk_event *out = (spk_event *)malloc(capacity * sizeof *out); /* its end is watched */
    size_t n, k;
    while ((n = spk_decoder_read(decoder, out, capacity)) > 0) {
        if (n > capacity) abort();
        for (k = 0; k < n; k++)
            if (out[k].kind > SPK_EVENT_OTHER || out[k].polarity > 1) abort();
        spk_digest_update(&events->digest, out, n * sizeof *out);
        events->count += n;
    }
    free(out);
}

/* Decodes in pieces (`seed` 0: in one) and sums up what came out. */
static told fuzz_decode(const uint8_t *data, size_t size, const char *format, spk_isa isa,
                        uint64_t options, uint64_t seed)
{
    spk_events_desc d;
    listener beside, events;
    spk_event_stats stats;
    spk_decoder *decoder;
    told all;
    size_t at = 0, n, capacity = seed ? 1 + (size_t)(seed >> 40) % 1500 : 4096;
    memset(&events, 0, sizeof events);
    spk_digest_begin(&events.digest);
    fuzz_desc(&d, &beside, format, isa, options);
    decoder = spk_decoder_create(&d);
    if (!decoder) abort();
    for (; at < size; at += n) {
        uint8_t *piece;
        n = seed ? fuzz_piece(&seed, at) : size;
        if (n > size - at) n = size - at;
        piece = (uint8_t *)malloc(n ? n : 1);
        memcpy(piece, data + at, n);
        if (spk_decoder_feed(decoder, piece, n) == SPK_OK) fuzz_drain(decoder, &events, capacity);
        free(piece);
    }
    spk_decoder_finish(decoder);
    fuzz_drain(decoder, &events, capacity);
    spk_decoder_get_stats(decoder, &stats);
    if (spk_decoder_status(decoder) != SPK_OK) {
        if (!*spk_decoder_error(decoder)) abort();
        stats.bytes = 0; /* how many were taken in before the error depends on the pieces */
    }
    all.beside = spk_digest_value(&beside.digest) + beside.count;
    spk_digest_update(&events.digest, &stats.events, 8 * sizeof(uint64_t));
    spk_digest_update(&events.digest, &stats.dropped, 4 * sizeof(uint64_t));
    spk_digest_update(&events.digest, spk_decoder_error(decoder),
                      strlen(spk_decoder_error(decoder)));
    all.events = spk_digest_value(&events.digest);
    all.count = events.count;
    spk_decoder_destroy(decoder);
    return all;
}

static int fuzz_differ(told a, told b)
{
    return a.events != b.events || a.beside != b.beside || a.count != b.count;
}

/* False: something is not as it should be. */
static int fuzz_one(const uint8_t *data, size_t size, const char *format, uint64_t options)
{
    static const spk_isa isas[] = {SPK_ISA_AVX2, SPK_ISA_AVX512};
    told whole = fuzz_decode(data, size, format, SPK_ISA_SCALAR, options, 0);
    size_t k;
    if (fuzz_differ(whole, fuzz_decode(data, size, format, SPK_ISA_AUTO, options, options | 1)))
        return 0;
    for (k = 0; k < 2; k++)
        if (spk_isa_available(isas[k]) &&
            fuzz_differ(whole, fuzz_decode(data, size, format, isas[k], options, 0)))
            return 0;
    return 1;
}

#ifdef SPIKELIB_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *format = getenv("SPIKELIB_FUZZ_FORMAT");
    uint64_t options;
    if (size < 8) return 0;
    memcpy(&options, data, 8);
    if (!fuzz_one(data + 8, size - 8, format ? format : "auto", options)) abort();
    return 0;
}
#else

/* -- inputs -- */

#include <dirent.h>
#include <sys/stat.h>

typedef struct corpus {
    uint8_t *data[64];
    size_t size[64];
    int count;
} corpus;

static int corpus_order(const void *a, const void *b)
{
    return strcmp((const char *)a, (const char *)b);
}

/* In the order of the names, so that a seed means the same on every file system. */
static void corpus_load_dir(corpus *c, const char *format)
{
    char names[64][128], path[600];
    struct dirent *entry;
    DIR *dir;
    int count = 0, k;
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", format);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) != NULL && count < 64)
        if (entry->d_name[0] != '.')
            snprintf(names[count++], sizeof names[0], "%.120s", entry->d_name);
    if (dir) closedir(dir);
    qsort(names, (size_t)count, sizeof names[0], corpus_order);
    for (k = 0; k < count && c->count < 64; k++) {
        FILE *f;
        snprintf(path, sizeof path, "tests/fuzz/corpus/%.100s/%.127s", format, names[k]);
        f = fopen(path, "rb");
        if (!f) continue;
        c->data[c->count] = (uint8_t *)malloc(INPUT_MAX);
        c->size[c->count] = fread(c->data[c->count], 1, INPUT_MAX, f);
        c->count++;
        fclose(f);
    }
}

/* Those of a format; of all formats for auto. */
static void corpus_load(corpus *c, const char *format)
{
    int k;
    memset(c, 0, sizeof *c);
    for (k = 1; k < 64 && spki_format_name((spk_event_format)k); k++)
        if (!strcmp(format, "auto") || !strcmp(format, spki_format_name((spk_event_format)k)))
            corpus_load_dir(c, spki_format_name((spk_event_format)k));
}

static void corpus_free(corpus *c)
{
    while (c->count > 0) free(c->data[--c->count]);
}

static size_t mutate_once(uint8_t *data, size_t size, const corpus *c, uint64_t *seed)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x25, 0x20, 0x0a, 0xf0, 0x0f, 0x40};
    uint64_t r = dice(seed), q = dice(seed);
    size_t at = size ? (size_t)(r >> 8) % size : 0, n = 1 + (size_t)(q & 15) * (q >> 8 & 7), k;
    const uint8_t *other = c->data[(q >> 32) % (uint64_t)c->count];
    size_t other_size = c->size[(q >> 32) % (uint64_t)c->count];
    if (size == 0) return size;
    n = n > size - at ? size - at : n;
    switch (r & 7) {
    case 0:
        data[at] ^= (uint8_t)(1u << (q & 7));
        return size;
    case 1:
        data[at] = odd[q % sizeof odd];
        return size;
    case 2:
        data[at] = (uint8_t)(q >> 16);
        return size;
    case 3: /* cut out */
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 4: /* twice */
        if (size + n > INPUT_MAX) return size;
        memmove(data + at + n, data + at, size - at);
        return size + n;
    case 5: /* from another input */
        for (k = 0; k < n && other_size > 0; k++) data[at + k] = other[(at + k) % other_size];
        return size;
    case 6: /* a number a little off */
        data[at] = (uint8_t)(data[at] + (q % 5) - 2);
        return size;
    default:
        return (q & 63) == 0 ? at : size; /* the end is missing */
    }
}

static size_t mutate(uint8_t *data, const corpus *c, uint64_t *seed)
{
    uint64_t r = dice(seed);
    int which = (int)((r >> 8) % (uint64_t)c->count), times = 1 << (r & 7), k;
    size_t size = c->size[which];
    memcpy(data, c->data[which], size);
    for (k = 0; k < times; k++) size = mutate_once(data, size, c, seed);
    return size;
}

static int fuzz_report(const uint8_t *data, size_t size, const char *format, uint64_t options)
{
    char path[64];
    FILE *f;
    snprintf(path, sizeof path, "fuzz-%s.bin", format);
    f = fopen(path, "wb");
    if (f) {
        fwrite(&options, 1, 8, f);
        fwrite(data, 1, size, f);
        fclose(f);
    }
    printf("%s: decoded in two ways the streams differ; input in %s\n", format, path);
    return 1;
}

/* Before each input, so that one that ends the program can be found. */
static uint8_t last_input[INPUT_MAX];

static int fuzz_run(const char *format, double seconds, uint64_t runs, uint64_t seed)
{
    double start = spk_clock_seconds();
    uint64_t done = 0, options;
    corpus c;
    corpus_load(&c, format);
    if (c.count == 0) {
        printf("%s: nothing in tests/fuzz/corpus/%s\n", format, format);
        return 1;
    }
    seed = seed * 2654435761u + 88172645463325252u;
    while (runs ? done < runs : spk_clock_seconds() - start < seconds) {
        size_t size = mutate(last_input, &c, &seed);
        options = dice(&seed);
        if (!fuzz_one(last_input, size, format, options)) {
            corpus_free(&c);
            return fuzz_report(last_input, size, format, options);
        }
        done++;
    }
    printf("%s: %llu inputs in %.0f s\n", format, (unsigned long long)done,
           spk_clock_seconds() - start);
    fflush(stdout);
    corpus_free(&c);
    return 0;
}

/* Of one format, or of each that has a corpus. */
static int fuzz_formats(const char *format, double seconds, uint64_t runs, uint64_t seed)
{
    const char *names[65];
    int count = 0, bad = 0, k;
    corpus c;
    if (strcmp(format, "all") != 0) return fuzz_run(format, seconds, runs, seed);
    for (k = 0; k < 64 && spki_format_name((spk_event_format)k); k++) {
        corpus_load(&c, spki_format_name((spk_event_format)k));
        if (c.count > 0) names[count++] = spki_format_name((spk_event_format)k);
        corpus_free(&c);
    }
    for (k = 0; k < count; k++) bad += fuzz_run(names[k], seconds / count, runs, seed);
    return bad + (count == 0);
}

static int fuzz_again(const char *format, const char *path)
{
    FILE *f = fopen(path, "rb");
    uint64_t options = 0;
    size_t size = 0;
    int good;
    if (f && fread(&options, 1, 8, f) == 8) size = fread(last_input, 1, INPUT_MAX, f);
    if (f) fclose(f);
    good = fuzz_one(last_input, size, format, options);
    printf("%s %s: %llu bytes\n", good ? "ok" : "FAIL", format, (unsigned long long)size);
    return !good;
}

/* -- the corpus: small streams of every kind of record -- */

static spk_event corpus_events[400];

static void corpus_make(size_t count, uint64_t seed)
{
    int64_t t = 1000;
    size_t k;
    for (k = 0; k < count; k++) {
        uint64_t r = dice(&seed);
        bool row = k > 0 && (r & 3) != 0; /* rows, so that vectors come up */
        if (!row) t += (int64_t)(r >> 8 & 1023);
        memset(&corpus_events[k], 0, sizeof corpus_events[k]);
        corpus_events[k].t_us = t;
        corpus_events[k].x =
            (uint16_t)(row ? (corpus_events[k - 1].x + 1 + (r >> 20 & 3)) % 240 : r >> 24 & 127);
        corpus_events[k].y = row ? corpus_events[k - 1].y : (uint16_t)(r >> 34 & 127);
        corpus_events[k].polarity = (uint8_t)(row ? corpus_events[k - 1].polarity : r >> 50 & 1);
    }
}

/* "evt3/a": into the directory of the format. */
static void corpus_save(const char *name, const void *data, size_t size)
{
    char path[256];
    FILE *f;
    snprintf(path, sizeof path, "tests/fuzz/corpus/%.*s", (int)strcspn(name, "/"), name);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", name);
    f = fopen(path, "wb");
    if (f) fwrite(data, 1, size, f);
    if (f) fclose(f);
}

static bytes corpus_bytes;

static size_t corpus_sink(void *ctx, const void *data, size_t size)
{
    (void)ctx;
    put(&corpus_bytes, data, size);
    return size;
}

static void corpus_written(const char *name, const char *format, bool triggers)
{
    spk_event_writer_desc d = {0};
    spk_event_writer *w;
    corpus_make(400, 5);
    if (triggers)
        for (int k = 20; k < 400; k += 40) {
            corpus_events[k].kind = SPK_EVENT_TRIGGER;
            corpus_events[k].x &= 7;
        }
    d.format = spk_event_format_from_name(format);
    d.width = 240;
    d.height = 180;
    d.write = corpus_sink;
    corpus_bytes.size = 0;
    w = spk_event_writer_open(NULL, &d);
    spk_event_writer_write(w, corpus_events, 400);
    if (spk_event_writer_finish(w) == SPK_OK)
        corpus_save(name, corpus_bytes.at, corpus_bytes.size);
    else
        printf("%s: %s\n", name, spk_event_writer_error(w));
    spk_event_writer_close(w);
}

static void corpus_evt(void)
{
    bytes *b = &corpus_bytes;
    uint32_t k;
    b->size = 0;
    put_text(b, "% format EVT21;width=640;height=480\n% endianness little\n% end\n");
    for (k = 0; k < 60; k++) {
        put32(b, k * 7);
        put32(b, 8u << 28 | k);
        put32(b, 0x11u * (k | 1));
        put32(b, (k & 1) << 28 | (k & 63) << 22 | (k * 9) << 11 | k * 7);
        put32(b, k & 1);
        put32(b, (k % 9 ? 10u : 14u) << 28 | k << 22 | (k % 9 ? 3u << 8 : 0x14u));
    }
    corpus_save("evt21/a", b->at, b->size);
    b->size = 0;
    for (k = 0; k < 90; k++) {
        put32(b, (k % 8 == 0 ? 8u : k & 1) << 28 | (k & 63) << 22 | (k * 3) << 11 | k);
        put32(b, 0x80000001u >> (k & 15));
    }
    corpus_save("evt21/legacy", b->at, b->size);
    b->size = 0;
    put_text(b, "% format EVT4;width=1280;height=720\n");
    for (k = 0; k < 100; k++) {
        put32(b, 14u << 28 | k);
        put32(b, (10 + (k & 1)) << 28 | (k & 63) << 22 | (k * 9) << 11 | k * 7);
        put32(b, (12 + (k & 1)) << 28 | (k & 63) << 22 | (k * 5) << 11 | k * 3);
        put32(b, 14u << 28 | k * 0x1111u);
        if (k % 10 == 0) put32(b, 9u << 28 | 5 << 8 | 1);
        if (k % 10 == 1) put32(b, 6u << 28 | 0x14), put32(b, 7u << 28 | k);
        if (k % 10 == 2) put32(b, 0xffffffffu);
    }
    corpus_save("evt4/a", b->at, b->size);
    b->size = 0;
    put_text(b, "% evt 2.0\n% system_ID 21\n");
    for (k = 0; k < 60; k++) {
        put32(b, 8u << 28 | (k < 30 ? 0x0fffffe0u + k : k));
        put32(b, (k & 1) << 28 | (k & 63) << 22 | (k * 9) << 11 | k * 7);
        if (k % 10 == 0) put32(b, 10u << 28 | 5 << 8 | 1);
        if (k % 10 == 1) put32(b, 14u << 28 | 0x16), put32(b, 15u << 28 | k);
        if (k % 10 == 2)
            for (int i = 0; i < 6; i++) put32(b, (i ? 15u : 13u) << 28 | k << 1);
    }
    corpus_save("evt2/b", b->at, b->size);
    b->size = 0;
    put_text(b, "% evt 3.0\n% system_ID 48\n");
    for (k = 0; k < 100; k++) {
        put16(b, 0x8000 | ((k / 4 + 4080) & 4095)), put16(b, 0x6000 | k * 20), put16(b, k);
        put16(b, 0x2000 | k * 9), put16(b, 0x3000 | k * 8), put16(b, 0x4000 | k * 31);
        put16(b, 0x4fff), put16(b, 0x5081);
        if (k % 10 == 0) put16(b, 0xa301);
        if (k % 10 == 1) put16(b, 0xe014), put16(b, 0xf123), put16(b, 0xf456), put16(b, 0x7007);
    }
    corpus_save("evt3/b", b->at, b->size);
}

static void corpus_others(void)
{
    bytes *b = &corpus_bytes;
    uint32_t k, type;
    for (type = 0; type < 3; type++) {
        static const char *const names[] = {"dat/v1", "dat/triggers", "dat/flow"};
        b->size = 0;
        put_text(b,
                 type == 0 ? "% Version 1\n% Width 304\n% Height 240\n" : "% Version 2\n% end\n");
        put8(b, type == 0 ? 0 : type == 1 ? 14 : 40), put8(b, type == 2 ? 28 : 8);
        for (k = 0; k < 60; k++) {
            put32(b, k < 30 ? 0xffffff00u + k * 9 : k), put32(b, k * 0x01010101u);
            for (int i = 0; type == 2 && i < 5; i++) put32(b, k);
        }
        corpus_save(names[type], b->at, b->size);
    }
    for (type = 0; type < 3; type++) {
        static const uint8_t codes[] = {0, 2, 4};
        static const char *const names[] = {"es/generic", "es/atis", "es/colour"};
        b->size = 0;
        put_text(b, "Event Stream\x02"), put16(b, 0), put8(b, codes[type]);
        if (type > 0) put16(b, 320), put16(b, 240);
        for (k = 0; k < 80; k++) {
            if (k % 7 == 0) put8(b, 0xff);
            if (k % 9 == 0) put8(b, 0xfe);
            put8(b, k * 3);
            if (type == 0) {
                put8(b, (k % 20) << 1);
                for (uint32_t i = 0; i < k % 20; i++) put8(b, i);
            } else
                put16(b, k), put16(b, k * 2);
            if (type == 2) put8(b, 1), put8(b, 2), put8(b, 3);
        }
        corpus_save(names[type], b->at, b->size);
    }
}

static int corpus_write(void)
{
    corpus_written("evt2/a", "evt2", true);
    corpus_written("evt3/a", "evt3", true);
    corpus_written("dat/a", "dat", false);
    corpus_written("es/a", "es", false);
    corpus_written("nmnist/a", "nmnist", false);
    corpus_evt();
    corpus_others();
    return 0;
}

int main(int argc, char **argv)
{
    bool runs = argc == 4 && strcmp(argv[1], "--runs") == 0;
    const char *format = runs ? argv[2] : argc > 1 ? argv[1] : "";
    double amount = argc < 3 ? 0 : atof(runs ? argv[3] : argv[2]);
    if (argc == 2 && strcmp(argv[1], "--corpus") == 0) return corpus_write();
    if (argc == 4 && strcmp(argv[1], "--one") == 0) return fuzz_again(argv[2], argv[3]);
    if (amount <= 0) {
        puts("fuzz_events FORMAT SECONDS [SEED] | --runs FORMAT COUNT | --one FORMAT FILE | "
             "--corpus");
        return 2;
    }
    return fuzz_formats(format, amount, runs ? (uint64_t)amount : 0,
                        argc > 3 && !runs ? strtoull(argv[3], NULL, 10) : 1) != 0;
}
#endif
