/* What an engine is made of: for the files engine*.c alone. SPDX-License-Identifier: MIT */
#ifndef QGM_ENGINE_INSIDE_H
#define QGM_ENGINE_INSIDE_H
#include "engine.h"
#include "exchange.h"
#include "pass.h"
#include "relay_counts.h"

enum { QGM_COUNTERS = 1 + QGM_BITS_DIALECTS + QGM_MAX_DERIVED };

/* Where blocks of all clients pass through, process by process: view.c. */
struct qgm_turn {
    char *mine, *all; /* as they travel: [process][client][row][QGM_BLOCK] */
    int *out, *in;    /* bytes to and from each process */
    int *first;       /* block of each process's share */
    int *element;     /* element of each process's share of the parameters */
    int rounds;       /* the most blocks that a process has */
    float *guest;     /* one vector of another process's client */
};

struct qgm_engine {
    const struct qgm_algo_table *table;
    const struct qgm_algo *algo;
    struct qgm_topology *topology;
    struct qgm_group *group;
    struct qgm_exchange *exchange;
    struct qgm_exchange shape; /* which it points to until it is opened */
    struct qgm_exchange_size exchange_size;
    struct qgm_arena arena;
    struct qgm_step step;
    struct qgm_pass pass;
    struct qgm_stage active[QGM_MAX_STAGES];
    double knob[QGM_MAX_KNOBS];
    size_t blocks, bytes;
    int local;  /* gradient steps per exchange */
    int stages; /* in `active` */
    double *norm, *mass, *mass_next, *telemetry;
    double sent[QGM_BITS_DIALECTS]; /* vectors of dim elements, summed over clients */
    double counters[QGM_COUNTERS];  /* what a checkpoint keeps of step and sent */
    struct qgm_ticks *ticks;        /* [thread] */
    double pass_seconds;            /* of steps since the last profile; counted while pass.ticks is set */
    bool telemetry_wanted, relays;
    bool begun; /* the next step, by qgm_engine_early */
    struct qgm_relay relay;
    struct qgm_faults *faults;     /* NULL: nothing goes wrong */
    const struct qgm_row *offered; /* rows of this step before faults */
    int *age;                      /* [client]: as in struct qgm_late; NULL: nobody is late */
    bool *down, *arrived;          /* [client]; [edge][2] of relaying algorithms: what comes, what goes */
    struct qgm_turn turn;
    struct qgm_order order[QGM_ORDERS]; /* of ordered_rows, in steps that exchange or not */
    const struct qgm_row *ordered_rows;
    bool ordered_exchanges;
    bool seated,
        shares_seats; /* messages lie as `order` says; as some order said, not each client's in its own place */
    int *places;      /* order.c: scratch */
};

/* Elements of `row` (0: x, 1: g, 2 ...: states) of a client that lives here. */
char *qgm_engine_row(struct qgm_engine *e, int client, int row);
/* Telemetry apart from the pass, where clients live in several processes: fill what e->telemetry says of what
 * is watched (enum qgm_watched), the same bits as in a pass. Collective. */
void qgm_engine_observe(struct qgm_engine *e, unsigned what);
/* Messages that come late: engine_late.c. */
size_t qgm_late_bytes(const struct qgm_engine *e);
int qgm_late_plan(struct qgm_engine *e, const struct qgm_fault_config *faults, struct qgm_error *err);
void qgm_late_open(struct qgm_engine *e); /* from e->arena */
void qgm_late_step(struct qgm_engine *e);
int qgm_late_pieces(const struct qgm_engine *e);
void qgm_late_piece(struct qgm_engine *e, int i, struct qgm_engine_piece *out);
/* The order in which clients take part: order.c. */
size_t qgm_order_bytes(const struct qgm_engine *e);
void qgm_order_open(struct qgm_engine *e); /* from e->arena */
void qgm_order_step(struct qgm_engine *e, bool telemetry);
void qgm_order_segment(struct qgm_engine *e); /* of e->pass.stage */
size_t qgm_turn_bytes(const struct qgm_engine *e);
void qgm_turn_open(struct qgm_engine *e); /* from e->arena */

#endif
