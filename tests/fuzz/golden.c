/* builds with: bench/golden.c algos/graph_*.c algos/links.c algos/sp*.c algos/topology.c; libs lapacke */
/* Any bytes as a published trajectory: refused, or every point inside. SPDX-License-Identifier: MIT */
#include "golden.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qgm_golden g;
    struct qgm_error err;
    if (qgm_golden_open(&g, input_path(bytes, size), &err) < 0) return 0;
    volatile double sum = 0;
    for (size_t p = 0; p < g.points; p++) {
        if (g.point[p].i < 0 || g.point[p].i >= g.n || g.point[p].k < 0 || g.point[p].k >= g.d) abort();
        sum += qgm_golden_gradient(&g, g.point[p].i, g.point[p].k, 0.5);
    }
    qgm_golden_close(&g);
    return 0;
}
