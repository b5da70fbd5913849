/* ---- >>test-construct-cuda: a CUDA device draws the rows that the host draws ----
   The kernels' text that NVRTC gets, compiled by g++ and run on the CPU behind a driver that checks
   every call (mock_cuda.h).
   check: not under sanitizers, because the kernels' threads are fibers
   check: networks alone */
#define SPIKELIB_CUDA_NVRTC
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cuda.cuh"

#include "check.h"
#include "construct.h"
#include "heap.h"
#include "mock_cuda.h"

static spk_backend *cuda(spk_construction where, uint32_t tiles, uint32_t devices)
{
    static const uint32_t index[3] = {0, 1, 2};
    spk_cuda_desc d;
    memset(&d, 0, sizeof d);
    d.symbol = mock_symbol;
    d.cache_dir = "";
    d.construction = where;
    d.tiles = tiles;
    d.indices = index;
    d.index_count = devices;
    return spk_cuda_backend(&d);
}

TEST(every_rule_gives_the_hosts_rows)
{
    if (*mock_absent()) SKIP(mock_absent());
    for (int which = 0; which < CONSTRUCT_NETS; which++) {
        mock_reset();
        mock.execute = 1;
        CHECK(construct_compare(cuda, which, 16, which == 1 ? 20 : 8, 1) > 0); /* flat */
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
    mock_reset();
    mock.execute = 1;
    for (int which = 0; which < 5; which++) {
        CHECK_EQ(construct_compare(cuda, which, 16, 1, 1), 0); /* too many slots for that */
    }
}

TEST(so_it_does_with_weights_of_8_bits)
{
    if (*mock_absent()) SKIP(mock_absent());
    for (int which = 0; which < CONSTRUCT_NETS; which++) {
        mock_reset();
        mock.execute = 1;
        (void)construct_compare(cuda, which, 8, which % 2 ? 9 : 1, 1);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
}

TEST(devices_draw_the_rows_of_their_own_tiles)
{
    if (*mock_absent()) SKIP(mock_absent());
    mock_reset();
    mock.execute = 1;
    mock.devices = 3;
    (void)construct_compare(cuda, 0, 16, 7, 3);
    (void)construct_compare(cuda, 3, 16, 4, 2);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
}

/* -- a network that runs on such rows -- */

#define STEPS 60u

static heap host; /* the network's memory */

typedef struct outcome {
    uint64_t spikes, states;
    long calls; /* of the driver, until the network is destroyed */
    size_t count;
    spk_result result;
    char why[600];
} outcome;

/* Runs STEPS steps, after an error those that are left; half-way new weights, if wanted. */
static outcome outcome_of(spk_backend *backend, bool new_weights)
{
    static double weight[40000];
    outcome o;
    spk_net_desc d;
    spk_poisson_desc p;
    spk_rec_desc r;
    size_t n = 0;
    memset(&o, 0, sizeof o);
    memset(&d, 0, sizeof d);
    memset(&p, 0, sizeof p);
    memset(&r, 0, sizeof r);
    d.seed = 5;
    d.backend = backend;
    d.allocator = heap_allocator(&host);
    spk_net *net = spk_net_create(&d);
    if (!net) {
        o.result = SPK_ERR_OUT_OF_MEMORY;
        return o;
    }
    const spk_pop a = spk_net_add(net, "a", 250, SPK_LIF_EXP, NULL);
    const spk_pop b = spk_net_add(net, "b", 100, SPK_LIF_EXP, NULL);
    construct_link(net, a, b, SPK_FIXED_INDEGREE, 20, spk_normal(200, 20), spk_normal(1.5, 0.75),
                   false);
    construct_link(net, b, a, SPK_BERNOULLI, 0.1, spk_uniform(-300, 100), spk_constant(0.8), false);
    p.rate_hz = spk_constant(8000);
    p.weight = spk_constant(600);
    (void)spk_net_drive_poisson(net, a, &p);
    const spk_rec spikes = spk_net_record(net, spk_net_union(net, a, b), &r);
    o.result = spk_net_run_steps(net, STEPS / 2);
    snprintf(o.why, sizeof o.why, "%s", spk_net_error(net));
    if (o.result != SPK_OK && host.fail_at == 0) {
        CHECK_EQ(spk_net_run_steps(net, STEPS / 2 - spk_net_step(net)), SPK_OK);
    }
    if (new_weights && spk_net_synapses(net, a, b, NULL, 0, &n) == SPK_OK) {
        for (size_t k = 0; k < n && k < 40000; k++) {
            weight[k] = 100.0 + (double)(k % 64);
        }
        CHECK_EQ(spk_net_set_weights(net, a, b, weight, n), SPK_OK);
    }
    if (host.fail_at == 0) {
        const spk_result second = spk_net_run_steps(net, STEPS - spk_net_step(net));
        if (second != SPK_OK) {
            CHECK_EQ(o.result, SPK_OK);
            o.result = second;
            snprintf(o.why, sizeof o.why, "%s", spk_net_error(net));
            CHECK_EQ(spk_net_run_steps(net, STEPS - spk_net_step(net)), SPK_OK);
        }
        o.spikes = spk_rec_digest(spikes);
        o.states = spk_net_state_digest(net);
        (void)spk_rec_spikes(spikes, &o.count);
    }
    o.calls = mock.calls;
    spk_net_destroy(net);
    return o;
}

static void check_outcome(const outcome *o, const outcome *want)
{
    CHECK_EQ(o->spikes, want->spikes);
    CHECK_EQ(o->states, want->states);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    CHECK_EQ(host.blocks, 0);
}

static spk_backend *device_rows(void)
{
    mock.execute = 1;
    return cuda(SPK_CONSTRUCTION_DEVICE, 2, 1);
}

TEST(a_network_spikes_the_same_on_rows_that_its_device_drew)
{
    if (*mock_absent()) SKIP(mock_absent());
    host.blocks = 0;
    for (int weights = 0; weights < 2; weights++) {
        mock_reset();
        const outcome want = outcome_of(NULL, weights), o = outcome_of(device_rows(), weights);
        CHECK(want.count > 50);
        CHECK_EQ(o.result, SPK_OK);
        check_outcome(&o, &want);
    }
}

TEST(wherever_a_device_is_lost_the_cpu_draws_the_rows_and_goes_on)
{
    if (*mock_absent()) SKIP(mock_absent());
    mock_reset();
    host.blocks = 0;
    const outcome want = outcome_of(NULL, false), whole = outcome_of(device_rows(), false);
    check_outcome(&whole, &want);
    const long calls = whole.calls;
    CHECK(calls > 150);
    for (long k = 1; k <= calls; k += k < 220 ? 1 : 11) {
        mock_reset();
        mock.fail_at = k;
        mock.fail_code = 46; /* CUDA_ERROR_DEVICE_UNAVAILABLE, from then on */
        const outcome o = outcome_of(device_rows(), false);
        CHECK_EQ(o.result, SPK_ERR_DEVICE);
        check_outcome(&o, &want);
    }
}

TEST(without_memory_for_a_buffer_the_host_draws_or_an_error_says_so)
{
    if (*mock_absent()) SKIP(mock_absent());
    mock_reset();
    const outcome want = outcome_of(NULL, false), whole = outcome_of(device_rows(), false);
    check_outcome(&whole, &want);
    const long buffers = mock.allocs;
    long drawn_by_host = 0;
    CHECK(buffers > 25);
    for (long k = 1; k <= 2 * buffers; k++) {
        mock_reset();
        mock.fail_alloc = (k + 1) / 2;
        mock.fail_once = k % 2;
        const outcome o = outcome_of(device_rows(), false);
        CHECK(o.result == SPK_ERR_OUT_OF_MEMORY || (mock.fail_once && o.result == SPK_OK));
        drawn_by_host += o.result == SPK_OK;
        check_outcome(&o, &want);
    }
    CHECK(drawn_by_host > 10);
}

TEST(a_kernel_that_traps_while_rows_are_drawn_is_an_error_and_the_cpu_goes_on)
{
    if (*mock_absent()) SKIP(mock_absent());
    mock_reset();
    const outcome want = outcome_of(NULL, false), whole = outcome_of(device_rows(), false);
    check_outcome(&whole, &want);
    const long launches = mock.launches;
    for (long k = 1; k <= launches; k++) {
        mock_reset();
        mock.trap_at = k;
        const outcome o = outcome_of(device_rows(), false);
        CHECK_EQ(o.result, SPK_ERR_DEVICE);
        CHECK_HAS(o.why, "CUDA_ERROR_LAUNCH_FAILED");
        check_outcome(&o, &want);
    }
}

TEST(without_host_memory_nothing_is_left)
{
    if (*mock_absent()) SKIP(mock_absent());
    mock_reset();
    host.blocks = host.calls = 0;
    const outcome whole = outcome_of(device_rows(), false);
    CHECK_EQ(whole.result, SPK_OK);
    const size_t calls = host.calls;
    for (size_t k = 1; k <= calls; k++) {
        mock_reset();
        host.calls = 0;
        host.fail_at = k;
        const outcome o = outcome_of(device_rows(), false);
        CHECK(o.result == SPK_OK || o.result == SPK_ERR_OUT_OF_MEMORY);
        if (mock_leaks() || host.blocks) {
            printf("    allocation %lu: %s: %s, %lu blocks left\n", (unsigned long)k,
                   spk_result_name(o.result), o.why, (unsigned long)host.blocks);
        }
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
        CHECK_EQ(host.blocks, 0);
        host.blocks = 0;
    }
    host.fail_at = 0;
}

TEST(a_device_that_draws_nothing_is_refused)
{
    mock_reset(); /* its kernels do nothing */
    const outcome want = outcome_of(NULL, false);
    const outcome o = outcome_of(cuda(SPK_CONSTRUCTION_DEVICE, 2, 1), false);
    CHECK_EQ(o.result, SPK_ERR_ARITHMETIC);
    CHECK_HAS(o.why, "the device drew 0 synapses");
    check_outcome(&o, &want);
}

static spk_net *small_net(spk_backend *backend, const spk_conn_desc *c, uint32_t weight_bits)
{
    spk_net_desc d;
    memset(&d, 0, sizeof d);
    d.backend = backend;
    d.weight_bits = weight_bits;
    spk_net *net = spk_net_create(&d);
    const spk_pop a = spk_net_add(net, "a", 300, SPK_LIF_EXP, NULL);
    (void)spk_net_connect(net, a, a, c);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    return net;
}

TEST(what_a_device_cannot_draw_the_host_draws_and_says_why)
{
    static char text[6000];
    if (*mock_absent()) SKIP(mock_absent());
    for (int k = 0; k < 4; k++) {
        spk_conn_desc c;
        memset(&c, 0, sizeof c);
        mock_reset();
        mock.execute = 1;
        c.rule = SPK_FIXED_OUTDEGREE;
        c.k = 9;
        c.no_multapses = k == 0;
        c.weight = k == 2 ? spk_normal(1, 1e-9) : spk_constant(1);
        const spk_construction where = k == 3 ? SPK_CONSTRUCTION_AUTO : SPK_CONSTRUCTION_DEVICE;
        spk_net *net = small_net(cuda(where, 1, 1), &c, k == 1 ? 32 : 16);
        CHECK(!net->elsewhere && net->backend);
        (void)spk_net_describe(net, text, sizeof text);
        static const char *const why[] = {"without multapses", "weights have 32 bits",
                                          "spread too little", ""};
        CHECK_EQ(strstr(text, "rows drawn by the host") != NULL, k < 3);
        CHECK_HAS(text, why[k]);
        spk_net_destroy(net);
    }
}

TEST(the_limit_of_a_batch_is_none_for_drawing_rows)
{
    static const uint32_t index[1] = {0};
    spk_cuda_desc d;
    spk_conn_desc c;
    if (*mock_absent()) SKIP(mock_absent());
    memset(&d, 0, sizeof d);
    memset(&c, 0, sizeof c);
    mock_reset();
    mock.execute = mock.stuck = 1; /* nobody who asks hears that anything has ended */
    d.symbol = mock_symbol;
    d.cache_dir = "";
    d.construction = SPK_CONSTRUCTION_DEVICE;
    d.time_limit_s = 0.01;
    d.indices = index;
    d.index_count = 1;
    c.rule = SPK_FIXED_OUTDEGREE;
    c.k = 9;
    spk_net_desc n;
    memset(&n, 0, sizeof n);
    n.backend = spk_cuda_backend(&d);
    spk_net *net = spk_net_create(&n);
    const spk_pop a = spk_net_add(net, "a", 300, SPK_LIF_EXP, NULL);
    (void)spk_net_connect(net, a, a, &c);
    CHECK_EQ(spk_net_build(net), SPK_ERR_TIMEOUT); /* what follows, under the limit */
    CHECK(net->elsewhere && !net->backend);
    CHECK_EQ(spk_net_run(net, 1.0), SPK_OK);
    CHECK(!net->elsewhere);
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 0);
}

TEST_MAIN()
