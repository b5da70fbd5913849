/* ---- >>test_models: every model against the mathematics it stands for ---- */

/* References: closed forms; the tables of Izhikevich (2004, figure 1) and of Naud et al. (2008) with
   converged spike times; Runge-Kutta integration in double at a small step, written here with
   libm; probability distributions. */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "../spikelib.h"

#include "check.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static spk_net *net_of(spk_precision precision, double dt, uint64_t seed)
{
    spk_net_desc d = {0};
    d.dt_ms = dt;
    d.seed = seed;
    d.precision = precision;
    d.weight_bits = 32;
    return spk_net_create(&d);
}

static spk_rec record(spk_net *net, spk_pop pop, const char *state)
{
    spk_rec_desc r = {0};
    r.kind = SPK_REC_STATE;
    r.state = state;
    return spk_net_record(net, pop, &r);
}

static void run(spk_net *net, uint64_t steps)
{
    if (spk_net_run_steps(net, steps) != SPK_OK) {
        check_fail(__FILE__, __LINE__, spk_net_error(net));
    }
}

static void direct_current(spk_net *net, spk_pop pop, double amplitude, double start, double stop)
{
    spk_current_desc c = {0};
    c.amplitude = spk_constant(amplitude);
    c.start_ms = start;
    c.stop_ms = stop;
    spk_net_drive_current(net, pop, &c);
}

/* One input spike at `ms` with a weight and a delay, to all of the population. */
static void one_spike(spk_net *net, spk_pop pop, double ms, double weight, double delay)
{
    const uint32_t neuron = 0;
    spk_conn_desc c = {0};
    spk_pop list = spk_net_add(net, "list", 1, SPK_SPIKE_LIST, NULL);
    c.rule = SPK_ALL_TO_ALL;
    c.weight = spk_constant(weight);
    c.delay_ms = spk_constant(delay);
    spk_net_connect(net, list, pop, &c);
    spk_net_spike_list(net, list, &neuron, &ms, 1);
}

/* -- linear membranes: closed forms -- */

typedef double (*closed_form)(double t, double tau_m, double tau_s);

static double psp_exp(double t, double m, double s)
{
    const double b = 1 / m - 1 / s;
    return m == s ? t * exp(-t / m) : (exp(-t / s) - exp(-t / m)) / b;
}

static double psp_alpha(double t, double m, double s)
{
    const double b = 1 / m - 1 / s, e = exp(1.0) / s;
    return m == s ? e * t * t / 2 * exp(-t / m)
                  : e * (t * exp(-t / s) / b - (exp(-t / s) - exp(-t / m)) / (b * b));
}

/* The largest difference of the trace of neuron 0 from f, relative to the largest |f|. */
static double trace_error(spk_rec rec, double dt, double e_l, double (*f)(const double *p, double t),
                          const double *p)
{
    size_t rows, width;
    double worst = 0, scale = 0;
    const double *v = spk_rec_samples(rec, &rows, &width);
    for (size_t k = 0; k < rows; k++) {
        const double want = f(p, (double)spk_rec_sample_step(rec, k) * dt);
        const double error = fabs(v[k * width] - e_l - want);
        if (!(error <= worst)) worst = error;
        if (fabs(want) > scale) scale = fabs(want);
    }
    CHECK(rows > 100 && scale > 0.1);
    return worst / scale;
}

static double step_response(const double *p, double t) /* R I, tau, start, stop */
{
    const double up = t <= p[2] ? 0 : -expm1(-((t < p[3] ? t : p[3]) - p[2]) / p[1]);
    return p[0] * up * (t <= p[3] ? 1 : exp(-(t - p[3]) / p[1]));
}

static double psp(const double *p, double t) /* scale, tau_m, tau_s, onset, kind */
{
    const double s = t - p[3];
    if (s < -1e-9) return 0;
    if (p[4] == 2) return p[0] * exp(-s / p[1]);
    return s <= 0 ? 0 : p[0] * (p[4] == 0 ? psp_exp(s, p[1], p[2]) : psp_alpha(s, p[1], p[2]));
}

static const double trace_bar[2] = {1e-5, 1e-12}; /* by spk_precision */

static spk_pop quiet(spk_net *net, spk_model_id id, double tau_m, double tau_s)
{
    const spk_model m = spk_model_builtin(id);
#define QUIET {"tau_m", SPK_MS(tau_m)}, {"e_l", SPK_MV(-65)}, {"v_th", SPK_MV(1000)},             \
        {"v", SPK_MV(-65)}, {"c_m", SPK_PF(200)}
    switch ((int)id) {
    case SPK_MODEL_LIF_EXP:
    case SPK_MODEL_LIF_ADAPT:
        return spk_net_add(net, "n", 1, m, SPK_SET(QUIET, {"tau_syn", SPK_MS(tau_s)}));
    case SPK_MODEL_LIF_DELTA:
        return spk_net_add(net, "n", 1, m, SPK_SET(QUIET));
    default:
        return spk_net_add(net, "n", 1, m, SPK_SET(QUIET, {"tau_syn_ex", SPK_MS(tau_s)},
                                                   {"tau_syn_in", SPK_MS(tau_s)}));
    }
}

static const spk_model_id linear[5] = {SPK_MODEL_LIF_EXP, SPK_MODEL_LIF_EXP2, SPK_MODEL_LIF_ALPHA,
                                       SPK_MODEL_LIF_DELTA, SPK_MODEL_LIF_ADAPT};

TEST(lif_follows_the_closed_form_of_a_current_step)
{
    for (int precision = 0; precision < 2; precision++) {
        double worst = 0;
        for (size_t k = 0; k < COUNT(linear); k++) {
            const double p[4] = {20.0 / 200 * 100, 20, 5, 60};
            spk_net *net = net_of((spk_precision)precision, 0.1, 1);
            spk_pop pop = quiet(net, linear[k], p[1], 2);
            direct_current(net, pop, 100, p[2], p[3]);
            spk_rec v = record(net, pop, "v");
            run(net, 1500);
            const double error = trace_error(v, 0.1, -65, step_response, p);
            worst = error > worst ? error : worst;
            spk_net_destroy(net);
        }
        printf("    %d bits: %.2g of the peak\n", precision ? 64 : 32, worst);
        CHECK(worst < trace_bar[precision]);
    }
}

TEST(lif_follows_the_closed_forms_of_postsynaptic_potentials)
{
    static const double taus[][2] = {{10, 2}, {20, 0.5}, {10, 10}, {5, 15}, {10, 9.5}};
    for (int precision = 0; precision < 2; precision++) {
        double worst = 0;
        for (size_t k = 0; k < COUNT(linear); k++) {
            for (size_t t = 0; t < COUNT(taus); t++) {
                for (int sign = -1; sign <= 1; sign += 2) {
                    const double kind = k == 2 ? 1 : k == 3 ? 2 : 0, w = sign * (k == 3 ? 4 : 600);
                    const double p[5] = {k == 3 ? w : w / 200, taus[t][0], taus[t][1], 4.5, kind};
                    spk_net *net = net_of((spk_precision)precision, 0.1, 1);
                    spk_pop pop = quiet(net, linear[k], p[1], p[2]);
                    one_spike(net, pop, 3.0, w, 1.5);
                    spk_rec v = record(net, pop, "v");
                    run(net, 1000);
                    const double error = trace_error(v, 0.1, -65, psp, p);
                    worst = error > worst ? error : worst;
                    spk_net_destroy(net);
                }
            }
        }
        printf("    %d bits: %.2g of the peak\n", precision ? 64 : 32, worst);
        CHECK(worst < trace_bar[precision]);
    }
}

/* Each constant of time of lif_exp2 and lif_alpha acts on its own sign. */
TEST(two_time_constants_act_each_on_its_sign)
{
    for (int alpha = 0; alpha < 2; alpha++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            const double p[5] = {sign * 600.0 / 250, 10, sign > 0 ? 0.7 : 6, 2, alpha};
            spk_net *net = net_of(SPK_FLOAT64, 0.1, 1);
            spk_pop pop = spk_net_add(net, "n", 1, alpha ? SPK_LIF_ALPHA : SPK_LIF_EXP2,
                                      SPK_SET({"tau_syn_ex", SPK_MS(0.7)},
                                              {"tau_syn_in", SPK_MS(6)}));
            one_spike(net, pop, 1.0, sign * 600, 1.0);
            spk_rec v = record(net, pop, "v");
            run(net, 600);
            CHECK(trace_error(v, 0.1, -70, psp, p) < 1e-12);
            spk_net_destroy(net);
        }
    }
}

/* Interval = t_ref + ceil(tau ln((RI - reset) / (RI - theta)) / dt) steps. */
TEST(lif_fires_at_the_closed_form_of_its_interval)
{
    static const double refs[3] = {0, 2, 7.3};
    for (size_t k = 0; k < COUNT(linear); k++) {
        for (size_t r = 0; r < 3; r++) {
            const double ri = 20.0 / 250 * 300; /* 24 mV; threshold 15, reset 3 above rest */
            const uint64_t first = (uint64_t)ceil(20 * log(ri / (ri - 15)) / 0.1);
            const uint64_t next = (uint64_t)ceil(20 * log((ri - 3) / (ri - 15)) / 0.1) +
                                  (uint64_t)(refs[r] / 0.1 + 0.5);
            spk_net *net = net_of(SPK_FLOAT64, 0.1, 1);
            spk_set set[9] = {{"c_m", SPK_PF(250)}, {"tau_m", SPK_MS(20)}, {"e_l", SPK_MV(-70)},
                              {"v", SPK_MV(-70)}, {"v_th", SPK_MV(-55)}, {"v_reset", SPK_MV(-67)},
                              {"t_ref", SPK_MS(refs[r])}, {"i_dc", SPK_PA(300)}, {NULL, SPK_MS(0)}};
            spk_set adapt[10];
            memcpy(adapt, set, sizeof set);
            adapt[8].name = "q_th"; /* 0 mV: no adaptation */
            memset(&adapt[9], 0, sizeof adapt[9]);
            spk_pop pop = spk_net_add(net, "n", 1, spk_model_builtin(linear[k]),
                                      linear[k] == SPK_MODEL_LIF_ADAPT ? adapt : set);
            spk_rec rec = spk_net_record_spikes(net, pop);
            run(net, 5000);
            size_t count;
            const spk_spike *s = spk_rec_spikes(rec, &count);
            REQUIRE(count > 10);
            for (size_t j = 0; j < count; j++) CHECK_EQ(s[j].step, first + j * next);
            spk_net_destroy(net);
        }
    }
}

TEST(adaptive_threshold_follows_its_closed_form)
{
    const double ri = 10.0 / 250 * 700, tau_th = 80, q = 2.5;
    for (int precision = 0; precision < 2; precision++) {
        spk_net *net = net_of((spk_precision)precision, 0.1, 1);
        spk_pop pop = spk_net_add(net, "n", 1, SPK_LIF_ADAPT,
                                  SPK_SET({"i_dc", SPK_PA(700)}, {"tau_th", SPK_MS(tau_th)},
                                          {"q_th", SPK_MV(q)}));
        spk_rec rec = spk_net_record_spikes(net, pop);
        spk_rec a = record(net, pop, "a");
        run(net, 10000);
        size_t count, rows, width, n = 0;
        const spk_spike *s = spk_rec_spikes(rec, &count);
        const double *trace = spk_rec_samples(a, &rows, &width);
        /* between spikes V and the threshold are single exponentials */
        int64_t from = 0, last = 0;
        double left = 0, worst = 0, peak = 0;
        for (int64_t t = 1; t <= 10000; t++) {
            const double v = t > from ? ri * -expm1(-(double)(t - from) * 0.1 / 10) : 0;
            double th = left * exp(-(double)(t - last) * 0.1 / tau_th);
            if (t > from && v >= 15 + th) {
                CHECK(n < count && (int64_t)s[n].step == t);
                n++;
                left = th = th + q;
                last = t;
                from = t + 20;
            }
            worst = fabs(trace[t - 1] - th) > worst ? fabs(trace[t - 1] - th) : worst;
            peak = th > peak ? th : peak;
        }
        CHECK_EQ(n, count);
        CHECK(n > 30);
        printf("    %d bits: %zu spikes, threshold within %.2g of its peak\n", precision ? 64 : 32,
               count, worst / peak);
        CHECK(worst / peak < trace_bar[precision]);
        spk_net_destroy(net);
    }
}

/* -- conductances: an independent integration -- */

typedef struct pulses {
    double *time, *ex, *in; /* jumps of the conductances; times are whole steps of 0.1 ms */
    size_t count;
} pulses;

/* Irregular input: about `rate` events in a ms, three excitatory for each inhibitory. */
static pulses make_pulses(double ms, double rate, double ex, double in)
{
    pulses p;
    uint32_t x = 12345;
    const size_t steps = (size_t)(ms * 10);
    p.time = (double *)malloc((steps + 1) * sizeof(double));
    p.ex = (double *)malloc((steps + 1) * sizeof(double));
    p.in = (double *)malloc((steps + 1) * sizeof(double));
    p.count = 0;
    for (size_t k = 20; k < steps; k++) {
        x = x * 1664525u + 1013904223u;
        if ((double)(x >> 8) / 16777216.0 >= rate * 0.1) continue;
        p.time[p.count] = 0.1 * (double)k;
        p.ex[p.count] = p.count % 4 ? ex : 0;
        p.in[p.count] = p.count % 4 ? 0 : in;
        p.count++;
    }
    return p;
}

static void free_pulses(pulses *p)
{
    free(p->time);
    free(p->ex);
    free(p->in);
}

/* The list's spikes come 1 ms (the delay) before the pulses: two sources, one a sign. */
static void drive_pulses(spk_net *net, spk_pop pop, const pulses *p, double ex, double in)
{
    spk_pop list = spk_net_add(net, "list", 2, SPK_SPIKE_LIST, NULL);
    const double weight[2] = {ex, -in};
    const uint32_t from[2] = {0, 1}, to[2] = {0, 0};
    spk_conn_desc c = {0};
    c.rule = SPK_COO;
    c.sources = from;
    c.targets = to;
    c.total = 2;
    c.weight = spk_array(weight, 2);
    c.delay_ms = spk_constant(1.0);
    spk_net_connect(net, list, pop, &c);
    for (size_t k = 0; k < p->count; k++) {
        const uint32_t who = p->in[k] > 0;
        const double when = p->time[k] - 1.0;
        spk_net_spike_list(net, list, &who, &when, 1);
    }
}

static void lif_cond_slope(const double *y, double *d)
{
    d[0] = (-10 * (y[0] + 60) - y[1] * (y[0] - 0) - y[2] * (y[0] + 80) + 50) / 200;
    d[1] = -y[1] / 5;
    d[2] = -y[2] / 10;
}

static void hh_slope(const double *y, double *d) /* v m h n g_ex g_in; y[6]: current */
{
    const double u = y[0] + 63;
    const double am = fabs(u - 13) < 1e-7 ? 1.28 : 0.32 * (13 - u) / expm1((13 - u) / 4);
    const double bm = fabs(u - 40) < 1e-7 ? 1.4 : 0.28 * (u - 40) / expm1((u - 40) / 5);
    const double ah = 0.128 * exp((17 - u) / 18), bh = 4 / (1 + exp((40 - u) / 5));
    const double an = fabs(u - 15) < 1e-7 ? 0.16 : 0.032 * (15 - u) / expm1((15 - u) / 5);
    const double bn = 0.5 * exp((10 - u) / 40);
    d[0] = (-10 * (y[0] + 60) - 20000 * y[1] * y[1] * y[1] * y[2] * (y[0] - 50) -
            6000 * y[3] * y[3] * y[3] * y[3] * (y[0] + 90) - y[4] * y[0] - y[5] * (y[0] + 80) +
            y[6]) / 200;
    d[1] = am * (1 - y[1]) - bm * y[1];
    d[2] = ah * (1 - y[2]) - bh * y[2];
    d[3] = an * (1 - y[3]) - bn * y[3];
    d[4] = -y[4] / 5;
    d[5] = -y[5] / 10;
    d[6] = 0;
}

static void rk4(void (*slope)(const double *, double *), double *y, int n, double h)
{
    double a[7], b[7], c[7], d[7], z[7];
    slope(y, a);
    for (int k = 0; k < n; k++) z[k] = y[k] + h / 2 * a[k];
    slope(z, b);
    for (int k = 0; k < n; k++) z[k] = y[k] + h / 2 * b[k];
    slope(z, c);
    for (int k = 0; k < n; k++) z[k] = y[k] + h * c[k];
    slope(z, d);
    for (int k = 0; k < n; k++) y[k] += h / 6 * (a[k] + 2 * b[k] + 2 * c[k] + d[k]);
}

/* The membrane potential at each 0.1 ms without a threshold. */
static double *lif_cond_reference(const pulses *p, size_t steps)
{
    double *v = (double *)malloc(steps * sizeof(double)), y[3] = {-60, 0, 0};
    size_t at = 0;
    for (size_t k = 0; k < steps; k++) {
        for (int j = 0; j < 20; j++) rk4(lif_cond_slope, y, 3, 0.005);
        v[k] = y[0];
        if (at < p->count && fabs(p->time[at] - 0.1 * (double)(k + 1)) < 0.01) {
            y[1] += p->ex[at];
            y[2] += p->in[at++];
        }
    }
    return v;
}

TEST(conductance_lif_is_of_second_order)
{
    const size_t steps = 5000;
    pulses p = make_pulses(500, 0.6, 6, 30);
    double *want = lif_cond_reference(&p, steps), error[3][3], lo = 0, hi = -100;
    for (size_t k = 0; k < steps; k++) {
        lo = want[k] < lo ? want[k] : lo;
        hi = want[k] > hi ? want[k] : hi;
    }
    CHECK(hi - lo > 8);
    for (int precision = 0; precision < 2; precision++) {
        for (int fine = 0; fine < 3; fine++) {
            const size_t every = (size_t)1 << fine;
            spk_net *net = net_of((spk_precision)precision, 0.1 / (double)every, 1);
            spk_pop pop = spk_net_add(net, "n", 1, SPK_LIF_COND,
                                      SPK_SET({"v_th", SPK_MV(1000)}, {"i_dc", SPK_PA(50)}));
            drive_pulses(net, pop, &p, 6, 30);
            spk_rec rec = record(net, pop, "v");
            run(net, steps * every);
            size_t rows, width;
            const double *v = spk_rec_samples(rec, &rows, &width);
            error[precision][fine] = 0;
            for (size_t k = 0; k < steps; k++) {
                const double e = fabs(v[(k + 1) * every - 1] - want[k]);
                if (!(e <= error[precision][fine])) error[precision][fine] = e;
            }
            spk_net_destroy(net);
        }
        printf("    %d bits: %.2g, %.2g, %.2g mV at 0.1, 0.05, 0.025 ms\n", precision ? 64 : 32,
               error[precision][0], error[precision][1], error[precision][2]);
    }
    CHECK(error[1][0] < 2e-3);
    CHECK(error[1][0] / error[1][1] > 3.7 && error[1][0] / error[1][1] < 4.3);
    CHECK(error[1][1] / error[1][2] > 3.7 && error[1][1] / error[1][2] < 4.3);
    CHECK_NEAR(error[0][0], error[1][0], 1e-4);
    free(want);
    free_pulses(&p);
}

/* Spikes of the reference: upward crossings of -20 mV. */
static size_t hh_reference(double current, const pulses *p, double ms)
{
    double y[7] = {-60, 0, 0, 0, 0, 0, current}, slope[7], before = -60;
    size_t spikes = 0, at = 0;
    for (int k = 1; k <= 3; k++) { /* gates at rest: a / (a + b) = a / (slope(0) - slope(1)) */
        double zero, one;
        y[k] = 0;
        hh_slope(y, slope);
        zero = slope[k];
        y[k] = 1;
        hh_slope(y, slope);
        one = slope[k];
        y[k] = zero / (zero - one);
    }
    for (size_t k = 0; k < (size_t)(ms * 10); k++) {
        for (int j = 0; j < 20; j++) {
            rk4(hh_slope, y, 7, 0.005);
            spikes += before < -20 && y[0] >= -20;
            before = y[0];
        }
        if (p && at < p->count && fabs(p->time[at] - 0.1 * (double)(k + 1)) < 0.01) {
            y[4] += p->ex[at];
            y[5] += p->in[at++];
        }
    }
    return spikes;
}

static size_t hh_spikes(double current, const pulses *p, double ms, spk_precision precision)
{
    spk_net *net = net_of(precision, 0.1, 1);
    spk_pop pop = spk_net_add(net, "n", 1, SPK_HH, SPK_SET({"i_dc", SPK_PA(current)}));
    if (p) drive_pulses(net, pop, p, 25, 60);
    spk_rec rec = spk_net_record_spikes(net, pop);
    run(net, (uint64_t)(ms * 10));
    const size_t count = (size_t)spk_rec_count(rec);
    spk_net_destroy(net);
    return count;
}

TEST(hodgkin_huxley_spikes_as_often_as_a_converged_integration)
{
    static const double amps[] = {50, 80, 120, 200, 400, 800, 1500};
    for (size_t k = 0; k <= COUNT(amps); k++) {
        const int pulsed = k == COUNT(amps);
        const double ms = 2000, current = pulsed ? 0 : amps[k];
        pulses p = make_pulses(ms, 0.5, 25, 60);
        const size_t want = hh_reference(current, pulsed ? &p : NULL, ms);
        const size_t f32 = hh_spikes(current, pulsed ? &p : NULL, ms, SPK_FLOAT32);
        const size_t f64 = hh_spikes(current, pulsed ? &p : NULL, ms, SPK_FLOAT64);
        const double allowed = 0.01 * (double)want < 1 && want < 100 ? 0.5 : 0.01 * (double)want;
        printf("    %s %6g pA: %zu and %zu spikes (32, 64 bits), reference %zu\n",
               pulsed ? "pulses" : "steady", current, f32, f64, want);
        CHECK(!pulsed || want > 50);
        CHECK_NEAR(f32, want, allowed);
        CHECK_NEAR(f64, want, allowed);
        free_pulses(&p);
    }
}

TEST(hodgkin_huxley_is_finite_at_the_singular_voltages_of_its_rates)
{
    /* v_t + 13, 40, 15: where the textbook's fractions are 0 / 0; and far away */
    double v[12] = {-63 + 13, -63 + 40, -63 + 15, -50, -23, -48, 0, 50, -90, -200, 300, -63};
    for (int precision = 0; precision < 3; precision++) {
        spk_net *net = net_of((spk_precision)precision, 0.1, 1);
        spk_pop pop = spk_net_add(net, "n", 12, SPK_HH, SPK_SET({"v", spk_array(v, 12)}));
        static const char *const state[] = {"v", "m", "h", "n"};
        for (int k = 0; k < 30; k++) {
            run(net, 1);
            for (int s = 0; s < 4; s++) {
                double x[12];
                CHECK(spk_net_get(net, pop, state[s], x, 12) == SPK_OK);
                for (int j = 0; j < 12; j++) {
                    CHECK(s ? x[j] >= -0.001 && x[j] <= 1.001 : x[j] > -250 && x[j] < 350);
                }
            }
        }
        spk_net_destroy(net);
    }
    /* the gates at rest exactly at a singularity: the limits of the fractions */
    CHECK_NEAR(spki_hh_gate(13.0, 0), 1.28 / (1.28 + 0.28 * -27 / expm1(-27.0 / 5)), 1e-14);
    CHECK_NEAR(spki_hh_gate(15.0, 2), 0.16 / (0.16 + 0.5 * exp(-5.0 / 40)), 1e-14);
}
