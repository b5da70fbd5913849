/* Connectivity: that rows are drawn from the distributions they promise, in whatever pieces. The
   references are closed forms in double precision with libm; a p-value below 1e-4 in any of 20
   fixed seeds is a failure, and so is one of all seeds together (Fisher's method).
   check: networks alone */
#include "../src/net/projections.h"

#include "connectivity.h"

/* -- functions under the tables -- */

TEST(own_logarithm_exponential_and_normal_tail_agree_with_libm)
{
    double x;
    int i;
    for (i = 0; i < 40000; i++) {
        x = exp(-700.0 + 0.035 * i + 1e-3 * sin(i));
        CHECK_NEAR(spki_qlog(x), log(x), 3e-16 * fabs(log(x)) + 1e-300);
        x = -700.0 + 0.035 * i;
        CHECK_NEAR(spki_qexp(x) / exp(x), 1.0, 5e-16);
    }
    CHECK_NEAR(spki_qlog(4e-320), log(4e-320), 1e-13);
    CHECK(spki_qexp(-1e9) == 0.0 && spki_qexp(1e9) > 1e308);
    for (x = 0.0; x < 37.0; x += 0.0137) {
        double tail = 0.5 * erfc(x / sqrt(2.0));
        CHECK_NEAR(spki_normal_tail(x), tail, 1e-15);
        if (x >= 3.0) CHECK_NEAR(spki_normal_tail(x) / tail, 1.0, 1e-12);
    }
}

TEST(normal_quantile_inverts_the_normal_distribution)
{
    double z;
    for (z = -37.0; z < 8.0; z += 0.0113) {
        double p = 0.5 * erfc(-z / sqrt(2.0)), back = spki_normal_quantile(p);
        double slack = 1e-15 * fmax(1.0, 1.0 / (exp(-0.5 * z * z) / 2.5066282746310002));
        CHECK_NEAR(back, z, z < 0.0 ? 1e-13 * fmax(1.0, -z) : slack + 1e-14);
    }
    /* Wichura's own check values: p = 0.25, 0.001, 1e-20. */
    CHECK_NEAR(spki_normal_quantile(0.25), -0.6744897501960817, 1e-15);
    CHECK_NEAR(spki_normal_quantile(0.001), -3.090232306167814, 1e-14);
    CHECK_NEAR(spki_normal_quantile(1e-20), -9.262340089798408, 1e-13);
}

/* Splitting counts: all sizes of the coin counter (table, words, bits) and digits of num / den. */
TEST(binomial_draws_follow_the_binomial_distribution)
{
    static const struct {
        uint64_t n, num, den;
    } c[] = {{5, 1, 2},        {40, 1, 2},     {1500, 1, 2},      {1500, 3, 7},
             {5000, 1, 64},    {33, 999, 1000}, {100000, 1, 3000}, {4500, 123456789, 987654321}};
    char why[256];
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        verdict v = {0, 0, 0};
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            static uint32_t got[8000];
            spki_mem mem;
            spki_proj p;
            spk_conn_desc d;
            spki_words w;
            double center = (double)c[i].n * (double)c[i].num / (double)c[i].den;
            double low = fmax(0.0, floor(center) - BINS / 2);
            static double pmf[BINS];
            memset(&d, 0, sizeof d);
            REQUIRE(make(&mem, &p, &d, 1, 1, seed, true, why) == SPK_OK);
            for (uint32_t k = 0; k < 8000; k++) {
                spki_words_open(&w, &p, 0, k, 0, spki_binomial_words(c[i].n));
                got[k] = (uint32_t)(spki_binomial(&w, c[i].n, c[i].num, c[i].den) -
                                    (uint64_t)low);
            }
            for (int k = 0; k < BINS; k++)
                pmf[k] = binomial_pmf((double)c[i].n, low + k,
                                      (double)c[i].num / (double)c[i].den);
            verdict_add(&v, degrees_p(got, 8000, pmf, BINS));
            spki_proj_destroy(&mem, &p);
        }
        verdict_check(&v, "binomial");
    }
}

/* -- rules: counts that must be exact, degrees that must be distributed -- */

TEST(fixed_total_has_exactly_the_total_and_binomial_degrees)
{
    verdict in = {0, 0, 0}, out = {0, 0, 0}, self = {0, 0, 0};
    spk_conn_desc d;
    graph g;
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_TOTAL;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        d.total = 300000;
        d.no_autapses = false;
        REQUIRE(draw(&g, &d, 1500, 2300, seed, false, 1));
        CHECK_EQ(g.count, d.total);
        verdict_add(&out, binomial_p(g.out, 1500, 300000, 1.0 / 1500));
        verdict_add(&in, binomial_p(g.in, 2300, 300000, 1.0 / 2300));
        graph_free(&g);
        d.no_autapses = true;
        d.total = 20000;
        REQUIRE(draw(&g, &d, 40, 40, seed, true, 1));
        CHECK_EQ(g.count, d.total);
        CHECK(!has_autapse(&g));
        verdict_add(&self, binomial_p(g.in, 40, 20000, 1.0 / 40));
        graph_free(&g);
    }
    verdict_check(&out, "fixed total, out-degree");
    verdict_check(&in, "fixed total, in-degree");
    verdict_check(&self, "fixed total without autapses, in-degree");
}

/* Sparse, dense (the others are drawn) and complete; with and without autapses. */
TEST(fixed_total_without_multapses_is_a_uniform_set_of_pairs)
{
    static const uint64_t total[] = {900, 60000, 700000, 1199000};
    spk_conn_desc d;
    graph g;
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_TOTAL;
    d.no_multapses = true;
    for (int c = 0; c < 4; c++) {
        verdict in = {0, 0, 0}, out = {0, 0, 0};
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            static double pmf[BINS];
            d.total = total[c];
            REQUIRE(draw(&g, &d, 1000, 1200, seed, false, 1));
            CHECK_EQ(g.count, d.total);
            CHECK(!has_multapse(&g));
            for (int k = 0; k < BINS; k++)
                pmf[k] = hypergeometric_pmf(1.2e6, 1200, (double)total[c], k);
            verdict_add(&out, degrees_p(g.out, 1000, pmf, BINS));
            for (int k = 0; k < BINS; k++)
                pmf[k] = hypergeometric_pmf(1.2e6, 1000, (double)total[c], k);
            verdict_add(&in, degrees_p(g.in, 1200, pmf, BINS));
            graph_free(&g);
        }
        verdict_check(&out, "total without multapses, out-degree");
        verdict_check(&in, "total without multapses, in-degree");
    }
    { /* so few that single pairs make up the set: the degree of one source over many networks */
        static double pmf[9];
        static uint32_t degree[4000];
        d.total = 8;
        for (uint64_t seed = 0; seed < 4000; seed++) {
            REQUIRE(draw(&g, &d, 5, 4, seed, false, 1));
            CHECK(g.count == 8 && !has_multapse(&g));
            degree[seed] = g.out[seed % 5];
            graph_free(&g);
        }
        for (int k = 0; k < 9; k++) pmf[k] = hypergeometric_pmf(20, 4, 8, k);
        CHECK(degrees_p(degree, 4000, pmf, 9) > P_MIN);
    }
    d.no_autapses = true;
    d.total = 30 * 29;
    REQUIRE(draw(&g, &d, 30, 30, 1, true, 1));
    CHECK_EQ(g.count, 30 * 29);
    CHECK(!has_autapse(&g) && !has_multapse(&g));
    graph_free(&g);
}

TEST(fixed_outdegree_gives_each_source_k_and_targets_binomial_in_degrees)
{
    static const struct {
        uint32_t k, ns, nt;
        bool autapses, multapses;
    } c[] = {{50, 900, 700, true, true},    {2000, 300, 5000, true, true},
             {50, 700, 700, false, true},   {60, 700, 700, true, false},
             {60, 700, 700, false, false},  {500, 700, 700, false, false},
             {1, 5000, 300, true, true},    {699, 700, 700, false, false}};
    spk_conn_desc d;
    graph g;
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_OUTDEGREE;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        verdict in = {0, 0, 0};
        d.k = c[i].k;
        d.no_autapses = !c[i].autapses;
        d.no_multapses = !c[i].multapses;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            uint32_t tries = c[i].ns - (c[i].autapses ? 0 : 1);
            double pool = c[i].nt - (c[i].autapses ? 0 : 1);
            REQUIRE(draw(&g, &d, c[i].ns, c[i].nt, seed, c[i].ns == c[i].nt, 1));
            for (uint32_t s = 0; s < c[i].ns; s++) CHECK_EQ(g.out[s], c[i].k);
            CHECK(c[i].autapses || !has_autapse(&g));
            CHECK(c[i].multapses || !has_multapse(&g));
            verdict_add(&in, c[i].multapses
                                 ? binomial_p(g.in, c[i].nt, (double)tries * c[i].k, 1.0 / pool)
                                 : binomial_p(g.in, c[i].nt, tries, c[i].k / pool));
            graph_free(&g);
        }
        verdict_check(&in, "fixed out-degree, in-degree");
    }
}

TEST(fixed_indegree_gives_each_target_k_and_sources_binomial_out_degrees)
{
    static const struct {
        uint32_t k, ns, nt;
        bool autapses, multapses;
    } c[] = {{50, 900, 700, true, true},   {2000, 5000, 300, true, true},
             {50, 700, 700, false, true},  {60, 700, 700, true, false},
             {60, 700, 700, false, false}, {500, 700, 700, false, false},
             {699, 700, 700, false, false}};
    spk_conn_desc d;
    graph g;
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_INDEGREE;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        verdict out = {0, 0, 0};
        d.k = c[i].k;
        d.no_autapses = !c[i].autapses;
        d.no_multapses = !c[i].multapses;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            uint32_t tries = c[i].nt - (c[i].autapses ? 0 : 1);
            double pool = c[i].ns - (c[i].autapses ? 0 : 1);
            REQUIRE(draw(&g, &d, c[i].ns, c[i].nt, seed, c[i].ns == c[i].nt, 1));
            for (uint32_t t = 0; t < c[i].nt; t++) CHECK_EQ(g.in[t], c[i].k);
            CHECK(c[i].autapses || !has_autapse(&g));
            CHECK(c[i].multapses || !has_multapse(&g));
            verdict_add(&out, c[i].multapses
                                  ? binomial_p(g.out, c[i].ns, (double)tries * c[i].k, 1.0 / pool)
                                  : binomial_p(g.out, c[i].ns, tries, c[i].k / pool));
            graph_free(&g);
        }
        verdict_check(&out, "fixed in-degree, out-degree");
    }
}

/* Over one block of targets and over several, sparse and dense. */
TEST(bernoulli_degrees_are_binomial)
{
    static const struct {
        uint32_t ns, nt;
        double p;
    } c[] = {{1000, 800, 0.1}, {300, 9000, 0.02}, {200, 5000, 0.7}, {3000, 4096, 1e-4}};
    spk_conn_desc d;
    graph g;
    memset(&d, 0, sizeof d);
    d.rule = SPK_BERNOULLI;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        verdict in = {0, 0, 0}, out = {0, 0, 0};
        d.p = c[i].p;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            REQUIRE(draw(&g, &d, c[i].ns, c[i].nt, seed, false, 1));
            CHECK(!has_multapse(&g));
            verdict_add(&out, binomial_p(g.out, c[i].ns, c[i].nt, c[i].p));
            verdict_add(&in, binomial_p(g.in, c[i].nt, c[i].ns, c[i].p));
            graph_free(&g);
        }
        verdict_check(&out, "Bernoulli, out-degree");
        verdict_check(&in, "Bernoulli, in-degree");
    }
    d.no_autapses = true;
    d.p = 1.0;
    REQUIRE(draw(&g, &d, 5000, 5000, 1, true, 1));
    CHECK_EQ(g.count, 5000u * 4999u);
    CHECK(!has_autapse(&g));
    graph_free(&g);
    d.p = 0.0;
    REQUIRE(draw(&g, &d, 100, 5000, 1, false, 1));
    CHECK_EQ(g.count, 0);
    graph_free(&g);
}

/* The leaves of a row and the targets within them are equally likely: the joint distribution of
   the targets of one row over 64 equal parts, and of the position modulo 64. */
TEST(targets_of_a_row_are_uniform)
{
    spk_conn_desc d;
    graph g;
    verdict coarse = {0, 0, 0}, fine = {0, 0, 0};
    memset(&d, 0, sizeof d);
    d.rule = SPK_FIXED_TOTAL;
    d.total = 400000;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        double part[64] = {0}, low[64] = {0}, p[64];
        REQUIRE(draw(&g, &d, 100, 6400, seed, false, 1));
        for (uint32_t i = 0; i < g.count; i++) {
            part[g.target[i] / 100] += 1.0;
            low[g.target[i] % 64] += 1.0;
        }
        for (int k = 0; k < 64; k++) p[k] = 1.0 / 64;
        verdict_add(&coarse, chi2_p(part, p, 64, g.count));
        verdict_add(&fine, chi2_p(low, p, 64, g.count));
        graph_free(&g);
    }
    verdict_check(&coarse, "targets, coarse");
    verdict_check(&fine, "targets, fine");
}

TEST(one_to_one_and_all_to_all_are_what_they_say)
{
    spk_conn_desc d;
    graph g;
    memset(&d, 0, sizeof d);
    REQUIRE(draw(&g, &d, 500, 500, 1, false, 1));
    CHECK_EQ(g.count, 500);
    for (uint32_t s = 0; s < 500; s++)
        CHECK(g.target[s] == s && g.weight[s] == 1 && g.delay[s] == 1);
    graph_free(&g);
    d.no_autapses = true;
    REQUIRE(draw(&g, &d, 500, 500, 1, true, 1));
    CHECK_EQ(g.count, 0);
    graph_free(&g);
    d.rule = SPK_ALL_TO_ALL;
    REQUIRE(draw(&g, &d, 300, 300, 1, true, 1));
    CHECK_EQ(g.count, 300 * 299);
    CHECK(!has_autapse(&g) && !has_multapse(&g));
    graph_free(&g);
    d.no_autapses = false;
    REQUIRE(draw(&g, &d, 20, 5000, 1, false, 1));
    CHECK_EQ(g.count, 20 * 5000);
    for (uint32_t i = 0; i < g.count; i++) CHECK(g.target[i] == i % 5000);
    graph_free(&g);
}

/* Autapses are found by identity where the views differ: sources 0 .. 99 of which 30 .. 99 are
   targets 0 .. 69. */
TEST(autapses_are_avoided_between_overlapping_views)
{
    static const spk_rule rules[] = {SPK_ALL_TO_ALL,      SPK_BERNOULLI,   SPK_FIXED_INDEGREE,
                                     SPK_FIXED_OUTDEGREE, SPK_FIXED_TOTAL};
    uint32_t shift = 30;
    for (int i = 0; i < 10; i++) {
        spk_conn_desc d;
        spki_mem mem;
        spki_proj p;
        graph g;
        char why[256] = "";
        memset(&d, 0, sizeof d);
        d.rule = rules[i / 2];
        d.no_autapses = true;
        d.no_multapses = i & 1;
        d.p = 0.9;
        d.k = 60;
        d.total = 6000;
        spki_mem_init(&mem, NULL, 0);
        REQUIRE(spki_proj_create(&mem, &p, &d, 100, 80, 0.1, 1024, 3, 5, false, self_shifted,
                                 &shift, NULL, why, sizeof why) == SPK_OK);
        REQUIRE(graph_draw(&g, &p, 0, 80) == SPK_OK);
        for (uint32_t s = 0; s < 100; s++)
            for (uint32_t k = g.row[s]; k < g.row[s + 1]; k++) CHECK(g.target[k] + 30 != s);
        if (rules[i / 2] == SPK_ALL_TO_ALL) CHECK_EQ(g.count, 100 * 80 - 70);
        if (rules[i / 2] == SPK_FIXED_TOTAL) CHECK_EQ(g.count, 6000);
        graph_free(&g);
        spki_proj_destroy(&mem, &p);
        CHECK_EQ(mem.now, 0);
    }
}

/* -- delays and weights -- */

TEST(delays_have_the_exact_probabilities_of_rounding)
{
    spk_value v[6];
    v[0] = spk_normal(1.5, 0.75);
    v[1] = spk_normal(0.8, 0.4); /* cut at half a step on the left */
    v[2] = spk_uniform(0.33, 7.77);
    v[3] = spk_lognormal(0.5, 0.7);
    v[4] = spk_normal_clipped(2.0, 1.0, 1.23, 3.0);
    v[5] = spk_normal(100.0, 3.0); /* cut at 102.45 ms on the right */
    for (int i = 0; i < 12; i++) {
        spk_conn_desc d;
        verdict all = {0, 0, 0};
        memset(&d, 0, sizeof d);
        d.rule = i < 6 ? SPK_FIXED_TOTAL : SPK_FIXED_INDEGREE;
        d.total = 50000;
        d.k = 100;
        d.weight = i & 1 ? spk_uniform(0, 1) : spk_constant(1);
        d.delay_ms = v[i % 6];
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            static double p[1025], seen[1025];
            double lo = delay_cdf(&v[i % 6], 0.05), hi = delay_cdf(&v[i % 6], 102.45);
            graph g;
            REQUIRE(draw(&g, &d, 300, 500, seed, false, 1));
            memset(seen, 0, sizeof seen);
            for (uint32_t k = 0; k < g.count; k++) {
                CHECK(g.delay[k] >= 1 && g.delay[k] <= 1024);
                seen[g.delay[k]] += 1.0;
            }
            for (int k = 0; k < 1025; k++)
                p[k] = k == 0 ? 0.0
                              : (delay_cdf(&v[i % 6], 0.1 * k + 0.05) -
                                 delay_cdf(&v[i % 6], 0.1 * k - 0.05)) / (hi - lo);
            verdict_add(&all, chi2_p(seen, p, 1025, g.count));
            graph_free(&g);
        }
        verdict_check(&all, "delays");
    }
}

/* The table itself, to the last bit that 32 random bits can show. */
TEST(delay_thresholds_are_those_of_libm)
{
    spk_value v = spk_normal(1.5, 0.75);
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p;
    char why[256] = "";
    double lo = delay_cdf(&v, 0.05);
    memset(&d, 0, sizeof d);
    d.delay_ms = v;
    REQUIRE(make(&mem, &p, &d, 1, 1, 0, true, why) == SPK_OK);
    CHECK_EQ(p.steps.first, 1);
    for (uint32_t i = 0; i + 1 < p.steps.count; i++)
        CHECK_NEAR(p.steps.upto[i] + 1.0,
                   (delay_cdf(&v, 0.1 * (i + 1) + 0.05) - lo) / (1 - lo) * 4294967296.0, 1.001);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t w = i * 4294967u, k = 0;
        while (w > p.steps.upto[k]) k++;
        CHECK_EQ(spki_steps_draw(&p.steps, w), 1 + k);
    }
    spki_proj_destroy(&mem, &p);
}

TEST(weights_pass_kolmogorov_smirnov)
{
    spk_value v[7];
    v[0] = spk_normal(87.8, 8.78);
    v[1] = spk_uniform(-3.0, 5.0);
    v[2] = spk_normal_clipped(1.0, 1.0, 0.0, 1.5);
    v[3] = spk_lognormal(0.3, 0.9);
    v[4] = spk_normal_clipped(0.0, 1.0, 4.0, 9.0); /* nothing but the upper tail */
    v[5] = spk_normal_clipped(-2.0, 1.0, -INFINITY, -2.5);
    v[6] = spk_lognormal(-1.0, 2.5);
    for (int i = 0; i < 14; i++) {
        spk_conn_desc d;
        verdict all = {0, 0, 0};
        memset(&d, 0, sizeof d);
        d.rule = i < 7 ? SPK_FIXED_TOTAL : i & 1 ? SPK_FIXED_INDEGREE : SPK_BERNOULLI;
        d.total = 30000;
        d.k = 60;
        d.p = 0.2;
        d.weight = v[i % 7];
        the_value = &v[i % 7];
        d.delay_ms = spk_normal(1.5, 0.75);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            graph g;
            double *x, quantum = ldexp(1.0, i % 7 == 6 ? -12 : -22);
            REQUIRE(draw(&g, &d, 300, 500, seed + 100 * (uint64_t)i, false, quantum));
            x = (double *)malloc(g.count * sizeof *x);
            for (uint32_t k = 0; k < g.count; k++) x[k] = g.weight[k] * quantum;
            if (i % 7 == 6) /* whole quanta would tie near 0 */
                for (uint32_t k = 0; k < g.count; k++) x[k] += quantum * (k % 97 - 48.0) / 97;
            verdict_add(&all, ks_p(x, g.count, the_cdf));
            free(x);
            graph_free(&g);
        }
        verdict_check(&all, "weights");
    }
}

TEST(weights_delays_and_targets_are_uncorrelated)
{
    spk_conn_desc d;
    memset(&d, 0, sizeof d);
    d.weight = spk_uniform(0, 1);
    d.delay_ms = spk_uniform(10, 100);
    d.total = 200000;
    d.k = 400;
    for (int rule = 0; rule < 2; rule++) {
        double sw = 0, wd = 0, wt = 0, dt = 0, lag = 0, n;
        graph g;
        d.rule = rule ? SPK_FIXED_INDEGREE : SPK_FIXED_TOTAL;
        REQUIRE(draw(&g, &d, 400, 500, 11, false, ldexp(1, -28)));
        n = g.count;
        for (uint32_t i = 0; i < g.count; i++) {
            double w = ldexp(g.weight[i], -28) - 0.5, e = (g.delay[i] - 550.0) / 900;
            double t = (g.target[i] + 0.5) / 500 - 0.5;
            sw += w;
            wd += w * e;
            wt += w * t;
            dt += e * t;
            if (i) lag += w * (ldexp(g.weight[i - 1], -28) - 0.5);
        }
        /* each product has standard deviation 1/12 */
        CHECK_NEAR(12 * wd / sqrt(n), 0, 4);
        CHECK_NEAR(12 * wt / sqrt(n), 0, 4);
        CHECK_NEAR(12 * dt / sqrt(n), 0, 4);
        CHECK_NEAR(12 * lag / sqrt(n), 0, 4);
        CHECK_NEAR(sw / sqrt(n / 12), 0, 4);
        graph_free(&g);
    }
}

/* Two synapses that shared a random word would have the same weight; among 31 bits and some 60,000
   synapses 1 pair does by chance. */
TEST(no_random_word_is_used_twice)
{
    static const uint32_t offsets_step = 1500;
    static uint32_t target[60000];
    static uint64_t offsets[41];
    for (uint32_t i = 0; i < 60000; i++) target[i] = i * 7 % 6500;
    for (uint64_t i = 0; i <= 40; i++) offsets[i] = i * offsets_step;
    for (int c = 0; c < 12; c++) {
        spk_conn_desc d;
        graph g;
        double *x;
        uint32_t same = 0, ns = 40, nt = 6500;
        memset(&d, 0, sizeof d);
        d.rule = (spk_rule)(c % 9);
        if (d.rule == SPK_COO || d.rule == SPK_CALLBACK) continue;
        d.no_multapses = c >= 9;
        if (d.no_multapses) d.rule = (spk_rule)((int)SPK_FIXED_INDEGREE + c - 9);
        d.weight = spk_uniform(0, 1);
        d.delay_ms = c % 2 ? spk_normal(1.5, 0.75) : spk_constant(1);
        d.p = 0.23;
        d.k = d.rule == SPK_FIXED_INDEGREE ? 9 : 1500;
        d.total = d.rule == SPK_CSR ? 0 : 60000;
        d.row_offsets = offsets;
        d.targets = target;
        if (d.rule == SPK_ONE_TO_ONE) ns = nt = 60000;
        if (d.rule == SPK_ALL_TO_ALL) ns = 10;
        if (c == (int)SPK_FIXED_INDEGREE) { /* draw numbers beyond 16 bits */
            d.k = 70000;
            ns = 3;
            nt = 1;
        }
        REQUIRE(draw(&g, &d, ns, nt, 1, false, ldexp(1, -31)));
        CHECK(g.count > 50000);
        x = (double *)malloc(g.count * sizeof *x);
        for (uint32_t i = 0; i < g.count; i++) x[i] = g.weight[i];
        qsort(x, g.count, sizeof *x, by_value);
        for (uint32_t i = 1; i < g.count; i++) same += x[i] == x[i - 1];
        CHECK(same < 12);
        free(x);
        graph_free(&g);
    }
}

TEST(weight_bounds_hold_for_every_word)
{
    spk_value v[4];
    v[0] = spk_normal(-10, 2);
    v[1] = spk_lognormal(0, 1);
    v[2] = spk_normal_clipped(0, 1, 2, 3);
    v[3] = spk_uniform(2, 4);
    for (int i = 0; i < 4; i++) {
        spk_conn_desc d;
        spki_mem mem;
        spki_proj p;
        char why[256] = "";
        double lo, hi, x, last = -INFINITY;
        memset(&d, 0, sizeof d);
        d.weight = v[i];
        REQUIRE(make(&mem, &p, &d, 1, 1, 0, true, why) == SPK_OK);
        spki_proj_weight_range(&p, &lo, &hi);
        CHECK(lo < hi);
        if (i == 0) CHECK_NEAR(lo, -10 + 2 * -6.3381, 1e-3); /* quantile of 2^-33 */
        if (i >= 2) CHECK(lo >= 2 && hi <= (i == 2 ? 3 : 4));
        for (uint64_t w = 0; i < 3 && w < UINT64_C(1) << 32; w += 65521) {
            x = spki_weight_from_word(&p, (uint32_t)w);
            CHECK(x >= lo && x <= hi && x >= last);
            last = x;
            CHECK_NEAR(x, spki_quantile_at(&p.weight_quantile, ldexp((double)w + 0.5, -32)),
                       i == 1 ? 1.3e-4 : 3e-5); /* h^2 f'' / 8 at 1/64 */
        }
        spki_proj_destroy(&mem, &p);
    }
}

TEST(weights_round_half_to_even_and_are_clamped)
{
    static const double w[] = {0.5, 1.5, 2.5, -0.5, -1.5, 2.49, 1e9, -1e9};
    static const int32_t want[] = {0, 2, 2, 0, -2, 2, 100, -100};
    spk_conn_desc d;
    spki_mem mem;
    spki_proj p;
    graph g;
    char why[256] = "";
    memset(&d, 0, sizeof d);
    d.weight = spk_array(w, 8);
    REQUIRE(make(&mem, &p, &d, 8, 8, 0, false, why) == SPK_OK);
    spki_proj_set_quantum(&p, 1.0, 100);
    REQUIRE(graph_draw(&g, &p, 0, 8) == SPK_OK);
    for (int i = 0; i < 8; i++) CHECK(g.weight[i] == want[i]);
    graph_free(&g);
    spki_proj_destroy(&mem, &p);
    d.weight = spk_constant(-2.25);
    REQUIRE(make(&mem, &p, &d, 8, 8, 0, false, why) == SPK_OK);
    spki_proj_set_quantum(&p, 0.125, 1000);
    REQUIRE(graph_draw(&g, &p, 0, 8) == SPK_OK);
    CHECK(g.weight[7] == -18);
    graph_free(&g);
    spki_proj_destroy(&mem, &p);
}

TEST_MAIN()
