/* ---- >>pipeline: stages on worker threads, five priorities, protection against overload ---- */
#ifndef SPIKELIB_API_PIPELINE_H
#define SPIKELIB_API_PIPELINE_H

#include "base.h"

/* Items flow through a chain of stages. A stage is a plain function with a context that gets a
   batch of items; worker threads call it. Items wait between stages in rings, one for each stage,
   lane (a hash of the item's key) and priority.

       spk_pipeline *p = spk_pipeline_create(NULL);
       spk_pipeline_add(p, "filter", filter, &state, NULL);
       spk_pipeline_add(p, "count", count, &total, NULL);
       if (spk_pipeline_start(p) != SPK_OK) puts(spk_pipeline_error(p));
       spk_pipeline_submit(p, SPK_PRIORITY_NORMAL, camera, events, n);
       spk_pipeline_stop(p, 1.0);
       spk_pipeline_destroy(p);

   Order. Items of one key and one priority leave each stage in the order in which they were
   submitted (by one thread, or by threads that agree on an order), on any number of workers; a
   retry holds back what comes after it. A more urgent item of the same key overtakes.

   Memory. All of it is taken by spk_pipeline_start and never grows. */

/* From the most urgent to the least; each has room of its own, so that a flood of one cannot keep
   out another. */
typedef enum spk_priority {
    SPK_PRIORITY_DEFAULT = 0, /* normal; where statistics are asked for: all together */
    SPK_PRIORITY_CRITICAL = 1,
    SPK_PRIORITY_HIGH = 2,
    SPK_PRIORITY_NORMAL = 3,
    SPK_PRIORITY_LOW = 4,
    SPK_PRIORITY_BATCH = 5,
    SPK_PRIORITY_COUNT = 6,
    SPK_PRIORITY_FORCE_32_BIT = 0x7fffffff
} spk_priority;

/* Why an item did not get through. */
typedef enum spk_drop {
    SPK_DROP_FULL = 0,     /* offered when there was no room */
    SPK_DROP_DEADLINE = 1, /* older than the stage's deadline */
    SPK_DROP_SHED = 2,     /* waited too long in an overloaded queue (CoDel) */
    SPK_DROP_BREAKER = 3,  /* the stage's circuit breaker was open */
    SPK_DROP_FAILED = 4,   /* the stage failed, and there was no retry left */
    SPK_DROP_CLOSED = 5,   /* the pipeline was stopped before it came through */
    SPK_DROP_COUNT = 6,
    SPK_DROP_FORCE_32_BIT = 0x7fffffff
} spk_drop;

/* For items whose order does not matter: they are spread over all lanes. */
#define SPK_KEY_ANY UINT64_MAX

/* What a stage gets. It sets `count` to the number of items that go on, at `out`: up to what it
   got where it works in place, up to `capacity` where the stage has an out_size. */
typedef struct spk_batch {
    void *items;     /* as many as `count` says; 64-byte aligned only if nothing was cut */
    size_t count;    /* in: items; out: results */
    void *out;       /* where results go: `items` itself unless the stage has an out_size */
    size_t capacity; /* results that fit */
    spk_priority priority;
    uint32_t stage, lane, worker;
    uint32_t attempt; /* 0, then 1 for the first retry, ... */
    uint32_t reserved;
    int64_t born_ns; /* when the oldest of them was submitted, on the pipeline's clock */
    int64_t now_ns;  /* when this call began */
} spk_batch;

/* SPK_OK: done. Anything else: the batch failed; it is tried again or dropped, as the stage's
   descriptor says. Thread: a worker's; never more than `concurrency` calls of a stage at a time,
   and never two of one lane and priority. A stage that changes items in place and fails must be
   able to see them again as it left them. */
typedef spk_result (*spk_stage_fn)(void *ctx, spk_batch *batch);

typedef struct spk_stage_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t out_size;       /* bytes of a result; default: results replace items in place */
    uint32_t concurrency;    /* calls at a time; default: 1, so that `fn` needs no lock */
    bool adaptive;           /* find the best concurrency up to that (Gradient2) */
    bool no_shedding;        /* queues wait instead of shedding */
    bool breaker_holds;      /* an open breaker keeps items waiting; default: they are dropped */
    bool reserved;
    uint32_t batch;             /* items a call at most; default: the pipeline's */
    uint32_t slice_us;          /* calls are cut to take about so long; default: 100 us */
    uint32_t deadline_us;       /* since submission, on entering; default: none */
    uint32_t retries;           /* after a failure; default: none */
    uint32_t backoff_us;        /* before the first retry, doubled each time; default: 1,000 us */
    uint32_t backoff_max_us;    /* default: 1 s */
    double jitter;              /* random part of a delay, 0 to 1; default: 0.5; below 0: none */
    double breaker_failures;    /* share of failures that opens it, 0 to 1; default: no breaker */
    uint32_t breaker_window;    /* calls judged together, at most 1,024; default: 100 */
    uint32_t breaker_minimum;   /* calls before it judges; default: the window */
    uint32_t breaker_slow_us;   /* a call this long counts as slow; default: none does */
    uint32_t breaker_open_us;   /* stays open; default: 1 s */
    uint32_t breaker_trials;    /* calls let through half-open, at most 32; default: 10 */
    uint32_t breaker_permit_us; /* a trial not back by then has failed; default: 1 s */
    double breaker_slow;        /* share of slow calls that opens it; default: 1 */
    uint32_t codel_target_us;   /* waiting that is fine; default: 5,000 us */
    uint32_t codel_interval_us; /* ... unless it lasts so long; default: 100,000 us; at most 4 s */
    spk_priority shed_from;     /* this and less urgent ones are shed; default: normal */
    uint32_t end_sentinel;      /* leave 0 */
} spk_stage_desc;

/* Nanoseconds that never go back. Thread: any worker, at the same time. */
typedef struct spk_clock {
    void *ctx;
    int64_t (*now_ns)(void *ctx);
} spk_clock;

typedef struct spk_pipeline_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t item_size;      /* bytes, at most 4,096; default: 16 */
    uint32_t workers;        /* threads, at most 64; default: one for each CPU */
    uint32_t lanes;          /* order is kept by lane, at most 64; default: 16 */
    uint32_t batch;          /* items a block, at most 8,192; default: 256 */
    bool manual;             /* no threads: spk_pipeline_step runs the stages */
    bool reserved[3];
    size_t capacity;                        /* items of each priority under way; default: 65,536 */
    size_t capacity_of[SPK_PRIORITY_COUNT]; /* the same for one priority; default: `capacity` */
    uint32_t boost_us;       /* waiting so long raises an item by one level; default: 10,000 us */
    uint32_t overdue_share;  /* one pick in so many goes to an overdue item; default: 16 */
    uint32_t spin_us;        /* an idle worker looks on so long before it sleeps; default: 20 us */
    uint64_t seed;           /* of the jitter; default: 0, a seed like any other */
    spk_clock clock;         /* default: a monotonic clock */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_pipeline_desc;

typedef struct spk_pipeline spk_pipeline;

/* A pipeline without stages, or NULL if there is no memory for one. A bad descriptor is remembered
   (spk_pipeline_error), later calls do nothing, and spk_pipeline_start returns it. NULL: all
   defaults. Ownership: the caller's until spk_pipeline_destroy; contexts stay the caller's. */
SPIKELIB_API spk_pipeline *spk_pipeline_create(const spk_pipeline_desc *desc);
/* Stops (spk_pipeline_stop with no patience) and frees all. NULL is fine. Thread: one; nobody else
   may be in a call. */
SPIKELIB_API void spk_pipeline_destroy(spk_pipeline *p);
/* The first error, and its sentence ("" if there was none). Ownership: the pipeline's. */
SPIKELIB_API spk_result spk_pipeline_status(const spk_pipeline *p);
SPIKELIB_API const char *spk_pipeline_error(const spk_pipeline *p);

/* Adds a stage at the end, at most 16. The last one is the sink: what it lets through has been
   delivered. `desc` may be NULL. Errors: NULL, range, sentinels, state (started already).
   Ownership: the name is copied (31 characters of it). */
SPIKELIB_API spk_result spk_pipeline_add(spk_pipeline *p, const char *name, spk_stage_fn fn,
                                         void *ctx, const spk_stage_desc *desc);
/* Takes all memory and starts the workers; nothing is allocated after that. All or nothing.
   Errors: what was remembered, state (no stages, started already), out of memory, thread;
   unsupported: SPIKELIB_NO_THREADS knows only `manual`. */
SPIKELIB_API spk_result spk_pipeline_start(spk_pipeline *p);

/* How many of the items were taken: fewer than `count` where there is no room for the rest, which
   stays the caller's. Returns 0 if the pipeline is not running, or closed. Shape: count *
   item_size bytes. Thread: any number of threads. Cost: a copy and two atomic operations. */
SPIKELIB_API size_t spk_pipeline_submit(spk_pipeline *p, spk_priority priority, uint64_t key,
                                        const void *items, size_t count);
/* The same, but what there is no room for is dropped and counted (SPK_DROP_FULL). */
SPIKELIB_API size_t spk_pipeline_offer(spk_pipeline *p, spk_priority priority, uint64_t key,
                                       const void *items, size_t count);
/* The same, but waits for room up to `timeout_s` (real time, whatever the clock). */
SPIKELIB_API size_t spk_pipeline_submit_wait(spk_pipeline *p, spk_priority priority, uint64_t key,
                                             const void *items, size_t count, double timeout_s);

/* Room to write items to, with no copy: up to `batch` of them. Commit hands over the first `count`
   (0 gives the room back). NULL pointer in `items`: no room, closed or not running. */
typedef struct spk_pipeline_span {
    void *items;
    size_t capacity;
    uint32_t block, lane;
    spk_priority priority;
    uint32_t reserved;
} spk_pipeline_span;
SPIKELIB_API spk_pipeline_span spk_pipeline_reserve(spk_pipeline *p, spk_priority priority,
                                                    uint64_t key);
SPIKELIB_API void spk_pipeline_commit(spk_pipeline *p, spk_pipeline_span *span, size_t count);

/* The part of a priority's room that is taken, 0 to 1: a source slows down before it is 1. */
SPIKELIB_API double spk_pipeline_pressure(const spk_pipeline *p, spk_priority priority);
/* Backpressure with two marks: `paused` (the answer of the last call) becomes true at a pressure of
   3/4 and false again below 1/2. */
SPIKELIB_API bool spk_pipeline_pause(const spk_pipeline *p, spk_priority priority, bool paused);

/* manual only. Runs one batch; false if nothing can run now. Thread: one at a time. */
SPIKELIB_API bool spk_pipeline_step(spk_pipeline *p);
/* manual only. When something that waits (for a retry, or a breaker) can run; INT64_MAX: never. */
SPIKELIB_API int64_t spk_pipeline_next_ns(spk_pipeline *p);

/* Takes no more items; those under way go on. Thread: any. */
SPIKELIB_API void spk_pipeline_close(spk_pipeline *p);
/* Waits until nothing is under way. Errors: timeout; state (not running). In manual mode it steps,
   and waits for no clock. Thread: any, but not a stage. */
SPIKELIB_API spk_result spk_pipeline_drain(spk_pipeline *p, double timeout_s);
/* Closes, drains for at most `timeout_s`, ends the threads, and counts what is left as dropped
   (SPK_DROP_CLOSED). Statistics remain. Errors: timeout (it has stopped all the same). */
SPIKELIB_API spk_result spk_pipeline_stop(spk_pipeline *p, double timeout_s);

/* Percentiles are upper bounds of buckets 1/32 wide: at most 3.2 % too high. */
typedef struct spk_latency {
    uint64_t count;
    double mean_us, p50_us, p99_us, p999_us, max_us;
} spk_latency;

/* Of a stage: in == done + (all of dropped) + depth. `latency` is from entering the stage's queue
   to its end. Of the whole: offered == refused + dropped[SPK_DROP_FULL] + in, and `out` is what was
   delivered, its latency that since submission. */
typedef struct spk_pipeline_stats {
    uint64_t offered, refused;     /* whole only: items that were to be submitted; not taken */
    uint64_t in, done, out, depth; /* items: entered; a stage succeeded with; went on; waiting */
    uint64_t dropped[SPK_DROP_COUNT];
    uint64_t dropped_all;
    uint64_t calls, failures, retries; /* of the stage function */
    spk_latency latency;
} spk_pipeline_stats;

typedef enum spk_breaker_state {
    SPK_BREAKER_CLOSED = 0,
    SPK_BREAKER_OPEN = 1,
    SPK_BREAKER_HALF_OPEN = 2,
    SPK_BREAKER_FORCE_32_BIT = 0x7fffffff
} spk_breaker_state;

typedef struct spk_stage_stats {
    const char *name;
    spk_breaker_state breaker;
    uint32_t concurrency; /* allowed at the moment */
    uint32_t running;
    uint32_t batch; /* items a call at the moment */
    uint64_t breaker_opened;
    uint64_t stolen;   /* batches run by another worker than their lane's own */
    double mean_batch; /* items a call so far */
} spk_stage_stats;

#define SPK_PIPELINE_WHOLE UINT32_MAX

/* Numbers so far of one stage (or SPK_PIPELINE_WHOLE) and one priority (SPK_PRIORITY_DEFAULT: all).
   Errors: NULL, range. Thread: any; exact once nothing is under way, else each number is right by
   itself. Cost: reads all lanes and workers. */
SPIKELIB_API spk_result spk_pipeline_get_stats(const spk_pipeline *p, uint32_t stage,
                                               spk_priority priority, spk_pipeline_stats *stats);
SPIKELIB_API spk_result spk_pipeline_get_stage(const spk_pipeline *p, uint32_t stage,
                                               spk_stage_stats *stats);
/* Bytes taken by the pipeline: all it will ever have once it is started. */
SPIKELIB_API size_t spk_pipeline_bytes(const spk_pipeline *p);
/* "critical" ... "batch"; "full" ... "closed". Never NULL. */
SPIKELIB_API const char *spk_priority_name(spk_priority priority);
SPIKELIB_API const char *spk_drop_name(spk_drop reason);

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_pipeline *spk_pipeline_create(const spk_pipeline_desc &desc)
{
    return spk_pipeline_create(&desc);
}
SPKI_OVERLOAD spk_result spk_pipeline_add(spk_pipeline *p, const char *name, spk_stage_fn fn,
                                          void *ctx, const spk_stage_desc &desc)
{
    return spk_pipeline_add(p, name, fn, ctx, &desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
