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
                                        .telemetry = true,
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

/* Means over the clients that are up, whatever stands in the others' rows; of nobody, not a number. */
static void telemetry_leaves_out_who_is_down(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring");
    struct qgm_engine *e = open_engine("dsgdm", t, (struct qgm_fault_config){ .crash = 0.4, .crash_steps = 3 });
    int most = 0;
    for (long step = 0; step < 60; step++) {
        double mean[DIM] = { 0 }, zeta2 = 0, norm2 = 0;
        int up = 0;
        for (int i = 0; i < CLIENTS; i++) up += !qgm_engine_down(e, i);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < DIM; k++) {
                bool down = qgm_engine_down(e, i);
                qgm_engine_reference_grad(e, i)[k] = down ? NAN : value(i, k, step);
                if (!down) mean[k] += value(i, k, step) / up;
            }
        for (int k = 0; k < DIM; k++) {
            norm2 += mean[k] * mean[k];
            for (int i = 0; i < CLIENTS; i++)
                if (!qgm_engine_down(e, i)) zeta2 += pow(value(i, k, step) - mean[k], 2) / up;
        }
        struct qgm_telemetry m;
        assert_int_equal(qgm_engine_step(e, 0.1, &m, NULL), 0);
        if (CLIENTS - up > most) most = CLIENTS - up;
        if (up == 0) {
            assert_true(isnan(m.zeta2) && isnan(m.grad_norm));
            continue;
        }
        assert_true(fabs(m.grad_norm - sqrt(norm2)) < 1e-12 && fabs(m.zeta2 - zeta2) < 1e-12);
        assert_true(isfinite(m.cosine) && isfinite(m.consensus));
    }
    assert_true(most > CLIENTS / 2);
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
    static const char *const cases[][3] = {
        { "dsgd", "ring" },
        { "qg-dsgdm-n", "torus" },
        { "gt", "ring" },
        { "sgpm-n", "exponential" },
        { "d2", "ring" },
        { "relaysgd", "chain" },
        { "relaysgdm", "binary-tree" },
        { "dsgdm-n", "ring", "late" },
        { "gt", "torus", "late" },
        { "d2", "ring", "late" },
        { "qg-dsgdm-n", "one-peer-exponential", "late" },
    };
    struct qgm_fault_config config = { .drop = 0.3, .crash = 0.03, .crash_steps = 3, .seed = 2 };
    struct qgm_fault_config late = { .drop = 0.3, .stale = 0.4, .stale_steps = 3, .seed = 2 };
    for (size_t c = 0; c < QGM_COUNT(cases); c++) {
        struct qgm_topology *t = open_graph(cases[c][1]);
        struct qgm_engine *e = open_engine(cases[c][0], t, cases[c][2] ? late : config);
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

/* f(x) = x^2 / 2 from x = 1, all clients alike on a ring, lr 1/2, always one step late but for the first step, whose
 * messages are on time: h = x / 2, h~ = h / 3 + 2 h_last / 3, and x' = h~ by hand is 1, 1/2, 5/12, 17/72; where half of
 * it is averaged, x' = h + (h~ - h) / 2, and the momentum stays 0 (mu = 1), it is 1, 1/2, 1/3, 7/36. */
static void one_step_late_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *algo;
        double want[3];
    } cases[] = { { "dsgd", { 1.0 / 2, 5.0 / 12, 17.0 / 72 } },
                  { "qg-ars:rate=0.5,growth=1,mu=1", { 1.0 / 2, 1.0 / 3, 7.0 / 36 } } };
    struct qgm_topology *t = open_graph("ring");
    for (size_t c = 0; c < QGM_COUNT(cases); c++) {
        struct qgm_engine *e = open_engine(cases[c].algo, t, (struct qgm_fault_config){ .stale = 1, .stale_steps = 1 });
        for (int i = 0; i < CLIENTS; i++) qgm_engine_reference_params(e, i)[3] = 1;
        for (int step = 0; step < 3; step++) {
            for (int i = 0; i < CLIENTS; i++) qgm_engine_reference_grad(e, i)[3] = qgm_engine_reference_params(e, i)[3];
            assert_int_equal(qgm_engine_step(e, 0.5, NULL, NULL), 0);
            for (int i = 0; i < CLIENTS; i++)
                assert_true(fabs(qgm_engine_reference_params(e, i)[3] - cases[c].want[step]) < 1e-15);
        }
        qgm_engine_close(&e);
    }
    qgm_topology_close(&t);
}

/* Ages are those of the newest message that has come; bounded, never from before a crash; and P is P. */
static void messages_are_late_as_asked(void **state)
{
    (void)state;
    enum { MOST = 3, STEPS = 3000 };
    struct qgm_faults *f = open_faults(
        (struct qgm_fault_config){ .stale = 0.2, .stale_steps = MOST, .crash = 0.02, .crash_steps = 2, .seed = 8 });
    int age[CLIENTS] = { 0 }, up[CLIENTS] = { 0 };
    long all = 0, fresh = 0, counts[MOST + 1] = { 0 };
    for (long t = 0; t < STEPS; t++) {
        qgm_faults_step(f, t);
        for (int i = 0; i < CLIENTS; i++) {
            if (qgm_faults_down(f, i)) {
                up[i] = 0;
                continue;
            }
            int now = qgm_faults_age(f, i, 1);
            assert_true(now >= 0 && now <= MOST && now <= up[i]);
            assert_true(now <= age[i] + 1 || up[i] == 0); /* what has come stays */
            age[i] = now;
            up[i]++;
            all++;
            fresh += now == 0;
            counts[now]++;
        }
    }
    double rate = (double)(all - fresh) / (double)all; /* a little less: after crashes none is late */
    assert_true(rate > 0.17 && rate < 0.21);
    /* age 2: late now, and the one before by 2 or 3 */
    assert_true(fabs((double)(counts[2] + counts[3]) / (double)all - 0.2 * 0.2 * 2 / 3) < 0.01);
    assert_true(counts[MOST] > 0);
    qgm_faults_close(&f);
}

/* What is lost was sent; those that are down send nothing. */
static void those_that_are_down_send_nothing(void **state)
{
    (void)state;
    struct qgm_fault_config config = { .drop = 0.3, .crash = 0.1, .crash_steps = 4, .seed = 5 };
    struct qgm_topology *t = open_graph("torus");
    struct qgm_engine *e = open_engine("dsgd", t, config);
    struct qgm_faults *f = open_faults(config);
    long links = 0, all = 0;
    for (long step = 0; step < 40; step++) {
        const struct qgm_row *rows = qgm_topology_rows(t, step);
        qgm_faults_step(f, step);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < rows[i].n; k++) {
                all += rows[i].from[k] != i;
                links += rows[i].from[k] != i && !qgm_faults_down(f, rows[i].from[k]);
            }
        assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
    }
    assert_true(links < all && links > all / 4);
    assert_true(fabs(qgm_engine_bytes_sent(e) - sizeof(double) * DIM * (double)links / CLIENTS) < 1e-6);
    qgm_faults_close(&f);
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

/* D-SGD with two gradient steps an exchange, gradient tracking with two messages: by plain loops that remember all. */
static void neighbours_mix_what_has_come(void **state)
{
    (void)state;
    enum { STEPS = 24, EVERY = 2 };
    struct qgm_fault_config config = { .stale = 0.5, .stale_steps = 3, .drop = 0.1, .crash = 0.03, .crash_steps = 2 };
    struct qgm_topology *t = open_graph("torus");
    struct qgm_engine *e = open_engine("dsgd:local=2", t, config);
    struct qgm_faults *f = open_faults(config);
    static double x[CLIENTS][DIM], h[STEPS][CLIENTS][DIM];
    long late = 0;
    for (int i = 0; i < CLIENTS; i++)
        for (int k = 0; k < DIM; k++) x[i][k] = qgm_engine_reference_params(e, i)[k] = value(i, k, -1);
    for (long step = 0; step < STEPS; step++) {
        const struct qgm_row *rows = qgm_topology_rows(t, step);
        bool exchanges = step % EVERY == EVERY - 1;
        qgm_faults_step(f, step);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < DIM; k++) {
                qgm_engine_reference_grad(e, i)[k] = value(i, k, step);
                h[step][i][k] = x[i][k] - 0.1 * value(i, k, step);
            }
        for (int i = 0; i < CLIENTS; i++) {
            for (int k = 0; k < DIM && !qgm_faults_down(f, i); k++) {
                x[i][k] = exchanges ? 0 : h[step][i][k];
                for (int j = 0; j < rows[i].n && exchanges; j++) {
                    int from = qgm_faults_arrives(f, rows[i].from[j], i) ? rows[i].from[j] : i;
                    int age = from == i ? 0 : qgm_faults_age(f, from, EVERY);
                    x[i][k] += rows[i].w[j] * h[step - age * EVERY][from][k];
                    late += age > 0;
                }
            }
        }
        assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
        for (int i = 0; i < CLIENTS; i++)
            for (int k = 0; k < DIM; k++) assert_true(fabs(x[i][k] - qgm_engine_reference_params(e, i)[k]) < 1e-12);
    }
    assert_true(late > 100);
    qgm_faults_close(&f);
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

/* Two messages, always one step late: x' = W_ii x + sum W_ij x_j,last - lr y, y' the same of y + g - g_last. */
static void both_messages_are_late(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring");
    struct qgm_engine *e = open_engine("gt", t, (struct qgm_fault_config){ .stale = 1, .stale_steps = 1 });
    static double x[2][CLIENTS], y[2][CLIENTS], g[2][CLIENTS];
    const struct qgm_row *rows = qgm_topology_rows(t, 0);
    double mixed[CLIENTS] = { 0 };
    for (int i = 0; i < CLIENTS; i++) x[0][i] = qgm_engine_reference_params(e, i)[5] = value(i, 5, -1);
    for (long step = 0; step < 12; step++) {
        int now = (int)(step % 2);
        for (int i = 0; i < CLIENTS; i++) {
            g[now][i] = qgm_engine_reference_grad(e, i)[5] = value(i, 5, step);
            y[now][i] = mixed[i] + g[now][i] - (step ? g[!now][i] : 0);
        }
        double next[CLIENTS] = { 0 };
        for (int i = 0; i < CLIENTS; i++) {
            mixed[i] = 0;
            for (int k = 0; k < rows[i].n; k++) {
                int j = rows[i].from[k], when = j != i && step ? !now : now;
                next[i] += rows[i].w[k] * x[when][j];
                mixed[i] += rows[i].w[k] * y[when][j];
            }
            next[i] -= 0.1 * y[now][i];
        }
        memcpy(x[!now], next, sizeof next);
        assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
        for (int i = 0; i < CLIENTS; i++) assert_true(fabs(next[i] - qgm_engine_reference_params(e, i)[5]) < 1e-12);
    }
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

static void who_cannot_go_on_with_old_messages(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        { "sgp", "exponential", "counted twice" },
        { "choco", "ring", "added twice" },
        { "relaysgd", "chain", "told apart" },
    };
    for (size_t c = 0; c < QGM_COUNT(cases); c++) {
        struct qgm_topology *t = open_graph(cases[c][1]);
        struct qgm_engine *e = NULL;
        struct qgm_error err = { 0 };
        struct qgm_engine_config config = {
            .algo = cases[c][0], .topology = t, .dim = DIM, .faults = { .stale = 0.1, .stale_steps = 2 }
        };
        assert_int_equal(qgm_engine_open(&e, &config, &err), -1);
        assert_non_null(strstr(err.text, cases[c][2]));
        config.faults.stale_steps = 0; /* late by nothing */
        assert_int_equal(qgm_engine_open(&e, &config, &err), 0);
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
        cmocka_unit_test(those_that_are_down_send_nothing), cmocka_unit_test(rates_are_as_asked),
        cmocka_unit_test(crashes_last_as_long_as_asked),    cmocka_unit_test(weights_keep_their_sums),
        cmocka_unit_test(gossip_is_what_the_schedule_says), cmocka_unit_test(push_sum_still_averages),
        cmocka_unit_test(telemetry_leaves_out_who_is_down), cmocka_unit_test(agreement_is_kept),
        cmocka_unit_test(means_over_all_are_refused),       cmocka_unit_test(one_step_late_by_hand),
        cmocka_unit_test(messages_are_late_as_asked),       cmocka_unit_test(neighbours_mix_what_has_come),
        cmocka_unit_test(both_messages_are_late),           cmocka_unit_test(who_cannot_go_on_with_old_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
