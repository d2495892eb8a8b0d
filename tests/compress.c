/* Compression of messages against plain definitions: the largest by sorting, random choices by their frequencies,
 * rounding by its levels. The scalar copy; tests/same-bits.sh compares the others with it. SPDX-License-Identifier: MIT
 */
#include "compress.h"
#include "check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CASES = 4000 };

static float drawn(struct qgm_random *r, int kind)
{
    double normal = qgm_random_normal(r), flat = qgm_random_float(r);
    switch (kind) {
    case 0:
        return (float)normal;
    case 1:
        return (float)(flat - 0.5);
    case 2: /* a heavy tail */
        return (float)(normal / (flat * flat + 1e-6));
    case 3: /* ties, zeros among them */
        return (float)((int)qgm_random_below(r, 7) - 3);
    case 4: /* subnormal numbers */
        return (float)(normal * 1e-41);
    case 5: /* so large that their sum is infinite */
        return (float)(normal * 5e37);
    case 6: /* nearly all zero */
        return flat < 0.03 ? (float)normal : 0;
    default: /* all the same */
        return -2.5f;
    }
}
enum { KINDS = 8 };

struct call {
    double knob[COMPRESS_OWN_KNOBS];
    struct qgm_step step;
    struct qgm_block block;
    float z[QGM_BLOCK], before[QGM_BLOCK];
};

static void prepare(struct call *c, struct qgm_random *r, int compressor, double ratio, int kind)
{
    memset(c, 0, sizeof *c);
    c->knob[COMPRESSOR] = compressor, c->knob[RATIO] = ratio, c->knob[LEVELS] = 15;
    c->step = (struct qgm_step){ .knob = c->knob, .seed = qgm_random_u32(r), .t = (long)qgm_random_below(r, 1000) };
    size_t used = 1 + qgm_random_below(r, QGM_BLOCK);
    c->block = (struct qgm_block){ .used = used, .len = qgm_pad16(used), .client = (int)qgm_random_below(r, 100) };
    for (size_t i = 0; i < used; i++) c->z[i] = drawn(r, kind);
    memcpy(c->before, c->z, sizeof c->z);
}

/* ---- The k largest ---- */

static const float *sorted_values;
/* NaN first, then by magnitude, then by index. */
static int larger_first(const void *a, const void *b)
{
    int i = *(const int *)a, j = *(const int *)b;
    float x = fabsf(sorted_values[i]), y = fabsf(sorted_values[j]);
    if (isnan(x) != isnan(y)) return isnan(x) ? -1 : 1;
    if (x > y) return -1;
    if (x < y) return 1;
    return (i > j) - (i < j);
}

static void keep_largest(const float *z, size_t len, size_t k, float *out)
{
    int order[QGM_BLOCK];
    for (size_t i = 0; i < len; i++) order[i] = (int)i;
    sorted_values = z;
    qsort(order, len, sizeof *order, larger_first);
    memset(out, 0, len * sizeof *out);
    for (size_t i = 0; i < k; i++) out[order[i]] = z[order[i]];
}

static size_t kept(double ratio, size_t used)
{
    size_t k = (size_t)((double)used * ratio + 0.5);
    return k < 1 ? 1 : k;
}

static void topk_keeps_the_largest(void **state)
{
    (void)state;
    static const double ratios[] = { 1e-6, 0.01, 0.1, 0.3, 0.5, 0.9, 1 };
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < check_count(CASES); i++) {
        struct call c;
        float want[QGM_BLOCK];
        double ratio = ratios[qgm_random_below(&r, QGM_COUNT(ratios))];
        prepare(&c, &r, COMPRESS_TOPK, ratio, i % KINDS);
        check_case("case %d: kind %d, %zu of %zu, ratio %g", i, i % KINDS, c.block.used, c.block.len, ratio);
        compress(&c.step, &c.block, c.z, 0);
        keep_largest(c.before, c.block.len, kept(ratio, c.block.used), want);
        for (size_t k = 0; k < c.block.len; k++) assert_true(c.z[k] == want[k]);
    }
}

/* Divergence must show: NaN is among the largest, and where NaN and infinity leave no choice all is sent. */
static void topk_does_not_hide_nan(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < check_count(CASES); i++) {
        struct call c;
        prepare(&c, &r, COMPRESS_TOPK, 0.1, i % KINDS);
        size_t k = kept(0.1, c.block.used), lost = 1 + qgm_random_below(&r, (uint32_t)(2 * k)), nans = 0;
        for (size_t n = 0; n < lost; n++) c.before[qgm_random_below(&r, (uint32_t)c.block.used)] = i % 2 ? NAN : -NAN;
        for (size_t n = 0; n < c.block.len; n++) nans += isnan(c.before[n]) != 0;
        memcpy(c.z, c.before, sizeof c.z);
        check_case("case %d: kind %d, %zu NaN, %zu kept", i, i % KINDS, nans, k);
        compress(&c.step, &c.block, c.z, 0);
        float want[QGM_BLOCK];
        if (nans >= k)
            memcpy(want, c.before, sizeof want);
        else
            keep_largest(c.before, c.block.len, k, want);
        check_bits("scalar", c.z, want, c.block.len);
    }
    struct call c;
    prepare(&c, &r, COMPRESS_TOPK, 0.1, 0);
    c.z[0] = c.before[0] = INFINITY;
    compress(&c.step, &c.block, c.z, 0);
    check_bits("scalar", c.z, c.before, c.block.len);
}

/* ---- The others ---- */

static void randk_keeps_so_many_each_as_likely(void **state)
{
    (void)state;
    enum { DRAWS = 20000, USED = 40, KEPT = 10 };
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 0);
    struct call c;
    int often[USED] = { 0 };
    prepare(&c, &r, COMPRESS_RANDK, (double)KEPT / USED, 7);
    c.block.used = USED, c.block.len = qgm_pad16(USED);
    for (int i = 0; i < DRAWS; i++) {
        int count = 0;
        for (int k = 0; k < USED; k++) c.z[k] = (float)(k + 1);
        c.step.t = i;
        compress(&c.step, &c.block, c.z, 0);
        for (int k = 0; k < USED; k++) {
            assert_true(c.z[k] == 0 || c.z[k] == (float)(k + 1));
            if (c.z[k] != 0) count++, often[k]++;
        }
        assert_int_equal(count, KEPT);
    }
    /* a binomial count, within five standard deviations */
    double p = (double)KEPT / USED, mean = DRAWS * p, deviation = sqrt(DRAWS * p * (1 - p));
    for (int k = 0; k < USED; k++) assert_true(fabs(often[k] - mean) < 5 * deviation);
}

static void sign_sends_signs_and_the_mean_magnitude(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(4, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < check_count(CASES); i++) {
        struct call c;
        double sum = 0;
        prepare(&c, &r, COMPRESS_SIGN, 1, i % 2);
        c.z[0] = c.before[0] = i % 3 ? c.before[0] : 0;
        compress(&c.step, &c.block, c.z, 0);
        for (size_t k = 0; k < c.block.used; k++) sum += fabs((double)c.before[k]);
        double mean = sum / (double)c.block.used;
        for (size_t k = 0; k < c.block.used; k++)
            assert_true(fabs(((c.before[k] > 0) - (c.before[k] < 0)) * mean - (double)c.z[k]) <= 1e-5 * mean);
        for (size_t k = c.block.used; k < c.block.len; k++) assert_true(c.z[k] == 0);
    }
}

/* Each coordinate is one of the two levels beside it, times a common factor, and right in the mean. */
static void qsgd_rounds_to_levels_without_bias(void **state)
{
    (void)state;
    enum { DRAWS = 4000, USED = 30, LEVEL = 15 };
    struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 0, 0);
    struct call c;
    double sum[USED] = { 0 }, norm = 0;
    prepare(&c, &r, COMPRESS_QSGD, 1, 0);
    c.block.used = USED, c.block.len = qgm_pad16(USED);
    for (int k = 0; k < QGM_BLOCK; k++) c.before[k] = k < USED ? (float)qgm_random_normal(&r) : 0;
    for (int k = 0; k < USED; k++) norm += (double)c.before[k] * c.before[k];
    norm = sqrt(norm);
    double spread = USED / (double)(LEVEL * LEVEL), root = sqrt(USED) / LEVEL, shrink = 1 + fmin(spread, root);
    for (int i = 0; i < DRAWS; i++) {
        memcpy(c.z, c.before, sizeof c.z);
        c.step.t = i;
        compress(&c.step, &c.block, c.z, 0);
        for (int k = 0; k < USED; k++) {
            double exact = LEVEL * (double)c.before[k] / norm, level = (double)c.z[k] * shrink * LEVEL / norm;
            assert_true(fabs(level - round(level)) < 1e-3 && fabs(level - exact) < 1 + 1e-3);
            sum[k] += level;
        }
        for (size_t k = USED; k < c.block.len; k++) assert_true(c.z[k] == 0);
    }
    /* a level is off by less than one, so its deviation is at most a half */
    for (int k = 0; k < USED; k++)
        assert_true(fabs(sum[k] / DRAWS - LEVEL * (double)c.before[k] / norm) < 5 * 0.5 / sqrt(DRAWS));
}

/* Above 65536 blocks too, each has random numbers of its own. */
static void blocks_of_large_models_differ(void **state)
{
    (void)state;
    struct call a, b;
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 9, 9);
    prepare(&a, &r, COMPRESS_RANDK, 0.1, 0);
    a.block.used = a.block.len = QGM_BLOCK;
    for (size_t i = 0; i < QGM_BLOCK; i++) a.z[i] = 1;
    b = a;
    b.block.at = (size_t)65536 * QGM_BLOCK;
    compress(&a.step, &a.block, a.z, 0);
    compress(&b.step, &b.block, b.z, 0);
    assert_true(memcmp(a.z, b.z, sizeof a.z) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_large_models_differ),
        cmocka_unit_test(topk_keeps_the_largest),
        cmocka_unit_test(topk_does_not_hide_nan),
        cmocka_unit_test(randk_keeps_so_many_each_as_likely),
        cmocka_unit_test(sign_sends_signs_and_the_mean_magnitude),
        cmocka_unit_test(qsgd_rounds_to_levels_without_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
