/* ---- >>conv-object: creating, asking and destroying ---- */
#ifndef SPIKELIB_CONV_CONV_H
#define SPIKELIB_CONV_CONV_H

#include "build.h"
#include "step.h"

SPIKELIB_API spk_result spk_conv_desc_defaults(spk_conv_desc *desc)
{
    if (!desc) {
        return SPK_ERR_NULL;
    }
    if (desc->begin_sentinel || desc->end_sentinel) {
        return SPK_ERR_UNINITIALISED;
    }
    desc->polarities = desc->polarities ? desc->polarities : 2;
    desc->dt_us = desc->dt_us ? desc->dt_us : 1000;
    return SPK_OK;
}

SPKI_FN spk_result spki_conv_check_desc(spk_conv *conv)
{
    const spk_conv_desc *d = &conv->desc;
    if (d->width == 0 || d->width > 65535 || d->height == 0 || d->height > 65535) {
        return spki_conv_fail(conv, SPK_ERR_RANGE, "a sensor of %u x %u pixels (1 to 65,535)",
                              d->width, d->height);
    }
    if (d->polarities > 2) {
        return spki_conv_fail(conv, SPK_ERR_RANGE, "polarities %u (1 or 2)", d->polarities);
    }
    if ((uint32_t)d->late > SPK_LATE_ERROR) {
        return spki_conv_fail(conv, SPK_ERR_RANGE, "no way with late events has number %u",
                              (uint32_t)d->late);
    }
    if (!d->layers) {
        return spki_conv_fail(conv, SPK_ERR_NULL, "layers is NULL");
    }
    if (d->layer_count == 0 || d->layer_count > SPKI_CONV_LAYERS) {
        return spki_conv_fail(conv, SPK_ERR_RANGE, "%llu layers (1 to %u)",
                              (unsigned long long)d->layer_count, SPKI_CONV_LAYERS);
    }
    if (d->layers[d->layer_count - 1].kind == SPK_CONV_SUM_POOL) {
        return spki_conv_fail(conv, SPK_ERR_RANGE,
                              "layer %u: the last layer is a pool, which has no neurons",
                              (uint32_t)d->layer_count - 1);
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_conv_arrays(spk_conv *conv)
{
    conv->layers = (uint32_t)conv->desc.layer_count;
    conv->stage = (spki_conv_stage *)spki_alloc(&conv->mem, conv->layers, sizeof *conv->stage);
    conv->pool = (spki_conv_pool *)spki_alloc(&conv->mem, conv->layers, sizeof *conv->pool);
    conv->stage_of = (uint32_t *)spki_alloc(&conv->mem, conv->layers, sizeof *conv->stage_of);
    conv->shape_of =
        (spki_conv_shape *)spki_alloc(&conv->mem, conv->layers, sizeof *conv->shape_of);
    if (!conv->stage || !conv->pool || !conv->stage_of || !conv->shape_of) {
        return spki_conv_fail(conv, SPK_ERR_OUT_OF_MEMORY, "no memory for %u layers", conv->layers);
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_conv_add_pool(spk_conv *conv, uint32_t k, const spk_conv_layer *l,
                                      spki_conv_shape *shape)
{
    spki_conv_pool *p = &conv->pool[conv->pools];
    spki_conv_shape out = *shape;
    spk_result result;
    if (l->weights || l->weight_count || (l->channels && l->channels != shape->channels)) {
        return spki_conv_fail(
            conv, SPK_ERR_RANGE,
            "layer %u \"%.60s\": a pool has no weights and the %u channels it gets", k,
            spki_conv_layer_name(l), shape->channels);
    }
    result = spki_conv_check_window(conv, k, l, *shape, &out);
    p->kernel_x = l->kernel_x;
    p->kernel_y = l->kernel_y;
    p->stride_x = l->stride_x;
    p->stride_y = l->stride_y;
    p->padding_x = l->padding_x;
    p->padding_y = l->padding_y;
    p->out = *shape = out;
    conv->pools++;
    conv->stage_of[k] = UINT32_MAX;
    return result;
}

/* `before`: the shape ahead of the `pools` last pools. */
SPKI_FN spk_result spki_conv_add_stage(spk_conv *conv, uint32_t k, spk_conv_layer *l,
                                       spki_conv_shape before, uint32_t pools,
                                       spki_conv_shape *shape)
{
    spki_conv_stage *s = &conv->stage[conv->stages];
    spki_conv_shape out = *shape;
    double largest;
    spk_result result;
    if (l->kind == SPK_CONV_DENSE) {
        if (l->kernel_x || l->kernel_y || l->padding_x || l->padding_y) {
            return spki_conv_fail(conv, SPK_ERR_RANGE,
                                  "layer %u \"%.60s\": a dense layer has no kernel and no padding",
                                  k, spki_conv_layer_name(l));
        }
        l->kernel_x = l->stride_x = shape->width;
        l->kernel_y = l->stride_y = shape->height;
    }
    result = spki_conv_check_neurons(conv, k, l);
    if (result == SPK_OK) {
        result = spki_conv_check_window(conv, k, l, *shape, &out);
    }
    if (result == SPK_OK) {
        result = spki_conv_check_weights(conv, k, l, *shape, &largest);
    }
    if (result != SPK_OK) {
        return result;
    }
    out.channels = l->channels;
    s->layer = k;
    s->pool = conv->pool + conv->pools - pools;
    s->pools = pools;
    s->folded = pools && spki_conv_tiles(s->pool, pools);
    s->source = s->folded ? before : *shape;
    s->in = *shape;
    s->out = *shape = out;
    s->kernel_x = l->kernel_x;
    s->kernel_y = l->kernel_y;
    s->stride_x = l->stride_x;
    s->stride_y = l->stride_y;
    s->padding_x = l->padding_x;
    s->padding_y = l->padding_y;
    conv->stage_of[k] = conv->stages++;
    return spki_conv_build_stage(conv, s, l, largest);
}

SPKI_FN spk_result spki_conv_build(spk_conv *conv)
{
    spki_conv_shape shape, before;
    uint32_t pools = 0;
    const char *why;
    spk_result result = spki_conv_check_desc(conv);
    if (result == SPK_OK && (why = spki_arithmetic_check()) != NULL) {
        result = spki_conv_fail(conv, SPK_ERR_ARITHMETIC, "%s", why);
    }
    if (result == SPK_OK) {
        result = spki_isa_resolve(conv->desc.isa, &conv->isa, &why);
        if (result != SPK_OK) {
            (void)spki_conv_fail(conv, result, "instruction set \"%s\": %s",
                                 spk_isa_name(conv->isa), why);
        }
    }
    if (result == SPK_OK) {
        result = spki_conv_arrays(conv);
    }
    shape.width = conv->desc.width;
    shape.height = conv->desc.height;
    shape.channels = conv->desc.polarities;
    before = shape;
    for (uint32_t k = 0; k < conv->layers && result == SPK_OK; k++) {
        spk_conv_layer l = spki_conv_resolve(&conv->desc.layers[k]);
        if (l.kind == SPK_CONV_SUM_POOL) {
            result = spki_conv_add_pool(conv, k, &l, &shape);
            pools++;
        } else if (l.kind == SPK_CONV_2D || l.kind == SPK_CONV_DENSE) {
            result = spki_conv_add_stage(conv, k, &l, before, pools, &shape);
            before = shape;
            pools = 0;
        } else {
            result = spki_conv_fail(conv, SPK_ERR_RANGE, "layer %u: no kind has number %u", k,
                                    (uint32_t)l.kind);
        }
        conv->shape_of[k] = shape;
    }
    conv->desc.layers = NULL; /* the caller's; all is copied */
    return result;
}

SPKI_FN void spki_conv_zero(spk_conv *conv)
{
    for (uint32_t k = 0; k < conv->stages; k++) {
        spki_conv_stage *s = &conv->stage[k];
        const size_t sites = (size_t)s->pitch * s->rows, all = sites * s->lanes;
        memset(s->sums, 0, (size_t)s->ring * s->pitch * s->lanes * sizeof *s->sums);
        memset(s->v, 0, all * sizeof *s->v);
        memset(s->last, 0, sites * sizeof *s->last);
        memset(s->marks, 0, (size_t)s->ring * s->words * sizeof *s->marks);
        memset(s->active, 0, (size_t)s->in.height * s->active_words * sizeof *s->active);
        memset(s->total, 0, s->neurons * sizeof *s->total);
        if (k == 0) {
            memset(s->spill, 0, all * sizeof *s->spill);
            memset(s->spill_marks, 0, (size_t)s->rows * s->words * sizeof *s->spill_marks);
        }
        if (s->hold) {
            memset(s->hold, 0, all * sizeof *s->hold);
        }
        memset(s->counts, 0, s->count_elements * sizeof *s->counts);
        s->dirty_first = UINT32_MAX;
        s->dirty_end = 0;
        s->spilled = false;
        s->since_fold = 0;
        s->outside = s->others = s->inputs = s->spikes = s->sparse_steps = s->full_steps = 0;
        spk_digest_begin(&s->digest);
    }
    conv->has_origin = conv->desc.origin_given;
    conv->origin_us = conv->begin_us = conv->desc.origin_given ? conv->desc.origin_us : 0;
    conv->step = conv->fed = conv->late = 0;
}

SPKI_FN void spki_conv_free(spk_conv *conv)
{
    for (uint32_t k = 0; conv->stage && k < conv->stages; k++) {
        spki_free(&conv->mem, conv->stage[k].block, conv->stage[k].block_size, 1);
    }
    spki_free(&conv->mem, conv->stage, conv->layers, sizeof *conv->stage);
    spki_free(&conv->mem, conv->pool, conv->layers, sizeof *conv->pool);
    spki_free(&conv->mem, conv->stage_of, conv->layers, sizeof *conv->stage_of);
    spki_free(&conv->mem, conv->shape_of, conv->layers, sizeof *conv->shape_of);
    conv->stage = NULL;
    conv->pool = NULL;
    conv->stage_of = NULL;
    conv->shape_of = NULL;
    conv->stages = conv->layers = 0;
}

SPIKELIB_API spk_conv *spk_conv_create(const spk_conv_desc *desc)
{
    spk_conv_desc d;
    spki_mem mem;
    spk_conv *conv;
    spk_result result;
    memset(&d, 0, sizeof d);
    if (desc) {
        d = *desc;
    }
    result = spk_conv_desc_defaults(&d);
    spki_mem_init(&mem, result == SPK_OK ? &d.allocator : NULL,
                  result == SPK_OK ? d.memory_limit : 0);
    conv = (spk_conv *)spki_alloc(&mem, 1, sizeof *conv);
    if (!conv) {
        return NULL;
    }
    conv->mem = mem;
    conv->desc = d;
    if (!desc) {
        result = spki_conv_fail(conv, SPK_ERR_NULL,
                                "desc is NULL: width, height and layers have "
                                "no defaults");
    } else if (result != SPK_OK) {
        (void)spki_conv_fail(conv, result, "the descriptor holds garbage: start it with = {0}");
    } else {
        result = spki_conv_build(conv);
    }
    conv->status = result;
    if (result == SPK_OK) {
        spki_conv_zero(conv);
    } else {
        spki_conv_free(conv);
    }
    return conv;
}

SPIKELIB_API void spk_conv_destroy(spk_conv *conv)
{
    spki_mem mem;
    if (!conv) {
        return;
    }
    spki_conv_free(conv);
    mem = conv->mem;
    spki_free(&mem, conv, 1, sizeof *conv);
}

SPIKELIB_API spk_result spk_conv_status(const spk_conv *conv)
{
    return conv ? conv->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_conv_error(const spk_conv *conv)
{
    return conv ? conv->error : "conv is NULL";
}

SPIKELIB_API spk_result spk_conv_restart(spk_conv *conv)
{
    const spk_result result = spki_conv_ready(conv, "restart");
    if (result == SPK_OK) {
        spki_conv_zero(conv);
    }
    return result;
}

/* Events that were not late, of another kind or outside. */
SPKI_FN uint64_t spki_conv_acted(const spk_conv *conv)
{
    return conv->fed - conv->stage[0].outside - conv->stage[0].others;
}

SPIKELIB_API spk_result spk_conv_get_info(const spk_conv *conv, spk_conv_info *info)
{
    if (!conv || !info) {
        return SPK_ERR_NULL;
    }
    memset(info, 0, sizeof *info);
    info->steps = conv->step;
    info->late = conv->late;
    if (conv->status == SPK_OK) {
        info->outside = conv->stage[0].outside;
        info->events = spki_conv_acted(conv);
    }
    info->origin_us = conv->origin_us;
    info->layers = conv->layers;
    info->dt_us = conv->desc.dt_us;
    info->isa = conv->isa;
    info->bytes = conv->mem.now;
    return conv->status;
}

SPIKELIB_API spk_result spk_conv_get_layer(const spk_conv *conv, size_t layer,
                                           spk_conv_layer_info *info)
{
    if (!conv || !info) {
        return SPK_ERR_NULL;
    }
    memset(info, 0, sizeof *info);
    if (conv->status != SPK_OK) {
        return conv->status;
    }
    if (layer >= conv->layers) {
        return SPK_ERR_RANGE;
    }
    info->width = conv->shape_of[layer].width;
    info->height = conv->shape_of[layer].height;
    info->channels = conv->shape_of[layer].channels;
    if (conv->stage_of[layer] != UINT32_MAX) {
        const spki_conv_stage *s = &conv->stage[conv->stage_of[layer]];
        info->inputs = s == conv->stage ? spki_conv_acted(conv) : s->inputs;
        info->spikes = s->spikes;
        info->digest = spk_digest_value(&s->digest);
        info->sparse_steps = s->sparse_steps;
        info->full_steps = s->full_steps;
        info->quantum = s->exact_quantum;
    }
    return SPK_OK;
}

/* The stage of a layer whose neurons an array of `count` describes. */
SPKI_FN spk_result spki_conv_neurons_of(const spk_conv *conv, size_t layer, const void *array,
                                        size_t count, const spki_conv_stage **s)
{
    if (!conv || !array) {
        return SPK_ERR_NULL;
    }
    if (conv->status != SPK_OK) {
        return conv->status;
    }
    if (layer >= conv->layers || conv->stage_of[layer] == UINT32_MAX) {
        return SPK_ERR_RANGE;
    }
    *s = &conv->stage[conv->stage_of[layer]];
    return count == (*s)->neurons ? SPK_OK : SPK_ERR_RANGE;
}

SPIKELIB_API spk_result spk_conv_spike_counts(const spk_conv *conv, size_t layer, uint32_t *counts,
                                              size_t count)
{
    const spki_conv_stage *s;
    const spk_result result = spki_conv_neurons_of(conv, layer, counts, count, &s);
    if (result == SPK_OK) {
        memcpy(counts, s->total, count * sizeof *counts);
    }
    return result;
}

SPIKELIB_API spk_result spk_conv_potentials(const spk_conv *conv, size_t layer, float *potentials,
                                            size_t count)
{
    const spki_conv_stage *s;
    const spk_result result = spki_conv_neurons_of(conv, layer, potentials, count, &s);
    for (uint32_t y = 0; result == SPK_OK && y < s->out.height; y++) {
        for (uint32_t x = 0; x < s->out.width; x++) {
            const size_t site = (size_t)(y + s->top) * s->pitch + x + s->left;
            const float factor =
                conv->step ? spki_conv_decay(s, conv->step - 1 - s->last[site]) : 0.0f;
            for (uint32_t c = 0; c < s->out.channels; c++) {
                const float v = s->v[site * s->lanes + c] * factor;
                potentials[((size_t)c * s->out.height + y) * s->out.width + x] =
                    v < 1e-30f && v > -1e-30f ? 0.0f : v;
            }
        }
    }
    return result;
}

#endif
