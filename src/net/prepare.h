/* ---- >>prepare: parameters, states and drives in the form the kernels read ---- */
#ifndef SPIKELIB_NET_PREPARE_H
#define SPIKELIB_NET_PREPARE_H

#include "describe.h"

SPKI_FN double spki_param_at(const spki_param *param, uint32_t k)
{
    return param->each ? param->each[k] : param->uniform;
}

SPKI_FN void spki_params_of(const spki_population *pop, uint32_t k, double *out)
{
    for (uint32_t p = 0; p < pop->model->param_count; p++) {
        out[p] = spki_param_at(&pop->param[p], k);
    }
}

SPKI_FN void spki_put_real(const spk_net *net, char *at, size_t k, double x)
{
    if (net->real_size == 8) {
        memcpy(at + 8 * k, &x, 8);
    } else {
        const float f = (float)x;
        memcpy(at + 4 * k, &f, 4);
    }
}

/* -- states: what the user sees is absolute, what is stored may be relative -- */

/* The parameter that the stored state s is relative to, or NULL. */
SPKI_FN const spki_param *spki_state_base(const spki_population *pop, uint32_t s)
{
    const int p =
        spki_find_field(pop->model->param, pop->model->param_count, pop->model->state[s].relative);
    return p >= 0 ? &pop->param[p] : NULL;
}

SPKI_FN double spki_state_base_at(const spki_population *pop, uint32_t s, uint32_t k)
{
    const spki_param *base = spki_state_base(pop, s);
    return base ? spki_param_at(base, k) : 0.0;
}

/* As the kernels see it: relative. */
SPKI_FN double spki_stored_state(const spk_net *net, const spki_population *pop, uint32_t s,
                                 uint32_t k)
{
    if (net->desc.precision == SPK_FLOAT64) {
        double x;
        memcpy(&x, pop->state[s] + (size_t)k * 8, 8);
        return x;
    }
    if (net->desc.precision == SPK_FLOAT32) {
        float x;
        memcpy(&x, pop->state[s] + (size_t)k * 4, 4);
        return (double)x;
    }
    uint16_t h;
    memcpy(&h, pop->state[s] + (size_t)k * 2, 2);
    return (double)spki_unpack16_f1(0.0f, &h) + pop->state_offset[s];
}

SPKI_FN double spki_get_state(const spk_net *net, const spki_population *pop, uint32_t s,
                              uint32_t k)
{
    return spki_stored_state(net, pop, s, k) + spki_state_base_at(pop, s, k);
}

SPKI_FN void spki_set_state(const spk_net *net, spki_population *pop, uint32_t s, uint32_t k,
                            double x)
{
    x -= spki_state_base_at(pop, s, k);
    if (net->desc.precision == SPK_FLOAT16) {
        uint16_t h;
        spki_pack16_f1((float)(x - pop->state_offset[s]), &h, 0x1000); /* to the nearest */
        memcpy(pop->state[s] + (size_t)k * 2, &h, 2);
    } else {
        spki_put_real(net, pop->state[s], k, x);
    }
}

/* The states as the model and the user's settings begin. Padding lanes copy the last neuron. */
SPKI_FN spk_result spki_make_states(spk_net *net, spki_population *pop)
{
    const spk_model model = pop->model;
    double *param =
        (double *)spki_alloc(&net->mem, model->param_count + model->state_count, sizeof(double));
    if (!param) {
        return spki_no_memory(net, "states");
    }
    double *init = param + model->param_count;
    spk_result result = SPK_OK;
    for (uint32_t s = 0; s < model->state_count && result == SPK_OK; s++) {
        pop->state[s] = (char *)spki_alloc(&net->mem, pop->lanes, net->state_size);
        result = pop->state[s] ? SPK_OK : spki_no_memory(net, "states");
    }
    for (uint32_t k = 0; k < pop->lanes && result == SPK_OK; k++) {
        const uint32_t n = SPKI_MIN(k, pop->count - 1);
        spki_params_of(pop, n, param);
        model->init(param, net->desc.dt_ms, init);
        for (uint32_t s = 0; s < model->state_count; s++) {
            if (k == 0 && !model->state[s].relative[0]) {
                pop->state_offset[s] = 0.0;
            }
            if (k == 0 && strcmp(model->state[s].relative, "spki_absolute") == 0 &&
                strcmp(model->state[s].unit, "mV") == 0) {
                pop->state_offset[s] = init[s];
            }
            const double set = spki_param_at(&pop->initial[s], n);
            double base = spki_state_base_at(pop, s, n), x = set == spki_unset ? init[s] : set;
            x -= base;
            if (net->desc.precision == SPK_FLOAT16) {
                uint16_t h;
                spki_pack16_f1((float)(x - pop->state_offset[s]), &h, 0x1000);
                memcpy(pop->state[s] + (size_t)k * 2, &h, 2);
            } else {
                spki_put_real(net, pop->state[s], k, x);
            }
        }
    }
    spki_free(&net->mem, param, model->param_count + model->state_count, sizeof(double));
    return result;
}

/* -- parameters and what is derived from them -- */

SPKI_FN bool spki_all_uniform(const spki_population *pop)
{
    for (uint32_t p = 0; p < pop->model->param_count; p++) {
        if (pop->param[p].each) {
            return false;
        }
    }
    return true;
}

typedef struct spki_reals {
    char **real;
    size_t *mask, *bytes;
} spki_reals;

/* One array of the kernels: `values` has n = 1 or one number a neuron. */
SPKI_FN bool spki_make_real(spk_net *net, const spki_population *pop, const double *values,
                            size_t n, spki_reals *out, uint32_t item)
{
    bool same = true;
    for (size_t k = 1; k < n && same; k++) {
        same = values[k] == values[0];
    }
    const size_t count = same ? 64 / net->real_size : pop->lanes;
    char *real = (char *)spki_alloc(&net->mem, count * net->real_size, 1);
    if (!real) {
        return false;
    }
    for (size_t k = 0; k < count; k++) {
        spki_put_real(net, real, k, same ? values[0] : values[SPKI_MIN(k, n - 1)]);
    }
    out->real[item] = real;
    out->mask[item] = same ? 0 : ~(size_t)0;
    out->bytes[item] = count * net->real_size;
    return true;
}

SPKI_FN spk_result spki_fill_reals(spk_net *net, spki_population *pop, spki_reals *out)
{
    const spk_model model = pop->model;
    const uint32_t params = model->param_count, derived = model->derived_count;
    const size_t n = spki_all_uniform(pop) ? 1 : pop->count;
    double *param = (double *)spki_alloc(&net->mem, params + derived, sizeof(double));
    double *all = (double *)spki_alloc(&net->mem, n * SPKI_MAX(derived, 1u), sizeof(double));
    bool ok = param && all;
    for (uint32_t p = 0; p < params && ok; p++) {
        const spki_param *v = &pop->param[p];
        ok = spki_make_real(net, pop, v->each ? v->each : &v->uniform, v->each ? pop->count : 1,
                            out, p);
    }
    spk_result result = ok ? SPK_OK : SPK_ERR_OUT_OF_MEMORY;
    for (size_t k = 0; k < n && ok; k++) {
        spki_params_of(pop, (uint32_t)k, param);
        model->derive(param, net->desc.dt_ms, param + params);
        for (uint32_t d = 0; d < derived; d++) {
            if (!spki_finite(param[params + d]) && result == SPK_OK) {
                result = spki_fail(net, SPK_ERR_RANGE,
                                   "\"%s\": %s of neuron %llu is not finite with these parameters",
                                   pop->name, model->derived[d], (spki_llu)k);
            }
            all[d * n + k] = param[params + d];
        }
    }
    for (uint32_t d = 0; d < derived && ok && result == SPK_OK; d++) {
        ok = spki_make_real(net, pop, all + d * n, n, out, params + d);
    }
    spki_free(&net->mem, param, params + derived, sizeof(double));
    spki_free(&net->mem, all, n * SPKI_MAX(derived, 1u), sizeof(double));
    return ok ? result : spki_no_memory(net, "parameters");
}

SPKI_FN void spki_free_reals(spk_net *net, const spki_population *pop, spki_reals *made)
{
    const uint32_t reals = pop->model->param_count + pop->model->derived_count;
    spki_mem *mem = &net->mem;
    for (uint32_t k = 0; made->real && made->bytes && k < reals; k++) {
        spki_free(mem, made->real[k], made->bytes[k], 1);
    }
    spki_free(mem, made->real, reals, sizeof *made->real);
    spki_free(mem, made->mask, reals, sizeof *made->mask);
    spki_free(mem, made->bytes, reals, sizeof *made->bytes);
    memset(made, 0, sizeof *made);
}

/* All of a population's arrays from its parameters, beside those in use; nothing on failure. */
SPKI_FN spk_result spki_draft_reals(spk_net *net, spki_population *pop, spki_reals *made)
{
    const uint32_t reals = pop->model->param_count + pop->model->derived_count;
    spki_mem *mem = &net->mem;
    made->real = (char **)spki_alloc(mem, reals, sizeof *made->real);
    made->mask = (size_t *)spki_alloc(mem, reals, sizeof *made->mask);
    made->bytes = (size_t *)spki_alloc(mem, reals, sizeof *made->bytes);
    const spk_result result = made->real && made->mask && made->bytes
                                  ? spki_fill_reals(net, pop, made)
                                  : spki_no_memory(net, "parameters");
    if (result != SPK_OK) {
        spki_free_reals(net, pop, made);
    }
    return result;
}

/* Exchanges them for those in use. */
SPKI_FN void spki_swap_reals(spki_population *pop, spki_reals *made)
{
    const spki_reals old = {pop->real, pop->real_mask, pop->real_bytes};
    pop->real = made->real;
    pop->real_mask = made->mask;
    pop->real_bytes = made->bytes;
    *made = old;
}

/* Makes all of a population's arrays anew, or leaves the old ones. */
SPKI_FN spk_result spki_make_reals(spk_net *net, spki_population *pop)
{
    spki_reals made;
    const spk_result result = spki_draft_reals(net, pop, &made);
    if (result == SPK_OK) {
        spki_swap_reals(pop, &made);
    }
    spki_free_reals(net, pop, &made);
    return result;
}

/* -- drives -- */

SPKI_FN void spki_free_drive(spk_net *net, spki_drive *drive)
{
    const uint32_t n = net->view[drive->view].size;
    spki_free_param(&net->mem, &drive->value, n);
    spki_free_param(&net->mem, &drive->rate, n);
    for (uint32_t t = 0; drive->table && t < drive->tables; t++) {
        spki_free(&net->mem, drive->table[t].threshold, drive->table[t].count, sizeof(int32_t));
    }
    spki_free(&net->mem, drive->table, drive->tables, sizeof *drive->table);
    spki_free(&net->mem, drive->table_of, n, sizeof(uint32_t));
    spki_free_string(&net->mem, drive->receptor);
    memset(drive, 0, sizeof *drive);
}

/* Thresholds of the distribution function in units of 2^-32: the number of thresholds that a
   32-bit word reaches, plus base, is a Poisson variate of mean `m` (exact to 2^-32). */
SPKI_FN bool spki_make_poisson(spki_mem *mem, spki_poisson_table *table, double m)
{
    for (int fill = 0; fill < 2; fill++) {
        double p = spk_exp(-m), cdf = p;
        uint32_t count = 0, base = 0;
        table->common = 0;
        for (uint32_t k = 0; k < 100000; k++) {
            const double scaled = cdf * 4294967296.0 + 0.5;
            if (scaled >= 4294967296.0) {
                break;
            }
            if (scaled >= 1.0 && cdf < 1.0 - 1.0 / 1024.0) {
                table->common++; /* one vector in 60 goes on */
            }
            if (scaled < 1.0) {
                base++;
            } else if (fill) {
                table->threshold[count++] = (int32_t)((uint32_t)scaled ^ 0x80000000u);
            } else {
                count++;
            }
            p = p * m / (double)(k + 1);
            if (p < 1e-12 && (double)k > m) {
                break;
            }
            cdf += p;
        }
        table->base = base;
        table->count = count;
        if (!fill && !(table->threshold = (int32_t *)spki_alloc(mem, count, sizeof(int32_t)))) {
            return false;
        }
    }
    return true;
}

/* One table a distinct rate. */
SPKI_FN spk_result spki_make_tables(spk_net *net, spki_drive *drive)
{
    const uint32_t n = net->view[drive->view].size;
    const double per_step = 1e-3 * net->desc.dt_ms;
    uint32_t distinct = 1;
    spk_result result = SPK_OK;
    if (drive->rate.each) {
        drive->table_of = (uint32_t *)spki_alloc(&net->mem, n, sizeof(uint32_t));
        if (!drive->table_of) {
            return spki_no_memory(net, "a Poisson drive");
        }
        distinct = n;
    }
    spki_poisson_table *table =
        (spki_poisson_table *)spki_alloc(&net->mem, distinct, sizeof *table);
    if (!table) {
        return spki_no_memory(net, "a Poisson drive");
    }
    drive->table = table;
    drive->tables = distinct;
    uint32_t used = 0, size = 1;
    while (size < 2 * distinct) {
        size *= 2;
    }
    uint32_t *seen = (uint32_t *)spki_alloc(&net->mem, size, sizeof *seen); /* 1 + table, by hash */
    if (!seen) {
        return spki_no_memory(net, "a Poisson drive");
    }
    for (uint32_t k = 0; k < (drive->rate.each ? n : 1u) && result == SPK_OK; k++) {
        const double rate = spki_param_at(&drive->rate, k);
        uint32_t at = (uint32_t)spk_xxh64(&rate, sizeof rate, 0) & (size - 1);
        while (seen[at] && table[seen[at] - 1].rate != rate) {
            at = (at + 1) & (size - 1);
        }
        if (!seen[at]) {
            seen[at] = ++used;
            table[used - 1].rate = rate;
            result = spki_make_poisson(&net->mem, &table[used - 1], rate * per_step)
                         ? SPK_OK
                         : spki_no_memory(net, "a Poisson drive");
        }
        if (drive->table_of) {
            drive->table_of[k] = seen[at] - 1;
        }
    }
    spki_free(&net->mem, seen, size, sizeof *seen);
    return result;
}

/* An empty drive of the view, or NULL with the reason in *result. */
SPKI_FN spki_drive *spki_new_drive(spk_net *net, spk_pop target, const void *desc,
                                   spk_result *result)
{
    *result = spki_may_describe(net, "drive");
    if (*result != SPK_OK) {
        return NULL;
    }
    if (!desc) {
        *result = spki_fail(net, SPK_ERR_NULL, "drive: the descriptor is NULL");
        return NULL;
    }
    if (!spki_check_view(net, target, "drive")) {
        *result = net->status;
        return NULL;
    }
    void *items = net->drive;
    if (!spki_grow(&net->mem, &items, net->drives, &net->drive_capacity, sizeof *net->drive)) {
        *result = spki_no_memory(net, "a drive");
        return NULL;
    }
    net->drive = (spki_drive *)items;
    spki_drive *drive = &net->drive[net->drives];
    memset(drive, 0, sizeof *drive);
    drive->view = target.index - 1;
    return drive;
}

/* [start, stop) in steps; stop 0: never. */
SPKI_FN spk_result spki_drive_window(spk_net *net, spki_drive *drive, double start, double stop)
{
    const double dt = net->desc.dt_ms;
    if (!(start >= 0.0) || !(stop >= 0.0) || !(start / dt < 9e15) ||
        (stop != 0.0 && stop < start)) {
        return spki_fail(net, SPK_ERR_RANGE, "drive: the window from %g to %g ms is none", start,
                         stop);
    }
    drive->start = (uint64_t)(start / dt + 0.5);
    drive->stop = stop == 0.0 || stop / dt >= 9e15 ? UINT64_MAX : (uint64_t)(stop / dt + 0.5);
    return SPK_OK;
}

/* A value for each neuron of the drive's view. */
SPKI_FN spk_result spki_drive_value(spk_net *net, const spki_drive *drive, const char *what,
                                    const spk_value *value, double fallback, double lowest,
                                    double highest, uint32_t item, spki_param *out)
{
    const uint32_t n = net->view[drive->view].size;
    const char *name = spki_view_name(net, &net->view[drive->view]);
    char why[200] = "";
    if (value->kind == SPK_VALUE_DEFAULT) {
        out->uniform = fallback;
        return SPK_OK;
    }
    double *each = (double *)spki_alloc(&net->mem, n, sizeof *each);
    if (!each) {
        return spki_no_memory(net, what);
    }
    spk_result result =
        spki_value_sample(value, n, net->desc.seed, SPKI_STREAM_VALUE | net->drives << 2 | item,
                          each, why, sizeof why);
    if (result != SPK_OK) {
        (void)spki_fail(net, result, "drive of \"%s\": %s %s", name, what, why);
    }
    bool same = true;
    for (uint32_t k = 0; k < n && result == SPK_OK; k++) {
        if (!(each[k] >= lowest && each[k] <= highest)) {
            result = spki_fail(net, SPK_ERR_RANGE, "drive of \"%s\": %s %g is not within %g and %g",
                               name, what, each[k], lowest, highest);
        }
        same = same && each[k] == each[0];
    }
    out->uniform = n ? each[0] : fallback;
    if (same || result != SPK_OK) {
        spki_free(&net->mem, each, n, sizeof *each);
    } else {
        out->each = each;
    }
    return result;
}

SPIKELIB_API spk_result spk_net_drive_poisson(spk_net *net, spk_pop target,
                                              const spk_poisson_desc *desc)
{
    spk_result result;
    spki_drive *drive = spki_new_drive(net, target, desc, &result);
    if (!drive) {
        return result;
    }
    bool magnitude;
    drive->kind = SPKI_DRIVE_POISSON;
    result = spki_check_targets(net, &net->view[drive->view], desc->receptor, &magnitude);
    if (result == SPK_OK) {
        result = spki_drive_window(net, drive, desc->start_ms, desc->stop_ms);
    }
    if (result == SPK_OK && desc->rate_hz.kind == SPK_VALUE_DEFAULT) {
        result = spki_fail(net, SPK_ERR_RANGE, "drive of \"%s\": rate_hz is not given",
                           spki_view_name(net, &net->view[drive->view]));
    }
    if (result == SPK_OK) { /* at most 600 events a step: beyond, e^-mean leaves the doubles */
        result = spki_drive_value(net, drive, "rate_hz", &desc->rate_hz, 0.0, 0.0,
                                  600.0 / (1e-3 * net->desc.dt_ms), 0, &drive->rate);
    }
    if (result == SPK_OK) {
        result = spki_drive_value(net, drive, "weight", &desc->weight, 1.0, -1e30, 1e30, 1,
                                  &drive->value);
    }
    if (result == SPK_OK) {
        result = spki_make_tables(net, drive);
    }
    if (result == SPK_OK && desc->receptor &&
        !(drive->receptor = spki_copy_string(&net->mem, desc->receptor))) {
        result = spki_no_memory(net, "a drive");
    }
    if (result != SPK_OK) {
        spki_free_drive(net, drive);
        return result;
    }
    net->drives++;
    return SPK_OK;
}

SPKI_FN spk_result spki_check_current(spk_net *net, const spki_population *pop)
{
    for (uint32_t k = 0; k < pop->model->input_count; k++) {
        if ((int)(pop->model->input[k].value + 0.5) == SPK_CURRENT) {
            return SPK_OK;
        }
    }
    return spki_fail(net, SPK_ERR_UNSUPPORTED, "\"%s\" (%s) takes no current", pop->name,
                     pop->model->name);
}

SPIKELIB_API spk_result spk_net_drive_current(spk_net *net, spk_pop target,
                                              const spk_current_desc *desc)
{
    spk_result result;
    spki_drive *drive = spki_new_drive(net, target, desc, &result);
    if (!drive) {
        return result;
    }
    const double every = desc->noise_dt_ms == 0.0 ? 1.0 : desc->noise_dt_ms / net->desc.dt_ms;
    drive->kind = SPKI_DRIVE_CURRENT;
    drive->noise_sd = desc->noise_sd;
    if (!(desc->noise_sd >= 0.0) || !spki_finite(desc->noise_sd) || !(every >= 0.5) ||
        !(every < 9e15)) {
        result = spki_fail(net, SPK_ERR_RANGE, "drive: noise of %g every %g ms is none",
                           desc->noise_sd, desc->noise_dt_ms);
    }
    if (result == SPK_OK) {
        drive->noise_steps = (uint64_t)(every + 0.5);
        result = spki_drive_window(net, drive, desc->start_ms, desc->stop_ms);
    }
    for (uint32_t p = 0; result == SPK_OK && p < net->populations; p++) {
        if (spki_view_meets(&net->view[drive->view], &net->population[p])) {
            result = spki_check_current(net, &net->population[p]);
        }
    }
    if (result == SPK_OK) {
        result = spki_drive_value(net, drive, "amplitude", &desc->amplitude, 0.0, -1e30, 1e30, 0,
                                  &drive->value);
    }
    if (result != SPK_OK) {
        spki_free_drive(net, drive);
        return result;
    }
    net->drives++;
    return SPK_OK;
}

/* Parts of drives that fall on one population, counted or written. */
SPKI_FN uint32_t spki_parts_of(spk_net *net, uint32_t population, spki_drive_part *out)
{
    const spki_population *pop = &net->population[population];
    uint32_t n = 0;
    for (uint32_t d = 0; d < net->drives; d++) {
        const spki_drive *drive = &net->drive[d];
        const spki_view *view = &net->view[drive->view];
        uint32_t index = 0;
        for (uint32_t r = 0; r < view->ranges; index += view->range[r++].count) {
            const spki_ids ids = view->range[r];
            const uint32_t lo = SPKI_MAX(ids.first, pop->first);
            const uint32_t hi = SPKI_MIN(ids.first + ids.count, pop->first + pop->count);
            if (lo >= hi) {
                continue;
            }
            if (out) {
                spki_drive_part *part = &out[n];
                part->drive = d;
                part->first = lo - pop->first;
                part->count = hi - lo;
                part->index = index + lo - ids.first;
                part->ahead = SPKI_NOT_AHEAD;
                if (drive->kind == SPKI_DRIVE_POISSON) {
                    (void)spki_resolve_receptor(net, pop, drive->receptor, &part->receptor_pos,
                                                &part->receptor_neg, &part->magnitude);
                }
            }
            n++;
        }
    }
    return n;
}

/* Cuts the drives by populations, so that a block of neurons finds its own. */
SPKI_FN spk_result spki_make_parts(spk_net *net)
{
    for (uint32_t p = 0; p < net->populations; p++) {
        net->population[p].part = net->parts;
        net->population[p].parts = spki_parts_of(net, p, NULL);
        net->parts += net->population[p].parts;
    }
    net->part = (spki_drive_part *)spki_alloc(&net->mem, net->parts, sizeof *net->part);
    if (!net->part) {
        return spki_no_memory(net, "drives");
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        (void)spki_parts_of(net, p, net->part + net->population[p].part);
    }
    return SPK_OK;
}

#endif
