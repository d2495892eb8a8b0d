/* qgm-replay: a golden trajectory, run again through the engine. SPDX-License-Identifier: MIT */
#include "engine.h"
#include "flags.h"
#include "golden.h"
#include "kernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_PRINT = QGM_OWN_FLAG, FLAG_DOUBLE, FLAG_ISA, FLAG_THREADS };

struct replay {
    bool print, reference;
    char isa[32]; /* empty: chosen by the environment or the machine */
    long threads;
};

static int set_own(int val, const char *argument, void *user, struct qgm_error *err)
{
    struct replay *r = user;
    switch (val) {
    case FLAG_PRINT:
        r->print = true;
        break;
    case FLAG_DOUBLE:
        r->reference = true;
        break;
    case FLAG_ISA:
        snprintf(r->isa, sizeof r->isa, "%s", argument);
        break;
    default:
        return qgm_flag_whole("threads", argument, 1, 1024, &r->threads, err);
    }
    return 0;
}

static const struct poptOption own_flags[] = {
    { "print", 0, POPT_ARG_NONE, NULL, FLAG_PRINT, "print this engine's X rows, in the format of the file", NULL },
    { "double", 0, POPT_ARG_NONE, NULL, FLAG_DOUBLE, "run the algorithm in double precision (the reference engine)",
      NULL },
    { "isa", 0, POPT_ARG_STRING, NULL, FLAG_ISA, "instruction set: auto, scalar, avx2, avx512, neon", "NAME" },
    { "threads", 0, POPT_ARG_STRING, NULL, FLAG_THREADS, "threads; results do not depend on it", "N" },
    POPT_TABLEEND
};
static const char intro[] =
    "Runs the problems of golden CSV files through the engine and prints the largest deviation from their X rows, as "
    "a\n"
    "share of the largest |x| among them. Exit code 1 when one is above 1e-5 (1e-11 with --double). Algorithms run\n"
    "on the graph of the file even where it lacks what they declare to need.";

static double get(struct qgm_engine *e, bool reference, int i, long k)
{
    return reference ? qgm_engine_reference_params(e, i)[k] : (double)qgm_engine_params(e, i)[k];
}

static void gradients(struct qgm_engine *e, const struct qgm_golden *g, bool reference)
{
    for (int i = 0; i < g->n; i++)
        for (long k = 0; k < g->d; k++) {
            double value = qgm_golden_gradient(g, i, k, get(e, reference, i, k));
            if (reference)
                qgm_engine_reference_grad(e, i)[k] = value;
            else
                qgm_engine_grad(e, i)[k] = (float)value;
        }
}

static void start(struct qgm_engine *e, const struct qgm_golden *g, bool reference)
{
    for (int i = 0; i < g->n; i++)
        for (long k = 0; k < g->d; k++) {
            double value = g->start[(long)i * g->d + k];
            if (reference)
                qgm_engine_reference_params(e, i)[k] = value;
            else
                qgm_engine_params(e, i)[k] = (float)value;
        }
}

/* Compare, and print, the points of step t. NaN counts as infinitely far. */
static void visit(struct qgm_engine *e, const struct qgm_golden *g, const struct replay *r, long t, double *worst)
{
    for (size_t p = 0; p < g->points; p++) {
        const struct qgm_golden_point *point = &g->point[p];
        if (point->t != t) continue;
        double x = get(e, r->reference, point->i, point->k), off = fabs(x - point->x);
        if (r->print) printf("X,%ld,%d,%ld,%.17g\n", t, point->i, point->k, x);
        if (!(off <= *worst)) *worst = isnan(off) ? INFINITY : off;
    }
}

static int run(struct qgm_engine *e, const struct qgm_golden *g, const struct replay *r, double *worst,
               struct qgm_error *err)
{
    *worst = 0;
    start(e, g, r->reference);
    for (long t = 0; t < g->steps; t++) {
        gradients(e, g, r->reference);
        QGM_TRY(qgm_engine_step(e, g->lr[t], NULL, err));
        visit(e, g, r, t + 1, worst);
    }
    return 0;
}

static int replay(const struct replay *r, const char *path, struct qgm_error *err)
{
    struct qgm_golden g;
    struct qgm_engine *e = NULL;
    QGM_TRY(qgm_golden_open(&g, path, err));
    struct qgm_engine_config config = { .algo = g.algo,
                                        .topology = g.topology,
                                        .dim = (size_t)g.d,
                                        .momentum = g.momentum,
                                        .weight_decay = g.weight_decay,
                                        .threads = (int)r->threads,
                                        .force_pairing = true,
                                        .reference = r->reference };
    double worst = 0, size = 0, limit = r->reference ? 1e-11 : 1e-5;
    int result = qgm_engine_open(&e, &config, err);
    if (result == 0) result = run(e, &g, r, &worst, err);
    if (result < 0) {
        qgm_fail_in(err, "%s", path);
        err->kind = QGM_INPUT; /* the names and options are the file's, not the command's */
    }
    for (size_t p = 0; p < g.points; p++) size = fmax(size, fabs(g.point[p].x));
    double share = size > 0 ? worst / size : worst;
    if (result == 0 && !r->print) printf("%s %s %.3g\n", path, g.algo, share);
    if (result == 0 && share > limit)
        result = qgm_fail(err, QGM_INPUT, "%s: %s deviates by %.3g of the trajectory's size, more than %g", path,
                          g.algo, share, limit);
    qgm_engine_close(&e);
    qgm_golden_close(&g);
    return result;
}

/* All of them, whatever becomes of one. */
static int replay_all(const struct replay *r, const char **path, int n, struct qgm_error *err)
{
    int failed = 0;
    if (n == 1) return replay(r, path[0], err);
    for (int i = 0; i < n; i++) {
        struct qgm_error why = { 0 };
        if (replay(r, path[i], &why) == 0) continue;
        fflush(stdout);
        fprintf(stderr, "qgm-replay: %s\n", why.text);
        failed++;
    }
    return failed ? qgm_fail(err, QGM_INPUT, "%d of %d files: see above", failed, n) : 0;
}

static int replay_main(int argc, const char **argv, struct qgm_error *err)
{
    struct replay r = { .threads = 1 };
    const struct qgm_program program = {
        .name = "qgm-replay",
        .usage = "FILE.csv... [FLAG]...",
        .intro = intro,
        .examples = "  qgm-replay tests/golden/*.csv\n  qgm-replay tests/golden/qg-dsgdm-n.csv --double\n",
        .own = own_flags,
        .set = set_own,
        .user = &r
    };
    struct qgm_options options;
    qgm_options_default(&options);
    const char **path = calloc((size_t)argc, sizeof *path);
    if (!path) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    int n = qgm_parse(&program, argc, argv, &options, path, argc, err), result = n < 0 ? -1 : 0;
    if (n == 0) result = qgm_fail(err, QGM_USAGE, "no file given: expected a golden CSV (see --help)");
    if (n > 1 && r.print) result = qgm_fail(err, QGM_USAGE, "--print: of one file, found %d", n);
    if (result == 0) result = qgm_kernels_use(*r.isa ? r.isa : NULL, err);
    if (result == 0) result = replay_all(&r, path, n, err);
    free(path);
    return result;
}

int main(int argc, const char **argv)
{
    struct qgm_error err = { 0 };
    if (replay_main(argc, argv, &err) == 0 && fflush(stdout) == 0) return 0;
    return qgm_complain("qgm-replay", &err);
}
