/* Exchanges that stand: on a graph that stays as it is, a panel goes from step to step between the same addresses, and
 * MPI need be told only once. Persistent neighbourhood collectives (MPI 4.0, or Open MPI's extension of 4.1), one edge
 * of the process graph for each panel that travels, so that panels stay as short as `cut` in exchange_mpi.c wants them.
 * Not the default: between two hosts at 1 Gbit/s, 1 ms apart, 4 MiB take as long as by messages (34.7 ms), and as much
 * of it hides behind computation (61 and 62 %, medians of four runs each). SPDX-License-Identifier: MIT */
#ifndef QGM_STANDING_MPI_H
#define QGM_STANDING_MPI_H
#include "exchange_mpi.h"

struct qgm_standing; /* opaque */
/* What one panel's exchange moves: the order of edges between two processes is the same on both sides. */
struct qgm_standing_panel {
    int thread, flight, buffer, messages, bytes;
};

/* comm: one a thread. *standing is NULL unless $QGM_MPI_STANDING is 1; QGM_USAGE where this MPI has no such calls. */
int qgm_standing_open(struct qgm_standing **standing, const MPI_Comm *comm, int threads, int depth,
                      struct qgm_error *err);
void qgm_standing_close(struct qgm_standing **standing); /* NULL-safe; collective */
/* Before each step, in every process with the rows of all clients: may this step's exchanges stand? They may from the
 * second step on that has the same rows. Collective when the rows change. */
bool qgm_standing_plan(struct qgm_standing *standing, const struct qgm_row *rows, int clients);
/* Start an exchange; places[message][client] are its panels. The request is to be waited for, or tested,
 * as any other. The first time it is collective, in the order in which the threads of all processes walk their panels.
 */
MPI_Request qgm_standing_start(struct qgm_standing *standing, const struct qgm_standing_panel *panel,
                               const struct routes *routes, char *const *const *places);
#endif
