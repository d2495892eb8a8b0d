/* An engine's state, piece by piece: laid over that of another engine it goes on to the same bits, for every algorithm.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "engine.h"
#include "random.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 5, DIM = 2 * 1024 + 37, BEFORE = 3, AFTER = 4 };

static struct qgm_engine *open_engine(const char *algo, struct qgm_topology *t, int threads)
{
    struct qgm_error err = { 0 };
    struct qgm_engine *e = NULL;
    struct qgm_engine_config config = { .algo = algo,
                                        .topology = t,
                                        .dim = DIM,
                                        .momentum = 0.9,
                                        .weight_decay = 1e-4,
                                        .threads = threads,
                                        .seed = 3,
                                        .telemetry = true };
    if (qgm_engine_open(&e, &config, &err) < 0) fail_msg("%s", err.text);
    return e;
}

static void fill(struct qgm_random *r, float *row)
{
    for (size_t k = 0; k < DIM; k++) row[k] = qgm_random_float(r) - 0.5f;
}

static void steps(struct qgm_engine *e, int count)
{
    while (count-- > 0) {
        struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 1, (uint32_t)qgm_engine_steps(e));
        for (int i = 0; i < CLIENTS; i++) fill(&r, qgm_engine_grad(e, i));
        assert_int_equal(qgm_engine_step(e, 0.1, NULL, NULL), 0);
    }
}

static void copy_state(struct qgm_engine *to, struct qgm_engine *from)
{
    int n = qgm_engine_pieces(from);
    assert_int_equal(qgm_engine_pieces(to), n);
    for (int i = 0; i < n; i++) {
        struct qgm_engine_piece a, b;
        qgm_engine_piece(from, i, &a);
        qgm_engine_piece(to, i, &b);
        assert_string_equal(a.name, b.name);
        assert_int_equal(a.count, b.count);
        if (a.count) memcpy(b.at, a.at, a.count * a.real);
    }
    qgm_engine_restored(to);
}

static void every_algorithm_goes_on(void **state)
{
    (void)state;
    for (const char *const *algo = qgm_algo_names(); *algo; algo++) {
        struct qgm_topology *t = NULL;
        const char *graph = strncmp(*algo, "relay", 5) == 0 ? "binary-tree" : "ring";
        assert_int_equal(qgm_topology_open(&t, graph, CLIENTS, false, 7, NULL), 0);
        struct qgm_engine *whole = open_engine(*algo, t, 1), *part = open_engine(*algo, t, 2);
        struct qgm_random r = qgm_random(3, QGM_RANDOM_TEST, 0, 0);
        for (int i = 0; i < CLIENTS; i++) fill(&r, qgm_engine_params(whole, i));
        steps(whole, BEFORE);
        copy_state(part, whole);
        assert_int_equal(qgm_engine_steps(part), BEFORE);
        steps(whole, AFTER);
        steps(part, AFTER);
        if (qgm_engine_digest(whole) != qgm_engine_digest(part)) fail_msg("%s: other bits after its state", *algo);
        assert_true(qgm_engine_bytes_sent(whole) == qgm_engine_bytes_sent(part));
        qgm_engine_close(&whole);
        qgm_engine_close(&part);
        qgm_topology_close(&t);
    }
}

static void names_are_told_apart(void **state)
{
    (void)state;
    struct qgm_topology *t = NULL;
    assert_int_equal(qgm_topology_open(&t, "star", CLIENTS, false, 7, NULL), 0);
    struct qgm_engine *e = open_engine("relaysgdm", t, 1);
    for (int i = 0; i < qgm_engine_pieces(e); i++)
        for (int k = 0; k < i; k++) {
            struct qgm_engine_piece a, b;
            qgm_engine_piece(e, i, &a);
            qgm_engine_piece(e, k, &b);
            assert_string_not_equal(a.name, b.name);
            assert_true(a.client >= -1 && a.client < CLIENTS);
        }
    qgm_engine_close(&e);
    qgm_topology_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_goes_on),
        cmocka_unit_test(names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
