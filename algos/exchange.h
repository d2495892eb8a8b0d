/* How messages reach neighbours. The engine asks where to write and where to read, and mixes in ascending client order
 * itself: so an exchange moves bytes and never changes a result, and in-process and MPI runs give the same bits.
 *
 * A vector is exchanged panel by panel; each thread has its own panels, two sets of them (`buffer` 0 and 1), so that
 * messages are still readable while the next ones are being written. SPDX-License-Identifier: MIT */
#ifndef QGM_EXCHANGE_H
#define QGM_EXCHANGE_H
#include "topology.h"

struct qgm_exchange;
struct qgm_exchange_ops {
    const char *name;
    /* Addresses of one message's panels, by client. Those of local clients are where to write; after `trade` those of
     * all clients that any local client listens to are where to read. Valid until the exchange is closed. */
    char *const *(*panels)(struct qgm_exchange *exchange, int thread, int buffer, int message);
    /* Called by one thread when its local clients' panels are written: returns when the others' are readable. elements:
     * how many of a panel are in use. rows: who listens to whom; NULL: everyone to everyone. */
    int (*trade)(struct qgm_exchange *exchange, int thread, int buffer, int messages, size_t elements,
                 const struct qgm_row *rows);
    /* Make values[client * each ...] of all clients known, those of local clients being filled in. Called by one
     * thread. Sums over clients are then made in client order by whoever needs them: never by a reduction, whose order
     * is not ours. */
    int (*gather)(struct qgm_exchange *exchange, double *values, int each, struct qgm_error *err);
    void (*close)(struct qgm_exchange **exchange);
};
struct qgm_exchange {
    const struct qgm_exchange_ops *op;
    int clients;      /* in all */
    int first, count; /* those that live here */
    size_t panel;     /* elements: a multiple of QGM_BLOCK */
};

/* All clients in this process: panels are one block, stay in L1 and L2, and nothing is copied. */
int qgm_exchange_local(struct qgm_exchange **exchange, int clients, int threads, int messages, size_t real,
                       struct qgm_error *err);
size_t qgm_exchange_local_bytes(int clients, int threads, int messages, size_t real);

#endif
