/* The figures of a study: checked before its runs, drawn by gnuplot after them. SPDX-License-Identifier: MIT */
#include "run.h"
#include "study.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Line of figure i of the study file, for messages: that of the key "plot" that comes i-th after "figures:". libcyaml
 * keeps no lines of what it has accepted. 0: not found. */
static int line_of(const char *path, unsigned i)
{
    char *line = NULL;
    size_t size = 0;
    bool inside = false;
    int found = 0;
    unsigned seen = 0;
    FILE *f = fopen(path, "r");
    for (int number = 1; f && !found && getline(&line, &size, f) > 0; number++) {
        if (*line != '#' && *line != ' ' && *line != '-' && *line != '\n') inside = strncmp(line, "figures:", 8) == 0;
        line[strncmp(line + strspn(line, " "), "#", 1) == 0 ? 0 : strlen(line)] = 0; /* a comment has no keys */
        for (char *c = line; inside && !found && (c = strstr(c, "plot:")); c++)
            if (seen++ == i) found = number;
    }
    if (f) fclose(f);
    free(line);
    return found;
}

/* "accuracy, gap": the figures there are scripts for; style.gp is read by all of them. */
static int list_scripts(const char *folder, char *text, size_t size, struct qgm_error *err)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, alphasort);
    if (n < 0)
        return qgm_fail(err, QGM_USAGE,
                        "--plots %s: cannot look into the folder: %s; expected that of the gnuplot scripts, plots/ of "
                        "the source",
                        folder, strerror(errno));
    *text = 0;
    for (int i = 0; i < n; i++) {
        char *end = strrchr(entry[i]->d_name, '.');
        size_t used = strlen(text);
        if (end && strcmp(end, ".gp") == 0 && strcmp(entry[i]->d_name, "style.gp") != 0)
            snprintf(text + used, size - used, "%s%.*s", used ? ", " : "", (int)(end - entry[i]->d_name),
                     entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return 0;
}

static int check(const struct qgm_grid *grid, const struct qgm_figure *figure, const char *plots, struct qgm_error *err)
{
    char script[2 * QGM_TEXT], text[200] = "";
    size_t used = 0;
    if (qgm_grid_axis(grid, figure->x) < 0) {
        for (int a = 0; a < grid->axes && used < sizeof text; a++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", a ? ", " : "", grid->axis[a].flag->name);
        return qgm_fail(err, QGM_INPUT, "figure %s: x: '%s' is not a flag that the study varies (%s)", figure->plot,
                        figure->x, grid->axes ? text : "it varies none");
    }
    snprintf(script, sizeof script, "%s/%s.gp", plots, figure->plot);
    if (access(script, R_OK) == 0) return 0;
    int why = errno;
    QGM_TRY(list_scripts(plots, text, sizeof text, err));
    return qgm_fail(err, QGM_INPUT, "figure %s: cannot read %s: %s; there are: %s", figure->plot, script, strerror(why),
                    text);
}

int qgm_figures_check(const struct qgm_grid *grid, const char *path, const char *plots, struct qgm_error *err)
{
    for (unsigned i = 0; i < grid->study->figures_count; i++)
        if (check(grid, &grid->study->figures[i], plots, err) < 0)
            return qgm_fail_in(err, "study %s, line %d", path, line_of(path, i));
    return 0;
}

/* Does the figure change along this axis, other than along x? */
static bool splits(const struct qgm_grid *grid, const struct qgm_figure *figure, int a)
{
    static const char *const deals[] = { "dataset", "clients", "partition", "alpha" };
    const struct qgm_axis *axis = &grid->axis[a];
    bool dealt = strcmp(figure->plot, "partition") != 0;
    for (size_t i = 0; i < QGM_COUNT(deals); i++) dealt = dealt || strcmp(axis->flag->name, deals[i]) == 0;
    return dealt && !axis->seed && a != qgm_grid_axis(grid, figure->x) && axis->values.count > 1;
}

bool qgm_figure_drawing(const struct qgm_grid *grid, const struct qgm_figure *figure, int k, struct qgm_drawing *d)
{
    *d = (struct qgm_drawing){ 0 };
    for (int a = grid->axes; a-- > 0;) { /* the last axis changes fastest, as in the tables */
        int count = splits(grid, figure, a) ? (int)grid->axis[a].values.count : 1;
        d->at[a] = (unsigned)(k % count);
        k /= count;
    }
    snprintf(d->name, sizeof d->name, "%s", figure->plot);
    for (int a = 0; a < grid->axes; a++) {
        char piece[QGM_TEXT];
        size_t n = strlen(d->name), w = strlen(d->where);
        const struct qgm_axis *axis = &grid->axis[a];
        if (!splits(grid, figure, a)) continue;
        qgm_slug(piece, sizeof piece, axis->values.value[d->at[a]]);
        snprintf(d->name + n, sizeof d->name - n, "_%s-%.60s", axis->flag->name, piece);
        snprintf(d->where + w, sizeof d->where - w, "%s%s = %s", w ? ", " : "", axis->flag->name,
                 axis->values.value[d->at[a]]);
    }
    return k == 0;
}

/* gnuplot does not say that what it writes has found no room. A script may leave a file out. */
static int check_drawn(const char *stem, struct qgm_error *err)
{
    static const char *const ends[][2] = { { ".svg", "</svg>" }, { ".png", "IEND" } };
    for (size_t i = 0; i < QGM_COUNT(ends); i++) {
        char path[3 * QGM_TEXT], tail[17] = "";
        snprintf(path, sizeof path, "%s%s", stem, ends[i][0]);
        FILE *f = fopen(path, "rb");
        if (!f) continue;
        if (fseek(f, -16, SEEK_END) == 0) tail[fread(tail, 1, 16, f)] = 0;
        fclose(f);
        if (!memmem(tail, sizeof tail, ends[i][1], strlen(ends[i][1])))
            return qgm_fail(err, QGM_SYSTEM, "%s: gnuplot has not written it to its end: is the disk full?", path);
    }
    return 0;
}

/* In a process of its own; its remarks are added to the log. */
static int draw(const struct qgm_grid *grid, const char *plots, const struct qgm_figure *figure,
                const struct qgm_drawing *d, const char *log, struct qgm_error *err)
{
    char script[2 * QGM_TEXT], variables[6 * QGM_TEXT], where[2 * QGM_TEXT], stem[2 * QGM_TEXT];
    size_t n = 0;
    for (const char *c = d->where; *c; c++) { /* a quote is written twice */
        where[n++] = *c;
        if (*c == '\'') where[n++] = '\'';
    }
    where[n] = 0;
    snprintf(script, sizeof script, "%s/%s.gp", plots, figure->plot);
    snprintf(variables, sizeof variables, "out='%s'; plots='%s'; x='%s'; figure='%s'; where='%s'", grid->out, plots,
             figure->x, d->name, where);
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        if (freopen(log, "a", stderr)) execlp("gnuplot", "gnuplot", "-e", variables, script, (char *)NULL);
        fprintf(stderr, "qgm-study: gnuplot: %s (Debian: gnuplot-nox, or cmake/deps run)\n", strerror(errno));
        _exit(127);
    }
    int status = 0;
    while (process > 0 && waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    if (process < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
        return qgm_fail(err, QGM_SYSTEM, "figure %s: gnuplot failed on %s: see %s", figure->plot, script, log);
    snprintf(stem, sizeof stem, "%s/%s", grid->out, d->name);
    return check_drawn(stem, err);
}

/* How data are dealt is known of runs that diverged too. */
bool qgm_figure_has_results(const struct qgm_grid *grid, const struct qgm_figure *figure, const struct qgm_drawing *d)
{
    if (strcmp(figure->plot, "partition") == 0) return true;
    for (int i = 0; i < grid->runs; i++) {
        const struct qgm_grid_run *run = &grid->run[i];
        struct qgm_outcome outcome;
        bool here = true;
        for (int a = 0; a < grid->axes; a++) here = here && (!splits(grid, figure, a) || run->at[a] == d->at[a]);
        if (here && qgm_run_finished(&run->options, &outcome) && !outcome.diverged) return true;
    }
    return false;
}

/* One that fails keeps no other from being drawn; the first reason is told. */
int qgm_figures_draw(const struct qgm_grid *grid, const char *plots, struct qgm_error *err)
{
    char log[QGM_TEXT + 16];
    struct qgm_drawing d;
    struct qgm_error later;
    int result = 0;
    snprintf(log, sizeof log, "%s/figures.log", grid->out);
    unlink(log); /* of an earlier drawing */
    for (unsigned i = 0; i < grid->study->figures_count; i++)
        for (int k = 0; qgm_figure_drawing(grid, &grid->study->figures[i], k, &d); k++) {
            const struct qgm_figure *figure = &grid->study->figures[i];
            if (!qgm_figure_has_results(grid, figure, &d))
                fprintf(stderr, "note: figure %s is not drawn: all of its runs have diverged\n", d.name);
            else if (draw(grid, plots, figure, &d, log, result < 0 ? &later : err) < 0)
                result = -1;
        }
    return result;
}
