/* ---- >>construct: are the rows that a device draws those that the host draws? ----
   To be included after the implementation and a header of devices. Every word of the device's
   memory is compared, and all that the host knows of its tiles. */
#ifndef SPIKELIB_TESTS_CONSTRUCT_H
#define SPIKELIB_TESTS_CONSTRUCT_H

#include <math.h>

typedef spk_backend *(*construct_backend)(spk_construction where, uint32_t tiles, uint32_t devices);

static void construct_link(spk_net *net, spk_pop from, spk_pop to, spk_rule rule, double number,
                           spk_value weight, spk_value delay, bool no_autapses)
{
    spk_conn_desc c;
    memset(&c, 0, sizeof c);
    c.rule = rule;
    c.p = rule == SPK_BERNOULLI ? number : 0.0;
    c.k = (size_t)number;
    c.total = rule == SPK_FIXED_TOTAL ? (uint64_t)number : 0;
    c.weight = weight;
    c.delay_ms = delay;
    c.no_autapses = no_autapses;
    (void)spk_net_connect(net, from, to, &c);
}

/* Networks that between them have every rule, kind of value and size of row. */
enum { CONSTRUCT_NETS = 8 };

static spk_pop construct_describe(spk_net *net, int which)
{
    const spk_value narrow = spk_normal(2.0, 0.2), delays = spk_normal(1.5, 0.75);
    spk_pop a = spk_net_add(net, "a", which == 1 ? 9000 : which == 2 ? 1500 : 700, SPK_LIF_EXP,
                            NULL);
    spk_pop b = spk_net_add(net, "b", 260, SPK_LIF_EXP, NULL);
    spk_pop e = spk_net_add(net, "e", 77, SPK_LIF_EXP2, NULL); /* two receptors, by sign */
    spk_pop c = spk_net_add(net, "c", 130, SPK_LIF_COND, NULL); /* takes magnitudes */
    spk_pop all = spk_net_union(net, a, b), some = spk_net_slice(net, a, 100, 300);
    switch (which) {
    case 0: /* all rules between views that share neurons */
        construct_link(net, spk_net_slice(net, a, 440, 260), b, SPK_ONE_TO_ONE, 0, spk_constant(1),
                       spk_constant(0.3), false);
        construct_link(net, some, some, SPK_ONE_TO_ONE, 0, spk_uniform(1, 3), delays, false);
        construct_link(net, some, some, SPK_ONE_TO_ONE, 0, spk_constant(3), delays, true);
        construct_link(net, some, a, SPK_ALL_TO_ALL, 0, narrow, spk_uniform(0.1, 4.0), true);
        construct_link(net, all, some, SPK_BERNOULLI, 0.1, spk_uniform(-3, 2), delays, true);
        construct_link(net, all, all, SPK_FIXED_OUTDEGREE, 13, spk_lognormal(0.2, 0.05), delays,
                       true);
        construct_link(net, b, all, SPK_FIXED_TOTAL, 30000, spk_constant(-1.5), delays, true);
        construct_link(net, all, b, SPK_FIXED_INDEGREE, 40, spk_normal_clipped(2.0, 0.2, 1.9, 9.0),
                       delays, true);
        construct_link(net, all, c, SPK_FIXED_TOTAL, 9000, spk_uniform(-1, 3), delays, false);
        construct_link(net, all, e, SPK_BERNOULLI, 0.2, spk_uniform(-1, 1), delays, false);
        break;
    case 1: /* targets of several blocks and leaves */
        construct_link(net, some, all, SPK_BERNOULLI, 0.02, narrow, delays, false);
        construct_link(net, all, all, SPK_FIXED_OUTDEGREE, 30, narrow, spk_constant(1.5), true);
        construct_link(net, b, b, SPK_BERNOULLI, 0.0, narrow, delays, false);
        break;
    case 2: /* rows of thousands, which are split by tables of 1,024 coins */
        construct_link(net, some, a, SPK_FIXED_OUTDEGREE, 5000, narrow, delays, false);
        construct_link(net, b, a, SPK_FIXED_TOTAL, 400000, spk_constant(0.5), spk_constant(2),
                       true);
        break;
    case 3: /* drawn by target */
        construct_link(net, a, a, SPK_FIXED_INDEGREE, 90, spk_uniform(-1, 4), delays, true);
        construct_link(net, all, some, SPK_FIXED_INDEGREE, 1, narrow, spk_constant(0.1), true);
        construct_link(net, b, b, SPK_FIXED_INDEGREE, 300, spk_constant(1), delays, false);
        break;
    case 4: /* many synapses of one delay, and delays far apart: entries without synapses */
        construct_link(net, a, a, SPK_ALL_TO_ALL, 0, narrow, spk_constant(30.0), false);
        construct_link(net, b, all, SPK_ALL_TO_ALL, 0, spk_constant(1), spk_constant(70.0), true);
        construct_link(net, b, a, SPK_BERNOULLI, 0.01, narrow, spk_constant(0.1), false);
        break;
    case 5: /* more chosen than not */
        construct_link(net, all, a, SPK_BERNOULLI, 0.7, narrow, delays, true);
        construct_link(net, a, b, SPK_BERNOULLI, 1.0, narrow, delays, false);
        break;
    case 6: /* one synapse, and neurons without any */
        construct_link(net, spk_net_slice(net, a, 699, 1), b, SPK_FIXED_TOTAL, 1, narrow, delays,
                       false);
        break;
    default: /* entries of more than 65,535 synapses cannot be, of more than 255 can */
        construct_link(net, some, b, SPK_FIXED_OUTDEGREE, 3000, spk_constant(1), spk_constant(9),
                       false);
        construct_link(net, some, a, SPK_FIXED_OUTDEGREE, 2, spk_constant(1), spk_constant(5),
                       false);
        break;
    }
    return spk_net_union(net, spk_net_union(net, all, c), e);
}

static spk_net *construct_net(spk_backend *backend, int which, uint32_t weight_bits, spk_pop *all)
{
    spk_net_desc d;
    memset(&d, 0, sizeof d);
    d.seed = 11;
    d.backend = backend;
    d.weight_bits = weight_bits;
    spk_net *net = spk_net_create(&d);
    *all = construct_describe(net, which);
    return net;
}

/* What devices hold: the words of all tiles, then all rows' places. */
static uint64_t construct_digest(spk_net *net, size_t *words)
{
    const spki_gpu_net *g = (const spki_gpu_net *)net->backend;
    uint64_t digest = 0;
    *words = 0;
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = (spki_gpu_part *)(uintptr_t)&g->part[k];
        for (uint32_t s = 0; s <= part->segments; s++) {
            const bool rows = s == part->segments;
            const size_t n = rows ? (size_t)part->tiles * net->neurons
                                  : (size_t)part->segment[s].words;
            uint32_t *x = (uint32_t *)malloc(n * 4 + 4);
            CHECK_EQ(part->gpu.api->read(&part->gpu,
                                         rows ? part->rows.mem : part->segment[s].block.mem, 0, x,
                                         n * 4, NULL),
                     SPK_OK);
            digest = spk_xxh64(x, n * 4, digest);
            *words += rows ? 0 : n;
            free(x);
        }
    }
    return digest;
}

static uint64_t construct_synapses(spk_net *net, spk_pop all)
{
    uint64_t digest = 0;
    size_t n = 0;
    CHECK_EQ(spk_net_synapses(net, all, all, NULL, 0, &n), SPK_OK);
    spk_synapse *s = (spk_synapse *)malloc((n + 1) * sizeof *s);
    CHECK_EQ(spk_net_synapses(net, all, all, s, n, &n), SPK_OK);
    for (size_t k = 0; k < n; k++) {
        const double x[4] = {s[k].source, s[k].target, s[k].weight, s[k].delay_steps};
        digest = spk_xxh64(x, sizeof x, digest);
    }
    free(s);
    return digest;
}

/* All that is left of drawing a network's rows. */
typedef struct construct_facts {
    uint64_t rows, synapses;
    size_t words;
    uint32_t tiles, accumulator_bits, min_delay, max_delay;
    spki_tile tile[64];
    uint64_t outdegrees;
} construct_facts;

static void construct_build(spk_backend *backend, bool device, int which, uint32_t weight_bits,
                            construct_facts *f)
{
    static char text[8000];
    spk_pop all;
    spk_net *net = construct_net(backend, which, weight_bits, &all);
    memset(f, 0, sizeof *f);
    CHECK_EQ(spk_net_build(net), SPK_OK);
    CHECK_STR(spk_net_error(net), "");
    (void)spk_net_describe(net, text, sizeof text);
    CHECK_EQ(strstr(text, "rows drawn there") != NULL, device);
    CHECK_EQ(net->elsewhere, device);
    REQUIRE(net->backend && net->tiles <= 64);
    f->tiles = net->tiles;
    f->accumulator_bits = net->accumulator_bits;
    f->min_delay = net->min_delay;
    f->max_delay = net->max_delay;
    memcpy(f->tile, net->tile, net->tiles * sizeof *f->tile);
    f->outdegrees = spk_xxh64(((const spki_gpu_net *)net->backend)->outdegree, net->neurons * 4, 0);
    f->rows = construct_digest(net, &f->words);
    f->synapses = construct_synapses(net, all); /* which the host draws now, if it has not */
    CHECK(!net->elsewhere);
    spk_net_destroy(net);
}

/* One network, drawn by the host and by devices; returns how many tiles have flat rows. */
static uint32_t construct_compare(construct_backend backend, int which, uint32_t weight_bits,
                              uint32_t tiles, uint32_t devices)
{
    static construct_facts host, own;
    construct_build(backend(SPK_CONSTRUCTION_HOST, tiles, devices), false, which, weight_bits,
                    &host);
    construct_build(backend(SPK_CONSTRUCTION_DEVICE, tiles, devices), true, which, weight_bits,
                    &own);
    CHECK(host.words > 1);
    CHECK_EQ(own.rows, host.rows);
    CHECK_EQ(own.words, host.words);
    CHECK_EQ(own.synapses, host.synapses);
    CHECK_EQ(own.outdegrees, host.outdegrees);
    CHECK_EQ(own.accumulator_bits, host.accumulator_bits);
    CHECK_EQ(own.min_delay, host.min_delay);
    CHECK_EQ(own.max_delay, host.max_delay);
    CHECK_EQ(own.tiles, host.tiles);
    uint32_t flat = 0;
    for (uint32_t t = 0; t < own.tiles && t < host.tiles; t++) {
        const spki_tile *a = &own.tile[t], *b = &host.tile[t];
        CHECK_EQ(a->synapses, b->synapses);
        CHECK_EQ(a->buckets, b->buckets);
        CHECK_EQ(a->count_bytes, b->count_bytes);
        CHECK_EQ(a->min_delay, b->min_delay);
        CHECK_EQ(a->max_delay, b->max_delay);
        CHECK_EQ(a->device_words, b->device_words);
        CHECK_EQ(a->flat, b->flat);
        flat += a->flat != 0;
    }
    return flat;
}

#endif
