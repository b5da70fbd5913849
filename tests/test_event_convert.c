/* What is written as AEDAT4, CSV, text and NPY: byte by byte, and read back. check: with lz4 */
#include "spikelib.h"

#include "stream.h"

typedef struct sink {
    uint8_t data[1 << 20];
    size_t size, most;
} sink;

static sink s;

static size_t take(void *ctx, const void *data, size_t size)
{
    sink *to = (sink *)ctx;
    if (size > to->most - to->size) size = to->most - to->size;
    memcpy(to->data + to->size, data, size);
    to->size += size;
    return size;
}

/* A walk over a sensor of 640 x 480, every 97th event a trigger if there are to be any. */
static size_t walk(spk_event *e, size_t n, int triggers)
{
    uint32_t key[2] = {7, 11};
    size_t k;
    memset(e, 0, n * sizeof *e);
    for (k = 0; k < n; k++) {
        uint32_t counter[4] = {0, 0, 0, 0}, r[4];
        counter[0] = (uint32_t)k;
        spk_philox4x32(counter, key, r);
        e[k].t_us = 1700000000000000 + (int64_t)(k * 3 / 2);
        if (triggers && k % 97 == 5) {
            e[k].kind = SPK_EVENT_TRIGGER;
            e[k].polarity = (uint8_t)(r[2] & 1);
            continue;
        }
        e[k].x = (uint16_t)(r[0] % 640);
        e[k].y = (uint16_t)(r[1] % 480);
        e[k].polarity = (uint8_t)(r[2] & 1);
    }
    return n;
}

static int same(const spk_event *a, const spk_event *b, size_t n)
{
    size_t k;
    for (k = 0; k < n; k++)
        if (memcmp(&a[k], &b[k], sizeof a[k]) != 0) return 0;
    return 1;
}

/* Triggers come in packets of their own: those that follow events in the file precede some. */
static size_t only(const spk_event *from, size_t n, spk_event_kind kind, spk_event *to)
{
    size_t k, m = 0;
    for (k = 0; k < n; k++)
        if (from[k].kind == kind) to[m++] = from[k];
    return m;
}

enum { MANY = 20000 };
static spk_event in[MANY], back[MANY + 64], left[MANY], right[MANY];

/* To a file and back. */
static void round_trip(const char *name, spk_event_writer_desc desc, int triggers)
{
    char path[512];
    spk_event_writer *w;
    spk_events_desc rd = {0};
    spk_event_stats stats;
    spk_events *r;
    size_t n = walk(in, MANY, triggers), k, got = 0, a, b;
    w = spk_event_writer_open(check_tmp(name, path, sizeof path), &desc);
    for (k = 0; k < n; k += 777) /* in pieces */
        CHECK_EQ(spk_event_writer_write(w, in + k, n - k < 777 ? n - k : 777), SPK_OK);
    CHECK_EQ(spk_event_writer_finish(w), SPK_OK);
    CHECK_STR(spk_event_writer_error(w), "");
    CHECK_EQ(spk_event_writer_written(w), n);
    spk_event_writer_close(w);
    rd.triggers_in_stream = true;
    r = spk_events_open(path, &rd);
    while (got < MANY + 1 && (k = spk_events_read(r, back + got, MANY + 64 - got)) > 0) got += k;
    CHECK_STR(spk_events_error(r), "");
    spk_events_get_stats(r, &stats);
    CHECK_EQ(got, n);
    CHECK(stats.bytes_skipped == 0 && stats.violations == 0 && stats.dropped == 0);
    if (desc.width) CHECK_EQ(stats.width, desc.width);
    a = only(in, n, SPK_EVENT_CD, left);
    b = only(back, got, SPK_EVENT_CD, right);
    CHECK(a == b && same(left, right, a));
    a = only(in, n, SPK_EVENT_TRIGGER, left);
    b = only(back, got, SPK_EVENT_TRIGGER, right);
    CHECK(a == b && same(left, right, a));
    spk_events_close(r);
    remove(path);
}

TEST(round_trips_through_every_writer)
{
    spk_event_writer_desc desc = {0};
    round_trip("convert.csv", desc, 1);
    round_trip("convert.txt", desc, 1);
    round_trip("convert.npy", desc, 0);
    round_trip("convert.aedat4", desc, 1);
    desc.width = 640;
    desc.height = 480;
    round_trip("convert.csv", desc, 1);
    round_trip("convert.txt", desc, 1);
    round_trip("convert.aedat4", desc, 1);
}

TEST(round_trip_through_lz4)
{
    spk_event_writer_desc desc = {0};
    desc.lz4 = true;
#ifdef SPIKELIB_LZ4
    round_trip("packed.aedat4", desc, 1);
#else
    {
        char path[512];
        spk_event_writer *w;
        w = spk_event_writer_open(check_tmp("packed.aedat4", path, sizeof path), &desc);
        CHECK_HAS(spk_event_writer_error(w), "SPIKELIB_LZ4");
        spk_event_writer_close(w);
        remove(path);
    }
#endif
}

static void write_two(spk_event_format format, size_t most)
{
    spk_event_writer_desc desc = {0};
    spk_event_writer *w;
    memset(in, 0, sizeof *in * 2);
    in[0].t_us = 1000001;
    in[0].x = 3;
    in[0].y = 40;
    in[0].polarity = 1;
    in[1].t_us = 2000000;
    in[1].x = 65535;
    s.size = 0;
    s.most = most;
    desc.format = format;
    desc.write = take;
    desc.write_ctx = &s;
    w = spk_event_writer_open(NULL, &desc);
    spk_event_writer_write(w, in, 2);
    spk_event_writer_finish(w);
    spk_event_writer_close(w);
    s.data[s.size] = 0;
}

TEST(text_is_what_it_should_be)
{
    write_two(SPK_FORMAT_CSV, 1000);
    CHECK_STR((char *)s.data, "t,x,y,p\n1000001,3,40,1\n2000000,65535,0,0\n");
    write_two(SPK_FORMAT_TEXT, 1000);
    CHECK_STR((char *)s.data, "1.000001 3 40 1\n2.000000 65535 0 0\n");
}

TEST(npy_begins_with_the_number_of_its_events)
{
    char path[512];
    spk_event_writer_desc desc = {0};
    spk_event_writer *w = spk_event_writer_open(check_tmp("head.npy", path, sizeof path), NULL);
    uint8_t *data;
    size_t size = 0;
    walk(in, 3, 0);
    spk_event_writer_write(w, in, 3);
    CHECK_EQ(spk_event_writer_finish(w), SPK_OK);
    spk_event_writer_close(w);
    data = stream_load(path, &size);
    REQUIRE(data != NULL);
    CHECK_EQ(size, 192 + 3 * 16);
    CHECK(memcmp(data, "\x93NUMPY\x01\x00\xb6\x00{'descr': [('x', '<u2'), ('y', '<u2'), "
                       "('p', '<i2'), ('', '|V2'), ('t', '<i8')], 'fortran_order': False, "
                       "'shape': (3,), }  ",
                 124) == 0);
    CHECK(data[191] == '\n' && data[190] == ' ');
    free(data);
    remove(path);
    desc.format = SPK_FORMAT_NPY;
    desc.write = take;
    desc.write_ctx = &s;
    w = spk_event_writer_open(NULL, &desc);
    CHECK_HAS(spk_event_writer_error(w), "it needs a file");
    spk_event_writer_close(w);
}

static uint64_t le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n > 0) v = v << 8 | p[--n];
    return v;
}

/* A file of 5,000 events and 2 triggers against the format's description, byte by byte. */
TEST(aedat4_is_laid_out_as_described)
{
    char path[512];
    spk_event_writer_desc desc = {0};
    spk_event_writer *w;
    uint8_t *data;
    size_t size = 0, at, end, count = 0, k, packets = 0;
    const uint8_t *root, *table;
    desc.width = 346;
    desc.height = 260;
    memset(in, 0, sizeof in);
    for (k = 0; k < 5002; k++) {
        in[k].t_us = (int64_t)k;
        in[k].x = 345;
        in[k].y = 259;
        in[k].kind = k == 10 || k == 5000 ? SPK_EVENT_TRIGGER : SPK_EVENT_CD;
        in[k].polarity = 1;
    }
    w = spk_event_writer_open(check_tmp("layout.aedat4", path, sizeof path), &desc);
    spk_event_writer_write(w, in, 5002);
    CHECK_EQ(spk_event_writer_finish(w), SPK_OK);
    spk_event_writer_close(w);
    data = stream_load(path, &size);
    REQUIRE(data != NULL && size > 80000);
    CHECK(memcmp(data, "#!AER-DAT4.0\r\n", 14) == 0);
    root = data + 18; /* of the header */
    table = root + le(root, 4);
    CHECK(memcmp(root + 4, "IOHE", 4) == 0);
    CHECK_EQ(le(table - le(table, 4), 2), 10);
    CHECK_EQ(le(table + le(table - le(table, 4) + 4, 2), 4), 0); /* not compressed */
    end = (size_t)le(table + le(table - le(table, 4) + 6, 2), 8);
    REQUIRE(end < size && (size_t)(table - data) % 8 == 2); /* 14 + 4 more than a multiple of 8 */
    at = 18 + (size_t)le(data + 14, 4);
    CHECK(strstr((char *)data + 66, "<attr key=\"typeIdentifier\" type=\"string\">EVTS<") != NULL);
    CHECK(strstr((char *)data + 66, "<attr key=\"sizeX\" type=\"int\">346<") != NULL);
    while (at < end) {
        const uint8_t *p = data + at + 8;
        size_t bytes = (size_t)le(data + at + 4, 4);
        CHECK_EQ(le(p, 4), bytes - 4);
        if (le(data + at, 4) == 0) {
            CHECK(memcmp(p + 8, "EVTS", 4) == 0);
            CHECK_EQ(bytes, 32 + 16 * le(p + 28, 4));
            count += (size_t)le(p + 28, 4);
            CHECK(le(p + 32 + 8, 2) == 345 && le(p + 32 + 10, 2) == 259 && p[32 + 12] == 1);
        } else {
            CHECK_EQ(le(data + at, 4), 1);
            CHECK(memcmp(p + 8, "TRIG", 4) == 0);
            count += (size_t)le(p + 28, 4);
        }
        packets++;
        at += 8 + bytes;
    }
    CHECK_EQ(at, end);
    CHECK_EQ(count, 5002);
    /* The table: every packet's place, size, number and times. */
    CHECK(memcmp(data + end + 8, "FTAB", 4) == 0);
    CHECK_EQ(le(data + end, 4), size - end - 4);
    CHECK_EQ(le(data + end + 28, 4), packets);
    at = 18 + (size_t)le(data + 14, 4);
    for (k = 0, count = 0; k < packets; k++) {
        const uint8_t *here = data + end + 32 + 4 * k, *t = here + le(here, 4), *v = t - le(t, 4);
        CHECK_EQ(le(v, 2), 14);
        CHECK_EQ((size_t)(t + le(v + 4, 2) - (data + end)) % 8, 0);
        CHECK_EQ(le(t + le(v + 4, 2), 8), at + 8);
        CHECK_EQ(le(t + le(v + 6, 2), 8), le(data + at, 8));
        count += (size_t)le(t + le(v + 8, 2), 8);
        if (k == 0) CHECK(le(t + le(v + 10, 2), 8) == 0 && le(t + le(v + 12, 2), 8) == 4096);
        at += 8 + (size_t)le(data + at + 4, 4);
    }
    CHECK_EQ(count, 5002);
    free(data);
    remove(path);
}

/* Without a file there is no table, and the stream reads all the same. */
TEST(aedat4_as_a_stream)
{
    spk_event_writer_desc desc = {0};
    spk_event_writer *w;
    stream_result r;
    walk(in, MANY, 1);
    s.size = 0;
    s.most = sizeof s.data;
    desc.format = SPK_FORMAT_AEDAT4;
    desc.write = take;
    desc.write_ctx = &s;
    w = spk_event_writer_open(NULL, &desc);
    spk_event_writer_write(w, in, MANY);
    CHECK_EQ(spk_event_writer_finish(w), SPK_OK);
    spk_event_writer_close(w);
    r = stream_bytes(s.data, s.size, NULL, 1000, 1000, 4096);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.events + r.triggers, MANY);
    CHECK_EQ(r.skipped, 0);
}

TEST(what_cannot_be_held_is_named_and_what_came_before_is_written)
{
    spk_event_writer_desc desc = {0};
    spk_event_writer *w;
    stream_result r;
    walk(in, 100, 0);
    in[60].x = 40000;
    s.size = 0;
    s.most = sizeof s.data;
    desc.format = SPK_FORMAT_AEDAT4;
    desc.write = take;
    desc.write_ctx = &s;
    w = spk_event_writer_open(NULL, &desc);
    CHECK_EQ((uint64_t)(int64_t)spk_event_writer_write(w, in, 100),
             (uint64_t)(int64_t)SPK_ERR_RANGE);
    CHECK_HAS(spk_event_writer_error(w), "event 60 (");
    CHECK_HAS(spk_event_writer_error(w), "x 40000");
    spk_event_writer_finish(w);
    CHECK_EQ(spk_event_writer_written(w), 60);
    spk_event_writer_close(w);
    r = stream_bytes(s.data, s.size, NULL, s.size, 0, 4096);
    CHECK_EQ(r.events, 60);
    write_two(SPK_FORMAT_CSV, 20); /* the sink is full */
    CHECK_EQ(s.size, 20);
}

TEST(full_disk_says_how_many_events_are_there)
{
    spk_event_writer_desc desc = {0};
    spk_event_writer *w;
    FILE *f = fopen("/dev/full", "wb");
    size_t k;
    if (!f) SKIP("no /dev/full");
    fclose(f);
    walk(in, MANY, 0);
    desc.format = SPK_FORMAT_NPY;
    w = spk_event_writer_open("/dev/full", &desc);
    for (k = 0; k < 10; k++) spk_event_writer_write(w, in, MANY);
    CHECK_EQ((uint64_t)(int64_t)spk_event_writer_status(w), (uint64_t)(int64_t)SPK_ERR_IO);
    CHECK_HAS(spk_event_writer_error(w), "holds the first 0 events");
    spk_event_writer_close(w);
}

TEST_MAIN()
