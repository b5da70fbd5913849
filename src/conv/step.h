/* ---- >>conv-step: events in, steps finished, spikes out ----
   The first stage takes events as they come: the first of a step touch their footprints; from
   `full_above` on they are only counted, a pixel each, and summed window by window when the step is
   finished. The other stages have their whole input at once and take the one way or the other. */
#ifndef SPIKELIB_CONV_STEP_H
#define SPIKELIB_CONV_STEP_H

#include "kernels.h"

/* -- counting -- */

/* Notes an input in the counts and marks of a stage. */
SPKI_INLINE void spki_conv_count(spki_conv_stage *s, uint32_t x, uint32_t y, uint32_t c)
{
    const spki_conv_column *col = &s->column[x];
    const spki_conv_row *row = &s->row[y];
    uint64_t *mark = s->marks + row->word + col->word;
    s->counts[row->count + col->count + c]++;
    for (uint32_t r = 0; r < s->reach_y; r++, mark += s->words) {
        *mark |= col->marks & ((uint64_t)0 - (row->rows >> r & 1));
    }
    s->dirty_first = SPKI_MIN(s->dirty_first, row->first);
    s->dirty_end = SPKI_MAX(s->dirty_end, row->first + s->reach_y);
}

SPKI_FN void spki_conv_count_events(spki_conv_stage *s, const spk_event *e, size_t n)
{
    const uint32_t two = s->in.channels > 1;
    for (size_t k = 0; k < n; k++) {
        uint32_t x, y;
        if (e[k].kind != SPK_EVENT_CD) {
            s->others++;
            continue;
        }
        if (e[k].x >= s->source.width || e[k].y >= s->source.height) {
            s->outside++;
            continue;
        }
        x = s->fold_x[e[k].x];
        y = s->fold_y[e[k].y];
        if (x != SPKI_CONV_NOWHERE && y != SPKI_CONV_NOWHERE) {
            spki_conv_count(s, x, y, (e[k].polarity != 0) & two);
        }
    }
}

SPKI_FN void spki_conv_count_items(spki_conv_stage *s, const spki_conv_item *item, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const uint32_t x = s->fold_x[item[k].x], y = s->fold_y[item[k].y];
        if (x != SPKI_CONV_NOWHERE && y != SPKI_CONV_NOWHERE) {
            spki_conv_count(s, x, y, item[k].c);
        }
    }
}

SPKI_FN void spki_conv_clear_counts(spki_conv_stage *s)
{
    memset(s->counts, 0, s->count_elements * sizeof *s->counts);
}

/* -- more inputs in a step than 16-bit counts and 32-bit sums may take -- */

/* Calls for each marked site: (x, y) with margins. Clears the marks where `clear`. */
typedef void (*spki_conv_site_fn)(spki_conv_stage *s, uint32_t x, uint32_t y, uint64_t now);

SPKI_FN void spki_conv_each_site(spki_conv_stage *s, uint64_t now, bool clear, spki_conv_site_fn fn)
{
    for (uint32_t y = s->dirty_first; y < s->dirty_end; y++) {
        uint64_t *mark = s->marks + (size_t)y * s->words;
        uint32_t carry = 0;
        for (uint32_t k = 0; k < s->words; k++) {
            uint32_t bits = (uint32_t)mark[k] | carry;
            carry = (uint32_t)(mark[k] >> 32);
            mark[k] = clear ? 0 : mark[k];
            for (; bits; bits &= bits - 1) {
                fn(s, k * 32 + (uint32_t)__builtin_ctz(bits), y, now);
            }
        }
    }
}

SPKI_FN void spki_conv_fold_site(spki_conv_stage *s, uint32_t x, uint32_t y, uint64_t now)
{
    const size_t at = ((size_t)y * s->pitch + x) * s->lanes;
    const int16_t *count = s->counts + (size_t)(y - s->top) * s->stride_y * s->count_pitch +
                           (size_t)(x - s->left) * s->stride_x * s->count_channels;
    (void)now;
    for (uint32_t c = 0; c < s->lanes; c++) {
        s->spill[at + c] += spki_conv_window_scalar(s, count, c, s->sums[at + c]);
        s->sums[at + c] = 0;
    }
}

/* Moves what was summed and counted so far into 64 bits. Marks stay. */
SPKI_FN void spki_conv_fold(spki_conv_stage *s)
{
    spki_conv_each_site(s, 0, false, spki_conv_fold_site);
    spki_conv_clear_counts(s);
    s->since_fold = 0;
    s->spilled = true;
}

/* The update of a site whose sums have 64 bits: the same arithmetic, one neuron at a time. */
SPKI_FN void spki_conv_finish_site(spki_conv_stage *s, uint32_t x, uint32_t y, uint64_t now)
{
    const size_t site = (size_t)y * s->pitch + x, at = site * s->lanes;
    const uint64_t elapsed = now - s->last[site];
    const float factor = spki_conv_decay(s, elapsed);
    s->last[site] = now;
    for (uint32_t c = 0; c < s->lanes; c++) {
        const float input = (float)s->spill[at + c] * s->quantum;
        s->spill[at + c] = 0;
        if (spki_conv_lif_scalar(s, at + c, input, factor,
                                 (int32_t)SPKI_MIN(elapsed, (uint64_t)1 << 30))) {
            spki_conv_item *out = &s->item[s->spilled_items++];
            out->x = (uint16_t)(x - s->left);
            out->y = (uint16_t)(y - s->top);
            out->c = (uint16_t)c;
        }
    }
}

SPKI_FN size_t spki_conv_finish_wide(spki_conv_stage *s, uint64_t now)
{
    spki_conv_fold(s);
    s->spilled_items = 0;
    spki_conv_each_site(s, now, true, spki_conv_finish_site);
    s->spilled = false;
    return s->spilled_items;
}

/* -- input -- */

SPKI_FN void spki_conv_put_items(spki_conv_stage *s, const spki_conv_ops *ops,
                                 const spki_conv_item *item, size_t n)
{
    if (s->counting) {
        spki_conv_count_items(s, item, n);
    } else {
        ops->scatter_items(s, item, n);
    }
}

/* How many more inputs the stage takes the way it does now; switches over when it is none. */
SPKI_FN uint64_t spki_conv_room(spki_conv_stage *s, bool first)
{
    if (first && s->since_fold >= SPKI_CONV_FOLD) {
        spki_conv_fold(s);
    }
    if (!s->counting && s->pending >= s->full_above) {
        s->counting = true;
    }
    const uint64_t fold = first ? SPKI_CONV_FOLD - s->since_fold : UINT64_MAX;
    return s->counting ? fold : SPKI_MIN(fold, s->full_above - s->pending);
}

SPKI_FN void spki_conv_add_items(spk_conv *conv, spki_conv_stage *s, const spki_conv_item *item,
                                 size_t n)
{
    while (n) {
        const size_t some = (size_t)SPKI_MIN((uint64_t)n, spki_conv_room(s, s == conv->stage));
        spki_conv_put_items(s, spki_conv_ops_of(conv->isa, s->lanes), item, some);
        s->pending += some;
        s->since_fold += some;
        item += some;
        n -= some;
    }
}

/* An input of overlapping pools: one of the next for each window that holds it. */
SPKI_FN void spki_conv_pool_item(spk_conv *conv, spki_conv_stage *s, uint32_t pool,
                                 spki_conv_item item, size_t *used)
{
    if (pool == s->pools) {
        if (*used == SPKI_CONV_BATCH) {
            spki_conv_add_items(conv, s, conv->batch, *used);
            *used = 0;
        }
        conv->batch[(*used)++] = item;
        return;
    }
    const spki_conv_pool *p = &s->pool[pool];
    const uint32_t px = item.x + p->padding_x, py = item.y + p->padding_y;
    for (uint32_t y = py < p->kernel_y ? 0 : (py - p->kernel_y) / p->stride_y + 1;
         y < p->out.height && y * p->stride_y <= py; y++) {
        for (uint32_t x = px < p->kernel_x ? 0 : (px - p->kernel_x) / p->stride_x + 1;
             x < p->out.width && x * p->stride_x <= px; x++) {
            spki_conv_item next = item;
            next.x = (uint16_t)x;
            next.y = (uint16_t)y;
            spki_conv_pool_item(conv, s, pool + 1, next, used);
        }
    }
}

/* Spikes of the stage before (or events) into a stage. */
SPKI_FN void spki_conv_input(spk_conv *conv, spki_conv_stage *s, const spki_conv_item *item,
                             size_t n)
{
    size_t used = 0;
    s->inputs += n;
    if (s->folded || s->pools == 0) {
        spki_conv_add_items(conv, s, item, n);
        return;
    }
    for (size_t k = 0; k < n; k++) {
        spki_conv_pool_item(conv, s, 0, item[k], &used);
    }
    spki_conv_add_items(conv, s, conv->batch, used);
}

/* The same for the events of the open step. */
SPKI_FN void spki_conv_pool_events(spk_conv *conv, const spk_event *e, size_t n)
{
    spki_conv_stage *s = conv->stage;
    size_t used = 0;
    for (size_t k = 0; k < n; k++) {
        spki_conv_item item;
        if (e[k].kind != SPK_EVENT_CD) {
            s->others++;
            continue;
        }
        if (e[k].x >= conv->desc.width || e[k].y >= conv->desc.height) {
            s->outside++;
            continue;
        }
        item.x = e[k].x;
        item.y = e[k].y;
        item.c = (uint16_t)((e[k].polarity != 0) & (conv->desc.polarities > 1));
        item.reserved = 0;
        spki_conv_pool_item(conv, s, 0, item, &used);
    }
    spki_conv_add_items(conv, s, conv->batch, used);
}

SPKI_FN void spki_conv_events(spk_conv *conv, const spk_event *e, size_t n)
{
    spki_conv_stage *s = conv->stage;
    conv->fed += n;
    if (s->pools && !s->folded) {
        spki_conv_pool_events(conv, e, n);
        return;
    }
    while (n) {
        const size_t some = (size_t)SPKI_MIN((uint64_t)n, spki_conv_room(s, true));
        if (s->counting) {
            spki_conv_count_events(s, e, some);
        } else {
            conv->ops->scatter(s, e, some);
        }
        s->pending += some;
        s->since_fold += some;
        e += some;
        n -= some;
    }
}

/* -- finishing a step -- */

/* Spikes were found site by site; neurons are numbered channel by channel. */
SPKI_FN void spki_conv_sort(spki_conv_stage *s, size_t n)
{
    const uint32_t plane = s->out.width * s->out.height;
    uint32_t at = 0;
    memset(s->channel_start, 0, s->out.channels * sizeof *s->channel_start);
    for (size_t k = 0; k < n; k++) {
        s->channel_start[s->item[k].c]++;
    }
    for (uint32_t c = 0; c < s->out.channels; c++) {
        const uint32_t here = s->channel_start[c];
        s->channel_start[c] = at;
        at += here;
    }
    for (size_t k = 0; k < n; k++) {
        const spki_conv_item i = s->item[k];
        s->neuron[s->channel_start[i.c]++] = i.c * plane + i.y * s->out.width + i.x;
    }
}

SPKI_FN void spki_conv_digest(spki_conv_stage *s, uint64_t stamp, size_t n)
{
    unsigned char bytes[12 * 64];
    for (size_t k = 0; k < n;) {
        unsigned char *out = bytes;
        for (; k < n && out < bytes + sizeof bytes; k++) {
            for (int b = 0; b < 8; b++) {
                *out++ = (unsigned char)(stamp >> (8 * b));
            }
            for (int b = 0; b < 4; b++) {
                *out++ = (unsigned char)(s->neuron[k] >> (8 * b));
            }
        }
        spk_digest_update(&s->digest, bytes, (size_t)(out - bytes));
    }
}

/* All that a stage's spikes of a step go to. */
SPKI_FN void spki_conv_emit(spk_conv *conv, spki_conv_stage *s, size_t n)
{
    const uint64_t stamp = conv->step + 1;
    if (n == 0) {
        return;
    }
    spki_conv_sort(s, n);
    for (size_t k = 0; k < n; k++) {
        s->total[s->neuron[k]]++;
    }
    s->spikes += n;
    spki_conv_digest(s, stamp, n);
    if (conv->desc.spikes) {
        conv->busy = true;
        conv->desc.spikes(conv->desc.ctx, s->layer, stamp, s->neuron, n);
        conv->busy = false;
    }
}

/* Updates the neurons that had input; returns the number of spikes in s->item. */
SPKI_FN size_t spki_conv_update(const spk_conv *conv, spki_conv_stage *s)
{
    size_t n = 0;
    if (s->dirty_first < s->dirty_end) {
        n = s->spilled ? spki_conv_finish_wide(s, conv->step)
                       : spki_conv_ops_of(conv->isa, s->lanes)->finish(s, conv->step, s->counting);
        s->full_steps += s->counting;
        s->sparse_steps += !s->counting;
        if (s->counting) {
            spki_conv_clear_counts(s);
        }
    }
    /* the next step is likely to be as busy */
    s->counting = s == conv->stage && s->counting && s->pending > s->full_above;
    s->pending = s->since_fold = 0;
    s->dirty_first = UINT32_MAX;
    s->dirty_end = 0;
    return n;
}

/* The open step ends. */
SPKI_FN void spki_conv_finish_step(spk_conv *conv)
{
    for (uint32_t k = 0; k < conv->stages; k++) {
        spki_conv_stage *s = &conv->stage[k];
        const size_t n = spki_conv_update(conv, s);
        spki_conv_emit(conv, s, n);
        if (n == 0) { /* nothing reaches the stages behind */
            return;
        }
        if (k + 1 < conv->stages) {
            spki_conv_stage *next = s + 1;
            next->counting = n > next->full_above;
            spki_conv_input(conv, next, s->item, n);
        }
    }
}

/* Opens the step `steps` after the open one; all between are empty and cost nothing. */
SPKI_FN void spki_conv_advance(spk_conv *conv, uint64_t steps)
{
    spki_conv_finish_step(conv);
    conv->step += steps;
    conv->begin_us = (int64_t)((uint64_t)conv->begin_us + steps * conv->desc.dt_us);
}

/* -- the calls -- */

SPKI_FN spk_result spki_conv_ready(spk_conv *conv, const char *call)
{
    if (!conv) {
        return SPK_ERR_NULL;
    }
    if (conv->status != SPK_OK) {
        return conv->status;
    }
    if (conv->busy) {
        return spki_conv_fail(conv, SPK_ERR_STATE, "%s: this is a callback of the same object",
                              call);
    }
    return SPK_OK;
}

SPKI_FN void spki_conv_begin(spk_conv *conv, int64_t t_us)
{
    if (!conv->has_origin) {
        conv->has_origin = true;
        conv->origin_us = conv->begin_us = t_us;
    }
}

/* With SPK_LATE_ERROR: is any event late when its turn comes? */
SPKI_FN spk_result spki_conv_check_late(spk_conv *conv, const spk_event *e, size_t n)
{
    int64_t begin = conv->begin_us;
    bool known = conv->has_origin;
    for (size_t k = 0; k < n; k++) {
        if (e[k].kind != SPK_EVENT_CD) {
            continue;
        }
        if (!known) {
            begin = e[k].t_us;
            known = true;
        }
        if (e[k].t_us < begin) {
            return spki_conv_fail(
                conv, SPK_ERR_RANGE,
                "feed: event %llu, at %lld us, comes when the step that begins at "
                "%lld us is open",
                (unsigned long long)k, (long long)e[k].t_us, (long long)begin);
        }
        const uint64_t ahead = (uint64_t)e[k].t_us - (uint64_t)begin;
        begin = (int64_t)((uint64_t)begin + ahead / conv->desc.dt_us * conv->desc.dt_us);
    }
    return SPK_OK;
}

/* An event that is not of the open step. */
SPKI_FN void spki_conv_other_step(spk_conv *conv, const spk_event *e)
{
    if (e->kind != SPK_EVENT_CD) {
        return;
    }
    if (e->t_us < conv->begin_us) {
        conv->late++;
        if (conv->desc.late == SPK_LATE_NEXT) {
            spki_conv_events(conv, e, 1);
        }
        return;
    }
    spki_conv_advance(conv, ((uint64_t)e->t_us - (uint64_t)conv->begin_us) / conv->desc.dt_us);
    spki_conv_events(conv, e, 1);
}

SPIKELIB_API spk_result spk_conv_feed(spk_conv *conv, const spk_event *events, size_t count)
{
    spk_result result = spki_conv_ready(conv, "feed");
    if (result != SPK_OK || count == 0) {
        return result;
    }
    if (!events) {
        return spki_conv_fail(conv, SPK_ERR_NULL, "feed: events is NULL");
    }
    if (conv->desc.late == SPK_LATE_ERROR) {
        result = spki_conv_check_late(conv, events, count);
        if (result != SPK_OK) {
            return result;
        }
    }
    for (size_t k = 0; k < count;) {
        size_t end = k;
        while (!conv->has_origin && k < count) { /* triggers say nothing about time */
            if (events[k].kind == SPK_EVENT_CD) {
                spki_conv_begin(conv, events[k].t_us);
            } else {
                end = ++k;
            }
        }
        while (end < count &&
               (uint64_t)events[end].t_us - (uint64_t)conv->begin_us < conv->desc.dt_us) {
            end++;
        }
        if (end > k) {
            spki_conv_events(conv, events + k, end - k);
            k = end;
        } else if (k < count) {
            spki_conv_other_step(conv, &events[k++]);
        }
    }
    return SPK_OK;
}

SPIKELIB_API spk_result spk_conv_run_until_us(spk_conv *conv, int64_t t_us)
{
    const spk_result result = spki_conv_ready(conv, "run until");
    if (result != SPK_OK) {
        return result;
    }
    spki_conv_begin(conv, t_us);
    if (t_us >= conv->begin_us) {
        const uint64_t steps = ((uint64_t)t_us - (uint64_t)conv->begin_us) / conv->desc.dt_us;
        if (steps) {
            spki_conv_advance(conv, steps);
        }
    }
    return SPK_OK;
}

SPIKELIB_API spk_result spk_conv_flush(spk_conv *conv)
{
    const spk_result result = spki_conv_ready(conv, "flush");
    if (result == SPK_OK && conv->has_origin && conv->stage[0].pending) {
        spki_conv_advance(conv, 1);
    }
    return result;
}

#endif
