/* The table of data sets. SPDX-License-Identifier: MIT */
#include "listing.h"
#include "reader.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct entry {
    const char *name, *about;
    int (*open)(struct qgm_dataset *, const char *spec, const char *dir, struct qgm_error *);
} table[] = {
    { "fashion-mnist",
      "60,000 + 10,000 grey images of clothes, 28 x 28, 10 classes (Xiao et al. 2017); Debian package; train=0, "
      "test=0: no more images than that",
      qgm_open_fashion_mnist },
    { "mnist",
      "60,000 + 10,000 handwritten digits, 28 x 28 (LeCun et al. 1998); idx files in --data-dir; train=0, test=0",
      qgm_open_mnist },
    { "cifar10",
      "50,000 + 10,000 colour images, 32 x 32, 10 classes (Krizhevsky 2009); binary version in --data-dir; train=0, "
      "test=0",
      qgm_open_cifar10 },
    { "cifar100", "the same size, 100 classes (Krizhevsky 2009); binary version in --data-dir; train=0, test=0",
      qgm_open_cifar100 },
    { "synthetic",
      "generated patterns, needs no files; synthetic:n=4000,test=1000,classes=10,size=16,channels=1,seed=0",
      qgm_open_synthetic },
    { "folder",
      "folder:DIR: JPEG images in DIR/train/<class>/ and DIR/val/<class>/, as ImageNet (Deng et al. 2009), or, with "
      "hold=20, in DIR/<class>/, of which 20 % are held out to test on; size=224, train=0, test=0: no more files than "
      "that, skip=0: damaged files, cache=DIR, workers=0",
      qgm_open_folder },
    { "ag-news",
      "120,000 + 7,600 news in 4 classes (Zhang, Zhao, LeCun 2015); CSV files in --data-dir; length=128: tokens, "
      "vocab=FILE, train=0, test=0: no more rows than that",
      qgm_open_ag_news },
    { "csv",
      "csv:TRAIN,TEST: your own texts: rows of a class, a number from 1 or a name, and columns of text, without a "
      "heading line; a "
      "backslash is read as a line break; options as ag-news",
      qgm_open_csv },
};

static const struct entry *find(const char *spec)
{
    size_t length = strcspn(spec, ":");
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        if (strlen(table[i].name) == length && strncmp(table[i].name, spec, length) == 0) return &table[i];
    return NULL;
}

const char *const *qgm_dataset_names(void)
{
    static const char *const names[] = { "fashion-mnist", "mnist",   "cifar10", "cifar100", "synthetic",
                                         "folder",        "ag-news", "csv",     NULL };
    _Static_assert(QGM_COUNT(names) == QGM_COUNT(table) + 1, "every data set has a name");
    return names;
}

const char *qgm_dataset_about(const char *name)
{
    const struct entry *e = find(name);
    return e ? e->about : "";
}

void qgm_note(char notes[QGM_NOTES], const char *format, ...)
{
    size_t used = strlen(notes);
    va_list list;
    va_start(list, format);
    int n = vsnprintf(notes + used, QGM_NOTES - used, format, list);
    va_end(list);
    if (n < 0 || (size_t)n + 2 > QGM_NOTES - used)
        notes[used] = 0;
    else
        strcat(notes, "\n");
}

int qgm_dataset_open(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    memset(d, 0, sizeof *d);
    const struct entry *e = find(spec);
    if (!e) {
        const char *near = qgm_nearest(spec, qgm_dataset_names());
        return near ? qgm_fail(err, QGM_USAGE, "--dataset %s: unknown: did you mean '%s'?", spec, near)
                    : qgm_fail(err, QGM_USAGE, "--dataset %s: unknown (--list shows all)", spec);
    }
    if (e->open(d, spec, dir, err) == 0) return 0;
    qgm_dataset_close(d);
    return -1;
}

void qgm_dataset_close(struct qgm_dataset *d)
{
    qgm_pack_close(d);
    free((void *)d->own_names);
    const struct qgm_examples *all[] = { &d->train, &d->test };
    for (size_t i = 0; i < QGM_COUNT(all); i++) {
        free((void *)all[i]->pixels);
        free((void *)all[i]->labels);
        free((void *)all[i]->start);
        free((void *)all[i]->token);
    }
    memset(d, 0, sizeof *d);
}
