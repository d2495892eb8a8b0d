/* Names of models: which there are, numbers in them, refusals. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "model.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct qgm_input cifar10 = { 32, 32, 3, 10 };

static size_t count_of(const char *spec)
{
    struct qgm_error err;
    struct qgm_model *m;
    if (qgm_model_open(&m, spec, &cifar10, &err) < 0) fail_msg("%s: %s", spec, err.text);
    size_t count = qgm_model_count(m);
    qgm_model_close(&m);
    return count;
}

/* Parameters of a ResNet of depth 6n+2, written out from the tables of He et al.: a norm has two a channel, a block
 * that changes the shape a 1 x 1 convolution and a norm on its shortcut. From 44 on bottlenecks of four times the
 * width. */
static size_t resnet_count(size_t depth)
{
    size_t n = (depth - 2) / 6, sum = 27 * 16 + 2 * 16, in = 16;
    for (size_t w = 16; w <= 64; w *= 2)
        for (size_t i = 0; i < n; i++) {
            size_t out = depth < 44 ? w : 4 * w;
            sum += depth < 44 ? 9 * in * w + 9 * w * w + 4 * w : in * w + 9 * w * w + 4 * w * w + 12 * w;
            if (in != out) sum += in * out + 2 * out;
            in = out;
        }
    return sum + 10 * in + 10;
}

static void resnets_have_any_depth_that_fits(void **state)
{
    (void)state;
    char name[64], same[64];
    assert_int_equal(resnet_count(20), 272474); /* the released code's */
    assert_int_equal(resnet_count(56), 869530);
    for (size_t depth = 8; depth <= 200; depth += 6) {
        snprintf(name, sizeof name, "resnet%zu", depth);
        snprintf(same, sizeof same, "resnet:depth=%zu", depth);
        assert_int_equal(count_of(same), resnet_count(depth));
        if (depth != 50 && depth != 152) assert_int_equal(count_of(name), resnet_count(depth));
    }
    assert_int_equal(count_of("resnet26:norm=gn,groups=4"), resnet_count(26));
    assert_int_equal(count_of("resnet50"), 25557032 - 990 * 2049); /* the large one, as ever, of ten classes */
    assert_int_equal(count_of("resnet34"), 21797672 - 990 * 513);
}

/* Depth 6n+4, widths of 16k, 32k and 64k: Zagoruyko and Komodakis, with a 1 x 1 convolution where the width changes. */
static size_t wideresnet_count(size_t depth, size_t widen)
{
    size_t sum = 27 * 16, in = 16;
    for (size_t w = 16 * widen; w <= 64 * widen; w *= 2)
        for (size_t i = 0; i < (depth - 4) / 6; i++, in = w)
            sum += 2 * in + 9 * in * w + 2 * w + 9 * w * w + (in != w ? in * w : 0);
    return sum + 2 * in + 10 * in + 10;
}

static void wideresnets_have_numbers_in_their_names(void **state)
{
    (void)state;
    assert_int_equal(wideresnet_count(28, 10), 36479194); /* the released code's */
    assert_int_equal(count_of("wideresnet16-8"), wideresnet_count(16, 8));
    assert_int_equal(count_of("wideresnet22-2:dropout=0.3"), wideresnet_count(22, 2));
    assert_int_equal(count_of("wideresnet10"), wideresnet_count(10, 4));
    assert_int_equal(count_of("wideresnet40:widen=1"), wideresnet_count(40, 1));
}

static void bad_specs_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *says;
        int size;
    } bad[] = {
        { "lenett", "did you mean 'lenet'", 28 },
        { "", "unknown model", 28 },
        { "lenet:width=3", "has no options", 28 },
        { "cnn:widht=3", "did you mean 'width'", 28 },
        { "cnn:width", "option=value", 28 },
        { "cnn:width=", "option=value", 28 },
        { "cnn:width=0", "from 1 to", 28 },
        { "cnn:width=4x", "whole number", 28 },
        { "cnn:width=4,", "option=value", 28 },
        { "mlp:hidden=3-", "widths like", 28 },
        { "mlp:hidden=0", "widths like", 28 },
        { "lenet", "does not fit", 4 },
        { "bert-tiny", "expected texts", 28 },
        { "resnet8:groups=4", "norm=gn", 28 },
        { "resnet27", "depth=27: expected 6n+2", 28 },
        { "resnet2", "from 8 to", 28 },
        { "resnet20:depth=26", "depth is given twice, as 20 and 26", 28 },
        { "resnet26-2", "expected one number", 28 },
        { "wideresnet17", "depth=17: expected 6N+4", 28 },
        { "wideresnet16-", "one number, or two", 28 },
        { "resnet26x", "unknown model 'resnet26x'", 28 },
        { "vgg12", "unknown model 'vgg12'", 28 },
    };
    for (size_t i = 0; i < QGM_COUNT(bad); i++) {
        struct qgm_input input = { bad[i].size, bad[i].size, 1, 10 };
        struct qgm_error err = { 0 };
        struct qgm_model *m;
        assert_int_equal(qgm_model_open(&m, bad[i].spec, &input, &err), -1);
        assert_null(m);
        assert_int_equal(err.kind, QGM_USAGE);
        if (!strstr(err.text, bad[i].says))
            fail_msg("'%s': \"%s\" does not say %s", bad[i].spec, err.text, bad[i].says);
    }
}

/* Every name opens, and says what its options are. */
static void every_model_is_described(void **state)
{
    (void)state;
    for (const char *const *name = qgm_model_names(); *name; name++) {
        static const struct qgm_input text = { 32, 1, 100, 4, true };
        bool reads_text = strstr(*name, "bert") || strstr(*name, "lm");
        struct qgm_error err;
        struct qgm_model *m;
        if (qgm_model_open(&m, *name, reads_text ? &text : &cifar10, &err) < 0) fail_msg("%s: %s", *name, err.text);
        assert_non_null(qgm_model_about(*name));
        assert_true(qgm_model_flops(m) > 0);
        qgm_model_close(&m);
    }
    assert_non_null(qgm_model_about("resnet26"));
    assert_null(qgm_model_about("nonsense"));
    assert_null(qgm_model_about("vgg12"));
}

/* The linker sends the library's allocations here (--wrap): after so many of them one fails; below 0 none does. */
static long until_failure = -1;
static bool fails(void) { return until_failure >= 0 && until_failure-- == 0; }
void *__real_malloc(size_t n), *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size), *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n), *__wrap_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }

/* Whichever allocation fails, from the first on: an error that says so. */
static void no_memory_is_an_error(void **state)
{
    (void)state;
    static const char *const specs[] = { "logreg", "mlp", "lenet", "resnet8", "resnet18", "wideresnet10-1", "vgg11" };
    for (size_t i = 0; i < QGM_COUNT(specs); i++)
        for (long n = 0, failed = 1; failed; n++) {
            struct qgm_error err = { 0 };
            struct qgm_model *m;
            until_failure = n;
            int rc = qgm_model_open(&m, specs[i], &cifar10, &err);
            failed = until_failure < 0;
            until_failure = -1;
            if (failed && (rc == 0 || m || err.kind != QGM_SYSTEM || !strstr(err.text, "cannot allocate memory")))
                fail_msg("%s without allocation %ld: result %d, '%s'", specs[i], n, rc, err.text);
            qgm_model_close(&m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnets_have_any_depth_that_fits),
        cmocka_unit_test(wideresnets_have_numbers_in_their_names),
        cmocka_unit_test(bad_specs_are_refused),
        cmocka_unit_test(every_model_is_described),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
