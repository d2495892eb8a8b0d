/* The simulated cluster against times worked out by hand. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "network.h"
#include <cmocka.h>
#include <math.h>
#include <string.h>

static bool near(double a, double b) { return fabs(a - b) < 1e-12 * fabs(b); }

static struct qgm_topology *open_graph(const char *spec, int n)
{
    struct qgm_topology *t = NULL;
    assert_int_equal(qgm_topology_open(&t, spec, n, false, 1, NULL), 0);
    return t;
}

static void a_ring_of_equals(void **state)
{
    (void)state;
    struct qgm_network n;
    struct qgm_topology *t = open_graph("ring", 4);
    assert_int_equal(qgm_network_open(&n, "ethernet:latency-us=100,mbit-s=80,step-ms=5", 4, 1, NULL),
                     0); /* 10^7 bytes a second */
    for (int step = 1; step <= 3; step++) {
        qgm_network_step(&n, qgm_topology_rows(t, 0), 20000, 1, false); /* two messages share the line: 4 ms */
        assert_true(near(qgm_network_seconds(&n), step * (5e-3 + 100e-6 + 4e-3)));
    }
    qgm_network_step(&n, qgm_topology_rows(t, 0), 0, 0, false); /* a local step waits for nobody */
    assert_true(near(qgm_network_seconds(&n), 3 * 9.1e-3 + 5e-3));
    qgm_network_close(&n);
    qgm_topology_close(&t);
}

static void what_sets_off_early_hides_behind_the_computation(void **state)
{
    (void)state;
    struct qgm_network n;
    struct qgm_topology *t = open_graph("ring", 4);
    assert_int_equal(qgm_network_open(&n, "ethernet:latency-us=100,mbit-s=80,step-ms=5", 4, 1, NULL), 0);
    qgm_network_step(&n, qgm_topology_rows(t, 0), 20000, 1, true); /* 4.1 ms of messages in 5 ms */
    assert_true(near(qgm_network_seconds(&n), 5e-3));
    qgm_network_step(&n, qgm_topology_rows(t, 0), 40000, 1, true); /* 8.1 ms */
    assert_true(near(qgm_network_seconds(&n), 5e-3 + 8.1e-3));
    qgm_network_close(&n);
    qgm_topology_close(&t);
}

/* Clients of gt-nsgdm mix models only when they have the mixed momentum. */
static void rounds_wait_for_each_other(void **state)
{
    (void)state;
    struct qgm_network n;
    struct qgm_topology *t = open_graph("ring", 4);
    assert_int_equal(qgm_network_open(&n, "ethernet:latency-us=100,mbit-s=80,step-ms=5", 4, 1, NULL), 0);
    qgm_network_step(&n, qgm_topology_rows(t, 0), 20000, 2, false);
    assert_true(near(qgm_network_seconds(&n), 5e-3 + 2 * (100e-6 + 2e-3)));
    qgm_network_step(&n, qgm_topology_rows(t, 0), 20000, 2, true); /* the first hides behind the computation */
    assert_true(near(qgm_network_seconds(&n), 2 * 5e-3 + 3 * (100e-6 + 2e-3)));
    qgm_network_close(&n);
    qgm_topology_close(&t);
}

static void the_slowest_holds_up_as_far_as_messages_went(void **state)
{
    (void)state;
    struct qgm_network n;
    struct qgm_topology *t = open_graph("chain", 6);
    assert_int_equal(qgm_network_open(&n, "wan:latency-us=0,mbit-s=1e9,step-ms=1", 6, 1, NULL), 0);
    n.compute[0] = 1;
    qgm_network_step(&n, qgm_topology_rows(t, 0), 1e-9, 1, false);
    qgm_network_step(&n, qgm_topology_rows(t, 0), 1e-9, 1, false);
    assert_true(n.clock[0] > 1.9 && n.clock[1] > 1.9); /* two hops in two steps: the second sees one second of it */
    assert_true(n.clock[2] > 0.9 && n.clock[2] < 1.1);
    assert_true(n.clock[3] < 0.1 && n.clock[5] < 0.1);
    qgm_network_close(&n);
    qgm_topology_close(&t);
}

static void specs(void **state)
{
    (void)state;
    struct qgm_network n;
    struct qgm_error err;
    assert_int_equal(qgm_network_open(&n, "off", 4, 1, NULL), 0);
    assert_true(isnan(qgm_network_seconds(&n)));
    assert_int_equal(qgm_network_open(&n, "ethernt", 4, 1, &err), -1);
    assert_non_null(strstr(err.text, "did you mean 'ethernet'?"));
    assert_int_equal(qgm_network_open(&n, "wan:mbits=3", 4, 1, &err), -1);
    assert_non_null(strstr(err.text, "mbit-s"));
    assert_int_equal(qgm_network_open(&n, "wan:spread=0.5", 4, 1, NULL), 0);
    assert_true(n.compute[0] != n.compute[1] && n.compute[0] > 0);
    qgm_network_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_of_equals),
        cmocka_unit_test(what_sets_off_early_hides_behind_the_computation),
        cmocka_unit_test(rounds_wait_for_each_other),
        cmocka_unit_test(the_slowest_holds_up_as_far_as_messages_went),
        cmocka_unit_test(specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
