/* ---- >>ring-peers-cc: queues of other C++ projects, for `make bench-peers` ----
   SPKBENCH_RWQ: moodycamel's ReaderWriterQueue (libreaderwriterqueue-dev); SPKBENCH_RIGTORP:
   rigtorp's SPSCQueue and MPMCQueue, whose headers the compiler has to be told the place of. */
#include "ring_race.h"

#ifdef SPKBENCH_RWQ
#include <readerwriterqueue.h>

typedef moodycamel::ReaderWriterQueue<race_item> rwq;
static void *rwq_open(size_t slots) { return new rwq(slots); }
static void rwq_close(void *queue) { delete static_cast<rwq *>(queue); }
static void *rwq_pair(size_t slots) { return new rwq *[2]{new rwq(slots), new rwq(slots)}; }
static void rwq_pair_close(void *queue)
{
    rwq **pair = static_cast<rwq **>(queue);
    delete pair[0];
    delete pair[1];
    delete[] pair;
}
#define RWQ_PUSH(q, it) (q)->try_enqueue(it)
#define RWQ_POP(q, it) (q)->try_dequeue(it)
RACE_ONE(rwq, rwq, RWQ_PUSH, RWQ_POP)
RACE_TRIP(rwq_trip, rwq, RWQ_PUSH, RWQ_POP)
#endif

#ifdef SPKBENCH_RIGTORP
#include <MPMCQueue.h>
#include <SPSCQueue.h>

typedef rigtorp::SPSCQueue<race_item> rig;
typedef rigtorp::MPMCQueue<race_item> rig_m;
template <class Q> static void *rig_open(size_t slots) { return new Q(slots); }
template <class Q> static void rig_close(void *queue) { delete static_cast<Q *>(queue); }
template <class Q> static void *rig_pair(size_t slots)
{
    return new Q *[2]{new Q(slots), new Q(slots)};
}
template <class Q> static void rig_pair_close(void *queue)
{
    Q **pair = static_cast<Q **>(queue);
    delete pair[0];
    delete pair[1];
    delete[] pair;
}
static inline bool rig_pop(rig *q, race_item &it)
{
    race_item *front = q->front();
    if (!front) return false;
    it = *front;
    q->pop();
    return true;
}
#define RIG_PUSH(q, it) (q)->try_push(it)
#define RIG_POP(q, it) rig_pop(q, it)
#define RIG_POP_M(q, it) (q)->try_pop(it)
RACE_ONE(rig, rig, RIG_PUSH, RIG_POP)
RACE_ONE(rig_m, rig_m, RIG_PUSH, RIG_POP_M)
RACE_TRIP(rig_trip, rig, RIG_PUSH, RIG_POP)
RACE_TRIP(rig_m_trip, rig_m, RIG_PUSH, RIG_POP_M)
#endif

static const race_case cases[] = {
#ifdef SPKBENCH_RWQ
    {"spsc_one", "ReaderWriterQueue", 1, rwq_open, rwq_close, rwq_produce, rwq_consume},
    {"round_trip", "ReaderWriterQueue", 0, rwq_pair, rwq_pair_close, rwq_trip_produce,
     rwq_trip_consume},
#endif
#ifdef SPKBENCH_RIGTORP
    {"spsc_one", "rigtorp SPSCQueue", 1, rig_open<rig>, rig_close<rig>, rig_produce, rig_consume},
    {"mpmc_one", "rigtorp MPMCQueue", 1, rig_open<rig_m>, rig_close<rig_m>, rig_m_produce,
     rig_m_consume},
    {"round_trip", "rigtorp SPSCQueue", 0, rig_pair<rig>, rig_pair_close<rig>, rig_trip_produce,
     rig_trip_consume},
    {"round_trip", "rigtorp MPMCQueue", 0, rig_pair<rig_m>, rig_pair_close<rig_m>,
     rig_m_trip_produce, rig_m_trip_consume},
#endif
    {nullptr, nullptr, 0, nullptr, nullptr, nullptr, nullptr}};

const race_case *ring_peers_cc(size_t *count)
{
    *count = sizeof cases / sizeof cases[0] - 1;
    return cases;
}
