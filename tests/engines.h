/* An engine in double on a graph, for tests of algorithms. SPDX-License-Identifier: MIT */
#ifndef QGM_TEST_ENGINES_H
#define QGM_TEST_ENGINES_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "engine.h"
#include <cmocka.h>

static inline struct qgm_topology *open_graph(const char *spec, int n, bool lazy)
{
    struct qgm_error err = { 0 };
    struct qgm_topology *t = NULL;
    if (qgm_topology_open(&t, spec, n, lazy, 7, &err) < 0) fail_msg("%s", err.text);
    return t;
}

static inline struct qgm_engine *open_engine(const char *algo, struct qgm_topology *t, size_t dim, double momentum)
{
    struct qgm_error err = { 0 };
    struct qgm_engine *e = NULL;
    struct qgm_engine_config config = { .algo = algo,
                                        .topology = t,
                                        .dim = dim,
                                        .momentum = momentum,
                                        .threads = 1,
                                        .telemetry = true,
                                        .force_pairing = true,
                                        .reference = true };
    if (qgm_engine_open(&e, &config, &err) < 0) fail_msg("%s", err.text);
    return e;
}

static inline double *x_of(struct qgm_engine *e, int i) { return qgm_engine_reference_params(e, i); }
static inline double *g_of(struct qgm_engine *e, int i) { return qgm_engine_reference_grad(e, i); }

#endif
