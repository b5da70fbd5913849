/* ---- >>conv-step: events in, steps finished, spikes out ----
   Events are counted as they come, where the pools before the first stage take them. When a step
   is over, the stages are swept one after the other, the spikes of each being counted as the inputs
   of the next. */
#ifndef SPIKELIB_CONV_STEP_H
#define SPIKELIB_CONV_STEP_H

#include "kernels.h"

/* -- counting inputs -- */

typedef struct spki_conv_rows {
    uint32_t first, end;
} spki_conv_rows;

SPKI_INLINE void spki_conv_count(const spki_conv_stage *s, uint32_t x, uint32_t y, uint32_t c,
                                 spki_conv_rows *rows)
{
    const uint32_t bit = x * s->pairs + c / 2;
    s->counts[s->count_origin + (size_t)y * s->count_pitch + (size_t)x * s->pairs * 2 + c]++;
    s->active[(size_t)y * s->active_words + bit / 64] |= (uint64_t)1 << bit % 64;
    rows->first = SPKI_MIN(rows->first, y);
    rows->end = SPKI_MAX(rows->end, y + 1);
}

/* `copy` keeps what the loops need out of the way of their stores. */
SPKI_FN void spki_conv_count_events(spki_conv_stage *s, const spk_event *e, size_t n)
{
    const spki_conv_stage copy = *s;
    const uint32_t two = s->in.channels > 1;
    spki_conv_rows rows = {s->dirty_first, s->dirty_end};
    for (size_t k = 0; k < n; k++) {
        uint32_t x, y;
        if (e[k].kind != SPK_EVENT_CD) {
            s->others++;
            continue;
        }
        if (e[k].x >= copy.source.width || e[k].y >= copy.source.height) {
            s->outside++;
            continue;
        }
        x = copy.fold_x[e[k].x];
        y = copy.fold_y[e[k].y];
        if (x != SPKI_CONV_NOWHERE && y != SPKI_CONV_NOWHERE) {
            spki_conv_count(&copy, x, y, (e[k].polarity != 0) & two, &rows);
        }
    }
    s->dirty_first = rows.first;
    s->dirty_end = rows.end;
}

SPKI_FN void spki_conv_count_items(spki_conv_stage *s, const spki_conv_item *item, size_t n)
{
    const spki_conv_stage copy = *s;
    spki_conv_rows rows = {s->dirty_first, s->dirty_end};
    for (size_t k = 0; k < n; k++) {
        const uint32_t x = copy.fold_x[item[k].x], y = copy.fold_y[item[k].y];
        if (x != SPKI_CONV_NOWHERE && y != SPKI_CONV_NOWHERE) {
            spki_conv_count(&copy, x, y, item[k].c, &rows);
        }
    }
    s->dirty_first = rows.first;
    s->dirty_end = rows.end;
}

SPKI_FN uint64_t spki_conv_active(const spki_conv_stage *s)
{
    const uint64_t *word = s->active + (size_t)s->dirty_first * s->active_words;
    const uint64_t *end = s->active + (size_t)s->dirty_end * s->active_words;
    uint64_t n = 0;
    for (; word < end; word++) {
        n += (uint64_t)__builtin_popcountll(*word);
    }
    return n;
}

/* -- more inputs in a step than 16-bit counts and 32-bit sums may take -- */

/* Adds the counts of an active pair to the 64-bit sums of its footprint, and marks its sites. */
SPKI_FN void spki_conv_fold_pair(spki_conv_stage *s, uint32_t x, uint32_t y, uint32_t pair)
{
    const spki_conv_column *col = &s->column[x];
    const spki_conv_row *row = &s->row[y];
    int16_t *count = s->counts + s->count_origin + (size_t)y * s->count_pitch +
                     ((size_t)x * s->pairs + pair) * 2;
    const int16_t *w = s->weights + (size_t)pair * s->weights_pair + row->weights + col->weights;
    for (uint32_t r = 0; r < s->reach_y; r++) {
        int64_t *sum = s->spill + (size_t)(row->first + r) * s->pitch * s->lanes + col->sums;
        for (uint32_t k = 0; k < s->reach_x * s->lanes; k++, w += 2) {
            sum[k] += (int64_t)count[0] * w[0] + (int64_t)count[1] * w[1];
        }
        s->spill_marks[(size_t)(row->first + r) * s->words + col->word] |=
            col->marks & ((uint64_t)0 - (row->rows >> r & 1));
    }
    count[0] = count[1] = 0;
}

/* Moves what was counted so far into 64 bits. */
SPKI_FN void spki_conv_fold(spki_conv_stage *s)
{
    for (uint32_t y = s->dirty_first; y < s->dirty_end; y++) {
        uint64_t *active = s->active + (size_t)y * s->active_words;
        for (uint32_t k = 0; k < s->active_words; k++) {
            uint64_t bits = active[k];
            active[k] = 0;
            for (; bits; bits &= bits - 1) {
                const uint32_t at = k * 64 + (uint32_t)__builtin_ctzll(bits);
                spki_conv_fold_pair(s, at / s->pairs, y, at % s->pairs);
            }
        }
    }
    s->since_fold = 0;
    s->spilled = true;
}

/* The update of a site whose sums have 64 bits: the same arithmetic, one neuron at a time. */
SPKI_FN void spki_conv_wide_site(spki_conv_stage *s, uint32_t x, uint32_t y, uint64_t now)
{
    const size_t site = (size_t)y * s->pitch + x, at = site * s->lanes;
    const uint64_t elapsed = now - s->last[site];
    const float factor = spki_conv_decay(s, elapsed);
    s->last[site] = now;
    for (uint32_t c = 0; c < s->lanes; c++) {
        const float input = (float)s->spill[at + c] * s->quantum;
        if (spki_conv_lif_scalar(s, at + c, input, factor,
                                 (int32_t)SPKI_MIN(elapsed, (uint64_t)1 << 30))) {
            spki_conv_item *out = &s->item[s->spilled_items++];
            out->x = (uint16_t)(x - s->left);
            out->y = (uint16_t)(y - s->top);
            out->c = (uint16_t)c;
        }
    }
}

SPKI_FN size_t spki_conv_sweep_wide(spki_conv_stage *s, uint64_t now)
{
    spki_conv_fold(s);
    s->spilled_items = 0;
    for (uint32_t y = 0; y < s->rows; y++) {
        uint64_t *mark = s->spill_marks + (size_t)y * s->words;
        uint32_t carry = 0;
        for (uint32_t k = 0; k < s->words; k++) {
            uint32_t bits = (uint32_t)mark[k] | carry;
            carry = (uint32_t)(mark[k] >> 32);
            mark[k] = 0;
            for (; bits; bits &= bits - 1) {
                spki_conv_wide_site(s, k * 32 + (uint32_t)__builtin_ctz(bits), y, now);
            }
        }
    }
    memset(s->spill, 0, (size_t)s->pitch * s->rows * s->lanes * sizeof *s->spill);
    s->spilled = false;
    return s->spilled_items;
}

/* -- input -- */

/* How many more inputs the counts of a stage take. Only the first can get too many: those of the
   others were bounded when they were built. */
SPKI_FN size_t spki_conv_room(const spk_conv *conv, spki_conv_stage *s, size_t n)
{
    if (s != conv->stage) {
        return n;
    }
    if (s->since_fold == SPKI_CONV_FOLD) {
        spki_conv_fold(s);
    }
    n = SPKI_MIN(n, (size_t)(SPKI_CONV_FOLD - s->since_fold));
    s->since_fold += (uint32_t)n;
    return n;
}

SPKI_FN void spki_conv_add_items(spk_conv *conv, spki_conv_stage *s, const spki_conv_item *item,
                                 size_t n)
{
    while (n) {
        const size_t some = spki_conv_room(conv, s, n);
        spki_conv_count_items(s, item, some);
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
        const size_t some = spki_conv_room(conv, s, n);
        spki_conv_count_events(s, e, some);
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

/* Sweeps a stage that had input; returns the number of spikes in s->item. */
SPKI_FN size_t spki_conv_update(const spk_conv *conv, spki_conv_stage *s)
{
    size_t n = 0;
    if (s->spilled) {
        n = spki_conv_sweep_wide(s, conv->step);
        s->sparse_steps++;
    } else if (s->dirty_first < s->dirty_end) {
        const bool full = spki_conv_active(s) > s->full_above;
        n = spki_conv_sweep_of(conv->isa, s->lanes)(s, conv->step, full);
        s->full_steps += full;
        s->sparse_steps += !full;
        if (full) {
            memset(s->counts, 0, s->count_elements * sizeof *s->counts);
        }
    }
    s->since_fold = 0;
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
    if (result == SPK_OK && conv->has_origin && conv->stage[0].since_fold) {
        spki_conv_advance(conv, 1);
    }
    return result;
}

#endif
