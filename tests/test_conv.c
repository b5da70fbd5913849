/* ---- >>test_conv: convolutional layers and pixel maps ---- */

/* The spikes are those of a plain reference, whatever the way they are computed, the instruction
   set, and the pieces in which events come. */
#include "../spikelib.h"

#include "check.h"
#include "conv_reference.h"

#include <float.h>

/* -- what the tests share -- */

static uint32_t draw_state;
static uint32_t draw(uint32_t below)
{
    draw_state = draw_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(draw_state >> 8) * below) >> 24);
}

static float *draw_weights(size_t n, double mean, double spread)
{
    float *w = (float *)malloc(n * sizeof *w);
    size_t i;
    for (i = 0; i < n; i++) w[i] = (float)(mean + spread * ((double)draw(20001) / 10000.0 - 1.0));
    return w;
}

/* Events that gather around a moving spot, `gap_us` apart on average. */
static spk_event *draw_events(size_t n, uint32_t w, uint32_t h, uint32_t gap_us, int64_t t0)
{
    spk_event *e = (spk_event *)calloc(n, sizeof *e);
    size_t i;
    int64_t t = t0;
    for (i = 0; i < n; i++) {
        if (gap_us)
            t += draw(2 * gap_us + 1);
        else
            t += draw(40) == 0; /* forty events a microsecond */
        e[i].t_us = t;
        e[i].x = (uint16_t)(draw(3) ? (i / 16 + draw(6)) % w : draw(w));
        e[i].y = (uint16_t)(draw(3) ? (i / 32 + draw(6)) % h : draw(h));
        e[i].polarity = (uint8_t)draw(2);
    }
    return e;
}

typedef struct catch
{
    ref_spike *spike;
    size_t count, capacity;
    uint64_t last_step;
    uint32_t last_layer;
    bool ordered;
}
catch;

static void catch_spikes(void *ctx, uint32_t layer, uint64_t step, const uint32_t *neurons,
                         size_t count)
{
    catch *c = (catch *)ctx;
    size_t k;
    c->ordered =
        c->ordered && step >= c->last_step && (step > c->last_step || layer > c->last_layer);
    c->last_step = step;
    c->last_layer = layer;
    for (k = 0; k < count; k++) {
        if (c->count == c->capacity) {
            c->capacity = c->capacity ? 2 * c->capacity : 1024;
            c->spike = (ref_spike *)realloc(c->spike, c->capacity * sizeof *c->spike);
        }
        c->ordered = c->ordered && (k == 0 || neurons[k] > neurons[k - 1]);
        c->spike[c->count].layer = layer;
        c->spike[c->count].neuron = neurons[k];
        c->spike[c->count++].step = step;
    }
}

static bool same_spikes(const catch *c, const ref *r)
{
    size_t k;
    if (c->count != r->count || !c->ordered) return false;
    for (k = 0; k < c->count; k++)
        if (c->spike[k].layer != r->spike[k].layer || c->spike[k].neuron != r->spike[k].neuron ||
            c->spike[k].step != r->spike[k].step)
            return false;
    return true;
}

static bool same_potentials(const spk_conv *conv, const ref *r, long step)
{
    int k, i;
    bool same = true;
    for (k = 0; k < r->layers; k++) {
        const ref_layer *l = &r->layer[k];
        const size_t n = (size_t)l->c * (size_t)l->h * (size_t)l->w;
        float *v;
        if (!l->v) continue;
        v = (float *)malloc(n * sizeof *v);
        same = same && spk_conv_potentials(conv, (size_t)k, v, n) == SPK_OK;
        for (i = 0; i < (int)n && same; i++) {
            volatile float now = l->v[i] * ref_decay(l, r->dt, step - l->last[i % (l->w * l->h)]);
            if (now < 1e-30f && now > -1e-30f) now = 0.0f;
            same = now == v[i];
        }
        free(v);
    }
    return same;
}

/* -- networks -- */

enum { NETS = 12 };
typedef struct net {
    const char *name;
    uint32_t w, h, polarities, dt_us;
    size_t layers;
    spk_conv_layer layer[REF_LAYERS];
} net;

#define CONV(c, k, s, p)                                                                           \
    {                                                                                              \
        "", SPK_CONV_2D, c, k, 0, s, 0, p, p, NULL, 0, 0, 0, 0, 0, 0, SPK_CONV_RESET_TO, 0         \
    }
#define CONV2(c, kx, ky, sx, sy, px, py)                                                           \
    {                                                                                              \
        "", SPK_CONV_2D, c, kx, ky, sx, sy, px, py, NULL, 0, 0, 0, 0, 0, 0, SPK_CONV_RESET_TO, 0   \
    }
#define POOL(k, s, p)                                                                              \
    {                                                                                              \
        "", SPK_CONV_SUM_POOL, 0, k, 0, s, 0, p, p, NULL, 0, 0, 0, 0, 0, 0, SPK_CONV_RESET_TO, 0   \
    }
#define POOL2(kx, ky, sx, sy, px, py)                                                              \
    {                                                                                              \
        "", SPK_CONV_SUM_POOL, 0, kx, ky, sx, sy, px, py, NULL, 0, 0, 0, 0, 0, 0,                  \
            SPK_CONV_RESET_TO, 0                                                                   \
    }
#define DENSE(c)                                                                                   \
    {                                                                                              \
        "", SPK_CONV_DENSE, c, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, SPK_CONV_RESET_TO, 0      \
    }

static const net nets[NETS] = {
    {"3x3", 17, 13, 2, 1000, 1, {CONV(5, 3, 1, 1)}},
    {"1x1, one polarity", 9, 9, 1, 500, 1, {CONV(3, 1, 1, 0)}},
    {"5x5 stride 2, 8 channels", 32, 24, 2, 1000, 2, {CONV(8, 5, 2, 2), CONV(16, 3, 1, 1)}},
    {"pool, conv, pool, conv, dense",
     64,
     48,
     2,
     1000,
     5,
     {POOL(4, 0, 0), CONV(8, 5, 2, 2), POOL(2, 0, 0), CONV(16, 3, 1, 0), DENSE(10)}},
    {"pools that do not divide",
     37,
     29,
     2,
     700,
     4,
     {POOL2(3, 2, 0, 0, 0, 0), POOL(2, 0, 0), CONV(9, 3, 2, 1), DENSE(3)}},
    {"overlapping, padded pools",
     20,
     18,
     2,
     1000,
     4,
     {POOL2(3, 2, 2, 1, 1, 1), POOL(2, 1, 0), CONV(6, 3, 1, 1), DENSE(4)}},
    {"overlapping pool between",
     24,
     20,
     1,
     1000,
     3,
     {CONV(17, 3, 2, 0), POOL(3, 1, 1), CONV(4, 2, 1, 0)}},
    {"oblong, unequal strides",
     23,
     31,
     2,
     333,
     2,
     {CONV2(7, 5, 2, 3, 1, 4, 0), CONV2(33, 1, 4, 1, 2, 0, 1)}},
    {"stride above kernel", 30, 30, 2, 1000, 1, {CONV(4, 2, 5, 0)}},
    {"padding above kernel", 11, 8, 2, 1000, 1, {CONV(3, 3, 2, 5)}},
    {"dense alone", 12, 10, 2, 1000, 1, {DENSE(20)}},
    {"microseconds", 40, 32, 2, 1, 3, {CONV(8, 5, 2, 0), CONV(8, 3, 1, 1), DENSE(10)}}};

/* Fills in weights and what else is drawn; `variant` changes the neurons. */
static void net_begin(const net *n, int variant, spk_conv_desc *d, spk_conv_layer *layer)
{
    uint32_t w = n->w, h = n->h, c = n->polarities;
    size_t k;
    memset(d, 0, sizeof *d);
    d->width = w;
    d->height = h;
    d->polarities = c;
    d->dt_us = n->dt_us;
    d->layer_count = n->layers;
    d->layers = layer;
    for (k = 0; k < n->layers; k++) {
        spk_conv_layer *l = &layer[k];
        const bool pool = n->layer[k].kind == SPK_CONV_SUM_POOL;
        const bool dense = n->layer[k].kind == SPK_CONV_DENSE;
        uint32_t kx, ky, sx, sy;
        *l = n->layer[k];
        kx = dense ? w : l->kernel_x;
        ky = dense ? h : l->kernel_y ? l->kernel_y : kx;
        sx = l->stride_x ? l->stride_x : pool ? kx : 1;
        sy = l->stride_y ? l->stride_y : l->stride_x ? sx : pool ? ky : 1;
        if (!pool) {
            const double inputs = (double)c * kx * ky;
            l->weight_count = (size_t)l->channels * c * kx * ky;
            l->weights = draw_weights(l->weight_count, 1.5 / (2.0 + inputs), 0.6);
            l->tau_us = variant == 2 ? 1e300 : variant == 1 ? 3.7 * n->dt_us : 20.0 * n->dt_us;
            l->threshold = variant == 1 ? 0.8 : 1.3;
            l->v_min = variant == 1 ? -0.4 : 0.0;
            l->refractory_us = variant == 1 ? 2.4 * n->dt_us : variant == 3 ? 40.0 * n->dt_us : 0.0;
            l->reset = variant == 3 ? SPK_CONV_RESET_SUBTRACT : SPK_CONV_RESET_TO;
            l->v_reset = variant == 1 ? -0.2 : 0.0;
        }
        w = (w + 2 * l->padding_x - kx) / sx + 1;
        h = (h + 2 * l->padding_y - ky) / sy + 1;
        c = pool ? c : l->channels;
    }
}

static void net_end(spk_conv_layer *layer, size_t n)
{
    size_t k;
    for (k = 0; k < n; k++) free((void *)(uintptr_t)layer[k].weights);
}

/* Feeds in pieces of `piece` events and compares spikes, order, potentials, counts and digests. */
static void compare(const char *name, const spk_conv_desc *given, const spk_event *e, size_t n,
                    size_t piece, const ref *r, spk_isa isa)
{
    spk_conv_desc d = *given;
    catch c = {0};
    spk_conv *conv;
    const long last = (long)((e[n - 1].t_us - e[0].t_us) / (long long)d.dt_us);
    bool good = true;
    size_t k;
    c.ordered = true;
    d.isa = isa;
    d.spikes = catch_spikes;
    d.ctx = &c;
    conv = spk_conv_create(&d);
    CHECK_STR(spk_conv_error(conv), "");
    for (k = 0; k < n && good; k += piece)
        good = spk_conv_feed(conv, e + k, n - k < piece ? n - k : piece) == SPK_OK;
    good = good && spk_conv_flush(conv) == SPK_OK;
    CHECK(good);
    if (!same_spikes(&c, r) || !same_potentials(conv, r, last)) {
        char what[160];
        snprintf(what, sizeof what, "%s, %s: %zu spikes, the reference has %zu%s", name,
                 spk_isa_name(isa), c.count, r->count, c.count == r->count ? " (others)" : "");
        check_fail(__FILE__, __LINE__, what);
    }
    for (k = 0; k < d.layer_count; k++) {
        spk_conv_layer_info info;
        unsigned char *bytes = (unsigned char *)malloc(12 * r->count + 1), *at = bytes;
        size_t s, b;
        CHECK(spk_conv_get_layer(conv, k, &info) == SPK_OK);
        CHECK_EQ(info.width, r->layer[k].w);
        CHECK_EQ(info.height, r->layer[k].h);
        CHECK_EQ(info.channels, r->layer[k].c);
        CHECK_EQ(info.spikes, r->layer[k].spikes);
        for (s = 0; s < r->count; s++) {
            if (r->spike[s].layer != k) continue;
            for (b = 0; b < 8; b++) *at++ = (unsigned char)(r->spike[s].step >> (8 * b));
            for (b = 0; b < 4; b++) *at++ = (unsigned char)(r->spike[s].neuron >> (8 * b));
        }
        if (r->layer[k].v) {
            CHECK_EQ(info.digest, spk_xxh64(bytes, (size_t)(at - bytes), 0));
            CHECK(info.quantum == r->layer[k].quantum);
        }
        free(bytes);
    }
    spk_conv_destroy(conv);
    free(c.spike);
}

/* All instruction sets, and the three ways: footprints only, windows only, as it comes. */
static void compare_ways(const net *n, int variant, size_t events, uint32_t gap_us, bool every_isa)
{
    static const double ways[] = {1e9, 1e-9, 0.0, 0.05};
    spk_conv_layer layer[REF_LAYERS];
    spk_conv_desc d;
    spk_event *e;
    ref r;
    size_t k, way;
    int isa;
    draw_state = 12345u + (uint32_t)variant;
    net_begin(n, variant, &d, layer);
    e = draw_events(events, n->w, n->h, gap_us, 1000000007);
    ref_begin(&r, &d);
    ref_run(&r, e, events, e[0].t_us);
    if (r.count < 8) {
        char what[160];
        snprintf(what, sizeof what, "%s, variant %d: %zu spikes show nothing", n->name, variant,
                 r.count);
        check_fail(__FILE__, __LINE__, what);
    }
    for (way = 0; way < 4; way++) {
        for (k = 0; k < n->layers; k++)
            layer[k].full_above = layer[k].kind == SPK_CONV_SUM_POOL ? 0.0 : ways[way];
        for (isa = SPK_ISA_SCALAR; isa <= SPK_ISA_GENERIC; isa++)
            if (spk_isa_available((spk_isa)isa) && (every_isa || isa == (int)spk_isa_best()))
                compare(n->name, &d, e, events, 1 + 97 * way, &r, (spk_isa)isa);
    }
    ref_end(&r);
    free(e);
    net_end(layer, n->layers);
}

/* -- the tests -- */

TEST(every_geometry_has_the_spikes_of_the_plain_reference_on_every_isa_and_either_way)
{
    int k;
    for (k = 0; k < NETS; k++) compare_ways(&nets[k], 0, 3000, nets[k].dt_us / 20, true);
}

TEST(resets_floors_refractory_periods_and_no_leak_are_those_of_the_reference)
{
    int k, variant;
    for (k = 0; k < NETS; k++)
        for (variant = 1; variant < 4; variant++)
            compare_ways(&nets[k], variant, 2000, nets[k].dt_us / 20, variant == 1);
}

TEST(dense_and_sparse_recordings_have_the_same_spikes_either_way)
{
    compare_ways(&nets[3], 0, 20000, 1, false);
    compare_ways(&nets[3], 0, 2000, 150, false);
    compare_ways(&nets[11], 0, 4000, 3, false);
    compare_ways(&nets[0], 1, 3000, 40000, false); /* long silences between the events */
}

/* More events in a step than 16-bit counts and 32-bit sums hold. */
TEST(a_step_of_a_hundred_thousand_events_is_summed_exactly)
{
    static const double ways[] = {1e9, 1e-9, 0.0};
    spk_conv_layer layer[REF_LAYERS];
    spk_conv_desc d;
    const size_t n = 150000;
    spk_event *e;
    ref r;
    size_t way, k;
    int variant;
    for (variant = 0; variant < 2; variant++) {
        const net *t = &nets[variant ? 5 : 2];
        draw_state = 99;
        net_begin(t, 0, &d, layer);
        d.dt_us = 100000;
        e = draw_events(n, t->w, t->h, 0, 0);
        for (k = 0; k < n; k++) {
            e[k].t_us = k < n / 10 ? 5 : 100001; /* a light step, and an absurd one on few pixels */
            if (k >= n / 10 && k % 8) e[k].x = e[k].y = 7;
        }
        ref_begin(&r, &d);
        ref_run(&r, e, n, 5);
        CHECK(r.count > 20);
        for (way = 0; way < 3; way++) {
            for (k = 0; k < t->layers; k++)
                layer[k].full_above = layer[k].kind == SPK_CONV_SUM_POOL ? 0.0 : ways[way];
            compare(t->name, &d, e, n, 4096, &r, SPK_ISA_AUTO);
            compare(t->name, &d, e, n, 50000, &r, SPK_ISA_SCALAR);
        }
        ref_end(&r);
        free(e);
        net_end(layer, t->layers);
    }
}

/* Without a leak and with weights that are sixteenths, doubles are exact: no rounding to agree on.
 */
TEST(without_rounding_the_spikes_are_those_of_exact_arithmetic)
{
    enum { W = 20, H = 16 };
    float w[2 * 9];
    double v[W * H] = {0};
    long count[2][H][W];
    spk_conv_layer layer = {0};
    spk_conv_desc d = {0};
    catch c = {0};
    spk_conv *conv;
    spk_event *e;
    const size_t n = 8000;
    size_t k = 0, spikes = 0;
    int i, x, y, p, step;
    draw_state = 4;
    for (i = 0; i < 18; i++) w[i] = (float)((int)draw(25) - 9) / 16.0f;
    layer.channels = 1;
    layer.kernel_x = 3;
    layer.padding_x = layer.padding_y = 1;
    layer.weights = w;
    layer.weight_count = 18;
    layer.tau_us = 1e300;
    layer.threshold = 2.5;
    d.width = W;
    d.height = H;
    d.layers = &layer;
    d.layer_count = 1;
    d.spikes = catch_spikes;
    d.ctx = &c;
    c.ordered = true;
    e = draw_events(n, W, H, 9, 77);
    conv = spk_conv_create(&d);
    CHECK(spk_conv_feed(conv, e, n) == SPK_OK && spk_conv_flush(conv) == SPK_OK);
    for (step = 0; k < n; step++) {
        memset(count, 0, sizeof count);
        for (; k < n && e[k].t_us < e[0].t_us + 1000 * (step + 1); k++)
            count[e[k].polarity][e[k].y][e[k].x]++;
        for (y = 0; y < H; y++)
            for (x = 0; x < W; x++) {
                double *u = &v[y * W + x];
                for (p = 0; p < 2; p++)
                    for (i = 0; i < 9; i++) {
                        const int ix = x + i % 3 - 1, iy = y + i / 3 - 1;
                        if (ix >= 0 && iy >= 0 && ix < W && iy < H)
                            *u += (double)w[p * 9 + i] * (double)count[p][iy][ix];
                    }
                if (*u >= 2.5) {
                    *u = 0.0;
                    REQUIRE(spikes < c.count);
                    CHECK_EQ(c.spike[spikes].neuron, y * W + x);
                    CHECK_EQ(c.spike[spikes].step, step + 1);
                    spikes++;
                }
            }
    }
    CHECK_EQ(spikes, c.count);
    CHECK(spikes > 500);
    spk_conv_destroy(conv);
    free(c.spike);
    free(e);
}

/* One neuron, inputs at known times: v = w sum exp(-(t - t_k) / tau), in double. */
TEST(the_leak_is_the_exponential_of_the_time_since_each_input)
{
    const float one = 0.25f;
    spk_conv_layer layer = {0};
    spk_conv_desc d = {0};
    spk_conv *conv;
    spk_event e[5] = {{0, 0, 0, 1, 0, 0},
                      {130, 0, 0, 1, 0, 0},
                      {9000, 0, 0, 0, 0, 0},
                      {9001, 0, 0, 1, 0, 0},
                      {31000, 0, 0, 1, 0, 0}};
    double want = 0.0;
    float v;
    int k;
    layer.kind = SPK_CONV_DENSE;
    layer.channels = 1;
    layer.weights = &one;
    layer.weight_count = 1;
    layer.tau_us = 5000.0;
    layer.threshold = 10.0;
    d.width = d.height = d.polarities = d.dt_us = 1;
    d.layers = &layer;
    d.layer_count = 1;
    d.origin_given = true;
    conv = spk_conv_create(&d);
    CHECK(spk_conv_feed(conv, e, 5) == SPK_OK);
    CHECK(spk_conv_run_until_us(conv, 40000) == SPK_OK);
    CHECK(spk_conv_potentials(conv, 0, &v, 1) == SPK_OK);
    for (k = 0; k < 5; k++) want += 0.25 * exp(-(39999.0 - (double)e[k].t_us) / 5000.0);
    CHECK_NEAR(v, want, 1e-6 * want);
    CHECK(spk_conv_run_until_us(conv, 1000000) == SPK_OK); /* 193 time constants later */
    CHECK(spk_conv_potentials(conv, 0, &v, 1) == SPK_OK);
    CHECK(v == 0.0f);
    spk_conv_destroy(conv);
}

/* -- time -- */

/* A single pixel whose every event is a spike. */
static spk_conv *relay(spk_late late, bool origin_given, int64_t origin, catch *c)
{
    static const float one = 1.0f;
    spk_conv_layer layer = {0};
    spk_conv_desc d = {0};
    layer.kind = SPK_CONV_DENSE;
    layer.channels = 1;
    layer.weights = &one;
    layer.weight_count = 1;
    d.width = d.height = d.polarities = 1;
    d.dt_us = 10;
    d.layers = &layer;
    d.layer_count = 1;
    d.late = late;
    d.origin_given = origin_given;
    d.origin_us = origin;
    d.spikes = catch_spikes;
    d.ctx = c;
    c->ordered = true;
    c->count = 0;
    c->last_step = 0;
    return spk_conv_create(&d);
}

static spk_event at(int64_t t)
{
    spk_event e = {0};
    e.t_us = t;
    e.polarity = 1;
    return e;
}

TEST(an_event_acts_in_the_step_its_time_falls_into_and_is_stamped_with_its_end)
{
    catch c = {0};
    spk_conv *conv = relay(SPK_LATE_NEXT, true, -25, &c);
    spk_event e[4];
    e[0] = at(-25);
    e[1] = at(-16);
    e[2] = at(-15);
    e[3] = at(1234);
    CHECK(spk_conv_feed(conv, e, 4) == SPK_OK);
    CHECK_EQ(c.count, 2); /* the step of the last is open */
    CHECK(spk_conv_run_until_us(conv, 1234) == SPK_OK);
    CHECK_EQ(c.count, 2);
    CHECK(spk_conv_run_until_us(conv, 1235) == SPK_OK);
    CHECK_EQ(c.count, 3);
    CHECK_EQ(c.spike[0].step, 1);
    CHECK_EQ(c.spike[1].step, 2);
    CHECK_EQ(c.spike[2].step, (1234 + 25) / 10 + 1);
    spk_conv_destroy(conv);
    conv = relay(SPK_LATE_NEXT, false, 0, &c); /* the first event is the origin */
    e[0] = at(INT64_C(1643243628737093));
    e[1] = at(e[0].t_us + 100000000009);
    CHECK(spk_conv_feed(conv, e, 2) == SPK_OK && spk_conv_flush(conv) == SPK_OK);
    CHECK_EQ(c.spike[0].step, 1);
    CHECK_EQ(c.spike[1].step, UINT64_C(10000000001));
    spk_conv_destroy(conv);
    free(c.spike);
}

TEST(late_events_act_next_are_dropped_or_refused_as_asked_and_are_counted)
{
    catch c = {0};
    spk_conv_info info;
    spk_event e[4];
    int way;
    for (way = 0; way < 3; way++) {
        spk_conv *conv = relay((spk_late)way, true, 0, &c);
        e[0] = at(3);
        e[1] = at(25);
        e[2] = at(19); /* its step, the second, went by empty */
        e[3] = at(41);
        CHECK(spk_conv_feed(conv, e, 4) == (way == SPK_LATE_ERROR ? SPK_ERR_RANGE : SPK_OK));
        CHECK(spk_conv_flush(conv) == SPK_OK);
        CHECK(spk_conv_get_info(conv, &info) == SPK_OK);
        CHECK_EQ(info.late, way != SPK_LATE_ERROR);
        CHECK_EQ(info.events, way == SPK_LATE_NEXT ? 4 : way == SPK_LATE_DROP ? 3 : 0);
        CHECK_EQ(c.count, way == SPK_LATE_ERROR ? 0 : 3);
        if (way == SPK_LATE_ERROR) CHECK_HAS(spk_conv_error(conv), "event 2, at 19 us");
        e[2] = at(39);
        if (way == SPK_LATE_ERROR) {
            CHECK(spk_conv_feed(conv, e, 4) == SPK_OK); /* nothing of the refused call was taken */
            CHECK(spk_conv_flush(conv) == SPK_OK);
            CHECK_EQ(c.count, 4);
        }
        spk_conv_destroy(conv);
    }
    free(c.spike);
}

TEST(triggers_and_events_outside_the_sensor_do_nothing)
{
    catch c = {0};
    spk_conv *conv = relay(SPK_LATE_NEXT, false, 0, &c);
    spk_conv_info info;
    spk_event e[5];
    e[0] = at(1);
    e[0].kind = SPK_EVENT_TRIGGER;
    e[1] = at(500);
    e[2] = at(501);
    e[2].x = 1;
    e[3] = at(900000);
    e[3].kind = SPK_EVENT_TRIGGER; /* tells no time either */
    e[4] = at(503);
    CHECK(spk_conv_feed(conv, e, 5) == SPK_OK && spk_conv_flush(conv) == SPK_OK);
    CHECK(spk_conv_get_info(conv, &info) == SPK_OK);
    CHECK_EQ(info.origin_us, 500);
    CHECK_EQ(info.events, 2);
    CHECK_EQ(info.outside, 1);
    CHECK_EQ(info.late, 0);
    CHECK_EQ(info.steps, 1);
    CHECK_EQ(c.count, 1);
    spk_conv_destroy(conv);
    free(c.spike);
}

TEST(restarting_gives_the_same_spikes_again)
{
    spk_conv_layer layer[REF_LAYERS];
    spk_conv_desc d;
    spk_conv_layer_info info[2][REF_LAYERS];
    uint32_t counts[10], sum = 0;
    spk_event *e;
    spk_conv *conv;
    size_t k;
    int pass;
    draw_state = 8;
    net_begin(&nets[3], 1, &d, layer);
    e = draw_events(9000, d.width, d.height, 30, 5);
    conv = spk_conv_create(&d);
    for (pass = 0; pass < 2; pass++) {
        CHECK(spk_conv_feed(conv, e, 9000) == SPK_OK); /* the last step stays open */
        for (k = 0; k < d.layer_count; k++) spk_conv_get_layer(conv, k, &info[pass][k]);
        CHECK(spk_conv_spike_counts(conv, 4, counts, 10) == SPK_OK);
        if (pass == 0) CHECK(spk_conv_restart(conv) == SPK_OK);
    }
    CHECK(memcmp(info[0], info[1], d.layer_count * sizeof info[0][0]) == 0);
    for (k = 0; k < 10; k++) sum += counts[k];
    CHECK_EQ(sum, info[1][4].spikes);
    CHECK(info[1][1].spikes > 100);
    spk_conv_destroy(conv);
    free(e);
    net_end(layer, d.layer_count);
}

/* -- bad input -- */

static void refused(const spk_conv_desc *d, spk_result code, const char *part)
{
    spk_conv *conv = spk_conv_create(d);
    const spk_event e = at(0);
    CHECK_EQ(-(int)spk_conv_status(conv), -(int)code);
    CHECK_HAS(spk_conv_error(conv), part);
    CHECK(spk_conv_feed(conv, &e, 1) == code);
    CHECK(spk_conv_flush(conv) == code && spk_conv_restart(conv) == code);
    spk_conv_destroy(conv);
}

TEST(what_is_wrong_is_named)
{
    spk_conv_layer l[3], good[3] = {{0}};
    spk_conv_desc d, base = {0};
    static float w[4000];
    static const float nan_w[4] = {1.0f, 2.0f, NAN, 1.0f};
    good[0].name = "front";
    good[0].channels = 4;
    good[0].kernel_x = 3;
    good[0].weights = w;
    good[0].weight_count = 4 * 2 * 9;
    good[1].kind = SPK_CONV_SUM_POOL;
    good[1].name = "pool";
    good[1].kernel_x = 2;
    good[2].kind = SPK_CONV_DENSE;
    good[2].name = "out";
    good[2].channels = 5;
    good[2].weights = w;
    good[2].weight_count = 5 * 4 * 7 * 5;
    base.width = 16;
    base.height = 12;
    base.layers = l;
    base.layer_count = 3;
#define WRONG(change, code, part)                                                                  \
    do {                                                                                           \
        memcpy(l, good, sizeof l);                                                                 \
        d = base;                                                                                  \
        change;                                                                                    \
        refused(&d, code, part);                                                                   \
    } while (0)
    memcpy(l, good, sizeof l);
    {
        spk_conv *conv = spk_conv_create(&base);
        CHECK_STR(spk_conv_error(conv), "");
        CHECK(spk_conv_feed(conv, NULL, 1) == SPK_ERR_NULL);
        CHECK(spk_conv_potentials(conv, 1, w, 5) == SPK_ERR_RANGE);
        CHECK(spk_conv_potentials(conv, 2, w, 4) == SPK_ERR_RANGE);
        CHECK(spk_conv_potentials(conv, 2, NULL, 5) == SPK_ERR_NULL);
        CHECK(spk_conv_potentials(conv, 2, w, 5) == SPK_OK);
        spk_conv_destroy(conv);
    }
    WRONG(d.begin_sentinel = 7, SPK_ERR_UNINITIALISED, "garbage");
    WRONG(d.end_sentinel = 7, SPK_ERR_UNINITIALISED, "garbage");
    WRONG(d.width = 0, SPK_ERR_RANGE, "0 x 12 pixels");
    WRONG(d.height = 70000, SPK_ERR_RANGE, "16 x 70000");
    WRONG(d.polarities = 3, SPK_ERR_RANGE, "polarities 3");
    WRONG(d.late = (spk_late)9, SPK_ERR_RANGE, "late events has number 9");
    WRONG(d.layers = NULL, SPK_ERR_NULL, "layers is NULL");
    WRONG(d.layer_count = 0, SPK_ERR_RANGE, "0 layers");
    WRONG(d.layer_count = 65, SPK_ERR_RANGE, "65 layers");
    WRONG(d.layer_count = 2, SPK_ERR_RANGE, "last layer is a pool");
    WRONG(d.isa = (spk_isa)77, SPK_ERR_NAME, "no instruction set has that number");
    WRONG(l[0].kind = (spk_conv_kind)9, SPK_ERR_RANGE, "layer 0: no kind has number 9");
    WRONG(l[0].channels = 0, SPK_ERR_RANGE, "\"front\": 0 channels");
    WRONG(l[0].channels = 5000, SPK_ERR_RANGE, "5000 channels");
    WRONG(l[0].kernel_x = 0, SPK_ERR_RANGE, "a kernel has to be given");
    WRONG(l[0].kernel_x = 17, SPK_ERR_RANGE, "larger than its input, 16 x 12");
    WRONG(l[0].padding_x = 100000, SPK_ERR_RANGE, "padding 100000");
    WRONG(l[0].stride_x = 100000, SPK_ERR_RANGE, "stride 100000");
    WRONG(l[0].weights = NULL, SPK_ERR_NULL, "weights are NULL");
    WRONG(l[0].weight_count--, SPK_ERR_RANGE, "71 weights, where 4 x 2 x 3 x 3 are needed");
    WRONG((l[0].kernel_x = 1, l[0].channels = 2, l[0].weights = nan_w, l[0].weight_count = 4),
          SPK_ERR_RANGE, "weight 2 is");
    WRONG(l[0].threshold = -1.0, SPK_ERR_RANGE, "threshold -1");
    WRONG(l[0].threshold = NAN, SPK_ERR_RANGE, "threshold nan");
    WRONG(l[0].v_reset = 1.0, SPK_ERR_RANGE, "v_reset 1");
    WRONG(l[0].v_reset = NAN, SPK_ERR_RANGE, "v_reset");
    WRONG(l[0].v_min = 0.5, SPK_ERR_RANGE, "v_min 0.5");
    WRONG((l[0].v_min = -0.5, l[0].v_reset = -1.0), SPK_ERR_RANGE, "v_min -0.5");
    WRONG(l[0].tau_us = -3.0, SPK_ERR_RANGE, "tau -3");
    WRONG(l[0].tau_us = NAN, SPK_ERR_RANGE, "tau nan");
    WRONG(l[0].tau_us = 1e12, SPK_ERR_RANGE, "tau 1e+12");
    WRONG(l[0].refractory_us = -1.0, SPK_ERR_RANGE, "refractory period of -1");
    WRONG(l[0].refractory_us = 1e15, SPK_ERR_RANGE, "refractory");
    WRONG(l[0].full_above = NAN, SPK_ERR_RANGE, "full_above");
    WRONG(l[0].reset = (spk_conv_reset)5, SPK_ERR_RANGE, "no reset has number 5");
    WRONG(l[1].weights = w, SPK_ERR_RANGE, "a pool has no weights");
    WRONG(l[1].channels = 3, SPK_ERR_RANGE, "the 4 channels it gets");
    WRONG(l[1].kernel_x = 15, SPK_ERR_RANGE, "\"pool\": the kernel, 15 x 15");
    WRONG(l[2].kernel_x = 2, SPK_ERR_RANGE, "a dense layer has no kernel");
    WRONG((d.width = d.height = 65535, l[0].kernel_x = 40, l[0].channels = 1,
           l[0].weight_count = 3200, d.layer_count = 1),
          SPK_ERR_RANGE, "reaches more than 32");
    WRONG((d.width = d.height = 65535, d.layer_count = 1), SPK_ERR_RANGE, "are too many");
#undef WRONG
    CHECK(spk_conv_status(NULL) == SPK_ERR_NULL);
    CHECK(spk_conv_feed(NULL, NULL, 0) == SPK_ERR_NULL);
    CHECK(spk_conv_desc_defaults(NULL) == SPK_ERR_NULL);
    spk_conv_destroy(NULL);
    {
        spk_conv *conv = spk_conv_create(NULL);
        CHECK(spk_conv_status(conv) == SPK_ERR_NULL);
        spk_conv_destroy(conv);
    }
}

/* Weights of 32,767 quanta, 70,000 of them: their sum leaves 32 bits. */
TEST(weights_whose_sum_leaves_32_bits_are_refused)
{
    const size_t n = 70000;
    spk_conv_layer l[2] = {{0}, {0}};
    spk_conv_desc d = {0};
    float one[2] = {1.0f, 1.0f}, *w = (float *)malloc(n * sizeof *w);
    size_t k;
    for (k = 0; k < n; k++) w[k] = 32767.0f;
    l[0].channels = 1;
    l[0].kernel_x = 1;
    l[0].weights = one;
    l[0].weight_count = 2;
    l[1].kind = SPK_CONV_DENSE;
    l[1].channels = 1;
    l[1].weights = w;
    l[1].weight_count = n;
    d.width = 350;
    d.height = 200;
    d.layers = l;
    d.layer_count = 2;
    refused(&d, SPK_ERR_RANGE, "add up to more than 32 bits");
    free(w);
}

/* -- memory -- */

typedef struct arena {
    int allow, now, calls;
    size_t bytes;
} arena;

static void *arena_alloc(void *ctx, size_t size, size_t align)
{
    arena *a = (arena *)ctx;
    void *block = NULL;
    a->calls++;
    if (a->allow-- <= 0 || posix_memalign(&block, align, size)) return NULL;
    memset(block, 0xa5, size);
    a->now++;
    a->bytes += size;
    return block;
}

static void arena_free(void *ctx, void *block, size_t size)
{
    arena *a = (arena *)ctx;
    a->now--;
    a->bytes -= size;
    free(block);
}

TEST(no_memory_at_any_allocation_is_an_error_that_leaves_nothing_and_feeding_allocates_nothing)
{
    spk_conv_layer layer[REF_LAYERS];
    spk_conv_desc d;
    spk_event *e;
    arena a = {0};
    int k, done = 0;
    draw_state = 5;
    net_begin(&nets[3], 1, &d, layer);
    e = draw_events(3000, d.width, d.height, 3, 0);
    d.allocator.ctx = &a;
    d.allocator.alloc = arena_alloc;
    d.allocator.free = arena_free;
    for (k = 0; k < 40 && !done; k++) {
        spk_conv *conv;
        a.allow = k;
        conv = spk_conv_create(&d);
        CHECK((k == 0) == (conv == NULL));
        done = conv && spk_conv_status(conv) == SPK_OK;
        if (conv && !done) {
            CHECK(spk_conv_status(conv) == SPK_ERR_OUT_OF_MEMORY);
            CHECK_HAS(spk_conv_error(conv), "no memory for");
        }
        if (done) {
            const int calls = a.calls;
            spk_conv_info info;
            CHECK(spk_conv_feed(conv, e, 3000) == SPK_OK && spk_conv_flush(conv) == SPK_OK);
            CHECK_EQ(a.calls, calls);
            CHECK(spk_conv_get_info(conv, &info) == SPK_OK);
            CHECK_EQ(info.bytes, a.bytes);
        }
        spk_conv_destroy(conv);
        CHECK_EQ(a.now, 0);
    }
    CHECK(done && k > 6);
    a.allow = 1000;
    d.memory_limit = 40000;
    {
        spk_conv *conv = spk_conv_create(&d);
        CHECK(spk_conv_status(conv) == SPK_ERR_OUT_OF_MEMORY);
        spk_conv_destroy(conv);
    }
    CHECK_EQ(a.now, 0);
    free(e);
    net_end(layer, d.layer_count);
}

static spk_result from_within;
static void meddle(void *ctx, uint32_t layer, uint64_t step, const uint32_t *neurons, size_t count)
{
    const spk_event e = at(5);
    (void)layer, (void)step, (void)neurons, (void)count;
    from_within = spk_conv_feed(*(spk_conv **)ctx, &e, 1);
}

TEST(a_callback_cannot_feed_its_own_object)
{
    static const float one = 1.0f;
    spk_conv_layer layer = {0};
    spk_conv_desc d = {0};
    spk_conv *conv = NULL;
    const spk_event e = at(0);
    layer.kind = SPK_CONV_DENSE;
    layer.channels = 1;
    layer.weights = &one;
    layer.weight_count = 1;
    d.width = d.height = d.polarities = 1;
    d.layers = &layer;
    d.layer_count = 1;
    d.spikes = meddle;
    d.ctx = &conv;
    conv = spk_conv_create(&d);
    CHECK(spk_conv_feed(conv, &e, 1) == SPK_OK && spk_conv_flush(conv) == SPK_OK);
    CHECK(from_within == SPK_ERR_STATE);
    spk_conv_destroy(conv);
}

/* -- pixel maps -- */

static uint32_t diagonal(void *ctx, uint32_t x, uint32_t y, uint32_t plane)
{
    return x == y ? *(uint32_t *)ctx + 10 * plane + x : SPK_NO_NEURON;
}

TEST(pixel_maps_number_cells_row_by_row_within_the_region_plane_after_plane)
{
    spk_pixel_map map = {0};
    spk_event e[6] = {{0, 0, 0, 1, 0, 0},    {0, 10, 20, 0, 0, 0},
                      {0, 13, 20, 1, 0, 0},  {0, 99, 79, 1, 0, 0},
                      {0, 100, 79, 1, 0, 0}, {0, 50, 50, 0, SPK_EVENT_TRIGGER, 0}};
    uint32_t n[6], w, h, offset = 7, table[30 * 20 * 2];
    int x, y, p, k;
    map.width = 100;
    map.height = 80;
    CHECK_EQ(spk_pixel_map_cells(&map, &w, &h), 8000);
    CHECK(spk_pixel_map_neurons(&map, e, 6, n) == SPK_OK);
    CHECK_EQ(n[1], 2010);
    CHECK_EQ(n[3], 7999);
    CHECK_EQ(n[4], SPK_NO_NEURON);
    CHECK_EQ(n[5], SPK_NO_NEURON);
    map.region_x = 10;
    map.region_y = 20;
    map.polarities = 2;
    map.downsample = 3;
    CHECK_EQ(spk_pixel_map_cells(&map, &w, &h), 30 * 20 * 2);
    CHECK_EQ(w, 30);
    CHECK_EQ(h, 20);
    for (p = 0; p < 2; p++)
        for (y = 0; y < 80; y++)
            for (x = 0; x < 100; x++) {
                spk_event one = {0};
                one.x = (uint16_t)x;
                one.y = (uint16_t)y;
                one.polarity = (uint8_t)p;
                CHECK(spk_pixel_map_neurons(&map, &one, 1, n) == SPK_OK);
                CHECK_EQ(n[0], x < 10 || y < 20
                                   ? SPK_NO_NEURON
                                   : (unsigned)((p * 20 + (y - 20) / 3) * 30 + (x - 10) / 3));
            }
    for (k = 0; k < 1200; k++) table[k] = (uint32_t)(5000 - k);
    map.table = table;
    CHECK(spk_pixel_map_neurons(&map, e, 6, n) == SPK_ERR_RANGE); /* the table's size is missing */
    map.table_count = 1200;
    CHECK(spk_pixel_map_neurons(&map, e, 6, n) == SPK_OK);
    CHECK_EQ(n[0], SPK_NO_NEURON);
    CHECK_EQ(n[2], 5000 - 601);
    map.table = NULL;
    map.table_count = 0;
    map.function = diagonal;
    map.ctx = &offset;
    CHECK(spk_pixel_map_neurons(&map, e, 6, n) == SPK_OK);
    CHECK_EQ(n[1], 7);
    CHECK_EQ(n[2], SPK_NO_NEURON);
    e[2].y = 23;
    CHECK(spk_pixel_map_neurons(&map, e, 6, n) == SPK_OK);
    CHECK_EQ(n[2], 7 + 10 + 1);
    map.downsample = 4; /* a power of two is a shift */
    map.function = NULL;
    CHECK_EQ(spk_pixel_map_cells(&map, &w, &h), 23 * 15 * 2);
    CHECK(spk_pixel_map_neurons(&map, e, 6, n) == SPK_OK);
    CHECK_EQ(n[3], (15 + 59 / 4) * 23 + 89 / 4);
    map.region_width = 91;
    CHECK(spk_pixel_map_defaults(&map) == SPK_ERR_RANGE);
    map.region_width = 0;
    map.end_sentinel = 1;
    CHECK(spk_pixel_map_defaults(&map) == SPK_ERR_UNINITIALISED);
    map.end_sentinel = 0;
    CHECK(spk_pixel_map_defaults(&map) == SPK_OK);
    CHECK_EQ(map.region_width, 90);
    CHECK(spk_pixel_map_defaults(NULL) == SPK_ERR_NULL);
    CHECK_EQ(spk_pixel_map_cells(NULL, &w, &h), 0);
}

TEST_MAIN()
