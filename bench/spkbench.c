/* cc -O2 spkbench.c -o spkbench -lm -lpthread */

/* One program that measures spikelib: `spkbench SUBCOMMAND [options] [--json]`. Results go to
   standard output, progress to standard error if that is a terminal. Exit status 0, or 2 with one
   line that says what was wrong. */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_CUDA_NVRTC
#include "../spikelib.h"
#include "../spikelib_cl.h"
#include "../spikelib_cuda.cuh"

#include "decode.h"
#include "events.h"
#include "filters.h"
#include "limits.h"
#include "networks.h"
#include "neurons.h"
#include "options.h"
#include "pipeline.h"
#include "report.h"
#include "ring.h"
#include "scale.h"
#include "spikefile.h"

enum { LIST_MAX = 16 };

static int fail(const char *command, const char *why)
{
    fprintf(stderr, "spkbench %s: %s\n", command, why);
    return 2;
}

static void in_turn_run(void *ctx, void (*task)(void *arg, uint32_t k), void *arg, uint32_t count)
{
    in_turn *turn = (in_turn *)ctx;
    double longest = 0.0, begin = spk_clock_seconds();
    uint32_t k;
    for (k = 0; k < count; k++) {
        double end;
        task(arg, k);
        end = spk_clock_seconds();
        if (end - begin > longest) longest = end - begin;
        begin = end;
    }
    turn->critical_s += longest;
}

static spk_net *new_net(const options *o, double dt_ms, in_turn *turn)
{
    spk_net_desc d = {0};
    d.dt_ms = dt_ms;
    d.threads = (uint32_t)o->threads;
    d.seed = (uint64_t)o->seed;
    d.isa = o->isa;
    d.precision = o->precision;
    d.weight_bits = (uint32_t)o->weight_bits;
    d.backend = options_backend(o);
    if (o->in_turn) {
        d.executor.run = in_turn_run;
        d.executor.ctx = turn;
    }
    return spk_net_create(&d);
}

static void report_build(report *r, const spk_net_info *built)
{
    double synapses = (double)built->synapses;
    report_integer(r, "neurons", built->neurons);
    report_integer(r, "synapses", built->synapses);
    report_integer(r, "weight_bits", built->weight_bits);
    report_number(r, "build_s", built->build_s);
    report_number(r, "construct_s", built->construct_s);
    report_number(r, "bytes_per_synapse", (double)built->bytes_now / synapses);
}

/* Seconds of all threads together, and their share of threads x wall time. */
static void report_profile(report *r, const measurement *m)
{
    const spk_net_info *a = &m->before, *b = &m->done;
    const struct {
        const char *seconds, *share;
        double s;
    } part[] = {{"file_s", "file_share", b->file_s - a->file_s},
                {"deliver_s", "deliver_share", b->deliver_s - a->deliver_s},
                {"input_s", "input_share", b->input_s - a->input_s},
                {"update_s", "update_share", b->update_s - a->update_s},
                {"record_s", "record_share", b->record_s - a->record_s},
                {"wait_s", "wait_share", b->wait_s - a->wait_s}};
    double all = m->total_s * (m->critical_s > 0.0 ? 1.0 : (double)b->threads), work = 0.0;
    size_t k;
    for (k = 0; k < sizeof part / sizeof part[0]; k++) {
        report_number(r, part[k].seconds, part[k].s);
        report_number(r, part[k].share, part[k].s / all);
        if (k < 4) work += part[k].s;
    }
    report_number(r, "outside_share", 1.0 - work / all);
}

/* What the machine could do, and how much of it that was. */
static void report_limits(report *r, const measurement *m)
{
    const spk_net_info *info = &m->done;
    double events = (double)m->events / m->total_s;
    double bytes = events * (double)info->bytes_synapses / (double)info->synapses;
    limits l;
    if (!limits_measure(&l, info->isa, info->threads, limits_tile_slots(m->net))) return;
    report_number(r, "limit_adds_per_s", l.adds_per_s);
    report_number(r, "limit_adds_l1_per_s", l.adds_l1_per_s);
    report_number(r, "adds_share", events / l.adds_per_s);
    report_number(r, "limit_triad_bytes_per_s", l.triad_bytes_per_s);
    report_number(r, "synapse_bytes_per_s", bytes);
    report_number(r, "triad_share", bytes / l.triad_bytes_per_s);
}

static void report_network(report *r, const options *o, const measurement *m)
{
    report_integer(r, "precision_bits", (uint64_t)atoi(o->precision_text));
    report_number(r, "dt_ms", m->dt_ms);
    report_number(r, "warmup_ms", o->warmup_ms);
    report_number(r, "ms", o->ms);
    report_build(r, &m->built);
    report_number(r, "sim_s", m->sim_s);
    report_number(r, "rtf", 1000.0 * m->sim_s / o->ms);
    if (m->runs > 1) {
        report_integer(r, "runs", m->runs);
        report_number(r, "rtf_least", 1000.0 * m->run_s[0] / o->ms);
        report_number(r, "rtf_most", 1000.0 * m->run_s[m->runs - 1] / o->ms);
    }
    report_noise(r, m->others);
    report_number(r, "events_per_s", (double)m->events / m->total_s);
    if (o->in_turn)
        report_number(r, "critical_rtf", 1000.0 * m->critical_s / o->ms / (double)m->runs);
    report_number(r, "ns_per_event", 1e9 * m->total_s / (double)m->events);
    if (m->beside_s > 0.0) {
        report_integer(r, "beside_loops", (uint64_t)o->beside);
        report_number(r, "beside_rtf", 1000.0 * m->beside_s / o->ms);
        report_number(r, "beside_ratio", m->beside_s / m->sim_s);
    }
    report_number(r, "peak_rss_mb", peak_rss_mb());
    if (o->profile) report_profile(r, m);
    if (!o->no_limits) report_limits(r, m);
    report_array(r, "rates_hz", m->stats.rates_hz, m->groups);
    report_array(r, "cv_isi", m->stats.cv_isi, m->groups);
    report_array(r, "synchrony", m->stats.synchrony, m->groups);
    report_integer(r, "spikes", m->spikes);
    report_digest(r, m->digest);
}

/* Describes the network of a subcommand. */
static void describe(measurement *m, const options *o, int bit)
{
    int k;
    m->groups = bit == IN_MICROCIRCUIT ? PD_COUNT : 2;
    m->dt_ms = bit == IN_IZHIKEVICH ? 1.0 : 0.1;
    m->net = new_net(o, m->dt_ms, &m->turn);
    if (bit == IN_MICROCIRCUIT) pd_describe(m->net, o->scale, !strcmp(o->drive, "dc"), m->pop);
    if (bit == IN_IZHIKEVICH) izhikevich_describe(m->net, (uint64_t)o->seed, m->pop);
    if (bit == IN_CUBA)
        cuba_describe(m->net, strcmp(o->form, "nest") ? CUBA_BRIAN : CUBA_NEST, m->pop);
    for (k = 0; bit == IN_COBA && k < 3; k++)
        if (!strcmp(o->form, coba_forms[k].name)) coba_describe(m->net, &coba_forms[k], m->pop);
    for (k = 0; bit == IN_BRUNEL && k < 4; k++)
        if (!strcmp(o->state, brunel_states[k].name))
            brunel_describe(m->net, brunel_states[k].g, brunel_states[k].eta, 10.0, m->pop);
}

static int run_network(const char *command, int bit, const options *o)
{
    report r = {0};
    measurement m = {0};
    beside others;
    spk_result result;
    int status = 0;
    if (!beside_begin(&others, (int)o->beside))
        return fail(command, "--beside: no other processes can be started here");
    m.runs = (size_t)o->runs;
    describe(&m, o, bit);
    if (o->profile) spk_net_profile(m.net, true);
    result = measure(&m, o->warmup_ms, o->ms, &others, progress);
    beside_end(&others);
    r.json = o->json;
    r.backend = o->backend;
    if (result == SPK_OK) {
        report_begin(&r, command, m.done.isa, m.done.threads, (uint64_t)o->seed);
        if (bit == IN_MICROCIRCUIT) {
            report_number(&r, "scale", o->scale);
            report_text(&r, "drive", o->drive);
        }
        if (bit == IN_BRUNEL) report_text(&r, "state", o->state);
        if (bit == IN_COBA || bit == IN_CUBA) report_text(&r, "form", o->form);
        report_network(&r, o, &m);
        report_end(&r);
    } else {
        status = fail(command, m.net ? spk_net_error(m.net) : spk_result_text(result));
    }
    statistics_free(&m.stats);
    spk_net_destroy(m.net);
    return status;
}

/* Construction writes each synapse once, at least. */
static void report_build_limits(report *r, const options *o, const spk_net_info *info)
{
    double bytes = (double)info->bytes_synapses / info->build_s;
    limits l;
    if (o->no_limits || !limits_measure(&l, info->isa, info->threads, 1)) return;
    report_number(r, "limit_triad_bytes_per_s", l.triad_bytes_per_s);
    report_number(r, "synapse_bytes_per_s", bytes);
    report_number(r, "triad_share", bytes / l.triad_bytes_per_s);
}

static int run_build(const options *o)
{
    report r = {0};
    spk_pop pop[PD_COUNT];
    spk_net_info info;
    spk_net *net = new_net(o, 0.1, NULL);
    spk_result result;
    int status = 0;
    pd_describe(net, o->scale, !strcmp(o->drive, "dc"), pop);
    result = spk_net_build(net);
    r.json = o->json;
    r.backend = o->backend;
    if (result == SPK_OK) {
        spk_net_get_info(net, &info);
        report_begin(&r, "build", info.isa, info.threads, (uint64_t)o->seed);
        report_number(&r, "scale", o->scale);
        report_build(&r, &info);
        report_number(&r, "synapses_per_s", (double)info.synapses / info.build_s);
        report_number(&r, "peak_rss_mb", peak_rss_mb());
        report_build_limits(&r, o, &info);
        report_end(&r);
    } else {
        status = fail("build", spk_net_error(net));
    }
    spk_net_destroy(net);
    return status;
}

static int run_neurons(const options *o)
{
    report r = {0};
    bool found = false;
    const char *error = "";
    double sizes[LIST_MAX];
    size_t count = options_list(o->n ? o->n : "16384", 1.0, 1e9, sizes, LIST_MAX), k;
    int id;
    if (count == 0) return fail("neurons", "--n: numbers from 1 to 1e9, divided by commas");
    r.json = o->json;
    r.backend = o->backend;
    r.row = !o->json;
    for (id = 0; id < SPK_MODEL_COUNT; id++) {
        spk_model model = spk_model_builtin((spk_model_id)id);
        if (o->model && strcmp(o->model, spk_model_name(model))) continue;
        if (neurons_idle(model)) {
            if (o->model) return fail("neurons", "--model: it only passes spikes on; none come");
            continue;
        }
        found = true;
        for (k = 0; k < count; k++)
            if (neurons_measure(&r, o, model, (size_t)sizes[k], &error) != SPK_OK)
                return fail("neurons", error);
    }
    return found ? 0 : fail("neurons", "--model: no built-in model has that name");
}

static int run_scale(const options *o)
{
    report r = {0};
    const char *error = "";
    double sizes[LIST_MAX], first = 0.0;
    size_t count = options_list(o->synapses ? o->synapses : "1e7,1e8,1e9", 1e4, 1e11, sizes,
                                LIST_MAX), k;
    if (count == 0) return fail("scale", "--synapses: numbers from 1e4, divided by commas");
    r.json = o->json;
    r.row = !o->json;
    for (k = 0; k < count; k++)
        if (scale_measure(&r, o, sizes[k], &first, &error) != SPK_OK) return fail("scale", error);
    return 0;
}

static int run_idle(const options *o)
{
    report r = {0};
    const char *error = "";
    double sizes[LIST_MAX];
    size_t count = options_list(o->n ? o->n : "1000,100000", 1.0, 1e8, sizes, LIST_MAX), k;
    if (count == 0) return fail("idle", "--n: numbers from 1 to 1e8, divided by commas");
    r.json = o->json;
    r.row = !o->json;
    for (k = 0; k < count; k++)
        if (idle_measure(&r, o, (size_t)sizes[k], &error) != SPK_OK) return fail("idle", error);
    return 0;
}

static int run_events(const options *o)
{
    report r = {0};
    options mine = *o;
    char error[512];
    r.json = o->json;
    return events_measure(&r, &mine, error, sizeof error) == SPK_OK ? 0 : fail("events", error);
}

static int run_filters(const options *o)
{
    report r = {0};
    const char *error = "";
    r.json = o->json;
    r.row = !o->json;
    if (filters_run(&r, o, &error) == 0) return 0;
    return fail("filters", error);
}

static int run_ring(const options *o)
{
    report r = {0};
    const char *error = "";
    r.json = o->json;
    r.row = !o->json;
    if (ring_measure(&r, o, strcmp(o->race, "all") ? o->race : NULL, &error) == 0) return 0;
    return fail("ring", error);
}

static int run_pipeline(const options *o)
{
    report r = {0};
    const char *error = "";
    r.json = o->json;
    return pipeline_measure(&r, o, &error) == 0 ? 0 : fail("pipeline", error);
}

/* The instruction set is resolved as for a run, SPIKELIB_ISA included. */
static int run_info(const options *o)
{
    report r = {0};
    spk_net_info info = {0};
    char list[128] = "";
    int isa, status = 0;
    spk_net *net = new_net(o, 0.1, NULL);
    if (spk_net_status(net) != SPK_OK) status = fail("info", spk_net_error(net));
    else spk_net_get_info(net, &info);
    spk_net_destroy(net);
    if (status) return status;
    r.json = o->json;
    r.backend = o->backend;
    for (isa = SPK_ISA_SCALAR; isa <= SPK_ISA_GENERIC; isa++)
        if (spk_isa_available((spk_isa)isa))
            report_append(list, sizeof list, "%s%s", *list ? " " : "", spk_isa_name((spk_isa)isa));
    report_begin(&r, "info", info.isa, (uint32_t)o->threads, (uint64_t)o->seed);
    report_text(&r, "isas", list);
    report_integer(&r, "cpus", spk_cpu_count());
    report_integer(&r, "pointer_bits", 8 * sizeof(void *));
    report_end(&r);
    return 0;
}

static const struct {
    const char *name, *text;
    int bit;
} commands[] = {{"neurons", "neuron-steps per second of each model", IN_NEURONS},
                {"microcircuit", "Potjans-Diesmann cortical microcircuit", IN_MICROCIRCUIT},
                {"brunel", "Brunel's sparse network, states A to D", IN_BRUNEL},
                {"coba", "Vogels-Abbott, conductance-based", IN_COBA},
                {"cuba", "Vogels-Abbott, current-based", IN_CUBA},
                {"izhikevich", "Izhikevich's thousand neurons", IN_IZHIKEVICH},
                {"scale", "time per synaptic event from 1e7 to 1e9 synapses", IN_SCALE},
                {"idle", "time per step of networks in which nothing happens", IN_IDLE},
                {"events", "event stream to convolutional spikes: speed and latency", IN_EVENTS},
                {"pipeline", "three stages: throughput, urgent items, overload", IN_PIPELINE},
                {"filters", "events per second of each filter and view", IN_FILTERS},
                {"decode", "event formats into events, against a copy of these", IN_DECODE},
                {"build", "construction of the microcircuit", IN_BUILD},
                {"ring", "rings between two threads, and round trips", IN_RING},
                {"spikefile", "size, scan and windows of spike files", IN_SPIKEFILE},
                {"info", "version, compiler, CPU, instruction sets", IN_INFO}};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static int usage(void)
{
    int k;
    puts("spkbench SUBCOMMAND [options] [--json]; spkbench SUBCOMMAND --help");
    for (k = 0; k < COMMAND_COUNT; k++) printf("  %-14s %s\n", commands[k].name, commands[k].text);
    return 0;
}

static int run_command(int argc, char **argv)
{
    options o = {0};
    int k;
    if (argc == 2 && !strcmp(argv[1], "--help")) return usage();
    if (argc < 2) return fail("SUBCOMMAND", "none was given (--help lists them)");
    for (k = 0; k < COMMAND_COUNT && strcmp(argv[1], commands[k].name); k++) continue;
    if (k == COMMAND_COUNT) return fail(argv[1], "no such subcommand (--help lists them)");
    o.scale = 1.0;
    o.ms = commands[k].bit == IN_SCALE ? 300.0 : 1000.0;
    o.warmup_ms = commands[k].bit == IN_SCALE ? 100.0 : 500.0;
    o.threads = spk_cpu_count();
    o.seed = 1.0;
    o.weight_bits = 16.0;
    o.steps = 20000.0;
    o.seconds = 30.0;
    o.dt_us = 125.0;
    o.rate = 1e7;
    o.repeat = 40.0;
    o.items = 2e6;
    o.rounds = 7.0;
    o.runs = 1.0;
    o.race = "all";
    o.gb = 0.1;
    o.dir = ".";
    o.codec = "packed";
    o.backend = "cpu";
    o.drive = "poisson";
    o.state = "C";
    o.form = "brian";
    o.precision_text = "32";
    o.isa_text = "auto";
    if (!options_parse(&o, argv[1], commands[k].bit, argc - 2, argv + 2)) return 2;
    if (o.help) {
        options_help(argv[1], commands[k].bit);
        return 0;
    }
    if (commands[k].bit == IN_NEURONS) return run_neurons(&o);
    if (commands[k].bit == IN_SCALE) return run_scale(&o);
    if (commands[k].bit == IN_IDLE) return run_idle(&o);
    if (commands[k].bit == IN_BUILD) return run_build(&o);
    if (commands[k].bit == IN_EVENTS) return run_events(&o);
    if (commands[k].bit == IN_FILTERS) return run_filters(&o);
    if (commands[k].bit == IN_DECODE) {
        const char *error = decode_run(&o);
        return error ? fail("decode", error) : 0;
    }
    if (commands[k].bit == IN_RING) return run_ring(&o);
    if (commands[k].bit == IN_PIPELINE) return run_pipeline(&o);
    if (commands[k].bit == IN_INFO) return run_info(&o);
    if (commands[k].bit == IN_SPIKEFILE) {
        const char *why = spikefile_run(&o);
        return why ? fail("spikefile", why) : 0;
    }
    return run_network(argv[1], commands[k].bit, &o);
}

/* A result that was not written down is a failure, too (a full disk, a closed pipe). */
int main(int argc, char **argv)
{
    int status = run_command(argc, argv);
    bool lost = fflush(stdout) != 0;
    lost = ferror(stdout) || lost;
    return lost && status == 0 ? fail(argv[1], "standard output cannot be written") : status;
}
