/* What the tests of connectivity share: p-values, and whole projections drawn at once. */
#ifndef TESTS_CONNECTIVITY_H
#define TESTS_CONNECTIVITY_H

#include "../src/net/projections.h"
#include "check.h"

#include <math.h>

#define SEEDS 20
#define P_MIN 1e-4

/* -- p-values -- */

#define SHARED __attribute__((unused)) static /* not every test uses all of it */

/* Regularised upper incomplete gamma function: series or Lentz's continued fraction. */
SHARED double gamma_q(double a, double x)
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
SHARED double chi2_p(const double *seen, const double *p, size_t bins, double n)
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

SHARED int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Kolmogorov-Smirnov of a sample against a distribution function (sorts the sample). */
SHARED double ks_p(double *x, size_t n, double (*cdf)(double))
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

SHARED void verdict_add(verdict *v, double p)
{
    if (v->n++ == 0 || p < v->worst) v->worst = p;
    v->log_sum += -2.0 * log(fmax(p, 1e-300));
}

SHARED void verdict_check(const verdict *v, const char *what)
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

SHARED double binomial_pmf(double n, double k, double p)
{
    if (k < 0 || k > n) return 0.0;
    if (p <= 0.0 || p >= 1.0) return k == (p <= 0.0 ? 0.0 : n);
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) +
               (n - k) * log1p(-p));
}

/* k marked among n drawn without replacement from all, of which `marked` are marked. */
SHARED double hypergeometric_pmf(double all, double marked, double n, double k)
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

SHARED void graph_free(graph *g)
{
    free(g->row);
    free(g->target);
    free(g->in);
    free(g->out);
    free(g->weight);
    free(g->delay);
    memset(g, 0, sizeof *g);
}

SHARED uint32_t self_shifted(const void *ctx, uint32_t s)
{
    return s - *(const uint32_t *)ctx; /* wraps to something outside the view */
}

/* Draws [t0, t1) of a compiled projection. Returns the first error. */
SHARED spk_result graph_draw(graph *g, const spki_proj *p, uint32_t t0, uint32_t t1)
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

SHARED spk_result make(spki_mem *mem, spki_proj *p, const spk_conn_desc *d, uint32_t n_source,
                       uint32_t n_target, uint64_t seed, bool same_view, char *why)
{
    spki_mem_init(mem, NULL, 0);
    return spki_proj_create(mem, p, d, n_source, n_target, 0.1, 1024, seed, 5, same_view, NULL,
                            NULL, NULL, why, 256);
}

/* Compiles and draws all of it; the views are one view. */
SHARED bool draw(graph *g, const spk_conn_desc *d, uint32_t n_source, uint32_t n_target,
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

SHARED bool has_autapse(const graph *g)
{
    uint32_t s, i;
    for (s = 0; s < g->n_source; s++)
        for (i = g->row[s]; i < g->row[s + 1]; i++)
            if (g->target[i] == s) return true;
    return false;
}

SHARED bool has_multapse(const graph *g)
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
SHARED double degrees_p(const uint32_t *degree, uint32_t n, const double *pmf, size_t bins)
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
SHARED double binomial_p(const uint32_t *degree, uint32_t n, double trials, double p)
{
    static double pmf[BINS];
    for (int k = 0; k < BINS; k++) pmf[k] = binomial_pmf(trials, k, p);
    return degrees_p(degree, n, pmf, BINS);
}

/* -- delays -- */

SHARED double normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0));
}

/* P(step k) is the share that rounds to k, given that it rounds to 1 .. 1024 steps of 0.1 ms. */
SHARED double delay_cdf(const spk_value *v, double x)
{
    if (v->kind == SPK_VALUE_UNIFORM) return fmin(fmax((x - v->a) / (v->b - v->a), 0.0), 1.0);
    if (v->kind == SPK_VALUE_LOGNORMAL) return x <= 0 ? 0 : normal_cdf((log(x) - v->a) / v->b);
    x = fmin(fmax(x, v->lo), v->hi);
    return (normal_cdf((x - v->a) / v->b) - normal_cdf((v->lo - v->a) / v->b)) /
           (normal_cdf((v->hi - v->a) / v->b) - normal_cdf((v->lo - v->a) / v->b));
}

SHARED const spk_value *the_value;
SHARED double the_cdf(double x)
{
    return delay_cdf(the_value, x);
}

#endif
