/* Private to data/: texts before they are tokens. SPDX-License-Identifier: MIT */
#ifndef QGM_TEXT_H
#define QGM_TEXT_H
#include "dataset.h"

/* Labelled texts, UTF-8. Text i is byte[start[i]] .. byte[start[i + 1] - 1]. */
struct qgm_texts {
    long n;
    char *byte;
    size_t *start; /* n + 1 */
    int32_t *label;
    const char *const *names; /* of classes, when these were found by name: sorted, NULL behind; one block. Else NULL */
    size_t used, room;        /* of byte */
    long most;                /* of n */
};
/* What the class of a row may be: a number from 1 to `classes`; or one of `classes` sorted names; or, with classes 0,
 * what the file has: in all rows a number from 1 to 10000, or in all rows a name. */
struct qgm_labels {
    int classes;
    const char *const *names; /* NULL: numbers */
};
/* Rows of a class and one or more fields of text: RFC 4180 quoting; a backslash is a line break, as in AG News. As many
 * fields in every row; they are joined by a space. A byte-order mark at the start is skipped. */
int qgm_read_csv(const char *path, struct qgm_labels labels, struct qgm_texts *texts, struct qgm_error *err);
void qgm_texts_close(struct qgm_texts *texts);

/* ---- Classes by name ---- */
struct qgm_classes {
    struct qgm_class {
        char *name;
        int32_t id; /* in order of appearance */
        long rows;
    } * of; /* sorted by the bytes of names */
    int n, most;
};
/* One more row of the class of that name: its id; -1: no memory. */
int32_t qgm_classes_add(struct qgm_classes *classes, const char *name);
/* Turns the ids of n labels into places among the sorted names, and returns these, in one malloc'ed block with NULL
 * behind; NULL: no memory. */
const char *const *qgm_classes_settle(const struct qgm_classes *classes, int32_t *label, long n);
void qgm_classes_close(struct qgm_classes *classes);

/* ---- Unicode ---- */
/* The code point at *at, which moves on; -1 if the bytes before end are not UTF-8. */
int32_t qgm_utf8_next(const char **at, const char *end);
int qgm_utf8_put(uint32_t c, char *to); /* returns 1 to 4 */
/* What uncased BERT makes of a character: decomposed, without non-spacing marks, lower case. to[0..3]; returns how many
 * characters, which may be 0. */
int qgm_unicode_fold(uint32_t c, uint32_t to[4]);
bool qgm_unicode_is_space(uint32_t c);
bool qgm_unicode_is_other(uint32_t c);       /* control, format, private use */
bool qgm_unicode_is_punctuation(uint32_t c); /* categories P* and all printable ASCII but letters and digits */
bool qgm_unicode_is_ideograph(uint32_t c);   /* the blocks that BERT splits into single characters */

#endif
