/* ---- >>life: all that a network can go through, and what it leaves behind ----
   To be included after the implementation: the same life on two backends has to leave the same. */
#ifndef SPIKELIB_TESTS_LIFE_H
#define SPIKELIB_TESTS_LIFE_H

#if defined(_WIN32)
#include <process.h>
#define getpid _getpid
#else
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

/* With states of 16 bits: how far from a shadow they may go; 0: there is none. */
static double life_shadow_v;

static uint32_t life_weight_bits; /* 0: the default */

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
    d.weight_bits = life_weight_bits;
    if (precision == SPK_FLOAT16 && life_shadow_v > 0.0) {
        d.shadow = 128;
        d.shadow_ms = 12.5;
        d.shadow_rate_error = 1e9;
        d.shadow_v_error = life_shadow_v;
    }
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
    if (life_weight_bits == 8) { /* many that arrive together */
        connect_fixed(net, list, inh, 40, spk_uniform(0.2, 0.6), spk_constant(1.5));
    }
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
    char file[40]; /* of this process alone: others live at the same time */
    snprintf(file, sizeof file, "life-%ld.spikes", (long)getpid());
    r.path = check_tmp(file, path, sizeof path);
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
    (void)remove(path);
    return l;
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
    CHECK_EQ(b->info.precision, a->info.precision);
    CHECK_EQ(b->info.shadow_windows, a->info.shadow_windows);
    CHECK_EQ(b->info.widened_step, a->info.widened_step);
    CHECK(b->info.shadow_v_error == a->info.shadow_v_error);
    CHECK(b->info.shadow_rate_error == a->info.shadow_rate_error);
    CHECK(a->weight > 0.0 && b->weight == a->weight);
    CHECK(strstr(a->text, "opencl") == NULL && strstr(a->text, "cuda") == NULL);
}

#endif
