/* Views and optical flow against their definitions, in double precision, over all events. */
#include "../spikelib.h"

#include <math.h>

#include "budget.h"
#include "filters.h"

enum { W = 29, H = 13, N = 4000 };

typedef struct scene {
    spk_event e[N];
    double want[10 * W * H];
    float got[10 * W * H], first[10 * W * H];
} scene;

static scene *scene_new(int back)
{
    scene *s = (scene *)malloc(sizeof *s);
    test_stream(s->e, N, W, H, back, INT64_C(5000000000000), 17);
    return s;
}

static void add_in_pieces(spk_view *v, const spk_event *e, size_t count, size_t piece)
{
    size_t done;
    for (done = 0; done < count; done += piece)
        CHECK(spk_view_add(v, e + done, piece < count - done ? piece : count - done) == SPK_OK);
}

/* On every instruction set and in pieces of several sizes: near `want`, and the same bits. */
static void check_view(const spk_view_desc *desc, scene *s, size_t planes, int64_t now, double tol)
{
    spk_view_desc d = *desc;
    spk_isa isa;
    bool have_first = false;
    for (isa = test_isa_after(SPK_ISA_AUTO); isa != SPK_ISA_AUTO; isa = test_isa_after(isa)) {
        spk_view *v;
        size_t piece, k;
        d.isa = isa;
        v = spk_view_create(&d);
        CHECK_STR(spk_view_error(v), "");
        CHECK_EQ(spk_view_planes(v), planes);
        for (piece = 1; piece <= N; piece *= 63) {
            spk_view_reset(v);
            add_in_pieces(v, s->e, N, piece);
            CHECK(spk_view_render(v, now, s->got, planes * W * H) == SPK_OK);
            for (k = 0; k < planes * W * H; k++)
                if (!(fabs((double)s->got[k] - s->want[k]) <= tol))
                    CHECK_NEAR(s->got[k], s->want[k], tol);
            if (!have_first) memcpy(s->first, s->got, sizeof s->got);
            have_first = true;
            CHECK(memcmp(s->first, s->got, planes * W * H * sizeof(float)) == 0);
        }
        CHECK(spk_view_render(v, now, s->got, planes * W * H - 1) == SPK_ERR_RANGE);
        spk_view_destroy(v);
    }
}

static size_t at(const spk_event *e) { return (size_t)e->y * W + e->x; }

TEST(counts_are_counts)
{
    int p;
    for (p = 0; p < 3; p++) {
        spk_view_desc d = {0};
        scene *s = scene_new(300);
        size_t i;
        memset(s->want, 0, sizeof s->want);
        for (i = 0; i < N; i++) {
            const spk_event *e = &s->e[i];
            if (e->kind != SPK_EVENT_CD) continue;
            if (p == 0) s->want[at(e)] += e->polarity ? 1.0 : -1.0;
            if (p == 1) s->want[at(e) + (e->polarity ? W * H : 0)] += 1.0;
            if (p == 2) s->want[at(e)] += 1.0;
        }
        d.polarity = (spk_view_polarity)p;
        d.width = W;
        d.height = H;
        check_view(&d, s, p == 1 ? 2 : 1, 0, 0.0);
        free(s);
    }
}

/* The newest event of a pixel, by time; of one time, ON is the newer. */
static void want_surface(scene *s, int kind, int p, int64_t now, double tau)
{
    static int64_t newest[2][W * H];
    size_t i, k;
    for (i = 0; i < 2 * W * H; i++) newest[i / (W * H)][i % (W * H)] = INT64_MIN;
    for (i = 0; i < N; i++) {
        const spk_event *e = &s->e[i];
        int64_t *cell = &newest[e->polarity][at(e)];
        if (e->kind == SPK_EVENT_CD && e->t_us > *cell) *cell = e->t_us;
    }
    memset(s->want, 0, sizeof s->want);
    for (k = 0; k < W * H; k++) {
        int plane;
        for (plane = 0; plane < (p == 1 ? 2 : 1); plane++) {
            const bool off = p == 1 ? plane == 0 : newest[0][k] > newest[1][k];
            const int64_t t = newest[off ? 0 : 1][k];
            const double age = t > now ? 0.0 : (double)now - (double)t;
            double v;
            if (t == INT64_MIN) continue;
            v = kind == SPK_VIEW_EXP_SURFACE ? exp(-age / tau) : age < tau ? 1.0 - age / tau : 0.0;
            s->want[k + (size_t)plane * W * H] = p == 0 && off ? -v : v;
        }
    }
}

TEST(surfaces_fade_as_the_definition_says)
{
    int kind, p, c;
    static const int64_t after[] = {0, 7000, -20000, 1000000, (INT64_C(1) << 30) - 100000,
                                    (INT64_C(1) << 30) + 5};
    for (kind = SPK_VIEW_TIME_SURFACE; kind <= SPK_VIEW_EXP_SURFACE; kind++)
        for (p = 0; p < 3; p++)
            for (c = 0; c < 6; c++) {
                spk_view_desc d = {0};
                scene *s = scene_new(300);
                const int64_t now = s->e[N - 1].t_us + after[c];
                want_surface(s, kind, p, now, 25000.0);
                d.kind = (spk_view_kind)kind;
                d.polarity = (spk_view_polarity)p;
                d.width = W;
                d.height = H;
                d.tau_us = 25000;
                check_view(&d, s, p == 1 ? 2 : 1, now, 1e-6);
                free(s);
            }
}

/* V(b) = sum of p * max(0, 1 - |b - t*|), t* = (bins - 1) (t - begin) / window. */
TEST(voxel_grid_is_bilinear_in_time)
{
    int p, bins;
    for (p = 0; p < 3; p++)
        for (bins = 1; bins <= 5; bins += 2) {
            spk_view_desc d = {0};
            spk_view_stats stats;
            scene *s = scene_new(0);
            const int64_t begin = s->e[100].t_us, end = s->e[3000].t_us;
            size_t i, inside = 0;
            spk_view *v;
            int b;
            memset(s->want, 0, sizeof s->want);
            for (i = 0; i < N; i++) {
                const spk_event *e = &s->e[i];
                const double place = (double)(bins - 1) * (double)(e->t_us - begin) /
                                     (double)(end - begin);
                if (e->kind != SPK_EVENT_CD || e->t_us < begin || e->t_us > end) continue;
                inside++;
                for (b = 0; b < bins; b++) {
                    const double w = 1.0 - fabs(b - place);
                    const int plane = b + (p == 1 && e->polarity ? bins : 0);
                    if (w > 0.0)
                        s->want[at(e) + (size_t)plane * W * H] += p == 0 && !e->polarity ? -w : w;
                }
            }
            d.kind = SPK_VIEW_VOXEL_GRID;
            d.polarity = (spk_view_polarity)p;
            d.width = W;
            d.height = H;
            d.bins = (uint32_t)bins;
            d.begin_us = begin;
            d.window_us = end - begin;
            check_view(&d, s, (size_t)bins * (p == 1 ? 2 : 1), 0, 1e-4);
            v = spk_view_create(&d);
            CHECK(spk_view_add(v, s->e, N) == SPK_OK);
            CHECK(spk_view_get_stats(v, &stats) == SPK_OK);
            CHECK_EQ(stats.events, inside);
            CHECK_EQ(stats.events + stats.outside + stats.others, N);
            spk_view_destroy(v);
            free(s);
        }
}

TEST(a_voxel_grid_begins_with_the_first_event)
{
    spk_view_desc d = {0};
    spk_event e[2];
    float out[3];
    spk_view *v;
    memset(e, 0, sizeof e);
    e[0].t_us = -77;
    e[1].t_us = -77 + 750;
    e[0].polarity = e[1].polarity = 1;
    d.kind = SPK_VIEW_VOXEL_GRID;
    d.width = d.height = 1;
    d.bins = 3;
    d.window_us = 1000;
    v = spk_view_create(&d);
    CHECK(spk_view_add(v, e, 2) == SPK_OK);
    CHECK(spk_view_render(v, 0, out, 3) == SPK_OK);
    CHECK(out[0] == 1.0f && out[1] == 0.5f && out[2] == 0.5f);
    spk_view_reset(v);
    CHECK(spk_view_add(v, e + 1, 1) == SPK_OK);
    CHECK(spk_view_render(v, 0, out, 3) == SPK_OK);
    CHECK(out[0] == 1.0f && out[1] == 0.0f && out[2] == 0.0f);
    spk_view_destroy(v);
}

TEST(grey_levels_span_the_range)
{
    spk_view_desc d = {0};
    spk_event e[8];
    uint8_t out[4];
    spk_view *v;
    int k;
    memset(e, 0, sizeof e);
    for (k = 0; k < 8; k++) {
        e[k].x = (uint16_t)(k < 4 ? 0 : k < 6 ? 1 : 2);
        e[k].polarity = k < 4 || k == 6;
    }
    d.width = 4;
    d.height = 1;
    v = spk_view_create(&d);
    CHECK(spk_view_add(v, e, 8) == SPK_OK); /* 4, -2, 0, 0 */
    CHECK(spk_view_render_u8(v, 0, 0.0f, out, 4) == SPK_OK);
    CHECK(out[0] == 255 && out[1] == 65 && out[2] == 128 && out[3] == 128);
    CHECK(spk_view_render_u8(v, 0, 2.0f, out, 4) == SPK_OK);
    CHECK(out[0] == 255 && out[1] == 1);
    CHECK(spk_view_render_u8(v, 0, -1.0f, out, 4) == SPK_ERR_RANGE);
    spk_view_destroy(v);
    d.polarity = SPK_VIEW_MERGED;
    v = spk_view_create(&d);
    CHECK(spk_view_add(v, e, 8) == SPK_OK); /* 4, 2, 2, 0 */
    CHECK(spk_view_render_u8(v, 0, 0.0f, out, 4) == SPK_OK);
    CHECK(out[0] == 255 && out[1] == 128 && out[2] == 128 && out[3] == 0);
    spk_view_destroy(v);
}

/* -- flow -- */

/* A straight edge that moves with a velocity: each pixel fires when the edge reaches it, the times
   rounded to microseconds. */
static size_t edge(spk_event *out, int side, double vx, double vy)
{
    const double speed2 = vx * vx + vy * vy;
    size_t n = 0, i, j;
    int x, y;
    for (y = 0; y < side; y++)
        for (x = 0; x < side; x++) {
            memset(&out[n], 0, sizeof out[n]);
            out[n].t_us = (int64_t)(2e6 + 1e6 * (vx * x + vy * y) / speed2);
            out[n].x = (uint16_t)x;
            out[n].y = (uint16_t)y;
            out[n++].polarity = 1;
        }
    for (i = 1; i < n; i++) { /* by time */
        const spk_event e = out[i];
        for (j = i; j > 0 && out[j - 1].t_us > e.t_us; j--) out[j] = out[j - 1];
        out[j] = e;
    }
    return n;
}

TEST(flow_of_an_edge_is_its_velocity)
{
    static const double velocity[][2] = {{100, 0}, {-250, 0}, {0, 400}, {300, 300}, {-70, 160},
                                         {1200, -500}};
    spk_event *e = (spk_event *)malloc(40 * 40 * sizeof *e);
    spk_flow_vector *v = (spk_flow_vector *)malloc(40 * 40 * sizeof *v);
    size_t c;
    uint32_t radius;
    for (radius = 1; radius <= 3; radius++)
        for (c = 0; c < sizeof velocity / sizeof velocity[0]; c++) {
            const double vx = velocity[c][0], vy = velocity[c][1], speed = sqrt(vx * vx + vy * vy);
            spk_flow_desc d = {0};
            spk_flow *flow;
            size_t n = edge(e, 40, vx, vy), i, found, good = 0;
            d.width = d.height = 40;
            d.radius = radius;
            d.min_points = 4;
            d.window_us = 200000;
            flow = spk_flow_create(&d);
            found = spk_flow_apply(flow, e, n, v);
            CHECK(found > n * 8 / 10);
            for (i = 0; i < n; i++) {
                const double dx = v[i].vx - vx, dy = v[i].vy - vy;
                good += v[i].points > 0 && sqrt(dx * dx + dy * dy) < 0.02 * speed;
                CHECK(v[i].points > 0 || (v[i].vx == 0.0f && v[i].vy == 0.0f));
            }
            CHECK_EQ(good, found);
            spk_flow_destroy(flow);
        }
    free(e);
    free(v);
}

/* Every tenth pixel fired at a wrong time; without rejection the flow is off by far more. */
TEST(outliers_are_rejected)
{
    enum { SIDE = 60 };
    spk_event *e = (spk_event *)malloc(SIDE * SIDE * sizeof *e);
    spk_flow_vector *v = (spk_flow_vector *)malloc(SIDE * SIDE * sizeof *v);
    double error[2] = {0.0, 0.0};
    size_t counted[2] = {0, 0}, n = edge(e, SIDE, 200.0, 0.0), i;
    uint64_t seed = 3;
    int robust;
    for (i = 0; i < n; i++)
        if (test_below(&seed, 10) == 0) e[i].t_us -= 15000 + test_below(&seed, 20000);
    for (robust = 0; robust < 2; robust++) {
        spk_flow_desc d = {0};
        spk_flow *flow;
        d.width = d.height = SIDE;
        d.radius = 3;
        d.iterations = robust ? 8 : 1;
        flow = spk_flow_create(&d);
        (void)spk_flow_apply(flow, e, n, v);
        for (i = 0; i < n; i++) {
            if (v[i].points == 0 || e[i].x < 8) continue;
            error[robust] += hypot((double)v[i].vx - 200.0, v[i].vy) / 200.0;
            counted[robust]++;
        }
        error[robust] /= (double)counted[robust];
        CHECK(counted[robust] > n / 3);
        spk_flow_destroy(flow);
    }
    CHECK(error[1] < 0.5 * error[0]);
    free(e);
    free(v);
}

/* Least squares by normal equations in long double, without rejection. */
TEST(flow_is_the_least_squares_plane)
{
    scene *s = scene_new(0);
    spk_flow_vector *v = (spk_flow_vector *)malloc(N * sizeof *v);
    spk_flow_desc d = {0};
    spk_flow *flow;
    size_t i, compared = 0;
    d.width = W;
    d.height = H;
    d.window_us = 3000;
    d.iterations = 1;
    d.min_points = 6;
    flow = spk_flow_create(&d);
    (void)spk_flow_apply(flow, s->e, N, v);
    for (i = 0; i < N; i++) {
        const spk_event *e = &s->e[i];
        long double m[3][4] = {{0}}, a, b, square;
        int dx, dy, r, c, k, points = 0;
        if (e->kind != SPK_EVENT_CD) {
            CHECK_EQ(v[i].points, 0);
            continue;
        }
        for (dy = -2; dy <= 2; dy++)
            for (dx = -2; dx <= 2; dx++) {
                long q;
                long double row[4];
                for (q = (long)i; q >= 0; q--) {
                    const spk_event *o = &s->e[q];
                    if (o->kind == SPK_EVENT_CD && o->polarity == e->polarity &&
                        o->x == e->x + dx && o->y == e->y + dy)
                        break;
                }
                if (q < 0 || e->t_us - s->e[q].t_us > 3000) continue;
                points++;
                row[0] = dx;
                row[1] = dy;
                row[2] = 1;
                row[3] = (long double)(s->e[q].t_us - e->t_us);
                for (r = 0; r < 3; r++)
                    for (c = 0; c < 4; c++) m[r][c] += row[r] * row[c];
            }
        if (v[i].points == 0) continue;
        CHECK_EQ(v[i].points, points);
        for (k = 0; k < 3; k++) /* the matrix is positive definite: no pivoting */
            for (r = 0; r < 3; r++) {
                const long double f = r == k ? 0.0L : m[r][k] / m[k][k];
                for (c = k; c < 4; c++) m[r][c] -= f * m[k][c];
            }
        a = m[0][3] / m[0][0];
        b = m[1][3] / m[1][1];
        square = a * a + b * b;
        CHECK_NEAR(v[i].vx, 1e6L * a / square, 1e-4 * (1.0 + fabs((double)v[i].vx)));
        CHECK_NEAR(v[i].vy, 1e6L * b / square, 1e-4 * (1.0 + fabs((double)v[i].vy)));
        compared++;
    }
    CHECK(compared > 200);
    spk_flow_destroy(flow);
    free(v);
    free(s);
}

TEST(flow_is_the_same_on_every_isa_and_in_pieces)
{
    scene *s = scene_new(300);
    spk_flow_vector *a = (spk_flow_vector *)malloc(N * sizeof *a);
    spk_flow_vector *b = (spk_flow_vector *)malloc(N * sizeof *b);
    spk_flow_desc d = {0};
    spk_isa isa;
    uint32_t radius;
    for (radius = 1; radius <= 3; radius++) {
        bool first = true;
        for (isa = test_isa_after(SPK_ISA_AUTO); isa != SPK_ISA_AUTO; isa = test_isa_after(isa)) {
            spk_flow *flow;
            size_t done, piece, found = 0;
            d.width = W;
            d.height = H;
            d.radius = radius;
            d.min_points = 4;
            d.isa = isa;
            flow = spk_flow_create(&d);
            for (piece = 1; piece <= N; piece *= 60) {
                found = 0;
                for (done = 0; done < N; done += piece)
                    found += spk_flow_apply(flow, s->e + done,
                                            piece < N - done ? piece : N - done, b + done);
                if (first) memcpy(a, b, N * sizeof *a);
                first = false;
                CHECK(memcmp(a, b, N * sizeof *a) == 0);
                spk_flow_reset(flow);
            }
            CHECK(found > N / 10);
            spk_flow_destroy(flow);
        }
    }
    free(a);
    free(b);
    free(s);
}

TEST(bad_descriptors_are_named)
{
    spk_view_desc d = {0};
    spk_flow_desc f = {0};
    spk_view *v = spk_view_create(NULL);
    spk_flow *flow = spk_flow_create(NULL);
    float out;
    CHECK(spk_view_status(v) == SPK_ERR_RANGE && spk_flow_status(flow) == SPK_ERR_RANGE);
    CHECK_STR(spk_view_error(v), "view: width = 0, height = 0: not in 1 to 65,536");
    CHECK_STR(spk_flow_error(flow), "flow: width = 0, height = 0: not in 1 to 65,536");
    CHECK(spk_view_add(v, NULL, 0) == SPK_ERR_RANGE && spk_view_planes(v) == 0);
    CHECK(spk_view_render(v, 0, &out, 1) == SPK_ERR_RANGE);
    spk_view_destroy(v);
    spk_flow_destroy(flow);
    d.width = d.height = 3;
    d.tau_us = INT64_C(1) << 27;
    v = spk_view_create(&d);
    CHECK_HAS(spk_view_error(v), "tau_us = 134217728");
    spk_view_destroy(v);
    d.begin_sentinel = 5;
    v = spk_view_create(&d);
    CHECK(spk_view_status(v) == SPK_ERR_UNINITIALISED);
    spk_view_destroy(v);
    d.begin_sentinel = 0;
    d.tau_us = 0;
    d.width = d.height = 65536;
    d.memory_limit = 1000000;
    v = spk_view_create(&d);
    CHECK(spk_view_status(v) == SPK_ERR_OUT_OF_MEMORY);
    spk_view_destroy(v);
    f.width = f.height = 9;
    f.radius = 4;
    flow = spk_flow_create(&f);
    CHECK_HAS(spk_flow_error(flow), "radius = 4");
    spk_flow_destroy(flow);
    f.radius = 0;
    f.max_error_px = -1.0;
    flow = spk_flow_create(&f);
    CHECK_HAS(spk_flow_error(flow), "max_error_px = -1");
    spk_flow_destroy(flow);
    spk_view_destroy(NULL);
    spk_flow_destroy(NULL);
    spk_view_reset(NULL);
    spk_flow_reset(NULL);
    CHECK(spk_view_add(NULL, NULL, 0) == SPK_ERR_NULL);
    CHECK_EQ(spk_flow_apply(NULL, NULL, 0, NULL), 0);
}

TEST(no_memory_at_any_allocation_of_a_view_or_flow_is_an_error_and_leaks_nothing)
{
    static const spk_view_kind kinds[] = {SPK_VIEW_COUNT, SPK_VIEW_TIME_SURFACE,
                                          SPK_VIEW_EXP_SURFACE, SPK_VIEW_VOXEL_GRID};
    enum { W = 20, H = 10, N = 300, ROOM = 2 * 5 * W * H };
    static float out[ROOM];
    static uint8_t grey[ROOM];
    static spk_event e[N];
    static spk_flow_vector vectors[N];
    test_stream(e, N, W, H, 5, 1000, 9);
    for (size_t kind = 0; kind <= 4; kind++) { /* the last: flow */
        int failed = 1;
        long n;
        for (n = 0; n < 40 && failed; n++) {
            budget b;
            spk_allocator a = budget_allocator(&b, n);
            if (kind < 4) {
                spk_view_desc d = {0};
                spk_view *v;
                d.kind = kinds[kind];
                d.width = W;
                d.height = H;
                d.allocator = a;
                v = spk_view_create(&d);
                spk_view_add(v, e, N);
                spk_view_render(v, e[N - 1].t_us, out, W * H * spk_view_planes(v));
                spk_view_render_u8(v, e[N - 1].t_us, 1.0f, grey, W * H * spk_view_planes(v));
                failed = b.failed;
                if (v) CHECK(spk_view_status(v) == (failed ? SPK_ERR_OUT_OF_MEMORY : SPK_OK));
                spk_view_destroy(v);
            } else {
                spk_flow_desc d = {0};
                spk_flow *flow;
                d.width = W;
                d.height = H;
                d.allocator = a;
                flow = spk_flow_create(&d);
                spk_flow_apply(flow, e, N, vectors);
                failed = b.failed;
                if (flow) CHECK(spk_flow_status(flow) == (failed ? SPK_ERR_OUT_OF_MEMORY : SPK_OK));
                spk_flow_destroy(flow);
            }
            CHECK_EQ(b.blocks, 0);
        }
        CHECK(n > 2 && !failed);
    }
}

TEST_MAIN()
