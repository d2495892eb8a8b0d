/* qgm-bench-exchange: what an exchange between processes costs, in the manner of the OSU micro-benchmarks, and how much
 * of it hides behind computation. SPDX-License-Identifier: MIT */
#include "exchange.h"
#include "flags.h"
#include "progress.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLAG_MOST = QGM_OWN_FLAG, FLAG_ROUNDS, FLAG_CSV };
enum { MOST_ROUNDS = 1000, MOST_SIZES = 32 };

struct bench {
    struct qgm_group *group;
    struct qgm_exchange *exchange;
    long most, rounds; /* bytes of the largest message; repetitions of each measurement */
    bool csv;
    size_t dim;
    float *work;  /* a panel to compute on */
    double *told; /* [process][2]: what processes tell each other */
    int repeats;  /* times a block is computed on */
};

static int set_own(int val, const char *argument, void *user, struct qgm_error *err)
{
    struct bench *b = user;
    if (val == FLAG_CSV) {
        b->csv = true;
        return 0;
    }
    if (val == FLAG_MOST) return qgm_flag_whole("most", argument, 4096, 1L << 30, &b->most, err);
    return qgm_flag_whole("rounds", argument, 3, MOST_ROUNDS, &b->rounds, err);
}

static const struct poptOption own_flags[] = {
    { "most", 0, POPT_ARG_STRING, NULL, FLAG_MOST, "bytes of the largest message, at least 4096 [4194304]", "N" },
    { "rounds", 0, POPT_ARG_STRING, NULL, FLAG_ROUNDS, "repetitions; the median counts [15]", "N" },
    { "csv", 0, POPT_ARG_NONE, NULL, FLAG_CSV, "machine-readable", NULL },
    POPT_TABLEEND
};

/* ---- The walk of the engine over a vector, with a computation whose length is ours to choose ---- */

static void compute(struct bench *b, size_t elements)
{
    struct qgm_exchange *ex = b->exchange;
    for (size_t at = 0; at < elements; at += 1024) {
        size_t len = elements - at < 1024 ? elements - at : 1024;
        for (int r = 0; r < b->repeats; r++)
            for (size_t k = 0; k < len; k++) b->work[at + k] = 0.5f * b->work[at + k] + 1;
        if (ex->op->progress) ex->op->progress(ex, 0);
    }
}

static double walk(struct bench *b, bool talks, bool computes)
{
    struct qgm_exchange *ex = b->exchange;
    size_t panels = (b->dim + ex->panel - 1) / ex->panel;
    double begin = qgm_seconds();
    for (size_t p = 0; p < panels; p++) {
        int flight = (int)(p % (size_t)ex->depth);
        size_t elements = p + 1 < panels ? ex->panel : b->dim - p * ex->panel;
        if (talks && p >= (size_t)ex->depth) ex->op->finish(ex, 0, flight);
        if (computes) compute(b, elements);
        if (talks) ex->op->begin(ex, 0, flight, 0, 1, elements, false);
    }
    for (int f = 0; talks && f < ex->depth; f++) ex->op->finish(ex, 0, f);
    return qgm_seconds() - begin;
}

/* Median of this process; all begin together. */
static double measure(struct bench *b, bool talks, bool computes)
{
    double times[MOST_ROUNDS];
    walk(b, talks, computes); /* first touch, connections */
    for (long r = 0; r < b->rounds; r++) {
        qgm_group_share(b->group, b->told, sizeof *b->told, b->group->ranks);
        times[r] = walk(b, talks, computes);
    }
    return qgm_median(times, b->rounds);
}

/* ---- Sizes ---- */

struct line {
    double bytes, sent;       /* of a vector; to all neighbours */
    double least, mean, most; /* seconds over processes */
    double added, overlap;    /* seconds that it adds to a computation; share of the exchange that hides behind it */
};

/* In shared memory nothing travels, and there is nothing to hide. */
static void summarise(struct bench *b, double exchange, double alone, double both, struct line *out)
{
    int ranks = b->group->ranks;
    double *all = b->told;
    all[2 * b->group->rank] = exchange;
    all[2 * b->group->rank + 1] = both - alone;
    qgm_group_share(b->group, all, 2 * sizeof *all, ranks);
    double bytes = (double)(b->dim * sizeof(float));
    *out = (struct line){ .bytes = bytes, .sent = bytes * (ranks > 2 ? 2 : 1), .least = all[0] };
    for (int r = 0; r < ranks; r++) {
        out->least = fmin(out->least, all[2 * r]);
        out->most = fmax(out->most, all[2 * r]);
        out->mean += all[2 * r] / ranks;
        out->added += fmax(all[2 * r + 1], 0) / ranks;
    }
    out->overlap = b->exchange->shared ? NAN : fmax(1 - out->added / out->mean, 0);
}

/* A computation about as long as the exchange, so that there is as much to hide as to hide it behind. */
static void calibrate(struct bench *b, double exchange)
{
    b->repeats = 1;
    double one = measure(b, false, true), longest = 1;
    int ranks = b->group->ranks;
    double *all = b->told;
    all[b->group->rank] = one > 0 ? exchange / one : 1;
    qgm_group_share(b->group, all, sizeof *all, ranks);
    for (int r = 0; r < ranks; r++) longest = fmax(longest, all[r]); /* the same work everywhere */
    b->repeats = (int)fmin(longest + 0.5, 1e6);
}

static int bench_size(struct bench *b, const struct qgm_row *rows, struct line *out, struct qgm_error *err)
{
    struct qgm_exchange_size size = { b->group->ranks, 1, 1, b->dim, sizeof(float) };
    QGM_TRY(b->group->op->exchange(b->group, &b->exchange, &size, err));
    for (int step = 0; step < 2; step++) /* a graph that stays */
        QGM_TRY(b->exchange->op->plan(b->exchange, rows, err));
    float *mine = (float *)(void *)b->exchange->op->panels(b->exchange, 0, 0, 0, 0)[b->exchange->first];
    for (size_t k = 0; k < b->exchange->panel; k++) mine[k] = (float)k;
    double exchange = measure(b, true, false);
    calibrate(b, exchange);
    double alone = measure(b, false, true), both = measure(b, true, true);
    summarise(b, exchange, alone, both, out);
    b->exchange->op->close(&b->exchange);
    return 0;
}

static void print_line(const struct bench *b, const struct line *l)
{
    printf(b->csv ? "%.0f,%.2f,%.2f,%.2f,%.1f,%.2f,%.1f\n" : "%12.0f %11.2f %11.2f %11.2f %11.1f %11.2f %10.1f\n",
           l->bytes, l->least * 1e6, l->mean * 1e6, l->most * 1e6, l->sent / l->mean / 1e6, l->added * 1e6,
           100 * l->overlap);
    fflush(stdout);
}

/* time = latency + bytes sent / bandwidth by least squares of relative errors: what --network takes. */
static void print_fit(const struct line *l, int n)
{
    double a = 0, b = 0, c = 0, d = 0, e = 0;
    for (int i = 0; i < n; i++) {
        double w = 1 / (l[i].mean * l[i].mean), x = l[i].sent;
        a += w, b += w * x, c += w * x * x, d += w * l[i].mean, e += w * x * l[i].mean;
    }
    double slope = (a * e - b * d) / (a * c - b * b), latency = (d - slope * b) / a;
    if (!(slope > 0)) {
        fprintf(stderr, "fit     none: longer messages took no more time; a larger --most, more --rounds or a machine "
                        "that does nothing else may tell\n");
        return;
    }
    fprintf(stderr, "fit     --network ethernet:latency-us=%.3g,mbit-s=%.4g\n", fmax(latency, 0) * 1e6, 8e-6 / slope);
}

static int sweep(struct bench *b, struct qgm_error *err)
{
    struct qgm_topology *ring;
    struct line line[MOST_SIZES];
    int n = 0;
    if (b->group->ranks == 1)
        return qgm_fail(err, QGM_USAGE, "one process has nobody to exchange with: mpirun -n 2 qgm-bench-exchange");
    QGM_TRY(qgm_topology_open(&ring, "ring", b->group->ranks, false, 1, err));
    b->work = calloc(1 << 16, sizeof *b->work);
    b->told = calloc((size_t)b->group->ranks, 2 * sizeof *b->told);
    int result = b->work && b->told ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory");
    if (b->csv)
        printf("bytes,exchange_us_min,exchange_us_mean,exchange_us_max,megabytes_per_s,added_us,overlap_percent\n");
    else
        printf("%12s %11s %11s %11s %11s %11s %10s\n", "bytes", "min us", "mean us", "max us", "MB/s", "added us",
               "overlap %");
    for (long bytes = 4096; result == 0 && bytes <= b->most && n < MOST_SIZES; bytes *= 2) {
        b->dim = (size_t)bytes / sizeof(float);
        result = bench_size(b, qgm_topology_rows(ring, 0), &line[n], err);
        if (result == 0) print_line(b, &line[n++]);
    }
    if (result == 0 && n > 1 && b->group->rank == 0 && !isnan(line[n - 1].overlap)) print_fit(line, n);
    free(b->work);
    free(b->told);
    qgm_topology_close(&ring);
    return result;
}

int main(int argc, const char **argv)
{
    struct bench bench = { .most = 4 << 20, .rounds = 15 };
    const struct qgm_program program = {
        .name = "qgm-bench-exchange",
        .usage = "[FLAG]...   (mpirun -n 4 qgm-bench-exchange)",
        .intro =
            "Processes in a ring, one client each, exchange vectors of 4 KiB to 4 MiB with both neighbours: time over\n"
            "processes, bytes sent a second, what it adds to a computation of equal length, and the share of it that "
            "hides\n"
            "behind that. Processes of one machine share memory and copy nothing: nan, for there is nothing to hide;\n"
            "QGM_MPI_SHARE=1 makes them send messages, QGM_MPI_STANDING=1 by persistent neighbourhood collectives.",
        .examples = "  mpirun -n 2 qgm-bench-exchange\n  srun -n 8 qgm-bench-exchange --csv > exchange.csv\n",
        .own = own_flags,
        .set = set_own,
        .user = &bench,
    };
    struct qgm_error err = { 0 };
    if (qgm_group_open(&bench.group, &err) < 0) return qgm_complain(program.name, &err);
    if (bench.group->rank && !freopen("/dev/null", "w", stdout)) return 1;
    if (qgm_parse(&program, argc, argv, NULL, NULL, 0, &err) < 0 || sweep(&bench, &err) < 0) {
        if (bench.group->rank) sleep(1); /* process 0 says it first */
        int code = qgm_complain(program.name, &err);
        if (bench.group->ranks > 1) bench.group->op->abort(bench.group, code);
        return code;
    }
    bench.group->op->close(&bench.group);
    return 0;
}
