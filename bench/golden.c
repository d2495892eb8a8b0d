/* Reading of golden trajectories. Nothing about the bytes is trusted. SPDX-License-Identifier: MIT */
#include "golden.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FIELDS = 8, MAX_CLIENTS = 4096, MAX_STEPS = 1 << 20, MAX_NUMBERS = 1 << 24 };

struct reader {
    struct qgm_golden *g;
    const char *path;
    long line;
    struct qgm_error *err;
    char *field[MAX_FIELDS];
    int fields;
    char name[64], slow_buffer[128], slowmo[128], algo[160];
    bool nesterov, began; /* began: a row was seen, so n, d and T are fixed */
    struct qgm_weight *weight;
    size_t weights, weight_room, point_room;
    long draws;
    int weight_fields;
};

static int fail(const struct reader *r, const char *found, const char *expected)
{
    return qgm_fail(r->err, QGM_INPUT, "%s:%ld: found '%.60s', expected %s", r->path, r->line, found, expected);
}

static int whole(const struct reader *r, const char *text, long low, long high, long *value)
{
    char *end, expected[80];
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end != text && !*end && !errno && v >= low && v <= high) {
        *value = v;
        return 0;
    }
    snprintf(expected, sizeof expected, "a whole number from %ld to %ld", low, high);
    return fail(r, text, expected);
}

static int number(const struct reader *r, const char *text, double *value)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v)) return fail(r, text, "a finite number");
    *value = v;
    return 0;
}

/* ---- Header ---- */

static int header_text(const struct reader *r, char *to, size_t size, char *value)
{
    size_t n = strlen(value);
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        value[n - 1] = 0;
        value++;
    }
    if (strlen(value) >= size) return fail(r, value, "a shorter text");
    strcpy(to, value);
    return 0;
}

static int header(struct reader *r, char *line)
{
    struct qgm_golden *g = r->g;
    char *key = line + 1 + strspn(line + 1, " "), *value = strchr(key, '=');
    long v;
    if (!value) return 0; /* a remark */
    *value++ = 0;
    bool size = strcmp(key, "n") == 0 || strcmp(key, "d") == 0 || strcmp(key, "T") == 0;
    if (size && r->began) return fail(r, key, "sizes before the first row");
    if (strcmp(key, "n") == 0) {
        QGM_TRY(whole(r, value, 1, MAX_CLIENTS, &v));
        g->n = (int)v;
    } else if (strcmp(key, "d") == 0)
        return whole(r, value, 1, MAX_NUMBERS, &g->d);
    else if (strcmp(key, "T") == 0)
        return whole(r, value, 1, MAX_STEPS, &g->steps);
    else if (strcmp(key, "wd") == 0)
        return number(r, value, &g->weight_decay);
    else if (strcmp(key, "momentum") == 0)
        return number(r, value, &g->momentum);
    else if (strcmp(key, "nesterov") == 0)
        r->nesterov = strcmp(value, "true") == 0;
    else if (strcmp(key, "name") == 0)
        return header_text(r, r->name, sizeof r->name, value);
    else if (strcmp(key, "algo") == 0)
        return header_text(r, r->algo, sizeof r->algo, value);
    else if (strcmp(key, "slow_buffer_conf") == 0)
        return header_text(r, r->slow_buffer, sizeof r->slow_buffer, value);
    else if (strcmp(key, "slowmo_step_conf") == 0)
        return header_text(r, r->slowmo, sizeof r->slowmo, value);
    return 0;
}

/* ---- Rows ---- */

static int begin_rows(struct reader *r)
{
    struct qgm_golden *g = r->g;
    if (r->began) return 0;
    if (!g->n || !g->d || !g->steps) return fail(r, r->field[0], "'# n=', '# d=' and '# T=' before the first row");
    if ((long)g->n * g->d > MAX_NUMBERS)
        return qgm_fail(r->err, QGM_INPUT, "%s: n=%d times d=%ld: expected at most %d numbers", r->path, g->n, g->d,
                        (int)MAX_NUMBERS);
    size_t count = (size_t)g->n * (size_t)g->d;
    g->h = malloc(count * sizeof *g->h);
    g->c = malloc(count * sizeof *g->c);
    g->p = malloc(count * sizeof *g->p);
    g->start = malloc(count * sizeof *g->start);
    g->lr = malloc((size_t)g->steps * sizeof *g->lr);
    if (!g->h || !g->c || !g->p || !g->start || !g->lr) return qgm_fail(r->err, QGM_SYSTEM, "out of memory");
    for (size_t i = 0; i < count; i++) g->start[i] = NAN; /* to see which rows are missing */
    for (long t = 0; t < g->steps; t++) g->lr[t] = NAN;
    r->began = true;
    return 0;
}

/* Room for one more element of a growing array. */
static int room(const struct reader *r, void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return 0;
    size_t more = *capacity ? 2 * *capacity : 64;
    void *bigger = realloc(*array, more * size);
    if (!bigger) return qgm_fail(r->err, QGM_SYSTEM, "out of memory");
    *array = bigger;
    *capacity = more;
    return 0;
}

static int client_and_coordinate(const struct reader *r, int at, long *i, long *k)
{
    QGM_TRY(whole(r, r->field[at], 0, r->g->n - 1, i));
    return whole(r, r->field[at + 1], 0, r->g->d - 1, k);
}

static int row_weight(struct reader *r)
{
    if (r->fields != 4 && r->fields != 5) return fail(r, "a W row", "W,i,j,w or W,t,i,j,w");
    if (r->weight_fields && r->weight_fields != r->fields) return fail(r, "both kinds of W rows", "one of them");
    r->weight_fields = r->fields;
    long t = 0, i, j;
    double w;
    int at = r->fields - 3;
    if (r->fields == 5) QGM_TRY(whole(r, r->field[1], 0, r->g->steps - 1, &t));
    QGM_TRY(whole(r, r->field[at], 0, r->g->n - 1, &i));
    QGM_TRY(whole(r, r->field[at + 1], 0, r->g->n - 1, &j));
    QGM_TRY(number(r, r->field[at + 2], &w));
    QGM_TRY(room(r, (void **)&r->weight, r->weights, &r->weight_room, sizeof *r->weight));
    r->weight[r->weights++] = (struct qgm_weight){ t, (int)i, (int)j, w };
    if (t >= r->draws) r->draws = t + 1;
    return 0;
}

static int row_problem(struct reader *r)
{
    long i, k;
    if (r->fields != 7) return fail(r, "a P row", "P,i,k,h,c,p,x0");
    QGM_TRY(client_and_coordinate(r, 1, &i, &k));
    size_t at = (size_t)i * (size_t)r->g->d + (size_t)k;
    if (!isnan(r->g->start[at])) return fail(r, "a second P row for this client and coordinate", "one each");
    QGM_TRY(number(r, r->field[3], &r->g->h[at]));
    QGM_TRY(number(r, r->field[4], &r->g->c[at]));
    QGM_TRY(number(r, r->field[5], &r->g->p[at]));
    return number(r, r->field[6], &r->g->start[at]);
}

static int row_rate(struct reader *r)
{
    long t;
    if (r->fields != 3) return fail(r, "an LR row", "LR,t,eta");
    QGM_TRY(whole(r, r->field[1], 0, r->g->steps - 1, &t));
    if (!isnan(r->g->lr[t])) return fail(r, "a second LR row for this step", "one each");
    return number(r, r->field[2], &r->g->lr[t]);
}

static int row_point(struct reader *r)
{
    struct qgm_golden_point p;
    long i;
    if (r->fields != 5) return fail(r, "an X row", "X,t,i,k,x");
    QGM_TRY(whole(r, r->field[1], 1, r->g->steps, &p.t));
    QGM_TRY(client_and_coordinate(r, 2, &i, &p.k));
    QGM_TRY(number(r, r->field[4], &p.x));
    p.i = (int)i;
    QGM_TRY(room(r, (void **)&r->g->point, r->g->points, &r->point_room, sizeof p));
    r->g->point[r->g->points++] = p;
    return 0;
}

static int row(struct reader *r, char *line)
{
    static const struct {
        const char *name;
        int (*read)(struct reader *);
    } kinds[] = { { "W", row_weight }, { "P", row_problem }, { "LR", row_rate }, { "X", row_point } };
    r->fields = 0;
    for (char *at = line; at; r->fields++) {
        if (r->fields == MAX_FIELDS) return fail(r, line, "at most 7 fields");
        r->field[r->fields] = at;
        at = strchr(at, ',');
        if (at) *at++ = 0;
    }
    for (size_t i = 0; i < QGM_COUNT(kinds); i++)
        if (strcmp(r->field[0], kinds[i].name) == 0) {
            QGM_TRY(begin_rows(r));
            return kinds[i].read(r);
        }
    return fail(r, r->field[0], "a row W, P, LR or X, or a line that starts with #");
}

/* ---- The whole ---- */

/* The value of key in "key=value,key=value", or fallback. */
static double option(const char *text, const char *key, double fallback)
{
    for (const char *at = text; *at; at += strcspn(at, ","), at += *at == ',') {
        size_t n = strlen(key);
        if (strncmp(at, key, n) == 0 && at[n] == '=') return strtod(at + n + 1, NULL);
    }
    return fallback;
}

/* Files written by the released optimisers carry their names and options. */
static void choose_algorithm(struct reader *r)
{
    static const struct {
        const char *name, *algo;
    } other_names[] = { { "sgdm-n-central", "sgd-central-m-n" }, { "qg-dadam-v0", "qg-dadam:version=original" } };
    size_t size = sizeof r->g->algo;
    char *algo = r->g->algo;
    snprintf(algo, size, "%s", *r->algo ? r->algo : r->name);
    for (size_t i = 0; i < QGM_COUNT(other_names); i++)
        if (strcmp(algo, other_names[i].name) == 0) snprintf(algo, size, "%s", other_names[i].algo);
    if (*r->slow_buffer)
        snprintf(algo, size, "qg-dsgdm%s:mu=%.17g,tau=%g", r->nesterov ? "-n" : "",
                 1 - option(r->slow_buffer, "factor", 0.1), option(r->slow_buffer, "local_step", 1));
    if (*r->slowmo)
        snprintf(algo, size, "slowmo%s:tau=%g,beta=%.17g,alpha=%.17g", r->nesterov ? "-n" : "",
                 option(r->slowmo, "slowmo_tau", 1), option(r->slowmo, "slowmo_beta", 0.7),
                 option(r->slowmo, "slowmo_alpha", 1));
}

/* A file that is cut short must not pass for a shorter one: a step is recorded whole, and the last one is. */
static int check_points(const struct reader *r)
{
    const struct qgm_golden *g = r->g;
    if (!g->points) return qgm_fail(r->err, QGM_INPUT, "%s: found no X rows to compare with", r->path);
    long all = g->n * g->d, *seen = calloc((size_t)g->steps + 1, sizeof *seen);
    int result = seen ? 0 : qgm_fail(r->err, QGM_SYSTEM, "out of memory");
    for (size_t k = 0; seen && k < g->points; k++) seen[g->point[k].t]++;
    for (long t = 1; seen && t <= g->steps && result == 0; t++)
        if (seen[t] != all && (seen[t] || t == g->steps))
            result = qgm_fail(r->err, QGM_INPUT,
                              "%s: found %ld X rows of step %ld, expected %ld: every client and coordinate", r->path,
                              seen[t], t, all);
    free(seen);
    return result;
}

static int finish(struct reader *r)
{
    struct qgm_golden *g = r->g;
    if (!r->began) return qgm_fail(r->err, QGM_INPUT, "%s: found no rows, expected W, P, LR and X rows", r->path);
    for (long i = 0; i < g->n * g->d; i++)
        if (isnan(g->start[i]))
            return qgm_fail(r->err, QGM_INPUT, "%s: the P row of client %ld, coordinate %ld is missing", r->path,
                            i / g->d, i % g->d);
    for (long t = 0; t < g->steps; t++)
        if (isnan(g->lr[t])) return qgm_fail(r->err, QGM_INPUT, "%s: the LR row of step %ld is missing", r->path, t);
    if (!r->weights) return qgm_fail(r->err, QGM_INPUT, "%s: found no W rows", r->path);
    QGM_TRY(check_points(r));
    choose_algorithm(r);
    if (!*g->algo) return qgm_fail(r->err, QGM_INPUT, "%s: found neither '# name=' nor '# algo='", r->path);
    if (qgm_topology_from(&g->topology, "matrix", g->n, (int)r->draws, r->weight, r->weights, false, r->err) == 0)
        return 0;
    return qgm_fail_in(r->err, "%s", r->path);
}

static int read_lines(struct reader *r, FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    int result = 0;
    for (ssize_t n; result == 0 && (n = getline(&line, &size, file)) >= 0;) {
        r->line++;
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = 0;
        if (memchr(line, 0, (size_t)n))
            result = fail(r, "a zero byte", "text");
        else if (line[0] == '#')
            result = header(r, line);
        else if (n)
            result = row(r, line);
    }
    free(line);
    return result;
}

int qgm_golden_open(struct qgm_golden *g, const char *path, struct qgm_error *err)
{
    struct reader r = { .g = g, .path = path, .err = err };
    *g = (struct qgm_golden){ 0 };
    FILE *file = fopen(path, "r");
    if (!file) return qgm_fail(err, QGM_INPUT, "%s: %s", path, strerror(errno));
    int result = read_lines(&r, file);
    if (result == 0 && ferror(file)) result = qgm_fail(err, QGM_INPUT, "%s: %s", path, strerror(errno));
    fclose(file);
    if (result == 0) result = finish(&r);
    free(r.weight);
    if (result < 0) qgm_golden_close(g);
    return result;
}

void qgm_golden_close(struct qgm_golden *g)
{
    qgm_topology_close(&g->topology);
    free(g->h);
    free(g->c);
    free(g->p);
    free(g->start);
    free(g->lr);
    free(g->point);
    *g = (struct qgm_golden){ 0 };
}

double qgm_golden_gradient(const struct qgm_golden *g, int i, long k, double x)
{
    size_t at = (size_t)i * (size_t)g->d + (size_t)k;
    return g->h[at] * (x - g->c[at]) + 0.3 * sin(2 * x + g->p[at]);
}
