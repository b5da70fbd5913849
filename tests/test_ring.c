/* ---- >>test-ring: one thread: order, room, policies, spans, wrap, closing, errors ---- */
#define SPIKELIB_NO_NET
#define SPIKELIB_NO_EVENTS
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include "check.h"

#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define LONE_ITEMS 16 /* in a row, until letters are asked for */

typedef struct item {
    uint64_t number, check;
} item;

static item make(uint64_t n)
{
    item it;
    it.number = n;
    it.check = n * UINT64_C(0x9E3779B97F4A7C15) + 1;
    return it;
}

static int whole(const item *it, uint64_t n)
{
    item want = make(n);
    return memcmp(it, &want, sizeof want) == 0;
}

static spk_ring *new_ring(spk_ring_kind kind, spk_ring_policy policy, size_t capacity)
{
    spk_ring_desc d;
    memset(&d, 0, sizeof d);
    d.kind = kind;
    d.policy = policy;
    d.capacity = capacity;
    return spk_ring_create(&d);
}

/* Pushes numbers from *in on until it fails; pops from *out on, each of which has to be right. */
static size_t push_some(spk_ring *r, uint64_t *in, size_t most)
{
    size_t n;
    for (n = 0; n < most; n++) {
        item it = make(*in);
        if (spk_ring_push(r, &it) != SPK_OK) break;
        ++*in;
    }
    return n;
}

static size_t pop_some(spk_ring *r, uint64_t *out, size_t most)
{
    size_t n;
    for (n = 0; n < most; n++) {
        item it;
        if (spk_ring_pop(r, &it) != SPK_OK) break;
        CHECK(whole(&it, *out));
        ++*out;
    }
    return n;
}

TEST(exactly_the_capacity_asked_for_fits)
{
    static const size_t capacities[] = {1, 2, 3, 4, 5, 7, 8, 100, 1000, 1024, 65536};
    size_t k;
    int kind;
    for (kind = 0; kind < 2; kind++)
        for (k = 0; k < sizeof capacities / sizeof capacities[0]; k++) {
            spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_REFUSE, capacities[k]);
            uint64_t in = 0, out = 0;
            int round;
            REQUIRE(r);
            CHECK_EQ(spk_ring_capacity(r), capacities[k]);
            for (round = 0; round < 5; round++) {
                item it = make(0);
                CHECK_EQ(push_some(r, &in, 1 << 20), capacities[k]);
                CHECK(spk_ring_push(r, &it) == SPK_ERR_AGAIN);
                CHECK_EQ(spk_ring_count(r), capacities[k]);
                CHECK_EQ(pop_some(r, &out, 1), 1);
                CHECK_EQ(push_some(r, &in, 1 << 20), 1);
                CHECK_EQ(pop_some(r, &out, 1 << 20), capacities[k]);
                CHECK(spk_ring_pop(r, &it) == SPK_ERR_AGAIN);
            }
            spk_ring_destroy(r);
        }
}

TEST(defaults_are_65536_events_of_16_bytes)
{
    spk_ring_desc d;
    spk_ring *r = spk_ring_create(NULL);
    spk_ring_info info;
    REQUIRE(r);
    CHECK(spk_ring_get_info(r, &info) == SPK_OK);
    CHECK_EQ(info.capacity, 65536);
    CHECK_EQ(info.item_size, 16);
    spk_ring_destroy(r);
    memset(&d, 0, sizeof d);
    CHECK(spk_ring_desc_defaults(&d) == SPK_OK);
    CHECK_EQ(d.capacity, 65536);
    CHECK(d.policy == SPK_RING_REFUSE && d.kind == SPK_RING_SPSC);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Against a model: numbers in order, and how many there are. Every way in and out. */
static void random_walk(spk_ring *r, size_t capacity, uint32_t seed, int steps)
{
    static item batch[4096];
    uint64_t in = 0, out = 0;
    const int mpmc = r->own->mpmc;
    for (; steps > 0; steps--) {
        const size_t want = 1 + next_random(&seed) % (capacity + capacity / 2 + 2);
        const size_t room = capacity - (size_t)(in - out), there = (size_t)(in - out);
        spk_ring_span span;
        size_t n, k, some;
        switch (next_random(&seed) % 6) {
        case 0: CHECK_EQ(push_some(r, &in, want), LEAST(want, room)); break;
        case 1: CHECK_EQ(pop_some(r, &out, want), LEAST(want, there)); break;
        case 2:
            for (k = 0; k < want; k++) batch[k] = make(in + k);
            n = spk_ring_push_n(r, batch, want);
            CHECK_EQ(n, LEAST(want, room));
            in += n;
            break;
        case 3:
            n = spk_ring_pop_n(r, batch, want);
            CHECK_EQ(n, LEAST(want, there));
            for (k = 0; k < n; k++) CHECK(whole(&batch[k], out + k));
            out += n;
            break;
        case 4:
            n = spk_ring_reserve(r, want, &span);
            CHECK_EQ(n, LEAST(want, room));
            CHECK_EQ(span.first_count + span.second_count, n);
            some = mpmc ? n : next_random(&seed) % (n + 1);
            for (k = 0; k < some; k++) {
                item it = make(in + k);
                if (k < span.first_count) ((item *)span.first)[k] = it;
                else ((item *)span.second)[k - span.first_count] = it;
            }
            CHECK(spk_ring_commit(r, &span, some) == SPK_OK);
            in += some;
            break;
        default:
            n = spk_ring_peek(r, want, &span);
            CHECK_EQ(n, LEAST(want, there));
            for (k = 0; k < n; k++)
                CHECK(whole(k < span.first_count ? (item *)span.first + k
                                                 : (item *)span.second + k - span.first_count,
                            out + k));
            some = mpmc ? n : next_random(&seed) % (n + 1);
            CHECK(spk_ring_consume(r, &span, some) == SPK_OK);
            out += some;
        }
        CHECK_EQ(spk_ring_count(r), in - out);
    }
}

TEST(every_way_in_and_out_keeps_order_and_count)
{
    static const size_t capacities[] = {1, 2, 3, 5, 8, 13, 64, 1000};
    size_t k;
    int kind;
    for (kind = 0; kind < 2; kind++)
        for (k = 0; k < sizeof capacities / sizeof capacities[0]; k++) {
            spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_REFUSE, capacities[k]);
            REQUIRE(r);
            random_walk(r, capacities[k], 7u + (uint32_t)k, 3000);
            spk_ring_destroy(r);
        }
}

TEST(positions_wrap_at_32_bits_and_at_the_word)
{
    static const uint64_t starts[] = {UINT64_C(0xffffffff) - 40, UINT64_C(0x1ffffffff) - 5,
                                      UINT64_MAX - 77, UINT64_C(0x7fffffff) - 9};
    size_t k;
    int kind;
    for (kind = 0; kind < 2; kind++)
        for (k = 0; k < sizeof starts / sizeof starts[0]; k++) {
            spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_REFUSE, 13);
            REQUIRE(r);
            spki_ring_start_at(r, starts[k]);
            random_walk(r, 13, 99u + (uint32_t)k, 3000);
            spk_ring_destroy(r);
        }
}

TEST(items_of_any_size)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 7, 8, 12, 16, 24, 33, 64, 100, 4096, 65536};
    static unsigned char a[65536], b[65536];
    size_t k, i;
    int kind;
    for (kind = 0; kind < 2; kind++)
        for (k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            spk_ring_desc d;
            spk_ring *r;
            int round;
            memset(&d, 0, sizeof d);
            d.kind = (spk_ring_kind)kind;
            d.item_size = sizes[k];
            d.capacity = 3;
            r = spk_ring_create(&d);
            REQUIRE(r);
            for (round = 0; round < 10; round++) {
                for (i = 0; i < sizes[k]; i++) a[i] = (unsigned char)(i * 7 + (size_t)round);
                CHECK(spk_ring_push(r, a) == SPK_OK);
                CHECK(spk_ring_pop(r, b) == SPK_OK);
                CHECK(memcmp(a, b, sizes[k]) == 0);
            }
            spk_ring_destroy(r);
        }
}

TEST(drop_newest_keeps_the_oldest_and_counts)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_DROP_NEWEST, 10);
        spk_ring_info info;
        item batch[7];
        uint64_t in = 0, out = 0;
        int k;
        REQUIRE(r);
        CHECK_EQ(push_some(r, &in, 15), 15);
        for (k = 0; k < 7; k++) batch[k] = make(100);
        CHECK_EQ(spk_ring_push_n(r, batch, 7), 7);
        CHECK_EQ(pop_some(r, &out, 100), 10);
        CHECK(spk_ring_get_info(r, &info) == SPK_OK);
        CHECK_EQ(info.dropped_newest, 12);
        CHECK_EQ(info.pushed, 10);
        CHECK_EQ(info.popped, 10);
        spk_ring_destroy(r);
    }
}

TEST(overwrite_keeps_the_newest_and_counts)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_OVERWRITE, 10);
        spk_ring_info info;
        item batch[25];
        uint64_t in = 0, out = 27;
        int k;
        REQUIRE(r);
        CHECK_EQ(push_some(r, &in, 12), 12);
        for (k = 0; k < 25; k++) batch[k] = make((uint64_t)k + 12);
        CHECK_EQ(spk_ring_push_n(r, batch, 25), 25);
        CHECK_EQ(spk_ring_count(r), 10);
        CHECK_EQ(pop_some(r, &out, 100), 10);
        CHECK(spk_ring_get_info(r, &info) == SPK_OK);
        CHECK_EQ(info.pushed, 37);
        CHECK_EQ(info.popped, 10);
        CHECK_EQ(info.dropped_oldest, 27);
        spk_ring_destroy(r);
    }
}

/* Half full: all taken. Then 1 in 2, 1 in 4, 1 in 8, as the descriptor's comment says. */
TEST(sampling_thins_as_the_ring_fills)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_SAMPLE, 64);
        spk_ring_info info;
        uint64_t in = 0;
        item it;
        REQUIRE(r);
        CHECK_EQ(push_some(r, &in, 32), 32);
        CHECK_EQ(spk_ring_count(r), 32);
        CHECK_EQ(push_some(r, &in, 32), 32);
        CHECK_EQ(spk_ring_count(r), 48);
        CHECK_EQ(push_some(r, &in, 32), 32);
        CHECK_EQ(spk_ring_count(r), 56);
        CHECK_EQ(push_some(r, &in, 64), 64);
        CHECK_EQ(spk_ring_count(r), 64);
        CHECK_EQ(push_some(r, &in, 5), 5);
        CHECK(spk_ring_get_info(r, &info) == SPK_OK);
        CHECK_EQ(info.pushed, 64);
        CHECK_EQ(info.sampled_out, 16 + 24 + 49);
        CHECK_EQ(info.dropped_newest, 7 + 5); /* it was full after the 57th of the 64 */
        CHECK_EQ(info.pushed + info.sampled_out + info.dropped_newest, in);
        while (spk_ring_pop(r, &it) == SPK_OK) continue;
        CHECK_EQ(push_some(r, &in, 20), 20);
        CHECK_EQ(spk_ring_count(r), 20);
        spk_ring_destroy(r);
    }
}

TEST(closing_refuses_pushes_and_lets_the_rest_out)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_WAIT, 8);
        spk_ring_span span;
        uint64_t in = 0, out = 0;
        item it = make(0);
        REQUIRE(r);
        CHECK_EQ(push_some(r, &in, 3), 3);
        CHECK(spk_ring_drain(r, SPK_AT_ONCE) == SPK_ERR_TIMEOUT);
        CHECK(spk_ring_close(r) == SPK_OK);
        CHECK(spk_ring_push(r, &it) == SPK_ERR_CLOSED);
        CHECK(spk_ring_push_until(r, &it, SPK_FOREVER) == SPK_ERR_CLOSED);
        CHECK_EQ(spk_ring_push_n(r, &it, 1), 0);
        CHECK_EQ(spk_ring_reserve(r, 1, &span), 0);
        CHECK(spk_ring_wait_room(r, 1, SPK_FOREVER) == SPK_ERR_CLOSED);
        CHECK(spk_ring_wait_items(r, 8, SPK_FOREVER) == SPK_OK);
        CHECK_EQ(pop_some(r, &out, 100), 3);
        CHECK(spk_ring_pop(r, &it) == SPK_ERR_CLOSED);
        CHECK(spk_ring_pop_until(r, &it, SPK_FOREVER) == SPK_ERR_CLOSED);
        CHECK(spk_ring_wait_items(r, 1, SPK_FOREVER) == SPK_ERR_CLOSED);
        CHECK(spk_ring_drain(r, SPK_FOREVER) == SPK_OK);
        spk_ring_destroy(r);
    }
}

static void bytes_of(unsigned char *item, size_t size, unsigned number)
{
    size_t i;
    for (i = 0; i < size; i++) item[i] = (unsigned char)(7 * number + 31 * i);
}

TEST(a_dialogue_goes_by_letters_until_a_burst_or_the_end)
{
    static const uint32_t sizes[] = {1, 3, 8, 13, 16, 24};
    unsigned char item[24], want[24];
    size_t k;
    for (k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const bool can = sizes[k] <= 16 && sizeof(size_t) == 8;
        unsigned in = 0, out = 0, round;
        spk_ring_desc d;
        spk_ring *r;
        memset(&d, 0, sizeof d);
        d.item_size = sizes[k];
        d.capacity = 3;
        r = spk_ring_create(&d);
        REQUIRE(r);
        for (round = 0; round < 120; round++) {
            const unsigned burst = round % 50 == 49 ? 3 : 1;
            CHECK_EQ(r->control->talking, can && round % 50 >= LONE_ITEMS);
            for (; in - out < burst; in++) {
                bytes_of(item, sizes[k], in);
                CHECK(spk_ring_push(r, item) == SPK_OK);
            }
            CHECK(burst < 3 || spk_ring_push(r, item) == SPK_ERR_AGAIN);
            for (; out < in; out++) {
                bytes_of(want, sizes[k], out);
                CHECK(spk_ring_pop(r, item) == SPK_OK && !memcmp(item, want, sizes[k]));
            }
            CHECK(spk_ring_pop(r, item) == SPK_ERR_AGAIN);
        }
        CHECK_EQ(r->control->talking, can);
        CHECK(spk_ring_push(r, want) == SPK_OK && spk_ring_push(r, want) == SPK_OK);
        CHECK(spk_ring_close(r) == SPK_OK);
        CHECK(spk_ring_pop(r, item) == SPK_OK && !memcmp(item, want, sizes[k]));
        CHECK_EQ(r->control->talking, 0);
        CHECK(spk_ring_push(r, item) == SPK_ERR_CLOSED);
        CHECK(spk_ring_pop(r, item) == SPK_OK && !memcmp(item, want, sizes[k]));
        CHECK(spk_ring_pop(r, item) == SPK_ERR_CLOSED);
        spk_ring_destroy(r);
    }
}

TEST(deadlines_pass)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_WAIT, 2);
        uint64_t in = 0;
        double start;
        item it = make(0);
        REQUIRE(r);
        CHECK(spk_ring_pop_until(r, &it, SPK_AT_ONCE) == SPK_ERR_TIMEOUT);
        start = spk_clock_seconds();
        CHECK(spk_ring_pop_until(r, &it, start + 0.03) == SPK_ERR_TIMEOUT);
        CHECK(spk_clock_seconds() >= start + 0.03);
        CHECK_EQ(push_some(r, &in, 2), 2);
        CHECK(spk_ring_try_push(r, &it) == SPK_ERR_AGAIN);
        start = spk_clock_seconds();
        CHECK(spk_ring_push_until(r, &it, start + 0.03) == SPK_ERR_TIMEOUT);
        CHECK(spk_clock_seconds() >= start + 0.03);
        CHECK(spk_ring_wait_room(r, 1, start) == SPK_ERR_TIMEOUT);
        CHECK(spk_ring_wait_items(r, 2, SPK_AT_ONCE) == SPK_OK);
        spk_ring_destroy(r);
    }
}

TEST(a_gap_of_an_mpmc_span_is_passed_over)
{
    spk_ring *r = new_ring(SPK_RING_MPMC, SPK_RING_REFUSE, 8);
    spk_ring_info info;
    spk_ring_span span;
    item it;
    int round;
    REQUIRE(r);
    for (round = 0; round < 20; round++) {
        CHECK_EQ(spk_ring_reserve(r, 5, &span), 5);
        *(item *)span.first = make(1);
        CHECK(spk_ring_commit(r, &span, 1) == SPK_OK);
        it = make(2);
        CHECK(spk_ring_push(r, &it) == SPK_OK);
        CHECK(spk_ring_pop(r, &it) == SPK_OK && whole(&it, 1));
        CHECK(spk_ring_pop(r, &it) == SPK_OK && whole(&it, 2));
        CHECK(spk_ring_pop(r, &it) == SPK_ERR_AGAIN);
    }
    CHECK(spk_ring_get_info(r, &info) == SPK_OK);
    CHECK_EQ(info.pushed, 40);
    CHECK_EQ(info.popped, 40);
    spk_ring_destroy(r);
}

TEST(spans_that_are_not_the_rings_are_refused)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_REFUSE, 8);
        spk_ring_span span, old;
        REQUIRE(r);
        CHECK_EQ(spk_ring_reserve(r, 3, &span), 3);
        old = span;
        CHECK(spk_ring_commit(r, &span, 4) == SPK_ERR_RANGE);
        CHECK(spk_ring_commit(r, &span, 3) == SPK_OK);
        CHECK(spk_ring_commit(r, &old, 3) == SPK_ERR_STATE);
        CHECK_EQ(spk_ring_count(r), 3);
        CHECK_EQ(spk_ring_peek(r, 9, &span), 3);
        old = span;
        CHECK(spk_ring_consume(r, &span, 4) == SPK_ERR_RANGE);
        CHECK(spk_ring_consume(r, &span, 3) == SPK_OK);
        CHECK(spk_ring_consume(r, &old, 3) == SPK_ERR_STATE);
        CHECK_EQ(spk_ring_count(r), 0);
        spk_ring_destroy(r);
    }
}

TEST(discarding_counts)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring *r = new_ring((spk_ring_kind)kind, SPK_RING_REFUSE, 8);
        spk_ring_info info;
        uint64_t in = 0;
        REQUIRE(r);
        push_some(r, &in, 6);
        CHECK_EQ(spk_ring_discard(r), 6);
        CHECK_EQ(spk_ring_count(r), 0);
        CHECK(spk_ring_get_info(r, &info) == SPK_OK);
        CHECK_EQ(info.discarded, 6);
        CHECK_EQ(info.popped, 0);
        spk_ring_destroy(r);
    }
}

static void *no_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    (void)size;
    (void)align;
    return NULL;
}

TEST(memory_of_the_caller_is_enough)
{
    int kind, policy;
    for (kind = 0; kind < 2; kind++)
        for (policy = 0; policy < 5; policy++) {
            spk_ring_desc d;
            spk_ring *r;
            unsigned char *block;
            size_t bytes;
            uint64_t in = 0, out = 0;
            memset(&d, 0, sizeof d);
            d.kind = (spk_ring_kind)kind;
            d.policy = (spk_ring_policy)policy;
            d.capacity = 100;
            d.allocator.alloc = no_alloc;
            bytes = spk_ring_bytes(&d);
            CHECK(bytes > 1600);
            block = (unsigned char *)aligned_alloc(64, bytes + 64);
            REQUIRE(block);
            memset(block, 0xa5, bytes + 64);
            d.memory = block;
            d.memory_size = bytes;
            r = spk_ring_create(&d);
            REQUIRE(r);
            CHECK(spk_ring_status(r) == SPK_OK);
            CHECK_EQ(push_some(r, &in, 40), 40);
            CHECK_EQ(pop_some(r, &out, 40), 40);
            CHECK(block[bytes] == 0xa5 && block[bytes + 63] == 0xa5);
            spk_ring_destroy(r);
            free(block);
        }
}

static void refused(const spk_ring_desc *d, spk_result result, const char *part)
{
    spk_ring *r = spk_ring_create(d);
    item it = make(0);
    spk_ring_span span;
    CHECK(r != NULL);
    if (!r) return;
    CHECK(spk_ring_status(r) == result);
    CHECK_HAS(spk_ring_error(r), part);
    CHECK(spk_ring_push(r, &it) == result);
    CHECK(spk_ring_try_push(r, &it) == result);
    CHECK(spk_ring_pop(r, &it) == result);
    CHECK(spk_ring_push_until(r, &it, SPK_FOREVER) == result);
    CHECK(spk_ring_pop_until(r, &it, SPK_FOREVER) == result);
    CHECK(spk_ring_close(r) == result && spk_ring_drain(r, SPK_FOREVER) == result);
    CHECK(spk_ring_wait_items(r, 1, SPK_FOREVER) == result);
    CHECK(spk_ring_wait_room(r, 1, SPK_FOREVER) == result);
    CHECK_EQ(spk_ring_push_n(r, &it, 1), 0);
    CHECK_EQ(spk_ring_pop_n(r, &it, 1), 0);
    CHECK_EQ(spk_ring_reserve(r, 1, &span), 0);
    CHECK_EQ(spk_ring_peek(r, 1, &span), 0);
    CHECK_EQ(spk_ring_discard(r), 0);
    CHECK(spk_ring_commit(r, &span, 0) == result);
    CHECK(spk_ring_consume(r, &span, 0) == result);
    CHECK_EQ(spk_ring_count(r), 0);
    CHECK_EQ(spk_ring_capacity(r), 0);
    spk_ring_destroy(r);
}

TEST(bad_descriptors_are_refused_with_a_sentence)
{
    static unsigned char block[128] __attribute__((aligned(64)));
    spk_ring_desc d;
#define REFUSED(set, result, part)                                                                \
    memset(&d, 0, sizeof d);                                                                      \
    set;                                                                                          \
    refused(&d, result, part);                                                                    \
    CHECK(result == SPK_ERR_UNSUPPORTED || d.memory || spk_ring_bytes(&d) == 0)
    REFUSED(d.begin_sentinel = 1, SPK_ERR_UNINITIALISED, "sentinels");
    REFUSED(d.end_sentinel = 1, SPK_ERR_UNINITIALISED, "sentinels");
    REFUSED(d.kind = (spk_ring_kind)2, SPK_ERR_RANGE, "kind");
    REFUSED(d.policy = (spk_ring_policy)5, SPK_ERR_RANGE, "policy");
    REFUSED(d.policy = (spk_ring_policy)-1, SPK_ERR_RANGE, "policy");
    REFUSED(d.item_size = 65537, SPK_ERR_RANGE, "item_size");
    REFUSED(d.capacity = ((size_t)1 << 30) + 1, SPK_ERR_RANGE, "capacity");
    REFUSED(d.capacity = SIZE_MAX, SPK_ERR_RANGE, "capacity");
    REFUSED(d.spin_us = __builtin_nan(""), SPK_ERR_RANGE, "spin_us");
    REFUSED(d.memory_size = 64, SPK_ERR_RANGE, "memory_size without memory");
    REFUSED((d.memory = block + 8, d.memory_size = 64), SPK_ERR_RANGE, "aligned");
    REFUSED((d.memory = block, d.memory_size = 128), SPK_ERR_RANGE, "spk_ring_bytes");
    REFUSED(d.path = "x", SPK_ERR_RANGE, "path");
    REFUSED((d.shared = true, d.path = "x", d.memory = block), SPK_ERR_RANGE, "not both");
}

TEST(null_is_an_error_everywhere)
{
    spk_ring *r = spk_ring_create(NULL);
    item it = make(0);
    spk_ring_span span;
    spk_ring_info info;
    REQUIRE(r);
    CHECK(spk_ring_push(NULL, &it) == SPK_ERR_NULL && spk_ring_push(r, NULL) == SPK_ERR_NULL);
    CHECK(spk_ring_pop(NULL, &it) == SPK_ERR_NULL && spk_ring_pop(r, NULL) == SPK_ERR_NULL);
    CHECK(spk_ring_try_push(NULL, &it) == SPK_ERR_NULL);
    CHECK(spk_ring_push_until(NULL, &it, 0.0) == SPK_ERR_NULL);
    CHECK(spk_ring_pop_until(NULL, &it, 0.0) == SPK_ERR_NULL);
    CHECK(spk_ring_push_until(r, &it, __builtin_nan("")) == SPK_ERR_RANGE);
    CHECK(spk_ring_wait_items(r, 1, __builtin_nan("")) == SPK_ERR_RANGE);
    CHECK(spk_ring_wait_items(r, 65537, 0.0) == SPK_ERR_RANGE);
    CHECK(spk_ring_wait_room(r, 65537, 0.0) == SPK_ERR_RANGE);
    CHECK(spk_ring_push_n(NULL, &it, 1) == 0 && spk_ring_push_n(r, NULL, 1) == 0);
    CHECK(spk_ring_pop_n(NULL, &it, 1) == 0 && spk_ring_pop_n(r, NULL, 1) == 0);
    CHECK(spk_ring_reserve(NULL, 1, &span) == 0 && spk_ring_reserve(r, 1, NULL) == 0);
    CHECK(spk_ring_peek(NULL, 1, &span) == 0 && spk_ring_peek(r, 1, NULL) == 0);
    CHECK(spk_ring_commit(NULL, &span, 0) == SPK_ERR_NULL);
    CHECK(spk_ring_commit(r, NULL, 0) == SPK_ERR_NULL);
    CHECK(spk_ring_consume(NULL, &span, 0) == SPK_ERR_NULL);
    CHECK(spk_ring_consume(r, NULL, 0) == SPK_ERR_NULL);
    CHECK(spk_ring_close(NULL) == SPK_ERR_NULL && spk_ring_drain(NULL, 0.0) == SPK_ERR_NULL);
    CHECK(spk_ring_get_info(NULL, &info) == SPK_ERR_NULL);
    CHECK(spk_ring_get_info(r, NULL) == SPK_ERR_NULL);
    CHECK(spk_ring_status(NULL) == SPK_ERR_NULL);
    CHECK(spk_ring_desc_defaults(NULL) == SPK_ERR_NULL);
    spk_ring_destroy(NULL);
    spk_ring_destroy(r);
}

TEST(without_memory_there_is_no_ring)
{
    spk_ring_desc d;
    memset(&d, 0, sizeof d);
    d.allocator.alloc = no_alloc;
    CHECK(spk_ring_create(&d) == NULL);
    CHECK(spk_ring_attach(&d) == NULL);
}

TEST_MAIN()
