/* ---- >>test_engine: every spike of an independent simulator, whatever the threads ---- */

/* check: threads */
#include "check.h"
#include "spikelib.h"

#include <math.h>
#include <pthread.h>

/* ThreadSanitizer looks for races, which two threads show as well as any number of them. */
#ifdef __SANITIZE_THREAD__
enum { FEWEST = 2, MOST = 2 };
#else
enum { FEWEST = 1, MOST = 3 };
#endif

/* -- the reference: double precision, a dense queue of arrivals, no tiles, no buckets -- */

enum { SOURCE, DELTA, EXP2 }; /* what a neuron of the reference is */

typedef struct edge {
    uint32_t source, target; /* network-wide ids */
    uint32_t delay;
    double weight;
} edge;

typedef struct spikes {
    uint64_t *step;
    uint32_t *neuron;
    size_t count, capacity;
} spikes;

typedef struct model_network {
    uint32_t neurons, longest;
    int *kind;
    double *i_dc, *v0;
    edge *edges; /* sorted by source */
    size_t edge_count;
    size_t *first; /* of each source's edges, and the end */
    spikes told;   /* of the sources, in order of steps */
} model_network;

static uint64_t random_state;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static void spikes_add(spikes *s, uint64_t step, uint32_t neuron)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 1024;
        s->step = (uint64_t *)realloc(s->step, s->capacity * sizeof *s->step);
        s->neuron = (uint32_t *)realloc(s->neuron, s->capacity * sizeof *s->neuron);
    }
    s->step[s->count] = step;
    s->neuron[s->count++] = neuron;
}

static void spikes_free(spikes *s)
{
    free(s->step);
    free(s->neuron);
    memset(s, 0, sizeof *s);
}

static int edge_order(const void *a, const void *b)
{
    const edge *x = (const edge *)a, *y = (const edge *)b;
    return x->source != y->source ? (x->source < y->source ? -1 : 1) : 0;
}

static void model_begin(model_network *m, uint32_t neurons, size_t edges)
{
    memset(m, 0, sizeof *m);
    m->neurons = neurons;
    m->kind = (int *)calloc(neurons, sizeof *m->kind);
    m->i_dc = (double *)calloc(neurons, sizeof *m->i_dc);
    m->v0 = (double *)calloc(neurons, sizeof *m->v0);
    m->edges = (edge *)calloc(edges, sizeof *m->edges);
    m->first = (size_t *)calloc((size_t)neurons + 1, sizeof *m->first);
}

static void model_edge(model_network *m, uint32_t source, uint32_t target, uint32_t delay,
                       double weight)
{
    edge *e = &m->edges[m->edge_count++];
    e->source = source;
    e->target = target;
    e->delay = delay;
    e->weight = weight;
    m->longest = delay > m->longest ? delay : m->longest;
}

static void model_end(model_network *m)
{
    size_t k = 0;
    qsort(m->edges, m->edge_count, sizeof *m->edges, edge_order);
    for (uint32_t n = 0; n <= m->neurons; n++) {
        while (k < m->edge_count && m->edges[k].source < n) k++;
        m->first[n] = k;
    }
}

static void model_free(model_network *m)
{
    free(m->kind);
    free(m->i_dc);
    free(m->v0);
    free(m->edges);
    free(m->first);
    spikes_free(&m->told);
}

/* Defaults of lif_delta and lif_exp2, with tau_syn_ex 2 ms and tau_syn_in 5 ms. */
static spikes model_run(const model_network *m, double dt, uint64_t steps)
{
    const uint32_t ring = m->longest + 1, n = m->neurons;
    double *ex = (double *)calloc((size_t)ring * n, sizeof *ex);
    double *in = (double *)calloc((size_t)ring * n, sizeof *in);
    double *v = (double *)calloc(n, sizeof *v), *iex = (double *)calloc(n, sizeof *iex);
    double *iin = (double *)calloc(n, sizeof *iin);
    int *wait = (int *)calloc(n, sizeof *wait);
    const double c = 250.0;
    const double delta_vv = exp(-dt / 20.0), delta_vc = 20.0 / c * (1.0 - delta_vv);
    const double vv = exp(-dt / 10.0), vc = 10.0 / c * (1.0 - vv);
    const double ee = exp(-dt / 2.0), nn = exp(-dt / 5.0);
    const double ve = 10.0 * 2.0 / (c * (10.0 - 2.0)) * (vv - ee);
    const double vn = 10.0 * 5.0 / (c * (10.0 - 5.0)) * (vv - nn);
    const int t_ref = (int)floor(2.0 / dt + 0.5);
    spikes out;
    size_t told = 0;
    memset(&out, 0, sizeof out);
    for (uint32_t k = 0; k < n; k++) v[k] = m->v0[k];
    for (uint64_t step = 0; step < steps; step++) {
        double *now_ex = ex + (step % ring) * n, *now_in = in + (step % ring) * n;
        const size_t before = out.count;
        for (; told < m->told.count && m->told.step[told] <= step + 1; told++)
            spikes_add(&out, step + 1, m->told.neuron[told]);
        for (uint32_t k = 0; k < n; k++) {
            int fired = 0;
            if (m->kind[k] == SOURCE) {
                continue;
            } else if (m->kind[k] == DELTA) {
                if (wait[k] == 0)
                    v[k] = delta_vv * v[k] + delta_vc * m->i_dc[k] + now_ex[k] - now_in[k];
                fired = v[k] >= 20.0;
                if (fired) v[k] = 10.0;
            } else {
                if (wait[k] == 0) v[k] = vv * v[k] + ve * iex[k] - vn * iin[k] + vc * m->i_dc[k];
                iex[k] = ee * iex[k] + now_ex[k];
                iin[k] = nn * iin[k] + now_in[k];
                fired = v[k] >= 15.0; /* relative to e_l = -70 */
                if (fired) v[k] = 0.0;
            }
            wait[k] = fired ? t_ref : wait[k] > 0 ? wait[k] - 1 : 0;
            if (fired) spikes_add(&out, step + 1, k);
        }
        memset(now_ex, 0, n * sizeof *now_ex);
        memset(now_in, 0, n * sizeof *now_in);
        for (size_t k = before; k < out.count; k++) {
            const uint32_t s = out.neuron[k];
            for (size_t e = m->first[s]; e < m->first[s + 1]; e++) {
                const edge *at = &m->edges[e];
                const size_t slot = (size_t)((step + at->delay) % ring) * n + at->target;
                if (at->weight >= 0.0)
                    ex[slot] += at->weight;
                else
                    in[slot] -= at->weight;
            }
        }
    }
    free(ex);
    free(in);
    free(v);
    free(iex);
    free(iin);
    free(wait);
    return out;
}

/* -- the same network for spikelib -- */

typedef struct setup {
    uint32_t threads, weight_bits;
    int executor; /* 0: own threads, 1: the host's, in order, 2: in reversed order */
    int chunks;   /* 0: in one go, 1: step by step, 2: in odd pieces */
} setup;

static void run_in_order(void *ctx, void (*task)(void *, uint32_t), void *arg, uint32_t count)
{
    (void)ctx;
    for (uint32_t k = 0; k < count; k++) task(arg, k);
}

static void run_reversed(void *ctx, void (*task)(void *, uint32_t), void *arg, uint32_t count)
{
    (void)ctx;
    for (uint32_t k = count; k-- > 0;) task(arg, k);
}

static spk_net *create(const setup *s)
{
    spk_net_desc d = {0};
    d.threads = s->threads;
    d.weight_bits = s->weight_bits;
    d.precision = SPK_FLOAT64;
    if (s->executor) d.executor.run = s->executor == 1 ? run_in_order : run_reversed;
    return spk_net_create(&d);
}

/* Runs of one kind become populations. */
static spk_pop add_neurons(spk_net *net, const model_network *m)
{
    spk_pop all = {0, 0};
    for (uint32_t k = 0, end; k < m->neurons; k = end) {
        double *v = (double *)malloc(m->neurons * sizeof *v);
        for (end = k; end < m->neurons && m->kind[end] == m->kind[k]; end++)
            v[end - k] = m->v0[end] + (m->kind[k] == EXP2 ? -70.0 : 0.0);
        const spk_set set[] = {{"i_dc", spk_array(m->i_dc + k, end - k)},
                               {"v", spk_array(v, end - k)},
                               {m->kind[k] == EXP2 ? "tau_syn_in" : NULL, spk_constant(5.0)},
                               {NULL, spk_constant(0.0)}};
        const spk_model model = m->kind[k] == SOURCE  ? SPK_SPIKE_LIST
                                : m->kind[k] == DELTA ? SPK_LIF_DELTA
                                                      : SPK_LIF_EXP2;
        const char *name = m->kind[k] == SOURCE ? "src" : m->kind[k] == DELTA ? "delta" : "exp2";
        spk_pop pop = spk_net_add(net, name, end - k, model, m->kind[k] == SOURCE ? NULL : set);
        all = k ? spk_net_union(net, all, pop) : pop;
        if (m->kind[k] == SOURCE && m->told.count) {
            double *ms = (double *)malloc(m->told.count * sizeof *ms);
            for (size_t i = 0; i < m->told.count; i++) ms[i] = 0.1 * (double)m->told.step[i];
            spk_net_spike_list(net, pop, m->told.neuron, ms,
                               m->told.count); /* sources come first */
            free(ms);
        }
        free(v);
    }
    return all;
}

/* One explicit list a kind of target: "by sign" means one thing to each. */
static void add_edges(spk_net *net, const model_network *m, spk_pop all)
{
    uint32_t *s = (uint32_t *)malloc((m->edge_count + 1) * sizeof *s);
    uint32_t *t = (uint32_t *)malloc((m->edge_count + 1) * sizeof *t);
    double *w = (double *)malloc((m->edge_count + 1) * sizeof *w);
    double *ms = (double *)malloc((m->edge_count + 1) * sizeof *ms);
    for (int kind = DELTA; kind <= EXP2; kind++) {
        spk_conn_desc c = {0};
        uint32_t lo = m->neurons, hi = 0;
        size_t n = 0;
        for (uint32_t k = 0; k < m->neurons; k++) {
            if (m->kind[k] != kind) continue;
            lo = k < lo ? k : lo;
            hi = k + 1;
        }
        if (lo >= hi) continue;
        for (size_t k = 0; k < m->edge_count; k++) {
            const edge *e = &m->edges[k];
            if (m->kind[e->target] != kind) continue;
            s[n] = e->source;
            t[n] = e->target - lo;
            w[n] = e->weight;
            ms[n++] = 0.1 * e->delay;
        }
        c.rule = SPK_COO;
        c.total = n;
        c.sources = s;
        c.targets = t;
        c.weight = spk_array(w, n);
        c.delay_ms = spk_array(ms, n);
        spk_net_connect(net, all, spk_net_slice(net, all, lo, hi - lo), &c);
    }
    free(s);
    free(t);
    free(w);
    free(ms);
}

static spk_result run_in_chunks(spk_net *net, uint64_t steps, int chunks)
{
    static const uint64_t odd[] = {1, 7, 2, 31, 33, 64, 5, 3};
    spk_result result = spk_net_build(net);
    for (uint64_t done = 0, k = 0; done < steps && result == SPK_OK; k++) {
        uint64_t n = chunks == 0 ? steps : chunks == 1 ? 1 : odd[k % 8];
        n = n < steps - done ? n : steps - done;
        result = spk_net_run_steps(net, n);
        done += n;
    }
    return result;
}

static void check_spikes(spk_rec rec, const spikes *expected, const char *what)
{
    size_t n = 0;
    const spk_spike *got = spk_rec_spikes(rec, &n);
    char text[200];
    for (size_t k = 0; k < n && k < expected->count; k++) {
        if (got[k].step == expected->step[k] && got[k].neuron == expected->neuron[k]) continue;
        snprintf(text, sizeof text, "%s: spike %zu is (%llu, %u), not (%llu, %u)", what, k,
                 (unsigned long long)got[k].step, got[k].neuron,
                 (unsigned long long)expected->step[k], expected->neuron[k]);
        check_fail(__FILE__, __LINE__, text);
        return;
    }
    if (n != expected->count) {
        snprintf(text, sizeof text, "%s: %zu spikes, not %zu", what, n, expected->count);
        check_fail(__FILE__, __LINE__, text);
    }
}

static void check_setup(const model_network *m, const spikes *expected, uint64_t steps, setup s,
                        uint32_t at_least_tiles)
{
    char what[120];
    spk_net_info info;
    spk_net *net = create(&s);
    spk_pop all = add_neurons(net, m);
    add_edges(net, m, all);
    spk_rec rec = spk_net_record_spikes(net, all);
    snprintf(what, sizeof what, "%u threads, %u bits, executor %d, chunks %d", s.threads,
             s.weight_bits, s.executor, s.chunks);
    if (run_in_chunks(net, steps, s.chunks) != SPK_OK)
        check_fail(__FILE__, __LINE__, spk_net_error(net));
    check_spikes(rec, expected, what);
    spk_net_get_info(net, &info);
    CHECK_EQ(info.synapses, m->edge_count);
    CHECK(info.tiles >= at_least_tiles);
    CHECK_EQ(spk_net_step(net), steps);
    spk_net_destroy(net);
}

/* The source list is in (step, neuron) order, as the neurons are numbered. */
static int by_step(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void tell_sources(model_network *m, uint32_t sources, size_t count, uint64_t steps)
{
    uint64_t *at = (uint64_t *)malloc(count * sizeof *at);
    for (size_t k = 0; k < count; k++)
        at[k] = (uint64_t)(1 + random_below((uint32_t)steps - 1)) * 1000 + random_below(sources);
    qsort(at, count, sizeof *at, by_step);
    for (size_t k = 0; k < count; k++)
        if (k == 0 || at[k] != at[k - 1])
            spikes_add(&m->told, at[k] / 1000, (uint32_t)(at[k] % 1000));
    free(at);
}

/* 300 neurons of two models and 40 sources; autapses and multapses occur; weights are multiples of
   2^-6 mV or 2^-3 pA, which 16 bits hold exactly. */
static void mixed_network(model_network *m, uint32_t shortest, uint64_t steps)
{
    const uint32_t n = 340;
    random_state = 12345 + shortest;
    model_begin(m, n, 9000 + 41);
    for (uint32_t k = 0; k < n; k++) {
        m->kind[k] = k < 40 ? SOURCE : k < 170 ? DELTA : EXP2;
        m->i_dc[k] = m->kind[k] == DELTA ? 240.0 + random_below(100)
                     : k < 40            ? 0.0
                                         : 360.0 + random_below(100);
        m->v0[k] = k < 40 ? 0.0 : random_below(10);
    }
    for (int k = 0; k < 9000; k++) {
        const uint32_t t = 40 + random_below(n - 40), s = k % 30 ? random_below(n) : t;
        const uint32_t d = shortest + random_below(k % 3 ? 30 : 1025 - shortest);
        const double w = m->kind[t] == DELTA ? ((double)random_below(128) - 70.0) / 64.0
                                             : ((double)random_below(1024) - 600.0) / 8.0;
        model_edge(m, s, t, d, w);
        if (k % 225 == 0) model_edge(m, s, t, d, w); /* the same synapse twice */
    }
    model_edge(m, 0, 40, 1024, 1.0);
    model_end(m);
    tell_sources(m, 40, 800, steps);
}

TEST(mixed_delays_and_receptors_give_every_spike_of_the_reference)
{
    const uint64_t steps = 2500;
    static const uint32_t threads[] = {1, 2, 3, 8};
    for (uint32_t shortest = 1; shortest <= 6; shortest += 5) {
        model_network m;
        mixed_network(&m, shortest, steps);
        spikes expected = model_run(&m, 0.1, steps);
        CHECK(expected.count > 2000 && expected.count < 60000);
        for (int k = 0; k < 4; k++) {
            const setup narrow = {threads[k], 16, 0, 0}, wide = {threads[k], 32, 0, 2};
            check_setup(&m, &expected, steps, narrow, 1);
            check_setup(&m, &expected, steps, wide, 1);
        }
        const setup single = {1, 16, 0, 1}, pairs = {2, 16, 0, 1}, odd = {3, 16, 0, 2};
        const setup serial = {3, 16, 1, 2}, reversed = {4, 16, 2, 0};
        check_setup(&m, &expected, steps, single, 1);
        check_setup(&m, &expected, steps, pairs, 1);
        check_setup(&m, &expected, steps, odd, 1);
        check_setup(&m, &expected, steps, serial, 1);
        check_setup(&m, &expected, steps, reversed, 1);
        spikes_free(&expected);
        model_free(&m);
    }
}

/* More buckets on their way than there are places for: 30 sources that spike in every step, with
   delays of up to 1,024 steps. */
TEST(a_flood_of_spikes_on_their_way_loses_none)
{
    const uint64_t steps = 1600;
    model_network m;
    random_state = 99;
    model_begin(&m, 130, 30 * 40);
    for (uint32_t k = 0; k < 130; k++) m.kind[k] = k < 30 ? SOURCE : DELTA;
    for (uint32_t k = 0; k < 30 * 40; k++)
        model_edge(&m, k / 40, 30 + random_below(100), k % 40 ? 800 + random_below(225) : 1024,
                   ((double)random_below(128) - 50.0) / 64.0);
    model_end(&m);
    for (uint64_t s = 1; s <= steps; s++)
        for (uint32_t k = 0; k < 30; k++)
            if (s % 97 > k % 3) spikes_add(&m.told, s, k);
    spikes expected = model_run(&m, 0.1, steps);
    CHECK(expected.count > m.told.count + 100);
    for (uint32_t threads = FEWEST; threads <= MOST; threads++) {
        const setup narrow = {threads, 16, 0, 0}, odd = {threads, 32, 0, 2};
        check_setup(&m, &expected, steps, narrow, 1);
        if (FEWEST == 1) check_setup(&m, &expected, steps, odd, 1);
    }
    spikes_free(&expected);
    model_free(&m);
}

/* 150,000 neurons are more than two tiles hold: each thread has several. */
TEST(many_tiles_a_thread_give_every_spike_of_the_reference)
{
    const uint32_t n = 150000;
    const uint64_t steps = 120;
    model_network m;
    random_state = 7;
    model_begin(&m, n, 2 * (size_t)n);
    for (uint32_t k = 0; k < n; k++) m.kind[k] = k < 500 ? SOURCE : DELTA;
    for (uint32_t k = 0; k < n; k++) { /* far jumps: every tile reaches every other */
        model_edge(&m, k, 500 + random_below(n - 500), 2 + random_below(9), 24.0);
        model_edge(&m, k, 500 + random_below(n - 500), 2 + random_below(9), k % 3 ? 21.5 : -7.25);
    }
    model_end(&m);
    tell_sources(&m, 500, 1500, 20);
    spikes expected = model_run(&m, 0.1, steps);
    CHECK(expected.count > 20000);
    const setup one = {1, 16, 0, 0}, two = {2, 16, 0, 2}, three = {3, 32, 0, 0};
    const setup host = {2, 32, 2, 0};
    if (FEWEST == 1) check_setup(&m, &expected, steps, one, 3);
    check_setup(&m, &expected, steps, two, 4);
    if (MOST == 3) check_setup(&m, &expected, steps, three, 3);
    check_setup(&m, &expected, steps, host, 4);
    spikes_free(&expected);
    model_free(&m);
}

/* -- the same digest however a run is cut -- */

/* Drives, noise, two receptors, conductances, random connectivity: everything that draws. */
static spk_net *noisy_network(uint32_t threads, spk_precision precision, double shortest_ms,
                              spk_rec *rec)
{
    spk_net_desc d = {0};
    spk_conn_desc c = {0};
    spk_poisson_desc drive = {0};
    spk_current_desc noise = {0};
    d.threads = threads;
    d.precision = precision;
    d.seed = 5;
    spk_net *net = spk_net_create(&d);
    spk_pop a = spk_net_add(net, "a", 130, SPK_LIF_EXP, NULL);
    spk_pop b = spk_net_add(net, "b", 70, SPK_LIF_COND, NULL);
    spk_pop p = spk_net_add(net, "p", 33, SPK_POISSON, NULL);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 12;
    c.weight = spk_normal(20.0, 10.0);
    c.delay_ms = spk_uniform(shortest_ms, shortest_ms + 4.0);
    spk_net_connect(net, spk_net_union(net, a, p), a, &c);
    c.weight = spk_normal_clipped(1.0, 0.5, 0.0, 3.0);
    spk_net_connect(net, spk_net_union(net, a, b), b, &c);
    drive.rate_hz = spk_uniform(8000.0, 16000.0);
    drive.weight = spk_constant(60.0);
    spk_net_drive_poisson(net, a, &drive);
    noise.amplitude = spk_constant(130.0);
    noise.noise_sd = 100.0;
    noise.noise_dt_ms = 0.3;
    spk_net_drive_current(net, spk_net_slice(net, b, 5, 50), &noise);
    *rec = spk_net_record_spikes(net, spk_net_union(net, spk_net_union(net, a, b), p));
    return net;
}

TEST(a_run_in_pieces_and_on_any_number_of_threads_has_one_digest)
{
    for (int p = 0; p < 3; p++) {
        for (int far = 0; far < 2; far++) {
            uint64_t digest = 0, state = 0;
            for (int k = 0; k < 6; k++) {
                static const uint32_t threads[] = {1, 1, 1, 2, 3, 8};
                static const int chunks[] = {0, 1, 2, 0, 2, 0};
                spk_rec rec;
                spk_net *net = noisy_network(threads[k], (spk_precision)p, far ? 1.7 : 0.1, &rec);
                CHECK_EQ(run_in_chunks(net, 500, chunks[k]), SPK_OK);
                if (k == 0) {
                    digest = spk_rec_digest(rec);
                    state = spk_net_state_digest(net);
                    CHECK(spk_rec_count(rec) > 50);
                }
                CHECK_EQ(spk_rec_digest(rec), digest);
                CHECK_EQ(spk_net_state_digest(net), state);
                spk_net_destroy(net);
            }
        }
    }
}

static void *run_noisy(void *digest)
{
    spk_rec rec;
    spk_net *net = noisy_network(2, SPK_FLOAT32, 0.1, &rec);
    (void)run_in_chunks(net, 300, 2);
    *(uint64_t *)digest = spk_rec_digest(rec);
    spk_net_destroy(net);
    return NULL;
}

TEST(networks_run_beside_each_other_on_threads_of_their_own)
{
    uint64_t alone = 0, beside[3] = {0};
    pthread_t thread[3];
    run_noisy(&alone);
    for (int k = 0; k < 3; k++) pthread_create(&thread[k], NULL, run_noisy, &beside[k]);
    for (int k = 0; k < 3; k++) pthread_join(thread[k], NULL);
    for (int k = 0; k < 3; k++) CHECK_EQ(beside[k], alone);
}

/* -- the host reads, writes and injects -- */

static spk_net *plain(uint32_t threads)
{
    spk_net_desc d = {0};
    d.threads = threads;
    d.precision = SPK_FLOAT64;
    return spk_net_create(&d);
}

TEST(states_and_parameters_are_absolute_through_any_view)
{
    static const spk_precision precisions[] = {SPK_FLOAT32, SPK_FLOAT64};
    for (int p = 0; p < 2; p++) {
        spk_net_desc d = {0};
        double v[300], got[300], change[20];
        d.precision = precisions[p];
        d.threads = 2;
        spk_net *net = spk_net_create(&d);
        for (int k = 0; k < 300; k++) v[k] = -80.0 + 0.125 * (k % 90);
        const spk_set first[] = {{"v", spk_array(v, 100)}, {NULL, spk_constant(0)}};
        const spk_set second[] = {
            {"v", spk_array(v + 100, 200)}, {"e_l", spk_constant(-64.25)}, {NULL, spk_constant(0)}};
        spk_pop a = spk_net_add(net, "a", 100, SPK_LIF_EXP, first);
        spk_pop b = spk_net_add(net, "b", 200, SPK_LIF_DELTA, second);
        spk_pop all = spk_net_union(net, b, a);
        CHECK_EQ(spk_net_get(net, all, "v", got, 300), SPK_OK);
        for (int k = 0; k < 300; k++) CHECK(got[k] == v[k]);
        spk_pop some = spk_net_slice(net, all, 90, 20); /* of both */
        for (int k = 0; k < 20; k++) v[90 + k] = change[k] = -60.5 - k;
        CHECK_EQ(spk_net_set(net, some, "v", change, 20), SPK_OK);
        CHECK_EQ(spk_net_get(net, all, "v", got, 300), SPK_OK);
        for (int k = 0; k < 300; k++) CHECK(got[k] == v[k]);
        CHECK_EQ(spk_net_get(net, some, "v", got, 20), SPK_OK);
        for (int k = 0; k < 20; k++) CHECK(got[k] == change[k]);
        for (int k = 0; k < 20; k++) change[k] = 10.0 + k;
        CHECK_EQ(spk_net_set(net, some, "tau_m", change, 20), SPK_OK);
        CHECK_EQ(spk_net_get(net, all, "tau_m", got, 300), SPK_OK);
        for (int k = 0; k < 300; k++)
            CHECK(got[k] == (k >= 90 && k < 110 ? change[k - 90] : k < 100 ? 10.0 : 20.0));
        spk_net_destroy(net);
    }
}

TEST(a_parameter_set_by_the_host_acts_as_if_it_had_been_given_at_first)
{
    double current[64];
    uint64_t digest[2];
    for (int k = 0; k < 64; k++) current[k] = k < 20 || k >= 40 ? 0.0 : 400.0 + k;
    for (int late = 0; late < 2; late++) {
        spk_net *net = plain(2);
        const spk_set set[] = {{"i_dc", spk_array(current, 64)}, {NULL, spk_constant(0)}};
        spk_pop a = spk_net_add(net, "a", 64, SPK_LIF_EXP, late ? NULL : set);
        spk_rec rec = spk_net_record_spikes(net, a);
        if (late)
            CHECK_EQ(spk_net_set(net, spk_net_slice(net, a, 20, 20), "i_dc", current + 20, 20),
                     SPK_OK);
        CHECK_EQ(spk_net_run(net, 100.0), SPK_OK);
        CHECK(spk_rec_count(rec) > 40);
        digest[late] = spk_rec_digest(rec);
        spk_net_destroy(net);
    }
    CHECK_EQ(digest[0], digest[1]);
}

TEST(injected_spikes_and_input_act_in_the_coming_step_only_and_currents_until_changed)
{
    for (uint32_t threads = 1; threads <= 3; threads++) {
        spk_net *net = plain(threads);
        double v[200], amounts[10], currents[5];
        const uint32_t fire[] = {3, 199, 3};
        const double decay = exp(-0.1 / 20.0), charge = 20.0 / 250.0 * (1.0 - decay);
        spk_pop src = spk_net_add(net, "src", 200, SPK_PARROT, NULL);
        spk_pop lif = spk_net_add(net, "lif", 200, SPK_LIF_DELTA, NULL);
        spk_conn_desc c = {0};
        c.weight = spk_constant(4.0);
        c.delay_ms = spk_constant(0.5);
        spk_net_connect(net, src, lif, &c);
        spk_rec rec = spk_net_record_spikes(net, src);
        CHECK_EQ(spk_net_run_steps(net, 2), SPK_OK);
        CHECK_EQ(spk_net_inject_spikes(net, src, fire, 3), SPK_OK);
        CHECK_EQ(spk_net_run_steps(net, 0), SPK_OK); /* no step: it stays to come */
        CHECK_EQ(spk_net_run_steps(net, 40), SPK_OK);
        size_t n = 0;
        const spk_spike *s = spk_rec_spikes(rec, &n);
        CHECK(n == 2 && s[0].step == 3 && s[0].neuron == 3 && s[1].step == 3 && s[1].neuron == 199);
        CHECK_EQ(spk_net_get(net, lif, "v", v, 200), SPK_OK);
        for (int k = 0; k < 200; k++) /* arrived in step 7, 34 decays ago */
            CHECK_NEAR(v[k], k == 3 || k == 199 ? 4.0 * exp(-34 * 0.1 / 20.0) : 0.0, 1e-12);
        for (int k = 0; k < 10; k++) amounts[k] = k - 4.5;
        CHECK_EQ(spk_net_inject_input(net, spk_net_slice(net, lif, 60, 10), NULL, amounts, 10),
                 SPK_OK);
        CHECK_EQ(spk_net_inject_input(net, spk_net_slice(net, lif, 69, 1), "input", amounts, 1),
                 SPK_OK); /* adds */
        CHECK_EQ(spk_net_run_steps(net, 11), SPK_OK);
        CHECK_EQ(spk_net_get(net, lif, "v", v, 200), SPK_OK);
        for (int k = 0; k < 10; k++)
            CHECK_NEAR(v[60 + k], (k - 4.5 - (k == 9 ? 4.5 : 0.0)) * exp(-10 * 0.1 / 20.0), 1e-12);
        for (int k = 0; k < 5; k++) currents[k] = 10.0 * k;
        CHECK_EQ(spk_net_inject_current(net, spk_net_slice(net, lif, 100, 5), currents, 5), SPK_OK);
        CHECK_EQ(spk_net_run_steps(net, 3), SPK_OK);
        CHECK_EQ(spk_net_run_steps(net, 2), SPK_OK);
        CHECK_EQ(spk_net_get(net, lif, "v", v, 200), SPK_OK);
        for (int k = 0; k < 5; k++)
            CHECK_NEAR(v[100 + k], charge * 10.0 * k * (1.0 - pow(decay, 5)) / (1.0 - decay),
                       1e-12);
        for (int k = 0; k < 5; k++) currents[k] = 0.0;
        CHECK_EQ(spk_net_inject_current(net, spk_net_slice(net, lif, 100, 5), currents, 5), SPK_OK);
        const double before = v[104];
        CHECK_EQ(spk_net_run_steps(net, 4), SPK_OK);
        CHECK_EQ(spk_net_get(net, lif, "v", v, 200), SPK_OK);
        CHECK_NEAR(v[104], before * pow(decay, 4), 1e-12);
        spk_net_destroy(net);
    }
}

static int synapse_order(const void *a, const void *b)
{
    const edge *x = (const edge *)a, *y = (const edge *)b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->target != y->target) return x->target < y->target ? -1 : 1;
    if (x->delay != y->delay) return x->delay < y->delay ? -1 : 1;
    return x->weight < y->weight ? -1 : x->weight > y->weight;
}

TEST(synapses_come_back_in_order_with_the_weights_given_on_any_number_of_threads)
{
    enum { N = 3000 };
    static edge list[N];
    static uint32_t s[N], t[N];
    static double w[N], ms[N];
    static spk_synapse got[N + 5];
    random_state = 3;
    for (int k = 0; k < N; k++) {
        list[k].source = s[k] = random_below(200);
        list[k].target = t[k] = random_below(200);
        list[k].delay = 1 + random_below(k % 2 ? 4 : 1000);
        list[k].weight = w[k] = ((double)random_below(4001) - 2000.0) / 8.0;
        ms[k] = 0.1 * list[k].delay;
    }
    qsort(list, N, sizeof *list, synapse_order);
    for (uint32_t threads = 1; threads <= 8; threads += 3) {
        for (uint32_t bits = 16; bits <= 32; bits += 16) {
            spk_net_desc d = {0};
            spk_conn_desc c = {0};
            size_t n = 0;
            d.threads = threads;
            d.weight_bits = bits;
            spk_net *net = spk_net_create(&d);
            spk_pop a = spk_net_add(net, "a", 200, SPK_LIF_EXP2, NULL);
            c.rule = SPK_COO;
            c.sources = s;
            c.targets = t;
            c.total = N;
            c.weight = spk_array(w, N);
            c.delay_ms = spk_array(ms, N);
            spk_net_connect(net, a, a, &c);
            CHECK_EQ(spk_net_build(net), SPK_OK);
            CHECK_EQ(spk_net_synapses(net, a, a, NULL, 0, &n), SPK_OK);
            CHECK_EQ(n, N);
            CHECK_EQ(spk_net_synapses(net, a, a, got, N + 5, &n), SPK_OK);
            for (int k = 0; k < N; k++) {
                CHECK(got[k].source == list[k].source && got[k].target == list[k].target);
                CHECK(got[k].delay_steps == list[k].delay && got[k].weight == list[k].weight);
                CHECK(list[k].weight == 0.0 || got[k].receptor == (list[k].weight < 0.0));
            }
            /* a part of it, and fewer than there are */
            spk_pop pre = spk_net_slice(net, a, 50, 60), post = spk_net_slice(net, a, 10, 33);
            size_t expected = 0;
            for (int k = 0; k < N; k++)
                expected += list[k].source >= 50 && list[k].source < 110 && list[k].target >= 10 &&
                            list[k].target < 43;
            CHECK_EQ(spk_net_synapses(net, pre, post, got, 7, &n), SPK_OK);
            CHECK_EQ(n, expected);
            for (int k = 0, j = 0; k < N && j < 7; k++)
                if (list[k].source >= 50 && list[k].source < 110 && list[k].target >= 10 &&
                    list[k].target < 43) {
                    CHECK(got[j].source == list[k].source && got[j].weight == list[k].weight);
                    j++;
                }
            spk_net_destroy(net);
        }
    }
}

TEST(weights_set_by_the_host_are_what_arrives)
{
    for (uint32_t threads = 1; threads <= 3; threads++) {
        spk_net *net = plain(threads);
        spk_conn_desc c = {0};
        spk_synapse got[300];
        double w[300], v[100];
        size_t n = 0;
        uint32_t all[100];
        spk_pop src = spk_net_add(net, "src", 100, SPK_SPIKE_LIST, NULL);
        spk_pop lif = spk_net_add(net, "lif", 100, SPK_LIF_DELTA, NULL);
        c.weight = spk_constant(4.0);
        c.delay_ms = spk_constant(0.3);
        spk_net_connect(net, src, lif, &c);
        CHECK_EQ(spk_net_build(net), SPK_OK);
        for (uint32_t k = 0; k < 100; k++) {
            w[k] = -3.0 + k * 0.0625;
            all[k] = k;
        }
        CHECK_EQ(spk_net_set_weights(net, src, lif, w, 100), SPK_OK);
        CHECK_EQ(spk_net_synapses(net, src, lif, got, 300, &n), SPK_OK);
        CHECK_EQ(n, 100);
        for (uint32_t k = 0; k < 100; k++) CHECK(got[k].source == k && got[k].weight == w[k]);
        CHECK_EQ(spk_net_inject_spikes(net, src, all, 100), SPK_OK);
        CHECK_EQ(spk_net_run_steps(net, 4), SPK_OK);
        CHECK_EQ(spk_net_get(net, lif, "v", v, 100), SPK_OK);
        for (uint32_t k = 0; k < 100; k++) CHECK_NEAR(v[k], w[k], 1e-15);
        w[7] = 1e9; /* does not fit: none is changed */
        w[0] = 2.0;
        CHECK_EQ(spk_net_set_weights(net, src, lif, w, 100), SPK_ERR_RANGE);
        CHECK_HAS(spk_net_error(net), "1e+09");
        CHECK_EQ(spk_net_synapses(net, src, lif, got, 300, &n), SPK_OK);
        CHECK(got[0].weight == -3.0);
        spk_net_destroy(net);
    }
}

TEST(a_weight_of_the_other_sign_is_refused_where_it_would_change_the_receptor)
{
    spk_net *net = plain(1);
    spk_conn_desc c = {0};
    double w[4] = {1.5, -2.0, 0.0, 3.0};
    spk_synapse got[4];
    size_t n;
    spk_pop a = spk_net_add(net, "a", 4, SPK_LIF_EXP2, NULL);
    c.weight = spk_array(w, 4);
    c.rule = SPK_COO;
    c.total = 4;
    const uint32_t id[] = {0, 1, 2, 3};
    c.sources = c.targets = id;
    spk_net_connect(net, a, a, &c);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    w[1] = -1.0;
    CHECK_EQ(spk_net_set_weights(net, a, a, w, 4), SPK_OK);
    w[0] = -1.5;
    CHECK_EQ(spk_net_set_weights(net, a, a, w, 4), SPK_ERR_RANGE);
    CHECK_HAS(spk_net_error(net), "-1.5");
    w[0] = 2.5;
    w[1] = 2.0;
    CHECK_EQ(spk_net_set_weights(net, a, a, w, 4), SPK_ERR_RANGE);
    CHECK_EQ(spk_net_synapses(net, a, a, got, 4, &n), SPK_OK);
    CHECK(got[0].weight == 1.5 && got[1].weight == -1.0 && got[3].weight == 3.0);
    spk_net_destroy(net);
}

/* 1,500 neurons are more than one block of the update; the views begin and end inside blocks. */
TEST(drives_reach_exactly_their_neurons_in_exactly_their_steps)
{
    enum { N = 1570 };
    static double v[N], amp[1100], seen[N];
    const double decay = exp(-0.1 / 20.0), charge = 20.0 / 250.0 * (1.0 - decay);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        spk_net *net = plain(threads);
        spk_pop a = spk_net_add(net, "a", 1500, SPK_LIF_DELTA, SPK_SET({"v_th", SPK_MV(1e6)}));
        spk_pop b = spk_net_add(net, "b", 70, SPK_LIF_DELTA, SPK_SET({"v_th", SPK_MV(1e6)}));
        spk_pop all = spk_net_union(net, a, b);
        spk_pop some =
            spk_net_union(net, spk_net_slice(net, a, 3, 1060), spk_net_slice(net, all, 1480, 40));
        spk_current_desc i = {0};
        spk_poisson_desc p = {0};
        for (int k = 0; k < 1100; k++) amp[k] = 1.0 + k;
        i.amplitude = spk_array(amp, 1100);
        i.start_ms = 0.5;
        i.stop_ms = 0.8;
        spk_net_drive_current(net, some, &i);
        p.rate_hz = spk_constant(200000.0); /* 20 a step: none is missed (e^-20) */
        p.weight = spk_array(amp, 1100);
        p.start_ms = 1.0;
        p.stop_ms = 1.2;
        spk_net_drive_poisson(net, some, &p);
        for (int step = 0; step < 14; step++) {
            CHECK_EQ(spk_net_get(net, all, "v", seen, N), SPK_OK);
            CHECK_EQ(spk_net_run_steps(net, 1), SPK_OK);
            CHECK_EQ(spk_net_get(net, all, "v", v, N), SPK_OK);
            for (int k = 0; k < N; k++) {
                const int index = k >= 3 && k < 1063 ? k - 3 : k >= 1480 && k < 1520 ? k - 420 : -1;
                const double change = v[k] - decay * seen[k], size = 1e-12 * (1.0 + fabs(v[k]));
                if (index >= 0 && step >= 5 && step < 8)
                    CHECK_NEAR(change, charge * amp[index], size);
                else if (index >= 0 && step >= 10 && step < 12) /* whole numbers of weights */
                    CHECK(change > 0.5 * amp[index] &&
                          fabs(change / amp[index] - floor(change / amp[index] + 0.5)) < 1e-9);
                else
                    CHECK_NEAR(change, 0.0, size);
            }
        }
        spk_net_destroy(net);
    }
}

/* Those of 32 bits, which the same seed draws, rounded to multiples of one power of two. */
TEST(weights_of_8_bits_are_those_of_32_rounded_to_127_steps_of_a_power_of_two)
{
    static spk_synapse s8[2000], s32[2000];
    static double w[2000];
    spk_net *net[2];
    spk_pop cells;
    size_t n8 = 0, n32 = 0;
    const double q = 0.5; /* 60 / 127 is 0.47 */
    double most = 0.0;
    for (uint32_t k = 0; k < 2; k++) {
        spk_net_desc d;
        spk_conn_desc c;
        memset(&d, 0, sizeof d);
        memset(&c, 0, sizeof c);
        d.weight_bits = k ? 32 : 8;
        net[k] = spk_net_create(&d);
        cells = spk_net_add(net[k], "cells", 100, SPK_LIF_EXP, NULL);
        c.rule = SPK_FIXED_INDEGREE;
        c.k = 20;
        c.weight = spk_uniform(-40, 60);
        c.delay_ms = spk_uniform(0.3, 2);
        CHECK_EQ(spk_net_connect(net[k], cells, cells, &c), SPK_OK);
        CHECK_EQ(spk_net_build(net[k]), SPK_OK);
        CHECK_EQ(spk_net_synapses(net[k], cells, cells, k ? s32 : s8, 2000, k ? &n32 : &n8),
                 SPK_OK);
        if (k == 0) {
            spk_net_info info;
            CHECK_EQ(spk_net_get_info(net[k], &info), SPK_OK);
            CHECK_EQ(info.weight_bits, 8);
            for (size_t j = 0; j < n8; j++) {
                w[j] = s8[j].weight;
            }
            w[7] = 64.0;
            CHECK_EQ(spk_net_set_weights(net[k], cells, cells, w, n8), SPK_ERR_RANGE);
            CHECK_HAS(spk_net_error(net[k]), "8 bits of 0.5");
            w[7] = -63.5;
            CHECK_EQ(spk_net_set_weights(net[k], cells, cells, w, n8), SPK_OK);
        }
    }
    CHECK_EQ(n8, 2000);
    CHECK_EQ(n32, 2000);
    for (size_t k = 0; k < n8; k++) { /* in the order of sources and targets, then delays */
        const double steps = s8[k].weight / q, off = s8[k].weight - s32[k].weight;
        CHECK_EQ(s8[k].source, s32[k].source);
        CHECK_EQ(s8[k].target, s32[k].target);
        CHECK(steps == (double)(int)steps);
        if (s8[k].delay_steps == s32[k].delay_steps) { /* two of a pair may change places */
            CHECK(off <= 0.5 * q + 1e-6 && off >= -0.5 * q - 1e-6);
        }
        most = steps > most ? steps : most;
    }
    CHECK(most > 110 && most <= 120);
    spk_net_destroy(net[0]);
    spk_net_destroy(net[1]);
}

TEST_MAIN()
