/* ---- >>describe: populations, views, projections and drives, before building ---- */
#ifndef SPIKELIB_NET_DESCRIBE_H
#define SPIKELIB_NET_DESCRIBE_H

#include "backend.h"

/* What is wrong with a descriptor that has its defaults; `why` is left alone where nothing is. */
SPKI_FN spk_result spki_desc_fault(const spk_net_desc *d, char *why, size_t size)
{
    if (!(d->dt_ms > 0.0) || !spki_finite(d->dt_ms) || d->dt_ms > 1000.0) {
        return spki_because(SPK_ERR_RANGE, why, size,
                            "dt_ms = %g is not a step (0 < dt_ms <= 1000)", d->dt_ms);
    }
    if (d->threads > 1024) {
        return spki_because(SPK_ERR_RANGE, why, size, "threads = %u is more than 1,024",
                            d->threads);
    }
    if ((int)d->precision < 0 || d->precision > SPK_FLOAT16) {
        return spki_because(SPK_ERR_RANGE, why, size, "precision = %d is none", (int)d->precision);
    }
    if (d->shadow && d->precision != SPK_FLOAT16) {
        return spki_because(SPK_ERR_RANGE, why, size,
                            "shadow = %u neurons, but precision is not SPK_FLOAT16", d->shadow);
    }
    if (!(d->shadow_ms >= 0.0) || !(d->shadow_ms / d->dt_ms < 9e15) ||
        !(d->shadow_rate_error >= 0.0) || !(d->shadow_v_error >= 0.0)) {
        return spki_because(SPK_ERR_RANGE, why, size,
                            "shadow_ms = %g, shadow_rate_error = %g, shadow_v_error = %g: one is "
                            "negative or absurd",
                            d->shadow_ms, d->shadow_rate_error, d->shadow_v_error);
    }
    if (d->weight_bits != 8 && d->weight_bits != 16 && d->weight_bits != 32) {
        return spki_because(SPK_ERR_RANGE, why, size, "weight_bits = %u is neither 8, 16 nor 32",
                            d->weight_bits);
    }
    if (d->max_delay_steps > SPKI_MAX_DELAY) {
        return spki_because(SPK_ERR_RANGE, why, size, "max_delay_steps = %u is more than %u",
                            d->max_delay_steps, SPKI_MAX_DELAY);
    }
    if ((int)d->isa < 0 || d->isa > SPK_ISA_GENERIC) {
        return spki_because(SPK_ERR_NAME, why, size, "isa = %d is no instruction set", (int)d->isa);
    }
    return SPK_OK;
}

SPKI_FN void spki_fill_desc(spk_net_desc *d)
{
    d->threads = d->threads ? d->threads : 1;
    d->dt_ms = d->dt_ms == 0.0 ? 0.1 : d->dt_ms;
    d->weight_bits = d->weight_bits ? d->weight_bits : 16;
    d->shadow_ms = d->shadow_ms == 0.0 ? 100.0 : d->shadow_ms;
    d->shadow_rate_error = d->shadow_rate_error == 0.0 ? 0.05 : d->shadow_rate_error;
    d->shadow_v_error = d->shadow_v_error == 0.0 ? 0.5 : d->shadow_v_error;
    d->max_delay_steps = d->max_delay_steps ? d->max_delay_steps : 1024;
}

SPIKELIB_API spk_result spk_net_desc_defaults(spk_net_desc *desc)
{
    if (!desc) {
        return SPK_ERR_NULL;
    }
    if (desc->begin_sentinel || desc->end_sentinel) {
        return SPK_ERR_UNINITIALISED;
    }
    spk_net_desc d = *desc;
    spki_fill_desc(&d);
    const spk_result result = spki_desc_fault(&d, NULL, 0);
    if (result == SPK_OK) {
        *desc = d;
    }
    return result;
}

SPKI_FN spk_result spki_check_desc(spk_net *net)
{
    char fault[120];
    const char *why = "";
    spk_result result = spki_desc_fault(&net->desc, fault, sizeof fault);
    if (result != SPK_OK) {
        return spki_fail(net, result, "create: %s", fault);
    }
    result = spki_isa_resolve(net->desc.isa, &net->isa, &why);
    if (result == SPK_ERR_NAME) {
        return spki_fail(net, result, "create: \"%s\": %s", getenv("SPIKELIB_ISA"), why);
    }
    if (result != SPK_OK) {
        return spki_fail(net, result, "create: instruction set \"%s\": %s", spk_isa_name(net->isa),
                         why);
    }
    return SPK_OK;
}

/* Tells networks apart, so that a handle of another one, or of one that is gone, is refused. */
SPKI_FN uint32_t spki_net_tag(const spk_net *net)
{
    const uint64_t parts[2] = {(uint64_t)(uintptr_t)net, (uint64_t)(spk_clock_seconds() * 1e9)};
    const uint32_t tag = (uint32_t)spk_xxh64(parts, sizeof parts, 0);
    return tag ? tag : 1;
}

SPIKELIB_API spk_net *spk_net_create(const spk_net_desc *desc)
{
    spk_net_desc d;
    spki_mem mem;
    memset(&d, 0, sizeof d);
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    if (desc && !garbage) {
        d = *desc;
    }
    spki_mem_init(&mem, &d.allocator, d.memory_limit);
    spk_net *net = (spk_net *)spki_alloc(&mem, 1, sizeof *net);
    if (!net) {
        if (d.backend) {
            d.backend->destroy(d.backend, NULL);
        }
        return NULL;
    }
    net->backend = d.backend;
    net->mem = mem;
    net->desc = d;
    net->id = spki_net_tag(net);
    spki_fill_desc(&net->desc);
    net->threads = net->desc.threads;
    if (garbage) {
        (void)spki_fail(net, SPK_ERR_UNINITIALISED,
                        "the descriptor's sentinels are not 0: start it with = {0}");
    } else {
        (void)spki_check_desc(net);
    }
    net->real_size = net->desc.precision == SPK_FLOAT64 ? 8 : 4;
    net->state_size = net->desc.precision == SPK_FLOAT64   ? 8
                      : net->desc.precision == SPK_FLOAT32 ? 4
                                                           : 2;
    return net;
}

SPIKELIB_API const char *spk_net_error(const spk_net *net)
{
    return net ? net->error : "the network is NULL (there was no memory to create it)";
}

SPIKELIB_API spk_result spk_net_status(const spk_net *net)
{
    return net ? net->status : SPK_ERR_NULL;
}

/* Builder calls: do nothing after an error, and not on a network that is built. */
SPKI_FN spk_result spki_may_describe(spk_net *net, const char *call)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (net->status != SPK_OK) {
        return net->status;
    }
    if (net->built) {
        return spki_fail(net, SPK_ERR_STATE, "%s: the network is already built", call);
    }
    return SPK_OK;
}

/* -- views -- */

/* Takes over `range` (of `capacity` elements), freeing it on failure. */
SPKI_FN spk_pop spki_add_view(spk_net *net, const spki_ids *range, uint32_t ranges)
{
    spk_pop none = {0, 0};
    void *items = net->view;
    if (!spki_grow(&net->mem, &items, net->views, &net->view_capacity, sizeof *net->view)) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    net->view = (spki_view *)items;
    spki_view *view = &net->view[net->views];
    view->range = (spki_ids *)spki_alloc(&net->mem, ranges, sizeof *range);
    if (!view->range) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    view->ranges = ranges;
    view->size = 0;
    for (uint32_t k = 0; k < ranges; k++) {
        view->range[k] = range[k];
        view->range[k].before = view->size;
        view->size += range[k].count;
    }
    net->views++;
    spk_pop pop = {net->id, net->views};
    return pop;
}

SPKI_FN const spki_view *spki_check_view(spk_net *net, spk_pop pop, const char *call)
{
    const spki_view *view = spki_view_of(net, pop);
    if (spki_may_change(net, call) != SPK_OK) {
        return NULL;
    }
    if (!view) {
        (void)spki_fail(net, SPK_ERR_HANDLE,
                        pop.net == 0         ? "%s: no population given"
                        : pop.net != net->id ? "%s: the population belongs to another network"
                                             : "%s: the network has no population of that handle",
                        call);
    }
    return view;
}

SPIKELIB_API spk_pop spk_net_slice(spk_net *net, spk_pop pop, size_t first, size_t count)
{
    spk_pop none = {0, 0};
    const spki_view *view =
        net && (net->status == SPK_OK) ? spki_check_view(net, pop, "slice") : NULL;
    if (!view) {
        return none;
    }
    if (first > view->size || count > view->size - first) {
        (void)spki_fail(net, SPK_ERR_RANGE, "slice of \"%s\": neurons %llu .. %llu of %u",
                        spki_view_name(net, view), (spki_llu)first, (spki_llu)(first + count),
                        view->size);
        return none;
    }
    spki_ids *range = (spki_ids *)spki_alloc(&net->mem, view->ranges + 1, sizeof *range);
    if (!range) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    uint32_t ranges = 0, skip = (uint32_t)first, left = (uint32_t)count;
    for (uint32_t k = 0; k < view->ranges && left; k++) {
        const spki_ids r = view->range[k];
        const uint32_t s = SPKI_MIN(skip, r.count), n = SPKI_MIN(left, r.count - s);
        skip -= s;
        left -= n;
        if (n) {
            range[ranges].first = r.first + s;
            range[ranges++].count = n;
        }
    }
    const uint32_t allocated = view->ranges + 1;
    const spk_pop result = spki_add_view(net, range, ranges);
    spki_free(&net->mem, range, allocated, sizeof *range);
    return result;
}

SPIKELIB_API spk_pop spk_net_union(spk_net *net, spk_pop a, spk_pop b)
{
    spk_pop none = {0, 0};
    const spki_view *va = net && net->status == SPK_OK ? spki_check_view(net, a, "union") : NULL;
    const spki_view *vb = va ? spki_check_view(net, b, "union") : NULL;
    if (!vb) {
        return none;
    }
    const uint32_t most = va->ranges + vb->ranges;
    spki_ids *range = (spki_ids *)spki_alloc(&net->mem, most, sizeof *range);
    if (!range) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    uint32_t ranges = 0, i = 0, j = 0;
    while (i < va->ranges || j < vb->ranges) {
        const bool from_a =
            j == vb->ranges || (i < va->ranges && va->range[i].first <= vb->range[j].first);
        const spki_ids r = from_a ? va->range[i++] : vb->range[j++];
        if (ranges && r.first <= range[ranges - 1].first + range[ranges - 1].count) {
            const uint32_t end =
                SPKI_MAX(range[ranges - 1].first + range[ranges - 1].count, r.first + r.count);
            range[ranges - 1].count = end - range[ranges - 1].first;
        } else {
            range[ranges++] = r;
        }
    }
    const spk_pop result = spki_add_view(net, range, ranges);
    spki_free(&net->mem, range, most, sizeof *range);
    return result;
}

SPIKELIB_API size_t spk_net_pop_size(const spk_net *net, spk_pop pop)
{
    const spki_view *view = net ? spki_view_of(net, pop) : NULL;
    return view ? view->size : 0;
}

SPIKELIB_API uint32_t spk_net_pop_id(const spk_net *net, spk_pop pop, size_t index)
{
    const spki_view *view = net ? spki_view_of(net, pop) : NULL;
    return view && index < view->size ? spki_view_id(view, (uint32_t)index) : UINT32_MAX;
}

/* -- populations -- */

SPKI_FN bool spki_begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* What any number of the host's must be: finite, also in the network's precision. */
SPKI_FN const char *spki_number_fault(const spk_net *net, double x)
{
    if (!spki_finite(x)) {
        return "is not a finite number";
    }
    return net->real_size == 4 && !(x >= -3.4e38 && x <= 3.4e38) ? "exceeds 32-bit floats" : NULL;
}

/* What a parameter may be, by its name: see the top of >>models. */
SPKI_FN const char *spki_param_fault(const char *name, double x)
{
    if (!spki_finite(x)) {
        return "is not a finite number";
    }
    if ((spki_begins_with(name, "tau") || spki_begins_with(name, "c_m") ||
         spki_begins_with(name, "delta_t")) &&
        !(x > 0.0)) {
        return "must be positive";
    }
    if ((spki_begins_with(name, "t_ref") || spki_begins_with(name, "substeps") ||
         spki_begins_with(name, "rate")) &&
        !(x >= 0.0 && x <= 1e6)) {
        return "must lie within 0 and 1e6";
    }
    return NULL;
}

/* Draws a value for each neuron; equal ones become one. */
SPKI_FN spk_result spki_draw_param(spk_net *net, const spki_population *pop, const char *name,
                                   const spk_value *value, uint32_t stream, bool is_state,
                                   spki_param *out)
{
    char why[200] = "";
    const bool one = value->kind == SPK_VALUE_CONSTANT;
    const size_t n = one ? 1 : pop->count;
    double *each = (double *)spki_alloc(&net->mem, n, sizeof *each);
    if (!each) {
        return spki_no_memory(net, name);
    }
    spk_result result = spki_value_sample(value, n, net->desc.seed, stream, each, why, sizeof why);
    bool same = true;
    if (result != SPK_OK) {
        (void)spki_fail(net, result, "\"%s\": %s %s", pop->name, name, why);
    }
    for (size_t k = 0; k < n && result == SPK_OK; k++) {
        const char *fault = spki_number_fault(net, each[k]);
        if (!fault && !is_state) {
            fault = spki_param_fault(name, each[k]);
        }
        if (fault) {
            result = spki_fail(net, SPK_ERR_RANGE, "\"%s\": %s = %g of neuron %llu %s", pop->name,
                               name, each[k], (spki_llu)k, fault);
        }
        same = same && each[k] == each[0];
    }
    if (result == SPK_OK) {
        spki_free_param(&net->mem, out, pop->count);
        out->uniform = n ? each[0] : out->uniform; /* of nobody: what is derived stays sound */
        out->each = same ? NULL : each;
    }
    if (same || result != SPK_OK) {
        spki_free(&net->mem, each, n, sizeof *each);
    }
    return result;
}

SPKI_FN spk_result spki_unknown_name(spk_net *net, const spki_population *pop, const char *name)
{
    char list[320];
    spki_text text = {list, sizeof list, 0};
    list[0] = 0;
    for (uint32_t k = 0; k < pop->model->param_count; k++) {
        spki_text_add(&text, " ");
        spki_text_add(&text, pop->model->param[k].name);
    }
    spki_text_add(&text, "; states");
    for (uint32_t k = 0; k < pop->model->state_count; k++) {
        spki_text_add(&text, " ");
        spki_text_add(&text, pop->model->state[k].name);
    }
    return spki_fail(net, SPK_ERR_NAME, "\"%s\" (%s) has no \"%s\"; parameters%s", pop->name,
                     pop->model->name, name, list);
}

SPKI_FN spk_result spki_set_one(spk_net *net, spki_population *pop, uint32_t number,
                                const spk_set *set)
{
    const int p = spki_find_field(pop->model->param, pop->model->param_count, set->name);
    const int s = spki_find_field(pop->model->state, pop->model->state_count, set->name);
    if (p < 0 && s < 0) {
        return spki_unknown_name(net, pop, set->name);
    }
    if (set->value.kind == SPK_VALUE_DEFAULT) {
        return SPK_OK;
    }
    const uint32_t item = p >= 0 ? (uint32_t)p : 128u + (uint32_t)s;
    return spki_draw_param(net, pop, set->name, &set->value,
                           SPKI_STREAM_PARAMETER | (number << 8) | item, p < 0,
                           p >= 0 ? &pop->param[p] : &pop->initial[s]);
}

SPKI_FN void spki_free_population(spk_net *net, spki_population *pop)
{
    spki_mem *mem = &net->mem;
    const spk_model model = pop->model;
    const uint32_t params = model->param_count, reals = params + model->derived_count;
    for (uint32_t k = 0; pop->param && k < params; k++) {
        spki_free_param(mem, &pop->param[k], pop->count);
    }
    for (uint32_t k = 0; pop->initial && k < model->state_count; k++) {
        spki_free_param(mem, &pop->initial[k], pop->count);
    }
    for (uint32_t k = 0; pop->real && pop->real_bytes && k < reals; k++) {
        spki_free(mem, pop->real[k], pop->real_bytes[k], 1);
    }
    for (uint32_t k = 0; pop->state && k < model->state_count; k++) {
        spki_free(mem, pop->state[k], pop->lanes, net->state_size);
    }
    spki_free(mem, pop->shadow, (size_t)pop->shadows * (model->state_count + 3) * SPKI_GROUP,
              sizeof *pop->shadow);
    spki_free(mem, pop->param, params, sizeof *pop->param);
    spki_free(mem, pop->initial, model->state_count, sizeof *pop->initial);
    spki_free(mem, pop->real, reals, sizeof *pop->real);
    spki_free(mem, pop->real_mask, reals, sizeof *pop->real_mask);
    spki_free(mem, pop->real_bytes, reals, sizeof *pop->real_bytes);
    spki_free(mem, pop->state, model->state_count, sizeof *pop->state);
    spki_free(mem, pop->state_offset, model->state_count, sizeof *pop->state_offset);
    spki_free(mem, pop->list.step, pop->list.capacity, sizeof *pop->list.step);
    spki_free(mem, pop->list.neuron, pop->list.capacity, sizeof *pop->list.neuron);
    spki_free(mem, pop->current, pop->count, sizeof *pop->current);
    for (uint32_t r = 0; r < 8; r++) {
        spki_free(mem, pop->amount[r], pop->count, sizeof(double));
    }
    spki_free(mem, pop->forced, pop->lanes / SPKI_GROUP, sizeof *pop->forced);
    spki_free_string(mem, pop->name);
    memset(pop, 0, sizeof *pop);
}

/* Allocates the arrays of pointers and fills in the model's defaults. */
SPKI_FN spk_result spki_init_population(spk_net *net, spki_population *pop)
{
    spki_mem *mem = &net->mem;
    const spk_model model = pop->model;
    const uint32_t params = model->param_count, reals = params + model->derived_count;
    pop->param = (spki_param *)spki_alloc(mem, params, sizeof *pop->param);
    pop->initial = (spki_param *)spki_alloc(mem, model->state_count, sizeof *pop->initial);
    pop->real = (char **)spki_alloc(mem, reals, sizeof *pop->real);
    pop->real_mask = (size_t *)spki_alloc(mem, reals, sizeof *pop->real_mask);
    pop->real_bytes = (size_t *)spki_alloc(mem, reals, sizeof *pop->real_bytes);
    pop->state = (char **)spki_alloc(mem, model->state_count, sizeof *pop->state);
    pop->state_offset = (double *)spki_alloc(mem, model->state_count, sizeof(double));
    if (!pop->param || !pop->initial || !pop->real || !pop->real_mask || !pop->real_bytes ||
        !pop->state || !pop->state_offset || !pop->name) {
        return spki_no_memory(net, "a population");
    }
    for (uint32_t k = 0; k < params; k++) {
        pop->param[k].uniform = model->param[k].value;
    }
    for (uint32_t k = 0; k < model->state_count; k++) {
        pop->initial[k].uniform = spki_unset;
    }
    for (uint32_t k = 0; k < model->input_count; k++) {
        if (model->input[k].value < 2.5 && pop->receptors < 8) {
            pop->receptor_input[pop->receptors++] = k;
        }
    }
    return SPK_OK;
}

SPIKELIB_API spk_pop spk_net_add(spk_net *net, const char *name, size_t count, spk_model model,
                                 const spk_set *set)
{
    const spk_pop none = {0, 0};
    if (spki_may_describe(net, "add") != SPK_OK) {
        return none;
    }
    if (!name || !model) {
        (void)spki_fail(net, SPK_ERR_NULL, "add: the %s is NULL", name ? "model" : "name");
        return none;
    }
    if (net->populations == SPKI_MAX_POPULATIONS) {
        (void)spki_fail(net, SPK_ERR_RANGE, "add \"%s\": a network has at most %u populations",
                        name, SPKI_MAX_POPULATIONS);
        return none;
    }
    if (count > SPKI_MAX_NEURONS - net->neurons || count > 0xffffff00u - net->lanes) {
        (void)spki_fail(net, SPK_ERR_RANGE,
                        "add \"%s\": %llu neurons are more than ids can tell apart", name,
                        (spki_llu)count);
        return none;
    }
    void *items = net->population;
    if (!spki_grow(&net->mem, &items, net->populations, &net->population_capacity,
                   sizeof *net->population)) {
        (void)spki_no_memory(net, "a population");
        return none;
    }
    net->population = (spki_population *)items;
    spki_population *pop = &net->population[net->populations];
    memset(pop, 0, sizeof *pop);
    pop->model = model;
    pop->first = net->neurons;
    pop->count = (uint32_t)count;
    pop->lane = net->lanes;
    pop->lanes = (pop->count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP;
    pop->name = spki_copy_string(&net->mem, name);
    spk_result result = spki_init_population(net, pop);
    for (uint32_t k = 0; result == SPK_OK && set && set[k].name; k++) {
        result = spki_set_one(net, pop, net->populations, &set[k]);
    }
    const spki_ids range = {pop->first, pop->count, 0};
    const spk_pop view = result == SPK_OK ? spki_add_view(net, &range, count ? 1 : 0) : none;
    if (!view.index) {
        spki_free_population(net, pop);
        return none;
    }
    net->populations++;
    net->neurons += pop->count;
    net->lanes += pop->lanes;
    return view;
}

/* -- projections -- */

typedef struct spki_self_context {
    const spki_view *source, *target;
} spki_self_context;

/* Index in the target view of the neuron that is `source` in the source view. */
SPKI_FN uint32_t spki_self_of(const void *ctx, uint32_t source)
{
    const spki_self_context *views = (const spki_self_context *)ctx;
    return spki_view_index(views->target, spki_view_id(views->source, source));
}

/* All populations under a target view must take the projection's weights the same way. */
SPKI_FN spk_result spki_check_targets(spk_net *net, const spki_view *target, const char *receptor,
                                      bool *magnitude)
{
    bool first = true;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        if (spki_view_below(target, pop->first + pop->count) ==
            spki_view_below(target, pop->first)) {
            continue;
        }
        uint32_t pos, neg;
        bool m;
        const spk_result result = spki_resolve_receptor(net, pop, receptor, &pos, &neg, &m);
        if (result != SPK_OK) {
            return result;
        }
        if (!first && m != *magnitude) {
            return spki_fail(
                net, SPK_ERR_UNSUPPORTED,
                "\"%s\" and other targets take weights differently; connect them apart", pop->name);
        }
        *magnitude = m;
        first = false;
    }
    return SPK_OK;
}

/* The size of weight that a projection is about: what 16 bits have to resolve. 0: not known. */
SPKI_FN double spki_typical_weight(const spk_value *w)
{
    double smallest = 0.0;
    switch (w->kind) {
    case SPK_VALUE_CONSTANT:
        return w->a < 0.0 ? -w->a : w->a;
    case SPK_VALUE_UNIFORM:
        return SPKI_MAX(w->b, -w->a);
    case SPK_VALUE_NORMAL:
        return SPKI_MAX(w->a < 0.0 ? -w->a : w->a, w->b);
    case SPK_VALUE_LOGNORMAL:
        return spk_exp(w->a);
    case SPK_VALUE_ARRAY:
        for (size_t k = 0; k < w->count; k++) {
            const double x = w->array[k] < 0.0 ? -w->array[k] : w->array[k];
            smallest = x > 0.0 && (smallest == 0.0 || x < smallest) ? x : smallest;
        }
        return smallest;
    default:
        return 0.0;
    }
}

SPIKELIB_API spk_result spk_net_connect(spk_net *net, spk_pop source, spk_pop target,
                                        const spk_conn_desc *desc)
{
    spk_conn_desc none;
    spk_result result = spki_may_describe(net, "connect");
    if (result != SPK_OK) {
        return result;
    }
    memset(&none, 0, sizeof none);
    desc = desc ? desc : &none;
    if (desc->begin_sentinel || desc->end_sentinel) {
        return spki_fail(net, SPK_ERR_UNINITIALISED,
                         "connect: the descriptor's sentinels are not 0: start it with = {0}");
    }
    const spki_view *vs = spki_check_view(net, source, "connect");
    const spki_view *vt = vs ? spki_check_view(net, target, "connect") : NULL;
    if (!vt) {
        return net->status;
    }
    void *items = net->projection;
    if (!spki_grow(&net->mem, &items, net->projections, &net->projection_capacity,
                   sizeof *net->projection)) {
        return spki_no_memory(net, "a projection");
    }
    net->projection = (spki_projection *)items;
    spki_projection *p = &net->projection[net->projections];
    memset(p, 0, sizeof *p);
    result = spki_check_targets(net, vt, desc->receptor, &p->magnitude);
    if (result != SPK_OK) {
        return result;
    }
    char why[256] = "";
    const spki_self_context self = {vs, vt};
    result = spki_proj_create(
        &net->mem, &p->proj, desc, vs->size, vt->size, net->desc.dt_ms, net->desc.max_delay_steps,
        net->desc.seed, SPKI_STREAM_PROJECTION | net->projections, source.index == target.index,
        spki_self_of, &self, spki_lanes_for(net->isa, 4)->fill, why, sizeof why);
    if (result != SPK_OK) {
        return result == SPK_ERR_OUT_OF_MEMORY
                   ? spki_no_memory(net, "a projection")
                   : spki_fail(net, result, "connect \"%s\" -> \"%s\": %s", spki_view_name(net, vs),
                               spki_view_name(net, vt), why);
    }
    p->proj.draw = spki_draw(net->isa);
    p->typical = spki_typical_weight(&desc->weight);
    p->source = source.index - 1;
    p->target = target.index - 1;
    if (desc->receptor && !(p->receptor = spki_copy_string(&net->mem, desc->receptor))) {
        spki_proj_destroy(&net->mem, &p->proj);
        return spki_no_memory(net, "a projection");
    }
    net->projections++;
    return SPK_OK;
}

/* -- spike lists -- */

SPKI_FN spk_result spki_list_reserve(spk_net *net, spki_spike_list *list, size_t more)
{
    if (more <= list->capacity - list->count) {
        return SPK_OK;
    }
    const size_t capacity = SPKI_MAX(list->capacity * 2, list->count + more);
    uint64_t *step = (uint64_t *)spki_alloc(&net->mem, capacity, sizeof *step);
    uint32_t *neuron = (uint32_t *)spki_alloc(&net->mem, capacity, sizeof *neuron);
    if (!step || !neuron) {
        spki_free(&net->mem, step, capacity, sizeof *step);
        spki_free(&net->mem, neuron, capacity, sizeof *neuron);
        return spki_no_memory(net, "a spike list");
    }
    if (list->count) {
        memcpy(step, list->step, list->count * sizeof *step);
        memcpy(neuron, list->neuron, list->count * sizeof *neuron);
    }
    spki_free(&net->mem, list->step, list->capacity, sizeof *step);
    spki_free(&net->mem, list->neuron, list->capacity, sizeof *neuron);
    list->step = step;
    list->neuron = neuron;
    list->capacity = capacity;
    return SPK_OK;
}

/* Heap sort by (step, neuron): in place, no worst case. */
SPKI_FN void spki_list_sift(spki_spike_list *list, size_t k, size_t n)
{
    for (;;) {
        size_t big = 2 * k + 1;
        if (big >= n) {
            return;
        }
        const size_t other = big + 1;
        if (other < n &&
            (list->step[other] > list->step[big] ||
             (list->step[other] == list->step[big] && list->neuron[other] > list->neuron[big]))) {
            big = other;
        }
        if (list->step[k] > list->step[big] ||
            (list->step[k] == list->step[big] && list->neuron[k] >= list->neuron[big])) {
            return;
        }
        const uint64_t s = list->step[k];
        const uint32_t m = list->neuron[k];
        list->step[k] = list->step[big];
        list->neuron[k] = list->neuron[big];
        list->step[big] = s;
        list->neuron[big] = m;
        k = big;
    }
}

SPKI_FN void spki_list_sort(spki_spike_list *list)
{
    const size_t n = list->count;
    for (size_t k = n / 2; k-- > 0;) {
        spki_list_sift(list, k, n);
    }
    for (size_t k = n; k-- > 1;) {
        const uint64_t s = list->step[0];
        const uint32_t m = list->neuron[0];
        list->step[0] = list->step[k];
        list->neuron[0] = list->neuron[k];
        list->step[k] = s;
        list->neuron[k] = m;
        spki_list_sift(list, 0, k);
    }
}

/* Drops what has been played, so that a list that is fed as the network runs stays short. */
SPKI_FN void spki_list_forget(const spk_net *net, spki_spike_list *list)
{
    size_t played = 0;
    while (played < list->count && list->step[played] <= net->step) {
        played++;
    }
    if (played) {
        list->count -= played;
        memmove(list->step, list->step + played, list->count * sizeof *list->step);
        memmove(list->neuron, list->neuron + played, list->count * sizeof *list->neuron);
    }
}

/* The list has changed: the tiles' pieces find their places in it again. */
SPKI_FN void spki_list_rewind(spk_net *net, const spki_population *p)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        for (uint32_t k = 0; k < net->tile[t].pieces; k++) {
            if (&net->population[net->tile[t].piece[k].population] == p) {
                net->tile[t].piece[k].list_cursor = 0;
            }
        }
    }
}

SPIKELIB_API spk_result spk_net_spike_list(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                           const double *times_ms, size_t count)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (net->status != SPK_OK) {
        return net->status;
    }
    if (spki_may_change(net, "spike list") != SPK_OK) {
        return SPK_ERR_STATE;
    }
    const spki_view *view = spki_check_view(net, pop, "spike list");
    if (!view) {
        return SPK_ERR_HANDLE;
    }
    if (count && (!neurons || !times_ms)) {
        return spki_fail(net, SPK_ERR_NULL, "spike list: an array is NULL");
    }
    if (view->size == 0) {
        return count ? spki_fail(net, SPK_ERR_RANGE, "spike list: the view holds no neurons")
                     : SPK_OK;
    }
    if (view->ranges != 1) {
        return spki_fail(net, SPK_ERR_UNSUPPORTED,
                         "spike list: the view spans several populations");
    }
    spki_population *p = &net->population[spki_population_of(net, view->range[0].first)];
    if (p->first + p->count < view->range[0].first + view->size) {
        return spki_fail(net, SPK_ERR_UNSUPPORTED,
                         "spike list: the view spans several populations");
    }
    const double dt = net->desc.dt_ms;
    for (size_t k = 0; k < count; k++) {
        if (neurons[k] >= view->size) {
            return spki_fail(net, SPK_ERR_RANGE,
                             "spike list of \"%s\": neuron %u of entry %llu, the view has %u",
                             p->name, neurons[k], (spki_llu)k, view->size);
        }
        if (!(times_ms[k] / dt < 9e15) || !(times_ms[k] / dt + 0.5 >= (double)(net->step + 1))) {
            return spki_fail(
                net, SPK_ERR_RANGE,
                "spike list of \"%s\": %g ms of entry %llu is not after the network's time, %g ms",
                p->name, times_ms[k], (spki_llu)k, (double)net->step * dt);
        }
    }
    const spk_result synced = spki_sync(net); /* what is forgotten may have to be run again */
    if (synced != SPK_OK) {
        return synced;
    }
    net->changed |= SPKI_CHANGED_LISTS;
    spki_list_forget(net, &p->list);
    const spk_result result = spki_list_reserve(net, &p->list, count);
    if (result != SPK_OK) {
        return result;
    }
    bool sorted = true;
    for (size_t k = 0; k < count; k++) {
        const size_t at = p->list.count++;
        p->list.step[at] = (uint64_t)(times_ms[k] / dt + 0.5);
        p->list.neuron[at] = neurons[k] + view->range[0].first - p->first;
        sorted = sorted && (at == 0 || p->list.step[at - 1] < p->list.step[at] ||
                            (p->list.step[at - 1] == p->list.step[at] &&
                             p->list.neuron[at - 1] <= p->list.neuron[at]));
    }
    if (!sorted) {
        spki_list_sort(&p->list);
    }
    spki_list_rewind(net, p);
    return SPK_OK;
}

#endif
