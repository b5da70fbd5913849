/* ---- >>simulator: a camera that needs no camera ---- */
#ifndef SPIKELIB_API_SIMULATOR_H
#define SPIKELIB_API_SIMULATOR_H

#include "base.h"
#include "event.h"

/* What the simulated camera looks at. */
typedef enum spk_scene {
    SPK_SCENE_BARS = 0,    /* bars that move across the picture */
    SPK_SCENE_DOT = 1,     /* a dot that circles around the middle */
    SPK_SCENE_TEXTURE = 2, /* a random texture that moves across the picture */
    SPK_SCENE_IMAGES = 3,  /* pictures from files: PGM (P2, P5) and PPM (P3, P6), 8 or 16 bits */
    SPK_SCENE_FRAMES = 4,  /* pictures from a function of yours */
    SPK_SCENE_FORCE_32_BIT = 0x7fffffff
} spk_scene;

/* Each pixel follows the logarithm of its intensity, which is dark + (bright - dark) * v for a
   picture of values v in 0 to 1, linearly from picture to picture, and sends an event each time
   that this has moved by a threshold from where it was at the event before. */
typedef struct spk_simulator_desc {
    uint32_t begin_sentinel; /* leave 0 */
    spk_scene scene;         /* default: SPK_SCENE_BARS */
    uint32_t width, height;  /* at most 8,192; default: 128 x 128, or the first image's size */
    double duration_s;       /* default: 1 s, or all images or frames */
    double frames_per_s;     /* pictures a second; default: 1,000, images and frames: 100. Nothing
                                should move by more than a pixel from one to the next */
    /* Scenes: */
    double speed_px_s;       /* bars, texture; default: 100 */
    double direction_deg;    /* where to; 0: right, 90: down; default: 0 */
    double period_px;        /* of the bars, 32; of the texture's grain, 8; at least 2 */
    double turns_hz;         /* of the dot, clockwise; default: 5 */
    double orbit_px;         /* of the dot; default: 0.3 of the shorter side */
    double radius_px;        /* of the dot; default: 0.06 of the shorter side */
    double dark, bright;     /* intensities, above 0; default: 0.1 and 1 */
    const char *const *images; /* paths; they stay the caller's and valid until the close */
    size_t image_count;
    /* Writes width * height values of picture `index`, row by row; false: there is no such one. */
    bool (*frame)(void *ctx, uint64_t index, float *values);
    void *frame_ctx;
    /* Pixels: */
    double threshold_on;     /* at least 0.01; default: 0.2 */
    double threshold_off;    /* at least 0.01; default: 0.2 */
    double threshold_sigma;  /* how far pixels differ (normal, as a part of it); default: 0 */
    int64_t refractory_us;   /* a pixel is deaf for so long after an event; default: 0 */
    /* Noise: */
    double leak_hz;          /* ON events of a pixel that sees nothing; default: 0 */
    double shot_hz;          /* random events of a pixel, half of them ON; default: 0 */
    double hot_fraction;     /* of the pixels are hot; default: 0 */
    double hot_hz;           /* what a hot pixel sends besides; default: 100 */
    uint64_t seed;           /* default: 0, a seed like any other */
    uint16_t source;         /* what every event carries; default: 0 */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_simulator_desc;

/* A reader like that of a file (spk_events_read and the rest), ordered by time, of the same events
   on every machine. NULL: all defaults. What is wrong is remembered: spk_events_status. The size of
   the sensor is known from the beginning on. Times begin with 0, that of the first picture.
   Cost: a picture is rendered and compared for each frame, some 10 to 20 ns a pixel.
   Source: Rebecq, Gehrig, Scaramuzza, "ESIM: an open event camera simulator", CoRL 2018 (crossings
   of the interpolated log intensity; an event in the refractory period is lost, its threshold
   passed); noise after Hu, Liu, Delbruck, "v2e: from video frames to realistic DVS events", CVPRW
   2021 (leak, shot noise, threshold mismatch, hot pixels). */
SPIKELIB_API spk_events *spk_events_simulate(const spk_simulator_desc *desc);

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
__attribute__((unused)) static
#endif
inline spk_events *spk_events_simulate(const spk_simulator_desc &desc)
{
    return spk_events_simulate(&desc);
}
#endif

#endif
