/* Folders of images: decoding, resizing, cutting, the cache, and work done ahead. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "cut.h"
#include "listing.h"
#include "ordered.h"
#include "resample.h"
#include <cmocka.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef QGM_HAVE_JPEG
#include <turbojpeg.h>
#endif

static char root[64];

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

/* ---- Folders ---- */

static const char *below(const char *name)
{
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

static void folder(const char *name)
{
    if (mkdir(below(name), 0777) < 0) fail_msg("mkdir %s", name);
}

static void refused(const char *spec, const char *says)
{
    struct qgm_dataset d;
    struct qgm_error err = { 0 };
    assert_int_equal(qgm_dataset_open(&d, spec, root, &err), -1);
    if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

#ifdef QGM_HAVE_JPEG
/* A picture of one colour, given as the format says. */
static void write_jpeg(const char *name, int h, int w, int format, const uint8_t *colour)
{
    int each = tjPixelSize[format], sampling = format == TJPF_GRAY ? TJSAMP_GRAY : TJSAMP_444;
    uint8_t *pixels = malloc((size_t)(h * w * each));
    for (int i = 0; i < h * w; i++) memcpy(pixels + i * each, colour, (size_t)each);
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    tjhandle encoder = tjInitCompress();
    assert_int_equal(tjCompress2(encoder, pixels, w, 0, h, format, &bytes, &size, sampling, 95, 0), 0);
    FILE *f = fopen(below(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
    tjFree(bytes);
    tjDestroy(encoder);
    free(pixels);
}

static const uint8_t red[] = { 250, 20, 10 }, grey[] = { 90 }, ink[] = { 0, 255, 128, 200 };

/* Two classes, shapes of all kinds, grey and CMYK. */
static void make_tree(void)
{
    static const char *const folders[] = { "set",           "set/train",   "set/val",     "set/train/cat",
                                           "set/train/ant", "set/val/ant", "set/val/cat", "caches" };
    for (size_t i = 0; i < QGM_COUNT(folders); i++) folder(folders[i]);
    write_jpeg("set/train/cat/b.JPEG", 100, 200, TJPF_RGB, red);
    write_jpeg("set/train/cat/a.jpg", 20, 16, TJPF_GRAY, grey);
    write_jpeg("set/train/ant/x.jpeg", 37, 90, TJPF_CMYK, ink);
    write_jpeg("set/train/ant/y.JPG", 16, 16, TJPF_RGB, red);
    write_jpeg("set/val/ant/v.JPEG", 300, 200, TJPF_RGB, red);
    write_jpeg("set/val/cat/v.JPEG", 11, 30, TJPF_GRAY, grey);
    FILE *f = fopen(below("set/train/ant/notes.txt"), "w");
    fclose(f);
}

static void check_colour(const uint8_t *pixels, size_t count, int r, int g, int b)
{
    for (size_t i = 0; i < count; i++, pixels += 3)
        if (abs(pixels[0] - r) > 4 || abs(pixels[1] - g) > 4 || abs(pixels[2] - b) > 4)
            fail_msg("pixel %zu is %d %d %d, expected %d %d %d", i, pixels[0], pixels[1], pixels[2], r, g, b);
}

static void open_tree(struct qgm_dataset *d, const char *options)
{
    char spec[300];
    struct qgm_error err = { 0 };
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches%s", root, options);
    if (qgm_dataset_open(d, spec, root, &err) < 0) fail_msg("%s", err.text);
}

static void check_tree(const struct qgm_dataset *d)
{
    static const struct qgm_stored want[] = { { 0, 18, 42 }, { 0, 16, 16 }, { 0, 20, 16 }, { 0, 18, 36 } };
    static const int32_t labels[] = { 0, 0, 1, 1 };
    assert_true(d->train.n == 4 && d->test.n == 2 && d->train.classes == 2 && d->train.c == 3 && d->train.h == 16);
    assert_string_equal(d->class_names[0], "ant");
    assert_string_equal(d->class_names[1], "cat");
    assert_memory_equal(d->train.labels, labels, sizeof labels);
    assert_true(d->test.labels[0] == 0 && d->test.labels[1] == 1 && !d->test.stored && d->skipped == 0);
    for (int i = 0; i < 4; i++) {
        const struct qgm_stored *s = &d->train.stored[i];
        assert_true(s->h == want[i].h && s->w == want[i].w);
        int k = i == 0 ? 200 : i == 2 ? 90 : 250;
        check_colour(d->train.pixels + s->at, (size_t)s->h * s->w, i == 0 ? 0 : k,
                     i == 0   ? 200
                     : i == 2 ? 90
                              : 20,
                     i == 0   ? 100
                     : i == 2 ? 90
                              : 10);
    }
    check_colour(d->test.pixels, 256, 250, 20, 10);
    check_colour(d->test.pixels + 256 * 3, 256, 90, 90, 90);
}

static char *only_cache(void)
{
    static char path[400];
    FILE *f = popen("ls -d \"$(pwd)\"/$QGM_TEST_CACHES/*", "r");
    assert_non_null(f);
    assert_non_null(fgets(path, sizeof path, f));
    char more[400];
    assert_null(fgets(more, sizeof more, f));
    pclose(f);
    path[strcspn(path, "\n")] = 0;
    return path;
}

static size_t slurp(const char *path, uint8_t **bytes)
{
    struct stat s;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &s), 0);
    *bytes = malloc((size_t)s.st_size);
    assert_int_equal(fread(*bytes, 1, (size_t)s.st_size, f), s.st_size);
    fclose(f);
    return (size_t)s.st_size;
}

static void a_folder_is_packed_once(void **state)
{
    (void)state;
    struct qgm_dataset d;
    make_tree();
    setenv("QGM_TEST_CACHES", below("caches"), 1);
    open_tree(&d, ",workers=1");
    check_tree(&d);
    qgm_dataset_close(&d);
    uint8_t *first, *again;
    size_t size = slurp(only_cache(), &first);
    struct stat before, after;
    assert_int_equal(stat(only_cache(), &before), 0);
    open_tree(&d, ""); /* mapped, not written */
    check_tree(&d);
    qgm_dataset_close(&d);
    assert_int_equal(stat(only_cache(), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* Damage anywhere is found, and the file written anew, by other numbers of workers with the same bytes. */
    for (size_t at = 0; at < size; at += at < 400 ? 13 : 997) {
        FILE *f = fopen(only_cache(), "r+b");
        assert_true(f && fseek(f, (long)at, SEEK_SET) == 0 && fputc(first[at] ^ 0x40, f) != EOF && fclose(f) == 0);
        open_tree(&d, at % 2 ? ",workers=3" : ",workers=7");
        check_tree(&d);
        qgm_dataset_close(&d);
        assert_int_equal(slurp(only_cache(), &again), size);
        assert_memory_equal(first, again, size);
        free(again);
    }
    assert_int_equal(truncate(only_cache(), (off_t)size - 1), 0);
    open_tree(&d, "");
    check_tree(&d);
    qgm_dataset_close(&d);
    free(first);
}

static void damaged_files_are_named_or_counted(void **state)
{
    (void)state;
    uint8_t *bytes;
    char spec[300];
    size_t size = slurp(below("set/train/cat/b.JPEG"), &bytes);
    FILE *f = fopen(below("set/train/cat/cut.JPEG"), "wb");
    assert_int_equal(fwrite(bytes, 1, size * 2 / 3, f), size * 2 / 3);
    fclose(f);
    free(bytes);
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
    refused(spec, "cat/cut.JPEG: damaged");
    refused(spec, "skip=1");
    struct qgm_dataset d;
    open_tree(&d, ",skip=1");
    assert_true(d.skipped == 1 && d.train.n == 4 && d.test.n == 2);
    qgm_dataset_close(&d);
    f = fopen(below("set/val/cat/w.JPEG"), "wb");
    fputs("\x89PNG is another format", f);
    fclose(f);
    refused(spec, "cut.JPEG"); /* the first in order */
    unlink(below("set/train/cat/cut.JPEG"));
    refused(spec, "val/cat/w.JPEG: not a JPEG file");
    open_tree(&d, ",skip=1");
    assert_true(d.skipped == 1 && d.train.n == 4 && d.test.n == 2);
    check_colour(d.test.pixels + 256 * 3, 256, 90, 90, 90);
    qgm_dataset_close(&d);
    unlink(below("set/val/cat/w.JPEG"));
    folder("set/train/dog");
    refused(spec, "train/dog: a class without any .JPEG");
    rmdir(below("set/train/dog"));
    folder("set/val/cow");
    refused(spec, "training has no class 'cow'");
    rmdir(below("set/val/cow"));
    refused("folder:set,size=16,cache=/proc/nowhere", "cache");
    open_tree(&d, ",train=3,test=1");
    assert_true(d.train.n == 3 && d.test.n == 1 && d.train.classes == 2);
    qgm_dataset_close(&d);
}

/* Every file of ImageNet that is there: no complaint, and a plausible mean. Name the folder in $QGM_DATA. */
static void whole_size_files(void **state)
{
    (void)state;
    const char *data = getenv("QGM_DATA");
    char command[500], path[400];
    snprintf(command, sizeof command, "find %s/imagenet-fullsize-24 -name '*.JPEG' 2>&1", data ? data : "/nowhere");
    FILE *f = popen(command, "r");
    int files = 0;
    while (fgets(path, sizeof path, f) && strstr(path, ".JPEG\n")) {
        struct qgm_picture p;
        struct qgm_error err;
        path[strcspn(path, "\n")] = 0;
        if (qgm_read_jpeg(path, 224, QGM_KEEP_MIDDLE, &p, &err) < 0) fail_msg("%s", err.text);
        assert_true(p.h == 224 && p.w == 224);
        double sum = 0;
        for (int i = 0; i < 224 * 224 * 3; i++) sum += p.pixels[i];
        assert_true(sum / (224 * 224 * 3) > 10 && sum / (224 * 224 * 3) < 245);
        free(p.pixels);
        files++;
    }
    pclose(f);
    if (!files) skip();
}
#endif

static void refusals(void **state)
{
    (void)state;
    refused("folder:nothing", "found no nothing/train in");
    refused("folder:nothing,size=4", "expected a whole number from 8 to 512");
    refused("folder:nothing,sise=32", "did you mean 'size'");
    folder("void");
    folder("void/train");
    refused("folder:void", "void/train: expected a folder a class");
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "images-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s;
    (void)kind;
    (void)where;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resampling_is_the_triangle_filter),
        cmocka_unit_test(random_parts_are_those_of_the_paper),
        cmocka_unit_test(moves_in_place),
        cmocka_unit_test(stored_or_not_is_the_same),
        cmocka_unit_test(results_come_in_order),
        cmocka_unit_test(refusals),
#ifdef QGM_HAVE_JPEG
        cmocka_unit_test(a_folder_is_packed_once),
        cmocka_unit_test(damaged_files_are_named_or_counted),
        cmocka_unit_test(whole_size_files),
#endif
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
