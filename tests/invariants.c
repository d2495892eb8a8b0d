/* What must hold for every algorithm, in double: agreement stays, clients have no names, mixing keeps the mean, local
 * steps. SPDX-License-Identifier: MIT */
#include "engines.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    assert_int_equal(without, 12); /* all-reduced ones, and those that tell from a displacement what mixing did */
}

/* A client that has diverged shows in what is said of all. */
static void divergence_shows(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring", 20, false);
    for (int i = 0; i < 20; i += 7)
        for (int k = 0; k < 20; k += 19) {
            struct qgm_engine *e = open_engine("dsgdm", t, 20, 0.9);
            struct qgm_telemetry m;
            x_of(e, i)[k] = (i + k) % 2 ? NAN : INFINITY;
            assert_int_equal(qgm_engine_step(e, 0.1, &m, NULL), 0);
            assert_true(!isfinite(m.consensus) && !isfinite(m.mean_norm));
            qgm_engine_close(&e);
        }
    qgm_topology_close(&t);
}

/* A link of weight 0 is none: a tree stays a tree, on which models are relayed. */
static void links_of_no_weight_are_none(void **state)
{
    (void)state;
    static const int data[3] = { 0, 1, 2 };
    const struct qgm_weight list[] = { { 0, 0, 0, 0.5 }, { 0, 0, 1, 0.5 }, { 0, 1, 0, 0.5 },
                                       { 0, 1, 1, 0 },   { 0, 1, 2, 0.5 }, { 0, 2, 1, 0.5 },
                                       { 0, 2, 2, 0.5 }, { 0, 0, 2, 0 },   { 0, 2, 0, 0 } };
    struct qgm_topology *with = NULL, *without = NULL;
    assert_int_equal(qgm_topology_from(&with, "with", 3, 1, list, 9, false, NULL), 0);
    assert_int_equal(qgm_topology_from(&without, "without", 3, 1, list, 7, false, NULL), 0);
    struct qgm_engine *e = open_engine("relaysgd", with, 20, 0), *f = open_engine("relaysgd", without, 20, 0);
    run(e, 12, data);
    run(f, 12, data);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 20; k++) assert_true(x_of(e, i)[k] == x_of(f, i)[k] && fabs(x_of(e, i)[k]) < 10);
    assert_true(qgm_engine_bytes_sent(e) == qgm_engine_bytes_sent(f));
    qgm_engine_close(&e);
    qgm_engine_close(&f);
    qgm_topology_close(&with);
    qgm_topology_close(&without);
}

/* Asked where time goes, an engine mixes into a buffer; otherwise a ring's maps sum up themselves. */
static void where_sums_are_made_does_not_matter(void **state)
{
    (void)state;
    static const int data[6] = { 0, 1, 2, 3, 4, 5 };
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        struct qgm_topology *t = open_graph(graph_for(*algo), 6, false);
        struct qgm_engine *inside = open_engine(*algo, t, 20, 0.9), *buffered = open_engine(*algo, t, 20, 0.9);
        double seconds[QGM_PHASES];
        qgm_engine_profile(buffered, seconds);
        run(inside, 5, data);
        run(buffered, 5, data);
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 20; k++)
                if (x_of(inside, i)[k] != x_of(buffered, i)[k]) fail_msg("%s: another sum", *algo);
        qgm_engine_close(&inside);
        qgm_engine_close(&buffered);
        qgm_topology_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agreement_without_gradient_stays),
        cmocka_unit_test(equal_clients_act_as_one),
        cmocka_unit_test(names_of_clients_do_not_matter),
        cmocka_unit_test(mixing_keeps_the_mean),
        cmocka_unit_test(where_sums_are_made_does_not_matter),
        cmocka_unit_test(divergence_shows),
        cmocka_unit_test(links_of_no_weight_are_none),
        cmocka_unit_test(local_steps_are_steps_alone),
        cmocka_unit_test(local_steps_or_a_reason),
        cmocka_unit_test(local_steps_leave_finite_time_graphs_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
