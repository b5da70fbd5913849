/* Event filters against their definitions, worked out here event by event over the whole past. */
#include "../spikelib.h"

#include "budget.h"
#include "filters.h"

/* Odd, so that no vector fits. */
enum { W = 23, H = 17, N = 3000 };

typedef struct stream {
    spk_event in[N], want[N], got[N];
    bool keep[N];
    size_t wanted;
} stream;

static stream *stream_new(int back, uint64_t seed)
{
    stream *s = (stream *)malloc(sizeof *s);
    test_stream(s->in, N, W, H, back, INT64_C(3000000000000), seed);
    return s;
}

static void stream_want(stream *s)
{
    size_t i;
    s->wanted = 0;
    for (i = 0; i < N; i++)
        if (s->keep[i] || s->in[i].kind != SPK_EVENT_CD) s->want[s->wanted++] = s->in[i];
}

static int64_t apart(const spk_event *a, const spk_event *b)
{
    int64_t d = a->t_us - b->t_us;
    return d < 0 ? -d : d;
}

/* The last event before i of a pixel; `keep` NULL: any, else one that was kept. -1: none. */
static long last_of(const stream *s, size_t i, int x, int y, int polarity, bool kept)
{
    long k;
    for (k = (long)i - 1; k >= 0; k--) {
        const spk_event *e = &s->in[k];
        if (e->kind != SPK_EVENT_CD || e->x != x || e->y != y) continue;
        if (polarity >= 0 && e->polarity != polarity) continue;
        if (kept && !s->keep[k]) continue;
        return k;
    }
    return -1;
}

/* Whole, one by one, in pieces; statistics; again after a reset. Takes the filter over. */
static void check_filter(spk_filter *f, stream *s)
{
    static const size_t pieces[] = {N, 1, 0, 7, 512};
    spk_filter_stats stats;
    size_t k, i, others = 0;
    CHECK(f != NULL);
    CHECK_STR(spk_filter_error(f), "");
    for (i = 0; i < N; i++) others += s->in[i].kind != SPK_EVENT_CD;
    for (k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
        size_t n = test_apply(f, s->in, N, pieces[k], s->got);
        CHECK_EQ(n, s->wanted);
        CHECK(n == s->wanted && test_same(s->got, s->want, n));
        CHECK(spk_filter_get_stats(f, &stats) == SPK_OK);
        CHECK_EQ(stats.others, others);
        CHECK_EQ(stats.events, N - others);
        CHECK_EQ(stats.passed, s->wanted - others);
        CHECK_EQ(stats.dropped, N - s->wanted);
        spk_filter_reset(f);
        CHECK(spk_filter_get_stats(f, &stats) == SPK_OK && stats.events == 0);
    }
    spk_filter_destroy(f);
}

#define FOR_EACH_ISA(isa)                                                                         \
    for (spk_isa isa = SPK_ISA_SCALAR; isa != SPK_ISA_AUTO; isa = test_isa_after(isa))

TEST(refractory_keeps_what_the_definition_keeps)
{
    int mode, back;
    for (back = 0; back <= 300; back += 300)
        for (mode = 0; mode < 4; mode++) {
            const bool restart = mode & 1, by_polarity = (mode & 2) != 0;
            spk_refractory_desc d = {0};
            stream *s = stream_new(back, 5 + (uint64_t)mode);
            size_t i;
            for (i = 0; i < N; i++) {
                const spk_event *e = &s->in[i];
                const long k = last_of(s, i, e->x, e->y, by_polarity ? e->polarity : -1, !restart);
                s->keep[i] = k < 0 || apart(e, &s->in[k]) >= 1500;
            }
            stream_want(s);
            d.period_us = 1500;
            d.restart = restart;
            d.by_polarity = by_polarity;
            check_filter(spk_filter_refractory(&d), s);
            d.width = W;
            d.height = H;
            check_filter(spk_filter_refractory(&d), s);
            free(s);
        }
}

static void want_background(stream *s, int64_t window, int low, int high, bool same, int64_t dead)
{
    size_t i;
    for (i = 0; i < N; i++) {
        const spk_event *e = &s->in[i];
        const int polarity = same ? e->polarity : -1;
        int dx, dy, support = 0;
        for (dy = -1; dy <= 1; dy++)
            for (dx = -1; dx <= 1; dx++) {
                const long k = last_of(s, i, e->x + dx, e->y + dy, polarity, false);
                if ((dx || dy) && k >= 0 && apart(e, &s->in[k]) < window) support++;
            }
        s->keep[i] = support >= low && support <= high;
        if (dead > 0) {
            const long k = last_of(s, i, e->x, e->y, polarity, false);
            if (k >= 0 && apart(e, &s->in[k]) < dead) s->keep[i] = false;
        }
    }
    stream_want(s);
}

TEST(background_counts_support_as_the_definition_does)
{
    static const struct {
        int low, high, back;
        bool same;
        int64_t dead;
    } cases[] = {{1, 8, 0, false, 0},   {1, 8, 300, false, 0}, {2, 8, 300, false, 0},
                 {2, 3, 300, false, 0}, {1, 8, 300, true, 0},  {1, 8, 300, false, 700},
                 {3, 5, 0, true, 200}};
    size_t c;
    for (c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        stream *s = stream_new(cases[c].back, 77 + c);
        want_background(s, 1300, cases[c].low, cases[c].high, cases[c].same, cases[c].dead);
        CHECK(s->wanted > N / 15 && s->wanted < N - N / 15);
        FOR_EACH_ISA(isa)
        {
            spk_background_desc d = {0};
            d.window_us = 1300;
            d.min_support = (uint32_t)cases[c].low;
            d.max_support = (uint32_t)cases[c].high;
            d.same_polarity = cases[c].same;
            d.refractory_us = cases[c].dead;
            d.isa = isa;
            check_filter(spk_filter_background(&d), s);
            d.width = W;
            d.height = H;
            check_filter(spk_filter_background(&d), s);
        }
        free(s);
    }
}

/* Each pixel's windows worked out from the start: hot in window k if it has sent more than the
   limit in k so far, or had in k - 1. */
TEST(hot_pixels_are_dropped_until_a_window_is_quiet)
{
    enum { LIMIT = 3 };
    const int64_t window = 20000;
    spk_hot_pixel_desc d = {0};
    static const spk_pixel listed[] = {{3, 4}, {20, 11}, {60000, 2}};
    stream *s = stream_new(0, 31);
    size_t i, k;
    int64_t first = 0;
    bool begun = false;
    for (i = 0; i < N; i++) {
        const spk_event *e = &s->in[i];
        int64_t w;
        int now = 0, before = 0;
        if (e->kind != SPK_EVENT_CD) continue;
        if (i % 5 == 0) s->in[i].x = s->in[i].y = 7; /* a hot one */
        if (!begun) first = e->t_us;
        begun = true;
        w = (e->t_us - first) / window;
        for (k = 0; k <= i; k++) {
            const spk_event *o = &s->in[k];
            if (o->kind != SPK_EVENT_CD || o->x != e->x || o->y != e->y) continue;
            now += (o->t_us - first) / window == w;
            before += (o->t_us - first) / window == w - 1;
        }
        s->keep[i] = now <= LIMIT && before <= LIMIT && !(e->x == 3 && e->y == 4) &&
                     !(e->x == 20 && e->y == 11);
    }
    stream_want(s);
    CHECK(s->wanted > N / 2 && s->wanted < N - N / 8);
    d.window_us = window;
    d.max_events = LIMIT;
    d.pixels = listed;
    d.pixel_count = 3;
    check_filter(spk_filter_hot_pixel(&d), s);
    d.width = W;
    d.height = H;
    check_filter(spk_filter_hot_pixel(&d), s);
    free(s);
}

TEST(hot_pixels_are_told)
{
    spk_hot_pixel_desc d = {0};
    const spk_pixel listed = {1, 2};
    spk_pixel told[4];
    spk_event e[60];
    spk_filter *f;
    size_t i;
    memset(e, 0, sizeof e);
    for (i = 0; i < 60; i++) {
        e[i].t_us = (int64_t)i * 100;
        e[i].x = i % 2 ? 5 : (uint16_t)i;
        e[i].y = i % 2 ? 6 : 7;
    }
    d.width = 64;
    d.height = 8;
    d.window_us = 10000;
    d.max_events = 20;
    d.pixels = &listed;
    d.pixel_count = 1;
    f = spk_filter_hot_pixel(&d);
    CHECK_EQ(spk_filter_hot_pixels(f, told, 4), 1);
    CHECK_EQ(spk_filter_apply(f, e, 60), 50);
    CHECK_EQ(spk_filter_hot_pixels(f, told, 4), 2);
    CHECK(told[0].x == 1 && told[0].y == 2 && told[1].x == 5 && told[1].y == 6);
    CHECK_EQ(spk_filter_hot_pixels(f, NULL, 0), 2);
    e[0].t_us = 25000; /* a window later it would be hot still, two later not */
    e[0].x = 9;
    CHECK_EQ(spk_filter_apply(f, e, 1), 1);
    CHECK_EQ(spk_filter_hot_pixels(f, told, 4), 1);
    spk_filter_reset(f);
    CHECK_EQ(spk_filter_hot_pixels(f, told, 4), 1);
    spk_filter_destroy(f);
}

TEST(region_keeps_a_rectangle_or_what_is_around_it)
{
    FOR_EACH_ISA(isa)
    {
        int mode;
        for (mode = 0; mode < 4; mode++) {
            spk_region_desc d = {0};
            stream *s = stream_new(0, 8);
            size_t i;
            d.x = 5;
            d.y = 4;
            d.width = mode == 3 ? 0 : 9;
            d.height = 6;
            d.outside = mode == 1;
            d.move = mode == 2;
            d.isa = isa;
            for (i = 0; i < N; i++) {
                const spk_event e = s->in[i];
                bool in = e.x >= 5 && e.y >= 4 && e.y < 10 && (mode == 3 || e.x < 14);
                s->keep[i] = in != (mode == 1);
            }
            stream_want(s);
            for (i = 0; i < s->wanted && mode == 2; i++) {
                if (s->want[i].kind != SPK_EVENT_CD) continue;
                s->want[i].x = (uint16_t)(s->want[i].x - 5);
                s->want[i].y = (uint16_t)(s->want[i].y - 4);
            }
            check_filter(spk_filter_region(&d), s);
            free(s);
        }
    }
}

/* By what a picture does, in words: where do its corners go? */
TEST(eight_orientations_move_the_corners_where_they_belong)
{
    /* corners: 0 upper left, 1 upper right, 2 lower left, 3 lower right; where each of them goes */
    static const int to[8][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0},
                                 {0, 2, 1, 3}, {1, 3, 0, 2}, {2, 0, 3, 1}, {3, 1, 2, 0}};
    int o, c;
    for (o = 0; o < 8; o++) {
        spk_orient_desc d = {0};
        spk_filter *f;
        d.width = W;
        d.height = H;
        d.orientation = (spk_orientation)o;
        f = spk_filter_orient(&d);
        for (c = 0; c < 4; c++) {
            const int wide = o & 4 ? H : W, high = o & 4 ? W : H;
            spk_event e;
            memset(&e, 0, sizeof e);
            e.x = (uint16_t)(c & 1 ? W - 1 : 0);
            e.y = (uint16_t)(c & 2 ? H - 1 : 0);
            CHECK_EQ(spk_filter_apply(f, &e, 1), 1);
            CHECK_EQ(e.x, to[o][c] & 1 ? wide - 1 : 0);
            CHECK_EQ(e.y, to[o][c] & 2 ? high - 1 : 0);
        }
        spk_filter_destroy(f);
    }
}

TEST(orientations_are_one_to_one_and_the_same_on_every_isa)
{
    int o;
    for (o = 0; o < 8; o++)
        FOR_EACH_ISA(isa)
        {
            spk_orient_desc d = {0};
            stream *s = stream_new(300, 12);
            size_t i;
            spk_filter_stats stats;
            spk_filter *f;
            d.width = W - 2; /* some are outside */
            d.height = H - 1;
            d.orientation = (spk_orientation)o;
            d.isa = isa;
            for (i = 0; i < N; i++) s->keep[i] = s->in[i].x < W - 2 && s->in[i].y < H - 1;
            stream_want(s);
            for (i = 0; i < s->wanted; i++) {
                spk_event *e = &s->want[i];
                const int x = e->x, y = e->y;
                if (e->kind != SPK_EVENT_CD) continue;
                e->x = (uint16_t)(o == 4 || o == 6 ? y
                                  : o == 5 || o == 7 ? H - 2 - y
                                  : o & 1 ? W - 3 - x : x);
                e->y = (uint16_t)(o == 4 || o == 5 ? x
                                  : o == 6 || o == 7 ? W - 3 - x
                                  : o & 2 ? H - 2 - y : y);
            }
            f = spk_filter_orient(&d);
            (void)test_apply(f, s->in, N, 0, s->got);
            spk_filter_get_stats(f, &stats);
            CHECK_EQ(stats.outside, N - s->wanted);
            spk_filter_reset(f);
            check_filter(f, s);
            free(s);
        }
}

TEST(polarity_keeps_inverts_and_merges)
{
    FOR_EACH_ISA(isa)
    {
        int mode;
        for (mode = 0; mode <= 4; mode++) {
            spk_polarity_desc d = {0};
            stream *s = stream_new(0, 44);
            size_t i;
            for (i = 0; i < N; i++)
                s->keep[i] = mode == 1 ? s->in[i].polarity == 1
                             : mode == 2 ? s->in[i].polarity == 0 : true;
            stream_want(s);
            for (i = 0; i < s->wanted; i++) {
                if (s->want[i].kind != SPK_EVENT_CD) continue;
                if (mode == 3) s->want[i].polarity = !s->want[i].polarity;
                if (mode == 4) s->want[i].polarity = 1;
            }
            d.mode = (spk_polarity_mode)mode;
            d.isa = isa;
            check_filter(spk_filter_polarity(&d), s);
            free(s);
        }
    }
}

TEST(time_window_keeps_from_begin_to_just_before_end)
{
    FOR_EACH_ISA(isa)
    {
        int mode;
        for (mode = 0; mode < 8; mode++) {
            spk_time_window_desc d = {0};
            stream *s = stream_new(300, 21);
            const bool relative = mode & 1, outside = (mode & 2) != 0, open = (mode & 4) != 0;
            size_t i = 0;
            int64_t zero, begin, end;
            while (s->in[i].kind != SPK_EVENT_CD) i++;
            zero = relative ? s->in[i].t_us : 0;
            begin = s->in[N / 4].t_us;
            end = s->in[N / 2].t_us;
            for (i = 0; i < N; i++)
                s->keep[i] = (s->in[i].t_us >= begin && (open || s->in[i].t_us < end)) != outside;
            stream_want(s);
            d.begin_us = begin - zero;
            d.end_us = open ? 0 : end - zero;
            d.relative = relative;
            d.outside = outside;
            d.isa = isa;
            check_filter(spk_filter_time_window(&d), s);
            free(s);
        }
    }
}

TEST(time_windows_at_the_ends_of_time)
{
    FOR_EACH_ISA(isa)
    {
        spk_time_window_desc d = {0};
        spk_event e[4];
        spk_filter *f;
        memset(e, 0, sizeof e);
        e[0].t_us = INT64_MIN;
        e[1].t_us = -1;
        e[2].t_us = 0;
        e[3].t_us = INT64_MAX;
        d.isa = isa;
        f = spk_filter_time_window(&d);
        CHECK_EQ(spk_filter_apply(f, e, 4), 4);
        spk_filter_destroy(f);
        d.end_us = -1;
        f = spk_filter_time_window(&d);
        CHECK_EQ(spk_filter_apply(f, e, 4), 1);
        spk_filter_destroy(f);
        d.relative = true;
        d.begin_us = INT64_MAX - 5;
        d.end_us = INT64_MAX;
        f = spk_filter_time_window(&d);
        e[0].t_us = INT64_MAX - 9;
        e[1].t_us = 3;
        e[2].t_us = INT64_MAX - 1;
        CHECK_EQ(spk_filter_apply(f, e, 3), 0);
        spk_filter_destroy(f);
    }
}

TEST(downsampling_divides_and_sums)
{
    static const uint32_t factors[][2] = {{2, 2}, {3, 5}, {1, 1}, {7, 65535}};
    size_t c;
    for (c = 0; c < 4; c++) {
        spk_downsample_desc d = {0};
        stream *s = stream_new(0, 61);
        const uint32_t fx = factors[c][0], fy = factors[c][1];
        size_t i;
        for (i = 0; i < N; i++) s->keep[i] = true;
        stream_want(s);
        for (i = 0; i < N; i++) {
            if (s->want[i].kind != SPK_EVENT_CD) continue;
            s->want[i].x = (uint16_t)(s->want[i].x / fx);
            s->want[i].y = (uint16_t)(s->want[i].y / fy);
        }
        d.factor_x = fx;
        d.factor_y = fy;
        check_filter(spk_filter_downsample(&d), s);
        /* the same with sums: the pixel's sum since its last one, from the whole past */
        d.threshold = 2;
        s->wanted = 0;
        for (i = 0; i < N; i++) {
            spk_event e = s->in[i];
            int sum = 0;
            size_t k;
            s->keep[i] = e.kind != SPK_EVENT_CD;
            for (k = 0; k <= i && !s->keep[i]; k++) {
                const spk_event *o = &s->in[k];
                if (o->kind != SPK_EVENT_CD || o->x / fx != e.x / fx || o->y / fy != e.y / fy)
                    continue;
                sum += o->polarity ? 1 : -1;
                if (k < i && s->keep[k]) sum = 0;
            }
            if (sum == 2 || sum == -2) s->keep[i] = true;
            if (!s->keep[i]) continue;
            if (e.kind == SPK_EVENT_CD) {
                e.x = (uint16_t)(e.x / fx);
                e.y = (uint16_t)(e.y / fy);
                e.polarity = sum > 0;
            }
            s->want[s->wanted++] = e;
        }
        check_filter(spk_filter_downsample(&d), s);
        d.width = W;
        d.height = H;
        check_filter(spk_filter_downsample(&d), s);
        free(s);
    }
}

TEST(downsampling_is_right_for_every_coordinate_and_factor)
{
    spk_event *e = (spk_event *)malloc(65536 * sizeof *e);
    uint32_t factor, x;
    for (factor = 1; factor < 65536; factor += factor < 400 ? 1 : 811) {
        spk_downsample_desc d = {0};
        spk_filter *f;
        d.factor_x = factor;
        memset(e, 0, 65536 * sizeof *e);
        for (x = 0; x < 65536; x++) e[x].x = (uint16_t)x;
        f = spk_filter_downsample(&d);
        CHECK_EQ(spk_filter_apply(f, e, 65536), 65536);
        for (x = 0; x < 65536; x++)
            if (e[x].x != x / factor) CHECK_EQ(e[x].x, x / factor);
        spk_filter_destroy(f);
    }
    free(e);
}

static size_t every_third(void *ctx, spk_event *events, size_t count)
{
    size_t i, out = 0;
    for (i = 0; i < count; i++)
        if (events[i].kind != SPK_EVENT_CD || (*(int *)ctx)++ % 3 == 0) events[out++] = events[i];
    return out;
}

static void back_to_zero(void *ctx) { *(int *)ctx = 0; }

static spk_filter *three_filters(int *counter)
{
    spk_filter *list[3];
    spk_background_desc b = {0};
    spk_custom_desc c = {0};
    spk_orient_desc o = {0};
    b.window_us = 1300;
    c.name = "third";
    c.ctx = counter;
    c.apply = every_third;
    c.reset = back_to_zero;
    o.width = W;
    o.height = H;
    o.orientation = SPK_ORIENT_ROTATE_90;
    list[0] = spk_filter_background(&b);
    list[1] = spk_filter_custom(&c);
    list[2] = spk_filter_orient(&o);
    return spk_filter_chain(list, 3);
}

TEST(a_chain_is_its_filters_one_after_the_other)
{
    int counter = 0, k = 0;
    size_t i, n = 0;
    spk_filter *chain = three_filters(&counter);
    stream *s = stream_new(300, 90);
    want_background(s, 1300, 1, 8, false, 0);
    for (i = 0; i < s->wanted; i++) {
        spk_event e = s->want[i];
        if (e.kind == SPK_EVENT_CD && k++ % 3) continue;
        if (e.kind == SPK_EVENT_CD) {
            e.x = (uint16_t)(H - 1 - s->want[i].y);
            e.y = s->want[i].x;
        }
        s->want[n++] = e;
    }
    s->wanted = n;
    CHECK_STR(spk_filter_name(spk_filter_chain_at(chain, 1)), "third");
    CHECK(spk_filter_chain_at(chain, 3) == NULL);
    CHECK(spk_filter_chain_at(spk_filter_chain_at(chain, 0), 0) == NULL);
    check_filter(chain, s);
    chain = spk_filter_chain(NULL, 0); /* nothing in it: all pass */
    for (i = 0; i < N; i++) s->keep[i] = true;
    stream_want(s);
    check_filter(chain, s);
    free(s);
}

/* The stream shifted far from 0 in either direction, and one that jumps by years and back. */
TEST(times_are_64_bits_wide)
{
    static const int64_t starts[] = {0, -5000, -INT64_C(4000000000000000000),
                                     INT64_C(4000000000000000000), INT64_C(1) << 32};
    spk_background_desc d = {0};
    stream *s = stream_new(300, 3);
    size_t c, i;
    want_background(s, 1300, 1, 8, false, 0);
    for (c = 0; c < sizeof starts / sizeof starts[0]; c++) {
        stream *moved = (stream *)malloc(sizeof *moved);
        memcpy(moved, s, sizeof *s);
        for (i = 0; i < N; i++) moved->in[i].t_us += starts[c] - INT64_C(3000000000000);
        stream_want(moved);
        d.window_us = 1300;
        check_filter(spk_filter_background(&d), moved);
        free(moved);
    }
    free(s);
}

/* Two neighbours a window apart, and exactly 2^32 us and other distances that 32 bits confuse. */
TEST(what_is_long_past_supports_nothing)
{
    int shift;
    for (shift = 29; shift < 62; shift++) {
        spk_background_desc d = {0};
        spk_refractory_desc r = {0};
        spk_event e[3];
        spk_filter *f;
        int k;
        for (k = -1; k <= 1; k++) {
            memset(e, 0, sizeof e);
            e[0].t_us = 12345;
            e[1].t_us = 12345 + (INT64_C(1) << shift) + k;
            e[1].x = 1;
            e[2] = e[1];
            e[2].t_us += 999;
            e[2].x = 0;
            d.window_us = 1000;
            f = spk_filter_background(&d);
            CHECK_EQ(spk_filter_apply(f, e, 3), 1);
            CHECK(e[0].x == 0 && e[0].t_us > 13000);
            spk_filter_destroy(f);
            memset(e, 0, sizeof e);
            e[1].t_us = (INT64_C(1) << shift) + k;
            f = spk_filter_refractory(&r);
            CHECK_EQ(spk_filter_apply(f, e, 2), 2);
            spk_filter_destroy(f);
        }
    }
}

TEST(events_outside_of_the_sensor_are_dropped_and_counted)
{
    spk_background_desc b = {0};
    spk_refractory_desc r = {0};
    spk_hot_pixel_desc h = {0};
    spk_downsample_desc d = {0};
    spk_filter *f[4];
    int k;
    b.width = r.width = h.width = d.width = 10;
    b.height = r.height = h.height = d.height = 8;
    d.threshold = 1;
    f[0] = spk_filter_background(&b);
    f[1] = spk_filter_refractory(&r);
    f[2] = spk_filter_hot_pixel(&h);
    f[3] = spk_filter_downsample(&d);
    for (k = 0; k < 4; k++) {
        spk_event e[4];
        spk_filter_stats stats;
        memset(e, 0, sizeof e);
        e[0].x = 10;
        e[1].y = 8;
        e[2].x = e[2].y = 65535;
        e[3].kind = SPK_EVENT_TRIGGER;
        e[3].x = 300;
        CHECK_EQ(spk_filter_apply(f[k], e, 4), 1);
        CHECK(e[0].kind == SPK_EVENT_TRIGGER && e[0].x == 300);
        spk_filter_get_stats(f[k], &stats);
        CHECK_EQ(stats.outside, 3);
        spk_filter_destroy(f[k]);
    }
}

TEST(a_map_that_grows_takes_what_it_is_allowed_to)
{
    spk_refractory_desc d = {0};
    spk_event e[3];
    spk_filter *f;
    memset(e, 0, sizeof e);
    e[1].x = 4095;
    e[2].x = 4096;
    f = spk_filter_refractory(&d);
    CHECK_EQ(spk_filter_apply(f, e, 3), 2); /* a wild coordinate does not take gigabytes */
    spk_filter_destroy(f);
    d.memory_limit = 20000;
    f = spk_filter_refractory(&d);
    CHECK_EQ(spk_filter_apply(f, e, 2), 1);
    CHECK(spk_filter_status(f) == SPK_ERR_OUT_OF_MEMORY);
    CHECK_HAS(spk_filter_error(f), "filter \"refractory\": no memory for 4096 x 32 pixels");
    CHECK_EQ(spk_filter_apply(f, e, 1), 0);
    spk_filter_reset(f);
    CHECK(spk_filter_status(f) == SPK_OK);
    CHECK_EQ(spk_filter_apply(f, e, 1), 1);
    spk_filter_destroy(f);
}

static void refused(spk_filter *f, spk_result result, const char *part)
{
    spk_event e;
    memset(&e, 0, sizeof e);
    CHECK(spk_filter_status(f) == result);
    CHECK_HAS(spk_filter_error(f), part);
    CHECK_EQ(spk_filter_apply(f, &e, 1), 0);
    spk_filter_reset(f);
    CHECK(spk_filter_status(f) == result);
    spk_filter_destroy(f);
}

TEST(bad_descriptors_are_named)
{
    spk_background_desc b = {0};
    spk_refractory_desc r = {0};
    spk_hot_pixel_desc h = {0};
    spk_region_desc g = {0};
    spk_orient_desc o = {0};
    spk_polarity_desc p = {0};
    spk_time_window_desc t = {0};
    spk_downsample_desc d = {0};
    spk_custom_desc c = {0};
    spk_filter *list[2] = {NULL, NULL};
    b.window_us = -1;
    refused(spk_filter_background(&b), SPK_ERR_RANGE, "window_us = -1");
    b.window_us = 0;
    b.min_support = 9;
    refused(spk_filter_background(&b), SPK_ERR_RANGE, "min_support = 9");
    b.min_support = 0;
    b.width = 5;
    refused(spk_filter_background(&b), SPK_ERR_RANGE, "width = 5, height = 0");
    b.end_sentinel = 1;
    refused(spk_filter_background(&b), SPK_ERR_UNINITIALISED, "sentinels");
    r.period_us = INT64_C(1) << 40;
    refused(spk_filter_refractory(&r), SPK_ERR_RANGE, "period_us = 1099511627776");
    h.window_us = -3;
    refused(spk_filter_hot_pixel(&h), SPK_ERR_RANGE, "window_us = -3");
    h.window_us = 0;
    h.pixel_count = 1;
    refused(spk_filter_hot_pixel(&h), SPK_ERR_NULL, "pixels is NULL");
    g.x = 70000;
    refused(spk_filter_region(&g), SPK_ERR_RANGE, "x = 70000");
    g.x = 0;
    g.outside = g.move = true;
    refused(spk_filter_region(&g), SPK_ERR_RANGE, "move = true");
    refused(spk_filter_orient(&o), SPK_ERR_RANGE, "width = 0");
    o.width = o.height = 4;
    o.orientation = (spk_orientation)8;
    refused(spk_filter_orient(&o), SPK_ERR_RANGE, "orientation = 8");
    p.mode = (spk_polarity_mode)-1;
    refused(spk_filter_polarity(&p), SPK_ERR_RANGE, "mode = -1");
    t.begin_us = 9;
    t.end_us = 9;
    refused(spk_filter_time_window(&t), SPK_ERR_RANGE, "end_us = 9");
    d.factor_x = 65536;
    refused(spk_filter_downsample(&d), SPK_ERR_RANGE, "factor_x = 65536");
    d.factor_x = 0;
    d.threshold = 40000;
    refused(spk_filter_downsample(&d), SPK_ERR_RANGE, "threshold = 40000");
    refused(spk_filter_custom(&c), SPK_ERR_NULL, "apply is NULL");
    refused(spk_filter_chain(list, 2), SPK_ERR_NULL, "filter 0 is NULL");
    list[0] = spk_filter_polarity(NULL);
    list[1] = spk_filter_orient(NULL);
    refused(spk_filter_chain(list, 2), SPK_ERR_RANGE, "filter \"orient\": width = 0");
    CHECK_EQ(spk_filter_apply(NULL, NULL, 1), 0);
    CHECK(spk_filter_status(NULL) == SPK_ERR_NULL);
    CHECK(spk_filter_get_stats(NULL, NULL) == SPK_ERR_NULL);
    CHECK_STR(spk_filter_name(NULL), "");
    spk_filter_reset(NULL);
    spk_filter_destroy(NULL);
}

/* -- memory -- */

/* Filter number `which`, all of whose memory comes from `a`; NULL where none is left to make it. */
static spk_filter *hungry(int which, spk_allocator a)
{
    static const spk_pixel listed = {1, 1};
    switch (which) {
#define HUNGRY(number, type, make, more)                                                          \
    case number: {                                                                                \
        type d = {0};                                                                             \
        d.allocator = a;                                                                          \
        more return make(&d);                                                                     \
    }
        HUNGRY(0, spk_refractory_desc, spk_filter_refractory, )
        HUNGRY(1, spk_background_desc, spk_filter_background, )
        HUNGRY(2, spk_hot_pixel_desc, spk_filter_hot_pixel, d.width = d.height = 30;
               d.pixels = &listed; d.pixel_count = 1;)
        HUNGRY(3, spk_corner_desc, spk_filter_corner, )
        HUNGRY(4, spk_region_desc, spk_filter_region, d.width = 9; d.height = 9;)
        HUNGRY(5, spk_orient_desc, spk_filter_orient, d.width = 600; d.height = 600;)
        HUNGRY(6, spk_polarity_desc, spk_filter_polarity, )
        HUNGRY(7, spk_time_window_desc, spk_filter_time_window, )
        HUNGRY(8, spk_downsample_desc, spk_filter_downsample, d.threshold = 2;)
#undef HUNGRY
    default: return NULL;
    }
}

TEST(out_of_memory_anywhere_leaks_nothing)
{
    for (int which = 0; which < 9; which++) {
        int failed = 1;
        long n;
        for (n = 0; n < 60 && failed; n++) { /* by itself, and behind another in a chain */
            budget b;
            spk_allocator a = budget_allocator(&b, n);
            spk_filter *list[2], *f;
            spk_event e[2];
            memset(e, 0, sizeof e);
            e[1].x = 500;
            list[0] = hungry(1, a);
            list[1] = hungry(which, a);
            f = spk_filter_chain(list, 2);
            (void)spk_filter_apply(f, e, 2);
            failed = b.failed;
            if (f) CHECK((spk_filter_status(f) == SPK_OK) == !failed);
            if (!f) spk_filter_destroy(list[0]);
            if (!f) spk_filter_destroy(list[1]);
            spk_filter_destroy(f);
            CHECK_EQ(b.blocks, 0);
        }
        CHECK(n > 3 && !failed);
        if (check_failures) printf("    (filter %d)\n", which);
    }
}

/* -- real recordings -- */

static spk_event *recording(const char *relative, size_t *count)
{
    char path[512];
    spk_event *events = NULL, piece[4096];
    spk_events *in;
    size_t n, room = 0;
    *count = 0;
    if (!check_shared(relative, path, sizeof path)) return NULL;
    in = spk_events_open(path, NULL);
    while ((n = spk_events_read(in, piece, 4096)) > 0) {
        if (*count + n > room) {
            room = 2 * (*count + n);
            events = (spk_event *)realloc(events, room * sizeof *events);
        }
        memcpy(events + *count, piece, n * sizeof *piece);
        *count += n;
    }
    CHECK_STR(spk_events_error(in), "");
    spk_events_close(in);
    return events;
}

/* Brute force over 64-bit times, one cell a pixel. */
static size_t brute_background(const spk_event *in, size_t count, int64_t window, bool *keep)
{
    enum { SIDE = 1400 };
    int64_t *last = (int64_t *)malloc(sizeof(int64_t) * SIDE * SIDE);
    size_t i, kept = 0;
    for (i = 0; i < (size_t)SIDE * SIDE; i++) last[i] = INT64_MIN / 2;
    for (i = 0; i < count; i++) {
        int64_t *cell = last + (in[i].y + 1) * SIDE + in[i].x + 1;
        int dx, dy, support = 0;
        for (dy = -1; dy <= 1; dy++)
            for (dx = -1; dx <= 1; dx++) {
                int64_t d = in[i].t_us - cell[dy * SIDE + dx];
                support += (dx || dy) && d < window && -d < window;
            }
        *cell = in[i].t_us;
        keep[i] = support > 0;
        kept += keep[i];
    }
    free(last);
    return kept;
}

static void check_recording(const char *relative, int64_t window)
{
    size_t count, i, n, kept, at = 0;
    spk_event *events = recording(relative, &count);
    bool *keep = (bool *)malloc(count + 1);
    spk_event *out = (spk_event *)malloc((count + 1) * sizeof *out);
    spk_background_desc d = {0};
    spk_filter *f;
    d.window_us = window;
    kept = brute_background(events, count, window, keep);
    f = spk_filter_background(&d);
    n = test_apply(f, events, count, 4096, out);
    CHECK_EQ(n, kept);
    for (i = 0; i < count && n == kept; i++)
        if (keep[i] && !test_same(&events[i], &out[at++], 1)) CHECK(!"another event");
    CHECK(kept > count / 100 && kept < count);
    spk_filter_destroy(f);
    free(events);
    free(keep);
    free(out);
}

TEST(a_real_recording_with_times_that_run_back_is_filtered_as_by_brute_force)
{
    char path[512];
    if (!check_shared("data/events/gen3.evt2.raw", path, sizeof path))
        SKIP("no ../shared/data/events/gen3.evt2.raw");
    check_recording("data/events/gen3.evt2.raw", 500);
    check_recording("data/events/gen3.evt2.raw", 20);
}

TEST_MAIN()
