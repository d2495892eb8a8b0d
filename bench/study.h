/* A study: many runs described by one YAML file, and the tables and figures made from their records.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_STUDY_H
#define QGM_STUDY_H
#include "dataset.h"
#include "flags.h"
#include "record.h"

enum { QGM_LAPTOP = 1, QGM_SCALES = 3, QGM_MAX_VARY = 4, QGM_MAX_SERIES = 100 };
extern const char *const qgm_scale_names[QGM_SCALES + 1]; /* "smoke", "laptop", "paper", NULL */

/* ---- The file (libcyaml fills these; unknown keys are refused with line and column) ---- */

/* char **: one value a flag of qgm_flags, in its order, NULL where none is given. The same for lists of values. */
struct qgm_value_list {
    char **value;
    unsigned count;
};
struct qgm_series {
    char *label;
    char **set;
};
struct qgm_rule {
    char **when, **set;
};
struct qgm_scale {
    char **set;
    struct qgm_value_list *vary;
};
struct qgm_figure {
    char *plot, *x;
};
struct qgm_study {
    char *title, *about;
    char **base;                 /* flags of every run */
    struct qgm_value_list *vary; /* flags that take several values: the grid */
    struct qgm_series *series;   /* one line in a figure, one row in a table */
    unsigned series_count;
    struct qgm_rule *rules; /* "when these flags have these values, set those": tuned learning rates, say */
    unsigned rules_count;
    struct qgm_scale *scale[QGM_SCALES];
    struct qgm_figure *figures;
    unsigned figures_count;
};
/* Read the file. All errors name file, line and column, or the key. */
int qgm_study_read(struct qgm_study **study, const char *path, struct qgm_error *err);
void qgm_study_free(struct qgm_study **study);

/* ---- The plan: every run of the grid ---- */
struct qgm_grid_run {
    struct qgm_options options; /* options.out is the run's folder */
    unsigned series;
    unsigned at[QGM_MAX_VARY]; /* which value of each varied flag */
    bool kept;                 /* finished earlier with the same configuration */
};
struct qgm_grid {
    const struct qgm_study *study;
    int axes;
    struct qgm_axis {
        const struct qgm_flag *flag;
        struct qgm_value_list values;
        bool seed; /* tables take mean and spread over this axis */
    } axis[QGM_MAX_VARY];
    struct qgm_grid_run *run;
    int runs;
    char out[QGM_TEXT]; /* folder of the study */
    bool force;         /* finished runs of other flags are replaced */
};
/* scale: index into qgm_scale_names. Checks every run's flags, and that nothing but `base` sets one that is varied;
 * error sentences name the study file. */
int qgm_grid_open(struct qgm_grid *grid, const struct qgm_study *study, const char *path, int scale, const char *out,
                  bool force, struct qgm_error *err);
void qgm_grid_close(struct qgm_grid *grid);
/* Index of the axis that varies a flag; -1: none. */
int qgm_grid_axis(const struct qgm_grid *grid, const char *flag);
/* "QG-DSGDm-N" becomes "qg-dsgdm-n": safe in a path. Returns its length. */
size_t qgm_slug(char *to, size_t size, const char *text);

/* ---- The work ---- */
struct qgm_work {
    int jobs;
    bool quiet, dry_run;
};
/* Check that the runs that are not kept can be started, say how long they will take, and, unless dry_run, carry them
 * out, each in a process of its own, `jobs` at a time. */
int qgm_work_do(const struct qgm_work *work, struct qgm_grid *grid, struct qgm_error *err);

/* ---- The tables ---- */
/* Read every record; write runs.csv, summary.csv, summary.md, summary.tex, the data of the figures and partition.csv
 * into grid->out, and print the summary on `to`. */
int qgm_tables_write(const struct qgm_grid *grid, FILE *to, struct qgm_error *err);
/* Files of the study appear under their name only when they are whole: create one (`path` is where it is until then),
 * then finish it, which closes it in any case. NULL or -1 with a reason. */
FILE *qgm_study_create(const struct qgm_grid *grid, const char *name, char path[QGM_TEXT + 64], struct qgm_error *err);
int qgm_study_finish(FILE *f, const char *path, struct qgm_error *err);
/* Write grid->out/machine.json: the machines and builds the runs were made with. */
int qgm_machines_write(const struct qgm_grid *grid, struct qgm_error *err);

/* ---- The figures ---- */
/* Before any run: is there a script for each, and does the study vary its x? path: the study file, for messages. */
int qgm_figures_check(const struct qgm_grid *grid, const char *path, const char *plots, struct qgm_error *err);
/* A figure is drawn once for each combination of values of the axes that are not along its x, seeds apart, and, of the
 * partition, those that it does not depend on. */
struct qgm_drawing {
    unsigned at[QGM_MAX_VARY]; /* which value of each axis; of x: 0 */
    char name[QGM_TEXT];       /* of its files: "accuracy", "accuracy_topology-davis" */
    char where[QGM_TEXT];      /* what makes the difference: "topology = davis, lr = 0.1"; "" */
};
/* Drawing number k; false: there are no more. */
bool qgm_figure_drawing(const struct qgm_grid *grid, const struct qgm_figure *figure, int k,
                        struct qgm_drawing *drawing);
/* Is there anything to draw: a run of these values that has not diverged? */
bool qgm_figure_has_results(const struct qgm_grid *grid, const struct qgm_figure *figure,
                            const struct qgm_drawing *drawing);
/* Draw them from the tables, but for those all of whose runs have diverged: a note says so. What gnuplot remarks, of a
 * series say of which every run diverged, is in grid->out/figures.log. */
int qgm_figures_draw(const struct qgm_grid *grid, const char *plots, struct qgm_error *err);

#endif
