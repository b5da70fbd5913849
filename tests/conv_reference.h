/* ---- >>conv-reference: convolutional spiking layers in the plainest way there is ---- */
#ifndef SPIKELIB_TESTS_CONV_REFERENCE_H
#define SPIKELIB_TESTS_CONV_REFERENCE_H

/* Written from the text of src/api/conv.h alone: whole images of counts, a loop for every index,
   every output of every step. Shares nothing with the implementation but the descriptor. */

#include "../spikelib.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REF_LAYERS 8

typedef struct ref_layer {
    spk_conv_layer d;
    int in_w, in_h, in_c, w, h, c;
    int kx, ky, sx, sy, px, py;
    long *weight; /* multiples of quantum, [c][in_c][ky][kx] */
    double quantum;
    float *v;
    long *last, *fired; /* steps; fired: -1 never */
    long refractory;
    long *out; /* counts of this step, [c][y][x] */
    unsigned long long spikes;
} ref_layer;

typedef struct ref_spike {
    unsigned layer, neuron;
    unsigned long long step;
} ref_spike;

typedef struct ref {
    int layers, w, h, c;
    long long dt, origin;
    ref_layer layer[REF_LAYERS];
    ref_spike *spike;
    size_t count, capacity;
} ref;

CHECK_FN int ref_or(unsigned x, int other)
{
    return x ? (int)x : other;
}

/* The smallest power of two of which the largest weight is at most 32,767. */
CHECK_FN double ref_quantum(const float *w, size_t n)
{
    double largest = 0.0, q = ldexp(1.0, -120);
    size_t i;
    for (i = 0; i < n; i++)
        if (fabs((double)w[i]) > largest) largest = fabs((double)w[i]);
    if (largest == 0.0) return 1.0;
    while (largest / q > 32767.0) q *= 2.0;
    return q;
}

CHECK_FN void ref_begin(ref *r, const spk_conv_desc *d)
{
    int k, w = (int)d->width, h = (int)d->height, c = (int)d->polarities;
    memset(r, 0, sizeof *r);
    r->layers = (int)d->layer_count;
    r->w = w;
    r->h = h;
    r->c = c;
    r->dt = (long long)d->dt_us;
    for (k = 0; k < r->layers; k++) {
        ref_layer *l = &r->layer[k];
        const spk_conv_layer *s = &d->layers[k];
        size_t i, n;
        l->d = *s;
        l->in_w = w;
        l->in_h = h;
        l->in_c = c;
        l->kx = s->kind == SPK_CONV_DENSE ? w : (int)s->kernel_x;
        l->ky = s->kind == SPK_CONV_DENSE ? h : ref_or(s->kernel_y, l->kx);
        l->sx = ref_or(s->stride_x, s->kind == SPK_CONV_SUM_POOL ? l->kx : 1);
        l->sy = ref_or(s->stride_y, s->stride_x ? l->sx : s->kind == SPK_CONV_SUM_POOL ? l->ky : 1);
        l->px = (int)s->padding_x;
        l->py = (int)s->padding_y;
        w = l->w = (l->in_w + 2 * l->px - l->kx) / l->sx + 1;
        h = l->h = (l->in_h + 2 * l->py - l->ky) / l->sy + 1;
        c = l->c = s->kind == SPK_CONV_SUM_POOL ? l->in_c : (int)s->channels;
        n = (size_t)w * (size_t)h * (size_t)c;
        l->out = (long *)calloc(n, sizeof *l->out);
        if (s->kind == SPK_CONV_SUM_POOL) continue;
        l->v = (float *)calloc(n, sizeof *l->v);
        l->last = (long *)calloc((size_t)w * (size_t)h, sizeof *l->last);
        l->fired = (long *)calloc(n, sizeof *l->fired);
        for (i = 0; i < n; i++) l->fired[i] = -1;
        l->refractory = (long)floor(s->refractory_us / (double)r->dt + 0.5);
        l->quantum = ref_quantum(s->weights, s->weight_count);
        l->weight = (long *)calloc(s->weight_count, sizeof *l->weight);
        for (i = 0; i < s->weight_count; i++)
            l->weight[i] = (long)floor((double)s->weights[i] / l->quantum + 0.5);
    }
}

CHECK_FN void ref_end(ref *r)
{
    int k;
    for (k = 0; k < r->layers; k++) {
        free(r->layer[k].weight);
        free(r->layer[k].v);
        free(r->layer[k].last);
        free(r->layer[k].fired);
        free(r->layer[k].out);
    }
    free(r->spike);
}

CHECK_FN void ref_note(ref *r, int layer, unsigned neuron, long step)
{
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 1024;
        r->spike = (ref_spike *)realloc(r->spike, r->capacity * sizeof *r->spike);
    }
    r->spike[r->count].layer = (unsigned)layer;
    r->spike[r->count].neuron = neuron;
    r->spike[r->count++].step = (unsigned long long)step + 1;
}

/* exp(-k dt / tau) as the product of two floats, 0 beyond 80 time constants. */
CHECK_FN float ref_decay(const ref_layer *l, long long dt, long k)
{
    const double tau = l->d.tau_us != 0.0 ? l->d.tau_us : 10000.0;
    const double rate = tau < 1e300 ? (double)dt / tau : 0.0;
    volatile float near_part, far_part, product;
    if (rate != 0.0 && k >= (long)(80.0 * tau / (double)dt) + 1) return 0.0f;
    near_part = (float)exp(-(double)(k % 1024) * rate);
    far_part = (float)exp(-(double)(k / 1024 * 1024) * rate);
    product = near_part * far_part;
    return product;
}

/* One neuron that had input. Volatile: every operation rounds once, whatever the compiler. */
CHECK_FN int ref_neuron(ref_layer *l, long long dt, size_t n, size_t site, long sum, long step)
{
    const float threshold = l->d.threshold != 0.0 ? (float)l->d.threshold : 1.0f;
    volatile float input = (float)sum, v = l->v[n];
    int resting = l->fired[n] >= 0 && step - l->fired[n] <= l->refractory;
    input = input * (float)l->quantum;
    v = v * ref_decay(l, dt, step - l->last[site]);
    if (v < 1e-30f && v > -1e-30f) v = 0.0f;
    if (!resting) v = v + input;
    if (l->d.v_min < 0.0 && v < (float)l->d.v_min) v = (float)l->d.v_min;
    if (v >= threshold && !resting) {
        l->v[n] = l->d.reset == SPK_CONV_RESET_SUBTRACT ? v - threshold : (float)l->d.v_reset;
        l->fired[n] = step;
        return 1;
    }
    l->v[n] = v;
    return 0;
}

CHECK_FN void ref_layer_step(ref *r, int k, const long *in, long step)
{
    ref_layer *l = &r->layer[k];
    int x, y, c, i, j, q;
    for (y = 0; y < l->h; y++)
        for (x = 0; x < l->w; x++) {
            const size_t site = (size_t)y * (size_t)l->w + (size_t)x;
            int active = 0;
            for (c = 0; c < l->c; c++) {
                const size_t n = (size_t)c * (size_t)(l->w * l->h) + site;
                long sum = 0;
                for (q = 0; q < l->in_c; q++)
                    for (j = 0; j < l->ky; j++)
                        for (i = 0; i < l->kx; i++) {
                            const int ix = x * l->sx - l->px + i, iy = y * l->sy - l->py + j;
                            long count;
                            if (ix < 0 || iy < 0 || ix >= l->in_w || iy >= l->in_h) continue;
                            count =
                                in[((size_t)q * (size_t)l->in_h + (size_t)iy) * (size_t)l->in_w +
                                   (size_t)ix];
                            active |= count != 0;
                            if (l->d.kind != SPK_CONV_SUM_POOL)
                                sum +=
                                    count * l->weight[(((size_t)c * (size_t)l->in_c + (size_t)q) *
                                                           (size_t)l->ky +
                                                       (size_t)j) *
                                                          (size_t)l->kx +
                                                      (size_t)i];
                            else if (q == c)
                                sum += count;
                        }
                if (l->d.kind == SPK_CONV_SUM_POOL)
                    l->out[n] = sum;
                else
                    l->out[n] = active ? ref_neuron(l, r->dt, n, site, sum, step) : 0;
            }
            if (active && l->v) l->last[site] = step;
        }
    if (!l->v) return;
    for (c = 0; c < l->c * l->w * l->h; c++)
        if (l->out[c]) {
            ref_note(r, k, (unsigned)c, step);
            l->spikes++;
        }
}

/* One step; `image` holds the counts of its events, [c][y][x]. */
CHECK_FN void ref_step(ref *r, const long *image, long step)
{
    int k;
    for (k = 0; k < r->layers; k++) {
        ref_layer_step(r, k, image, step);
        image = r->layer[k].out;
    }
}

/* All of a recording whose times never run back, from its first event's time (or the origin). */
CHECK_FN void ref_run(ref *r, const spk_event *e, size_t n, long long origin)
{
    const size_t pixels = (size_t)r->w * (size_t)r->h * (size_t)r->c;
    long *image = (long *)calloc(pixels, sizeof *image);
    long step = 0;
    size_t k;
    int any = 0;
    for (k = 0; k < n; k++) {
        const long at = (long)((e[k].t_us - origin) / r->dt);
        if (any && at != step) {
            ref_step(r, image, step);
            memset(image, 0, pixels * sizeof *image);
            any = 0;
        }
        step = at;
        if (e[k].kind != SPK_EVENT_CD || e[k].x >= r->w || e[k].y >= r->h) continue;
        any = 1;
        image[((size_t)(r->c > 1 && e[k].polarity) * (size_t)r->h + e[k].y) * (size_t)r->w +
              e[k].x]++;
    }
    if (any) ref_step(r, image, step);
    free(image);
}

#endif
