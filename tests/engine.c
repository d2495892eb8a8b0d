/* The engine: the same bits for every instruction set and number of threads, bytes sent, refusals.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "algo.h"
#include "engine.h"
#include "kernels.h"
#include "random.h"
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct qgm_topology *open_graph(const char *spec, int n)
{
    struct qgm_error err = { 0 };
    struct qgm_topology *t = NULL;
    if (qgm_topology_open(&t, spec, n, false, 7, &err) < 0) fail_msg("%s", err.text);
    return t;
}

static struct qgm_engine *open_engine(const struct qgm_engine_config *config)
{
    struct qgm_error err = { 0 };
    struct qgm_engine *e = NULL;
    if (qgm_engine_open(&e, config, &err) < 0) fail_msg("%s", err.text);
    return e;
}

static void fill(struct qgm_engine *e, bool start)
{
    struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, (uint32_t)qgm_engine_steps(e) + !start);
    for (int i = 0; i < qgm_engine_clients(e); i++) {
        float *row = start ? qgm_engine_params(e, i) : qgm_engine_grad(e, i);
        for (size_t k = 0; k < qgm_engine_dim(e); k++) row[k] = qgm_random_float(&r) - 0.5f;
    }
}

struct outcome {
    uint64_t digest;
    struct qgm_telemetry telemetry;
};
static struct outcome run(const struct qgm_engine_config *config, int steps)
{
    struct qgm_engine *e = open_engine(config);
    struct outcome o;
    fill(e, true);
    for (int t = 0; t < steps; t++) {
        fill(e, false);
        assert_int_equal(qgm_engine_step(e, 0.1 / (1 + t), &o.telemetry, NULL), 0);
    }
    o.digest = qgm_engine_digest(e);
    qgm_engine_close(&e);
    return o;
}

/* A graph on which the algorithm runs as it should. */
static const char *graph_for(const char *algo) { return strncmp(algo, "relay", 5) == 0 ? "binary-tree" : "ring"; }

static void same_bits_everywhere(void **state)
{
    (void)state;
    static const int threads[] = { 1, 2, 3, 8 };
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        struct qgm_topology *t = open_graph(graph_for(*algo), 19); /* telemetry adds 16 at a time */
        struct outcome want = { 0 };
        bool first = true;
        for (const char *const *isa = qgm_isas_usable(); *isa; isa++)
            for (size_t k = 0; k < QGM_COUNT(threads); k++) {
                if (k && strcmp(*isa, "scalar") == 0) continue; /* slow, and threads do not see the instruction set */
                assert_int_equal(qgm_kernels_use(*isa, NULL), 0);
                struct qgm_engine_config config = { .algo = *algo,
                                                    .topology = t,
                                                    .dim = 3 * 1024 + 37,
                                                    .momentum = 0.9,
                                                    .weight_decay = 1e-4,
                                                    .threads = threads[k],
                                                    .telemetry = true,
                                                    .force_pairing = true };
                struct outcome got = run(&config, 4);
                if (first) want = got;
                first = false;
                if (got.digest != want.digest || memcmp(&got.telemetry, &want.telemetry, sizeof got.telemetry))
                    fail_msg("%s: other bits on %s with %d threads", *algo, *isa, threads[k]);
            }
        qgm_topology_close(&t);
    }
    assert_int_equal(qgm_kernels_use("auto", NULL), 0);
}

/* 16 clients of an encoder of 22.7 M parameters must fit in 6 GiB under any version: four rows each, and little else.
 */
static void quasi_global_adam_holds_four_rows(void **state)
{
    (void)state;
    static const char *const algos[] = { "qg-dadam", "qg-dadam:version=v1", "qg-dadam:version=original" };
    struct qgm_topology *t = open_graph("ring", 16);
    for (size_t a = 0; a < QGM_COUNT(algos); a++) {
        struct qgm_engine_config config = {
            .algo = algos[a], .topology = t, .dim = 22714768, .threads = 2, .telemetry = true
        };
        size_t bytes = 0;
        struct qgm_error err = { 0 };
        assert_int_equal(qgm_engine_measure(&bytes, &config, &err), 0);
        assert_true(bytes < 4.01 * 16 * 4 * 22714768.0);
    }
    qgm_topology_close(&t);
}

/* Asking how much memory it takes must not take it: here more than machines have. */
static void measuring_holds_nothing(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring", 65536);
    struct qgm_engine_config config = {
        .algo = "gt", .topology = t, .dim = (size_t)512 * QGM_BLOCK, .threads = 512, .force_pairing = true
    };
    size_t bytes = 0;
    struct qgm_error err = { 0 };
    if (qgm_engine_measure(&bytes, &config, &err) < 0) fail_msg("%s", err.text);
    double rows = 4.0 * 65536 * 4 * 512 * QGM_BLOCK, messages = 512.0 * 65536 * 4 * 4 * QGM_BLOCK;
    assert_true((double)bytes > rows + messages && (double)bytes < 1.05 * (rows + messages));
    qgm_topology_close(&t);
}

static void average_and_digest(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring", 3);
    struct qgm_engine_config config = { .algo = "dsgd", .topology = t, .dim = 1030 };
    struct qgm_engine *e = open_engine(&config);
    float mean[1030];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 1030; k++) qgm_engine_params(e, i)[k] = (float)(k + i);
    qgm_engine_average(e, mean);
    for (int k = 0; k < 1030; k++) assert_true(mean[k] == (float)(k + 1));
    uint64_t before = qgm_engine_digest(e);
    const uint32_t nans[] = { 0x7fc00000, 0xffc00001 };
    uint64_t digest[2];
    for (int k = 0; k < 2; k++) {
        memcpy(qgm_engine_params(e, 2) + 1029, &nans[k], sizeof nans[k]);
        digest[k] = qgm_engine_digest(e);
    }
    assert_true(digest[0] == digest[1] && digest[0] != before);
    assert_true((uintptr_t)qgm_engine_params(e, 1) % 64 == 0 && (uintptr_t)qgm_engine_grad(e, 2) % 64 == 0);
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

/* Vectors a client sends on a ring of 8 (degree 2): to others, as published for each method; and as the released code
 * of Lin et al. counts, self a neighbour, log2 8 = 3. */
static void bytes_as_sent_and_as_counted(void **state)
{
    (void)state;
    enum { DIM = QGM_BLOCK + 100 }; /* of two blocks each keeps its sixteenth, with indices, or sends a scale */
    const double KEPT = (64 + 6) * 42 / 32.0 / DIM, SIGNS = (DIM / 32.0 + 2) / DIM;
    const struct {
        const char *algo;
        int steps;
        double vectors, lin2021;
    } table[] = {
        { "dsgd", 3, 3 * 2, 3 * 3 },
        { "qg-dsgdm-n", 3, 3 * 2, 3 * 3 },
        { "gt", 2, 2 * 4, 2 * 6 },
        { "d2", 2, 2 * 2, 2 * (3 + 3) },
        { "dadam", 2, 2 * 2, 2 * 3 },
        { "qg-dadam", 2, 2 * 2, 2 * 1 },
        { "adam-central", 1, 2.0 * 7 / 8, 3 },
        { "sgd-central", 1, 2.0 * 7 / 8, 3 },
        { "slowmo:tau=3", 4, 4 * 2 + 2 * 2.0 * 7 / 8, 4 * 3 },
        { "dsgd:local=4", 9, 2 * 2, 2 * 3 },
        { "choco:compressor=none", 2, 2 * 2, 2 * 3 },
        { "choco:ratio=0.0625", 2, 2 * 2 * KEPT, 2 * 3 * KEPT },
        { "choco:compressor=sign", 2, 2 * 2 * SIGNS, 2 * 3 * SIGNS },
        { "motef:compressor=none", 1, 4, 6 },
        { "choco:compressor=none,local=3", 7, 2 * 2, 2 * 3 },
        { "motef:compressor=none,local=2", 5, 2 * 4, 2 * 6 },
    };
    struct qgm_topology *t = open_graph("ring", 8);
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        struct qgm_engine_config config = { .algo = table[i].algo, .topology = t, .dim = DIM, .force_pairing = true };
        struct qgm_engine *e = open_engine(&config);
        for (int s = 0; s < table[i].steps; s++) qgm_engine_step(e, 0.1, NULL, NULL);
        double sent = qgm_engine_bytes_sent(e), counted = qgm_engine_bytes_counted(e, QGM_BITS_LIN2021);
        if (fabs(sent - 4 * DIM * table[i].vectors) > 1e-9 * sent) fail_msg("%s sent %g bytes", table[i].algo, sent);
        if (fabs(counted - 4 * DIM * table[i].lin2021) > 1e-9 * counted)
            fail_msg("%s: %g bytes counted", table[i].algo, counted);
        qgm_engine_close(&e);
    }
    qgm_topology_close(&t);
}

/* Client 1 starts at 0 and after one step of CHOCO holds half of what client 0 let through. */
static void largest_magnitudes_get_through(void **state)
{
    (void)state;
    enum { N = QGM_BLOCK + 37 };
    static const struct {
        size_t dim;
        int distinct; /* magnitudes: few make ties, which go to the lower index */
    } table[] = { { 5, 1000 }, { 100, 1000 }, { 100, 3 }, { 1024, 100000 }, { 1024, 20 }, { N, 100000 }, { N, 1 } };
    struct qgm_topology *t = open_graph("complete", 2);
    for (size_t c = 0; c < QGM_COUNT(table); c++) {
        struct qgm_engine_config config = { .algo = "choco:ratio=0.1,gamma=1", .topology = t, .dim = table[c].dim };
        struct qgm_engine *e = open_engine(&config);
        float x[N];
        for (size_t k = 0; k < table[c].dim; k++) {
            x[k] = (float)((k * 7919 + 13) * (k + 5) % (size_t)table[c].distinct) * (k % 2 ? 1e-3f : -1e-3f);
            qgm_engine_params(e, 0)[k] = x[k];
        }
        qgm_engine_step(e, 0, NULL, NULL);
        for (size_t at = 0; at < table[c].dim; at += QGM_BLOCK) {
            size_t len = table[c].dim - at < QGM_BLOCK ? table[c].dim - at : QGM_BLOCK;
            size_t keep = (size_t)((double)len * 0.1 + 0.5);
            for (size_t k = 0; k < len; k++) {
                size_t ahead = 0; /* larger, or as large with a lower index */
                for (size_t j = 0; j < len; j++)
                    ahead += fabsf(x[at + j]) > fabsf(x[at + k]) || (fabsf(x[at + j]) == fabsf(x[at + k]) && j < k);
                float want = ahead < (keep ? keep : 1) ? x[at + k] / 2 : 0;
                if (qgm_engine_params(e, 1)[at + k] != want)
                    fail_msg("%zu of %zu: %g, expected %g", at + k, table[c].dim,
                             (double)qgm_engine_params(e, 1)[at + k], (double)want);
            }
        }
        qgm_engine_close(&e);
    }
    qgm_topology_close(&t);
}

/* What random compression lets through, over many seeds: each coordinate as often as it should, on average itself. */
static void random_compression_is_fair(void **state)
{
    (void)state;
    enum { DIM = 40, SEEDS = 1000 };
    static const char *const algos[] = { "choco:compressor=randk,ratio=0.25,gamma=1",
                                         "choco:compressor=qsgd,levels=3,gamma=1" };
    struct qgm_topology *t = open_graph("complete", 2);
    double norm2 = 0, x[DIM];
    for (int k = 0; k < DIM; k++) {
        x[k] = (k * 7 % 11 - 5) * 0.25;
        norm2 += x[k] * x[k];
    }
    /* Variance is bounded by min(d / s^2, sqrt(d) / s) |x|^2, which QSGD is divided by, plus 1, to contract. */
    double shrink = 1 + fmin(DIM / 9.0, sqrt(DIM) / 3), step = sqrt(norm2) / 3 / shrink;
    for (int a = 0; a < 2; a++) {
        double sum[DIM] = { 0 };
        for (int seed = 0; seed < SEEDS; seed++) {
            struct qgm_engine_config config = { .algo = algos[a], .topology = t, .dim = DIM, .seed = (uint64_t)seed };
            struct qgm_engine *e = open_engine(&config);
            int kept = 0;
            for (int k = 0; k < DIM; k++) qgm_engine_params(e, 0)[k] = (float)x[k];
            qgm_engine_step(e, 0, NULL, NULL);
            for (int k = 0; k < DIM; k++) {
                double through = 2 * (double)qgm_engine_params(e, 1)[k];
                sum[k] += through / SEEDS;
                kept += through != 0;
                if (a == 0)
                    assert_true(through == 0 || through == x[k]);
                else
                    assert_true(fabs(through / step - round(through / step)) < 1e-4 &&
                                fabs(through - x[k] / shrink) < step * 1.0001);
            }
            if (a == 0) assert_true(kept <= DIM / 4);
            qgm_engine_close(&e);
        }
        for (int k = 0; k < DIM; k++) { /* six standard deviations */
            double want = a == 0 ? x[k] / 4 : x[k] / shrink;
            double room = 6 * (a == 0 ? fabs(x[k]) * 0.433 : step / 2) / sqrt(SEEDS) + 1e-6;
            if (fabs(sum[k] - want) > room) fail_msg("%s: %g on average, expected %g", algos[a], sum[k], want);
        }
    }
    qgm_topology_close(&t);
}

/* Parts of a step: none negative, no more than the clock saw, and nothing where nothing is done. */
static void time_of_a_step_in_parts(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring", 8);
    struct qgm_engine_config config = { .algo = "qg-dsgdm", .topology = t, .dim = 5000, .telemetry = true };
    struct qgm_engine *e = open_engine(&config);
    struct qgm_telemetry m;
    struct timespec begin, end;
    double s[QGM_PHASES], sum = 0;
    qgm_engine_profile(e, s);
    for (int k = 0; k < QGM_PHASES; k++) assert_true(s[k] == 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    qgm_engine_step(e, 0.1, NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    qgm_engine_profile(e, s);
    for (int k = 0; k < QGM_PHASES; k++) {
        assert_true(s[k] >= 0);
        sum += s[k];
    }
    assert_true(sum <= (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec) + 1e-6);
#if defined(__x86_64__) || defined(__aarch64__)
    assert_true(s[QGM_PHASE_PRE] > 0 && s[QGM_PHASE_MIX] > 0 && s[QGM_PHASE_POST] > 0);
    double plain = s[QGM_PHASE_TELEMETRY];
    qgm_engine_step(e, 0.1, &m, NULL);
    qgm_engine_profile(e, s);
    assert_true(s[QGM_PHASE_TELEMETRY] > plain);
#endif
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

static void odd_shapes_run(void **state)
{
    (void)state;
    static const size_t dims[] = { 1, 15, 16, 17, 1023, 1024, 1025, 4096 };
    static const int clients[] = { 1, 2, 3 };
    for (const char *const *algo = qgm_algo_names(); *algo; algo++)
        for (size_t d = 0; d < QGM_COUNT(dims); d++)
            for (size_t c = 0; c < QGM_COUNT(clients); c++) {
                struct qgm_topology *t = open_graph(strncmp(*algo, "relay", 5) ? "ring" : "chain", clients[c]);
                struct qgm_engine_config config = { .algo = *algo,
                                                    .topology = t,
                                                    .dim = dims[d],
                                                    .momentum = 0.9,
                                                    .threads = 2,
                                                    .telemetry = true,
                                                    .force_pairing = true };
                struct outcome o = run(&config, 2);
                if (!isfinite(o.telemetry.mean_norm) || !isfinite(o.telemetry.consensus))
                    fail_msg("%s, dim %zu, %d clients: not finite", *algo, dims[d], clients[c]);
                qgm_topology_close(&t);
            }
}

static void learning_rate_zero(void **state)
{
    (void)state;
    struct qgm_topology *t = open_graph("ring", 4);
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        struct qgm_engine_config config = {
            .algo = *algo, .topology = t, .dim = 40, .momentum = 0.9, .force_pairing = true, .telemetry = true
        };
        struct qgm_engine *e = open_engine(&config);
        struct qgm_telemetry m;
        fill(e, true);
        for (int s = 0; s < 4; s++) {
            fill(e, false);
            assert_int_equal(qgm_engine_step(e, s % 2 ? 0.1 : 0, &m, NULL), 0);
            if (!isfinite(m.mean_norm)) fail_msg("%s: not finite after a step at learning rate 0", *algo);
        }
        qgm_engine_close(&e);
    }
    qgm_topology_close(&t);
}

static void refusals_name_reason_and_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *algo, *graph;
        int n;
        const char *says;
    } table[] = {
        { "qg-dgsdm", "ring", 4, "did you mean 'qg-dsgdm'" },
        { "qg-dsgdm:mu=1.5", "ring", 4, "from 0 to 1" },
        { "qg-dsgdm:tau=1.5", "ring", 4, "whole number" },
        { "qg-dsgdm:my=0.5", "ring", 4, "did you mean 'mu'" },
        { "d2", "ring", 16, "lambda_min > -1/3; ring on 16 clients has -0.333: use --lazy" },
        { "d2", "davis", 32, "-0.434" },
        { "dsgd", "star:weights=uniform", 4, "has other sums" },
    };
    for (size_t i = 0; i < QGM_COUNT(table); i++) {
        struct qgm_topology *t = open_graph(table[i].graph, table[i].n);
        struct qgm_engine_config config = { .algo = table[i].algo, .topology = t, .dim = 4 };
        struct qgm_engine *e = NULL;
        struct qgm_error err = { 0 };
        assert_int_equal(qgm_engine_open(&e, &config, &err), -1);
        if (!strstr(err.text, table[i].says)) fail_msg("'%s' does not say '%s'", err.text, table[i].says);
        assert_int_equal(err.kind, QGM_USAGE);
        assert_null(e);
        qgm_topology_close(&t);
    }
}

/* Clients go through a step in an order of the graph's, and take turns at places for what they send: here is the same
 * step one client after the other. local=2: every other step is without exchange. */
static void order_and_places_do_not_show(void **state)
{
    (void)state;
    enum { N = 36, DIM = 48 };
    static const char *const graphs[] = { "ring",           "torus", "star", "exponential", "one-peer-exponential",
                                          "random-matching" };
    static float old[N][DIM], want[N][DIM];
    for (size_t g = 0; g < QGM_COUNT(graphs); g++) {
        struct qgm_topology *t = open_graph(graphs[g], N);
        struct qgm_engine_config config = { .algo = "dpsgd:local=2", .topology = t, .dim = DIM, .force_pairing = true };
        struct qgm_engine *e = open_engine(&config);
        fill(e, true);
        for (int s = 0; s < 8; s++) {
            const struct qgm_row *rows = qgm_topology_rows(t, s / 2);
            fill(e, false);
            for (int i = 0; i < N; i++) memcpy(old[i], qgm_engine_params(e, i), sizeof old[i]);
            for (int i = 0; i < N; i++)
                for (int k = 0; k < DIM; k++) {
                    float sum = s % 2 ? (float)rows[i].w[0] * old[rows[i].from[0]][k] : old[i][k];
                    for (int j = 1; s % 2 && j < rows[i].n; j++)
                        sum = fmaf((float)rows[i].w[j], old[rows[i].from[j]][k], sum);
                    want[i][k] = fmaf(-0.1f, qgm_engine_grad(e, i)[k], sum);
                }
            assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
            for (int i = 0; i < N; i++)
                if (memcmp(want[i], qgm_engine_params(e, i), sizeof want[i]))
                    fail_msg("%s, step %d: client %d has other bits", graphs[g], s, i);
        }
        qgm_engine_close(&e);
        qgm_topology_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_everywhere),
        cmocka_unit_test(quasi_global_adam_holds_four_rows),
        cmocka_unit_test(measuring_holds_nothing),
        cmocka_unit_test(average_and_digest),
        cmocka_unit_test(order_and_places_do_not_show),
        cmocka_unit_test(bytes_as_sent_and_as_counted),
        cmocka_unit_test(largest_magnitudes_get_through),
        cmocka_unit_test(random_compression_is_fair),
        cmocka_unit_test(time_of_a_step_in_parts),
        cmocka_unit_test(odd_shapes_run),
        cmocka_unit_test(learning_rate_zero),
        cmocka_unit_test(refusals_name_reason_and_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
