/* The algorithms in double: fixed points and trajectories known in closed form, and what must hold for each of them.
 * Golden trajectories are replay.sh's. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "engine.h"
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct qgm_topology *open_graph(const char *spec, int n, bool lazy)
{
    struct qgm_error err = { 0 };
    struct qgm_topology *t = NULL;
    if (qgm_topology_open(&t, spec, n, lazy, 7, &err) < 0) fail_msg("%s", err.text);
    return t;
}

static struct qgm_engine *open_engine(const char *algo, struct qgm_topology *t, size_t dim, double momentum)
{
    struct qgm_error err = { 0 };
    struct qgm_engine *e = NULL;
    struct qgm_engine_config config = { .algo = algo,
                                        .topology = t,
                                        .dim = dim,
                                        .momentum = momentum,
                                        .threads = 1,
                                        .telemetry = true,
                                        .force_pairing = true,
                                        .reference = true };
    if (qgm_engine_open(&e, &config, &err) < 0) fail_msg("%s", err.text);
    return e;
}

static double *x_of(struct qgm_engine *e, int i) { return qgm_engine_reference_params(e, i); }
static double *g_of(struct qgm_engine *e, int i) { return qgm_engine_reference_grad(e, i); }

/* ---- The quadratic: 16 clients on a ring, f_i = (x - i)^2 / 2, from 0 ---- */

struct anchor {
    long t;
    double spread, mean; /* 1/n sum (x_i - xbar)^2 and |xbar - 7.5|; negative: not looked at */
};
static void check_quadratic_on(const char *graph, const char *algo, bool lazy, double lr, double tolerance,
                               const struct anchor *anchors, int count)
{
    struct qgm_topology *t = open_graph(graph, 16, lazy);
    struct qgm_engine *e = open_engine(algo, t, 1, 0.9);
    for (int a = 0; a < count; a++) {
        while (qgm_engine_steps(e) < anchors[a].t) {
            for (int i = 0; i < 16; i++) *g_of(e, i) = *x_of(e, i) - i;
            assert_int_equal(qgm_engine_step(e, lr, NULL, NULL), 0);
        }
        double mean = 0, spread = 0;
        for (int i = 0; i < 16; i++) mean += *x_of(e, i) / 16;
        for (int i = 0; i < 16; i++) spread += (*x_of(e, i) - mean) * (*x_of(e, i) - mean) / 16;
        if (anchors[a].spread >= 0 && !(fabs(spread - anchors[a].spread) <= tolerance * anchors[a].spread + 1e-12))
            fail_msg("%s, step %ld: spread %.5g, expected %.5g", algo, anchors[a].t, spread, anchors[a].spread);
        if (anchors[a].mean >= 0 && !(fabs(fabs(mean - 7.5) - anchors[a].mean) <= 0.02 * anchors[a].mean + 1e-9))
            fail_msg("%s, step %ld: mean off by %.4g, expected %.4g", algo, anchors[a].t, fabs(mean - 7.5),
                     anchors[a].mean);
    }
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

static void check_quadratic(const char *algo, bool lazy, double lr, double tolerance, const struct anchor *anchors,
                            int count)
{
    check_quadratic_on("ring", algo, lazy, lr, tolerance, anchors, count);
}

/* Computed once with numpy in double from the formulas alone; five digits of the spread, two or three of the mean. */
static void trajectories_on_the_quadratic(void **state)
{
    (void)state;
    static const struct {
        const char *algo;
        double lr;
        struct anchor anchor[4];
    } table[] = {
        { "dsgd",
          0.01,
          { { 50, 3.0337e-1, 4.54 }, { 100, 3.3061e-1, 2.75 }, { 200, 3.3191e-1, 1.00 }, { 5000, 3.3191e-1, 0 } } },
        { "dsgd",
          0.1,
          { { 50, 5.8931, 3.87e-2 }, { 100, 5.8974, 1.99e-4 }, { 200, 5.8974, 5e-9 }, { 5000, 5.8974, 0 } } },
        { "dsgdm",
          0.01,
          { { 50, 6.0153, 0.438 }, { 100, 5.9025, 1.98e-2 }, { 200, 5.8974, 3.2e-5 }, { 5000, 5.8974, 0 } } },
        { "dsgdm-n",
          0.01,
          { { 50, 6.0118, 0.372 }, { 100, 5.8999, 5.31e-3 }, { 200, 5.8974, -1 }, { 5000, 5.8974, 0 } } },
        { "qg-dsgdm",
          0.01,
          { { 50, 4.2577e-1, 0.260 }, { 100, 3.2302e-1, 2.86 }, { 200, 3.3207e-1, 1.07 }, { 5000, 3.3191e-1, 0 } } },
        { "qg-dsgdm-n",
          0.01,
          { { 50, 1.0736, 1.24 }, { 100, 9.1568e-1, 0.783 }, { 200, 9.2266e-1, -1 }, { 5000, 9.2250e-1, 0 } } },
        { "dsgdm-sync",
          0.01,
          { { 50, 4.2704, 0.438 }, { 100, 4.2113, 1.98e-2 }, { 200, 4.2112, 3.2e-5 }, { 5000, 4.2112, 0 } } },
        { "d2", 0.1, { { 50, 1.0949e-3, 3.87e-2 }, { 100, 1.1563e-8, 1.99e-4 }, { 200, 0, 5e-9 }, { 5000, 0, 0 } } },
        { "gt",
          0.1,
          { { 50, 1.0897, 3.87e-2 }, { 100, 2.7392e-1, 1.99e-4 }, { 200, 1.7305e-2, 5e-9 }, { 5000, 0, 0 } } },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        check_quadratic(table[i].algo, false, table[i].lr, 3e-5, table[i].anchor, 4);
}

/* Where momentum-free gossip at step eta ends: Xi^2 = 1/n sum_k (eta lambda_k / (1 - (1 - eta) lambda_k))^2 |<b,
 * u_k>|^2 over the modes of the ring, k > 0, lambda of I + gamma (W - I). Quasi-global momentum ends there too, in its
 * Nesterov form as if at eta (1 + beta). Where buffers are mixed along, a mode sees the step eta / (1 - beta lambda).
 */
static double fixed_point(double eta, double beta, double gamma)
{
    double sum = 0, pi = acos(-1);
    for (int k = 1; k < 16; k++) {
        double lambda = 1 - gamma * (1 - (1 + 2 * cos(2 * pi * k / 16)) / 3), re = 0, im = 0;
        for (int i = 0; i < 16; i++) {
            re += i * cos(2 * pi * k * i / 16) / 4;
            im += i * sin(2 * pi * k * i / 16) / 4;
        }
        double step = eta / (1 - beta * lambda), gain = step * lambda / (1 - (1 - step) * lambda);
        sum += gain * gain * (re * re + im * im) / 16;
    }
    return sum;
}

static void fixed_points_in_closed_form(void **state)
{
    (void)state;
    static const struct {
        const char *algo;
        double lr, like, beta, gamma; /* ends where DSGD with these ends */
    } table[] = {
        { "dsgd", 0.01, 0.01, 0, 1 },
        { "dsgd", 0.1, 0.1, 0, 1 },
        { "dsgdm", 0.01, 0.1, 0, 1 },
        { "dsgdm-n", 0.01, 0.1, 0, 1 },
        { "qg-dsgdm", 0.01, 0.01, 0, 1 },
        { "qg-dsgdm-n", 0.01, 0.019, 0, 1 },
        { "qg-dsgdm:dialect=relaysgd", 0.019, 0.01, 0, 1 },
        { "qg-dsgdm:mu=0.5,tau=4", 0.01, 0.01, 0, 1 },
        { "qg-ars:rate=0.4,growth=1", 0.01, 0.01, 0, 0.4 },
        { "decentlam", 0.01, 0.01, 0, 1 },
        { "qhm:discount=0.9", 0.01, 0.01, 0, 1 },
        { "sgp", 0.01, 0.01, 0, 1 },
        { "sgpm-n", 0.01, 0.1, 0, 1 },
        { "dsgdm-sync", 0.01, 0.01, 0.9, 1 },
        { "dmsgd:option=2", 0.01, 0.01, 0.9, 1 },
        { "choco:compressor=none,gamma=0.4", 0.01, 0.01, 0, 0.4 },
        { "choco:ratio=0.5,gamma=0.4", 0.01, 0.01, 0, 0.4 },
    };
    assert_true(fabs(fixed_point(0.01, 0, 1) - 3.3191e-1) < 1e-5 && fabs(fixed_point(0.1, 0, 1) - 5.8974) < 1e-4);
    assert_true(fabs(fixed_point(0.01, 0.9, 1) - 4.2112) < 1e-4);
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        check_quadratic(table[i].algo, false, table[i].lr, 1e-11,
                        &(struct anchor){ 8000, fixed_point(table[i].like, table[i].beta, table[i].gamma), 0 }, 1);
}

/* Methods that correct for heterogeneous data agree exactly in the end. */
static void unbiased_methods_reach_consensus(void **state)
{
    (void)state;
    static const struct {
        const char *algo, *graph;
    } table[] = {
        { "d2", "ring" },
        { "d2-plus", "ring" },
        { "gt", "ring" },
        { "gtm", "ring" },
        { "gtm-n", "ring" },
        { "momentum-tracking", "ring" },
        { "edm", "ring" },
        { "beer:compressor=none", "ring" },
        { "beer:ratio=0.5", "ring" },
        { "motef:compressor=none", "ring" },
        { "gt:local=3", "ring" },
        { "beer:compressor=none,gamma=0.9,local=3", "ring" },
        { "motef:ratio=0.5,gamma=0.6,local=2", "ring" },
        { "relaysgd", "binary-tree" },
        { "relaysgdm", "binary-tree" },
        { "relaysgdm-n", "binary-tree" },
        { "sgd-central", "ring" },
        { "sgd-central-m-n", "ring" },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        check_quadratic_on(table[i].graph, table[i].algo, strcmp(table[i].graph, "ring") == 0, 0.01, 0,
                           &(struct anchor){ 9000, 0, 0 }, 1);
}

/* One worker's quasi-global momentum is quasi-hyperbolic momentum: discount mu + (1 - mu) beta, nu = beta / discount,
 * learning rate lr / (1 - beta). */
static void quasi_global_alone_is_quasi_hyperbolic(void **state)
{
    (void)state;
    enum { DIM = 20 };
    struct qgm_topology *one = open_graph("ring", 1, false);
    char spec[100];
    snprintf(spec, sizeof spec, "qhm:discount=%.17g,nu=%.17g", 0.99, 0.9 / 0.99);
    struct qgm_engine *e = open_engine("qg-dsgdm", one, DIM, 0.9), *f = open_engine(spec, one, DIM, 0);
    for (int t = 0; t < 500; t++) {
        for (int k = 0; k < DIM; k++) {
            g_of(e, 0)[k] = (x_of(e, 0)[k] - k) * (1 + k % 3) + sin(t + k);
            g_of(f, 0)[k] = (x_of(f, 0)[k] - k) * (1 + k % 3) + sin(t + k);
        }
        qgm_engine_step(e, 0.01, NULL, NULL);
        qgm_engine_step(f, 0.1, NULL, NULL);
        for (int k = 0; k < DIM; k++)
            if (fabs(x_of(e, 0)[k] - x_of(f, 0)[k]) > 1e-11) fail_msg("apart at step %d", t);
    }
    qgm_engine_close(&e);
    qgm_engine_close(&f);
    qgm_topology_close(&one);
}

/* ---- Averaging alone: x <- W (x + beta m), m <- mu m + (1 - mu) (x' - x), from a flat spectrum ---- */

static double energy_after(const char *algo, const char *graph, int n, long steps)
{
    struct qgm_topology *t = open_graph(graph, n, false);
    struct qgm_engine *e = open_engine(algo, t, (size_t)n, 0.9);
    struct qgm_telemetry m;
    for (int i = 0; i < n; i++) x_of(e, i)[i] = 1; /* the identity: every mode with the same energy */
    double start = (n - 1.0) / n;
    while (qgm_engine_steps(e) < steps) assert_int_equal(qgm_engine_step(e, 1, &m, NULL), 0);
    qgm_engine_close(&e);
    qgm_topology_close(&t);
    return m.consensus * m.consensus / start;
}

static void averaging_as_tabulated(void **state)
{
    (void)state;
    static const struct {
        const char *algo, *graph;
        int n;
        double t25, t100;
    } table[] = {
        { "dsgd", "ring", 16, 9.87e-3, 3.99e-6 }, { "qg-dsgdm", "ring", 16, 4.35e-3, 2.15e-4 },
        { "dsgd", "ring", 32, 3.88e-2, 4.90e-3 }, { "qg-dsgdm", "ring", 32, 1.98e-2, 6.06e-3 },
        { "dsgd", "ring", 64, 5.41e-2, 1.92e-2 }, { "qg-dsgdm", "ring", 64, 3.54e-2, 3.24e-3 },
        { "dsgd", "davis", 32, 4.88e-4, 1.2e-9 }, { "qg-dsgdm", "davis", 32, 3.92e-3, 6.3e-7 },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        double a = energy_after(table[i].algo, table[i].graph, table[i].n, 25);
        double b = energy_after(table[i].algo, table[i].graph, table[i].n, 100);
        if (fabs(a / table[i].t25 - 1) > 0.002 || fabs(b / table[i].t100 - 1) > 0.05)
            fail_msg("%s on %s %d: %.3g and %.3g, expected %.3g and %.3g", table[i].algo, table[i].graph, table[i].n, a,
                     b, table[i].t25, table[i].t100);
    }
}

/* A mode of W with eigenvalue lambda obeys x(t+2) = trace x(t+1) - determinant x(t), with trace lambda (1 + (1 - mu)
 * beta) + mu and determinant lambda (mu + (1 - mu) beta): by Cayley and Hamilton, from the first two steps on. */
static void averaging_mode_by_mode(void **state)
{
    (void)state;
    enum { N = 16, STEPS = 300 };
    const double beta = 0.9, mu = 0.7, pi = acos(-1);
    struct qgm_topology *t = open_graph("ring", N, false);
    struct qgm_engine *e = open_engine("qg-dsgdm:mu=0.7", t, N, beta);
    for (int i = 0; i < N; i++) /* coordinate k: mode k */
        for (int k = 0; k < N; k++) x_of(e, i)[k] = cos(2 * pi * i * k / N);
    double x[N], next[N]; /* of client 0, where every mode is 1 at the start */
    for (int k = 0; k < N; k++) {
        x[k] = 1;
        next[k] = (1 + 2 * cos(2 * pi * k / N)) / 3; /* no displacement yet: one plain step */
    }
    for (int step = 1; step < STEPS; step++) {
        assert_int_equal(qgm_engine_step(e, 1, NULL, NULL), 0);
        for (int k = 0; k < N; k++) {
            double lambda = (1 + 2 * cos(2 * pi * k / N)) / 3;
            if (fabs(x_of(e, 0)[k] - next[k]) > 1e-12) fail_msg("mode %d, step %d: apart", k, step);
            double after = (lambda * (1 + (1 - mu) * beta) + mu) * next[k] - lambda * (mu + (1 - mu) * beta) * x[k];
            x[k] = next[k];
            next[k] = after;
        }
    }
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

/* ---- What holds for every algorithm ---- */

static const char *graph_for(const char *algo) { return strncmp(algo, "relay", 5) == 0 ? "binary-tree" : "ring"; }

/* A smooth problem with known gradient; which >= 0: every client has the data of that one. */
static double gradient(int i, size_t k, double x)
{
    return (0.5 + 0.1 * (double)((i * 7 + (int)k * 3) % 10)) * (x - (i - 2.5)) + 0.3 * sin(2 * x + i + (double)k);
}

static void run(struct qgm_engine *e, int steps, const int *data)
{
    for (int t = 0; t < steps; t++) {
        for (int i = 0; i < qgm_engine_clients(e); i++)
            for (size_t k = 0; k < qgm_engine_dim(e); k++) g_of(e, i)[k] = gradient(data[i], k, x_of(e, i)[k]);
        assert_int_equal(qgm_engine_step(e, 0.05, NULL, NULL), 0);
    }
}

/* Compression draws random numbers or rounds by client: relations between clients hold without it only. */
static bool compresses(const char *algo)
{
    return strstr(algo, "choco") || strncmp(algo, "beer", 4) == 0 || strncmp(algo, "motef", 5) == 0;
}

/* A step without a gradient: written anew, since a step may spend it. */
static void coast(struct qgm_engine *e)
{
    for (int i = 0; i < qgm_engine_clients(e); i++)
        for (size_t k = 0; k < qgm_engine_dim(e); k++) g_of(e, i)[k] = 0;
    qgm_engine_step(e, 0.1, NULL, NULL);
}

static void agreement_without_gradient_stays(void **state)
{
    (void)state;
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        struct qgm_topology *t = open_graph(graph_for(*algo), 6, false);
        struct qgm_engine *e = open_engine(*algo, t, 20, 0.9);
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 20; k++) x_of(e, i)[k] = k - 3.25;
        for (int s = 0; s < 5; s++) coast(e);
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 20; k++)
                if (fabs(x_of(e, i)[k] - (k - 3.25)) > 1e-12) fail_msg("%s: moved without a gradient", *algo);
        qgm_engine_close(&e);
        qgm_topology_close(&t);
    }
}

static void equal_clients_act_as_one(void **state)
{
    (void)state;
    static const int data[6] = { 3, 3, 3, 3, 3, 3 };
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        if (compresses(*algo) || strncmp(*algo, "relay", 5) == 0)
            continue; /* relayed models are older than one's own */
        struct qgm_topology *many = open_graph(graph_for(*algo), 6, false),
                            *one = open_graph(graph_for(*algo), 1, false);
        struct qgm_engine *e = open_engine(*algo, many, 20, 0.8), *alone = open_engine(*algo, one, 20, 0.8);
        run(e, 12, data);
        run(alone, 12, data);
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 20; k++)
                if (fabs(x_of(e, i)[k] - x_of(alone, 0)[k]) > 1e-11)
                    fail_msg("%s: six equal clients end at %g, one at %g", *algo, x_of(e, i)[k], x_of(alone, 0)[k]);
        qgm_engine_close(&e);
        qgm_engine_close(&alone);
        qgm_topology_close(&many);
        qgm_topology_close(&one);
    }
}

/* Clients under other numbers, on the graph renumbered alike: the same models under the other numbers. */
static void names_of_clients_do_not_matter(void **state)
{
    (void)state;
    enum { N = 6 };
    static const int other[N] = { 4, 0, 5, 2, 1, 3 }, plain[N] = { 0, 1, 2, 3, 4, 5 };
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        if (compresses(*algo)) continue;
        struct qgm_topology *t = open_graph(graph_for(*algo), N, false), *renamed = NULL;
        const struct qgm_row *rows = qgm_topology_rows(t, 0);
        struct qgm_weight weights[N * N];
        size_t count = 0;
        int data[N];
        for (int i = 0; i < N; i++) {
            data[other[i]] = i;
            for (int k = 0; k < rows[i].n; k++)
                weights[count++] = (struct qgm_weight){ 0, other[i], other[rows[i].from[k]], rows[i].w[k] };
        }
        assert_int_equal(qgm_topology_from(&renamed, "renamed", N, 1, weights, count, false, NULL), 0);
        struct qgm_engine *e = open_engine(*algo, t, 20, 0.8), *f = open_engine(*algo, renamed, 20, 0.8);
        run(e, 12, plain);
        run(f, 12, data);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < 20; k++)
                if (fabs(x_of(e, i)[k] - x_of(f, other[i])[k]) > 1e-11) fail_msg("%s: depends on numbering", *algo);
        qgm_engine_close(&e);
        qgm_engine_close(&f);
        qgm_topology_close(&t);
        qgm_topology_close(&renamed);
    }
}

/* Doubly stochastic mixing keeps the mean when nobody has a gradient. */
static void mixing_keeps_the_mean(void **state)
{
    (void)state;
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        if (strncmp(*algo, "relay", 5) == 0) continue; /* while messages travel its clients stand in for each other */
        struct qgm_topology *t = open_graph("ring", 6, false);
        struct qgm_engine *e = open_engine(*algo, t, 20, 0.8);
        bool adaptive = strstr(*algo, "adam"); /* its steps are not linear in what moved */
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 20; k++) x_of(e, i)[k] = (i * 5 + k * 3) % 7;
        for (int s = 0; s < (adaptive ? 1 : 8); s++) coast(e);
        for (int k = 0; k < 20; k++) {
            double before = 0, after = 0;
            for (int i = 0; i < 6; i++) {
                before += (i * 5 + k * 3) % 7;
                after += x_of(e, i)[k];
            }
            if (fabs(before - after) > 1e-11) fail_msg("%s: mean from %g to %g", *algo, before / 6, after / 6);
        }
        qgm_engine_close(&e);
        qgm_topology_close(&t);
    }
}

/* Graphs of a period go on by exchanges, not by steps: after a period of exchanges all agree, whatever lies between. */
static void local_steps_leave_finite_time_graphs_finite(void **state)
{
    (void)state;
    static const char *const graphs[] = { "one-peer-exponential", "one-peer-hypercube", "base", "simple-base" };
    enum { N = 16 };
    for (size_t g = 0; g < QGM_COUNT(graphs); g++)
        for (int local = 1; local <= 5; local++) {
            struct qgm_topology *t = open_graph(graphs[g], N, false);
            char spec[40];
            snprintf(spec, sizeof spec, "dsgd:local=%d", local);
            struct qgm_engine *e = open_engine(spec, t, 1, 0);
            for (int i = 0; i < N; i++) x_of(e, i)[0] = i;
            int period = qgm_topology_period(t);
            for (int s = 0; s < period * local; s++) coast(e);
            assert_int_equal(qgm_engine_exchanges(e), period);
            for (int i = 0; i < N; i++)
                if (fabs(x_of(e, i)[0] - (N - 1) / 2.0) > 1e-12)
                    fail_msg("%s, %s: client %d at %g", graphs[g], spec, i, x_of(e, i)[0]);
            qgm_engine_close(&e);
            qgm_topology_close(&t);
        }
}

/* local=3 is the same as a graph on which nobody has neighbours in two steps of three. Not where an exchange is more
 * than a mixing: copies of compressed models, and models relayed, stay as they are in a local step. */
static void local_steps_are_steps_alone(void **state)
{
    (void)state;
    enum { N = 5 };
    static const int data[N] = { 0, 1, 2, 3, 4 };
    struct qgm_topology *t = open_graph("ring", N, false), *sparse = NULL;
    const struct qgm_row *rows = qgm_topology_rows(t, 0);
    struct qgm_weight weights[3 * N * N];
    size_t count = 0;
    int tried = 0;
    for (int i = 0; i < N; i++) {
        for (long draw = 0; draw < 2; draw++) weights[count++] = (struct qgm_weight){ draw, i, i, 1 };
        for (int k = 0; k < rows[i].n; k++)
            weights[count++] = (struct qgm_weight){ 2, i, rows[i].from[k], rows[i].w[k] };
    }
    assert_int_equal(qgm_topology_from(&sparse, "sparse", N, 3, weights, count, false, NULL), 0);
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        if (!strstr(qgm_algo_about(*algo), "local=1")) continue;
        if (compresses(*algo) || strncmp(*algo, "relay", 5) == 0) continue;
        char spec[100];
        snprintf(spec, sizeof spec, "%s:local=3", *algo);
        struct qgm_engine *e = open_engine(spec, t, 20, 0.8), *f = open_engine(*algo, sparse, 20, 0.8);
        tried++;
        run(e, 13, data);
        run(f, 13, data);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < 20; k++)
                if (fabs(x_of(e, i)[k] - x_of(f, i)[k]) > 1e-12)
                    fail_msg("%s: %g, expected %g", spec, x_of(e, i)[k], x_of(f, i)[k]);
        qgm_engine_close(&e);
        qgm_engine_close(&f);
    }
    assert_true(tried >= 20);
    qgm_topology_close(&t);
    qgm_topology_close(&sparse);
}

/* Either an algorithm takes local steps, or it says why not. */
static void local_steps_or_a_reason(void **state)
{
    (void)state;
    int without = 0;
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        char spec[100];
        struct qgm_error err = { 0 };
        snprintf(spec, sizeof spec, "%s:local=2", *algo);
        if (qgm_algo_check(spec, &err) == 0) continue;
        without++;
        assert_int_equal(err.kind, QGM_USAGE);
        if (!strstr(err.text, "no local steps: ") || strstr(err.text, "(null)")) fail_msg("%s", err.text);
    }
    assert_int_equal(without, 7); /* all-reduced ones, and those of the D2 kind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trajectories_on_the_quadratic),
        cmocka_unit_test(fixed_points_in_closed_form),
        cmocka_unit_test(unbiased_methods_reach_consensus),
        cmocka_unit_test(quasi_global_alone_is_quasi_hyperbolic),
        cmocka_unit_test(averaging_as_tabulated),
        cmocka_unit_test(averaging_mode_by_mode),
        cmocka_unit_test(agreement_without_gradient_stays),
        cmocka_unit_test(equal_clients_act_as_one),
        cmocka_unit_test(names_of_clients_do_not_matter),
        cmocka_unit_test(mixing_keeps_the_mean),
        cmocka_unit_test(local_steps_are_steps_alone),
        cmocka_unit_test(local_steps_or_a_reason),
        cmocka_unit_test(local_steps_leave_finite_time_graphs_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
