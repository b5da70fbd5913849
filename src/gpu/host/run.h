/* ---- >>gpu-run: slices, batches, and what comes back from them ----
   A slice is as many steps as the shortest delay allows: one update of all neurons, one
   compaction, one delivery. A batch is the slices between two read-backs. While a batch runs the
   host unpacks the one before and hands it to the recorders, as the CPU's engine does with
   slices. Several devices exchange their spikes through the host after each slice. */
#ifndef SPIKELIB_GPU_HOST_RUN_H
#define SPIKELIB_GPU_HOST_RUN_H

#include "batch.h"
#include "deal.h"

/* -- spikes that lists and the host ask for -- */

/* All told spikes from now on, sorted by step: each population's list is, so they are merged. */
SPKI_FN spk_result spki_gpu_make_told(spk_net *net, spki_gpu_net *g)
{
    size_t n = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        n += pop->list.count + (pop->has_forced && pop->forced ? pop->count : 0);
    }
    spki_free(&net->mem, g->told_step, g->told_room, sizeof *g->told_step);
    spki_free(&net->mem, g->told_lane, g->told_room, sizeof *g->told_lane);
    g->told = g->told_next = 0;
    g->told_room = n;
    g->told_step = (uint64_t *)spki_alloc(&net->mem, n, sizeof *g->told_step);
    g->told_lane = (uint32_t *)spki_alloc(&net->mem, n, sizeof *g->told_lane);
    size_t *at = (size_t *)spki_alloc(&net->mem, net->populations, sizeof *at);
    if (!g->told_step || !g->told_lane || !at) {
        spki_free(&net->mem, at, net->populations, sizeof *at);
        return spki_no_memory(net, "told spikes");
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        for (uint32_t k = 0; pop->has_forced && pop->forced && k < pop->count; k++) {
            if ((pop->forced[k / 64] >> (k % 64)) & 1) {
                g->told_step[g->told] = net->step;
                g->told_lane[g->told++] = pop->lane + k;
            }
        }
        while (at[p] < pop->list.count && pop->list.step[at[p]] <= net->step) {
            at[p]++;
        }
    }
    for (;;) { /* stamps are one more than the step that finds the spike */
        uint32_t best = UINT32_MAX;
        for (uint32_t p = 0; p < net->populations; p++) {
            const spki_spike_list *list = &net->population[p].list;
            if (at[p] < list->count &&
                (best == UINT32_MAX ||
                 list->step[at[p]] < net->population[best].list.step[at[best]])) {
                best = p;
            }
        }
        if (best == UINT32_MAX) {
            break;
        }
        const spki_population *pop = &net->population[best];
        g->told_step[g->told] = pop->list.step[at[best]] - 1;
        g->told_lane[g->told++] = pop->lane + pop->list.neuron[at[best]++];
    }
    spki_free(&net->mem, at, net->populations, sizeof *at);
    return SPK_OK;
}

/* Each device gets those of its own lanes: told_from holds where they begin, by entry. */
SPKI_FN spk_result spki_gpu_push_lists(spk_net *net, spki_gpu_net *g)
{
    spk_result result = spki_gpu_make_told(net, g);
    uint32_t *own = (uint32_t *)spki_alloc(&net->mem, g->told, sizeof *own);
    if (result == SPK_OK && !own) {
        result = spki_no_memory(net, "told spikes");
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        for (size_t j = 0; j < g->told; j++) { /* what is another's falls on a lane of nobody */
            const uint32_t group = g->told_lane[j] / SPKI_GROUP;
            own[j] = group - part->group < part->groups ? g->told_lane[j] : UINT32_MAX;
        }
        result = spki_gpu_fill(net, &part->gpu, &part->lanes, own, (uint64_t)g->told * 4);
    }
    spki_free(&net->mem, own, g->told, sizeof *own);
    return result;
}

/* -- recorders of states -- */

/* The places of a recorder's neurons in one device's states. */
SPKI_FN void spki_gpu_index(const spk_net *net, const spki_gpu_part *part, spk_rec rec,
                            spki_gpu_bytes *index, spki_gpu_bytes *column)
{
    const spki_view *view = &net->view[rec->view];
    for (uint32_t k = 0; k < view->size; k++) {
        const uint32_t id = spki_view_id(view, k), p = spki_population_of(net, id);
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        const int s = spki_find_field(pop->model->state, pop->model->state_count, rec->state);
        const uint32_t n = id - pop->first;
        if (s < 0 || !range->hi || n < range->lo || n >= range->hi) {
            continue;
        }
        uint32_t *at = (uint32_t *)spki_gpu_more(index, 4);
        uint32_t *to = (uint32_t *)spki_gpu_more(column, 4);
        if (at && to) {
            *at = (uint32_t)(range->state + (uint64_t)s * (range->hi - range->lo) + n - range->lo);
            *to = k;
        }
    }
}

SPKI_FN void spki_gpu_free_samples(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    for (uint32_t k = 0; k < 2; k++) {
        spki_free(&net->mem, part->read_sample[k], part->sample_room, 1);
        part->read_sample[k] = NULL;
    }
    spki_free(&net->mem, part->samples, g->sample_slots, sizeof *part->samples);
    spki_free(&net->mem, part->sampled_at, part->index_room, sizeof *part->sampled_at);
    part->samples = NULL;
    part->sampled_at = NULL;
    part->sample_bytes = part->sample_room = part->index_room = 0;
}

SPKI_FN spk_result spki_gpu_make_samples(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_bytes index, column;
    memset(&index, 0, sizeof index);
    memset(&column, 0, sizeof column);
    index.mem = column.mem = &net->mem;
    part->samples = (spki_gpu_sample *)spki_alloc(&net->mem, g->sample_slots,
                                                  sizeof *part->samples);
    spk_result result = part->samples ? SPK_OK : spki_no_memory(net, "a recorder");
    uint64_t out = 0;
    uint32_t n = 0;
    for (uint32_t r = 0; r < net->recorders && result == SPK_OK; r++) {
        if (net->recorder[r]->kind != SPK_REC_STATE) {
            continue;
        }
        spki_gpu_sample *sample = &part->samples[n++];
        sample->rec = net->recorder[r];
        sample->first = (uint32_t)(index.used / 4);
        spki_gpu_index(net, part, sample->rec, &index, &column);
        sample->count = (uint32_t)(index.used / 4) - sample->first;
        sample->out = out;
        out += (uint64_t)sample->count * SPKI_MAX_SLICE;
    }
    if (result == SPK_OK && (index.failed || column.failed)) {
        result = spki_no_memory(net, "a recorder");
    }
    part->sample_bytes = (size_t)out * net->state_size;
    part->sample_room = SPKI_MAX(part->sample_bytes, (size_t)1);
    part->index_room = column.used / 4;
    part->sampled_at = (uint32_t *)spki_alloc(&net->mem, part->index_room, 4);
    for (uint32_t k = 0; k < 2 && result == SPK_OK; k++) {
        part->read_sample[k] = (char *)spki_alloc(&net->mem, part->sample_room, 1);
        if (!part->read_sample[k] || !part->sampled_at) {
            result = spki_no_memory(net, "a recorder");
        } else {
            result = spki_gpu_blank(net, gpu, &part->sample[k], part->sample_bytes);
        }
    }
    if (result == SPK_OK && column.used) {
        memcpy(part->sampled_at, column.data, column.used);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->index, &index);
    }
    spki_gpu_forget(&index);
    spki_gpu_forget(&column);
    return result;
}

/* Recorders may have been added since the last run. */
SPKI_FN spk_result spki_gpu_find_samples(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    if (g->seen_recorders == net->recorders) {
        return SPK_OK;
    }
    uint32_t n = 0;
    for (uint32_t r = 0; r < net->recorders; r++) {
        n += net->recorder[r]->kind == SPK_REC_STATE;
    }
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_free_samples(net, g, &g->part[k]);
    }
    g->samples = g->sample_slots = n;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        result = spki_gpu_make_samples(net, g, &g->part[k]);
    }
    g->seen_recorders = result == SPK_OK ? net->recorders : 0;
    return result;
}

/* The first step at or after `step`, before `end`, whose end some recorder samples; or the last. */
SPKI_FN uint64_t spki_gpu_next_sample(const spk_net *net, uint64_t step, uint64_t end)
{
    uint64_t next = end - 1;
    for (uint32_t r = 0; r < net->recorders; r++) {
        const struct spk_rec_data *rec = net->recorder[r];
        if (rec->kind == SPK_REC_STATE && step >= rec->start_step) {
            const uint64_t since = step - rec->start_step;
            next = SPKI_MIN(next, step + rec->every - 1 - since % rec->every);
        }
    }
    return next;
}

/* Takes the samples that are due at the end of `step`. */
SPKI_FN spk_result spki_gpu_sample_step(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                        const spki_slice *batch, uint64_t step)
{
    spki_gpu *gpu = &part->gpu;
    for (uint32_t k = 0; k < g->samples; k++) {
        const spki_gpu_sample *s = &part->samples[k];
        if (!spki_rec_due(s->rec, step + 1) || !s->count) {
            continue;
        }
        const uint64_t row = spki_rec_staging_row(s->rec, batch->first, step + 1);
        const spki_gpu_arg arg[] = {spki_gpu_memory(&part->index),
                                    spki_gpu_memory(&part->state),
                                    spki_gpu_memory(&part->sample[batch->parity]),
                                    spki_gpu_u64(s->out + row * s->count),
                                    spki_gpu_u32(s->first),
                                    spki_gpu_u32(s->count)};
        const uint32_t items = gpu->lanes > 1 ? 16 : 128;
        const spk_result result =
            gpu->api->launch(gpu, part->program, SPKI_GPU_SAMPLE,
                             SPKI_MIN((s->count + items - 1) / items, 1024u), items, arg, 6);
        if (result != SPK_OK) {
            return spki_gpu_failed(net, gpu, result);
        }
    }
    return SPK_OK;
}

/* What a sampled element is worth. */
SPKI_FN double spki_gpu_stored(const spk_net *net, const spki_population *pop, uint32_t s,
                               const char *at)
{
    if (net->desc.precision == SPK_FLOAT64) {
        double x;
        memcpy(&x, at, 8);
        return x;
    }
    if (net->desc.precision == SPK_FLOAT32) {
        float x;
        memcpy(&x, at, 4);
        return (double)x;
    }
    uint16_t h;
    memcpy(&h, at, 2);
    return (double)spki_unpack16_f1(0.0f, &h) + pop->state_offset[s];
}

/* One sampled row from the devices into the recorder's staging; parameters come from the host. */
SPKI_FN void spki_gpu_unpack_row(spk_net *net, spki_gpu_net *g, uint32_t k, uint32_t parity,
                                 uint32_t row)
{
    spk_rec rec = g->part[0].samples[k].rec;
    const spki_view *view = &net->view[rec->view];
    double *to = rec->staging[parity] + (size_t)row * rec->width;
    for (uint32_t d = 0; d < g->parts; d++) {
        const spki_gpu_part *part = &g->part[d];
        const spki_gpu_sample *s = &part->samples[k];
        const char *from =
            part->read_sample[parity] + (size_t)(s->out + (uint64_t)row * s->count) *
                                            net->state_size;
        for (uint32_t j = 0; j < s->count; j++) {
            const uint32_t column = part->sampled_at[s->first + j];
            const uint32_t id = spki_view_id(view, column);
            const spki_population *pop = &net->population[spki_population_of(net, id)];
            const uint32_t state = (uint32_t)spki_find_field(
                pop->model->state, pop->model->state_count, rec->state);
            const double x = spki_gpu_stored(net, pop, state, from + (size_t)j * net->state_size);
            const spki_param *base = spki_state_base(pop, state);
            to[column] = base ? x + spki_param_at(base, id - pop->first) : x;
        }
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const uint32_t lo = spki_view_below(view, pop->first),
                       hi = spki_view_below(view, pop->first + pop->count);
        if (lo < hi && spki_find_field(pop->model->state, pop->model->state_count,
                                       rec->state) < 0) {
            spki_sample_piece(net, pop, rec->state, view, lo, hi, to);
        }
    }
}

SPKI_FN void spki_gpu_unpack_samples(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    for (uint32_t k = 0; k < g->samples; k++) {
        const struct spk_rec_data *rec = g->part[0].samples[k].rec;
        for (uint32_t s = 0; s < batch->steps; s++) {
            const uint64_t stamp = batch->first + s + 1;
            if (spki_rec_due(rec, stamp)) {
                spki_gpu_unpack_row(net, g, k, batch->parity,
                                    spki_rec_staging_row(rec, batch->first, stamp));
            }
        }
    }
}

/* -- one slice on one device -- */

SPKI_FN spk_result spki_gpu_update(spk_net *net, spki_gpu_part *part, uint64_t first,
                                   uint32_t steps, bool amounts)
{
    spki_gpu *gpu = &part->gpu;
    const uint32_t lanes = spki_gpu_choose(net, gpu).lanes;
    /* a block of a CPU device is one item; scalar text wants 16 items a group of neurons */
    const uint32_t items = lanes > 1 ? 1 : 16 * SPKI_GPU_BLOCK_GROUPS;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->desc),
                                spki_gpu_memory(&part->block),
                                spki_gpu_memory(&part->value),
                                spki_gpu_memory(&part->table),
                                spki_gpu_memory(&part->told),
                                spki_gpu_memory(&part->state),
                                spki_gpu_memory(&part->acc),
                                spki_gpu_memory(&part->arrived),
                                spki_gpu_memory(&part->history),
                                spki_gpu_u64(net->desc.seed),
                                spki_gpu_u64(first),
                                spki_gpu_u64(part->slots),
                                spki_gpu_u32(steps),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(part->ring),
                                spki_gpu_u32(net->ring - 1),
                                spki_gpu_u32(net->lanes / SPKI_GROUP),
                                spki_gpu_u32(amounts),
                                spki_gpu_origin(part)};
    double since = 0.0;
    spk_result result = spki_gpu_lap(net, gpu, &since, NULL);
    if (result == SPK_OK) {
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_UPDATE, part->blocks, items, arg,
                                  spki_gpu_args(gpu, sizeof arg / sizeof arg[0]));
    }
    if (result == SPK_OK) {
        result = spki_gpu_lap(net, gpu, &since, &net->scratch[0].update_s);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Spikes told for steps [first, first + steps): g->told_next is the first not yet told. */
SPKI_FN spk_result spki_gpu_tell(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                 uint64_t first, uint32_t steps)
{
    spki_gpu *gpu = &part->gpu;
    size_t at = g->told_next;
    while (at < g->told && g->told_step[at] < first + steps) {
        const uint64_t step = g->told_step[at];
        const size_t from = at;
        while (at < g->told && g->told_step[at] == step) {
            at++;
        }
        const uint32_t n = (uint32_t)(at - from), items = gpu->lanes > 1 ? 16 : 128;
        const spki_gpu_arg arg[] = {
            spki_gpu_memory(&part->lanes), spki_gpu_memory(&part->history),
            spki_gpu_u64((step & (net->ring - 1)) * (net->lanes / 32)),
            spki_gpu_u32((uint32_t)from), spki_gpu_u32(n)};
        const spk_result result = gpu->api->launch(gpu, part->program, SPKI_GPU_TELL,
                                                   (n + items - 1) / items, items, arg, 5);
        if (result != SPK_OK) {
            return spki_gpu_failed(net, gpu, result);
        }
    }
    return SPK_OK;
}

/* Appends the slice's spikes to the list, whose starts it continues at `at`. */
SPKI_FN spk_result spki_gpu_compact(spk_net *net, spki_gpu_part *part, const spki_gpu_block *list,
                                    uint64_t first, uint32_t steps, uint32_t at)
{
    spki_gpu *gpu = &part->gpu;
    const uint32_t items = gpu->lanes > 1 ? 1 : SPKI_GPU_SCAN_ITEMS, parts = part->parts;
    const uint32_t mask = net->ring - 1, row = net->lanes / SPKI_GROUP;
    const uint32_t together = gpu->lanes > 1 ? SPKI_MIN(gpu->units, steps) : 1;
    const spki_gpu_arg history = spki_gpu_memory(&part->history);
    const spki_gpu_arg counts = spki_gpu_memory(&part->counts), to = spki_gpu_memory(list);
    const spki_gpu_arg group = spki_gpu_u32(part->group), groups = spki_gpu_u32(part->groups);
    spk_result result = SPK_OK;
    if (parts > 1) {
        const spki_gpu_arg count[] = {history, counts, spki_gpu_u64(first), spki_gpu_u32(mask),
                                      spki_gpu_u32(row), group, groups, spki_gpu_u32(parts),
                                      spki_gpu_origin(part)};
        const spki_gpu_arg scan[] = {counts, to, spki_gpu_u32(at), spki_gpu_u32(steps),
                                     spki_gpu_u32(parts), spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_COUNT, parts * steps, items, count,
                                  spki_gpu_args(gpu, 9));
        if (result == SPK_OK) {
            result = gpu->api->launch(gpu, part->program, SPKI_GPU_SCAN, 1, items, scan,
                                      spki_gpu_args(gpu, 6));
        }
    }
    if (result == SPK_OK) {
        const spki_gpu_arg arg[] = {history,
                                    counts,
                                    spki_gpu_memory(&part->group_id),
                                    to,
                                    spki_gpu_u64(first),
                                    spki_gpu_u32(at),
                                    spki_gpu_u32(steps),
                                    spki_gpu_u32(mask),
                                    spki_gpu_u32(row),
                                    group,
                                    groups,
                                    spki_gpu_u32(parts),
                                    spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_COMPACT,
                                  parts > 1 ? parts * steps : together, items, arg,
                                  spki_gpu_args(gpu, 13));
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN spk_result spki_gpu_step(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                 uint32_t parity, uint64_t first, uint32_t steps, uint32_t at,
                                 bool amounts)
{
    spk_result result = spki_gpu_update(net, part, first, steps, amounts);
    if (result == SPK_OK) {
        result = spki_gpu_tell(net, g, part, first, steps);
    }
    if (result == SPK_OK) {
        result = spki_gpu_compact(net, part, &part->list[parity], first, steps, at);
    }
    return result;
}

/* -- several devices: everybody's spikes of a slice, to everybody -- */

SPKI_FN spk_result spki_gpu_read_list(spk_net *net, spki_gpu_part *part, uint32_t parity,
                                      uint64_t from, uint64_t words, spki_gpu_ticket *ticket)
{
    spki_gpu *gpu = &part->gpu;
    const spk_result result =
        gpu->api->read(gpu, part->list[parity].mem, from * 4, part->read_list[parity] + from,
                       (size_t)words * 4, ticket);
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Reads the ids of a device's list up to its start number `at`. */
SPKI_FN spk_result spki_gpu_read_ids(spk_net *net, spki_gpu_part *part, uint32_t parity,
                                     uint32_t from, uint32_t at)
{
    const uint32_t have = part->read_list[parity][from], all = part->read_list[parity][at];
    return all > have ? spki_gpu_read_list(net, part, parity, SPKI_GPU_LIST_IDS + (uint64_t)have,
                                           all - have, NULL)
                      : SPK_OK;
}

/* Where each step's spikes begin in the list of all; with `ids` the list too, on the host. */
SPKI_FN uint32_t spki_gpu_merge(spki_gpu_net *g, uint32_t parity, uint32_t steps, uint32_t at,
                                bool ids)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < steps; s++) {
        g->merged[s] = n;
        for (uint32_t k = 0; k < g->parts; k++) {
            const uint32_t *list = g->part[k].read_list[parity];
            const uint32_t from = list[at + s], count = list[at + s + 1] - from;
            if (ids) {
                memcpy(g->merged + SPKI_GPU_LIST_IDS + n, list + SPKI_GPU_LIST_IDS + from,
                       (size_t)count * 4);
            }
            n += count;
        }
        g->merged[s + 1] = n;
    }
    return n;
}

/* The ids of all, from each device to every device. */
SPKI_FN spk_result spki_gpu_share_ids(spk_net *net, spki_gpu_net *g, uint32_t parity,
                                      uint32_t steps, uint32_t at)
{
    spki_gpu *gpu[SPKI_GPU_MOST_PARTS];
    spki_gpu_mem to[SPKI_GPU_MOST_PARTS];
    spk_result result = SPK_OK;
    uint64_t n = 0;
    for (uint32_t k = 0; k < g->parts; k++) {
        gpu[k] = &g->part[k].gpu;
        to[k] = g->exchange[k].mem;
    }
    for (uint32_t s = 0; s < steps; s++) {
        for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
            const uint32_t *list = g->part[k].read_list[parity];
            const uint64_t from = list[at + s], count = list[at + s + 1] - from;
            if (count) {
                result = gpu[k]->api->share(gpu, g->parts, k, g->part[k].list[parity].mem,
                                            (SPKI_GPU_LIST_IDS + from) * 4, to,
                                            (SPKI_GPU_LIST_IDS + n) * 4, count * 4);
                result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu[k], result);
            }
            n += count;
        }
    }
    return result;
}

SPKI_FN spk_result spki_gpu_exchange(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                     uint32_t steps, uint32_t at)
{
    const bool direct = g->part[0].gpu.api->share != NULL;
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) { /* all work at the same time */
        spki_gpu *gpu = &g->part[k].gpu;
        result = gpu->api->flush(gpu);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_read_list(net, &g->part[k], parity, 0, SPKI_GPU_LIST_IDS, NULL);
        if (result == SPK_OK && !direct) {
            result = spki_gpu_read_ids(net, &g->part[k], parity, at, at + steps);
        }
    }
    const uint32_t n = result == SPK_OK ? spki_gpu_merge(g, parity, steps, at, !direct) : 0;
    const size_t words = SPKI_GPU_LIST_IDS + (direct ? 0 : (size_t)n);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        spki_gpu *gpu = &g->part[k].gpu;
        result = gpu->api->write(gpu, g->exchange[k].mem, 0, g->merged, words * 4);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    if (result == SPK_OK && n && direct) {
        result = spki_gpu_share_ids(net, g, parity, steps, at);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        spki_gpu_part *part = &g->part[k];
        double since = 0.0;
        result = spki_gpu_watch(net, g, part, &since);
        if (result == SPK_OK) {
            result = spki_gpu_deliver(net, part, &g->exchange[k], 0, steps,
                                      (uint32_t)(first % part->ring), 0);
        }
        if (result == SPK_OK) {
            result = spki_gpu_watch(net, g, part, &since);
        }
    }
    return result;
}

/* -- a batch -- */

/* One slice on all devices, and what follows from it. */
SPKI_FN spk_result spki_gpu_slice(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                  uint32_t steps, uint32_t at, bool amounts)
{
    spk_result result = SPK_OK;
    spki_gpu_watch_slice(g);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        double since = 0.0;
        result = spki_gpu_watch(net, g, &g->part[k], &since);
        if (result == SPK_OK) {
            result = spki_gpu_step(net, g, &g->part[k], parity, first, steps, at, amounts);
        }
        if (result == SPK_OK) {
            result = spki_gpu_watch(net, g, &g->part[k], &since);
        }
    }
    if (result == SPK_OK && g->parts > 1) {
        return spki_gpu_exchange(net, g, parity, first, steps, at);
    }
    return result == SPK_OK ? spki_gpu_deliver(net, g->part, &g->part->list[parity], at, steps,
                                               (uint32_t)(first % g->part->ring), 0)
                            : result;
}

/* Asks for what the batch will have found. */
SPKI_FN spk_result spki_gpu_ask(spk_net *net, spki_gpu_net *g, uint32_t parity)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        /* as many ids as came last time, and half as many again */
        const uint64_t words = SPKI_GPU_LIST_IDS + 1024 + part->last_spikes * 3 / 2;
        if (part->sample_bytes) {
            result = gpu->api->read(gpu, part->sample[parity].mem, 0, part->read_sample[parity],
                                    part->sample_bytes, &part->sampled[parity]);
        }
        if (result == SPK_OK && g->parts == 1) {
            part->asked[parity] = SPKI_MIN(words, part->list_words);
            result = gpu->api->read(gpu, part->list[parity].mem, 0, part->read_list[parity],
                                    (size_t)part->asked[parity] * 4, &part->ticket[parity]);
        }
        if (result == SPK_OK) {
            result = gpu->api->flush(gpu);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    return result;
}

SPKI_FN spk_result spki_gpu_wait(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        result = gpu->api->wait(gpu, &part->ticket[batch->parity]);
        if (result == SPK_OK) {
            result = gpu->api->wait(gpu, &part->sampled[batch->parity]);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    return result;
}

/* The spikes of a finished batch into the tiles, as if the CPU had found them. */
SPKI_FN void spki_gpu_unpack(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    for (uint32_t k = 0; k < g->parts; k++) {
        const spki_gpu_part *part = &g->part[k];
        const uint32_t *list = part->read_list[batch->parity], *ids = list + SPKI_GPU_LIST_IDS;
        for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
            net->tile[t].spike_start[batch->parity][0] = 0;
        }
        for (uint32_t s = 0; s < batch->steps; s++) {
            uint32_t j = list[s];
            for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
                spki_tile *tile = &net->tile[t];
                uint32_t *const start = tile->spike_start[batch->parity];
                uint32_t *const to = tile->spike[batch->parity] + start[s];
                uint32_t n = 0;
                uint64_t events = 0;
                for (; j < list[s + 1] && ids[j] < tile->end_id; j++) {
                    to[n++] = ids[j];
                    events += g->outdegree[ids[j]];
                }
                tile->spikes += n;
                tile->events += events;
                start[s + 1] = start[s] + n;
            }
        }
    }
    spki_gpu_unpack_samples(net, g, batch);
}

/* Waits for a batch, reads what was longer than asked for, and hands it to the recorders. */
SPKI_FN spk_result spki_gpu_end_batch(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    spki_gpu_part *part = g->part;
    spk_result result = spki_gpu_wait(net, g, batch);
    if (result == SPK_OK && g->parts == 1) {
        const uint64_t all = SPKI_GPU_LIST_IDS + part->read_list[batch->parity][batch->steps];
        const uint64_t have = part->asked[batch->parity];
        if (all > have) {
            result = spki_gpu_read_list(net, part, batch->parity, have, all - have, NULL);
        }
        part->last_spikes = part->read_list[batch->parity][batch->steps];
    }
    for (uint32_t k = 0; g->parts > 1 && k < g->parts && result == SPK_OK; k++) {
        if (g->part[k].gpu.api->share) { /* else they have come with each slice */
            result = spki_gpu_read_ids(net, &g->part[k], batch->parity, 0, batch->steps);
        }
    }
    if (result == SPK_OK) {
        spki_gpu_unpack(net, g, batch);
        spki_end_slice(net, batch);
    }
    return result;
}

/* -- a run -- */

/* Brings to the devices what the host has changed. */
SPKI_FN spk_result spki_gpu_push(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    const uint32_t changed = net->changed;
    bool told = (changed & SPKI_CHANGED_CURRENTS) != 0, lists = (changed & SPKI_CHANGED_LISTS) != 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        told = told || net->population[p].has_amount;
        lists = lists || net->population[p].has_forced;
    }
    if ((changed || told || lists) && net->synced_step != net->step) {
        result = spki_gpu_pull(&g->base, net); /* from here it can be run again */
        if (result == SPK_OK) {
            spki_mark_synced(net);
        }
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        if (told || (changed & SPKI_CHANGED_PARAMS)) {
            result = spki_gpu_push_records(net, part);
        }
        if (result == SPK_OK && (changed & (SPKI_CHANGED_STATES | SPKI_CHANGED_PARAMS))) {
            result = spki_gpu_push_states(net, part);
        }
        if (result == SPK_OK && (changed & SPKI_CHANGED_WEIGHTS)) {
            result = spki_gpu_push_words(net, part);
        }
    }
    if (result == SPK_OK && (changed & SPKI_CHANGED_WEIGHTS)) {
        result = spki_gpu_push_arrivals(net, g);
    }
    if (result == SPK_OK && lists) {
        result = spki_gpu_push_lists(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_find_samples(net, g);
    }
    net->changed = result == SPK_OK ? 0 : net->changed;
    return result;
}

/* What was injected has acted, and must not act again. */
SPKI_FN bool spki_gpu_forget_told(spk_net *net)
{
    bool any = false;
    for (uint32_t p = 0; p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        for (uint32_t r = 0; r < 8 && pop->has_amount; r++) {
            if (pop->amount[r]) {
                memset(pop->amount[r], 0, pop->count * sizeof(double));
            }
        }
        if (pop->has_forced && pop->forced) {
            memset(pop->forced, 0, pop->lanes / SPKI_GROUP * sizeof(uint64_t));
        }
        any = any || pop->has_amount || pop->has_forced;
        pop->has_amount = pop->has_forced = false;
    }
    return any;
}

/* Keeps the host's copy young for a hundredth of the time, and after each injection. */
SPKI_FN spk_result spki_gpu_settle(spk_net *net, spki_gpu_net *g)
{
    const bool told = spki_gpu_forget_told(net);
    spk_result result = SPK_OK;
    if (told || spk_clock_seconds() - g->last_sync > 100.0 * g->sync_s) {
        result = spki_gpu_pull(&g->base, net);
        if (result == SPK_OK) {
            spki_mark_synced(net);
        }
    }
    return result;
}

#endif
