/* ---- >>conv-build: checking, measuring and laying out the stages ---- */
#ifndef SPIKELIB_CONV_BUILD_H
#define SPIKELIB_CONV_BUILD_H

#include "layer.h"

/* Steps with more active inputs than this share of all are computed window by window. Measured:
   footprints cost 0.6 to 0.85 of windows at a quarter, 0.8 to 1.0 at a half, 0.8 to 1.1 from there
   on (kernels of 3 and 5, stride 1 and 2, 8 to 32 channels). */
#define SPKI_CONV_FULL_ABOVE 0.75

SPKI_FN const char *spki_conv_layer_name(const spk_conv_layer *layer)
{
    return layer->name ? layer->name : "";
}

/* -- checks -- */

SPKI_FN bool spki_conv_positive(double x)
{
    return x >= 1e-20 && x <= 1e20;
}

SPKI_FN uint32_t spki_conv_or(uint32_t x, uint32_t other)
{
    return x ? x : other;
}

/* The user's layer with its defaults. */
SPKI_FN spk_conv_layer spki_conv_resolve(const spk_conv_layer *given)
{
    spk_conv_layer l = *given;
    l.kernel_y = spki_conv_or(l.kernel_y, l.kernel_x);
    l.stride_y = spki_conv_or(l.stride_y, l.stride_x);
    if (l.kind == SPK_CONV_SUM_POOL) {
        l.stride_x = spki_conv_or(l.stride_x, l.kernel_x);
        l.stride_y = spki_conv_or(l.stride_y, l.kernel_y);
    }
    l.stride_x = spki_conv_or(l.stride_x, 1);
    l.stride_y = spki_conv_or(l.stride_y, 1);
    l.tau_us = l.tau_us != 0.0 ? l.tau_us : 10000.0;
    l.threshold = l.threshold != 0.0 ? l.threshold : 1.0;
    return l;
}

/* Sizes out of range and what the layer makes of `in`. */
SPKI_FN spk_result spki_conv_check_window(spk_conv *conv, uint32_t k, const spk_conv_layer *l,
                                          spki_conv_shape in, spki_conv_shape *out)
{
    const char *name = spki_conv_layer_name(l);
    const uint64_t x = (uint64_t)in.width + 2 * (uint64_t)l->padding_x;
    const uint64_t y = (uint64_t)in.height + 2 * (uint64_t)l->padding_y;
    if (l->kernel_x == 0 || l->kernel_x > 65535 || l->kernel_y > 65535 || l->padding_x > 65535 ||
        l->padding_y > 65535 || l->stride_x > 65535 || l->stride_y > 65535) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": kernel %u x %u, stride %u x %u, padding %u x %u "
                              "(a kernel has to be given, and nothing may exceed 65,535)",
                              k, name, l->kernel_x, l->kernel_y, l->stride_x, l->stride_y,
                              l->padding_x, l->padding_y);
    }
    if (x < l->kernel_x || y < l->kernel_y) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": the kernel, %u x %u, is larger than its input, "
                              "%u x %u with padding",
                              k, name, l->kernel_x, l->kernel_y, (uint32_t)x, (uint32_t)y);
    }
    out->width = (uint32_t)(x - l->kernel_x) / l->stride_x + 1;
    out->height = (uint32_t)(y - l->kernel_y) / l->stride_y + 1;
    if (out->width >= SPKI_CONV_NOWHERE || out->height >= SPKI_CONV_NOWHERE) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": %u x %u outputs are too many", k, name,
                              out->width, out->height);
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_conv_check_neurons(spk_conv *conv, uint32_t k, const spk_conv_layer *l)
{
    const char *name = spki_conv_layer_name(l);
    const double dt = (double)conv->desc.dt_us;
    if (l->channels == 0 || l->channels > SPKI_CONV_CHANNELS) {
        return spki_conv_fail(conv, SPK_ERR_RANGE, "layer %u \"%.60s\": %u channels (1 to %u)", k,
                              name, l->channels, SPKI_CONV_CHANNELS);
    }
    if ((uint32_t)l->reset > SPK_CONV_RESET_SUBTRACT) {
        return spki_conv_fail(conv, SPK_ERR_RANGE, "layer %u \"%.60s\": no reset has number %u", k,
                              name, (uint32_t)l->reset);
    }
    if (!spki_conv_positive(l->threshold) ||
        !(l->v_reset >= -1e20 && (float)l->v_reset < (float)l->threshold)) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": threshold %g with v_reset %g (the one has to be "
                              "positive, the other below it)",
                              k, name, l->threshold, l->v_reset);
    }
    if (!(l->v_min <= 0.0 && l->v_min >= -1e20) || (l->v_min < 0.0 && l->v_reset < l->v_min)) {
        return spki_conv_fail(
            conv, SPK_ERR_RANGE,
            "layer %u \"%.60s\": v_min %g (negative, and v_reset not below it; 0: "
            "none)",
            k, name, l->v_min);
    }
    if (!(l->tau_us > 0.0) || (l->tau_us < 1e300 && !(l->tau_us <= 1e7 * dt))) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": tau %g us (more than 0, at most 10 million "
                              "steps; 1e300 and more: no leak)",
                              k, name, l->tau_us);
    }
    if (!(l->refractory_us >= 0.0) || !(l->refractory_us <= 1e8 * dt)) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": a refractory period of %g us", k, name,
                              l->refractory_us);
    }
    if (!(l->full_above >= 0.0)) {
        return spki_conv_fail(conv, SPK_ERR_RANGE, "layer %u \"%.60s\": full_above %g", k, name,
                              l->full_above);
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_conv_check_weights(spk_conv *conv, uint32_t k, const spk_conv_layer *l,
                                           spki_conv_shape in, double *largest)
{
    const char *name = spki_conv_layer_name(l);
    size_t want = l->channels;
    bool absurd = __builtin_mul_overflow(want, (size_t)in.channels, &want);
    absurd = __builtin_mul_overflow(want, (size_t)l->kernel_x, &want) || absurd;
    absurd = __builtin_mul_overflow(want, (size_t)l->kernel_y, &want) || absurd;
    *largest = 0.0;
    if (!l->weights) {
        return spki_conv_fail(conv, SPK_ERR_NULL, "layer %u \"%.60s\": weights are NULL", k, name);
    }
    if (absurd || l->weight_count != want) {
        return spki_conv_fail(
            conv, SPK_ERR_RANGE,
            "layer %u \"%.60s\": %llu weights, where %u x %u x %u x %u are needed", k, name,
            (unsigned long long)l->weight_count, l->channels, in.channels, l->kernel_y,
            l->kernel_x);
    }
    for (size_t n = 0; n < want; n++) {
        const double w = l->weights[n] < 0.0f ? -(double)l->weights[n] : (double)l->weights[n];
        if (!(w <= 1e20)) {
            return spki_conv_fail(conv, SPK_ERR_RANGE, "layer %u \"%.60s\": weight %llu is %g", k,
                                  name, (unsigned long long)n, (double)l->weights[n]);
        }
        *largest = SPKI_MAX(*largest, w);
    }
    if (*largest > 0.0 && *largest < 1e-20) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": the largest weight, %g, is too small", k, name,
                              *largest);
    }
    return SPK_OK;
}

/* -- the geometry of a stage -- */

/* Rounded to a whole number of vectors of every width that may serve it. */
SPKI_FN uint32_t spki_conv_lanes(uint32_t channels)
{
    return channels <= 8 ? 8 : (channels + 15) / 16 * 16;
}

/* Sites that inputs reach beyond the grid, before and after it. */
SPKI_FN void spki_conv_margins(uint32_t inputs, uint32_t outputs, uint32_t padding, uint32_t stride,
                               uint32_t reach, uint32_t *before, uint32_t *after)
{
    const uint32_t first = padding / stride, last = (inputs - 1 + padding) / stride;
    *before = first < reach - 1 ? reach - 1 - first : 0;
    *after = last > outputs - 1 ? last - (outputs - 1) : 0;
}

SPKI_FN spk_result spki_conv_measure(spk_conv *conv, spki_conv_stage *s, const spk_conv_layer *l)
{
    uint32_t right, bottom;
    size_t sums, weights, windows, counts;
    bool absurd;
    s->lanes = spki_conv_lanes(s->out.channels);
    s->reach_x = (s->kernel_x + s->stride_x - 1) / s->stride_x;
    s->reach_y = (s->kernel_y + s->stride_y - 1) / s->stride_y;
    if (s->reach_x > SPKI_CONV_REACH || s->reach_y > SPKI_CONV_REACH) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": with kernel %u x %u and stride %u x %u an input "
                              "reaches more than %u outputs each way",
                              s->layer, spki_conv_layer_name(l), s->kernel_x, s->kernel_y,
                              s->stride_x, s->stride_y, SPKI_CONV_REACH);
    }
    spki_conv_margins(s->in.width, s->out.width, s->padding_x, s->stride_x, s->reach_x, &s->left,
                      &right);
    spki_conv_margins(s->in.height, s->out.height, s->padding_y, s->stride_y, s->reach_y, &s->top,
                      &bottom);
    s->pitch = s->left + s->out.width + right;
    s->rows = s->top + s->out.height + bottom;
    s->words = (s->pitch + 31) / 32 + 1;
    s->neurons = (size_t)s->out.width * s->out.height * s->out.channels;
    s->ring = 1;
    while (s->ring < s->reach_y) {
        s->ring *= 2;
    }
    s->pairs = (s->in.channels + 1) / 2;
    s->count_pitch = (s->in.width + 2 * s->padding_x) * s->pairs * 2;
    s->count_origin = (size_t)s->padding_y * s->count_pitch + (size_t)s->padding_x * s->pairs * 2;
    s->active_words = (s->in.width * s->pairs + 63) / 64;

    absurd = __builtin_mul_overflow((size_t)s->pitch * s->rows, (size_t)s->lanes, &sums);
    weights = (size_t)s->reach_x * s->reach_y * s->lanes * 2;
    absurd = __builtin_mul_overflow(weights, (size_t)s->stride_x * s->stride_y, &weights) || absurd;
    absurd = absurd || weights > SPKI_CONV_ELEMENTS;
    s->weights_pair = absurd ? 0 : (uint32_t)weights;
    absurd = __builtin_mul_overflow(weights, (size_t)s->pairs, &weights) || absurd;
    absurd = __builtin_mul_overflow((size_t)s->kernel_x * s->kernel_y,
                                    (size_t)s->pairs * 2 * s->lanes, &windows) ||
             absurd;
    absurd = __builtin_mul_overflow((size_t)s->count_pitch,
                                    (size_t)s->in.height + 2 * (size_t)s->padding_y, &counts) ||
             absurd;
    if (absurd || sums > SPKI_CONV_ELEMENTS || weights > SPKI_CONV_ELEMENTS ||
        windows > SPKI_CONV_ELEMENTS || counts > SPKI_CONV_ELEMENTS) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": %u x %u x %u neurons with %u x %u x %u weights "
                              "each are too many",
                              s->layer, spki_conv_layer_name(l), s->out.width, s->out.height,
                              s->out.channels, s->in.channels, s->kernel_y, s->kernel_x);
    }
    s->count_elements = counts;
    return SPK_OK;
}

/* -- one block of memory a stage -- */

/* Hands out the next `count` elements; with no block it only adds up. */
SPKI_FN void *spki_conv_place(const spki_conv_stage *s, size_t *used, size_t count, size_t size)
{
    const size_t at = *used;
    *used += spki_block_size(count + SPKI_ALIGN / size, size);
    return s->block ? (char *)s->block + at : NULL;
}

/* Places all arrays and returns the bytes that they take. */
SPKI_FN size_t spki_conv_lay_out(spki_conv_stage *s, bool first)
{
    const size_t sites = (size_t)s->pitch * s->rows, all = sites * s->lanes;
    const size_t far_count = (size_t)(s->far_steps / SPKI_CONV_NEAR) + 1;
    const size_t marks = (size_t)s->rows * s->words;
    size_t used = 0;
    s->sums = (int32_t *)spki_conv_place(s, &used, (size_t)s->ring * s->pitch * s->lanes,
                                         sizeof *s->sums);
    s->marks = (uint64_t *)spki_conv_place(s, &used, (size_t)s->ring * s->words, sizeof *s->marks);
    s->v = (float *)spki_conv_place(s, &used, all, sizeof *s->v);
    s->last = (uint64_t *)spki_conv_place(s, &used, sites, sizeof *s->last);
    s->spill = (int64_t *)spki_conv_place(s, &used, first ? all : 0, sizeof *s->spill);
    s->spill_marks =
        (uint64_t *)spki_conv_place(s, &used, first ? marks : 0, sizeof *s->spill_marks);
    s->fold_x = (uint16_t *)spki_conv_place(s, &used, s->source.width, sizeof *s->fold_x);
    s->fold_y = (uint16_t *)spki_conv_place(s, &used, s->source.height, sizeof *s->fold_y);
    s->column = (spki_conv_column *)spki_conv_place(s, &used, s->in.width, sizeof *s->column);
    s->row = (spki_conv_row *)spki_conv_place(s, &used, s->in.height, sizeof *s->row);
    s->weights = (int16_t *)spki_conv_place(s, &used, (size_t)s->pairs * s->weights_pair,
                                            sizeof *s->weights);
    s->counts = (int16_t *)spki_conv_place(s, &used, s->count_elements, sizeof *s->counts);
    s->active = (uint64_t *)spki_conv_place(s, &used, (size_t)s->in.height * s->active_words,
                                            sizeof *s->active);
    s->windows = (int16_t *)spki_conv_place(
        s, &used, (size_t)s->kernel_x * s->kernel_y * s->pairs * 2 * s->lanes, sizeof *s->windows);
    s->near_decay = (float *)spki_conv_place(s, &used, SPKI_CONV_NEAR, sizeof *s->near_decay);
    s->far_decay = (float *)spki_conv_place(s, &used, far_count, sizeof *s->far_decay);
    s->total = (uint32_t *)spki_conv_place(s, &used, s->neurons, sizeof *s->total);
    s->item = (spki_conv_item *)spki_conv_place(s, &used, s->neurons, sizeof *s->item);
    s->neuron = (uint32_t *)spki_conv_place(s, &used, s->neurons, sizeof *s->neuron);
    s->channel_start =
        (uint32_t *)spki_conv_place(s, &used, s->out.channels, sizeof *s->channel_start);
    if (s->refractory) {
        s->hold = (int32_t *)spki_conv_place(s, &used, all, sizeof *s->hold);
    }
    return used;
}

/* -- tables -- */

/* Where a coordinate lies after all pools. */
SPKI_FN void spki_conv_fill_fold(uint16_t *fold, uint32_t count, const spki_conv_pool *pool,
                                 uint32_t pools, bool y)
{
    for (uint32_t k = 0; k < count; k++) {
        uint32_t at = k;
        for (uint32_t p = 0; p < pools && at != SPKI_CONV_NOWHERE; p++) {
            at /= y ? pool[p].kernel_y : pool[p].kernel_x;
            if (at >= (y ? pool[p].out.height : pool[p].out.width)) {
                at = SPKI_CONV_NOWHERE;
            }
        }
        fold[k] = (uint16_t)at;
    }
}

/* The footprint of an input begins at grid position *begin (margins included); bits of its places
   that are outputs whose windows hold the input. */
SPKI_FN uint32_t spki_conv_footprint(uint32_t at, uint32_t padding, uint32_t stride,
                                     uint32_t kernel, uint32_t reach, uint32_t margin,
                                     uint32_t outputs, uint32_t *begin, uint32_t *phase)
{
    const uint32_t high = (at + padding) / stride; /* the last output that may hold it */
    uint32_t bits = 0;
    *phase = (at + padding) % stride;
    *begin = high + margin - (reach - 1);
    for (uint32_t j = 0; j < reach && j <= high; j++) {
        if (*phase + j * stride < kernel && high - j < outputs) {
            bits |= (uint32_t)1 << (reach - 1 - j);
        }
    }
    return bits;
}

SPKI_FN void spki_conv_fill_tables(spki_conv_stage *s)
{
    const uint32_t block = s->reach_x * s->reach_y * s->lanes * 2;
    uint32_t begin, phase;
    for (uint32_t x = 0; x < s->in.width; x++) {
        spki_conv_column *c = &s->column[x];
        const uint32_t bits =
            spki_conv_footprint(x, s->padding_x, s->stride_x, s->kernel_x, s->reach_x, s->left,
                                s->out.width, &begin, &phase);
        c->sums = begin * s->lanes;
        c->weights = phase * block;
        c->word = begin / 32;
        c->marks = (uint64_t)bits << begin % 32;
    }
    for (uint32_t y = 0; y < s->in.height; y++) {
        spki_conv_row *r = &s->row[y];
        r->rows = spki_conv_footprint(y, s->padding_y, s->stride_y, s->kernel_y, s->reach_y, s->top,
                                      s->out.height, &begin, &phase);
        r->first = begin;
        r->weights = phase * s->stride_x * block;
    }
}

/* The smallest power of two of which the largest weight is at most 32,767. */
SPKI_FN double spki_conv_quantum(double largest)
{
    double q = 1.0;
    if (largest <= 0.0) {
        return q;
    }
    while (largest > 32767.0 * q) {
        q *= 2.0;
    }
    while (largest <= 32767.0 * 0.5 * q) {
        q *= 0.5;
    }
    return q;
}

/* To the nearest multiple; halves upwards. */
SPKI_FN int32_t spki_conv_quantised(double w, double quantum)
{
    const double x = w / quantum + 32768.5; /* positive, so that the cast rounds down */
    return (int32_t)x - 32768;
}

/* Writes both copies of the weights; false: the sum of a neuron's could leave 32 bits when every
   input of its window is `most`, as pools may make it. */
SPKI_FN bool spki_conv_fill_weights(spki_conv_stage *s, const float *weights, double most)
{
    const uint32_t block = s->reach_x * s->reach_y * s->lanes * 2;
    const float *w = weights;
    bool fits = true;
    for (uint32_t c = 0; c < s->out.channels; c++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < s->in.channels; i++) {
            for (uint32_t ky = 0; ky < s->kernel_y; ky++) {
                for (uint32_t kx = 0; kx < s->kernel_x; kx++, w++) {
                    const int32_t q = spki_conv_quantised((double)*w, s->exact_quantum);
                    const uint32_t phase = ky % s->stride_y * s->stride_x + kx % s->stride_x;
                    const uint32_t ry = s->reach_y - 1 - ky / s->stride_y;
                    const uint32_t rx = s->reach_x - 1 - kx / s->stride_x;
                    const size_t tap = (size_t)ky * s->kernel_x + kx;
                    s->weights[(size_t)(i / 2) * s->weights_pair + (size_t)phase * block +
                               (((size_t)ry * s->reach_x + rx) * s->lanes + c) * 2 + i % 2] =
                        (int16_t)q;
                    s->windows[((tap * s->pairs + i / 2) * s->lanes + c) * 2 + i % 2] = (int16_t)q;
                    sum += q < 0 ? -(double)q : (double)q;
                }
            }
        }
        fits = fits && sum * most <= 2147483647.0;
    }
    return fits;
}

SPKI_FN void spki_conv_fill_decay(spki_conv_stage *s, double tau_us, double dt_us)
{
    const double rate = tau_us < 1e300 ? dt_us / tau_us : 0.0;
    const size_t far_count = (size_t)(s->far_steps / SPKI_CONV_NEAR) + 1;
    for (size_t k = 0; k < SPKI_CONV_NEAR; k++) {
        s->near_decay[k] = (float)spki_conv_exp(-(double)k * rate);
    }
    for (size_t k = 0; k < far_count; k++) {
        s->far_decay[k] = (float)spki_conv_exp(-(double)(k * SPKI_CONV_NEAR) * rate);
    }
}

/* -- a stage from a layer -- */

SPKI_FN void spki_conv_stage_params(spki_conv_stage *s, const spk_conv_layer *l, double dt_us)
{
    const double share = l->full_above != 0.0 ? l->full_above : SPKI_CONV_FULL_ABOVE;
    const double inputs = (double)s->in.width * s->in.height * s->pairs;
    s->threshold = (float)l->threshold;
    s->v_reset = (float)l->v_reset;
    s->v_min = l->v_min < 0.0 ? (float)l->v_min : -FLT_MAX;
    s->subtract = l->reset == SPK_CONV_RESET_SUBTRACT;
    s->refractory = (int32_t)(l->refractory_us / dt_us + 0.5);
    s->refractory += s->refractory > 0; /* the step of the spike itself is not one of them */
    s->full_above = share * inputs < 9e15 ? (uint64_t)(share * inputs) : UINT64_MAX;
    /* after 80 time constants less is left than a float of any use resolves */
    s->far_steps = l->tau_us < 1e300 ? (uint64_t)(80.0 * l->tau_us / dt_us) + 1 : 0;
    s->beyond = l->tau_us < 1e300 ? 0.0f : 1.0f;
}

/* Pools whose windows tile their input are divisions that the tables hold. */
SPKI_FN bool spki_conv_tiles(const spki_conv_pool *pool, uint32_t pools)
{
    for (uint32_t k = 0; k < pools; k++) {
        if (pool[k].stride_x != pool[k].kernel_x || pool[k].stride_y != pool[k].kernel_y ||
            pool[k].padding_x || pool[k].padding_y) {
            return false;
        }
    }
    return true;
}

/* The largest sum that pools can make of inputs of 1. */
SPKI_FN double spki_conv_pooled(const spki_conv_stage *s)
{
    double most = 1.0;
    for (uint32_t k = 0; k < s->pools; k++) {
        most *= (double)s->pool[k].kernel_x * s->pool[k].kernel_y;
    }
    return most;
}

SPKI_FN spk_result spki_conv_build_stage(spk_conv *conv, spki_conv_stage *s,
                                         const spk_conv_layer *l, double largest)
{
    const bool first = s == conv->stage;
    const double most = spki_conv_pooled(s);
    spk_result result = spki_conv_measure(conv, s, l);
    if (result != SPK_OK) {
        return result;
    }
    if (!first && most > 32767.0) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": the pools before it add up %g inputs (at most "
                              "32,767)",
                              s->layer, spki_conv_layer_name(l), most);
    }
    spki_conv_stage_params(s, l, (double)conv->desc.dt_us);
    s->block_size = spki_conv_lay_out(s, first);
    s->block = spki_alloc(&conv->mem, s->block_size, 1);
    if (!s->block) {
        return spki_conv_fail(conv, SPK_ERR_OUT_OF_MEMORY, "no memory for layer %u \"%.60s\"",
                              s->layer, spki_conv_layer_name(l));
    }
    (void)spki_conv_lay_out(s, first);
    s->exact_quantum = spki_conv_quantum(largest);
    s->quantum = (float)s->exact_quantum;
    spki_conv_fill_fold(s->fold_x, s->source.width, s->pool, s->folded ? s->pools : 0, false);
    spki_conv_fill_fold(s->fold_y, s->source.height, s->pool, s->folded ? s->pools : 0, true);
    spki_conv_fill_tables(s);
    spki_conv_fill_decay(s, l->tau_us, (double)conv->desc.dt_us);
    /* the first stage folds its sums every SPKI_CONV_FOLD inputs, the others cannot get so many */
    if (!spki_conv_fill_weights(s, l->weights, first ? 0.0 : most)) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u \"%.60s\": the weights of a neuron add up to more than 32 "
                              "bits of their resolution, %g, hold",
                              s->layer, spki_conv_layer_name(l), s->exact_quantum);
    }
    return SPK_OK;
}

#endif
