/* Partitions as text files: one line a client, the numbers of its examples, separated by spaces, tabs or commas.
 * SPDX-License-Identifier: MIT */
#include "partition.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One client's line. seen: a byte an example. */
static int read_line(struct qgm_draw *d, char *text, long line, int client, uint8_t *seen, uint32_t *at,
                     struct qgm_error *err)
{
    static const char apart[] = " \t\r\n,"; /* as in files of graphs */
    for (char *word = strtok(text, apart); word; word = strtok(NULL, apart)) {
        char *end;
        errno = 0;
        unsigned long k = strtoul(word, &end, 10);
        if (*end || errno || *word == '-' || *word == '+' || k >= d->n)
            return qgm_fail(err, QGM_INPUT, "%s: line %ld: found '%.40s', expected an example from 0 to %u", d->path,
                            line, word, d->n - 1);
        if (seen[k]) return qgm_fail(err, QGM_INPUT, "%s: line %ld: example %lu is given twice", d->path, line, k);
        seen[k] = 1;
        d->index[(*at)++] = (uint32_t)k;
        d->sizes[client]++;
    }
    if (!d->sizes[client])
        return qgm_fail(err, QGM_INPUT, "%s: line %ld: empty, expected client %d's examples", d->path, line, client);
    return 0;
}

static int read_lines(struct qgm_draw *d, FILE *f, uint8_t *seen, struct qgm_error *err)
{
    char *text = NULL;
    size_t room = 0;
    uint32_t at = 0;
    int client = 0, result = 0;
    ssize_t length;
    for (long line = 1; result == 0 && (length = getline(&text, &room, f)) >= 0; line++) {
        if (*text == '#') continue;
        if (memchr(text, 0, (size_t)length))
            result = qgm_fail(err, QGM_INPUT, "%s: line %ld: a zero byte, expected numbers", d->path, line);
        else if (client == d->clients)
            result = qgm_fail(err, QGM_INPUT, "%s: line %ld: more lines than the %d clients of --clients", d->path,
                              line, d->clients);
        else
            result = read_line(d, text, line, client++, seen, &at, err);
    }
    if (result == 0 && ferror(f)) result = qgm_fail(err, QGM_SYSTEM, "cannot read %s: %s", d->path, strerror(errno));
    if (result == 0 && client < d->clients)
        result = qgm_fail(err, QGM_INPUT, "%s: has lines for %d clients, expected %d (--clients)", d->path, client,
                          d->clients);
    free(text);
    return result;
}

int qgm_draw_file(struct qgm_draw *d, struct qgm_error *err)
{
    FILE *f = fopen(d->path, "r");
    if (!f) return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", d->path, strerror(errno));
    uint8_t *seen = qgm_draw_memory(d->n, 1, err);
    int result = seen ? read_lines(d, f, seen, err) : -1;
    free(seen);
    fclose(f);
    return result;
}

int qgm_partition_save(const struct qgm_partition *p, const char *path, struct qgm_error *err)
{
    char temporary[4096];
    int length = snprintf(temporary, sizeof temporary, "%s.part", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return qgm_fail(err, QGM_USAGE, "%.60s...: the path is too long", path);
    FILE *f = fopen(temporary, "w");
    if (!f) return qgm_fail(err, QGM_SYSTEM, "cannot write %s: %s", temporary, strerror(errno));
    fprintf(f, "# examples of %d clients, one line each, numbers from 0\n", p->clients);
    for (int i = 0; i < p->clients; i++)
        for (uint32_t k = p->start[i]; k < p->start[i + 1]; k++)
            fprintf(f, "%u%c", p->index[k], k + 1 < p->start[i + 1] ? ' ' : '\n');
    bool written = fflush(f) == 0 && !ferror(f) && fsync(fileno(f)) == 0;
    written = fclose(f) == 0 && written && rename(temporary, path) == 0;
    if (written) return 0;
    int reason = errno;
    unlink(temporary);
    return qgm_fail(err, QGM_SYSTEM, "cannot write %s: %s", path, strerror(reason));
}
