/* ---- >>test-cl-races: kernels under Oclgrind, which reports every data race and bad access ----
   The golden networks run there too (golden.sh). Skipped where there is no Oclgrind.
   check: not under sanitizers, because the simulator runs inside this process
   check: networks alone */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cl.h"

#include "check.h"

#include "helped.h"
#include "oclgrind.h"

static uint64_t run(spk_backend *backend, bool drive, uint64_t *states, char *why, size_t size)
{
    spk_net_desc d;
    spk_conn_desc c;
    spk_poisson_desc p;
    memset(&d, 0, sizeof d);
    memset(&c, 0, sizeof c);
    memset(&p, 0, sizeof p);
    d.seed = 5;
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const spk_pop a = spk_net_add(net, "a", 150, SPK_LIF_EXP,
                                  SPK_SET({"i_dc", spk_uniform(500, 900)},
                                          {"v", spk_uniform(-65, -50)}));
    const spk_pop b = spk_net_add(net, "b", 70, SPK_IZHIKEVICH, SPK_SET({"i_dc", SPK_PA(20)}));
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 8;
    c.weight = spk_normal(0, 60);
    c.delay_ms = spk_uniform(0.2, 1.0);
    (void)spk_net_connect(net, a, a, &c);
    (void)spk_net_connect(net, b, a, &c);
    c.weight = spk_constant(0.3);
    (void)spk_net_connect(net, a, b, &c);
    p.rate_hz = spk_constant(5000);
    p.weight = spk_constant(30);
    if (drive) {
        (void)spk_net_drive_poisson(net, a, &p);
    }
    const spk_rec rec = spk_net_record_spikes(net, spk_net_union(net, a, b));
    const spk_result result = spk_net_run_steps(net, 60);
    snprintf(why, size, "%s", spk_net_error(net));
    CHECK_EQ(result, SPK_OK);
    CHECK(spk_rec_count(rec) > 50);
    *states = spk_net_state_digest(net);
    const uint64_t digest = spk_rec_digest(rec);
    spk_net_destroy(net);
    return digest;
}

/* -- a model that the simulator's compiler refuses -- */

TEST(a_model_that_does_not_compile_is_an_error_there_too)
{
    spk_cl_desc cl;
    spk_net_desc d;
    memset(&cl, 0, sizeof cl);
    memset(&d, 0, sizeof d);
    if (!(cl.symbol_ctx = oclgrind_open())) SKIP("no Oclgrind");
    cl.cache_dir = "";
    cl.symbol = oclgrind_symbol;
    d.backend = spk_cl_backend(&cl);
    spk_net *net = spk_net_create(&d);
    (void)spk_net_add(net, "cells", 100, helped, NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_COMPILE);
    CHECK_HAS(spk_net_error(net), "\"v = v + h * (twice(input) - v);\": ");
    CHECK_EQ(spk_net_run_steps(net, 10), SPK_OK); /* on the CPU */
    CHECK_EQ(spk_net_step(net), 10);
    spk_net_destroy(net);
}

TEST(no_races_and_no_bad_accesses_and_the_same_spikes)
{
    char path[600], why[600], line[300];
    void *handle;
    uint64_t want_states, states;
    (void)check_tmp("oclgrind.log", path, sizeof path);
    (void)remove(path);
    setenv("OCLGRIND_DATA_RACES", "1", 1);
    setenv("OCLGRIND_CHECK_API", "1", 1);
    setenv("OCLGRIND_LOG", path, 1);
    if (!(handle = oclgrind_open())) SKIP("no Oclgrind");
    for (int k = 0; k < 6; k++) {
        const bool drive = k % 2 == 1;
        spk_cl_desc d;
        memset(&d, 0, sizeof d);
        d.style = k < 2 ? SPK_CL_VECTORS : k < 4 ? SPK_CL_ITEMS : SPK_CL_TILES;
        d.tiles = k < 4 ? 0 : 2;
        d.symbol = oclgrind_symbol;
        d.symbol_ctx = handle;
        d.cache_dir = "";
        const uint64_t want = run(NULL, drive, &want_states, why, sizeof why);
        const uint64_t got = run(spk_cl_backend(&d), drive, &states, why, sizeof why);
        CHECK_EQ(got, want);
        CHECK_EQ(states, want_states);
    }
    FILE *log = fopen(path, "r");
    for (int k = 0; log && k < 20 && fgets(line, sizeof line, log); k++) {
        check_fail(__FILE__, __LINE__, line);
    }
    if (log) {
        fclose(log);
    }
}

TEST_MAIN()
