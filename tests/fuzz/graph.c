/* builds with: algos/graph_*.c algos/links.c algos/spec.c algos/spectrum*.c algos/topology.c; libs lapacke */
/* Any bytes as a list of edges or weights: refused, or rows that are in order and in range. SPDX-License-Identifier:
 * MIT */
#include "input.h"
#include "topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char spec[100];
    struct qgm_topology *t;
    struct qgm_error err;
    enum { CLIENTS = 12 };
    snprintf(spec, sizeof spec, "file:%s", input_path(bytes, size));
    if (qgm_topology_open(&t, spec, CLIENTS, false, 1, &err) < 0) return 0;
    const struct qgm_row *row = qgm_topology_rows(t, 0);
    for (int i = 0; i < CLIENTS; i++)
        for (int k = 0; k < row[i].n; k++)
            if (row[i].from[k] < (k ? row[i].from[k - 1] + 1 : 0) || row[i].from[k] >= CLIENTS) abort();
    (void)qgm_topology_facts(t);
    qgm_topology_close(&t);
    return 0;
}
