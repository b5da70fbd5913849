/* ---- >>test-cl: a network on an OpenCL device is the network ----
   The same life of a network, once on the CPU and once on a device, in each way that a device can
   work; everything that comes out has to be equal. Skipped where there is no OpenCL device.
   check: not under sanitizers, because the device's compiler runs inside this process */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cl.h"

#include "check.h"

#if !defined(_WIN32)
#include <dlfcn.h>
#include <unistd.h>
#endif

/* All that a life leaves behind. */
typedef struct life {
    uint64_t spikes, spike_digest, some_digest, states[6], sample_digest, rate_digest, refused;
    uint64_t weight_digest, called_digest, file_digest;
    double v[4], weight;
    spk_net_info info;
    char error[300], text[4000];
} life;

static uint64_t digest_of(spk_rec rec)
{
    size_t rows, width;
    const double *x = spk_rec_samples(rec, &rows, &width);
    return x ? spk_xxh64(x, rows * width * sizeof *x, rows) : 0;
}

/* A recorder's callback: a digest of the spikes in the order in which they come, however many at a
   time. */
static bool note(void *ctx, uint64_t step, const void *items, size_t count)
{
    const spk_spike *spike = (const spk_spike *)items;
    uint64_t *digest = (uint64_t *)ctx;
    (void)step;
    for (size_t k = 0; k < count; k++) {
        const uint64_t word[2] = {spike[k].step, spike[k].neuron};
        *digest = spk_xxh64(word, sizeof word, *digest);
    }
    return true;
}

static uint64_t digest_of_file(const char *path)
{
    static char bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    const size_t n = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file) {
        fclose(file);
    }
    return n ? spk_xxh64(bytes, n, 0) : 0;
}

static void connect_fixed(spk_net *net, spk_pop from, spk_pop to, size_t k, spk_value weight,
                          spk_value delay)
{
    spk_conn_desc c;
    memset(&c, 0, sizeof c);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = k;
    c.weight = weight;
    c.delay_ms = delay;
    (void)spk_net_connect(net, from, to, &c);
}

static life live(spk_backend *backend, spk_precision precision)
{
    static double x[700];
    static spk_synapse synapse[9000];
    uint64_t called = 0;
    life l;
    spk_net_desc d;
    spk_poisson_desc p;
    spk_current_desc noise;
    spk_rec_desc r;
    memset(&l, 0, sizeof l);
    memset(&d, 0, sizeof d);
    memset(&p, 0, sizeof p);
    memset(&noise, 0, sizeof noise);
    memset(&r, 0, sizeof r);
    d.seed = 7;
    d.precision = precision;
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const spk_pop exc = spk_net_add(net, "exc", 500, SPK_LIF_EXP,
                                    SPK_SET({"i_dc", spk_normal(350, 40)},
                                            {"v", spk_uniform(-65, -50)}));
    const spk_pop inh = spk_net_add(net, "inh", 130, SPK_LIF_COND, NULL);
    const spk_pop list = spk_net_add(net, "list", 70, SPK_SPIKE_LIST, NULL);
    const spk_pop all = spk_net_union(net, spk_net_union(net, exc, inh), list);
    connect_fixed(net, exc, exc, 10, spk_normal_clipped(40, 10, 5, 100), spk_uniform(0.3, 4));
    connect_fixed(net, inh, exc, 6, spk_uniform(-200, -50), spk_uniform(0.3, 2));
    connect_fixed(net, exc, inh, 12, spk_constant(2), spk_uniform(0.5, 3));
    connect_fixed(net, list, all.index ? exc : exc, 3, spk_constant(300), spk_uniform(0.3, 6));
    p.rate_hz = spk_constant(3000);
    p.weight = spk_constant(20);
    (void)spk_net_drive_poisson(net, exc, &p);
    noise.noise_sd = 20.0;
    noise.noise_dt_ms = 0.5;
    (void)spk_net_drive_current(net, inh, &noise);
    const spk_rec spikes = spk_net_record_spikes(net, all);
    r.kind = SPK_REC_STATE;
    r.state = "v";
    r.interval_ms = 0.7;
    const spk_rec states = spk_net_record(net, spk_net_slice(net, exc, 33, 400), &r);
    r.kind = SPK_REC_RATE;
    r.interval_ms = 1.0;
    const spk_rec rate = spk_net_record(net, inh, &r);
    r.kind = SPK_REC_WEIGHTS;
    r.post = exc;
    r.interval_ms = 20.0;
    const spk_rec weights = spk_net_record(net, spk_net_slice(net, inh, 10, 5), &r);
    char path[600];
    memset(&r, 0, sizeof r);
    r.sink = SPK_SINK_FILE;
    r.path = check_tmp(backend ? "cl_device.spikes" : "cl_host.spikes", path, sizeof path);
    (void)spk_net_record(net, spk_net_slice(net, exc, 50, 60), &r);
    memset(&r, 0, sizeof r);
    r.sink = SPK_SINK_CALLBACK;
    r.callback = note;
    r.ctx = &called;
    (void)spk_net_record(net, list, &r);

    (void)spk_net_run_steps(net, 333);
    l.states[0] = spk_net_state_digest(net);
    (void)spk_net_run_steps(net, 100);
    (void)spk_net_get(net, spk_net_slice(net, exc, 100, 4), "v", l.v, 4);
    /* new parameters, states, currents, inputs, spikes, lists */
    for (uint32_t k = 0; k < 500; k++) {
        x[k] = 9.0 + 0.01 * (double)k;
    }
    (void)spk_net_set(net, exc, "tau_m", x, 500);
    (void)spk_net_run_steps(net, 50);
    l.states[1] = spk_net_state_digest(net);
    for (uint32_t k = 0; k < 130; k++) {
        x[k] = -60.0 + 0.07 * (double)k;
    }
    (void)spk_net_set(net, inh, "v", x, 130);
    (void)spk_net_inject_current(net, inh, x, 130);
    for (uint32_t k = 0; k < 500; k++) {
        x[k] = 5.0 * (double)(k % 90) - 100.0;
    }
    (void)spk_net_inject_input(net, exc, NULL, x, 500);
    const uint32_t who[5] = {3, 1, 4, 15, 9};
    const double when[5] = {60.0, 55.5, 70.0, 55.5, 49.9};
    (void)spk_net_inject_spikes(net, list, who, 5);
    (void)spk_net_spike_list(net, list, who, when, 5);
    (void)spk_net_run_steps(net, 64);
    l.states[2] = spk_net_state_digest(net);
    (void)spk_net_run_steps(net, 200);
    /* weights, with spikes under way */
    size_t n = 0;
    (void)spk_net_synapses(net, exc, exc, synapse, 9000, &n);
    for (size_t k = 0; k < n && k < 700; k++) {
        x[k] = synapse[k].weight;
    }
    l.weight = n ? synapse[n / 2].weight : 0.0;
    static double w[9000];
    for (size_t k = 0; k < n; k++) {
        w[k] = 0.5 * synapse[k].weight;
    }
    (void)spk_net_set_weights(net, exc, exc, w, n);
    (void)spk_net_run_steps(net, 200);
    l.states[3] = spk_net_state_digest(net);
    /* a recorder that is full stops the run; what it could not take comes later */
    memset(&r, 0, sizeof r);
    r.sink = SPK_SINK_RING;
    r.capacity = 40;
    const spk_rec ring = spk_net_record(net, exc, &r);
    const uint64_t end = spk_net_step(net) + 500;
    for (int tries = 0; spk_net_step(net) < end && tries < 200; tries++) {
        spk_spike taken[40];
        l.refused += spk_net_run_steps(net, end - spk_net_step(net)) == SPK_ERR_FULL;
        while (spk_rec_read(ring, taken, 40)) {
        }
    }
    while (spk_net_run_steps(net, 0) == SPK_ERR_FULL) { /* what is still to be handed over */
        spk_spike taken[40];
        while (spk_rec_read(ring, taken, 40)) {
        }
    }
    l.some_digest = spk_rec_digest(ring);
    l.states[4] = spk_net_state_digest(net);
    l.spikes = spk_rec_count(spikes);
    l.spike_digest = spk_rec_digest(spikes);
    l.sample_digest = digest_of(states);
    l.rate_digest = digest_of(rate);
    l.weight_digest = digest_of(weights);
    l.called_digest = called;
    (void)spk_net_get_info(net, &l.info);
    (void)spk_net_describe(net, l.text, sizeof l.text);
    snprintf(l.error, sizeof l.error, "%s", spk_net_error(net));
    spk_net_destroy(net);
    l.file_digest = digest_of_file(path);
    return l;
}

/* Why there is nothing to test on, or "". */
static const char *absent(void)
{
    static char why[300];
    spk_cl_device d[8];
    const size_t n = spk_cl_devices(NULL, d, 8, why, sizeof why);
    for (size_t k = 0; k < n && k < 8; k++) {
        if (d[k].usable) {
            return "";
        }
        snprintf(why, sizeof why, "no usable OpenCL device: %.100s: %.100s", d[k].name, d[k].why);
    }
    return why;
}

static void same(const life *a, const life *b)
{
    CHECK(a->spikes > 1000);
    CHECK_EQ(b->spikes, a->spikes);
    CHECK_EQ(b->spike_digest, a->spike_digest);
    for (int k = 0; k < 5; k++) {
        CHECK_EQ(b->states[k], a->states[k]);
    }
    for (int k = 0; k < 4; k++) {
        CHECK(b->v[k] == a->v[k]);
    }
    CHECK_EQ(b->sample_digest, a->sample_digest);
    CHECK_EQ(b->rate_digest, a->rate_digest);
    CHECK_EQ(b->some_digest, a->some_digest);
    CHECK(a->weight_digest && a->called_digest && a->file_digest);
    CHECK_EQ(b->weight_digest, a->weight_digest);
    CHECK_EQ(b->called_digest, a->called_digest);
    CHECK_EQ(b->file_digest, a->file_digest);
    CHECK(a->refused > 1 && b->refused > 1);
    CHECK_EQ(b->info.synapses, a->info.synapses);
    CHECK_EQ(b->info.spikes, a->info.spikes);
    CHECK(a->weight > 0.0 && b->weight == a->weight);
    CHECK(strstr(a->text, "opencl") == NULL);
}

static void compare(spk_cl_style style, uint32_t sub_devices, uint32_t tiles,
                    spk_precision precision)
{
    spk_cl_desc d;
    memset(&d, 0, sizeof d);
    d.style = style;
    d.sub_devices = sub_devices;
    d.tiles = tiles;
    const life cpu = live(NULL, precision), device = live(spk_cl_backend(&d), precision);
    same(&cpu, &device);
    CHECK_HAS(device.text, "opencl \"");
}

TEST(a_network_lives_the_same_life_on_a_device)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CL_AUTO, 0, 0, SPK_FLOAT32);
}

TEST(so_it_does_the_way_gpus_work)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CL_ITEMS, 0, 3, SPK_FLOAT32);
}

TEST(and_with_states_of_16_bits)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CL_AUTO, 0, 0, SPK_FLOAT16);
}

TEST(and_split_over_two_sub_devices)
{
    spk_cl_device d[1];
    if (*absent()) SKIP(absent());
    if (!spk_cl_devices(NULL, d, 1, NULL, 0) || !d[0].is_cpu || d[0].units < 2) {
        SKIP("the first device is no CPU of two units or more");
    }
    compare(SPK_CL_AUTO, 2, 0, SPK_FLOAT32);
    compare(SPK_CL_ITEMS, 2, 5, SPK_FLOAT32);
}

TEST(and_with_states_of_64_bits_where_the_device_has_them)
{
    spk_cl_device d[1];
    if (*absent()) SKIP(absent());
    if (!spk_cl_devices(NULL, d, 1, NULL, 0) || !d[0].has_double) SKIP("no doubles");
    compare(SPK_CL_AUTO, 0, 0, SPK_FLOAT64);
}

TEST(auto_takes_the_device)
{
    if (*absent()) SKIP(absent());
    const life cpu = live(NULL, SPK_FLOAT32), device = live(SPK_BACKEND_AUTO, SPK_FLOAT32);
    same(&cpu, &device);
    CHECK_HAS(device.text, "opencl \"");
    CHECK_STR(device.error, cpu.error);
}

/* -- events of a camera -- */

static uint64_t watched(spk_backend *backend)
{
    static spk_event event[600];
    spk_net_desc d;
    spk_pixel_map map;
    memset(&d, 0, sizeof d);
    memset(&map, 0, sizeof map);
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const spk_pop retina = spk_net_add(net, "retina", 100, SPK_PARROT, NULL);
    const spk_pop cells = spk_net_add(net, "cells", 50, SPK_LIF_EXP, NULL);
    connect_fixed(net, retina, cells, 20, spk_constant(200), spk_uniform(0.1, 2));
    map.width = map.height = 10;
    (void)spk_net_map_pixels(net, retina, &map);
    const spk_rec rec = spk_net_record_spikes(net, spk_net_union(net, retina, cells));
    for (uint32_t part = 0; part < 3; part++) {
        for (uint32_t k = 0; k < 600; k++) {
            memset(&event[k], 0, sizeof event[k]);
            event[k].t_us = 1000 + 20000 * part + 30 * k;
            event[k].x = (uint16_t)(k * 7 % 10);
            event[k].y = (uint16_t)(k * k % 10);
        }
        CHECK_EQ(spk_net_inject_events(net, retina, event, 600), SPK_OK);
        CHECK_EQ(spk_net_run_until_us(net, 20000 * (part + 1)), SPK_OK);
    }
    CHECK(spk_rec_count(rec) > 1500);
    const uint64_t digest = spk_rec_digest(rec);
    spk_net_destroy(net);
    return digest;
}

TEST(events_reach_neurons_on_a_device)
{
    if (*absent()) SKIP(absent());
    const uint64_t want = watched(NULL);
    CHECK_EQ(watched(spk_cl_backend(NULL)), want);
}

/* -- what a user's model brings -- */

#define HELPED_PARAMS(X) X(tau, 10.0, "ms")
#define HELPED_DERIVED(X) X(h, dt / tau)
#define HELPED_STATE(X) X(v, 0.0, "mV") X(half, 1.0, "")
#define HELPED_INPUTS(X) X(input, SPK_DELTA)
#define twice(x) ((x) + (x)) /* known here, not to a device */
SPIKELIB_NEURON(helped, HELPED_PARAMS, HELPED_DERIVED, HELPED_STATE, HELPED_INPUTS,
    half = half * K(0.5);
    v = v + h * (twice(input) - v);
    spike = v > K(100.0);
)

TEST(the_devices_compiler_refuses_a_model_and_the_error_quotes_the_statement)
{
    spk_cl_desc cl;
    spk_net_desc d;
    memset(&cl, 0, sizeof cl);
    memset(&d, 0, sizeof d);
    if (*absent()) SKIP(absent());
    cl.cache_dir = "";
    d.backend = spk_cl_backend(&cl);
    spk_net *net = spk_net_create(&d);
    (void)spk_net_add(net, "cells", 100, helped, NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_COMPILE);
    CHECK_HAS(spk_net_error(net), "model \"helped\"");
    CHECK_HAS(spk_net_error(net), "\"v = v + h * (twice(input) - v);\": ");
    CHECK_EQ(spk_net_run_steps(net, 10), SPK_OK); /* on the CPU */
    CHECK_EQ(spk_net_step(net), 10);
    spk_net_destroy(net);
}

/* -- a device that computes rightly, until it fails or while it is slow -- */

#if !defined(_WIN32)
static struct {
    void *library;
    long launches, fail_at;
    spki_cl_handle slow; /* the first queue that is used */
    bool sleeps;
    int32_t (*launch)(spki_cl_handle, spki_cl_handle, uint32_t, const size_t *, const size_t *,
                      const size_t *, uint32_t, const spki_cl_handle *, spki_cl_handle *);
} meddle;

static int32_t meddle_launch(spki_cl_handle q, spki_cl_handle k, uint32_t dim, const size_t *offset,
                             const size_t *global, const size_t *local, uint32_t n,
                             const spki_cl_handle *e, spki_cl_handle *out)
{
    meddle.launches++;
    if (meddle.fail_at && meddle.launches >= meddle.fail_at) {
        return -36;
    }
    meddle.slow = meddle.slow ? meddle.slow : q;
    if (meddle.sleeps && q == meddle.slow && meddle.launches < 600) {
        usleep(1000);
    }
    return meddle.launch(q, k, dim, offset, global, local, n, e, out);
}

static void *meddle_symbol(void *ctx, const char *name)
{
    void *found = dlsym(meddle.library, name);
    (void)ctx;
    if (found && strcmp(name, "clEnqueueNDRangeKernel") == 0) {
        int32_t (*mine)(spki_cl_handle, spki_cl_handle, uint32_t, const size_t *, const size_t *,
                        const size_t *, uint32_t, const spki_cl_handle *, spki_cl_handle *) =
            meddle_launch;
        memcpy((void *)&meddle.launch, &found, sizeof found);
        memcpy(&found, (void *)&mine, sizeof found);
    }
    return found;
}

static spk_cl_desc meddle_desc(void)
{
    spk_cl_desc d;
    memset(&d, 0, sizeof d);
    memset(&meddle, 0, sizeof meddle);
    meddle.library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    d.symbol = meddle_symbol;
    d.or_cpu = true;
    return d;
}

TEST(a_device_lost_amid_spikes_costs_none_of_them)
{
    if (*absent()) SKIP(absent());
    const life cpu = live(NULL, SPK_FLOAT32);
    const long when[4] = {12, 150, 777, 1500};
    for (int k = 0; k < 4; k++) {
        spk_cl_desc d = meddle_desc();
        meddle.fail_at = when[k];
        const life device = live(spk_cl_backend(&d), SPK_FLOAT32);
        CHECK(meddle.launches >= when[k]); /* it did fail */
        same(&cpu, &device);
        CHECK(strstr(device.text, "opencl") == NULL);
    }
}

TEST(a_batch_that_takes_too_long_costs_no_spike)
{
    if (*absent()) SKIP(absent());
    const life cpu = live(NULL, SPK_FLOAT32);
    spk_cl_desc d = meddle_desc();
    d.time_limit_s = 1e-7;
    const life device = live(spk_cl_backend(&d), SPK_FLOAT32);
    same(&cpu, &device);
    CHECK(strstr(device.text, "opencl") == NULL);
}

TEST(sub_devices_share_by_measured_speed_and_the_spikes_stay)
{
    spk_cl_device found[1];
    int a = 0, b = 0, c = 0, e = 0;
    if (*absent()) SKIP(absent());
    if (!spk_cl_devices(NULL, found, 1, NULL, 0) || !found[0].is_cpu || found[0].units < 2) {
        SKIP("the first device is no CPU of two units or more");
    }
    const life cpu = live(NULL, SPK_FLOAT32);
    for (int k = 0; k < 2; k++) {
        spk_cl_desc d = meddle_desc();
        meddle.sleeps = true; /* one of them waits a millisecond before whatever it does */
        d.sub_devices = 2;
        d.tiles = 12;
        d.style = k ? SPK_CL_ITEMS : SPK_CL_AUTO;
        const life device = live(spk_cl_backend(&d), SPK_FLOAT32);
        same(&cpu, &device);
        const char *at = strstr(device.text, ": tiles ");
        REQUIRE(at && sscanf(at, ": tiles %d .. %d", &a, &b) == 2);
        at = strstr(at + 1, ": tiles ");
        REQUIRE(at && sscanf(at, ": tiles %d .. %d", &c, &e) == 2);
        CHECK(a == 0 && b == c && b < e - b); /* it has the lesser part */
    }
}
#endif

TEST_MAIN()
