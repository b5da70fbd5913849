/* Event recordings of real cameras: every fact that ../shared/data/events/README.md states about
   those of this part, on every instruction set, whole and cut at their real packet boundaries. */
#include "../spikelib.h"

#include "events.h"

static const spk_isa isas[] = {SPK_ISA_SCALAR, SPK_ISA_AVX2, SPK_ISA_AVX512};

typedef struct fact {
    const char *file, *format;
    uint32_t width, height;
    uint64_t n, on;
    int64_t first, last, sum_t; /* sum_t 0: not stated */
    uint64_t sum_x, sum_y, triggers;
} fact;

/* The README's table and its sums; y of ES as stored. */
static const fact facts[] = {
    {"vga640_triggers.evt3.raw", "evt3", 640, 480, 343474, 125183, 7139845, 9218023, 2851601611994,
     116731888, 80879209, 4157},
    {"gen41_vectors.evt3.raw", "evt3", 1280, 720, 219596, 115532, 11718656, 11727457, 2574324900467,
     159113225, 85638051, 0},
    {"gen3.evt2.raw", "evt2", 640, 480, 521252, 185861, 913716224, 913812095, 476298094656969,
     128979953, 216346680, 0},
    {"ncars_sample.dat", "dat", 0, 0, 2009, 1350, 0, 99952, 0, 0, 0, 0},
    {"dvs.es", "es", 320, 240, 473225, 270001, 0, 999000, 200862071000, 72946016, 57092979, 0},
    {"nmnist_sample.bin", "nmnist", 0, 0, 4325, 2145, 654, 311175, 0, 0, 0, 0}};

static int open_fact(const fact *f, char *path, size_t size)
{
    char name[128];
    snprintf(name, sizeof name, "data/events/%s", f->file);
    return check_shared(name, path, size) != NULL;
}

static void check_fact(const fact *f, const heard *h)
{
    int64_t sum_t = 0;
    uint64_t sum_x = 0, sum_y = 0, on = 0;
    size_t k;
    for (k = 0; k < h->count; k++) {
        sum_t += h->events[k].t_us;
        sum_x += h->events[k].x;
        sum_y += h->events[k].y;
        on += h->events[k].polarity;
    }
    CHECK_EQ(h->result, SPK_OK);
    CHECK_STR(h->error, "");
    CHECK_STR(spk_event_format_name(h->stats.format), f->format);
    CHECK_EQ(h->stats.width, f->width);
    CHECK_EQ(h->stats.height, f->height);
    CHECK_EQ(h->count, f->n);
    CHECK_EQ(h->stats.events, f->n);
    CHECK_EQ(on, f->on);
    CHECK_EQ(h->stats.on, f->on);
    CHECK_EQ(h->stats.off, f->n - f->on);
    CHECK_EQ(h->stats.bytes_skipped, 0);
    CHECK_EQ(h->stats.dropped, 0);
    CHECK_EQ(h->stats.t_first_us, f->first);
    CHECK_EQ(h->stats.t_last_us, f->last);
    REQUIRE(h->count > 0);
    CHECK_EQ(h->events[0].t_us, f->first);
    CHECK_EQ(h->events[h->count - 1].t_us, f->last);
    if (f->sum_t) {
        CHECK_EQ(sum_t, f->sum_t);
        CHECK_EQ(sum_x, f->sum_x);
        CHECK_EQ(sum_y, f->sum_y);
    }
    CHECK_EQ(h->stats.triggers, f->triggers);
    CHECK_EQ(h->trigger_count, f->triggers);
}

TEST(every_fact_of_the_recordings_on_every_instruction_set)
{
    size_t k, i;
    char path[512];
    for (k = 0; k < sizeof facts / sizeof facts[0]; k++) {
        if (!open_fact(&facts[k], path, sizeof path)) SKIP("no ../shared/data/events");
        for (i = 0; i < 3; i++) {
            spk_events_desc d = {0};
            heard h;
            if (!spk_isa_available(isas[i])) continue;
            d.isa = isas[i];
            d.as_stored = true;
            h = hear_file(path, d, 4096);
            check_fact(&facts[k], &h);
            heard_free(&h);
        }
    }
}

TEST(first_and_last_events_of_recordings)
{
    char path[512];
    spk_events_desc d = {0};
    heard h;
    if (!open_fact(&facts[3], path, sizeof path)) SKIP("no ../shared/data/events");
    h = hear_file(path, d, 100);
    REQUIRE(h.count == 2009);
    CHECK_EQ(h.events[0].x, 25);
    CHECK_EQ(h.events[0].y, 8);
    CHECK_EQ(h.events[0].polarity, 0);
    CHECK_EQ(h.events[2008].x, 75);
    CHECK_EQ(h.events[2008].y, 28);
    CHECK_EQ(h.events[2008].polarity, 1);
    heard_free(&h);
    if (!open_fact(&facts[5], path, sizeof path)) SKIP("no ../shared/data/events");
    h = hear_file(path, d, 100);
    REQUIRE(h.count == 4325);
    CHECK_EQ(h.events[0].x, 7);
    CHECK_EQ(h.events[0].y, 15);
    CHECK_EQ(h.events[0].polarity, 1);
    heard_free(&h);
    if (!open_fact(&facts[4], path, sizeof path)) SKIP("no ../shared/data/events");
    d.as_stored = true;
    h = hear_file(path, d, 4096);
    CHECK_EQ(h.events[0].x, 0);
    CHECK_EQ(h.events[0].y, 239);
    heard_free(&h);
    d.as_stored = false; /* ES counts rows from the bottom */
    h = hear_file(path, d, 4096);
    CHECK_EQ(h.events[0].y, 0);
    heard_free(&h);
}

TEST(triggers_of_a_recording)
{
    char path[512];
    spk_events_desc d = {0};
    size_t k, high = 0, in_stream = 0;
    heard h;
    if (!open_fact(&facts[0], path, sizeof path)) SKIP("no ../shared/data/events");
    d.triggers_in_stream = true;
    h = hear_file(path, d, 4096);
    CHECK_EQ(h.trigger_count, 4157);
    CHECK_EQ(h.trigger_t, 33999437880);
    CHECK_EQ(h.triggers[0].t_us, 7139840);
    CHECK_EQ(h.triggers[0].channel, 6);
    CHECK_EQ(h.triggers[0].edge, 1);
    for (k = 0; k < h.count; k++) {
        if (h.events[k].kind != SPK_EVENT_TRIGGER) continue;
        CHECK_EQ(h.events[k].x, 6);
        in_stream++;
        high += h.events[k].polarity;
    }
    CHECK_EQ(in_stream, 4157);
    CHECK_EQ(high, 2079);
    CHECK_EQ(h.count, 343474 + 4157);
    CHECK_EQ(h.stats.events, 343474);
    CHECK_EQ(h.stats.on, 125183);
    CHECK_EQ(h.stats.t_first_us, 7139845);
    heard_free(&h);
}

static uint8_t *slurp(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = (uint8_t *)malloc(1 << 23);
    *size = f && data ? fread(data, 1, 1 << 23, f) : 0;
    if (f) fclose(f);
    return data;
}

/* Lengths of the USB packets, after the header. */
static size_t next_packet(void *ctx, size_t at)
{
    FILE *f = (FILE *)ctx;
    char line[128];
    unsigned long offset, length;
    if (at == 0) return 111;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%*u,%*u,%lu,%lu", &offset, &length) == 2) return length;
    return (size_t)1 << 30;
}

TEST(real_packet_boundaries_make_no_difference)
{
    char path[512], table[512];
    spk_events_desc d = {0};
    uint8_t *data;
    size_t size;
    heard whole, pieces;
    FILE *f;
    if (!open_fact(&facts[0], path, sizeof path) ||
        !check_shared("data/events/vga640_triggers.evt3.packets.csv", table, sizeof table))
        SKIP("no ../shared/data/events");
    data = slurp(path, &size);
    f = fopen(table, "r");
    whole = hear_file(path, d, 4096);
    pieces = hear_pieces(data, size, d, 4096, next_packet, f);
    CHECK_EQ(pieces.count, 343474);
    CHECK(heard_same(&whole, &pieces));
    heard_free(&whole);
    heard_free(&pieces);
    fclose(f);
    free(data);
}

static size_t random_piece(void *ctx, size_t at)
{
    uint64_t r = dice((uint64_t *)ctx);
    (void)at;
    return (size_t)(r >> 32) % ((r & 1) ? 7 : 3000);
}

TEST(random_pieces_and_capacities_make_no_difference)
{
    char path[512];
    size_t k, size;
    for (k = 0; k < sizeof facts / sizeof facts[0]; k++) {
        spk_events_desc d = {0};
        uint64_t seed = 77 + k;
        uint8_t *data;
        heard whole, pieces;
        if (!open_fact(&facts[k], path, sizeof path)) SKIP("no ../shared/data/events");
        data = slurp(path, &size);
        if (size > 400000) size = 400000; /* cut anywhere */
        d.format = spk_event_format_from_name(facts[k].format);
        whole = hear(data, size, d);
        pieces =
            hear_pieces(data, size, d, 1 + (size_t)(dice(&seed) >> 32) % 900, random_piece, &seed);
        CHECK(whole.count > 0);
        CHECK(heard_same(&whole, &pieces));
        heard_free(&whole);
        heard_free(&pieces);
        free(data);
    }
}

TEST(the_header_is_not_needed_where_the_content_or_the_caller_tells)
{
    static const size_t header[] = {111, 166, 166};
    static const char *const names[] = {"headless.raw", "headless.evt3", "headless.raw"};
    char path[512], copy[512];
    size_t k, size;
    for (k = 0; k < 3; k++) {
        spk_events_desc d = {0};
        uint8_t *data;
        heard h;
        FILE *f;
        if (!open_fact(&facts[k], path, sizeof path)) SKIP("no ../shared/data/events");
        data = slurp(path, &size);
        check_tmp(names[k], copy, sizeof copy);
        f = fopen(copy, "wb");
        REQUIRE(f != NULL);
        fwrite(data + header[k], 1, size - header[k], f);
        fclose(f);
        h = hear_file(copy, d, 4096); /* by content and name */
        CHECK_EQ(h.count, facts[k].n);
        CHECK_STR(spk_event_format_name(h.stats.format), facts[k].format);
        CHECK_EQ(h.stats.width, 0);
        heard_free(&h);
        d.format = spk_event_format_from_name(facts[k].format);
        h = hear(data + header[k], size - header[k], d);
        CHECK_EQ(h.count, facts[k].n);
        heard_free(&h);
        remove(copy);
        free(data);
    }
}

/* Everything of a recording through a writer and back, in the order of the file where its times
   allow. */
TEST(recordings_come_back_from_every_writer)
{
    static const char *const to[] = {"evt2", "evt3", "dat", "es"};
    char path[512], copy[512], name[64];
    size_t k, w, i;
    for (k = 0; k < 5; k++) {
        spk_events_desc d = {0};
        heard h;
        if (!open_fact(&facts[k], path, sizeof path)) SKIP("no ../shared/data/events");
        h = hear_file(path, d, 4096);
        for (i = 1; i < h.count; i++) /* writers refuse times that run back */
            if (h.events[i].t_us < h.events[i - 1].t_us) h.events[i].t_us = h.events[i - 1].t_us;
        for (w = 0; w < 4; w++) {
            spk_event_writer_desc out = {0};
            spk_event_writer *writer;
            heard back;
            out.width = facts[k].width ? facts[k].width : 100;
            out.height = facts[k].height ? facts[k].height : 100;
            snprintf(name, sizeof name, "round.%s", to[w]);
            check_tmp(name, copy, sizeof copy);
            writer = spk_event_writer_open(copy, &out);
            CHECK_EQ(spk_event_writer_write(writer, h.events, h.count), SPK_OK);
            CHECK_EQ(spk_event_writer_finish(writer), SPK_OK);
            CHECK_STR(spk_event_writer_error(writer), "");
            CHECK_EQ(spk_event_writer_written(writer), h.count);
            spk_event_writer_close(writer);
            back = hear_file(copy, d, 4096);
            CHECK_STR(spk_event_format_name(back.stats.format), to[w]);
            CHECK_EQ(back.stats.width, out.width);
            CHECK_EQ(back.stats.bytes_skipped, 0);
            CHECK_EQ(back.count, h.count);
            CHECK(back.count == h.count &&
                  memcmp(back.events, h.events, h.count * sizeof *h.events) == 0);
            heard_free(&back);
            remove(copy);
        }
        heard_free(&h);
    }
}

TEST_MAIN()
