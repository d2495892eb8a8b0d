/* Faults: the schedule's rates and symmetries, what is left of the weights, and what algorithms make of it.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "engine.h"
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 8, DIM = 48 };

static struct qgm_topology *open_graph(const char *spec)
{
    struct qgm_error err = { 0 };
    struct qgm_topology *t = NULL;
    if (qgm_topology_open(&t, spec, CLIENTS, false, 7, &err) < 0) fail_msg("%s", err.text);
    return t;
}

static struct qgm_engine *open_engine(const char *algo, struct qgm_topology *t, struct qgm_fault_config faults)
{
    struct qgm_error err = { 0 };
    struct qgm_engine *e = NULL;
    struct qgm_engine_config config = { .algo = algo,
                                        .topology = t,
                                        .dim = DIM,
                                        .momentum = 0.9,
                                        .threads = 1,
                                        .faults = faults,
                                        .reference = true,
                                        .force_pairing = true };
    if (qgm_engine_open(&e, &config, &err) < 0) fail_msg("%s", err.text);
    return e;
}

static struct qgm_faults *open_faults(struct qgm_fault_config config)
{
    struct qgm_faults *f = NULL;
    assert_int_equal(qgm_faults_open(&f, &config, CLIENTS, NULL), 0);
    assert_non_null(f);
    return f;
}

static void rates_are_as_asked(void **state)
{
    (void)state;
    struct qgm_faults *drop = open_faults((struct qgm_fault_config){ .drop = 0.1, .seed = 3 });
    struct qgm_faults *links = open_faults((struct qgm_fault_config){ .links = 0.2, .seed = 3 });
    long lost = 0, failed = 0, all = 0, both = 0;
    for (long t = 0; t < 400; t++) {
        qgm_faults_step(drop, t);
        qgm_faults_step(links, t);
        for (int i = 0; i < CLIENTS; i++)
            for (int j = 0; j < CLIENTS; j++) {
                if (i == j) continue;
                all++;
                lost += !qgm_faults_arrives(drop, j, i);
                failed += !qgm_faults_arrives(links, j, i);
                both += !qgm_faults_arrives(drop, j, i) && !qgm_faults_arrives(drop, i, j);
                assert_int_equal(qgm_faults_arrives(links, j, i), qgm_faults_arrives(links, i, j));
            }
    }
    double n = (double)all; /* five standard deviations */
    assert_true(fabs((double)lost / n - 0.1) < 5 * sqrt(0.1 * 0.9 / n));
    assert_true(fabs((double)failed / n - 0.2) < 5 * sqrt(2 * 0.2 * 0.8 / n));
    assert_true(fabs((double)both / n - 0.01) < 5 * sqrt(2 * 0.01 * 0.99 / n)); /* directions are independent */
    qgm_faults_close(&drop);
    qgm_faults_close(&links);
    struct qgm_fault_config none = { .crash_steps = 9 };
    assert_int_equal(qgm_faults_open(&drop, &none, CLIENTS, NULL), 0);
    assert_null(drop);
}

static void crashes_last_as_long_as_asked(void **state)
{
    (void)state;
    enum { LAST = 5, STEPS = 2000 };
    struct qgm_faults *f = open_faults((struct qgm_fault_config){ .crash = 0.02, .crash_steps = LAST, .seed = 4 });
    int run[CLIENTS] = { 0 };
    long down = 0;
    for (long t = 0; t < STEPS; t++) {
        qgm_faults_step(f, t);
        for (int i = 0; i < CLIENTS; i++) {
            bool now = qgm_faults_down(f, i);
            assert_false(t == 0 && now);
            if (!now && run[i]) assert_true(run[i] >= LAST); /* longer where it crashed again */
            run[i] = now ? run[i] + 1 : 0;
            down += now;
            if (now)
                for (int j = 0; j < CLIENTS; j++)
                    assert_int_equal(qgm_faults_arrives(f, i, j) || qgm_faults_arrives(f, j, i), i == j);
        }
    }
    double share = (double)down / (STEPS * CLIENTS), want = 1 - pow(0.98, LAST);
    assert_true(fabs(share - want) < 0.02);
    qgm_faults_close(&f);
}

static void weights_keep_their_sums(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("exponential");
    struct qgm_faults *f = open_faults((struct qgm_fault_config){ .drop = 0.4, .crash = 0.05, .crash_steps = 3 });
    for (long step = 0; step < 50; step++) {
        const struct qgm_row *rows = qgm_topology_rows(t, step);
        qgm_faults_step(f, step);
        for (int lost = QGM_LOST_OWN; lost <= QGM_LOST_NOTHING; lost++) {
            const struct qgm_row *left = qgm_faults_rows(f, rows, (enum qgm_lost)lost);
            double in[CLIENTS] = { 0 }, out[CLIENTS] = { 0 };
            for (int i = 0; i < CLIENTS; i++)
                for (int k = 0; k < left[i].n; k++) {
                    if (k) assert_true(left[i].from[k] > left[i].from[k - 1]);
                    assert_true(qgm_faults_arrives(f, left[i].from[k], i));
                    in[i] += left[i].w[k];
                    out[left[i].from[k]] += left[i].w[k];
                }
            for (int i = 0; i < CLIENTS; i++) {
                if (lost == QGM_LOST_OWN) assert_true(fabs(in[i] - 1) < 1e-12);
                if (lost == QGM_LOST_KEPT) assert_true(fabs(out[i] - 1) < 1e-12);
                if (lost == QGM_LOST_NOTHING) assert_true(in[i] < 1 + 1e-12);
            }
        }
    }
    qgm_faults_close(&f);
    qgm_topology_close(&t);
}

static double value(int client, int k, long t) { return sin(1.0 + client * 3.7 + k * 0.9 + (double)t * 2.3); }

/* x <- W' (x - lr g) by plain loops; those that are down keep x. */
static void gossip_is_what_the_schedule_says(void **state)
{
    (void)state;
    struct qgm_fault_config config = { .drop = 0.2, .links = 0.1, .crash = 0.05, .crash_steps = 4, .seed = 9 };
    struct qgm_topology *t = open_graph("torus");
    struct qgm_engine *e = open_engine("dsgd", t, config);
    struct qgm_faults *f = open_faults(config);
    static double x[CLIENTS][DIM], h[CLIENTS][DIM];
    long downs = 0;
    for (int i = 0; i < CLIENTS; i++)
        for (int k = 0; k < DIM; k++) x[i][k] = qgm_engine_reference_params(e, i)[k] = value(i, k, -1);
    for (long step = 0; step < 30; step++) {
        const struct qgm_row *rows = qgm_topology_rows(t, step);
        qgm_faults_step(f, step);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < DIM; k++) {
                qgm_engine_reference_grad(e, i)[k] = value(i, k, step);
                h[i][k] = x[i][k] - 0.1 * value(i, k, step);
            }
        for (int i = 0; i < CLIENTS; i++) {
            downs += qgm_faults_down(f, i);
            for (int k = 0; k < DIM && !qgm_faults_down(f, i); k++) {
                x[i][k] = 0;
                for (int j = 0; j < rows[i].n; j++)
                    x[i][k] += rows[i].w[j] * h[qgm_faults_arrives(f, rows[i].from[j], i) ? rows[i].from[j] : i][k];
            }
        }
        assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < DIM; k++) assert_true(fabs(x[i][k] - qgm_engine_reference_params(e, i)[k]) < 1e-12);
    }
    assert_true(downs > 0);
    qgm_faults_close(&f);
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

/* Push-sum loses messages, not mass: without gradients all end at the mean of the start. */
static void push_sum_still_averages(void **state)
{
    (void)state;
    struct qgm_fault_config config = { .drop = 0.2, .crash = 0.01, .crash_steps = 5, .seed = 5 };
    struct qgm_topology *t = open_graph("exponential");
    struct qgm_engine *e = open_engine("sgp", t, config);
    double mean = 0;
    for (int i = 0; i < CLIENTS; i++) mean += (qgm_engine_reference_params(e, i)[0] = value(i, 0, 0)) / CLIENTS;
    for (int step = 0; step < 300; step++) assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) assert_true(fabs(qgm_engine_reference_params(e, i)[0] - mean) < 1e-9);
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

/* Where all agree and gradients are 0, nothing that gets lost moves anyone: own models stand in by the right weight. */
static void agreement_is_kept(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "dsgd", "ring" },
        { "qg-dsgdm-n", "torus" },
        { "gt", "ring" },
        { "sgpm-n", "exponential" },
        { "d2", "ring" },
        { "relaysgd", "chain" },
        { "relaysgdm", "binary-tree" },
    };
    struct qgm_fault_config config = { .drop = 0.3, .crash = 0.03, .crash_steps = 3, .seed = 2 };
    for (size_t c = 0; c < QGM_COUNT(cases); c++) {
        struct qgm_topology *t = open_graph(cases[c][1]);
        struct qgm_engine *e = open_engine(cases[c][0], t, config);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < DIM; k++) qgm_engine_reference_params(e, i)[k] = 1 + k;
        for (int step = 0; step < 40; step++) assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < DIM; k++)
                if (!(fabs(qgm_engine_reference_params(e, i)[k] - (1 + k)) < 1e-9 * (1 + k)))
                    fail_msg("%s: client %d has %g instead of %d", cases[c][0], i, qgm_engine_reference_params(e, i)[k],
                             1 + k);
        qgm_engine_close(&e);
        qgm_topology_close(&t);
    }
}

static void means_over_all_are_refused(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring");
    struct qgm_engine *e = NULL;
    struct qgm_error err = { 0 };
    struct qgm_engine_config config = { .algo = "sgd-central", .topology = t, .dim = DIM, .faults = { .drop = 0.1 } };
    assert_int_equal(qgm_engine_open(&e, &config, &err), -1);
    assert_non_null(strstr(err.text, "sgd-central takes means over all clients"));
    qgm_topology_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_as_asked),         cmocka_unit_test(crashes_last_as_long_as_asked),
        cmocka_unit_test(weights_keep_their_sums),    cmocka_unit_test(gossip_is_what_the_schedule_says),
        cmocka_unit_test(push_sum_still_averages),    cmocka_unit_test(agreement_is_kept),
        cmocka_unit_test(means_over_all_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
