/* exp, log, tanh, sigmoid, erf: at most 2 ulp from libm's double over the whole range, the same bits on every ISA.
 * SPDX-License-Identifier: MIT */
#include "check.h"
#include <math.h>
#include <string.h>

enum { STEP = 4099, LOT = 1 << 16 }; /* every STEP-th float of the 2^32: some 2000 in each binade */

static double sigmoid_(double x) { return 1 / (1 + exp(-x)); }

static const struct {
    const char *name;
    size_t row; /* offset in the table */
    double (*exact)(double);
} functions[] = {
    { "exp", offsetof(struct qgm_kernels, exp), exp },
    { "log", offsetof(struct qgm_kernels, log), log },
    { "tanh", offsetof(struct qgm_kernels, tanh), tanh },
    { "sigmoid", offsetof(struct qgm_kernels, sigmoid), sigmoid_ },
    { "erf", offsetof(struct qgm_kernels, erf), erf },
};

/* The distance in units of the last place of the float nearest to want. */
static double ulps(float got, double want)
{
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    float near = (float)want;
    if (isinf(near) || isinf(got)) return got == near ? 0 : nextafterf(near, 0) == nextafterf(got, 0) ? 1 : INFINITY;
    int exponent;
    frexpf(near, &exponent);
    return fabs((double)got - want) / ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

static double check_lot(size_t f, const float *x, int n)
{
    static float want[LOT], got[LOT];
    double worst = 0;
    bool first = true;
    CHECK_EACH_ISA(table)
    {
        void (*kernel)(const float *, float *, size_t);
        memcpy(&kernel, (const char *)table + functions[f].row, sizeof kernel);
        kernel(x, first ? want : got, (size_t)n);
        if (!first) check_bits(table->isa, got, want, (size_t)n);
        first = false;
    }
    for (int i = 0; i < n; i++) {
        double off = ulps(want[i], functions[f].exact((double)x[i]));
        if (off > 2) fail_msg("%s(%a) = %a is %.2f ulp off", functions[f].name, (double)x[i], (double)want[i], off);
        worst = off > worst ? off : worst;
    }
    return worst;
}

static void whole_range(void **state)
{
    (void)state;
    static float x[LOT];
    for (size_t f = 0; f < QGM_COUNT(functions); f++) {
        double worst = 0;
        check_case("%s", functions[f].name);
        for (uint64_t u = 0; u < UINT64_C(1) << 32;) {
            int n = 0;
            for (; n < LOT && u < UINT64_C(1) << 32; u += STEP * 8 / (uint64_t)check_count(8), n++) {
                uint32_t word = (uint32_t)u;
                memcpy(x + n, &word, sizeof word);
            }
            double off = check_lot(f, x, n);
            worst = off > worst ? off : worst;
        }
        print_message("%s: %.2f ulp\n", functions[f].name, worst);
    }
}

static void special_values(void **state)
{
    (void)state;
    static const float x[] = { 0,         -0.0f,           1,      -1,       INFINITY, -INFINITY, NAN,
                               88.72283f, 88.72284f,       -87.3f, -103.97f, -103.98,  0x1p-149,  0x1p-126f,
                               0.75f,     0.92f,           -0.75f, -0.92f,   4,        -4,        1e30f,
                               -1e30f,    0x1.fffffep127f, 0.125f, 0.25f,    3.875f,   7.75f,     9.25f };
    for (size_t f = 0; f < QGM_COUNT(functions); f++)
        for (int n = 1; n <= (int)QGM_COUNT(x); n++) check_lot(f, x, n);
}

/* tanh and erf end at 1 exactly, so that what is made of 1 minus them ends at 0, and never pass it. */
static void ends_at_one(void **state)
{
    (void)state;
    static float x[LOT], y[2][LOT];
    for (int i = 0; i < LOT; i++) x[i] = 3 + 7 * (float)i / LOT;
    CHECK_EACH_ISA(table)
    {
        table->tanh(x, y[0], LOT);
        table->erf(x, y[1], LOT);
        for (int i = 0; i < LOT; i++) assert_true(y[0][i] <= 1 && y[1][i] <= 1);
        assert_true(y[0][LOT - 1] == 1 && y[1][LOT - 1] == 1);
        table->erf((const float[]){ -4, -INFINITY }, y[1], 2);
        table->tanh((const float[]){ -9.25f, -INFINITY }, y[0], 2);
        for (int i = 0; i < 2; i++) assert_true(y[0][i] == -1 && y[1][i] == -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(whole_range), cmocka_unit_test(special_values),
                                        cmocka_unit_test(ends_at_one) };
    return cmocka_run_group_tests_name("functions", tests, NULL, NULL);
}
