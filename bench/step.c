/* qgm-bench-step: what a step of each algorithm costs, as a share of the memory bandwidth of the same minute, beside a
 * chain of plain passes. SPDX-License-Identifier: MIT */
#include "engine.h"
#include "flags.h"
#include "kernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_max_threads(void) { return 1; }
#endif

enum { FLAG_ALGOS = QGM_OWN_FLAG, FLAG_SIZES, FLAG_GRAPHS, FLAG_CLIENTS, FLAG_THREADS, FLAG_REPEATS, FLAG_ISA };
enum { MAX_REPEATS = 101, TRIAD_FLOATS = 1 << 27 }; /* 3 x 512 MiB: no cache holds it */

struct bench {
    char algos[1000], sizes[400], graphs[400], isa[32];
    long clients, threads, repeats;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Parameters of the usual models, as this suite builds them. */
static const struct {
    const char *name;
    size_t floats;
} models[] = { { "lenet", 62006 },
               { "resnet20", 270896 },
               { "vgg11", 9750922 },
               { "resnet18", 11173968 },
               { "distilbert", 66956548 } };

static int whole(const char *flag, const char *text, long low, long high, long *value, struct qgm_error *err)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (end == text || *end || v < low || v > high)
        return qgm_fail(err, QGM_USAGE, "--%s %s: expected a whole number from %ld to %ld", flag, text, low, high);
    *value = v;
    return 0;
}

static int set_own(int val, const char *argument, void *user, struct qgm_error *err)
{
    struct bench *b = user;
    switch (val) {
    case FLAG_ALGOS:
        snprintf(b->algos, sizeof b->algos, "%s", argument);
        return 0;
    case FLAG_SIZES:
        snprintf(b->sizes, sizeof b->sizes, "%s", argument);
        return 0;
    case FLAG_GRAPHS:
        snprintf(b->graphs, sizeof b->graphs, "%s", argument);
        return 0;
    case FLAG_ISA:
        snprintf(b->isa, sizeof b->isa, "%s", argument);
        return 0;
    case FLAG_CLIENTS:
        return whole("clients", argument, 1, 65536, &b->clients, err);
    case FLAG_THREADS:
        return whole("threads", argument, 1, 1024, &b->threads, err);
    default:
        return whole("repeats", argument, 3, MAX_REPEATS, &b->repeats, err);
    }
}

static const struct poptOption own_flags[] = {
    { "algos", 0, POPT_ARG_STRING, NULL, FLAG_ALGOS, "algorithms, separated by spaces, or 'all' [all]", "LIST" },
    { "graphs", 0, POPT_ARG_STRING, NULL, FLAG_GRAPHS, "graphs, separated by spaces [ring]", "LIST" },
    { "sizes", 0, POPT_ARG_STRING, NULL, FLAG_SIZES,
      "models (lenet resnet20 vgg11 resnet18 distilbert) or numbers of parameters, separated by spaces [vgg11]",
      "LIST" },
    { "clients", 0, POPT_ARG_STRING, NULL, FLAG_CLIENTS, "clients [16]", "N" },
    { "threads", 0, POPT_ARG_STRING, NULL, FLAG_THREADS, "threads [all]", "N" },
    { "repeats", 0, POPT_ARG_STRING, NULL, FLAG_REPEATS, "timed steps; the median counts [7]", "N" },
    { "isa", 0, POPT_ARG_STRING, NULL, FLAG_ISA, "instruction set: auto, scalar, avx2, avx512, neon", "NAME" },
    POPT_TABLEEND
};
static const char intro[] =
    "Times one step of each algorithm and prints CSV: bytes are the compulsory traffic the algorithm declares (each\n"
    "vector it must read or write, once); share is that traffic per second over the triad a = b + s c, measured "
    "between\n"
    "the same steps with the same threads (12 bytes an element). unfused is quasi-global momentum as a chain of plain\n"
    "passes over memory, one operation each, in the same run; telemetry is what asking for metrics adds to a step.";

/* ---- The roof ---- */

struct triad {
    float *a, *b, *c;
};
static double triad_once(const struct triad *t, int threads)
{
    double begin = now();
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < TRIAD_FLOATS; i += 4096)
        for (size_t k = i; k < i + 4096; k++) t->a[k] = t->b[k] + 3.0f * t->c[k];
    return 12.0 * TRIAD_FLOATS / (now() - begin);
}

static int triad_open(struct triad *t, int threads, struct qgm_error *err)
{
    size_t bytes = TRIAD_FLOATS * sizeof(float);
    t->a = aligned_alloc(QGM_ALIGN, bytes);
    t->b = aligned_alloc(QGM_ALIGN, bytes);
    t->c = aligned_alloc(QGM_ALIGN, bytes);
    if (!t->a || !t->b || !t->c) return qgm_fail(err, QGM_SYSTEM, "no memory for the triad (3 x %zu MiB)", bytes >> 20);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < TRIAD_FLOATS; i += 4096)
        for (size_t k = i; k < i + 4096; k++) {
            t->a[k] = 0;
            t->b[k] = 1;
            t->c[k] = 2;
        }
    return 0;
}

/* ---- The chain of plain passes: Nesterov quasi-global momentum, one kernel call an operation ---- */

struct chain {
    int n;
    size_t dim;
    float *memory, **x, **m, **g, **u, **half;
    const struct qgm_row *rows;
};

static int chain_open(struct chain *c, int n, size_t dim, const struct qgm_row *rows, struct qgm_error *err)
{
    size_t stride = qgm_pad16(dim) + 16;
    *c = (struct chain){ .n = n, .dim = dim, .rows = rows };
    c->memory = aligned_alloc(QGM_ALIGN, 5 * (size_t)n * stride * sizeof(float));
    c->x = malloc(5 * (size_t)n * sizeof *c->x);
    if (!c->memory || !c->x) return qgm_fail(err, QGM_SYSTEM, "no memory for the chain of plain passes");
    c->m = c->x + n;
    c->g = c->m + n;
    c->u = c->g + n;
    c->half = c->u + n;
    for (int i = 0; i < 5 * n; i++) c->x[i] = c->memory + (size_t)i * stride;
#pragma omp parallel for
    for (int i = 0; i < 5 * n; i++)
        for (size_t k = 0; k < dim; k++) c->x[i][k] = 0.001f * (float)(k % 100);
    return 0;
}

static void chain_close(struct chain *c)
{
    free(c->memory);
    free(c->x);
}

static void chain_client(const struct chain *c, const struct qgm_kernels *kernels, int i)
{
    float *u = c->u[i], *half = c->half[i];
    size_t bytes = c->dim * sizeof(float);
    kernels->axpy(1e-4f, c->x[i], c->g[i], c->dim); /* g += wd x */
    memcpy(u, c->g[i], bytes);
    kernels->axpy(0.9f, c->m[i], u, c->dim); /* u = g + beta m */
    memcpy(half, c->g[i], bytes);
    kernels->axpy(0.9f, u, half, c->dim); /* d = g + beta u */
    memcpy(u, c->x[i], bytes);
    kernels->axpy(-0.1f, half, u, c->dim); /* u = x - lr d */
}

static void chain_mix(const struct chain *c, const struct qgm_kernels *kernels, int i)
{
    const struct qgm_row *row = &c->rows[i];
    const float *in[64];
    float w[64], *half = c->half[i];
    for (int k = 0; k < row->n; k++) {
        in[k] = c->u[row->from[k]];
        w[k] = (float)row->w[k];
    }
    kernels->mix(half, in, w, row->n, c->dim);
    kernels->axpy(-1, half, c->x[i], c->dim);       /* x - x' */
    kernels->axpy(-0.1f, c->m[i], c->m[i], c->dim); /* m *= mu */
    kernels->axpy(1, c->x[i], c->m[i], c->dim);     /* m += (1 - mu) (x - x') / lr */
    memcpy(c->x[i], half, c->dim * sizeof(float));
}

static double chain_once(const struct chain *c, int threads)
{
    const struct qgm_kernels *kernels = qgm_kernels();
    double begin = now();
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int i = 0; i < c->n; i++) chain_client(c, kernels, i);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int i = 0; i < c->n; i++) chain_mix(c, kernels, i);
    return now() - begin;
}

/* ---- One row ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *v, long n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

static void fill(struct qgm_engine *e, int threads)
{
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < qgm_engine_clients(e); i++)
        for (size_t k = 0; k < qgm_engine_dim(e); k++) {
            qgm_engine_params(e, i)[k] = 0.001f * (float)((k + (size_t)i) % 100);
            qgm_engine_grad(e, i)[k] = 0.01f * (float)((k * 7 + (size_t)i) % 10);
        }
}

/* Small steps are timed many at a time, so that the clock's grain does not show. */
static int time_steps(struct qgm_engine *e, int inner, bool telemetry, double *seconds, struct qgm_error *err)
{
    struct qgm_telemetry m;
    double begin = now();
    for (int k = 0; k < inner; k++) QGM_TRY(qgm_engine_step(e, 1e-6, telemetry ? &m : NULL, err));
    *seconds = (now() - begin) / inner;
    return 0;
}

static int measure(const struct bench *b, struct qgm_engine *e, const struct chain *c, const struct triad *roof,
                   const char *prefix, double bytes, struct qgm_error *err)
{
    static double step[MAX_REPEATS], watched[MAX_REPEATS], plain[MAX_REPEATS], share[MAX_REPEATS], triad[MAX_REPEATS];
    int inner = 1, threads = (int)b->threads;
    QGM_TRY(time_steps(e, 3, true, &step[0], err)); /* first touch, first step's own stages */
    QGM_TRY(time_steps(e, 1, false, &step[0], err));
    if (step[0] < 0.01) inner = (int)(0.01 / step[0]) + 1;
    for (long r = 0; r < b->repeats; r++) {
        triad[r] = triad_once(roof, threads);
        QGM_TRY(time_steps(e, inner, false, &step[r], err));
        QGM_TRY(time_steps(e, inner, true, &watched[r], err));
        plain[r] = chain_once(c, threads);
        share[r] = bytes / step[r] / triad[r];
    }
    double s = median(step, b->repeats);
    printf("%s,%.6g,%.0f,%.3f,%.3f,%.3f,%.6g,%.3f\n", prefix, s, bytes, bytes / s / 1e9,
           median(triad, b->repeats) / 1e9, median(share, b->repeats), median(plain, b->repeats),
           median(watched, b->repeats) / s - 1);
    return fflush(stdout) == 0 ? 0 : qgm_fail(err, QGM_SYSTEM, "cannot write to stdout");
}

static int bench_algo(const struct bench *b, const char *algo, struct qgm_topology *t, size_t dim,
                      const struct chain *c, const struct triad *roof, struct qgm_error *err)
{
    struct qgm_engine *e;
    struct qgm_engine_config config = { .algo = algo,
                                        .topology = t,
                                        .dim = dim,
                                        .momentum = 0.9,
                                        .weight_decay = 1e-4,
                                        .threads = (int)b->threads,
                                        .telemetry = true };
    struct qgm_error why;
    if (qgm_engine_open(&e, &config, &why) < 0) { /* a pairing that does not run is no reason to stop */
        fprintf(stderr, "qgm-bench-step: skipped: %s\n", why.text);
        return 0;
    }
    char prefix[400];
    snprintf(prefix, sizeof prefix, "%s,%s,%ld,%zu,%ld,%s", algo, qgm_topology_spec(t), b->clients, dim, b->threads,
             qgm_kernels()->isa);
    fill(e, (int)b->threads);
    double bytes = (double)qgm_algo_traffic(algo) * (double)dim * (double)b->clients;
    int result = measure(b, e, c, roof, prefix, bytes, err);
    qgm_engine_close(&e);
    return result;
}

static int bench_graph(const struct bench *b, const char *graph, size_t dim, const struct triad *roof,
                       struct qgm_error *err)
{
    struct qgm_topology *t;
    struct chain c;
    char algos[sizeof b->algos], *rest = algos;
    QGM_TRY(qgm_topology_open(&t, graph, (int)b->clients, false, 1, err));
    int result = chain_open(&c, (int)b->clients, dim, qgm_topology_rows(t, 0), err);
    for (int i = 0; i < b->clients && result == 0; i++)
        if (qgm_topology_rows(t, 0)[i].n > 64)
            result =
                qgm_fail(err, QGM_USAGE, "--graphs %s: the chain of plain passes takes at most 63 neighbours", graph);
    snprintf(algos, sizeof algos, "%s", b->algos);
    bool all = strcmp(algos, "all") == 0;
    for (const char *const *name = qgm_algo_names(); all && *name && result == 0; name++)
        result = bench_algo(b, *name, t, dim, &c, roof, err);
    for (char *algo; !all && result == 0 && (algo = strsep(&rest, " "));)
        if (*algo) result = bench_algo(b, algo, t, dim, &c, roof, err);
    chain_close(&c);
    qgm_topology_close(&t);
    return result;
}

static int size_of(const char *text, size_t *floats, struct qgm_error *err)
{
    const char *names[QGM_COUNT(models) + 1] = { NULL };
    for (size_t i = 0; i < QGM_COUNT(models); i++) {
        names[i] = models[i].name;
        *floats = models[i].floats;
        if (strcmp(text, names[i]) == 0) return 0;
    }
    char *end;
    *floats = strtoul(text, &end, 10);
    if (end != text && !*end && *floats >= 1 && *floats <= (size_t)1 << 32 && text[0] != '-') return 0;
    const char *near = qgm_nearest(text, names);
    return qgm_fail(err, QGM_USAGE, "--sizes %s: expected a number of parameters or a model%s%s", text,
                    near ? ": did you mean " : "", near ? near : "");
}

static int bench_all(struct bench *b, struct qgm_error *err)
{
    struct triad roof = { 0 };
    char sizes[sizeof b->sizes], graphs[sizeof b->graphs], *size, *graph, *more_sizes = sizes;
    int result = triad_open(&roof, (int)b->threads, err);
    printf("algorithm,graph,clients,parameters,threads,isa,step_s,bytes,bandwidth_gb_s,triad_gb_s,share,unfused_qg_s,"
           "telemetry_share\n");
    snprintf(sizes, sizeof sizes, "%s", b->sizes);
    while (result == 0 && (size = strsep(&more_sizes, " "))) {
        size_t dim;
        if (!*size) continue;
        result = size_of(size, &dim, err);
        snprintf(graphs, sizeof graphs, "%s", b->graphs);
        for (char *more = graphs; result == 0 && (graph = strsep(&more, " "));)
            if (*graph) result = bench_graph(b, graph, dim, &roof, err);
    }
    free(roof.a);
    free(roof.b);
    free(roof.c);
    return result;
}

static int step_main(int argc, const char **argv, struct qgm_error *err)
{
    struct bench b = { .algos = "all", .sizes = "vgg11", .graphs = "ring", .clients = 16, .repeats = 7 };
    const struct qgm_program program = {
        .name = "qgm-bench-step",
        .usage = "[FLAG]...",
        .intro = intro,
        .examples = "  qgm-bench-step --algos 'dsgd qg-dsgdm-n' --sizes 'lenet vgg11' --graphs 'ring torus'\n",
        .own = own_flags,
        .set = set_own,
        .user = &b
    };
    struct qgm_options options;
    qgm_options_default(&options);
    QGM_TRY(qgm_parse(&program, argc, argv, &options, NULL, 0, err));
    QGM_TRY(qgm_kernels_use(*b.isa ? b.isa : NULL, err));
    if (!b.threads) b.threads = omp_get_max_threads();
    return bench_all(&b, err);
}

int main(int argc, const char **argv)
{
    struct qgm_error err = { 0 };
    if (step_main(argc, argv, &err) == 0) return 0;
    return qgm_complain("qgm-bench-step", &err);
}
