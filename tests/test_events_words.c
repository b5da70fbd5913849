/* Streams made by hand, word by word from the formats' descriptions: wraps, steps back, unfinished
   vectors, what is outside of the sensor, headers of all ages, cut at every byte. */
#include "../spikelib.h"

#include "budget.h"
#include "events.h"

static uint32_t word_of(const uint8_t *p) /* little-endian */
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t first_cut(void *ctx, size_t at)
{
    return at == 0 ? *(size_t *)ctx : (size_t)1 << 20;
}
static size_t every_byte(void *ctx, size_t at)
{
    (void)ctx;
    (void)at;
    return 1;
}

/* Decodes; cut after each byte in turn, after every byte, and on each instruction set it has to be
   the same. */
static heard decode(const bytes *b, spk_events_desc d)
{
    static const spk_isa isas[] = {SPK_ISA_AVX2, SPK_ISA_AVX512};
    heard whole, other;
    size_t k;
    d.isa = SPK_ISA_SCALAR;
    whole = hear(b->at, b->size, d);
    for (k = 0; k < 2; k++) {
        if (!spk_isa_available(isas[k])) continue;
        d.isa = isas[k];
        other = hear(b->at, b->size, d);
        CHECK(heard_same(&whole, &other));
        heard_free(&other);
    }
    other = hear_pieces(b->at, b->size, d, 3, every_byte, NULL);
    CHECK(heard_same(&whole, &other));
    heard_free(&other);
    for (k = 1; k <= b->size && k < 3000; k++) {
        other = hear_pieces(b->at, b->size, d, 64, first_cut, &k);
        if (!heard_same(&whole, &other)) {
            printf("cut after %u bytes\n", (unsigned)k);
            CHECK(!"the same when cut");
            k = b->size;
        }
        heard_free(&other);
    }
    return whole;
}

static const spk_events_desc everything = {0};

static heard decode_as(const bytes *b, spk_event_format format)
{
    spk_events_desc d = {0};
    d.format = format;
    return decode(b, d);
}

static void check_event(const heard *h, size_t k, int64_t t, unsigned x, unsigned y, unsigned on)
{
    if (k >= h->count) {
        CHECK(k < h->count);
        return;
    }
    CHECK_EQ(h->events[k].t_us, t);
    CHECK_EQ(h->events[k].x, x);
    CHECK_EQ(h->events[k].y, y);
    CHECK_EQ(h->events[k].polarity, on);
    CHECK_EQ(h->events[k].kind, SPK_EVENT_CD);
}

static bytes stream;

/* -- EVT3 -- */

enum {
    Y = 0x0000,
    X = 0x2000,
    BASE = 0x3000,
    V12 = 0x4000,
    V8 = 0x5000,
    LOW = 0x6000,
    C4 = 0x7000
};
enum { HIGH = 0x8000, TRIG = 0xa000, OTHERS = 0xe000, C12 = 0xf000, ON = 0x800 };

static bytes *evt3(int count, const unsigned *words)
{
    int k;
    stream.size = 0;
    for (k = 0; k < count; k++) put16(&stream, words[k]);
    return &stream;
}
#define WORDS(...)                                                                                 \
    (int)(sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned)), (unsigned[])                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

TEST(evt3_time_low_may_run_back_and_is_never_a_wrap)
{
    heard h = decode_as(
        evt3(WORDS(HIGH | 5, LOW | 811, Y | 7, X | ON | 9, LOW | 800, X | 10, HIGH | 5, X | 11)),
        SPK_FORMAT_EVT3);
    CHECK_EQ(h.count, 3);
    check_event(&h, 0, 5 * 4096 + 811, 9, 7, 1);
    check_event(&h, 1, 5 * 4096 + 800, 10, 7, 0);
    check_event(&h, 2, 5 * 4096 + 800, 11, 7, 0); /* a repeated TIME_HIGH changes nothing */
    CHECK_EQ(h.stats.violations, 0);
    heard_free(&h);
}

TEST(evt3_a_new_time_high_begins_at_low_zero)
{
    heard h =
        decode_as(evt3(WORDS(HIGH | 5, LOW | 811, Y | 7, X | 9, HIGH | 6, X | 9)), SPK_FORMAT_EVT3);
    check_event(&h, 1, 6 * 4096, 9, 7, 0);
    heard_free(&h);
}

TEST(evt3_time_goes_on_across_wraps)
{
    heard h = decode_as(evt3(WORDS(HIGH | 4095, LOW | 4095, Y | 1, X | 1, HIGH | 0, LOW | 1, X | 2,
                                   HIGH | 2047, X | 3, HIGH | 4000, X | 4, HIGH | 3, X | 5)),
                        SPK_FORMAT_EVT3);
    CHECK_EQ(h.count, 5);
    check_event(&h, 0, (1 << 24) - 1, 1, 1, 0);
    check_event(&h, 1, (1 << 24) + 1, 2, 1, 0);
    check_event(&h, 2, (1 << 24) + 2047 * 4096, 3, 1, 0);
    check_event(&h, 3, (1 << 24) + 4000 * 4096, 4, 1, 0);
    check_event(&h, 4, (2 << 24) + 3 * 4096, 5, 1, 0);
    CHECK_EQ(h.stats.violations, 0);
    heard_free(&h);
}

TEST(evt3_a_small_step_back_of_time_high_keeps_the_time)
{
    heard h = decode_as(evt3(WORDS(HIGH | 100, LOW | 7, Y | 1, X | 1, HIGH | 99, X | 2, HIGH | 101,
                                   X | 3, HIGH | 0, LOW | 0, X | 4)),
                        SPK_FORMAT_EVT3);
    CHECK_EQ(h.count, 4);
    check_event(&h, 1, 100 * 4096 + 7, 2, 1, 0);
    check_event(&h, 2, 101 * 4096, 3, 1, 0);
    check_event(&h, 3, 0, 4, 1, 0); /* too large for jitter, too small for a wrap: believed */
    CHECK_EQ(h.stats.violations, 2);
    heard_free(&h);
    h = decode_as(evt3(WORDS(HIGH | 4095, LOW | 9, Y | 1, X | 1, HIGH | 0, X | 2, HIGH | 4095,
                             X | 3, HIGH | 1, X | 4)),
                  SPK_FORMAT_EVT3);
    check_event(&h, 2, 1 << 24, 3, 1, 0); /* back across the wrap */
    check_event(&h, 3, (1 << 24) + 4096, 4, 1, 0);
    heard_free(&h);
}

TEST(evt3_a_stream_may_begin_anywhere)
{
    heard h = decode_as(evt3(WORDS(X | 3, V12 | 7, LOW | 5, Y | 9, X | 4, HIGH | 2, LOW | 1, V8 | 3,
                                   BASE | 40, V8 | 3)),
                        SPK_FORMAT_EVT3);
    CHECK_EQ(h.count, 2); /* only the last vector has a time, a row and a base */
    check_event(&h, 0, 2 * 4096 + 1, 40, 9, 0);
    CHECK_EQ(h.stats.dropped, 2 + 3 + 2);
    heard_free(&h);
    h = decode_as(evt3(WORDS(HIGH | 2, X | 3, Y | 4, X | 5)), SPK_FORMAT_EVT3);
    CHECK_EQ(h.count, 1); /* no row before the first */
    check_event(&h, 0, 2 * 4096, 5, 4, 0);
    heard_free(&h);
}

TEST(evt3_each_vector_word_counts_by_itself)
{
    heard h = decode_as(
        evt3(WORDS(HIGH | 1, Y | 3, BASE | ON | 100, V12 | 0x801, V12 | 1, V8 | 0x80, V12 | 2,
                   LOW | 6, V8 | 0xf01, X | 7, V8 | 1, BASE | 8, X | 1, V12 | 1)),
        SPK_FORMAT_EVT3);
    CHECK_EQ(h.count, 10);
    check_event(&h, 9, 4102, 8, 3, 0);
    check_event(&h, 0, 4096, 100, 3, 1);
    check_event(&h, 1, 4096, 111, 3, 1);
    check_event(&h, 2, 4096, 112, 3, 1);
    check_event(&h, 3, 4096, 100 + 24 + 7, 3, 1);
    check_event(&h, 4, 4096, 100 + 32 + 1, 3, 1);
    check_event(&h, 5, 4102, 100 + 44, 3, 1); /* a time between, an unfinished triple */
    check_event(&h, 6, 4102, 7, 3, 0);
    CHECK_EQ(h.events[7].x, 100 + 52);
    check_event(&h, 8, 4102, 1, 3, 0);
    heard_free(&h);
}

/* Many words, so that all ways through the decoder are taken. */
TEST(evt3_pixels_outside_of_the_sensor_are_dropped_one_by_one)
{
    spk_events_desc d = {0};
    int k;
    heard h;
    stream.size = 0;
    put16(&stream, HIGH | 1);
    for (k = 0; k < 40; k++) {
        put16(&stream, Y | 10);
        put16(&stream, X | 50);
        put16(&stream, BASE | 40), put16(&stream, V12 | 0xfff), put16(&stream, V12 | 0xfff);
        put16(&stream, V8 | 0xff);
        put16(&stream, X | 60); /* outside */
        put16(&stream, Y | 30); /* outside, and what follows with it */
        put16(&stream, X | 1), put16(&stream, V8 | 1);
    }
    d.format = SPK_FORMAT_EVT3;
    d.width = 60;
    d.height = 30;
    h = decode(&stream, d);
    CHECK_EQ(h.count, 40 * 21);
    CHECK_EQ(h.stats.dropped, 40 * (12 + 1 + 2));
    check_event(&h, 20, 4096, 59, 10, 0);
    check_event(&h, 21, 4096, 50, 10, 0);
    heard_free(&h);
}

TEST(evt3_triggers_counters_and_unknown_words)
{
    heard h = decode_as(
        evt3(WORDS(HIGH | 1, LOW | 2, TRIG | 0x601, OTHERS | 0x14, C12 | 0x123, C12 | 0x456,
                   C4 | 0x7, OTHERS | 0x16, Y | 4, X | 1, OTHERS | 0x14, C12 | 1, OTHERS | 0x14,
                   C12 | 1, C12 | 2, OTHERS | 0x33, C12 | 9, C12 | 9, C4 | 9, C4 | 1, C12 | 1,
                   0x1005, X | 2, Y | 5, 0xb000, 0xc000, 0xd000, 0x9000, X | 3)),
        SPK_FORMAT_EVT3);
    CHECK_EQ(h.trigger_count, 1);
    CHECK_EQ(h.triggers[0].t_us, 4098);
    CHECK_EQ(h.triggers[0].channel, 6);
    CHECK_EQ(h.triggers[0].edge, 1);
    CHECK_EQ(h.extra_count, 1); /* the whole one */
    CHECK_EQ(h.extras[0].kind, SPK_EXTRA_COUNTER);
    CHECK_EQ(h.extras[0].code, 0x14);
    CHECK_EQ(word_of(h.bytes[0]), 0x7456123);
    CHECK_EQ(h.count, 2);
    check_event(&h, 0, 4098, 1, 4, 0);
    check_event(&h, 1, 4098, 3, 5, 0); /* type 1: a row that is none of CD */
    CHECK_EQ(h.stats.bytes_skipped, 2 * 5);
    heard_free(&h);
}

TEST(an_odd_byte_at_the_end_is_skipped)
{
    heard h;
    evt3(WORDS(HIGH | 1, Y | 3, X | 4));
    put8(&stream, 0x12);
    h = decode_as(&stream, SPK_FORMAT_EVT3);
    CHECK_EQ(h.count, 1);
    CHECK_EQ(h.stats.bytes_skipped, 1);
    CHECK_EQ(h.stats.bytes, 7);
    CHECK_EQ(h.result, SPK_OK);
    heard_free(&h);
}

/* -- EVT2, EVT2.1, EVT4 -- */

static uint32_t cd2(unsigned on, unsigned t, unsigned x, unsigned y)
{
    return (uint32_t)on << 28 | (uint32_t)t << 22 | (uint32_t)x << 11 | y;
}

TEST(evt2_time_wraps_and_steps_back)
{
    heard h;
    stream.size = 0;
    put32(&stream, cd2(1, 1, 2, 3)); /* before any time */
    put32(&stream, 0x8fffffff), put32(&stream, cd2(1, 63, 1279, 719));
    put32(&stream, 0x80000000), put32(&stream, cd2(0, 5, 0, 0));
    put32(&stream, 0x80001000), put32(&stream, cd2(0, 0, 1, 0));
    put32(&stream, 0x80000fff), put32(&stream, cd2(0, 0, 2, 0)); /* an error: no wrap */
    h = decode_as(&stream, SPK_FORMAT_EVT2);
    CHECK_EQ(h.count, 4);
    check_event(&h, 0, ((int64_t)1 << 34) - 1, 1279, 719, 1);
    check_event(&h, 1, ((int64_t)1 << 34) + 5, 0, 0, 0);
    check_event(&h, 2, ((int64_t)1 << 34) + 0x40000, 1, 0, 0);
    check_event(&h, 3, ((int64_t)1 << 34) + 0x40000 - 64, 2, 0, 0);
    CHECK_EQ(h.stats.violations, 1);
    CHECK_EQ(h.stats.dropped, 1);
    heard_free(&h);
}

TEST(evt2_triggers_counters_and_imu)
{
    int k;
    heard h;
    stream.size = 0;
    put32(&stream, 0x80000001);
    put32(&stream, 10u << 28 | 3u << 22 | 17u << 8 | 1);
    put32(&stream, 14u << 28 | 4u << 22 | 0x14), put32(&stream, 0xf0c00005);
    put32(&stream, 14u << 28 | 0x0003), put32(&stream, 0xf0000001), put32(&stream, 0xf0000002);
    put32(&stream, 13u << 28 | 9u << 22 | (uint32_t)(uint16_t)-5 << 1 | 1);
    for (k = 1; k < 6; k++) put32(&stream, 15u << 28 | 9u << 22 | (uint32_t)k * 100 << 1);
    put32(&stream, 14u << 28 | 0x16); /* unfinished */
    h = decode_as(&stream, SPK_FORMAT_EVT2);
    CHECK_EQ(h.trigger_count, 1);
    CHECK_EQ(h.triggers[0].t_us, 64 + 3);
    CHECK_EQ(h.triggers[0].channel, 17);
    CHECK_EQ(h.extra_count, 1);
    CHECK_EQ(h.extras[0].t_us, 64 + 4);
    CHECK_EQ(word_of(h.bytes[0]), 5);
    CHECK_EQ(h.imu_count, 1);
    CHECK_EQ(h.imu[0].t_us, 64 + 9);
    CHECK_EQ(h.imu[0].raw[0], -5);
    CHECK_EQ(h.imu[0].raw[5], 500);
    CHECK(h.imu[0].accel_g[0] != h.imu[0].accel_g[0]);
    heard_free(&h);
}

static void put_evt21(uint32_t upper, uint32_t lower, int legacy)
{
    put32(&stream, legacy ? upper : lower);
    put32(&stream, legacy ? lower : upper);
}

TEST(evt21_in_both_word_orders)
{
    static const char *const headers[] = {
        "% format EVT21;endianness=little;height=720;width=1280\n% end\n",
        "% format EVT21;height=720;width=1280\n% endianness legacy\n% end\n",
        "% evt 2.1\n% system_ID 49\n", /* older than the order's key: legacy */
        "% evt 2.1\n% system_ID 55\n", ""};
    int k, legacy;
    for (k = 0; k < 5; k++) {
        spk_events_desc d = {0};
        heard h;
        legacy = k == 1 || k == 2;
        stream.size = 0;
        put_text(&stream, headers[k]);
        put_evt21(8u << 28 | 3, 0, legacy);
        put_evt21(1u << 28 | 5u << 22 | 100u << 11 | 50, 0x80000003, legacy);
        put_evt21(0u << 28 | 6u << 22 | 7u << 11 | 8, 1, legacy);
        put_evt21(10u << 28 | 7u << 22 | 3u << 8, 1, legacy);
        put_evt21(14u << 28 | 8u << 22 | 0x16, 0xf0000123, legacy);
        put_evt21(8u << 28 | 0xfffffff, 0, legacy);
        put_evt21(8u << 28 | 0, 0, legacy);
        put_evt21(1u << 28 | 1, 1, legacy);
        if (k == 4) d.format = SPK_FORMAT_EVT21;
        h = decode(&stream, d);
        CHECK_EQ(h.stats.format, SPK_FORMAT_EVT21);
        CHECK_EQ(h.count, 5);
        check_event(&h, 0, 3 * 64 + 5, 100, 50, 1);
        check_event(&h, 1, 3 * 64 + 5, 101, 50, 1);
        check_event(&h, 2, 3 * 64 + 5, 131, 50, 1);
        check_event(&h, 3, 3 * 64 + 6, 7, 8, 0);
        check_event(&h, 4, (int64_t)1 << 34, 0, 1, 1);
        CHECK_EQ(h.trigger_count, 1);
        CHECK_EQ(h.triggers[0].channel, 3);
        CHECK_EQ(h.extra_count, 1);
        CHECK_EQ(word_of(h.bytes[0]), 0x123);
        heard_free(&h);
    }
}

TEST(evt4_a_mask_may_look_like_any_word)
{
    heard h;
    int k;
    stream.size = 0;
    put_text(&stream, "% format EVT4;height=720;width=1280\n");
    put32(&stream, 13u << 28 | 9), put32(&stream, 0xe0000fff); /* a vector before any time */
    put32(&stream, 0xe0000002);
    put32(&stream, 12u << 28 | 1u << 22 | 10u << 11 | 20), put32(&stream, 0xe0000001);
    put32(&stream, 0xffffffff);
    put32(&stream, 9u << 28 | 2u << 22 | 5u << 8 | 7u << 1 | 1);
    put32(&stream, 6u << 28 | 3u << 22 | 0x14), put32(&stream, 7u << 28 | 99),
        put32(&stream, 7u << 28);
    for (k = 0; k < 40; k++)
        put32(&stream, (uint32_t)(10 + k % 2) << 28 | (uint32_t)k << 22 | 77u << 11 | 66);
    put32(&stream, 13u << 28 | 5u << 22 | 1270u << 11 | 3), put32(&stream, 0xffffffff);
    put32(&stream, 13u << 28); /* its mask is missing */
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.stats.format, SPK_FORMAT_EVT4);
    CHECK_EQ(h.count, 4 + 40 + 10);
    check_event(&h, 0, 128 + 1, 10, 20, 0);
    check_event(&h, 3, 128 + 1, 41, 20, 0);
    check_event(&h, 5, 128 + 1, 77, 66, 1);
    check_event(&h, 53, 128 + 5, 1279, 3, 1);
    CHECK_EQ(h.trigger_count, 1);
    CHECK_EQ(h.triggers[0].channel, 5);
    CHECK_EQ(h.extra_count, 1);
    CHECK_EQ(h.stats.dropped, 15 + 22);
    CHECK_EQ(h.stats.bytes_skipped, 8 + 4);
    heard_free(&h);
}

/* -- headers -- */

TEST(headers_of_all_ages)
{
    heard h;
    stream.size = 0; /* no "% end", and data that begin like a line */
    put_text(&stream, "% Date 2020-01-01 10:00:00\r\n% evt 3.0\r\n% system_ID 49\r\n");
    put16(&stream, 0x2025), put16(&stream, HIGH | 1), put16(&stream, Y | 2),
        put16(&stream, X | 1270);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.stats.width, 1280);
    CHECK_EQ(h.stats.height, 720);
    CHECK_EQ(h.count, 1);
    CHECK_EQ(h.stats.dropped, 1);
    heard_free(&h);
    stream.size = 0;
    put_text(&stream, "% geometry 320x320\n% format EVT2.1\n% endianness little\n% end\n");
    put32(&stream, 0), put32(&stream, 8u << 28), put32(&stream, 1), put32(&stream, 320u << 11);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.stats.width, 320);
    CHECK_EQ(h.stats.format, SPK_FORMAT_EVT21);
    CHECK_EQ(h.stats.dropped, 1);
    heard_free(&h);
    stream.size = 0; /* a format that is no list of events */
    put_text(&stream, "% format HISTO3D;height=320;width=320\n% end\n");
    put32(&stream, 0);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.result, SPK_ERR_FORMAT);
    heard_free(&h);
}

/* Blanks, cases and letters that other programs and people write. */
TEST(headers_as_others_write_them)
{
    static const char *const lines[] = {
        "% format EVT3; height=720; width=1280\n% end\n",
        "% format evt3;width=1280;height=720\n",
        "% evt 3.0\r\n% geometry 1280 x 720\r\n% end\r\n",
        "% evt 3\n% geometry 1280x720\n",
        "% evt 3.0\n% operator J\xc3\xb6rg\n% geometry 1280x720\n% end\n", /* UTF-8 */
        "% evt 3.0\n% place K\xf6ln\n% geometry 1280x720\n",                 /* Latin-1 */
        "% evt 3.0\n% serial_number\n% geometry 1280x720\n"};
    heard h;
    size_t k;
    for (k = 0; k < sizeof lines / sizeof lines[0]; k++) {
        stream.size = 0;
        put_text(&stream, lines[k]);
        put16(&stream, HIGH | 1), put16(&stream, Y | 2), put16(&stream, X | 1270);
        h = decode_as(&stream, SPK_FORMAT_AUTO);
        CHECK_EQ(h.stats.width, 1280);
        CHECK_EQ(h.stats.height, 720);
        CHECK_EQ(h.stats.bytes_skipped, 0);
        CHECK_EQ(h.count, 1);
        heard_free(&h);
    }
    stream.size = 0; /* a line of 3,000 letters */
    put_text(&stream, "% evt 3.0\n% calibration ");
    for (k = 0; k < 750; k++) put_text(&stream, "1.5 ");
    put_text(&stream, "\n% geometry 1280x720\n% end\n");
    put16(&stream, HIGH | 1), put16(&stream, Y | 2), put16(&stream, X | 1270);
    h = hear(stream.at, stream.size, everything);
    CHECK(h.count == 1 && h.stats.width == 1280 && h.stats.bytes_skipped == 0);
    heard_free(&h);
    stream.size = 0; /* data that begin like a line of such letters, but for the key */
    put_text(&stream, "% evt 3.0\n% \xf6 \n");
    put16(&stream, HIGH | 1), put16(&stream, Y | 2), put16(&stream, X | 1270);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK(h.stats.bytes_skipped > 0);
    heard_free(&h);
}

/* A format in the header that holds no events: its data are not taken for words without one. */
TEST(a_header_of_no_known_format_is_believed)
{
    heard h;
    uint32_t k;
    stream.size = 0;
    put_text(&stream, "% format HISTO3D;height=320;width=320\n% end\n");
    for (k = 0; k < 300; k++)
        put16(&stream, HIGH | (1 + k / 50)), put16(&stream, Y | k), put16(&stream, X | k);
    h = hear(stream.at, stream.size, everything);
    CHECK_EQ(h.result, SPK_ERR_FORMAT);
    CHECK_EQ(h.count, 0);
    heard_free(&h);
}

/* Vectors of one pixel look like two words of EVT2, the first of them at (0, 1). */
TEST(evt21_of_single_pixels_is_told_without_a_header)
{
    int legacy;
    for (legacy = 0; legacy < 2; legacy++) {
        heard h;
        uint32_t k;
        stream.size = 0;
        for (k = 0; k < 120; k++) {
            uint32_t time = 8u << 28 | (k + 5), cd = (k & 1) << 28 | k << 11 | (k + 1);
            put32(&stream, legacy ? time : 0), put32(&stream, legacy ? 0 : time);
            put32(&stream, legacy ? cd : 1), put32(&stream, legacy ? 1 : cd);
        }
        h = hear(stream.at, stream.size, everything);
        CHECK_EQ(h.stats.format, SPK_FORMAT_EVT21);
        CHECK_EQ(h.count, 120);
        if (h.count == 120) check_event(&h, 119, 124 * 64, 119, 120, 1);
        heard_free(&h);
    }
}

/* Old headers without the key, and words without a header or a name: time tells what they are. */
TEST(words_are_told_by_their_time_where_nothing_else_says_what_they_are)
{
    char path[512];
    heard h;
    FILE *f;
    spk_events_desc d = {0};
    for (int header = 0; header < 2; header++) {
        stream.size = 0;
        if (header) put_text(&stream, "% Date 2014-02-28 13:37:42\n");
        for (uint32_t k = 0; k < 200; k++)
            put32(&stream, 8u << 28 | (k + 5)), put32(&stream, (k & 1) << 28 | k << 11 | k);
        f = fopen(check_tmp(header ? "words.raw" : "words", path, sizeof path), "wb");
        REQUIRE(f != NULL);
        fwrite(stream.at, 1, stream.size, f);
        fclose(f);
        h = hear_file(path, d, 4096);
        CHECK_STR(h.error, "");
        CHECK_EQ(h.stats.format, SPK_FORMAT_EVT2);
        CHECK_EQ(h.count, 200);
        CHECK_EQ(h.events[0].t_us, 5 * 64);
        heard_free(&h);
        remove(path);
    }
    h = hear("PK\x03\x04 and so on", 14, d);
    CHECK_HAS(h.error, "it is packed (ZIP, as .npz files are): unpack it first");
    heard_free(&h);
}

/* -- DAT -- */

TEST(dat_of_every_kind)
{
    static const float flow[4] = {1.5f, -2.5f, 3.0f, 4.0f};
    heard h;
    stream.size = 0;
    put_text(&stream, "% Version 1\n% Width 304\n% Height 240\n");
    put8(&stream, 0), put8(&stream, 8);
    put32(&stream, 77), put32(&stream, 300u | 239u << 9 | 1u << 17);
    put32(&stream, 78), put32(&stream, 304u); /* outside */
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.stats.format, SPK_FORMAT_DAT);
    CHECK_EQ(h.stats.width, 304);
    CHECK_EQ(h.count, 1);
    check_event(&h, 0, 77, 300, 239, 1);
    CHECK_EQ(h.stats.dropped, 1);
    heard_free(&h);
    stream.size = 0;
    put_text(&stream, "% Data file containing triggers\n% end\n");
    put8(&stream, 14), put8(&stream, 8), put32(&stream, 5), put32(&stream, 1u | 6u << 26);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.trigger_count, 1);
    CHECK_EQ(h.triggers[0].channel, 6);
    CHECK_EQ(h.triggers[0].t_us, 5);
    heard_free(&h);
    stream.size = 0;
    put_text(&stream, "% Version 2\n");
    put8(&stream, 40), put8(&stream, 28), put32(&stream, 9),
        put32(&stream, 3u | 4u << 14 | 1u << 28);
    put(&stream, flow, 16), put32(&stream, 42);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    check_event(&h, 0, 9, 3, 4, 1);
    CHECK_EQ(h.extra_count, 1);
    CHECK(memcmp(h.bytes[0], flow, 16) == 0);
    heard_free(&h);
    stream.size = 0;
    put_text(&stream, "% Version 2\n");
    put8(&stream, 3), put8(&stream, 9), put32(&stream, 9);
    h = decode_as(&stream, SPK_FORMAT_DAT);
    CHECK_EQ(h.result, SPK_ERR_FORMAT);
    CHECK_HAS(h.error, "byte 12: DAT: events of type 3 and 9 bytes");
    heard_free(&h);
    stream.size = 0; /* longer records, of which the first eight bytes are known */
    put_text(&stream, "% Version 2\n");
    put8(&stream, 12), put8(&stream, 11);
    for (uint32_t k = 0; k < 40; k++) {
        put32(&stream, 5 + k), put32(&stream, k | 7u << 14 | (k & 1) << 28);
        put16(&stream, 0xffff), put8(&stream, 0xff);
    }
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.count, 40);
    if (h.count == 40) check_event(&h, 39, 44, 39, 7, 1);
    CHECK_EQ(h.stats.bytes_skipped, 0);
    heard_free(&h);
    stream.size = 0; /* with a version, even the wrong ones are DAT */
    put_text(&stream, "% Version 2\n");
    put8(&stream, 12), put8(&stream, 4), put32(&stream, 9);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_HAS(h.error, "byte 12: DAT: events of type 12 and 4 bytes");
    heard_free(&h);
}

TEST(dat_without_header_wraps_and_steps_back)
{
    static const uint32_t times[] = {0xfffffff0, 0xfffffff8, 4,  3,  0xfffffffe, 5,  6,  7,  8,  9,
                                     10,         11,         12, 13, 14,         15, 16, 17, 18, 19,
                                     20,         21,         22, 23, 24,         25, 26, 27};
    size_t n = sizeof times / sizeof times[0], k;
    heard h;
    stream.size = 0;
    for (k = 0; k < n; k++) put32(&stream, times[k]), put32(&stream, (uint32_t)k | 1u << 28);
    h = decode_as(&stream, SPK_FORMAT_DAT);
    CHECK_EQ(h.count, n);
    for (k = 0; k < n; k++) {
        int64_t loops = times[k] < 0x80000000u ? (int64_t)1 << 32 : 0;
        check_event(&h, k, loops + times[k], (unsigned)k, 0, 1);
    }
    CHECK_EQ(h.stats.violations, 2);
    heard_free(&h);
}

/* -- ES -- */

static void es_header(unsigned type)
{
    stream.size = 0;
    put_text(&stream, "Event Stream\x02"), put16(&stream, 0), put8(&stream, type);
    if (type) put16(&stream, 320), put16(&stream, 240);
}

TEST(es_of_every_kind)
{
    heard h;
    int k;
    es_header(1);
    for (k = 0; k < 5; k++) put8(&stream, 0xfe);
    put8(&stream, 0xff), put8(&stream, 3 << 1 | 1), put16(&stream, 10), put16(&stream, 239);
    for (k = 0; k < 9; k++) put8(&stream, 1 << 1), put16(&stream, 319), put16(&stream, 0);
    put8(&stream, 0), put16(&stream, 320), put16(&stream, 0); /* outside */
    put8(&stream, 0), put16(&stream, 0), put16(&stream, 240);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.count, 10);
    check_event(&h, 0, 130, 10, 0, 1); /* stored row 239 is the upper one */
    check_event(&h, 9, 139, 319, 239, 0);
    CHECK_EQ(h.stats.dropped, 2);
    heard_free(&h);
    es_header(2);
    put8(&stream, 0xfc | 2), put8(&stream, 5 << 2 | 2), put16(&stream, 1), put16(&stream, 239);
    put8(&stream, 0xfc), put8(&stream, 6 << 2 | 3), put16(&stream, 2), put16(&stream, 238);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.count, 1);
    check_event(&h, 0, 131, 1, 0, 1);
    CHECK_EQ(h.extra_count, 1);
    CHECK_EQ(h.extras[0].kind, SPK_EXTRA_EXPOSURE);
    CHECK_EQ(h.extras[0].t_us, 137);
    CHECK_EQ(h.extras[0].y, 1);
    CHECK_EQ(h.bytes[0][0], 1);
    heard_free(&h);
    es_header(4);
    put8(&stream, 0xff), put8(&stream, 0xfe), put8(&stream, 6), put16(&stream, 5),
        put16(&stream, 239);
    put_text(&stream, "rgb");
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.count, 1);
    CHECK_EQ(h.events[0].t_us, 260);
    CHECK_EQ(h.events[0].kind, SPK_EVENT_OTHER);
    CHECK(memcmp(h.bytes[0], "rgb", 3) == 0);
    CHECK_EQ(h.stats.on + h.stats.off, 0);
    heard_free(&h);
    es_header(0);
    put8(&stream, 7), put8(&stream, 3 << 1), put_text(&stream, "abc");
    put8(&stream, 0xff), put8(&stream, 2), put8(&stream, 0);
    put8(&stream, 1), put8(&stream, (200 & 127) << 1 | 1), put8(&stream, (200 >> 7) << 1);
    for (k = 0; k < 200; k++) put8(&stream, (unsigned)k);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.extra_count, 3);
    CHECK_EQ(h.extras[0].t_us, 7);
    CHECK_EQ(h.extras[0].size, 3);
    CHECK_EQ(h.extras[1].t_us, 7 + 254 + 2);
    CHECK_EQ(h.extras[1].size, 0);
    CHECK_EQ(h.extras[2].size, 200);
    CHECK_EQ(h.bytes[2][31], 31);
    heard_free(&h);
    es_header(3);
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.result, SPK_ERR_FORMAT);
    CHECK_HAS(h.error, "version 2.0.0, type 3");
    heard_free(&h);
}

/* -- N-MNIST -- */

TEST(nmnist_overflow_records_move_all_that_follows)
{
    heard h;
    int k;
    stream.size = 0;
    for (k = 0; k < 20; k++) {
        put8(&stream, (unsigned)k), put8(&stream, 33), put8(&stream, 0x80),
            put16(&stream, (unsigned)k << 8);
        if (k % 10 == 5) put8(&stream, 0), put8(&stream, 240), put8(&stream, 0), put16(&stream, 0);
    }
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.stats.format, SPK_FORMAT_NMNIST);
    CHECK_EQ(h.count, 20);
    check_event(&h, 5, 5, 5, 33, 1);
    check_event(&h, 6, 6 + 8192, 6, 33, 1);
    check_event(&h, 19, 19 + 2 * 8192, 19, 33, 1);
    heard_free(&h);
}

/* After an overflow the stored times may begin again; a file that was cut is told by its name. */
TEST(nmnist_that_was_cut_and_times_that_begin_again)
{
    char path[512];
    heard h;
    FILE *f;
    int k;
    stream.size = 0;
    for (k = 0; k < 40; k++) {
        if (k == 20)
            for (int n = 0; n < 5; n++)
                put8(&stream, 0), put8(&stream, 240), put8(&stream, 0), put16(&stream, 0);
        put8(&stream, (unsigned)k % 34), put8(&stream, 3), put8(&stream, 0x80);
        put8(&stream, (unsigned)(k % 20) << 3), put8(&stream, 0);
    }
    h = decode_as(&stream, SPK_FORMAT_AUTO);
    CHECK_EQ(h.stats.format, SPK_FORMAT_NMNIST);
    CHECK_EQ(h.count, 40);
    check_event(&h, 20, 5 * 8192, 20, 3, 1);
    heard_free(&h);
    f = fopen(check_tmp("cut.bin", path, sizeof path), "wb");
    REQUIRE(f != NULL);
    fwrite(stream.at, 1, stream.size - 2, f);
    fclose(f);
    h = hear_file(path, everything, 4096);
    CHECK_STR(h.error, "");
    CHECK_EQ(h.count, 39);
    CHECK_EQ(h.stats.bytes_skipped, 3);
    heard_free(&h);
    remove(path);
}

/* -- time, resync, errors -- */

TEST(time_may_begin_at_zero)
{
    spk_events_desc d = {0};
    heard h;
    d.shift_time = true;
    d.format = SPK_FORMAT_EVT3;
    h = decode(evt3(WORDS(HIGH | 9, LOW | 5, TRIG | 1, Y | 1, X | 1)), d);
    check_event(&h, 0, 5, 1, 1, 0); /* the first TIME_HIGH is 0 */
    CHECK_EQ(h.triggers[0].t_us, 5);
    heard_free(&h);
    stream.size = 0;
    put32(&stream, 1000), put32(&stream, 0), put32(&stream, 1010), put32(&stream, 1);
    d.format = SPK_FORMAT_DAT;
    h = decode(&stream, d);
    check_event(&h, 0, 0, 0, 0, 0);
    check_event(&h, 1, 10, 1, 0, 0);
    CHECK_EQ(h.stats.t_last_us, 10);
    heard_free(&h);
}

TEST(strict_reading_ends_with_an_error_that_names_the_byte)
{
    spk_events_desc d = {0};
    heard h;
    d.strict = true;
    d.format = SPK_FORMAT_EVT3;
    h = decode(evt3(WORDS(HIGH | 9, Y | 1, X | 1, HIGH | 8, X | 2)), d);
    CHECK_EQ(h.result, SPK_ERR_FORMAT);
    CHECK_HAS(h.error, "byte 6: TIME_HIGH goes back");
    CHECK_EQ(h.count, 1);
    heard_free(&h);
}

TEST(after_a_gap_events_wait_for_the_next_time)
{
    static const uint8_t a[] = {1, 0x80, 5, 0x60, 3, 0, 7, 0x20, 0x99};
    static const uint8_t b[] = {7, 0x20, 2, 0x80, 8, 0x20, 4, 0, 9, 0x20};
    spk_events_desc d = {0};
    spk_event_stats stats;
    spk_decoder *decoder;
    spk_event out[4];
    d.format = SPK_FORMAT_EVT3;
    decoder = spk_decoder_create(&d);
    CHECK_EQ(spk_decoder_feed(decoder, a, sizeof a), SPK_OK);
    CHECK_EQ(spk_decoder_feed(decoder, a, sizeof a), SPK_ERR_STATE);
    CHECK_EQ(spk_decoder_read(decoder, out, 4), 1);
    CHECK_EQ(spk_decoder_read(decoder, out, 4), 0);
    CHECK_EQ(spk_decoder_resync(decoder), SPK_OK);
    CHECK_EQ(spk_decoder_feed(decoder, b, sizeof b), SPK_OK);
    CHECK_EQ(spk_decoder_read(decoder, out, 4), 1);
    CHECK_EQ(out[0].x, 9);
    CHECK_EQ(out[0].t_us, 2 * 4096);
    CHECK_EQ(spk_decoder_finish(decoder), SPK_OK);
    CHECK_EQ(spk_decoder_feed(decoder, b, 2), SPK_ERR_STATE);
    spk_decoder_get_stats(decoder, &stats);
    CHECK_EQ(stats.events, 2);
    CHECK_EQ(stats.dropped, 2);
    spk_decoder_destroy(decoder);
}

TEST(what_cannot_be_read_says_why)
{
    spk_events_desc d = {0};
    spk_event e;
    spk_event_stats stats;
    spk_events *in = spk_events_open("there/is/no.such", NULL);
    CHECK_EQ(spk_events_status(in), SPK_ERR_IO);
    CHECK_HAS(spk_events_error(in), "there/is/no.such: cannot be opened: ");
    CHECK_EQ(spk_events_read(in, &e, 1), 0);
    spk_events_close(in);
    in = spk_events_open(NULL, NULL);
    CHECK_EQ(spk_events_status(in), SPK_ERR_NULL);
    spk_events_close(in);
    d.begin_sentinel = 1;
    in = spk_events_open_memory("", 0, &d);
    CHECK_EQ(spk_events_status(in), SPK_ERR_UNINITIALISED);
    spk_events_close(in);
    memset(&d, 0, sizeof d);
    d.format = (spk_event_format)999;
    in = spk_events_open_memory("", 0, &d);
    CHECK_EQ(spk_events_status(in), SPK_ERR_NAME);
    spk_events_close(in);
    d.format = SPK_FORMAT_AUTO;
    d.width = 100000;
    in = spk_events_open_memory("", 0, &d);
    CHECK_EQ(spk_events_status(in), SPK_ERR_RANGE);
    CHECK_HAS(spk_events_error(in), "100000 x 0");
    spk_events_close(in);
    d.width = 0;
    in = spk_events_open_memory("", 0, &d);
    CHECK_EQ(spk_events_read(in, &e, 1), 0);
    CHECK_EQ(spk_events_status(in), SPK_ERR_FORMAT);
    spk_events_close(in);
    in = spk_events_open_memory("Event Stream\x02\x00\x00\x01", 16, &d);
    CHECK_EQ(spk_events_read(in, &e, 1), 0);
    CHECK_HAS(spk_events_error(in), "ES: the stream ends within the header");
    spk_events_close(in);
    in = spk_events_open_memory("Event Stream\x01\x00\x00\x01", 16, &d);
    CHECK_EQ(spk_events_read(in, &e, 1), 0);
    CHECK_HAS(spk_events_error(in), "ES: version 1.0.0, type 1");
    spk_events_close(in);
    in = spk_events_open_memory("\x81\x02\x33 what is this, and why", 26, &d);
    CHECK_EQ(spk_events_read(in, &e, 1), 0);
    CHECK_EQ(spk_events_status(in), SPK_ERR_FORMAT);
    CHECK_HAS(spk_events_error(in), "neither the content nor the name tells a known format");
    spk_events_close(in);
    in = spk_events_open(".", NULL);
    CHECK_EQ(spk_events_read(in, &e, 1), 0);
    CHECK(spk_events_status(in) != SPK_OK);
    spk_events_close(in);
    spk_events_close(NULL);
    spk_decoder_destroy(NULL);
    CHECK_EQ(spk_events_get_stats(NULL, &stats), SPK_ERR_NULL);
    CHECK_EQ(spk_events_read(NULL, &e, 1), 0);
    CHECK_EQ(spk_decoder_feed(NULL, "", 0), SPK_ERR_NULL);
    CHECK_STR(spk_event_format_name(SPK_FORMAT_EVT21), "evt21");
    CHECK_EQ(spk_event_format_from_name("dat"), SPK_FORMAT_DAT);
    CHECK_EQ(spk_event_format_from_name("what"), SPK_FORMAT_AUTO);
    CHECK(spk_event_format_readable(SPK_FORMAT_EVT4) &&
          !spk_event_format_writable(SPK_FORMAT_EVT4));
}

TEST(no_memory_at_any_allocation_is_an_error_and_leaks_nothing)
{
    static const uint8_t filler[50] = {1, 2, 3};
    long k;
    bool ended = false;
    es_header(0);
    for (k = 0; k < 300; k++)
        put8(&stream, 1), put8(&stream, 100), put(&stream, filler, sizeof filler);
    for (k = 0; k < 40 && !ended; k++) {
        budget f;
        spk_events_desc d = {0};
        spk_events *in;
        spk_event e[16];
        d.allocator = budget_allocator(&f, k);
        in = spk_events_open_memory(stream.at, stream.size, &d);
        while (in && spk_events_read(in, e, 16) > 0) continue;
        if (in) CHECK(spk_events_status(in) == (f.failed ? SPK_ERR_OUT_OF_MEMORY : SPK_OK));
        ended = !f.failed;
        spk_events_close(in);
        CHECK_EQ(f.blocks, 0);
    }
    CHECK(ended);
}

/* Every word that there can be, in any order, on each instruction set. */
TEST(random_words_decode_alike_on_every_instruction_set)
{
    static const spk_event_format formats[] = {SPK_FORMAT_EVT2, SPK_FORMAT_EVT21,
                                               SPK_FORMAT_EVT3, SPK_FORMAT_EVT4,
                                               SPK_FORMAT_DAT,  SPK_FORMAT_NMNIST};
    static const spk_isa isas[] = {SPK_ISA_AVX2, SPK_ISA_AVX512};
    uint64_t seed = 4711;
    int round, i, k;
    for (round = 0; round < 240; round++) {
        spk_events_desc d = {0};
        heard scalar;
        stream.size = 0;
        for (k = 0; k < 6000; k++) { /* EVT3: mostly x and rows, so that long steps come up */
            uint64_t r = dice(&seed);
            unsigned word = (unsigned)(r >> 20) & 65535u;
            if (formats[round % 6] == SPK_FORMAT_EVT3 && (r & 7) > 0)
                word = (word & 0xfff) | (unsigned)((r >> 40 & 3) == 0     ? 0x0000
                                                   : (r >> 42 & 15) < 12  ? 0x2000
                                                   : (r >> 42 & 15) == 12 ? 0x3000
                                                   : (r >> 42 & 15) == 13 ? 0x4000
                                                                          : 0x6000);
            if (formats[round % 6] != SPK_FORMAT_EVT3 && (k & 1) && (r & 15)) word &= 0x1fff;
            put16(&stream, word);
        }
        d.format = formats[round % 6];
        d.width = round & 1 ? 1280 : 0;
        d.height = round & 1 ? 720 : 0;
        d.isa = SPK_ISA_SCALAR;
        scalar = hear(stream.at, stream.size, d);
        for (i = 0; i < 2; i++) {
            heard h;
            if (!spk_isa_available(isas[i])) continue;
            d.isa = isas[i];
            h = hear(stream.at, stream.size, d);
            CHECK(heard_same(&scalar, &h));
            heard_free(&h);
        }
        heard_free(&scalar);
    }
}

TEST_MAIN()
