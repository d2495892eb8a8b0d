/* Telemetry inside a pass: sums over clients, some clients and some elements at a time. For files compiled per ISA.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_OBSERVE_H
#define QGM_OBSERVE_H
#include "block.h"
#include "pass.h"

/* Part of the result. Sums are made for strips of so many elements and added in their order, however much of a block is
 * at hand; so many clients are added at a time: few enough that their rows are still in the nearest caches, and enough
 * that the sums between are not what takes the time. */
enum { QGM_STRIP = QGM_BLOCK / 4, QGM_WATCH_CLIENTS = 16 };

/* For __builtin_prefetch: what is wanted tens of KB later would push out of the first level what is being worked on,
 * and be gone from there before its turn. */
enum { QGM_SECOND_LEVEL = 2 };

/* Where the sums of a strip stand: of x and of g by column, and of the products with v by lane. */
struct qgm_sums {
    real first[2][QGM_STRIP], sum[2][QGM_STRIP], squares[2][QGM_STRIP];
    real both[4 * VF], own[4 * VF];
} __attribute__((aligned(QGM_ALIGN)));

/* Add a strip of the clients at places from ... to - 1 of view->order; the last of all add what comes of it to out. */
void QGM_ISA(qgm_pass_observe_some)(const struct qgm_view *view, struct qgm_sums *sums, int from, int to, size_t len,
                                    double *out);
/* Clear what the view measures. */
void QGM_ISA(qgm_pass_observe_clear)(const struct qgm_view *view, double *out);

#endif
