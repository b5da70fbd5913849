/* cc -O2 coba.c -o coba -lm -lpthread */

/* Vogels and Abbott's network (J. Neurosci. 25:10786, 2005) with conductance-based synapses,
   benchmark 1 of Brette et al. (J. Comput. Neurosci. 23:349, 2007), in three forms: Brian's
   (random connectivity and start; a start at random alone dies out for some seeds, so that it gets
   a push too), NEST's (fixed in-degrees, started by 50 ms of stimulation) and Auryn's (weaker
   synapses and a constant current). Draws a raster and the membrane potentials of two neurons. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct coba_form {
    const char *name;
    spk_rule rule;
    double exc_ns, inh_ns, i_dc; /* synaptic conductances (negative: inhibitory), pA */
    bool random_start, stimulus;
    double rate_low, rate_high;  /* Hz, in the long run */
} coba_form;
static const coba_form coba_forms[3] = {
    {"brian", SPK_BERNOULLI, 6.0, -67.0, 0.0, true, true, 17.1, 19.7},
    {"nest", SPK_FIXED_INDEGREE, 6.0, -67.0, 0.0, false, true, 13.9, 14.5},
    {"auryn", SPK_BERNOULLI, 4.0, -51.0, 200.0, true, false, 15.9, 17.6}};

static spk_pop coba_add(spk_net *net, const char *name, size_t count, const coba_form *form)
{
    bool random = form->random_start;
    return spk_net_add(net, name, count, SPK_LIF_COND, SPK_SET(
        {"c_m", SPK_PF(200)}, {"g_l", SPK_NS(10)}, {"e_l", SPK_MV(-60)}, {"v_th", SPK_MV(-50)},
        {"v_reset", SPK_MV(-60)}, {"t_ref", SPK_MS(5)}, {"e_ex", SPK_MV(0)}, {"e_in", SPK_MV(-80)},
        {"tau_syn_ex", SPK_MS(5)}, {"tau_syn_in", SPK_MS(10)}, {"i_dc", SPK_PA(form->i_dc)},
        {"v", random ? spk_normal(-65.0, 5.0) : SPK_MV(-60)},
        {"g_ex", random ? spk_normal_clipped(40.0, 15.0, 0.0, 200.0) : SPK_NS(0)},
        {"g_in", random ? spk_normal_clipped(200.0, 120.0, 0.0, 900.0) : SPK_NS(0)}));
}

static void coba_describe(spk_net *net, const coba_form *form, spk_pop pop[2])
{
    spk_pop all;
    pop[0] = coba_add(net, "exc", 3200, form);
    pop[1] = coba_add(net, "inh", 800, form);
    all = spk_net_union(net, pop[0], pop[1]);
    spk_net_connect(net, pop[0], all, &(spk_conn_desc){
        .rule = form->rule, .p = 0.02, .k = 64, .weight = SPK_NS(form->exc_ns)});
    spk_net_connect(net, pop[1], all, &(spk_conn_desc){
        .rule = form->rule, .p = 0.02, .k = 16, .weight = SPK_NS(form->inh_ns)});
    if (form->stimulus)
        spk_net_drive_poisson(net, spk_net_slice(net, pop[0], 0, 50), &(spk_poisson_desc){
            .rate_hz = SPK_HZ(300), .weight = SPK_NS(form->exc_ns), .start_ms = 1.0,
            .stop_ms = 51.0});
}

#ifndef SPIKELIB_EXAMPLE_PART /* spkbench and the tests take the network without the program */

static void draw_traces(spk_rec rec)
{
    size_t rows, width;
    const double *v = spk_rec_samples(rec, &rows, &width);
    double *column = malloc(2 * rows * sizeof *column);
    spk_plot_curve curves[2] = {{.name = "excitatory"}, {.name = "inhibitory"}};
    size_t k, i;
    for (k = 0; column && k < 2; k++) {
        for (i = 0; i < rows; i++) column[k * rows + i] = v[i * width + k];
        curves[k].y = column + k * rows;
        curves[k].count = rows;
        curves[k].x0 = curves[k].dx = 0.1;
    }
    if (column)
        spk_plot_curves(curves, 2, &(spk_plot_desc){ .y_label = "membrane potential (mV)",
            .x_min = 1000.0, .x_max = 1500.0 }, "coba_traces.svg");
    free(column);
}

int main(int argc, char **argv)
{
    const coba_form *form = &coba_forms[0];
    spk_net *net = spk_net_create(&(spk_net_desc){ .threads = spk_cpu_count(), .seed = 1 });
    spk_pop pop[2];
    spk_rec spikes, traces;
    int k;
    for (k = 0; k < 3; k++)
        if (argc > 1 && strcmp(argv[1], coba_forms[k].name) == 0) form = &coba_forms[k];
    coba_describe(net, form, pop);
    spikes = spk_net_record_spikes(net, spk_net_union(net, pop[0], pop[1]));
    traces = spk_net_record(net, spk_net_union(net, spk_net_slice(net, pop[0], 0, 1),
                                               spk_net_slice(net, pop[1], 0, 1)),
                            &(spk_rec_desc){ .kind = SPK_REC_STATE, .state = "v" });
    if (spk_net_run(net, 1500.0) != SPK_OK) {
        fprintf(stderr, "%s\n", spk_net_error(net));
        return 1;
    }
    printf("%s form: %.2f Hz (in the long run %.1f to %.1f)\n", form->name,
           spk_rec_rate_hz(spikes), form->rate_low, form->rate_high);
    spk_plot_raster(spikes, "coba.svg");
    draw_traces(traces);
    spk_net_destroy(net);
    return 0;
}

#endif
