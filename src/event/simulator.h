/* ---- >>simulator-run: pictures become events ---- */
#ifndef SPIKELIB_EVENT_SIMULATOR_H
#define SPIKELIB_EVENT_SIMULATOR_H

#include "reader.h"
#include "simulator_scene.h"

/* A random process over the whole sensor: the next of its events. */
typedef struct spki_sim_noise {
    double per_us, next_us; /* 0: none */
    uint64_t drawn;
    uint32_t stream;
} spki_sim_noise;

typedef struct spki_sim {
    spk_simulator_desc d;
    spki_scene scene;
    spki_sim_pixels p;
    size_t pixels;
    uint64_t picture; /* the last one rendered */
    double t_us;      /* its time */
    double drift;     /* of the log intensity, a second: the leak */
    spki_sim_noise shot, hot;
    uint32_t *hot_pixels;
    uint32_t hot_count;
    int64_t *last; /* of each pixel, for the refractory period */
    /* Events between two pictures, in order; and room to sort them. */
    spk_event *events, *sorted;
    size_t count, next, room;
} spki_sim;

/* -- events between two pictures -- */

SPKI_FN bool spki_sim_make_room(spk_decoder *decoder, spki_sim *s)
{
    size_t room = s->room ? 2 * s->room : 4096;
    spk_event *events = (spk_event *)spki_alloc_raw(&decoder->mem, room, sizeof *events);
    spk_event *sorted = (spk_event *)spki_alloc_raw(&decoder->mem, room, sizeof *sorted);
    if (!events || !sorted) {
        spki_free(&decoder->mem, events, room, sizeof *events);
        spki_free(&decoder->mem, sorted, room, sizeof *sorted);
        spki_decoder_fail(decoder, SPK_ERR_OUT_OF_MEMORY, NULL,
                          "no memory for more than %llu events between two pictures",
                          (unsigned long long)s->room);
        return false;
    }
    if (s->count) memcpy(events, s->events, s->count * sizeof *events);
    spki_free(&decoder->mem, s->events, s->room, sizeof *events);
    spki_free(&decoder->mem, s->sorted, s->room, sizeof *sorted);
    s->events = events;
    s->sorted = sorted;
    s->room = room;
    return true;
}

SPKI_FN bool spki_sim_emit(spk_decoder *decoder, spki_sim *s, size_t pixel, double t, bool on)
{
    spk_event *e;
    if (s->count == s->room && !spki_sim_make_room(decoder, s)) return false;
    e = &s->events[s->count++];
    memset(e, 0, sizeof *e);
    e->t_us = (int64_t)t;
    e->x = (uint16_t)(pixel % s->scene.width);
    e->y = (uint16_t)(pixel / s->scene.width);
    e->polarity = on;
    e->source = s->d.source;
    return true;
}

/* All thresholds that one pixel has crossed since the picture before, in their order. */
SPKI_FN bool spki_sim_cross(spk_decoder *decoder, spki_sim *s, size_t k, double from_us,
                            double step_us)
{
    const float before = s->p.before[k], level = s->p.level[k], on = s->p.on[k], off = s->p.off[k];
    const double rise = (double)level - before;
    float ref = s->p.ref[k];
    for (;;) {
        const bool up = level >= ref + on, down = level <= ref - off;
        double part;
        if (!up && !down) break;
        ref = up ? ref + on : ref - off;
        part = rise == 0.0 ? 0.0 : spki_sim_clamp(((double)ref - before) / rise);
        if (!spki_sim_emit(decoder, s, k, from_us + part * step_us, up)) return false;
    }
    s->p.ref[k] = ref;
    return true;
}

/* Sorted by time; events of one time stay in the order of their pixels. Least significant byte
   first, as many bytes as the times between two pictures differ in. */
SPKI_FN void spki_sim_sort(spki_sim *s, int64_t from)
{
    uint64_t most = 0;
    uint32_t shift;
    size_t k;
    for (k = 0; k < s->count; k++) {
        const uint64_t d = (uint64_t)(s->events[k].t_us - from);
        most = SPKI_MAX(most, d);
    }
    for (shift = 0; shift < 64 && most >> shift != 0; shift += 8) {
        size_t start[257];
        spk_event *swap = s->events;
        memset(start, 0, sizeof start);
        for (k = 0; k < s->count; k++)
            start[((uint64_t)(s->events[k].t_us - from) >> shift & 255) + 1]++;
        for (k = 0; k < 256; k++) start[k + 1] += start[k];
        for (k = 0; k < s->count; k++)
            s->sorted[start[(uint64_t)(s->events[k].t_us - from) >> shift & 255]++] = s->events[k];
        s->events = s->sorted;
        s->sorted = swap;
    }
}

SPKI_FN void spki_sim_refractory(spki_sim *s)
{
    size_t k, out = 0;
    for (k = 0; k < s->count; k++) {
        const spk_event e = s->events[k];
        int64_t *last = &s->last[(size_t)e.y * s->scene.width + e.x];
        if (e.t_us - *last < s->d.refractory_us) continue;
        *last = e.t_us;
        s->events[out++] = e;
    }
    s->count = out;
}

/* -- noise -- */

/* The time of the next event: gaps of a Poisson process are exponential. */
SPKI_FN void spki_sim_noise_next(const spki_sim *s, spki_sim_noise *n)
{
    uint32_t w[4];
    spki_sim_draw(s->d.seed, n->stream, n->drawn, w);
    n->next_us -= spki_log_d1(spki_sim_unit(w[0])) / n->per_us;
}

SPKI_FN bool spki_sim_add_noise(spk_decoder *decoder, spki_sim *s, spki_sim_noise *n,
                                const uint32_t *pixels, uint32_t count, double until_us)
{
    while (n->per_us > 0.0 && n->next_us < until_us) {
        uint32_t w[4], k;
        spki_sim_draw(s->d.seed, n->stream, n->drawn, w);
        k = (uint32_t)((uint64_t)w[1] * count >> 32);
        if (!spki_sim_emit(decoder, s, pixels ? pixels[k] : k, n->next_us, w[2] & 1)) return false;
        n->drawn++;
        spki_sim_noise_next(s, n);
    }
    return true;
}

SPKI_FN void spki_sim_noise_begin(spki_sim *s, spki_sim_noise *n, uint32_t stream, double hz,
                                  double pixels)
{
    n->stream = stream;
    n->per_us = hz * pixels / 1e6;
    if (n->per_us > 0.0) spki_sim_noise_next(s, n);
}

/* -- one picture more -- */

SPKI_FN double spki_sim_time(const spki_sim *s, uint64_t picture)
{
    return (double)picture * 1e6 / s->d.frames_per_s;
}

SPKI_FN bool spki_sim_picture(spk_decoder *decoder, spki_sim *s, uint64_t index)
{
    const double t = spki_sim_time(s, index) / 1e6;
    float *swap = s->p.before;
    if (!spki_scene_render(&s->scene, decoder, index, t, s->p.value)) return false;
    s->p.before = s->p.level;
    s->p.level = swap;
    spki_sim_rows(decoder->isa, &s->p, (float)s->d.dark, (float)(s->d.bright - s->d.dark),
                  (float)(s->drift * t));
    return true;
}

SPKI_FN bool spki_sim_step(spk_decoder *decoder, spki_sim *s)
{
    const double from = s->t_us, to = spki_sim_time(s, s->picture + 1);
    size_t k;
    s->count = s->next = 0;
    if (!spki_sim_picture(decoder, s, s->picture + 1)) return false;
    s->picture++;
    s->t_us = to;
    for (k = 0; k < s->p.count / 64; k++) {
        uint64_t bits = s->p.fires[k];
        for (; bits; bits &= bits - 1)
            if (!spki_sim_cross(decoder, s, 64 * k + (size_t)__builtin_ctzll(bits), from,
                                to - from))
                return false;
    }
    if (!spki_sim_add_noise(decoder, s, &s->shot, NULL, (uint32_t)s->pixels, to) ||
        !spki_sim_add_noise(decoder, s, &s->hot, s->hot_pixels, s->hot_count, to))
        return false;
    spki_sim_sort(s, (int64_t)from);
    if (s->last) spki_sim_refractory(s);
    return true;
}

/* -- as a reader of events -- */

SPKI_FN void spki_sim_decode(spk_decoder *decoder, spki_io *io)
{
    spki_sim *s = (spki_sim *)decoder->state;
    while (io->out < io->out_end) {
        const size_t n = SPKI_MIN((size_t)(io->out_end - io->out), s->count - s->next);
        if (n > 0) {
            memcpy(io->out, s->events + s->next, n * sizeof *io->out);
            io->out += n;
            s->next += n;
        } else if (!spki_sim_step(decoder, s)) {
            s->scene.pictures = 0; /* that was the last */
            break;
        }
    }
}

SPKI_FN void spki_sim_end(spk_decoder *decoder)
{
    spki_sim *s = (spki_sim *)decoder->state;
    spki_mem *mem = &decoder->mem;
    const size_t n = s->p.count;
    spki_free(mem, s->p.value, n, sizeof(float));
    spki_free(mem, s->p.level, n, sizeof(float));
    spki_free(mem, s->p.before, n, sizeof(float));
    spki_free(mem, s->p.ref, n, sizeof(float));
    spki_free(mem, s->p.on, n, sizeof(float));
    spki_free(mem, s->p.off, n, sizeof(float));
    spki_free(mem, s->p.fires, n / 64, sizeof(uint64_t));
    spki_free(mem, s->scene.lattice, SPKI_SIM_LATTICE * SPKI_SIM_LATTICE, sizeof(float));
    spki_free(mem, s->hot_pixels, s->hot_count, sizeof(uint32_t));
    spki_free(mem, s->last, s->pixels, sizeof(int64_t));
    spki_free(mem, s->events, s->room, sizeof(spk_event));
    spki_free(mem, s->sorted, s->room, sizeof(spk_event));
}

/* -- setting up -- */

SPKI_FN void spki_sim_default(double *field, double value)
{
    if (*field == 0.0) *field = value;
}

SPKI_FN void spki_sim_defaults(spk_simulator_desc *d, uint32_t width, uint32_t height)
{
    const bool pictures = d->scene == SPK_SCENE_IMAGES || d->scene == SPK_SCENE_FRAMES;
    double side;
    d->width = d->width ? d->width : width;
    d->height = d->height ? d->height : height;
    side = (double)SPKI_MIN(d->width, d->height);
    if (!pictures) spki_sim_default(&d->duration_s, 1.0);
    spki_sim_default(&d->frames_per_s, pictures ? 100.0 : 1000.0);
    spki_sim_default(&d->speed_px_s, 100.0);
    spki_sim_default(&d->period_px, d->scene == SPK_SCENE_TEXTURE ? 8.0 : 32.0);
    spki_sim_default(&d->turns_hz, 5.0);
    spki_sim_default(&d->orbit_px, 0.3 * side);
    spki_sim_default(&d->radius_px, 0.06 * side);
    spki_sim_default(&d->dark, 0.1);
    spki_sim_default(&d->bright, 1.0);
    spki_sim_default(&d->threshold_on, 0.2);
    spki_sim_default(&d->threshold_off, 0.2);
    spki_sim_default(&d->hot_hz, 100.0);
}

/* The first field that is out of its range, or NaN; NULL: none. */
SPKI_FN const char *spki_sim_fault(const spk_simulator_desc *d, double *value)
{
    const struct {
        const char *name;
        double value, low, high;
    } fields[] = {{"scene", (double)d->scene, 0, SPK_SCENE_FRAMES},
                  {"width", (double)d->width, 1, 8192},
                  {"height", (double)d->height, 1, 8192},
                  {"duration_s", d->duration_s, 0, 1e9},
                  {"frames_per_s", d->frames_per_s, 1e-3, 1e6},
                  {"speed_px_s", d->speed_px_s, -1e6, 1e6},
                  {"direction_deg", d->direction_deg, -3600, 3600},
                  {"period_px", d->period_px, 2, 1e6},
                  {"turns_hz", d->turns_hz, -1e5, 1e5},
                  {"orbit_px", d->orbit_px, 0, 1e6},
                  {"radius_px", d->radius_px, 0, 1e6},
                  {"dark", d->dark, 1e-9, 1e9},
                  {"bright", d->bright, 1e-9, 1e9},
                  {"threshold_on", d->threshold_on, 0.01, 100},
                  {"threshold_off", d->threshold_off, 0.01, 100},
                  {"threshold_sigma", d->threshold_sigma, 0, 1},
                  {"refractory_us", (double)d->refractory_us, 0, 1e12},
                  {"leak_hz", d->leak_hz, 0, 1e5},
                  {"shot_hz", d->shot_hz, 0, 1e5},
                  {"hot_fraction", d->hot_fraction, 0, 1},
                  {"hot_hz", d->hot_hz, 0, 1e5}};
    size_t k;
    for (k = 0; k < sizeof fields / sizeof fields[0]; k++) {
        *value = fields[k].value;
        if (!(*value >= fields[k].low && *value <= fields[k].high)) return fields[k].name;
    }
    return NULL;
}

SPKI_FN float *spki_sim_floats(spk_decoder *decoder, size_t count)
{
    return (float *)spki_alloc(&decoder->mem, count, sizeof(float));
}

/* Thresholds of each pixel: normal around those described, both by one draw. Source: Box and
   Muller, Annals of Mathematical Statistics 29 (1958). */
SPKI_FN void spki_sim_thresholds(spki_sim *s)
{
    size_t k;
    for (k = 0; k < s->p.count; k++) {
        double normal[2] = {0.0, 0.0};
        uint32_t w[4];
        if (s->d.threshold_sigma > 0.0) {
            spki_sim_draw(s->d.seed, SPKI_SIM_THRESHOLD, k, w);
            const double r = spki_sqrt_d1(-2.0 * spki_log_d1(spki_sim_unit(w[0])));
            const double a = 2.0 * SPKI_PI * spki_sim_unit(w[1]);
            normal[0] = r * spki_cos_d1(a) * s->d.threshold_sigma;
            normal[1] = r * spki_sin_d1(a) * s->d.threshold_sigma;
        }
        s->p.on[k] = (float)SPKI_MAX(s->d.threshold_on * (1.0 + normal[0]), 0.01);
        s->p.off[k] = (float)SPKI_MAX(s->d.threshold_off * (1.0 + normal[1]), 0.01);
        if (k >= s->pixels) s->p.on[k] = s->p.off[k] = 1e30f;
    }
}

/* The first picture is what each pixel starts from; with a leak each begins somewhere on its way to
   the first event, or all would leak at the same time. */
SPKI_FN void spki_sim_start(spki_sim *s)
{
    size_t k;
    memcpy(s->p.ref, s->p.level, s->p.count * sizeof(float));
    for (k = 0; k < s->pixels && s->drift > 0.0; k++) {
        uint32_t w[4];
        spki_sim_draw(s->d.seed, SPKI_SIM_START, k, w);
        s->p.ref[k] -= s->p.on[k] * (float)spki_sim_unit(w[0]);
    }
    for (k = 0; k < s->pixels && s->last; k++) s->last[k] = INT64_MIN / 2;
}

/* Hot pixels are drawn one by one; one that is drawn twice is twice as hot. */
SPKI_FN void spki_sim_heat(spki_sim *s)
{
    uint32_t k;
    for (k = 0; k < s->hot_count; k++) {
        uint32_t w[4];
        spki_sim_draw(s->d.seed, SPKI_SIM_HOT, k, w);
        s->hot_pixels[k] = (uint32_t)((uint64_t)w[0] * s->pixels >> 32);
    }
}

SPKI_FN bool spki_sim_allocate(spk_decoder *decoder, spki_sim *s)
{
    size_t k;
    s->pixels = (size_t)s->d.width * s->d.height;
    s->p.count = (s->pixels + 63) & ~(size_t)63;
    s->p.value = spki_sim_floats(decoder, s->p.count);
    s->p.level = spki_sim_floats(decoder, s->p.count);
    s->p.before = spki_sim_floats(decoder, s->p.count);
    s->p.ref = spki_sim_floats(decoder, s->p.count);
    s->p.on = spki_sim_floats(decoder, s->p.count);
    s->p.off = spki_sim_floats(decoder, s->p.count);
    s->p.fires = (uint64_t *)spki_alloc(&decoder->mem, s->p.count / 64, sizeof(uint64_t));
    if (!s->p.value || !s->p.level || !s->p.before || !s->p.ref || !s->p.on || !s->p.off ||
        !s->p.fires)
        return false;
    if (s->d.refractory_us > 0) {
        s->last = (int64_t *)spki_alloc(&decoder->mem, s->pixels, sizeof(int64_t));
        if (!s->last) return false;
    }
    if (s->d.hot_fraction > 0.0) {
        s->hot_count = (uint32_t)(s->d.hot_fraction * (double)s->pixels + 0.5);
        s->hot_pixels = (uint32_t *)spki_alloc(&decoder->mem, s->hot_count, sizeof(uint32_t));
        if (!s->hot_pixels) return false;
    }
    if (s->d.scene != SPK_SCENE_TEXTURE) return true;
    s->scene.lattice = spki_sim_floats(decoder, SPKI_SIM_LATTICE * SPKI_SIM_LATTICE);
    for (k = 0; s->scene.lattice && k < SPKI_SIM_LATTICE * SPKI_SIM_LATTICE; k++) {
        uint32_t w[4];
        spki_sim_draw(s->d.seed, SPKI_SIM_TEXTURE, k, w);
        s->scene.lattice[k] = (float)spki_sim_unit(w[0]);
    }
    return s->scene.lattice != NULL;
}

SPKI_FN void spki_sim_aim(spki_sim *s)
{
    const double angle = s->d.direction_deg * (SPKI_PI / 180.0);
    spki_scene *c = &s->scene;
    c->d = &s->d;
    c->width = s->d.width;
    c->height = s->d.height;
    c->vx = s->d.speed_px_s * spki_cos_d1(angle);
    c->vy = s->d.speed_px_s * spki_sin_d1(angle);
    c->pictures = UINT64_MAX;
    if (s->d.duration_s > 0.0)
        c->pictures = (uint64_t)(s->d.duration_s * s->d.frames_per_s + 0.5) + 1;
    if (s->d.scene == SPK_SCENE_IMAGES) c->pictures = SPKI_MIN(c->pictures, s->d.image_count);
}

SPKI_FN void spki_sim_set_up(spk_decoder *decoder, spki_sim *s)
{
    uint32_t width = 128, height = 128;
    const char *fault;
    double value;
    if (s->d.scene == SPK_SCENE_IMAGES) {
        spki_pnm p;
        const char *path, *why;
        if (!s->d.images || s->d.image_count == 0) {
            spki_decoder_fail(decoder, SPK_ERR_NULL, NULL, "images is NULL, or image_count is 0");
            return;
        }
        path = s->d.images[0];
        why = spki_pnm_open(&p, path);
        spki_pnm_close(&p);
        if (why)
            spki_decoder_fail(decoder, p.kind ? SPK_ERR_FORMAT : SPK_ERR_IO, NULL,
                              "image 0, %.120s: %s", path ? path : "(NULL)", why);
        width = p.width;
        height = p.height;
    }
    if (s->d.scene == SPK_SCENE_FRAMES && !s->d.frame)
        spki_decoder_fail(decoder, SPK_ERR_NULL, NULL, "frame is NULL");
    spki_sim_defaults(&s->d, width, height);
    fault = spki_sim_fault(&s->d, &value);
    if (fault)
        spki_decoder_fail(decoder, SPK_ERR_RANGE, NULL, "%s = %g is out of range", fault, value);
    if (decoder->result != SPK_OK) return;
    spki_decoder_size(decoder, s->d.width, s->d.height);
    spki_sim_aim(s);
    if (!spki_sim_allocate(decoder, s)) {
        spki_decoder_fail(decoder, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for %u x %u pixels",
                          (unsigned)s->d.width, (unsigned)s->d.height);
        return;
    }
    spki_sim_thresholds(s);
    spki_sim_heat(s);
    s->drift = s->d.leak_hz * s->d.threshold_on;
    spki_sim_noise_begin(s, &s->shot, SPKI_SIM_SHOT_NOISE, s->d.shot_hz, (double)s->pixels);
    spki_sim_noise_begin(s, &s->hot, SPKI_SIM_HOT_NOISE, s->d.hot_hz, (double)s->hot_count);
    if (spki_sim_picture(decoder, s, 0)) spki_sim_start(s);
    else s->scene.pictures = 0;
}

SPIKELIB_API spk_events *spk_events_simulate(const spk_simulator_desc *desc)
{
    static const spki_codec codec = {SPK_FORMAT_AUTO, "", sizeof(spki_sim), NULL, NULL, NULL, NULL,
                                     spki_sim_decode, NULL, spki_sim_end};
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    spk_events_desc d;
    spk_events *in;
    memset(&d, 0, sizeof d);
    if (desc && !garbage) {
        d.isa = desc->isa;
        d.allocator = desc->allocator;
        d.memory_limit = desc->memory_limit;
    }
    in = spki_events_create("simulator", &d);
    if (!in) return NULL;
    if (garbage)
        spki_decoder_fail(in->decoder, SPK_ERR_UNINITIALISED, NULL,
                          "the descriptor's sentinels are not 0: start it with = {0}");
    if (in->decoder->result == SPK_OK && spki_decoder_begin(in->decoder, &codec)) {
        spki_sim *s = (spki_sim *)in->decoder->state;
        if (desc) s->d = *desc;
        spki_sim_set_up(in->decoder, s);
        spk_decoder_finish(in->decoder);
    }
    return in;
}

#endif
