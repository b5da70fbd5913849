/* cc -O2 event_camera.c -o event_camera -lm -lpthread */

/* An event camera watched by neurons: a recording (or, without one, a simulated camera that sees
   bars move) goes through a noise filter into two convolutional layers of spiking neurons. The
   first looks for edges at four angles, bright ones and dark ones; the second for places where
   neighbours agree.

       event_camera [RECORDING]        any format that spikelib reads

   On a terminal it shows what the filter lets through and what the neurons make of it, in the
   recording's own time. It writes a picture of each stage into the current directory and tells how
   late spikes were: the time from the arrival of an event in memory until the spikes of its step
   were out, with the time for reading and drawing left out. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <io.h>
#define isatty _isatty
#else
#include <unistd.h>
#endif

enum { CHUNK = 256, PENDING = 1 << 14, BINS = 200000, DT_US = 250, FRAME_US = 40000 };

typedef struct chunk {
    double arrived;
    int64_t t_last;
    size_t events;
} chunk;

typedef struct camera {
    uint32_t width, height, edge_w, edge_h;
    spk_filter *filter;
    spk_conv *conv;
    uint32_t *raw, *clean;    /* events a pixel, ON and OFF planes, of the whole run */
    uint32_t *recent, *edges; /* of the frame on show: filtered events, spikes of edges */
    uint32_t votes[4];
    chunk pending[PENDING];
    size_t first, end;
    uint64_t *late_us;     /* histogram of latencies, 1 us a bin */
    double late_max, away; /* away: seconds spent reading and drawing */
    uint64_t events, kept, spikes, judged;
} camera;

/* The first layer's weights: events along a line excite, events beside it inhibit. Four angles for
   ON events, then four for OFF events. */
static void edge_weights(float *w)
{
    static const float normal[4][2] = {{1, 0}, {0.7f, 0.7f}, {0, 1}, {-0.7f, 0.7f}};
    int c, p, y, x;
    for (c = 0; c < 8; c++)
        for (p = 0; p < 2; p++)
            for (y = -2; y <= 2; y++)
                for (x = -2; x <= 2; x++) {
                    const float off = normal[c % 4][0] * (float)x + normal[c % 4][1] * (float)y;
                    const float away = off < 0.0f ? -off : off;
                    const float line = away < 0.5f ? 0.16f : away < 1.2f ? 0.0f : -0.12f;
                    *w++ = p == (c < 4) ? line : 0.0f;
                }
}

static void on_spikes(void *ctx, uint32_t layer, uint64_t step, const uint32_t *neurons, size_t n)
{
    camera *cam = (camera *)ctx;
    const uint32_t plane = cam->edge_w * cam->edge_h;
    size_t k;
    (void)step;
    cam->spikes += n;
    for (k = 0; k < n && layer == 1; k++) {
        cam->edges[neurons[k]]++;
        cam->votes[neurons[k] / plane % 4]++;
    }
}

static spk_conv *make_layers(camera *cam)
{
    static float edges[8 * 2 * 25], agree[8 * 8 * 9];
    const uint32_t pool = (cam->width - 1) / 160 + 1;
    spk_conv_layer layer[4] = {{0}};
    spk_conv_layer_info info;
    spk_conv_desc d = {0};
    int c;
    edge_weights(edges);
    for (c = 0; c < 8; c++) { /* the second layer gathers each angle over 3 x 3 neighbours */
        int k;
        for (k = 0; k < 9; k++) agree[(c * 8 + c) * 9 + k] = 0.2f;
    }
    layer[0].name = "pixels";
    layer[0].kind = SPK_CONV_SUM_POOL;
    layer[0].kernel_x = pool;
    layer[1].name = "edges";
    layer[1].channels = 8;
    layer[1].kernel_x = 5;
    layer[1].stride_x = 2;
    layer[1].padding_x = layer[1].padding_y = 2;
    layer[1].weights = edges;
    layer[1].weight_count = 8 * 2 * 25;
    layer[1].refractory_us = 2000.0;
    layer[2].kind = SPK_CONV_SUM_POOL;
    layer[2].kernel_x = 2;
    layer[3].name = "places";
    layer[3].channels = 8;
    layer[3].kernel_x = 3;
    layer[3].padding_x = layer[3].padding_y = 1;
    layer[3].weights = agree;
    layer[3].weight_count = 8 * 8 * 9;
    layer[3].refractory_us = 5000.0;
    d.width = cam->width;
    d.height = cam->height;
    d.dt_us = DT_US;
    d.layers = layer;
    d.layer_count = 4;
    d.spikes = on_spikes;
    d.ctx = cam;
    cam->conv = spk_conv_create(&d);
    if (cam->conv && spk_conv_get_layer(cam->conv, 1, &info) == SPK_OK) {
        cam->edge_w = info.width;
        cam->edge_h = info.height;
    }
    return cam->conv;
}

/* -- pictures -- */

/* ON events light, OFF events dark; the brightest hundredth of the pixels are white or black. */
static void picture(const char *path, const uint32_t *on, const uint32_t *off, uint32_t w,
                    uint32_t h)
{
    const size_t n = (size_t)w * h;
    size_t seen[64] = {0}, above = 0, k;
    int scale = 63;
    FILE *f = fopen(path, "wb");
    for (k = 0; k < n; k++) {
        const uint32_t most = on[k] > off[k] ? on[k] : off[k];
        seen[most < 63 ? most : 63]++;
    }
    while (scale > 1 && (above += seen[scale]) < n / 100) scale--;
    if (!f) return;
    fprintf(f, "P5 %u %u 255\n", (unsigned)w, (unsigned)h);
    for (k = 0; k < n; k++) {
        int grey = 128 + 127 * ((int)on[k] - (int)off[k]) / scale;
        fputc(grey < 0 ? 0 : grey > 255 ? 255 : grey, f);
    }
    fclose(f);
    printf("wrote %s\n", path);
}

/* The spikes of each neuron, the four angles side by side, bright edges above dark ones. */
static bool picture_edges(const camera *cam, const char *path)
{
    const uint32_t w = cam->edge_w, h = cam->edge_h;
    const size_t n = (size_t)w * h * 8;
    uint32_t *counts = (uint32_t *)calloc(n, sizeof *counts), most = 1;
    FILE *f = fopen(path, "wb");
    uint32_t y, x;
    size_t k;
    if (!counts || !f) {
        free(counts);
        if (f) fclose(f);
        return false;
    }
    spk_conv_spike_counts(cam->conv, 1, counts, n);
    for (k = 0; k < n; k++) most = counts[k] > most ? counts[k] : most;
    fprintf(f, "P5 %u %u 255\n", (unsigned)(4 * w + 3), (unsigned)(2 * h + 1));
    for (y = 0; y < 2 * h + 1; y++)
        for (x = 0; x < 4 * w + 3; x++) {
            const uint32_t c = (y > h) * 4 + x / (w + 1);
            const uint32_t iy = y > h ? y - h - 1 : y, ix = x % (w + 1);
            fputc(y == h || ix == w ? 90 : (int)(255 * counts[(c * h + iy) * w + ix] / most), f);
        }
    fclose(f);
    free(counts);
    printf("wrote %s\n", path);
    return true;
}

/* -- the live view -- */

/* One cell of the left panel: green where ON events prevail, red where OFF events do. */
static void draw_events(const camera *cam, uint32_t x0, uint32_t x1, uint32_t y0, uint32_t y1)
{
    const uint32_t plane = cam->width * cam->height;
    uint32_t x, y, on = 0, off = 0;
    for (y = y0; y < y1; y++)
        for (x = x0; x < x1; x++) {
            on += cam->recent[plane + y * cam->width + x];
            off += cam->recent[y * cam->width + x];
        }
    if (on + off == 0)
        printf("\033[0m ");
    else
        printf("\033[48;5;%dm ", on >= off ? (on > 4   ? 46
                                              : on > 1 ? 34
                                                       : 22)
                                           : (off > 4   ? 196
                                              : off > 1 ? 124
                                                        : 52));
}

/* One cell of the right panel: the angle of most edges in it. */
static void draw_angle(const camera *cam, uint32_t x0, uint32_t x1, uint32_t y0, uint32_t y1)
{
    static const char line[] = "|/-\\";
    static const int colour[4] = {226, 45, 199, 48};
    uint32_t most = 0, best = 0, c, x, y;
    for (c = 0; c < 4; c++) {
        uint32_t sum = 0;
        for (y = y0; y < y1; y++)
            for (x = x0; x < x1; x++) {
                sum += cam->edges[(c * cam->edge_h + y) * cam->edge_w + x];
                sum += cam->edges[((c + 4) * cam->edge_h + y) * cam->edge_w + x];
            }
        if (sum > most) {
            most = sum;
            best = c;
        }
    }
    if (most)
        printf("\033[0;1;38;5;%dm%c", colour[best], line[best]);
    else
        printf("\033[0m ");
}

/* Two panels of 38 x 20 cells; the cursor goes home, so that frames replace each other. */
static void draw(camera *cam, int64_t t_us)
{
    enum { COLS = 38, ROWS = 20 };
    uint32_t r, c;
    printf("\033[H\033[0m %-*s  %-*s\033[K\n", COLS, "events after the filter", COLS,
           "neurons: the angle of edges");
    for (r = 0; r < ROWS; r++) {
        putchar(' ');
        for (c = 0; c < COLS; c++)
            draw_events(cam, c * cam->width / COLS, (c + 1) * cam->width / COLS,
                        r * cam->height / ROWS, (r + 1) * cam->height / ROWS);
        printf("\033[0m |");
        for (c = 0; c < COLS; c++)
            draw_angle(cam, c * cam->edge_w / COLS, (c + 1) * cam->edge_w / COLS,
                       r * cam->edge_h / ROWS, (r + 1) * cam->edge_h / ROWS);
        printf("\033[0m\033[K\n");
    }
    printf(" %8.3f s  %llu events, %llu after the filter, %llu spikes\033[K\n", (double)t_us / 1e6,
           (unsigned long long)cam->events, (unsigned long long)cam->kept,
           (unsigned long long)cam->spikes);
    fflush(stdout);
}

/* -- latency -- */

/* Chunks whose last event's step is finished now. */
static void judge(camera *cam, int64_t origin)
{
    const double now = spk_clock_seconds() - cam->away;
    spk_conv_info info;
    spk_conv_get_info(cam->conv, &info);
    while (cam->first < cam->end) {
        const chunk *c = &cam->pending[cam->first % PENDING];
        const double us = 1e6 * (now - c->arrived);
        if ((c->t_last - origin) / DT_US >= (int64_t)info.steps) return;
        cam->late_us[us < BINS - 1 ? (size_t)us : BINS - 1] += c->events;
        cam->late_max = us > cam->late_max ? us : cam->late_max;
        cam->judged += c->events;
        cam->first++;
    }
}

static double percentile(const camera *cam, double share)
{
    uint64_t sum = 0;
    size_t k;
    for (k = 0; k < BINS; k++) {
        sum += cam->late_us[k];
        if (cam->judged && (double)sum >= share * (double)cam->judged) return (double)(k + 1);
    }
    return 0.0;
}

/* -- the loop -- */

static void tally(const camera *cam, uint32_t *counts, const spk_event *e, size_t n)
{
    size_t k;
    for (k = 0; k < n; k++)
        if (e[k].kind == SPK_EVENT_CD && e[k].x < cam->width && e[k].y < cam->height)
            counts[((e[k].polarity ? cam->height : 0) + e[k].y) * cam->width + e[k].x]++;
}

static void show(camera *cam, int64_t t_us, bool terminal, double start)
{
    const double from = spk_clock_seconds();
    if (terminal) {
        draw(cam, t_us);
        while (spk_clock_seconds() - start < (double)t_us / 1e6) continue;
    } else {
        static const char *const names[4] = {"upright", "rising", "level", "falling"};
        uint32_t best = 0, c;
        for (c = 1; c < 4; c++) best = cam->votes[c] > cam->votes[best] ? c : best;
        printf("%8.3f s: %llu events, %llu after the filter, %llu spikes; edges: %s\n",
               (double)t_us / 1e6, (unsigned long long)cam->events, (unsigned long long)cam->kept,
               (unsigned long long)cam->spikes, cam->votes[best] ? names[best] : "none");
    }
    memset(cam->recent, 0, 2 * sizeof *cam->recent * cam->width * cam->height);
    memset(cam->edges, 0, 8 * sizeof *cam->edges * cam->edge_w * cam->edge_h);
    memset(cam->votes, 0, sizeof cam->votes);
    cam->away += spk_clock_seconds() - from;
}

static void watch(camera *cam, spk_events *in, spk_event *e, size_t n, bool terminal)
{
    const int64_t frame = terminal ? FRAME_US : 5 * FRAME_US;
    const int64_t origin = n ? e[0].t_us : 0;
    const double start = spk_clock_seconds();
    int64_t next = frame;
    double from;
    for (; n > 0; n = spk_events_read(in, e, CHUNK), cam->away += spk_clock_seconds() - from) {
        chunk *c = &cam->pending[cam->end % PENDING];
        const int64_t t = e[n - 1].t_us;
        c->arrived = spk_clock_seconds() - cam->away;
        c->t_last = t;
        cam->events += n;
        tally(cam, cam->raw, e, n);
        c->events = n = spk_filter_apply(cam->filter, e, n);
        cam->kept += n;
        tally(cam, cam->clean, e, n);
        tally(cam, cam->recent, e, n);
        if (n && cam->end - cam->first < PENDING) cam->end++;
        spk_conv_feed(cam->conv, e, n);
        judge(cam, origin);
        if (t - origin >= next) {
            show(cam, t - origin, terminal, start);
            next = (t - origin) / frame * frame + frame;
        }
        from = spk_clock_seconds();
    }
    spk_conv_flush(cam->conv);
    judge(cam, origin);
}

static int report(const camera *cam, double seconds)
{
    const size_t plane = (size_t)cam->width * cam->height;
    printf("%llu events, %llu after the filter, %llu spikes, in %.3f s\n",
           (unsigned long long)cam->events, (unsigned long long)cam->kept,
           (unsigned long long)cam->spikes, seconds);
    printf("latency of an event, from memory to spikes: median %.0f us, 99 %% within %.0f us, "
           "worst %.0f us\n",
           percentile(cam, 0.5), percentile(cam, 0.99), cam->late_max);
    picture("event_camera_1_events.pgm", cam->raw + plane, cam->raw, cam->width, cam->height);
    picture("event_camera_2_filtered.pgm", cam->clean + plane, cam->clean, cam->width, cam->height);
    return picture_edges(cam, "event_camera_3_edges.pgm") ? 0 : 1;
}

static int run(camera *cam, spk_events *in)
{
    static spk_event e[CHUNK];
    const bool terminal = isatty(1) != 0;
    const size_t n = spk_events_read(in, e, CHUNK); /* the size of the sensor is known from now */
    spk_background_desc noise = {0};
    spk_event_stats stats;
    double start;
    spk_events_get_stats(in, &stats);
    cam->width = noise.width = stats.width ? stats.width : 1280;
    cam->height = noise.height = stats.height ? stats.height : 720;
    noise.window_us = 5000;
    cam->filter = spk_filter_background(&noise);
    make_layers(cam);
    if (n == 0 || spk_conv_status(cam->conv) != SPK_OK) {
        fprintf(stderr, "event_camera: %s\n", n ? spk_conv_error(cam->conv) : spk_events_error(in));
        return 1;
    }
    cam->raw = (uint32_t *)calloc((size_t)cam->width * cam->height * 2, sizeof *cam->raw);
    cam->clean = (uint32_t *)calloc((size_t)cam->width * cam->height * 2, sizeof *cam->clean);
    cam->recent = (uint32_t *)calloc((size_t)cam->width * cam->height * 2, sizeof *cam->recent);
    cam->edges = (uint32_t *)calloc((size_t)cam->edge_w * cam->edge_h * 8, sizeof *cam->edges);
    cam->late_us = (uint64_t *)calloc(BINS, sizeof *cam->late_us);
    if (!cam->filter || !cam->raw || !cam->clean || !cam->recent || !cam->edges || !cam->late_us) {
        fprintf(stderr, "event_camera: no memory\n");
        return 1;
    }
    if (terminal) printf("\033[2J\033[?25l");
    start = spk_clock_seconds();
    watch(cam, in, e, n, terminal);
    if (terminal) printf("\033[?25h");
    if (spk_events_status(in) != SPK_OK) {
        fprintf(stderr, "event_camera: %s\n", spk_events_error(in));
        return 1;
    }
    return report(cam, spk_clock_seconds() - start);
}

int main(int argc, char **argv)
{
    camera *cam = (camera *)calloc(1, sizeof *cam);
    spk_simulator_desc scene = {0};
    spk_events *in;
    int status = 1;
    scene.width = 240;
    scene.height = 180;
    scene.speed_px_s = 150.0;
    scene.direction_deg = 30.0;
    scene.period_px = 60.0;
    scene.shot_hz = 2.0;
    scene.hot_fraction = 0.0005;
    in = argc > 1 ? spk_events_open(argv[1], NULL) : spk_events_simulate(&scene);
    if (cam && in) status = run(cam, in);
    spk_events_close(in);
    if (cam) {
        spk_filter_destroy(cam->filter);
        spk_conv_destroy(cam->conv);
        free(cam->raw);
        free(cam->clean);
        free(cam->recent);
        free(cam->edges);
        free(cam->late_us);
    }
    free(cam);
    return status;
}
