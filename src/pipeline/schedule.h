/* ---- >>pipeline-schedule: which queue a worker takes next ---- */
#ifndef SPIKELIB_PIPELINE_SCHEDULE_H
#define SPIKELIB_PIPELINE_SCHEDULE_H

#include "queue.h"

/* The rule. An item of level l (0: critical) that has been in the pipeline for an age counts as
   level max(1, l - age / boost): waiting lifts it one level after another, up to high, never among
   the critical ones. The lowest level goes first; of equal ones a worker's own lanes before those
   that it steals, then the oldest, then the later stage. So that critical items cannot starve the
   others either, one pick in `overdue_share` goes to the oldest item that is overdue, if any: one
   older than l * boost. */
typedef struct spki_pick {
    uint32_t stage, lane, level, queue;
    bool found, stolen;
    bool more;       /* something else could run at the same time */
    int64_t wake_ns; /* when something that waits can run; INT64_MAX: nothing waits */
    int64_t born_ns;
    uint32_t rank; /* level as boosted */
} spki_pick;

SPKI_FN uint32_t spki_boosted(uint32_t level, int64_t age, int64_t boost)
{
    int64_t steps = age <= 0 ? 0 : age / boost;
    if (level <= 1) return level;
    return steps >= (int64_t)level - 1 ? 1u : level - (uint32_t)steps;
}

/* Is `a` to go before what `best` holds? Stages are visited from the last to the first. */
SPKI_FN bool spki_pick_better(const spki_pick *best, uint32_t rank, bool stolen, int64_t born)
{
    if (!best->found) return true;
    if (rank != best->rank) return rank < best->rank;
    if (stolen != best->stolen) return !stolen;
    return born < best->born_ns;
}

SPKI_FN void spki_pick_set(spki_pick *best, uint32_t stage, uint32_t lane, uint32_t level,
                           uint32_t rank, bool stolen, int64_t born)
{
    best->found = true;
    best->stage = stage;
    best->lane = lane;
    best->level = level;
    best->rank = rank;
    best->stolen = stolen;
    best->born_ns = born;
}

/* How many more calls the stage may have. */
SPKI_FN uint32_t spki_stage_room(const spki_stage *s)
{
    uint32_t running = __atomic_load_n(&s->running, __ATOMIC_RELAXED);
    uint32_t allowed = __atomic_load_n(&s->allowed, __ATOMIC_RELAXED);
    return running < allowed ? allowed - running : 0;
}

/* Looks at the queues of one stage and level. `overdue`: only at those that are, and age decides.
 */
SPKI_FN void spki_pick_among(const spk_pipeline *p, const spki_hand *h, uint32_t stage,
                             uint32_t level, int64_t now, bool overdue, spki_pick *best)
{
    uint64_t lanes =
        __atomic_load_n(&p->ready[stage * SPKI_LEVELS + level].lanes, __ATOMIC_SEQ_CST);
    bool several = spki_stage_room(&p->stage[stage]) > 1;
    while (lanes) {
        uint32_t lane = (uint32_t)__builtin_ctzll(lanes);
        const spki_queue *q = &p->queue[spki_queue_index(p, stage, lane, level)];
        int64_t born = __atomic_load_n(&q->head_ns, __ATOMIC_RELAXED);
        int64_t wake = __atomic_load_n(&q->wake_ns, __ATOMIC_RELAXED);
        bool stolen = !overdue && (h->home >> lane & 1u) == 0;
        uint32_t rank = overdue ? 0 : spki_boosted(level, now - born, p->boost_ns);
        lanes &= lanes - 1;
        if (__atomic_load_n(&q->busy, __ATOMIC_RELAXED)) continue;
        if (wake > now) {
            best->wake_ns = SPKI_MIN(best->wake_ns, wake);
            continue;
        }
        if (overdue && now - born < (int64_t)level * p->boost_ns) continue;
        best->more = best->more || (best->found && (several || best->stage != stage));
        if (spki_pick_better(best, rank, stolen, born))
            spki_pick_set(best, stage, lane, level, rank, stolen, born);
    }
}

SPKI_FN void spki_pick_look(const spk_pipeline *p, const spki_hand *h, int64_t now, bool overdue,
                            spki_pick *best)
{
    uint32_t level, stage;
    memset(best, 0, sizeof *best);
    best->wake_ns = INT64_MAX;
    for (level = overdue ? 1 : 0; level < SPKI_LEVELS; level++) {
        for (stage = p->stages; stage-- > 0;) {
            if (!__atomic_load_n(&p->ready[stage * SPKI_LEVELS + level].lanes, __ATOMIC_SEQ_CST))
                continue;
            if (spki_stage_room(&p->stage[stage]) > 0)
                spki_pick_among(p, h, stage, level, now, overdue, best);
        }
        if (level == 0 && best->found) return; /* nothing can be lifted above it */
    }
}

/* Takes the stage's permission and the queue. Fails where another worker was faster. */
SPKI_FN bool spki_pick_claim(spk_pipeline *p, const spki_pick *pick)
{
    spki_stage *s = &p->stage[pick->stage];
    spki_queue *q = &p->queue[pick->queue];
    uint32_t running = __atomic_load_n(&s->running, __ATOMIC_RELAXED), free = 0;
    do {
        if (running >= __atomic_load_n(&s->allowed, __ATOMIC_RELAXED)) return false;
    } while (!__atomic_compare_exchange_n(&s->running, &running, running + 1, true,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    if (__atomic_compare_exchange_n(&q->busy, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return true;
    __atomic_fetch_sub(&s->running, 1, __ATOMIC_RELEASE);
    return false;
}

/* Chooses and takes a queue; false: nothing can run now, and pick->wake_ns says when. */
SPKI_FN bool spki_pick_take(spk_pipeline *p, spki_hand *h, int64_t now, spki_pick *pick)
{
    for (;;) {
        bool overdue = (h->picks + 1) % p->desc.overdue_share == 0;
        if (overdue) spki_pick_look(p, h, now, true, pick);
        if (!overdue || !pick->found) spki_pick_look(p, h, now, false, pick);
        if (!pick->found) return false;
        pick->queue = spki_queue_index(p, pick->stage, pick->lane, pick->level);
        if (!spki_pick_claim(p, pick)) continue;
        h->picks++;
        return true;
    }
}

/* Does anything more urgent than this level wait? */
SPKI_FN bool spki_more_urgent(const spk_pipeline *p, uint32_t level)
{
    uint32_t l, s;
    for (l = 0; l < level; l++)
        for (s = 0; s < p->stages; s++)
            if (__atomic_load_n(&p->ready[s * SPKI_LEVELS + l].lanes, __ATOMIC_RELAXED))
                return true;
    return false;
}

#endif
