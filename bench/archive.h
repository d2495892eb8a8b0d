/* Arrays by name in one file that PyTorch and Hugging Face can open (safetensors): written whole or not at all, and
 * read only when every byte is as it was written. SPDX-License-Identifier: MIT */
#ifndef QGM_ARCHIVE_H
#define QGM_ARCHIVE_H
#include "base.h"
#include <jansson.h>
#include <stdio.h>

/* One array: "F32", "F64" or "U8". */
struct qgm_array {
    char name[48];
    const char *type;
    size_t count;
    const void *at;
};
size_t qgm_array_bytes(const struct qgm_array *array);

/* Where the bytes of array i are, when they are wanted; NULL with an error when they cannot be had. Arrays are asked
 * for in order, once. */
typedef const void *qgm_array_source(void *user, int i, struct qgm_error *err);

/* Write the arrays and a JSON object of strings, under a temporary name, synchronised, then renamed, and the folder
 * synchronised: after a crash at any instant `path` is the old file or the new one. XXH3 checksums of the header and of
 * every array are the last array, "checksums". source NULL: array.at. */
int qgm_archive_write(const char *path, const json_t *metadata, const struct qgm_array *arrays, int count,
                      qgm_array_source *source, void *user, struct qgm_error *err);

struct qgm_archive {
    const char *path; /* borrowed */
    FILE *file;
    json_t *header;
    uint64_t start, bytes; /* of the arrays */
};
/* QGM_INPUT errors say what is wrong with the file: cut short, damaged (and in which array), not ours. */
int qgm_archive_open(struct qgm_archive *archive, const char *path, struct qgm_error *err);
void qgm_archive_close(struct qgm_archive *archive);
const char *qgm_archive_text(const struct qgm_archive *archive, const char *key); /* of the metadata; NULL: absent */
/* Bytes of an array, or -1 when there is none of that name. */
long long qgm_archive_bytes(const struct qgm_archive *archive, const char *name);
/* Read an array, which must have the type and count that *array says, to `to`. */
int qgm_archive_read(struct qgm_archive *archive, const struct qgm_array *array, void *to, struct qgm_error *err);

#endif
