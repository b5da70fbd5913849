/* Filters and views that keep something for each pixel do many events at once where the CPU can:
   whatever the stream, the result is that of one event after the other. */
#include "../spikelib.h"

#include "filters.h"

enum { N = 6000, KINDS = 15 };

/* What makes a stream hard for vectors. */
typedef struct hard {
    const char *what;
    int width, height; /* of the events */
    int described_w, described_h;
    int others; /* one in so many is of another kind; 0: none */
    int repeat; /* one in so many comes at the pixel of the one before; 0: none */
    int back;  /* times are early by up to so much, or whole blocks by minus that */
    int jumps; /* one in so many lies half an hour away; 0: none */
} hard;

static const hard streams[] = {
    {"plain", 300, 200, 300, 200, 0, 0, 0, 0},
    {"a growing map", 300, 200, 0, 0, 0, 0, 0, 0},
    {"pixels that repeat", 40, 30, 40, 30, 0, 3, 0, 0},
    {"mostly one pixel", 3, 2, 3, 2, 0, 0, 0, 0},
    {"triggers", 100, 80, 100, 80, 9, 0, 0, 0},
    {"rare triggers", 100, 80, 0, 0, 100, 0, 300, 0},
    {"pixels outside", 110, 90, 100, 80, 0, 0, 0, 0},
    {"a few outside", 300, 200, 299, 199, 0, 50, 0, 0},
    {"times that run back and jump", 60, 50, 60, 50, 0, 5, 2000, 200},
    {"blocks that come late", 12, 10, 12, 10, 0, 0, -600, 0},
    {"the upper half of 16 bits", 65536, 65536, 64, 64, 0, 0, 0, 0},
};

static void stream_make(spk_event *out, const hard *h, uint64_t seed)
{
    int64_t t = INT64_C(1) << 40;
    size_t k;
    for (k = 0; k < N; k++) {
        spk_event *e = &out[k];
        memset(e, 0, sizeof *e);
        t += test_below(&seed, 9);
        if (h->jumps && test_below(&seed, h->jumps) == 0)
            t += (test_below(&seed, 2) ? 1 : -1) * INT64_C(1800000000);
        e->t_us = h->back > 0 ? t - test_below(&seed, h->back) : t;
        if (h->back < 0 && k % 200 >= 100) e->t_us += h->back;
        e->x = (uint16_t)test_below(&seed, h->width);
        e->y = (uint16_t)test_below(&seed, h->height);
        e->polarity = (uint8_t)(test_below(&seed, 2) * (1 + 8 * test_below(&seed, 2)));
        e->source = (uint16_t)test_below(&seed, 65536);
        if (h->others && test_below(&seed, h->others) == 0) e->kind = SPK_EVENT_TRIGGER;
        if (k > 0 && h->repeat && test_below(&seed, h->repeat) == 0) {
            e->x = out[k - 1].x;
            e->y = out[k - 1].y;
        } else if (k > 0 && k % 7 < 3) { /* rows, as sensors send them */
            e->x = (uint16_t)((out[k - 1].x + 1) % h->width);
            e->y = out[k - 1].y;
        }
    }
}

static spk_filter *filter_make(int kind, const hard *h, spk_isa isa)
{
    static const spk_pixel listed[] = {{1, 1}, {2, 0}, {30, 20}, {250, 150}};
    spk_refractory_desc r = {0};
    spk_hot_pixel_desc p = {0};
    spk_downsample_desc d = {0};
    spk_corner_desc c = {0};
    spk_background_desc b = {0};
    b.width = (uint32_t)h->described_w;
    b.height = (uint32_t)h->described_h;
    b.isa = isa;
    r.width = p.width = d.width = c.width = (uint32_t)h->described_w;
    r.height = p.height = d.height = c.height = (uint32_t)h->described_h;
    r.isa = p.isa = d.isa = c.isa = isa;
    switch (kind) {
    case 0:
    case 1:
    case 2:
        r.period_us = 700;
        r.restart = kind == 1;
        r.by_polarity = kind == 2;
        return spk_filter_refractory(&r);
    case 3:
    case 4:
        p.window_us = kind == 3 ? 1000 : 300;
        p.max_events = kind == 3 ? 2 : 1;
        p.pixels = listed;
        p.pixel_count = kind == 3 ? 4 : 0;
        return spk_filter_hot_pixel(&p);
    case 5:
    case 6:
    case 7:
        d.factor_x = kind == 5 ? 1 : 3;
        d.factor_y = kind == 6 ? 1 : 7;
        return spk_filter_downsample(&d);
    case 8:
    case 9:
        d.factor_x = kind == 8 ? 2 : 5;
        d.threshold = kind == 8 ? 1 : 3;
        return spk_filter_downsample(&d);
    case 12:
    case 13:
    case 14:
        b.window_us = 3000;
        b.refractory_us = kind == 13 ? 500 : 0;
        b.same_polarity = kind == 14;
        b.max_support = kind == 14 ? 2 : 0;
        return spk_filter_background(&b);
    default:
        c.period_us = 500;
        c.minority_only = kind == 11;
        return spk_filter_corner(&c);
    }
}

TEST(filters_of_pixels_keep_the_same_on_every_isa)
{
    spk_event *in = (spk_event *)malloc(N * sizeof *in);
    spk_event *want = (spk_event *)malloc(N * sizeof *want);
    spk_event *got = (spk_event *)malloc(N * sizeof *got);
    size_t s, wanted, n, kept_in_all = 0;
    int kind;
    for (s = 0; s < sizeof streams / sizeof streams[0]; s++) {
        stream_make(in, &streams[s], 11 + s);
        for (kind = 0; kind < KINDS; kind++) {
            spk_filter *f = filter_make(kind, &streams[s], SPK_ISA_SCALAR);
            spk_filter_stats told, same;
            spk_isa isa;
            CHECK_STR(spk_filter_error(f), "");
            wanted = test_apply(f, in, N, N, want);
            CHECK(spk_filter_get_stats(f, &told) == SPK_OK);
            spk_filter_destroy(f);
            kept_in_all += wanted;
            for (isa = SPK_ISA_SCALAR; isa != SPK_ISA_AUTO; isa = test_isa_after(isa)) {
                static const size_t pieces[] = {N, 0, 16, 17};
                size_t p;
                for (p = 0; p < 4; p++) {
                    f = filter_make(kind, &streams[s], isa);
                    n = test_apply(f, in, N, pieces[p], got);
                    CHECK_EQ(n, wanted);
                    CHECK(n == wanted && test_same(got, want, n));
                    CHECK(spk_filter_get_stats(f, &same) == SPK_OK);
                    CHECK(memcmp(&told, &same, sizeof told) == 0);
                    spk_filter_destroy(f);
                }
            }
        }
    }
    CHECK(kept_in_all > 20 * N);
    free(in);
    free(want);
    free(got);
}

TEST(the_list_of_hot_pixels_is_the_same_on_every_isa)
{
    spk_event *in = (spk_event *)malloc(N * sizeof *in);
    spk_pixel want[600], got[600];
    spk_isa isa;
    size_t wanted = 0;
    for (isa = SPK_ISA_SCALAR; isa != SPK_ISA_AUTO; isa = test_isa_after(isa)) {
        spk_filter *f = filter_make(3, &streams[2], isa);
        size_t n;
        stream_make(in, &streams[2], 5); /* the filter works in place */
        (void)spk_filter_apply(f, in, N - 1000);
        n = spk_filter_hot_pixels(f, got, 600);
        if (isa == SPK_ISA_SCALAR) {
            wanted = n;
            memcpy(want, got, sizeof want);
            CHECK(n > 4 && n < 600);
        }
        CHECK_EQ(n, wanted);
        CHECK(memcmp(got, want, n * sizeof *want) == 0);
        spk_filter_destroy(f);
    }
    free(in);
}

/* Of each kind and polarity; sums of floats are compared to the bit. */
TEST(views_hold_the_same_on_every_isa)
{
    spk_event *in = (spk_event *)malloc(N * sizeof *in);
    size_t s;
    int kind, polarity;
    for (s = 0; s < sizeof streams / sizeof streams[0]; s++) {
        stream_make(in, &streams[s], 23 + s);
        for (kind = SPK_VIEW_COUNT; kind <= SPK_VIEW_VOXEL_GRID; kind++)
            for (polarity = SPK_VIEW_SIGNED; polarity <= SPK_VIEW_MERGED; polarity++) {
                spk_view_desc d = {0};
                spk_view_stats told, same;
                float *want = NULL, *got = NULL;
                size_t count = 0, k;
                spk_isa isa;
                d.kind = (spk_view_kind)kind;
                d.polarity = (spk_view_polarity)polarity;
                d.width = streams[s].described_w ? (uint32_t)streams[s].described_w : 300;
                d.height = streams[s].described_h ? (uint32_t)streams[s].described_h : 200;
                d.bins = polarity == SPK_VIEW_MERGED ? 1 : 7;
                d.window_us = 15000;
                d.begin_us = polarity == SPK_VIEW_SPLIT ? in[0].t_us - 1000 : 0;
                for (isa = SPK_ISA_SCALAR; isa != SPK_ISA_AUTO; isa = test_isa_after(isa)) {
                    spk_view *v;
                    d.isa = isa;
                    v = spk_view_create(&d);
                    CHECK_STR(spk_view_error(v), "");
                    count = spk_view_planes(v) * d.width * d.height;
                    got = (float *)malloc(count * sizeof *got);
                    for (k = 0; k < N; k += 1000) CHECK(spk_view_add(v, in + k, 1000) == SPK_OK);
                    CHECK(spk_view_get_stats(v, &same) == SPK_OK);
                    CHECK(spk_view_render(v, in[N - 1].t_us, got, count) == SPK_OK);
                    spk_view_destroy(v);
                    if (!want) {
                        want = got;
                        told = same;
                        continue;
                    }
                    CHECK(memcmp(want, got, count * sizeof *got) == 0);
                    CHECK(memcmp(&told, &same, sizeof told) == 0);
                    free(got);
                }
                free(want);
            }
    }
    free(in);
}

TEST(a_pixel_counts_each_of_its_events_however_many_come_at_once)
{
    spk_event e[64];
    float out[2 * 4];
    spk_isa isa;
    size_t k, round;
    memset(e, 0, sizeof e);
    for (k = 0; k < 64; k++) {
        e[k].x = (uint16_t)(k % 3 == 0);
        e[k].polarity = (uint8_t)(k % 5 == 0);
    }
    for (isa = SPK_ISA_SCALAR; isa != SPK_ISA_AUTO; isa = test_isa_after(isa)) {
        spk_view_desc d = {0};
        spk_view *v;
        d.width = d.height = 2;
        d.polarity = SPK_VIEW_SPLIT;
        d.isa = isa;
        v = spk_view_create(&d);
        for (round = 0; round < 100; round++) CHECK(spk_view_add(v, e, 64) == SPK_OK);
        CHECK(spk_view_render(v, 0, out, 8) == SPK_OK);
        CHECK(out[0] == 3400.0f && out[1] == 1700.0f); /* OFF: neither by 3 nor 5, by 3 alone */
        CHECK(out[4] == 800.0f && out[5] == 500.0f);
        spk_view_destroy(v);
    }
}

TEST_MAIN()
