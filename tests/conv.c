/* The three passes of convolution of every ISA against the naive chain and the sum in double.
 * SPDX-License-Identifier: MIT */
#include "ref.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum pass { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS };
static const char *const pass_names[] = { "forward", "backward data", "backward weights" };

struct operands {
    float *x, *w, *dy, *bias, *dw0;
    size_t nx, nw, ny;
};

static struct operands operands(struct qgm_random *r, const struct qgm_conv *c, uint32_t poison)
{
    struct operands o = { .nx = (size_t)c->n * c->h * c->w * c->ci,
                          .nw = (size_t)c->kh * c->kw * c->ci * c->co,
                          .ny = (size_t)c->n * qgm_conv_oh(c) * qgm_conv_ow(c) * c->co };
    o.x = check_floats(r, o.nx), o.w = check_floats(r, o.nw), o.dy = check_floats(r, o.ny);
    o.dw0 = check_floats(r, o.nw), o.bias = check_floats(r, (size_t)c->co);
    if (poison) check_poison(r, o.x, o.nx, poison), check_poison(r, o.dy, o.ny, poison);
    return o;
}

static size_t run(const struct qgm_kernels *table, const struct qgm_conv *c, enum pass pass, const struct operands *o,
                  bool bias, bool relu, float **out)
{
    size_t n = pass == FORWARD ? o->ny : pass == BACKWARD_DATA ? o->nx : o->nw;
    *out = check_end(n, sizeof **out);
    void *scratch = check_end(qgm_conv_scratch(c), 1);
    if (pass == FORWARD) table->conv_forward(c, o->x, o->w, bias ? o->bias : NULL, relu, *out, scratch);
    if (pass == BACKWARD_DATA) table->conv_backward_data(c, o->dy, o->w, *out, scratch);
    if (pass == BACKWARD_WEIGHTS) {
        memcpy(*out, o->dw0, n * sizeof **out);
        table->conv_backward_weights(c, o->x, o->dy, *out, scratch);
    }
    return n;
}

static void check_shape(struct qgm_random *r, const struct qgm_conv *c, uint32_t poison)
{
    struct operands o = operands(r, c, poison);
    bool bias = qgm_random_below(r, 2), relu = !poison && qgm_random_below(r, 2);
    size_t most = o.nx > o.ny ? o.nx : o.ny;
    struct check_value *want = calloc((most > o.nw ? most : o.nw) + 1, sizeof *want);
    for (enum pass pass = FORWARD; pass <= BACKWARD_WEIGHTS; pass++) {
        if (pass == FORWARD) ref_conv_forward(c, o.x, o.w, bias ? o.bias : NULL, relu, want);
        if (pass == BACKWARD_DATA) ref_conv_backward_data(c, o.dy, o.w, want);
        if (pass == BACKWARD_WEIGHTS) ref_conv_backward_weights(c, o.x, o.dy, o.dw0, want);
        int tiles = c->n * ((qgm_conv_oh(c) + 3) / 4) * ((qgm_conv_ow(c) + 3) / 4);
        bool winograd = pass == BACKWARD_WEIGHTS ? qgm_conv_winograd_weights(c) : qgm_conv_winograd(c);
        double chain = pass == FORWARD         ? (double)c->ci
                       : pass == BACKWARD_DATA ? (double)c->co
                                               : 64 + (double)tiles / 64 + 2;
        double terms = winograd                ? chain + 20
                       : pass == FORWARD       ? (double)c->kh * c->kw * c->ci
                       : pass == BACKWARD_DATA ? (double)c->kh * c->kw * c->co
                                               : (double)(qgm_conv_oh(c) * qgm_conv_ow(c)) * c->n + c->n;
        check_case("conv %s n=%d h=%d w=%d ci=%d co=%d kernel=%dx%d stride=%d pad=%d bias=%d relu=%d", pass_names[pass],
                   c->n, c->h, c->w, c->ci, c->co, c->kh, c->kw, c->stride, c->pad, bias, relu);
        CHECK_EACH_ISA(table)
        {
            float *got;
            size_t count = run(table, c, pass, &o, bias, relu, &got);
            check_values(table->isa, got, want, count, terms);
        }
        if (check_backend() && !poison) {
            float *got;
            size_t count = run(check_backend(), c, pass, &o, bias, relu, &got);
            check_near(check_backend()->isa, got, want, count, terms);
        }
    }
    free(want);
    check_free();
}

static struct qgm_conv random_shape(struct qgm_random *r)
{
    static const int kernels[] = { 1, 2, 3, 3, 3, 5, 7 };
    struct qgm_conv c = { .n = 1 + (int)qgm_random_below(r, 3), .stride = 1 + (int)qgm_random_below(r, 3) };
    c.kh = kernels[qgm_random_below(r, QGM_COUNT(kernels))];
    c.kw = qgm_random_below(r, 4) ? c.kh : kernels[qgm_random_below(r, QGM_COUNT(kernels))];
    c.pad = (int)qgm_random_below(r, 1 + (uint32_t)(c.kh < c.kw ? c.kh : c.kw));
    c.h = c.kh + (int)qgm_random_below(r, 9), c.w = c.kw + (int)qgm_random_below(r, 20);
    int most = c.kh * c.kw > 9 ? 17 : 33;
    c.ci = check_extent(r, 1, most), c.co = check_extent(r, 1, most);
    return c;
}

static void random_shapes(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < check_count(200); i++) {
        struct qgm_conv c = random_shape(&r);
        check_shape(&r, &c, 0);
    }
}

static void not_a_number(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 1);
    for (int i = 0; i < check_count(60); i++) {
        struct qgm_conv c = random_shape(&r);
        check_shape(&r, &c, 400);
    }
}

/* The layers the suite is used for, at a small batch: every specialised path is taken. The last two have long chains
 * beside outputs, and pixels of dx, that no tap reaches. */
static void layers(void **state)
{
    (void)state;
    static const struct qgm_conv shapes[] = {
        { 2, 32, 32, 3, 16, 3, 3, 1, 1 },  { 2, 32, 32, 16, 16, 3, 3, 1, 1 }, { 1, 32, 32, 16, 32, 3, 3, 2, 1 },
        { 1, 32, 32, 16, 32, 1, 1, 2, 0 }, { 1, 16, 16, 32, 32, 3, 3, 1, 1 }, { 2, 8, 8, 64, 64, 3, 3, 1, 1 },
        { 1, 28, 28, 1, 6, 5, 5, 1, 2 },   { 1, 14, 14, 6, 16, 5, 5, 1, 0 },  { 1, 4, 4, 128, 96, 3, 3, 1, 1 },
        { 1, 2, 2, 96, 128, 3, 3, 1, 1 },  { 1, 30, 30, 3, 64, 7, 7, 2, 3 },  { 1, 9, 9, 64, 48, 1, 1, 1, 0 },
        { 0, 8, 8, 16, 16, 3, 3, 1, 1 },   { 2, 1, 1, 17, 33, 1, 1, 1, 0 },   { 1, 6, 6, 40, 100, 3, 3, 1, 1 },
        { 2, 4, 3, 129, 130, 3, 3, 1, 1 }, { 1, 5, 4, 131, 152, 3, 3, 2, 1 }, { 2, 3, 2, 128, 128, 1, 1, 2, 0 },
        { 1, 3, 4, 300, 19, 3, 3, 2, 1 },  { 1, 2, 2, 33, 290, 3, 3, 1, 1 },  { 1, 2, 1, 800, 17, 1, 1, 1, 0 },
        { 9, 8, 8, 128, 129, 1, 1, 1, 0 }, { 2, 3, 8, 138, 17, 1, 7, 4, 1 },  { 1, 4, 4, 16, 800, 3, 3, 2, 0 },
    };
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 2);
    for (size_t i = 0; i < QGM_COUNT(shapes); i += (size_t)(4 / check_few(4))) check_shape(&r, &shapes[i], 0);
}

/* Channels and extents on both sides of Winograd's limits, every padding, tiles that hang over the edge. */
static void winograd(void **state)
{
    (void)state;
    static const int channels[] = { 15, 16, 17, 33, 47, 48, 49, 64, 65, 80, 96, 97 };
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 3);
    int taken = 0;
    for (int i = 0; i < check_few(100); i++) {
        struct qgm_conv c = { .n = 1 + (int)qgm_random_below(&r, 3), .kh = 3, .kw = 3, .stride = 1 };
        c.pad = (int)qgm_random_below(&r, 3);
        c.h = 3 + (int)qgm_random_below(&r, 9), c.w = 3 + (int)qgm_random_below(&r, 9);
        c.ci = channels[qgm_random_below(&r, QGM_COUNT(channels))];
        c.co = channels[qgm_random_below(&r, QGM_COUNT(channels))];
        taken += qgm_conv_winograd(&c);
        check_shape(&r, &c, i % 4 == 0 ? 2000 : 0);
    }
    assert_true(taken > check_few(100) / 4);
    /* more than one block of tiles, and more than one group of columns */
    const struct qgm_conv large[] = { { 3, 32, 32, 32, 32, 3, 3, 1, 1 }, { 2, 4, 8, 144, 130, 3, 3, 1, 1 } };
    for (int i = check_few(QGM_COUNT(large)); i > 0; i--) check_shape(&r, &large[i - 1], 0);
}

/* Layers size their scratch by the largest batch and meet smaller ones. */
static void scratch_of_smaller_batches(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 5);
    for (int i = 0; i < check_count(4000); i++) {
        struct qgm_conv c = random_shape(&r);
        if (i % 2) c.kh = c.kw = 3, c.stride = 1, c.pad = 1, c.ci = 200 + i % 700, c.co = check_extent(&r, 16, 80);
        if (i % 4 == 1) c.co = c.ci, c.ci = check_extent(&r, 16, 80);
        size_t least = 0;
        for (c.n = 0; c.n < 150; c.n++) {
            check_case("scratch n=%d h=%d w=%d ci=%d co=%d", c.n, c.h, c.w, c.ci, c.co);
            assert_true(qgm_conv_scratch(&c) >= least);
            least = qgm_conv_scratch(&c);
        }
    }
}

/* Root of the mean square, and largest error, of the chains: in units of the root mean square of the exact values. */
static void check_errors(const struct check_value *v, size_t n, double mean, double most)
{
    double squares = 0, errors = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        double error = (double)v[i].chain - v[i].exact;
        squares += v[i].exact * v[i].exact, errors += error * error, worst = fmax(worst, fabs(error));
    }
    double scale = sqrt(squares / (double)n);
    check_case("winograd: error %.2g, at most %.2g", sqrt(errors / (double)n) / scale, worst / scale);
    assert_true(sqrt(errors / (double)n) < mean * scale);
    assert_true(worst < most * scale);
}

/* On activations and weights as they are in training. A chain of 9 x 64 terms errs by 3e-7 in the mean and 2.4e-6 at
 * most, of the root mean square of the outputs; Winograd's form on the points 0, 1, 2 by 1.4e-6 and 1.5e-5. */
static void winograd_accuracy(void **state)
{
    (void)state;
    struct qgm_conv c = { 1, 8, 8, 64, 32, 3, 3, 1, 1 }, batch = { 8, 16, 16, 16, 16, 3, 3, 1, 1 };
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 4);
    struct operands o = operands(&r, &c, 0);
    for (size_t i = 0; i < o.nx; i++) o.x[i] = o.x[i] > 0 ? o.x[i] : 0;
    struct check_value *want = calloc(o.ny, sizeof *want);
    ref_conv_forward(&c, o.x, o.w, NULL, false, want);
    check_errors(want, o.ny, 8e-7, 6e-6);
    free(want);
    o = operands(&r, &batch, 0);
    for (size_t i = 0; i < o.nx; i++) o.x[i] = o.x[i] > 0 ? o.x[i] : 0;
    memset(o.dw0, 0, o.nw * sizeof *o.dw0);
    want = calloc(o.nw, sizeof *want);
    ref_conv_backward_weights(&batch, o.x, o.dy, o.dw0, want);
    check_errors(want, o.nw, 1.5e-6, 8e-6);
    free(want);
    check_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_shapes),
                                        cmocka_unit_test(not_a_number),
                                        cmocka_unit_test(layers),
                                        cmocka_unit_test(winograd),
                                        cmocka_unit_test(winograd_accuracy),
                                        cmocka_unit_test(scratch_of_smaller_batches) };
    return cmocka_run_group_tests_name("conv", tests, NULL, NULL);
}
