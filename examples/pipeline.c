/* cc -O2 pipeline.c -o pipeline -lm -lpthread */

/* A camera on the network, and everything that follows: a thread plays a simulated camera (or the
   recording named on the command line) in real time and sends it as SPIF datagrams on the loopback;
   a source receives them into the pipeline; a filter drops what looks like noise; a small network
   of a neuron for each 8 x 8 pixels answers with spikes. Takes three seconds. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 128, HEIGHT = 128, CELL = 8 };
#define SECONDS 3.0

/* -- the camera, a thread -- */

typedef struct camera {
    spk_events *recording;
    spk_sender *to;
    volatile bool off;
    uint64_t sent;
    pthread_t thread;
} camera;

static void *camera_run(void *arg)
{
    camera *c = (camera *)arg;
    spk_source *play = spk_source_open(&(spk_source_desc){ .kind = SPK_SOURCE_REPLAY,
        .recording = c->recording });
    spk_event buf[256];
    while (!c->off && spk_source_status(play) == SPK_OK) {
        size_t n = spk_source_read(play, buf, 256);
        c->sent += spk_sender_send(c->to, buf, n);
        if (n == 0) spk_source_wait(&play, 1, 0.01);
    }
    spk_source_close(play);
    return NULL;
}

/* -- two stages: plain functions with a context -- */

static spk_result denoise(void *ctx, spk_batch *batch)
{
    batch->count = spk_filter_apply((spk_filter *)ctx, (spk_event *)batch->items, batch->count);
    return SPK_OK;
}

typedef struct brain {
    spk_net *net;
    spk_pop cells;
} brain;

static spk_result think(void *ctx, spk_batch *batch)
{
    brain *b = (brain *)ctx;
    const spk_event *e = (const spk_event *)batch->items;
    spk_result result = spk_net_inject_events(b->net, b->cells, e, batch->count);
    if (result == SPK_OK) result = spk_net_run_until_us(b->net, e[batch->count - 1].t_us);
    return result;
}

static spk_rec wire_up(brain *b)
{
    b->net = spk_net_create(&(spk_net_desc){ .dt_ms = 0.5, .seed = 7 });
    spk_pop cells = spk_net_add(b->net, "cells", WIDTH / CELL * HEIGHT / CELL, SPK_PARROT, NULL);
    spk_pop watch = spk_net_add(b->net, "watch", 64, SPK_LIF_EXP, NULL);
    b->cells = cells;
    spk_net_map_pixels(b->net, cells, &(spk_pixel_map){ .width = WIDTH, .height = HEIGHT,
        .downsample = CELL });
    spk_net_connect(b->net, cells, watch, &(spk_conn_desc){ .rule = SPK_FIXED_INDEGREE, .k = 32,
        .weight = spk_constant(150.0), .delay_ms = spk_constant(1.0) });
    return spk_net_record_spikes(b->net, watch);
}

/* -- what is going on -- */

static void show(const spk_pipeline *p, const spk_source *in, const char *end)
{
    spk_pipeline_stats filter, net, whole;
    spk_source_stats s;
    spk_pipeline_get_stats(p, 0, SPK_PRIORITY_DEFAULT, &filter);
    spk_pipeline_get_stats(p, 1, SPK_PRIORITY_DEFAULT, &net);
    spk_pipeline_get_stats(p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_DEFAULT, &whole);
    spk_source_get_stats(in, &s);
    printf("in %8llu  waiting %5llu | filter -> %5llu | network   lost %llu  dropped %llu   "
           "p50 %.0f us  p99 %.0f us%s", (unsigned long long)s.events,
           (unsigned long long)filter.depth, (unsigned long long)net.depth,
           (unsigned long long)s.lost_in_kernel, (unsigned long long)whole.dropped_all,
           whole.latency.p50_us, whole.latency.p99_us, end);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    spk_source *in = spk_source_open(&(spk_source_desc){ .wire = SPK_WIRE_SPIF,
        .width = WIDTH, .height = HEIGHT });
    spk_filter *filter = spk_filter_background(&(spk_background_desc){ .width = WIDTH,
        .height = HEIGHT });
    brain b;
    spk_rec spikes = wire_up(&b);
    spk_pipeline *p = spk_pipeline_create(NULL);
    spk_pipeline_add(p, "filter", denoise, filter, NULL);
    spk_pipeline_add(p, "network", think, &b, &(spk_stage_desc){ .deadline_us = 500000 });

    camera c = { .recording = argc > 1 ? spk_events_open(argv[1], NULL)
        : spk_events_simulate(&(spk_simulator_desc){ .duration_s = SECONDS, .shot_hz = 2.0,
            .leak_hz = 0.2 }) };
    c.to = spk_sender_open("127.0.0.1", spk_source_port(in), SPK_WIRE_SPIF, 0);
    if (spk_source_status(in) != SPK_OK || spk_pipeline_start(p) != SPK_OK ||
        spk_net_build(b.net) != SPK_OK || pthread_create(&c.thread, NULL, camera_run, &c)) {
        fprintf(stderr, "%s%s%s\n", spk_source_error(in), spk_pipeline_error(p),
                spk_net_error(b.net));
        return 1;
    }

    double begin = spk_clock_seconds(), shown = begin;
    while (spk_clock_seconds() - begin < SECONDS) {
        spk_source_wait(&in, 1, 0.05);
        spk_source_to_pipeline(in, p, SPK_PRIORITY_NORMAL, 0);
        if (isatty(1) && spk_clock_seconds() - shown > 0.1) {
            show(p, in, "  \r");
            shown = spk_clock_seconds();
        }
    }
    c.off = true;
    pthread_join(c.thread, NULL);
    while (spk_source_to_pipeline(in, p, SPK_PRIORITY_NORMAL, 0)) continue;
    spk_pipeline_stop(p, 1.0);

    show(p, in, "\n");
    printf("sent %llu events; the network answered with %llu spikes of 64 neurons\n",
           (unsigned long long)c.sent, (unsigned long long)spk_rec_count(spikes));
    bool right = spk_net_status(b.net) == SPK_OK && c.sent > 0;
    if (!right) fprintf(stderr, "%s%s\n", spk_net_error(b.net), spk_events_error(c.recording));
    spk_pipeline_destroy(p);
    spk_net_destroy(b.net);
    spk_filter_destroy(filter);
    spk_source_close(in);
    spk_sender_close(c.to);
    spk_events_close(c.recording);
    return !right;
}
