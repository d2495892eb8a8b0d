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
    size_t used, room; /* of byte */
    long most;         /* of n */
};
/* Rows of a class (1..classes, or with classes 0 any whole number from 1 to 10000) and one or more fields of text: RFC
 * 4180 quoting; a backslash is a line break, as in AG News. As many fields in every row; they are
 * joined by a space. A byte-order
 * mark at the start is skipped. */
int qgm_read_csv(const char *path, int classes, struct qgm_texts *texts, struct qgm_error *err);
void qgm_texts_close(struct qgm_texts *texts);

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
