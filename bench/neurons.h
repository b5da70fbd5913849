/* ---- >>neurons: how fast each model is by itself ---- */
#ifndef SPKBENCH_NEURONS_H
#define SPKBENCH_NEURONS_H

#include "options.h"
#include "report.h"

/* One population of a model, no synapses, no recorder. Steps are run in two halves and the faster
   one counts, since other programs only ever make it slower. */
static spk_result neurons_measure(report *r, const options *o, spk_model model, const char **error)
{
    static char message[256];
    spk_net_desc d = {0};
    spk_net *net;
    spk_net_info info;
    double best = 1e300;
    spk_result result;
    uint64_t half = ((uint64_t)o->steps + 1) / 2;
    int k;
    d.threads = (uint32_t)o->threads;
    d.seed = (uint64_t)o->seed;
    d.isa = o->isa;
    d.precision = o->precision;
    d.backend = options_backend(o);
    net = spk_net_create(&d);
    spk_net_add(net, "cells", (size_t)o->n, model, NULL);
    result = spk_net_build(net);
    for (k = 0; k < 2 && result == SPK_OK; k++) {
        double start = spk_clock_seconds();
        result = spk_net_run_steps(net, half);
        start = spk_clock_seconds() - start;
        if (start < best) best = start;
    }
    snprintf(message, sizeof message, "%s", spk_net_error(net));
    *error = message;
    if (result == SPK_OK) {
        spk_net_get_info(net, &info);
        report_begin(r, "neurons", info.isa, info.threads, d.seed);
        report_text(r, "model", spk_model_name(model));
        report_integer(r, "precision_bits", (uint64_t)atoi(o->precision_text));
        report_integer(r, "neurons", info.neurons);
        report_integer(r, "steps", info.steps);
        report_number(r, "sim_s", best * (double)info.steps / (double)half);
        report_number(r, "neuron_steps_per_s", o->n * (double)half / best);
        report_end(r);
    }
    spk_net_destroy(net);
    return result;
}

#endif
