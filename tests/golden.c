/* ---- >>golden: small networks whose spikes are the same wherever they run ---- */

/* golden [--isa NAME|auto] [--threads N] [--backend NAME] [--network NAME] [--verbose] prints a
   line "network digest" for each network: the XXH64 of its spikes, or, where the name ends in
   ".v", of its states at the end.
   --isas lists the instruction sets that this program can use here, --verbose adds what happened.
   Exit status 1 where a network could not run or hardly spiked: a digest of silence proves
   nothing. C11 and C++11. */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "../spikelib.h"

/* -- a model that no one else has, with every function that its text may call -- */

#define STRANGE_PARAMS(X)                                                                         \
    X(tau_m, 9.0, "ms") X(gain, 1.3, "") X(power, 1.7, "") X(v_th, 1.2, "") X(rounds, 3.0, "")
#define STRANGE_DERIVED(X)                                                                        \
    X(h, dt / tau_m) X(decay, spk_exp(-dt / tau_m)) X(root, spk_sqrt(gain))                       \
    X(mixed, spk_log(tau_m) + spk_pow(tau_m, 0.3) + spk_sin(gain) * spk_cos(gain) +               \
             spk_tanh(gain) + spk_exprel(-gain))
#define STRANGE_STATE(X) X(v, 0.1 * gain, "") X(w, 0.0, "") X(z, 0.5, "") X(q, 0.0, "")
#define STRANGE_INPUTS(X)                                                                         \
    X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT) X(dice, SPK_RANDOM)
SPIKELIB_NEURON(strange, STRANGE_PARAMS, STRANGE_DERIVED, STRANGE_STATE, STRANGE_INPUTS,
    const real drive = ex - in + K(0.01) * i_ext + K(0.2) * (dice - K(0.5));
    const real bump = spk_exp(-v * v) + spk_exprel(w - v) - spk_log(K(1.5) + v * v);
    const real wave = spk_sin(K(40.0) * z) + spk_cos(K(25.0) * w + mixed);
    const mask high = (v > K(0.5)) & (w < K(2.0));
    z = K(3.9) * z * (K(1.0) - z);
    z = spk_max(spk_min(z, K(0.999)), K(0.001));
    for (real n = K(0.0); spk_any(n < rounds); n = n + K(1.0)) {
        w = spk_select(n < rounds, w + h * (spk_tanh(v) - w), w);
    }
    q = spk_flush(decay * q) + K(0.1) * spk_abs(drive);
    v = decay * v + h * root * (bump + wave + spk_select(high, K(1.5), K(0.8))) + drive;
    v = v + h * spk_pow(spk_abs(w) + K(0.01), power) - h * spk_sqrt(spk_abs(q));
    spike = v >= v_th;
    v = spk_select(spike, K(-0.3) * z, v);
    w = spk_select(spike, w + K(0.2), w);
)

#ifdef GOLDEN_CL /* with OpenCL: --backend cl; cl-items, cl-tiles: the ways of GPUs;
                     -rows behind it: rows drawn there */
#include "../spikelib_cl.h"
#include "oclgrind.h"
#endif
#ifdef GOLDEN_CUDA /* with CUDA: --backend cuda, cuda-own, cuda-all, cuda-slices, cuda-graph */
#ifdef GOLDEN_CUDA_CODE /* compiled by nvcc, the kernels too */
#define GOLDEN_MODELS                                                                             \
    lif_exp, lif_exp2, lif_alpha, lif_delta, lif_cond, lif_adapt, adex, izhikevich, hh, poisson,  \
        spike_list, parrot, strange
#define SPIKELIB_CUDA_KERNELS(X)                                                                  \
    X(32, 16, GOLDEN_MODELS) X(32, 32, lif_alpha) X(32, 16_wide, izhikevich, lif_exp)             \
    X(64, 32, GOLDEN_MODELS) X(16, 16, GOLDEN_MODELS)
#else
#define SPIKELIB_CUDA_NVRTC
#endif
#include "../spikelib_cuda.cuh"
#endif
#ifdef GOLDEN_CUDA_MOCK /* the same, the kernels run on the CPU */
#include "mock_cuda.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZERO(type, name)                                                                          \
    type name;                                                                                    \
    memset(&name, 0, sizeof name)
#define NEURON_MODELS 9 /* the models before SPK_MODEL_POISSON */

static spk_isa golden_isa = SPK_ISA_AUTO;
static uint32_t golden_threads = 1;
static int golden_failed, golden_verbose;
static const char *golden_backend = "cpu";
static const char *golden_only; /* the one network to run; NULL: all of them */

typedef struct golden {
    const char *name;
    spk_net *net;
    spk_pop all;
    spk_rec rec;
} golden;

static golden begin(const char *name, spk_precision precision, uint32_t weight_bits, double dt)
{
    golden g;
    ZERO(spk_net_desc, d);
    memset(&g, 0, sizeof g);
    d.dt_ms = dt;
    d.seed = 20240521u + strlen(name);
    d.threads = golden_threads;
    d.isa = golden_isa;
    d.precision = precision;
    d.weight_bits = weight_bits;
#ifdef GOLDEN_CL
    if (strcmp(golden_backend, "cpu") != 0) {
        ZERO(spk_cl_desc, cl);
        cl.style = strstr(golden_backend, "-items")   ? SPK_CL_ITEMS
                   : strstr(golden_backend, "-tiles") ? SPK_CL_TILES
                                                      : SPK_CL_AUTO;
        cl.tiles = cl.style == SPK_CL_TILES ? 3 : 0;
        cl.construction =
            strstr(golden_backend, "-rows") ? SPK_CONSTRUCTION_DEVICE : SPK_CONSTRUCTION_HOST;
        if (strncmp(golden_backend, "oclgrind", 8) == 0) {
            cl.cache_dir = "";
            cl.symbol = oclgrind_symbol;
            cl.symbol_ctx = oclgrind_open();
        }
        cl.device = getenv("SPIKELIB_CL_DEVICE");
        d.backend = spk_cl_backend(&cl);
    }
#endif
#ifdef GOLDEN_CUDA
    if (strncmp(golden_backend, "cuda", 4) == 0) {
        static const char *const style[] = {"cuda", "cuda-own", "cuda-all", "cuda-slices",
                                            "cuda-graph"};
        ZERO(spk_cuda_desc, cuda);
        for (int k = 0; k < 5; k++) {
            cuda.style = strcmp(golden_backend, style[k]) == 0 ? (spk_cuda_style)k : cuda.style;
        }
        cuda.construction = cuda.style == SPK_CUDA_AUTO || cuda.style == SPK_CUDA_OWN
                                ? SPK_CONSTRUCTION_DEVICE
                                : SPK_CONSTRUCTION_HOST;
#ifdef GOLDEN_CUDA_MOCK
        mock_reset();
        mock.execute = 1;
        cuda.symbol = mock_symbol;
        cuda.cache_dir = "";
#endif
        d.backend = spk_cuda_backend(&cuda);
    }
#endif
    g.name = name;
    g.net = spk_net_create(&d);
    return g;
}

static void complain(const golden *g, const char *what, unsigned long long value)
{
    fprintf(stderr, "%s: %s (%llu): %s\n", g->name, what, value, spk_net_error(g->net));
    golden_failed = 1;
}

static void record(golden *g, spk_pop pop)
{
    g->all = g->all.index ? spk_net_union(g->net, g->all, pop) : pop;
}

static void start(golden *g)
{
    g->rec = spk_net_record_spikes(g->net, g->all);
    if (spk_net_build(g->net) != SPK_OK) {
        complain(g, "does not build", 0);
    }
#ifdef GOLDEN_CUDA_CODE
    static char text[4000];
    (void)spk_net_describe(g->net, text, sizeof text);
    if (strcmp(golden_backend, "cpu") != 0 && !strstr(text, "kernels compiled with the program")) {
        complain(g, "does not run on what nvcc compiled", 0);
    }
#endif
}

static void advance(golden *g, uint64_t steps)
{
    if (spk_net_run_steps(g->net, steps) != SPK_OK) {
        complain(g, "does not run", steps);
    }
}

static void finish(golden *g, uint64_t least, bool state)
{
    const uint64_t count = spk_rec_count(g->rec);
    printf("%s %016llx\n", g->name, (unsigned long long)spk_rec_digest(g->rec));
    if (state) {
        printf("%s.v %016llx\n", g->name, (unsigned long long)spk_net_state_digest(g->net));
    }
    if (count < least) {
        complain(g, "spikes too little", count);
    }
#ifdef GOLDEN_CUDA_MOCK
    if (strcmp(golden_backend, "cuda-graph") == 0 && mock.replays == 0) {
        complain(g, "replayed nothing", 0);
    }
#endif
    if (golden_verbose) {
        ZERO(spk_net_info, info);
        (void)spk_net_get_info(g->net, &info);
        fprintf(stderr, "%-12s %6llu spikes %7llu synapses %8llu events %u tiles "
                "delays %u-%u acc %u build %.4f run %.4f s\n", g->name, (unsigned long long)count,
                (unsigned long long)info.synapses, (unsigned long long)info.events, info.tiles,
                info.min_delay_steps, info.max_delay_steps, info.accumulator_bits, info.build_s,
                info.run_s);
    }
    spk_net_destroy(g->net);
}

/* -- parts -- */

static spk_conn_desc synapses(spk_rule rule, spk_value weight, spk_value delay)
{
    ZERO(spk_conn_desc, c);
    c.rule = rule;
    c.weight = weight;
    c.delay_ms = delay;
    return c;
}

static void in_degree(const golden *g, spk_pop from, spk_pop to, size_t k, spk_value weight,
                      spk_value delay)
{
    spk_conn_desc c = synapses(SPK_FIXED_INDEGREE, weight, delay);
    c.k = k;
    (void)spk_net_connect(g->net, from, to, &c);
}

static void poisson(const golden *g, spk_pop to, spk_value rate, spk_value weight)
{
    ZERO(spk_poisson_desc, p);
    p.rate_hz = rate;
    p.weight = weight;
    (void)spk_net_drive_poisson(g->net, to, &p);
}

static void current(const golden *g, spk_pop to, spk_value amplitude, double sd, double every)
{
    ZERO(spk_current_desc, c);
    c.amplitude = amplitude;
    c.noise_sd = sd;
    c.noise_dt_ms = every;
    (void)spk_net_drive_current(g->net, to, &c);
}

/* A population of one neuron model, its parameters different in each neuron. */
static spk_pop add_model(const golden *g, spk_model_id id, size_t n)
{
    spk_net *net = g->net;
    const spk_model model = spk_model_builtin(id);
    const char *name = spk_model_name(model);
    const spk_value v = spk_uniform(-70, -55), tau_m = spk_normal_clipped(12, 3, 5, 25);
    switch ((int)id) {
    case SPK_MODEL_LIF_EXP:
        return spk_net_add(net, name, n, model, SPK_SET({"tau_m", tau_m}, {"v", v},
            {"i_dc", spk_normal(420, 60)}, {"c_m", spk_uniform(200, 300)},
            {"t_ref", spk_uniform(0, 3)}));
    case SPK_MODEL_LIF_EXP2:
        return spk_net_add(net, name, n, model, SPK_SET({"tau_m", tau_m}, {"v", v},
            {"i_dc", spk_normal(450, 50)}, {"tau_syn_ex", spk_uniform(0.5, 5)},
            {"tau_syn_in", spk_lognormal(1, 0.3)}));
    case SPK_MODEL_LIF_ALPHA:
        return spk_net_add(net, name, n, model, SPK_SET({"tau_m", tau_m}, {"v", v},
            {"i_dc", spk_normal(450, 50)}, {"tau_syn_ex", spk_uniform(0.5, 5)},
            {"tau_syn_in", spk_constant(12.0)}));
    case SPK_MODEL_LIF_DELTA:
        return spk_net_add(net, name, n, model, SPK_SET({"tau_m", spk_uniform(10, 20)},
            {"v", spk_uniform(0, 19)}, {"i_dc", spk_uniform(300, 500)},
            {"v_reset", spk_uniform(0, 12)}));
    case SPK_MODEL_LIF_COND:
        return spk_net_add(net, name, n, model, SPK_SET({"g_l", spk_uniform(8, 12)}, {"v", v},
            {"i_dc", spk_uniform(80, 250)}, {"e_in", spk_uniform(-85, -75)},
            {"t_ref", spk_uniform(1, 5)}));
    case SPK_MODEL_LIF_ADAPT:
        return spk_net_add(net, name, n, model, SPK_SET({"tau_m", tau_m}, {"v", v},
            {"i_dc", spk_normal(600, 50)}, {"tau_th", spk_uniform(50, 200)},
            {"q_th", spk_uniform(0.5, 4)}));
    case SPK_MODEL_ADEX:
        return spk_net_add(net, name, n, model, SPK_SET({"a", spk_uniform(-8, 8)}, {"v", v},
            {"i_dc", spk_uniform(700, 1200)}, {"b", spk_uniform(0, 120)},
            {"tau_w", spk_uniform(30, 300)}, {"v_reset", spk_uniform(-60, -46)}));
    case SPK_MODEL_IZHIKEVICH:
        return spk_net_add(net, name, n, model, SPK_SET({"a", spk_uniform(0.02, 0.1)},
            {"b", spk_uniform(0.2, 0.25)}, {"c", spk_uniform(-65, -50)}, {"d", spk_uniform(2, 8)},
            {"i_dc", spk_uniform(4, 14)}, {"u_old", spk_uniform(-1, 1)},
            {"substeps", spk_uniform(1, 4)}));
    default:
        return spk_net_add(net, name, n, model, SPK_SET({"g_na", spk_uniform(18000, 22000)},
            {"v", v}, {"i_dc", spk_uniform(100, 600)}, {"v_t", spk_uniform(-65, -60)},
            {"substeps", spk_uniform(1, 3)}));
    }
}

/* Weights that a neuron of each model feels and survives. */
static double unit_weight(spk_model_id id)
{
    static const double unit[NEURON_MODELS] = {60, 40, 40, 0.4, 2, 60, 60, 0.5, 2};
    return unit[id];
}

/* The model's neurons, recurrently connected, in Poisson spikes and noise. */
static spk_pop add_ensemble(golden *g, spk_model_id id, size_t n)
{
    const double w = unit_weight(id);
    const spk_pop pop = add_model(g, id, n);
    const spk_pop exc = spk_net_slice(g->net, pop, 0, n * 4 / 5);
    const spk_pop inh = spk_net_slice(g->net, pop, n * 4 / 5, n - n * 4 / 5);
    in_degree(g, exc, pop, 12, spk_lognormal(0.5, 0.4), spk_uniform(0.3, 3));
    in_degree(g, exc, pop, 6, spk_normal_clipped(w, w / 4, 0, 4 * w), spk_normal(1.5, 0.8));
    in_degree(g, inh, pop, 5, spk_uniform(-6 * w, -2 * w), spk_constant(0.8));
    poisson(g, exc, spk_constant(900), spk_constant(w));
    poisson(g, inh, spk_uniform(200, 1500), spk_normal(0, w));
    current(g, pop, spk_constant(0), id == SPK_MODEL_IZHIKEVICH ? 2.0 : 60.0, 0);
    record(g, pop);
    return pop;
}

/* -- networks -- */

static void one_model(spk_model_id id)
{
    golden g = begin(spk_model_name(spk_model_builtin(id)), SPK_FLOAT32, 16, 0.1);
    (void)add_ensemble(&g, id, 150);
    start(&g);
    advance(&g, 700);
    finish(&g, 400, false);
}

/* Every model in one network, each driving the next, with sources and parrots. */
static void all_models(const char *name, spk_precision precision, uint32_t bits)
{
    golden g = begin(name, precision, bits, 0.1);
    spk_pop pop[NEURON_MODELS];
    const spk_pop source = spk_net_add(g.net, "source", 70, SPK_POISSON,
                                       SPK_SET({"rate", spk_uniform(5, 300)}));
    const spk_pop parrot = spk_net_add(g.net, "parrot", 70, SPK_PARROT, NULL);
    (void)spk_net_connect(g.net, source, parrot, NULL);
    record(&g, source);
    record(&g, parrot);
    for (int k = 0; k < NEURON_MODELS; k++) {
        pop[k] = add_ensemble(&g, (spk_model_id)k, 40);
        in_degree(&g, parrot, pop[k], 8, spk_constant(2 * unit_weight((spk_model_id)k)),
                  spk_uniform(0.1, 4));
    }
    for (int k = 0; k < NEURON_MODELS; k++) {
        in_degree(&g, pop[(k + 1) % NEURON_MODELS], pop[k], 8,
                  spk_lognormal(-0.5, 0.5), spk_uniform(0.1, 20));
    }
    start(&g);
    advance(&g, 237);
    advance(&g, 213);
    finish(&g, 500, true);
}

static void row_of(void *ctx, uint32_t source, spk_row *row)
{
    (void)ctx;
    for (uint32_t k = 0; k < 5; k++) {
        spk_row_add(row, (source * 7 + k * k * 13) % 90, 20.0 + (double)k, 0.1 * (k + 1));
    }
}

static double weight_of(void *ctx, uint32_t source, uint32_t target)
{
    (void)ctx;
    return (double)((source * 31 + target * 17) % 101) * 0.7 - 20.0;
}

/* Each rule and each way to give weights and delays. */
static void rules(void)
{
    static uint32_t from[300], to[300];
    static uint64_t offset[91];
    static double weight[300], delay[300];
    golden g = begin("rules", SPK_FLOAT32, 16, 0.1);
    const spk_pop a = add_model(&g, SPK_MODEL_LIF_EXP, 90);
    const spk_pop b = add_model(&g, SPK_MODEL_LIF_EXP2, 90);
    spk_conn_desc c;
    for (uint32_t k = 0; k < 300; k++) {
        from[k] = k * k % 89;
        to[k] = k * 37 % 90;
        weight[k] = (double)k - 100.0;
        delay[k] = 0.1 * (1 + k % 50);
    }
    for (uint32_t k = 0; k <= 90; k++) {
        offset[k] = k * 10 / 3;
    }
    (void)spk_net_connect(g.net, a, b, NULL);
    c = synapses(SPK_ALL_TO_ALL, spk_normal(0, 4), spk_uniform(0.1, 5));
    c.no_autapses = true;
    (void)spk_net_connect(g.net, b, b, &c);
    c = synapses(SPK_BERNOULLI, spk_lognormal(2, 0.5), spk_normal(1.5, 0.7));
    c.p = 0.1;
    (void)spk_net_connect(g.net, a, b, &c);
    c = synapses(SPK_FIXED_INDEGREE, spk_function(weight_of, NULL), spk_lognormal(0, 0.5));
    c.k = 9;
    c.no_multapses = c.no_autapses = true;
    (void)spk_net_connect(g.net, a, a, &c);
    c = synapses(SPK_FIXED_OUTDEGREE, spk_uniform(-30, -10), spk_normal_clipped(2, 1, 1, 3));
    c.k = 7;
    (void)spk_net_connect(g.net, b, a, &c);
    c.no_multapses = true;
    (void)spk_net_connect(g.net, a, b, &c);
    c = synapses(SPK_FIXED_TOTAL, spk_normal_clipped(20, 10, 5, 50), spk_constant(0.7));
    c.total = 700;
    (void)spk_net_connect(g.net, b, a, &c);
    c.no_multapses = true;
    (void)spk_net_connect(g.net, a, b, &c);
    c = synapses(SPK_COO, spk_array(weight, 300), spk_array(delay, 300));
    c.sources = from;
    c.targets = to;
    c.total = 300;
    (void)spk_net_connect(g.net, a, a, &c);
    c.rule = SPK_CSR;
    c.sources = NULL;
    c.row_offsets = offset;
    c.total = 0;
    (void)spk_net_connect(g.net, b, b, &c);
    ZERO(spk_conn_desc, r);
    r.rule = SPK_CALLBACK;
    r.row = row_of;
    (void)spk_net_connect(g.net, a, b, &r);
    record(&g, a);
    record(&g, b);
    start(&g);
    advance(&g, 700);
    finish(&g, 500, true);
}

/* Slices of several steps, and delays up to the longest. */
static void delays(void)
{
    golden g = begin("delays", SPK_FLOAT32, 32, 0.1);
    const spk_pop pop = add_model(&g, SPK_MODEL_LIF_ALPHA, 200);
    in_degree(&g, pop, pop, 15, spk_normal(0, 40), spk_uniform(1.7, 102.4));
    record(&g, pop);
    start(&g);
    advance(&g, 1);
    advance(&g, 1999);
    finish(&g, 1000, false);
}

/* What the host tells it: spike lists, injected spikes, inputs and currents, new parameters. */
static void told(void)
{
    static uint32_t who[400];
    static double when[400], amount[100];
    golden g = begin("told", SPK_FLOAT32, 16, 0.1);
    const spk_pop list = spk_net_add(g.net, "list", 100, SPK_SPIKE_LIST, NULL);
    const spk_pop cells = add_model(&g, SPK_MODEL_LIF_EXP2, 100);
    const spk_pop some = spk_net_slice(g.net, cells, 33, 50);
    for (uint32_t k = 0; k < 400; k++) {
        who[k] = k * 41 % 100;
        when[k] = 0.1 * (1 + k * 277 % 600);
    }
    (void)spk_net_spike_list(g.net, list, who, when, 400);
    in_degree(&g, list, cells, 5, spk_uniform(50, 400), spk_uniform(0.4, 6));
    in_degree(&g, cells, cells, 5, spk_uniform(-200, 50), spk_uniform(0.4, 6));
    record(&g, list);
    record(&g, cells);
    start(&g);
    for (uint32_t k = 0; k < 12; k++) {
        for (uint32_t j = 0; j < 100; j++) {
            amount[j] = (double)((k * 100 + j) * 73 % 211) - 60.0;
        }
        (void)spk_net_inject_input(g.net, cells, NULL, amount, 100);
        (void)spk_net_inject_current(g.net, some, amount, 50);
        (void)spk_net_inject_spikes(g.net, k % 2 ? cells : list, who + k, 20);
        if (k == 6) {
            for (uint32_t j = 0; j < 50; j++) {
                amount[j] = 5.0 + 0.1 * (double)j;
            }
            (void)spk_net_set(g.net, some, "tau_m", amount, 50);
        }
        advance(&g, 50);
    }
    finish(&g, 1000, true);
}

/* So many inputs that a 32-bit sum might overflow. */
static void wide(void)
{
    golden g = begin("wide", SPK_FLOAT32, 16, 0.1);
    const spk_pop from = add_model(&g, SPK_MODEL_IZHIKEVICH, 100);
    const spk_pop to = add_model(&g, SPK_MODEL_LIF_EXP, 2);
    spk_conn_desc c = synapses(SPK_FIXED_TOTAL, spk_uniform(-8, 10), spk_uniform(0.2, 3));
    c.total = 140000;
    (void)spk_net_connect(g.net, from, to, &c);
    in_degree(&g, to, from, 2, spk_uniform(1, 2), spk_constant(0.2));
    record(&g, from);
    record(&g, to);
    start(&g);
    advance(&g, 1500);
    ZERO(spk_net_info, info);
    (void)spk_net_get_info(g.net, &info);
    if (info.accumulator_bits != 64) {
        complain(&g, "its accumulators are not wide", info.accumulator_bits);
    }
    finish(&g, 200, true);
}

/* Nearly everyone spikes in nearly every step, and each spike arrives at many different times:
   more buckets under way than the queue holds. */
static void overflow(void)
{
    golden g = begin("overflow", SPK_FLOAT32, 16, 0.1);
    const spk_pop pop = spk_net_add(g.net, "eager", 130, SPK_LIF_DELTA,
                                    SPK_SET({"t_ref", spk_constant(0)},
                                            {"v_reset", spk_uniform(0, 15)},
                                            {"i_dc", spk_uniform(15000, 60000)}));
    const spk_conn_desc c = synapses(SPK_ALL_TO_ALL, spk_normal(0, 0.5), spk_uniform(0.1, 6));
    uint32_t deferred = 0;
    (void)spk_net_connect(g.net, pop, pop, &c);
    record(&g, pop);
    start(&g);
    for (uint32_t k = 0; k < 10; k++) {
        advance(&g, 20);
        for (uint32_t t = 0; t < g.net->tiles; t++) {
            deferred += g.net->tile[t].deferred_count;
        }
    }
    if (!deferred && strcmp(golden_backend, "cpu") == 0) { /* a device has no such queue */
        complain(&g, "its queue never overflows", 0);
    }
    finish(&g, 10000, false);
}

/* -- the model that no one else has -- */

static void own_model(const char *name, spk_precision precision, uint32_t bits)
{
    golden g = begin(name, precision, bits, 0.2);
    const spk_pop pop = spk_net_add(g.net, "strange", 150, strange,
                                    SPK_SET({"tau_m", spk_uniform(4, 12)},
                                            {"rounds", spk_uniform(0, 4)},
                                            {"power", spk_uniform(0.5, 2)},
                                            {"z", spk_uniform(0.1, 0.9)}));
    in_degree(&g, pop, pop, 20, spk_normal(0.02, 0.1), spk_uniform(0.2, 5));
    current(&g, pop, spk_uniform(-1, 1), 3.0, 1.0);
    record(&g, pop);
    start(&g);
    advance(&g, 400);
    finish(&g, 1000, true);
}

static bool wanted(const char *name)
{
    return !golden_only || strcmp(golden_only, name) == 0;
}

int main(int argc, char **argv)
{
    for (int k = 1; k < argc; k++) {
#ifdef GOLDEN_CL
        if (strcmp(argv[k], "--devices") == 0) { /* what could run it, or why nothing can */
            spk_cl_device device[16];
            char why[256];
            const size_t n = spk_cl_devices(NULL, device, 16, why, sizeof why);
            for (size_t j = 0; j < n && j < 16; j++) {
                if (device[j].usable) {
                    printf("%s\n", device[j].name);
                } else {
                    fprintf(stderr, "%s: %s\n", device[j].name, device[j].why);
                }
            }
            if (n == 0) {
                fprintf(stderr, "%s\n", why);
            }
            return 0;
        }
#endif
        if (strcmp(argv[k], "--isas") == 0) {
            for (int isa = SPK_ISA_SCALAR; isa <= SPK_ISA_GENERIC; isa++) {
                if (spk_isa_available((spk_isa)isa)) {
                    printf("%s\n", spk_isa_name((spk_isa)isa));
                }
            }
            return 0;
        }
        if (strcmp(argv[k], "--verbose") == 0) {
            golden_verbose = 1;
        } else if (k + 1 < argc && strcmp(argv[k], "--threads") == 0) {
            golden_threads = (uint32_t)strtoul(argv[++k], NULL, 10);
        } else if (k + 1 < argc && strcmp(argv[k], "--backend") == 0) {
            golden_backend = argv[++k];
        } else if (k + 1 < argc && strcmp(argv[k], "--network") == 0) {
            golden_only = argv[++k];
        } else if (k + 1 < argc && strcmp(argv[k], "--isa") == 0) {
            golden_isa = spk_isa_from_name(argv[++k]);
            if (golden_isa == SPK_ISA_AUTO && strcmp(argv[k], "auto") != 0) {
                fprintf(stderr, "no instruction set \"%s\"\n", argv[k]);
                return 2;
            }
        } else {
            fprintf(stderr, "golden [--isas] [--isa NAME] [--threads N] [--backend NAME] "
                            "[--network NAME] [--verbose]\n");
            return 2;
        }
    }
    for (int k = 0; k < NEURON_MODELS; k++) {
        if (wanted(spk_model_name(spk_model_builtin((spk_model_id)k)))) {
            one_model((spk_model_id)k);
        }
    }
    const struct {
        const char *name;
        spk_precision precision;
        uint32_t bits;
    } width[3] = {{"f32", SPK_FLOAT32, 16}, {"f64", SPK_FLOAT64, 32}, {"f16", SPK_FLOAT16, 16}};
    const struct {
        const char *name;
        void (*run)(void);
    } special[5] = {{"rules", rules},
                    {"delays", delays},
                    {"told", told},
                    {"wide", wide},
                    {"overflow", overflow}};
    char name[16];
    for (int k = 0; k < 3; k++) {
        (void)snprintf(name, sizeof name, "all_%s", width[k].name);
        if (wanted(name)) {
            all_models(name, width[k].precision, width[k].bits);
        }
    }
    for (int k = 0; k < 5; k++) {
        if (wanted(special[k].name)) {
            special[k].run();
        }
    }
    for (int k = 0; k < 3; k++) {
        (void)snprintf(name, sizeof name, "own_%s", width[k].name);
        if (wanted(name)) {
            own_model(name, width[k].precision, width[k].bits);
        }
    }
    return golden_failed;
}
