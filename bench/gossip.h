/* Gossip outside the algorithm: of batch norms' statistics, and of models before a test.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_GOSSIP_H
#define QGM_GOSSIP_H
#include "topology.h"

enum { QGM_GOSSIP_PIECE = 4096 }; /* floats of a model that are gossiped at a time */

/* values <- W values, for values of all clients, `each` floats a client. scratch: as many floats again. Sums in double,
 * neighbours ascending: the same bits in every process. */
void qgm_gossip_once(const struct qgm_row *rows, int clients, float *values, float *scratch, size_t each);
/* values <- W(exchange + rounds - 1) ... W(exchange) values. -1 (QGM_SYSTEM): no memory for a draw of the graph. */
int qgm_gossip(struct qgm_topology *topology, long exchange, long rounds, float *values, float *scratch, size_t each,
               struct qgm_error *err);

#endif
