/* ---- >>test_spikefile_format: the bytes are those of docs/spikefile.md, and few ---- */

/* check: with lz4 zstd */
#include "spikelib.h"

#include "check.h"
#include "spikefile.h"

static bool python_here(void)
{
    return system("python3 -c pass 2>/dev/null") == 0;
}

/* What the program that was written from the page says about a file. */
static records by_the_page(const char *path, spk_spikefile_kind kind, char *head, size_t size)
{
    char command[1200], line[200];
    records r = {kind, 0, malloc(16)};
    size_t room = 0;
    FILE *f;
    snprintf(command, sizeof command, "python3 tests/spikefile.py \"%s\"", path);
    f = popen(command, "r");
    head[0] = 0;
    if (!f || !fgets(head, (int)size, f)) head[0] = 0;
    while (f && fgets(line, (int)sizeof line, f)) {
        unsigned v[5] = {0};
        long long t = 0;
        const int got = sscanf(line, "%lld %u %u %u %u %u", &t, &v[0], &v[1], &v[2], &v[3], &v[4]);
        if (got != (kind == SPK_SPIKEFILE_EVENTS ? 6 : 2)) break;
        if (r.count == room) r.data = realloc(r.data, 16 * (room = 2 * room + 64));
        memset((char *)r.data + 16 * r.count, 0, 16);
        if (kind == SPK_SPIKEFILE_EVENTS) {
            spk_event *e = (spk_event *)r.data + r.count;
            e->t_us = t;
            e->x = (uint16_t)v[0];
            e->y = (uint16_t)v[1];
            e->polarity = (uint8_t)v[2];
            e->kind = (uint8_t)v[3];
            e->source = (uint16_t)v[4];
        } else {
            ((spk_spike *)r.data)[r.count].step = (uint64_t)t;
            ((spk_spike *)r.data)[r.count].neuron = v[0];
        }
        r.count++;
    }
    if (f) CHECK_EQ(pclose(f), 0);
    return r;
}

TEST(a_program_written_from_the_page_reads_every_file)
{
    char path[512], head[200];
    if (!python_here()) SKIP("no python3");
    for (int shape = 0; shape < SHAPES; shape++)
        for (int codec = 0; codec < 2; codec++) {
            records in = make_records(shape, 2600, 50 + (uint64_t)shape), out;
            check_tmp("page.spk", path, sizeof path);
            /* 40 records a chunk: an index of two levels */
            REQUIRE(write_records(path, &in, (spk_spikefile_codec)codec, codec ? 40 : 2000) ==
                    SPK_OK);
            out = by_the_page(path, in.kind, head, sizeof head);
            CHECK_HAS(head, in.kind == SPK_SPIKEFILE_EVENTS ? "kind 1" : "kind 0");
            CHECK(same_records(&in, &out));
            free_records(&in);
            free_records(&out);
            remove(path);
        }
}

TEST(the_index_leads_to_any_chunk_in_few_steps)
{
    char path[512], command[1200];
    records in = make_records(SHAPE_SPIKES, 3000, 2);
    if (!python_here()) SKIP("no python3");
    check_tmp("index.spk", path, sizeof path);
    REQUIRE(write_records(path, &in, SPK_SPIKEFILE_PACKED, 2) == SPK_OK); /* 1,500 chunks */
    for (size_t k = 0; k < in.count; k += 611) {
        unsigned chunk = 0, headers = 0;
        size_t first = k;
        FILE *f;
        snprintf(command, sizeof command, "python3 tests/spikefile.py \"%s\" seek %lld", path,
                 (long long)time_of(&in, k));
        f = popen(command, "r");
        REQUIRE(f && fscanf(f, "%*[^\n] chunk %u headers %u", &chunk, &headers) == 2);
        pclose(f);
        while (first > 0 && time_of(&in, first - 1) == time_of(&in, k)) first--;
        CHECK_EQ(chunk, first / 2);
        CHECK(headers <= 4); /* log16(1,500) < 3, and the last chunk */
    }
    free_records(&in);
    remove(path);
}

/* The dump of docs/spikefile.md. */
static size_t read_dump(uint8_t *to, size_t room)
{
    FILE *f = fopen("docs/spikefile.md", "r");
    char line[300];
    size_t n = 0;
    bool there = false;
    while (f && fgets(line, (int)sizeof line, f)) {
        unsigned at = 0, v[16];
        int got, used = 0;
        there = there || strstr(line, "## A file of three spikes");
        if (!there || sscanf(line, " %x:%n", &at, &used) != 1 || used == 0) continue;
        got = sscanf(line + used, "%x %x %x %x %x %x %x %x %x %x %x %x %x %x %x %x", &v[0], &v[1],
                     &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10], &v[11], &v[12],
                     &v[13], &v[14], &v[15]);
        for (; n < at && n < room; n++) to[n] = 0; /* rows of zeros are left out */
        for (int k = 0; k < got && n < room; k++) to[n++] = (uint8_t)v[k];
    }
    if (f) fclose(f);
    return n;
}

TEST(the_file_of_the_page_is_what_is_written)
{
    char path[512];
    uint8_t want[1024], got[1024];
    const size_t size = read_dump(want, sizeof want);
    spk_spike spikes[3] = {{5, 2, 0}, {5, 3, 0}, {7, 1, 0}};
    spk_spikefile_desc d = {0};
    spk_spikefile_writer *w;
    FILE *f;
    if (size == 0) SKIP("no docs/spikefile.md");
    d.dt_ms = 0.5;
    d.width = 4;
    check_tmp("golden.spk", path, sizeof path);
    w = spk_spikefile_create(path, &d);
    CHECK_EQ(spk_spikefile_write_spikes(w, spikes, 3), SPK_OK);
    CHECK_EQ(spk_spikefile_writer_close(w), SPK_OK);
    f = fopen(path, "rb");
    CHECK_EQ(fread(got, 1, sizeof got, f), size);
    fclose(f);
    CHECK(memcmp(want, got, size) == 0);
    remove(path);
}

/* -- real recordings -- */

static records recording(const char *path)
{
    spk_events_desc d;
    spk_events *in;
    records r = {SPK_SPIKEFILE_EVENTS, 0, NULL};
    size_t room = 0, n;
    memset(&d, 0, sizeof d);
    d.triggers_in_stream = true;
    in = spk_events_open(path, &d);
    do {
        if (room < r.count + 4096) r.data = realloc(r.data, 16 * (room = 2 * room + 8192));
        n = spk_events_read(in, (spk_event *)r.data + r.count, 4096);
        r.count += n;
    } while (n);
    if (spk_events_status(in) != SPK_OK) r.count = 0; /* a format that is not built in */
    spk_events_close(in);
    return r;
}

TEST(every_recording_takes_less_than_a_quarter_of_12_bytes_an_event)
{
    static const char *const names[] = {
        "vga640_triggers.evt3.raw", "gen41_vectors.evt3.raw", "gen3.evt2.raw", "ncars_sample.dat",
        "dvxplorer_rollover.aedat", "davis346_demo01.aedat4", "dvs.es",        "nmnist_sample.bin",
        "slider_depth_chunk.txt"};
    int seen = 0;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        for (int codec = 0; codec < 4; codec++) {
            char shared[600], source[512], path[512];
            spk_spikefile *file;
            spk_spikefile_info info;
            size_t cd = 0;
            records in, out;
            snprintf(source, sizeof source, "data/events/%s", names[k]);
            if (!check_shared(source, shared, sizeof shared) ||
                !codec_built((spk_spikefile_codec)codec))
                continue;
            in = recording(shared);
            if (in.count == 0) {
                free_records(&in);
                continue;
            }
            check_tmp("recording.spk", path, sizeof path);
            CHECK_EQ(write_records(path, &in, (spk_spikefile_codec)codec, 0), SPK_OK);
            file = spk_spikefile_open(path, NULL);
            CHECK_EQ(spk_spikefile_get_info(file, &info), SPK_OK);
            out = read_all(file, in.kind);
            CHECK(same_records(&in, &out));
            for (size_t i = 0; i < in.count; i++)
                cd += ((const spk_event *)in.data)[i].kind == SPK_EVENT_CD;
            /* all of the file, the triggers in it included */
            if (codec != SPK_SPIKEFILE_RAW) CHECK(4 * info.bytes <= 12 * (uint64_t)cd);
            if (codec != SPK_SPIKEFILE_RAW && 4 * info.bytes > 12 * (uint64_t)cd)
                printf("    %s: %u bytes, %u events\n", names[k], (unsigned)info.bytes,
                       (unsigned)cd);
            seen += codec == 0;
            spk_spikefile_close(file);
            free_records(&in);
            free_records(&out);
            remove(path);
        }
    }
    if (!seen) SKIP("no recordings: ../shared/data/events");
}

TEST_MAIN()
