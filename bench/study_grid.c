/* From a study to its runs. SPDX-License-Identifier: MIT */
#include "run.h"
#include "study.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Whatever a file says, a study gives each run its folder and takes up what was begun. */
static int check_key(const char *key, struct qgm_error *err)
{
    static const char *const ours[] = { "out", "resume", "force", "dry-run" };
    for (size_t i = 0; i < QGM_COUNT(ours); i++)
        if (strcmp(key, ours[i]) == 0)
            return qgm_fail(err, QGM_INPUT, "%s: is the study's own: leave it out (flags of the command: --help)", key);
    return 0;
}

static int apply(struct qgm_options *o, char *const *set, struct qgm_error *err)
{
    for (size_t i = 0; set && i < qgm_flag_count; i++) {
        if (!set[i]) continue;
        QGM_TRY(check_key(qgm_flags[i].name, err));
        QGM_TRY(qgm_options_set(o, qgm_flags[i].name, set[i], err));
    }
    return 0;
}

/* Does a run have the values that a rule asks for? Compared as parsed: 0.1 is 1e-1. */
static int matches(const struct qgm_options *o, char *const *when, bool *yes, struct qgm_error *err)
{
    struct qgm_options wanted = *o;
    QGM_TRY(apply(&wanted, when, err));
    QGM_TRY(qgm_options_check(&wanted, err)); /* a misspelt name would never match, and nobody would know */
    *yes = true;
    for (size_t i = 0; i < qgm_flag_count && *yes; i++) {
        char have[QGM_TEXT], want[QGM_TEXT];
        if (!when[i]) continue;
        qgm_options_text(o, &qgm_flags[i], have);
        qgm_options_text(&wanted, &qgm_flags[i], want);
        *yes = strcmp(have, want) == 0;
    }
    return 0;
}

/* The last rule that speaks about a flag wins. */
static int apply_rules(struct qgm_options *o, const struct qgm_study *study, struct qgm_error *err)
{
    for (unsigned r = 0; r < study->rules_count; r++) {
        bool yes;
        QGM_TRY(matches(o, study->rules[r].when, &yes, err));
        if (yes) QGM_TRY(apply(o, study->rules[r].set, err));
    }
    return 0;
}

size_t qgm_slug(char *to, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++) {
        unsigned char c = (unsigned char)*text;
        to[n++] = isalnum(c) || c == '.' || c == '-' ? (char)tolower(c) : '-';
    }
    to[n] = 0;
    return n;
}

/* Folder of a run: <out>/runs/<label>_<flag><value>... */
static int name_run(const struct qgm_grid *grid, struct qgm_grid_run *run, struct qgm_error *err)
{
    char name[QGM_TEXT];
    size_t n = qgm_slug(name, sizeof name, grid->study->series[run->series].label);
    for (int a = 0; a < grid->axes; a++) {
        char piece[QGM_TEXT], value[QGM_TEXT];
        qgm_slug(value, sizeof value, grid->axis[a].values.value[run->at[a]]);
        snprintf(piece, sizeof piece, "_%s-%.*s", grid->axis[a].flag->name, 60, value);
        n += (size_t)snprintf(name + n, sizeof name - n, "%s", piece);
        if (n >= sizeof name) return qgm_fail(err, QGM_USAGE, "the names of the runs are too long: shorten the label");
    }
    int used = snprintf(run->options.out, QGM_TEXT, "%.*s/runs/%s", (int)sizeof grid->out, grid->out, name);
    if (used >= QGM_TEXT) return qgm_fail(err, QGM_USAGE, "--out %s: path too long", grid->out);
    return 0;
}

static int open_axes(struct qgm_grid *grid, int scale, struct qgm_error *err)
{
    const struct qgm_scale *chosen = grid->study->scale[scale];
    for (size_t i = 0; i < qgm_flag_count; i++) {
        const struct qgm_value_list *list = grid->study->vary ? &grid->study->vary[i] : NULL;
        if (chosen && chosen->vary && chosen->vary[i].count) list = &chosen->vary[i];
        if (!list || !list->count) continue;
        if (grid->axes == QGM_MAX_VARY) return qgm_fail(err, QGM_INPUT, "vary: more than %d flags", QGM_MAX_VARY);
        grid->axis[grid->axes++] =
            (struct qgm_axis){ .flag = &qgm_flags[i], .values = *list, .seed = strcmp(qgm_flags[i].name, "seed") == 0 };
    }
    return 0;
}

static int open_run(struct qgm_grid *grid, struct qgm_grid_run *run, int number, int scale, struct qgm_error *err)
{
    const struct qgm_study *study = grid->study;
    struct qgm_options *o = &run->options;
    for (int a = grid->axes; a-- > 0; number /= (int)grid->axis[a].values.count)
        run->at[a] = (unsigned)number % grid->axis[a].values.count;
    run->series = (unsigned)number;
    qgm_options_default(o);
    QGM_TRY(apply(o, study->base, err));
    if (study->scale[scale]) QGM_TRY(apply(o, study->scale[scale]->set, err));
    QGM_TRY(apply(o, study->series[run->series].set, err));
    for (int a = 0; a < grid->axes; a++)
        QGM_TRY(qgm_options_set(o, grid->axis[a].flag->name, grid->axis[a].values.value[run->at[a]], err));
    QGM_TRY(apply_rules(o, study, err));
    QGM_TRY(name_run(grid, run, err));
    o->resume = o->force = true; /* an unfinished run is taken up; a different one of that name is replaced */
    QGM_TRY(qgm_options_check(o, err));
    struct qgm_record record;
    struct qgm_outcome outcome;
    run->kept = qgm_run_finished(o, &outcome);
    QGM_TRY(qgm_record_name(&record, o->out, err));
    return run->kept ? 0 : qgm_record_check(&record, true, err);
}

/* Runs of one folder would take each other's place, and a seed that is listed twice would count as two. */
static int check_folders(const struct qgm_grid *grid, struct qgm_error *err)
{
    for (int i = 0; i < grid->runs; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(grid->run[i].options.out, grid->run[j].options.out) == 0)
                return qgm_fail(
                    err, QGM_INPUT,
                    "two runs would be in %s: give series labels that differ in letters or digits, and list "
                    "no value twice",
                    grid->run[i].options.out);
    return 0;
}

int qgm_grid_open(struct qgm_grid *grid, const struct qgm_study *study, const char *path, int scale, const char *out,
                  struct qgm_error *err)
{
    *grid = (struct qgm_grid){ .study = study };
    snprintf(grid->out, sizeof grid->out, "%s", out);
    int result = open_axes(grid, scale, err);
    grid->runs = (int)study->series_count;
    for (int a = 0; a < grid->axes; a++) grid->runs *= (int)grid->axis[a].values.count;
    grid->run = calloc((size_t)grid->runs, sizeof *grid->run);
    if (!grid->run) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    for (int i = 0; i < grid->runs && result == 0; i++) result = open_run(grid, &grid->run[i], i, scale, err);
    if (result == 0) result = check_folders(grid, err);
    if (result == 0) return 0;
    qgm_grid_close(grid);
    return qgm_fail_in(err, "study %s", path);
}

int qgm_grid_axis(const struct qgm_grid *grid, const char *flag)
{
    for (int a = 0; a < grid->axes; a++)
        if (strcmp(grid->axis[a].flag->name, flag) == 0) return a;
    return -1;
}

void qgm_grid_close(struct qgm_grid *grid)
{
    free(grid->run);
    grid->run = NULL;
    grid->runs = 0;
}
