/* Graphs from files and from lists of weights, and trees in other graphs. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "engine.h"
#include "topology.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct qgm_topology *open_graph(const char *spec, int n)
{
    struct qgm_error err = { 0 };
    struct qgm_topology *t = NULL;
    if (qgm_topology_open(&t, spec, n, false, 7, &err) < 0) fail_msg("%s on %d: %s", spec, n, err.text);
    return t;
}

static double weight(const struct qgm_row *rows, int i, int j)
{
    for (int k = 0; k < rows[i].n; k++)
        if (rows[i].from[k] == j) return rows[i].w[k];
    return 0;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void graph_from_a_file(void **state)
{
    (void)state;
    char path[] = "edges-XXXXXX", spec[60];
    close(mkstemp(path));
    write_text(path, "# a square\n0 1 # a side\n1 2\n2 3\n3 0\n");
    snprintf(spec, sizeof spec, "file:%s", path);
    struct qgm_topology *t = open_graph(spec, 4);
    assert_true(weight(qgm_topology_rows(t, 0), 0, 1) == 1.0 / 3 && weight(qgm_topology_rows(t, 0), 0, 2) == 0);
    qgm_topology_close(&t);
    write_text(path, "to,from,weight\n0,0,0.25\n0,1,0.75\n1,1,1\n");
    t = open_graph(spec, 2);
    assert_true(weight(qgm_topology_rows(t, 0), 0, 1) == 0.75 && !qgm_topology_facts(t)->column_stochastic);
    qgm_topology_close(&t);
    static const char *const wrong[] = {
        "0 7\n", "0 x\n", "0 1\n0 1 2\n", "0\n", "0,1,inf\n", "", "0,0,1e308\n0,0,1e308\n1,1,1\n2,2,1\n3,3,1\n"
    };
    for (size_t i = 0; i < QGM_COUNT(wrong); i++) {
        struct qgm_error err = { 0 };
        write_text(path, wrong[i]);
        assert_int_equal(qgm_topology_open(&t, spec, 4, false, 0, &err), -1);
        assert_non_null(strstr(err.text, path));
        assert_null(strchr(err.text, '\n'));
    }
    remove(path);
}

/* A list of edges can be weighted as one likes; a list of weights cannot. */
/* Any degree that there is, sparse or dense; everyone has it, and nobody himself for a neighbour. */
static void regular_graphs_of_all_degrees(void **state)
{
    (void)state;
    static const int clients[] = { 3, 6, 11, 30, 64 };
    for (size_t c = 0; c < QGM_COUNT(clients); c++)
        for (int n = clients[c], degree = 2; degree < n; degree++) {
            char spec[40];
            if (n * degree % 2) continue;
            snprintf(spec, sizeof spec, "random-regular:degree=%d", degree);
            struct qgm_topology *t = open_graph(spec, n);
            const struct qgm_row *rows = qgm_topology_rows(t, 0);
            for (int i = 0; i < n; i++) {
                assert_int_equal(rows[i].n, degree + 1);
                for (int k = 1; k < rows[i].n; k++) assert_true(rows[i].from[k - 1] < rows[i].from[k]);
            }
            assert_true(qgm_topology_facts(t)->connected);
            qgm_topology_close(&t);
        }
}

static void weightings_of_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        double middle, leaf; /* own weights */
        const char *says;    /* refused */
    } table[] = { { "", 0.25, 0.75, NULL },
                  { ",weights=metropolis", 0.25, 0.75, NULL },
                  { ",weights=uniform", 0.25, 0.5, NULL },
                  { ",weights=max-degree", 0.25, 0.75, NULL },
                  { ",weights=metro", 0, 0, "expected one of metropolis, uniform, max-degree" },
                  { ",weight=uniform", 0, 0, "did you mean 'weights'" } };
    char path[] = "edges-XXXXXX", spec[60];
    struct qgm_error err = { 0 };
    struct qgm_topology *t;
    close(mkstemp(path));
    write_text(path, "0 1\n0 2\n0 3\n");
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        snprintf(spec, sizeof spec, "file:%s%s", path, table[i].option);
        if (table[i].says) {
            assert_int_equal(qgm_topology_open(&t, spec, 4, false, 0, &err), -1);
            if (err.kind != QGM_USAGE || !strstr(err.text, table[i].says)) fail_msg("%s: %s", spec, err.text);
            continue;
        }
        t = open_graph(spec, 4);
        const struct qgm_row *rows = qgm_topology_rows(t, 0);
        assert_true(weight(rows, 0, 0) == table[i].middle && weight(rows, 1, 1) == table[i].leaf);
        assert_string_equal(qgm_topology_spec(t), spec);
        qgm_topology_close(&t);
    }
    write_text(path, "0,0,0.25\n0,1,0.75\n1,1,1\n");
    snprintf(spec, sizeof spec, "file:%s,weights=metropolis", path);
    assert_int_equal(qgm_topology_open(&t, spec, 2, false, 0, &err), -1);
    assert_true(err.kind == QGM_USAGE && strstr(err.text, "gives weights itself"));
    remove(path);
}

/* Hops from the root in the tree are those in the graph; links of the tree are links of the graph. */
static void trees_of_shortest_paths(void **state)
{
    (void)state;
    enum { MOST = 40 };
    static const struct {
        const char *tree, *graph;
        int n, root;
    } table[] = { { "tree:davis", "davis", 32, 0 },
                  { "tree:davis,root=25", "davis", 32, 25 },
                  { "tree:torus:rows=3,root=7", "torus:rows=3", 24, 7 },
                  { "tree:torus:rows=3,weights=uniform,root=7", "torus:rows=3", 24, 7 },
                  { "tree:torus:root=7", "torus", 24, 7 },
                  { "tree:complete", "star", 9, 0 },
                  { "tree:erdos-renyi:p=0.2", "erdos-renyi:p=0.2", 40, 0 },
                  { "tree:ring", "ring", 1, 0 } };
    for (size_t c = 0; c < QGM_COUNT(table); c++) {
        int n = table[c].n, hops[2][MOST];
        struct qgm_topology *t[2] = { open_graph(table[c].tree, n), open_graph(table[c].graph, n) };
        for (int g = 0; g < 2; g++) { /* Bellman and Ford */
            const struct qgm_row *rows = qgm_topology_rows(t[g], 0);
            for (int i = 0; i < n; i++) hops[g][i] = i == table[c].root ? 0 : n;
            for (int round = 0; round < n * n; round++) {
                const struct qgm_row *row = &rows[round % n];
                for (int k = 0; k < row->n; k++)
                    if (hops[g][row->from[k]] + 1 < hops[g][round % n]) hops[g][round % n] = hops[g][row->from[k]] + 1;
            }
        }
        for (int i = 0; i < n; i++) assert_int_equal(hops[0][i], hops[1][i]);
        const struct qgm_row *rows = qgm_topology_rows(t[0], 0);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < rows[i].n; k++)
                assert_true(weight(qgm_topology_rows(t[1], 0), i, rows[i].from[k]) != 0);
        assert_true(qgm_topology_facts(t[0])->tree || n == 1);
        assert_true(qgm_topology_facts(t[0])->symmetric == !strstr(table[c].tree, "uniform"));
        qgm_topology_close(&t[0]);
        qgm_topology_close(&t[1]);
    }
}

/* Weights below 0, of two clients: eigenvalues 1 and 1 - 2 w. */
static void mixing_that_diverges(void **state)
{
    (void)state;
    static const struct {
        const char *algo;
        double w; /* of the other's message */
        const char *says;
    } table[] = { { "dsgd", -0.2, "an eigenvalue of W has size 1.4, expected at most 1: take weights from 0 up" },
                  { "choco", 1.5, "has size 2, expected at most 1: use --lazy" },
                  { "sgd-central", -0.2, NULL },
                  { "dsgd", 0.9, NULL } };
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        double w = table[i].w;
        const struct qgm_weight list[] = { { 0, 0, 0, 1 - w }, { 0, 1, 1, 1 - w }, { 0, 0, 1, w }, { 0, 1, 0, w } };
        struct qgm_topology *t = NULL;
        size_t bytes;
        struct qgm_error err = { 0 };
        assert_int_equal(qgm_topology_from(&t, "pair", 2, 1, list, QGM_COUNT(list), false, &err), 0);
        struct qgm_engine_config config = { .algo = table[i].algo, .topology = t, .dim = 4 };
        assert_int_equal(qgm_engine_measure(&bytes, &config, &err), table[i].says ? -1 : 0);
        if (table[i].says && !strstr(err.text, table[i].says)) fail_msg("'%s'", err.text);
        config.force_pairing = true;
        assert_int_equal(qgm_engine_measure(&bytes, &config, &err), 0);
        qgm_topology_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graph_from_a_file),
        cmocka_unit_test(weightings_of_a_file),
        cmocka_unit_test(regular_graphs_of_all_degrees),
        cmocka_unit_test(trees_of_shortest_paths),
        cmocka_unit_test(mixing_that_diverges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
