/* Private to data/: readers of file formats and the table of data sets. SPDX-License-Identifier: MIT */
#ifndef QGM_READER_H
#define QGM_READER_H
#include "dataset.h"

/* Unsigned bytes in exactly `dims` dimensions. *bytes is malloc'ed, the product of shape long. */
int qgm_read_idx(const char *path, int dims, uint32_t *shape, uint8_t **bytes, struct qgm_error *err);
/* Append the records of one CIFAR-10 batch file to pixels (n,h,w,c) and labels, at record *n of at most `most`. */
int qgm_read_cifar10(const char *path, uint8_t *pixels, int32_t *labels, long *n, long most, struct qgm_error *err);

int qgm_open_fashion_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_mnist(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_cifar10(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);
int qgm_open_synthetic(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err);

#endif
