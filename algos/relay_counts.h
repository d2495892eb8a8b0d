/* Memory of relaying algorithms, and how much of the mean has reached each client. SPDX-License-Identifier: MIT */
#ifndef QGM_RELAY_COUNTS_H
#define QGM_RELAY_COUNTS_H
#include "topology.h"

struct qgm_relay {
    int clients;
    size_t edges;       /* directed */
    size_t *first_edge; /* [client + 1] */
    double *count;      /* [edge][2]: how many clients' models came last and went last */
    double *total;      /* [client] */
    double *own;        /* [client]: share of the mean that has not arrived */
};
int qgm_relay_open(struct qgm_relay *relay, const struct qgm_row *rows, int clients, struct qgm_error *err);
void qgm_relay_close(struct qgm_relay *relay);
/* The counts go the way the models go, one step. arrived: [edge][2] as in struct qgm_pass, or NULL. */
void qgm_relay_step(struct qgm_relay *relay, const struct qgm_row *rows, const bool *arrived);

#endif
