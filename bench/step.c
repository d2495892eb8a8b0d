/* qgm-bench-step: what a step of each algorithm costs, as a share of the memory bandwidth of the same minute, beside a
 * chain of plain passes. SPDX-License-Identifier: MIT */
#include "step.h"
#include "context.h"
#include "engine.h"
#include "flags.h"
#include "kernels.h"
#include "progress.h"
#include "triad.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_max_threads(void) { return 1; }
#endif

enum {
    FLAG_ALGOS = QGM_OWN_FLAG,
    FLAG_SIZES,
    FLAG_GRAPHS,
    FLAG_CLIENTS,
    FLAG_THREADS,
    FLAG_REPEATS,
    FLAG_LAZY,
    FLAG_FULL,
    FLAG_ISA
};
enum { MAX_REPEATS = 101, TRIAD_FLOATS = 1 << 27 }; /* 3 x 512 MiB: no cache holds it */

struct bench {
    char algos[QGM_LIST], sizes[QGM_LIST], graphs[QGM_LIST], full[QGM_LIST], isa[32]; /* empty: not given */
    long clients, threads, repeats;
    bool lazy;
};

struct kin {
    const char *graph;
    bool lazy;
    struct qgm_topology *topology;
};

/* Parameters of the usual models, as this suite builds them. */
static const struct {
    const char *name;
    size_t floats;
} models[] = { { "lenet", 62006 },
               { "resnet20", 270896 },
               { "vgg11", 9750922 },
               { "resnet18", 11173968 },
               { "distilbert", 66956548 } };

static int keep(const char *flag, const char *list, char to[QGM_LIST], struct qgm_error *err)
{
    if (strlen(list) >= QGM_LIST)
        return qgm_fail(err, QGM_USAGE, "--%s: %zu characters: expected fewer than %d", flag, strlen(list), QGM_LIST);
    if (!list[strspn(list, " ")]) return qgm_fail(err, QGM_USAGE, "--%s: expected words separated by spaces", flag);
    strcpy(to, list);
    return 0;
}

static int set_own(int val, const char *argument, void *user, struct qgm_error *err)
{
    struct bench *b = user;
    switch (val) {
    case FLAG_ALGOS:
        return keep("algos", argument, b->algos, err);
    case FLAG_SIZES:
        return keep("sizes", argument, b->sizes, err);
    case FLAG_GRAPHS:
        return keep("graphs", argument, b->graphs, err);
    case FLAG_FULL:
        return keep("full", argument, b->full, err);
    case FLAG_ISA:
        snprintf(b->isa, sizeof b->isa, "%s", argument);
        return 0;
    case FLAG_LAZY:
        b->lazy = true;
        return 0;
    case FLAG_CLIENTS:
        return qgm_flag_whole("clients", argument, 1, 65536, &b->clients, err);
    case FLAG_THREADS:
        return qgm_flag_whole("threads", argument, 1, 1024, &b->threads, err);
    default:
        return qgm_flag_whole("repeats", argument, 3, MAX_REPEATS, &b->repeats, err);
    }
}

static const struct poptOption own_flags[] = {
    { "algos", 0, POPT_ARG_STRING, NULL, FLAG_ALGOS,
      "algorithms, separated by spaces, or 'all' [all; with --full: dsgd qg-dsgdm-n]", "LIST" },
    { "graphs", 0, POPT_ARG_STRING, NULL, FLAG_GRAPHS, "graphs, separated by spaces [ring]", "LIST" },
    { "sizes", 0, POPT_ARG_STRING, NULL, FLAG_SIZES,
      "models (lenet resnet20 vgg11 resnet18 distilbert) or numbers of parameters, separated by spaces [vgg11]",
      "LIST" },
    { "clients", 0, POPT_ARG_STRING, NULL, FLAG_CLIENTS, "clients [16]", "N" },
    { "lazy", 0, POPT_ARG_NONE, NULL, FLAG_LAZY, "mix with (I + W) / 2", NULL },
    { "full", 0, POPT_ARG_STRING, NULL, FLAG_FULL,
      "whole training steps of these models (as qgm-train names them) on generated images, split into their parts",
      "LIST" },
    { "threads", 0, POPT_ARG_STRING, NULL, FLAG_THREADS, "threads [all]; short vectors take fewer", "N" },
    { "repeats", 0, POPT_ARG_STRING, NULL, FLAG_REPEATS, "timed steps; the median counts [7]", "N" },
    { "isa", 0, POPT_ARG_STRING, NULL, FLAG_ISA, "instruction set: auto, scalar, avx2, avx512, neon", "NAME" },
    POPT_TABLEEND
};
static const char intro[] =
    "Times one step of each algorithm and prints CSV: bytes are the compulsory traffic the algorithm declares (each\n"
    "vector it must read or write, once); share is that traffic per second over the triad a = b + s c, measured "
    "between\n"
    "the same steps with the same threads (12 bytes an element; the faster of storing through the caches and past "
    "them;\n"
    "a model that fits a cache goes above 1). unfused, beside qg-dsgdm-n, is the same step as a chain of plain passes\n"
    "over memory, one operation each; telemetry is what asking for metrics adds to a step (training asks at "
    "evaluations\n"
    "only). An algorithm that refuses the graph is timed on the nearest that it admits, which its row names: lazy, a\n"
    "tree, a lazy ring; with --full it is left out. With local=K times are means over K steps; SlowMo's of a large\n"
    "model are of a step without the average. --full: load, forward and backward are busy seconds a thread; forward\n"
    "is an evaluation's pass, backward the rest of the gradient; the update's parts are its time, shared out as in\n"
    "steps that are profiled.";

/* ---- One row ---- */

/* Values without pattern: compression has no ties to break. */
static float noise(size_t k, int i) { return (float)((k * 2654435761u + (size_t)i * 40503u) % 65521) / 65521 - 0.5f; }

static void fill(struct qgm_engine *e, int threads)
{
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < qgm_engine_clients(e); i++)
        for (size_t k = 0; k < qgm_engine_dim(e); k++) {
            qgm_engine_params(e, i)[k] = noise(k, i);
            qgm_engine_grad(e, i)[k] = 0.1f * noise(k + 77, i);
        }
}

/* Small steps are timed many at a time, so that the clock's grain does not show; but not so many that a momentum whose
 * parameter has stopped decays to a subnormal number, where some processors take a hundred times as long. */
enum { MAX_INNER = 256 };
/* A learning rate as trainings take: with a tiny one parameters move by a few units in the last place, and compression
 * has little but ties to break. */
static const double rate = 1e-2;
static int time_steps(struct qgm_engine *e, int inner, bool telemetry, double *seconds, struct qgm_error *err)
{
    struct qgm_telemetry m;
    double begin = qgm_seconds();
    for (int k = 0; k < inner; k++) QGM_TRY(qgm_engine_step(e, rate, telemetry ? &m : NULL, err));
    *seconds = (qgm_seconds() - begin) / inner;
    return 0;
}

/* How many steps are timed at a time: whole rounds of local steps and an exchange. */
static int steps_at_a_time(const struct qgm_engine *e, double step)
{
    int local = qgm_engine_local(e), inner = 1;
    if (step < 0.01) inner = step < 0.01 / MAX_INNER ? MAX_INNER : (int)(0.01 / step) + 1;
    return (inner + local - 1) / local * local;
}

/* chain: NULL for algorithms that it does not carry out. With and without telemetry take turns at being first, so that
 * neither always meets the same steps of what comes every other step. */
static int measure(const struct bench *b, struct qgm_engine *e, const struct qgm_chain *chain,
                   const struct qgm_triad *roof, const char *prefix, double bytes, struct qgm_error *err)
{
    static double time[2][MAX_REPEATS], plain[MAX_REPEATS], share[MAX_REPEATS], triad[MAX_REPEATS], more[MAX_REPEATS];
    int threads = qgm_engine_threads(e);
    double *step = time[0], *watched = time[1];
    QGM_TRY(time_steps(e, 3, true, &step[0], err)); /* first touch, first step's own stages */
    QGM_TRY(time_steps(e, qgm_engine_local(e), false, &step[0], err));
    const int inner = steps_at_a_time(e, step[0]);
    for (long r = 0; r < b->repeats; r++) {
        if (inner > 1) fill(e, threads);
        triad[r] = qgm_triad_rate(roof, threads, true, qgm_seconds);
        for (int k = 0; k < 2; k++) {
            bool telemetry = (r + k) % 2;
            QGM_TRY(time_steps(e, inner, telemetry, &time[telemetry][r], err));
        }
        plain[r] = chain ? qgm_chain_step(chain, threads) : NAN;
        share[r] = bytes / step[r] / triad[r];
        more[r] = watched[r] / step[r] - 1;
    }
    double s = qgm_median(step, b->repeats);
    printf("%s,%.6g,%.0f,%.3f,%.3f,%.3f,%.6g,%.3f\n", prefix, s, bytes, bytes / s / 1e9,
           qgm_median(triad, b->repeats) / 1e9, qgm_median(share, b->repeats), qgm_median(plain, b->repeats),
           qgm_median(more, b->repeats));
    return fflush(stdout) == 0 ? 0 : qgm_fail(err, QGM_SYSTEM, "cannot write to stdout");
}

/* Does so much fit beside the triad? */
static bool fits(double bytes)
{
    double machine = qgm_machine_memory();
    return !(machine > 0 && bytes + 12.0 * TRIAD_FLOATS >= 0.9 * machine);
}

/* An algorithm that refuses the graph, or a model that does not fit, is no reason to stop: say so and go on. Names and
 * options are known to be right (check_words). */
static int skips(const struct qgm_engine_config *config, bool *skip, struct qgm_error *err)
{
    size_t bytes;
    *skip = true;
    if (qgm_engine_measure(&bytes, config, err) < 0) {
        if (err->kind != QGM_USAGE) return -1;
        fprintf(stderr, "qgm-bench-step: skipped: %s\n", err->text);
        return 0;
    }
    *skip = !fits((double)bytes);
    if (*skip)
        fprintf(stderr, "qgm-bench-step: skipped: %s with %zu parameters and the triad need %.1f GiB of %.1f\n",
                config->algo, config->dim, ((double)bytes + 12.0 * TRIAD_FLOATS) / (1 << 30),
                qgm_machine_memory() / (1 << 30));
    return 0;
}

/* An algorithm that refuses the graph is timed on the nearest that it admits, which its row names: *kin, to be closed;
 * NULL if it runs as it is, or nowhere. */
static int find_kin(const struct bench *b, const char *graph, struct qgm_engine_config *config, struct kin *kin,
                    struct qgm_error *err)
{
    const struct kin all[] = { { graph, true, NULL }, { "binary-tree", false, NULL }, { "ring", true, NULL } };
    struct qgm_topology *asked = config->topology;
    struct qgm_error why, other;
    size_t bytes;
    *kin = (struct kin){ .lazy = b->lazy };
    if (qgm_engine_measure(&bytes, config, &why) == 0) return 0;
    for (size_t i = 0; i < QGM_COUNT(all); i++) {
        *kin = all[i];
        QGM_TRY(qgm_topology_open(&kin->topology, kin->graph, (int)b->clients, kin->lazy, 1, err));
        config->topology = kin->topology;
        if (qgm_engine_measure(&bytes, config, &other) == 0) {
            fprintf(stderr, "qgm-bench-step: %s: timed on %s%s\n", why.text, kin->graph, kin->lazy ? " lazy" : "");
            return 0;
        }
        qgm_topology_close(&kin->topology);
    }
    config->topology = asked;
    return 0;
}

void qgm_print_field(FILE *to, const char *text)
{
    if (!strpbrk(text, ",\"")) {
        fputs(text, to);
        return;
    }
    putc('"', to);
    for (; *text; text++) fprintf(to, *text == '"' ? "\"\"" : "%c", *text);
    putc('"', to);
}

/* Algorithm, graph and so on: the caller frees it. */
static char *row_begins(const struct bench *b, const struct qgm_engine_config *config, bool lazy, int threads)
{
    char *text = NULL, graph[400];
    size_t size;
    FILE *to = open_memstream(&text, &size);
    if (!to) return NULL;
    snprintf(graph, sizeof graph, "%s%s", qgm_topology_spec(config->topology), lazy ? " lazy" : "");
    qgm_print_field(to, config->algo);
    putc(',', to);
    qgm_print_field(to, graph);
    fprintf(to, ",%ld,%zu,%d,%s", b->clients, config->dim, threads, qgm_kernels()->isa);
    return fclose(to) == 0 ? text : (free(text), NULL);
}

static int bench_engine(const struct bench *b, const struct qgm_engine_config *config, bool lazy,
                        const struct qgm_triad *roof, struct qgm_error *err)
{
    struct qgm_engine *e;
    const char *algo = config->algo;
    size_t held;
    QGM_TRY(qgm_engine_measure(&held, config, err));
    QGM_TRY(qgm_engine_open(&e, config, err));
    int threads = qgm_engine_threads(e), clients = (int)b->clients;
    fill(e, threads);
    double bytes = (double)qgm_algo_traffic(algo) * (double)config->dim * (double)b->clients;
    struct qgm_chain chain;
    bool beside = strcmp(algo, "qg-dsgdm-n") == 0 &&
                  fits((double)held + (double)qgm_chain_bytes(clients, config->dim)) &&
                  qgm_chain_open(&chain, clients, config->dim, config->topology, threads) == 0;
    char *begins = row_begins(b, config, lazy, threads);
    int result = begins ? measure(b, e, beside ? &chain : NULL, roof, begins, bytes, err)
                        : qgm_fail(err, QGM_SYSTEM, "out of memory");
    free(begins);
    if (beside) qgm_chain_close(&chain);
    qgm_engine_close(&e);
    return result;
}

static int bench_algo(const struct bench *b, const char *algo, const char *graph, struct qgm_topology *t, size_t dim,
                      const struct qgm_triad *roof, struct qgm_error *err)
{
    struct qgm_engine_config config = { .algo = algo,
                                        .topology = t,
                                        .dim = dim,
                                        .momentum = 0.9,
                                        .weight_decay = 1e-4,
                                        .threads = (int)b->threads,
                                        .telemetry = true };
    struct kin kin;
    bool skip;
    QGM_TRY(find_kin(b, graph, &config, &kin, err));
    int result = skips(&config, &skip, err);
    if (result == 0 && !skip) result = bench_engine(b, &config, kin.lazy, roof, err);
    qgm_topology_close(&kin.topology);
    return result;
}

static int bench_graph(const struct bench *b, const char *graph, size_t dim, const struct qgm_triad *roof,
                       struct qgm_error *err)
{
    struct qgm_topology *t;
    char algos[sizeof b->algos], *rest = algos;
    QGM_TRY(qgm_topology_open(&t, graph, (int)b->clients, b->lazy, 1, err));
    int result = 0;
    snprintf(algos, sizeof algos, "%s", b->algos);
    for (char *algo; result == 0 && (algo = strsep(&rest, " "));)
        if (*algo) result = bench_algo(b, algo, graph, t, dim, roof, err);
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

static int check_algo(const char *algo, struct qgm_error *err)
{
    QGM_TRY(qgm_check_name("algos", algo, qgm_algo_names(), err));
    return qgm_algo_check(algo, err) < 0 ? qgm_fail_in(err, "--algos") : 0;
}
static int check_graph(const char *graph, struct qgm_error *err)
{
    return qgm_check_name("graphs", graph, qgm_topology_names(), err);
}
static int check_size(const char *size, struct qgm_error *err)
{
    size_t floats;
    return size_of(size, &floats, err);
}

/* A misspelt name or option is no pairing that is refused, and must not be skipped. */
static int check_words(const char *list, int (*check)(const char *word, struct qgm_error *err), struct qgm_error *err)
{
    char words[QGM_LIST], *word, *rest = words;
    snprintf(words, sizeof words, "%s", list);
    while ((word = strsep(&rest, " ")))
        if (*word) QGM_TRY(check(word, err));
    return 0;
}

static int bench_all(struct bench *b, struct qgm_error *err)
{
    struct qgm_triad roof = { 0 };
    char sizes[sizeof b->sizes], graphs[sizeof b->graphs], *size, *graph, *more_sizes = sizes;
    int result = qgm_triad_open(&roof, TRIAD_FLOATS, (int)b->threads, err);
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
    qgm_triad_close(&roof);
    return result;
}

/* What was not given, and "all". */
static void fill_in(struct bench *b)
{
    if (!*b->algos) strcpy(b->algos, *b->full ? "dsgd qg-dsgdm-n" : "all");
    if (!*b->sizes && !*b->full) strcpy(b->sizes, "vgg11");
    if (!b->threads) b->threads = omp_get_max_threads();
    if (strcmp(b->algos, "all") != 0) return;
    size_t used = 0;
    for (const char *const *name = qgm_algo_names(); *name && used < sizeof b->algos; name++)
        used += (size_t)snprintf(b->algos + used, sizeof b->algos - used, "%s ", *name);
}

/* All words are known to be right, and all graphs to have so many clients, before the first is timed. */
static int check(const struct bench *b, struct qgm_error *err)
{
    char graphs[QGM_LIST], *graph, *rest = strcpy(graphs, b->graphs);
    if (*b->full && *b->sizes)
        return qgm_fail(err, QGM_USAGE,
                        "--sizes says how long vectors are that are no model's: with --full it does "
                        "nothing");
    QGM_TRY(check_words(b->algos, check_algo, err));
    QGM_TRY(check_words(b->sizes, check_size, err));
    QGM_TRY(check_words(b->graphs, check_graph, err));
    while ((graph = strsep(&rest, " "))) {
        struct qgm_topology *t = NULL;
        if (*graph) QGM_TRY(qgm_topology_open(&t, graph, (int)b->clients, b->lazy, 1, err));
        qgm_topology_close(&t);
    }
    return 0;
}

static int step_main(int argc, const char **argv, struct qgm_error *err)
{
    static struct bench b = { .graphs = "ring", .clients = 16, .repeats = 7 };
    const struct qgm_program program = {
        .name = "qgm-bench-step",
        .usage = "[FLAG]...",
        .intro = intro,
        .examples = "  qgm-bench-step --algos 'dsgd qg-dsgdm-n' --sizes 'lenet vgg11' --graphs 'ring torus'\n"
                    "  qgm-bench-step --full 'lenet resnet20-evonorm' --algos 'qg-dsgdm-n gt'\n",
        .own = own_flags,
        .set = set_own,
        .user = &b
    };
    struct qgm_options options;
    qgm_options_default(&options);
    QGM_TRY(qgm_parse(&program, argc, argv, &options, NULL, 0, err));
    QGM_TRY(qgm_kernels_use(*b.isa ? b.isa : NULL, err));
    fill_in(&b);
    QGM_TRY(check(&b, err));
    if (!*b.full) return bench_all(&b, err);
    const struct qgm_full full = { .models = b.full,
                                   .algos = b.algos,
                                   .graphs = b.graphs,
                                   .clients = b.clients,
                                   .threads = b.threads,
                                   .repeats = b.repeats,
                                   .lazy = b.lazy };
    return qgm_full_run(&full, err);
}

int main(int argc, const char **argv)
{
    struct qgm_error err = { 0 };
    if (step_main(argc, argv, &err) == 0) return 0;
    return qgm_complain("qgm-bench-step", &err);
}
