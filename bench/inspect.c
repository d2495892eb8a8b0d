/* qgm-inspect: what a graph or a partition is like, before anything is trained on it. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "flags.h"
#include "kernels.h"
#include "layout.h"
#include "topology.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_CSV = QGM_OWN_FLAG, FLAG_DRAWING, FLAG_STEP, FLAG_WRITE };
static bool csv, drawing;
static long step;
static char file[QGM_TEXT]; /* where the partition goes */

static int set_own(int val, const char *argument, void *user, struct qgm_error *err)
{
    (void)user;
    if (val == FLAG_CSV) csv = true;
    if (val == FLAG_DRAWING) drawing = true;
    if (val == FLAG_WRITE && snprintf(file, sizeof file, "%s", argument) >= (int)sizeof file)
        return qgm_fail(err, QGM_USAGE, "--write: the path is too long");
    return val == FLAG_STEP ? qgm_flag_whole("step", argument, 0, 1000000000, &step, err) : 0;
}

static const struct poptOption own_flags[] = {
    { "csv", 0, POPT_ARG_NONE, NULL, FLAG_CSV,
      "machine-readable: topology to,from,weight; partition client,class,examples", NULL },
    { "drawing", 0, POPT_ARG_NONE, NULL, FLAG_DRAWING,
      "of a topology: to,from,weight and where to draw the two, x and y within -1..1", NULL },
    { "step", 0, POPT_ARG_STRING, NULL, FLAG_STEP, "of a topology that changes: the weights of this step [0]", "T" },
    { "write", 0, POPT_ARG_STRING, NULL, FLAG_WRITE, "write the partition to a file that --partition file:FILE reads",
      "FILE" },
    POPT_TABLEEND
};
static const struct qgm_program program = {
    .name = "qgm-inspect",
    .usage = "topology [NAME] [FLAG]... | partition [NAME] [FLAG]...",
    .intro = "topology: the mixing matrix of a graph, its degrees, spectral gap, smallest eigenvalue and diameter.\n"
             "partition: how many examples of each class every client gets, and how heterogeneous that is.\n"
             "Takes the flags of a run: --clients, --lazy, --seed, --dataset, --partition, --alpha ...",
    .examples = "  qgm-inspect topology davis --clients 32\n  qgm-inspect topology ring --clients 16 --lazy --csv\n"
                "  qgm-inspect topology one-peer-exponential --clients 8 --step 2\n  qgm-inspect topology karate "
                "--clients 34 --drawing\n  qgm-inspect partition lin2021 --alpha 0.1 "
                "--clients 16 --write mine.txt\n",
    .run_flags = true,
    .own = own_flags,
    .set = set_own,
};

static void print_weights(const struct qgm_row *rows, int n)
{
    if (csv) printf("to,from,weight\n");
    for (int i = 0; i < n; i++) {
        if (!csv) printf("%4d |", i);
        for (int k = 0; k < rows[i].n; k++)
            if (csv)
                printf("%d,%d,%.17g\n", i, rows[i].from[k], rows[i].w[k]);
            else
                printf(" %d:%.6g", rows[i].from[k], rows[i].w[k]);
        if (!csv) printf("\n");
    }
}

/* The graph as plots/graph.gp reads it; a client's own weight is an edge to itself. */
static int print_drawing(const struct qgm_row *rows, int n, struct qgm_error *err)
{
    double *xy = malloc(2 * (size_t)n * sizeof *xy);
    int result = xy ? qgm_layout(rows, n, xy, err) : qgm_fail(err, QGM_SYSTEM, "out of memory for %d clients", n);
    if (result == 0) printf("to,from,weight,to_x,to_y,from_x,from_y\n");
    for (int i = 0; i < n && result == 0; i++)
        for (int k = 0; k < rows[i].n; k++) {
            int j = rows[i].from[k];
            printf("%d,%d,%.9g,%.5f,%.5f,%.5f,%.5f\n", i, j, rows[i].w[k], xy[2 * i], xy[2 * i + 1], xy[2 * j],
                   xy[2 * j + 1]);
        }
    free(xy);
    return result;
}

static const char *yes(bool b) { return b ? "yes" : "no"; }

/* A time-varying graph's numbers are of one step, or of several together: which, is said. */
/* No -0.000000. */
static double shown(double eigenvalue) { return fabs(eigenvalue) < 5e-7 ? 0 : eigenvalue; }

static void print_facts(struct qgm_topology *t)
{
    const struct qgm_spectrum *s = qgm_topology_spectrum(t);
    bool periodic = qgm_topology_period(t) > 0;
    const char *all = periodic ? ", over all steps of a period" : ", over 64 steps";
    printf("spectral gap  %.6g%s\nlambda_2      %.6f\nlambda_min    %.6f\n", s->gap,
           !s->time_varying ? ""
           : periodic       ? ", of the product over a period"
                            : ", of a step as expected",
           shown(s->lambda2), shown(s->lambda_min));
    if (s->time_varying) printf("degree        mean %.4f (self not counted), of a step\n", s->degree_step);
    printf("degree        %d to %d, mean %.4f (self not counted)%s\n", s->degree_min, s->degree_max, s->degree_mean,
           s->time_varying ? all : "");
    if (s->connected)
        printf("diameter      %d%s\n", s->diameter, s->time_varying ? all : "");
    else
        printf("diameter      none: not connected\n");
    printf("stochastic    rows %s, columns %s; symmetric %s; time-varying %s\n", yes(s->row_stochastic),
           yes(s->column_stochastic), yes(s->symmetric), yes(s->time_varying));
    if (s->time_varying)
        printf("weights       of step %ld%s: client | from:weight ...\n", step,
               periodic ? "" : "; every step has others");
    else
        printf("weights       client | from:weight ...\n");
}

static int inspect_topology(const struct qgm_options *o, struct qgm_error *err)
{
    struct qgm_topology *t;
    QGM_TRY(qgm_topology_open(&t, o->topology, (int)o->clients, o->lazy, (uint64_t)o->seed, err));
    if (step && qgm_topology_period(t) == 1) {
        qgm_topology_close(&t);
        return qgm_fail(err, QGM_USAGE, "--step %ld: %s is the same in every step", step, o->topology);
    }
    if (!csv && !drawing && qgm_topology_find_spectrum(t, err) < 0) {
        qgm_topology_close(&t);
        return -1;
    }
    if (!csv && !drawing) {
        printf("topology      %s%s, %ld clients: %s\n", o->topology, o->lazy ? " (lazy)" : "", o->clients,
               qgm_topology_about(o->topology));
        print_facts(t);
    }
    const struct qgm_row *rows = qgm_topology_rows(t, step);
    int result = rows ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory for %ld clients", o->clients);
    if (rows && drawing) result = print_drawing(rows, (int)o->clients, err);
    if (rows && !drawing) print_weights(rows, (int)o->clients);
    qgm_topology_close(&t);
    return result;
}

static void print_counts(const struct qgm_partition *p, const long *counts, int classes)
{
    if (csv)
        printf("client,class,examples\n");
    else {
        printf("client  examples |");
        for (int c = 0; c < classes; c++) printf(" %6d", c);
        printf("   (class)\n");
    }
    for (int i = 0; i < p->clients; i++) {
        if (!csv) printf("%6d  %8u |", i, p->start[i + 1] - p->start[i]);
        for (int c = 0; c < classes; c++)
            if (csv)
                printf("%d,%d,%ld\n", i, c, counts[i * classes + c]);
            else
                printf(" %6ld", counts[i * classes + c]);
        if (!csv) printf("\n");
    }
}

static int print_partition(const struct qgm_options *o, const struct qgm_dataset *data, const struct qgm_partition *p,
                           struct qgm_error *err)
{
    int classes = data->train.classes;
    long *counts = calloc((size_t)o->clients * (size_t)classes, sizeof *counts);
    if (!counts) return qgm_fail(err, QGM_SYSTEM, "out of memory for %ld clients of %d classes", o->clients, classes);
    struct qgm_heterogeneity h;
    qgm_partition_measure(p, data->train.labels, classes, &h, counts);
    if (!csv) {
        printf("partition        %s of %s over %ld clients, seed %ld", o->partition, data->name, o->clients, o->seed);
        if (qgm_partition_uses_alpha(o->partition)) printf(", alpha %g", o->alpha);
        printf("\nsizes            %ld to %ld examples\ntotal variation  mean %.4f, max %.4f (0: like all data, "
               "towards 1: disjoint)\n",
               h.size_min, h.size_max, h.tv_mean, h.tv_max);
        printf("label entropy    mean %.4f, min %.4f nats\nL1 distance      mean %.4f (the EMD of Zhao et al. 2018)\n"
               "largest class    mean %.4f of a client's data\n",
               h.entropy_mean, h.entropy_min, h.emd_mean, h.largest_class_mean);
        printf("fingerprint      %016" PRIx64 "\n", h.fingerprint);
    }
    print_counts(p, counts, classes);
    free(counts);
    return 0;
}

static int inspect_partition(const struct qgm_options *o, struct qgm_error *err)
{
    struct qgm_dataset data;
    struct qgm_partition p;
    QGM_TRY(qgm_dataset_open(&data, o->dataset, *o->data_dir ? o->data_dir : NULL, err));
    qgm_print_notes(program.name, data.notes);
    int result = qgm_partition_open(&p, o->partition, o->alpha, (int)o->clients, data.train.labels, data.train.n,
                                    data.train.classes, (uint64_t)o->seed, err);
    if (result == 0) {
        if (*file) result = qgm_partition_save(&p, file, err);
        if (result == 0) result = print_partition(o, &data, &p, err);
        qgm_partition_close(&p);
    }
    qgm_dataset_close(&data);
    return result;
}

static int inspect(int argc, const char **argv, struct qgm_error *err)
{
    struct qgm_options options;
    qgm_options_default(&options);
    const char *words[2] = { NULL };
    int n = qgm_parse(&program, argc, argv, &options, words, 2, err);
    if (n < 0) return -1;
    QGM_TRY(qgm_options_kernels(&options, err));
    bool topology = n > 0 && strcmp(words[0], "topology") == 0;
    if (n == 0 || (!topology && strcmp(words[0], "partition") != 0))
        return qgm_fail(err, QGM_USAGE, "%s%s: expected 'topology' or 'partition' (see --help)", n ? "" : "nothing",
                        n ? words[0] : " to inspect");
    if (topology && *file)
        return qgm_fail(err, QGM_USAGE, "--write %s: writes a partition; for the weights of a graph: --csv >%s", file,
                        file);
    if (!topology && drawing) return qgm_fail(err, QGM_USAGE, "--drawing: is of a topology");
    if (!topology && step) return qgm_fail(err, QGM_USAGE, "--step: is of a topology");
    if (drawing && csv) return qgm_fail(err, QGM_USAGE, "--csv, --drawing: one of the two");
    const char *flagged = topology ? options.topology : options.partition;
    struct qgm_options usual;
    qgm_options_default(&usual);
    if (n == 2 && strcmp(flagged, words[1]) != 0 && strcmp(flagged, topology ? usual.topology : usual.partition) != 0)
        return qgm_fail(err, QGM_USAGE, "%s %s, --%s %s: one of the two", words[0], words[1], words[0], flagged);
    if (n == 2) QGM_TRY(qgm_options_set(&options, words[0], words[1], err));
    QGM_TRY(qgm_options_check(&options, err));
    return topology ? inspect_topology(&options, err) : inspect_partition(&options, err);
}

int main(int argc, const char **argv)
{
    struct qgm_error err = { 0 };
    if (inspect(argc, argv, &err) < 0) return qgm_complain(program.name, &err);
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
