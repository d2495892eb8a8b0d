/* A folder of images of a test's own, and packs of it. SPDX-License-Identifier: MIT */
#ifndef QGM_PICTURES_H
#define QGM_PICTURES_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "listing.h"
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef QGM_HAVE_JPEG
#include <turbojpeg.h>
#endif

static char root[64];

static inline const char *below(const char *name)
{
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

static inline void folder(const char *name)
{
    if (mkdir(below(name), 0777) < 0) fail_msg("mkdir %s", name);
}

static inline void refused(const char *spec, const char *says)
{
    struct qgm_dataset d;
    struct qgm_error err = { 0 };
    assert_int_equal(qgm_dataset_open(&d, spec, root, &err), -1);
    if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

#ifdef QGM_HAVE_JPEG
/* A picture of one colour, given as the format says. */
static inline void write_jpeg(const char *name, int h, int w, int format, const uint8_t *colour)
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
static inline void make_tree(void)
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

static inline void check_colour(const uint8_t *pixels, size_t count, int r, int g, int b)
{
    for (size_t i = 0; i < count; i++, pixels += 3)
        if (abs(pixels[0] - r) > 4 || abs(pixels[1] - g) > 4 || abs(pixels[2] - b) > 4)
            fail_msg("pixel %zu is %d %d %d, expected %d %d %d", i, pixels[0], pixels[1], pixels[2], r, g, b);
}

static inline void open_tree(struct qgm_dataset *d, const char *options)
{
    char spec[300];
    struct qgm_error err = { 0 };
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches%s", root, options);
    if (qgm_dataset_open(d, spec, root, &err) < 0) fail_msg("%s", err.text);
}

static inline void check_tree(const struct qgm_dataset *d)
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

/* Of the folder of that name; asserts that there is one. */
static inline char *only_pack(const char *set)
{
    static char path[400];
    char command[500];
    snprintf(command, sizeof command, "ls -d \"$(pwd)\"/%s/caches/%s*", root, set);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(path, sizeof path, f));
    char more[400];
    assert_null(fgets(more, sizeof more, f));
    pclose(f);
    path[strcspn(path, "\n")] = 0;
    return path;
}

static inline char *only_cache(void) { return only_pack(""); }

static inline size_t slurp(const char *path, uint8_t **bytes)
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
#endif

/* cmocka's group setup and teardown. */
static inline int make_root(void **state)
{
    (void)state;
    strcpy(root, "images-XXXXXX");
    if (!mkdtemp(root)) return -1;
#ifdef QGM_HAVE_JPEG
    make_tree();
#endif
    return 0;
}

static inline int remove_one(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
