/* ---- >>test-cuda: a network on a CUDA device is the network ----
   The kernels' text that NVRTC gets, compiled by g++ and run on the CPU behind a driver that checks
   every call (mock_cuda.h); everything that comes out has to be what the CPU's engine gives.
   check: not under sanitizers, because the kernels' threads are fibers
   check: networks alone */
#define SPIKELIB_CUDA_NVRTC
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cuda.cuh"

#include "check.h"
#include "life.h"
#include "mock_cuda.h"

/* A descriptor of the mock with kernels that run. */
static spk_cuda_desc executing(spk_cuda_style style)
{
    spk_cuda_desc d;
    memset(&d, 0, sizeof d);
    mock_reset();
    mock.execute = 1;
    d.symbol = mock_symbol;
    d.cache_dir = "";
    d.style = style;
    return d;
}

/* What the backend said of the device that compare had. */
static char described[4000];

static void compare(spk_cuda_style style, spk_cuda_exchange exchange, uint32_t devices,
                    uint32_t tiles, spk_precision precision)
{
    static const uint32_t index[3] = {0, 1, 2};
    spk_cuda_desc d = executing(style);
    mock.devices = (int)devices;
    d.exchange = exchange;
    d.tiles = tiles;
    d.indices = index;
    d.index_count = devices;
    const life cpu = live(NULL, precision), device = live(spk_cuda_backend(&d), precision);
    same(&cpu, &device);
    CHECK_HAS(device.text, "cuda \"");
    snprintf(described, sizeof described, "%s", device.text);
    CHECK_STR(device.error, cpu.error);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
}

TEST(a_network_lives_the_same_life_with_each_tile_in_shared_memory)
{
    if (*mock_absent()) SKIP(mock_absent());
    compare(SPK_CUDA_OWN, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT32);
    CHECK(mock.together > 10);
    CHECK_HAS(described, "states and accumulators in shared memory");
}

TEST(so_it_does_where_all_groups_deliver_to_all)
{
    if (*mock_absent()) SKIP(mock_absent());
    compare(SPK_CUDA_ALL, SPK_CUDA_EXCHANGE_AUTO, 1, 3, SPK_FLOAT32);
    CHECK(mock.together > 10);
}

TEST(and_slice_by_slice)
{
    if (*mock_absent()) SKIP(mock_absent());
    compare(SPK_CUDA_SLICES, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT32);
    CHECK_EQ(mock.together, 0);
}

TEST(and_with_slices_recorded_once_and_replayed)
{
    if (*mock_absent()) SKIP(mock_absent());
    compare(SPK_CUDA_GRAPH, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT32);
    CHECK_EQ(mock.together, 0);
    printf("    %ld recordings, %ld replays, %ld launches\n", mock.graphs, mock.replays,
           mock.launches);
    CHECK(mock.replays > 40);
    CHECK(mock.graphs > 1 && mock.graphs < mock.replays / 2);
    CHECK_HAS(described, "; slices replayed");
}

/* So many neurons that the spikes of a step are counted in parts before they are listed. */
static uint64_t digest_of_many(spk_backend *backend)
{
    spk_net_desc d;
    memset(&d, 0, sizeof d);
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const uint32_t n = 8192 * 64, who[6] = {n - 1, 70000, 262143, 3, 262144, 70000};
    const double when[6] = {0.4, 0.5, 0.5, 0.5, 1.3, 2.2};
    const spk_pop list = spk_net_add(net, "list", n, SPK_SPIKE_LIST, NULL);
    const spk_pop cells = spk_net_add(net, "cells", 200, SPK_LIF_EXP,
                                      SPK_SET({"i_dc", spk_uniform(9000, 50000)},
                                              {"t_ref", spk_constant(0.1)}));
    (void)spk_net_spike_list(net, list, who, when, 6);
    connect_fixed(net, spk_net_slice(net, list, 69990, 20), cells, 8, spk_constant(4000),
                  spk_uniform(0.1, 0.4));
    connect_fixed(net, cells, cells, 5, spk_constant(900), spk_uniform(0.1, 0.7));
    const spk_rec spikes = spk_net_record_spikes(net, spk_net_union(net, list, cells));
    for (int k = 0; k < 4; k++) {
        CHECK_EQ(spk_net_run_steps(net, 6), SPK_OK);
    }
    CHECK(spk_rec_count(spikes) > 700); /* some in each step */
    const uint64_t digest = spk_rec_digest(spikes) ^ spk_net_state_digest(net);
    spk_net_destroy(net);
    return digest;
}

TEST(and_where_there_are_so_many_neurons_that_spikes_are_counted_first)
{
    if (*mock_absent()) SKIP(mock_absent());
    const uint64_t want = digest_of_many(NULL);
    for (int style = SPK_CUDA_SLICES; style <= SPK_CUDA_GRAPH; style++) {
        const spk_cuda_desc d = executing((spk_cuda_style)style);
        CHECK_EQ(digest_of_many(spk_cuda_backend(&d)), want);
        CHECK(style == SPK_CUDA_SLICES || mock.replays > 1);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
}

/* Input injected before each short run; returns a digest of all spikes and of the last states. */
static uint64_t digest_of_loop(spk_backend *backend)
{
    spk_net_desc d;
    memset(&d, 0, sizeof d);
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const spk_pop cells = spk_net_add(net, "cells", 100, SPK_LIF_EXP, NULL);
    connect_fixed(net, cells, cells, 5, spk_constant(200), spk_uniform(0.3, 2));
    const spk_rec spikes = spk_net_record_spikes(net, cells);
    for (int k = 0; k < 30; k++) {
        double x[100];
        for (int n = 0; n < 100; n++) {
            x[n] = 400.0 * (double)((7 * n + 13 * k) % 31);
        }
        CHECK_EQ(spk_net_inject_input(net, cells, NULL, x, 100), SPK_OK);
        CHECK_EQ(spk_net_run_steps(net, 10), SPK_OK);
    }
    CHECK(spk_rec_count(spikes) > 300);
    const uint64_t digest = spk_rec_digest(spikes) ^ spk_net_state_digest(net);
    spk_net_destroy(net);
    return digest;
}

TEST(and_where_input_is_injected_before_each_of_many_short_runs)
{
    if (*mock_absent()) SKIP(mock_absent());
    const uint64_t want = digest_of_loop(NULL);
    for (int style = SPK_CUDA_AUTO; style <= SPK_CUDA_GRAPH; style++) {
        const spk_cuda_desc d = executing((spk_cuda_style)style);
        CHECK_EQ(digest_of_loop(spk_cuda_backend(&d)), want);
        CHECK(style != SPK_CUDA_GRAPH || (mock.replays == 29 && mock.graphs == 1));
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
}

TEST(and_with_states_of_16_bits)
{
    if (*mock_absent()) SKIP(mock_absent());
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT16);
}

/* The shadow of a sample is within its tolerance for some windows, and out of it then. */
TEST(and_with_a_shadow_of_32_bits_and_when_it_goes_over_to_them)
{
    if (*mock_absent()) SKIP(mock_absent());
    life_shadow_v = 0.06;
    compare(SPK_CUDA_OWN, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT16);
    compare(SPK_CUDA_SLICES, SPK_CUDA_EXCHANGE_PEER, 2, 0, SPK_FLOAT16);
    life_shadow_v = 0.0;
}

TEST(and_with_weights_of_8_bits)
{
    if (*mock_absent()) SKIP(mock_absent());
    life_weight_bits = 8;
    compare(SPK_CUDA_OWN, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT32);
    compare(SPK_CUDA_ALL, SPK_CUDA_EXCHANGE_AUTO, 1, 1, SPK_FLOAT32);
    life_weight_bits = 0;
}

/* A network that goes over to 32 bits after 100 steps, or has them from the start. */
static spk_net *shadowed(spk_backend *backend, spk_precision precision, spk_rec *spikes)
{
    spk_net_desc d;
    spk_poisson_desc p;
    memset(&d, 0, sizeof d);
    memset(&p, 0, sizeof p);
    d.precision = precision;
    d.shadow = precision == SPK_FLOAT16;
    d.shadow_ms = 10.0;
    d.shadow_v_error = 1e-6;
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const spk_pop cells = spk_net_add(net, "cells", 200, SPK_LIF_EXP, NULL);
    p.rate_hz = spk_constant(9000);
    p.weight = spk_constant(95);
    (void)spk_net_drive_poisson(net, cells, &p);
    connect_fixed(net, cells, cells, 10, spk_uniform(-40, 60), spk_uniform(0.3, 4));
    *spikes = spk_net_record_spikes(net, cells);
    return net;
}

/* Fails `after` calls behind step 99, or not at all (0); returns how many calls the rest took. */
static long shadowed_until_error(long after, uint64_t want)
{
    const spk_cuda_desc d = executing(SPK_CUDA_AUTO);
    spk_rec spikes;
    spk_net *net = shadowed(spk_cuda_backend(&d), SPK_FLOAT16, &spikes);
    CHECK_EQ(spk_net_run_steps(net, 99), SPK_OK);
    const long before = mock.calls;
    mock.fail_at = after ? before + after : 0;
    mock.fail_code = 46;
    CHECK_EQ(spk_net_run_steps(net, 150), after ? SPK_ERR_DEVICE : SPK_OK);
    const long calls = mock.calls - before;
    CHECK_EQ(spk_net_run_steps(net, 300 - spk_net_step(net)), SPK_OK);
    CHECK_EQ(spk_rec_digest(spikes) ^ spk_net_state_digest(net), want);
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    return calls;
}

TEST(a_device_lost_while_states_go_over_to_32_bits_loses_no_spike)
{
    spk_rec spikes;
    spk_net_info info;
    if (*mock_absent()) SKIP(mock_absent());
    spk_net *net = shadowed(NULL, SPK_FLOAT16, &spikes);
    CHECK_EQ(spk_net_run_steps(net, 300), SPK_OK);
    CHECK_EQ(spk_net_get_info(net, &info), SPK_OK);
    CHECK_EQ(info.widened_step, 100);
    CHECK(spk_rec_count(spikes) > 100);
    const uint64_t want = spk_rec_digest(spikes) ^ spk_net_state_digest(net);
    spk_net_destroy(net);
    const long calls = shadowed_until_error(0, want);
    for (long k = 1; k < 8; k++) {
        (void)shadowed_until_error(1 + (k - 1) * calls / 8, want);
    }
}

/* With ever less shared memory in a device: states stay outside before accumulators do. */
TEST(states_stay_in_shared_memory_where_they_fit_beside_the_accumulators)
{
    static const char *const said[3] = {"; states and accumulators in shared memory\n",
                                        "; accumulators in shared memory\n", " bytes\n"};
    uint64_t want = 0;
    int found = 0, shared = 232448;
    if (*mock_absent()) SKIP(mock_absent());
    for (uint32_t k = 0; k < 4; k++) {
        spk_rec spikes;
        spk_cuda_desc d;
        memset(&d, 0, sizeof d);
        d.symbol = mock_symbol;
        d.cache_dir = "";
        d.style = SPK_CUDA_OWN;
        d.tiles = 4;
        for (; k && found < (int)k && shared > 0; shared -= 256) { /* nothing runs, only plans */
            mock_reset();
            mock.shared = shared;
            spk_net *net = shadowed(spk_cuda_backend(&d), SPK_FLOAT32, &spikes);
            CHECK_EQ(spk_net_build(net), SPK_OK);
            (void)spk_net_describe(net, described, sizeof described);
            found = strstr(described, said[k - 1]) ? (int)k : found;
            spk_net_destroy(net);
        }
        mock_reset();
        mock.execute = 1;
        mock.shared = shared + 256;
        spk_net *net = shadowed(k ? spk_cuda_backend(&d) : NULL, SPK_FLOAT32, &spikes);
        CHECK_EQ(spk_net_run_steps(net, 300), SPK_OK);
        (void)spk_net_describe(net, described, sizeof described);
        if (k) {
            CHECK_HAS(described, said[k - 1]);
        }
        const uint64_t digest = spk_rec_digest(spikes) ^ spk_net_state_digest(net);
        want = k ? want : digest;
        CHECK_EQ(digest, want);
        CHECK(spk_rec_count(spikes) > 100);
        spk_net_destroy(net);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
}

TEST(and_with_states_of_64_bits)
{
    if (*mock_absent()) SKIP(mock_absent());
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT64);
}

TEST(and_split_over_devices_that_exchange_spikes_in_each_way)
{
    if (*mock_absent()) SKIP(mock_absent());
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_HOST, 2, 0, SPK_FLOAT32);
    CHECK_EQ(mock.peers + mock.broadcasts, 0);
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_PEER, 3, 0, SPK_FLOAT32);
    CHECK(mock.peers > 100);
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_NCCL, 2, 0, SPK_FLOAT32);
    CHECK(mock.broadcasts > 100);
}

TEST_MAIN()
