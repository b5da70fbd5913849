/* ---- >>test-cuda-errors: whatever fails in CUDA is reported, and the network goes on ----
   Against a driver that computes nothing and fails when told; no device is needed.
   check: networks alone */
#define SPIKELIB_CUDA_NVRTC
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cuda.cuh"

#include "check.h"
#include "mock_cuda.h"

typedef spk_cuda_desc device_desc;
#define device_backend spk_cuda_backend
#define DEVICE_LOST 46
#define DEVICE_LOST_NAME "CUDA_ERROR_DEVICE_UNAVAILABLE"
#define DEVICE_BLOCKS mock.allocs
#include "device_errors.h"

TEST(no_memory_for_any_buffer_is_an_error_and_the_cpu_goes_on)
{
    char why[600];
    mock_reset();
    const spk_cuda_desc d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long buffers = mock.allocs;
    CHECK(buffers > 15);
    for (long k = 1; k <= buffers; k++) {
        mock_reset();
        host_blocks = 0;
        mock.fail_alloc = k;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_OUT_OF_MEMORY);
        CHECK_HAS(why, "CUDA_ERROR_OUT_OF_MEMORY");
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
        CHECK_EQ(host_blocks, 0);
    }
}

/* The driver tells of a trap when somebody waits, and of nothing else afterwards. */
TEST(a_kernel_that_traps_is_an_error_and_the_cpu_goes_on)
{
    char why[600];
    mock_reset();
    const spk_cuda_desc d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long launches = mock.launches;
    for (long k = 1; k <= launches; k++) {
        mock_reset();
        host_blocks = 0;
        mock.trap_at = k;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
        CHECK_HAS(why, "CUDA_ERROR_LAUNCH_FAILED");
        CHECK_HAS(why, "Mock GPU 0");
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
        CHECK_EQ(host_blocks, 0);
    }
}

/* -- slices that are recorded and replayed -- */

static spk_cuda_desc graph_desc(void)
{
    mock_reset();
    host_blocks = 0;
    spk_cuda_desc d = mock_desc();
    d.style = SPK_CUDA_GRAPH;
    return d;
}

static void nothing_is_left(void)
{
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
    CHECK_EQ(host_blocks, 0);
}

TEST(with_slices_replayed_whatever_call_launch_or_buffer_fails_is_an_error_and_the_cpu_goes_on)
{
    char why[600];
    spk_cuda_desc d = graph_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK(mock.graphs > 0 && mock.replays > 4);
    nothing_is_left();
    const long calls = run_calls, launches = mock.launches, buffers = mock.allocs;
    for (long k = 1; k <= calls; k++) {
        d = graph_desc();
        mock.fail_at = k;
        mock.fail_code = DEVICE_LOST;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
        CHECK(strlen(why) > 20);
        nothing_is_left();
    }
    for (long k = 1; k <= launches; k++) { /* those of a graph among them */
        d = graph_desc();
        mock.trap_at = k;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
        CHECK_HAS(why, "CUDA_ERROR_LAUNCH_FAILED");
        nothing_is_left();
    }
    for (long k = 1; k <= buffers; k++) {
        d = graph_desc();
        mock.fail_alloc = k;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_OUT_OF_MEMORY);
        nothing_is_left();
    }
}

/* Each call that graphs need fails once, and the next would work again. */
TEST(a_recording_that_fails_names_its_call_and_ends_the_capture)
{
    static const char *const call[] = {"cuStreamBeginCapture", "spki_update", "cuStreamEndCapture",
                                       "cuGraphInstantiate", "cuGraphLaunch"};
    char why[600];
    for (size_t k = 0; k < sizeof call / sizeof call[0]; k++) {
        spk_cuda_desc d = graph_desc();
        mock.fail_name = call[k];
        mock.fail_code = 2;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_OUT_OF_MEMORY);
        CHECK_HAS(why, call[k]);
        CHECK_HAS(why, "CUDA_ERROR_OUT_OF_MEMORY");
        CHECK(mock.fail_name == NULL);
        nothing_is_left();
    }
}

TEST(a_driver_without_graphs_is_an_error_only_where_they_are_asked_for)
{
    static const char *const call[] = {
        "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags",
        "cuGraphDestroy", "cuGraphLaunch", "cuGraphExecDestroy"};
    char why[600], said[200];
    for (size_t k = 0; k < sizeof call / sizeof call[0]; k++) {
        spk_cuda_desc d = graph_desc();
        mock.missing = call[k];
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
        snprintf(said, sizeof said, "has no %s (SPK_CUDA_GRAPH needs CUDA 11.4", call[k]);
        CHECK_HAS(why, said);
        d.style = SPK_CUDA_SLICES;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
        nothing_is_left();
    }
}

TEST(several_devices_replay_nothing_and_a_profiled_network_neither)
{
    char why[600];
    const uint32_t both[2] = {0, 1};
    spk_pop pop;
    spk_rec rec;
    spk_cuda_desc d = graph_desc();
    mock.devices = 2;
    d.indices = both;
    d.index_count = 2;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.graphs, 0);
    nothing_is_left();
    d = graph_desc();
    spk_net *net = network(spk_cuda_backend(&d), SPK_LIF_EXP, &pop, &rec);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    (void)spk_net_profile(net, true);
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
    CHECK_EQ(mock.graphs, 0);
    (void)spk_net_profile(net, false);
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
    CHECK(mock.graphs > 0);
    spk_net_destroy(net);
    nothing_is_left();
}

/* What the tests above rely on. */
TEST(the_mock_driver_records_without_running_and_refuses_all_else_meanwhile)
{
    spki_cuda_handle stream, other, graph, made, function;
    uint32_t x = 1;
    void *param[1] = {&x};
    mock_reset();
    mock.misuse = 5; /* of which it says no more */
    CHECK_EQ(mock_cuCtxPushCurrent_v2((spki_cuda_handle)(void *)&mock_contexts[0]), 0);
    CHECK_EQ(mock_cuStreamCreate(&stream, 0), 0);
    CHECK_EQ(mock_cuStreamCreate(&other, 0), 0);
    mock_object *f = mock_new(MOCK_FUNCTION, 0);
    function = (spki_cuda_handle)(void *)f;
    CHECK_EQ(mock_cuStreamBeginCapture_v2(stream, 1), 0);
    for (int k = 0; k < 3; k++) {
        CHECK_EQ(mock_cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, param, NULL), 0);
    }
    CHECK_EQ(mock.launches, 0);
    CHECK_EQ(mock.misuse, 5);
    CHECK_EQ(mock_cuStreamSynchronize(stream), 900);
    CHECK_EQ(mock_cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, other, param, NULL), 900);
    CHECK_EQ(mock_cuStreamCreate(&made, 0), 900);
    CHECK_EQ(mock.misuse, 8);
    CHECK_EQ(mock_leaks(), 6); /* context, streams, function, what is captured, and that it is */
    CHECK_EQ(mock_cuStreamEndCapture(stream, &graph), 0);
    CHECK_EQ(mock_cuGraphInstantiateWithFlags(&made, graph, 0), 0);
    CHECK_EQ(mock_cuGraphDestroy(graph), 0);
    CHECK_EQ(mock.launches, 0);
    CHECK_EQ(mock_cuGraphLaunch(made, other), 0);
    CHECK_EQ(mock_cuGraphLaunch(made, other), 0);
    CHECK_EQ(mock.launches, 6);
    CHECK_EQ(mock.misuse, 8);
    CHECK_EQ(mock_release(f), 0);
    CHECK_EQ(mock_cuGraphLaunch(made, other), 400);
    CHECK_EQ(mock.misuse, 9);
    CHECK_EQ(mock_cuStreamEndCapture(stream, &graph), 401);
    CHECK_EQ(mock_leaks(), 4); /* the context, two streams, what was made */
}

TEST(what_a_network_is_said_to_need_is_what_it_takes)
{
    char text[4000];
    unsigned long long need = 0, held = 0;
    for (int n = 0; n < 4; n++) { /* first with too little, which says how much it would be */
        const int k = n % 2;
        spk_pop pop;
        spk_rec rec;
        mock_reset();
        spk_cuda_desc d = mock_desc();
        d.memory_budget = k ? need : 10000;
        d.style = n < 2 ? SPK_CUDA_AUTO : SPK_CUDA_GRAPH;
        spk_net *net = network(spk_cuda_backend(&d), SPK_LIF_EXP, &pop, &rec);
        (void)spk_net_add(net, "more", 20000, SPK_LIF_EXP, NULL);
        CHECK_EQ(spk_net_build(net), k ? SPK_OK : SPK_ERR_OUT_OF_MEMORY);
        (void)spk_net_describe(net, text, sizeof text);
        const char *at = k ? strstr(text, "tiles 0 .. ") : strstr(spk_net_error(net), "needs ");
        CHECK(at && (k ? sscanf(at, "tiles 0 .. %*u, %llu bytes", &held)
                       : sscanf(at, "needs %llu bytes", &need)) == 1);
        CHECK_EQ(k ? spk_net_run_steps(net, STEPS) : SPK_OK, SPK_OK);
        spk_net_destroy(net);
    }
    printf("    needs %llu bytes, holds %llu\n", need, held);
    CHECK(held <= need && held > need - need / 50);
}

/* -- a model that the device's compiler refuses -- */

TEST(a_build_failure_quotes_the_statement_of_the_users_model)
{
    char log[600];
    spk_pop pop;
    spk_rec rec;
    mock_reset();
    host_blocks = 0;
    const spk_cuda_desc d = mock_desc();
    spk_net *net = network(spk_cuda_backend(&d), helped, &pop, &rec);
    mock.keep = 1;
    CHECK_EQ(spk_net_build(net), SPK_OK);
    const int line = line_of_statement(mock.source);
    spk_net_destroy(net);
    snprintf(log, sizeof log, "spikelib.cu(%d): error: identifier \"twice\" is undefined\n", line);
    refuse_statement(&d, log, "identifier \"twice\" is undefined");
    CHECK_EQ(host_blocks, 0);
    CHECK_EQ(mock_leaks(), 0);
}

/* -- the cache -- */

TEST(programs_are_kept_on_disk_and_a_damaged_one_is_made_anew)
{
    char dir[600], why[600], command[800];
    mock_reset();
    host_blocks = 0;
    spk_cuda_desc d = mock_desc();
    d.cache_dir = check_tmp("cuda_cache/deep", dir, sizeof dir);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK_EQ(system(command), 0);
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.builds, 2);
    mock_reset(); /* then neither NVRTC nor time is needed */
    mock.no_nvrtc = 1;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.builds, 0);
    snprintf(command, sizeof command,
             "cd '%s' && for f in *.clb; do printf x | dd of=$f bs=1 seek=60 conv=notrunc "
             "2>/dev/null; done", dir);
    CHECK_EQ(system(command), 0);
    mock_reset();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.builds, 2);
    mock_reset(); /* and has been mended */
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.builds, 0);
    mock_reset(); /* another driver */
    mock.version = 12040;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.builds, 2);
    mock_reset(); /* every call that fails, with programs from the disk */
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long calls = run_calls;
    for (long k = 1; k <= calls; k += 5) {
        mock_reset();
        mock.fail_at = k;
        mock.fail_code = 46;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
    }
    CHECK_EQ(host_blocks, 0);
}

/* -- devices -- */

static double likes_the_last(void *ctx, const spk_cuda_device *d)
{
    (void)ctx;
    return d->index == 0 ? -1.0 : (double)d->index;
}

TEST(devices_are_listed_and_chosen_by_name_index_and_score)
{
    spk_cuda_device list[4];
    char why[600], text[2000];
    spk_pop pop;
    spk_rec rec;
    const uint32_t second = 1, none = 7;
    mock_reset();
    mock.devices = 2;
    spk_cuda_desc d = mock_desc();
    REQUIRE(spk_cuda_devices(&d, list, 4, why, sizeof why) == 2);
    CHECK_STR(list[1].name, "Mock GPU 1");
    CHECK(list[0].usable && list[0].major == 9 && list[0].driver == 13000 && list[0].units == 4);
    CHECK_EQ(spk_cuda_devices(&d, NULL, 0, NULL, 0), 2);
    for (int k = 0; k < 4; k++) {
        d = mock_desc();
        d.device = k == 0 ? "gpu 1" : NULL;
        d.indices = &second;
        d.index_count = k == 1;
        d.score = k == 2 ? likes_the_last : NULL;
        spk_net *net = network(spk_cuda_backend(&d), SPK_LIF_EXP, &pop, &rec);
        CHECK_EQ(spk_net_build(net), SPK_OK);
        (void)spk_net_describe(net, text, sizeof text);
        CHECK_HAS(text, k == 3 ? "Mock GPU 0" : "Mock GPU 1");
        spk_net_destroy(net);
    }
    d = mock_desc();
    d.device = "H200";
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "no usable device named \"H200\"; there are \"Mock GPU 0\"");
    d = mock_desc();
    d.indices = &none;
    d.index_count = 1;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "no device number 7");
    mock.old_arch = 1;
    d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "compute capability is below 7.0");
    mock.old_arch = 0;
    mock.mode = 2;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "prohibits");
    mock.mode = 0;
    mock.devices = 0;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "there are no devices");
}

/* -- what is the caller's: context, streams and events are used, and left alone -- */

typedef struct callers {
    spki_cuda_handle context, stream, copies, other, begin, end;
} callers;

/* A descriptor with all of them, on the second of two devices. */
static spk_cuda_desc desc_of(callers *c)
{
    mock_reset();
    host_blocks = 0;
    mock.devices = 2;
    c->context = (spki_cuda_handle)(void *)&mock_contexts[1];
    CHECK_EQ(mock_cuCtxPushCurrent_v2(c->context), 0);
    CHECK_EQ(mock_cuStreamCreate(&c->stream, 0), 0);
    CHECK_EQ(mock_cuStreamCreate(&c->copies, 0), 0);
    CHECK_EQ(mock_cuStreamCreate(&c->other, 0), 0);
    CHECK_EQ(mock_cuEventCreate(&c->begin, 0), 0);
    CHECK_EQ(mock_cuEventCreate(&c->end, 0), 0);
    CHECK_EQ(mock_cuCtxPopCurrent_v2(&c->context), 0);
    spk_cuda_desc d = mock_desc();
    d.context = (void *)c->context;
    d.stream = (void *)c->stream;
    d.copy_stream = (void *)c->copies;
    d.begin_event = (void *)c->begin;
    d.end_event = (void *)c->end;
    return d;
}

/* The caller's stream `other` has work, which the event tells of. */
static void other_work(const callers *c)
{
    spki_cuda_handle context = c->context;
    CHECK_EQ(mock_cuCtxPushCurrent_v2(context), 0);
    mock_at(c->other, MOCK_STREAM)->seq = ++mock.seq;
    CHECK_EQ(mock_cuEventRecord(c->begin, c->other), 0);
    CHECK_EQ(mock_cuCtxPopCurrent_v2(&context), 0);
    mock.must_see = mock.seq;
}

static void run_between_events(spk_cuda_style style)
{
    callers c;
    spk_pop pop;
    spk_rec rec;
    spk_cuda_desc d = desc_of(&c);
    d.style = style;
    spk_net *net = network(spk_cuda_backend(&d), SPK_LIF_EXP, &pop, &rec);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    CHECK_EQ(mock_at(c.end, MOCK_EVENT)->seq, 0);
    for (uint32_t k = 0; k < 3; k++) {
        const long launches = mock.launches;
        other_work(&c);
        CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
        CHECK(mock.launches > launches);
        CHECK(mock_at(c.end, MOCK_EVENT)->stream == mock_at(c.stream, MOCK_STREAM));
        CHECK(mock_at(c.end, MOCK_EVENT)->seq >= mock_at(c.stream, MOCK_STREAM)->seq);
        CHECK_EQ(mock_at(c.stream, MOCK_STREAM)->seq, mock.kernel_seq[1]); /* all kernels */
        CHECK(mock_at(c.copies, MOCK_STREAM)->seen >= mock.must_see); /* lists came through it */
    }
    mock.must_see = 0;
    CHECK_EQ(mock.misuse, 0);
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 5); /* three streams and two events */
    CHECK_EQ(mock.live[MOCK_STREAM], 3);
    CHECK_EQ(mock.live[MOCK_EVENT], 2);
    CHECK_EQ(mock.misuse, 0);
    CHECK_EQ(host_blocks, 0);
}

TEST(a_run_waits_for_the_callers_event_and_records_the_callers_event_behind_its_work)
{
    run_between_events(SPK_CUDA_AUTO);
    CHECK_EQ(mock.replays, 0);
    run_between_events(SPK_CUDA_GRAPH); /* captured elsewhere, launched in the caller's stream */
    CHECK(mock.replays > 10);
}

TEST(with_the_callers_streams_a_device_lost_at_any_call_is_an_error_too)
{
    char why[600];
    callers c;
    spk_cuda_desc d = desc_of(&c);
    const long made = mock.calls;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    const long calls = run_calls - made - 3; /* but for the last: see below */
    for (long k = 1; k <= calls; k += k < 40 || k > calls - 40 ? 1 : 7) {
        d = desc_of(&c);
        mock.fail_at = made + k;
        mock.fail_code = DEVICE_LOST;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
        CHECK_EQ(mock_leaks(), 5);
        CHECK_EQ(mock.misuse, 0);
        CHECK_EQ(host_blocks, 0);
    }
}

/* States that were read back before are this mock's, which computes nothing. */
TEST(an_event_of_the_caller_that_cannot_be_recorded_is_an_error)
{
    callers c;
    spk_pop pop;
    spk_rec rec;
    const spk_cuda_desc d = desc_of(&c);
    spk_net *net = network(spk_cuda_backend(&d), SPK_LIF_EXP, &pop, &rec);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
    mock.fail_record = c.end;
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_ERR_DEVICE);
    CHECK_HAS(spk_net_error(net), "cuEventRecord");
    spk_net_destroy(net);
    CHECK_EQ(mock_leaks(), 5);
    CHECK_EQ(mock.misuse, 0);
    CHECK_EQ(host_blocks, 0);
}

TEST(a_stream_or_an_event_without_its_context_and_one_stream_for_both_are_errors)
{
    char why[600];
    callers c;
    for (int k = 0; k < 5; k++) {
        spk_cuda_desc d = desc_of(&c);
        d.context = k < 4 ? NULL : d.context;
        d.stream = k == 0 || k == 4 ? d.stream : NULL;
        d.copy_stream = k == 1 ? d.copy_stream : k == 4 ? d.stream : NULL;
        d.begin_event = k == 2 ? d.begin_event : NULL;
        d.end_event = k == 3 ? d.end_event : NULL;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_RANGE);
        CHECK_HAS(why, "a stream or event comes without its context");
        CHECK_HAS(why, "one stream for both");
    }
}

TEST(where_the_driver_is_missing_auto_takes_the_cpu_and_says_why)
{
    char why[600];
    spk_pop pop;
    spk_rec rec;
    double sample;
    mock_reset();
    const uint64_t want = reference(&sample);
    spk_cuda_desc d = mock_desc();
    d.symbol = no_symbol;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "there is no driver");
    CHECK_EQ(spk_cuda_devices(&d, NULL, 0, why, sizeof why), 0);
    CHECK_HAS(why, "there is no driver");
    d.or_cpu = true;
    spk_net *net = network(spk_cuda_backend(&d), SPK_LIF_EXP, &pop, &rec);
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
    CHECK_HAS(spk_net_error(net), "there is no driver");
    CHECK_EQ(spk_net_state_digest(net), want);
    spk_net_destroy(net);
    d = mock_desc();
    mock.missing = "cuMemPoolCreate";
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "the driver has no cuMemPoolCreate (CUDA 11.2 or later is needed)");
    mock.missing = NULL;
    mock.version = 11010;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "the driver is one of CUDA 11.1; 11.2 or later is needed");
    mock.version = 13000;
    mock.no_nvrtc = 1;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "no NVRTC");
    CHECK_EQ(mock_leaks(), 0);
}

TEST(bad_descriptors_are_errors)
{
    char why[600];
    mock_reset();
    host_blocks = 0;
    spk_cuda_desc d = mock_desc();
    d.end_sentinel = 5;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_UNINITIALISED);
    d = mock_desc();
    d.index_count = 2;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_RANGE);
    d = mock_desc();
    d.time_limit_s = -1.0;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_RANGE);
    d = mock_desc();
    d.style = (spk_cuda_style)9;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_RANGE);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(host_blocks, 0);
}

TEST(several_devices_leave_nothing)
{
    char why[600];
    const uint32_t both[2] = {0, 1};
    for (int how = 0; how < 4; how++) {
        mock_reset();
        host_blocks = 0;
        mock.devices = 2;
        mock.no_nccl = how == 0;
        spk_cuda_desc d = mock_desc();
        d.indices = both;
        d.index_count = 2;
        d.exchange = (spk_cuda_exchange)how;
        CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
        const long calls = run_calls;
        CHECK_EQ(mock_leaks(), 0);
        CHECK_EQ(mock.misuse, 0);
        for (long k = 1; k < calls; k += 37) {
            mock_reset();
            mock.devices = 2;
            mock.fail_at = k;
            mock.fail_code = 46;
            CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
            CHECK_EQ(mock_leaks(), 0);
            CHECK_EQ(mock.misuse, 0);
        }
        CHECK_EQ(host_blocks, 0);
    }
}

TEST(nccl_that_is_asked_for_and_absent_is_an_error)
{
    char why[600];
    const uint32_t both[2] = {0, 1};
    mock_reset();
    mock.devices = 2;
    mock.no_nccl = 1;
    spk_cuda_desc d = mock_desc();
    d.indices = both;
    d.index_count = 2;
    d.exchange = SPK_CUDA_EXCHANGE_NCCL;
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_ERR_DEVICE);
    CHECK_HAS(why, "NCCL cannot be used: no NCCL");
    CHECK_EQ(mock_leaks(), 0);
}

/* Devices without pools, or whose groups cannot wait for each other. */
TEST(older_devices_are_served_in_the_older_ways)
{
    char why[600];
    mock_reset();
    mock.no_pools = mock.no_cooperative = 1;
    const spk_cuda_desc d = mock_desc();
    CHECK_EQ(run_until_error(&d, why, sizeof why), SPK_OK);
    CHECK_EQ(mock.together, 0);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
}

TEST_MAIN()
