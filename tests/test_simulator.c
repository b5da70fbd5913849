/* The camera that needs no camera: events of scenes whose events can be worked out by hand. */
#include "../spikelib.h"

#include <math.h>

#include "budget.h"
#include "filters.h"

/* All events of a simulation, read in pieces of `piece`. */
static spk_event *simulate(const spk_simulator_desc *d, size_t piece, size_t *count)
{
    spk_events *in = spk_events_simulate(d);
    spk_event *all = NULL, *buffer = (spk_event *)malloc(piece * sizeof *buffer);
    spk_event_stats stats;
    size_t n, room = 0;
    *count = 0;
    while ((n = spk_events_read(in, buffer, piece)) > 0) {
        if (*count + n > room) {
            room = 2 * (*count + n);
            all = (spk_event *)realloc(all, room * sizeof *all);
        }
        memcpy(all + *count, buffer, n * sizeof *buffer);
        *count += n;
    }
    CHECK_STR(spk_events_error(in), "");
    CHECK(spk_events_get_stats(in, &stats) == SPK_OK && stats.events == *count);
    spk_events_close(in);
    free(buffer);
    return all;
}

/* A pixel of the leading edge: its bright part grows from 0 to 1 while the edge crosses it, at
   constant speed: event k comes when dark + (bright - dark) * part = dark * exp(k * threshold). */
TEST(a_moving_bar_sends_the_events_of_the_closed_form)
{
    spk_simulator_desc d = {0};
    size_t n, i;
    int k, x, expected = 0, seen = 0;
    spk_event *e;
    const double dark = 0.1, step = 0.2, speed = 50.0;
    d.width = 64;
    d.height = 4;
    d.speed_px_s = speed;
    d.frames_per_s = 20000.0;
    d.duration_s = 0.3;
    e = simulate(&d, 1000, &n);
    /* The bar [0, 16) + 32 m moves right; its edges at x = 15.5 + 32 m send ON on their way. */
    for (x = 17; x < 32; x++)
        for (k = 1; k <= 11; k++) { /* 0.1 * exp(0.2 * 11) = 0.9025 */
            const double part = (dark * exp(step * k) - dark) / (1.0 - dark);
            const double at = 1e6 * (x - 0.5 + part - 16.0) / speed;
            const spk_event *found = NULL;
            int order = 0;
            if (at > 299000.0) continue;
            expected++;
            for (i = 0; i < n && !found; i++)
                if (e[i].x == x && e[i].y == 2 && e[i].polarity && ++order == k) found = &e[i];
            CHECK(found != NULL);
            if (!found) continue;
            seen++;
            CHECK_NEAR((double)found->t_us, at, 30.0); /* pictures come each 50 us */
        }
    CHECK(expected > 140);
    CHECK_EQ(seen, expected);
    free(e);
}

TEST(a_bar_sends_as_many_on_as_off_events_and_nothing_where_nothing_moves)
{
    spk_simulator_desc d = {0};
    size_t n, i, on = 0;
    spk_event *e;
    d.speed_px_s = 320.0; /* ten periods in a second, so each pixel ends as it began */
    d.threshold_on = d.threshold_off = 0.25;
    e = simulate(&d, 4096, &n);
    for (i = 0; i < n; i++) on += e[i].polarity;
    CHECK_EQ(on, n - on);
    /* floor(log(10) / 0.25) = 9 of each polarity and period; every 16th column has an edge on it at
       the start, whence at log(0.55) 2 steps fit above and 6 below */
    CHECK_EQ(n, 128 * 10 * (120 * 18 + 8 * 16));
    free(e);
    d.speed_px_s = 1e-9;
    e = simulate(&d, 4096, &n);
    CHECK_EQ(n, 0);
    free(e);
}

TEST(a_dot_sends_events_where_its_rim_is)
{
    spk_simulator_desc d = {0};
    size_t n, i, ahead = 0, on = 0;
    spk_event *e;
    d.scene = SPK_SCENE_DOT;
    d.orbit_px = 40.0;
    d.radius_px = 6.0;
    d.turns_hz = 2.0;
    d.frames_per_s = 4000.0;
    e = simulate(&d, 4096, &n);
    CHECK(n > 50000);
    for (i = 0; i < n; i++) {
        const double a = 6.283185307179586 * 2.0 * 1e-6 * (double)e[i].t_us;
        const double dx = e[i].x - (63.5 + 40.0 * cos(a)), dy = e[i].y - (63.5 + 40.0 * sin(a));
        const double r = sqrt(dx * dx + dy * dy), forward = -sin(a) * dx + cos(a) * dy;
        if (!(r > 5.2 && r < 6.8)) CHECK_NEAR(r, 6.0, 0.8);
        on += e[i].polarity;
        ahead += e[i].polarity && forward > -1.0;
    }
    CHECK_EQ(ahead, on); /* it brightens in front, and darkens behind */
    free(e);
}

/* A texture moves by whole pixels: what it does at x it does later at x + 1. */
TEST(a_texture_moves_as_a_whole)
{
    spk_simulator_desc d = {0};
    size_t n, i, k, pairs = 0, first = 0;
    spk_event *e;
    d.scene = SPK_SCENE_TEXTURE;
    d.speed_px_s = 100.0;
    d.direction_deg = 90.0;
    d.threshold_on = d.threshold_off = 0.15;
    e = simulate(&d, 4096, &n);
    for (i = 0; i < n; i++) { /* 200 ms of two rows, 20 pixels apart */
        if (e[i].y == 30 && e[i].t_us >= 400000 && e[i].t_us < 600000) first++;
        if (e[i].y == 50 && e[i].t_us >= 600000 && e[i].t_us < 800000) pairs++;
    }
    k = first > pairs ? first - pairs : pairs - first;
    CHECK(first > 100);
    CHECK(k * 20 < first); /* a pixel's reference level differs, so that the counts may by one */
    free(e);
}

TEST(the_same_events_on_every_isa_and_in_pieces_of_every_size)
{
    int scene;
    for (scene = 0; scene < 3; scene++) {
        spk_simulator_desc d = {0};
        spk_event *a, *b;
        size_t n, m;
        spk_isa isa;
        d.scene = (spk_scene)scene;
        d.width = 71;
        d.height = 43;
        d.duration_s = 0.1;
        d.direction_deg = 30.0;
        d.threshold_sigma = 0.05;
        d.leak_hz = 3.0;
        d.shot_hz = 5.0;
        d.hot_fraction = 0.01;
        d.refractory_us = 200;
        d.seed = 7;
        d.source = 3;
        a = simulate(&d, 4096, &n);
        CHECK(n > 2000);
        for (isa = test_isa_after(SPK_ISA_AUTO); isa != SPK_ISA_AUTO; isa = test_isa_after(isa)) {
            d.isa = isa;
            b = simulate(&d, 1 + 37 * (size_t)isa, &m);
            CHECK_EQ(n, m);
            CHECK(n == m && test_same(a, b, n));
            free(b);
        }
        d.seed = 8;
        b = simulate(&d, 4096, &m);
        CHECK(n != m || !test_same(a, b, n));
        free(a);
        free(b);
    }
}

TEST(events_are_ordered_inside_the_sensor_and_refractory)
{
    spk_simulator_desc d = {0};
    size_t n, i;
    static int64_t last[64][48];
    spk_event *e;
    d.scene = SPK_SCENE_TEXTURE;
    d.width = 64;
    d.height = 48;
    d.speed_px_s = 300.0;
    d.refractory_us = 2500;
    d.shot_hz = 50.0;
    e = simulate(&d, 4096, &n);
    CHECK(n > 5000);
    memset(last, 0x80, sizeof last);
    for (i = 0; i < n; i++) {
        CHECK(e[i].x < 64 && e[i].y < 48 && e[i].polarity < 2 && e[i].kind == SPK_EVENT_CD);
        CHECK(i == 0 || e[i].t_us >= e[i - 1].t_us);
        CHECK(e[i].t_us >= 0 && e[i].t_us < 1000000);
        if (last[e[i].x][e[i].y] >= 0) CHECK(e[i].t_us - last[e[i].x][e[i].y] >= 2500);
        last[e[i].x][e[i].y] = e[i].t_us;
    }
    free(e);
}

/* Poisson counts within five standard deviations; a leak is regular. */
TEST(noise_has_the_rates_described)
{
    spk_simulator_desc d = {0};
    size_t n, i, on = 0;
    spk_event *e;
    double mean;
    d.width = 100;
    d.height = 80;
    d.speed_px_s = 1e-9;
    d.frames_per_s = 50.0;
    d.duration_s = 2.0;
    d.shot_hz = 4.0;
    e = simulate(&d, 4096, &n);
    mean = 8000 * 4.0 * 2.0;
    CHECK_NEAR((double)n, mean, 5.0 * sqrt(mean));
    for (i = 0; i < n; i++) on += e[i].polarity;
    CHECK_NEAR((double)on, 0.5 * mean, 5.0 * sqrt(0.5 * mean));
    free(e);
    d.shot_hz = 0.0;
    d.leak_hz = 3.0;
    e = simulate(&d, 4096, &n);
    CHECK_NEAR((double)n, 8000 * 6, 8000 * 0.05); /* six in two seconds, from wherever it began */
    for (i = 0, on = 0; i < n; i++) on += e[i].polarity;
    CHECK_EQ(on, n);
    free(e);
    d.leak_hz = 0.0;
    d.hot_fraction = 0.005;
    d.hot_hz = 200.0;
    e = simulate(&d, 4096, &n);
    mean = 40 * 200.0 * 2.0;
    CHECK_NEAR((double)n, mean, 5.0 * sqrt(mean));
    free(e);
}

TEST(thresholds_differ_from_pixel_to_pixel_as_much_as_said)
{
    spk_simulator_desc d = {0};
    size_t n, i, k;
    static int on[32 * 32];
    double mean = 0.0, squares = 0.0, pixels = 0.0;
    spk_event *e;
    d.width = d.height = 32;
    d.speed_px_s = 320.0;
    d.threshold_on = 0.02; /* 115 events an edge: a count resolves 1 % */
    d.threshold_off = 50.0;
    d.threshold_sigma = 0.1;
    d.duration_s = 0.15;
    e = simulate(&d, 4096, &n);
    memset(on, 0, sizeof on);
    for (i = 0; i < n; i++) on[e[i].y * 32 + e[i].x] += e[i].polarity;
    for (k = 0; k < 1024; k++) { /* those that were dark at first: the others' level is reached */
        if (on[k] < 50) continue;
        mean += 115.13 / on[k];
        squares += 115.13 / on[k] * 115.13 / on[k];
        pixels += 1.0;
    }
    CHECK(pixels > 400.0);
    CHECK_NEAR(mean / pixels, 1.0, 0.03);
    CHECK_NEAR(sqrt(squares / pixels - mean / pixels * mean / pixels), 0.1, 0.015);
    free(e);
}

/* -- pictures -- */

static const char *write_picture(const char *name, char *path, size_t size, const char *head,
                                 const void *data, size_t bytes)
{
    FILE *f = fopen(check_tmp(name, path, size), "wb");
    if (!f) return NULL;
    fwrite(head, 1, strlen(head), f);
    fwrite(data, 1, bytes, f);
    fclose(f);
    return path;
}

/* Two pictures of 2 x 1; the left pixel goes from 0 to full, the right one stays. */
static void check_pictures(const char *label, const char *head, const void *a, const void *b,
                           size_t bytes)
{
    char path[2][512], name[64];
    const char *images[2];
    spk_simulator_desc d = {0};
    spk_event *e;
    size_t n, i;
    snprintf(name, sizeof name, "simulator-%s-0.pnm", label);
    images[0] = write_picture(name, path[0], sizeof path[0], head, a, bytes);
    snprintf(name, sizeof name, "simulator-%s-1.pnm", label);
    images[1] = write_picture(name, path[1], sizeof path[1], head, b, bytes);
    d.scene = SPK_SCENE_IMAGES;
    d.images = images;
    d.image_count = 2;
    d.frames_per_s = 10.0;
    e = simulate(&d, 100, &n);
    CHECK_EQ(n, 11); /* log(10) / 0.2 = 11.5 */
    for (i = 0; i < n; i++) {
        CHECK(e[i].x == 0 && e[i].y == 0 && e[i].polarity == 1);
        /* linear in the logarithm: evenly spaced over the 100 ms */
        CHECK_NEAR((double)e[i].t_us, 1e5 * 0.2 * (double)(i + 1) / log(10.0), 2.0);
    }
    free(e);
    remove(path[0]);
    remove(path[1]);
}

TEST(pictures_from_files_of_each_kind)
{
    static const uint8_t a8[] = {0, 77}, b8[] = {255, 77};
    static const uint8_t a16[] = {0, 0, 1, 200}, b16[] = {0x0f, 0xff, 1, 200};
    static const uint8_t a24[] = {0, 0, 0, 9, 8, 7}, b24[] = {200, 200, 200, 9, 8, 7};
    check_pictures("p5", "P5\n# a comment\n2 1\n255\n", a8, b8, 2);
    check_pictures("p5-16", "P5 2 1 4095\n", a16, b16, 4);
    check_pictures("p6", "P6\n2\n1\n200\n", a24, b24, 6);
    check_pictures("p2", "P2\n2 1\n9\n", "0 4\n", "9 4\n", 4);
}

static bool ramp(void *ctx, uint64_t index, float *values)
{
    values[0] = (float)index / 10.0f;
    values[1] = index == 7 && ctx ? 2.0f : 0.5f;
    return index <= 10;
}

TEST(pictures_from_a_function)
{
    spk_simulator_desc d = {0};
    spk_event *e;
    spk_event one;
    spk_events *in;
    size_t n;
    d.scene = SPK_SCENE_FRAMES;
    d.width = 2;
    d.height = 1;
    d.frame = ramp;
    e = simulate(&d, 100, &n);
    CHECK_EQ(n, 11);
    CHECK(n == 11 && e[10].x == 0 && e[10].t_us < 100000);
    free(e);
    d.frame_ctx = &d;
    in = spk_events_simulate(&d);
    while (spk_events_read(in, &one, 1)) continue;
    CHECK(spk_events_status(in) == SPK_ERR_RANGE);
    CHECK_HAS(spk_events_error(in), "frame 7: value 1 is not in 0 to 1");
    spk_events_close(in);
}

static void refused(const spk_simulator_desc *d, spk_result result, const char *part)
{
    spk_event e;
    spk_events *in = spk_events_simulate(d);
    CHECK_EQ(spk_events_read(in, &e, 1), 0);
    CHECK(spk_events_status(in) == result);
    CHECK_HAS(spk_events_error(in), part);
    spk_events_close(in);
}

TEST(bad_descriptors_and_pictures_are_named)
{
    char path[512], broken[512];
    const char *images[2];
    spk_simulator_desc d = {0};
    d.threshold_on = -0.1;
    refused(&d, SPK_ERR_RANGE, "threshold_on = -0.1 is out of range");
    d.threshold_on = NAN;
    refused(&d, SPK_ERR_RANGE, "threshold_on = ");
    d.threshold_on = 0.0;
    d.width = 9000;
    refused(&d, SPK_ERR_RANGE, "width = 9000");
    d.width = 0;
    d.scene = (spk_scene)9;
    refused(&d, SPK_ERR_RANGE, "scene = 9");
    d.end_sentinel = 1;
    refused(&d, SPK_ERR_UNINITIALISED, "sentinels");
    d.end_sentinel = 0;
    d.scene = SPK_SCENE_FRAMES;
    refused(&d, SPK_ERR_NULL, "frame is NULL");
    d.scene = SPK_SCENE_IMAGES;
    refused(&d, SPK_ERR_NULL, "images is NULL");
    d.images = images;
    d.image_count = 2;
    images[0] = "/nowhere/at-all.pgm";
    refused(&d, SPK_ERR_IO, "image 0, /nowhere/at-all.pgm: ");
    images[0] = write_picture("simulator-good.pgm", path, sizeof path, "P5 2 2 255\n", "abcd", 4);
    images[1] = write_picture("simulator-bad.pgm", broken, sizeof broken, "P5 2 2 255\n", "abc", 3);
    refused(&d, SPK_ERR_FORMAT, "it ends early");
    images[1] = write_picture("simulator-bad.pgm", broken, sizeof broken, "P5 2 1 255\n", "ab", 2);
    refused(&d, SPK_ERR_FORMAT, "its size is another");
    images[1] = write_picture("simulator-bad.pgm", broken, sizeof broken, "BM", "ab", 2);
    refused(&d, SPK_ERR_FORMAT, "no PGM or PPM");
    images[1] = NULL;
    refused(&d, SPK_ERR_IO, "image 1, (NULL): the path is NULL");
    remove(path);
    remove(broken);
}

TEST(out_of_memory_anywhere_leaks_nothing)
{
    int fail, ended = 0;
    for (fail = 0; fail < 60 && !ended; fail++) {
        budget b;
        spk_simulator_desc d = {0};
        spk_event e[64];
        spk_events *in;
        d.scene = SPK_SCENE_TEXTURE;
        d.width = d.height = 40;
        d.speed_px_s = 2000.0; /* more events between two pictures than there is room at first */
        d.frames_per_s = 20.0;
        d.duration_s = 0.2;
        d.threshold_on = 0.02;
        d.refractory_us = 1;
        d.hot_fraction = 0.1;
        d.allocator = budget_allocator(&b, fail);
        in = spk_events_simulate(&d);
        while (spk_events_read(in, e, 64)) continue;
        ended = in && spk_events_status(in) == SPK_OK;
        CHECK(!in || ended || spk_events_status(in) == SPK_ERR_OUT_OF_MEMORY);
        spk_events_close(in);
        CHECK_EQ(b.blocks, 0);
    }
    CHECK(fail > 14 && ended);
}

TEST_MAIN()
