/* ---- >>access: what the host reads, writes and injects between runs ---- */
#ifndef SPIKELIB_NET_ACCESS_H
#define SPIKELIB_NET_ACCESS_H

#include "engine.h"

/* Common checks: a built network, a view, an array of the view's size. */
SPKI_FN spk_result spki_check_access(spk_net *net, spk_pop pop, const char *call, const void *array,
                                     size_t count, const spki_view **view)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spk_net_build(net);
    if (result == SPK_OK) {
        result = spki_may_change(net, call);
    }
    if (result == SPK_OK) {
        result = spki_sync(net);
    }
    if (result != SPK_OK) {
        return result;
    }
    *view = spki_check_view(net, pop, call);
    if (!*view) {
        return SPK_ERR_HANDLE;
    }
    if (!array && count) {
        return spki_fail(net, SPK_ERR_NULL, "%s: the array is NULL", call);
    }
    if (count != (*view)->size) {
        return spki_fail(net, SPK_ERR_RANGE, "%s: %llu values for the %u neurons of \"%s\"", call,
                         (spki_llu)count, (*view)->size, spki_view_name(net, *view));
    }
    return SPK_OK;
}

/* The population and the neuron in it of element k of a view. */
SPKI_FN spki_population *spki_view_neuron(spk_net *net, const spki_view *view, uint32_t k,
                                          uint32_t *n)
{
    const uint32_t id = spki_view_id(view, k);
    spki_population *pop = &net->population[spki_population_of(net, id)];
    *n = id - pop->first;
    return pop;
}

SPIKELIB_API spk_result spk_net_get(spk_net *net, spk_pop pop, const char *name, double *values,
                                    size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "get", values, count, &view);
    if (result == SPK_OK) {
        result = spki_check_state(net, view, name);
    }
    for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
        uint32_t n;
        const spki_population *p = spki_view_neuron(net, view, k, &n);
        const int s = spki_find_field(p->model->state, p->model->state_count, name);
        const int q = spki_find_field(p->model->param, p->model->param_count, name);
        values[k] =
            s >= 0 ? spki_get_state(net, p, (uint32_t)s, n) : spki_param_at(&p->param[q], n);
    }
    return result;
}

/* A parameter of one population as it will be, and what is derived from it. */
typedef struct spki_change {
    spki_param param;
    spki_reals reals;
    bool made;
} spki_change;

SPKI_FN spk_result spki_draft_change(spk_net *net, spki_population *pop, uint32_t q,
                                     const spki_view *view, const double *values,
                                     spki_change *change)
{
    const spki_param old = pop->param[q];
    change->param.uniform = old.uniform;
    change->param.each = (double *)spki_alloc(&net->mem, pop->count, sizeof(double));
    if (!change->param.each) {
        return spki_no_memory(net, pop->model->param[q].name);
    }
    for (uint32_t n = 0; n < pop->count; n++) {
        const uint32_t k = spki_view_index(view, pop->first + n);
        change->param.each[n] = k == UINT32_MAX ? spki_param_at(&old, n) : values[k];
    }
    pop->param[q] = change->param;
    const spk_result result = spki_draft_reals(net, pop, &change->reals);
    pop->param[q] = old;
    change->made = result == SPK_OK;
    return result;
}

/* Sets a parameter of some neurons of all populations that have it; what is derived follows, or
   all stays as it was. States keep their stored (relative) values. */
SPKI_FN spk_result spki_set_param(spk_net *net, const spki_view *view, const char *name,
                                  const double *values)
{
    spki_change *change = (spki_change *)spki_alloc(&net->mem, net->populations, sizeof *change);
    spk_result result = change ? SPK_OK : spki_no_memory(net, name);
    for (uint32_t p = 0; result == SPK_OK && p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        const int q = spki_find_field(pop->model->param, pop->model->param_count, name);
        if (q >= 0 && spki_view_meets(view, pop)) {
            result = spki_draft_change(net, pop, (uint32_t)q, view, values, &change[p]);
        }
    }
    for (uint32_t p = 0; change && p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        const int q = spki_find_field(pop->model->param, pop->model->param_count, name);
        if (result == SPK_OK && change[p].made) {
            net->changed |= SPKI_CHANGED_PARAMS;
            const spki_param old = pop->param[q];
            pop->param[q] = change[p].param;
            change[p].param = old;
            spki_swap_reals(pop, &change[p].reals);
        }
        spki_free_reals(net, pop, &change[p].reals);
        spki_free_param(&net->mem, &change[p].param, pop->count);
    }
    spki_free(&net->mem, change, net->populations, sizeof *change);
    return result;
}

SPIKELIB_API spk_result spk_net_set(spk_net *net, spk_pop pop, const char *name,
                                    const double *values, size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "set", values, count, &view);
    if (result == SPK_OK) {
        result = spki_check_state(net, view, name);
    }
    for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
        uint32_t n;
        const spki_population *p = spki_view_neuron(net, view, k, &n);
        const bool state = spki_find_field(p->model->state, p->model->state_count, name) >= 0;
        const char *fault = spki_number_fault(net, values[k]);
        if (!fault && !state) {
            fault = spki_param_fault(name, values[k]);
        }
        if (fault) {
            result = spki_fail(net, SPK_ERR_RANGE, "set \"%s\": %s = %g of neuron %u %s", p->name,
                               name, values[k], n, fault);
        }
    }
    if (result == SPK_OK) {
        result = spki_set_param(net, view, name, values);
    }
    for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
        uint32_t n;
        spki_population *p = spki_view_neuron(net, view, k, &n);
        const int s = spki_find_field(p->model->state, p->model->state_count, name);
        if (s >= 0) {
            net->changed |= SPKI_CHANGED_STATES;
            spki_set_state(net, p, (uint32_t)s, n, values[k]);
            spki_shadow_follow(p, (uint32_t)s, n);
        }
    }
    return result;
}

SPIKELIB_API spk_result spk_net_inject_spikes(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                              size_t count)
{
    const spki_view *view;
    spk_result result =
        spki_check_access(net, pop, "inject spikes", "", spk_net_pop_size(net, pop), &view);
    if (result == SPK_OK && !neurons && count) {
        return spki_fail(net, SPK_ERR_NULL, "inject spikes: the array is NULL");
    }
    for (size_t k = 0; k < count && result == SPK_OK; k++) {
        if (neurons[k] >= view->size) {
            result =
                spki_fail(net, SPK_ERR_RANGE, "inject spikes: neuron %u of \"%s\", which has %u",
                          neurons[k], spki_view_name(net, view), view->size);
            break;
        }
        uint32_t n;
        spki_population *p = spki_view_neuron(net, view, neurons[k], &n);
        if (!p->forced) {
            p->forced = (uint64_t *)spki_alloc(&net->mem, p->lanes / SPKI_GROUP, sizeof(uint64_t));
            result = p->forced ? SPK_OK : spki_no_memory(net, "injected spikes");
        }
    }
    for (size_t k = 0; k < count && result == SPK_OK; k++) {
        uint32_t n;
        spki_population *p = spki_view_neuron(net, view, neurons[k], &n);
        p->forced[n / 64] |= (uint64_t)1 << (n % 64);
        p->has_forced = true;
    }
    return result;
}

SPIKELIB_API spk_result spk_net_inject_input(spk_net *net, spk_pop pop, const char *receptor,
                                             const double *amounts, size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "inject input", amounts, count, &view);
    for (uint32_t pass = 0; pass < 2; pass++) { /* first all that can fail */
        for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
            uint32_t n, pos, neg;
            bool magnitude;
            spki_population *p = spki_view_neuron(net, view, k, &n);
            if (spki_number_fault(net, amounts[k])) {
                return spki_fail(net, SPK_ERR_RANGE, "inject input: %g for neuron %u of \"%s\"",
                                 amounts[k], n, p->name);
            }
            result = spki_resolve_receptor(net, p, receptor, &pos, &neg, &magnitude);
            if (result != SPK_OK) {
                return result;
            }
            const uint32_t r = amounts[k] < 0.0 ? neg : pos;
            if (!p->amount[r]) {
                p->amount[r] = (double *)spki_alloc(&net->mem, p->count, sizeof(double));
                if (!p->amount[r]) {
                    return spki_no_memory(net, "injected input");
                }
            }
            if (pass == 1) {
                p->amount[r][n] += magnitude && amounts[k] < 0.0 ? -amounts[k] : amounts[k];
                p->has_amount = true;
            }
        }
    }
    return result;
}

SPIKELIB_API spk_result spk_net_inject_current(spk_net *net, spk_pop pop, const double *currents,
                                               size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "inject current", currents, count, &view);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
            uint32_t n;
            spki_population *p = spki_view_neuron(net, view, k, &n);
            if (spki_number_fault(net, currents[k])) {
                return spki_fail(net, SPK_ERR_RANGE, "inject current: %g for neuron %u of \"%s\"",
                                 currents[k], n, p->name);
            }
            result = spki_check_current(net, p);
            if (result != SPK_OK) {
                return result;
            }
            if (!p->current) {
                p->current = (double *)spki_alloc(&net->mem, p->count, sizeof(double));
                if (!p->current) {
                    return spki_no_memory(net, "injected currents");
                }
            }
            if (pass == 1) {
                net->changed |= SPKI_CHANGED_CURRENTS;
                p->current[n] = currents[k];
            }
        }
    }
    return result;
}

/* Over the stored bits of all states, in order, without the padding. */
SPIKELIB_API uint64_t spk_net_state_digest(spk_net *net)
{
    spk_digest digest;
    spk_digest_begin(&digest);
    if (!net || spk_net_build(net) != SPK_OK || spki_may_change(net, "digest") != SPK_OK ||
        spki_sync(net) != SPK_OK) {
        return 0;
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        for (uint32_t s = 0; s < pop->model->state_count; s++) {
            for (uint32_t k = 0; k < pop->count; k++) { /* little-endian whatever the machine */
                uint64_t bits = 0;
                unsigned char out[8];
                uint32_t word;
                uint16_t half;
                const char *at = pop->state[s] + (size_t)k * net->state_size;
                if (net->state_size == 8) {
                    memcpy(&bits, at, 8);
                } else if (net->state_size == 4) {
                    memcpy(&word, at, 4);
                    bits = word;
                } else {
                    memcpy(&half, at, 2);
                    bits = half;
                }
                for (size_t b = 0; b < net->state_size; b++) {
                    out[b] = (unsigned char)(bits >> (8 * b));
                }
                spk_digest_update(&digest, out, net->state_size);
            }
        }
    }
    return spk_digest_value(&digest);
}

SPIKELIB_API spk_result spk_net_get_info(const spk_net *net, spk_net_info *info)
{
    if (!net || !info) {
        return SPK_ERR_NULL;
    }
    memset(info, 0, sizeof *info);
    if (net->running) { /* the threads are counting */
        return SPK_ERR_STATE;
    }
    info->neurons = net->neurons;
    info->steps = net->step;
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        info->synapses += tile->synapses;
        info->spikes += tile->spikes;
        info->events += tile->events;
        const size_t words = net->backend ? tile->device_words : tile->words_used;
        info->bytes_synapses += (words + (uint64_t)net->neurons) * sizeof(uint32_t);
    }
    for (uint32_t k = 0; net->scratch && k < net->threads; k++) {
        const spki_scratch *s = &net->scratch[k];
        info->file_s += s->file_s;
        info->deliver_s += s->deliver_s;
        info->input_s += s->input_s;
        info->update_s += s->update_s;
        info->record_s += s->record_s;
        info->wait_s += s->wait_s;
    }
    info->bytes_now = net->mem.now;
    info->bytes_peak = net->mem.peak;
    info->build_s = net->build_s;
    info->construct_s = net->construct_s;
    info->run_s = net->run_s;
    info->threads = net->threads;
    info->tiles = net->tiles;
    info->min_delay_steps = net->min_delay;
    info->max_delay_steps = net->max_delay;
    info->weight_bits = net->desc.weight_bits;
    info->accumulator_bits = net->accumulator_bits;
    info->isa = net->isa;
    info->precision = net->desc.precision;
    info->shadow_windows = net->windows;
    info->widened_step = net->widened_step;
    info->shadow_rate_error = net->shadow_rate;
    info->shadow_v_error = net->shadow_v;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_net_profile(spk_net *net, bool on)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    const spk_result result = spki_may_change(net, "profile");
    net->profile = result == SPK_OK ? on : net->profile;
    return result;
}

/* How a tile stores its synapses, and why so. */
SPKI_FN void spki_describe_layout(const spk_net *net, const spki_tile *tile, char *line,
                                  size_t size)
{
    const spki_llu wide = tile->synapses - tile->narrow, masked = tile->masked;
    const spki_llu narrow = tile->narrow - tile->masked;
    if (net->desc.weight_bits == 32) {
        snprintf(line, size, "  %llu synapses of 8 bytes: weight_bits is 32\n", wide);
    } else if (net->backend) {
        snprintf(line, size, "  %llu synapses of %s%s, as a device reads them\n", wide,
                 net->desc.weight_bits != 8 ? "4 bytes"
                 : tile->flat               ? "3 bytes"
                                            : "3 bytes where four arrive together, else 4",
                 tile->flat ? " in flat rows: slot and delay fit into 16 bits" : "");
    } else if (!spki_may_be_narrow(net)) {
        snprintf(line, size, "  %llu synapses of 4 bytes: weights are recorded\n", wide);
    } else {
        snprintf(line, size,
                 "  %llu synapses in bit masks: one delay, dense, at most %u weights in a row\n"
                 "  %llu synapses of 2 bytes: at most %u weights in a row\n"
                 "  %llu synapses of 4 bytes: more weights, or few synapses a weight and delay\n",
                 masked, SPKI_CLASSES, narrow, SPKI_CLASSES, wide);
    }
}

SPIKELIB_API size_t spk_net_describe(const spk_net *net, char *buffer, size_t size)
{
    static const char *const rule[] = {"one to one",      "all to all",       "Bernoulli",
                                       "fixed in-degree", "fixed out-degree", "fixed total",
                                       "explicit (COO)",  "explicit (CSR)",   "callback"};
    spki_text text = {buffer, buffer ? size : 0, 0};
    char line[256];
    if (buffer && size) {
        buffer[0] = 0;
    }
    if (!net) {
        return 0;
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        snprintf(line, sizeof line, "population \"%.60s\": %u x %s, ids %u ..\n", pop->name,
                 pop->count, pop->model->name, pop->first);
        spki_text_add(&text, line);
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_projection *p = &net->projection[k];
        snprintf(line, sizeof line, "projection \"%.60s\" (%u) -> \"%.60s\" (%u): %s\n",
                 spki_view_name(net, &net->view[p->source]), net->view[p->source].size,
                 spki_view_name(net, &net->view[p->target]), net->view[p->target].size,
                 rule[p->proj.rule]);
        spki_text_add(&text, line);
    }
    for (uint32_t t = 0; t < net->tiles && net->built; t++) {
        const spki_tile *tile = &net->tile[t];
        snprintf(line, sizeof line,
                 "tile %u: ids %u .. %u, %llu synapses in %llu buckets, delays %u .. %u steps\n", t,
                 tile->first_id, tile->end_id, (spki_llu)tile->synapses, (spki_llu)tile->buckets,
                 tile->synapses ? tile->min_delay : 0, tile->max_delay);
        spki_text_add(&text, line);
        spki_describe_layout(net, tile, line, sizeof line);
        spki_text_add(&text, line);
    }
    snprintf(line, sizeof line,
             "%s, %u threads, %u-bit weights, %u-bit accumulators, %u steps a slice\n",
             spk_isa_name(net->isa), net->threads, net->desc.weight_bits, net->accumulator_bits,
             net->slice_max);
    spki_text_add(&text, line);
    if (net->windows) {
        snprintf(line, sizeof line,
                 "shadow of 16-bit states: %llu windows, at most %.3g of the rate and %.3g of v "
                 "away; %s %llu\n",
                 (spki_llu)net->windows, net->shadow_rate, net->shadow_v,
                 net->widened_step ? "32 bits since step" : "next look at step",
                 (spki_llu)(net->widened_step ? net->widened_step : net->window_end));
        spki_text_add(&text, line);
    }
    if (net->backend) {
        (void)net->backend->describe(net->backend, line, sizeof line);
        spki_text_add(&text, line);
    }
    return text.length;
}

#endif
