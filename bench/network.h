/* A simulated cluster: what a run would take if every client had a machine of its own. A clock a client: a step costs
 * its compute time, then the messages of its in-neighbours must have arrived. Held against runs on four hosts of known
 * latency and bandwidth (tests/cluster.sh): the time of a step within 20 %. It knows nothing of the processor time that
 * sending takes, nor of slow start, nor that no more than QGM_MAX_DEPTH panels of 60 KB are under way from one client
 * to another: where a network holds more than that in a latency, a step takes longer. SPDX-License-Identifier: MIT */
#ifndef QGM_NETWORK_H
#define QGM_NETWORK_H
#include "topology.h"

struct qgm_network {
    int clients;
    double latency, bandwidth; /* seconds; bytes a second, each way, shared by a client's messages */
    double *compute;           /* [client] seconds of a step */
    double *clock, *ready;     /* [client] seconds; clock is the state. NULL: there is no network */
    double *sends;             /* [client] messages of this step */
};
/* spec: off, or NAME:key=value,... as --network says. compute times: step-ms exp(spread z), z standard normal. */
int qgm_network_open(struct qgm_network *network, const char *spec, int clients, uint64_t seed, struct qgm_error *err);
void qgm_network_close(struct qgm_network *network);
/* One step: bytes sent on each link of rows, in equal parts in so many rounds, of which each begins when the one before
 * has ended. An all-reduce is charged by its bytes over these links, as one round. early: messages of the first set off
 * when the step begins, not when it has been computed. */
void qgm_network_step(struct qgm_network *network, const struct qgm_row *rows, double bytes, int rounds, bool early);
double qgm_network_seconds(const struct qgm_network *network); /* of the slowest client; NaN: there is no network */

#endif
