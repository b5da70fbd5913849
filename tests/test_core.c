/* ---- >>test_core: results, memory, Philox, XXH64, instruction sets, arithmetic, threads ----
   check: networks alone */

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* setenv under -std=c11 */
#endif

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include "check.h"

#include "../src/core/alloc.h"
#include "../src/core/base.h"
#include "../src/core/clock.h"
#include "../src/core/cpu.h"
#include "../src/core/digest.h"
#include "../src/core/fenv.h"
#include "../src/core/philox.h"
#include "../src/core/status.h"

#include <fenv.h>

#if !defined(_WIN32)
/* The pool is compiled with a pthread_create that works so many times more (-1: always). */
static int starts_left = -1;

#ifdef __cplusplus
extern "C" {
#endif
CHECK_FN int failing_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                                    void *(*entry)(void *), void *arg)
{
    if (starts_left == 0) return 11;
    if (starts_left > 0) starts_left--;
    return pthread_create(thread, attr, entry, arg);
}
#ifdef __cplusplus
}
#endif
#define pthread_create failing_pthread_create
#endif
#include "../src/core/pool.h"
#if !defined(_WIN32)
#undef pthread_create
#endif

/* ---- results ---- */

static const spk_result all_results[] = {
#define RESULT_CODE(code, name, text) name,
    SPIKELIB_RESULTS(RESULT_CODE)
#undef RESULT_CODE
};
#define RESULT_COUNT (sizeof all_results / sizeof all_results[0])

TEST(result_names_and_texts_are_unique_and_never_null)
{
    size_t i, k;
    for (i = 0; i < RESULT_COUNT; i++) {
        CHECK(spk_result_text(all_results[i])[0] != 0);
        for (k = 0; k < i; k++) {
            CHECK(all_results[i] != all_results[k]);
            CHECK(strcmp(spk_result_name(all_results[i]), spk_result_name(all_results[k])) != 0);
            CHECK(strcmp(spk_result_text(all_results[i]), spk_result_text(all_results[k])) != 0);
        }
    }
    CHECK(spk_result_name((spk_result)-999) != NULL);
    CHECK(spk_result_text((spk_result)12345) != NULL);
}

TEST(zero_is_success_and_errors_are_negative)
{
    size_t i;
    CHECK_STR(spk_result_name((spk_result)0), "SPK_OK");
    CHECK_STR(spk_result_name((spk_result)-3), "SPK_ERR_RANGE");
    for (i = 1; i < RESULT_COUNT; i++) CHECK((int)all_results[i] < 0);
}

TEST(version_is_made_of_its_three_numbers)
{
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", SPIKELIB_VERSION_MAJOR, SPIKELIB_VERSION_MINOR,
             SPIKELIB_VERSION_PATCH);
    CHECK_STR(spk_version(), text);
}

/* ---- memory ---- */

typedef struct ledger {
    size_t live, blocks, calls, fail_at; /* fail_at: the n-th call fails; 0: none */
    size_t shift;                        /* breaks the alignment */
} ledger;

/* Dirty blocks with their size in front, so that the size given to free can be compared. */
CHECK_FN void *ledger_alloc(void *ctx, size_t size, size_t align)
{
    ledger *l = (ledger *)ctx;
    char *base, *block;
    CHECK_EQ(align, 64);
    if (++l->calls == l->fail_at) return NULL;
    base = (char *)malloc(size + 256);
    if (!base) return NULL;
    block = (char *)(((uintptr_t)base + 191) & ~(uintptr_t)63) + l->shift;
    memcpy(block - 64, &base, sizeof base);
    memcpy(block - 48, &size, sizeof size);
    memset(block, 0xAA, size);
    l->live += size;
    l->blocks++;
    return block;
}

CHECK_FN void ledger_free(void *ctx, void *block, size_t size)
{
    ledger *l = (ledger *)ctx;
    char *base;
    size_t asked;
    memcpy(&base, (char *)block - 64, sizeof base);
    memcpy(&asked, (char *)block - 48, sizeof asked);
    CHECK_EQ(size, asked);
    l->live -= size;
    l->blocks--;
    free(base);
}

CHECK_FN void ledger_init(ledger *l, spki_mem *mem, size_t limit)
{
    spk_allocator a;
    memset(l, 0, sizeof *l);
    a.ctx = l;
    a.alloc = ledger_alloc;
    a.free = ledger_free;
    spki_mem_init(mem, &a, limit);
}

CHECK_FN int all_zero(const void *block, size_t size)
{
    const unsigned char *p = (const unsigned char *)block;
    while (size > 0 && *p == 0) p++, size--;
    return size == 0;
}

TEST(blocks_are_64_byte_aligned_and_zeroed)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4095, 100000};
    spki_mem mem;
    ledger l;
    size_t i;
    ledger_init(&l, &mem, 0);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *block = spki_alloc(&mem, sizes[i], 1);
        REQUIRE(block != NULL);
        CHECK_EQ((uintptr_t)block % 64, 0);
        CHECK(all_zero(block, SPKI_MAX(sizes[i], (size_t)64)));
        spki_free(&mem, block, sizes[i], 1);
    }
    CHECK_EQ(l.blocks, 0);
    CHECK_EQ(mem.now, 0);
}

TEST(default_allocator_aligns_small_and_huge_blocks)
{
    spki_mem mem;
    void *a, *b;
    spki_mem_init(&mem, NULL, 0);
    a = spki_alloc(&mem, 3, 5);
    b = spki_alloc(&mem, 5, (size_t)1 << 20);
    REQUIRE(a != NULL && b != NULL);
    CHECK_EQ((uintptr_t)a % 64, 0);
#if defined(_WIN32)
    CHECK_EQ((uintptr_t)b % 64, 0);
#else
    CHECK_EQ((uintptr_t)b % ((size_t)2 << 20), 0);
#endif
    CHECK(all_zero(b, (size_t)5 << 20));
    spki_free(&mem, a, 3, 5);
    spki_free(&mem, b, 5, (size_t)1 << 20);
    spki_free(&mem, NULL, 7, 7);
    CHECK_EQ(mem.now, 0);
}

TEST(absurd_sizes_give_null_without_asking_the_allocator)
{
    spki_mem mem;
    ledger l;
    ledger_init(&l, &mem, 0);
    CHECK(spki_alloc(&mem, SIZE_MAX / 2, 4) == NULL);     /* the product wraps around */
    CHECK(spki_alloc(&mem, SIZE_MAX / 4 + 1, 4) == NULL); /* it wraps around to 0 */
    CHECK(spki_alloc_raw(&mem, SIZE_MAX, 1) == NULL);     /* rounding up would wrap around */
    CHECK(spki_alloc_raw(&mem, 1, SIZE_MAX - 63) == NULL);
    CHECK_EQ(l.calls, 0);
    CHECK_EQ(mem.now, 0);
    CHECK_EQ(mem.peak, 0);
}

TEST(limit_is_met_exactly_and_peak_is_remembered)
{
    spki_mem mem;
    ledger l;
    void *a, *b, *c;
    ledger_init(&l, &mem, 1024);
    a = spki_alloc(&mem, 512, 1);
    b = spki_alloc_raw(&mem, 128, 4);
    c = spki_alloc(&mem, 1, 1);
    CHECK(a != NULL && b != NULL && c == NULL);
    CHECK_EQ(mem.now, 1024);
    CHECK_EQ(l.live, 1024);
    spki_free(&mem, a, 512, 1);
    CHECK_EQ(mem.now, 512);
    CHECK(spki_alloc(&mem, 513, 1) == NULL);
    a = spki_alloc(&mem, 512, 1);
    CHECK(a != NULL);
    spki_free(&mem, a, 512, 1);
    spki_free(&mem, b, 128, 4);
    CHECK_EQ(mem.now, 0);
    CHECK_EQ(mem.peak, 1024);
    CHECK_EQ(l.blocks, 0);
}

TEST(misaligned_block_of_a_broken_allocator_is_refused_and_given_back)
{
    spki_mem mem;
    ledger l;
    ledger_init(&l, &mem, 0);
    l.shift = 16;
    CHECK(spki_alloc(&mem, 100, 1) == NULL);
    CHECK_EQ(l.blocks, 0);
    CHECK_EQ(mem.now, 0);
}

/* ---- random numbers ---- */

/* Known answers of the Random123 distribution (kat_vectors, "philox4x32 10"), by the authors of the
   paper. */
TEST(philox_gives_the_known_answers_of_random123)
{
    static const uint32_t kat[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u},
        {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du,
         0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu},
        {0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u,
         0x94fdcceb, 0x5001e420u, 0x24126ea1u}};
    int i, k;
    for (i = 0; i < 3; i++) {
        uint32_t out[4], direct[4];
        const uint32_t *v = kat[i];
        spk_philox4x32(v, v + 4, out);
        spki_philox(v[0], v[1], v[2], v[3], v[4], v[5], direct);
        for (k = 0; k < 4; k++) CHECK_EQ(out[k], v[6 + k]);
        for (k = 0; k < 4; k++) CHECK_EQ(direct[k], v[6 + k]);
    }
}

TEST(philox_may_write_over_its_counter)
{
    uint32_t block[4] = {0, 0, 0, 0};
    const uint32_t key[2] = {0, 0};
    spk_philox4x32(block, key, block);
    CHECK_EQ(block[0], 0x6627e8d5u);
    CHECK_EQ(block[3], 0x9b00dbd8u);
}

/* ---- digest ---- */

/* The buffer of xxhsum's own sanity check: the top bytes of the powers of a prime. */
CHECK_FN void sanity_buffer(unsigned char *buffer, size_t size)
{
    uint64_t x = 2654435761u;
    size_t i;
    for (i = 0; i < size; i++, x *= UINT64_C(11400714785074694797))
        buffer[i] = (unsigned char)(x >> 56);
}

typedef struct xxh_vector {
    size_t size;
    uint64_t seed, value;
} xxh_vector;

/* Values of xxHash's own sanity check (cli/xsum_sanity_check.c). */
static const xxh_vector xxh_vectors[] = {{0, 0, UINT64_C(0xEF46DB3751D8E999)},
                                         {1, 0, UINT64_C(0xE934A84ADB052768)},
                                         {14, 0, UINT64_C(0x8282DCC4994E35C8)},
                                         {222, 0, UINT64_C(0xB641AE8CB691C174)},
                                         {0, 2654435761u, UINT64_C(0xAC75FDA2929B17EF)},
                                         {1, 2654435761u, UINT64_C(0x5014607643A9B4C3)},
                                         {14, 2654435761u, UINT64_C(0xC3BD6BF63DEB6DF0)},
                                         {222, 2654435761u, UINT64_C(0x20CB8AB7AE10C14A)}};

TEST(xxh64_gives_the_published_values)
{
    unsigned char buffer[222];
    size_t i;
    sanity_buffer(buffer, sizeof buffer);
    for (i = 0; i < sizeof xxh_vectors / sizeof xxh_vectors[0]; i++) {
        const xxh_vector *v = &xxh_vectors[i];
        CHECK_EQ(spki_xxh64(buffer, v->size, v->seed), v->value);
        CHECK_EQ(spk_xxh64(buffer, v->size, v->seed), v->value);
    }
    CHECK_EQ(spk_xxh64("abc", 3, 0), UINT64_C(0x44BC2CF5AD770999));
    CHECK_EQ(spk_xxh64(NULL, 0, 0), UINT64_C(0xEF46DB3751D8E999));
    CHECK_EQ(spk_xxh64(NULL, 5, 0), UINT64_C(0xEF46DB3751D8E999));
}

TEST(xxh64_equals_the_xxhash_package_at_every_length)
{
#if SPKI_HAVE_XXHASH
    unsigned char buffer[303];
    size_t n, shift;
    sanity_buffer(buffer, sizeof buffer);
    for (n = 0; n <= 300; n++)
        for (shift = 0; shift < 3; shift++) {
            const unsigned char *p = buffer + shift;
            CHECK_EQ(spki_xxh64(p, n, 0), XXH64(p, n, 0));
            CHECK_EQ(spki_xxh64(p, n, UINT64_MAX - n), XXH64(p, n, UINT64_MAX - n));
        }
#else
    SKIP("the xxHash package is not installed (xxhash.h), or SPIKELIB_NO_XXHASH is defined");
#endif
}

TEST(digest_in_pieces_equals_the_whole)
{
    unsigned char buffer[300];
    size_t n, cut;
    spk_digest d;
    sanity_buffer(buffer, sizeof buffer);
    for (n = 0; n <= sizeof buffer; n++) {
        uint64_t whole = spk_xxh64(buffer, n, 0);
        for (cut = 0; cut <= n; cut += 7) {
            spk_digest_begin(&d);
            spk_digest_update(&d, buffer, cut);
            spk_digest_value(&d); /* looking does not disturb */
            spk_digest_update(&d, buffer + cut, n - cut);
            CHECK_EQ(spk_digest_value(&d), whole);
        }
    }
    spk_digest_begin(&d);
    for (n = 0; n < sizeof buffer; n += 12) spk_digest_update(&d, buffer + n, 12);
    CHECK_EQ(spk_digest_value(&d), spk_xxh64(buffer, sizeof buffer, 0));
    spk_digest_update(&d, NULL, 0);
    CHECK_EQ(spk_digest_value(&d), spk_xxh64(buffer, sizeof buffer, 0));
}

/* ---- instruction sets, clock, CPU ---- */

CHECK_FN void set_isa_env(const char *value)
{
#if defined(_WIN32)
    _putenv_s("SPIKELIB_ISA", value);
#else
    setenv("SPIKELIB_ISA", value, 1);
#endif
}

TEST(instruction_set_names_go_there_and_back)
{
    int i, k;
    for (i = 0; i <= (int)SPK_ISA_GENERIC; i++) {
        CHECK(spk_isa_from_name(spk_isa_name((spk_isa)i)) == (spk_isa)i);
        for (k = 0; k < i; k++)
            CHECK(strcmp(spk_isa_name((spk_isa)i), spk_isa_name((spk_isa)k)) != 0);
    }
    CHECK_STR(spk_isa_name(SPK_ISA_AVX512), "avx512");
    CHECK_STR(spk_isa_name(SPK_ISA_GENERIC), "generic");
    CHECK(spk_isa_from_name("AVX2") == SPK_ISA_AUTO);
    CHECK(spk_isa_from_name("") == SPK_ISA_AUTO);
    CHECK(spk_isa_from_name(NULL) == SPK_ISA_AUTO);
    CHECK(spk_isa_name((spk_isa)99) != NULL);
}

TEST(scalar_is_always_available_and_others_agree_with_the_compiler)
{
    CHECK(spk_isa_available(SPK_ISA_SCALAR));
    CHECK(!spk_isa_available((spk_isa)99));
    CHECK(!spk_isa_available(SPK_ISA_AUTO));
#if defined(__x86_64__)
    CHECK(spk_isa_available(SPK_ISA_SSE2));
    CHECK(!spk_isa_available(SPK_ISA_NEON));
    __builtin_cpu_init();
    if (SPKI_HAVE_AVX2)
        CHECK(spk_isa_available(SPK_ISA_AVX2) == (__builtin_cpu_supports("avx2") != 0));
    if (SPKI_HAVE_AVX512)
        CHECK(spk_isa_available(SPK_ISA_AVX512) ==
              (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl")));
#elif defined(__aarch64__)
    CHECK(spk_isa_available(SPK_ISA_NEON));
    CHECK(!spk_isa_available(SPK_ISA_SSE2));
#else
    CHECK(spk_isa_available(SPK_ISA_GENERIC));
#endif
}

TEST(environment_variable_overrides_auto_and_bad_ones_are_explained)
{
    const char *old = getenv("SPIKELIB_ISA"), *why = NULL;
    char saved[32];
    spk_isa isa, widest = spki_isa_widest();
    snprintf(saved, sizeof saved, "%s", old ? old : "");
    set_isa_env("scalar");
    CHECK(spk_isa_best() == SPK_ISA_SCALAR);
    CHECK(spki_isa_resolve(widest, &isa, &why) == SPK_OK && isa == widest);
    set_isa_env("auto");
    CHECK(spk_isa_best() == widest);
    set_isa_env("sse3");
    CHECK(spk_isa_best() == widest);
    CHECK(spki_isa_resolve(SPK_ISA_AUTO, &isa, &why) == SPK_ERR_NAME);
    CHECK_HAS(why, "SPIKELIB_ISA");
#if defined(__x86_64__)
    set_isa_env("neon");
#else
    set_isa_env("avx2");
#endif
    CHECK(spk_isa_best() == widest);
    CHECK(spki_isa_resolve(SPK_ISA_AUTO, &isa, &why) == SPK_ERR_UNSUPPORTED);
    CHECK(isa != SPK_ISA_AUTO && isa != widest);
    CHECK_HAS(why, "build");
    set_isa_env("");
    CHECK(spk_isa_best() == widest);
    CHECK(spki_isa_resolve((spk_isa)77, &isa, &why) == SPK_ERR_NAME);
    CHECK(spki_isa_resolve(SPK_ISA_SCALAR, &isa, &why) == SPK_OK && isa == SPK_ISA_SCALAR);
    CHECK_STR(why, "");
    set_isa_env(saved);
}

TEST(clock_goes_forward)
{
    double start = spk_clock_seconds(), last = start, now = start;
    int i;
    for (i = 0; i < 1000; i++, last = now) {
        now = spk_clock_seconds();
        CHECK(now >= last);
    }
    while (now - start < 1e-3 && i++ < 100000000) now = spk_clock_seconds();
    CHECK(now - start >= 1e-3);
}

TEST(cpu_has_a_name_that_fits_and_at_least_one_processor)
{
    char name[128], tiny[4];
    size_t n;
    CHECK(spk_cpu_count() >= 1 && spk_cpu_count() <= 8192);
    CHECK(spk_cpu_name(name, sizeof name) == name);
    n = strlen(name);
    CHECK(n > 0 && name[0] != ' ' && name[n - 1] != ' ');
    CHECK(strlen(spk_cpu_name(tiny, sizeof tiny)) <= 3);
    CHECK_STR(spk_cpu_name(NULL, 9), "");
    CHECK_STR(spk_cpu_name(name, 0), "");
}

/* ---- arithmetic ---- */

TEST(arithmetic_here_is_what_the_digests_assume)
{
    const char *wrong = spki_arithmetic_check();
    CHECK_STR(wrong ? wrong : "fine", "fine");
}

TEST(every_other_rounding_mode_is_found)
{
#if defined(FE_UPWARD) && defined(FE_DOWNWARD) && defined(FE_TOWARDZERO)
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    const int before = fegetround();
    int i;
    for (i = 0; i < 3; i++) {
        const char *wrong;
        int set = fesetround(modes[i]);
        wrong = spki_arithmetic_check();
        fesetround(before);
        CHECK(set == 0);
        CHECK_HAS(wrong, "rounding mode");
    }
    CHECK(spki_arithmetic_check() == NULL);
#else
    SKIP("this C library cannot change the rounding mode");
#endif
}

/* ---- threads ---- */

#define MAX_THREADS 8
static const uint32_t thread_counts[] = {1, 2, 3, MAX_THREADS};

typedef struct phases {
    spki_barrier barrier;
    uint32_t threads, count, naps, wrong[MAX_THREADS];
    uint32_t at[MAX_THREADS][16]; /* plain: the barrier alone keeps the threads apart */
} phases;

/* In each phase one thread comes late, so that the others run out of patience and park. */
CHECK_FN void phases_task(void *arg, uint32_t k)
{
    phases *p = (phases *)arg;
    uint32_t i, other;
    for (i = 0; i < p->count; i++) {
        if (p->naps && i % p->threads == k) {
            double end = spk_clock_seconds() + 0.5e-3;
            while (spk_clock_seconds() < end) spki_pause();
        }
        p->at[k][0] = i + 1;
        spki_barrier_wait(&p->barrier);
        for (other = 0; other < p->threads; other++)
            if (p->at[other][0] != i + 1) p->wrong[k]++;
        spki_barrier_wait(&p->barrier);
    }
}

CHECK_FN void check_phases(uint32_t threads, uint32_t count, uint32_t naps)
{
    spki_mem mem;
    spki_pool *pool = NULL;
    phases *p;
    uint32_t k;
    spki_mem_init(&mem, NULL, 0);
    p = (phases *)spki_alloc(&mem, 1, sizeof *p);
    CHECK(p && spki_pool_create(&mem, threads, &pool) == SPK_OK);
    if (!p || !pool) return;
    spki_barrier_init(&p->barrier, threads);
    p->threads = threads;
    p->count = count;
    p->naps = naps;
    spki_pool_run(pool, phases_task, p);
    for (k = 0; k < threads; k++) {
        CHECK_EQ(p->at[k][0], count);
        CHECK_EQ(p->wrong[k], 0);
    }
    CHECK_EQ(p->barrier.parked, 0);
    spki_barrier_free(&p->barrier);
    spki_pool_destroy(&mem, pool);
    spki_free(&mem, p, 1, sizeof *p);
    CHECK_EQ(mem.now, 0);
}

TEST(every_thread_passes_every_phase_of_a_barrier)
{
    size_t i;
    for (i = 0; i < 4; i++) check_phases(thread_counts[i], 2000, 0);
}

TEST(parked_threads_are_woken_in_every_phase)
{
    size_t i;
    for (i = 0; i < 4; i++) check_phases(thread_counts[i], 40, 1);
}

typedef struct tally {
    uint32_t runs[MAX_THREADS][16], total;
} tally;

CHECK_FN void tally_task(void *arg, uint32_t k)
{
    tally *t = (tally *)arg;
    if (k >= MAX_THREADS) return;
    t->runs[k][0]++; /* plain: run k is always on one thread, after the one before */
    __atomic_fetch_add(&t->total, 1, __ATOMIC_RELAXED);
}

TEST(pool_runs_each_part_once_and_returns_when_all_are_done)
{
    size_t i;
    for (i = 0; i < 4; i++) {
        uint32_t threads = thread_counts[i], run, k;
        spki_mem mem;
        spki_pool *pool = NULL;
        tally t;
        memset(&t, 0, sizeof t);
        spki_mem_init(&mem, NULL, 0);
        CHECK(spki_pool_create(&mem, threads, &pool) == SPK_OK);
        if (!pool) return;
        for (run = 1; run <= 500; run++) {
            spki_pool_run(pool, tally_task, &t);
            CHECK_EQ(t.total, run * threads);
            for (k = 0; k < threads; k++) CHECK_EQ(t.runs[k][0], run);
        }
        spki_pool_destroy(&mem, pool);
        CHECK_EQ(mem.now, 0);
    }
}

TEST(pool_that_never_ran_can_be_destroyed)
{
    size_t i;
    spki_mem mem;
    spki_pool *pool;
    spki_mem_init(&mem, NULL, 0);
    for (i = 0; i < 40; i++) {
        CHECK(spki_pool_create(&mem, thread_counts[i % 4], &pool) == SPK_OK);
        spki_pool_destroy(&mem, pool);
    }
    spki_pool_destroy(&mem, NULL);
    CHECK(spki_pool_create(&mem, 0, &pool) == SPK_ERR_RANGE);
    CHECK(pool == NULL);
    CHECK_EQ(mem.now, 0);
}

TEST(pool_creation_rolls_back_when_memory_runs_out)
{
    size_t fail_at, failures = 0;
    spki_mem mem;
    ledger l;
    spki_pool *pool = NULL;
    for (fail_at = 1; fail_at < 100; fail_at++) {
        ledger_init(&l, &mem, 0);
        l.fail_at = fail_at;
        if (spki_pool_create(&mem, 3, &pool) == SPK_OK) break;
        CHECK(pool == NULL);
        CHECK_EQ(l.blocks, 0);
        failures++;
    }
    CHECK(pool != NULL && failures > 0);
    spki_pool_destroy(&mem, pool);
    CHECK_EQ(l.blocks, 0);
}

TEST(pool_creation_rolls_back_when_a_thread_cannot_start)
{
#if defined(_WIN32)
    SKIP("starting a thread is made to fail on POSIX systems only");
#else
    int good;
    for (good = 0; good < 3; good++) {
        spki_mem mem;
        spki_pool *pool;
        spki_mem_init(&mem, NULL, 0);
        starts_left = good;
        CHECK(spki_pool_create(&mem, 4, &pool) == SPK_ERR_THREAD);
        starts_left = -1;
        CHECK(pool == NULL);
        CHECK_EQ(mem.now, 0);
    }
#endif
}

TEST_MAIN()
