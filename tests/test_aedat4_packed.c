/* AEDAT4 with LZ4 and zstd: a real recording, and packets packed by hand. check: with lz4 zstd */
#include "spikelib.h"

#include "bytes.h"
#include "stream.h"

#ifdef SPIKELIB_LZ4
#include <lz4frame.h>
#endif

TEST(aedat4_recording_with_frames_imu_and_triggers)
{
#ifndef SPIKELIB_LZ4
    SKIP("compiled without LZ4");
#else
    char path[256];
    stream_result r, s;
    uint8_t *data;
    size_t size;
    if (!check_shared("data/events/davis346_demo01.aedat4", path, sizeof path))
        SKIP("no ../shared/data/events");
    r = stream_file(path, NULL, 4096);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.format, SPK_FORMAT_AEDAT4);
    CHECK(r.width == 346 && r.height == 260);
    CHECK_EQ(r.events, 319512);
    CHECK_EQ(r.on, 166736);
    CHECK_EQ(r.off, 152776);
    CHECK_EQ(r.frames, 13);
    CHECK_EQ(r.imu, 510);
    CHECK_EQ(r.triggers, 52);
    CHECK_EQ((uint64_t)r.first, UINT64_C(1643243628737093));
    CHECK_EQ((uint64_t)r.last, UINT64_C(1643243629248083));
    CHECK_EQ(r.sum_t, UINT64_C(8527224327276636653)); /* dv-processing 2.0.4, and so the next two */
    CHECK_EQ(r.sum_x, 52911189);
    CHECK_EQ(r.sum_y, 50906193);
    CHECK(r.skipped == 0 && r.violations == 0 && r.dropped == 0);
    data = stream_load(path, &size);
    s = stream_bytes(data, size, NULL, 1, 977, 100);
    CHECK(stream_same(&r, &s));
    free(data);
#endif
}

/* Cut anywhere, it gives what is whole before the cut; with a byte turned over, the packet is lost
   and counted, or the stream ends with an error. */
TEST(aedat4_packed_cut_and_damaged)
{
#ifndef SPIKELIB_LZ4
    SKIP("compiled without LZ4");
#else
    char path[256];
    uint8_t *data;
    size_t size, k;
    uint64_t before = 0;
    if (!check_shared("data/events/davis346_demo01.aedat4", path, sizeof path))
        SKIP("no ../shared/data/events");
    data = stream_load(path, &size);
    if (size > 60000) size = 60000;
    for (k = 0; k < size; k += 599) {
        stream_result r = stream_bytes(data, k, NULL, k, 0, 4096);
        CHECK(r.events >= before);
        CHECK(r.result == SPK_OK ? k > 3150 || k == 0 : r.error[0] != 0);
        if (r.result == SPK_OK) before = r.events;
    }
    CHECK(before > 3000);
    for (k = 0; k < size; k += 211) {
        stream_result r;
        data[k] ^= 0x55;
        r = stream_bytes(data, size, NULL, size, 0, 4096);
        CHECK((r.result == SPK_OK) == (r.error[0] == 0));
        CHECK(r.events <= 2 * before);
        data[k] ^= 0x55;
    }
    free(data);
#endif
}

static const char *const xml = "<dv><node name=\"outInfo\"><node name=\"0\">"
                               "<attr key=\"typeIdentifier\">EVTS</attr></node></node></dv>";

static bytes file, packet;

/* 9,000 events, so that there are three blocks of 64 kB. */
static size_t build(int compression)
{
    size_t at, k;
    file.size = packet.size = 0;
    begin_file4(&file, compression, -1, xml);
    at = begin_packet4(&packet, 0, "EVTS");
    begin_vector4(&packet, at, 9000);
    for (k = 0; k < 9000; k++)
        put_event4(&packet, (int64_t)(1000 + k * k % 77), (unsigned)(k * 7919 % 300), 5, k & 1);
    end_packet4(&packet, at);
    return at + 8;
}

static void check_build(size_t packed)
{
    stream_result r;
    file.data[file.size - packed - 4] = (uint8_t)packed;
    file.data[file.size - packed - 3] = (uint8_t)(packed >> 8);
    file.data[file.size - packed - 2] = (uint8_t)(packed >> 16);
    r = stream_bytes(file.data, file.size, NULL, file.size, 0, 4096);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.events, 9000);
    CHECK_EQ(r.on, 4500);
    CHECK(r.skipped == 0 && r.violations == 0);
    CHECK_EQ(stream_bad_split(file.data, file.size, NULL, 101), file.size + 1);
}

TEST(lz4_frames_of_every_kind)
{
#ifndef SPIKELIB_LZ4
    SKIP("compiled without LZ4");
#else
    unsigned kind;
    for (kind = 0; kind < 16; kind++) { /* linked or not, checksums or not, the size or not */
        LZ4F_preferences_t p;
        stream_result r;
        size_t body = build(1), n;
        memset(&p, 0, sizeof p);
        p.frameInfo.blockSizeID = LZ4F_max64KB;
        p.frameInfo.blockMode = kind & 1 ? LZ4F_blockIndependent : LZ4F_blockLinked;
        p.frameInfo.contentChecksumFlag = kind & 2 ? LZ4F_contentChecksumEnabled
                                                   : LZ4F_noContentChecksum;
        p.frameInfo.blockChecksumFlag = kind & 4 ? LZ4F_blockChecksumEnabled
                                                 : LZ4F_noBlockChecksum;
        p.frameInfo.contentSize = kind & 8 ? packet.size - body : 0;
        put_le(&file, 0, 8);
        n = LZ4F_compressFrame(file.data + file.size, sizeof file.data - file.size,
                               packet.data + body, packet.size - body, &p);
        REQUIRE(!LZ4F_isError(n));
        file.size += n;
        check_build(n);
        if ((kind & 6) == 0) continue;
        file.data[file.size - n / 2] ^= 1; /* a checksum sees it */
        r = stream_bytes(file.data, file.size, NULL, file.size, 0, 4096);
        CHECK(r.events == 0 && r.violations == 1 && r.skipped == n + 8);
    }
#endif
}

TEST(zstd_frames)
{
#ifndef SPIKELIB_ZSTD
    SKIP("compiled without zstd");
#else
    size_t body = build(3), n;
    put_le(&file, 0, 8);
    n = ZSTD_compress(file.data + file.size, sizeof file.data - file.size, packet.data + body,
                      packet.size - body, 3);
    REQUIRE(!ZSTD_isError(n));
    file.size += n;
    check_build(n);
    {
        stream_result r = stream_bytes(file.data, file.size - 3, NULL, file.size, 0, 4096);
        CHECK(r.events == 0 && r.violations == 1 && r.skipped == n + 8 - 3);
    }
#endif
}

TEST_MAIN()
