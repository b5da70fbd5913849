/* Connectivity: the same rows in whatever pieces; lists and callbacks; limits and errors.
   check: networks alone */
#include "../src/core/cpu.h"
#include "../src/net/lanes.h"
#include "../src/net/projections.h"

#include "connectivity.h"

/* -- the same whatever the pieces -- */

static void ring_row(void *ctx, uint32_t source, spk_row *row)
{
    uint32_t n = *(uint32_t *)ctx, j;
    for (j = 1; j <= source % 7; j++)
        spk_row_add(row, (source * 13 + n - j * 31 % n) % n, source + 0.25 * j, 0.1 * j);
}

static double fn_weight(void *ctx, uint32_t s, uint32_t t)
{
    (void)ctx;
    return 1.0 + s + 0.001 * t;
}

static double fn_delay(void *ctx, uint32_t s, uint32_t t)
{
    (void)ctx;
    return 0.1 * (1 + (s * 7 + t * 3) % 50);
}

/* A fill that works one counter at a time through the public function. */
static void other_fill(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3, uint32_t c0,
                       uint32_t n, uint32_t *out)
{
    uint32_t i, counter[4] = {0, c1, c2, c3};
    for (i = 0; i < n; i++) {
        counter[0] = c0 + i;
        spk_philox4x32(counter, key, out + 4 * i);
    }
}

/* Row by row, the full row without the targets outside [t0, t1) must be the row of [t0, t1). */
static void same_rows(const graph *all, const graph *part, uint32_t t0, uint32_t t1)
{
    uint32_t s, i, k = 0, differ = 0;
    for (s = 0; s < all->n_source; s++) {
        differ += k != part->row[s];
        for (i = all->row[s]; i < all->row[s + 1]; i++) {
            if (all->target[i] < t0 || all->target[i] >= t1) continue;
            if (k >= part->count) {
                differ++;
                continue;
            }
            differ += all->target[i] != part->target[k] || all->weight[i] != part->weight[k] ||
                      all->delay[i] != part->delay[k];
            k++;
        }
    }
    CHECK_EQ(differ, 0);
    CHECK_EQ(k, part->count);
}

TEST(rows_are_the_same_in_whatever_intervals_they_are_drawn)
{
    static const uint32_t cut[] = {0, 1, 255, 256, 4000, 4096, 4097, 5000, 6500};
    static uint32_t list_s[3000], list_t[3000];
    uint32_t n = 6500;
    for (uint32_t i = 0; i < 3000; i++) {
        list_s[i] = i * 37 % 40;
        list_t[i] = i * 7919 % n;
    }
    for (int c = 0; c < 9 * 2 * 3; c++) {
        spk_conn_desc d;
        spki_mem mem;
        spki_proj p;
        graph all, part;
        char why[256] = "";
        uint32_t ns = 40;
        memset(&d, 0, sizeof d);
        d.rule = (spk_rule)(c % 9);
        if (d.rule == SPK_CSR) continue; /* the same as COO */
        d.p = 0.03;
        d.k = d.rule == SPK_FIXED_INDEGREE ? 9 : 333;
        d.total = d.rule == SPK_COO ? 3000 : 16000;
        d.sources = list_s;
        d.targets = list_t;
        d.row = ring_row;
        d.row_ctx = &n;
        d.no_multapses = c / 9 % 2;
        if (d.rule == SPK_ONE_TO_ONE) ns = n;
        if (d.rule != SPK_CALLBACK) {
            d.weight = c / 18 == 0 ? spk_normal(1, 0.3)
                       : c / 18 == 1 ? spk_constant(1) : spk_function(fn_weight, NULL);
            d.delay_ms = c / 18 == 1 ? spk_function(fn_delay, NULL) : spk_lognormal(0, 0.5);
        }
        REQUIRE(make(&mem, &p, &d, ns, n, 99, false, why) == SPK_OK);
        CHECK_STR(why, "");
        CHECK(spki_proj_scan_weights(&mem, &p, why, sizeof why) == SPK_OK);
        spki_proj_set_quantum(&p, 1.0 / 1024, INT32_MAX);
        REQUIRE(graph_draw(&all, &p, 0, n) == SPK_OK);
        CHECK(all.count > 100);
        for (size_t i = 0; i + 1 < sizeof cut / sizeof *cut; i++) {
            REQUIRE(graph_draw(&part, &p, cut[i], cut[i + 1]) == SPK_OK);
            same_rows(&all, &part, cut[i], cut[i + 1]);
            CHECK(part.count <= spki_proj_expected_row_total(&p, cut[i], cut[i + 1]));
            graph_free(&part);
        }
        p.fill = other_fill;
        REQUIRE(graph_draw(&part, &p, 0, n) == SPK_OK);
        same_rows(&all, &part, 0, n);
        graph_free(&part);
        graph_free(&all);
        spki_proj_destroy(&mem, &p);
        CHECK_EQ(mem.now, 0);
    }
}

/* Vectors draw what the scalar loops draw: normal weights with and without bounds that cut deep,
   mirrored ones and lognormal ones, tails and refused targets included. */
TEST(vectors_draw_the_same_rows)
{
    const spk_value weight[] = {
        spk_normal(5, 1), spk_normal(-3, 1e-7), spk_normal_clipped(87.8, 8.78, 0, 175.6),
        spk_normal_clipped(0, 1, -9, -2), spk_normal_clipped(0, 1, 0.5, 9),
        spk_normal_clipped(0, 1, -1, 1), spk_normal_clipped(0, 1, 3, 3.001),
        spk_lognormal(0, 0.5), spk_lognormal(2, 2)};
    const uint32_t n = 3001; /* no power of two: some words are refused */
    for (uint32_t c = 0; c < 3 * sizeof weight / sizeof *weight; c++) {
        spk_conn_desc d;
        spki_mem mem;
        spki_proj p;
        graph all, part;
        char why[256] = "";
        memset(&d, 0, sizeof d);
        d.rule = c % 3 == 0 ? SPK_FIXED_TOTAL : c % 3 == 1 ? SPK_BERNOULLI : SPK_FIXED_INDEGREE;
        d.total = 200000;
        d.p = 0.05;
        d.k = 50;
        d.weight = weight[c / 3];
        d.delay_ms = spk_uniform(1, 3);
        REQUIRE(make(&mem, &p, &d, 1000, n, 7, false, why) == SPK_OK);
        spki_proj_set_quantum(&p, 1.0 / 1048576, 40000000);
        REQUIRE(graph_draw(&all, &p, 0, n) == SPK_OK);
        CHECK(all.count > 40000);
        for (int isa = SPK_ISA_SCALAR; isa <= SPK_ISA_GENERIC; isa++) {
            if (!spk_isa_available((spk_isa)isa)) continue;
            p.fill = spki_lanes_for((spk_isa)isa, 4)->fill;
            p.draw = spki_draw((spk_isa)isa);
            REQUIRE(graph_draw(&part, &p, 0, n) == SPK_OK);
            same_rows(&all, &part, 0, n);
            graph_free(&part);
        }
        graph_free(&all);
        spki_proj_destroy(&mem, &p);
        CHECK_EQ(mem.now, 0);
    }
}

/* An index of more than 65,536 targets or draws has wider entries, and the same rows. */
TEST(wide_index_gives_the_same_rows)
{
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p;
    graph all, part;
    char why[256] = "";
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_INDEGREE;
    d.k = 3;
    d.weight = spk_normal(0, 1);
    REQUIRE(make(&mem, &p, &d, 50, 70000, 1, false, why) == SPK_OK);
    spki_proj_set_quantum(&p, 1.0 / 1024, INT32_MAX);
    REQUIRE(graph_draw(&all, &p, 0, 70000) == SPK_OK);
    REQUIRE(graph_draw(&part, &p, 1000, 66536) == SPK_OK);
    same_rows(&all, &part, 1000, 66536);
    CHECK_EQ(spki_proj_index_bytes(&p, 1000, 66536) / 65536, 3 * 4);
    graph_free(&part);
    graph_free(&all);
    spki_proj_destroy(&mem, &p);
    d.k = 70000;
    REQUIRE(make(&mem, &p, &d, 50, 2, 1, false, why) == SPK_OK);
    REQUIRE(graph_draw(&all, &p, 0, 2) == SPK_OK);
    CHECK(all.in[0] == 70000 && all.in[1] == 70000);
    graph_free(&all);
    spki_proj_destroy(&mem, &p);
}

TEST(seeds_and_streams_give_different_networks)
{
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p[3];
    graph g[3];
    char why[256] = "";
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_OUTDEGREE;
    d.k = 1000;
    spki_mem_init(&mem, NULL, 0);
    for (int i = 0; i < 3; i++) {
        REQUIRE(spki_proj_create(&mem, &p[i], &d, 1, 100000, 0.1, 10,
                                 i == 1 ? UINT64_C(1) << 32 : 0, i == 2, false, NULL, NULL, NULL,
                                 why, sizeof why) == SPK_OK);
        REQUIRE(graph_draw(&g[i], &p[i], 0, 100000) == SPK_OK);
        spki_proj_destroy(&mem, &p[i]);
    }
    for (int i = 1; i < 3; i++) {
        int same = 0;
        for (int k = 0; k < 1000; k++) same += g[i].target[k] == g[0].target[k];
        CHECK(same < 50); /* leaves hold 4,096 targets: about 10 of 1,000 agree by chance */
    }
    for (int i = 0; i < 3; i++) graph_free(&g[i]);
}

/* -- explicit lists, functions, callbacks -- */

TEST(coo_and_csr_keep_their_order_and_their_arrays)
{
    static const uint32_t s[] = {2, 0, 2, 1, 0, 2}, t[] = {5, 3, 1, 4, 3, 5};
    static const double w[] = {10, 11, 12, 13, 14, 15};
    static const double ms[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6};
    static const uint64_t offsets[] = {0, 2, 3, 6};
    static const uint32_t ct[] = {3, 3, 4, 5, 1, 5};
    static const double cw[] = {11, 14, 13, 10, 12, 15}, cd[] = {.2, .5, .4, .1, .3, .6};
    for (int csr = 0; csr < 2; csr++) {
        spk_conn_desc d;
        graph g;
        memset(&d, 0, sizeof d);
        d.rule = csr ? SPK_CSR : SPK_COO;
        d.total = 6;
        d.sources = s;
        d.targets = csr ? ct : t;
        d.row_offsets = offsets;
        d.weight = spk_array(csr ? cw : w, 6);
        d.delay_ms = spk_array(csr ? cd : ms, 6);
        REQUIRE(draw(&g, &d, 3, 6, 1, false, 1));
        CHECK_EQ(g.count, 6);
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(g.target[i], ct[i]);
            CHECK_EQ(g.weight[i], cw[i]);
            CHECK_EQ(g.delay[i], 10 * cd[i] + 0.5);
        }
        CHECK(g.row[1] == 2 && g.row[2] == 3);
        graph_free(&g);
    }
}

TEST(all_to_all_arrays_are_by_source_then_target)
{
    static double w[200 * 300];
    spk_conn_desc d;
    graph g;
    memset(&d, 0, sizeof d);
    for (int i = 0; i < 60000; i++) w[i] = i;
    d.rule = SPK_ALL_TO_ALL;
    d.weight = spk_array(w, 60000);
    REQUIRE(draw(&g, &d, 200, 300, 1, false, 1));
    for (uint32_t i = 0; i < 60000; i++) CHECK(g.weight[i] == (int32_t)i);
    graph_free(&g);
}

static double fn_distance(void *ctx, uint32_t s, uint32_t t)
{
    (void)ctx;
    return 1.0 / ((double)s - (double)t);
}

/* A function is not asked about an autapse that is not there. */
TEST(functions_are_evaluated_for_each_synapse_and_scanned_for_bounds)
{
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p;
    graph g;
    char why[256] = "";
    double lo, hi;
    memset(&d, 0, sizeof d);
    d.rule = SPK_ALL_TO_ALL;
    d.no_autapses = true;
    d.weight = spk_function(fn_distance, NULL);
    d.delay_ms = spk_function(fn_delay, NULL);
    REQUIRE(make(&mem, &p, &d, 150, 150, 1, true, why) == SPK_OK);
    spki_proj_weight_range(&p, &lo, &hi);
    CHECK(lo != lo && hi != hi && spki_proj_needs_scan(&p));
    CHECK(spki_proj_scan_weights(&mem, &p, why, sizeof why) == SPK_OK);
    spki_proj_weight_range(&p, &lo, &hi);
    CHECK(lo == -1.0 && hi == 1.0);
    spki_proj_set_quantum(&p, ldexp(1, -20), INT32_MAX);
    REQUIRE(graph_draw(&g, &p, 0, 150) == SPK_OK);
    for (uint32_t s = 0; s < 150; s++)
        for (uint32_t i = g.row[s]; i < g.row[s + 1]; i++) {
            CHECK_NEAR(g.weight[i], ldexp(fn_distance(NULL, s, g.target[i]), 20), 0.5);
            CHECK_EQ(g.delay[i], 1 + (s * 7 + g.target[i] * 3) % 50);
        }
    graph_free(&g);
    spki_proj_destroy(&mem, &p);
    d.no_autapses = false; /* now 1 / 0 is asked for */
    REQUIRE(make(&mem, &p, &d, 150, 150, 1, true, why) == SPK_OK);
    CHECK(spki_proj_scan_weights(&mem, &p, why, sizeof why) == SPK_ERR_RANGE);
    CHECK_STR(why, "weight is infinite for 0 -> 0");
    spki_proj_destroy(&mem, &p);
    CHECK_EQ(mem.now, 0);
}

/* Without an index, target by target. */
TEST(functions_of_fixed_indegrees_are_scanned_too)
{
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p;
    graph g;
    char why[256] = "";
    double lo, hi;
    int32_t least = INT32_MAX, most = INT32_MIN;
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_INDEGREE;
    d.k = 4;
    d.weight = spk_function(fn_weight, NULL);
    REQUIRE(make(&mem, &p, &d, 60, 300, 1, false, why) == SPK_OK);
    CHECK(spki_proj_scan_weights(&mem, &p, why, sizeof why) == SPK_OK);
    spki_proj_weight_range(&p, &lo, &hi);
    spki_proj_set_quantum(&p, 1.0 / 8192, INT32_MAX);
    REQUIRE(graph_draw(&g, &p, 0, 300) == SPK_OK);
    for (uint32_t i = 0; i < g.count; i++) {
        least = SPKI_MIN(least, g.weight[i]);
        most = SPKI_MAX(most, g.weight[i]);
    }
    CHECK_NEAR(least / 8192.0, lo, 1e-4);
    CHECK_NEAR(most / 8192.0, hi, 1e-4);
    graph_free(&g);
    spki_proj_destroy(&mem, &p);
    CHECK_EQ(mem.now, 0);
}

TEST(callback_rows_are_counted_by_the_scan)
{
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p;
    graph g;
    char why[256] = "";
    double lo, hi;
    uint32_t n = 500;
    memset(&d, 0, sizeof d);
    d.rule = SPK_CALLBACK;
    d.row = ring_row;
    d.row_ctx = &n;
    REQUIRE(make(&mem, &p, &d, 100, n, 1, false, why) == SPK_OK);
    CHECK(spki_proj_expected_row_total(&p, 0, n) != spki_proj_expected_row_total(&p, 0, n));
    CHECK(spki_proj_scan_weights(&mem, &p, why, sizeof why) == SPK_OK);
    spki_proj_weight_range(&p, &lo, &hi);
    CHECK(lo == 1.25 && hi == 99.25); /* sources 1 and 99 have one synapse each */
    REQUIRE(graph_draw(&g, &p, 0, n) == SPK_OK);
    CHECK_EQ(g.count, spki_proj_expected_row_total(&p, 0, n));
    CHECK_EQ(spki_proj_max_row(&p), 6);
    graph_free(&g);
    spki_proj_destroy(&mem, &p);
    CHECK_EQ(mem.now, 0);
}

/* -- limits and errors -- */

TEST(a_full_buffer_is_left_as_it_was)
{
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p;
    char why[256] = "";
    uint32_t target[1000], i;
    int32_t weight[1000];
    uint16_t delay[1000];
    spki_edges e = {target, weight, delay, 7, 1000};
    void *scratch;
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_OUTDEGREE;
    d.k = 994;
    REQUIRE(make(&mem, &p, &d, 3, 4000, 1, false, why) == SPK_OK);
    scratch = malloc(spki_proj_scratch_size(&p));
    for (i = 0; i < 7; i++) target[i] = 12345;
    CHECK(spki_proj_row(&p, NULL, scratch, 0, 0, 4000, &e) == SPK_ERR_FULL);
    CHECK_EQ(e.count, 7);
    e.count = 6;
    CHECK(spki_proj_row(&p, NULL, scratch, 0, 0, 4000, &e) == SPK_OK);
    CHECK(e.count == 1000 && target[5] == 12345 && target[6] < 4000);
    free(scratch);
    spki_proj_destroy(&mem, &p);
}

static spk_conn_desc base_desc(spk_rule rule)
{
    spk_conn_desc d;
    memset(&d, 0, sizeof d);
    d.rule = rule;
    return d;
}

static void refused(const spk_conn_desc *d, uint32_t ns, uint32_t nt, bool same, spk_result code,
                    const char *sentence)
{
    spki_mem mem;
    spki_proj p;
    char why[256] = "";
    spk_result result = make(&mem, &p, d, ns, nt, 1, same, why);
    CHECK_STR(why, sentence);
    CHECK(result == code);
    if (result == SPK_OK) spki_proj_destroy(&mem, &p);
    CHECK_EQ(mem.now, 0);
}

TEST(bad_weights_are_refused_with_the_reason)
{
    static const double bad[] = {1, 2, NAN};
    spk_conn_desc d = base_desc(SPK_ONE_TO_ONE);
    d.weight = spk_constant(NAN);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight is NaN");
    d.weight = spk_constant(-INFINITY);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight is infinite");
    d.weight = spk_normal(1, -2);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight has a negative standard deviation (-2)");
    d.weight = spk_normal(NAN, 1);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight has NaN mean or standard deviation");
    d.weight = spk_uniform(3, 2);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight is uniform between 3 and 2");
    d.weight = spk_normal_clipped(0, 1, 5, 4);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight is clipped to [5, 4]");
    d.weight = spk_normal_clipped(0, 1, NAN, 4);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight is clipped to [nan, 4]");
    d.weight = spk_normal_clipped(0, 1, 50, 60);
    refused(&d, 3, 3, false, SPK_ERR_RANGE,
            "weight never lies within [50, 60] (mean 0, standard deviation 1)");
    d.weight = spk_lognormal(700, 1);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight exceeds the range of a double (sd 1)");
    d.weight = spk_array(bad, 3);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight is NaN at entry 2");
    refused(&d, 4, 4, false, SPK_ERR_RANGE, "weight is an array of 3 where 4 are needed");
    d.weight = spk_array(NULL, 3);
    refused(&d, 3, 3, false, SPK_ERR_NULL, "weight is an array, but its pointer is NULL");
    d.weight = spk_function(NULL, NULL);
    refused(&d, 3, 3, false, SPK_ERR_NULL, "weight is a function, but its pointer is NULL");
    d.weight.kind = (spk_value_kind)77;
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight has the unknown kind 77");
    d = base_desc(SPK_FIXED_TOTAL);
    d.weight = spk_array(bad, 3);
    refused(&d, 3, 3, false, SPK_ERR_RANGE,
            "weight is an array, which needs a rule that lists its synapses (one to one, all to "
            "all, COO, CSR)");
}

TEST(bad_delays_are_refused_with_the_reason)
{
    static const double bad[] = {0.1, 0.05, 0.2};
    spk_conn_desc d = base_desc(SPK_ONE_TO_ONE);
    d.delay_ms = spk_constant(0.05);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "delay 0.05 ms is shorter than a step (0.1 ms)");
    d.delay_ms = spk_constant(-1);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "delay -1 ms is shorter than a step (0.1 ms)");
    d.delay_ms = spk_constant(NAN);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "delay is NaN");
    d.delay_ms = spk_constant(102.46);
    refused(&d, 3, 3, false, SPK_ERR_RANGE,
            "delay 102.46 ms is longer than max_delay_steps (1024 steps of 0.1 ms)");
    d.delay_ms = spk_array(bad, 3);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "delay 0.05 ms is shorter than a step (0.1 ms)");
    d.delay_ms = spk_normal(-5, 0.1);
    refused(&d, 3, 3, false, SPK_ERR_RANGE,
            "delay practically never rounds to 1 .. 1024 steps of 0.1 ms");
    d.delay_ms = spk_uniform(200, 300);
    refused(&d, 3, 3, false, SPK_ERR_RANGE,
            "delay practically never rounds to 1 .. 1024 steps of 0.1 ms");
    d.delay_ms = spk_normal_clipped(-5, 1, -INFINITY, 0);
    refused(&d, 3, 3, false, SPK_ERR_RANGE,
            "delay practically never rounds to 1 .. 1024 steps of 0.1 ms");
}

TEST(bad_rules_are_refused_with_the_reason)
{
    spk_conn_desc d = base_desc(SPK_ONE_TO_ONE);
    refused(&d, 3, 4, false, SPK_ERR_RANGE,
            "one to one needs views of one size, not 3 and 4 neurons");
    d.end_sentinel = 9;
    refused(&d, 3, 3, false, SPK_ERR_UNINITIALISED,
            "descriptor holds garbage: start it with = {0}");
    d = base_desc((spk_rule)42);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "rule 42 is unknown");
    d = base_desc(SPK_BERNOULLI);
    d.p = 1.5;
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "p = 1.5 is not a probability");
    d.p = NAN;
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "p = nan is not a probability");
    d.p = -0.1;
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "p = -0.1 is not a probability");
    d = base_desc(SPK_FIXED_INDEGREE);
    d.no_multapses = true;
    d.k = 5000;
    refused(&d, 4000, 10, false, SPK_ERR_RANGE,
            "k = 5000 sources without multapses, but the view has only 4000");
    d.k = 3;
    d.no_autapses = true;
    refused(&d, 3, 3, true, SPK_ERR_RANGE,
            "k = 3 sources without autapses and multapses, but the view has only 3");
    d.no_multapses = false;
    refused(&d, 1, 1, true, SPK_ERR_RANGE,
            "k = 3 sources without autapses, but the view has only the neuron itself");
    d = base_desc(SPK_FIXED_OUTDEGREE);
    d.no_multapses = true;
    d.k = 11;
    refused(&d, 4000, 10, false, SPK_ERR_RANGE,
            "k = 11 targets without multapses, but the view has only 10");
    d.k = (size_t)1 << 40;
    refused(&d, 4000, 10, false, SPK_ERR_RANGE, "k = 1099511627776 is too large");
    d = base_desc(SPK_FIXED_TOTAL);
    d.no_multapses = true;
    d.total = 13;
    refused(&d, 3, 4, false, SPK_ERR_RANGE,
            "total = 13 without multapses, but there are only 12 pairs");
    d.total = UINT64_C(1) << 60;
    refused(&d, 3, 4, false, SPK_ERR_RANGE, "total = 1152921504606846976 is absurdly large");
    d.no_multapses = false;
    d.total = UINT64_C(1) << 40;
    refused(&d, 3, 4, false, SPK_ERR_RANGE, "total = 1099511627776 is too large");
    d.total = 1;
    d.no_autapses = true;
    refused(&d, 1, 1, true, SPK_ERR_RANGE,
            "total = 1 without autapses, but the view has only the neuron itself");
    d = base_desc(SPK_ALL_TO_ALL);
    refused(&d, UINT32_MAX, UINT32_MAX, false, SPK_ERR_RANGE,
            "views of 4294967295 and 4294967295 neurons are too large");
    d = base_desc(SPK_CALLBACK);
    refused(&d, 3, 3, false, SPK_ERR_NULL, "row callback is NULL");
    d.row = ring_row;
    d.weight = spk_constant(1);
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "weight is given, but a row callback brings its own");
}

TEST(bad_lists_are_refused_with_the_reason)
{
    static uint32_t s[20], t[20];
    uint64_t offsets[] = {0, 2, 1, 3};
    spk_conn_desc d = base_desc(SPK_COO);
    d.total = 20;
    refused(&d, 3, 800, false, SPK_ERR_NULL, "sources is NULL");
    d.sources = s;
    refused(&d, 3, 800, false, SPK_ERR_NULL, "targets is NULL");
    d.targets = t;
    t[17] = 812;
    refused(&d, 3, 800, false, SPK_ERR_RANGE,
            "target 812 of entry 17 is outside the view (800 neurons)");
    s[3] = 3;
    refused(&d, 3, 800, false, SPK_ERR_RANGE,
            "source 3 of entry 3 is outside the view (3 neurons)");
    s[3] = t[17] = 0;
    d.no_multapses = true;
    refused(&d, 3, 800, false, SPK_ERR_RANGE, "0 -> 0 comes twice, which no_multapses forbids");
    d.no_autapses = true;
    d.no_multapses = false;
    refused(&d, 3, 3, true, SPK_ERR_RANGE, "0 -> 0 is an autapse, which no_autapses forbids");
    d = base_desc(SPK_CSR);
    refused(&d, 3, 3, false, SPK_ERR_NULL, "row_offsets is NULL");
    d.row_offsets = offsets;
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "row_offsets decrease from 2 to 1 after source 1");
    offsets[1] = 1;
    refused(&d, 3, 3, false, SPK_ERR_NULL, "targets is NULL");
    d.targets = t;
    d.total = 2;
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "row_offsets end at 3, but total is 2");
    d.total = 0;
    offsets[0] = 1;
    refused(&d, 3, 3, false, SPK_ERR_RANGE, "row_offsets begin at 1 instead of 0");
    offsets[0] = 0;
    offsets[3] = UINT64_C(1) << 50;
    refused(&d, 3, 3, false, SPK_ERR_RANGE,
            "row_offsets end at 1125899906842624 is absurdly large");
}

static double bad_weight, bad_delay;
static uint32_t bad_target;
static void bad_row(void *ctx, uint32_t source, spk_row *row)
{
    (void)ctx;
    spk_row_add(row, source == 1 ? 0 : 1, 1.0, 1.0);
    if (source == 2) spk_row_add(row, bad_target, bad_weight, bad_delay);
}

static void row_refused(spk_conn_desc *d, uint32_t target, double weight, double delay,
                        const char *sentence)
{
    spki_mem mem;
    spki_proj p;
    char why[256] = "";
    uint32_t t[10];
    int32_t w[10];
    uint16_t ms[10];
    spki_edges e = {t, w, ms, 0, 10};
    void *scratch;
    bad_target = target;
    bad_weight = weight;
    bad_delay = delay;
    CHECK(make(&mem, &p, d, 4, 4, 1, true, why) == SPK_OK);
    scratch = malloc(spki_proj_scratch_size(&p));
    CHECK(spki_proj_row(&p, NULL, scratch, 3, 0, 4, &e) == SPK_OK && e.count == 1);
    CHECK(spki_proj_row(&p, NULL, scratch, 2, 0, 4, &e) == SPK_ERR_RANGE && e.count == 1);
    CHECK_STR(spki_proj_row_why(scratch), sentence);
    CHECK(spki_proj_scan_weights(&mem, &p, why, sizeof why) == SPK_ERR_RANGE);
    CHECK_STR(why, sentence);
    free(scratch);
    spki_proj_destroy(&mem, &p);
    CHECK_EQ(mem.now, 0);
}

TEST(bad_callback_rows_are_refused_with_the_reason)
{
    spk_conn_desc d = base_desc(SPK_CALLBACK);
    d.row = bad_row;
    row_refused(&d, 4, 1, 1, "target 4 of source 2 is outside the view (4 neurons)");
    row_refused(&d, 3, NAN, 1, "weight is NaN for 2 -> 3");
    row_refused(&d, 3, 1, 0, "delay 0 ms is shorter than a step (0.1 ms)");
    row_refused(&d, 3, 1, 1e9,
                "delay 1e+09 ms is longer than max_delay_steps (1024 steps of 0.1 ms)");
    d.no_multapses = true;
    row_refused(&d, 1, 1, 1, "2 -> 1 comes twice, which no_multapses forbids");
    d.no_autapses = true;
    row_refused(&d, 2, 1, 1, "2 -> 2 is an autapse, which no_autapses forbids");
}

TEST(empty_views_have_no_synapses)
{
    for (int rule = 0; rule <= (int)SPK_CALLBACK; rule++)
        for (int c = 0; c < 8; c++) {
            static const uint64_t offsets[] = {0, 0, 0, 0, 0, 0};
            uint32_t ns = c & 1 ? 5 : 0, nt = c & 2 ? 5 : 0, n = 5;
            spk_conn_desc d = base_desc((spk_rule)rule);
            graph g;
            if (ns && nt) continue;
            if (rule == SPK_ONE_TO_ONE && ns != nt) continue;
            d.p = 0.5;
            d.k = 2;
            d.total = rule == SPK_FIXED_TOTAL ? 100 : 0;
            d.row_offsets = offsets;
            d.row = ring_row;
            d.row_ctx = &n;
            d.no_autapses = d.no_multapses = c >= 4;
            REQUIRE(draw(&g, &d, ns, nt, 1, ns == nt, 1));
            CHECK_EQ(g.count, 0);
            graph_free(&g);
        }
}

/* Every allocation fails once; nothing is left behind. */
static int allocations_left;
static void *failing_alloc(void *ctx, size_t size, size_t align)
{
    if (allocations_left-- <= 0) return NULL;
    return spki_default_alloc(ctx, size, align);
}

TEST(running_out_of_memory_leaves_nothing_behind)
{
    static const uint32_t s[] = {0, 1}, t[] = {1, 0};
    static const double w[] = {1, 2};
    uint32_t shift = 0, n = 5;
    for (int rule = 0; rule <= (int)SPK_CALLBACK; rule++)
        for (int allowed = 0;; allowed++) {
            static const uint64_t offsets[] = {0, 1, 2, 2, 2, 2};
            spk_conn_desc d = base_desc((spk_rule)rule);
            spk_allocator a = {NULL, failing_alloc, spki_default_free};
            spki_mem mem;
            spki_proj p;
            spk_result result;
            char why[256] = "";
            d.p = 0.5;
            d.k = 2;
            d.total = rule == SPK_CSR ? 0 : 2;
            d.sources = s;
            d.targets = t;
            d.row_offsets = offsets;
            d.row = ring_row;
            d.row_ctx = &n;
            d.no_autapses = rule != SPK_COO && rule != SPK_CALLBACK;
            d.no_multapses = true;
            if (rule != SPK_CALLBACK) {
                d.weight = rule == SPK_COO || rule == SPK_CSR ? spk_array(w, 2) : spk_normal(0, 1);
                d.delay_ms = rule == SPK_COO ? spk_array(w, 2) : spk_normal(1, 1);
            }
            spki_mem_init(&mem, &a, 0);
            allocations_left = allowed;
            result = spki_proj_create(&mem, &p, &d, 5, 5, 0.1, 1024, 3, 5, false, self_shifted,
                                      &shift, NULL, why, sizeof why);
            if (result == SPK_OK) result = spki_proj_scan_weights(&mem, &p, why, sizeof why);
            CHECK(result == SPK_OK || result == SPK_ERR_OUT_OF_MEMORY);
            if (result != SPK_OK) CHECK_STR(why, "no memory");
            spki_proj_destroy(&mem, &p);
            CHECK_EQ(mem.now, 0);
            if (result == SPK_OK || allowed > 50) break;
        }
}

/* -- one number for each neuron -- */

TEST(sampled_values_pass_kolmogorov_smirnov)
{
    spk_value v[5];
    v[0] = spk_normal(-65, 3);
    v[1] = spk_uniform(8, 12);
    v[2] = spk_lognormal(0, 1);
    v[3] = spk_normal_clipped(0, 1, -0.5, 2);
    v[4] = spk_normal_clipped(5, 1, -INFINITY, 1);
    for (int i = 0; i < 5; i++) {
        verdict all = {0, 0, 0};
        the_value = &v[i];
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            static double x[20000], y[100];
            char why[100] = "";
            uint64_t own = seed + 100 * (uint64_t)i;
            CHECK(spki_value_sample(&v[i], 20000, own, 3, x, why, sizeof why) == SPK_OK);
            CHECK(spki_value_sample(&v[i], 100, own, 3, y, why, sizeof why) == SPK_OK);
            CHECK(memcmp(x, y, sizeof y) == 0); /* addressed by neuron */
            verdict_add(&all, ks_p(x, 20000, the_cdf));
        }
        verdict_check(&all, "sampled values");
    }
}

TEST(sampled_values_take_constants_arrays_and_functions)
{
    static const double a[] = {1, 2, 4};
    double x[3];
    char why[100] = "";
    spk_value v = spk_constant(7);
    CHECK(spki_value_sample(&v, 3, 0, 0, x, why, sizeof why) == SPK_OK && x[2] == 7);
    v = spk_array(a, 3);
    CHECK(spki_value_sample(&v, 3, 0, 0, x, why, sizeof why) == SPK_OK && x[2] == 4);
    v = spk_function(fn_weight, NULL);
    CHECK(spki_value_sample(&v, 3, 0, 0, x, why, sizeof why) == SPK_OK);
    CHECK_NEAR(x[2], 3.002, 1e-12);
    v = spk_function(fn_distance, NULL);
    CHECK(spki_value_sample(&v, 3, 0, 0, x, why, sizeof why) == SPK_ERR_RANGE);
    CHECK_STR(why, "is infinite for neuron 0");
    v = spk_array(a, 2);
    CHECK(spki_value_sample(&v, 3, 0, 0, x, why, sizeof why) == SPK_ERR_RANGE);
    CHECK_STR(why, "is an array of 2 where 3 are needed");
    memset(&v, 0, sizeof v);
    CHECK(spki_value_sample(&v, 3, 0, 0, x, why, sizeof why) == SPK_ERR_RANGE);
    CHECK_STR(why, "has no value");
    v = spk_normal(2, 0);
    CHECK(spki_value_sample(&v, 3, 0, 0, x, why, sizeof why) == SPK_OK && x[1] == 2);
}

TEST_MAIN()
