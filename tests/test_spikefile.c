/* ---- >>test_spikefile: what goes into a spike file comes out, whatever happens to the file ----
 */

/* check: with lz4 zstd */
#include "spikelib.h"

#include "check.h"
#include "spikefile.h"

#define SIZE(a) (sizeof(a) / sizeof(a)[0])

/* -- what was written is read -- */

static void round_trip(const records *in, spk_spikefile_codec codec, uint32_t chunk, bool no_map,
                       spk_isa isa)
{
    char path[512];
    spk_spikefile_read_desc d = {0};
    spk_spikefile_info info;
    spk_spikefile *file;
    records out;
    check_tmp("round.spk", path, sizeof path);
    REQUIRE(write_records(path, in, codec, chunk) == SPK_OK);
    d.no_map = no_map;
    d.isa = isa;
    file = spk_spikefile_open(path, &d);
    CHECK_EQ(spk_spikefile_status(file), SPK_OK);
    CHECK_STR(spk_spikefile_lost(file), "");
    CHECK_EQ(spk_spikefile_get_info(file, &info), SPK_OK);
    CHECK_EQ(info.records, in->count);
    CHECK(info.mapped == !no_map || in->count == 0);
    out = read_all(file, in->kind);
    CHECK_EQ(spk_spikefile_status(file), SPK_OK);
    CHECK(same_records(in, &out));
    free_records(&out);
    CHECK_EQ(spk_spikefile_seek(file, INT64_MIN), SPK_OK);
    out = read_spans(file, in->kind);
    CHECK(same_records(in, &out));
    free_records(&out);
    CHECK_EQ(spk_spikefile_verify(file), SPK_OK);
    spk_spikefile_close(file);
    remove(path);
}

TEST(every_codec_gives_back_every_record)
{
    static const size_t counts[] = {0, 1, 2, 15, 16, 17, 1023, 1024, 1025, 5000};
    for (int shape = 0; shape < SHAPES; shape++)
        for (size_t k = 0; k < SIZE(counts); k++) {
            records in = make_records(shape, counts[k], 1000 * (uint64_t)shape + counts[k]);
            for (int codec = 0; codec < 4; codec++)
                if (codec_built((spk_spikefile_codec)codec))
                    round_trip(&in, (spk_spikefile_codec)codec, 2000, k % 2 == 0, SPK_ISA_AUTO);
            free_records(&in);
        }
}

TEST(every_instruction_set_reads_the_same)
{
    for (int isa = SPK_ISA_SCALAR; isa <= SPK_ISA_GENERIC; isa++) {
        if (!spk_isa_available((spk_isa)isa)) continue;
        for (int shape = 0; shape < SHAPES; shape++) {
            records in = make_records(shape, 3333, 77 + (uint64_t)shape);
            round_trip(&in, SPK_SPIKEFILE_PACKED, 3000, false, (spk_isa)isa);
            free_records(&in);
        }
    }
}

/* -- what happens to a file -- */

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static bytes load(const char *path)
{
    bytes b = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f) return b;
    fseek(f, 0, SEEK_END);
    b.size = (size_t)ftell(f);
    rewind(f);
    b.data = (uint8_t *)malloc(b.size + 1);
    if (fread(b.data, 1, b.size, f) != b.size) b.size = 0;
    fclose(f);
    return b;
}

static void store(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (size) fwrite(data, 1, size, f);
    fclose(f);
}

/* Offsets of the chunks, read as docs/spikefile.md says. */
static size_t chunks_of(const bytes *b, size_t *at, size_t *end, size_t room)
{
    size_t n = 0, p = 128;
    while (p + 128 <= b->size && n < room) {
        uint64_t size = 0;
        for (int k = 7; k >= 0; k--) size = size << 8 | b->data[p + 24 + (size_t)k];
        at[n] = p;
        end[n++] = p += (size_t)size;
    }
    return n;
}

static void cut_everywhere(spk_spikefile_codec codec, int shape, size_t count)
{
    char path[512];
    records in = make_records(shape, count, 5);
    size_t at[16], end[16], chunks;
    bytes b;
    check_tmp("cut.spk", path, sizeof path);
    REQUIRE(write_records(path, &in, codec, 1500) == SPK_OK);
    b = load(path);
    chunks = chunks_of(&b, at, end, 16);
    CHECK_EQ(end[chunks - 1], b.size);
    for (size_t size = 0; size < b.size; size += size < 4000 ? 1 : 1 + size % 13) {
        spk_spikefile_read_desc d = {0};
        spk_spikefile *file;
        records out;
        size_t whole = 0, least;
        for (size_t k = 0; k < chunks; k++) whole += end[k] <= size;
        least = whole * 1500 < in.count ? whole * 1500 : in.count;
        store(path, b.data, size);
        d.no_map = size % 2 == 0;
        file = spk_spikefile_open(path, &d);
        CHECK_EQ(spk_spikefile_status(file), SPK_OK);
        CHECK_HAS(spk_spikefile_lost(file), "lost");
        out = read_all(file, in.kind);
        CHECK_EQ(spk_spikefile_status(file), SPK_OK);
        CHECK(out.count >= least && out.count <= in.count);
        CHECK(memcmp(out.data, in.data, out.count * 16) == 0);
        if (codec == SPK_SPIKEFILE_RAW && whole < chunks && size > at[whole]) { /* whole blocks */
            size_t head = at[whole] + b.data[at[whole] + 4] + 256u * b.data[at[whole] + 5];
            CHECK(size < head + 1024 * 16 || out.count >= least + 1024);
        }
        free_records(&out);
        spk_spikefile_close(file);
    }
    free(b.data);
    free_records(&in);
    remove(path);
}

TEST(a_file_cut_at_any_byte_opens_with_everything_before_the_cut)
{
    cut_everywhere(SPK_SPIKEFILE_PACKED, SHAPE_EVENTS, 4200);
    cut_everywhere(SPK_SPIKEFILE_PACKED, SHAPE_SPIKES, 4200);
    cut_everywhere(SPK_SPIKEFILE_RAW, SHAPE_SPIKES, 4200);
}

TEST(a_flipped_bit_anywhere_is_detected_and_named)
{
    char path[512];
    records in = make_records(SHAPE_EVENTS, 700, 9);
    size_t at[16], end[16], chunks;
    bytes b;
    check_tmp("flip.spk", path, sizeof path);
    REQUIRE(write_records(path, &in, SPK_SPIKEFILE_PACKED, 300) == SPK_OK);
    b = load(path);
    chunks = chunks_of(&b, at, end, 16);
    CHECK_EQ(chunks, 3);
    for (size_t bit = 0; bit < 8 * b.size; bit += 1 + bit % 7) {
        spk_spikefile *file;
        const char *said;
        char want[64];
        size_t k = 0;
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        store(path, b.data, b.size);
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        file = spk_spikefile_open(path, NULL);
        CHECK(spk_spikefile_status(file) == SPK_ERR_FORMAT ||
              spk_spikefile_verify(file) == SPK_ERR_FORMAT);
        said = spk_spikefile_error(file);
        while (k < chunks && bit / 8 >= end[k]) k++;
        snprintf(want, sizeof want, "offset %u", (unsigned)at[k]);
        if (bit / 8 >= 128)
            CHECK_HAS(said, want);
        else if (bit / 8 >= 64)
            CHECK_HAS(said, "offset 64");
        else
            CHECK(strstr(said, "offset 0") || strstr(said, "not a spike file"));
        spk_spikefile_close(file);
    }
    free(b.data);
    free_records(&in);
    remove(path);
}

/* -- windows and ranges -- */

static bool in_range(const records *r, size_t k, const uint32_t box[4])
{
    if (r->kind == SPK_SPIKEFILE_SPIKES) {
        const uint32_t id = ((const spk_spike *)r->data)[k].neuron;
        return id >= box[0] && id < box[2];
    }
    const spk_event *e = (const spk_event *)r->data + k;
    return e->kind != SPK_EVENT_CD ||
           (e->x >= box[0] && e->x < box[2] && e->y >= box[1] && e->y < box[3]);
}

static records brute(const records *r, int64_t begin, int64_t end, const uint32_t *box)
{
    records out = {r->kind, 0, malloc(16 * r->count + 16)};
    for (size_t k = 0; k < r->count; k++) {
        const int64_t t = time_of(r, k);
        if (t < begin || (t >= end && end != INT64_MAX) || (box && !in_range(r, k, box))) continue;
        memcpy((char *)out.data + 16 * out.count++, (const char *)r->data + 16 * k, 16);
    }
    return out;
}

static void windows(int shape, spk_spikefile_codec codec, uint32_t chunk, size_t count)
{
    char path[512];
    records in = make_records(shape, count, 31);
    uint64_t seed = 4;
    spk_spikefile *file;
    check_tmp("window.spk", path, sizeof path);
    REQUIRE(write_records(path, &in, codec, chunk) == SPK_OK);
    file = spk_spikefile_open(path, NULL);
    for (int round = 0; round < 60; round++) {
        int64_t begin = time_of(&in, (size_t)(random64(&seed) % in.count));
        int64_t end = time_of(&in, (size_t)(random64(&seed) % in.count));
        uint32_t box[4];
        records want, out;
        if (begin > end) {
            int64_t t = begin;
            begin = end;
            end = t;
        }
        if (round % 10 == 1) begin = INT64_MIN;
        if (round % 10 == 2) end = INT64_MAX;
        if (round % 10 == 3) end = begin + 1;
        for (int k = 0; k < 2; k++) {
            box[k] = (uint32_t)(random64(&seed) % 200);
            box[k + 2] = box[k] + 1 + (uint32_t)(random64(&seed) % 300);
        }
        CHECK_EQ(spk_spikefile_window(file, begin, end), SPK_OK);
        want = brute(&in, begin, end, NULL);
        out = round % 2 ? read_all(file, in.kind) : read_spans(file, in.kind);
        CHECK(same_records(&want, &out));
        free_records(&want);
        free_records(&out);
        if (in.kind == SPK_SPIKEFILE_SPIKES)
            CHECK_EQ(spk_spikefile_neurons(file, box[0], box[2]), SPK_OK);
        else
            CHECK_EQ(spk_spikefile_pixels(file, box[0], box[1], box[2], box[3]), SPK_OK);
        want = brute(&in, begin, end, box);
        out = round % 2 ? read_spans(file, in.kind) : read_all(file, in.kind);
        CHECK(same_records(&want, &out));
        free_records(&want);
        free_records(&out);
        if (in.kind == SPK_SPIKEFILE_SPIKES)
            spk_spikefile_neurons(file, 0, UINT32_MAX);
        else
            spk_spikefile_pixels(file, 0, 0, 65536, 65536);
    }
    for (size_t k = 0; k < in.count; k += 1 + k / 3) {
        records part = {in.kind, in.count - k, (char *)in.data + 16 * k}, out;
        CHECK_EQ(spk_spikefile_seek_record(file, k), SPK_OK);
        out = read_all(file, in.kind);
        CHECK(same_records(&part, &out));
        free_records(&out);
    }
    CHECK_EQ(spk_spikefile_seek_record(file, in.count), SPK_OK);
    CHECK(!spk_spikefile_next_events(file, NULL) && !spk_spikefile_next_spikes(file, NULL));
    spk_spikefile_close(file);
    free_records(&in);
    remove(path);
}

TEST(windows_and_ranges_give_what_a_search_of_everything_gives)
{
    for (int shape = 0; shape < SHAPES; shape++)
        for (int codec = 0; codec < 2; codec++) {
            windows(shape, (spk_spikefile_codec)codec, 1700, 9000);
            windows(shape, (spk_spikefile_codec)codec, 7, 2500); /* 358 chunks: three levels */
        }
}

/* A window checks only the blocks that it reads. */
TEST(a_window_never_gives_out_a_damaged_record)
{
    char path[512];
    for (int codec = 0; codec < 2; codec++) {
        records in = make_records(SHAPE_SPIKES, 6000, 3);
        size_t at[16], end[16], chunks, refused = 0;
        bytes b;
        spk_spikefile *file;
        check_tmp("part.spk", path, sizeof path);
        REQUIRE(write_records(path, &in, (spk_spikefile_codec)codec, 6000) == SPK_OK);
        b = load(path);
        chunks = chunks_of(&b, at, end, 16);
        CHECK_EQ(chunks, 1);
        b.data[(at[0] + end[0]) / 2] ^= 4;
        store(path, b.data, b.size);
        file = spk_spikefile_open(path, NULL);
        for (size_t k = 0; k < in.count; k += 40) {
            const int64_t t = time_of(&in, k);
            records want = brute(&in, t, t + 1, NULL), out;
            spk_spikefile_window(file, t, t + 1);
            out = k % 80 ? read_all(file, in.kind) : read_spans(file, in.kind);
            refused += spk_spikefile_status(file) == SPK_ERR_FORMAT;
            CHECK(spk_spikefile_status(file) == SPK_ERR_FORMAT || same_records(&want, &out));
            CHECK(out.count <= want.count);
            free_records(&want);
            free_records(&out);
        }
        CHECK(refused > 10 && refused < 80); /* 1 block of 6 */
        spk_spikefile_close(file);
        free(b.data);
        free_records(&in);
        remove(path);
    }
}

TEST_MAIN()
