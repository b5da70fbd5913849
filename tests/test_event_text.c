/* Events in text, CSV, SONATA's text and NPY: columns in any order, units, damage, pieces. */
#include "spikelib.h"

#include "bytes.h"
#include "stream.h"

static bytes b;
static spk_event out[64];

static stream_result text(const char *content, const spk_events_desc *desc)
{
    spk_events *in;
    b.size = 0;
    put_text(&b, content);
    in = spk_events_open_memory(b.data, b.size, desc);
    memset(out, 0, sizeof out);
    spk_events_read(in, out, 64);
    spk_events_close(in);
    return stream_bytes(b.data, b.size, desc, b.size, 0, 4096);
}

static int is(const spk_event *e, int64_t t, unsigned x, unsigned y, unsigned on)
{
    if (e->t_us == t && e->x == x && e->y == y && e->polarity == on) return 1;
    printf("    t %lld x %u y %u on %u\n", (long long)e->t_us, (unsigned)e->x, (unsigned)e->y,
           (unsigned)e->polarity);
    return 0;
}

TEST(text_recording_of_the_rpg_data_set)
{
    char path[256];
    stream_result r;
    if (!check_shared("data/events/slider_depth_chunk.txt", path, sizeof path))
        SKIP("no ../shared/data/events");
    r = stream_file(path, NULL, 4096);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.format, SPK_FORMAT_TEXT);
    CHECK_EQ(r.events, 50000);
    CHECK_EQ(r.on, 21147);
    CHECK_EQ(r.off, 28853);
    CHECK_EQ((uint64_t)r.first, 3811);
    CHECK_EQ((uint64_t)r.last, 174156);
    CHECK_EQ(r.sum_t, UINT64_C(4724578334));
    CHECK_EQ(r.sum_x, 5741863);
    CHECK_EQ(r.sum_y, 5095686);
}

TEST(sonata_text_of_the_reference_readers)
{
    char path[256];
    stream_result r;
    if (!check_shared("data/events/sonata_one_pop_spikes.csv", path, sizeof path))
        SKIP("no ../shared/data/events");
    r = stream_file(path, NULL, 4096);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.format, SPK_FORMAT_SONATA);
    CHECK_EQ(r.events, 124);
    CHECK_EQ((uint64_t)r.first, 136600);
    CHECK_EQ((uint64_t)r.last, 958000);
    CHECK_EQ(r.skipped, 0);
}

TEST(columns_by_names_and_by_looks)
{
    CHECK_EQ(text("x,y,p,t\n1,2,1,1000\n3,4,0,1001\n", NULL).format, SPK_FORMAT_CSV);
    CHECK(is(&out[0], 1000, 1, 2, 1) && is(&out[1], 1001, 3, 4, 0));
    CHECK_EQ(text("%geometry:640,480\n5,6,0,70\n7,8,1,80\n", NULL).width, 640);
    CHECK(is(&out[0], 70, 5, 6, 0) && is(&out[1], 80, 7, 8, 1));
    text("# a comment\ntimestamp [ms];polarity;x;y\n1.5;-1;3;4\n2;1;3;4\n", NULL);
    CHECK(is(&out[0], 1500, 3, 4, 0) && is(&out[1], 2000, 3, 4, 1));
    text("\"t_ns\",\"x\",\"y\",\"on\"\r\n1499,1,2,True\r\n1500,1,2,false\r\n", NULL);
    CHECK(is(&out[0], 1, 1, 2, 1) && is(&out[1], 2, 1, 2, 0));
    CHECK_EQ(text("240 180\n0.5 239 179 1\n", NULL).height, 180); /* the size comes first */
    CHECK(is(&out[0], 500000, 239, 179, 1));
    text("10 20 1000000 1\n12 3 1000001 0\n", NULL); /* x y t p: no x goes so far */
    CHECK(is(&out[0], 1000000, 10, 20, 1) && is(&out[1], 1000001, 12, 3, 0));
    text("50 20 100 1\n12 3 101 0\n", NULL); /* x y t p: only t rises */
    CHECK(is(&out[0], 100, 50, 20, 1));
    CHECK_EQ(text("1000000 50 20 1\n1000001 12 3 0\n", NULL).format, SPK_FORMAT_TEXT);
    CHECK(is(&out[0], 1000000, 50, 20, 1));
    CHECK_EQ(text("1 1.000e+02 2.5e1 0 \n", NULL).events, 1);
    CHECK(is(&out[0], 1, 100, 25, 0));
    CHECK_EQ(text("t,x,y\n5,1,2", NULL).on, 1); /* no polarity: on; no newline */
    CHECK_EQ(text("t,x,y,p\n", NULL).events, 0); /* names alone are a file of no events */
}

/* What other programs put around the same columns. */
TEST(comments_orders_and_cut_lines)
{
    spk_event_format format = text("# 4 columns, from a camera\n5 1 2 1\n6 3 4 0\n", NULL).format;
    CHECK_EQ(format, SPK_FORMAT_TEXT); /* the comma is the comment's */
    text("// of a camera\n5 1 2 1\n// more\n6 3 4 0\n", NULL);
    CHECK(is(&out[0], 5, 1, 2, 1) && is(&out[1], 6, 3, 4, 0));
    text("5 1 100 200\n6 0 30 40\n", NULL); /* t p x y */
    CHECK(is(&out[0], 5, 100, 200, 1) && is(&out[1], 6, 30, 40, 0));
    text("1 900 200 5\n0 30 40 6\n", NULL); /* p x y t */
    CHECK(is(&out[0], 5, 900, 200, 1) && is(&out[1], 6, 30, 40, 0));
    text("#geometry:320,240\n0.000000 9 0 1\n0.000000 1 0 1\n0.001000 5 1 0\n", NULL);
    CHECK(is(&out[0], 0, 9, 0, 1) && is(&out[2], 1000, 5, 1, 0)); /* not x y p t */
    text("%geometry:320,240\n0.000000 9 0 1\n0.000000 1 0 1\n", NULL);
    CHECK(is(&out[0], 0, 9, 0, 1));
    text("Time stamp (ms),X coordinate,Y coordinate, Polarity\n5,1,2,t\n6,3,4,F\n", NULL);
    CHECK(is(&out[0], 5000, 1, 2, 1) && is(&out[1], 6000, 3, 4, 0));
    text("# t x y p of a camera\n5 1 2 1\n6 3 4 0\n", NULL); /* more names than columns */
    CHECK(is(&out[0], 5, 1, 2, 1) && is(&out[1], 6, 3, 4, 0));
    CHECK_EQ(text("0.5 239 179 1\n0.6 238 178 0\n0.7 23", NULL).events, 2); /* it ends there */
    CHECK_EQ(text("0.5 239 179 1\n0.6 238 178 0\n0.7 23", NULL).skipped, 7);
    CHECK_EQ(text("t,x,y,p\n5,1,2,1\n6,", NULL).events, 1);
    CHECK_EQ(text("timestamps population node_ids\n1.5 a 3\n2.", NULL).format, SPK_FORMAT_SONATA);
}

/* Whole times written with a point are what a table of floats makes of microseconds; a mark in
   front of UTF-8 belongs to no column. */
TEST(tables_of_floats_and_marks_of_editors)
{
    text("t,x,y,p\n1023.0,1.0,2.0,1.0\n1030.0,3.0,4.0,0.0\n", NULL);
    CHECK(is(&out[0], 1023, 1, 2, 1) && is(&out[1], 1030, 3, 4, 0));
    text("1023.0 1.0 2.0 1.0\n1030.0 3.0 4.0 0.0\n", NULL);
    CHECK(is(&out[0], 1023, 1, 2, 1) && is(&out[1], 1030, 3, 4, 0));
    text("12.000 1 2 1\n12.000 3 4 0\n", NULL); /* all at once: seconds */
    CHECK(is(&out[0], 12000000, 1, 2, 1));
    text("12.000 1 2 1\n12.500 3 4 0\n", NULL);
    CHECK(is(&out[1], 12500000, 3, 4, 0));
    CHECK_EQ(text("\xef\xbb\xbfx,y,p,t\n1,2,1,5\n", NULL).events, 1);
    CHECK(is(&out[0], 5, 1, 2, 1));
    CHECK_EQ(text("\xef\xbb\xbf" "5 1 2 1\n6 3 4 0\n", NULL).events, 2);
    CHECK(is(&out[0], 5, 1, 2, 1) && is(&out[1], 6, 3, 4, 0));
}

TEST(columns_that_the_caller_names)
{
    spk_events_desc desc = {0};
    stream_result r;
    desc.format = SPK_FORMAT_CSV;
    desc.columns = "- y,x t_ms p";
    r = text("7,1,2,3,1\n7,1,2,3.0005,1\n", &desc);
    CHECK_STR(r.error, "");
    CHECK(is(&out[0], 3000, 2, 1, 1) && is(&out[1], 3001, 2, 1, 1));
    desc.columns = "t node";
    desc.time_unit = SPK_TIME_S;
    r = text("0.25 70000\n", &desc);
    CHECK(is(&out[0], 250000, 70000 - 65536, 1, 1));
    desc.columns = "t x";
    r = text("1 2\n", &desc);
    CHECK_HAS(r.error, "\"t x\" does not name");
    desc.columns = "t t x y";
    CHECK_HAS(text("1 2 3 4\n", &desc).error, "each once");
    desc.columns = NULL;
    desc.time_unit = (spk_time_unit)9;
    CHECK_HAS(text("1 2 3 4\n", &desc).error, "no unit 9");
}

/* Nearest microsecond, halves away from zero, whatever the number of digits. */
TEST(seconds_round_exactly)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"0.0000004999999999999999", 0}, {"0.0000005", 1},     {"1.0000005", 1000001},
        {"0.9999995", 1000000},          {"0.99999949", 999999}, {".5", 500000},
        {"12.", 12000000},               {"-0.0000005", -1},   {"-1.25", -1250000},
        {"1643243628.7370931", 1643243628737093},              {"1e-3", 1000},
        {"2.5E-6", 3},                   {"0.00000000000000000000000001", 0},
        {"1234567.123456500000000000000000000001", 1234567123457},
        {"+3.000001", 3000001},          {"9000000000000.5", 9000000000000500000},
        {"12345678.12345678", 12345678123457},
    };
    size_t k, i;
    for (k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char line[4096] = "t_s x y p\n";
        stream_result r;
        /* Twice: as the last line, and followed by so much that the fast path takes it. */
        snprintf(line + strlen(line), 200, "%s 1 2 1\n", cases[k].text);
        for (i = 0; i < 20; i++) strcat(line, "99.5 1 2 1\n");
        snprintf(line + strlen(line), 200, "%s 1 2 1", cases[k].text);
        r = text(line, NULL);
        CHECK_EQ(r.events, 22);
        CHECK_EQ((uint64_t)out[0].t_us, (uint64_t)cases[k].us);
        CHECK_EQ((uint64_t)out[21].t_us, (uint64_t)cases[k].us);
    }
}

TEST(bad_lines_are_counted_or_errors)
{
    const char *content = "1 2 3 1\n5 6 x 1\n7 8\n\n# 3\n9 10 11 0\n99999999999999999999 1 1 1\n"
                          "10 70000 1 1\n11 1 -1 1\n12 1 1 1\n";
    spk_events_desc desc = {0};
    stream_result r;
    desc.format = SPK_FORMAT_TEXT;
    desc.columns = "t x y p";
    r = text(content, &desc);
    CHECK_EQ(r.events, 3);
    CHECK_EQ(r.violations, 5);
    CHECK_EQ(r.skipped, 8 + 4 + 27 + 13 + 10);
    CHECK(is(&out[1], 9, 10, 11, 0) && is(&out[2], 12, 1, 1, 1));
    desc.strict = true;
    r = text(content, &desc);
    CHECK_EQ(r.events, 1);
    CHECK_HAS(r.error, "byte 8: text: the line does not hold");
    memset(&desc, 0, sizeof desc);
    CHECK_HAS(text("what is this?\n", NULL).error, "neither the content nor the name");
    desc.format = SPK_FORMAT_CSV;
    CHECK_HAS(text("what is this?\n", &desc).error, "columns cannot be told");
}

TEST(text_cut_into_pieces)
{
    char path[256];
    uint8_t *data;
    size_t size = 0;
    stream_result a, c;
    text("# t x y p\n0.000001 1 2 1\n0.000002000 300 2 0 \r\n\n#trigger 5 6 1\n-0.5 7 8 1", NULL);
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    a = stream_bytes(b.data, b.size, NULL, b.size, 0, 4096);
    CHECK(a.events == 3 && a.triggers == 1 && a.sum_trigger_t == 5);
    if (!check_shared("data/events/slider_depth_chunk.txt", path, sizeof path))
        SKIP("no ../shared/data/events");
    data = stream_load(path, &size);
    a = stream_bytes(data, size, NULL, size, 0, 4096);
    c = stream_bytes(data, size, NULL, 5, 83, 100);
    CHECK(stream_same(&a, &c));
    free(data);
}

/* -- NPY -- */

static void npy(const char *dictionary)
{
    size_t n = strlen(dictionary) + 1;
    b.size = 0;
    put(&b, "\x93NUMPY\x01\x00", 8);
    put_le(&b, n, 2);
    put(&b, dictionary, n - 1);
    put_text(&b, "\n");
}

static stream_result read_npy(const spk_events_desc *desc)
{
    spk_events *in = spk_events_open_memory(b.data, b.size, desc);
    memset(out, 0, sizeof out);
    spk_events_read(in, out, 64);
    spk_events_close(in);
    return stream_bytes(b.data, b.size, desc, b.size, 0, 4096);
}

static void put_f64(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    put_le(&b, bits, 8);
}

TEST(npy_structured_in_the_layouts_of_the_peers)
{
    stream_result r;
    unsigned k;
    npy("{'descr': [('x', '<u2'), ('y', '<u2'), ('p', '<i2'), ('t', '<i8')], "
        "'fortran_order': False, 'shape': (3,), }"); /* Metavision */
    for (k = 0; k < 3; k++) {
        put_le(&b, 10 + k, 2);
        put_le(&b, 20 + k, 2);
        put_le(&b, k == 1 ? 0xffff : k, 2); /* -1 is off */
        put_le(&b, 5000 + k, 8);
    }
    r = read_npy(NULL);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.format, SPK_FORMAT_NPY);
    CHECK(r.events == 3 && r.on == 1 && r.skipped == 0);
    CHECK(is(&out[0], 5000, 10, 20, 0) && is(&out[2], 5002, 12, 22, 1));
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    b.size -= 5;
    r = read_npy(NULL);
    CHECK(r.events == 2 && r.violations == 1 && r.skipped == 9);
    npy("{'descr': [('t', '>f8'), ('', '|V3'), ('xs', '>i4'), ('y', '|u1'), ('polarity', '|b1')], "
        "'fortran_order': False, 'shape': (2,), }"); /* big-endian, seconds, a gap */
    for (k = 0; k < 2; k++) {
        double t = 1.5 + k * 1e-6;
        uint64_t bits;
        memcpy(&bits, &t, 8);
        put_be(&b, bits, 8);
        put_le(&b, 0, 3);
        put_be(&b, 300 + k, 4);
        put_le(&b, 7, 1);
        put_le(&b, k, 1);
    }
    r = read_npy(NULL);
    CHECK_STR(r.error, "");
    CHECK(is(&out[0], 1500000, 300, 7, 0) && is(&out[1], 1500001, 301, 7, 1));
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
}

/* Times of a type that has a unit, titles, double quotes, further columns that are no numbers. */
TEST(npy_types_and_names_of_all_kinds)
{
    static const char *const descr[] = {
        "{'descr': [('t', '<m8[ns]'), ('x', '<i2'), ('y', '<i2'), ('p', '|i1')], ",
        "{'descr': [('t', '<M8[ms]'), ('x', '<i2'), ('y', '<i2'), ('p', '|i1')], ",
        "{\"descr\": [(\"t\", \"<i8\"), (\"x\", \"<i2\"), (\"y\", \"<i2\"), (\"p\", \"|i1\")], ",
        "{'descr': [(('time', 't'), '<i8'), ('x', '<i2'), ('y', '<i2'), (('on?', 'p'), '|i1')], ",
        "{'descr': [('t', '<i8'), ('x', '<i2'), ('y', '<i2'), ('p', '|i1'), ('day', '<M8[D]')], "};
    static const int64_t times[] = {5000000, 5, 5000, 5000, 5000};
    unsigned k;
    for (k = 0; k < 5; k++) {
        char text[256];
        snprintf(text, sizeof text, "%s'fortran_order': False, 'shape': (1,), }", descr[k]);
        npy(text);
        put_le(&b, (uint64_t)times[k], 8);
        put_le(&b, 300, 2);
        put_le(&b, 7, 2);
        put_le(&b, 1, 1);
        if (k == 4) put_le(&b, 1, 8);
        CHECK_STR(read_npy(NULL).error, "");
        CHECK(is(&out[0], 5000, 300, 7, 1));
    }
}

TEST(npy_plain_arrays_by_rows_and_by_columns)
{
    static const double rows[3][4] = {{1e-6, 5, 6, 1}, {2e-6, 7, 8, 0}, {3e-6, 9, 1, 1}};
    spk_events_desc desc = {0};
    stream_result r;
    unsigned k, i;
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }");
    for (k = 0; k < 3; k++)
        for (i = 0; i < 4; i++) put_f64(rows[k][i]);
    r = read_npy(NULL);
    CHECK_STR(r.error, "");
    CHECK(r.events == 3 && is(&out[1], 2, 7, 8, 0) && is(&out[2], 3, 9, 1, 1));
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    npy("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }");
    for (i = 0; i < 4; i++)
        for (k = 0; k < 3; k++) put_f64(rows[k][i]);
    r = read_npy(NULL);
    CHECK(r.events == 3 && is(&out[1], 2, 7, 8, 0) && is(&out[2], 3, 9, 1, 1));
    CHECK_EQ(stream_bad_split(b.data, b.size, NULL, 1), b.size + 1);
    b.size -= 1;
    r = read_npy(NULL);
    CHECK(r.events == 0 && r.violations == 1);
    desc.columns = "x y t_s p"; /* MVSEC's order */
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4), }");
    put_f64(5);
    put_f64(6);
    put_f64(0.25);
    put_f64(-1);
    r = read_npy(&desc);
    CHECK(r.events == 1 && is(&out[0], 250000, 5, 6, 0));
}

TEST(npy_that_hold_no_events_are_refused)
{
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }");
    CHECK_HAS(read_npy(NULL).error, "neither a structured array of events");
    npy("{'descr': [('a', '<f8'), ('b', '<f8')], 'fortran_order': False, 'shape': (1,), }");
    put_f64(1);
    put_f64(2);
    CHECK_HAS(read_npy(NULL).error, "no fields t, x, y");
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999, 4), }");
    CHECK_HAS(read_npy(NULL).error, "NPY");
    npy("{'descr': [('t', '<u9'");
    CHECK_HAS(read_npy(NULL).error, "NPY");
    b.size = 11;
    CHECK_HAS(read_npy(NULL).error, "ends in the header");
}

TEST_MAIN()
