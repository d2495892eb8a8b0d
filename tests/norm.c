/* The kernels of norms: every instruction set, odd sizes, guard pages, in place, against double and against the chains
 * that their contract states. SPDX-License-Identifier: MIT */
#include "check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One case: everything the four kernels read. */
struct norm_case {
    struct qgm_norm t;
    size_t count;
    float *x, *y, *dy, *residual;
};

static struct norm_case draw(struct qgm_random *r)
{
    static const size_t extents[] = { 0, 1, 3, 4, 5, 49, 127, 128, 129, 257 };
    struct norm_case c = { .t = { .rows = extents[qgm_random_below(r, 10)],
                                  .c = check_extent(r, 1, 65),
                                  .swish = qgm_random_below(r, 2),
                                  .relu = qgm_random_below(r, 2) } };
    size_t n = (size_t)c.t.c;
    c.count = c.t.rows * n;
    c.t.mean = check_floats(r, n);
    c.t.scale = check_floats(r, n);
    c.t.shift = check_floats(r, n);
    c.t.slope = check_floats(r, n);
    c.t.offset = check_floats(r, n);
    c.x = check_floats(r, c.count);
    c.y = check_floats(r, c.count);
    c.dy = check_floats(r, c.count);
    c.residual = check_floats(r, c.count);
    return c;
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double f_of(const struct norm_case *c, size_t i)
{
    double x = (double)c->x[i], mean = (double)c->t.mean[i % (size_t)c->t.c];
    return c->t.swish ? x * sigmoid(x) : x - mean;
}
static double dz_of(const struct norm_case *c, size_t i) { return c->t.relu && !(c->y[i] > 0) ? 0 : (double)c->dy[i]; }

static void near(const char *what, double got, double want, double size)
{
    if (!(fabs(got - want) <= 4e-7 * (size + 1e-3))) fail_msg("%s: %.9g, expected %.9g", what, got, want);
}

/* Results of one table, to be compared with the next. */
struct results {
    float *out, *dz, *g, *dx;
    double *sums, *moments;
};

static struct results run(const struct qgm_kernels *k, const struct norm_case *c, bool add)
{
    size_t bytes = c->count * sizeof(float), pair = 2 * (size_t)c->t.c;
    struct results r = { .out = check_end(c->count, sizeof(float)),
                         .dz = check_end(c->count, sizeof(float)),
                         .g = check_start(c->count, sizeof(float)),
                         .dx = check_end(c->count, sizeof(float)),
                         .sums = check_end(pair, sizeof(double)),
                         .moments = check_end(pair, sizeof(double)) };
    memset(r.sums, 0, pair * sizeof(double));
    memset(r.moments, 0, pair * sizeof(double));
    k->norm_forward(&c->t, c->x, add ? c->residual : NULL, r.out);
    if (bytes) memcpy(r.dz, c->dy, bytes);
    k->norm_sums(&c->t, c->x, c->t.relu ? c->y : NULL, r.dz, c->t.swish ? r.g : NULL, r.sums);
    k->norm_backward(&c->t, c->x, c->t.swish ? r.g : r.dz, r.dx);
    if (c->t.rows) k->norm_moments(c->x, c->x, c->t.rows, c->t.c, r.moments);
    return r;
}

static void check_elements(const struct norm_case *c, const struct results *r, bool add)
{
    for (size_t i = 0; i < c->count; i++) {
        size_t j = i % (size_t)c->t.c;
        double f = f_of(c, i), z = f * (double)c->t.scale[j] + (double)c->t.shift[j], x = (double)c->x[i];
        if (add) z += (double)c->residual[i];
        near("forward", (double)r->out[i], c->t.relu && z < 0 ? 0 : z, 4);
        near("dz", (double)r->dz[i], dz_of(c, i), 0);
        double s = sigmoid(x), g = dz_of(c, i) * (c->t.swish ? s + x * s * (1 - s) : 1);
        near("dx", (double)r->dx[i],
             g * (double)c->t.scale[j] + (double)c->t.slope[j] * (x - (double)c->t.mean[j]) + (double)c->t.offset[j],
             5);
    }
}

static void check_sums(const struct norm_case *c, const struct results *r)
{
    size_t n = (size_t)c->t.c;
    for (size_t j = 0; j < n; j++) {
        double sum = 0, product = 0, d = 0, d2 = 0, size = 0;
        for (size_t i = j; i < c->count; i += n) {
            double off = (double)c->x[i] - (double)c->x[j];
            sum += dz_of(c, i);
            product += dz_of(c, i) * f_of(c, i);
            d += off;
            d2 += off * off;
            size += 4;
        }
        near("sum of dz", r->sums[j], sum, size);
        near("sum of dz f", r->sums[n + j], product, size);
        if (!c->t.rows) continue;
        near("moment 1", r->moments[j], d, size);
        near("moment 2", r->moments[n + j], d2, size);
    }
}

static void norms_are_what_they_say_on_every_isa(void **state)
{
    (void)state;
    for (int n = 0; n < check_count(300); n++) {
        struct qgm_random r = qgm_random((uint64_t)n, QGM_RANDOM_TEST, 50, 0);
        struct norm_case c = draw(&r);
        bool add = qgm_random_below(&r, 2);
        check_case("case %d: %zu rows of %d, swish %d, relu %d, residual %d", n, c.t.rows, c.t.c, c.t.swish, c.t.relu,
                   add);
        struct results first = run(qgm_kernels_named("scalar"), &c, add);
        check_elements(&c, &first, add);
        check_sums(&c, &first);
        CHECK_EACH_ISA(k)
        {
            struct results other = run(k, &c, add);
            check_bits(k->isa, other.out, first.out, c.count);
            check_bits(k->isa, other.dz, first.dz, c.count);
            check_bits(k->isa, other.dx, first.dx, c.count);
            size_t pair = 2 * (size_t)c.t.c * sizeof(double);
            assert_memory_equal(other.sums, first.sums, pair);
            if (c.t.rows) assert_memory_equal(other.moments, first.moments, pair);
        }
        check_free();
    }
}

/* The gradient of a residual block runs in place: dx over dz, y over the residual. */
static void norms_work_in_place(void **state)
{
    (void)state;
    for (int n = 0; n < check_count(100); n++) {
        struct qgm_random r = qgm_random((uint64_t)n, QGM_RANDOM_TEST, 51, 0);
        struct norm_case c = draw(&r);
        check_case("case %d: %zu rows of %d, swish %d, relu %d, in place", n, c.t.rows, c.t.c, c.t.swish, c.t.relu);
        struct results apart = run(qgm_kernels_named("scalar"), &c, true);
        double *sums = check_end(2 * (size_t)c.t.c, sizeof(double));
        memset(sums, 0, 2 * (size_t)c.t.c * sizeof *sums);
        CHECK_EACH_ISA(k)
        {
            float *dy = check_end(c.count, sizeof *dy), *out = check_end(c.count, sizeof *out);
            if (c.count) memcpy(dy, c.dy, c.count * sizeof *dy);
            if (c.count) memcpy(out, c.residual, c.count * sizeof *out);
            k->norm_forward(&c.t, c.x, out, out);
            k->norm_sums(&c.t, c.x, c.t.relu ? c.y : NULL, dy, dy, sums);
            k->norm_backward(&c.t, c.x, dy, dy);
            check_bits(k->isa, out, apart.out, c.count);
            check_bits(k->isa, dy, apart.dx, c.count);
        }
        check_free();
    }
}

/* Far from zero the variance must not drown: mean 1000, deviation 1. */
static void moments_do_not_cancel(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 52, 0);
    enum { ROWS = 5000 };
    float *x = check_end(ROWS, sizeof *x);
    double sums[2], mean = 0, square = 0;
    for (int i = 0; i < ROWS; i++) x[i] = (float)(1000 + qgm_random_normal(&r));
    for (int i = 0; i < ROWS; i++) mean += (double)x[i] / ROWS;
    for (int i = 0; i < ROWS; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean) / ROWS;
    CHECK_EACH_ISA(k)
    {
        sums[0] = sums[1] = 0;
        k->norm_moments(x, x, ROWS, 1, sums);
        double got = sums[1] / ROWS - sums[0] / ROWS * (sums[0] / ROWS);
        assert_true(fabs(got - square) < 1e-5 * square);
    }
    check_free();
}

/* So much output goes past the caches: the same bits as in halves, which do not. */
static void large_results_are_those_of_their_parts(void **state)
{
    (void)state;
    enum { C = 64, HALF = 65541, LITTLE = 8000, COUNT = 2 * HALF * C };
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 53, 0);
    const float *x = check_floats(&r, COUNT), *vector = check_floats(&r, 5 * C);
    float *whole = check_end(COUNT, sizeof *whole), *parts = check_end(COUNT, sizeof *parts);
    for (int turn = 0; turn < check_few(4); turn++) {
        struct qgm_norm half = { .rows = HALF, .c = C, .relu = turn & 1, .mean = vector, .scale = vector + C };
        half.shift = vector + 2 * C, half.slope = vector + 3 * C, half.offset = vector + 4 * C;
        struct qgm_norm both = half;
        both.rows = 2 * HALF;
        const float *residual = turn & 2 ? x : NULL, *second = residual ? x + COUNT / 2 : NULL;
        CHECK_EACH_ISA(k)
        {
            k->norm_forward(&both, x, residual, whole);
            k->norm_forward(&half, x, residual, parts);
            k->norm_forward(&half, x + COUNT / 2, second, parts + COUNT / 2);
            check_bits(k->isa, whole, parts, COUNT);
            k->norm_backward(&both, x, x, whole);
            k->norm_backward(&half, x, x, parts);
            k->norm_backward(&half, x + COUNT / 2, x + COUNT / 2, parts + COUNT / 2);
            check_bits(k->isa, whole, parts, COUNT);
            memset(parts, 0, COUNT * sizeof *parts);
            for (size_t row = 0; row < 2 * HALF; row += LITTLE) { /* near at hand: nothing is asked for ahead */
                struct qgm_norm little = both;
                size_t at = row * C;
                little.rows = 2 * HALF - row < LITTLE ? 2 * HALF - row : LITTLE;
                k->norm_backward(&little, x + at, x + at, parts + at);
            }
            check_bits(k->isa, whole, parts, COUNT);
        }
    }
    check_free();
}

/* So many values are asked for ahead of their turn: the sums of a walk as long as that, against plain ones in double.
 */
static void far_sums_are_what_they_say(void **state)
{
    (void)state;
    enum { C = 72, ROWS = 14600, COUNT = ROWS * C };
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 54, 0);
    const float *x = check_floats(&r, COUNT), *y = check_floats(&r, COUNT), *slopes = check_floats(&r, COUNT);
    const float *mean = check_floats(&r, C);
    float *dy = check_end(COUNT, sizeof *dy);
    double want[4 * C] = { 0 }, got[4 * C];
    for (int i = 0; i < COUNT; i++) {
        int j = i % C;
        double d = (double)x[i] - (double)x[j], dz = y[i] > 0 ? (double)slopes[i] : 0;
        want[j] += d, want[C + j] += d * d;
        want[2 * C + j] += dz, want[3 * C + j] += dz * ((double)x[i] - (double)mean[j]);
    }
    struct qgm_norm t = { .rows = ROWS, .c = C, .relu = true, .mean = mean };
    CHECK_EACH_ISA(k)
    {
        memcpy(dy, slopes, COUNT * sizeof *dy);
        memset(got, 0, 4 * C * sizeof *got);
        k->norm_moments(x, x, ROWS, C, got);
        k->norm_sums(&t, x, y, dy, NULL, got + 2 * C);
        for (int j = 0; j < 4 * C; j++) assert_true(fabs(got[j] - want[j]) < 1e-6 * ROWS);
        for (int i = 0; i < COUNT; i++) assert_true(dy[i] == (y[i] > 0 ? slopes[i] : 0));
    }
    check_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_are_what_they_say_on_every_isa),
        cmocka_unit_test(norms_work_in_place),
        cmocka_unit_test(large_results_are_those_of_their_parts),
        cmocka_unit_test(far_sums_are_what_they_say),
        cmocka_unit_test(moments_do_not_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
