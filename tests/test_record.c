/* ---- >>test_record: recorders lose nothing, whatever is full ---- */

/* check: threads */
#include "check.h"
#include "spikelib.h"

#include <pthread.h>
#if defined(__linux__)
#include <signal.h>
#include <sys/resource.h>
#endif

#define A 90
#define B 60
#define STEPS 400
#define SYNAPSES 40

typedef struct world {
    spk_net *net;
    spk_pop a, b, all, part; /* part: the end of a and the beginning of b */
} world;

static void run_reversed(void *ctx, void (*task)(void *, uint32_t), void *arg, uint32_t count)
{
    (void)ctx;
    for (uint32_t k = count; k-- > 0;) task(arg, k);
}

/* Two driven populations; threads 0: two parts on the host's executor. */
static world make(uint32_t threads, uint32_t shortest)
{
    world w;
    spk_net_desc d = {0};
    spk_conn_desc c = {0};
    spk_poisson_desc drive = {0};
    uint32_t s[SYNAPSES], t[SYNAPSES];
    double weight[SYNAPSES];
    d.threads = threads ? threads : 2;
    d.seed = 8;
    if (!threads) d.executor.run = run_reversed;
    w.net = spk_net_create(&d);
    w.a = spk_net_add(w.net, "a", A, SPK_LIF_EXP, NULL);
    w.b = spk_net_add(w.net, "b", B, SPK_LIF_DELTA, NULL);
    w.all = spk_net_union(w.net, w.a, w.b);
    w.part = spk_net_slice(w.net, w.all, 70, 40);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 8;
    c.weight = spk_constant(60.0);
    c.delay_ms = spk_uniform(0.1 * shortest, 0.1 * shortest + 3.0);
    spk_net_connect(w.net, w.all, w.a, &c);
    for (uint32_t k = 0; k < SYNAPSES; k++) {
        s[k] = k;
        t[k] = SYNAPSES - 1 - k;
        weight[k] = 0.25 * k - 2.0;
    }
    memset(&c, 0, sizeof c);
    c.rule = SPK_COO;
    c.total = SYNAPSES;
    c.sources = s;
    c.targets = t;
    c.weight = spk_array(weight, SYNAPSES);
    c.delay_ms = spk_constant(0.1 * shortest);
    spk_net_connect(w.net, w.a, w.b, &c);
    drive.rate_hz = spk_constant(9000.0);
    drive.weight = spk_constant(75.0);
    spk_net_drive_poisson(w.net, w.a, &drive);
    drive.weight = spk_constant(0.5);
    spk_net_drive_poisson(w.net, w.b, &drive);
    return w;
}

/* What an unlimited recording and the host itself see, step by step. */
typedef struct truth {
    spk_spike *spike;
    size_t spikes;
    uint64_t digest;
    double v[STEPS + 1][40]; /* of `part`, at the end of each step */
} truth;

static truth *observe(uint32_t shortest)
{
    truth *t = (truth *)calloc(1, sizeof *t);
    world w = make(1, shortest);
    spk_rec rec = spk_net_record_spikes(w.net, w.all);
    for (int k = 1; k <= STEPS; k++) {
        CHECK_EQ(spk_net_run_steps(w.net, 1), SPK_OK);
        CHECK_EQ(spk_net_get(w.net, w.part, "v", t->v[k], 40), SPK_OK);
    }
    const spk_spike *s = spk_rec_spikes(rec, &t->spikes);
    CHECK(s && t->spikes > 200);
    t->spike = (spk_spike *)malloc((t->spikes + 1) * sizeof *s);
    memcpy(t->spike, s, t->spikes * sizeof *s);
    t->digest = spk_rec_digest(rec);
    spk_net_destroy(w.net);
    return t;
}

static void forget(truth *t)
{
    free(t->spike);
    free(t);
}

/* Rate of the whole network in bins of `every` steps that begin after step `start`. */
static double true_rate(const truth *t, uint64_t start, uint64_t every, uint64_t bin)
{
    size_t n = 0;
    for (size_t k = 0; k < t->spikes; k++) {
        const uint64_t at = t->spike[k].step;
        n += at > start + bin * every && at <= start + (bin + 1) * every;
    }
    return (double)n / ((double)(A + B) * (double)every * 1e-4);
}

/* -- what is taken out of small recorders, put together again -- */

typedef struct rows {
    double *x;
    uint64_t *step;
    size_t count, width;
} rows;

static void rows_add(rows *r, uint64_t step, const double *x, size_t width)
{
    r->width = width;
    r->x = (double *)realloc(r->x, (r->count + 1) * width * sizeof(double));
    r->step = (uint64_t *)realloc(r->step, (r->count + 1) * sizeof *r->step);
    memcpy(r->x + r->count * width, x, width * sizeof(double));
    r->step[r->count++] = step;
}

static void rows_free(rows *r)
{
    free(r->x);
    free(r->step);
}

typedef struct pile {
    spk_spike *spike;
    size_t count;
} pile;

static void pile_add(pile *p, const spk_spike *spike, size_t n)
{
    p->spike = (spk_spike *)realloc(p->spike, (p->count + n + 1) * sizeof *spike);
    if (n) memcpy(p->spike + p->count, spike, n * sizeof *spike);
    p->count += n;
}

static void check_pile(const pile *p, const truth *t)
{
    CHECK_EQ(p->count, t->spikes);
    for (size_t k = 0; k < p->count && k < t->spikes; k++)
        CHECK(p->spike[k].step == t->spike[k].step && p->spike[k].neuron == t->spike[k].neuron);
}

/* Samples every `every` steps after `start`. */
static void check_states(const rows *r, const truth *t, uint64_t start, uint64_t every)
{
    CHECK_EQ(r->count, (STEPS - start) / every);
    for (size_t k = 0; k < r->count; k++) {
        const uint64_t step = start + (k + 1) * every;
        if (r->step) CHECK_EQ(r->step[k], step);
        for (size_t n = 0; n < 40; n++) CHECK(r->x[k * 40 + n] == t->v[step][n]);
    }
}

static void check_rates(const rows *r, const truth *t, uint64_t start, uint64_t every)
{
    CHECK_EQ(r->count, (STEPS - start) / every);
    for (size_t k = 0; k < r->count; k++)
        CHECK_NEAR(r->x[k], true_rate(t, start, every, k), 1e-9 * r->x[k]);
}

static void check_weights(const rows *r, uint64_t start, uint64_t every)
{
    CHECK_EQ(r->count, (STEPS - start) / every);
    CHECK_EQ(r->width, SYNAPSES);
    for (size_t k = 0; k < r->count; k++)
        for (size_t n = 0; n < SYNAPSES; n++)
            CHECK(r->x[k * SYNAPSES + n] == 0.25 * (double)n - 2.0);
}

/* A callback that refuses every third time, and then gets the same again. */
typedef struct moody {
    pile spikes;
    rows samples;
    uint32_t calls, every, refused;
    bool is_spikes;
    uint64_t refused_step;
} moody;

static bool moody_take(void *ctx, uint64_t step, const void *items, size_t count)
{
    moody *m = (moody *)ctx;
    if (m->refused_step) CHECK_EQ(step, m->refused_step);
    m->refused_step = 0;
    if (m->every && m->calls++ % m->every == m->every - 1) {
        m->refused++;
        m->refused_step = step;
        return false;
    }
    if (m->is_spikes) {
        for (size_t k = 0; k < count; k++) CHECK_EQ(((const spk_spike *)items)[k].step, step);
        pile_add(&m->spikes, (const spk_spike *)items, count);
    } else {
        rows_add(&m->samples, step, (const double *)items, count);
    }
    return true;
}

typedef struct small {
    spk_rec rec;
    spk_rec_desc desc;
    pile spikes;
    rows samples;
    moody mood;
} small;

static void small_open(small *s, const world *w, spk_rec_kind kind, spk_sink sink, size_t capacity,
                       double interval_ms)
{
    s->desc.kind = kind;
    s->desc.sink = sink;
    s->desc.capacity = capacity;
    s->desc.interval_ms = interval_ms;
    s->desc.state = "v";
    s->desc.post = w->b;
    s->desc.callback = sink == SPK_SINK_CALLBACK ? moody_take : NULL;
    s->desc.ctx = &s->mood;
    s->mood.every = (uint32_t)capacity;
    s->mood.is_spikes = kind == SPK_REC_SPIKES;
    s->rec = spk_net_record(w->net,
                            kind == SPK_REC_STATE     ? w->part
                            : kind == SPK_REC_WEIGHTS ? w->a
                                                      : w->all,
                            &s->desc);
    if (!s->rec) check_fail(__FILE__, __LINE__, spk_net_error(w->net));
}

static void small_drain(small *s)
{
    if (s->desc.sink == SPK_SINK_MEMORY) {
        size_t n = 0, width = 0;
        if (s->desc.kind == SPK_REC_SPIKES) {
            const spk_spike *spike = spk_rec_spikes(s->rec, &n);
            CHECK(n <= s->desc.capacity);
            pile_add(&s->spikes, spike, n);
        } else {
            const double *x = spk_rec_samples(s->rec, &n, &width);
            CHECK(n <= s->desc.capacity);
            for (size_t k = 0; k < n; k++)
                rows_add(&s->samples, spk_rec_sample_step(s->rec, k), x + k * width, width);
        }
        spk_rec_clear(s->rec);
    } else if (s->desc.sink == SPK_SINK_RING && s->desc.kind == SPK_REC_SPIKES) {
        spk_spike some[7];
        for (size_t n; (n = spk_rec_read(s->rec, some, 7)) > 0;) pile_add(&s->spikes, some, n);
    } else if (s->desc.sink == SPK_SINK_RING) {
        double row[256];
        while (spk_rec_read(s->rec, row, 1) == 1)
            rows_add(&s->samples, 0, row, spk_rec_width(s->rec));
        free(s->samples.step);
        s->samples.step = NULL;
    } else {
        pile_add(&s->spikes, s->mood.spikes.spike, s->mood.spikes.count);
        s->mood.spikes.count = 0;
    }
}

static void small_close(small *s)
{
    free(s->spikes.spike);
    free(s->mood.spikes.spike);
    rows_free(&s->samples);
    rows_free(&s->mood.samples);
}

/* Runs to STEPS whatever stops it; calls `drain` for all after each stop. How often it stopped. */
static int run_on(const world *w, small *s, size_t n)
{
    int stops = 0;
    for (;;) {
        const uint64_t before = spk_net_step(w->net);
        const spk_result result = spk_net_run_steps(w->net, STEPS - before);
        if (result == SPK_OK && spk_net_step(w->net) == STEPS) break;
        if (result != SPK_ERR_FULL) {
            check_fail(__FILE__, __LINE__, spk_net_error(w->net));
            break;
        }
        CHECK_HAS(spk_net_error(w->net), "full");
        for (size_t k = 0; k < n; k++) small_drain(&s[k]);
        if (++stops > 5000) {
            check_fail(__FILE__, __LINE__, "stops without end");
            break;
        }
    }
    for (size_t k = 0; k < n; k++) small_drain(&s[k]);
    return stops;
}

static void check_small(const small *s, const truth *t, uint64_t start)
{
    const uint64_t every = s->desc.interval_ms > 0.0 ? (uint64_t)(s->desc.interval_ms * 10.0 + 0.5)
                           : s->desc.kind == SPK_REC_RATE ? 10
                                                          : 1;
    const rows *r = s->desc.sink == SPK_SINK_CALLBACK ? &s->mood.samples : &s->samples;
    if (s->desc.sink == SPK_SINK_CALLBACK && s->mood.every) CHECK(s->mood.refused > 2);
    if (s->desc.kind == SPK_REC_SPIKES && start == 0) {
        check_pile(&s->spikes, t);
        CHECK_EQ(spk_rec_digest(s->rec), t->digest);
        CHECK_EQ(spk_rec_count(s->rec), t->spikes);
        CHECK_NEAR(spk_rec_rate_hz(s->rec), (double)t->spikes / ((A + B) * STEPS * 1e-4), 1e-9);
    }
    if (s->desc.kind == SPK_REC_STATE) check_states(r, t, start, every);
    if (s->desc.kind == SPK_REC_RATE) check_rates(r, t, start, every);
    if (s->desc.kind == SPK_REC_WEIGHTS) check_weights(r, start, every);
}

TEST(full_recorders_stop_the_run_and_nothing_is_lost)
{
    for (uint32_t shortest = 1; shortest <= 9; shortest += 8) {
        truth *t = observe(shortest);
        for (uint32_t threads = 0; threads <= 3; threads++) {
            static small s[12];
            world w = make(threads, shortest);
            memset(s, 0, sizeof s);
            small_open(&s[0], &w, SPK_REC_SPIKES, SPK_SINK_MEMORY, 51, 0.0);
            small_open(&s[1], &w, SPK_REC_SPIKES, SPK_SINK_RING, 37, 0.0);
            small_open(&s[2], &w, SPK_REC_SPIKES, SPK_SINK_CALLBACK, 9, 0.0);
            small_open(&s[3], &w, SPK_REC_STATE, SPK_SINK_MEMORY, 29, 0.3);
            small_open(&s[4], &w, SPK_REC_STATE, SPK_SINK_RING, 5, 0.7);
            small_open(&s[5], &w, SPK_REC_STATE, SPK_SINK_CALLBACK, 31, 0.0);
            small_open(&s[6], &w, SPK_REC_RATE, SPK_SINK_MEMORY, 3, 0.5);
            small_open(&s[7], &w, SPK_REC_RATE, SPK_SINK_CALLBACK, 4, 0.0);
            small_open(&s[8], &w, SPK_REC_WEIGHTS, SPK_SINK_MEMORY, 5, 0.4);
            small_open(&s[9], &w, SPK_REC_WEIGHTS, SPK_SINK_CALLBACK, 7, 2.0);
            small_open(&s[10], &w, SPK_REC_RATE, SPK_SINK_RING, 3, 2.5);
            small_open(&s[11], &w, SPK_REC_WEIGHTS, SPK_SINK_RING, 2, 3.3);
            const int stops = run_on(&w, s, 12);
            CHECK(stops > 10);
            for (int k = 0; k < 12; k++) check_small(&s[k], t, 0);
            for (int k = 0; k < 12; k++) small_close(&s[k]);
            spk_net_destroy(w.net);
        }
        forget(t);
    }
}

TEST(one_full_recorder_of_each_kind_alone_stops_the_run_and_loses_nothing)
{
    truth *t = observe(9);
    for (int kind = SPK_REC_SPIKES; kind <= SPK_REC_WEIGHTS; kind++) {
        for (int sink = SPK_SINK_MEMORY; sink <= SPK_SINK_CALLBACK; sink++) {
            for (uint32_t threads = 0; threads <= 2; threads++) {
                static small s;
                world w = make(threads, 9);
                memset(&s, 0, sizeof s);
                small_open(&s, &w, (spk_rec_kind)kind, (spk_sink)sink, 3, 0.2);
                CHECK(run_on(&w, &s, 1) > 10);
                check_small(&s, t, 0);
                small_close(&s);
                spk_net_destroy(w.net);
            }
        }
    }
    forget(t);
}

TEST(recorders_without_a_limit_see_every_step_of_a_slice)
{
    for (uint32_t shortest = 1; shortest <= 9; shortest += 8) {
        truth *t = observe(shortest);
        for (uint32_t threads = 0; threads <= 3; threads++) {
            static small s[4];
            world w = make(threads, shortest);
            memset(s, 0, sizeof s);
            small_open(&s[0], &w, SPK_REC_STATE, SPK_SINK_CALLBACK, 0, 0.0);
            small_open(&s[1], &w, SPK_REC_STATE, SPK_SINK_CALLBACK, 0, 4.1);
            small_open(&s[2], &w, SPK_REC_SPIKES, SPK_SINK_CALLBACK, 0, 0.0);
            small_open(&s[3], &w, SPK_REC_RATE, SPK_SINK_CALLBACK, 0, 0.0);
            spk_rec_desc d = {0};
            d.kind = SPK_REC_STATE;
            d.state = "v";
            d.interval_ms = 0.2;
            spk_rec grows = spk_net_record(w.net, w.part, &d);
            CHECK_EQ(run_on(&w, s, 4), 0);
            for (int k = 0; k < 4; k++) check_small(&s[k], t, 0);
            size_t n, width;
            const double *x = spk_rec_samples(grows, &n, &width);
            CHECK(n == STEPS / 2 && width == 40);
            for (size_t k = 0; k < n; k++) {
                CHECK_EQ(spk_rec_sample_step(grows, k), 2 * (k + 1));
                for (size_t j = 0; j < 40; j++) CHECK(x[k * 40 + j] == t->v[2 * (k + 1)][j]);
            }
            for (int k = 0; k < 4; k++) small_close(&s[k]);
            spk_net_destroy(w.net);
        }
        forget(t);
    }
}

TEST(a_recorder_added_during_a_run_begins_there)
{
    truth *t = observe(9);
    for (uint32_t threads = 0; threads <= 3; threads++) {
        static small s[4], blocker;
        world w = make(threads, 9);
        memset(s, 0, sizeof s);
        memset(&blocker, 0, sizeof blocker);
        small_open(&blocker, &w, SPK_REC_SPIKES, SPK_SINK_MEMORY, 60, 0.0);
        CHECK_EQ(spk_net_run_steps(w.net, STEPS), SPK_ERR_FULL); /* slices wait to be recorded */
        const uint64_t start = spk_net_step(w.net);
        CHECK(start > 10 && start < STEPS - 50);
        small_open(&s[0], &w, SPK_REC_STATE, SPK_SINK_MEMORY, 7, 0.3);
        small_open(&s[1], &w, SPK_REC_RATE, SPK_SINK_RING, 3, 0.7);
        small_open(&s[2], &w, SPK_REC_WEIGHTS, SPK_SINK_MEMORY, 5, 0.4);
        small_open(&s[3], &w, SPK_REC_SPIKES, SPK_SINK_MEMORY, 90, 0.0);
        for (int k = 0; k < 10000; k++) {
            small_drain(&blocker);
            for (int j = 0; j < 4; j++) small_drain(&s[j]);
            const spk_result result = spk_net_run_steps(w.net, STEPS - spk_net_step(w.net));
            if (result == SPK_OK && spk_net_step(w.net) == STEPS) break;
        }
        small_drain(&blocker);
        for (int j = 0; j < 4; j++) small_drain(&s[j]);
        for (int j = 0; j < 3; j++) check_small(&s[j], t, start);
        check_small(&blocker, t, 0);
        size_t later = 0;
        while (later < t->spikes && t->spike[later].step <= start) later++;
        CHECK_EQ(s[3].spikes.count, t->spikes - later);
        for (size_t k = 0; k < s[3].spikes.count && later + k < t->spikes; k++)
            CHECK(s[3].spikes.spike[k].neuron == t->spike[later + k].neuron);
        for (int j = 0; j < 4; j++) small_close(&s[j]);
        small_close(&blocker);
        spk_net_destroy(w.net);
    }
    forget(t);
}

/* An input that was injected while a recorder was full waits for the step that comes. */
TEST(injections_wait_while_a_full_recorder_holds_the_run)
{
    for (uint32_t threads = 0; threads <= 2; threads++) {
        spk_net_desc d = {0};
        d.threads = threads ? threads : 2;
        if (!threads) d.executor.run = run_reversed;
        spk_net *net = spk_net_create(&d);
        spk_pop p = spk_net_add(net, "p", 3, SPK_PARROT, NULL);
        spk_rec_desc r = {0};
        const uint32_t which[] = {0, 2};
        const double amount[] = {0.0, 1.0, 0.0};
        r.capacity = 1;
        spk_rec full = spk_net_record(net, p, &r), rec = spk_net_record_spikes(net, p);
        CHECK_EQ(spk_net_inject_spikes(net, p, which, 2), SPK_OK);
        CHECK_EQ(spk_net_run_steps(net, 1), SPK_ERR_FULL);
        const uint64_t at = spk_net_step(net);
        CHECK_EQ(spk_net_inject_spikes(net, p, which, 1), SPK_OK);
        CHECK_EQ(spk_net_inject_input(net, p, NULL, amount, 3), SPK_OK);
        CHECK_EQ(spk_net_run_steps(net, 5), SPK_ERR_FULL); /* still: no step is done */
        CHECK_EQ(spk_net_step(net), at);
        for (int k = 0; k < 20 && spk_net_step(net) < at + 5; k++) {
            spk_rec_clear(full);
            (void)spk_net_run_steps(net, at + 5 - spk_net_step(net));
        }
        for (int k = 0; k < 9 && spk_net_run_steps(net, 0) == SPK_ERR_FULL; k++)
            spk_rec_clear(full);
        size_t n = 0;
        const spk_spike *s = spk_rec_spikes(rec, &n);
        CHECK_EQ(n, 4);
        if (n == 4) {
            CHECK(s[0].step == 1 && s[0].neuron == 0 && s[1].step == 1 && s[1].neuron == 2);
            CHECK(s[2].step == at + 1 && s[2].neuron == 0);
            CHECK(s[3].step == at + 1 && s[3].neuron == 1);
        }
        spk_net_destroy(net);
    }
}

TEST(weights_are_those_of_their_step_even_if_a_full_recorder_delays_them)
{
    for (uint32_t threads = 0; threads <= 3; threads++) {
        world w = make(threads, 9);
        spk_rec_desc d = {0};
        double zero[SYNAPSES] = {0};
        size_t n, width;
        d.capacity = 1;
        spk_rec full = spk_net_record(w.net, w.all, &d); /* comes first, and holds up the other */
        d.kind = SPK_REC_WEIGHTS;
        d.capacity = 0;
        d.post = w.b;
        spk_rec rec = spk_net_record(w.net, w.a, &d);
        CHECK_EQ(spk_net_run_steps(w.net, STEPS), SPK_ERR_FULL);
        const uint64_t at = spk_net_step(w.net);
        CHECK_EQ(spk_net_set_weights(w.net, w.a, w.b, zero, SYNAPSES), SPK_OK);
        for (int k = 0; k < 5000; k++) {
            spk_rec_clear(full);
            if (spk_net_run_steps(w.net, STEPS - spk_net_step(w.net)) == SPK_OK) break;
        }
        const double *x = spk_rec_samples(rec, &n, &width);
        CHECK(n == STEPS && width == SYNAPSES);
        for (size_t k = 0; k < n; k++)
            CHECK(x[k * width + SYNAPSES - 1] == (k < at ? 0.25 * (SYNAPSES - 1) - 2.0 : 0.0));
        spk_net_destroy(w.net);
    }
}

/* -- files -- */

static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    unsigned char *data = NULL;
    *size = 0;
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    data = (unsigned char *)malloc(*size + 1);
    if (fread(data, 1, *size, f) != *size) *size = 0;
    fclose(f);
    return data;
}

static void check_spike_file(const char *path, const truth *t)
{
    size_t size;
    unsigned char *data = read_file(path, &size);
    CHECK_EQ(size, 12 * t->spikes);
    CHECK_EQ(spk_xxh64(data, size, 0), t->digest);
    for (size_t k = 0; k < t->spikes && 12 * k < size; k++) {
        uint64_t step = 0;
        uint32_t neuron = 0;
        for (int b = 7; b >= 0; b--) step = step << 8 | data[12 * k + (size_t)b];
        for (int b = 3; b >= 0; b--) neuron = neuron << 8 | data[12 * k + 8 + (size_t)b];
        CHECK(step == t->spike[k].step && neuron == t->spike[k].neuron);
    }
    free(data);
}

TEST(files_hold_what_was_recorded_and_xxh64_of_spikes_is_the_digest)
{
    truth *t = observe(9);
    for (uint32_t threads = 0; threads <= 3; threads++) {
        char spikes[512], states[512], rates[512], weights[512];
        world w = make(threads, 9);
        spk_rec_desc d = {0};
        size_t size;
        d.sink = SPK_SINK_FILE;
        d.path = check_tmp("record.spikes", spikes, sizeof spikes);
        spk_rec rec = spk_net_record(w.net, w.all, &d);
        d.kind = SPK_REC_STATE;
        d.state = "v";
        d.path = check_tmp("record.states", states, sizeof states);
        spk_net_record(w.net, w.part, &d);
        d.kind = SPK_REC_RATE;
        d.path = check_tmp("record.rates", rates, sizeof rates);
        spk_net_record(w.net, w.all, &d);
        d.kind = SPK_REC_WEIGHTS;
        d.post = w.b;
        d.interval_ms = 10.0;
        d.path = check_tmp("record.weights", weights, sizeof weights);
        spk_net_record(w.net, w.a, &d);
        if (spk_net_run_steps(w.net, 150) != SPK_OK)
            check_fail(__FILE__, __LINE__, spk_net_error(w.net));
        CHECK_EQ(spk_net_run_steps(w.net, STEPS - 150), SPK_OK);
        CHECK_EQ(spk_rec_digest(rec), t->digest);
        check_spike_file(spikes, t); /* before the network is destroyed: runs end written */
        unsigned char *data = read_file(states, &size);
        CHECK(size == sizeof(double) * 40 * STEPS && !memcmp(data, t->v[1], size));
        free(data);
        data = read_file(rates, &size);
        CHECK_EQ(size, sizeof(double) * STEPS / 10);
        for (size_t k = 0; k < size / sizeof(double); k++) {
            double x;
            memcpy(&x, data + k * sizeof x, sizeof x);
            CHECK_NEAR(x, true_rate(t, 0, 10, k), 1e-9 * x);
        }
        free(data);
        data = read_file(weights, &size);
        CHECK_EQ(size, sizeof(double) * SYNAPSES * (STEPS / 100));
        free(data);
        spk_net_destroy(w.net);
        remove(spikes);
        remove(states);
        remove(rates);
        remove(weights);
    }
    forget(t);
}

TEST(a_full_disk_is_an_error_that_names_the_file_and_the_network_goes_on)
{
    FILE *f = fopen("/dev/full", "wb");
    if (!f) SKIP("there is no /dev/full here");
    fclose(f);
    truth *t = observe(9);
    for (uint32_t threads = 0; threads <= 3; threads++) {
        for (int kind = SPK_REC_SPIKES; kind <= SPK_REC_STATE; kind++) { /* states: mid-run too */
            world w = make(threads, 9);
            spk_rec_desc d = {0};
            int errors = 0;
            uint64_t last = 0;
            spk_rec rec = spk_net_record_spikes(w.net, w.all);
            d.sink = SPK_SINK_FILE;
            d.kind = (spk_rec_kind)kind;
            d.state = "v";
            d.path = "/dev/full";
            CHECK(spk_net_record(w.net, w.part, &d) != NULL);
            for (int k = 0; k < 12; k++) {
                const spk_result result = spk_net_run_steps(w.net, 20);
                errors += result == SPK_ERR_IO;
                CHECK(result == SPK_ERR_IO || k < 4); /* the first spikes come late */
                if (result == SPK_ERR_IO) CHECK_HAS(spk_net_error(w.net), "/dev/full");
                if (kind == SPK_REC_SPIKES) CHECK_EQ(spk_net_step(w.net), 20 * (k + 1));
                CHECK(spk_net_step(w.net) >= last &&
                      spk_net_step(w.net) <= 20u * (uint32_t)(k + 1));
                last = spk_net_step(w.net);
            }
            CHECK(errors >= 8);
            CHECK(kind == SPK_REC_SPIKES || last < 240); /* 64 kB are 200 rows */
            size_t n = 0;
            const spk_spike *s = spk_rec_spikes(rec, &n);
            CHECK(n > 50);
            for (size_t k = 0; k < n; k++)
                CHECK(s[k].step == t->spike[k].step && s[k].neuron == t->spike[k].neuron);
            spk_net_destroy(w.net);
        }
    }
    forget(t);
}

/* The disk fills up in the middle of a record, and is given room again, several times. */
TEST(a_disk_that_gets_room_again_ends_with_the_whole_file)
{
#if defined(__linux__)
    char path[512];
    truth *t = observe(9);
    check_tmp("record.limited", path, sizeof path);
    signal(SIGXFSZ, SIG_IGN);
    for (uint32_t threads = 0; threads <= 3; threads++) {
        struct rlimit before, limit;
        world w = make(threads, 9);
        spk_rec_desc d = {0};
        int errors = 0;
        size_t size;
        d.sink = SPK_SINK_FILE;
        d.kind = SPK_REC_STATE;
        d.state = "v";
        d.path = path;
        spk_net_record(w.net, w.part, &d);
        getrlimit(RLIMIT_FSIZE, &before);
        limit = before;
        limit.rlim_cur = 10007;
        setrlimit(RLIMIT_FSIZE, &limit);
        for (int k = 0; k < 500; k++) {
            const spk_result result = spk_net_run_steps(w.net, STEPS - spk_net_step(w.net));
            if (result == SPK_OK && spk_net_step(w.net) == STEPS) break;
            errors += result == SPK_ERR_IO;
            if (result != SPK_ERR_IO) break;
            limit.rlim_cur += k % 2 ? 11003 : 0;
            setrlimit(RLIMIT_FSIZE, &limit);
        }
        setrlimit(RLIMIT_FSIZE, &before);
        CHECK(errors > 5);
        unsigned char *data = read_file(path, &size);
        CHECK_EQ(size, sizeof(double) * 40 * STEPS);
        CHECK(size == sizeof(double) * 40 * STEPS && !memcmp(data, t->v[1], size));
        free(data);
        spk_net_destroy(w.net);
        remove(path);
    }
    signal(SIGXFSZ, SIG_DFL);
    forget(t);
#else
    SKIP("limits the size of files, which only POSIX systems do");
#endif
}

/* -- a ring that another thread empties during the run -- */

typedef struct reader {
    spk_rec rec;
    pile got;
    int stop;
} reader;

static void *reader_main(void *arg)
{
    reader *r = (reader *)arg;
    spk_spike some[16];
    for (;;) {
        const int stop = __atomic_load_n(&r->stop, __ATOMIC_ACQUIRE);
        const size_t n = spk_rec_read(r->rec, some, 1 + r->got.count % 16);
        pile_add(&r->got, some, n);
        if (!n && stop) return NULL;
    }
}

TEST(a_ring_is_read_by_another_thread_while_the_network_runs)
{
    truth *t = observe(9);
    for (uint32_t threads = 1; threads <= 2; threads++) {
        world w = make(threads, 9);
        spk_rec_desc d = {0};
        reader r;
        pthread_t thread;
        memset(&r, 0, sizeof r);
        d.sink = SPK_SINK_RING;
        d.capacity = 64;
        r.rec = spk_net_record(w.net, w.all, &d);
        CHECK_EQ(spk_net_build(w.net), SPK_OK);
        pthread_create(&thread, NULL, reader_main, &r);
        while (spk_net_step(w.net) < STEPS) {
            const spk_result result = spk_net_run_steps(w.net, STEPS - spk_net_step(w.net));
            CHECK(result == SPK_OK || result == SPK_ERR_FULL);
        }
        while (spk_net_run_steps(w.net, 0) == SPK_ERR_FULL) {
        }
        __atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
        check_pile(&r.got, t);
        CHECK_EQ(spk_rec_digest(r.rec), t->digest);
        free(r.got.spike);
        spk_net_destroy(w.net);
    }
    forget(t);
}

TEST(recorders_of_nothing_record_nothing)
{
    world w = make(2, 1);
    spk_pop none = spk_net_slice(w.net, w.all, 5, 0);
    char path[512];
    spk_rec_desc d = {0};
    spk_rec recs[12];
    int n = 0;
    check_tmp("record.empty", path, sizeof path);
    for (int kind = SPK_REC_SPIKES; kind <= SPK_REC_WEIGHTS; kind++) {
        d.kind = (spk_rec_kind)kind;
        d.state = "v";
        d.post = w.a;
        d.path = path;
        for (int sink = SPK_SINK_MEMORY; sink <= SPK_SINK_FILE; sink += SPK_SINK_FILE) {
            d.sink = (spk_sink)sink;
            d.capacity = 500;
            recs[n++] = spk_net_record(w.net, none, &d);
        }
    }
    CHECK_EQ(spk_net_run_steps(w.net, 50), SPK_OK);
    for (int k = 0; k < n; k++) {
        CHECK(recs[k] != NULL);
        CHECK_EQ(spk_rec_first_id(recs[k]), 0);
        CHECK_NEAR(spk_rec_rate_hz(recs[k]), 0.0, 0.0);
    }
    spk_net_destroy(w.net);
    remove(path);
}

TEST_MAIN()
