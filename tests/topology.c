/* Graphs: tabulated spectral gaps, weights, properties of every graph, refusals. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "graph.h"
#include "topology.h"
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct qgm_topology *open_graph(const char *spec, int n, bool lazy)
{
    struct qgm_error err = { 0 };
    struct qgm_topology *t = NULL;
    if (qgm_topology_open(&t, spec, n, lazy, 7, &err) < 0) fail_msg("%s on %d: %s", spec, n, err.text);
    return t;
}

/* Lin et al.'s and the usual graphs; gaps to six digits from an independent eigenvalue solver. */
static void gaps_as_tabulated(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int n;
        double gap;
    } table[] = {
        { "ring", 8, 0.195262 },
        { "ring", 16, 0.050747 },
        { "ring", 32, 0.012810 },
        { "ring", 64, 0.003210 },
        { "chain", 16, 0.012810 },
        { "torus", 16, 0.4 },
        { "torus", 32, 0.117157 },
        { "torus:rows=4", 32, 0.117157 },
        { "torus", 25, 0.276393 },
        { "ring-extended", 16, 0.146447 },
        { "hypercube", 8, 0.5 },
        { "hypercube", 16, 0.4 },
        { "hypercube", 32, 1.0 / 3 },
        { "davis", 32, 0.082098 },
        { "florentine", 15, 0.057441 },
        { "karate", 34, 0.031236 },
        { "les-miserables", 77, 0.007287 },
        { "exponential", 8, 0.5 },
        { "exponential", 16, 0.4 },
        { "exponential", 17, 0.452379 },
        { "exponential", 32, 1.0 / 3 },
        { "petersen", 10, 0.5 },
        { "dyck", 32, 0.190983 },
        { "margulis", 16, 0.460655 },
        { "expander", 17, 0.144743 },
        { "one-peer-exponential", 16, 1 },
        { "one-peer-exponential", 32, 1 },
        { "one-peer-hypercube", 32, 1 },
        { "two-sided-exponential", 16, 2.0 / 3 },
        { "two-sided-exponential", 32, 2.0 / 3 },
        { "complete", 7, 1 },
        { "complete", 1, 1 },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        struct qgm_topology *t = open_graph(table[i].spec, table[i].n, false);
        double gap = qgm_topology_spectrum(t)->gap;
        if (!(fabs(gap - table[i].gap) < 6e-7))
            fail_msg("%s on %d: gap %.7f, expected %.6f", table[i].spec, table[i].n, gap, table[i].gap);
        qgm_topology_close(&t);
    }
}

/* Many clients: closed forms of the spectra of graphs that look the same from each client, and of a chain and a star,
 * to ten digits. */
static void spectra_of_many_clients(void **state)
{
    (void)state;
    const double pi = acos(-1);
    const struct {
        const char *spec;
        int n;
        double lambda2, lambda_min;
    } table[] = {
        { "ring", 513, 1.0 / 3 + 2.0 / 3 * cos(2 * pi / 513), 1.0 / 3 + 2.0 / 3 * cos(2 * pi * 256 / 513) },
        { "ring", 2000, 1.0 / 3 + 2.0 / 3 * cos(2 * pi / 2000), -1.0 / 3 },
        { "chain", 1500, 1.0 / 3 + 2.0 / 3 * cos(pi / 1500), 1.0 / 3 + 2.0 / 3 * cos(pi * 1499 / 1500) },
        { "ring-extended", 1000, 0.5 + 0.5 * cos(4 * pi / 1000), 0.5 * cos(2 * pi * 499 / 1000) },
        { "torus:rows=3", 1200, 0.6 + 0.4 * cos(2 * pi / 400), 0.2 + 0.4 * cos(2 * pi / 3) - 0.4 },
        { "torus", 3000, 0.6 + 0.4 * cos(2 * pi / 60), -0.6 },
        { "hypercube", 2048, 10.0 / 12, -10.0 / 12 },
        { "star", 2000, 1 - 1.0 / 2000, 0 },
        { "complete", 600, 0, 0 },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        struct qgm_topology *t = open_graph(table[i].spec, table[i].n, false);
        struct qgm_error err = { 0 };
        if (qgm_topology_find_spectrum(t, &err) < 0) fail_msg("%s", err.text);
        const struct qgm_spectrum *s = qgm_topology_spectrum(t);
        if (!(fabs(s->lambda2 - table[i].lambda2) < 1e-10 && fabs(s->lambda_min - table[i].lambda_min) < 1e-10))
            fail_msg("%s on %d: %.12f and %.12f, expected %.12f and %.12f", table[i].spec, table[i].n, s->lambda2,
                     s->lambda_min, table[i].lambda2, table[i].lambda_min);
        qgm_topology_close(&t);
    }
}

/* The method for many clients on few, where the dense one is the reference; graphs without any symmetry among them. */
static void sparse_spectra_as_dense(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int n;
    } table[] = { { "karate", 34 },           { "les-miserables", 77 },         { "erdos-renyi:p=0.1", 100 },
                  { "random-regular", 150 },  { "binary-tree", 200 },           { "margulis", 196 },
                  { "equi-static:m=3", 150 }, { "ring:weights=max-degree", 50 } };
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        for (int lazy = 0; lazy < 2; lazy++) {
            struct qgm_topology *t = open_graph(table[i].spec, table[i].n, lazy);
            const struct qgm_spectrum *s = qgm_topology_spectrum(t);
            double lambda2 = NAN, lambda_min = NAN;
            int result = qgm_spectrum_sparse(qgm_topology_rows(t, 0), table[i].n, s->row_stochastic, &lambda2,
                                             &lambda_min, NULL);
            if (result || !(fabs(s->lambda2 - lambda2) < 1e-10 && fabs(s->lambda_min - lambda_min) < 1e-10))
                fail_msg("%s on %d: %d, %.12f and %.12f, expected %.12f and %.12f", table[i].spec, table[i].n, result,
                         lambda2, lambda_min, s->lambda2, s->lambda_min);
            qgm_topology_close(&t);
        }
}

/* (1 + c) I - c W, some weights of which are below 0, from W of a graph. */
static struct qgm_topology *turned(struct qgm_topology *t, double c)
{
    int n = qgm_topology_clients(t);
    const struct qgm_row *rows = qgm_topology_rows(t, 0);
    struct qgm_weight *list = calloc((size_t)n * 8, sizeof *list);
    struct qgm_topology *result = NULL;
    struct qgm_error err = { 0 };
    size_t count = 0;
    for (int i = 0; i < n; i++) {
        list[count++] = (struct qgm_weight){ 0, i, i, 1 + c };
        for (int k = 0; k < rows[i].n; k++)
            list[count++] = (struct qgm_weight){ 0, i, rows[i].from[k], -c * rows[i].w[k] };
    }
    if (qgm_topology_from(&result, "turned", n, 1, list, count, false, &err) < 0) fail_msg("%s", err.text);
    free(list);
    return result;
}

/* The 1 of consensus may then be the smallest of all: dense, as a band and by Lanczos. */
static void spectra_of_weights_below_zero(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int n;
        double c;
    } table[] = { { "ring", 2, 0.5 },           { "ring", 7, 0.5 },     { "complete", 5, -1.4 },
                  { "random-regular", 40, -2 }, { "chain", 600, 0.25 }, { "random-regular", 600, 0.5 } };
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        double c = table[i].c;
        struct qgm_topology *t = open_graph(table[i].spec, table[i].n, false), *u = turned(t, c);
        const struct qgm_spectrum *s = qgm_topology_spectrum(t), *v = qgm_topology_spectrum(u);
        double a = 1 + c - c * s->lambda2, b = 1 + c - c * s->lambda_min, most = fmax(fabs(a), fabs(b));
        if (!(v->negative && !s->negative && fabs(v->lambda2 - fmax(a, b)) < 1e-9 &&
              fabs(v->lambda_min - fmin(a, b)) < 1e-9 && fabs(v->gap - (1 - most)) < 1e-9 &&
              fabs(v->radius - fmax(most, 1)) < 1e-9))
            fail_msg("%s on %d: %.9f and %.9f, gap %.9f, radius %.9f; expected %.9f and %.9f", table[i].spec,
                     table[i].n, v->lambda2, v->lambda_min, v->gap, v->radius, fmax(a, b), fmin(a, b));
        qgm_topology_close(&t);
        qgm_topology_close(&u);
    }
    const struct qgm_weight list[] = { { 0, 0, 0, 1.5 },  { 0, 1, 1, 1.5 },  { 0, 2, 2, 1.5 },
                                       { 0, 0, 1, -0.5 }, { 0, 1, 2, -0.5 }, { 0, 2, 0, -0.5 } };
    struct qgm_topology *t = NULL; /* eigenvalues 1.5 - 0.5 exp(2 pi i k / 3) */
    assert_int_equal(qgm_topology_from(&t, "circle", 3, 1, list, QGM_COUNT(list), false, NULL), 0);
    assert_true(fabs(qgm_topology_spectrum(t)->radius - sqrt(1.75 * 1.75 + 0.1875)) < 1e-9);
    qgm_topology_close(&t);
}

static double weight(const struct qgm_row *rows, int i, int j)
{
    for (int k = 0; k < rows[i].n; k++)
        if (rows[i].from[k] == j) return rows[i].w[k];
    return 0;
}

static void davis_weights(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("davis", 32, false);
    const struct qgm_row *rows = qgm_topology_rows(t, 0);
    const struct qgm_spectrum *s = qgm_topology_spectrum(t);
    assert_true(fabs(weight(rows, 0, 0) - 0.1897436) < 1e-7);
    assert_true(weight(rows, 0, 18) == 1.0 / 9);
    assert_true(fabs(weight(rows, 25, 25) - 1.0 / 15) < 1e-15);
    assert_true(fabs(s->lambda2 - 0.9179025) < 1e-7 && fabs(s->lambda_min + 0.4342788) < 1e-7);
    assert_int_equal(s->diameter, 4);
    assert_true(s->degree_min == 2 && s->degree_max == 14 && fabs(s->degree_mean - 5.5625) < 1e-12);
    qgm_topology_close(&t);
}

/* Rows ascending, self included, sums right, symmetric where edges are undirected: for every graph and several sizes.
 */
static void check_rows(const char *name, struct qgm_topology *t, int n)
{
    const struct qgm_spectrum *s = qgm_topology_facts(t);
    for (long step = 0; step < 6; step++) {
        const struct qgm_row *rows = qgm_topology_rows(t, step);
        for (int i = 0; i < n; i++) {
            double sum = 0;
            bool self = false;
            for (int k = 0; k < rows[i].n; k++) {
                self = self || rows[i].from[k] == i;
                if (k && rows[i].from[k] <= rows[i].from[k - 1]) fail_msg("%s: row %d is not ascending", name, i);
                sum += rows[i].w[k];
                double back = weight(rows, rows[i].from[k], i);
                if (s->symmetric && fabs(rows[i].w[k] - back) > 1e-12) fail_msg("%s: not symmetric", name);
            }
            if (!self || (s->row_stochastic && fabs(sum - 1) > 1e-12)) fail_msg("%s: row %d sums to %g", name, i, sum);
        }
    }
    if (!s->connected) fail_msg("%s on %d clients is not connected", name, n);
}

static void every_graph_is_sound(void **state)
{
    (void)state;
    static const int sizes[] = { 1, 2, 3, 4, 5, 8, 10, 12, 15, 16, 17, 32, 34, 77 };
    for (const char *const *name = qgm_topology_names(); *name; name++) {
        int opened = 0;
        assert_non_null(qgm_topology_about(*name));
        for (size_t i = 0; i < QGM_COUNT(sizes); i++) {
            struct qgm_error err = { 0 };
            struct qgm_topology *t = NULL;
            if (qgm_topology_open(&t, *name, sizes[i], false, 7, &err) < 0) {
                assert_true(err.kind == QGM_USAGE || err.kind == QGM_INPUT);
                assert_non_null(strstr(err.text, *name));
                assert_null(t);
                continue;
            }
            opened++;
            check_rows(*name, t, sizes[i]);
            qgm_topology_close(&t);
        }
        if (!opened && strcmp(*name, "file") != 0 && strcmp(*name, "tree") != 0)
            fail_msg("%s fits none of the sizes", *name);
    }
}

/* Base-(k+1) graphs: symmetric, at most k neighbours in a draw, exact after a period. */
static void base_graphs_average_exactly(void **state)
{
    (void)state;
    static const char *const names[] = { "base", "simple-base" };
    for (int name = 0; name < 2; name++)
        for (int k = 1; k <= 4; k++)
            for (int n = 1; n <= 40; n++) {
                char spec[40];
                snprintf(spec, sizeof spec, "%s:k=%d", names[name], k);
                struct qgm_topology *t = open_graph(spec, n, false);
                const struct qgm_spectrum *s = qgm_topology_spectrum(t);
                if (!(fabs(s->gap - 1) < 1e-12) || !s->row_stochastic || !s->symmetric)
                    fail_msg("%s on %d clients: gap %.15f", spec, n, s->gap);
                for (int d = 0; d < qgm_topology_period(t); d++)
                    for (int i = 0; i < n; i++)
                        if (qgm_topology_rows(t, d)[i].n > k + 1) fail_msg("%s on %d: too many neighbours", spec, n);
                qgm_topology_close(&t);
            }
    static const struct {
        int n, draws;
    } periods[] = { { 15, 4 }, { 17, 5 }, { 30, 5 } };
    for (size_t i = 0; i < QGM_COUNT(periods); i++) {
        struct qgm_topology *t = open_graph("base:k=2", periods[i].n, false);
        assert_int_equal(qgm_topology_period(t), periods[i].draws);
        qgm_topology_close(&t);
    }
}

/* Norms of one period of the released code's bipartite graph, to the four digits on record. */
static void bipartite_period(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("bipartite-exponential", 16, false);
    assert_true(fabs(1 - qgm_topology_spectrum(t)->gap - 0.6533) < 5e-5);
    qgm_topology_close(&t);
    t = open_graph("bipartite-exponential", 32, false);
    assert_true(fabs(1 - qgm_topology_spectrum(t)->gap - 0.6407) < 5e-5);
    qgm_topology_close(&t);
}

/* What a step of a graph that never repeats does to the distance from consensus, in closed form where all clients are
 * alike: p = (trace E[W'W] - 1)/(n - 1). equi-dyn: from 20000 draws, by another program. */
static void gaps_of_random_graphs(void **state)
{
    (void)state;
    const double e = 0.53, own = 1 - e * 11 / 12, other = e * 11 / 12;
    const struct {
        const char *spec;
        int n;
        double square, near; /* square: W'W has on its diagonal, as expected */
    } table[] = { { "random-matching", 64, 0.5, 1e-12 },
                  { "random-matching", 9, 0.5 + 0.5 / 9, 1e-12 },
                  { "random-ring", 32, 1.0 / 3, 1e-12 },
                  { "equi-dyn-directed", 12, own * own + other * other, 1e-12 } };
    for (size_t k = 0; k < QGM_COUNT(table); k++) {
        struct qgm_topology *t = open_graph(table[k].spec, table[k].n, false);
        double gap = 1 - sqrt((table[k].n * table[k].square - 1) / (table[k].n - 1));
        assert_true(fabs(qgm_topology_spectrum(t)->gap - gap) < table[k].near);
        qgm_topology_close(&t);
    }
    static const double equi[][2] = { { 16, 0.2652 }, { 17, 0.2606 }, { 32, 0.2519 } };
    for (size_t k = 0; k < QGM_COUNT(equi); k++) {
        struct qgm_topology *t = open_graph("equi-dyn", (int)equi[k][0], false);
        assert_true(fabs(qgm_topology_spectrum(t)->gap - equi[k][1]) < 0.008);
        qgm_topology_close(&t);
    }
}

/* Messages of a step, however many neighbours the steps have together. */
static void degrees_of_a_step(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int n;
        double step;
    } table[] = { { "davis", 32, 5.5625 },
                  { "one-peer-exponential", 16, 1 },
                  { "random-matching", 16, 1 },
                  { "random-matching", 9, 8.0 / 9 },
                  { "random-ring", 9, 2 },
                  { "two-sided-exponential", 16, 1.75 },
                  { "equi-dyn-directed", 12, 1 },
                  { "base:k=2", 9, 2 },
                  { "chain", 1, 0 } };
    for (size_t k = 0; k < QGM_COUNT(table); k++) {
        struct qgm_topology *t = open_graph(table[k].spec, table[k].n, false);
        assert_true(qgm_topology_facts(t)->degree_step == table[k].step);
        qgm_topology_close(&t);
    }
}

/* A draw is a function of seed and step, whatever was drawn before. */
static void random_graphs_are_functions_of_the_step(void **state)
{
    (void)state;
    static const char *const names[] = { "random-matching", "random-ring", "equi-dyn", "equi-dyn-directed" };
    for (size_t k = 0; k < QGM_COUNT(names); k++) {
        struct qgm_topology *a = open_graph(names[k], 9, false), *b = open_graph(names[k], 9, false);
        bool moved = false;
        double first = weight(qgm_topology_rows(a, 0), 2, 3);
        for (long step = 20; step-- > 0;) {
            double w = weight(qgm_topology_rows(a, step), 2, 3);
            moved = moved || w != first;
            assert_true(weight(qgm_topology_rows(b, 19 - step), 2, 3) == weight(qgm_topology_rows(a, 19 - step), 2, 3));
        }
        assert_true(moved && qgm_topology_facts(a)->column_stochastic && qgm_topology_spectrum(a)->gap > 0.01);
        qgm_topology_close(&a);
        qgm_topology_close(&b);
    }
    struct qgm_topology *t = open_graph("random-regular:degree=5", 20, false);
    assert_true(qgm_topology_facts(t)->degree_min == 5 && qgm_topology_facts(t)->degree_max == 5);
    qgm_topology_close(&t);
}

static void two_clients_share_half(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring", 2, false);
    const struct qgm_row *rows = qgm_topology_rows(t, 0);
    assert_int_equal(rows[0].n, 2);
    assert_true(rows[0].w[0] == 0.5 && rows[0].w[1] == 0.5);
    qgm_topology_close(&t);
    t = open_graph("ring", 1, false);
    assert_true(qgm_topology_rows(t, 0)->n == 1 && *qgm_topology_rows(t, 0)->w == 1);
    qgm_topology_close(&t);
}

static void lazy_halves(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring", 16, true);
    const struct qgm_spectrum *s = qgm_topology_spectrum(t);
    assert_true(fabs(s->lambda_min - 1.0 / 3) < 1e-12);
    assert_true(fabs(s->lambda2 - (1 + 0.949253) / 2) < 1e-6);
    assert_true(fabs(weight(qgm_topology_rows(t, 0), 3, 3) - 2.0 / 3) < 1e-15);
    qgm_topology_close(&t);
}

static void weightings(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("star:weights=uniform", 5, false);
    const struct qgm_spectrum *s = qgm_topology_facts(t);
    assert_true(s->row_stochastic && !s->column_stochastic && !s->symmetric && s->tree);
    qgm_topology_close(&t);
    t = open_graph("star:weights=max-degree", 5, false);
    s = qgm_topology_facts(t);
    assert_true(s->row_stochastic && s->column_stochastic && s->symmetric);
    assert_true(fabs(weight(qgm_topology_rows(t, 0), 1, 1) - 0.8) < 1e-15);
    qgm_topology_close(&t);
}

static void refusals_say_what_would_work(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int n;
        const char *says;
    } table[] = {
        { "rimg", 8, "did you mean 'ring'" },
        { "davis", 16, "--clients 32" },
        { "torus", 7, "composite" },
        { "torus:rows=5", 12, "divisor" },
        { "torus:rows=7", 7, "another divisor" },
        { "torus:rows=2,rows=3", 12, "rows is given twice" },
        { "random-regular:degree=1", 8, "a degree of 2 or more" },
        { "erdos-renyi:p=1e-9", 3000, "above ln(n)/n" },
        { "torus:row=5", 12, "did you mean 'rows'" },
        { "torus:rows=x", 12, "whole number from 0" },
        { "ring:weights=metro", 12, "metropolis, uniform, max-degree" },
        { "hypercube", 12, "8 and 16" },
        { "ring", 0, "from 1 to" },
        { "complete:x=1", 4, "no options" },
        { "tree", 4, "expected tree:GRAPH" },
        { "tree:davis", 16, "--clients 32" },
        { "tree:rimg", 4, "did you mean 'ring'" },
        { "tree:ring,root=4", 4, "expected a client from 0 to 3" },
        { "tree:ring:rood=2", 4, "unknown option 'rood'" },
        { "tree:exponential", 8, "without one-way links" },
        { "tree:one-peer-hypercube", 8, "changes from step to step" },
        { "ring:lazy", 4, "expected key=value" },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        struct qgm_error err = { 0 };
        struct qgm_topology *t = NULL;
        assert_int_equal(qgm_topology_open(&t, table[i].spec, table[i].n, false, 0, &err), -1);
        if (!strstr(err.text, table[i].says))
            fail_msg("%s: '%s' does not say '%s'", table[i].spec, err.text, table[i].says);
        assert_int_equal(err.kind, QGM_USAGE);
    }
}

static void weights_from_a_list(void **state)
{
    (void)state;
    const struct qgm_weight list[] = { { 0, 1, 0, 0.25 }, { 0, 0, 1, 0.5 }, { 0, 0, 0, 0.5 }, { 0, 1, 0, 0.25 },
                                       { 0, 1, 1, 0.5 },  { 1, 0, 0, 1 },   { 1, 1, 1, 1 } };
    struct qgm_topology *t = NULL;
    struct qgm_error err = { 0 };
    assert_int_equal(qgm_topology_from(&t, "mine", 2, 2, list, QGM_COUNT(list), false, &err), 0);
    assert_true(weight(qgm_topology_rows(t, 2), 1, 0) == 0.5 && weight(qgm_topology_rows(t, 1), 1, 0) == 0);
    assert_true(qgm_topology_facts(t)->time_varying && qgm_topology_facts(t)->connected);
    assert_string_equal(qgm_topology_spec(t), "mine");
    qgm_topology_close(&t);
    const struct qgm_weight wrong = { 0, 2, 0, 1 };
    assert_int_equal(qgm_topology_from(&t, "mine", 2, 1, &wrong, 1, false, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_as_tabulated),
        cmocka_unit_test(spectra_of_many_clients),
        cmocka_unit_test(sparse_spectra_as_dense),
        cmocka_unit_test(spectra_of_weights_below_zero),
        cmocka_unit_test(davis_weights),
        cmocka_unit_test(every_graph_is_sound),
        cmocka_unit_test(base_graphs_average_exactly),
        cmocka_unit_test(bipartite_period),
        cmocka_unit_test(degrees_of_a_step),
        cmocka_unit_test(gaps_of_random_graphs),
        cmocka_unit_test(random_graphs_are_functions_of_the_step),
        cmocka_unit_test(two_clients_share_half),
        cmocka_unit_test(lazy_halves),
        cmocka_unit_test(weightings),
        cmocka_unit_test(refusals_say_what_would_work),
        cmocka_unit_test(weights_from_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
