/* ---- >>test-ring-signals: rings in signal handlers and across fork ---- */
#include "../spikelib.h"

#include "check.h"

#if !defined(_WIN32)
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct item {
    uint64_t number, check;
} item;

static item make(uint64_t number)
{
    item it;
    it.number = number;
    it.check = ~number;
    return it;
}

/* What a handler can see. */
static struct {
    spk_ring *ring;
    uint64_t made, taken;
    volatile sig_atomic_t signals;
    int wrong;
} here;

/* As many as fit of a batch, then single ones and a span. */
static void handler_pushes(int signal)
{
    item batch[3];
    spk_ring_span span;
    int k;
    (void)signal;
    for (k = 0; k < 3; k++) batch[k] = make(here.made + (uint64_t)k);
    here.made += spk_ring_push_n(here.ring, batch, 3);
    batch[0] = make(here.made);
    here.made += spk_ring_try_push(here.ring, batch) == SPK_OK;
    if (spk_ring_reserve(here.ring, 1, &span) == 1) {
        batch[0] = make(here.made);
        memcpy(span.first, batch, sizeof batch[0]);
        here.made += spk_ring_commit(here.ring, &span, 1) == SPK_OK;
    }
    here.signals++;
}

static void see(const item *it, size_t count)
{
    for (; count > 0; count--, it++) {
        here.wrong += it->number != here.taken || it->check != ~it->number;
        here.taken++;
    }
}

static void handler_pops(int signal)
{
    item batch[3];
    (void)signal;
    see(batch, spk_ring_pop_n(here.ring, batch, 3));
    if (spk_ring_pop(here.ring, batch) == SPK_OK) see(batch, 1);
    here.signals++;
}

static bool on_alarm(void (*handler)(int), suseconds_t every_us)
{
    struct sigaction action;
    struct itimerval timer;
    memset(&action, 0, sizeof action);
    memset(&timer, 0, sizeof timer);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    timer.it_interval.tv_usec = timer.it_value.tv_usec = every_us;
    return sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0;
}

static void begin(size_t capacity)
{
    spk_ring_desc d;
    memset(&d, 0, sizeof d);
    memset(&here, 0, sizeof here);
    d.capacity = capacity;
    here.ring = spk_ring_create(&d);
}

/* Enough of them came, and all that was made has been taken, in order. */
static void end_of_alarms(void)
{
    item last;
    CHECK(on_alarm(SIG_IGN, 0));
    CHECK(here.signals > 100);
    while (spk_ring_pop(here.ring, &last) == SPK_OK) see(&last, 1);
    CHECK_EQ(here.wrong, 0);
    CHECK_EQ(here.taken, here.made);
    CHECK(here.made > 0);
    spk_ring_destroy(here.ring);
}

/* The other side is interrupted between any two of its instructions, on its own thread: a lock, or
   anything that waits for it, would hang here. */
TEST(a_handler_is_the_producer)
{
    const double end = spk_clock_seconds() + 10.0;
    item batch[2];
    begin(8);
    REQUIRE(here.ring && on_alarm(handler_pushes, 50));
    while (here.signals < 2000 && spk_clock_seconds() < end) {
        see(batch, spk_ring_pop_n(here.ring, batch, 2));
        if (spk_ring_pop(here.ring, batch) == SPK_OK) see(batch, 1);
    }
    end_of_alarms();
}

TEST(a_handler_is_the_consumer)
{
    const double end = spk_clock_seconds() + 10.0;
    item batch[2];
    begin(8);
    REQUIRE(here.ring && on_alarm(handler_pops, 50));
    while (here.signals < 2000 && spk_clock_seconds() < end) {
        batch[0] = make(here.made);
        batch[1] = make(here.made + 1);
        here.made += spk_ring_push_n(here.ring, batch, 2);
        batch[0] = make(here.made);
        here.made += spk_ring_push(here.ring, batch) == SPK_OK;
    }
    end_of_alarms();
}

/* In the child: what the parent had pushed, then a full ring of its own, waiting and closing. */
static int child_works(spk_ring *r, uint64_t pushed, size_t capacity)
{
    uint64_t n;
    item it;
    for (n = 0; n < pushed; n++)
        if (spk_ring_pop(r, &it) != SPK_OK || it.number != n || it.check != ~n) return 1;
    for (n = 0; n < capacity; n++) {
        it = make(100 + n);
        if (spk_ring_push(r, &it) != SPK_OK) return 2;
    }
    if (spk_ring_push_until(r, &it, spk_clock_seconds() + 0.01) != SPK_ERR_TIMEOUT) return 3;
    if (spk_ring_pop(r, &it) != SPK_OK || it.number != 100) return 4;
    return spk_ring_close(r) == SPK_OK ? 0 : 5;
}

TEST(parent_and_child_each_have_a_private_ring_of_their_own)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring_desc d;
        spk_ring *r;
        item it;
        uint64_t n;
        int status = -1;
        pid_t child;
        memset(&d, 0, sizeof d);
        d.kind = (spk_ring_kind)kind;
        d.capacity = 5;
        r = spk_ring_create(&d);
        REQUIRE(r);
        for (n = 0; n < 3; n++) {
            it = make(n);
            CHECK(spk_ring_push(r, &it) == SPK_OK);
        }
        child = fork();
        if (child == 0) _exit(child_works(r, 3, 5));
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_EQ(status, 0);
        it = make(3);
        CHECK(spk_ring_push(r, &it) == SPK_OK);
        for (n = 0; n < 4; n++) CHECK(spk_ring_pop(r, &it) == SPK_OK && it.number == n);
        CHECK(spk_ring_pop(r, &it) == SPK_ERR_AGAIN);
        spk_ring_destroy(r);
    }
}
#else
TEST(signals_and_fork) { SKIP("not on this system"); }
#endif

TEST_MAIN()
