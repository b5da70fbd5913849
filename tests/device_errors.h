/* ---- >>device-errors: what the tests of a failing OpenCL and a failing CUDA have in common ----
   Before the #include: a mock, device_desc (the descriptor of its backend), device_backend (a
   function of it), DEVICE_LOST and DEVICE_LOST_NAME (the API's code for that), DEVICE_BLOCKS (how
   many blocks of memory the mock has been asked for). */
#ifndef TESTS_DEVICE_ERRORS_H
#define TESTS_DEVICE_ERRORS_H

#include "helped.h"

#define STEPS 90u

static long run_calls; /* calls of the API until the network is destroyed */

/* Host memory: counted, so that nothing may be left. */
static long host_blocks;

static void *host_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    host_blocks++;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void host_free(void *ctx, void *block, size_t size)
{
    (void)ctx;
    (void)size;
    host_blocks -= block != NULL;
    free(block);
}

static device_desc mock_desc(void)
{
    device_desc d;
    memset(&d, 0, sizeof d);
    d.symbol = mock_symbol;
    d.cache_dir = "";
    d.allocator.alloc = host_alloc;
    d.allocator.free = host_free;
    return d;
}

/* A network that never spikes, but whose states move; with a recorder of states. */
static spk_net *network(spk_backend *backend, spk_model model, spk_pop *pop, spk_rec *rec)
{
    spk_net_desc d;
    spk_conn_desc c;
    spk_rec_desc r;
    memset(&d, 0, sizeof d);
    memset(&c, 0, sizeof c);
    memset(&r, 0, sizeof r);
    d.backend = backend;
    d.allocator.alloc = host_alloc;
    d.allocator.free = host_free;
    spk_net *net = spk_net_create(&d);
    *pop = spk_net_add(net, "cells", 100, model,
                       model == SPK_LIF_EXP ? SPK_SET({"i_dc", spk_uniform(0, 100)}) : NULL);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 4;
    c.weight = spk_constant(50);
    (void)spk_net_connect(net, *pop, *pop, &c);
    r.kind = SPK_REC_STATE;
    r.state = "v";
    r.interval_ms = 1.0;
    *rec = spk_net_record(net, *pop, &r);
    return net;
}

/* The states and samples after STEPS steps on the CPU. */
static uint64_t reference(double *sample)
{
    spk_pop pop;
    spk_rec rec;
    size_t rows, width;
    spk_net *net = network(NULL, SPK_LIF_EXP, &pop, &rec);
    (void)spk_net_run_steps(net, STEPS);
    const double *samples = spk_rec_samples(rec, &rows, &width);
    *sample = rows ? samples[rows * width - 1] : 0.0;
    const uint64_t digest = spk_net_state_digest(net);
    spk_net_destroy(net);
    return digest;
}

/* Builds and runs on the mock; after the error it has to go on on the CPU to the same states.
   Returns the error. */
static spk_result run_until_error(const device_desc *desc, char *why, size_t why_size)
{
    spk_pop pop;
    spk_rec rec;
    double sample, last = 0.0;
    const uint64_t want = reference(&sample);
    size_t rows, width;
    spk_net *net = network(device_backend(desc), SPK_LIF_EXP, &pop, &rec);
    const spk_result result = spk_net_run_steps(net, STEPS);
    snprintf(why, why_size, "%s", spk_net_error(net));
    if (result != SPK_OK) {
        CHECK(spk_net_step(net) <= STEPS);
        CHECK_EQ(spk_net_run_steps(net, STEPS - spk_net_step(net)), SPK_OK);
        CHECK_EQ(spk_net_step(net), STEPS);
        CHECK_EQ(spk_net_state_digest(net), want);
        const double *samples = spk_rec_samples(rec, &rows, &width);
        CHECK_EQ(rows, STEPS / 10);
        last = rows ? samples[rows * width - 1] : 0.0;
        (void)last; /* those taken before the error are the mock's */
    }
    run_calls = mock.calls;
    spk_net_destroy(net);
    return result;
}

TEST(nothing_fails_and_nothing_is_left)
{
    char why[600];
    mock_reset();
    host_blocks = 0;
    const device_desc d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK(mock.launches > 10);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    CHECK_EQ(host_blocks, 0);
}

/* Every call in turn is the last that works: a device lost at any moment. */
TEST(a_device_lost_at_any_call_is_an_error_and_the_cpu_goes_on)
{
    char why[600];
    mock_reset();
    const device_desc d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long calls = run_calls;
    CHECK(calls > 100);
    for (long k = 1; k <= calls; k += k < 250 ? 1 : 7) {
        mock_reset();
        host_blocks = 0;
        mock.fail_at = k;
        mock.fail_code = DEVICE_LOST;
        const spk_result result = run_until_error(&d, why, sizeof why);
        if (result != SPK_ERR_DEVICE || mock_leaks() || mock.misuse || host_blocks) {
            printf("    call %ld: %s, %d left, %ld misuses, %ld blocks: %s\n", k,
                   spk_result_name(result), mock_leaks(), mock.misuse, host_blocks, why);
        }
        CHECK_EQ(result, SPK_ERR_DEVICE);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
        CHECK_EQ(host_blocks, 0);
        CHECK(strlen(why) > 20);
    }
}

TEST(a_device_that_computes_one_bit_differently_is_refused)
{
    char why[600];
    mock_reset();
    const device_desc d = mock_desc();
    mock.wrong = 1;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_ARITHMETIC);
    CHECK_HAS(why, "x / y of trial 77");
    CHECK_EQ(mock_leaks(), 0);
}

TEST(a_batch_that_takes_longer_than_the_limit_is_an_error)
{
    char why[600];
    mock_reset();
    device_desc d = mock_desc();
    d.time_limit_s = 0.02;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    mock_reset();
    mock.stuck = 1;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_TIMEOUT);
    CHECK_HAS(why, "longer than 0.02 s");
    CHECK_EQ(mock_leaks(), 0);
}

TEST(a_device_lost_under_auto_is_no_error)
{
    spk_pop pop;
    spk_rec rec;
    double sample;
    mock_reset();
    const uint64_t want = reference(&sample);
    device_desc d = mock_desc();
    d.or_cpu = true;
    spk_net *net = network(device_backend(&d), SPK_LIF_EXP, &pop, &rec);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    mock.fail_at = mock.calls + 30;
    mock.fail_code = DEVICE_LOST;
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
    CHECK_HAS(spk_net_error(net), DEVICE_LOST_NAME);
    CHECK_EQ(spk_net_step(net), STEPS);
    CHECK_EQ(spk_net_state_digest(net), want);
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 0);
}

/* How many bytes the network of these tests needs, as the error of too little memory says it. */
static unsigned long long needed(void)
{
    char why[600];
    unsigned long long need = 0, more = 0, most = 0;
    mock_reset();
    device_desc d = mock_desc();
    d.memory_budget = 10000;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_OUT_OF_MEMORY);
    CHECK_EQ(DEVICE_BLOCKS, 0);
    const char *at = strstr(why, "needs ");
    if (!at || sscanf(at, "needs %llu bytes, %llu more than the %llu", &need, &more, &most) != 3) {
        check_fail(__FILE__, __LINE__, why);
    }
    CHECK_EQ(most, 10000);
    CHECK_EQ(need, most + more);
    return need;
}

TEST(a_network_that_is_too_large_says_by_how_many_bytes_before_anything_is_allocated)
{
    char why[600];
    const unsigned long long need = needed();
    device_desc d = mock_desc();
    mock_reset(); /* one byte less than that is too little, and says so; that much is enough */
    d.memory_budget = need - 1;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_OUT_OF_MEMORY);
    CHECK_HAS(why, " bytes, 1 more than the ");
    CHECK_EQ(DEVICE_BLOCKS, 0);
    mock_reset();
    d.memory_budget = need;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
}

/* The line at which the statement stands that devices refuse, as a text shows it. */
static int line_of_statement(const char *source)
{
    const char *at = source ? strstr(source, "twice(input)") : NULL;
    int line = 1;
    CHECK(at != NULL);
    for (const char *p = source; at && p < at; p++) {
        line += *p == '\n';
    }
    return line;
}

/* A build whose log is that: the error quotes the statement, and `says`. */
static void refuse_statement(const device_desc *d, const char *log, const char *says)
{
    spk_pop pop;
    spk_rec rec;
    mock_reset();
    mock.log = log;
    mock.refused = "twice(input)";
    spk_net *net = network(device_backend(d), helped, &pop, &rec);
    CHECK_EQ(spk_net_build(net), SPK_ERR_COMPILE);
    CHECK_HAS(spk_net_error(net), "model \"helped\"");
    CHECK_HAS(spk_net_error(net), "\"v = v + h * (twice(input) - v);\": ");
    CHECK_HAS(spk_net_error(net), says);
    CHECK_EQ(spk_net_run_steps(net, 10), SPK_OK); /* on the CPU */
    spk_net_destroy(net);
}

/* Where there is neither a driver nor a loader. */
static void *no_symbol(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

#endif
