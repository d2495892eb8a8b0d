/* Counting what has been relayed: the same sums as of the models, of ones. SPDX-License-Identifier: MIT */
#include "relay_counts.h"
#include <stdlib.h>

int qgm_relay_open(struct qgm_relay *r, const struct qgm_row *rows, int clients, struct qgm_error *err)
{
    *r = (struct qgm_relay){ .clients = clients };
    r->first_edge = calloc((size_t)clients + 1, sizeof *r->first_edge);
    r->total = calloc((size_t)clients, sizeof *r->total);
    r->own = calloc((size_t)clients, sizeof *r->own);
    if (!r->first_edge || !r->total || !r->own) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    for (int i = 0; i < clients; i++) {
        for (int k = 0; k < rows[i].n; k++) r->edges += rows[i].from[k] != i;
        r->first_edge[i + 1] = r->edges;
    }
    r->count = calloc(r->edges + 1, 2 * sizeof *r->count);
    return r->count ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory");
}

void qgm_relay_close(struct qgm_relay *r)
{
    free(r->first_edge);
    free(r->count);
    free(r->total);
    free(r->own);
    *r = (struct qgm_relay){ 0 };
}

void qgm_relay_step(struct qgm_relay *r, const struct qgm_row *rows, const bool *arrived)
{
    for (int i = 0; i < r->clients; i++) {
        r->total[i] = 1;
        for (size_t e = r->first_edge[i]; e < r->first_edge[i + 1]; e++) r->total[i] += r->count[2 * e];
    }
    for (int i = 0; i < r->clients; i++) {
        double came = 0;
        size_t e = r->first_edge[i];
        for (int k = 0; k < rows[i].n; k++) {
            if (rows[i].from[k] == i) continue;
            double now = r->total[rows[i].from[k]] - r->count[2 * e + 1], sent = r->total[i] - r->count[2 * e];
            if (arrived && !arrived[2 * e]) now = 0;
            r->count[2 * e + 1] = arrived && !arrived[2 * e + 1] ? 0 : sent;
            r->count[2 * e] = now;
            came += now;
            e++;
        }
        r->own[i] = (r->clients - came) / r->clients;
    }
}
