/* ---- >>simulator-scenes: what the simulated camera sees ---- */
#ifndef SPIKELIB_EVENT_SIMULATOR_SCENE_H
#define SPIKELIB_EVENT_SIMULATOR_SCENE_H

#include "../api/simulator.h"
#include "../core/philox.h"
#include "codec.h"
#include "file.h"
#include "rows.h"

/* Streams of random numbers: the second counter word. */
enum {
    SPKI_SIM_TEXTURE = 1,
    SPKI_SIM_THRESHOLD = 2,
    SPKI_SIM_START = 3,
    SPKI_SIM_HOT = 4,
    SPKI_SIM_SHOT_NOISE = 5,
    SPKI_SIM_HOT_NOISE = 6
};

SPKI_FN void spki_sim_draw(uint64_t seed, uint32_t stream, uint64_t index, uint32_t out[4])
{
    spki_philox((uint32_t)index, stream, (uint32_t)(index >> 32), 0, (uint32_t)seed,
                (uint32_t)(seed >> 32), out);
}

/* In (0, 1), never an end of it. */
SPKI_INLINE double spki_sim_unit(uint32_t word)
{
    return ((double)word + 0.5) / 4294967296.0;
}

SPKI_INLINE double spki_sim_floor(double x)
{
    const double whole = (double)(int64_t)x;
    return whole > x ? whole - 1.0 : whole;
}

SPKI_INLINE double spki_sim_clamp(double x)
{
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

#define SPKI_SIM_LATTICE 256 /* side of the texture's grid of random values; it repeats */
#define SPKI_PI 3.14159265358979323846

typedef struct spki_scene {
    const spk_simulator_desc *d;
    uint32_t width, height;
    double vx, vy;   /* pixels a second */
    float *lattice;  /* texture */
    uint64_t pictures; /* there are so many; UINT64_MAX: nobody knows */
} spki_scene;

/* A wave of `period` along the direction, bright in its first half, seen through square pixels: the
   edges are ramps of one pixel. */
SPKI_FN void spki_scene_bars(const spki_scene *s, double t, float *out)
{
    const double angle = s->d->direction_deg * (SPKI_PI / 180.0), period = s->d->period_px;
    const double c = spki_cos_d1(angle), n = spki_sin_d1(angle);
    const double shift = s->d->speed_px_s * t;
    uint32_t x, y;
    for (y = 0; y < s->height; y++)
        for (x = 0; x < s->width; x++) {
            const double along = (double)x * c + (double)y * n - shift;
            const double u = along - period * spki_sim_floor(along / period);
            *out++ = (float)(spki_sim_clamp(u + 0.5) - spki_sim_clamp(u - 0.5 * period + 0.5) +
                             spki_sim_clamp(u - period + 0.5));
        }
}

SPKI_FN void spki_scene_dot(const spki_scene *s, double t, float *out)
{
    const double turns = s->d->turns_hz * t;
    const double angle = 2.0 * SPKI_PI * (turns - spki_sim_floor(turns));
    const double cx = 0.5 * ((double)s->width - 1.0) + s->d->orbit_px * spki_cos_d1(angle);
    const double cy = 0.5 * ((double)s->height - 1.0) + s->d->orbit_px * spki_sin_d1(angle);
    uint32_t x, y;
    for (y = 0; y < s->height; y++)
        for (x = 0; x < s->width; x++) {
            const double dx = (double)x - cx, dy = (double)y - cy;
            const double distance = spki_sqrt_d1(dx * dx + dy * dy);
            *out++ = (float)spki_sim_clamp(s->d->radius_px + 0.5 - distance);
        }
}

/* Random values on a grid, a smooth step between neighbours. */
SPKI_FN void spki_scene_texture(const spki_scene *s, double t, float *out)
{
    const double cell = 1.0 / s->d->period_px;
    const uint32_t mask = SPKI_SIM_LATTICE - 1;
    uint32_t x, y;
    for (y = 0; y < s->height; y++) {
        const double v = ((double)y - s->vy * t) * cell, v0 = spki_sim_floor(v);
        const double fv = v - v0, wv = fv * fv * (3.0 - 2.0 * fv);
        const uint32_t j = (uint32_t)(int64_t)v0;
        const float *above = s->lattice + (j & mask) * SPKI_SIM_LATTICE;
        const float *below = s->lattice + ((j + 1) & mask) * SPKI_SIM_LATTICE;
        for (x = 0; x < s->width; x++) {
            const double u = ((double)x - s->vx * t) * cell, u0 = spki_sim_floor(u);
            const double fu = u - u0, wu = fu * fu * (3.0 - 2.0 * fu);
            const uint32_t i = (uint32_t)(int64_t)u0 & mask, k = (i + 1) & mask;
            const double a = above[i] + wu * ((double)above[k] - above[i]);
            const double b = below[i] + wu * ((double)below[k] - below[i]);
            *out++ = (float)(a + wv * (b - a));
        }
    }
}

/* -- pictures from files: the Netpbm formats P2, P3 (text), P5, P6 -- */

typedef struct spki_pnm {
    FILE *file;
    char kind; /* '2', '3', '5', '6'; 0: could not be opened */
    uint32_t width, height, most;
} spki_pnm;

/* The next number; blanks and comments before it are skipped. Most that is asked for is 65,535. */
SPKI_FN bool spki_pnm_number(FILE *f, uint32_t *out)
{
    int c = getc(f);
    uint32_t value = 0, digits = 0;
    for (;;) {
        if (c == '#')
            while (c != '\n' && c != EOF) c = getc(f);
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r') break;
        else c = getc(f);
    }
    for (; c >= '0' && c <= '9' && digits < 9; digits++) {
        value = 10 * value + (uint32_t)(c - '0');
        c = getc(f);
    }
    *out = value;
    return digits > 0 && digits < 9; /* the one blank after a header's last number is now gone */
}

/* NULL, or what is wrong. */
SPKI_FN const char *spki_pnm_open(spki_pnm *p, const char *path)
{
    int magic, kind;
    memset(p, 0, sizeof *p);
    if (!path) return "the path is NULL";
    p->file = spki_file_open(path, "rb");
    if (!p->file) return spki_file_why();
    p->kind = '?';
    magic = getc(p->file);
    kind = getc(p->file);
    if (magic != 'P' || (kind != '2' && kind != '3' && kind != '5' && kind != '6'))
        return "no PGM or PPM (it does not begin with P2, P3, P5 or P6)";
    p->kind = (char)kind;
    if (!spki_pnm_number(p->file, &p->width) || !spki_pnm_number(p->file, &p->height) ||
        !spki_pnm_number(p->file, &p->most))
        return "its header is damaged";
    if (p->width == 0 || p->height == 0 || p->width > 8192 || p->height > 8192)
        return "its size is not in 1 x 1 to 8,192 x 8,192";
    if (p->most == 0 || p->most > 65535) return "its largest value is not in 1 to 65,535";
    return NULL;
}

SPKI_FN bool spki_pnm_sample(spki_pnm *p, uint32_t *out)
{
    int a, b = 0;
    if (p->kind == '2' || p->kind == '3') return spki_pnm_number(p->file, out);
    a = getc(p->file);
    if (p->most > 255) b = getc(p->file); /* the upper byte comes first */
    *out = p->most > 255 ? (uint32_t)a << 8 | (uint32_t)b : (uint32_t)a;
    return a != EOF && b != EOF;
}

/* Values in 0 to 1; colours by their luma. Source: ITU-R BT.601. */
SPKI_FN const char *spki_pnm_read(spki_pnm *p, float *out)
{
    const bool colour = p->kind == '3' || p->kind == '6';
    const size_t count = (size_t)p->width * p->height;
    size_t k;
    for (k = 0; k < count; k++) {
        uint32_t r = 0, g = 0, b = 0;
        double grey;
        if (!spki_pnm_sample(p, &r)) return "it ends early";
        if (colour && (!spki_pnm_sample(p, &g) || !spki_pnm_sample(p, &b))) return "it ends early";
        grey = colour ? 0.299 * r + 0.587 * g + 0.114 * b : (double)r;
        out[k] = (float)spki_sim_clamp(grey / (double)p->most);
    }
    return NULL;
}

SPKI_FN void spki_pnm_close(spki_pnm *p)
{
    if (p->file) fclose(p->file);
    p->file = NULL;
}

SPKI_FN bool spki_scene_image(const spki_scene *s, spk_decoder *decoder, uint64_t index, float *out)
{
    const char *path = s->d->images[index], *why;
    spki_pnm p;
    why = spki_pnm_open(&p, path);
    if (!why && (p.width != s->width || p.height != s->height)) why = "its size is another";
    if (!why) why = spki_pnm_read(&p, out);
    spki_pnm_close(&p);
    if (why)
        spki_decoder_fail(decoder, p.kind ? SPK_ERR_FORMAT : SPK_ERR_IO, NULL,
                          "image %llu, %.120s: %s", (unsigned long long)index,
                          path ? path : "(NULL)", why);
    return !why;
}

/* Picture `index`, at time t; false: there is none, or the decoder has an error. */
SPKI_FN bool spki_scene_render(const spki_scene *s, spk_decoder *decoder, uint64_t index, double t,
                               float *out)
{
    size_t k, count = (size_t)s->width * s->height;
    if (index >= s->pictures) return false;
    switch (s->d->scene) {
    case SPK_SCENE_BARS: spki_scene_bars(s, t, out); return true;
    case SPK_SCENE_DOT: spki_scene_dot(s, t, out); return true;
    case SPK_SCENE_TEXTURE: spki_scene_texture(s, t, out); return true;
    case SPK_SCENE_IMAGES: return spki_scene_image(s, decoder, index, out);
    default: break;
    }
    if (!s->d->frame(s->d->frame_ctx, index, out)) return false;
    for (k = 0; k < count; k++) {
        if (out[k] >= 0.0f && out[k] <= 1.0f) continue;
        spki_decoder_fail(decoder, SPK_ERR_RANGE, NULL, "frame %llu: value %llu is not in 0 to 1",
                          (unsigned long long)index, (unsigned long long)k);
        return false;
    }
    return true;
}

#endif
