/* qgm-study: the runs, tables and figures that a YAML file describes. SPDX-License-Identifier: MIT */
#include "study.h"
#include "kernels.h"
#include "progress.h"
#include "run.h"
#include <sched.h>
#include <string.h>

enum { FLAG_SCALE = QGM_OWN_FLAG, FLAG_JOBS, FLAG_OUT, FLAG_PLOTS, FLAG_DRY_RUN, FLAG_QUIET, FLAG_FORCE };

struct command {
    int scale;
    long jobs;
    char out[QGM_TEXT], plots[QGM_TEXT];
    bool dry_run, quiet, force;
};

static int set_scale(struct command *c, const char *argument, struct qgm_error *err)
{
    for (int i = 0; i < QGM_SCALES; i++)
        if (strcmp(argument, qgm_scale_names[i]) == 0) {
            c->scale = i;
            return 0;
        }
    return qgm_fail(err, QGM_USAGE, "--scale %s: expected smoke, laptop or paper", argument);
}

static int set_own(int val, const char *argument, void *user, struct qgm_error *err)
{
    struct command *c = user;
    switch (val) {
    case FLAG_SCALE:
        return set_scale(c, argument, err);
    case FLAG_JOBS:
        return qgm_flag_whole("jobs", argument, 1, 256, &c->jobs, err);
    case FLAG_OUT:
        snprintf(c->out, sizeof c->out, "%s", argument);
        return 0;
    case FLAG_PLOTS:
        snprintf(c->plots, sizeof c->plots, "%s", argument);
        return 0;
    case FLAG_DRY_RUN:
        c->dry_run = true;
        return 0;
    case FLAG_QUIET:
        c->quiet = true;
        return 0;
    case FLAG_FORCE:
        c->force = true;
        return 0;
    }
    return -1;
}

static const struct poptOption own_flags[] = {
    { "scale", 0, POPT_ARG_STRING, NULL, FLAG_SCALE, "size of the study: smoke, laptop [laptop] or paper", "NAME" },
    { "jobs", 0, POPT_ARG_STRING, NULL, FLAG_JOBS,
      "runs at once; each gets its share of the cores [the number of cores, at most 4]", "N" },
    { "out", 0, POPT_ARG_STRING, NULL, FLAG_OUT,
      "folder of the results [paper/out/<study>, with -smoke or -paper at those scales]", "DIR" },
    { "plots", 0, POPT_ARG_STRING, NULL, FLAG_PLOTS, "folder of the gnuplot scripts [plots]", "DIR" },
    { "dry-run", 0, POPT_ARG_NONE, NULL, FLAG_DRY_RUN,
      "print the plan, check that every run of it can be started, and stop", NULL },
    { "force", 0, POPT_ARG_NONE, NULL, FLAG_FORCE, "replace finished runs of other flags", NULL },
    { "quiet", 0, POPT_ARG_NONE, NULL, FLAG_QUIET, "no progress", NULL },
    POPT_TABLEEND
};

static void print_plan(const struct qgm_grid *grid, const char *path, int scale, bool all)
{
    int kept = 0;
    for (int i = 0; i < grid->runs; i++) kept += grid->run[i].kept;
    if (!grid->study->scale[scale] && scale != QGM_LAPTOP)
        fprintf(stderr, "qgm-study: note: this study has no scale '%s': it is run as it is\n", qgm_scale_names[scale]);
    fprintf(stderr, "study   %s (%s, scale %s)\nruns    %d: %u algorithms", grid->study->title, path,
            qgm_scale_names[scale], grid->runs, grid->study->series_count);
    for (int a = 0; a < grid->axes; a++)
        fprintf(stderr, " x %u %s", grid->axis[a].values.count, grid->axis[a].flag->name);
    fprintf(stderr, "; %d finished earlier are kept, %d to do\nresults %s\n", kept, grid->runs - kept, grid->out);
    for (int i = 0; all && i < grid->runs; i++)
        printf("%s  %s\n", grid->run[i].kept ? "kept" : "to do", grid->run[i].options.out);
    fflush(stdout);
}

static void print_paths(const struct qgm_grid *grid)
{
    printf("\nruns     %s/runs/\ntables   %s/summary.csv .md .tex, runs.csv\n", grid->out, grid->out);
    struct qgm_drawing d;
    for (unsigned i = 0; i < grid->study->figures_count; i++)
        for (int k = 0; qgm_figure_drawing(grid, &grid->study->figures[i], k, &d); k++)
            if (qgm_figure_has_results(grid, &grid->study->figures[i], &d))
                printf("figure   %s/%s.svg .png\n", grid->out, d.name);
}

/* Runs side by side waste nothing at the ends of steps; more than a few of them would fill the memory. */
static int usual_jobs(void)
{
    cpu_set_t mask;
    int cores = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
    return cores < 4 ? cores : 4;
}

static int carry_out(struct qgm_grid *grid, const struct command *c, const struct qgm_work *work, struct qgm_error *err)
{
    char runs[QGM_TEXT + 8];
    char seconds[32];
    double begin = qgm_seconds();
    snprintf(runs, sizeof runs, "%s/runs", grid->out);
    QGM_TRY(qgm_make_folder(runs, err));
    QGM_TRY(qgm_work_do(work, grid, err));
    fprintf(stderr, "time    %s\n", qgm_duration(qgm_seconds() - begin, seconds));
    QGM_TRY(qgm_tables_write(grid, stdout, err));
    QGM_TRY(qgm_figures_draw(grid, c->plots, err));
    print_paths(grid);
    return 0;
}

static int study(int argc, const char **argv, const struct qgm_program *program, struct command *c,
                 struct qgm_error *err)
{
    const char *words[1] = { NULL };
    int n = qgm_parse(program, argc, argv, NULL, words, 1, err);
    if (n < 0) return -1;
    if (n == 0) return qgm_fail(err, QGM_USAGE, "expected a study file (see --help)");
    QGM_TRY(qgm_kernels_use(NULL, err));
    const char *name = strrchr(words[0], '/') ? strrchr(words[0], '/') + 1 : words[0];
    if (!*c->out)
        snprintf(c->out, sizeof c->out, "paper/out/%.*s%s%s", (int)strcspn(name, "."), name,
                 c->scale == QGM_LAPTOP ? "" : "-", c->scale == QGM_LAPTOP ? "" : qgm_scale_names[c->scale]);
    struct qgm_study *file;
    struct qgm_grid grid;
    QGM_TRY(qgm_study_read(&file, words[0], err));
    int result = qgm_grid_open(&grid, file, words[0], c->scale, c->out, c->force, err);
    if (result == 0 && (result = qgm_figures_check(&grid, words[0], c->plots, err)) < 0) qgm_grid_close(&grid);
    if (result == 0) {
        print_plan(&grid, words[0], c->scale, c->dry_run);
        qgm_catch_signals();
        struct qgm_work work = { c->jobs ? (int)c->jobs : usual_jobs(), c->quiet, c->dry_run };
        result = c->dry_run ? qgm_work_do(&work, &grid, err) : carry_out(&grid, c, &work, err);
        qgm_grid_close(&grid);
    }
    qgm_study_free(&file);
    return result;
}

int main(int argc, const char **argv)
{
    struct command command = { .scale = QGM_LAPTOP, .plots = "plots" };
    const struct qgm_program program = {
        .name = "qgm-study",
        .usage = "STUDY.yaml [FLAG]...",
        .intro = "Carry out all runs that a study file describes, then write its tables and draw its figures. Finished "
                 "runs\n"
                 "are kept by their configuration: an interrupted study goes on where it was. ./paper/run calls this.",
        .examples = "  qgm-study paper/quickstart.yaml --dry-run\n  qgm-study paper/quickstart.yaml --scale smoke "
                    "--out out/try\n",
        .own = own_flags,
        .set = set_own,
        .user = &command,
    };
    struct qgm_error err = { 0 };
    struct qgm_group *group;
    if (qgm_group_open(&group, &err) == 0 && group->ranks > 1) {
        qgm_fail(&err, QGM_USAGE, "a study starts its runs itself: start it once, without mpirun");
        if (group->rank == 0) qgm_complain(program.name, &err);
        group->op->close(&group);
        return 2;
    }
    return study(argc, argv, &program, &command, &err) < 0 ? qgm_complain(program.name, &err) : 0;
}
