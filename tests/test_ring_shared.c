/* ---- >>test-ring-shared: rings between processes, and processes that die within them ----
   A child goes through an operation one machine instruction at a time (ptrace). After each, the
   ring's memory as it is then, with the child marked as dead as the kernel would, has to be a ring
   that works; at every 16th the child is killed for good. Others are killed at random times.
   check: not under sanitizers, because single steps through their runtime take hours */
#define SPIKELIB_NO_NET
#define SPIKELIB_NO_EVENTS
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include "check.h"

#if defined(__linux__)
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define LONE_ITEMS 16 /* in a row, until letters are asked for (>>talk) */

typedef struct item {
    uint64_t number, check;
} item;

static item make(uint64_t n)
{
    item it;
    it.number = n;
    it.check = ~n;
    return it;
}

static spk_ring_desc shared_desc(spk_ring_kind kind, spk_ring_policy policy, size_t capacity)
{
    spk_ring_desc d;
    memset(&d, 0, sizeof d);
    d.kind = kind;
    d.policy = policy;
    d.capacity = capacity;
    d.shared = true;
    d.memory_size = 0;
    d.memory_size = spk_ring_bytes(&d);
    return d;
}

static spk_ring *shared_ring(spk_ring_desc *d)
{
    d->memory = mmap(NULL, d->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0);
    return spk_ring_create(d);
}

static spk_ring *attach(const spk_ring_desc *d)
{
    spk_ring_desc a;
    memset(&a, 0, sizeof a);
    a.shared = true;
    a.memory = d->memory;
    a.memory_size = d->memory_size;
    return spk_ring_attach(&a);
}

TEST(two_processes_share_a_ring_by_memory)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring_desc d = shared_desc((spk_ring_kind)kind, SPK_RING_WAIT, 100);
        spk_ring *r = shared_ring(&d);
        uint64_t n;
        int status;
        pid_t child;
        REQUIRE(r);
        CHECK_STR(spk_ring_error(r), "");
        child = fork();
        if (child == 0) {
            spk_ring *mine = attach(&d);
            for (n = 0; n < 20000; n++) {
                item it = make(n);
                if (spk_ring_push(mine, &it) != SPK_OK) _exit(1);
            }
            spk_ring_close(mine);
            spk_ring_destroy(mine);
            _exit(0);
        }
        for (n = 0;; n++) {
            item it;
            spk_result result = spk_ring_pop_until(r, &it, spk_clock_seconds() + 20.0);
            if (result == SPK_ERR_CLOSED) break;
            REQUIRE(result == SPK_OK);
            CHECK(it.number == n && it.check == ~n);
        }
        CHECK_EQ(n, 20000);
        waitpid(child, &status, 0);
        CHECK_EQ(status, 0);
        spk_ring_destroy(r);
        munmap(d.memory, d.memory_size);
    }
}

TEST(a_ring_lives_in_a_file_and_others_find_it)
{
    char path[512], text[64];
    spk_ring_desc d, a;
    spk_ring *r, *mine;
    item it = make(5);
    memset(&d, 0, sizeof d);
    memset(&a, 0, sizeof a);
    snprintf(text, sizeof text, "ring-%ld", (long)getpid());
    d.shared = a.shared = true;
    d.path = a.path = check_tmp(text, path, sizeof path);
    d.capacity = 10;
    mine = spk_ring_attach(&a);
    REQUIRE(mine);
    CHECK(spk_ring_status(mine) == SPK_ERR_IO);
    spk_ring_destroy(mine);
    r = spk_ring_create(&d);
    REQUIRE(r);
    CHECK_STR(spk_ring_error(r), "");
    mine = spk_ring_attach(&a);
    REQUIRE(mine);
    CHECK(spk_ring_push(r, &it) == SPK_OK);
    CHECK(spk_ring_pop(mine, &it) == SPK_OK && it.number == 5);
    spk_ring_destroy(mine);
    mine = spk_ring_create(&d); /* there is one already */
    CHECK(spk_ring_status(mine) == SPK_ERR_IO);
    spk_ring_destroy(mine);
    a.capacity = 11;
    mine = spk_ring_attach(&a);
    CHECK(spk_ring_status(mine) == SPK_ERR_FORMAT);
    CHECK_HAS(spk_ring_error(mine), "capacity differs");
    spk_ring_destroy(mine);
    spk_ring_destroy(r);
    a.capacity = 0;
    mine = spk_ring_attach(&a); /* the file stays */
    CHECK(spk_ring_status(mine) == SPK_OK);
    spk_ring_destroy(mine);
    CHECK(truncate(path, 1000) == 0);
    mine = spk_ring_attach(&a);
    CHECK(spk_ring_status(mine) == SPK_ERR_FORMAT);
    spk_ring_destroy(mine);
    unlink(path);
}

TEST(memory_that_holds_no_ring_is_refused)
{
    static unsigned char zero[65536] __attribute__((aligned(64)));
    spk_ring_desc d = shared_desc(SPK_RING_SPSC, SPK_RING_REFUSE, 8);
    spk_ring *r;
    size_t k;
    d.memory = zero;
    d.memory_size = sizeof zero;
    r = spk_ring_attach(&d);
    REQUIRE(r);
    CHECK(spk_ring_status(r) == SPK_ERR_FORMAT);
    spk_ring_destroy(r);
    r = spk_ring_create(&d);
    REQUIRE(r && spk_ring_status(r) == SPK_OK);
    spk_ring_destroy(r);
    for (k = 0; k < 72; k++) { /* no byte of what describes the ring may be another one */
        spk_ring *mine;
        if (k >= 64 && k < 72) continue; /* spin_us, which may be anything */
        zero[k] ^= 0x10;
        d.policy = SPK_RING_REFUSE;
        mine = spk_ring_attach(&d);
        CHECK(mine && spk_ring_status(mine) != SPK_OK);
        spk_ring_destroy(mine);
        zero[k] ^= 0x10;
    }
}

TEST(more_than_64_handles_are_refused_and_dead_ones_make_room)
{
    spk_ring_desc d = shared_desc(SPK_RING_MPMC, SPK_RING_REFUSE, 8);
    spk_ring *r = shared_ring(&d), *more;
    int k, status;
    REQUIRE(r);
    for (k = 0; k < 63; k++) {
        pid_t child = fork();
        if (child == 0) _exit(spk_ring_status(attach(&d)) == SPK_OK ? 0 : 1);
        waitpid(child, &status, 0);
        CHECK_EQ(status, 0);
    }
    more = attach(&d);
    CHECK(spk_ring_status(more) == SPK_OK);
    spk_ring_destroy(more);
    spk_ring_destroy(r);
    munmap(d.memory, d.memory_size);
}

/* -- killed at every instruction -- */

typedef enum act { PUSH, PUSH_N, SPAN, POP, POP_N, PEEK, ACTS } act;

static void perform(spk_ring *r, act what)
{
    item batch[3];
    spk_ring_span span;
    size_t n;
    batch[0] = make(100);
    batch[1] = make(101);
    batch[2] = make(102);
    switch (what) {
    case PUSH: spk_ring_push(r, batch); break;
    case PUSH_N: spk_ring_push_n(r, batch, 3); break;
    case SPAN:
        n = spk_ring_reserve(r, 3, &span);
        memcpy(span.first, batch, span.first_count * sizeof(item));
        memcpy(span.second, batch + span.first_count, span.second_count * sizeof(item));
        spk_ring_commit(r, &span, n);
        break;
    case POP: spk_ring_pop(r, batch); break;
    case POP_N: spk_ring_pop_n(r, batch, 3); break;
    default:
        n = spk_ring_peek(r, 3, &span);
        spk_ring_consume(r, &span, n);
    }
}

/* What the survivors must still be able to do: as many items as there is room for, go in and come
   out in order, several times round; whatever was there before is at most what was there. */
static void still_works(const spk_ring_desc *d, size_t before)
{
    spk_ring *r = attach(d);
    uint64_t in = 1000, out = 1000, old = 0;
    int round, idle;
    item it;
    CHECK(r && spk_ring_status(r) == SPK_OK);
    if (!r || spk_ring_status(r) != SPK_OK) return;
    for (idle = 0; idle < 200; idle++) {
        while (spk_ring_pop(r, &it) == SPK_OK) {
            CHECK(it.check == ~it.number && it.number < 103);
            old++;
            idle = 0;
        }
    }
    CHECK(old <= before + 3);
    if (d->kind == SPK_RING_SPSC) CHECK_EQ(spk_ring_count(r), 0);
    for (round = 0; round < 6; round++) {
        for (idle = 0; idle < 200 && in - out < d->capacity; idle++) {
            it = make(in);
            if (spk_ring_push(r, &it) == SPK_OK) {
                in++;
                idle = 0;
            }
        }
        CHECK_EQ(in - out, d->capacity);
        for (idle = 0; idle < 200 && out < in; idle++) {
            if (spk_ring_pop(r, &it) != SPK_OK) continue;
            /* Until the dead one's slot has been cleaned up, overwriting may hit a new item. */
            if (d->policy == SPK_RING_OVERWRITE && round < 3 && it.number > out) out = it.number;
            CHECK(it.number == out && it.check == ~out);
            out++;
            idle = 0;
        }
        CHECK_EQ(in, out);
    }
    spk_ring_destroy(r);
}

typedef struct progress {
    volatile int begun, done;
} progress;

/* A child that stops before the operation, all its functions linked and its memory touched. */
static pid_t stopped_child(const spk_ring_desc *d, act what, progress *at)
{
    pid_t child = fork();
    int status;
    if (child == 0) {
        spk_ring_desc own;
        spk_ring *mine = attach(d), *warm;
        memset(&own, 0, sizeof own);
        own.kind = d->kind;
        own.policy = d->policy;
        own.capacity = 5;
        warm = spk_ring_create(&own);
        perform(warm, PUSH);
        perform(warm, what);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(3);
        raise(SIGSTOP);
        at->begun = 1;
        perform(mine, what);
        at->done = 1;
        for (;;) pause();
    }
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return -1;
    return child;
}

static int step(pid_t child)
{
    int status;
    if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0) return 0;
    return waitpid(child, &status, 0) == child && WIFSTOPPED(status);
}

static void end(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

/* What the kernel does with a robust mutex (Linux, robust-futex ABI): the word, which holds the
   owner's thread id, becomes FUTEX_OWNER_DIED. */
static void pretend_dead(spk_ring_desc *d, pid_t child)
{
    spki_ring_control *c = (spki_ring_control *)d->memory;
    spki_ring_parties *all = (spki_ring_parties *)(void *)(c + 1);
    size_t k;
    for (k = 0; d->kind == SPK_RING_MPMC && k < sizeof all->party / sizeof all->party[0]; k++) {
        uint32_t word;
        memcpy(&word, &all->party[k].alive, sizeof word);
        if ((word & 0x3fffffffu) != (uint32_t)child) continue;
        word = 0x40000000u;
        memcpy(&all->party[k].alive, &word, sizeof word);
    }
}

/* `lone` items one by one before, each popped before the next one comes. */
static spk_ring *fresh(spk_ring_desc *d, uint64_t start, size_t lone, size_t before)
{
    spk_ring *r = shared_ring(d);
    size_t k;
    CHECK(r && spk_ring_status(r) == SPK_OK);
    if (!r || spk_ring_status(r) != SPK_OK) return NULL;
    spki_ring_start_at(r, start);
    for (k = 0; k < lone; k++) {
        item it = make(k);
        CHECK(spk_ring_push(r, &it) == SPK_OK && spk_ring_pop(r, &it) == SPK_OK);
    }
    if (d->kind == SPK_RING_SPSC) CHECK_EQ(r->control->talking, lone >= LONE_ITEMS);
    for (k = 0; k < before; k++) {
        item it = make(k);
        CHECK(spk_ring_push(r, &it) == SPK_OK);
    }
    return r;
}

/* -1: no ptrace here. */
static int kill_everywhere(spk_ring_kind kind, spk_ring_policy policy, act what, uint64_t start,
                           size_t lone, size_t before)
{
    spk_ring_desc d = shared_desc(kind, policy, 5), copy = d;
    progress *at = (progress *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                                    -1, 0);
    spk_ring *r = fresh(&d, start, lone, before);
    pid_t child;
    int points = 0, k, n;
    if (!r) return 0;
    copy.memory = aligned_alloc(64, d.memory_size);
    child = stopped_child(&d, what, at);
    if (child < 0) return -1;
    while (!at->begun)
        if (!step(child)) return -1;
    for (; !at->done && !check_failures; points++) {
        memcpy(copy.memory, d.memory, d.memory_size);
        pretend_dead(&copy, child);
        still_works(&copy, before);
        if (!step(child)) return -1;
    }
    end(child);
    spk_ring_destroy(r);
    munmap(d.memory, d.memory_size);
    for (n = 8; n < points && !check_failures; n += 16) {
        r = fresh(&d, start, lone, before);
        at->begun = at->done = 0;
        child = r ? stopped_child(&d, what, at) : -1;
        if (child < 0) return -1;
        while (!at->begun)
            if (!step(child)) return -1;
        for (k = 0; k < n; k++)
            if (!step(child)) return -1;
        end(child);
        still_works(&d, before);
        spk_ring_destroy(r);
        munmap(d.memory, d.memory_size);
    }
    if (check_failures)
        printf("operation %d of kind %d, policy %d, instruction %d or %d\n", (int)what, (int)kind,
               (int)policy, points, n);
    CHECK(points > 20);
    free(copy.memory);
    munmap((void *)at, 4096);
    return 1;
}

TEST(a_process_killed_at_any_instruction_of_spsc_leaves_the_ring_usable)
{
    int what;
    for (what = 0; what < ACTS; what++)
        if (kill_everywhere(SPK_RING_SPSC, SPK_RING_REFUSE, (act)what, 3, 0, 2) < 0)
            SKIP("no ptrace here");
}

TEST(a_process_killed_at_any_instruction_of_a_dialogue_leaves_the_ring_usable)
{
    size_t before;
    int what;
    for (before = 0; before < 3; before++)
        for (what = 0; what < ACTS; what += POP - PUSH)
            if (kill_everywhere(SPK_RING_SPSC, SPK_RING_REFUSE, (act)what, 3, 20, before) < 0)
                SKIP("no ptrace here");
}

TEST(a_process_killed_at_any_instruction_of_mpmc_leaves_the_ring_usable)
{
    int what;
    for (what = 0; what < ACTS; what++)
        if (kill_everywhere(SPK_RING_MPMC, SPK_RING_REFUSE, (act)what, UINT64_C(0xfffffffd), 0, 2) <
            0)
            SKIP("no ptrace here");
}

TEST(a_process_killed_while_overwriting_leaves_the_ring_usable)
{
    if (kill_everywhere(SPK_RING_MPMC, SPK_RING_OVERWRITE, PUSH, 6, 0, 5) < 0)
        SKIP("no ptrace here");
}

/* -- killed at random times, while others work -- */

static void worker(const spk_ring_desc *d, int role)
{
    spk_ring *r = attach(d);
    item batch[8];
    uint64_t n;
    if (!r || spk_ring_status(r) != SPK_OK) _exit(1);
    for (n = 0;; n++) {
        int k;
        if (role == 0) {
            for (k = 0; k < 8; k++) batch[k] = make(n * 8 + (uint64_t)k);
            spk_ring_push_n(r, batch, 1 + n % 8);
        } else {
            size_t got = spk_ring_pop_n(r, batch, 1 + n % 8), i;
            for (i = 0; i < got; i++)
                if (batch[i].check != ~batch[i].number) _exit(2);
        }
    }
}

TEST(processes_killed_at_random_times_leave_an_mpmc_ring_usable)
{
    spk_ring_desc d = shared_desc(SPK_RING_MPMC, SPK_RING_REFUSE, 64);
    spk_ring *r = shared_ring(&d);
    spk_ring_info info;
    pid_t child[4];
    uint32_t seed = 1;
    int round, k, status;
    REQUIRE(r && spk_ring_status(r) == SPK_OK);
    for (k = 0; k < 4; k++) {
        child[k] = fork();
        if (child[k] == 0) worker(&d, k & 1);
    }
    for (round = 0; round < 60; round++) {
        struct timespec t = {0, 0};
        seed = seed * 1664525u + 1013904223u;
        t.tv_nsec = (long)(seed >> 8) % 3000000;
        nanosleep(&t, NULL);
        k = round % 4;
        kill(child[k], SIGKILL);
        waitpid(child[k], &status, 0);
        CHECK(WIFSIGNALED(status)); /* not: ended with a torn item */
        child[k] = fork();
        if (child[k] == 0) worker(&d, k & 1);
    }
    for (k = 0; k < 4; k++) {
        kill(child[k], SIGKILL);
        waitpid(child[k], &status, 0);
        CHECK(WIFSIGNALED(status));
    }
    {
        item it;
        uint64_t in = 0, out = 0;
        int idle;
        for (idle = 0; idle < 300; idle++)
            while (spk_ring_pop(r, &it) == SPK_OK) CHECK(it.check == ~it.number);
        for (k = 0; k < 5; k++) {
            for (idle = 0; idle < 300 && in - out < 64; idle++) {
                it = make(in);
                if (spk_ring_push(r, &it) == SPK_OK) in++;
            }
            CHECK_EQ(in - out, 64);
            for (idle = 0; idle < 300 && out < in; idle++)
                if (spk_ring_pop(r, &it) == SPK_OK) CHECK_EQ(it.number, out++);
            CHECK_EQ(in, out);
        }
    }
    CHECK(spk_ring_get_info(r, &info) == SPK_OK);
    CHECK(info.recovered >= 1);
    spk_ring_destroy(r);
    munmap(d.memory, d.memory_size);
}
#else
TEST(rings_between_processes) { SKIP("not on this system"); }
#endif

TEST_MAIN()
