/* What goes wrong, as a seeded schedule: a pure function of (seed, step, clients), so the same in one process and in
 * many, and nothing of it to keep in a checkpoint. SPDX-License-Identifier: MIT */
#ifndef QGM_FAULTS_H
#define QGM_FAULTS_H
#include "topology.h"

/* Probabilities; all zero: nothing goes wrong. */
struct qgm_fault_config {
    double drop;      /* that a message is lost: each direction of a link, each step */
    double links;     /* that a link fails in a step, in both directions */
    double crash;     /* that a client crashes in a step, but the first; it comes back with what it had */
    long crash_steps; /* after so many steps */
    double stale; /* that a client is late with its messages of an exchange, for all its neighbours; but the first */
    long stale_steps; /* by up to so many exchanges; meanwhile they get the newest that has come */
    uint64_t seed;
};

/* What a client makes of a message that did not come. */
enum qgm_lost {
    QGM_LOST_OWN,     /* its own message stands in: weights over what it receives keep their sum */
    QGM_LOST_KEPT,    /* the sender keeps the share (push-sum): weights over what a client sends keep their sum */
    QGM_LOST_NOTHING, /* messages are differences to what was sent before: the receiver's copy stays behind by one */
};

struct qgm_faults; /* opaque */
/* *faults NULL when nothing is to go wrong. Refuses more than 65536 clients. */
int qgm_faults_open(struct qgm_faults **faults, const struct qgm_fault_config *config, int clients,
                    struct qgm_error *err);
void qgm_faults_close(struct qgm_faults **faults);
/* Is a client down in a step? It has crashed, and neither computes nor talks. */
bool qgm_faults_down_in(const struct qgm_faults *faults, int client, long step);
/* Decide a step. */
void qgm_faults_step(struct qgm_faults *faults, long step);
bool qgm_faults_down(const struct qgm_faults *faults, int client);
bool qgm_faults_arrives(const struct qgm_faults *faults, int from, int to); /* does a message? */
/* Exchanges since a client made the message that its neighbours get now: 0 ... stale_steps. A pure function of the
 * schedule too; never from before a crash. every: steps from one exchange to the next. */
int qgm_faults_age(const struct qgm_faults *faults, int client, int every);
/* The rows with what is lost taken out; valid until the next call. NULL: out of memory. */
const struct qgm_row *qgm_faults_rows(struct qgm_faults *faults, const struct qgm_row *rows, enum qgm_lost lost);

#endif
