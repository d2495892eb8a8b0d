/* Telemetry of every algorithm against plain sums over the rows. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "engine_inside.h"
#include "random.h"
#include <cmocka.h>
#include <math.h>
#include <string.h>

static void fill(struct qgm_engine *e, int row, uint32_t draw)
{
    struct qgm_random r = qgm_random(4, QGM_RANDOM_TEST, (uint32_t)row, draw);
    for (int i = 0; i < qgm_engine_clients(e); i++) {
        float *to = row ? qgm_engine_grad(e, i) : qgm_engine_params(e, i);
        for (size_t k = 0; k < qgm_engine_dim(e); k++) to[k] = qgm_random_float(&r) - 0.5f;
    }
}

static double at(struct qgm_engine *e, int row, int client, size_t k)
{
    return (double)((const float *)qgm_engine_row(e, client, row))[k];
}

/* 1/n sum_i || v_i - vbar ||^2 and || vbar ||, of x or g. */
struct plain {
    double apart, norm;
};
static struct plain plain_sums(struct qgm_engine *e, int row)
{
    struct plain p = { 0, 0 };
    int n = qgm_engine_clients(e);
    for (size_t k = 0; k < qgm_engine_dim(e); k++) {
        double mean = 0;
        for (int i = 0; i < n; i++) mean += at(e, row, i, k) / n;
        for (int i = 0; i < n; i++) p.apart += (at(e, row, i, k) - mean) * (at(e, row, i, k) - mean) / n;
        p.norm += mean * mean;
    }
    p.norm = sqrt(p.norm);
    return p;
}

/* <v, g> / (|| v || || g ||) over all clients; NaN where there is no momentum v, or it is 0. */
static double plain_cosine(struct qgm_engine *e)
{
    double both = 0, of_v = 0, of_g = 0;
    int row = 1 + e->algo->velocity;
    for (int i = 0; row > 1 && i < qgm_engine_clients(e); i++)
        for (size_t k = 0; k < qgm_engine_dim(e); k++) {
            double v = at(e, row, i, k), g = at(e, 1, i, k);
            both += v * g, of_v += v * v, of_g += g * g;
        }
    return of_v > 0 ? both / sqrt(of_v * of_g) : NAN;
}

static void near(const char *algo, const char *what, double got, double want, double size)
{
    if (isnan(got) && isnan(want)) return;
    if (!(fabs(got - want) <= 1e-5 * fabs(want) + 1e-6 * size))
        fail_msg("%s: %s is %.9g, plain sums say %.9g", algo, what, got, want);
}

/* Where the step spends its gradient, the momentum is the one before it. */
static void watch_a_step(struct qgm_engine *e, const char *algo, uint32_t step)
{
    struct qgm_telemetry m;
    fill(e, 1, step);
    struct plain g = plain_sums(e, 1);
    double cosine = plain_cosine(e);
    assert_int_equal(qgm_engine_step(e, 0.1, &m, NULL), 0);
    if (!e->algo->spends_gradient) cosine = plain_cosine(e);
    struct plain x = plain_sums(e, 0);
    near(algo, "consensus distance", m.consensus, sqrt(x.apart), x.norm);
    near(algo, "norm of the mean model", m.mean_norm, x.norm, 0);
    near(algo, "zeta^2", m.zeta2, g.apart, 0);
    near(algo, "norm of the mean gradient", m.grad_norm, g.norm, 0);
    near(algo, "cosine", m.cosine, cosine, 1);
}

static void watch_steps(const char *algo, int clients)
{
    struct qgm_error err = { 0 };
    struct qgm_topology *t = NULL;
    struct qgm_engine *e = NULL;
    const char *graph = strncmp(algo, "relay", 5) ? "ring" : "binary-tree";
    if (qgm_topology_open(&t, graph, clients, true, 7, &err) < 0) fail_msg("%s", err.text);
    struct qgm_engine_config config = {
        .algo = algo, .topology = t, .dim = 2500, .momentum = 0.5, .threads = 2, .telemetry = true
    };
    if (qgm_engine_open(&e, &config, &err) < 0) fail_msg("%s", err.text);
    fill(e, 0, 0);
    for (uint32_t s = 0; s < 3; s++) watch_a_step(e, algo, s);
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

static const int clients[] = { 5, 16, 37 }; /* sums are made of 16 at a time */

static void every_algorithm(void **state)
{
    (void)state;
    for (const char *const *algo = qgm_algo_names(); *algo; algo++)
        for (size_t c = 0; c < QGM_COUNT(clients); c++) watch_steps(*algo, clients[c]);
}

/* Those whose stages depend on options. */
static void every_version(void **state)
{
    (void)state;
    static const char *const algos[] = { "qg-dadam:version=v1", "qg-dadam:version=original",
                                         "slowmo:tau=2",        "dmsgd:option=2",
                                         "dsgdm:local=2",       "qg-dsgdm-n:local=3" };
    for (size_t a = 0; a < QGM_COUNT(algos); a++)
        for (size_t c = 0; c < QGM_COUNT(clients); c++) watch_steps(algos[a], clients[c]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_algorithm), cmocka_unit_test(every_version) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
