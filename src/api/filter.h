/* ---- >>filter: event filters, each streaming and in place ---- */
#ifndef SPIKELIB_API_FILTER_H
#define SPIKELIB_API_FILTER_H

#include "base.h"
#include "event.h"

/* A filter keeps some events of a stream and drops the others, or changes them, where they lie:

       spk_filter *flt = spk_filter_background(&(spk_background_desc){ .window_us = 2000 });
       while ((n = spk_events_read(in, buf, 4096)) > 0) {
           n = spk_filter_apply(flt, buf, n);
           ...

   What it has seen, it remembers: a stream may be handed over in pieces of any size, with the same
   result. Only events of kind SPK_EVENT_CD are filtered; all others pass as they are, in their
   place. Times may run back (a stream of several sensors does that by microseconds): two events
   are within `d` of each other if |t1 - t2| < d. A jump of more than 2^30 us (18 minutes) makes a
   filter forget what is further away than that from the new time.

   Sensor size. Filters that remember something for each pixel take `width` and `height`, and drop
   events outside of it. Where both are 0 the memory grows with the events, while they are applied,
   up to 4,096 x 4,096 pixels.

   A creator returns NULL only without memory. A bad descriptor is remembered (spk_filter_status);
   such a filter drops everything. NULL as a descriptor: all defaults.
   Thread: one filter, one thread at a time; different filters at the same time.
   Ownership: the caller's, until spk_filter_destroy, or a chain's. */
typedef struct spk_filter spk_filter;

typedef struct spk_filter_stats {
    uint64_t events;  /* of kind CD that came */
    uint64_t passed;  /* of them, kept */
    uint64_t dropped; /* of them, not */
    uint64_t outside; /* of the dropped, outside of the sensor */
    uint64_t others;  /* of another kind: passed as they are */
} spk_filter_stats;

/* Keeps, in their order, what passes, at the beginning of `events`, and returns how many these are;
   what lies after them is undefined. 0 after an error, and for NULL. Cost: memory grows here where
   no sensor size was given; nothing is allocated otherwise. */
SPIKELIB_API size_t spk_filter_apply(spk_filter *filter, spk_event *events, size_t count);
/* As it was when new: statistics and memory of events are gone, errors of growing too. */
SPIKELIB_API void spk_filter_reset(spk_filter *filter);
/* Since it was new or reset; of a chain: what came in and what came out. Errors: NULL. */
SPIKELIB_API spk_result spk_filter_get_stats(const spk_filter *filter, spk_filter_stats *stats);
/* SPK_OK, or what was wrong with the descriptor, or SPK_ERR_OUT_OF_MEMORY while growing; a sentence
   that names the filter, the field and its value, "" if nothing was. */
SPIKELIB_API spk_result spk_filter_status(const spk_filter *filter);
SPIKELIB_API const char *spk_filter_error(const spk_filter *filter);
/* "background". "" for NULL. Thread: any. */
SPIKELIB_API const char *spk_filter_name(const spk_filter *filter);
/* NULL is fine. Of a chain: its filters too. */
SPIKELIB_API void spk_filter_destroy(spk_filter *filter);

/* -- what a pixel did before -- */

/* Drops an event within `period_us` of the last one of its pixel that passed. */
typedef struct spk_refractory_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t period_us;       /* 1 to 2^29; default: 1,000 us */
    bool restart;            /* counted from the last event, whether that passed or not */
    bool by_polarity;        /* ON and OFF each by themselves */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_refractory_desc;
SPIKELIB_API spk_filter *spk_filter_refractory(const spk_refractory_desc *desc);

/* Noise comes alone: keeps an event if of the 8 pixels around it at least `min_support`, and at
   most `max_support`, had their last event within `window_us` of it.
   Source: Delbruck, "Frame-free dynamic digital vision" (2008), background activity filter; counted
   support as in libcaer's filter, with which it agrees. */
typedef struct spk_background_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t window_us;       /* 1 to 2^29; default: 2,000 us */
    uint32_t min_support;    /* 1 to 8; default: 1 */
    uint32_t max_support;    /* 1 to 8; default: 8 */
    bool same_polarity;      /* only events of its own polarity support an event */
    int64_t refractory_us;   /* drops an event within this of its pixel's last; default: 0, off */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_background_desc;
SPIKELIB_API spk_filter *spk_filter_background(const spk_background_desc *desc);

typedef struct spk_pixel {
    uint16_t x, y;
} spk_pixel;

/* Drops pixels that never rest. Time is cut into windows, from the first event on; once a pixel has
   sent more than `max_events` in a window it is hot, until it has sent no more than that in a whole
   window. Pixels that are known to be bad can be listed: they are always dropped. */
typedef struct spk_hot_pixel_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t window_us;       /* at least 1; default: 100,000 us */
    uint32_t max_events;     /* at most 2^30; default: 100 */
    const spk_pixel *pixels; /* default: none. Copied */
    size_t pixel_count;
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_hot_pixel_desc;
SPIKELIB_API spk_filter *spk_filter_hot_pixel(const spk_hot_pixel_desc *desc);
/* The pixels that such a filter holds to be hot, row by row, as far as they fit; returns how many
   there are. 0 for a filter of another kind. Cost: reads all pixels. */
SPIKELIB_API size_t spk_filter_hot_pixels(const spk_filter *filter, spk_pixel *out,
                                          size_t capacity);

/* Keeps the corners of moving things: where the newest arcs of two circles around an event, with
   radii of 3 and 4 pixels, are of a corner's length. An event of its pixel's polarity within
   `period_us` of the one before is no corner and leaves the circles' times alone.
   Source: Alzugaray and Chli, "Asynchronous corner detection and tracking for event cameras in real
   time", IEEE RA-L 3(4), 2018 (Arc*), algorithm 1. */
typedef struct spk_corner_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t period_us;       /* 1 to 2^29; default: 50,000 us */
    bool minority_only;      /* only corners whose newest arc is the smaller part of the circle */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_corner_desc;
SPIKELIB_API spk_filter *spk_filter_corner(const spk_corner_desc *desc);

/* -- where, when and what an event is -- */

/* Keeps a rectangle. */
typedef struct spk_region_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t x, y;               /* upper left corner, at most 65,535 */
    uint32_t width, height;      /* default: to the right and lower end */
    bool outside;                /* keeps what is not in the rectangle */
    bool move;                   /* its upper left corner becomes (0, 0); not with `outside` */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    spk_allocator allocator;     /* default: malloc and free */
    uint32_t end_sentinel;       /* leave 0 */
} spk_region_desc;
SPIKELIB_API spk_filter *spk_filter_region(const spk_region_desc *desc);

/* The eight ways to lay a picture. Bit 2: x and y change places; then bit 0: x runs the other way,
   bit 1: y does. Rotations are clockwise as one sees it (y downwards). */
typedef enum spk_orientation {
    SPK_ORIENT_NONE = 0,
    SPK_ORIENT_FLIP_X = 1,
    SPK_ORIENT_FLIP_Y = 2,
    SPK_ORIENT_ROTATE_180 = 3,
    SPK_ORIENT_TRANSPOSE = 4,
    SPK_ORIENT_ROTATE_90 = 5,
    SPK_ORIENT_ROTATE_270 = 6,
    SPK_ORIENT_TRANSVERSE = 7,
    SPK_ORIENT_FORCE_32_BIT = 0x7fffffff
} spk_orientation;

typedef struct spk_orient_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t width, height;      /* of the sensor, before; needed. Events outside are dropped */
    spk_orientation orientation; /* default: SPK_ORIENT_NONE */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    spk_allocator allocator;     /* default: malloc and free */
    uint32_t end_sentinel;       /* leave 0 */
} spk_orient_desc;
SPIKELIB_API spk_filter *spk_filter_orient(const spk_orient_desc *desc);

typedef enum spk_polarity_mode {
    SPK_POLARITY_BOTH = 0,   /* as they are */
    SPK_POLARITY_ON = 1,     /* ON events only */
    SPK_POLARITY_OFF = 2,    /* OFF events only */
    SPK_POLARITY_INVERT = 3, /* ON becomes OFF, and the other way round */
    SPK_POLARITY_MERGE = 4,  /* all become ON */
    SPK_POLARITY_FORCE_32_BIT = 0x7fffffff
} spk_polarity_mode;

typedef struct spk_polarity_desc {
    uint32_t begin_sentinel; /* leave 0 */
    spk_polarity_mode mode;  /* default: SPK_POLARITY_BOTH */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    uint32_t end_sentinel;   /* leave 0 */
} spk_polarity_desc;
SPIKELIB_API spk_filter *spk_filter_polarity(const spk_polarity_desc *desc);

/* Keeps begin_us <= t < end_us. */
typedef struct spk_time_window_desc {
    uint32_t begin_sentinel; /* leave 0 */
    int64_t begin_us;        /* default: 0, no beginning */
    int64_t end_us;          /* default: 0, no end */
    bool relative;           /* both count from the first event */
    bool outside;            /* keeps what is not in the window */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    uint32_t end_sentinel;   /* leave 0 */
} spk_time_window_desc;
SPIKELIB_API spk_filter *spk_filter_time_window(const spk_time_window_desc *desc);

/* Fewer, larger pixels: factor_x by factor_y of them become one. With a threshold n the large pixel
   adds up its events, ON +1 and OFF -1, and sends one each time the sum reaches n or -n, from which
   it then starts again at 0. */
typedef struct spk_downsample_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t width, height;      /* of the sensor, before; default: grows */
    uint32_t factor_x, factor_y; /* 1 to 65,535; default: 2, and factor_x */
    uint32_t threshold;          /* at most 32,767; default: 0, every event passes */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    spk_allocator allocator;     /* default: malloc and free */
    size_t memory_limit;         /* bytes in all; default: no limit */
    uint32_t end_sentinel;       /* leave 0 */
} spk_downsample_desc;
SPIKELIB_API spk_filter *spk_filter_downsample(const spk_downsample_desc *desc);

/* -- several, and your own -- */

/* One after the other. The chain owns them from now on, unless it is NULL (no memory). A filter
   that is NULL or has an error is the chain's error. Cost: goes through the events in pieces that
   stay in the first-level cache from filter to filter. */
SPIKELIB_API spk_filter *spk_filter_chain(spk_filter *const *filters, size_t count);
/* The filters of a chain, for their statistics; NULL beyond its end, or if it is no chain.
   Ownership: the chain's. */
SPIKELIB_API spk_filter *spk_filter_chain_at(const spk_filter *chain, size_t index);

/* `apply` gets all kinds of events and does as spk_filter_apply; `name` is copied. */
typedef struct spk_custom_desc {
    uint32_t begin_sentinel; /* leave 0 */
    const char *name;        /* at most 31 characters; default: "custom" */
    void *ctx;
    size_t (*apply)(void *ctx, spk_event *events, size_t count); /* needed */
    void (*reset)(void *ctx);                                    /* default: nothing to do */
    void (*destroy)(void *ctx);                                  /* default: nothing to do */
    spk_allocator allocator;                                     /* default: malloc and free */
    uint32_t end_sentinel;                                       /* leave 0 */
} spk_custom_desc;
SPIKELIB_API spk_filter *spk_filter_custom(const spk_custom_desc *desc);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
#define SPKI_BY_REFERENCE(kind)                                                                   \
    SPKI_OVERLOAD spk_filter *spk_filter_##kind(const spk_##kind##_desc &desc)                    \
    {                                                                                             \
        return spk_filter_##kind(&desc);                                                          \
    }
SPKI_BY_REFERENCE(refractory)
SPKI_BY_REFERENCE(background)
SPKI_BY_REFERENCE(hot_pixel)
SPKI_BY_REFERENCE(corner)
SPKI_BY_REFERENCE(region)
SPKI_BY_REFERENCE(orient)
SPKI_BY_REFERENCE(polarity)
SPKI_BY_REFERENCE(time_window)
SPKI_BY_REFERENCE(downsample)
SPKI_BY_REFERENCE(custom)
#undef SPKI_BY_REFERENCE
#undef SPKI_OVERLOAD
#endif

#endif
