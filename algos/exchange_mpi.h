/* Between the files that speak to an MPI. SPDX-License-Identifier: MIT */
#ifndef QGM_EXCHANGE_MPI_H
#define QGM_EXCHANGE_MPI_H
#include "exchange.h"
#include <mpi.h>

/* The processes that share memory with this one, itself among them. */
struct qgm_host {
    MPI_Comm comm;
    int size;
    int *rank_of; /* [process]: its rank in comm; -1: it is elsewhere */
};
const struct qgm_host *qgm_host(void);

struct route { /* a client's panels, to or from a process elsewhere */
    int client, process;
};
/* What this process sends to other machines and receives, clients ascending. */
struct routes {
    struct route *send, *receive;
    int sends, receives;
};

int qgm_exchange_mpi(struct qgm_group *group, struct qgm_exchange **exchange, const struct qgm_exchange_size *size,
                     struct qgm_error *err);
size_t qgm_exchange_mpi_bytes(const struct qgm_group *group, const struct qgm_exchange_size *size,
                              struct qgm_exchange *shape);

#endif
