/* ---- >>test-cl-errors: whatever fails in OpenCL is reported, and the network goes on ----
   Against an OpenCL that computes nothing and fails when told; no device is needed.
   check: networks alone */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cl.h"

#include "check.h"
#include "mock_cl.h"

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

typedef spk_cl_desc device_desc;
#define device_backend spk_cl_backend
#define DEVICE_LOST (-36)
#define DEVICE_LOST_NAME "CL_INVALID_COMMAND_QUEUE"
#define DEVICE_BLOCKS mock.buffers
#include "device_errors.h"

TEST(no_memory_for_any_buffer_is_an_error_and_the_cpu_goes_on)
{
    char why[600];
    mock_reset();
    const spk_cl_desc d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long buffers = mock.buffers;
    CHECK(buffers > 15);
    for (long k = 1; k <= buffers; k++) {
        for (int once = 0; once < 2; once++) {
            mock_reset();
            host_blocks = 0;
            mock.fail_buffer = k;
            mock.fail_once = once;
            const spk_result result = run_until_error(&d, why, sizeof why);
            /* where the pool had something to give back, a second try may have worked */
            CHECK(result == SPK_ERR_OUT_OF_MEMORY || (once && result == SPK_OK));
            if (result != SPK_OK) {
                CHECK_HAS(why, "CL_MEM_OBJECT_ALLOCATION_FAILURE");
            }
            CHECK_EQ(mock_leaks(), 0);
            CHECK_EQ(mock.held, 0);
            CHECK_EQ(mock.misuse, 0);
            CHECK_EQ(host_blocks, 0);
        }
    }
}

TEST(a_kernel_that_the_driver_kills_is_an_error)
{
    char why[600];
    mock_reset();
    const spk_cl_desc d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long calls = run_calls;
    mock_reset();
    mock.fail_at = calls - 20; /* well within the run */
    mock.fail_code = SPKI_CL_OUT_OF_RESOURCES;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "CL_OUT_OF_RESOURCES");
    CHECK_HAS(why, "Mock CPU");
}

TEST(a_device_is_asked_for_no_more_than_was_said_and_for_no_block_that_it_does_not_give)
{
    char why[600];
    const unsigned long long need = needed();
    mock_reset();
    spk_cl_desc d = mock_desc();
    d.memory_budget = need;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK(mock.most_held <= need && mock.most_held > need / 2);
    d.memory_budget = 0;
    mock_reset();
    mock.largest = 5000;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_OUT_OF_MEMORY);
    CHECK_EQ(mock.buffers, 0);
}

/* -- a model that the device's compiler refuses -- */

TEST(a_build_failure_quotes_the_statement_of_the_users_model)
{
    char log[600];
    spk_pop pop;
    spk_rec rec;
    mock_reset();
    host_blocks = 0;
    const spk_cl_desc d = mock_desc();
    spk_net *net = network(spk_cl_backend(&d), helped, &pop, &rec);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    const int line = line_of_statement(mock.source);
    spk_net_destroy(net);
    snprintf(log, sizeof log, "/x/y.cl:%d:14: error: implicit declaration of function 'twice'\n",
             line);
    refuse_statement(&d, log, "implicit declaration of");
    snprintf(log, sizeof log, "error: /x/y.cl:%d:14: implicit declaration of 'twice'\n", line);
    refuse_statement(&d, log, "implicit declaration of"); /* as PoCL writes it */
    CHECK_EQ(host_blocks, 0);
    CHECK_EQ(mock_leaks(), 0);
}

/* -- the cache -- */

TEST(programs_are_kept_on_disk_and_a_damaged_one_is_made_anew)
{
    char dir[600], why[600], command[800];
    mock_reset();
    spk_cl_desc d = mock_desc();
    d.cache_dir = check_tmp("cl_cache/deep", dir, sizeof dir);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK_EQ(system(command), 0);
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.binaries, 0);
    CHECK_EQ(mock.builds, 2);
    mock_reset();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.binaries, 2);
    CHECK_EQ(mock.source == NULL, 1);
    snprintf(command, sizeof command,
             "cd '%s' && for f in *.clb; do printf x | dd of=$f bs=1 seek=41 conv=notrunc "
             "2>/dev/null; done", dir);
    CHECK_EQ(system(command), 0);
    mock_reset();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.binaries, 0);
    CHECK(mock.source != NULL);
    mock_reset(); /* and has been mended */
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.binaries, 2);
    mock_reset(); /* another device */
    strcpy(mock.device_names[0], "Mock CPU 2");
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.binaries, 0);
    mock_reset(); /* another driver */
    mock.driver = "2";
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.binaries, 0);
    CHECK_EQ(mock.misuse, 0);
    mock_reset(); /* a place where nothing can be written does no harm */
    d.cache_dir = "/proc/none";
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
}

#if !defined(_WIN32)
/* One of several programs that start at the same time, again and again. */
static void start_often(const spk_cl_desc *d)
{
    char why[600];
    for (int k = 0; k < 12; k++) {
        mock_reset();
        if (run_until_error(d, why, sizeof why) != SPK_OK || mock.misuse) {
            _exit(1);
        }
        if (k % 4 == 3) { /* all entries vanish, and are written again by everyone */
            char command[700];
            snprintf(command, sizeof command, "rm -f '%.500s'/*.clb", d->cache_dir);
            if (system(command)) {
                _exit(1);
            }
        }
    }
    _exit(0);
}

TEST(programs_that_start_together_share_the_cache_and_see_no_half_entry)
{
    char dir[600], command[800];
    pid_t child[4];
    int status;
    mock_reset();
    spk_cl_desc d = mock_desc();
    d.cache_dir = check_tmp("cl_shared", dir, sizeof dir);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK_EQ(system(command), 0);
    fflush(stdout);
    for (int k = 0; k < 4; k++) {
        child[k] = fork();
        if (child[k] == 0) {
            start_often(&d); /* the mock refuses a binary that is not whole */
        }
    }
    for (int k = 0; k < 4; k++) {
        REQUIRE(child[k] > 0 && waitpid(child[k], &status, 0) == child[k]);
        CHECK_EQ(status, 0);
    }
    snprintf(command, sizeof command, "ls -A '%s' | grep -v '[.]clb$'", dir);
    CHECK(system(command) != 0); /* no temporary file is left */
}
#endif

/* -- devices -- */

static double likes_the_old(void *ctx, const spk_cl_device *d)
{
    (void)ctx;
    return d->is_cpu ? -1.0 : (double)d->index;
}

/* 100 neurons (128 lanes) with 2 receptors, all delays of a step: 1,024 bytes arrive in a slice. */
TEST(a_tiles_arrivals_are_added_up_in_local_memory_where_that_is_the_devices_own_and_has_room)
{
    static const struct {
        size_t local;
        uint32_t cpu, near;
        spk_cl_style style;
    } kind[] = {{1024, 0, 1, SPK_CL_AUTO},  {1023, 0, 0, SPK_CL_AUTO},  {0, 0, 0, SPK_CL_AUTO},
                {1024, 1, 0, SPK_CL_AUTO},  {0, 1, 1, SPK_CL_TILES},    {1024, 0, 0, SPK_CL_ITEMS},
                {1024, 0, 0, SPK_CL_VECTORS}};
    for (size_t k = 0; k < sizeof kind / sizeof kind[0]; k++) {
        spk_pop pop;
        spk_rec rec;
        mock_reset();
        mock.cpu[0] = (int)kind[k].cpu;
        mock.local = kind[k].local;
        spk_cl_desc d = mock_desc();
        d.style = kind[k].style;
        d.tiles = 1;
        spk_net *net = network(spk_cl_backend(&d), SPK_LIF_EXP2, &pop, &rec);
        CHECK_EQ(spk_net_build(net), SPK_OK);
        CHECK(strstr(mock.source, "spki_deliver"));
        CHECK_EQ(!strstr(mock.source, "#define SPKI_LOCAL_SPAN 0\n"), kind[k].near);
        spk_net_destroy(net);
    }
}

TEST(devices_are_listed_and_chosen_by_name_index_and_score)
{
    spk_cl_device list[4];
    char why[600], text[2000];
    spk_pop pop;
    spk_rec rec;
    const uint32_t second = 1, none = 7;
    mock_reset();
    mock.devices = 3;
    mock.rounded[2] = 0;
    spk_cl_desc d = mock_desc();
    REQUIRE(spk_cl_devices(&d, list, 4, why, sizeof why) == 3);
    CHECK_STR(list[1].name, "Mock Accelerator 9000");
    CHECK(list[0].is_cpu && !list[0].is_gpu && list[1].is_gpu && list[0].usable);
    CHECK(!list[2].usable);
    CHECK_HAS(list[2].why, "correctly rounded");
    CHECK_EQ(spk_cl_devices(&d, NULL, 0, NULL, 0), 3);
    for (int k = 0; k < 5; k++) {
        d = mock_desc();
        d.device = k == 0 ? "accelerator" : k == 1 ? "cpu" : k == 4 ? "MOCK PLATFORM" : NULL;
        d.indices = &second;
        d.index_count = k == 2;
        d.score = k == 3 ? likes_the_old : NULL;
        spk_net *net = network(spk_cl_backend(&d), SPK_LIF_EXP, &pop, &rec);
        CHECK_EQ(spk_net_build(net), SPK_OK);
        (void)spk_net_describe(net, text, sizeof text);
        CHECK_HAS(text, k == 1 ? "Mock CPU" : "Mock Accelerator 9000");
        spk_net_destroy(net);
    }
    d = mock_desc();
    d.device = "H200";
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "no usable device named \"H200\"; there are \"Mock CPU\"");
    d = mock_desc();
    d.indices = &none;
    d.index_count = 1;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "no device number 7");
    d = mock_desc();
    d.device = "old";
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "not correctly rounded");
}

TEST(where_opencl_is_missing_auto_takes_the_cpu_and_says_why)
{
    char why[600];
    spk_pop pop;
    spk_rec rec;
    double sample;
    mock_reset();
    const uint64_t want = reference(&sample);
    spk_cl_desc d = mock_desc();
    d.symbol = no_symbol;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "the loader has no cl");
    CHECK_EQ(spk_cl_devices(&d, NULL, 0, why, sizeof why), 0);
    CHECK_HAS(why, "the loader has no cl");
    d.or_cpu = true;
    spk_net *net = network(spk_cl_backend(&d), SPK_LIF_EXP, &pop, &rec);
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
    CHECK_HAS(spk_net_error(net), "the loader has no cl");
    CHECK_EQ(spk_net_state_digest(net), want);
    spk_net_destroy(net);
    d = mock_desc();
    mock.missing = "clCreateSubDevices";
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "clCreateSubDevices");
}

TEST(bad_descriptors_are_errors)
{
    char why[600];
    mock_reset();
    host_blocks = 0;
    spk_cl_desc d = mock_desc();
    d.end_sentinel = 5;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_UNINITIALISED);
    d = mock_desc();
    d.index_count = 2;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_RANGE);
    d = mock_desc();
    d.time_limit_s = -1.0;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_RANGE);
    d = mock_desc();
    d.sub_devices = 8;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "cannot be cut into 8 parts");
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(host_blocks, 0);
}

TEST(sub_devices_and_several_devices_leave_nothing)
{
    char why[600];
    const uint32_t both[2] = {0, 1};
    mock_reset();
    host_blocks = 0;
    mock.devices = 2;
    spk_cl_desc d = mock_desc();
    d.sub_devices = 2;
    d.indices = both;
    d.index_count = 2;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long calls = run_calls;
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    for (long k = 1; k < calls; k += 13) {
        mock_reset();
        mock.devices = 2;
        mock.fail_at = k;
        mock.fail_code = -36;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
    CHECK_EQ(host_blocks, 0);
}

/* -- how work is handed over -- */

TEST(many_steps_go_to_the_device_at_a_time_and_reading_back_overlaps_the_next)
{
    spk_net_desc d;
    spk_conn_desc c;
    memset(&d, 0, sizeof d);
    memset(&c, 0, sizeof c);
    mock_reset();
    const spk_cl_desc cl = mock_desc();
    d.backend = spk_cl_backend(&cl);
    spk_net *net = spk_net_create(&d);
    const spk_pop pop = spk_net_add(net, "cells", 100, SPK_LIF_EXP, NULL);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 4;
    c.weight = spk_constant(1);
    c.delay_ms = spk_constant(1.6);
    (void)spk_net_connect(net, pop, pop, &c);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    const long before = mock.launches;
    CHECK_EQ(spk_net_run_steps(net, 320), SPK_OK);
    CHECK_EQ(mock.launches - before, 320 / 16 * 3); /* update, compaction and delivery a slice */
    CHECK(mock.overlap >= 3); /* the next batch was under way before the last one was waited for */
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 0);
}

TEST(a_device_without_doubles_refuses_64_bit_states_and_says_so)
{
    spk_net_desc d;
    memset(&d, 0, sizeof d);
    for (int k = 0; k < 3; k++) {
        mock_reset();
        mock.extensions = "cl_khr_byte_addressable_store";
        const spk_cl_desc cl = mock_desc();
        d.precision = k == 0 ? SPK_FLOAT64 : k == 1 ? SPK_FLOAT32 : SPK_FLOAT16;
        d.backend = spk_cl_backend(&cl);
        spk_net *net = spk_net_create(&d);
        (void)spk_net_add(net, "cells", 100, SPK_LIF_EXP, NULL);
        CHECK_EQ(spk_net_build(net), k == 0 ? SPK_ERR_UNSUPPORTED : SPK_OK);
        if (k == 0) {
            CHECK_HAS(spk_net_error(net), "\"Mock CPU\" has no 64-bit floating point");
        }
        CHECK_EQ(spk_net_run_steps(net, 10), SPK_OK);
        spk_net_destroy(net);
    }
}

/* Tiles of each device in a description's lines "opencl "NAME": tiles A .. B". */
static int shares(const spk_net *net, int *tiles, int most)
{
    char text[4000];
    int n = 0, from, to;
    (void)spk_net_describe(net, text, sizeof text);
    const char *at = strstr(text, ": tiles ");
    for (; at && n < most; at = strstr(at + 1, ": tiles ")) {
        if (sscanf(at, ": tiles %d .. %d", &from, &to) == 2) {
            tiles[n++] = to - from;
        }
    }
    return n;
}

TEST(work_is_dealt_by_the_speed_that_is_measured)
{
    const uint32_t both[2] = {0, 1};
    int tiles[2];
    for (int k = 0; k < 3; k++) {
        spk_net_desc d;
        memset(&d, 0, sizeof d);
        mock_reset();
        host_blocks = 0;
        mock.devices = 2;
        mock.slow_s[0] = k == 1 ? 1e-4 : 0.0;
        mock.slow_s[1] = k == 2 ? 1e-4 : 0.0;
        spk_cl_desc cl = mock_desc();
        cl.indices = both;
        cl.index_count = 2;
        cl.tiles = 20;
        cl.style = SPK_CL_VECTORS;
        d.backend = spk_cl_backend(&cl);
        spk_net *net = spk_net_create(&d);
        (void)spk_net_add(net, "cells", 20480, SPK_LIF_EXP, NULL);
        CHECK_EQ(spk_net_build(net), SPK_OK);
        REQUIRE(shares(net, tiles, 2) == 2);
        CHECK_EQ(tiles[0], 10); /* by units */
        CHECK_EQ(spk_net_run_steps(net, 41 * 32 + 5), SPK_OK);
        REQUIRE(shares(net, tiles, 2) == 2);
        CHECK_EQ(tiles[0] + tiles[1], 20);
        if (k == 1) { /* a millisecond a slice more than the other */
            CHECK(tiles[0] < 8);
        } else if (k == 2) {
            CHECK(tiles[1] < 8);
        }
        spk_net_destroy(net);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
        CHECK_EQ(host_blocks, 0);
    }
}

TEST_MAIN()
