/* ---- >>inject: events into networks ---- */
#ifndef SPIKELIB_EVENT_INJECT_H
#define SPIKELIB_EVENT_INJECT_H

#ifndef SPIKELIB_NO_NET

#include "../net/engine.h"
#include "pixels.h"

/* The map of one view. */
typedef struct spki_mapped {
    uint32_t view;
    spki_pixels pixels;
    uint32_t *table;
    size_t table_count;
    spk_late late;
    spk_event_counts counts;
} spki_mapped;

/* What a network knows of events; made when its first view is mapped. */
typedef struct spki_retina {
    spki_mapped *mapped;
    uint32_t count, capacity;
    bool has_origin;
    int64_t origin_us;
} spki_retina;

SPKI_FN void spki_retina_free(spk_net *net)
{
    spki_retina *r = (spki_retina *)net->retina;
    if (!r) {
        return;
    }
    for (uint32_t k = 0; k < r->count; k++) {
        spki_free(&net->mem, r->mapped[k].table, r->mapped[k].table_count, sizeof(uint32_t));
    }
    spki_free(&net->mem, r->mapped, r->capacity, sizeof *r->mapped);
    spki_free(&net->mem, r, 1, sizeof *r);
    net->retina = NULL;
}

SPKI_FN spki_retina *spki_retina_of(spk_net *net)
{
    if (!net->retina) {
        net->retina = spki_alloc(&net->mem, 1, sizeof(spki_retina));
        net->retina_free = spki_retina_free;
    }
    return (spki_retina *)net->retina;
}

SPKI_FN spki_mapped *spki_mapped_of(const spk_net *net, uint32_t view)
{
    spki_retina *r = (spki_retina *)net->retina;
    for (uint32_t k = 0; r && k < r->count; k++) {
        if (r->mapped[k].view == view) {
            return &r->mapped[k];
        }
    }
    return NULL;
}

/* Checks that are the same for all calls; the view lies in one population. */
SPKI_FN spk_result spki_inject_view(spk_net *net, spk_pop pop, const char *call,
                                    const spki_view **view)
{
    if (net->status != SPK_OK) {
        return net->status;
    }
    if (spki_may_change(net, call) != SPK_OK) {
        return SPK_ERR_STATE;
    }
    *view = spki_check_view(net, pop, call);
    if (!*view) {
        return SPK_ERR_HANDLE;
    }
    if ((*view)->size == 0) {
        return spki_fail(net, SPK_ERR_RANGE, "%s: the view holds no neurons", call);
    }
    const uint32_t first = (*view)->range[0].first;
    const spki_population *p = &net->population[spki_population_of(net, first)];
    if ((*view)->ranges != 1 || p->first + p->count < first + (*view)->size) {
        return spki_fail(net, SPK_ERR_UNSUPPORTED, "%s: the view spans several populations", call);
    }
    return SPK_OK;
}

/* Every neuron that a grid or a table names has to be in the view. */
SPKI_FN spk_result spki_check_cells(spk_net *net, const spki_view *view, const spki_pixels *p)
{
    const size_t cells = (size_t)p->width * p->height * p->map.polarities;
    const char *name = spki_view_name(net, view);
    if (!p->map.table && !p->map.function && cells > view->size) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "map pixels to \"%s\": a grid of %u x %u in %u planes for %u neurons",
                         name, p->width, p->height, p->map.polarities, view->size);
    }
    for (size_t k = 0; p->map.table && k < cells; k++) {
        if (p->map.table[k] >= view->size && p->map.table[k] != SPK_NO_NEURON) {
            return spki_fail(net, SPK_ERR_RANGE,
                             "map pixels to \"%s\": neuron %u of cell %llu, the view has %u", name,
                             p->map.table[k], (spki_llu)k, view->size);
        }
    }
    return SPK_OK;
}

SPIKELIB_API spk_result spk_net_map_pixels(spk_net *net, spk_pop pop, const spk_pixel_map *map)
{
    const spki_view *view;
    spki_pixels pixels;
    const char *why;
    uint32_t *table = NULL;
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spki_inject_view(net, pop, "map pixels", &view);
    if (result != SPK_OK) {
        return result;
    }
    if (!map) {
        return spki_fail(net, SPK_ERR_NULL, "map pixels: the map is NULL");
    }
    result = spki_pixels_begin(map, &pixels, &why);
    if (result != SPK_OK) {
        return spki_fail(net, result, "map pixels to \"%s\": %s", spki_view_name(net, view), why);
    }
    result = spki_check_cells(net, view, &pixels);
    if (result != SPK_OK) {
        return result;
    }
    spki_retina *r = spki_retina_of(net);
    if (pixels.map.table) {
        table = (uint32_t *)spki_alloc(&net->mem, pixels.map.table_count, sizeof *table);
    }
    spki_mapped *m = spki_mapped_of(net, pop.index - 1);
    if (!r || (pixels.map.table && !table) ||
        (!m && !spki_grow(&net->mem, (void **)&r->mapped, r->count, &r->capacity, sizeof *m))) {
        spki_free(&net->mem, table, pixels.map.table_count, sizeof *table);
        return spki_no_memory(net, "a pixel map");
    }
    if (!m) {
        m = &r->mapped[r->count++];
        memset(m, 0, sizeof *m);
        m->view = pop.index - 1;
    }
    spki_free(&net->mem, m->table, m->table_count, sizeof *table);
    if (table) {
        memcpy(table, pixels.map.table, pixels.map.table_count * sizeof *table);
        pixels.map.table = table;
    }
    m->pixels = pixels;
    m->table = table;
    m->table_count = pixels.map.table_count;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_net_event_origin_us(spk_net *net, int64_t t_us)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (net->status != SPK_OK) {
        return net->status;
    }
    if (spki_may_change(net, "event origin") != SPK_OK) {
        return SPK_ERR_STATE;
    }
    spki_retina *r = spki_retina_of(net);
    if (!r) {
        return spki_no_memory(net, "the origin of events");
    }
    if (r->has_origin && r->origin_us != t_us) {
        return spki_decline(net, SPK_ERR_STATE, "event origin: it is %lld us already",
                            (long long)r->origin_us);
    }
    r->has_origin = true;
    r->origin_us = t_us;
    return SPK_OK;
}

SPKI_FN spk_result spki_need_map(spk_net *net, spk_pop pop, const char *call, spki_mapped **m,
                                 const spki_view **view)
{
    const spk_result result = spki_inject_view(net, pop, call, view);
    if (result != SPK_OK) {
        return result;
    }
    *m = spki_mapped_of(net, pop.index - 1);
    if (!*m) {
        return spki_fail(net, SPK_ERR_STATE, "%s: \"%s\" has no pixel map (spk_net_map_pixels)",
                         call, spki_view_name(net, *view));
    }
    return SPK_OK;
}

SPIKELIB_API spk_result spk_net_event_late(spk_net *net, spk_pop pop, spk_late late)
{
    spki_mapped *m;
    const spki_view *view;
    if (!net) {
        return SPK_ERR_NULL;
    }
    const spk_result result = spki_need_map(net, pop, "late events", &m, &view);
    if (result != SPK_OK) {
        return result;
    }
    if ((uint32_t)late > SPK_LATE_ERROR) {
        return spki_fail(net, SPK_ERR_RANGE, "late events: no way has number %u", (uint32_t)late);
    }
    m->late = late;
    return SPK_OK;
}

/* -- the camera's clock and the network's -- */

/* A step in nanoseconds where it is a whole number of them, as every dt of practice is: then
   the step of an event is exact; else 0. */
SPKI_FN uint64_t spki_step_ns(const spk_net *net)
{
    const double ns = net->desc.dt_ms * 1e6;
    const double whole = ns < 9e15 ? (double)(uint64_t)(ns + 0.5) : 0.0;
    const double off = ns - whole;
    return whole >= 1.0 && off < 1e-9 * ns && off > -1e-9 * ns ? (uint64_t)whole : 0;
}

/* Step k = floor(us / dt) of a time after the origin; false: absurdly far. */
SPKI_FN bool spki_step_of_us(const spk_net *net, uint64_t step_ns, uint64_t us, uint64_t *step)
{
    if (step_ns && us < UINT64_MAX / 1000) {
        *step = us * 1000 / step_ns;
    } else {
        const double k = (double)us / (net->desc.dt_ms * 1000.0);
        if (!(k < 9e15)) {
            return false;
        }
        *step = (uint64_t)k;
    }
    return *step < SPKI_MAX_STEPS;
}

/* Microseconds that the network has run, for an origin that nobody gave. */
SPKI_FN int64_t spki_elapsed_us(const spk_net *net)
{
    return (int64_t)((double)net->step * net->desc.dt_ms * 1000.0 + 0.5);
}

/* The stamp of an event that reaches a neuron: 0 for one that is dropped. Errors: out of range. */
SPKI_FN spk_result spki_event_stamp(spk_net *net, const spki_retina *r, const spki_mapped *m,
                                    uint64_t step_ns, const spk_event *e, size_t k, uint64_t *stamp,
                                    bool *late)
{
    uint64_t step = 0;
    *late = e->t_us < r->origin_us;
    if (!*late &&
        !spki_step_of_us(net, step_ns, (uint64_t)e->t_us - (uint64_t)r->origin_us, &step)) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "inject events: event %llu, at %lld us, is absurdly far from the origin, "
                         "%lld us",
                         (spki_llu)k, (long long)e->t_us, (long long)r->origin_us);
    }
    *late = *late || step < net->step;
    if (*late && m->late == SPK_LATE_ERROR) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "inject events: event %llu, at %lld us, is late: %llu steps are done",
                         (spki_llu)k, (long long)e->t_us, (spki_llu)net->step);
    }
    *stamp = *late ? (m->late == SPK_LATE_DROP ? 0 : net->step + 1) : step + 1;
    return SPK_OK;
}

/* Appends to the population's list of spikes; the caller has made room. */
SPKI_FN void spki_list_append(spki_spike_list *list, uint64_t stamp, uint32_t neuron, bool *sorted)
{
    const size_t at = list->count++;
    list->step[at] = stamp;
    list->neuron[at] = neuron;
    *sorted = *sorted && (at == 0 || list->step[at - 1] <= stamp);
}

/* One pass; what it appended is cut off again where an event is refused. */
SPKI_FN spk_result spki_inject_all(spk_net *net, spki_mapped *m, const spki_view *view,
                                   spki_population *p, const spk_event *events, size_t count,
                                   bool *sorted)
{
    spki_retina *r = (spki_retina *)net->retina;
    const spki_retina before = *r;
    const spk_event_counts counts = m->counts;
    const size_t had = p->list.count;
    const uint64_t step_ns = spki_step_ns(net);
    const uint32_t base = view->range[0].first - p->first;
    spk_result result = SPK_OK;
    for (size_t k = 0; k < count && result == SPK_OK; k++) {
        uint64_t stamp = 0;
        bool late = false;
        if (events[k].kind != SPK_EVENT_CD) {
            continue;
        }
        if (!r->has_origin) {
            r->has_origin = true;
            r->origin_us = events[k].t_us - spki_elapsed_us(net);
        }
        const uint32_t neuron = spki_pixels_neuron(&m->pixels, &events[k]);
        result = spki_event_stamp(net, r, m, step_ns, &events[k], k, &stamp, &late);
        m->counts.late += late;
        if (neuron >= view->size) {
            m->counts.outside++;
        } else if (result == SPK_OK && stamp) {
            spki_list_append(&p->list, stamp, base + neuron, sorted);
            m->counts.injected++;
        }
    }
    if (result != SPK_OK) {
        *r = before;
        m->counts = counts;
        p->list.count = had;
    }
    return result;
}

SPIKELIB_API spk_result spk_net_inject_events(spk_net *net, spk_pop pop, const spk_event *events,
                                              size_t count)
{
    spki_mapped *m;
    const spki_view *view;
    bool sorted = true;
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spki_need_map(net, pop, "inject events", &m, &view);
    if (result != SPK_OK || count == 0) {
        return result;
    }
    if (!events) {
        return spki_fail(net, SPK_ERR_NULL, "inject events: the array is NULL");
    }
    result = spki_sync(net); /* what is forgotten may have to be run again */
    if (result != SPK_OK) {
        return result;
    }
    spki_population *p = &net->population[spki_population_of(net, view->range[0].first)];
    net->changed |= SPKI_CHANGED_LISTS;
    spki_list_forget(net, &p->list);
    spki_list_rewind(net, p);
    result = spki_list_reserve(net, &p->list, count);
    if (result == SPK_OK) {
        result = spki_inject_all(net, m, view, p, events, count, &sorted);
    }
    if (result == SPK_OK && !sorted) {
        spki_list_sort(&p->list);
    }
    return result;
}

SPIKELIB_API spk_result spk_net_run_until_us(spk_net *net, int64_t t_us)
{
    uint64_t step = 0;
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spk_net_build(net);
    if (result != SPK_OK) {
        return result;
    }
    spki_retina *r = (spki_retina *)net->retina;
    if (!r || !r->has_origin) {
        return spk_net_event_origin_us(net,
                                       (int64_t)((uint64_t)t_us - (uint64_t)spki_elapsed_us(net)));
    }
    if (t_us < r->origin_us) {
        return SPK_OK;
    }
    if (!spki_step_of_us(net, spki_step_ns(net), (uint64_t)t_us - (uint64_t)r->origin_us, &step)) {
        return spki_decline(net, SPK_ERR_RANGE,
                            "run until: %lld us is absurdly far from the origin, %lld us",
                            (long long)t_us, (long long)r->origin_us);
    }
    return step > net->step ? spk_net_run_steps(net, step - net->step) : SPK_OK;
}

SPIKELIB_API spk_result spk_net_event_counts(const spk_net *net, spk_pop pop,
                                             spk_event_counts *counts)
{
    if (!net || !counts) {
        return SPK_ERR_NULL;
    }
    memset(counts, 0, sizeof *counts);
    if (!spki_view_of(net, pop)) {
        return SPK_ERR_HANDLE;
    }
    const spki_mapped *m = spki_mapped_of(net, pop.index - 1);
    if (m) {
        *counts = m->counts;
    }
    return m ? SPK_OK : SPK_ERR_STATE;
}

#endif
#endif
