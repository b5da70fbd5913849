/* ---- >>spikefile-events: spike files among the formats of events ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_EVENTS_H
#define SPIKELIB_EVENT_SPIKEFILE_EVENTS_H

#include "spikefile_write.h"
#include "writer.h"

/* -- reading -- */

/* A spike file is read at its places and not from front to back, so it is opened by its path. */
typedef struct spki_spikes_state {
    spk_spikefile *file;
    spk_spikefile_info info;
    bool ended;
} spki_spikes_state;

SPKI_FN spki_sniff spki_spikes_sniff(const uint8_t *head, size_t size, bool whole)
{
    if (memcmp(head, spki_sf_magic(), SPKI_MIN(size, (size_t)8)) != 0) return SPKI_SNIFF_NO;
    return size >= 8 ? SPKI_SNIFF_YES : whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
}

/* Its sentence without the name that both put in front. */
SPKI_FN const char *spki_spikes_why(const char *sentence)
{
    const char *why = strstr(sentence, "\": ");
    return why ? why + 3 : sentence;
}

SPKI_FN void spki_spikes_open(spk_decoder *d, const char *path)
{
    spki_spikes_state *s = (spki_spikes_state *)d->state;
    spk_spikefile_read_desc desc;
    if (s->file) return;
    memset(&desc, 0, sizeof desc);
    desc.isa = d->isa;
    desc.allocator = d->desc.allocator;
    desc.memory_limit = d->desc.memory_limit;
    s->file = spk_spikefile_open(path, &desc);
    if (!s->file) {
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to open the spike file");
        return;
    }
    if (spk_spikefile_status(s->file) != SPK_OK) {
        spki_decoder_fail(d, spk_spikefile_status(s->file), NULL, "%s",
                          spki_spikes_why(spk_spikefile_error(s->file)));
        return;
    }
    spk_spikefile_get_info(s->file, &s->info);
    if (s->info.kind == SPK_SPIKEFILE_EVENTS)
        spki_decoder_size(d, SPKI_MIN(s->info.width, 65536u), SPKI_MIN(s->info.height, 65536u));
    d->mixed = true;
    d->stats.bytes = s->info.bytes + s->info.bytes_lost;
    d->stats.bytes_skipped += s->info.bytes_lost;
    if (*spk_spikefile_lost(s->file))
        spki_decoder_violation(d, NULL, spki_spikes_why(spk_spikefile_lost(s->file)));
}

SPKI_FN void spki_spikes_event(spk_decoder *d, spki_io *io, const spk_event *e)
{
    if (e->kind == SPK_EVENT_TRIGGER) {
        spk_trigger trigger;
        memset(&trigger, 0, sizeof trigger);
        trigger.t_us = e->t_us;
        trigger.channel = e->x;
        trigger.source = e->source;
        trigger.edge = e->polarity;
        spki_decoder_trigger(d, io, &trigger);
    } else if (e->x >= spki_decoder_columns(d) || e->y >= spki_decoder_rows(d))
        d->stats.dropped++;
    else
        spki_event_store(io->out++, e->t_us, spki_event_rest(e) + d->source_bits);
}

/* A spike as SONATA's come: x | y << 16 is the neuron, the time the begin of its step. */
SPKI_FN void spki_spikes_spike(spk_decoder *d, spki_io *io, const spki_spikes_state *s,
                               const spk_spike *spike)
{
    double us = s->info.dt_ms > 0.0 ? (double)spike->step * (1e3 * s->info.dt_ms) : 0.0;
    if (us > 9.2e18) {
        d->stats.dropped++;
        return;
    }
    spki_event_store(io->out++,
                     s->info.dt_ms > 0.0 ? (int64_t)(us + 0.5) : (int64_t)spike->step,
                     (uint64_t)spike->neuron | UINT64_C(1) << 32 | d->source_bits);
}

SPKI_FN void spki_spikes_decode(spk_decoder *d, spki_io *io)
{
    spki_spikes_state *s = (spki_spikes_state *)d->state;
    if (!s->file && d->by_path) spki_spikes_open(d, d->name);
    io->in = io->in_end;
    if (!s->file && io->last)
        spki_decoder_fail(d, SPK_ERR_UNSUPPORTED, NULL,
                          "a spike file is read by its path (spk_events_open), not as a stream");
    while (s->file && !s->ended && d->result == SPK_OK && io->out < io->out_end) {
        spk_event events[64]; /* of 16 bytes, as spikes are */
        spk_spike spikes[64];
        size_t room = SPKI_MIN((size_t)(io->out_end - io->out), (size_t)64), n, k;
        bool neurons = s->info.kind == SPK_SPIKEFILE_SPIKES;
        n = neurons ? spk_spikefile_read_spikes(s->file, spikes, room)
                    : spk_spikefile_read_events(s->file, events, room);
        for (k = 0; k < n; k++)
            if (neurons) spki_spikes_spike(d, io, s, &spikes[k]);
            else spki_spikes_event(d, io, &events[k]);
        if (n > 0) continue;
        s->ended = spk_spikefile_status(s->file) == SPK_OK;
        if (s->ended) break;
        if (spk_spikefile_status(s->file) != SPK_ERR_FORMAT) /* else it goes on behind the chunk */
            spki_decoder_fail(d, spk_spikefile_status(s->file), NULL, "%s",
                              spki_spikes_why(spk_spikefile_error(s->file)));
        else
            spki_decoder_violation(d, NULL, spki_spikes_why(spk_spikefile_error(s->file)));
    }
}

SPKI_FN void spki_spikes_end(spk_decoder *d)
{
    spk_spikefile_close(((spki_spikes_state *)d->state)->file);
}

static const spki_codec spki_spikes_codec = {
    SPK_FORMAT_SPIKES, ".spk ", sizeof(spki_spikes_state), spki_spikes_sniff, NULL, NULL,
    spki_spikes_open, spki_spikes_decode, NULL, spki_spikes_end};

/* -- writing -- */

typedef struct spki_spikes_writer {
    spk_spikefile_writer *file;
    double step_us;
} spki_spikes_writer;

/* Its state after a call: what is in the file, and whether the disk takes it. */
SPKI_FN bool spki_spikes_went(spk_event_writer *w, spk_result result)
{
    spki_spikes_writer *s = (spki_spikes_writer *)w->state;
    w->written = spk_spikefile_writer_written(s->file);
    if (result != SPK_OK)
        spki_writer_fail(w, result, "%s", spki_spikes_why(spk_spikefile_writer_error(s->file)));
    return result == SPK_OK;
}

SPKI_FN void spki_spikes_begin(spk_event_writer *w)
{
    spki_spikes_writer *s = (spki_spikes_writer *)w->state;
    spk_spikefile_desc d;
    if (!w->name) {
        spki_writer_fail(w, SPK_ERR_UNSUPPORTED,
                         "spikes: a spike file needs a path, its header is written at the end");
        return;
    }
    memset(&d, 0, sizeof d);
    s->step_us = 1e3 * w->desc.dt_ms;
    d.kind = s->step_us > 0.0 ? SPK_SPIKEFILE_SPIKES : SPK_SPIKEFILE_EVENTS;
    d.dt_ms = w->desc.dt_ms;
    d.width = s->step_us > 0.0 ? 0 : w->desc.width;
    d.height = s->step_us > 0.0 ? 0 : w->desc.height;
    d.codec = w->desc.lz4 ? SPK_SPIKEFILE_LZ4 : SPK_SPIKEFILE_PACKED;
    d.allocator = w->desc.allocator;
    d.memory_limit = w->desc.memory_limit;
    s->file = spk_spikefile_create(w->name, &d);
    if (!s->file)
        spki_writer_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory to write a spike file");
    else
        (void)spki_spikes_went(w, spk_spikefile_writer_status(s->file));
}

/* Can the file hold it? False after an error. */
SPKI_FN bool spki_spikes_holds(spk_event_writer *w, const spk_event *e)
{
    const spki_spikes_writer *s = (const spki_spikes_writer *)w->state;
    if (s->step_us > 0.0) {
        if (e->kind != SPK_EVENT_CD) return spki_writer_refuse(w, e, "it is no spike of a neuron");
        if (e->t_us < 0) return spki_writer_refuse(w, e, "the time is negative");
        if ((double)e->t_us / s->step_us > 9e18)
            return spki_writer_refuse(w, e, "its step is not below 2^63");
        return true;
    }
    if (e->polarity > 1) return spki_writer_refuse(w, e, "the polarity is neither 0 nor 1");
    return e->kind == SPK_EVENT_TRIGGER || e->kind == SPK_EVENT_OTHER || spki_writer_cd(w, e);
}

SPKI_FN void spki_spikes_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_spikes_writer *s = (spki_spikes_writer *)w->state;
    while (count > 0) {
        spk_spike spikes[256];
        size_t n = 0;
        spk_result result = SPK_OK;
        for (; n < count && n < 256; n++, w->encoded++) {
            if (!spki_spikes_holds(w, &e[n])) break;
            if (s->step_us <= 0.0) continue;
            memset(&spikes[n], 0, sizeof spikes[n]);
            spikes[n].step = (uint64_t)((double)e[n].t_us / s->step_us + 0.5);
            spikes[n].neuron = (uint32_t)e[n].x | (uint32_t)e[n].y << 16;
        }
        if (n > 0)
            result = s->step_us > 0.0 ? spk_spikefile_write_spikes(s->file, spikes, n)
                                      : spk_spikefile_write_events(s->file, e, n);
        if (!spki_spikes_went(w, result) || w->result != SPK_OK) return;
        e += n;
        count -= n;
    }
}

SPKI_FN void spki_spikes_finish(spk_event_writer *w)
{
    spki_spikes_writer *s = (spki_spikes_writer *)w->state;
    (void)spki_spikes_went(w, spk_spikefile_flush(s->file));
}

SPKI_FN void spki_spikes_close(spk_event_writer *w)
{
    (void)spk_spikefile_writer_close(((spki_spikes_writer *)w->state)->file);
}

static const spki_encoder spki_spikes_encoder = {
    SPK_FORMAT_SPIKES,  ".spk ",           sizeof(spki_spikes_writer), spki_spikes_begin,
    spki_spikes_encode, spki_spikes_finish, spki_spikes_close};

#endif
