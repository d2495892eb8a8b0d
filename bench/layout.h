/* Where to draw the clients of a graph. SPDX-License-Identifier: MIT */
#ifndef QGM_LAYOUT_H
#define QGM_LAYOUT_H
#include "topology.h"

/* xy: a pair a client, within -1..1. Distances on the page follow distances on the graph (Kamada and Kawai 1989);
 * deterministic. Directions of links are not looked at. Returns -1 when there is no memory. */
int qgm_layout(const struct qgm_row *rows, int clients, double *xy, struct qgm_error *err);

#endif
