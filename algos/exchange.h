/* How messages reach neighbours. The engine asks where to write and where to read, and mixes in ascending client order
 * itself: so an exchange moves bytes and never changes a result, and in-process and MPI runs give the same bits.
 *
 * A vector is exchanged panel by panel. Each thread has its own: `depth` panels in flight, so that one travels while
 * another is computed, and two sets of each (`buffer` 0 and 1), so that messages are still readable while the next ones
 * are being written. SPDX-License-Identifier: MIT */
#ifndef QGM_EXCHANGE_H
#define QGM_EXCHANGE_H
#include "group.h"
#include "topology.h"

enum { QGM_MAX_DEPTH = 8 };
/* Elements between what different threads write all the time: a page, which no prefetcher crosses. Otherwise what one
 * core fetches for writing behind the end of its own is taken away from another. */
enum { QGM_APART = 1024 };

struct qgm_exchange;
struct qgm_exchange_ops {
    /* Addresses of one message's panels, by client. Those of local clients are where to write; after `finish` those of
     * all clients that any local client listens to are where to read. The table is valid until the exchange is
     * closed. */
    char *const *(*panels)(struct qgm_exchange *exchange, int thread, int flight, int buffer, int message);
    /* Clients take turns at places: from now on panels of buffer b, by client, are those at seat[b][client], all of
     * them below `clients`; NULL: each has its own, as at the start. NULL: not here. */
    void (*sit)(struct qgm_exchange *exchange, const int *const seat[2]);
    /* The set to write first on the next way through a segment; then they take turns, exchange by exchange. NULL: 0. */
    int (*first_buffer)(struct qgm_exchange *exchange, int thread, int flight);
    /* Once before each step, by one thread: who listens to whom. */
    int (*plan)(struct qgm_exchange *exchange, const struct qgm_row *rows, struct qgm_error *err);
    /* Called by one thread when its local clients' panels of messages 0 ... messages - 1 are written. elements: how
     * many of a panel are in use. everyone: to all clients, not to neighbours only. */
    void (*begin)(struct qgm_exchange *exchange, int thread, int flight, int buffer, int messages, size_t elements,
                  bool everyone);
    void (*finish)(struct qgm_exchange *exchange, int thread, int flight); /* returns when the others' are readable */
    void (*progress)(struct qgm_exchange *exchange, int thread); /* called between blocks; NULL: nothing travels */
    void (*close)(struct qgm_exchange **exchange);
};
struct qgm_exchange {
    const struct qgm_exchange_ops *op;
    int clients;      /* in all */
    int first, count; /* those that live here */
    int depth;        /* panels a thread has in flight: at most QGM_MAX_DEPTH unless early */
    bool shared;      /* all processes see all panels: nothing travels */
    bool early;       /* messages travel, and it pays to have all of them set off early: depth is for that */
    size_t panel;     /* elements: a multiple of QGM_BLOCK */
};

/* All clients in this process: panels are one block, stay in L1 and L2, and nothing is copied. */
int qgm_exchange_local(struct qgm_exchange **exchange, const struct qgm_exchange_size *size, struct qgm_error *err);
size_t qgm_exchange_local_bytes(const struct qgm_exchange_size *size, struct qgm_exchange *shape);

#endif
