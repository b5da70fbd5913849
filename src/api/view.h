/* ---- >>view: pictures of event streams, and optical flow ---- */
#ifndef SPIKELIB_API_VIEW_H
#define SPIKELIB_API_VIEW_H

#include "base.h"
#include "event.h"

/* A view gathers events as they come and renders what it holds whenever it is asked. */
typedef enum spk_view_kind {
    SPK_VIEW_COUNT = 0,        /* events of each pixel */
    SPK_VIEW_TIME_SURFACE = 1, /* 1 at a pixel's newest event, down to 0 in tau_us, linearly */
    SPK_VIEW_EXP_SURFACE = 2,  /* exp(-age / tau_us) of a pixel's newest event; 0: there was none */
    SPK_VIEW_VOXEL_GRID = 3,   /* a window of time in `bins`; each event adds to the two around it,
                                  more to the nearer one */
    SPK_VIEW_KIND_FORCE_32_BIT = 0x7fffffff
} spk_view_kind;

/* What becomes of polarities, and how many planes (voxel grid: groups of planes) there are. */
typedef enum spk_view_polarity {
    SPK_VIEW_SIGNED = 0, /* one: ON counts as 1, OFF as -1; a surface has the newer one's sign */
    SPK_VIEW_SPLIT = 1,  /* two: OFF, then ON */
    SPK_VIEW_MERGED = 2, /* one: both count as 1 */
    SPK_VIEW_POLARITY_FORCE_32_BIT = 0x7fffffff
} spk_view_polarity;

typedef struct spk_view_desc {
    uint32_t begin_sentinel;    /* leave 0 */
    spk_view_kind kind;         /* default: SPK_VIEW_COUNT */
    spk_view_polarity polarity; /* default: SPK_VIEW_SIGNED */
    uint32_t width, height;     /* of the sensor, at most 65,536; needed */
    int64_t tau_us;             /* of surfaces, 1 to 2^26; default: 30,000 us */
    uint32_t bins;              /* of a voxel grid, 1 to 4,096; default: 5 */
    int64_t begin_us;           /* of its window; default: 0, the first event */
    int64_t window_us;          /* at least 1; default: 50,000 us */
    spk_isa isa;                /* default: SPK_ISA_AUTO */
    spk_allocator allocator;    /* default: malloc and free */
    size_t memory_limit;        /* bytes in all; default: no limit */
    uint32_t end_sentinel;      /* leave 0 */
} spk_view_desc;

typedef struct spk_view spk_view;

typedef struct spk_view_stats {
    uint64_t events;  /* of kind CD that came, and are in the view */
    uint64_t outside; /* beyond the sensor, or a voxel grid's window: left out */
    uint64_t others;  /* of another kind: left out */
} spk_view_stats;

/* NULL only without memory; a bad descriptor is remembered (spk_view_status). Times may run back; a
   jump of more than 2^30 us makes surfaces forget what is further away than that.
   Thread: one view, one thread at a time. Ownership: the caller's, until spk_view_destroy.
   Source: voxel grid: Zhu, Yuan, Chaney, Daniilidis, "Unsupervised event-based learning of optical
   flow, depth, and egomotion", CVPR 2019, equations 1 and 2 (with the window described instead of
   first and last event's times); exponential surface: Lagorce et al., "HOTS", IEEE TPAMI 39(7),
   2017, equation 3. */
SPIKELIB_API spk_view *spk_view_create(const spk_view_desc *desc);
SPIKELIB_API void spk_view_destroy(spk_view *view);
SPIKELIB_API spk_result spk_view_status(const spk_view *view);
SPIKELIB_API const char *spk_view_error(const spk_view *view);
SPIKELIB_API spk_result spk_view_get_stats(const spk_view *view, spk_view_stats *stats);
/* As it was when new. A voxel grid without begin_us begins again with the next event. */
SPIKELIB_API void spk_view_reset(spk_view *view);
/* Any number of events at a time, with the same result. Errors: NULL, the view's own.
   Cost: allocates nothing. */
SPIKELIB_API spk_result spk_view_add(spk_view *view, const spk_event *events, size_t count);

/* Planes of height rows of width values; 0 for NULL or after an error. Of a voxel grid: all bins of
   a polarity, then those of the next. */
SPIKELIB_API size_t spk_view_planes(const spk_view *view);
/* Writes planes * height * width values. Surfaces are rendered for the time `now_us`; events after
   it count as of that time; the others do not need it.
   Errors: NULL; range: `count` is another number. */
SPIKELIB_API spk_result spk_view_render(spk_view *view, int64_t now_us, float *out, size_t count);
/* The same as grey levels: 0 to `full` is 0 to 255, or -full to full is 1 to 255 around 128 where
   values have signs. full 0: 1 for surfaces, else the largest value that there is. */
SPIKELIB_API spk_result spk_view_render_u8(spk_view *view, int64_t now_us, float full, uint8_t *out,
                                           size_t count);

/* -- optical flow -- */

/* Normal flow, from the plane through the times of the newest events around each event: its slope
   is the inverse of the speed. Points off the plane are rejected, and the plane is fitted again,
   until none is.
   Source: Benosman, Clercq, Lagorce, Ieng, Bartolozzi, "Event-based visual flow", IEEE TNNLS 25(2),
   2014, algorithm 1; velocity as gradient over squared gradient, which is finite along the edge. */
typedef struct spk_flow_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* of the sensor, at most 65,536; needed */
    uint32_t radius;         /* of the square around an event, 1 to 3; default: 2 (5 x 5) */
    int64_t window_us;       /* older times are no points, 1 to 2^24; default: 50,000 us */
    double max_error_px;     /* how far off the plane a point may be, along the flow; below
                                1,000; default: 0.5 */
    uint32_t min_points;     /* at least 3; default: 8 */
    uint32_t iterations;     /* fits at most, 1 to 64; default: 4 */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_flow_desc;

typedef struct spk_flow_vector {
    float vx, vy;    /* pixels a second */
    uint32_t points; /* of the plane; 0: no flow could be told here, and vx = vy = 0 */
} spk_flow_vector;

typedef struct spk_flow spk_flow;

/* As spk_view_create. */
SPIKELIB_API spk_flow *spk_flow_create(const spk_flow_desc *desc);
SPIKELIB_API void spk_flow_destroy(spk_flow *flow);
SPIKELIB_API spk_result spk_flow_status(const spk_flow *flow);
SPIKELIB_API const char *spk_flow_error(const spk_flow *flow);
SPIKELIB_API void spk_flow_reset(spk_flow *flow);
/* A vector for each event, in their order; returns for how many there is one. 0 after an error or
   for NULL. Cost: some hundreds of nanoseconds an event; allocates nothing. */
SPIKELIB_API size_t spk_flow_apply(spk_flow *flow, const spk_event *events, size_t count,
                                   spk_flow_vector *out);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_view *spk_view_create(const spk_view_desc &desc)
{
    return spk_view_create(&desc);
}
SPKI_OVERLOAD spk_flow *spk_flow_create(const spk_flow_desc &desc)
{
    return spk_flow_create(&desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
