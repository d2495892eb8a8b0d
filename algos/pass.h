/* What the engine hands to the code compiled per ISA: one segment of a step's stages, up to a barrier, for all blocks.
 * Addresses are bytes here, since an element is a float or, in the reference build, a double.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_PASS_H
#define QGM_PASS_H
#include "algo.h"
#include "engine.h"
#include "exchange.h"

enum qgm_spread { QGM_SPREAD_X, QGM_SPREAD_G, QGM_SPREAD_COSINE, QGM_SPREADS };

/* Time stamps of a thread, in whatever the processor counts: shares of a step, not seconds. */
struct qgm_ticks {
    uint64_t phase[QGM_PHASES];
} __attribute__((aligned(QGM_ALIGN)));

/* Messages that come late: what clients have sent in the last exchanges. A client that is late sends what it made then
 * in place of what it makes now; itself it mixes with the latter. */
struct qgm_late {
    char *sent;      /* rows [local client][slot][exchange % keep]; NULL: all messages are on time */
    const int *age;  /* [client]: exchanges ago that it made what it sends now */
    int slots, keep; /* slots: messages of all MIX stages together */
    long exchange;   /* exchanges before this one */
};

/* In which order clients go through the part of a segment behind an exchange, where all of them live here: a function
 * of who listens to whom, and without effect on results. */
enum { QGM_ORDERS = 2 }; /* behind the first exchange and the second */
struct qgm_order {
    int *client; /* [place] */
    int *ready;  /* [place]: how many are to be through the part before */
    int *seat;   /* [client]: where the messages that the part takes in lie, among those of all clients */
    int span;    /* most clients that are through the part before and wait for this one */
};

enum { QGM_FLIGHT_BYTES = 192 }; /* room for a struct flight: pass.c */
struct qgm_pass {
    const struct qgm_algo *algo;
    const struct qgm_step *step;
    const struct qgm_stage *stage; /* those active in this step: maps and exchanges, maybe ended by one NORM */
    int stages;
    struct qgm_exchange *exchange;
    const struct qgm_row *rows; /* of W, all clients */
    size_t dim, padded;         /* elements of a vector; rounded up to 16 */
    size_t stride, client;      /* elements from one row to the next, and from one client's x to the next client's */
    int states, threads;
    char *x;  /* of the first local client; then its g, its states, then the next client */
    char *in; /* [thread][in_step]: messages x QGM_BLOCK elements, and a gap */
    size_t in_step;
    double *partial;                /* NORM: sums of squares, [local client][block] */
    const double *norm;             /* [local client] */
    const double *mass, *mass_next; /* push-sum: [client]; NULL otherwise */
    char *edges;                    /* RELAY: what came last and what went last, two rows an edge; else NULL */
    const size_t *first_edge;       /* of each local client, among the edges of all */
    const double *own;              /* RELAY: block.own of each local client */
    struct qgm_ticks *ticks;        /* [thread], or NULL: nobody asks */
    const bool *down;               /* [client]: crashed, its rows stay as they are; NULL: none is */
    const bool *arrived;            /* RELAY with faults: [edge][2], does what comes arrive, and what goes; else NULL */
    struct qgm_late late;
    int slot;                      /* messages of the MIX stages before this segment */
    const struct qgm_order *order; /* [QGM_ORDERS]; NULL: clients live elsewhere too */
    bool ordered;                  /* this segment's parts go by it; else each waits for all of the one before */
    const int *finish;             /* [place]: in which order clients are through the segment; NULL: ascending */
    double *telemetry;             /* [block][2 * QGM_SPREADS], or NULL when nobody asks */
    bool at_hand;                  /* all rows are in caches already: nothing is to be fetched ahead */
    char *flights;                 /* [thread][flight][QGM_FLIGHT_BYTES]: where panels stand; zero: not under way */
    bool early;                    /* set off as many panels as can be; the rest waits for the step */
    unsigned watched;              /* by telemetry in this segment, of enum qgm_watched; if it is asked at all */
};

/* Each as soon as it is final, when it is still in the caches. */
enum qgm_watched {
    QGM_WATCHED_BEFORE = 1, /* gradients that the step spends, and the momentum as it was: before the segment */
    QGM_WATCHED_X = 2,      /* parameters: behind it, and so are */
    QGM_WATCHED_G = 4       /* gradients and momentum */
};

/* Rows that stages from s to end - 1 touch, as in struct qgm_stage; all: how these are named if they are all there. */
static inline unsigned qgm_rows_touched(const struct qgm_stage *s, const struct qgm_stage *end, unsigned all)
{
    unsigned rows = 0;
    for (; s < end; s++) {
        if (s->op == QGM_OP_NORM) rows |= QGM_STATE(s->arg);
        if (s->op == QGM_OP_MAP) rows |= s->rows ? s->rows : all;
        if (s->to_x) rows |= QGM_X;
    }
    return rows;
}

/* Rows of all clients at some block: client i's x at x + i step, and so on; v: the momentum state. Of x and g, what is
 * NULL is not measured; v goes with g. */
struct qgm_view {
    const void *x, *g, *v;
    size_t step; /* elements */
    int clients;
    const int *order;              /* [place]: in which order sums are made over clients; NULL: ascending */
    void (*meanwhile)(void *user); /* NULL, or called every now and then */
    void *user;
};

#ifdef QGM_SUFFIX
/* Run the blocks of one thread's share. */
void QGM_ISA(qgm_pass_run)(const struct qgm_pass *pass, int thread);
/* Telemetry of one block: sums over clients, [2 * QGM_SPREADS]; those of what is not measured stay as they are. */
void QGM_ISA(qgm_pass_observe)(const struct qgm_view *view, size_t len, double *out);
#endif

#endif
