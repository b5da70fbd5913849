/* ---- >>policy: backoff, CoDel, breaker, concurrency limit, without threads ---- */
#ifndef SPIKELIB_PIPELINE_POLICY_H
#define SPIKELIB_PIPELINE_POLICY_H

#include "../api/pipeline.h"
#include "../core/base.h"
#include "../core/philox.h"

/* -- backoff -- */

/* The delay before retry `attempt` (from 1): base doubled each time, at most `max`, less a random
   part of it. `jitter16`: that part in 1/65,536. The random number has the address (serial,
   attempt, stage), so a run can be repeated. */
SPKI_FN int64_t spki_backoff_ns(int64_t base, int64_t max, uint32_t jitter16, uint32_t attempt,
                                uint64_t serial, uint32_t stage, uint64_t seed)
{
    uint32_t random[4];
    uint32_t doublings = attempt > 0 ? attempt - 1 : 0;
    int64_t delay = doublings >= 40 || base > (max >> doublings) ? max : base << doublings;
    uint64_t part = ((uint64_t)delay * jitter16) >> 16;
    spki_philox((uint32_t)serial, (uint32_t)(serial >> 32), attempt, stage, (uint32_t)seed,
                (uint32_t)(seed >> 32), random);
    return delay - (int64_t)((part * (random[0] >> 16)) >> 16);
}

/* -- CoDel -- */

/* Source: Nichols, Jacobson, McGregor, Iyengar, RFC 8289 (2018), section 5. One for each queue, as
   in RFC 8290. */
typedef struct spki_codel {
    int64_t first_above_ns, drop_next_ns; /* first_above_ns 0: below the target */
    uint32_t count, last_count;
    bool dropping, just_dropped;
} spki_codel;

/* Floor of the square root, by bits. */
SPKI_FN uint64_t spki_root(uint64_t x)
{
    uint64_t root = 0, bit = (uint64_t)1 << 62;
    while (bit > x) bit >>= 2;
    for (; bit; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/* interval / sqrt(count), rounded down. The interval is at most 4 s, so that its square fits. */
SPKI_FN int64_t spki_codel_step(int64_t interval, uint32_t count)
{
    return (int64_t)spki_root((uint64_t)interval * (uint64_t)interval / count);
}

/* Has the waiting time been above the target for an interval? */
SPKI_FN bool spki_codel_above(spki_codel *c, int64_t target, int64_t interval, int64_t now,
                              int64_t waited, bool last)
{
    if (waited < target || last) {
        c->first_above_ns = 0;
        return false;
    }
    if (c->first_above_ns == 0) {
        c->first_above_ns = now + interval;
        return false;
    }
    return now >= c->first_above_ns;
}

/* A new dropping state: where the last one ended a short time ago, at the rate that it had. */
SPKI_FN void spki_codel_begin(spki_codel *c, int64_t interval, int64_t now)
{
    uint32_t delta = c->count - c->last_count;
    c->dropping = true;
    c->count = delta > 1 && now - c->drop_next_ns < 16 * interval ? delta : 1;
    c->drop_next_ns = now + spki_codel_step(interval, c->count);
    c->last_count = c->count;
}

/* Should what was just taken from the queue be dropped? `waited`: its time in the queue; `last`:
   the queue is empty now. The law of RFC 8289 is meant for senders that slow down; a sensor does
   not, so while dropping, what has waited longer than half an interval goes too. */
SPKI_FN bool spki_codel_drop(spki_codel *c, int64_t target, int64_t interval, int64_t now,
                             int64_t waited, bool last)
{
    bool above = spki_codel_above(c, target, interval, now, waited, last);
    bool again = c->just_dropped;
    c->just_dropped = false;
    if (!c->dropping) {
        if (!above) return false;
        spki_codel_begin(c, interval, now);
        return true;
    }
    if (!above) {
        c->dropping = false;
        return false;
    }
    if (again) c->drop_next_ns += spki_codel_step(interval, c->count);
    if (now >= c->drop_next_ns) {
        c->count++;
        c->just_dropped = true;
        return true;
    }
    return waited > interval / 2;
}

/* -- circuit breaker -- */

#define SPKI_BREAKER_WINDOW 1024u
#define SPKI_BREAKER_TRIALS 32u
/* Answers of spki_breaker_ask that are not a trial's number. */
#define SPKI_PERMIT_NONE (-1)
#define SPKI_PERMIT_FREE (-2)

typedef struct spki_breaker_rule {
    double failures, slow; /* shares that open it; failures 0: no breaker */
    uint32_t window, minimum, trials;
    int64_t open_ns, permit_ns;
} spki_breaker_rule;

/* The states and defaults are those of resilience4j; the difference is that each trial of the
   half-open state has to be back in time: one that is lost counts as failed, so that the breaker
   cannot stay half-open for ever. */
typedef struct spki_breaker {
    spk_breaker_state state;
    uint32_t calls, at, failed, slow; /* the window: a ring of outcomes and their sums */
    uint32_t trials_begun, trials_ended, trials_failed, trials_slow;
    uint32_t outstanding; /* one bit a trial under way */
    uint32_t round;       /* counts half-open states: an answer may come too late */
    uint64_t opened;
    int64_t open_until_ns;
    int64_t expires_ns[SPKI_BREAKER_TRIALS];
    uint64_t failed_bits[SPKI_BREAKER_WINDOW / 64], slow_bits[SPKI_BREAKER_WINDOW / 64];
} spki_breaker;

SPKI_FN void spki_breaker_open(spki_breaker *b, const spki_breaker_rule *rule, int64_t now)
{
    b->state = SPK_BREAKER_OPEN;
    b->open_until_ns = now + rule->open_ns;
    b->outstanding = 0;
    b->round++;
    b->opened++;
}

SPKI_FN void spki_breaker_close(spki_breaker *b)
{
    b->state = SPK_BREAKER_CLOSED;
    b->calls = b->at = b->failed = b->slow = 0;
    memset(b->failed_bits, 0, sizeof b->failed_bits);
    memset(b->slow_bits, 0, sizeof b->slow_bits);
}

SPKI_FN bool spki_breaker_too_bad(const spki_breaker_rule *rule, uint32_t calls, uint32_t failed,
                                  uint32_t slow)
{
    return (double)failed >= rule->failures * (double)calls ||
           (double)slow >= rule->slow * (double)calls;
}

/* One trial more is over. The last one decides. */
SPKI_FN void spki_breaker_trial(spki_breaker *b, const spki_breaker_rule *rule, int64_t now,
                                bool failed, bool slow)
{
    b->trials_ended++;
    b->trials_failed += failed;
    b->trials_slow += slow;
    if (b->trials_ended < rule->trials) return;
    if (spki_breaker_too_bad(rule, rule->trials, b->trials_failed, b->trials_slow))
        spki_breaker_open(b, rule, now);
    else
        spki_breaker_close(b);
}

SPKI_FN void spki_breaker_expire(spki_breaker *b, const spki_breaker_rule *rule, int64_t now)
{
    uint32_t k;
    for (k = 0; k < rule->trials && b->state == SPK_BREAKER_HALF_OPEN; k++) {
        if ((b->outstanding >> k & 1u) == 0 || now < b->expires_ns[k]) continue;
        b->outstanding &= ~(1u << k);
        spki_breaker_trial(b, rule, now, true, false);
    }
}

/* May a call begin? A trial's permit is its round * 32 + its number. */
SPKI_FN int64_t spki_breaker_ask(spki_breaker *b, const spki_breaker_rule *rule, int64_t now)
{
    uint32_t k;
    if (b->state == SPK_BREAKER_OPEN && now >= b->open_until_ns) {
        b->state = SPK_BREAKER_HALF_OPEN;
        b->trials_begun = b->trials_ended = b->trials_failed = b->trials_slow = 0;
        b->outstanding = 0;
    }
    if (b->state == SPK_BREAKER_HALF_OPEN) spki_breaker_expire(b, rule, now);
    if (b->state == SPK_BREAKER_CLOSED) return SPKI_PERMIT_FREE;
    if (b->state == SPK_BREAKER_OPEN || b->trials_begun >= rule->trials) return SPKI_PERMIT_NONE;
    k = b->trials_begun++;
    b->outstanding |= 1u << k;
    b->expires_ns[k] = now + rule->permit_ns;
    return (int64_t)b->round * SPKI_BREAKER_TRIALS + k;
}

/* When asking again makes sense. */
SPKI_FN int64_t spki_breaker_when(const spki_breaker *b, int64_t now)
{
    int64_t when = now + 1000000; /* a trial may be back soon */
    uint32_t k;
    if (b->state == SPK_BREAKER_OPEN) return b->open_until_ns;
    if (b->state == SPK_BREAKER_CLOSED) return now;
    for (k = 0; k < SPKI_BREAKER_TRIALS; k++)
        if (b->outstanding >> k & 1u) when = SPKI_MIN(when, b->expires_ns[k]);
    return when;
}

/* The outcome of a call that the closed breaker let through. */
SPKI_FN void spki_breaker_count(spki_breaker *b, const spki_breaker_rule *rule, int64_t now,
                                bool failed, bool slow)
{
    uint32_t word = b->at / 64;
    uint64_t bit = (uint64_t)1 << b->at % 64;
    if (b->state != SPK_BREAKER_CLOSED) return;
    if (b->calls == rule->window) {
        b->failed -= (b->failed_bits[word] & bit) != 0;
        b->slow -= (b->slow_bits[word] & bit) != 0;
    } else {
        b->calls++;
    }
    b->failed_bits[word] = failed ? b->failed_bits[word] | bit : b->failed_bits[word] & ~bit;
    b->slow_bits[word] = slow ? b->slow_bits[word] | bit : b->slow_bits[word] & ~bit;
    b->failed += failed;
    b->slow += slow;
    b->at = b->at + 1 == rule->window ? 0 : b->at + 1;
    if (b->calls >= rule->minimum && spki_breaker_too_bad(rule, b->calls, b->failed, b->slow))
        spki_breaker_open(b, rule, now);
}

SPKI_FN void spki_breaker_report(spki_breaker *b, const spki_breaker_rule *rule, int64_t permit,
                                 int64_t now, bool failed, bool slow)
{
    uint32_t k = (uint32_t)((uint64_t)permit % SPKI_BREAKER_TRIALS);
    if (permit < 0) {
        spki_breaker_count(b, rule, now, failed, slow);
        return;
    }
    if (b->state != SPK_BREAKER_HALF_OPEN || permit / SPKI_BREAKER_TRIALS != (int64_t)b->round)
        return;
    spki_breaker_expire(b, rule, now);
    if (b->state != SPK_BREAKER_HALF_OPEN || (b->outstanding >> k & 1u) == 0) return;
    b->outstanding &= ~(1u << k);
    spki_breaker_trial(b, rule, now, failed, slow);
}

/* -- concurrency limit -- */

/* Gradient2 of Netflix's concurrency-limits: the limit shrinks as the short-term time of a call
   grows over its long-term average by more than the tolerance (1.5), and grows by `room` otherwise.
   Their constants, but room 1 for their 4: a machine has tens of threads, not hundreds. */
typedef struct spki_limiter {
    double limit, long_ns;
    uint32_t samples;
} spki_limiter;

SPKI_FN void spki_limiter_sample(spki_limiter *l, double ns, uint32_t running, double most)
{
    double gradient, next;
    if (ns <= 0.0) return;
    if (l->samples < 10) { /* the plain mean until the average has some history */
        l->samples++;
        l->long_ns += (ns - l->long_ns) / (double)l->samples;
    } else {
        l->long_ns += (ns - l->long_ns) * (2.0 / 601.0);
    }
    if (l->long_ns > 2.0 * ns) l->long_ns *= 0.95;
    if ((double)running < 0.5 * l->limit) return;
    gradient = 1.5 * l->long_ns / ns;
    gradient = SPKI_MAX(0.5, SPKI_MIN(1.0, gradient));
    next = l->limit * gradient + 1.0;
    l->limit = 0.8 * l->limit + 0.2 * next;
    l->limit = SPKI_MAX(1.0, SPKI_MIN(most, l->limit));
}

#endif
