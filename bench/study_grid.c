/* From a study to its runs. SPDX-License-Identifier: MIT */
#include "run.h"
#include "study.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 20000 }; /* a plan of them is 150 MB */

/* Whatever a file says, a study gives each run its folder and takes up what was begun. */
static int check_key(const char *key, struct qgm_error *err)
{
    static const char *const ours[] = { "out", "resume", "force", "dry-run" };
    for (size_t i = 0; i < QGM_COUNT(ours); i++)
        if (strcmp(key, ours[i]) == 0)
            return qgm_fail(err, QGM_INPUT, "%s: is the study's own: leave it out (flags of the command: --help)", key);
    return 0;
}

/* A flag that is varied has its value from the grid, and the tables say so: what sets it elsewhere would be passed
 * over, or make the tables say what did not run. In `base` it is only a default, for scales that do not vary it. */
static int check_set(const struct qgm_grid *grid, char *const *set, const char *where, struct qgm_error *err)
{
    for (int a = 0; set && a < grid->axes; a++) {
        const char *name = grid->axis[a].flag->name, *value = set[grid->axis[a].flag - qgm_flags];
        if (value)
            return qgm_fail(err, QGM_INPUT, "%s sets %s: %s, which the study varies: leave it out of one of them",
                            where, name, value);
    }
    return 0;
}

static int check_sets(const struct qgm_grid *grid, int scale, struct qgm_error *err)
{
    const struct qgm_study *study = grid->study;
    char where[QGM_TEXT];
    for (unsigned i = 0; i < study->series_count; i++) {
        if (!*study->series[i].label) /* its folder would be that of all runs */
            return qgm_fail(err, QGM_INPUT, "series %u: the label is empty", i + 1);
        snprintf(where, sizeof where, "series '%.100s'", study->series[i].label);
        QGM_TRY(check_set(grid, study->series[i].set, where, err));
    }
    for (unsigned r = 0; r < study->rules_count; r++) {
        snprintf(where, sizeof where, "rule %u", r + 1);
        QGM_TRY(check_set(grid, study->rules[r].set, where, err));
    }
    snprintf(where, sizeof where, "scale %s", qgm_scale_names[scale]);
    return study->scale[scale] ? check_set(grid, study->scale[scale]->set, where, err) : 0;
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

/* A value that is written in two ways, 0.1 and 1e-1, or 1 and 1.0 of a seed, would count as two. */
static int check_axis(const struct qgm_axis *axis, struct qgm_error *err)
{
    struct qgm_options o;
    for (unsigned i = 0; i < axis->values.count; i++) {
        char have[QGM_TEXT], other[QGM_TEXT];
        qgm_options_default(&o);
        QGM_TRY(qgm_options_set(&o, axis->flag->name, axis->values.value[i], err));
        qgm_options_text(&o, axis->flag, have);
        for (unsigned j = 0; j < i; j++) {
            QGM_TRY(qgm_options_set(&o, axis->flag->name, axis->values.value[j], err));
            qgm_options_text(&o, axis->flag, other);
            if (strcmp(have, other) == 0)
                return qgm_fail(err, QGM_INPUT, "vary: %s: %s and %s are one value: list none twice", axis->flag->name,
                                axis->values.value[j], axis->values.value[i]);
        }
    }
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
        QGM_TRY(check_axis(&grid->axis[grid->axes - 1], err));
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
    o->resume = o->force = true; /* an unfinished run is taken up; what stands in its place is looked at below */
    QGM_TRY(qgm_options_check(o, err));
    struct qgm_record record;
    struct qgm_outcome outcome;
    run->kept = qgm_run_finished(o, &outcome);
    QGM_TRY(qgm_record_name(&record, o->out, err));
    if (run->kept) return 0;
    if (!grid->force && qgm_run_stands(o))
        return qgm_fail(err, QGM_USAGE,
                        "%s: is a finished run of other flags, of another scale of the study perhaps: give another "
                        "--out, or --force to replace it",
                        o->out);
    return qgm_record_check(&record, true, err);
}

/* Runs of one folder would take each other's place. */
static int check_folders(const struct qgm_grid *grid, struct qgm_error *err)
{
    for (int i = 0; i < grid->runs; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(grid->run[i].options.out, grid->run[j].options.out) == 0)
                return qgm_fail(
                    err, QGM_INPUT,
                    "two runs would be in %s: give series labels, and values, that differ in letters or digits",
                    grid->run[i].options.out);
    return 0;
}

static int allocate(struct qgm_grid *grid, struct qgm_error *err)
{
    double runs = grid->study->series_count;
    for (int a = 0; a < grid->axes; a++) runs *= grid->axis[a].values.count;
    if (runs > MOST_RUNS)
        return qgm_fail(err, QGM_INPUT,
                        "series times all values of vary make %.0f runs, of at most %d: split the study", runs,
                        MOST_RUNS);
    grid->run = calloc((size_t)runs, sizeof *grid->run);
    if (!grid->run) return qgm_fail(err, QGM_SYSTEM, "out of memory for a plan of %.0f runs", runs);
    grid->runs = (int)runs;
    return 0;
}

int qgm_grid_open(struct qgm_grid *grid, const struct qgm_study *study, const char *path, int scale, const char *out,
                  bool force, struct qgm_error *err)
{
    *grid = (struct qgm_grid){ .study = study, .force = force };
    snprintf(grid->out, sizeof grid->out, "%s", out);
    int result = open_axes(grid, scale, err);
    if (result == 0) result = check_sets(grid, scale, err);
    if (result == 0) result = allocate(grid, err);
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
