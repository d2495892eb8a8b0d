/* The kernels of transformer encoders: every instruction set, odd sizes, guard pages, in place, against double.
 * SPDX-License-Identifier: MIT */
#include "check.h"
#include <math.h>
#include <string.h>

static void near(const char *what, float got, double want, double size)
{
    if (!(fabs((double)got - want) <= 1e-6 * (size + 1e-3)))
        fail_msg("%s: %.9g, expected %.9g", what, (double)got, want);
}

static float *copy(const float *x, size_t count)
{
    float *y = check_end(count, sizeof *y);
    if (count) memcpy(y, x, count * sizeof *y);
    return y;
}

/* One row: y, dx and the parameters' gradients by the textbook. */
static void check_row(const struct qgm_layernorm *t, const float *x, const float *dy, const float *y, const float *dx,
                      double *dgamma, double *dbeta)
{
    double mean = 0, var = 0, plain = 0, product = 0;
    for (int j = 0; j < t->c; j++) mean += (double)x[j] / t->c;
    for (int j = 0; j < t->c; j++) var += ((double)x[j] - mean) * ((double)x[j] - mean) / t->c;
    double rstd = 1 / sqrt(var + t->epsilon);
    for (int j = 0; j < t->c; j++) {
        double unit = ((double)x[j] - mean) * rstd, g = (double)t->gamma[j] * (double)dy[j];
        near("y", y[j], unit * (double)t->gamma[j] + (double)t->beta[j], 4 + rstd);
        dgamma[j] += unit * (double)dy[j];
        dbeta[j] += (double)dy[j];
        plain += g / t->c;
        product += g * unit / t->c;
    }
    for (int j = 0; j < t->c; j++) {
        double unit = ((double)x[j] - mean) * rstd, g = (double)t->gamma[j] * (double)dy[j];
        near("dx", dx[j], rstd * (g - plain - unit * product), 10 * (1 + rstd * rstd));
    }
}

static void layer_norm_is_the_textbooks(void **state)
{
    (void)state;
    for (int n = 0; n < check_count(150); n++) {
        struct qgm_random r = qgm_random((uint64_t)n, QGM_RANDOM_TEST, 60, 0);
        struct qgm_layernorm t = { .rows = (size_t)check_extent(&r, 0, 33),
                                   .c = check_extent(&r, 2, 65),
                                   .epsilon = 1e-5 };
        size_t c = (size_t)t.c, count = t.rows * c;
        float *x = check_floats(&r, count), *dy = check_floats(&r, count), *start = check_floats(&r, c);
        t.gamma = check_floats(&r, c);
        t.beta = check_floats(&r, c);
        check_case("case %d: %zu rows of %d", n, t.rows, t.c);
        float *y0 = NULL, *dx0 = NULL, *dg0 = NULL, *db0 = NULL;
        CHECK_EACH_ISA(k)
        {
            float *y = check_end(count, sizeof *y), *stats = check_end(2 * t.rows, sizeof *stats);
            float *dx = copy(dy, count), *dg = copy(start, c), *db = copy(start, c);
            k->layernorm_forward(&t, x, y, stats);
            k->layernorm_backward(&t, x, stats, dx, dx, dg, db);
            if (y0) {
                check_bits(k->isa, y, y0, count);
                check_bits(k->isa, dx, dx0, count);
                check_bits(k->isa, dg, dg0, c);
                check_bits(k->isa, db, db0, c);
                continue;
            }
            y0 = y;
            dx0 = dx;
            dg0 = dg;
            db0 = db;
            double dgamma[65] = { 0 }, dbeta[65] = { 0 };
            for (size_t i = 0; i < t.rows; i++)
                check_row(&t, x + i * c, dy + i * c, y + i * c, dx + i * c, dgamma, dbeta);
            for (size_t j = 0; j < c; j++) {
                near("dgamma", dg[j], dgamma[j] + (double)start[j], 100);
                near("dbeta", db[j], dbeta[j] + (double)start[j], 100);
            }
        }
        check_free();
    }
}

static double gelu(double x) { return x * 0.5 * (1 + erf(x / sqrt(2))); }

static void gelu_is_the_exact_one(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 61, 0);
    for (int n = 0; n <= 70; n += n < 35 ? 1 : 7) {
        size_t count = (size_t)n;
        float *x = check_floats(&r, count), *dy = check_floats(&r, count), *first = NULL;
        for (int i = 0; i < n; i++) x[i] *= (float)(i % 3 == 0 ? 8 : 2);
        CHECK_EACH_ISA(k)
        {
            float *y = copy(x, count), *dx = copy(dy, count);
            k->gelu_forward(y, y, count);
            k->gelu_backward(x, dx, dx, count);
            for (size_t i = 0; i < count; i++) {
                double v = (double)x[i], h = 1e-5;
                near("gelu", y[i], gelu(v), 1);
                near("gelu'", dx[i], (double)dy[i] * (gelu(v + h) - gelu(v - h)) / (2 * h), 1);
            }
            if (first) check_bits(k->isa, dx, first, count);
            first = dx;
        }
        check_free();
    }
}

static void softmax_leaves_padding_out(void **state)
{
    (void)state;
    for (int n = 0; n < check_count(150); n++) {
        struct qgm_random r = qgm_random((uint64_t)n, QGM_RANDOM_TEST, 62, 0);
        int rows = check_extent(&r, 0, 17), cols = check_extent(&r, 1, 65);
        int live = 1 + (int)qgm_random_below(&r, (uint32_t)cols);
        size_t count = (size_t)rows * (size_t)cols;
        float *x = check_floats(&r, count), *dy = check_floats(&r, count), *y0 = NULL, *dx0 = NULL;
        for (size_t i = 0; i < count; i++) x[i] = 20 * x[i] + 100; /* exp(100) overflows */
        check_case("case %d: %d rows of %d, %d live", n, rows, cols, live);
        CHECK_EACH_ISA(k)
        {
            float *y = copy(x, count), *dx = copy(dy, count);
            k->softmax_rows(y, rows, cols, live, 0.5f);
            k->softmax_rows_backward(y, dx, rows, cols, 0.5f);
            for (int i = 0; i < rows; i++) {
                const float *in = x + i * cols;
                double sum = 0, dot = 0;
                for (int j = 0; j < live; j++) sum += exp(0.5 * ((double)in[j] - 100));
                for (int j = 0; j < live; j++) dot += exp(0.5 * ((double)in[j] - 100)) / sum * (double)dy[i * cols + j];
                for (int j = 0; j < cols; j++) {
                    double p = j < live ? exp(0.5 * ((double)in[j] - 100)) / sum : 0;
                    near("softmax", y[i * cols + j], p, 2);
                    near("its derivative", dx[i * cols + j], 0.5 * p * ((double)dy[i * cols + j] - dot), 2);
                }
            }
            if (y0) check_bits(k->isa, y, y0, count);
            if (dx0) check_bits(k->isa, dx, dx0, count);
            y0 = y;
            dx0 = dx;
        }
        check_free();
    }
}

/* A NaN among the scores is one in all that lives, and nothing behind it. */
static void softmax_of_nan_leaves_padding_out(void **state)
{
    (void)state;
    const float bad[] = { NAN, INFINITY, -INFINITY };
    CHECK_EACH_ISA(k)
    for (int n = 0; n < 3 * 40; n++) {
        int cols = 1 + n / 3, live = 1 + n % cols;
        float *x = check_end((size_t)cols, sizeof *x);
        for (int j = 0; j < cols; j++) x[j] = bad[n % 3];
        check_case("%s: %g in %d of %d", k->isa, (double)bad[n % 3], live, cols);
        k->softmax_rows(x, 1, cols, live, 0.5f);
        for (int j = 0; j < cols; j++) assert_true(j < live ? isnan(x[j]) : x[j] == 0);
        check_free();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_norm_is_the_textbooks),
        cmocka_unit_test(gelu_is_the_exact_one),
        cmocka_unit_test(softmax_leaves_padding_out),
        cmocka_unit_test(softmax_of_nan_leaves_padding_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
