/* ---- >>scale: what an event costs in networks of any size, and a step without any ---- */
#ifndef SPKBENCH_SCALE_H
#define SPKBENCH_SCALE_H

#include "limits.h"
#include "options.h"
#include "report.h"

#include <math.h>

static spk_net *scale_net(const options *o)
{
    spk_net_desc d = {0};
    d.threads = (uint32_t)o->threads;
    d.backend = options_backend(o);
    d.seed = (uint64_t)o->seed;
    d.isa = o->isa;
    d.precision = o->precision;
    d.weight_bits = (uint32_t)o->weight_bits;
    return spk_net_create(&d);
}

/* Four fifths of the neurons excite, one fifth inhibits four times as strongly; a tenth of all
   pairs is connected, so that a row grows with the network as it does in cortex: 1e5 neurons and
   1e9 synapses are a cubic millimetre. Inputs balance, and their variance does not depend on size:
   nor does the rate, which a constant current sets. */
static void scale_describe(spk_net *net, double synapses)
{
    const double n = floor(sqrt(10.0 * synapses) + 0.5), weight = 600.0 / sqrt(n / 10.0);
    const size_t exc = (size_t)(0.8 * n), inh = (size_t)(n - floor(0.8 * n));
    const spk_set *set = SPK_SET({"i_dc", spk_uniform(330.0, 390.0)}, {"v", spk_uniform(-65, -50)});
    spk_pop pop[2], all;
    int k;
    pop[0] = spk_net_add(net, "exc", exc, SPK_LIF_EXP, set);
    pop[1] = spk_net_add(net, "inh", inh, SPK_LIF_EXP, set);
    all = spk_net_union(net, pop[0], pop[1]);
    for (k = 0; k < 2; k++) {
        spk_conn_desc c = {0};
        c.rule = SPK_BERNOULLI;
        c.p = 0.1;
        c.weight = spk_constant(k ? -4.0 * weight : weight);
        c.delay_ms = spk_normal(1.5, 0.75);
        spk_net_connect(net, pop[k], all, &c);
    }
}

static void scale_report(report *r, const options *o, const spk_net *net,
                         const spk_net_info *before, double sim_s, double *first)
{
    spk_net_info a;
    limits l;
    double events, ns;
    spk_net_get_info(net, &a);
    events = (double)(a.events - before->events);
    ns = 1e9 * sim_s / events;
    if (*first == 0.0) *first = ns;
    report_begin(r, "scale", a.isa, a.threads, (uint64_t)o->seed);
    report_integer(r, "neurons", a.neurons);
    report_integer(r, "synapses", a.synapses);
    report_number(r, "build_s", a.build_s);
    report_number(r, "construct_s", a.construct_s);
    report_number(r, "bytes_per_synapse", (double)a.bytes_now / (double)a.synapses);
    report_number(r, "peak_mb", (double)a.bytes_peak / 1e6);
    report_number(r, "sim_s", sim_s);
    report_number(r, "rtf", 1000.0 * sim_s / o->ms);
    report_number(r, "rate_hz", 1000.0 * (double)(a.spikes - before->spikes) /
                                    ((double)a.neurons * o->ms));
    report_number(r, "events_per_s", events / sim_s);
    report_number(r, "ns_per_event", ns);
    report_number(r, "ns_per_event_to_first", ns / *first);
    report_number(r, "file_s", a.file_s - before->file_s);
    report_number(r, "deliver_s", a.deliver_s - before->deliver_s);
    report_number(r, "update_s", a.input_s + a.update_s - before->input_s - before->update_s);
    report_number(r, "wait_s", a.wait_s - before->wait_s);
    report_number(r, "deliver_ns_per_event",
                  1e9 * (a.file_s + a.deliver_s - before->file_s - before->deliver_s) / events);
    if (!o->no_limits && limits_measure(&l, a.isa, a.threads, limits_tile_slots(net))) {
        report_number(r, "limit_adds_per_s", l.adds_per_s);
        report_number(r, "adds_share", events / sim_s / l.adds_per_s);
    }
    report_end(r);
}

/* `first`: ns an event of the first network, 0 before it. */
static spk_result scale_measure(report *r, const options *o, double synapses, double *first,
                                const char **error)
{
    static char message[256];
    spk_net *net = scale_net(o);
    spk_net_info before;
    spk_result result;
    double start;
    scale_describe(net, synapses);
    progress("building", 0.0);
    spk_net_profile(net, true);
    result = spk_net_run(net, o->warmup_ms);
    if (result == SPK_OK) {
        spk_net_get_info(net, &before);
        start = spk_clock_seconds();
        result = spk_net_run(net, o->ms);
        start = spk_clock_seconds() - start;
        progress("", 1.0);
        if (result == SPK_OK) scale_report(r, o, net, &before, start, first);
    }
    snprintf(message, sizeof message, "%s", spk_net_error(net));
    *error = message;
    spk_net_destroy(net);
    return result;
}

/* -- idle -- */

static spk_result idle_measure(report *r, const options *o, size_t n, const char **error)
{
    static char message[256];
    spk_net *net = scale_net(o);
    spk_conn_desc c = {0};
    spk_net_info info;
    spk_result result;
    double best = 1e300;
    uint64_t piece = ((uint64_t)o->steps + 9) / 10;
    spk_pop all = spk_net_add(net, "cells", n, SPK_LIF_EXP, NULL);
    int k;
    c.rule = SPK_FIXED_OUTDEGREE;
    c.k = n < 100 ? n : 100;
    c.weight = spk_constant(50.0);
    c.delay_ms = spk_normal(1.5, 0.75);
    spk_net_connect(net, all, all, &c);
    result = spk_net_build(net);
    for (k = 0; k < 10 && result == SPK_OK; k++) {
        double start = spk_clock_seconds();
        result = spk_net_run_steps(net, piece);
        start = spk_clock_seconds() - start;
        if (start < best) best = start;
    }
    if (result == SPK_OK) {
        spk_net_get_info(net, &info);
        report_begin(r, "idle", info.isa, info.threads, (uint64_t)o->seed);
        report_integer(r, "neurons", info.neurons);
        report_integer(r, "synapses", info.synapses);
        report_integer(r, "steps", info.steps);
        report_integer(r, "spikes", info.spikes);
        report_number(r, "us_per_step", 1e6 * best / (double)piece);
        report_end(r);
    }
    snprintf(message, sizeof message, "%s", spk_net_error(net));
    *error = message;
    spk_net_destroy(net);
    return result;
}

#endif
