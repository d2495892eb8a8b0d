/* Private to data/: readers of file formats, where files are looked for, and the data sets of the table.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_READER_H
#define QGM_READER_H
#include "dataset.h"

enum { QGM_PATH = 4096 };

/* Where a data set's files usually are. The folder is searched for a file that tells it is the right one. */
struct qgm_place {
    const char *name;      /* of the data set */
    const char *subfolder; /* what its folder is called below a folder of data sets */
    const char *package;   /* absolute folder of a distribution's package, or NULL */
    const char *probe;
    bool gzip;       /* files may also be there as <file>.gz */
    const char *how; /* how to get the data, for the message */
};
/* dir: the folder the user named, or NULL: $QGM_DATA, the package's folder, ./data; each with and without subfolder. */
int qgm_find_folder(char path[QGM_PATH], const struct qgm_place *place, const char *dir, struct qgm_error *err);
/* <folder>/<file>, or with gzip <folder>/<file>.gz if only that is there. */
int qgm_find_file(char path[QGM_PATH], const char *folder, const char *file, const struct qgm_place *place,
                  struct qgm_error *err);

/* What stands behind a name: "synthetic:size=32,classes=4", "csv:train.csv,test.csv,length=64". Options without a key
 * come first and take the words without "=". value: the default, then what is written. */
struct qgm_option {
    const char *key;
    long low, high, value;
    char *text; /* QGM_PATH bytes; NULL: a whole number */
};
int qgm_read_options(const char *spec, struct qgm_option *options, int count, struct qgm_error *err);

/* Add a line to the notes of a data set; one that has no room is left out. */
void qgm_note(char notes[QGM_NOTES], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Which of n examples a data set with an option like test=1000 keeps: `most` of them (0: all), chosen at random, always
 * the same, ascending; malloc'ed, NULL when there is no memory. */
uint32_t *qgm_subset(long n, long most, long *count);
/* For data sets of images of one shape whose only options are train=0 and test=0: at most so many (0: all). */
struct qgm_sizes {
    long train, test;
};
int qgm_read_sizes(const char *spec, struct qgm_sizes *most, struct qgm_error *err);
int qgm_thin(struct qgm_dataset *d, const struct qgm_sizes *most, struct qgm_error *err);

/* Unsigned bytes in exactly `dims` (1 to 4) dimensions, plain or gzip-compressed. *bytes is malloc'ed, the product of
 * shape long, at most 2^31. */
int qgm_read_idx(const char *path, int dims, uint32_t *shape, uint8_t **bytes, struct qgm_error *err);

/* A file of the CIFAR family: records of some label bytes, of which the last counts, and a 32 x 32 image in three
 * planes. Appends to pixels (n,h,w,c) and labels at record *n; the file must hold exactly `records`. */
struct qgm_cifar {
    int label_bytes, classes;
};
int qgm_read_cifar(const char *path, const struct qgm_cifar *format, long records, uint8_t *pixels, int32_t *labels,
                   long *n, struct qgm_error *err);

int qgm_open_fashion_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_cifar10(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_cifar100(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_synthetic(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_ag_news(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_folder(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_csv(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);

#endif
