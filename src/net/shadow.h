/* ---- >>shadow: a sample of neurons whose states have 16 bits runs with 32 bits besides ----
   Some groups of 64 neurons of each population have a second set of states, of 32 bits, which gets
   the same parameters and the same inputs in each step and whose spikes go nowhere. Each window
   the two are compared: spikes, and the distance of the membrane potentials. Within the
   tolerances the shadow begins anew from the states of 16 bits, so that it measures what a window
   does to them; outside, all states go over to 32 bits. Both happen at steps that the descriptor
   alone determines, in arithmetic that all backends share, so that the spikes stay those of every
   thread count and device.

   A slot holds what one group has, 64 words each: its states, the sum of the distances, the spikes
   of the 16-bit neurons, and those of the shadow. */
#ifndef SPIKELIB_NET_SHADOW_H
#define SPIKELIB_NET_SHADOW_H

#include "prepare.h"

SPKI_INLINE uint32_t spki_shadow_words(const spki_population *pop)
{
    return (pop->model->state_count + 3) * SPKI_GROUP;
}

/* Slots of the groups before this one. */
SPKI_INLINE uint32_t spki_shadows_before(const spki_population *pop, uint32_t group)
{
    return pop->shadows
               ? (uint32_t)((uint64_t)group * pop->shadows / (pop->lanes / SPKI_GROUP))
               : 0;
}

/* The slot of a group; NULL: it has none. */
SPKI_INLINE uint32_t *spki_shadow_of(const spki_population *pop, uint32_t group)
{
    const uint32_t slot = spki_shadows_before(pop, group);
    return spki_shadows_before(pop, group + 1) > slot
               ? pop->shadow + (size_t)slot * spki_shadow_words(pop)
               : NULL;
}

/* The state whose distance is watched, -1: none. */
SPKI_INLINE int spki_shadow_state(spk_model model)
{
    return spki_find_field(model->state, model->state_count, "v");
}

/* A state of 16 bits as the kernels see it. */
SPKI_INLINE float spki_seen16(const spki_population *pop, uint32_t s, uint32_t k)
{
    uint16_t h;
    memcpy(&h, pop->state[s] + (size_t)k * 2, 2);
    return spki_unpack16_f1(0.0f, &h) + (float)pop->state_offset[s];
}

/* The host has set a state. */
SPKI_FN void spki_shadow_follow(spki_population *pop, uint32_t s, uint32_t k)
{
    uint32_t *slot = pop->shadow ? spki_shadow_of(pop, k / SPKI_GROUP) : NULL;
    if (slot) {
        const float x = spki_seen16(pop, s, k);
        memcpy(slot + s * SPKI_GROUP + k % SPKI_GROUP, &x, sizeof x);
    }
}

/* All shadows begin anew. */
SPKI_FN void spki_begin_window(spk_net *net)
{
    for (uint32_t p = 0; p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        for (uint32_t g = 0; pop->shadow && g < pop->lanes / SPKI_GROUP; g++) {
            uint32_t *slot = spki_shadow_of(pop, g);
            if (!slot) {
                continue;
            }
            memset(slot, 0, spki_shadow_words(pop) * sizeof *slot);
            for (uint32_t k = 0; k < pop->model->state_count * SPKI_GROUP; k++) {
                spki_shadow_follow(pop, k / SPKI_GROUP, g * SPKI_GROUP + k % SPKI_GROUP);
            }
        }
    }
    net->window_begin = net->step;
    net->window_end = net->step + net->window;
}

SPKI_FN void spki_free_shadow(spk_net *net, spki_population *pop)
{
    spki_free(&net->mem, pop->shadow, (size_t)pop->shadows * spki_shadow_words(pop),
              sizeof *pop->shadow);
    pop->shadow = NULL;
    pop->shadows = 0;
}

/* Once the states are there. */
SPKI_FN spk_result spki_make_shadows(spk_net *net)
{
    if (!net->desc.shadow) {
        return SPK_OK;
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        const uint32_t groups = pop->lanes / SPKI_GROUP;
        if (pop->model->state_count == 0) {
            continue;
        }
        pop->shadows = (uint32_t)SPKI_MIN(
            ((uint64_t)net->desc.shadow + SPKI_GROUP - 1) / SPKI_GROUP, (uint64_t)groups);
        pop->shadow = (uint32_t *)spki_alloc(
            &net->mem, (size_t)pop->shadows * spki_shadow_words(pop), sizeof *pop->shadow);
        if (!pop->shadow) {
            pop->shadows = 0;
            return spki_no_memory(net, "a shadow sample");
        }
    }
    net->window = (uint64_t)SPKI_MAX(net->desc.shadow_ms / net->desc.dt_ms + 0.5, 1.0);
    spki_begin_window(net);
    return SPK_OK;
}

/* -- a step -- */

/* Runs the shadows of a block of groups, the first of which is `first` of its population, behind
   the 16-bit kernel: `args` is what that got. */
SPKI_FN void spki_update_shadows(const spk_net *net, const spki_population *pop, uint32_t first,
                                 spki_scratch *scratch, spki_kernel_args args)
{
    const spk_model model = pop->model;
    const uint32_t reals = model->param_count + model->derived_count;
    const uint64_t *spikes = args.spikes;
    const size_t groups = args.groups;
    const int v = spki_shadow_state(model);
    uint64_t shadow_spikes;
    size_t at = 0; /* where parameters and inputs stand, in bytes of a block of lanes */
    args.groups = 1;
    args.spikes = &shadow_spikes;
    for (uint32_t g = 0; g < groups; g++) {
        uint32_t *slot = spki_shadow_of(pop, first + g);
        const size_t step = g * SPKI_GROUP * sizeof(float) - at;
        if (!slot) {
            continue;
        }
        for (uint32_t k = 0; k < reals; k++) {
            scratch->param[k] += scratch->param_mask[k] & step;
        }
        for (uint32_t k = 0; k < model->input_count; k++) {
            scratch->input[k] += scratch->input_mask[k] & step;
        }
        for (uint32_t s = 0; s < model->state_count; s++) {
            scratch->state[s] = (char *)(slot + s * SPKI_GROUP);
        }
        at += step;
        model->kernel[net->isa][SPK_FLOAT32](&args);
        uint32_t *end = slot + model->state_count * SPKI_GROUP;
        for (uint32_t k = 0; k < SPKI_GROUP; k++) {
            if (v >= 0) {
                float x, sum;
                memcpy(&x, slot + (uint32_t)v * SPKI_GROUP + k, sizeof x);
                memcpy(&sum, end + k, sizeof sum);
                x = spki_seen16(pop, (uint32_t)v, (first + g) * SPKI_GROUP + k) - x;
                sum = sum + (x < 0.0f ? -x : x);
                memcpy(end + k, &sum, sizeof sum);
            }
            end[SPKI_GROUP + k] += (uint32_t)(spikes[g] >> k & 1);
            end[2 * SPKI_GROUP + k] += (uint32_t)(shadow_spikes >> k & 1);
        }
    }
}

/* -- a window -- */

/* What the window did to a population. */
typedef struct spki_distance {
    double rate, v;
    uint32_t neurons;
} spki_distance;

SPKI_FN spki_distance spki_measure(const spk_net *net, const spki_population *pop)
{
    spki_distance d = {0.0, 0.0, 0};
    uint64_t spikes = 0, shadow_spikes = 0;
    for (uint32_t g = 0; pop->shadow && g < pop->lanes / SPKI_GROUP; g++) {
        const uint32_t *slot = spki_shadow_of(pop, g);
        const uint32_t lanes = SPKI_MIN(pop->count - g * SPKI_GROUP, (uint32_t)SPKI_GROUP);
        for (uint32_t k = 0; slot && k < lanes; k++) {
            const uint32_t *end = slot + pop->model->state_count * SPKI_GROUP + k;
            float sum;
            memcpy(&sum, end, sizeof sum);
            d.v += (double)sum;
            spikes += end[SPKI_GROUP];
            shadow_spikes += end[2 * SPKI_GROUP];
        }
        d.neurons += slot ? lanes : 0;
    }
    if (d.neurons) {
        const uint64_t more = SPKI_MAX(spikes, shadow_spikes);
        const uint64_t off = more - SPKI_MIN(spikes, shadow_spikes);
        d.rate = (double)off / (double)SPKI_MAX(shadow_spikes, (uint64_t)d.neurons);
        d.v /= (double)d.neurons * (double)(net->step - net->window_begin);
    }
    return d;
}

/* All states go over to 32 bits. All or nothing. */
SPKI_FN spk_result spki_widen_states(spk_net *net)
{
    char ***wide = (char ***)spki_alloc(&net->mem, net->populations, sizeof *wide);
    spk_result result = wide ? SPK_OK : spki_no_memory(net, "states of 32 bits");
    for (uint32_t p = 0; p < net->populations && result == SPK_OK; p++) {
        const spki_population *pop = &net->population[p];
        const uint32_t states = pop->model->state_count;
        wide[p] = (char **)spki_alloc(&net->mem, states, sizeof **wide);
        for (uint32_t s = 0; wide[p] && s < states; s++) {
            wide[p][s] = (char *)spki_alloc(&net->mem, pop->lanes, sizeof(float));
            result = wide[p][s] ? result : SPK_ERR_OUT_OF_MEMORY;
        }
        if (!wide[p] || result != SPK_OK) {
            result = spki_no_memory(net, "states of 32 bits");
        }
    }
    for (uint32_t p = 0; wide && p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        const uint32_t states = wide[p] ? pop->model->state_count : 0;
        for (uint32_t s = 0; s < states; s++) {
            for (uint32_t k = 0; result == SPK_OK && k < pop->lanes; k++) {
                const float x = spki_seen16(pop, s, k);
                memcpy(wide[p][s] + (size_t)k * sizeof x, &x, sizeof x);
            }
            char *old = result == SPK_OK ? pop->state[s] : wide[p][s];
            pop->state[s] = result == SPK_OK ? wide[p][s] : pop->state[s];
            spki_free(&net->mem, old, pop->lanes, result == SPK_OK ? 2 : sizeof(float));
        }
        spki_free(&net->mem, wide[p], pop->model->state_count, sizeof **wide);
        if (result == SPK_OK) {
            spki_free_shadow(net, pop);
        }
    }
    spki_free(&net->mem, wide, net->populations, sizeof *wide);
    if (result == SPK_OK) {
        net->desc.precision = SPK_FLOAT32;
        net->state_size = sizeof(float);
        net->window = 0;
        net->widened_step = net->step;
        net->changed |= SPKI_CHANGED_PRECISION;
    }
    return result;
}

/* Where a run up to `end` has to stop first. */
SPKI_INLINE uint64_t spki_leg_end(const spk_net *net, uint64_t end)
{
    return net->window ? SPKI_MIN(end, net->window_end) : end;
}

/* At the end of a window: within the tolerances, or over to 32 bits. A device that fails at handing
   over its states is dropped, and the network stands where it stood before. */
SPKI_FN spk_result spki_compare_shadows(spk_net *net)
{
    const spk_net_desc *d = &net->desc;
    if (!net->window || net->step != net->window_end) {
        return SPK_OK;
    }
    const bool or_cpu = net->backend && net->backend->or_cpu;
    spk_result result = spki_sync(net);
    if (result != SPK_OK) {
        return or_cpu ? SPK_OK : result;
    }
    const spki_population *worst = NULL;
    spki_distance most = {0.0, 0.0, 0};
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const spki_distance x = spki_measure(net, pop);
        net->shadow_rate = SPKI_MAX(net->shadow_rate, x.rate);
        net->shadow_v = SPKI_MAX(net->shadow_v, x.v);
        /* NaN is within nothing */
        if (!worst && (!(x.rate <= d->shadow_rate_error) || !(x.v <= d->shadow_v_error))) {
            worst = pop;
            most = x;
        }
    }
    net->windows++;
    if (!worst) {
        spki_begin_window(net);
        net->changed |= SPKI_CHANGED_STATES;
        return SPK_OK;
    }
    result = spki_widen_states(net);
    if (result == SPK_OK) {
        (void)spki_fail(net, SPK_OK,
                        "population \"%.60s\": 16-bit states went %.3g of the rate (tolerance "
                        "%.3g) and %.3g of v (tolerance %.3g) away from a shadow of %u neurons "
                        "within %g ms: from step %llu on all states have 32 bits",
                        worst->name, most.rate, d->shadow_rate_error, most.v, d->shadow_v_error,
                        most.neurons, d->shadow_ms, (spki_llu)net->step);
    }
    return result;
}

#endif
