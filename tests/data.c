/* Readers of data sets: right files are read to the last byte, damaged ones are refused with a sentence that says
 * where. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "reader.h"
#include <cmocka.h>
#include <math.h>
#include <xxhash.h>
#include <zlib.h>

#include "scratch_dir.h"

/* An idx file of 5 x 4 x 3 bytes: value = 7 k mod 251. */
enum { IDX_HEAD = 16, IDX_BODY = 5 * 4 * 3, IDX_SIZE = IDX_HEAD + IDX_BODY };
static void make_idx(uint8_t file[IDX_SIZE])
{
    static const uint8_t head[IDX_HEAD] = { 0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 3 };
    memcpy(file, head, IDX_HEAD);
    for (int k = 0; k < IDX_BODY; k++) file[IDX_HEAD + k] = (uint8_t)(7 * k % 251);
}
static size_t compress_gz(const void *from, size_t size, uint8_t *to, size_t room)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)from;
    z.avail_in = (uInt)size;
    z.next_out = to;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t made = room - z.avail_out;
    deflateEnd(&z);
    return made;
}
/* Reads the file as 5 x 4 x 3; 0 only if it is exactly the right content. */
static int read_small(const char *path, struct qgm_error *err)
{
    uint32_t shape[3];
    uint8_t *bytes = NULL, want[IDX_SIZE];
    make_idx(want);
    err->text[0] = 0;
    int result = qgm_read_idx(path, 3, shape, &bytes, err);
    if (result == 0) {
        assert_true(shape[0] == 5 && shape[1] == 4 && shape[2] == 3);
        assert_memory_equal(bytes, want + IDX_HEAD, IDX_BODY);
    } else {
        assert_null(bytes);
        assert_non_null(strstr(err->text, path));
    }
    free(bytes);
    return result;
}

static void idx_plain(void **state)
{
    (void)state;
    uint8_t file[IDX_SIZE + 1] = { 0 };
    struct qgm_error err;
    make_idx(file);
    assert_int_equal(read_small(scratch_write("a", file, IDX_SIZE), &err), 0);
    for (size_t size = 0; size < IDX_SIZE; size++) {
        char place[64];
        assert_int_equal(read_small(scratch_write("a", file, size), &err), -1);
        snprintf(place, sizeof place, "ends at byte %zu", size);
        assert_non_null(strstr(err.text, place));
    }
    assert_int_equal(read_small(scratch_write("a", file, IDX_SIZE + 1), &err), -1);
    assert_non_null(strstr(err.text, "goes on after byte 76"));
    for (int at = 0; at < IDX_HEAD; at++)
        for (int change = 1; change < 256; change += change < 8 ? 1 : 31) {
            file[at] ^= (uint8_t)change;
            assert_int_equal(read_small(scratch_write("a", file, IDX_SIZE), &err), -1);
            file[at] ^= (uint8_t)change;
        }
    assert_int_equal(read_small(scratch_path("none"), &err), -1);
    assert_int_equal(read_small(scratch_dir, &err), -1);
}

static void idx_gzip(void **state)
{
    (void)state;
    uint8_t file[IDX_SIZE], packed[400];
    struct qgm_error err;
    make_idx(file);
    size_t size = compress_gz(file, IDX_SIZE, packed, 200);
    assert_int_equal(read_small(scratch_write("a", packed, size), &err), 0);
    for (size_t cut = 0; cut < size; cut++) assert_int_equal(read_small(scratch_write("a", packed, cut), &err), -1);
    int accepted = 0;
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            packed[at] ^= (uint8_t)(1 << bit);
            accepted += read_small(scratch_write("a", packed, size), &err) == 0; /* checks the content, too */
            packed[at] ^= (uint8_t)(1 << bit);
        }
    assert_in_range(accepted, 0, 6 * 8 + 3 + 7); /* time, system, flags; unused flag bits; padding of the last block */
    size_t more = compress_gz("x", 1, packed + size, 200);
    assert_int_equal(read_small(scratch_write("a", packed, size + more), &err), -1);
    assert_non_null(strstr(err.text, "goes on after byte 76"));
}

/* A header may promise more than the file has; nothing of that size is allocated. */
static void idx_sizes_that_lie(void **state)
{
    (void)state;
    static const uint8_t dims[][12] = {
        { 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3 },          { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 },
        { 0x7f, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 1 }, { 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 },
        { 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0 },          { 0, 0, 0, 5, 0, 0, 0, 4, 0x80, 0, 0, 3 },
    };
    uint8_t file[IDX_SIZE];
    struct qgm_error err;
    make_idx(file);
    for (size_t i = 0; i < QGM_COUNT(dims); i++) {
        memcpy(file + 4, dims[i], sizeof dims[i]);
        assert_int_equal(read_small(scratch_write("a", file, IDX_SIZE), &err), -1);
    }
}

/* Four files of a data set of 3 + 2 images of 2 x 2. */
static void make_mnist(int train_labels, int bad_label)
{
    uint8_t images[16 + 12] = { 0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2 };
    uint8_t labels[8 + 3] = { 0, 0, 8, 1, 0, 0, 0, (uint8_t)train_labels, 4, (uint8_t)bad_label, 9 };
    for (int k = 0; k < 12; k++) images[16 + k] = (uint8_t)(20 * k);
    scratch_write("train-images-idx3-ubyte", images, sizeof images);
    scratch_write("train-labels-idx1-ubyte", labels, 8 + (size_t)train_labels);
    images[7] = labels[7] = 2;
    scratch_write("t10k-images-idx3-ubyte", images, 16 + 8);
    labels[9] = 0;
    scratch_write("t10k-labels-idx1-ubyte", labels, 8 + 2);
}

static void mnist_family(void **state)
{
    (void)state;
    struct qgm_dataset d;
    struct qgm_error err;
    make_mnist(3, 0);
    assert_int_equal(qgm_dataset_open(&d, "mnist", scratch_dir, &err), 0);
    assert_true(d.train.n == 3 && d.test.n == 2 && d.train.h == 2 && d.train.w == 2 && d.train.c == 1);
    assert_true(d.train.labels[0] == 4 && d.train.labels[1] == 0 && d.train.labels[2] == 9 && d.train.classes == 10);
    assert_int_equal(d.train.pixels[11], 220);
    qgm_dataset_close(&d);
    assert_int_equal(qgm_dataset_open(&d, "mnist:train=2,test=5", scratch_dir, &err), 0);
    assert_true(d.train.n == 2 && d.test.n == 2);
    for (int i = 0; i < 2; i++) { /* each kept image with its own label, in the order of the file */
        static const int32_t labels[] = { 4, 0, 9 };
        int image = d.train.pixels[4 * i + 3] / 20 / 4;
        assert_int_equal(d.train.labels[i], labels[image]);
        assert_true(i == 0 || d.train.pixels[4] > d.train.pixels[0]);
    }
    qgm_dataset_close(&d);
    static const struct {
        int labels, bad;
        const char *says;
    } wrong[] = { { 3, 10, "byte 9: label 10, expected 0 to 9" },
                  { 3, 255, "byte 9: label 255" },
                  { 2, 0, "2 labels, expected 3" } };
    for (size_t i = 0; i < QGM_COUNT(wrong); i++) {
        make_mnist(wrong[i].labels, wrong[i].bad);
        assert_int_equal(qgm_dataset_open(&d, "mnist", scratch_dir, &err), -1);
        assert_non_null(strstr(err.text, wrong[i].says));
        assert_non_null(strstr(err.text, "train-labels-idx1-ubyte"));
        assert_null(d.train.pixels); /* closed: nothing left to free */
    }
    unlink(scratch_path("t10k-labels-idx1-ubyte"));
    make_mnist(3, 0);
    unlink(scratch_path("t10k-images-idx3-ubyte"));
    assert_int_equal(qgm_dataset_open(&d, "mnist", scratch_dir, &err), -1);
    assert_non_null(strstr(err.text, "t10k-images-idx3-ubyte"));
    assert_non_null(strstr(err.text, "get-data mnist"));
}

enum { RECORD10 = 3073, RECORD100 = 3074 };

static void cifar_records(void **state)
{
    (void)state;
    static uint8_t file[3 * RECORD100 + 1], pixels[3 * 3072];
    static const struct qgm_cifar formats[] = { { 1, 10 }, { 2, 100 } };
    int32_t labels[3];
    struct qgm_error err;
    for (size_t i = 0; i < QGM_COUNT(formats); i++) {
        const struct qgm_cifar *f = &formats[i];
        size_t record = 3072 + (size_t)f->label_bytes, size = 3 * record;
        for (size_t k = 0; k < size; k++) file[k] = (uint8_t)(k * k % 253);
        for (size_t k = 0; k < 3; k++)
            file[k * record] = 19, file[k * record + (size_t)f->label_bytes - 1] = (uint8_t)(9 - k);
        long n = 0;
        assert_int_equal(qgm_read_cifar(scratch_write("c", file, size), f, 3, pixels, labels, &n, &err), 0);
        assert_int_equal(n, 3);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(labels[k], 9 - k);
            for (size_t p = 0; p < 1024; p++)
                for (size_t c = 0; c < 3; c++)
                    assert_int_equal(pixels[k * 3072 + 3 * p + c],
                                     file[k * record + (size_t)f->label_bytes + 1024 * c + p]);
        }
        for (size_t cut = 0; cut < size; cut += cut % 3000 < 5 || cut > size - 5 ? 1 : 311) {
            assert_int_equal(qgm_read_cifar(scratch_write("c", file, cut), f, 3, pixels, labels, &(long){ 0 }, &err),
                             -1);
            assert_non_null(strstr(err.text, "ends at byte"));
        }
        assert_int_equal(qgm_read_cifar(scratch_write("c", file, size + 1), f, 3, pixels, labels, &(long){ 0 }, &err),
                         -1);
        assert_non_null(strstr(err.text, "goes on after byte"));
        for (int bad = f->classes; bad < 256; bad++) {
            file[record + (size_t)f->label_bytes - 1] = (uint8_t)bad;
            assert_int_equal(qgm_read_cifar(scratch_write("c", file, size), f, 3, pixels, labels, &(long){ 0 }, &err),
                             -1);
            assert_non_null(strstr(err.text, "expected 0 to"));
        }
    }
    assert_int_equal(qgm_read_cifar(scratch_dir, formats, 3, pixels, labels, &(long){ 0 }, &err), -1);
    assert_non_null(strstr(err.text, "directory"));
}

static void check_refused(const char *spec, const char *dir, enum qgm_error_kind kind, const char *says)
{
    struct qgm_dataset d;
    struct qgm_error err;
    assert_int_equal(qgm_dataset_open(&d, spec, dir, &err), -1);
    if (!strstr(err.text, says) || err.kind != kind) fail_msg("%s: '%s' does not say '%s'", spec, err.text, says);
}

static void refusals_say_what_to_do(void **state)
{
    (void)state;
    const char *before = getenv("QGM_DATA");
    char *kept = before ? strdup(before) : NULL;
    setenv("QGM_DATA", scratch_dir, 1);
    check_refused("fasion-mnist", NULL, QGM_USAGE, "did you mean 'fashion-mnist'");
    check_refused("zzzzzzzzzzzzzzzzzzzz", NULL, QGM_USAGE, "--list");
    check_refused("cifar10", NULL, QGM_INPUT, "get-data cifar10");
    check_refused("cifar100", "nowhere", QGM_INPUT, "nowhere/cifar-100-binary");
    check_refused("fashion-mnist", "nowhere", QGM_INPUT, "dataset-fashion-mnist");
    check_refused("mnist:size=3", NULL, QGM_USAGE, "no option 'size'");
    check_refused("mnist:test=-1", NULL, QGM_USAGE, "whole number");
    check_refused("synthetic:clases=3", NULL, QGM_USAGE, "did you mean 'classes'");
    check_refused("synthetic:classes=1", NULL, QGM_USAGE, "from 2 to 1000");
    check_refused("synthetic:classes=3x", NULL, QGM_USAGE, "classes=3x");
    check_refused("synthetic:classes=", NULL, QGM_USAGE, "whole number");
    check_refused("synthetic:n=99999999999999999999", NULL, QGM_USAGE, "whole number");
    check_refused("synthetic:classes", NULL, QGM_USAGE, "key=value");
    check_refused("synthetic:,", NULL, QGM_USAGE, "key=value");
    unsetenv("QGM_DATA");
    if (kept) setenv("QGM_DATA", kept, 1);
    free(kept);
}

static void synthetic_keeps_its_bits(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        long n, test;
        int h, c, classes;
        uint64_t digest;
    } cases[] = {
        { "synthetic", 4000, 1000, 16, 1, 10, UINT64_C(0xd9586c868f2a9ab1) },
        { "synthetic:n=100,test=7,classes=3,size=9,channels=3,seed=5", 100, 7, 9, 3, 3, UINT64_C(0xface91fca29aaa43) },
    };
    int wrong = 0;
    for (size_t i = 0; i < QGM_COUNT(cases); i++) {
        struct qgm_dataset d;
        struct qgm_error err;
        assert_int_equal(qgm_dataset_open(&d, cases[i].spec, NULL, &err), 0);
        assert_true(d.train.n == cases[i].n && d.test.n == cases[i].test && d.train.h == cases[i].h &&
                    d.train.w == cases[i].h && d.train.c == cases[i].c && d.train.classes == cases[i].classes);
        size_t bytes = (size_t)(d.train.h * d.train.w * d.train.c);
        uint64_t digest = XXH3_64bits(d.train.pixels, (size_t)d.train.n * bytes);
        digest = XXH3_64bits_withSeed(d.test.pixels, (size_t)d.test.n * bytes, digest);
        wrong += digest != cases[i].digest;
        if (digest != cases[i].digest)
            print_error("%s: UINT64_C(0x%016llx)\n", cases[i].spec, (unsigned long long)digest);
        for (long k = 0; k < d.train.n; k++) assert_int_equal(d.train.labels[k], k % d.train.classes);
        qgm_dataset_close(&d);
    }
    assert_int_equal(wrong, 0);
}

/* Mean and standard deviation of a channel of x / 255. */
static void moments(const struct qgm_examples *images, int channel, double *mean, double *std)
{
    long count[256] = { 0 }, n = images->n * images->h * images->w;
    for (long p = 0; p < n; p++) count[images->pixels[p * images->c + channel]]++;
    double sum = 0, squares = 0;
    for (int b = 0; b < 256; b++) {
        sum += (double)count[b] * b / 255;
        squares += (double)count[b] * b / 255 * b / 255;
    }
    *mean = sum / (double)n;
    *std = sqrt(squares / (double)n - *mean * *mean);
}

static void fashion_mnist_as_published(void **state)
{
    (void)state;
    static const int train[] = { 9, 0, 0, 3, 0, 2, 7, 2, 5, 5 }, test[] = { 9, 2, 1, 1, 6, 1, 4, 6, 5, 7 };
    struct qgm_dataset d;
    if (qgm_dataset_open(&d, "fashion-mnist", NULL, NULL) < 0) skip(); /* the Debian package is not installed */
    assert_true(d.train.n == 60000 && d.test.n == 10000 && d.train.h == 28 && d.train.w == 28);
    for (int k = 0; k < 10; k++) {
        assert_int_equal(d.train.labels[k], train[k]);
        assert_int_equal(d.test.labels[k], test[k]);
    }
    double mean, std;
    moments(&d.train, 0, &mean, &std);
    assert_true(fabs(mean - (double)d.mean[0]) < 1e-4 && fabs(std - (double)d.std[0]) < 1e-4);
    qgm_dataset_close(&d);
}

static void cifar10_as_published(void **state)
{
    (void)state;
    static const int train[] = { 6, 9, 9, 4, 1, 1, 2, 7, 8, 3 }, test[] = { 3, 8, 8, 0, 6, 6, 1, 6, 3, 1 };
    struct qgm_dataset d;
    if (qgm_dataset_open(&d, "cifar10", NULL, NULL) < 0) skip(); /* name its folder in $QGM_DATA */
    assert_true(d.train.n == 50000 && d.test.n == 10000);
    for (int k = 0; k < 10; k++) {
        assert_int_equal(d.train.labels[k], train[k]);
        assert_int_equal(d.test.labels[k], test[k]);
    }
    static const uint8_t first[] = { 59, 62, 63 };
    assert_memory_equal(d.train.pixels, first, 3);
    for (int c = 0; c < 3; c++) {
        double mean, std;
        moments(&d.train, c, &mean, &std);
        assert_true(fabs(mean - (double)d.mean[c]) < 2e-4);
    }
    qgm_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_plain),
        cmocka_unit_test(idx_gzip),
        cmocka_unit_test(idx_sizes_that_lie),
        cmocka_unit_test(mnist_family),
        cmocka_unit_test(cifar_records),
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(synthetic_keeps_its_bits),
        cmocka_unit_test(fashion_mnist_as_published),
        cmocka_unit_test(cifar10_as_published),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
