/* ---- >>options: the command line ---- */
#ifndef SPKBENCH_OPTIONS_H
#define SPKBENCH_OPTIONS_H

#include "../spikelib.h"
#include "../spikelib_cl.h"
#include "../spikelib_cuda.cuh"

#include <stddef.h>
#include <stdio.h>

enum {
    IN_NEURONS = 1,
    IN_MICROCIRCUIT = 2,
    IN_BRUNEL = 4,
    IN_COBA = 8,
    IN_CUBA = 16,
    IN_IZHIKEVICH = 32,
    IN_BUILD = 64,
    IN_INFO = 128,
    IN_EVENTS = 256,
    IN_FILTERS = 512,
    IN_DECODE = 1 << 13,
    IN_RING = 1 << 16,
    IN_PIPELINE = 2048,
    IN_SPIKEFILE = 1 << 12,
    IN_SCALE = 1 << 17,
    IN_IDLE = 1 << 18,
    IN_NETWORKS = IN_MICROCIRCUIT | IN_BRUNEL | IN_COBA | IN_CUBA | IN_IZHIKEVICH,
    IN_ALL = 0x7fffffff
};

typedef struct options {
    bool json, help, profile, no_limits, in_turn;
    double scale, ms, warmup_ms;
    double threads, seed, weight_bits, steps, beside; /* whole numbers */
    double items, rounds, runs;
    double seconds; /* pipeline */
    double gb;
    const char *dir, *codec;
    spk_isa isa;
    spk_precision precision;
    double dt_us, rate, repeat; /* events */
    const char *file;
    const char *backend, *device; /* device: NULL for the best */
    const char *n, *synapses;     /* lists */
    const char *drive, *model, *state, *form, *precision_text, *isa_text, *race;
} options;

typedef enum option_kind { OPTION_FLAG, OPTION_REAL, OPTION_WHOLE, OPTION_TEXT } option_kind;

/* `words`: the values that a text may have, NULL for any. */
typedef struct option_def {
    const char *name;
    int commands;
    option_kind kind;
    size_t offset;
    double low, high;
    const char *words, *help;
} option_def;

/* What runs the networks: NULL is the CPU. */
static spk_backend *options_backend(const options *o)
{
    spk_cl_desc cl = {0};
    spk_cuda_desc cuda = {0};
    cl.device = cuda.device = o->device;
    cuda.style = !strcmp(o->backend, "cuda-own")      ? SPK_CUDA_OWN
                 : !strcmp(o->backend, "cuda-all")    ? SPK_CUDA_ALL
                 : !strcmp(o->backend, "cuda-slices") ? SPK_CUDA_SLICES
                 : !strcmp(o->backend, "cuda-graph")  ? SPK_CUDA_GRAPH
                                                      : SPK_CUDA_AUTO;
    return !strcmp(o->backend, "cl")           ? spk_cl_backend(&cl)
           : !strncmp(o->backend, "cuda", 4) ? spk_cuda_backend(&cuda)
                                               : NULL;
}

#define AT(field) offsetof(options, field)
static const option_def option_defs[] = {
    {"--json", IN_ALL, OPTION_FLAG, AT(json), 0, 0, NULL, "one JSON object a result, nothing else"},
    {"--help", IN_ALL, OPTION_FLAG, AT(help), 0, 0, NULL, "this text"},
    {"--profile", IN_NETWORKS, OPTION_FLAG, AT(profile), 0, 0, NULL,
     "adds where the time went, in seconds of all threads and in shares"},
    {"--beside", IN_NETWORKS, OPTION_WHOLE, AT(beside), 0, 1024, NULL,
     "measures once more beside so many busy loops of other processes"},
    {"--in-turn", IN_NETWORKS, OPTION_FLAG, AT(in_turn), 0, 0, NULL,
     "the shares of all threads run one after the other on one core: what each of so many\n"
     "                 cores would have to do"},
    {"--no-limits", IN_NETWORKS | IN_NEURONS | IN_BUILD | IN_SCALE, OPTION_FLAG, AT(no_limits), 0,
     0, NULL, "leaves out what the machine itself can do (half a second, 0.3 GB)"},
    {"--scale", IN_MICROCIRCUIT | IN_BUILD, OPTION_REAL, AT(scale), 0.01, 1.0, NULL,
     "size of the microcircuit, 0.01 to 1 (default 1)"},
    {"--threads", IN_ALL, OPTION_WHOLE, AT(threads), 1, 1024, NULL, "default: all CPUs"},
    {"--ms", IN_NETWORKS | IN_SCALE, OPTION_REAL, AT(ms), 1, 1e8, NULL,
     "measured time (default 1000; scale: 300)"},
    {"--runs", IN_NETWORKS, OPTION_WHOLE, AT(runs), 1, 100, NULL,
     "how often the time is measured; rtf is the median (default 1)"},
    {"--warmup-ms", IN_NETWORKS | IN_SCALE, OPTION_REAL, AT(warmup_ms), 0, 1e8, NULL,
     "time before it (default 500; scale: 100)"},
    {"--drive", IN_MICROCIRCUIT | IN_BUILD, OPTION_TEXT, AT(drive), 0, 0, "poisson dc",
     "poisson (default) or dc (meant for scale 1: small scales are silent with it)"},
    {"--state", IN_BRUNEL, OPTION_TEXT, AT(state), 0, 0, "A B C D", "A, B, C (default) or D"},
    {"--form", IN_COBA | IN_CUBA, OPTION_TEXT, AT(form), 0, 0, "brian nest auryn",
     "brian (default), nest, or auryn (coba only)"},
    {"--seed", IN_ALL, OPTION_WHOLE, AT(seed), 0, 9e15, NULL, "default 1"},
    {"--isa", IN_ALL, OPTION_TEXT, AT(isa_text), 0, 0, "auto scalar sse2 avx2 avx512 neon generic",
     "scalar sse2 avx2 avx512 neon generic (default: the widest)"},
    {"--backend", IN_NEURONS | IN_NETWORKS | IN_BUILD | IN_SCALE, OPTION_TEXT, AT(backend), 0, 0,
     "cpu cl cuda cuda-own cuda-all cuda-slices cuda-graph",
     "cpu (default), cl (OpenCL), cuda, or one of its ways of working: cuda-own, cuda-all,\n"
     "                 cuda-slices, cuda-graph"},
    {"--device", IN_NEURONS | IN_NETWORKS | IN_BUILD | IN_SCALE, OPTION_TEXT, AT(device), 0, 0,
     NULL, "a part of the name of the device (default: the best)"},
    {"--precision", IN_NEURONS | IN_NETWORKS | IN_SCALE | IN_IDLE, OPTION_TEXT,
     AT(precision_text), 0, 0, "16 32 64", "of the state: 16, 32 (default) or 64 bits"},
    {"--weight-bits", IN_NETWORKS | IN_BUILD | IN_SCALE | IN_IDLE, OPTION_WHOLE,
     AT(weight_bits), 8, 32, NULL, "8, 16 (default) or 32"},
    {"--model", IN_NEURONS, OPTION_TEXT, AT(model), 0, 0, NULL, "one model (default: each)"},
    {"--n", IN_NEURONS | IN_IDLE, OPTION_TEXT, AT(n), 0, 0, NULL,
     "neurons: a number or several, as 16384,16e6 (default 16384; idle: 1000,100000)"},
    {"--synapses", IN_SCALE, OPTION_TEXT, AT(synapses), 0, 0, NULL,
     "sizes, one network each (default 1e7,1e8,1e9; the last takes 4.5 GB)"},
    {"--gb", IN_SPIKEFILE, OPTION_REAL, AT(gb), 0.001, 1e6, NULL,
     "size of the file that windows are read from, in GB (default 0.1)"},
    {"--codec", IN_SPIKEFILE, OPTION_TEXT, AT(codec), 0, 0, "packed raw",
     "of the file that windows are read from: packed (default) or raw"},
    {"--dir", IN_SPIKEFILE, OPTION_TEXT, AT(dir), 0, 0, NULL,
     "where to write; spkbench-window.spk is used as it is, and kept, if it is there (default .)"},
    {"--file", IN_SPIKEFILE, OPTION_TEXT, AT(file), 0, 0, NULL,
     "instead: a recording of events, its size and how fast it is read"},
    {"--file", IN_EVENTS | IN_DECODE, OPTION_TEXT, AT(file), 0, 0, NULL,
     "recording (default: gen41_vectors.evt3.raw where it is found, else bars made here)"},
    {"--file", IN_FILTERS, OPTION_TEXT, AT(file), 0, 0, NULL,
     "recording (default: the simulator's texture with noise, 640 x 480)"},
    {"--dt-us", IN_EVENTS, OPTION_WHOLE, AT(dt_us), 1, 1e6, NULL, "step, us (default 125)"},
    {"--rate", IN_EVENTS, OPTION_REAL, AT(rate), 1e3, 1e9, NULL,
     "events offered per second of real time (default 10 million)"},
    {"--repeat", IN_EVENTS, OPTION_WHOLE, AT(repeat), 1, 10000, NULL,
     "times the recording is played (default 40)"},
    {"--seconds", IN_PIPELINE, OPTION_REAL, AT(seconds), 0.1, 3600, NULL,
     "of overload (default 30)"},
    {"--steps", IN_NEURONS | IN_IDLE, OPTION_WHOLE, AT(steps), 1, 1e9, NULL,
     "default 20000; neurons: for 16384, more neurons take so many fewer (100 at least)"},
    {"--items", IN_RING, OPTION_WHOLE, AT(items), 1000, 1e9, NULL,
     "16-byte items a run, twice as many in batches, a 20th in round trips (default 2000000)"},
    {"--rounds", IN_RING, OPTION_WHOLE, AT(rounds), 1, 31, NULL, "medians of as many (default 7)"},
    {"--race", IN_RING, OPTION_TEXT, AT(race), 0, 0,
     "all spsc_one spsc_32 spsc_256 mpmc_one mpmc_32 mpmc_256 round_trip",
     "one of: spsc_one spsc_32 spsc_256 mpmc_one mpmc_32 mpmc_256 round_trip (default: all)"}};
enum { OPTION_COUNT = sizeof option_defs / sizeof option_defs[0] };

static bool is_word(const char *words, const char *value)
{
    size_t n = strlen(value);
    for (; words && *words && n; words += strcspn(words, " "), words += *words == ' ')
        if (strcspn(words, " ") == n && strncmp(words, value, n) == 0) return true;
    return words == NULL;
}

static bool option_set(options *o, const option_def *def, const char *value)
{
    char *field = (char *)o + def->offset, *end;
    double x;
    if (def->kind == OPTION_TEXT) {
        memcpy(field, &value, sizeof value);
        return is_word(def->words, value);
    }
    x = strtod(value, &end);
    if (end == value || *end || !(x >= def->low && x <= def->high)) return false;
    if (def->kind == OPTION_WHOLE && x != (double)(uint64_t)x) return false;
    memcpy(field, &x, sizeof x);
    return true;
}

/* Whatever is wrong is one line on standard error. */
static bool options_fail(const char *command, const char *option, const char *what)
{
    fprintf(stderr, "spkbench %s: %s%s%s\n", command, option, *option ? ": " : "", what);
    return false;
}

static bool options_parse(options *o, const char *command, int bit, int argc, char **argv)
{
    int i, k;
    for (i = 0; i < argc; i++) {
        for (k = 0; k < OPTION_COUNT; k++)
            if (option_defs[k].commands & bit && !strcmp(argv[i], option_defs[k].name)) break;
        if (k == OPTION_COUNT) return options_fail(command, argv[i], "no such option (--help)");
        if (option_defs[k].kind == OPTION_FLAG) {
            *((bool *)((char *)o + option_defs[k].offset)) = true;
            continue;
        }
        if (i + 1 == argc) return options_fail(command, argv[i], "needs a value");
        if (!option_set(o, &option_defs[k], argv[i + 1])) {
            fprintf(stderr, "spkbench %s: %s %s is not possible: %s\n", command, argv[i],
                    argv[i + 1], option_defs[k].help);
            return false;
        }
        i++;
    }
    if (o->weight_bits != 8.0 && o->weight_bits != 16.0 && o->weight_bits != 32.0)
        return options_fail(command, "--weight-bits", "8, 16 or 32");
    if (bit == IN_CUBA && !strcmp(o->form, "auryn"))
        return options_fail(command, "--form", "brian or nest");
    o->isa = spk_isa_from_name(o->isa_text);
    if (o->isa != SPK_ISA_AUTO && !spk_isa_available(o->isa))
        return options_fail(command, o->isa_text, "this machine or build has no such instructions");
    o->precision = !strcmp(o->precision_text, "64")   ? SPK_FLOAT64
                   : !strcmp(o->precision_text, "16") ? SPK_FLOAT16
                                                      : SPK_FLOAT32;
    return true;
}

/* The numbers of a list as 16384,16e6; 0: it is none. */
static size_t options_list(const char *text, double low, double high, double *out, size_t capacity)
{
    size_t count = 0;
    for (;; text++) {
        char *end;
        double x = strtod(text, &end);
        if (end == text || count == capacity || !(x >= low && x <= high)) return 0;
        out[count++] = x;
        text = end;
        if (*text == 0) return count;
        if (*text != ',') return 0;
    }
}

static void options_help(const char *command, int bit)
{
    int k;
    printf("spkbench %s [options]\n", command);
    for (k = 0; k < OPTION_COUNT; k++)
        if (option_defs[k].commands & bit)
            printf("  %-14s %s\n", option_defs[k].name, option_defs[k].help);
    if (bit & IN_NETWORKS)
        puts("rates_hz, cv_isi (neurons of 3 spikes and more) and synchrony (variance by mean of\n"
             "3 ms counts of the first 1000 neurons) are those of the measured time, a number for\n"
             "each population; spikes and digest are those of the whole run, warm-up included.\n"
             "others_share: of all CPU time while measuring, what other programs took (Linux).\n"
             "bytes_per_synapse is all that the network holds, divided by its synapses.\n"
             "critical_rtf: with --in-turn, if all that may run at the same time took as long as\n"
             "its longest share. beside_rtf, beside_ratio: with --beside, and how many times the\n"
             "quiet figure.");
    if (bit & (IN_NETWORKS | IN_SCALE))
        puts("The machine's limits, measured after the run on as many threads, the fastest of 7:\n"
             "limit_adds_per_s    scattered additions to accumulators as large as a tile's, from\n"
             "                    a list in the cache; limit_adds_l1_per_s: to 16 kB of them\n"
             "adds_share          events_per_s by limit_adds_per_s\n"
             "limit_triad_bytes_per_s  a = b + k c beyond the caches, 12 bytes an element\n"
             "synapse_bytes_per_s bytes of the synapses delivered, each read once\n"
             "triad_share         synapse_bytes_per_s by limit_triad_bytes_per_s\n"
             "With --profile, outside_share is what is left of threads x wall time after filing,\n"
             "delivery, inputs and update.");
    if (bit & IN_NEURONS)
        puts("bytes_per_neuron_step  states read and written, accumulators read and cleared,\n"
             "                    parameters that differ between neurons, a bit for the spike\n"
             "l2_share            bytes_per_s by what a = k a + b reaches on 192 kB a thread\n"
             "triad_share         by what a = b + k c reaches beyond the caches, 12 bytes each\n"
             "inplace_share       by what a = k a + c reaches there, 8 bytes an element\n"
             "Which of them binds depends on whether the neurons fit the caches. spike_list and\n"
             "parrot only pass spikes on, and are not measured.");
    if (bit & IN_SCALE)
        puts("Networks of N neurons, a tenth of all pairs connected, weights balanced and scaled\n"
             "by 1 / sqrt(N), delays 1.5 +- 0.75 ms, a constant drive. ns_per_event is wall time\n"
             "by synapses delivered; ns_per_event_to_first: by that of the first size.\n"
             "deliver_ns_per_event is what one thread spends on filing and delivering it.\n"
             "peak_mb is what the network took at most, building included.");
    if (bit & IN_IDLE)
        puts("Neurons at rest with 100 synapses each and no input: what a step costs by itself.");
}

#endif
