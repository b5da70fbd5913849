/* ---- >>record: recorders of spikes, states, rates and weights ---- */
#ifndef SPIKELIB_NET_RECORD_H
#define SPIKELIB_NET_RECORD_H

#include "prepare.h"
#include "synapses.h"

#include <errno.h>

#define SPKI_FILE_BUFFER 65536u
#define SPKI_RING_DEFAULT 65536u

SPKI_FN size_t spki_rec_item_size(const struct spk_rec_data *rec)
{
    return rec->kind == SPK_REC_SPIKES ? sizeof(spk_spike) : rec->width * sizeof(double);
}

/* -- making one -- */

SPKI_FN void spki_free_recorder(spk_net *net, spk_rec rec)
{
    spki_mem *mem = &net->mem;
    if (rec->file) {
        fclose(rec->file);
    }
    spki_free(mem, rec->items, rec->capacity, SPKI_MAX(spki_rec_item_size(rec), (size_t)1));
    spki_free(mem, rec->row_step, rec->capacity, sizeof(uint64_t));
    spki_free(mem, rec->buffer, rec->buffer_size, 1);
    spki_free(mem, rec->staging[0], rec->width * SPKI_MAX_SLICE, sizeof(double));
    spki_free(mem, rec->staging[1], rec->width * SPKI_MAX_SLICE, sizeof(double));
    spki_free(mem, rec->synapse, rec->width, sizeof *rec->synapse);
    spki_free_string(mem, rec->path);
    spki_free_string(mem, rec->state);
    spki_free(mem, rec, 1, sizeof *rec);
}

/* Every population of the view must have the state or parameter. */
SPKI_FN spk_result spki_check_state(spk_net *net, const spki_view *view, const char *name)
{
    if (!name) {
        return spki_fail(net, SPK_ERR_NULL, "record: no state named");
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        if (spki_view_below(view, pop->first + pop->count) > spki_view_below(view, pop->first) &&
            spki_find_field(pop->model->state, pop->model->state_count, name) < 0 &&
            spki_find_field(pop->model->param, pop->model->param_count, name) < 0) {
            return spki_unknown_name(net, pop, name);
        }
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_check_recorder(spk_net *net, const spki_view *view, const spk_rec_desc *d)
{
    if (d->begin_sentinel || d->end_sentinel) {
        return spki_fail(net, SPK_ERR_UNINITIALISED,
                         "record: the descriptor's sentinels are not 0: start it with = {0}");
    }
    if ((int)d->kind < 0 || d->kind > SPK_REC_WEIGHTS || (int)d->sink < 0 ||
        d->sink > SPK_SINK_FILE) {
        return spki_fail(net, SPK_ERR_RANGE, "record: kind %d or sink %d is none", (int)d->kind,
                         (int)d->sink);
    }
    if (!(d->interval_ms >= 0.0) || !(d->interval_ms / net->desc.dt_ms < 9e15) ||
        (d->interval_ms > 0.0 && d->interval_ms / net->desc.dt_ms < 0.5)) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "record: interval_ms = %g is less than a step (%g ms) or none",
                         d->interval_ms, net->desc.dt_ms);
    }
    if (d->sink == SPK_SINK_CALLBACK && !d->callback) {
        return spki_fail(net, SPK_ERR_NULL, "record: the callback is NULL");
    }
    if (d->sink == SPK_SINK_FILE && !d->path) {
        return spki_fail(net, SPK_ERR_NULL, "record: the path is NULL");
    }
    if (d->kind == SPK_REC_WEIGHTS && !spki_view_of(net, d->post)) {
        return spki_fail(net, SPK_ERR_HANDLE, "record: weights need the postsynaptic population");
    }
    return d->kind == SPK_REC_STATE ? spki_check_state(net, view, d->state) : SPK_OK;
}

/* Memory that a sink needs from the start; `width` is known. */
SPKI_FN spk_result spki_rec_allocate(spk_net *net, spk_rec rec)
{
    spki_mem *mem = &net->mem;
    const size_t size = SPKI_MAX(spki_rec_item_size(rec), (size_t)1);
    size_t capacity = rec->capacity;
    if (rec->sink == SPK_SINK_RING && !capacity) {
        capacity = SPKI_RING_DEFAULT;
    }
    if (rec->sink == SPK_SINK_CALLBACK) { /* the spikes of one step */
        capacity = rec->kind == SPK_REC_SPIKES ? net->view[rec->view].size : 1;
    }
    if (rec->sink == SPK_SINK_FILE) {
        capacity = 0;
        rec->buffer_size = SPKI_MAX((size_t)SPKI_FILE_BUFFER, rec->width * 8);
        rec->buffer = (unsigned char *)spki_alloc(mem, rec->buffer_size, 1);
        if (!rec->buffer) {
            return spki_no_memory(net, "a recorder");
        }
    }
    rec->capacity = 0;
    if (capacity) {
        rec->items = spki_alloc_raw(mem, capacity, size);
        rec->row_step = rec->kind == SPK_REC_SPIKES
                            ? NULL
                            : (uint64_t *)spki_alloc_raw(mem, capacity, sizeof(uint64_t));
        if (!rec->items || (rec->kind != SPK_REC_SPIKES && !rec->row_step)) {
            spki_free(mem, rec->items, capacity, size);
            spki_free(mem, rec->row_step, capacity, sizeof(uint64_t));
            rec->items = NULL;
            rec->row_step = NULL;
            return spki_no_memory(net, "a recorder");
        }
        rec->capacity = capacity;
    }
    if (rec->kind != SPK_REC_SPIKES) {
        const size_t rows = rec->width * SPKI_MAX_SLICE;
        rec->staging[0] = (double *)spki_alloc(mem, rows, sizeof(double));
        rec->staging[1] = (double *)spki_alloc(mem, rows, sizeof(double));
        if (!rec->staging[0] || !rec->staging[1]) {
            return spki_no_memory(net, "a recorder");
        }
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_open_recorder(spk_net *net, spk_rec rec, const spk_rec_desc *d)
{
    if (d->kind == SPK_REC_STATE && !(rec->state = spki_copy_string(&net->mem, d->state))) {
        return spki_no_memory(net, "a recorder");
    }
    if (d->sink == SPK_SINK_FILE) {
        if (!(rec->path = spki_copy_string(&net->mem, d->path))) {
            return spki_no_memory(net, "a recorder");
        }
        rec->file = fopen(d->path, "wb");
        if (!rec->file) {
            return spki_fail(net, SPK_ERR_IO, "record: \"%s\" cannot be opened: %s", d->path,
                             strerror(errno));
        }
        setvbuf(rec->file, NULL, _IONBF, 0); /* our buffer knows what was not written */
    }
    if (rec->kind == SPK_REC_WEIGHTS && !net->built) {
        return SPK_OK; /* its width is known once the synapses are drawn */
    }
    if (rec->kind == SPK_REC_WEIGHTS) {
        const spk_result result = spki_rec_find_synapses(net, rec);
        if (result != SPK_OK) {
            return result;
        }
    }
    return spki_rec_allocate(net, rec);
}

SPIKELIB_API spk_rec spk_net_record(spk_net *net, spk_pop pop, const spk_rec_desc *desc)
{
    spk_rec_desc none;
    memset(&none, 0, sizeof none);
    desc = desc ? desc : &none;
    if (!net || net->status != SPK_OK) {
        return NULL;
    }
    const spki_view *view = spki_check_view(net, pop, "record");
    if (!view || spki_check_recorder(net, view, desc) != SPK_OK) {
        return NULL;
    }
    void *items = net->recorder;
    if (!spki_grow(&net->mem, &items, net->recorders, &net->recorder_capacity,
                   sizeof *net->recorder)) {
        (void)spki_no_memory(net, "a recorder");
        return NULL;
    }
    net->recorder = (spk_rec *)items;
    spk_rec rec = (spk_rec)spki_alloc(&net->mem, 1, sizeof *rec);
    if (!rec) {
        (void)spki_no_memory(net, "a recorder");
        return NULL;
    }
    const double interval = desc->interval_ms > 0.0      ? desc->interval_ms
                            : desc->kind == SPK_REC_RATE ? SPKI_MAX(1.0, net->desc.dt_ms)
                                                         : net->desc.dt_ms;
    rec->net = net;
    rec->kind = desc->kind;
    rec->sink = desc->sink;
    rec->view = pop.index - 1;
    rec->post = desc->post.index - 1;
    rec->every = (uint64_t)(interval / net->desc.dt_ms + 0.5);
    rec->width = desc->kind == SPK_REC_RATE ? 1 : view->size;
    rec->capacity = desc->capacity;
    rec->grows = desc->sink == SPK_SINK_MEMORY && desc->capacity == 0;
    rec->callback = desc->callback;
    rec->ctx = desc->ctx;
    rec->start_step = rec->next_step = net->step;
    spk_digest_begin(&rec->digest);
    if (spki_open_recorder(net, rec, desc) != SPK_OK) {
        spki_free_recorder(net, rec);
        return NULL;
    }
    net->recorder[net->recorders++] = rec;
    return rec;
}

SPIKELIB_API spk_rec spk_net_record_spikes(spk_net *net, spk_pop pop)
{
    return spk_net_record(net, pop, NULL);
}

/* -- sinks: each takes one item or refuses it, and loses none -- */

/* Room for one more item in memory; only a recorder without a capacity grows. */
SPKI_FN spk_result spki_rec_room(spk_rec rec, bool grows)
{
    spk_net *net = rec->net;
    const size_t size = SPKI_MAX(spki_rec_item_size(rec), (size_t)1);
    if (rec->count < rec->capacity) {
        return SPK_OK;
    }
    if (!grows) {
        return SPK_ERR_FULL;
    }
    const size_t first = SPKI_MAX((size_t)65536 / size, (size_t)16); /* rows may be long */
    const size_t more = SPKI_MAX(first, rec->capacity * 2);
    void *items = spki_alloc_raw(&net->mem, more, size);
    uint64_t *steps = rec->kind == SPK_REC_SPIKES
                          ? NULL
                          : (uint64_t *)spki_alloc_raw(&net->mem, more, sizeof(uint64_t));
    if (!items || (rec->kind != SPK_REC_SPIKES && !steps)) {
        spki_free(&net->mem, items, more, size);
        spki_free(&net->mem, steps, more, sizeof(uint64_t));
        return SPK_ERR_OUT_OF_MEMORY;
    }
    if (rec->count) {
        memcpy(items, rec->items, rec->count * size);
        if (steps) {
            memcpy(steps, rec->row_step, rec->count * sizeof(uint64_t));
        }
    }
    spki_free(&net->mem, rec->items, rec->capacity, size);
    spki_free(&net->mem, rec->row_step, rec->capacity, sizeof(uint64_t));
    rec->items = items;
    rec->row_step = steps;
    rec->capacity = more;
    return SPK_OK;
}

/* Writes what is buffered; what the disk did not take stays. */
SPKI_FN spk_result spki_rec_flush(spk_rec rec)
{
    if (!rec->file || !rec->buffered) {
        return SPK_OK;
    }
    const size_t n = fwrite(rec->buffer, 1, rec->buffered, rec->file);
    memmove(rec->buffer, rec->buffer + n, rec->buffered - n);
    rec->buffered -= n;
    if (!rec->buffered) {
        return SPK_OK;
    }
    clearerr(rec->file);
    return SPK_ERR_IO;
}

/* Buffers a whole item, or refuses it: a full disk leaves it to be written again. */
SPKI_FN spk_result spki_rec_write(spk_rec rec, const void *data, size_t size)
{
    if (size > rec->buffer_size - rec->buffered && spki_rec_flush(rec) != SPK_OK &&
        size > rec->buffer_size - rec->buffered) {
        return SPK_ERR_IO;
    }
    memcpy(rec->buffer + rec->buffered, data, size);
    rec->buffered += size;
    return SPK_OK;
}

SPKI_FN void spki_spike_bytes(unsigned char out[12], uint64_t step, uint32_t neuron)
{
    for (int k = 0; k < 8; k++) {
        out[k] = (unsigned char)(step >> (8 * k));
    }
    for (int k = 0; k < 4; k++) {
        out[8 + k] = (unsigned char)(neuron >> (8 * k));
    }
}

/* An item into memory (appended) or into a ring (which another thread may be emptying). */
SPKI_FN spk_result spki_rec_keep(spk_rec rec, uint64_t step, const void *item)
{
    const size_t size = spki_rec_item_size(rec);
    size_t at = rec->count;
    if (rec->sink == SPK_SINK_RING) {
        const size_t head = __atomic_load_n(&rec->head, __ATOMIC_ACQUIRE);
        if (rec->tail - head == rec->capacity) {
            return SPK_ERR_FULL;
        }
        at = rec->tail % rec->capacity;
    } else {
        const spk_result room = spki_rec_room(rec, rec->grows);
        if (room != SPK_OK) {
            return room;
        }
    }
    memcpy((char *)rec->items + at * size, item, size);
    if (rec->row_step) {
        rec->row_step[at] = step;
    }
    if (rec->sink == SPK_SINK_RING) {
        __atomic_store_n(&rec->tail, rec->tail + 1, __ATOMIC_RELEASE);
    } else {
        rec->count++;
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_rec_spike(spk_rec rec, uint64_t stamp, uint32_t neuron)
{
    unsigned char bytes[12];
    spki_spike_bytes(bytes, stamp, neuron);
    spk_result result = SPK_OK;
    if (rec->sink == SPK_SINK_FILE) {
        result = spki_rec_write(rec, bytes, 12);
    } else {
        spk_spike spike;
        spike.step = stamp;
        spike.neuron = neuron;
        spike.reserved = 0;
        result = spki_rec_keep(rec, stamp, &spike);
    }
    if (result == SPK_OK) {
        spk_digest_update(&rec->digest, bytes, 12);
        rec->total++;
    }
    return result;
}

SPKI_FN spk_result spki_rec_row(spk_rec rec, uint64_t stamp, const double *row)
{
    spk_result result = SPK_OK;
    if (rec->sink == SPK_SINK_CALLBACK) {
        result = rec->callback(rec->ctx, stamp, row, rec->width) ? SPK_OK : SPK_ERR_FULL;
    } else if (rec->sink == SPK_SINK_FILE) {
        result = spki_rec_write(rec, row, rec->width * 8);
    } else {
        result = spki_rec_keep(rec, stamp, row);
    }
    rec->total += result == SPK_OK;
    return result;
}

/* -- from a finished slice to the sinks, on the caller's thread -- */

/* All spikes of one step of a slice that the recorder wants, from its cursor on. */
SPKI_FN spk_result spki_rec_step_spikes(spk_rec rec, uint32_t parity, uint32_t s, uint64_t stamp)
{
    const spk_net *net = rec->net;
    const spki_view *view = &net->view[rec->view];
    const bool call = rec->sink == SPK_SINK_CALLBACK && rec->kind == SPK_REC_SPIKES;
    size_t seen = 0;
    rec->count = call ? 0 : rec->count;
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (uint32_t k = tile->spike_start[parity][s]; k < tile->spike_start[parity][s + 1]; k++) {
            const uint32_t id = tile->spike[parity][k];
            if (spki_view_index(view, id) == UINT32_MAX || seen++ < rec->cursor) {
                continue;
            }
            if (rec->kind == SPK_REC_RATE) {
                rec->bin_spikes++;
            } else if (call) {
                spk_spike *spike = (spk_spike *)rec->items + rec->count++;
                spike->step = stamp;
                spike->neuron = id;
                spike->reserved = 0;
            } else {
                const spk_result result = spki_rec_spike(rec, stamp, id);
                if (result != SPK_OK) {
                    return result;
                }
            }
            rec->cursor = call ? rec->cursor : seen;
        }
    }
    if (call && rec->count) {
        if (!rec->callback(rec->ctx, stamp, rec->items, rec->count)) {
            return SPK_ERR_FULL;
        }
        const spk_spike *spike = (const spk_spike *)rec->items;
        for (size_t k = 0; k < rec->count; k++) {
            unsigned char bytes[12];
            spki_spike_bytes(bytes, stamp, spike[k].neuron);
            spk_digest_update(&rec->digest, bytes, 12);
        }
        rec->total += rec->count;
    }
    return SPK_OK;
}

/* The row of a slice's staging that holds the sample taken at `stamp`. */
SPKI_FN uint32_t spki_rec_staging_row(const struct spk_rec_data *rec, uint64_t first,
                                      uint64_t stamp)
{
    const uint64_t before = first < rec->start_step ? 0 : (first - rec->start_step) / rec->every;
    return (uint32_t)((stamp - rec->start_step) / rec->every - before - 1);
}

SPKI_FN bool spki_rec_due(const struct spk_rec_data *rec, uint64_t stamp)
{
    return stamp > rec->start_step && (stamp - rec->start_step) % rec->every == 0;
}

SPKI_FN spk_result spki_rec_step(spk_rec rec, uint32_t parity, uint32_t s, uint64_t first)
{
    const uint64_t stamp = first + s + 1;
    spk_result result = SPK_OK;
    if (rec->kind == SPK_REC_SPIKES || rec->kind == SPK_REC_RATE) {
        result = spki_rec_step_spikes(rec, parity, s, stamp);
    }
    if (result != SPK_OK || rec->kind == SPK_REC_SPIKES || !spki_rec_due(rec, stamp)) {
        return result;
    }
    const double *row = rec->staging[parity];
    const double seconds = (double)rec->every * rec->net->desc.dt_ms * 1e-3;
    const uint32_t size = rec->net->view[rec->view].size;
    const double rate = size ? (double)rec->bin_spikes / (seconds * (double)size) : 0.0;
    if (rec->kind == SPK_REC_RATE) {
        row = &rate;
    } else if (rec->kind == SPK_REC_STATE) {
        row += (size_t)spki_rec_staging_row(rec, first, stamp) * rec->width;
    }
    result = spki_rec_row(rec, stamp, row);
    rec->bin_spikes = result == SPK_OK ? 0 : rec->bin_spikes;
    return result;
}

/* Gives a slice to all recorders; goes on where an earlier attempt stopped. */
SPKI_FN spk_result spki_record_slice(spk_net *net, uint32_t parity)
{
    const uint64_t first = net->pending[parity].first;
    for (uint32_t r = 0; r < net->recorders; r++) {
        spk_rec rec = net->recorder[r];
        while (rec->next_step < first + net->pending[parity].steps) {
            const uint32_t s = rec->next_step < first ? 0 : (uint32_t)(rec->next_step - first);
            const spk_result result = spki_rec_step(rec, parity, s, first);
            if (result != SPK_OK) {
                return result == SPK_ERR_IO
                           ? spki_fail(net, result, "record: \"%s\" cannot be written: %s",
                                       rec->path, strerror(errno))
                       : result == SPK_ERR_OUT_OF_MEMORY
                           ? spki_no_memory(net, "recorded data")
                           : spki_fail(net, result, "a recorder of \"%s\" is full (%llu recorded)",
                                       spki_view_name(net, &net->view[rec->view]),
                                       (spki_llu)rec->total);
            }
            rec->cursor = 0;
            rec->next_step = first + s + 1;
        }
    }
    net->pending[parity].steps = 0;
    return SPK_OK;
}

/* Samples the weights as they are when a slice ends, whenever its recorder takes them. */
SPKI_FN void spki_sample_weights(spk_net *net, uint32_t parity)
{
    for (uint32_t r = 0; r < net->recorders; r++) {
        const struct spk_rec_data *rec = net->recorder[r];
        bool due = false;
        for (uint32_t s = 0; rec->kind == SPK_REC_WEIGHTS && s < net->pending[parity].steps; s++) {
            due = due || spki_rec_due(rec, net->pending[parity].first + s + 1);
        }
        if (due) {
            spki_rec_read_weights(rec, rec->staging[parity]);
        }
    }
}

/* Elements [lo, hi) of a view, all of one population, into their places of a row. */
SPKI_FN void spki_sample_piece(const spk_net *net, const spki_population *pop, const char *name,
                               const spki_view *view, uint32_t lo, uint32_t hi, double *row)
{
    const int s = spki_find_field(pop->model->state, pop->model->state_count, name);
    const int q = spki_find_field(pop->model->param, pop->model->param_count, name);
    const spki_param *base = s >= 0 ? spki_state_base(pop, (uint32_t)s) : NULL;
    uint32_t r = spki_view_range(view, lo);
    for (uint32_t k = lo; k < hi; k++) {
        r += k - view->range[r].before == view->range[r].count;
        const uint32_t n = view->range[r].first + (k - view->range[r].before) - pop->first;
        row[k] = s < 0  ? spki_param_at(&pop->param[q], n)
                 : base ? spki_stored_state(net, pop, (uint32_t)s, n) + spki_param_at(base, n)
                        : spki_stored_state(net, pop, (uint32_t)s, n);
    }
}

/* Samples the states of one tile at the end of a step. Thread: the tile's. */
SPKI_FN void spki_sample_tile(spk_net *net, const spki_tile *tile, const spki_slice *slice,
                              uint64_t step)
{
    for (uint32_t r = 0; r < net->recorders; r++) {
        struct spk_rec_data *rec = net->recorder[r];
        const spki_view *view = &net->view[rec->view];
        if (rec->kind != SPK_REC_STATE || !spki_rec_due(rec, step + 1)) {
            continue;
        }
        double *row = rec->staging[slice->parity] +
                      (size_t)spki_rec_staging_row(rec, slice->first, step + 1) * rec->width;
        for (uint32_t p = 0; p < tile->pieces; p++) {
            const spki_piece *piece = &tile->piece[p];
            const spki_population *pop = &net->population[piece->population];
            const uint32_t id = pop->first + piece->first;
            const uint32_t lo = spki_view_below(view, id),
                           hi = spki_view_below(view, id + piece->count);
            if (lo == hi) {
                continue;
            }
            spki_sample_piece(net, pop, rec->state, view, lo, hi, row);
        }
    }
}

/* -- reading -- */

SPIKELIB_API const spk_spike *spk_rec_spikes(spk_rec rec, size_t *count)
{
    const bool have = rec && rec->kind == SPK_REC_SPIKES && rec->sink == SPK_SINK_MEMORY;
    if (count) {
        *count = have ? rec->count : 0;
    }
    return have ? (const spk_spike *)rec->items : NULL;
}

SPIKELIB_API const double *spk_rec_samples(spk_rec rec, size_t *rows, size_t *width)
{
    const bool have = rec && rec->kind != SPK_REC_SPIKES && rec->sink == SPK_SINK_MEMORY;
    if (rows) {
        *rows = have ? rec->count : 0;
    }
    if (width) {
        *width = have ? rec->width : 0;
    }
    return have ? (const double *)rec->items : NULL;
}

SPIKELIB_API uint64_t spk_rec_sample_step(spk_rec rec, size_t row)
{
    return rec && rec->row_step && rec->sink == SPK_SINK_MEMORY && row < rec->count
               ? rec->row_step[row]
               : 0;
}

SPIKELIB_API void spk_rec_clear(spk_rec rec)
{
    if (rec && rec->sink == SPK_SINK_MEMORY) {
        rec->count = 0;
    }
}

SPIKELIB_API size_t spk_rec_read(spk_rec rec, void *items, size_t count)
{
    if (!rec || !items || rec->sink != SPK_SINK_RING) {
        return 0;
    }
    const size_t size = spki_rec_item_size(rec), head = rec->head;
    const size_t have = __atomic_load_n(&rec->tail, __ATOMIC_ACQUIRE) - head;
    const size_t n = SPKI_MIN(count, have);
    for (size_t k = 0; k < n; k++) {
        memcpy((char *)items + k * size,
               (const char *)rec->items + (head + k) % rec->capacity * size, size);
    }
    __atomic_store_n(&rec->head, head + n, __ATOMIC_RELEASE);
    return n;
}

SPIKELIB_API uint64_t spk_rec_count(spk_rec rec)
{
    return rec ? rec->total : 0;
}

SPIKELIB_API double spk_rec_rate_hz(spk_rec rec)
{
    if (!rec || rec->kind != SPK_REC_SPIKES || rec->next_step <= rec->start_step ||
        !rec->net->view[rec->view].size) {
        return 0.0;
    }
    const double seconds = (double)(rec->next_step - rec->start_step) * rec->net->desc.dt_ms * 1e-3;
    return (double)rec->total / (seconds * (double)rec->net->view[rec->view].size);
}

SPIKELIB_API uint64_t spk_rec_digest(spk_rec rec)
{
    return rec ? spk_digest_value(&rec->digest) : 0;
}

SPIKELIB_API double spk_rec_dt_ms(spk_rec rec)
{
    return rec ? rec->net->desc.dt_ms : 0.0;
}

SPIKELIB_API uint32_t spk_rec_first_id(spk_rec rec)
{
    const spki_view *view = rec ? &rec->net->view[rec->view] : NULL;
    return view && view->ranges ? view->range[0].first : 0;
}

SPIKELIB_API uint32_t spk_rec_end_id(spk_rec rec)
{
    const spki_view *view = rec ? &rec->net->view[rec->view] : NULL;
    return view && view->ranges
               ? view->range[view->ranges - 1].first + view->range[view->ranges - 1].count
               : 0;
}

SPIKELIB_API size_t spk_rec_width(spk_rec rec)
{
    return rec ? rec->kind == SPK_REC_SPIKES ? rec->net->view[rec->view].size : rec->width : 0;
}

#endif
