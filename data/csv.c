/* Labelled texts in comma-separated values, as AG News is distributed. SPDX-License-Identifier: MIT */
#include "text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 10000 };

/* Where the parser stands. */
struct cursor {
    const char *path, *at, *end;
    long line; /* from 1 */
    int classes;
    int fields;      /* of text, in every row as in the first */
    long first_line; /* where that is */
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

/* The first field, which is not text: taken back out of the bytes. */
static int read_label(struct cursor *c, struct qgm_texts *t, struct qgm_error *err)
{
    size_t from = t->used;
    int most = c->classes ? c->classes : MOST_CLASSES;
    QGM_TRY(read_field(c, t, err));
    int length = (int)(t->used - from < 20 ? t->used - from : 20);
    char text[21] = "", *end;
    if (length) memcpy(text, t->byte + from, (size_t)length);
    t->used = from;
    long label = strtol(text, &end, 10);
    if (end == text || *end || label < 1 || label > most) {
        bool heading = t->n == 0 && end == text && length;
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: found class '%s', expected a number from 1 to %d%s", c->path,
                        c->line, text, most,
                        heading ? "; if that line is a heading, remove it (tail -n +2 FILE > NEW)" : "");
    }
    t->label[t->n] = (int32_t)label - 1;
    return 0;
}

static int check_utf8(const struct cursor *c, const struct qgm_texts *t, long line, struct qgm_error *err)
{
    const char *at = t->byte + t->start[t->n], *end = t->byte + t->used;
    while (at < end)
        if (qgm_utf8_next(&at, end) < 0)
            return qgm_fail(err, QGM_INPUT, "%s: line %ld: byte 0x%02x is not UTF-8: convert the file (iconv -t UTF-8)",
                            c->path, line, (unsigned char)*at);
    return 0;
}

static int read_row(struct cursor *c, struct qgm_texts *t, struct qgm_error *err)
{
    long line = c->line;
    QGM_TRY(next_text(t, err));
    QGM_TRY(read_label(c, t, err));
    int fields = 0;
    for (; !at_row_end(c); fields++) {
        c->at++; /* the comma */
        if (fields) QGM_TRY(put(t, ' ', err));
        QGM_TRY(read_field(c, t, err));
    }
    if (!fields)
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: 1 column, expected a class and at least one of text", c->path,
                        line);
    if (t->n == 0) c->fields = fields, c->first_line = line;
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
        if (c->at < c->end) c->line += *c->at++ == '\n';
    }
    return t->n ? 0 : qgm_fail(err, QGM_INPUT, "%s: no rows", c->path);
}

int qgm_read_csv(const char *path, int classes, struct qgm_texts *t, struct qgm_error *err)
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
    struct cursor c = { .path = path, .at = bytes + skip, .end = bytes + size, .line = 1, .classes = classes };
    if (result == 0) result = read_rows(&c, t, err);
    free(bytes);
    if (result < 0) qgm_texts_close(t);
    return result;
}

void qgm_texts_close(struct qgm_texts *t)
{
    free(t->byte);
    free(t->start);
    free(t->label);
    memset(t, 0, sizeof *t);
}
