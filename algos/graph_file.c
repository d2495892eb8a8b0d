/* A graph from a file: "a b" an edge, or "to,from,weight" a weight (as qgm-inspect --csv prints), one a line; # starts
 * a remark, up to the end of its line. SPDX-License-Identifier: MIT */
#include "graph.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int given(const struct qgm_request *r, struct qgm_error *err)
{
    if (r->rest && *r->rest) return 1;
    return qgm_fail(err, QGM_USAGE, "topology %s: expected file:PATH, a list of edges", r->spec);
}

static int fail(const struct qgm_request *r, long line, const char *found, struct qgm_error *err)
{
    return qgm_fail(err, QGM_INPUT,
                    "%s:%ld: found '%.60s', expected 'a b' or 'to,from,weight' with clients 0 to %d, "
                    "one kind in a file",
                    r->rest, line, found, r->n - 1);
}

/* Columns: 2 or 3, the same on all lines; 0 while none was read. */
static int read_line(const struct qgm_request *r, char *text, size_t length, long line, int *columns,
                     struct qgm_links *l, struct qgm_error *err)
{
    char *field[4], *rest = text, *word, *end;
    int n = 0;
    char original[64];
    snprintf(original, sizeof original, "%.*s", (int)strcspn(text, "\r\n"), text);
    if (strlen(text) < length)
        return qgm_fail(err, QGM_INPUT, "%s:%ld: found a zero byte, expected text", r->rest, line);
    text[strcspn(text, "#")] = 0;
    while (n < 4 && (word = strsep(&rest, " ,\t\r\n")))
        if (*word) field[n++] = word;
    if (n == 0) return 0;
    if (n == 3 && strcmp(field[0], "to") == 0 && !*columns) return 0; /* the header of qgm-inspect */
    if ((n != 2 && n != 3) || (*columns && *columns != n)) return fail(r, line, original, err);
    *columns = n;
    long client[2];
    for (int k = 0; k < 2; k++) {
        client[k] = strtol(field[k], &end, 10);
        if (end == field[k] || *end || client[k] < 0 || client[k] >= r->n) return fail(r, line, original, err);
    }
    if (n == 2) {
        qgm_edge(l, (int)client[0], (int)client[1]);
        return 0;
    }
    double w = strtod(field[2], &end);
    if (end == field[2] || *end || !isfinite(w)) return fail(r, line, original, err);
    qgm_link_add(l, (int)client[0], (int)client[1], w);
    return 0;
}

static int draw(const struct qgm_request *r, long k, struct qgm_links *l, struct qgm_error *err)
{
    (void)k;
    FILE *file = fopen(r->rest, "r");
    if (!file) return qgm_fail(err, QGM_INPUT, "topology %s: %s", r->spec, strerror(errno));
    char *text = NULL;
    size_t size = 0;
    int columns = 0, result = 0;
    ssize_t length;
    for (long line = 1; result == 0 && (length = getline(&text, &size, file)) >= 0; line++)
        result = read_line(r, text, (size_t)length, line, &columns, l, err);
    if (result == 0 && ferror(file)) result = qgm_fail(err, QGM_SYSTEM, "cannot read %s: %s", r->rest, strerror(errno));
    free(text);
    fclose(file);
    l->weighted = columns == 3;
    if (result == 0 && !columns && r->n > 1) return qgm_fail(err, QGM_INPUT, "%s: found no edges", r->rest);
    return result;
}

const struct qgm_graph qgm_graphs_file[] = {
    { .name = "file",
      .about = "file:PATH or file:PATH,weights=uniform: edges 'a b', or weights 'to,from,weight', a line each; spaces, "
               "tabs or commas between; # starts a remark",
      .period = given,
      .draw = draw },
    { 0 },
};
