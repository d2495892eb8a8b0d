/* Images resized and cut, and work done ahead. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "cut.h"
#include "ordered.h"
#include "resample.h"
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Resizing ---- */

static double naive(const uint8_t *src, int h, int w, int oh, int ow, int y, int x, int c)
{
    double sy = (double)h / oh, sx = (double)w / ow, wide_y = sy > 1 ? sy : 1, wide_x = sx > 1 ? sx : 1;
    double sum = 0, weights = 0;
    for (int v = 0; v < h; v++)
        for (int u = 0; u < w; u++) {
            double a = 1 - fabs(v + 0.5 - (y + 0.5) * sy) / wide_y, b = 1 - fabs(u + 0.5 - (x + 0.5) * sx) / wide_x;
            if (a <= 0 || b <= 0) continue;
            sum += a * b * src[(v * w + u) * 3 + c];
            weights += a * b;
        }
    return sum / weights;
}

static void resampling_is_the_triangle_filter(void **state)
{
    (void)state;
    static const int shapes[][4] = { { 7, 9, 7, 9 }, { 5, 5, 11, 13 }, { 31, 17, 8, 8 }, { 40, 3, 1, 5 },
                                     { 1, 1, 4, 4 }, { 2, 60, 2, 3 },  { 33, 20, 32, 7 } };
    for (size_t s = 0; s < QGM_COUNT(shapes); s++) {
        int h = shapes[s][0], w = shapes[s][1], oh = shapes[s][2], ow = shapes[s][3];
        uint8_t *src = malloc((size_t)(h * w) * 3), *dst = malloc((size_t)(oh * ow) * 3);
        void *scratch = malloc(qgm_resample_scratch(h, w, oh, ow));
        struct qgm_random r = qgm_random(s, QGM_RANDOM_TEST, 0, 0);
        for (int i = 0; i < h * w * 3; i++) src[i] = (uint8_t)qgm_random_below(&r, 256);
        qgm_resample(src, (size_t)w * 3, h, w, dst, oh, ow, scratch);
        for (int i = 0; i < oh * ow * 3; i++) {
            double want = naive(src, h, w, oh, ow, i / 3 / ow, i / 3 % ow, i % 3);
            if (fabs(dst[i] - want) > 0.501) fail_msg("shape %zu, byte %d: %d, expected %g", s, i, dst[i], want);
        }
        free(src);
        free(dst);
        free(scratch);
    }
}

/* ---- Cutting ---- */

enum { H = 60, W = 90, SIZE = 40 };

/* Red is the column, green the row, so that a pixel tells where it is from. */
static void random_parts_are_those_of_the_paper(void **state)
{
    (void)state;
    static uint8_t pixels[H * W * 3], out[SIZE * SIZE * 3];
    for (int i = 0; i < H * W; i++) pixels[3 * i] = (uint8_t)(2 * (i % W)), pixels[3 * i + 1] = (uint8_t)(2 * (i / W));
    const struct qgm_stored stored = { .h = H, .w = W };
    struct qgm_examples from = { .n = 1, .h = SIZE, .w = SIZE, .c = 3, .pixels = pixels, .stored = &stored };
    double area = 0, least = 1, most = 0, left = W;
    enum { DRAWS = 2000 };
    for (uint32_t k = 0; k < DRAWS; k++) {
        struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 0, k);
        qgm_cut(&from, 0, &r, out);
        const uint8_t *last = out + sizeof out - 3;
        double w = (last[0] - out[0]) / 2.0 + 1, h = (last[1] - out[1]) / 2.0 + 1, share = w * h / (H * W);
        area += share / DRAWS;
        if (share < least) least = share;
        if (share > most) most = share;
        if (out[0] / 2.0 < left) left = out[0] / 2.0;
        assert_true(w / h < 4.0 / 3 * 1.15 && w / h > 3.0 / 4 / 1.15); /* the borders are known to a pixel */
    }
    assert_true(least < 0.12 && least > 0.05 && most > 0.8 && left <= 1);
    assert_true(area > 0.37 && area < 0.42); /* 0.54 were not those that do not fit drawn again: 0.395 */
    qgm_cut(&from, 0, NULL, out); /* a shorter side of 45 was wanted, the middle 53 = 60 * 40 / 45 are taken */
    assert_in_range(out[0], 36, 40);
    assert_in_range(out[1], 6, 10);
}

static void moves_in_place(void **state)
{
    (void)state;
    enum { N = 5, M = 7 };
    uint8_t image[N * M * 3], got[N * M * 3];
    for (int i = 0; i < N * M * 3; i++) image[i] = (uint8_t)(i + 1);
    for (int dy = -6; dy <= 6; dy++)
        for (int dx = -8; dx <= 8; dx++)
            for (int mirror = 0; mirror < 2; mirror++) {
                memcpy(got, image, sizeof got);
                qgm_move(got, N, M, dy, dx, mirror);
                for (int y = 0; y < N; y++)
                    for (int x = 0; x < M; x++) {
                        int u = (mirror ? M - 1 - x : x) + dx, v = y + dy;
                        bool inside = u >= 0 && u < M && v >= 0 && v < N;
                        for (int c = 0; c < 3; c++)
                            assert_int_equal(got[(y * M + x) * 3 + c], inside ? image[(v * M + u) * 3 + c] : 0);
                    }
            }
}

/* Images with an index and without give the same batch, cropped and mirrored. */
static void stored_or_not_is_the_same(void **state)
{
    (void)state;
    enum { N = 9, SIDE = 12 };
    static uint8_t pixels[N * SIDE * SIDE * 3];
    int32_t labels[N], got[2][N];
    struct qgm_stored stored[N];
    uint32_t index[N];
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)qgm_random_below(&r, 256);
    for (int i = 0; i < N; i++) {
        labels[i] = i;
        index[i] = (uint32_t)(N - 1 - i);
        stored[i] = (struct qgm_stored){ .at = (uint64_t)i * SIDE * SIDE * 3, .h = SIDE, .w = SIDE };
    }
    struct qgm_dataset d = { .mean = { .1f, .2f, .3f }, .std = { .5f, .6f, .7f } };
    struct qgm_examples from = {
        .n = N, .h = SIDE, .w = SIDE, .c = 3, .classes = N, .labels = labels, .pixels = pixels
    };
    static float x[2][N * SIDE * SIDE * 3];
    for (uint32_t step = 0; step < 4; step++) {
        struct qgm_augment a = { .flip = step & 1, .crop = step & 2 ? 4 : 0, .seed = 5, .step = step };
        from.stored = NULL;
        qgm_batch_fill(&d, &from, index, N, &a, x[0], got[0]);
        from.stored = stored;
        qgm_batch_fill(&d, &from, index, N, &a, x[1], got[1]);
        assert_memory_equal(x[0], x[1], sizeof x[0]);
        assert_memory_equal(got[0], got[1], sizeof got[0]);
    }
    struct qgm_augment a = { .resized = true, .flip = true, .seed = 5 };
    qgm_batch_fill(&d, &from, index, N, &a, x[0], got[0]);
    from.stored = NULL;
    qgm_batch_fill(&d, &from, index, N, &a, x[1], got[1]);
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    qgm_batch_fill(&d, &from, index + 1, N - 1, &a, x[1], got[1]); /* a view belongs to a position, not to an image */
    assert_memory_not_equal(x[0] + SIDE * SIDE * 3, x[1], sizeof x[0] / N);
}

/* ---- Work done ahead ---- */

struct tally {
    long taken, dropped, fail_at;
    int slots[1000];
};
static void square(void *user, long i, void *slot)
{
    (void)user;
    if (i % 7 == 0) usleep(200); /* so that later ones are ready earlier */
    *(long *)slot = i * i + 1;
}
static int count(void *user, long i, void *slot, struct qgm_error *err)
{
    struct tally *t = user;
    assert_int_equal(i, t->taken);
    assert_int_equal(*(long *)slot, i * i + 1);
    if (i == t->fail_at) return qgm_fail(err, QGM_INPUT, "at %ld", i);
    t->taken++;
    return 0;
}
static void let_go(void *user, void *slot)
{
    struct tally *t = user;
    assert_true(*(long *)slot > t->fail_at);
    t->dropped++;
}

static void results_come_in_order(void **state)
{
    (void)state;
    struct qgm_error err = { 0 };
    static const int workers[] = { 1, 2, 5, 16 };
    for (size_t w = 0; w < QGM_COUNT(workers); w++)
        for (long fail_at = -1; fail_at < 60; fail_at += 20) {
            struct tally t = { .fail_at = fail_at };
            struct qgm_ordered what = { .n = 100,
                                        .workers = workers[w],
                                        .slot_size = sizeof(long),
                                        .user = &t,
                                        .work = square,
                                        .take = count,
                                        .drop = let_go };
            assert_int_equal(qgm_ordered_run(&what, &err), fail_at < 0 ? 0 : -1);
            assert_int_equal(t.taken, fail_at < 0 ? 100 : fail_at);
            assert_true(t.dropped <= QGM_AHEAD * workers[w]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resampling_is_the_triangle_filter),
        cmocka_unit_test(random_parts_are_those_of_the_paper),
        cmocka_unit_test(moves_in_place),
        cmocka_unit_test(stored_or_not_is_the_same),
        cmocka_unit_test(results_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
