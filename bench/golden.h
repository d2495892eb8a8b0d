/* Golden trajectories: a small problem, a graph, a schedule, and where a trusted implementation went. The format:
 *
 *   # key=value          n clients, d coordinates, T steps, wd, momentum, name; algo: spec, if name does not say it
 *   W,i,j,w              weight of j's message at i; W,t,i,j,w when the graph changes with the step
 *   P,i,k,h,c,p,x0       client i has gradient h (x_k - c) + 0.3 sin(2 x_k + p) in coordinate k, and starts at x0
 *   LR,t,eta             learning rate of step t
 *   X,t,i,k,x            x_k of client i after t finished steps: of a step that is there all, and of the last
 *
 * SPDX-License-Identifier: MIT */
#ifndef QGM_GOLDEN_H
#define QGM_GOLDEN_H
#include "topology.h"

struct qgm_golden_point {
    long t, k;
    int i;
    double x;
};
struct qgm_golden {
    int n;         /* clients */
    long d, steps; /* coordinates, steps */
    double momentum, weight_decay;
    char algo[160]; /* spec for the engine */
    struct qgm_topology *topology;
    double *h, *c, *p, *start; /* [client][coordinate] */
    double *lr;                /* [step] */
    struct qgm_golden_point *point;
    size_t points;
};

/* Errors (QGM_INPUT) name the file and line, what was found and what was expected. */
int qgm_golden_open(struct qgm_golden *golden, const char *path, struct qgm_error *err);
void qgm_golden_close(struct qgm_golden *golden);

/* Client i's gradient in coordinate k at x, in double. */
double qgm_golden_gradient(const struct qgm_golden *golden, int i, long k, double x);

#endif
