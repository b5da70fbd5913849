/* ---- >>test_errors: whatever is wrong is named, changes nothing and leaks nothing ---- */

#include "check.h"
#include "spikelib.h"

#include <math.h>

static const double not_a_number = NAN, infinite = INFINITY;

/* -- an allocator that counts, checks sizes and fails when asked to -- */

typedef struct heap {
    size_t live, blocks, calls, largest_live;
    size_t fail_at; /* this call, counted from 1; 0: none */
    bool and_all_later;
    bool wrong_size;
} heap;

static void *heap_alloc(void *ctx, size_t size, size_t align)
{
    heap *h = (heap *)ctx;
    char *raw, *block;
    h->calls++;
    if (h->fail_at && (h->calls == h->fail_at || (h->and_all_later && h->calls > h->fail_at)))
        return NULL;
    raw = (char *)aligned_alloc(align, (size + 2 * align - 1) / align * align);
    if (!raw) return NULL;
    block = raw + align;
    memcpy(block - sizeof size, &size, sizeof size);
    memcpy(block - 2 * sizeof size, &align, sizeof align);
    h->live += size;
    h->largest_live = h->live > h->largest_live ? h->live : h->largest_live;
    h->blocks++;
    return block;
}

static void heap_free(void *ctx, void *block, size_t size)
{
    heap *h = (heap *)ctx;
    size_t was, align;
    memcpy(&was, (char *)block - sizeof was, sizeof was);
    memcpy(&align, (char *)block - 2 * sizeof was, sizeof align);
    h->wrong_size = h->wrong_size || was != size;
    h->live -= was;
    h->blocks--;
    free((char *)block - align);
}

static void heap_check(const heap *h)
{
    CHECK_EQ(h->blocks, 0);
    CHECK_EQ(h->live, 0);
    CHECK(!h->wrong_size);
}

/* -- descriptors -- */

static void check_bad_desc(spk_net_desc d, spk_result code, const char *part)
{
    heap h = {0};
    d.allocator.ctx = &h;
    d.allocator.alloc = heap_alloc;
    d.allocator.free = heap_free;
    const spk_net_desc before = d;
    CHECK_EQ(spk_net_desc_defaults(&d), code);
    CHECK(!memcmp(&before, &d, sizeof d));
    spk_net *net = spk_net_create(&d);
    CHECK(net != NULL);
    CHECK_EQ(spk_net_status(net), code);
    CHECK_HAS(spk_net_error(net), part);
    spk_pop p = spk_net_add(net, "p", 10, SPK_LIF_EXP, NULL);
    CHECK(p.net == 0 && p.index == 0);
    CHECK(spk_net_record_spikes(net, p) == NULL);
    CHECK_EQ(spk_net_build(net), code);
    CHECK_EQ(spk_net_run(net, 10.0), code);
    CHECK_HAS(spk_net_error(net), part);
    CHECK_EQ(spk_net_step(net), 0);
    spk_net_destroy(net);
    heap_check(&h);
}

TEST(a_bad_network_descriptor_is_the_first_error)
{
    const spk_net_desc zero = {0};
    const double steps[] = {not_a_number, -0.1, infinite, -infinite, 1e9, -1e-300};
    for (int k = 0; k < 6; k++) {
        spk_net_desc d = zero;
        d.dt_ms = steps[k];
        check_bad_desc(d, SPK_ERR_RANGE, "dt_ms = ");
    }
    spk_net_desc d = zero;
    d.threads = 1025;
    check_bad_desc(d, SPK_ERR_RANGE, "threads = 1025");
    d.threads = UINT32_MAX;
    check_bad_desc(d, SPK_ERR_RANGE, "threads = 4294967295");
    d = zero;
    d.precision = (spk_precision)3;
    check_bad_desc(d, SPK_ERR_RANGE, "precision = 3");
    d.precision = (spk_precision)-1;
    check_bad_desc(d, SPK_ERR_RANGE, "precision = -1");
    d = zero;
    d.weight_bits = 12;
    check_bad_desc(d, SPK_ERR_RANGE, "weight_bits = 12");
    d = zero;
    d.max_delay_steps = 5000;
    check_bad_desc(d, SPK_ERR_RANGE, "max_delay_steps = 5000");
    d = zero;
    d.isa = (spk_isa)77;
    check_bad_desc(d, SPK_ERR_NAME, "isa = 77");
    d.isa = (spk_isa)-5;
    check_bad_desc(d, SPK_ERR_NAME, "isa = -5");
}

TEST(a_descriptor_that_was_never_set_to_zero_is_caught)
{
    spk_net_desc d;
    spk_conn_desc c;
    spk_rec_desc r;
    memset(&d, 0xa5, sizeof d); /* its allocator must not be called */
    CHECK_EQ(spk_net_desc_defaults(&d), SPK_ERR_UNINITIALISED);
    spk_net *net = spk_net_create(&d);
    CHECK_EQ(spk_net_build(net), SPK_ERR_UNINITIALISED);
    CHECK_HAS(spk_net_error(net), "sentinel");
    spk_net_destroy(net);
    memset(&c, 0xa5, sizeof c);
    memset(&r, 0xa5, sizeof r);
    net = spk_net_create(NULL);
    spk_pop p = spk_net_add(net, "p", 3, SPK_LIF_EXP, NULL);
    CHECK_EQ(spk_net_connect(net, p, p, &c), SPK_ERR_UNINITIALISED);
    CHECK_HAS(spk_net_error(net), "sentinel");
    spk_net_destroy(net);
    net = spk_net_create(NULL);
    p = spk_net_add(net, "p", 3, SPK_LIF_EXP, NULL);
    CHECK(spk_net_record(net, p, &r) == NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_UNINITIALISED);
    spk_net_destroy(net);
}

TEST(an_instruction_set_that_the_environment_misspells_is_named)
{
#if defined(_WIN32)
    SKIP("sets an environment variable as POSIX does");
#else
    setenv("SPIKELIB_ISA", "sse9", 1);
    spk_net *net = spk_net_create(NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_NAME);
    CHECK_HAS(spk_net_error(net), "sse9");
    CHECK_HAS(spk_net_error(net), "avx512 neon generic");
    spk_net_destroy(net);
    unsetenv("SPIKELIB_ISA");
#endif
}

/* -- calls that describe -- */

typedef struct world {
    spk_net *net, *other;
    spk_pop a, b, src, foreign, empty;
    heap *h;
} world;

static world make_on(heap *h, uint32_t threads)
{
    world w;
    spk_net_desc d = {0};
    memset(&w, 0, sizeof w);
    d.threads = threads;
    d.allocator.ctx = h;
    d.allocator.alloc = heap_alloc;
    d.allocator.free = heap_free;
    w.h = h;
    w.other = spk_net_create(&d);
    w.foreign = spk_net_add(w.other, "foreign", 50, SPK_LIF_EXP, NULL);
    w.net = spk_net_create(&d);
    w.a = spk_net_add(w.net, "aster", 60, SPK_LIF_EXP, NULL);
    w.b = spk_net_add(w.net, "beech", 40, SPK_LIF_COND, NULL);
    w.src = spk_net_add(w.net, "cedar", 10, SPK_SPIKE_LIST, NULL);
    w.empty = spk_net_slice(w.net, w.a, 7, 0);
    return w;
}

static world make(heap *h)
{
    return make_on(h, 1);
}

static void done(world *w)
{
    spk_net_destroy(w->net);
    spk_net_destroy(w->other);
    heap_check(w->h);
}

/* The first error stays, later calls do nothing, building and running return it. */
static void check_remembered(world *w, spk_result code, const char *a, const char *b, int line)
{
    char what[640], first[512];
    snprintf(first, sizeof first, "%s", spk_net_error(w->net));
    if (spk_net_status(w->net) != code || !strstr(first, a) || !strstr(first, b)) {
        snprintf(what, sizeof what, "%s \"%s\" (expected %s, \"%s\" and \"%s\")",
                 spk_result_name(spk_net_status(w->net)), first, spk_result_name(code), a, b);
        check_fail(__FILE__, line, what);
    }
    const size_t live = w->h->live;
    CHECK(spk_net_add(w->net, "late", 5, SPK_LIF_EXP, NULL).index == 0);
    CHECK(spk_net_add(w->net, NULL, 5, NULL, NULL).index == 0);
    CHECK_EQ(spk_net_connect(w->net, w->a, w->a, NULL), code);
    CHECK(spk_net_slice(w->net, w->a, 0, 1).index == 0);
    CHECK(spk_net_union(w->net, w->a, w->b).index == 0);
    CHECK(spk_net_record_spikes(w->net, w->a) == NULL);
    CHECK_EQ(spk_net_drive_poisson(w->net, w->a, NULL), code);
    CHECK_EQ(spk_net_drive_current(w->net, w->a, NULL), code);
    CHECK_EQ(spk_net_spike_list(w->net, w->src, NULL, NULL, 3), code);
    CHECK_EQ(spk_net_build(w->net), code);
    CHECK_EQ(spk_net_run(w->net, 1.0), code);
    CHECK_EQ(spk_net_run_steps(w->net, 1), code);
    CHECK_EQ(spk_net_get(w->net, w->a, "v", NULL, 0), code);
    CHECK_STR(spk_net_error(w->net), first);
    CHECK_EQ(w->h->live, live);
}

#define BUILDER(call, code, a, b)                                                                  \
    do {                                                                                           \
        heap h = {0};                                                                              \
        world w = make(&h);                                                                        \
        (void)(call);                                                                              \
        check_remembered(&w, code, a, b, __LINE__);                                                \
        done(&w);                                                                                  \
    } while (0)

#define SETS(name, value) ((const spk_set[]){{name, value}, {NULL, spk_constant(0.0)}})
#define CONN(...) (&(spk_conn_desc){__VA_ARGS__})

static double nan_function(void *ctx, uint32_t s, uint32_t t)
{
    (void)ctx;
    return s == 3 && t == 3 ? NAN : 1.0;
}

TEST(a_bad_population_is_an_error_that_names_it)
{
    const double few[3] = {1, 2, 3}, bad[4] = {1, 2, NAN, 4};
#define ADD(name, value) spk_net_add(w.net, "maple", 4, SPK_LIF_EXP, SETS(name, value))
    BUILDER(spk_net_add(w.net, NULL, 4, SPK_LIF_EXP, NULL), SPK_ERR_NULL, "add", "name");
    BUILDER(spk_net_add(w.net, "maple", 4, NULL, NULL), SPK_ERR_NULL, "add", "model");
    BUILDER(spk_net_add(w.net, "maple", 4, spk_model_builtin((spk_model_id)99), NULL), SPK_ERR_NULL,
            "add", "model");
    BUILDER(spk_net_add(w.net, "maple", (size_t)-1, SPK_LIF_EXP, NULL), SPK_ERR_RANGE, "maple",
            "18446744073709551615");
    BUILDER(spk_net_add(w.net, "maple", 0xffffffffu, SPK_LIF_EXP, NULL), SPK_ERR_RANGE, "maple",
            "4294967295");
    BUILDER(ADD("tau_m", spk_constant(NAN)), SPK_ERR_RANGE, "maple", "tau_m");
    BUILDER(ADD("tau_m", spk_constant(-10.0)), SPK_ERR_RANGE, "maple", "tau_m = -10");
    BUILDER(ADD("tau_m", spk_constant(0.0)), SPK_ERR_RANGE, "maple", "tau_m = 0");
    BUILDER(ADD("tau_syn", spk_constant(-2.0)), SPK_ERR_RANGE, "maple", "tau_syn = -2");
    BUILDER(ADD("tau_m", spk_constant(INFINITY)), SPK_ERR_RANGE, "maple", "tau_m");
    BUILDER(ADD("c_m", spk_constant(0.0)), SPK_ERR_RANGE, "maple", "c_m = 0");
    BUILDER(ADD("t_ref", spk_constant(-1.0)), SPK_ERR_RANGE, "maple", "t_ref = -1");
    BUILDER(ADD("t_ref", spk_constant(1e12)), SPK_ERR_RANGE, "maple", "t_ref = 1e+12");
    BUILDER(ADD("v", spk_constant(NAN)), SPK_ERR_RANGE, "maple", "v");
    BUILDER(ADD("v", spk_constant(-1e39)), SPK_ERR_RANGE, "v = -1e+39", "32-bit");
    BUILDER(ADD("i_dc", spk_constant(1e300)), SPK_ERR_RANGE, "i_dc = 1e+300", "32-bit");
    BUILDER(ADD("e_l", spk_array(few, 3)), SPK_ERR_RANGE, "maple", "array of 3 where 4");
    BUILDER(ADD("e_l", spk_array(bad, 4)), SPK_ERR_RANGE, "e_l", "entry 2");
    BUILDER(ADD("e_l", spk_array(NULL, 4)), SPK_ERR_NULL, "e_l", "NULL");
    BUILDER(ADD("e_l", spk_function(NULL, NULL)), SPK_ERR_NULL, "e_l", "NULL");
    BUILDER(ADD("e_l", spk_function(nan_function, NULL)), SPK_ERR_RANGE, "e_l", "neuron 3");
    BUILDER(ADD("e_l", spk_normal(0.0, -1.0)), SPK_ERR_RANGE, "e_l", "negative standard deviation");
    BUILDER(ADD("e_l", spk_uniform(1.0, 0.0)), SPK_ERR_RANGE, "e_l", "between 1 and 0");
    BUILDER(ADD("e_l", spk_normal_clipped(0, 1, 5, 4)), SPK_ERR_RANGE, "e_l", "[5, 4]");
    BUILDER(ADD("tau_m", spk_uniform(-1.0, 1.0)), SPK_ERR_RANGE, "tau_m", "must be positive");
    BUILDER(ADD("tau_n", spk_constant(1.0)), SPK_ERR_NAME, "tau_n", " c_m tau_m tau_syn ");
    BUILDER(ADD("", spk_constant(1.0)), SPK_ERR_NAME, "maple", "states v");
    spk_value garbage;
    memset(&garbage, 0xa5, sizeof garbage);
    BUILDER(ADD("e_l", garbage), SPK_ERR_RANGE, "e_l", "unknown kind");
}

TEST(a_bad_view_is_an_error_that_names_it)
{
    const spk_pop none = {0, 0};
#define STALE (spk_pop){w.a.net, 12345}
    BUILDER(spk_net_slice(w.net, w.a, 61, 0), SPK_ERR_RANGE, "aster", "60");
    BUILDER(spk_net_slice(w.net, w.a, 10, 51), SPK_ERR_RANGE, "aster", "10");
    BUILDER(spk_net_slice(w.net, w.a, 1, (size_t)-1), SPK_ERR_RANGE, "aster", "60");
    BUILDER(spk_net_slice(w.net, w.a, (size_t)-1, 2), SPK_ERR_RANGE, "aster", "60");
    BUILDER(spk_net_slice(w.net, w.foreign, 0, 1), SPK_ERR_HANDLE, "slice", "another network");
    BUILDER(spk_net_slice(w.net, none, 0, 1), SPK_ERR_HANDLE, "slice", "no population");
    BUILDER(spk_net_slice(w.net, STALE, 0, 1), SPK_ERR_HANDLE, "slice", "no population");
    BUILDER(spk_net_union(w.net, w.a, w.foreign), SPK_ERR_HANDLE, "union", "another network");
    BUILDER(spk_net_union(w.net, w.foreign, w.a), SPK_ERR_HANDLE, "union", "another network");
    BUILDER(spk_net_union(w.net, w.a, STALE), SPK_ERR_HANDLE, "union", "no population");
    BUILDER(spk_net_record_spikes(w.net, w.foreign), SPK_ERR_HANDLE, "record", "another network");
    BUILDER(spk_net_connect(w.net, w.foreign, w.a, NULL), SPK_ERR_HANDLE, "connect", "another");
    BUILDER(spk_net_connect(w.net, w.a, w.foreign, NULL), SPK_ERR_HANDLE, "connect", "another");
    BUILDER(spk_net_connect(w.net, w.a, none, NULL), SPK_ERR_HANDLE, "connect", "no population");
}

TEST(a_bad_projection_is_an_error_that_names_it)
{
    const uint32_t s[3] = {0, 1, 60}, t[3] = {0, 1, 2};
    const uint64_t rows[3] = {0, 2, 1};
    const double nan3[3] = {1, NAN, 1};
#define AB(...) spk_net_connect(w.net, w.a, w.b, CONN(__VA_ARGS__))
#define AA(...) spk_net_connect(w.net, w.a, w.a, CONN(__VA_ARGS__))
    BUILDER(AB(.rule = SPK_ONE_TO_ONE), SPK_ERR_RANGE, "\"aster\" -> \"beech\"", "40");
    BUILDER(AA(.delay_ms = spk_constant(0.04)), SPK_ERR_RANGE, "aster", "delay");
    BUILDER(AA(.delay_ms = spk_constant(-1.0)), SPK_ERR_RANGE, "aster", "delay");
    BUILDER(AA(.delay_ms = spk_constant(NAN)), SPK_ERR_RANGE, "aster", "delay");
    BUILDER(AA(.delay_ms = spk_constant(102.5)), SPK_ERR_RANGE, "aster", "102.5");
    BUILDER(AA(.delay_ms = spk_constant(1e300)), SPK_ERR_RANGE, "aster", "delay");
    BUILDER(AA(.weight = spk_constant(NAN)), SPK_ERR_RANGE, "aster", "weight");
    BUILDER(AA(.weight = spk_array(nan3, 3)), SPK_ERR_RANGE, "aster", "weight");
    BUILDER(AA(.rule = (spk_rule)42), SPK_ERR_RANGE, "aster", "42");
    BUILDER(AA(.rule = (spk_rule)-1), SPK_ERR_RANGE, "aster", "-1");
    BUILDER(AA(.rule = SPK_BERNOULLI, .p = 1.5), SPK_ERR_RANGE, "aster", "1.5");
    BUILDER(AA(.rule = SPK_BERNOULLI, .p = NAN), SPK_ERR_RANGE, "aster", "p");
    BUILDER(AA(.rule = SPK_BERNOULLI, .p = -0.1), SPK_ERR_RANGE, "aster", "-0.1");
    BUILDER(AA(.rule = SPK_FIXED_INDEGREE, .k = (size_t)-1), SPK_ERR_RANGE, "aster",
            "18446744073709551615");
    BUILDER(AA(.rule = SPK_FIXED_OUTDEGREE, .k = (size_t)-1), SPK_ERR_RANGE, "aster",
            "18446744073709551615");
    BUILDER(AA(.rule = SPK_FIXED_INDEGREE, .k = 61, .no_multapses = true), SPK_ERR_RANGE, "aster",
            "61");
    BUILDER(AA(.rule = SPK_FIXED_OUTDEGREE, .k = 60, .no_multapses = true, .no_autapses = true),
            SPK_ERR_RANGE, "aster", "60");
    BUILDER(AA(.rule = SPK_FIXED_TOTAL, .total = UINT64_MAX), SPK_ERR_RANGE, "aster",
            "18446744073709551615");
    BUILDER(AA(.rule = SPK_FIXED_TOTAL, .total = 3601, .no_multapses = true), SPK_ERR_RANGE,
            "aster", "3601");
    BUILDER(AA(.rule = SPK_COO, .total = 3, .sources = s, .targets = t), SPK_ERR_RANGE, "aster",
            "60");
    BUILDER(AA(.rule = SPK_COO, .total = 2, .sources = s), SPK_ERR_NULL, "aster", "targets");
    BUILDER(AA(.rule = SPK_COO, .total = 3, .targets = t), SPK_ERR_NULL, "aster", "sources");
    BUILDER(AA(.rule = SPK_CSR, .targets = t), SPK_ERR_NULL, "aster", "row_offsets");
    BUILDER(spk_net_connect(w.net, spk_net_slice(w.net, w.a, 0, 2), w.a,
                            CONN(.rule = SPK_CSR, .targets = t, .row_offsets = rows)),
            SPK_ERR_RANGE, "aster", "row_offsets");
    BUILDER(AA(.rule = SPK_CALLBACK), SPK_ERR_NULL, "aster", "row");
    BUILDER(AA(.receptor = "ex"), SPK_ERR_NAME, "aster", "\"input\"");
    BUILDER(spk_net_connect(w.net, w.b, w.b, CONN(.receptor = "input")), SPK_ERR_NAME, "beech",
            "it has \"ex\", \"in\"");
    BUILDER(spk_net_connect(w.net, w.a, w.src, CONN(.rule = SPK_ALL_TO_ALL)), SPK_ERR_NAME, "cedar",
            "no synaptic input");
    BUILDER(
        spk_net_connect(w.net, w.a, spk_net_union(w.net, w.a, w.b), CONN(.rule = SPK_ALL_TO_ALL)),
        SPK_ERR_UNSUPPORTED, "beech", "connect them apart");
}

TEST(a_bad_drive_or_recorder_or_spike_list_is_an_error_that_names_it)
{
    const uint32_t n[2] = {0, 10};
    const double ms[2] = {1.0, 2.0}, early[2] = {1.0, 0.0}, never[2] = {1.0, NAN};
#define POISSON(p, ...) spk_net_drive_poisson(w.net, p, &(spk_poisson_desc){__VA_ARGS__})
#define CURRENT(p, ...) spk_net_drive_current(w.net, p, &(spk_current_desc){__VA_ARGS__})
#define RECORD(p, ...) spk_net_record(w.net, p, &(spk_rec_desc){__VA_ARGS__})
    BUILDER(spk_net_drive_poisson(w.net, w.a, NULL), SPK_ERR_NULL, "drive", "NULL");
    BUILDER(POISSON(w.a, .weight = spk_constant(1)), SPK_ERR_RANGE, "aster", "rate_hz");
    BUILDER(POISSON(w.a, .rate_hz = spk_constant(-1)), SPK_ERR_RANGE, "aster", "rate_hz -1");
    BUILDER(POISSON(w.a, .rate_hz = spk_constant(NAN)), SPK_ERR_RANGE, "aster", "rate_hz");
    BUILDER(POISSON(w.a, .rate_hz = spk_constant(1e9)), SPK_ERR_RANGE, "aster", "1e+09");
    BUILDER(POISSON(w.a, .rate_hz = spk_constant(1), .weight = spk_constant(INFINITY)),
            SPK_ERR_RANGE, "aster", "weight");
    BUILDER(POISSON(w.a, .rate_hz = spk_constant(1), .receptor = "x"), SPK_ERR_NAME, "aster",
            "\"input\"");
    BUILDER(POISSON(w.a, .rate_hz = spk_constant(1), .start_ms = NAN), SPK_ERR_RANGE, "window",
            "nan");
    BUILDER(POISSON(w.a, .rate_hz = spk_constant(1), .start_ms = 5, .stop_ms = 4), SPK_ERR_RANGE,
            "window", "5 to 4");
    BUILDER(POISSON(w.foreign, .rate_hz = spk_constant(1)), SPK_ERR_HANDLE, "drive", "another");
    BUILDER(POISSON(w.src, .rate_hz = spk_constant(1)), SPK_ERR_NAME, "cedar", "no synaptic");
    BUILDER(spk_net_drive_current(w.net, w.a, NULL), SPK_ERR_NULL, "drive", "NULL");
    BUILDER(CURRENT(w.a, .amplitude = spk_constant(NAN)), SPK_ERR_RANGE, "aster", "amplitude");
    BUILDER(CURRENT(w.a, .noise_sd = -1.0), SPK_ERR_RANGE, "noise", "-1");
    BUILDER(CURRENT(w.a, .noise_sd = 1.0, .noise_dt_ms = 0.01), SPK_ERR_RANGE, "noise", "0.01");
    BUILDER(CURRENT(w.a, .stop_ms = -1.0), SPK_ERR_RANGE, "window", "-1");
    BUILDER(CURRENT(w.src, .amplitude = spk_constant(1)), SPK_ERR_UNSUPPORTED, "cedar",
            "takes no current");
    BUILDER(CURRENT(spk_net_union(w.net, w.a, w.src), .noise_sd = 1.0), SPK_ERR_UNSUPPORTED,
            "cedar", "takes no current");
    BUILDER(RECORD(w.a, .kind = SPK_REC_STATE), SPK_ERR_NULL, "record", "state");
    BUILDER(RECORD(w.a, .kind = SPK_REC_STATE, .state = "w"), SPK_ERR_NAME, "aster", "states v");
    BUILDER(RECORD(spk_net_union(w.net, w.a, w.src), .kind = SPK_REC_STATE, .state = "v"),
            SPK_ERR_NAME, "cedar", "\"v\"");
    BUILDER(RECORD(w.a, .kind = (spk_rec_kind)9), SPK_ERR_RANGE, "kind 9", "record");
    BUILDER(RECORD(w.a, .sink = (spk_sink)-3), SPK_ERR_RANGE, "sink -3", "record");
    BUILDER(RECORD(w.a, .sink = SPK_SINK_CALLBACK), SPK_ERR_NULL, "record", "callback");
    BUILDER(RECORD(w.a, .sink = SPK_SINK_FILE), SPK_ERR_NULL, "record", "path");
    BUILDER(RECORD(w.a, .sink = SPK_SINK_FILE, .path = "/no/such/directory/x"), SPK_ERR_IO,
            "record", "/no/such/directory/x");
    BUILDER(RECORD(w.a, .interval_ms = NAN), SPK_ERR_RANGE, "interval_ms", "nan");
    BUILDER(RECORD(w.a, .interval_ms = 0.01), SPK_ERR_RANGE, "interval_ms", "0.01");
    BUILDER(RECORD(w.a, .interval_ms = -1.0), SPK_ERR_RANGE, "interval_ms", "-1");
    BUILDER(RECORD(w.a, .capacity = (size_t)-1), SPK_ERR_OUT_OF_MEMORY, "recorder", "");
    BUILDER(RECORD(w.a, .sink = SPK_SINK_RING, .kind = SPK_REC_STATE, .state = "v",
                   .capacity = (size_t)1 << 60),
            SPK_ERR_OUT_OF_MEMORY, "recorder", "");
    BUILDER(RECORD(w.a, .kind = SPK_REC_WEIGHTS), SPK_ERR_HANDLE, "weights", "population");
    BUILDER(RECORD(w.a, .kind = SPK_REC_WEIGHTS, .post = w.foreign), SPK_ERR_HANDLE, "weights", "");
    BUILDER(spk_net_spike_list(w.net, w.src, n, ms, 2), SPK_ERR_RANGE, "cedar", "neuron 10");
    BUILDER(spk_net_spike_list(w.net, w.src, n, early, 2), SPK_ERR_RANGE, "cedar", "neuron 10");
    BUILDER(spk_net_spike_list(w.net, w.a, n, early, 2), SPK_ERR_RANGE, "aster", "0 ms");
    BUILDER(spk_net_spike_list(w.net, w.a, n, never, 2), SPK_ERR_RANGE, "aster", "nan ms");
    BUILDER(spk_net_spike_list(w.net, w.src, NULL, ms, 2), SPK_ERR_NULL, "spike list", "NULL");
    BUILDER(spk_net_spike_list(w.net, w.src, n, NULL, 2), SPK_ERR_NULL, "spike list", "NULL");
    BUILDER(spk_net_spike_list(w.net, w.empty, n, ms, 1), SPK_ERR_RANGE, "spike list", "no neuron");
    BUILDER(spk_net_spike_list(w.net, spk_net_union(w.net, w.a, w.b), n, ms, 1),
            SPK_ERR_UNSUPPORTED, "spike list", "several");
}

static void bad_row(void *ctx, uint32_t source, spk_row *row)
{
    const int which = *(const int *)ctx;
    if (source < 30)
        spk_row_add(row, source, 1.0, 1.0);
    else if (which == 0)
        spk_row_add(row, 60, 1.0, 1.0);
    else if (which == 1)
        spk_row_add(row, 0, NAN, 1.0);
    else if (which == 2)
        spk_row_add(row, 0, 1.0, 0.01);
    else
        spk_row_add(row, 0, 1.0, 1e9);
}

static double bad_delay(void *ctx, uint32_t s, uint32_t t)
{
    (void)ctx;
    return s == 31 && t == 31 ? 0.0 : 1.0;
}

TEST(what_only_building_can_find_is_an_error_of_the_build)
{
    for (uint32_t threads = 1; threads <= 2; threads++) {
        for (int which = 0; which < 6; which++) {
            static const char *const part[] = {"60", "NaN", "0.01", "1e+09", "0", "3"};
            heap h = {0};
            spk_net_desc d = {0};
            spk_conn_desc c = {0};
            d.threads = threads;
            d.allocator.ctx = &h;
            d.allocator.alloc = heap_alloc;
            d.allocator.free = heap_free;
            spk_net *net = spk_net_create(&d);
            spk_pop a = spk_net_add(net, "aster", 60, SPK_LIF_EXP, NULL);
            c.rule = which < 4 ? SPK_CALLBACK : SPK_ALL_TO_ALL;
            c.row = bad_row;
            c.row_ctx = &which;
            if (which == 4) c.delay_ms = spk_function(bad_delay, NULL);
            if (which == 5) c.weight = spk_function(nan_function, NULL);
            CHECK_EQ(spk_net_connect(net, a, a, &c), SPK_OK);
            CHECK_EQ(spk_net_build(net), SPK_ERR_RANGE);
            CHECK_HAS(spk_net_error(net), "aster");
            CHECK_HAS(spk_net_error(net), part[which]);
            CHECK_EQ(spk_net_run(net, 1.0), SPK_ERR_RANGE);
            spk_net_destroy(net);
            heap_check(&h);
        }
    }
    spk_net *net = spk_net_create(NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_STATE);
    CHECK_HAS(spk_net_error(net), "no neurons");
    spk_net_destroy(net);
}

/* -- calls on a network that runs: it must not notice -- */

static void drive_world(world *w)
{
    spk_conn_desc c = {0};
    spk_poisson_desc p = {0};
    c.rule = SPK_BERNOULLI;
    c.p = 0.1;
    c.weight = spk_constant(30.0);
    spk_net_connect(w->net, spk_net_union(w->net, w->a, w->src), w->a, &c);
    c.weight = spk_constant(2.0);
    spk_net_connect(w->net, w->a, w->b, &c);
    p.rate_hz = spk_constant(9000.0);
    p.weight = spk_constant(95.0);
    spk_net_drive_poisson(w->net, w->a, &p);
}

static void check_refused(const world *w, spk_result got, spk_result code, const char *a,
                          const char *b, int line)
{
    char what[640];
    const char *said = spk_net_error(w->net);
    if (got == code && strstr(said, a) && strstr(said, b) && spk_net_status(w->net) == SPK_OK)
        return;
    snprintf(what, sizeof what, "%s \"%s\" (expected %s, \"%s\" and \"%s\")", spk_result_name(got),
             said, spk_result_name(code), a, b);
    check_fail(__FILE__, line, what);
}
#define HOST(call, code, a, b) check_refused(&w, (call), (code), a, b, __LINE__)
#define NEITHER(call, a, b)                                                                        \
    check_refused(&w, (call).index ? SPK_OK : SPK_ERR_RANGE, SPK_ERR_RANGE, a, b, __LINE__)

static void pester(world w)
{
    double x[200] = {0}, bad[60] = {0}, negative[60] = {0};
    uint32_t n[3] = {0, 1, 60};
    spk_synapse syn[4];
    size_t count = 0;
    const spk_pop none = {0, 0}, stale = {w.a.net, 999}, all = spk_net_union(w.net, w.a, w.b);
    spk_conn_desc c = {0};
    spk_poisson_desc p = {0};
    spk_current_desc i = {0};
    spk_rec_desc r = {0};
    bad[7] = NAN;
    for (int k = 0; k < 60; k++) negative[k] = k == 50 ? -1.0 : 5.0;
    NEITHER(spk_net_add(w.net, "late", 5, SPK_LIF_EXP, NULL), "add", "already built");
    HOST(spk_net_connect(w.net, w.a, w.a, &c), SPK_ERR_STATE, "connect", "already built");
    HOST(spk_net_drive_poisson(w.net, w.a, &p), SPK_ERR_STATE, "drive", "already built");
    HOST(spk_net_drive_current(w.net, w.a, &i), SPK_ERR_STATE, "drive", "already built");
    NEITHER(spk_net_slice(w.net, w.a, 0, 61), "aster", "60");
    NEITHER(spk_net_union(w.net, w.a, w.foreign), "union", "another");
    HOST(spk_net_run(w.net, NAN), SPK_ERR_RANGE, "run", "nan");
    HOST(spk_net_run(w.net, -1.0), SPK_ERR_RANGE, "run", "-1");
    HOST(spk_net_run(w.net, INFINITY), SPK_ERR_RANGE, "run", "inf");
    HOST(spk_net_run_steps(w.net, UINT64_MAX), SPK_ERR_RANGE, "run", "18446744073709551615");
    HOST(spk_net_get(w.net, w.a, "v", NULL, 60), SPK_ERR_NULL, "get", "NULL");
    HOST(spk_net_get(w.net, w.a, NULL, x, 60), SPK_ERR_NULL, "", "");
    HOST(spk_net_get(w.net, w.a, "v", x, 59), SPK_ERR_RANGE, "59 values", "aster");
    HOST(spk_net_get(w.net, w.a, "g_ex", x, 60), SPK_ERR_NAME, "aster", "tau_syn");
    HOST(spk_net_get(w.net, all, "g_ex", x, 100), SPK_ERR_NAME, "aster", "g_ex");
    HOST(spk_net_get(w.net, w.foreign, "v", x, 50), SPK_ERR_HANDLE, "get", "another network");
    HOST(spk_net_get(w.net, none, "v", x, 50), SPK_ERR_HANDLE, "get", "no population");
    HOST(spk_net_get(w.net, stale, "v", x, 50), SPK_ERR_HANDLE, "get", "no population");
    HOST(spk_net_set(w.net, w.a, "v", bad, 60), SPK_ERR_RANGE, "aster", "neuron 7");
    HOST(spk_net_set(w.net, w.a, "tau_m", bad, 60), SPK_ERR_RANGE, "aster", "neuron 0");
    HOST(spk_net_set(w.net, w.a, "tau_m", negative, 60), SPK_ERR_RANGE, "tau_m = -1", "neuron 50");
    HOST(spk_net_set(w.net, w.a, "tau", x, 60), SPK_ERR_NAME, "\"tau\"", "tau_m");
    HOST(spk_net_set(w.net, w.a, "v", x, (size_t)-1), SPK_ERR_RANGE, "set", "aster");
    HOST(spk_net_set(w.net, w.a, "v", NULL, 60), SPK_ERR_NULL, "set", "NULL");
    HOST(spk_net_inject_spikes(w.net, w.a, n, 3), SPK_ERR_RANGE, "neuron 60", "aster");
    HOST(spk_net_inject_spikes(w.net, w.a, NULL, 3), SPK_ERR_NULL, "inject spikes", "NULL");
    HOST(spk_net_inject_spikes(w.net, w.empty, NULL, 3), SPK_ERR_NULL, "inject spikes", "NULL");
    HOST(spk_net_inject_spikes(w.net, w.empty, n, 3), SPK_ERR_RANGE, "inject spikes", "neuron 0");
    HOST(spk_net_inject_spikes(w.net, w.foreign, n, 1), SPK_ERR_HANDLE, "inject", "another");
    HOST(spk_net_inject_input(w.net, w.a, NULL, bad, 60), SPK_ERR_RANGE, "nan", "neuron 7");
    HOST(spk_net_inject_input(w.net, w.a, "ex", x, 60), SPK_ERR_NAME, "aster", "\"input\"");
    HOST(spk_net_inject_input(w.net, w.src, NULL, x, 10), SPK_ERR_NAME, "cedar", "no synaptic");
    HOST(spk_net_inject_input(w.net, w.a, NULL, NULL, 60), SPK_ERR_NULL, "inject input", "NULL");
    HOST(spk_net_inject_current(w.net, w.a, bad, 60), SPK_ERR_RANGE, "nan", "neuron 7");
    HOST(spk_net_inject_current(w.net, w.a, NULL, 60), SPK_ERR_NULL, "inject current", "NULL");
    HOST(spk_net_inject_current(w.net, w.src, x, 10), SPK_ERR_UNSUPPORTED, "cedar", "no current");
    HOST(spk_net_inject_current(w.net, w.a, x, 3), SPK_ERR_RANGE, "3 values", "aster");
    HOST(spk_net_spike_list(w.net, w.src, n, x, 1), SPK_ERR_RANGE, "cedar", "0 ms");
    HOST(spk_net_spike_list(w.net, w.src, n, x, 3), SPK_ERR_RANGE, "cedar", "0 ms");
    HOST(spk_net_synapses(w.net, w.a, w.foreign, syn, 4, &count), SPK_ERR_HANDLE, "synapses", "");
    HOST(spk_net_set_weights(w.net, w.a, w.b, x, 3), SPK_ERR_RANGE, "3 weights", "synapses");
    HOST(spk_net_set_weights(w.net, w.a, w.b, NULL, 3), SPK_ERR_NULL, "weights", "NULL");
    HOST(spk_net_set_weights(w.net, w.foreign, w.b, x, 3), SPK_ERR_HANDLE, "", "another");
    r.capacity = (size_t)-1;
    HOST(spk_net_record(w.net, w.a, &r) ? SPK_OK : SPK_ERR_RANGE, SPK_ERR_RANGE, "recorder", "");
    r.capacity = 0;
    r.kind = SPK_REC_STATE;
    HOST(spk_net_record(w.net, w.a, &r) ? SPK_OK : SPK_ERR_RANGE, SPK_ERR_RANGE, "state", "");
    HOST(spk_net_record_spikes(w.net, stale) ? SPK_OK : SPK_ERR_RANGE, SPK_ERR_RANGE, "record", "");
    /* a set that would be refused for the second population leaves the first alone */
    for (int k = 0; k < 100; k++) x[k] = k < 60 ? 33.0 : 0.0;
    HOST(spk_net_set(w.net, all, "c_m", x, 100), SPK_ERR_RANGE, "beech", "c_m = 0");
    for (int k = 0; k < 100; k++) x[k] = k < 60 ? 1.0 : 1e-320; /* 1 / c_m is infinite */
    HOST(spk_net_set(w.net, all, "c_m", x, 100), SPK_ERR_RANGE, "beech", "not finite");
}

TEST(a_bad_call_changes_nothing_in_a_network_that_runs)
{
    heap h = {0}, g = {0};
    world w = make(&h), quiet = make(&g);
    drive_world(&w);
    drive_world(&quiet);
    spk_rec a = spk_net_record_spikes(w.net, w.a), b = spk_net_record_spikes(quiet.net, quiet.a);
    double before[100], after[100];
    CHECK_EQ(spk_net_build(w.net), SPK_OK);
    for (int k = 0; k < 3; k++) {
        spk_pop all = spk_net_union(w.net, w.a, w.b);
        CHECK_EQ(spk_net_get(w.net, all, "c_m", before, 100), SPK_OK);
        pester(w);
        CHECK_EQ(spk_net_get(w.net, all, "c_m", after, 100), SPK_OK);
        CHECK(!memcmp(before, after, sizeof before));
        CHECK_EQ(spk_net_run(w.net, 20.0), SPK_OK);
        CHECK_EQ(spk_net_run(quiet.net, 20.0), SPK_OK);
        CHECK_EQ(spk_net_state_digest(w.net), spk_net_state_digest(quiet.net));
    }
    CHECK(spk_rec_count(a) > 20);
    CHECK_EQ(spk_rec_digest(a), spk_rec_digest(b));
    done(&w);
    done(&quiet);
}

TEST(a_bad_call_that_describes_nothing_does_not_spoil_an_unbuilt_network)
{
    heap h = {0};
    world w = make(&h);
    spk_synapse syn[2];
    double x[2] = {0};
    size_t n;
    HOST(spk_net_run(w.net, NAN), SPK_ERR_RANGE, "run", "nan");
    HOST(spk_net_run(w.net, -1.0), SPK_ERR_RANGE, "run", "-1");
    HOST(spk_net_synapses(w.net, w.a, w.a, syn, 2, &n), SPK_ERR_STATE, "synapses", "not built");
    HOST(spk_net_set_weights(w.net, w.a, w.a, x, 2), SPK_ERR_STATE, "synapses", "not built");
    CHECK_EQ(spk_net_run(w.net, 5.0), SPK_OK);
    done(&w);
}

TEST(null_is_refused_everywhere)
{
    const spk_pop p = {1, 1};
    double x[1] = {0};
    uint32_t n[1] = {0};
    uint32_t words[4] = {0};
    spk_net_info info;
    size_t count = 7;
    heap h = {0};
    world w = make(&h);
    spk_net_destroy(NULL);
    CHECK_HAS(spk_net_error(NULL), "NULL");
    CHECK_EQ(spk_net_status(NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_net_desc_defaults(NULL), SPK_ERR_NULL);
    CHECK(spk_net_add(NULL, "x", 1, SPK_LIF_EXP, NULL).index == 0);
    CHECK(spk_net_slice(NULL, p, 0, 1).index == 0);
    CHECK(spk_net_union(NULL, p, p).index == 0);
    CHECK_EQ(spk_net_pop_size(NULL, p), 0);
    CHECK_EQ(spk_net_pop_id(NULL, p, 0), UINT32_MAX);
    CHECK_EQ(spk_net_connect(NULL, p, p, NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_net_drive_poisson(NULL, p, NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_net_drive_current(NULL, p, NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_net_spike_list(NULL, p, n, x, 1), SPK_ERR_NULL);
    CHECK(spk_net_record(NULL, p, NULL) == NULL);
    CHECK(spk_net_record_spikes(NULL, p) == NULL);
    CHECK_EQ(spk_net_build(NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_net_run(NULL, 1.0), SPK_ERR_NULL);
    CHECK_EQ(spk_net_run_steps(NULL, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_net_step(NULL), 0);
    CHECK_NEAR(spk_net_time_ms(NULL), 0.0, 0.0);
    CHECK_EQ(spk_net_get(NULL, p, "v", x, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_net_set(NULL, p, "v", x, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_net_inject_spikes(NULL, p, n, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_net_inject_input(NULL, p, NULL, x, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_net_inject_current(NULL, p, x, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_net_synapses(NULL, p, p, NULL, 0, &count), SPK_ERR_NULL);
    CHECK_EQ(spk_net_synapses(w.net, w.a, w.a, NULL, 0, NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_net_set_weights(NULL, p, p, x, 1), SPK_ERR_NULL);
    CHECK_EQ(spk_net_state_digest(NULL), 0);
    CHECK_EQ(spk_net_get_info(NULL, &info), SPK_ERR_NULL);
    CHECK_EQ(spk_net_get_info(w.net, NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_net_profile(NULL, true), SPK_ERR_NULL);
    CHECK_EQ(spk_net_describe(NULL, NULL, 0), 0);
    CHECK(spk_net_describe(w.net, NULL, 0) > 10);
    CHECK(spk_rec_spikes(NULL, NULL) == NULL && spk_rec_spikes(NULL, &count) == NULL);
    CHECK_EQ(count, 0);
    CHECK(spk_rec_samples(NULL, NULL, NULL) == NULL);
    CHECK_EQ(spk_rec_sample_step(NULL, 0), 0);
    spk_rec_clear(NULL);
    CHECK_EQ(spk_rec_read(NULL, x, 1), 0);
    CHECK_EQ(spk_rec_count(NULL), 0);
    CHECK_EQ(spk_rec_digest(NULL), 0);
    CHECK_NEAR(spk_rec_rate_hz(NULL) + spk_rec_dt_ms(NULL), 0.0, 0.0);
    CHECK_EQ(spk_rec_first_id(NULL) + spk_rec_end_id(NULL) + spk_rec_width(NULL), 0);
    CHECK_STR(spk_model_name(NULL), "");
    CHECK_EQ(spk_model_describe(NULL, NULL, 0), 0);
    CHECK(spk_model_builtin((spk_model_id)-1) == NULL);
    CHECK_EQ(spk_isa_from_name(NULL), SPK_ISA_AUTO);
    spk_row_add(NULL, 0, 1.0, 1.0);
    spk_philox4x32(words, words, words);
    CHECK_EQ(spk_net_status(w.net), SPK_OK);
    done(&w);
}

/* -- nothing at all is not an error -- */

TEST(populations_and_views_of_no_neurons_are_harmless)
{
    heap h = {0};
    world w = make(&h);
    spk_conn_desc c = {0};
    spk_poisson_desc p = {0};
    spk_current_desc i = {0};
    double none[1] = {0};
    uint32_t n[1] = {0};
    size_t count = 5;
    spk_pop zero = spk_net_add(w.net, "zero", 0, SPK_LIF_EXP, SETS("tau_m", spk_array(none, 0)));
    spk_pop last = spk_net_add(w.net, "last", 3, SPK_LIF_EXP, NULL);
    spk_pop both = spk_net_union(w.net, zero, w.empty);
    CHECK_EQ(spk_net_pop_size(w.net, both), 0);
    CHECK_EQ(spk_net_pop_id(w.net, last, 0), 110);
    CHECK_EQ(spk_net_pop_id(w.net, zero, 0), UINT32_MAX);
    for (int rule = SPK_ONE_TO_ONE; rule <= SPK_COO; rule++) {
        c.rule = (spk_rule)rule;
        c.p = 0.5;
        CHECK_EQ(spk_net_connect(w.net, zero, both, &c), SPK_OK);
        if (rule == SPK_ONE_TO_ONE) continue;
        CHECK_EQ(spk_net_connect(w.net, w.a, zero, &c), SPK_OK);
        CHECK_EQ(spk_net_connect(w.net, both, last, &c), SPK_OK);
    }
    p.rate_hz = spk_uniform(1.0, 2.0);
    p.weight = spk_array(none, 0);
    i.amplitude = spk_constant(1.0);
    i.noise_sd = 1.0;
    CHECK_EQ(spk_net_drive_poisson(w.net, both, &p), SPK_OK);
    CHECK_EQ(spk_net_drive_current(w.net, zero, &i), SPK_OK);
    CHECK_EQ(spk_net_spike_list(w.net, zero, NULL, NULL, 0), SPK_OK);
    spk_rec rec = spk_net_record_spikes(w.net, zero);
    CHECK_EQ(spk_net_run(w.net, 5.0), SPK_OK);
    CHECK_STR(spk_net_error(w.net), "");
    CHECK_EQ(spk_rec_count(rec), 0);
    CHECK_EQ(spk_net_get(w.net, both, "v", NULL, 0), SPK_OK);
    CHECK_EQ(spk_net_get(w.net, both, "no such thing", NULL, 0), SPK_OK);
    CHECK_EQ(spk_net_set(w.net, zero, "tau_m", none, 0), SPK_OK);
    CHECK_EQ(spk_net_inject_spikes(w.net, zero, n, 0), SPK_OK);
    CHECK_EQ(spk_net_inject_spikes(w.net, w.a, NULL, 0), SPK_OK);
    CHECK_EQ(spk_net_inject_input(w.net, zero, NULL, none, 0), SPK_OK);
    CHECK_EQ(spk_net_inject_current(w.net, zero, NULL, 0), SPK_OK);
    CHECK_EQ(spk_net_synapses(w.net, zero, w.a, NULL, 0, &count), SPK_OK);
    CHECK_EQ(count, 0);
    CHECK_EQ(spk_net_set_weights(w.net, zero, w.a, NULL, 0), SPK_OK);
    CHECK_EQ(spk_net_run(w.net, 5.0), SPK_OK);
    done(&w);
}

TEST(a_union_holds_each_neuron_once_in_order)
{
    heap h = {0};
    world w = make(&h);
    spk_pop x = spk_net_slice(w.net, w.a, 10, 20), y = spk_net_slice(w.net, w.a, 25, 30);
    spk_pop z = spk_net_slice(w.net, w.b, 0, 5);
    spk_pop u = spk_net_union(w.net, spk_net_union(w.net, z, y), spk_net_union(w.net, x, y));
    CHECK_EQ(spk_net_pop_size(w.net, u), 50);
    for (uint32_t k = 0; k < 50; k++)
        CHECK_EQ(spk_net_pop_id(w.net, u, k), k < 45 ? 10 + k : 15 + k);
    spk_pop s = spk_net_slice(w.net, u, 40, 10); /* across the gap */
    for (uint32_t k = 0; k < 10; k++)
        CHECK_EQ(spk_net_pop_id(w.net, s, k), k < 5 ? 50 + k : 55 + k);
    CHECK_EQ(spk_net_pop_id(w.net, s, 10), UINT32_MAX);
    CHECK_EQ(spk_net_status(w.net), SPK_OK);
    done(&w);
}

/* -- a callback that meddles -- */

typedef struct meddler {
    world w;
    int calls;
} meddler;

static bool meddle(void *ctx, uint64_t step, const void *items, size_t count)
{
    meddler *m = (meddler *)ctx;
    world w = m->w;
    double x[60] = {0};
    uint32_t n[1] = {0};
    size_t found;
    (void)items;
    (void)count;
    (void)step;
    if (m->calls++ > 20) return true;
    HOST(spk_net_run(w.net, 1.0), SPK_ERR_STATE, "run", "running");
    HOST(spk_net_run_steps(w.net, 1), SPK_ERR_STATE, "run", "running");
    HOST(spk_net_get(w.net, w.a, "v", x, 60), SPK_ERR_STATE, "get", "running");
    HOST(spk_net_set(w.net, w.a, "v", x, 60), SPK_ERR_STATE, "set", "running");
    HOST(spk_net_inject_spikes(w.net, w.a, n, 1), SPK_ERR_STATE, "inject", "running");
    HOST(spk_net_inject_input(w.net, w.a, NULL, x, 60), SPK_ERR_STATE, "inject", "running");
    HOST(spk_net_inject_current(w.net, w.a, x, 60), SPK_ERR_STATE, "inject", "running");
    HOST(spk_net_spike_list(w.net, w.src, n, x, 1), SPK_ERR_STATE, "spike list", "running");
    HOST(spk_net_synapses(w.net, w.a, w.a, NULL, 0, &found), SPK_ERR_STATE, "synapses", "running");
    HOST(spk_net_set_weights(w.net, w.a, w.a, x, 60), SPK_ERR_STATE, "synapses", "running");
    NEITHER(spk_net_slice(w.net, w.a, 0, 1), "slice", "running");
    NEITHER(spk_net_union(w.net, w.a, w.b), "union", "running");
    HOST(spk_net_record_spikes(w.net, w.a) ? SPK_OK : SPK_ERR_RANGE, SPK_ERR_RANGE, "record",
         "running");
    return true;
}

TEST(a_callback_cannot_change_the_network_that_calls_it)
{
    for (uint32_t threads = 1; threads <= 2; threads++) {
        uint64_t digest[2];
        for (int k = 0; k < 2; k++) {
            heap h = {0};
            meddler m;
            spk_rec_desc r = {0};
            m.w = make_on(&h, threads);
            m.calls = 0;
            drive_world(&m.w);
            spk_rec rec = spk_net_record_spikes(m.w.net, m.w.a);
            r.sink = SPK_SINK_CALLBACK;
            r.callback = meddle;
            r.ctx = &m;
            if (k) spk_net_record(m.w.net, m.w.a, &r);
            CHECK_EQ(spk_net_run(m.w.net, 50.0), SPK_OK);
            CHECK_EQ(spk_net_run(m.w.net, 10.0), SPK_OK);
            CHECK(k == 0 || m.calls > 10);
            digest[k] = spk_rec_digest(rec);
            done(&m.w);
        }
        CHECK_EQ(digest[0], digest[1]);
    }
}

/* -- memory that ends -- */

static void ring_row(void *ctx, uint32_t source, spk_row *row)
{
    (void)ctx;
    spk_row_add(row, (source + 1) % 30, 12.0, 0.4);
}

static double some_weight(void *ctx, uint32_t s, uint32_t t)
{
    (void)ctx;
    return 1.0 + (s + t) % 7;
}

static bool accept(void *ctx, uint64_t step, const void *items, size_t count)
{
    (void)step;
    (void)items;
    *(size_t *)ctx += count;
    return true;
}

typedef struct feast {
    spk_net *net;
    spk_pop a, b, src, pois, all;
    spk_rec spikes;
    size_t called;
    char path[512];
} feast;

/* A small network with one of everything. */
static void describe_feast(feast *f, const heap *h, uint32_t threads, size_t limit)
{
    spk_net_desc d = {0};
    spk_conn_desc c = {0};
    spk_poisson_desc p = {0};
    spk_current_desc i = {0};
    spk_rec_desc r = {0};
    uint32_t n[30], s[30], t[30];
    uint64_t rows[31];
    double x[30], ms[30];
    d.threads = threads;
    d.seed = 3;
    d.memory_limit = limit;
    d.allocator.ctx = (void *)h;
    d.allocator.alloc = heap_alloc;
    d.allocator.free = heap_free;
    f->called = 0;
    f->net = spk_net_create(&d);
    for (uint32_t k = 0; k < 30; k++) {
        n[k] = k % 10;
        s[k] = k;
        t[k] = 29 - k;
        rows[k] = k;
        x[k] = -60.0 - k * 0.5;
        ms[k] = 1.0 + k;
    }
    rows[30] = 30;
    const spk_set set[] = {{"v", spk_array(x, 30)},
                           {"tau_m", spk_uniform(8.0, 12.0)},
                           {"i_dc", spk_constant(390.0)},
                           {NULL, spk_constant(0)}};
    f->a = spk_net_add(f->net, "a", 30, SPK_LIF_EXP, set);
    f->b = spk_net_add(f->net, "b", 20, SPK_LIF_COND, NULL);
    f->src = spk_net_add(f->net, "src", 10, SPK_SPIKE_LIST, NULL);
    f->pois = spk_net_add(f->net, "pois", 12, SPK_POISSON, NULL);
    f->all = spk_net_union(f->net, spk_net_union(f->net, f->a, f->pois), f->src);
    spk_net_spike_list(f->net, f->src, n, ms, 30);
    c.weight = spk_normal(20.0, 5.0);
    c.delay_ms = spk_lognormal(0.2, 0.3);
    for (int rule = SPK_ALL_TO_ALL; rule <= SPK_FIXED_TOTAL; rule++) {
        c.rule = (spk_rule)rule;
        c.p = 0.2;
        c.k = 5;
        c.total = 70;
        c.no_autapses = c.no_multapses = false;
        spk_net_connect(f->net, f->all, f->a, &c);
        c.no_autapses = true;
        c.no_multapses = true;
        spk_net_connect(f->net, f->a, f->a, &c);
    }
    memset(&c, 0, sizeof c);
    c.rule = SPK_COO;
    c.total = 30;
    c.sources = s;
    c.targets = t;
    c.weight = spk_array(ms, 30);
    c.delay_ms = spk_array(ms, 30);
    spk_net_connect(f->net, f->a, f->a, &c);
    c.rule = SPK_CSR;
    c.row_offsets = rows;
    c.weight = spk_function(some_weight, NULL);
    c.delay_ms = spk_uniform(0.3, 0.9);
    spk_net_connect(f->net, f->a, f->a, &c);
    memset(&c, 0, sizeof c);
    c.rule = SPK_CALLBACK;
    c.row = ring_row;
    spk_net_connect(f->net, f->a, f->a, &c);
    memset(&c, 0, sizeof c);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 3;
    c.receptor = "ex";
    spk_net_connect(f->net, f->a, f->b, &c);
    p.rate_hz = spk_uniform(500.0, 900.0);
    p.weight = spk_uniform(10.0, 30.0);
    spk_net_drive_poisson(f->net, f->a, &p);
    p.receptor = "in";
    spk_net_drive_poisson(f->net, f->b, &p);
    i.amplitude = spk_array(ms, 30);
    i.noise_sd = 20.0;
    spk_net_drive_current(f->net, f->a, &i);
    f->spikes = spk_net_record_spikes(f->net, f->all);
    r.kind = SPK_REC_STATE;
    r.state = "v";
    spk_net_record(f->net, f->a, &r);
    r.sink = SPK_SINK_RING;
    r.capacity = 900;
    spk_net_record(f->net, f->b, &r);
    r.kind = SPK_REC_RATE;
    r.sink = SPK_SINK_CALLBACK;
    r.callback = accept;
    r.ctx = &f->called;
    spk_net_record(f->net, f->a, &r);
    r.kind = SPK_REC_WEIGHTS;
    r.post = f->b;
    r.interval_ms = 5.0;
    spk_net_record(f->net, f->a, &r);
    r.kind = SPK_REC_SPIKES;
    r.sink = SPK_SINK_FILE;
    r.path = check_tmp("errors.spikes", f->path, sizeof f->path);
    spk_net_record(f->net, f->a, &r);
}

/* A call that may run out of memory once, and then must succeed. */
#define RETRY(call)                                                                                \
    do {                                                                                           \
        spk_result result_ = (call);                                                               \
        if (result_ == SPK_ERR_OUT_OF_MEMORY) {                                                    \
            CHECK(strlen(spk_net_error(f->net)) > 5);                                              \
            result_ = (call);                                                                      \
        }                                                                                          \
        CHECK_EQ(result_, SPK_OK);                                                                 \
    } while (0)

static uint64_t use_feast(feast *f)
{
    double x[42], w[400];
    uint32_t n[3] = {1, 2, 29};
    spk_synapse syn[400];
    size_t count = 0;
    RETRY(spk_net_run_steps(f->net, 150 - spk_net_step(f->net)));
    spk_pop view = spk_net_union(f->net, f->a, f->b);
    if (!view.index) view = spk_net_union(f->net, f->a, f->b);
    CHECK(view.index != 0);
    spk_pop part = spk_net_slice(f->net, view, 3, 9);
    if (!part.index) part = spk_net_slice(f->net, view, 3, 9);
    CHECK_EQ(spk_net_pop_size(f->net, part), 9);
    RETRY(spk_net_get(f->net, f->a, "v", x, 30));
    for (int k = 0; k < 30; k++) x[k] = 9.0 + k * 0.1;
    RETRY(spk_net_set(f->net, f->a, "tau_m", x, 30));
    RETRY(spk_net_inject_spikes(f->net, f->a, n, 3));
    RETRY(spk_net_inject_input(f->net, f->a, NULL, x, 30));
    RETRY(spk_net_inject_current(f->net, f->a, x, 30));
    RETRY(spk_net_synapses(f->net, f->a, f->b, syn, 400, &count));
    CHECK_EQ(count, 60);
    for (size_t k = 0; k < count; k++) w[k] = 0.5 * syn[k].weight;
    RETRY(spk_net_set_weights(f->net, f->a, f->b, w, count));
    for (int k = 0; k < 30; k++) x[k] = 15.5 + k;
    RETRY(spk_net_spike_list(f->net, f->src, (uint32_t[]){1, 2, 3}, x, 3));
    spk_rec late = spk_net_record_spikes(f->net, view);
    if (!late) late = spk_net_record_spikes(f->net, view);
    CHECK(late != NULL);
    for (int k = 0; k < 3 && spk_net_step(f->net) < 400; k++) {
        const spk_result result = spk_net_run_steps(f->net, 400 - spk_net_step(f->net));
        CHECK(result == SPK_OK || result == SPK_ERR_OUT_OF_MEMORY);
    }
    RETRY(spk_net_run_steps(f->net, 400 - spk_net_step(f->net)));
    CHECK(f->called > 100);
    return spk_rec_digest(f->spikes) ^ spk_rec_digest(late) ^ spk_net_state_digest(f->net);
}

/* The n-th allocation fails, or all from the n-th on, for all n. */
TEST(memory_may_end_at_any_allocation)
{
    feast f;
    heap h = {0};
    describe_feast(&f, &h, 2, 0);
    CHECK_EQ(spk_net_build(f.net), SPK_OK);
    const size_t to_build = h.calls;
    const uint64_t digest = use_feast(&f);
    const size_t all = h.calls;
    CHECK(spk_rec_count(f.spikes) > 50);
    spk_net_destroy(f.net);
    heap_check(&h);
    CHECK(to_build > 200 && all > to_build + 10);
    for (int forever = 0; forever < 2; forever++) {
        for (size_t n = 1; n <= all; n++) {
            heap g = {0};
            g.fail_at = n;
            g.and_all_later = forever;
            describe_feast(&f, &g, n % 16 ? 1 : 2, 0);
            if (!f.net) {
                CHECK_EQ(n, 1);
            } else if (spk_net_build(f.net) != SPK_OK) {
                CHECK_EQ(spk_net_build(f.net), SPK_ERR_OUT_OF_MEMORY);
                CHECK_EQ(spk_net_run(f.net, 1.0), SPK_ERR_OUT_OF_MEMORY);
                CHECK_HAS(spk_net_error(f.net), "memory");
            } else if (!forever) {
                CHECK_EQ(use_feast(&f), digest);
            } else { /* the recorders of memory grow, so a run ends sooner or later */
                const spk_result result = spk_net_run_steps(f.net, 10);
                CHECK(result == SPK_OK || result == SPK_ERR_OUT_OF_MEMORY);
            }
            spk_net_destroy(f.net);
            heap_check(&g);
        }
    }
    remove(f.path);
}

TEST(the_memory_limit_is_kept)
{
    feast f;
    heap h = {0};
    describe_feast(&f, &h, 1, 0);
    CHECK_EQ(spk_net_run_steps(f.net, 50), SPK_OK);
    const size_t need = h.largest_live;
    spk_net_info info;
    CHECK_EQ(spk_net_get_info(f.net, &info), SPK_OK);
    CHECK_EQ(info.bytes_peak, h.largest_live);
    CHECK_EQ(info.bytes_now, h.live);
    spk_net_destroy(f.net);
    heap_check(&h);
    for (size_t limit = 1; limit < need + need / 8; limit += 1 + need / 23) {
        heap g = {0};
        describe_feast(&f, &g, 1, limit);
        if (f.net) {
            const spk_result result = spk_net_run_steps(f.net, 50);
            CHECK_EQ(result, limit < need ? SPK_ERR_OUT_OF_MEMORY : SPK_OK);
            if (limit < need) CHECK_HAS(spk_net_error(f.net), "limit");
        }
        CHECK(g.largest_live <= limit);
        spk_net_destroy(f.net);
        heap_check(&g);
    }
    remove(f.path);
}

TEST(stepping_allocates_nothing)
{
    for (uint32_t threads = 1; threads <= 3; threads++) {
        heap h = {0};
        feast f;
        spk_rec_desc r = {0};
        uint32_t n[2] = {0, 1};
        double x[30] = {0};
        world w = make_on(&h, threads);
        drive_world(&w);
        r.capacity = 100000;
        spk_net_record(w.net, w.a, &r);
        r.kind = SPK_REC_STATE;
        r.state = "v";
        r.capacity = 3000;
        spk_net_record(w.net, w.a, &r);
        r.sink = SPK_SINK_FILE;
        r.path = check_tmp("errors.states", f.path, sizeof f.path);
        spk_net_record(w.net, w.a, &r);
        CHECK_EQ(spk_net_build(w.net), SPK_OK);
        const size_t calls = h.calls;
        CHECK_EQ(spk_net_run(w.net, 50.0), SPK_OK);
        for (int k = 0; k < 100; k++) CHECK_EQ(spk_net_run_steps(w.net, 1), SPK_OK);
        CHECK_EQ(h.calls, calls);
        CHECK_EQ(spk_net_inject_spikes(w.net, w.a, n, 2), SPK_OK);
        CHECK_EQ(spk_net_inject_current(w.net, spk_net_slice(w.net, w.a, 0, 30), x, 30), SPK_OK);
        const size_t later = h.calls;
        CHECK_EQ(spk_net_inject_spikes(w.net, w.a, n, 2), SPK_OK);
        CHECK_EQ(spk_net_run(w.net, 5.0), SPK_OK);
        CHECK_EQ(h.calls, later);
        done(&w);
        remove(f.path);
    }
}

/* -- nothing is lost without a word -- */

/* Two projections onto one receptor, weights `small` and `large`. */
static spk_result build_two_weights(spk_value small, spk_value large, uint32_t bits, char *error,
                                    size_t size)
{
    spk_net_desc d = {0};
    spk_conn_desc c = {0};
    d.weight_bits = bits;
    spk_net *net = spk_net_create(&d);
    spk_pop a = spk_net_add(net, "weak", 10, SPK_SPIKE_LIST, NULL);
    spk_pop b = spk_net_add(net, "target", 10, SPK_LIF_EXP, NULL);
    c.weight = small;
    spk_net_connect(net, a, b, &c);
    c.weight = large;
    spk_net_connect(net, b, b, &c);
    const spk_result result = spk_net_build(net);
    snprintf(error, size, "%s", spk_net_error(net));
    spk_net_destroy(net);
    return result;
}

TEST(weights_too_small_for_16_bits_are_refused_and_fit_into_32)
{
    char e[512];
    const spk_value large = spk_constant(-1e5);
    CHECK_EQ(build_two_weights(spk_constant(1.0), large, 16, e, sizeof e), SPK_ERR_RANGE);
    CHECK(strstr(e, "\"weak\" -> \"target\"") && strstr(e, "weight_bits = 32"));
    CHECK_EQ(build_two_weights(spk_normal(1.0, 0.1), large, 16, e, sizeof e), SPK_ERR_RANGE);
    CHECK_EQ(build_two_weights(spk_uniform(0.0, 1.0), large, 16, e, sizeof e), SPK_ERR_RANGE);
    CHECK_EQ(build_two_weights(spk_lognormal(0.0, 0.1), large, 16, e, sizeof e), SPK_ERR_RANGE);
    CHECK_EQ(build_two_weights(spk_constant(1.0), large, 32, e, sizeof e), SPK_OK);
    CHECK_EQ(build_two_weights(spk_constant(100.0), large, 16, e, sizeof e), SPK_OK);
    CHECK_EQ(build_two_weights(spk_constant(0.0), large, 16, e, sizeof e), SPK_OK);
}

TEST(a_named_excitatory_receptor_refuses_negative_weights)
{
    for (int named = 0; named < 2; named++) {
        spk_net *net = spk_net_create(NULL);
        spk_pop a = spk_net_add(net, "a", 10, SPK_LIF_COND, NULL);
        spk_conn_desc c = {0};
        c.weight = spk_constant(-2.0);
        c.receptor = named ? "ex" : "in";
        spk_net_connect(net, a, a, &c);
        CHECK_EQ(spk_net_build(net), named ? SPK_ERR_RANGE : SPK_OK);
        CHECK(!named || strstr(spk_net_error(net), "receptor \"ex\""));
        spk_net_destroy(net);
    }
}

TEST(the_65537th_population_is_refused)
{
    spk_net *net = spk_net_create(NULL);
    for (int k = 0; k < 65536; k++) spk_net_add(net, "p", 1, SPK_PARROT, NULL);
    CHECK_EQ(spk_net_status(net), SPK_OK);
    spk_net_add(net, "one too many", 1, SPK_PARROT, NULL);
    CHECK_EQ(spk_net_status(net), SPK_ERR_RANGE);
    CHECK(strstr(spk_net_error(net), "one too many") != NULL);
    spk_net_destroy(net);
}

TEST(durations_that_are_no_whole_steps_add_up)
{
    spk_net *net = spk_net_create(NULL);
    spk_net_add(net, "p", 1, SPK_PARROT, NULL);
    for (int k = 0; k < 1000; k++) CHECK_EQ(spk_net_run(net, 0.04), SPK_OK);
    CHECK_EQ(spk_net_step(net), 400);
    for (int k = 0; k < 4; k++) CHECK_EQ(spk_net_run(net, 0.25), SPK_OK);
    CHECK_EQ(spk_net_step(net), 410);
    spk_net_destroy(net);
}

TEST_MAIN()
