/* Folders of images: what is read, decoding, and refusals. SPDX-License-Identifier: MIT */
#include "pictures.h"
#include "resample.h"

#ifdef QGM_HAVE_JPEG
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
    refused(spec, "val/cat/w.JPEG: cannot be decoded: Not a JPEG file");
    open_tree(&d, ",skip=1");
    assert_true(d.skipped == 1 && d.train.n == 4 && d.test.n == 2);
    check_colour(d.test.pixels + 256 * 3, 256, 90, 90, 90);
    qgm_dataset_close(&d);
    unlink(below("set/val/cat/w.JPEG"));
}

/* Stray bytes in front of a segment are no damage, but hide none either. */
static void stray_bytes_are_skipped(void **state)
{
    (void)state;
    uint8_t *bytes;
    char spec[300];
    struct qgm_dataset d;
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
    size_t size = slurp(below("set/train/cat/b.JPEG"), &bytes), second = 4 + bytes[5]; /* the first: 2, FF E0, length */
    assert_int_equal(bytes[4], 0);
    for (int cut = 0; cut < 2; cut++) {
        FILE *f = fopen(below("set/train/cat/stray.JPEG"), "wb");
        fwrite(bytes, 1, second, f);
        fwrite("stray", 1, 5, f);
        fwrite(bytes + second, 1, (cut ? size * 2 / 3 : size) - second, f);
        fclose(f);
        if (cut) {
            refused(spec, "cat/stray.JPEG: damaged: it ends before its end marker");
        } else {
            open_tree(&d, "");
            assert_int_equal(d.train.n, 5);
            check_colour(d.train.pixels + d.train.stored[4].at, 16, 250, 20, 10);
            qgm_dataset_close(&d);
        }
    }
    free(bytes);
    unlink(below("set/train/cat/stray.JPEG"));
}

/* The middle of such a test image would be cut from one of gigabytes. */
static void narrow_images_are_not_tested_on(void **state)
{
    (void)state;
    struct qgm_dataset d;
    char spec[300];
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
    write_jpeg("set/val/cat/narrow.jpg", 1, 4096, TJPF_RGB, red);
    refused(spec, "val/cat/narrow.jpg: 4096 x 1 pixels, ");
    assert_int_equal(rename(below("set/val/cat/narrow.jpg"), below("set/train/cat/narrow.jpg")), 0);
    open_tree(&d, "");
    assert_true(d.train.n == 5 && d.test.n == 2);
    qgm_dataset_close(&d);
    unlink(below("set/train/cat/narrow.jpg"));
}

static void classes_are_those_of_training(void **state)
{
    (void)state;
    struct qgm_dataset d;
    char spec[300];
    snprintf(spec, sizeof spec, "folder:set,size=16,cache=%s/caches", root);
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
    folder("above"); /* one folder too high */
    assert_int_equal(rename(below("set/train"), below("above/train-of-cats-and-ants")), 0);
    snprintf(spec, sizeof spec, "folder:above,size=16,hold=50,cache=%s/caches", root);
    refused(spec, "above: found one class, 'train-of-cats-and-ants', expected two or more");
    assert_int_equal(rename(below("above/train-of-cats-and-ants"), below("set/train")), 0);
    rmdir(below("above"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
#ifdef QGM_HAVE_JPEG
        cmocka_unit_test(other_formats_are_noted),
        cmocka_unit_test(folders_below_belong_to_the_class),
        cmocka_unit_test(some_are_held_out),
        cmocka_unit_test(damaged_files_are_named_or_counted),
        cmocka_unit_test(stray_bytes_are_skipped),
        cmocka_unit_test(narrow_images_are_not_tested_on),
        cmocka_unit_test(classes_are_those_of_training),
        cmocka_unit_test(whole_size_files),
#endif
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
