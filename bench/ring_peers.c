/* ---- >>ring-peers: rings of other C projects, for `make bench-peers` ----
   SPKBENCH_CK: Concurrency Kit (libck-dev); SPKBENCH_DPDK: DPDK (libdpdk-dev). */
#include "ring_race.h"

#include <stdbool.h>
#include <string.h>

#ifdef SPKBENCH_CK
#include <ck_ring.h>

CK_RING_PROTOTYPE(race, race_item)

typedef struct ck_queue {
    ck_ring_t ring;
    race_item items[];
} ck_queue;

static void *ck_open(size_t slots)
{
    size_t bytes = (sizeof(ck_queue) + slots * sizeof(race_item) + 127) / 128 * 128;
    ck_queue *q = aligned_alloc(128, bytes);
    memset(q, 0, bytes);
    ck_ring_init(&q->ring, (unsigned)slots);
    return q;
}

#define CK_PUSH(q, it) CK_RING_ENQUEUE_SPSC(race, &(q)->ring, (q)->items, &(it))
#define CK_POP(q, it) CK_RING_DEQUEUE_SPSC(race, &(q)->ring, (q)->items, &(it))
#define CK_PUSH_M(q, it) CK_RING_ENQUEUE_MPMC(race, &(q)->ring, (q)->items, &(it))
#define CK_POP_M(q, it) CK_RING_TRYDEQUEUE_MPMC(race, &(q)->ring, (q)->items, &(it))
RACE_ONE(ck, ck_queue, CK_PUSH, CK_POP)
RACE_ONE(ck_m, ck_queue, CK_PUSH_M, CK_POP_M)
#endif

#ifdef SPKBENCH_DPDK
#include <rte_ring.h>
#include <rte_ring_elem.h>

/* No environment of DPDK: the ring's own memory is all that it needs. */
static void *dpdk_open_as(size_t slots, unsigned flags)
{
    ssize_t bytes = rte_ring_get_memsize_elem(sizeof(race_item), (unsigned)slots);
    struct rte_ring *q = aligned_alloc(128, ((size_t)bytes + 127) / 128 * 128);
    memset(q, 0, (size_t)bytes);
    rte_ring_init(q, "race", (unsigned)slots, flags);
    return q;
}
static void *dpdk_spsc_open(size_t slots)
{
    return dpdk_open_as(slots, RING_F_SP_ENQ | RING_F_SC_DEQ);
}
static void *dpdk_mpmc_open(size_t slots) { return dpdk_open_as(slots, 0); }

#define DPDK_PUSH(q, it) (rte_ring_sp_enqueue_elem(q, &(it), sizeof(race_item)) == 0)
#define DPDK_POP(q, it) (rte_ring_sc_dequeue_elem(q, &(it), sizeof(race_item)) == 0)
#define DPDK_PUSH_N(q, items, n)                                                                  \
    rte_ring_sp_enqueue_burst_elem(q, items, sizeof(race_item), (unsigned)(n), NULL)
#define DPDK_POP_N(q, items, n)                                                                   \
    rte_ring_sc_dequeue_burst_elem(q, items, sizeof(race_item), (unsigned)(n), NULL)
#define DPDK_PUSH_M(q, it) (rte_ring_mp_enqueue_elem(q, &(it), sizeof(race_item)) == 0)
#define DPDK_POP_M(q, it) (rte_ring_mc_dequeue_elem(q, &(it), sizeof(race_item)) == 0)
#define DPDK_PUSH_MN(q, items, n)                                                                 \
    rte_ring_mp_enqueue_burst_elem(q, items, sizeof(race_item), (unsigned)(n), NULL)
#define DPDK_POP_MN(q, items, n)                                                                  \
    rte_ring_mc_dequeue_burst_elem(q, items, sizeof(race_item), (unsigned)(n), NULL)
RACE_ONE(dpdk, struct rte_ring, DPDK_PUSH, DPDK_POP)
RACE_ONE(dpdk_m, struct rte_ring, DPDK_PUSH_M, DPDK_POP_M)
RACE_BATCH(dpdk_32, struct rte_ring, 32, DPDK_PUSH_N, DPDK_POP_N)
RACE_BATCH(dpdk_256, struct rte_ring, 256, DPDK_PUSH_N, DPDK_POP_N)
RACE_BATCH(dpdk_m32, struct rte_ring, 32, DPDK_PUSH_MN, DPDK_POP_MN)
RACE_BATCH(dpdk_m256, struct rte_ring, 256, DPDK_PUSH_MN, DPDK_POP_MN)
#endif

static const race_case cases[] = {
#ifdef SPKBENCH_CK
    {"spsc_one", "ck_ring", 1, ck_open, free, ck_produce, ck_consume},
    {"mpmc_one", "ck_ring", 1, ck_open, free, ck_m_produce, ck_m_consume},
#endif
#ifdef SPKBENCH_DPDK
    {"spsc_one", "rte_ring", 1, dpdk_spsc_open, free, dpdk_produce, dpdk_consume},
    {"mpmc_one", "rte_ring", 1, dpdk_mpmc_open, free, dpdk_m_produce, dpdk_m_consume},
    {"spsc_32", "rte_ring burst", 32, dpdk_spsc_open, free, dpdk_32_produce, dpdk_32_consume},
    {"spsc_256", "rte_ring burst", 256, dpdk_spsc_open, free, dpdk_256_produce, dpdk_256_consume},
    {"mpmc_32", "rte_ring burst", 32, dpdk_mpmc_open, free, dpdk_m32_produce, dpdk_m32_consume},
    {"mpmc_256", "rte_ring burst", 256, dpdk_mpmc_open, free, dpdk_m256_produce,
     dpdk_m256_consume},
#endif
    {NULL, NULL, 0, NULL, NULL, NULL, NULL}};

const race_case *ring_peers_c(size_t *count)
{
    *count = sizeof cases / sizeof cases[0] - 1;
    return cases;
}
