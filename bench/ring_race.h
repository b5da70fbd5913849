/* ---- >>ring-race: two pinned threads and a queue between them ---- */
#ifndef SPKBENCH_RING_RACE_H
#define SPKBENCH_RING_RACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct race_item {
    uint64_t number, check;
} race_item;

/* A queue of 16-byte items. `produce` pushes the numbers 0 .. count - 1 in order, `consume` pops as
   many and returns how many were not as expected; both retry at once when the queue is full or
   empty. `batch` 0: round trips with one item; `bounce` returns all that comes in by the other. */
typedef struct race_case {
    const char *race, *name;
    size_t batch;
    void *(*open)(size_t slots);
    void (*close)(void *queue);
    void (*produce)(void *queue, size_t count);
    size_t (*consume)(void *queue, size_t count);
} race_case;

/* The loops, as macros, so that each queue's own operations are inlined into them. PUSH(q, item)
   and POP(q, item) are true if it worked; PUSH_N(q, items, n) and POP_N return how many. */
#define RACE_ONE(id, type, PUSH, POP)                                                             \
    static void id##_produce(void *queue, size_t count)                                           \
    {                                                                                             \
        type *q = (type *)queue;                                                                  \
        size_t k;                                                                                 \
        for (k = 0; k < count; k++) {                                                             \
            race_item it;                                                                         \
            it.number = k;                                                                        \
            it.check = ~(uint64_t)k;                                                              \
            while (!(PUSH(q, it))) continue;                                                      \
        }                                                                                         \
    }                                                                                             \
    static size_t id##_consume(void *queue, size_t count)                                         \
    {                                                                                             \
        type *q = (type *)queue;                                                                  \
        size_t k, wrong = 0;                                                                      \
        for (k = 0; k < count; k++) {                                                             \
            race_item it;                                                                         \
            while (!(POP(q, it))) continue;                                                       \
            wrong += it.number != k || it.check != ~(uint64_t)k;                                  \
        }                                                                                         \
        return wrong;                                                                             \
    }

#define RACE_BATCH(id, type, batch, PUSH_N, POP_N)                                                \
    static void id##_produce(void *queue, size_t count)                                           \
    {                                                                                             \
        type *q = (type *)queue;                                                                  \
        race_item items[batch];                                                                   \
        size_t k, i;                                                                              \
        for (k = 0; k < count;) {                                                                 \
            size_t done = 0;                                                                      \
            for (i = 0; i < (batch); i++) items[i].number = k + i, items[i].check = ~(k + i);     \
            while (done < (batch)) done += PUSH_N(q, items + done, (batch)-done);                 \
            k += done;                                                                            \
        }                                                                                         \
    }                                                                                             \
    static size_t id##_consume(void *queue, size_t count)                                         \
    {                                                                                             \
        type *q = (type *)queue;                                                                  \
        race_item items[batch];                                                                   \
        size_t k, i, wrong = 0;                                                                   \
        for (k = 0; k < count;) {                                                                 \
            size_t n = POP_N(q, items, batch);                                                    \
            for (i = 0; i < n; i++)                                                               \
                wrong += items[i].number != k + i || items[i].check != ~(uint64_t)(k + i);        \
            k += n;                                                                               \
        }                                                                                         \
        return wrong;                                                                             \
    }

/* There and back, by two queues of a pair. */
#define RACE_TRIP(id, type, PUSH, POP)                                                            \
    static void id##_produce(void *queue, size_t count)                                           \
    {                                                                                             \
        type *out = ((type **)queue)[0], *in = ((type **)queue)[1];                               \
        size_t k;                                                                                 \
        for (k = 0; k < count; k++) {                                                             \
            race_item it;                                                                         \
            it.number = k;                                                                        \
            it.check = ~(uint64_t)k;                                                              \
            while (!(PUSH(out, it))) continue;                                                    \
            while (!(POP(in, it))) continue;                                                      \
        }                                                                                         \
    }                                                                                             \
    static size_t id##_consume(void *queue, size_t count)                                         \
    {                                                                                             \
        type *in = ((type **)queue)[0], *out = ((type **)queue)[1];                               \
        size_t k, wrong = 0;                                                                      \
        for (k = 0; k < count; k++) {                                                             \
            race_item it;                                                                         \
            while (!(POP(in, it))) continue;                                                      \
            wrong += it.number != k;                                                              \
            while (!(PUSH(out, it))) continue;                                                    \
        }                                                                                         \
        return wrong;                                                                             \
    }

/* What the peers' files hand over (`make bench-peers`). */
#ifdef __cplusplus
extern "C" {
#endif
const race_case *ring_peers_c(size_t *count);
const race_case *ring_peers_cc(size_t *count);
#ifdef __cplusplus
}
#endif

#endif
