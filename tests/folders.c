/* Folders of images: decoding, the cache, and refusals. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "listing.h"
#include "resample.h"
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef QGM_HAVE_JPEG
#include <turbojpeg.h>
#endif

static char root[64];

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

/* Of the folder of that name; asserts that there is one. */
static char *only_pack(const char *set)
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

static char *only_cache(void) { return only_pack(""); }

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

/* One bit of a byte of the cache, there and back. */
static void flip(size_t at)
{
    FILE *f = fopen(only_cache(), "r+b");
    assert_true(f && fseek(f, (long)at, SEEK_SET) == 0);
    int byte = fgetc(f);
    assert_true(fseek(f, (long)at, SEEK_SET) == 0 && fputc(byte ^ 0x40, f) != EOF && fclose(f) == 0);
}

enum { PIXELS = 3 * (18 * 42 + 16 * 16 + 20 * 16 + 18 * 36 + 2 * 16 * 16) }; /* of make_tree(), as they are kept */

static void a_folder_is_packed_once(void **state)
{
    (void)state;
    struct qgm_dataset d;
    make_tree();
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
    /* Damage before the pixels is found, and the file written anew, by other numbers of workers with the same bytes. */
    for (size_t at = 0; at < size - PIXELS; at += at < 400 ? 13 : 97) {
        flip(at);
        open_tree(&d, at % 2 ? ",workers=3" : ",workers=7");
        check_tree(&d);
        qgm_dataset_close(&d);
        assert_int_equal(slurp(only_cache(), &again), size);
        assert_memory_equal(first, again, size);
        free(again);
    }
    for (size_t cut = 1; cut <= size; cut += cut < 10 ? 1 : 700) {
        assert_int_equal(truncate(only_cache(), (off_t)(size - cut)), 0);
        open_tree(&d, "");
        check_tree(&d);
        qgm_dataset_close(&d);
    }
    free(first);
}

static bool intact_after(const struct qgm_dataset *d, const struct qgm_examples *from, uint32_t i,
                         struct qgm_error *err)
{
    static float x[16 * 16 * 3];
    int32_t label;
    const struct qgm_augment a = { .resized = true }, *how = from == &d->train && i % 2 ? &a : NULL;
    qgm_batch_fill(d, from, &i, 1, how, x, &label);
    return qgm_dataset_intact(d, err) == 0;
}

/* An image of the cache is compared with its sum before anything is made of it, and only then. */
static void damaged_pixels_are_not_used(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t size = slurp(only_cache(), &bytes), at = size - PIXELS;
    free(bytes);
    static const size_t area[] = { 18 * 42, 16 * 16, 20 * 16, 18 * 36, 16 * 16, 16 * 16 };
    static const char *const says[] = { "training image 1 of 4 (class 'ant')", "training image 2 of 4 (class 'ant')",
                                        "training image 3 of 4 (class 'cat')", "training image 4 of 4 (class 'cat')",
                                        "test image 1 of 2 (class 'ant')",     "test image 2 of 2 (class 'cat')" };
    for (uint32_t hurt = 0; hurt < 6; at += 3 * area[hurt++])
        for (int last = 0; last < 2; last++) {
            size_t byte = last ? at + 3 * area[hurt] - 1 : at;
            struct qgm_dataset d;
            struct qgm_error err;
            flip(byte);
            open_tree(&d, "");
            for (uint32_t i = 0; i < 6; i++)
                if (i != hurt) assert_true(intact_after(&d, i < 4 ? &d.train : &d.test, i < 4 ? i : i - 4, &err));
            assert_false(intact_after(&d, hurt < 4 ? &d.train : &d.test, hurt < 4 ? hurt : hurt - 4, &err));
            if (!strstr(err.text, says[hurt]) || !strstr(err.text, below("caches")) || !strstr(err.text, "delete it"))
                fail_msg("\"%s\" does not say \"%s\"", err.text, says[hurt]);
            qgm_dataset_close(&d);
            flip(byte);
        }
}

/* However its folder is spelt. */
static void a_folder_has_one_pack(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(stat(only_cache(), &before), 0);
    char *whole = realpath(below("set"), NULL), spec[2000];
    char around[100];
    snprintf(around, sizeof around, "../%s/set", root);
    const char *const spelt[] = { "./set/", around, whole, "link" };
    assert_int_equal(symlink("set", below("link")), 0);
    for (size_t i = 0; i < QGM_COUNT(spelt); i++) {
        struct qgm_dataset d;
        struct qgm_error err = { 0 };
        snprintf(spec, sizeof spec, "folder:%s,size=16,cache=%s/caches", spelt[i], root);
        if (qgm_dataset_open(&d, spec, root, &err) < 0) fail_msg("%s", err.text);
        qgm_dataset_close(&d);
        assert_int_equal(stat(only_cache(), &after), 0); /* still one */
        assert_int_equal(before.st_ino, after.st_ino);
    }
    free(whole);
}

/* A process that finds another one at work waits and takes its file; a lock that somebody left stops nobody. */
static void one_builds_while_others_wait(void **state)
{
    (void)state;
    char path[400], lock[410], aside[410];
    snprintf(path, sizeof path, "%s", only_cache());
    snprintf(lock, sizeof lock, "%s.lock", path);
    snprintf(aside, sizeof aside, "%s/aside", root);
    assert_int_equal(rename(path, aside), 0);
    int file = open(lock, O_RDWR | O_CREAT, 0666);
    assert_true(file >= 0 && flock(file, LOCK_EX) == 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct qgm_dataset d;
        char spec[300];
        close(file); /* else it would hold the lock too */
        snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
        _exit(qgm_dataset_open(&d, spec, root, NULL) < 0);
    }
    usleep(300000);
    assert_int_not_equal(access(path, F_OK), 0); /* it has not begun on its own */
    struct stat before, after;
    assert_int_equal(stat(aside, &before), 0);
    assert_int_equal(rename(aside, path), 0);
    close(file);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_string_equal(only_cache(), path); /* without its lock */
    unlink(path);
    assert_true((file = open(lock, O_RDWR | O_CREAT, 0666)) >= 0 && close(file) == 0);
    struct qgm_dataset d;
    open_tree(&d, "");
    check_tree(&d);
    qgm_dataset_close(&d);
    assert_int_equal(stat(only_cache(), &after), 0);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(after.st_mode & 0777, 0666 & ~mask);
}

/* Packs that somebody has begun and not ended. */
static int parts(void)
{
    char command[500], line[400];
    snprintf(command, sizeof command, "ls %s/caches | grep -E '[.]pack[.](.*[.])?[A-Za-z0-9]{6}$'", root);
    FILE *f = popen(command, "r");
    int n = 0;
    while (fgets(line, sizeof line, f)) n++;
    pclose(f);
    return n;
}

static int open_many(void)
{
    struct qgm_dataset d;
    char spec[300];
    snprintf(spec, sizeof spec, "folder:many,size=16,workers=1,cache=%s/caches", root);
    int result = qgm_dataset_open(&d, spec, root, NULL);
    if (result == 0) qgm_dataset_close(&d);
    return result;
}

/* A process that is killed while it packs leaves a part, which the next one removes; one that is still at it keeps its
 * own. */
static void a_killed_builder_leaves_nothing(void **state)
{
    (void)state;
    static const char *const folders[] = { "many", "many/train", "many/val", "many/train/cat", "many/val/cat" };
    for (size_t i = 0; i < QGM_COUNT(folders); i++) folder(folders[i]);
    for (int i = 0; i <= 3000; i++) { /* they take about a second */
        char name[100];
        snprintf(name, sizeof name, "many/%s/cat/%d.jpg", i ? "train" : "val", i);
        assert_int_equal(symlink("../../../set/val/ant/v.JPEG", below(name)), 0);
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(open_many() < 0);
    for (int i = 0; i < 20000 && !parts(); i++) usleep(500);
    kill(child, SIGSTOP);
    assert_int_equal(parts(), 1);
    struct qgm_dataset d;
    unlink(only_pack("set"));
    open_tree(&d, "");
    check_tree(&d);
    qgm_dataset_close(&d);
    assert_int_equal(parts(), 1); /* its builder lives */
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(parts(), 1);
    assert_int_equal(open_many(), 0);
    assert_int_equal(parts(), 0);
    unlink(only_pack("many"));
    assert_non_null(only_cache()); /* the lock of the dead went too */
}

/* A folder of classes as people have it: some of each are held out, always the same. */
static void some_are_held_out(void **state)
{
    (void)state;
    struct qgm_dataset d;
    struct qgm_error err;
    char spec[300], name[100];
    folder("flat/dog");
    folder("flat/owl");
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "flat/cat/%d.jpg", i);
        write_jpeg(name, 16, 16, TJPF_GRAY, (uint8_t[]){ (uint8_t)(20 * i) });
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(symlink("../cat/3.jpg", below(i ? "flat/dog/a.jpg" : "flat/dog/b.jpg")), 0);
    assert_int_equal(symlink("../cat/3.jpg", below("flat/owl/a.jpg")), 0);
    snprintf(spec, sizeof spec, "folder:flat,size=16,hold=20,cache=%s/caches", root);
    for (int again = 0; again < 2; again++) {
        int seen[10] = { 0 };
        if (qgm_dataset_open(&d, spec, root, &err) < 0) fail_msg("%s", err.text);
        static const int32_t train[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 2 }, test[] = { 0, 0, 1 };
        assert_true(d.train.n == 10 && d.test.n == 3 && d.train.classes == 3);
        assert_memory_equal(d.train.labels, train, sizeof train);
        assert_memory_equal(d.test.labels, test, sizeof test);
        for (int i = 0; i < 8; i++) seen[(d.train.pixels[i * 16 * 16 * 3] + 10) / 20]++;
        for (int i = 0; i < 2; i++) seen[(d.test.pixels[i * 16 * 16 * 3] + 10) / 20]++;
        for (int i = 0; i < 10; i++) assert_int_equal(seen[i], 1);
        snprintf(spec, sizeof spec,
                 "%s/flat: held out 3 of 13 images, 20 %% of each class, to test on\n"
                 "%s/flat: 1 of the 3 classes have one image, and are never tested: 'owl'\n",
                 root, root);
        assert_string_equal(d.notes, spec);
        qgm_dataset_close(&d);
        if (again) break;
        assert_int_equal(rename(below("flat"), below("moved")), 0); /* the same below train/ */
        folder("flat");
        assert_int_equal(rename(below("moved"), below("flat/train")), 0);
        snprintf(spec, sizeof spec, "folder:flat,size=16,hold=20,cache=%s/caches", root);
    }
}

static void touch(const char *name)
{
    FILE *f = fopen(below(name), "w");
    assert_true(f && fclose(f) == 0);
}

static void noted(const char *options, const char *notes)
{
    struct qgm_dataset d;
    open_tree(&d, options);
    check_tree(&d);
    char want[1000];
    snprintf(want, sizeof want, notes, root, root);
    if (strcmp(d.notes, want) != 0) fail_msg("notes are \"%s\", expected \"%s\"", d.notes, want);
    qgm_dataset_close(&d);
}

/* Images of other formats are no secret loss; what is hidden, or no image at all, is nobody's. */
static void other_formats_are_noted(void **state)
{
    (void)state;
    char spec[300];
    noted("", "");
    folder("set/train/cat/more");
    folder("set/train/cat/.git");
    touch("set/train/cat/.hidden.jpg");
    touch("set/train/cat/.git/x.jpg");
    touch("set/train/cat/1.png");
    touch("set/train/cat/2.PNG");
    touch("set/train/cat/more/3.webp");
    noted("", "%s/set/train/cat: left out 2 .png, 1 .webp: only .jpg and .jpeg are read; convert them to have them too "
              "(with ImageMagick: mogrify -format jpg FILE...)\n");
    touch("set/val/ant/4.gif");
    touch("set/val/5.jpg");
    noted("", "%s/set/val: left out 1 image beside the folders of classes\n"
              "%s/set/train/cat and 1 other folder: left out 2 .png, 1 .gif, 1 .webp: only .jpg and .jpeg are read; "
              "convert them to have them too (with ImageMagick: mogrify -format jpg FILE...)\n");
    folder("set/train/dog");
    touch("set/train/dog/1.PNG");
    touch("set/train/dog/2.bmp");
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
    refused(spec, "set/train/dog: a class without any .JPEG or .jpg file: it has 1 .png, 1 .bmp, which are not read");
    refused(spec, "mogrify -format jpg");
    static const char *const gone[] = { "set/train/dog/1.PNG",       "set/train/dog/2.bmp", "set/train/dog",
                                        "set/train/cat/.git/x.jpg",  "set/train/cat/.git",  "set/train/cat/1.png",
                                        "set/train/cat/.hidden.jpg", "set/train/cat/2.PNG", "set/val/ant/4.gif",
                                        "set/train/cat/more/3.webp", "set/train/cat/more",  "set/val/5.jpg" };
    for (size_t i = 0; i < QGM_COUNT(gone); i++) assert_int_equal(remove(below(gone[i])), 0);
}

/* What lies deeper is the class's too, by the bytes of names: b.JPEG behind a.jpg's folder. */
static void folders_below_belong_to_the_class(void **state)
{
    (void)state;
    struct qgm_dataset d;
    folder("set/train/cat/a");
    folder("set/train/cat/a/deep");
    assert_int_equal(rename(below("set/train/cat/a.jpg"), below("set/train/cat/a/deep/z.jpg")), 0);
    open_tree(&d, "");
    check_tree(&d);
    qgm_dataset_close(&d);
    assert_int_equal(symlink("..", below("set/train/cat/a/up")), 0);
    char spec[300];
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
    refused(spec, "cat/a/up: a link to a folder that it is in");
    unlink(below("set/train/cat/a/up"));
    assert_int_equal(symlink("nowhere", below("set/train/cat/c.jpg")), 0);
    refused(spec, "cat/c.jpg: No such file");
    unlink(below("set/train/cat/c.jpg"));
    assert_int_equal(rename(below("set/train/cat/a/deep/z.jpg"), below("set/train/cat/a.jpg")), 0);
    rmdir(below("set/train/cat/a/deep"));
    rmdir(below("set/train/cat/a"));
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
    struct qgm_dataset d;
    refused(spec, "cat/cut.JPEG: damaged");
    refused(spec, "skip=1");
    static const char *const many[] = {
        "set/train/cat/cut0.JPEG", "set/train/cat/cut1.JPEG", "set/train/cat/cut2.JPEG",
        "set/train/cat/cut3.JPEG", "set/train/cat/cut4.JPEG", "set/train/cat/cut5.JPEG"
    };
    char note[300];
    for (int i = 0; i < 6; i++) assert_int_equal(symlink("cut.JPEG", below(many[i])), 0);
    for (int again = 0; again < 2; again++) { /* decoded, and mapped */
        open_tree(&d, ",skip=1");
        assert_int_equal(d.skipped, 7);
        for (int i = 0; i < 6; i++) assert_string_equal(d.skipped_names[i + 1], many[i] + strlen("set/"));
        assert_null(d.skipped_names[7]);
        snprintf(note, sizeof note,
                 "%s/set: 7 damaged files left out: train/cat/cut.JPEG, train/cat/cut0.JPEG, train/cat/cut1.JPEG, "
                 "train/cat/cut2.JPEG, train/cat/cut3.JPEG ... (run.jsonl of --out names all)\n",
                 root);
        assert_string_equal(d.notes, note);
        qgm_dataset_close(&d);
    }
    for (int i = 0; i < 6; i++) unlink(below(many[i]));
    open_tree(&d, ",skip=1");
    assert_true(d.skipped == 1 && d.train.n == 4 && d.test.n == 2);
    assert_string_equal(d.skipped_names[0], "train/cat/cut.JPEG");
    assert_null(d.skipped_names[1]);
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
    refused(spec, "train/dog: a class without any .JPEG or .jpg file");
    rmdir(below("set/train/dog"));
    assert_int_equal(rename(below("set/val/cat"), below("aside")), 0);
    open_tree(&d, "");
    snprintf(spec, sizeof spec, "%s/set/val: lacks 1 of the 2 classes of train, which are never tested: 'cat'\n", root);
    assert_string_equal(d.notes, spec);
    assert_true(d.test.n == 1 && d.test.classes == 2);
    qgm_dataset_close(&d);
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
    assert_int_equal(rename(below("aside"), below("set/val/cat")), 0);
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
    refused("folder:void",
            "void: has no val folder, of images to test on: expected val/<class>/*.jpg beside train; hold=20");
    refused("folder:void,hold=91", "expected a whole number from 0 to 90");
    refused("folder:void,hold=20", "void/train: expected a folder a class");
    folder("void/test");
    refused("folder:void", "or is it called test? then rename it");
    folder("void/val");
    refused("folder:void", "void/train: expected a folder a class");
    refused("folder:void,hold=20", "void/val is there, and is what to test on: leave hold out");
    folder("flat");
    folder("flat/cat");
    refused("folder:flat",
            "flat: has no train folder: expected train/<class>/*.jpg and val/<class>/*.jpg in it; if it");
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
        cmocka_unit_test(refusals),
#ifdef QGM_HAVE_JPEG
        cmocka_unit_test(a_folder_is_packed_once),
        cmocka_unit_test(damaged_pixels_are_not_used),
        cmocka_unit_test(a_folder_has_one_pack),
        cmocka_unit_test(one_builds_while_others_wait),
        cmocka_unit_test(a_killed_builder_leaves_nothing),
        cmocka_unit_test(other_formats_are_noted),
        cmocka_unit_test(folders_below_belong_to_the_class),
        cmocka_unit_test(some_are_held_out),
        cmocka_unit_test(damaged_files_are_named_or_counted),
        cmocka_unit_test(whole_size_files),
#endif
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
