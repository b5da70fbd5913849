/* cc -O2 gallery.c -o gallery -lm -lpthread */

/* Firing patterns of single neurons, one sheet of panels (gallery.svg): the twenty of Izhikevich
   (IEEE Trans. Neural Netw. 15:1063, 2004; steps, inputs and integration order of the author's
   figure1.m) and the eight of the adaptive exponential model (Naud et al., Biol. Cybern. 99:335,
   2008). The first are driven step by step from here, as a program in a loop with the world would;
   the second run at once as one population with a parameter set each. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <stdio.h>

enum { IZHIKEVICH_COUNT = 20, ADEX_COUNT = 8, SAMPLES = 5001 };

/* -- Izhikevich -- */

/* Input as up to four steps and a ramp: `slope` (t - from) within [from, to). */
typedef struct pulse {
    double from, to, current, slope;
} pulse;
#define END 1e9

typedef struct pattern {
    const char *name;
    double a, b, c, d, v0, dt, end;
    pulse input[4];
} pattern;

static const pattern patterns[IZHIKEVICH_COUNT] = {
    {"A  tonic spiking", .02, .2, -65, 6, -70, .25, 100, {{10, END, 14, 0}}},
    {"B  phasic spiking", .02, .25, -65, 6, -64, .25, 200, {{20, END, .5, 0}}},
    {"C  tonic bursting", .02, .2, -50, 2, -70, .25, 220, {{22, END, 15, 0}}},
    {"D  phasic bursting", .02, .25, -55, .05, -64, .2, 200, {{20, END, .6, 0}}},
    {"E  mixed mode", .02, .2, -55, 4, -70, .25, 160, {{16, END, 10, 0}}},
    {"F  spike frequency adaptation", .01, .2, -65, 8, -70, .25, 85, {{8.5, END, 30, 0}}},
    {"G  class 1 excitable", .02, -.1, -55, 6, -60, .25, 300, {{30, END, 0, .075}}},
    {"H  class 2 excitable", .2, .26, -65, 0, -64, .25, 300,
     {{0, END, -.5, 0}, {30, END, 0, .015}}},
    {"I  spike latency", .02, .2, -65, 6, -70, .2, 100, {{10.1, 13, 7.04, 0}}},
    {"J  subthreshold oscillation", .05, .26, -60, 0, -62, .25, 200, {{20.1, 25, 2, 0}}},
    {"K  resonator", .1, .26, -60, -1, -62, .25, 400,
     {{40.1, 44, .65, 0}, {60.1, 64, .65, 0}, {280.1, 284, .65, 0}, {320.1, 324, .65, 0}}},
    {"L  integrator", .02, -.1, -55, 6, -60, .25, 100,
     {{9.1, 11.09, 9, 0}, {14.1, 16.09, 9, 0}, {70.1, 72, 9, 0}, {80.1, 82, 9, 0}}},
    {"M  rebound spike", .03, .25, -60, 4, -64, .2, 200, {{20.1, 25, -15, 0}}},
    {"N  rebound burst", .03, .25, -52, 0, -64, .2, 200, {{20.1, 25, -15, 0}}},
    {"O  threshold variability", .03, .25, -60, 4, -64, .25, 100,
     {{10.1, 15, 1, 0}, {70.1, 75, -6, 0}, {80.1, 85, 1, 0}}},
    {"P  bistability", .1, .26, -60, 0, -61, .25, 300,
     {{0, END, .24, 0}, {37.6, 42.5, 1, 0}, {216.1, 221, 1, 0}}},
    {"Q  depolarizing after-potential", 1, .2, -60, -21, -70, .1, 50, {{9.05, 10.95, 20, 0}}},
    {"R  accommodation", .02, 1, -55, 4, -65, .5, 400, {{0, 200, 0, .04}, {300, 312.5, 0, .32}}},
    {"S  inhibition-induced spiking", -.02, -1, -60, 8, -63.8, .5, 350,
     {{0, END, 80, 0}, {50, 250.1, -5, 0}}},
    {"T  inhibition-induced bursting", -.026, -1, -45, -2, -63.8, .5, 350,
     {{0, END, 80, 0}, {50, 250.1, -5, 0}}}};

/* G and L use other coefficients of the quadratic; R's u grows without its own decay, which is
   what a very slow one with a large gain amounts to. */
static spk_pop add_pattern(spk_net *net, const pattern *p)
{
    bool other = p->name[0] == 'G' || p->name[0] == 'L', grows = p->name[0] == 'R';
    return spk_net_add(net, "cell", 1, SPK_IZHIKEVICH, SPK_SET(
        {"a", spk_constant(grows ? 1e-6 : p->a)},
        {"b", spk_constant(grows ? 1e6 * p->a * p->b : p->b)},
        {"c", SPK_MV(p->c)}, {"d", spk_constant(p->d)}, {"v", SPK_MV(p->v0)},
        {"u", spk_constant(grows ? -16.0 : p->b * p->v0)}, {"v_u", SPK_MV(grows ? -65.0 : 0.0)},
        {"k1", spk_constant(other ? 4.1 : 5.0)}, {"k0", spk_constant(other ? 108.0 : 140.0)},
        {"substeps", spk_constant(1)}));
}

static double input_at(const pattern *p, double t)
{
    double current = 0.0;
    int k;
    for (k = 0; k < 4; k++)
        if (t >= p->input[k].from && t < p->input[k].to)
            current += p->input[k].current + p->input[k].slope * (t - p->input[k].from);
    return current;
}

/* Fills v (a spike is shown at 30 mV) and the input as a line below it; returns the samples. */
static size_t run_pattern(const pattern *p, double *v, double *input, uint64_t *spikes)
{
    spk_net *net = spk_net_create(&(spk_net_desc){ .dt_ms = p->dt, .precision = SPK_FLOAT64 });
    spk_pop cell = add_pattern(net, p);
    spk_rec rec = spk_net_record_spikes(net, cell);
    size_t n = 0, steps = (size_t)(p->end / p->dt + 0.5), i;
    double top = 1e-9, rest;
    for (; n < steps && n < SAMPLES; n++) {
        uint64_t before = spk_rec_count(rec);
        input[n] = input_at(p, (double)n * p->dt);
        if (n == 0 && spk_net_build(net) != SPK_OK) break;
        if (spk_net_inject_current(net, cell, &input[n], 1) != SPK_OK) break;
        if (spk_net_run_steps(net, 1) != SPK_OK) break;
        spk_net_get(net, cell, "v", &v[n], 1);
        if (spk_rec_count(rec) > before) v[n] = 30.0;
    }
    if (n == 0) fprintf(stderr, "%s: %s\n", p->name, spk_net_error(net));
    rest = n ? input[0] : 0.0;
    for (i = 0; i < n; i++) {
        double size = input[i] - rest;
        if (size < 0.0) size = -size;
        if (size > top) top = size;
    }
    for (i = 0; i < n; i++) input[i] = -88.0 + 6.0 * (input[i] - rest) / top;
    *spikes = spk_rec_count(rec);
    spk_net_destroy(net);
    return n;
}

/* -- adaptive exponential: one column a parameter, one row a pattern -- */

static const char *const adex_name[ADEX_COUNT] = {
    "AdEx: tonic spiking",    "AdEx: adaptation",           "AdEx: initial burst",
    "AdEx: regular bursting", "AdEx: delayed accelerating", "AdEx: delayed regular bursting",
    "AdEx: transient",        "AdEx: irregular"};
static const double adex_c_m[ADEX_COUNT] = {200, 200, 130, 200, 200, 100, 100, 100};
static const double adex_g_l[ADEX_COUNT] = {10, 12, 18, 10, 12, 10, 10, 12};
static const double adex_e_l[ADEX_COUNT] = {-70, -70, -58, -58, -70, -65, -65, -60};
static const double adex_a[ADEX_COUNT] = {2, 2, 4, 2, -10, -10, 10, -11};
static const double adex_tau_w[ADEX_COUNT] = {30, 300, 150, 120, 300, 90, 90, 130};
static const double adex_b[ADEX_COUNT] = {0, 60, 120, 100, 0, 30, 100, 30};
static const double adex_v_reset[ADEX_COUNT] = {-58, -58, -50, -46, -58, -47, -47, -48};
static const double adex_i_dc[ADEX_COUNT] = {500, 500, 400, 210, 300, 110, 180, 160};

static size_t run_adex(double v[ADEX_COUNT][SAMPLES], uint64_t spikes[ADEX_COUNT])
{
#define EACH(values) spk_array(values, ADEX_COUNT)
    spk_net *net = spk_net_create(&(spk_net_desc){ .precision = SPK_FLOAT64 });
    spk_pop cells = spk_net_add(net, "cells", ADEX_COUNT, SPK_ADEX, SPK_SET(
        {"c_m", EACH(adex_c_m)}, {"g_l", EACH(adex_g_l)}, {"e_l", EACH(adex_e_l)},
        {"a", EACH(adex_a)}, {"tau_w", EACH(adex_tau_w)}, {"b", EACH(adex_b)},
        {"v_reset", EACH(adex_v_reset)}, {"i_dc", EACH(adex_i_dc)}, {"v", EACH(adex_e_l)},
        {"v_t", SPK_MV(-50)}, {"delta_t", SPK_MV(2)}, {"v_peak", SPK_MV(0)}));
    spk_rec rec = spk_net_record(net, cells,
                                 &(spk_rec_desc){ .kind = SPK_REC_STATE, .state = "v" });
    spk_rec fired = spk_net_record_spikes(net, cells);
    size_t rows = 0, width = 0, count = 0, i, k;
    if (spk_net_run(net, 500.0) != SPK_OK) fprintf(stderr, "AdEx: %s\n", spk_net_error(net));
    const double *samples = spk_rec_samples(rec, &rows, &width);
    const spk_spike *list = spk_rec_spikes(fired, &count);
    if (rows > SAMPLES) rows = SAMPLES;
    for (k = 0; k < ADEX_COUNT; k++)
        for (i = 0; i < rows; i++) v[k][i] = samples[i * width + k];
    for (i = 0; i < count; i++) {
        if (list[i].step >= 1 && list[i].step <= rows) v[list[i].neuron][list[i].step - 1] = 20.0;
        spikes[list[i].neuron]++;
    }
    spk_net_destroy(net);
    return rows;
}

/* -- the sheet -- */

int main(void)
{
    static double v[IZHIKEVICH_COUNT][SAMPLES], input[IZHIKEVICH_COUNT][SAMPLES];
    static double w[ADEX_COUNT][SAMPLES];
    static spk_plot_curve curves[2 * IZHIKEVICH_COUNT + ADEX_COUNT];
    static spk_plot_panel panels[IZHIKEVICH_COUNT + ADEX_COUNT];
    uint64_t spikes[ADEX_COUNT] = {0};
    size_t rows, k;
    for (k = 0; k < IZHIKEVICH_COUNT; k++) {
        uint64_t fired = 0;
        size_t n = run_pattern(&patterns[k], v[k], input[k], &fired);
        spk_plot_curve *c = &curves[2 * k];
        c[0] = (spk_plot_curve){.name = "membrane potential (mV)", .y = v[k], .count = n,
                                .dx = patterns[k].dt};
        c[1] = (spk_plot_curve){.name = "input", .y = input[k], .count = n, .dx = patterns[k].dt};
        panels[k] = (spk_plot_panel){.title = patterns[k].name, .curves = c, .count = 2,
                                     .x_max = patterns[k].end, .y_min = -95, .y_max = 35};
        printf("%-34s %3llu spikes\n", patterns[k].name, (unsigned long long)fired);
    }
    rows = run_adex(w, spikes);
    for (k = 0; k < ADEX_COUNT; k++) {
        spk_plot_curve *c = &curves[2 * IZHIKEVICH_COUNT + k];
        *c = (spk_plot_curve){.y = w[k], .count = rows, .x0 = 0.1, .dx = 0.1};
        panels[IZHIKEVICH_COUNT + k] = (spk_plot_panel){.title = adex_name[k], .curves = c,
            .count = 1, .x_max = 500, .y_min = -95, .y_max = 35};
        printf("%-34s %3llu spikes\n", adex_name[k], (unsigned long long)spikes[k]);
    }
    if (spk_plot_sheet(panels, IZHIKEVICH_COUNT + ADEX_COUNT, 4, &(spk_plot_desc){
            .title = "Firing patterns: Izhikevich (A to T) and AdEx" }, "gallery.svg") != SPK_OK) {
        fprintf(stderr, "gallery.svg cannot be written\n");
        return 1;
    }
    return 0;
}
