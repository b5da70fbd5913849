/* Connectivity: that rows are drawn from the distributions they promise, in whatever pieces. The
   references are closed forms in double precision with libm; a p-value below 1e-4 in any of 20
   fixed seeds is a failure, and so is one of all seeds together (Fisher's method). */
#include "../src/net/projections.h"
#include "check.h"

#include <math.h>

#define SEEDS 20
#define P_MIN 1e-4

/* -- p-values -- */

/* Regularised upper incomplete gamma function: series or Lentz's continued fraction. */
static double gamma_q(double a, double x)
{
    double scale, sum, term, b, c, d, h;
    int i;
    if (x <= 0.0) return 1.0;
    scale = exp(a * log(x) - x - lgamma(a));
    if (x < a + 1.0) {
        sum = term = 1.0 / a;
        for (i = 1; i < 10000 && term > 1e-16 * sum; i++) sum += term *= x / (a + i);
        return 1.0 - scale * sum;
    }
    b = x + 1.0 - a;
    c = 1e300;
    h = d = 1.0 / b;
    for (i = 1; i < 10000; i++) {
        double an = -i * (i - a), step;
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        step = c * d;
        h *= step;
        if (fabs(step - 1.0) < 1e-15) break;
    }
    return scale * h;
}

/* Chi-squared of counts against probabilities; neighbours are pooled up to 8 expected. What the
   probabilities lack of 1 is one more bin, for what fell outside. */
static double chi2_p(const double *seen, const double *p, size_t bins, double n)
{
    double x2 = 0.0, o = 0.0, e = 0.0, all = 0.0, counted = 0.0;
    size_t i;
    int cells = 0;
    for (i = 0; i < bins; i++) {
        o += seen[i];
        e += p[i] * n;
        all += p[i];
        counted += seen[i];
        if (e < 8.0 || (1.0 - all) * n < 8.0) continue;
        x2 += (o - e) * (o - e) / e;
        o = e = 0.0;
        cells++;
    }
    o += n - counted;
    e += (1.0 - all) * n;
    if (e > 1.0) {
        x2 += (o - e) * (o - e) / e;
        cells++;
    } else if (o > 20.0) {
        return 0.0; /* much where nothing is expected */
    }
    return cells < 2 ? 1.0 : gamma_q((cells - 1) / 2.0, x2 / 2.0);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Kolmogorov-Smirnov of a sample against a distribution function (sorts the sample). */
static double ks_p(double *x, size_t n, double (*cdf)(double))
{
    double d = 0.0, l, sum = 0.0;
    size_t i;
    int k;
    qsort(x, n, sizeof *x, by_value);
    for (i = 0; i < n; i++) {
        double f = cdf(x[i]);
        d = fmax(d, fmax((double)(i + 1) / (double)n - f, f - (double)i / (double)n));
    }
    l = (sqrt((double)n) + 0.12 + 0.11 / sqrt((double)n)) * d;
    if (l < 0.2) return 1.0;
    for (k = 1; k < 100; k++) sum += (k & 1 ? 2.0 : -2.0) * exp(-2.0 * k * k * l * l);
    return sum;
}

/* The smallest p-value of the seeds, and all of them together. */
typedef struct verdict {
    double worst, log_sum;
    int n;
} verdict;

static void verdict_add(verdict *v, double p)
{
    if (v->n++ == 0 || p < v->worst) v->worst = p;
    v->log_sum += -2.0 * log(fmax(p, 1e-300));
}

static void verdict_check(const verdict *v, const char *what)
{
    double together = gamma_q(v->n, v->log_sum / 2.0);
    if (getenv("SPIKELIB_TEST_VERBOSE"))
        printf("   %-44s smallest p %.3g of %d, together %.3g\n", what, v->worst, v->n, together);
    if (!(v->worst > P_MIN) || !(together > P_MIN)) {
        printf("   %s: smallest p %.3g of %d, together %.3g\n", what, v->worst, v->n, together);
        CHECK(v->worst > P_MIN);
        CHECK(together > P_MIN);
    }
}

static double binomial_pmf(double n, double k, double p)
{
    if (k < 0 || k > n) return 0.0;
    if (p <= 0.0 || p >= 1.0) return k == (p <= 0.0 ? 0.0 : n);
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) +
               (n - k) * log1p(-p));
}

/* k marked among n drawn without replacement from all, of which `marked` are marked. */
static double hypergeometric_pmf(double all, double marked, double n, double k)
{
    if (k < 0 || k > n || k > marked || n - k > all - marked) return 0.0;
    return exp(lgamma(marked + 1) - lgamma(k + 1) - lgamma(marked - k + 1) +
               lgamma(all - marked + 1) - lgamma(n - k + 1) - lgamma(all - marked - n + k + 1) -
               lgamma(all + 1) + lgamma(n + 1) + lgamma(all - n + 1));
}

/* -- drawing whole projections -- */

typedef struct graph {
    uint32_t n_source, n_target;
    uint32_t *row; /* n_source + 1 */
    uint32_t *target, *in, *out;
    int32_t *weight;
    uint16_t *delay;
    uint32_t count, capacity;
} graph;

static void graph_free(graph *g)
{
    free(g->row);
    free(g->target);
    free(g->in);
    free(g->out);
    free(g->weight);
    free(g->delay);
    memset(g, 0, sizeof *g);
}

static uint32_t self_shifted(const void *ctx, uint32_t s)
{
    return s - *(const uint32_t *)ctx; /* wraps to something outside the view */
}

/* Draws [t0, t1) of a compiled projection. Returns the first error. */
static spk_result graph_draw(graph *g, const spki_proj *p, uint32_t t0, uint32_t t1)
{
    void *scratch = malloc(spki_proj_scratch_size(p));
    size_t bytes = spki_proj_index_bytes(p, t0, t1);
    void *index = bytes ? malloc(bytes) : NULL;
    spk_result result = SPK_OK;
    uint32_t s, i;
    memset(g, 0, sizeof *g);
    g->n_source = p->n_source;
    g->n_target = p->n_target;
    g->row = (uint32_t *)calloc((size_t)p->n_source + 1, 4);
    g->in = (uint32_t *)calloc((size_t)p->n_target + 1, 4);
    g->out = (uint32_t *)calloc((size_t)p->n_source + 1, 4);
    if (index) spki_proj_index_build(p, t0, t1, index);
    for (s = 0; s < p->n_source && result == SPK_OK; s++) {
        spki_edges e;
        do {
            e.target = g->target;
            e.weight = g->weight;
            e.delay = g->delay;
            e.count = g->count;
            e.capacity = g->capacity;
            result = spki_proj_row(p, index, scratch, s, t0, t1, &e);
            if (result != SPK_ERR_FULL) break;
            CHECK(e.count == g->count);
            g->capacity = g->capacity * 2 + 100;
            g->target = (uint32_t *)realloc(g->target, (size_t)g->capacity * 4);
            g->weight = (int32_t *)realloc(g->weight, (size_t)g->capacity * 4);
            g->delay = (uint16_t *)realloc(g->delay, (size_t)g->capacity * 2);
        } while (1);
        for (i = g->count; i < e.count; i++) {
            CHECK(e.target[i] >= t0 && e.target[i] < t1);
            g->in[e.target[i]]++;
        }
        g->out[s] = e.count - g->count;
        g->count = g->row[s + 1] = e.count;
    }
    free(scratch);
    free(index);
    return result;
}

static spk_result make(spki_mem *mem, spki_proj *p, const spk_conn_desc *d, uint32_t n_source,
                       uint32_t n_target, uint64_t seed, bool same_view, char *why)
{
    spki_mem_init(mem, NULL, 0);
    return spki_proj_create(mem, p, d, n_source, n_target, 0.1, 1024, seed, 5, same_view, NULL,
                            NULL, NULL, why, 256);
}

/* Compiles and draws all of it; the views are one view. */
static bool draw(graph *g, const spk_conn_desc *d, uint32_t n_source, uint32_t n_target,
                 uint64_t seed, bool same_view, double quantum)
{
    spki_mem mem;
    spki_proj p;
    char why[256] = "";
    spk_result result = make(&mem, &p, d, n_source, n_target, seed, same_view, why);
    CHECK_STR(why, "");
    memset(g, 0, sizeof *g);
    if (result != SPK_OK) return false;
    spki_proj_set_quantum(&p, quantum, INT32_MAX);
    result = graph_draw(g, &p, 0, n_target);
    CHECK(result == SPK_OK);
    CHECK(g->count <= spki_proj_expected_row_total(&p, 0, n_target));
    for (uint32_t s = 0; s < n_source; s++) CHECK(g->out[s] <= spki_proj_max_row(&p));
    spki_proj_destroy(&mem, &p);
    CHECK_EQ(mem.now, 0);
    return true;
}

static bool has_autapse(const graph *g)
{
    uint32_t s, i;
    for (s = 0; s < g->n_source; s++)
        for (i = g->row[s]; i < g->row[s + 1]; i++)
            if (g->target[i] == s) return true;
    return false;
}

static bool has_multapse(const graph *g)
{
    uint32_t *seen = (uint32_t *)calloc(g->n_target, 4), s, i;
    bool found = false;
    for (s = 0; s < g->n_source; s++)
        for (i = g->row[s]; i < g->row[s + 1]; i++) {
            found = found || seen[g->target[i]] == s + 1;
            seen[g->target[i]] = s + 1;
        }
    free(seen);
    return found;
}

/* p-value of degrees against a distribution given by its probabilities of 0, 1, ... */
static double degrees_p(const uint32_t *degree, uint32_t n, const double *pmf, size_t bins)
{
    double *seen = (double *)calloc(bins, sizeof *seen), p;
    uint32_t i;
    for (i = 0; i < n; i++)
        if (degree[i] < bins) seen[degree[i]] += 1.0;
    p = chi2_p(seen, pmf, bins, n);
    free(seen);
    return p;
}

#define BINS 4096
static double binomial_p(const uint32_t *degree, uint32_t n, double trials, double p)
{
    static double pmf[BINS];
    for (int k = 0; k < BINS; k++) pmf[k] = binomial_pmf(trials, k, p);
    return degrees_p(degree, n, pmf, BINS);
}

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

static double normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0));
}

/* P(step k) is the share that rounds to k, given that it rounds to 1 .. 1024 steps of 0.1 ms. */
static double delay_cdf(const spk_value *v, double x)
{
    if (v->kind == SPK_VALUE_UNIFORM) return fmin(fmax((x - v->a) / (v->b - v->a), 0.0), 1.0);
    if (v->kind == SPK_VALUE_LOGNORMAL) return x <= 0 ? 0 : normal_cdf((log(x) - v->a) / v->b);
    x = fmin(fmax(x, v->lo), v->hi);
    return (normal_cdf((x - v->a) / v->b) - normal_cdf((v->lo - v->a) / v->b)) /
           (normal_cdf((v->hi - v->a) / v->b) - normal_cdf((v->lo - v->a) / v->b));
}

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

static const spk_value *the_value;
static double the_cdf(double x)
{
    return delay_cdf(the_value, x);
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
        double sw = 0, sd = 0, st = 0, wd = 0, wt = 0, dt = 0, lag = 0, n;
        graph g;
        d.rule = rule ? SPK_FIXED_INDEGREE : SPK_FIXED_TOTAL;
        REQUIRE(draw(&g, &d, 400, 500, 11, false, ldexp(1, -28)));
        n = g.count;
        for (uint32_t i = 0; i < g.count; i++) {
            double w = ldexp(g.weight[i], -28) - 0.5, e = (g.delay[i] - 550.0) / 900;
            double t = (g.target[i] + 0.5) / 500 - 0.5;
            sw += w;
            sd += e;
            st += t;
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
