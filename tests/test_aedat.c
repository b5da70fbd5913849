/* AEDAT 2.0, 3.1 and uncompressed 4.0: real recordings, files built by hand, cut and damaged. */
#include "spikelib.h"

#include "bytes.h"
#include "stream.h"

static bytes b; /* the file that a test builds */

static stream_result whole(const spk_events_desc *desc)
{
    return stream_bytes(b.data, b.size, desc, b.size, 0, 4096);
}

/* Every prefix: no event that the whole does not have, and no leak (a sanitizer looks). */
static void cut_everywhere(size_t from)
{
    stream_result all = whole(NULL), r;
    size_t k;
    for (k = from; k < b.size; k++) {
        r = stream_bytes(b.data, k, NULL, k, 0, 4096);
        CHECK(r.events <= all.events && r.triggers <= all.triggers);
        CHECK(r.result == SPK_OK || r.error[0] != 0);
    }
}

/* Every byte turned over: ends, and says so if it is an error. */
static void damage_everywhere(void)
{
    size_t k;
    for (k = 0; k < b.size; k++) {
        stream_result r;
        b.data[k] ^= 0xff;
        r = whole(NULL);
        CHECK(r.events < 100000);
        CHECK((r.result == SPK_OK) == (r.error[0] == 0));
        b.data[k] ^= 0xff;
    }
}

/* -- AEDAT 2.0 -- */

static void davis(unsigned x, unsigned y, unsigned on, uint32_t t)
{
    put_be(&b, y << 22 | x << 12 | on << 11, 4);
    put_be(&b, t, 4);
}

static void build_davis(void)
{
    unsigned k;
    b.size = 0;
    put_text(&b, "#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
                 "# AEChip: eu.seebetter.ini.chips.davis.Davis346B\r\n");
    davis(1, 70, 1, 0x10203040); /* its address begins with the byte of a '#' is not: 0x11 */
    davis(5, 141, 0, 0x10203041); /* 0x23: it is */
    for (k = 0; k < 20; k++) davis(k, 2 * k, k & 1, 0x10203050 + k);
    put_be(&b, 0x80000000u | 3u << 22 | 4u << 12 | 1u << 10 | 17, 4); /* an APS sample */
    put_be(&b, 0x10203070, 4);
    put_be(&b, 1u << 10 | 1u << 11, 4); /* an external event */
    put_be(&b, 0x10203071, 4);
}

TEST(aedat2_davis_as_stored_and_upright)
{
    spk_events_desc desc = {0};
    stream_result r;
    build_davis();
    desc.as_stored = true;
    r = whole(&desc);
    CHECK_EQ(r.format, SPK_FORMAT_AEDAT2);
    CHECK_EQ(r.width, 346);
    CHECK_EQ(r.height, 260);
    CHECK_EQ(r.events, 22);
    CHECK_EQ(r.on, 11);
    CHECK_EQ(r.sum_x, 1 + 5 + 190);
    CHECK_EQ(r.sum_y, 70 + 141 + 380);
    CHECK_EQ(r.triggers, 1);
    CHECK_EQ(r.extras, 1);
    CHECK_EQ((uint64_t)r.first, 0x10203040);
    r = whole(NULL);
    CHECK_EQ(r.sum_x, 22 * 345 - (1 + 5 + 190));
    CHECK_EQ(r.sum_y, 22 * 259 - (70 + 141 + 380));
    CHECK_EQ(r.on, 11);
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    cut_everywhere(1);
}

TEST(aedat2_dvs128_reads_as_jaer_shows_it)
{
    spk_events_desc desc = {0};
    stream_result r;
    b.size = 0;
    put_text(&b, "#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n");
    put_be(&b, 3u << 8 | 5u << 1 | 1, 4); /* y 3, x 5, bit 1 */
    put_be(&b, 1000, 4);
    put_be(&b, 0x8000, 4);
    put_be(&b, 1001, 4);
    desc.as_stored = true;
    r = whole(&desc);
    CHECK_EQ(r.events, 1);
    CHECK_EQ(r.triggers, 1);
    CHECK(r.sum_x == 5 && r.sum_y == 3 && r.on == 1);
    r = whole(NULL);
    CHECK(r.sum_x == 122 && r.sum_y == 124 && r.on == 0);
}

/* Times are 32 bits: past 2^32 they go on, a small step back is only counted. */
TEST(aedat2_time_wraps_and_unnamed_chips_are_told_by_their_addresses)
{
    stream_result r;
    b.size = 0;
    put_text(&b, "#!AER-DAT2.0\r\n");
    davis(1, 1, 1, 0xfffffff0u);
    davis(1, 1, 1, 0xffffffe0u);
    davis(1, 1, 1, 0x10);
    r = whole(NULL);
    CHECK_EQ(r.events, 3);
    CHECK_EQ(r.violations, 1);
    CHECK_EQ((uint64_t)r.last, (UINT64_C(1) << 32) + 0x10);
    CHECK_EQ(r.width, 346);
    b.size = 0;
    put_text(&b, "#!AER-DAT1.0\r\n");
    put_be(&b, 3u << 8 | 5u << 1 | 1, 2);
    put_be(&b, 77, 4);
    r = whole(NULL);
    CHECK(r.events == 1 && r.first == 77 && r.width == 128);
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
}

/* -- AEDAT 3.1 -- */

static void packet3(unsigned type, unsigned size, unsigned overflow, unsigned capacity,
                    unsigned number)
{
    put_le(&b, type, 2);
    put_le(&b, 1, 2);
    put_le(&b, size, 4);
    put_le(&b, 4, 4);
    put_le(&b, overflow, 4);
    put_le(&b, capacity, 4);
    put_le(&b, number, 4);
    put_le(&b, number, 4);
}

static void build_3(void)
{
    unsigned k;
    b.size = 0;
    put_text(&b, "#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS346\r\n"
                 "#Start-Time: 2023-12-11 15:38:40 (TZ+0000)\r\n#!END-HEADER\r\n");
    packet3(1, 8, 0, 30, 3); /* a capacity that is not the number */
    for (k = 0; k < 3; k++) {
        put_le(&b, 1 | (k & 1) << 1 | (10 + k) << 2 | (uint32_t)(20 + k) << 17, 4);
        put_le(&b, 0x7ffffff0u + k, 4);
    }
    packet3(1, 8, 1, 2, 2);
    put_le(&b, 0 | 1 << 1 | 9 << 2 | 9u << 17, 4); /* not valid */
    put_le(&b, 5, 4);
    put_le(&b, 1 | 1 << 1 | 7 << 2 | 8u << 17, 4);
    put_le(&b, 6, 4);
    packet3(0, 8, 1, 3, 3);
    put_le(&b, 1 | 2 << 1, 4); /* rising */
    put_le(&b, 7, 4);
    put_le(&b, 1 | 3 << 1, 4); /* falling */
    put_le(&b, 8, 4);
    put_le(&b, 1 | 1 << 1, 4); /* a reset of the time */
    put_le(&b, 9, 4);
    packet3(3, 36, 1, 1, 1);
    put_le(&b, 1, 4);
    put_le(&b, 10, 4);
    for (k = 0; k < 7; k++) put_f32(&b, (float)k);
    packet3(2, 36 + 12, 1, 1, 1);
    put_le(&b, 1 | 1 << 1, 4); /* one channel */
    for (k = 0; k < 4; k++) put_le(&b, 20 + k, 4);
    put_le(&b, 3, 4);
    put_le(&b, 2, 4);
    put_le(&b, 0, 8);
    for (k = 0; k < 6; k++) put_le(&b, 1000 * k, 2);
    packet3(99, 16, 1, 2, 2); /* of no known type */
    for (k = 0; k < 32; k++) put_le(&b, k, 1);
    packet3(12, 8, 1, 1, 1);
    put_le(&b, 1 | 3 << 1 | 2 << 6 | 77u << 12, 4);
    put_le(&b, 30, 4);
}

TEST(aedat3_packets_of_every_kind)
{
    stream_result r;
    build_3();
    r = whole(NULL);
    CHECK_EQ(r.format, SPK_FORMAT_AEDAT3);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.events, 5);
    CHECK_EQ(r.on, 3);
    CHECK_EQ(r.triggers, 2);
    CHECK_EQ(r.extras, 1);
    CHECK_EQ(r.imu, 1);
    CHECK_EQ(r.frames, 1);
    CHECK_EQ(r.dropped, 1);
    CHECK_EQ(r.skipped, 32);
    CHECK_EQ(r.sum_trigger_t, 2 * (UINT64_C(1) << 31) + 15);
    CHECK_EQ((uint64_t)r.first, 0x7ffffff0u);
    CHECK_EQ((uint64_t)r.last, (UINT64_C(1) << 31) + 30);
    CHECK_EQ(r.width, 346);
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    cut_everywhere(1);
    damage_everywhere();
}

/* "SerializedTS": 4 events, the first by itself, the next three of one time. */
TEST(aedat3_serialised_times)
{
    stream_result r;
    unsigned k;
    b.size = 0;
    put_text(&b, "#!AER-DAT3.1\r\n#Format: SerializedTS\r\n#!END-HEADER\r\n");
    packet3(0x8001, 8, 0, 28, 4);
    put_le(&b, 1 | 1 << 1 | 1 << 2 | 1u << 17, 4);
    put_le(&b, 100, 4);
    put_le(&b, 1 | 1 << 1 | 2 << 2 | 2u << 17, 4);
    put_le(&b, 0x80000000u | 200, 4);
    put_le(&b, 1 | 0 << 1 | 3 << 2 | 3u << 17, 4);
    put_le(&b, 1, 4); /* one more follows, without a time */
    put_le(&b, 1 | 0 << 1 | 4 << 2 | 4u << 17, 4);
    r = whole(NULL);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.events, 4);
    CHECK_EQ(r.sum_t, 100 + 3 * 200);
    CHECK(r.sum_x == 10 && r.sum_y == 10 && r.on == 2 && r.skipped == 0);
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    for (k = 0; k < 4; k++) b.data[b.size - 8 + k] = 0x7f; /* more follow than there are */
    r = whole(NULL);
    CHECK_EQ(r.violations, 0); /* the four are there all the same */
    b.size -= 4;
    b.data[b.size - 24 - 12] = 24; /* the body is too short */
    r = whole(NULL);
    CHECK(r.violations == 1 && r.events == 0 && r.skipped == 24);
    damage_everywhere();
}

TEST(aedat3_rollover_recording)
{
    char path[256];
    stream_result r;
    if (!check_shared("data/events/dvxplorer_rollover.aedat", path, sizeof path))
        SKIP("no ../shared/data/events");
    r = stream_file(path, NULL, 4096);
    CHECK_STR(r.error, "");
    CHECK(r.width == 640 && r.height == 480);
    CHECK_EQ(r.events, 334331);
    CHECK_EQ(r.on, 181908);
    CHECK_EQ(r.off, 152423);
    CHECK_EQ((uint64_t)r.first, 2146490012u);
    CHECK_EQ((uint64_t)r.last, 2148489998u);
    CHECK_EQ(r.sum_t, UINT64_C(717973252360524));
    CHECK_EQ(r.sum_x, 111651612);
    CHECK_EQ(r.sum_y, 82801007);
    CHECK(r.skipped == 0 && r.violations == 0);
}

/* -- AEDAT4 -- */

static const char *const xml4 =
    "<dv version=\"2.0\"><node name=\"outInfo\"><node name=\"0\"><attr key=\"typeIdentifier\">EVTS"
    "</attr><node name=\"info\"><attr key=\"sizeX\" type=\"int\">346</attr>"
    "<attr key=\"sizeY\" type=\"int\">260</attr></node></node>"
    "<node name=\"1\"><attr key=\"typeIdentifier\">TRIG</attr></node>"
    "<node name=\"2\"><attr key=\"typeIdentifier\">IMUS</attr></node>"
    "<node name=\"3\"><attr key=\"typeIdentifier\">FRME</attr></node>"
    "<node name=\"7\"><attr key=\"typeIdentifier\">EVTS</attr></node></node></dv>";

static void build_4(void)
{
    static const uint16_t trigger[] = {4, 12};
    static const uint16_t imu[] = {4, 12, 16, 20, 24, 28, 32, 36};
    static const uint16_t frame[] = {4, 0, 0, 0, 0, 12, 14, 16, 0, 0, 20};
    size_t at, k, field[2];
    b.size = 0;
    begin_file4(&b, 0, -1, xml4);
    at = begin_packet4(&b, 0, "EVTS");
    begin_vector4(&b, at, 3);
    for (k = 0; k < 3; k++)
        put_event4(&b, 1643243628737093 + (int64_t)k, 10 + (unsigned)k, 20, k & 1);
    end_packet4(&b, at);
    at = begin_packet4(&b, 1, "TRIG");
    begin_vector4(&b, at, 2);
    for (k = 0; k < 2; k++) {
        field[k] = b.size;
        put_le(&b, 0, 4);
    }
    for (k = 0; k < 2; k++) {
        put_le(&b, 8, 2); /* the vtable of 8 bytes, then its table */
        put_le(&b, 13, 2);
        put_le(&b, trigger[0], 2);
        put_le(&b, trigger[1], 2);
        point_here(&b, field[k]);
        put_le(&b, 8, 4);
        put_le(&b, 1000 + k, 8);
        put_le(&b, 1 + k, 1); /* rising, falling */
    }
    end_packet4(&b, at);
    at = begin_packet4(&b, 2, "IMUS");
    begin_vector4(&b, at, 1);
    field[0] = b.size;
    put_le(&b, 0, 4);
    put_le(&b, 20, 2);
    put_le(&b, 40, 2);
    for (k = 0; k < 8; k++) put_le(&b, imu[k], 2);
    point_here(&b, field[0]);
    put_le(&b, 20, 4);
    put_le(&b, 2000, 8);
    for (k = 0; k < 7; k++) put_f32(&b, (float)k);
    end_packet4(&b, at);
    at = begin_packet4(&b, 3, "FRME");
    b.data[at + 12] = (uint8_t)(b.size + 26 - at - 12);
    field[0] = begin_table(&b, frame, 11, 24) + 20;
    put_le(&b, 3000, 8);
    put_le(&b, 0, 2); /* format: one byte of grey */
    put_le(&b, 3, 2);
    put_le(&b, 2, 2);
    put_le(&b, 0, 2);
    put_le(&b, 0, 4);
    point_here(&b, field[0]);
    put_le(&b, 6, 4);
    put_text(&b, "pixels");
    end_packet4(&b, at);
    at = begin_packet4(&b, 7, "EVTS"); /* a second camera */
    begin_vector4(&b, at, 1);
    put_event4(&b, 1643243628737100, 345, 259, 1);
    end_packet4(&b, at);
    at = begin_packet4(&b, 5, "BBOX"); /* nothing that we know */
    begin_vector4(&b, at, 0);
    end_packet4(&b, at);
}

TEST(aedat4_packets_of_every_kind)
{
    spk_event e[8];
    spk_events *in;
    stream_result r;
    build_4();
    r = whole(NULL);
    CHECK_EQ(r.format, SPK_FORMAT_AEDAT4);
    CHECK_STR(r.error, "");
    CHECK(r.width == 346 && r.height == 260);
    CHECK_EQ(r.events, 4);
    CHECK_EQ(r.on, 2);
    CHECK_EQ(r.triggers, 2);
    CHECK_EQ(r.imu, 1);
    CHECK_EQ(r.frames, 1);
    CHECK_EQ(r.sum_trigger_t, 2001);
    CHECK_EQ((uint64_t)r.first, UINT64_C(1643243628737093));
    CHECK_EQ(r.violations, 0);
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    in = spk_events_open_memory(b.data, b.size, NULL);
    CHECK_EQ(spk_events_read(in, e, 8), 4);
    CHECK(e[2].source == 0 && e[3].source == 1 && e[3].x == 345 && e[2].x == 12);
    spk_events_close(in);
    cut_everywhere(1);
    damage_everywhere();
}

TEST(aedat4_strict_names_the_packet)
{
    spk_events_desc desc = {0};
    stream_result r;
    size_t first;
    build_4();
    first = 18 + (size_t)b.data[14] + ((size_t)b.data[15] << 8);
    b.data[first + 12] = 0xff; /* the root is outside */
    r = whole(NULL);
    CHECK(r.result == SPK_OK && r.events == 1 && r.violations == 1 && r.skipped > 60);
    desc.strict = true;
    r = whole(&desc);
    CHECK_EQ((uint64_t)(int64_t)r.result, (uint64_t)(int64_t)SPK_ERR_FORMAT);
    CHECK_HAS(r.error, "packet 0 at byte");
    CHECK_HAS(r.error, "FlatBuffer is damaged");
    b.data[first + 12] = 0;
    b.data[first + 7] = 0x80; /* a negative size: no way to go on */
    r = whole(NULL);
    CHECK_EQ((uint64_t)(int64_t)r.result, (uint64_t)(int64_t)SPK_ERR_FORMAT);
    CHECK_HAS(r.error, "no sensible header");
}

/* Polarities and unused bytes of any value; one in eleven at an edge of the sensor, or outside. */
TEST(aedat4_events_are_the_same_on_every_isa)
{
    static const unsigned edges[][2] = {{345, 259}, {346, 0}, {0, 260}, {65535, 3}, {3, 65535}};
    enum { COUNT = 500 };
    static spk_event want[COUNT], got[2 * COUNT];
    size_t at, k, n = 0;
    int isa;
    b.size = 0;
    memset(want, 0, sizeof want);
    begin_file4(&b, 0, -1, xml4);
    at = begin_packet4(&b, 7, "EVTS"); /* of the second camera */
    begin_vector4(&b, at, COUNT);
    for (k = 0; k < COUNT; k++) {
        const unsigned *edge = k % 11 == 0 && k > 50 ? edges[k / 11 % 5] : NULL;
        const unsigned x = edge ? edge[0] : (unsigned)(k * 7 % 346);
        const unsigned y = edge ? edge[1] : (unsigned)(k * 5 % 260);
        const unsigned on = (unsigned)(k * 37 % 4 * 85);
        put_le(&b, 0x8000000000000000u + k, 8);
        put_le(&b, x, 2);
        put_le(&b, y, 2);
        put_le(&b, on, 1);
        put_le(&b, k * 0x010203, 3);
        want[n].t_us = (int64_t)(0x8000000000000000u + k);
        want[n].x = (uint16_t)x;
        want[n].y = (uint16_t)y;
        want[n].polarity = on != 0;
        want[n].source = 301;
        n += x < 346 && y < 260;
    }
    end_packet4(&b, at);
    CHECK(n > 400 && n < COUNT - 20);
    for (isa = SPK_ISA_SCALAR; isa <= SPK_ISA_GENERIC; isa++) {
        spk_events_desc desc = {0};
        spk_event_stats stats;
        spk_events *in;
        if (!spk_isa_available((spk_isa)isa)) continue;
        desc.isa = (spk_isa)isa;
        desc.source = 300;
        in = spk_events_open_memory(b.data, b.size, &desc);
        CHECK_EQ(spk_events_read(in, got, 2 * COUNT), n);
        CHECK(memcmp(got, want, n * sizeof *got) == 0);
        CHECK(spk_events_get_stats(in, &stats) == SPK_OK);
        CHECK_EQ(stats.dropped, COUNT - n);
        spk_events_close(in);
    }
}

TEST(aedat4_events_in_the_millions_of_a_packet)
{
    stream_result r;
    size_t at, k;
    b.size = 0;
    begin_file4(&b, 0, -1, xml4);
    at = begin_packet4(&b, 0, "EVTS");
    begin_vector4(&b, at, 3000);
    for (k = 0; k < 3000; k++) put_event4(&b, (int64_t)k, (unsigned)k % 400, 1, 1);
    end_packet4(&b, at);
    r = whole(NULL);
    CHECK_EQ(r.dropped, 3000 / 400 * 54 + 0); /* of 400 columns only 346 are there */
    CHECK_EQ(r.events + r.dropped, 3000);
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 997), b.size + 1);
}

TEST(aedat4_without_its_library_the_error_names_the_flag)
{
#if defined(SPIKELIB_LZ4) || defined(SPIKELIB_ZSTD)
    SKIP("compiled with the libraries");
#else
    char path[256];
    stream_result r;
    b.size = 0;
    begin_file4(&b, 1, -1, xml4);
    r = whole(NULL);
    CHECK_EQ((uint64_t)(int64_t)r.result, (uint64_t)(int64_t)SPK_ERR_UNSUPPORTED);
    CHECK_HAS(r.error, "SPIKELIB_LZ4");
    b.size = 0;
    begin_file4(&b, 4, -1, xml4);
    r = whole(NULL);
    CHECK_HAS(r.error, "SPIKELIB_ZSTD");
    b.size = 0;
    begin_file4(&b, 9, -1, xml4);
    r = whole(NULL);
    CHECK_HAS(r.error, "no compression number 9");
    if (!check_shared("data/events/davis346_demo01.aedat4", path, sizeof path))
        SKIP("no ../shared/data/events");
    r = stream_file(path, NULL, 4096);
    CHECK_HAS(r.error, "davis346_demo01.aedat4");
    CHECK_HAS(r.error, "SPIKELIB_LZ4");
#endif
}

TEST_MAIN()
