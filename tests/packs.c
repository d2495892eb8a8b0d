/* Packed caches of folders of images: written once, by one process, checked, and removed when half written.
 * SPDX-License-Identifier: MIT */
#include "pictures.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

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
    long damaged = qgm_dataset_damaged(d);
    if (damaged) qgm_dataset_fail_damaged(d, damaged, err);
    return !damaged;
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
    static const char *const folders[] = { "many",           "many/train",   "many/val",
                                           "many/train/cat", "many/val/cat", "many/train/ant" };
    for (size_t i = 0; i < QGM_COUNT(folders); i++) folder(folders[i]);
    for (int i = 0; i <= 3000; i++) { /* they take about a second */
        char name[100];
        snprintf(name, sizeof name, "many/%s/%d.jpg", i > 1 ? "train/cat" : i ? "train/ant" : "val/cat", i);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_packed_once),         cmocka_unit_test(damaged_pixels_are_not_used),
        cmocka_unit_test(a_folder_has_one_pack),           cmocka_unit_test(one_builds_while_others_wait),
        cmocka_unit_test(a_killed_builder_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
