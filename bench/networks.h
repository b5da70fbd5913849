/* ---- >>networks: the published networks, described by the examples and measured here ---- */
#ifndef SPKBENCH_NETWORKS_H
#define SPKBENCH_NETWORKS_H

#define SPIKELIB_EXAMPLE_PART
#include "../examples/brunel.c"
#include "../examples/coba.c"
#include "../examples/cuba.c"
#include "../examples/izhikevich1000.c"
#include "../examples/microcircuit.c"

#include "beside.h"
#include "noise.h"
#include "statistics.h"

/* An executor that runs all parts of a loop here, in turn, and knows how long they would have taken
   side by side. */
typedef struct in_turn {
    double critical_s; /* the longest part of each loop, summed up */
} in_turn;

enum { RUNS_MAX = 100 };

/* What was run and what came out. */
typedef struct measurement {
    spk_net *net;
    spk_pop pop[GROUPS_MAX];
    size_t groups;
    double dt_ms, sim_s, total_s; /* of the median run, of all */
    double run_s[RUNS_MAX], others;
    size_t runs;
    in_turn turn;
    double critical_s; /* of the measured time, with --in-turn */
    double beside_s; /* the same time once more, beside busy loops; 0: not measured */
    spk_rec rec;
    spk_net_info built, before, done; /* after building, warming up and running */
    uint64_t events, spikes, digest; /* within the measured time; of warm-up and measured time */
    statistics stats;
} measurement;

typedef void (*progress_fn)(const char *what, double done);

static spk_pop union_of(spk_net *net, const spk_pop *pop, size_t count)
{
    spk_pop all = pop[0];
    size_t k;
    for (k = 1; k < count; k++) all = spk_net_union(net, all, pop[k]);
    return all;
}

/* Runs in pieces, forgetting the spikes of each once they were seen; only the runs are timed. */
static spk_result measure_piecewise(measurement *m, const char *what, double ms, double *timed,
                                    statistics *stats, progress_fn progress)
{
    double done = 0.0;
    while (done < ms) {
        double piece = ms - done < 100.0 ? ms - done : 100.0, start = spk_clock_seconds();
        spk_result result = spk_net_run(m->net, piece);
        size_t count;
        const spk_spike *spikes;
        if (result != SPK_OK) return result;
        *timed += spk_clock_seconds() - start;
        spikes = spk_rec_spikes(m->rec, &count);
        if (stats) statistics_add(stats, spikes, count);
        spk_rec_clear(m->rec);
        done += piece;
        if (progress) progress(what, done / ms);
    }
    return SPK_OK;
}

static int measure_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Builds the network that was described, warms it up, measures m->runs times (0: once), and once
   more where others are to want the cores (NULL: none). The caller destroys the network and frees
   the statistics. */
static spk_result measure(measurement *m, double warmup_ms, double ms, beside *others,
                          progress_fn progress)
{
    spk_result result;
    const size_t runs = m->runs ? m->runs : 1;
    double warm_s = 0.0;
    noise before;
    size_t k;
    m->rec = spk_net_record_spikes(m->net, union_of(m->net, m->pop, m->groups));
    if (progress) progress("building", 0.0);
    result = spk_net_build(m->net);
    if (result != SPK_OK) return result;
    spk_net_get_info(m->net, &m->built);
    result = measure_piecewise(m, "warm-up", warmup_ms, &warm_s, NULL, progress);
    if (result != SPK_OK) return result;
    if (!statistics_begin(&m->stats, m->net, m->pop, m->groups, m->dt_ms,
                          ms * (double)runs))
        return SPK_ERR_OUT_OF_MEMORY;
    spk_net_get_info(m->net, &m->before);
    m->turn.critical_s = 0.0;
    before = noise_now();
    m->runs = runs;
    for (k = 0; k < m->runs && result == SPK_OK; k++) {
        result = measure_piecewise(m, "running", ms, &m->run_s[k], &m->stats, progress);
        m->total_s += m->run_s[k];
    }
    m->others = noise_since(&before);
    qsort(m->run_s, m->runs, sizeof m->run_s[0], measure_order);
    m->sim_s = 0.5 * (m->run_s[(m->runs - 1) / 2] + m->run_s[m->runs / 2]);
    m->critical_s = m->turn.critical_s;
    spk_net_get_info(m->net, &m->done);
    m->events = m->done.events - m->before.events;
    m->spikes = spk_rec_count(m->rec);
    m->digest = spk_rec_digest(m->rec);
    statistics_end(&m->stats);
    if (result != SPK_OK || !others || others->count == 0) return result;
    beside_go(others);
    return measure_piecewise(m, "beside", ms, &m->beside_s, NULL, progress);
}

#endif
