/* Data sets of the MNIST family: four idx files. SPDX-License-Identifier: MIT */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const fashion_classes[] = { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                               "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot" };

struct family {
    const char *name, *folder, *how; /* how to get the files */
    float mean, std;
    const char *const *classes;
};

/* <dir>/<file> or <dir>/<file>.gz, whichever is there. */
static int find_file(char path[4096], const char *dir, const char *file, const struct family *f, struct qgm_error *err)
{
    static const char *const endings[] = { ".gz", "" };
    for (int i = 0; i < 2; i++) {
        snprintf(path, 4096, "%s/%s%s", dir, file, endings[i]);
        if (access(path, F_OK) == 0) return 0;
    }
    return qgm_fail(err, QGM_INPUT, "%s: there is no %s/%s.gz: %s", f->name, dir, file, f->how);
}

static int read_split(struct qgm_images *to, const char *dir, const char *split, const struct family *f,
                      struct qgm_error *err)
{
    char path[4096], file[64];
    uint32_t shape[3], count;
    uint8_t *pixels, *bytes;
    snprintf(file, sizeof file, "%s-images-idx3-ubyte", split);
    QGM_TRY(find_file(path, dir, file, f, err));
    QGM_TRY(qgm_read_idx(path, 3, shape, &pixels, err));
    to->pixels = pixels; /* owned from here: qgm_dataset_close frees it */
    snprintf(file, sizeof file, "%s-labels-idx1-ubyte", split);
    QGM_TRY(find_file(path, dir, file, f, err));
    QGM_TRY(qgm_read_idx(path, 1, &count, &bytes, err));
    int32_t *labels = malloc((size_t)count * sizeof *labels);
    int result = labels ? 0 : qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    if (result == 0 && count != shape[0])
        result = qgm_fail(err, QGM_INPUT, "%s: %u labels for %u images", path, count, shape[0]);
    for (uint32_t k = 0; k < count && result == 0; k++) {
        labels[k] = bytes[k];
        if (bytes[k] > 9)
            result = qgm_fail(err, QGM_INPUT, "%s: byte %u: label %d, expected 0 to 9", path, 8 + k, bytes[k]);
    }
    free(bytes);
    to->labels = labels;
    to->n = (long)shape[0];
    to->h = (int)shape[1];
    to->w = (int)shape[2];
    to->c = 1;
    to->classes = 10;
    return result;
}

static int open_family(struct qgm_dataset *d, const struct family *f, const char *dir, struct qgm_error *err)
{
    d->name = f->name;
    d->mean[0] = f->mean;
    d->std[0] = f->std;
    d->class_names = f->classes;
    QGM_TRY(read_split(&d->train, dir ? dir : f->folder, "train", f, err));
    QGM_TRY(read_split(&d->test, dir ? dir : f->folder, "t10k", f, err));
    if (d->train.h != d->test.h || d->train.w != d->test.w)
        return qgm_fail(err, QGM_INPUT, "%s: training images are %d x %d, test images %d x %d", f->name, d->train.h,
                        d->train.w, d->test.h, d->test.w);
    return 0;
}

int qgm_open_fashion_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    (void)spec;
    /* Mean and deviation of the 60,000 training images. */
    static const struct family f = {
        "fashion-mnist",
        "/usr/share/datasets/fashion-mnist",
        "install the Debian package dataset-fashion-mnist (cmake/deps run), or name the folder with --data-dir",
        0.2860f,
        0.3530f,
        fashion_classes
    };
    return open_family(d, &f, dir, err);
}

int qgm_open_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    (void)spec;
    static const struct family f = {
        "mnist", "data/mnist", "put the four idx files there, or name their folder with --data-dir",
        0.1307f, 0.3081f,      NULL
    };
    return open_family(d, &f, dir, err);
}
