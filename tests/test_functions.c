/* ---- >>test_functions: our own exp and its like, and spikes that outgrow the queue ----
   check: networks alone */

#define SPIKELIB_IMPLEMENTATION
#include "models.h"

/* -- our own functions -- */

typedef enum { F_EXP, F_EXPREL, F_LOG, F_SIN, F_COS, F_TANH, F_SQRT, F_POW, F_COUNT } function;
static const char *const function_name[F_COUNT] = {"exp",  "exprel", "log",  "sin",
                                                   "cos",  "tanh",   "sqrt", "pow"};

#define MATHS_PARAMS(X) X(x, 1.0, "") X(y, 1.0, "")
#define MATHS_STATE(X)                                                                            \
    X(f0, 0.0, "") X(f1, 0.0, "") X(f2, 0.0, "") X(f3, 0.0, "") X(f4, 0.0, "") X(f5, 0.0, "")     \
    X(f6, 0.0, "") X(f7, 0.0, "")
SPIKELIB_NEURON(maths, MATHS_PARAMS, SPK_NONE, MATHS_STATE, SPK_NONE,
    f0 = spk_exp(x);
    f1 = spk_exprel(x);
    f2 = spk_log(spk_abs(x));
    f3 = spk_sin(x);
    f4 = spk_cos(x);
    f5 = spk_tanh(x);
    f6 = spk_sqrt(spk_abs(x));
    f7 = spk_pow(spk_abs(x), y);
)

static long double exact(function f, long double x, long double y)
{
    switch (f) {
    case F_EXP: return expl(x);
    case F_EXPREL: return x == 0 ? 1 : expm1l(x) / x;
    case F_LOG: return logl(fabsl(x));
    case F_SIN: return sinl(x);
    case F_COS: return cosl(x);
    case F_TANH: return tanhl(x);
    case F_SQRT: return sqrtl(fabsl(x));
    default: return powl(fabsl(x), y);
    }
}

/* Units in the last place; below 1e-3 of 1 (zeros of sin, cos, log) of a number of that size. */
static double ulps(function f, double got, long double want, int bits)
{
    const int zeros = f == F_SIN || f == F_COS || f == F_LOG;
    const long double size = zeros && fabsl(want) < 1e-3L ? 1e-3L : fabsl(want);
    int e;
    (void)frexpl(size, &e);
    return (double)(fabsl((long double)got - want) / ldexpl(1, e - bits));
}

/* A third near 0, a third moderate, a third over the whole range. */
static void arguments(double *x, double *y, size_t n, int single)
{
    uint64_t s = 7;
    for (size_t k = 0; k < n; k++) {
        double u[2];
        for (int j = 0; j < 2; j++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            u[j] = (double)(s >> 11) / 4503599627370496.0 - 1;
        }
        x[k] = u[0] * (k % 3 == 0 ? 1 : k % 3 == 1 ? 20 : single ? 86 : 700);
        y[k] = u[1] * (k % 3 == 2 ? 3 : 10);
        if (single) {
            x[k] = (float)x[k];
            y[k] = (float)y[k];
        }
    }
    x[0] = 0.0;
    x[1] = 1.0;
    x[2] = 0.5;
    x[3] = -0.5;
}

TEST(own_functions_are_as_exact_as_they_say)
{
    enum { N = 30000 };
    static double x[N], y[N], got[N];
    static const double allowed[2][F_COUNT] = {{2, 2.5, 2, 2, 2, 3, 0.501, 0},
                                               {2, 2.5, 2, 2, 2, 3, 0.501, 0}};
    for (int precision = 0; precision < 2; precision++) {
        arguments(x, y, N, !precision);
        spk_net *net = net_of((spk_precision)precision, 0.1, 1);
        spk_pop pop = spk_net_add(net, "n", N, maths,
                                  SPK_SET({"x", spk_array(x, N)}, {"y", spk_array(y, N)}));
        run(net, 1);
        printf("    %d bits, ulp:", precision ? 64 : 32);
        for (int f = 0; f < F_COUNT; f++) {
            const char state[3] = {'f', (char)('0' + f), 0};
            double worst = 0, at = 0;
            CHECK(spk_net_get(net, pop, state, got, N) == SPK_OK);
            for (size_t k = 0; k < N; k++) {
                const long double want = exact((function)f, x[k], y[k]);
                double bar = 1;
                if ((f == F_LOG || f == F_POW) && x[k] == 0) continue;
                if (f == F_POW) { /* an error of 2 ulp in the logarithm is magnified by y log x */
                    const long double z = fabsl(y[k] * logl(fabsl(x[k])));
                    if (z > (precision ? 700 : 86)) continue;
                    bar = 4 + 4 * (double)z;
                } else {
                    bar = allowed[precision][f];
                }
                const double e = ulps((function)f, got[k], want, precision ? 53 : 24);
                if (e / bar > worst) {
                    worst = e / bar;
                    at = x[k];
                }
            }
            printf(" %s %.2f", function_name[f], worst * (f == F_POW ? 1 : allowed[precision][f]));
            if (!(worst <= 1)) {
                char text[100];
                snprintf(text, sizeof text, "%s(%.17g) is off by %.2f times what it may be",
                         function_name[f], at, worst);
                check_fail(__FILE__, __LINE__, text);
            }
        }
        printf(" (pow: of its bar)\n");
        spk_net_destroy(net);
    }
}

TEST(own_functions_have_the_same_bits_on_every_instruction_set)
{
    enum { N = 3000 };
    static double x[N], y[N];
    int sets = 0;
    for (int precision = 0; precision < 3; precision++) {
        uint64_t digest = 0;
        arguments(x, y, N, precision != 1);
        for (int isa = SPK_ISA_SCALAR; isa <= SPK_ISA_GENERIC; isa++) {
            if (!spk_isa_available((spk_isa)isa)) continue;
            spk_net_desc d = {0};
            d.precision = (spk_precision)precision;
            d.isa = (spk_isa)isa;
            spk_net *net = spk_net_create(&d);
            spk_net_add(net, "n", N, maths,
                        SPK_SET({"x", spk_array(x, N)}, {"y", spk_array(y, N)}));
            run(net, 2);
            const uint64_t got = spk_net_state_digest(net);
            if (digest) CHECK_EQ(got, digest);
            digest = got;
            sets++;
            spk_net_destroy(net);
        }
    }
    printf("    %d instruction sets\n", sets / 3);
    CHECK(sets >= 3);
}

/* exp outside its range is the nearest in it: finite, not 0. */
TEST(own_exponential_is_bounded)
{
    CHECK(spki_exp_d1(1e300) < 1e308 && spki_exp_d1(1e300) > 1e307);
    CHECK(spki_exp_d1(-1e300) > 0 && spki_exp_d1(-1e300) < 1e-300);
    CHECK(spki_exp_f1(1e30f) < 3e38f && spki_exp_f1(1e30f) > 1e37f);
    CHECK(spki_exp_f1(-1e30f) > 0 && spki_exp_f1(-1e30f) < 1e-37f);
}

/* -- delivery, spike by spike -- */

#define SUM_STATE(X) X(total, 0.0, "") X(phase, 0.0, "")
#define SUM_PARAMS(X) X(period, 2.0, "") X(shift, 0.0, "")
#define SUM_INPUTS(X) X(input, SPK_DELTA)
/* Spikes in every step whose number mod period is not 0; weights are added up. */
SPIKELIB_NEURON(summing, SUM_PARAMS, SPK_NONE, SUM_STATE, SUM_INPUTS,
    total = total + input;
    phase = phase + K(1.0);
    spike = phase < period;
    phase = spk_select(spike, phase, K(0.0));
)

/* Everyone spikes nearly always, so that the queue of buckets overflows and the history takes
   over; every sum must be that of a plain loop over all synapses and spikes. */
TEST(every_spike_arrives_once_also_when_the_queue_overflows)
{
    enum { N = 150, STEPS = 300, MOST = 30000 };
    static double total[N], want[N], period[N];
    static uint8_t fired[STEPS + 1][N];
    for (uint32_t threads = 1; threads <= 3; threads++) {
        spk_net_desc d = {0};
        spk_conn_desc c = {0};
        uint64_t deferred = 0;
        d.precision = SPK_FLOAT64;
        d.threads = threads;
        spk_net *net = spk_net_create(&d);
        for (int n = 0; n < N; n++) period[n] = n % 7 == 0 ? 100 : 2 + n % 30;
        spk_pop pop = spk_net_add(net, "n", N, summing, SPK_SET({"period", spk_array(period, N)}));
        c.rule = SPK_ALL_TO_ALL;
        c.weight = spk_uniform(-100, 100);
        c.delay_ms = spk_uniform(0.1, 6.0);
        spk_net_connect(net, pop, pop, &c);
        spk_rec rec = spk_net_record_spikes(net, pop);
        for (int k = 0; k < STEPS; k += 10) {
            run(net, 10);
            for (uint32_t t = 0; t < net->tiles; t++) deferred += net->tile[t].deferred_count;
        }
        CHECK(deferred > 0);
        size_t count, synapses = 0;
        const spk_spike *s = spk_rec_spikes(rec, &count);
        memset(fired, 0, sizeof fired);
        memset(want, 0, sizeof want);
        for (size_t k = 0; k < count; k++) fired[s[k].step][s[k].neuron] = 1;
        spk_synapse *synapse = (spk_synapse *)malloc(MOST * sizeof *synapse);
        CHECK(spk_net_synapses(net, pop, pop, synapse, MOST, &synapses) == SPK_OK);
        CHECK_EQ(synapses, N * N);
        uint64_t events = 0;
        for (size_t k = 0; k < synapses && k < MOST; k++) {
            for (uint32_t t = 1; t + synapse[k].delay_steps <= STEPS; t++) {
                if (!fired[t][synapse[k].source]) continue;
                want[synapse[k].target] += synapse[k].weight;
                events++;
            }
        }
        CHECK(spk_net_get(net, pop, "total", total, N) == SPK_OK);
        for (int n = 0; n < N; n++) CHECK_NEAR(total[n], want[n], 1e-6);
        spk_net_info info;
        CHECK(spk_net_get_info(net, &info) == SPK_OK);
        CHECK_EQ(info.events, events);
        printf("    %u threads: %zu spikes, %llu events, steps deferred at the same time %llu\n",
               threads, count, (unsigned long long)events, (unsigned long long)deferred / 30);
        free(synapse);
        spk_net_destroy(net);
    }
}

TEST_MAIN()
