/* What holds for every reader and every writer of events: nothing that comes beside the events is
   lost, no memory is an error, a full disk leaves whole events, and what a format cannot hold is
   named. check: with lz4 zstd hdf5 */
#include "spikelib.h"

#include "budget.h"
#include "disk.h"
#include "stream.h"

#if defined(__linux__)
#include <signal.h>
#endif

static const char *const endings[] = {"evt3", "evt2", "dat", "es", "bin", "aedat4",
                                      "csv",  "txt",  "npy", "spk"};
enum { WRITERS = sizeof endings / sizeof endings[0], MANY = 100000 };
static spk_event in[MANY], back[MANY + 64];

/* Events that every format can hold: a sensor of 34 x 34, rows now and then. */
static void walk(size_t n)
{
    uint32_t key[2] = {3, 5};
    int64_t t = 1000;
    memset(in, 0, sizeof in);
    for (size_t k = 0; k < n; k++) {
        uint32_t counter[4] = {0, 0, 0, 0}, r[4];
        counter[0] = (uint32_t)k;
        spk_philox4x32(counter, key, r);
        t += r[3] % 5;
        in[k].t_us = t;
        in[k].x = (uint16_t)(r[0] % 34);
        in[k].y = (uint16_t)(r[1] % 34);
        in[k].polarity = (uint8_t)(r[2] & 1);
    }
}

static const char *named(size_t writer, char *path, size_t size)
{
    char name[64];
    snprintf(name, sizeof name, "every.%s", endings[writer]);
    return check_tmp(name, path, size);
}

static spk_event_writer_desc small_sensor(void)
{
    spk_event_writer_desc d = {0};
    d.width = d.height = 34;
    return d;
}

/* All events of a file, into `back`; at most one more than there were written. */
static size_t read_back(const char *path, spk_event_stats *stats)
{
    spk_events_desc d = {0};
    spk_events *file;
    size_t got = 0, n;
    d.width = d.height = 34; /* so that NMNIST has one */
    file = spk_events_open(path, &d);
    while ((n = spk_events_read(file, back + got, MANY + 64 - got)) > 0) got += n;
    CHECK_STR(spk_events_error(file), "");
    spk_events_get_stats(file, stats);
    spk_events_close(file);
    return got;
}

TEST(every_writer_gives_back_what_it_took)
{
    walk(MANY);
    for (size_t w = 0; w < WRITERS; w++) {
        char path[512];
        spk_event_writer_desc d = small_sensor();
        spk_event_stats stats;
        spk_event_writer *out = spk_event_writer_open(named(w, path, sizeof path), &d);
        for (size_t k = 0; k < MANY; k += 1999)
            spk_event_writer_write(out, in + k, MANY - k < 1999 ? MANY - k : 1999);
        CHECK_EQ(spk_event_writer_finish(out), SPK_OK);
        CHECK_EQ(spk_event_writer_written(out), MANY);
        spk_event_writer_close(out);
        CHECK_EQ(read_back(path, &stats), MANY);
        if (memcmp(in, back, sizeof in) != 0) check_fail(__FILE__, __LINE__, endings[w]);
        CHECK(stats.bytes_skipped == 0 && stats.violations == 0 && stats.dropped == 0);
        remove(path);
    }
}

/* -- what a format cannot hold -- */

typedef struct refusal {
    const char *ending;
    spk_event event; /* comes tenth */
    const char *why;
} refusal;

TEST(every_writer_names_the_event_that_it_cannot_hold_and_writes_those_before)
{
    enum { CD = SPK_EVENT_CD, TRIGGER = SPK_EVENT_TRIGGER, OTHER = SPK_EVENT_OTHER };
    static const refusal list[] = {
        {"evt3", {5000, 2048, 1, 0, CD, 0}, "x (of a trigger: the channel) is too large"},
        {"evt3", {5000, 1, 2048, 0, CD, 0}, "y is too large"},
        {"evt3", {5000, 16, 0, 0, TRIGGER, 0}, "x (of a trigger: the channel) is too large"},
        {"evt3", {999, 1, 1, 0, CD, 0}, "the time is before the last event's"},
        {"evt3", {-1, 1, 1, 0, CD, 0}, "the time is negative"},
        {"evt3", {INT64_MAX, 1, 1, 0, CD, 0}, "the time is further than 97 days"},
        {"evt3", {5000, 1, 1, 0, OTHER, 0}, "it has no such kind of event"},
        {"evt2", {5000, 2048, 1, 0, CD, 0}, "x (of a trigger: the channel) is too large"},
        {"evt2", {5000, 1, 2048, 0, CD, 0}, "y is too large"},
        {"evt2", {5000, 32, 0, 0, TRIGGER, 0}, "x (of a trigger: the channel) is too large"},
        {"evt2", {-1, 1, 1, 0, CD, 0}, "the time is negative"},
        {"evt2", {INT64_MAX, 1, 1, 0, CD, 0}, "the time is further than 544 years"},
        {"dat", {5000, 16384, 1, 0, CD, 0}, "x (of a trigger: the channel) is too large"},
        {"dat", {5000, 1, 16384, 0, CD, 0}, "y is too large"},
        {"dat", {5000, 1, 0, 0, TRIGGER, 0}, "it has no such kind of event"},
        {"dat", {(int64_t)1 << 32, 1, 1, 0, CD, 0}, "the low 32 bits of the time do not tell it"},
        {"es", {5000, 1, 0, 0, TRIGGER, 0}, "it has no such kind of event"},
        {"es", {5000, 40000, 1, 0, CD, 0}, "x is outside of the sensor"},
        {"es", {5000, 1, 40000, 0, CD, 0}, "y is outside of the sensor"},
        {"es", {999, 1, 1, 0, CD, 0}, "the time is before the last event's"},
        {"es", {INT64_MAX, 1, 1, 0, CD, 0}, "the time is further than 4.7 hours"},
        {"bin", {5000, 256, 1, 0, CD, 0}, "x (of a trigger: the channel) is too large"},
        {"bin", {5000, 1, 240, 0, CD, 0}, "y is too large"},
        {"bin", {5000, 1, 0, 0, TRIGGER, 0}, "it has no such kind of event"},
        {"bin", {INT64_MAX, 1, 1, 0, CD, 0}, "the time is further than 19 hours"},
        {"aedat4", {5000, 32768, 1, 0, CD, 0}, "x (of a trigger: the channel) is too large"},
        {"aedat4", {5000, 1, 32768, 0, CD, 0}, "y is too large"},
        {"aedat4", {5000, 1, 1, 0, OTHER, 0}, "it has no such kind of event"},
        {"csv", {5000, 1, 1, 0, OTHER, 0}, "it has no such kind of event"},
        {"txt", {5000, 1, 1, 0, OTHER, 0}, "it has no such kind of event"},
        {"npy", {5000, 1, 1, 0, TRIGGER, 0}, "it has no such kind of event"},
        {"spk", {5000, 1, 1, 2, CD, 0}, "the polarity is neither 0 nor 1"},
        {"spk", {5000, 1, 1, 1, 9, 0}, "it has no such kind of event"},
    };
    for (size_t k = 0; k < sizeof list / sizeof list[0]; k++) {
        char path[512], name[64];
        spk_event_writer_desc d = {0};
        spk_event_stats stats;
        spk_event_writer *out;
        walk(20);
        in[9] = list[k].event;
        snprintf(name, sizeof name, "refused.%s", list[k].ending);
        if (strcmp(list[k].ending, "es") == 0) d = small_sensor();
        out = spk_event_writer_open(check_tmp(name, path, sizeof path), &d);
        CHECK(spk_event_writer_write(out, in, 20) == SPK_ERR_RANGE);
        CHECK_HAS(spk_event_writer_error(out), "event 9 (t ");
        CHECK_HAS(spk_event_writer_error(out), list[k].why);
        CHECK(spk_event_writer_write(out, in, 1) == SPK_ERR_RANGE); /* the first error stays */
        CHECK(spk_event_writer_finish(out) == SPK_ERR_RANGE);
        CHECK_EQ(spk_event_writer_written(out), 9);
        spk_event_writer_close(out);
        CHECK_EQ(read_back(path, &stats), 9);
        CHECK(memcmp(in, back, 9 * sizeof in[0]) == 0);
        remove(path);
    }
}

/* -- a full disk -- */

#if defined(__linux__)
TEST(on_a_full_disk_every_writer_leaves_a_file_of_whole_events_and_says_how_many)
{
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    walk(MANY);
    for (size_t w = 0; w < WRITERS; w++) {
        char path[512], words[64];
        spk_event_writer_desc d = small_sensor();
        spk_event_stats stats;
        spk_event_writer *out = spk_event_writer_open(named(w, path, sizeof path), &d);
        spk_result result = SPK_OK;
        uint64_t written;
        /* spike files are small: three of their chunks do not fit */
        rlim_t before = disk_holds(strcmp(endings[w], "spk") == 0 ? 180000 : 300000);
        for (size_t turn = 0; turn < 20 && result == SPK_OK; turn++) {
            for (size_t k = 0; k < MANY; k++) in[k].t_us += turn ? in[MANY - 1].t_us : 0;
            result = spk_event_writer_write(out, in, turn ? 1 : MANY);
            if (result == SPK_OK) result = spk_event_writer_finish(out);
        }
        CHECK(result == SPK_ERR_IO);
        CHECK(spk_event_writer_finish(out) == SPK_ERR_IO);
        written = spk_event_writer_written(out);
        snprintf(words, sizeof words, "%llu ", (unsigned long long)written);
        CHECK_HAS(spk_event_writer_error(out), words);
        CHECK_HAS(spk_event_writer_error(out), "File too large");
        CHECK(written > 10000 && written < MANY);
        spk_event_writer_close(out);
        disk_holds(before);
        CHECK_EQ(read_back(path, &stats), written);
        CHECK(memcmp(in, back, (size_t)written * sizeof in[0]) == 0);
        CHECK_EQ(stats.bytes_skipped, 0);
        if (check_failures) printf("    (%s)\n", endings[w]);
        remove(path);
    }
    signal(SIGXFSZ, handler);
}
#endif

/* -- no memory -- */

/* Reads a file with the n-th allocation failing, for each n until none does. */
static void starve_reader(const char *path)
{
    bool failed = true;
    long n;
    for (n = 0; n < 200 && failed; n++) {
        budget f;
        spk_events_desc d = {0};
        spk_events *file;
        uint64_t got = 0;
        size_t m;
        d.allocator = budget_allocator(&f, n);
        file = spk_events_open(path, &d);
        while (file && got < 60000 && (m = spk_events_read(file, back, 4096)) > 0) got += m;
        failed = f.failed != 0;
        if (file) CHECK(spk_events_status(file) == (failed ? SPK_ERR_OUT_OF_MEMORY : SPK_OK));
        if (file && failed) CHECK_HAS(spk_events_error(file), "no memory");
        spk_events_close(file);
        CHECK_EQ(f.blocks, 0);
    }
    CHECK(n > 2 && !failed);
    if (check_failures) printf("    (%s)\n", path);
}

TEST(no_memory_at_any_allocation_of_any_reader_is_an_error_and_leaks_nothing)
{
    static const char *const files[] = {
        "vga640_triggers.evt3.raw",  "gen3.evt2.raw",           "ncars_sample.dat",
        "dvxplorer_rollover.aedat",  "dvs.es",                  "nmnist_sample.bin",
        "slider_depth_chunk.txt",    "sonata_one_pop_spikes.csv",
#ifdef SPIKELIB_LZ4
        "davis346_demo01.aedat4",
#endif
#ifdef SPIKELIB_HDF5
        "sonata_one_pop_spikes.h5",
#endif
    };
    char path[512], name[128];
    walk(MANY);
    for (size_t w = 0; w < WRITERS; w++) { /* every format that is written */
        spk_event_writer_desc d = small_sensor();
        spk_event_writer *out = spk_event_writer_open(named(w, path, sizeof path), &d);
        spk_event_writer_write(out, in, 3000);
        spk_event_writer_close(out);
        starve_reader(path);
        remove(path);
    }
    for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
        snprintf(name, sizeof name, "data/events/%s", files[k]);
        if (check_shared(name, path, sizeof path)) starve_reader(path);
    }
    /* and those that are only read: small streams of every kind of record */
    static const char *const corpus[] = {"aedat2/davis", "aedat2/dvs128", "aedat3/kinds",
                                         "aedat3/serialised", "aedat4/kinds", "es/generic",
                                         "evt21/a", "evt4/a", "npy/columns.npy", "npy/big.npy"};
    for (size_t k = 0; k < sizeof corpus / sizeof corpus[0]; k++) {
        FILE *f;
        snprintf(path, sizeof path, "tests/fuzz/corpus/%s", corpus[k]);
        f = fopen(path, "rb");
        if (!f) continue;
        fclose(f);
        starve_reader(path);
    }
}

TEST(no_memory_at_any_allocation_of_any_writer_is_an_error_and_leaks_nothing)
{
    walk(3000);
    for (size_t w = 0; w < WRITERS; w++) {
        bool failed = true;
        long n;
        for (n = 0; n < 200 && failed; n++) {
            budget f;
            char path[512];
            spk_event_writer_desc d = small_sensor();
            spk_event_writer *out;
            spk_result result = SPK_ERR_OUT_OF_MEMORY;
            d.allocator = budget_allocator(&f, n);
            out = spk_event_writer_open(named(w, path, sizeof path), &d);
            if (out) {
                spk_event_writer_write(out, in, 3000);
                result = spk_event_writer_finish(out);
            }
            failed = f.failed != 0;
            CHECK(result == (failed ? SPK_ERR_OUT_OF_MEMORY : SPK_OK));
            spk_event_writer_close(out);
            CHECK_EQ(f.blocks, 0);
            remove(path);
        }
        CHECK(n > 2 && !failed);
        if (check_failures) printf("    (%s)\n", endings[w]);
    }
}

/* -- what comes beside the events -- */

typedef struct beside {
    uint64_t frames, frame_sum, frame_weighted, frame_t, imu, imu_t, triggers, trigger_t;
    uint64_t kinds[16];
    double gyro;
} beside;

static void on_frame(void *ctx, const spk_frame *f)
{
    beside *b = (beside *)ctx;
    const uint8_t *pixel = (const uint8_t *)f->pixels;
    b->frames++;
    b->frame_t += (uint64_t)f->t_us;
    for (size_t k = 0; k < f->size; k++) {
        b->frame_sum += pixel[k];
        b->frame_weighted += pixel[k] * (uint64_t)(k + 1);
    }
    CHECK(f->width == 346 && f->height == 260 && f->channels == 1 && f->sample_bytes == 1);
    CHECK_EQ(f->size, 346 * 260);
    CHECK(f->exposure_end_us - f->exposure_start_us == 20000);
}

static void on_imu(void *ctx, const spk_imu *imu)
{
    beside *b = (beside *)ctx;
    b->imu++;
    b->imu_t += (uint64_t)imu->t_us;
    for (int k = 0; k < 3; k++) b->gyro += (double)imu->gyro_dps[k];
}

static void on_trigger(void *ctx, const spk_trigger *t)
{
    beside *b = (beside *)ctx;
    b->triggers++;
    b->trigger_t += (uint64_t)t->t_us;
    b->kinds[t->code & 15]++;
}

/* Expected: dv-processing 2.0.4 and, of the frames, aedat 2.3.0, which agree. */
TEST(frames_imu_samples_and_triggers_of_a_recording_are_each_passed_on_once)
{
#ifndef SPIKELIB_LZ4
    SKIP("compiled without LZ4");
#else
    char path[512];
    if (!check_shared("data/events/davis346_demo01.aedat4", path, sizeof path))
        SKIP("no ../shared/data/events");
    for (size_t capacity = 1; capacity <= 4096; capacity = capacity * 16) {
        beside b;
        spk_events_desc d = {0};
        spk_event_stats stats;
        spk_events *file;
        memset(&b, 0, sizeof b);
        d.callbacks.ctx = &b;
        d.callbacks.frame = on_frame;
        d.callbacks.imu = on_imu;
        d.callbacks.trigger = on_trigger;
        file = spk_events_open(path, &d);
        while (spk_events_read(file, back, capacity) > 0) continue;
        spk_events_get_stats(file, &stats);
        spk_events_close(file);
        CHECK(stats.frames == 13 && stats.imu == 510 && stats.triggers == 52);
        CHECK_EQ(b.frames, 13);
        CHECK_EQ(b.frame_sum, 28839868);
        CHECK_EQ(b.frame_weighted, UINT64_C(919992598546));
        CHECK_EQ(b.frame_t, UINT64_C(21362167176971400));
        CHECK_EQ(b.imu, 510);
        CHECK_EQ(b.imu_t, UINT64_C(838054250786177816));
        CHECK_NEAR(b.gyro, -1234.8784801736474, 1e-3);
        CHECK_EQ(b.triggers, 52);
        CHECK_EQ(b.trigger_t, UINT64_C(85448668707365925));
        CHECK(b.kinds[6] == 13 && b.kinds[7] == 13 && b.kinds[8] == 13 && b.kinds[9] == 13);
    }
#endif
}

TEST_MAIN()
