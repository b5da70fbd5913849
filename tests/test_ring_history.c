/* ---- >>test-ring-history: recorded histories of several threads have an order that a queue of one
   thread could have produced (linearisability) ----
   Each thread does a few operations and notes when each began and ended. A search tries to put all
   of them into one order, in which each takes effect between its beginning and its end, that a
   plain bounded queue explains. Source: Wing and Gong, "Testing and verifying concurrent objects",
   J. Parallel Distrib. Comput. 17 (1993).
   check: threads */
#define SPIKELIB_NO_NET
#define SPIKELIB_NO_EVENTS
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include "check.h"

enum { THREADS = 4, EACH = 5, MOST = THREADS * EACH, CAPACITY = 2 };

typedef struct op {
    uint32_t begin, end; /* ticks of a shared counter */
    bool push, ok;
    uint32_t value;
} op;

typedef struct player {
    spk_ring *ring;
    uint32_t *clock, *ready;
    uint32_t k, threads, seed;
    bool spsc;
    op ops[EACH];
} player;

static void *play(void *arg)
{
    player *me = (player *)arg;
    int n;
    __atomic_fetch_add(me->ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(me->ready, __ATOMIC_SEQ_CST) < me->threads) sched_yield();
    for (n = 0; n < EACH; n++) {
        op *o = &me->ops[n];
        uint64_t item[2] = {1 + (uint64_t)n + 10 * (uint64_t)me->k, 0};
        me->seed = me->seed * 1664525u + 1013904223u;
        o->push = me->spsc ? me->k == 0 : (me->seed >> 16 & 1) != 0;
        o->value = (uint32_t)item[0];
        o->begin = __atomic_fetch_add(me->clock, 1, __ATOMIC_SEQ_CST);
        if (o->push) {
            o->ok = spk_ring_push(me->ring, item) == SPK_OK;
        } else {
            o->ok = spk_ring_pop(me->ring, item) == SPK_OK;
            if (o->ok) o->value = (uint32_t)item[0];
        }
        o->end = __atomic_fetch_add(me->clock, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

typedef struct search {
    const op *ops;
    int count;
    bool strict; /* a refusal needs a full, or empty, queue (SPSC) */
} search;

/* Does another operation overlap this one? Then an MPMC refusal may have been for its slot. */
static bool overlapped(const search *s, int k)
{
    int i;
    for (i = 0; i < s->count; i++)
        if (i != k && s->ops[i].begin < s->ops[k].end && s->ops[i].end > s->ops[k].begin)
            return true;
    return false;
}

/* `done`: which are in the order already; the queue is what they left. */
static bool find(const search *s, uint32_t done, const uint32_t *queue, int length)
{
    uint32_t first_end = UINT32_MAX;
    int k;
    if (done == (1u << s->count) - 1) return true;
    for (k = 0; k < s->count; k++)
        if (!(done >> k & 1) && s->ops[k].end < first_end) first_end = s->ops[k].end;
    for (k = 0; k < s->count; k++) {
        const op *o = &s->ops[k];
        uint32_t next[CAPACITY + 1];
        int n = length;
        if (done >> k & 1 || o->begin > first_end) continue;
        memcpy(next, queue, sizeof next);
        if (o->push && o->ok) {
            if (n == CAPACITY) continue;
            next[n++] = o->value;
        } else if (!o->push && o->ok) {
            if (n == 0 || next[0] != o->value) continue;
            memmove(next, next + 1, CAPACITY * sizeof next[0]);
            n--;
        } else if (n != (o->push ? CAPACITY : 0) && (s->strict || !overlapped(s, k))) {
            continue;
        }
        if (find(s, done | 1u << k, next, n)) return true;
    }
    return false;
}

static bool explained(const op *ops, int count, bool strict)
{
    uint32_t empty[CAPACITY + 1] = {0};
    search s;
    s.ops = ops;
    s.count = count;
    s.strict = strict;
    return find(&s, 0, empty, 0);
}

static void histories(bool spsc, uint32_t rounds)
{
    const uint32_t threads = spsc ? 2 : THREADS;
    uint32_t round, k;
    for (round = 0; round < rounds && !check_failures; round++) {
        static player players[THREADS];
        op all[MOST];
        pthread_t t[THREADS];
        uint32_t clock = 0, ready = 0;
        spk_ring_desc d;
        spk_ring *r;
        memset(&d, 0, sizeof d);
        d.kind = spsc ? SPK_RING_SPSC : SPK_RING_MPMC;
        d.capacity = CAPACITY;
        r = spk_ring_create(&d);
        CHECK(r != NULL);
        if (!r) return;
        spki_ring_start_at(r, UINT64_C(0xfffffffe) + round % 5);
        for (k = 0; k < threads; k++) {
            players[k].ring = r;
            players[k].clock = &clock;
            players[k].ready = &ready;
            players[k].k = k;
            players[k].threads = threads;
            players[k].seed = round * 7919u + k * 104729u;
            players[k].spsc = spsc;
            pthread_create(&t[k], NULL, play, &players[k]);
        }
        for (k = 0; k < threads; k++) pthread_join(t[k], NULL);
        for (k = 0; k < threads; k++) memcpy(all + k * EACH, players[k].ops, sizeof players[k].ops);
        CHECK(explained(all, (int)(threads * EACH), spsc));
        spk_ring_destroy(r);
    }
}

TEST(spsc_histories_are_those_of_a_bounded_queue) { histories(true, 2000); }
TEST(mpmc_histories_are_those_of_a_bounded_queue) { histories(false, 1000); }

/* The search itself: what no queue does has to be found out. */
TEST(impossible_histories_are_refused)
{
    op a[3] = {{0, 1, true, true, 7}, {2, 3, true, true, 8}, {4, 5, false, true, 8}};
    op b[2] = {{0, 1, true, true, 7}, {2, 3, false, false, 0}};
    op c[2] = {{0, 3, true, true, 7}, {1, 2, false, false, 0}};
    op d[2] = {{2, 3, true, true, 7}, {0, 1, false, true, 7}};
    CHECK(!explained(a, 3, false)); /* the second first */
    a[2].value = 7;
    CHECK(explained(a, 3, true));
    CHECK(!explained(b, 2, true) && !explained(b, 2, false)); /* empty after a push */
    CHECK(explained(c, 2, true));                             /* while it was pushed */
    CHECK(!explained(d, 2, true));                            /* before it was pushed */
}

TEST_MAIN()
