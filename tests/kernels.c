/* Pools, rows, elements, block operations of every ISA against naive loops. SPDX-License-Identifier: MIT */
#include "check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct qgm_pool random_pool(struct qgm_random *r)
{
    struct qgm_pool p = { .n = (int)qgm_random_below(r, 4), .c = check_extent(r, 1, 49) };
    p.k = 1 + (int)qgm_random_below(r, 4), p.stride = 1 + (int)qgm_random_below(r, 3);
    p.pad = (int)qgm_random_below(r, (uint32_t)p.k);
    p.h = p.k + (int)qgm_random_below(r, 8), p.w = p.k + (int)qgm_random_below(r, 8);
    return p;
}

/* Visit the taps of every output in order (oy, ox, ky, kx): offsets into x of one image and channel. */
struct tap {
    size_t in, out;
    int index, present; /* ky * k + kx; how many taps of this window lie in the image */
    bool first;
};
static size_t list_taps(const struct qgm_pool *p, struct tap *taps)
{
    size_t count = 0;
    for (int oy = 0; oy < qgm_pool_oh(p); oy++)
        for (int ox = 0; ox < qgm_pool_ow(p); ox++) {
            size_t from = count;
            for (int ky = 0; ky < p->k; ky++)
                for (int kx = 0; kx < p->k; kx++) {
                    int y = oy * p->stride - p->pad + ky, x = ox * p->stride - p->pad + kx;
                    if (y < 0 || y >= p->h || x < 0 || x >= p->w) continue;
                    taps[count] =
                        (struct tap){ (size_t)(y * p->w + x) * p->c, (size_t)(oy * qgm_pool_ow(p) + ox) * p->c,
                                      ky * p->k + kx, 0, count == from };
                    count++;
                }
            for (size_t t = from; t < count; t++) taps[t].present = (int)(count - from);
        }
    return count;
}

struct pool_case {
    struct qgm_pool p;
    size_t nx, ny, taps;
    float *x, *dy, *max, *mean, *dmax, *dmean; /* operands, then what the four kernels should give */
    uint8_t *argmax;
    struct tap *tap;
};

static void expect_pools(struct pool_case *k)
{
    const struct qgm_pool *p = &k->p;
    size_t in = (size_t)p->h * p->w * p->c, out = (size_t)qgm_pool_oh(p) * qgm_pool_ow(p) * p->c;
    for (size_t i = 0; i < k->nx; i++) k->dmax[i] = k->dmean[i] = 0;
    for (size_t n = 0; n < (size_t)p->n; n++)
        for (int c = 0; c < p->c; c++) {
            for (size_t t = 0; t < k->taps; t++) {
                const struct tap *tap = k->tap + t;
                float a = k->x[n * in + tap->in + c];
                size_t o = n * out + tap->out + c;
                if (tap->first || a > k->max[o]) k->max[o] = a, k->argmax[o] = (uint8_t)tap->index;
                k->mean[o] = (tap->first ? 0 : k->mean[o]) + a;
                if (t + 1 == k->taps || tap[1].first) k->mean[o] /= (float)tap->present;
                k->dmean[n * in + tap->in + c] += k->dy[o] / (float)tap->present;
            }
            for (size_t t = 0; t < k->taps; t++) {
                size_t o = n * out + k->tap[t].out + c;
                if (k->tap[t].index == k->argmax[o]) k->dmax[n * in + k->tap[t].in + c] += k->dy[o];
            }
        }
}

static void check_pool(const struct qgm_kernels *table, const struct pool_case *k)
{
    float *y = check_end(k->ny, sizeof *y), *dx = check_end(k->nx, sizeof *dx);
    uint8_t *argmax = check_end(k->ny, 1);
    table->maxpool_forward(&k->p, k->x, y, argmax);
    check_bits(table->isa, y, k->max, k->ny);
    if (k->ny) assert_memory_equal(argmax, k->argmax, k->ny);
    table->maxpool_backward(&k->p, k->dy, argmax, dx);
    check_bits(table->isa, dx, k->dmax, k->nx);
    table->avgpool_forward(&k->p, k->x, y);
    check_bits(table->isa, y, k->mean, k->ny);
    memset(dx, 0xff, k->nx * sizeof *dx);
    table->avgpool_backward(&k->p, k->dy, dx);
    check_bits(table->isa, dx, k->dmean, k->nx);
}

static void pools(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < check_count(200); i++) {
        struct pool_case k = { .p = random_pool(&r) };
        const struct qgm_pool *p = &k.p;
        k.nx = (size_t)p->n * p->h * p->w * p->c, k.ny = (size_t)p->n * qgm_pool_oh(p) * qgm_pool_ow(p) * p->c;
        k.x = check_floats(&r, k.nx), k.dy = check_floats(&r, k.ny);
        if (i % 4 == 0) check_poison(&r, k.x, k.nx, 9);
        k.max = check_end(k.ny, 4), k.mean = check_end(k.ny, 4), k.argmax = check_end(k.ny, 1);
        k.dmax = check_end(k.nx, 4), k.dmean = check_end(k.nx, 4);
        k.tap = calloc((size_t)qgm_pool_oh(p) * qgm_pool_ow(p) * p->k * p->k + 1, sizeof *k.tap);
        k.taps = list_taps(p, k.tap);
        expect_pools(&k);
        check_case("pool n=%d h=%d w=%d c=%d k=%d stride=%d pad=%d", p->n, p->h, p->w, p->c, p->k, p->stride, p->pad);
        CHECK_EACH_ISA(table) check_pool(table, &k);
        free(k.tap);
        check_free();
    }
}

static void rows(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 1);
    for (int i = 0; i < check_count(200); i++) {
        size_t height = i % 5 ? (size_t)check_extent(&r, 0, 65) : 200 + qgm_random_below(&r, 600);
        int cols = check_extent(&r, 1, 65);
        size_t n = height * (size_t)cols;
        float *x = check_floats(&r, n), *bias = check_floats(&r, (size_t)cols);
        if (i % 4 == 0) check_poison(&r, x, n, 50);
        float *biased = check_end(n, 4), *sums = check_end((size_t)cols, 4);
        for (size_t j = 0; j < n; j++) biased[j] = x[j] + bias[j % (size_t)cols];
        for (int c = 0; c < cols; c++) {
            sums[c] = bias[c];
            for (size_t chunk = 0; chunk < height; chunk += 256) {
                float sum = 0;
                for (size_t row = chunk; row < height && row < chunk + 256; row++) sum += x[row * (size_t)cols + c];
                sums[c] += sum;
            }
        }
        check_case("rows=%zu cols=%d", height, cols);
        CHECK_EACH_ISA(table)
        {
            float *y = check_end(n, 4), *db = check_end((size_t)cols, 4);
            memcpy(y, x, n * sizeof *y), memcpy(db, bias, (size_t)cols * sizeof *db);
            table->add_bias(y, bias, height, cols);
            check_bits(table->isa, y, biased, n);
            table->sum_rows(x, height, cols, db);
            check_bits(table->isa, db, sums, (size_t)cols);
        }
        check_free();
    }
}

static size_t random_length(struct qgm_random *r)
{
    return qgm_random_below(r, 4) ? (size_t)check_extent(r, 0, 65) : 900 + qgm_random_below(r, 2500);
}

static void elements(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 2);
    for (int i = 0; i < check_count(200); i++) {
        size_t n = random_length(&r);
        float *a = check_floats(&r, n), *b = check_floats(&r, n), factor = qgm_random_float(&r);
        if (i % 3 == 0) check_poison(&r, a, n, 20), check_poison(&r, b, n, 20);
        float *want[4] = { check_end(n, 4), check_end(n, 4), check_end(n, 4), check_end(n, 4) };
        for (size_t j = 0; j < n; j++) {
            want[0][j] = a[j] > 0 ? a[j] : 0;
            want[1][j] = a[j] > 0 ? b[j] : 0;
            want[2][j] = a[j] + b[j];
            want[3][j] = fmaf(factor, a[j], b[j]);
        }
        check_case("elements n=%zu", n);
        CHECK_EACH_ISA(table)
        {
            float *y = check_end(n, 4);
            table->relu_forward(a, y, n);
            check_bits(table->isa, y, want[0], n);
            table->relu_backward(a, b, y, n);
            check_bits(table->isa, y, want[1], n);
            table->add(a, b, y, n);
            check_bits(table->isa, y, want[2], n);
            memcpy(y, b, n * sizeof *y);
            table->axpy(factor, a, y, n);
            check_bits(table->isa, y, want[3], n);
            memcpy(y, b, n * sizeof *y); /* in place on dy */
            table->relu_backward(a, y, y, n);
            check_bits(table->isa, y, want[1], n);
        }
        check_free();
    }
}

static void mixes(void **state)
{
    (void)state;
    enum { MOST = 17 };
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 3);
    for (int i = 0; i < check_count(200); i++) {
        size_t n = random_length(&r);
        int count = 1 + i % MOST;
        const float *in[MOST];
        float w[MOST], *want = check_end(n, 4);
        for (int j = 0; j < count; j++) {
            float *x = check_floats(&r, n);
            if (i % 5 == 0) check_poison(&r, x, n, 60);
            in[j] = x, w[j] = qgm_random_float(&r);
        }
        for (size_t k = 0; k < n; k++) {
            want[k] = w[0] * in[0][k];
            for (int j = 1; j < count; j++) want[k] = fmaf(w[j], in[j][k], want[k]);
        }
        check_case("mix of %d, n=%zu", count, n);
        int alias = (int)qgm_random_below(&r, (uint32_t)count);
        CHECK_EACH_ISA(table)
        {
            float *out = check_end(n, 4);
            table->mix(out, in, w, count, n);
            check_bits(table->isa, out, want, n);
            const float *keep = in[alias];
            memcpy(out, keep, n * sizeof *out);
            in[alias] = out;
            table->mix(out, in, w, count, n);
            check_bits(table->isa, out, want, n);
            in[alias] = keep;
        }
        check_free();
    }
}

/* The stated order, by hand: blocks of 1024 in 16 lanes, the tree, block sums in double. */
static double in_order(const float *a, const float *b, size_t n, bool distance)
{
    double total = 0;
    for (size_t block = 0; block < n; block += 1024) {
        float lane[16] = { 0 };
        for (size_t i = block; i < n && i < block + 1024; i++) {
            float d = a[i] - b[i];
            lane[i % 16] = distance ? fmaf(d, d, lane[i % 16]) : fmaf(a[i], b[i], lane[i % 16]);
        }
        for (int half = 8; half; half /= 2)
            for (int l = 0; l < half; l++) lane[l] += lane[l + half];
        total += (double)lane[0];
    }
    return total;
}

static void reductions(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 4);
    for (int i = 0; i < check_count(200); i++) {
        size_t n = random_length(&r);
        float *a = check_floats(&r, n), *b = check_floats(&r, n);
        double dot = 0, distance = 0, size = 0;
        for (size_t j = 0; j < n; j++) {
            double d = (double)a[j] - (double)b[j];
            dot += (double)a[j] * (double)b[j], distance += d * d, size += fabs((double)a[j] * (double)b[j]) + d * d;
        }
        double bound = (64 + 4 + 4) * 0x1p-24 * size; /* 64 terms a lane, four levels of tree, the difference */
        CHECK_EACH_ISA(table)
        {
            double got = table->dot(a, b, n), got2 = table->distance2(a, b, n);
            assert_true(got == in_order(a, b, n, false) && got2 == in_order(a, b, n, true));
            assert_true(fabs(got - dot) <= bound && fabs(got2 - distance) <= bound);
        }
        check_free();
    }
}

struct loss {
    double value, size;
};

/* From the definition, in double. p and target of one row. */
static struct loss naive_loss(const float *x, int32_t label, int classes, double smoothing, double *dx)
{
    double most = -INFINITY, sum = 0;
    struct loss loss = { 0, 0 };
    for (int c = 0; c < classes; c++) most = fmax(most, (double)x[c]);
    for (int c = 0; c < classes; c++) sum += exp((double)x[c] - most);
    for (int c = 0; c < classes; c++) {
        double target = (c == label ? 1 - smoothing : 0) + smoothing / classes, z = (double)x[c] - most;
        loss.value -= target * (z - log(sum));
        loss.size += target * (fabs(z) + log(sum));
        dx[c] = exp(z) / sum - target;
    }
    return loss;
}

static void softmax(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 5);
    for (int i = 0; i < check_count(200); i++) {
        int height = 1 + (int)qgm_random_below(&r, 6), classes = check_extent(&r, 1, 65);
        size_t n = (size_t)height * (size_t)classes;
        float *x = check_floats(&r, n), smoothing = i % 2 ? 0.1f : 0, spread = i % 3 ? 1 : 40, *first = NULL;
        int32_t *labels = check_end((size_t)height, 4);
        double *dx = calloc(n, sizeof *dx), want = 0, size = 0;
        for (size_t j = 0; j < n; j++) x[j] *= spread;
        for (int row = 0; row < height; row++) {
            labels[row] = (int32_t)qgm_random_below(&r, (uint32_t)classes);
            size_t at = (size_t)row * (size_t)classes;
            struct loss loss = naive_loss(x + at, labels[row], classes, (double)smoothing, dx + at);
            want += loss.value, size += loss.size;
        }
        check_case("softmax %d x %d smoothing=%g", height, classes, (double)smoothing);
        double once = 0;
        CHECK_EACH_ISA(table)
        {
            float *got = check_end(n, 4);
            double loss = table->softmax_xent(x, labels, height, classes, smoothing, 0.25f, got);
            assert_true(fabs(loss - want) <= 16 * 0x1p-24 * (size + height));
            for (size_t j = 0; j < n; j++)
                assert_true(fabs((double)got[j] - dx[j] / 4) <= 16 * 0x1p-24 * 0.25 * spread);
            if (first) check_bits(table->isa, got, first, n), assert_true(loss == once);
            if (!first) first = got, once = loss;
            assert_true(table->softmax_xent(x, labels, height, classes, smoothing, 1, NULL) == loss);
        }
        free(dx);
        check_free();
    }
}

static void softmax_not_a_number(void **state)
{
    (void)state;
    static const float odd[] = { NAN, INFINITY };
    for (size_t i = 0; i < QGM_COUNT(odd); i++)
        for (int at = 0; at < 20; at++) {
            float x[20] = { 0 }, d[20];
            int32_t label = 3;
            x[at] = odd[i];
            CHECK_EACH_ISA(table)
            {
                assert_true(isnan(table->softmax_xent(x, &label, 1, 20, 0, 1, d)));
                assert_true(isnan(d[at]));
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools),
        cmocka_unit_test(rows),
        cmocka_unit_test(elements),
        cmocka_unit_test(mixes),
        cmocka_unit_test(reductions),
        cmocka_unit_test(softmax),
        cmocka_unit_test(softmax_not_a_number),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
