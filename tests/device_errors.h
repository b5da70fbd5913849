/* ---- >>device-errors: what the tests of a failing OpenCL and a failing CUDA have in common ----
   Before the #include: a mock, device_desc (the descriptor of its backend), device_backend (a
   function of it) and DEVICE_LOST (the API's code for that). */
#ifndef TESTS_DEVICE_ERRORS_H
#define TESTS_DEVICE_ERRORS_H

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

#endif
