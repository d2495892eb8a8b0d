/* CIFAR-10, binary version: records of a label and 3072 bytes (red, green, blue planes). SPDX-License-Identifier: MIT
 */
#include "reader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDE = 32, PIXELS = SIDE * SIDE, RECORD = 1 + 3 * PIXELS, PER_FILE = 10000 };
static const char *const classes[] = { "airplane", "automobile", "bird",  "cat",  "deer",
                                       "dog",      "frog",       "horse", "ship", "truck" };

int qgm_read_cifar10(const char *path, uint8_t *pixels, int32_t *labels, long *n, long most, struct qgm_error *err)
{
    uint8_t record[RECORD];
    FILE *f = fopen(path, "rb");
    if (!f) return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", path, strerror(errno));
    int result = 0;
    for (long k = 0; result == 0; k++) {
        size_t got = fread(record, 1, RECORD, f);
        if (got == 0 && !ferror(f)) break;
        if (got < RECORD)
            result = qgm_fail(err, QGM_INPUT, "%s: ends at byte %ld inside record %ld, expected %d bytes a record",
                              path, k * RECORD + (long)got, k, RECORD);
        else if (*n >= most)
            result =
                qgm_fail(err, QGM_INPUT, "%s: goes on after byte %ld, expected %d records", path, k * RECORD, PER_FILE);
        else if (record[0] > 9)
            result = qgm_fail(err, QGM_INPUT, "%s: byte %ld: label %d, expected 0 to 9", path, k * RECORD, record[0]);
        if (result < 0) break;
        uint8_t *to = pixels + (size_t)*n * 3 * PIXELS;
        for (int p = 0; p < PIXELS; p++)
            for (int c = 0; c < 3; c++) to[3 * p + c] = record[1 + c * PIXELS + p];
        labels[(*n)++] = record[0];
    }
    fclose(f);
    return result;
}

static int read_files(struct qgm_images *to, const char *dir, const char *const *files, int count,
                      struct qgm_error *err)
{
    long most = (long)count * PER_FILE;
    uint8_t *pixels = malloc((size_t)most * 3 * PIXELS);
    int32_t *labels = malloc((size_t)most * sizeof *labels);
    *to = (struct qgm_images){ .h = SIDE, .w = SIDE, .c = 3, .classes = 10, .pixels = pixels, .labels = labels };
    if (!pixels || !labels) return qgm_fail(err, QGM_SYSTEM, "cifar10: out of memory");
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        QGM_TRY(qgm_read_cifar10(path, pixels, labels, &to->n, (i + 1) * (long)PER_FILE, err));
        if (to->n != (i + 1) * (long)PER_FILE)
            return qgm_fail(err, QGM_INPUT, "%s: %ld records, expected %d: truncated", path, to->n - i * (long)PER_FILE,
                            PER_FILE);
    }
    return 0;
}

int qgm_open_cifar10(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    (void)spec;
    static const char *const train[] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                         "data_batch_5.bin" };
    static const char *const test[] = { "test_batch.bin" };
    /* The per-channel constants of the paper's code (reference-spec 4). */
    *d = (struct qgm_dataset){ .name = "cifar10",
                               .mean = { .4914f, .4822f, .4465f },
                               .std = { .2023f, .1994f, .2010f },
                               .crop = true,
                               .flip = true,
                               .class_names = classes };
    char folder[4000];
    snprintf(folder, sizeof folder, "%s/cifar-10-batches-bin", dir ? dir : "data");
    if (access(folder, F_OK) < 0 && dir) snprintf(folder, sizeof folder, "%s", dir);
    if (access(folder, F_OK) < 0)
        return qgm_fail(err, QGM_INPUT,
                        "cifar10: there is no folder %s: get cifar-10-binary.tar.gz from its author's page (A. "
                        "Krizhevsky, University of Toronto), unpack it, and name the folder with --data-dir",
                        folder);
    QGM_TRY(read_files(&d->train, folder, train, 5, err));
    return read_files(&d->test, folder, test, 1, err);
}
