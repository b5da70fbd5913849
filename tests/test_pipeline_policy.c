/* ---- >>test_pipeline_policy: protection against schedules worked out by hand ---- */

#define SPIKELIB_NO_NET
#define SPIKELIB_NO_EVENTS
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "check.h"

#define MS INT64_C(1000000)

enum { PERMIT_NONE = -1, PERMIT_FREE = -2 }; /* answers of spki_breaker_ask */

/* -- backoff -- */

TEST(backoff_doubles_up_to_the_maximum)
{
    const int64_t want_us[] = {1000, 2000, 4000, 8000, 16000, 20000, 20000};
    for (uint32_t k = 0; k < 7; k++)
        CHECK_EQ(spki_backoff_ns(1000000, 20000000, 0, k + 1, 7, 0, 1), want_us[k] * 1000);
    CHECK_EQ(spki_backoff_ns(1, INT64_MAX / 2, 0, 1000000, 7, 0, 1), INT64_MAX / 2);
    CHECK_EQ(spki_backoff_ns(4294967295000, 4294967295000, 65536, 40, 7, 0, 1) <= 4294967295000, 1);
}

/* The random part is the first word of Philox4x32 at (serial, attempt, stage) with the seed as key,
   of which the upper half counts: delay - part * word / 2^16. */
TEST(jitter_is_the_philox_number_of_its_address)
{
    for (uint32_t attempt = 1; attempt < 6; attempt++) {
        const uint64_t serial = UINT64_C(0x123456789abc), seed = UINT64_C(0xfeedfacecafe);
        const uint32_t counter[4] = {0x56789abc, 0x1234, attempt, 3};
        const uint32_t key[2] = {0xfacecafe, 0xfeed};
        uint32_t out[4];
        spk_philox4x32(counter, key, out);
        const int64_t full = INT64_C(1000000) << (attempt - 1);
        const int64_t cut = full / 2 * (int64_t)(out[0] >> 16) / 65536;
        const int64_t got = spki_backoff_ns(1000000, 1000000000, 32768, attempt, serial, 3, seed);
        CHECK_EQ(got, full - cut);
        CHECK(got > full / 2 && got <= full);
    }
}

/* -- CoDel -- */

TEST(the_control_law_is_interval_by_root_of_count)
{
    /* 100 ms / sqrt(n) in ns, rounded down: from a table of square roots. */
    const int64_t want[] = {100000000, 70710678, 57735026, 50000000, 44721359,
                            40824829,  37796447, 35355339, 33333333, 31622776};
    for (uint32_t n = 1; n <= 10; n++) CHECK_EQ(spki_codel_step(100 * MS, n), want[n - 1]);
    CHECK_EQ(spki_codel_step(4000 * MS, 1), 4000 * MS);
    CHECK_EQ(spki_root(UINT64_MAX), UINT32_MAX);
    for (uint64_t x = 0; x < 5000; x++) {
        const uint64_t r = spki_root(x);
        CHECK(r * r <= x && (r + 1) * (r + 1) > x);
    }
}

/* RFC 8289, section 5, worked out by hand: a packet leaves every ms and has waited 10 ms. Above the
   target (5 ms) since t = 0, so the first drop is at 100; the next after an interval (200), then at
   200 + 100 / sqrt(2) = 270.7, + 57.7 = 328.4, + 50 = 378.4, + 44.7 = 423.2, + 40.8 = 464.0
   (463.99),
   + 37.8 = 501.8. */
TEST(codel_drops_at_the_times_of_rfc_8289)
{
    const int want[] = {100, 200, 271, 329, 379, 424, 464, 502};
    spki_codel c;
    int found = 0;
    memset(&c, 0, sizeof c);
    for (int t = 0; t < 510; t++) {
        if (!spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, 10 * MS, false)) continue;
        if (found < 8) CHECK_EQ(t, want[found]);
        found++;
    }
    CHECK_EQ(found, 8);
    /* Below the target at 510: it stops. Above again from 520: drops at 620, and goes on where it
       was: 8 drops less the 1 it began with give a count of 7, so 620 + 37.8, + 35.4, + 33.3. */
    const int again[] = {620, 658, 694, 727};
    found = 0;
    for (int t = 510; t < 740; t++) {
        const int64_t waited = t < 520 ? 4 * MS : 10 * MS;
        if (!spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, waited, false)) continue;
        if (found < 4) CHECK_EQ(t, again[found]);
        found++;
    }
    CHECK_EQ(found, 4);
    /* Much later it begins anew with a count of 1: 100, then 100 ms apart. */
    const int anew[] = {5100, 5200, 5271};
    found = 0;
    CHECK(!spki_codel_drop(&c, 5 * MS, 100 * MS, 4999 * MS, 1, false));
    for (int t = 5000; t < 5300; t++) {
        if (!spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, 10 * MS, false)) continue;
        if (found < 3) CHECK_EQ(t, anew[found]);
        found++;
    }
    CHECK_EQ(found, 3);
}

TEST(codel_never_drops_the_last_of_a_queue_nor_short_waits)
{
    spki_codel c;
    memset(&c, 0, sizeof c);
    for (int t = 1; t < 1000; t++) {
        CHECK(!spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, 50 * MS, true));
        CHECK(!spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, 5 * MS - 1, false));
    }
    /* A dip below the target within the interval starts the interval anew. */
    memset(&c, 0, sizeof c);
    for (int t = 1; t < 400; t++)
        CHECK(!spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, t % 90 ? 50 * MS : MS, false));
}

TEST(what_waited_longer_than_half_an_interval_goes_while_dropping)
{
    spki_codel c;
    memset(&c, 0, sizeof c);
    for (int t = 0; t < 100; t++)
        CHECK(!spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, 150 * MS, false));
    for (int t = 100; t < 150; t++)
        CHECK(spki_codel_drop(&c, 5 * MS, 100 * MS, t * MS, 50 * MS + 1, false));
    CHECK(!spki_codel_drop(&c, 5 * MS, 100 * MS, 151 * MS, 50 * MS, false));
}

/* -- breaker -- */

static spki_breaker_rule rule_of(uint32_t window, uint32_t minimum, uint32_t trials)
{
    spki_breaker_rule r;
    memset(&r, 0, sizeof r);
    r.failures = 0.5;
    r.slow = 1.0;
    r.window = window;
    r.minimum = minimum;
    r.trials = trials;
    r.open_ns = 1000;
    r.permit_ns = 100;
    return r;
}

TEST(the_breaker_opens_at_half_of_its_window_and_closes_after_good_trials)
{
    const spki_breaker_rule rule = rule_of(10, 4, 3);
    spki_breaker b;
    memset(&b, 0, sizeof b);
    for (int k = 0; k < 3; k++) { /* fewer than the minimum: no judgement */
        CHECK_EQ(spki_breaker_ask(&b, &rule, k), PERMIT_FREE);
        spki_breaker_report(&b, &rule, PERMIT_FREE, k, true, false);
        CHECK_EQ(b.state, SPK_BREAKER_CLOSED);
    }
    spki_breaker_report(&b, &rule, PERMIT_FREE, 5, false, false); /* 3 of 4 failed */
    CHECK_EQ(b.state, SPK_BREAKER_OPEN);
    CHECK_EQ(spki_breaker_when(&b, 5), 1005);
    CHECK_EQ(spki_breaker_ask(&b, &rule, 1004), PERMIT_NONE);
    int64_t permit[3];
    for (int k = 0; k < 3; k++) {
        permit[k] = spki_breaker_ask(&b, &rule, 1005 + k);
        CHECK(permit[k] >= 0);
        CHECK_EQ(b.state, SPK_BREAKER_HALF_OPEN);
    }
    CHECK_EQ(spki_breaker_ask(&b, &rule, 1008), PERMIT_NONE); /* three trials, no fourth */
    spki_breaker_report(&b, &rule, permit[1], 1010, false, false);
    spki_breaker_report(&b, &rule, permit[0], 1011, true, false);
    CHECK_EQ(b.state, SPK_BREAKER_HALF_OPEN);
    spki_breaker_report(&b, &rule, permit[2], 1012, false, false); /* 1 of 3: below a half */
    CHECK_EQ(b.state, SPK_BREAKER_CLOSED);
    CHECK_EQ(b.calls, 0);
    CHECK_EQ(b.opened, 1);
}

/* resilience4j's users found breakers half-open for ever, when a trial was never reported. */
TEST(a_trial_that_never_comes_back_expires_as_a_failure)
{
    const spki_breaker_rule rule = rule_of(4, 4, 2);
    spki_breaker b;
    memset(&b, 0, sizeof b);
    for (int k = 0; k < 4; k++) spki_breaker_report(&b, &rule, PERMIT_FREE, 0, true, false);
    CHECK_EQ(b.state, SPK_BREAKER_OPEN);
    const int64_t lost = spki_breaker_ask(&b, &rule, 1000); /* until 1100 */
    const int64_t good = spki_breaker_ask(&b, &rule, 1050); /* until 1150 */
    CHECK(lost >= 0 && good >= 0);
    spki_breaker_report(&b, &rule, good, 1060, false, false);
    CHECK_EQ(spki_breaker_ask(&b, &rule, 1099), PERMIT_NONE);
    CHECK_EQ(b.state, SPK_BREAKER_HALF_OPEN);
    CHECK_EQ(spki_breaker_ask(&b, &rule, 1100), PERMIT_NONE); /* expired: 1 of 2 failed */
    CHECK_EQ(b.state, SPK_BREAKER_OPEN);
    CHECK_EQ(b.open_until_ns, 2100);
    spki_breaker_report(&b, &rule, lost, 1101, false, false); /* too late: nobody asks any more */
    CHECK_EQ(b.state, SPK_BREAKER_OPEN);
    const int64_t one = spki_breaker_ask(&b, &rule, 2100), two = spki_breaker_ask(&b, &rule, 2100);
    spki_breaker_report(&b, &rule, lost, 2101, true, false); /* of another round */
    spki_breaker_report(&b, &rule, one, 2102, false, false);
    spki_breaker_report(&b, &rule, one, 2103, false, false); /* twice counts once */
    CHECK_EQ(b.state, SPK_BREAKER_HALF_OPEN);
    spki_breaker_report(&b, &rule, two, 2104, false, false);
    CHECK_EQ(b.state, SPK_BREAKER_CLOSED);
}

/* The ring of outcomes against a plain recount of the last `window` calls. */
TEST(the_window_holds_exactly_the_last_calls)
{
    spki_breaker_rule rule = rule_of(100, 100, 1);
    bool failed[3000], slow[3000];
    spki_breaker b;
    memset(&b, 0, sizeof b);
    rule.failures = 1.0;
    for (uint32_t k = 0; k < 3000; k++) {
        const uint32_t counter[4] = {k, 0, 0, 0}, key[2] = {1, 2};
        uint32_t out[4], f = 0, s = 0;
        spk_philox4x32(counter, key, out);
        failed[k] = out[0] % 3 == 0;
        slow[k] = out[1] % 4 == 0;
        spki_breaker_report(&b, &rule, PERMIT_FREE, k, failed[k], slow[k]);
        for (uint32_t i = k >= 99 ? k - 99 : 0; i <= k; i++) {
            f += failed[i];
            s += slow[i];
        }
        CHECK_EQ(b.failed, f);
        CHECK_EQ(b.slow, s);
    }
    CHECK_EQ(b.state, SPK_BREAKER_CLOSED);
}

TEST(slow_calls_open_it_too)
{
    spki_breaker_rule rule = rule_of(10, 10, 1);
    spki_breaker b;
    memset(&b, 0, sizeof b);
    rule.slow = 0.8;
    for (int k = 0; k < 10; k++) {
        CHECK_EQ(b.state, SPK_BREAKER_CLOSED);
        spki_breaker_report(&b, &rule, PERMIT_FREE, k, false, k >= 2);
    }
    CHECK_EQ(b.state, SPK_BREAKER_OPEN);
}

/* -- limiter -- */

/* Gradient2: with steady times gradient = min(1, 1.5) = 1 and the limit grows by 0.2 a sample up to
   the ceiling; where calls take 10 times as long as the average, gradient = 0.5 (its floor) and the
   limit goes to limit * 0.9 + 0.2 a sample, which settles at 2. */
TEST(the_limit_grows_while_times_are_steady_and_shrinks_when_they_rise)
{
    spki_limiter l;
    memset(&l, 0, sizeof l);
    l.limit = 4.0;
    for (int k = 0; k < 10; k++) spki_limiter_sample(&l, 1000.0, 16, 16.0);
    CHECK_NEAR(l.limit, 6.0, 1e-9);
    for (int k = 0; k < 200; k++) spki_limiter_sample(&l, 1000.0, 16, 16.0);
    CHECK_NEAR(l.limit, 16.0, 1e-9);
    double want = 16.0;
    for (int k = 0; k < 20; k++) {
        spki_limiter_sample(&l, 10000.0, 16, 16.0);
        want = 0.8 * want + 0.2 * (0.5 * want + 1.0);
        CHECK_NEAR(l.limit, want, 1e-9);
    }
    CHECK(l.limit < 4.0);
    /* An idle stage does not grow its limit. */
    const double before = l.limit;
    spki_limiter_sample(&l, 1000.0, 0, 16.0);
    CHECK_NEAR(l.limit, before, 0.0);
}

/* -- latency -- */

TEST(percentiles_are_at_most_a_32nd_too_high)
{
    static spki_hist h;
    spk_latency out;
    memset(&h, 0, sizeof h);
    for (uint32_t k = 1; k <= 100000; k++) spki_hist_record(&h, (int64_t)k * 10, 1);
    spki_hist_report(&h, &out);
    CHECK_EQ(out.count, 100000);
    const double want[] = {500.0, 990.0, 999.0}, got[] = {out.p50_us, out.p99_us, out.p999_us};
    for (int k = 0; k < 3; k++) CHECK(got[k] >= want[k] && got[k] <= want[k] * (1.0 + 1.0 / 32));
    CHECK_NEAR(out.max_us, 1000.0, 0.0);
    CHECK_NEAR(out.mean_us, 500.005, 1e-9);
    for (uint64_t x = 0; x < 100000; x += 7) {
        const uint64_t top = spki_hist_top(spki_hist_bucket(x));
        CHECK(top >= x && top - x <= x / 32);
        CHECK_EQ(spki_hist_bucket(top), spki_hist_bucket(x));
        CHECK_EQ(spki_hist_bucket(top + 1), spki_hist_bucket(x) + 1);
    }
    CHECK_EQ(spki_hist_bucket(UINT64_MAX), 1151);
    CHECK_EQ(spki_hist_bucket((UINT64_C(1) << 40) - 1), 1151);
}

TEST_MAIN()
