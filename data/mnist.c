/* Data sets of the MNIST family: four idx files. SPDX-License-Identifier: MIT */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>

enum { CLASSES = 10, MOST_SIDE = 1024 };

/* Check the count and the range of the label bytes, and widen them. */
static int32_t *widen(const char *path, const uint8_t *bytes, uint32_t count, uint32_t images, struct qgm_error *err)
{
    if (count != images) {
        qgm_fail(err, QGM_INPUT, "%s: %u labels, expected %u: one an image", path, count, images);
        return NULL;
    }
    int32_t *labels = malloc((size_t)count * sizeof *labels);
    if (!labels) qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    for (uint32_t k = 0; labels && k < count; k++) {
        if (bytes[k] >= CLASSES) {
            qgm_fail(err, QGM_INPUT, "%s: byte %zu: label %d, expected 0 to %d", path, (size_t)k + 8, bytes[k],
                     CLASSES - 1);
            free(labels);
            return NULL;
        }
        labels[k] = bytes[k];
    }
    return labels;
}

static int read_split(struct qgm_examples *to, const struct qgm_place *place, const char *folder, const char *split,
                      struct qgm_error *err)
{
    char path[QGM_PATH], file[64];
    uint32_t shape[3], count;
    uint8_t *pixels, *bytes;
    snprintf(file, sizeof file, "%s-images-idx3-ubyte", split);
    QGM_TRY(qgm_find_file(path, folder, file, place, err));
    QGM_TRY(qgm_read_idx(path, 3, shape, &pixels, err));
    to->pixels = pixels; /* owned from here: qgm_dataset_close frees it */
    if (shape[1] > MOST_SIDE || shape[2] > MOST_SIDE)
        return qgm_fail(err, QGM_INPUT, "%s: images of %u x %u, expected at most %d x %d", path, shape[1], shape[2],
                        MOST_SIDE, MOST_SIDE);
    snprintf(file, sizeof file, "%s-labels-idx1-ubyte", split);
    QGM_TRY(qgm_find_file(path, folder, file, place, err));
    QGM_TRY(qgm_read_idx(path, 1, &count, &bytes, err));
    to->labels = widen(path, bytes, count, shape[0], err);
    free(bytes);
    to->n = (long)shape[0];
    to->h = (int)shape[1];
    to->w = (int)shape[2];
    to->c = 1;
    to->classes = CLASSES;
    return to->labels ? 0 : -1;
}

static int open_family(struct qgm_dataset *d, const struct qgm_place *place, const char *spec, const char *dir,
                       struct qgm_error *err)
{
    char folder[QGM_PATH];
    struct qgm_sizes most;
    QGM_TRY(qgm_read_sizes(spec, &most, err));
    QGM_TRY(qgm_find_folder(folder, place, dir, err));
    QGM_TRY(read_split(&d->train, place, folder, "train", err));
    QGM_TRY(read_split(&d->test, place, folder, "t10k", err));
    if (d->train.h != d->test.h || d->train.w != d->test.w)
        return qgm_fail(err, QGM_INPUT, "%s: training images are %d x %d, test images %d x %d", folder, d->train.h,
                        d->train.w, d->test.h, d->test.w);
    return qgm_thin(d, &most, err);
}

int qgm_open_fashion_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    static const char *const classes[] = { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                           "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot" };
    static const struct qgm_place place = {
        .name = "fashion-mnist",
        .subfolder = "fashion-mnist",
        .package = "/usr/share/datasets/fashion-mnist",
        .probe = "train-images-idx3-ubyte",
        .gzip = true,
        .how = "install the Debian package dataset-fashion-mnist (./cmake/deps run does), or get the four idx.gz files "
               "with ./data/get-data fashion-mnist, and name their folder with --data-dir",
    };
    /* Mean and standard deviation of the 60,000 training images / 255; tests/data.c recomputes them. */
    *d = (struct qgm_dataset){ .name = place.name, .mean = { .2860f }, .std = { .3530f }, .class_names = classes };
    return open_family(d, &place, spec, dir, err);
}

int qgm_open_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    static const struct qgm_place place = {
        .name = "mnist",
        .subfolder = "mnist",
        .probe = "train-images-idx3-ubyte",
        .gzip = true,
        .how = "get the four idx.gz files with ./data/get-data mnist, and name their folder with --data-dir",
    };
    /* The constants of the code of Lin et al. (2021). */
    *d = (struct qgm_dataset){ .name = place.name, .mean = { .1307f }, .std = { .3081f } };
    return open_family(d, &place, spec, dir, err);
}
