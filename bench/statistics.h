/* ---- >>statistics: rates, irregularity and synchrony of populations ---- */
#ifndef SPKBENCH_STATISTICS_H
#define SPKBENCH_STATISTICS_H

#include "../spikelib.h"

#include <math.h>

enum { GROUPS_MAX = 8 };

typedef struct neuron_stat {
    uint64_t last; /* step of the latest spike */
    uint32_t count;
    double sum, squares; /* of the intervals, in steps */
} neuron_stat;

typedef struct statistics {
    size_t groups, neurons, bins;
    uint32_t first[GROUPS_MAX], end[GROUPS_MAX];
    uint64_t begin, bin_steps; /* step at which the window begins; steps in 3 ms */
    double window_ms;
    neuron_stat *neuron;
    uint32_t *bin[GROUPS_MAX];
    double rates_hz[GROUPS_MAX], cv_isi[GROUPS_MAX], synchrony[GROUPS_MAX];
} statistics;

static void statistics_free(statistics *s)
{
    size_t g;
    free(s->neuron);
    for (g = 0; g < s->groups; g++) free(s->bin[g]);
}

/* The groups are whole populations, which have consecutive ids. False without memory. */
static bool statistics_begin(statistics *s, const spk_net *net, const spk_pop *pop, size_t groups,
                             double dt_ms, double window_ms)
{
    size_t g;
    bool ok;
    memset(s, 0, sizeof *s);
    s->groups = groups;
    s->begin = spk_net_step(net);
    s->window_ms = window_ms;
    s->bin_steps = (uint64_t)(3.0 / dt_ms + 0.5);
    s->bins = (size_t)(window_ms / dt_ms + 0.5) / s->bin_steps;
    for (g = 0; g < groups; g++) {
        s->first[g] = spk_net_pop_id(net, pop[g], 0);
        s->end[g] = s->first[g] + (uint32_t)spk_net_pop_size(net, pop[g]);
        if (s->end[g] > s->neurons) s->neurons = s->end[g];
    }
    s->neuron = (neuron_stat *)calloc(s->neurons + 1, sizeof *s->neuron);
    ok = s->neuron != NULL;
    for (g = 0; g < groups; g++) {
        s->bin[g] = (uint32_t *)calloc(s->bins + 1, sizeof(uint32_t));
        ok = ok && s->bin[g] != NULL;
    }
    return ok;
}

static void statistics_add(statistics *s, const spk_spike *spikes, size_t count)
{
    size_t i, g;
    for (i = 0; i < count; i++) {
        uint32_t id = spikes[i].neuron;
        uint64_t step = spikes[i].step, bin = (step - s->begin - 1) / s->bin_steps;
        neuron_stat *n = &s->neuron[id < s->neurons ? id : s->neurons];
        if (n->count++ > 0) {
            double interval = (double)(step - n->last);
            n->sum += interval;
            n->squares += interval * interval;
        }
        n->last = step;
        for (g = 0; g < s->groups; g++)
            if (id >= s->first[g] && id < s->end[g] && id < s->first[g] + 1000 && bin < s->bins)
                s->bin[g][bin]++;
    }
}

static double variance_by_mean(const uint32_t *counts, size_t n)
{
    double sum = 0.0, squares = 0.0, mean;
    size_t i;
    for (i = 0; i < n; i++) {
        sum += counts[i];
        squares += (double)counts[i] * counts[i];
    }
    if (n == 0 || sum == 0.0) return 0.0;
    mean = sum / (double)n;
    return (squares / (double)n - mean * mean) / mean;
}

static void statistics_end(statistics *s)
{
    size_t g, i;
    for (g = 0; g < s->groups; g++) {
        double spikes = 0.0, cv = 0.0, size = (double)(s->end[g] - s->first[g]);
        size_t counted = 0;
        for (i = s->first[g]; i < s->end[g]; i++) {
            const neuron_stat *n = &s->neuron[i];
            double intervals = (double)n->count - 1.0, mean, variance;
            spikes += n->count;
            if (n->count < 3) continue;
            mean = n->sum / intervals;
            variance = n->squares / intervals - mean * mean;
            cv += sqrt(variance > 0.0 ? variance : 0.0) / mean;
            counted++;
        }
        s->rates_hz[g] = size > 0.0 ? 1000.0 * spikes / size / s->window_ms : 0.0;
        s->cv_isi[g] = counted ? cv / (double)counted : 0.0;
        s->synchrony[g] = variance_by_mean(s->bin[g], s->bins);
    }
}

#endif
