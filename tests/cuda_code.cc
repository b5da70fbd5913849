/* ---- >>cuda-code: kernels that a file holds as code give the CPU's spikes ----
   What nvcc makes of SPIKELIB_CUDA_KERNELS, compiled by g++: the kernels are functions of this
   program (mock_cuda_kernel.h) behind the driver that checks every call (mock_cuda.h), and there is
   no NVRTC. tests/cuda.sh compiles and runs it. */
#include "mock_cuda_kernel.h"

extern const mock_entry mock_entries[] = {{0, 0, 0}}; /* of a library, which this is not */

/* Named twice, because GCC 12 forgets to make a function that only a template argument names. */
#define SPKI_CUDA_ON_CPU(kernel) ((void)&kernel, mock_entry_at<&kernel>())
#define SPIKELIB_CUDA_NVRTC
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"

/* A model of the program's own, with every function and kind of input. */
#define OWN_PARAMS(X) X(tau_m, 12.0, "ms") X(gain, 1.5, "") X(level, 0.8, "mV")
#define OWN_DERIVED(X) X(keep, spk_exp(-dt / tau_m))
#define OWN_STATE(X) X(w, 0.25, "mV") X(slow, 0.5, "") X(g, 0.0, "nS") X(last, 0.0, "")
#define OWN_INPUTS(X)                                                                              \
    X(ex, SPK_EXC) X(in, SPK_INH) X(noise, SPK_RANDOM) X(i_ext, SPK_CURRENT)
SPIKELIB_NEURON(own, OWN_PARAMS, OWN_DERIVED, OWN_STATE, OWN_INPUTS,
    const real pull = spk_tanh(gain * (ex - in)) + spk_sin(slow) * K(0.1) - spk_cos(w) * K(0.05);
    g = spk_flush(keep * g) + spk_max(ex, in);
    w = keep * w + pull * K(0.3) + spk_log(spk_abs(w) + K(1.0)) * K(0.02) + i_ext * K(0.001);
    slow = spk_select((w > K(0.1)) & (noise < K(0.7)), slow + K(0.01), spk_sqrt(spk_abs(slow)));
    real n = K(0.0);
    for (; spk_any(n < K(2.0)); n = n + K(1.0)) {
        w = w + spk_pow(K(1.0) + g, K(0.5)) * K(0.01);
    }
    last = spk_exprel(-spk_min(g, K(3.0))) * noise;
    spike = (w > level) | (last > K(0.995));
    w = spk_select(spike, w - level, w);
)

#define SPIKELIB_CUDA_KERNELS(X)                                                                   \
    X(32, 16, hh, lif_cond, spike_list, lif_exp, izhikevich, adex)                                 \
    X(32, 16, lif_exp, lif_cond, spike_list)                                                       \
    X(32, 32, lif_exp, lif_cond, spike_list)                                                       \
    X(64, 16, lif_exp, lif_cond, spike_list)                                                       \
    X(16, 16, lif_exp, lif_cond, spike_list)                                                       \
    X(32, 16, lif_exp, lif_exp2, lif_alpha, lif_delta, lif_cond, lif_adapt, adex, izhikevich, hh,  \
      poisson, spike_list, parrot, own)                                                            \
    X(64, 16_wide, own)                                                                            \
    X(16, 8, own, poisson)
#include "spikelib_cuda.cuh"

#include "check.h"
#include "construct.h"
#include "life.h"
#include "mock_cuda.h"

static void begin_mock(spk_cuda_desc *d)
{
    memset(d, 0, sizeof *d);
    mock_reset();
    mock_launch_code = mock_launch;
    mock_bytes_code = mock_param_size;
    mock.execute = 1;
    mock.no_nvrtc = 1;
    d->symbol = mock_symbol;
    d->cache_dir = "";
}

static void compare(spk_cuda_style style, uint32_t devices, spk_precision precision)
{
    static const uint32_t index[3] = {0, 1, 2};
    spk_cuda_desc d;
    begin_mock(&d);
    mock.devices = (int)devices;
    d.style = style;
    d.indices = index;
    d.index_count = devices;
    const life cpu = live(NULL, precision), device = live(spk_cuda_backend(&d), precision);
    same(&cpu, &device);
    CHECK_HAS(device.text, "kernels compiled with the program");
    CHECK_STR(device.error, cpu.error);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    CHECK_EQ(mock.builds, 0);
}

TEST(a_network_lives_the_same_life_on_code_with_tiles_of_their_own)
{
    compare(SPK_CUDA_OWN, 1, SPK_FLOAT32);
    CHECK(mock.together > 10);
}

TEST(so_it_does_where_all_deliver_to_all_and_slice_by_slice)
{
    compare(SPK_CUDA_ALL, 1, SPK_FLOAT32);
    compare(SPK_CUDA_SLICES, 1, SPK_FLOAT32);
}

TEST(so_it_does_where_slices_are_recorded_and_replayed)
{
    compare(SPK_CUDA_GRAPH, 1, SPK_FLOAT32);
    CHECK(mock.replays > 10);
}

TEST(so_it_does_in_64_bits_and_on_several_devices)
{
    compare(SPK_CUDA_OWN, 1, SPK_FLOAT64);
    compare(SPK_CUDA_AUTO, 2, SPK_FLOAT32);
}

TEST(so_it_does_with_states_of_16_bits_that_become_32_on_the_way)
{
    life_shadow_v = 0.01;
    compare(SPK_CUDA_AUTO, 1, SPK_FLOAT16);
    life_shadow_v = 0.0;
}

TEST(so_it_does_with_weights_of_32_bits)
{
    life_weight_bits = 32;
    compare(SPK_CUDA_OWN, 1, SPK_FLOAT32);
    life_weight_bits = 0;
}

static spk_backend *drawing(spk_construction where, uint32_t tiles, uint32_t devices)
{
    static const uint32_t index[2] = {0, 1};
    spk_cuda_desc d;
    begin_mock(&d);
    mock.devices = (int)devices;
    d.construction = where;
    d.tiles = tiles;
    d.indices = index;
    d.index_count = devices;
    return spk_cuda_backend(&d);
}

TEST(code_draws_the_hosts_rows)
{
    (void)construct_compare(drawing, 0, 16, 3, 1);
    (void)construct_compare(drawing, 3, 16, 4, 2);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    CHECK_EQ(mock.builds, 0);
}

static bool takes(spk_model model, int least, int most)
{
    bool any = false;
    for (uint32_t k = 0; k < model->input_count; k++) {
        const int kind = (int)model->input[k].value;
        any = any || (kind >= least && kind <= most);
    }
    return any;
}

/* Populations of one model, the parameters of the second each neuron's own, that send to each
   other. */
static uint64_t digest_of_model(spk_backend *backend, spk_model model, spk_precision precision,
                                uint32_t weight_bits, double *rate)
{
    static double x[400];
    spk_net_desc d = {};
    spk_poisson_desc p = {};
    spk_current_desc current = {};
    d.seed = 3;
    d.precision = precision;
    d.weight_bits = weight_bits;
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const spk_pop a = spk_net_add(net, "a", 150, model, NULL);
    const spk_pop b = spk_net_add(net, "b", 90, model, NULL);
    const spk_pop all = spk_net_union(net, a, b);
    if (takes(model, SPK_DELTA, SPK_INH)) {
        connect_fixed(net, all, a, 9, spk_uniform(0.5, 3), spk_uniform(0.4, 3));
        connect_fixed(net, a, b, 7, spk_uniform(-2, 1), spk_uniform(0.4, 2));
        p.rate_hz = spk_constant(4000);
        p.weight = spk_constant(2);
        (void)spk_net_drive_poisson(net, all, &p);
    }
    if (takes(model, SPK_CURRENT, SPK_CURRENT)) {
        current.amplitude = spk_constant(1000);
        current.noise_sd = 5.0;
        (void)spk_net_drive_current(net, b, &current);
    }
    if (model->param_count) {
        for (uint32_t k = 0; k < 90; k++) {
            x[k] = model->param[0].value * (1.0 + 0.001 * (double)k);
        }
        (void)spk_net_set(net, b, model->param[0].name, x, 90);
    }
    const spk_rec spikes = spk_net_record_spikes(net, all);
    CHECK_EQ(spk_net_run(net, 40.0), SPK_OK);
    if (*spk_net_error(net)) printf("    %s: %s\n", model->name, spk_net_error(net));
    const uint64_t digest[2] = {spk_rec_digest(spikes), spk_net_state_digest(net)};
    *rate = spk_rec_rate_hz(spikes);
    spk_net_destroy(net);
    return spk_xxh64(digest, sizeof digest, 0);
}

TEST(every_model_and_one_of_the_programs_own_give_the_cpus_digest_as_code)
{
    for (int k = 0; k < SPK_MODEL_COUNT + 2; k++) { /* the last one: 16 bits */
        const spk_model model = k < SPK_MODEL_COUNT ? spk_model_builtin((spk_model_id)k) : own;
        const spk_precision precision = k == SPK_MODEL_COUNT + 1 ? SPK_FLOAT16 : SPK_FLOAT32;
        const uint32_t bits = precision == SPK_FLOAT16 ? 8 : 16;
        double rate = 0.0, same_rate = 0.0;
        spk_cuda_desc d;
        begin_mock(&d);
        const uint64_t cpu = digest_of_model(NULL, model, precision, bits, &rate);
        const uint64_t device =
            digest_of_model(spk_cuda_backend(&d), model, precision, bits, &same_rate);
        CHECK_EQ(device, cpu);
        CHECK(rate == same_rate);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
        if (!(rate > 0.0) && k != SPK_MODEL_SPIKE_LIST) {
            printf("    %s is silent\n", model->name);
            CHECK(rate > 0.0);
        }
    }
}

/* What the network's error says where nothing serves it. */
static const char *refused(const spk_cuda_desc *desc, spk_precision precision)
{
    static char why[700];
    spk_net_desc d;
    spk_cuda_desc c = *desc;
    memset(&d, 0, sizeof d);
    d.precision = precision;
    d.backend = spk_cuda_backend(&c);
    spk_net *net = spk_net_create(&d);
    (void)spk_net_add(net, "a", 10, own, NULL);
    (void)spk_net_add(net, "b", 10, SPK_PARROT, NULL);
    (void)spk_net_add(net, "c", 10, own, NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_DEVICE);
    snprintf(why, sizeof why, "%s", spk_net_error(net));
    CHECK_EQ(spk_net_run(net, 5.0), SPK_OK); /* on the CPU */
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 0);
    return why;
}

TEST(what_no_program_holds_is_named_as_what_to_write)
{
    spk_cuda_desc d;
    begin_mock(&d);
    CHECK_HAS(refused(&d, SPK_FLOAT64), "there is no NVRTC");
    begin_mock(&d);
    CHECK_HAS(refused(&d, SPK_FLOAT64),
              "#define SPIKELIB_CUDA_KERNELS(X) X(64, 16, own, parrot)");
    begin_mock(&d);
    mock.no_code = 1;
    CHECK_HAS(refused(&d, SPK_FLOAT32), "unless -arch allows sm_90");
}

TEST(what_no_program_holds_is_compiled_by_nvrtc_where_it_is_found)
{
    spk_cuda_desc d;
    double rate, same_rate;
    begin_mock(&d);
    mock.no_nvrtc = 0;
    const uint64_t cpu = digest_of_model(NULL, own, SPK_FLOAT64, 16, &rate);
    CHECK_EQ(digest_of_model(spk_cuda_backend(&d), own, SPK_FLOAT64, 16, &same_rate), cpu);
    CHECK(mock.builds > 0);
    CHECK_EQ(mock.misuse, 0);
    begin_mock(&d);
    mock.no_nvrtc = 0;
    mock.no_code = 1; /* another device's */
    const uint64_t narrow = digest_of_model(NULL, own, SPK_FLOAT32, 16, &rate);
    CHECK_EQ(digest_of_model(spk_cuda_backend(&d), own, SPK_FLOAT32, 16, &same_rate), narrow);
    CHECK(mock.builds > 0);
}

/* What --use_fast_math and --ftz=true make of kernels: subnormal results are zero. */
#if defined(__x86_64__)
static const unsigned flushes = 0x8040; /* FTZ, DAZ */
static unsigned arithmetic(void)
{
    return __builtin_ia32_stmxcsr();
}
static void set_arithmetic(unsigned how)
{
    __builtin_ia32_ldmxcsr(how);
}
#elif defined(__aarch64__)
static const uint64_t flushes = 1u << 24; /* FZ */
static uint64_t arithmetic(void)
{
    uint64_t how;
    __asm__ volatile("mrs %0, fpcr" : "=r"(how));
    return how;
}
static void set_arithmetic(uint64_t how)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(how));
}
#else
static const unsigned flushes = 0;
static unsigned arithmetic(void)
{
    return 0;
}
static void set_arithmetic(unsigned how)
{
    (void)how;
}
#endif

static void launch_flushing(const void *entry, unsigned groups, unsigned items, int together,
                            void **param)
{
    const auto before = arithmetic();
    set_arithmetic(before | flushes);
    mock_launch(entry, groups, items, together, param);
    set_arithmetic(before);
}

TEST(kernels_that_flush_subnormal_numbers_are_refused_and_the_flags_named)
{
    double rate, same_rate;
    spk_cuda_desc d;
    spk_net_desc n = {};
    if (!flushes) SKIP("it is not known here how to flush subnormal numbers");
    begin_mock(&d);
    mock_launch_code = launch_flushing;
    n.backend = spk_cuda_backend(&d);
    spk_net *net = spk_net_create(&n);
    (void)spk_net_add(net, "a", 70, SPK_LIF_EXP, NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_ARITHMETIC);
    CHECK_HAS(spk_net_error(net), "was the file compiled with --use_fast_math or --ftz=true?");
    CHECK_EQ(spk_net_run(net, 5.0), SPK_OK); /* on the CPU */
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    begin_mock(&d); /* the flags leave 64 bits as they are */
    mock_launch_code = launch_flushing;
    const spk_model model = spk_model_builtin(SPK_MODEL_LIF_EXP);
    const uint64_t cpu = digest_of_model(NULL, model, SPK_FLOAT64, 16, &rate);
    CHECK_EQ(digest_of_model(spk_cuda_backend(&d), model, SPK_FLOAT64, 16, &same_rate), cpu);
    CHECK_EQ(mock.builds, 0);
}

TEST(every_call_may_fail_with_code_too)
{
    long calls = 1;
    for (long k = 1; k <= calls && k < 2000; k += 1 + calls / 40) {
        spk_cuda_desc d;
        spk_net_desc n;
        begin_mock(&d);
        memset(&n, 0, sizeof n);
        mock.execute = 1;
        n.backend = spk_cuda_backend(&d);
        spk_net *net = spk_net_create(&n);
        (void)spk_net_add(net, "a", 70, SPK_LIF_EXP, NULL);
        if (k > 1) {
            mock.fail_at = k;
            mock.fail_code = 46;
        }
        const spk_result result = spk_net_run(net, 3.0);
        calls = k > 1 ? calls : mock.calls;
        CHECK(k == 1 ? result == SPK_OK : result != SPK_OK || *spk_net_error(net) == 0);
        spk_net_destroy(net);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
    CHECK(calls > 50);
}

TEST_MAIN()
