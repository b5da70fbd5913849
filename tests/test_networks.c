/* ---- >>test_networks: published networks give their published rates ----
   check: networks alone
   check: not under sanitizers, because they take minutes there, and test_engine runs that code */

/* The networks are those of the examples and of spkbench; what they should give comes from
   independent double-precision simulations (windows over several seeds) and from NEST. */
#define SPIKELIB_IMPLEMENTATION /* the examples hold it */
#include "../bench/networks.h"

#include "check.h"

typedef struct window {
    double low, high;
} window;

static measurement fresh(size_t groups, double dt_ms, uint64_t seed)
{
    measurement m = {0};
    spk_net_desc d = {0};
    d.dt_ms = dt_ms;
    d.threads = 2;
    d.seed = seed;
    m.net = spk_net_create(&d);
    m.groups = groups;
    m.dt_ms = dt_ms;
    return m;
}

/* Measures what was described; rates and irregularity stay in m.stats. */
static void finish(measurement *m, double warmup_ms, double ms)
{
    spk_result result = measure(m, warmup_ms, ms, NULL, NULL);
    if (result != SPK_OK) check_fail(__FILE__, __LINE__, spk_net_error(m->net));
    statistics_free(&m->stats);
    spk_net_destroy(m->net);
    m->net = NULL;
}

static void check_window(const char *what, double value, double low, double high)
{
    char text[128];
    printf("    %-26s %8.3f   expected %8.3f to %.3f\n", what, value, low, high);
    snprintf(text, sizeof text, "%s: %.4f is not within %.4f and %.4f", what, value, low, high);
    if (!(value >= low && value <= high)) check_fail(__FILE__, __LINE__, text);
}

/* A window over five seeds, and a seed of our own may lie a little outside:
   half of its width is allowed at either end, and 1 %. */
static void check_rate(const char *what, double value, window w)
{
    double slack = 0.5 * (w.high - w.low) + 0.01 * w.high;
    check_window(what, value, w.low - slack, w.high + slack);
}

static void check_cuba(int form, window exc, window inh, double cv)
{
    measurement m = fresh(2, 0.1, 1);
    cuba_describe(m.net, form, m.pop);
    finish(&m, 500.0, 10000.0);
    check_rate("excitatory (Hz)", m.stats.rates_hz[0], exc);
    check_rate("inhibitory (Hz)", m.stats.rates_hz[1], inh);
    check_window("CV of intervals", m.stats.cv_isi[0], cv - 0.05, cv + 0.05);
}

TEST(cuba_of_brian_has_its_rates)
{
    check_cuba(CUBA_BRIAN, (window){5.32, 5.71}, (window){5.50, 5.62}, 0.73);
}

TEST(cuba_of_nest_has_its_rates)
{
    check_cuba(CUBA_NEST, (window){3.98, 4.04}, (window){4.01, 4.03}, 0.90);
}

static void check_coba(int form, window exc, window inh, double cv)
{
    measurement m = fresh(2, 0.1, 1);
    coba_describe(m.net, &coba_forms[form], m.pop);
    finish(&m, 500.0, 5000.0);
    check_rate("excitatory (Hz)", m.stats.rates_hz[0], exc);
    check_rate("inhibitory (Hz)", m.stats.rates_hz[1], inh);
    check_window("CV of intervals", m.stats.cv_isi[0], cv - 0.1, cv + 0.1);
}

TEST(coba_of_brian_has_its_rates)
{
    check_coba(0, (window){17.1, 19.7}, (window){18.0, 19.5}, 1.74);
}

TEST(coba_of_nest_has_its_rates)
{
    check_coba(1, (window){13.9, 14.5}, (window){14.0, 14.3}, 1.62);
}

TEST(coba_of_auryn_has_its_rates)
{
    check_coba(2, (window){15.9, 17.6}, (window){16.6, 17.4}, 1.66);
}

static void check_brunel(int state, double ms, window exc, window inh, window cv)
{
    measurement m = fresh(2, 0.1, 1);
    const brunel_state *s = &brunel_states[state];
    brunel_describe(m.net, s->g, s->eta, 10.0, m.pop);
    finish(&m, 200.0, ms);
    check_window("excitatory (Hz)", m.stats.rates_hz[0], exc.low, exc.high);
    check_window("inhibitory (Hz)", m.stats.rates_hz[1], inh.low, inh.high);
    check_window("CV of intervals", m.stats.cv_isi[0], cv.low, cv.high);
}

TEST(brunel_a_fires_at_the_refractory_limit)
{
    check_brunel(0, 120.0, (window){332.0, 335.0}, (window){332.0, 335.0}, (window){0.0, 0.01});
}

/* Windows of one second and more, widened by 2 % for our shorter runs; short trains have a
   smaller CV. */
TEST(brunel_b_is_fast_and_irregular)
{
    check_brunel(1, 500.0, (window){56.9, 59.7}, (window){57.4, 60.2}, (window){0.70, 0.90});
}

TEST(brunel_c_is_asynchronous)
{
    check_brunel(2, 1000.0, (window){36.8, 38.4}, (window){36.8, 38.6}, (window){0.38, 0.46});
}

/* Slow oscillations make the rate of 10 s scatter by 2 % between seeds; 5 % are allowed around the
   published 5.72 to 5.75 Hz. */
TEST(brunel_d_is_slow)
{
    check_brunel(3, 10000.0, (window){5.45, 6.02}, (window){5.48, 6.06}, (window){0.62, 0.76});
}

TEST(izhikevich_1000_has_its_rates)
{
    measurement m = fresh(2, 1.0, 1);
    izhikevich_describe(m.net, 1, m.pop);
    finish(&m, 0.0, 10000.0);
    check_rate("excitatory (Hz)", m.stats.rates_hz[0], (window){7.17, 7.46});
    check_rate("inhibitory (Hz)", m.stats.rates_hz[1], (window){6.52, 6.84});
}

static const double tenth_rate[PD_COUNT] = {.471, 2.097, 3.968, 5.000, 6.543, 7.812, .840, 7.005};
static const double tenth_sd[PD_COUNT] = {.009, .030, .044, .023, .183, .038, .023, .031};

/* Four standard deviations over seeds or 10 %, whichever is larger. */
TEST(microcircuit_of_a_tenth_has_its_rates)
{
    measurement m = fresh(PD_COUNT, 0.1, 1);
    int k;
    pd_describe(m.net, 0.1, false, m.pop);
    finish(&m, 500.0, 10000.0);
    for (k = 0; k < PD_COUNT; k++) {
        const double rate = tenth_rate[k];
        double slack = 4.0 * tenth_sd[k] > 0.1 * rate ? 4.0 * tenth_sd[k] : 0.1 * rate;
        check_window(pd_name[k], m.stats.rates_hz[k], rate - slack, rate + slack);
    }
}

/* With 16-bit states the rates stay within 3 %, beside what seeds differ by (at full scale over
   10 s, where seeds differ less, all were within 1.6 % of those of 32 bits). */
TEST(states_of_16_bits_keep_the_rates_of_the_microcircuit)
{
    measurement m = fresh(PD_COUNT, 0.1, 2);
    int k;
    spk_net_destroy(m.net);
    spk_net_desc d = {0};
    d.threads = 2;
    d.seed = 2;
    d.precision = SPK_FLOAT16;
    m.net = spk_net_create(&d);
    pd_describe(m.net, 0.1, false, m.pop);
    finish(&m, 500.0, 10000.0);
    for (k = 0; k < PD_COUNT; k++) {
        const double slack = 0.03 * tenth_rate[k] + 4.0 * tenth_sd[k];
        check_window(pd_name[k], m.stats.rates_hz[k], tenth_rate[k] - slack, tenth_rate[k] + slack);
    }
}

/* The parameters: the published total, and the currents that stand in for Poisson input. */
TEST(the_microcircuit_has_the_published_size)
{
    double synapses = 0.0;
    size_t neurons = 0;
    int t, s;
    for (t = 0; t < PD_COUNT; t++) {
        neurons += pd_size[t];
        for (s = 0; s < PD_COUNT; s++) synapses += pd_synapses(t, s);
    }
    CHECK_EQ(neurons, 77169);
    CHECK_EQ(synapses, 298880968);
    CHECK_NEAR(pd_current(0, 1.0, true), 561.974, 0.001);
    CHECK_NEAR(pd_current(6, 1.0, true), 1018.579, 0.001);
    CHECK_NEAR(pd_current(0, 1.0, false), 0.0, 0.0);
}

TEST_MAIN()
