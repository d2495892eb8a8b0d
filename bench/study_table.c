/* From the records of a study to its tables and the data of its figures. Everything is read back from the records on
 * disk, so that a table can be made again at any time. SPDX-License-Identifier: MIT */
#include "study.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The columns of summary.csv: keys of an evaluation in run.jsonl, in this order. */
static const struct {
    const char *key;
    int digits;       /* decimals in the printed table; -1: not printed */
    const char *head; /* in the printed table */
} columns[] = {
    { "accuracy_mean_percent", 2, "mean %" },
    { "accuracy_worst_percent", 2, "worst %" },
    { "accuracy_best_percent", 2, "best %" },
    { "accuracy_average_model_percent", 2, "averaged %" },
    { "consensus_distance", 4, "consensus" },
    { "sent_megabytes_per_client", 1, "sent MB" },
    { "train_seconds", -1, "" },
    { "train_images_per_s", -1, "" },
    { "spectral_gap", -1, "" }, /* of the run's graph: from its first record */
};
enum { COLUMNS = QGM_COUNT(columns), GAP = COLUMNS - 1, MOST_EPOCHS = 4096 };

/* What a run's record says. */
struct result {
    double last[COLUMNS];
    double seconds;
    bool diverged;
    int points; /* evaluations */
    double epoch[MOST_EPOCHS], accuracy[MOST_EPOCHS];
};

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void take_record(struct result *r, const json_t *object)
{
    const char *kind = json_string_value(json_object_get(object, "record"));
    if (kind && strcmp(kind, "run") == 0) {
        r->last[GAP] = number(json_object_get(object, "topology"), "spectral_gap");
    } else if (kind && strcmp(kind, "evaluation") == 0) {
        for (int c = 0; c < GAP; c++) r->last[c] = number(object, columns[c].key);
        if (r->points < MOST_EPOCHS) {
            r->epoch[r->points] = number(object, "epoch");
            r->accuracy[r->points++] = r->last[0];
        }
    } else if (kind && strcmp(kind, "end") == 0) {
        const char *status = json_string_value(json_object_get(object, "status"));
        r->seconds = number(object, "seconds");
        r->diverged = status && strcmp(status, "diverged") == 0;
    }
}

static int read_result(struct result *r, const char *folder, struct qgm_error *err)
{
    char path[QGM_TEXT + 16];
    snprintf(path, sizeof path, "%s/run.jsonl", folder);
    FILE *f = fopen(path, "r");
    if (!f) return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", path, strerror(errno));
    memset(r, 0, sizeof *r);
    char *line = NULL;
    size_t size = 0;
    int result = 0;
    for (int number_of = 1; result == 0 && getline(&line, &size, f) > 0; number_of++) {
        json_error_t bad;
        json_t *object = json_loads(line, 0, &bad);
        if (object)
            take_record(r, object);
        else
            result = qgm_fail(err, QGM_INPUT, "%s:%d: not JSON: %s", path, number_of, bad.text);
        json_decref(object);
    }
    free(line);
    fclose(f);
    return result;
}

/* ---- Cells: the runs that differ in the seed only ---- */
struct cell {
    const struct qgm_grid_run *run; /* the first of them */
    int seeds, diverged, points;
    double mean[COLUMNS], seconds;
    double spread; /* sample standard deviation of the mean accuracy over seeds; NaN: one seed has none */
    double epoch[MOST_EPOCHS], accuracy[MOST_EPOCHS];
    double squares;
};

static bool same_cell(const struct qgm_grid *grid, const struct qgm_grid_run *a, const struct qgm_grid_run *b)
{
    if (a->series != b->series) return false;
    for (int k = 0; k < grid->axes; k++)
        if (!grid->axis[k].seed && a->at[k] != b->at[k]) return false;
    return true;
}

static void add_result(struct cell *cell, const struct result *r)
{
    /* Welford's update, so that one pass gives mean and spread. */
    cell->seeds++;
    cell->diverged += r->diverged;
    double delta = r->last[0] - cell->mean[0];
    for (int c = 0; c < COLUMNS; c++) cell->mean[c] += (r->last[c] - cell->mean[c]) / cell->seeds;
    cell->squares += delta * (r->last[0] - cell->mean[0]);
    cell->spread = cell->seeds > 1 ? sqrt(cell->squares / (cell->seeds - 1)) : NAN;
    cell->seconds += (r->seconds - cell->seconds) / cell->seeds;
    if (cell->seeds == 1 || r->points < cell->points) cell->points = r->points;
    for (int p = 0; p < cell->points; p++) {
        cell->epoch[p] = r->epoch[p];
        cell->accuracy[p] += (r->accuracy[p] - cell->accuracy[p]) / cell->seeds;
    }
}

FILE *qgm_study_create(const struct qgm_grid *grid, const char *name, char path[QGM_TEXT + 64], struct qgm_error *err)
{
    snprintf(path, QGM_TEXT + 64, "%s/%s.tmp", grid->out, name);
    FILE *f = fopen(path, "w");
    if (!f) qgm_fail(err, QGM_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    return f;
}

int qgm_study_finish(FILE *f, const char *path, struct qgm_error *err)
{
    bool bad = fflush(f) != 0 || ferror(f) || fsync(fileno(f)) != 0;
    bad |= fclose(f) != 0;
    char final[QGM_TEXT + 64];
    snprintf(final, sizeof final, "%.*s", (int)(strlen(path) - strlen(".tmp")), path);
    if (bad || rename(path, final) < 0) {
        qgm_fail(err, QGM_SYSTEM, "cannot write %s: %s", final, strerror(errno));
        return remove(path), -1;
    }
    return 0;
}

static const char *axis_value(const struct qgm_grid *grid, int axis, const struct qgm_grid_run *run)
{
    return grid->axis[axis].values.value[run->at[axis]];
}

/* The learning rate has a column of its own, unless it is one of the axes. */
static bool lr_is_axis(const struct qgm_grid *grid)
{
    for (int a = 0; a < grid->axes; a++)
        if (strcmp(grid->axis[a].flag->name, "lr") == 0) return true;
    return false;
}

/* A field of RFC 4180: in quotes where it holds a comma or a quote, which is doubled. */
static void print_text(FILE *f, const char *text, const char *more)
{
    bool quote = strpbrk(text, ",\"\n") != NULL;
    if (quote) fputc('"', f);
    for (const char *c = text; *c; c++) {
        if (*c == '"') fputc('"', f);
        fputc(*c, f);
    }
    fputs(more, f); /* has none of these */
    if (quote) fputc('"', f);
}

static void print_field(FILE *f, const char *text) { print_text(f, text, ""); }

/* "algorithm", the axes and the learning rate: of one run, or their names (run NULL). */
static void print_key(FILE *f, const struct qgm_grid *grid, const struct qgm_grid_run *run, bool seeds)
{
    print_field(f, run ? grid->study->series[run->series].label : "algorithm");
    for (int a = 0; a < grid->axes; a++) {
        if (grid->axis[a].seed && !seeds) continue;
        fputc(',', f);
        print_field(f, run ? axis_value(grid, a, run) : grid->axis[a].flag->name);
    }
    if (lr_is_axis(grid)) return;
    if (run)
        fprintf(f, ",%g", run->options.lr);
    else
        fprintf(f, ",lr");
}

static int write_runs(const struct qgm_grid *grid, const struct result *results, struct qgm_error *err)
{
    char path[QGM_TEXT + 64];
    FILE *f = qgm_study_create(grid, "runs.csv", path, err);
    if (!f) return -1;
    print_key(f, grid, NULL, true);
    fprintf(f, ",status");
    for (int c = 0; c < COLUMNS; c++) fprintf(f, ",%s", columns[c].key);
    fprintf(f, ",seconds\n");
    for (int i = 0; i < grid->runs; i++) {
        print_key(f, grid, &grid->run[i], true);
        fprintf(f, ",%s", results[i].diverged ? "diverged" : "finished");
        for (int c = 0; c < COLUMNS; c++) fprintf(f, ",%.6g", results[i].last[c]);
        fprintf(f, ",%.2f\n", results[i].seconds);
    }
    return qgm_study_finish(f, path, err);
}

static int write_summary(const struct qgm_grid *grid, const struct cell *cells, int n, struct qgm_error *err)
{
    char path[QGM_TEXT + 64];
    FILE *f = qgm_study_create(grid, "summary.csv", path, err);
    if (!f) return -1;
    print_key(f, grid, NULL, false);
    fprintf(f, ",seeds,diverged,accuracy_mean_sd_percent");
    for (int c = 0; c < COLUMNS; c++) fprintf(f, ",%s", columns[c].key);
    fprintf(f, ",seconds\n");
    for (int i = 0; i < n; i++) {
        print_key(f, grid, cells[i].run, false);
        fprintf(f, ",%d,%d,%.4g", cells[i].seeds, cells[i].diverged, cells[i].spread);
        for (int c = 0; c < COLUMNS; c++) fprintf(f, ",%.6g", cells[i].mean[c]);
        fprintf(f, ",%.2f\n", cells[i].seconds);
    }
    return qgm_study_finish(f, path, err);
}

/* One table, three dialects. */
struct dialect {
    const char *begin, *cell, *end, *rule, *spread; /* spread: between mean and standard deviation */
    bool pad, latex;
};
static const struct dialect plain = { "", "  ", "\n", NULL, " +- ", true, false };
static const struct dialect markdown = { "| ", " | ", " |\n", "|", " ± ", true, false }; /* a byte more than it shows */
static const struct dialect latex = { "", " & ", " \\\\\n", NULL, " $\\pm$ ", false, true };

static void print_escaped(FILE *to, const struct dialect *d, const char *text, int width)
{
    const char *special = d->latex ? "%_&#${}" : d->rule ? "|" : "";
    for (; *text; text++) {
        if (d->latex && strchr("\\^~", *text))
            fputs(*text == '\\' ? "\\textbackslash{}" : *text == '^' ? "\\^{}" : "\\~{}", to);
        else
            fprintf(to, strchr(special, *text) ? "\\%c" : "%c", *text);
        width -= (*text & 0xc0) != 0x80; /* a character, in UTF-8 */
    }
    if (d->pad) fprintf(to, "%*s", width > 0 ? width : 0, "");
}

static int widest(const char *head, char *const *texts, unsigned count)
{
    size_t width = strlen(head);
    for (unsigned i = 0; i < count; i++)
        if (strlen(texts[i]) > width) width = strlen(texts[i]);
    return (int)width;
}

/* The axes and the learning rate of one run, or their names (run NULL). */
static void print_axes(FILE *to, const struct dialect *d, const struct qgm_grid *grid, const struct qgm_grid_run *run)
{
    for (int a = 0; a < grid->axes; a++) {
        const struct qgm_axis *axis = &grid->axis[a];
        if (axis->seed) continue;
        fprintf(to, "%s", d->cell);
        print_escaped(to, d, run ? axis_value(grid, a, run) : axis->flag->name,
                      widest(axis->flag->name, axis->values.value, axis->values.count));
    }
    if (lr_is_axis(grid)) return;
    if (run)
        fprintf(to, "%s%6g", d->cell, run->options.lr);
    else
        fprintf(to, "%s%6s", d->cell, "lr");
}

static void print_table(FILE *to, const struct dialect *d, const struct qgm_grid *grid, const struct cell *cells, int n)
{
    int width = 10;
    for (unsigned s = 0; s < grid->study->series_count; s++) {
        int length = (int)strlen(grid->study->series[s].label);
        if (length > width) width = length;
    }
    fprintf(to, "%s", d->begin);
    print_escaped(to, d, "algorithm", width);
    print_axes(to, d, grid, NULL);
    for (int c = 0; c < COLUMNS; c++)
        if (columns[c].digits >= 0) {
            fprintf(to, "%s", d->cell);
            print_escaped(to, d, columns[c].head, c ? 10 : 14);
        }
    fprintf(to, "%s%7s%s", d->cell, "seconds", d->end);
    if (d->rule) {
        int count = lr_is_axis(grid) ? 2 : 3;
        for (int a = 0; a < grid->axes; a++) count += !grid->axis[a].seed;
        for (int c = 0; c < COLUMNS; c++) count += columns[c].digits >= 0;
        for (int k = 0; k < count; k++) fprintf(to, "|---");
        fprintf(to, "|\n");
    }
    for (int i = 0; i < n; i++) {
        fprintf(to, "%s", d->begin);
        print_escaped(to, d, grid->study->series[cells[i].run->series].label, width);
        print_axes(to, d, grid, cells[i].run);
        for (int c = 0; c < COLUMNS; c++) {
            char text[64];
            if (columns[c].digits < 0) continue;
            int used = snprintf(text, sizeof text, "%.*f", columns[c].digits, cells[i].mean[c]);
            if (c == 0 && cells[i].diverged)
                snprintf(text, sizeof text, "%d diverged", cells[i].diverged);
            else if (c == 0 && cells[i].seeds > 1)
                snprintf(text + used, sizeof text - (size_t)used, "%s%.2f", d->spread, cells[i].spread);
            fprintf(to, "%s%-*s", d->cell, d->pad ? (c ? 10 : 14) + (d->rule && strstr(text, d->spread)) : 0, text);
        }
        fprintf(to, "%s%7.1f%s", d->cell, cells[i].seconds, d->end);
    }
}

static int write_table(const char *name, const struct dialect *d, const struct qgm_grid *grid, const struct cell *cells,
                       int n, struct qgm_error *err)
{
    char path[QGM_TEXT + 64];
    FILE *f = qgm_study_create(grid, name, path, err);
    if (!f) return -1;
    if (d->latex) fprintf(f, "%% %s\n", grid->study->title);
    print_table(f, d, grid, cells, n);
    return qgm_study_finish(f, path, err);
}

/* ---- Data of the figures: wide tables, one column a series, so that a script is a few lines of gnuplot ---- */

/* The cell of a series at value v of an axis and the drawing's of all others; NULL where the study has none. */
static const struct cell *find_cell(const struct qgm_grid *grid, const struct cell *cells, int n, unsigned series,
                                    const struct qgm_drawing *d, int axis, unsigned v)
{
    for (int i = 0; i < n; i++) {
        bool fits = cells[i].run->series == series;
        for (int a = 0; a < grid->axes && fits; a++)
            if (!grid->axis[a].seed) fits = cells[i].run->at[a] == (a == axis ? v : d->at[a]);
        if (fits) return &cells[i];
    }
    return NULL;
}

static void write_heads(FILE *f, const struct qgm_grid *grid, const char *x, bool spread)
{
    fprintf(f, "%s", x);
    for (unsigned s = 0; s < grid->study->series_count; s++) {
        fputc(',', f);
        print_field(f, grid->study->series[s].label);
        if (spread) fputc(',', f);
        if (spread) print_text(f, grid->study->series[s].label, " sd");
    }
    fprintf(f, "\n");
}

/* <name>-epochs.csv: against the epoch, at the last value of the axis. Series may be evaluated at epochs of their own,
 * and end earlier: nan where one has no point. */
static int write_curves(const struct qgm_grid *grid, const struct qgm_drawing *d, const struct cell *cells, int n,
                        int axis, struct qgm_error *err)
{
    unsigned last = grid->axis[axis].values.count - 1, series = grid->study->series_count;
    char path[QGM_TEXT + 64], name[QGM_TEXT + 16];
    snprintf(name, sizeof name, "%s-epochs.csv", d->name);
    FILE *f = qgm_study_create(grid, name, path, err);
    if (!f) return -1;
    write_heads(f, grid, "epoch", false);
    const struct cell *curve[QGM_MAX_SERIES];
    int at[QGM_MAX_SERIES]; /* the first point of each that is not written yet */
    for (unsigned s = 0; s < series; s++) {
        curve[s] = find_cell(grid, cells, n, s, d, axis, last);
        at[s] = curve[s] && !curve[s]->diverged ? 0 : INT_MAX;
    }
    for (;;) {
        double epoch = INFINITY;
        for (unsigned s = 0; s < series; s++)
            if (curve[s] && at[s] < curve[s]->points) epoch = fmin(epoch, curve[s]->epoch[at[s]]);
        if (isinf(epoch)) break;
        fprintf(f, "%.6g", epoch);
        for (unsigned s = 0; s < series; s++) {
            bool there = curve[s] && at[s] < curve[s]->points && curve[s]->epoch[at[s]] == epoch;
            fprintf(f, ",%.6g", there ? curve[s]->accuracy[at[s]++] : NAN);
        }
        fprintf(f, "\n");
    }
    return qgm_study_finish(f, path, err);
}

/* <name>.csv: accuracy against the axis; then the curves. */
static int write_figure(const struct qgm_grid *grid, const struct qgm_figure *figure, const struct qgm_drawing *d,
                        const struct cell *cells, int n, struct qgm_error *err)
{
    int axis = qgm_grid_axis(grid, figure->x);
    char path[QGM_TEXT + 64], name[QGM_TEXT + 16];
    snprintf(name, sizeof name, "%s.csv", d->name);
    FILE *f = qgm_study_create(grid, name, path, err);
    if (!f) return -1;
    unsigned values = grid->axis[axis].values.count, series = grid->study->series_count;
    write_heads(f, grid, figure->x, true);
    for (unsigned v = 0; v < values; v++) {
        print_field(f, grid->axis[axis].values.value[v]);
        for (unsigned s = 0; s < series; s++) {
            const struct cell *cell = find_cell(grid, cells, n, s, d, axis, v);
            bool shown = cell && !cell->diverged;
            fprintf(f, ",%.6g,%.6g", shown ? cell->mean[0] : NAN, shown ? cell->spread : NAN);
        }
        fprintf(f, "\n");
    }
    QGM_TRY(qgm_study_finish(f, path, err));
    return write_curves(grid, d, cells, n, axis, err);
}

static int write_shares(FILE *f, const struct qgm_options *o, const struct qgm_dataset *data, const char *value,
                        struct qgm_error *err)
{
    struct qgm_partition p;
    struct qgm_heterogeneity h;
    int classes = data->train.classes;
    QGM_TRY(qgm_partition_open(&p, o->partition, o->alpha, (int)o->clients, data->train.labels, data->train.n, classes,
                               (uint64_t)o->seed, err));
    size_t count = (size_t)p.clients * (size_t)classes;
    long *counts = calloc(count, sizeof *counts);
    if (counts) qgm_partition_measure(&p, data->train.labels, classes, &h, counts);
    for (size_t k = 0; counts && k < count; k++) {
        print_field(f, value);
        fprintf(f, ",%zu,%zu,%ld\n", k / (size_t)classes, k % (size_t)classes, counts[k]);
    }
    qgm_partition_close(&p);
    if (!counts)
        return qgm_fail(err, QGM_SYSTEM, "partition.csv: out of memory for %ld clients' examples of %d classes",
                        o->clients, classes);
    free(counts);
    return 0;
}

/* The first series and seed: all series of a study share the partition. */
static bool is_dealt(const struct qgm_grid *grid, const struct qgm_drawing *d, int axis, const struct qgm_grid_run *run)
{
    bool shown = run->series == 0;
    for (int a = 0; a < grid->axes; a++) shown &= a == axis || run->at[a] == d->at[a];
    return shown;
}

/* partition.csv: how many examples of each class every client has, for each value of the axis. */
static int write_partition(const struct qgm_grid *grid, const struct qgm_figure *figure, const struct qgm_drawing *d,
                           struct qgm_error *err)
{
    int axis = qgm_grid_axis(grid, figure->x), first = 0;
    char path[QGM_TEXT + 64], name[QGM_TEXT + 16];
    snprintf(name, sizeof name, "%s.csv", d->name);
    FILE *f = qgm_study_create(grid, name, path, err);
    if (!f) return -1;
    fprintf(f, "%s,client,class,examples\n", figure->x);
    struct qgm_dataset data = { 0 };
    while (!is_dealt(grid, d, axis, &grid->run[first])) first++;
    const struct qgm_options *o = &grid->run[first].options;
    int result = qgm_dataset_open(&data, o->dataset, *o->data_dir ? o->data_dir : NULL, err);
    for (int i = 0; i < grid->runs && result == 0; i++) {
        if (is_dealt(grid, d, axis, &grid->run[i]))
            result = write_shares(f, &grid->run[i].options, &data, axis_value(grid, axis, &grid->run[i]), err);
    }
    qgm_dataset_close(&data);
    int finished = qgm_study_finish(f, path, result < 0 ? NULL : err);
    return result < 0 ? -1 : finished;
}

static int write_all(const struct qgm_grid *grid, const struct result *results, const struct cell *cells, int n,
                     struct qgm_error *err)
{
    QGM_TRY(write_runs(grid, results, err));
    QGM_TRY(write_summary(grid, cells, n, err));
    QGM_TRY(write_table("summary.md", &markdown, grid, cells, n, err));
    QGM_TRY(write_table("summary.tex", &latex, grid, cells, n, err));
    for (unsigned i = 0; i < grid->study->figures_count; i++) {
        const struct qgm_figure *figure = &grid->study->figures[i];
        bool partition = strcmp(figure->plot, "partition") == 0;
        struct qgm_drawing d;
        for (int k = 0; qgm_figure_drawing(grid, figure, k, &d); k++)
            QGM_TRY(partition ? write_partition(grid, figure, &d, err) : write_figure(grid, figure, &d, cells, n, err));
    }
    return 0;
}

int qgm_tables_write(const struct qgm_grid *grid, FILE *to, struct qgm_error *err)
{
    struct result *results = calloc((size_t)grid->runs, sizeof *results);
    struct cell *cells = calloc((size_t)grid->runs, sizeof *cells);
    int n = 0, status = results && cells ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory");
    for (int i = 0; i < grid->runs && status == 0; i++) {
        status = read_result(&results[i], grid->run[i].options.out, err);
        int k = 0;
        while (k < n && !same_cell(grid, cells[k].run, &grid->run[i])) k++;
        if (k == n) cells[n++].run = &grid->run[i];
        if (status == 0) add_result(&cells[k], &results[i]);
    }
    if (status == 0) status = write_all(grid, results, cells, n, err);
    if (status == 0) status = qgm_machines_write(grid, err);
    if (status == 0) print_table(to, &plain, grid, cells, n);
    free(results);
    free(cells);
    return status;
}
