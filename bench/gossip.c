/* Rounds of gossip on small pieces of all clients' values. SPDX-License-Identifier: MIT */
#include "gossip.h"
#include <string.h>

void qgm_gossip_once(const struct qgm_row *rows, int clients, float *values, float *scratch, size_t each)
{
    for (int i = 0; i < clients; i++)
        for (size_t k = 0; k < each; k++) {
            double sum = 0;
            for (int j = 0; j < rows[i].n; j++) sum += rows[i].w[j] * values[(size_t)rows[i].from[j] * each + k];
            scratch[(size_t)i * each + k] = (float)sum;
        }
    memcpy(values, scratch, (size_t)clients * each * sizeof *values);
}

int qgm_gossip(struct qgm_topology *topology, long exchange, long rounds, float *values, float *scratch, size_t each,
               struct qgm_error *err)
{
    for (long r = 0; r < rounds; r++) {
        const struct qgm_row *rows = qgm_topology_rows(topology, exchange + r);
        if (!rows)
            return qgm_fail(err, QGM_SYSTEM, "gossip round %ld: out of memory for a draw of %s", r,
                            qgm_topology_spec(topology));
        qgm_gossip_once(rows, qgm_topology_clients(topology), values, scratch, each);
    }
    return 0;
}
