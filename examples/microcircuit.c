/* cc -O2 microcircuit.c -o microcircuit -lm -lpthread */

/* The cortical microcircuit of Potjans and Diesmann (Cereb. Cortex 24:785, 2014): the neurons and
   synapses under one square millimetre of cortex, at full density. Runs it, prints the rates of
   the eight populations beside those that NEST gives, and writes raster.svg.

   The network itself is the first half of this file; `--help` lists the options. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- the network: layers 2/3, 4, 5, 6, each excitatory (E) and inhibitory (I) -- */

enum { PD_COUNT = 8 };
static const char *const pd_name[PD_COUNT] = {"L2/3E", "L2/3I", "L4E", "L4I",
                                              "L5E",   "L5I",   "L6E", "L6I"};
static const size_t pd_size[PD_COUNT] = {20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948};

/* Probability that a pair has at least one synapse, [target][source]: the paper's table 5. */
static const double pd_probability[PD_COUNT][PD_COUNT] = {
    {.1009, .1689, .0437, .0818, .0323, .0000, .0076, .0000},
    {.1346, .1371, .0316, .0515, .0755, .0000, .0042, .0000},
    {.0077, .0059, .0497, .1350, .0067, .0003, .0453, .0000},
    {.0691, .0029, .0794, .1597, .0033, .0000, .1057, .0000},
    {.1004, .0622, .0505, .0057, .0831, .3726, .0204, .0000},
    {.0548, .0269, .0257, .0022, .0600, .3158, .0086, .0000},
    {.0156, .0066, .0211, .0166, .0572, .0197, .0396, .2252},
    {.0364, .0010, .0034, .0005, .0277, .0080, .0658, .1443}};

/* Background synapses a neuron, each firing at 8 Hz; starting potentials (mV) close to those that
   the running network has; stationary rates (Hz) at full scale, from NEST. */
static const double pd_background[PD_COUNT] = {1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100};
static const double pd_v_mean[PD_COUNT] = {-68.28, -63.16, -63.33, -63.45,
                                           -63.11, -61.66, -66.72, -61.43};
static const double pd_v_sd[PD_COUNT] = {5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48};
static const double pd_rate[PD_COUNT] = {0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829};

#define PD_BACKGROUND_HZ 8.0
#define PD_WEIGHT 87.80849352920843 /* pA: a postsynaptic potential of 0.15 mV */
#define PD_TAU_SYN 0.5              /* ms */

/* ln(1 - x) for 0 <= x <= 0.4 from its series: a libm would give other digits elsewhere. */
static double pd_log_1_minus(double x)
{
    double sum = 0.0;
    int k;
    for (k = 80; k > 0; k--) sum = x * (1.0 / k + sum);
    return -sum;
}

/* Synapses of a projection at full scale: as many as make the pairwise probability what it is when
   source and target of each are drawn independently. (pairs - 1) / pairs is rounded to a double
   first, as everybody's scripts have it: 298,880,968 in all. */
static double pd_synapses(int target, int source)
{
    double pairs = (double)pd_size[target] * (double)pd_size[source];
    double one_pair = 1.0 - (pairs - 1.0) / pairs;
    return floor(pd_log_1_minus(pd_probability[target][source]) / pd_log_1_minus(one_pair) + 0.5);
}

static double pd_weight(int target, int source)
{
    if (source % 2 == 1) return -4.0 * PD_WEIGHT;
    return target == 0 && source == 2 ? 2.0 * PD_WEIGHT : PD_WEIGHT; /* L4E to L2/3E is doubled */
}

/* Constant input (pA), rounded to 1e-6 pA so that compilers that fuse multiplications agree. A
   network of scale f has f times the in-degrees with 1 / sqrt(f) times the weights, which keeps
   the variance of the input; the mean that is lost comes back as a current. */
static double pd_current(int target, double scale, bool dc_drive)
{
    double external = PD_WEIGHT * pd_background[target] * PD_BACKGROUND_HZ, recurrent = 0.0, pa;
    int s;
    for (s = 0; s < PD_COUNT; s++)
        recurrent += pd_weight(target, s) * pd_synapses(target, s) / (double)pd_size[target] *
                     pd_rate[s];
    pa = (1.0 - sqrt(scale)) * (recurrent + (dc_drive ? 0.0 : external));
    if (dc_drive) pa += external;
    return floor(0.001 * PD_TAU_SYN * pa * 1e6 + 0.5) / 1e6;
}

static void pd_connect(spk_net *net, const spk_pop pop[PD_COUNT], int target, int source,
                       double scale)
{
    double weight = pd_weight(target, source) / sqrt(scale);
    double delay = source % 2 == 0 ? 1.5 : 0.75, sd = weight < 0.0 ? -0.1 * weight : 0.1 * weight;
    spk_conn_desc d = {0};
    d.rule = SPK_FIXED_TOTAL;
    d.total = (uint64_t)(pd_synapses(target, source) * scale * scale + 0.5);
    d.weight = weight < 0.0 ? spk_normal_clipped(weight, sd, 2.0 * weight, 0.0)
                            : spk_normal_clipped(weight, sd, 0.0, 2.0 * weight);
    d.delay_ms = spk_normal(delay, 0.5 * delay);
    if (d.total > 0) spk_net_connect(net, pop[source], pop[target], &d);
}

/* Describes the network; errors are remembered by `net`. */
static void pd_describe(spk_net *net, double scale, bool dc_drive, spk_pop pop[PD_COUNT])
{
    int t, s;
    for (t = 0; t < PD_COUNT; t++) {
        pop[t] = spk_net_add(net, pd_name[t], (size_t)((double)pd_size[t] * scale + 0.5),
                             SPK_LIF_EXP,
                             SPK_SET({"c_m", SPK_PF(250)}, {"tau_m", SPK_MS(10)},
                                     {"tau_syn", SPK_MS(PD_TAU_SYN)}, {"e_l", SPK_MV(-65)},
                                     {"v_th", SPK_MV(-50)}, {"v_reset", SPK_MV(-65)},
                                     {"t_ref", SPK_MS(2)},
                                     {"i_dc", SPK_PA(pd_current(t, scale, dc_drive))},
                                     {"v", spk_normal(pd_v_mean[t], pd_v_sd[t])}));
        if (!dc_drive)
            spk_net_drive_poisson(net, pop[t], &(spk_poisson_desc){
                .rate_hz = SPK_HZ(pd_background[t] * scale * PD_BACKGROUND_HZ),
                .weight = SPK_PA(PD_WEIGHT / sqrt(scale))});
    }
    for (t = 0; t < PD_COUNT; t++)
        for (s = 0; s < PD_COUNT; s++) pd_connect(net, pop, t, s, scale);
}

#ifndef SPIKELIB_EXAMPLE_PART /* spkbench and the tests take the network without the program */

/* -- the program -- */

#ifdef _WIN32
#include <io.h>
#define isatty _isatty
#else
#include <sys/resource.h>
#include <unistd.h>
#endif

typedef struct options {
    double scale, ms, warmup_ms; /* scale 0: as large as memory allows */
    uint32_t threads;
    uint64_t seed;
    bool dc, may_shrink; /* the scale is ours to choose */
    spk_isa isa;
} options;

static const char *const help =
    "microcircuit [options]    the Potjans-Diesmann microcircuit; writes raster.svg\n"
    "  --scale F        neurons and in-degrees, 0.01 to 1 (default: 1 where 2 GB are free)\n"
    "  --threads N      default: all\n"
    "  --ms T           measured time (default: 1000)\n"
    "  --warmup-ms T    time before it (default: 500)\n"
    "  --drive D        poisson or dc (default: poisson; dc is meant for full scale)\n"
    "  --seed N         default: 1\n"
    "  --isa NAME       scalar sse2 avx2 avx512 neon generic (default: the widest)\n";

static bool number(const char *text, double low, double high, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == 0 && *value >= low && *value <= high;
}

/* One option with its value. False if either makes no sense. */
static bool option(options *o, const char *name, const char *value)
{
    double x = 0.0;
    if (!strcmp(name, "--scale")) return number(value, 0.01, 1.0, &o->scale);
    if (!strcmp(name, "--ms")) return number(value, 1.0, 1e7, &o->ms);
    if (!strcmp(name, "--warmup-ms")) return number(value, 0.0, 1e7, &o->warmup_ms);
    if (!strcmp(name, "--threads")) {
        if (!number(value, 1.0, 1024.0, &x)) return false;
        o->threads = (uint32_t)x;
        return true;
    }
    if (!strcmp(name, "--seed")) {
        if (!number(value, 0.0, 9e15, &x)) return false;
        o->seed = (uint64_t)x;
        return true;
    }
    if (!strcmp(name, "--isa"))
        return (o->isa = spk_isa_from_name(value)) != SPK_ISA_AUTO || !strcmp(value, "auto");
    o->dc = !strcmp(value, "dc");
    return !strcmp(name, "--drive") && (o->dc || !strcmp(value, "poisson"));
}

/* The first number of a file that holds only one, or `otherwise` ("max", or no such file). */
static double number_in(const char *path, double otherwise)
{
    FILE *f = fopen(path, "r");
    char line[64] = "", *end = line;
    double x = 0.0;
    if (f && fgets(line, sizeof line, f)) x = strtod(line, &end);
    if (f) fclose(f);
    return end == line ? otherwise : x;
}

/* Free memory in GB: of the machine, of the container and of the process, the least. A large
   number where the system does not say. */
static double free_gigabytes(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[256];
    double bytes = 1e15, group;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "MemAvailable:", 13)) bytes = 1024.0 * strtod(line + 13, NULL);
    if (f) fclose(f);
    group = number_in("/sys/fs/cgroup/memory.max", 1e15) -
            number_in("/sys/fs/cgroup/memory.current", 0.0);
    if (group < bytes) bytes = group > 0.0 ? group : 0.0;
#ifndef _WIN32
    {
        struct rlimit limit;
        if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
            (double)limit.rlim_cur < bytes)
            bytes = (double)limit.rlim_cur;
    }
#endif
    return bytes / 1e9;
}

/* Synapses, which are what needs memory, go with the square of the scale. */
static double scale_that_fits(void)
{
    static const double step[] = {1.0, 0.7, 0.5, 0.3, 0.2, 0.1};
    double have = free_gigabytes();
    int i = 0;
    while (i < 5 && 0.1 + 1.9 * step[i] * step[i] > have) i++;
    if (i > 0)
        printf("Only %.1f GB of memory are free; full scale needs 2. This is scale %.1f.\n", have,
               step[i]);
    return step[i];
}

/* After memory ran out: half the scale, which needs a quarter. False: no smaller one is tried. */
static bool smaller(options *o)
{
    if (!o->may_shrink || o->scale <= 0.05) return false;
    o->scale = o->scale < 0.1 ? 0.05 : 0.5 * o->scale;
    printf("There was less memory than the system said. This is scale %g.\n", o->scale);
    return true;
}

static void progress(const char *what, double done)
{
    static const char bar[] = "========================================";
    if (!isatty(2)) return;
    fprintf(stderr, "\r%-10s [%-40.*s] %3.0f %%", what, (int)(40.0 * done), bar, 100.0 * done);
    if (done >= 1.0) fprintf(stderr, "\r%64s\r", "");
}

/* Runs in pieces, for the sake of the progress bar. */
static spk_result run(spk_net *net, const char *what, double ms)
{
    spk_result result = SPK_OK;
    double done = 0.0;
    while (result == SPK_OK && done < ms) {
        double piece = ms - done < 20.0 ? ms - done : 20.0;
        progress(what, done / ms);
        result = spk_net_run(net, piece);
        done += piece;
    }
    progress(what, 1.0);
    return result;
}

static void print_rates(spk_net *net, const spk_pop pop[PD_COUNT], const spk_spike *spikes,
                        size_t count, double ms)
{
    int k;
    printf("\n%-8s %9s %10s %18s\n", "", "neurons", "rate (Hz)", "NEST, full scale");
    for (k = 0; k < PD_COUNT; k++) {
        size_t n = spk_net_pop_size(net, pop[k]), i, mine = 0;
        uint32_t first = spk_net_pop_id(net, pop[k], 0);
        for (i = 0; i < count; i++)
            mine += spikes[i].neuron >= first && spikes[i].neuron - first < n;
        printf("%-8s %9zu %10.3f %18.3f\n", pd_name[k], n, 1000.0 * (double)mine / (double)n / ms,
               pd_rate[k]);
    }
}

static void draw(spk_net *net, const spk_pop pop[PD_COUNT], const spk_spike *spikes, size_t count,
                 const options *o)
{
    static const uint32_t colour[PD_COUNT] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7,
                                              0x333333, 0xe69f00, 0x56b4e9, 0xa04000};
    spk_plot_group groups[PD_COUNT];
    spk_plot_desc d = {0};
    char title[128];
    int k;
    for (k = 0; k < PD_COUNT; k++) {
        groups[k].name = pd_name[k];
        groups[k].first = spk_net_pop_id(net, pop[k], 0);
        groups[k].end = groups[k].first + (uint32_t)spk_net_pop_size(net, pop[k]);
        groups[k].rgb = colour[k];
    }
    snprintf(title, sizeof title, "Cortical microcircuit, scale %g", o->scale);
    d.title = title;
    d.height = 560.0;
    d.groups = groups;
    d.group_count = PD_COUNT;
    d.x_min = o->warmup_ms;
    d.x_max = o->warmup_ms + o->ms;
    if (spk_plot_raster_desc(spikes, count, 0.1, &d, "raster.svg") == SPK_OK)
        printf("\nThe raster is in raster.svg.\n");
    else printf("\nraster.svg cannot be written.\n");
}

static void print_costs(spk_net *net, spk_rec rec, double seconds, double ms)
{
    spk_net_info info;
    char cpu[128];
    spk_net_get_info(net, &info);
    printf("\n%s, %u threads, %s\n", spk_cpu_name(cpu, sizeof cpu), info.threads,
           spk_isa_name(info.isa));
    printf("built in %.1f s; %.2f bytes a synapse; %.2f GB at most\n", info.build_s,
           (double)info.bytes_now / (double)info.synapses, (double)info.bytes_peak / 1e9);
    printf("%.2f s for %.2f s of biological time: real-time factor %.3f\n", seconds, ms / 1000.0,
           1000.0 * seconds / ms);
    printf("digest %016llx (%llu spikes, the warm-up included)\n",
           (unsigned long long)spk_rec_digest(rec), (unsigned long long)spk_rec_count(rec));
}

static spk_pop pd_all(spk_net *net, const spk_pop pop[PD_COUNT])
{
    spk_pop all = pop[0];
    int k;
    for (k = 1; k < PD_COUNT; k++) all = spk_net_union(net, all, pop[k]);
    return all;
}

static spk_result simulate(spk_net *net, const options *o)
{
    spk_pop pop[PD_COUNT];
    spk_net_info info;
    spk_rec rec;
    spk_result result;
    const spk_spike *spikes;
    size_t count;
    double start;
    pd_describe(net, o->scale, o->dc, pop);
    rec = spk_net_record_spikes(net, pd_all(net, pop));
    progress("building", 0.0);
    result = spk_net_build(net);
    progress("building", 1.0);
    if (result != SPK_OK) return result;
    spk_net_get_info(net, &info);
    printf("%llu neurons, %llu synapses\n", (unsigned long long)info.neurons,
           (unsigned long long)info.synapses);
    fflush(stdout);
    result = run(net, "warming up", o->warmup_ms);
    if (result != SPK_OK) return result;
    spk_rec_clear(rec);
    start = spk_clock_seconds();
    result = run(net, "running", o->ms);
    if (result != SPK_OK) return result;
    start = spk_clock_seconds() - start;
    spikes = spk_rec_spikes(rec, &count);
    print_rates(net, pop, spikes, count, o->ms);
    print_costs(net, rec, start, o->ms);
    draw(net, pop, spikes, count, o);
    return SPK_OK;
}

int main(int argc, char **argv)
{
    options o = {.ms = 1000.0, .warmup_ms = 500.0, .seed = 1};
    spk_net *net;
    spk_result result;
    int i;
    for (i = 1; i < argc; i += 2) {
        if (!strcmp(argv[i], "--help")) {
            fputs(help, stdout);
            return 0;
        }
        if (i + 1 < argc && option(&o, argv[i], argv[i + 1])) continue;
        fprintf(stderr, "microcircuit: bad option %s %s (--help lists them)\n", argv[i],
                i + 1 < argc ? argv[i + 1] : "");
        return 2;
    }
    if (o.threads == 0) o.threads = spk_cpu_count();
    o.may_shrink = o.scale == 0.0;
    if (o.may_shrink) o.scale = scale_that_fits();
    do {
        net = spk_net_create(&(spk_net_desc){
            .threads = o.threads, .seed = o.seed, .isa = o.isa});
        result = simulate(net, &o);
        if (result != SPK_OK) fprintf(stderr, "microcircuit: %s\n", spk_net_error(net));
        spk_net_destroy(net);
    } while (result == SPK_ERR_OUT_OF_MEMORY && smaller(&o));
    return result == SPK_OK ? 0 : 1;
}

#endif
