/* Samplers and batches, against plain re-statements of their contracts. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "dataset.h"
#include "random.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 5, EXAMPLES = 103, BATCH = 8 };

static void open_partition(struct qgm_partition *p)
{
    int32_t labels[EXAMPLES];
    for (int k = 0; k < EXAMPLES; k++) labels[k] = k % 4;
    assert_int_equal(qgm_partition_open(p, "quantity:1", 0, CLIENTS, labels, EXAMPLES, 4, 7, NULL), 0);
}

static void every_epoch_is_a_permutation(void **state)
{
    (void)state;
    struct qgm_partition p;
    struct qgm_sampler s;
    open_partition(&p);
    assert_int_equal(qgm_sampler_open(&s, &p, BATCH, false, 1, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        uint32_t size = p.start[i + 1] - p.start[i], index[BATCH];
        long batches = qgm_sampler_batches(&s, i), same = 0;
        assert_int_equal(batches, (size + BATCH - 1) / BATCH);
        uint32_t last[EXAMPLES] = { 0 };
        for (long epoch = 0; epoch < 4; epoch++) {
            int seen[EXAMPLES] = { 0 };
            uint32_t at = 0;
            for (long b = 0; b < batches; b++) {
                int n = qgm_sampler_next(&s, i, epoch * batches + b, index);
                assert_int_equal(n, b < batches - 1 ? BATCH : (int)size - (int)(batches - 1) * BATCH);
                for (int k = 0; k < n; k++) {
                    seen[index[k]]++;
                    same += epoch > 0 && last[at] == index[k];
                    last[at++] = index[k];
                }
            }
            for (uint32_t k = 0; k < EXAMPLES; k++) {
                bool own = false;
                for (uint32_t j = p.start[i]; j < p.start[i + 1]; j++) own |= p.index[j] == k;
                assert_int_equal(seen[k], own);
            }
        }
        assert_true(size < 4 || same < 2 * (long)size); /* epochs differ: a position repeats about once in `size` */
    }
    qgm_sampler_close(&s);
    qgm_partition_close(&p);
}

/* Steps asked for backwards, and by many threads at once, give what they give forwards. */
static void batches_depend_on_the_step_alone(void **state)
{
    (void)state;
    enum { STEPS = 40 };
    static uint32_t want[CLIENTS][STEPS][BATCH];
    struct qgm_partition p;
    struct qgm_sampler s, again;
    open_partition(&p);
    assert_int_equal(qgm_sampler_open(&s, &p, BATCH, false, 3, NULL), 0);
    assert_int_equal(qgm_sampler_open(&again, &p, BATCH, false, 3, NULL), 0);
    for (int i = 0; i < CLIENTS; i++)
        for (long t = 0; t < STEPS; t++) qgm_sampler_next(&s, i, t, want[i][t]);
    int wrong = 0;
#pragma omp parallel for reduction(+ : wrong) schedule(dynamic, 1)
    for (int i = 0; i < CLIENTS; i++)
        for (long t = STEPS - 1; t >= 0; t--) {
            uint32_t index[BATCH];
            int n = qgm_sampler_next(&again, i, t, index);
            wrong += memcmp(index, want[i][t], (size_t)n * sizeof *index) != 0;
        }
    assert_int_equal(wrong, 0);
    qgm_sampler_close(&s);
    qgm_sampler_close(&again);
    qgm_partition_close(&p);
}

static void shared_order_is_of_positions(void **state)
{
    (void)state;
    struct qgm_partition p;
    struct qgm_sampler s;
    int32_t labels[60] = { 0 };
    assert_int_equal(qgm_partition_open(&p, "iid", 0, 3, labels, 60, 1, 1, NULL), 0);
    for (int shared = 0; shared <= 1; shared++) {
        uint32_t index[3][BATCH];
        assert_int_equal(qgm_sampler_open(&s, &p, BATCH, shared, 1, NULL), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(qgm_sampler_next(&s, i, 1, index[i]), BATCH);
            for (int k = 0; k < BATCH; k++) { /* the global number to the local position */
                uint32_t at = 0;
                while (p.index[p.start[i] + at] != index[i][k]) at++;
                index[i][k] = at;
            }
        }
        assert_int_equal(memcmp(index[0], index[1], sizeof index[0]) == 0, shared);
        assert_int_equal(memcmp(index[0], index[2], sizeof index[0]) == 0, shared);
        qgm_sampler_close(&s);
    }
    assert_int_equal(qgm_sampler_open(&s, &p, 0, false, 1, NULL), -1);
    qgm_partition_close(&p);
}

/* Like lengths together: still a permutation an epoch, and far less padding than shuffled batches have. */
static void batches_of_like_lengths(void **state)
{
    (void)state;
    enum { ROWS = 3001 };
    static uint32_t starts[ROWS + 1];
    static int32_t labels[ROWS];
    struct qgm_random r = qgm_random(5, QGM_RANDOM_TEST, 0, 0);
    for (int k = 0; k < ROWS; k++) starts[k + 1] = starts[k] + 3 + qgm_random_below(&r, 126);
    struct qgm_partition p;
    struct qgm_sampler s;
    long padding[2] = { 0 };
    assert_int_equal(qgm_partition_open(&p, "iid", 0, 1, labels, ROWS, 1, 1, NULL), 0);
    assert_int_equal(qgm_sampler_open(&s, &p, BATCH, false, 1, NULL), 0);
    for (int bucketed = 0; bucketed <= 1; bucketed++) {
        s.starts = bucketed ? starts : NULL;
        for (long epoch = 2 * bucketed, t = 0; epoch < 2 * bucketed + 2; epoch++) {
            static int seen[ROWS];
            memset(seen, 0, sizeof seen);
            long batches = qgm_sampler_batches(&s, 0);
            for (t = 0; t < batches; t++) {
                uint32_t index[BATCH], longest = 0, sum = 0;
                int n = qgm_sampler_next(&s, 0, epoch * batches + t, index);
                assert_int_equal(n, t < batches - 1 ? BATCH : ROWS % BATCH);
                for (int k = 0; k < n; k++) {
                    uint32_t length = starts[index[k] + 1] - starts[index[k]];
                    sum += length;
                    longest = length > longest ? length : longest;
                    assert_int_equal(seen[index[k]]++, 0);
                }
                padding[bucketed] += (long)longest * n - sum;
            }
        }
    }
    assert_true(padding[1] * 10 < padding[0]);
    qgm_sampler_close(&s);
    qgm_partition_close(&p);
}

/* A window as large as can be: in the order of the permutation where lengths are equal, and fast (a sort of quadratic
 * time takes longer than a test may). */
static void large_windows_are_sorted_in_order(void **state)
{
    (void)state;
    enum { ROWS = 1 << 20, LENGTHS = 512 };
    uint32_t *starts = calloc(ROWS + 1, sizeof *starts), *place = calloc(ROWS, sizeof *place);
    uint32_t *index = calloc(ROWS, sizeof *index);
    int32_t *labels = calloc(ROWS, sizeof *labels);
    assert_true(starts && place && index && labels);
    struct qgm_random r = qgm_random(6, QGM_RANDOM_TEST, 0, 0);
    for (int k = 0; k < ROWS; k++) starts[k + 1] = starts[k] + 1 + qgm_random_below(&r, LENGTHS);
    struct qgm_partition p;
    struct qgm_sampler s;
    assert_int_equal(qgm_partition_open(&p, "iid", 0, 1, labels, ROWS, 1, 1, NULL), 0);
    for (int sorted = 0; sorted <= 1; sorted++) {
        assert_int_equal(qgm_sampler_open(&s, &p, ROWS, false, 1, NULL), 0);
        s.starts = sorted ? starts : NULL;
        assert_int_equal(qgm_sampler_next(&s, 0, 0, index), ROWS);
        for (uint32_t k = 0; k < ROWS && !sorted; k++) place[index[k]] = k;
        qgm_sampler_close(&s);
    }
    for (int k = 1; k < ROWS; k++) {
        uint32_t a = index[k - 1], b = index[k], before = starts[a + 1] - starts[a], here = starts[b + 1] - starts[b];
        assert_true(before < here || (before == here && place[a] < place[b]));
    }
    qgm_partition_close(&p);
    free(starts);
    free(place);
    free(index);
    free(labels);
}

/* What the contract says, a pixel at a time: pad, cut the window, mirror it, normalise. (The reference mirrors first:
 * as the shifts are symmetric, the distribution is the same.) */
static void fill_plainly(const struct qgm_dataset *d, const struct qgm_examples *from, uint32_t example, int position,
                         const struct qgm_augment *a, float *x)
{
    int dx = 0, dy = 0, pad = a ? a->crop : 0, side = 2 * pad + 1;
    bool mirror = false;
    if (a && (a->flip || a->crop)) {
        struct qgm_random r = qgm_random(a->seed, QGM_RANDOM_AUGMENT, a->client, a->step);
        r.next = (uint32_t)position;
        mirror = qgm_random_u32(&r) >= 1u << 31 && a->flip;
        dx = (int)(((uint64_t)qgm_random_u32(&r) * (unsigned)side) >> 32);
        dy = (int)(((uint64_t)qgm_random_u32(&r) * (unsigned)side) >> 32);
    }
    int h = from->h, w = from->w, c = from->c, wide = w + 2 * pad, high = h + 2 * pad;
    uint8_t *padded = calloc((size_t)(wide * high * c), 1);
    for (int y = 0; y < h; y++)
        for (int col = 0; col < w; col++)
            memcpy(padded + ((y + pad) * wide + col + pad) * c,
                   from->pixels + (((size_t)example * (size_t)h + (size_t)y) * (size_t)w + (size_t)col) * (size_t)c,
                   (size_t)c);
    for (int y = 0; y < h; y++)
        for (int col = 0; col < w; col++)
            for (int ch = 0; ch < c; ch++) {
                int sx = (mirror ? w - 1 - col : col) + dx;
                *x++ = ((float)padded[((y + dy) * wide + sx) * c + ch] / 255 - d->mean[ch]) / d->std[ch];
            }
    free(padded);
}

static void batches_match_a_plain_fill(void **state)
{
    (void)state;
    static const struct {
        int h, w, c, crop;
        bool flip;
    } cases[] = { { 5, 7, 1, 0, false }, { 5, 7, 1, 2, true }, { 8, 8, 3, 4, true },  { 6, 5, 3, 0, true },
                  { 4, 4, 2, 1, true },  { 3, 3, 4, 5, true }, { 2, 1, 3, 3, false }, { 1, 1, 1, 1, true } };
    enum { N = 9, SHOWN = 40, ROOM = 8 * 8 * 3 };
    uint8_t pixels[N * ROOM];
    int32_t labels[N], got_labels[SHOWN];
    float got[SHOWN * ROOM], want[ROOM];
    uint32_t index[SHOWN];
    for (int k = 0; k < N * ROOM; k++) pixels[k] = (uint8_t)(k * 37 % 256);
    for (int k = 0; k < N; k++) labels[k] = 3 * k;
    for (int k = 0; k < SHOWN; k++) index[k] = (uint32_t)(k * 4 % N);
    struct qgm_dataset d = { .mean = { .1f, .2f, .3f, .4f }, .std = { .5f, .6f, .7f, .8f } };
    for (size_t i = 0; i < QGM_COUNT(cases); i++) {
        struct qgm_examples from = {
            .n = N, .h = cases[i].h, .w = cases[i].w, .c = cases[i].c, .pixels = pixels, .labels = labels
        };
        struct qgm_augment a = { .flip = cases[i].flip, .crop = cases[i].crop, .seed = 4, .client = 2, .step = 9 };
        size_t size = (size_t)(from.h * from.w * from.c);
        for (int augmented = 0; augmented <= 1; augmented++) {
            memset(got, 0xff, sizeof got);
            qgm_batch_fill(&d, &from, index, SHOWN, augmented ? &a : NULL, got, got_labels);
            for (int k = 0; k < SHOWN; k++) {
                fill_plainly(&d, &from, index[k], k, augmented ? &a : NULL, want);
                assert_memory_equal(got + (size_t)k * size, want, size * sizeof *want);
                assert_int_equal(got_labels[k], labels[index[k]]);
            }
            for (size_t k = SHOWN * size; k < SHOWN * ROOM; k++) assert_true(got[k] != got[k]); /* not written */
        }
    }
}

/* Every shift is equally likely, half the images are mirrored, and steps and clients draw differently. */
static void views_are_uniform(void **state)
{
    (void)state;
    enum { SIDE = 32, STEPS = 500, N = 18 };
    static uint8_t pixels[SIDE * SIDE];
    static float x[N * SIDE * SIDE];
    int32_t label = 0, labels[N];
    uint32_t index[N] = { 0 };
    int seen[2][9][9] = { 0 }, mirrored = 0;
    pixels[10 * SIDE + 5] = 255; /* where this spot lands tells the view */
    struct qgm_dataset d = { .std = { 1 } };
    struct qgm_examples from = { .n = 1, .h = SIDE, .w = SIDE, .c = 1, .pixels = pixels, .labels = &label };
    for (uint32_t step = 0; step < STEPS; step++) {
        struct qgm_augment a = { .flip = true, .crop = 4, .seed = 1, .client = step % 3, .step = step };
        qgm_batch_fill(&d, &from, index, N, &a, x, labels);
        for (int k = 0; k < N; k++) {
            int at = 0;
            while (x[k * SIDE * SIDE + at] == 0) at++;
            bool mirror = at % SIDE > SIDE / 2;
            int col = mirror ? SIDE - 1 - at % SIDE : at % SIDE;
            mirrored += mirror;
            seen[mirror][10 - at / SIDE + 4][5 - col + 4]++;
        }
    }
    double total = (double)STEPS * N, expected = total / 162, chi2 = 0;
    for (int m = 0; m < 2; m++)
        for (int y = 0; y < 9; y++)
            for (int z = 0; z < 9; z++) chi2 += (seen[m][y][z] - expected) * (seen[m][y][z] - expected) / expected;
    assert_true(chi2 > 161 - 5 * 18 && chi2 < 161 + 5 * 18); /* 161 degrees of freedom, deviation 18 */
    assert_true(mirrored > 0.47 * total && mirrored < 0.53 * total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_is_a_permutation),
        cmocka_unit_test(batches_depend_on_the_step_alone),
        cmocka_unit_test(shared_order_is_of_positions),
        cmocka_unit_test(batches_match_a_plain_fill),
        cmocka_unit_test(views_are_uniform),
        cmocka_unit_test(batches_of_like_lengths),
        cmocka_unit_test(large_windows_are_sorted_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
