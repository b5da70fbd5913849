/* ---- >>test_drives: sources, drives and storage against their distributions ----
   check: networks alone */

#define SPIKELIB_IMPLEMENTATION
#include "models.h"

/* -- sources and drives against their distributions -- */

/* The upper tail of chi-squared, by Wilson and Hilferty's normal approximation. */
static double chi_squared_p(double x, double df)
{
    const double z = (cbrt(x / df) - (1 - 2 / (9 * df))) / sqrt(2 / (9 * df));
    return 0.5 * erfc(z / sqrt(2.0));
}

/* Observed counts of 0, 1, 2 ... (the last: that or more) against probabilities. Cells expected
   below 8 are joined with the next. */
static double chi_squared_test(const uint64_t *seen, const double *p, size_t cells, double n)
{
    double x = 0, expect = 0, got = 0;
    size_t used = 0;
    for (size_t k = 0; k < cells; k++) {
        double rest = 0;
        expect += n * p[k];
        got += (double)seen[k];
        for (size_t j = k + 1; j < cells; j++) rest += n * p[j];
        if (expect < 8 || (rest < 8 && k + 1 < cells)) continue;
        x += (got - expect) * (got - expect) / expect;
        expect = got = 0;
        used++;
    }
    return used > 1 ? chi_squared_p(x, (double)used - 1) : 0;
}

TEST(poisson_source_has_its_rate_and_geometric_intervals)
{
    enum { N = 100, CELLS = 400 };
    const double rates[3] = {5, 80, 900}, dt = 0.1;
    for (int k = 0; k < 3; k++) {
        const uint64_t steps = 50000;
        const double p = -expm1(-rates[k] * dt * 1e-3);
        spk_net *net = net_of(k == 1 ? SPK_FLOAT64 : SPK_FLOAT32, dt, 3);
        spk_pop pop = spk_net_add(net, "n", N, SPK_POISSON, SPK_SET({"rate", SPK_HZ(rates[k])}));
        spk_rec rec = spk_net_record_spikes(net, pop);
        run(net, steps);
        size_t count;
        const spk_spike *s = spk_rec_spikes(rec, &count);
        const double mean = (double)N * (double)steps * p, sd = sqrt(mean * (1 - p));
        static uint64_t seen[CELLS], each[N], last[N];
        double prob[CELLS], dispersion = 0;
        uint64_t width = (uint64_t)(1 / p / 20) + 1, intervals = 0;
        memset(seen, 0, sizeof seen);
        memset(each, 0, sizeof each);
        memset(last, 0, sizeof last);
        for (size_t j = 0; j < count; j++) {
            const uint32_t n = s[j].neuron;
            if (last[n]) {
                const uint64_t cell = (s[j].step - last[n] - 1) / width;
                seen[cell < CELLS ? cell : CELLS - 1]++;
                intervals++;
            }
            last[n] = s[j].step;
            each[n]++;
        }
        for (size_t j = 0; j < CELLS; j++) {
            prob[j] = pow(1 - p, (double)(j * width)) *
                      (j + 1 < CELLS ? 1 - pow(1 - p, (double)width) : 1);
        }
        for (size_t j = 0; j < N; j++) {
            const double d = (double)each[j] - mean / N;
            dispersion += d * d / (mean / N * (1 - p));
        }
        const double pi = chi_squared_test(seen, prob, CELLS, (double)intervals);
        const double pd = chi_squared_p(dispersion, N);
        printf("    %g Hz: %zu spikes (%.2f sd), intervals p %.3f, counts p %.3f\n", rates[k],
               count, ((double)count - mean) / sd, pi, pd);
        CHECK_NEAR(count, mean, 3.5 * sd);
        CHECK(k == 0 || (pi > 1e-3 && pi < 1 - 1e-6)); /* long intervals do not fit into 5 s */
        CHECK(pd > 1e-3 && pd < 0.999);
        spk_net_destroy(net);
    }
}

/* Keeps what arrives, so that a recorder sees it. */
#define PROBE_STATE(X) X(got, 0.0, "") X(current, 0.0, "pA")
#define PROBE_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)
SPIKELIB_NEURON(probe, SPK_NONE, SPK_NONE, PROBE_STATE, PROBE_INPUTS,
    got = input;
    current = i_ext;
)

static void check_poisson_drive(double mean, int each, spk_precision precision, double weight)
{
    enum { N = 64, STEPS = 2000, CELLS = 400 };
    static uint64_t seen[CELLS];
    static double prob[CELLS];
    const double dt = 0.5;
    spk_net *net = net_of(precision, dt, 11);
    spk_pop pop = spk_net_add(net, "n", N + 7, probe, NULL), in = spk_net_slice(net, pop, 5, N);
    spk_poisson_desc d = {0};
    double rates[N], sum = 0, squares = 0, lag = 0;
    for (int k = 0; k < N; k++) rates[k] = mean / dt * 1000 * (each && k % 2 ? 0.5 : 1);
    d.rate_hz = spk_array(rates, N);
    d.weight = spk_constant(weight);
    spk_net_drive_poisson(net, in, &d);
    spk_rec rec = record(net, pop, "got");
    run(net, STEPS);
    size_t rows, width;
    const double *x = spk_rec_samples(rec, &rows, &width);
    memset(seen, 0, sizeof seen);
    uint64_t samples = 0;
    int outside = 0, odd = 0;
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < width; k++) {
            const double n = x[r * width + k] / weight;
            if (k < 5 || k >= 5 + N) {
                outside += n != 0;
            } else if (!(each && (k - 5) % 2)) {
                const size_t cell = (size_t)(n + 0.5);
                odd += fabs(n - (double)cell) > 1e-5;
                seen[cell < CELLS ? cell : CELLS - 1]++;
                samples++;
                sum += n;
                squares += (n - mean) * (n - mean);
                if (r) lag += (n - mean) * (x[(r - 1) * width + k] / weight - mean);
            }
        }
    }
    const double n = (double)samples;
    for (size_t k = 0; k < CELLS; k++) {
        prob[k] = exp((double)k * log(mean) - mean - lgamma((double)k + 1));
    }
    const double p = chi_squared_test(seen, prob, CELLS, n);
    const double z = (sum / n - mean) / sqrt(mean / n), r = lag / squares * sqrt(n);
    printf("    mean %g%s: off by %.2f sd, variance / mean %.4f, chi-squared p %.3f, "
           "correlation of steps %.2f sd\n", mean, each ? " (a table each)" : "", z,
           squares / n / mean, p, r);
    CHECK(rows == STEPS && width == N + 7);
    CHECK(outside == 0 && odd == 0);
    CHECK(p > 1e-3);
    CHECK(fabs(z) < 3.5 && fabs(r) < 3.5);
    spk_net_destroy(net);
}

TEST(poisson_drive_follows_the_poisson_distribution)
{
    check_poisson_drive(0.05, 0, SPK_FLOAT32, 1);
    check_poisson_drive(0.8, 0, SPK_FLOAT64, 87.8);
    check_poisson_drive(2.3, 0, SPK_FLOAT32, -0.25);
    check_poisson_drive(2.3, 1, SPK_FLOAT32, 3);
    check_poisson_drive(80, 0, SPK_FLOAT32, 0.1);
    check_poisson_drive(80, 1, SPK_FLOAT64, 2);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

TEST(noise_current_is_gaussian)
{
    enum { N = 96, STEPS = 2000, EVERY = 4 };
    static double z[N * STEPS / EVERY];
    for (int precision = 0; precision < 2; precision++) {
        const double dt = 0.1, mean = 35, sd = 12;
        spk_net *net = net_of((spk_precision)precision, dt, 5);
        spk_pop pop = spk_net_add(net, "n", N, probe, NULL);
        spk_current_desc c = {0};
        c.amplitude = spk_constant(mean);
        c.noise_sd = sd;
        c.noise_dt_ms = EVERY * dt;
        spk_net_drive_current(net, pop, &c);
        spk_rec rec = record(net, pop, "current");
        run(net, STEPS);
        size_t rows, width, n = 0;
        const double *x = spk_rec_samples(rec, &rows, &width);
        REQUIRE(rows == STEPS && width == N);
        double sum = 0, squares = 0, cubes = 0, fourth = 0, lag = 0, d = 0;
        int changed = 0;
        for (size_t r = 0; r < rows; r++) {
            for (size_t k = 0; k < N; k++) {
                const double y = (x[r * N + k] - mean) / sd;
                if (r % EVERY) {
                    changed += x[r * N + k] != x[(r - 1) * N + k];
                    continue;
                }
                z[n++] = y;
                sum += y;
                squares += y * y;
                cubes += y * y * y;
                fourth += y * y * y * y;
                if (r) lag += y * (x[(r - 1) * N + k] - mean) / sd;
            }
        }
        qsort(z, n, sizeof *z, compare_doubles);
        for (size_t k = 0; k < n; k++) {
            const double f = 0.5 * erfc(-z[k] / sqrt(2.0));
            const double a = fabs(f - (double)k / (double)n);
            const double b = fabs(f - (double)(k + 1) / (double)n);
            d = a > d ? a : d;
            d = b > d ? b : d;
        }
        const double m = (double)n;
        printf("    %d bits: mean %.4f, variance %.4f, skewness %.4f, kurtosis %.4f, KS %.2f, "
               "extremes %.2f %.2f\n", precision ? 64 : 32, sum / m, squares / m, cubes / m,
               fourth / m, d * sqrt(m), z[0], z[n - 1]);
        CHECK(changed == 0);
        CHECK_NEAR(sum / m, 0, 3.5 / sqrt(m));
        CHECK_NEAR(squares / m, 1, 3.5 * sqrt(2 / m));
        CHECK_NEAR(cubes / m, 0, 3.5 * sqrt(15 / m));
        CHECK_NEAR(fourth / m, 3, 3.5 * sqrt(96 / m));
        CHECK_NEAR(lag / m, 0, 3.5 / sqrt(m));
        CHECK(d * sqrt(m) < 1.95); /* p = 0.001 */
        spk_net_destroy(net);
    }
}

/* The tails, word by word: Phi(z) must be (word + 1/2) / 2^32 within Wichura's 1e-7 of z. */
TEST(normal_deviates_invert_the_distribution_function)
{
    uint32_t word[64];
    double d[64], worst = 0;
    float f[64];
    for (uint32_t round = 0; round < 400; round++) {
        for (uint32_t k = 0; k < 64; k++) {
            word[k] = round < 4 ? (k < 32 ? k << (8 * round) : ~(k << (8 * round)))
                                : (round * 64 + k) * 2654435761u;
        }
        spki_normal_d1(word, d, 64, 1.0);
        spki_normal_f1(word, f, 64, 1.0);
        for (uint32_t k = 0; k < 64; k++) {
            const double u = ((double)word[k] + 0.5) / 4294967296.0;
            const double tail = u < 0.5 ? u : 1 - u, a = fabs(d[k]);
            /* one step of Newton's method from d gives the distance to the exact quantile */
            const double density = exp(-a * a / 2) / sqrt(2 * 3.14159265358979323846);
            const double error = fabs((0.5 * erfc(a / sqrt(2.0)) - tail) / density);
            worst = error / (1 + a) > worst ? error / (1 + a) : worst;
            CHECK((u < 0.5) == (d[k] < 0));
            CHECK_NEAR(f[k], d[k], 2e-6 * (1 + a));
        }
    }
    printf("    quantiles within %.2g\n", worst);
    CHECK(worst < 2e-7);
}

/* -- times -- */

TEST(spike_list_parrot_and_delays_keep_their_times)
{
    static const double times[5] = {0.1, 0.2, 3.0, 7.7, 7.8};
    static const uint32_t who[5] = {0, 0, 0, 0, 0};
    static const double delays[4] = {0.1, 0.2, 1.5, 102.4};
    static const uint32_t from[4] = {0, 0, 0, 0}, to[4] = {0, 1, 2, 3};
    spk_net *net = net_of(SPK_FLOAT32, 0.1, 1);
    spk_pop list = spk_net_add(net, "list", 1, SPK_SPIKE_LIST, NULL);
    spk_pop parrot = spk_net_add(net, "parrot", 4, SPK_PARROT, NULL);
    spk_conn_desc c = {0};
    c.rule = SPK_COO;
    c.sources = from;
    c.targets = to;
    c.total = 4;
    c.delay_ms = spk_array(delays, 4);
    spk_net_connect(net, list, parrot, &c);
    spk_net_spike_list(net, list, who, times, 5);
    spk_rec a = spk_net_record_spikes(net, list), b = spk_net_record_spikes(net, parrot);
    run(net, 1200);
    size_t na, nb;
    const spk_spike *sa = spk_rec_spikes(a, &na), *sb = spk_rec_spikes(b, &nb);
    CHECK_EQ(na, 5);
    CHECK_EQ(nb, 20);
    for (size_t k = 0; k < na && k < 5; k++) CHECK_EQ(sa[k].step, (uint64_t)(times[k] * 10 + 0.5));
    for (size_t j = 0; j < 4; j++) {
        size_t n = 0;
        for (size_t k = 0; k < nb; k++) {
            if (sb[k].neuron != 1 + j) continue;
            const uint64_t delay = (uint64_t)(delays[j] * 10 + 0.5);
            CHECK(n < 5 && sb[k].step == (uint64_t)(times[n] * 10 + 0.5) + delay);
            n++;
        }
        CHECK_EQ(n, 5);
    }
    spk_net_destroy(net);
}

/* -- 16-bit storage -- */

TEST(sixteen_bit_storage_keeps_slow_leaks_moving)
{
    /* tau 400 ms at 0.1 ms: a step moves v by 1/4000, a quarter of the last bit of 11 */
    enum { N = 2000, STEPS = 20000, EVERY = 500 };
    static double v[2][N];
    double worst = 0, spread = 0;
    spk_net *net[2];
    spk_pop pop[2];
    for (int k = 0; k < 2; k++) {
        net[k] = net_of(k ? SPK_FLOAT16 : SPK_FLOAT32, 0.1, 8);
        pop[k] = spk_net_add(net[k], "n", N, SPK_LIF_ADAPT,
                             SPK_SET({"tau_m", SPK_MS(400)}, {"v_th", SPK_MV(100)},
                                     {"v", spk_uniform(-85, -56)}, {"a", spk_constant(12)},
                                     {"tau_th", SPK_MS(700)}));
    }
    for (int t = 0; t < STEPS / EVERY; t++) {
        static const char *const state[2] = {"v", "a"};
        run(net[0], EVERY);
        run(net[1], EVERY);
        for (int s = 0; s < 2; s++) {
            double sum[2] = {0, 0}, squares = 0;
            for (int k = 0; k < 2; k++) {
                CHECK(spk_net_get(net[k], pop[k], state[s], v[k], N) == SPK_OK);
                for (int n = 0; n < N; n++) sum[k] += v[k][n];
            }
            for (int n = 0; n < N; n++) squares += (v[1][n] - v[0][n]) * (v[1][n] - v[0][n]);
            const double error = fabs(sum[1] - sum[0]) / N, sd = sqrt(squares / N);
            worst = error > worst ? error : worst;
            spread = sd > spread ? sd : spread;
            CHECK(error < 4 * sd / sqrt((double)N) + 1e-4); /* no bias beyond chance */
        }
    }
    printf("    means within %.2g mV, neurons within %.2g mV (sd) of 32 bits\n", worst, spread);
    CHECK(worst < 0.02 && spread < 0.5);
    spk_net_destroy(net[0]);
    spk_net_destroy(net[1]);
}

TEST_MAIN()
