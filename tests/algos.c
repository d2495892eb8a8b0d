/* The algorithms in double: fixed points and trajectories known in closed form. What must hold for each of them is in
 * invariants.c, golden trajectories are replay.sh's. SPDX-License-Identifier: MIT */
#include "engines.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The quadratic: 16 clients on a ring, f_i = (x - i)^2 / 2, from 0 ---- */

struct anchor {
    long t;
    double spread, mean; /* 1/n sum (x_i - xbar)^2 and |xbar - 7.5|; negative: not looked at */
};
/* stands: in two steps the learning rate is 0. */
static void check_quadratic_on(const char *graph, const char *algo, bool lazy, double lr, bool stands, double tolerance,
                               const struct anchor *anchors, int count)
{
    struct qgm_topology *t = open_graph(graph, 16, lazy);
    struct qgm_engine *e = open_engine(algo, t, 1, 0.9);
    for (int a = 0; a < count; a++) {
        while (qgm_engine_steps(e) < anchors[a].t) {
            for (int i = 0; i < 16; i++) *g_of(e, i) = *x_of(e, i) - i;
            bool still = stands && (qgm_engine_steps(e) == 0 || qgm_engine_steps(e) == 36);
            assert_int_equal(qgm_engine_step(e, still ? 0 : lr, NULL, NULL), 0);
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
    check_quadratic_on("ring", algo, lazy, lr, false, tolerance, anchors, count);
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
        for (int stands = 0; stands < 2; stands++) /* but D2, which is for a constant learning rate */
            check_quadratic_on(table[i].graph, table[i].algo, strcmp(table[i].graph, "ring") == 0, 0.01,
                               stands && strcmp(table[i].algo, "d2") != 0, 0, &(struct anchor){ 9000, 0, 0 }, 1);
}

/* What a learning rate of 0 does is what a tiny one does: the average of a slow step is taken all the same. */
static void slow_steps_without_learning_rate(void **state)
{
    (void)state;
    static const double tiny[2] = { 0, 1e-12 };
    double end[2][8];
    struct qgm_topology *t = open_graph("ring", 8, false);
    for (int z = 0; z < 2; z++) {
        struct qgm_engine *e = open_engine("slowmo:tau=4,beta=0", t, 1, 0);
        for (int s = 0; s < 8; s++) {
            for (int i = 0; i < 8; i++) *g_of(e, i) = *x_of(e, i) - i;
            assert_int_equal(qgm_engine_step(e, s == 4 ? tiny[z] : 0.1, NULL, NULL), 0);
        }
        for (int i = 0; i < 8; i++) end[z][i] = *x_of(e, i);
        qgm_engine_close(&e);
    }
    for (int i = 0; i < 8; i++) assert_true(fabs(end[0][i] - end[1][i]) < 1e-9);
    qgm_topology_close(&t);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trajectories_on_the_quadratic),
        cmocka_unit_test(fixed_points_in_closed_form),
        cmocka_unit_test(unbiased_methods_reach_consensus),
        cmocka_unit_test(slow_steps_without_learning_rate),
        cmocka_unit_test(quasi_global_alone_is_quasi_hyperbolic),
        cmocka_unit_test(averaging_as_tabulated),
        cmocka_unit_test(averaging_mode_by_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
