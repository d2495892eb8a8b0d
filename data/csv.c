/* Labelled texts in comma-separated values, as AG News is distributed. SPDX-License-Identifier: MIT */
#include "text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 10000, MOST_NAME = 100 };

/* Where the parser stands. */
struct cursor {
    const char *path, *at, *end;
    long line; /* from 1 */
    struct qgm_labels labels;
    bool named;               /* classes are names, */
    struct qgm_classes found; /* these so far */
    int fields;               /* of text, in every row as in the first */
    long first_line;          /* where that is */
};

static int put(struct qgm_texts *t, char c, struct qgm_error *err)
{
    if (t->used == t->room) {
        size_t room = t->room ? 2 * t->room : 1 << 16;
        char *more = realloc(t->byte, room);
        if (!more) return qgm_fail(err, QGM_SYSTEM, "texts: out of memory");
        t->byte = more;
        t->room = room;
    }
    t->byte[t->used++] = c;
    return 0;
}

static int next_text(struct qgm_texts *t, struct qgm_error *err)
{
    if (t->n + 1 >= t->most) { /* start has one entry more than there are texts */
        long most = t->most ? 2 * t->most : 1 << 12;
        size_t *start = realloc(t->start, (size_t)most * sizeof *start);
        if (start) t->start = start;
        int32_t *label = realloc(t->label, (size_t)most * sizeof *label);
        if (label) t->label = label;
        if (!start || !label) return qgm_fail(err, QGM_SYSTEM, "texts: out of memory");
        t->most = most;
        t->start[0] = 0;
    }
    return 0;
}

static bool at_row_end(const struct cursor *c) { return c->at == c->end || *c->at == '\n' || *c->at == '\r'; }

/* One field into the text: quoted, where "" is a quote and a comma or line break is text, or plain up to a comma. */
static int read_field(struct cursor *c, struct qgm_texts *t, struct qgm_error *err)
{
    bool quoted = c->at < c->end && *c->at == '"';
    long first = c->line;
    for (c->at += quoted; c->at < c->end; c->at++) {
        if (quoted && *c->at == '"') {
            if (c->at + 1 == c->end || c->at[1] != '"') break;
            c->at++;
        } else if (!quoted && (*c->at == ',' || at_row_end(c)))
            break;
        if (*c->at == '\n') c->line++;
        QGM_TRY(put(t, *c->at == '\\' ? '\n' : *c->at, err));
    }
    if (quoted && c->at == c->end)
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: the quote that opens here is never closed", c->path, first);
    c->at += quoted;
    if (!at_row_end(c) && *c->at != ',')
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: found '%c' behind a closing quote, expected a comma", c->path,
                        c->line, *c->at);
    return 0;
}

static int not_utf8(const struct cursor *c, char byte, long line, struct qgm_error *err)
{
    return qgm_fail(err, QGM_INPUT,
                    "%s: line %ld: byte 0x%02x is not UTF-8: convert the file (if it is Latin-1: iconv -f LATIN1 -t "
                    "UTF-8 FILE > NEW)",
                    c->path, line, (unsigned char)byte);
}

/* A number in full, of any size. */
static bool is_number(const char *text)
{
    char *end;
    strtol(text, &end, 10);
    return end != text && !*end;
}

static const char *const heading = "; if that line is a heading, remove it (tail -n +2 FILE > NEW)";

static int read_number(struct cursor *c, struct qgm_texts *t, const char *text, struct qgm_error *err)
{
    int most = c->labels.classes ? c->labels.classes : MOST_CLASSES;
    char *end;
    long label = strtol(text, &end, 10);
    if (end == text || *end || label < 1 || label > most)
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: found class '%.20s', expected a number from 1 to %d%s", c->path,
                        c->line, text, most, t->n == 0 && end == text && *text ? heading : "");
    t->label[t->n] = (int32_t)label - 1;
    return 0;
}

static int compare(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Of a test set: one that the training set has. */
static int read_known(struct cursor *c, struct qgm_texts *t, const char *text, struct qgm_error *err)
{
    const char *const *names = c->labels.names, *const *found = bsearch(&text, names, (size_t)c->labels.classes,
                                                                        sizeof *names, compare);
    if (!found)
        return qgm_fail(err, QGM_INPUT,
                        "%s: line %ld: found class '%s', expected one of the %d of training, '%s' to '%s'%s", c->path,
                        c->line, text, c->labels.classes, names[0], names[c->labels.classes - 1],
                        t->n == 0 ? heading : "");
    t->label[t->n] = (int32_t)(found - names);
    return 0;
}

/* A name that is new or not. */
static int read_name(struct cursor *c, struct qgm_texts *t, const char *text, struct qgm_error *err)
{
    int32_t id = qgm_classes_add(&c->found, text);
    if (id < 0) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory for the names of classes", c->path);
    if (c->found.n > MOST_CLASSES)
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: more than %d different classes in the first column", c->path,
                        c->line, MOST_CLASSES);
    t->label[t->n] = id;
    return 0;
}

/* Numbers and names are not mixed: a slip in a file of numbers would become a class. */
static int read_found(struct cursor *c, struct qgm_texts *t, const char *text, struct qgm_error *err)
{
    bool number = is_number(text);
    if (t->n == 0 && !number) c->named = true;
    if (!c->named) return read_number(c, t, text, err);
    if (number && t->n == 1)
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: found class '%s', expected a number as in line %ld%s", c->path,
                        c->first_line, c->found.of[0].name, c->line, heading);
    if (number || !*text)
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: found class '%s', expected a name as in line %ld", c->path,
                        c->line, text, c->first_line);
    return read_name(c, t, text, err);
}

/* The first field, which is not text: taken back out of the bytes. */
static int read_label(struct cursor *c, struct qgm_texts *t, struct qgm_error *err)
{
    size_t from = t->used, length;
    char text[MOST_NAME + 1] = "";
    QGM_TRY(read_field(c, t, err));
    length = t->used - from;
    t->used = from;
    if (length > MOST_NAME)
        return qgm_fail(err, QGM_INPUT,
                        "%s: line %ld: the class, in the first column, has %zu bytes, expected at most %d", c->path,
                        c->line, length, MOST_NAME);
    if (length) memcpy(text, t->byte + from, length);
    for (const char *at = text; *at;)
        if (qgm_utf8_next(&at, text + length) < 0) return not_utf8(c, *at, c->line, err);
    return c->labels.names     ? read_known(c, t, text, err)
           : c->labels.classes ? read_number(c, t, text, err)
                               : read_found(c, t, text, err);
}

static int check_utf8(const struct cursor *c, const struct qgm_texts *t, long line, struct qgm_error *err)
{
    const char *at = t->byte + t->start[t->n], *end = t->byte + t->used;
    while (at < end)
        if (qgm_utf8_next(&at, end) < 0) return not_utf8(c, *at, line, err);
    return 0;
}

static int read_row(struct cursor *c, struct qgm_texts *t, struct qgm_error *err)
{
    long line = c->line;
    QGM_TRY(next_text(t, err));
    if (t->n == 0) c->first_line = line;
    QGM_TRY(read_label(c, t, err));
    int fields = 0;
    for (; !at_row_end(c); fields++) {
        c->at++; /* the comma */
        if (fields) QGM_TRY(put(t, ' ', err));
        QGM_TRY(read_field(c, t, err));
    }
    if (!fields)
        return qgm_fail(err, QGM_INPUT,
                        "%s: line %ld: 1 column, expected a class and at least one of text, with commas between",
                        c->path, line);
    if (t->n == 0) c->fields = fields;
    if (fields != c->fields)
        return qgm_fail(err, QGM_INPUT,
                        "%s: line %ld: %d columns, expected %d as in line %ld: texts with commas go in quotes", c->path,
                        line, fields + 1, c->fields + 1, c->first_line);
    QGM_TRY(check_utf8(c, t, line, err));
    t->start[++t->n] = t->used;
    return 0;
}

static int read_rows(struct cursor *c, struct qgm_texts *t, struct qgm_error *err)
{
    while (c->at < c->end) {
        if (!at_row_end(c)) QGM_TRY(read_row(c, t, err));
        if (c->at == c->end) break;
        bool old = *c->at == '\r' && c->at + 1 < c->end && c->at[1] != '\n'; /* a line end of its own, as on old Macs */
        c->line += *c->at++ == '\n' || old;
    }
    return t->n ? 0 : qgm_fail(err, QGM_INPUT, "%s: no rows", c->path);
}

/* A heading looks like a class that occurs nowhere else. */
static int settle_names(struct cursor *c, struct qgm_texts *t, struct qgm_error *err)
{
    for (int i = 0; i < c->found.n; i++)
        if (c->found.of[i].id == 0 && c->found.of[i].rows == 1)
            return qgm_fail(err, QGM_INPUT,
                            "%s: line %ld: found class '%s', which occurs in no other line%s; else move it down",
                            c->path, c->first_line, c->found.of[i].name, heading);
    t->names = qgm_classes_settle(&c->found, t->label, t->n);
    return t->names ? 0 : qgm_fail(err, QGM_SYSTEM, "%s: out of memory for the names of classes", c->path);
}

/* Of files that are no UTF-8 at all, those in UTF-16 are the usual ones. */
static int refuse_nul(const char *path, const char *bytes, size_t size, struct qgm_error *err)
{
    const char *nul = size ? memchr(bytes, 0, size) : NULL;
    long line = 1;
    for (const char *at = bytes; nul && at < nul; at++) line += *at == '\n';
    return nul ? qgm_fail(err, QGM_INPUT,
                          "%s: line %ld: found a NUL byte, expected UTF-8: if the file is UTF-16, convert it (iconv -f "
                          "UTF-16 -t UTF-8 FILE > NEW)",
                          path, line)
               : 0;
}

int qgm_read_csv(const char *path, struct qgm_labels labels, struct qgm_texts *t, struct qgm_error *err)
{
    *t = (struct qgm_texts){ 0 };
    FILE *f = fopen(path, "rb");
    if (!f) return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", path, strerror(errno));
    char *bytes = NULL;
    size_t size = 0, room = 0, got = 1;
    int result = 0;
    while (result == 0 && got > 0) {
        if (size == room) {
            char *more = realloc(bytes, room = room ? 2 * room : 1 << 20);
            if (more) bytes = more;
            if (!more) result = qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
        }
        if (result == 0) size += got = fread(bytes + size, 1, room - size, f);
    }
    if (result == 0 && ferror(f)) result = qgm_fail(err, QGM_SYSTEM, "cannot read %s: %s", path, strerror(errno));
    fclose(f);
    static const char mark[] = "\xef\xbb\xbf"; /* a byte-order mark: some programs begin UTF-8 with it */
    size_t skip = size >= 3 && memcmp(bytes, mark, 3) == 0 ? 3 : 0;
    struct cursor c = { .path = path, .at = bytes + skip, .end = bytes + size, .line = 1, .labels = labels };
    if (result == 0) result = refuse_nul(path, bytes, size, err);
    if (result == 0) result = read_rows(&c, t, err);
    if (result == 0 && c.named) result = settle_names(&c, t, err);
    qgm_classes_close(&c.found);
    free(bytes);
    if (result < 0) qgm_texts_close(t);
    return result;
}

void qgm_texts_close(struct qgm_texts *t)
{
    free(t->byte);
    free(t->start);
    free(t->label);
    free((void *)t->names);
    memset(t, 0, sizeof *t);
}
