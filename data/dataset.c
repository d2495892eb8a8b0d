/* The table of data sets. SPDX-License-Identifier: MIT */
#include "reader.h"
#include <stdlib.h>
#include <string.h>

static const struct entry {
    const char *name, *about;
    int (*open)(struct qgm_dataset *, const char *spec, const char *dir, struct qgm_error *);
} table[] = {
    { "fashion-mnist", "60,000 + 10,000 grey images of clothes, 28 x 28, 10 classes (Xiao et al. 2017); Debian package",
      qgm_open_fashion_mnist },
    { "mnist", "60,000 + 10,000 handwritten digits, 28 x 28 (LeCun et al. 1998); idx files in --data-dir",
      qgm_open_mnist },
    { "cifar10", "50,000 + 10,000 colour images, 32 x 32, 10 classes (Krizhevsky 2009); binary version in --data-dir",
      qgm_open_cifar10 },
    { "synthetic", "4,000 + 1,000 generated images, 16 x 16, 10 classes: needs no files", qgm_open_synthetic },
};

static const struct entry *find(const char *name)
{
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

const char *const *qgm_dataset_names(void)
{
    static const char *names[QGM_COUNT(table) + 1];
    for (size_t i = 0; i < QGM_COUNT(table); i++) names[i] = table[i].name;
    return names;
}

const char *qgm_dataset_about(const char *name)
{
    const struct entry *e = find(name);
    return e ? e->about : "";
}

int qgm_dataset_open(struct qgm_dataset *d, const char *name, const char *dir, struct qgm_error *err)
{
    memset(d, 0, sizeof *d);
    const struct entry *e = find(name);
    if (!e) return qgm_fail(err, QGM_USAGE, "--dataset %s: unknown", name);
    if (e->open(d, name, dir, err) == 0) return 0;
    qgm_dataset_close(d);
    return -1;
}

void qgm_dataset_close(struct qgm_dataset *d)
{
    const struct qgm_images *all[] = { &d->train, &d->test };
    for (int i = 0; i < 2; i++) {
        free((void *)all[i]->pixels);
        free((void *)all[i]->labels);
    }
    memset(d, 0, sizeof *d);
}
