/* Random streams: known answers, moments, permutations, and digests that notice a renumbering.
 * SPDX-License-Identifier: MIT */
#include "check.h"
#include "dmath.h"
#include <math.h>
#include <string.h>

/* The published known answers of philox4x32-10 belong to key and counter, which a stream's fields are. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        { { 0 }, { 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < QGM_COUNT(cases); i++) {
        struct qgm_random r = { .key = { cases[i].key[0], cases[i].key[1] },
                                .stream = { cases[i].counter[1], cases[i].counter[2], cases[i].counter[3] },
                                .next = cases[i].counter[0] };
        for (int j = 0; j < 4; j++) assert_int_equal(qgm_random_u32(&r), cases[i].want[j]);
    }
}

/* FNV-1a over the first numbers of a stream of every purpose: results of old runs depend on them. */
static void streams_keep_their_numbers(void **state)
{
    (void)state;
    static const uint64_t want[] = { UINT64_C(0x4a413a40343390ed), UINT64_C(0x08daab4192c0f957),
                                     UINT64_C(0x6e2c5c43290a0485), UINT64_C(0x721dbb95d22eabf2),
                                     UINT64_C(0x015623483a6bbfea), UINT64_C(0xc460ee2c418d239f),
                                     UINT64_C(0x709b737aa284d032), UINT64_C(0x0fa717288997f6af),
                                     UINT64_C(0xf72087b93f63a8ff) };
    for (uint32_t purpose = QGM_RANDOM_INIT; purpose <= QGM_RANDOM_TEST; purpose++) {
        struct qgm_random r = qgm_random(42, (enum qgm_purpose)purpose, 3, 7);
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        for (int i = 0; i < 64; i++) hash = (hash ^ qgm_random_u32(&r)) * UINT64_C(0x100000001b3);
        double derived[] = { qgm_random_normal(&r), qgm_random_gamma(&r, 0.3), qgm_random_double(&r),
                             qgm_random_float(&r), qgm_random_below(&r, 1000) };
        for (size_t i = 0; i < QGM_COUNT(derived); i++) {
            uint64_t u;
            memcpy(&u, &derived[i], sizeof u);
            hash = (hash ^ u) * UINT64_C(0x100000001b3);
        }
        if (hash != want[purpose - 1])
            fail_msg("purpose %u: digest %016llx, recorded %016llx", purpose, (unsigned long long)hash,
                     (unsigned long long)want[purpose - 1]);
    }
}

static void streams_differ(void **state)
{
    (void)state;
    uint32_t first[16];
    for (uint32_t i = 0; i < 16; i++) {
        struct qgm_random r = qgm_random(i & 1, (enum qgm_purpose)(1 + (i >> 1 & 1)), i >> 2 & 1, i >> 3);
        first[i] = qgm_random_u32(&r);
        for (uint32_t j = 0; j < i; j++) assert_int_not_equal(first[i], first[j]);
    }
}

/* Pearson's statistic of `bins` equal bins; its standard deviation is sqrt(2 (bins - 1)). */
static double chi_squared(const long *seen, int bins, double expected)
{
    double sum = 0;
    for (int i = 0; i < bins; i++) sum += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
    return sum;
}

static void uniform(void **state)
{
    (void)state;
    enum { BINS = 97, DRAWS = 97000 };
    struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 0, 0);
    long below[BINS] = { 0 }, single[BINS] = { 0 }, twice[BINS] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        double d = qgm_random_double(&r), f = (double)qgm_random_float(&r);
        uint32_t u = qgm_random_below(&r, BINS);
        assert_true(d >= 0 && d < 1 && f >= 0 && f < 1 && u < BINS);
        below[u]++, single[(int)(f * BINS)]++, twice[(int)(d * BINS)]++;
    }
    const long *all[] = { below, single, twice };
    for (int i = 0; i < 3; i++)
        assert_true(fabs(chi_squared(all[i], BINS, DRAWS / BINS) - (BINS - 1)) < 4 * sqrt(2.0 * BINS));
    for (int i = 0; i < 100; i++) assert_int_equal(qgm_random_below(&r, 1), 0);
    for (int i = 0; i < 100; i++) assert_true(qgm_random_below(&r, 0xffffffff) < 0xffffffff);
}

static void normal_moments(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 0, 1);
    double sum[5] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        double x = qgm_random_normal(&r), power = 1;
        for (int p = 0; p < 5; p++, power *= x) sum[p] += power;
    }
    static const double want[] = { 1, 0, 1, 0, 3 }, variance[] = { 0, 1, 2, 15, 96 };
    for (int p = 1; p < 5; p++) assert_true(fabs(sum[p] / DRAWS - want[p]) < 4 * sqrt(variance[p] / DRAWS));
}

/* Gamma(a) has mean a, variance a, fourth central moment 3 a^2 + 6 a. */
static void gamma_moments(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    static const double shapes[] = { 0.1, 0.5, 1, 2.5, 10, 100 };
    for (uint32_t s = 0; s < QGM_COUNT(shapes); s++) {
        struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 1, s);
        double a = shapes[s], sum = 0, square = 0;
        for (int i = 0; i < DRAWS; i++) {
            double d = qgm_random_gamma(&r, a) - a;
            sum += d, square += d * d;
        }
        assert_true(fabs(sum / DRAWS) < 4 * sqrt(a / DRAWS));
        assert_true(fabs(square / DRAWS - a) < 4 * sqrt((2 * a * a + 6 * a) / DRAWS));
    }
}

/* E log Gamma(a) = digamma(a), which is -1/a - 0.5772 + 1.6449 a + O(a^2) for small a; its variance is about 1/a^2. */
static void log_gamma_does_not_underflow(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 2, 0);
    double sum = 0, a = 1e-3;
    for (int i = 0; i < DRAWS; i++) {
        double x = qgm_random_log_gamma(&r, a);
        assert_true(isfinite(x));
        sum += x;
    }
    assert_true(fabs(sum / DRAWS + 1 / a + 0.5772 - 1.6449 * a) < 4 / a / sqrt(DRAWS));
}

static void permutations(void **state)
{
    (void)state;
    enum { N = 6, DRAWS = 36000 };
    long seen[N * N] = { 0 };
    for (uint32_t i = 0; i < DRAWS; i++) {
        struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 3, i);
        uint32_t index[N], mask = 0;
        for (uint32_t j = 0; j < N; j++) index[j] = j;
        qgm_random_shuffle(&r, index, N);
        for (uint32_t j = 0; j < N; j++) mask |= 1u << index[j], seen[j * N + index[j]]++;
        assert_int_equal(mask, (1u << N) - 1);
    }
    assert_true(chi_squared(seen, N * N, DRAWS / N) < (N - 1) * (N - 1) + 4 * sqrt(2.0 * (N - 1) * (N - 1)));
    struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 3, 0);
    uint32_t one = 7;
    qgm_random_shuffle(&r, &one, 0);
    qgm_random_shuffle(&r, &one, 1);
    assert_int_equal(one, 7);
}

static void exp_and_log_in_double(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 4, 0);
    for (int i = 0; i < 100000; i++) {
        double x = 1416 * qgm_random_double(&r) - 708, e = qgm_exp(x),
               y = ldexp(1 + qgm_random_double(&r), i % 2000 - 1000);
        assert_true(fabs(e - exp(x)) <= 4 * 0x1p-52 * exp(x));
        assert_true(fabs(qgm_log(y) - log(y)) <= 2 * 0x1p-52 * fabs(log(y)));
    }
    assert_true(qgm_log(1) == 0 && qgm_exp(0) == 1 && qgm_exp(-1000) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),         cmocka_unit_test(streams_keep_their_numbers),
        cmocka_unit_test(streams_differ),        cmocka_unit_test(uniform),
        cmocka_unit_test(normal_moments),        cmocka_unit_test(gamma_moments),
        cmocka_unit_test(permutations),          cmocka_unit_test(log_gamma_does_not_underflow),
        cmocka_unit_test(exp_and_log_in_double),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
