/* Corner events: the count of the Arc* authors' program on a real recording, a corner that moves,
   and straight edges, which have none. */
#include "../spikelib.h"

#include "filters.h"

/* The recording as its README describes it: "t x y p", t in seconds. */
static size_t read_text(const char *path, spk_event *out, size_t room)
{
    FILE *f = fopen(path, "r");
    double t;
    unsigned x, y, p;
    size_t n = 0;
    while (f && n < room && fscanf(f, "%lf %u %u %u", &t, &x, &y, &p) == 4) {
        memset(&out[n], 0, sizeof out[n]);
        out[n].t_us = (int64_t)(t * 1e6 + 0.5);
        out[n].x = (uint16_t)x;
        out[n].y = (uint16_t)y;
        out[n].polarity = (uint8_t)p;
        n++;
    }
    if (f) fclose(f);
    return n;
}

/* All pixels of both polarities at time 0: the state in which the authors' program begins. */
static void prime(spk_filter *f, int width, int height)
{
    spk_event e;
    int p, x, y;
    memset(&e, 0, sizeof e);
    for (p = 0; p < 2; p++)
        for (y = 0; y < height; y++)
            for (x = 0; x < width; x++) {
                spk_event copy = e;
                copy.x = (uint16_t)x;
                copy.y = (uint16_t)y;
                copy.polarity = (uint8_t)p;
                (void)spk_filter_apply(f, &copy, 1);
            }
}

TEST(finds_the_1172_corners_that_the_reference_program_finds)
{
    enum { N = 50000 };
    char path[512];
    spk_event *in = (spk_event *)malloc(N * sizeof *in), *out = (spk_event *)malloc(N * sizeof *in);
    size_t piece;
    if (!check_shared("data/events/slider_depth_chunk.txt", path, sizeof path)) {
        free(in);
        free(out);
        SKIP("no ../shared/data/events/slider_depth_chunk.txt");
    }
    CHECK_EQ(read_text(path, in, N), N);
    for (piece = 1; piece <= N; piece = piece < 1000 ? piece * 37 : piece * 10) {
        spk_corner_desc d = {0};
        spk_filter *f;
        size_t n;
        d.width = 240;
        d.height = 180;
        f = spk_filter_corner(&d);
        prime(f, 240, 180);
        n = test_apply(f, in, N, piece, out);
        CHECK_EQ(n, 1172);
        spk_filter_destroy(f);
    }
    free(in);
    free(out);
}

/* A bright square moves over a dark ground by a pixel each 2 ms: its leading edges send ON events.
   Their corners are where they meet, and where they end. */
static size_t square(spk_event *out, int size, int steps, int dx, int dy)
{
    size_t n = 0;
    int s, k;
    for (s = 0; s < steps; s++) {
        const int x = 20 + s * dx, y = 20 + s * dy;
        for (k = 0; k < size; k++) { /* right and lower edge */
            int side;
            for (side = 0; side < 2; side++) {
                spk_event *e = &out[n];
                if (side == 0 ? dx == 0 : dy == 0) continue;
                memset(e, 0, sizeof *e);
                e->t_us = 100000 + 2000 * s;
                e->x = (uint16_t)(side == 0 ? x + size - 1 : x + k);
                e->y = (uint16_t)(side == 0 ? y + k : y + size - 1);
                e->polarity = 1;
                n++;
            }
        }
    }
    return n;
}

TEST(corners_of_a_moving_square_are_found_where_they_are)
{
    spk_corner_desc d = {0};
    spk_event *e = (spk_event *)malloc(20000 * sizeof *e);
    size_t n, i, close = 0, meet = 0, kept;
    spk_filter *f;
    d.width = d.height = 128;
    f = spk_filter_corner(&d);
    n = square(e, 24, 60, 1, 1);
    kept = spk_filter_apply(f, e, n);
    CHECK(kept > 40);
    for (i = 0; i < kept; i++) { /* from the upper left corner of the square */
        const int s = (int)((e[i].t_us - 100000) / 2000), x = e[i].x - 20 - s, y = e[i].y - 20 - s;
        close += (x > 18 && y > 18) || (x > 18 && y < 5) || (x < 5 && y > 18);
        meet += x > 18 && y > 18;
    }
    CHECK_EQ(close, kept);
    CHECK(meet >= 60);
    spk_filter_destroy(f);
    free(e);
}

TEST(a_straight_edge_has_no_corner_but_at_its_ends)
{
    spk_corner_desc d = {0};
    spk_event *e = (spk_event *)malloc(20000 * sizeof *e);
    size_t n, i, kept;
    spk_filter *f;
    d.width = d.height = 128;
    f = spk_filter_corner(&d);
    n = square(e, 60, 60, 1, 0);
    kept = spk_filter_apply(f, e, n);
    for (i = 0; i < kept; i++) CHECK(e[i].y < 25 || e[i].y > 74);
    spk_filter_destroy(f);
    free(e);
}

/* Splitting, triggers, a sensor that grows: the same as one that is known to be large. */
TEST(corners_do_not_depend_on_pieces_or_on_growing)
{
    enum { N = 20000 };
    spk_event *in = (spk_event *)malloc(N * sizeof *in), *a = (spk_event *)malloc(N * sizeof *in);
    spk_event *b = (spk_event *)malloc(N * sizeof *in);
    spk_corner_desc d = {0};
    spk_filter *grows, *fixed;
    size_t n, m, piece;
    test_stream(in, N, 61, 47, 200, 1000000, 4);
    d.period_us = 300;
    grows = spk_filter_corner(&d);
    d.width = d.height = 4096;
    fixed = spk_filter_corner(&d);
    n = test_apply(fixed, in, N, N, a);
    CHECK(n > N / 40);
    for (piece = 0; piece < 3; piece++) {
        m = test_apply(grows, in, N, piece, b);
        CHECK_EQ(m, n);
        CHECK(m == n && test_same(a, b, n));
        spk_filter_reset(grows);
    }
    spk_filter_destroy(grows);
    spk_filter_destroy(fixed);
    free(in);
    free(a);
    free(b);
}

TEST(bad_descriptors_are_named)
{
    spk_corner_desc d = {0};
    spk_filter *f;
    d.period_us = -1;
    f = spk_filter_corner(&d);
    CHECK(spk_filter_status(f) == SPK_ERR_RANGE);
    CHECK_HAS(spk_filter_error(f), "filter \"corner\": period_us = -1");
    spk_filter_destroy(f);
}

TEST_MAIN()
