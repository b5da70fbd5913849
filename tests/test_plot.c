/* ---- >>test_plot: SVG pictures: whole or absent, well-formed, saying what they show ----
   check: networks alone */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include "check.h"

#include <locale.h>
#ifndef _WIN32
#include <signal.h>
#include <sys/resource.h>
#endif

static char path[1024], text[4u << 20];

static size_t slurp(const char *from)
{
    FILE *f = fopen(from, "rb");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
    return n;
}

static bool exists(const char *name)
{
    FILE *f = fopen(name, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static size_t occurrences(const char *part)
{
    size_t n = 0;
    const char *s = text;
    for (; (s = strstr(s, part)) != NULL; s++) n++;
    return n;
}

/* Spikes drawn: each is a vertical line of a path. */
static size_t marks(void)
{
    size_t n = 0;
    const char *s = text;
    for (; (s = strchr(s, 'v')) != NULL; s++) n += s[1] >= '0' && s[1] <= '9';
    return n;
}

/* Every tag closed in order, attributes quoted, no bare '<' or '&'. */
static bool well_formed(void)
{
    const char *stack[16];
    int depth = 0;
    const char *s = text;
    while (*s) {
        const char *name, *end;
        if (*s == '&' && !strchr(s, ';')) return false;
        if (*s++ != '<') continue;
        if (*s == '/') {
            size_t n = strcspn(s + 1, ">");
            if (depth-- == 0 || strncmp(stack[depth], s + 1, n) != 0) return false;
            s += n + 2;
            continue;
        }
        name = s;
        for (end = s; *end && *end != '>'; end++) {
            if (*end == '<') return false;
            if (*end == '"') end = strchr(end + 1, '"');
            if (!end) return false;
        }
        if (!*end) return false;
        if (end[-1] != '/') stack[depth++] = name;
        if (depth == 16) return false;
        s = end + 1;
    }
    return depth == 0 && strncmp(text, "<svg ", 5) == 0;
}

static spk_spike *make_spikes(size_t count, uint32_t neurons)
{
    spk_spike *spikes = (spk_spike *)calloc(count, sizeof *spikes);
    size_t i;
    for (i = 0; spikes && i < count; i++) {
        spikes[i].step = 1 + i * 10000 / count;
        spikes[i].neuron = (uint32_t)((i * 7919) % neurons);
    }
    return spikes;
}

TEST(a_raster_of_60000_spikes_is_complete_and_small)
{
    spk_spike *spikes = make_spikes(60000, 5000);
    REQUIRE(spikes != NULL);
    check_tmp("raster.svg", path, sizeof path);
    CHECK(spk_plot_raster_desc(spikes, 60000, 0.1, NULL, path) == SPK_OK);
    free(spikes);
    CHECK(slurp(path) < 800000);
    CHECK(well_formed());
    CHECK_EQ(marks(), 60000);
    CHECK(!strstr(text, "spikes shown"));
    CHECK_HAS(text, "time (ms)");
    CHECK_HAS(text, ">1000</text>"); /* the last spike, at 1000 ms, has a tick */
    remove(path);
}

TEST(a_thinned_raster_draws_one_of_n_evenly_and_says_so)
{
    spk_spike *spikes = make_spikes(10000, 100);
    spk_plot_desc d = {0};
    d.max_marks = 3000;
    REQUIRE(spikes != NULL);
    CHECK(spk_plot_raster_desc(spikes, 10000, 0.1, &d, check_tmp("thin.svg", path, sizeof path)) ==
          SPK_OK);
    free(spikes);
    slurp(path);
    CHECK_HAS(text, "1 of 4 spikes shown");
    CHECK_EQ(marks(), 2500);
    remove(path);
}

TEST(groups_are_drawn_top_to_bottom_with_names_and_colours)
{
    spk_spike spikes[3] = {{100, 0, 0}, {200, 15, 0}, {300, 29, 0}};
    spk_plot_group groups[3] = {
        {"L2/3E", 0, 10, 0x112233}, {"L4 <I>", 10, 20, 0}, {"L6", 20, 30, 0}};
    spk_plot_desc d = {0};
    d.groups = groups;
    d.group_count = 3;
    d.title = "rest & \"activity\" \x01\xff";
    CHECK(spk_plot_raster_desc(spikes, 3, 0.1, &d, check_tmp("groups.svg", path, sizeof path)) ==
          SPK_OK);
    slurp(path);
    CHECK(well_formed());
    CHECK_HAS(text, "rest &amp; &quot;activity&quot; ??");
    CHECK_HAS(text, "L4 &lt;I&gt;");
    CHECK_HAS(text, "#112233");
    CHECK_HAS(text, "#d55e00"); /* Okabe and Ito's vermillion */
    CHECK(strstr(text, "L2/3E") < strstr(text, "L6"));
    remove(path);
}

TEST(nan_and_infinity_leave_gaps)
{
    double zero = 0.0, y[7] = {1, 2, 3, 4, 5, 6, 7};
    spk_plot_curve c = {"v", NULL, NULL, 7, 0.0, 1.0, 0};
    y[2] = zero / zero;
    y[5] = 1.0 / zero;
    c.y = y;
    CHECK(spk_plot_curves(&c, 1, NULL, check_tmp("gaps.svg", path, sizeof path)) == SPK_OK);
    slurp(path);
    CHECK(well_formed());
    CHECK(!strstr(text, "nan") && !strstr(text, "inf"));
    {   /* two points, two points, and one alone, which is a dot */
        const char *d = strstr(text, "stroke-linecap=\"round\" d=\"");
        size_t moves = 0;
        REQUIRE(d != NULL);
        for (d += 26; *d != '"'; d++) moves += *d == 'M';
        CHECK_EQ(moves, 3);
        CHECK_HAS(text, "h0");
    }
    remove(path);
}

TEST(thinning_a_long_trace_keeps_every_extreme)
{
    static double y[200000];
    spk_plot_curve c = {NULL, NULL, NULL, 200000, 0.0, 0.1, 0};
    spk_plot_desc d = {0};
    size_t i, spikes = 0;
    const char *s;
    for (i = 0; i < 200000; i++) y[i] = i % 20000 == 10000 ? 40.0 : -65.0;
    c.y = y;
    d.y_min = -70.0;
    d.y_max = 50.0;
    CHECK(spk_plot_curves(&c, 1, &d, check_tmp("long.svg", path, sizeof path)) == SPK_OK);
    CHECK(slurp(path) < 60000);
    /* 105 mV of 120 in a frame of 360 px and less: a step of more than 2000 tenths. */
    for (s = strstr(text, "stroke-linecap"); s && *s; s++)
        if (strncmp(s, "0-3", 3) == 0 && strspn(s + 2, "0123456789") == 4) spikes++;
    CHECK(spikes >= 10 && spikes <= 20); /* twice where the peak ends its column */
    remove(path);
}

TEST(empty_data_give_an_empty_valid_picture)
{
    const char *p = check_tmp("empty.svg", path, sizeof path);
    CHECK(spk_plot_raster_desc(NULL, 0, 0.1, NULL, p) == SPK_OK);
    slurp(p);
    CHECK(well_formed());
    CHECK(spk_plot_curves(NULL, 0, NULL, p) == SPK_OK);
    slurp(p);
    CHECK(well_formed());
    CHECK(spk_plot_histogram(NULL, 0, 10, NULL, p) == SPK_OK);
    slurp(p);
    CHECK(well_formed());
    CHECK(spk_plot_rates(NULL, 0, 0.1, 5.0, NULL, p) == SPK_OK);
    slurp(p);
    CHECK(well_formed());
    CHECK(spk_plot_sheet(NULL, 0, 4, NULL, p) == SPK_OK);
    slurp(p);
    CHECK(well_formed());
    remove(p);
}

TEST(a_histogram_counts_the_closed_last_bin)
{
    double values[6] = {0, 1, 1, 2, 3, 4};
    spk_plot_desc d = {0};
    d.height = 200.0;
    d.y_max = 4.0; /* a frame of 140 px, 35 a count */
    CHECK(spk_plot_histogram(values, 6, 2, &d, check_tmp("hist.svg", path, sizeof path)) == SPK_OK);
    slurp(path);
    CHECK(well_formed());
    CHECK_HAS(text, "1400V350H"); /* three in [0, 2) */
    CHECK_EQ(occurrences("V350H"), 2);
    remove(path);
}

TEST(rates_are_spikes_per_second_and_neuron)
{
    /* 10 neurons, each a spike in each of 5 bins of 10 ms, on the bin's last step: 100 Hz. */
    spk_spike spikes[50];
    spk_plot_group g = {"all", 0, 10, 0};
    spk_plot_desc d = {0};
    size_t i;
    for (i = 0; i < 50; i++) {
        spikes[i].step = (i / 10 + 1) * 100;
        spikes[i].neuron = (uint32_t)(i % 10);
    }
    d.groups = &g;
    d.group_count = 1;
    d.height = 178.0; /* a frame of 100 px below the legend */
    d.y_max = 200.0;
    CHECK(spk_plot_rates(spikes, 50, 0.1, 10.0, &d, check_tmp("rates.svg", path, sizeof path)) ==
          SPK_OK);
    slurp(path);
    CHECK(well_formed());
    CHECK_HAS(text, " 500l"); /* starts at half height */
    CHECK_HAS(text, "rate (Hz)");
    remove(path);
}

TEST(ticks_are_1_2_5_and_exact)
{
    char label[64];
    spki_range r = {-0.031, 0.06};
    spki_ticks t = spki_ticks_make(r, 5, false);
    spki_ticks_label(&t, 0, label);
    CHECK_STR(label, "-0.02");
    spki_ticks_label(&t, 1, label);
    CHECK_STR(label, "0");
    CHECK_EQ(t.count, 5);
    r.lo = 0;
    r.hi = 2.5e9;
    t = spki_ticks_make(r, 5, false);
    spki_ticks_label(&t, 1, label);
    CHECK_STR(label, "0.5");
    CHECK_EQ(t.factor, 9);
    r.hi = 77169;
    t = spki_ticks_make(r, 5, true);
    spki_ticks_label(&t, 1, label);
    CHECK_STR(label, "20000");
}

TEST(numbers_do_not_depend_on_the_locale)
{
    double y[3] = {0.25, 0.5, 0.75};
    spk_plot_curve c = {NULL, NULL, NULL, 3, 0.0, 0.5, 0};
    size_t n;
    static char plain[65536];
    c.y = y;
    CHECK(spk_plot_curves(&c, 1, NULL, check_tmp("locale.svg", path, sizeof path)) == SPK_OK);
    n = slurp(path);
    REQUIRE(n < sizeof plain);
    memcpy(plain, text, n + 1);
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8") &&
        !setlocale(LC_ALL, "de_DE")) {
        remove(path);
        SKIP("no locale with a decimal comma is installed");
    }
    CHECK(spk_plot_curves(&c, 1, NULL, path) == SPK_OK);
    setlocale(LC_ALL, "C");
    slurp(path);
    CHECK_STR(text, plain);
    remove(path);
}

TEST(failures_leave_nothing_behind)
{
    spk_spike s = {1, 0, 0};
    CHECK(spk_plot_raster_desc(&s, 1, 0.1, NULL, "no/such/directory/x.svg") == SPK_ERR_IO);
    CHECK(spk_plot_raster_desc(&s, 1, 0.1, NULL, NULL) == SPK_ERR_NULL);
    CHECK(spk_plot_raster_desc(NULL, 1, 0.1, NULL, "x.svg") == SPK_ERR_NULL);
    CHECK(spk_plot_raster_desc(&s, 1, 0.0, NULL, "x.svg") == SPK_ERR_RANGE);
    CHECK(spk_plot_raster(NULL, "x.svg") == SPK_ERR_NULL);
    CHECK(spk_plot_histogram(NULL, 0, 0, NULL, "x.svg") == SPK_ERR_RANGE);
    CHECK(spk_plot_rates(&s, 1, 0.1, -1.0, NULL, "x.svg") == SPK_ERR_RANGE);
    CHECK(spk_plot_sheet(NULL, 0, 0, NULL, "x.svg") == SPK_ERR_RANGE);
    CHECK(!exists("x.svg") && !exists("x.svg.part"));
}

/* A limit on the size of files stands in for a disk that fills up half way. */
TEST(a_picture_cut_short_leaves_the_old_one_alone)
{
#if defined(RLIMIT_FSIZE) && defined(SIGXFSZ)
    struct rlimit before, small;
    spk_spike *spikes = make_spikes(20000, 100);
    spk_result result;
    char part[1100];
    REQUIRE(spikes && getrlimit(RLIMIT_FSIZE, &before) == 0);
    check_tmp("cut.svg", path, sizeof path);
    snprintf(part, sizeof part, "%s.part", path);
    CHECK(spk_plot_raster_desc(spikes, 5, 0.1, NULL, path) == SPK_OK);
    small = before;
    small.rlim_cur = 20000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    result = spk_plot_raster_desc(spikes, 20000, 0.1, NULL, path);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    free(spikes);
    CHECK(result == SPK_ERR_IO);
    CHECK(!exists(part));
    slurp(path);
    CHECK(well_formed());
    CHECK_EQ(marks(), 5);
    remove(path);
#else
    SKIP("this system has no limit on the size of files");
#endif
}

TEST(a_full_disk_is_an_error)
{
    spk_spike s = {1, 0, 0};
    if (!exists("/dev/full")) SKIP("there is no /dev/full");
    CHECK(spk_plot_raster_desc(&s, 1, 0.1, NULL, "/dev/full") == SPK_ERR_IO);
    CHECK(exists("/dev/full") && !exists("/dev/full.part"));
}

TEST(a_sheet_shows_every_panel)
{
    double y[50];
    spk_plot_curve c = {"v", NULL, NULL, 50, 0.0, 1.0, 0};
    spk_plot_panel panels[5];
    size_t i;
    static const char *const titles[5] = {"A one", "B two", "C three", "D four", "E five"};
    memset(panels, 0, sizeof panels);
    for (i = 0; i < 50; i++) y[i] = (double)(i % 7);
    c.y = y;
    for (i = 0; i < 5; i++) {
        panels[i].title = titles[i];
        panels[i].curves = &c;
        panels[i].count = 1;
    }
    CHECK(spk_plot_sheet(panels, 5, 2, NULL, check_tmp("sheet.svg", path, sizeof path)) == SPK_OK);
    slurp(path);
    CHECK(well_formed());
    for (i = 0; i < 5; i++) CHECK_HAS(text, titles[i]);
    remove(path);
}

TEST_MAIN()
