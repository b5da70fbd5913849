/* ---- >>pipeline-worker: threads that run batches, spin a little, and sleep ---- */
#ifndef SPIKELIB_PIPELINE_WORKER_H
#define SPIKELIB_PIPELINE_WORKER_H

#include "run.h"

/* Runs one batch if there is one; else says when there may be. */
SPKI_FN bool spki_hand_work(spk_pipeline *p, spki_hand *h, int64_t *wake_ns)
{
    spki_pick pick;
    int64_t now = spki_now(p);
    if (!spki_pick_take(p, h, now, &pick)) {
        *wake_ns = pick.wake_ns == INT64_MAX ? INT64_MAX : pick.wake_ns - now;
        return false;
    }
    if (pick.more) spki_wake_workers(p);
    spki_run_queue(p, h, &pick, now);
    return true;
}

SPKI_FN bool spki_anything_ready(const spk_pipeline *p)
{
    uint32_t k;
    for (k = 0; k < p->stages * SPKI_LEVELS; k++)
        if (__atomic_load_n(&p->ready[k].lanes, __ATOMIC_RELAXED)) return true;
    return false;
}

#if !defined(SPIKELIB_NO_THREADS)
/* Looks on for a short while: work that comes within it costs no waking. True: it has worked. */
SPKI_FN bool spki_hand_spin(spk_pipeline *p, spki_hand *h)
{
    double until = spk_clock_seconds() + 1e-9 * (double)p->spin_ns;
    int64_t wait;
    uint32_t k;
    do {
        for (k = 0; k < 16; k++) spki_ring_relax();
        if (spki_anything_ready(p) && spki_hand_work(p, h, &wait)) return true;
    } while (!__atomic_load_n(&p->quit, __ATOMIC_RELAXED) && spk_clock_seconds() < until);
    return false;
}

/* Sleeps until there may be work. To wake a thread costs whoever submits 10 to 150 us, more where
   it takes over the submitter's CPU. So only the last one awake asks to be woken, and not before
   all have napped twice and found nothing; the others nap, and look again. */
#define SPKI_HAND_NAP 0.0001

SPKI_FN void spki_hand_park(spk_pipeline *p, spki_hand *h)
{
    uint32_t epoch = __atomic_load_n(&p->epoch, __ATOMIC_SEQ_CST);
    int64_t wait = INT64_MAX;
    double most = SPKI_HAND_NAP;
    uint32_t naps = __atomic_add_fetch(&p->naps, 1, __ATOMIC_RELAXED);
    h->napping = true;
    if (__atomic_fetch_sub(&p->awake, 1, __ATOMIC_SEQ_CST) == 1 && naps > 2 * p->hands) {
        __atomic_store_n(&p->asleep, 1, __ATOMIC_SEQ_CST);
        most = SPKI_RING_NAP;
    }
    if (!spki_hand_work(p, h, &wait) && !__atomic_load_n(&p->quit, __ATOMIC_SEQ_CST))
        spki_ring_sleep(&p->lot, &p->epoch, epoch, SPKI_MIN(most, 1e-9 * (double)wait), false);
    __atomic_fetch_add(&p->awake, 1, __ATOMIC_SEQ_CST);
}

SPKI_FN void spki_hand_loop(void *arg)
{
    spki_hand *h = (spki_hand *)arg;
    spk_pipeline *p = h->p;
    int64_t wait;
    while (!__atomic_load_n(&p->quit, __ATOMIC_ACQUIRE)) {
        if (!spki_hand_work(p, h, &wait) && (h->napping || !spki_hand_spin(p, h))) {
            spki_hand_park(p, h);
            continue;
        }
        h->napping = false;
        if (__atomic_load_n(&p->naps, __ATOMIC_RELAXED))
            __atomic_store_n(&p->naps, 0, __ATOMIC_RELAXED);
    }
}

SPKI_FN void spki_hands_end(spk_pipeline *p)
{
    uint32_t k;
    __atomic_store_n(&p->quit, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&p->epoch, 1, __ATOMIC_SEQ_CST);
    spki_ring_wake(&p->lot, &p->epoch, false);
    for (k = 0; k < p->threads; k++) spki_thread_join(&p->hand[k].thread);
    p->threads = 0;
}

SPKI_FN spk_result spki_hands_begin(spk_pipeline *p)
{
    if (p->desc.manual) return SPK_OK;
    p->awake = p->hands;
    for (p->threads = 0; p->threads < p->hands; p->threads++) {
        spki_hand *h = &p->hand[p->threads];
        if (spki_thread_start(&h->thread, spki_hand_loop, h)) continue;
        spki_hands_end(p);
        return spki_pipeline_fail(p, SPK_ERR_THREAD, "start: worker %u of %u could not be started",
                                  p->threads + 1, p->hands);
    }
    return SPK_OK;
}
#else
SPKI_FN void spki_hands_end(spk_pipeline *p)
{
    p->quit = 1;
}

SPKI_FN spk_result spki_hands_begin(spk_pipeline *p)
{
    if (p->desc.manual) return SPK_OK;
    return spki_pipeline_fail(p, SPK_ERR_UNSUPPORTED,
                              "start: SPIKELIB_NO_THREADS knows only pipelines with `manual`");
}
#endif

#endif
