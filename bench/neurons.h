/* ---- >>neurons: how fast each model is by itself ---- */
#ifndef SPKBENCH_NEURONS_H
#define SPKBENCH_NEURONS_H

#include "limits.h"
#include "noise.h"
#include "options.h"
#include "report.h"

static void neurons_report(report *r, const options *o, const spk_net *net, spk_model model,
                           uint64_t steps, double s, double others)
{
    spk_net_info info;
    limits l;
    double bytes, rate;
    spk_net_get_info(net, &info);
    rate = (double)info.neurons * (double)steps / s;
    report_begin(r, "neurons", info.isa, info.threads, (uint64_t)o->seed);
    report_text(r, "model", spk_model_name(model));
    report_integer(r, "precision_bits", (uint64_t)atoi(o->precision_text));
    report_integer(r, "neurons", info.neurons);
    report_integer(r, "steps", info.steps);
    report_number(r, "sim_s", s * (double)info.steps / (double)steps);
    report_number(r, "neuron_steps_per_s", rate);
    report_noise(r, others);
    if (!o->no_limits && limits_measure(&l, info.isa, info.threads, 1)) {
        bytes = limits_neuron_bytes(net);
        report_number(r, "bytes_per_neuron_step", bytes);
        report_number(r, "bytes_per_s", bytes * rate);
        report_number(r, "limit_l2_bytes_per_s", l.l2_bytes_per_s);
        report_number(r, "l2_share", bytes * rate / l.l2_bytes_per_s);
        report_number(r, "limit_triad_bytes_per_s", l.triad_bytes_per_s);
        report_number(r, "triad_share", bytes * rate / l.triad_bytes_per_s);
        report_number(r, "limit_inplace_bytes_per_s", l.inplace_bytes_per_s);
        report_number(r, "inplace_share", bytes * rate / l.inplace_bytes_per_s);
    }
    report_end(r);
}

/* A current (in the model's unit) that makes the neurons fire, since those at rest would be left
   alone; 0: the model takes none. */
static double neurons_current(spk_model model)
{
    uint32_t k;
    for (k = 0; k < model->param_count; k++)
        if (!strcmp(model->param[k].name, "i_dc"))
            return !strcmp(spk_model_name(model), "izhikevich") ? 10.0 : 1000.0;
    return 0.0;
}

/* What only passes spikes on has nothing to do here, and is left alone by the engine. */
static bool neurons_idle(spk_model model)
{
    const char *name = spk_model_name(model);
    return !strcmp(name, "spike_list") || !strcmp(name, "parrot");
}

/* One population of a model, no synapses, no recorder. Steps are run in ten pieces and the fastest
   counts, since other programs only ever make it slower. */
static spk_result neurons_measure(report *r, const options *o, spk_model model, size_t n,
                                  const char **error)
{
    static char message[256];
    spk_net_desc d = {0};
    spk_net *net;
    double best = 1e300, steps = o->steps, current = neurons_current(model);
    spk_result result;
    uint64_t piece;
    noise before;
    int k;
    if (n > 16384) steps = steps * 16384.0 / (double)n;
    if (n > 16384 && steps < 100.0) steps = 100.0;
    piece = ((uint64_t)steps + 9) / 10;
    d.threads = (uint32_t)o->threads;
    d.seed = (uint64_t)o->seed;
    d.isa = o->isa;
    d.precision = o->precision;
    d.backend = options_backend(o);
    net = spk_net_create(&d);
    spk_net_add(net, "cells", n, model,
                current > 0.0 ? SPK_SET({"i_dc", spk_constant(current)}) : NULL);
    result = spk_net_build(net);
    before = noise_now();
    for (k = 0; k < 10 && result == SPK_OK; k++) {
        double start = spk_clock_seconds();
        result = spk_net_run_steps(net, piece);
        start = spk_clock_seconds() - start;
        if (start < best) best = start;
    }
    snprintf(message, sizeof message, "%s", spk_net_error(net));
    *error = message;
    if (result == SPK_OK) neurons_report(r, o, net, model, piece, best, noise_since(&before));
    spk_net_destroy(net);
    return result;
}

#endif
