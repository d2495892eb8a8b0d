/* qgm-toy: algorithms on problems whose answer is known. SPDX-License-Identifier: MIT */
#include "toy.h"
#include "engine.h"
#include "flags.h"
#include "kernels.h"
#include "random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLAG_ALGOS = QGM_OWN_FLAG,
    FLAG_TOPOLOGY,
    FLAG_LAZY,
    FLAG_FORCE,
    FLAG_CLIENTS,
    FLAG_LR,
    FLAG_MOMENTUM,
    FLAG_NOISE,
    FLAG_STEPS,
    FLAG_EVERY,
    FLAG_AT,
    FLAG_BELOW,
    FLAG_SEED,
    FLAG_DOUBLE,
    FLAG_ISA,
    FLAG_CSV
};
enum { MAX_LIST = 64 };

/* What the command asks for. */
struct list {
    double value[MAX_LIST];
    int n;
};
struct toy {
    const char *problem;
    char algos[1000], graph[QGM_TEXT], isa[32];
    bool lazy, force, reference, csv;
    double clients, lr, momentum, noise, steps, every, seed;
    struct list at, below;
};

static const struct poptOption own_flags[] = {
    { "algos", 0, POPT_ARG_STRING, NULL, FLAG_ALGOS, "algorithms, separated by spaces [what the problem suggests]",
      "LIST" },
    { "topology", 0, POPT_ARG_STRING, NULL, FLAG_TOPOLOGY, "communication graph [ring]", "NAME" },
    { "lazy", 0, POPT_ARG_NONE, NULL, FLAG_LAZY, "mix with (I + W) / 2; D2 on an even ring needs it", NULL },
    { "force-pairing", 0, POPT_ARG_NONE, NULL, FLAG_FORCE, "run on a graph that lacks what an algorithm needs", NULL },
    { "clients", 0, POPT_ARG_STRING, NULL, FLAG_CLIENTS, "number of clients [what the problem suggests]", "N" },
    { "lr", 0, POPT_ARG_STRING, NULL, FLAG_LR, "learning rate [what the problem suggests]", "X" },
    { "momentum", 0, POPT_ARG_STRING, NULL, FLAG_MOMENTUM, "of algorithms that have it [0.9]", "X" },
    { "noise", 0, POPT_ARG_STRING, NULL, FLAG_NOISE, "standard deviation of a gradient's noise, as a vector [0]", "X" },
    { "steps", 0, POPT_ARG_STRING, NULL, FLAG_STEPS, "how many [what the problem suggests]", "N" },
    { "every", 0, POPT_ARG_STRING, NULL, FLAG_EVERY, "steps between rows [a tenth of --steps]", "N" },
    { "at", 0, POPT_ARG_STRING, NULL, FLAG_AT, "rows at these steps instead, ascending: 50,100,5000", "LIST" },
    { "below", 0, POPT_ARG_STRING, NULL, FLAG_BELOW,
      "rows of another kind: the first step at which the objective is below each of these: 1e-1,1e-4", "LIST" },
    { "seed", 0, POPT_ARG_STRING, NULL, FLAG_SEED, "of problem, noise and random graphs [1]", "N" },
    { "double", 0, POPT_ARG_NONE, NULL, FLAG_DOUBLE, "double precision (the reference engine)", NULL },
    { "isa", 0, POPT_ARG_STRING, NULL, FLAG_ISA, "instruction set: auto, scalar, avx2, avx512, neon", "NAME" },
    { "csv", 0, POPT_ARG_NONE, NULL, FLAG_CSV, "machine-readable, with the first two coordinates of the mean", NULL },
    POPT_TABLEEND
};

static const char intro_head[] =
    "Runs decentralised algorithms on problems without data, through the engine that trains networks. Each client i "
    "has\n"
    "a function f_i and sees only its gradient; wanted is where the mean f of all of them is least. A row says how "
    "far\n"
    "the clients are at a step:\n"
    "  consensus  1/n sum |x_i - mean|^2: how much they disagree\n"
    "  distance   |mean - optimum|: how wrong they are together\n"
    "  objective  f(mean) - least f\n"
    "  gradient   |grad f(mean)|\n"
    "What to look for: with constant steps DSGD ends in disagreement, since every gradient step pulls the clients "
    "apart\n"
    "by as much as mixing brings them together; local momentum 0.9 makes that worse, as if the rate were ten times\n"
    "larger; quasi-global momentum ends where DSGD does, in its Nesterov form where DSGD at 1 + beta times the rate\n"
    "does; gradient tracking and D2 end in agreement.\n\nProblems:\n";

static const char *make_intro(void)
{
    static char text[4000];
    size_t at = (size_t)snprintf(text, sizeof text, "%s", intro_head);
    for (const char *const *name = qgm_toy_names(); *name && at < sizeof text; name++) {
        char about[300];
        const struct qgm_toy_kind *kind = qgm_toy_kind(*name);
        qgm_spec_about(about, sizeof about, kind->about, kind->knob);
        at += (size_t)snprintf(text + at, sizeof text - at, "  %-14s %s\n", *name, about);
    }
    text[strlen(text) - 1] = 0;
    return text;
}

/* ---- Flags ---- */

/* Numbers between commas; direction 1: ascending, -1: descending. */
static int numbers(const char *flag, const char *text, int direction, struct list *list, struct qgm_error *err)
{
    char copy[1000], *rest = copy, *word;
    snprintf(copy, sizeof copy, "%s", text);
    for (list->n = 0; (word = strsep(&rest, ",")); list->n++) {
        if (list->n == MAX_LIST) return qgm_fail(err, QGM_USAGE, "--%s: at most %d numbers", flag, MAX_LIST);
        double *v = &list->value[list->n];
        QGM_TRY(qgm_flag_number(flag, word, 0, 1e12, direction > 0, v, err));
        if (list->n && direction * (v[0] - v[-1]) <= 0)
            return qgm_fail(err, QGM_USAGE, "--%s %s: expected %s numbers", flag, text,
                            direction > 0 ? "ascending" : "descending");
    }
    return 0;
}

static int set_own(int val, const char *argument, void *user, struct qgm_error *err)
{
    struct toy *t = user;
    const struct {
        int val;
        const char *flag;
        double *value, low, high;
        bool whole;
    } table[] = {
        { FLAG_CLIENTS, "clients", &t->clients, 1, 4096, true },  { FLAG_LR, "lr", &t->lr, 0, 1e6, false },
        { FLAG_MOMENTUM, "momentum", &t->momentum, 0, 1, false }, { FLAG_NOISE, "noise", &t->noise, 0, 1e6, false },
        { FLAG_STEPS, "steps", &t->steps, 1, 1e9, true },         { FLAG_EVERY, "every", &t->every, 1, 1e9, true },
        { FLAG_SEED, "seed", &t->seed, 0, 1e15, true },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        if (table[i].val == val)
            return qgm_flag_number(table[i].flag, argument, table[i].low, table[i].high, table[i].whole, table[i].value,
                                   err);
    switch (val) {
    case FLAG_ALGOS:
        snprintf(t->algos, sizeof t->algos, "%s", argument);
        break;
    case FLAG_TOPOLOGY:
        snprintf(t->graph, sizeof t->graph, "%s", argument);
        break;
    case FLAG_ISA:
        snprintf(t->isa, sizeof t->isa, "%s", argument);
        break;
    case FLAG_AT:
        return numbers("at", argument, 1, &t->at, err);
    case FLAG_BELOW:
        return numbers("below", argument, -1, &t->below, err);
    case FLAG_LAZY:
        t->lazy = true;
        break;
    case FLAG_FORCE:
        t->force = true;
        break;
    case FLAG_DOUBLE:
        t->reference = true;
        break;
    default:
        t->csv = true;
    }
    return 0;
}

/* ---- One run ---- */

struct run {
    const struct toy *toy;
    const struct qgm_toy *problem;
    const char *algo;
    struct qgm_topology *graph;
    struct qgm_engine *engine;
    double *x, *g, *mean, *grad; /* dim each */
    double first_consensus;
};
struct measure {
    double consensus, distance, objective, gradient;
};

static void get(const struct run *r, int client, double *x)
{
    for (size_t k = 0; k < r->problem->dim; k++)
        x[k] = r->toy->reference ? qgm_engine_reference_params(r->engine, client)[k]
                                 : (double)qgm_engine_params(r->engine, client)[k];
}

static void put(const struct run *r, int client, bool gradient, const double *x)
{
    struct qgm_engine *e = r->engine;
    for (size_t k = 0; k < r->problem->dim; k++)
        if (r->toy->reference)
            (gradient ? qgm_engine_reference_grad : qgm_engine_reference_params)(e, client)[k] = x[k];
        else
            (gradient ? qgm_engine_grad : qgm_engine_params)(e, client)[k] = (float)x[k];
}

static void start(struct run *r)
{
    for (int i = 0; i < r->problem->clients; i++) {
        memset(r->x, 0, r->problem->dim * sizeof *r->x);
        if (r->problem->kind->start) r->problem->kind->start(r->problem, i, r->x);
        put(r, i, false, r->x);
    }
}

static void gradients(struct run *r)
{
    const struct qgm_toy *p = r->problem;
    double scale = r->toy->noise / sqrt((double)p->dim);
    for (int i = 0; i < p->clients; i++) {
        get(r, i, r->x);
        p->kind->gradient(p, i, r->x, r->g);
        struct qgm_random draw =
            qgm_random(p->seed, QGM_RANDOM_SAMPLE, (uint32_t)i, (uint32_t)qgm_engine_steps(r->engine));
        for (size_t k = 0; k < p->dim && scale > 0; k++) r->g[k] += scale * qgm_random_normal(&draw);
        put(r, i, true, r->g);
    }
}

static double square(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sum;
}

static struct measure look(struct run *r)
{
    const struct qgm_toy *p = r->problem;
    struct measure m = { .distance = NAN };
    size_t d = p->dim;
    memset(r->mean, 0, d * sizeof *r->mean);
    memset(r->grad, 0, d * sizeof *r->grad);
    for (int i = 0; i < p->clients; i++) {
        get(r, i, r->x);
        for (size_t k = 0; k < d; k++) r->mean[k] += r->x[k] / p->clients;
    }
    for (int i = 0; i < p->clients; i++) {
        get(r, i, r->x);
        m.consensus += square(r->x, r->mean, d) / p->clients;
        p->kind->gradient(p, i, r->mean, r->g);
        for (size_t k = 0; k < d; k++) r->grad[k] += r->g[k] / p->clients;
    }
    memset(r->g, 0, d * sizeof *r->g);
    m.gradient = sqrt(square(r->grad, r->g, d));
    if (p->optimum) m.distance = sqrt(square(r->mean, p->optimum, d));
    if (qgm_engine_steps(r->engine) == 0) r->first_consensus = m.consensus;
    m.objective = 0;
    if (p->kind->value)
        m.objective = p->kind->value(p, r->mean);
    else if (r->first_consensus > 0) /* a client alone always agrees */
        m.objective = m.consensus / r->first_consensus;
    return m;
}

static void print_start(const struct run *r)
{
    if (r->toy->csv)
        printf("%s,%s,%s,%d,%g,%g,", r->problem->kind->name, r->algo, qgm_topology_spec(r->graph), r->problem->clients,
               r->toy->lr, r->toy->momentum);
    else
        printf("%-24s ", r->algo);
}

static void print_row(const struct run *r, const struct measure *m)
{
    print_start(r);
    long t = qgm_engine_steps(r->engine);
    if (r->toy->csv)
        printf("%ld,%.12g,%.12g,%.12g,%.12g,%.12g,%.12g\n", t, m->consensus, m->distance, m->objective, m->gradient,
               r->mean[0], r->problem->dim > 1 ? r->mean[1] : NAN);
    else
        printf("%7ld  %11.4e %11.4e %11.4e %11.4e\n", t, m->consensus, m->distance, m->objective, m->gradient);
}

static void print_below(const struct run *r, double threshold, long step)
{
    print_start(r);
    if (r->toy->csv)
        printf("%g,%ld\n", threshold, step);
    else if (step < 0)
        printf("%10g  not within %g steps\n", threshold, r->toy->steps);
    else
        printf("%10g  %7ld\n", threshold, step);
}

static bool is_due(const struct toy *t, long step, int *next)
{
    if (!t->at.n) return step % (long)t->every == 0 || step == (long)t->steps;
    if (*next == t->at.n || step != (long)t->at.value[*next]) return false;
    ++*next;
    return true;
}

static int run_steps(struct run *r, struct qgm_error *err)
{
    const struct toy *t = r->toy;
    int next = 0, passed = 0;
    start(r);
    struct measure m = look(r); /* the start's consensus distance is what later ones are compared with */
    for (long step = 0;; step++) {
        bool row = !t->below.n && is_due(t, step, &next);
        if (row || t->below.n) m = look(r);
        for (; passed < t->below.n && m.objective < t->below.value[passed]; passed++)
            print_below(r, t->below.value[passed], step);
        if (row) print_row(r, &m);
        if (!isfinite(m.consensus) || !isfinite(m.objective)) {
            fprintf(stderr, "qgm-toy: %s diverged by step %ld: a smaller --lr may help\n", r->algo, step);
            break;
        }
        if (step == (long)t->steps || (t->below.n && passed == t->below.n)) break;
        gradients(r);
        QGM_TRY(qgm_engine_step(r->engine, t->lr, NULL, err));
    }
    for (; passed < t->below.n; passed++) print_below(r, t->below.value[passed], -1);
    return fflush(stdout) == 0 ? 0 : qgm_fail(err, QGM_SYSTEM, "cannot write to stdout");
}

/* check: whether it could run, nothing more. */
static int run_algo(const struct toy *t, const struct qgm_toy *problem, struct qgm_topology *graph, const char *algo,
                    bool check, struct qgm_error *err)
{
    struct qgm_engine_config config = { .algo = algo,
                                        .topology = graph,
                                        .dim = problem->dim,
                                        .momentum = t->momentum,
                                        .threads = 1,
                                        .seed = problem->seed,
                                        .force_pairing = t->force,
                                        .reference = t->reference };
    struct run r = { .toy = t, .problem = problem, .algo = algo, .graph = graph };
    QGM_TRY(qgm_engine_open(&r.engine, &config, err));
    if (check) {
        qgm_engine_close(&r.engine);
        return 0;
    }
    double *memory = calloc(4 * problem->dim, sizeof *memory);
    int result = memory ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory");
    r.x = memory, r.g = memory + problem->dim, r.mean = r.g + problem->dim, r.grad = r.mean + problem->dim;
    if (result == 0) result = run_steps(&r, err);
    free(memory);
    qgm_engine_close(&r.engine);
    return result;
}

/* ---- The command ---- */

static void print_head(const struct toy *t, const struct qgm_toy *p, struct qgm_topology *graph)
{
    if (t->csv) {
        printf("problem,algorithm,graph,clients,lr,momentum,%s\n",
               t->below.n ? "below,step" : "step,consensus,distance,objective,gradient,mean_0,mean_1");
        return;
    }
    printf("problem  %s: %s\nclients  %d, zeta2 at the optimum %.6g\ngraph    %s%s, spectral gap %.6g\n"
           "steps    learning rate %g, momentum %g, %s precision\n\n",
           t->problem, p->kind->about, p->clients, p->zeta2, t->graph, t->lazy ? " (lazy)" : "",
           qgm_topology_spectrum(graph)->gap, t->lr, t->momentum, t->reference ? "double" : "single");
    if (t->below.n)
        printf("%-24s %10s  %7s\n", "algorithm", "below", "step");
    else
        printf("%-24s %7s  %11s %11s %11s %11s\n", "algorithm", "step", "consensus", "distance", "objective",
               "gradient");
}

static int run_list(const struct toy *t, const struct qgm_toy *problem, struct qgm_topology *graph, bool check,
                    struct qgm_error *err)
{
    char algos[sizeof t->algos], *rest = algos, *algo;
    snprintf(algos, sizeof algos, "%s", t->algos);
    while ((algo = strsep(&rest, " ")))
        if (*algo) QGM_TRY(run_algo(t, problem, graph, algo, check, err));
    return 0;
}

static int run_all(struct toy *t, const struct qgm_toy *problem, struct qgm_error *err)
{
    struct qgm_topology *graph;
    if (t->at.n && t->below.n) return qgm_fail(err, QGM_USAGE, "--at, --below: one of the two");
    if (t->at.n && t->steps && t->at.value[t->at.n - 1] > t->steps)
        return qgm_fail(err, QGM_USAGE, "--at: step %.0f is behind the last, --steps %ld", t->at.value[t->at.n - 1],
                        (long)t->steps);
    if (t->at.n) t->steps = t->at.value[t->at.n - 1];
    if (!t->steps) t->steps = (double)problem->kind->steps;
    if (!t->every) t->every = t->steps > 10 ? floor(t->steps / 10) : 1;
    if (t->lr < 0) t->lr = problem->kind->lr;
    if (!*t->algos) snprintf(t->algos, sizeof t->algos, "%s", problem->kind->algos);
    QGM_TRY(qgm_topology_open(&graph, t->graph, problem->clients, t->lazy, problem->seed, err));
    int result = qgm_topology_find_spectrum(graph, err);
    if (result == 0) result = run_list(t, problem, graph, true, err); /* none starts when one cannot */
    if (result == 0) print_head(t, problem, graph);
    if (result == 0) result = run_list(t, problem, graph, false, err);
    qgm_topology_close(&graph);
    return result;
}

static int toy_main(int argc, const char **argv, struct qgm_error *err)
{
    struct toy t = { .problem = "quadratic", .graph = "ring", .lr = -1, .momentum = 0.9, .seed = 1 };
    const struct qgm_program program = {
        .name = "qgm-toy",
        .usage = "[PROBLEM] [FLAG]...",
        .intro = make_intro(),
        .examples =
            "  qgm-toy quadratic                                        who keeps a bias, and how large\n"
            "  qgm-toy quadratic --double --algos 'dsgd gt' --lr 0.1    to many digits\n"
            "  qgm-toy consensus --clients 64 --topology ring           momentum speeds averaging on long rings\n"
            "  qgm-toy rosenbrock --below 1e-1,1e-3,1e-6                steps to get there, one worker\n"
            "  qgm-toy least-squares:zeta2=4 --algos 'dsgdm-n qg-dsgdm-n' --noise 0.1 --csv\n",
        .own = own_flags,
        .set = set_own,
        .user = &t
    };
    struct qgm_options options;
    const char *words[1] = { NULL };
    qgm_options_default(&options);
    int n = qgm_parse(&program, argc, argv, &options, words, 1, err);
    if (n < 0) return -1;
    if (n) t.problem = words[0];
    QGM_TRY(qgm_kernels_use(*t.isa ? t.isa : NULL, err));
    struct qgm_toy problem;
    QGM_TRY(qgm_toy_open(&problem, t.problem, (int)t.clients, (uint64_t)t.seed, err));
    int result = run_all(&t, &problem, err);
    qgm_toy_close(&problem);
    return result;
}

int main(int argc, const char **argv)
{
    struct qgm_error err = { 0 };
    if (toy_main(argc, argv, &err) == 0) return 0;
    return qgm_complain("qgm-toy", &err);
}
