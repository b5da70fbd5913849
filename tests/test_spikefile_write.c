/* ---- >>test_spikefile_write: writers lose nothing, and readers beside them see whole chunks ----
 */

/* check: threads */
#include "spikelib.h"

#include "check.h"
#include "budget.h"
#include "disk.h"
#include "spikefile.h"

#include <pthread.h>
#if defined(__linux__)
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

/* -- readers beside the writer -- */

#define GROWING 60000u

typedef struct growing {
    char path[512];
    records in;
    spk_spikefile_codec codec;
    bool done;
} growing;

static void *grow(void *arg)
{
    growing *g = (growing *)arg;
    spk_spikefile_desc d = {0};
    spk_spikefile_writer *w;
    uint64_t seed = 3;
    d.kind = g->in.kind;
    d.codec = g->codec;
    d.chunk_records = 1500;
    w = spk_spikefile_append(g->path, &d);
    for (size_t k = 0, n; k < g->in.count; k += n) {
        n = 1 + random64(&seed) % 900;
        if (n > g->in.count - k) n = g->in.count - k;
        spk_spikefile_write_events(w, (const spk_event *)g->in.data + k, n);
        if (random64(&seed) % 4 == 0) spk_spikefile_flush(w);
    }
    CHECK_EQ(spk_spikefile_writer_close(w), SPK_OK);
    __atomic_store_n(&g->done, true, __ATOMIC_RELEASE);
    return NULL;
}

/* Reads what comes until the writer is done and all is there. */
static records follow(growing *g, bool no_map)
{
    spk_spikefile_read_desc d = {0};
    spk_spikefile *file;
    records out = {g->in.kind, 0, malloc(16 * (g->in.count + 2000))};
    uint64_t last = 0;
    d.no_map = no_map;
    file = spk_spikefile_open(g->path, &d);
    for (int ended = 0; ended < 2;) {
        spk_spikefile_info info;
        size_t n;
        ended += __atomic_load_n(&g->done, __ATOMIC_ACQUIRE) ? 1 : 0;
        CHECK_EQ(spk_spikefile_refresh(file), SPK_OK);
        spk_spikefile_get_info(file, &info);
        CHECK(info.records >= last);
        last = info.records;
        while ((n = spk_spikefile_read_events(file, (spk_event *)out.data + out.count, 700)) > 0)
            out.count += n;
        CHECK_EQ(spk_spikefile_status(file), SPK_OK);
        CHECK_EQ(out.count, last);
        if (out.count != last) break;
    }
    CHECK_EQ(spk_spikefile_verify(file), SPK_OK);
    CHECK_STR(spk_spikefile_lost(file), "");
    spk_spikefile_close(file);
    return out;
}

static void begin_file(growing *g, spk_spikefile_codec codec, const char *name)
{
    records none = {SPK_SPIKEFILE_EVENTS, 0, NULL};
    memset(g, 0, sizeof *g);
    g->codec = codec;
    check_tmp(name, g->path, sizeof g->path);
    g->in = make_records(SHAPE_EVENTS, GROWING, 8);
    CHECK_EQ(write_records(g->path, &none, codec, 0), SPK_OK);
}

TEST(a_reader_in_another_thread_sees_each_record_once)
{
    for (int k = 0; k < 4; k++) {
        growing g;
        records out;
        pthread_t thread;
        begin_file(&g, k < 2 ? SPK_SPIKEFILE_PACKED : SPK_SPIKEFILE_RAW, "growing.spk");
        REQUIRE(pthread_create(&thread, NULL, grow, &g) == 0);
        out = follow(&g, k % 2 == 1);
        pthread_join(thread, NULL);
        CHECK(same_records(&g.in, &out));
        free_records(&out);
        free_records(&g.in);
        remove(g.path);
    }
}

#if defined(__linux__)
TEST(a_writer_in_another_process_that_dies_leaves_whole_chunks)
{
    growing g;
    records out;
    spk_spikefile *file;
    int status;
    pid_t child;
    begin_file(&g, SPK_SPIKEFILE_PACKED, "killed.spk");
    fflush(stdout);
    child = fork();
    if (child == 0) {
        for (;;) grow(&g);
    }
    for (int k = 0; k < 200; k++) { /* until something is there; then it is killed at any point */
        spk_spikefile_info info;
        file = spk_spikefile_open(g.path, NULL);
        spk_spikefile_get_info(file, &info);
        spk_spikefile_close(file);
        if (info.records > 30000) break;
        usleep(5000);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    file = spk_spikefile_open(g.path, NULL);
    CHECK_EQ(spk_spikefile_status(file), SPK_OK);
    CHECK_EQ(spk_spikefile_verify(file), SPK_OK);
    out = read_all(file, SPK_SPIKEFILE_EVENTS);
    CHECK(out.count > 0);
    for (size_t k = 0; k < out.count; k += GROWING) {
        const size_t n = out.count - k < GROWING ? out.count - k : GROWING;
        CHECK(memcmp((char *)out.data + 16 * k, g.in.data, 16 * n) == 0);
    }
    spk_spikefile_close(file);
    free_records(&out);
    free_records(&g.in);
    remove(g.path);
}
#endif

TEST(a_file_has_one_writer)
{
    char path[512];
    spk_spikefile_writer *one, *two;
    check_tmp("one.spk", path, sizeof path);
    one = spk_spikefile_create(path, NULL);
    two = spk_spikefile_append(path, NULL);
    CHECK_EQ(spk_spikefile_writer_status(two), SPK_ERR_STATE);
    CHECK_HAS(spk_spikefile_writer_error(two), "another writer");
    spk_spikefile_writer_close(two);
    two = spk_spikefile_create(path, NULL); /* must not have emptied it */
    CHECK_EQ(spk_spikefile_writer_status(two), SPK_ERR_STATE);
    spk_spikefile_writer_close(two);
    CHECK_EQ(spk_spikefile_writer_close(one), SPK_OK);
    two = spk_spikefile_append(path, NULL);
    CHECK_EQ(spk_spikefile_writer_status(two), SPK_OK);
    spk_spikefile_writer_close(two);
    remove(path);
}

/* -- going on with a file -- */

/* What is before the cut, then something else. */
TEST(appending_goes_on_behind_everything_that_can_be_saved)
{
    char path[512];
    records a = make_records(SHAPE_EVENTS, 5000, 1), b = make_records(SHAPE_UNSORTED, 3000, 2);
    for (int codec = 0; codec < 2; codec++) {
        for (long cut = 0; cut < 60; cut++) {
            spk_spikefile_desc d = {0};
            spk_spikefile_writer *w;
            spk_spikefile *file;
            spk_spikefile_info before;
            records out;
            FILE *f;
            long size;
            check_tmp("append.spk", path, sizeof path);
            REQUIRE(write_records(path, &a, (spk_spikefile_codec)codec, 1800) == SPK_OK);
            f = fopen(path, "rb+");
            fseek(f, 0, SEEK_END);
            size = ftell(f) - cut * cut * cut;
            fclose(f);
            if (size < 128) break;
            REQUIRE(truncate(path, size) == 0);
            file = spk_spikefile_open(path, NULL);
            spk_spikefile_get_info(file, &before);
            spk_spikefile_close(file);
            d.kind = SPK_SPIKEFILE_EVENTS;
            d.codec = (spk_spikefile_codec)(1 - codec);
            d.chunk_records = 700;
            w = spk_spikefile_append(path, &d);
            CHECK_EQ(append_records(w, &b), SPK_OK);
            CHECK_EQ(spk_spikefile_writer_close(w), SPK_OK);
            file = spk_spikefile_open(path, NULL);
            CHECK_STR(spk_spikefile_lost(file), "");
            CHECK_EQ(spk_spikefile_verify(file), SPK_OK);
            out = read_all(file, SPK_SPIKEFILE_EVENTS);
            CHECK_EQ(out.count, before.records + b.count);
            CHECK(memcmp(out.data, a.data, 16 * (size_t)before.records) == 0);
            CHECK(memcmp((char *)out.data + 16 * before.records, b.data, 16 * b.count) == 0);
            spk_spikefile_close(file);
            free_records(&out);
            remove(path);
        }
    }
    free_records(&a);
    free_records(&b);
}

TEST(appending_checks_that_the_file_is_of_that_kind)
{
    char path[512];
    spk_spikefile_desc d = {0};
    spk_spikefile_writer *w;
    FILE *f;
    d.width = 100;
    d.dt_ms = 0.1;
    check_tmp("kind.spk", path, sizeof path);
    CHECK_EQ(spk_spikefile_writer_close(spk_spikefile_create(path, &d)), SPK_OK);
    d.kind = SPK_SPIKEFILE_EVENTS;
    w = spk_spikefile_append(path, &d);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_RANGE);
    CHECK_HAS(spk_spikefile_writer_error(w), "holds spikes of 100 x 0 with dt_ms 0.1");
    spk_spikefile_writer_close(w);
    f = fopen(path, "wb");
    fputs("something else entirely, longer than a header of 128 bytes is, so that nothing is "
          "taken for a cut file ........................................................",
          f);
    fclose(f);
    w = spk_spikefile_append(path, NULL);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_FORMAT);
    CHECK_HAS(spk_spikefile_writer_error(w), "is not a spike file");
    spk_spikefile_writer_close(w);
    remove(path);
    w = spk_spikefile_append(path, NULL);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_IO);
    spk_spikefile_writer_close(w);
}

/* -- a full disk -- */

#if defined(__linux__)
TEST(a_full_disk_loses_nothing_that_was_there_and_nothing_that_waits)
{
    char path[512];
    records in = make_records(SHAPE_EVENTS, 20000, 12), out;
    spk_spikefile_desc d = {0};
    spk_spikefile_writer *w;
    spk_spikefile *file;
    rlim_t before;
    size_t k = 0;
    int refusals = 0;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    check_tmp("full.spk", path, sizeof path);
    d.kind = SPK_SPIKEFILE_EVENTS;
    d.chunk_records = 1000;
    w = spk_spikefile_create(path, &d);
    for (rlim_t room = 5000; k < in.count; room += 1700) { /* grows only when it was full */
        spk_spikefile_info info;
        spk_result result = SPK_OK;
        before = disk_holds(room);
        while (k < in.count && result == SPK_OK) {
            const size_t n = in.count - k < 300 ? in.count - k : 300;
            result = spk_spikefile_write_events(w, (const spk_event *)in.data + k, n);
            k = (size_t)spk_spikefile_writer_count(w);
        }
        disk_holds(before);
        if (result == SPK_OK) break;
        refusals++;
        CHECK_EQ(result, SPK_ERR_IO);
        CHECK_HAS(spk_spikefile_writer_error(w), "cannot be written: File too large");
        file = spk_spikefile_open(path, NULL);
        CHECK_STR(spk_spikefile_lost(file), "");
        CHECK_EQ(spk_spikefile_verify(file), SPK_OK);
        spk_spikefile_get_info(file, &info);
        CHECK_EQ(info.records, spk_spikefile_writer_written(w));
        spk_spikefile_close(file);
    }
    CHECK(refusals > 5);
    CHECK_EQ(spk_spikefile_writer_close(w), SPK_OK);
    signal(SIGXFSZ, handler);
    file = spk_spikefile_open(path, NULL);
    out = read_all(file, SPK_SPIKEFILE_EVENTS);
    CHECK(same_records(&in, &out));
    free_records(&in);
    free_records(&out);
    spk_spikefile_close(file);
    remove(path);
}

TEST(a_device_that_takes_nothing_is_an_error)
{
    spk_spikefile_writer *w = spk_spikefile_create("/dev/full", NULL);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_IO);
    CHECK_HAS(spk_spikefile_writer_error(w), "No space left");
    spk_spikefile_writer_close(w);
}
#endif

/* -- no memory -- */

TEST(out_of_memory_at_each_allocation_is_an_error_and_leaks_nothing)
{
    char path[512];
    records in = make_records(SHAPE_EVENTS, 4000, 3);
    int worked = 0;
    check_tmp("memory.spk", path, sizeof path);
    for (int n = 0; n < 40 && worked < 3; n++) {
        budget b;
        spk_spikefile_desc d = {0};
        spk_spikefile_read_desc rd = {0};
        spk_spikefile_writer *w;
        spk_spikefile *file;
        d.kind = SPK_SPIKEFILE_EVENTS;
        d.allocator = rd.allocator = budget_allocator(&b, n);
        rd.no_map = true;
        d.chunk_records = 1000;
        w = worked % 2 ? spk_spikefile_append(path, &d) : spk_spikefile_create(path, &d);
        if (w && spk_spikefile_writer_status(w) != SPK_OK)
            CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_OUT_OF_MEMORY);
        else if (w)
            CHECK_EQ(append_records(w, &in), SPK_OK);
        spk_spikefile_writer_close(w);
        CHECK_EQ(b.blocks, 0);
        b.left = n;
        file = spk_spikefile_open(path, &rd);
        if (file && spk_spikefile_status(file) == SPK_OK) {
            records out = read_all(file, SPK_SPIKEFILE_EVENTS);
            const bool all = out.count >= in.count;
            CHECK(all || spk_spikefile_status(file) == SPK_ERR_OUT_OF_MEMORY || !w ||
                  out.count == 0);
            worked += all;
            free_records(&out);
        }
        spk_spikefile_close(file);
        CHECK_EQ(b.blocks, 0);
    }
    CHECK_EQ(worked, 3);
    free_records(&in);
    remove(path);
}

/* -- arguments -- */

TEST(bad_arguments_are_errors_that_name_them)
{
    char path[512];
    spk_spikefile_desc d = {0};
    spk_spikefile_writer *w;
    spk_spikefile *file;
    spk_spike spike = {UINT64_MAX, 1, 0};
    spk_event event = {0, 1, 1, 2, 0, 0};
    check_tmp("bad.spk", path, sizeof path);
    d.end_sentinel = 1;
    w = spk_spikefile_create(path, &d);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_UNINITIALISED);
    spk_spikefile_writer_close(w);
    d.end_sentinel = 0;
    d.dt_ms = -1;
    w = spk_spikefile_create(path, &d);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_RANGE);
    CHECK_HAS(spk_spikefile_writer_error(w), "dt_ms");
    spk_spikefile_writer_close(w);
    d.dt_ms = 0;
    d.chunk_records = 1u << 30;
    w = spk_spikefile_create(path, &d);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_RANGE);
    spk_spikefile_writer_close(w);
    w = spk_spikefile_create(NULL, NULL);
    CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_NULL);
    spk_spikefile_writer_close(w);
    w = spk_spikefile_create(path, NULL);
    CHECK_EQ(spk_spikefile_write_spikes(w, &spike, 1), SPK_ERR_RANGE);
    CHECK_HAS(spk_spikefile_writer_error(w), "spike 0: step 18446744073709551615");
    CHECK_EQ(spk_spikefile_write_spikes(w, NULL, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_spikefile_write_events(w, &event, 1), SPK_ERR_STATE);
    CHECK_EQ(spk_spikefile_writer_count(w), 0);
    spk_spikefile_writer_close(w);
    d.chunk_records = 0;
    d.kind = SPK_SPIKEFILE_EVENTS;
    w = spk_spikefile_create(path, &d);
    CHECK_EQ(spk_spikefile_write_events(w, &event, 1), SPK_ERR_RANGE);
    CHECK_HAS(spk_spikefile_writer_error(w), "event 0: polarity 2");
    spk_spikefile_writer_close(w);
    file = spk_spikefile_open(path, NULL);
    CHECK_EQ(spk_spikefile_neurons(file, 0, 10), SPK_ERR_STATE);
    CHECK_EQ(spk_spikefile_pixels(file, 5, 5, 5, 6), SPK_ERR_RANGE);
    CHECK_EQ(spk_spikefile_window(file, 5, 4), SPK_ERR_RANGE);
    CHECK_HAS(spk_spikefile_error(file), "[5, 4)");
    CHECK(!spk_spikefile_next_spikes(file, NULL));
    CHECK_EQ(spk_spikefile_status(file), SPK_ERR_STATE);
    spk_spikefile_close(file);
    remove(path);
    file = spk_spikefile_open(path, NULL);
    CHECK_EQ(spk_spikefile_status(file), SPK_ERR_IO);
    CHECK_HAS(spk_spikefile_error(file), "cannot be opened");
    CHECK_EQ(spk_spikefile_seek(file, 0), SPK_ERR_IO);
    spk_spikefile_close(file);
    CHECK_EQ(spk_spikefile_writer_close(NULL), SPK_OK);
    spk_spikefile_close(NULL);
    CHECK_EQ(spk_spikefile_window(NULL, 0, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_spikefile_verify(NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_spikefile_refresh(NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_spikefile_flush(NULL), SPK_ERR_NULL);
}

#if !defined(SPIKELIB_LZ4) && !defined(SPIKELIB_ZSTD)
TEST(a_codec_that_is_not_built_in_is_an_error_that_names_its_flag)
{
    char path[512];
    spk_spikefile_desc d = {0};
    for (int k = 0; k < 2; k++) {
        spk_spikefile_writer *w;
        d.codec = k ? SPK_SPIKEFILE_ZSTD : SPK_SPIKEFILE_LZ4;
        w = spk_spikefile_create(check_tmp("codec.spk", path, sizeof path), &d);
        CHECK_EQ(spk_spikefile_writer_status(w), SPK_ERR_UNSUPPORTED);
        CHECK_HAS(spk_spikefile_writer_error(w), k ? "SPIKELIB_ZSTD" : "SPIKELIB_LZ4");
        spk_spikefile_writer_close(w);
    }
    remove(path);
}
#endif

/* -- networks -- */

TEST(a_recorder_writes_the_spikes_of_its_digest)
{
    char path[512];
    spk_net_desc nd = {0};
    spk_rec_desc rd = {0};
    spk_spikefile_desc d = {0};
    spk_poisson_desc drive = {0};
    spk_net *net;
    spk_pop pop;
    spk_rec memory, filed;
    spk_spikefile_writer *w;
    spk_spikefile *file;
    records want = {SPK_SPIKEFILE_SPIKES, 0, NULL}, out;
    const spk_spike *spikes;
    check_tmp("net.spk", path, sizeof path);
    d.chunk_records = 1000;
    d.dt_ms = 0.1;
    w = spk_spikefile_create(path, &d);
    nd.threads = 2;
    net = spk_net_create(&nd);
    pop = spk_net_add(net, "cells", 400, SPK_LIF_EXP, NULL);
    drive.rate_hz = spk_constant(9000.0);
    drive.weight = spk_constant(200.0);
    spk_net_drive_poisson(net, pop, &drive);
    memory = spk_net_record_spikes(net, pop);
    rd.sink = SPK_SINK_CALLBACK;
    rd.callback = spk_spikefile_record;
    rd.ctx = w;
    filed = spk_net_record(net, pop, &rd);
    CHECK_EQ(spk_net_run(net, 300.0), SPK_OK);
    CHECK_EQ(spk_spikefile_writer_close(w), SPK_OK);
    spikes = spk_rec_spikes(memory, &want.count);
    want.data = malloc(16 * want.count + 16);
    memcpy(want.data, spikes, 16 * want.count);
    CHECK(want.count > 2500);
    CHECK_EQ(spk_rec_digest(filed), spk_rec_digest(memory));
    file = spk_spikefile_open(path, NULL);
    out = read_all(file, SPK_SPIKEFILE_SPIKES);
    CHECK(same_records(&want, &out));
    spk_spikefile_close(file);
    spk_net_destroy(net);
    free_records(&want);
    free_records(&out);
    remove(path);
}

TEST_MAIN()
